/* libuv_try: libuv, each reply sent at once with uv_udp_try_send. */
#include "libuv.h"

static void echo(uv_udp_t *handle, ssize_t len, const uv_buf_t *buffer, const struct sockaddr *sender,
                 unsigned flags) {
  (void)flags;
  if (len < 0 || sender == NULL) return; /* nothing more to read, or the buffer is returned */
  served++;
  uv_buf_t data = uv_buf_init(buffer->base, (unsigned)len);
  uv_udp_try_send(handle, &data, 1, sender);
}

/* For no replies, or several to each datagram. */
static void reply(uv_udp_t *handle, ssize_t len, const uv_buf_t *buffer, const struct sockaddr *sender,
                  unsigned flags) {
  (void)flags;
  if (len < 0 || sender == NULL) return;
  served++;
  uv_buf_t data = uv_buf_init(buffer->base, (unsigned)len);
  for (unsigned i = 0; i < replies; i++) uv_udp_try_send(handle, &data, 1, sender);
}

int main(int argc, char **argv) {
  static uv_udp_t handle;
  uint16_t        port = server_arguments(argc, argv);
  listen_on(&handle, port, replies == 1 ? echo : reply);
  return serve(&handle);
}
