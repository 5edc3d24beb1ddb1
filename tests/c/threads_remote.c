/* The door for other threads: calls in order, the sticky wake-up, stop, and CLOSED when the reactor is gone. */
#include "probe.h"

static udpr_remote *remote_of(udpr_reactor *reactor) {
  udpr_remote *remote = NULL;
  OK(udpr_reactor_remote(reactor, &remote));
  CHECK(remote != NULL);
  return remote;
}

typedef struct call {
  atomic_int   freed;
  int          called;
  udpr_remote *remote;
  struct call *next; /* to be called from this one */
  char        *letters;
  char         letter;
  int          turn; /* in which it was called, as stats count them */
} call;

static int turns_so_far(udpr_reactor *reactor) {
  udpr_reactor_stats stats = {.size = sizeof stats};
  OK(udpr_reactor_get_stats(reactor, &stats));
  return (int)stats.iterations;
}

static void called(udpr_reactor *reactor, void *user) {
  call *self = user;
  CHECK(self->called++ == 0 && self->freed == 0);
  self->turn = turns_so_far(reactor);
  if (self->letters) strncat(self->letters, &self->letter, 1);
  if (self->next) OK(udpr_remote_call(self->next->remote, called, self->next, count_free));
}

/* ---- calls --------------------------------------------------------------------------------------------- */

TEST(calls_wait_for_a_turn_and_come_in_order) {
  enum { COUNT = 10 };
  udpr_reactor *reactor = new_reactor(0);
  udpr_remote  *remote = remote_of(reactor);
  char          letters[COUNT + 1] = "";
  call          calls[COUNT] = {{0}};
  for (int i = 0; i < COUNT; i++) {
    calls[i] = (call){.letters = letters, .letter = (char)('a' + i)};
    if (i % 2) OK(udpr_remote_call(remote, called, &calls[i], count_free));
    else OK(udpr_reactor_call_from_thread(reactor, called, &calls[i], count_free)); /* one queue for both */
  }
  CHECK_STR("", letters);
  OK(udpr_reactor_iterate(reactor, -1)); /* does not wait */
  CHECK_STR("abcdefghij", letters);
  for (int i = 0; i < COUNT; i++) CHECK_EQ(1, calls[i].freed);
  udpr_remote_release(remote);
  OK(udpr_reactor_free(reactor));
}

TEST(a_call_made_in_a_call_waits_for_the_next_turn) {
  enum { COUNT = 5 };
  udpr_reactor *reactor = new_reactor(0);
  udpr_remote  *remote = remote_of(reactor);
  call          calls[COUNT] = {{0}};
  for (int i = 0; i < COUNT; i++)
    calls[i] = (call){.remote = remote, .next = i + 1 < COUNT ? &calls[i + 1] : NULL};
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

TEST(calls_without_end_starve_nobody) {
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
  call *calls = arg;
  for (int i = 0; i < 3; i++) OK(udpr_remote_call(calls[i].remote, called, &calls[i], count_free));
}

TEST(calls_before_run_are_kept) {
  udpr_reactor *reactor = new_reactor(0);
  udpr_remote  *remote = remote_of(reactor);
  char          letters[4] = "";
  call          calls[3] = {{0}};
  for (int i = 0; i < 3; i++)
    calls[i] = (call){.remote = remote, .letters = letters, .letter = (char)('x' + i)};
  run_in_thread(make_calls, calls);
  OK(udpr_reactor_call_from_thread(reactor, stop_call, NULL, NULL));
  run_with_timeout(reactor);
  CHECK_STR("xyz", letters);
  udpr_remote_release(remote);
  OK(udpr_reactor_free(reactor));
}

static void free_on_this_thread(void *user) { CHECK(pthread_equal(pthread_self(), *(pthread_t *)user)); }

static void call_nothing(udpr_reactor *reactor, void *user) { (void)reactor, (void)user; }

static void call_with_thread(void *arg) {
  reactor_thread *there = arg;
  for (int i = 0; i < 100; i++)
    OK(udpr_reactor_call_from_thread(there->reactor, call_nothing, &there->thread.id, free_on_this_thread));
}

TEST(users_are_freed_on_the_reactors_thread) {
  udpr_reactor  *reactor = new_reactor(0);
  reactor_thread there;
  reactor_thread_start(&there, reactor);
  call_with_thread(&there);
  run_in_thread(call_with_thread, &there);
  OK(udpr_reactor_call_from_thread(reactor, stop_call, NULL, NULL));
  reactor_thread_join(&there);
  OK(udpr_reactor_free(reactor));
}

TEST(free_drops_calls_that_had_no_turn) {
  enum { COUNT = 50 };
  udpr_reactor *reactor = new_reactor(0);
  call          calls[COUNT] = {{0}};
  for (int i = 0; i < COUNT; i++) OK(udpr_reactor_call_from_thread(reactor, called, &calls[i], count_free));
  OK(udpr_reactor_free(reactor));
  for (int i = 0; i < COUNT; i++) CHECK(calls[i].called == 0 && calls[i].freed == 1);
}

/* ---- wake ---------------------------------------------------------------------------------------------- */

static void wake(void *remote) { OK(udpr_remote_wake(remote)); }

/* How long a turn waited that might have waited for ever. */
static udpr_ns time_of_a_turn(udpr_reactor *reactor) {
  udpr_ns begin = monotonic_ns();
  OK(udpr_reactor_iterate(reactor, (int64_t)CHECK_TIMEOUT));
  return monotonic_ns() - begin;
}

TEST(a_wake_is_sticky) {
  udpr_reactor *reactor = new_reactor(0);
  udpr_remote  *remote = remote_of(reactor);
  run_in_thread(wake, remote);                 /* nobody waits yet */
  for (int i = 0; i < 1000; i++) wake(remote); /* they are one */
  CHECK(time_of_a_turn(reactor) < CHECK_TIMEOUT / 2);
  udpr_ns begin = monotonic_ns();
  OK(udpr_reactor_iterate(reactor, (int64_t)MS(20))); /* it is used up */
  CHECK(monotonic_ns() - begin >= MS(20));
  udpr_remote_release(remote);
  OK(udpr_reactor_free(reactor));
}

TEST(a_wake_from_another_thread_ends_the_waiting) {
  udpr_reactor *reactor = new_reactor(0);
  udpr_remote  *remote = remote_of(reactor);
  for (int i = 0; i < 100; i++) { /* before it waits or after, as it happens */
    check_thread thread;
    thread_start(&thread, wake, remote);
    CHECK(time_of_a_turn(reactor) < CHECK_TIMEOUT / 2);
    thread_join(&thread);
  }
  udpr_remote_release(remote);
  OK(udpr_reactor_free(reactor));
}

static udpr_remote *woken_in_handler;
static atomic_int   signals_handled;

static void wake_in_handler(int number) {
  (void)number;
  int before = errno;
  errno = 4321;
  if (udpr_remote_wake(woken_in_handler) != UDPR_OK || errno != 4321) abort();
  errno = before;
  atomic_fetch_add(&signals_handled, 1);
}

static udpr_remote *wake_by_signals(udpr_reactor *reactor) {
  struct sigaction action = {.sa_handler = wake_in_handler, .sa_flags = SA_RESTART};
  woken_in_handler = remote_of(reactor);
  CHECK_EQ(0, sigaction(SIGUSR1, &action, NULL));
  return woken_in_handler;
}

static void one_turn(void *reactor) { CHECK(time_of_a_turn(reactor) < CHECK_TIMEOUT / 2); }

/* The signal is this thread's: nothing but the wake ends the other's waiting. */
TEST(a_signal_handler_may_wake) {
  udpr_reactor *reactor = new_reactor(0);
  udpr_remote  *remote = wake_by_signals(reactor);
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

static timer_t ticking(void) {
  struct sigevent   event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
  struct itimerspec often = {.it_value.tv_nsec = 50000, .it_interval.tv_nsec = 50000};
  timer_t           timer;
  CHECK_EQ(0, timer_create(CLOCK_MONOTONIC, &event, &timer));
  CHECK_EQ(0, timer_settime(timer, 0, &often, NULL));
  return timer;
}

static void count_call(udpr_reactor *reactor, void *user) { (void)reactor, ++*(int *)user; }

/* Whatever the reactor does when the signal comes, a lock that it holds is not waited for. */
TEST(the_handler_may_interrupt_any_call) {
  udpr_reactor *reactor = new_reactor(0);
  udpr_remote  *remote = wake_by_signals(reactor);
  int           made = 0, came = 0;
  timer_t       timer = ticking();
  while (signals_handled < 500) {
    for (int i = 0; i < 50; i++, made++) OK(udpr_remote_call(remote, count_call, &came, NULL));
    OK(udpr_reactor_iterate(reactor, 0));
  }
  CHECK_EQ(0, timer_delete(timer));
  RUN_UNTIL(reactor, came == made);
  udpr_remote_release(remote);
  OK(udpr_reactor_free(reactor));
}

CHECK_MAIN()
