/* udpr_reactor_gather and udpr_reactor_flush: writes outside callbacks that leave together. */
#include "slow_network.h"

#include "embedded.h"

enum { LEN = 100, COUNT = 20 };

typedef struct fixture {
  udpr_reactor   *reactor;
  udpr_transport *transport;
  int             peer;
  udpr_addr       to, host;
  uint32_t        next;
  int             called, ready;
  udpr_status     flushed;
} fixture;

static void write_ready(udpr_transport *transport, void *user) {
  (void)transport;
  ((fixture *)user)->ready++;
}

static void set_up_with(fixture *f, uint32_t reactor_flags, const udpr_udp_options *options) {
  *f = (fixture){.reactor = new_reactor(reactor_flags), .peer = peer_open(AF_INET), .flushed = 99};
  udpr_protocol protocol = {.size = sizeof protocol, .user = f, .write_ready = write_ready};
  f->transport = listen_on(f->reactor, "127.0.0.1", &protocol, options);
  f->to = peer_addr(f->peer), f->host = host_of(f->transport);
}

static void set_up(fixture *f) { set_up_with(f, 0, NULL); }

static void tear_down(fixture *f) {
  CHECK(peer_has_no_datagram(f->peer));
  udpr_transport_release(f->transport);
  OK(udpr_reactor_free(f->reactor));
  close(f->peer);
}

static size_t waits(const fixture *f) {
  size_t bytes = 1;
  OK(udpr_transport_get_queued_bytes(f->transport, &bytes));
  return bytes;
}

static udpr_status write_next(fixture *f) {
  uint8_t data[LEN] = {0};
  memcpy(data, &f->next, sizeof f->next);
  udpr_status status = udpr_transport_write(f->transport, data, sizeof data, &f->to);
  if (status == UDPR_OK) f->next++;
  return status;
}

static void write_some(fixture *f, int count) {
  while (count-- > 0) OK(write_next(f));
}

static void receive_all(fixture *f) {
  static uint32_t first;
  for (; first < f->next; first++) {
    uint8_t  data[LEN];
    uint32_t number;
    CHECK_EQ(LEN, peer_receive(f->peer, data, sizeof data));
    memcpy(&number, data, sizeof number);
    CHECK_EQ(first, number);
  }
  CHECK(peer_has_no_datagram(f->peer));
}

TEST(without_it_each_write_is_sent_at_once) {
  fixture f;
  set_up(&f);
  write_some(&f, COUNT);
  CHECK_EQ(COUNT, stats_of(f.transport).syscalls_out);
  OK(udpr_reactor_flush(f.reactor)); /* has no effect */
  receive_all(&f);
  tear_down(&f);
}

TEST(flush_sends_what_was_gathered_and_ends_it) {
  fixture f;
  set_up(&f);
  OK(udpr_reactor_gather(f.reactor));
  OK(udpr_reactor_gather(f.reactor)); /* has no effect */
  CHECK_EQ(-1, next_timeout_of(f.reactor));
  write_some(&f, COUNT);
  CHECK(peer_has_no_datagram(f.peer));
  CHECK_EQ(0, stats_of(f.transport).syscalls_out);
  CHECK_EQ(COUNT * LEN, waits(&f));
  CHECK_EQ(0, next_timeout_of(f.reactor));
  OK(udpr_reactor_flush(f.reactor));
  CHECK_EQ(-1, next_timeout_of(f.reactor));
  receive_all(&f);
  CHECK(stats_of(f.transport).syscalls_out < COUNT);
  OK(write_next(&f)); /* at once */
  receive_all(&f);
  tear_down(&f);
}

TEST(the_next_turn_sends_it_before_it_waits_and_ends_it) {
  fixture f;
  set_up(&f);
  OK(udpr_reactor_gather(f.reactor));
  write_some(&f, COUNT);
  OK(udpr_reactor_iterate(f.reactor, 0));
  receive_all(&f);
  OK(write_next(&f)); /* at once */
  receive_all(&f);
  OK(udpr_reactor_gather(f.reactor));
  OK(udpr_reactor_iterate(f.reactor, 0)); /* nothing was gathered */
  OK(write_next(&f));
  receive_all(&f);
  tear_down(&f);
}

/* The peer gets it while the turn waits: it answers, which ends the wait. */
static void answer(void *user) {
  fixture *f = user;
  uint8_t  data[LEN];
  CHECK_EQ(LEN, peer_receive(f->peer, data, sizeof data));
  peer_send(f->peer, &f->host, "x", 1);
}

TEST(the_turn_does_not_wait_with_it) {
  fixture f;
  set_up(&f);
  check_thread thread;
  OK(udpr_reactor_gather(f.reactor));
  write_some(&f, 1);
  thread_start(&thread, answer, &f);
  RUN_UNTIL(f.reactor, stats_of(f.transport).datagrams_in == 1);
  thread_join(&thread);
  tear_down(&f);
}

TEST(flush_of_a_transport_does_not_end_it) {
  fixture   f, other;
  udpr_addr to;
  set_up(&f);
  set_up(&other);
  udpr_protocol   protocol = {.size = sizeof protocol};
  udpr_transport *second = listen_on(f.reactor, "127.0.0.1", &protocol, NULL);
  to = other.to;
  OK(udpr_reactor_gather(f.reactor));
  for (int round = 0; round < 3; round++) {
    write_some(&f, COUNT);
    OK(udpr_transport_write(second, "x", 1, &to));
    OK(udpr_transport_flush(f.transport));
    receive_all(&f);
    CHECK_EQ(0, next_timeout_of(f.reactor)); /* the other port's */
    CHECK(peer_has_no_datagram(other.peer));
    OK(udpr_transport_flush(second));
    CHECK_EQ(-1, next_timeout_of(f.reactor));
    CHECK_EQ(1, peer_receive(other.peer, (char[1]){0}, 1));
  }
  write_some(&f, 1);
  CHECK(peer_has_no_datagram(f.peer));
  OK(udpr_reactor_flush(f.reactor));
  receive_all(&f);
  udpr_transport_release(second);
  tear_down(&other);
  tear_down(&f);
}

TEST(now_and_unbatched_are_not_affected) {
  fixture          f, other;
  udpr_udp_options options = {.size = sizeof options, .flags = UDPR_UDP_UNBATCHED};
  size_t           taken = 0;
  set_up_with(&f, 0, &options);
  OK(udpr_reactor_gather(f.reactor));
  write_some(&f, 1);
  receive_all(&f);
  tear_down(&f);
  set_up(&other);
  OK(udpr_reactor_gather(other.reactor));
  udpr_message now = {
      .size = sizeof now, .data = "now", .len = 3, .to = &other.to, .flags = UDPR_MESSAGE_NOW};
  OK(udpr_transport_write(other.transport, "one", 3, &other.to));
  CHECK(peer_has_no_datagram(other.peer));
  OK(udpr_transport_write_messages(other.transport, &now, 1, &taken));
  for (int i = 0; i < 2; i++) CHECK_EQ(3, peer_receive(other.peer, (char[3]){0}, 3)); /* in order */
  tear_down(&other);
}

TEST(statuses_are_those_of_writes_in_callbacks) {
  fixture   f;
  udpr_addr bad = {.family = UDPR_AF_INET}, six = addr("::1", 9);
  set_up(&f);
  OK(udpr_reactor_gather(f.reactor));
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_transport_write(f.transport, "x", 1, &bad));
  CHECK_STATUS(UDPR_E_ADDRESS_FAMILY, udpr_transport_write(f.transport, "x", 1, &six));
  CHECK_STATUS(UDPR_E_NOT_CONNECTED, udpr_transport_write(f.transport, "x", 1, NULL));
  CHECK_EQ(-1, next_timeout_of(f.reactor));
  /* The kernel refuses it, which a write outside callbacks would return. */
  udpr_addr unreachable = addr("255.255.255.254", 9);
  OK(udpr_transport_write(f.transport, "x", 1, &unreachable));
  OK(udpr_reactor_flush(f.reactor));
  tear_down(&f);
}

TEST(what_exceeds_the_queue_leaves_early) {
  fixture          f;
  udpr_udp_options options = {.size = sizeof options, .send_queue_bytes = 10 * LEN};
  set_up_with(&f, 0, &options);
  OK(udpr_reactor_gather(f.reactor));
  write_some(&f, 10);
  CHECK(peer_has_no_datagram(f.peer));
  write_some(&f, 1);
  CHECK_EQ(LEN, waits(&f));
  CHECK_EQ(10, stats_of(f.transport).datagrams_out);
  OK(udpr_reactor_flush(f.reactor));
  receive_all(&f);
  tear_down(&f);
}

TEST(more_ports_than_may_gather) {
  enum { PORTS = 40 };
  fixture         f;
  udpr_transport *ports[PORTS];
  udpr_protocol   protocol = {.size = sizeof protocol};
  set_up(&f);
  OK(udpr_reactor_gather(f.reactor));
  for (int i = 0; i < PORTS; i++) {
    ports[i] = listen_on(f.reactor, "127.0.0.1", &protocol, NULL);
    OK(udpr_transport_write(ports[i], "x", 1, &f.to));
  }
  OK(udpr_reactor_flush(f.reactor));
  for (int i = 0; i < PORTS; i++) {
    CHECK_EQ(1, stats_of(ports[i]).datagrams_out);
    CHECK_EQ(1, peer_receive(f.peer, (char[1]){0}, 1));
    udpr_transport_release(ports[i]);
  }
  tear_down(&f);
}

TEST(an_embedding_loop_is_woken_for_it) {
  fixture f;
  set_up(&f);
  int fd = backend_fd_of(f.reactor);
  iterate_until_idle(f.reactor, fd);
  OK(udpr_reactor_gather(f.reactor));
  CHECK(!is_readable(fd, 0));
  write_some(&f, COUNT);
  CHECK(is_readable(fd, 0));
  iterate_until_idle(f.reactor, fd);
  receive_all(&f);
  tear_down(&f);
}

TEST(a_full_socket_keeps_some_of_it) {
  fixture          f;
  udpr_udp_options options = {.size = sizeof options,
                              .flags = UDPR_UDP_NO_OFFLOAD,
                              .send_buffer = 4608,
                              .send_queue_bytes = 100 * LEN};
  enter_slow_network();
  set_up_with(&f, 0, &options);
  OK(udpr_reactor_gather(f.reactor));
  write_some(&f, 100);
  CHECK_STATUS(UDPR_E_WOULD_BLOCK, udpr_reactor_flush(f.reactor));
  CHECK(waits(&f) > 0);
  RUN_UNTIL(f.reactor, waits(&f) == 0);
  OK(udpr_reactor_flush(f.reactor));
  receive_all(&f);
  /* Writes are refused once the queue is full. */
  OK(udpr_reactor_gather(f.reactor));
  udpr_status status;
  while ((status = write_next(&f)) == UDPR_OK) {}
  CHECK_STATUS(UDPR_E_WOULD_BLOCK, status);
  RUN_UNTIL(f.reactor, f.ready == 1);
  receive_all(&f);
  tear_down(&f);
}

/* ---- the end --------------------------------------------------------------------------------------------- */

TEST(close_stop_and_free_send_it) {
  for (int way = 0; way < 4; way++) {
    fixture f;
    char    text[1];
    set_up(&f);
    OK(udpr_reactor_gather(f.reactor));
    OK(udpr_transport_write(f.transport, "x", 1, &f.to));
    CHECK(peer_has_no_datagram(f.peer));
    if (way == 1) OK(udpr_transport_close(f.transport));
    if (way == 2) OK(udpr_transport_stop_listening(f.transport));
    if (way == 3) OK(udpr_transport_stop_when_sent(f.transport, UDPR_NEVER));
    if (way == 0) {
      udpr_transport_release(f.transport);
      OK(udpr_reactor_free(f.reactor));
    }
    CHECK_EQ(1, peer_receive(f.peer, text, 1));
    if (way > 0) tear_down(&f);
    else close(f.peer);
  }
}

TEST(connect_sends_it_to_its_destination) {
  fixture f, other;
  set_up(&f);
  set_up(&other);
  OK(udpr_reactor_gather(f.reactor));
  write_some(&f, COUNT);
  OK(udpr_transport_connect(f.transport, &other.to));
  receive_all(&f);
  OK(udpr_transport_write(f.transport, "x", 1, NULL));
  CHECK(peer_has_no_datagram(other.peer));
  OK(udpr_reactor_flush(f.reactor));
  CHECK_EQ(1, peer_receive(other.peer, (char[1]){0}, 1));
  tear_down(&f);
  tear_down(&other);
}

/* ---- callbacks ------------------------------------------------------------------------------------------- */

static void write_and_flush(udpr_reactor *reactor, void *user) {
  fixture *f = user;
  write_some(f, COUNT);
  CHECK_EQ(COUNT * LEN, waits(f));
  f->flushed = udpr_reactor_flush(reactor);
  CHECK_EQ(0, waits(f));
  write_some(f, 1); /* gathered, as ever in a callback */
  CHECK_EQ(LEN, waits(f));
  f->called++;
}

TEST(flush_in_a_callback) {
  fixture f;
  set_up(&f);
  OK(udpr_reactor_call_later(f.reactor, 0, write_and_flush, &f, NULL, NULL));
  RUN_UNTIL(f.reactor, f.called == 1);
  CHECK_STATUS(UDPR_OK, f.flushed);
  receive_all(&f);
  tear_down(&f);
}

static void gather_inside(udpr_reactor *reactor, void *user) {
  ((fixture *)user)->called++;
  OK(udpr_reactor_gather(reactor));
}

TEST(gather_in_a_callback_is_for_writes_after_the_turn) {
  fixture f;
  set_up(&f);
  OK(udpr_reactor_call_later(f.reactor, 0, gather_inside, &f, NULL, NULL));
  RUN_UNTIL(f.reactor, f.called == 1);
  write_some(&f, COUNT);
  CHECK(peer_has_no_datagram(f.peer));
  OK(udpr_reactor_iterate(f.reactor, 0));
  receive_all(&f);
  tear_down(&f);
}

static void write_inside(udpr_reactor *reactor, void *user) {
  (void)reactor;
  write_some(user, COUNT);
}

TEST(advance_sends_it_with_what_its_callbacks_write) {
  fixture f;
  set_up_with(&f, UDPR_REACTOR_MANUAL_CLOCK, NULL);
  OK(udpr_reactor_call_later(f.reactor, 1, write_inside, &f, NULL, NULL));
  OK(udpr_reactor_gather(f.reactor));
  write_some(&f, COUNT);
  OK(udpr_reactor_advance(f.reactor, 1));
  receive_all(&f);
  write_some(&f, 1);
  CHECK(peer_has_no_datagram(f.peer)); /* it has not ended */
  OK(udpr_reactor_flush(f.reactor));
  receive_all(&f);
  tear_down(&f);
}

/* ---- threads and fork ------------------------------------------------------------------------------------ */

static void write_elsewhere(void *user) { write_some(user, COUNT); }

/* While no thread is inside, each thread may write. */
TEST(another_thread_may_go_on) {
  fixture f;
  set_up(&f);
  OK(udpr_reactor_gather(f.reactor));
  write_some(&f, COUNT);
  run_in_thread(write_elsewhere, &f);
  write_some(&f, COUNT);
  CHECK(peer_has_no_datagram(f.peer));
  OK(udpr_reactor_flush(f.reactor));
  receive_all(&f);
  tear_down(&f);
}

static void go_on_in_the_child(void *user) {
  fixture *f = user;
  CHECK_STATUS(UDPR_E_CLOSED, write_next(f));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_reactor_flush(f->reactor));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_reactor_gather(f->reactor));
  OK(udpr_reactor_after_fork(f->reactor));
  CHECK_EQ(0, waits(f));
  OK(udpr_reactor_flush(f->reactor));
  run_turns(f->reactor, 2);
  CHECK_EQ(0, stats_of(f->transport).datagrams_out);
  CHECK_EQ(0, stats_of(f->transport).dropped_out);
  CHECK(peer_has_no_datagram(f->peer));
  write_some(f, 1); /* at once: the child does not gather */
  CHECK_EQ(1, stats_of(f->transport).datagrams_out);
  CHECK_EQ(LEN, peer_receive(f->peer, (char[LEN]){0}, LEN));
  OK(udpr_reactor_gather(f->reactor));
  write_some(f, 1);
  OK(udpr_reactor_flush(f->reactor));
  CHECK_EQ(LEN, peer_receive(f->peer, (char[LEN]){0}, LEN));
}

TEST(a_forked_child_drops_it) {
  fixture f;
  set_up(&f);
  OK(udpr_reactor_gather(f.reactor));
  write_some(&f, COUNT);
  run_in_killed_child(go_on_in_the_child, &f);
  CHECK_EQ(COUNT * LEN, waits(&f));
  write_some(&f, 1); /* behind the others */
  OK(udpr_reactor_flush(f.reactor));
  receive_all(&f);
  tear_down(&f);
}

CHECK_MAIN()
