/* What a message can have besides its destination: pieces and TTL, alone and with segments, on IPv4, IPv6 and dual-stack ports;
 * and udpr_transport_post_message, which takes the same messages from any thread.
 */
#include "recorder.h"

/* A port listens on `on`; a sender on `from` sends to it as `to`. */
typedef struct route {
  const char *on, *from, *to;
} route;

static const route routes[] = {
    {"127.0.0.1", "127.0.0.1", "127.0.0.1"}, {"::1", "::1", "::1"},
    {"::", "127.0.0.1", "127.0.0.1"},        {"127.0.0.1", "::", "::ffff:127.0.0.1"},
    {"::", "::", "::ffff:127.0.0.1"},        {"::", "::1", "::1"},
};
enum { ROUTES = sizeof routes / sizeof *routes };

/* How a message is handed over. */
typedef udpr_status (*send_fn)(udpr_transport *, const udpr_message *);

static udpr_status write_one(udpr_transport *transport, const udpr_message *message) {
  size_t      taken = 9;
  udpr_status status = udpr_transport_write_messages(transport, message, 1, &taken);
  CHECK_EQ(status == UDPR_OK, taken);
  return status;
}

/* The reason of a refused post is logged in the next turn. */
static udpr_status post_one(udpr_transport *transport, const udpr_message *message) {
  udpr_status status = udpr_transport_post_message(transport, message);
  if (status < 0) run_turns(udpr_transport_reactor(transport), 1);
  return status;
}

static const send_fn ways[] = {write_one, post_one};
enum { WAYS = sizeof ways / sizeof *ways };

typedef struct fixture {
  udpr_reactor *reactor;
  recorder      port, sender;
  udpr_addr     to;
} fixture;

static void set_up(fixture *f, const route *route, uint32_t flags) {
  *f = (fixture){.reactor = new_reactor(0)};
  recorder_listen(&f->port, f->reactor, route->on, 0, UDPR_UDP_TTL);
  recorder_listen(&f->sender, f->reactor, route->from, 0, flags);
  f->to = addr(route->to, f->port.host.port);
}

static void tear_down(fixture *f) {
  recorder_close(&f->port);
  recorder_close(&f->sender);
  OK(udpr_reactor_free(f->reactor));
}

static int received_ttl(fixture *f, const char *text) {
  return recorder_expect(f->reactor, &f->port, text)->datagram.ttl;
}

/* ---- pieces ------------------------------------------------------------------------------------------- */

static udpr_message in_pieces(const udpr_bytes *pieces, size_t count, const udpr_addr *to) {
  return (udpr_message){.size = sizeof(udpr_message),
                        .to = to,
                        .flags = UDPR_MESSAGE_PIECES,
                        .pieces = pieces,
                        .piece_count = count};
}

TEST(pieces_are_one_datagram) {
  static const udpr_bytes pieces[] = {{"one ", 4}, {NULL, 0}, {"two ", 4}, {"", 0}, {"three", 5}};
  for (int way = 0; way < WAYS; way++) {
    fixture f;
    set_up(&f, &routes[0], 0);
    udpr_message message = in_pieces(pieces, 5, &f.to);
    OK(ways[way](f.sender.transport, &message));
    recorder_expect(f.reactor, &f.port, "one two three");
    message.piece_count = 1;
    OK(ways[way](f.sender.transport, &message));
    recorder_expect(f.reactor, &f.port, "one ");
    message = in_pieces(NULL, 0, &f.to);
    OK(ways[way](f.sender.transport, &message));
    CHECK_EQ(0, recorder_expect(f.reactor, &f.port, "")->datagram.len);
    CHECK_EQ(3, stats_of(f.sender.transport).datagrams_out);
    tear_down(&f);
  }
}

/* segment_size cuts the joined bytes, wherever the pieces end. */
TEST(pieces_are_cut_into_segments) {
  static const udpr_bytes pieces[] = {{"ab", 2}, {"cdefg", 5}, {"", 0}, {"h", 1}, {"ijk", 3}};
  for (int way = 0; way < WAYS; way++) {
    fixture f;
    set_up(&f, &routes[0], 0);
    udpr_message message = in_pieces(pieces, 5, &f.to);
    message.segment_size = 4;
    OK(ways[way](f.sender.transport, &message));
    recorder_expect(f.reactor, &f.port, "abcd");
    recorder_expect(f.reactor, &f.port, "efgh");
    recorder_expect(f.reactor, &f.port, "ijk");
    message.segment_size = 11;
    OK(ways[way](f.sender.transport, &message));
    recorder_expect(f.reactor, &f.port, "abcdefghijk");
    tear_down(&f);
  }
}

/* More segments than one system call sends, of pieces of another size. */
TEST(many_pieces_in_many_segments) {
  enum { PIECES = 1000, PIECE = 33, SEGMENT = 100, LEN = PIECES * PIECE };
  static uint8_t    data[LEN], received[SEGMENT + 1];
  static udpr_bytes pieces[PIECES];
  udpr_reactor     *reactor = new_reactor(0);
  udpr_protocol     protocol = {.size = sizeof protocol};
  udpr_transport   *transport = listen_on(reactor, "127.0.0.1", &protocol, NULL);
  int               peer = peer_open(AF_INET), room = 1 << 20;
  udpr_addr         to = peer_addr(peer);
  setsockopt(peer, SOL_SOCKET, SO_RCVBUF, &room, sizeof room);
  for (int i = 0; i < LEN; i++) data[i] = (uint8_t)(i * 7 + i / 256);
  for (int i = 0; i < PIECES; i++) pieces[i] = (udpr_bytes){data + i * PIECE, PIECE};
  udpr_message message = in_pieces(pieces, PIECES, &to);
  message.segment_size = SEGMENT;
  OK(write_one(transport, &message));
  for (int done = 0; done < LEN; done += SEGMENT) {
    CHECK_EQ(SEGMENT, recv(peer, received, sizeof received, 0));
    CHECK(memcmp(received, data + done, SEGMENT) == 0);
  }
  OK(udpr_transport_close(transport));
  udpr_transport_release(transport);
  OK(udpr_reactor_free(reactor));
  close(peer);
}

TEST(wrong_pieces) {
  static char       byte;
  static udpr_bytes one = {&byte, 1}, too_long[] = {{&byte, 65507}, {&byte, 1}},
                    endless[] = {{&byte, SIZE_MAX}, {&byte, 1}}, nothing = {NULL, 1};
  fixture f;
  set_up(&f, &routes[0], 0);
  for (int way = 0; way < WAYS; way++) {
    udpr_message good = in_pieces(&one, 1, &f.to), bad = good;
    bad.data = &byte;
    CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, ways[way](f.sender.transport, &bad));
    bad = good, bad.len = 1;
    CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, ways[way](f.sender.transport, &bad));
    bad = good, bad.pieces = NULL;
    CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, ways[way](f.sender.transport, &bad));
    bad = good, bad.pieces = &nothing;
    CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, ways[way](f.sender.transport, &bad));
    bad = good, bad.piece_count = SIZE_MAX;
    CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, ways[way](f.sender.transport, &bad));
    bad = good, bad.flags = 0; /* without the flag */
    CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, ways[way](f.sender.transport, &bad));
    bad.pieces = NULL;
    CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, ways[way](f.sender.transport, &bad));
    bad = in_pieces(too_long, 2, &f.to);
    CHECK_STATUS(UDPR_E_MESSAGE_TOO_LONG, ways[way](f.sender.transport, &bad));
    bad = in_pieces(endless, 2, &f.to);
    CHECK_STATUS(UDPR_E_MESSAGE_TOO_LONG, ways[way](f.sender.transport, &bad));
  }
  run_turns(f.reactor, 3);
  CHECK_EQ(0, stats_of(f.sender.transport).datagrams_out);
  tear_down(&f);
}

/* ---- TTL ---------------------------------------------------------------------------------------------- */

static udpr_message with_ttl(const char *text, const udpr_addr *to, uint32_t ttl) {
  return (udpr_message){.size = sizeof(udpr_message),
                        .data = text,
                        .len = strlen(text),
                        .to = to,
                        .flags = UDPR_MESSAGE_TTL,
                        .ttl = ttl};
}

/* Also with a TOS, a source and an interface at once; and the socket's own TTL stays. */
TEST(ttl_of_one_datagram) {
  static const uint32_t values[] = {1, 2, 64, 128, 255};
  for (int i = 0; i < ROUTES * WAYS; i++) {
    fixture f;
    send_fn send = ways[i % WAYS];
    set_up(&f, &routes[i / WAYS], 0);
    OK(udpr_transport_set_unicast_ttl(f.sender.transport, 77));
    for (size_t value = 0; value < sizeof values / sizeof *values; value++) {
      udpr_message message = with_ttl("ttl", &f.to, values[value]);
      OK(send(f.sender.transport, &message));
      CHECK_EQ(values[value], received_ttl(&f, "ttl"));
      message.flags |= UDPR_MESSAGE_TOS | UDPR_MESSAGE_NOW, message.tos = 0xb8, message.source = &f.to;
      message.interface_index = interface_index(LOOPBACK);
      OK(send(f.sender.transport, &message));
      CHECK_EQ(values[value], received_ttl(&f, "ttl"));
    }
    write_text(f.sender.transport, "socket", &f.to);
    CHECK_EQ(77, received_ttl(&f, "socket"));
    tear_down(&f);
  }
}

TEST(ttl_on_a_connected_port) {
  for (int i = 0; i < ROUTES; i++) {
    fixture f;
    set_up(&f, &routes[i], UDPR_UDP_UNBATCHED);
    OK(udpr_transport_connect(f.sender.transport, &f.to));
    udpr_message message = with_ttl("peer", NULL, 9);
    OK(write_one(f.sender.transport, &message));
    CHECK_EQ(9, received_ttl(&f, "peer"));
    tear_down(&f);
  }
}

TEST(ttl_of_each_segment) {
  for (int way = 0; way < WAYS; way++) {
    fixture f;
    set_up(&f, &routes[0], 0);
    udpr_message message = with_ttl("abcdefgh", &f.to, 3);
    message.segment_size = 3;
    OK(ways[way](f.sender.transport, &message));
    CHECK_EQ(3, received_ttl(&f, "abc"));
    CHECK_EQ(3, received_ttl(&f, "def"));
    CHECK_EQ(3, received_ttl(&f, "gh"));
    tear_down(&f);
  }
}

static void write_different_ttls(udpr_reactor *reactor, void *user) {
  fixture *f = user;
  (void)reactor;
  for (uint32_t ttl = 1; ttl <= 6; ttl++) {
    udpr_message message = with_ttl("same", &f->to, (ttl + 1) / 2);
    OK(write_one(f->sender.transport, &message));
  }
  write_text(f->sender.transport, "same", &f->to);
}

/* Of one size, to one destination, in one callback: only those of one TTL are merged. */
TEST(messages_that_differ_in_ttl_are_not_merged) {
  fixture f;
  set_up(&f, &routes[0], 0);
  OK(udpr_transport_set_unicast_ttl(f.sender.transport, 9));
  OK(udpr_reactor_call_later(f.reactor, 0, write_different_ttls, &f, NULL, NULL));
  for (int i = 0; i < 6; i++) CHECK_EQ(i / 2 + 1, received_ttl(&f, "same"));
  CHECK_EQ(9, received_ttl(&f, "same"));
  tear_down(&f);
}

TEST(wrong_ttls) {
  for (int i = 0; i < ROUTES * WAYS; i++) {
    fixture f;
    send_fn send = ways[i % WAYS];
    set_up(&f, &routes[i / WAYS], 0);
    for (uint32_t ttl = 0; ttl < 600; ttl = ttl ? ttl + 1 : 256) {
      udpr_message message = with_ttl("x", &f.to, ttl);
      CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, send(f.sender.transport, &message));
    }
    udpr_message message = with_ttl("x", &f.to, UINT32_MAX);
    CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, send(f.sender.transport, &message));
    message.ttl = 1, message.flags = 0; /* without the flag */
    CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, send(f.sender.transport, &message));
    OK(udpr_transport_connect(f.sender.transport, &f.to));
    message = with_ttl("x", NULL, 0); /* the peer is no group */
    CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, send(f.sender.transport, &message));
    CHECK_EQ(0, stats_of(f.sender.transport).datagrams_out);
    tear_down(&f);
  }
}

TEST(the_features_are_named) {
  CHECK_EQ(1, udpr_has_feature("message_ttl"));
  CHECK_EQ(1, udpr_has_feature("send_at"));
}

/* ---- posting ------------------------------------------------------------------------------------------ */

static void post_from_thread(void *arg) {
  fixture *f = arg;
  for (uint32_t ttl = 1; ttl <= 20; ttl++) {
    udpr_message message = with_ttl("thread", &f->to, ttl);
    OK(udpr_transport_post_message(f->sender.transport, &message));
  }
}

TEST(posts_from_a_thread_keep_their_order_and_ttl) {
  fixture      f;
  check_thread thread;
  set_up(&f, &routes[0], 0);
  thread_start(&thread, post_from_thread, &f);
  for (int ttl = 1; ttl <= 20; ttl++) CHECK_EQ(ttl, received_ttl(&f, "thread"));
  thread_join(&thread);
  tear_down(&f);
}

TEST(posts_of_a_connected_port_go_to_its_peer) {
  fixture f;
  set_up(&f, &routes[0], 0);
  udpr_message message = with_ttl("peer", NULL, 5);
  CHECK_STATUS(UDPR_E_NOT_CONNECTED, udpr_transport_post_message(f.sender.transport, &message));
  OK(udpr_transport_connect(f.sender.transport, &f.to));
  OK(udpr_transport_post_message(f.sender.transport, &message));
  OK(udpr_transport_disconnect(f.sender.transport));
  CHECK_EQ(5, received_ttl(&f, "peer"));
  tear_down(&f);
}

TEST(a_post_is_accepted_whole_or_not_at_all) {
  static uint8_t   data[4096];
  udpr_reactor    *reactor = new_reactor(0);
  udpr_protocol    protocol = {.size = sizeof protocol};
  udpr_udp_options options = {.size = sizeof options, .send_queue_bytes = 1024};
  udpr_transport  *transport = listen_on(reactor, "127.0.0.1", &protocol, &options);
  int              peer = peer_open(AF_INET);
  udpr_addr        to = peer_addr(peer);
  udpr_message message = {.size = sizeof message, .data = data, .len = 100, .to = &to, .segment_size = 10};
  OK(udpr_transport_post_message(transport, &message)); /* 10 datagrams, each counts 64 */
  CHECK_STATUS(UDPR_E_WOULD_BLOCK, udpr_transport_post_message(transport, &message));
  message.len = 60;
  OK(udpr_transport_post_message(transport, &message));
  CHECK_STATUS(UDPR_E_WOULD_BLOCK, udpr_transport_post_message(transport, &message));
  RUN_UNTIL(reactor, stats_of(transport).datagrams_out == 16);
  message.len = sizeof data; /* larger than the bound, but none waits */
  OK(udpr_transport_post_message(transport, &message));
  RUN_UNTIL(reactor, stats_of(transport).datagrams_out == 16 + 410);
  OK(udpr_transport_close(transport));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_transport_post_message(transport, &message));
  udpr_transport_release(transport);
  OK(udpr_reactor_free(reactor));
  close(peer);
}

TEST(a_post_is_checked_at_once) {
  fixture   f;
  udpr_addr group = addr("224.0.0.5", 9), other = addr("::1", 9);
  set_up(&f, &routes[0], 0);
  udpr_message good = {.size = sizeof good, .data = "x", .len = 1, .to = &f.to}, bad = good;
  bad.size = 0;
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_transport_post_message(f.sender.transport, &bad));
  bad = good, bad.flags = 32;
  CHECK_STATUS(UDPR_E_VERSION, udpr_transport_post_message(f.sender.transport, &bad));
  bad = good, bad.reserved = 1;
  CHECK_STATUS(UDPR_E_VERSION, udpr_transport_post_message(f.sender.transport, &bad));
  bad = good, bad.reserved_2 = 1;
  CHECK_STATUS(UDPR_E_VERSION, udpr_transport_post_message(f.sender.transport, &bad));
  bad = good, bad.flags = UDPR_MESSAGE_TOS, bad.tos = 256;
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_transport_post_message(f.sender.transport, &bad));
  bad = good, bad.source = &group;
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_transport_post_message(f.sender.transport, &bad));
  bad = good, bad.source = &other;
  CHECK_STATUS(UDPR_E_ADDRESS_FAMILY, udpr_transport_post_message(f.sender.transport, &bad));
  bad = good, bad.to = &other;
  CHECK_STATUS(UDPR_E_ADDRESS_FAMILY, udpr_transport_post_message(f.sender.transport, &bad));
  bad = good, bad.len = 65508;
  CHECK_STATUS(UDPR_E_MESSAGE_TOO_LONG, udpr_transport_post_message(f.sender.transport, &bad));
  run_turns(f.reactor, 3);
  CHECK_EQ(0, stats_of(f.sender.transport).datagrams_out);
  tear_down(&f);
}

TEST(a_post_has_its_source) {
  fixture   f;
  udpr_addr source = addr("127.0.0.9", 0);
  set_up(&f, &(route){"127.0.0.1", "0.0.0.0", "127.0.0.1"}, 0);
  udpr_message message = {.size = sizeof message, .data = "x", .len = 1, .to = &f.to, .source = &source};
  OK(udpr_transport_post_message(f.sender.transport, &message));
  udpr_addr expected = with_port(source, f.sender.host.port);
  CHECK_ADDR(&expected, &recorder_expect(f.reactor, &f.port, "x")->datagram.sender);
  tear_down(&f);
}

/* A program that was compiled with the header of the first release. */
TEST(a_message_of_the_first_release) {
  fixture f;
  set_up(&f, &routes[0], 0);
  udpr_message message = {.size = offsetof(udpr_message, pieces), .data = "old", .len = 3, .to = &f.to};
  memset((char *)&message + message.size, 0x55, sizeof message - message.size);
  for (int way = 0; way < WAYS; way++) {
    OK(ways[way](f.sender.transport, &message));
    recorder_expect(f.reactor, &f.port, "old");
  }
  tear_down(&f);
}

CHECK_MAIN()
