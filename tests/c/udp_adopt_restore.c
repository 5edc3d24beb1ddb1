/* When a port of an adopted socket closes, the socket's options are restored, in whatever form its owner had
 * set them.
 */
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

static void close_port(fixture *f) {
  OK(udpr_transport_close(f->transport));
  udpr_transport_release(f->transport);
}

static void tear_down(fixture *f) {
  OK(udpr_reactor_free(f->reactor));
  close(f->fd);
}

static int get_int_option(int fd, int level, int name) {
  int       value = 0;
  socklen_t len = sizeof value;
  CHECK_EQ(0, getsockopt(fd, level, name, &value, &len));
  return value;
}

static void set_int_option(int fd, int level, int name, int value) {
  CHECK_EQ(0, setsockopt(fd, level, name, &value, sizeof value));
}

static udpr_status fail_start(udpr_transport *transport, void *user) {
  (void)transport, (void)user;
  return UDPR_E_CANCELLED;
}

/* ---- timestamps: the kernel keeps one of the forms ----------------------------------------------------- */

/* From linux/socket.h: SO_TIMESTAMP and SO_TIMESTAMPNS for both sizes of time, and SO_TIMESTAMPING. */
static const int timestamp_options[] = {29, 35, 63, 64, 37, 65};
enum { TIMESTAMP_OPTIONS = sizeof timestamp_options / sizeof *timestamp_options };

static void get_timestamps(int fd, int values[TIMESTAMP_OPTIONS]) {
  for (int i = 0; i < TIMESTAMP_OPTIONS; i++)
    values[i] = get_int_option(fd, SOL_SOCKET, timestamp_options[i]);
}

/* The two options that take a mask request software receive timestamps. */
static void set_timestamp(int fd, int name) {
  set_int_option(fd, SOL_SOCKET, name, name == 37 || name == 65 ? 0x18 : 1);
}

static void check_timestamps_restored(int first, int second, bool fails) {
  fixture f;
  int     before[TIMESTAMP_OPTIONS], after[TIMESTAMP_OPTIONS];
  set_up(&f, AF_INET6);
  if (first) set_timestamp(f.fd, first);
  if (second) set_timestamp(f.fd, second);
  get_timestamps(f.fd, before);
  if (fails) {
    udpr_protocol    protocol = {.size = sizeof protocol, .start_protocol = fail_start};
    udpr_udp_options options = {.size = sizeof options, .flags = UDPR_UDP_TIMESTAMPS};
    CHECK_STATUS(UDPR_E_CANCELLED,
                 udpr_reactor_adopt_datagram_port(f.reactor, f.fd, 0, &protocol, &options, &f.transport));
  } else {
    adopt(&f, UDPR_UDP_TIMESTAMPS);
    CHECK_EQ(1, get_int_option(f.fd, SOL_SOCKET, SO_TIMESTAMPNS));
    close_port(&f);
  }
  get_timestamps(f.fd, after);
  for (int i = 0; i < TIMESTAMP_OPTIONS; i++) CHECK_EQ(before[i], after[i]);
  tear_down(&f);
}

TEST(every_timestamp_option) {
  for (int i = 0; i < TIMESTAMP_OPTIONS; i++) {
    check_timestamps_restored(timestamp_options[i], 0, false);
    check_timestamps_restored(timestamp_options[i], 0, true);
    for (int j = 0; j < TIMESTAMP_OPTIONS; j++)
      check_timestamps_restored(timestamp_options[i], timestamp_options[j], false);
  }
  check_timestamps_restored(0, 0, false);
}

/* ---- numeric options ----------------------------------------------------------------------------------- */

TEST(buffers_above_the_unprivileged_limit) {
  static const int names[][2] = {{SO_RCVBUF, SO_RCVBUFFORCE}, {SO_SNDBUF, SO_SNDBUFFORCE}};
  udpr_protocol    protocol = {.size = sizeof protocol};
  udpr_udp_options options = {.size = sizeof options, .receive_buffer = 32768, .send_buffer = 32768};
  int              large = 64 << 20;
  fixture          f;
  set_up(&f, AF_INET);
  for (int i = 0; i < 2; i++)
    if (setsockopt(f.fd, SOL_SOCKET, names[i][1], &large, sizeof large) != 0) SKIP("needs CAP_NET_ADMIN");
  OK(udpr_reactor_adopt_datagram_port(f.reactor, f.fd, 0, &protocol, &options, &f.transport));
  for (int i = 0; i < 2; i++) CHECK_EQ(2 * 32768, get_int_option(f.fd, SOL_SOCKET, names[i][0]));
  close_port(&f);
  for (int i = 0; i < 2; i++) CHECK_EQ(2 * large, get_int_option(f.fd, SOL_SOCKET, names[i][0]));
  tear_down(&f);
}

static void set_sysctl(const char *path, const char *value) {
  int fd = open(path, O_WRONLY);
  if (fd < 0) SKIP("this network's settings cannot be changed");
  CHECK_EQ(strlen(value), write(fd, value, strlen(value)));
  close(fd);
}

/* A socket that followed the system's default must do so again. */
static void check_hops_restored(int family, int level, int name, const char *system_path) {
  fixture f;
  enter_network_namespace();
  set_up(&f, family);
  adopt(&f, 0);
  OK(udpr_transport_set_unicast_ttl(f.transport, 9));
  OK(udpr_transport_set_unicast_ttl(f.transport, 10));
  CHECK_EQ(10, get_int_option(f.fd, level, name));
  close_port(&f);
  set_sysctl(system_path, "77");
  CHECK_EQ(77, get_int_option(f.fd, level, name));
  set_int_option(f.fd, level, name, 9);
  adopt(&f, 0);
  OK(udpr_transport_set_unicast_ttl(f.transport, 10));
  close_port(&f);
  CHECK_EQ(9, get_int_option(f.fd, level, name));
  tear_down(&f);
}

TEST(the_default_ttl) {
  check_hops_restored(AF_INET, IPPROTO_IP, IP_TTL, "/proc/sys/net/ipv4/ip_default_ttl");
}
TEST(the_default_ttl_dual_stack) {
  check_hops_restored(AF_INET6, IPPROTO_IP, IP_TTL, "/proc/sys/net/ipv4/ip_default_ttl");
}
TEST(the_default_hop_limit) {
  check_hops_restored(AF_INET6, IPPROTO_IPV6, IPV6_UNICAST_HOPS, "/proc/sys/net/ipv6/conf/all/hop_limit");
}

/* ---- the outgoing interface for groups ----------------------------------------------------------------- */

typedef struct outgoing {
  const char *address, *interface; /* set by the owner; NULL if not set */
} outgoing;

static void set_outgoing(int fd, const outgoing *form) {
  struct ip_mreqn request = {.imr_ifindex = form->interface ? (int)if_nametoindex(form->interface) : 0};
  if (form->address) inet_pton(AF_INET, form->address, &request.imr_address);
  if (!form->interface) CHECK_EQ(0, setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &request.imr_address, 4));
  else CHECK_EQ(0, setsockopt(fd, IPPROTO_IP, IP_MULTICAST_IF, &request, sizeof request));
}

static void write_on_socket(int fd, const udpr_addr *group) {
  struct sockaddr_storage name;
  size_t                  len;
  OK(udpr_addr_to_sockaddr(group, &name, sizeof name, &len));
  CHECK_EQ(6, sendto(fd, "secret", 6, 0, (struct sockaddr *)&name, (socklen_t)len));
}

static void check_left(const tapped_device *one, const tapped_device *two, int by_one, int by_two) {
  CHECK_EQ(by_one, count_leaving(one));
  CHECK_EQ(by_two, count_leaving(two));
}

/* Every way to write uses the chosen interface. */
static void check_port_writes(fixture *f, const udpr_addr *group, const tapped_device *one,
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
  check_left(one, two, by_one ? 5 : 0, by_one ? 0 : 5);
}

static void check_outgoing_restored(int family, const outgoing *form, bool by_one) {
  fixture       f;
  tapped_device one, two;
  udpr_addr     group = addr(family == AF_INET ? "239.1.1.1" : "::ffff:239.1.1.1", 9);
  enter_network_namespace();
  pin_to_current_core();
  add_device("one", 1);
  add_device("two", 2);
  run_ip("route add 239.1.1.1/32 dev %s", by_one ? "one" : "two");
  open_tap(&one, "one", 1);
  open_tap(&two, "two", 2);
  set_up(&f, family);
  set_outgoing(f.fd, form);
  write_on_socket(f.fd, &group);
  check_left(&one, &two, by_one, !by_one);
  adopt(&f, 0);
  OK(udpr_transport_set_outgoing_interface(f.transport, if_nametoindex("one")));
  check_port_writes(&f, &group, &one, &two, 1);
  OK(udpr_transport_set_outgoing_interface(f.transport, if_nametoindex("two")));
  check_port_writes(&f, &group, &one, &two, 0);
  close_port(&f);
  write_on_socket(f.fd, &group);
  check_left(&one, &two, by_one, !by_one);
  close(one.fd), close(one.marker), close(two.fd), close(two.marker);
  tear_down(&f);
}

/* The form with an index only is missing: the kernel returns only the address, not the index (ip(7)). */
static void check_every_form(int family) {
  static const outgoing forms[] = {{NULL, NULL}, {"10.1.0.1", NULL}, {"10.1.0.1", "one"}, {"10.2.0.1", NULL}};
  for (int i = 0; i < 4; i++) check_outgoing_restored(family, &forms[i], i < 3);
}

TEST(the_outgoing_interface_in_every_form) { check_every_form(AF_INET); }
TEST(the_outgoing_interface_in_every_form_dual_stack) { check_every_form(AF_INET6); }

/* While a socket is connected to a link-local peer, the kernel does not let it select another interface. */
TEST(the_outgoing_interface_while_connected_to_a_link_local_peer) {
  fixture   f;
  udpr_addr peer;
  enter_network_namespace();
  add_device("one", 1);
  add_device("two", 2);
  OK(udpr_addr_parse("fe80::9%one", 9, &peer));
  set_up(&f, AF_INET6);
  set_int_option(f.fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, (int)if_nametoindex("two"));
  set_outgoing(f.fd, &(outgoing){"10.2.0.1", NULL});
  adopt(&f, 0);
  OK(udpr_transport_set_outgoing_interface(f.transport, if_nametoindex("one")));
  OK(udpr_transport_connect(f.transport, &peer));
  close_port(&f);
  CHECK_EQ((int)if_nametoindex("two"), get_int_option(f.fd, IPPROTO_IPV6, IPV6_MULTICAST_IF));
  CHECK_EQ((int)inet_addr("10.2.0.1"), get_int_option(f.fd, IPPROTO_IP, IP_MULTICAST_IF));
  CHECK_EQ(0, get_int_option(f.fd, SOL_SOCKET, SO_BINDTOIFINDEX));
  tear_down(&f);
}

/* ---- the port number ----------------------------------------------------------------------------------- */

static void check_destination_port(bool connects) {
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
  close_port(&f);
  tear_down(&f);
  close(peer);
}

TEST(the_destination_has_the_number_bound_by_the_first_write) { check_destination_port(false); }
TEST(the_destination_has_the_number_bound_by_connect) { check_destination_port(true); }

CHECK_MAIN()
