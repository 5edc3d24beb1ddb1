/* io_epoll.c: the I/O side by hand: epoll, recvmmsg with GRO, sendmsg with GSO. */
#define _GNU_SOURCE
#include "../servers/server.h"

#include <errno.h>
#include <netinet/udp.h>
#include <sys/epoll.h>
#include <time.h>

#include "io.h"

enum { MESSAGES = 8, BUFFER_SIZE = 65536 + 64 };

typedef struct in_control {
  _Alignas(struct cmsghdr) char bytes[CMSG_SPACE(sizeof(struct in_pktinfo)) + CMSG_SPACE(sizeof(int)) +
                                      CMSG_SPACE(sizeof(int))];
} in_control;

static uint8_t            data[MESSAGES][BUFFER_SIZE];
static struct sockaddr_in peers[MESSAGES];
static struct iovec       iovecs[MESSAGES];
static in_control         controls[MESSAGES];
static struct mmsghdr     messages[MESSAGES];
static int                fd, epoll, is_running;
static uint16_t           port_number; /* in network byte order */
static uint64_t           timer = UINT64_MAX;

/* What a full socket did not take. */
static struct {
  int      waits;
  io_path  path;
  unsigned ecn;
  size_t   len, packet_size;
  uint8_t  packets[BUFFER_SIZE];
} left;

static void set_option(int level, int name, int value) {
  require(setsockopt(fd, level, name, &value, sizeof value) == 0, "setsockopt");
}

static void watch(int operation, uint32_t events) {
  struct epoll_event event = {.events = events};
  require(epoll_ctl(epoll, operation, fd, &event) == 0, "epoll_ctl");
}

int io_open(uint16_t port) {
  struct sockaddr_in host;
  socklen_t          len = sizeof host;
  fd = bound_socket(port);
  set_option(SOL_UDP, UDP_GRO, 1);
  set_option(IPPROTO_IP, IP_PKTINFO, 1);
  set_option(IPPROTO_IP, IP_RECVTOS, 1);
  set_option(IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_PROBE);
  require(getsockname(fd, (struct sockaddr *)&host, &len) == 0, "getsockname");
  port_number = host.sin_port;
  for (int i = 0; i < MESSAGES; i++) {
    iovecs[i] = (struct iovec){.iov_base = data[i], .iov_len = BUFFER_SIZE};
    messages[i].msg_hdr = (struct msghdr){.msg_name = &peers[i], .msg_iov = &iovecs[i], .msg_iovlen = 1};
  }
  epoll = epoll_create1(0);
  require(epoll >= 0, "epoll_create1");
  watch(EPOLL_CTL_ADD, EPOLLIN);
  return fd;
}

/* Returns the length of the packets that the kernel has merged into this message. */
static size_t read_control(struct msghdr *header, size_t len, io_path *path, unsigned *ecn) {
  size_t size = len;
  for (struct cmsghdr *c = CMSG_FIRSTHDR(header); c != NULL; c = CMSG_NXTHDR(header, c)) {
    if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) {
      int merged;
      memcpy(&merged, CMSG_DATA(c), sizeof merged);
      size = (size_t)merged;
    } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) {
      *ecn = *CMSG_DATA(c) & 3;
    } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
      struct in_pktinfo info;
      memcpy(&info, CMSG_DATA(c), sizeof info);
      path->local.sin_addr = info.ipi_addr;
    }
  }
  return size;
}

static void receive(void) {
  for (int i = 0; i < MESSAGES; i++) {
    messages[i].msg_hdr.msg_namelen = sizeof peers[i];
    messages[i].msg_hdr.msg_control = controls[i].bytes;
    messages[i].msg_hdr.msg_controllen = sizeof controls[i].bytes;
  }
  int count = recvmmsg(fd, messages, MESSAGES, MSG_DONTWAIT, NULL);
  for (int i = 0; i < count; i++) {
    io_path  path = {.local = {.sin_family = AF_INET, .sin_port = port_number}, .peer = peers[i]};
    unsigned ecn = 0;
    size_t   len = messages[i].msg_len, size = read_control(&messages[i].msg_hdr, len, &path, &ecn);
    for (size_t at = 0; at < len; at += size)
      quic_received(&path, ecn, data[i] + at, len - at < size ? len - at : size);
  }
  if (count > 0) quic_write();
}

static void *add_control(struct msghdr *header, int level, int type, size_t len) {
  struct cmsghdr *c = (struct cmsghdr *)((char *)header->msg_control + header->msg_controllen);
  *c = (struct cmsghdr){.cmsg_level = level, .cmsg_type = type, .cmsg_len = CMSG_LEN(len)};
  header->msg_controllen += CMSG_SPACE(len);
  return CMSG_DATA(c);
}

/* Returns 0 if the socket is full. Anything else that fails is a lost packet. */
static int try_send(const io_path *path, unsigned ecn, const uint8_t *packets, size_t len,
                    size_t packet_size) {
  _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct in_pktinfo)) + CMSG_SPACE(sizeof(int)) +
                                        CMSG_SPACE(sizeof(uint16_t))] = {0};
  struct iovec                  iov = {.iov_base = (void *)packets, .iov_len = len};
  struct msghdr                 header = {.msg_name = (void *)&path->peer,
                                          .msg_namelen = sizeof path->peer,
                                          .msg_iov = &iov,
                                          .msg_iovlen = 1,
                                          .msg_control = control};
  struct in_pktinfo             info = {.ipi_spec_dst = path->local.sin_addr};
  int                           tos = (int)ecn;
  uint16_t                      segment = (uint16_t)packet_size;
  memcpy(add_control(&header, IPPROTO_IP, IP_PKTINFO, sizeof info), &info, sizeof info);
  memcpy(add_control(&header, IPPROTO_IP, IP_TOS, sizeof tos), &tos, sizeof tos);
  if (len > packet_size)
    memcpy(add_control(&header, SOL_UDP, UDP_SEGMENT, sizeof segment), &segment, sizeof segment);
  return sendmsg(fd, &header, MSG_DONTWAIT) >= 0 || (errno != EAGAIN && errno != ENOBUFS);
}

void io_send(const io_path *path, unsigned ecn, const uint8_t *packets, size_t len, size_t packet_size) {
  if (left.waits || try_send(path, ecn, packets, len, packet_size)) return;
  left.waits = 1;
  left.path = *path;
  left.ecn = ecn;
  left.len = len;
  left.packet_size = packet_size;
  memcpy(left.packets, packets, len);
  watch(EPOLL_CTL_MOD, EPOLLIN | EPOLLOUT);
}

static void send_left(void) {
  if (!try_send(&left.path, left.ecn, left.packets, left.len, left.packet_size)) return;
  left.waits = 0;
  watch(EPOLL_CTL_MOD, EPOLLIN);
  quic_write();
}

int io_can_send(void) { return !left.waits; }

uint64_t io_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void io_set_timer(uint64_t instant) { timer = instant; }
void io_stop(void) { is_running = 0; }

void io_run(void) {
  for (is_running = 1; is_running;) {
    uint64_t        now = io_now(), wait = timer > now ? timer - now : 0;
    struct timespec timeout = {.tv_sec = (time_t)(wait / 1000000000), .tv_nsec = (long)(wait % 1000000000)};
    struct epoll_event event = {0};
    int                ready = epoll_pwait2(epoll, &event, 1, timer == UINT64_MAX ? NULL : &timeout, NULL);
    if (ready > 0 && event.events & EPOLLOUT) send_left();
    if (ready > 0 && event.events & ~(uint32_t)EPOLLOUT) receive();
    if (timer != UINT64_MAX && timer <= io_now()) timer = UINT64_MAX, quic_timer_expired();
  }
}
