/* A port's last two callbacks, stop_protocol and free_user, and what may be done in them. */
#include "probe.h"

/* ---- the number is free again -------------------------------------------------------------------------- */

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

static void succeed(udpr_status (*end)(udpr_transport *), probe_fn on_stop, probe_fn on_free) {
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
  succeed(udpr_transport_close, listen_again, NULL);
  succeed(udpr_transport_stop_listening, listen_again, NULL);
}

TEST(the_number_is_free_in_free_user) {
  succeed(udpr_transport_close, NULL, listen_again);
  succeed(udpr_transport_stop_listening, NULL, listen_again);
}

/* ---- everything else says closed ----------------------------------------------------------------------- */

static void say_farewell_in_vain(probe *port, udpr_transport *transport) {
  CHECK(transport == port->transport);
  check_transport_closed(transport);
  udpr_transport_stop_listening(transport); /* too late for either to do anything */
  udpr_transport_close(transport);
  CHECK(port->stops == 1 && port->freed == 0);
}

static void still_closed(probe *port, udpr_transport *transport) {
  (void)transport;
  check_transport_closed(port->transport);
}

TEST(a_port_is_closed_in_its_last_callbacks) {
  udpr_reactor *reactor = new_reactor(0);
  probe         ports[2] = {0};
  for (int i = 0; i < 2; i++) {
    ports[i] = (probe){.on_stop = say_farewell_in_vain, .on_free = still_closed};
    probe_listen(&ports[i], reactor);
  }
  OK(udpr_transport_close(ports[0].transport));
  OK(udpr_transport_stop_listening(ports[1].transport));
  RUN_UNTIL(reactor, ports[1].freed == 1);
  for (int i = 0; i < 2; i++) probe_check_ended(&ports[i]);
  OK(udpr_reactor_free(reactor));
}

static void close_it_too(const udpr_log_record *record, void *user) {
  probe *port = user;
  if (strcmp(record->message, "closed") != 0) return;
  OK(udpr_transport_close(port->transport));
  CHECK_EQ(0, port->stops); /* this call does not run it, the one that is at work will */
  check_transport_closed(port->transport);
}

TEST(a_logger_closes_the_port_that_is_being_closed) {
  udpr_reactor *reactor = new_reactor(0);
  probe         port = {0};
  probe_listen(&port, reactor);
  OK(udpr_reactor_set_logger(reactor, UDPR_LOG_INFO, close_it_too, &port, NULL));
  OK(udpr_transport_close(port.transport));
  CHECK(port.stops == 1 && port.freed == 1);
  probe_check_ended(&port);
  OK(udpr_reactor_free(reactor));
}

static void release_at_stop(probe *port, udpr_transport *transport) {
  (void)port;
  udpr_transport_release(transport);
}

TEST(the_last_release_in_stop_protocol) {
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

/* ---- one stop leads to another ------------------------------------------------------------------------- */

static void close_the_next(probe *port, udpr_transport *transport) {
  probe *next = port->arg;
  (void)transport;
  if (next) OK(udpr_transport_close(next->transport));
}

TEST(ports_that_close_each_other_in_a_row) {
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
