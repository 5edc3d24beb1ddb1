/* An adopted socket is left to its other holders as it was found, in whatever form its maker had set its options. */
#include "tapped_device.h"

#include <fcntl.h>

typedef struct fixture {
  udpr_reactor   *reactor;
  udpr_transport *transport;
  int             fd, received;
  udpr_addr       destination; /* of the last datagram */
} fixture;

static void received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  fixture *f = user;
  (void)transport;
  f->destination = datagram->destination;
  f->received++;
}

static void set_up(fixture *f, int family) {
  *f = (fixture){.reactor = new_reactor(0), .fd = socket(family, SOCK_DGRAM, 0)};
  CHECK(f->fd >= 0);
}

static void adopt(fixture *f, uint32_t flags) {
  udpr_protocol    protocol = {.size = sizeof protocol, .user = f, .datagram_received = received};
  udpr_udp_options options = {.size = sizeof options, .flags = flags};
  OK(udpr_reactor_adopt_datagram_port(f->reactor, f->fd, 0, &protocol, &options, &f->transport));
}

static void stop(fixture *f) {
  OK(udpr_transport_close(f->transport));
  udpr_transport_release(f->transport);
}

static void tear_down(fixture *f) {
  OK(udpr_reactor_free(f->reactor));
  close(f->fd);
}

static int get(int fd, int level, int name) {
  int       value = 0;
  socklen_t len = sizeof value;
  CHECK_EQ(0, getsockopt(fd, level, name, &value, &len));
  return value;
}

static void set(int fd, int level, int name, int value) {
  CHECK_EQ(0, setsockopt(fd, level, name, &value, sizeof value));
}

static udpr_status refuse(udpr_transport *transport, void *user) {
  (void)transport, (void)user;
  return UDPR_E_CANCELLED;
}

/* ---- time stamps: the kernel keeps one form of them ------------------------------------------------------------ */

/* linux/socket.h: SO_TIMESTAMP and SO_TIMESTAMPNS with the two sizes of time, and SO_TIMESTAMPING. */
static const int stamps[] = {29, 35, 63, 64, 37, 65};
enum { STAMPS = sizeof stamps / sizeof *stamps };

static void stamps_of(int fd, int values[STAMPS]) {
  for (int i = 0; i < STAMPS; i++) values[i] = get(fd, SOL_SOCKET, stamps[i]);
}

/* Software stamps of what is received, where a mask is asked for. */
static void set_stamp(int fd, int name) { set(fd, SOL_SOCKET, name, name == 37 || name == 65 ? 0x18 : 1); }

static void stamps_stay(int first, int second, bool fails) {
  fixture f;
  int     before[STAMPS], after[STAMPS];
  set_up(&f, AF_INET6);
  if (first) set_stamp(f.fd, first);
  if (second) set_stamp(f.fd, second);
  stamps_of(f.fd, before);
  if (fails) {
    udpr_protocol    protocol = {.size = sizeof protocol, .start_protocol = refuse};
    udpr_udp_options options = {.size = sizeof options, .flags = UDPR_UDP_TIMESTAMPS};
    CHECK_STATUS(UDPR_E_CANCELLED,
                 udpr_reactor_adopt_datagram_port(f.reactor, f.fd, 0, &protocol, &options, &f.transport));
  } else {
    adopt(&f, UDPR_UDP_TIMESTAMPS);
    CHECK_EQ(1, get(f.fd, SOL_SOCKET, SO_TIMESTAMPNS));
    stop(&f);
  }
  stamps_of(f.fd, after);
  for (int i = 0; i < STAMPS; i++) CHECK_EQ(before[i], after[i]);
  tear_down(&f);
}

TEST(every_form_of_stamps) {
  for (int i = 0; i < STAMPS; i++) {
    stamps_stay(stamps[i], 0, false);
    stamps_stay(stamps[i], 0, true);
    for (int j = 0; j < STAMPS; j++) stamps_stay(stamps[i], stamps[j], false);
  }
  stamps_stay(0, 0, false);
}

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

TEST(buffers_above_the_limit_for_everybody) {
  static const int names[][2] = {{SO_RCVBUF, SO_RCVBUFFORCE}, {SO_SNDBUF, SO_SNDBUFFORCE}};
  udpr_protocol    protocol = {.size = sizeof protocol};
  udpr_udp_options options = {.size = sizeof options, .receive_buffer = 32768, .send_buffer = 32768};
  int              large = 64 << 20;
  fixture          f;
  set_up(&f, AF_INET);
  for (int i = 0; i < 2; i++)
    if (setsockopt(f.fd, SOL_SOCKET, names[i][1], &large, sizeof large) != 0) SKIP("needs CAP_NET_ADMIN");
  OK(udpr_reactor_adopt_datagram_port(f.reactor, f.fd, 0, &protocol, &options, &f.transport));
  for (int i = 0; i < 2; i++) CHECK_EQ(2 * 32768, get(f.fd, SOL_SOCKET, names[i][0]));
  stop(&f);
  for (int i = 0; i < 2; i++) CHECK_EQ(2 * large, get(f.fd, SOL_SOCKET, names[i][0]));
  tear_down(&f);
}

static void set_system(const char *path, const char *value) {
  int fd = open(path, O_WRONLY);
  if (fd < 0) SKIP("this network's settings cannot be changed");
  CHECK_EQ(strlen(value), write(fd, value, strlen(value)));
  close(fd);
}

/* A socket that follows the system's default does so again. */
static void hops(int family, int level, int name, const char *system_path) {
  fixture f;
  enter_network_namespace();
  set_up(&f, family);
  adopt(&f, 0);
  OK(udpr_transport_set_unicast_ttl(f.transport, 9));
  OK(udpr_transport_set_unicast_ttl(f.transport, 10));
  CHECK_EQ(10, get(f.fd, level, name));
  stop(&f);
  set_system(system_path, "77");
  CHECK_EQ(77, get(f.fd, level, name));
  set(f.fd, level, name, 9);
  adopt(&f, 0);
  OK(udpr_transport_set_unicast_ttl(f.transport, 10));
  stop(&f);
  CHECK_EQ(9, get(f.fd, level, name));
  tear_down(&f);
}

TEST(the_systems_ttl) { hops(AF_INET, IPPROTO_IP, IP_TTL, "/proc/sys/net/ipv4/ip_default_ttl"); }
TEST(the_systems_ttl_dual_stack) { hops(AF_INET6, IPPROTO_IP, IP_TTL, "/proc/sys/net/ipv4/ip_default_ttl"); }
TEST(the_systems_hop_limit) {
  hops(AF_INET6, IPPROTO_IPV6, IPV6_UNICAST_HOPS, "/proc/sys/net/ipv6/conf/all/hop_limit");
}

/* ---- the interface of what goes to groups -------------------------------------------------------------------------- */

typedef struct outgoing {
  const char *address, *interface; /* what the maker has set, if anything */
} outgoing;

static void set_outgoing(int fd, const outgoing *form) {
  struct ip_mreqn request = {.imr_ifindex = form->interface ? (int)if_nametoindex(form->interface) : 0};
  if (form->address) inet_pton(AF_INET, form->address, &request.imr_address);
  if (!form->interface) CHECK_EQ(0, setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &request.imr_address, 4));
  else CHECK_EQ(0, setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &request, sizeof request));
}

static void say_to_group(int fd, const udpr_addr *group) {
  struct sockaddr_storage name;
  size_t                  len;
  OK(udpr_addr_to_sockaddr(group, &name, sizeof name, &len));
  CHECK_EQ(6, sendto(fd, "secret", 6, 0, (struct sockaddr *)&name, (socklen_t)len));
}

static void left(const tapped_device *one, const tapped_device *two, int by_one, int by_two) {
  CHECK_EQ(by_one, count_leaving(one));
  CHECK_EQ(by_two, count_leaving(two));
}

/* What the port writes leaves by the chosen interface, however it writes. */
static void port_writes(fixture *f, const udpr_addr *group, const tapped_device *one,
                        const tapped_device *two, int by_one) {
  udpr_message message = {.size = sizeof message, .data = "secret", .len = 6, .to = group};
  size_t       taken;
  OK(udpr_transport_write(f->transport, "secret", 6, group));
  OK(udpr_transport_write_messages(f->transport, &message, 1, &taken));
  message.tos = 8, message.flags = UDPR_MESSAGE_TOS;
  OK(udpr_transport_write_messages(f->transport, &message, 1, &taken));
  OK(udpr_transport_post(f->transport, "secret", 6, group));
  run_turns(f->reactor, 2);
  OK(udpr_transport_connect(f->transport, group));
  OK(udpr_transport_write(f->transport, "secret", 6, NULL));
  OK(udpr_transport_disconnect(f->transport));
  left(one, two, by_one ? 5 : 0, by_one ? 0 : 5);
}

static void outgoing_stays(int family, const outgoing *form, bool by_one) {
  fixture       f;
  tapped_device one, two;
  udpr_addr     group = addr(family == AF_INET ? "239.1.1.1" : "::ffff:239.1.1.1", 9);
  enter_network_namespace();
  pin_to_current_core();
  add_device("one", 1);
  add_device("two", 2);
  ip("route add 239.1.1.1/32 dev %s", by_one ? "one" : "two");
  open_tap(&one, "one", 1);
  open_tap(&two, "two", 2);
  set_up(&f, family);
  set_outgoing(f.fd, form);
  say_to_group(f.fd, &group);
  left(&one, &two, by_one, !by_one);
  adopt(&f, 0);
  OK(udpr_transport_set_outgoing_interface(f.transport, if_nametoindex("one")));
  port_writes(&f, &group, &one, &two, 1);
  OK(udpr_transport_set_outgoing_interface(f.transport, if_nametoindex("two")));
  port_writes(&f, &group, &one, &two, 0);
  stop(&f);
  say_to_group(f.fd, &group);
  left(&one, &two, by_one, !by_one);
  close(one.fd), close(one.marker), close(two.fd), close(two.marker);
  tear_down(&f);
}

/* Not by its index alone: the kernel does not say which index it was given, only the address (ip(7)). */
static void every_form(int family) {
  static const outgoing forms[] = {{NULL, NULL}, {"10.1.0.1", NULL}, {"10.1.0.1", "one"}, {"10.2.0.1", NULL}};
  for (int i = 0; i < 4; i++) outgoing_stays(family, &forms[i], i < 3);
}

TEST(the_outgoing_interface_in_every_form) { every_form(AF_INET); }
TEST(the_outgoing_interface_in_every_form_dual_stack) { every_form(AF_INET6); }

/* While it is connected to a link-local peer, the kernel lets a socket name no other interface. */
TEST(the_outgoing_interface_behind_a_link_local_peer) {
  fixture   f;
  udpr_addr peer;
  enter_network_namespace();
  add_device("one", 1);
  add_device("two", 2);
  OK(udpr_addr_parse("fe80::9%one", 9, &peer));
  set_up(&f, AF_INET6);
  set(f.fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, (int)if_nametoindex("two"));
  set_outgoing(f.fd, &(outgoing){"10.2.0.1", NULL});
  adopt(&f, 0);
  OK(udpr_transport_set_outgoing_interface(f.transport, if_nametoindex("one")));
  OK(udpr_transport_connect(f.transport, &peer));
  stop(&f);
  CHECK_EQ((int)if_nametoindex("two"), get(f.fd, IPPROTO_IPV6, IPV6_MULTICAST_IF));
  CHECK_EQ((int)inet_addr("10.2.0.1"), get(f.fd, IPPROTO_IP, IP_MULTICAST_IF));
  CHECK_EQ(0, get(f.fd, SOL_SOCKET, SO_BINDTOIFINDEX));
  tear_down(&f);
}

/* ---- the number ------------------------------------------------------------------------------------------------------ */

static void destination_has_the_number(bool connects) {
  fixture   f;
  int       peer = peer_open(AF_INET);
  udpr_addr to = peer_addr(peer);
  set_up(&f, AF_INET);
  adopt(&f, UDPR_UDP_PACKET_INFO);
  if (connects) OK(udpr_transport_connect(f.transport, &to));
  OK(udpr_transport_write(f.transport, "x", 1, connects ? NULL : &to));
  udpr_addr host = addr("127.0.0.1", host_of(f.transport).port);
  CHECK(host.port != 0);
  for (int i = 1; i < 3; i++) {
    peer_send(peer, &host, "y", 1);
    RUN_UNTIL(f.reactor, f.received == i);
    CHECK_ADDR(&host, &f.destination);
  }
  stop(&f);
  tear_down(&f);
  close(peer);
}

TEST(a_destination_has_the_number_of_the_first_write) { destination_has_the_number(false); }
TEST(a_destination_has_the_number_of_the_first_connect) { destination_has_the_number(true); }

CHECK_MAIN()
