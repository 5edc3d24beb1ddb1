/* start_protocol is called inside listen_udp: what it may do there, and that nothing is left if it fails. */
#include "check.h"

typedef struct starter {
  atomic_int  freed;
  udpr_status result;
  void (*act)(struct starter *, udpr_transport *);
  udpr_reactor    *reactor;
  udpr_transport **out; /* the `out` of listen_udp */
  udpr_transport  *retained;
  udpr_addr        to;
  int              started, stopped;
} starter;

static udpr_status start(udpr_transport *transport, void *user) {
  starter *self = user;
  self->started++;
  if (self->act) self->act(self, transport);
  return self->result;
}

static void stopped(udpr_transport *transport, udpr_status reason, void *user) {
  (void)transport;
  CHECK_EQ(UDPR_OK, reason);
  ((starter *)user)->stopped++;
}

static udpr_protocol protocol_of(starter *self) {
  return (udpr_protocol){.size = sizeof(udpr_protocol),
                         .user = self,
                         .free_user = count_free,
                         .start_protocol = start,
                         .stop_protocol = stopped};
}

static udpr_status listen_as(starter *self, uint16_t port, udpr_transport **out) {
  udpr_protocol protocol = protocol_of(self);
  self->out = out;
  return udpr_reactor_listen_udp(self->reactor, port, "127.0.0.1", &protocol, NULL, out);
}

/* ---- start_protocol fails ------------------------------------------------------------------------------ */

static void check_fails_as(udpr_status result, udpr_status expected) {
  starter         self = {.reactor = new_reactor(0), .result = result};
  udpr_transport *out = NULL;
  int             before = check_count_descriptors();
  CHECK_STATUS(expected, listen_as(&self, 0, &out));
  CHECK(out == NULL);
  CHECK_EQ(before, check_count_descriptors());
  CHECK_EQ(1, self.started);
  CHECK_EQ(0, self.stopped);
  CHECK_EQ(1, self.freed);
  run_turns(self.reactor, 3);
  CHECK_EQ(0, self.stopped);
  OK(udpr_reactor_free(self.reactor));
  CHECK_EQ(1, self.freed);
}

TEST(a_failing_start_protocol_fails_the_listen) {
  check_fails_as(UDPR_E_NOT_SUPPORTED, UDPR_E_NOT_SUPPORTED);
}
TEST(a_positive_status_is_an_invalid_argument) { check_fails_as(UDPR_PENDING, UDPR_E_INVALID_ARGUMENT); }
TEST(an_unknown_positive_status_is_an_invalid_argument) {
  check_fails_as(INT32_MAX, UDPR_E_INVALID_ARGUMENT);
}
TEST(a_system_status_is_returned_by_listen) {
  check_fails_as(UDPR_E_SYSTEM - ENOTTY, UDPR_E_SYSTEM - ENOTTY);
}
TEST(an_unknown_failure_is_returned_by_listen) { check_fails_as(-12345, -12345); }

static void record_host(starter *self, udpr_transport *transport) { self->to = host_of(transport); }

TEST(after_a_failing_start_protocol_the_number_is_free) {
  starter         self = {.reactor = new_reactor(0), .result = UDPR_E_NOT_SUPPORTED, .act = record_host};
  udpr_transport *out = NULL;
  CHECK_STATUS(UDPR_E_NOT_SUPPORTED, listen_as(&self, 0, &out));
  self.result = UDPR_OK;
  OK(listen_as(&self, self.to.port, &out));
  OK(udpr_transport_close(out));
  udpr_transport_release(out);
  CHECK_EQ(1, self.stopped);
  CHECK_EQ(2, self.freed);
  OK(udpr_reactor_free(self.reactor));
}

static void retain(starter *self, udpr_transport *transport) {
  self->retained = udpr_transport_retain(transport);
}

TEST(a_transport_retained_in_a_failing_start_protocol_is_closed) {
  starter   self = {.reactor = new_reactor(0), .result = UDPR_E_NOT_SUPPORTED, .act = retain};
  udpr_addr to = addr("127.0.0.1", 9), host;
  CHECK_STATUS(UDPR_E_NOT_SUPPORTED, listen_as(&self, 0, NULL));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_transport_write(self.retained, "x", 1, &to));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_transport_get_host(self.retained, &host));
  CHECK(udpr_transport_reactor(self.retained) == NULL);
  CHECK(udpr_transport_user(self.retained) == NULL);
  CHECK_EQ(-1, udpr_transport_fileno(self.retained));
  udpr_transport_release(self.retained);
  OK(udpr_reactor_free(self.reactor));
  CHECK_EQ(1, self.freed);
}

/* ---- what start_protocol may do ------------------------------------------------------------------------ */

static void check_transport(starter *self, udpr_transport *transport) {
  CHECK(*self->out == NULL); /* not yet set */
  CHECK(udpr_transport_reactor(transport) == self->reactor);
  CHECK(udpr_transport_user(transport) == self);
  CHECK(udpr_transport_fileno(transport) >= 0);
  CHECK(host_of(transport).port != 0);
  CHECK_EQ(0, udpr_reactor_is_running(self->reactor));
  CHECK_EQ(0, self->freed);
  self->retained = udpr_transport_retain(transport);
}

TEST(the_transport_is_usable_in_start_protocol) {
  starter         self = {.reactor = new_reactor(0), .act = check_transport};
  udpr_transport *out = NULL;
  OK(listen_as(&self, 0, &out));
  CHECK(out == self.retained);
  OK(udpr_transport_close(out));
  udpr_transport_release(self.retained);
  udpr_transport_release(out);
  OK(udpr_reactor_free(self.reactor));
  CHECK_EQ(1, self.freed);
}

static void write_greeting(starter *self, udpr_transport *transport) {
  OK(udpr_transport_write(transport, "hello", 5, &self->to));
  OK(udpr_transport_write(transport, "again", 5, &self->to));
}

TEST(writes_in_start_protocol_are_sent_before_listen_returns) {
  int             peer = peer_open(AF_INET);
  starter         self = {.reactor = new_reactor(0), .act = write_greeting, .to = peer_addr(peer)};
  udpr_transport *out = NULL;
  OK(listen_as(&self, 0, &out));
  CHECK(!peer_has_no_datagram(peer)); /* before any turn */
  PEER_RECEIVES(peer, "hello");
  PEER_RECEIVES(peer, "again");
  OK(udpr_transport_close(out));
  udpr_transport_release(out);
  OK(udpr_reactor_free(self.reactor));
  close(peer);
}

static void write_greeting_and_stop(starter *self, udpr_transport *transport) {
  write_greeting(self, transport);
  OK(udpr_transport_stop_listening(transport));
  CHECK_EQ(0, self->stopped);
}

TEST(stop_listening_in_start_protocol) {
  int             peer = peer_open(AF_INET);
  starter         self = {.reactor = new_reactor(0), .act = write_greeting_and_stop, .to = peer_addr(peer)};
  udpr_transport *out = NULL;
  OK(listen_as(&self, 0, &out));
  CHECK(out != NULL);
  CHECK_EQ(0, self.stopped); /* in a later turn */
  CHECK_STATUS(UDPR_E_CLOSED, udpr_transport_write(out, "x", 1, &self.to));
  RUN_UNTIL(self.reactor, self.stopped == 1);
  CHECK_EQ(1, self.freed);
  PEER_RECEIVES(peer, "hello");
  PEER_RECEIVES(peer, "again");
  CHECK(peer_has_no_datagram(peer));
  udpr_transport_release(out);
  OK(udpr_reactor_free(self.reactor));
  CHECK_EQ(1, self.stopped);
  close(peer);
}

static void write_greeting_and_close(starter *self, udpr_transport *transport) {
  write_greeting(self, transport);
  OK(udpr_transport_close(transport));
  CHECK_EQ(1, self->stopped); /* before close returns */
}

TEST(close_in_start_protocol) {
  int             peer = peer_open(AF_INET);
  starter         self = {.reactor = new_reactor(0), .act = write_greeting_and_close, .to = peer_addr(peer)};
  udpr_transport *out = NULL;
  int             before = check_count_descriptors();
  OK(listen_as(&self, 0, &out));
  CHECK(out != NULL);
  CHECK_EQ(before, check_count_descriptors());
  CHECK_STATUS(UDPR_E_CLOSED, udpr_transport_write(out, "x", 1, &self.to));
  CHECK_EQ(1, self.freed);
  PEER_RECEIVES(peer, "hello");
  PEER_RECEIVES(peer, "again");
  run_turns(self.reactor, 3);
  CHECK_EQ(1, self.stopped);
  udpr_transport_release(out);
  OK(udpr_reactor_free(self.reactor));
  CHECK_EQ(1, self.freed);
  close(peer);
}

static void listen_inside(starter *self, udpr_transport *transport) {
  udpr_protocol protocol = {.size = sizeof protocol};
  (void)transport;
  OK(udpr_reactor_listen_udp(self->reactor, 0, "127.0.0.1", &protocol, NULL, &self->retained));
}

TEST(listen_in_start_protocol) {
  starter         self = {.reactor = new_reactor(0), .act = listen_inside};
  udpr_transport *out = NULL;
  OK(listen_as(&self, 0, &out));
  CHECK(self.retained != NULL && self.retained != out);
  CHECK(host_of(self.retained).port != host_of(out).port);
  OK(udpr_transport_close(out));
  OK(udpr_transport_close(self.retained));
  udpr_transport_release(out);
  udpr_transport_release(self.retained);
  OK(udpr_reactor_free(self.reactor));
}

static void pause_at_once(starter *self, udpr_transport *transport) {
  (void)self;
  OK(udpr_transport_pause_reading(transport));
}

static void received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  (void)transport, (void)datagram;
  ((starter *)user)->started++; /* counts one for the start, and one for each datagram */
}

TEST(pause_in_start_protocol) {
  starter       self = {.reactor = new_reactor(0), .act = pause_at_once};
  udpr_protocol protocol = protocol_of(&self);
  protocol.datagram_received = received;
  udpr_transport *transport = listen_on(self.reactor, "127.0.0.1", &protocol, NULL);
  udpr_addr       host = host_of(transport);
  int             peer = peer_open(AF_INET);
  peer_send(peer, &host, "x", 1);
  run_turns(self.reactor, 5);
  CHECK_EQ(1, self.started);
  OK(udpr_transport_resume_reading(transport));
  RUN_UNTIL(self.reactor, self.started == 2);
  OK(udpr_transport_close(transport));
  udpr_transport_release(transport);
  OK(udpr_reactor_free(self.reactor));
  close(peer);
}

/* A port made inside a callback of a running reactor also starts inside the call. */
static void listen_call(udpr_reactor *reactor, void *user) {
  starter *self = user;
  (void)reactor;
  OK(listen_as(self, 0, &self->retained));
  CHECK_EQ(1, self->started);
}

TEST(listen_in_a_callback) {
  starter self = {.reactor = new_reactor(0)};
  OK(udpr_reactor_call_later(self.reactor, 0, listen_call, &self, NULL, NULL));
  RUN_UNTIL(self.reactor, self.started == 1);
  OK(udpr_transport_close(self.retained));
  udpr_transport_release(self.retained);
  OK(udpr_reactor_free(self.reactor));
  CHECK_EQ(1, self.freed);
}

CHECK_MAIN()
