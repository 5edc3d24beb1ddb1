/* UDPR_REACTOR_SIGNALS: SIGINT and SIGTERM end udpr_reactor_run, and the previous handlers are restored.
 * Without the flag, handlers are not changed.
 */
#include "probe.h"

static volatile sig_atomic_t own_handled;

static void own_handler(int number) {
  (void)number;
  own_handled++;
}

static void set_handler(int number, void (*handler)(int)) {
  struct sigaction action = {.sa_handler = handler};
  CHECK_EQ(0, sigaction(number, &action, NULL));
}

static void (*handler_of(int number))(int) {
  struct sigaction action;
  CHECK_EQ(0, sigaction(number, NULL, &action));
  return action.sa_handler;
}

/* ---- a signal ends run --------------------------------------------------------------------------------- */

static void raise_call(udpr_reactor *reactor, void *user) {
  CHECK(udpr_reactor_is_running(reactor));
  CHECK_EQ(0, raise(*(int *)user));
}

static void run_until_signal(udpr_reactor *reactor, int number) {
  probe port = {0};
  probe_listen(&port, reactor);
  OK(udpr_reactor_call_later(reactor, 0, raise_call, &number, NULL, NULL));
  run_with_timeout(reactor);
  probe_check_ended(&port);
}

TEST(sigint_and_sigterm_end_run) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_SIGNALS);
  for (int again = 0; again < 3; again++) {
    run_until_signal(reactor, SIGINT);
    run_until_signal(reactor, SIGTERM);
  }
  CHECK(handler_of(SIGINT) == SIG_DFL && handler_of(SIGTERM) == SIG_DFL);
  OK(udpr_reactor_free(reactor));
}

static void raise_both_twice(udpr_reactor *reactor, void *user) {
  (void)reactor, (void)user;
  for (int i = 0; i < 2; i++) CHECK(raise(SIGINT) == 0 && raise(SIGTERM) == 0);
}

TEST(several_signals_stop_once) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_SIGNALS);
  probe         port = {0};
  probe_listen(&port, reactor);
  OK(udpr_reactor_call_later(reactor, 0, raise_both_twice, NULL, NULL, NULL));
  run_with_timeout(reactor);
  probe_check_ended(&port);
  OK(udpr_reactor_free(reactor));
}

static void stop_in_a_later_turn(udpr_reactor *reactor, void *user) {
  int *left = user;
  if (--*left > 0) OK(udpr_reactor_call_later(reactor, 0, stop_in_a_later_turn, user, NULL, NULL));
  else OK(udpr_reactor_stop(reactor));
}

TEST(a_signal_that_ended_one_run_does_not_end_the_next) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_SIGNALS);
  for (int again = 0; again < 3; again++) {
    int left = 5;
    run_until_signal(reactor, SIGTERM);
    OK(udpr_reactor_call_later(reactor, 0, stop_in_a_later_turn, &left, NULL, NULL));
    run_with_timeout(reactor);
    CHECK_EQ(0, left);
  }
  OK(udpr_reactor_free(reactor));
}

TEST(previous_handlers_are_restored) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_SIGNALS);
  set_handler(SIGINT, own_handler);
  set_handler(SIGTERM, SIG_IGN);
  run_until_signal(reactor, SIGINT);
  run_until_signal(reactor, SIGTERM);
  CHECK_EQ(0, own_handled); /* during run, only the library's handlers are called */
  CHECK(handler_of(SIGINT) == own_handler && handler_of(SIGTERM) == SIG_IGN);
  CHECK_EQ(0, raise(SIGINT));
  CHECK_EQ(0, raise(SIGTERM));
  CHECK_EQ(1, own_handled);
  OK(udpr_reactor_free(reactor));
}

TEST(mask_and_flags_of_a_previous_handler_are_restored) {
  struct sigaction before = {.sa_handler = own_handler, .sa_flags = SA_RESTART | SA_NODEFER}, after;
  udpr_reactor    *reactor = new_reactor(UDPR_REACTOR_SIGNALS);
  sigaddset(&before.sa_mask, SIGUSR1);
  CHECK_EQ(0, sigaction(SIGINT, &before, NULL));
  run_until_signal(reactor, SIGINT);
  CHECK_EQ(0, sigaction(SIGINT, NULL, &after));
  CHECK(after.sa_handler == own_handler);
  CHECK_EQ(SA_RESTART | SA_NODEFER, after.sa_flags & (SA_RESTART | SA_NODEFER | SA_SIGINFO));
  CHECK(sigismember(&after.sa_mask, SIGUSR1) == 1 && sigismember(&after.sa_mask, SIGUSR2) == 0);
  OK(udpr_reactor_free(reactor));
}

static void crash_call(udpr_reactor *reactor, void *user) {
  *(bool *)user = handler_of(SIGINT) == own_handler && handler_of(SIGTERM) == own_handler;
  OK(udpr_reactor_crash(reactor));
}

/* The handlers are restored after a crash. Returns whether the program's own were installed during run. */
static bool own_handlers_while_running(uint32_t flags) {
  udpr_reactor *reactor = new_reactor(flags);
  bool          own = false;
  set_handler(SIGINT, own_handler);
  set_handler(SIGTERM, own_handler);
  OK(udpr_reactor_call_later(reactor, 0, crash_call, &own, NULL, NULL));
  run_with_timeout(reactor);
  CHECK(handler_of(SIGINT) == own_handler && handler_of(SIGTERM) == own_handler);
  OK(udpr_reactor_free(reactor));
  return own;
}

TEST(handlers_are_restored_after_crash) { CHECK(!own_handlers_while_running(UDPR_REACTOR_SIGNALS)); }
TEST(without_the_flag_handlers_are_not_changed) { CHECK(own_handlers_while_running(0)); }

TEST(only_run_handles_the_signals) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_SIGNALS);
  bool          own = false;
  set_handler(SIGINT, own_handler);
  set_handler(SIGTERM, own_handler);
  OK(udpr_reactor_start(reactor));
  OK(udpr_reactor_call_later(reactor, 0, crash_call, &own, NULL, NULL));
  RUN_UNTIL(reactor, !udpr_reactor_is_running(reactor));
  CHECK(own);
  OK(udpr_reactor_free(reactor));
}

/* ---- another process, with default handlers ------------------------------------------------------------ */

static void write_ready_byte(udpr_reactor *reactor, void *user) {
  (void)reactor;
  CHECK_EQ(1, write(*(int *)user, "r", 1));
}

/* There is no port and no call. Only the signal can end run. */
static void server(int ready) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_SIGNALS);
  OK(udpr_reactor_call_later(reactor, 0, write_ready_byte, &ready, NULL, NULL));
  OK(udpr_reactor_run(reactor));
  OK(udpr_reactor_free(reactor));
  exit(42);
}

static void check_ended_by(int number) {
  int  ready[2];
  char byte;
  CHECK_EQ(0, pipe(ready));
  pid_t child = check_fork();
  if (child == 0) server(ready[1]);
  CHECK_EQ(1, read(ready[0], &byte, 1));
  CHECK_EQ(0, kill(child, number));
  int status = check_wait(child);
  CHECK(WIFEXITED(status));
  CHECK_EQ(42, WEXITSTATUS(status));
  close(ready[0]);
  close(ready[1]);
}

TEST(a_signal_ends_a_run_with_nothing_to_do) {
  check_ended_by(SIGINT);
  check_ended_by(SIGTERM);
}

/* A child forked during run inherits the library's handler, but has no run to stop. */
static void terminate_a_child(udpr_reactor *reactor, void *user) {
  (void)user;
  pid_t child = check_fork();
  if (child == 0) {
    raise(SIGTERM);
    exit(1);
  }
  int status = check_wait(child);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
  OK(udpr_reactor_stop(reactor));
}

TEST(a_forked_child_is_terminated_by_the_previous_handler) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_SIGNALS);
  OK(udpr_reactor_call_later(reactor, 0, terminate_a_child, NULL, NULL, NULL));
  run_with_timeout(reactor);
  CHECK(handler_of(SIGTERM) == SIG_DFL);
  OK(udpr_reactor_free(reactor));
}

/* ---- several reactors ---------------------------------------------------------------------------------- */

TEST(one_signal_ends_every_run_with_the_flag) {
  enum { COUNT = 4 };
  reactor_thread with_flag[COUNT], other;
  udpr_reactor  *reactors[COUNT], *without_flag = new_reactor(0);
  set_handler(SIGTERM, own_handler);
  for (int i = 0; i < COUNT; i++) {
    reactors[i] = new_reactor(UDPR_REACTOR_SIGNALS);
    reactor_thread_start(&with_flag[i], reactors[i]);
  }
  reactor_thread_start(&other, without_flag);
  CHECK_EQ(0, kill(getpid(), SIGTERM));
  for (int i = 0; i < COUNT; i++) {
    reactor_thread_join(&with_flag[i]);
    OK(udpr_reactor_free(reactors[i]));
  }
  CHECK(udpr_reactor_is_running(without_flag));
  CHECK(handler_of(SIGTERM) == own_handler);
  CHECK_EQ(0, own_handled);
  reactor_thread_stop(&other);
  OK(udpr_reactor_free(without_flag));
}

TEST(handlers_stay_installed_until_the_last_run_ends) {
  reactor_thread first, last;
  udpr_reactor  *reactors[] = {new_reactor(UDPR_REACTOR_SIGNALS), new_reactor(UDPR_REACTOR_SIGNALS)};
  set_handler(SIGINT, own_handler);
  reactor_thread_start(&first, reactors[0]);
  reactor_thread_start(&last, reactors[1]);
  reactor_thread_stop(&first); /* started first, ended first */
  CHECK(handler_of(SIGINT) != own_handler);
  CHECK_EQ(0, kill(getpid(), SIGINT));
  reactor_thread_join(&last);
  CHECK(handler_of(SIGINT) == own_handler);
  CHECK_EQ(0, own_handled);
  for (int i = 0; i < 2; i++) OK(udpr_reactor_free(reactors[i]));
}

/* ---- EINTR: other signals ------------------------------------------------------------------------------ */

static timer_t start_timer(void) {
  struct sigevent   event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
  struct itimerspec every_ms = {.it_value.tv_nsec = 1000000, .it_interval.tv_nsec = 1000000};
  timer_t           timer;
  CHECK_EQ(0, timer_create(CLOCK_MONOTONIC, &event, &timer));
  CHECK_EQ(0, timer_settime(timer, 0, &every_ms, NULL));
  return timer;
}

static void start_timer_call(udpr_reactor *reactor, void *timer) {
  (void)reactor;
  *(timer_t *)timer = start_timer();
}

TEST(iterate_returns_on_a_signal) {
  udpr_reactor *reactor = new_reactor(0);
  set_handler(SIGUSR1, own_handler);
  timer_t timer = start_timer();
  OK(udpr_reactor_start(reactor));
  OK(udpr_reactor_iterate(reactor, -1)); /* only the signal can end it */
  CHECK(own_handled > 0);
  CHECK_EQ(0, timer_delete(timer));
  OK(udpr_reactor_free(reactor));
}

static void raise_sigterm_after_ten(int number) {
  (void)number;
  if (++own_handled == 10) raise(SIGTERM);
}

TEST(run_continues_after_other_signals) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_SIGNALS);
  timer_t       timer;
  set_handler(SIGUSR1, raise_sigterm_after_ten);
  OK(udpr_reactor_call_later(reactor, 0, start_timer_call, &timer, NULL, NULL));
  OK(udpr_reactor_run(reactor));
  CHECK_EQ(0, timer_delete(timer));
  CHECK(own_handled >= 10);
  OK(udpr_reactor_free(reactor));
}

CHECK_MAIN()
