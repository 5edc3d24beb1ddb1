/* The three ways to write on the reactor's thread, and what each of them refuses. */
#include "check.h"

typedef struct fixture {
  atomic_int      freed;
  udpr_reactor   *reactor;
  udpr_transport *transport;
  int             peer;
  udpr_addr       to; /* the peer's address */
} fixture;

static void set_up(fixture *f) {
  *f = (fixture){.reactor = new_reactor(0), .peer = peer_open(AF_INET)};
  udpr_protocol protocol = {.size = sizeof protocol, .user = f, .free_user = count_free};
  f->transport = listen_on(f->reactor, "127.0.0.1", &protocol, NULL);
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

static void write_text(fixture *f, const char *text) {
  OK(udpr_transport_write(f->transport, text, strlen(text), &f->to));
}

static udpr_message message_of(const void *data, size_t len, const udpr_addr *to) {
  return (udpr_message){.size = sizeof(udpr_message), .data = data, .len = len, .to = to};
}

/* ---- write and write_sequence -------------------------------------------------------------------------- */

TEST(write_refuses) {
  fixture   f;
  udpr_addr v6 = addr("::1", 9);
  set_up(&f);
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_transport_write(f.transport, NULL, 1, &f.to));
  CHECK_STATUS(UDPR_E_NOT_CONNECTED, udpr_transport_write(f.transport, "x", 1, NULL));
  CHECK_STATUS(UDPR_E_ADDRESS_FAMILY, udpr_transport_write(f.transport, "x", 1, &v6));
  CHECK_STATUS(UDPR_E_MESSAGE_TOO_LONG, udpr_transport_write(f.transport, "x", SIZE_MAX, &f.to));
  CHECK_EQ(0, stats_of(f.transport).datagrams_out);
  write_text(&f, "works");
  PEER_RECEIVES(f.peer, "works");
  tear_down(&f);
}

TEST(an_ipv6_port_accepts_only_ipv6_and_mapped_addresses) {
  udpr_reactor   *reactor = new_reactor(0);
  udpr_protocol   protocol = {.size = sizeof protocol};
  udpr_transport *transport = listen_on(reactor, "::", &protocol, NULL);
  int             peer = peer_open(AF_INET);
  udpr_addr       v4 = peer_addr(peer), mapped;
  CHECK_STATUS(UDPR_E_ADDRESS_FAMILY, udpr_transport_write(transport, "x", 1, &v4));
  OK(udpr_addr_map_v4(&v4, &mapped));
  OK(udpr_transport_write(transport, "mapped", 6, &mapped));
  PEER_RECEIVES(peer, "mapped");
  OK(udpr_transport_close(transport));
  udpr_transport_release(transport);
  OK(udpr_reactor_free(reactor));
  close(peer);
}

TEST(null_and_zero_is_an_empty_datagram) {
  fixture f;
  char    byte;
  set_up(&f);
  OK(udpr_transport_write(f.transport, NULL, 0, &f.to));
  CHECK_EQ(0, peer_receive(f.peer, &byte, 1));
  OK(udpr_transport_write(f.transport, "ignored", 0, &f.to));
  CHECK_EQ(0, peer_receive(f.peer, &byte, 1));
  OK(udpr_transport_write_sequence(f.transport, &(udpr_bytes){NULL, 0}, 1, &f.to));
  CHECK_EQ(0, peer_receive(f.peer, &byte, 1));
  tear_down(&f);
}

TEST(write_sequence_concatenates_its_pieces) {
  fixture    f;
  udpr_bytes pieces[] = {{"Hello", 5}, {NULL, 0}, {" ", 1}, {"World", 5}, {"!", 1}};
  set_up(&f);
  OK(udpr_transport_write_sequence(f.transport, pieces, 5, &f.to));
  PEER_RECEIVES(f.peer, "Hello World!");
  OK(udpr_transport_write_sequence(f.transport, pieces, 1, &f.to));
  PEER_RECEIVES(f.peer, "Hello");
  tear_down(&f);
}

TEST(write_sequence_of_2000_pieces) {
  static udpr_bytes pieces[2000];
  char              text[2001];
  fixture           f;
  set_up(&f);
  for (size_t i = 0; i < 2000; i++) pieces[i] = (udpr_bytes){&"0123456789"[i % 10], 1};
  OK(udpr_transport_write_sequence(f.transport, pieces, 2000, &f.to));
  CHECK_EQ(2000, peer_receive(f.peer, text, sizeof text));
  for (size_t i = 0; i < 2000; i++) CHECK_EQ('0' + i % 10, text[i]);
  tear_down(&f);
}

TEST(write_sequence_refuses) {
  static const uint8_t half[40000];
  udpr_addr            v6 = addr("::1", 9);
  udpr_bytes           null_piece[] = {{"x", 1}, {NULL, 1}}, one[] = {{"x", 1}};
  udpr_bytes too_long[] = {{half, sizeof half}, {half, sizeof half}}, wraps[] = {{half, 2}, {half, SIZE_MAX}};
  fixture    f;
  set_up(&f);
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_transport_write_sequence(f.transport, NULL, 1, &f.to));
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_transport_write_sequence(f.transport, null_piece, 2, &f.to));
  CHECK_STATUS(UDPR_E_NOT_CONNECTED, udpr_transport_write_sequence(f.transport, one, 1, NULL));
  CHECK_STATUS(UDPR_E_ADDRESS_FAMILY, udpr_transport_write_sequence(f.transport, one, 1, &v6));
  CHECK_STATUS(UDPR_E_MESSAGE_TOO_LONG, udpr_transport_write_sequence(f.transport, too_long, 2, &f.to));
  CHECK_STATUS(UDPR_E_MESSAGE_TOO_LONG, udpr_transport_write_sequence(f.transport, wraps, 2, &f.to));
  tear_down(&f);
}

/* ---- write_messages ------------------------------------------------------------------------------------ */

TEST(write_messages_sends_all) {
  fixture f;
  size_t  taken = 99;
  set_up(&f);
  int          second = peer_open(AF_INET);
  udpr_addr    second_addr = peer_addr(second);
  udpr_message messages[] = {message_of("a", 1, &f.to), message_of("b", 1, &second_addr),
                             message_of(NULL, 0, &f.to)};
  OK(udpr_transport_write_messages(f.transport, messages, 3, &taken));
  CHECK_EQ(3, taken);
  PEER_RECEIVES(f.peer, "a");
  PEER_RECEIVES(f.peer, "");
  PEER_RECEIVES(second, "b");
  OK(udpr_transport_write_messages(f.transport, messages, 0, &taken));
  CHECK_EQ(0, taken);
  close(second);
  tear_down(&f);
}

TEST(write_messages_stops_at_the_first_refused) {
  fixture   f;
  udpr_addr v6 = addr("::1", 9);
  size_t    taken;
  set_up(&f);
  struct {
    udpr_message bad;
    udpr_status  status;
  } refusals[] = {{message_of("x", 1, &v6), UDPR_E_ADDRESS_FAMILY},
                  {message_of("x", 1, NULL), UDPR_E_NOT_CONNECTED},
                  {message_of(NULL, 1, &f.to), UDPR_E_INVALID_ARGUMENT},
                  {message_of("x", 65508, &f.to), UDPR_E_MESSAGE_TOO_LONG}};
  for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
    udpr_message messages[] = {message_of("a", 1, &f.to), message_of("b", 1, &f.to), refusals[i].bad,
                               message_of("c", 1, &f.to)};
    taken = 99;
    CHECK_STATUS(refusals[i].status, udpr_transport_write_messages(f.transport, messages, 4, &taken));
    CHECK_EQ(2, taken);
    PEER_RECEIVES(f.peer, "a");
    PEER_RECEIVES(f.peer, "b");
    CHECK(peer_has_no_datagram(f.peer));
  }
  tear_down(&f);
}

/* In a program built with a newer header, messages are longer, and their new fields are zero. */
typedef struct newer_message {
  udpr_message now;
  uint64_t     later;
} newer_message;

TEST(write_messages_uses_size_as_stride) {
  fixture f;
  size_t  taken = 99;
  set_up(&f);
  newer_message messages[] = {{message_of("a", 1, &f.to), 0},
                              {message_of("b", 1, &f.to), 0},
                              {message_of("c", 1, &f.to), 0}};
  for (size_t i = 0; i < 3; i++) messages[i].now.size = sizeof *messages;
  OK(udpr_transport_write_messages(f.transport, &messages[0].now, 3, &taken));
  CHECK_EQ(3, taken);
  PEER_RECEIVES(f.peer, "a");
  PEER_RECEIVES(f.peer, "b");
  PEER_RECEIVES(f.peer, "c");

  messages[1].later = 1;
  CHECK_STATUS(UDPR_E_VERSION, udpr_transport_write_messages(f.transport, &messages[0].now, 3, &taken));
  CHECK_EQ(1, taken);
  PEER_RECEIVES(f.peer, "a");
  tear_down(&f);
}

TEST(write_messages_checks_size_and_flags) {
  fixture f;
  size_t  taken = 99;
  set_up(&f);
  udpr_message small = message_of("a", 1, &f.to), unknown = small;
  small.size = offsetof(udpr_message, pieces) - 1;
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_transport_write_messages(f.transport, &small, 1, &taken));
  CHECK_EQ(0, taken);
  small.size = 4097;
  taken = 99;
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_transport_write_messages(f.transport, &small, 1, &taken));
  CHECK_EQ(0, taken);
  unknown.flags = 0x40000000;
  taken = 99;
  CHECK_STATUS(UDPR_E_VERSION, udpr_transport_write_messages(f.transport, &unknown, 1, &taken));
  CHECK_EQ(0, taken);
  tear_down(&f);
}

TEST(write_messages_after_stop) {
  fixture f;
  size_t  taken = 99;
  set_up(&f);
  udpr_message one = message_of("a", 1, &f.to);
  OK(udpr_transport_stop_listening(f.transport));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_transport_write(f.transport, "a", 1, &f.to));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_transport_write_messages(f.transport, &one, 1, &taken));
  CHECK_EQ(0, taken);
  RUN_UNTIL(f.reactor, f.freed == 1);
  CHECK_STATUS(UDPR_E_CLOSED, udpr_transport_write(f.transport, "a", 1, &f.to));
  CHECK(peer_has_no_datagram(f.peer));
  udpr_transport_release(f.transport);
  OK(udpr_reactor_free(f.reactor));
  close(f.peer);
}

CHECK_MAIN()
