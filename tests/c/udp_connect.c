/* Connecting a port to one peer, to another, and to nobody again: who may be written to, who is heard, what
 * becomes of datagrams on their way, and the number of the port, which stays.
 */
#include "check.h"
#include <net/if.h>

typedef struct fixture {
  udpr_reactor   *reactor;
  udpr_transport *transport;
  udpr_addr       host;
  int             one, two; /* peers */
  udpr_addr       first, second;
  char            got[32]; /* the datagrams, a letter each */
  void (*on_datagram)(struct fixture *f);
} fixture;

static void received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  fixture *f = user;
  size_t   count = strlen(f->got);
  (void)transport;
  CHECK(datagram->len == 1 && count + 1 < sizeof f->got);
  f->got[count] = (char)datagram->data[0];
  if (f->on_datagram) f->on_datagram(f);
}

static void set_up_with(fixture *f, const char *local, int family, const udpr_protocol *callbacks,
                        const udpr_udp_options *options) {
  *f = (fixture){.reactor = new_reactor(0), .one = peer_open(family), .two = peer_open(family)};
  udpr_protocol protocol = *callbacks;
  protocol.user = f;
  f->transport = listen_on(f->reactor, local, &protocol, options);
  f->host = host_of(f->transport);
  f->first = peer_addr(f->one), f->second = peer_addr(f->two);
}

static void set_up(fixture *f, const char *local, int family) {
  const udpr_protocol protocol = {.size = sizeof protocol, .datagram_received = received};
  set_up_with(f, local, family, &protocol, NULL);
}

static void tear_down(fixture *f) {
  OK(udpr_transport_close(f->transport));
  udpr_transport_release(f->transport);
  OK(udpr_reactor_free(f->reactor));
  close(f->one), close(f->two);
}

static void peer_is(const fixture *f, const udpr_addr *expected) {
  udpr_addr peer;
  OK(udpr_transport_get_peer(f->transport, &peer));
  CHECK_ADDR(expected, &peer);
}

static void has_no_peer(const fixture *f) {
  udpr_addr peer;
  CHECK_STATUS(UDPR_E_NOT_CONNECTED, udpr_transport_get_peer(f->transport, &peer));
  CHECK_STATUS(UDPR_E_NOT_CONNECTED, udpr_transport_write(f->transport, "x", 1, NULL));
}

TEST(writes_need_no_address_and_take_the_peers_alone) {
  fixture f;
  set_up(&f, "127.0.0.1", AF_INET);
  has_no_peer(&f);
  OK(udpr_transport_connect(f.transport, &f.first));
  peer_is(&f, &f.first);
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
  PEER_RECEIVES(f.one, "plain");
  PEER_RECEIVES(f.one, "named");
  PEER_RECEIVES(f.one, "sequence");
  PEER_RECEIVES(f.one, "message");
  PEER_RECEIVES(f.one, "post");
  CHECK(peer_has_no_datagram(f.two));
  tear_down(&f);
}

TEST(only_the_peer_is_heard) {
  fixture f;
  set_up(&f, "127.0.0.1", AF_INET);
  OK(udpr_transport_connect(f.transport, &f.first));
  peer_send(f.two, &f.host, "s", 1);
  peer_send(f.one, &f.host, "p", 1);
  RUN_UNTIL(f.reactor, *f.got);
  run_turns(f.reactor, 3);
  CHECK_STR("p", f.got);
  OK(udpr_transport_disconnect(f.transport));
  peer_send(f.two, &f.host, "s", 1);
  RUN_UNTIL(f.reactor, strlen(f.got) == 2);
  CHECK_STR("ps", f.got);
  tear_down(&f);
}

static void keeps_its_number(const char *local, int family) {
  fixture f;
  set_up(&f, local, family);
  udpr_addr peers[] = {f.first, f.second}, host;
  if (family == AF_INET && f.host.family == UDPR_AF_INET6)
    for (int i = 0; i < 2; i++) OK(udpr_addr_map_v4(&peers[i], &peers[i]));
  for (int i = 0; i < 6; i++) {
    OK(udpr_transport_connect(f.transport, &peers[i % 2]));
    peer_is(&f, &peers[i % 2]);
    CHECK_EQ(f.host.port, host_of(f.transport).port);
    OK(udpr_transport_write(f.transport, "x", 1, NULL));
    PEER_RECEIVES(i % 2 ? f.two : f.one, "x");
    udpr_addr to = family == AF_INET ? addr("127.0.0.1", f.host.port) : addr("::1", f.host.port);
    peer_send(i % 2 ? f.two : f.one, &to, "a", 1);
    RUN_UNTIL(f.reactor, strlen(f.got) == (size_t)i + 1);
    if (i < 3) continue;
    OK(udpr_transport_disconnect(f.transport));
    has_no_peer(&f);
    host = host_of(f.transport);
    CHECK_ADDR(&f.host, &host);
  }
  CHECK_STATUS(UDPR_E_NOT_CONNECTED, udpr_transport_disconnect(f.transport));
  tear_down(&f);
}

TEST(the_number_stays_ipv4) { keeps_its_number("127.0.0.1", AF_INET); }
TEST(the_number_stays_on_every_ipv4_address) { keeps_its_number(NULL, AF_INET); }
TEST(the_number_stays_ipv6) { keeps_its_number("::1", AF_INET6); }
TEST(the_number_stays_on_every_address) { keeps_its_number("::", AF_INET6); }
TEST(the_number_stays_dual_stack) { keeps_its_number("::", AF_INET); }

static void device_of(const fixture *f, char device[IFNAMSIZ]) {
  socklen_t len = IFNAMSIZ;
  memset(device, 0, IFNAMSIZ);
  CHECK_EQ(0, getsockopt(udpr_transport_fileno(f->transport), SOL_SOCKET, SO_BINDTODEVICE, device, &len));
}

/* The kernel forgets the interface when a connection ends. */
TEST(the_interface_stays) {
  const udpr_protocol    protocol = {.size = sizeof protocol};
  const udpr_udp_options options = {.size = sizeof options, .bind_device = "lo"};
  fixture                f;
  char                   device[IFNAMSIZ];
  set_up_with(&f, "127.0.0.1", AF_INET, &protocol, &options);
  device_of(&f, device);
  CHECK_STR("lo", device);
  OK(udpr_transport_connect(f.transport, &f.first));
  OK(udpr_transport_connect(f.transport, &f.second));
  OK(udpr_transport_disconnect(f.transport));
  device_of(&f, device);
  CHECK_STR("lo", device);
  tear_down(&f);
}

/* Each refusal leaves the port as it was. */
static void refuses(fixture *f, udpr_status expected, udpr_addr peer) {
  udpr_addr before = host_of(f->transport), after;
  CHECK_STATUS(expected, udpr_transport_connect(f->transport, &peer));
  after = host_of(f->transport);
  CHECK_ADDR(&before, &after);
}

static void refuses_all(fixture *f) {
  udpr_addr future = f->second;
  future.reserved = 1;
  refuses(f, UDPR_E_INVALID_ARGUMENT, (udpr_addr){0});
  refuses(f, UDPR_E_INVALID_ARGUMENT, addr("127.0.0.1", 0));
  refuses(f, UDPR_E_VERSION, future);
  refuses(f, UDPR_E_ADDRESS_FAMILY, addr("::1", 9));
  refuses(f, UDPR_E_ADDRESS_FAMILY, addr("::ffff:127.0.0.1", 9));
  refuses(f, UDPR_E_ACCESS, addr("255.255.255.255", 9));
  /* A socket on loopback reaches nobody else. */
  refuses(f, UDPR_E_SYSTEM - EINVAL, addr("192.0.2.1", 9));
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_transport_connect(f->transport, NULL));
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_transport_get_peer(f->transport, NULL));
}

TEST(a_failed_connect_leaves_the_port_as_it_was) {
  fixture f;
  set_up(&f, "127.0.0.1", AF_INET);
  refuses_all(&f);
  has_no_peer(&f);
  peer_send(f.two, &f.host, "a", 1);
  RUN_UNTIL(f.reactor, *f.got);

  OK(udpr_transport_connect(f.transport, &f.first));
  refuses_all(&f);
  peer_is(&f, &f.first);
  OK(udpr_transport_write(f.transport, "still", 5, NULL));
  PEER_RECEIVES(f.one, "still");
  peer_send(f.two, &f.host, "s", 1);
  peer_send(f.one, &f.host, "b", 1);
  RUN_UNTIL(f.reactor, strlen(f.got) == 2);
  CHECK_STR("ab", f.got);
  tear_down(&f);
}

TEST(families_of_ipv6_ports) {
  const udpr_protocol    protocol = {.size = sizeof protocol};
  const udpr_udp_options v6_only = {.size = sizeof v6_only, .flags = UDPR_UDP_V6_ONLY};
  fixture                f;
  set_up(&f, "::", AF_INET6);
  refuses(&f, UDPR_E_ADDRESS_FAMILY, addr("127.0.0.1", 9));
  udpr_addr mapped = addr("::ffff:127.0.0.1", f.first.port);
  OK(udpr_transport_connect(f.transport, &mapped));
  peer_is(&f, &mapped);
  tear_down(&f);
  set_up_with(&f, "::", AF_INET6, &protocol, &v6_only);
  refuses(&f, UDPR_E_ADDRESS_FAMILY, mapped);
  tear_down(&f);
}

TEST(an_unspecified_address_is_this_host) {
  fixture f;
  set_up(&f, NULL, AF_INET);
  udpr_addr any = addr("0.0.0.0", f.first.port);
  OK(udpr_transport_connect(f.transport, &any));
  peer_is(&f, &f.first);
  OK(udpr_transport_write(f.transport, "x", 1, NULL));
  PEER_RECEIVES(f.one, "x");
  tear_down(&f);
}

TEST(strangers_that_waited_in_the_socket_are_discarded) {
  fixture f;
  set_up(&f, "127.0.0.1", AF_INET);
  peer_send(f.two, &f.host, "s", 1);
  peer_send(f.one, &f.host, "p", 1);
  peer_send(f.two, &f.host, "s", 1);
  peer_send(f.one, &f.host, "q", 1);
  OK(udpr_transport_connect(f.transport, &f.first));
  RUN_UNTIL(f.reactor, strlen(f.got) == 2);
  run_turns(f.reactor, 3);
  CHECK_STR("pq", f.got);
  CHECK_EQ(2, stats_of(f.transport).discarded_in);
  CHECK_EQ(0, stats_of(f.transport).kept_datagrams);
  tear_down(&f);
}

static void connect_to_first(fixture *f) {
  f->on_datagram = NULL;
  OK(udpr_transport_connect(f->transport, &f->first));
}

TEST(strangers_in_the_batch_are_discarded) {
  fixture f;
  set_up(&f, "127.0.0.1", AF_INET);
  f.on_datagram = connect_to_first;
  peer_send(f.two, &f.host, "a", 1); /* during which the port is connected */
  peer_send(f.two, &f.host, "s", 1);
  peer_send(f.one, &f.host, "p", 1);
  RUN_UNTIL(f.reactor, strlen(f.got) == 2);
  run_turns(f.reactor, 3);
  CHECK_STR("ap", f.got);
  CHECK_EQ(1, stats_of(f.transport).discarded_in);
  tear_down(&f);
}

static void pause_port(fixture *f) {
  f->on_datagram = NULL;
  OK(udpr_transport_pause_reading(f->transport));
}

TEST(strangers_that_were_kept_are_discarded) {
  fixture f;
  set_up(&f, "127.0.0.1", AF_INET);
  f.on_datagram = pause_port;
  peer_send(f.two, &f.host, "a", 1);
  peer_send(f.two, &f.host, "s", 1);
  peer_send(f.one, &f.host, "p", 1);
  RUN_UNTIL(f.reactor, stats_of(f.transport).kept_datagrams == 2);
  OK(udpr_transport_connect(f.transport, &f.first));
  CHECK_EQ(1, stats_of(f.transport).kept_datagrams);
  CHECK_EQ(1, stats_of(f.transport).discarded_in);
  OK(udpr_transport_resume_reading(f.transport));
  RUN_UNTIL(f.reactor, strlen(f.got) == 2);
  CHECK_STR("ap", f.got);
  tear_down(&f);
}

/* Nothing is left of what was kept: the port goes on reading. */
TEST(strangers_alone_were_kept) {
  fixture f;
  set_up(&f, "127.0.0.1", AF_INET);
  f.on_datagram = pause_port;
  peer_send(f.two, &f.host, "a", 1);
  peer_send(f.two, &f.host, "s", 1);
  RUN_UNTIL(f.reactor, stats_of(f.transport).kept_datagrams == 1);
  OK(udpr_transport_connect(f.transport, &f.first));
  CHECK_EQ(0, stats_of(f.transport).kept_datagrams);
  OK(udpr_transport_resume_reading(f.transport));
  peer_send(f.one, &f.host, "p", 1);
  RUN_UNTIL(f.reactor, strlen(f.got) == 2);
  CHECK_STR("ap", f.got);
  tear_down(&f);
}

static size_t take_one_and_connect(udpr_transport *transport, const udpr_datagram *const *datagrams,
                                   size_t count, void *user) {
  fixture *f = user;
  size_t   length = strlen(f->got);
  (void)transport;
  CHECK(count > 0 && length + 1 < sizeof f->got);
  f->got[length] = (char)datagrams[0]->data[0];
  if (length == 0) connect_to_first(f);
  return 1;
}

/* The same where a port takes batches: it is shown no stranger after the connect. */
TEST(strangers_are_no_part_of_a_batch) {
  const udpr_protocol protocol = {.size = sizeof protocol, .datagrams_received = take_one_and_connect};
  fixture             f;
  set_up_with(&f, "127.0.0.1", AF_INET, &protocol, NULL);
  const char *from_two = "asss";
  peer_send(f.two, &f.host, from_two, 1);
  for (int i = 1; from_two[i]; i++) {
    peer_send(f.two, &f.host, &from_two[i], 1);
    peer_send(f.one, &f.host, "p", 1);
  }
  RUN_UNTIL(f.reactor, strlen(f.got) == 4);
  run_turns(f.reactor, 3);
  CHECK_STR("appp", f.got);
  CHECK_EQ(3, stats_of(f.transport).discarded_in);
  CHECK_EQ(7, stats_of(f.transport).datagrams_in);
  tear_down(&f);
}

/* ---- what is on its way when the peer changes ---------------------------------------------------------- */

static void write_and_change(udpr_reactor *reactor, void *user) {
  fixture *f = user;
  (void)reactor;
  OK(udpr_transport_write(f->transport, "1", 1, &f->second));
  OK(udpr_transport_connect(f->transport, &f->first));
  CHECK_EQ(UDPR_E_WRONG_PEER, udpr_transport_write(f->transport, "x", 1, &f->second)); /* as the last one */
  OK(udpr_transport_write(f->transport, "2", 1, NULL));
  OK(udpr_transport_connect(f->transport, &f->second));
  OK(udpr_transport_write(f->transport, "3", 1, NULL));
  OK(udpr_transport_disconnect(f->transport));
  OK(udpr_transport_write(f->transport, "4", 1, &f->first));
}

TEST(what_was_gathered_goes_where_it_was_written_to) {
  fixture f;
  set_up(&f, "127.0.0.1", AF_INET);
  OK(udpr_reactor_call_later(f.reactor, 0, write_and_change, &f, NULL, NULL));
  run_turns(f.reactor, 2);
  PEER_RECEIVES(f.two, "1");
  PEER_RECEIVES(f.one, "2");
  PEER_RECEIVES(f.two, "3");
  PEER_RECEIVES(f.one, "4");
  CHECK_EQ(0, stats_of(f.transport).dropped_out);
  tear_down(&f);
}

TEST(what_was_posted_goes_where_it_was_posted_to) {
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
  PEER_RECEIVES(f.two, "1");
  PEER_RECEIVES(f.one, "2");
  PEER_RECEIVES(f.two, "3");
  CHECK_EQ(0, stats_of(f.transport).dropped_out);
  tear_down(&f);
}

/* ---- life ---------------------------------------------------------------------------------------------- */

static udpr_status connect_at_start(udpr_transport *transport, void *user) {
  return udpr_transport_connect(transport, user);
}

TEST(connect_in_start_protocol) {
  udpr_reactor   *reactor = new_reactor(0);
  int             peer = peer_open(AF_INET);
  udpr_addr       to = peer_addr(peer), got;
  udpr_protocol   protocol = {.size = sizeof protocol, .user = &to, .start_protocol = connect_at_start};
  udpr_transport *transport = listen_on(reactor, "127.0.0.1", &protocol, NULL);
  OK(udpr_transport_get_peer(transport, &got));
  CHECK_ADDR(&to, &got);
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
  peer_is(&f, &f.first);
  run_turns(f.reactor, 2);
  CHECK_STATUS(UDPR_E_CLOSED, udpr_transport_get_peer(f.transport, &peer));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_transport_connect(f.transport, &f.second));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_transport_set_error_reports(f.transport, 1));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_transport_close(f.transport));
  udpr_transport_release(f.transport);
  OK(udpr_reactor_free(f.reactor));
  close(f.one), close(f.two);
}

CHECK_MAIN()
