/* The outgoing interface of multicast datagrams, if its address changes, and if the port's socket is in
 * another network namespace than the caller.
 */
#include "membership.h"
#include "recorder.h"
#include "two_hosts.h"

typedef struct fixture {
  two_hosts     hosts;
  udpr_reactor *reactor;
  recorder      sender, far;
  /* the group as the sender writes to it; the sender's address as the far port receives it */
  udpr_addr group, from;
  uint32_t  near;
} fixture;

/* The far host has joined the IPv4 group. A dual-stack sender writes to its mapped address. */
static void set_up(fixture *f, const char *any, uint32_t flags) {
  *f = (fixture){.reactor = NULL};
  two_hosts_create(&f->hosts);
  f->reactor = new_reactor(0);
  f->near = interface_index("near");
  f->group = addr("228.0.0.5", 9999);
  enter_far_host(&f->hosts);
  recorder_listen(&f->far, f->reactor, NULL, 9999, 0);
  OK(udpr_transport_join_group(f->far.transport, &f->group, interface_index("far")));
  enter_near_host(&f->hosts);
  if (any == NULL) return;
  recorder_listen(&f->sender, f->reactor, any, 0, flags);
  if (strcmp(any, "::") == 0) OK(udpr_addr_map_v4(&f->group, &f->group));
}

static void tear_down(fixture *f) {
  recorder_close(&f->sender);
  recorder_close(&f->far);
  OK(udpr_reactor_free(f->reactor));
  two_hosts_close(&f->hosts);
}

static void change_address(const char *from, const char *to) {
  run_command("ip addr del %s/24 dev near && ip addr add %s/24 dev near", from, to);
  run_command("ip route replace default dev near");
}

static void write_two(udpr_reactor *reactor, void *user) {
  fixture *f = user;
  (void)reactor;
  write_text(f->sender.transport, "one", &f->group);
  write_text(f->sender.transport, "two", &f->group);
}

/* Writes one datagram at once, and two in a batch. */
static void check_source_address(fixture *f, const char *address) {
  udpr_addr from = addr(address, host_of(f->sender.transport).port);
  write_text(f->sender.transport, "now", &f->group);
  CHECK_ADDR(&from, &recorder_expect(f->reactor, &f->far, "now")->datagram.sender);
  OK(udpr_reactor_call_later(f->reactor, 0, write_two, f, NULL, NULL));
  CHECK_ADDR(&from, &recorder_expect(f->reactor, &f->far, "one")->datagram.sender);
  CHECK_ADDR(&from, &recorder_expect(f->reactor, &f->far, "two")->datagram.sender);
}

static void check_address_change(const char *any, uint32_t flags) {
  fixture f;
  set_up(&f, any, flags);
  OK(udpr_transport_set_outgoing_interface(f.sender.transport, f.near));
  check_source_address(&f, "10.77.0.1");
  change_address("10.77.0.1", "10.77.0.7");
  check_source_address(&f, "10.77.0.7");
  change_address("10.77.0.7", "192.168.5.1");
  /* in a batch, which is the first write after the change */
  OK(udpr_reactor_call_later(f.reactor, 0, write_two, &f, NULL, NULL));
  recorder_expect(f.reactor, &f.far, "one");
  recorder_expect(f.reactor, &f.far, "two");
  check_source_address(&f, "192.168.5.1");
  CHECK_EQ(0, stats_of(f.sender.transport).dropped_out);
  tear_down(&f);
}

TEST(an_address_changes) { check_address_change("0.0.0.0", 0); }
TEST(an_address_changes_dual_stack) { check_address_change("::", 0); }
TEST(an_address_changes_unbatched) { check_address_change("0.0.0.0", UDPR_UDP_UNBATCHED); }
TEST(an_address_changes_with_reports) { check_address_change("0.0.0.0", UDPR_UDP_ERROR_REPORTS); }

/* A connection keeps the source address that it was made with, so programs connect again after a change. */
static void check_connect_after_change(const char *any) {
  fixture   f;
  udpr_addr from;
  set_up(&f, any, 0);
  OK(udpr_transport_set_outgoing_interface(f.sender.transport, f.near));
  change_address("10.77.0.1", "10.77.0.7");
  OK(udpr_transport_connect(f.sender.transport, &f.group));
  OK(udpr_transport_write(f.sender.transport, "first", 5, NULL));
  from = addr("10.77.0.7", host_of(f.sender.transport).port);
  CHECK_ADDR(&from, &recorder_expect(f.reactor, &f.far, "first")->datagram.sender);
  change_address("10.77.0.7", "192.168.5.1");
  OK(udpr_transport_connect(f.sender.transport, &f.group));
  OK(udpr_transport_write(f.sender.transport, "again", 5, NULL));
  from = addr("192.168.5.1", host_of(f.sender.transport).port);
  CHECK_ADDR(&from, &recorder_expect(f.reactor, &f.far, "again")->datagram.sender);
  tear_down(&f);
}

TEST(an_address_changes_before_a_connect) { check_connect_after_change("0.0.0.0"); }
TEST(an_address_changes_before_a_connect_dual_stack) { check_connect_after_change("::"); }

/* While the interface has no address, the kernel chooses the source address, and continues to. */
TEST(an_address_is_added) {
  fixture f;
  set_up(&f, "0.0.0.0", 0);
  run_command("ip addr del 10.77.0.1/24 dev near");
  OK(udpr_transport_set_outgoing_interface(f.sender.transport, f.near));
  run_command("ip addr add 10.77.0.9/24 dev near");
  check_source_address(&f, "10.77.0.9");
  tear_down(&f);
}

/* While the interface has no address, the kernel sends from 0.0.0.0, which no host accepts. */
TEST(an_address_is_removed_and_another_added_later) {
  fixture f;
  set_up(&f, "0.0.0.0", 0);
  OK(udpr_transport_set_outgoing_interface(f.sender.transport, f.near));
  run_command("ip addr del 10.77.0.1/24 dev near");
  write_text(f.sender.transport, "from nowhere", &f.group);
  run_command("ip addr add 10.77.0.9/24 dev near");
  check_source_address(&f, "10.77.0.9");
  tear_down(&f);
}

/* Interface indexes are those of the namespace in which the socket was made. */
static void check_other_namespace(const char *any, const char *address) {
  fixture   f;
  uint32_t  number;
  udpr_addr group = addr("228.0.0.6", 9999);
  set_up(&f, NULL, 0);
  enter_far_host(&f.hosts);
  run_command(
      "ip link add only0 index 77 type veth peer name only1 && ip link set only0 up && ip link set only1 up");
  run_command("ip addr add 10.99.0.1/24 dev only0");
  recorder_listen(&f.sender, f.reactor, any, 0, 0);
  udpr_transport *port = f.sender.transport;
  uint32_t        far = interface_index("far");
  enter_near_host(&f.hosts);
  OK(udpr_transport_set_outgoing_interface(port, 77));
  OK(udpr_transport_get_outgoing_interface(port, &number));
  CHECK_EQ(77, number);
  struct in_addr is;
  socklen_t      len = sizeof is;
  CHECK_EQ(0, getsockopt(udpr_transport_fileno(port), IPPROTO_IP, IP_MULTICAST_IF, &is, &len));
  CHECK_EQ(inet_addr("10.99.0.1"), is.s_addr);
  run_command("ip link add here0 index 78 type veth peer name here1 && ip addr add 10.98.0.1/24 dev here0");
  CHECK_STATUS(UDPR_E_NO_INTERFACE, udpr_transport_set_outgoing_interface(port, 78));
  CHECK_STATUS(UDPR_E_NO_INTERFACE, udpr_transport_set_outgoing_interface(port, UINT32_MAX));
  OK(udpr_transport_get_outgoing_interface(port, &number));
  CHECK_EQ(77, number);
  /* The far host sends to itself, since it has joined the group. */
  udpr_addr from = addr(address, host_of(port).port);
  if (strcmp(any, "::") == 0) OK(udpr_addr_map_v4(&f.group, &f.group));
  OK(udpr_transport_set_outgoing_interface(port, far));
  write_text(port, "by far", &f.group);
  CHECK_ADDR(&from, &recorder_expect(f.reactor, &f.far, "by far")->datagram.sender);
  OK(udpr_transport_join_group(f.far.transport, &group, 77));
  CHECK_STATUS(UDPR_E_NO_INTERFACE, udpr_transport_join_group(f.far.transport, &group, 78));
  CHECK_STATUS(UDPR_E_NO_INTERFACE, udpr_transport_leave_group(f.far.transport, &group, 78));
  OK(udpr_transport_leave_group(f.far.transport, &group, 77));
  /* Interface 0 is looked up in the socket's namespace. */
  OK(udpr_transport_join_group(f.far.transport, &group, 0));
  enter_far_host(&f.hosts);
  run_command("ip route replace 224.0.0.0/4 dev only0");
  enter_near_host(&f.hosts);
  OK(udpr_transport_leave_group(f.far.transport, &group, 0));
  CHECK_STATUS(UDPR_E_NOT_JOINED, udpr_transport_leave_group(f.far.transport, &group, 0));
  OK(udpr_transport_join_group(f.far.transport, &group, far));
  tear_down(&f);
}

TEST(a_socket_of_another_namespace) { check_other_namespace("0.0.0.0", "10.77.0.2"); }
TEST(a_socket_of_another_namespace_dual_stack) { check_other_namespace("::", "10.77.0.2"); }

static void check_bound_to_another_device(const char *any) {
  fixture          f;
  uint32_t         number;
  udpr_protocol    protocol = {.size = sizeof protocol};
  udpr_udp_options options = {.size = sizeof options, .bind_device = "near"};
  udpr_transport  *port;
  set_up(&f, NULL, 0);
  OK(udpr_reactor_listen_udp(f.reactor, 0, any, &protocol, &options, &port));
  OK(udpr_transport_set_outgoing_interface(port, f.near));
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_transport_set_outgoing_interface(port, interface_index("lo")));
  OK(udpr_transport_get_outgoing_interface(port, &number));
  CHECK_EQ(f.near, number);
  udpr_transport_release(port);
  tear_down(&f);
}

TEST(an_interface_other_than_the_bound_device) { check_bound_to_another_device("0.0.0.0"); }
TEST(an_interface_other_than_the_bound_device_ipv6) { check_bound_to_another_device("::"); }

static void route_groups_to(const char *device) {
  run_command("ip route replace 224.0.0.0/4 dev %s", device);
  run_command("ip -6 route del ff02::77/128 table local 2> /dev/null; ip -6 route add ff02::77/128 dev %s "
              "table local metric 1",
              device);
}

/* The interfaces have no IPv4 address, so no list that the caller can get contains them. */
static void check_unlisted_interface(const char *text, const char *from) {
  fixture   f;
  udpr_addr group = addr(text, 0), source;
  set_up(&f, NULL, 0);
  if (from != NULL) source = addr(from, 0);
  const udpr_addr *one = from != NULL ? &source : NULL;
  enter_far_host(&f.hosts);
  run_command("ip link add only0 index 771 type veth peer name only1 && ip link set only0 up");
  run_command("ip link add other0 index 772 type veth peer name other1 && ip link set other0 up");
  recorder_listen(&f.sender, f.reactor, "::", 0, 0);
  udpr_transport *port = f.sender.transport;
  route_groups_to("only0");
  enter_near_host(&f.hosts);
  OK(join_group(port, &group, one, 0));
  enter_far_host(&f.hosts);
  route_groups_to("other0");
  enter_near_host(&f.hosts);
  OK(leave_group(port, &group, one, 771));
  OK(join_group(port, &group, one, 771));
  OK(leave_group(port, &group, one, 771));
  OK(join_group(port, &group, one, 0));
  OK(leave_group(port, &group, one, 772));
  tear_down(&f);
}

TEST(a_group_on_an_unlisted_interface) {
  check_unlisted_interface("ff02::77", NULL);
  check_unlisted_interface("ff02::77", "fe80::1");
  check_unlisted_interface("::ffff:239.7.7.7", NULL);
  check_unlisted_interface("::ffff:239.7.7.7", "::ffff:10.7.7.7");
}

CHECK_MAIN()
