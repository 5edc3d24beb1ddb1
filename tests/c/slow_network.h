/* slow_network.h: where a socket fills. That of a loopback never does, so the case moves into a network
 * namespace of its own, where a token bucket (tc tbf) lets 256 kbit/s through.
 */
#ifndef UDPR_TESTS_SLOW_NETWORK_H
#define UDPR_TESTS_SLOW_NETWORK_H

#include "check.h"

#include <net/if.h>
#include <sched.h>
#include <sys/ioctl.h>

static inline void enter_slow_network(void) {
  if (geteuid() != 0) SKIP("needs root for a network namespace");
  if (system("tc -V >/dev/null 2>&1") != 0) SKIP("needs tc (iproute2)");
  if (unshare(CLONE_NEWNET) != 0) SKIP("this kernel or container gives no network namespace");
  struct ifreq up = {.ifr_name = "lo", .ifr_flags = IFF_UP};
  int          fd = socket(AF_INET, SOCK_DGRAM, 0);
  CHECK_EQ(0, ioctl(fd, SIOCSIFFLAGS, &up));
  close(fd);
  if (system("tc qdisc add dev lo root tbf rate 256kbit burst 3kb limit 4mb 2>/dev/null") != 0)
    SKIP("this kernel has no tbf");
}

#endif
