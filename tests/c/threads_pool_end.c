/* Work and its `done` when the reactor stops, runs again, or is freed. */
#include "pool.h"

static void act_stop(udpr_reactor *reactor, job *self) {
  (void)self;
  OK(udpr_reactor_stop(reactor));
}

/* ---- stop ---------------------------------------------------------------------------------------------- */

TEST(a_stopped_reactor_takes_work) {
  udpr_reactor *reactor = new_reactor(0);
  job           first = {.act = act_stop}, second = {0};
  job_submit(reactor, &first);
  run_with_timeout(reactor);
  job_submit(reactor, &second);
  RUN_UNTIL(reactor, second.freed);
  CHECK(first.done == 1 && second.done == 1);
  OK(udpr_reactor_free(reactor));
}

TEST(work_begun_in_one_run_is_done_in_the_next) {
  udpr_reactor *reactor = new_reactor(0);
  sem_t         may_finish;
  job           user = {.may_finish = &may_finish, .act = act_stop};
  CHECK_EQ(0, sem_init(&may_finish, 0, 0));
  job_submit(reactor, &user);
  WAIT_UNTIL(user.began);
  OK(udpr_reactor_call_later(reactor, 0, stop_call, NULL, NULL, NULL));
  run_with_timeout(reactor);
  CHECK(user.ended == 0 && user.done == 0); /* stop waits for no work */
  CHECK_EQ(0, sem_post(&may_finish));
  run_with_timeout(reactor);
  CHECK(user.done == 1 && user.freed == 1);
  OK(udpr_reactor_free(reactor));
  sem_destroy(&may_finish);
}

/* ---- free ---------------------------------------------------------------------------------------------- */

TEST(free_waits_for_work_and_drops_the_rest) {
  enum { COUNT = 10, AT_WORK = 2 };
  udpr_reactor *reactor = new_reactor_with_pool(AT_WORK);
  int           others = count_threads();
  sem_t         gates[AT_WORK];
  job           jobs[COUNT] = {{0}};
  check_thread  openers[AT_WORK];
  for (int i = 0; i < AT_WORK; i++) CHECK_EQ(0, sem_init(&gates[i], 0, 0));
  for (int i = 0; i < COUNT; i++) {
    jobs[i].may_finish = i < AT_WORK ? &gates[i] : NULL;
    job_submit(reactor, &jobs[i]);
  }
  for (int i = 0; i < AT_WORK; i++) WAIT_UNTIL(jobs[i].began);
  for (int i = 0; i < AT_WORK; i++) thread_start(&openers[i], post_semaphore_later, &gates[i]);
  OK(udpr_reactor_free(reactor));
  for (int i = 0; i < COUNT; i++) {
    CHECK_EQ(i < AT_WORK, jobs[i].ended);
    CHECK_EQ(i < AT_WORK, jobs[i].began);
    CHECK_EQ(0, jobs[i].done); /* that would take a turn */
    CHECK_EQ(1, jobs[i].freed);
  }
  for (int i = 0; i < AT_WORK; i++) thread_join(&openers[i]);
  WAIT_UNTIL(count_threads() == others);
  for (int i = 0; i < AT_WORK; i++) sem_destroy(&gates[i]);
}

TEST(free_drops_a_done_that_had_no_turn) {
  udpr_reactor *reactor = new_reactor(0);
  job           user = {0};
  job_submit(reactor, &user);
  WAIT_UNTIL(user.ended);
  OK(udpr_reactor_free(reactor));
  CHECK(user.done == 0 && user.freed == 1);
}

static void put_while_free_runs(udpr_transport *transport, udpr_status reason, void *user) {
  job *late = user;
  (void)transport, (void)reason;
  CHECK_STATUS(UDPR_E_CLOSED, udpr_reactor_call_in_thread(late->reactor, job_work, job_done, late, job_free));
  CHECK_EQ(1, late->freed);
}

TEST(while_free_runs_no_work_is_taken) {
  udpr_reactor *reactor = new_reactor(0);
  job           first = {0}, late = {.reactor = reactor, .loop_thread = pthread_self()};
  udpr_protocol protocol = {.size = sizeof protocol, .user = &late, .stop_protocol = put_while_free_runs};
  udpr_transport_release(listen_on(reactor, "127.0.0.1", &protocol, NULL));
  job_submit(reactor, &first);
  RUN_UNTIL(reactor, first.freed);
  OK(udpr_reactor_free(reactor));
  CHECK(late.began == 0 && late.freed == 1);
}

/* A pool each: nothing is shared, and nothing left. */
TEST(pools_of_many_reactors) {
  enum { COUNT = 20 };
  int           others = count_threads();
  udpr_reactor *loop_thread[COUNT];
  job           jobs[COUNT] = {{0}};
  for (int i = 0; i < COUNT; i++) job_submit(loop_thread[i] = new_reactor(0), &jobs[i]);
  for (int i = 0; i < COUNT; i++) RUN_UNTIL(loop_thread[i], jobs[i].freed);
  for (int i = 0; i < COUNT; i++) OK(udpr_reactor_free(loop_thread[i]));
  WAIT_UNTIL(count_threads() == others);
}

CHECK_MAIN()
