/* An IPv6 port receives datagrams of a group only from the interfaces on which it has joined the group. Linux
 * by itself delivers those from every interface on which any socket of the host has joined it.
 */
#include "recorder.h"
#include "two_hosts.h"

typedef struct fixture {
  two_hosts     hosts;
  udpr_reactor *reactor;
  recorder      port, neighbour;
  recorder      sender_near, sender_other; /* on the far host, each with its own outgoing interface */
  udpr_addr     group, mapped;             /* with the port's number */
  uint32_t      near, other;
} fixture;

static void set_up_device(const char *device, int number) {
  run_command("ip link set %s addrgenmode none && ip link set %s up", device, device);
  run_command("ip addr add 10.78.0.%d/24 dev %s", number, device);
}

/* A second link: other 10.78.0.1 fd78::1 and, on the far host, behind 10.78.0.2 fd78::2. */
static void link_other(const two_hosts *hosts) {
  run_command("ip link add other type veth peer name behind");
  run_command("ip link set behind netns /proc/%d/fd/%d", (int)getpid(), hosts->far_fd);
  set_up_device("other", 1);
  enter_far_host(hosts);
  set_up_device("behind", 2);
  wait_for_link("behind");
  add_ipv6_address("behind", "fd78::2", 64);
  enter_near_host(hosts);
  wait_for_link("other");
  add_ipv6_address("other", "fd78::1", 64);
}

static void set_up_network(fixture *f) {
  *f = (fixture){.reactor = NULL};
  two_hosts_create(&f->hosts);
  link_other(&f->hosts);
  f->reactor = new_reactor(0);
  f->near = interface_index("near"), f->other = interface_index("other");
  f->group = addr("ff05::5", 9999), f->mapped = addr("::ffff:228.0.0.5", 9999);
  enter_far_host(&f->hosts);
  recorder_listen(&f->sender_near, f->reactor, "::", 0, 0);
  recorder_listen(&f->sender_other, f->reactor, "::", 0, 0);
  OK(udpr_transport_set_outgoing_interface(f->sender_near.transport, interface_index("far")));
  OK(udpr_transport_set_outgoing_interface(f->sender_other.transport, interface_index("behind")));
  enter_near_host(&f->hosts);
  recorder_listen(&f->neighbour, f->reactor, "::", 0, 0);
  OK(udpr_transport_join_group(f->neighbour.transport, &f->group, f->other));
}

static void set_up(fixture *f, uint32_t flags) {
  set_up_network(f);
  recorder_listen(&f->port, f->reactor, "::", 9999, flags);
  OK(udpr_transport_join_group(f->port.transport, &f->group, f->near));
}

static void tear_down(fixture *f) {
  recorder_close(&f->port);
  recorder_close(&f->neighbour);
  recorder_close(&f->sender_near);
  recorder_close(&f->sender_other);
  OK(udpr_reactor_free(f->reactor));
  two_hosts_close(&f->hosts);
}

/* Datagrams that were sent before by the other interface have been received before this one. */
static const recorded_datagram *expect_unicast(fixture *f, const char *text) {
  udpr_addr unicast = addr("fd78::1", 9999);
  write_text(f->sender_other.transport, text, &unicast);
  return recorder_expect(f->reactor, &f->port, text);
}

static uint64_t discarded(const fixture *f) { return stats_of(f->port.transport).discarded_in; }

TEST(datagrams_from_another_interface_are_discarded_and_counted) {
  fixture f;
  set_up(&f, 0);
  write_text(f.sender_other.transport, "not mine", &f.group);
  const recorded_datagram *one = expect_unicast(&f, "straight");
  CHECK_EQ(1, discarded(&f));
  CHECK_EQ(UDPR_AF_UNSPEC, one->datagram.destination.family); /* packet info was not requested */
  CHECK(one->datagram.interface_index == 0 && one->datagram.ttl == -1 && one->datagram.tos == -1);
  write_text(f.sender_near.transport, "mine", &f.group);
  one = recorder_expect(f.reactor, &f.port, "mine");
  CHECK(one->datagram.destination.family == UDPR_AF_UNSPEC && one->datagram.interface_index == 0);
  OK(udpr_transport_join_group(f.port.transport, &f.group, f.other));
  write_text(f.sender_other.transport, "mine too", &f.group);
  recorder_expect(f.reactor, &f.port, "mine too");
  OK(udpr_transport_leave_group(f.port.transport, &f.group, f.other));
  write_text(f.sender_other.transport, "no more", &f.group);
  expect_unicast(&f, "end");
  CHECK_EQ(2, discarded(&f));
  udpr_transport_stats stats = stats_of(f.port.transport);
  CHECK_EQ(stats.datagrams_in, (uint64_t)f.port.count + stats.discarded_in);
  tear_down(&f);
}

TEST(packet_info_is_delivered_only_on_request) {
  fixture f;
  set_up(&f, UDPR_UDP_PACKET_INFO | UDPR_UDP_TTL);
  write_text(f.sender_other.transport, "not mine", &f.group);
  write_text(f.sender_near.transport, "mine", &f.group);
  const recorded_datagram *one = recorder_expect(f.reactor, &f.port, "mine");
  CHECK_ADDR(&f.group, &one->datagram.destination);
  CHECK(one->datagram.interface_index == f.near && one->datagram.ttl == 1);
  tear_down(&f);
  set_up(&f, UDPR_UDP_TTL);
  write_text(f.sender_near.transport, "mine", &f.group);
  one = recorder_expect(f.reactor, &f.port, "mine");
  CHECK(one->datagram.destination.family == UDPR_AF_UNSPEC && one->datagram.interface_index == 0);
  CHECK_EQ(1, one->datagram.ttl);
  tear_down(&f);
}

/* The kernel takes the source filter of the first membership it finds, even if it is for another interface.
 */
TEST(a_source_is_received_only_on_the_interface_it_was_joined_on) {
  fixture   f;
  udpr_addr source = addr("fd78::2", 0);
  set_up_network(&f);
  recorder_listen(&f.port, f.reactor, "::", 9999, 0);
  OK(udpr_transport_join_source_group(f.port.transport, &f.group, &source, f.near));
  write_text(f.sender_other.transport, "by the wrong interface", &f.group);
  expect_unicast(&f, "straight");
  CHECK_EQ(1, discarded(&f));
  OK(udpr_transport_leave_source_group(f.port.transport, &f.group, &source, f.near));
  OK(udpr_transport_join_source_group(f.port.transport, &f.group, &source, f.other));
  write_text(f.sender_other.transport, "chosen", &f.group);
  recorder_expect(f.reactor, &f.port, "chosen");
  tear_down(&f);
}

/* For IPv4 groups the kernel checks the interface itself, on dual-stack ports, too. */
TEST(ipv4_groups_of_a_dual_stack_port) {
  fixture f;
  set_up(&f, 0);
  OK(udpr_transport_join_group(f.neighbour.transport, &f.mapped, f.other));
  OK(udpr_transport_join_group(f.port.transport, &f.mapped, f.near));
  write_text(f.sender_other.transport, "not mine", &f.mapped);
  expect_unicast(&f, "straight");
  write_text(f.sender_near.transport, "mine", &f.mapped);
  recorder_expect(f.reactor, &f.port, "mine");
  CHECK_EQ(0, discarded(&f));
  tear_down(&f);
}

/* ---- many datagrams at once, merged ones, and a paused port -------------------------------------------- */

enum { RUN = 10 };

/* RUN datagrams by each interface. The far host merges them. */
static void write_runs(udpr_reactor *reactor, void *user) {
  fixture *f = user;
  (void)reactor;
  for (int i = 0; i < RUN; i++) write_text(f->sender_other.transport, "not mine", &f->group);
  for (int i = 0; i < RUN; i++) write_text(f->sender_near.transport, "mine", &f->group);
}

static void check_runs(uint32_t flags, bool pause) {
  fixture f;
  set_up(&f, flags);
  OK(udpr_reactor_call_later(f.reactor, 0, write_runs, &f, NULL, NULL));
  if (pause) OK(udpr_transport_pause_reading(f.port.transport));
  run_turns(f.reactor, 3);
  if (pause) OK(udpr_transport_resume_reading(f.port.transport));
  RUN_UNTIL(f.reactor, discarded(&f) == RUN && f.port.count == RUN);
  for (int i = 0; i < RUN; i++) {
    CHECK_STR("mine", f.port.all[i].text);
    CHECK_EQ(flags & UDPR_UDP_PACKET_INFO ? f.near : 0, f.port.all[i].datagram.interface_index);
  }
  tear_down(&f);
}

TEST(many_datagrams) { check_runs(0, false); }
TEST(many_datagrams_with_packet_info) { check_runs(UDPR_UDP_PACKET_INFO, false); }
TEST(many_datagrams_without_offload) { check_runs(UDPR_UDP_NO_OFFLOAD, false); }
TEST(many_datagrams_for_a_paused_port) { check_runs(0, true); }

static void pause_first(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  recorder_received(transport, datagram, user);
  if (((recorder *)user)->count == 1) OK(udpr_transport_pause_reading(transport));
}

/* Datagrams that a batch keeps for a later turn have been filtered with it. */
TEST(a_pause_inside_a_batch) {
  fixture f;
  set_up_network(&f);
  udpr_protocol protocol = {.size = sizeof protocol, .user = &f.port, .datagram_received = pause_first};
  OK(udpr_reactor_listen_udp(f.reactor, 9999, "::", &protocol, NULL, &f.port.transport));
  OK(udpr_transport_join_group(f.port.transport, &f.group, f.near));
  OK(udpr_transport_pause_reading(f.port.transport));
  OK(udpr_reactor_call_later(f.reactor, 0, write_runs, &f, NULL, NULL));
  run_turns(f.reactor, 3);
  OK(udpr_transport_resume_reading(f.port.transport));
  RUN_UNTIL(f.reactor, f.port.count == 1);
  OK(udpr_transport_resume_reading(f.port.transport));
  RUN_UNTIL(f.reactor, f.port.count == RUN && discarded(&f) == RUN);
  for (int i = 0; i < RUN; i++) CHECK_STR("mine", f.port.all[i].text);
  tear_down(&f);
}

/* ---- adopted sockets ---------------------------------------------------------------------------------------- */

static int option_of(int fd, int name) {
  int       value = -1;
  socklen_t len = sizeof value;
  CHECK_EQ(0, getsockopt(fd, IPPROTO_IPV6, name, &value, &len));
  return value;
}

TEST(an_adopted_sockets_own_groups_are_received) {
  fixture f;
  set_up_network(&f);
  int                 fd = socket(AF_INET6, SOCK_DGRAM, 0);
  struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(9999)};
  struct ipv6_mreq    own = {.ipv6mr_interface = f.other};
  CHECK_EQ(0, bind(fd, (struct sockaddr *)&any, sizeof any));
  CHECK_EQ(1, inet_pton(AF_INET6, "ff05::6", &own.ipv6mr_multiaddr));
  CHECK_EQ(0, setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &own, sizeof own));
  udpr_protocol protocol = {.size = sizeof protocol, .user = &f.port, .datagram_received = recorder_received};
  OK(udpr_reactor_adopt_datagram_port(f.reactor, fd, 0, &protocol, NULL, &f.port.transport));
  OK(udpr_transport_join_group(f.port.transport, &f.group, f.near));
  udpr_addr own_group = addr("ff05::6", 9999);
  write_text(f.sender_other.transport, "the socket's", &own_group);
  recorder_expect(f.reactor, &f.port, "the socket's");
  write_text(f.sender_other.transport, "nobody's", &f.group);
  expect_unicast(&f, "straight");
  CHECK_EQ(1, discarded(&f));
  CHECK(option_of(fd, IPV6_RECVPKTINFO) == 1);
  OK(udpr_transport_close(f.port.transport));
  CHECK(option_of(fd, IPV6_RECVPKTINFO) == 0);
  close(fd);
  tear_down(&f);
}

CHECK_MAIN()
