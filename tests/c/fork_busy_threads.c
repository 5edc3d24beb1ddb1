/* A process forks while its other threads wait for the library's locks, and for work: nothing of that is in the way of its
 * children's own reactors and threads.
 */
#include "pool.h"

enum { THREADS = 4, WORKERS = 8, CALLS = 1000, WAITING_MAX = 1000 };

typedef struct crowd {
  udpr_reactor *reactor;
  udpr_remote  *remote;
  check_thread  callers[THREADS], runner;
  atomic_int    waiting, over;
} crowd;

static void called(udpr_reactor *reactor, void *user) {
  (void)reactor;
  atomic_fetch_sub(&((crowd *)user)->waiting, 1);
}

static void call_all_the_time(void *arg) {
  crowd *all = arg;
  while (!all->over) {
    while (all->waiting > WAITING_MAX && !all->over) sched_yield();
    atomic_fetch_add(&all->waiting, 1);
    OK(udpr_remote_call(all->remote, called, all, NULL));
  }
}

static void call_often(void *arg) {
  crowd *all = arg;
  for (int i = 0; i < CALLS; i++) {
    atomic_fetch_add(&all->waiting, 1);
    OK(udpr_remote_call(all->remote, called, all, NULL));
  }
}

static bool all_began(const job *jobs) {
  int began = 0;
  for (int i = 0; i < WORKERS; i++) began += jobs[i].began;
  return began == WORKERS;
}

/* Every thread of the pool is made, since each job waits for all the others. */
static void work_on_every_thread(udpr_reactor *reactor) {
  sem_t may_finish;
  job   jobs[WORKERS] = {0};
  CHECK_EQ(0, sem_init(&may_finish, 0, 0));
  for (int i = 0; i < WORKERS; i++) jobs[i].may_finish = &may_finish, job_submit(reactor, &jobs[i]);
  WAIT_UNTIL(all_began(jobs));
  for (int i = 0; i < WORKERS; i++) CHECK_EQ(0, sem_post(&may_finish));
  for (int i = 0; i < WORKERS; i++) RUN_UNTIL(reactor, jobs[i].freed);
  CHECK_EQ(0, sem_destroy(&may_finish));
}

static void found(crowd *all, void (*body)(void *)) {
  *all = (crowd){.reactor = new_reactor_with_pool(WORKERS)};
  OK(udpr_reactor_remote(all->reactor, &all->remote));
  work_on_every_thread(all->reactor);
  for (int i = 0; i < THREADS; i++) thread_start(&all->callers[i], body, all);
}

static void callers_end(crowd *all) {
  for (int i = 0; i < THREADS; i++) thread_join(&all->callers[i]);
}

static void child_has_its_own(void *nothing) {
  (void)nothing;
  crowd own;
  found(&own, call_often);
  callers_end(&own);
  RUN_UNTIL(own.reactor, own.waiting == 0);
  udpr_remote_release(own.remote);
  OK(udpr_reactor_free(own.reactor));
}

static void run(void *arg) { OK(udpr_reactor_run(((crowd *)arg)->reactor)); }

TEST(children_of_a_busy_process_have_their_own) {
  crowd all;
  found(&all, call_all_the_time);
  thread_start(&all.runner, run, &all);
  WAIT_UNTIL(udpr_reactor_is_running(all.reactor));
  for (int i = check_is_slow() ? 5 : 100; i > 0; i--) run_in_killed_child(child_has_its_own, NULL);
  all.over = 1;
  callers_end(&all);
  OK(udpr_remote_stop(all.remote));
  thread_join(&all.runner);
  udpr_remote_release(all.remote);
  OK(udpr_reactor_free(all.reactor));
}

typedef struct posting {
  udpr_reactor   *reactor;
  udpr_transport *transport;
  udpr_addr       to; /* for all that is posted: nobody reads there */
  atomic_int      over;
} posting;

static void post_all_the_time(void *arg) {
  posting    *all = arg;
  static char data[60000]; /* so long that a fork comes in the middle of it */
  while (!all->over) {
    udpr_status status = udpr_transport_post(all->transport, data, sizeof data, &all->to);
    CHECK(status == UDPR_OK || status == UDPR_E_WOULD_BLOCK);
  }
}

static void child_goes_on_or_is_told(void *arg) {
  posting    *all = arg;
  udpr_status status = udpr_reactor_after_fork(all->reactor);
  if (status == UDPR_E_WRONG_THREAD) return;
  OK(status);
  run_turns(all->reactor, 2);
  OK(udpr_transport_post(all->transport, "x", 1, &all->to));
  run_turns(all->reactor, 2);
}

TEST(a_child_is_told_of_a_thread_that_was_posting) {
  check_thread  poster;
  udpr_protocol protocol = {.size = sizeof protocol};
  posting       all = {.reactor = new_reactor(0)};
  int           sink = peer_open(AF_INET);
  all.to = peer_addr(sink);
  all.transport = listen_on(all.reactor, "127.0.0.1", &protocol, NULL);
  thread_start(&poster, post_all_the_time, &all);
  for (int i = check_is_slow() ? 5 : 100; i > 0; i--) {
    run_in_killed_child(child_goes_on_or_is_told, &all);
    run_turns(all.reactor, 1); /* makes room for more */
  }
  all.over = 1;
  thread_join(&poster);
  udpr_transport_release(all.transport);
  OK(udpr_reactor_free(all.reactor));
  close(sink);
}

enum { JOBS = 3000, LOOK_UPS = 16, CHILDREN = 8 };

static atomic_int over_with;

static void work_briefly(void *nothing) { (void)nothing; }

static void looked_up(udpr_reactor *reactor, udpr_id id, udpr_status status, const udpr_addr *addrs,
                      size_t count, void *nothing) {
  (void)reactor, (void)id, (void)status, (void)addrs, (void)count, (void)nothing;
}

static void revive(void *reactor) { OK(udpr_reactor_after_fork(reactor)); }

/* Nothing that the library's own threads are at is in the way of a child: the host cannot know when they are. */
TEST(a_child_does_not_mind_work_and_look_ups_that_end) {
  udpr_reactor *reactor = new_reactor_with_pool(WORKERS);
  for (int i = check_is_slow() ? 1 : 150; i > 0; i--) {
    over_with = 0;
    for (int n = 0; n < JOBS; n++)
      OK(udpr_reactor_call_in_thread(reactor, work_briefly, NULL, &over_with, count_free));
    for (int n = 0; n < LOOK_UPS; n++)
      OK(udpr_reactor_resolve(reactor, "localhost", 1, 0, 0, looked_up, &over_with, count_free, NULL));
    for (int n = 0; n < CHILDREN; n++) run_in_killed_child(revive, reactor);
    RUN_UNTIL(reactor, over_with == JOBS + LOOK_UPS);
  }
  OK(udpr_reactor_free(reactor));
}

CHECK_MAIN()
