/* What our handler does when nobody listens: a host that saves handlers and restores them, as readline(3) and getpass(3) do,
 * leaves it behind after run. Then it is as good as the one that was there before.
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

static struct sigaction now(void) {
  struct sigaction action;
  CHECK_EQ(0, sigaction(SIGTERM, NULL, &action));
  return action;
}

static void save_and_stop(udpr_reactor *reactor, void *user) {
  struct sigaction action = {.sa_handler = other_handler};
  (void)user;
  CHECK_EQ(0, sigaction(SIGTERM, &action, &saved));
  OK(udpr_reactor_stop(reactor));
}

/* A run during which the host puts a handler of its own there, and after which it puts back what it had found: ours. */
static void leave_ours_behind(void) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_SIGNALS);
  OK(udpr_reactor_call_later(reactor, 0, save_and_stop, NULL, NULL, NULL));
  run_with_timeout(reactor);
  OK(udpr_reactor_free(reactor));
  CHECK(now().sa_handler == other_handler); /* a handler that somebody has put in our place stays */
  CHECK_EQ(0, sigaction(SIGTERM, &saved, NULL));
}

static void run_and_raise(udpr_reactor *reactor, void *user) {
  (void)reactor, (void)user;
  CHECK_EQ(0, raise(SIGTERM));
}

static void runs_until_sigterm(void) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_SIGNALS);
  OK(udpr_reactor_call_later(reactor, 0, run_and_raise, NULL, NULL, NULL));
  run_with_timeout(reactor);
  OK(udpr_reactor_free(reactor));
}

static void ends_by_sigterm(void (*body)(void)) {
  pid_t child = check_fork();
  if (child == 0) {
    body();
    exit(42);
  }
  int status = check_wait(child);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
}

/* ---- every kind of former action ------------------------------------------------------------------------- */

static void raise_with_default(void) {
  leave_ours_behind();
  raise(SIGTERM);
}

TEST(the_default_ends_the_process) { ends_by_sigterm(raise_with_default); }

static void *in_another_thread(void *arg) {
  (void)arg;
  raise(SIGTERM);
  return NULL;
}

static void raise_in_a_thread(void) {
  pthread_t thread;
  leave_ours_behind();
  CHECK_EQ(0, pthread_create(&thread, NULL, in_another_thread, NULL));
  pthread_join(thread, NULL);
}

TEST(the_default_ends_the_process_from_any_thread) { ends_by_sigterm(raise_in_a_thread); }

static void raise_in_a_child(void) {
  leave_ours_behind();
  ends_by_sigterm(raise_with_default);
  raise(SIGTERM);
}

TEST(the_default_ends_a_child_too) { ends_by_sigterm(raise_in_a_child); }

TEST(an_ignored_signal_stays_ignored) {
  set_handler(SIG_IGN);
  leave_ours_behind();
  for (int i = 0; i < 3; i++) CHECK_EQ(0, raise(SIGTERM));
  CHECK_EQ(0, other_handled);
}

TEST(a_handler_is_called_once_a_signal) {
  set_handler(own_handler);
  leave_ours_behind();
  for (int i = 1; i <= 3; i++) {
    CHECK_EQ(0, raise(SIGTERM));
    CHECK_EQ(i, own_handled);
  }
  runs_until_sigterm(); /* which works, and ends with the former handler */
  CHECK(own_handled == 3 && now().sa_handler == own_handler);
}

static sigset_t  seen_mask;
static siginfo_t seen_info;
static void     *seen_context;

static void look_around(int number, siginfo_t *info, void *context) {
  CHECK_EQ(SIGTERM, number);
  own_handled++;
  seen_info = *info, seen_context = context;
  CHECK_EQ(0, sigprocmask(SIG_BLOCK, NULL, &seen_mask));
}

TEST(a_handler_gets_its_arguments_and_its_mask) {
  struct sigaction action = {.sa_sigaction = look_around, .sa_flags = SA_SIGINFO | SA_NODEFER};
  union sigval     value = {.sival_int = 4711};
  sigaddset(&action.sa_mask, SIGUSR1);
  CHECK_EQ(0, sigaction(SIGTERM, &action, NULL));
  leave_ours_behind();
  CHECK_EQ(0, sigqueue(getpid(), SIGTERM, value));
  CHECK(own_handled == 1 && seen_context != NULL);
  CHECK(seen_info.si_code == SI_QUEUE && seen_info.si_pid == getpid());
  CHECK_EQ(4711, seen_info.si_value.sival_int);
  CHECK(sigismember(&seen_mask, SIGUSR1) && !sigismember(&seen_mask, SIGTERM));
  CHECK_EQ(0, sigprocmask(SIG_BLOCK, NULL, &seen_mask));
  CHECK(!sigismember(&seen_mask, SIGUSR1));
}

/* signal(2) asks for one argument only. */
TEST(a_handler_that_was_put_back_by_signal) {
  struct sigaction action = {.sa_sigaction = look_around, .sa_flags = SA_SIGINFO};
  CHECK_EQ(0, sigaction(SIGTERM, &action, NULL));
  leave_ours_behind();
  CHECK(signal(SIGTERM, saved.sa_handler) != SIG_ERR);
  CHECK_EQ(0, raise(SIGTERM));
  CHECK(own_handled == 1 && seen_info.si_signo == SIGTERM && seen_context == NULL);
  runs_until_sigterm();
  CHECK(now().sa_sigaction == look_around);
}

/* What read says while signals come; after `count` of them there is a byte. */
static int interrupted_by(int flags, int count) {
  struct sigaction action = {.sa_handler = own_handler, .sa_flags = flags};
  int              ends[2];
  char             byte;
  CHECK_EQ(0, sigaction(SIGTERM, &action, NULL));
  leave_ours_behind();
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

TEST(a_call_is_interrupted_where_the_former_handler_does_it) { CHECK_EQ(EINTR, interrupted_by(0, 1000000)); }
TEST(a_call_goes_on_where_the_former_handler_has_it_so) { CHECK_EQ(0, interrupted_by(SA_RESTART, 50)); }

static void handle_once(void) {
  struct sigaction action = {.sa_handler = own_handler, .sa_flags = (int)SA_RESETHAND};
  CHECK_EQ(0, sigaction(SIGTERM, &action, NULL));
  leave_ours_behind();
  raise(SIGTERM);
  if (own_handled != 1) exit(43);
  raise(SIGTERM);
}

TEST(a_handler_for_one_signal_is_called_for_one) { ends_by_sigterm(handle_once); }

static sigjmp_buf out;

static void leap(int number) {
  own_handled++;
  siglongjmp(out, number);
}

TEST(a_handler_may_leave_by_siglongjmp) {
  set_handler(leap);
  leave_ours_behind();
  for (volatile int i = 1; i <= 3; i++) {
    if (sigsetjmp(out, 1) == 0) {
      raise(SIGTERM);
      FAIL("%s", "raise has returned");
    }
    CHECK_EQ(i, own_handled);
  }
  runs_until_sigterm();
}

/* ---- several in a row ------------------------------------------------------------------------------------ */

/* A handler of the host's that calls the one before it, as it has found it. */
static struct sigaction before_chain;

static void chain(int number) {
  other_handled++;
  if (before_chain.sa_flags & SA_SIGINFO) before_chain.sa_sigaction(number, &(siginfo_t){0}, NULL);
  else before_chain.sa_handler(number);
}

static void install_chain(udpr_reactor *reactor, void *user) {
  struct sigaction action = {.sa_handler = chain};
  (void)reactor, (void)user;
  CHECK_EQ(0, sigaction(SIGTERM, &action, &before_chain));
  CHECK_EQ(0, raise(SIGTERM)); /* through `chain` to ours, which listens: run ends */
}

TEST(a_handler_that_calls_ours_finds_the_one_before_it) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_SIGNALS);
  set_handler(own_handler);
  OK(udpr_reactor_call_later(reactor, 0, install_chain, NULL, NULL, NULL));
  run_with_timeout(reactor);
  CHECK(own_handled == 0 && other_handled == 1);
  set_handler(chain);
  leave_ours_behind(); /* another one of ours: it stands in for `chain`, which calls the first, for own_handler */
  CHECK_EQ(0, raise(SIGTERM));
  CHECK(own_handled == 1 && other_handled == 2);
  OK(udpr_reactor_free(reactor));
}

static void install_other(udpr_reactor *reactor, void *user) {
  (void)user;
  set_handler(other_handler);
  OK(udpr_reactor_stop(reactor));
}

TEST(a_handler_that_the_host_installs_during_run_stays) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_SIGNALS);
  set_handler(own_handler);
  for (int again = 0; again < 3; again++) {
    OK(udpr_reactor_call_later(reactor, 0, install_other, NULL, NULL, NULL));
    run_with_timeout(reactor);
    CHECK(now().sa_handler == other_handler);
  }
  CHECK_EQ(0, raise(SIGTERM));
  CHECK(own_handled == 0 && other_handled == 1);
  OK(udpr_reactor_free(reactor));
}

/* More former handlers than ours has places for, each alive in one that was saved. */
TEST(many_different_handlers) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_SIGNALS);
  for (int number = SIGRTMIN; number < SIGRTMIN + 12; number++) {
    struct sigaction action = {.sa_handler = own_handler}, after;
    sigaddset(&action.sa_mask, number);
    CHECK_EQ(0, sigaction(SIGTERM, &action, NULL));
    OK(udpr_reactor_call_later(reactor, 0, run_and_raise, NULL, NULL, NULL));
    run_with_timeout(reactor);
    after = now();
    CHECK(after.sa_handler == own_handler && own_handled == 0);
    for (int other = SIGRTMIN; other < SIGRTMIN + 12; other++)
      CHECK_EQ(sigismember(&action.sa_mask, other), sigismember(&after.sa_mask, other));
  }
  OK(udpr_reactor_free(reactor));
}

CHECK_MAIN()
