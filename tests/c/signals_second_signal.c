/* A second signal, while a shutdown hangs in a before-trigger that never finishes, ends run at once. */
#include "event_log.h"

static void act_raise(udpr_reactor *reactor, logged_call *self) {
  (void)reactor;
  CHECK_EQ(0, raise(*(int *)self->arg));
}

/* In a later turn, when the shutdown hangs. */
static void act_later(udpr_reactor *reactor, logged_call *self) { call_later_logged(reactor, 0, self->arg); }

static void ends_by_two(int first, int second) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_SIGNALS);
  probe         port = {0};
  logged_call   raises[2] = {{.act = act_raise, .arg = &first}, {.act = act_raise, .arg = &second}};
  logged_call   before = {.status = UDPR_PENDING, .act = act_later, .arg = &raises[1]}, during = {0},
              after = {0};
  probe_listen(&port, reactor);
  add_logged_trigger(reactor, BEFORE, SHUTDOWN, &before);
  add_logged_trigger(reactor, DURING, SHUTDOWN, &during);
  add_logged_trigger(reactor, AFTER, SHUTDOWN, &after);
  call_later_logged(reactor, 0, &raises[0]);
  run_with_timeout(reactor);
  CHECK(before.called == 1 && during.called == 0 && after.called == 0);
  CHECK(raises[1].called == 1); /* the first alone did not end it */
  CHECK(!udpr_reactor_is_running(reactor));
  CHECK_EQ(0, port.stops); /* as after crash */
  OK(udpr_reactor_free(reactor));
  probe_check_ended(&port);
  CHECK(before.freed == 1 && during.freed == 1 && after.freed == 1);
}

TEST(any_two_signals_end_it) {
  ends_by_two(SIGINT, SIGINT);
  ends_by_two(SIGTERM, SIGTERM);
  ends_by_two(SIGINT, SIGTERM);
}

TEST(one_signal_after_stop_ends_it) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_SIGNALS);
  int           number = SIGINT;
  logged_call   signal = {.act = act_raise, .arg = &number};
  logged_call   before = {.status = UDPR_PENDING, .act = act_later, .arg = &signal};
  add_logged_trigger(reactor, BEFORE, SHUTDOWN, &before);
  run_and_stop(reactor);
  CHECK(before.called == 1 && signal.called == 1);
  OK(udpr_reactor_free(reactor));
}

/* ---- a program of its own, that waits ------------------------------------------------------------------ */

static udpr_status never_finish(udpr_reactor *reactor, udpr_id id, void *user) {
  (void)reactor, (void)id;
  CHECK_EQ(1, write(*(int *)user, "h", 1));
  return UDPR_PENDING;
}

static void tell_ready(udpr_reactor *reactor, void *user) {
  (void)reactor;
  CHECK_EQ(1, write(*(int *)user, "r", 1));
}

static void server(int tell) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_SIGNALS);
  OK(udpr_reactor_add_trigger(reactor, BEFORE, SHUTDOWN, never_finish, &tell, NULL, NULL));
  OK(udpr_reactor_call_when_running(reactor, tell_ready, &tell, NULL, NULL));
  OK(udpr_reactor_run(reactor));
  OK(udpr_reactor_free(reactor));
  exit(42);
}

TEST(two_ctrl_c_end_a_process_that_hangs) {
  int  told[2];
  char bytes[2];
  CHECK_EQ(0, pipe(told));
  pid_t child = check_fork();
  if (child == 0) server(told[1]);
  for (int i = 0; i < 2; i++) { /* ready, then hanging */
    CHECK_EQ(1, read(told[0], &bytes[i], 1));
    CHECK_EQ("rh"[i], bytes[i]);
    CHECK_EQ(0, kill(child, SIGINT));
  }
  int status = check_wait(child);
  CHECK(WIFEXITED(status));
  CHECK_EQ(42, WEXITSTATUS(status));
  close(told[0]);
  close(told[1]);
}

CHECK_MAIN()
