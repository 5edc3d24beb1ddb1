/* Look-ups in a forked child, whose parent has as many threads for them as a process may have. */
#include "lookup_dns.h"

static void find_localhost(void *unused) {
  (void)unused;
  udpr_reactor *reactor = new_reactor(0);
  look_up_finds(reactor, "localhost", UDPR_AF_INET, "127.0.0.1");
  OK(udpr_reactor_free(reactor));
}

static void find_localhost_after_fork(void *reactor) {
  OK(udpr_reactor_after_fork(reactor));
  look_up_finds(reactor, "localhost", UDPR_AF_INET, "127.0.0.1");
}

/* A forked child has none of the threads, and none of the count. */
TEST(a_forked_child_has_threads_of_its_own) {
  static crowd all;
  leave_threads_behind(&all);
  AWAIT(atomic_load(&all.here.dns.held) == PER_PROCESS);
  in_killed_child(find_localhost, NULL);
  in_killed_child(find_localhost_after_fork, all.here.reactor);
  dns_release(&all.here.dns);
  tear_down(&all.here);
}

CHECK_MAIN()
