/* A port that echoes: datagrams of every size over IPv4, IPv6 and dual-stack ports, and the fields of a
 * datagram.
 */
#include "check.h"

enum { LONGEST_V4 = 65507, LONGEST_V6 = 65527 };

typedef struct echo {
  atomic_int    freed;
  int           received, stopped;
  size_t        len;
  udpr_datagram datagram; /* the last one; its `data` is no longer valid */
  udpr_status   reason;
} echo;

static void send_back(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  echo *self = user;
  self->received++;
  self->datagram = *datagram;
  OK(udpr_transport_write(transport, datagram->data, datagram->len, &datagram->sender));
}

static void stopped(udpr_transport *transport, udpr_status reason, void *user) {
  echo *self = user;
  CHECK(udpr_transport_user(transport) == NULL || udpr_transport_user(transport) == user);
  self->stopped++;
  self->reason = reason;
  CHECK_EQ(0, self->freed);
}

static udpr_protocol echo_protocol(echo *self) {
  return (udpr_protocol){.size = sizeof(udpr_protocol),
                         .user = self,
                         .free_user = count_free,
                         .datagram_received = send_back,
                         .stop_protocol = stopped};
}

typedef struct fixture {
  echo            server;
  udpr_reactor   *reactor;
  udpr_transport *transport;
  udpr_addr       host;
  int             peer;
} fixture;

static void set_up(fixture *f, const char *local_address, int peer_family, uint32_t flags) {
  *f = (fixture){.reactor = new_reactor(0), .peer = peer_open(peer_family)};
  udpr_protocol    protocol = echo_protocol(&f->server);
  udpr_udp_options options = {.size = sizeof options, .flags = flags};
  f->transport = listen_on(f->reactor, local_address, &protocol, &options);
  f->host = host_of(f->transport);
}

static void tear_down(fixture *f) {
  OK(udpr_transport_close(f->transport));
  CHECK_EQ(1, f->server.stopped);
  CHECK_EQ(UDPR_OK, f->server.reason);
  CHECK_EQ(1, f->server.freed);
  udpr_transport_release(f->transport);
  OK(udpr_reactor_free(f->reactor));
  CHECK_EQ(1, f->server.freed);
  close(f->peer);
}

/* `len` bytes sent to `to` come back unchanged. */
static void check_echo(fixture *f, const udpr_addr *to, size_t len) {
  static uint8_t sent[LONGEST_V6], got[LONGEST_V6 + 1];
  int            before = f->server.received;
  udpr_addr      from;
  for (size_t i = 0; i < len; i++) sent[i] = (uint8_t)(i * 7 + len);
  peer_send(f->peer, to, sent, len);
  RUN_UNTIL(f->reactor, f->server.received == before + 1);
  CHECK_EQ(len, peer_receive_from(f->peer, got, sizeof got, &from));
  CHECK(memcmp(sent, got, len) == 0);
  CHECK_ADDR(to, &from);
}

TEST(echo_ipv4_every_size) {
  fixture f;
  set_up(&f, "127.0.0.1", AF_INET, 0);
  check_echo(&f, &f.host, 0);
  check_echo(&f, &f.host, 1);
  check_echo(&f, &f.host, 1200);
  check_echo(&f, &f.host, LONGEST_V4);
  tear_down(&f);
}

TEST(echo_ipv6_every_size) {
  fixture f;
  set_up(&f, "::1", AF_INET6, 0);
  check_echo(&f, &f.host, 0);
  check_echo(&f, &f.host, 1);
  check_echo(&f, &f.host, 1200);
  check_echo(&f, &f.host, LONGEST_V6);
  tear_down(&f);
}

TEST(echo_unbatched) {
  fixture f;
  set_up(&f, "127.0.0.1", AF_INET, UDPR_UDP_UNBATCHED);
  check_echo(&f, &f.host, 0);
  check_echo(&f, &f.host, LONGEST_V4);
  tear_down(&f);
}

TEST(echo_on_every_ipv4_address) {
  fixture f;
  set_up(&f, NULL, AF_INET, 0);
  udpr_addr to = addr("127.0.0.1", f.host.port);
  check_echo(&f, &to, 5);
  tear_down(&f);
}

TEST(the_next_write_after_message_too_long_works) {
  static const uint8_t big[LONGEST_V6 + 1];
  fixture              f;
  set_up(&f, "127.0.0.1", AF_INET, 0);
  udpr_addr to = peer_addr(f.peer);
  CHECK_STATUS(UDPR_E_MESSAGE_TOO_LONG, udpr_transport_write(f.transport, big, LONGEST_V4 + 1, &to));
  CHECK(peer_has_no_datagram(f.peer));
  OK(udpr_transport_write(f.transport, "next", 4, &to));
  PEER_RECEIVES(f.peer, "next");
  tear_down(&f);

  set_up(&f, "::1", AF_INET6, 0);
  to = peer_addr(f.peer);
  CHECK_STATUS(UDPR_E_MESSAGE_TOO_LONG, udpr_transport_write(f.transport, big, LONGEST_V6 + 1, &to));
  OK(udpr_transport_write(f.transport, "next", 4, &to));
  PEER_RECEIVES(f.peer, "next");
  tear_down(&f);
}

TEST(dual_stack_port_sees_mapped_senders) {
  fixture f;
  set_up(&f, "::", AF_INET, 0);
  udpr_addr to = addr("127.0.0.1", f.host.port), client = peer_addr(f.peer), mapped;
  check_echo(&f, &to, 3);
  OK(udpr_addr_map_v4(&client, &mapped));
  CHECK_ADDR(&mapped, &f.server.datagram.sender);

  int       v6 = peer_open(AF_INET6);
  udpr_addr v6_client = peer_addr(v6);
  to = addr("::1", f.host.port);
  peer_send(v6, &to, "six", 3);
  RUN_UNTIL(f.reactor, f.server.received == 2);
  CHECK_ADDR(&v6_client, &f.server.datagram.sender);
  PEER_RECEIVES(v6, "six");
  close(v6);
  tear_down(&f);
}

TEST(v6_only_port_does_not_use_ipv4) {
  fixture f;
  set_up(&f, "::", AF_INET6, UDPR_UDP_V6_ONLY);
  udpr_addr v4_host = addr("127.0.0.1", f.host.port), v6_host = addr("::1", f.host.port);

  int v4 = peer_open(AF_INET);
  peer_send(v4, &v4_host, "lost", 4);
  check_echo(&f, &v6_host, 3);
  CHECK_EQ(1, f.server.received);
  close(v4);

  echo            other = {0};
  udpr_protocol   protocol = echo_protocol(&other);
  udpr_transport *same_number = NULL;
  OK(udpr_reactor_listen_udp(f.reactor, f.host.port, "0.0.0.0", &protocol, NULL, &same_number));
  OK(udpr_transport_close(same_number));
  udpr_transport_release(same_number);
  tear_down(&f);
}

TEST(datagram_fields) {
  fixture f;
  set_up(&f, "127.0.0.1", AF_INET, 0);
  udpr_addr client = peer_addr(f.peer), unspec = {0};
  check_echo(&f, &f.host, 1200);
  const udpr_datagram *datagram = &f.server.datagram;
  CHECK(datagram->size >= sizeof *datagram);
  CHECK(datagram->data != NULL);
  CHECK_EQ(1200, datagram->len);
  CHECK_EQ(1200, datagram->full_len);
  CHECK_ADDR(&client, &datagram->sender);
  CHECK(memcmp(&unspec, &datagram->destination, sizeof unspec) == 0);
  CHECK_EQ(0, datagram->interface_index);
  CHECK_EQ(0, datagram->flags);
  CHECK_EQ(0, datagram->timestamp);
  CHECK_EQ(-1, datagram->tos);
  CHECK_EQ(-1, datagram->ttl);

  check_echo(&f, &f.host, 0);
  CHECK(datagram->data != NULL);
  CHECK_EQ(0, datagram->full_len);
  tear_down(&f);
}

/* All callbacks are optional. A port without any reads and discards datagrams. */
TEST(port_without_callbacks) {
  udpr_reactor   *reactor = new_reactor(0);
  udpr_protocol   protocol = {.size = sizeof protocol};
  udpr_transport *transport = listen_on(reactor, "127.0.0.1", &protocol, NULL);
  udpr_addr       host = host_of(transport);
  int             peer = peer_open(AF_INET);
  peer_send(peer, &host, "nobody looks", 12);
  RUN_UNTIL(reactor, stats_of(transport).datagrams_in == 1);
  OK(udpr_transport_close(transport));
  udpr_transport_release(transport);
  OK(udpr_reactor_free(reactor));
  close(peer);
}

/* The same inside run, which stop ends. */
static void echo_and_stop(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  send_back(transport, datagram, user);
  OK(udpr_reactor_stop(udpr_transport_reactor(transport)));
}

TEST(echo_inside_run) {
  echo          server = {0};
  udpr_reactor *reactor = new_reactor(0);
  udpr_protocol protocol = echo_protocol(&server);
  protocol.datagram_received = echo_and_stop;
  udpr_transport *transport = listen_on(reactor, "127.0.0.1", &protocol, NULL);
  udpr_addr       host = host_of(transport);
  int             peer = peer_open(AF_INET);
  peer_send(peer, &host, "Hello World!\n", 13);
  run_with_timeout(reactor);
  PEER_RECEIVES(peer, "Hello World!\n");
  CHECK_EQ(1, server.stopped);
  CHECK_EQ(1, server.freed);
  udpr_transport_release(transport);
  OK(udpr_reactor_free(reactor));
  close(peer);
}

CHECK_MAIN()
