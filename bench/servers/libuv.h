/* libuv.h: libuv ports that receive with recvmmsg. */
#include "server.h"

#include <uv.h>

/* libuv gives recvmmsg a chunk of 64 KiB of this buffer for each datagram, at most 20. */
static void alloc_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer) {
  (void)handle, (void)suggested;
  static char room[20 * 65536];
  *buffer = uv_buf_init(room, sizeof room);
}

static void listen_on(uv_udp_t *handle, uint16_t port, uv_udp_recv_cb received) {
  struct sockaddr_in address = any_address(port);
  require(uv_udp_init_ex(uv_default_loop(), handle, AF_INET | UV_UDP_RECVMMSG) == 0, "uv_udp_init_ex");
  require(uv_udp_bind(handle, (struct sockaddr *)&address, 0) == 0, "uv_udp_bind");
  require(uv_udp_recv_start(handle, alloc_buffer, received) == 0, "uv_udp_recv_start");
}

static int serve(uv_udp_t *handle) {
  uv_os_fd_t fd;
  require(uv_fileno((uv_handle_t *)handle, &fd) == 0, "uv_fileno");
  server_ready(fd);
  return uv_run(uv_default_loop(), UV_RUN_DEFAULT);
}
