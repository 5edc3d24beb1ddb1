/* When writes are sent: at once outside of callbacks; if made in a callback, after it, in order. */
#include "check.h"

typedef struct fixture {
  atomic_int      freed;
  udpr_reactor   *reactor;
  udpr_transport *transport;
  int             peer, second_peer; /* the second one is used in one case */
  udpr_addr       to;                /* the peer's address */
  void (*body)(struct fixture *);
  int called;
} fixture;

static void set_up(fixture *f, uint32_t flags) {
  *f = (fixture){.reactor = new_reactor(0), .peer = peer_open(AF_INET)};
  udpr_protocol    protocol = {.size = sizeof protocol, .user = f, .free_user = count_free};
  udpr_udp_options options = {.size = sizeof options, .flags = flags};
  f->transport = listen_on(f->reactor, "127.0.0.1", &protocol, &options);
  f->to = peer_addr(f->peer);
}

static void tear_down(fixture *f) {
  OK(udpr_transport_close(f->transport));
  udpr_transport_release(f->transport);
  OK(udpr_reactor_free(f->reactor));
  CHECK_EQ(1, f->freed);
  CHECK(peer_has_no_datagram(f->peer));
  close(f->peer);
}

static void call_body(udpr_reactor *reactor, void *user) {
  fixture *f = user;
  (void)reactor;
  f->called++;
  f->body(f);
}

/* Calls `body` in a callback of the next turn. */
static void in_callback(fixture *f, void (*body)(fixture *)) {
  int before = f->called;
  f->body = body;
  OK(udpr_reactor_call_later(f->reactor, 0, call_body, f, NULL, NULL));
  RUN_UNTIL(f->reactor, f->called == before + 1);
}

static void write_text(fixture *f, const char *text) {
  OK(udpr_transport_write(f->transport, text, strlen(text), &f->to));
}

TEST(outside_callbacks_a_write_is_sent_at_once) {
  fixture f;
  set_up(&f, 0);
  write_text(&f, "now");
  CHECK(!peer_has_no_datagram(f.peer));
  PEER_RECEIVES(f.peer, "now");
  tear_down(&f);
}

static void write_two(fixture *f) {
  write_text(f, "one");
  write_text(f, "two");
  CHECK(peer_has_no_datagram(f->peer));
}

TEST(writes_in_a_callback_are_sent_after_it) {
  fixture f;
  set_up(&f, 0);
  in_callback(&f, write_two);
  PEER_RECEIVES(f.peer, "one");
  PEER_RECEIVES(f.peer, "two");
  tear_down(&f);
}

static void second_call_of_the_turn(udpr_reactor *reactor, void *user) {
  (void)reactor;
  CHECK(peer_has_no_datagram(((fixture *)user)->peer));
}

TEST(calls_of_one_turn_share_a_batch) {
  fixture f;
  set_up(&f, 0);
  f.body = write_two;
  OK(udpr_reactor_call_later(f.reactor, 0, call_body, &f, NULL, NULL));
  OK(udpr_reactor_call_later(f.reactor, 0, second_call_of_the_turn, &f, NULL, NULL));
  RUN_UNTIL(f.reactor, f.called == 1);
  PEER_RECEIVES(f.peer, "one");
  PEER_RECEIVES(f.peer, "two");
  tear_down(&f);
}

static void write_flush_write(fixture *f) {
  write_two(f);
  OK(udpr_transport_flush(f->transport));
  PEER_RECEIVES(f->peer, "one");
  PEER_RECEIVES(f->peer, "two");
  write_text(f, "three");
  CHECK(peer_has_no_datagram(f->peer));
}

TEST(flush_sends_the_batch) {
  fixture f;
  set_up(&f, 0);
  OK(udpr_transport_flush(f.transport)); /* nothing to flush */
  in_callback(&f, write_flush_write);
  PEER_RECEIVES(f.peer, "three");
  tear_down(&f);
}

static void write_and_check_at_once(fixture *f) {
  write_text(f, "at once");
  PEER_RECEIVES(f->peer, "at once");
}

TEST(unbatched_writes_are_sent_in_the_call) {
  fixture f;
  set_up(&f, UDPR_UDP_UNBATCHED);
  in_callback(&f, write_and_check_at_once);
  tear_down(&f);
}

static void write_two_then_now(fixture *f) {
  udpr_message now = {.size = sizeof now, .data = "three", .len = 5, .to = &f->to, .flags = UDPR_MESSAGE_NOW};
  size_t       taken = 99;
  write_two(f);
  OK(udpr_transport_write_messages(f->transport, &now, 1, &taken));
  CHECK_EQ(1, taken);
  PEER_RECEIVES(f->peer, "one");
  PEER_RECEIVES(f->peer, "two");
  PEER_RECEIVES(f->peer, "three");
}

TEST(message_now_is_sent_after_the_batch) {
  fixture f;
  set_up(&f, 0);
  in_callback(&f, write_two_then_now);
  tear_down(&f);
}

static void write_two_and_close(fixture *f) {
  write_two(f);
  OK(udpr_transport_close(f->transport));
}

TEST(batched_writes_are_sent_before_close) {
  fixture f;
  set_up(&f, 0);
  udpr_addr host = host_of(f.transport), from;
  in_callback(&f, write_two_and_close);
  char text[8];
  CHECK_EQ(3, peer_receive_from(f.peer, text, sizeof text, &from));
  CHECK_ADDR(&host, &from);
  PEER_RECEIVES(f.peer, "two");
  CHECK_STATUS(UDPR_E_CLOSED, udpr_transport_write(f.transport, "x", 1, &f.to));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_transport_flush(f.transport));
  udpr_transport_release(f.transport);
  OK(udpr_reactor_free(f.reactor));
  CHECK_EQ(1, f.freed);
  close(f.peer);
}

static void write_two_and_stop(fixture *f) {
  write_two(f);
  OK(udpr_transport_stop_listening(f->transport));
  CHECK(!peer_has_no_datagram(f->peer)); /* at once, although no other write follows */
}

TEST(batched_writes_are_sent_before_stop_listening) {
  fixture f;
  set_up(&f, 0);
  in_callback(&f, write_two_and_stop);
  PEER_RECEIVES(f.peer, "one");
  PEER_RECEIVES(f.peer, "two");
  RUN_UNTIL(f.reactor, f.freed == 1);
  udpr_transport_release(f.transport);
  OK(udpr_reactor_free(f.reactor));
  close(f.peer);
}

static void write_by_the_other_port(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  fixture *f = user;
  (void)transport;
  OK(udpr_transport_write(f->transport, datagram->data, datagram->len, &f->to));
  f->called++;
}

TEST(a_callback_writes_to_another_port) {
  fixture   f;
  udpr_addr from;
  char      text[8];
  set_up(&f, 0);
  udpr_protocol   protocol = {.size = sizeof protocol,
                              .user = &f,
                              .datagram_received = write_by_the_other_port};
  udpr_transport *front = listen_on(f.reactor, "127.0.0.1", &protocol, NULL);
  udpr_addr       front_host = host_of(front), back_host = host_of(f.transport);
  peer_send(f.peer, &front_host, "first", 5);
  peer_send(f.peer, &front_host, "second", 6);
  RUN_UNTIL(f.reactor, f.called == 2);
  CHECK_EQ(5, peer_receive_from(f.peer, text, sizeof text, &from));
  CHECK_ADDR(&back_host, &from);
  PEER_RECEIVES(f.peer, "second");
  OK(udpr_transport_close(front));
  udpr_transport_release(front);
  tear_down(&f);
}

static void write_to_both(fixture *f) {
  udpr_addr other = peer_addr(f->second_peer);
  for (int i = 0; i < 50; i++) {
    char text[8];
    int  len = snprintf(text, sizeof text, "%d", i);
    OK(udpr_transport_write(f->transport, text, (size_t)len, i % 2 ? &other : &f->to));
  }
}

TEST(alternating_destinations_keep_their_order) {
  fixture f;
  set_up(&f, 0);
  f.second_peer = peer_open(AF_INET);
  in_callback(&f, write_to_both);
  for (int i = 0; i < 50; i++) {
    char text[8];
    snprintf(text, sizeof text, "%d", i);
    PEER_RECEIVES(i % 2 ? f.second_peer : f.peer, text);
  }
  close(f.second_peer);
  tear_down(&f);
}

static void write_from_a_buffer_used_again(fixture *f) {
  char text[] = "0";
  for (int i = 0; i < 3; i++) {
    text[0] = (char)('0' + i);
    OK(udpr_transport_write(f->transport, text, 1, &f->to));
  }
  text[0] = 'x';
}

TEST(written_data_is_copied) {
  fixture f;
  set_up(&f, 0);
  in_callback(&f, write_from_a_buffer_used_again);
  PEER_RECEIVES(f.peer, "0");
  PEER_RECEIVES(f.peer, "1");
  PEER_RECEIVES(f.peer, "2");
  tear_down(&f);
}

static void write_200(fixture *f) {
  for (int i = 0; i < 200; i++) {
    char text[8];
    int  len = snprintf(text, sizeof text, "%d", i);
    OK(udpr_transport_write(f->transport, text, (size_t)len, &f->to));
  }
}

TEST(more_than_fits_into_one_system_call) {
  fixture f;
  set_up(&f, 0);
  in_callback(&f, write_200);
  CHECK(stats_of(f.transport).syscalls_out < 20);
  for (int i = 0; i < 200; i++) {
    char text[8];
    snprintf(text, sizeof text, "%d", i);
    PEER_RECEIVES(f.peer, text);
  }
  tear_down(&f);
}

/* Small and large ones alternate, so that buffers become full in the middle. */
static void write_small_and_large(fixture *f) {
  static uint8_t large[60000];
  for (int i = 0; i < 10; i++)
    OK(udpr_transport_write(f->transport, large, i % 2 ? sizeof large : (size_t)i, &f->to));
}

TEST(small_and_large_keep_their_order) {
  static uint8_t got[60001];
  fixture        f;
  int            room = 1 << 20;
  set_up(&f, 0);
  setsockopt(f.peer, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
  socklen_t len = sizeof room;
  CHECK_EQ(0, getsockopt(f.peer, SOL_SOCKET, SO_RCVBUF, &room, &len));
  if (room < 1 << 20) SKIP("needs root, or a receive buffer of 1 MiB");
  in_callback(&f, write_small_and_large);
  for (int i = 0; i < 10; i++) CHECK_EQ(i % 2 ? 60000 : i, peer_receive(f.peer, got, sizeof got));
  tear_down(&f);
}

enum { PORTS = 40 };
typedef struct many_ports {
  udpr_transport *ports[PORTS];
  udpr_addr       to;
  int             peer;
} many_ports;

static void write_by_all(udpr_reactor *reactor, void *user) {
  many_ports *self = user;
  (void)reactor;
  for (int round = 0; round < 2; round++) {
    for (uint8_t i = 0; i < PORTS; i++)
      OK(udpr_transport_write(self->ports[i], (uint8_t[]){i, (uint8_t)round}, 2, &self->to));
  }
}

/* Each port keeps its order, however many ports write in one callback. */
TEST(forty_ports_write_in_one_callback) {
  many_ports    all = {.peer = peer_open(AF_INET)};
  int           got[PORTS] = {0};
  udpr_reactor *reactor = new_reactor(0);
  udpr_protocol protocol = {.size = sizeof protocol};
  all.to = peer_addr(all.peer);
  for (int i = 0; i < PORTS; i++) all.ports[i] = listen_on(reactor, "127.0.0.1", &protocol, NULL);
  OK(udpr_reactor_call_later(reactor, 0, write_by_all, &all, NULL, NULL));
  OK(udpr_reactor_iterate(reactor, 0));
  for (int i = 0; i < 2 * PORTS; i++) {
    uint8_t text[3];
    CHECK_EQ(2, peer_receive(all.peer, text, sizeof text));
    CHECK(text[0] < PORTS);
    CHECK_EQ(got[text[0]]++, text[1]);
  }
  CHECK(peer_has_no_datagram(all.peer));
  for (int i = 0; i < PORTS; i++) {
    OK(udpr_transport_close(all.ports[i]));
    udpr_transport_release(all.ports[i]);
  }
  OK(udpr_reactor_free(reactor));
  close(all.peer);
}

CHECK_MAIN()
