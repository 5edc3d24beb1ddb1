/* An embedded reactor: callbacks and sends that become due in a call outside of a turn make backend_fd
 * readable, whichever call caused them: collected errors, refusals, retries for a full device, and the queue
 * of a full socket.
 */
#include "embedded.h"
#include "slow_network.h"

typedef struct fixture {
  udpr_reactor   *reactor;
  udpr_transport *transport;
  udpr_addr       refusing_addr, receiving_addr; /* refusing_addr refuses datagrams */
  int             fd, peer, refusing_peer;
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
                 .refusing_peer = peer_open_refusing(family)};
  f->refusing_addr = peer_addr(f->refusing_peer);
  f->receiving_addr = peer_addr(f->peer);
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
  close(f->refusing_peer);
}

/* Something is due now: next_timeout and backend_fd agree on that. */
static void check_is_due(fixture *f) {
  CHECK_EQ(0, next_timeout_of(f->reactor));
  CHECK(is_readable(f->fd, 0));
}

/* ---- errors that a call collects from the socket ------------------------------------------------------- */

/* On one host, the refusal arrives before the write returns. */
static void write_to_refusing(fixture *f, const udpr_addr *to) {
  OK(udpr_transport_write(f->transport, "x", 1, to));
  CHECK(becomes_readable(f->fd));
}

static void enable_reports(fixture *f) { OK(udpr_transport_set_error_reports(f->transport, 1)); }
static void disable_reports(fixture *f) { OK(udpr_transport_set_error_reports(f->transport, 0)); }
static void write_to_receiving(fixture *f) {
  OK(udpr_transport_write(f->transport, "y", 1, &f->receiving_addr));
}
static void connect_to_receiving(fixture *f) { OK(udpr_transport_connect(f->transport, &f->receiving_addr)); }
static void post_and_connect(fixture *f) {
  OK(udpr_transport_post(f->transport, "z", 1, &f->receiving_addr));
  connect_to_receiving(f);
}

typedef void (*act_fn)(fixture *f);

static void check_reports_are_due(const char *local, int family, act_fn collect) {
  fixture f;
  set_up_on(&f, local, family, UDPR_UDP_ERROR_REPORTS);
  write_to_refusing(&f, &f.refusing_addr);
  collect(&f);
  check_is_due(&f);
  CHECK_EQ(0, f.reports); /* callbacks are never called inside the call */
  EMBEDDED_RUN_UNTIL(f.reactor, f.fd, f.reports == 1);
  tear_down(&f);
}

static const act_fn collecting_calls[] = {enable_reports, disable_reports, write_to_receiving,
                                          connect_to_receiving, post_and_connect};
enum { COLLECTING_CALLS = sizeof collecting_calls / sizeof *collecting_calls };

TEST(reports_collected_by_a_call) {
  for (int i = 0; i < COLLECTING_CALLS; i++) check_reports_are_due("127.0.0.1", AF_INET, collecting_calls[i]);
}
TEST(reports_collected_by_a_call_ipv6) {
  for (int i = 0; i < COLLECTING_CALLS; i++) check_reports_are_due("::1", AF_INET6, collecting_calls[i]);
}

/* From now on, the refusing peer receives datagrams of the port. */
static void open_refusing_peer(fixture *f) {
  struct sockaddr_storage to;
  size_t                  len = 0;
  udpr_addr               host = host_of(f->transport);
  OK(udpr_addr_to_sockaddr(&host, &to, sizeof to, &len));
  CHECK_EQ(0, connect(f->refusing_peer, (struct sockaddr *)&to, (socklen_t)len));
}

/* The write that finds the refusal of the previous one succeeds, so no error is left for epoll to report. */
static void check_refusal_is_due(uint32_t flags) {
  fixture f;
  set_up_on(&f, "127.0.0.1", AF_INET, flags);
  OK(udpr_transport_connect(f.transport, &f.refusing_addr));
  iterate_until_idle(f.reactor, f.fd);
  write_to_refusing(&f, NULL);
  open_refusing_peer(&f);
  OK(udpr_transport_write(f.transport, "y", 1, NULL));
  check_is_due(&f);
  CHECK_EQ(0, f.refused);
  EMBEDDED_RUN_UNTIL(f.reactor, f.fd, f.refused);
  PEER_RECEIVES(f.refusing_peer, "y");
  tear_down(&f);
}

TEST(a_refusal_found_by_a_write) { check_refusal_is_due(0); }
TEST(a_refusal_found_by_an_unbatched_write) { check_refusal_is_due(UDPR_UDP_UNBATCHED); }
TEST(a_refusal_found_by_a_write_with_reports) { check_refusal_is_due(UDPR_UDP_ERROR_REPORTS); }

TEST(a_refusal_found_by_set_error_reports) {
  fixture f;
  set_up_on(&f, "127.0.0.1", AF_INET, 0);
  OK(udpr_transport_connect(f.transport, &f.refusing_addr));
  iterate_until_idle(f.reactor, f.fd);
  write_to_refusing(&f, NULL);
  enable_reports(&f);
  check_is_due(&f);
  EMBEDDED_RUN_UNTIL(f.reactor, f.fd, f.refused);
  tear_down(&f);
}

/* If the port is closed before collected reports were delivered, only its stop is due. */
TEST(close_discards_due_reports) {
  fixture f;
  set_up_on(&f, "127.0.0.1", AF_INET, UDPR_UDP_ERROR_REPORTS);
  write_to_refusing(&f, &f.refusing_addr);
  enable_reports(&f);
  OK(udpr_transport_close(f.transport));
  for (int i = 0; i < 5 && is_readable(f.fd, 0); i++) OK(udpr_reactor_iterate(f.reactor, 0));
  CHECK_EQ(0, f.reports);
  tear_down(&f);
}

/* ---- datagrams that are sent later --------------------------------------------------------------------- */

/* Writes outside of turns until the queue is full. */
static void fill_queue(fixture *f) {
  static const char data[1000];
  udpr_status       status;
  do status = udpr_transport_write(f->transport, data, sizeof data, &f->receiving_addr);
  while (status == UDPR_OK);
  CHECK_STATUS(UDPR_E_WOULD_BLOCK, status);
  CHECK(stats_of(f->transport).queued_datagrams > 0);
}

static void check_queue_is_sent(uint32_t flags) {
  fixture f;
  set_up_on(&f, "127.0.0.1", AF_INET, flags);
  fill_queue(&f);
  EMBEDDED_RUN_UNTIL(f.reactor, f.fd, f.ready);
  CHECK_EQ(0, stats_of(f.transport).queued_datagrams);
  CHECK_EQ(0, stats_of(f.transport).dropped_out);
  tear_down(&f);
}

TEST(a_full_socket) {
  enter_slow_network();
  check_queue_is_sent(0);
}

/* ENOBUFS, which the kernel returns only with IP_RECVERR. There is no event to wait for, only a time. */
TEST(a_full_device) {
  enter_slow_network();
  run_network_tool("tc", "qdisc replace dev lo root tbf rate 256kbit burst 3kb limit 8kb");
  check_queue_is_sent(UDPR_UDP_ERROR_REPORTS);
}

CHECK_MAIN()
