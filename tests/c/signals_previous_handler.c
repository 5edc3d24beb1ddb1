/* The library's handler, called while no reactor runs. A program that saves and restores handlers, as
 * readline(3) and getpass(3) do, can install it again after run. It must then act like the handler that was
 * there before the run.
 */
#include "probe.h"

#include <setjmp.h>

static struct sigaction      saved;
static volatile sig_atomic_t own_handled, other_handled;

static void own_handler(int number) {
  (void)number;
  own_handled++;
}

static void other_handler(int number) {
  (void)number;
  other_handled++;
}

static void set_handler(void (*handler)(int)) {
  struct sigaction action = {.sa_handler = handler};
  CHECK_EQ(0, sigaction(SIGTERM, &action, NULL));
}

static struct sigaction current_action(void) {
  struct sigaction action;
  CHECK_EQ(0, sigaction(SIGTERM, NULL, &action));
  return action;
}

static void save_action_and_stop(udpr_reactor *reactor, void *user) {
  struct sigaction action = {.sa_handler = other_handler};
  (void)user;
  CHECK_EQ(0, sigaction(SIGTERM, &action, &saved));
  OK(udpr_reactor_stop(reactor));
}

/* During run, the program saves the library's handler and installs another one. After run it restores the
 * saved one.
 */
static void restore_librarys_handler(void) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_SIGNALS);
  OK(udpr_reactor_call_later(reactor, 0, save_action_and_stop, NULL, NULL, NULL));
  run_with_timeout(reactor);
  OK(udpr_reactor_free(reactor));
  /* run does not replace a handler that the program has installed */
  CHECK(current_action().sa_handler == other_handler);
  CHECK_EQ(0, sigaction(SIGTERM, &saved, NULL));
}

static void raise_call(udpr_reactor *reactor, void *user) {
  (void)reactor, (void)user;
  CHECK_EQ(0, raise(SIGTERM));
}

static void run_until_sigterm(void) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_SIGNALS);
  OK(udpr_reactor_call_later(reactor, 0, raise_call, NULL, NULL, NULL));
  run_with_timeout(reactor);
  OK(udpr_reactor_free(reactor));
}

static void check_ended_by_sigterm(void (*body)(void)) {
  pid_t child = check_fork();
  if (child == 0) {
    body();
    exit(42);
  }
  int status = check_wait(child);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

/* ---- every kind of previous action --------------------------------------------------------------------- */

static void raise_after_restore(void) {
  restore_librarys_handler();
  raise(SIGTERM);
}

TEST(the_default_action_ends_the_process) { check_ended_by_sigterm(raise_after_restore); }

static void *in_another_thread(void *arg) {
  (void)arg;
  raise(SIGTERM);
  return NULL;
}

static void raise_in_a_thread(void) {
  pthread_t thread;
  restore_librarys_handler();
  CHECK_EQ(0, pthread_create(&thread, NULL, in_another_thread, NULL));
  pthread_join(thread, NULL);
}

TEST(the_default_action_ends_the_process_from_any_thread) { check_ended_by_sigterm(raise_in_a_thread); }

static void raise_in_a_child(void) {
  restore_librarys_handler();
  check_ended_by_sigterm(raise_after_restore);
  raise(SIGTERM);
}

TEST(the_default_action_ends_a_child) { check_ended_by_sigterm(raise_in_a_child); }

TEST(an_ignored_signal_stays_ignored) {
  set_handler(SIG_IGN);
  restore_librarys_handler();
  for (int i = 0; i < 3; i++) CHECK_EQ(0, raise(SIGTERM));
  CHECK_EQ(0, other_handled);
}

TEST(a_handler_is_called_once_for_each_signal) {
  set_handler(own_handler);
  restore_librarys_handler();
  for (int i = 1; i <= 3; i++) {
    CHECK_EQ(0, raise(SIGTERM));
    CHECK_EQ(i, own_handled);
  }
  run_until_sigterm(); /* a run works, and restores the previous handler */
  CHECK(own_handled == 3 && current_action().sa_handler == own_handler);
}

static sigset_t  seen_mask;
static siginfo_t seen_info;
static void     *seen_context;

static void record_arguments(int number, siginfo_t *info, void *context) {
  CHECK_EQ(SIGTERM, number);
  own_handled++;
  seen_info = *info, seen_context = context;
  CHECK_EQ(0, sigprocmask(SIG_BLOCK, NULL, &seen_mask));
}

TEST(a_handler_gets_its_arguments_and_its_mask) {
  struct sigaction action = {.sa_sigaction = record_arguments, .sa_flags = SA_SIGINFO | SA_NODEFER};
  union sigval     value = {.sival_int = 4711};
  sigaddset(&action.sa_mask, SIGUSR1);
  CHECK_EQ(0, sigaction(SIGTERM, &action, NULL));
  restore_librarys_handler();
  CHECK_EQ(0, sigqueue(getpid(), SIGTERM, value));
  CHECK(own_handled == 1 && seen_context != NULL);
  CHECK(seen_info.si_code == SI_QUEUE && seen_info.si_pid == getpid());
  CHECK_EQ(4711, seen_info.si_value.sival_int);
  CHECK(sigismember(&seen_mask, SIGUSR1) && !sigismember(&seen_mask, SIGTERM));
  CHECK_EQ(0, sigprocmask(SIG_BLOCK, NULL, &seen_mask));
  CHECK(!sigismember(&seen_mask, SIGUSR1));
}

/* signal(2) passes only one argument. */
TEST(the_librarys_handler_is_restored_by_signal) {
  struct sigaction action = {.sa_sigaction = record_arguments, .sa_flags = SA_SIGINFO};
  CHECK_EQ(0, sigaction(SIGTERM, &action, NULL));
  restore_librarys_handler();
  CHECK(signal(SIGTERM, saved.sa_handler) != SIG_ERR);
  CHECK_EQ(0, raise(SIGTERM));
  CHECK(own_handled == 1 && seen_info.si_signo == SIGTERM && seen_context == NULL);
  run_until_sigterm();
  CHECK(current_action().sa_sigaction == record_arguments);
}

/* Returns the error of read(2) while signals arrive. After `count` signals, a byte arrives. */
static int read_during_signals(int flags, int count) {
  struct sigaction action = {.sa_handler = own_handler, .sa_flags = flags};
  int              ends[2];
  char             byte;
  CHECK_EQ(0, sigaction(SIGTERM, &action, NULL));
  restore_librarys_handler();
  CHECK_EQ(0, pipe(ends));
  pid_t child = check_fork();
  if (child == 0) {
    while (count-- > 0 && kill(getppid(), SIGTERM) == 0) usleep(1000);
    CHECK_EQ(1, write(ends[1], "x", 1));
    pause();
  }
  ssize_t received = read(ends[0], &byte, 1);
  int     error = errno;
  CHECK_EQ(0, kill(child, SIGKILL));
  CHECK(WIFSIGNALED(check_wait(child)) && own_handled > 0);
  close(ends[0]);
  close(ends[1]);
  return received < 0 ? error : 0;
}

TEST(a_call_is_interrupted_if_the_previous_handler_interrupts) {
  CHECK_EQ(EINTR, read_during_signals(0, 1000000));
}
TEST(a_call_is_restarted_if_the_previous_handler_restarts) {
  CHECK_EQ(0, read_during_signals(SA_RESTART, 50));
}

static void raise_with_resethand(void) {
  struct sigaction action = {.sa_handler = own_handler, .sa_flags = (int)SA_RESETHAND};
  CHECK_EQ(0, sigaction(SIGTERM, &action, NULL));
  restore_librarys_handler();
  raise(SIGTERM);
  if (own_handled != 1) exit(43);
  raise(SIGTERM);
}

TEST(a_handler_with_resethand_is_called_once) { check_ended_by_sigterm(raise_with_resethand); }

static sigjmp_buf jump;

static void leave_by_siglongjmp(int number) {
  own_handled++;
  siglongjmp(jump, number);
}

TEST(a_handler_may_leave_by_siglongjmp) {
  set_handler(leave_by_siglongjmp);
  restore_librarys_handler();
  for (volatile int i = 1; i <= 3; i++) {
    if (sigsetjmp(jump, 1) == 0) {
      raise(SIGTERM);
      FAIL("%s", "raise has returned");
    }
    CHECK_EQ(i, own_handled);
  }
  run_until_sigterm();
}

/* ---- chains of handlers -------------------------------------------------------------------------------- */

/* A handler of the program that calls the one that it has found. */
static struct sigaction chained_action;

static void chaining_handler(int number) {
  other_handled++;
  if (chained_action.sa_flags & SA_SIGINFO) chained_action.sa_sigaction(number, &(siginfo_t){0}, NULL);
  else chained_action.sa_handler(number);
}

static void install_chaining_handler(udpr_reactor *reactor, void *user) {
  struct sigaction action = {.sa_handler = chaining_handler};
  (void)reactor, (void)user;
  CHECK_EQ(0, sigaction(SIGTERM, &action, &chained_action));
  CHECK_EQ(0, raise(SIGTERM)); /* chaining_handler calls the library's handler, which ends run */
}

TEST(a_handler_may_chain_to_the_librarys_handler) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_SIGNALS);
  set_handler(own_handler);
  OK(udpr_reactor_call_later(reactor, 0, install_chaining_handler, NULL, NULL, NULL));
  run_with_timeout(reactor);
  CHECK(own_handled == 0 && other_handled == 1);
  set_handler(chaining_handler);
  /* The library's second handler has `chaining_handler` as its previous one, which calls the library's first,
   * whose previous one is own_handler.
   */
  restore_librarys_handler();
  CHECK_EQ(0, raise(SIGTERM));
  CHECK(own_handled == 1 && other_handled == 2);
  OK(udpr_reactor_free(reactor));
}

static void install_other(udpr_reactor *reactor, void *user) {
  (void)user;
  set_handler(other_handler);
  OK(udpr_reactor_stop(reactor));
}

TEST(a_handler_installed_during_run_stays) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_SIGNALS);
  set_handler(own_handler);
  for (int again = 0; again < 3; again++) {
    OK(udpr_reactor_call_later(reactor, 0, install_other, NULL, NULL, NULL));
    run_with_timeout(reactor);
    CHECK(current_action().sa_handler == other_handler);
  }
  CHECK_EQ(0, raise(SIGTERM));
  CHECK(own_handled == 0 && other_handled == 1);
  OK(udpr_reactor_free(reactor));
}

/* More different previous handlers than the library has slots for; each is still referred to by a saved
 * action.
 */
TEST(many_different_previous_handlers) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_SIGNALS);
  for (int number = SIGRTMIN; number < SIGRTMIN + 12; number++) {
    struct sigaction action = {.sa_handler = own_handler}, after;
    sigaddset(&action.sa_mask, number);
    CHECK_EQ(0, sigaction(SIGTERM, &action, NULL));
    OK(udpr_reactor_call_later(reactor, 0, raise_call, NULL, NULL, NULL));
    run_with_timeout(reactor);
    after = current_action();
    CHECK(after.sa_handler == own_handler && own_handled == 0);
    for (int other = SIGRTMIN; other < SIGRTMIN + 12; other++)
      CHECK_EQ(sigismember(&action.sa_mask, other), sigismember(&after.sa_mask, other));
  }
  OK(udpr_reactor_free(reactor));
}

CHECK_MAIN()
