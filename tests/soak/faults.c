/* Preloaded (ld.so(8), LD_PRELOAD), it makes one in UDPR_SOAK_FAULTS of the calls below, which udpr alone makes, fail as the
 * man pages allow. Nothing is done then, or of what sendmmsg was given the first message alone.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

static atomic_ullong calls, faults;
static atomic_bool   begun;

/* How many there were. The first call begins them. */
unsigned long long soak_faults(void);
unsigned long long soak_faults(void) {
  begun = true;
  return faults;
}

/* The errno of this call's fault, 0 for none: one of the `count` errors, in turn. */
static int fault(const int *errors, unsigned count) {
  static atomic_uint every;
  if (!begun) return 0;
  if (every == 0) every = getenv("UDPR_SOAK_FAULTS") ? (unsigned)atoi(getenv("UDPR_SOAK_FAULTS")) : 1000;
  /* Knuth's multiplicative hash: spread evenly, in no rhythm of the calls. */
  unsigned long long number = atomic_fetch_add(&calls, 1);
  if (number * UINT64_C(2654435761) % (UINT64_C(1) << 32) >= (UINT64_C(1) << 32) / every) return 0;
  return errors[atomic_fetch_add(&faults, 1) % count];
}

#define FAULT(...)                                                       \
  do {                                                                   \
    static const int errors[] = {__VA_ARGS__};                           \
    int              error = fault(errors, sizeof errors / sizeof(int)); \
    if (error) return errno = error, -1;                                 \
  } while (0)

/* The C library's own. ISO C has no way from an object pointer to a function's. */
#define NEXT(function)                          \
  static __typeof__(function) *next;            \
  if (!next) {                                  \
    void *symbol = dlsym(RTLD_NEXT, #function); \
    memcpy(&next, &symbol, sizeof next);        \
  }

int sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags) {
  NEXT(sendmmsg)
  static const int errors[] = {EINTR, EAGAIN, ENOBUFS, ENOMEM, EPERM, -1};
  int              error = fault(errors, 6);
  if (error > 0) return errno = error, -1;
  return next(fd, messages, error ? 1 : count, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags) {
  NEXT(sendmsg)
  FAULT(EINTR, EAGAIN, ENOBUFS, EPERM);
  return next(fd, message, flags);
}

int recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout) {
  NEXT(recvmmsg)
  FAULT(EINTR, EAGAIN, ENOMEM, ENOBUFS);
  return next(fd, messages, count, flags, timeout);
}

int epoll_wait(int fd, struct epoll_event *events, int count, int timeout) {
  NEXT(epoll_wait)
  FAULT(EINTR);
  return next(fd, events, count, timeout);
}

int epoll_ctl(int fd, int what, int other, struct epoll_event *event) {
  NEXT(epoll_ctl)
  if (what == EPOLL_CTL_ADD) FAULT(ENOMEM, ENOSPC);
  return next(fd, what, other, event);
}

int connect(int fd, __CONST_SOCKADDR_ARG address, socklen_t len) {
  NEXT(connect)
  FAULT(ENOMEM, EINTR);
  return next(fd, address, len);
}
