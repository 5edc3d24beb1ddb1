/* Connects, pauses and partly taken batches in random order. Nothing is delivered while the port is paused,
 * or from anyone but its peer; the order is kept; and every datagram is delivered, kept or discarded.
 */
#include "check.h"

#include <netinet/udp.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif

enum { PEERS = 3, NO_PEER = PEERS, LARGEST_BATCH = 256 };

/* The contents of a datagram. */
typedef struct item {
  uint32_t peer, number;
} item;

typedef struct fixture {
  uint64_t        random;
  udpr_reactor   *reactor;
  udpr_transport *transport;
  udpr_addr       host, peers[PEERS];
  int             fds[PEERS];
  uint32_t        sent[PEERS], seen[PEERS]; /* numbers begin at 1 */
  uint32_t        peer;                     /* the connected peer, or NO_PEER */
  bool            paused, in_batches, stopped;
  uint64_t        delivered, discarded;
} fixture;

static uint32_t random_below(fixture *f, uint32_t limit) {
  f->random = f->random * 6364136223846793005u + 1442695040888963407u;
  return (uint32_t)(f->random >> 33) % limit;
}

static void pause_or_resume(fixture *f, bool on) {
  f->paused = on;
  OK(on ? udpr_transport_pause_reading(f->transport) : udpr_transport_resume_reading(f->transport));
}

static void connect_to(fixture *f, uint32_t peer) {
  if (peer != NO_PEER) OK(udpr_transport_connect(f->transport, &f->peers[peer]));
  else if (f->peer != NO_PEER) OK(udpr_transport_disconnect(f->transport));
  f->peer = peer;
}

static void act_randomly(fixture *f) {
  switch (random_below(f, 12)) {
  case 0: pause_or_resume(f, true); break;
  case 1: pause_or_resume(f, false); break;
  case 2: connect_to(f, random_below(f, PEERS)); break;
  case 3: connect_to(f, NO_PEER); break;
  case 4: pause_or_resume(f, true), connect_to(f, random_below(f, PEERS)); break;
  case 5: connect_to(f, random_below(f, PEERS)), pause_or_resume(f, true); break;
  case 6: pause_or_resume(f, true), pause_or_resume(f, false); break;
  default: break;
  }
}

static void check_received(fixture *f, const udpr_datagram *datagram) {
  item one;
  CHECK(!f->paused && !f->stopped);
  CHECK_EQ(sizeof one, datagram->len);
  memcpy(&one, datagram->data, sizeof one);
  CHECK(one.peer < PEERS && (f->peer == NO_PEER || f->peer == one.peer));
  CHECK_ADDR(&f->peers[one.peer], &datagram->sender);
  CHECK(one.number > f->seen[one.peer] && one.number <= f->sent[one.peer]);
  f->seen[one.peer] = one.number;
  f->delivered++;
}

/* Not by close inside a batch: it would call stop_protocol before the callback has returned how many it took.
 */
static void stop_sometimes(fixture *f) {
  if (random_below(f, 400)) return;
  f->stopped = true;
  OK(f->in_batches || random_below(f, 2) ? udpr_transport_stop_listening(f->transport)
                                         : udpr_transport_close(f->transport));
}

static void received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  (void)transport;
  check_received(user, datagram);
  act_randomly(user);
  stop_sometimes(user);
}

static size_t received_batch(udpr_transport *transport, const udpr_datagram *const *datagrams, size_t count,
                             void *user) {
  fixture *f = user;
  (void)transport;
  CHECK(count > 0 && count <= LARGEST_BATCH);
  size_t taken = random_below(f, 3) ? random_below(f, (uint32_t)count + 1) : count;
  for (size_t i = 0; i < taken; i++) check_received(f, datagrams[i]);
  act_randomly(f);
  stop_sometimes(f);
  return taken;
}

static void stopped(udpr_transport *transport, udpr_status reason, void *user) {
  fixture             *f = user;
  udpr_transport_stats last = stats_of(transport);
  OK(reason);
  CHECK_EQ(0, last.kept_datagrams);
  CHECK_EQ(last.datagrams_in, f->delivered + last.discarded_in);
  f->stopped = true;
  f->transport = NULL;
}

/* Single messages and merged ones. With merged ones, one recvmmsg receives more than a batch. */
static void send_some(fixture *f) {
  uint32_t peer = random_below(f, PEERS), count = 1 + random_below(f, 120);
  int      size = random_below(f, 2) ? (int)sizeof(item) : 0;
  item     items[120];
  if (size && setsockopt(f->fds[peer], SOL_UDP, UDP_SEGMENT, &size, sizeof size) != 0) size = 0;
  if (count > 60) count = size ? 60 : 20;
  for (uint32_t i = 0; i < count; i++) items[i] = (item){peer, ++f->sent[peer]};
  if (size) peer_send(f->fds[peer], &f->host, items, count * sizeof *items);
  else
    for (uint32_t i = 0; i < count; i++) peer_send(f->fds[peer], &f->host, &items[i], sizeof *items);
  size = 0;
  setsockopt(f->fds[peer], SOL_UDP, UDP_SEGMENT, &size, sizeof size);
}

static void check_sums(const fixture *f) {
  if (f->stopped) return;
  udpr_transport_stats now = stats_of(f->transport);
  CHECK_EQ(now.datagrams_in, f->delivered + now.kept_datagrams + now.discarded_in);
  /* at most one recvmmsg of 64 messages with 60 datagrams each */
  CHECK(now.kept_datagrams < 64 * 60);
}

static void run_one_port(fixture *f, udpr_reactor *reactor) {
  udpr_protocol protocol = {.size = sizeof protocol, .user = f, .stop_protocol = stopped};
  if (f->in_batches) protocol.datagrams_received = received_batch;
  else protocol.datagram_received = received;
  f->reactor = reactor, f->peer = NO_PEER;
  udpr_transport *reference = f->transport = listen_on(reactor, "127.0.0.1", &protocol, NULL);
  f->host = host_of(reference);
  for (int i = 0; i < PEERS; i++) f->fds[i] = peer_open(AF_INET), f->peers[i] = peer_addr(f->fds[i]);
  for (int step = 0; step < 60 && !f->stopped; step++) {
    for (uint32_t i = random_below(f, 6); i > 0; i--) send_some(f);
    if (random_below(f, 2)) act_randomly(f);
    check_sums(f);
    OK(udpr_reactor_iterate(reactor, 0));
    check_sums(f);
    if (!f->stopped && random_below(f, 4) == 0) pause_or_resume(f, false);
  }
  if (!f->stopped) OK(udpr_transport_close(reference));
  run_turns(reactor, 2);
  CHECK(f->transport == NULL);
  udpr_transport_release(reference);
  for (int i = 0; i < PEERS; i++) close(f->fds[i]);
}

static void run_many_ports(bool in_batches) {
  udpr_reactor *reactor = new_reactor(0);
  uint64_t      delivered = 0;
  for (uint64_t seed = 1; seed <= 60; seed++) {
    fixture f = {.random = seed * 0x9E3779B97F4A7C15u, .in_batches = in_batches};
    run_one_port(&f, reactor);
    delivered += f.delivered;
  }
  CHECK(delivered > 1000);
  OK(udpr_reactor_free(reactor));
}

TEST(single_datagrams) { run_many_ports(false); }
TEST(in_batches) { run_many_ports(true); }

CHECK_MAIN()
