/* libuv_queue: libuv, replies queued with uv_udp_send, which sends up to 20 in one sendmmsg. */
#include "libuv.h"

/* A request with its data, which must exist until it was sent. Completed requests are used again, so that none is
 * allocated in the steady state.
 */
typedef struct request {
  uv_udp_send_t   send; /* first: a pointer to it is one to the request */
  struct request *next;
  char            data[2048];
} request;

static request *spare;

static void sent(uv_udp_send_t *send, int status) {
  (void)status;
  request *done = (request *)send;
  done->next = spare;
  spare = done;
}

static request *take_request(void) {
  request *taken = spare;
  if (taken == NULL) return malloc(sizeof *taken);
  spare = taken->next;
  return taken;
}

static void received(uv_udp_t *handle, ssize_t len, const uv_buf_t *buffer, const struct sockaddr *sender,
                     unsigned flags) {
  (void)flags;
  if (len < 0 || sender == NULL) return; /* nothing more to read, or the buffer is returned */
  served++;
  for (unsigned i = 0; i < replies; i++) {
    request *reply = take_request();
    uv_buf_t data = uv_buf_init(reply->data, (unsigned)len);
    memcpy(reply->data, buffer->base, (size_t)len);
    uv_udp_send(&reply->send, handle, &data, 1, sender, sent);
  }
}

int main(int argc, char **argv) {
  static uv_udp_t port;
  listen_on(&port, server_arguments(argc, argv), received);
  return serve(&port);
}
