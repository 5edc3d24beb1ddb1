/* The network changes while a port is open: a smaller MTU, an interface that goes down, an address that is
 * removed, a group's interface that is deleted. Failed datagrams are reported. The port stays open and works
 * when the network is restored.
 */
#include "membership.h"
#include "recorder.h"
#include "two_hosts.h"

enum { LARGE_LEN = 1400, MOST = 64 };

typedef struct fixture {
  two_hosts       hosts;
  udpr_reactor   *reactor;
  udpr_transport *near, *far;
  udpr_addr       to; /* the address of `far` */
  uint32_t        received, reports, next;
  udpr_status     status; /* of the last report */
  uint32_t        mtu;
  size_t          len; /* for write_batch */
} fixture;

static void received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  (void)transport, (void)datagram;
  ((fixture *)user)->received++;
}

static void reported(udpr_transport *transport, const udpr_error_report *report, void *user) {
  fixture *f = user;
  (void)transport;
  CHECK_ADDR(&f->to, &report->to);
  f->status = report->status, f->mtu = report->mtu;
  f->reports++;
}

static void listen_both(fixture *f, const char *near, const char *far, uint32_t flags) {
  udpr_protocol    first = {.size = sizeof first, .user = f, .error_received = reported};
  udpr_protocol    second = {.size = sizeof second, .user = f, .datagram_received = received};
  udpr_udp_options options = {.size = sizeof options, .flags = flags};
  f->near = listen_on(f->reactor, near, &first, &options);
  enter_far_host(&f->hosts);
  f->far = listen_on(f->reactor, far, &second, NULL);
  f->to = host_of(f->far);
  enter_near_host(&f->hosts);
}

static void set_up(fixture *f, const char *near, const char *far, uint32_t flags) {
  *f = (fixture){.reactor = NULL};
  two_hosts_create(&f->hosts);
  f->reactor = new_reactor(0);
  listen_both(f, near, far, flags);
}

static void tear_down(fixture *f) {
  udpr_transport_release(f->near);
  udpr_transport_release(f->far);
  OK(udpr_reactor_free(f->reactor)); /* closes both ports */
  two_hosts_close(&f->hosts);
}

static const udpr_addr *destination(const fixture *f) {
  udpr_addr peer;
  return udpr_transport_get_peer(f->near, &peer) == UDPR_OK ? NULL : &f->to;
}

static udpr_status write_now(fixture *f, size_t len) {
  static const uint8_t data[2 * LARGE_LEN];
  return udpr_transport_write(f->near, data, len, destination(f));
}

static void check_arrives(fixture *f, size_t len) {
  uint32_t before = f->received;
  OK(write_now(f, len));
  RUN_UNTIL(f->reactor, f->received == before + 1);
}

/* ---- an MTU that becomes smaller, and larger again ----------------------------------------------------- */

enum { BATCH = 10 };

static void write_batch(udpr_reactor *reactor, void *user) {
  fixture *f = user;
  (void)reactor;
  for (int i = 0; i < BATCH; i++) OK(write_now(f, f->len));
}

/* Writes a batch that may be merged. `come` of its datagrams arrive, each of the others is reported. */
static void check_batch(fixture *f, size_t len, uint32_t come) {
  uint32_t before = f->received, reports = f->reports;
  uint64_t dropped = stats_of(f->near).dropped_out;
  f->len = len;
  OK(udpr_reactor_call_later(f->reactor, 0, write_batch, f, NULL, NULL));
  RUN_UNTIL(f->reactor, f->received - before == come && f->reports - reports == BATCH - come);
  run_turns(f->reactor, 3);
  CHECK_EQ(before + come, f->received);
  CHECK_EQ(reports + BATCH - come, f->reports);
  CHECK_EQ(dropped + BATCH - come, stats_of(f->near).dropped_out);
}

static void set_mtu(fixture *f, int mtu) {
  run_command("ip link set near mtu %d", mtu);
  enter_far_host(&f->hosts);
  run_command("ip link set far mtu %d", mtu);
  enter_near_host(&f->hosts);
}

/* Without DONT_FRAGMENT the kernel fragments what is too long for the device. With it, the write fails. */
static void check_mtu_change(const char *near, const char *far, uint32_t flags, bool connect) {
  bool    dont_fragment = flags & UDPR_UDP_DONT_FRAGMENT;
  fixture f;
  set_up(&f, near, far, flags);
  if (connect) OK(udpr_transport_connect(f.near, &f.to));
  check_batch(&f, LARGE_LEN, BATCH);
  check_batch(&f, 1200, BATCH);
  for (int round = 0; round < 2; round++) {
    set_mtu(&f, 1300);
    if (dont_fragment) CHECK_STATUS(UDPR_E_MESSAGE_TOO_LONG, write_now(&f, LARGE_LEN));
    else check_arrives(&f, LARGE_LEN);
    check_batch(&f, LARGE_LEN, dont_fragment ? 0 : BATCH);
    if (dont_fragment) CHECK(f.status == UDPR_E_MESSAGE_TOO_LONG && f.mtu == 1300);
    check_batch(&f, 1200, BATCH);
    check_arrives(&f, 1);
    set_mtu(&f, 1500);
    check_arrives(&f, LARGE_LEN);
    check_batch(&f, LARGE_LEN, BATCH);
  }
  tear_down(&f);
}

#define IPV4 "10.77.0.1", "10.77.0.2"
#define IPV6 "fd77::1", "fd77::2"

TEST(mtu_changes) { check_mtu_change(IPV4, 0, false); }
TEST(mtu_changes_connected) { check_mtu_change(IPV4, UDPR_UDP_ERROR_REPORTS, true); }
TEST(mtu_changes_dont_fragment) { check_mtu_change(IPV4, UDPR_UDP_DONT_FRAGMENT, false); }
TEST(mtu_changes_dont_fragment_connected) { check_mtu_change(IPV4, UDPR_UDP_DONT_FRAGMENT, true); }
TEST(mtu_changes_dont_fragment_with_reports) {
  check_mtu_change(IPV4, UDPR_UDP_DONT_FRAGMENT | UDPR_UDP_ERROR_REPORTS, false);
}
TEST(mtu_changes_ipv6) { check_mtu_change(IPV6, 0, false); }
TEST(mtu_changes_dont_fragment_ipv6) { check_mtu_change(IPV6, UDPR_UDP_DONT_FRAGMENT, true); }

/* ---- an interface that goes down and up again ---------------------------------------------------------- */

static void restore_neighbour(void) {
  run_command("ip neigh replace 10.77.0.2 lladdr 02:00:00:00:00:02 dev near nud permanent");
}

static void check_interface_down_and_up(uint32_t flags, bool connect) {
  fixture f;
  set_up(&f, IPV4, flags);
  if (connect) OK(udpr_transport_connect(f.near, &f.to));
  for (int round = 0; round < 3; round++) {
    check_arrives(&f, 100);
    run_command("ip link set near down");
    CHECK_STATUS(UDPR_E_NETWORK_UNREACHABLE, write_now(&f, 100));
    check_batch(&f, 100, 0);
    CHECK_STATUS(UDPR_E_NETWORK_UNREACHABLE, f.status);
    run_command("ip link set near up");
    wait_for_link("near");
    restore_neighbour();
    check_arrives(&f, 100);
    check_batch(&f, 100, BATCH);
  }
  tear_down(&f);
}

TEST(an_interface_goes_down_and_comes_back) { check_interface_down_and_up(0, false); }
TEST(an_interface_goes_down_under_a_connected_port) { check_interface_down_and_up(0, true); }
TEST(an_interface_goes_down_with_reports) { check_interface_down_and_up(UDPR_UDP_ERROR_REPORTS, false); }

/* Datagrams on their way when the receiver's interface goes down are lost. The same port receives later ones.
 */
TEST(the_peers_interface_goes_down_and_comes_back) {
  fixture f;
  set_up(&f, IPV4, 0);
  check_arrives(&f, 100);
  enter_far_host(&f.hosts);
  run_command("ip link set far down");
  run_turns(f.reactor, 3);
  CHECK_EQ(1, f.received);
  run_command("ip link set far up");
  wait_for_link("far");
  enter_near_host(&f.hosts);
  wait_for_link("near");
  check_arrives(&f, 100);
  tear_down(&f);
}

/* ---- an address that is removed from a bound port ------------------------------------------------------ */

static void check_address_removed(uint32_t flags, bool connect) {
  fixture f;
  set_up(&f, IPV4, flags);
  if (connect) OK(udpr_transport_connect(f.near, &f.to));
  udpr_addr host = host_of(f.near);
  for (int round = 0; round < 2; round++) {
    check_arrives(&f, 100);
    run_command("ip addr del 10.77.0.1/24 dev near");
    run_command("ip addr add 10.77.0.9/24 dev near"); /* so that there still is a route */
    udpr_status status = write_now(&f, 100);
    NOTE("a write from an address that was removed: %s %d", udpr_status_name(status),
         udpr_status_errno(status));
    CHECK(status < 0);
    check_batch(&f, 100, 0);
    CHECK_STATUS(status, f.status);
    udpr_addr now = host_of(f.near);
    CHECK_ADDR(&host, &now);
    run_command("ip addr del 10.77.0.9/24 dev near");
    run_command("ip addr add 10.77.0.1/24 dev near");
    check_arrives(&f, 100);
    check_batch(&f, 100, BATCH);
  }
  tear_down(&f);
}

TEST(an_address_is_removed_and_added_again) { check_address_removed(0, false); }
TEST(an_address_is_removed_from_a_connected_port) { check_address_removed(0, true); }
TEST(an_address_is_removed_with_reports) { check_address_removed(UDPR_UDP_ERROR_REPORTS, false); }

/* ---- a group's interface that is deleted --------------------------------------------------------------- */

/* Repeated more often than the kernel's limit of memberships: those of deleted interfaces must not count. */
static void check_group_interface_deleted(const char *any, const char *far, const char *group_text,
                                          bool with_source) {
  two_hosts hosts;
  recorder  port, sender;
  two_hosts_create(&hosts);
  run_command("sysctl -qw net.ipv4.igmp_max_memberships=2");
  udpr_reactor *reactor = new_reactor(0);
  recorder_listen(&port, reactor, any, 0, 0);
  enter_far_host(&hosts);
  recorder_listen(&sender, reactor, any, 0, 0);
  enter_near_host(&hosts);
  udpr_addr group = addr(group_text, port.host.port), source = addr(far, 0);
  for (int round = 0; round < 4; round++) {
    uint32_t index = interface_index("near");
    OK(join_group(port.transport, &group, with_source ? &source : NULL, index));
    enter_far_host(&hosts);
    OK(udpr_transport_set_outgoing_interface(sender.transport, interface_index("far")));
    enter_near_host(&hosts);
    write_text(sender.transport, "here", &group);
    recorder_expect(reactor, &port, "here");
    run_command("ip link del near");
    CHECK(udpr_transport_write(sender.transport, "x", 1, &group) < 0);
    run_turns(reactor, 3);
    CHECK_STATUS(UDPR_E_NO_INTERFACE, join_group(port.transport, &group, NULL, index + 100));
    OK(leave_group(port.transport, &group, with_source ? &source : NULL, index));
    CHECK_STATUS(UDPR_E_NO_INTERFACE,
                 leave_group(port.transport, &group, with_source ? &source : NULL, index));
    link_hosts(&hosts);
  }
  CHECK_EQ(4, port.count);
  recorder_close(&port);
  recorder_close(&sender);
  OK(udpr_reactor_free(reactor));
  two_hosts_close(&hosts);
}

TEST(a_groups_interface_is_deleted_and_recreated) {
  check_group_interface_deleted("0.0.0.0", "10.77.0.2", "228.0.0.5", false);
}
TEST(a_groups_interface_is_deleted_and_recreated_ipv6) {
  check_group_interface_deleted("::", "fd77::2", "ff05::5", false);
}
TEST(a_source_groups_interface_is_deleted_and_recreated) {
  check_group_interface_deleted("0.0.0.0", "10.77.0.2", "232.0.0.5", true);
}
TEST(a_source_groups_interface_is_deleted_and_recreated_ipv6) {
  check_group_interface_deleted("::", "fd77::2", "ff35::5", true);
}

CHECK_MAIN()
