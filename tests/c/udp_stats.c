/* The statistics of ports and reactors. */
#include "check.h"

typedef struct server {
  int  received;
  bool echo;
} server;

static void received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  server *self = user;
  self->received++;
  if (self->echo) OK(udpr_transport_write(transport, datagram->data, datagram->len, &datagram->sender));
}

typedef struct fixture {
  server          server;
  udpr_reactor   *reactor;
  udpr_transport *transport;
  udpr_addr       host;
  int             peer;
} fixture;

static void set_up(fixture *f, uint32_t receive_buffer) {
  *f = (fixture){.reactor = new_reactor(0), .peer = peer_open(AF_INET)};
  udpr_protocol    protocol = {.size = sizeof protocol, .user = &f->server, .datagram_received = received};
  udpr_udp_options options = {.size = sizeof options, .receive_buffer = receive_buffer};
  f->transport = listen_on(f->reactor, "127.0.0.1", &protocol, &options);
  f->host = host_of(f->transport);
}

static void tear_down(fixture *f) {
  OK(udpr_transport_close(f->transport));
  udpr_transport_release(f->transport);
  OK(udpr_reactor_free(f->reactor));
  close(f->peer);
}

static udpr_reactor_stats reactor_stats(const udpr_reactor *reactor) {
  udpr_reactor_stats stats = {.size = sizeof stats};
  OK(udpr_reactor_get_stats(reactor, &stats));
  CHECK_EQ(sizeof stats, stats.size);
  return stats;
}

TEST(a_new_port_has_counted_nothing) {
  fixture f;
  set_up(&f, 0);
  udpr_transport_stats stats = stats_of(f.transport), zero = {.size = sizeof zero};
  CHECK(memcmp(&stats, &zero, sizeof zero) == 0);
  tear_down(&f);
}

TEST(datagrams_and_bytes_in_and_out) {
  enum { COUNT = 50, LEN = 10 };
  fixture f;
  uint8_t data[LEN] = {0};
  set_up(&f, 0);
  f.server.echo = true;
  for (int i = 0; i < COUNT; i++) peer_send(f.peer, &f.host, data, LEN);
  RUN_UNTIL(f.reactor, f.server.received == COUNT);
  for (int i = 0; i < COUNT; i++) CHECK_EQ(LEN, peer_receive(f.peer, data, LEN));
  udpr_transport_stats stats = stats_of(f.transport);
  CHECK_EQ(COUNT, stats.datagrams_in);
  CHECK_EQ(COUNT * LEN, stats.bytes_in);
  CHECK_EQ(COUNT, stats.datagrams_out);
  CHECK_EQ(COUNT * LEN, stats.bytes_out);
  CHECK(stats.syscalls_in >= 1 && stats.syscalls_in < COUNT); /* batches in both directions */
  CHECK(stats.syscalls_out >= 1 && stats.syscalls_out < COUNT);
  CHECK_EQ(0, stats.dropped_in);
  CHECK_EQ(0, stats.dropped_out);
  CHECK_EQ(0, stats.discarded_in);
  CHECK_EQ(0, stats.queued_datagrams);
  CHECK_EQ(0, stats.queued_bytes);
  tear_down(&f);
}

TEST(empty_datagrams_count) {
  fixture f;
  set_up(&f, 0);
  f.server.echo = true;
  peer_send(f.peer, &f.host, "", 0);
  RUN_UNTIL(f.reactor, f.server.received == 1);
  CHECK_EQ(1, stats_of(f.transport).datagrams_in);
  CHECK_EQ(0, stats_of(f.transport).bytes_in);
  CHECK_EQ(1, stats_of(f.transport).datagrams_out);
  CHECK_EQ(0, stats_of(f.transport).bytes_out);
  tear_down(&f);
}

TEST(failed_writes_do_not_count) {
  fixture f;
  set_up(&f, 0);
  CHECK_STATUS(UDPR_E_NOT_CONNECTED, udpr_transport_write(f.transport, "x", 1, NULL));
  CHECK_EQ(0, stats_of(f.transport).datagrams_out);
  CHECK_EQ(0, stats_of(f.transport).dropped_out);
  tear_down(&f);
}

/* The kernel drops datagrams that do not fit into the receive buffer, and the library counts them. */
TEST(drops_of_the_kernel) {
  enum { SENT = 2000 };
  fixture f;
  uint8_t data[500] = {0};
  set_up(&f, 4096);
  for (int i = 0; i < SENT; i++) peer_send(f.peer, &f.host, data, sizeof data);
  run_turns(f.reactor, 50);
  udpr_transport_stats stats = stats_of(f.transport);
  CHECK(stats.dropped_in > 0);
  CHECK_EQ(SENT, stats.datagrams_in + stats.dropped_in);
  CHECK_EQ(stats.datagrams_in, f.server.received);
  tear_down(&f);
}

static void nothing(udpr_reactor *reactor, void *user) { (void)reactor, (void)user; }

TEST(reactor_counters) {
  fixture f;
  set_up(&f, 0);
  udpr_reactor_stats start = reactor_stats(f.reactor);
  CHECK_EQ(1, start.transports);
  CHECK_EQ(0, start.timers_fired);
  CHECK_EQ(0, start.timers_pending);
  OK(udpr_reactor_call_later(f.reactor, 0, nothing, NULL, NULL, NULL));
  OK(udpr_reactor_call_later(f.reactor, 0, nothing, NULL, NULL, NULL));
  OK(udpr_reactor_call_later(f.reactor, SECONDS(60), nothing, NULL, NULL, NULL));
  CHECK_EQ(3, reactor_stats(f.reactor).timers_pending);
  run_turns(f.reactor, 4);
  udpr_reactor_stats end = reactor_stats(f.reactor);
  CHECK_EQ(start.iterations + 4, end.iterations);
  CHECK_EQ(2, end.timers_fired);
  CHECK_EQ(1, end.timers_pending);
  OK(udpr_transport_close(f.transport));
  CHECK_EQ(0, reactor_stats(f.reactor).transports);
  udpr_transport_release(f.transport);
  OK(udpr_reactor_free(f.reactor));
  close(f.peer);
}

typedef struct visits {
  udpr_transport *expected[3];
  int             count;
} visits;

static void visit(udpr_transport *transport, void *user) {
  visits *self = user;
  bool    known = false;
  for (int i = 0; i < 3; i++) {
    if (self->expected[i] != transport) continue;
    known = true;
    self->expected[i] = NULL; /* each is visited once */
  }
  CHECK(known);
  self->count++;
}

TEST(each_transport_visits_every_open_port_once) {
  udpr_reactor   *reactor = new_reactor(0);
  udpr_protocol   protocol = {.size = sizeof protocol};
  visits          seen = {.count = 0};
  udpr_transport *ports[3];
  OK(udpr_reactor_each_transport(reactor, visit, &seen));
  CHECK_EQ(0, seen.count);
  for (int i = 0; i < 3; i++) ports[i] = seen.expected[i] = listen_on(reactor, "127.0.0.1", &protocol, NULL);
  OK(udpr_reactor_each_transport(reactor, visit, &seen));
  CHECK_EQ(3, seen.count);

  OK(udpr_transport_close(ports[1]));
  seen = (visits){.expected = {ports[0], ports[2]}};
  OK(udpr_reactor_each_transport(reactor, visit, &seen));
  CHECK_EQ(2, seen.count);

  OK(udpr_transport_stop_listening(ports[0])); /* its stop_protocol has not been called yet */
  seen = (visits){.expected = {ports[0], ports[2]}};
  OK(udpr_reactor_each_transport(reactor, visit, &seen));
  CHECK_EQ(2, seen.count);
  OK(udpr_reactor_free(reactor));
  for (int i = 0; i < 3; i++) udpr_transport_release(ports[i]);
}

CHECK_MAIN()
