/* callbacks.c: the callbacks. Each checks that it may be called now and with these arguments, then runs operations. */
#include "fuzz.h"

#include <fcntl.h>

static void check_addr(const udpr_addr *addr, bool v6) {
  if (addr->family != (v6 ? UDPR_AF_INET6 : UDPR_AF_INET) || addr->reserved) FAIL("family %d", addr->family);
}

static registration *enter_port(udpr_transport *transport, void *user, bool from_turn) {
  registration *reg = enter_callback(user, PORT, NULL);
  port         *port = reg->port;
  enum function function = current_function();
  if (from_turn && function != FN_udpr_reactor_run && function != FN_udpr_reactor_iterate)
    FAIL("a port's callback inside a call, %d", function);
  if (port->state != STARTING && port->transport != transport) FAIL("another port's callback");
  if (port->state == GONE || port->state == STOPPED) FAIL("a callback after stop_protocol");
  if (from_turn) reg->loop->dispatching++;
  return reg;
}

/* It is called for the sockets of ports that do not exist yet. */
udpr_status on_configure(int32_t fd, const udpr_addr *local, void *user) {
  registration *reg = enter_callback(user, PORT, NULL);
  port         *port = reg->port;
  ASSERT(port->state == STARTING && ++port->configured <= 2 && fcntl(fd, F_GETFD) == FD_CLOEXEC);
  ASSERT(current_function() != FN_udpr_reactor_adopt_datagram_port);
  check_addr(local, port->v6);
  run_random_operations();
  leave_callback(reg);
  return one_in(16) ? PICK(UDPR_E_NO_MEMORY, UDPR_PENDING, SYSTEM(EIO)) : UDPR_OK;
}

udpr_status on_start(udpr_transport *transport, void *user) {
  registration *reg = enter_port(transport, user, false);
  port         *port = reg->port;
  ASSERT(port->state == STARTING && atomic_load(&reg->calls) == 1 + port->configured);
  port->transport = transport;
  port->state = LISTENING;
  if (CALL(port->loop, udpr_transport_get_host, transport, &port->host) != UDPR_OK)
    FAIL("no host in start_protocol");
  ASSERT(CALL_VALUE(void *, port->loop, udpr_transport_user, transport) == reg);
  run_random_operations();
  udpr_status result = one_in(12) ? PICK(UDPR_E_NO_MEMORY, UDPR_PENDING, SYSTEM(EIO)) : UDPR_OK;
  if (result != UDPR_OK && port->state != GONE) set_port_gone(port);
  leave_callback(reg);
  return result;
}

/* The bytes of every payload count up by one. */
static void check_datagram(const port *port, const udpr_datagram *datagram) {
  ASSERT(datagram->size >= sizeof *datagram && datagram->data != NULL && datagram->len <= datagram->full_len);
  bool truncated = datagram->flags & UDPR_DATAGRAM_TRUNCATED;
  if (truncated != (datagram->len < datagram->full_len))
    FAIL("%zu of %zu", datagram->len, datagram->full_len);
  if (datagram->len > port->packet_size) FAIL("%zu bytes, more than %u", datagram->len, port->packet_size);
  for (size_t i = 1; i < datagram->len; i++)
    if (datagram->data[i] != (uint8_t)(datagram->data[i - 1] + 1)) FAIL("byte %zu of %zu", i, datagram->len);
  check_addr(&datagram->sender, port->v6);
  if (port->flags & UDPR_UDP_PACKET_INFO) check_addr(&datagram->destination, port->v6);
  else ASSERT(datagram->destination.family == UDPR_AF_UNSPEC && datagram->interface_index == 0);
  ASSERT((port->flags & UDPR_UDP_TIMESTAMPS) ? datagram->timestamp != 0 : datagram->timestamp == 0);
  ASSERT((port->flags & UDPR_UDP_TOS) ? datagram->tos >= 0 : datagram->tos == -1);
  ASSERT((port->flags & UDPR_UDP_TTL) ? datagram->ttl >= 0 : datagram->ttl == -1);
}

static void check_delivery(port *port, const udpr_datagram *datagram) {
  if (port->state != LISTENING) FAIL("a datagram after a stop, state %d", port->state);
  if (port->paused) FAIL("a datagram while reading is paused");
  check_datagram(port, datagram);
  if (port->connected && !udpr_addr_equal(&datagram->sender, &port->peer))
    FAIL("a datagram that is not from the peer");
}

static void on_datagram(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  registration *reg = enter_port(transport, user, true);
  check_delivery(reg->port, datagram);
  reg->port->delivered++;
  if (reg->port->state == LISTENING && one_in(3)) {
    udpr_addr sender = datagram->sender;
    if (one_in(2)) CALL(reg->loop, udpr_transport_reply, transport, datagram, datagram->data, datagram->len);
    else CALL(reg->loop, udpr_transport_write, transport, datagram->data, datagram->len, &sender);
    EXPECT(UDPR_OK, UDPR_E_WOULD_BLOCK, UDPR_E_MESSAGE_TOO_LONG, UDPR_E_WRONG_PEER, UDPR_E_INVALID_ARGUMENT,
           UDPR_E_ACCESS);
  }
  run_random_operations();
  reg->loop->dispatching--;
  leave_callback(reg);
}

size_t on_datagrams(udpr_transport *transport, const udpr_datagram *const *datagrams, size_t count,
                    void *user) {
  registration *reg = enter_port(transport, user, true);
  ASSERT(count > 0 && count <= 256);
  for (size_t i = 0; i < count; i++) check_delivery(reg->port, datagrams[i]);
  size_t taken = one_in(4) ? below((uint32_t)count + 3) : count;
  reg->port->delivered += taken < count ? taken : count;
  run_random_operations();
  reg->loop->dispatching--;
  leave_callback(reg);
  return taken;
}

static void on_refused(udpr_transport *transport, void *user) {
  registration *reg = enter_port(transport, user, true);
  run_random_operations();
  reg->loop->dispatching--;
  leave_callback(reg);
}

/* One report may stand for a whole GSO message: up to 128 datagrams in succession. */
static void check_report(const uint8_t *data, size_t len) {
  int datagrams = 1;
  for (size_t i = 1; i < len; i++) datagrams += data[i] != (uint8_t)(data[i - 1] + 1);
  if (datagrams > 128) FAIL("%zu bytes of %d datagrams in a report", len, datagrams);
}

static void on_error(udpr_transport *transport, const udpr_error_report *report, void *user) {
  registration *reg = enter_port(transport, user, true);
  ASSERT(report->size >= sizeof *report && report->status < 0 && report->data != NULL &&
         report->reserved == 0 && report->tag <= MAX_TAG);
  ASSERT(report->origin == UDPR_ORIGIN_LOCAL || report->origin == UDPR_ORIGIN_ICMP ||
         report->origin == UDPR_ORIGIN_ICMP6);
  ASSERT(report->mtu == 0 || report->status == UDPR_E_MESSAGE_TOO_LONG);
  check_report(report->data, report->len);
  run_random_operations();
  reg->loop->dispatching--;
  leave_callback(reg);
}

static void on_write_ready(udpr_transport *transport, void *user) {
  registration *reg = enter_port(transport, user, true);
  if (reg->port->state != LISTENING) FAIL("write_ready after a stop, state %d", reg->port->state);
  run_random_operations();
  reg->loop->dispatching--;
  leave_callback(reg);
}

static void on_stop(udpr_transport *transport, udpr_status reason, void *user) {
  registration *reg = enter_port(transport, user, false);
  port         *port = reg->port;
  ASSERT(reason <= 0);
  port->state = STOPPED;
  ASSERT(CALL_VALUE(int32_t, port->loop, udpr_transport_fileno, transport) == -1);
  run_random_operations();
  set_port_gone(port);
  leave_callback(reg);
}

const udpr_protocol protocol_table = {
    .size = sizeof protocol_table,
    .start_protocol = on_start,
    .datagram_received = on_datagram,
    .connection_refused = on_refused,
    .error_received = on_error,
    .write_ready = on_write_ready,
    .stop_protocol = on_stop,
};

/* ---- calls -------------------------------------------------------------------------------------------------- */

/* Delayed calls run once, unless they are moved inside themselves, not after they were cancelled, and never early. */
void on_timer(udpr_reactor *reactor, void *user) {
  registration *reg = enter_callback(user, TIMER, reactor);
  if (reg->call != PENDING) FAIL("a delayed call that was %s", reg->call == CALLED ? "called" : "cancelled");
  reg->call = CALLED;
  udpr_ns now = CALL_VALUE(udpr_ns, NULL, udpr_reactor_now, reactor);
  if (now < reg->earliest) FAIL("%llu ns early", (unsigned long long)(reg->earliest - now));
  run_random_operations();
  if (reg->call != PENDING) atomic_store(&reg->live, false);
  leave_callback(reg);
}

/* Periodic calls are pending inside themselves, at the next beat of their grid. */
void on_beat(udpr_reactor *reactor, udpr_id id, uint64_t beats, void *user) {
  registration *reg = enter_callback(user, TIMER, reactor);
  if (reg->call != PENDING) FAIL("a periodic call that was %s", "cancelled");
  ASSERT(id == reg->id && beats >= 1);
  udpr_ns now = CALL_VALUE(udpr_ns, NULL, udpr_reactor_now, reactor);
  if (now < add_ns(reg->earliest, (beats - 1) * reg->period))
    FAIL("%llu beats by %llu", (unsigned long long)beats, (unsigned long long)now);
  reg->earliest = add_ns(reg->earliest, beats * reg->period);
  reg->latest = add_ns(reg->latest, beats * reg->period);
  run_random_operations();
  leave_callback(reg);
}

/* Calls of a port, never after stop_protocol. */
static registration *enter_port_call(udpr_transport *transport, void *user) {
  registration *reg = enter_callback(user, PORT_CALL, NULL);
  port         *port = port_of(transport);
  if (!port || port != reg->port || port->state != LISTENING)
    FAIL("%s", "a call of a port that does not listen");
  atomic_fetch_add(&port->reg->busy, 1); /* the call keeps the protocol */
  return reg;
}
void on_port_call(udpr_transport *transport, void *user) {
  registration *reg = enter_port_call(transport, user), *protocol = reg->port->reg;
  ASSERT(atomic_load(&reg->calls) == 1);
  reg->call = CALLED;
  run_random_operations();
  atomic_fetch_sub(&protocol->busy, 1);
  leave_callback(reg);
}
void on_port_beat(udpr_transport *transport, udpr_id id, uint64_t beats, void *user) {
  registration *reg = enter_port_call(transport, user), *protocol = reg->port->reg;
  ASSERT(id == reg->id && beats >= 1);
  run_random_operations();
  atomic_fetch_sub(&protocol->busy, 1);
  leave_callback(reg);
}

static void one_shot(udpr_reactor *reactor, void *user, enum kind kind) {
  registration *reg = enter_callback(user, kind, reactor);
  ASSERT(atomic_load(&reg->calls) == 1);
  if (kind == WORK) ASSERT(reg->events == 1); /* on_work has run */
  run_random_operations();
  atomic_store(&reg->live, false);
  leave_callback(reg);
}

void on_call(udpr_reactor *reactor, void *user) { one_shot(reactor, user, THREAD_CALL); }
void on_startup_call(udpr_reactor *reactor, void *user) { one_shot(reactor, user, STARTUP_CALL); }
void on_done(udpr_reactor *reactor, void *user) { one_shot(reactor, user, WORK); }

/* Runs on a thread of the pool. */
void on_work(void *user) {
  registration *reg = user;
  if (reg->kind != WORK || !atomic_load(&reg->live) || atomic_load(&reg->freed)) FAIL("work after its end");
  if (reg->events++ != 0) FAIL("work that runs twice");
}

udpr_status on_trigger(udpr_reactor *reactor, udpr_id id, void *user) {
  registration *reg = enter_callback(user, TRIGGER, reactor);
  loop         *loop = reg->loop;
  ASSERT(reg->id == 0 || reg->id == id);
  if (reg->event == UDPR_EVENT_SHUTDOWN && (loop->stages & STARTED))
    loop->stages = (loop->stages & ~STARTED) | ENDING;
  reg->pending = false;
  run_random_operations();
  udpr_status result = one_in(8) ? UDPR_E_NO_MEMORY : UDPR_OK;
  if (reg->phase == UDPR_PHASE_BEFORE && one_in(3)) result = UDPR_PENDING, reg->pending = true;
  leave_callback(reg);
  return result;
}

void on_watch(udpr_reactor *reactor, udpr_id id, int32_t fd, uint32_t events, void *user) {
  registration *reg = enter_callback(user, WATCH, reactor);
  ASSERT(id == reg->id && fd == reg->fd && events != 0);
  if (events & ~(reg->events | UDPR_WATCH_HANGUP)) FAIL("events %u, requested were %u", events, reg->events);
  char bytes[64];
  if ((events & UDPR_WATCH_READABLE) && !one_in(4)) ASSERT(read(fd, bytes, sizeof bytes) != 0 || true);
  run_random_operations();
  leave_callback(reg);
}

void on_resolved(udpr_reactor *reactor, udpr_id id, udpr_status status, const udpr_addr *addrs, size_t count,
                 void *user) {
  registration *reg = enter_callback(user, LOOKUP, reactor);
  ASSERT(id == reg->id && atomic_load(&reg->calls) == 1);
  ASSERT((status == UDPR_OK) == (count > 0) && (status == UDPR_OK || addrs == NULL));
  bool allowed = reg->cancelled ? status == UDPR_E_CANCELLED : status == UDPR_E_TIMED_OUT;
  for (int i = 0; i < 3 && !reg->cancelled; i++) allowed |= status == reg->expected[i];
  if (!allowed) FAIL("a look-up reports %s", udpr_status_name(status));
  for (size_t i = 0; i < count; i++)
    ASSERT(addrs[i].port == (uint16_t)reg->event && addrs[i].family != UDPR_AF_UNSPEC);
  run_random_operations();
  atomic_store(&reg->live, false);
  leave_callback(reg);
}

void on_log(const udpr_log_record *record, void *user) {
  registration *reg = enter_callback(user, LOGGER, NULL);
  ASSERT(record->size >= sizeof *record && record->level >= 1 && record->level <= reg->event);
  ASSERT(strlen(record->target) > 0 && strlen(record->message) > 0 && record->status <= 0);
  if (one_in(4)) run_logger_operations();
  leave_callback(reg);
}

void on_visit(udpr_transport *transport, void *user) {
  loop *loop = user;
  port *port = port_of(transport);
  /* udpr_reactor_each_transport works on a snapshot: it also visits ports that an earlier visit has closed. */
  ASSERT(CALL_VALUE(void *, loop, udpr_transport_user, transport) == (port ? port->reg : NULL));
  run_random_operations();
}
