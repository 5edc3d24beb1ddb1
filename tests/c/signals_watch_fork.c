/* Watches of signals in forked children: until udpr_reactor_after_fork a signal has its former effect. */
#include "signal_watcher.h"

typedef struct fixture {
  udpr_reactor  *reactor;
  signal_watcher watcher;
} fixture;

static void set_up(fixture *f, void (*former)(int)) {
  *f = (fixture){.reactor = new_reactor(0)};
  set_handler(SIGHUP, former);
  watch_signal(f->reactor, SIGHUP, &f->watcher);
}

/* The child must not have changed anything. */
static void check_parent_works(fixture *f, void (*former)(int)) {
  int before = f->watcher.calls;
  CHECK(handler_of(SIGHUP) != former);
  CHECK_EQ(0, raise(SIGHUP));
  run_turns(f->reactor, 2);
  CHECK_EQ(before + 1, f->watcher.calls);
  OK(udpr_reactor_free(f->reactor));
  CHECK(f->watcher.freed == 1 && handler_of(SIGHUP) == former && own_handled == 0);
}

static int end_of_child(void (*body)(fixture *), fixture *f) {
  pid_t child = check_fork();
  if (child == 0) {
    body(f);
    kill(getpid(), SIGKILL);
  }
  int status = check_wait(child);
  CHECK(WIFSIGNALED(status));
  return WTERMSIG(status);
}

/* ---- before after_fork --------------------------------------------------------------------------------- */

static void raise_three_times(void) {
  CHECK(handler_of(SIGHUP) != own_handler);
  for (int i = 1; i <= 3; i++) {
    CHECK_EQ(0, raise(SIGHUP));
    CHECK_EQ(i, own_handled);
    CHECK(handler_of(SIGHUP) == own_handler);
  }
}

static void raise_to_own_handler(fixture *f) {
  raise_three_times();
  CHECK_STATUS(UDPR_E_CLOSED, udpr_reactor_iterate(f->reactor, 0));
  CHECK_EQ(0, f->watcher.calls);
}

TEST(a_former_handler_is_put_back_and_called) {
  fixture f;
  set_up(&f, own_handler);
  CHECK_EQ(SIGKILL, end_of_child(raise_to_own_handler, &f));
  check_parent_works(&f, own_handler);
}

static volatile sig_atomic_t has_seen;
static siginfo_t             seen;

static void record_info(int number, siginfo_t *info, void *context) {
  (void)number, (void)context;
  seen = *info, has_seen = 1;
}

static void queue_to_own_handler(fixture *f) {
  (void)f;
  CHECK_EQ(0, sigqueue(getpid(), SIGHUP, (union sigval){.sival_int = 4711}));
  while (!has_seen) sched_yield(); /* valgrind delivers signals later than the kernel */
  CHECK(seen.si_code == SI_QUEUE && seen.si_value.sival_int == 4711);
}

TEST(a_former_handler_gets_the_signals_own_arguments) {
  fixture          f;
  struct sigaction action = {.sa_sigaction = record_info, .sa_flags = SA_SIGINFO};
  set_up(&f, SIG_DFL);
  OK(udpr_reactor_unwatch(f.reactor, f.watcher.id));
  CHECK_EQ(0, sigaction(SIGHUP, &action, NULL));
  watch_signal(f.reactor, SIGHUP, &f.watcher);
  CHECK_EQ(SIGKILL, end_of_child(queue_to_own_handler, &f));
  OK(udpr_reactor_free(f.reactor));
}

static void raise_and_exit(fixture *f) {
  (void)f;
  raise(SIGHUP);
}

TEST(the_default_ends_the_child) {
  fixture f;
  set_up(&f, SIG_DFL);
  CHECK_EQ(SIGHUP, end_of_child(raise_and_exit, &f));
  check_parent_works(&f, SIG_DFL);
}

static void raise_ignored(fixture *f) {
  (void)f;
  for (int i = 0; i < 3; i++) CHECK_EQ(0, raise(SIGHUP));
  CHECK(handler_of(SIGHUP) == SIG_IGN);
}

TEST(an_ignored_signal_is_ignored_in_the_child) {
  fixture f;
  set_up(&f, SIG_IGN);
  CHECK_EQ(SIGKILL, end_of_child(raise_ignored, &f));
  check_parent_works(&f, SIG_IGN);
}

static void free_and_raise(fixture *f) {
  OK(udpr_reactor_free(f->reactor));
  raise_three_times();
}

/* ---- after_fork ---------------------------------------------------------------------------------------- */

static void continue_in_child(fixture *f) {
  OK(udpr_reactor_after_fork(f->reactor));
  run_turns(f->reactor, 2);
  CHECK_EQ(0, f->watcher.calls); /* what the parent has received is the parent's */
  for (int i = 1; i <= 3; i++) {
    CHECK_EQ(0, raise(SIGHUP));
    run_turns(f->reactor, 2);
    CHECK_EQ(i, f->watcher.calls);
  }
  CHECK_EQ(0, own_handled);
  OK(udpr_reactor_free(f->reactor));
  CHECK(f->watcher.freed == 1 && handler_of(SIGHUP) == own_handler);
}

TEST(watches_go_on_after_after_fork) {
  fixture f;
  set_up(&f, own_handler);
  CHECK_EQ(0, raise(SIGHUP)); /* not delivered yet at the fork */
  CHECK_EQ(SIGKILL, end_of_child(continue_in_child, &f));
  run_turns(f.reactor, 2);
  CHECK_EQ(1, f.watcher.calls);
  check_parent_works(&f, own_handler);
}

static void raise_then_continue(fixture *f) {
  CHECK_EQ(0, raise(SIGHUP));
  CHECK(own_handled == 1 && handler_of(SIGHUP) == own_handler);
  own_handled = 0;
  continue_in_child(f);
}

TEST(after_fork_installs_a_handler_that_was_put_back) {
  fixture f;
  set_up(&f, own_handler);
  CHECK_EQ(SIGKILL, end_of_child(raise_then_continue, &f));
  check_parent_works(&f, own_handler);
}

static void continue_in_grandchild(fixture *f) {
  OK(udpr_reactor_after_fork(f->reactor));
  CHECK_EQ(SIGKILL, end_of_child(continue_in_child, f));
  CHECK_EQ(SIGKILL, end_of_child(raise_to_own_handler, f));
  run_turns(f->reactor, 2);
  CHECK_EQ(0, f->watcher.calls);
}

TEST(a_child_of_a_child) {
  fixture f;
  set_up(&f, own_handler);
  CHECK_EQ(SIGKILL, end_of_child(continue_in_grandchild, &f));
  check_parent_works(&f, own_handler);
}

/* Two reactors, one of which the child takes over. The other one's watch does not exist there. */
static void continue_one(fixture *f) {
  signal_watcher *of_the_other = f->watcher.arg;
  OK(udpr_reactor_after_fork(f->reactor));
  CHECK_EQ(0, raise(SIGHUP));
  CHECK_EQ(0, raise(SIGUSR1)); /* watched by the other reactor alone */
  run_turns(f->reactor, 2);
  CHECK(f->watcher.calls == 1 && of_the_other->calls == 0 && own_handled == 1);
}

TEST(a_child_that_renews_one_of_two_reactors) {
  fixture        f;
  signal_watcher others[2] = {0};
  udpr_reactor  *other = new_reactor(0);
  set_up(&f, own_handler);
  set_handler(SIGUSR1, own_handler);
  watch_signal(other, SIGHUP, &others[0]);
  watch_signal(other, SIGUSR1, &others[1]);
  f.watcher.arg = &others[0];
  CHECK_EQ(SIGKILL, end_of_child(continue_one, &f));
  OK(udpr_reactor_free(other));
  check_parent_works(&f, own_handler);
}

TEST(a_child_that_frees_the_reactor) {
  fixture f;
  set_up(&f, own_handler);
  CHECK_EQ(SIGKILL, end_of_child(free_and_raise, &f));
  check_parent_works(&f, own_handler);
}

static void fork_in_callback(udpr_reactor *reactor, signal_watcher *self) {
  self->act = NULL;
  pid_t child = check_fork();
  if (child == 0) {
    CHECK_STATUS(UDPR_E_REENTRANT, udpr_reactor_after_fork(reactor));
    raise_three_times();
    kill(getpid(), SIGKILL);
  }
  int status = check_wait(child);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

TEST(a_child_that_a_callback_forks) {
  fixture f;
  set_up(&f, own_handler);
  f.watcher.act = fork_in_callback;
  CHECK_EQ(0, raise(SIGHUP));
  run_turns(f.reactor, 2);
  CHECK_EQ(1, f.watcher.calls);
  check_parent_works(&f, own_handler);
}

CHECK_MAIN()
