/* dns_libuv: a DNS server with libuv, which sends each answer at once with uv_udp_try_send. */
#include "dns.h"
#include "libuv.h"

static void received(uv_udp_t *handle, ssize_t len, const uv_buf_t *buffer, const struct sockaddr *sender,
                     unsigned flags) {
  (void)flags;
  if (len < 0 || sender == NULL) return; /* nothing more to read, or the buffer is returned */
  served++;
  size_t answer = dns_answer((unsigned char *)buffer->base, (size_t)len);
  if (answer == 0) return;
  uv_buf_t data = uv_buf_init(buffer->base, (unsigned)answer);
  uv_udp_try_send(handle, &data, 1, sender);
}

int main(int argc, char **argv) {
  static uv_udp_t handle;
  listen_on(&handle, server_arguments(argc, argv), received);
  return serve(&handle);
}
