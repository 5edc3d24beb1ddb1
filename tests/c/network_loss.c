/* Firewalls between two hosts: what they drop is missing and nothing else is; what they refuse is told with its destination.
 */
#include "network_namespace.h"
#include "two_hosts.h"

#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>

enum { LEN = 100, MOST = 64 };

typedef struct fixture {
  two_hosts         hosts;
  udpr_reactor     *reactor;
  udpr_transport   *near, *far; /* far answers what it gets */
  udpr_addr         far_host;
  uint32_t          there, back;           /* how many came to far, and back to near */
  uint32_t          last_there, last_back; /* the numbers that came last */
  uint32_t          count;                 /* for the call */
  int               reports, refused;
  udpr_error_report all[MOST];
  char              data[MOST][16];
} fixture;

static void in_order(const udpr_datagram *datagram, uint32_t *last) {
  uint32_t number;
  CHECK_EQ(LEN, datagram->len);
  memcpy(&number, datagram->data, sizeof number);
  CHECK(number > *last);
  *last = number;
}

static void far_received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  fixture *f = user;
  in_order(datagram, &f->last_there);
  f->there++;
  OK(udpr_transport_write(transport, datagram->data, datagram->len, &datagram->sender));
}

static void near_received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  fixture *f = user;
  (void)transport;
  in_order(datagram, &f->last_back);
  f->back++;
}

static void near_reported(udpr_transport *transport, const udpr_error_report *report, void *user) {
  fixture *f = user;
  (void)transport;
  CHECK(f->reports < MOST);
  memcpy(f->data[f->reports], report->data,
         report->len < sizeof *f->data ? report->len : sizeof *f->data - 1);
  f->all[f->reports++] = *report;
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
  f->far_host = host_of(f->far);
  run_network_tool("nft", "add table inet t");
  run_network_tool("nft", "add chain inet t in '{ type filter hook input priority 0; }'");
  run_network_tool("nft", "add counter inet t lost");
  enter_near_host(&f->hosts);
}

static void tear_down(fixture *f) {
  udpr_transport_release(f->near);
  udpr_transport_release(f->far);
  OK(udpr_reactor_free(f->reactor)); /* closes them */
  two_hosts_close(&f->hosts);
}

/* ---- loss ----------------------------------------------------------------------------------------------------- */

static void write_numbers(udpr_reactor *reactor, void *user) {
  fixture *f = user;
  uint8_t  data[LEN] = {0};
  (void)reactor;
  for (uint32_t number = 1; number <= f->count; number++) {
    memcpy(data, &number, sizeof number);
    OK(udpr_transport_write(f->near, data, sizeof data, &f->far_host));
  }
}

/* Datagrams that the firewall has counted and dropped: of merged ones it sees one packet. `head` has the bytes of all headers
 * of a packet.
 */
static uint64_t lost(unsigned head) {
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
#define THREE_IN_TEN "numgen random mod 10 \\< 3" /* for the shell */

static void some_are_lost(const char *near, const char *far, unsigned head, uint32_t flags,
                          const char *which) {
  enum { COUNT = 300 };
  char    rule[128];
  fixture f;
  set_up(&f, near, far, flags);
  snprintf(rule, sizeof rule, "add rule inet t in udp dport %u %s counter name lost drop", f.far_host.port,
           which);
  enter_far_host(&f.hosts);
  run_network_tool("nft", rule);
  f.count = COUNT;
  OK(udpr_reactor_call_later(f.reactor, 0, write_numbers, &f, NULL, NULL));
  RUN_UNTIL(f.reactor, stats_of(f.near).datagrams_out == COUNT && f.there + lost(head) == COUNT);
  RUN_UNTIL(f.reactor, f.back == f.there); /* nothing is lost on the way back */
  run_turns(f.reactor, 5);
  NOTE("%u of %u lost", COUNT - f.there, COUNT);
  CHECK(f.there > 0 && f.there < COUNT);
  CHECK_EQ(f.there, stats_of(f.far).datagrams_in);
  CHECK_EQ(0, stats_of(f.far).dropped_in); /* no socket was full */
  CHECK_EQ(0, stats_of(f.near).dropped_out);
  CHECK_EQ(0, f.reports);
  if (strcmp(which, ONE_IN_THREE) == 0) CHECK_EQ(COUNT - COUNT / 3, f.there);
  enter_near_host(&f.hosts);
  tear_down(&f);
}

TEST(one_in_three_is_lost) { some_are_lost(IPV4, UDPR_UDP_NO_OFFLOAD, ONE_IN_THREE); }
TEST(one_in_three_is_lost_ipv6) { some_are_lost(IPV6, UDPR_UDP_NO_OFFLOAD, ONE_IN_THREE); }
TEST(merged_datagrams_are_lost_together) { some_are_lost(IPV4, 0, "numgen inc mod 2 == 0"); }
TEST(chance_decides) { some_are_lost(IPV4, UDPR_UDP_NO_OFFLOAD, THREE_IN_TEN); }

/* ---- refused on the way, or on the other side -------------------------------------------------------------------- */

enum { FIRST_PORT = 4000 };

typedef struct verdict {
  const char *reject; /* as nft(8) has it */
  udpr_status status;
  uint32_t    type, code;
} verdict;

static const verdict verdicts_v4[] = {
    {"icmp type net-unreachable", UDPR_E_NETWORK_UNREACHABLE, ICMP_DEST_UNREACH, ICMP_NET_UNREACH},
    {"icmp type host-unreachable", UDPR_E_HOST_UNREACHABLE, ICMP_DEST_UNREACH, ICMP_HOST_UNREACH},
    {"icmp type prot-unreachable", UDPR_E_SYSTEM - ENOPROTOOPT, ICMP_DEST_UNREACH, ICMP_PROT_UNREACH},
    {"icmp type port-unreachable", UDPR_E_CONNECTION_REFUSED, ICMP_DEST_UNREACH, ICMP_PORT_UNREACH},
    {"icmp type net-prohibited", UDPR_E_NETWORK_UNREACHABLE, ICMP_DEST_UNREACH, ICMP_NET_ANO},
    {"icmp type host-prohibited", UDPR_E_HOST_UNREACHABLE, ICMP_DEST_UNREACH, ICMP_HOST_ANO},
    {"icmp type admin-prohibited", UDPR_E_HOST_UNREACHABLE, ICMP_DEST_UNREACH, ICMP_PKT_FILTERED},
};
static const verdict verdicts_v6[] = {
    {"icmpv6 type no-route", UDPR_E_NETWORK_UNREACHABLE, ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_NOROUTE},
    {"icmpv6 type admin-prohibited", UDPR_E_ACCESS, ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_ADMIN},
    {"icmpv6 type addr-unreachable", UDPR_E_HOST_UNREACHABLE, ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_ADDR},
    {"icmpv6 type port-unreachable", UDPR_E_CONNECTION_REFUSED, ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_NOPORT},
};
enum { V4 = sizeof verdicts_v4 / sizeof *verdicts_v4, V6 = sizeof verdicts_v6 / sizeof *verdicts_v6 };

/* Each on a port of its own of the far host. */
static void reject(fixture *f, const verdict *verdicts, int count) {
  char rule[128];
  enter_far_host(&f->hosts);
  /* Else no more than one ICMP message a second is sent to a host. */
  host_command("sysctl -qw net.ipv4.icmp_ratemask=0 net.ipv6.icmp.ratelimit=0");
  for (int i = 0; i < count; i++) {
    snprintf(rule, sizeof rule, "add rule inet t in udp dport %d reject with %s", FIRST_PORT + i,
             verdicts[i].reject);
    run_network_tool("nft", rule);
  }
  enter_near_host(&f->hosts);
}

static void live_write(fixture *f) {
  uint32_t number = f->last_there + 1, back = f->back;
  uint8_t  data[LEN] = {0};
  memcpy(data, &number, sizeof number);
  OK(udpr_transport_write(f->near, data, sizeof data, &f->far_host));
  RUN_UNTIL(f->reactor, f->back == back + 1);
}

/* All at once, in a callback. */
typedef struct round {
  fixture  *f;
  udpr_addr far;
  int       count;
} round;

static void write_to_each(udpr_reactor *reactor, void *user) {
  round *self = user;
  char   text[16];
  (void)reactor;
  for (int i = 0; i < self->count; i++) {
    self->far.port = (uint16_t)(FIRST_PORT + i);
    snprintf(text, sizeof text, "to %d", i);
    OK(udpr_transport_write(self->f->near, text, strlen(text), &self->far));
  }
}

static void each_is_told(const char *near, const char *far, const verdict *verdicts, int count,
                         uint32_t origin) {
  fixture f;
  set_up(&f, near, strchr(far, ':') ? "::" : "10.77.0.2", UDPR_UDP_ERROR_REPORTS);
  reject(&f, verdicts, count);
  round all = {&f, addr(far, 0), count};
  f.far_host = addr(far, f.far_host.port);
  OK(udpr_reactor_call_later(f.reactor, 0, write_to_each, &all, NULL, NULL));
  RUN_UNTIL(f.reactor, f.reports == count);
  live_write(&f);
  CHECK_EQ(count, f.reports);
  CHECK_EQ(count, stats_of(f.near).datagrams_out - 1);
  CHECK_EQ(0, stats_of(f.near).dropped_out); /* they were sent */
  for (int i = 0; i < count; i++) {
    int which = f.all[i].to.port - FIRST_PORT;
    CHECK(which >= 0 && which < count);
    char      text[16];
    udpr_addr to = addr(far, (uint16_t)(FIRST_PORT + which)), reporter = addr(far, 0);
    snprintf(text, sizeof text, "to %d", which);
    CHECK_STR(text, f.data[i]);
    CHECK_STATUS(verdicts[which].status, f.all[i].status);
    CHECK_EQ(origin, f.all[i].origin);
    CHECK_EQ(verdicts[which].type, f.all[i].icmp_type);
    CHECK_EQ(verdicts[which].code, f.all[i].icmp_code);
    CHECK_ADDR(&to, &f.all[i].to);
    CHECK_ADDR(&reporter, &f.all[i].reporter);
    for (int other = 0; other < i; other++) CHECK(f.all[other].to.port != to.port);
  }
  tear_down(&f);
}

TEST(each_rejection_is_told) { each_is_told("10.77.0.1", "10.77.0.2", verdicts_v4, V4, UDPR_ORIGIN_ICMP); }
TEST(each_rejection_is_told_ipv6) { each_is_told("fd77::1", "fd77::2", verdicts_v6, V6, UDPR_ORIGIN_ICMP6); }
TEST(each_rejection_is_told_dual_stack) {
  each_is_told("::", "::ffff:10.77.0.2", verdicts_v4, V4, UDPR_ORIGIN_ICMP);
}

/* A connected port without reports hears of a port that is not there, and of nothing else; every write is sent. */
static void connected(const char *near, const char *far, const verdict *verdicts, int count) {
  fixture f;
  set_up(&f, near, far, 0);
  reject(&f, verdicts, count);
  for (int i = 0; i < count; i++) {
    udpr_addr peer = addr(far, (uint16_t)(FIRST_PORT + i));
    int       refused = f.refused;
    bool      hears = verdicts[i].status == UDPR_E_CONNECTION_REFUSED;
    OK(udpr_transport_connect(f.near, &peer));
    for (int write = 0; write < 3; write++) {
      OK(udpr_transport_write(f.near, "x", 1, NULL));
      if (hears) RUN_UNTIL(f.reactor, f.refused == refused + write + 1);
      run_turns(f.reactor, 2);
    }
    CHECK_EQ(refused + (hears ? 3 : 0), f.refused);
    CHECK_EQ(3 * (i + 1), stats_of(f.near).datagrams_out);
  }
  OK(udpr_transport_disconnect(f.near));
  live_write(&f);
  CHECK_EQ(0, f.reports);
  tear_down(&f);
}

TEST(a_connected_port_hears_of_refusal_alone) { connected("10.77.0.1", "10.77.0.2", verdicts_v4, V4); }
TEST(a_connected_port_hears_of_refusal_alone_ipv6) { connected("fd77::1", "fd77::2", verdicts_v6, V6); }

/* ---- refused at home: the write is told, or error_received is ----------------------------------------------------- */

static void what_may_not_go_out_is_told(uint32_t flags) {
  enum { COUNT = 32 };
  fixture f;
  char    rule[96];
  set_up(&f, "10.77.0.1", "10.77.0.2", flags);
  run_network_tool("nft", "add table inet t");
  run_network_tool("nft", "add chain inet t out '{ type filter hook output priority 0; }'");
  /* By the lowest bits of the number, behind the header of UDP. */
  snprintf(rule, sizeof rule, "add rule inet t out udp dport %u @th,64,8 '&' 3 == 1 drop", f.far_host.port);
  run_network_tool("nft", rule);
  f.count = COUNT;
  OK(udpr_reactor_call_later(f.reactor, 0, write_numbers, &f, NULL, NULL));
  RUN_UNTIL(f.reactor, f.back + (uint32_t)f.reports == COUNT);
  CHECK_EQ(COUNT / 4, f.reports);
  CHECK_EQ(COUNT / 4, stats_of(f.near).dropped_out);
  CHECK_EQ(COUNT - COUNT / 4, stats_of(f.near).datagrams_out);
  for (int i = 0; i < f.reports; i++) {
    uint32_t number;
    memcpy(&number, f.data[i], sizeof number);
    CHECK_EQ(4 * i + 1, number);
    CHECK_STATUS(UDPR_E_PERMISSION, f.all[i].status);
    CHECK_EQ(UDPR_ORIGIN_LOCAL, f.all[i].origin);
    CHECK_ADDR(&f.far_host, &f.all[i].to);
  }
  tear_down(&f);
}

TEST(what_may_not_go_out_is_told_and_the_rest_goes) { what_may_not_go_out_is_told(UDPR_UDP_NO_OFFLOAD); }
TEST(with_reports_too) { what_may_not_go_out_is_told(UDPR_UDP_NO_OFFLOAD | UDPR_UDP_ERROR_REPORTS); }

CHECK_MAIN()
