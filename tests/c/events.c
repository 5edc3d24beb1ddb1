/* Startup and shutdown: the three phases of each, their order around the ports, in every run. */
#include "event_log.h"

/* ---- order --------------------------------------------------------------------------------------------- */

static void not_running_yet(udpr_reactor *reactor, logged_call *self) {
  (void)self;
  CHECK(!udpr_reactor_is_running(reactor));
}

static void running(udpr_reactor *reactor, logged_call *self) {
  (void)self;
  CHECK(udpr_reactor_is_running(reactor));
}

static void add_all_phases(udpr_reactor *reactor, uint32_t event, logged_call calls[6]) {
  static const uint32_t phases[6] = {AFTER, DURING, BEFORE, BEFORE, AFTER, DURING};
  static const char    *words[6] = {"after", "during", "before", "before2", "after2", "during2"};
  for (int i = 0; i < 6; i++) {
    calls[i].event = words[i];
    add_logged_trigger(reactor, phases[i], event, &calls[i]);
  }
}

#define IN_ORDER "before before2 during during2 after after2"

TEST(startup_fires_its_phases_in_order) {
  udpr_reactor *reactor = new_reactor(0);
  event_log     seen = {""};
  logged_call   calls[6] = {{0}}, first = {.log = &seen, .event = "turn", .act = act_stop};
  for (int i = 0; i < 6; i++)
    calls[i].log = &seen, calls[i].act = i == 2 || i == 3 ? not_running_yet : running;
  add_all_phases(reactor, STARTUP, calls);
  call_later_logged(reactor, 0, &first);
  CHECK_STR("", seen.text);
  run_with_timeout(reactor);
  CHECK_STR(IN_ORDER " turn", seen.text);
  OK(udpr_reactor_free(reactor));
  CHECK_ALL_FREED(calls);
  CHECK_EQ(1, first.freed);
}

TEST(shutdown_fires_its_phases_in_order) {
  udpr_reactor *reactor = new_reactor(0);
  event_log     seen = {""};
  logged_call   calls[6] = {{0}};
  for (int i = 0; i < 6; i++)
    calls[i].log = &seen, calls[i].act = i == 2 || i == 3 ? running : not_running_yet;
  add_all_phases(reactor, SHUTDOWN, calls);
  run_and_stop(reactor);
  CHECK_STR(IN_ORDER, seen.text);
  OK(udpr_reactor_free(reactor));
  CHECK_ALL_FREED(calls);
}

TEST(the_order_of_a_shutdown) {
  udpr_reactor *reactor = new_reactor(0);
  event_log     seen = {""};
  probe         port = {.on_stop = log_stop_protocol, .arg = &seen};
  logged_call   calls[3] = {{.log = &seen, .event = "before"},
                            {.log = &seen, .event = "during"},
                            {.log = &seen, .event = "after"}};
  probe_listen(&port, reactor);
  for (uint32_t phase = BEFORE; phase <= AFTER; phase++)
    add_logged_trigger(reactor, phase, SHUTDOWN, &calls[phase]);
  run_and_stop(reactor);
  log_event(&seen, "run_returns");
  printf("%s\n", seen.text);
  CHECK_STR("before stop_protocol during after run_returns", seen.text);
  probe_check_ended(&port);
  OK(udpr_reactor_free(reactor));
}

static void stop_and_check(udpr_reactor *reactor, logged_call *self) {
  OK(udpr_reactor_stop(reactor));
  CHECK_STR("call", self->log->text); /* stop itself fires nothing */
  CHECK(udpr_reactor_is_running(reactor));
}

TEST(stop_fires_when_the_turn_ends) {
  udpr_reactor *reactor = new_reactor(0);
  event_log     seen = {""};
  logged_call   calls[] = {{.log = &seen, .event = "before"},
                           {.log = &seen, .event = "call", .act = stop_and_check},
                           {.log = &seen, .event = "same_turn"}};
  add_logged_trigger(reactor, BEFORE, SHUTDOWN, &calls[0]);
  call_later_logged(reactor, 0, &calls[1]);
  call_later_logged(reactor, 0, &calls[2]);
  run_with_timeout(reactor);
  CHECK_STR("call same_turn before", seen.text);
  OK(udpr_reactor_free(reactor));
  CHECK_ALL_FREED(calls);
}

TEST(the_two_events_are_independent) {
  udpr_reactor *reactor = new_reactor(0);
  event_log     seen = {""};
  logged_call   calls[] = {{.log = &seen, .event = "down"},
                           {.log = &seen, .event = "up"},
                           {.log = &seen, .event = "call", .act = act_stop}};
  add_logged_trigger(reactor, BEFORE, SHUTDOWN, &calls[0]);
  add_logged_trigger(reactor, AFTER, STARTUP, &calls[1]);
  call_later_logged(reactor, 0, &calls[2]);
  run_with_timeout(reactor);
  CHECK_STR("up call down", seen.text);
  OK(udpr_reactor_free(reactor));
  CHECK_ALL_FREED(calls);
}

/* ---- ports --------------------------------------------------------------------------------------------- */

typedef struct goodbye_port {
  probe     port;
  udpr_addr to;
} goodbye_port;

static void write_goodbye(udpr_reactor *reactor, logged_call *self) {
  goodbye_port *all = self->arg;
  (void)reactor;
  OK(udpr_transport_write(all->port.transport, "bye", 3, &all->to));
}

TEST(a_port_can_write_before_shutdown) {
  udpr_reactor *reactor = new_reactor(0);
  int           peer = peer_open(AF_INET);
  goodbye_port  all = {.to = peer_addr(peer)};
  logged_call   before = {.act = write_goodbye, .arg = &all};
  probe_listen(&all.port, reactor);
  add_logged_trigger(reactor, BEFORE, SHUTDOWN, &before);
  run_and_stop(reactor);
  PEER_RECEIVES(peer, "bye");
  probe_check_ended(&all.port);
  OK(udpr_reactor_free(reactor));
  close(peer);
}

static void act_listen(udpr_reactor *reactor, logged_call *self) { probe_listen(self->arg, reactor); }

static void check_stopped(udpr_reactor *reactor, logged_call *self) {
  (void)reactor;
  check_transport_closed(((probe *)self->arg)->transport);
}

TEST(a_port_made_before_stops_with_the_others) {
  udpr_reactor *reactor = new_reactor(0);
  probe         port = {0};
  logged_call   before = {.act = act_listen, .arg = &port}, during = {.act = check_stopped, .arg = &port};
  add_logged_trigger(reactor, BEFORE, SHUTDOWN, &before);
  add_logged_trigger(reactor, DURING, SHUTDOWN, &during);
  run_and_stop(reactor);
  CHECK(before.called == 1 && during.called == 1);
  probe_check_ended(&port);
  OK(udpr_reactor_free(reactor));
}

TEST(startup_may_listen) {
  udpr_reactor *reactor = new_reactor(0);
  probe         ports[3] = {{0}};
  logged_call   calls[3] = {{0}};
  for (uint32_t phase = BEFORE; phase <= AFTER; phase++) {
    calls[phase] = (logged_call){.act = act_listen, .arg = &ports[phase]};
    add_logged_trigger(reactor, phase, STARTUP, &calls[phase]);
  }
  run_and_stop(reactor);
  for (int i = 0; i < 3; i++) probe_check_ended(&ports[i]);
  OK(udpr_reactor_free(reactor));
  CHECK_ALL_FREED(calls);
}

/* ---- the status that a trigger returns ----------------------------------------------------------------- */

static void other_triggers_still_run(udpr_status status, uint32_t from) {
  udpr_reactor *reactor = new_reactor(0);
  logged_call   calls[18] = {{0}};
  for (uint32_t i = 0; i < 18; i++) {
    uint32_t phase = i / 3 % 3;
    if (i % 3 == 1 && phase >= from) calls[i].status = status;
    add_logged_trigger(reactor, phase, i / 9 ? SHUTDOWN : STARTUP, &calls[i]);
  }
  run_and_stop(reactor);
  for (int i = 0; i < 18; i++) CHECK_EQ(1, calls[i].called);
  OK(udpr_reactor_free(reactor));
  CHECK_ALL_FREED(calls);
}

TEST(a_failing_trigger_does_not_stop_the_others) {
  other_triggers_still_run(UDPR_E_NO_MEMORY, BEFORE);
  other_triggers_still_run(UDPR_E_SYSTEM - EIO, BEFORE);
  other_triggers_still_run(INT32_MIN, BEFORE);
}

TEST(only_before_triggers_may_be_pending) { other_triggers_still_run(UDPR_PENDING, DURING); }

/* ---- several runs -------------------------------------------------------------------------------------- */

TEST(each_run_fires_both_events) {
  udpr_reactor *reactor = new_reactor(0);
  for (int again = 0; again < 3; again++) {
    event_log   seen = {""};
    logged_call up[6] = {{0}}, down[6] = {{0}};
    for (int i = 0; i < 6; i++) up[i].log = down[i].log = &seen;
    add_all_phases(reactor, STARTUP, up);
    add_all_phases(reactor, SHUTDOWN, down);
    run_and_stop(reactor);
    CHECK_STR(IN_ORDER " " IN_ORDER, seen.text);
    for (int i = 0; i < 6; i++) {
      udpr_reactor_remove_trigger(reactor, up[i].id); /* it may have fired or not */
      udpr_reactor_remove_trigger(reactor, down[i].id);
    }
    CHECK_ALL_FREED(up);
    CHECK_ALL_FREED(down);
  }
  OK(udpr_reactor_free(reactor));
}

/* A trigger stays registered until it is removed. (Twisted's reactor cannot run again, so its triggers fire
 * once.)
 */
TEST(a_trigger_fires_in_each_run) {
  udpr_reactor *reactor = new_reactor(0);
  logged_call   calls[6] = {{0}}, once = {0};
  for (uint32_t i = 0; i < 6; i++) add_logged_trigger(reactor, i % 3, i / 3, &calls[i]);
  call_when_running_logged(reactor, &once);
  for (int run = 1; run <= 3; run++) {
    run_and_stop(reactor);
    for (int i = 0; i < 6; i++) CHECK(calls[i].called == run && calls[i].freed == 0);
    CHECK(once.called == 1 && once.freed == 1); /* call_when_running calls only once */
  }
  OK(udpr_reactor_remove_trigger(reactor, calls[0].id));
  CHECK_EQ(1, calls[0].freed);
  OK(udpr_reactor_free(reactor));
  CHECK_ALL_FREED(calls);
}

TEST(crash_fires_nothing) {
  udpr_reactor *reactor = new_reactor(0);
  logged_call   down[3] = {{0}}, up = {.act = act_crash};
  for (uint32_t phase = BEFORE; phase <= AFTER; phase++)
    add_logged_trigger(reactor, phase, SHUTDOWN, &down[phase]);
  add_logged_trigger(reactor, AFTER, STARTUP, &up);
  run_with_timeout(reactor);
  CHECK(up.called == 1 && !udpr_reactor_is_running(reactor));
  for (int i = 0; i < 3; i++) CHECK_EQ(0, down[i].called);
  udpr_reactor_remove_trigger(reactor, up.id);
  run_and_stop(reactor);
  for (int i = 0; i < 3; i++) CHECK_EQ(1, down[i].called);
  OK(udpr_reactor_free(reactor));
  CHECK_ALL_FREED(down);
}

/* ---- an embedded reactor ------------------------------------------------------------------------------- */

TEST(start_and_iterate_fire_the_same) {
  udpr_reactor *reactor = new_reactor(0);
  event_log     seen = {""};
  probe         port = {.on_stop = log_stop_protocol, .arg = &seen};
  logged_call   up[6] = {{0}}, down[6] = {{0}};
  for (int i = 0; i < 6; i++) up[i].log = down[i].log = &seen;
  probe_listen(&port, reactor);
  add_all_phases(reactor, STARTUP, up);
  add_all_phases(reactor, SHUTDOWN, down);
  run_turns(reactor, 3);
  CHECK_STR("", seen.text); /* iterate alone fires no startup */

  OK(udpr_reactor_start(reactor));
  CHECK_STR(IN_ORDER, seen.text);
  run_turns(reactor, 3);
  OK(udpr_reactor_stop(reactor));
  CHECK_STR(IN_ORDER, seen.text);
  RUN_UNTIL(reactor, !udpr_reactor_is_running(reactor));
  CHECK_STR(IN_ORDER " before before2 stop_protocol during during2 after after2", seen.text);
  probe_check_ended(&port);
  OK(udpr_reactor_free(reactor));
  CHECK_ALL_FREED(up);
  CHECK_ALL_FREED(down);
}

CHECK_MAIN()
