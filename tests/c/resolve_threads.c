/* The threads of look-ups: separate from the thread pool, limited by reactor and by process, and free again
 * when their look-ups are abandoned.
 */
#include "lookup_dns.h"

/* ---- look-ups and work --------------------------------------------------------------------------------- */

TEST(look_ups_do_not_block_work) {
  enum { COUNT = 2 * MAX_PENDING_PER_REACTOR };
  dns_fixture fixture;
  lookup      hanging[COUNT] = {{0}};
  job         work = {0};
  set_up(&fixture, 1);
  for (int i = 0; i < COUNT; i++) lookup_start(fixture.reactor, "hang.test", UDPR_AF_INET, 0, &hanging[i]);
  WAIT_UNTIL(atomic_load(&fixture.dns.held_count) == MAX_PENDING_PER_REACTOR);
  job_submit(fixture.reactor, &work);
  RUN_UNTIL(fixture.reactor, work.freed);
  CHECK_EQ(MAX_PENDING_PER_REACTOR, fixture.dns.held_count);
  dns_answer_held(&fixture.dns); /* the other look-ups start, and hang as well */
  RUN_UNTIL(fixture.reactor, atomic_load(&fixture.dns.held_count) == COUNT);
  dns_answer_held(&fixture.dns);
  for (int i = 0; i < COUNT; i++) lookup_expect_status(UDPR_OK, fixture.reactor, &hanging[i]);
  tear_down(&fixture);
}

TEST(work_does_not_block_look_ups) {
  dns_fixture fixture;
  sem_t       may_finish;
  job         busy = {.may_finish = &may_finish};
  CHECK_EQ(0, sem_init(&may_finish, 0, 0));
  set_up(&fixture, 1);
  job_submit(fixture.reactor, &busy);
  WAIT_UNTIL(busy.began);
  lookup_expect_address(fixture.reactor, "ok.test", UDPR_AF_INET, "192.0.2.1");
  CHECK_EQ(0, sem_post(&may_finish));
  RUN_UNTIL(fixture.reactor, busy.freed);
  tear_down(&fixture);
  sem_destroy(&may_finish);
}

/* ---- abandoned look-ups -------------------------------------------------------------------------------- */

/* The maximum number of look-ups hangs, and they have timed out or were cancelled. The next look-up must
 * succeed at once.
 */
static void check_abandoned_block_nothing(bool cancel) {
  dns_fixture fixture;
  lookup      abandoned[MAX_PENDING_PER_REACTOR] = {{0}};
  set_up(&fixture, 0);
  for (int i = 0; i < MAX_PENDING_PER_REACTOR; i++)
    start_hanging_lookup(&fixture, cancel ? 0 : MS(100), &abandoned[i]);
  for (int i = 0; cancel && i < MAX_PENDING_PER_REACTOR; i++)
    OK(udpr_reactor_cancel_resolve(fixture.reactor, abandoned[i].id));
  for (int i = 0; i < MAX_PENDING_PER_REACTOR; i++)
    lookup_expect_status(cancel ? UDPR_E_CANCELLED : UDPR_E_TIMED_OUT, fixture.reactor, &abandoned[i]);
  for (int i = 0; i < 3; i++) lookup_expect_address(fixture.reactor, "ok.test", UDPR_AF_INET, "192.0.2.1");
  dns_answer_held(&fixture.dns);
  tear_down(&fixture);
  for (int i = 0; i < MAX_PENDING_PER_REACTOR; i++) CHECK(abandoned[i].calls == 1 && abandoned[i].freed == 1);
}

TEST(timed_out_look_ups_block_nothing) { check_abandoned_block_nothing(false); }
TEST(cancelled_look_ups_block_nothing) { check_abandoned_block_nothing(true); }

/* A look-up that is abandoned before it has started never starts. */
TEST(abandoned_look_ups_leave_the_queue) {
  enum { COUNT = 500 };
  dns_fixture   fixture;
  lookup        hanging[MAX_PENDING_PER_REACTOR] = {{0}};
  static lookup abandoned[COUNT];
  set_up(&fixture, 0);
  for (int i = 0; i < MAX_PENDING_PER_REACTOR; i++) start_hanging_lookup(&fixture, 0, &hanging[i]);
  for (int i = 0; i < COUNT; i++) {
    lookup_start(fixture.reactor, "nx.test", UDPR_AF_INET, i % 2 ? 0 : MS(1), &abandoned[i]);
    if (i % 2) OK(udpr_reactor_cancel_resolve(fixture.reactor, abandoned[i].id));
  }
  for (int i = 0; i < COUNT; i++)
    lookup_expect_status(i % 2 ? UDPR_E_CANCELLED : UDPR_E_TIMED_OUT, fixture.reactor, &abandoned[i]);
  dns_answer_held(&fixture.dns);
  for (int i = 0; i < MAX_PENDING_PER_REACTOR; i++)
    lookup_expect_status(UDPR_OK, fixture.reactor, &hanging[i]);
  lookup_expect_address(fixture.reactor, "ok.test", UDPR_AF_INET, "192.0.2.1");
  CHECK_EQ(MAX_PENDING_PER_REACTOR + 1, fixture.dns.queries);
  tear_down(&fixture);
}

/* A burst of cancelled look-ups must not use up the threads: the next look-up succeeds soon, not after the
 * resolver's timeout.
 */
TEST(a_burst_of_cancelled_look_ups_leaves_threads_free) {
  enum { COUNT = 200 };
  dns_fixture   fixture;
  static lookup abandoned[COUNT];
  set_up(&fixture, 0);
  for (int i = 0; i < COUNT; i++) {
    lookup_start(fixture.reactor, "hang.test", UDPR_AF_INET, 0, &abandoned[i]);
    OK(udpr_reactor_cancel_resolve(fixture.reactor, abandoned[i].id));
  }
  CHECK(count_threads() - lookup_other_threads - 1 <= MAX_THREADS_PER_REACTOR);
  lookup_expect_address(fixture.reactor, "ok.test", UDPR_AF_INET, "192.0.2.1");
  for (int i = 0; i < COUNT; i++) CHECK(abandoned[i].calls == 1 && abandoned[i].status == UDPR_E_CANCELLED);
  WAIT_UNTIL(atomic_load(&fixture.dns.held_count) >= MAX_PENDING_PER_REACTOR);
  do dns_answer_held(&fixture.dns);
  while (count_threads() > lookup_other_threads && sched_yield() == 0);
  tear_down(&fixture);
}

/* ---- the limit of the process -------------------------------------------------------------------------- */

TEST(threads_left_by_freed_reactors_are_limited) {
  static hanging_lookups all;
  lookup                 name = {0};
  int64_t                timeout;
  free_reactors_with_hanging_lookups(&all);
  lookup_start(all.fixture.reactor, "localhost", UDPR_AF_INET, 0, &name);
  run_turns(all.fixture.reactor, 5);
  CHECK_EQ(0, name.calls); /* it waits until one of the threads ends */
  OK(udpr_reactor_next_timeout(all.fixture.reactor, &timeout));
  CHECK(timeout >= 0 && timeout <= (int64_t)MS(20));
  WAIT_UNTIL(atomic_load(&all.fixture.dns.held_count) == MAX_THREADS_PER_PROCESS);
  dns_answer_held(&all.fixture.dns);
  lookup_expect_status(UDPR_OK, all.fixture.reactor, &name);
  tear_down(&all.fixture);
}

CHECK_MAIN()
