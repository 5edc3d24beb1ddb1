/* callbacks.c: what the library calls. Each checks that it may be called now, and with this; then it acts. */
#include "fuzz.h"

static user *enter_port(udpr_transport *transport, void *user_, bool from_turn) {
  user         *user = enter_callback(user_, PORT, NULL);
  port         *port = user->port;
  enum function function = inner_function();
  if (from_turn && function != FN_udpr_reactor_run && function != FN_udpr_reactor_iterate)
    FAIL("a port's callback inside a call, %d", function);
  if (port->state != STARTING && port->transport != transport) FAIL("another port's callback");
  if (port->state == GONE || port->state == STOPPED) FAIL("a callback after stop_protocol");
  if (from_turn) user->home->dispatching++;
  return user;
}

udpr_status on_start(udpr_transport *transport, void *user_) {
  user *user = enter_port(transport, user_, false);
  port *port = user->port;
  MUST(port->state == STARTING && atomic_load(&user->calls) == 1);
  port->transport = transport;
  port->state = LISTENING;
  if (CALL(port->home, udpr_transport_get_host, transport, &port->host) != UDPR_OK)
    FAIL("no host in start_protocol");
  MUST(TAKE(void *, port->home, udpr_transport_user, transport) == user);
  act();
  udpr_status answer = one_in(12) ? PICK(UDPR_E_NO_MEMORY, UDPR_PENDING, SYSTEM(EIO)) : UDPR_OK;
  if (answer != UDPR_OK && port->state != GONE) port_gone(port);
  leave_callback(user);
  return answer;
}

static void check_addr(const udpr_addr *addr, bool v6) {
  if (addr->family != (v6 ? UDPR_AF_INET6 : UDPR_AF_INET) || addr->reserved) FAIL("family %d", addr->family);
}

/* Every payload counts up byte by byte, wherever it is cut. */
static void check_datagram(const port *port, const udpr_datagram *datagram) {
  MUST(datagram->size >= sizeof *datagram && datagram->data != NULL && datagram->len <= datagram->full_len);
  bool cut = datagram->flags & UDPR_DATAGRAM_TRUNCATED;
  if (cut != (datagram->len < datagram->full_len)) FAIL("%zu of %zu", datagram->len, datagram->full_len);
  if (datagram->len > port->packet_size) FAIL("%zu bytes, %u are the most", datagram->len, port->packet_size);
  for (size_t i = 1; i < datagram->len; i++)
    if (datagram->data[i] != (uint8_t)(datagram->data[i - 1] + 1)) FAIL("byte %zu of %zu", i, datagram->len);
  check_addr(&datagram->sender, port->v6);
  if (port->flags & UDPR_UDP_PACKET_INFO) check_addr(&datagram->destination, port->v6);
  else MUST(datagram->destination.family == UDPR_AF_UNSPEC && datagram->interface_index == 0);
  MUST((port->flags & UDPR_UDP_TIMESTAMPS) ? datagram->timestamp != 0 : datagram->timestamp == 0);
  MUST((port->flags & UDPR_UDP_TOS) ? datagram->tos >= 0 : datagram->tos == -1);
  MUST((port->flags & UDPR_UDP_TTL) ? datagram->ttl >= 0 : datagram->ttl == -1);
}

static void check_delivery(port *port, const udpr_datagram *datagram) {
  if (port->state != LISTENING) FAIL("a datagram after a stop, state %d", port->state);
  if (port->paused) FAIL("a datagram while reading is paused");
  check_datagram(port, datagram);
  if (port->connected && !udpr_addr_equal(&datagram->sender, &port->peer)) FAIL("a stranger's datagram");
}

static void on_datagram(udpr_transport *transport, const udpr_datagram *datagram, void *user_) {
  user *user = enter_port(transport, user_, true);
  check_delivery(user->port, datagram);
  user->port->delivered++;
  if (user->port->state == LISTENING && one_in(3)) {
    udpr_addr sender = datagram->sender;
    CALL(user->home, udpr_transport_write, transport, datagram->data, datagram->len, &sender);
    EXPECT(UDPR_OK, UDPR_E_WOULD_BLOCK, UDPR_E_MESSAGE_TOO_LONG, UDPR_E_WRONG_PEER, UDPR_E_INVALID_ARGUMENT,
           UDPR_E_ACCESS);
  }
  act();
  user->home->dispatching--;
  leave_callback(user);
}

size_t on_datagrams(udpr_transport *transport, const udpr_datagram *const *datagrams, size_t count,
                    void *user_) {
  user *user = enter_port(transport, user_, true);
  MUST(count > 0 && count <= 256);
  for (size_t i = 0; i < count; i++) check_delivery(user->port, datagrams[i]);
  size_t taken = one_in(4) ? below((uint32_t)count + 3) : count;
  user->port->delivered += taken < count ? taken : count;
  act();
  user->home->dispatching--;
  leave_callback(user);
  return taken;
}

static void on_refused(udpr_transport *transport, void *user_) {
  user *user = enter_port(transport, user_, true);
  act();
  user->home->dispatching--;
  leave_callback(user);
}

/* One report may stand for a whole GSO send: up to 128 datagrams, one behind the other. */
static void check_report(const uint8_t *data, size_t len) {
  int datagrams = 1;
  for (size_t i = 1; i < len; i++) datagrams += data[i] != (uint8_t)(data[i - 1] + 1);
  if (datagrams > 128) FAIL("%zu bytes of %d datagrams in a report", len, datagrams);
}

static void on_error(udpr_transport *transport, const udpr_error_report *report, void *user_) {
  user *user = enter_port(transport, user_, true);
  MUST(report->size >= sizeof *report && report->status < 0 && report->data != NULL && report->reserved == 0);
  MUST(report->origin == UDPR_ORIGIN_LOCAL || report->origin == UDPR_ORIGIN_ICMP ||
       report->origin == UDPR_ORIGIN_ICMP6);
  MUST(report->mtu == 0 || report->status == UDPR_E_MESSAGE_TOO_LONG);
  check_report(report->data, report->len);
  act();
  user->home->dispatching--;
  leave_callback(user);
}

static void on_write_ready(udpr_transport *transport, void *user_) {
  user *user = enter_port(transport, user_, true);
  act();
  user->home->dispatching--;
  leave_callback(user);
}

static void on_stop(udpr_transport *transport, udpr_status reason, void *user_) {
  user *user = enter_port(transport, user_, false);
  port *port = user->port;
  MUST(reason <= 0);
  port->state = STOPPED;
  MUST(TAKE(int32_t, port->home, udpr_transport_fileno, transport) == -1);
  act();
  port_gone(port);
  leave_callback(user);
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

/* The order of due calls is that of their instants, then of their making, among those that were made before the pass. */
void on_timer(udpr_reactor *reactor, void *user_) {
  user *user = enter_callback(user_, TIMER, reactor);
  if (user->call != PENDING)
    FAIL("a delayed call that was %s", user->call == CALLED ? "called" : "cancelled");
  user->call = CALLED;
  udpr_ns now = TAKE(udpr_ns, NULL, udpr_reactor_now, reactor);
  if (now < user->due_least) FAIL("%llu ns early", (unsigned long long)(user->due_least - now));
  act();
  atomic_store(&user->live, false);
  leave_callback(user);
}

static void once(udpr_reactor *reactor, void *user_, enum kind kind) {
  user *user = enter_callback(user_, kind, reactor);
  MUST(atomic_load(&user->calls) == 1);
  if (kind == WORK) MUST(user->events == 1); /* its work has been done */
  act();
  atomic_store(&user->live, false);
  leave_callback(user);
}

void on_call(udpr_reactor *reactor, void *user) { once(reactor, user, THREAD_CALL); }
void on_running(udpr_reactor *reactor, void *user) { once(reactor, user, STARTUP_CALL); }
void on_done(udpr_reactor *reactor, void *user) { once(reactor, user, WORK); }

/* On a thread of the pool. */
void on_work(void *user_) {
  user *user = user_;
  if (user->kind != WORK || !atomic_load(&user->live) || atomic_load(&user->freed))
    FAIL("work after its end");
  if (user->events++ != 0) FAIL("work is done twice");
}

udpr_status on_trigger(udpr_reactor *reactor, udpr_id id, void *user_) {
  user *user = enter_callback(user_, TRIGGER, reactor);
  home *home = user->home;
  MUST(user->id == 0 || user->id == id);
  if (user->event == UDPR_EVENT_SHUTDOWN && (home->stage & STARTED))
    home->stage = (home->stage & ~STARTED) | ENDING;
  user->pending = false;
  act();
  udpr_status answer = one_in(8) ? UDPR_E_NO_MEMORY : UDPR_OK;
  if (user->phase == UDPR_PHASE_BEFORE && one_in(3)) answer = UDPR_PENDING, user->pending = true;
  leave_callback(user);
  return answer;
}

void on_watch(udpr_reactor *reactor, udpr_id id, int32_t fd, uint32_t events, void *user_) {
  user *user = enter_callback(user_, WATCH, reactor);
  MUST(id == user->id && fd == user->fd && events != 0);
  if (events & ~(user->events | UDPR_WATCH_HANGUP)) FAIL("events %u, asked for %u", events, user->events);
  char bytes[64];
  if ((events & UDPR_WATCH_READABLE) && !one_in(4)) MUST(read(fd, bytes, sizeof bytes) != 0 || true);
  act();
  leave_callback(user);
}

void on_resolved(udpr_reactor *reactor, udpr_id id, udpr_status status, const udpr_addr *addrs, size_t count,
                 void *user_) {
  user *user = enter_callback(user_, LOOKUP, reactor);
  MUST(id == user->id && atomic_load(&user->calls) == 1);
  MUST((status == UDPR_OK) == (count > 0) && (status == UDPR_OK || addrs == NULL));
  bool allowed = user->cancelled ? status == UDPR_E_CANCELLED : status == UDPR_E_TIMED_OUT;
  for (int i = 0; i < 3 && !user->cancelled; i++) allowed |= status == user->answers[i];
  if (!allowed) FAIL("a look-up is told %s", udpr_status_name(status));
  for (size_t i = 0; i < count; i++)
    MUST(addrs[i].port == (uint16_t)user->event && addrs[i].family != UDPR_AF_UNSPEC);
  act();
  atomic_store(&user->live, false);
  leave_callback(user);
}

void on_log(const udpr_log_record *record, void *user_) {
  user *user = enter_callback(user_, LOGGER, NULL);
  MUST(record->size >= sizeof *record && record->level >= 1 && record->level <= user->event);
  MUST(strlen(record->target) > 0 && strlen(record->message) > 0 && record->status <= 0);
  w.logging++;
  if (one_in(4)) act();
  w.logging--;
  leave_callback(user);
}

void on_visit(udpr_transport *transport, void *user) {
  home *home = user;
  port *port = port_of(transport);
  /* A snapshot: one that a visit before has closed is visited, too, and says so. */
  MUST(TAKE(void *, home, udpr_transport_user, transport) == (port ? port->user : NULL));
  act();
}
