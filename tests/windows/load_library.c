/* A program that loads udpr.dll when it runs, as other languages do: a port receives a datagram that it has sent to itself. */
#include <windows.h>

#include <stdio.h>
#include <udpr/udpr.h>

#define LOAD(name) __typeof__(name) *name##_ = (void *)GetProcAddress(library, #name)

static int received;

static void datagram_received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  (void)transport, (void)user;
  received += datagram->len == 5 && datagram->data[0] == 'h';
}

static const char *run(HMODULE library) {
  LOAD(udpr_version);
  LOAD(udpr_reactor_new);
  LOAD(udpr_reactor_listen_udp);
  LOAD(udpr_transport_get_host);
  LOAD(udpr_transport_write);
  LOAD(udpr_transport_release);
  LOAD(udpr_reactor_iterate);
  LOAD(udpr_reactor_free);
  udpr_reactor   *reactor;
  udpr_transport *transport;
  udpr_addr       host;
  udpr_protocol   protocol = {.size = sizeof protocol, .datagram_received = datagram_received};
  if (udpr_version_() != UDPR_VERSION) return "udpr_version";
  if (udpr_reactor_new_(NULL, &reactor) != UDPR_OK) return "udpr_reactor_new";
  if (udpr_reactor_listen_udp_(reactor, 0, "127.0.0.1", &protocol, NULL, &transport) != UDPR_OK)
    return "udpr_reactor_listen_udp";
  if (udpr_transport_get_host_(transport, &host) != UDPR_OK) return "udpr_transport_get_host";
  if (udpr_transport_write_(transport, "hello", 5, &host) != UDPR_OK) return "udpr_transport_write";
  for (int turn = 0; turn < 100 && !received; turn++)
    if (udpr_reactor_iterate_(reactor, 100 * 1000000) != UDPR_OK) return "udpr_reactor_iterate";
  udpr_transport_release_(transport);
  if (udpr_reactor_free_(reactor) != UDPR_OK) return "udpr_reactor_free";
  return received == 1 ? NULL : "nothing was received";
}

int main(void) {
  HMODULE library = LoadLibraryA("udpr.dll");
  if (!library) return printf("not ok a_datagram: LoadLibrary: error %lu\n", GetLastError()), 1;
  if (GetProcAddress(library, "rust_eh_personality"))
    return printf("not ok a_datagram: a symbol of Rust is exported\n"), 1;
  const char *failure = run(library);
  if (failure) return printf("not ok a_datagram: %s\n", failure), 1;
  printf("ok a_datagram\n");
  return 0;
}
