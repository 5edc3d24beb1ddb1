/* A forked child creates threads before it has called udpr_reactor_after_fork or udpr_reactor_free. One
 * thread succeeds, the others are refused, and nothing is done twice.
 */
#include "probe.h"

enum { THREADS = 4, CHILDREN = 60 };

typedef struct fixture {
  udpr_reactor     *reactor;
  probe             port;
  pthread_barrier_t start;
  udpr_status (*act)(udpr_reactor *);
  atomic_int succeeded, refused;
} fixture;

static void call_act(void *arg) {
  fixture *f = arg;
  pthread_barrier_wait(&f->start);
  udpr_status status = f->act(f->reactor);
  if (status == UDPR_E_WRONG_THREAD) atomic_fetch_add(&f->refused, 1);
  if (status == UDPR_OK) atomic_fetch_add(&f->succeeded, 1);
}

static void call_act_in_all_threads(fixture *f) {
  check_thread threads[THREADS];
  CHECK_EQ(0, pthread_barrier_init(&f->start, NULL, THREADS));
  for (int i = 0; i < THREADS; i++) thread_start(&threads[i], call_act, f);
  for (int i = 0; i < THREADS; i++) thread_join(&threads[i]);
}

static void after_fork_in_all_threads(void *arg) {
  fixture *f = arg;
  f->act = udpr_reactor_after_fork;
  call_act_in_all_threads(f);
  /* the others got UDPR_E_WRONG_THREAD, or UDPR_E_NOT_SUPPORTED after the first had succeeded */
  CHECK_EQ(1, f->succeeded);
  CHECK_STATUS(UDPR_E_NOT_SUPPORTED, udpr_reactor_after_fork(f->reactor));
  send_letters(&f->port.host, "a");
  RUN_UNTIL(f->reactor, *f->port.received);
  OK(udpr_reactor_free(f->reactor));
  probe_check_ended(&f->port);
}

static void free_in_all_threads(void *arg) {
  fixture *f = arg;
  int      before = check_count_descriptors();
  f->act = udpr_reactor_free;
  call_act_in_all_threads(f);
  CHECK(f->succeeded == 1 && f->refused == THREADS - 1);
  CHECK_EQ(before - 3, check_count_descriptors()); /* of the port, the wake-up and the epoll set */
  CHECK_STATUS(UDPR_E_WRONG_THREAD, udpr_reactor_after_fork(f->reactor));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_reactor_iterate(f->reactor, 0));
}

static void with_children(void (*body)(void *)) {
  fixture f = {.reactor = new_reactor(0)};
  probe_listen(&f.port, f.reactor);
  for (unsigned i = check_rounds(3, CHILDREN); i > 0; i--) run_in_killed_child(body, &f);
  send_letters(&f.port.host, "z");
  RUN_UNTIL(f.reactor, *f.port.received);
  OK(udpr_reactor_free(f.reactor));
  probe_check_ended(&f.port);
}

TEST(after_fork_succeeds_in_one_thread) { with_children(after_fork_in_all_threads); }
TEST(free_succeeds_in_one_thread) { with_children(free_in_all_threads); }

/* ---- a fork while another thread makes the first reactor ----------------------------------------------- */

static atomic_int thread_began;

static void make_and_free_reactor(void *arg) {
  (void)arg;
  atomic_store(&thread_began, 1);
  OK(udpr_reactor_free(new_reactor(0)));
}

/* The process has made no reactor yet. `arg` is how long to spin before the fork. */
static void fork_while_first_reactor_is_made(void *arg) {
  check_thread maker;
  thread_start(&maker, make_and_free_reactor, NULL);
  while (!atomic_load(&thread_began)) {}
  for (volatile int i = *(int *)arg; i > 0; i--) {}
  run_in_killed_child(make_and_free_reactor, NULL);
  thread_join(&maker);
}

TEST(a_fork_while_the_first_reactor_is_made) {
  for (unsigned i = check_rounds(20, 600); i > 0; i--)
    run_in_killed_child(fork_while_first_reactor_is_made, &(int){i * 4});
}

CHECK_MAIN()
