/* loop_offload: the most that one gets out of this kernel by hand. GRO merges what is received; answers to one
 * destination are gathered into GSO sends, which point at the receive buffers; one sendmmsg sends them all.
 *
 * With COPIES (loop_offload_copy) each datagram is copied first, as a write must that leaves its caller's bytes alone once
 * it has returned: what that costs, and nothing else, tells the two apart. With WATCHED (loop_offload_epoll) it waits by
 * epoll, as loop_mmsg_epoll does.
 */
#define _GNU_SOURCE
#include "../server.h"

#include <netinet/udp.h>

#include "watched.h"

enum {
  BATCH = 64,
  ROOM = 65536 + 64,  /* not a power of two, or all buffers would share the same few cache lines */
  SEGMENTS_MOST = 64, /* of one GSO send; 128 on newer kernels */
  BYTES_MOST = 65507, /* of one GSO send: what one datagram holds */
  SLOTS = 256,
  ARENA = 256 * 1024, /* fits the cache of a core */
};

typedef struct control {
  _Alignas(struct cmsghdr) char bytes[CMSG_SPACE(sizeof(int))];
} control;

/* Answers to one destination, each `size` bytes long but for the last one, which may be shorter. */
typedef struct group {
  struct sockaddr_in to;
  unsigned           size, bytes, segments, pieces;
  struct iovec       piece[SEGMENTS_MOST];
  control            gso;
} group;

static char               data[BATCH][ROOM];
static struct sockaddr_in peers[BATCH];
static struct iovec       pieces[BATCH];
static control            gro[BATCH];
static struct mmsghdr     received[BATCH], gathered[BATCH];
static group              groups[BATCH];
static unsigned           group_count;
static group             *slots[SLOTS]; /* the group last opened for the destinations that hash here */

static void prepare(int fd) {
  int on = 1;
  require(setsockopt(fd, SOL_UDP, UDP_GRO, &on, sizeof on) == 0, "UDP_GRO");
  for (int i = 0; i < BATCH; i++) {
    pieces[i] = (struct iovec){.iov_base = data[i], .iov_len = ROOM};
    received[i].msg_hdr = (struct msghdr){.msg_name = &peers[i], .msg_iov = &pieces[i], .msg_iovlen = 1};
    gathered[i].msg_hdr = (struct msghdr){.msg_name = &groups[i].to,
                                          .msg_namelen = sizeof groups[i].to,
                                          .msg_iov = groups[i].piece};
    struct cmsghdr *header = (struct cmsghdr *)groups[i].gso.bytes;
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

/* How long the datagrams are that GRO has merged into this one. */
static unsigned segment_size(const struct mmsghdr *message) {
  const struct cmsghdr *header = CMSG_FIRSTHDR(&message->msg_hdr);
  int                   size;
  if (header == NULL || header->cmsg_type != UDP_GRO) return message->msg_len;
  memcpy(&size, CMSG_DATA(header), sizeof size);
  return (unsigned)size;
}

static void flush(int fd) {
  for (unsigned i = 0; i < group_count; i++) {
    struct msghdr *header = &gathered[i].msg_hdr;
    uint16_t       size = (uint16_t)groups[i].size;
    int            many = groups[i].segments > 1;
    header->msg_iovlen = groups[i].pieces;
    header->msg_control = many ? groups[i].gso.bytes : NULL;
    header->msg_controllen = many ? CMSG_SPACE(sizeof size) : 0;
    memcpy(CMSG_DATA((struct cmsghdr *)groups[i].gso.bytes), &size, sizeof size);
  }
  for (unsigned sent = 0; sent < group_count;) {
    int n = sendmmsg(fd, gathered + sent, group_count - sent, 0);
    sent += n > 0 ? (unsigned)n : 1;
  }
  memset(slots, 0, sizeof slots);
  group_count = 0;
}

static int takes(const group *open, const struct sockaddr_in *to, unsigned size, unsigned bytes,
                 unsigned segments) {
  return open != NULL && open->to.sin_port == to->sin_port &&
         open->to.sin_addr.s_addr == to->sin_addr.s_addr && open->bytes == open->size * open->segments &&
         size <= open->size && (size == open->size || segments == 1) &&
         open->segments + segments <= SEGMENTS_MOST && open->bytes + bytes <= BYTES_MOST && bytes > 0;
}

#ifdef COPIES
static char     arena[ARENA];
static unsigned arena_used;

/* Datagram by datagram. */
static char *copied(int fd, const char *bytes, unsigned len, unsigned size) {
  if (arena_used + len > ARENA) flush(fd), arena_used = 0;
  if (group_count == 0) arena_used = 0;
  char *place = arena + arena_used;
  for (unsigned at = 0; at < len; at += size)
    memcpy(place + at, bytes + at, len - at < size ? len - at : size);
  arena_used += len;
  return place;
}
#else
static char *copied(int fd, char *bytes, unsigned len, unsigned size) {
  (void)fd, (void)len, (void)size;
  return bytes;
}
#endif

static void gather(int fd, const struct sockaddr_in *to, char *from, unsigned len, unsigned size) {
  char    *bytes = copied(fd, from, len, size);
  unsigned segments = size > 0 ? (len + size - 1) / size : 1;
  group  **slot = &slots[ntohs(to->sin_port) % SLOTS];
  if (!takes(*slot, to, size, len, segments)) {
    if (group_count == BATCH) flush(fd);
    group *fresh = &groups[group_count++];
    fresh->to = *to;
    fresh->size = size;
    fresh->bytes = fresh->segments = fresh->pieces = 0;
    *slot = fresh;
  }
  group *open = *slot;
  open->piece[open->pieces++] = (struct iovec){.iov_base = bytes, .iov_len = len};
  open->bytes += len;
  open->segments += segments;
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
      for (unsigned k = 0; k < answers; k++) gather(fd, &peers[i], data[i], len, size);
    }
    flush(fd);
  }
}
