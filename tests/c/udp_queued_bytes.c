/* udpr_transport_get_queued_bytes: what is gathered, queued and posted, as send_queue_bytes counts it. */
#include "slow_network.h"

enum { LEN = 500, LEAST = 64, QUEUE = 8192, SEND_BUFFER = 4608 };

static size_t queued(const udpr_transport *transport) {
  size_t bytes = 99;
  OK(udpr_transport_get_queued_bytes(transport, &bytes));
  return bytes;
}

typedef struct fixture {
  udpr_reactor   *reactor;
  udpr_transport *transport;
  int             peer;
  udpr_addr       to;
  size_t          at_stop; /* the result in stop_protocol */
  int             calls;
} fixture;

static void stopped(udpr_transport *transport, udpr_status reason, void *user) {
  (void)reason;
  ((fixture *)user)->at_stop = queued(transport);
}

static void set_up(const udpr_udp_options *options, fixture *f) {
  udpr_protocol protocol = {.size = sizeof protocol, .user = f, .stop_protocol = stopped};
  *f = (fixture){.reactor = new_reactor(0), .peer = peer_open(AF_INET), .at_stop = 99};
  f->transport = listen_on(f->reactor, "127.0.0.1", &protocol, options);
  f->to = peer_addr(f->peer);
}

static void tear_down(fixture *f) {
  size_t bytes = 99;
  OK(udpr_transport_close(f->transport));
  CHECK_EQ(0, f->at_stop);
  CHECK_STATUS(UDPR_E_CLOSED, udpr_transport_get_queued_bytes(f->transport, &bytes));
  CHECK_EQ(99, bytes);
  udpr_transport_release(f->transport);
  OK(udpr_reactor_free(f->reactor));
  close(f->peer);
}

static const uint8_t data[LEN];

static void write_len(fixture *f, size_t len) { OK(udpr_transport_write(f->transport, data, len, &f->to)); }

static void write_and_ask(udpr_reactor *reactor, void *user) {
  fixture *f = user;
  (void)reactor;
  f->calls++;
  CHECK_EQ(0, queued(f->transport));
  for (size_t i = 1; i <= 20; i++) {
    write_len(f, LEN);
    CHECK_EQ(i * LEN, queued(f->transport));
  }
  write_len(f, 1);
  CHECK_EQ(20 * LEN + LEAST, queued(f->transport));
  write_len(f, 0);
  CHECK_EQ(20 * LEN + 2 * LEAST, queued(f->transport));
  for (size_t i = 3; i <= 20; i++) {
    write_len(f, 10);
    CHECK_EQ(20 * LEN + i * LEAST, queued(f->transport));
  }
  OK(udpr_transport_flush(f->transport));
  CHECK_EQ(0, queued(f->transport));
  write_len(f, LEN);
}

TEST(gathered_datagrams_count_until_they_are_sent) {
  fixture f;
  set_up(NULL, &f);
  OK(udpr_reactor_call_later(f.reactor, 0, write_and_ask, &f, NULL, NULL));
  RUN_UNTIL(f.reactor, f.calls == 1);
  CHECK_EQ(0, queued(f.transport));
  uint8_t received[LEN];
  for (int i = 0; i < 41; i++) peer_receive(f.peer, received, sizeof received);
  CHECK(peer_has_no_datagram(f.peer));
  tear_down(&f);
}

TEST(posted_datagrams_count_until_they_are_sent) {
  fixture f;
  set_up(NULL, &f);
  OK(udpr_transport_post(f.transport, data, LEN, &f.to));
  CHECK_EQ(LEN, queued(f.transport));
  OK(udpr_transport_post(f.transport, data, 1, &f.to));
  CHECK_EQ(LEN + LEAST, queued(f.transport));
  RUN_UNTIL(f.reactor, queued(f.transport) == 0);
  CHECK_EQ(2, stats_of(f.transport).datagrams_out);
  tear_down(&f);
}

static void ask_elsewhere(void *user) {
  size_t bytes;
  CHECK_STATUS(UDPR_E_WRONG_THREAD, udpr_transport_get_queued_bytes(((fixture *)user)->transport, &bytes));
}

static void ask_from_another_thread(udpr_reactor *reactor, void *user) {
  (void)reactor;
  ((fixture *)user)->calls++;
  run_in_thread(ask_elsewhere, user);
}

TEST(another_thread_cannot_ask_while_the_reactor_is_used) {
  fixture f;
  set_up(NULL, &f);
  OK(udpr_reactor_call_later(f.reactor, 0, ask_from_another_thread, &f, NULL, NULL));
  RUN_UNTIL(f.reactor, f.calls == 1);
  tear_down(&f);
}

/* Also the posts that wait behind the queue. */
TEST(what_waits_for_a_full_socket_counts) {
  udpr_udp_options options = {.size = sizeof options, .send_buffer = SEND_BUFFER, .send_queue_bytes = QUEUE};
  fixture          f;
  enter_slow_network();
  set_up(&options, &f);
  while (udpr_transport_write(f.transport, data, LEN, &f.to) == UDPR_OK) {}
  size_t full = queued(f.transport);
  CHECK(full > QUEUE - LEN && full <= QUEUE);
  CHECK_EQ(full, stats_of(f.transport).queued_bytes);
  OK(udpr_transport_write(f.transport, data, 1, &f.to));
  CHECK_EQ(full + LEAST, queued(f.transport));
  CHECK_EQ(full + 1, stats_of(f.transport).queued_bytes);
  OK(udpr_transport_post(f.transport, data, LEN, &f.to));
  CHECK_EQ(full + LEAST + LEN, queued(f.transport));
  run_turns(f.reactor, 1);
  CHECK(queued(f.transport) <=
        full + LEAST + LEN); /* on a busy machine the network may have sent some of it meanwhile */
  RUN_UNTIL(f.reactor, queued(f.transport) == 0);
  CHECK_EQ(0, stats_of(f.transport).queued_bytes);
  CHECK_EQ(0, stats_of(f.transport).dropped_out);
  tear_down(&f);
}

CHECK_MAIN()
