/* Look-ups in a forked child whose parent has as many look-up threads as a process may have. */
#include "lookup_dns.h"

static void find_localhost(void *unused) {
  (void)unused;
  udpr_reactor *reactor = new_reactor(0);
  lookup_expect_address(reactor, "localhost", UDPR_AF_INET, "127.0.0.1");
  OK(udpr_reactor_free(reactor));
}

static void find_localhost_after_fork(void *reactor) {
  OK(udpr_reactor_after_fork(reactor));
  lookup_expect_address(reactor, "localhost", UDPR_AF_INET, "127.0.0.1");
}

/* A forked child has none of the parent's look-up threads, and starts to count at zero. */
TEST(a_forked_child_has_its_own_thread_limit) {
  static hanging_lookups all;
  free_reactors_with_hanging_lookups(&all);
  WAIT_UNTIL(atomic_load(&all.fixture.dns.held_count) == MAX_THREADS_PER_PROCESS);
  run_in_killed_child(find_localhost, NULL);
  run_in_killed_child(find_localhost_after_fork, all.fixture.reactor);
  dns_answer_held(&all.fixture.dns);
  tear_down(&all.fixture);
}

CHECK_MAIN()
