/* slow_network.h: a network in which the send buffer of a socket fills up. On the loopback it does not, so
 * the case moves into a network namespace where a token bucket (tc tbf) lets 256 kbit/s through.
 */
#ifndef UDPR_TESTS_SLOW_NETWORK_H
#define UDPR_TESTS_SLOW_NETWORK_H

#include "network_namespace.h"

static inline void enter_slow_network(void) {
  enter_network_namespace();
  if (system("tc -V >/dev/null 2>&1") != 0) SKIP("needs tc (iproute2)");
  pin_to_current_core();
  if (system("tc qdisc add dev lo root tbf rate 256kbit burst 3kb limit 4mb 2>/dev/null") != 0)
    SKIP("this kernel has no tbf");
}

#endif
