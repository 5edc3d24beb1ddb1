/* loop_mmsg: recvmmsg and sendmmsg by hand. What was received is sent in place, headers and all.
 *
 * With WATCHED (loop_mmsg_epoll) it waits by epoll, as whoever has more than one descriptor must. That costs more than the
 * call: each datagram that is sent is freed, which wakes who waits for the socket (sock_wfree in net/core/sock.c), and an
 * epoll set always waits.
 */
#define _GNU_SOURCE
#include "../server.h"

#include "watched.h"

enum { BATCH = 64, ROOM = 2048 }; /* ROOM: no datagram of the bench is longer */

static char               data[BATCH][ROOM];
static struct sockaddr_in peers[BATCH];
static struct iovec       pieces[BATCH];
static struct mmsghdr     messages[BATCH];

static void prepare(void) {
  for (int i = 0; i < BATCH; i++) {
    pieces[i] = (struct iovec){.iov_base = data[i], .iov_len = ROOM};
    messages[i].msg_hdr = (struct msghdr){.msg_name = &peers[i],
                                          .msg_namelen = sizeof peers[i],
                                          .msg_iov = &pieces[i],
                                          .msg_iovlen = 1};
  }
}

/* sendmmsg stops at a message that fails: that one is given up, as UDP may. */
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
    for (int i = 0; i < count; i++) pieces[i].iov_len = messages[i].msg_len;
    for (unsigned i = 0; i < answers; i++) send_all(fd, count);
    for (int i = 0; i < count; i++) pieces[i].iov_len = ROOM;
  }
}
