/* The peer's port refuses: connection_refused is called after one write, however the kernel reports it. The
 * port still works, and no datagram to another peer is lost.
 */
#include "check.h"

typedef struct fixture {
  udpr_reactor   *reactor;
  udpr_transport *transport;
  udpr_addr       host, refusing_addr; /* refusing_addr refuses datagrams */
  int             peer, refusing_peer;
  udpr_addr       receiving_addr;
  int             refused, received, reports;
  void (*on_refused)(struct fixture *f);
} fixture;

static void received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  (void)transport, (void)datagram;
  ((fixture *)user)->received++;
}

static void refused(udpr_transport *transport, void *user) {
  fixture *f = user;
  CHECK(transport == f->transport);
  f->refused++;
  if (f->on_refused) f->on_refused(f);
}

static void reported(udpr_transport *transport, const udpr_error_report *report, void *user) {
  fixture *f = user;
  (void)transport;
  CHECK_STATUS(UDPR_E_CONNECTION_REFUSED, report->status);
  CHECK_EQ(0, f->refused); /* error_received is called before connection_refused */
  f->reports++;
}

static void set_up_on(fixture *f, const char *local, int family, uint32_t flags) {
  *f = (fixture){.reactor = new_reactor(0),
                 .refusing_peer = peer_open_refusing(family),
                 .peer = peer_open(family)};
  f->refusing_addr = peer_addr(f->refusing_peer);
  udpr_protocol    protocol = {.size = sizeof protocol,
                               .user = f,
                               .datagram_received = received,
                               .connection_refused = refused,
                               .error_received = reported};
  udpr_udp_options options = {.size = sizeof options, .flags = flags};
  f->transport = listen_on(f->reactor, local, &protocol, &options);
  f->host = host_of(f->transport);
  f->receiving_addr = peer_addr(f->peer);
}

static void set_up(fixture *f, uint32_t flags) { set_up_on(f, "127.0.0.1", AF_INET, flags); }

static void tear_down(fixture *f) {
  OK(udpr_transport_close(f->transport));
  udpr_transport_release(f->transport);
  OK(udpr_reactor_free(f->reactor));
  close(f->peer);
  close(f->refusing_peer);
}

/* The port still sends and receives, and epoll reports no further error. */
static void check_port_works(fixture *f) {
  udpr_reactor_stats before = {.size = sizeof before}, after = {.size = sizeof after};
  int                received = f->received, refused = f->refused;
  run_turns(f->reactor, 2);
  OK(udpr_reactor_get_stats(f->reactor, &before));
  run_turns(f->reactor, 5);
  OK(udpr_reactor_get_stats(f->reactor, &after));
  CHECK_EQ(before.wakeups, after.wakeups);
  OK(udpr_transport_connect(f->transport, &f->receiving_addr));
  OK(udpr_transport_write(f->transport, "alive", 5, NULL));
  PEER_RECEIVES(f->peer, "alive");
  udpr_addr host = host_of(f->transport);
  peer_send(f->peer, &host, "x", 1);
  RUN_UNTIL(f->reactor, f->received == received + 1);
  CHECK_EQ(refused, f->refused);
}

static void check_one_write(const char *local, int family, uint32_t flags) {
  fixture f;
  set_up_on(&f, local, family, flags);
  OK(udpr_transport_connect(f.transport, &f.refusing_addr));
  OK(udpr_transport_write(f.transport, "anybody?", 8, NULL));
  CHECK_EQ(0, f.refused); /* never inside the call */
  RUN_UNTIL(f.reactor, f.refused == 1);
  CHECK_EQ(1, stats_of(f.transport).refused);
  CHECK_EQ(flags & UDPR_UDP_ERROR_REPORTS ? 1 : 0, f.reports);
  check_port_works(&f);
  tear_down(&f);
}

TEST(one_write_ipv4) { check_one_write("127.0.0.1", AF_INET, 0); }
TEST(one_write_ipv6) { check_one_write("::1", AF_INET6, 0); }
TEST(one_write_unbatched) { check_one_write("127.0.0.1", AF_INET, UDPR_UDP_UNBATCHED); }
TEST(one_write_with_reports) { check_one_write("127.0.0.1", AF_INET, UDPR_UDP_ERROR_REPORTS); }
TEST(one_write_with_reports_ipv6) { check_one_write("::1", AF_INET6, UDPR_UDP_ERROR_REPORTS); }

/* The second write finds the error of the first. It must send its datagram and succeed. */
static void check_write_finds_error(uint32_t flags) {
  fixture f;
  set_up(&f, flags);
  OK(udpr_transport_connect(f.transport, &f.refusing_addr));
  for (int i = 0; i < 10; i++) OK(udpr_transport_write(f.transport, "x", 1, NULL));
  CHECK_EQ(0, f.refused);
  CHECK_EQ(10, stats_of(f.transport).datagrams_out);
  RUN_UNTIL(f.reactor, f.refused > 0);
  run_turns(f.reactor, 3);
  CHECK_EQ(1, f.refused); /* once in a turn */
  CHECK_EQ(10, stats_of(f.transport).refused);
  CHECK_EQ(flags & UDPR_UDP_ERROR_REPORTS ? 10 : 0, f.reports);
  CHECK_EQ(0, stats_of(f.transport).dropped_out);
  check_port_works(&f);
  tear_down(&f);
}

TEST(a_write_that_finds_the_error_succeeds) { check_write_finds_error(0); }
TEST(an_unbatched_write_that_finds_the_error_succeeds) { check_write_finds_error(UDPR_UDP_UNBATCHED); }
TEST(a_write_that_finds_the_error_succeeds_with_reports) { check_write_finds_error(UDPR_UDP_ERROR_REPORTS); }

static void write_ten(udpr_reactor *reactor, void *user) {
  fixture *f = user;
  (void)reactor;
  for (int i = 0; i < 10; i++) OK(udpr_transport_write(f->transport, "x", 1, NULL));
}

TEST(batched_writes_that_find_the_error_succeed) {
  fixture f;
  set_up(&f, 0);
  OK(udpr_transport_connect(f.transport, &f.refusing_addr));
  OK(udpr_reactor_call_later(f.reactor, 0, write_ten, &f, NULL, NULL));
  RUN_UNTIL(f.reactor, f.refused > 0);
  CHECK_EQ(10, stats_of(f.transport).datagrams_out);
  check_port_works(&f);
  tear_down(&f);
}

TEST(a_port_may_be_its_own_peer) {
  fixture f;
  set_up(&f, 0);
  OK(udpr_transport_connect(f.transport, &f.host));
  OK(udpr_transport_write(f.transport, "mine", 4, NULL));
  RUN_UNTIL(f.reactor, f.received == 1);
  run_turns(f.reactor, 2);
  CHECK_EQ(0, f.refused);
  tear_down(&f);
}

TEST(connection_refused_on_a_paused_port) {
  fixture f;
  set_up(&f, 0);
  OK(udpr_transport_connect(f.transport, &f.refusing_addr));
  OK(udpr_transport_pause_reading(f.transport));
  OK(udpr_transport_write(f.transport, "x", 1, NULL));
  RUN_UNTIL(f.reactor, f.refused == 1);
  OK(udpr_transport_resume_reading(f.transport));
  check_port_works(&f);
  tear_down(&f);
}

static void write_again(fixture *f) {
  if (f->refused < 5) OK(udpr_transport_write(f->transport, "again", 5, NULL));
}

TEST(connection_refused_each_time) {
  fixture f;
  set_up(&f, 0);
  f.on_refused = write_again;
  OK(udpr_transport_connect(f.transport, &f.refusing_addr));
  OK(udpr_transport_write(f.transport, "x", 1, NULL));
  RUN_UNTIL(f.reactor, f.refused == 5);
  check_port_works(&f);
  tear_down(&f);
}

static void close_port(fixture *f) { OK(udpr_transport_close(f->transport)); }
static void stop_port(fixture *f) { OK(udpr_transport_stop_listening(f->transport)); }

static void check_end_in_callback(void (*end)(fixture *)) {
  fixture   f;
  udpr_addr host;
  set_up(&f, 0);
  f.on_refused = end;
  OK(udpr_transport_connect(f.transport, &f.refusing_addr));
  OK(udpr_transport_write(f.transport, "x", 1, NULL));
  RUN_UNTIL(f.reactor, f.refused == 1);
  run_turns(f.reactor, 2);
  CHECK_STATUS(UDPR_E_CLOSED, udpr_transport_get_host(f.transport, &host));
  udpr_transport_release(f.transport);
  OK(udpr_reactor_free(f.reactor));
  close(f.peer);
  close(f.refusing_peer);
}

TEST(close_in_the_callback) { check_end_in_callback(close_port); }
TEST(stop_in_the_callback) { check_end_in_callback(stop_port); }

TEST(no_callback_after_stop_listening) {
  fixture f;
  set_up(&f, UDPR_UDP_ERROR_REPORTS);
  OK(udpr_transport_connect(f.transport, &f.refusing_addr));
  OK(udpr_transport_write(f.transport, "x", 1, NULL));
  OK(udpr_transport_stop_listening(f.transport));
  run_turns(f.reactor, 3);
  CHECK_EQ(0, f.refused + f.reports);
  udpr_transport_release(f.transport);
  OK(udpr_reactor_free(f.reactor));
  close(f.peer);
  close(f.refusing_peer);
}

/* A refusal by the previous peer must not be reported for the new one. */
TEST(connect_discards_a_refusal_of_the_previous_peer) {
  fixture f;
  set_up(&f, 0);
  OK(udpr_transport_connect(f.transport, &f.refusing_addr));
  OK(udpr_transport_write(f.transport, "x", 1, NULL));
  OK(udpr_transport_connect(f.transport, &f.receiving_addr));
  run_turns(f.reactor, 3);
  CHECK_EQ(0, f.refused);
  check_port_works(&f);
  tear_down(&f);
}

/* ---- unconnected ports --------------------------------------------------------------------------------- */

static void check_alternating_writes(uint32_t flags, uint64_t refusals) {
  fixture f;
  set_up(&f, flags);
  for (int i = 0; i < 100; i++) {
    OK(udpr_transport_write(f.transport, "dead", 4, &f.refusing_addr));
    OK(udpr_transport_write(f.transport, "live", 4, &f.receiving_addr));
    PEER_RECEIVES(f.peer, "live");
  }
  run_turns(f.reactor, 5);
  CHECK_EQ(0, f.refused); /* it is called only on connected ports */
  CHECK_EQ(refusals, f.reports);
  CHECK_EQ(refusals, stats_of(f.transport).refused);
  CHECK_EQ(200, stats_of(f.transport).datagrams_out);
  CHECK_EQ(0, stats_of(f.transport).dropped_out);
  peer_send(f.peer, &f.host, "x", 1);
  RUN_UNTIL(f.reactor, f.received == 1);
  tear_down(&f);
}

TEST(refusals_on_an_unconnected_port) { check_alternating_writes(0, 0); }
TEST(reports_do_not_fail_writes_to_other_peers) { check_alternating_writes(UDPR_UDP_ERROR_REPORTS, 100); }
TEST(reports_do_not_fail_unbatched_writes) {
  check_alternating_writes(UDPR_UDP_ERROR_REPORTS | UDPR_UDP_UNBATCHED, 100);
}

static void write_both(udpr_reactor *reactor, void *user) {
  fixture *f = user;
  (void)reactor;
  for (int i = 0; i < 50; i++) {
    OK(udpr_transport_write(f->transport, "dead", 4, &f->refusing_addr));
    OK(udpr_transport_write(f->transport, "live", 4, &f->receiving_addr));
  }
}

TEST(reports_do_not_fail_batched_writes) {
  fixture f;
  set_up(&f, UDPR_UDP_ERROR_REPORTS);
  OK(udpr_reactor_call_later(f.reactor, 0, write_both, &f, NULL, NULL));
  RUN_UNTIL(f.reactor, f.reports > 0); /* they were merged, so one report may stand for all */
  for (int i = 0; i < 50; i++) PEER_RECEIVES(f.peer, "live");
  CHECK(peer_has_no_datagram(f.peer));
  CHECK_EQ(0, stats_of(f.transport).dropped_out);
  tear_down(&f);
}

CHECK_MAIN()
