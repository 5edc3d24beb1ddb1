/* Misuse inside every kind of callback, and inside the free_user of every kind of registration. */
#include "callback_fixture.h"
#include "every_call.h"
#include "fork_and_wait.h"

/* ---- run, iterate, advance and free ---------------------------------------------------------------------- */

static void check_reentrant(callback_fixture *fixture) {
  CHECK_STATUS(UDPR_E_REENTRANT, udpr_reactor_run(fixture->reactor));
  CHECK_STATUS(UDPR_E_REENTRANT, udpr_reactor_iterate(fixture->reactor, 0));
  CHECK_STATUS(UDPR_E_REENTRANT, udpr_reactor_advance(fixture->reactor, 1));
  CHECK_STATUS(UDPR_E_REENTRANT, udpr_reactor_free(fixture->reactor));
}

TEST(run_iterate_advance_and_free) { run_in_every_callback(check_reentrant); }

/* ---- close, remove and stop everything ----------------------------------------------------------------- */

/* The object may have ended before. */
static void check_ends(udpr_status status) {
  static const udpr_status fine[] = {UDPR_OK, UDPR_E_CLOSED, UDPR_E_NOT_FOUND, UDPR_E_NOT_RUNNING,
                                     UDPR_E_ALREADY_RUNNING};
  for (size_t i = 0; i < sizeof fine / sizeof *fine; i++)
    if (status == fine[i]) return;
  FAIL("%s", udpr_status_name(status));
}

static void close_visited(udpr_transport *transport, void *user) {
  (void)user;
  OK(udpr_transport_close(transport));
}

static void stop_visited(udpr_transport *transport, void *user) {
  (void)user;
  OK(udpr_transport_stop_listening(transport));
}

static void remove_registrations(callback_fixture *fixture) {
  udpr_id ids[MAX_REGISTRATIONS];
  size_t  count;
  OK(udpr_reactor_delayed_calls(fixture->reactor, ids, MAX_REGISTRATIONS, &count));
  for (size_t i = 0; i < count; i++) OK(udpr_reactor_cancel_call(fixture->reactor, ids[i]));
  for (int i = 0; i < 5; i++)
    if (fixture->triggers[i])
      check_ends(udpr_reactor_remove_trigger(fixture->reactor, fixture->triggers[i]->id));
  for (int i = 0; i < 3; i++)
    if (fixture->watches[i]) check_ends(udpr_reactor_unwatch(fixture->reactor, fixture->watches[i]->id));
  if (fixture->lookup) check_ends(udpr_reactor_cancel_resolve(fixture->reactor, fixture->lookup->id));
  check_ends(udpr_reactor_set_logger(fixture->reactor, 0, NULL, NULL, NULL));
}

static void release_handles(callback_fixture *fixture) {
  for (int i = 0; i < fixture->count; i++) {
    udpr_transport_release(fixture->registrations[i].transport);
    fixture->registrations[i].transport = NULL;
  }
  udpr_remote_release(fixture->remote);
  fixture->remote = NULL;
}

/* A cancelled look-up calls its callback; calls from threads and work cannot be cancelled; each_transport
 * visits a snapshot; calls of a port are freed right before stop_protocol; a socket that is being configured is no port yet.
 */
static bool may_still_be_called(callback_kind kind, callback_kind act_kind) {
  if (act_kind == CONFIGURE_SOCKET && (kind == START_PROTOCOL || kind == STOP_PROTOCOL)) return true;
  return (kind == STOP_PROTOCOL && act_kind == PORT_REPEAT_FREED) || kind == RESOLVED || kind == VISIT ||
         kind == CALL_FROM_THREAD || kind == REMOTE_CALL || kind == DONE || kind >= PORT_FREED;
}

static void close_everything(callback_fixture *fixture) {
  OK(udpr_reactor_each_transport(fixture->reactor, close_visited, NULL));
  remove_registrations(fixture);
  release_handles(fixture);
  memset(fixture->was_called, 0, sizeof fixture->was_called);
}

static void check_nothing_is_called_after(act_fn act) {
  for (callback_kind kind = 0; kind < CALLBACK_KINDS; kind = next_kind(kind)) {
    callback_fixture fixture;
    fixture_begin(&fixture, kind, act);
    if (fixture.acted) run_turns(fixture.reactor, 5);
    fixture_end(&fixture);
    for (callback_kind late = 0; late < CALLBACK_KINDS; late++)
      if (fixture.was_called[late] && !may_still_be_called(late, kind))
        FAIL("%s: then %s was called", callback_names[kind], callback_names[late]);
  }
}

TEST(close_everything_inside) { check_nothing_is_called_after(close_everything); }

static void stop_everything(callback_fixture *fixture) {
  OK(udpr_reactor_each_transport(fixture->reactor, stop_visited, NULL));
  remove_registrations(fixture);
  check_ends(udpr_reactor_stop(fixture->reactor));
  release_handles(fixture);
}

TEST(stop_everything_inside) { run_in_every_callback(stop_everything); }

static void stop_visited_when_sent(udpr_transport *transport, void *user) {
  (void)user;
  OK(udpr_transport_stop_when_sent(transport, MS(1)));
  OK(udpr_transport_stop_when_sent(transport, UDPR_NEVER));
}

static void stop_ports_when_sent(callback_fixture *fixture) {
  OK(udpr_reactor_each_transport(fixture->reactor, stop_visited_when_sent, NULL));
  release_handles(fixture);
}

TEST(stop_ports_when_sent_inside) { run_in_every_callback(stop_ports_when_sent); }

static void fire_shutdown(callback_fixture *fixture) {
  check_ends(udpr_reactor_fire_event(fixture->reactor, UDPR_EVENT_SHUTDOWN));
}
static void crash(callback_fixture *fixture) { check_ends(udpr_reactor_crash(fixture->reactor)); }

TEST(fire_shutdown_inside) { run_in_every_callback(fire_shutdown); }
TEST(crash_inside) { run_in_every_callback(crash); }

/* ---- replacement by another one of the same kind ------------------------------------------------------- */

static void replace_port(callback_fixture *fixture) {
  uint16_t number = 0;
  if (fixture->acting_transport && udpr_transport_fileno(fixture->acting_transport) >= 0) {
    number = host_of(fixture->acting_transport).port;
    OK(udpr_transport_close(fixture->acting_transport));
  }
  fixture->single =
      add_port(fixture, number, fixture->kind == DATAGRAMS_RECEIVED ? on_datagrams_received : NULL);
  if (number) CHECK_EQ(number, host_of(fixture->single->transport).port);
}

static void replace_trigger(callback_fixture *fixture) {
  OK(udpr_reactor_remove_trigger(fixture->reactor, fixture->acting->id));
  fixture->triggers[2] = add_trigger(fixture, UDPR_PHASE_DURING, UDPR_EVENT_SHUTDOWN, on_shutdown_during);
}

static void replace_itself(callback_fixture *fixture) {
  memset(fixture->was_called, 0, sizeof fixture->was_called);
  switch (fixture->kind) {
  case DELAYED_CALL:
    CHECK_STATUS(UDPR_E_ALREADY_CALLED, udpr_reactor_cancel_call(fixture->reactor, fixture->acting->id));
    add_call(fixture, 0);
    break;
  case CALL_FREED: add_call(fixture, 0); break;
  case CALL_AT:
  case CALL_AT_FREED: add_call_at(fixture); break;
  case REPEAT:
    OK(udpr_reactor_cancel_call(fixture->reactor, fixture->acting->id));
    add_repeat(fixture);
    break;
  case PORT_CALL:
  case PORT_CALL_FREED: add_port_call(fixture, fixture->single->transport); break;
  case PORT_REPEAT:
    OK(udpr_reactor_cancel_call(fixture->reactor, fixture->acting->id));
    add_port_repeat(fixture, fixture->acting_transport);
    break;
  case CALL_WHEN_RUNNING:
  case RUNNING_FREED: add_call_when_running(fixture); break;
  case CALL_FROM_THREAD:
  case FROM_THREAD_FREED: add_call_from_thread(fixture); break;
  case REMOTE_CALL:
  case REMOTE_FREED: add_remote_call(fixture); break;
  case DONE:
  case JOB_FREED: add_work(fixture); break;
  case RESOLVED:
    CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_cancel_resolve(fixture->reactor, fixture->acting->id));
    add_lookup(fixture);
    break;
  case LOOKUP_FREED: add_lookup(fixture); break;
  case WATCH:
    OK(udpr_reactor_unwatch(fixture->reactor, fixture->acting->id));
    add_watch(fixture);
    break;
  case SIGNAL_WATCH:
    OK(udpr_reactor_unwatch(fixture->reactor, fixture->acting->id));
    add_signal_watch(fixture);
    CHECK_EQ(0, raise(SIGUSR1));
    break;
  case INTERFACE_WATCH:
    OK(udpr_reactor_unwatch(fixture->reactor, fixture->acting->id));
    add_interface_watch(fixture);
    change_interface();
    break;
  case STARTUP:
  case SHUTDOWN_BEFORE:
  case SHUTDOWN_DURING:
  case SHUTDOWN_AFTER: replace_trigger(fixture); break;
  case LOGGER:
  case LOGGER_FREED: add_logger(fixture); break;
  case PORT_REPEAT_FREED: break; /* called when the port stops */
  case REPEAT_FREED:
  case WATCH_FREED:
  case SIGNAL_WATCH_FREED:
  case INTERFACE_WATCH_FREED:
  case TRIGGER_FREED: break; /* called by udpr_reactor_free, when nothing can be registered any more */
  default: replace_port(fixture);
  }
}

/* Makes the replacement's callback due and waits for it. */
static void expect_replacement_called(callback_fixture *fixture) {
  bool in_port = fixture->kind == DATAGRAM_RECEIVED || fixture->kind == DATAGRAMS_RECEIVED;
  bool in_call = fixture->kind >= DELAYED_CALL && fixture->kind <= PORT_REPEAT;
  if (in_port) {
    udpr_addr host = host_of(fixture->single->transport);
    peer_send(fixture->peer, &host, "a", 1);
  }
  bool in_watch = fixture->kind >= WATCH && fixture->kind <= INTERFACE_WATCH;
  if (in_watch || in_call || fixture->kind == CALL_FROM_THREAD || fixture->kind == REMOTE_CALL ||
      fixture->kind == DONE || fixture->kind == RESOLVED || in_port)
    RUN_UNTIL(fixture->reactor, fixture->was_called[fixture->kind]);
}

TEST(replace_the_registration_inside) {
  for (callback_kind kind = 0; kind < CALLBACK_KINDS; kind = next_kind(kind)) {
    callback_fixture fixture;
    fixture_begin(&fixture, kind, replace_itself);
    if (fixture.acted) expect_replacement_called(&fixture);
    fixture_end(&fixture);
  }
}

/* ---- another thread -------------------------------------------------------------------------------------- */

static void check_wrong_thread(void *arg) {
  callback_fixture *fixture = arg;
  handles           with = {.reactor = fixture->reactor,
                            .to = fixture->to,
                            .call = fixture->call ? fixture->call->id : 1};
  check_reactor_calls_return(UDPR_E_WRONG_THREAD, &with);
  CHECK_STATUS(UDPR_E_WRONG_THREAD, udpr_reactor_free(fixture->reactor));
  if (!fixture->single || !fixture->single->transport) return;
  with.transport = fixture->single->transport;
  if (!fixture->single->freed) check_transport_calls_return(UDPR_E_WRONG_THREAD, &with);
}

static void check_wrong_thread_in_another_thread(callback_fixture *fixture) {
  run_in_thread(check_wrong_thread, fixture);
}

TEST(every_call_from_another_thread) { run_in_every_callback(check_wrong_thread_in_another_thread); }

/* ---- fork ------------------------------------------------------------------------------------------------ */

static void check_everything_is_closed(callback_fixture *fixture) {
  handles with = {.reactor = fixture->reactor, .to = fixture->to, .call = 1};
  check_reactor_calls_return(UDPR_E_CLOSED, &with);
  check_any_thread_calls_return(UDPR_E_CLOSED,
                                &(handles){.reactor = fixture->reactor, .remote = fixture->remote});
  CHECK_STATUS(UDPR_E_REENTRANT, udpr_reactor_after_fork(fixture->reactor));
}

static void fork_and_check_closed(callback_fixture *fixture) {
  fork_and_wait();
  if (!is_child) return;
  check_everything_is_closed(fixture);
  memset(fixture->was_called, 0, sizeof fixture->was_called);
}

/* In the child, the call that called back returns UDPR_E_CLOSED. udpr_reactor_free returns UDPR_OK and has
 * closed descriptors.
 */
static void end_child_after(const callback_fixture *fixture, udpr_status expected) {
  if (!is_child) return;
  CHECK_STATUS(expected, fixture->act_status);
  for (callback_kind kind = 0; kind < CALLBACK_KINDS; kind++)
    if (fixture->was_called[kind]) FAIL("then %s was called", callback_names[kind]);
  kill_self();
}

TEST(fork_inside) {
  for (callback_kind kind = 0; kind < CALLBACK_KINDS; kind = next_kind(kind)) {
    callback_fixture fixture;
    fixture_begin(&fixture, kind, fork_and_check_closed);
    if (fixture.acted) end_child_after(&fixture, UDPR_E_CLOSED);
    if (fixture.acted) run_turns(fixture.reactor, 3);
    bool in_free = !fixture.acted;
    OK_UNLESS_ACTED(&fixture, udpr_reactor_free(fixture.reactor));
    if (in_free) end_child_after(&fixture, UDPR_OK);
    fixture.reactor = NULL;
    fixture_end(&fixture);
  }
}

CHECK_MAIN()
