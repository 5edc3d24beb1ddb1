/* The threads of look-ups: apart from the pool, bounded by reactor and by process, and given up with their look-ups. */
#include "lookup_dns.h"

/* ---- beside work --------------------------------------------------------------------------------------- */

TEST(look_ups_hold_up_no_work) {
  enum { COUNT = 2 * UNDER_WAY };
  system_here here;
  lookup      hanging[COUNT] = {{0}};
  job         work = {0};
  set_up(&here, 1);
  for (int i = 0; i < COUNT; i++) look_up(here.reactor, "hang.test", UDPR_AF_INET, 0, &hanging[i]);
  AWAIT(atomic_load(&here.dns.held) == UNDER_WAY);
  put(here.reactor, &work);
  RUN_UNTIL(here.reactor, work.freed);
  CHECK_EQ(UNDER_WAY, here.dns.held);
  dns_release(&here.dns); /* the others begin, and hang in their turn */
  RUN_UNTIL(here.reactor, atomic_load(&here.dns.held) == COUNT);
  dns_release(&here.dns);
  for (int i = 0; i < COUNT; i++) answered(UDPR_OK, here.reactor, &hanging[i]);
  tear_down(&here);
}

TEST(work_holds_up_no_look_ups) {
  system_here here;
  sem_t       gate;
  job         busy = {.gate = &gate};
  CHECK_EQ(0, sem_init(&gate, 0, 0));
  set_up(&here, 1);
  put(here.reactor, &busy);
  AWAIT(busy.began);
  look_up_finds(here.reactor, "ok.test", UDPR_AF_INET, "192.0.2.1");
  CHECK_EQ(0, sem_post(&gate));
  RUN_UNTIL(here.reactor, busy.freed);
  tear_down(&here);
  sem_destroy(&gate);
}

/* ---- given up ------------------------------------------------------------------------------------------ */

/* As many as may be under way hang, and have timed out or were cancelled: the next one finds its name at once. */
static void dead_ones_hold_nothing(bool cancel) {
  system_here here;
  lookup      dead[UNDER_WAY] = {{0}};
  set_up(&here, 0);
  for (int i = 0; i < UNDER_WAY; i++) hang(&here, cancel ? 0 : MS(100), &dead[i]);
  for (int i = 0; cancel && i < UNDER_WAY; i++) OK(udpr_reactor_cancel_resolve(here.reactor, dead[i].id));
  for (int i = 0; i < UNDER_WAY; i++)
    answered(cancel ? UDPR_E_CANCELLED : UDPR_E_TIMED_OUT, here.reactor, &dead[i]);
  for (int i = 0; i < 3; i++) look_up_finds(here.reactor, "ok.test", UDPR_AF_INET, "192.0.2.1");
  dns_release(&here.dns);
  tear_down(&here);
  for (int i = 0; i < UNDER_WAY; i++) CHECK(dead[i].calls == 1 && dead[i].freed == 1);
}

TEST(what_has_timed_out_holds_nothing) { dead_ones_hold_nothing(false); }
TEST(what_was_cancelled_holds_nothing) { dead_ones_hold_nothing(true); }

/* What was given up before it began never begins. */
TEST(what_was_given_up_leaves_the_queue) {
  enum { COUNT = 500 };
  system_here   here;
  lookup        hanging[UNDER_WAY] = {{0}};
  static lookup dead[COUNT];
  set_up(&here, 0);
  for (int i = 0; i < UNDER_WAY; i++) hang(&here, 0, &hanging[i]);
  for (int i = 0; i < COUNT; i++) {
    look_up(here.reactor, "nx.test", UDPR_AF_INET, i % 2 ? 0 : MS(1), &dead[i]);
    if (i % 2) OK(udpr_reactor_cancel_resolve(here.reactor, dead[i].id));
  }
  for (int i = 0; i < COUNT; i++)
    answered(i % 2 ? UDPR_E_CANCELLED : UDPR_E_TIMED_OUT, here.reactor, &dead[i]);
  dns_release(&here.dns);
  for (int i = 0; i < UNDER_WAY; i++) answered(UDPR_OK, here.reactor, &hanging[i]);
  look_up_finds(here.reactor, "ok.test", UDPR_AF_INET, "192.0.2.1");
  CHECK_EQ(UNDER_WAY + 1, here.dns.queries);
  tear_down(&here);
}

/* A burst of dead ones does not use up the threads: a name is still found soon, not when the system gives up. */
TEST(a_burst_of_dead_ones_leaves_threads) {
  enum { COUNT = 200 };
  system_here   here;
  static lookup dead[COUNT];
  set_up(&here, 0);
  for (int i = 0; i < COUNT; i++) {
    look_up(here.reactor, "hang.test", UDPR_AF_INET, 0, &dead[i]);
    OK(udpr_reactor_cancel_resolve(here.reactor, dead[i].id));
  }
  CHECK(threads_here() - lookup_others - 1 <= PER_REACTOR);
  look_up_finds(here.reactor, "ok.test", UDPR_AF_INET, "192.0.2.1");
  for (int i = 0; i < COUNT; i++) CHECK(dead[i].calls == 1 && dead[i].status == UDPR_E_CANCELLED);
  AWAIT(atomic_load(&here.dns.held) >= UNDER_WAY);
  do dns_release(&here.dns);
  while (threads_here() > lookup_others && sched_yield() == 0);
  tear_down(&here);
}

/* ---- of a process -------------------------------------------------------------------------------------- */

TEST(freed_reactors_leave_no_more_threads_than_a_process_may_have) {
  static crowd all;
  lookup       name = {0};
  int64_t      timeout;
  leave_threads_behind(&all);
  look_up(all.here.reactor, "localhost", UDPR_AF_INET, 0, &name);
  turns(all.here.reactor, 5);
  CHECK_EQ(0, name.calls); /* it waits for one of them to end */
  OK(udpr_reactor_next_timeout(all.here.reactor, &timeout));
  CHECK(timeout >= 0 && timeout <= (int64_t)MS(20));
  AWAIT(atomic_load(&all.here.dns.held) == PER_PROCESS);
  dns_release(&all.here.dns);
  answered(UDPR_OK, all.here.reactor, &name);
  tear_down(&all.here);
}

CHECK_MAIN()
