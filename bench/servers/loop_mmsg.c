/* loop_mmsg: recvmmsg and sendmmsg by hand. Received data and headers are used for sending without a copy.
 *
 * With USE_EPOLL (loop_mmsg_epoll) the loop waits in epoll_wait, as a program with more than one descriptor has to. That
 * costs more than the call itself: freeing a sent datagram wakes the waiters of the socket (sock_wfree in
 * net/core/sock.c), and an epoll set is always a waiter.
 */
#define _GNU_SOURCE
#include "server.h"

#include "epoll_wait.h"

enum { BATCH = 64, BUFFER_SIZE = 2048 }; /* BUFFER_SIZE: no benchmark sends longer datagrams */

static char               data[BATCH][BUFFER_SIZE];
static struct sockaddr_in peers[BATCH];
static struct iovec       iovecs[BATCH];
static struct mmsghdr     messages[BATCH];

static void prepare(void) {
  for (int i = 0; i < BATCH; i++) {
    iovecs[i] = (struct iovec){.iov_base = data[i], .iov_len = BUFFER_SIZE};
    messages[i].msg_hdr = (struct msghdr){.msg_name = &peers[i],
                                          .msg_namelen = sizeof peers[i],
                                          .msg_iov = &iovecs[i],
                                          .msg_iovlen = 1};
  }
}

/* sendmmsg stops at a message that fails. That message is dropped. */
static void send_all(int fd, int count) {
  for (int sent = 0; sent < count;) {
    int n = sendmmsg(fd, messages + sent, (unsigned)(count - sent), 0);
    sent += n > 0 ? n : 1;
  }
}

static int receive(int fd) { return recvmmsg(fd, messages, BATCH, wait_readable(), NULL); }

int main(int argc, char **argv) {
  int fd = bound_socket(server_arguments(argc, argv));
  prepare();
  watch(fd);
  server_ready(fd);
  for (;;) {
    int count = receive(fd);
    if (count < 0) continue;
    served += (unsigned)count;
    for (int i = 0; i < count; i++) iovecs[i].iov_len = messages[i].msg_len;
    for (unsigned i = 0; i < replies; i++) send_all(fd, count);
    for (int i = 0; i < count; i++) iovecs[i].iov_len = BUFFER_SIZE;
  }
}
