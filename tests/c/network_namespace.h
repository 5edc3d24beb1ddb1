/* network_namespace.h: a network namespace of the case's own, with nothing but a loopback device that is up.
 */
#ifndef UDPR_TESTS_NETWORK_NAMESPACE_H
#define UDPR_TESTS_NETWORK_NAMESPACE_H

#include "run_command.h"

#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>

#ifdef _WIN32
static inline void enter_network_namespace(void) {
  check_exit(CHECK_FAILED, "there are no network namespaces");
}
static inline void enter_unprivileged_network_namespace(void) { enter_network_namespace(); }
static inline void pin_to_current_core(void) {}
#else
static inline void enter_new_namespaces(int which) {
  if (unshare(which) != 0) SKIP("this kernel or container gives no network namespace");
  struct ifreq up = {.ifr_name = "lo", .ifr_flags = IFF_UP};
  int          fd = socket(AF_INET, SOCK_DGRAM, 0);
  CHECK_EQ(0, ioctl(fd, SIOCSIFFLAGS, &up));
  close(fd);
}

static inline void enter_network_namespace(void) {
  if (geteuid() != 0) SKIP("needs root for a network namespace");
  enter_new_namespaces(CLONE_NEWNET);
}

/* Also without root, if the kernel allows it. The process has no privilege over files and other processes there. */
static inline void enter_unprivileged_network_namespace(void) {
  enter_new_namespaces(geteuid() == 0 ? CLONE_NEWNET : CLONE_NEWUSER | CLONE_NEWNET);
}

/* The loopback keeps the order of datagrams only if they come from one CPU: whichever CPU runs the queueing
 * discipline, for a sender or for its timer, puts the next datagram into its own backlog (net/core/dev.c,
 * netif_rx).
 */
static inline void pin_to_current_core(void) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(sched_getcpu(), &one);
  CHECK_EQ(0, sched_setaffinity(0, sizeof one, &one));
}
#endif

/* Runs a command of iproute2 or nftables, which must succeed. Skips the case if the tool is not installed. */
__attribute__((format(printf, 2, 3))) static inline void run_network_tool(const char *tool,
                                                                          const char *format, ...) {
  char    line[200];
  va_list args;
  snprintf(line, sizeof line, "command -v %s >/dev/null", tool);
  if (system(line) != 0) SKIP("needs ip (iproute2) and nft (nftables)");
  va_start(args, format);
  int len = vsnprintf(line, sizeof line, format, args);
  va_end(args);
  CHECK(len >= 0 && (size_t)len < sizeof line);
  run_command("%s %s", tool, line);
}
#define run_ip(...) run_network_tool("ip", __VA_ARGS__)

#endif
