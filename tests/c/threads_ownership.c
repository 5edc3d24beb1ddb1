/* Threads that ask for one reactor until they are let in: nothing but its own check keeps them apart. */
#include "check.h"

#include <sched.h>

enum { THREADS = 3 };

typedef struct shared {
  udpr_reactor *reactor;
  unsigned      each, calls; /* no atomics and no lock: whoever is in has it alone */
} shared;

static unsigned turns_each(void) { return check_seconds() > 60 ? 2000 : 20000; }

static void count_call(udpr_reactor *reactor, void *user) {
  shared *all = user;
  all->calls++;
  OK(udpr_reactor_call_later(reactor, 0, count_call, all, NULL, NULL));
}

static void take_turns(void *arg) {
  shared *all = arg;
  for (unsigned turn = 0; turn < all->each; turn++) {
    udpr_status status;
    while ((status = udpr_reactor_iterate(all->reactor, 0)) == UDPR_E_WRONG_THREAD) sched_yield();
    OK(status);
  }
}

/* Each turn has one call, which makes that of the next. */
TEST(whoever_is_let_in_has_it_alone) {
  check_thread threads[THREADS];
  shared       all = {.reactor = new_reactor(0), .each = turns_each()};
  OK(udpr_reactor_call_later(all.reactor, 0, count_call, &all, NULL, NULL));
  for (int i = 0; i < THREADS; i++) thread_start(&threads[i], take_turns, &all);
  for (int i = 0; i < THREADS; i++) thread_join(&threads[i]);
  CHECK_EQ(THREADS * all.each, all.calls);
  OK(udpr_reactor_free(all.reactor));
}

CHECK_MAIN()
