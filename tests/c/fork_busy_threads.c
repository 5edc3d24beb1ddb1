/* A process forks while its other threads use the library. The children's reactors and threads must not wait
 * for locks, or for threads, of the parent.
 */
#include "pool.h"

enum { THREADS = 4, WORKERS = 8, CALLS = 1000, WAITING_MAX = 1000 };

typedef struct fixture {
  udpr_reactor *reactor;
  udpr_remote  *remote;
  check_thread  callers[THREADS], runner;
  atomic_int    waiting, done;
} fixture;

static void called(udpr_reactor *reactor, void *user) {
  (void)reactor;
  atomic_fetch_sub(&((fixture *)user)->waiting, 1);
}

static void call_until_done(void *arg) {
  fixture *f = arg;
  while (!f->done) {
    while (f->waiting > WAITING_MAX && !f->done) sched_yield();
    atomic_fetch_add(&f->waiting, 1);
    OK(udpr_remote_call(f->remote, called, f, NULL));
  }
}

static void call_many_times(void *arg) {
  fixture *f = arg;
  for (int i = 0; i < CALLS; i++) {
    atomic_fetch_add(&f->waiting, 1);
    OK(udpr_remote_call(f->remote, called, f, NULL));
  }
}

static bool all_began(const job *jobs) {
  int began = 0;
  for (int i = 0; i < WORKERS; i++) began += jobs[i].began;
  return began == WORKERS;
}

/* Each job waits for all the others, so each gets a thread of its own. */
static void start_every_pool_thread(udpr_reactor *reactor) {
  sem_t may_finish;
  job   jobs[WORKERS] = {0};
  CHECK_EQ(0, sem_init(&may_finish, 0, 0));
  for (int i = 0; i < WORKERS; i++) jobs[i].may_finish = &may_finish, job_submit(reactor, &jobs[i]);
  WAIT_UNTIL(all_began(jobs));
  for (int i = 0; i < WORKERS; i++) CHECK_EQ(0, sem_post(&may_finish));
  for (int i = 0; i < WORKERS; i++) RUN_UNTIL(reactor, jobs[i].freed);
  CHECK_EQ(0, sem_destroy(&may_finish));
}

static void set_up(fixture *f, void (*body)(void *)) {
  *f = (fixture){.reactor = new_reactor_with_pool(WORKERS)};
  OK(udpr_reactor_remote(f->reactor, &f->remote));
  start_every_pool_thread(f->reactor);
  for (int i = 0; i < THREADS; i++) thread_start(&f->callers[i], body, f);
}

static void join_callers(fixture *f) {
  for (int i = 0; i < THREADS; i++) thread_join(&f->callers[i]);
}

static void use_own_reactor(void *nothing) {
  (void)nothing;
  fixture own;
  set_up(&own, call_many_times);
  join_callers(&own);
  RUN_UNTIL(own.reactor, own.waiting == 0);
  udpr_remote_release(own.remote);
  OK(udpr_reactor_free(own.reactor));
}

static void run(void *arg) { OK(udpr_reactor_run(((fixture *)arg)->reactor)); }

TEST(a_child_of_a_busy_process_can_use_a_new_reactor) {
  fixture f;
  set_up(&f, call_until_done);
  thread_start(&f.runner, run, &f);
  WAIT_UNTIL(udpr_reactor_is_running(f.reactor));
  for (unsigned i = check_rounds(5, 100); i > 0; i--) run_in_killed_child(use_own_reactor, NULL);
  f.done = 1;
  join_callers(&f);
  OK(udpr_remote_stop(f.remote));
  thread_join(&f.runner);
  udpr_remote_release(f.remote);
  OK(udpr_reactor_free(f.reactor));
}

typedef struct posting_fixture {
  udpr_reactor   *reactor;
  udpr_transport *transport;
  udpr_addr       to; /* the destination of all posts; nobody reads there */
  atomic_int      done;
} posting_fixture;

static void post_until_done(void *arg) {
  posting_fixture *f = arg;
  static char      data[60000]; /* so long that forks happen during its copy */
  while (!f->done) {
    udpr_status status = udpr_transport_post(f->transport, data, sizeof data, &f->to);
    CHECK(status == UDPR_OK || status == UDPR_E_WOULD_BLOCK);
  }
}

static void continue_or_wrong_thread(void *arg) {
  posting_fixture *f = arg;
  udpr_status      status = udpr_reactor_after_fork(f->reactor);
  if (status == UDPR_E_WRONG_THREAD) return;
  OK(status);
  run_turns(f->reactor, 2);
  OK(udpr_transport_post(f->transport, "x", 1, &f->to));
  run_turns(f->reactor, 2);
}

TEST(after_fork_while_a_thread_was_posting) {
  check_thread    poster;
  udpr_protocol   protocol = {.size = sizeof protocol};
  posting_fixture f = {.reactor = new_reactor(0)};
  int             sink = peer_open(AF_INET);
  f.to = peer_addr(sink);
  f.transport = listen_on(f.reactor, "127.0.0.1", &protocol, NULL);
  thread_start(&poster, post_until_done, &f);
  for (unsigned i = check_rounds(5, 100); i > 0; i--) {
    run_in_killed_child(continue_or_wrong_thread, &f);
    run_turns(f.reactor, 1); /* sends posts, so that more fit into the queue */
  }
  f.done = 1;
  thread_join(&poster);
  udpr_transport_release(f.transport);
  OK(udpr_reactor_free(f.reactor));
  close(sink);
}

enum { JOBS = 3000, LOOK_UPS = 16, CHILDREN = 8 };

static atomic_int users_freed;

static void work_briefly(void *nothing) { (void)nothing; }

static void resolved(udpr_reactor *reactor, udpr_id id, udpr_status status, const udpr_addr *addrs,
                     size_t count, void *nothing) {
  (void)reactor, (void)id, (void)status, (void)addrs, (void)count, (void)nothing;
}

static void call_after_fork(void *reactor) { OK(udpr_reactor_after_fork(reactor)); }

/* The program cannot know when the threads of the library are busy, so they must not disturb a forked child.
 */
TEST(after_fork_while_work_and_look_ups_end) {
  udpr_reactor *reactor = new_reactor_with_pool(WORKERS);
  for (unsigned i = check_rounds(1, 150); i > 0; i--) {
    users_freed = 0;
    for (int n = 0; n < JOBS; n++)
      OK(udpr_reactor_call_in_thread(reactor, work_briefly, NULL, &users_freed, count_free));
    for (int n = 0; n < LOOK_UPS; n++)
      OK(udpr_reactor_resolve(reactor, "localhost", 1, 0, 0, resolved, &users_freed, count_free, NULL));
    for (int n = 0; n < CHILDREN; n++) run_in_killed_child(call_after_fork, reactor);
    RUN_UNTIL(reactor, users_freed == JOBS + LOOK_UPS);
  }
  OK(udpr_reactor_free(reactor));
}

CHECK_MAIN()
