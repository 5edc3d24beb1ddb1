/* pause_reading and resume_reading: nothing is delivered in between, nothing is lost, and the order is kept.
 */
#include "check.h"

typedef struct reader {
  atomic_int freed;
  uint32_t   expected; /* the number expected next */
  uint32_t   act_at;   /* `act` is called in the callback for this number */
  udpr_status (*act)(udpr_transport *);
  uint64_t discarded;
  int      stopped;
} reader;

static void received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  reader  *self = user;
  uint32_t number;
  CHECK_EQ(sizeof number, datagram->len);
  memcpy(&number, datagram->data, sizeof number);
  CHECK_EQ(self->expected, number);
  self->expected++;
  if (self->act && number == self->act_at) OK(self->act(transport));
}

static void stopped(udpr_transport *transport, udpr_status reason, void *user) {
  reader *self = user;
  (void)reason;
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

static void set_up(fixture *f) {
  *f = (fixture){.reactor = new_reactor(0), .peer = peer_open(AF_INET)};
  udpr_protocol protocol = {.size = sizeof protocol,
                            .user = &f->reader,
                            .free_user = count_free,
                            .datagram_received = received,
                            .stop_protocol = stopped};
  f->transport = listen_on(f->reactor, "127.0.0.1", &protocol, NULL);
  f->host = host_of(f->transport);
}

static void tear_down(fixture *f) {
  if (!f->reader.stopped) OK(udpr_transport_close(f->transport));
  udpr_transport_release(f->transport);
  OK(udpr_reactor_free(f->reactor));
  CHECK_EQ(1, f->reader.stopped);
  CHECK_EQ(1, f->reader.freed);
  close(f->peer);
}

static void send_numbers(fixture *f, uint32_t count) {
  for (uint32_t end = f->sent + count; f->sent < end; f->sent++)
    peer_send(f->peer, &f->host, &f->sent, sizeof f->sent);
}

/* Six datagrams arrive in one batch. `act` is called for the third. */
static void act_in_the_middle_of_a_batch(fixture *f, udpr_status (*act)(udpr_transport *)) {
  f->reader.act = act, f->reader.act_at = 2;
  send_numbers(f, 6);
  RUN_UNTIL(f->reactor, f->reader.expected >= 3);
}

TEST(nothing_is_received_while_paused) {
  fixture f;
  set_up(&f);
  OK(udpr_transport_pause_reading(f.transport));
  OK(udpr_transport_pause_reading(f.transport)); /* has no effect */
  send_numbers(&f, 10);
  run_turns(f.reactor, 5);
  CHECK_EQ(0, f.reader.expected);
  OK(udpr_transport_resume_reading(f.transport));
  CHECK_EQ(0, f.reader.expected);
  RUN_UNTIL(f.reactor, f.reader.expected == 10);
  OK(udpr_transport_resume_reading(f.transport)); /* has no effect */
  send_numbers(&f, 10);
  RUN_UNTIL(f.reactor, f.reader.expected == 20);
  tear_down(&f);
}

/* A paused port has nothing to do. A turn waits until its timeout. */
TEST(a_paused_port_does_not_spin) {
  fixture f;
  set_up(&f);
  OK(udpr_transport_pause_reading(f.transport));
  send_numbers(&f, 3);
  udpr_ns start = monotonic_ns();
  OK(udpr_reactor_iterate(f.reactor, (int64_t)MS(50)));
  CHECK(monotonic_ns() - start >= MS(50));
  tear_down(&f);
}

TEST(pause_in_the_middle_of_a_batch_keeps_the_rest) {
  fixture f;
  set_up(&f);
  act_in_the_middle_of_a_batch(&f, udpr_transport_pause_reading);
  CHECK_EQ(3, f.reader.expected);
  CHECK_EQ(3, stats_of(f.transport).kept_datagrams);
  run_turns(f.reactor, 5);
  CHECK_EQ(3, f.reader.expected);
  send_numbers(&f, 6);
  run_turns(f.reactor, 5);
  CHECK_EQ(3, f.reader.expected);
  OK(udpr_transport_resume_reading(f.transport));
  CHECK_EQ(3, f.reader.expected);
  RUN_UNTIL(f.reactor, f.reader.expected == 12);
  CHECK_EQ(0, stats_of(f.transport).kept_datagrams);
  CHECK_EQ(12, stats_of(f.transport).datagrams_in);
  tear_down(&f);
}

/* With kept datagrams to deliver, a turn with an unlimited timeout must not wait. */
TEST(a_turn_does_not_wait_if_datagrams_are_kept) {
  fixture f;
  set_up(&f);
  act_in_the_middle_of_a_batch(&f, udpr_transport_pause_reading);
  OK(udpr_transport_resume_reading(f.transport));
  while (f.reader.expected < 6) OK(udpr_reactor_iterate(f.reactor, -1));
  tear_down(&f);
}

TEST(pause_again_during_kept_datagrams) {
  fixture f;
  set_up(&f);
  act_in_the_middle_of_a_batch(&f, udpr_transport_pause_reading);
  for (uint32_t at = 3; at < 6; at++) {
    f.reader.act_at = at;
    OK(udpr_transport_resume_reading(f.transport));
    RUN_UNTIL(f.reactor, f.reader.expected == at + 1);
    run_turns(f.reactor, 3);
    CHECK_EQ(at + 1, f.reader.expected);
    CHECK_EQ(5 - at, stats_of(f.transport).kept_datagrams);
  }
  tear_down(&f);
}

TEST(pause_again_before_kept_datagrams_are_delivered) {
  fixture f;
  set_up(&f);
  act_in_the_middle_of_a_batch(&f, udpr_transport_pause_reading);
  OK(udpr_transport_resume_reading(f.transport));
  OK(udpr_transport_pause_reading(f.transport));
  run_turns(f.reactor, 3);
  CHECK_EQ(3, f.reader.expected);
  CHECK_EQ(3, stats_of(f.transport).kept_datagrams);
  OK(udpr_transport_resume_reading(f.transport));
  RUN_UNTIL(f.reactor, f.reader.expected == 6);
  tear_down(&f);
}

static udpr_status pause_and_resume(udpr_transport *transport) {
  OK(udpr_transport_pause_reading(transport));
  return udpr_transport_resume_reading(transport);
}

TEST(pause_and_resume_in_one_callback) {
  fixture f;
  set_up(&f);
  act_in_the_middle_of_a_batch(&f, pause_and_resume);
  send_numbers(&f, 6);
  RUN_UNTIL(f.reactor, f.reader.expected == 12);
  tear_down(&f);
}

static void resume_call(udpr_reactor *reactor, void *user) {
  fixture *f = user;
  (void)reactor;
  uint32_t before = f->reader.expected;
  OK(udpr_transport_resume_reading(f->transport));
  CHECK_EQ(before, f->reader.expected); /* resume itself delivers nothing */
}

TEST(resume_in_another_callback) {
  fixture f;
  set_up(&f);
  act_in_the_middle_of_a_batch(&f, udpr_transport_pause_reading);
  OK(udpr_reactor_call_later(f.reactor, MS(5), resume_call, &f, NULL, NULL));
  RUN_UNTIL(f.reactor, f.reader.expected == 6);
  tear_down(&f);
}

TEST(stop_listening_discards_kept_datagrams) {
  fixture f;
  set_up(&f);
  act_in_the_middle_of_a_batch(&f, udpr_transport_pause_reading);
  OK(udpr_transport_stop_listening(f.transport));
  RUN_UNTIL(f.reactor, f.reader.stopped == 1);
  CHECK_EQ(3, f.reader.expected);
  CHECK_EQ(3, f.reader.discarded);
  CHECK_STATUS(UDPR_E_CLOSED, udpr_transport_pause_reading(f.transport));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_transport_resume_reading(f.transport));
  tear_down(&f);
}

TEST(close_discards_kept_datagrams) {
  fixture f;
  set_up(&f);
  act_in_the_middle_of_a_batch(&f, udpr_transport_pause_reading);
  OK(udpr_transport_close(f.transport));
  CHECK_EQ(1, f.reader.stopped);
  CHECK_EQ(3, f.reader.discarded);
  run_turns(f.reactor, 3);
  CHECK_EQ(3, f.reader.expected);
  tear_down(&f);
}

/* A paused port must not delay others. */
static void count_received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  (void)transport, (void)datagram;
  ++*(int *)user;
}

TEST(other_ports_receive_while_one_is_paused) {
  fixture f;
  int     others = 0;
  set_up(&f);
  udpr_protocol   protocol = {.size = sizeof protocol, .user = &others, .datagram_received = count_received};
  udpr_transport *other = listen_on(f.reactor, "127.0.0.1", &protocol, NULL);
  udpr_addr       other_host = host_of(other);
  act_in_the_middle_of_a_batch(&f, udpr_transport_pause_reading);
  for (int i = 0; i < 100; i++) peer_send(f.peer, &other_host, "overwrites", 10);
  RUN_UNTIL(f.reactor, others == 100);
  OK(udpr_transport_resume_reading(f.transport));
  RUN_UNTIL(f.reactor, f.reader.expected == 6); /* the kept copies are intact */
  OK(udpr_transport_close(other));
  udpr_transport_release(other);
  tear_down(&f);
}

CHECK_MAIN()
