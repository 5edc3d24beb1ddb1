/* udpr_transport_stop_when_sent: the port ends once everything is sent that was accepted. */
#include "slow_network.h"

#include "embedded.h"
#include "probe.h"

enum { LEN = 1000, QUEUE = 48 * 1024, SEND_BUFFER = 4608 }; /* it takes 1.5 s to send that */

typedef struct fixture {
  atomic_int           freed;
  udpr_reactor        *reactor;
  udpr_transport      *transport;
  int                  peer;
  udpr_addr            to;
  uint32_t             accepted;
  int                  stops, ready, called, call_freed;
  udpr_status          reason;
  udpr_transport_stats last; /* the statistics in stop_protocol */
} fixture;

static void write_ready(udpr_transport *transport, void *user) {
  (void)transport;
  ((fixture *)user)->ready++;
}

static void stopped(udpr_transport *transport, udpr_status reason, void *user) {
  fixture *f = user;
  size_t   left = 1;
  CHECK_EQ(0, f->stops++);
  CHECK_EQ(1, f->call_freed);
  CHECK_EQ(-1, udpr_transport_fileno(transport));
  OK(udpr_transport_get_queued_bytes(transport, &left));
  CHECK_EQ(0, left);
  OK(udpr_transport_stop_when_sent(transport, UDPR_NEVER)); /* as stop_listening here */
  f->reason = reason;
  f->last = stats_of(transport);
}

static void port_call(udpr_transport *transport, void *user) {
  (void)transport;
  ((fixture *)user)->called++;
}

static void port_call_freed(void *user) {
  fixture *f = user;
  CHECK_EQ(0, f->stops);
  f->call_freed++;
}

/* A port with a full queue behind a full socket, and a post. */
static void set_up(fixture *f, uint32_t reactor_flags) {
  static const uint8_t data[LEN];
  enter_slow_network();
  *f = (fixture){.reactor = new_reactor(reactor_flags), .peer = peer_open(AF_INET), .reason = 99};
  udpr_protocol    protocol = {.size = sizeof protocol,
                               .user = f,
                               .free_user = count_free,
                               .write_ready = write_ready,
                               .stop_protocol = stopped};
  udpr_udp_options options = {.size = sizeof options,
                              .flags = UDPR_UDP_NO_OFFLOAD,
                              .send_buffer = SEND_BUFFER,
                              .send_queue_bytes = QUEUE};
  f->transport = listen_on(f->reactor, "127.0.0.1", &protocol, &options);
  f->to = peer_addr(f->peer);
  udpr_status status;
  while ((status = udpr_transport_write(f->transport, data, LEN, &f->to)) == UDPR_OK) f->accepted++;
  CHECK_STATUS(UDPR_E_WOULD_BLOCK, status);
  OK(udpr_transport_post(f->transport, data, LEN, &f->to));
  f->accepted++;
}

/* Stops it with a delayed call that is due. */
static void stop_when_sent(fixture *f, udpr_ns timeout) {
  OK(udpr_transport_call_later(f->transport, 0, port_call, f, port_call_freed, NULL));
  OK(udpr_transport_stop_when_sent(f->transport, timeout));
}

static void tear_down(fixture *f) {
  CHECK(f->stops == 1 && f->freed == 1 && f->called == 0 && f->ready == 0);
  CHECK_EQ(f->accepted, f->last.datagrams_out + f->last.dropped_out);
  CHECK_STATUS(f->last.dropped_out ? UDPR_E_TIMED_OUT : UDPR_OK, f->reason);
  CHECK_STATUS(UDPR_E_CLOSED, udpr_transport_stop_when_sent(f->transport, 0));
  for (uint64_t i = 0; i < f->last.datagrams_out; i++)
    CHECK_EQ(LEN, peer_receive(f->peer, (uint8_t[LEN]){0}, LEN));
  CHECK(peer_has_no_datagram(f->peer));
  udpr_transport_release(f->transport);
  OK(udpr_reactor_free(f->reactor));
  close(f->peer);
}

static void check_refuses(fixture *f) {
  udpr_addr host;
  size_t    waits = 0;
  CHECK_STATUS(UDPR_E_CLOSED, udpr_transport_write(f->transport, "x", 1, &f->to));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_transport_post(f->transport, "x", 1, &f->to));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_transport_connect(f->transport, &f->to));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_transport_flush(f->transport));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_transport_call_later(f->transport, 0, port_call, NULL, NULL, NULL));
  OK(udpr_transport_get_host(f->transport, &host));
  CHECK(udpr_transport_fileno(f->transport) >= 0);
  OK(udpr_transport_get_queued_bytes(f->transport, &waits));
  CHECK(waits > 0);
}

TEST(everything_is_sent_first) {
  fixture f;
  set_up(&f, 0);
  stop_when_sent(&f, UDPR_NEVER);
  CHECK_EQ(0, f.stops);
  check_refuses(&f);
  run_turns(f.reactor, 3);
  check_refuses(&f);
  RUN_UNTIL(f.reactor, f.freed == 1);
  CHECK_EQ(0, f.last.dropped_out);
  tear_down(&f);
}

TEST(what_is_not_sent_in_time_is_dropped) {
  fixture f;
  set_up(&f, 0);
  udpr_ns begin = monotonic_ns();
  stop_when_sent(&f, MS(30));
  OK(udpr_transport_stop_when_sent(f.transport, UDPR_NEVER)); /* the earlier end counts */
  RUN_UNTIL(f.reactor, f.freed == 1);
  CHECK(monotonic_ns() - begin >= MS(30));
  CHECK(f.last.dropped_out > 0);
  tear_down(&f);
}

TEST(a_timeout_of_zero_is_stop_listening) {
  fixture f;
  set_up(&f, 0);
  stop_when_sent(&f, 0);
  CHECK_EQ(0, f.stops);
  OK(udpr_reactor_iterate(f.reactor, -1)); /* a deferred stop is due: must not wait */
  CHECK_EQ(1, f.stops);
  CHECK_STATUS(UDPR_OK, f.reason);
  CHECK(f.last.dropped_out > 0);
  f.reason = UDPR_E_TIMED_OUT; /* what tear_down expects of the others */
  tear_down(&f);
}

static void ends_at_once(udpr_status (*end)(udpr_transport *), bool inside) {
  fixture f;
  set_up(&f, 0);
  stop_when_sent(&f, UDPR_NEVER);
  OK(end(f.transport));
  CHECK_EQ(inside, f.stops);
  if (!inside) OK(udpr_reactor_iterate(f.reactor, -1));
  CHECK(f.last.dropped_out > 0);
  tear_down(&f);
}

TEST(stop_listening_ends_it) { ends_at_once(udpr_transport_stop_listening, false); }
TEST(close_ends_it) { ends_at_once(udpr_transport_close, true); }

TEST(a_shutdown_does_not_wait) {
  fixture f;
  set_up(&f, 0);
  stop_when_sent(&f, UDPR_NEVER);
  OK(udpr_reactor_fire_event(f.reactor, UDPR_EVENT_SHUTDOWN));
  CHECK(f.stops == 1 && f.last.dropped_out > 0);
  tear_down(&f);
}

static udpr_id pending;

static udpr_status stop_the_port(udpr_reactor *reactor, udpr_id id, void *user) {
  (void)reactor;
  pending = id;
  stop_when_sent(user, SECONDS(30));
  return UDPR_PENDING;
}

TEST(a_before_trigger_makes_a_shutdown_wait) {
  fixture f;
  set_up(&f, 0);
  OK(udpr_reactor_add_trigger(f.reactor, UDPR_PHASE_BEFORE, UDPR_EVENT_SHUTDOWN, stop_the_port, &f, NULL,
                              NULL));
  OK(udpr_reactor_start(f.reactor));
  OK(udpr_reactor_stop(f.reactor));
  RUN_UNTIL(f.reactor, f.freed == 1);
  OK(udpr_reactor_finish_trigger(f.reactor, pending));
  CHECK_EQ(0, f.last.dropped_out);
  CHECK(!udpr_reactor_is_running(f.reactor));
  tear_down(&f);
}

TEST(the_timeout_is_of_the_reactors_clock) {
  fixture f;
  set_up(&f, UDPR_REACTOR_MANUAL_CLOCK);
  stop_when_sent(&f, SECONDS(2));
  OK(udpr_reactor_advance(f.reactor, SECONDS(2) - 1));
  run_turns(f.reactor, 3);
  CHECK_EQ(0, f.stops);
  OK(udpr_reactor_advance(f.reactor, 1));
  CHECK_EQ(0, f.stops);
  CHECK_EQ(0, next_timeout_of(f.reactor));
  OK(udpr_reactor_iterate(f.reactor, -1));
  CHECK(f.stops == 1 && f.last.dropped_out > 0);
  tear_down(&f);
}

TEST(an_embedding_loop_is_woken_for_it) {
  for (int i = 0; i < 2; i++) {
    fixture f;
    set_up(&f, 0);
    int fd = backend_fd_of(f.reactor);
    while (is_readable(fd, 0)) OK(udpr_reactor_iterate(f.reactor, 0));
    stop_when_sent(&f, i ? UDPR_NEVER : MS(10));
    CHECK(i || next_timeout_of(f.reactor) <= (int64_t)MS(10));
    EMBEDDED_RUN_UNTIL(f.reactor, fd, f.freed == 1);
    CHECK_EQ(i == 0, f.last.dropped_out > 0);
    tear_down(&f);
  }
}

/* ---- in callbacks ---------------------------------------------------------------------------------------- */

static uint64_t discarded;

static void say_goodbye(probe *port, udpr_transport *transport) {
  port->stopped = true;
  OK(udpr_transport_write(transport, "bye", 3, port->arg));
  OK(udpr_transport_stop_when_sent(transport, UDPR_NEVER));
  CHECK_EQ(0, port->stops);
  CHECK_STATUS(UDPR_E_CLOSED, udpr_transport_write(transport, "x", 1, port->arg));
}

static void record_discarded(probe *port, udpr_transport *transport) {
  (void)port;
  discarded = stats_of(transport).discarded_in;
}

TEST(in_datagram_received_the_rest_of_the_batch_is_discarded) {
  udpr_reactor *reactor = new_reactor(0);
  int           peer = peer_open(AF_INET);
  udpr_addr     to = peer_addr(peer);
  probe         port = {.on_datagram = say_goodbye, .on_stop = record_discarded, .arg = &to};
  char          text[4] = {0};
  probe_listen(&port, reactor);
  send_letters(&port.host, "abcd");
  RUN_UNTIL(reactor, port.stops == 1);
  CHECK_STR("a", port.received);
  CHECK_EQ(3, discarded);
  CHECK_EQ(3, peer_receive(peer, text, 3));
  CHECK_STR("bye", text);
  probe_check_ended(&port);
  OK(udpr_reactor_free(reactor));
  close(peer);
}

static void goodbye_at_start(probe *port, udpr_transport *transport) { say_goodbye(port, transport); }

TEST(in_start_protocol) {
  udpr_reactor *reactor = new_reactor(0);
  int           peer = peer_open(AF_INET);
  udpr_addr     to = peer_addr(peer);
  probe         port = {.on_start = goodbye_at_start, .arg = &to};
  probe_listen(&port, reactor);
  CHECK_EQ(0, port.stops);
  run_turns(reactor, 1);
  CHECK_EQ(1, port.stops);
  CHECK_EQ(3, peer_receive(peer, (char[3]){0}, 3));
  probe_check_ended(&port);
  OK(udpr_reactor_free(reactor));
  close(peer);
}

TEST(the_last_reference_may_be_released) {
  fixture f;
  set_up(&f, 0);
  udpr_transport *extra = udpr_transport_retain(f.transport);
  stop_when_sent(&f, UDPR_NEVER);
  udpr_transport_release(extra);
  RUN_UNTIL(f.reactor, f.freed == 1);
  tear_down(&f);
}

/* ---- fork ------------------------------------------------------------------------------------------------ */

/* The child's port has a copy of what waits, and ends in the child. */
static void end_in_the_child(void *arg) {
  fixture *f = arg;
  OK(udpr_reactor_after_fork(f->reactor));
  check_refuses(f);
  RUN_UNTIL(f->reactor, f->freed == 1);
  CHECK(f->last.dropped_out > 0);
}

TEST(after_fork_keeps_the_end) {
  fixture f;
  set_up(&f, 0);
  stop_when_sent(&f, MS(20));
  run_in_killed_child(end_in_the_child, &f);
  CHECK_EQ(0, f.stops);
  RUN_UNTIL(f.reactor, f.freed == 1);
  OK(udpr_reactor_free(f.reactor));
  udpr_transport_release(f.transport);
  close(f.peer);
}

CHECK_MAIN()
