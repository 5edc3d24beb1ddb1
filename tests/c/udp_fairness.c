/* A port that receives a burst of 100,000 empty datagrams must not starve another port or delayed calls. */
#include "embedded.h"

enum {
  BURST = 100000,
  WAITING = 100 /* fit into a receive buffer: the kernel charges up to 1280 bytes for each, on s390x */
};

typedef struct busy {
  int       peer;
  udpr_addr host;
  int       sent, received;
} busy;

/* For each datagram received another one is sent, so the port is always ready. Only the reactor can end its
 * turn.
 */
static void send_another(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  busy *self = user;
  (void)transport;
  CHECK_EQ(0, datagram->len);
  self->received++;
  if (self->sent == BURST) return;
  peer_send(self->peer, &self->host, "", 0);
  self->sent++;
}

static void count(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  (void)transport, (void)datagram;
  ++*(int *)user;
}

static void count_call(udpr_reactor *reactor, void *user) {
  (void)reactor;
  ++*(int *)user;
}

TEST(a_burst_does_not_starve_the_others) {
  busy            flood = {.peer = peer_open(AF_INET)};
  int             served = 0, called = 0, requested = 0;
  udpr_reactor   *reactor = new_reactor(0);
  udpr_protocol   first = {.size = sizeof first, .user = &flood, .datagram_received = send_another};
  udpr_protocol   second = {.size = sizeof second, .user = &served, .datagram_received = count};
  udpr_transport *flooded = listen_on(reactor, "127.0.0.1", &first, NULL);
  udpr_transport *quiet = listen_on(reactor, "127.0.0.1", &second, NULL);
  udpr_addr       quiet_host = host_of(quiet);
  flood.host = host_of(flooded);
  for (; flood.sent < WAITING; flood.sent++) peer_send(flood.peer, &flood.host, "", 0);

  while (flood.received < BURST) {
    peer_send(flood.peer, &quiet_host, "me too", 6);
    /* A busy kernel delivers it later, by a thread of its own. */
    CHECK(becomes_readable(udpr_transport_fileno(quiet)));
    OK(udpr_reactor_call_later(reactor, 0, count_call, &called, NULL, NULL));
    requested++;
    OK(udpr_reactor_iterate(reactor, 0));
    CHECK_EQ(requested, served); /* in the very next turn */
    CHECK_EQ(requested, called);
  }
  CHECK_EQ(BURST, flood.received);
  CHECK(requested >= 100); /* no turn handled a great part of the burst */

  OK(udpr_transport_close(flooded));
  OK(udpr_transport_close(quiet));
  udpr_transport_release(flooded);
  udpr_transport_release(quiet);
  OK(udpr_reactor_free(reactor));
  close(flood.peer);
}

/* Calls that always make another call with zero delay must not starve I/O: each of them is made in a turn of
 * its own.
 */
static void call_again(udpr_reactor *reactor, void *user) {
  ++*(int *)user;
  OK(udpr_reactor_call_later(reactor, 0, call_again, user, NULL, NULL));
}

TEST(zero_delay_calls_do_not_starve_ports) {
  int             calls = 0, served = 0;
  udpr_reactor   *reactor = new_reactor(0);
  udpr_protocol   protocol = {.size = sizeof protocol, .user = &served, .datagram_received = count};
  udpr_transport *transport = listen_on(reactor, "127.0.0.1", &protocol, NULL);
  udpr_addr       host = host_of(transport);
  int             peer = peer_open(AF_INET);
  OK(udpr_reactor_call_later(reactor, 0, call_again, &calls, NULL, NULL));
  for (int turn = 1; turn <= 100; turn++) {
    peer_send(peer, &host, "x", 1);
    OK(udpr_reactor_iterate(reactor, -1)); /* a call is due: must not wait */
    CHECK_EQ(turn, served);
    CHECK_EQ(turn, calls);
  }
  OK(udpr_transport_close(transport));
  udpr_transport_release(transport);
  OK(udpr_reactor_free(reactor));
  close(peer);
}

CHECK_MAIN()
