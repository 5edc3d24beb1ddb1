/* Several threads run turns of one reactor, retrying until they get in. Only the reactor's own check excludes
 * them from each other.
 */
#include "check.h"

#include <sched.h>

enum { THREADS = 3 };

typedef struct shared {
  udpr_reactor *reactor;
  unsigned      turns, calls; /* neither atomic nor locked, since only one thread is inside */
} shared;

static unsigned turns_per_thread(void) { return check_seconds() > 60 ? 2000 : 20000; }

static void count_call(udpr_reactor *reactor, void *user) {
  shared *all = user;
  all->calls++;
  OK(udpr_reactor_call_later(reactor, 0, count_call, all, NULL, NULL));
}

static void run_all_turns(void *arg) {
  shared *all = arg;
  for (unsigned turn = 0; turn < all->turns; turn++) {
    udpr_status status;
    while ((status = udpr_reactor_iterate(all->reactor, 0)) == UDPR_E_WRONG_THREAD) sched_yield();
    OK(status);
  }
}

/* Each turn makes one call, which schedules that of the next turn. */
TEST(only_one_thread_at_a_time_enters_the_reactor) {
  check_thread threads[THREADS];
  shared       all = {.reactor = new_reactor(0), .turns = turns_per_thread()};
  OK(udpr_reactor_call_later(all.reactor, 0, count_call, &all, NULL, NULL));
  for (int i = 0; i < THREADS; i++) thread_start(&threads[i], run_all_turns, &all);
  for (int i = 0; i < THREADS; i++) thread_join(&threads[i]);
  CHECK_EQ(THREADS * all.turns, all.calls);
  OK(udpr_reactor_free(all.reactor));
}

CHECK_MAIN()
