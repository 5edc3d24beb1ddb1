/* Signals and handlers at the moment when run or a watch installs or restores handlers, and a child that runs a
 * reactor of its own.
 */
#include "probe.h"

#include <dlfcn.h>

static volatile sig_atomic_t own_handled;
static bool                  raise_at_once, install_at_next_query;
static udpr_reactor *volatile watch_at_next_restore; /* changed inside raise */
static int watch_called;

static void own_handler(int number) {
  (void)number;
  own_handled++;
}

static void late_handler(int number) { (void)number; }

static void count_call(udpr_reactor *reactor, udpr_id id, int32_t number, void *user) {
  (void)reactor, (void)id, (void)number, (void)user;
  watch_called++;
}

typedef int sigaction_fn(int, const struct sigaction *, struct sigaction *);

/* Replaces the function of the C library: raises a signal right after a handler was installed, or installs
 * another handler right after the present one was queried, or begins a watch right before own_handler is restored, as another
 * thread might do.
 */
int sigaction(int number, const struct sigaction *action, struct sigaction *before) {
  sigaction_fn *real;
  *(void **)&real = dlsym(RTLD_NEXT, "sigaction");
  if (watch_at_next_restore && number == SIGTERM && action && action->sa_handler == own_handler) {
    udpr_reactor *reactor = watch_at_next_restore;
    watch_at_next_restore = NULL;
    OK(udpr_reactor_watch_signal(reactor, SIGTERM, count_call, NULL, NULL, NULL));
  }
  int result = real(number, action, before);
  if (raise_at_once && number == SIGTERM && action && action->sa_handler != own_handler) {
    raise_at_once = false;
    raise(SIGTERM);
  }
  if (install_at_next_query && number == SIGTERM && !action) {
    struct sigaction late = {.sa_handler = late_handler};
    install_at_next_query = false;
    CHECK_EQ(0, real(number, &late, NULL));
  }
  return result;
}

static void install_own_handler(void) {
  struct sigaction action = {.sa_handler = own_handler};
  CHECK_EQ(0, sigaction(SIGTERM, &action, NULL));
}

static bool own_handler_is_installed(void) {
  struct sigaction action;
  CHECK_EQ(0, sigaction(SIGTERM, NULL, &action));
  return action.sa_handler == own_handler;
}

TEST(a_signal_right_after_the_installation_ends_run) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_SIGNALS);
  install_own_handler();
  for (int again = 0; again < 3; again++) {
    raise_at_once = true;
    run_with_timeout(reactor);
    CHECK(!raise_at_once && own_handled == 0 && own_handler_is_installed());
  }
  OK(udpr_reactor_free(reactor));
}

static void install_late_and_stop(udpr_reactor *reactor, void *user) {
  (void)user;
  install_at_next_query = true;
  OK(udpr_reactor_stop(reactor));
}

TEST(a_handler_installed_while_run_restores_stays) {
  struct sigaction action;
  udpr_reactor    *reactor = new_reactor(UDPR_REACTOR_SIGNALS);
  install_own_handler();
  OK(udpr_reactor_call_later(reactor, 0, install_late_and_stop, NULL, NULL, NULL));
  run_with_timeout(reactor);
  CHECK(!install_at_next_query);
  CHECK_EQ(0, sigaction(SIGTERM, NULL, &action));
  CHECK(action.sa_handler == late_handler);
  OK(udpr_reactor_free(reactor));
}

/* The program has restored the library's handler, so that a signal puts own_handler back while a watch finds the library's. */
TEST(a_watch_that_begins_while_a_signal_restores_keeps_its_handler) {
  struct sigaction librarys;
  udpr_id          id;
  udpr_reactor    *reactor = new_reactor(0);
  install_own_handler();
  OK(udpr_reactor_watch_signal(reactor, SIGTERM, count_call, NULL, NULL, &id));
  CHECK_EQ(0, sigaction(SIGTERM, NULL, &librarys));
  OK(udpr_reactor_unwatch(reactor, id));
  CHECK(own_handler_is_installed());
  CHECK_EQ(0, sigaction(SIGTERM, &librarys, NULL));
  watch_at_next_restore = reactor;
  CHECK_EQ(0, raise(SIGTERM));
  CHECK(!watch_at_next_restore && own_handled == 1 && !own_handler_is_installed());
  CHECK_EQ(0, raise(SIGTERM));
  run_turns(reactor, 1);
  CHECK(watch_called == 1 && own_handled == 1);
  OK(udpr_reactor_free(reactor));
  CHECK(own_handler_is_installed());
}

static int handler_flags;

static void get_handler_flags(udpr_reactor *reactor, void *user) {
  struct sigaction action;
  (void)user;
  CHECK_EQ(0, sigaction(SIGTERM, NULL, &action));
  handler_flags = action.sa_flags;
  OK(udpr_reactor_stop(reactor));
}

/* Go, for example, runs threads on stacks that are too small for a signal handler. */
TEST(the_handlers_use_the_alternate_stack) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_SIGNALS);
  OK(udpr_reactor_call_later(reactor, 0, get_handler_flags, NULL, NULL, NULL));
  run_with_timeout(reactor);
  CHECK_EQ(SA_ONSTACK, handler_flags & SA_ONSTACK);
  OK(udpr_reactor_free(reactor));
}

static void raise_call(udpr_reactor *reactor, void *user) {
  (void)reactor, (void)user;
  CHECK(!own_handler_is_installed());
  CHECK_EQ(0, raise(SIGTERM));
}

static void run_until_signal(void *arg) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_SIGNALS);
  (void)arg;
  for (int again = 0; again < 2; again++) {
    OK(udpr_reactor_call_later(reactor, 0, raise_call, NULL, NULL, NULL));
    run_with_timeout(reactor);
    CHECK(own_handled == 0 && own_handler_is_installed());
  }
  OK(udpr_reactor_free(reactor));
}

static void run_in_a_child(udpr_reactor *reactor, void *user) {
  (void)user;
  run_in_child(run_until_signal, NULL);
  CHECK(!own_handler_is_installed());
  OK(udpr_reactor_stop(reactor));
}

/* The parent's run does not exist in the child. The child installs the handlers again, and restores the
 * previous ones.
 */
TEST(a_childs_run_installs_and_restores_handlers) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_SIGNALS);
  install_own_handler();
  OK(udpr_reactor_call_later(reactor, 0, run_in_a_child, NULL, NULL, NULL));
  run_with_timeout(reactor);
  CHECK(own_handled == 0 && own_handler_is_installed());
  OK(udpr_reactor_free(reactor));
}

CHECK_MAIN()
