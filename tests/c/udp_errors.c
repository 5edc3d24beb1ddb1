/* error_received: errors that the network or the kernel reports for sent datagrams, each once and with its
 * destination; and accepted writes that could not be sent.
 */
#include "spoof.h"

#include <netinet/icmp6.h>
#include <netinet/ip6.h>

enum { MOST = 64 };

typedef struct fixture {
  udpr_reactor     *reactor;
  udpr_transport   *transport;
  udpr_addr         host, refusing_addr; /* refusing_addr refuses datagrams */
  int               peer, refusing_peer;
  udpr_addr         receiving_addr;
  int               count;
  udpr_error_report reports[MOST];
  char              data[MOST][8]; /* the beginning of each payload, as text */
  void (*on_report)(struct fixture *f);
} fixture;

static void reported(udpr_transport *transport, const udpr_error_report *report, void *user) {
  fixture *f = user;
  CHECK(transport == f->transport && f->count < MOST);
  CHECK(report->size >= sizeof *report && report->data && report->reserved == 0);
  size_t len = report->len < sizeof *f->data ? report->len : sizeof *f->data - 1;
  memcpy(f->data[f->count], report->data, len);
  f->reports[f->count++] = *report;
  if (f->on_report) f->on_report(f);
}

static void set_up_on(fixture *f, const char *local, int family, uint32_t flags) {
  *f = (fixture){.reactor = new_reactor(0),
                 .refusing_peer = peer_open_refusing(family),
                 .peer = peer_open(family)};
  f->refusing_addr = peer_addr(f->refusing_peer);
  udpr_protocol    protocol = {.size = sizeof protocol, .user = f, .error_received = reported};
  udpr_udp_options options = {.size = sizeof options, .flags = flags};
  f->transport = listen_on(f->reactor, local, &protocol, &options);
  f->host = host_of(f->transport);
  f->receiving_addr = peer_addr(f->peer);
}

static void set_up(fixture *f, uint32_t flags) { set_up_on(f, "127.0.0.1", AF_INET, flags); }

static uint64_t wakeups(const fixture *f) {
  udpr_reactor_stats stats = {.size = sizeof stats};
  OK(udpr_reactor_get_stats(f->reactor, &stats));
  return stats.wakeups;
}

/* epoll reports no further error, no report is repeated, and writes work. */
static void tear_down(fixture *f) {
  int count = f->count;
  run_turns(f->reactor, 2);
  uint64_t before = wakeups(f);
  run_turns(f->reactor, 5);
  CHECK_EQ(before, wakeups(f));
  CHECK_EQ(count, f->count);
  OK(udpr_transport_write(f->transport, "alive", 5, &f->receiving_addr));
  PEER_RECEIVES(f->peer, "alive");
  OK(udpr_transport_close(f->transport));
  udpr_transport_release(f->transport);
  OK(udpr_reactor_free(f->reactor));
  close(f->peer);
  close(f->refusing_peer);
}

/* ---- errors from the network --------------------------------------------------------------------------- */

static void check_refused_report(const char *local, const char *reporter, int family, uint32_t origin,
                                 uint32_t type, uint32_t code) {
  fixture f;
  set_up_on(&f, local, family, UDPR_UDP_ERROR_REPORTS);
  udpr_addr from = addr(reporter, 0);
  if (from.family != f.refusing_addr.family) {
    OK(udpr_addr_map_v4(&f.refusing_addr, &f.refusing_addr));
    OK(udpr_addr_map_v4(&f.receiving_addr, &f.receiving_addr));
  }
  OK(udpr_transport_write(f.transport, "dead", 4, &f.refusing_addr));
  OK(udpr_transport_write(f.transport, "more", 4, &f.refusing_addr));
  RUN_UNTIL(f.reactor, f.count == 2);
  for (int i = 0; i < 2; i++) {
    const udpr_error_report *report = &f.reports[i];
    CHECK_STATUS(UDPR_E_CONNECTION_REFUSED, report->status);
    CHECK_EQ(origin, report->origin);
    CHECK_EQ(type, report->icmp_type);
    CHECK_EQ(code, report->icmp_code);
    CHECK_EQ(0, report->mtu);
    CHECK_ADDR(&f.refusing_addr, &report->to);
    CHECK_ADDR(&from, &report->reporter);
    CHECK_EQ(4, report->len);
    CHECK_STR(i ? "more" : "dead", f.data[i]);
  }
  CHECK_EQ(0, stats_of(f.transport).dropped_out);
  tear_down(&f);
}

TEST(a_refusing_port_ipv4) {
  check_refused_report("127.0.0.1", "127.0.0.1", AF_INET, UDPR_ORIGIN_ICMP, ICMP_DEST_UNREACH,
                       ICMP_PORT_UNREACH);
}
TEST(a_refusing_port_ipv6) {
  check_refused_report("::1", "::1", AF_INET6, UDPR_ORIGIN_ICMP6, ICMP6_DST_UNREACH,
                       ICMP6_DST_UNREACH_NOPORT);
}
TEST(a_refusing_port_dual_stack_ipv6) {
  check_refused_report("::", "::1", AF_INET6, UDPR_ORIGIN_ICMP6, ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_NOPORT);
}
TEST(a_refusing_port_dual_stack_ipv4) {
  check_refused_report("::", "::ffff:127.0.0.1", AF_INET, UDPR_ORIGIN_ICMP, ICMP_DEST_UNREACH,
                       ICMP_PORT_UNREACH);
}

TEST(reports_have_the_destination) {
  enum { COUNT = 20 };
  fixture   f;
  int       peers[COUNT];
  udpr_addr refusing_addr[COUNT];
  char      text[8];
  set_up(&f, UDPR_UDP_ERROR_REPORTS);
  for (int i = 0; i < COUNT; i++)
    peers[i] = peer_open_refusing(AF_INET), refusing_addr[i] = peer_addr(peers[i]);
  for (int i = 0; i < COUNT; i++) {
    snprintf(text, sizeof text, "to %d", i);
    OK(udpr_transport_write(f.transport, text, strlen(text), &refusing_addr[i]));
  }
  RUN_UNTIL(f.reactor, f.count == COUNT);
  for (int i = 0; i < COUNT; i++) {
    snprintf(text, sizeof text, "to %d", i);
    CHECK_ADDR(&refusing_addr[i], &f.reports[i].to);
    CHECK_STR(text, f.data[i]);
    close(peers[i]);
  }
  tear_down(&f);
}

TEST(reports_on_and_off) {
  fixture f;
  set_up(&f, 0);
  OK(udpr_transport_write(f.transport, "off", 3, &f.refusing_addr));
  run_turns(f.reactor, 3);
  CHECK_EQ(0, f.count);
  OK(udpr_transport_set_error_reports(f.transport, 7));
  OK(udpr_transport_write(f.transport, "on", 2, &f.refusing_addr));
  RUN_UNTIL(f.reactor, f.count == 1);
  CHECK_STR("on", f.data[0]);
  OK(udpr_transport_write(f.transport, "last", 4, &f.refusing_addr));
  /* reports that are already in the socket are delivered */
  OK(udpr_transport_set_error_reports(f.transport, 0));
  OK(udpr_transport_write(f.transport, "off", 3, &f.refusing_addr));
  RUN_UNTIL(f.reactor, f.count == 2);
  CHECK_STR("last", f.data[1]);
  tear_down(&f);
}

TEST(a_paused_port_reports) {
  fixture f;
  set_up(&f, UDPR_UDP_ERROR_REPORTS);
  OK(udpr_transport_pause_reading(f.transport));
  OK(udpr_transport_write(f.transport, "x", 1, &f.refusing_addr));
  RUN_UNTIL(f.reactor, f.count == 1);
  tear_down(&f);
}

/* If the program enables the error queue itself, the library empties it, and no write fails. */
TEST(error_queue_enabled_by_the_program) {
  fixture f;
  int     on = 1;
  set_up(&f, 0);
  CHECK_EQ(0, setsockopt(udpr_transport_fileno(f.transport), IPPROTO_IP, IP_RECVERR, &on, sizeof on));
  for (int i = 0; i < 5; i++) {
    OK(udpr_transport_write(f.transport, "dead", 4, &f.refusing_addr));
    OK(udpr_transport_write(f.transport, "live", 4, &f.receiving_addr));
    PEER_RECEIVES(f.peer, "live");
  }
  CHECK_EQ(0, f.count);
  tear_down(&f);
}

static void write_again(fixture *f) {
  if (f->count < 5) OK(udpr_transport_write(f->transport, "again", 5, &f->refusing_addr));
}

TEST(write_in_the_callback) {
  fixture f;
  set_up(&f, UDPR_UDP_ERROR_REPORTS);
  f.on_report = write_again;
  OK(udpr_transport_write(f.transport, "x", 1, &f.refusing_addr));
  RUN_UNTIL(f.reactor, f.count == 5);
  tear_down(&f);
}

static void close_port(fixture *f) { OK(udpr_transport_close(f->transport)); }

TEST(close_in_the_callback) {
  fixture f;
  set_up(&f, UDPR_UDP_ERROR_REPORTS);
  f.on_report = close_port;
  for (int i = 0; i < 5; i++) OK(udpr_transport_write(f.transport, "x", 1, &f.refusing_addr));
  RUN_UNTIL(f.reactor, f.count == 1);
  run_turns(f.reactor, 3);
  CHECK_EQ(1, f.count);
  udpr_transport_release(f.transport);
  OK(udpr_reactor_free(f.reactor));
  close(f.peer);
  close(f.refusing_peer);
}

/* ---- every kind of ICMP message ------------------------------------------------------------------------ */

typedef struct icmp_row {
  uint8_t     type, code;
  uint16_t    mtu;
  udpr_status status;
} icmp_row;

TEST(every_kind_of_icmp) {
  static const icmp_row rows[] = {
      {ICMP_DEST_UNREACH, ICMP_NET_UNREACH, 0, UDPR_E_NETWORK_UNREACHABLE},
      {ICMP_DEST_UNREACH, ICMP_HOST_UNREACH, 0, UDPR_E_HOST_UNREACHABLE},
      {ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, 0, UDPR_E_CONNECTION_REFUSED},
      {ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, 1400, UDPR_E_MESSAGE_TOO_LONG},
      {ICMP_DEST_UNREACH, ICMP_PKT_FILTERED, 0, UDPR_E_HOST_UNREACHABLE},
      {ICMP_TIME_EXCEEDED, ICMP_EXC_TTL, 0, UDPR_E_HOST_UNREACHABLE},
  };
  enum { COUNT = sizeof rows / sizeof *rows };
  fixture f;
  enter_network_namespace();
  set_up(&f, UDPR_UDP_ERROR_REPORTS);
  udpr_addr router = addr("127.0.0.9", 0), to = addr("192.0.2.7", 4242);
  for (int i = 0; i < COUNT; i++) {
    spoof_icmp(&f.host, &to, rows[i].type, rows[i].code, rows[i].mtu);
    /* A previous error must not fail this write. */
    OK(udpr_transport_write(f.transport, "live", 4, &f.receiving_addr));
    PEER_RECEIVES(f.peer, "live");
  }
  RUN_UNTIL(f.reactor, f.count == COUNT);
  for (int i = 0; i < COUNT; i++) {
    CHECK_STATUS(rows[i].status, f.reports[i].status);
    CHECK_EQ(UDPR_ORIGIN_ICMP, f.reports[i].origin);
    CHECK_EQ(rows[i].type, f.reports[i].icmp_type);
    CHECK_EQ(rows[i].code, f.reports[i].icmp_code);
    CHECK_EQ(rows[i].mtu, f.reports[i].mtu);
    CHECK_ADDR(&to, &f.reports[i].to);
    CHECK_ADDR(&router, &f.reports[i].reporter);
    CHECK_STR("lost", f.data[i]);
  }
  tear_down(&f);
}

/* On a connected port without reports, the kernel returns the error from the next call on the socket, which
 * did not cause it.
 */
TEST(icmp_errors_do_not_fail_the_next_write_of_a_connected_port) {
  static const uint8_t codes[] = {ICMP_PROT_UNREACH, ICMP_FRAG_NEEDED, ICMP_HOST_UNKNOWN, ICMP_PKT_FILTERED};
  fixture              f;
  enter_network_namespace();
  set_up(&f, 0);
  OK(udpr_transport_connect(f.transport, &f.receiving_addr));
  for (size_t i = 0; i < sizeof codes; i++) {
    spoof_icmp(&f.host, &f.receiving_addr, ICMP_DEST_UNREACH, codes[i], 1400);
    OK(udpr_transport_write(f.transport, "live", 4, NULL));
    PEER_RECEIVES(f.peer, "live");
  }
  CHECK_EQ(0, f.count);
  tear_down(&f);
}

TEST(packet_too_big_ipv6) {
  struct {
    struct icmp6_hdr icmp;
    struct ip6_hdr   ip;
    struct udphdr    udp;
    char             data[4];
  } message = {
      .icmp = {.icmp6_type = ICMP6_PACKET_TOO_BIG},
      .ip = {.ip6_flow = htonl(6u << 28), .ip6_plen = htons(12), .ip6_nxt = IPPROTO_UDP, .ip6_hlim = 64},
      .data = "lost"};
  struct sockaddr_in6 port = {.sin6_family = AF_INET6, .sin6_addr = in6addr_loopback};
  fixture             f;
  enter_network_namespace();
  set_up_on(&f, "::1", AF_INET6, UDPR_UDP_ERROR_REPORTS);
  udpr_addr to = addr("2001:db8::7", 4242), router = addr("::1", 0);
  message.icmp.icmp6_mtu = htonl(1300);
  message.ip.ip6_src = in6addr_loopback;
  memcpy(&message.ip.ip6_dst, to.bytes, 16);
  message.udp = (struct udphdr){.source = htons(f.host.port), .dest = htons(to.port), .len = htons(12)};
  int fd = socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6);
  CHECK_EQ(sizeof message, sendto(fd, &message, sizeof message, 0, (struct sockaddr *)&port, sizeof port));
  close(fd);
  RUN_UNTIL(f.reactor, f.count == 1);
  CHECK_STATUS(UDPR_E_MESSAGE_TOO_LONG, f.reports[0].status);
  CHECK_EQ(UDPR_ORIGIN_ICMP6, f.reports[0].origin);
  CHECK_EQ(ICMP6_PACKET_TOO_BIG, f.reports[0].icmp_type);
  CHECK_EQ(1300, f.reports[0].mtu);
  CHECK_ADDR(&to, &f.reports[0].to);
  CHECK_ADDR(&router, &f.reports[0].reporter);
  CHECK_STR("lost", f.data[0]);
  tear_down(&f);
}

/* ---- accepted writes that the local kernel refuses ----------------------------------------------------- */

typedef struct one_write {
  fixture    *f;
  udpr_addr   to;
  const char *data;
  size_t      len;
} one_write;

static void write_between_others(udpr_reactor *reactor, void *user) {
  one_write *one = user;
  (void)reactor;
  OK(udpr_transport_write(one->f->transport, "before", 6, &one->f->receiving_addr));
  OK(udpr_transport_write(one->f->transport, one->data, one->len, &one->to));
  OK(udpr_transport_write(one->f->transport, "behind", 6, &one->f->receiving_addr));
}

static void check_local_report(const one_write *one, udpr_status status, uint32_t mtu, int index) {
  const udpr_error_report *report = &one->f->reports[index];
  udpr_addr                none = {0};
  CHECK_STATUS(status, report->status);
  CHECK_EQ(UDPR_ORIGIN_LOCAL, report->origin);
  CHECK_EQ(0, report->icmp_type + report->icmp_code);
  CHECK_EQ(mtu, report->mtu);
  CHECK_ADDR(&one->to, &report->to);
  CHECK(memcmp(&none, &report->reporter, sizeof none) == 0);
  CHECK_EQ(one->len, report->len);
  CHECK(strncmp(one->data, one->f->data[index], sizeof *one->f->data - 1) == 0);
}

/* A write that is sent at once returns the error. For a batched write or a post, error_received is called. */
static void check_refused_by_kernel(fixture *f, const char *to, udpr_status status, size_t len,
                                    uint32_t mtu) {
  static const char data[4000] = "refused";
  one_write         one = {.f = f, .to = addr(to, 4242), .data = data, .len = len};
  uint64_t          dropped = stats_of(f->transport).dropped_out;
  int               count = f->count;
  CHECK_STATUS(status, udpr_transport_write(f->transport, data, len, &one.to));
  run_turns(f->reactor, 2);
  CHECK_EQ(count, f->count);
  CHECK_EQ(dropped, stats_of(f->transport).dropped_out);

  OK(udpr_reactor_call_later(f->reactor, 0, write_between_others, &one, NULL, NULL));
  RUN_UNTIL(f->reactor, f->count == count + 1);
  check_local_report(&one, status, mtu, count);
  PEER_RECEIVES(f->peer, "before");
  PEER_RECEIVES(f->peer, "behind");

  OK(udpr_transport_post(f->transport, data, len, &one.to));
  RUN_UNTIL(f->reactor, f->count == count + 2);
  check_local_report(&one, status, mtu, count + 1);
  run_turns(f->reactor, 3);
  CHECK_EQ(count + 2, f->count);
  CHECK_EQ(dropped + 2, stats_of(f->transport).dropped_out);
}

static void check_refused_by_routes(uint32_t flags) {
  fixture f;
  enter_network_namespace();
  run_ip("route add prohibit 198.51.100.1");
  run_ip("route add unreachable 198.51.100.2");
  set_up_on(&f, NULL, AF_INET, flags);
  check_refused_by_kernel(&f, "192.0.2.1", UDPR_E_NETWORK_UNREACHABLE, 7, 0);
  check_refused_by_kernel(&f, "198.51.100.1", UDPR_E_ACCESS, 7, 0);
  check_refused_by_kernel(&f, "198.51.100.2", UDPR_E_HOST_UNREACHABLE, 7, 0);
  tear_down(&f);
}

TEST(refused_by_the_routes_without_reports) { check_refused_by_routes(0); }
TEST(refused_by_the_routes_with_reports) { check_refused_by_routes(UDPR_UDP_ERROR_REPORTS); }

/* The kernel also puts this error into the error queue. It must be reported only once. */
static void check_too_long(const char *local, const char *to, int family, uint32_t flags) {
  fixture f;
  int     v4 = IP_PMTUDISC_DO, v6 = IPV6_PMTUDISC_DO;
  enter_network_namespace();
  run_ip("link set lo mtu 1500");
  set_up_on(&f, local, family, flags);
  int fd = udpr_transport_fileno(f.transport);
  if (family == AF_INET6) CHECK_EQ(0, setsockopt(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER, &v6, sizeof v6));
  CHECK_EQ(0, setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &v4, sizeof v4));
  check_refused_by_kernel(&f, to, UDPR_E_MESSAGE_TOO_LONG, 2000, 1500);
  tear_down(&f);
}

TEST(too_long_ipv4) { check_too_long("127.0.0.1", "127.0.0.1", AF_INET, 0); }
TEST(too_long_ipv4_with_reports) {
  check_too_long("127.0.0.1", "127.0.0.1", AF_INET, UDPR_UDP_ERROR_REPORTS);
}
TEST(too_long_ipv6) { check_too_long("::1", "::1", AF_INET6, 0); }
TEST(too_long_ipv6_with_reports) { check_too_long("::1", "::1", AF_INET6, UDPR_UDP_ERROR_REPORTS); }
TEST(too_long_dual_stack) { check_too_long("::", "::ffff:127.0.0.1", AF_INET6, UDPR_UDP_ERROR_REPORTS); }

static void check_refused_by_firewall(uint32_t flags) {
  fixture f;
  enter_network_namespace();
  run_network_tool("nft", "add table inet t");
  run_network_tool("nft", "add chain inet t out '{ type filter hook output priority 0; }'");
  run_network_tool("nft", "add rule inet t out udp dport 4242 drop");
  set_up(&f, flags);
  check_refused_by_kernel(&f, "127.0.0.1", UDPR_E_PERMISSION, 7, 0);
  tear_down(&f);
}

TEST(refused_by_a_firewall_without_reports) { check_refused_by_firewall(0); }
TEST(refused_by_a_firewall_with_reports) { check_refused_by_firewall(UDPR_UDP_ERROR_REPORTS); }

TEST(rejected_by_a_firewall_of_the_receiver) {
  fixture f;
  enter_network_namespace();
  run_network_tool("nft", "add table inet t");
  run_network_tool("nft", "add chain inet t in '{ type filter hook input priority 0; }'");
  run_network_tool("nft", "add rule inet t in udp dport 4242 reject with icmp type admin-prohibited");
  set_up(&f, UDPR_UDP_ERROR_REPORTS);
  udpr_addr to = addr("127.0.0.1", 4242);
  OK(udpr_transport_write(f.transport, "reject", 6, &to));
  RUN_UNTIL(f.reactor, f.count == 1);
  CHECK_STATUS(UDPR_E_HOST_UNREACHABLE, f.reports[0].status);
  CHECK_EQ(ICMP_PKT_FILTERED, f.reports[0].icmp_code);
  CHECK_ADDR(&to, &f.reports[0].to);
  CHECK_STR("reject", f.data[0]);
  tear_down(&f);
}

/* The kernel fails the write and also sends an ICMP message, for each attempt. */
TEST(rejected_by_a_firewall_of_the_sender) {
  fixture f;
  enter_network_namespace();
  run_network_tool("nft", "add table inet t");
  run_network_tool("nft", "add chain inet t out '{ type filter hook output priority 0; }'");
  run_network_tool("nft", "add rule inet t out udp dport 4242 reject with icmp type admin-prohibited");
  set_up(&f, UDPR_UDP_ERROR_REPORTS);
  udpr_addr to = addr("127.0.0.1", 4242);
  CHECK_STATUS(UDPR_E_PERMISSION, udpr_transport_write(f.transport, "reject", 6, &to));
  RUN_UNTIL(f.reactor, f.count > 0);
  CHECK(f.count <= 2);
  tear_down(&f);
}

static void write_abc(udpr_reactor *reactor, void *user) {
  one_write *one = user;
  (void)reactor;
  for (const char *data = "abc"; *data; data++)
    OK(udpr_transport_write(one->f->transport, data, 1, &one->to));
}

/* The writes are merged, but each of them is reported. */
TEST(each_of_many_writes_to_one_destination_is_reported) {
  fixture f;
  enter_network_namespace();
  set_up_on(&f, NULL, AF_INET, 0);
  one_write one = {.f = &f, .to = addr("192.0.2.1", 9)};
  OK(udpr_reactor_call_later(f.reactor, 0, write_abc, &one, NULL, NULL));
  RUN_UNTIL(f.reactor, f.count == 3);
  for (int i = 0; i < 3; i++) {
    CHECK_STATUS(UDPR_E_NETWORK_UNREACHABLE, f.reports[i].status);
    CHECK_ADDR(&one.to, &f.reports[i].to);
    CHECK_STR(((const char *[]){"a", "b", "c"})[i], f.data[i]);
  }
  CHECK_EQ(3, stats_of(f.transport).dropped_out);
  tear_down(&f);
}

/* Reports that are not delivered yet are bounded, and all of them are counted. */
static void write_many(udpr_reactor *reactor, void *user) {
  fixture  *f = user;
  udpr_addr unreachable = addr("192.0.2.1", 9);
  (void)reactor;
  for (int i = 0; i < 1000; i++) OK(udpr_transport_write(f->transport, "x", 1, &unreachable));
}

TEST(reports_are_bounded) {
  fixture f;
  enter_network_namespace();
  f = (fixture){.reactor = new_reactor(0),
                .peer = peer_open(AF_INET),
                .refusing_peer = peer_open_refusing(AF_INET)};
  udpr_protocol    protocol = {.size = sizeof protocol, .user = &f, .error_received = reported};
  udpr_udp_options options = {.size = sizeof options, .send_queue_bytes = 4096};
  f.transport = listen_on(f.reactor, NULL, &protocol, &options);
  f.receiving_addr = peer_addr(f.peer);
  OK(udpr_reactor_call_later(f.reactor, 0, write_many, &f, NULL, NULL));
  RUN_UNTIL(f.reactor, f.count > 0);
  CHECK_EQ(1000, stats_of(f.transport).dropped_out);
  tear_down(&f);
}

CHECK_MAIN()
