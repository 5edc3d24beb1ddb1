/* writes.c: operations that send, and those on groups. */
#include "fuzz.h"

#include <net/if.h>

static uint8_t payload[70000];

void fill(uint8_t *data, size_t len) {
  uint8_t first = (uint8_t)below(256);
  for (size_t i = 0; i < len; i++) data[i] = (uint8_t)(first + i);
}

/* Somewhere to write to, good or not; `where` holds it. NULL: nowhere. */
static const udpr_addr *any_target(const port *port, udpr_addr *where) {
  if (port->connected && one_in(2)) return one_in(2) ? NULL : (*where = port->peer, where);
  if (one_in(24)) return NULL;
  const struct port *other = &w.ports[below(PORTS)];
  for (int i = 0; i < 12 && (other->v6 != port->v6 || !other->host.family); i++)
    other = &w.ports[below(PORTS)];
  *where = other->host;
  if (one_in(24)) where->port = 0;
  if (one_in(24)) where->reserved = 1;
  if (one_in(10) && where->port && !where->reserved)
    where->port = 1 + (uint16_t)below(9); /* nobody is there */
  if (one_in(24) && where->family == UDPR_AF_INET) memset(where->bytes, 255, 4);
  return where;
}

static bool everyone(const udpr_addr *to) { return memcmp(to->bytes, "\xff\xff\xff\xff", 4) == 0; }

/* The statuses that the arguments explain; none: it may be accepted. */
static size_t reasons(const port *port, size_t len, const udpr_addr *to, udpr_status *out) {
  size_t           n = 0;
  const udpr_addr *target = to ? to : port->connected ? &port->peer : NULL;
  bool             is_peer =
      port->connected && to && (udpr_addr_equal(to, &port->peer) || udpr_addr_equal(to, &port->asked));
  if (port->state != LISTENING) out[n++] = UDPR_E_CLOSED;
  if (!target) return out[n++] = UDPR_E_NOT_CONNECTED, n;
  if (target->family == 0) out[n++] = UDPR_E_INVALID_ARGUMENT;
  if (target->reserved) out[n++] = UDPR_E_VERSION;
  if (port->connected && to && !is_peer) return out[n++] = UDPR_E_WRONG_PEER, n;
  if (target->family && target->family != (port->v6 ? UDPR_AF_INET6 : UDPR_AF_INET))
    out[n++] = UDPR_E_ADDRESS_FAMILY;
  if (target->port == 0) out[n++] = UDPR_E_INVALID_ARGUMENT;
  if (target->family == UDPR_AF_INET && everyone(target) && !port->broadcast) out[n++] = UDPR_E_ACCESS;
  if (len > (port->v6 ? 65527u : 65507u)) out[n++] = UDPR_E_MESSAGE_TOO_LONG;
  return n;
}

/* In a pass of a turn what could be queued does, unless many ports gather already. */
static bool gathers(const port *port, size_t len) {
  int open = 0;
  for (int i = 0; i < PORTS; i++) open += w.ports[i].home == port->home && w.ports[i].state != GONE;
  if ((port->flags & UDPR_UDP_NO_QUEUE) || port->queue_bytes < (len > 64 ? len : 64)) return false;
  return port->home && port->home->dispatching > 0 && open < 16;
}

/* A write that leaves at once may hear from the kernel; one that gathers is accepted, or there is no room. */
static bool expect_write(const port *port, size_t len, const udpr_addr *to, bool leaves) {
  udpr_status allowed[16];
  size_t      n = reasons(port, len, to, allowed);
  if (n == 0) {
    allowed[n++] = UDPR_OK, allowed[n++] = UDPR_E_WOULD_BLOCK;
    if (len > 16000)
      allowed[n++] = UDPR_E_MESSAGE_TOO_LONG; /* more than the send buffer, or than the path carries */
    bool kernel = leaves || (port->flags & UDPR_UDP_UNBATCHED) || !gathers(port, len);
    if (kernel) /* where the port is bound to one address and the target is another kind of it */
      allowed[n++] = UDPR_E_NETWORK_UNREACHABLE, allowed[n++] = UDPR_E_INVALID_ARGUMENT,
      allowed[n++] = UDPR_E_ADDRESS_NOT_AVAILABLE, allowed[n++] = UDPR_E_PERMISSION,
      allowed[n++] = UDPR_E_ACCESS;
  }
  return expect(__FILE__, __LINE__, allowed, n);
}

static size_t any_length(void) {
  if (one_in(32)) return PICK((size_t)65507, 65508, 65527, 65528, 69999);
  return one_in(8) ? below(20000) : below(300);
}

static void op_write(void) {
  port *port = any_port();
  if (!port) return;
  udpr_addr        where;
  const udpr_addr *to = any_target(port, &where);
  size_t           len = any_length();
  fill(payload, len);
  CALL(port->home, udpr_transport_write, port->transport, len ? payload : NULL, len, to);
  expect_write(port, len, to, false);
}

static void op_sequence(void) {
  port *port = any_port();
  if (!port) return;
  udpr_addr        where;
  const udpr_addr *to = any_target(port, &where);
  udpr_bytes       pieces[6] = {{NULL, 0}};
  size_t           count = below(7), len = 0;
  fill(payload, sizeof payload);
  for (size_t i = 0; i < count; i++) {
    size_t piece = below(200);
    pieces[i] = (udpr_bytes){piece ? payload + len : NULL, piece};
    len += piece;
  }
  CALL(port->home, udpr_transport_write_sequence, port->transport, count ? pieces : NULL, count, to);
  expect_write(port, len, to, false);
}

static void op_post(void) {
  port *port = any_port();
  if (!port) return;
  udpr_addr        where;
  const udpr_addr *to = any_target(port, &where);
  size_t           len = any_length();
  fill(payload, len);
  bool closing = port->home && port->home->closing;
  CALL(NULL, udpr_transport_post, port->transport, payload, len, to);
  if (!closing || call_status() != UDPR_E_CLOSED) expect_write(port, len, to, false);
}

static void op_messages(void) {
  port *port = any_port();
  if (!port) return;
  udpr_addr    to[4];
  udpr_message messages[4];
  size_t       count = 1 + below(4), taken = 99;
  bool         wrong = false, leaves = false;
  fill(payload, sizeof payload);
  for (size_t i = 0; i < count; i++) {
    messages[i] = (udpr_message){.size = sizeof *messages, .data = payload, .len = any_length()};
    messages[i].to = any_target(port, &to[i]);
    if (one_in(3)) messages[i].segment_size = 1 + below(1500);
    if (one_in(6)) messages[i].flags |= UDPR_MESSAGE_NOW, leaves = true;
    if (one_in(6)) messages[i].flags |= UDPR_MESSAGE_TOS, messages[i].tos = below(256);
    if (one_in(8)) messages[i].interface_index = 1;
    if (one_in(8)) messages[i].source = &port->host;
    if (one_in(32)) messages[i].flags |= 4, wrong = true;
    if (one_in(32)) messages[i].tos = 256, messages[i].flags |= UDPR_MESSAGE_TOS, wrong = true;
    if (one_in(32)) messages[i].size = i ? PICK((size_t)0, sizeof *messages + 8, 4096) : 0, wrong = true;
  }
  CALL(port->home, udpr_transport_write_messages, port->transport, messages, count,
       one_in(64) ? NULL : &taken);
  if (taken == 99) {
    EXPECT(UDPR_E_INVALID_ARGUMENT, UDPR_E_CLOSED);
  } else {
    MUST(taken <= count && (call_status() == UDPR_OK) == (taken == count));
    if (taken == count) return;
    const udpr_message *last = &messages[taken];
    bool                cut = last->segment_size > 0;
    if (wrong || last->source || last->interface_index) {
      MUST(call_status() != UDPR_E_PANIC && call_status() < 0);
    } else if (cut && last->len > 0) {
      expect_write(port, last->segment_size < last->len ? last->segment_size : last->len, last->to, true);
    } else {
      expect_write(port, last->len, last->to, leaves);
    }
  }
}

static void op_flush(void) {
  port *port = any_port();
  if (!port) return;
  CALL(port->home, udpr_transport_flush, port->transport);
  if (port->state == LISTENING) EXPECT(UDPR_OK, UDPR_E_WOULD_BLOCK);
  else EXPECT(UDPR_E_CLOSED);
}

const operation write_operations[] = {{op_write, "write", 12}, {op_sequence, "write_sequence", 2},
                                      {op_post, "post", 3},    {op_messages, "write_messages", 4},
                                      {op_flush, "flush", 1},  {NULL, NULL, 0}};

/* ---- groups --------------------------------------------------------------------------------------------------- */

static udpr_addr any_group(const port *port) {
  udpr_addr   group;
  const char *text = one_in(12) ? PICK("127.0.0.1", "::1", "224.0.0.5", "ff02::5")
                     : port->v6 ? PICK("ff02::5", "ff02::6", "ff12::7")
                                : PICK("228.0.0.5", "228.0.0.6", "232.1.1.1");
  CALL(NULL, udpr_addr_parse, text, 0, &group);
  MUST(EXPECT(UDPR_OK));
  return group;
}

static int joined(const port *port, const udpr_addr *group, const udpr_addr *source) {
  for (int i = 0; i < port->group_count; i++) {
    bool same =
        udpr_addr_equal(&port->groups[i].group, group) && port->groups[i].with_source == (source != NULL);
    if (same && (!source || udpr_addr_equal(&port->groups[i].source, source))) return i;
  }
  return -1;
}

/* Everything happens on the loopback, interface 1 of every network namespace. */
static void op_group(void) {
  port *port = any_port();
  if (!port || !own_network) return;
  udpr_addr group = any_group(port), source;
  bool      with_source = one_in(3), join = !one_in(3);
  CALL(NULL, udpr_addr_parse, port->v6 ? "::1" : PICK("127.0.0.1", "127.0.0.2"), 0, &source);
  int      found = joined(port, &group, with_source ? &source : NULL);
  uint32_t where = one_in(16) ? 99 : 1;
  if (join && with_source)
    CALL(port->home, udpr_transport_join_source_group, port->transport, &group, &source, where);
  else if (join) CALL(port->home, udpr_transport_join_group, port->transport, &group, where);
  else if (with_source)
    CALL(port->home, udpr_transport_leave_source_group, port->transport, &group, &source, where);
  else CALL(port->home, udpr_transport_leave_group, port->transport, &group, where);
  bool no_group = group.bytes[0] == 127 || group.bytes[0] == 0;
  bool family = group.family == (port->v6 ? UDPR_AF_INET6 : UDPR_AF_INET);
  if (port->state != LISTENING) {
    EXPECT(UDPR_E_CLOSED);
  } else if (no_group || !family) {
    EXPECT(UDPR_E_NOT_MULTICAST, family ? UDPR_E_NOT_MULTICAST : UDPR_E_ADDRESS_FAMILY);
  } else if (where == 99) {
    EXPECT(UDPR_E_NO_INTERFACE);
  } else if (join && found >= 0) {
    EXPECT(UDPR_E_ALREADY_JOINED);
  } else if (join && EXPECT(UDPR_OK, UDPR_E_ALREADY_JOINED, SYSTEM(ENOBUFS)) && port->group_count < GROUPS) {
    int i = port->group_count++;
    port->groups[i].group = group, port->groups[i].source = source, port->groups[i].with_source = with_source;
  } else if (!join && found < 0) {
    if (port->group_count < GROUPS) EXPECT(UDPR_E_NOT_JOINED);
  } else if (!join && EXPECT(UDPR_OK)) {
    port->groups[found] = port->groups[--port->group_count];
  }
}

static void op_group_settings(void) {
  port *port = any_port();
  if (!port || !own_network) return;
  home     *home = port->home;
  bool      open = port->state == LISTENING, readable = open || port->state == STOPPING;
  uint32_t  ttl = PICK(0u, 1u, 255u, 256u), index = PICK(0u, 1u, 99u), got_ttl, got_index;
  udpr_bool on = one_in(2), got_on;
  CALL(home, udpr_transport_set_ttl, port->transport, ttl);
  bool ttl_set = EXPECT(open && ttl <= 255 ? UDPR_OK : UDPR_E_INVALID_ARGUMENT,
                        open ? UDPR_E_INVALID_ARGUMENT : UDPR_E_CLOSED);
  if (ttl_set) MUST(open && ttl <= 255);
  CALL(home, udpr_transport_get_ttl, port->transport, &got_ttl);
  if (EXPECT(readable ? UDPR_OK : UDPR_E_CLOSED) && ttl_set) MUST(got_ttl == ttl);
  CALL(home, udpr_transport_set_loopback_mode, port->transport, on);
  bool on_set = EXPECT(open ? UDPR_OK : UDPR_E_CLOSED);
  CALL(home, udpr_transport_get_loopback_mode, port->transport, &got_on);
  if (EXPECT(readable ? UDPR_OK : UDPR_E_CLOSED) && on_set) MUST(got_on == on);
  CALL(home, udpr_transport_set_outgoing_interface, port->transport, index);
  bool index_set = EXPECT(index == 99 ? UDPR_E_NO_INTERFACE
                          : open      ? UDPR_OK
                                      : UDPR_E_CLOSED,
                          open ? UDPR_OK : UDPR_E_CLOSED);
  if (index == 99 && call_status() == UDPR_OK) FAIL("an interface that is not there");
  CALL(home, udpr_transport_get_outgoing_interface, port->transport, &got_index);
  if (EXPECT(readable ? UDPR_OK : UDPR_E_CLOSED) && index_set) MUST(got_index == index);
}

static void op_write_group(void) {
  port *port = any_port();
  if (!port || !own_network || port->state != LISTENING || port->connected) return;
  udpr_addr group = any_group(port);
  size_t    len = below(200);
  group.port = w.ports[below(PORTS)].host.port;
  if (port->v6) group.scope_id = 1;
  fill(payload, len);
  CALL(port->home, udpr_transport_write, port->transport, payload, len, &group);
  MUST(call_status() != UDPR_E_PANIC);
}

const operation group_operations[] = {{op_group, "group", 4},
                                      {op_group_settings, "group_settings", 1},
                                      {op_write_group, "write_group", 2},
                                      {NULL, NULL, 0}};
