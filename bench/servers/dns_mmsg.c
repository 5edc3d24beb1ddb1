/* dns_mmsg: a DNS server with recvmmsg and sendmmsg by hand, behind epoll. Queries become answers in the receive
 * buffers.
 */
#define _GNU_SOURCE
#define USE_EPOLL
#include "dns.h"
#include "epoll_wait.h"

enum { BATCH = 64 };

static unsigned char      data[BATCH][DNS_MAX + DNS_RECORD];
static struct sockaddr_in peers[BATCH];
static struct iovec       iovecs[BATCH];
static struct mmsghdr     queries[BATCH], answers[BATCH];

static void prepare(void) {
  for (int i = 0; i < BATCH; i++) {
    iovecs[i] = (struct iovec){.iov_base = data[i], .iov_len = DNS_MAX};
    queries[i].msg_hdr = (struct msghdr){.msg_name = &peers[i],
                                         .msg_namelen = sizeof peers[i],
                                         .msg_iov = &iovecs[i],
                                         .msg_iovlen = 1};
  }
}

/* Returns the number of answers. */
static unsigned answer_all(int count) {
  unsigned n = 0;
  for (int i = 0; i < count; i++) {
    iovecs[i].iov_len = dns_answer(data[i], queries[i].msg_len);
    if (iovecs[i].iov_len > 0) answers[n++] = queries[i];
  }
  return n;
}

/* sendmmsg stops at a message that fails. That message is dropped. */
static void send_all(int fd, unsigned count) {
  for (unsigned sent = 0; sent < count;) {
    int n = sendmmsg(fd, answers + sent, count - sent, 0);
    sent += n > 0 ? (unsigned)n : 1;
  }
}

int main(int argc, char **argv) {
  int fd = bound_socket(server_arguments(argc, argv));
  prepare();
  watch(fd);
  server_ready(fd);
  for (;;) {
    int count = recvmmsg(fd, queries, BATCH, wait_readable(), NULL);
    if (count < 0) continue;
    served += (unsigned)count;
    send_all(fd, answer_all(count));
    for (int i = 0; i < count; i++) iovecs[i].iov_len = DNS_MAX;
  }
}
