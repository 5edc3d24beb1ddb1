/* From a callback everything may be called, except run, iterate, advance and free. */
#include "probe.h"

/* Every case but one has a manual clock, so that advance would be legal, were it not for the callback. */
static void refused(udpr_reactor *reactor) {
  CHECK_STATUS(UDPR_E_REENTRANT, udpr_reactor_run(reactor));
  CHECK_STATUS(UDPR_E_REENTRANT, udpr_reactor_iterate(reactor, 0));
  CHECK_STATUS(UDPR_E_REENTRANT, udpr_reactor_advance(reactor, 1));
  CHECK_STATUS(UDPR_E_REENTRANT, udpr_reactor_free(reactor));
}

static void refused_in_port(probe *port, udpr_transport *transport) {
  (void)transport;
  refused(port->arg);
}

/* ---- a port's callbacks -------------------------------------------------------------------------------- */

static probe refusing_port(udpr_reactor *reactor) {
  return (probe){.on_start = refused_in_port,
                 .on_datagram = refused_in_port,
                 .on_stop = refused_in_port,
                 .on_free = refused_in_port,
                 .arg = reactor};
}

TEST(in_a_port_that_is_closed) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_MANUAL_CLOCK);
  probe         port = refusing_port(reactor);
  probe_listen(&port, reactor);
  send_letters(&port.host, "ab");
  RUN_UNTIL(reactor, strlen(port.received) == 2);
  OK(udpr_transport_close(port.transport));
  probe_check_ended(&port);
  OK(udpr_reactor_free(reactor));
}

TEST(in_a_port_that_stops) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_MANUAL_CLOCK);
  probe         port = refusing_port(reactor);
  probe_listen(&port, reactor);
  OK(udpr_transport_stop_listening(port.transport));
  RUN_UNTIL(reactor, port.freed == 1);
  probe_check_ended(&port);
  OK(udpr_reactor_free(reactor));
}

TEST(in_a_port_that_free_closes) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_MANUAL_CLOCK);
  probe         port = refusing_port(reactor);
  probe_listen(&port, reactor);
  OK(udpr_reactor_free(reactor));
  probe_check_ended(&port);
}

/* All of a port's life in one callback of another's. */
static void whole_life(probe *port, udpr_transport *transport) {
  probe *inner = port->arg;
  probe_listen(inner, udpr_transport_reactor(transport));
  OK(udpr_transport_close(inner->transport));
}

TEST(in_a_port_that_lives_within_a_callback) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_MANUAL_CLOCK);
  probe         inner = refusing_port(reactor), outer = {.on_datagram = whole_life, .arg = &inner};
  probe_listen(&outer, reactor);
  send_letters(&outer.host, "a");
  RUN_UNTIL(reactor, inner.freed == 1);
  probe_check_ended(&inner);
  OK(udpr_reactor_free(reactor));
  probe_check_ended(&outer);
}

static size_t refused_in_batch(udpr_transport *transport, const udpr_datagram *const *datagrams, size_t count,
                               void *user) {
  (void)datagrams;
  refused(udpr_transport_reactor(transport));
  *(size_t *)user += count;
  return count;
}

TEST(in_datagrams_received) {
  udpr_reactor   *reactor = new_reactor(UDPR_REACTOR_MANUAL_CLOCK);
  size_t          received = 0;
  udpr_protocol   protocol = {.size = sizeof protocol,
                              .user = &received,
                              .datagrams_received = refused_in_batch};
  udpr_transport *transport = listen_on(reactor, "127.0.0.1", &protocol, NULL);
  udpr_addr       host = host_of(transport);
  send_letters(&host, "abc");
  RUN_UNTIL(reactor, received == 3);
  udpr_transport_release(transport);
  OK(udpr_reactor_free(reactor));
}

/* ---- delayed calls, and what frees their user ---------------------------------------------------------- */

typedef struct job {
  udpr_reactor *reactor;
  int           calls, freed;
} job;

static void refused_in_call(udpr_reactor *reactor, void *user) {
  refused(reactor);
  ((job *)user)->calls++;
}

static void refused_in_free_user(void *user) {
  job *one = user;
  refused(one->reactor);
  one->freed++;
}

TEST(in_a_delayed_call_that_advance_runs) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_MANUAL_CLOCK);
  job           one = {.reactor = reactor};
  OK(udpr_reactor_call_later(reactor, 5, refused_in_call, &one, refused_in_free_user, NULL));
  OK(udpr_reactor_advance(reactor, 5));
  CHECK(one.calls == 1 && one.freed == 1);
  OK(udpr_reactor_free(reactor));
}

TEST(in_a_delayed_call_that_a_turn_runs) {
  udpr_reactor *reactor = new_reactor(0); /* on the real clock: advance is no less refused */
  job           one = {.reactor = reactor};
  OK(udpr_reactor_call_later(reactor, 0, refused_in_call, &one, refused_in_free_user, NULL));
  RUN_UNTIL(reactor, one.freed == 1);
  CHECK_EQ(1, one.calls);
  OK(udpr_reactor_free(reactor));
}

TEST(in_the_free_user_of_a_cancelled_call) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_MANUAL_CLOCK);
  job           one = {.reactor = reactor};
  udpr_id       id;
  OK(udpr_reactor_call_later(reactor, 5, refused_in_call, &one, refused_in_free_user, &id));
  OK(udpr_reactor_cancel_call(reactor, id));
  CHECK(one.calls == 0 && one.freed == 1);
  OK(udpr_reactor_free(reactor));
}

TEST(in_the_free_user_of_a_call_that_free_drops) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_MANUAL_CLOCK);
  job           one = {.reactor = reactor};
  OK(udpr_reactor_call_later(reactor, 5, refused_in_call, &one, refused_in_free_user, NULL));
  OK(udpr_reactor_free(reactor));
  CHECK(one.calls == 0 && one.freed == 1);
}

TEST(in_the_free_user_of_a_failing_call) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_MANUAL_CLOCK);
  job           one = {.reactor = reactor};
  udpr_protocol protocol = {.size = sizeof protocol, .user = &one, .free_user = refused_in_free_user};
  CHECK_STATUS(UDPR_E_INVALID_ADDRESS,
               udpr_reactor_listen_udp(reactor, 0, "localhost", &protocol, NULL, NULL));
  CHECK_EQ(1, one.freed);
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT,
               udpr_reactor_call_later(reactor, 0, NULL, &one, refused_in_free_user, NULL));
  CHECK_EQ(2, one.freed);
  CHECK_EQ(0, one.calls);
  OK(udpr_reactor_free(reactor));
}

/* ---- logger, visitor ----------------------------------------------------------------------------------- */

static void refused_in_logger(const udpr_log_record *record, void *user) {
  job *one = user;
  CHECK(record->message != NULL);
  refused(one->reactor);
  one->calls++;
}

/* A grant below the wish for SO_RCVBUF is logged as a warning. */
static void ask_for_a_warning(udpr_reactor *reactor) {
  udpr_udp_options options = {.size = sizeof options, .receive_buffer = INT32_MAX};
  udpr_protocol    protocol = {.size = sizeof protocol};
  OK(udpr_reactor_listen_udp(reactor, 0, "127.0.0.1", &protocol, &options, NULL));
}

TEST(in_a_logger) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_MANUAL_CLOCK);
  job           first = {.reactor = reactor}, second = {.reactor = reactor};
  OK(udpr_reactor_set_logger(reactor, UDPR_LOG_WARN, refused_in_logger, &first, refused_in_free_user));
  ask_for_a_warning(reactor);
  CHECK(first.calls >= 1 && first.freed == 0);
  OK(udpr_reactor_set_logger(reactor, UDPR_LOG_WARN, refused_in_logger, &second, refused_in_free_user));
  CHECK_EQ(1, first.freed);
  OK(udpr_reactor_free(reactor));
  CHECK_EQ(1, second.freed);
}

static void refused_in_visit(udpr_transport *transport, void *user) {
  refused(udpr_transport_reactor(transport));
  ++*(int *)user;
}

TEST(in_a_visitor) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_MANUAL_CLOCK);
  probe         ports[2] = {0};
  int           visits = 0;
  for (int i = 0; i < 2; i++) probe_listen(&ports[i], reactor);
  OK(udpr_reactor_each_transport(reactor, refused_in_visit, &visits));
  CHECK_EQ(2, visits);
  OK(udpr_reactor_free(reactor));
  for (int i = 0; i < 2; i++) probe_check_ended(&ports[i]);
}

/* ---- while free runs, nothing can be created any more -------------------------------------------------- */

typedef struct attempt {
  udpr_reactor *reactor;
  int           made, freed; /* times tried, users freed in the failing calls */
} attempt;

static void count_attempt(void *user) { ((attempt *)user)->freed++; }

static void unexpected_call(udpr_reactor *reactor, void *user) {
  (void)reactor, (void)user;
  FAIL("%s", "called after free");
}

static void nothing_can_be_made(attempt *one) {
  udpr_protocol   protocol = {.size = sizeof protocol, .user = one, .free_user = count_attempt};
  udpr_transport *none = NULL;
  udpr_id         id = 0;
  CHECK_STATUS(UDPR_E_CLOSED, udpr_reactor_listen_udp(one->reactor, 0, "127.0.0.1", &protocol, NULL, &none));
  CHECK_STATUS(UDPR_E_CLOSED,
               udpr_reactor_call_later(one->reactor, 0, unexpected_call, one, count_attempt, &id));
  CHECK_STATUS(UDPR_E_CLOSED,
               udpr_reactor_call_from_thread(one->reactor, unexpected_call, one, count_attempt));
  CHECK(none == NULL && id == 0);
  one->made++;
  CHECK_EQ(3 * one->made, one->freed);
}

static void make_in_port(probe *port, udpr_transport *transport) {
  (void)transport;
  nothing_can_be_made(port->arg);
}

static void make_in_free_user(void *user) { nothing_can_be_made(user); }

TEST(nothing_is_made_while_free_runs) {
  udpr_reactor *reactor = new_reactor(0);
  attempt       one = {.reactor = reactor};
  probe         port = {.on_stop = make_in_port, .on_free = make_in_port, .arg = &one};
  probe_listen(&port, reactor);
  OK(udpr_reactor_call_later(reactor, SECONDS(100), unexpected_call, &one, make_in_free_user, NULL));
  OK(udpr_reactor_free(reactor));
  CHECK_EQ(3, one.made); /* stop_protocol, the port's free_user, the delayed call's */
  probe_check_ended(&port);
}

CHECK_MAIN()
