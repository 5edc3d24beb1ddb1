/* network_namespace.h: a network namespace of the case's own, with nothing but a loopback device that is up.
 */
#ifndef UDPR_TESTS_NETWORK_NAMESPACE_H
#define UDPR_TESTS_NETWORK_NAMESPACE_H

#include "check.h"

#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>

static inline void enter_network_namespace(void) {
  if (geteuid() != 0) SKIP("needs root for a network namespace");
  if (unshare(CLONE_NEWNET) != 0) SKIP("this kernel or container gives no network namespace");
  struct ifreq up = {.ifr_name = "lo", .ifr_flags = IFF_UP};
  int          fd = socket(AF_INET, SOCK_DGRAM, 0);
  CHECK_EQ(0, ioctl(fd, SIOCSIFFLAGS, &up));
  close(fd);
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

/* Runs a command of iproute2 or nftables, which must succeed. Skips the case if the tool is not installed. */
static inline void run_network_tool(const char *tool, const char *arguments) {
  char command[256];
  snprintf(command, sizeof command, "command -v %s >/dev/null", tool);
  if (system(command) != 0) SKIP("needs ip (iproute2) and nft (nftables)");
  snprintf(command, sizeof command, "%s %s", tool, arguments);
  if (system(command) != 0) FAIL("failed: %s", command);
}

#endif
