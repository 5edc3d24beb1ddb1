/* The last two callbacks of a port, stop_protocol and free_user, and what may be done in them. */
#include "probe.h"

/* ---- the port number is free again --------------------------------------------------------------------- */

typedef struct successor {
  udpr_reactor *reactor;
  probe         port;
} successor;

/* Binds the number that has just become free. */
static void listen_again(probe *port, udpr_transport *transport) {
  successor    *next = port->arg;
  udpr_protocol protocol = probe_protocol(&next->port);
  (void)transport;
  OK(udpr_reactor_listen_udp(next->reactor, port->host.port, "127.0.0.1", &protocol, NULL,
                             &next->port.transport));
}

static void check_number_reused(udpr_status (*end)(udpr_transport *), probe_fn on_stop, probe_fn on_free) {
  successor next = {.reactor = new_reactor(0)};
  probe     port = {.on_stop = on_stop, .on_free = on_free, .arg = &next};
  probe_listen(&port, next.reactor);
  OK(end(port.transport));
  RUN_UNTIL(next.reactor, port.freed == 1);
  probe_check_ended(&port);
  send_letters(&port.host, "ab");
  RUN_UNTIL(next.reactor, strlen(next.port.received) == 2);
  CHECK_STR("ab", next.port.received);
  OK(udpr_reactor_free(next.reactor));
  probe_check_ended(&next.port);
}

TEST(the_number_is_free_in_stop_protocol) {
  check_number_reused(udpr_transport_close, listen_again, NULL);
  check_number_reused(udpr_transport_stop_listening, listen_again, NULL);
}

TEST(the_number_is_free_in_free_user) {
  check_number_reused(udpr_transport_close, NULL, listen_again);
  check_number_reused(udpr_transport_stop_listening, NULL, listen_again);
}

/* ---- all other functions return UDPR_E_CLOSED ---------------------------------------------------------- */

static void check_closed_in_stop(probe *port, udpr_transport *transport) {
  CHECK(transport == port->transport);
  check_transport_closed(transport);
  udpr_transport_stop_listening(transport); /* neither has any effect */
  udpr_transport_close(transport);
  CHECK(port->stops == 1 && port->freed == 0);
}

static void check_closed_in_free_user(probe *port, udpr_transport *transport) {
  (void)transport;
  check_transport_closed(port->transport);
}

TEST(a_port_is_closed_in_its_last_callbacks) {
  udpr_reactor *reactor = new_reactor(0);
  probe         ports[2] = {0};
  for (int i = 0; i < 2; i++) {
    ports[i] = (probe){.on_stop = check_closed_in_stop, .on_free = check_closed_in_free_user};
    probe_listen(&ports[i], reactor);
  }
  OK(udpr_transport_close(ports[0].transport));
  OK(udpr_transport_stop_listening(ports[1].transport));
  RUN_UNTIL(reactor, ports[1].freed == 1);
  for (int i = 0; i < 2; i++) probe_check_ended(&ports[i]);
  OK(udpr_reactor_free(reactor));
}

static void close_again(const udpr_log_record *record, void *user) {
  probe *port = user;
  if (strcmp(record->message, "closed") != 0) return;
  OK(udpr_transport_close(port->transport));
  CHECK_EQ(0, port->stops); /* called by the outer close, not by this one */
  check_transport_closed(port->transport);
}

TEST(close_in_a_logger_called_by_close) {
  udpr_reactor *reactor = new_reactor(0);
  probe         port = {0};
  probe_listen(&port, reactor);
  OK(udpr_reactor_set_logger(reactor, UDPR_LOG_INFO, close_again, &port, NULL));
  OK(udpr_transport_close(port.transport));
  CHECK(port.stops == 1 && port.freed == 1);
  probe_check_ended(&port);
  OK(udpr_reactor_free(reactor));
}

static void release_at_stop(probe *port, udpr_transport *transport) {
  (void)port;
  udpr_transport_release(transport);
}

TEST(the_last_reference_is_released_in_stop_protocol) {
  udpr_reactor *reactor = new_reactor(0);
  probe         closed = {.on_stop = release_at_stop}, stopped = {.on_stop = release_at_stop};
  probe_listen(&closed, reactor);
  probe_listen(&stopped, reactor);
  OK(udpr_transport_close(closed.transport));
  OK(udpr_transport_stop_listening(stopped.transport));
  RUN_UNTIL(reactor, stopped.freed == 1);
  CHECK(closed.stops == 1 && closed.freed == 1 && stopped.stops == 1);
  OK(udpr_reactor_free(reactor));
}

/* ---- chains of stops ----------------------------------------------------------------------------------- */

static void close_the_next(probe *port, udpr_transport *transport) {
  probe *next = port->arg;
  (void)transport;
  if (next) OK(udpr_transport_close(next->transport));
}

TEST(each_port_closes_the_next_in_stop_protocol) {
  enum { COUNT = 20 };
  udpr_reactor *reactor = new_reactor(0);
  probe         ports[COUNT] = {0};
  for (int i = 0; i < COUNT; i++) {
    ports[i] = (probe){.on_stop = close_the_next, .arg = i + 1 < COUNT ? &ports[i + 1] : NULL};
    probe_listen(&ports[i], reactor);
  }
  OK(udpr_transport_close(ports[0].transport));
  for (int i = 0; i < COUNT; i++) probe_check_ended(&ports[i]);
  OK(udpr_reactor_free(reactor));
}

static void stop_reactor_at_stop(probe *port, udpr_transport *transport) {
  (void)transport;
  OK(udpr_reactor_stop(port->arg));
}

static void stop_listening_at_first(probe *port, udpr_transport *transport) {
  port->stopped = true;
  OK(udpr_transport_stop_listening(transport));
}

TEST(the_last_port_stops_the_reactor) {
  udpr_reactor *reactor = new_reactor(0);
  probe port = {.on_datagram = stop_listening_at_first, .on_stop = stop_reactor_at_stop, .arg = reactor};
  probe_listen(&port, reactor);
  send_letters(&port.host, "abc");
  run_with_timeout(reactor);
  CHECK_STR("a", port.received);
  probe_check_ended(&port);
  OK(udpr_reactor_free(reactor));
}

CHECK_MAIN()
