/* ipv6_address.h: adds an IPv6 address to a device, and waits until the host accepts datagrams for it.
 *
 * The kernel makes the route to a new address in a work queue, even with nodad (net/ipv6/addrconf.c, addrconf_dad_start).
 * Datagrams that arrive before that are dropped.
 */
#ifndef UDPR_TESTS_IPV6_ADDRESS_H
#define UDPR_TESTS_IPV6_ADDRESS_H

#include "check.h"

/* Without duplicate address detection, which takes two seconds. */
static inline void add_ipv6_address(const char *device, const char *address, int prefix) {
  char line[256];
  snprintf(line, sizeof line, "ip addr add %s/%d dev %s nodad", address, prefix, device);
  if (system(line) != 0) FAIL("failed: %s", line);
  snprintf(line, sizeof line, "until ip -6 route show table local | grep -q '^local %s dev %s '; do :; done",
           address, device);
  if (system(line) != 0) FAIL("failed: %s", line);
}

#endif
