/* datagrams_received: a whole batch in one call, and what happens to the part that it does not take. */
#include "check.h"

enum { LONGEST_BATCH = 256 };

typedef struct reader {
  atomic_int freed;
  uint32_t   expected; /* the number expected next */
  size_t     calls, largest;
  size_t     max_taken;            /* takes at most so many at a time */
  int        turn, not_taken_turn; /* the present turn, and the last one with datagrams not taken */
  size_t     not_taken;            /* how many of the last batch */
  uint64_t   discarded;            /* the statistics in stop_protocol */
  int        stopped;
  udpr_status (*after_first_batch)(udpr_transport *); /* called once, at the end of the first batch */
} reader;

static size_t received(udpr_transport *transport, const udpr_datagram *const *datagrams, size_t count,
                       void *user) {
  reader *self = user;
  size_t  taken = count < self->max_taken ? count : self->max_taken;
  CHECK(count >= 1 && count <= LONGEST_BATCH);
  /* the rest is delivered in a later turn */
  CHECK(self->not_taken == 0 || self->not_taken_turn < self->turn);
  for (size_t i = 0; i < taken; i++) {
    uint32_t number;
    CHECK_EQ(sizeof number, datagrams[i]->len);
    memcpy(&number, datagrams[i]->data, sizeof number);
    CHECK_EQ(self->expected, number);
    self->expected++;
  }
  self->calls++;
  if (count > self->largest) self->largest = count;
  self->not_taken = count - taken, self->not_taken_turn = self->turn;
  if (self->calls == 1 && self->after_first_batch) OK(self->after_first_batch(transport));
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

static void set_up(fixture *f, size_t max_taken, udpr_status (*after_first_batch)(udpr_transport *)) {
  *f = (fixture){.reader = {.max_taken = max_taken, .after_first_batch = after_first_batch},
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
  CHECK(status == UDPR_OK || status == UDPR_E_CLOSED); /* some tests have stopped it already */
  udpr_transport_release(f->transport);
  OK(udpr_reactor_free(f->reactor));
  CHECK_EQ(1, f->reader.stopped);
  CHECK_EQ(1, f->reader.freed);
  close(f->peer);
}

TEST(a_batch_is_delivered_in_one_call) {
  fixture f;
  set_up(&f, SIZE_MAX, NULL);
  send_numbers(&f, 200);
  RUN_UNTIL(f.reactor, f.reader.expected == 200);
  CHECK(f.reader.calls <= 50); /* 8 messages at first, then more; far fewer calls than datagrams */
  CHECK(f.reader.largest > 1);
  tear_down(&f);
}

TEST(the_rest_is_delivered_in_a_later_turn) {
  fixture f;
  set_up(&f, 3, NULL);
  send_numbers(&f, 100);
  RUN_UNTIL(f.reactor, (f.reader.turn++, f.reader.expected == 100));
  CHECK(f.reader.calls >= 100 / 3);
  CHECK_EQ(100, stats_of(f.transport).datagrams_in);
  tear_down(&f);
}

/* With a rest to deliver, a turn with an unlimited timeout must not wait. */
TEST(a_turn_does_not_wait_if_a_rest_is_kept) {
  fixture f;
  set_up(&f, 1, NULL);
  send_numbers(&f, 5);
  while (f.reader.expected < 5) {
    f.reader.turn++;
    OK(udpr_reactor_iterate(f.reactor, -1));
  }
  tear_down(&f);
}

TEST(new_datagrams_are_delivered_after_the_rest) {
  fixture f;
  set_up(&f, 1, NULL);
  send_numbers(&f, 4);
  RUN_UNTIL(f.reactor, (f.reader.turn++, f.reader.expected >= 1));
  send_numbers(&f, 4);
  RUN_UNTIL(f.reactor, (f.reader.turn++, f.reader.expected == 8));
  tear_down(&f);
}

TEST(pause_keeps_the_rest_for_resume) {
  fixture f;
  set_up(&f, 2, udpr_transport_pause_reading);
  send_numbers(&f, 6);
  RUN_UNTIL(f.reactor, f.reader.calls == 1);
  CHECK_EQ(2, f.reader.expected);
  CHECK(f.reader.not_taken > 0);
  run_turns(f.reactor, 5);
  CHECK_EQ(1, f.reader.calls);
  CHECK_EQ(f.reader.not_taken, stats_of(f.transport).kept_datagrams);
  OK(udpr_transport_resume_reading(f.transport));
  CHECK_EQ(1, f.reader.calls); /* resume itself delivers nothing */
  RUN_UNTIL(f.reactor, (f.reader.turn++, f.reader.expected == 6));
  CHECK_EQ(0, stats_of(f.transport).kept_datagrams);
  tear_down(&f);
}

/* However often the port is resumed, the rest is delivered once in a turn. */
TEST(pause_and_resume_repeatedly) {
  fixture f;
  set_up(&f, 1, udpr_transport_pause_reading);
  send_numbers(&f, 8);
  RUN_UNTIL(f.reactor, f.reader.calls == 1);
  for (int i = 0; i < 10; i++) {
    OK(udpr_transport_resume_reading(f.transport));
    OK(udpr_transport_pause_reading(f.transport));
  }
  OK(udpr_transport_resume_reading(f.transport));
  RUN_UNTIL(f.reactor, (f.reader.turn++, f.reader.expected == 8));
  tear_down(&f);
}

TEST(stop_listening_discards_the_rest) {
  fixture f;
  set_up(&f, 2, udpr_transport_stop_listening);
  send_numbers(&f, 6);
  RUN_UNTIL(f.reactor, f.reader.stopped == 1);
  run_turns(f.reactor, 5);
  CHECK_EQ(1, f.reader.calls);
  CHECK_EQ(2, f.reader.expected);
  CHECK(f.reader.not_taken > 0);
  CHECK_EQ(f.reader.not_taken, f.reader.discarded);
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

static size_t return_size_max(udpr_transport *transport, const udpr_datagram *const *datagrams, size_t count,
                              void *user) {
  (void)transport, (void)datagrams;
  *(size_t *)user += count;
  return SIZE_MAX;
}

TEST(a_return_value_above_count_means_all) {
  size_t          taken = 0;
  udpr_reactor   *reactor = new_reactor(0);
  udpr_protocol   protocol = {.size = sizeof protocol, .user = &taken, .datagrams_received = return_size_max};
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

/* If both are set, datagram_received is not called. */
static void must_not_be_called(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  (void)transport, (void)datagram, (void)user;
  FAIL("%s", "datagram_received was called, although datagrams_received is set");
}

TEST(datagrams_received_replaces_datagram_received) {
  size_t          taken = 0;
  udpr_reactor   *reactor = new_reactor(0);
  udpr_protocol   protocol = {.size = sizeof protocol,
                              .user = &taken,
                              .datagram_received = must_not_be_called,
                              .datagrams_received = return_size_max};
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
