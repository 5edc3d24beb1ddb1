/* writes_libuv: uv_udp_try_send, or uv_udp_send, which sends up to 20 queued datagrams in one sendmmsg. */
#include "writes.h"

#include <uv.h>

static uv_udp_t           sender, receiver;
static struct sockaddr_in to;
static uv_udp_send_t      requests[ROUND];
static int                queues;

static int choose_mode(const char *mode) {
  queues = strcmp(mode, "queue") == 0;
  return queues || strcmp(mode, "try") == 0;
}

/* libuv gives recvmmsg a chunk of 64 KiB of this buffer for each datagram, at most 20. */
static void alloc_buffer(uv_handle_t *handle, size_t suggested, uv_buf_t *buffer) {
  (void)handle, (void)suggested;
  static char room[20 * 65536];
  *buffer = uv_buf_init(room, sizeof room);
}

static void count(uv_udp_t *handle, ssize_t len, const uv_buf_t *buffer, const struct sockaddr *from,
                  unsigned flags) {
  (void)handle, (void)buffer, (void)flags;
  if (len >= 0 && from != NULL) received++;
}

static void sent(uv_udp_send_t *request, int status) { (void)request, (void)status; }

static void prepare(void) {
  uv_loop_t *loop = uv_default_loop();
  int        len = sizeof to;
  uv_ip4_addr("127.0.0.1", 0, &to);
  uv_udp_init(loop, &sender);
  uv_udp_init_ex(loop, &receiver, AF_INET | UV_UDP_RECVMMSG);
  if (uv_udp_bind(&receiver, (struct sockaddr *)&to, 0) != 0) exit(EXIT_FAILURE);
  if (uv_udp_getsockname(&receiver, (struct sockaddr *)&to, &len) != 0) exit(EXIT_FAILURE);
  uv_udp_recv_start(&receiver, alloc_buffer, count);
}

/* A round of requests is complete when the next one begins, since a turn of the loop sends all of them. */
static void write_round(void) {
  uv_buf_t data = uv_buf_init((char *)payload, SIZE);
  for (unsigned i = 0; i < ROUND; i++) {
    if (queues) uv_udp_send(&requests[i], &sender, &data, 1, (struct sockaddr *)&to, sent);
    else uv_udp_try_send(&sender, &data, 1, (struct sockaddr *)&to);
  }
}

static void turn(void) { uv_run(uv_default_loop(), UV_RUN_NOWAIT); }
