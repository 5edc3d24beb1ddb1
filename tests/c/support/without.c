/* A library that is loaded into a test program (ld.so(8), LD_PRELOAD) and removes one feature of the kernel,
 * so that each C test also shows that udpr works without it. UDPR_TEST_WITHOUT names the feature:
 *
 *   gro      setsockopt does not know UDP_GRO: before Linux 5.0
 *   gso      UDP_SEGMENT is unknown: before Linux 4.18
 *   device   sending with UDP_SEGMENT fails with EIO: a device without checksum offload
 *   merging  sending with UDP_SEGMENT fails with EINVAL
 *   batches  sendmmsg sends one message
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

static bool without(const char *feature) {
  const char *name = getenv("UDPR_TEST_WITHOUT");
  return name && strcmp(name, feature) == 0;
}

static int fail(int error) {
  errno = error;
  return -1;
}

/* The function of the C library. ISO C cannot convert an object pointer to a function pointer. */
#define NEXT(function)                          \
  static __typeof__(function) *next;            \
  if (!next) {                                  \
    void *symbol = dlsym(RTLD_NEXT, #function); \
    memcpy(&next, &symbol, sizeof next);        \
  }

static bool is_unknown(int level, int name) {
  return level == IPPROTO_UDP &&
         ((name == UDP_GRO && without("gro")) || (name == UDP_SEGMENT && without("gso")));
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t len) {
  NEXT(setsockopt)
  return is_unknown(level, name) ? fail(ENOPROTOOPT) : next(fd, level, name, value, len);
}

int getsockopt(int fd, int level, int name, void *value, socklen_t *len) {
  NEXT(getsockopt)
  return is_unknown(level, name) ? fail(ENOPROTOOPT) : next(fd, level, name, value, len);
}

static bool is_merged(struct msghdr *message) {
  for (struct cmsghdr *item = CMSG_FIRSTHDR(message); item; item = CMSG_NXTHDR(message, item)) {
    if (item->cmsg_level == IPPROTO_UDP && item->cmsg_type == UDP_SEGMENT) return true;
  }
  return false;
}

int sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags) {
  NEXT(sendmmsg)
  unsigned good = 0;
  int      error = without("device") ? EIO : without("merging") ? EINVAL : 0;
  while (good < count && !(error && is_merged(&messages[good].msg_hdr))) good++;
  if (good == 0 && count > 0) return fail(error);
  return next(fd, messages, without("batches") ? 1 : good, flags);
}
