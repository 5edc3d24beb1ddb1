/* Invalid numbers: every value outside of each enum, every bit that is not a flag, sizes and ranges, and
 * structs of older and newer headers. A refused call has no effect, and frees its user before it returns.
 */
#include "check.h"

#include <fcntl.h>
#include <net/if.h>

static atomic_int freed;

static void check_freed_once(int before) { CHECK_EQ(before + 1, freed); }

/* ---- options: flags, sizes ------------------------------------------------------------------------------- */

static udpr_status new_with(udpr_reactor_options options) {
  udpr_reactor *reactor = NULL;
  options.size = sizeof options;
  udpr_status status = udpr_reactor_new(&options, &reactor);
  CHECK((status == UDPR_OK) == (reactor != NULL));
  OK(udpr_reactor_free(reactor));
  return status;
}

enum { DEFAULT_QUEUE = 1 << 20 };

static udpr_status listen_with(udpr_reactor *reactor, udpr_udp_options options) {
  udpr_protocol protocol = {.size = sizeof protocol, .user = &freed, .free_user = count_free};
  int           before = freed;
  options.size = sizeof options;
  udpr_transport *transport = NULL;
  udpr_status     status = udpr_reactor_listen_udp(reactor, 0, "127.0.0.1", &protocol, &options, &transport);
  CHECK((status == UDPR_OK) == (transport != NULL));
  if (transport) OK(udpr_transport_close(transport));
  udpr_transport_release(transport);
  check_freed_once(before);
  return status;
}

static udpr_status adopt_with(udpr_reactor *reactor, uint16_t family, udpr_udp_options options) {
  udpr_protocol protocol = {.size = sizeof protocol, .user = &freed, .free_user = count_free};
  int           before = freed, fd = peer_open(AF_INET);
  options.size = sizeof options;
  udpr_transport *transport = NULL;
  udpr_status status = udpr_reactor_adopt_datagram_port(reactor, fd, family, &protocol, &options, &transport);
  CHECK((status == UDPR_OK) == (transport != NULL));
  if (transport) OK(udpr_transport_close(transport));
  udpr_transport_release(transport);
  if (!(options.flags & UDPR_UDP_TAKE_FD)) CHECK_EQ(0, close(fd));
  check_freed_once(before);
  return status;
}

/* Each bit on its own: the values of udpr_reactor_flag are accepted, any other bit is from a later header. */
TEST(reactor_flags) {
  for (int bit = 0; bit < 32; bit++) {
    bool known = (uint32_t)1 << bit <= UDPR_REACTOR_PINNED;
    CHECK_STATUS(known ? UDPR_OK : UDPR_E_VERSION,
                 new_with((udpr_reactor_options){.flags = (uint32_t)1 << bit}));
  }
  CHECK_STATUS(UDPR_E_VERSION, new_with((udpr_reactor_options){.flags = UINT32_MAX}));
}

TEST(thread_pool_sizes) {
  OK(new_with((udpr_reactor_options){.thread_pool_size = 1024}));
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, new_with((udpr_reactor_options){.thread_pool_size = 1025}));
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, new_with((udpr_reactor_options){.thread_pool_size = UINT32_MAX}));
  udpr_reactor *reactor = new_reactor(0);
  OK(udpr_reactor_suggest_thread_pool_size(reactor, 1024));
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_reactor_suggest_thread_pool_size(reactor, 1025));
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_reactor_suggest_thread_pool_size(reactor, UINT32_MAX));
  OK(udpr_reactor_free(reactor));
}

/* Flags that are valid only for the other way of making a port are not version errors. */
TEST(udp_flags) {
  const uint32_t adopts = UDPR_UDP_OFFLOAD | UDPR_UDP_TAKE_FD,
                 before_bind = UDPR_UDP_LISTEN_MULTIPLE | UDPR_UDP_REUSE_ADDRESS | UDPR_UDP_REUSE_PORT |
                               UDPR_UDP_V6_ONLY;
  udpr_reactor *reactor = new_reactor(0);
  for (int bit = 0; bit < 32; bit++) {
    uint32_t    flag = (uint32_t)1 << bit;
    udpr_status unknown = flag <= UDPR_UDP_TAKE_FD ? UDPR_OK : UDPR_E_VERSION;
    CHECK_STATUS(flag & adopts ? UDPR_E_INVALID_ARGUMENT : unknown,
                 listen_with(reactor, (udpr_udp_options){.flags = flag}));
    CHECK_STATUS(flag & before_bind ? UDPR_E_INVALID_ARGUMENT : unknown,
                 adopt_with(reactor, UDPR_AF_UNSPEC, (udpr_udp_options){.flags = flag}));
  }
  CHECK_STATUS(UDPR_E_VERSION, listen_with(reactor, (udpr_udp_options){.flags = UINT32_MAX}));
  CHECK_STATUS(UDPR_E_VERSION, adopt_with(reactor, UDPR_AF_UNSPEC, (udpr_udp_options){.flags = UINT32_MAX}));
  OK(udpr_reactor_free(reactor));
}

TEST(udp_sizes) {
  udpr_reactor *reactor = new_reactor(0);
  OK(listen_with(reactor, (udpr_udp_options){.max_packet_size = 65535}));
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, listen_with(reactor, (udpr_udp_options){.max_packet_size = 65536}));
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT,
               listen_with(reactor, (udpr_udp_options){.max_packet_size = UINT32_MAX}));
  OK(listen_with(reactor, (udpr_udp_options){.receive_buffer = INT32_MAX, .send_buffer = INT32_MAX}));
  OK(listen_with(reactor, (udpr_udp_options){.receive_buffer = 1, .send_buffer = 1, .max_packet_size = 1}));
  OK(listen_with(reactor, (udpr_udp_options){.send_queue_bytes = 1}));
  OK(listen_with(reactor, (udpr_udp_options){.send_queue_bytes = UINT32_MAX}));
  OK(listen_with(reactor, (udpr_udp_options){.write_ready_bytes = DEFAULT_QUEUE - 1}));
  OK(listen_with(reactor, (udpr_udp_options){.send_queue_bytes = 100, .write_ready_bytes = 99}));
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT,
               listen_with(reactor, (udpr_udp_options){.write_ready_bytes = DEFAULT_QUEUE}));
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT,
               listen_with(reactor, (udpr_udp_options){.send_queue_bytes = 100, .write_ready_bytes = 100}));
  const uint32_t too_large[] = {(uint32_t)INT32_MAX + 1, UINT32_MAX};
  for (int i = 0; i < 2; i++) {
    CHECK_STATUS(UDPR_E_INVALID_ARGUMENT,
                 listen_with(reactor, (udpr_udp_options){.receive_buffer = too_large[i]}));
    CHECK_STATUS(UDPR_E_INVALID_ARGUMENT,
                 listen_with(reactor, (udpr_udp_options){.send_buffer = too_large[i]}));
  }
  CHECK_STATUS(UDPR_E_VERSION, listen_with(reactor, (udpr_udp_options){.reserved = 1}));
  OK(udpr_reactor_free(reactor));
}

TEST(message_flags_and_tos) {
  udpr_reactor   *reactor = new_reactor(0);
  udpr_protocol   protocol = {.size = sizeof protocol};
  udpr_transport *transport = listen_on(reactor, "127.0.0.1", &protocol, NULL);
  udpr_addr       to = addr("127.0.0.1", 9);
  size_t          taken;
  for (int bit = 0; bit < 32; bit++) {
    udpr_message message = {.size = sizeof message, .to = &to, .flags = (uint32_t)1 << bit};
    message.ttl = message.flags == UDPR_MESSAGE_TTL;
    CHECK_STATUS(message.flags <= UDPR_MESSAGE_SEND_AT ? UDPR_OK : UDPR_E_VERSION,
                 udpr_transport_write_messages(transport, &message, 1, &taken));
  }
  for (uint32_t tos = 0; tos < 600; tos++) {
    udpr_message message = {.size = sizeof message, .to = &to, .flags = UDPR_MESSAGE_TOS, .tos = tos};
    CHECK_STATUS(tos <= 255 ? UDPR_OK : UDPR_E_INVALID_ARGUMENT,
                 udpr_transport_write_messages(transport, &message, 1, &taken));
  }
  udpr_transport_release(transport);
  OK(udpr_reactor_free(reactor));
}

TEST(messages) {
  udpr_reactor   *reactor = new_reactor(0);
  udpr_protocol   protocol = {.size = sizeof protocol};
  udpr_transport *transport = listen_on(reactor, "127.0.0.1", &protocol, NULL);
  udpr_addr       to = addr("127.0.0.1", 9);
  udpr_bytes      piece = {"x", 1};
  const struct {
    udpr_status  status;
    udpr_message message;
  } wrong[] = {
      {UDPR_E_VERSION, {.reserved = 1}},
      {UDPR_E_VERSION, {.reserved_2 = 1}},
      {UDPR_E_INVALID_ARGUMENT, {.ttl = 1}},
      {UDPR_E_INVALID_ARGUMENT, {.send_at = 1}},
      {UDPR_E_INVALID_ARGUMENT, {.pieces = &piece}},
      {UDPR_E_INVALID_ARGUMENT, {.piece_count = 1}},
      {UDPR_E_INVALID_ARGUMENT, {.flags = UDPR_MESSAGE_TTL}},
      {UDPR_E_INVALID_ARGUMENT, {.flags = UDPR_MESSAGE_TTL, .ttl = 256}},
      {UDPR_E_INVALID_ARGUMENT, {.flags = UDPR_MESSAGE_SEND_AT, .send_at = (udpr_ns)INT64_MAX + 1}},
      {UDPR_E_INVALID_ARGUMENT, {.flags = UDPR_MESSAGE_SEND_AT, .send_at = UDPR_NEVER}},
      {UDPR_E_INVALID_ARGUMENT, {.flags = UDPR_MESSAGE_PIECES, .piece_count = 1}},
      {UDPR_E_INVALID_ARGUMENT, {.flags = UDPR_MESSAGE_PIECES, .data = "x"}},
      {UDPR_E_INVALID_ARGUMENT, {.flags = UDPR_MESSAGE_PIECES, .len = 1}},
  };
  for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
    udpr_message message = wrong[i].message;
    message.size = sizeof message, message.to = &to;
    CHECK_STATUS(wrong[i].status, udpr_transport_write_messages(transport, &message, 1, &(size_t){0}));
    CHECK_STATUS(wrong[i].status, udpr_transport_post_message(transport, &message));
  }
  CHECK_EQ(0, stats_of(transport).datagrams_out);
  udpr_transport_release(transport);
  OK(udpr_reactor_free(reactor));
}

/* Instants of a manual clock are not the kernel's. */
TEST(send_at_with_a_manual_clock) {
  udpr_reactor   *reactor = new_reactor(UDPR_REACTOR_MANUAL_CLOCK);
  udpr_protocol   protocol = {.size = sizeof protocol};
  udpr_transport *transport = listen_on(reactor, "127.0.0.1", &protocol, NULL);
  udpr_addr       to = addr("127.0.0.1", 9);
  udpr_message    message = {.size = sizeof message, .to = &to, .flags = UDPR_MESSAGE_SEND_AT};
  CHECK_STATUS(UDPR_E_NOT_SUPPORTED, udpr_transport_write_messages(transport, &message, 1, &(size_t){0}));
  CHECK_STATUS(UDPR_E_NOT_SUPPORTED, udpr_transport_post_message(transport, &message));
  udpr_transport_release(transport);
  OK(udpr_reactor_free(reactor));
}

TEST(device_names) {
  static char   longest[IFNAMSIZ + 1], endless[100000];
  udpr_reactor *reactor = new_reactor(0);
  memset(longest, 'x', IFNAMSIZ);
  memset(endless, 'l', sizeof endless - 1);
  const char *names[] = {"", "no such", longest, endless, "lo:0", "\xff\xfe"};
  for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    CHECK_STATUS(UDPR_E_NO_INTERFACE, listen_with(reactor, (udpr_udp_options){.bind_device = names[i]}));
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT,
               adopt_with(reactor, UDPR_AF_UNSPEC, (udpr_udp_options){.bind_device = "lo"}));
  OK(udpr_reactor_free(reactor));
}

/* ---- enums ----------------------------------------------------------------------------------------------- */

static void        ran(udpr_reactor *reactor, void *user) { (void)reactor, (void)user; }
static udpr_status trigger_fired(udpr_reactor *reactor, udpr_id id, void *user) {
  (void)reactor, (void)id, (void)user;
  return UDPR_OK;
}
static void watch_called(udpr_reactor *reactor, udpr_id id, udpr_socket fd, uint32_t events, void *user) {
  (void)reactor, (void)id, (void)fd, (void)events, (void)user;
}
static void resolved(udpr_reactor *reactor, udpr_id id, udpr_status status, const udpr_addr *addrs,
                     size_t count, void *user) {
  (void)reactor, (void)id, (void)status, (void)addrs, (void)count, (void)user;
}
static void logged(const udpr_log_record *record, void *user) { (void)record, (void)user; }

/* A few hundred integers: the smallest, the largest, and each power of two with its neighbours. */
#define EVERY_U32(name)                                                                               \
  for (uint64_t at_ = 0; at_ < 3 * 33 + 16; at_++)                                                    \
    for (uint32_t name = at_ < 16 ? (uint32_t)at_                                                     \
                                  : (uint32_t)((UINT64_C(1) << (at_ - 16) / 3) + (at_ - 16) % 3 - 1), \
                  once_ = 1;                                                                          \
         once_; once_ = 0)

/* udpr_phase_code, udpr_event_code, udpr_log_code */
TEST(phases_events_and_levels) {
  udpr_reactor *reactor = new_reactor(0);
  EVERY_U32(value) {
    int         before = freed;
    udpr_id     id = 0;
    udpr_status phase = value <= UDPR_PHASE_AFTER ? UDPR_OK : UDPR_E_INVALID_ARGUMENT,
                event = value <= UDPR_EVENT_SHUTDOWN ? UDPR_OK : UDPR_E_INVALID_ARGUMENT,
                level = value <= UDPR_LOG_DEBUG ? UDPR_OK : UDPR_E_INVALID_ARGUMENT;
    CHECK_STATUS(phase, udpr_reactor_add_trigger(reactor, value, UDPR_EVENT_STARTUP, trigger_fired, &freed,
                                                 count_free, &id));
    if (phase == UDPR_OK) OK(udpr_reactor_remove_trigger(reactor, id));
    check_freed_once(before++);
    CHECK_STATUS(event, udpr_reactor_add_trigger(reactor, UDPR_PHASE_BEFORE, value, trigger_fired, &freed,
                                                 count_free, &id));
    if (event == UDPR_OK) OK(udpr_reactor_remove_trigger(reactor, id));
    check_freed_once(before++);
    CHECK_STATUS(event, udpr_reactor_fire_event(reactor, value));
    CHECK_STATUS(level, udpr_reactor_set_logger(reactor, value, logged, &freed, count_free));
    check_set_logger(reactor);
    check_freed_once(before);
  }
  OK(udpr_reactor_free(reactor));
}

/* udpr_watch_flag */
TEST(watch_events) {
  udpr_reactor *reactor = new_reactor(0);
  int           ends[2];
  udpr_id       watched = 0;
  CHECK(pipe(ends) == 0);
  OK(udpr_reactor_watch(reactor, ends[1], UDPR_WATCH_HANGUP, watch_called, NULL, NULL, &watched));
  EVERY_U32(value) {
    int         before = freed;
    udpr_id     id = 0;
    udpr_status expected = value && value <= 7 ? UDPR_OK : UDPR_E_INVALID_ARGUMENT;
    CHECK_STATUS(expected,
                 udpr_reactor_watch(reactor, ends[0], value, watch_called, &freed, count_free, &id));
    if (id) OK(udpr_reactor_unwatch(reactor, id));
    check_freed_once(before);
    CHECK_STATUS(expected, udpr_reactor_change_watch(reactor, watched, value));
  }
  OK(udpr_reactor_free(reactor));
  close(ends[0]), close(ends[1]);
}

static bool is_family(uint32_t family) { return family == UDPR_AF_INET || family == UDPR_AF_INET6; }

/* udpr_family_code: every 16-bit number, in each parameter for an address or a family. */
TEST(families) {
  udpr_reactor   *reactor = new_reactor(0);
  udpr_protocol   protocol = {.size = sizeof protocol};
  udpr_transport *transport = listen_on(reactor, "127.0.0.1", &protocol, NULL);
  udpr_addr       good = addr("127.0.0.1", 9), group = addr("228.0.0.5", 0), out;
  char            text[UDPR_ADDR_TEXT_MAX], raw[128];
  for (uint32_t family = 0; family <= UINT16_MAX; family++) {
    udpr_addr    one = good, many = group;
    udpr_message message = {.size = sizeof message, .data = "x", .len = 1, .to = &good, .source = &one};
    size_t       len, taken;
    int          before = freed;
    one.family = many.family = (uint16_t)family;
    if (family == UDPR_AF_UNSPEC || is_family(family)) continue;
    CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_addr_format(&one, text, sizeof text, &len));
    CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_addr_to_sockaddr(&one, raw, sizeof raw, &len));
    CHECK_STATUS(UDPR_E_ADDRESS_FAMILY, udpr_addr_map_v4(&one, &out));
    CHECK_STATUS(UDPR_E_ADDRESS_FAMILY, udpr_addr_unmap_v4(&one, &out));
    CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_transport_write(transport, "x", 1, &one));
    CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_transport_post(transport, "x", 1, &one));
    CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_transport_connect(transport, &one));
    CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_transport_write_messages(transport, &message, 1, &taken));
    CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_transport_join_group(transport, &many, 0));
    CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_transport_leave_group(transport, &many, 0));
    CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_transport_join_source_group(transport, &group, &one, 0));
    CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_transport_leave_source_group(transport, &group, &one, 0));
    CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_reactor_resolve(reactor, "localhost", 1, (uint16_t)family, 0,
                                                               resolved, &freed, count_free, NULL));
    check_freed_once(before);
    if (family < 256)
      CHECK_STATUS(UDPR_E_INVALID_ARGUMENT,
                   adopt_with(reactor, (uint16_t)family, (udpr_udp_options){.flags = 0}));
  }
  CHECK_EQ(0, stats_of(transport).datagrams_out);
  udpr_transport_release(transport);
  OK(udpr_reactor_free(reactor));
}

TEST(reserved_words_of_addresses) {
  udpr_reactor   *reactor = new_reactor(0);
  udpr_protocol   protocol = {.size = sizeof protocol};
  udpr_transport *transport = listen_on(reactor, "127.0.0.1", &protocol, NULL);
  udpr_addr       later = addr("127.0.0.1", 9), group = addr("228.0.0.5", 0);
  char            text[UDPR_ADDR_TEXT_MAX];
  later.reserved = group.reserved = 1;
  CHECK_STATUS(UDPR_E_VERSION, udpr_addr_format(&later, text, sizeof text, NULL));
  CHECK_STATUS(UDPR_E_VERSION, udpr_transport_write(transport, "x", 1, &later));
  CHECK_STATUS(UDPR_E_VERSION, udpr_transport_post(transport, "x", 1, &later));
  CHECK_STATUS(UDPR_E_VERSION, udpr_transport_connect(transport, &later));
  CHECK_STATUS(UDPR_E_VERSION, udpr_transport_join_group(transport, &group, 0));
  udpr_transport_release(transport);
  OK(udpr_reactor_free(reactor));
}

/* Any integer has a status name, and any id may be looked up. */
TEST(statuses_and_ids) {
  udpr_reactor *reactor = new_reactor(0);
  EVERY_U32(value) {
    udpr_id ids[] = {value, (udpr_id)value << 32, ~(udpr_id)value};
    CHECK(*udpr_status_name((udpr_status)value) && *udpr_status_message((udpr_status)value));
    CHECK(udpr_status_errno((udpr_status)value) >= 0);
    for (int i = 0; i < 3; i++) {
      udpr_ns due;
      CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_cancel_call(reactor, ids[i]));
      CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_reset_call(reactor, ids[i], 0));
      CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_reset_call_at(reactor, ids[i], 0));
      CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_delay_call(reactor, ids[i], 0));
      CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_call_time(reactor, ids[i], &due));
      CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_unwatch(reactor, ids[i]));
      CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_change_watch(reactor, ids[i], UDPR_WATCH_READABLE));
      CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_remove_trigger(reactor, ids[i]));
      CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_finish_trigger(reactor, ids[i]));
      CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_cancel_resolve(reactor, ids[i]));
    }
  }
  OK(udpr_reactor_free(reactor));
}

TEST(descriptors) {
  udpr_reactor *reactor = new_reactor(0);
  udpr_protocol protocol = {.size = sizeof protocol, .user = &freed, .free_user = count_free};
  EVERY_U32(value) {
    int before = freed, fd = (int)value;
    if (fcntl(fd, F_GETFD) >= 0) continue;
    CHECK_STATUS(UDPR_E_SYSTEM - EBADF, udpr_reactor_watch(reactor, fd, UDPR_WATCH_READABLE, watch_called,
                                                           &freed, count_free, NULL));
    CHECK_STATUS(UDPR_E_SYSTEM - EBADF,
                 udpr_reactor_adopt_datagram_port(reactor, fd, 0, &protocol, NULL, NULL));
    CHECK_EQ(before + 2, freed);
  }
  OK(udpr_reactor_free(reactor));
}

/* ---- ranges ---------------------------------------------------------------------------------------------- */

TEST(ttls) {
  udpr_reactor   *reactor = new_reactor(0);
  udpr_protocol   protocol = {.size = sizeof protocol};
  udpr_transport *transport = listen_on(reactor, "127.0.0.1", &protocol, NULL);
  EVERY_U32(value) {
    bool unicast = value >= 1 && value <= 255, group = value <= 255;
    CHECK_STATUS(unicast ? UDPR_OK : UDPR_E_INVALID_ARGUMENT,
                 udpr_transport_set_unicast_ttl(transport, value));
    CHECK_STATUS(group ? UDPR_OK : UDPR_E_INVALID_ARGUMENT, udpr_transport_set_ttl(transport, value));
  }
  udpr_transport_release(transport);
  OK(udpr_reactor_free(reactor));
}

/* 0 is false, anything else true. */
TEST(booleans) {
  const udpr_bool truths[] = {0, 1, 2, -1, INT32_MAX, INT32_MIN};
  udpr_reactor   *reactor = new_reactor(0);
  udpr_protocol   protocol = {.size = sizeof protocol};
  udpr_transport *transport = listen_on(reactor, "127.0.0.1", &protocol, NULL);
  for (size_t i = 0; i < sizeof truths / sizeof *truths; i++) {
    udpr_bool out = 9;
    OK(udpr_transport_set_broadcast_allowed(transport, truths[i]));
    OK(udpr_transport_get_broadcast_allowed(transport, &out));
    CHECK_EQ(truths[i] != 0, out);
    OK(udpr_transport_set_loopback_mode(transport, truths[i]));
    OK(udpr_transport_get_loopback_mode(transport, &out));
    CHECK_EQ(truths[i] != 0, out);
    OK(udpr_transport_set_error_reports(transport, truths[i]));
  }
  udpr_transport_release(transport);
  OK(udpr_reactor_free(reactor));
}

TEST(timeouts_of_a_stop) {
  udpr_reactor *reactor = new_reactor(0);
  udpr_protocol protocol = {.size = sizeof protocol};
  const udpr_ns refused[] = {UINT64_C(1) << 63, UDPR_NEVER - 1}, taken[] = {0, 1, INT64_MAX, UDPR_NEVER};
  for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
    udpr_transport *transport = listen_on(reactor, "127.0.0.1", &protocol, NULL);
    for (size_t j = 0; j < sizeof refused / sizeof *refused; j++)
      CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_transport_stop_when_sent(transport, refused[j]));
    OK(udpr_transport_flush(transport)); /* it still listens */
    OK(udpr_transport_stop_when_sent(transport, taken[i]));
    CHECK_STATUS(UDPR_E_CLOSED, udpr_transport_flush(transport));
    udpr_transport_release(transport);
  }
  OK(udpr_reactor_free(reactor));
}

TEST(times) {
  udpr_reactor *reactor = new_reactor(0);
  udpr_id       id;
  udpr_ns       due;
  OK(udpr_reactor_call_later(reactor, UINT64_MAX, ran, NULL, NULL, &id));
  for (int i = 0; i < 3; i++) OK(udpr_reactor_delay_call(reactor, id, INT64_MAX));
  OK(udpr_reactor_call_time(reactor, id, &due));
  CHECK_EQ(UINT64_MAX, due);
  OK(udpr_reactor_iterate(reactor, 0));
  OK(udpr_reactor_reset_call(reactor, id, UINT64_MAX));
  OK(udpr_reactor_delay_call(reactor, id, INT64_MIN));
  OK(udpr_reactor_delay_call(reactor, id, INT64_MIN)); /* before the beginning of the clock: due now */
  OK(udpr_reactor_iterate(reactor, INT64_MAX));
  CHECK_STATUS(UDPR_E_ALREADY_CALLED, udpr_reactor_cancel_call(reactor, id));
  OK(udpr_reactor_call_later(reactor, 0, ran, NULL, NULL, NULL));
  OK(udpr_reactor_iterate(reactor, INT64_MIN)); /* negative: waits without limit, but a call is due */
  OK(udpr_reactor_free(reactor));
}

CHECK_MAIN()
