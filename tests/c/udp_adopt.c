/* Adopted sockets: duplicated or taken over, in every state; refused if they are not UDP sockets; and
 * restored when the port closes, for their other owners.
 */
#include "network_namespace.h"

#include <fcntl.h>
#include <netinet/udp.h>
#include <sys/epoll.h>

#ifndef IPPROTO_UDPLITE
#define IPPROTO_UDPLITE 136
#endif
#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

typedef struct fixture {
  atomic_int      freed;
  udpr_reactor   *reactor;
  udpr_transport *transport;
  int             fd, peer;
  udpr_addr       receiving_addr;
  int             started, stopped, received;
  char            received_text[8];
  udpr_addr       sender;
} fixture;

static udpr_status started(udpr_transport *transport, void *user) {
  (void)transport;
  ((fixture *)user)->started++;
  return UDPR_OK;
}

static void received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  fixture *f = user;
  CHECK(datagram->len < sizeof f->received_text);
  memset(f->received_text, 0, sizeof f->received_text);
  memcpy(f->received_text, datagram->data, datagram->len);
  f->sender = datagram->sender;
  f->received++;
  OK(udpr_transport_write(transport, "echo", 4, &datagram->sender));
}

static void stopped(udpr_transport *transport, udpr_status reason, void *user) {
  (void)transport;
  OK(reason);
  ((fixture *)user)->stopped++;
}

static udpr_status adopt(fixture *f, int fd, uint16_t family, uint32_t flags) {
  udpr_protocol    protocol = {.size = sizeof protocol,
                               .user = f,
                               .free_user = count_free,
                               .start_protocol = started,
                               .datagram_received = received,
                               .stop_protocol = stopped};
  udpr_udp_options options = {.size = sizeof options, .flags = flags};
  return udpr_reactor_adopt_datagram_port(f->reactor, fd, family, &protocol, &options, &f->transport);
}

static void set_up(fixture *f, int family) {
  *f = (fixture){.reactor = new_reactor(0), .fd = peer_open(family), .peer = peer_open(family)};
  f->receiving_addr = peer_addr(f->peer);
}

static void tear_down(fixture *f) {
  if (f->transport) OK(udpr_transport_close(f->transport));
  udpr_transport_release(f->transport);
  OK(udpr_reactor_free(f->reactor));
  CHECK_EQ(f->started, f->stopped);
  close(f->peer);
}

/* A datagram from the peer is received, and the reply arrives. */
static void check_round_trip(fixture *f) {
  udpr_addr host = host_of(f->transport), from;
  char      answer[8] = "";
  int       before = f->received;
  if (host.bytes[0] == 0 && host.family == UDPR_AF_INET) host = addr("127.0.0.1", host.port);
  peer_send(f->peer, &host, "hello", 5);
  RUN_UNTIL(f->reactor, f->received == before + 1);
  CHECK_STR("hello", f->received_text);
  CHECK_EQ(4, peer_receive_from(f->peer, answer, sizeof answer, &from));
  CHECK_STR("echo", answer);
  CHECK_EQ(host.port, from.port);
}

static bool is_open(int fd) { return fcntl(fd, F_GETFD) >= 0; }

/* ---- ways to adopt ------------------------------------------------------------------------------------- */

static void check_duplicate(int family) {
  fixture f;
  set_up(&f, family);
  udpr_addr was = peer_addr(f.fd);
  OK(adopt(&f, f.fd, UDPR_AF_UNSPEC, 0));
  CHECK_EQ(1, f.started);
  udpr_addr host = host_of(f.transport);
  CHECK_ADDR(&was, &host);
  CHECK(udpr_transport_fileno(f.transport) != f.fd);
  CHECK_EQ(FD_CLOEXEC, fcntl(udpr_transport_fileno(f.transport), F_GETFD));
  close(f.fd); /* the port keeps its duplicate */
  check_round_trip(&f);
  tear_down(&f);
}

TEST(duplicates_ipv4) { check_duplicate(AF_INET); }
TEST(duplicates_ipv6) { check_duplicate(AF_INET6); }

TEST(the_original_outlives_the_port) {
  fixture f;
  set_up(&f, AF_INET);
  udpr_addr was = peer_addr(f.fd);
  OK(adopt(&f, f.fd, UDPR_AF_INET, 0));
  check_round_trip(&f);
  OK(udpr_transport_stop_listening(f.transport));
  RUN_UNTIL(f.reactor, f.stopped == 1);
  CHECK_EQ(1, f.freed);
  peer_send(f.peer, &was, "mine", 4);
  PEER_RECEIVES(f.fd, "mine");
  peer_send(f.fd, &f.receiving_addr, "out", 3);
  PEER_RECEIVES(f.peer, "out");
  close(f.fd);
  udpr_transport_release(f.transport);
  OK(udpr_reactor_free(f.reactor));
  close(f.peer);
}

TEST(take_fd) {
  fixture f;
  set_up(&f, AF_INET);
  OK(adopt(&f, f.fd, UDPR_AF_UNSPEC, UDPR_UDP_TAKE_FD));
  CHECK_EQ(f.fd, udpr_transport_fileno(f.transport));
  check_round_trip(&f);
  OK(udpr_transport_close(f.transport));
  CHECK(!is_open(f.fd));
  udpr_transport_release(f.transport);
  f.transport = NULL;
  tear_down(&f);
}

static udpr_status fail_start(udpr_transport *transport, void *user) {
  (void)transport, (void)user;
  return UDPR_E_CANCELLED;
}

TEST(take_fd_closes_the_descriptor_if_adopting_fails) {
  fixture          f;
  udpr_protocol    protocol = {.size = sizeof protocol}, failing = {.size = sizeof failing};
  udpr_udp_options options = {.size = sizeof options, .flags = UDPR_UDP_TAKE_FD};
  set_up(&f, AF_INET);
  failing.start_protocol = fail_start;
  udpr_protocol bad_size = {.size = 4};
  struct {
    udpr_status          status;
    uint16_t             family;
    const udpr_protocol *protocol;
    uint32_t             flags;
  } rows[] = {{UDPR_E_INVALID_ARGUMENT, 0, NULL, 0},
              {UDPR_E_INVALID_ARGUMENT, 0, &bad_size, 0},
              {UDPR_E_INVALID_ARGUMENT, 5, &protocol, 0},
              {UDPR_E_ADDRESS_FAMILY, UDPR_AF_INET6, &protocol, 0},
              {UDPR_E_INVALID_ARGUMENT, 0, &protocol, UDPR_UDP_REUSE_PORT},
              {UDPR_E_VERSION, 0, &protocol, 0x80000000},
              {UDPR_E_CANCELLED, 0, &failing, 0}};
  close(f.fd);
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
    int fd = peer_open(AF_INET);
    options.flags = UDPR_UDP_TAKE_FD | rows[i].flags;
    CHECK_STATUS(rows[i].status, udpr_reactor_adopt_datagram_port(f.reactor, fd, rows[i].family,
                                                                  rows[i].protocol, &options, NULL));
    CHECK(!is_open(fd));
  }
  options.flags = UDPR_UDP_TAKE_FD;
  int fd = peer_open(AF_INET);
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT,
               udpr_reactor_adopt_datagram_port(NULL, fd, 0, &protocol, &options, NULL));
  CHECK(!is_open(fd));
  CHECK_STATUS(UDPR_E_SYSTEM - EBADF, adopt(&f, f.fd, 0, UDPR_UDP_TAKE_FD));
  CHECK_EQ(1, f.freed);
  tear_down(&f);
}

TEST(a_failed_adoption_changes_nothing) {
  fixture f;
  set_up(&f, AF_INET);
  int before = check_count_descriptors();
  CHECK_STATUS(UDPR_E_ADDRESS_FAMILY, adopt(&f, f.fd, UDPR_AF_INET6, 0));
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, adopt(&f, f.fd, AF_INET, 0)); /* AF_INET instead of UDPR_AF_INET */
  uint32_t late[] = {UDPR_UDP_LISTEN_MULTIPLE, UDPR_UDP_REUSE_ADDRESS, UDPR_UDP_REUSE_PORT, UDPR_UDP_V6_ONLY};
  for (size_t i = 0; i < sizeof late / sizeof *late; i++)
    CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, adopt(&f, f.fd, 0, late[i]));
  udpr_protocol    protocol = {.size = sizeof protocol};
  udpr_udp_options device = {.size = sizeof device, .bind_device = "lo"};
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT,
               udpr_reactor_adopt_datagram_port(f.reactor, f.fd, 0, &protocol, &device, NULL));
  CHECK_EQ(6, f.freed);
  CHECK_EQ(0, f.started);
  CHECK(f.transport == NULL);
  CHECK_EQ(before, check_count_descriptors());
  OK(adopt(&f, f.fd, UDPR_AF_INET, 0)); /* the socket can still be adopted */
  check_round_trip(&f);
  close(f.fd);
  tear_down(&f);
}

TEST(listen_refuses_flags_of_adopt) {
  udpr_reactor *reactor = new_reactor(0);
  udpr_protocol protocol = {.size = sizeof protocol};
  uint32_t      flags[] = {UDPR_UDP_TAKE_FD, UDPR_UDP_OFFLOAD};
  for (int i = 0; i < 2; i++) {
    udpr_udp_options options = {.size = sizeof options, .flags = flags[i]};
    CHECK_STATUS(UDPR_E_INVALID_ARGUMENT,
                 udpr_reactor_listen_udp(reactor, 0, "127.0.0.1", &protocol, &options, NULL));
  }
  OK(udpr_reactor_free(reactor));
}

/* ---- descriptors that are not UDP sockets -------------------------------------------------------------- */

static void check_refused(udpr_status expected, int fd) {
  fixture f = {.reactor = new_reactor(0)};
  if (fd < 0 && expected != UDPR_E_SYSTEM - EBADF) SKIP(strerror(errno));
  CHECK_STATUS(expected, adopt(&f, fd, UDPR_AF_UNSPEC, 0));
  CHECK_EQ(1, f.freed);
  CHECK(fd < 0 || is_open(fd));
  OK(udpr_reactor_free(f.reactor));
  if (fd >= 0) close(fd);
}

TEST(refuses_tcp) {
  check_refused(UDPR_E_SOCKET_TYPE, socket(AF_INET, SOCK_STREAM, 0));
  check_refused(UDPR_E_SOCKET_TYPE, socket(AF_INET6, SOCK_STREAM, 0));
}
TEST(refuses_unix) {
  check_refused(UDPR_E_ADDRESS_FAMILY, socket(AF_UNIX, SOCK_DGRAM, 0));
  check_refused(UDPR_E_ADDRESS_FAMILY, socket(AF_UNIX, SOCK_STREAM, 0));
}
TEST(refuses_udp_lite) { check_refused(UDPR_E_SOCKET_TYPE, socket(AF_INET, SOCK_DGRAM, IPPROTO_UDPLITE)); }
TEST(refuses_files) { check_refused(UDPR_E_SOCKET_TYPE, open("/dev/null", O_RDONLY)); }
TEST(refuses_closed_descriptors) {
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  close(fd);
  CHECK(!is_open(fd));
  fixture f = {.reactor = new_reactor(0)};
  CHECK_STATUS(UDPR_E_SYSTEM - EBADF, adopt(&f, fd + 100, UDPR_AF_UNSPEC, 0));
  OK(udpr_reactor_free(f.reactor));
  check_refused(UDPR_E_SYSTEM - EBADF, -1);
}

/* A ping socket is a datagram socket, too, for groups that may open one (net.ipv4.ping_group_range). */
TEST(refuses_ping) {
  enter_network_namespace();
  FILE *range = fopen("/proc/sys/net/ipv4/ping_group_range", "w");
  CHECK(range && fputs("0 0", range) >= 0 && fclose(range) == 0);
  check_refused(UDPR_E_SOCKET_TYPE, socket(AF_INET, SOCK_DGRAM, IPPROTO_ICMP));
}

/* ---- every state --------------------------------------------------------------------------------------- */

TEST(a_connected_socket_becomes_a_connected_port) {
  fixture   f;
  udpr_addr peer, other_sender = addr("127.0.0.1", 9);
  set_up(&f, AF_INET);
  struct sockaddr_in to = {.sin_family = AF_INET,
                           .sin_port = htons(f.receiving_addr.port),
                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  CHECK_EQ(0, connect(f.fd, (struct sockaddr *)&to, sizeof to));
  OK(adopt(&f, f.fd, UDPR_AF_UNSPEC, 0));
  OK(udpr_transport_get_peer(f.transport, &peer));
  CHECK_ADDR(&f.receiving_addr, &peer);
  OK(udpr_transport_write(f.transport, "known", 5, NULL));
  PEER_RECEIVES(f.peer, "known");
  CHECK_STATUS(UDPR_E_WRONG_PEER, udpr_transport_write(f.transport, "x", 1, &other_sender));
  check_round_trip(&f);
  close(f.fd);
  tear_down(&f);
}

TEST(an_unbound_socket_is_bound_by_its_first_write) {
  fixture f;
  set_up(&f, AF_INET);
  close(f.fd);
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  OK(adopt(&f, fd, UDPR_AF_INET, 0));
  CHECK_EQ(0, host_of(f.transport).port);
  OK(udpr_transport_write(f.transport, "first", 5, &f.receiving_addr));
  PEER_RECEIVES(f.peer, "first");
  CHECK(host_of(f.transport).port != 0);
  check_round_trip(&f);
  close(fd);
  tear_down(&f);
}

/* The port must not block, and the socket must stay blocking for its other owner. */
TEST(a_blocking_socket_stays_blocking) {
  fixture f;
  set_up(&f, AF_INET);
  CHECK_EQ(0, fcntl(f.fd, F_GETFL) & O_NONBLOCK);
  OK(adopt(&f, f.fd, UDPR_AF_UNSPEC, 0));
  CHECK_EQ(0, fcntl(f.fd, F_GETFL) & O_NONBLOCK);
  for (int i = 0; i < 3; i++) check_round_trip(&f);
  run_turns(f.reactor, 5);
  CHECK_EQ(0, fcntl(f.fd, F_GETFL) & O_NONBLOCK);
  close(f.fd);
  tear_down(&f);
}

TEST(flags_of_the_socket_apply_to_the_port) {
  fixture   f;
  int       on = 1;
  udpr_addr everyone = addr("255.255.255.255", 9), mapped = addr("::ffff:127.0.0.1", 9);
  set_up(&f, AF_INET);
  OK(adopt(&f, f.fd, 0, 0));
  CHECK_STATUS(UDPR_E_ACCESS, udpr_transport_connect(f.transport, &everyone));
  close(f.fd);
  tear_down(&f);

  set_up(&f, AF_INET6);
  close(f.fd);
  f.fd = socket(AF_INET6, SOCK_DGRAM, 0);
  CHECK_EQ(0, setsockopt(f.fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on));
  OK(adopt(&f, f.fd, 0, 0));
  CHECK_STATUS(UDPR_E_ADDRESS_FAMILY, udpr_transport_write(f.transport, "x", 1, &mapped));
  close(f.fd);
  tear_down(&f);
}

/* Also if the kernel chose the number before the adoption. */
TEST(an_adopted_port_keeps_its_number_when_it_connects) {
  fixture f;
  set_up(&f, AF_INET);
  uint16_t number = peer_addr(f.fd).port;
  OK(adopt(&f, f.fd, 0, 0));
  for (int i = 0; i < 3; i++) {
    OK(udpr_transport_connect(f.transport, &f.receiving_addr));
    CHECK_EQ(number, host_of(f.transport).port);
    check_round_trip(&f);
    OK(udpr_transport_disconnect(f.transport));
    CHECK_EQ(number, host_of(f.transport).port);
  }
  close(f.fd);
  tear_down(&f);
}

/* The socket's owner has enabled UDP_GRO: the port receives single datagrams, and the option is restored. */
static void check_gro_socket(uint32_t flags, int meanwhile) {
  fixture   f;
  int       on = 1, segment = 4;
  socklen_t len = sizeof on;
  set_up(&f, AF_INET);
  udpr_addr host = peer_addr(f.fd);
  CHECK_EQ(0, setsockopt(f.fd, IPPROTO_UDP, UDP_GRO, &on, sizeof on));
  CHECK_EQ(0, setsockopt(f.peer, IPPROTO_UDP, UDP_SEGMENT, &segment, sizeof segment));
  OK(adopt(&f, f.fd, 0, flags));
  CHECK_EQ(0, getsockopt(f.fd, IPPROTO_UDP, UDP_GRO, &on, &len));
  CHECK_EQ(meanwhile, on);
  peer_send(f.peer, &host, "one two six", 11);
  RUN_UNTIL(f.reactor, f.received == 3);
  CHECK_STR("six", f.received_text);
  OK(udpr_transport_close(f.transport));
  CHECK_EQ(0, getsockopt(f.fd, IPPROTO_UDP, UDP_GRO, &on, &len));
  CHECK_EQ(1, on);
  close(f.fd);
  udpr_transport_release(f.transport);
  f.transport = NULL;
  tear_down(&f);
}

TEST(a_socket_with_gro) { check_gro_socket(0, 1); }
TEST(a_socket_with_gro_and_the_offload_flag) { check_gro_socket(UDPR_UDP_OFFLOAD, 1); }
TEST(a_socket_with_gro_and_the_no_offload_flag) { check_gro_socket(UDPR_UDP_NO_OFFLOAD, 0); }

/* ---- the other owner of the socket --------------------------------------------------------------------- */

static const struct {
  int level, name;
} restored_options[] = {{SOL_SOCKET, SO_BROADCAST},
                        {SOL_SOCKET, SO_RCVBUF},
                        {SOL_SOCKET, SO_SNDBUF},
                        {IPPROTO_IP, IP_RECVERR},
                        {IPPROTO_UDP, UDP_GRO}};
enum { OPTIONS = sizeof restored_options / sizeof *restored_options };

static void read_options(int fd, int values[OPTIONS]) {
  for (int i = 0; i < OPTIONS; i++) {
    socklen_t len = sizeof *values;
    CHECK_EQ(0, getsockopt(fd, restored_options[i].level, restored_options[i].name, &values[i], &len));
  }
}

static void check_options_restored(int initial) {
  fixture f;
  int     before[OPTIONS], meanwhile[OPTIONS], after[OPTIONS];
  set_up(&f, AF_INET);
  CHECK_EQ(0, setsockopt(f.fd, SOL_SOCKET, SO_BROADCAST, &initial, sizeof initial));
  CHECK_EQ(0, setsockopt(f.fd, IPPROTO_IP, IP_RECVERR, &initial, sizeof initial));
  CHECK_EQ(0, setsockopt(f.fd, IPPROTO_UDP, UDP_GRO, &initial, sizeof initial));
  read_options(f.fd, before);
  udpr_protocol    protocol = {.size = sizeof protocol};
  udpr_udp_options options = {.size = sizeof options,
                              .flags = UDPR_UDP_ERROR_REPORTS | UDPR_UDP_BROADCAST,
                              .receive_buffer = 32768,
                              .send_buffer = 16384};
  OK(udpr_reactor_adopt_datagram_port(f.reactor, f.fd, 0, &protocol, &options, &f.transport));
  read_options(f.fd, meanwhile);
  CHECK_EQ(1, meanwhile[0]);
  CHECK_EQ(2 * 32768, meanwhile[1]);
  CHECK_EQ(2 * 16384, meanwhile[2]);
  CHECK_EQ(1, meanwhile[3]);
  OK(udpr_transport_set_error_reports(f.transport, 0));
  OK(udpr_transport_set_error_reports(f.transport, 1));
  OK(udpr_transport_close(f.transport));
  read_options(f.fd, after);
  for (int i = 0; i < OPTIONS; i++) CHECK_EQ(before[i], after[i]);
  udpr_transport_release(f.transport);
  OK(udpr_reactor_free(f.reactor));
  close(f.fd), close(f.peer);
}

TEST(options_that_were_off_are_restored) { check_options_restored(0); }
TEST(options_that_were_on_are_restored) { check_options_restored(1); }

/* Options set later by functions of the port are restored as well, and its groups are left. */
TEST(settings_are_restored_and_groups_left) {
  static const int names[] = {IP_TTL, IP_MULTICAST_TTL, IP_MULTICAST_LOOP, IP_MULTICAST_ALL, IP_MULTICAST_IF};
  enum { COUNT = sizeof names / sizeof *names };
  int            before[COUNT], after[COUNT], broadcast;
  struct ip_mreq group = {.imr_multiaddr.s_addr = htonl(0xe4000005),
                          .imr_interface.s_addr = htonl(INADDR_LOOPBACK)};
  udpr_addr      to = addr("228.0.0.5", 0);
  uint32_t       lo;
  fixture        f;
  set_up(&f, AF_INET);
  OK(udpr_interface_index("lo", &lo));
  for (int i = 0; i < COUNT; i++) {
    socklen_t len = sizeof *before;
    CHECK_EQ(0, getsockopt(f.fd, IPPROTO_IP, names[i], &before[i], &len));
  }
  OK(adopt(&f, f.fd, 0, 0));
  OK(udpr_transport_set_unicast_ttl(f.transport, 9));
  OK(udpr_transport_set_ttl(f.transport, 7));
  OK(udpr_transport_set_loopback_mode(f.transport, 0));
  OK(udpr_transport_set_outgoing_interface(f.transport, lo));
  OK(udpr_transport_set_broadcast_allowed(f.transport, 1));
  OK(udpr_transport_join_group(f.transport, &to, lo));
  OK(udpr_transport_close(f.transport));
  for (int i = 0; i < COUNT; i++) {
    socklen_t len = sizeof *after;
    CHECK_EQ(0, getsockopt(f.fd, IPPROTO_IP, names[i], &after[i], &len));
    CHECK_EQ(before[i], after[i]);
  }
  socklen_t len = sizeof broadcast;
  CHECK_EQ(0, getsockopt(f.fd, SOL_SOCKET, SO_BROADCAST, &broadcast, &len));
  CHECK_EQ(0, broadcast);
  CHECK(setsockopt(f.fd, IPPROTO_IP, IP_DROP_MEMBERSHIP, &group, sizeof group) < 0 && errno == EADDRNOTAVAIL);
  close(f.fd);
  udpr_transport_release(f.transport);
  f.transport = NULL;
  tear_down(&f);
}

TEST(the_connection_is_undone) {
  fixture                 f;
  struct sockaddr_storage name;
  socklen_t               len = sizeof name;
  set_up(&f, AF_INET);
  udpr_addr was = peer_addr(f.fd);
  OK(adopt(&f, f.fd, 0, 0));
  OK(udpr_transport_connect(f.transport, &f.receiving_addr));
  OK(udpr_transport_close(f.transport));
  CHECK(getpeername(f.fd, (struct sockaddr *)&name, &len) < 0 && errno == ENOTCONN);
  udpr_addr is = peer_addr(f.fd);
  CHECK_ADDR(&was, &is);
  close(f.fd);
  udpr_transport_release(f.transport);
  f.transport = NULL;
  tear_down(&f);
}

/* The other owner's epoll set reports the socket before, during and after the adoption. */
TEST(epoll_and_recv_of_the_other_owner_work) {
  fixture            f;
  struct epoll_event event = {.events = EPOLLIN}, received_text;
  set_up(&f, AF_INET);
  udpr_addr was = peer_addr(f.fd);
  int       set = epoll_create1(EPOLL_CLOEXEC);
  CHECK_EQ(0, epoll_ctl(set, EPOLL_CTL_ADD, f.fd, &event));
  OK(adopt(&f, f.fd, 0, 0));
  check_round_trip(&f);
  OK(udpr_transport_pause_reading(f.transport));
  peer_send(f.peer, &was, "both", 4);
  CHECK_EQ(1, epoll_wait(set, &received_text, 1, 5000));
  OK(udpr_transport_close(f.transport));
  CHECK_EQ(1, epoll_wait(set, &received_text, 1, 5000));
  PEER_RECEIVES(f.fd, "both");
  CHECK_EQ(0, epoll_wait(set, &received_text, 1, 0));
  close(set), close(f.fd);
  udpr_transport_release(f.transport);
  f.transport = NULL;
  tear_down(&f);
}

/* Datagrams for the other owner must not wake the reactor after the port has closed. */
TEST(a_stopped_port_is_removed_from_the_reactors_epoll_set) {
  fixture            f;
  udpr_reactor_stats before = {.size = sizeof before}, after = {.size = sizeof after};
  set_up(&f, AF_INET);
  udpr_addr was = peer_addr(f.fd);
  OK(adopt(&f, f.fd, 0, 0));
  OK(udpr_transport_close(f.transport));
  peer_send(f.peer, &was, "mine", 4);
  OK(udpr_reactor_get_stats(f.reactor, &before));
  run_turns(f.reactor, 5);
  OK(udpr_reactor_get_stats(f.reactor, &after));
  CHECK_EQ(before.wakeups, after.wakeups);
  PEER_RECEIVES(f.fd, "mine");
  close(f.fd);
  udpr_transport_release(f.transport);
  f.transport = NULL;
  tear_down(&f);
}

/* ---- systemd's socket activation: descriptor 3, LISTEN_PID and LISTEN_FDS ------------------------------ */

enum { LISTEN_FDS_START = 3 };

/* What the service does. The test executes itself as the service. */
static int run_service(void) {
  fixture     f = {.reactor = new_reactor(0)};
  const char *pid = getenv("LISTEN_PID"), *count = getenv("LISTEN_FDS");
  if (!pid || atoi(pid) != getpid() || !count || atoi(count) != 1) return 2;
  if (adopt(&f, LISTEN_FDS_START, UDPR_AF_UNSPEC, UDPR_UDP_TAKE_FD) != UDPR_OK) return 3;
  for (udpr_ns end = monotonic_ns() + CHECK_TIMEOUT; f.received == 0;) {
    if (monotonic_ns() > end) return 4;
    if (udpr_reactor_iterate(f.reactor, (int64_t)MS(20)) != UDPR_OK) return 5;
  }
  udpr_transport_release(f.transport);
  return udpr_reactor_free(f.reactor) == UDPR_OK && f.stopped == 1 && !is_open(LISTEN_FDS_START) ? 0 : 6;
}

static void exec_as_service(void *arg) {
  char    pid[16], self[4096] = "";
  ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1); /* valgrind needs the real path */
  CHECK(len > 0);
  snprintf(pid, sizeof pid, "%d", getpid());
  CHECK_EQ(LISTEN_FDS_START, dup2(*(int *)arg, LISTEN_FDS_START));
  CHECK_EQ(0, fcntl(LISTEN_FDS_START, F_SETFD, 0));
  setenv("LISTEN_PID", pid, 1);
  setenv("LISTEN_FDS", "1", 1);
  setenv("UDPR_TEST_SERVICE", "1", 1);
  execl(self, self, (char *)NULL);
  FAIL("execl: %s", strerror(errno));
}

TEST(socket_activation) {
  int       activated = peer_open(AF_INET), peer = peer_open(AF_INET);
  udpr_addr to = peer_addr(activated);
  /* The datagram waits in the socket until the service has started. */
  peer_send(peer, &to, "wake", 4);
  run_in_child(exec_as_service, &activated);
  PEER_RECEIVES(peer, "echo");
  close(activated), close(peer);
}

int main(int argc, char **argv) {
  return getenv("UDPR_TEST_SERVICE") ? run_service() : check_main(argc, argv);
}
