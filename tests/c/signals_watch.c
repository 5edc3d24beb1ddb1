/* udpr_reactor_watch_signal: when watches are called, what becomes of the dispositions, and which signals can be watched. */
#include "probe.h"
#include "refuse_syscalls.h"
#include "signal_watcher.h"

#include <poll.h>

/* ---- calls --------------------------------------------------------------------------------------------- */

TEST(called_in_a_turn_once_however_often_it_has_come) {
  udpr_reactor  *reactor = new_reactor(0);
  signal_watcher watcher = {0};
  watch_signal(reactor, SIGHUP, &watcher);
  run_turns(reactor, 2);
  CHECK_EQ(0, watcher.calls);
  for (int times = 1; times < 5; times++) {
    for (int i = 0; i < times; i++) CHECK_EQ(0, raise(SIGHUP));
    CHECK_EQ(times - 1, watcher.calls); /* not inside the handler */
    run_turns(reactor, 3);
    CHECK_EQ(times, watcher.calls);
  }
  OK(udpr_reactor_free(reactor));
  CHECK_EQ(1, watcher.freed);
}

TEST(signals_are_distinguished) {
  static const int numbers[] = {SIGHUP,   SIGUSR1, SIGUSR2, SIGALRM, SIGPIPE,
                                SIGWINCH, SIGCHLD, SIGTSTP, SIGIO};
  enum { COUNT = sizeof numbers / sizeof *numbers };
  signal_watcher watchers[COUNT + 2] = {0};
  udpr_reactor  *reactor = new_reactor(0);
  for (int i = 0; i < COUNT; i++) watch_signal(reactor, numbers[i], &watchers[i]);
  watch_signal(reactor, SIGRTMIN, &watchers[COUNT]);
  watch_signal(reactor, SIGRTMAX - 1, &watchers[COUNT + 1]); /* valgrind uses the last one itself */
  for (int i = 0; i < COUNT + 2; i++) {
    CHECK_EQ(0, raise(watchers[i].number));
    run_turns(reactor, 2);
    for (int other = 0; other < COUNT + 2; other++) CHECK_EQ(other <= i, watchers[other].calls);
  }
  OK(udpr_reactor_free(reactor));
}

TEST(values_of_real_time_signals_are_lost) {
  udpr_reactor  *reactor = new_reactor(0);
  signal_watcher watcher = {0};
  watch_signal(reactor, SIGRTMIN + 1, &watcher);
  for (int value = 0; value < 5; value++)
    CHECK_EQ(0, sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = value}));
  run_turns(reactor, 3);
  CHECK_EQ(1, watcher.calls);
  OK(udpr_reactor_free(reactor));
}

TEST(every_watch_of_every_reactor_is_called) {
  udpr_reactor  *reactors[] = {new_reactor(0), new_reactor(UDPR_REACTOR_MANUAL_CLOCK), new_reactor(0)};
  signal_watcher watchers[6] = {0}, other = {0};
  for (int i = 0; i < 6; i++) watch_signal(reactors[i / 2], SIGUSR1, &watchers[i]);
  watch_signal(reactors[0], SIGUSR2, &other);
  CHECK_EQ(0, raise(SIGUSR1));
  for (int i = 0; i < 3; i++) run_turns(reactors[i], 2);
  for (int i = 0; i < 6; i++) CHECK_EQ(1, watchers[i].calls);
  OK(udpr_reactor_unwatch(reactors[0], watchers[0].id));
  OK(udpr_reactor_free(reactors[2]));
  CHECK_EQ(0, raise(SIGUSR1));
  for (int i = 0; i < 2; i++) run_turns(reactors[i], 2);
  for (int i = 0; i < 6; i++) CHECK_EQ(i == 0 || i > 3 ? 1 : 2, watchers[i].calls);
  CHECK_EQ(0, other.calls);
  for (int i = 0; i < 2; i++) OK(udpr_reactor_free(reactors[i]));
}

TEST(signals_before_the_watch_do_not_count) {
  udpr_reactor  *reactor = new_reactor(0);
  signal_watcher first = {0}, second = {0}, again = {0};
  watch_signal(reactor, SIGHUP, &first);
  CHECK_EQ(0, raise(SIGHUP));
  watch_signal(reactor, SIGHUP, &second);
  run_turns(reactor, 2);
  CHECK(first.calls == 1 && second.calls == 0);
  CHECK_EQ(0, raise(SIGHUP));
  OK(udpr_reactor_unwatch(reactor, first.id));
  OK(udpr_reactor_unwatch(reactor, second.id));
  watch_signal(reactor, SIGHUP, &again);
  run_turns(reactor, 2);
  CHECK(first.calls == 1 && second.calls == 0 && again.calls == 0);
  OK(udpr_reactor_free(reactor));
}

static void raise_in_thread(void *number) { CHECK_EQ(0, raise(*(int *)number)); }

TEST(a_waiting_turn_is_woken_by_a_signal_of_another_thread) {
  udpr_reactor  *reactor = new_reactor(0);
  signal_watcher watcher = {0};
  check_thread   thread;
  int            number = SIGUSR1;
  watch_signal(reactor, number, &watcher);
  thread_start(&thread, raise_in_thread, &number);
  while (!watcher.calls) OK(udpr_reactor_iterate(reactor, -1));
  thread_join(&thread);
  OK(udpr_reactor_free(reactor));
}

TEST(backend_fd_is_readable_after_a_signal) {
  udpr_reactor  *reactor = new_reactor(0);
  signal_watcher watcher = {0};
  udpr_socket    fd = -1;
  int64_t        timeout = 0;
  watch_signal(reactor, SIGUSR1, &watcher);
  OK(udpr_reactor_backend_fd(reactor, &fd));
  run_turns(reactor, 3);
  struct pollfd outer = {.fd = fd, .events = POLLIN};
  CHECK_EQ(0, poll(&outer, 1, 0));
  OK(udpr_reactor_next_timeout(reactor, &timeout));
  CHECK_EQ(-1, timeout);
  CHECK_EQ(0, raise(SIGUSR1));
  CHECK_EQ(1, poll(&outer, 1, 0));
  OK(udpr_reactor_next_timeout(reactor, &timeout));
  CHECK_EQ(0, timeout);
  OK(udpr_reactor_iterate(reactor, 0));
  CHECK_EQ(1, watcher.calls);
  run_turns(reactor, 3);
  CHECK_EQ(0, poll(&outer, 1, 0));
  OK(udpr_reactor_free(reactor));
}

/* ---- the end of watches -------------------------------------------------------------------------------- */

TEST(an_ended_watch_is_not_called) {
  udpr_reactor  *reactor = new_reactor(0);
  signal_watcher watcher = {0}, kept = {0};
  watch_signal(reactor, SIGHUP, &watcher);
  watch_signal(reactor, SIGHUP, &kept);
  CHECK_EQ(0, raise(SIGHUP));
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_change_watch(reactor, watcher.id, UDPR_WATCH_READABLE));
  OK(udpr_reactor_unwatch(reactor, watcher.id));
  CHECK_EQ(1, watcher.freed);
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_unwatch(reactor, watcher.id));
  run_turns(reactor, 2);
  CHECK(watcher.calls == 0 && kept.calls == 1);
  OK(udpr_reactor_free(reactor));
}

static void unwatch_both(udpr_reactor *reactor, signal_watcher *self) {
  signal_watcher *other = self->arg;
  OK(udpr_reactor_unwatch(reactor, self->id));
  OK(udpr_reactor_unwatch(reactor, other->id));
  CHECK_EQ(1, other->freed);
  CHECK(handler_of(SIGHUP) == own_handler);
}

/* Whichever of the two is called first. */
TEST(a_callback_ends_its_own_watch_and_another_one) {
  udpr_reactor  *reactor = new_reactor(0);
  signal_watcher one = {.act = unwatch_both}, two = {.act = unwatch_both};
  one.arg = &two, two.arg = &one;
  set_handler(SIGHUP, own_handler);
  watch_signal(reactor, SIGHUP, &one);
  watch_signal(reactor, SIGHUP, &two);
  CHECK_EQ(0, raise(SIGHUP));
  run_turns(reactor, 2);
  CHECK(one.calls + two.calls == 1 && one.freed == 1 && two.freed == 1);
  OK(udpr_reactor_free(reactor));
}

static void watch_another_and_raise(udpr_reactor *reactor, signal_watcher *self) {
  if (self->calls > 1) return;
  watch_signal(reactor, SIGHUP, self->arg);
  CHECK_EQ(0, raise(SIGHUP));
}

TEST(a_watch_made_in_a_callback_is_called_for_later_signals) {
  udpr_reactor  *reactor = new_reactor(0);
  signal_watcher added = {0}, watcher = {.act = watch_another_and_raise, .arg = &added};
  watch_signal(reactor, SIGHUP, &watcher);
  CHECK_EQ(0, raise(SIGHUP));
  run_turns(reactor, 1);
  CHECK(watcher.calls == 1 && added.calls == 0);
  run_turns(reactor, 2);
  CHECK(watcher.calls == 2 && added.calls == 1);
  OK(udpr_reactor_free(reactor));
  CHECK(watcher.freed == 1 && added.freed == 1);
}

static void raise_once(udpr_reactor *reactor, signal_watcher *self) {
  int *raised = self->arg;
  (void)reactor;
  if (!*raised) CHECK_EQ(0, raise(SIGHUP));
  *raised = 1;
}

/* One of the two is called for each signal, the other one once for both, since it is called after the second one. */
TEST(a_signal_raised_in_a_callback_counts_for_watches_that_are_called_later) {
  udpr_reactor  *reactor = new_reactor(0);
  int            raised = 0;
  signal_watcher one = {.act = raise_once, .arg = &raised}, two = {.act = raise_once, .arg = &raised};
  watch_signal(reactor, SIGHUP, &one);
  watch_signal(reactor, SIGHUP, &two);
  CHECK_EQ(0, raise(SIGHUP));
  run_turns(reactor, 1);
  CHECK(one.calls == 1 && two.calls == 1);
  run_turns(reactor, 3);
  CHECK_EQ(3, one.calls + two.calls);
  OK(udpr_reactor_free(reactor));
}

static void free_must_be_refused(udpr_reactor *reactor, signal_watcher *self) {
  (void)self;
  CHECK_STATUS(UDPR_E_REENTRANT, udpr_reactor_free(reactor));
  CHECK_STATUS(UDPR_E_REENTRANT, udpr_reactor_iterate(reactor, 0));
  CHECK_STATUS(UDPR_E_REENTRANT, udpr_reactor_run(reactor));
  CHECK_STATUS(UDPR_E_NOT_RUNNING, udpr_reactor_stop(reactor));
}

TEST(turns_inside_a_callback_are_refused) {
  udpr_reactor  *reactor = new_reactor(0);
  signal_watcher watcher = {.act = free_must_be_refused};
  watch_signal(reactor, SIGHUP, &watcher);
  CHECK_EQ(0, raise(SIGHUP));
  run_turns(reactor, 2);
  CHECK_EQ(1, watcher.calls);
  OK(udpr_reactor_free(reactor));
}

/* ---- dispositions -------------------------------------------------------------------------------------- */

TEST(the_disposition_is_put_back_after_the_last_watch) {
  udpr_reactor  *reactors[] = {new_reactor(0), new_reactor(0)};
  signal_watcher watchers[3] = {0};
  set_handler(SIGHUP, own_handler);
  for (int i = 0; i < 3; i++) watch_signal(reactors[i / 2], SIGHUP, &watchers[i]);
  CHECK_EQ(0, raise(SIGHUP));
  for (int i = 0; i < 2; i++) {
    OK(udpr_reactor_unwatch(reactors[0], watchers[i].id));
    CHECK(handler_of(SIGHUP) != own_handler);
  }
  OK(udpr_reactor_free(reactors[1]));
  CHECK(handler_of(SIGHUP) == own_handler && own_handled == 0);
  CHECK_EQ(0, raise(SIGHUP));
  CHECK_EQ(1, own_handled);
  OK(udpr_reactor_free(reactors[0]));
}

TEST(default_and_ignored_dispositions_are_put_back) {
  udpr_reactor  *reactor = new_reactor(0);
  signal_watcher watchers[2] = {0};
  set_handler(SIGUSR2, SIG_IGN);
  watch_signal(reactor, SIGUSR1, &watchers[0]);
  watch_signal(reactor, SIGUSR2, &watchers[1]);
  CHECK(raise(SIGUSR1) == 0 && raise(SIGUSR2) == 0);
  run_turns(reactor, 2);
  CHECK(watchers[0].calls == 1 && watchers[1].calls == 1);
  for (int i = 0; i < 2; i++) OK(udpr_reactor_unwatch(reactor, watchers[i].id));
  CHECK(handler_of(SIGUSR1) == SIG_DFL && handler_of(SIGUSR2) == SIG_IGN);
  OK(udpr_reactor_free(reactor));
}

static void other_handler(int number) { (void)number; }

TEST(a_disposition_that_the_program_has_set_stays) {
  udpr_reactor  *reactor = new_reactor(0);
  signal_watcher watcher = {0};
  watch_signal(reactor, SIGHUP, &watcher);
  set_handler(SIGHUP, other_handler);
  CHECK_EQ(0, raise(SIGHUP));
  run_turns(reactor, 2);
  CHECK_EQ(0, watcher.calls);
  OK(udpr_reactor_unwatch(reactor, watcher.id));
  CHECK(handler_of(SIGHUP) == other_handler);
  OK(udpr_reactor_free(reactor));
}

/* As readline(3) does it: the program saves the library's handler and restores it, during the watch and after it. */
TEST(a_restored_handler_of_the_library_works) {
  udpr_reactor    *reactor = new_reactor(0);
  signal_watcher   watcher = {0};
  struct sigaction saved, action = {.sa_handler = other_handler};
  set_handler(SIGHUP, own_handler);
  watch_signal(reactor, SIGHUP, &watcher);
  CHECK_EQ(0, sigaction(SIGHUP, &action, &saved));
  CHECK_EQ(0, sigaction(SIGHUP, &saved, NULL));
  CHECK_EQ(0, raise(SIGHUP));
  run_turns(reactor, 2);
  CHECK_EQ(1, watcher.calls);
  OK(udpr_reactor_unwatch(reactor, watcher.id));
  CHECK(handler_of(SIGHUP) == own_handler);
  CHECK_EQ(0, sigaction(SIGHUP, &saved, NULL));
  for (int i = 1; i <= 3; i++) {
    CHECK_EQ(0, raise(SIGHUP));
    CHECK_EQ(i, own_handled);
    CHECK(handler_of(SIGHUP) == own_handler); /* put back by the first one */
  }
  run_turns(reactor, 2);
  CHECK_EQ(1, watcher.calls);
  OK(udpr_reactor_free(reactor));
}

TEST(a_second_watch_installs_the_handler_again) {
  udpr_reactor  *reactor = new_reactor(0);
  signal_watcher first = {0}, second = {0};
  watch_signal(reactor, SIGHUP, &first);
  set_handler(SIGHUP, own_handler);
  watch_signal(reactor, SIGHUP, &second);
  CHECK_EQ(0, raise(SIGHUP));
  run_turns(reactor, 2);
  CHECK(first.calls == 1 && second.calls == 1 && own_handled == 0);
  OK(udpr_reactor_free(reactor));
  CHECK(handler_of(SIGHUP) == own_handler);
}

TEST(sigchld_reaps_nothing) {
  udpr_reactor  *reactor = new_reactor(0);
  signal_watcher watcher = {0};
  watch_signal(reactor, SIGCHLD, &watcher);
  pid_t child = check_fork();
  if (child == 0) _exit(42);
  RUN_UNTIL(reactor, watcher.calls);
  int status = check_wait(child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 42);
  OK(udpr_reactor_free(reactor));
}

/* A blocking call of the program was not interrupted by SIGWINCH before, and is not now. */
TEST(calls_are_restarted) {
  udpr_reactor  *reactor = new_reactor(0);
  signal_watcher watcher = {0};
  int            ends[2];
  char           byte;
  CHECK_EQ(0, pipe(ends));
  watch_signal(reactor, SIGWINCH, &watcher);
  pid_t child = check_fork();
  if (child == 0) {
    for (int i = 0; i < 50 && kill(getppid(), SIGWINCH) == 0; i++) usleep(1000);
    CHECK_EQ(1, write(ends[1], "x", 1));
    kill(getpid(), SIGKILL);
  }
  CHECK_EQ(1, read(ends[0], &byte, 1));
  check_wait(child);
  run_turns(reactor, 2);
  CHECK_EQ(1, watcher.calls);
  close(ends[0]);
  close(ends[1]);
  OK(udpr_reactor_free(reactor));
}

/* ---- next to UDPR_REACTOR_SIGNALS ---------------------------------------------------------------------- */

static void raise_call(udpr_reactor *reactor, void *user) {
  (void)reactor;
  CHECK_EQ(0, raise(*(int *)user));
}

static void stop_at_the_third(udpr_reactor *reactor, signal_watcher *self) {
  if (self->calls == 3) OK(udpr_reactor_stop(reactor));
  else OK(udpr_reactor_call_later(reactor, 0, raise_call, &self->number, NULL, NULL));
}

TEST(a_watch_replaces_the_stop_by_its_signal) {
  udpr_reactor  *reactor = new_reactor(UDPR_REACTOR_SIGNALS);
  signal_watcher watcher = {.act = stop_at_the_third};
  int            term = SIGTERM, interrupt = SIGINT;
  watch_signal(reactor, SIGTERM, &watcher);
  OK(udpr_reactor_call_later(reactor, 0, raise_call, &term, NULL, NULL));
  run_with_timeout(reactor);
  CHECK_EQ(3, watcher.calls);
  OK(udpr_reactor_call_later(reactor, 0, raise_call, &interrupt, NULL, NULL));
  run_with_timeout(reactor); /* the other one still stops */
  CHECK_EQ(3, watcher.calls);
  OK(udpr_reactor_unwatch(reactor, watcher.id));
  OK(udpr_reactor_call_later(reactor, 0, raise_call, &term, NULL, NULL));
  run_with_timeout(reactor); /* and so does this one without the watch */
  CHECK_EQ(3, watcher.calls);
  CHECK(handler_of(SIGINT) == SIG_DFL && handler_of(SIGTERM) == SIG_DFL);
  OK(udpr_reactor_free(reactor));
}

TEST(other_reactors_still_stop) {
  udpr_reactor  *reactor = new_reactor(UDPR_REACTOR_SIGNALS), *other = new_reactor(UDPR_REACTOR_SIGNALS);
  signal_watcher watcher = {0};
  reactor_thread thread;
  watch_signal(reactor, SIGTERM, &watcher);
  reactor_thread_start(&thread, other);
  CHECK_EQ(0, kill(getpid(), SIGTERM));
  reactor_thread_join(&thread);
  RUN_UNTIL(reactor, watcher.calls);
  OK(udpr_reactor_free(other));
  OK(udpr_reactor_free(reactor));
  CHECK(handler_of(SIGTERM) == SIG_DFL);
}

static void unwatch_call(udpr_reactor *reactor, void *user) {
  signal_watcher *watcher = user;
  OK(udpr_reactor_unwatch(reactor, watcher->id));
  CHECK_EQ(0, raise(watcher->number));
}

TEST(a_watch_that_ends_during_a_run_leaves_the_signal_to_it) {
  udpr_reactor  *reactor = new_reactor(UDPR_REACTOR_SIGNALS);
  signal_watcher watcher = {0};
  watch_signal(reactor, SIGINT, &watcher);
  OK(udpr_reactor_call_later(reactor, 0, unwatch_call, &watcher, NULL, NULL));
  run_with_timeout(reactor);
  CHECK(watcher.calls == 0 && handler_of(SIGINT) == SIG_DFL);
  OK(udpr_reactor_free(reactor));
}

TEST(a_run_that_ends_leaves_the_handler_to_the_watch) {
  udpr_reactor  *reactor = new_reactor(UDPR_REACTOR_SIGNALS);
  signal_watcher watcher = {0};
  watch_signal(reactor, SIGTERM, &watcher);
  OK(udpr_reactor_call_later(reactor, 0, stop_call, NULL, NULL, NULL));
  run_with_timeout(reactor);
  CHECK(handler_of(SIGTERM) != SIG_DFL && handler_of(SIGINT) == SIG_DFL);
  CHECK_EQ(0, raise(SIGTERM));
  run_turns(reactor, 1);
  CHECK_EQ(1, watcher.calls);
  OK(udpr_reactor_free(reactor));
}

/* ---- which signals can be watched ---------------------------------------------------------------------- */

static void check_refused(udpr_reactor *reactor, int32_t number) {
  signal_watcher user = {0};
  udpr_id        id = 42;
  udpr_status    status = udpr_reactor_watch_signal(reactor, number, on_signal, &user, count_free, &id);
  if (status != UDPR_E_INVALID_ARGUMENT) FAIL("signal %d: %s", number, udpr_status_name(status));
  CHECK(user.freed == 1 && id == 42);
}

TEST(signals_that_cannot_be_watched) {
  static const int refused[] = {SIGKILL, SIGSTOP, SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL,    SIGTRAP,
                                SIGSYS,  0,       -1,      -SIGHUP, 65,     128,    INT32_MAX, INT32_MIN};
  udpr_reactor    *reactor = new_reactor(0);
  for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) check_refused(reactor, refused[i]);
  for (int number = 32; number < SIGRTMIN; number++) check_refused(reactor, number); /* the C library's */
  for (int number = 1; number <= SIGRTMAX; number++) {
    signal_watcher   user = {0};
    struct sigaction before, after;
    bool             is_known = sigaction(number, NULL, &before) == 0;
    if (udpr_reactor_watch_signal(reactor, number, on_signal, &user, count_free, &user.id) != UDPR_OK)
      continue;
    CHECK(is_known);
    OK(udpr_reactor_unwatch(reactor, user.id));
    CHECK_EQ(0, sigaction(number, NULL, &after));
    CHECK(before.sa_handler == after.sa_handler && user.freed == 1);
  }
  OK(udpr_reactor_free(reactor));
}

TEST(null_arguments) {
  udpr_reactor  *reactor = new_reactor(0);
  signal_watcher user = {0};
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT,
               udpr_reactor_watch_signal(NULL, SIGHUP, on_signal, &user, count_free, NULL));
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT,
               udpr_reactor_watch_signal(reactor, SIGHUP, NULL, &user, count_free, NULL));
  CHECK_EQ(2, user.freed);
  CHECK(handler_of(SIGHUP) == SIG_DFL);
  OK(udpr_reactor_watch_signal(reactor, SIGHUP, on_signal, &user, NULL, NULL));
  CHECK(handler_of(SIGHUP) != SIG_DFL);
  OK(udpr_reactor_free(reactor));
  CHECK(user.freed == 2 && handler_of(SIGHUP) == SIG_DFL);
}

TEST(sigaction_refused) {
  udpr_reactor  *reactor = new_reactor(0);
  signal_watcher user = {0};
  int            calls[] = {SYS_rt_sigaction};
  refuse_syscalls(calls, 1, EPERM);
  bool is_refused = sigaction(SIGHUP, NULL, NULL) != 0; /* valgrind does without the system call */
  for (int again = 0; again < 3; again++)
    CHECK_STATUS(is_refused ? UDPR_E_PERMISSION : UDPR_OK,
                 udpr_reactor_watch_signal(reactor, SIGHUP, on_signal, &user, count_free, NULL));
  CHECK_EQ(is_refused ? 3 : 0, user.freed);
  OK(udpr_reactor_free(reactor));
  CHECK_EQ(3, user.freed);
}

/* ---- signals at any moment ----------------------------------------------------------------------------- */

enum { ROUNDS = 2000 };

static atomic_bool done;

static void send_signals(void *arg) {
  (void)arg;
  while (!atomic_load(&done)) CHECK_EQ(0, kill(getpid(), SIGUSR1));
}

static void watch_and_unwatch(void *arg) {
  udpr_reactor  *reactor = new_reactor(0);
  signal_watcher watcher = {0};
  for (int round = 0; round < ROUNDS; round++) {
    watch_signal(reactor, SIGUSR1, &watcher);
    OK(udpr_reactor_iterate(reactor, 0));
    OK(udpr_reactor_unwatch(reactor, watcher.id));
    CHECK_EQ(1, watcher.freed);
  }
  atomic_fetch_add((atomic_int *)arg, watcher.calls);
  OK(udpr_reactor_free(reactor));
}

/* Whenever it comes, a signal reaches a watch or the program's own handler: the default would end the process. */
TEST(watches_begin_and_end_under_signals) {
  check_thread sender, others[2];
  atomic_int   calls = 0;
  set_handler(SIGUSR1, own_handler);
  thread_start(&sender, send_signals, NULL);
  for (int i = 0; i < 2; i++) thread_start(&others[i], watch_and_unwatch, &calls);
  for (int i = 0; i < 2; i++) thread_join(&others[i]);
  udpr_reactor  *reactor = new_reactor(0);
  signal_watcher last = {0};
  watch_signal(reactor, SIGUSR1, &last); /* nothing has left the handler uninstalled */
  RUN_UNTIL(reactor, last.calls == 3);
  atomic_store(&done, true);
  thread_join(&sender);
  OK(udpr_reactor_free(reactor));
  CHECK(handler_of(SIGUSR1) == own_handler);
  NOTE("%d calls, %d to the program's own handler", atomic_load(&calls), (int)own_handled);
}

CHECK_MAIN()
