/* Changes while datagrams wait to be delivered, several in a row: connect, pause and stop inside batches, and
 * inside callbacks for kept datagrams.
 */
#include "check.h"

typedef struct fixture fixture;
struct fixture {
  udpr_reactor   *reactor;
  udpr_transport *transport;
  udpr_addr       host, first, second;
  int             peer1, peer2;         /* peers */
  char            received_letters[64]; /* one letter for each datagram */
  uint64_t        discarded;            /* the statistics in stop_protocol */
  int             stop_port;
  void (*act_at[128])(fixture *f, udpr_transport *port); /* called for this letter */
};

static void record(fixture *f, udpr_transport *transport, const udpr_datagram *datagram) {
  size_t  count = strlen(f->received_letters);
  uint8_t letter = datagram->data[0];
  CHECK(datagram->len == 1 && count + 1 < sizeof f->received_letters && letter < 128);
  f->received_letters[count] = (char)letter;
  if (f->act_at[letter]) f->act_at[letter](f, transport);
}

static void received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  record(user, transport, datagram);
}

static size_t received_one(udpr_transport *transport, const udpr_datagram *const *datagrams, size_t count,
                           void *user) {
  CHECK(count > 0);
  record(user, transport, datagrams[0]);
  return 1;
}

static void stopped(udpr_transport *transport, udpr_status reason, void *user) {
  fixture *f = user;
  OK(reason);
  f->stop_port++;
  f->discarded = stats_of(transport).discarded_in;
  CHECK_EQ(0, stats_of(transport).kept_datagrams);
}

/* The port receives datagrams one by one, or in batches of which it takes one. */
static void set_up(fixture *f, bool in_batches) {
  *f = (fixture){.reactor = new_reactor(0), .peer1 = peer_open(AF_INET), .peer2 = peer_open(AF_INET)};
  udpr_protocol protocol = {.size = sizeof protocol, .user = f, .stop_protocol = stopped};
  if (in_batches) protocol.datagrams_received = received_one;
  else protocol.datagram_received = received;
  f->transport = listen_on(f->reactor, "127.0.0.1", &protocol, NULL);
  f->host = host_of(f->transport);
  f->first = peer_addr(f->peer1), f->second = peer_addr(f->peer2);
}

/* Lower-case letters are sent by the first peer, capitals by the second. */
static void send_all(fixture *f, const char *letters) {
  for (; *letters; letters++) peer_send(*letters >= 'a' ? f->peer1 : f->peer2, &f->host, letters, 1);
}

static void tear_down(fixture *f) {
  udpr_transport_release(f->transport);
  OK(udpr_reactor_free(f->reactor));
  CHECK_EQ(1, f->stop_port);
  close(f->peer1), close(f->peer2);
}

static void check_counts(const fixture *f, uint64_t kept, uint64_t discarded) {
  CHECK_EQ(kept, stats_of(f->transport).kept_datagrams);
  CHECK_EQ(discarded, stats_of(f->transport).discarded_in);
}

/* ---- actions in a callback ----------------------------------------------------------------------------- */

static void pause_reading(fixture *f, udpr_transport *port) {
  (void)f;
  OK(udpr_transport_pause_reading(port));
}
static void connect_to_first(fixture *f, udpr_transport *port) {
  OK(udpr_transport_connect(port, &f->first));
}
static void connect_to_second(fixture *f, udpr_transport *port) {
  OK(udpr_transport_connect(port, &f->second));
}
static void connect_and_pause(fixture *f, udpr_transport *port) {
  connect_to_first(f, port), pause_reading(f, port);
}
static void pause_and_connect(fixture *f, udpr_transport *port) {
  pause_reading(f, port), connect_to_first(f, port);
}
static void close_port(fixture *f, udpr_transport *port) {
  (void)f;
  OK(udpr_transport_close(port));
}
static void stop_port(fixture *f, udpr_transport *port) {
  (void)f;
  OK(udpr_transport_stop_listening(port));
}

/* ---- actions in the callback for a kept datagram ------------------------------------------------------- */

static void check_change_in_kept_datagram(bool in_batches, void (*change)(fixture *, udpr_transport *)) {
  fixture f;
  set_up(&f, in_batches);
  f.act_at['A'] = pause_reading, f.act_at['B'] = change;
  send_all(&f, "ABCpDq");
  RUN_UNTIL(f.reactor, f.received_letters[0]);
  check_counts(&f, 5, 0);
  OK(udpr_transport_resume_reading(f.transport));
  RUN_UNTIL(f.reactor, f.received_letters[1]);
  check_counts(&f, 2, 2); /* C and D are not from the peer */
  OK(udpr_transport_resume_reading(f.transport));
  send_all(&f, "Er");
  RUN_UNTIL(f.reactor, strlen(f.received_letters) == 5);
  run_turns(f.reactor, 3);
  CHECK_STR("ABpqr", f.received_letters);
  check_counts(&f, 0, 2);
  OK(udpr_transport_close(f.transport));
  tear_down(&f);
}

TEST(connect_and_pause_during_a_kept_datagram) { check_change_in_kept_datagram(false, connect_and_pause); }
TEST(pause_and_connect_during_a_kept_datagram) { check_change_in_kept_datagram(false, pause_and_connect); }
TEST(connect_and_pause_during_a_kept_batch) { check_change_in_kept_datagram(true, connect_and_pause); }

/* First connected to one peer, then to the other during a kept datagram: nothing from the first peer remains.
 */
TEST(connect_to_another_peer_during_a_kept_datagram) {
  fixture f;
  set_up(&f, false);
  f.act_at['A'] = connect_and_pause, f.act_at['p'] = connect_to_second;
  send_all(&f, "ABpCqrD");
  RUN_UNTIL(f.reactor, f.received_letters[0]);
  check_counts(&f, 3, 3);
  OK(udpr_transport_resume_reading(f.transport));
  send_all(&f, "s"); /* sent by the first peer, read when the second is connected */
  RUN_UNTIL(f.reactor, f.received_letters[1]);
  run_turns(f.reactor, 3);
  CHECK_STR("Ap", f.received_letters);
  check_counts(&f, 0, 6);
  send_all(&f, "E");
  RUN_UNTIL(f.reactor, f.received_letters[2]);
  CHECK_STR("ApE", f.received_letters);
  OK(udpr_transport_close(f.transport));
  tear_down(&f);
}

/* ---- connect and stop in one batch --------------------------------------------------------------------- */

/* Discarded datagrams of other senders are counted once, as are those after the stop. */
static void check_end_after_connect(void (*end)(fixture *, udpr_transport *), bool kept) {
  fixture f;
  set_up(&f, false);
  f.act_at['A'] = connect_to_first, f.act_at['p'] = end, f.act_at['K'] = pause_reading;
  send_all(&f, kept ? "KABCpDq" : "ABCpDq");
  if (kept) {
    RUN_UNTIL(f.reactor, f.received_letters[0]);
    check_counts(&f, 6, 0);
    OK(udpr_transport_resume_reading(f.transport));
  }
  RUN_UNTIL(f.reactor, f.stop_port);
  CHECK_STR(kept ? "KAp" : "Ap", f.received_letters);
  CHECK_EQ(4, f.discarded); /* B, C, D and q */
  tear_down(&f);
}

TEST(close_after_datagrams_of_others) { check_end_after_connect(close_port, false); }
TEST(stop_after_datagrams_of_others) { check_end_after_connect(stop_port, false); }
TEST(close_after_kept_datagrams_of_others) { check_end_after_connect(close_port, true); }
TEST(stop_after_kept_datagrams_of_others) { check_end_after_connect(stop_port, true); }

TEST(pause_after_datagrams_of_others_and_close) {
  fixture f;
  set_up(&f, false);
  f.act_at['A'] = connect_to_first, f.act_at['p'] = pause_reading;
  send_all(&f, "ABCpDqr");
  RUN_UNTIL(f.reactor, strlen(f.received_letters) == 2);
  check_counts(&f, 2, 3);
  OK(udpr_transport_close(f.transport));
  CHECK_STR("Ap", f.received_letters);
  CHECK_EQ(5, f.discarded);
  tear_down(&f);
}

/* ---- limits -------------------------------------------------------------------------------------------- */

/* A port that takes one datagram of each batch does not read while older ones wait. */
TEST(kept_datagrams_are_bounded_for_a_slow_receiver) {
  enum { ROUNDS = 25, EACH = 20 };
  fixture  f;
  uint64_t taken = 0, kept = 0;
  set_up(&f, true);
  for (int round = 0; round < ROUNDS; round++) {
    for (int i = 0; i < EACH && round < 10; i++) peer_send(f.peer1, &f.host, "x", 1);
    udpr_transport_stats before = stats_of(f.transport);
    OK(udpr_reactor_iterate(f.reactor, 0));
    udpr_transport_stats after = stats_of(f.transport);
    if (before.kept_datagrams > 1) CHECK_EQ(before.syscalls_in, after.syscalls_in);
    kept = after.kept_datagrams, taken = strlen(f.received_letters);
    CHECK(kept < 64);
    CHECK_EQ(after.datagrams_in, taken + kept);
    CHECK(taken > (uint64_t)round); /* at least one in each turn */
  }
  CHECK(kept > 0);
  OK(udpr_transport_close(f.transport));
  CHECK_EQ(kept, f.discarded);
  tear_down(&f);
}

/* ---- IPv4 and IPv6 ports that share buffers ------------------------------------------------------------ */

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

/* recvmmsg overwrites the length of the name buffer, which must be set again before each call. */
TEST(ipv4_and_ipv6_ports_share_buffers) {
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
    /* in one message and in several */
    int port = round % 3, count = 1 + round * 5, before = seen[port].count;
    for (int i = 0; i < count; i++) peer_send(peers[port], &to[port], "x", 1);
    RUN_UNTIL(reactor, seen[port].count == before + count);
  }
  for (int i = 0; i < 3; i++) {
    udpr_transport_release(ports[i]);
    close(peers[i]);
  }
  OK(udpr_reactor_free(reactor));
}

CHECK_MAIN()
