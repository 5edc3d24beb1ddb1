/* A library for LD_PRELOAD (ld.so(8)): one in UDPR_SOAK_FAULTS of udpr's system calls fails, with an error that its man page
 * allows. A failing call does nothing; or sendmmsg and recvmmsg process only one message. Calls of the program itself and of
 * the C library are not changed.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { ONE_MESSAGE = -1 };

static atomic_ullong calls, faults;
static atomic_bool   begun;
static uintptr_t     udpr_begin, udpr_end; /* the library's code */
static unsigned      interval;

static int find_udpr(struct dl_phdr_info *object, size_t size, void *unused) {
  (void)size, (void)unused;
  if (!strstr(object->dlpi_name, "libudpr.")) return 0;
  for (int i = 0; i < object->dlpi_phnum; i++) {
    const ElfW(Phdr) *part = &object->dlpi_phdr[i];
    if (part->p_type != PT_LOAD || !(part->p_flags & PF_X)) continue;
    udpr_begin = object->dlpi_addr + part->p_vaddr;
    udpr_end = udpr_begin + part->p_memsz;
  }
  return 1;
}

/* Returns the number of injected faults. The first call begins the injection. */
unsigned long long soak_faults(void);
unsigned long long soak_faults(void) {
  if (!begun) {
    const char *text = getenv("UDPR_SOAK_FAULTS");
    interval = text ? (unsigned)atoi(text) : 1000;
    dl_iterate_phdr(find_udpr, NULL);
    begun = true;
  }
  return faults;
}

/* splitmix64. Random, so that successive calls may fail, and any sequence of calls may succeed. */
static uint64_t random_of(uint64_t number) {
  number = (number + 1) * UINT64_C(0x9e3779b97f4a7c15);
  number = (number ^ number >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
  number = (number ^ number >> 27) * UINT64_C(0x94d049bb133111eb);
  return number ^ number >> 31;
}

/* Returns 0 if this call from `caller` does not fail, otherwise the next of the `count` errors. */
static int fault(const void *caller, const int *errors, unsigned count) {
  if (!begun || (uintptr_t)caller < udpr_begin || (uintptr_t)caller >= udpr_end) return 0;
  if (random_of(atomic_fetch_add(&calls, 1)) % interval != 0) return 0;
  return errors[atomic_fetch_add(&faults, 1) % count];
}

#define ANY_OF(...)                                                                             \
  fault(__builtin_extract_return_addr(__builtin_return_address(0)), (const int[]){__VA_ARGS__}, \
        sizeof((const int[]){__VA_ARGS__}) / sizeof(int))

#define FAULT(...)                       \
  do {                                   \
    int error = ANY_OF(__VA_ARGS__);     \
    if (error) return errno = error, -1; \
  } while (0)

/* Declares `next`, the C library's function. ISO C has no conversion from an object pointer to a function pointer. */
#define NEXT(function)                          \
  static __typeof__(function) *next;            \
  if (!next) {                                  \
    void *symbol = dlsym(RTLD_NEXT, #function); \
    memcpy(&next, &symbol, sizeof next);        \
  }

/* ---- datagrams ----------------------------------------------------------------------------------------- */

int sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags) {
  NEXT(sendmmsg)
  int error = ANY_OF(EINTR, EAGAIN, ENOBUFS, ENOMEM, EPERM, ONE_MESSAGE);
  if (error > 0) return errno = error, -1;
  return next(fd, messages, error ? 1 : count, flags);
}

int recvmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags, struct timespec *timeout) {
  NEXT(recvmmsg)
  int error = ANY_OF(EINTR, EAGAIN, ENOMEM, ENOBUFS, ONE_MESSAGE);
  if (error > 0) return errno = error, -1;
  return next(fd, messages, error ? 1 : count, flags, timeout);
}

ssize_t recvmsg(int fd, struct msghdr *message, int flags) { /* the error queue */
  NEXT(recvmsg)
  FAULT(EINTR, EAGAIN, ENOMEM);
  return next(fd, message, flags);
}

ssize_t recv(int fd, void *data, size_t len, int flags) { /* notices of changes of interfaces */
  NEXT(recv)
  FAULT(EINTR, EAGAIN, ENOMEM, ENOBUFS);
  return next(fd, data, len, flags);
}

/* ---- sockets ------------------------------------------------------------------------------------------- */

int socket(int family, int type, int protocol) {
  NEXT(socket)
  FAULT(EMFILE, ENFILE, ENOBUFS, ENOMEM);
  return next(family, type, protocol);
}

int bind(int fd, __CONST_SOCKADDR_ARG address, socklen_t len) {
  NEXT(bind)
  FAULT(EADDRINUSE, ENOMEM);
  return next(fd, address, len);
}

int connect(int fd, __CONST_SOCKADDR_ARG address, socklen_t len) {
  NEXT(connect)
  FAULT(ENOMEM, EINTR);
  return next(fd, address, len);
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t len) {
  NEXT(setsockopt)
  FAULT(ENOBUFS, ENOMEM);
  return next(fd, level, name, value, len);
}

int fcntl(int fd, int what, ...) {
  NEXT(fcntl)
  va_list rest;
  va_start(rest, what);
  void *argument = va_arg(rest, void *);
  va_end(rest);
  if (what == F_DUPFD_CLOEXEC) FAULT(EMFILE);
  return next(fd, what, argument);
}

/* ---- threads and waiting ------------------------------------------------------------------------------------------- */

int pthread_create(pthread_t *out, const pthread_attr_t *attributes, void *(*body)(void *), void *arg) {
  NEXT(pthread_create)
  int error = ANY_OF(EAGAIN);
  return error ? error : next(out, attributes, body, arg);
}

int epoll_ctl(int fd, int what, int other, struct epoll_event *event) {
  NEXT(epoll_ctl)
  if (what == EPOLL_CTL_ADD) FAULT(ENOMEM, ENOSPC);
  return next(fd, what, other, event);
}

/* Used for epoll_pwait2, which not every C library has. */
long syscall(long number, ...) {
  NEXT(syscall)
  va_list rest;
  va_start(rest, number);
  long a = va_arg(rest, long), b = va_arg(rest, long), c = va_arg(rest, long), d = va_arg(rest, long),
       e = va_arg(rest, long), f = va_arg(rest, long);
  va_end(rest);
  if (number == SYS_epoll_pwait2) FAULT(EINTR);
  return next(number, a, b, c, d, e, f);
}
