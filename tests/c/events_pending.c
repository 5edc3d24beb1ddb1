/* A before-trigger that answers PENDING holds its event back until finish_trigger. */
#include "event_log.h"

/* In a later turn, when the event hangs: the arg is a note that then comes. */
static void act_later(udpr_reactor *reactor, logged_call *self) { call_later_logged(reactor, 0, self->arg); }

static void act_finish(udpr_reactor *reactor, logged_call *self) {
  OK(udpr_reactor_finish_trigger(reactor, ((logged_call *)self->arg)->id));
}

/* ---- shutdown held back -------------------------------------------------------------------------------- */

typedef struct held {
  udpr_reactor *reactor;
  event_log     seen;
  probe         port;
  logged_call   before[3], during, after;
} held;

/* The `pending` first of three before-triggers hold a shutdown back. */
static void hold(held *all, int pending) {
  static const char *const words[] = {"b1", "b2", "b3"};
  *all = (held){.reactor = new_reactor(0), .port = {.on_stop = log_stop_protocol}};
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

/* An embedder's reactor that hangs in its shutdown, all before-triggers called. */
static void hang(held *all, int pending) {
  hold(all, pending);
  OK(udpr_reactor_start(all->reactor));
  OK(udpr_reactor_stop(all->reactor));
  run_turns(all->reactor, 3);
  CHECK_STR("b1 b2 b3", all->seen.text);
  CHECK(udpr_reactor_is_running(all->reactor));
}

static void let_go(held *all) {
  CHECK_EQ(0, all->port.stops + all->during.called + all->after.called);
  RUN_UNTIL(all->reactor, !udpr_reactor_is_running(all->reactor));
  CHECK_STR("b1 b2 b3 stop_protocol during after", all->seen.text);
}

static void end(held *all) {
  OK(udpr_reactor_free(all->reactor));
  probe_check_ended(&all->port);
  CHECK_ALL_FREED(all->before);
  CHECK(all->during.freed == 1 && all->after.freed == 1);
}

TEST(run_turns_on_until_it_is_finished) {
  held all;
  hold(&all, 1);
  logged_call finish = {.log = &all.seen, .event = "finish", .act = act_finish, .arg = &all.before[0]};
  all.before[2].act = act_later, all.before[2].arg = &finish;
  run_and_stop(all.reactor);
  CHECK_STR("b1 b2 b3 finish stop_protocol during after", all.seen.text);
  end(&all);
}

TEST(ports_work_while_it_is_held_back) {
  held all;
  int  peer = peer_open(AF_INET);
  hang(&all, 1);
  udpr_addr to = peer_addr(peer);
  send_letters(&all.port.host, "ab");
  RUN_UNTIL(all.reactor, strlen(all.port.received) == 2);
  OK(udpr_transport_write(all.port.transport, "still here", 10, &to));
  PEER_RECEIVES(peer, "still here");
  CHECK_STATUS(UDPR_E_NOT_RUNNING, udpr_reactor_stop(all.reactor)); /* it stops already */
  CHECK_STATUS(UDPR_E_ALREADY_RUNNING, udpr_reactor_start(all.reactor));
  OK(udpr_reactor_finish_trigger(all.reactor, all.before[0].id));
  RUN_UNTIL(all.reactor, !udpr_reactor_is_running(all.reactor));
  CHECK_STR("b1 b2 b3 stop_protocol during after", all.seen.text);
  end(&all);
  close(peer);
}

TEST(each_that_is_pending_must_be_finished) {
  held all;
  hang(&all, 3);
  OK(udpr_reactor_finish_trigger(all.reactor, all.before[1].id));
  run_turns(all.reactor, 3);
  OK(udpr_reactor_finish_trigger(all.reactor, all.before[2].id));
  run_turns(all.reactor, 3);
  CHECK_STR("b1 b2 b3", all.seen.text);
  CHECK(udpr_reactor_is_running(all.reactor));
  OK(udpr_reactor_finish_trigger(all.reactor, all.before[0].id));
  RUN_UNTIL(all.reactor, !udpr_reactor_is_running(all.reactor));
  CHECK_STR("b1 b2 b3 stop_protocol during after", all.seen.text);
  end(&all);
}

TEST(a_later_trigger_may_finish_an_earlier_one) {
  held all;
  hold(&all, 1);
  all.before[2].act = act_finish, all.before[2].arg = &all.before[0];
  run_and_stop(all.reactor);
  CHECK_STR("b1 b2 b3 stop_protocol during after", all.seen.text);
  end(&all);
}

static void finish_call(udpr_reactor *reactor, void *user) {
  OK(udpr_reactor_finish_trigger(reactor, ((logged_call *)user)->id));
}

static void finish_from_thread(void *arg) {
  held *all = arg;
  OK(udpr_reactor_call_from_thread(all->reactor, finish_call, &all->before[0], NULL));
}

TEST(another_thread_finishes_by_a_call) {
  held all;
  hang(&all, 1);
  run_in_thread(finish_from_thread, &all);
  let_go(&all);
  end(&all);
}

/* ---- ids that are not pending -------------------------------------------------------------------------- */

TEST(only_what_is_pending_can_be_finished) {
  held        all;
  logged_call other = {0};
  hold(&all, 2);
  add_logged_trigger(all.reactor, BEFORE, STARTUP, &other);
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_finish_trigger(all.reactor, all.before[0].id)); /* not yet */
  OK(udpr_reactor_start(all.reactor));
  OK(udpr_reactor_stop(all.reactor));
  run_turns(all.reactor, 3);

  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_finish_trigger(all.reactor, 0));
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_finish_trigger(all.reactor, UINT64_MAX));
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_finish_trigger(all.reactor, other.id));
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_finish_trigger(all.reactor, all.before[2].id)); /* said OK */
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_finish_trigger(all.reactor, all.during.id));
  OK(udpr_reactor_finish_trigger(all.reactor, all.before[0].id));
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_finish_trigger(all.reactor, all.before[0].id)); /* again */
  run_turns(all.reactor, 3);
  CHECK(udpr_reactor_is_running(all.reactor));
  OK(udpr_reactor_finish_trigger(all.reactor, all.before[1].id));
  RUN_UNTIL(all.reactor, !udpr_reactor_is_running(all.reactor));
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_finish_trigger(all.reactor, all.before[1].id));
  end(&all);
}

/* ---- ended by force ------------------------------------------------------------------------------------ */

TEST(crash_ends_a_shutdown_that_hangs) {
  held all;
  hold(&all, 1);
  logged_call crash = {.act = act_crash};
  all.before[2].act = act_later, all.before[2].arg = &crash;
  run_and_stop(all.reactor);
  CHECK(!udpr_reactor_is_running(all.reactor));
  CHECK_STR("b1 b2 b3", all.seen.text);
  send_letters(&all.port.host, "a"); /* the port is open */
  RUN_UNTIL(all.reactor, *all.port.received);
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_finish_trigger(all.reactor, all.before[0].id));
  CHECK_STR("b1 b2 b3", all.seen.text);
  end(&all);
}

TEST(after_such_a_crash_it_runs_and_stops_again) {
  held all;
  hang(&all, 1);
  OK(udpr_reactor_crash(all.reactor));
  for (int i = 0; i < 3; i++) udpr_reactor_remove_trigger(all.reactor, all.before[i].id);
  run_and_stop(all.reactor);
  CHECK_STR("b1 b2 b3 stop_protocol during after", all.seen.text);
  end(&all);
}

TEST(free_ends_a_shutdown_that_hangs) {
  held all;
  hang(&all, 2);
  end(&all);
  CHECK_STR("b1 b2 b3 stop_protocol", all.seen.text);
}

/* ---- startup, fire_event ------------------------------------------------------------------------------- */

/* As in Twisted, a before-startup trigger delays the rest of startup, but not the loop. */
TEST(run_turns_while_startup_is_pending) {
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

TEST(fire_event_is_held_back_too) {
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

/* ---- free while an event hangs ------------------------------------------------------------------------- */

/* Whatever would let the event go on: nothing of it is called any more. */
static void try_to_go_on(udpr_reactor *reactor, const logged_call *pending, const logged_call *other) {
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

static void go_on_in_stop(probe *port, udpr_transport *transport) {
  held *all = port->arg;
  (void)transport;
  try_to_go_on(all->reactor, &all->before[0], &all->before[1]);
}

static void go_on_in_free_user(void *user) {
  held *all = user;
  try_to_go_on(all->reactor, &all->before[0], &all->before[2]);
}

static udpr_status never_fires(udpr_reactor *reactor, udpr_id id, void *user) {
  (void)reactor, (void)id, (void)user;
  FAIL("%s", "a trigger was called while free ran");
}

TEST(free_calls_nothing_of_a_shutdown_that_hangs) {
  held all;
  hang(&all, 2);
  all.port.on_stop = go_on_in_stop;
  all.port.arg = &all;
  OK(udpr_reactor_add_trigger(all.reactor, AFTER, SHUTDOWN, never_fires, &all, go_on_in_free_user, NULL));
  end(&all);
  CHECK_EQ(0, all.during.called + all.after.called);
}

TEST(free_calls_nothing_of_a_startup_that_hangs) {
  held all = {.reactor = new_reactor(0), .port = {.on_stop = go_on_in_stop}};
  all.port.arg = &all;
  probe_listen(&all.port, all.reactor);
  for (int i = 0; i < 3; i++) {
    all.before[i].status = UDPR_PENDING;
    add_logged_trigger(all.reactor, BEFORE, STARTUP, &all.before[i]);
  }
  add_logged_trigger(all.reactor, DURING, STARTUP, &all.during);
  add_logged_trigger(all.reactor, AFTER, SHUTDOWN, &all.after);
  OK(udpr_reactor_start(all.reactor));
  OK(udpr_reactor_add_trigger(all.reactor, AFTER, STARTUP, never_fires, &all, go_on_in_free_user, NULL));
  end(&all);
  CHECK(all.before[2].called == 1 && all.during.called + all.after.called == 0);
}

CHECK_MAIN()
