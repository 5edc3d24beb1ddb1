/* lookup_dns.h: look-ups in a system of the test's own, with its DNS server. */
#ifndef UDPR_TESTS_LOOKUP_DNS_H
#define UDPR_TESTS_LOOKUP_DNS_H

#include "fake_dns.h"
#include "lookup.h"

#define HOSTS                                                       \
  "127.0.0.1 localhost four.test _under_score.test\n::1 six.test\n" \
  "127.0.0.5 both.test\n127.0.0.9 both.test\n::1 both.test\n192.0.2.9 both.test\n"

typedef struct system_here {
  fake_dns      dns;
  udpr_reactor *reactor;
} system_here;

static inline void set_up(system_here *here, uint32_t pool_size) {
  enter_own_system(HOSTS);
  dns_start(&here->dns);
  here->reactor = lookup_reactor(pool_size);
}

static inline void tear_down(system_here *here) {
  lookup_end(here->reactor);
  dns_stop(&here->dns);
}

/* Begun, and asked for at the server, which says nothing. */
static inline void hang(system_here *here, udpr_ns timeout, lookup *one) {
  int before = atomic_load(&here->dns.held);
  look_up(here->reactor, "hang.test", UDPR_AF_INET, timeout, one);
  AWAIT(atomic_load(&here->dns.held) > before);
}

#endif
