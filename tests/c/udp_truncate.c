/* max_packet_size: longer datagrams are cut, flagged and counted, and full_len has their length. */
#include "check.h"

typedef struct reader {
  int           received;
  udpr_datagram datagram;
  uint8_t       last_byte;
} reader;

static void received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  reader *self = user;
  (void)transport;
  self->received++;
  self->datagram = *datagram;
  self->last_byte = datagram->len > 0 ? datagram->data[datagram->len - 1] : 0;
}

static size_t received_batch(udpr_transport *transport, const udpr_datagram *const *datagrams, size_t count,
                             void *user) {
  for (size_t i = 0; i < count; i++) received(transport, datagrams[i], user);
  return count;
}

typedef struct fixture {
  reader          reader;
  udpr_reactor   *reactor;
  udpr_transport *transport;
  udpr_addr       host;
  int             peer;
} fixture;

static void set_up(fixture *f, uint32_t max_packet_size, bool batch) {
  *f = (fixture){.reactor = new_reactor(0), .peer = peer_open(AF_INET)};
  udpr_protocol    protocol = {.size = sizeof protocol, .user = &f->reader};
  udpr_udp_options options = {.size = sizeof options, .max_packet_size = max_packet_size};
  if (batch) protocol.datagrams_received = received_batch;
  else protocol.datagram_received = received;
  f->transport = listen_on(f->reactor, "127.0.0.1", &protocol, &options);
  f->host = host_of(f->transport);
}

static void tear_down(fixture *f) {
  OK(udpr_transport_close(f->transport));
  udpr_transport_release(f->transport);
  OK(udpr_reactor_free(f->reactor));
  close(f->peer);
}

/* A datagram of `sent` bytes, of which byte i is i + 1, is received with `len` bytes. */
static void check_received(fixture *f, size_t sent, size_t len) {
  static uint8_t data[65507];
  int            before = f->reader.received;
  for (size_t i = 0; i < sent; i++) data[i] = (uint8_t)(i + 1);
  peer_send(f->peer, &f->host, data, sent);
  RUN_UNTIL(f->reactor, f->reader.received == before + 1);
  CHECK_EQ(len, f->reader.datagram.len);
  CHECK_EQ(sent, f->reader.datagram.full_len);
  CHECK_EQ(sent > len ? UDPR_DATAGRAM_TRUNCATED : 0, f->reader.datagram.flags);
  CHECK_EQ((uint8_t)len, f->reader.last_byte);
}

static void check_cut_at_100(bool batch) {
  fixture f;
  set_up(&f, 100, batch);
  check_received(&f, 0, 0);
  check_received(&f, 99, 99);
  check_received(&f, 100, 100);
  CHECK_EQ(0, stats_of(f.transport).truncated_in);
  check_received(&f, 101, 100);
  check_received(&f, 60000, 100);
  CHECK_EQ(2, stats_of(f.transport).truncated_in);
  check_received(&f, 1, 1); /* the flag is not left over in the buffer */
  CHECK_EQ(2, stats_of(f.transport).truncated_in);
  CHECK_EQ(6, stats_of(f.transport).datagrams_in);
  tear_down(&f);
}

TEST(datagram_received_cuts_long_datagrams) { check_cut_at_100(false); }
TEST(datagrams_received_cuts_long_datagrams) { check_cut_at_100(true); }

TEST(a_limit_of_one_byte) {
  fixture f;
  set_up(&f, 1, false);
  check_received(&f, 1, 1);
  check_received(&f, 2, 1);
  tear_down(&f);
}

TEST(nothing_is_cut_by_default) {
  fixture f;
  set_up(&f, 0, false);
  check_received(&f, 65507, 65507);
  CHECK_EQ(0, stats_of(f.transport).truncated_in);
  tear_down(&f);
}

/* Ports share receive buffers, but each has its own limit. */
TEST(two_ports_with_different_limits) {
  fixture       f;
  reader        whole = {0};
  udpr_protocol protocol = {.size = sizeof protocol, .user = &whole, .datagram_received = received};
  set_up(&f, 10, false);
  udpr_transport *other = listen_on(f.reactor, "127.0.0.1", &protocol, NULL);
  udpr_addr       other_host = host_of(other);
  uint8_t         data[2000] = {0};
  peer_send(f.peer, &other_host, data, sizeof data);
  peer_send(f.peer, &f.host, data, sizeof data);
  RUN_UNTIL(f.reactor, whole.received == 1 && f.reader.received == 1);
  CHECK_EQ(sizeof data, whole.datagram.len);
  CHECK_EQ(10, f.reader.datagram.len);
  OK(udpr_transport_close(other));
  udpr_transport_release(other);
  tear_down(&f);
}

CHECK_MAIN()
