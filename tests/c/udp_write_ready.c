/* What may be done in write_ready: everything except run, iterate, advance and free, including stopping the
 * port.
 */
#include "probe.h"
#include "slow_network.h"

typedef struct sender {
  probe    port;
  probe_fn act; /* called in write_ready */
  int      ready;
} sender;

static void write_ready(udpr_transport *transport, void *user) {
  sender *self = user;
  CHECK(self->port.stops == 0 && self->port.freed == 0);
  self->ready++;
  self->act(&self->port, transport);
}

/* Writes until a write is refused, so that write_ready must be called. */
static void write_until_blocked(sender *self, const udpr_addr *to) {
  static const uint8_t data[500];
  udpr_status          status;
  while ((status = udpr_transport_write(self->port.transport, data, sizeof data, to)) == UDPR_OK) {}
  CHECK_STATUS(UDPR_E_WOULD_BLOCK, status);
}

static udpr_reactor *act_when_ready(sender *self, probe_fn act) {
  enter_slow_network();
  udpr_reactor    *reactor = new_reactor(0);
  udpr_protocol    protocol = probe_protocol(&self->port); /* must be the first member */
  udpr_udp_options options = {.size = sizeof options, .send_buffer = 4608, .send_queue_bytes = 4096};
  int              peer = peer_open(AF_INET);
  udpr_addr        to = peer_addr(peer);
  protocol.write_ready = write_ready;
  self->act = act;
  self->port.transport = listen_on(reactor, "127.0.0.1", &protocol, &options);
  self->port.host = host_of(self->port.transport);
  OK(udpr_reactor_start(reactor));
  write_until_blocked(self, &to);
  close(peer);
  CHECK_EQ(0, self->ready);
  RUN_UNTIL(reactor, self->ready == 1);
  return reactor;
}

static void check_reentrant(probe *port, udpr_transport *transport) {
  udpr_reactor *reactor = udpr_transport_reactor(transport);
  (void)port;
  CHECK_STATUS(UDPR_E_REENTRANT, udpr_reactor_run(reactor));
  CHECK_STATUS(UDPR_E_REENTRANT, udpr_reactor_iterate(reactor, 0));
  CHECK_STATUS(UDPR_E_REENTRANT, udpr_reactor_advance(reactor, 1));
  CHECK_STATUS(UDPR_E_REENTRANT, udpr_reactor_free(reactor));
}

TEST(run_iterate_advance_and_free_in_write_ready) {
  sender        self = {.ready = 0};
  udpr_reactor *reactor = act_when_ready(&self, check_reentrant);
  OK(udpr_reactor_free(reactor));
  probe_check_ended(&self.port);
}

static void close_port(probe *port, udpr_transport *transport) {
  OK(udpr_transport_close(transport));
  CHECK(port->stops == 1 && port->freed == 0); /* the user is freed after this callback */
  check_transport_closed(transport);
}

TEST(close_in_write_ready) {
  sender        self = {.ready = 0};
  udpr_reactor *reactor = act_when_ready(&self, close_port);
  run_turns(reactor, 3);
  probe_check_ended(&self.port);
  CHECK_EQ(1, self.ready);
  OK(udpr_reactor_free(reactor));
}

static void release_and_close_port(probe *port, udpr_transport *transport) {
  udpr_transport_release(transport);
  close_port(port, transport);
}

TEST(release_and_close_in_write_ready) {
  sender        self = {.ready = 0};
  udpr_reactor *reactor = act_when_ready(&self, release_and_close_port);
  CHECK(self.port.stops == 1 && self.port.freed == 1);
  OK(udpr_reactor_free(reactor));
}

static void stop_port(probe *port, udpr_transport *transport) {
  OK(udpr_transport_stop_listening(transport));
  CHECK_EQ(0, port->stops);
}

TEST(stop_listening_in_write_ready) {
  sender        self = {.ready = 0};
  udpr_reactor *reactor = act_when_ready(&self, stop_port);
  RUN_UNTIL(reactor, self.port.stops == 1);
  probe_check_ended(&self.port);
  CHECK_EQ(1, self.ready);
  OK(udpr_reactor_free(reactor));
}

TEST(reactor_stop_in_write_ready) {
  sender        self = {.ready = 0};
  udpr_reactor *reactor = act_when_ready(&self, stop_reactor);
  RUN_UNTIL(reactor, !udpr_reactor_is_running(reactor));
  probe_check_ended(&self.port);
  OK(udpr_reactor_free(reactor));
}

/* ---- write_ready_bytes ------------------------------------------------------------------------------------ */

enum { LIMIT = 4096, LOW = 2048 };

static size_t waits(const udpr_transport *transport) {
  size_t bytes = LIMIT + 1;
  OK(udpr_transport_get_queued_bytes(transport, &bytes));
  return bytes;
}

static size_t waits_at_first;

static void look_at_the_queue(probe *port, udpr_transport *transport) {
  (void)port;
  if (waits_at_first == 0) waits_at_first = waits(transport);
  CHECK(waits(transport) <= LOW);
}

/* Datagrams leave singly, so write_ready is called long before all of them have left. */
TEST(write_ready_is_called_when_little_enough_waits) {
  enter_slow_network();
  sender           self = {.act = look_at_the_queue};
  udpr_reactor    *reactor = new_reactor(0);
  udpr_protocol    protocol = probe_protocol(&self.port);
  udpr_udp_options options = {.size = sizeof options,
                              .flags = UDPR_UDP_NO_OFFLOAD,
                              .send_buffer = 4608,
                              .send_queue_bytes = LIMIT,
                              .write_ready_bytes = LOW};
  int              peer = peer_open(AF_INET);
  udpr_addr        to = peer_addr(peer);
  protocol.write_ready = write_ready;
  self.port.transport = listen_on(reactor, "127.0.0.1", &protocol, &options);
  self.port.host = host_of(self.port.transport);
  for (int round = 1; round <= 3; round++) {
    write_until_blocked(&self, &to);
    CHECK(waits(self.port.transport) > LOW);
    RUN_UNTIL(reactor, waits(self.port.transport) <= LOW);
    CHECK_EQ(round, self.ready); /* in the turn in which that comes true */
  }
  CHECK(waits_at_first > 0);
  RUN_UNTIL(reactor, waits(self.port.transport) == 0);
  run_turns(reactor, 3);
  CHECK_EQ(3, self.ready);
  close(peer);
  udpr_transport_release(self.port.transport);
  OK(udpr_reactor_free(reactor));
}

CHECK_MAIN()
