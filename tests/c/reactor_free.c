/* udpr_reactor_free closes open ports, drops pending calls, and frees each user once. */
#include "every_call.h"
#include "probe.h"

TEST(free_closes_the_ports) {
  enum { COUNT = 10 };
  int           descriptors = check_count_descriptors();
  udpr_reactor *reactor = new_reactor(0);
  probe         ports[COUNT] = {0};
  for (int i = 0; i < COUNT; i++) {
    probe_listen(&ports[i], reactor);
    send_letters(&ports[i].host, "abc"); /* is not delivered */
  }
  OK(udpr_reactor_free(reactor));
  for (int i = 0; i < COUNT; i++) {
    CHECK_STR("", ports[i].received);
    check_transport_closed(ports[i].transport);
    probe_check_ended(&ports[i]);
  }
  CHECK_EQ(descriptors, check_count_descriptors());
}

TEST(free_drops_delayed_calls) {
  enum { COUNT = 100 };
  udpr_reactor *reactor = new_reactor(0);
  atomic_int    freed[COUNT] = {0};
  for (int i = 0; i < COUNT; i++)
    OK(udpr_reactor_call_later(reactor, i % 2 ? 0 : SECONDS(i), call_must_not_run, &freed[i], count_free,
                               NULL));
  OK(udpr_reactor_free(reactor));
  for (int i = 0; i < COUNT; i++) CHECK_EQ(1, freed[i]);
}

TEST(free_frees_the_logger) {
  udpr_reactor *reactor = new_reactor(0);
  handles       with = {0};
  OK(udpr_reactor_set_logger(reactor, UDPR_LOG_ERROR, logger_must_not_run, &with, count_freed));
  CHECK_EQ(0, with.freed);
  OK(udpr_reactor_free(reactor));
  CHECK_EQ(1, with.freed);
}

/* ---- free in each state of the reactor ----------------------------------------------------------------- */

TEST(free_after_start) {
  udpr_reactor *reactor = new_reactor(0);
  probe         port = {0};
  OK(udpr_reactor_start(reactor));
  probe_listen(&port, reactor);
  run_turns(reactor, 2);
  OK(udpr_reactor_free(reactor));
  probe_check_ended(&port);
}

TEST(free_after_stop_without_a_turn) {
  udpr_reactor *reactor = new_reactor(0);
  probe         port = {0};
  OK(udpr_reactor_start(reactor));
  probe_listen(&port, reactor);
  OK(udpr_reactor_stop(reactor));
  OK(udpr_reactor_free(reactor));
  probe_check_ended(&port);
}

TEST(free_after_crash) {
  udpr_reactor *reactor = new_reactor(0);
  probe         port = {.on_datagram = crash_reactor};
  probe_listen(&port, reactor);
  send_letters(&port.host, "a");
  run_with_timeout(reactor);
  CHECK_EQ(0, port.stops);
  OK(udpr_reactor_free(reactor));
  probe_check_ended(&port);
}

static void pause_port(probe *port, udpr_transport *transport) {
  (void)port;
  OK(udpr_transport_pause_reading(transport));
}

static void check_three_discarded(probe *port, udpr_transport *transport) {
  (void)port;
  CHECK_EQ(3, stats_of(transport).discarded_in);
}

TEST(free_discards_kept_datagrams) {
  udpr_reactor *reactor = new_reactor(0);
  probe         port = {.on_datagram = pause_port, .on_stop = check_three_discarded};
  probe_listen(&port, reactor);
  send_letters(&port.host, "abcd");
  RUN_UNTIL(reactor, *port.received);
  OK(udpr_reactor_free(reactor));
  CHECK_STR("a", port.received);
  probe_check_ended(&port);
}

/* ---- references to the transport ----------------------------------------------------------------------- */

TEST(a_port_without_a_reference_lives_until_free) {
  udpr_reactor *reactor = new_reactor(0);
  probe         port = {0};
  udpr_protocol protocol = probe_protocol(&port);
  OK(udpr_reactor_listen_udp(reactor, 0, "127.0.0.1", &protocol, NULL, NULL));
  CHECK(port.starts == 1 && port.stops == 0);
  OK(udpr_reactor_free(reactor));
  CHECK(port.stops == 1 && port.freed == 1);
}

static void record_host(probe *port, udpr_transport *transport) { port->host = host_of(transport); }

static void retain_transport(probe *port, udpr_transport *transport) {
  port->transport = udpr_transport_retain(transport);
}

TEST(a_callback_may_retain_the_transport) {
  udpr_reactor *reactor = new_reactor(0);
  probe         port = {.on_start = record_host, .on_datagram = retain_transport};
  udpr_protocol protocol = probe_protocol(&port);
  OK(udpr_reactor_listen_udp(reactor, 0, "127.0.0.1", &protocol, NULL, NULL));
  send_letters(&port.host, "a");
  RUN_UNTIL(reactor, *port.received);
  CHECK(udpr_transport_user(port.transport) == &port);
  OK(udpr_reactor_free(reactor));
  check_transport_closed(port.transport);
  probe_check_ended(&port);
}

/* ---- functions called in callbacks during free --------------------------------------------------------- */

typedef struct fixture {
  udpr_reactor *reactor;
  probe         ports[5];
  udpr_id       call;
  atomic_int    freed;
  int           stops;
} fixture;

static void count_visit(udpr_transport *transport, void *user) {
  (void)transport;
  ++*(int *)user;
}

static void count_fixture_free(void *user) { atomic_fetch_add(&((fixture *)user)->freed, 1); }

/* The first port that stops closes the others and cancels the call. each_transport visits the ports that have
 * not stopped yet.
 */
static void close_others(probe *port, udpr_transport *transport) {
  fixture *f = port->arg;
  int      left = 0;
  (void)transport;
  f->stops++;
  OK(udpr_reactor_each_transport(f->reactor, count_visit, &left));
  CHECK_EQ(5 - f->stops, left);
  if (f->stops > 1) return;
  udpr_reactor_cancel_call(f->reactor, f->call); /* may have been dropped by free already */
  CHECK_EQ(1, f->freed);
  for (int i = 0; i < 5; i++)
    if (&f->ports[i] != port) OK(udpr_transport_close(f->ports[i].transport));
}

TEST(stop_protocol_closes_the_other_ports) {
  fixture f = {.reactor = new_reactor(0)};
  for (int i = 0; i < 5; i++) {
    f.ports[i] = (probe){.on_stop = close_others, .arg = &f};
    probe_listen(&f.ports[i], f.reactor);
  }
  OK(udpr_reactor_call_later(f.reactor, SECONDS(100), call_must_not_run, &f, count_fixture_free, &f.call));
  OK(udpr_reactor_free(f.reactor));
  CHECK_EQ(1, f.freed);
  for (int i = 0; i < 5; i++) probe_check_ended(&f.ports[i]);
}

static void release_transport(probe *port, udpr_transport *transport) {
  (void)transport;
  udpr_transport_release(port->transport);
}

TEST(the_last_reference_is_released_while_free_runs) {
  udpr_reactor *reactor = new_reactor(0);
  probe         in_stop = {.on_stop = release_transport}, in_free_user = {.on_free = release_transport};
  probe_listen(&in_stop, reactor);
  probe_listen(&in_free_user, reactor);
  OK(udpr_reactor_free(reactor));
  CHECK(in_stop.stops == 1 && in_stop.freed == 1);
  CHECK(in_free_user.stops == 1 && in_free_user.freed == 1);
}

CHECK_MAIN()
