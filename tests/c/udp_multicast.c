/* IPv4 groups: on the loopback if it is sufficient, else between two hosts. */
#include "recorder.h"
#include "two_hosts.h"

#define JOIN(port, group, index) udpr_transport_join_group((port)->transport, group, index)
#define LEAVE(port, group, index) udpr_transport_leave_group((port)->transport, group, index)
#define JOIN_SOURCE(port, group, source, index) \
  udpr_transport_join_source_group((port)->transport, group, source, index)
#define LEAVE_SOURCE(port, group, source, index) \
  udpr_transport_leave_source_group((port)->transport, group, source, index)

/* A port and a sender, both on the loopback. */
typedef struct fixture {
  udpr_reactor *reactor;
  recorder      port, sender;
  udpr_addr     group, other; /* with the port's number */
  uint32_t      lo;
} fixture;

static void set_up(fixture *f, const char *local_address, uint32_t flags) {
  *f = (fixture){.reactor = new_reactor(0), .lo = interface_index(LOOPBACK)};
  recorder_listen(&f->port, f->reactor, local_address, 0, flags);
  recorder_listen(&f->sender, f->reactor, "127.0.0.1", 0, 0);
  OK(udpr_transport_set_outgoing_interface(f->sender.transport, f->lo));
  f->group = addr("228.0.0.5", f->port.host.port);
  f->other = addr("228.0.0.6", f->port.host.port);
}

static void tear_down(fixture *f) {
  recorder_close(&f->port);
  recorder_close(&f->sender);
  OK(udpr_reactor_free(f->reactor));
}

/* This is the next datagram received. Those sent before it that must not be received have not been. */
static void expect_next(fixture *f, const char *text) {
  udpr_addr straight = with_port(addr("127.0.0.1", 0), f->port.host.port);
  write_text(f->sender.transport, text, &straight);
  recorder_expect(f->reactor, &f->port, text);
}

TEST(getters_return_the_set_values) {
  fixture   f;
  uint32_t  number = 99;
  udpr_bool on = 99;
  set_up(&f, NULL, 0);
  udpr_transport *port = f.port.transport;
  OK(udpr_transport_get_ttl(port, &number));
  CHECK_EQ(1, number);
  for (uint32_t ttl = 0; ttl < 256; ttl += 51) {
    OK(udpr_transport_set_ttl(port, ttl));
    OK(udpr_transport_get_ttl(port, &number));
    CHECK_EQ(ttl, number);
  }
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_transport_set_ttl(port, 256));
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_transport_set_ttl(port, UINT32_MAX));
  OK(udpr_transport_get_ttl(port, &number));
  CHECK_EQ(255, number);
  OK(udpr_transport_get_loopback_mode(port, &on));
  CHECK_EQ(1, on);
  OK(udpr_transport_set_loopback_mode(port, 0));
  OK(udpr_transport_get_loopback_mode(port, &on));
  CHECK_EQ(0, on);
  OK(udpr_transport_set_loopback_mode(port, -7));
  OK(udpr_transport_get_loopback_mode(port, &on));
  CHECK_EQ(1, on);
  OK(udpr_transport_get_outgoing_interface(port, &number));
  CHECK_EQ(0, number);
  OK(udpr_transport_set_outgoing_interface(port, f.lo));
  CHECK_STATUS(UDPR_E_NO_INTERFACE, udpr_transport_set_outgoing_interface(port, 4711));
  OK(udpr_transport_get_outgoing_interface(port, &number));
  CHECK_EQ(f.lo, number);
  OK(udpr_transport_set_outgoing_interface(port, 0));
  OK(udpr_transport_get_outgoing_interface(port, &number));
  CHECK_EQ(0, number);
  tear_down(&f);
}

TEST(a_joined_group_is_received_until_it_is_left) {
  fixture f;
  set_up(&f, NULL, 0);
  OK(JOIN(&f.port, &f.group, f.lo));
  write_text(f.sender.transport, "one", &f.group);
  CHECK_ADDR(&f.sender.host, &recorder_expect(f.reactor, &f.port, "one")->datagram.sender);
  OK(LEAVE(&f.port, &f.group, f.lo));
  write_text(f.sender.transport, "two", &f.group);
  expect_next(&f, "three");
  OK(JOIN(&f.port, &f.group, f.lo));
  write_text(f.sender.transport, "four", &f.group);
  recorder_expect(f.reactor, &f.port, "four");
  tear_down(&f);
}

TEST(joins_and_leaves_that_fail) {
  fixture   f;
  udpr_addr unicast = addr("127.0.0.1", 0), any = addr("0.0.0.0", 0), v6 = addr("ff02::1", 0), junk = {0};
  set_up(&f, NULL, 0);
  CHECK_STATUS(UDPR_E_NOT_JOINED, LEAVE(&f.port, &f.group, f.lo));
  OK(JOIN(&f.port, &f.group, f.lo));
  CHECK_STATUS(UDPR_E_ALREADY_JOINED, JOIN(&f.port, &f.group, f.lo));
  CHECK_STATUS(UDPR_E_NOT_JOINED, LEAVE(&f.port, &f.other, f.lo));
  CHECK_STATUS(UDPR_E_NOT_MULTICAST, JOIN(&f.port, &unicast, f.lo));
  CHECK_STATUS(UDPR_E_NOT_MULTICAST, JOIN(&f.port, &any, f.lo));
  CHECK_STATUS(UDPR_E_NOT_MULTICAST, LEAVE(&f.port, &unicast, f.lo));
  CHECK_STATUS(UDPR_E_NO_INTERFACE, JOIN(&f.port, &f.group, 4711));
  CHECK_STATUS(UDPR_E_NO_INTERFACE, LEAVE(&f.port, &f.group, 4711));
  CHECK_STATUS(UDPR_E_ADDRESS_FAMILY, JOIN(&f.port, &v6, f.lo));
  CHECK_STATUS(UDPR_E_ADDRESS_FAMILY, LEAVE(&f.port, &v6, f.lo));
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, JOIN(&f.port, &junk, f.lo));
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, JOIN(&f.port, NULL, f.lo));
  OK(LEAVE(&f.port, &f.group, f.lo)); /* still joined */
  CHECK_STATUS(UDPR_E_NOT_JOINED, LEAVE(&f.port, &f.group, f.lo));
  OK(udpr_transport_close(f.port.transport));
  CHECK_STATUS(UDPR_E_CLOSED, JOIN(&f.port, &f.group, f.lo));
  CHECK_STATUS(UDPR_E_CLOSED, LEAVE(&f.port, &f.group, f.lo));
  tear_down(&f);
}

/* Linux delivers datagrams of every group that any socket of the host has joined, here `neighbour`. */
TEST(after_its_first_join_a_port_receives_only_its_groups) {
  fixture  f;
  recorder neighbour;
  set_up(&f, NULL, 0);
  recorder_listen(&neighbour, f.reactor, NULL, 0, 0);
  OK(JOIN(&neighbour, &f.other, f.lo));
  write_text(f.sender.transport, "before", &f.other);
  recorder_expect(f.reactor, &f.port, "before");
  OK(JOIN(&f.port, &f.group, f.lo));
  write_text(f.sender.transport, "not mine", &f.other);
  write_text(f.sender.transport, "mine", &f.group);
  recorder_expect(f.reactor, &f.port, "mine");
  OK(LEAVE(&f.port, &f.group, f.lo));
  write_text(f.sender.transport, "nor now", &f.other);
  expect_next(&f, "straight");
  recorder_close(&neighbour);
  tear_down(&f);
}

/* A failed join does not count as the first join. */
TEST(a_failed_join_changes_nothing) {
  fixture  f;
  recorder neighbour;
  set_up(&f, NULL, 0);
  recorder_listen(&neighbour, f.reactor, NULL, 0, 0);
  OK(JOIN(&neighbour, &f.other, f.lo));
  CHECK_STATUS(UDPR_E_NO_INTERFACE, JOIN(&f.port, &f.group, 4711));
  write_text(f.sender.transport, "still", &f.other);
  recorder_expect(f.reactor, &f.port, "still");
  recorder_close(&neighbour);
  tear_down(&f);
}

TEST(several_ports_of_one_number_all_receive) {
  fixture  f;
  recorder second;
  set_up(&f, NULL, UDPR_UDP_LISTEN_MULTIPLE);
  recorder_listen(&second, f.reactor, NULL, f.port.host.port, UDPR_UDP_LISTEN_MULTIPLE);
  OK(JOIN(&f.port, &f.group, f.lo));
  OK(JOIN(&second, &f.group, f.lo));
  write_text(f.sender.transport, "all", &f.group);
  RUN_UNTIL(f.reactor, f.port.count == 1 && second.count == 1);
  CHECK_STR("all", f.port.all[0].text);
  CHECK_STR("all", second.all[0].text);
  recorder_close(&second);
  tear_down(&f);
}

TEST(only_the_joined_source_is_received) {
  fixture   f;
  recorder  chosen;
  udpr_addr source = addr("127.0.0.2", 0), group;
  set_up(&f, NULL, 0);
  group = addr("232.0.0.5", f.port.host.port);
  recorder_listen(&chosen, f.reactor, "127.0.0.2", 0, 0);
  OK(udpr_transport_set_outgoing_interface(chosen.transport, f.lo));
  OK(JOIN_SOURCE(&f.port, &group, &source, f.lo));
  write_text(f.sender.transport, "stranger", &group);
  write_text(chosen.transport, "chosen", &group);
  recorder_expect(f.reactor, &f.port, "chosen");
  udpr_addr second = addr("127.0.0.1", 0);
  OK(JOIN_SOURCE(&f.port, &group, &second, f.lo));
  write_text(f.sender.transport, "second", &group);
  recorder_expect(f.reactor, &f.port, "second");
  OK(LEAVE_SOURCE(&f.port, &group, &source, f.lo));
  write_text(chosen.transport, "left", &group);
  write_text(f.sender.transport, "stays", &group);
  recorder_expect(f.reactor, &f.port, "stays");
  OK(LEAVE_SOURCE(&f.port, &group, &second, f.lo));
  write_text(f.sender.transport, "gone", &group);
  expect_next(&f, "straight");
  recorder_close(&chosen);
  tear_down(&f);
}

/* The kernel would change a membership for any source into one for a source, even in a leave that fails. */
TEST(a_group_is_joined_for_any_source_or_for_chosen_ones) {
  fixture   f;
  udpr_addr source = addr("127.0.0.2", 0), v6 = addr("::1", 0);
  set_up(&f, NULL, 0);
  CHECK_STATUS(UDPR_E_NOT_JOINED, LEAVE_SOURCE(&f.port, &f.group, &source, f.lo));
  OK(JOIN(&f.port, &f.group, f.lo));
  CHECK_STATUS(UDPR_E_ALREADY_JOINED, JOIN_SOURCE(&f.port, &f.group, &source, f.lo));
  CHECK_STATUS(UDPR_E_ALREADY_JOINED, JOIN_SOURCE(&f.port, &f.group, &source, 0));
  CHECK_STATUS(UDPR_E_NOT_JOINED, LEAVE_SOURCE(&f.port, &f.group, &source, f.lo));
  write_text(f.sender.transport, "from anybody", &f.group);
  recorder_expect(f.reactor, &f.port, "from anybody");
  OK(LEAVE(&f.port, &f.group, f.lo));
  OK(JOIN_SOURCE(&f.port, &f.group, &source, f.lo));
  CHECK_STATUS(UDPR_E_ALREADY_JOINED, JOIN_SOURCE(&f.port, &f.group, &source, f.lo));
  CHECK_STATUS(UDPR_E_ALREADY_JOINED, JOIN(&f.port, &f.group, f.lo));
  CHECK_STATUS(UDPR_E_NOT_JOINED, LEAVE(&f.port, &f.group, f.lo));
  CHECK_STATUS(UDPR_E_ADDRESS_FAMILY, JOIN_SOURCE(&f.port, &f.group, &v6, f.lo));
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, JOIN_SOURCE(&f.port, &f.group, &f.other, f.lo));
  CHECK_STATUS(UDPR_E_NOT_MULTICAST, JOIN_SOURCE(&f.port, &source, &source, f.lo));
  CHECK_STATUS(UDPR_E_NO_INTERFACE, JOIN_SOURCE(&f.port, &f.other, &source, 4711));
  OK(LEAVE_SOURCE(&f.port, &f.group, &source, f.lo));
  tear_down(&f);
}

TEST(a_dual_stack_port_joins_ipv4_groups_by_their_mapped_address) {
  fixture   f;
  udpr_addr mapped;
  set_up(&f, "::", UDPR_UDP_PACKET_INFO);
  OK(udpr_addr_map_v4(&f.group, &mapped));
  CHECK_STATUS(UDPR_E_ADDRESS_FAMILY, JOIN(&f.port, &f.group, f.lo));
  CHECK_STATUS(UDPR_E_NOT_JOINED, LEAVE(&f.port, &mapped, f.lo));
  OK(JOIN(&f.port, &mapped, f.lo));
  CHECK_STATUS(UDPR_E_ALREADY_JOINED, JOIN(&f.port, &mapped, f.lo));
  write_text(f.sender.transport, "mapped", &f.group);
  CHECK_ADDR(&mapped, &recorder_expect(f.reactor, &f.port, "mapped")->datagram.destination);
  OK(udpr_transport_set_outgoing_interface(f.port.transport, f.lo));
  write_text(f.port.transport, "its own", &mapped);
  recorder_expect(f.reactor, &f.port, "its own");
  OK(LEAVE(&f.port, &mapped, f.lo));
  write_text(f.sender.transport, "left", &f.group);
  expect_next(&f, "straight");
  recorder_close(&f.port);
  recorder_listen(&f.port, f.reactor, "::", 0, UDPR_UDP_V6_ONLY);
  CHECK_STATUS(UDPR_E_ADDRESS_FAMILY, JOIN(&f.port, &mapped, f.lo));
  tear_down(&f);
}

static int option_of(int fd, int name) {
  int       value = -1;
  socklen_t len = sizeof value;
  CHECK_EQ(0, getsockopt(fd, IPPROTO_IP, name, &value, &len));
  return value;
}

/* The socket is restored for its other owner. */
TEST(an_adopted_socket_is_restored) {
  udpr_reactor   *reactor = new_reactor(0);
  udpr_protocol   protocol = {.size = sizeof protocol};
  udpr_transport *port = NULL;
  udpr_addr       group = addr("228.0.0.5", 0);
  int             fd = peer_open(AF_INET);
  OK(udpr_reactor_adopt_datagram_port(reactor, fd, 0, &protocol, NULL, &port));
  OK(udpr_transport_join_group(port, &group, interface_index(LOOPBACK)));
  OK(udpr_transport_set_ttl(port, 7));
  OK(udpr_transport_set_loopback_mode(port, 0));
  OK(udpr_transport_set_outgoing_interface(port, interface_index(LOOPBACK)));
  OK(udpr_transport_set_broadcast_allowed(port, 1));
  CHECK(option_of(fd, IP_MULTICAST_TTL) == 7 && option_of(fd, IP_MULTICAST_ALL) == 0);
  OK(udpr_transport_close(port));
  udpr_transport_release(port);
  CHECK_EQ(1, option_of(fd, IP_MULTICAST_TTL));
  CHECK_EQ(1, option_of(fd, IP_MULTICAST_LOOP));
  CHECK_EQ(1, option_of(fd, IP_MULTICAST_ALL));
  CHECK_EQ(0, option_of(fd, IP_MULTICAST_IF));
  struct ip_mreqn request = {.imr_ifindex = (int)interface_index(LOOPBACK)};
  request.imr_multiaddr.s_addr = inet_addr("228.0.0.5");
  /* the port has left the group */
  CHECK_EQ(0, setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof request));
  close(fd);
  OK(udpr_reactor_free(reactor));
}

/* ---- two hosts ----------------------------------------------------------------------------------------- */

typedef struct pair {
  two_hosts     hosts;
  udpr_reactor *reactor;
  recorder      near, far;
  udpr_addr     group; /* with the port number of both */
  uint32_t      device;
} pair;

/* A port on each host, which has joined the group there. */
static void set_up_pair(pair *p) {
  *p = (pair){0};
  two_hosts_create(&p->hosts);
  p->reactor = new_reactor(0);
  p->device = interface_index("near");
  recorder_listen(&p->near, p->reactor, NULL, 9999, UDPR_UDP_TTL);
  p->group = addr("228.0.0.5", p->near.host.port);
  OK(JOIN(&p->near, &p->group, p->device));
  enter_far_host(&p->hosts);
  recorder_listen(&p->far, p->reactor, NULL, 9999, UDPR_UDP_TTL);
  OK(JOIN(&p->far, &p->group, interface_index("far")));
  enter_near_host(&p->hosts);
}

static void tear_down_pair(pair *p) {
  recorder_close(&p->near);
  recorder_close(&p->far);
  OK(udpr_reactor_free(p->reactor));
  two_hosts_close(&p->hosts);
}

TEST(loopback_mode_affects_only_this_host) {
  pair p;
  set_up_pair(&p);
  write_text(p.near.transport, "both", &p.group);
  recorder_expect(p.reactor, &p.far, "both");
  recorder_expect(p.reactor, &p.near, "both");
  OK(udpr_transport_set_loopback_mode(p.near.transport, 0));
  write_text(p.near.transport, "far only", &p.group);
  recorder_expect(p.reactor, &p.far, "far only");
  OK(udpr_transport_set_loopback_mode(p.near.transport, 1));
  write_text(p.near.transport, "both again", &p.group);
  recorder_expect(p.reactor, &p.far, "both again");
  recorder_expect(p.reactor, &p.near, "both again");
  tear_down_pair(&p);
}

TEST(the_ttl_is_sent) {
  pair p;
  set_up_pair(&p);
  write_text(p.near.transport, "one", &p.group);
  CHECK_EQ(1, recorder_expect(p.reactor, &p.far, "one")->datagram.ttl);
  OK(udpr_transport_set_ttl(p.near.transport, 5));
  write_text(p.near.transport, "five", &p.group);
  CHECK_EQ(5, recorder_expect(p.reactor, &p.far, "five")->datagram.ttl);
  udpr_addr far = addr("10.77.0.2", 9999);
  OK(udpr_transport_set_unicast_ttl(p.near.transport, 77));
  write_text(p.near.transport, "straight", &far);
  CHECK_EQ(77, recorder_expect(p.reactor, &p.far, "straight")->datagram.ttl);
  OK(udpr_transport_set_ttl(p.near.transport, 0));
  p.near.taken = p.near.count;
  write_text(p.near.transport, "here only", &p.group);
  recorder_expect(p.reactor, &p.near, "here only");
  write_text(p.near.transport, "end", &far);
  recorder_expect(p.reactor, &p.far, "end");
  tear_down_pair(&p);
}

/* The default route uses the veth device. Given only the index, the kernel would take the address of that
 * device.
 */
TEST(the_outgoing_interface_determines_the_source_address) {
  pair      p;
  udpr_addr lo = addr("127.0.0.1", 9999), near = addr("10.77.0.1", 9999);
  set_up_pair(&p);
  OK(JOIN(&p.near, &p.group, interface_index(LOOPBACK)));
  write_text(p.near.transport, "system", &p.group);
  CHECK_ADDR(&near, &recorder_expect(p.reactor, &p.far, "system")->datagram.sender);
  recorder_expect(p.reactor, &p.near, "system");
  OK(udpr_transport_set_outgoing_interface(p.near.transport, interface_index(LOOPBACK)));
  write_text(p.near.transport, "lo", &p.group);
  CHECK_ADDR(&lo, &recorder_expect(p.reactor, &p.near, "lo")->datagram.sender);
  OK(udpr_transport_set_outgoing_interface(p.near.transport, p.device));
  write_text(p.near.transport, "near", &p.group);
  CHECK_ADDR(&near, &recorder_expect(p.reactor, &p.far, "near")->datagram.sender);
  tear_down_pair(&p);
}

TEST(interface_0_uses_the_route) {
  pair      p;
  udpr_addr other = addr("228.0.0.7", 9999);
  set_up_pair(&p);
  OK(JOIN(&p.near, &other, 0));
  CHECK_STATUS(UDPR_E_ALREADY_JOINED, JOIN(&p.near, &other, 0));
  CHECK_STATUS(UDPR_E_ALREADY_JOINED, JOIN(&p.near, &other, p.device));
  write_text(p.far.transport, "routed", &other);
  recorder_expect(p.reactor, &p.near, "routed");
  OK(LEAVE(&p.near, &other, 0));
  CHECK_STATUS(UDPR_E_NOT_JOINED, LEAVE(&p.near, &other, 0));
  tear_down_pair(&p);
}

/* A batched datagram to a group is sent with the settings at the time of the write. */
static void change_ttl(udpr_reactor *reactor, void *user) {
  (void)reactor;
  pair *p = user;
  OK(udpr_transport_set_ttl(p->near.transport, 3));
  write_text(p->near.transport, "three", &p->group);
  OK(udpr_transport_set_ttl(p->near.transport, 4));
  write_text(p->near.transport, "four", &p->group);
}

TEST(batched_writes_are_sent_before_a_setter_takes_effect) {
  pair p;
  set_up_pair(&p);
  OK(udpr_reactor_call_later(p.reactor, 0, change_ttl, &p, NULL, NULL));
  RUN_UNTIL(p.reactor, p.far.count == 2);
  CHECK_EQ(3, p.far.all[0].datagram.ttl);
  CHECK_EQ(4, p.far.all[1].datagram.ttl);
  tear_down_pair(&p);
}

CHECK_MAIN()
