/* loop_offload: the fastest hand-written loop. GRO merges received datagrams; replies to one destination are merged into
 * GSO messages, which point into the receive buffers; one sendmmsg sends all messages.
 *
 * With COPY (loop_offload_copy) each datagram is copied first, as in a write whose caller may change the data after it
 * returns: the difference is the cost of that copy. With USE_EPOLL (loop_offload_epoll) the loop waits in epoll_wait, as
 * loop_mmsg_epoll does.
 */
#define _GNU_SOURCE
#include "server.h"

#include <netinet/udp.h>

#include "epoll_wait.h"

enum {
  BATCH = 64,
  BUFFER_SIZE = 65536 + 64, /* not a power of two, since all buffers would map to the same few cache sets */
  MAX_SEGMENTS = 64,        /* of one GSO send; 128 on newer kernels */
  MAX_BYTES = 65507,        /* of one GSO send: what one datagram holds */
  HASH_SIZE = 256,
  ARENA = 256 * 1024, /* fits the cache of a core */
};

typedef struct control {
  _Alignas(struct cmsghdr) char bytes[CMSG_SPACE(sizeof(int))];
} control;

/* Answers to one destination, each `size` bytes long but for the last one, which may be shorter. */
typedef struct gso_message {
  struct sockaddr_in to;
  unsigned           size, bytes, segments, iovec_count;
  struct iovec       iovecs[MAX_SEGMENTS];
  control            gso;
} gso_message;

static char               data[BATCH][BUFFER_SIZE];
static struct sockaddr_in peers[BATCH];
static struct iovec       iovecs[BATCH];
static control            gro[BATCH];
static struct mmsghdr     received[BATCH], to_send[BATCH];
static gso_message        gso_messages[BATCH];
static unsigned           gso_count;
static gso_message       *open_messages[HASH_SIZE]; /* by a hash of the destination, the last one begun */

static void prepare(int fd) {
  int on = 1;
  require(setsockopt(fd, SOL_UDP, UDP_GRO, &on, sizeof on) == 0, "UDP_GRO");
  for (int i = 0; i < BATCH; i++) {
    iovecs[i] = (struct iovec){.iov_base = data[i], .iov_len = BUFFER_SIZE};
    received[i].msg_hdr = (struct msghdr){.msg_name = &peers[i], .msg_iov = &iovecs[i], .msg_iovlen = 1};
    to_send[i].msg_hdr = (struct msghdr){.msg_name = &gso_messages[i].to,
                                         .msg_namelen = sizeof gso_messages[i].to,
                                         .msg_iov = gso_messages[i].iovecs};
    struct cmsghdr *header = (struct cmsghdr *)gso_messages[i].gso.bytes;
    *header = (struct cmsghdr){.cmsg_level = SOL_UDP,
                               .cmsg_type = UDP_SEGMENT,
                               .cmsg_len = CMSG_LEN(sizeof(uint16_t))};
  }
}

static int receive(int fd) {
  for (int i = 0; i < BATCH; i++) {
    received[i].msg_hdr.msg_namelen = sizeof peers[i];
    received[i].msg_hdr.msg_control = gro[i].bytes;
    received[i].msg_hdr.msg_controllen = sizeof gro[i].bytes;
  }
  return recvmmsg(fd, received, BATCH, wait_readable(), NULL);
}

/* Returns the length of the datagrams that GRO merged into this message. */
static unsigned segment_size(const struct mmsghdr *message) {
  const struct cmsghdr *header = CMSG_FIRSTHDR(&message->msg_hdr);
  int                   size;
  if (header == NULL || header->cmsg_type != UDP_GRO) return message->msg_len;
  memcpy(&size, CMSG_DATA(header), sizeof size);
  return (unsigned)size;
}

static void flush(int fd) {
  for (unsigned i = 0; i < gso_count; i++) {
    struct msghdr *header = &to_send[i].msg_hdr;
    uint16_t       size = (uint16_t)gso_messages[i].size;
    int            many = gso_messages[i].segments > 1;
    header->msg_iovlen = gso_messages[i].iovec_count;
    header->msg_control = many ? gso_messages[i].gso.bytes : NULL;
    header->msg_controllen = many ? CMSG_SPACE(sizeof size) : 0;
    memcpy(CMSG_DATA((struct cmsghdr *)gso_messages[i].gso.bytes), &size, sizeof size);
  }
  for (unsigned sent = 0; sent < gso_count;) {
    int n = sendmmsg(fd, to_send + sent, gso_count - sent, 0);
    sent += n > 0 ? (unsigned)n : 1;
  }
  memset(open_messages, 0, sizeof open_messages);
  gso_count = 0;
}

static int can_append(const gso_message *open, const struct sockaddr_in *to, unsigned size, unsigned bytes,
                      unsigned segments) {
  return open != NULL && open->to.sin_port == to->sin_port &&
         open->to.sin_addr.s_addr == to->sin_addr.s_addr && open->bytes == open->size * open->segments &&
         size <= open->size && (size == open->size || segments == 1) &&
         open->segments + segments <= MAX_SEGMENTS && open->bytes + bytes <= MAX_BYTES && bytes > 0;
}

#ifdef COPY
static char     arena[ARENA];
static unsigned arena_used;

/* Copies each datagram by itself, as separate writes do. */
static char *copy_to_arena(int fd, const char *bytes, unsigned len, unsigned size) {
  if (arena_used + len > ARENA) flush(fd), arena_used = 0;
  if (gso_count == 0) arena_used = 0;
  char *place = arena + arena_used;
  for (unsigned at = 0; at < len; at += size)
    memcpy(place + at, bytes + at, len - at < size ? len - at : size);
  arena_used += len;
  return place;
}
#else
static char *copy_to_arena(int fd, char *bytes, unsigned len, unsigned size) {
  (void)fd, (void)len, (void)size;
  return bytes;
}
#endif

static void append_reply(int fd, const struct sockaddr_in *to, char *from, unsigned len, unsigned size) {
  char         *bytes = copy_to_arena(fd, from, len, size);
  unsigned      segments = size > 0 ? (len + size - 1) / size : 1;
  gso_message **open = &open_messages[ntohs(to->sin_port) % HASH_SIZE];
  if (!can_append(*open, to, size, len, segments)) {
    if (gso_count == BATCH) flush(fd);
    gso_message *first = &gso_messages[gso_count++];
    first->to = *to;
    first->size = size;
    first->bytes = first->segments = first->iovec_count = 0;
    *open = first;
  }
  gso_message *message = *open;
  message->iovecs[message->iovec_count++] = (struct iovec){.iov_base = bytes, .iov_len = len};
  message->bytes += len;
  message->segments += segments;
}

int main(int argc, char **argv) {
  int fd = bound_socket(server_arguments(argc, argv));
  prepare(fd);
  watch(fd);
  server_ready(fd);
  for (;;) {
    int count = receive(fd);
    for (int i = 0; i < count; i++) {
      unsigned len = received[i].msg_len, size = segment_size(&received[i]);
      served += size > 0 ? (len + size - 1) / size : 1;
      for (unsigned k = 0; k < replies; k++) append_reply(fd, &peers[i], data[i], len, size);
    }
    flush(fd);
  }
}
