/* timers_udpr: udpr_reactor_call_later and udpr_reactor_cancel_call. */
#include "timers.h"

#include <udpr/udpr.h>

static udpr_reactor *reactor;
static udpr_id      *ids;

static void prepare(void) {
  ids = calloc(count, sizeof *ids);
  if (ids == NULL || udpr_reactor_new(NULL, &reactor) != UDPR_OK) exit(EXIT_FAILURE);
}

static void called(udpr_reactor *caller, void *user) {
  (void)user;
  if (++fired == count) udpr_reactor_stop(caller);
}

static void insert(unsigned i, unsigned delay) {
  udpr_reactor_call_later(reactor, delay * UINT64_C(1000000), called, NULL, NULL, &ids[i]);
}

static void cancel(unsigned i) { udpr_reactor_cancel_call(reactor, ids[i]); }

static void fire(void) { udpr_reactor_run(reactor); }
