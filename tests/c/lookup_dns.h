/* lookup_dns.h: look-ups at a DNS server of the case's own (fake_dns.h). */
#ifndef UDPR_TESTS_LOOKUP_DNS_H
#define UDPR_TESTS_LOOKUP_DNS_H

#include "fake_dns.h"
#include "lookup.h"

#define HOSTS_FILE                                                  \
  "127.0.0.1 localhost four.test _under_score.test\n::1 six.test\n" \
  "127.0.0.5 both.test\n127.0.0.9 both.test\n::1 both.test\n192.0.2.9 both.test\n"

typedef struct dns_fixture {
  fake_dns      dns;
  udpr_reactor *reactor;
} dns_fixture;

static inline void set_up(dns_fixture *fixture, uint32_t pool_size) {
  enter_dns_namespace(HOSTS_FILE);
  dns_start(&fixture->dns);
  fixture->reactor = new_lookup_reactor(pool_size);
}

static inline void tear_down(dns_fixture *fixture) {
  free_lookup_reactor(fixture->reactor);
  dns_stop(&fixture->dns);
}

/* Returns when the query has arrived at the server, which does not reply to it. */
static inline void start_hanging_lookup(dns_fixture *fixture, udpr_ns timeout, lookup *one) {
  int before = atomic_load(&fixture->dns.held_count);
  lookup_start(fixture->reactor, "hang.test", UDPR_AF_INET, timeout, one);
  WAIT_UNTIL(atomic_load(&fixture->dns.held_count) > before);
}

/* The limits of src/resolver. */
enum { MAX_PENDING_PER_REACTOR = 16, MAX_THREADS_PER_REACTOR = 32, MAX_THREADS_PER_PROCESS = 64 };

typedef struct hanging_lookups {
  dns_fixture fixture;
  lookup      hanging[2 * MAX_THREADS_PER_PROCESS];
} hanging_lookups;

/* Frees reactors while their look-ups hang. Together they leave behind as many threads as one process may
 * have.
 */
static inline void free_reactors_with_hanging_lookups(hanging_lookups *all) {
  set_up(&all->fixture, 0);
  for (int i = 0; i < 2 * MAX_THREADS_PER_PROCESS; i += MAX_PENDING_PER_REACTOR) {
    udpr_reactor *reactor = new_reactor(0);
    for (int k = 0; k < MAX_PENDING_PER_REACTOR; k++)
      lookup_start(reactor, "hang.test", UDPR_AF_INET, 0, &all->hanging[i + k]);
    OK(udpr_reactor_free(reactor));
  }
  CHECK_EQ(MAX_THREADS_PER_PROCESS, count_threads() - lookup_other_threads);
  for (int i = 0; i < 2 * MAX_THREADS_PER_PROCESS; i++)
    CHECK(all->hanging[i].calls == 0 && all->hanging[i].freed == 1);
}

#endif
