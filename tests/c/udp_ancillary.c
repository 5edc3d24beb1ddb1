/* TOS, TTL and kernel timestamps of received datagrams, TOS of sent messages, and DONT_FRAGMENT: on IPv4,
 * IPv6 and dual-stack ports.
 */
#include "recorder.h"
#include "two_hosts.h"

enum { ALL_FACTS = UDPR_UDP_TOS | UDPR_UDP_TTL | UDPR_UDP_TIMESTAMPS };

static udpr_status write_with_tos(udpr_transport *from, const char *text, const udpr_addr *to, int tos) {
  udpr_message message = {.size = sizeof message, .data = text, .len = strlen(text), .to = to};
  if (tos >= 0) message.flags = UDPR_MESSAGE_TOS, message.tos = (uint32_t)tos;
  return udpr_transport_write_messages(from, &message, 1, &(size_t){0});
}

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

typedef struct fixture {
  udpr_reactor *reactor;
  recorder      port, sender;
  udpr_addr     to;
} fixture;

static void set_up(fixture *f, const route *way, uint32_t flags) {
  *f = (fixture){.reactor = new_reactor(0)};
  recorder_listen(&f->port, f->reactor, way->on, 0, flags);
  recorder_listen(&f->sender, f->reactor, way->from, 0, 0);
  f->to = addr(way->to, f->port.host.port);
}

static void tear_down(fixture *f) {
  recorder_close(&f->port);
  recorder_close(&f->sender);
  OK(udpr_reactor_free(f->reactor));
}

/* All eight bits, including ECN. */
TEST(tos_out_and_in) {
  static const int values[] = {0, 1, 2, 3, 0xb8, 0xbb, 0xff, -1};
  for (int way = 0; way < ROUTES; way++) {
    fixture f;
    set_up(&f, &routes[way], UDPR_UDP_TOS);
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
      OK(write_with_tos(f.sender.transport, "tos", &f.to, values[i]));
      const udpr_datagram *datagram = &recorder_expect(f.reactor, &f.port, "tos")->datagram;
      CHECK_EQ(values[i] < 0 ? 0 : values[i], datagram->tos);
      CHECK_EQ(-1, datagram->ttl);
      CHECK_EQ(0, datagram->timestamp);
    }
    CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, write_with_tos(f.sender.transport, "x", &f.to, 256));
    tear_down(&f);
  }
}

/* A message's TOS is only for that message. The socket's is set like any option. */
TEST(tos_of_the_socket) {
  fixture f;
  int     tos = 0x28;
  set_up(&f, &routes[0], UDPR_UDP_TOS);
  OK(udpr_transport_set_option(f.sender.transport, IPPROTO_IP, IP_TOS, &tos, sizeof tos));
  OK(write_with_tos(f.sender.transport, "socket", &f.to, -1));
  CHECK_EQ(0x28, recorder_expect(f.reactor, &f.port, "socket")->datagram.tos);
  OK(write_with_tos(f.sender.transport, "message", &f.to, 0xb8));
  CHECK_EQ(0xb8, recorder_expect(f.reactor, &f.port, "message")->datagram.tos);
  OK(write_with_tos(f.sender.transport, "again", &f.to, -1));
  CHECK_EQ(0x28, recorder_expect(f.reactor, &f.port, "again")->datagram.tos);
  tear_down(&f);
}

TEST(ttl_in) {
  for (int way = 0; way < ROUTES; way++) {
    fixture  f;
    uint32_t ttl = 0;
    set_up(&f, &routes[way], UDPR_UDP_TTL);
    for (int value = 1; value < 256; value += 127) {
      OK(udpr_transport_set_unicast_ttl(f.sender.transport, (uint32_t)value));
      OK(udpr_transport_get_unicast_ttl(f.sender.transport, &ttl));
      CHECK_EQ(value, ttl);
      OK(write_with_tos(f.sender.transport, "ttl", &f.to, -1));
      const udpr_datagram *datagram = &recorder_expect(f.reactor, &f.port, "ttl")->datagram;
      CHECK_EQ(value, datagram->ttl);
      CHECK_EQ(-1, datagram->tos);
    }
    CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_transport_set_unicast_ttl(f.sender.transport, 0));
    CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_transport_set_unicast_ttl(f.sender.transport, 256));
    OK(udpr_transport_get_unicast_ttl(f.sender.transport, &ttl));
    CHECK_EQ(255, ttl);
    tear_down(&f);
  }
}

static uint64_t real_time(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return SECONDS(now.tv_sec) + (uint64_t)now.tv_nsec;
}

/* The kernel's timestamp is the time of arrival, however late the datagram is read. */
TEST(timestamps_are_the_time_of_arrival) {
  for (int way = 0; way < ROUTES; way++) {
    fixture f;
    set_up(&f, &routes[way], UDPR_UDP_TIMESTAMPS);
    /* The kernel enables timestamps for the whole host a moment later. Until then it uses the time of the
     * read.
     */
    udpr_ns end = monotonic_ns() + CHECK_TIMEOUT;
    for (bool stamped = false; !stamped;) {
      CHECK(monotonic_ns() < end);
      f.port.count = f.port.taken = 0;
      uint64_t before = real_time();
      OK(write_with_tos(f.sender.transport, "stamp", &f.to, -1));
      uint64_t        after = real_time();
      struct timespec pause = {.tv_nsec = 1000000};
      nanosleep(&pause, NULL);
      uint64_t stamp = recorder_expect(f.reactor, &f.port, "stamp")->datagram.timestamp;
      CHECK(stamp >= before);
      stamped = stamp <= after;
    }
    tear_down(&f);
  }
}

TEST(all_metadata_at_once) {
  for (int way = 0; way < ROUTES; way++) {
    fixture f;
    set_up(&f, &routes[way], ALL_FACTS | UDPR_UDP_PACKET_INFO);
    OK(write_with_tos(f.sender.transport, "all", &f.to, 0x2a));
    const udpr_datagram *datagram = &recorder_expect(f.reactor, &f.port, "all")->datagram;
    CHECK_EQ(0x2a, datagram->tos);
    CHECK_EQ(64, datagram->ttl);
    CHECK(datagram->timestamp != 0);
    CHECK_EQ(interface_index(LOOPBACK), datagram->interface_index);
    CHECK_EQ(f.port.host.port, datagram->destination.port);
    CHECK_EQ(f.port.host.family, datagram->destination.family);
    tear_down(&f);
  }
}

/* Metadata is kept together with kept datagrams. */
static void received_once(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  recorder_received(transport, datagram, user);
  OK(udpr_transport_pause_reading(transport));
}

TEST(kept_datagrams_keep_their_metadata) {
  udpr_reactor    *reactor = new_reactor(0);
  recorder         port = {0}, sender;
  udpr_protocol    protocol = {.size = sizeof protocol, .user = &port, .datagram_received = received_once};
  udpr_udp_options options = {.size = sizeof options, .flags = UDPR_UDP_TOS};
  port.transport = listen_on(reactor, "127.0.0.1", &protocol, &options);
  port.host = host_of(port.transport);
  recorder_listen(&sender, reactor, "127.0.0.1", 0, 0);
  for (int i = 0; i < 3; i++) OK(write_with_tos(sender.transport, "kept", &port.host, i + 1));
  for (int i = 0; i < 3; i++) {
    CHECK_EQ(i + 1, recorder_expect(reactor, &port, "kept")->datagram.tos);
    OK(udpr_transport_resume_reading(port.transport));
  }
  recorder_close(&port);
  recorder_close(&sender);
  OK(udpr_reactor_free(reactor));
}

/* The veth pair has an MTU of 1500: longer datagrams are fragmented or refused. */
static udpr_status send_large(udpr_transport *from, const udpr_addr *to) {
  static char  data[2000];
  udpr_message message = {.size = sizeof message, .data = data, .len = sizeof data, .to = to};
  return udpr_transport_write_messages(from, &message, 1, &(size_t){0});
}

TEST(dont_fragment) {
  static const char *const ways[][2] = {{"0.0.0.0", "10.77.0.2"},
                                        {"::", "fd77::2"},
                                        {"::", "::ffff:10.77.0.2"}};
  two_hosts                hosts;
  two_hosts_create(&hosts);
  udpr_reactor *reactor = new_reactor(0);
  for (int way = 0; way < 3; way++) {
    recorder  free_port, strict;
    udpr_addr to = addr(ways[way][1], 9);
    recorder_listen(&free_port, reactor, ways[way][0], 0, 0);
    recorder_listen(&strict, reactor, ways[way][0], 0, UDPR_UDP_DONT_FRAGMENT);
    OK(send_large(free_port.transport, &to));
    CHECK_STATUS(UDPR_E_MESSAGE_TOO_LONG, send_large(strict.transport, &to));
    write_text(strict.transport, "small", &to);
    recorder_close(&free_port);
    recorder_close(&strict);
  }
  OK(udpr_reactor_free(reactor));
  two_hosts_close(&hosts);
}

CHECK_MAIN()
