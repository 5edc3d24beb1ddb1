/* A callback may call any function except run, iterate, advance and free. */
#include "probe.h"

/* All cases but one use a manual clock, so that the callback is the only reason to refuse advance. */
static void check_reentrant(udpr_reactor *reactor) {
  CHECK_STATUS(UDPR_E_REENTRANT, udpr_reactor_run(reactor));
  CHECK_STATUS(UDPR_E_REENTRANT, udpr_reactor_iterate(reactor, 0));
  CHECK_STATUS(UDPR_E_REENTRANT, udpr_reactor_advance(reactor, 1));
  CHECK_STATUS(UDPR_E_REENTRANT, udpr_reactor_free(reactor));
}

static void check_in_port(probe *port, udpr_transport *transport) {
  (void)transport;
  check_reentrant(port->arg);
}

/* ---- a port's callbacks -------------------------------------------------------------------------------- */

static probe checking_port(udpr_reactor *reactor) {
  return (probe){.on_start = check_in_port,
                 .on_datagram = check_in_port,
                 .on_stop = check_in_port,
                 .on_free = check_in_port,
                 .arg = reactor};
}

TEST(in_a_port_that_is_closed) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_MANUAL_CLOCK);
  probe         port = checking_port(reactor);
  probe_listen(&port, reactor);
  send_letters(&port.host, "ab");
  RUN_UNTIL(reactor, strlen(port.received) == 2);
  OK(udpr_transport_close(port.transport));
  probe_check_ended(&port);
  OK(udpr_reactor_free(reactor));
}

TEST(in_a_port_that_stops) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_MANUAL_CLOCK);
  probe         port = checking_port(reactor);
  probe_listen(&port, reactor);
  OK(udpr_transport_stop_listening(port.transport));
  RUN_UNTIL(reactor, port.freed == 1);
  probe_check_ended(&port);
  OK(udpr_reactor_free(reactor));
}

TEST(in_a_port_that_free_closes) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_MANUAL_CLOCK);
  probe         port = checking_port(reactor);
  probe_listen(&port, reactor);
  OK(udpr_reactor_free(reactor));
  probe_check_ended(&port);
}

/* The port is opened and closed inside a callback of another port. */
static void listen_and_close(probe *port, udpr_transport *transport) {
  probe *inner = port->arg;
  probe_listen(inner, udpr_transport_reactor(transport));
  OK(udpr_transport_close(inner->transport));
}

TEST(in_a_port_opened_and_closed_in_a_callback) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_MANUAL_CLOCK);
  probe         inner = checking_port(reactor), outer = {.on_datagram = listen_and_close, .arg = &inner};
  probe_listen(&outer, reactor);
  send_letters(&outer.host, "a");
  RUN_UNTIL(reactor, inner.freed == 1);
  probe_check_ended(&inner);
  OK(udpr_reactor_free(reactor));
  probe_check_ended(&outer);
}

static size_t check_in_batch(udpr_transport *transport, const udpr_datagram *const *datagrams, size_t count,
                             void *user) {
  (void)datagrams;
  check_reentrant(udpr_transport_reactor(transport));
  *(size_t *)user += count;
  return count;
}

TEST(in_datagrams_received) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_MANUAL_CLOCK);
  size_t        received = 0;
  udpr_protocol protocol = {.size = sizeof protocol, .user = &received, .datagrams_received = check_in_batch};
  udpr_transport *transport = listen_on(reactor, "127.0.0.1", &protocol, NULL);
  udpr_addr       host = host_of(transport);
  send_letters(&host, "abc");
  RUN_UNTIL(reactor, received == 3);
  udpr_transport_release(transport);
  OK(udpr_reactor_free(reactor));
}

/* ---- delayed calls, and the free_user of their users --------------------------------------------------- */

typedef struct call_user {
  udpr_reactor *reactor;
  int           calls, freed;
} call_user;

static void check_in_call(udpr_reactor *reactor, void *user) {
  check_reentrant(reactor);
  ((call_user *)user)->calls++;
}

static void check_in_free_user(void *user) {
  call_user *one = user;
  check_reentrant(one->reactor);
  one->freed++;
}

TEST(in_a_delayed_call_made_by_advance) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_MANUAL_CLOCK);
  call_user     one = {.reactor = reactor};
  OK(udpr_reactor_call_later(reactor, 5, check_in_call, &one, check_in_free_user, NULL));
  OK(udpr_reactor_advance(reactor, 5));
  CHECK(one.calls == 1 && one.freed == 1);
  OK(udpr_reactor_free(reactor));
}

TEST(in_a_delayed_call_made_in_a_turn) {
  udpr_reactor *reactor = new_reactor(0); /* on the real clock, advance is refused with the same status */
  call_user     one = {.reactor = reactor};
  OK(udpr_reactor_call_later(reactor, 0, check_in_call, &one, check_in_free_user, NULL));
  RUN_UNTIL(reactor, one.freed == 1);
  CHECK_EQ(1, one.calls);
  OK(udpr_reactor_free(reactor));
}

TEST(in_the_free_user_of_a_cancelled_call) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_MANUAL_CLOCK);
  call_user     one = {.reactor = reactor};
  udpr_id       id;
  OK(udpr_reactor_call_later(reactor, 5, check_in_call, &one, check_in_free_user, &id));
  OK(udpr_reactor_cancel_call(reactor, id));
  CHECK(one.calls == 0 && one.freed == 1);
  OK(udpr_reactor_free(reactor));
}

TEST(in_the_free_user_of_a_call_dropped_by_free) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_MANUAL_CLOCK);
  call_user     one = {.reactor = reactor};
  OK(udpr_reactor_call_later(reactor, 5, check_in_call, &one, check_in_free_user, NULL));
  OK(udpr_reactor_free(reactor));
  CHECK(one.calls == 0 && one.freed == 1);
}

TEST(in_the_free_user_of_a_failing_call) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_MANUAL_CLOCK);
  call_user     one = {.reactor = reactor};
  udpr_protocol protocol = {.size = sizeof protocol, .user = &one, .free_user = check_in_free_user};
  CHECK_STATUS(UDPR_E_INVALID_ADDRESS,
               udpr_reactor_listen_udp(reactor, 0, "localhost", &protocol, NULL, NULL));
  CHECK_EQ(1, one.freed);
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT,
               udpr_reactor_call_later(reactor, 0, NULL, &one, check_in_free_user, NULL));
  CHECK_EQ(2, one.freed);
  CHECK_EQ(0, one.calls);
  OK(udpr_reactor_free(reactor));
}

/* ---- logger, visitor ----------------------------------------------------------------------------------- */

static void check_in_logger(const udpr_log_record *record, void *user) {
  call_user *one = user;
  CHECK(record->message != NULL);
  check_reentrant(one->reactor);
  one->calls++;
}

/* A smaller SO_RCVBUF than requested is logged as a warning. */
static void cause_a_warning(udpr_reactor *reactor) {
  udpr_udp_options options = {.size = sizeof options, .receive_buffer = INT32_MAX};
  udpr_protocol    protocol = {.size = sizeof protocol};
  OK(udpr_reactor_listen_udp(reactor, 0, "127.0.0.1", &protocol, &options, NULL));
}

TEST(in_a_logger) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_MANUAL_CLOCK);
  call_user     first = {.reactor = reactor}, second = {.reactor = reactor};
  OK(udpr_reactor_set_logger(reactor, UDPR_LOG_WARN, check_in_logger, &first, check_in_free_user));
  cause_a_warning(reactor);
  CHECK(first.calls >= 1 && first.freed == 0);
  OK(udpr_reactor_set_logger(reactor, UDPR_LOG_WARN, check_in_logger, &second, check_in_free_user));
  CHECK_EQ(1, first.freed);
  OK(udpr_reactor_free(reactor));
  CHECK_EQ(1, second.freed);
}

static void check_in_visit(udpr_transport *transport, void *user) {
  check_reentrant(udpr_transport_reactor(transport));
  ++*(int *)user;
}

TEST(in_a_visitor) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_MANUAL_CLOCK);
  probe         ports[2] = {0};
  int           visits = 0;
  for (int i = 0; i < 2; i++) probe_listen(&ports[i], reactor);
  OK(udpr_reactor_each_transport(reactor, check_in_visit, &visits));
  CHECK_EQ(2, visits);
  OK(udpr_reactor_free(reactor));
  for (int i = 0; i < 2; i++) probe_check_ended(&ports[i]);
}

/* ---- nothing can be registered while free runs --------------------------------------------------------- */

typedef struct registrations {
  udpr_reactor *reactor;
  int           attempts, freed; /* how often it was tried, and how many users the failed calls have freed */
} registrations;

static void count_freed(void *user) { ((registrations *)user)->freed++; }

static void must_not_run(udpr_reactor *reactor, void *user) {
  (void)reactor, (void)user;
  FAIL("%s", "called after free");
}

static void check_nothing_can_be_registered(registrations *one) {
  udpr_protocol   protocol = {.size = sizeof protocol, .user = one, .free_user = count_freed};
  udpr_transport *none = NULL;
  udpr_id         id = 0;
  CHECK_STATUS(UDPR_E_CLOSED, udpr_reactor_listen_udp(one->reactor, 0, "127.0.0.1", &protocol, NULL, &none));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_reactor_call_later(one->reactor, 0, must_not_run, one, count_freed, &id));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_reactor_call_from_thread(one->reactor, must_not_run, one, count_freed));
  CHECK(none == NULL && id == 0);
  one->attempts++;
  CHECK_EQ(3 * one->attempts, one->freed);
}

static void check_closed_in_port(probe *port, udpr_transport *transport) {
  (void)transport;
  check_nothing_can_be_registered(port->arg);
}

static void check_closed_in_free_user(void *user) { check_nothing_can_be_registered(user); }

TEST(nothing_can_be_registered_while_free_runs) {
  udpr_reactor *reactor = new_reactor(0);
  registrations one = {.reactor = reactor};
  probe         port = {.on_stop = check_closed_in_port, .on_free = check_closed_in_port, .arg = &one};
  probe_listen(&port, reactor);
  OK(udpr_reactor_call_later(reactor, SECONDS(100), must_not_run, &one, check_closed_in_free_user, NULL));
  OK(udpr_reactor_free(reactor));
  CHECK_EQ(3, one.attempts); /* in stop_protocol, the free_user of the port, and that of the delayed call */
  probe_check_ended(&port);
}

CHECK_MAIN()
