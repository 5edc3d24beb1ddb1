"""make_binding.py HEADER OUTPUT: writes the C source of udpr._udpr, with cffi, from the header without comments and macros.

The module has every function of the header, and the callbacks below, which src/udpr/_binding.py defines in Python.
"""

import pathlib
import sys

from cffi import FFI

# Each callback is named after the field or the function that takes it.
CALLBACKS = """
extern "Python" {
  void on_free(void *user);
  udpr_status on_start_protocol(udpr_transport *transport, void *user);
  size_t on_datagrams_received(udpr_transport *transport, const udpr_datagram *const *datagrams, size_t count, void *user);
  void on_connection_refused(udpr_transport *transport, void *user);
  void on_error_received(udpr_transport *transport, const udpr_error_report *report, void *user);
  void on_write_ready(udpr_transport *transport, void *user);
  void on_stop_protocol(udpr_transport *transport, udpr_status reason, void *user);
  void on_call(udpr_reactor *reactor, void *user);
  void on_repeat(udpr_reactor *reactor, udpr_id id, uint64_t beats, void *user);
  void on_watch(udpr_reactor *reactor, udpr_id id, int32_t fd, uint32_t events, void *user);
  void on_resolved(udpr_reactor *reactor, udpr_id id, udpr_status status, const udpr_addr *addrs, size_t count, void *user);
  udpr_status on_trigger(udpr_reactor *reactor, udpr_id id, void *user);
  void on_log(const udpr_log_record *record, void *user);
}
"""

# Python takes datagrams from one buffer faster than from many structs: of each its sender, then its data. Returns how many
# fit.
BATCH = """
size_t copy_batch(const udpr_datagram *const *datagrams, size_t count, char *buffer, size_t capacity, uint32_t *lengths);
"""
BATCH_SOURCE = """
#include <string.h>
#include <udpr/udpr.h>

static size_t copy_batch(const udpr_datagram *const *datagrams, size_t count, char *buffer, size_t capacity,
                         uint32_t *lengths) {
  size_t i;
  for (i = 0; i < count && datagrams[i]->len + sizeof(udpr_addr) <= capacity; i++) {
    memcpy(buffer, &datagrams[i]->sender, sizeof(udpr_addr));
    memcpy(buffer + sizeof(udpr_addr), datagrams[i]->data, datagrams[i]->len);
    lengths[i] = (uint32_t)datagrams[i]->len;
    buffer += sizeof(udpr_addr) + datagrams[i]->len;
    capacity -= sizeof(udpr_addr) + datagrams[i]->len;
  }
  return i;
}
"""


def main(header: str, output: str) -> None:
    binding = FFI()
    binding.cdef(pathlib.Path(header).read_text(encoding="utf-8"))
    binding.cdef(CALLBACKS)
    binding.cdef(BATCH)
    binding.set_source("udpr._udpr", BATCH_SOURCE, py_limited_api=True)
    binding.emit_c_code(output)


main(*sys.argv[1:])
