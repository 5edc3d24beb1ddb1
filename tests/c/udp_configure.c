/* configure_socket: it is called with each new socket before its first bind, and what its failure does. */
#include "network_namespace.h"
#include "recorder.h"

#include <netinet/in.h>

typedef struct configurer {
  atomic_int  freed;
  udpr_status result;
  udpr_status (*act)(struct configurer *self, int fd);
  udpr_reactor *reactor;
  udpr_addr     local;
  int           calls, started, stopped, fds[4];
} configurer;

static int option_of(int fd, int level, int name) {
  int       value = -1;
  socklen_t len = sizeof value;
  CHECK_EQ(0, getsockopt(fd, level, name, &value, &len));
  return value;
}

static int set_int(int fd, int level, int name, int value) {
  return setsockopt(fd, level, name, &value, sizeof value);
}

static void check_unbound(int fd) {
  struct sockaddr_in6 host;
  socklen_t           len = sizeof host;
  CHECK_EQ(0, getsockname(fd, (struct sockaddr *)&host, &len));
  CHECK_EQ(0, host.sin6_port); /* at the same place as sin_port */
}

static udpr_status configure(udpr_socket fd, const udpr_addr *local, void *user) {
  configurer *self = user;
  CHECK(self->calls < 4 && self->freed == 0 && self->started == 0);
  self->fds[self->calls++] = fd;
  self->local = *local;
  check_unbound(fd);
  udpr_status status = self->act ? self->act(self, fd) : UDPR_OK;
  return status == UDPR_OK ? self->result : status;
}

static udpr_status start(udpr_transport *transport, void *user) {
  (void)transport;
  ((configurer *)user)->started++;
  return UDPR_OK;
}

static void stopped(udpr_transport *transport, udpr_status reason, void *user) {
  (void)transport, (void)reason;
  ((configurer *)user)->stopped++;
}

static udpr_protocol protocol_of(configurer *self) {
  return (udpr_protocol){.size = sizeof(udpr_protocol),
                         .user = self,
                         .free_user = count_free,
                         .start_protocol = start,
                         .stop_protocol = stopped,
                         .configure_socket = configure};
}

static udpr_status listen_as(configurer *self, const char *local_address, uint16_t port, uint32_t flags,
                             udpr_transport **out) {
  udpr_protocol    protocol = protocol_of(self);
  udpr_udp_options options = {.size = sizeof options, .flags = flags};
  return udpr_reactor_listen_udp(self->reactor, port, local_address, &protocol, &options, out);
}

static void close_and_release(udpr_transport *transport) {
  OK(udpr_transport_close(transport));
  udpr_transport_release(transport);
}

/* ---- when it is called ------------------------------------------------------------------------------------------ */

TEST(once_with_the_address_that_will_be_bound) {
  configurer      self = {.reactor = new_reactor(0)};
  udpr_protocol   protocol = protocol_of(&self);
  udpr_transport *out = NULL;
  udpr_addr       local = addr("127.0.0.7:0", 0);
  OK(listen_as(&self, "127.0.0.7", 0, 0, &out));
  CHECK_EQ(1, self.calls);
  CHECK_EQ(udpr_transport_fileno(out), self.fds[0]);
  CHECK_ADDR(&local, &self.local);
  uint16_t number = host_of(out).port;
  close_and_release(out);
  CHECK(self.started == 1 && self.stopped == 1 && self.freed == 1);

  self = (configurer){.reactor = self.reactor};
  OK(udpr_reactor_listen_multicast(self.reactor, number, NULL, &protocol, NULL, &out));
  local = addr("0.0.0.0", number);
  CHECK_EQ(1, self.calls);
  CHECK_ADDR(&local, &self.local);
  close_and_release(out);

  self = (configurer){.reactor = self.reactor};
  local = addr("::1", number);
  OK(udpr_reactor_listen_addr(self.reactor, &local, &protocol, NULL, &out));
  CHECK_EQ(1, self.calls);
  CHECK_ADDR(&local, &self.local);
  close_and_release(out);
  OK(udpr_reactor_free(self.reactor));
}

static udpr_status check_options(configurer *self, int fd) {
  (void)self;
  CHECK_EQ(1, option_of(fd, SOL_SOCKET, SO_BROADCAST));
  CHECK_EQ(1, option_of(fd, SOL_SOCKET, SO_TIMESTAMPNS));
  CHECK_EQ(1, option_of(fd, IPPROTO_IPV6, IPV6_V6ONLY));
  CHECK_EQ(1, option_of(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO));
  CHECK_EQ(1, option_of(fd, IPPROTO_IPV6, IPV6_RECVTCLASS));
  CHECK_EQ(1, option_of(fd, IPPROTO_IPV6, IPV6_RECVHOPLIMIT));
  CHECK_EQ(1, option_of(fd, IPPROTO_IPV6, IPV6_RECVERR));
  CHECK_EQ(IPV6_PMTUDISC_PROBE, option_of(fd, IPPROTO_IPV6, IPV6_MTU_DISCOVER));
  CHECK_EQ(1, option_of(fd, SOL_SOCKET, SO_REUSEADDR));
  return UDPR_OK;
}

TEST(after_the_options_of_the_library) {
  configurer      self = {.reactor = new_reactor(0), .act = check_options};
  udpr_transport *out = NULL;
  OK(listen_as(&self, "::1", 9999,
               UDPR_UDP_BROADCAST | UDPR_UDP_TIMESTAMPS | UDPR_UDP_V6_ONLY | UDPR_UDP_PACKET_INFO |
                   UDPR_UDP_TOS | UDPR_UDP_TTL | UDPR_UDP_ERROR_REPORTS | UDPR_UDP_DONT_FRAGMENT |
                   UDPR_UDP_REUSE_ADDRESS,
               &out));
  CHECK_EQ(1, self.calls);
  close_and_release(out);
  OK(udpr_reactor_free(self.reactor));
}

static udpr_status set_freebind_and_priority(configurer *self, int fd) {
  (void)self;
  CHECK_EQ(0, set_int(fd, SOL_SOCKET, SO_PRIORITY, 5));
  CHECK_EQ(0, set_int(fd, IPPROTO_IP, IP_FREEBIND, 1));
  return UDPR_OK;
}

/* With port 0 the socket is bound twice, and a port that shares its number has a second socket meanwhile: all of them are
 * bound to an address that this host does not have.
 */
TEST(an_address_of_no_interface) {
  const uint32_t flags[] = {0, UDPR_UDP_REUSE_PORT, UDPR_UDP_LISTEN_MULTIPLE};
  udpr_reactor  *reactor = new_reactor(0);
  for (int i = 0; i < 6; i++) {
    configurer      self = {.reactor = reactor, .act = set_freebind_and_priority};
    udpr_transport *out = NULL;
    uint16_t        number = i % 2 ? 9999 : 0;
    uint32_t        shares = flags[i / 2];
    OK(listen_as(&self, "192.0.2.1", number, shares, &out));
    udpr_addr host = host_of(out), local = addr("192.0.2.1", number);
    CHECK_ADDR(&local, &self.local);
    CHECK(host.port != 0 && host.bytes[0] == 192);
    CHECK_EQ(shares && number == 0 ? 2 : 1, self.calls);
    CHECK_EQ(udpr_transport_fileno(out), self.fds[0]);
    CHECK(self.calls == 1 || self.fds[0] != self.fds[1]);
    CHECK_EQ(5, option_of(self.fds[0], SOL_SOCKET, SO_PRIORITY));
    close_and_release(out);
    CHECK_EQ(1, self.freed);
    self = (configurer){.reactor = reactor};
    CHECK_STATUS(UDPR_E_ADDRESS_NOT_AVAILABLE, listen_as(&self, "192.0.2.1", number, shares, NULL));
    CHECK(self.started == 0 && self.stopped == 0 && self.freed == 1);
  }
  OK(udpr_reactor_free(reactor));
}

static udpr_status set_mark(configurer *self, int fd) {
  (void)self;
  return set_int(fd, SOL_SOCKET, SO_MARK, 77) == 0 ? UDPR_OK : UDPR_E_SYSTEM - errno;
}

TEST(a_mark) {
  configurer      self = {.reactor = new_reactor(0), .act = set_mark};
  udpr_transport *out = NULL;
  udpr_status     status = listen_as(&self, "127.0.0.1", 0, 0, &out);
  if (status == UDPR_E_SYSTEM - EPERM || status == UDPR_E_PERMISSION) SKIP("SO_MARK needs CAP_NET_ADMIN");
  OK(status);
  CHECK_EQ(77, option_of(udpr_transport_fileno(out), SOL_SOCKET, SO_MARK));
  close_and_release(out);
  OK(udpr_reactor_free(self.reactor));
}

TEST(not_for_adopted_sockets) {
  configurer      self = {.reactor = new_reactor(0)};
  udpr_protocol   protocol = protocol_of(&self);
  udpr_transport *out = NULL;
  int             fd = peer_open(AF_INET), unbound = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  OK(udpr_reactor_adopt_datagram_port(self.reactor, fd, UDPR_AF_UNSPEC, &protocol, NULL, &out));
  close_and_release(out);
  OK(udpr_reactor_adopt_datagram_port(self.reactor, unbound, UDPR_AF_UNSPEC, &protocol, NULL, &out));
  close_and_release(out);
  CHECK_EQ(0, self.calls);
  OK(udpr_reactor_free(self.reactor));
  close(fd), close(unbound);
}

static void live_on(void *user) {
  configurer *self = user;
  OK(udpr_reactor_after_fork(self->reactor));
  run_turns(self->reactor, 3);
  CHECK_EQ(1, self->calls);
}

TEST(not_by_after_fork) {
  configurer      self = {.reactor = new_reactor(0)};
  udpr_transport *out = NULL;
  OK(listen_as(&self, "127.0.0.1", 0, 0, &out));
  run_in_killed_child(live_on, &self);
  close_and_release(out);
  OK(udpr_reactor_free(self.reactor));
}

/* ---- failures ---------------------------------------------------------------------------------------------------- */

static void check_fails_as(udpr_status result, udpr_status expected, uint32_t flags) {
  configurer      self = {.reactor = new_reactor(0), .result = result};
  int             before = check_count_descriptors();
  udpr_transport *untouched = (udpr_transport *)(void *)&self, *out = untouched;
  CHECK_STATUS(expected, listen_as(&self, "127.0.0.1", 0, flags, &out));
  CHECK(out == untouched);
  CHECK_EQ(before, check_count_descriptors());
  CHECK_EQ(1, self.freed);
  run_turns(self.reactor, 3);
  CHECK(self.calls == 1 && self.started == 0 && self.stopped == 0);
  OK(udpr_reactor_free(self.reactor));
  CHECK_EQ(1, self.freed);
}

TEST(a_failure_fails_the_listen) {
  check_fails_as(UDPR_E_PERMISSION, UDPR_E_PERMISSION, 0);
  check_fails_as(UDPR_E_PERMISSION, UDPR_E_PERMISSION, UDPR_UDP_REUSE_PORT);
  check_fails_as(UDPR_E_SYSTEM - ENOTTY, UDPR_E_SYSTEM - ENOTTY, 0);
  check_fails_as(-12345, -12345, 0);
  check_fails_as(UDPR_PENDING, UDPR_E_INVALID_ARGUMENT, 0);
  check_fails_as(INT32_MAX, UDPR_E_INVALID_ARGUMENT, 0);
}

static udpr_status fail_second(configurer *self, int fd) {
  (void)fd;
  return self->calls == 2 ? UDPR_E_PERMISSION : UDPR_OK;
}

TEST(a_failure_for_the_second_socket_fails_the_listen) {
  configurer self = {.reactor = new_reactor(0), .act = fail_second};
  int        before = check_count_descriptors();
  CHECK_STATUS(UDPR_E_PERMISSION, listen_as(&self, "127.0.0.1", 0, UDPR_UDP_REUSE_PORT, NULL));
  CHECK_EQ(before, check_count_descriptors());
  CHECK(self.calls == 2 && self.started == 0 && self.stopped == 0 && self.freed == 1);
  OK(udpr_reactor_free(self.reactor));
}

static udpr_status bind_it(configurer *self, int fd) {
  (void)self;
  struct sockaddr_in any = {.sin_family = AF_INET};
  CHECK_EQ(0, bind(fd, (struct sockaddr *)&any, sizeof any));
  return UDPR_OK;
}

static udpr_status close_it(configurer *self, int fd) {
  (void)self;
  CHECK_EQ(0, close(fd));
  return UDPR_OK;
}

TEST(a_socket_that_it_binds_or_closes_fails_the_listen) {
  const uint32_t flags[] = {0, UDPR_UDP_REUSE_PORT};
  for (int i = 0; i < 2; i++) {
    configurer self = {.reactor = new_reactor(0), .act = bind_it};
    int        before = check_count_descriptors();
    CHECK(listen_as(&self, "127.0.0.1", 0, flags[i], NULL) < 0);
    self.act = close_it, self.calls = 0, self.freed = 0;
    CHECK_STATUS(UDPR_E_SYSTEM - EBADF, listen_as(&self, "127.0.0.1", 0, flags[i], NULL));
    CHECK_EQ(before, check_count_descriptors());
    CHECK(self.started == 0 && self.freed == 1);
    OK(udpr_reactor_free(self.reactor));
  }
}

/* ---- what it may do ------------------------------------------------------------------------------------------------ */

enum { INNER = 100 };

static udpr_status listen_inside(configurer *self, int fd) {
  udpr_protocol protocol = {.size = sizeof protocol};
  (void)fd;
  for (int i = 0; i < INNER; i++)
    OK(udpr_reactor_listen_udp(self->reactor, 0, "127.0.0.1", &protocol, NULL, NULL));
  return UDPR_OK;
}

static void count_visit(udpr_transport *transport, void *user) {
  (void)transport;
  ++*(int *)user;
}

TEST(other_ports_are_made_inside) {
  configurer self = {.reactor = new_reactor(0), .act = listen_inside};
  int        open = 0;
  OK(listen_as(&self, "127.0.0.1", 0, 0, NULL));
  OK(udpr_reactor_each_transport(self.reactor, count_visit, &open));
  CHECK_EQ(INNER + 1, open);
  OK(udpr_reactor_free(self.reactor));
  CHECK_EQ(1, self.freed);
}

static udpr_status bind_to_loopback(configurer *self, int fd) {
  (void)self;
  return setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", 3) == 0 ? UDPR_OK : UDPR_E_SYSTEM - errno;
}

/* A device that is set here is the port's, as one that bind_device names: with port 0 and after a connection, too. */
TEST(a_device) {
  const uint32_t flags[] = {0, UDPR_UDP_REUSE_PORT};
  enter_network_namespace();
  run_ip("link add other type veth peer name end");
  run_ip("link set other up");
  run_ip("addr add 10.9.8.1/24 dev other");
  for (int i = 0; i < 2; i++) {
    configurer      self = {.reactor = new_reactor(0), .act = bind_to_loopback};
    udpr_transport *out = NULL;
    char            device[IF_NAMESIZE];
    size_t          len = sizeof device, taken;
    udpr_addr       peer = addr("127.0.0.1", 9), elsewhere = addr("10.9.8.2", 9);
    udpr_message    message = {.size = sizeof message, .to = &elsewhere};
    message.interface_index = interface_index("other");
    OK(listen_as(&self, "0.0.0.0", 0, flags[i], &out));
    OK(udpr_transport_connect(out, &peer));
    OK(udpr_transport_disconnect(out));
    OK(udpr_transport_get_option(out, SOL_SOCKET, SO_BINDTODEVICE, device, &len));
    CHECK_STR("lo", device);
    CHECK_STATUS(UDPR_E_NETWORK_UNREACHABLE, udpr_transport_write_messages(out, &message, 1, &taken));
    close_and_release(out);
    OK(udpr_reactor_free(self.reactor));
  }
}

CHECK_MAIN()
