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
static void set_up(fixture *all, int pending) {
  static const char *const words[] = {"b1", "b2", "b3"};
  *all = (fixture){.reactor = new_reactor(0), .port = {.on_stop = log_stop_protocol}};
  all->port.arg = &all->seen;
  probe_listen(&all->port, all->reactor);
  for (int i = 0; i < 3; i++) {
    all->before[i] =
        (logged_call){.log = &all->seen, .event = words[i], .status = i < pending ? UDPR_PENDING : UDPR_OK};
    add_logged_trigger(all->reactor, BEFORE, SHUTDOWN, &all->before[i]);
  }
  all->during = (logged_call){.log = &all->seen, .event = "during"};
  all->after = (logged_call){.log = &all->seen, .event = "after"};
  add_logged_trigger(all->reactor, DURING, SHUTDOWN, &all->during);
  add_logged_trigger(all->reactor, AFTER, SHUTDOWN, &all->after);
}

/* A started reactor whose shutdown is pending, after all before-triggers were called. */
static void set_up_pending(fixture *all, int pending) {
  set_up(all, pending);
  OK(udpr_reactor_start(all->reactor));
  OK(udpr_reactor_stop(all->reactor));
  run_turns(all->reactor, 3);
  CHECK_STR("b1 b2 b3", all->seen.text);
  CHECK(udpr_reactor_is_running(all->reactor));
}

static void check_completes(fixture *all) {
  CHECK_EQ(0, all->port.stops + all->during.called + all->after.called);
  RUN_UNTIL(all->reactor, !udpr_reactor_is_running(all->reactor));
  CHECK_STR("b1 b2 b3 stop_protocol during after", all->seen.text);
}

static void tear_down(fixture *all) {
  OK(udpr_reactor_free(all->reactor));
  probe_check_ended(&all->port);
  CHECK_ALL_FREED(all->before);
  CHECK(all->during.freed == 1 && all->after.freed == 1);
}

TEST(run_continues_until_the_trigger_is_finished) {
  fixture all;
  set_up(&all, 1);
  logged_call finish = {.log = &all.seen, .event = "finish", .act = act_finish, .arg = &all.before[0]};
  all.before[2].act = act_later, all.before[2].arg = &finish;
  run_and_stop(all.reactor);
  CHECK_STR("b1 b2 b3 finish stop_protocol during after", all.seen.text);
  tear_down(&all);
}

TEST(ports_work_while_shutdown_is_pending) {
  fixture all;
  int     peer = peer_open(AF_INET);
  set_up_pending(&all, 1);
  udpr_addr to = peer_addr(peer);
  send_letters(&all.port.host, "ab");
  RUN_UNTIL(all.reactor, strlen(all.port.received) == 2);
  OK(udpr_transport_write(all.port.transport, "still here", 10, &to));
  PEER_RECEIVES(peer, "still here");
  CHECK_STATUS(UDPR_E_NOT_RUNNING, udpr_reactor_stop(all.reactor)); /* it is stopping already */
  CHECK_STATUS(UDPR_E_ALREADY_RUNNING, udpr_reactor_start(all.reactor));
  OK(udpr_reactor_finish_trigger(all.reactor, all.before[0].id));
  RUN_UNTIL(all.reactor, !udpr_reactor_is_running(all.reactor));
  CHECK_STR("b1 b2 b3 stop_protocol during after", all.seen.text);
  tear_down(&all);
  close(peer);
}

TEST(each_pending_trigger_must_be_finished) {
  fixture all;
  set_up_pending(&all, 3);
  OK(udpr_reactor_finish_trigger(all.reactor, all.before[1].id));
  run_turns(all.reactor, 3);
  OK(udpr_reactor_finish_trigger(all.reactor, all.before[2].id));
  run_turns(all.reactor, 3);
  CHECK_STR("b1 b2 b3", all.seen.text);
  CHECK(udpr_reactor_is_running(all.reactor));
  OK(udpr_reactor_finish_trigger(all.reactor, all.before[0].id));
  RUN_UNTIL(all.reactor, !udpr_reactor_is_running(all.reactor));
  CHECK_STR("b1 b2 b3 stop_protocol during after", all.seen.text);
  tear_down(&all);
}

TEST(a_later_trigger_may_finish_an_earlier_one) {
  fixture all;
  set_up(&all, 1);
  all.before[2].act = act_finish, all.before[2].arg = &all.before[0];
  run_and_stop(all.reactor);
  CHECK_STR("b1 b2 b3 stop_protocol during after", all.seen.text);
  tear_down(&all);
}

static void finish_call(udpr_reactor *reactor, void *user) {
  OK(udpr_reactor_finish_trigger(reactor, ((logged_call *)user)->id));
}

static void finish_from_thread(void *arg) {
  fixture *all = arg;
  OK(udpr_reactor_call_from_thread(all->reactor, finish_call, &all->before[0], NULL));
}

TEST(another_thread_finishes_by_a_call) {
  fixture all;
  set_up_pending(&all, 1);
  run_in_thread(finish_from_thread, &all);
  check_completes(&all);
  tear_down(&all);
}

/* ---- ids that are not pending -------------------------------------------------------------------------- */

TEST(only_pending_triggers_can_be_finished) {
  fixture     all;
  logged_call other = {0};
  set_up(&all, 2);
  add_logged_trigger(all.reactor, BEFORE, STARTUP, &other);
  /* not yet pending */
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_finish_trigger(all.reactor, all.before[0].id));
  OK(udpr_reactor_start(all.reactor));
  OK(udpr_reactor_stop(all.reactor));
  run_turns(all.reactor, 3);

  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_finish_trigger(all.reactor, 0));
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_finish_trigger(all.reactor, UINT64_MAX));
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_finish_trigger(all.reactor, other.id));
  /* it returned UDPR_OK */
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_finish_trigger(all.reactor, all.before[2].id));
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_finish_trigger(all.reactor, all.during.id));
  OK(udpr_reactor_finish_trigger(all.reactor, all.before[0].id));
  /* finished already */
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_finish_trigger(all.reactor, all.before[0].id));
  run_turns(all.reactor, 3);
  CHECK(udpr_reactor_is_running(all.reactor));
  OK(udpr_reactor_finish_trigger(all.reactor, all.before[1].id));
  RUN_UNTIL(all.reactor, !udpr_reactor_is_running(all.reactor));
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_finish_trigger(all.reactor, all.before[1].id));
  tear_down(&all);
}

/* ---- a pending event is aborted ------------------------------------------------------------------------ */

TEST(crash_ends_a_pending_shutdown) {
  fixture all;
  set_up(&all, 1);
  logged_call crash = {.act = act_crash};
  all.before[2].act = act_later, all.before[2].arg = &crash;
  run_and_stop(all.reactor);
  CHECK(!udpr_reactor_is_running(all.reactor));
  CHECK_STR("b1 b2 b3", all.seen.text);
  send_letters(&all.port.host, "a"); /* the port is still open */
  RUN_UNTIL(all.reactor, *all.port.received);
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_finish_trigger(all.reactor, all.before[0].id));
  CHECK_STR("b1 b2 b3", all.seen.text);
  tear_down(&all);
}

TEST(after_a_crash_during_shutdown_it_runs_and_stops_again) {
  fixture all;
  set_up_pending(&all, 1);
  OK(udpr_reactor_crash(all.reactor));
  for (int i = 0; i < 3; i++) udpr_reactor_remove_trigger(all.reactor, all.before[i].id);
  run_and_stop(all.reactor);
  CHECK_STR("b1 b2 b3 stop_protocol during after", all.seen.text);
  tear_down(&all);
}

TEST(free_ends_a_pending_shutdown) {
  fixture all;
  set_up_pending(&all, 2);
  tear_down(&all);
  CHECK_STR("b1 b2 b3 stop_protocol", all.seen.text);
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
  fixture *all = port->arg;
  (void)transport;
  check_event_cannot_continue(all->reactor, &all->before[0], &all->before[1]);
}

static void check_in_free_user(void *user) {
  fixture *all = user;
  check_event_cannot_continue(all->reactor, &all->before[0], &all->before[2]);
}

static udpr_status must_not_fire(udpr_reactor *reactor, udpr_id id, void *user) {
  (void)reactor, (void)id, (void)user;
  FAIL("%s", "a trigger was called while free ran");
}

TEST(free_fires_nothing_of_a_pending_shutdown) {
  fixture all;
  set_up_pending(&all, 2);
  all.port.on_stop = check_in_stop_protocol;
  all.port.arg = &all;
  OK(udpr_reactor_add_trigger(all.reactor, AFTER, SHUTDOWN, must_not_fire, &all, check_in_free_user, NULL));
  tear_down(&all);
  CHECK_EQ(0, all.during.called + all.after.called);
}

TEST(free_fires_nothing_of_a_pending_startup) {
  fixture all = {.reactor = new_reactor(0), .port = {.on_stop = check_in_stop_protocol}};
  all.port.arg = &all;
  probe_listen(&all.port, all.reactor);
  for (int i = 0; i < 3; i++) {
    all.before[i].status = UDPR_PENDING;
    add_logged_trigger(all.reactor, BEFORE, STARTUP, &all.before[i]);
  }
  add_logged_trigger(all.reactor, DURING, STARTUP, &all.during);
  add_logged_trigger(all.reactor, AFTER, SHUTDOWN, &all.after);
  OK(udpr_reactor_start(all.reactor));
  OK(udpr_reactor_add_trigger(all.reactor, AFTER, STARTUP, must_not_fire, &all, check_in_free_user, NULL));
  tear_down(&all);
  CHECK(all.before[2].called == 1 && all.during.called + all.after.called == 0);
}

CHECK_MAIN()
