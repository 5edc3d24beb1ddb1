/* A full send buffer: the bounded send queue, UDPR_E_WOULD_BLOCK and write_ready. */
#include "slow_network.h"

enum { LEN = 500, SEND_BUFFER = 4608, QUEUE = 8192, MANY = 1000 };

typedef struct fixture {
  atomic_int           freed;
  udpr_reactor        *reactor;
  udpr_transport      *transport;
  int                  peer;
  udpr_addr            to;
  uint32_t             accepted; /* how many writes were accepted */
  int                  ready;
  udpr_transport_stats final_stats; /* the statistics in stop_protocol */
} fixture;

static void write_ready(udpr_transport *transport, void *user) {
  (void)transport;
  ((fixture *)user)->ready++;
}

static void stopped(udpr_transport *transport, udpr_status reason, void *user) {
  CHECK_EQ(UDPR_OK, reason);
  ((fixture *)user)->final_stats = stats_of(transport);
}

static void set_up(fixture *f, uint32_t flags) {
  enter_slow_network();
  *f = (fixture){.reactor = new_reactor(0), .peer = peer_open(AF_INET)};
  udpr_protocol    protocol = {.size = sizeof protocol,
                               .user = f,
                               .free_user = count_free,
                               .write_ready = write_ready,
                               .stop_protocol = stopped};
  udpr_udp_options options = {.size = sizeof options,
                              .flags = flags,
                              .send_buffer = SEND_BUFFER,
                              .send_queue_bytes = QUEUE};
  f->transport = listen_on(f->reactor, "127.0.0.1", &protocol, &options);
  f->to = peer_addr(f->peer);
}

static void tear_down(fixture *f) {
  if (!f->freed) OK(udpr_transport_close(f->transport));
  udpr_transport_release(f->transport);
  OK(udpr_reactor_free(f->reactor));
  CHECK_EQ(1, f->freed);
  close(f->peer);
}

static udpr_status write_number(fixture *f, uint32_t number) {
  uint8_t data[LEN] = {0};
  memcpy(data, &number, sizeof number);
  return udpr_transport_write(f->transport, data, sizeof data, &f->to);
}

/* Writes consecutive numbers until a write is refused, which must happen soon. */
static void write_until_refused(fixture *f) {
  for (int i = 0; i < MANY; i++) {
    udpr_status status = write_number(f, f->accepted);
    if (status != UDPR_OK) {
      CHECK_STATUS(UDPR_E_WOULD_BLOCK, status);
      return;
    }
    f->accepted++;
  }
  FAIL("%d writes and the socket is not full", MANY);
}

static uint32_t receive_number(fixture *f) {
  uint8_t  data[LEN];
  uint32_t number;
  CHECK_EQ(LEN, peer_receive(f->peer, data, sizeof data));
  memcpy(&number, data, sizeof number);
  return number;
}

static void receive_numbers(fixture *f, uint32_t first, uint32_t end) {
  for (; first < end; first++) CHECK_EQ(first, receive_number(f));
}

TEST(accepted_writes_are_sent_and_write_ready_is_called) {
  fixture f;
  set_up(&f, 0);
  write_until_refused(&f);
  udpr_transport_stats full = stats_of(f.transport);
  CHECK(full.queued_bytes > QUEUE - 2 * LEN && full.queued_bytes <= QUEUE);
  CHECK(full.queued_datagrams > 0 && full.queued_datagrams <= QUEUE / LEN);
  CHECK_STATUS(UDPR_E_WOULD_BLOCK, write_number(&f, f.accepted)); /* still full */
  CHECK_EQ(0, f.ready);
  RUN_UNTIL(f.reactor, f.ready == 1);
  OK(write_number(&f, f.accepted++));
  RUN_UNTIL(f.reactor, stats_of(f.transport).queued_datagrams == 0);
  receive_numbers(&f, 0, f.accepted);
  run_turns(f.reactor, 3);
  CHECK_EQ(1, f.ready); /* once for each UDPR_E_WOULD_BLOCK */
  CHECK_EQ(0, stats_of(f.transport).queued_bytes);
  CHECK_EQ(0, stats_of(f.transport).dropped_out);
  CHECK_EQ(f.accepted, stats_of(f.transport).datagrams_out);
  CHECK(peer_has_no_datagram(f.peer));
  tear_down(&f);
}

static void write_in_a_call(udpr_reactor *reactor, void *user) {
  fixture *f = user;
  (void)reactor;
  write_until_refused(f);
}

TEST(batched_writes_are_queued_and_bounded) {
  fixture f;
  set_up(&f, 0);
  OK(udpr_reactor_call_later(f.reactor, 0, write_in_a_call, &f, NULL, NULL));
  RUN_UNTIL(f.reactor, f.ready == 1);
  CHECK(f.accepted > 0);
  RUN_UNTIL(f.reactor, stats_of(f.transport).queued_datagrams == 0);
  receive_numbers(&f, 0, f.accepted);
  CHECK(peer_has_no_datagram(f.peer));
  tear_down(&f);
}

TEST(write_messages_returns_how_many_were_accepted) {
  enum { COUNT = 200 };
  static uint8_t      data[COUNT][LEN];
  static udpr_message messages[COUNT];
  fixture             f;
  size_t              taken = 0;
  set_up(&f, 0);
  for (uint32_t i = 0; i < COUNT; i++) {
    memcpy(data[i], &i, sizeof i);
    messages[i] = (udpr_message){.size = sizeof *messages, .data = data[i], .len = LEN, .to = &f.to};
  }
  CHECK_STATUS(UDPR_E_WOULD_BLOCK, udpr_transport_write_messages(f.transport, messages, COUNT, &taken));
  CHECK(taken > 0 && taken < COUNT);
  RUN_UNTIL(f.reactor, f.ready == 1);
  RUN_UNTIL(f.reactor, stats_of(f.transport).queued_datagrams == 0);
  receive_numbers(&f, 0, (uint32_t)taken);
  CHECK(peer_has_no_datagram(f.peer));
  tear_down(&f);
}

/* While the queue is not empty, no datagram overtakes it. */
TEST(the_queue_is_first_in_first_out) {
  fixture f;
  set_up(&f, 0);
  for (int round = 0; round < 3; round++) {
    write_until_refused(&f);
    RUN_UNTIL(f.reactor, f.ready == round + 1);
  }
  RUN_UNTIL(f.reactor, stats_of(f.transport).queued_datagrams == 0);
  receive_numbers(&f, 0, f.accepted);
  tear_down(&f);
}

TEST(without_a_queue_datagrams_are_dropped_and_counted) {
  enum { COUNT = 100 };
  fixture f;
  set_up(&f, UDPR_UDP_NO_QUEUE);
  for (uint32_t number = 0; number < COUNT; number++) OK(write_number(&f, number));
  udpr_transport_stats stats = stats_of(f.transport);
  CHECK(stats.dropped_out > 0);
  CHECK_EQ(0, stats.queued_datagrams);
  CHECK_EQ(COUNT, stats.datagrams_out + stats.dropped_out);
  uint32_t final_stats = 0;
  for (uint64_t i = 0; i < stats.datagrams_out; i++) {
    uint32_t number = receive_number(&f);
    CHECK(i == 0 ? number == 0 : number > final_stats); /* some are missing, but the order is kept */
    final_stats = number;
  }
  run_turns(f.reactor, 3);
  CHECK(peer_has_no_datagram(f.peer));
  CHECK_EQ(0, f.ready);
  tear_down(&f);
}

TEST(unbatched_writes_fail_at_once_and_are_not_queued) {
  fixture f;
  set_up(&f, UDPR_UDP_UNBATCHED);
  write_until_refused(&f);
  CHECK_EQ(0, stats_of(f.transport).queued_datagrams);
  CHECK_EQ(f.accepted, stats_of(f.transport).datagrams_out);
  receive_numbers(&f, 0, f.accepted);
  CHECK(peer_has_no_datagram(f.peer));
  tear_down(&f);
}

static void ends_with_a_full_queue(udpr_status (*end)(udpr_transport *)) {
  fixture f;
  set_up(&f, 0);
  write_until_refused(&f);
  CHECK(stats_of(f.transport).queued_datagrams > 0);
  OK(end(f.transport));
  RUN_UNTIL(f.reactor, f.freed == 1);
  CHECK(f.final_stats.dropped_out > 0);
  CHECK_EQ(f.accepted, f.final_stats.datagrams_out + f.final_stats.dropped_out);
  CHECK_EQ(0, f.final_stats.queued_datagrams);
  receive_numbers(&f, 0, (uint32_t)f.final_stats.datagrams_out);
  CHECK(peer_has_no_datagram(f.peer));
  CHECK_EQ(0, f.ready);
  tear_down(&f);
}

TEST(close_drops_the_queue_and_counts_it) { ends_with_a_full_queue(udpr_transport_close); }
TEST(stop_listening_drops_the_queue_and_counts_it) { ends_with_a_full_queue(udpr_transport_stop_listening); }

/* write_ready may write until the queue is full again. */
static void write_until_full_again(udpr_transport *transport, void *user) {
  fixture *f = user;
  (void)transport;
  f->ready++;
  if (f->ready < 3) write_until_refused(f);
}

/* asyncio's queue was unbounded (CVE-2024-12254). */
TEST(the_queue_is_bounded_by_default) {
  enum { DEFAULT = 1024 * 1024, LONG = 1400 }; /* the token bucket would drop longer ones */
  udpr_udp_options     options = {.size = sizeof options, .send_buffer = SEND_BUFFER};
  static const uint8_t data[LONG];
  enter_slow_network();
  fixture       f = {.reactor = new_reactor(0), .peer = peer_open(AF_INET)};
  udpr_protocol protocol = {.size = sizeof protocol, .user = &f, .free_user = count_free};
  udpr_status   status = UDPR_OK;
  f.transport = listen_on(f.reactor, "127.0.0.1", &protocol, &options);
  f.to = peer_addr(f.peer);
  for (int i = 0; i < 4 * MANY && status == UDPR_OK; i++)
    status = udpr_transport_write(f.transport, data, LONG, &f.to);
  CHECK_STATUS(UDPR_E_WOULD_BLOCK, status);
  udpr_transport_stats stats = stats_of(f.transport);
  CHECK(stats.queued_bytes > DEFAULT - LONG && stats.queued_bytes <= DEFAULT);
  tear_down(&f);
}

TEST(write_ready_may_fill_the_queue_again) {
  fixture f;
  set_up(&f, 0);
  udpr_protocol    protocol = {.size = sizeof protocol, .user = &f, .write_ready = write_until_full_again};
  udpr_udp_options options = {.size = sizeof options, .send_buffer = SEND_BUFFER, .send_queue_bytes = QUEUE};
  OK(udpr_transport_close(f.transport));
  udpr_transport_release(f.transport);
  f.transport = listen_on(f.reactor, "127.0.0.1", &protocol, &options);
  write_until_refused(&f);
  RUN_UNTIL(f.reactor, f.ready == 3);
  RUN_UNTIL(f.reactor, stats_of(f.transport).queued_datagrams == 0);
  receive_numbers(&f, 0, f.accepted);
  OK(udpr_transport_close(f.transport));
  tear_down(&f);
}

CHECK_MAIN()
