/* listen_udp: which address it binds, its errors, and the options needed to share a port number. */
#include "check.h"
#include <fcntl.h>

typedef struct user {
  atomic_int freed;
} user;

static udpr_protocol check_freed(user *u) {
  return (udpr_protocol){.size = sizeof(udpr_protocol), .user = u, .free_user = count_free};
}

static void close_and_release(udpr_transport *transport) {
  OK(udpr_transport_close(transport));
  udpr_transport_release(transport);
}

/* listen_udp fails, does not set `out`, leaves no descriptor open, and frees the user once. */
static void check_refused(udpr_reactor *reactor, udpr_status expected, uint16_t port,
                          const char *local_address, const udpr_udp_options *options) {
  user            u = {0};
  udpr_protocol   protocol = check_freed(&u);
  udpr_transport *untouched = (udpr_transport *)(void *)&u, *out = untouched;
  int             before = check_count_descriptors();
  CHECK_STATUS(expected, udpr_reactor_listen_udp(reactor, port, local_address, &protocol, options, &out));
  CHECK_EQ(before, check_count_descriptors());
  CHECK_EQ(1, u.freed);
  CHECK(out == untouched);
}

/* ---- the bound address --------------------------------------------------------------------------------- */

TEST(port_0_is_the_kernels_choice) {
  udpr_reactor   *reactor = new_reactor(0);
  udpr_protocol   protocol = {.size = sizeof protocol};
  udpr_transport *one = listen_on(reactor, "127.0.0.1", &protocol, NULL),
                 *two = listen_on(reactor, "127.0.0.1", &protocol, NULL);
  udpr_addr first = host_of(one), second = host_of(two);
  CHECK(first.port != 0 && second.port != 0 && first.port != second.port);
  CHECK(udpr_transport_fileno(one) >= 0);
  CHECK(udpr_transport_fileno(one) != udpr_transport_fileno(two));
  CHECK(udpr_transport_reactor(one) == reactor);
  close_and_release(one);
  close_and_release(two);
  OK(udpr_reactor_free(reactor));
}

TEST(a_number_is_free_again_after_close) {
  udpr_reactor   *reactor = new_reactor(0);
  udpr_protocol   protocol = {.size = sizeof protocol};
  udpr_transport *transport = listen_on(reactor, "127.0.0.1", &protocol, NULL);
  udpr_addr       host = host_of(transport);
  close_and_release(transport);
  OK(udpr_reactor_listen_udp(reactor, host.port, "127.0.0.1", &protocol, NULL, &transport));
  udpr_addr again = host_of(transport);
  CHECK_ADDR(&host, &again);
  close_and_release(transport);
  OK(udpr_reactor_free(reactor));
}

TEST(null_and_empty_are_every_ipv4_address) {
  udpr_reactor *reactor = new_reactor(0);
  udpr_protocol protocol = {.size = sizeof protocol};
  const char   *texts[] = {NULL, "", "0.0.0.0"};
  for (size_t i = 0; i < 3; i++) {
    udpr_transport *transport = listen_on(reactor, texts[i], &protocol, NULL);
    udpr_addr       host = host_of(transport), any = addr("0.0.0.0", host.port);
    CHECK_ADDR(&any, &host);
    close_and_release(transport);
  }
  OK(udpr_reactor_free(reactor));
}

TEST(out_may_be_null) {
  user          u = {0};
  udpr_reactor *reactor = new_reactor(0);
  udpr_protocol protocol = check_freed(&u);
  OK(udpr_reactor_listen_udp(reactor, 0, "127.0.0.1", &protocol, NULL, NULL));
  CHECK_EQ(0, u.freed);
  OK(udpr_reactor_free(reactor)); /* closes the port */
  CHECK_EQ(1, u.freed);
}

TEST(the_socket_is_non_blocking_and_close_on_exec) {
  udpr_reactor   *reactor = new_reactor(0);
  udpr_protocol   protocol = {.size = sizeof protocol};
  udpr_transport *transport = listen_on(reactor, "127.0.0.1", &protocol, NULL);
  CHECK(fcntl(udpr_transport_fileno(transport), F_GETFL) & O_NONBLOCK);
  CHECK(fcntl(udpr_transport_fileno(transport), F_GETFD) & FD_CLOEXEC);
  OK(udpr_transport_close(transport));
  CHECK_EQ(-1, udpr_transport_fileno(transport));
  udpr_transport_release(transport);
  OK(udpr_reactor_free(reactor));
}

/* ---- listen_addr --------------------------------------------------------------------------------------- */

TEST(listen_addr_binds_the_address_and_the_number) {
  udpr_reactor *reactor = new_reactor(0);
  udpr_protocol protocol = {.size = sizeof protocol};
  const char   *texts[] = {"0.0.0.0", "127.0.0.1", "127.0.0.2", "::", "::1", "::ffff:127.0.0.1"};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
    udpr_addr       local = addr(texts[i], 0);
    udpr_transport *transport = NULL;
    OK(udpr_reactor_listen_addr(reactor, &local, &protocol, NULL, &transport));
    udpr_addr host = host_of(transport);
    CHECK(host.port != 0);
    close_and_release(transport);
    local.port = host.port;
    CHECK_ADDR(&local, &host);
    OK(udpr_reactor_listen_addr(reactor, &local, &protocol, NULL, &transport));
    host = host_of(transport);
    CHECK_ADDR(&local, &host);
    udpr_status status = udpr_reactor_listen_addr(reactor, &local, &protocol, NULL, NULL);
    CHECK_STATUS(UDPR_E_ADDRESS_IN_USE, status);
    close_and_release(transport);
  }
  OK(udpr_reactor_free(reactor));
}

TEST(listen_addr_ignores_the_flow_and_what_ipv4_does_not_use) {
  udpr_reactor   *reactor = new_reactor(0);
  udpr_protocol   protocol = {.size = sizeof protocol};
  udpr_transport *transport = NULL;
  udpr_addr       v4 = addr("127.0.0.1", 0), v6 = addr("::1", 0), host;
  v4.flow_info = v6.flow_info = 0xffffffff;
  v4.scope_id = 0xffffffff;
  memset(v4.bytes + 4, 0xff, 12);
  OK(udpr_reactor_listen_addr(reactor, &v4, &protocol, NULL, &transport));
  host = host_of(transport);
  udpr_addr expected = addr("127.0.0.1", host.port);
  CHECK_ADDR(&expected, &host);
  close_and_release(transport);
  OK(udpr_reactor_listen_addr(reactor, &v6, &protocol, NULL, &transport));
  host = host_of(transport);
  expected = addr("::1", host.port);
  CHECK_ADDR(&expected, &host);
  CHECK_EQ(0, host.flow_info);
  close_and_release(transport);
  OK(udpr_reactor_free(reactor));
}

static void check_addr_refused(udpr_reactor *reactor, udpr_status expected, const udpr_addr *local,
                               const udpr_udp_options *options) {
  user            u = {0};
  udpr_protocol   protocol = check_freed(&u);
  udpr_transport *untouched = (udpr_transport *)(void *)&u, *out = untouched;
  int             before = check_count_descriptors();
  CHECK_STATUS(expected, udpr_reactor_listen_addr(reactor, local, &protocol, options, &out));
  CHECK_EQ(before, check_count_descriptors());
  CHECK_EQ(1, u.freed);
  CHECK(out == untouched);
}

TEST(listen_addr_refuses) {
  udpr_reactor *reactor = new_reactor(0);
  udpr_addr     good = addr("127.0.0.1", 0), wrong = good, elsewhere = addr("192.0.2.1", 0);
  check_addr_refused(reactor, UDPR_E_INVALID_ARGUMENT, NULL, NULL);
  const uint16_t families[] = {UDPR_AF_UNSPEC, AF_INET, AF_INET6, 5, 65535};
  for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
    wrong.family = families[i];
    if (wrong.family == UDPR_AF_INET || wrong.family == UDPR_AF_INET6) continue;
    check_addr_refused(reactor, UDPR_E_INVALID_ARGUMENT, &wrong, NULL);
  }
  wrong = good;
  wrong.reserved = 1;
  check_addr_refused(reactor, UDPR_E_INVALID_ARGUMENT, &wrong, NULL);
  check_addr_refused(reactor, UDPR_E_ADDRESS_NOT_AVAILABLE, &elsewhere, NULL);
  udpr_udp_options options = {.size = sizeof options, .flags = UDPR_UDP_TAKE_FD};
  check_addr_refused(reactor, UDPR_E_INVALID_ARGUMENT, &good, &options);
  options = (udpr_udp_options){.size = sizeof options, .reserved = 1};
  check_addr_refused(reactor, UDPR_E_VERSION, &good, &options);
  OK(udpr_reactor_free(reactor));
}

/* ---- errors of bind ------------------------------------------------------------------------------------ */

TEST(address_in_use) {
  udpr_reactor   *reactor = new_reactor(0);
  udpr_protocol   protocol = {.size = sizeof protocol};
  udpr_transport *transport = listen_on(reactor, "127.0.0.1", &protocol, NULL);
  check_refused(reactor, UDPR_E_ADDRESS_IN_USE, host_of(transport).port, "127.0.0.1", NULL);
  check_refused(reactor, UDPR_E_ADDRESS_IN_USE, host_of(transport).port, NULL, NULL);
  close_and_release(transport);
  OK(udpr_reactor_free(reactor));
}

TEST(an_address_of_another_host) {
  udpr_reactor *reactor = new_reactor(0);
  check_refused(reactor, UDPR_E_ADDRESS_NOT_AVAILABLE, 0, "192.0.2.1", NULL);
  check_refused(reactor, UDPR_E_ADDRESS_NOT_AVAILABLE, 0, "2001:db8::1", NULL);
  OK(udpr_reactor_free(reactor));
}

TEST(only_bare_literals) {
  udpr_reactor *reactor = new_reactor(0);
  const char   *texts[] = {"localhost", "example.com", "lo",         "127.0.0.1:53", "[::1]",
                           "[::1]:53",  "127.1",       "0x7f.0.0.1", " 127.0.0.1"};
  for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    check_refused(reactor, UDPR_E_INVALID_ADDRESS, 0, texts[i], NULL);
  OK(udpr_reactor_free(reactor));
}

/* Returns the first port number that needs no privilege on this system. */
static int first_unprivileged_port(void) {
  int   port = 1024;
  FILE *file = fopen("/proc/sys/net/ipv4/ip_unprivileged_port_start", "r");
  if (!file) return port;
  if (fscanf(file, "%d", &port) != 1) port = 1024;
  fclose(file);
  return port;
}

static void listen_unprivileged(void *arg) {
  (void)arg;
  if (geteuid() == 0) CHECK(setgid(65534) == 0 && setuid(65534) == 0);
  udpr_reactor   *reactor = new_reactor(0);
  udpr_protocol   protocol = {.size = sizeof protocol};
  udpr_transport *out = NULL;
  CHECK_STATUS(UDPR_E_ACCESS, udpr_reactor_listen_udp(reactor, 1, "127.0.0.1", &protocol, NULL, &out));
  CHECK(out == NULL);
  OK(udpr_reactor_listen_udp(reactor, 0, "127.0.0.1", &protocol, NULL, &out));
  close_and_release(out);
  OK(udpr_reactor_free(reactor));
}

TEST(a_privileged_port_without_the_privilege) {
  if (first_unprivileged_port() <= 1) SKIP("this kernel gives every port to everybody");
  run_in_child(listen_unprivileged, NULL);
}

/* ---- shared port numbers ------------------------------------------------------------------------------- */

static void check_shared(uint32_t flags) {
  udpr_reactor    *reactor = new_reactor(0);
  udpr_protocol    protocol = {.size = sizeof protocol};
  udpr_udp_options options = {.size = sizeof options, .flags = flags};
  udpr_transport  *one = listen_on(reactor, "127.0.0.1", &protocol, &options), *two = NULL;
  udpr_addr        host = host_of(one);
  OK(udpr_reactor_listen_udp(reactor, host.port, "127.0.0.1", &protocol, &options, &two));
  CHECK(one != two);
  /* both ports must set the option */
  check_refused(reactor, UDPR_E_ADDRESS_IN_USE, host.port, "127.0.0.1", NULL);
  close_and_release(two);
  close_and_release(one);
  OK(udpr_reactor_free(reactor));
}

TEST(reuse_address_shares) { check_shared(UDPR_UDP_REUSE_ADDRESS); }
TEST(reuse_port_shares) { check_shared(UDPR_UDP_REUSE_PORT); }
TEST(listen_multiple_shares) { check_shared(UDPR_UDP_LISTEN_MULTIPLE); }

static int option_of(udpr_transport *transport, int name) {
  int       value = -1;
  socklen_t len = sizeof value;
  CHECK_EQ(0, getsockopt(udpr_transport_fileno(transport), SOL_SOCKET, name, &value, &len));
  return value;
}

TEST(each_flag_sets_its_own_options) {
  udpr_reactor *reactor = new_reactor(0);
  udpr_protocol protocol = {.size = sizeof protocol};
  struct {
    uint32_t flags;
    int      address, port;
  } expected[] = {{0, 0, 0},
                  {UDPR_UDP_REUSE_ADDRESS, 1, 0},
                  {UDPR_UDP_REUSE_PORT, 0, 1},
                  {UDPR_UDP_LISTEN_MULTIPLE, 1, 0},
                  {UDPR_UDP_LISTEN_MULTIPLE | UDPR_UDP_REUSE_PORT, 1, 1}};
  for (size_t i = 0; i < 5; i++) {
    udpr_udp_options options = {.size = sizeof options, .flags = expected[i].flags};
    udpr_transport  *transport = listen_on(reactor, "127.0.0.1", &protocol, &options);
    CHECK_EQ(expected[i].address, option_of(transport, SO_REUSEADDR) != 0);
    CHECK_EQ(expected[i].port, option_of(transport, SO_REUSEPORT) != 0);
    close_and_release(transport);
  }
  OK(udpr_reactor_free(reactor));
}

static void count_datagrams(udpr_transport *transport, const udpr_datagram *datagram, void *counter) {
  (void)transport, (void)datagram;
  ++*(int *)counter;
}

TEST(reuse_port_spreads_flows) {
  enum { CLIENTS = 64 };
  int              counts[2] = {0};
  udpr_reactor    *reactor = new_reactor(0);
  udpr_udp_options options = {.size = sizeof options, .flags = UDPR_UDP_REUSE_PORT};
  udpr_protocol    protocol = {.size = sizeof protocol,
                               .user = &counts[0],
                               .datagram_received = count_datagrams};
  udpr_transport  *one = listen_on(reactor, "127.0.0.1", &protocol, &options), *two = NULL;
  udpr_addr        host = host_of(one);
  protocol.user = &counts[1];
  OK(udpr_reactor_listen_udp(reactor, host.port, "127.0.0.1", &protocol, &options, &two));
  for (int i = 0; i < CLIENTS; i++) {
    int peer = peer_open(AF_INET);
    peer_send(peer, &host, "x", 1);
    close(peer);
  }
  RUN_UNTIL(reactor, counts[0] + counts[1] == CLIENTS);
  CHECK(counts[0] > 0 && counts[1] > 0); /* all on one side only by chance, once in 2^63 */
  close_and_release(two);
  close_and_release(one);
  OK(udpr_reactor_free(reactor));
}

/* ---- buffer sizes -------------------------------------------------------------------------------------- */

TEST(buffer_sizes) {
  udpr_reactor    *reactor = new_reactor(0);
  udpr_protocol    protocol = {.size = sizeof protocol};
  udpr_udp_options options = {.size = sizeof options, .receive_buffer = 16384, .send_buffer = 8192};
  udpr_transport  *transport = listen_on(reactor, "127.0.0.1", &protocol, &options);
  CHECK_EQ(2 * 16384, option_of(transport, SO_RCVBUF)); /* Linux doubles the size: socket(7) */
  CHECK_EQ(2 * 8192, option_of(transport, SO_SNDBUF));
  close_and_release(transport);
  OK(udpr_reactor_free(reactor));
}

CHECK_MAIN()
