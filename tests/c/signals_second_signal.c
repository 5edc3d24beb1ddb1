/* A second signal during a shutdown whose before-trigger never finishes ends run at once. */
#include "event_log.h"

static void act_raise(udpr_reactor *reactor, logged_call *self) {
  (void)reactor;
  CHECK_EQ(0, raise(*(int *)self->arg));
}

/* In a later turn, while the shutdown is pending. */
static void act_later(udpr_reactor *reactor, logged_call *self) { call_later_logged(reactor, 0, self->arg); }

static void check_ended_by_two(int first, int second) {
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
  CHECK(raises[1].called == 1); /* the first signal alone has not ended it */
  CHECK(!udpr_reactor_is_running(reactor));
  CHECK_EQ(0, port.stops); /* not stopped, as after crash */
  OK(udpr_reactor_free(reactor));
  probe_check_ended(&port);
  CHECK(before.freed == 1 && during.freed == 1 && after.freed == 1);
}

TEST(two_signals_end_a_pending_shutdown) {
  check_ended_by_two(SIGINT, SIGINT);
  check_ended_by_two(SIGTERM, SIGTERM);
  check_ended_by_two(SIGINT, SIGTERM);
}

TEST(one_signal_after_stop_ends_a_pending_shutdown) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_SIGNALS);
  int           number = SIGINT;
  logged_call   signal = {.act = act_raise, .arg = &number};
  logged_call   before = {.status = UDPR_PENDING, .act = act_later, .arg = &signal};
  add_logged_trigger(reactor, BEFORE, SHUTDOWN, &before);
  run_and_stop(reactor);
  CHECK(before.called == 1 && signal.called == 1);
  OK(udpr_reactor_free(reactor));
}

/* ---- another process that waits ------------------------------------------------------------------------ */

static udpr_status return_pending(udpr_reactor *reactor, udpr_id id, void *user) {
  (void)reactor, (void)id;
  CHECK_EQ(1, write(*(int *)user, "h", 1));
  return UDPR_PENDING;
}

static void write_ready_byte(udpr_reactor *reactor, void *user) {
  (void)reactor;
  CHECK_EQ(1, write(*(int *)user, "r", 1));
}

static void server(int report) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_SIGNALS);
  OK(udpr_reactor_add_trigger(reactor, BEFORE, SHUTDOWN, return_pending, &report, NULL, NULL));
  OK(udpr_reactor_call_when_running(reactor, write_ready_byte, &report, NULL, NULL));
  OK(udpr_reactor_run(reactor));
  OK(udpr_reactor_free(reactor));
  exit(42);
}

TEST(two_sigints_end_a_process_with_a_pending_shutdown) {
  int  reports[2];
  char bytes[2];
  CHECK_EQ(0, pipe(reports));
  pid_t child = check_fork();
  if (child == 0) server(reports[1]);
  for (int i = 0; i < 2; i++) { /* running, then pending */
    CHECK_EQ(1, read(reports[0], &bytes[i], 1));
    CHECK_EQ("rh"[i], bytes[i]);
    CHECK_EQ(0, kill(child, SIGINT));
  }
  int status = check_wait(child);
  CHECK(WIFEXITED(status));
  CHECK_EQ(42, WEXITSTATUS(status));
  close(reports[0]);
  close(reports[1]);
}

CHECK_MAIN()
