/* A forked child that makes threads before it has called udpr_reactor_after_fork or udpr_reactor_free: one thread gets in,
 * the others are refused, and nothing is done twice.
 */
#include "probe.h"

enum { THREADS = 4, CHILDREN = 60 };

typedef struct crowd {
  udpr_reactor     *reactor;
  probe             port;
  pthread_barrier_t start;
  udpr_status (*act)(udpr_reactor *);
  atomic_int succeeded, refused;
} crowd;

static void one_of_many(void *arg) {
  crowd *all = arg;
  pthread_barrier_wait(&all->start);
  udpr_status status = all->act(all->reactor);
  if (status == UDPR_E_WRONG_THREAD) atomic_fetch_add(&all->refused, 1);
  if (status == UDPR_OK) atomic_fetch_add(&all->succeeded, 1);
}

static void all_at_once(crowd *all) {
  check_thread threads[THREADS];
  CHECK_EQ(0, pthread_barrier_init(&all->start, NULL, THREADS));
  for (int i = 0; i < THREADS; i++) thread_start(&threads[i], one_of_many, all);
  for (int i = 0; i < THREADS; i++) thread_join(&threads[i]);
}

static void revive_with_threads(void *arg) {
  crowd *all = arg;
  all->act = udpr_reactor_after_fork;
  all_at_once(all);
  CHECK_EQ(1, all->succeeded); /* the others were refused, or found no forked child any more */
  CHECK_STATUS(UDPR_E_NOT_SUPPORTED, udpr_reactor_after_fork(all->reactor));
  send_letters(&all->port.host, "a");
  RUN_UNTIL(all->reactor, *all->port.received);
  OK(udpr_reactor_free(all->reactor));
  probe_check_ended(&all->port);
}

static void free_with_threads(void *arg) {
  crowd *all = arg;
  int    before = check_count_descriptors();
  all->act = udpr_reactor_free;
  all_at_once(all);
  CHECK(all->succeeded == 1 && all->refused == THREADS - 1);
  CHECK_EQ(before - 3, check_count_descriptors()); /* the port's, the wake-up's and the epoll set's */
  CHECK_STATUS(UDPR_E_WRONG_THREAD, udpr_reactor_after_fork(all->reactor));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_reactor_iterate(all->reactor, 0));
}

static void with_children(void (*body)(void *)) {
  crowd all = {.reactor = new_reactor(0)};
  probe_listen(&all.port, all.reactor);
  for (int i = check_is_slow() ? 3 : CHILDREN; i > 0; i--) run_in_killed_child(body, &all);
  send_letters(&all.port.host, "z");
  RUN_UNTIL(all.reactor, *all.port.received);
  OK(udpr_reactor_free(all.reactor));
  probe_check_ended(&all.port);
}

TEST(one_thread_of_a_child_revives_the_reactor) { with_children(revive_with_threads); }
TEST(one_thread_of_a_child_frees_the_reactor) { with_children(free_with_threads); }

/* ---- while the first reactor of all is made --------------------------------------------------------------- */

static atomic_int begun;

static void make_one(void *arg) {
  (void)arg;
  atomic_store(&begun, 1);
  OK(udpr_reactor_free(new_reactor(0)));
}

/* In a process that has made no reactor yet. `arg` is when to fork. */
static void fork_while_the_first_is_made(void *arg) {
  check_thread maker;
  thread_start(&maker, make_one, NULL);
  while (!atomic_load(&begun)) {}
  for (volatile int i = *(int *)arg; i > 0; i--) {}
  run_in_killed_child(make_one, NULL);
  thread_join(&maker);
}

TEST(a_child_waits_for_no_other_thread_of_its_parents_first_reactor) {
  for (int i = check_is_slow() ? 20 : 600; i > 0; i--)
    run_in_killed_child(fork_while_the_first_is_made, &(int){i * 4});
}

CHECK_MAIN()
