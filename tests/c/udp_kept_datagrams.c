/* What changes while datagrams wait to be delivered, twice in a row: connects, pauses and ends inside batches and inside what
 * was kept of them.
 */
#include "check.h"

typedef struct fixture fixture;
struct fixture {
  udpr_reactor   *reactor;
  udpr_transport *transport;
  udpr_addr       host, first, second;
  int             one, two;  /* peers */
  char            got[64];   /* the datagrams, a letter each */
  uint64_t        discarded; /* as stop_protocol has it */
  int             stops;
  void (*on[128])(fixture *f, udpr_transport *at); /* what the test does at a letter */
};

static void arrived(fixture *f, udpr_transport *transport, const udpr_datagram *datagram) {
  size_t  count = strlen(f->got);
  uint8_t letter = datagram->data[0];
  CHECK(datagram->len == 1 && count + 1 < sizeof f->got && letter < 128);
  f->got[count] = (char)letter;
  if (f->on[letter]) f->on[letter](f, transport);
}

static void received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  arrived(user, transport, datagram);
}

static size_t received_one(udpr_transport *transport, const udpr_datagram *const *datagrams, size_t count,
                           void *user) {
  CHECK(count > 0);
  arrived(user, transport, datagrams[0]);
  return 1;
}

static void stopped(udpr_transport *transport, udpr_status reason, void *user) {
  fixture *f = user;
  OK(reason);
  f->stops++;
  f->discarded = stats_of(transport).discarded_in;
  CHECK_EQ(0, stats_of(transport).kept_datagrams);
}

/* A port that takes datagrams singly, or one of each batch. */
static void set_up(fixture *f, bool in_batches) {
  *f = (fixture){.reactor = new_reactor(0), .one = peer_open(AF_INET), .two = peer_open(AF_INET)};
  udpr_protocol protocol = {.size = sizeof protocol, .user = f, .stop_protocol = stopped};
  if (in_batches) protocol.datagrams_received = received_one;
  else protocol.datagram_received = received;
  f->transport = listen_on(f->reactor, "127.0.0.1", &protocol, NULL);
  f->host = host_of(f->transport);
  f->first = peer_addr(f->one), f->second = peer_addr(f->two);
}

/* Small letters come from the first peer, capitals from the second. */
static void send_all(fixture *f, const char *letters) {
  for (; *letters; letters++) peer_send(*letters >= 'a' ? f->one : f->two, &f->host, letters, 1);
}

static void tear_down(fixture *f) {
  udpr_transport_release(f->transport);
  OK(udpr_reactor_free(f->reactor));
  CHECK_EQ(1, f->stops);
  close(f->one), close(f->two);
}

static void is_left(const fixture *f, uint64_t kept, uint64_t discarded) {
  CHECK_EQ(kept, stats_of(f->transport).kept_datagrams);
  CHECK_EQ(discarded, stats_of(f->transport).discarded_in);
}

/* ---- what a callback does -------------------------------------------------------------------------------- */

static void pauses(fixture *f, udpr_transport *at) {
  (void)f;
  OK(udpr_transport_pause_reading(at));
}
static void connects(fixture *f, udpr_transport *at) { OK(udpr_transport_connect(at, &f->first)); }
static void connects_to_second(fixture *f, udpr_transport *at) { OK(udpr_transport_connect(at, &f->second)); }
static void connects_and_pauses(fixture *f, udpr_transport *at) { connects(f, at), pauses(f, at); }
static void pauses_and_connects(fixture *f, udpr_transport *at) { pauses(f, at), connects(f, at); }
static void closes(fixture *f, udpr_transport *at) {
  (void)f;
  OK(udpr_transport_close(at));
}
static void stops(fixture *f, udpr_transport *at) {
  (void)f;
  OK(udpr_transport_stop_listening(at));
}

/* ---- in the callback of one that was kept ---------------------------------------------------------------- */

static void change_in_a_kept_one(bool in_batches, void (*change)(fixture *, udpr_transport *)) {
  fixture f;
  set_up(&f, in_batches);
  f.on['A'] = pauses, f.on['B'] = change;
  send_all(&f, "ABCpDq");
  RUN_UNTIL(f.reactor, f.got[0]);
  is_left(&f, 5, 0);
  OK(udpr_transport_resume_reading(f.transport));
  RUN_UNTIL(f.reactor, f.got[1]);
  is_left(&f, 2, 2); /* C and D are a stranger's now */
  OK(udpr_transport_resume_reading(f.transport));
  send_all(&f, "Er");
  RUN_UNTIL(f.reactor, strlen(f.got) == 5);
  run_turns(f.reactor, 3);
  CHECK_STR("ABpqr", f.got);
  is_left(&f, 0, 2);
  OK(udpr_transport_close(f.transport));
  tear_down(&f);
}

TEST(connect_and_pause_in_a_kept_one) { change_in_a_kept_one(false, connects_and_pauses); }
TEST(pause_and_connect_in_a_kept_one) { change_in_a_kept_one(false, pauses_and_connects); }
TEST(connect_and_pause_in_a_kept_batch) { change_in_a_kept_one(true, connects_and_pauses); }

/* To one peer, and to the other in what was kept: nothing is left for the first connect's peer. */
TEST(connect_to_another_in_a_kept_one) {
  fixture f;
  set_up(&f, false);
  f.on['A'] = connects_and_pauses, f.on['p'] = connects_to_second;
  send_all(&f, "ABpCqrD");
  RUN_UNTIL(f.reactor, f.got[0]);
  is_left(&f, 3, 3);
  OK(udpr_transport_resume_reading(f.transport));
  send_all(&f, "s"); /* for the first peer's socket, which is the second's when it is read */
  RUN_UNTIL(f.reactor, f.got[1]);
  run_turns(f.reactor, 3);
  CHECK_STR("Ap", f.got);
  is_left(&f, 0, 6);
  send_all(&f, "E");
  RUN_UNTIL(f.reactor, f.got[2]);
  CHECK_STR("ApE", f.got);
  OK(udpr_transport_close(f.transport));
  tear_down(&f);
}

/* ---- connect, then an end in one batch --------------------------------------------------------------------- */

/* The strangers that were passed over are counted once, and what is behind the end too. */
static void ends_after_connect(void (*end)(fixture *, udpr_transport *), bool kept) {
  fixture f;
  set_up(&f, false);
  f.on['A'] = connects, f.on['p'] = end, f.on['K'] = pauses;
  send_all(&f, kept ? "KABCpDq" : "ABCpDq");
  if (kept) {
    RUN_UNTIL(f.reactor, f.got[0]);
    is_left(&f, 6, 0);
    OK(udpr_transport_resume_reading(f.transport));
  }
  RUN_UNTIL(f.reactor, f.stops);
  CHECK_STR(kept ? "KAp" : "Ap", f.got);
  CHECK_EQ(4, f.discarded); /* B, C, D and q */
  tear_down(&f);
}

TEST(close_behind_strangers) { ends_after_connect(closes, false); }
TEST(stop_behind_strangers) { ends_after_connect(stops, false); }
TEST(close_behind_strangers_that_were_kept) { ends_after_connect(closes, true); }
TEST(stop_behind_strangers_that_were_kept) { ends_after_connect(stops, true); }

TEST(pause_behind_strangers_and_close) {
  fixture f;
  set_up(&f, false);
  f.on['A'] = connects, f.on['p'] = pauses;
  send_all(&f, "ABCpDqr");
  RUN_UNTIL(f.reactor, strlen(f.got) == 2);
  is_left(&f, 2, 3);
  OK(udpr_transport_close(f.transport));
  CHECK_STR("Ap", f.got);
  CHECK_EQ(5, f.discarded);
  tear_down(&f);
}

/* ---- bounds ------------------------------------------------------------------------------------------------ */

/* A port that takes one of each batch reads nothing more while older ones wait. */
TEST(what_is_kept_is_bounded_however_slowly_it_is_taken) {
  enum { ROUNDS = 25, EACH = 20 };
  fixture  f;
  uint64_t taken = 0, kept = 0;
  set_up(&f, true);
  for (int round = 0; round < ROUNDS; round++) {
    for (int i = 0; i < EACH && round < 10; i++) peer_send(f.one, &f.host, "x", 1);
    udpr_transport_stats before = stats_of(f.transport);
    OK(udpr_reactor_iterate(f.reactor, 0));
    udpr_transport_stats after = stats_of(f.transport);
    if (before.kept_datagrams > 1) CHECK_EQ(before.syscalls_in, after.syscalls_in);
    kept = after.kept_datagrams, taken = strlen(f.got);
    CHECK(kept < 64);
    CHECK_EQ(after.datagrams_in, taken + kept);
    CHECK(taken > (uint64_t)round); /* one a turn at least */
  }
  CHECK(kept > 0);
  OK(udpr_transport_close(f.transport));
  CHECK_EQ(kept, f.discarded);
  tear_down(&f);
}

/* ---- ports of two families, one set of buffers ---------------------------------------------------------- */

typedef struct senders {
  udpr_addr expected;
  int       count;
} senders;

static void check_sender(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  senders *self = user;
  (void)transport;
  CHECK_ADDR(&self->expected, &datagram->sender);
  self->count++;
}

/* The kernel says how long each name is, and must be told anew how long it may be. */
TEST(ipv4_and_ipv6_ports_take_turns) {
  const char     *hosts[] = {"127.0.0.1", "::1", "127.0.0.1"};
  int             families[] = {AF_INET, AF_INET6, AF_INET}, peers[3];
  udpr_transport *ports[3];
  udpr_addr       to[3];
  senders         seen[3] = {{.count = 0}};
  udpr_reactor   *reactor = new_reactor(0);
  for (int i = 0; i < 3; i++) {
    udpr_protocol protocol = {.size = sizeof protocol, .user = &seen[i], .datagram_received = check_sender};
    peers[i] = peer_open(families[i]);
    ports[i] = listen_on(reactor, hosts[i], &protocol, NULL);
    to[i] = host_of(ports[i]), seen[i].expected = peer_addr(peers[i]);
  }
  for (int round = 0; round < 12; round++) {
    int at = round % 3, count = 1 + round * 5, before = seen[at].count; /* in one message and in many */
    for (int i = 0; i < count; i++) peer_send(peers[at], &to[at], "x", 1);
    RUN_UNTIL(reactor, seen[at].count == before + count);
  }
  for (int i = 0; i < 3; i++) {
    udpr_transport_release(ports[i]);
    close(peers[i]);
  }
  OK(udpr_reactor_free(reactor));
}

CHECK_MAIN()
