/* callback_fixture.h: a reactor on which every kind of callback is called. A test chooses one of them, and a
 * function that is called inside it:
 *
 *     run_in_callback(DATAGRAM_RECEIVED, act);
 */
#ifndef UDPR_TESTS_CALLBACK_FIXTURE_H
#define UDPR_TESTS_CALLBACK_FIXTURE_H

#include "every_callback.h"
#include "network_namespace.h"

#include <fcntl.h>

/* ---- registrations -------------------------------------------------------------------------------------- */

static inline registration *new_registration(callback_fixture *fixture, callback_kind freed_kind) {
  CHECK(fixture->count < MAX_REGISTRATIONS);
  registration *one = &fixture->registrations[fixture->count++];
  *one = (registration){.in = fixture, .freed_kind = freed_kind};
  return one;
}

/* A call during which `act` was called may return any status, which is kept in act_status. All other calls
 * must succeed.
 */
static inline void check_status_unless_acted(callback_fixture *fixture, bool acted_before,
                                             udpr_status status) {
  if (acted_before == fixture->acted) OK(status);
  else fixture->act_status = status;
}
#define OK_UNLESS_ACTED(fixture, call)                          \
  do {                                                          \
    bool        acted_before_ = (fixture)->acted;               \
    udpr_status status_ = (call);                               \
    check_status_unless_acted(fixture, acted_before_, status_); \
  } while (0)

/* If `port` is 0, the kernel chooses the port number. */
static inline registration *add_port(callback_fixture *fixture, uint16_t port, udpr_datagrams_fn in_batches) {
  udpr_udp_options options = {.size = sizeof options,
                              .flags = udpr_has_feature("error_reports") ? UDPR_UDP_ERROR_REPORTS : 0,
                              .send_queue_bytes = 4096};
  registration    *one = new_registration(fixture, PORT_FREED);
  udpr_protocol    protocol = {.size = sizeof protocol,
                               .user = one,
                               .free_user = registration_free,
                               .start_protocol = on_start_protocol,
                               .datagram_received = on_datagram_received,
                               .datagrams_received = in_batches,
                               .connection_refused = on_connection_refused,
                               .error_received = on_error_received,
                               .write_ready = on_write_ready,
                               .stop_protocol = on_stop_protocol,
                               .configure_socket = on_configure_socket};
  OK_UNLESS_ACTED(fixture, udpr_reactor_listen_udp(fixture->reactor, port, "127.0.0.1", &protocol, &options,
                                                   &one->transport));
  return one;
}

static inline registration *add_logger(callback_fixture *fixture) {
  registration *one = new_registration(fixture, LOGGER_FREED);
  OK_UNLESS_ACTED(fixture,
                  udpr_reactor_set_logger(fixture->reactor, UDPR_LOG_DEBUG, on_log, one, registration_free));
  return one;
}

static inline registration *add_trigger(callback_fixture *fixture, uint32_t phase, uint32_t event,
                                        udpr_trigger_fn fn) {
  registration *one = new_registration(fixture, TRIGGER_FREED);
  OK(udpr_reactor_add_trigger(fixture->reactor, phase, event, fn, one, registration_free, &one->id));
  return one;
}

static inline registration *add_call_when_running(callback_fixture *fixture) {
  registration *one = new_registration(fixture, RUNNING_FREED);
  OK_UNLESS_ACTED(fixture, udpr_reactor_call_when_running(fixture->reactor, on_call_when_running, one,
                                                          registration_free, &one->id));
  return one;
}

static inline registration *add_call(callback_fixture *fixture, udpr_ns delay) {
  registration *one = new_registration(fixture, CALL_FREED);
  OK(udpr_reactor_call_later(fixture->reactor, delay, on_delayed_call, one, registration_free, &one->id));
  return one;
}

static inline registration *add_call_at(callback_fixture *fixture) {
  registration *one = new_registration(fixture, CALL_AT_FREED);
  OK(udpr_reactor_call_at(fixture->reactor, 0, on_call_at, one, registration_free, &one->id));
  return one;
}

static inline registration *add_repeat(callback_fixture *fixture) {
  registration *one = new_registration(fixture, REPEAT_FREED);
  OK(udpr_reactor_call_every(fixture->reactor, MS(1), on_repeat, one, registration_free, &one->id));
  return one;
}

static inline registration *add_port_call(callback_fixture *fixture, udpr_transport *transport) {
  registration *one = new_registration(fixture, PORT_CALL_FREED);
  OK(udpr_transport_call_later(transport, 0, on_port_call, one, registration_free, &one->id));
  return one;
}

static inline registration *add_port_repeat(callback_fixture *fixture, udpr_transport *transport) {
  registration *one = new_registration(fixture, PORT_REPEAT_FREED);
  OK(udpr_transport_call_every(transport, MS(1), on_port_repeat, one, registration_free, &one->id));
  return one;
}

static inline registration *add_call_from_thread(callback_fixture *fixture) {
  registration *one = new_registration(fixture, FROM_THREAD_FREED);
  OK(udpr_reactor_call_from_thread(fixture->reactor, on_call_from_thread, one, registration_free));
  return one;
}

static inline registration *add_remote_call(callback_fixture *fixture) {
  registration *one = new_registration(fixture, REMOTE_FREED);
  OK(udpr_remote_call(fixture->remote, on_remote_call, one, registration_free));
  return one;
}

static inline registration *add_work(callback_fixture *fixture) {
  registration *one = new_registration(fixture, JOB_FREED);
  OK(udpr_reactor_call_in_thread(fixture->reactor, on_work, on_done, one, registration_free));
  return one;
}

static inline registration *add_lookup(callback_fixture *fixture) {
  registration *one = new_registration(fixture, LOOKUP_FREED);
  OK(udpr_reactor_resolve(fixture->reactor, "127.0.0.1", 1, 0, 0, on_resolved, one, registration_free,
                          &one->id));
  return one;
}

static inline registration *add_watch(callback_fixture *fixture) {
  registration *one = new_registration(fixture, WATCH_FREED);
  OK(udpr_reactor_watch(fixture->reactor, fixture->pipe[0], UDPR_WATCH_READABLE, on_watch, one,
                        registration_free, &one->id));
  return one;
}

static inline registration *add_signal_watch(callback_fixture *fixture) {
  registration *one = new_registration(fixture, SIGNAL_WATCH_FREED);
  OK(udpr_reactor_watch_signal(fixture->reactor, SIGUSR1, on_signal_watch, one, registration_free, &one->id));
  return one;
}

static inline registration *add_interface_watch(callback_fixture *fixture) {
  registration *one = new_registration(fixture, INTERFACE_WATCH_FREED);
  OK(udpr_reactor_watch_interfaces(fixture->reactor, on_interface_watch, one, registration_free, &one->id));
  return one;
}

/* Makes the callback of every watch of the interfaces due. */
static inline void change_interface(void) {
  static int   mtu = 65536;
  struct ifreq loopback = {.ifr_name = "lo", .ifr_mtu = --mtu};
  int          fd = socket(AF_INET, SOCK_DGRAM, 0);
  CHECK_EQ(0, ioctl(fd, SIOCSIFMTU, &loopback));
  close(fd);
}

/* ---- the steps of a fixture, which end as soon as `act` was called ------------------------------------- */

static inline void add_triggers(callback_fixture *fixture) {
  fixture->triggers[0] = add_trigger(fixture, UDPR_PHASE_DURING, UDPR_EVENT_STARTUP, on_startup);
  fixture->triggers[1] = add_trigger(fixture, UDPR_PHASE_BEFORE, UDPR_EVENT_SHUTDOWN, on_shutdown_before);
  fixture->triggers[2] = add_trigger(fixture, UDPR_PHASE_DURING, UDPR_EVENT_SHUTDOWN, on_shutdown_during);
  fixture->triggers[3] = add_trigger(fixture, UDPR_PHASE_AFTER, UDPR_EVENT_SHUTDOWN, on_shutdown_after);
  fixture->triggers[4] = add_call_when_running(fixture);
}
static inline void set_logger(callback_fixture *fixture) { add_logger(fixture); }
static inline void start_reactor(callback_fixture *fixture) {
  OK_UNLESS_ACTED(fixture, udpr_reactor_start(fixture->reactor));
}
static inline void listen_single(callback_fixture *fixture) { fixture->single = add_port(fixture, 0, NULL); }
static inline void listen_batch(callback_fixture *fixture) {
  fixture->batch = add_port(fixture, 0, on_datagrams_received);
}
static inline void listen_connected(callback_fixture *fixture) {
  fixture->connected = add_port(fixture, 0, NULL);
}
static inline void visit_all(callback_fixture *fixture) {
  OK_UNLESS_ACTED(fixture, udpr_reactor_each_transport(fixture->reactor, on_visit, &fixture->visitor));
}
static inline void add_calls(callback_fixture *fixture) {
  fixture->call = add_call(fixture, 0);
  add_call_at(fixture);
  add_repeat(fixture);
  add_port_call(fixture, fixture->single->transport);
  add_port_repeat(fixture, fixture->single->transport);
  add_call_from_thread(fixture);
  add_remote_call(fixture);
  add_work(fixture);
  fixture->lookup = add_lookup(fixture);
  fixture->watches[0] = add_watch(fixture);
  fixture->watches[1] = add_signal_watch(fixture);
  if (udpr_has_feature("watch_interfaces")) fixture->watches[2] = add_interface_watch(fixture);
}

/* Sends datagrams to two ports, makes the third port's peer refuse, and posts until write_ready is due. */
static inline void make_traffic(callback_fixture *fixture) {
  static const uint8_t big[1000];
  udpr_addr single = host_of(fixture->single->transport), batch = host_of(fixture->batch->transport),
            refusing = peer_addr(fixture->refusing);
  udpr_status status;
  CHECK_EQ(1, write(fixture->pipe[1], "x", 1));
  CHECK_EQ(0, raise(SIGUSR1));
  change_interface();
  peer_send(fixture->peer, &single, "a", 1);
  peer_send(fixture->peer, &single, "b", 1);
  peer_send(fixture->peer, &batch, "c", 1);
  peer_send(fixture->peer, &batch, "d", 1);
  OK(udpr_transport_connect(fixture->connected->transport, &refusing));
  OK(udpr_transport_write(fixture->connected->transport, "x", 1, NULL));
  while ((status = udpr_transport_post(fixture->single->transport, big, sizeof big, &fixture->to)) ==
         UDPR_OK) {}
  CHECK_STATUS(UDPR_E_WOULD_BLOCK, status);
}

/* False for the callbacks that this system never calls. */
static inline bool can_be_called(callback_kind kind) {
  switch (kind) {
  case ERROR_RECEIVED: return udpr_has_feature("error_reports");
  case INTERFACE_WATCH:
  case INTERFACE_WATCH_FREED: return udpr_has_feature("watch_interfaces");
  default: return true;
  }
}

/* The next kind of callback that this system calls, or CALLBACK_KINDS. */
static inline callback_kind next_kind(callback_kind kind) {
  do kind++;
  while (kind < CALLBACK_KINDS && !can_be_called(kind));
  return kind;
}

static inline bool all_called(const callback_fixture *fixture) {
  for (callback_kind kind = 0; kind < SHUTDOWN_BEFORE; kind = next_kind(kind))
    if (!fixture->was_called[kind] && kind != STOP_PROTOCOL) return false;
  return fixture->was_called[JOB_FREED];
}

static inline void iterate_until_all_called(callback_fixture *fixture) {
  udpr_ns end = monotonic_ns() + CHECK_TIMEOUT;
  while (!fixture->acted && !all_called(fixture)) {
    if (monotonic_ns() > end)
      for (callback_kind kind = 0; kind < CALLBACK_KINDS; kind++)
        if (!fixture->was_called[kind]) FAIL("%s was never called", callback_names[kind]);
    OK_UNLESS_ACTED(fixture, udpr_reactor_iterate(fixture->reactor, (int64_t)MS(20)));
  }
}

/* The callbacks of the shutdown, and the free_user of the watch, are called in later turns. */
static inline void stop_and_iterate(callback_fixture *fixture) {
  OK(udpr_reactor_stop(fixture->reactor));
  OK_UNLESS_ACTED(fixture, udpr_reactor_iterate(fixture->reactor, 0));
}
static inline void remove_logger(callback_fixture *fixture) {
  OK_UNLESS_ACTED(fixture, udpr_reactor_set_logger(fixture->reactor, 0, NULL, NULL, NULL));
}

typedef void (*step_fn)(callback_fixture *fixture);

static const step_fn fixture_steps[] = {set_logger,       add_triggers,
                                        start_reactor,    listen_single,
                                        listen_batch,     listen_connected,
                                        visit_all,        add_calls,
                                        make_traffic,     iterate_until_all_called,
                                        stop_and_iterate, remove_logger};

static inline void fixture_begin(callback_fixture *fixture, callback_kind kind, act_fn act) {
  static bool has_namespace;
  if (!has_namespace) enter_unprivileged_network_namespace(), has_namespace = true;
  *fixture = (callback_fixture){.reactor = new_reactor(0), .kind = kind, .act = act};
  check_context = callback_names[kind];
  fixture->visitor = (registration){.in = fixture};
  OK(udpr_reactor_remote(fixture->reactor, &fixture->remote));
  CHECK_EQ(0, pipe2(fixture->pipe, O_CLOEXEC | O_NONBLOCK));
  fixture->peer = peer_open(AF_INET), fixture->to = peer_addr(fixture->peer);
  fixture->refusing = peer_open_refusing(AF_INET);
  for (size_t i = 0; i < sizeof fixture_steps / sizeof *fixture_steps && !fixture->acted; i++)
    fixture_steps[i](fixture);
}

/* Every user was freed once, also those whose callback was never called. */
static inline void fixture_end(callback_fixture *fixture) {
  OK_UNLESS_ACTED(fixture, udpr_reactor_free(fixture->reactor));
  CHECK(fixture->acted);
  for (int i = 0; i < fixture->count; i++) {
    CHECK_EQ(1, fixture->registrations[i].freed);
    udpr_transport_release(fixture->registrations[i].transport);
  }
  udpr_remote_release(fixture->remote);
  CHECK(close(fixture->pipe[0]) == 0 && close(fixture->pipe[1]) == 0);
  CHECK(close(fixture->peer) == 0 && close(fixture->refusing) == 0);
  check_context = NULL;
}

/* Calls `act` inside the callback of that kind, then runs a few more turns. */
static inline void run_in_callback(callback_kind kind, act_fn act) {
  callback_fixture fixture;
  fixture_begin(&fixture, kind, act);
  if (fixture.acted) run_turns(fixture.reactor, 5);
  fixture_end(&fixture);
}

static inline void run_in_every_callback(act_fn act) {
  for (callback_kind kind = 0; kind < CALLBACK_KINDS; kind = next_kind(kind)) run_in_callback(kind, act);
}

#endif
