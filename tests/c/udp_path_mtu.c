/* The MTU in a report is that of the path of the datagram: given its device, interface, source, mark or
 * namespace, and not that of the default route.
 */
#include "ipv6_address.h"
#include "spoof.h"

#include <fcntl.h>

enum { WIDE = 1500, NARROW = 1300, LEN = 1400 };

typedef struct fixture {
  udpr_reactor     *reactor;
  udpr_transport   *transport;
  udpr_addr         far;
  udpr_message      message;
  int               reports;
  udpr_error_report last;
} fixture;

static void reported(udpr_transport *transport, const udpr_error_report *report, void *user) {
  fixture *f = user;
  (void)transport;
  f->last = *report;
  f->reports++;
}

/* Two routes: the default one through "wide", another through "narrow". */
static void set_up_network(void) {
  enter_network_namespace();
  if (system("ip link add wide type veth peer name wide1 2>/dev/null") != 0) SKIP("this kernel has no veth");
  run_ip("link add narrow type veth peer name narrow1");
  run_ip("link set narrow mtu 1300");
  const char *names[] = {"wide", "narrow"};
  for (int i = 0; i < 2; i++) {
    char address[16];
    run_ip("link set %s addrgenmode none up", names[i]);
    run_ip("link set %s1 addrgenmode none up", names[i]);
    run_ip("addr add 10.%d.0.1/24 dev %s", i + 1, names[i]);
    snprintf(address, sizeof address, "fd0%d::1", i + 1);
    add_ipv6_address(names[i], address, 64);
    add_ipv6_address(names[i], "fe80::1", 64);
    run_ip("route add default dev %s metric %d", names[i], 10 + i);
    run_ip("-6 route add 2001:db8::/32 dev %s metric %d", names[i], 10 + i);
    run_ip("route add default dev %s table 5%d", names[i], i);
    run_ip("-6 route add default dev %s table 5%d", names[i], i);
    run_ip("neigh add 192.0.2.1 lladdr 02:00:00:00:00:01 dev %s", names[i]);
    run_ip("neigh add 2001:db8::1 lladdr 02:00:00:00:00:01 dev %s", names[i]);
    run_ip("neigh add fe80::2 lladdr 02:00:00:00:00:01 dev %s", names[i]);
  }
}

static void new_fixture(fixture *f) { *f = (fixture){.reactor = new_reactor(0)}; }

static void listen_with(fixture *f, const char *local, const char *far, const udpr_udp_options *given) {
  udpr_protocol    protocol = {.size = sizeof protocol, .user = f, .error_received = reported};
  udpr_udp_options options = given ? *given : (udpr_udp_options){.size = sizeof options};
  options.flags |= UDPR_UDP_DONT_FRAGMENT;
  f->transport = listen_on(f->reactor, local, &protocol, &options);
  f->far = addr(far, 4242);
  f->message = (udpr_message){.size = sizeof f->message, .to = &f->far};
}

static void set_up_on(fixture *f, const char *local, const char *far, const udpr_udp_options *options) {
  set_up_network();
  new_fixture(f);
  listen_with(f, local, far, options);
}

static void tear_down(fixture *f) {
  udpr_transport_release(f->transport);
  OK(udpr_reactor_free(f->reactor));
}

static void write_message(udpr_reactor *reactor, void *user) {
  static const uint8_t data[2 * LEN];
  fixture             *f = user;
  size_t               written = 0;
  (void)reactor;
  f->message.data = data;
  OK(udpr_transport_write_messages(f->transport, &f->message, 1, &written));
  CHECK_EQ(1, written);
}

static void write_in_callback(fixture *f, size_t len) {
  f->message.len = len;
  OK(udpr_reactor_call_later(f->reactor, 0, write_message, f, NULL, NULL));
}

/* LEN bytes are too long, and the report has the MTU. A datagram of that size is sent. */
static void check_reported_mtu(fixture *f, uint32_t mtu) {
  int      reports = f->reports;
  uint64_t sent = stats_of(f->transport).datagrams_out;
  write_in_callback(f, LEN);
  RUN_UNTIL(f->reactor, f->reports == reports + 1);
  CHECK_STATUS(UDPR_E_MESSAGE_TOO_LONG, f->last.status);
  CHECK_EQ(UDPR_ORIGIN_LOCAL, f->last.origin);
  CHECK_EQ(mtu, f->last.mtu);
  if (mtu) {
    uint8_t v4_mapped[12] = {[10] = 0xff, [11] = 0xff};
    bool    v6 = f->far.family == UDPR_AF_INET6 && memcmp(f->far.bytes, v4_mapped, 12) != 0;
    write_in_callback(f, mtu - (v6 ? 48 : 28));
    RUN_UNTIL(f->reactor, stats_of(f->transport).datagrams_out == sent + 1);
  }
  run_turns(f->reactor, 3);
  CHECK_EQ(reports + 1, f->reports);
}

static int get_int_option(fixture *f, int level, int name) {
  int       value = -1;
  socklen_t len = sizeof value;
  CHECK_EQ(0, getsockopt(udpr_transport_fileno(f->transport), level, name, &value, &len));
  return value;
}

/* With and without reports. The option must not change. */
static void check_reported_mtu_with_and_without_reports(fixture *f) {
  bool v6 = f->far.family == UDPR_AF_INET6;
  for (int on = 0; on < 3; on++) {
    OK(udpr_transport_set_error_reports(f->transport, on % 2));
    check_reported_mtu(f, NARROW);
    CHECK_EQ(on % 2, get_int_option(f, IPPROTO_IP, IP_RECVERR));
    if (v6) CHECK_EQ(on % 2, get_int_option(f, IPPROTO_IPV6, IPV6_RECVERR));
  }
}

/* ---- what selects the route ---------------------------------------------------------------------------- */

#define IPV4 "0.0.0.0", "192.0.2.1"
#define IPV6 "::", "2001:db8::1"
#define MAPPED "::", "::ffff:192.0.2.1"

static void check_bound_device(const char *local, const char *far) {
  udpr_udp_options options = {.size = sizeof options, .bind_device = "narrow"};
  fixture          f;
  set_up_on(&f, local, far, &options);
  check_reported_mtu_with_and_without_reports(&f);
  tear_down(&f);
}

TEST(a_bound_device_ipv4) { check_bound_device(IPV4); }
TEST(a_bound_device_ipv6) { check_bound_device(IPV6); }
TEST(a_bound_device_dual_stack) { check_bound_device(MAPPED); }

static void check_device_bound_later(const char *local, const char *far) {
  fixture f;
  set_up_on(&f, local, far, NULL);
  OK(udpr_transport_set_option(f.transport, SOL_SOCKET, SO_BINDTODEVICE, "narrow", sizeof "narrow"));
  check_reported_mtu_with_and_without_reports(&f);
  tear_down(&f);
}

TEST(a_device_bound_later_ipv4) { check_device_bound_later(IPV4); }
TEST(a_device_bound_later_ipv6) { check_device_bound_later(IPV6); }

static void check_message_interface(const char *local, const char *far, bool connect) {
  fixture f;
  set_up_on(&f, local, far, NULL);
  if (connect) {
    OK(udpr_transport_connect(f.transport, &f.far));
    f.message.to = NULL;
  }
  f.message.interface_index = if_nametoindex("narrow");
  check_reported_mtu_with_and_without_reports(&f);
  tear_down(&f);
}

TEST(a_messages_interface_ipv4) { check_message_interface(IPV4, false); }
TEST(a_messages_interface_ipv6) { check_message_interface(IPV6, false); }
TEST(a_messages_interface_dual_stack) { check_message_interface(MAPPED, false); }
TEST(a_messages_interface_of_a_connected_port) { check_message_interface(IPV4, true); }

static void add_source_rules(void) {
  run_ip("rule add from 10.2.0.1 table 51 pref 100");
  run_ip("-6 rule add from fd02::1 table 51 pref 100");
}

static void check_message_source(const char *local, const char *far, const char *source) {
  fixture f;
  set_up_on(&f, local, far, NULL);
  add_source_rules();
  udpr_addr from = addr(source, 0);
  f.message.source = &from;
  check_reported_mtu_with_and_without_reports(&f);
  tear_down(&f);
}

TEST(a_messages_source_ipv4) { check_message_source(IPV4, "10.2.0.1"); }
TEST(a_messages_source_ipv6) { check_message_source(IPV6, "fd02::1"); }

static void check_local_address(const char *local, const char *far, bool connect) {
  fixture f;
  set_up_network();
  add_source_rules();
  new_fixture(&f);
  listen_with(&f, local, far, NULL);
  if (connect) {
    OK(udpr_transport_connect(f.transport, &f.far));
    f.message.to = NULL;
  }
  check_reported_mtu_with_and_without_reports(&f);
  tear_down(&f);
}

TEST(the_ports_own_address_ipv4) { check_local_address("10.2.0.1", "192.0.2.1", false); }
TEST(the_ports_own_address_ipv6) { check_local_address("fd02::1", "2001:db8::1", false); }
TEST(the_ports_own_address_connected) { check_local_address("10.2.0.1", "192.0.2.1", true); }

static void check_mark(const char *local, const char *far) {
  fixture f;
  int     mark = 7;
  set_up_on(&f, local, far, NULL);
  run_ip("rule add fwmark 7 table 51 pref 100");
  run_ip("-6 rule add fwmark 7 table 51 pref 100");
  OK(udpr_transport_set_option(f.transport, SOL_SOCKET, SO_MARK, &mark, sizeof mark));
  check_reported_mtu_with_and_without_reports(&f);
  tear_down(&f);
}

TEST(a_mark_ipv4) { check_mark(IPV4); }
TEST(a_mark_ipv6) { check_mark(IPV6); }

TEST(a_zone) {
  char    text[32];
  fixture f;
  set_up_network();
  new_fixture(&f);
  snprintf(text, sizeof text, "fe80::2%%%u", if_nametoindex("narrow"));
  listen_with(&f, "::", text, NULL);
  check_reported_mtu_with_and_without_reports(&f);
  tear_down(&f);
}

static void check_group(const char *local, const char *group) {
  fixture f;
  set_up_on(&f, local, group, NULL);
  OK(udpr_transport_set_outgoing_interface(f.transport, if_nametoindex("narrow")));
  check_reported_mtu_with_and_without_reports(&f);
  tear_down(&f);
}

TEST(the_outgoing_interface_of_a_group_ipv4) { check_group("0.0.0.0", "239.1.2.3"); }
TEST(the_outgoing_interface_of_a_group_ipv6) { check_group("::", "ff08::123"); }

/* The port's socket is in another network namespace than its thread. */
TEST(a_socket_of_another_namespace) {
  udpr_protocol protocol = {.size = sizeof protocol, .error_received = reported};
  int           probe = IP_PMTUDISC_PROBE, home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  fixture       f;
  set_up_network();
  run_ip("route del default dev wide");
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  CHECK_EQ(0, setsockopt(fd, IPPROTO_IP, IP_MTU_DISCOVER, &probe, sizeof probe));
  CHECK_EQ(0, setns(home, CLONE_NEWNET));
  new_fixture(&f);
  protocol.user = &f;
  OK(udpr_reactor_adopt_datagram_port(f.reactor, fd, UDPR_AF_INET, &protocol, NULL, &f.transport));
  f.far = addr("192.0.2.1", 4242);
  f.message = (udpr_message){.size = sizeof f.message, .to = &f.far};
  check_reported_mtu_with_and_without_reports(&f);
  tear_down(&f);
  close(fd);
  close(home);
}

/* ---- ways to write ------------------------------------------------------------------------------------- */

TEST(a_post) {
  static const uint8_t data[LEN];
  const uint32_t       flags[] = {0, UDPR_UDP_UNBATCHED, UDPR_UDP_ERROR_REPORTS};
  for (int i = 0; i < 3; i++) {
    udpr_udp_options options = {.size = sizeof options, .flags = flags[i], .bind_device = "narrow"};
    fixture          f;
    set_up_on(&f, "0.0.0.0", "192.0.2.1", &options);
    OK(udpr_transport_post(f.transport, data, sizeof data, &f.far));
    RUN_UNTIL(f.reactor, f.reports == 1);
    CHECK_EQ(NARROW, f.last.mtu);
    CHECK_EQ(LEN, f.last.len);
    CHECK_EQ(1, stats_of(f.transport).dropped_out);
    tear_down(&f);
  }
}

/* If another owner of the socket has enabled the error queue, it stays enabled. */
TEST(reports_enabled_by_the_program) {
  udpr_udp_options options = {.size = sizeof options, .bind_device = "narrow"};
  int              on = 1;
  fixture          f;
  set_up_on(&f, "0.0.0.0", "192.0.2.1", &options);
  CHECK_EQ(0, setsockopt(udpr_transport_fileno(f.transport), IPPROTO_IP, IP_RECVERR, &on, sizeof on));
  check_reported_mtu(&f, NARROW);
  CHECK_EQ(1, get_int_option(&f, IPPROTO_IP, IP_RECVERR));
  tear_down(&f);
}

/* An MTU that the network has reported is used if the socket follows it. */
TEST(a_path_narrower_than_its_device) {
  int     use_path_mtu = IP_PMTUDISC_DO;
  fixture f;
  set_up_on(&f, "0.0.0.0", "192.0.2.1", NULL);
  run_ip("route add 192.0.2.1 dev wide mtu 1200");
  OK(udpr_transport_set_option(f.transport, IPPROTO_IP, IP_MTU_DISCOVER, &use_path_mtu, sizeof use_path_mtu));
  check_reported_mtu(&f, 1200);
  tear_down(&f);
}

CHECK_MAIN()
