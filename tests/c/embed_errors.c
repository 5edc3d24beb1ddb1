/* Inside another loop: what a call made outside a turn leaves to be done makes the descriptor readable, whichever call met
 * it: errors that were collected, refusals, retries of a full device, what waits for a full socket.
 */
#include "embedded.h"
#include "slow_network.h"

typedef struct fixture {
  udpr_reactor   *reactor;
  udpr_transport *transport;
  udpr_addr       dead, live; /* dead: nobody listens there */
  int             fd, peer, dead_peer;
  int             reports, refused, ready;
} fixture;

static void reported(udpr_transport *transport, const udpr_error_report *report, void *user) {
  (void)transport;
  CHECK_STATUS(UDPR_E_CONNECTION_REFUSED, report->status);
  ((fixture *)user)->reports++;
}

static void refused(udpr_transport *transport, void *user) {
  (void)transport;
  ((fixture *)user)->refused++;
}

static void ready(udpr_transport *transport, void *user) {
  (void)transport;
  ((fixture *)user)->ready++;
}

static void set_up_on(fixture *f, const char *local, int family, uint32_t flags) {
  *f = (fixture){.reactor = new_reactor(0),
                 .peer = peer_open(family),
                 .dead_peer = peer_open_refusing(family)};
  f->dead = peer_addr(f->dead_peer);
  f->live = peer_addr(f->peer);
  f->fd = backend_fd_of(f->reactor);
  OK(udpr_reactor_start(f->reactor));
  udpr_protocol    protocol = {.size = sizeof protocol,
                               .user = f,
                               .error_received = reported,
                               .connection_refused = refused,
                               .write_ready = ready};
  udpr_udp_options options = {.size = sizeof options, .flags = flags, .send_queue_bytes = 4000};
  f->transport = listen_on(f->reactor, local, &protocol, &options);
  iterate_until_idle(f->reactor, f->fd);
}

static void tear_down(fixture *f) {
  iterate_until_idle(f->reactor, f->fd);
  udpr_transport_release(f->transport);
  OK(udpr_reactor_free(f->reactor));
  close(f->peer);
  close(f->dead_peer);
}

/* Something is due now, and the descriptor and next_timeout agree on it. */
static void check_owed(fixture *f) {
  CHECK_EQ(0, next_timeout_of(f->reactor));
  CHECK(is_readable(f->fd, 0));
}

/* ---- errors that a call collects ------------------------------------------------------------------------- */

/* The refusal is there: on one host it comes before the write returns. */
static void write_to_dead(fixture *f, const udpr_addr *to) {
  OK(udpr_transport_write(f->transport, "x", 1, to));
  CHECK(becomes_readable(f->fd));
}

static void ask_for_reports(fixture *f) { OK(udpr_transport_set_error_reports(f->transport, 1)); }
static void ask_for_none(fixture *f) { OK(udpr_transport_set_error_reports(f->transport, 0)); }
static void write_to_live(fixture *f) { OK(udpr_transport_write(f->transport, "y", 1, &f->live)); }
static void connect_to_live(fixture *f) { OK(udpr_transport_connect(f->transport, &f->live)); }
static void post_and_connect(fixture *f) {
  OK(udpr_transport_post(f->transport, "z", 1, &f->live));
  connect_to_live(f);
}

typedef void (*act_fn)(fixture *f);

static void reports_are_owed(const char *local, int family, act_fn collect) {
  fixture f;
  set_up_on(&f, local, family, UDPR_UDP_ERROR_REPORTS);
  write_to_dead(&f, &f.dead);
  collect(&f);
  check_owed(&f);
  CHECK_EQ(0, f.reports); /* never inside a call */
  EMBEDDED_RUN_UNTIL(f.reactor, f.fd, f.reports == 1);
  tear_down(&f);
}

static const act_fn collectors[] = {ask_for_reports, ask_for_none, write_to_live, connect_to_live,
                                    post_and_connect};
enum { COLLECTORS = sizeof collectors / sizeof *collectors };

TEST(reports_that_a_call_collects) {
  for (int i = 0; i < COLLECTORS; i++) reports_are_owed("127.0.0.1", AF_INET, collectors[i]);
}
TEST(reports_that_a_call_collects_ipv6) {
  for (int i = 0; i < COLLECTORS; i++) reports_are_owed("::1", AF_INET6, collectors[i]);
}

/* The dead socket hears the port now. */
static void revive(fixture *f) {
  struct sockaddr_storage to;
  size_t                  len = 0;
  udpr_addr               host = host_of(f->transport);
  OK(udpr_addr_to_sockaddr(&host, &to, sizeof to, &len));
  CHECK_EQ(0, connect(f->dead_peer, (struct sockaddr *)&to, (socklen_t)len));
}

/* The write that meets the refusal of the one before is delivered, so that nothing is left for epoll to report. */
static void a_refusal_is_owed(uint32_t flags) {
  fixture f;
  set_up_on(&f, "127.0.0.1", AF_INET, flags);
  OK(udpr_transport_connect(f.transport, &f.dead));
  iterate_until_idle(f.reactor, f.fd);
  write_to_dead(&f, NULL);
  revive(&f);
  OK(udpr_transport_write(f.transport, "y", 1, NULL));
  check_owed(&f);
  CHECK_EQ(0, f.refused);
  EMBEDDED_RUN_UNTIL(f.reactor, f.fd, f.refused);
  PEER_RECEIVES(f.dead_peer, "y");
  tear_down(&f);
}

TEST(a_refusal_that_a_write_meets) { a_refusal_is_owed(0); }
TEST(a_refusal_that_an_unbatched_write_meets) { a_refusal_is_owed(UDPR_UDP_UNBATCHED); }
TEST(a_refusal_that_a_write_meets_with_reports) { a_refusal_is_owed(UDPR_UDP_ERROR_REPORTS); }

TEST(a_refusal_that_a_setter_meets) {
  fixture f;
  set_up_on(&f, "127.0.0.1", AF_INET, 0);
  OK(udpr_transport_connect(f.transport, &f.dead));
  iterate_until_idle(f.reactor, f.fd);
  write_to_dead(&f, NULL);
  ask_for_reports(&f);
  check_owed(&f);
  EMBEDDED_RUN_UNTIL(f.reactor, f.fd, f.refused);
  tear_down(&f);
}

/* Reports were collected, and the port is stopped before they are delivered: the stop alone is left. */
TEST(a_stop_takes_what_was_owed_with_it) {
  fixture f;
  set_up_on(&f, "127.0.0.1", AF_INET, UDPR_UDP_ERROR_REPORTS);
  write_to_dead(&f, &f.dead);
  ask_for_reports(&f);
  OK(udpr_transport_close(f.transport));
  for (int i = 0; i < 5 && is_readable(f.fd, 0); i++) OK(udpr_reactor_iterate(f.reactor, 0));
  CHECK_EQ(0, f.reports);
  tear_down(&f);
}

/* ---- what is sent later ------------------------------------------------------------------------------------- */

/* Writes outside of turns until a write is refused: then the queue is full. */
static void fill(fixture *f) {
  static const char data[1000];
  udpr_status       status;
  do status = udpr_transport_write(f->transport, data, sizeof data, &f->live);
  while (status == UDPR_OK);
  CHECK_STATUS(UDPR_E_WOULD_BLOCK, status);
  CHECK(stats_of(f->transport).queued_datagrams > 0);
}

static void what_waits_leaves(uint32_t flags) {
  fixture f;
  set_up_on(&f, "127.0.0.1", AF_INET, flags);
  fill(&f);
  EMBEDDED_RUN_UNTIL(f.reactor, f.fd, f.ready);
  CHECK_EQ(0, stats_of(f.transport).queued_datagrams);
  CHECK_EQ(0, stats_of(f.transport).dropped_out);
  tear_down(&f);
}

TEST(a_full_socket) {
  enter_slow_network();
  what_waits_leaves(0);
}

/* ENOBUFS, which is reported with error reports alone: the clock is all there is to wait for. */
TEST(a_full_device) {
  enter_slow_network();
  run_network_tool("tc", "qdisc replace dev lo root tbf rate 256kbit burst 3kb limit 8kb");
  what_waits_leaves(UDPR_UDP_ERROR_REPORTS);
}

CHECK_MAIN()
