/* lookups.h: look-ups that succeed, fail, are cancelled, or time out. The names come from a DNS server of the test (fake_dns.h). */
#ifndef UDPR_SOAK_LOOKUPS_H
#define UDPR_SOAK_LOOKUPS_H

#include "soak.h"

enum { PENDING_LOOKUPS = 8 };
#define HOSTS "127.0.0.1 localhost\n192.0.2.7 host.soak\n"

static const struct query {
  const char *name;
  uint16_t    family;
  udpr_ns     timeout;
  udpr_status expected;
} queries[] = {
    {"host.soak", UDPR_AF_INET, 0, UDPR_OK},
    {"localhost", UDPR_AF_INET, 0, UDPR_OK},
    {"ok.soak", UDPR_AF_UNSPEC, 0, UDPR_OK},
    {"six.soak", UDPR_AF_INET6, 0, UDPR_OK},
    {"127.0.0.1", UDPR_AF_UNSPEC, 0, UDPR_OK},
    {"::1", UDPR_AF_INET, 0, UDPR_E_ADDRESS_FAMILY},
    {"nx.soak", UDPR_AF_UNSPEC, 0, UDPR_E_NAME_NOT_FOUND},
    {"fail.soak", UDPR_AF_UNSPEC, 0, UDPR_E_NAME_TRY_AGAIN},
    {"ok.soak", UDPR_AF_UNSPEC, 1, UDPR_E_TIMED_OUT},
};
enum { QUERIES = sizeof queries / sizeof *queries };

typedef struct lookup {
  const struct query *query;
  bool                cancelled;
} lookup;

static uint64_t lookups_pending, lookups_done;

static void resolved(udpr_reactor *reactor, udpr_id id, udpr_status status, const udpr_addr *addrs,
                     size_t count, void *user) {
  (void)reactor, (void)id, (void)addrs;
  const lookup *self = user;
  CHECK_STATUS(self->cancelled ? UDPR_E_CANCELLED : self->query->expected, status);
  CHECK_EQ(status == UDPR_OK, count > 0);
  lookups_pending--, lookups_done++;
}

static void start_lookup(void) {
  udpr_id id = 0;
  lookup *one = new_registration(sizeof *one);
  one->query = &queries[random_below(QUERIES)];
  lookups_pending++;
  if (!OK_OR_INJECTED(udpr_reactor_resolve(soak.reactor, one->query->name, 53, one->query->family,
                                           one->query->timeout, resolved, one, free_registration, &id))) {
    lookups_pending--;
  } else if (random_below(8) == 0) {
    OK(udpr_reactor_cancel_resolve(soak.reactor, id));
    one->cancelled = true;
  }
}

static void lookups_begin(void) {}

static void lookups_tick(void) {
  while (!soak.ending && lookups_pending < PENDING_LOOKUPS) start_lookup();
}

static bool lookups_settled(void) { return lookups_pending == 0; }

static void lookups_end(void) {}

static const load lookups_load = {"look-ups",   &lookups_done,   lookups_begin,
                                  lookups_tick, lookups_settled, lookups_end};

#endif
