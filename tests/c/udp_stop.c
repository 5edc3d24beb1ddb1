/* stop_listening and close: from outside, from callbacks, in the middle of a batch, and from another port.
 * The protocol in probe.h checks for every port that no callback is called after stop_protocol, and that
 * stop_protocol and free_user are called once.
 */
#include "probe.h"

/* The counter in stop_protocol. A case that checks it stops only one port. */
static uint64_t discarded;

static void record_discarded(probe *port, udpr_transport *transport) {
  (void)port;
  discarded = stats_of(transport).discarded_in;
}

static bool is_first(const probe *port) { return port->received[1] == '\0'; }

/* Sends four datagrams, which one turn receives in one batch. */
static udpr_reactor *reactor_with_four_datagrams(probe *port) {
  udpr_reactor *reactor = new_reactor(0);
  port->on_stop = record_discarded;
  probe_listen(port, reactor);
  send_letters(&port->host, "abcd");
  return reactor;
}

/* ---- from outside -------------------------------------------------------------------------------------- */

TEST(close_is_complete_when_it_returns) {
  udpr_reactor *reactor = new_reactor(0);
  probe         port = {0};
  probe_listen(&port, reactor);
  send_letters(&port.host, "abcd"); /* not delivered */
  OK(udpr_transport_close(port.transport));
  CHECK(port.stops == 1 && port.freed == 1);
  check_transport_closed(port.transport);
  CHECK(udpr_transport_reactor(port.transport) == NULL);
  CHECK(udpr_transport_user(port.transport) == NULL);
  CHECK_STATUS(UDPR_E_CLOSED, udpr_transport_close(port.transport));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_transport_stop_listening(port.transport));
  run_turns(reactor, 3);
  probe_check_ended(&port);
  OK(udpr_reactor_free(reactor));
}

TEST(stop_listening_completes_in_a_later_turn) {
  udpr_reactor *reactor = new_reactor(0);
  probe         port = {0};
  probe_listen(&port, reactor);
  send_letters(&port.host, "abcd");
  OK(udpr_transport_stop_listening(port.transport));
  OK(udpr_transport_stop_listening(port.transport)); /* has no effect */
  CHECK_EQ(0, port.stops);
  CHECK_STATUS(UDPR_E_CLOSED, udpr_transport_write(port.transport, "x", 1, &port.host));
  port.stopped = true;
  OK(udpr_reactor_iterate(reactor, -1)); /* a deferred stop is due: must not wait */
  CHECK(port.stops == 1 && port.freed == 1);
  check_transport_closed(port.transport);
  run_turns(reactor, 3);
  probe_check_ended(&port);
  OK(udpr_reactor_free(reactor));
}

TEST(stop_listening_without_a_turn) {
  udpr_reactor *reactor = new_reactor(0);
  probe         port = {.stopped = true};
  probe_listen(&port, reactor);
  OK(udpr_transport_stop_listening(port.transport));
  CHECK_EQ(0, port.stops);
  OK(udpr_reactor_free(reactor));
  probe_check_ended(&port);
}

TEST(close_after_stop_listening_completes_at_once) {
  udpr_reactor *reactor = new_reactor(0);
  probe         port = {0};
  probe_listen(&port, reactor);
  OK(udpr_transport_stop_listening(port.transport));
  OK(udpr_transport_close(port.transport));
  CHECK(port.stops == 1 && port.freed == 1);
  run_turns(reactor, 3);
  probe_check_ended(&port);
  OK(udpr_reactor_free(reactor));
}

/* ---- in datagram_received, with three more in the batch ------------------------------------------------ */

static void stop_at_first(probe *port, udpr_transport *transport) {
  port->stopped = true;
  OK(udpr_transport_stop_listening(transport));
  OK(udpr_transport_stop_listening(transport));
  CHECK_EQ(0, port->stops); /* never nested */
  CHECK_STATUS(UDPR_E_CLOSED, udpr_transport_write(transport, "x", 1, &port->host));
}

TEST(stop_listening_in_datagram_received) {
  probe         port = {.on_datagram = stop_at_first};
  udpr_reactor *reactor = reactor_with_four_datagrams(&port);
  RUN_UNTIL(reactor, *port.received);
  CHECK(port.stops == 0 && port.freed == 0); /* in a later turn */
  RUN_UNTIL(reactor, port.stops == 1);
  CHECK_STR("a", port.received);
  CHECK_EQ(3, discarded);
  probe_check_ended(&port);
  OK(udpr_reactor_free(reactor));
}

static void close_at_first(probe *port, udpr_transport *transport) {
  OK(udpr_transport_close(transport));
  CHECK(port->stops == 1 && port->freed == 0); /* the user is freed after this callback */
  check_transport_closed(transport);
}

static void stop_and_close_at_first(probe *port, udpr_transport *transport) {
  stop_at_first(port, transport);
  close_at_first(port, transport);
}

static void pause_and_close_at_first(probe *port, udpr_transport *transport) {
  OK(udpr_transport_pause_reading(transport));
  close_at_first(port, transport);
}

static void check_closed_within(probe_fn act) {
  probe         port = {.on_datagram = act};
  udpr_reactor *reactor = reactor_with_four_datagrams(&port);
  RUN_UNTIL(reactor, *port.received);
  CHECK_STR("a", port.received);
  CHECK_EQ(3, discarded);
  run_turns(reactor, 3);
  probe_check_ended(&port);
  OK(udpr_reactor_free(reactor));
}

TEST(close_in_datagram_received) { check_closed_within(close_at_first); }
TEST(stop_listening_and_close_in_datagram_received) { check_closed_within(stop_and_close_at_first); }
TEST(pause_and_close_in_datagram_received) { check_closed_within(pause_and_close_at_first); }

static void release_at_first(probe *port, udpr_transport *transport) {
  if (is_first(port)) udpr_transport_release(transport);
  CHECK(udpr_transport_user(transport) == port);
}

TEST(release_in_datagram_received_closes_nothing) {
  probe         port = {.on_datagram = release_at_first};
  udpr_reactor *reactor = reactor_with_four_datagrams(&port);
  RUN_UNTIL(reactor, strlen(port.received) == 4);
  send_letters(&port.host, "e");
  RUN_UNTIL(reactor, strlen(port.received) == 5);
  CHECK_STR("abcde", port.received);
  CHECK_EQ(0, port.stops);
  OK(udpr_reactor_free(reactor));
  CHECK(port.stops == 1 && port.freed == 1);
}

static void release_and_close_at_first(probe *port, udpr_transport *transport) {
  udpr_transport_release(transport);
  close_at_first(port, transport); /* the transport is valid until the callback returns */
}

TEST(release_and_close_in_datagram_received) {
  probe         port = {.on_datagram = release_and_close_at_first};
  udpr_reactor *reactor = reactor_with_four_datagrams(&port);
  RUN_UNTIL(reactor, port.freed == 1);
  CHECK_STR("a", port.received);
  CHECK_EQ(3, discarded);
  OK(udpr_reactor_free(reactor));
}

static void listen_at_first(probe *port, udpr_transport *transport) {
  if (is_first(port)) probe_listen(port->arg, udpr_transport_reactor(transport));
}

TEST(listen_in_datagram_received) {
  probe         second = {0}, port = {.on_datagram = listen_at_first, .arg = &second};
  udpr_reactor *reactor = reactor_with_four_datagrams(&port);
  RUN_UNTIL(reactor, strlen(port.received) == 4);
  CHECK_STR("abcd", port.received);
  send_letters(&second.host, "xy");
  RUN_UNTIL(reactor, strlen(second.received) == 2);
  CHECK_STR("xy", second.received);
  OK(udpr_reactor_free(reactor));
  probe_check_ended(&port);
  probe_check_ended(&second);
}

static void stop_reactor_at_first(probe *port, udpr_transport *transport) {
  if (is_first(port)) stop_reactor(port, transport);
}

/* The reactor stops at the end of the turn, so the received datagrams are delivered before. */
TEST(reactor_stop_in_datagram_received) {
  probe         port = {.on_datagram = stop_reactor_at_first};
  udpr_reactor *reactor = reactor_with_four_datagrams(&port);
  run_with_timeout(reactor);
  CHECK_STR("abcd", port.received);
  CHECK_EQ(0, discarded);
  probe_check_ended(&port);
  OK(udpr_reactor_free(reactor));
}

/* ---- in datagrams_received ----------------------------------------------------------------------------- */

static udpr_status (*batch_act)(udpr_transport *);
static size_t batch_taken;

static size_t act_on_batch(udpr_transport *transport, const udpr_datagram *const *datagrams, size_t count,
                           void *user) {
  probe *port = user;
  CHECK_EQ(4, count);
  port->received[0] = (char)datagrams[0]->data[0];
  port->stopped = true;
  OK(batch_act(transport));
  CHECK_EQ('d', datagrams[3]->data[0]); /* valid until the callback returns */
  return batch_taken;
}

static void check_within_batch(udpr_status (*act)(udpr_transport *), size_t taken) {
  probe         port = {.on_stop = record_discarded};
  udpr_reactor *reactor = new_reactor(0);
  udpr_protocol protocol = probe_protocol(&port);
  protocol.datagrams_received = act_on_batch;
  batch_act = act, batch_taken = taken;
  port.transport = listen_on(reactor, "127.0.0.1", &protocol, NULL);
  port.host = host_of(port.transport);
  send_letters(&port.host, "abcd");
  RUN_UNTIL(reactor, port.freed == 1);
  run_turns(reactor, 3);
  CHECK_STR("a", port.received);
  probe_check_ended(&port);
  OK(udpr_reactor_free(reactor));
}

TEST(close_in_datagrams_received) { check_within_batch(udpr_transport_close, 1); }

TEST(stop_listening_in_datagrams_received) {
  check_within_batch(udpr_transport_stop_listening, 1);
  CHECK_EQ(3, discarded); /* those not taken */
}

TEST(stop_listening_in_datagrams_received_after_taking_all) {
  check_within_batch(udpr_transport_stop_listening, 4);
  CHECK_EQ(0, discarded);
}

/* ---- the reactor, in start_protocol -------------------------------------------------------------------- */

static void listen_at_start(probe *port, udpr_transport *transport) {
  probe_listen(port->arg, udpr_transport_reactor(transport));
}

static void reactor_stop_at_start(probe *port, udpr_transport *transport) {
  listen_at_start(port, transport);
  stop_reactor(port, transport);
}

TEST(listen_and_reactor_stop_in_start_protocol) {
  udpr_reactor *reactor = new_reactor(0);
  probe         third = {0}, second = {.on_start = reactor_stop_at_start, .arg = &third};
  probe         first = {.on_datagram = listen_at_start, .arg = &second};
  probe_listen(&first, reactor);
  send_letters(&first.host, "a");
  run_with_timeout(reactor);
  probe_check_ended(&first);
  probe_check_ended(&second);
  probe_check_ended(&third);
  OK(udpr_reactor_free(reactor));
}

/* ---- ports that stop other ports ----------------------------------------------------------------------- */

enum { PORTS = 8 };

static void close_one(udpr_transport *transport, void *user) {
  (void)user;
  OK(udpr_transport_close(transport));
}

static void stop_one(udpr_transport *transport, void *user) {
  (void)user;
  OK(udpr_transport_stop_listening(transport));
}

static void close_all(probe *port, udpr_transport *transport) {
  (void)port;
  OK(udpr_reactor_each_transport(udpr_transport_reactor(transport), close_one, NULL));
}

static void stop_all(probe *port, udpr_transport *transport) {
  (void)port;
  OK(udpr_reactor_each_transport(udpr_transport_reactor(transport), stop_one, NULL));
}

static bool all_ports_freed(const probe *ports) {
  for (int i = 0; i < PORTS; i++)
    if (ports[i].freed == 0) return false;
  return true;
}

/* All ports have datagrams in the same turn. The first one called stops all of them, including itself. */
static void check_one_ends_all(probe_fn act) {
  udpr_reactor *reactor = new_reactor(0);
  probe         ports[PORTS] = {0};
  size_t        received = 0;
  for (int i = 0; i < PORTS; i++) {
    ports[i].on_datagram = act;
    probe_listen(&ports[i], reactor);
  }
  for (int i = 0; i < PORTS; i++) send_letters(&ports[i].host, "abc");
  RUN_UNTIL(reactor, all_ports_freed(ports));
  run_turns(reactor, 3);
  for (int i = 0; i < PORTS; i++) {
    received += strlen(ports[i].received);
    probe_check_ended(&ports[i]);
  }
  CHECK_EQ(1, received);
  OK(udpr_reactor_free(reactor));
}

TEST(one_port_closes_all) { check_one_ends_all(close_all); }
TEST(one_port_stops_all) { check_one_ends_all(stop_all); }

static void close_in_call(udpr_reactor *reactor, void *user) {
  probe *port = user;
  (void)reactor;
  OK(udpr_transport_close(port->transport));
  CHECK(port->stops == 1 && port->freed == 1); /* none of its callbacks is being called */
}

static void stop_in_call(udpr_reactor *reactor, void *user) {
  probe *port = user;
  (void)reactor;
  OK(udpr_transport_stop_listening(port->transport));
  CHECK_EQ(0, port->stops);
}

TEST(close_and_stop_listening_in_delayed_calls) {
  udpr_reactor *reactor = new_reactor(0);
  probe         closed = {0}, stopped = {0};
  probe_listen(&closed, reactor);
  probe_listen(&stopped, reactor);
  OK(udpr_reactor_call_later(reactor, 0, close_in_call, &closed, NULL, NULL));
  OK(udpr_reactor_call_later(reactor, 0, stop_in_call, &stopped, NULL, NULL));
  RUN_UNTIL(reactor, stopped.freed == 1);
  probe_check_ended(&closed);
  probe_check_ended(&stopped);
  OK(udpr_reactor_free(reactor));
}

CHECK_MAIN()
