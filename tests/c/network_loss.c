/* Firewalls between two hosts. Datagrams that they drop are missing, all others arrive. Datagrams that they
 * reject are reported with their destination.
 */
#include "network_namespace.h"
#include "two_hosts.h"

#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>

enum { LEN = 100, MOST = 64 };

typedef struct fixture {
  two_hosts         hosts;
  udpr_reactor     *reactor;
  udpr_transport   *near, *far; /* `far` echoes what it receives */
  udpr_addr         far_addr;
  uint32_t          arrived, returned;           /* datagrams received by `far`, and by `near` */
  uint32_t          last_arrived, last_returned; /* the last number received by each */
  uint32_t          count;                       /* for write_numbers */
  int               reports, refused;
  udpr_error_report reported[MOST];
  char              data[MOST][16];
} fixture;

static void check_in_order(const udpr_datagram *datagram, uint32_t *last) {
  uint32_t number;
  CHECK_EQ(LEN, datagram->len);
  memcpy(&number, datagram->data, sizeof number);
  CHECK(number > *last);
  *last = number;
}

static void far_received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  fixture *f = user;
  check_in_order(datagram, &f->last_arrived);
  f->arrived++;
  OK(udpr_transport_write(transport, datagram->data, datagram->len, &datagram->sender));
}

static void near_received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  fixture *f = user;
  (void)transport;
  check_in_order(datagram, &f->last_returned);
  f->returned++;
}

static void near_reported(udpr_transport *transport, const udpr_error_report *report, void *user) {
  fixture *f = user;
  (void)transport;
  CHECK(f->reports < MOST);
  memcpy(f->data[f->reports], report->data,
         report->len < sizeof *f->data ? report->len : sizeof *f->data - 1);
  f->reported[f->reports++] = *report;
}

static void near_refused(udpr_transport *transport, void *user) {
  (void)transport;
  ((fixture *)user)->refused++;
}

static void set_up(fixture *f, const char *near, const char *far, uint32_t flags) {
  *f = (fixture){.reactor = new_reactor(0)};
  two_hosts_create(&f->hosts);
  udpr_protocol    first = {.size = sizeof first,
                            .user = f,
                            .datagram_received = near_received,
                            .error_received = near_reported,
                            .connection_refused = near_refused};
  udpr_protocol    second = {.size = sizeof second, .user = f, .datagram_received = far_received};
  udpr_udp_options options = {.size = sizeof options, .flags = flags};
  f->near = listen_on(f->reactor, near, &first, &options);
  enter_far_host(&f->hosts);
  f->far = listen_on(f->reactor, far, &second, &options);
  f->far_addr = host_of(f->far);
  run_network_tool("nft", "add table inet t");
  run_network_tool("nft", "add chain inet t in '{ type filter hook input priority 0; }'");
  run_network_tool("nft", "add counter inet t lost");
  enter_near_host(&f->hosts);
}

static void tear_down(fixture *f) {
  udpr_transport_release(f->near);
  udpr_transport_release(f->far);
  OK(udpr_reactor_free(f->reactor)); /* closes both ports */
  two_hosts_close(&f->hosts);
}

/* ---- loss ----------------------------------------------------------------------------------------------------- */

static void write_numbers(udpr_reactor *reactor, void *user) {
  fixture *f = user;
  uint8_t  data[LEN] = {0};
  (void)reactor;
  for (uint32_t number = 1; number <= f->count; number++) {
    memcpy(data, &number, sizeof number);
    OK(udpr_transport_write(f->near, data, sizeof data, &f->far_addr));
  }
}

/* Returns how many datagrams the firewall has dropped. It counts merged datagrams as one packet. `head` is
 * the length of a packet's headers.
 */
static uint64_t count_dropped(unsigned head) {
  unsigned long long packets = 0, bytes = 0;
  FILE              *pipe = popen("nft list counter inet t lost", "r");
  char               line[256];
  CHECK(pipe != NULL);
  while (fgets(line, sizeof line, pipe)) (void)sscanf(line, " packets %llu bytes %llu", &packets, &bytes);
  CHECK_EQ(0, pclose(pipe));
  CHECK_EQ(0, (bytes - packets * head) % LEN);
  return (bytes - packets * head) / LEN;
}

#define IPV4 "10.77.0.1", "10.77.0.2", 20 + 8
#define IPV6 "fd77::1", "fd77::2", 40 + 8
#define ONE_IN_THREE "numgen inc mod 3 == 0"
#define THREE_IN_TEN "numgen random mod 10 \\< 3" /* escaped for the shell */

static void check_loss(const char *near, const char *far, unsigned head, uint32_t flags, const char *which) {
  /* The default receive buffer holds all that arrive, even if cache lines have 256 bytes (s390x). */
  enum { COUNT = 240 };
  fixture f;
  set_up(&f, near, far, flags);
  enter_far_host(&f.hosts);
  run_network_tool("nft", "add rule inet t in udp dport %u %s counter name lost drop", f.far_addr.port,
                   which);
  f.count = COUNT;
  OK(udpr_reactor_call_later(f.reactor, 0, write_numbers, &f, NULL, NULL));
  RUN_UNTIL(f.reactor, stats_of(f.near).datagrams_out == COUNT && f.arrived + count_dropped(head) == COUNT);
  RUN_UNTIL(f.reactor, f.returned == f.arrived); /* nothing is lost on the way back */
  run_turns(f.reactor, 5);
  NOTE("%u of %u lost", COUNT - f.arrived, COUNT);
  CHECK(f.arrived > 0 && f.arrived < COUNT);
  CHECK_EQ(f.arrived, stats_of(f.far).datagrams_in);
  CHECK_EQ(0, stats_of(f.far).dropped_in); /* no receive buffer was full */
  CHECK_EQ(0, stats_of(f.near).dropped_out);
  CHECK_EQ(0, f.reports);
  if (strcmp(which, ONE_IN_THREE) == 0) CHECK_EQ(COUNT - COUNT / 3, f.arrived);
  enter_near_host(&f.hosts);
  tear_down(&f);
}

TEST(one_in_three_is_lost) { check_loss(IPV4, UDPR_UDP_NO_OFFLOAD, ONE_IN_THREE); }
TEST(one_in_three_is_lost_ipv6) { check_loss(IPV6, UDPR_UDP_NO_OFFLOAD, ONE_IN_THREE); }
TEST(merged_datagrams_are_lost_together) { check_loss(IPV4, 0, "numgen inc mod 2 == 0"); }
TEST(random_loss) { check_loss(IPV4, UDPR_UDP_NO_OFFLOAD, THREE_IN_TEN); }

/* ---- rejected on the other host ------------------------------------------------------------------------ */

enum { FIRST_PORT = 4000 };

typedef struct rejection {
  const char *reject_with; /* in the syntax of nft(8) */
  udpr_status status;
  uint32_t    type, code;
} rejection;

static const rejection rejections_v4[] = {
    {"icmp type net-unreachable", UDPR_E_NETWORK_UNREACHABLE, ICMP_DEST_UNREACH, ICMP_NET_UNREACH},
    {"icmp type host-unreachable", UDPR_E_HOST_UNREACHABLE, ICMP_DEST_UNREACH, ICMP_HOST_UNREACH},
    {"icmp type prot-unreachable", UDPR_E_SYSTEM - ENOPROTOOPT, ICMP_DEST_UNREACH, ICMP_PROT_UNREACH},
    {"icmp type port-unreachable", UDPR_E_CONNECTION_REFUSED, ICMP_DEST_UNREACH, ICMP_PORT_UNREACH},
    {"icmp type net-prohibited", UDPR_E_NETWORK_UNREACHABLE, ICMP_DEST_UNREACH, ICMP_NET_ANO},
    {"icmp type host-prohibited", UDPR_E_HOST_UNREACHABLE, ICMP_DEST_UNREACH, ICMP_HOST_ANO},
    {"icmp type admin-prohibited", UDPR_E_HOST_UNREACHABLE, ICMP_DEST_UNREACH, ICMP_PKT_FILTERED},
};
static const rejection rejections_v6[] = {
    {"icmpv6 type no-route", UDPR_E_NETWORK_UNREACHABLE, ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_NOROUTE},
    {"icmpv6 type admin-prohibited", UDPR_E_ACCESS, ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_ADMIN},
    {"icmpv6 type addr-unreachable", UDPR_E_HOST_UNREACHABLE, ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_ADDR},
    {"icmpv6 type port-unreachable", UDPR_E_CONNECTION_REFUSED, ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_NOPORT},
};
enum { V4 = sizeof rejections_v4 / sizeof *rejections_v4, V6 = sizeof rejections_v6 / sizeof *rejections_v6 };

/* Adds a rule for each, with a port number of its own on the far host. */
static void add_reject_rules(fixture *f, const rejection *rejections, int count) {
  enter_far_host(&f->hosts);
  /* Otherwise a host is sent at most one ICMP message a second. */
  run_command("sysctl -qw net.ipv4.icmp_ratemask=0 net.ipv6.icmp.ratelimit=0");
  for (int i = 0; i < count; i++) {
    run_network_tool("nft", "add rule inet t in udp dport %d reject with %s", FIRST_PORT + i,
                     rejections[i].reject_with);
  }
  enter_near_host(&f->hosts);
}

static void check_far_port_replies(fixture *f) {
  uint32_t number = f->last_arrived + 1, returned = f->returned;
  uint8_t  data[LEN] = {0};
  memcpy(data, &number, sizeof number);
  OK(udpr_transport_write(f->near, data, sizeof data, &f->far_addr));
  RUN_UNTIL(f->reactor, f->returned == returned + 1);
}

/* For a call that writes to each number at once. */
typedef struct write_round {
  fixture  *f;
  udpr_addr far;
  int       count;
} write_round;

static void write_to_each(udpr_reactor *reactor, void *user) {
  write_round *self = user;
  char         text[16];
  (void)reactor;
  for (int i = 0; i < self->count; i++) {
    self->far.port = (uint16_t)(FIRST_PORT + i);
    snprintf(text, sizeof text, "to %d", i);
    OK(udpr_transport_write(self->f->near, text, strlen(text), &self->far));
  }
}

static void check_each_reported(const char *near, const char *far, const rejection *rejections, int count,
                                uint32_t origin) {
  fixture f;
  set_up(&f, near, strchr(far, ':') ? "::" : "10.77.0.2", UDPR_UDP_ERROR_REPORTS);
  add_reject_rules(&f, rejections, count);
  write_round reported = {&f, addr(far, 0), count};
  f.far_addr = addr(far, f.far_addr.port);
  OK(udpr_reactor_call_later(f.reactor, 0, write_to_each, &reported, NULL, NULL));
  RUN_UNTIL(f.reactor, f.reports == count);
  check_far_port_replies(&f);
  CHECK_EQ(count, f.reports);
  CHECK_EQ(count, stats_of(f.near).datagrams_out - 1);
  CHECK_EQ(0, stats_of(f.near).dropped_out); /* they were sent */
  for (int i = 0; i < count; i++) {
    int which = f.reported[i].to.port - FIRST_PORT;
    CHECK(which >= 0 && which < count);
    char      text[16];
    udpr_addr to = addr(far, (uint16_t)(FIRST_PORT + which)), reporter = addr(far, 0);
    snprintf(text, sizeof text, "to %d", which);
    CHECK_STR(text, f.data[i]);
    CHECK_STATUS(rejections[which].status, f.reported[i].status);
    CHECK_EQ(origin, f.reported[i].origin);
    CHECK_EQ(rejections[which].type, f.reported[i].icmp_type);
    CHECK_EQ(rejections[which].code, f.reported[i].icmp_code);
    CHECK_ADDR(&to, &f.reported[i].to);
    CHECK_ADDR(&reporter, &f.reported[i].reporter);
    for (int other = 0; other < i; other++) CHECK(f.reported[other].to.port != to.port);
  }
  tear_down(&f);
}

TEST(each_rejection_is_reported) {
  check_each_reported("10.77.0.1", "10.77.0.2", rejections_v4, V4, UDPR_ORIGIN_ICMP);
}
TEST(each_rejection_is_reported_ipv6) {
  check_each_reported("fd77::1", "fd77::2", rejections_v6, V6, UDPR_ORIGIN_ICMP6);
}
TEST(each_rejection_is_reported_dual_stack) {
  check_each_reported("::", "::ffff:10.77.0.2", rejections_v4, V4, UDPR_ORIGIN_ICMP);
}

/* Without error reports, only port unreachable is reported to a connected port. Every write is sent. */
static void check_connected(const char *near, const char *far, const rejection *rejections, int count) {
  fixture f;
  set_up(&f, near, far, 0);
  add_reject_rules(&f, rejections, count);
  for (int i = 0; i < count; i++) {
    udpr_addr peer = addr(far, (uint16_t)(FIRST_PORT + i));
    int       refused = f.refused;
    bool      refuses = rejections[i].status == UDPR_E_CONNECTION_REFUSED;
    OK(udpr_transport_connect(f.near, &peer));
    for (int write = 0; write < 3; write++) {
      OK(udpr_transport_write(f.near, "x", 1, NULL));
      if (refuses) RUN_UNTIL(f.reactor, f.refused == refused + write + 1);
      run_turns(f.reactor, 2);
    }
    CHECK_EQ(refused + (refuses ? 3 : 0), f.refused);
    CHECK_EQ(3 * (i + 1), stats_of(f.near).datagrams_out);
  }
  OK(udpr_transport_disconnect(f.near));
  check_far_port_replies(&f);
  CHECK_EQ(0, f.reports);
  tear_down(&f);
}

TEST(only_port_unreachable_is_reported_to_a_connected_port) {
  check_connected("10.77.0.1", "10.77.0.2", rejections_v4, V4);
}
TEST(only_port_unreachable_is_reported_to_a_connected_port_ipv6) {
  check_connected("fd77::1", "fd77::2", rejections_v6, V6);
}

/* ---- dropped by the local firewall: the write fails, or error_received is called ----------------------- */

/* The byte of the datagram's number that has its lowest bits. */
#define LOW_BYTE (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? 0 : 3)

static void check_local_firewall(uint32_t flags) {
  enum { COUNT = 32 };
  fixture f;
  set_up(&f, "10.77.0.1", "10.77.0.2", flags);
  run_network_tool("nft", "add table inet t");
  run_network_tool("nft", "add chain inet t out '{ type filter hook output priority 0; }'");
  /* Drops by the lowest two bits of the number, which follows the UDP header. */
  run_network_tool("nft", "add rule inet t out udp dport %u @th,%d,8 '&' 3 == 1 drop", f.far_addr.port,
                   64 + 8 * LOW_BYTE);
  f.count = COUNT;
  OK(udpr_reactor_call_later(f.reactor, 0, write_numbers, &f, NULL, NULL));
  RUN_UNTIL(f.reactor, f.returned + (uint32_t)f.reports == COUNT);
  CHECK_EQ(COUNT / 4, f.reports);
  CHECK_EQ(COUNT / 4, stats_of(f.near).dropped_out);
  CHECK_EQ(COUNT - COUNT / 4, stats_of(f.near).datagrams_out);
  for (int i = 0; i < f.reports; i++) {
    uint32_t number;
    memcpy(&number, f.data[i], sizeof number);
    CHECK_EQ(4 * i + 1, number);
    CHECK_STATUS(UDPR_E_PERMISSION, f.reported[i].status);
    CHECK_EQ(UDPR_ORIGIN_LOCAL, f.reported[i].origin);
    CHECK_ADDR(&f.far_addr, &f.reported[i].to);
  }
  tear_down(&f);
}

TEST(datagrams_dropped_by_the_local_firewall) { check_local_firewall(UDPR_UDP_NO_OFFLOAD); }
TEST(datagrams_dropped_by_the_local_firewall_with_reports) {
  check_local_firewall(UDPR_UDP_NO_OFFLOAD | UDPR_UDP_ERROR_REPORTS);
}

CHECK_MAIN()
