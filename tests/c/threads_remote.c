/* Remotes: calls from other threads are made in order, and a wake-up before a turn is kept. */
#include "probe.h"

static udpr_remote *remote_of(udpr_reactor *reactor) {
  udpr_remote *remote = NULL;
  OK(udpr_reactor_remote(reactor, &remote));
  CHECK(remote != NULL);
  return remote;
}

typedef struct remote_call {
  atomic_int          freed;
  int                 called;
  udpr_remote        *remote;
  struct remote_call *next; /* called from within this one */
  char               *letters;
  char                letter;
  int                 turn; /* the number of the turn in which it was called */
} remote_call;

static int count_turns(udpr_reactor *reactor) {
  udpr_reactor_stats stats = {.size = sizeof stats};
  OK(udpr_reactor_get_stats(reactor, &stats));
  return (int)stats.iterations;
}

static void called(udpr_reactor *reactor, void *user) {
  remote_call *self = user;
  CHECK(self->called++ == 0 && self->freed == 0);
  self->turn = count_turns(reactor);
  if (self->letters) strncat(self->letters, &self->letter, 1);
  if (self->next) OK(udpr_remote_call(self->next->remote, called, self->next, count_free));
}

/* ---- calls --------------------------------------------------------------------------------------------- */

TEST(calls_are_made_in_a_turn_and_in_order) {
  enum { COUNT = 10 };
  udpr_reactor *reactor = new_reactor(0);
  udpr_remote  *remote = remote_of(reactor);
  char          letters[COUNT + 1] = "";
  remote_call   calls[COUNT] = {{0}};
  for (int i = 0; i < COUNT; i++) {
    calls[i] = (remote_call){.letters = letters, .letter = (char)('a' + i)};
    if (i % 2) OK(udpr_remote_call(remote, called, &calls[i], count_free));
    /* both functions use one queue */
    else OK(udpr_reactor_call_from_thread(reactor, called, &calls[i], count_free));
  }
  CHECK_STR("", letters);
  OK(udpr_reactor_iterate(reactor, -1)); /* must not wait */
  CHECK_STR("abcdefghij", letters);
  for (int i = 0; i < COUNT; i++) CHECK_EQ(1, calls[i].freed);
  udpr_remote_release(remote);
  OK(udpr_reactor_free(reactor));
}

TEST(a_call_made_in_a_call_waits_for_the_next_turn) {
  enum { COUNT = 5 };
  udpr_reactor *reactor = new_reactor(0);
  udpr_remote  *remote = remote_of(reactor);
  remote_call   calls[COUNT] = {{0}};
  for (int i = 0; i < COUNT; i++)
    calls[i] = (remote_call){.remote = remote, .next = i + 1 < COUNT ? &calls[i + 1] : NULL};
  OK(udpr_remote_call(remote, called, &calls[0], count_free));
  for (int i = 0; i < COUNT; i++) {
    OK(udpr_reactor_iterate(reactor, -1));
    for (int j = 0; j < COUNT; j++) CHECK_EQ(j <= i, calls[j].called);
    CHECK_EQ(calls[0].turn + i, calls[i].turn);
  }
  udpr_remote_release(remote);
  OK(udpr_reactor_free(reactor));
}

static void call_again(udpr_reactor *reactor, void *user) {
  ++*(int *)user;
  OK(udpr_reactor_call_from_thread(reactor, call_again, user, NULL));
}

TEST(endless_calls_starve_nobody) {
  udpr_reactor *reactor = new_reactor(0);
  probe         port = {0};
  int           calls = 0;
  bool          due = false;
  probe_listen(&port, reactor);
  OK(udpr_reactor_call_from_thread(reactor, call_again, &calls, NULL));
  OK(udpr_reactor_call_later(reactor, MS(5), check_timed_out, &due, NULL, NULL));
  send_letters(&port.host, "a");
  udpr_reactor_start(reactor);
  RUN_UNTIL(reactor, *port.received && due);
  int before = calls;
  run_turns(reactor, 10);
  CHECK_EQ(before + 10, calls);
  OK(udpr_reactor_free(reactor));
  probe_check_ended(&port);
}

static void make_calls(void *arg) {
  remote_call *calls = arg;
  for (int i = 0; i < 3; i++) OK(udpr_remote_call(calls[i].remote, called, &calls[i], count_free));
}

TEST(calls_made_before_run_are_kept) {
  udpr_reactor *reactor = new_reactor(0);
  udpr_remote  *remote = remote_of(reactor);
  char          letters[4] = "";
  remote_call   calls[3] = {{0}};
  for (int i = 0; i < 3; i++)
    calls[i] = (remote_call){.remote = remote, .letters = letters, .letter = (char)('x' + i)};
  run_in_thread(make_calls, calls);
  OK(udpr_reactor_call_from_thread(reactor, stop_call, NULL, NULL));
  run_with_timeout(reactor);
  CHECK_STR("xyz", letters);
  udpr_remote_release(remote);
  OK(udpr_reactor_free(reactor));
}

static void check_free_thread(void *user) { CHECK(pthread_equal(pthread_self(), *(pthread_t *)user)); }

static void do_nothing(udpr_reactor *reactor, void *user) { (void)reactor, (void)user; }

static void make_calls_with_thread(void *arg) {
  reactor_thread *there = arg;
  for (int i = 0; i < 100; i++)
    OK(udpr_reactor_call_from_thread(there->reactor, do_nothing, &there->thread.id, check_free_thread));
}

TEST(users_are_freed_on_the_reactors_thread) {
  udpr_reactor  *reactor = new_reactor(0);
  reactor_thread there;
  reactor_thread_start(&there, reactor);
  make_calls_with_thread(&there);
  run_in_thread(make_calls_with_thread, &there);
  OK(udpr_reactor_call_from_thread(reactor, stop_call, NULL, NULL));
  reactor_thread_join(&there);
  OK(udpr_reactor_free(reactor));
}

TEST(free_drops_calls_without_a_turn) {
  enum { COUNT = 50 };
  udpr_reactor *reactor = new_reactor(0);
  remote_call   calls[COUNT] = {{0}};
  for (int i = 0; i < COUNT; i++) OK(udpr_reactor_call_from_thread(reactor, called, &calls[i], count_free));
  OK(udpr_reactor_free(reactor));
  for (int i = 0; i < COUNT; i++) CHECK(calls[i].called == 0 && calls[i].freed == 1);
}

/* ---- wake ---------------------------------------------------------------------------------------------- */

static void wake(void *remote) { OK(udpr_remote_wake(remote)); }

/* Returns how long a turn took. Without a wake-up it would take CHECK_TIMEOUT. */
static udpr_ns measure_turn(udpr_reactor *reactor) {
  udpr_ns begin = monotonic_ns();
  OK(udpr_reactor_iterate(reactor, (int64_t)CHECK_TIMEOUT));
  return monotonic_ns() - begin;
}

TEST(a_wake_before_the_turn_is_kept) {
  udpr_reactor *reactor = new_reactor(0);
  udpr_remote  *remote = remote_of(reactor);
  run_in_thread(wake, remote);                 /* before a turn waits */
  for (int i = 0; i < 1000; i++) wake(remote); /* all of them count as one */
  CHECK(measure_turn(reactor) < CHECK_TIMEOUT / 2);
  udpr_ns begin = monotonic_ns();
  OK(udpr_reactor_iterate(reactor, (int64_t)MS(20))); /* consumed by the first turn */
  CHECK(monotonic_ns() - begin >= MS(20));
  udpr_remote_release(remote);
  OK(udpr_reactor_free(reactor));
}

TEST(a_wake_from_another_thread_ends_a_turn) {
  udpr_reactor *reactor = new_reactor(0);
  udpr_remote  *remote = remote_of(reactor);
  for (int i = 0; i < 100; i++) { /* before or after the turn begins to wait */
    check_thread thread;
    thread_start(&thread, wake, remote);
    CHECK(measure_turn(reactor) < CHECK_TIMEOUT / 2);
    thread_join(&thread);
  }
  udpr_remote_release(remote);
  OK(udpr_reactor_free(reactor));
}

static udpr_remote *handler_remote;
static atomic_int   signals_handled;

static void wake_in_handler(int number) {
  (void)number;
  int before = errno;
  errno = 4321;
  if (udpr_remote_wake(handler_remote) != UDPR_OK || errno != 4321) abort();
  errno = before;
  atomic_fetch_add(&signals_handled, 1);
}

static udpr_remote *install_waking_handler(udpr_reactor *reactor) {
  struct sigaction action = {.sa_handler = wake_in_handler, .sa_flags = SA_RESTART};
  handler_remote = remote_of(reactor);
  CHECK_EQ(0, sigaction(SIGUSR1, &action, NULL));
  return handler_remote;
}

static void one_turn(void *reactor) { CHECK(measure_turn(reactor) < CHECK_TIMEOUT / 2); }

/* The signal is sent to this thread, so only the wake-up ends the other thread's turn. */
TEST(a_signal_handler_may_call_wake) {
  udpr_reactor *reactor = new_reactor(0);
  udpr_remote  *remote = install_waking_handler(reactor);
  for (int i = 0; i < 100; i++) {
    check_thread thread;
    thread_start(&thread, one_turn, reactor);
    CHECK_EQ(0, raise(SIGUSR1));
    thread_join(&thread);
  }
  CHECK_EQ(100, signals_handled);
  udpr_remote_release(remote);
  OK(udpr_reactor_free(reactor));
}

static timer_t start_timer(void) {
  struct sigevent   event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
  struct itimerspec often = {.it_value.tv_nsec = 50000, .it_interval.tv_nsec = 50000};
  timer_t           timer;
  CHECK_EQ(0, timer_create(CLOCK_MONOTONIC, &event, &timer));
  CHECK_EQ(0, timer_settime(timer, 0, &often, NULL));
  return timer;
}

static void count_call(udpr_reactor *reactor, void *user) { (void)reactor, ++*(int *)user; }

/* The handler must not wait for a lock, whatever function of the reactor it interrupts. */
TEST(the_handler_may_interrupt_any_function) {
  udpr_reactor *reactor = new_reactor(0);
  udpr_remote  *remote = install_waking_handler(reactor);
  int           calls_made = 0, calls_run = 0;
  timer_t       timer = start_timer();
  while (signals_handled < 500) {
    for (int i = 0; i < 50; i++, calls_made++) OK(udpr_remote_call(remote, count_call, &calls_run, NULL));
    OK(udpr_reactor_iterate(reactor, 0));
  }
  CHECK_EQ(0, timer_delete(timer));
  RUN_UNTIL(reactor, calls_run == calls_made);
  udpr_remote_release(remote);
  OK(udpr_reactor_free(reactor));
}

CHECK_MAIN()
