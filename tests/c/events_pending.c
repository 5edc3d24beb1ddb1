/* A before-trigger that returns UDPR_PENDING delays its event until finish_trigger is called. */
#include "event_log.h"

/* Makes a delayed call, `arg`, while the event is pending. */
static void act_later(udpr_reactor *reactor, logged_call *self) { call_later_logged(reactor, 0, self->arg); }

static void act_finish(udpr_reactor *reactor, logged_call *self) {
  OK(udpr_reactor_finish_trigger(reactor, ((logged_call *)self->arg)->id));
}

/* ---- a pending shutdown -------------------------------------------------------------------------------- */

typedef struct fixture {
  udpr_reactor *reactor;
  event_log     seen;
  probe         port;
  logged_call   before[3], during, after;
} fixture;

/* Three before-triggers of the shutdown; the first `pending` of them return UDPR_PENDING. */
static void set_up(fixture *f, int pending) {
  static const char *const words[] = {"b1", "b2", "b3"};
  *f = (fixture){.reactor = new_reactor(0), .port = {.on_stop = log_stop_protocol}};
  f->port.arg = &f->seen;
  probe_listen(&f->port, f->reactor);
  for (int i = 0; i < 3; i++) {
    f->before[i] =
        (logged_call){.log = &f->seen, .event = words[i], .status = i < pending ? UDPR_PENDING : UDPR_OK};
    add_logged_trigger(f->reactor, BEFORE, SHUTDOWN, &f->before[i]);
  }
  f->during = (logged_call){.log = &f->seen, .event = "during"};
  f->after = (logged_call){.log = &f->seen, .event = "after"};
  add_logged_trigger(f->reactor, DURING, SHUTDOWN, &f->during);
  add_logged_trigger(f->reactor, AFTER, SHUTDOWN, &f->after);
}

/* A started reactor whose shutdown is pending, after all before-triggers were called. */
static void set_up_pending(fixture *f, int pending) {
  set_up(f, pending);
  OK(udpr_reactor_start(f->reactor));
  OK(udpr_reactor_stop(f->reactor));
  run_turns(f->reactor, 3);
  CHECK_STR("b1 b2 b3", f->seen.text);
  CHECK(udpr_reactor_is_running(f->reactor));
}

static void check_completes(fixture *f) {
  CHECK_EQ(0, f->port.stops + f->during.called + f->after.called);
  RUN_UNTIL(f->reactor, !udpr_reactor_is_running(f->reactor));
  CHECK_STR("b1 b2 b3 stop_protocol during after", f->seen.text);
}

static void tear_down(fixture *f) {
  OK(udpr_reactor_free(f->reactor));
  probe_check_ended(&f->port);
  CHECK_ALL_FREED(f->before);
  CHECK(f->during.freed == 1 && f->after.freed == 1);
}

TEST(run_continues_until_the_trigger_is_finished) {
  fixture f;
  set_up(&f, 1);
  logged_call finish = {.log = &f.seen, .event = "finish", .act = act_finish, .arg = &f.before[0]};
  f.before[2].act = act_later, f.before[2].arg = &finish;
  run_and_stop(f.reactor);
  CHECK_STR("b1 b2 b3 finish stop_protocol during after", f.seen.text);
  tear_down(&f);
}

TEST(ports_work_while_shutdown_is_pending) {
  fixture f;
  int     peer = peer_open(AF_INET);
  set_up_pending(&f, 1);
  udpr_addr to = peer_addr(peer);
  send_letters(&f.port.host, "ab");
  RUN_UNTIL(f.reactor, strlen(f.port.received) == 2);
  OK(udpr_transport_write(f.port.transport, "still here", 10, &to));
  PEER_RECEIVES(peer, "still here");
  CHECK_STATUS(UDPR_E_NOT_RUNNING, udpr_reactor_stop(f.reactor)); /* it is stopping already */
  CHECK_STATUS(UDPR_E_ALREADY_RUNNING, udpr_reactor_start(f.reactor));
  OK(udpr_reactor_finish_trigger(f.reactor, f.before[0].id));
  RUN_UNTIL(f.reactor, !udpr_reactor_is_running(f.reactor));
  CHECK_STR("b1 b2 b3 stop_protocol during after", f.seen.text);
  tear_down(&f);
  close(peer);
}

TEST(each_pending_trigger_must_be_finished) {
  fixture f;
  set_up_pending(&f, 3);
  OK(udpr_reactor_finish_trigger(f.reactor, f.before[1].id));
  run_turns(f.reactor, 3);
  OK(udpr_reactor_finish_trigger(f.reactor, f.before[2].id));
  run_turns(f.reactor, 3);
  CHECK_STR("b1 b2 b3", f.seen.text);
  CHECK(udpr_reactor_is_running(f.reactor));
  OK(udpr_reactor_finish_trigger(f.reactor, f.before[0].id));
  RUN_UNTIL(f.reactor, !udpr_reactor_is_running(f.reactor));
  CHECK_STR("b1 b2 b3 stop_protocol during after", f.seen.text);
  tear_down(&f);
}

TEST(a_later_trigger_may_finish_an_earlier_one) {
  fixture f;
  set_up(&f, 1);
  f.before[2].act = act_finish, f.before[2].arg = &f.before[0];
  run_and_stop(f.reactor);
  CHECK_STR("b1 b2 b3 stop_protocol during after", f.seen.text);
  tear_down(&f);
}

static void finish_call(udpr_reactor *reactor, void *user) {
  OK(udpr_reactor_finish_trigger(reactor, ((logged_call *)user)->id));
}

static void finish_from_thread(void *arg) {
  fixture *f = arg;
  OK(udpr_reactor_call_from_thread(f->reactor, finish_call, &f->before[0], NULL));
}

TEST(another_thread_finishes_by_a_call) {
  fixture f;
  set_up_pending(&f, 1);
  run_in_thread(finish_from_thread, &f);
  check_completes(&f);
  tear_down(&f);
}

/* ---- ids that are not pending -------------------------------------------------------------------------- */

TEST(only_pending_triggers_can_be_finished) {
  fixture     f;
  logged_call other = {0};
  set_up(&f, 2);
  add_logged_trigger(f.reactor, BEFORE, STARTUP, &other);
  /* not yet pending */
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_finish_trigger(f.reactor, f.before[0].id));
  OK(udpr_reactor_start(f.reactor));
  OK(udpr_reactor_stop(f.reactor));
  run_turns(f.reactor, 3);

  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_finish_trigger(f.reactor, 0));
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_finish_trigger(f.reactor, UINT64_MAX));
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_finish_trigger(f.reactor, other.id));
  /* it returned UDPR_OK */
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_finish_trigger(f.reactor, f.before[2].id));
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_finish_trigger(f.reactor, f.during.id));
  OK(udpr_reactor_finish_trigger(f.reactor, f.before[0].id));
  /* finished already */
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_finish_trigger(f.reactor, f.before[0].id));
  run_turns(f.reactor, 3);
  CHECK(udpr_reactor_is_running(f.reactor));
  OK(udpr_reactor_finish_trigger(f.reactor, f.before[1].id));
  RUN_UNTIL(f.reactor, !udpr_reactor_is_running(f.reactor));
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_finish_trigger(f.reactor, f.before[1].id));
  tear_down(&f);
}

/* ---- a pending event is aborted ------------------------------------------------------------------------ */

TEST(crash_ends_a_pending_shutdown) {
  fixture f;
  set_up(&f, 1);
  logged_call crash = {.act = act_crash};
  f.before[2].act = act_later, f.before[2].arg = &crash;
  run_and_stop(f.reactor);
  CHECK(!udpr_reactor_is_running(f.reactor));
  CHECK_STR("b1 b2 b3", f.seen.text);
  send_letters(&f.port.host, "a"); /* the port is still open */
  RUN_UNTIL(f.reactor, *f.port.received);
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_finish_trigger(f.reactor, f.before[0].id));
  CHECK_STR("b1 b2 b3", f.seen.text);
  tear_down(&f);
}

TEST(after_a_crash_during_shutdown_it_runs_and_stops_again) {
  fixture f;
  set_up_pending(&f, 1);
  OK(udpr_reactor_crash(f.reactor));
  for (int i = 0; i < 3; i++) udpr_reactor_remove_trigger(f.reactor, f.before[i].id);
  run_and_stop(f.reactor);
  CHECK_STR("b1 b2 b3 stop_protocol during after", f.seen.text);
  tear_down(&f);
}

TEST(free_ends_a_pending_shutdown) {
  fixture f;
  set_up_pending(&f, 2);
  tear_down(&f);
  CHECK_STR("b1 b2 b3 stop_protocol", f.seen.text);
}

/* ---- startup, fire_event ------------------------------------------------------------------------------- */

/* As in Twisted, a before-startup trigger delays the rest of startup, but not the loop. */
TEST(the_loop_runs_while_startup_is_pending) {
  udpr_reactor *reactor = new_reactor(0);
  event_log     seen = {""};
  logged_call   before = {.log = &seen, .event = "before", .status = UDPR_PENDING};
  logged_call   finish = {.log = &seen, .event = "finish", .act = act_finish, .arg = &before};
  logged_call   during = {.log = &seen, .event = "during"},
              after = {.log = &seen, .event = "after", .act = act_stop};
  add_logged_trigger(reactor, BEFORE, STARTUP, &before);
  add_logged_trigger(reactor, DURING, STARTUP, &during);
  add_logged_trigger(reactor, AFTER, STARTUP, &after);
  call_later_logged(reactor, 0, &finish);
  run_with_timeout(reactor);
  CHECK_STR("before finish during after", seen.text);
  OK(udpr_reactor_free(reactor));
  CHECK(before.freed == 1 && during.freed == 1 && after.freed == 1 && finish.freed == 1);
}

TEST(fire_event_can_be_pending) {
  udpr_reactor *reactor = new_reactor(0);
  event_log     seen = {""};
  logged_call   before = {.log = &seen, .event = "before", .status = UDPR_PENDING};
  logged_call   during = {.log = &seen, .event = "during"}, after = {.log = &seen, .event = "after"};
  add_logged_trigger(reactor, BEFORE, SHUTDOWN, &before);
  add_logged_trigger(reactor, DURING, SHUTDOWN, &during);
  add_logged_trigger(reactor, AFTER, SHUTDOWN, &after);
  CHECK(udpr_reactor_fire_event(reactor, SHUTDOWN) >= 0);
  run_turns(reactor, 3);
  CHECK_STR("before", seen.text);
  OK(udpr_reactor_finish_trigger(reactor, before.id));
  RUN_UNTIL(reactor, after.called);
  CHECK_STR("before during after", seen.text);
  OK(udpr_reactor_free(reactor));
  CHECK(before.freed == 1 && during.freed == 1 && after.freed == 1);
}

/* ---- free while an event is pending -------------------------------------------------------------------- */

/* Functions that would continue the event must not call any of its triggers. */
static void check_event_cannot_continue(udpr_reactor *reactor, const logged_call *pending,
                                        const logged_call *other) {
  CHECK(!udpr_reactor_is_running(reactor));
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_finish_trigger(reactor, pending->id));
  CHECK_STATUS(other->freed ? UDPR_E_NOT_FOUND : UDPR_OK, udpr_reactor_remove_trigger(reactor, other->id));
  CHECK_EQ(1, other->freed);
  CHECK_STATUS(UDPR_E_NOT_RUNNING, udpr_reactor_stop(reactor));
  CHECK_STATUS(UDPR_E_NOT_RUNNING, udpr_reactor_crash(reactor));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_reactor_start(reactor));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_reactor_fire_event(reactor, STARTUP));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_reactor_fire_event(reactor, SHUTDOWN));
  CHECK_STATUS(UDPR_E_REENTRANT, udpr_reactor_iterate(reactor, 0));
}

static void check_in_stop_protocol(probe *port, udpr_transport *transport) {
  fixture *f = port->arg;
  (void)transport;
  check_event_cannot_continue(f->reactor, &f->before[0], &f->before[1]);
}

static void check_in_free_user(void *user) {
  fixture *f = user;
  check_event_cannot_continue(f->reactor, &f->before[0], &f->before[2]);
}

static udpr_status must_not_fire(udpr_reactor *reactor, udpr_id id, void *user) {
  (void)reactor, (void)id, (void)user;
  FAIL("%s", "a trigger was called while free ran");
}

TEST(free_fires_nothing_of_a_pending_shutdown) {
  fixture f;
  set_up_pending(&f, 2);
  f.port.on_stop = check_in_stop_protocol;
  f.port.arg = &f;
  OK(udpr_reactor_add_trigger(f.reactor, AFTER, SHUTDOWN, must_not_fire, &f, check_in_free_user, NULL));
  tear_down(&f);
  CHECK_EQ(0, f.during.called + f.after.called);
}

TEST(free_fires_nothing_of_a_pending_startup) {
  fixture f = {.reactor = new_reactor(0), .port = {.on_stop = check_in_stop_protocol}};
  f.port.arg = &f;
  probe_listen(&f.port, f.reactor);
  for (int i = 0; i < 3; i++) {
    f.before[i].status = UDPR_PENDING;
    add_logged_trigger(f.reactor, BEFORE, STARTUP, &f.before[i]);
  }
  add_logged_trigger(f.reactor, DURING, STARTUP, &f.during);
  add_logged_trigger(f.reactor, AFTER, SHUTDOWN, &f.after);
  OK(udpr_reactor_start(f.reactor));
  OK(udpr_reactor_add_trigger(f.reactor, AFTER, STARTUP, must_not_fire, &f, check_in_free_user, NULL));
  tear_down(&f);
  CHECK(f.before[2].called == 1 && f.during.called + f.after.called == 0);
}

CHECK_MAIN()
