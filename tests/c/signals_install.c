/* What comes the moment run takes the handlers, or gives them back; and a child that runs a reactor of its own. */
#include "probe.h"

#include <dlfcn.h>

static volatile sig_atomic_t own_handled;
static bool                  raise_at_once, install_at_next_look;

static void own_handler(int number) {
  (void)number;
  own_handled++;
}

static void hosts_handler(int number) { (void)number; }

typedef int sigaction_fn(int, const struct sigaction *, struct sigaction *);

/* This program's own: the signal comes right behind a handler that is new, or another thread is faster than whoever looks what
 * there is before changing it.
 */
int sigaction(int number, const struct sigaction *action, struct sigaction *before) {
  sigaction_fn *real;
  *(void **)&real = dlsym(RTLD_NEXT, "sigaction");
  int result = real(number, action, before);
  if (raise_at_once && number == SIGTERM && action && action->sa_handler != own_handler) {
    raise_at_once = false;
    raise(SIGTERM);
  }
  if (install_at_next_look && number == SIGTERM && !action) {
    struct sigaction hosts = {.sa_handler = hosts_handler};
    install_at_next_look = false;
    CHECK_EQ(0, real(number, &hosts, NULL));
  }
  return result;
}

static void own_handler_for_sigterm(void) {
  struct sigaction action = {.sa_handler = own_handler};
  CHECK_EQ(0, sigaction(SIGTERM, &action, NULL));
}

static bool is_own(void) {
  struct sigaction action;
  CHECK_EQ(0, sigaction(SIGTERM, NULL, &action));
  return action.sa_handler == own_handler;
}

TEST(a_signal_at_the_very_beginning_ends_run) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_SIGNALS);
  own_handler_for_sigterm();
  for (int again = 0; again < 3; again++) {
    raise_at_once = true;
    run_with_timeout(reactor);
    CHECK(!raise_at_once && own_handled == 0 && is_own());
  }
  OK(udpr_reactor_free(reactor));
}

static void install_in_a_moment(udpr_reactor *reactor, void *user) {
  (void)user;
  install_at_next_look = true;
  OK(udpr_reactor_stop(reactor));
}

TEST(a_handler_that_comes_the_moment_run_gives_back_stays) {
  struct sigaction action;
  udpr_reactor    *reactor = new_reactor(UDPR_REACTOR_SIGNALS);
  own_handler_for_sigterm();
  OK(udpr_reactor_call_later(reactor, 0, install_in_a_moment, NULL, NULL, NULL));
  run_with_timeout(reactor);
  CHECK(!install_at_next_look);
  CHECK_EQ(0, sigaction(SIGTERM, NULL, &action));
  CHECK(action.sa_handler == hosts_handler);
  OK(udpr_reactor_free(reactor));
}

static int handler_flags;

static void look_at_flags(udpr_reactor *reactor, void *user) {
  struct sigaction action;
  (void)user;
  CHECK_EQ(0, sigaction(SIGTERM, NULL, &action));
  handler_flags = action.sa_flags;
  OK(udpr_reactor_stop(reactor));
}

/* Hosts like Go run their threads on stacks that are too small for a handler. */
TEST(the_handlers_take_the_alternate_stack) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_SIGNALS);
  OK(udpr_reactor_call_later(reactor, 0, look_at_flags, NULL, NULL, NULL));
  run_with_timeout(reactor);
  CHECK_EQ(SA_ONSTACK, handler_flags & SA_ONSTACK);
  OK(udpr_reactor_free(reactor));
}

static void raise_call(udpr_reactor *reactor, void *user) {
  (void)reactor, (void)user;
  CHECK(!is_own());
  CHECK_EQ(0, raise(SIGTERM));
}

static void run_until_signal(void *arg) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_SIGNALS);
  (void)arg;
  for (int again = 0; again < 2; again++) {
    OK(udpr_reactor_call_later(reactor, 0, raise_call, NULL, NULL, NULL));
    run_with_timeout(reactor);
    CHECK(own_handled == 0 && is_own());
  }
  OK(udpr_reactor_free(reactor));
}

static void run_in_a_child(udpr_reactor *reactor, void *user) {
  (void)user;
  run_in_child(run_until_signal, NULL);
  CHECK(!is_own());
  OK(udpr_reactor_stop(reactor));
}

/* There the parent's listener is nobody: the child takes the handlers anew, and gives back what was there before. */
TEST(a_childs_own_run_takes_and_gives_back) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_SIGNALS);
  own_handler_for_sigterm();
  OK(udpr_reactor_call_later(reactor, 0, run_in_a_child, NULL, NULL, NULL));
  run_with_timeout(reactor);
  CHECK(own_handled == 0 && is_own());
  OK(udpr_reactor_free(reactor));
}

CHECK_MAIN()
