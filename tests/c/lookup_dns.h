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

/* src/resolver */
enum { UNDER_WAY = 16, PER_REACTOR = 32, PER_PROCESS = 64 };

typedef struct crowd {
  system_here here;
  lookup      hanging[2 * PER_PROCESS];
} crowd;

/* Reactors that are freed while their look-ups hang: together they leave as many threads behind as a process may have. */
static inline void leave_threads_behind(crowd *all) {
  set_up(&all->here, 0);
  for (int i = 0; i < 2 * PER_PROCESS; i += UNDER_WAY) {
    udpr_reactor *reactor = new_reactor(0);
    for (int k = 0; k < UNDER_WAY; k++) look_up(reactor, "hang.test", UDPR_AF_INET, 0, &all->hanging[i + k]);
    OK(udpr_reactor_free(reactor));
  }
  CHECK_EQ(PER_PROCESS, threads_here() - lookup_others);
  for (int i = 0; i < 2 * PER_PROCESS; i++) CHECK(all->hanging[i].calls == 0 && all->hanging[i].freed == 1);
}

#endif
