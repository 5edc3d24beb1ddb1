/* Several ports share one number and receive from another host: each multicast datagram is delivered to every
 * member, each unicast datagram to one port.
 */
#include "network_namespace.h"
#include "two_hosts.h"

enum { PORT_NUMBER = 9999, SENT = 200 };

typedef struct member {
  udpr_transport *transport;
  int             count_received;
} member;

typedef struct fixture {
  two_hosts     hosts;
  udpr_reactor *reactor;
  member        first, second;
} fixture;

static void count_received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  (void)transport, (void)datagram;
  ((member *)user)->count_received++;
}

static void listen_shared(fixture *f, member *self, const char *any, uint32_t flags) {
  udpr_protocol    protocol = {.size = sizeof protocol, .user = self, .datagram_received = count_received};
  udpr_udp_options options = {.size = sizeof options, .flags = flags};
  *self = (member){0};
  OK(udpr_reactor_listen_multicast(f->reactor, PORT_NUMBER, any, &protocol, &options, &self->transport));
}

static void join(const member *self, const char *group, const char *device) {
  udpr_addr address = addr(group, 0);
  OK(udpr_transport_join_group(self->transport, &address, if_nametoindex(device)));
}

static void set_up(fixture *f, const char *any, uint32_t flags) {
  *f = (fixture){.reactor = NULL};
  two_hosts_create(&f->hosts);
  f->reactor = new_reactor(0);
  listen_shared(f, &f->first, any, flags);
  listen_shared(f, &f->second, any, flags);
}

static void tear_down(fixture *f) {
  udpr_transport_release(f->first.transport);
  udpr_transport_release(f->second.transport);
  OK(udpr_reactor_free(f->reactor)); /* closes both ports */
  two_hosts_close(&f->hosts);
}

/* Each datagram has another source port, which would select another port if the kernel hashed it. */
static void send_from_far(const fixture *f, const char *to) {
  udpr_addr target = addr(to, PORT_NUMBER);
  uint32_t  device;
  enter_far_host(&f->hosts);
  OK(udpr_interface_index("far", &device));
  for (int i = 0; i < SENT; i++) {
    udpr_reactor    *reactor = f->reactor;
    udpr_protocol    protocol = {.size = sizeof protocol};
    udpr_udp_options options = {.size = sizeof options};
    udpr_transport  *sender;
    const char      *any = target.family == UDPR_AF_INET6 ? "::" : NULL;
    OK(udpr_reactor_listen_udp(reactor, 0, any, &protocol, &options, &sender));
    OK(udpr_transport_set_outgoing_interface(sender, device));
    OK(udpr_transport_write(sender, "x", 1, &target));
    OK(udpr_transport_close(sender));
    udpr_transport_release(sender);
  }
  enter_near_host(&f->hosts);
}

/* The far host's datagrams stay in order. When the last one has arrived, so have all others. */
static void check_both_receive(const char *any, const char *group, uint32_t flags) {
  fixture f;
  set_up(&f, any, flags);
  join(&f.first, group, "near");
  join(&f.second, group, "near");
  send_from_far(&f, group);
  RUN_UNTIL(f.reactor, f.first.count_received == SENT && f.second.count_received == SENT);
  tear_down(&f);
}

TEST(every_member_receives_each_datagram_of_its_group) {
  check_both_receive(NULL, "228.0.0.5", UDPR_UDP_LISTEN_MULTIPLE);
}
TEST(every_member_receives_each_datagram_of_its_group_ipv6) {
  check_both_receive("::", "ff05::5", UDPR_UDP_LISTEN_MULTIPLE);
}
TEST(every_member_receives_each_datagram_of_its_group_reuse_address) {
  check_both_receive(NULL, "228.0.0.5", UDPR_UDP_REUSE_ADDRESS);
}
TEST(every_member_receives_each_datagram_of_its_group_dual_stack) {
  check_both_receive("::", "::ffff:228.0.0.5", UDPR_UDP_LISTEN_MULTIPLE);
}

static void check_only_first_receives(const char *any, const char *group, const char *other) {
  fixture f;
  set_up(&f, any, UDPR_UDP_LISTEN_MULTIPLE);
  join(&f.first, group, "near");
  join(&f.second, other, "near");
  send_from_far(&f, group);
  RUN_UNTIL(f.reactor, f.first.count_received + f.second.count_received >= SENT);
  CHECK_EQ(SENT, f.first.count_received);
  tear_down(&f);
}

/* The kernel's early demultiplexer looks up a group's socket if there is only one. */
TEST(a_member_of_another_group_receives_nothing) {
  check_only_first_receives(NULL, "228.0.0.5", "228.0.0.6");
}
TEST(a_member_of_another_group_receives_nothing_ipv6) {
  check_only_first_receives("::", "ff05::5", "ff05::6");
}

/* mDNS and SSDP use a port for each interface. */
TEST(a_member_on_another_interface_receives_nothing) {
  fixture f;
  set_up(&f, NULL, UDPR_UDP_LISTEN_MULTIPLE);
  run_command("ip link add other0 type veth peer name other1 && ip link set other0 up");
  join(&f.first, "228.0.0.5", "near");
  join(&f.second, "228.0.0.5", "other0");
  send_from_far(&f, "228.0.0.5");
  RUN_UNTIL(f.reactor, f.first.count_received + f.second.count_received >= SENT);
  CHECK_EQ(SENT, f.first.count_received);
  tear_down(&f);
}

TEST(a_unicast_datagram_goes_to_the_port_that_was_bound_last) {
  fixture f;
  set_up(&f, NULL, UDPR_UDP_LISTEN_MULTIPLE);
  send_from_far(&f, "10.77.0.1");
  RUN_UNTIL(f.reactor, f.first.count_received + f.second.count_received >= SENT);
  CHECK_EQ(SENT, f.second.count_received);
  tear_down(&f);
}

/* Twisted's listenMultiple sets both options, and so do many mDNS daemons. */
static int open_socket_with_both_options(void) {
  int                fd = socket(AF_INET, SOCK_DGRAM, 0), on = 1;
  struct sockaddr_in any = {.sin_family = AF_INET, .sin_port = htons(PORT_NUMBER)};
  CHECK_EQ(0, setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
  CHECK_EQ(0, setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on));
  CHECK_EQ(0, bind(fd, (struct sockaddr *)&any, sizeof any));
  return fd;
}

TEST(a_number_is_shared_with_sockets_that_have_both_options) {
  fixture f = {.reactor = NULL};
  two_hosts_create(&f.hosts);
  f.reactor = new_reactor(0);
  int fds[] = {open_socket_with_both_options(), -1, -1};
  listen_shared(&f, &f.first, NULL, UDPR_UDP_LISTEN_MULTIPLE);
  fds[1] = open_socket_with_both_options();
  listen_shared(&f, &f.second, NULL, UDPR_UDP_LISTEN_MULTIPLE | UDPR_UDP_REUSE_PORT);
  fds[2] = open_socket_with_both_options();
  join(&f.first, "228.0.0.5", "near");
  send_from_far(&f, "228.0.0.5");
  RUN_UNTIL(f.reactor, f.first.count_received == SENT);
  for (int i = 0; i < 3; i++) close(fds[i]);
  tear_down(&f);
}

/* With few numbers left, the kernel gives each to one port only, and then fails. */
static void check_port_0(uint32_t flags) {
  enum { NUMBERS = 8 };
  udpr_transport  *ports[NUMBERS], *more = NULL;
  udpr_protocol    protocol = {.size = sizeof protocol};
  udpr_udp_options options = {.size = sizeof options, .flags = flags};
  enter_network_namespace();
  if (system("echo '40000 40007' >/proc/sys/net/ipv4/ip_local_port_range") != 0)
    SKIP("needs to write to /proc/sys/net");
  udpr_reactor *reactor = new_reactor(0);
  for (int i = 0; i < NUMBERS; i++) {
    ports[i] = listen_on(reactor, "127.0.0.1", &protocol, &options);
    for (int before = 0; before < i; before++) CHECK(host_of(ports[i]).port != host_of(ports[before]).port);
  }
  CHECK_STATUS(UDPR_E_ADDRESS_IN_USE,
               udpr_reactor_listen_udp(reactor, 0, "127.0.0.1", &protocol, &options, &more));
  OK(udpr_reactor_listen_udp(reactor, host_of(ports[3]).port, "127.0.0.1", &protocol, &options, &more));
  for (int i = 0; i < NUMBERS; i++) udpr_transport_release(ports[i]);
  udpr_transport_release(more);
  OK(udpr_reactor_free(reactor));
}

TEST(port_0_is_a_distinct_number_listen_multiple) { check_port_0(UDPR_UDP_LISTEN_MULTIPLE); }
TEST(port_0_is_a_distinct_number_reuse_address) { check_port_0(UDPR_UDP_REUSE_ADDRESS); }
TEST(port_0_is_a_distinct_number_reuse_port) { check_port_0(UDPR_UDP_REUSE_PORT); }

CHECK_MAIN()
