/* Datagrams of one sender are received, and echoed, in order: 10,000 in bursts that fit into the socket
 * buffer.
 */
#include "check.h"

enum { DATAGRAMS = 10000, BURST = 100, FLOOD = 3000 };

typedef struct counter {
  atomic_int freed;
  uint32_t   next; /* the number expected next */
  bool       echo;
} counter;

static void check_next(counter *self, udpr_transport *transport, const udpr_datagram *datagram) {
  uint32_t number;
  CHECK(datagram->len >= sizeof number);
  memcpy(&number, datagram->data, sizeof number);
  CHECK_EQ(self->next, number);
  self->next++;
  if (self->echo) OK(udpr_transport_write(transport, datagram->data, datagram->len, &datagram->sender));
}

static void received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  check_next(user, transport, datagram);
}

static size_t received_batch(udpr_transport *transport, const udpr_datagram *const *datagrams, size_t count,
                             void *user) {
  for (size_t i = 0; i < count; i++) check_next(user, transport, datagrams[i]);
  return count;
}

static void send_burst(int peer, const udpr_addr *to, uint32_t first) {
  uint8_t data[64] = {0};
  for (uint32_t number = first; number < first + BURST; number++) {
    memcpy(data, &number, sizeof number);
    peer_send(peer, to, data, sizeof number + number % 60); /* of different lengths */
  }
}

static void receive_burst(int peer, uint32_t first) {
  for (uint32_t expected = first; expected < first + BURST; expected++) {
    uint8_t  data[64];
    uint32_t number;
    CHECK_EQ(sizeof number + expected % 60, peer_receive(peer, data, sizeof data));
    memcpy(&number, data, sizeof number);
    CHECK_EQ(expected, number);
  }
}

static void check_order(const udpr_protocol *callbacks, bool echo) {
  counter       server = {.echo = echo};
  udpr_protocol protocol = *callbacks;
  udpr_reactor *reactor = new_reactor(0);
  protocol.size = sizeof protocol, protocol.user = &server, protocol.free_user = count_free;
  udpr_transport *transport = listen_on(reactor, "127.0.0.1", &protocol, NULL);
  udpr_addr       host = host_of(transport);
  int             peer = peer_open(AF_INET);
  for (uint32_t sent = 0; sent < DATAGRAMS; sent += BURST) {
    send_burst(peer, &host, sent);
    RUN_UNTIL(reactor, server.next == sent + BURST);
    if (echo) receive_burst(peer, sent);
  }
  CHECK_EQ(DATAGRAMS, server.next);
  CHECK(peer_has_no_datagram(peer));
  OK(udpr_transport_close(transport));
  udpr_transport_release(transport);
  OK(udpr_reactor_free(reactor));
  CHECK_EQ(1, server.freed);
  close(peer);
}

TEST(order_by_datagram_received) { check_order(&(udpr_protocol){.datagram_received = received}, false); }
TEST(order_by_datagrams_received) {
  check_order(&(udpr_protocol){.datagrams_received = received_batch}, false);
}
TEST(order_of_echoes) { check_order(&(udpr_protocol){.datagram_received = received}, true); }
TEST(order_of_echoes_by_batch) { check_order(&(udpr_protocol){.datagrams_received = received_batch}, true); }

/* A port is read while another thread sends as fast as possible. The kernel drops some; the others are in
 * order.
 */
typedef struct flood {
  int         peer;
  udpr_addr   to;
  atomic_bool done;
} flood;

static void send_flood(void *arg) {
  flood *self = arg;
  for (uint32_t number = 0; number < FLOOD; number++)
    peer_send(self->peer, &self->to, &number, sizeof number);
  self->done = true;
}

static void received_in_order(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  counter *self = user;
  uint32_t number;
  (void)transport;
  memcpy(&number, datagram->data, sizeof number);
  CHECK(number >= self->next);
  self->next = number + 1;
}

TEST(order_under_flood) {
  counter       server = {0};
  udpr_reactor *reactor = new_reactor(0);
  udpr_protocol protocol = {.size = sizeof protocol, .user = &server, .datagram_received = received_in_order};
  udpr_transport *transport = listen_on(reactor, "127.0.0.1", &protocol, NULL);
  flood           sender = {.peer = peer_open(AF_INET), .to = host_of(transport)};
  check_thread    thread;
  thread_start(&thread, send_flood, &sender);
  RUN_UNTIL(reactor, sender.done);
  thread_join(&thread);
  run_turns(reactor, 100); /* more than enough for the contents of one socket buffer */
  CHECK(server.next > 0);
  CHECK(stats_of(transport).datagrams_in + stats_of(transport).dropped_in <= FLOOD);
  OK(udpr_transport_close(transport));
  udpr_transport_release(transport);
  OK(udpr_reactor_free(reactor));
  close(sender.peer);
}

CHECK_MAIN()
