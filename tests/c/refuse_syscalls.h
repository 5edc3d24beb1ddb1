/* refuse_syscalls.h: makes system calls fail, for this process and its children (seccomp(2)). */
#ifndef UDPR_TESTS_REFUSE_SYSCALLS_H
#define UDPR_TESTS_REFUSE_SYSCALLS_H

#include "check.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/syscall.h>

#ifndef SYS_epoll_pwait2
#define SYS_epoll_pwait2 441
#endif

enum { REFUSED_CALLS_MAX = 16 };

static inline void install_seccomp_filter(struct sock_filter *filter, unsigned short len) {
  struct sock_fprog program = {len, filter};
  CHECK_EQ(0, prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) SKIP("needs seccomp filters");
}

#ifdef SYS_socketcall
/* The number of the call in socketcall(2), which a C library may use instead; 0 if it has none. */
static inline unsigned socketcall_number(int call) {
  return call == SYS_recvmsg    ? 17
         : call == SYS_sendmsg  ? 16
         : call == SYS_recvmmsg ? 19
         : call == SYS_sendmmsg ? 20
         : call == SYS_socket   ? 1
                                : 0;
}

static inline void refuse_socketcall(unsigned subcall, int error) {
  const bool         little = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;
  struct sock_filter filter[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_socketcall, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args) + (little ? 0 : 4)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, subcall, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  install_seccomp_filter(filter, sizeof filter / sizeof *filter);
}
#endif

/* From now on these calls fail with `error`, in this thread and in those that it creates. */
static inline void refuse_syscalls(const int *calls, size_t count, int error) {
  CHECK(count <= REFUSED_CALLS_MAX);
  struct sock_filter filter[2 * REFUSED_CALLS_MAX + 2];
  unsigned short     len = 0;
  filter[len++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
  for (size_t i = 0; i < count; i++) {
    filter[len++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)calls[i], 0, 1);
    filter[len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error);
  }
  filter[len++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  install_seccomp_filter(filter, len);
#ifdef SYS_socketcall
  for (size_t i = 0; i < count; i++)
    if (socketcall_number(calls[i])) refuse_socketcall(socketcall_number(calls[i]), error);
#endif
}

/* A system call that the library can do without, with each number that it has on this architecture. */
typedef struct replaceable_syscall {
  const char *name;
  int         numbers[2];
  size_t      count;
} replaceable_syscall;

static const replaceable_syscall replaceable_syscalls[] = {
#ifdef SYS_recvmmsg_time64
    {"recvmmsg", {SYS_recvmmsg, SYS_recvmmsg_time64}, 2},
#else
    {"recvmmsg", {SYS_recvmmsg}, 1},
#endif
    {"sendmmsg", {SYS_sendmmsg}, 1},
    {"epoll_pwait2", {SYS_epoll_pwait2}, 1},
    {"eventfd2", {SYS_eventfd2}, 1},
    {"timerfd_create", {SYS_timerfd_create}, 1},
    {"madvise", {SYS_madvise}, 1},
    {"getrandom", {SYS_getrandom}, 1},
};

enum { REPLACEABLE_SYSCALLS = sizeof replaceable_syscalls / sizeof *replaceable_syscalls };

static inline void refuse_replaceable(const replaceable_syscall *call, int error) {
  refuse_syscalls(call->numbers, call->count, error);
}

static inline void refuse_all_replaceable(int error) {
  for (int i = 0; i < REPLACEABLE_SYSCALLS; i++) refuse_replaceable(&replaceable_syscalls[i], error);
}

/* Returns whether timerfd_create(2) succeeds. */
static inline bool timerfd_is_available(void) {
  long fd = syscall(SYS_timerfd_create, CLOCK_MONOTONIC, 0);
  if (fd < 0) return false;
  close((int)fd);
  return true;
}

#endif
