/* Work and its `done` after the reactor was stopped, run again, or freed. */
#include "pool.h"

static void act_stop(udpr_reactor *reactor, job *self) {
  (void)self;
  OK(udpr_reactor_stop(reactor));
}

/* ---- stop ---------------------------------------------------------------------------------------------- */

TEST(a_stopped_reactor_accepts_work) {
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
  CHECK(user.ended == 0 && user.done == 0); /* stop does not wait for work */
  CHECK_EQ(0, sem_post(&may_finish));
  run_with_timeout(reactor);
  CHECK(user.done == 1 && user.freed == 1);
  OK(udpr_reactor_free(reactor));
  sem_destroy(&may_finish);
}

/* ---- free ---------------------------------------------------------------------------------------------- */

TEST(free_waits_for_running_work_and_drops_the_rest) {
  enum { COUNT = 10, RUNNING = 2 };
  udpr_reactor *reactor = new_reactor_with_pool(RUNNING);
  int           others = count_threads();
  sem_t         may_finish[RUNNING];
  job           jobs[COUNT] = {{0}};
  check_thread  posters[RUNNING];
  for (int i = 0; i < RUNNING; i++) CHECK_EQ(0, sem_init(&may_finish[i], 0, 0));
  for (int i = 0; i < COUNT; i++) {
    jobs[i].may_finish = i < RUNNING ? &may_finish[i] : NULL;
    job_submit(reactor, &jobs[i]);
  }
  for (int i = 0; i < RUNNING; i++) WAIT_UNTIL(jobs[i].began);
  for (int i = 0; i < RUNNING; i++) thread_start(&posters[i], post_semaphore_later, &may_finish[i]);
  OK(udpr_reactor_free(reactor));
  for (int i = 0; i < COUNT; i++) {
    CHECK_EQ(i < RUNNING, jobs[i].ended);
    CHECK_EQ(i < RUNNING, jobs[i].began);
    CHECK_EQ(0, jobs[i].done); /* only in a turn */
    CHECK_EQ(1, jobs[i].freed);
  }
  for (int i = 0; i < RUNNING; i++) thread_join(&posters[i]);
  WAIT_UNTIL(count_threads() == others);
  for (int i = 0; i < RUNNING; i++) sem_destroy(&may_finish[i]);
}

TEST(free_drops_done_without_a_turn) {
  udpr_reactor *reactor = new_reactor(0);
  job           user = {0};
  job_submit(reactor, &user);
  WAIT_UNTIL(user.ended);
  OK(udpr_reactor_free(reactor));
  CHECK(user.done == 0 && user.freed == 1);
}

static void submit_while_free_runs(udpr_transport *transport, udpr_status reason, void *user) {
  job *late = user;
  (void)transport, (void)reason;
  CHECK_STATUS(UDPR_E_CLOSED, udpr_reactor_call_in_thread(late->reactor, job_work, job_done, late, job_free));
  CHECK_EQ(1, late->freed);
}

TEST(work_is_refused_while_free_runs) {
  udpr_reactor *reactor = new_reactor(0);
  job           first = {0}, late = {.reactor = reactor, .loop_thread = pthread_self()};
  udpr_protocol protocol = {.size = sizeof protocol, .user = &late, .stop_protocol = submit_while_free_runs};
  udpr_transport_release(listen_on(reactor, "127.0.0.1", &protocol, NULL));
  job_submit(reactor, &first);
  RUN_UNTIL(reactor, first.freed);
  OK(udpr_reactor_free(reactor));
  CHECK(late.began == 0 && late.freed == 1);
}

/* Each reactor has a pool of its own, and no thread is left behind. */
TEST(pools_of_many_reactors) {
  enum { COUNT = 20 };
  int           others = count_threads();
  udpr_reactor *reactors[COUNT];
  job           jobs[COUNT] = {{0}};
  for (int i = 0; i < COUNT; i++) job_submit(reactors[i] = new_reactor(0), &jobs[i]);
  for (int i = 0; i < COUNT; i++) RUN_UNTIL(reactors[i], jobs[i].freed);
  for (int i = 0; i < COUNT; i++) OK(udpr_reactor_free(reactors[i]));
  WAIT_UNTIL(count_threads() == others);
}

CHECK_MAIN()
