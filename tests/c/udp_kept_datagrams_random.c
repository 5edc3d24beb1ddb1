/* Connects, pauses and what is left of batches, in any order and at any place: nothing is delivered while the port is paused,
 * nothing of anyone but its peer, everything in order, and every datagram is delivered, kept or discarded.
 */
#include "check.h"

#include <netinet/udp.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

enum { PEERS = 3, NOBODY = PEERS, LARGEST_BATCH = 256 };

/* What each datagram says. */
typedef struct item {
  uint32_t peer, number;
} item;

typedef struct world {
  uint64_t        random;
  udpr_reactor   *reactor;
  udpr_transport *transport;
  udpr_addr       host, peers[PEERS];
  int             fds[PEERS];
  uint32_t        sent[PEERS], seen[PEERS]; /* numbers begin at 1 */
  uint32_t        peer;                     /* whom the port is connected to, or NOBODY */
  bool            paused, in_batches, stopped;
  uint64_t        delivered, discarded;
} world;

static uint32_t below(world *w, uint32_t limit) {
  w->random = w->random * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(w->random >> 33) % limit;
}

static void pause_or_resume(world *w, bool on) {
  w->paused = on;
  OK(on ? udpr_transport_pause_reading(w->transport) : udpr_transport_resume_reading(w->transport));
}

static void connect_to(world *w, uint32_t peer) {
  if (peer != NOBODY) OK(udpr_transport_connect(w->transport, &w->peers[peer]));
  else if (w->peer != NOBODY) OK(udpr_transport_disconnect(w->transport));
  w->peer = peer;
}

static void act(world *w) {
  switch (below(w, 12)) {
  case 0: pause_or_resume(w, true); break;
  case 1: pause_or_resume(w, false); break;
  case 2: connect_to(w, below(w, PEERS)); break;
  case 3: connect_to(w, NOBODY); break;
  case 4: pause_or_resume(w, true), connect_to(w, below(w, PEERS)); break;
  case 5: connect_to(w, below(w, PEERS)), pause_or_resume(w, true); break;
  case 6: pause_or_resume(w, true), pause_or_resume(w, false); break;
  default: break;
  }
}

static void check_item(world *w, const udpr_datagram *datagram) {
  item one;
  CHECK(!w->paused && !w->stopped);
  CHECK_EQ(sizeof one, datagram->len);
  memcpy(&one, datagram->data, sizeof one);
  CHECK(one.peer < PEERS && (w->peer == NOBODY || w->peer == one.peer));
  CHECK_ADDR(&w->peers[one.peer], &datagram->sender);
  CHECK(one.number > w->seen[one.peer] && one.number <= w->sent[one.peer]);
  w->seen[one.peer] = one.number;
  w->delivered++;
}

/* Inside a batch not by a close, whose stop_protocol is called before anyone knows how many of the batch were taken. */
static void ends_itself(world *w) {
  if (below(w, 400)) return;
  w->stopped = true;
  OK(w->in_batches || below(w, 2) ? udpr_transport_stop_listening(w->transport)
                                  : udpr_transport_close(w->transport));
}

static void received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  (void)transport;
  check_item(user, datagram);
  act(user);
  ends_itself(user);
}

static size_t received_batch(udpr_transport *transport, const udpr_datagram *const *datagrams, size_t count,
                             void *user) {
  world *w = user;
  (void)transport;
  CHECK(count > 0 && count <= LARGEST_BATCH);
  size_t taken = below(w, 3) ? below(w, (uint32_t)count + 1) : count;
  for (size_t i = 0; i < taken; i++) check_item(w, datagrams[i]);
  act(w);
  ends_itself(w);
  return taken;
}

static void stopped(udpr_transport *transport, udpr_status reason, void *user) {
  world               *w = user;
  udpr_transport_stats last = stats_of(transport);
  OK(reason);
  CHECK_EQ(0, last.kept_datagrams);
  CHECK_EQ(last.datagrams_in, w->delivered + last.discarded_in);
  w->stopped = true;
  w->transport = NULL;
}

/* Some in messages of their own, some merged: then one recvmmsg brings more than a batch. */
static void send_some(world *w) {
  uint32_t peer = below(w, PEERS), count = 1 + below(w, 120);
  int      size = below(w, 2) ? (int)sizeof(item) : 0;
  item     items[120];
  if (size && setsockopt(w->fds[peer], SOL_UDP, UDP_SEGMENT, &size, sizeof size) != 0) size = 0;
  if (count > 60) count = size ? 60 : 20;
  for (uint32_t i = 0; i < count; i++) items[i] = (item){peer, ++w->sent[peer]};
  if (size) peer_send(w->fds[peer], &w->host, items, count * sizeof *items);
  else
    for (uint32_t i = 0; i < count; i++) peer_send(w->fds[peer], &w->host, &items[i], sizeof *items);
  size = 0;
  setsockopt(w->fds[peer], SOL_UDP, UDP_SEGMENT, &size, sizeof size);
}

static void check_sums(const world *w) {
  if (w->stopped) return;
  udpr_transport_stats now = stats_of(w->transport);
  CHECK_EQ(now.datagrams_in, w->delivered + now.kept_datagrams + now.discarded_in);
  /* One recvmmsg of 64 messages, each of 60 datagrams at most. */
  CHECK(now.kept_datagrams < 64 * 60);
}

static void one_port(world *w, udpr_reactor *reactor) {
  udpr_protocol protocol = {.size = sizeof protocol, .user = w, .stop_protocol = stopped};
  if (w->in_batches) protocol.datagrams_received = received_batch;
  else protocol.datagram_received = received;
  w->reactor = reactor, w->peer = NOBODY;
  udpr_transport *held = w->transport = listen_on(reactor, "127.0.0.1", &protocol, NULL);
  w->host = host_of(held);
  for (int i = 0; i < PEERS; i++) w->fds[i] = peer_open(AF_INET), w->peers[i] = peer_addr(w->fds[i]);
  for (int step = 0; step < 60 && !w->stopped; step++) {
    for (uint32_t i = below(w, 6); i > 0; i--) send_some(w);
    if (below(w, 2)) act(w);
    check_sums(w);
    OK(udpr_reactor_iterate(reactor, 0));
    check_sums(w);
    if (!w->stopped && below(w, 4) == 0) pause_or_resume(w, false);
  }
  if (!w->stopped) OK(udpr_transport_close(held));
  run_turns(reactor, 2);
  CHECK(w->transport == NULL);
  udpr_transport_release(held);
  for (int i = 0; i < PEERS; i++) close(w->fds[i]);
}

static void many_ports(bool in_batches) {
  udpr_reactor *reactor = new_reactor(0);
  uint64_t      delivered = 0;
  for (uint64_t seed = 1; seed <= 60; seed++) {
    world w = {.random = seed * 0x9E3779B97F4A7C15u, .in_batches = in_batches};
    one_port(&w, reactor);
    delivered += w.delivered;
  }
  CHECK(delivered > 1000);
  OK(udpr_reactor_free(reactor));
}

TEST(singly) { many_ports(false); }
TEST(in_batches) { many_ports(true); }

CHECK_MAIN()
