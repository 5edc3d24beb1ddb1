/* What a hostile peer may send: empty datagrams, noise, and datagrams and ICMP messages with a forged source.
 */
#include "spoof.h"

typedef struct fixture {
  udpr_reactor   *reactor;
  udpr_transport *transport;
  udpr_addr       host;
  int             peer;
  int             empty, other, refused, reports;
  bool            echo;
  udpr_status     echo_status; /* returned by the last write */
} fixture;

static void received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  fixture *f = user;
  CHECK(datagram->data != NULL && datagram->len == datagram->full_len);
  if (datagram->len == 0) f->empty++;
  else f->other++;
  if (f->echo)
    f->echo_status = udpr_transport_write(transport, datagram->data, datagram->len, &datagram->sender);
}

static size_t received_many(udpr_transport *transport, const udpr_datagram *const *datagrams, size_t count,
                            void *user) {
  for (size_t i = 0; i < count; i++) received(transport, datagrams[i], user);
  return count;
}

static void refused(udpr_transport *transport, void *user) {
  (void)transport;
  ((fixture *)user)->refused++;
}

static void reported(udpr_transport *transport, const udpr_error_report *report, void *user) {
  (void)transport;
  CHECK_STATUS(UDPR_E_CONNECTION_REFUSED, report->status);
  ((fixture *)user)->reports++;
}

static void set_up(fixture *f, uint32_t flags, bool batches) {
  *f = (fixture){.reactor = new_reactor(0), .peer = peer_open(AF_INET)};
  udpr_protocol    protocol = {.size = sizeof protocol,
                               .user = f,
                               .datagram_received = received,
                               .datagrams_received = batches ? received_many : NULL,
                               .connection_refused = refused,
                               .error_received = reported};
  udpr_udp_options options = {.size = sizeof options, .flags = flags};
  f->transport = listen_on(f->reactor, "127.0.0.1", &protocol, &options);
  f->host = host_of(f->transport);
}

static void tear_down(fixture *f) {
  OK(udpr_transport_close(f->transport));
  udpr_transport_release(f->transport);
  OK(udpr_reactor_free(f->reactor));
  close(f->peer);
}

/* ---- empty datagrams ----------------------------------------------------------------------------------- */

/* c-ares took an empty datagram for the end of the connection (CVE-2023-32067), as a read(2) of 0 bytes is
 * for a stream.
 */
static void check_empty_datagrams(uint32_t flags, bool batches, bool connected) {
  fixture f;
  set_up(&f, flags, batches);
  udpr_addr peer = peer_addr(f.peer);
  if (connected) OK(udpr_transport_connect(f.transport, &peer));
  for (int i = 0; i < 3; i++) peer_send(f.peer, &f.host, "", 0);
  peer_send(f.peer, &f.host, "x", 1);
  peer_send(f.peer, &f.host, "", 0);
  RUN_UNTIL(f.reactor, f.empty == 4 && f.other == 1);
  OK(udpr_transport_write(f.transport, NULL, 0, connected ? NULL : &peer));
  OK(udpr_transport_write(f.transport, "still here", 10, connected ? NULL : &peer));
  PEER_RECEIVES(f.peer, "");
  PEER_RECEIVES(f.peer, "still here");
  tear_down(&f);
}

TEST(empty_datagrams_unconnected) { check_empty_datagrams(0, false, false); }
TEST(empty_datagrams_connected) { check_empty_datagrams(0, false, true); }
TEST(empty_datagrams_in_batches) { check_empty_datagrams(0, true, true); }
TEST(empty_datagrams_without_offload) { check_empty_datagrams(UDPR_UDP_NO_OFFLOAD, false, true); }
TEST(empty_datagrams_unbatched) { check_empty_datagrams(UDPR_UDP_UNBATCHED, false, false); }

/* ---- amplification ------------------------------------------------------------------------------------- */

/* The library sends nothing unless the program writes. */
TEST(noise_is_not_replied_to) {
  uint8_t  noise[1400];
  uint64_t seed = 88172645463325252;
  fixture  f;
  set_up(&f, 0, false);
  for (int i = 0; i < 500; i++) {
    for (size_t j = 0; j < sizeof noise; j++) {
      seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
      noise[j] = (uint8_t)seed;
    }
    peer_send(f.peer, &f.host, noise, seed % sizeof noise);
    run_turns(f.reactor, 1);
  }
  RUN_UNTIL(f.reactor, f.empty + f.other == 500);
  CHECK_EQ(0, stats_of(f.transport).datagrams_out);
  CHECK(peer_has_no_datagram(f.peer));
  tear_down(&f);
}

/* ---- forged sources ------------------------------------------------------------------------------------ */

/* Port 0 cannot be replied to (RFC 768: no reply is expected). */
TEST(a_sender_with_port_0) {
  fixture f;
  enter_network_namespace();
  set_up(&f, 0, false);
  f.echo = true;
  udpr_addr nobody = addr("127.0.0.7", 0);
  spoof_datagram(&nobody, &f.host, "hey!");
  RUN_UNTIL(f.reactor, f.other == 1);
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, f.echo_status);
  peer_send(f.peer, &f.host, "x", 1);
  PEER_RECEIVES((run_turns(f.reactor, 3), f.peer), "x");
  tear_down(&f);
}

static void count_call(udpr_reactor *reactor, void *user) {
  (void)reactor;
  ++*(int *)user;
}

/* A datagram with the port's own address as its source makes an echo send to itself endlessly. Each turn must
 * still end, and other ports and calls must be served.
 */
TEST(a_datagram_spoofed_from_the_port_itself_starves_nobody) {
  fixture f, other;
  int     calls = 0;
  enter_network_namespace();
  set_up(&f, 0, false);
  f.echo = true;
  set_up(&other, 0, false);
  spoof_datagram(&f.host, &f.host, "loop");
  udpr_protocol   protocol = {.size = sizeof protocol, .user = &other, .datagram_received = received};
  udpr_transport *second = listen_on(f.reactor, "127.0.0.1", &protocol, NULL);
  const udpr_addr second_host = host_of(second);
  for (int i = 1; i <= 100; i++) {
    peer_send(f.peer, &second_host, "x", 1);
    OK(udpr_reactor_call_later(f.reactor, 0, count_call, &calls, NULL, NULL));
    run_turns(f.reactor, 2);
    CHECK_EQ(i, calls);
    CHECK_EQ(i, other.other);
  }
  CHECK(f.other >= 100); /* it still continues */
  OK(udpr_transport_close(second));
  udpr_transport_release(second);
  tear_down(&other);
  tear_down(&f);
}

/* Datagrams from other senders are discarded, but those with the peer's forged address are not. */
TEST(a_connected_port_receives_datagrams_spoofed_from_the_peer) {
  fixture f;
  enter_network_namespace();
  set_up(&f, 0, false);
  udpr_addr peer = peer_addr(f.peer), other_sender = addr("127.0.0.7", peer.port);
  OK(udpr_transport_connect(f.transport, &peer));
  spoof_datagram(&other_sender, &f.host, "no!!");
  spoof_datagram(&peer, &f.host, "yes!");
  RUN_UNTIL(f.reactor, f.other == 1);
  run_turns(f.reactor, 3);
  CHECK_EQ(1, f.other);
  tear_down(&f);
}

/* ---- forged ICMP messages ------------------------------------------------------------------------------ */

static void spoof_refusals(const fixture *f, const udpr_addr *to, int count) {
  while (count-- > 0) spoof_icmp(&f->host, to, ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, 0);
}

/* Anyone who knows both addresses can forge a refusal. It is reported to the port, which stays connected and
 * loses nothing.
 */
TEST(spoofed_refusals_close_nothing) {
  fixture f;
  enter_network_namespace();
  set_up(&f, 0, false);
  udpr_addr peer = peer_addr(f.peer), still;
  OK(udpr_transport_connect(f.transport, &peer));
  for (int i = 0; i < 200; i++) {
    spoof_refusals(&f, &peer, 5);
    OK(udpr_transport_write(f.transport, "x", 1, NULL));
    peer_send(f.peer, &f.host, "y", 1);
    run_turns(f.reactor, 1);
    PEER_RECEIVES(f.peer, "x");
  }
  RUN_UNTIL(f.reactor, f.other == 200);
  CHECK(f.refused >= 1 && f.refused <= 200); /* at most once in a turn */
  OK(udpr_transport_get_peer(f.transport, &still));
  CHECK_ADDR(&peer, &still);
  tear_down(&f);
}

/* The messages wait in the socket's receive buffer, which is bounded. Reporting them must not block a turn.
 */
TEST(a_flood_of_spoofed_errors_does_not_block_datagrams) {
  fixture f;
  int     calls = 0;
  enter_network_namespace();
  set_up(&f, UDPR_UDP_ERROR_REPORTS, false);
  udpr_addr anybody = addr("127.0.0.1", 4242);
  for (int i = 1; i <= 20; i++) {
    spoof_refusals(&f, &anybody, 300);
    OK(udpr_reactor_call_later(f.reactor, 0, count_call, &calls, NULL, NULL));
    run_turns(f.reactor, 2);
    CHECK_EQ(i, calls);
  }
  CHECK(f.reports > 20 && f.reports <= 20 * 300);
  int before;
  do { /* until the queue is empty */
    before = f.reports;
    run_turns(f.reactor, 2);
  } while (f.reports > before);
  peer_send(f.peer, &f.host, "x", 1);
  RUN_UNTIL(f.reactor, f.other == 1);
  CHECK_EQ(0, f.refused); /* it has no peer */
  tear_down(&f);
}

/* The message contains both addresses, by which the kernel looks up the socket. */
TEST(icmp_about_other_ports_is_not_reported) {
  fixture f;
  enter_network_namespace();
  set_up(&f, UDPR_UDP_ERROR_REPORTS, false);
  udpr_addr other = f.host, peer = peer_addr(f.peer), other_sender = addr("127.0.0.1", 4242);
  other.port ^= 1;
  spoof_icmp(&other, &peer, ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, 0);
  OK(udpr_transport_connect(f.transport, &peer));
  spoof_icmp(&f.host, &other_sender, ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, 0);
  run_turns(f.reactor, 5);
  CHECK_EQ(0, f.reports + f.refused);
  tear_down(&f);
}

/* ---- descriptors that are used again ------------------------------------------------------------------- */

/* mio delivered an event to a token that had been assigned anew (CVE-2024-27308). Here both ports have a
 * datagram in one turn. The one called first closes the other, whose `user` is freed, and makes a new port,
 * which gets the same descriptor.
 */
typedef struct pair_port pair_port;
struct pair_port {
  udpr_transport *transport;
  udpr_addr       host;
  pair_port      *other;
  fixture        *replacement;
  int             fd;
};

static void pair_port_received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  pair_port    *self = user, *other = self->other;
  fixture      *replacement = self->replacement;
  udpr_protocol protocol = {.size = sizeof protocol, .user = replacement, .datagram_received = received};
  (void)datagram;
  if (replacement->transport) return;
  OK(udpr_transport_close(other->transport)); /* frees `other` */
  replacement->transport = listen_on(udpr_transport_reactor(transport), "127.0.0.1", &protocol, NULL);
}

static void pair_port_freed(void *user) {
  udpr_transport_release(((pair_port *)user)->transport), free(user);
}

TEST(an_event_of_a_closed_port_is_not_delivered_to_its_replacement) {
  udpr_reactor *reactor = new_reactor(0);
  fixture       replacement = {.transport = NULL};
  pair_port    *two[2];
  int           fds[2], peer = peer_open(AF_INET);
  for (int i = 0; i < 2; i++) {
    udpr_protocol protocol = {.size = sizeof protocol,
                              .free_user = pair_port_freed,
                              .datagram_received = pair_port_received};
    protocol.user = two[i] = calloc(1, sizeof **two);
    two[i]->replacement = &replacement;
    two[i]->transport = listen_on(reactor, "127.0.0.1", &protocol, NULL);
    two[i]->host = host_of(two[i]->transport);
    fds[i] = udpr_transport_fileno(two[i]->transport);
  }
  two[0]->other = two[1], two[1]->other = two[0];
  for (int i = 0; i < 2; i++) peer_send(peer, &two[i]->host, "x", 1);
  RUN_UNTIL(reactor, replacement.transport != NULL);
  run_turns(reactor, 3);
  int fd = udpr_transport_fileno(replacement.transport);
  CHECK(fd == fds[0] || fd == fds[1]);
  CHECK_EQ(0, replacement.other);
  CHECK_EQ(0, stats_of(replacement.transport).syscalls_in); /* the socket was not even read */
  udpr_addr host = host_of(replacement.transport);
  peer_send(peer, &host, "x", 1);
  RUN_UNTIL(reactor, replacement.other == 1);
  udpr_transport_release(replacement.transport);
  OK(udpr_reactor_free(reactor));
  close(peer);
}

CHECK_MAIN()
