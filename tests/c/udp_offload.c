/* Merged datagrams, as seen by the kernel and by real peers: UDP_SEGMENT (GSO) for sending, UDP_GRO for
 * receiving.
 */
#include "two_hosts.h"

#include <netinet/udp.h>
#include <sys/syscall.h>

/* ---- a sendmmsg that records messages ------------------------------------------------------------------ */

typedef struct sent_message {
  int      segment;          /* the value of UDP_SEGMENT, or 0 */
  int      control_messages; /* how many, of any kind */
  size_t   pieces, bytes;
  void    *first_piece; /* the address of the first iovec */
  unsigned to_len;
} sent_message;

static sent_message sent_messages[64]; /* in the order in which they were sent */
static int          sent_count, sendmmsg_calls, refusals;
static int          refuse_merged_with; /* the errno for messages with UDP_SEGMENT; 0 if they are sent */

static sent_message describe(struct msghdr *message) {
  sent_message one = {.pieces = message->msg_iovlen,
                      .first_piece = message->msg_iov[0].iov_base,
                      .to_len = message->msg_namelen};
  for (size_t i = 0; i < one.pieces; i++) one.bytes += message->msg_iov[i].iov_len;
  for (struct cmsghdr *item = CMSG_FIRSTHDR(message); item; item = CMSG_NXTHDR(message, item)) {
    uint16_t segment = 0;
    one.control_messages++;
    if (item->cmsg_level != IPPROTO_UDP || item->cmsg_type != UDP_SEGMENT) continue;
    CHECK_EQ(CMSG_LEN(sizeof segment), item->cmsg_len);
    memcpy(&segment, CMSG_DATA(item), sizeof segment);
    one.segment = segment;
  }
  return one;
}

/* Replaces the function of the C library. */
int sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags) {
  unsigned good = 0;
  sendmmsg_calls++;
  while (good < count && !(refuse_merged_with && describe(&messages[good].msg_hdr).segment > 0)) good++;
  if (good == 0) return refusals++, errno = refuse_merged_with, -1;
  int taken = (int)syscall(SYS_sendmmsg, fd, messages, good, flags);
  refusals += taken < 0;
  for (int i = 0; i < taken && sent_count < 64; i++)
    sent_messages[sent_count++] = describe(&messages[i].msg_hdr);
  return taken;
}

static void clear_sent(void) { sent_count = sendmmsg_calls = refusals = 0; }

/* ---- one port and two peers ---------------------------------------------------------------------------- */

typedef struct fixture {
  udpr_reactor   *reactor;
  udpr_transport *transport;
  int             peers[2];
  udpr_addr       to[2];
  void (*body)(struct fixture *);
  bool        done;
  size_t      largest, callbacks;
  const void *first_piece; /* of the first datagram received */
} fixture;

static void echo_one(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  ((fixture *)user)->callbacks++;
  OK(udpr_transport_write(transport, datagram->data, datagram->len, &datagram->sender));
}

static size_t echo_all(udpr_transport *transport, const udpr_datagram *const *datagrams, size_t count,
                       void *user) {
  fixture *f = user;
  if (count > f->largest) f->largest = count;
  for (size_t i = 0; i < count; i++) echo_one(transport, datagrams[i], user);
  return count;
}

static void set_up(fixture *f, uint32_t flags, bool batches) {
  *f = (fixture){.reactor = new_reactor(0), .peers = {peer_open(AF_INET), peer_open(AF_INET)}};
  udpr_protocol    protocol = {.size = sizeof protocol, .user = f};
  udpr_udp_options options = {.size = sizeof options, .flags = flags, .receive_buffer = 1 << 20};
  if (batches) protocol.datagrams_received = echo_all;
  else protocol.datagram_received = echo_one;
  f->transport = listen_on(f->reactor, "127.0.0.1", &protocol, &options);
  for (int i = 0; i < 2; i++) f->to[i] = peer_addr(f->peers[i]);
}

static void tear_down(fixture *f) {
  OK(udpr_transport_close(f->transport));
  udpr_transport_release(f->transport);
  OK(udpr_reactor_free(f->reactor));
  for (int i = 0; i < 2; i++) close(f->peers[i]);
}

static void call_body(udpr_reactor *reactor, void *user) {
  fixture *f = user;
  (void)reactor;
  f->body(f);
  f->done = true;
}

/* Calls `body` in a callback, and finishes that turn. */
static void in_callback(fixture *f, void (*body)(fixture *)) {
  f->body = body, f->done = false;
  OK(udpr_reactor_call_later(f->reactor, 0, call_body, f, NULL, NULL));
  RUN_UNTIL(f->reactor, f->done);
}

static void set_udp(int fd, int name, int value) {
  CHECK_EQ(0, setsockopt(fd, IPPROTO_UDP, name, &value, sizeof value));
}

static int get_udp(int fd, int name) {
  int       value = -1;
  socklen_t len = sizeof value;
  CHECK_EQ(0, getsockopt(fd, IPPROTO_UDP, name, &value, &len));
  return value;
}

static uint8_t payload[65536];

static void fill_payload(void) {
  for (size_t i = 0; i < sizeof payload; i++) payload[i] = (uint8_t)(i % 251);
}

/* `count` writes of `size` bytes each, which are adjacent in the payload. */
static void write_pieces(fixture *f, size_t count, size_t size, const udpr_addr *to) {
  for (size_t i = 0; i < count; i++) OK(udpr_transport_write(f->transport, payload + i * size, size, to));
}

static void check_pieces(int peer, size_t count, size_t size) {
  uint8_t got[2048];
  for (size_t i = 0; i < count; i++) {
    CHECK_EQ(size, peer_receive(peer, got, sizeof got));
    CHECK_EQ(0, memcmp(payload + i * size, got, size));
  }
  CHECK(peer_has_no_datagram(peer));
}

/* ---- sending ------------------------------------------------------------------------------------------- */

static void write_three_and_a_short_one(fixture *f) {
  write_pieces(f, 3, 100, &f->to[0]);
  OK(udpr_transport_write(f->transport, "short", 5, &f->to[0]));
}

TEST(adjacent_writes_are_one_message_with_one_iovec) {
  fixture f;
  set_up(&f, 0, false);
  in_callback(&f, write_three_and_a_short_one);
  CHECK_EQ(1, sendmmsg_calls);
  CHECK_EQ(1, sent_count);
  CHECK_EQ(100, sent_messages[0].segment);
  CHECK_EQ(305, sent_messages[0].bytes);
  CHECK_EQ(1, sent_messages[0].pieces);
  CHECK_EQ(1, sent_messages[0].control_messages);
  for (int i = 0; i < 3; i++) CHECK_EQ(100, peer_receive(f.peers[0], payload, sizeof payload));
  PEER_RECEIVES(f.peers[0], "short");
  CHECK_EQ(4, stats_of(f.transport).datagrams_out);
  CHECK_EQ(1, stats_of(f.transport).syscalls_out);
  tear_down(&f);
}

static void write_one_each(fixture *f) {
  for (int i = 0; i < 2; i++) write_pieces(f, 1, 100, &f->to[i]);
}

TEST(a_single_datagram_has_no_control_data) {
  fixture f;
  set_up(&f, 0, false);
  in_callback(&f, write_one_each);
  CHECK_EQ(1, sendmmsg_calls);
  CHECK_EQ(2, sent_count);
  for (int i = 0; i < 2; i++) CHECK_EQ(0, sent_messages[i].control_messages);
  for (int i = 0; i < 2; i++) check_pieces(f.peers[i], 1, 100);
  tear_down(&f);
}

static void write_alternating(fixture *f) {
  for (int i = 0; i < 10; i++)
    OK(udpr_transport_write(f->transport, payload + i / 2 * 100, 100, &f->to[i % 2]));
}

TEST(interleaved_destinations_are_one_message_each) {
  fixture f;
  fill_payload();
  set_up(&f, 0, false);
  in_callback(&f, write_alternating);
  CHECK_EQ(1, sendmmsg_calls);
  CHECK_EQ(2, sent_count);
  for (int i = 0; i < 2; i++) {
    CHECK_EQ(100, sent_messages[i].segment);
    CHECK_EQ(5, sent_messages[i].pieces);
    check_pieces(f.peers[i], 5, 100);
  }
  tear_down(&f);
}

static void write_to_the_peer(fixture *f) { write_pieces(f, 5, 100, NULL); }

TEST(a_connected_port_sends_no_destination) {
  fixture f;
  fill_payload();
  set_up(&f, 0, false);
  OK(udpr_transport_connect(f.transport, &f.to[1]));
  in_callback(&f, write_to_the_peer);
  CHECK_EQ(1, sent_count);
  CHECK_EQ(100, sent_messages[0].segment);
  CHECK_EQ(0, sent_messages[0].to_len);
  check_pieces(f.peers[1], 5, 100);
  tear_down(&f);
}

static void write_with_and_without_tos(fixture *f) {
  for (int i = 0; i < 4; i++) {
    udpr_message message = {.size = sizeof message, .data = payload, .len = 100, .to = &f->to[0]};
    if (i >= 2) message.flags = UDPR_MESSAGE_TOS, message.tos = 0xb8;
    size_t taken = 0;
    OK(udpr_transport_write_messages(f->transport, &message, 1, &taken));
  }
}

TEST(datagrams_with_different_control_data_are_not_merged) {
  fixture f;
  set_up(&f, 0, false);
  in_callback(&f, write_with_and_without_tos);
  CHECK_EQ(1, sendmmsg_calls);
  CHECK_EQ(2, sent_count);
  CHECK_EQ(1, sent_messages[0].control_messages);
  CHECK_EQ(2, sent_messages[1].control_messages);
  for (int i = 0; i < 2; i++) CHECK_EQ(100, sent_messages[i].segment);
  for (int i = 0; i < 4; i++) CHECK_EQ(100, peer_receive(f.peers[0], payload, sizeof payload));
  tear_down(&f);
}

TEST(no_offload_disables_gso_and_gro) {
  fixture f;
  fill_payload();
  set_up(&f, UDPR_UDP_NO_OFFLOAD, false);
  CHECK_EQ(0, get_udp(udpr_transport_fileno(f.transport), UDP_GRO));
  in_callback(&f, write_alternating);
  CHECK_EQ(1, sendmmsg_calls);
  CHECK_EQ(10, sent_count);
  for (int i = 0; i < 10; i++) CHECK_EQ(0, sent_messages[i].control_messages);
  for (int i = 0; i < 2; i++) check_pieces(f.peers[i], 5, 100);
  tear_down(&f);
}

TEST(timestamps_disable_gro_but_not_gso) {
  fixture f;
  fill_payload();
  set_up(&f, UDPR_UDP_TIMESTAMPS, false);
  CHECK_EQ(0, get_udp(udpr_transport_fileno(f.transport), UDP_GRO));
  in_callback(&f, write_alternating);
  CHECK_EQ(2, sent_count);
  for (int i = 0; i < 2; i++) check_pieces(f.peers[i], 5, 100);
  tear_down(&f);
}

/* ---- sending and receiving ----------------------------------------------------------------------------- */

/* 500 datagrams of 100 bytes, received in five merged messages, are echoed. */
static void echo_merged(bool batches) {
  static uint8_t got[65536];
  enum { MESSAGES = 5, BYTES = 10000 };
  fixture f;
  fill_payload();
  set_up(&f, 0, batches);
  udpr_addr host = host_of(f.transport);
  CHECK_EQ(1, get_udp(udpr_transport_fileno(f.transport), UDP_GRO));
  set_udp(f.peers[0], UDP_SEGMENT, 100);
  set_udp(f.peers[0], UDP_GRO, 1);
  for (int i = 0; i < MESSAGES; i++) peer_send(f.peers[0], &host, payload, BYTES);
  RUN_UNTIL(f.reactor, f.callbacks == 500);
  for (size_t at = 0, len; at < (size_t)MESSAGES * BYTES; at += len) {
    len = peer_receive(f.peers[0], got, sizeof got);
    CHECK_EQ(0, len % 100);
    for (size_t i = 0; i < len; i++) CHECK_EQ(payload[(at + i) % BYTES], got[i]);
  }
  CHECK(peer_has_no_datagram(f.peers[0]));
  CHECK_EQ(batches ? 256 : 0, f.largest);
  udpr_transport_stats stats = stats_of(f.transport);
  CHECK_EQ(500, stats.datagrams_in);
  CHECK_EQ(500, stats.datagrams_out);
  CHECK_EQ(1, stats.syscalls_in);
  CHECK(sent_count <= 5); /* each with up to 128 datagrams, and one more for the second batch */
  tear_down(&f);
}

TEST(merged_datagrams_are_split_for_datagram_received) { echo_merged(false); }
TEST(merged_datagrams_are_split_for_datagrams_received) { echo_merged(true); }

/* Forwards by write, and by a message with default options. */
static void forward(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  fixture     *f = user;
  udpr_message message = {.size = sizeof message,
                          .data = datagram->data,
                          .len = datagram->len,
                          .to = &f->to[1]};
  size_t       taken = 0;
  if (f->callbacks++ == 0) f->first_piece = datagram->data;
  OK(udpr_transport_write(transport, datagram->data, datagram->len, &datagram->sender));
  OK(udpr_transport_write_messages(transport, &message, 1, &taken));
}

/* Merged datagrams, the last of which is shorter, are forwarded to two peers, by write and by message. Each
 * peer is sent one message with one iovec.
 */
TEST(merged_datagrams_are_forwarded_without_a_copy) {
  enum { SIZE = 1000, COUNT = 20, LAST = 700 };
  fixture f;
  uint8_t got[2048];
  fill_payload();
  set_up(&f, 0, false);
  udpr_protocol   protocol = {.size = sizeof protocol, .user = &f, .datagram_received = forward};
  udpr_transport *relay = listen_on(f.reactor, "127.0.0.1", &protocol, NULL);
  udpr_addr       host = host_of(relay);
  for (size_t round = 1; round <= 3; round++) {
    clear_sent();
    f.callbacks = 0;
    set_udp(f.peers[0], UDP_SEGMENT, SIZE);
    peer_send(f.peers[0], &host, payload + round, (COUNT - 1) * SIZE + LAST);
    RUN_UNTIL(f.reactor, f.callbacks == COUNT && sent_count == 2);
    for (int i = 0; i < 2; i++) {
      CHECK_EQ(1, sent_messages[i].pieces);
      CHECK(f.first_piece == sent_messages[i].first_piece);
      for (size_t n = 0; n < COUNT; n++) {
        size_t len = n + 1 < COUNT ? SIZE : LAST;
        CHECK_EQ(len, peer_receive(f.peers[i], got, sizeof got));
        CHECK_EQ(0, memcmp(payload + round + n * SIZE, got, len));
      }
      CHECK(peer_has_no_datagram(f.peers[i]));
    }
  }
  OK(udpr_transport_close(relay));
  udpr_transport_release(relay);
  tear_down(&f);
}

/* ---- refused messages ---------------------------------------------------------------------------------- */

TEST(refused_merged_messages_are_sent_singly) {
  const int errors[] = {EIO, EINVAL, EMSGSIZE};
  for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
    fixture f;
    fill_payload();
    set_up(&f, 0, false);
    refuse_merged_with = errors[i];
    clear_sent();
    in_callback(&f, write_alternating);
    CHECK_EQ(10, sent_count);
    for (int peer = 0; peer < 2; peer++) check_pieces(f.peers[peer], 5, 100);
    int once = refusals;
    CHECK(once == 1 || once == 2);
    in_callback(&f, write_alternating);
    CHECK_EQ(once, refusals); /* merged messages are not tried again */
    for (int peer = 0; peer < 2; peer++) check_pieces(f.peers[peer], 5, 100);
    CHECK_EQ(0, stats_of(f.transport).dropped_out);
    CHECK_EQ(20, stats_of(f.transport).datagrams_out);
    tear_down(&f);
  }
}

static void write_above_the_mtu(fixture *f) { write_pieces(f, 5, 2000, &f->to[0]); }
static void write_below_the_mtu(fixture *f) { write_pieces(f, 5, 1400, &f->to[0]); }

static int open_far_socket(const char *host, int family) {
  struct sockaddr_storage local;
  struct timeval          patience = {.tv_sec = 5};
  udpr_addr               any = addr(host, 0);
  size_t                  len = 0;
  int                     fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  OK(udpr_addr_to_sockaddr(&any, &local, sizeof local, &len));
  CHECK_EQ(0, bind(fd, (struct sockaddr *)&local, (socklen_t)len));
  CHECK_EQ(0, setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience));
  return fd;
}

/* With a real device: a GSO segment must not exceed the MTU, but a single datagram is fragmented. */
static void check_small_mtu(const char *near, const char *far, int family) {
  two_hosts hosts;
  fixture   f;
  fill_payload();
  two_hosts_create(&hosts);
  set_up(&f, 0, false);
  udpr_transport *loopback = f.transport;
  udpr_protocol   protocol = {.size = sizeof protocol};
  f.transport = listen_on(f.reactor, near, &protocol, NULL);
  enter_far_host(&hosts);
  int far_peer = open_far_socket(far, family);
  enter_near_host(&hosts);
  f.to[0] = peer_addr(far_peer);
  in_callback(&f, write_above_the_mtu);
  CHECK_EQ(1, refusals);
  CHECK_EQ(5, sent_count);
  check_pieces(far_peer, 5, 2000);
  clear_sent();
  in_callback(&f, write_above_the_mtu);
  CHECK_EQ(0, refusals);
  check_pieces(far_peer, 5, 2000);
  clear_sent();
  in_callback(&f, write_below_the_mtu);
  CHECK_EQ(0, refusals);
  CHECK_EQ(1, sent_count);
  CHECK_EQ(1400, sent_messages[0].segment);
  check_pieces(far_peer, 5, 1400);
  CHECK_EQ(0, stats_of(f.transport).dropped_out);
  OK(udpr_transport_close(loopback));
  udpr_transport_release(loopback);
  tear_down(&f);
  close(far_peer);
  two_hosts_close(&hosts);
}

TEST(above_the_mtu_over_ipv4) { check_small_mtu("10.77.0.1", "10.77.0.2", AF_INET); }
TEST(above_the_mtu_over_ipv6) { check_small_mtu("fd77::1", "fd77::2", AF_INET6); }

CHECK_MAIN()
