/* ipv6_address.h: adds an IPv6 address to a device, and waits until the host accepts datagrams for it.
 *
 * The kernel makes the route to a new address in a work queue, even with nodad (net/ipv6/addrconf.c, addrconf_dad_start).
 * Datagrams that arrive before that are dropped.
 */
#ifndef UDPR_TESTS_IPV6_ADDRESS_H
#define UDPR_TESTS_IPV6_ADDRESS_H

#include "run_command.h"

/* Without duplicate address detection, which takes two seconds. */
static inline void add_ipv6_address(const char *device, const char *address, int prefix) {
  run_command("ip addr add %s/%d dev %s nodad", address, prefix, device);
  run_command("until ip -6 route show table local | grep -q '^local %s dev %s '; do :; done", address,
              device);
}

#endif
