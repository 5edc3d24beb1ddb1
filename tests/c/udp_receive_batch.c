/* datagrams_received: a whole batch in one call, and what happens to the part of it that was not taken. */
#include "check.h"

enum { LONGEST_BATCH = 256 };

typedef struct reader {
  atomic_int freed;
  uint32_t   next; /* the number that must come now */
  size_t     calls, largest;
  size_t     take;          /* at most so many at a time */
  int        turn, left_at; /* the turn now; the last one that left something */
  size_t     left;          /* how many of the last batch were not taken */
  uint64_t   discarded;     /* as the stats had it in stop_protocol */
  int        stopped;
  udpr_status (*afterwards)(udpr_transport *); /* called once, at the end of the first batch */
} reader;

static size_t received(udpr_transport *transport, const udpr_datagram *const *datagrams, size_t count,
                       void *user) {
  reader *self = user;
  size_t  taken = count < self->take ? count : self->take;
  CHECK(count >= 1 && count <= LONGEST_BATCH);
  CHECK(self->left == 0 || self->left_at < self->turn); /* the rest comes in a later turn */
  for (size_t i = 0; i < taken; i++) {
    uint32_t number;
    CHECK_EQ(sizeof number, datagrams[i]->len);
    memcpy(&number, datagrams[i]->data, sizeof number);
    CHECK_EQ(self->next, number);
    self->next++;
  }
  self->calls++;
  if (count > self->largest) self->largest = count;
  self->left = count - taken, self->left_at = self->turn;
  if (self->calls == 1 && self->afterwards) OK(self->afterwards(transport));
  return taken;
}

static void stopped(udpr_transport *transport, udpr_status reason, void *user) {
  reader *self = user;
  CHECK_EQ(UDPR_OK, reason);
  self->stopped++;
  self->discarded = stats_of(transport).discarded_in;
}

typedef struct fixture {
  reader          reader;
  udpr_reactor   *reactor;
  udpr_transport *transport;
  udpr_addr       host;
  int             peer;
  uint32_t        sent;
} fixture;

static void set_up(fixture *f, size_t take, udpr_status (*afterwards)(udpr_transport *)) {
  *f = (fixture){.reader = {.take = take, .afterwards = afterwards},
                 .reactor = new_reactor(0),
                 .peer = peer_open(AF_INET)};
  udpr_protocol protocol = {.size = sizeof protocol,
                            .user = &f->reader,
                            .free_user = count_free,
                            .datagrams_received = received,
                            .stop_protocol = stopped};
  f->transport = listen_on(f->reactor, "127.0.0.1", &protocol, NULL);
  f->host = host_of(f->transport);
}

static void send_numbers(fixture *f, uint32_t count) {
  for (uint32_t end = f->sent + count; f->sent < end; f->sent++)
    peer_send(f->peer, &f->host, &f->sent, sizeof f->sent);
}

static void tear_down(fixture *f) {
  udpr_status status = udpr_transport_close(f->transport);
  CHECK(status == UDPR_OK || status == UDPR_E_CLOSED); /* some tests stopped it already */
  udpr_transport_release(f->transport);
  OK(udpr_reactor_free(f->reactor));
  CHECK_EQ(1, f->reader.stopped);
  CHECK_EQ(1, f->reader.freed);
  close(f->peer);
}

TEST(a_batch_is_one_call) {
  fixture f;
  set_up(&f, SIZE_MAX, NULL);
  send_numbers(&f, 200);
  RUN_UNTIL(f.reactor, f.reader.next == 200);
  CHECK(f.reader.calls <= 50); /* 8 messages at first, more later: nowhere near one call a datagram */
  CHECK(f.reader.largest > 1);
  tear_down(&f);
}

TEST(the_rest_comes_in_a_later_turn) {
  fixture f;
  set_up(&f, 3, NULL);
  send_numbers(&f, 100);
  RUN_UNTIL(f.reactor, (f.reader.turn++, f.reader.next == 100));
  CHECK(f.reader.calls >= 100 / 3);
  CHECK_EQ(100, stats_of(f.transport).datagrams_in);
  tear_down(&f);
}

/* What was left over is work to do: a turn that may wait for ever does not. */
TEST(the_rest_is_not_waited_for) {
  fixture f;
  set_up(&f, 1, NULL);
  send_numbers(&f, 5);
  while (f.reader.next < 5) {
    f.reader.turn++;
    OK(udpr_reactor_iterate(f.reactor, -1));
  }
  tear_down(&f);
}

TEST(new_datagrams_come_after_the_rest) {
  fixture f;
  set_up(&f, 1, NULL);
  send_numbers(&f, 4);
  RUN_UNTIL(f.reactor, (f.reader.turn++, f.reader.next >= 1));
  send_numbers(&f, 4);
  RUN_UNTIL(f.reactor, (f.reader.turn++, f.reader.next == 8));
  tear_down(&f);
}

TEST(pause_keeps_the_rest_for_resume) {
  fixture f;
  set_up(&f, 2, udpr_transport_pause_reading);
  send_numbers(&f, 6);
  RUN_UNTIL(f.reactor, f.reader.calls == 1);
  CHECK_EQ(2, f.reader.next);
  CHECK(f.reader.left > 0);
  run_turns(f.reactor, 5);
  CHECK_EQ(1, f.reader.calls);
  CHECK_EQ(f.reader.left, stats_of(f.transport).kept_datagrams);
  OK(udpr_transport_resume_reading(f.transport));
  CHECK_EQ(1, f.reader.calls); /* resume itself delivers nothing */
  RUN_UNTIL(f.reactor, (f.reader.turn++, f.reader.next == 6));
  CHECK_EQ(0, stats_of(f.transport).kept_datagrams);
  tear_down(&f);
}

/* However often it was asked for, the rest is delivered once in a turn. */
TEST(pause_and_resume_again_and_again) {
  fixture f;
  set_up(&f, 1, udpr_transport_pause_reading);
  send_numbers(&f, 8);
  RUN_UNTIL(f.reactor, f.reader.calls == 1);
  for (int i = 0; i < 10; i++) {
    OK(udpr_transport_resume_reading(f.transport));
    OK(udpr_transport_pause_reading(f.transport));
  }
  OK(udpr_transport_resume_reading(f.transport));
  RUN_UNTIL(f.reactor, (f.reader.turn++, f.reader.next == 8));
  tear_down(&f);
}

TEST(stop_discards_the_rest) {
  fixture f;
  set_up(&f, 2, udpr_transport_stop_listening);
  send_numbers(&f, 6);
  RUN_UNTIL(f.reactor, f.reader.stopped == 1);
  run_turns(f.reactor, 5);
  CHECK_EQ(1, f.reader.calls);
  CHECK_EQ(2, f.reader.next);
  CHECK(f.reader.left > 0);
  CHECK_EQ(f.reader.left, f.reader.discarded);
  tear_down(&f);
}

static udpr_status take_all_and_close(udpr_transport *transport) { return udpr_transport_close(transport); }

TEST(close_at_the_end_of_a_batch) {
  fixture f;
  set_up(&f, SIZE_MAX, take_all_and_close);
  send_numbers(&f, 4);
  RUN_UNTIL(f.reactor, f.reader.stopped == 1);
  run_turns(f.reactor, 5);
  CHECK_EQ(1, f.reader.calls);
  CHECK_EQ(1, f.reader.freed);
  tear_down(&f);
}

static size_t claim_too_much(udpr_transport *transport, const udpr_datagram *const *datagrams, size_t count,
                             void *user) {
  (void)transport, (void)datagrams;
  *(size_t *)user += count;
  return SIZE_MAX;
}

TEST(more_than_count_means_all) {
  size_t          taken = 0;
  udpr_reactor   *reactor = new_reactor(0);
  udpr_protocol   protocol = {.size = sizeof protocol, .user = &taken, .datagrams_received = claim_too_much};
  udpr_transport *transport = listen_on(reactor, "127.0.0.1", &protocol, NULL);
  udpr_addr       host = host_of(transport);
  int             peer = peer_open(AF_INET);
  for (int i = 0; i < 20; i++) peer_send(peer, &host, "x", 1);
  RUN_UNTIL(reactor, taken >= 20);
  run_turns(reactor, 3);
  CHECK_EQ(20, taken);
  OK(udpr_transport_close(transport));
  udpr_transport_release(transport);
  OK(udpr_reactor_free(reactor));
  close(peer);
}

/* Where both are set, datagram_received is not called. */
static void never(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  (void)transport, (void)datagram, (void)user;
  FAIL("%s", "datagram_received was called beside datagrams_received");
}

TEST(the_batch_callback_replaces_the_other) {
  size_t          taken = 0;
  udpr_reactor   *reactor = new_reactor(0);
  udpr_protocol   protocol = {.size = sizeof protocol,
                              .user = &taken,
                              .datagram_received = never,
                              .datagrams_received = claim_too_much};
  udpr_transport *transport = listen_on(reactor, "127.0.0.1", &protocol, NULL);
  udpr_addr       host = host_of(transport);
  int             peer = peer_open(AF_INET);
  peer_send(peer, &host, "x", 1);
  RUN_UNTIL(reactor, taken == 1);
  OK(udpr_transport_close(transport));
  udpr_transport_release(transport);
  OK(udpr_reactor_free(reactor));
  close(peer);
}

CHECK_MAIN()
