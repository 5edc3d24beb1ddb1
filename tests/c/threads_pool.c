/* call_in_thread: work runs on the threads of the pool, `done` and free_user on the reactor's thread; and the
 * number of threads.
 */
#include "pool.h"

/* ---- work and done ------------------------------------------------------------------------------------- */

TEST(work_runs_in_the_pool_and_done_on_the_reactors_thread) {
  udpr_reactor *reactor = new_reactor(0);
  job           jobs[20] = {{0}};
  for (int i = 0; i < 20; i++) job_submit(reactor, &jobs[i]);
  for (int i = 0; i < 20; i++) {
    WAIT_UNTIL(jobs[i].ended);
    CHECK(!is_current_thread(jobs[i].worker));
    CHECK_EQ(0, jobs[i].done + jobs[i].freed); /* only in a turn */
  }
  for (int i = 0; i < 20; i++) RUN_UNTIL(reactor, jobs[i].freed);
  for (int i = 0; i < 20; i++) CHECK_EQ(1, jobs[i].done);
  OK(udpr_reactor_free(reactor));
  for (int i = 0; i < 20; i++) CHECK_EQ(1, jobs[i].freed);
}

TEST(done_may_be_null) {
  udpr_reactor *reactor = new_reactor(0);
  job           user = {.loop_thread = pthread_self()}, bare = {0};
  OK(udpr_reactor_call_in_thread(reactor, job_work, NULL, &user, job_free));
  OK(udpr_reactor_call_in_thread(reactor, job_work, NULL, &bare, NULL));
  RUN_UNTIL(reactor, user.freed && bare.ended);
  OK(udpr_reactor_free(reactor));
  CHECK(user.ended == 1 && user.freed == 1 && bare.ended == 1 && bare.freed == 0);
}

TEST(work_must_not_be_null) {
  udpr_reactor *reactor = new_reactor(0);
  job           user = {.loop_thread = pthread_self()};
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT,
               udpr_reactor_call_in_thread(reactor, NULL, job_done, &user, job_free));
  CHECK_EQ(1, user.freed);
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT,
               udpr_reactor_call_in_thread(NULL, job_work, job_done, &user, job_free));
  CHECK_EQ(2, user.freed);
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_reactor_suggest_thread_pool_size(NULL, 1));
  OK(udpr_reactor_free(reactor));
}

static void submit_next(udpr_reactor *reactor, job *self) {
  if (self->arg) job_submit(reactor, self->arg);
  else OK(udpr_reactor_stop(reactor));
}

TEST(done_may_submit_more_work) {
  udpr_reactor *reactor = new_reactor(0);
  job           jobs[5] = {{0}};
  for (int i = 0; i < 5; i++) jobs[i].act = submit_next, jobs[i].arg = i < 4 ? &jobs[i + 1] : NULL;
  job_submit(reactor, &jobs[0]);
  run_with_timeout(reactor);
  for (int i = 0; i < 5; i++) CHECK_EQ(1, jobs[i].done);
  OK(udpr_reactor_free(reactor));
}

static void call_in_thread_from_work(void *user) {
  job *self = user;
  job  inner = {.loop_thread = pthread_self()};
  CHECK_STATUS(UDPR_E_WRONG_THREAD,
               udpr_reactor_call_in_thread(self->reactor, job_work, job_done, &inner, job_free));
  CHECK_EQ(1, inner.freed);
  OK(udpr_reactor_call_from_thread(self->reactor, stop_call, NULL, NULL)); /* this is allowed */
}

static void submit_call_in_thread(udpr_reactor *reactor, void *user) {
  OK(udpr_reactor_call_in_thread(reactor, call_in_thread_from_work, NULL, user, NULL));
}

TEST(work_uses_the_reactor_by_call_from_thread) {
  udpr_reactor *reactor = new_reactor(0);
  job           user = {.reactor = reactor};
  OK(udpr_reactor_call_later(reactor, 0, submit_call_in_thread, &user, NULL, NULL));
  run_with_timeout(reactor);
  OK(udpr_reactor_free(reactor));
}

/* ---- the number of threads ----------------------------------------------------------------------------- */

/* Of 20 jobs that block, `size` start, on as many threads. */
static void check_pool_size(udpr_reactor *reactor, int size) {
  enum { COUNT = 20 };
  sem_t may_finish;
  job   jobs[COUNT] = {{0}};
  int   others = count_threads(), begun = 0;
  CHECK_EQ(0, sem_init(&may_finish, 0, 0));
  for (int i = 0; i < COUNT; i++) jobs[i].may_finish = &may_finish, job_submit(reactor, &jobs[i]);
  for (int i = 0; i < size; i++) WAIT_UNTIL(jobs[i].began); /* in the order in which they were submitted */
  run_turns(reactor, 50);
  for (int i = 0; i < COUNT; i++) begun += jobs[i].began;
  CHECK_EQ(size, begun);
  CHECK_EQ(size, count_threads() - others);
  for (int i = 0; i < COUNT; i++) CHECK_EQ(0, sem_post(&may_finish));
  for (int i = 0; i < COUNT; i++) RUN_UNTIL(reactor, jobs[i].freed);
  OK(udpr_reactor_free(reactor));
  WAIT_UNTIL(count_threads() == others);
  sem_destroy(&may_finish);
}

TEST(the_pool_grows_to_its_size) {
  for (int size = 1; size <= 4; size++) check_pool_size(new_reactor_with_pool((uint32_t)size), size);
}

TEST(the_default_size_is_ten) { check_pool_size(new_reactor(0), 10); }

TEST(suggest_thread_pool_size_changes_the_size) {
  static const uint32_t from[] = {1, 5, 1}, to[] = {3, 1, 0};
  for (int i = 0; i < 3; i++) {
    udpr_reactor *reactor = new_reactor_with_pool(from[i]);
    OK(udpr_reactor_suggest_thread_pool_size(reactor, to[i]));
    check_pool_size(reactor, to[i] ? (int)to[i] : 10); /* 0 is the default */
  }
}

TEST(a_pool_that_grows_starts_waiting_work) {
  udpr_reactor *reactor = new_reactor_with_pool(1);
  sem_t         may_finish;
  job           jobs[4] = {{0}};
  CHECK_EQ(0, sem_init(&may_finish, 0, 0));
  for (int i = 0; i < 4; i++) jobs[i].may_finish = &may_finish, job_submit(reactor, &jobs[i]);
  WAIT_UNTIL(jobs[0].began);
  CHECK_EQ(0, jobs[1].began);
  OK(udpr_reactor_suggest_thread_pool_size(reactor, 4));
  for (int i = 1; i < 4; i++) WAIT_UNTIL(jobs[i].began);
  for (int i = 0; i < 4; i++) CHECK_EQ(0, sem_post(&may_finish));
  for (int i = 0; i < 4; i++) RUN_UNTIL(reactor, jobs[i].freed);
  OK(udpr_reactor_free(reactor));
  sem_destroy(&may_finish);
}

TEST(a_pool_that_shrinks_ends_its_threads) {
  udpr_reactor *reactor = new_reactor_with_pool(4);
  sem_t         may_finish;
  job           jobs[4] = {{0}}, last = {0};
  int           others = count_threads();
  CHECK_EQ(0, sem_init(&may_finish, 0, 0));
  for (int i = 0; i < 4; i++) jobs[i].may_finish = &may_finish, job_submit(reactor, &jobs[i]);
  for (int i = 0; i < 4; i++) WAIT_UNTIL(jobs[i].began);
  OK(udpr_reactor_suggest_thread_pool_size(reactor, 1));
  for (int i = 0; i < 4; i++) CHECK_EQ(0, sem_post(&may_finish));
  for (int i = 0; i < 4; i++) RUN_UNTIL(reactor, jobs[i].freed);
  WAIT_UNTIL(count_threads() - others <= 1);
  job_submit(reactor, &last);
  RUN_UNTIL(reactor, last.freed);
  OK(udpr_reactor_free(reactor));
  sem_destroy(&may_finish);
}

static int count_mappings(void) {
  FILE *maps = fopen("/proc/self/maps", "re");
  int   count = 0, letter;
  CHECK(maps != NULL);
  while ((letter = getc(maps)) != EOF) count += letter == '\n';
  fclose(maps);
  return count;
}

static void grow_and_shrink(udpr_reactor *reactor, int others) {
  enum { SIZE = 16 };
  sem_t may_finish;
  job   jobs[SIZE] = {{0}};
  CHECK_EQ(0, sem_init(&may_finish, 0, 0));
  OK(udpr_reactor_suggest_thread_pool_size(reactor, SIZE));
  for (int i = 0; i < SIZE; i++) jobs[i].may_finish = &may_finish, job_submit(reactor, &jobs[i]);
  for (int i = 0; i < SIZE; i++) WAIT_UNTIL(jobs[i].began); /* each on its own thread */
  for (int i = 0; i < SIZE; i++) CHECK_EQ(0, sem_post(&may_finish));
  for (int i = 0; i < SIZE; i++) RUN_UNTIL(reactor, jobs[i].freed);
  OK(udpr_reactor_suggest_thread_pool_size(reactor, 1));
  WAIT_UNTIL(count_threads() - others <= 1);
  sem_destroy(&may_finish);
}

/* A thread that is neither joined nor detached keeps its stack, which is one or two mappings. */
TEST(ended_threads_do_not_keep_their_stacks) {
  enum { CYCLES = 30 };
  udpr_reactor *reactor = new_reactor(0);
  int           others = count_threads();
  for (int i = 0; i < 3; i++) grow_and_shrink(reactor, others); /* fills the C library's cache of stacks */
  int before = count_mappings();
  for (int i = 0; i < CYCLES; i++) grow_and_shrink(reactor, others);
  CHECK(count_mappings() - before < CYCLES);
  OK(udpr_reactor_free(reactor));
}

/* The size is refused or limited. In either case work is done, and no thread is created without work. */
TEST(sizes_that_are_too_large) {
  static const uint32_t sizes[] = {UINT32_MAX, 1u << 20};
  for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
    udpr_reactor *reactor = new_reactor(0);
    int           others = count_threads();
    job           user = {0};
    udpr_status   status = udpr_reactor_suggest_thread_pool_size(reactor, sizes[i]);
    if (status != UDPR_OK) CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, status);
    CHECK_EQ(others, count_threads());
    job_submit(reactor, &user);
    RUN_UNTIL(reactor, user.freed);
    CHECK(user.done == 1 && count_threads() - others <= 1);
    OK(udpr_reactor_free(reactor));
    WAIT_UNTIL(count_threads() == others);
  }
}

TEST(threads_are_created_for_work_and_reused) {
  int           others = count_threads();
  udpr_reactor *reactor = new_reactor(0);
  run_turns(reactor, 2);
  CHECK_EQ(others, count_threads());
  for (int i = 0; i < 50; i++) {
    job user = {0};
    job_submit(reactor, &user);
    RUN_UNTIL(reactor, user.freed);
  }
  CHECK(count_threads() - others <= 10);
  OK(udpr_reactor_free(reactor));
  WAIT_UNTIL(count_threads() == others);
}

CHECK_MAIN()
