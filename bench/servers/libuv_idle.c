/* libuv_idle: libuv_try with 10,000 idle ports. */
#include "idle_ports.h"
#include "libuv.h"

static void received(uv_udp_t *handle, ssize_t len, const uv_buf_t *buffer, const struct sockaddr *sender,
                     unsigned flags) {
  (void)flags;
  if (len < 0 || sender == NULL) return; /* nothing more to read, or the buffer is returned */
  served++;
  uv_buf_t reply = uv_buf_init(buffer->base, (unsigned)len);
  for (unsigned i = 0; i < replies; i++) uv_udp_try_send(handle, &reply, 1, sender);
}

static void open_idle_port(void) { listen_on(malloc(sizeof(uv_udp_t)), 0, received); }

int main(int argc, char **argv) {
  static uv_udp_t busy;
  listen_on(&busy, server_arguments(argc, argv), received);
  open_idle_ports();
  return serve(&busy);
}
