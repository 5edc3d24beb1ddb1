/* Use after a port was closed, after one of two references was released, and after the reactor was freed; and
 * every ending call twice.
 */
#include "every_call.h"
#include "pool.h"
#include "probe.h"
#include "watcher.h"

/* ---- ports ----------------------------------------------------------------------------------------------- */

static void check_everything_is_closed(void *arg) {
  handles *with = arg;
  check_transport_calls_return(UDPR_E_CLOSED, with);
  CHECK_STATUS(UDPR_E_CLOSED, call_post(with));
  CHECK_STATUS(UDPR_E_CLOSED, call_post_message(with));
}

TEST(every_call_after_close) {
  udpr_reactor *reactor = new_reactor(0);
  probe         port = {0};
  probe_listen(&port, reactor);
  handles with = {.transport = port.transport, .to = port.host};
  OK(udpr_transport_close(port.transport));
  check_everything_is_closed(&with);
  run_in_thread(check_everything_is_closed, &with);
  CHECK(port.stops == 1 && port.freed == 1);
  OK(udpr_reactor_free(reactor));
  check_everything_is_closed(&with);
  probe_check_ended(&port);
}

/* Until the port has stopped in a later turn, getters work, and other functions return UDPR_E_CLOSED. */
TEST(calls_after_stop_listening) {
  udpr_reactor *reactor = new_reactor(0);
  probe         port = {0};
  udpr_addr     host;
  probe_listen(&port, reactor);
  handles with = {.transport = port.transport, .to = port.host};
  OK(udpr_transport_stop_listening(port.transport));
  CHECK_STATUS(UDPR_E_CLOSED, call_write(&with));
  CHECK_STATUS(UDPR_E_CLOSED, call_write_sequence(&with));
  CHECK_STATUS(UDPR_E_CLOSED, call_write_messages(&with));
  CHECK_STATUS(UDPR_E_CLOSED, call_post(&with));
  CHECK_STATUS(UDPR_E_CLOSED, call_post_message(&with));
  CHECK_STATUS(UDPR_E_CLOSED, call_connect(&with));
  CHECK_STATUS(UDPR_E_CLOSED, call_pause(&with));
  CHECK_STATUS(UDPR_E_CLOSED, call_resume(&with));
  CHECK_STATUS(UDPR_E_CLOSED, call_join_group(&with));
  OK(udpr_transport_get_host(port.transport, &host));
  OK(udpr_transport_stop_listening(port.transport));
  CHECK_EQ(0, port.stops);
  RUN_UNTIL(reactor, port.freed);
  check_everything_is_closed(&with);
  OK(udpr_reactor_free(reactor));
  probe_check_ended(&port);
}

TEST(a_port_with_one_of_two_references_released) {
  udpr_reactor *reactor = new_reactor(0);
  probe         port = {0};
  probe_listen(&port, reactor);
  udpr_transport *second = udpr_transport_retain(port.transport);
  udpr_transport_release(port.transport);
  OK(udpr_transport_write(second, "a", 1, &port.host));
  RUN_UNTIL(reactor, *port.received);
  CHECK(udpr_transport_user(second) == &port && port.stops == 0);
  OK(udpr_transport_close(second));
  handles with = {.transport = second, .to = port.host};
  check_everything_is_closed(&with);
  probe_check_ended(&port); /* releases the second reference */
  OK(udpr_reactor_free(reactor));
}

/* ---- remotes --------------------------------------------------------------------------------------------- */

TEST(a_remote_with_one_of_two_references_released_after_free) {
  udpr_reactor *reactor = new_reactor(0);
  handles       with = {.reactor = NULL};
  OK(udpr_reactor_remote(reactor, &with.remote));
  udpr_remote *second = udpr_remote_retain(with.remote);
  udpr_remote_release(with.remote);
  OK(udpr_remote_wake(second));
  OK(udpr_reactor_free(reactor));
  check_any_thread_calls_return(UDPR_E_CLOSED, &(handles){.remote = second});
  udpr_remote_release(second);
}

/* ---- everything twice ---------------------------------------------------------------------------------- */

static udpr_status pending(udpr_reactor *reactor, udpr_id id, void *user) {
  (void)reactor, (void)id, (void)user;
  return UDPR_PENDING;
}

static void cancelled(udpr_reactor *reactor, udpr_id id, udpr_status status, const udpr_addr *addrs,
                      size_t count, void *user) {
  (void)reactor, (void)id, (void)addrs, (void)count;
  CHECK_STATUS(UDPR_E_CANCELLED, status);
  ++*(int *)user;
}

TEST(stop_crash_and_start_twice) {
  udpr_reactor *reactor = new_reactor(0);
  CHECK_STATUS(UDPR_E_NOT_RUNNING, udpr_reactor_stop(reactor));
  CHECK_STATUS(UDPR_E_NOT_RUNNING, udpr_reactor_crash(reactor));
  OK(udpr_reactor_start(reactor));
  CHECK_STATUS(UDPR_E_ALREADY_RUNNING, udpr_reactor_start(reactor));
  CHECK_STATUS(UDPR_E_ALREADY_RUNNING, udpr_reactor_run(reactor));
  OK(udpr_reactor_stop(reactor));
  CHECK_STATUS(UDPR_E_NOT_RUNNING, udpr_reactor_stop(reactor));
  OK(udpr_reactor_iterate(reactor, 0));
  CHECK_STATUS(UDPR_E_NOT_RUNNING, udpr_reactor_stop(reactor));
  OK(udpr_reactor_start(reactor));
  OK(udpr_reactor_crash(reactor));
  CHECK_STATUS(UDPR_E_NOT_RUNNING, udpr_reactor_crash(reactor));
  OK(udpr_reactor_free(reactor));
}

TEST(close_disconnect_and_leave_group_twice) {
  udpr_reactor *reactor = new_reactor(0);
  probe         port = {0};
  probe_listen(&port, reactor);
  handles with = {.transport = port.transport, .to = port.host};
  OK(call_connect(&with));
  OK(call_connect(&with));
  OK(call_disconnect(&with));
  CHECK_STATUS(UDPR_E_NOT_CONNECTED, call_disconnect(&with));
  OK(call_join_group(&with));
  CHECK_STATUS(UDPR_E_ALREADY_JOINED, call_join_group(&with));
  OK(call_leave_group(&with));
  CHECK_STATUS(UDPR_E_NOT_JOINED, call_leave_group(&with));
  OK(call_pause(&with));
  OK(call_pause(&with));
  OK(call_resume(&with));
  OK(call_resume(&with));
  OK(call_close(&with));
  CHECK_STATUS(UDPR_E_CLOSED, call_close(&with));
  CHECK_STATUS(UDPR_E_CLOSED, call_stop_listening(&with));
  probe_check_ended(&port);
  OK(udpr_reactor_free(reactor));
}

TEST(cancel_twice) {
  udpr_reactor *reactor = new_reactor(0);
  atomic_int    freed = 0;
  int           results = 0;
  udpr_id       call, lookup;
  OK(udpr_reactor_call_later(reactor, SECONDS(9), call_must_not_run, &freed, count_free, &call));
  OK(udpr_reactor_cancel_call(reactor, call));
  CHECK_STATUS(UDPR_E_ALREADY_CANCELLED, udpr_reactor_cancel_call(reactor, call));
  CHECK_EQ(1, freed);
  OK(udpr_reactor_resolve(reactor, "::1", 1, 0, 0, cancelled, &results, NULL, &lookup));
  OK(udpr_reactor_cancel_resolve(reactor, lookup));
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_cancel_resolve(reactor, lookup));
  run_turns(reactor, 3);
  CHECK_EQ(1, results);
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_cancel_resolve(reactor, lookup));
  OK(udpr_reactor_free(reactor));
}

TEST(unwatch_twice) {
  udpr_reactor *reactor = new_reactor(0);
  watcher       one = {0};
  int           ends[2];
  open_pipe(ends);
  watch(reactor, ends[0], R, &one);
  OK(udpr_reactor_unwatch(reactor, one.id));
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_unwatch(reactor, one.id));
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_change_watch(reactor, one.id, R));
  CHECK_EQ(1, one.freed);
  OK(udpr_reactor_free(reactor));
  close_pipe(ends);
}

TEST(finish_and_remove_trigger_twice) {
  udpr_reactor *reactor = new_reactor(0);
  atomic_int    freed = 0;
  udpr_id       id;
  OK(udpr_reactor_add_trigger(reactor, UDPR_PHASE_BEFORE, UDPR_EVENT_STARTUP, pending, &freed, count_free,
                              &id));
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_finish_trigger(reactor, id));
  OK(udpr_reactor_fire_event(reactor, UDPR_EVENT_STARTUP));
  CHECK_STATUS(UDPR_E_ALREADY_RUNNING, udpr_reactor_fire_event(reactor, UDPR_EVENT_STARTUP));
  OK(udpr_reactor_finish_trigger(reactor, id));
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_finish_trigger(reactor, id));
  OK(udpr_reactor_remove_trigger(reactor, id));
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_remove_trigger(reactor, id));
  CHECK_EQ(1, freed);
  OK(udpr_reactor_free(reactor));
}

CHECK_MAIN()
