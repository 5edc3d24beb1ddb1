/* A message with a segment_size: one buffer, sent as several datagrams. */
#include "check.h"

typedef struct fixture {
  udpr_reactor   *reactor;
  udpr_transport *transport;
  int             peer;
  udpr_addr       to;
  size_t          len; /* for write_segmented_call */
  uint32_t        segment;
} fixture;

static uint8_t data[200000];

static void set_up(fixture *f, uint32_t flags, uint32_t queue) {
  *f = (fixture){.reactor = new_reactor(0), .peer = peer_open(AF_INET)};
  udpr_protocol    protocol = {.size = sizeof protocol};
  udpr_udp_options options = {.size = sizeof options, .flags = flags, .send_queue_bytes = queue};
  int              room = 8 << 20;
  setsockopt(f->peer, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
  f->transport = listen_on(f->reactor, "127.0.0.1", &protocol, &options);
  f->to = peer_addr(f->peer);
  for (size_t i = 0; i < sizeof data; i++) data[i] = (uint8_t)(i * 7 + i / 251);
}

static void tear_down(fixture *f) {
  OK(udpr_transport_close(f->transport));
  udpr_transport_release(f->transport);
  OK(udpr_reactor_free(f->reactor));
  close(f->peer);
}

static udpr_status write_segmented(fixture *f, size_t len, uint32_t segment, uint32_t flags) {
  udpr_message message = {.size = sizeof message,
                          .data = data,
                          .len = len,
                          .to = &f->to,
                          .flags = flags,
                          .segment_size = segment};
  return udpr_transport_write_messages(f->transport, &message, 1, &(size_t){0});
}

static size_t pieces(size_t len, size_t segment) { return len == 0 ? 1 : (len + segment - 1) / segment; }

/* The peer receives everything in order, in segments of the expected length. */
static void check_peer_receives_segments(fixture *f, size_t len, size_t segment) {
  static uint8_t got[70000];
  for (size_t at = 0, i = 0; i < pieces(len, segment); i++, at += segment) {
    size_t due = len - at < segment ? len - at : segment;
    CHECK_EQ(due, peer_receive(f->peer, got, sizeof got));
    CHECK(memcmp(got, data + at, due) == 0);
  }
  CHECK(peer_has_no_datagram(f->peer));
}

static const size_t sizes[][2] = {{0, 10},        {1, 10},         {9, 10},       {10, 10},
                                  {11, 10},       {20, 10},        {1000, 1},     {65507, 1200},
                                  {65507, 65507}, {131014, 65507}, {100000, 400}, {200000, 1472}};
enum { SIZES = sizeof sizes / sizeof *sizes };

TEST(every_size_outside_of_callbacks) {
  fixture f;
  set_up(&f, 0, 0);
  for (int i = 0; i < SIZES; i++) {
    OK(write_segmented(&f, sizes[i][0], (uint32_t)sizes[i][1], 0));
    check_peer_receives_segments(&f, sizes[i][0], sizes[i][1]);
  }
  tear_down(&f);
}

TEST(every_size_unbatched) {
  fixture f;
  set_up(&f, UDPR_UDP_UNBATCHED, 0);
  for (int i = 0; i < SIZES; i++) {
    OK(write_segmented(&f, sizes[i][0], (uint32_t)sizes[i][1], UDPR_MESSAGE_NOW));
    check_peer_receives_segments(&f, sizes[i][0], sizes[i][1]);
  }
  tear_down(&f);
}

static void write_segmented_call(udpr_reactor *reactor, void *user) {
  (void)reactor;
  fixture *f = user;
  OK(write_segmented(f, f->len, f->segment, 0));
}

TEST(every_size_batched) {
  fixture f;
  set_up(&f, 0, 0);
  for (int i = 0; i < SIZES; i++) {
    f.len = sizes[i][0], f.segment = (uint32_t)sizes[i][1];
    OK(udpr_reactor_call_later(f.reactor, 0, write_segmented_call, &f, NULL, NULL));
    RUN_UNTIL(f.reactor, !peer_has_no_datagram(f.peer));
    check_peer_receives_segments(&f, f.len, f.segment);
  }
  tear_down(&f);
}

TEST(segments_of_one_message_are_sent_together) {
  fixture f;
  set_up(&f, 0, 0);
  OK(write_segmented(&f, 12000, 1200, 0));
  check_peer_receives_segments(&f, 12000, 1200);
  udpr_transport_stats stats = stats_of(f.transport);
  CHECK_EQ(1, stats.syscalls_out);
  CHECK_EQ(10, stats.datagrams_out);
  CHECK_EQ(12000, stats.bytes_out);
  tear_down(&f);
}

TEST(a_segment_is_no_longer_than_a_datagram) {
  fixture f;
  set_up(&f, 0, 0);
  CHECK_STATUS(UDPR_E_MESSAGE_TOO_LONG, write_segmented(&f, 65508, 65508, 0));
  CHECK_STATUS(UDPR_E_MESSAGE_TOO_LONG, write_segmented(&f, 140000, 65508, 0));
  CHECK_STATUS(UDPR_E_MESSAGE_TOO_LONG, write_segmented(&f, 65508, 0, 0));
  OK(write_segmented(&f, 100, UINT32_MAX, 0)); /* longer than the message */
  check_peer_receives_segments(&f, 100, 100);
  f.to.port = 0;
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, write_segmented(&f, 12000, 1200, 0));
  CHECK_EQ(1, stats_of(f.transport).datagrams_out);
  tear_down(&f);
}

/* Each segment has the TOS of the message. */
TEST(segments_have_the_tos_of_the_message) {
  fixture f;
  int     on = 1;
  set_up(&f, 0, 0);
  CHECK_EQ(0, setsockopt(f.peer, IPPROTO_IP, IP_RECVTOS, &on, sizeof on));
  udpr_message message = {.size = sizeof message,
                          .data = data,
                          .len = 25,
                          .to = &f.to,
                          .flags = UDPR_MESSAGE_TOS,
                          .tos = 0xb9,
                          .segment_size = 10};
  OK(udpr_transport_write_messages(f.transport, &message, 1, &(size_t){0}));
  for (int i = 0; i < 3; i++) {
    char          bytes[64], control[64];
    struct iovec  vector = {bytes, sizeof bytes};
    struct msghdr header = {.msg_iov = &vector,
                            .msg_iovlen = 1,
                            .msg_control = control,
                            .msg_controllen = 64};
    CHECK_EQ(i < 2 ? 10 : 5, recvmsg(f.peer, &header, 0));
    struct cmsghdr *item = CMSG_FIRSTHDR(&header);
    CHECK(item && item->cmsg_type == IP_TOS && *CMSG_DATA(item) == 0xb9);
  }
  tear_down(&f);
}

CHECK_MAIN()
