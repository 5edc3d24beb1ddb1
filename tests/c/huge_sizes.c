/* Impossible lengths, counts and times, such as (size_t)-1 (CVE-2014-6272, CVE-2015-6525): each call returns
 * a status, and nothing is accessed beyond the end of a buffer.
 */
#include "check.h"

#include <limits.h>

static const size_t huge[] = {SIZE_MAX,         SIZE_MAX - 1,  SIZE_MAX / 2,
                              SIZE_MAX / 2 + 1, SIZE_MAX / 16, SIZE_MAX / 16 + 1};
enum { HUGE = sizeof huge / sizeof *huge };

typedef struct fixture {
  udpr_reactor   *reactor;
  udpr_transport *transport;
  udpr_addr       to;
  int             peer;
} fixture;

static void set_up(fixture *f) {
  udpr_protocol protocol = {.size = sizeof protocol};
  *f = (fixture){.reactor = new_reactor(0), .peer = peer_open(AF_INET)};
  f->transport = listen_on(f->reactor, "127.0.0.1", &protocol, NULL);
  f->to = peer_addr(f->peer);
}

/* The port must still work. */
static void tear_down(fixture *f) {
  OK(udpr_transport_write(f->transport, "still here", 10, &f->to));
  PEER_RECEIVES(f->peer, "still here");
  CHECK(peer_has_no_datagram(f->peer));
  OK(udpr_transport_close(f->transport));
  udpr_transport_release(f->transport);
  OK(udpr_reactor_free(f->reactor));
  close(f->peer);
}

TEST(lengths_of_writes) {
  fixture f;
  set_up(&f);
  for (int i = 0; i < HUGE; i++) {
    udpr_bytes one[] = {{"x", huge[i]}}, two[] = {{"x", 1}, {"y", huge[i]}};
    CHECK_STATUS(UDPR_E_MESSAGE_TOO_LONG, udpr_transport_write(f.transport, "x", huge[i], &f.to));
    CHECK_STATUS(UDPR_E_MESSAGE_TOO_LONG, udpr_transport_post(f.transport, "x", huge[i], &f.to));
    CHECK_STATUS(UDPR_E_MESSAGE_TOO_LONG, udpr_transport_write_sequence(f.transport, one, 1, &f.to));
    CHECK_STATUS(UDPR_E_MESSAGE_TOO_LONG, udpr_transport_write_sequence(f.transport, two, 2, &f.to));
  }
  tear_down(&f);
}

/* libevent's evbuffer failed with a count of -1. A count is refused if so many pieces cannot exist in memory.
 */
TEST(counts_of_pieces) {
  udpr_bytes piece = {"x", 1};
  fixture    f;
  set_up(&f);
  for (int i = 0; i < HUGE; i++) {
    if (huge[i] > SIZE_MAX / 2 / sizeof piece)
      CHECK_STATUS(UDPR_E_INVALID_ARGUMENT,
                   udpr_transport_write_sequence(f.transport, &piece, huge[i], &f.to));
  }
  tear_down(&f);
}

/* The messages are checked one after the other, so none is read after the one that is refused. */
TEST(counts_of_messages) {
  udpr_message messages[] = {{.size = sizeof(udpr_message), .data = "x", .len = 1},
                             {.size = sizeof(udpr_message), .data = "y", .len = SIZE_MAX}};
  fixture      f;
  set_up(&f);
  messages[0].to = messages[1].to = &f.to;
  for (int i = 0; i < HUGE; i++) {
    size_t taken = 99;
    CHECK_STATUS(UDPR_E_MESSAGE_TOO_LONG,
                 udpr_transport_write_messages(f.transport, messages, huge[i], &taken));
    CHECK_EQ(1, taken);
    PEER_RECEIVES(f.peer, "x");
  }
  tear_down(&f);
}

TEST(lengths_of_socket_options) {
  fixture f;
  int     value = 1;
  set_up(&f);
#if SIZE_MAX > UINT32_MAX
  /* The kernel's lengths have 32 bits. The low 32 bits of this one would be valid. */
  CHECK_STATUS(UDPR_E_SYSTEM - EINVAL, udpr_transport_set_option(f.transport, SOL_SOCKET, SO_PRIORITY, &value,
                                                                 ((size_t)1 << 32) + sizeof value));
#endif
  for (int i = 0; i < HUGE; i++) {
    size_t      len = huge[i];
    udpr_status status = udpr_transport_set_option(f.transport, SOL_SOCKET, SO_PRIORITY, &value, huge[i]);
    if (status >= 0 && huge[i] > INT_MAX)
      FAIL("set_option with %zu bytes is %s", huge[i], udpr_status_name(status));
    status = udpr_transport_get_option(f.transport, SOL_SOCKET, SO_PRIORITY, &value, &len);
    if (status == UDPR_OK) CHECK_EQ(sizeof value, len); /* the kernel writes only as much as the option has */
    else CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, status);
  }
  tear_down(&f);
}

/* The capacity given is greater than the buffer, but only as much as needed is written. */
TEST(capacities_for_addresses) {
  fixture f;
  set_up(&f);
  for (int i = 0; i < HUGE; i++) {
    char               *text = malloc(strlen("1.2.3.4:53") + 1);
    struct sockaddr_in *name = malloc(sizeof *name);
    udpr_addr           address = addr("1.2.3.4:53", 0), back;
    size_t              len = 0;
    OK(udpr_addr_format(&address, text, huge[i], &len));
    CHECK_STR("1.2.3.4:53", text);
    OK(udpr_addr_to_sockaddr(&address, name, huge[i], &len));
    CHECK_EQ(sizeof *name, len);
    OK(udpr_addr_from_sockaddr(name, sizeof *name, &back));
    CHECK_ADDR(&address, &back);
    free(text), free(name);
  }
  tear_down(&f);
}

static void must_not_run(udpr_reactor *reactor, void *user) {
  (void)reactor, (void)user;
  FAIL("%s", "a call that is due at the end of time was made");
}

TEST(times) {
  const udpr_ns ends[] = {UDPR_NEVER, INT64_MAX, INT64_MAX - 1, UDPR_NEVER};
  const udpr_ns no_delays[] = {UDPR_NEVER - 1, (udpr_ns)INT64_MAX + 1};
  fixture       f;
  set_up(&f);
  for (int i = 0; i < 2; i++)
    CHECK_STATUS(UDPR_E_INVALID_ARGUMENT,
                 udpr_reactor_call_later(f.reactor, no_delays[i], must_not_run, NULL, NULL, NULL));
  for (int i = 0; i < 4; i++) {
    udpr_id id = 0;
    OK(udpr_reactor_call_later(f.reactor, ends[i], must_not_run, NULL, NULL, &id));
    OK(udpr_reactor_reset_call(f.reactor, id, ends[i]));
    OK(udpr_reactor_delay_call(f.reactor, id, INT64_MAX));
    run_turns(f.reactor, 2);
  }
  size_t pending = 0;
  OK(udpr_reactor_delayed_calls(f.reactor, NULL, 0, &pending));
  CHECK_EQ(4, pending);
  tear_down(&f);
}

TEST(capacities_for_ids) {
  udpr_id one, *ids = &one;
  size_t  count = 99;
  fixture f;
  set_up(&f);
  for (int i = 0; i < HUGE; i++) {
    if (huge[i] <= SIZE_MAX / 2 / sizeof one) continue; /* an array may be that long */
    CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_reactor_delayed_calls(f.reactor, ids, huge[i], &count));
    CHECK_EQ(0, count);
  }
  tear_down(&f);
}

/* 32-bit values: refused, or limited to the maximum. */
TEST(sizes_in_udp_options) {
  fixture          f;
  udpr_protocol    protocol = {.size = sizeof protocol};
  udpr_udp_options options = {.size = sizeof options};
  udpr_transport  *transport = NULL;
  uint32_t        *fields[] = {&options.receive_buffer, &options.send_buffer, &options.send_queue_bytes};
  set_up(&f);
  options.max_packet_size = UINT32_MAX;
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT,
               udpr_reactor_listen_udp(f.reactor, 0, "127.0.0.1", &protocol, &options, &transport));
  options.max_packet_size = 0;
  for (int i = 0; i < 3; i++) {
    for (uint32_t value = UINT32_MAX; value > UINT32_MAX / 8; value /= 2) {
      *fields[i] = value;
      udpr_status status =
          udpr_reactor_listen_udp(f.reactor, 0, "127.0.0.1", &protocol, &options, &transport);
      if (status != UDPR_OK) {
        CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, status);
        continue;
      }
      udpr_addr host = host_of(transport);
      OK(udpr_transport_write(transport, "x", 1, &host));
      RUN_UNTIL(f.reactor, stats_of(transport).datagrams_in == 1);
      OK(udpr_transport_close(transport));
      udpr_transport_release(transport);
    }
    *fields[i] = 0;
  }
  tear_down(&f);
}

CHECK_MAIN()
