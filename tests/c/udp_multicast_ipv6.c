/* IPv6 groups, between two hosts, since the loopback has no IPv6 multicast. */
#include "recorder.h"
#include "two_hosts.h"

#define JOIN(port, group, index) udpr_transport_join_group((port)->transport, group, index)
#define LEAVE(port, group, index) udpr_transport_leave_group((port)->transport, group, index)

typedef struct fixture {
  two_hosts     hosts;
  udpr_reactor *reactor;
  recorder      near, far;
  udpr_addr     group; /* with the port number of both */
  uint32_t      device, far_device;
} fixture;

/* A port on each host. The far one has joined the group. */
static void set_up(fixture *f) {
  *f = (fixture){0};
  two_hosts_create(&f->hosts);
  f->reactor = new_reactor(0);
  f->group = addr("ff05::5", 9999);
  f->device = interface_index("near");
  recorder_listen(&f->near, f->reactor, "::", 9999, UDPR_UDP_TTL | UDPR_UDP_PACKET_INFO);
  enter_far_host(&f->hosts);
  f->far_device = interface_index("far");
  recorder_listen(&f->far, f->reactor, "::", 9999, UDPR_UDP_TTL | UDPR_UDP_PACKET_INFO);
  OK(JOIN(&f->far, &f->group, f->far_device));
  enter_near_host(&f->hosts);
  OK(udpr_transport_set_outgoing_interface(f->near.transport, f->device));
}

static void tear_down(fixture *f) {
  recorder_close(&f->near);
  recorder_close(&f->far);
  OK(udpr_reactor_free(f->reactor));
  two_hosts_close(&f->hosts);
}

/* The next datagram that the far port receives. */
static void expect_next(fixture *f, const char *text) {
  udpr_addr straight = addr("fd77::2", 9999);
  write_text(f->near.transport, text, &straight);
  recorder_expect(f->reactor, &f->far, text);
}

TEST(getters_return_the_set_values) {
  fixture   f;
  uint32_t  number = 99;
  udpr_bool on = 99;
  set_up(&f);
  OK(udpr_transport_get_ttl(f.near.transport, &number));
  CHECK_EQ(1, number);
  for (uint32_t hops = 0; hops < 256; hops += 51) {
    OK(udpr_transport_set_ttl(f.near.transport, hops));
    OK(udpr_transport_get_ttl(f.near.transport, &number));
    CHECK_EQ(hops, number);
  }
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_transport_set_ttl(f.near.transport, 256));
  OK(udpr_transport_get_loopback_mode(f.near.transport, &on));
  CHECK_EQ(1, on);
  OK(udpr_transport_set_loopback_mode(f.near.transport, 0));
  OK(udpr_transport_get_loopback_mode(f.near.transport, &on));
  CHECK_EQ(0, on);
  OK(udpr_transport_get_outgoing_interface(f.near.transport, &number));
  CHECK_EQ(f.device, number);
  CHECK_STATUS(UDPR_E_NO_INTERFACE, udpr_transport_set_outgoing_interface(f.near.transport, 4711));
  OK(udpr_transport_set_outgoing_interface(f.near.transport, 0));
  OK(udpr_transport_get_outgoing_interface(f.near.transport, &number));
  CHECK_EQ(0, number);
  tear_down(&f);
}

TEST(a_joined_group_is_received_until_it_is_left) {
  fixture f;
  set_up(&f);
  write_text(f.near.transport, "one", &f.group);
  const recorded_datagram *one = recorder_expect(f.reactor, &f.far, "one");
  CHECK_ADDR(&f.group, &one->datagram.destination);
  CHECK_EQ(f.far_device, one->datagram.interface_index);
  CHECK_EQ(1, one->datagram.ttl);
  OK(LEAVE(&f.far, &f.group, f.far_device));
  write_text(f.near.transport, "two", &f.group);
  expect_next(&f, "three");
  tear_down(&f);
}

TEST(joins_and_leaves_that_fail) {
  fixture   f;
  udpr_addr unicast = addr("::1", 0), v4 = addr("228.0.0.5", 0), other = addr("ff05::6", 0);
  udpr_addr mapped_unicast = addr("::ffff:127.0.0.1", 0);
  set_up(&f);
  CHECK_STATUS(UDPR_E_NOT_JOINED, LEAVE(&f.near, &f.group, f.device));
  OK(JOIN(&f.near, &f.group, f.device));
  CHECK_STATUS(UDPR_E_ALREADY_JOINED, JOIN(&f.near, &f.group, f.device));
  CHECK_STATUS(UDPR_E_NOT_JOINED, LEAVE(&f.near, &other, f.device));
  CHECK_STATUS(UDPR_E_NOT_MULTICAST, JOIN(&f.near, &unicast, f.device));
  CHECK_STATUS(UDPR_E_NOT_MULTICAST, JOIN(&f.near, &mapped_unicast, f.device));
  CHECK_STATUS(UDPR_E_NO_INTERFACE, JOIN(&f.near, &other, 4711));
  CHECK_STATUS(UDPR_E_NO_INTERFACE, LEAVE(&f.near, &other, 4711));
  CHECK_STATUS(UDPR_E_ADDRESS_FAMILY, JOIN(&f.near, &v4, f.device));
  OK(LEAVE(&f.near, &f.group, f.device));
  CHECK_STATUS(UDPR_E_NOT_JOINED, LEAVE(&f.near, &f.group, f.device));
  tear_down(&f);
}

TEST(the_zone_of_a_group_is_its_interface) {
  fixture f;
  set_up(&f);
  udpr_addr group = addr("ff02::5%near", 9999), bare = addr("ff02::5", 9999);
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, JOIN(&f.near, &group, f.device + 1));
  OK(JOIN(&f.near, &group, 0));
  CHECK_STATUS(UDPR_E_ALREADY_JOINED, JOIN(&f.near, &group, f.device));
  CHECK_STATUS(UDPR_E_ALREADY_JOINED, JOIN(&f.near, &bare, f.device));
  write_text(f.near.transport, "zone", &group);
  const recorded_datagram *one = recorder_expect(f.reactor, &f.near, "zone");
  CHECK_ADDR(&group, &one->datagram.destination);
  OK(LEAVE(&f.near, &bare, f.device));
  tear_down(&f);
}

TEST(the_hop_limit_is_sent) {
  fixture f;
  set_up(&f);
  OK(udpr_transport_set_ttl(f.near.transport, 5));
  write_text(f.near.transport, "five", &f.group);
  CHECK_EQ(5, recorder_expect(f.reactor, &f.far, "five")->datagram.ttl);
  OK(udpr_transport_set_unicast_ttl(f.near.transport, 77));
  udpr_addr straight = addr("fd77::2", 9999), mapped = addr("::ffff:10.77.0.2", 9999);
  write_text(f.near.transport, "straight", &straight);
  CHECK_EQ(77, recorder_expect(f.reactor, &f.far, "straight")->datagram.ttl);
  write_text(f.near.transport, "mapped", &mapped);
  CHECK_EQ(77, recorder_expect(f.reactor, &f.far, "mapped")->datagram.ttl);
  tear_down(&f);
}

TEST(loopback_mode_affects_only_this_host) {
  fixture f;
  set_up(&f);
  OK(JOIN(&f.near, &f.group, f.device));
  write_text(f.near.transport, "both", &f.group);
  recorder_expect(f.reactor, &f.far, "both");
  recorder_expect(f.reactor, &f.near, "both");
  OK(udpr_transport_set_loopback_mode(f.near.transport, 0));
  write_text(f.near.transport, "far only", &f.group);
  recorder_expect(f.reactor, &f.far, "far only");
  OK(udpr_transport_set_loopback_mode(f.near.transport, 1));
  write_text(f.near.transport, "both again", &f.group);
  recorder_expect(f.reactor, &f.far, "both again");
  recorder_expect(f.reactor, &f.near, "both again");
  tear_down(&f);
}

/* Linux delivers datagrams of every group that any socket of the host has joined, here `neighbour`. (IPv4
 * groups on an IPv6 socket are filtered.)
 */
TEST(after_its_first_join_a_port_receives_only_its_groups) {
  fixture   f;
  recorder  neighbour;
  udpr_addr other = addr("ff05::6", 9998), mine = addr("ff05::7", 9998),
            mapped = addr("::ffff:228.0.0.6", 9998);
  recorder port;
  set_up(&f);
  enter_far_host(&f.hosts);
  recorder_listen(&neighbour, f.reactor, "::", 0, 0);
  OK(JOIN(&neighbour, &other, f.far_device));
  OK(JOIN(&neighbour, &mapped, f.far_device));
  recorder_listen(&port, f.reactor, "::", 9998, 0);
  enter_near_host(&f.hosts);
  write_text(f.near.transport, "before", &other);
  recorder_expect(f.reactor, &port, "before");
  OK(JOIN(&port, &mine, f.far_device));
  write_text(f.near.transport, "not mine", &other);
  write_text(f.near.transport, "nor this", &mapped);
  write_text(f.near.transport, "mine", &mine);
  recorder_expect(f.reactor, &port, "mine");
  recorder_close(&port);
  recorder_close(&neighbour);
  tear_down(&f);
}

TEST(only_the_joined_source_is_received) {
  fixture   f;
  udpr_addr group = addr("ff35::5", 9999), source = addr("fd77::1", 0), other_sender = addr("fd77::99", 0);
  set_up(&f);
  OK(udpr_transport_join_source_group(f.far.transport, &group, &other_sender, f.far_device));
  write_text(f.near.transport, "stranger", &group);
  expect_next(&f, "end");
  OK(udpr_transport_join_source_group(f.far.transport, &group, &source, f.far_device));
  CHECK_STATUS(UDPR_E_ALREADY_JOINED,
               udpr_transport_join_source_group(f.far.transport, &group, &source, f.far_device));
  CHECK_STATUS(UDPR_E_ALREADY_JOINED, JOIN(&f.far, &group, f.far_device));
  write_text(f.near.transport, "chosen", &group);
  udpr_addr from = with_port(source, 9999);
  CHECK_ADDR(&from, &recorder_expect(f.reactor, &f.far, "chosen")->datagram.sender);
  enter_far_host(&f.hosts);
  OK(udpr_transport_leave_source_group(f.far.transport, &group, &source, f.far_device));
  CHECK_STATUS(UDPR_E_NOT_JOINED,
               udpr_transport_leave_source_group(f.far.transport, &group, &source, f.far_device));
  enter_near_host(&f.hosts);
  write_text(f.near.transport, "left", &group);
  expect_next(&f, "end again");
  tear_down(&f);
}

TEST(a_mapped_group_uses_the_outgoing_interface) {
  fixture   f;
  udpr_addr mapped = addr("::ffff:228.0.0.5", 9999), from = addr("::ffff:10.77.0.1", 9999);
  set_up(&f);
  OK(JOIN(&f.far, &mapped, f.far_device));
  run_command("ip route del default dev near"); /* only the interface is left to select the route */
  write_text(f.near.transport, "mapped", &mapped);
  const recorded_datagram *one = recorder_expect(f.reactor, &f.far, "mapped");
  CHECK_ADDR(&from, &one->datagram.sender);
  CHECK_ADDR(&mapped, &one->datagram.destination);
  tear_down(&f);
}

CHECK_MAIN()
