/* connect, a second connect, and disconnect: which addresses can be written to, whose datagrams are received,
 * what happens to datagrams on their way, and that the port keeps its number.
 */
#include "check.h"
#include <net/if.h>

typedef struct fixture {
  udpr_reactor   *reactor;
  udpr_transport *transport;
  udpr_addr       host;
  int             peer1, peer2; /* peers */
  udpr_addr       first, second;
  char            received_letters[32]; /* one letter for each datagram */
  void (*on_datagram)(struct fixture *f);
} fixture;

static void received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  fixture *f = user;
  size_t   count = strlen(f->received_letters);
  (void)transport;
  CHECK(datagram->len == 1 && count + 1 < sizeof f->received_letters);
  f->received_letters[count] = (char)datagram->data[0];
  if (f->on_datagram) f->on_datagram(f);
}

static void set_up_with(fixture *f, const char *local, int family, const udpr_protocol *callbacks,
                        const udpr_udp_options *options) {
  *f = (fixture){.reactor = new_reactor(0), .peer1 = peer_open(family), .peer2 = peer_open(family)};
  udpr_protocol protocol = *callbacks;
  protocol.user = f;
  f->transport = listen_on(f->reactor, local, &protocol, options);
  f->host = host_of(f->transport);
  f->first = peer_addr(f->peer1), f->second = peer_addr(f->peer2);
}

static void set_up(fixture *f, const char *local, int family) {
  const udpr_protocol protocol = {.size = sizeof protocol, .datagram_received = received};
  set_up_with(f, local, family, &protocol, NULL);
}

static void tear_down(fixture *f) {
  OK(udpr_transport_close(f->transport));
  udpr_transport_release(f->transport);
  OK(udpr_reactor_free(f->reactor));
  close(f->peer1), close(f->peer2);
}

static void check_peer(const fixture *f, const udpr_addr *expected) {
  udpr_addr peer;
  OK(udpr_transport_get_peer(f->transport, &peer));
  CHECK_ADDR(expected, &peer);
}

static void check_no_peer(const fixture *f) {
  udpr_addr peer;
  CHECK_STATUS(UDPR_E_NOT_CONNECTED, udpr_transport_get_peer(f->transport, &peer));
  CHECK_STATUS(UDPR_E_NOT_CONNECTED, udpr_transport_write(f->transport, "x", 1, NULL));
}

TEST(writes_need_no_address_and_accept_only_the_peers) {
  fixture f;
  set_up(&f, "127.0.0.1", AF_INET);
  check_no_peer(&f);
  OK(udpr_transport_connect(f.transport, &f.first));
  check_peer(&f, &f.first);
  OK(udpr_transport_write(f.transport, "plain", 5, NULL));
  OK(udpr_transport_write(f.transport, "named", 5, &f.first));
  udpr_bytes pieces[] = {{"sequ", 4}, {"ence", 4}};
  OK(udpr_transport_write_sequence(f.transport, pieces, 2, NULL));
  udpr_message message = {.size = sizeof message, .data = "message", .len = 7};
  size_t       taken;
  OK(udpr_transport_write_messages(f.transport, &message, 1, &taken));
  CHECK_STATUS(UDPR_E_WRONG_PEER, udpr_transport_write(f.transport, "x", 1, &f.second));
  CHECK_STATUS(UDPR_E_WRONG_PEER, udpr_transport_post(f.transport, "x", 1, &f.second));
  OK(udpr_transport_post(f.transport, "post", 4, NULL));
  run_turns(f.reactor, 2);
  PEER_RECEIVES(f.peer1, "plain");
  PEER_RECEIVES(f.peer1, "named");
  PEER_RECEIVES(f.peer1, "sequence");
  PEER_RECEIVES(f.peer1, "message");
  PEER_RECEIVES(f.peer1, "post");
  CHECK(peer_has_no_datagram(f.peer2));
  tear_down(&f);
}

TEST(only_datagrams_of_the_peer_are_received) {
  fixture f;
  set_up(&f, "127.0.0.1", AF_INET);
  OK(udpr_transport_connect(f.transport, &f.first));
  peer_send(f.peer2, &f.host, "s", 1);
  peer_send(f.peer1, &f.host, "p", 1);
  RUN_UNTIL(f.reactor, *f.received_letters);
  run_turns(f.reactor, 3);
  CHECK_STR("p", f.received_letters);
  OK(udpr_transport_disconnect(f.transport));
  peer_send(f.peer2, &f.host, "s", 1);
  RUN_UNTIL(f.reactor, strlen(f.received_letters) == 2);
  CHECK_STR("ps", f.received_letters);
  tear_down(&f);
}

static void check_number_stays(const char *local, int family) {
  fixture f;
  set_up(&f, local, family);
  udpr_addr peers[] = {f.first, f.second}, host;
  if (family == AF_INET && f.host.family == UDPR_AF_INET6)
    for (int i = 0; i < 2; i++) OK(udpr_addr_map_v4(&peers[i], &peers[i]));
  for (int i = 0; i < 6; i++) {
    OK(udpr_transport_connect(f.transport, &peers[i % 2]));
    check_peer(&f, &peers[i % 2]);
    CHECK_EQ(f.host.port, host_of(f.transport).port);
    OK(udpr_transport_write(f.transport, "x", 1, NULL));
    PEER_RECEIVES(i % 2 ? f.peer2 : f.peer1, "x");
    udpr_addr to = family == AF_INET ? addr("127.0.0.1", f.host.port) : addr("::1", f.host.port);
    peer_send(i % 2 ? f.peer2 : f.peer1, &to, "a", 1);
    RUN_UNTIL(f.reactor, strlen(f.received_letters) == (size_t)i + 1);
    if (i < 3) continue;
    OK(udpr_transport_disconnect(f.transport));
    check_no_peer(&f);
    host = host_of(f.transport);
    CHECK_ADDR(&f.host, &host);
  }
  CHECK_STATUS(UDPR_E_NOT_CONNECTED, udpr_transport_disconnect(f.transport));
  tear_down(&f);
}

TEST(the_number_stays_ipv4) { check_number_stays("127.0.0.1", AF_INET); }
TEST(the_number_stays_on_every_ipv4_address) { check_number_stays(NULL, AF_INET); }
TEST(the_number_stays_ipv6) { check_number_stays("::1", AF_INET6); }
TEST(the_number_stays_on_every_address) { check_number_stays("::", AF_INET6); }
TEST(the_number_stays_dual_stack) { check_number_stays("::", AF_INET); }

static void get_device(const fixture *f, char device[IFNAMSIZ]) {
  socklen_t len = IFNAMSIZ;
  memset(device, 0, IFNAMSIZ);
  CHECK_EQ(0, getsockopt(udpr_transport_fileno(f->transport), SOL_SOCKET, SO_BINDTODEVICE, device, &len));
}

/* The kernel unbinds the device when a connection ends. */
TEST(the_bound_device_stays) {
  const udpr_protocol    protocol = {.size = sizeof protocol};
  const udpr_udp_options options = {.size = sizeof options, .bind_device = "lo"};
  fixture                f;
  char                   device[IFNAMSIZ];
  set_up_with(&f, "127.0.0.1", AF_INET, &protocol, &options);
  get_device(&f, device);
  CHECK_STR("lo", device);
  OK(udpr_transport_connect(f.transport, &f.first));
  OK(udpr_transport_connect(f.transport, &f.second));
  OK(udpr_transport_disconnect(f.transport));
  get_device(&f, device);
  CHECK_STR("lo", device);
  tear_down(&f);
}

/* A refused connect leaves the port's address as it was. */
static void check_refused(fixture *f, udpr_status expected, udpr_addr peer) {
  udpr_addr before = host_of(f->transport), after;
  CHECK_STATUS(expected, udpr_transport_connect(f->transport, &peer));
  after = host_of(f->transport);
  CHECK_ADDR(&before, &after);
}

static void check_all_refused(fixture *f) {
  udpr_addr future = f->second;
  future.reserved = 1;
  check_refused(f, UDPR_E_INVALID_ARGUMENT, (udpr_addr){0});
  check_refused(f, UDPR_E_INVALID_ARGUMENT, addr("127.0.0.1", 0));
  check_refused(f, UDPR_E_VERSION, future);
  check_refused(f, UDPR_E_ADDRESS_FAMILY, addr("::1", 9));
  check_refused(f, UDPR_E_ADDRESS_FAMILY, addr("::ffff:127.0.0.1", 9));
  check_refused(f, UDPR_E_ACCESS, addr("255.255.255.255", 9));
  /* A socket bound to the loopback cannot reach another host, even if there is a route to it. */
  udpr_addr   other = addr("192.0.2.1", 9);
  udpr_status status = udpr_transport_connect(f->transport, &other);
  CHECK(status == UDPR_E_SYSTEM - EINVAL || status == UDPR_E_NETWORK_UNREACHABLE);
  check_refused(f, status, other);
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_transport_connect(f->transport, NULL));
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_transport_get_peer(f->transport, NULL));
}

TEST(a_failed_connect_leaves_the_port_as_it_was) {
  fixture f;
  set_up(&f, "127.0.0.1", AF_INET);
  check_all_refused(&f);
  check_no_peer(&f);
  peer_send(f.peer2, &f.host, "a", 1);
  RUN_UNTIL(f.reactor, *f.received_letters);

  OK(udpr_transport_connect(f.transport, &f.first));
  check_all_refused(&f);
  check_peer(&f, &f.first);
  OK(udpr_transport_write(f.transport, "still", 5, NULL));
  PEER_RECEIVES(f.peer1, "still");
  peer_send(f.peer2, &f.host, "s", 1);
  peer_send(f.peer1, &f.host, "b", 1);
  RUN_UNTIL(f.reactor, strlen(f.received_letters) == 2);
  CHECK_STR("ab", f.received_letters);
  tear_down(&f);
}

TEST(families_of_ipv6_ports) {
  const udpr_protocol    protocol = {.size = sizeof protocol};
  const udpr_udp_options v6_only = {.size = sizeof v6_only, .flags = UDPR_UDP_V6_ONLY};
  fixture                f;
  set_up(&f, "::", AF_INET6);
  check_refused(&f, UDPR_E_ADDRESS_FAMILY, addr("127.0.0.1", 9));
  udpr_addr mapped = addr("::ffff:127.0.0.1", f.first.port);
  OK(udpr_transport_connect(f.transport, &mapped));
  check_peer(&f, &mapped);
  tear_down(&f);
  set_up_with(&f, "::", AF_INET6, &protocol, &v6_only);
  check_refused(&f, UDPR_E_ADDRESS_FAMILY, mapped);
  tear_down(&f);
}

TEST(an_unspecified_address_is_this_host) {
  fixture f;
  set_up(&f, NULL, AF_INET);
  udpr_addr any = addr("0.0.0.0", f.first.port);
  OK(udpr_transport_connect(f.transport, &any));
  check_peer(&f, &f.first);
  OK(udpr_transport_write(f.transport, "x", 1, NULL));
  PEER_RECEIVES(f.peer1, "x");
  tear_down(&f);
}

TEST(datagrams_of_others_in_the_socket_are_discarded) {
  fixture f;
  set_up(&f, "127.0.0.1", AF_INET);
  peer_send(f.peer2, &f.host, "s", 1);
  peer_send(f.peer1, &f.host, "p", 1);
  peer_send(f.peer2, &f.host, "s", 1);
  peer_send(f.peer1, &f.host, "q", 1);
  OK(udpr_transport_connect(f.transport, &f.first));
  RUN_UNTIL(f.reactor, strlen(f.received_letters) == 2);
  run_turns(f.reactor, 3);
  CHECK_STR("pq", f.received_letters);
  CHECK_EQ(2, stats_of(f.transport).discarded_in);
  CHECK_EQ(0, stats_of(f.transport).kept_datagrams);
  tear_down(&f);
}

static void connect_to_first(fixture *f) {
  f->on_datagram = NULL;
  OK(udpr_transport_connect(f->transport, &f->first));
}

TEST(datagrams_of_others_in_the_batch_are_discarded) {
  fixture f;
  set_up(&f, "127.0.0.1", AF_INET);
  f.on_datagram = connect_to_first;
  peer_send(f.peer2, &f.host, "a", 1); /* its callback connects the port */
  peer_send(f.peer2, &f.host, "s", 1);
  peer_send(f.peer1, &f.host, "p", 1);
  RUN_UNTIL(f.reactor, strlen(f.received_letters) == 2);
  run_turns(f.reactor, 3);
  CHECK_STR("ap", f.received_letters);
  CHECK_EQ(1, stats_of(f.transport).discarded_in);
  tear_down(&f);
}

static void pause_port(fixture *f) {
  f->on_datagram = NULL;
  OK(udpr_transport_pause_reading(f->transport));
}

TEST(kept_datagrams_of_others_are_discarded) {
  fixture f;
  set_up(&f, "127.0.0.1", AF_INET);
  f.on_datagram = pause_port;
  peer_send(f.peer2, &f.host, "a", 1);
  peer_send(f.peer2, &f.host, "s", 1);
  peer_send(f.peer1, &f.host, "p", 1);
  RUN_UNTIL(f.reactor, stats_of(f.transport).kept_datagrams == 2);
  OK(udpr_transport_connect(f.transport, &f.first));
  CHECK_EQ(1, stats_of(f.transport).kept_datagrams);
  CHECK_EQ(1, stats_of(f.transport).discarded_in);
  OK(udpr_transport_resume_reading(f.transport));
  RUN_UNTIL(f.reactor, strlen(f.received_letters) == 2);
  CHECK_STR("ap", f.received_letters);
  tear_down(&f);
}

/* If no kept datagram remains, the port must continue to read. */
TEST(all_kept_datagrams_are_of_others) {
  fixture f;
  set_up(&f, "127.0.0.1", AF_INET);
  f.on_datagram = pause_port;
  peer_send(f.peer2, &f.host, "a", 1);
  peer_send(f.peer2, &f.host, "s", 1);
  RUN_UNTIL(f.reactor, stats_of(f.transport).kept_datagrams == 1);
  OK(udpr_transport_connect(f.transport, &f.first));
  CHECK_EQ(0, stats_of(f.transport).kept_datagrams);
  OK(udpr_transport_resume_reading(f.transport));
  peer_send(f.peer1, &f.host, "p", 1);
  RUN_UNTIL(f.reactor, strlen(f.received_letters) == 2);
  CHECK_STR("ap", f.received_letters);
  tear_down(&f);
}

static size_t take_one_and_connect(udpr_transport *transport, const udpr_datagram *const *datagrams,
                                   size_t count, void *user) {
  fixture *f = user;
  size_t   length = strlen(f->received_letters);
  (void)transport;
  CHECK(count > 0 && length + 1 < sizeof f->received_letters);
  f->received_letters[length] = (char)datagrams[0]->data[0];
  if (length == 0) connect_to_first(f);
  return 1;
}

/* The same for batches: after the connect, they contain no datagrams of others. */
TEST(batches_contain_no_datagrams_of_others) {
  const udpr_protocol protocol = {.size = sizeof protocol, .datagrams_received = take_one_and_connect};
  fixture             f;
  set_up_with(&f, "127.0.0.1", AF_INET, &protocol, NULL);
  const char *from_two = "asss";
  peer_send(f.peer2, &f.host, from_two, 1);
  for (int i = 1; from_two[i]; i++) {
    peer_send(f.peer2, &f.host, &from_two[i], 1);
    peer_send(f.peer1, &f.host, "p", 1);
  }
  RUN_UNTIL(f.reactor, strlen(f.received_letters) == 4);
  run_turns(f.reactor, 3);
  CHECK_STR("appp", f.received_letters);
  CHECK_EQ(3, stats_of(f.transport).discarded_in);
  CHECK_EQ(7, stats_of(f.transport).datagrams_in);
  tear_down(&f);
}

/* ---- datagrams on their way when the peer changes ------------------------------------------------------ */

static void write_and_change(udpr_reactor *reactor, void *user) {
  fixture *f = user;
  (void)reactor;
  OK(udpr_transport_write(f->transport, "1", 1, &f->second));
  OK(udpr_transport_connect(f->transport, &f->first));
  /* although it was the last destination */
  CHECK_EQ(UDPR_E_WRONG_PEER, udpr_transport_write(f->transport, "x", 1, &f->second));
  OK(udpr_transport_write(f->transport, "2", 1, NULL));
  OK(udpr_transport_connect(f->transport, &f->second));
  OK(udpr_transport_write(f->transport, "3", 1, NULL));
  OK(udpr_transport_disconnect(f->transport));
  OK(udpr_transport_write(f->transport, "4", 1, &f->first));
}

TEST(batched_writes_go_to_the_peer_at_the_time_of_the_write) {
  fixture f;
  set_up(&f, "127.0.0.1", AF_INET);
  OK(udpr_reactor_call_later(f.reactor, 0, write_and_change, &f, NULL, NULL));
  run_turns(f.reactor, 2);
  PEER_RECEIVES(f.peer2, "1");
  PEER_RECEIVES(f.peer1, "2");
  PEER_RECEIVES(f.peer2, "3");
  PEER_RECEIVES(f.peer1, "4");
  CHECK_EQ(0, stats_of(f.transport).dropped_out);
  tear_down(&f);
}

TEST(posts_go_to_the_peer_at_the_time_of_the_post) {
  fixture f;
  set_up(&f, "127.0.0.1", AF_INET);
  OK(udpr_transport_post(f.transport, "1", 1, &f.second));
  OK(udpr_transport_connect(f.transport, &f.first));
  OK(udpr_transport_post(f.transport, "2", 1, NULL));
  OK(udpr_transport_connect(f.transport, &f.second));
  OK(udpr_transport_post(f.transport, "3", 1, NULL));
  OK(udpr_transport_disconnect(f.transport));
  CHECK_STATUS(UDPR_E_NOT_CONNECTED, udpr_transport_post(f.transport, "x", 1, NULL));
  run_turns(f.reactor, 2);
  PEER_RECEIVES(f.peer2, "1");
  PEER_RECEIVES(f.peer1, "2");
  PEER_RECEIVES(f.peer2, "3");
  CHECK_EQ(0, stats_of(f.transport).dropped_out);
  tear_down(&f);
}

/* ---- start and stop ------------------------------------------------------------------------------------ */

static udpr_status connect_at_start(udpr_transport *transport, void *user) {
  return udpr_transport_connect(transport, user);
}

TEST(connect_in_start_protocol) {
  udpr_reactor   *reactor = new_reactor(0);
  int             peer = peer_open(AF_INET);
  udpr_addr       to = peer_addr(peer), received_letters;
  udpr_protocol   protocol = {.size = sizeof protocol, .user = &to, .start_protocol = connect_at_start};
  udpr_transport *transport = listen_on(reactor, "127.0.0.1", &protocol, NULL);
  OK(udpr_transport_get_peer(transport, &received_letters));
  CHECK_ADDR(&to, &received_letters);
  OK(udpr_transport_write(transport, "hello", 5, NULL));
  PEER_RECEIVES(peer, "hello");
  OK(udpr_transport_close(transport));
  udpr_transport_release(transport);
  OK(udpr_reactor_free(reactor));
  close(peer);
}

TEST(a_stopped_port_does_not_connect) {
  fixture   f;
  udpr_addr peer;
  set_up(&f, "127.0.0.1", AF_INET);
  OK(udpr_transport_connect(f.transport, &f.first));
  OK(udpr_transport_stop_listening(f.transport));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_transport_connect(f.transport, &f.second));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_transport_disconnect(f.transport));
  check_peer(&f, &f.first);
  run_turns(f.reactor, 2);
  CHECK_STATUS(UDPR_E_CLOSED, udpr_transport_get_peer(f.transport, &peer));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_transport_connect(f.transport, &f.second));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_transport_set_error_reports(f.transport, 1));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_transport_close(f.transport));
  udpr_transport_release(f.transport);
  OK(udpr_reactor_free(f.reactor));
  close(f.peer1), close(f.peer2);
}

CHECK_MAIN()
