/* libuv.h: a libuv port that receives with recvmmsg. */
#include "../server.h"

#include <uv.h>

/* recvmmsg gets a 64 KiB chunk of the buffer for each datagram, 20 at most. */
static void lend_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer) {
  (void)handle, (void)suggested;
  static char room[20 * 65536];
  *buffer = uv_buf_init(room, sizeof room);
}

static int serve(uint16_t port, uv_udp_recv_cb received) {
  static uv_udp_t    handle;
  struct sockaddr_in address = any_address(port);
  uv_loop_t         *loop = uv_default_loop();
  uv_os_fd_t         fd;
  require(uv_udp_init_ex(loop, &handle, AF_INET | UV_UDP_RECVMMSG) == 0, "uv_udp_init_ex");
  require(uv_udp_bind(&handle, (struct sockaddr *)&address, 0) == 0, "uv_udp_bind");
  require(uv_udp_recv_start(&handle, lend_buffer, received) == 0, "uv_udp_recv_start");
  require(uv_fileno((uv_handle_t *)&handle, &fd) == 0, "uv_fileno");
  server_ready(fd);
  return uv_run(loop, UV_RUN_DEFAULT);
}
