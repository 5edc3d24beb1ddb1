/* writes.c: operations that send, and operations on multicast groups. */
#include "fuzz.h"

#include <net/if.h>

static uint8_t payload[70000];

void fill(uint8_t *data, size_t len) {
  uint8_t first = (uint8_t)below(256);
  for (size_t i = 0; i < len; i++) data[i] = (uint8_t)(first + i);
}

/* Chooses a destination, valid or not, and stores it in `addr`. NULL means the peer. */
static const udpr_addr *any_destination(const port *port, udpr_addr *addr) {
  if (port->connected && one_in(2)) return one_in(2) ? NULL : (*addr = port->peer, addr);
  if (one_in(24)) return NULL;
  const struct port *other = &model.ports[below(PORTS)];
  for (int i = 0; i < 12 && (other->v6 != port->v6 || !other->host.family); i++)
    other = &model.ports[below(PORTS)];
  *addr = other->host;
  if (one_in(24)) addr->port = 0;
  if (one_in(24)) addr->reserved = 1;
  if (one_in(10) && addr->port && !addr->reserved) addr->port = 1 + (uint16_t)below(9); /* nobody is there */
  if (one_in(24) && addr->family == UDPR_AF_INET) memset(addr->bytes, 255, 4);
  return addr;
}

static bool is_broadcast(const udpr_addr *to) { return memcmp(to->bytes, "\xff\xff\xff\xff", 4) == 0; }

/* Lists the statuses with which a write with these arguments may be rejected. If there are none, it may be accepted. */
static size_t rejections(const port *port, size_t len, const udpr_addr *to, udpr_status *out) {
  size_t           n = 0;
  const udpr_addr *destination = to ? to : port->connected ? &port->peer : NULL;
  bool             is_peer = port->connected && to &&
                 (udpr_addr_equal(to, &port->peer) || udpr_addr_equal(to, &port->requested_peer));
  if (port->state != LISTENING) out[n++] = UDPR_E_CLOSED;
  if (!destination) return out[n++] = UDPR_E_NOT_CONNECTED, n;
  if (destination->family == 0) out[n++] = UDPR_E_INVALID_ARGUMENT;
  if (destination->reserved) out[n++] = UDPR_E_VERSION;
  if (port->connected && to && !is_peer) return out[n++] = UDPR_E_WRONG_PEER, n;
  if (destination->family && destination->family != (port->v6 ? UDPR_AF_INET6 : UDPR_AF_INET))
    out[n++] = UDPR_E_ADDRESS_FAMILY;
  if (destination->port == 0) out[n++] = UDPR_E_INVALID_ARGUMENT;
  if (destination->family == UDPR_AF_INET && is_broadcast(destination) && !port->broadcast)
    out[n++] = UDPR_E_ACCESS;
  if (len > (port->v6 ? 65527u : 65507u)) out[n++] = UDPR_E_MESSAGE_TOO_LONG;
  return n;
}

/* In a turn's dispatch, and between udpr_reactor_gather and the next turn, a write is batched if the queue has room for it, unless
 * many ports have batches already. */
static bool is_batched(const port *port, size_t len) {
  int open = 0;
  for (int i = 0; i < PORTS; i++) open += model.ports[i].loop == port->loop && model.ports[i].state != GONE;
  if ((port->flags & UDPR_UDP_NO_QUEUE) || port->queue_bytes < (len > 64 ? len : 64)) return false;
  return port->loop && (port->loop->dispatching > 0 || port->loop->gathers) && open < 16;
}

/* A write that is sent at once may return an error of the kernel. A batched write is accepted unless there is no room. */
static bool expect_write(const port *port, size_t len, const udpr_addr *to, bool immediate) {
  udpr_status allowed[16];
  size_t      n = rejections(port, len, to, allowed);
  if (n == 0) {
    allowed[n++] = UDPR_OK, allowed[n++] = UDPR_E_WOULD_BLOCK;
    if (len > 16000)
      allowed[n++] = UDPR_E_MESSAGE_TOO_LONG; /* it may exceed the send buffer or the MTU of the path */
    bool kernel = immediate || (port->flags & UDPR_UDP_UNBATCHED) || !is_batched(port, len);
    if (kernel) /* the port may be bound to an address that cannot reach this kind of destination */
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
  udpr_addr        addr;
  const udpr_addr *to = any_destination(port, &addr);
  size_t           len = any_length();
  fill(payload, len);
  CALL(port->loop, udpr_transport_write, port->transport, len ? payload : NULL, len, to);
  expect_write(port, len, to, false);
}

static void op_write_sequence(void) {
  port *port = any_port();
  if (!port) return;
  udpr_addr        addr;
  const udpr_addr *to = any_destination(port, &addr);
  udpr_bytes       pieces[6] = {{NULL, 0}};
  size_t           count = below(7), len = 0;
  fill(payload, sizeof payload);
  for (size_t i = 0; i < count; i++) {
    size_t piece = below(200);
    pieces[i] = (udpr_bytes){piece ? payload + len : NULL, piece};
    len += piece;
  }
  CALL(port->loop, udpr_transport_write_sequence, port->transport, count ? pieces : NULL, count, to);
  expect_write(port, len, to, false);
}

/* A reply to a datagram that was received, as well as this can be made up. */
static void op_reply(void) {
  port *port = any_port();
  if (!port) return;
  udpr_datagram datagram = {.size = sizeof datagram};
  if (!any_destination(port, &datagram.sender)) datagram.sender = port->peer;
  bool special = one_in(2);
  if (special) {
    datagram.destination = model.ports[below(PORTS)].host;
    datagram.flags = one_in(32) ? 4 : below(4);
    datagram.interface_index = below(3);
    if (one_in(32)) datagram.size = PICK((size_t)0, 4096, 4097);
  }
  size_t len = any_length();
  fill(payload, len);
  CALL(port->loop, udpr_transport_reply, port->transport, &datagram, len ? payload : NULL, len);
  if (special) ASSERT(call_status() != UDPR_E_PANIC && call_status() <= UDPR_OK);
  else if (datagram.sender.port == 0) EXPECT(UDPR_E_INVALID_ARGUMENT, UDPR_E_VERSION, UDPR_E_CLOSED);
  else expect_write(port, len, &datagram.sender, false);
}

static void op_post(void) {
  port *port = any_port();
  if (!port) return;
  udpr_addr        addr;
  const udpr_addr *to = any_destination(port, &addr);
  size_t           len = any_length();
  fill(payload, len);
  bool closing = port->loop && port->loop->closing;
  CALL(NULL, udpr_transport_post, port->transport, payload, len, to);
  if (!closing || call_status() != UDPR_E_CLOSED) expect_write(port, len, to, false);
}

/* A message, what it points to, and what has to become of it. */
typedef struct any_message_parts {
  udpr_addr  to;
  udpr_bytes pieces[3];
  size_t     len;       /* of the longest datagram */
  bool       immediate; /* it is not gathered */
  bool       special;   /* it may be refused for what only the kernel or another rule knows */
  bool       wrong;     /* it has to be refused */
} any_message_parts;

static void put_in_pieces(udpr_message *message, udpr_bytes pieces[3]) {
  size_t first = below((unsigned)message->len + 1);
  pieces[0] = (udpr_bytes){payload, first}, pieces[1] = (udpr_bytes){NULL, 0};
  pieces[2] = (udpr_bytes){payload + first, message->len - first};
  message->pieces = pieces, message->piece_count = 3, message->flags |= UDPR_MESSAGE_PIECES;
  message->data = NULL, message->len = 0;
}

/* Makes a field wrong. */
static void spoil(udpr_message *message) {
  const uint32_t without_ttl = ~(uint32_t)UDPR_MESSAGE_TTL, without_send_at = ~(uint32_t)UDPR_MESSAGE_SEND_AT;
  switch (below(8)) {
  case 0: message->size = PICK((size_t)0, (size_t)8, (size_t)4097); break;
  case 1: message->flags |= PICK(32u, 1u << 31); break;
  case 2: message->tos = 256, message->flags |= UDPR_MESSAGE_TOS; break;
  case 3: message->ttl = PICK(256u, UINT32_MAX), message->flags |= UDPR_MESSAGE_TTL; break;
  case 4: message->ttl = 1, message->flags &= without_ttl; break;
  case 5: message->send_at = 1, message->flags &= without_send_at; break;
  case 6: message->send_at = UDPR_NEVER, message->flags |= UDPR_MESSAGE_SEND_AT; break;
  default: message->reserved = 1; break;
  }
}

static udpr_message any_message(port *port, any_message_parts *parts) {
  udpr_message message = {.size = sizeof message, .data = payload, .len = any_length()};
  *parts = (any_message_parts){.len = message.len};
  message.to = any_destination(port, &parts->to);
  if (one_in(3)) message.segment_size = 1 + below(1500);
  if (message.segment_size > 0 && message.segment_size < message.len) parts->len = message.segment_size;
  if (one_in(6)) message.flags |= UDPR_MESSAGE_NOW, parts->immediate = true;
  if (one_in(6)) message.flags |= UDPR_MESSAGE_TOS, message.tos = below(256);
  if (one_in(6)) message.flags |= UDPR_MESSAGE_TTL, message.ttl = below(256);
  if (one_in(8))
    message.flags |= UDPR_MESSAGE_SEND_AT, message.send_at = PICK((udpr_ns)0, 1, (udpr_ns)1 << 62);
  if (one_in(4)) message.tag = 1 + below(MAX_TAG);
  if (one_in(8)) message.interface_index = 1;
  if (one_in(8)) message.source = &port->host;
  if (one_in(6)) put_in_pieces(&message, parts->pieces);
  parts->special = message.source || message.interface_index || message.flags & UDPR_MESSAGE_SEND_AT ||
                   (message.flags & UDPR_MESSAGE_TTL && message.ttl == 0);
  if (message.flags & UDPR_MESSAGE_PIECES && one_in(16)) message.len++, parts->wrong = true;
  if (one_in(16)) spoil(&message), parts->wrong = true;
  return message;
}

static void expect_message(port *port, const any_message_parts *parts, const udpr_message *message) {
  if (parts->special || parts->wrong) ASSERT(call_status() != UDPR_E_PANIC && call_status() <= UDPR_OK);
  else expect_write(port, parts->len, message->to, parts->immediate || message->segment_size > 0);
}

static void op_post_message(void) {
  port *port = any_port();
  if (!port) return;
  any_message_parts parts;
  fill(payload, sizeof payload);
  udpr_message message = any_message(port, &parts);
  bool         closing = port->loop && port->loop->closing, none = one_in(64);
  parts.wrong |= none;
  CALL(NULL, udpr_transport_post_message, port->transport, none ? NULL : &message);
  ASSERT(call_status() != UDPR_OK || !parts.wrong);
  if (!closing || call_status() != UDPR_E_CLOSED) expect_message(port, &parts, &message);
}

static void op_messages(void) {
  port *port = any_port();
  if (!port) return;
  any_message_parts parts[4];
  udpr_message      messages[4];
  size_t            count = 1 + below(4), accepted = 99;
  bool              immediate = false;
  fill(payload, sizeof payload);
  for (size_t i = 0; i < count; i++) {
    messages[i] = any_message(port, &parts[i]);
    parts[i].immediate = immediate |= parts[i].immediate;
    if (one_in(32))
      messages[i].size = i ? PICK((size_t)0, sizeof *messages + 8, 4096) : 0, parts[i].wrong = true;
  }
  CALL(port->loop, udpr_transport_write_messages, port->transport, messages, count,
       one_in(64) ? NULL : &accepted);
  if (accepted == 99) {
    EXPECT(UDPR_E_INVALID_ARGUMENT, UDPR_E_CLOSED);
  } else {
    ASSERT(accepted <= count && (call_status() == UDPR_OK) == (accepted == count));
    for (size_t i = 0; i < accepted; i++) ASSERT(!parts[i].wrong);
    if (accepted < count) expect_message(port, &parts[accepted], &messages[accepted]);
  }
}

static void op_flush(void) {
  port *port = any_port();
  if (!port) return;
  CALL(port->loop, udpr_transport_flush, port->transport);
  if (port->state == LISTENING) EXPECT(UDPR_OK, UDPR_E_WOULD_BLOCK);
  else EXPECT(UDPR_E_CLOSED);
}

static void op_gather(void) {
  loop *loop = any_loop();
  if (!loop) return;
  if (one_in(2)) {
    CALL(loop, udpr_reactor_gather, loop->reactor);
    if (EXPECT(UDPR_OK)) loop->gathers = loop->inside == 0; /* otherwise a turn may end it */
  } else {
    CALL(loop, udpr_reactor_flush, loop->reactor);
    if (EXPECT(UDPR_OK, UDPR_E_WOULD_BLOCK) || call_status() == UDPR_E_WOULD_BLOCK) loop->gathers = false;
  }
}

const operation write_operations[] = {{op_write, 12}, {op_write_sequence, 2}, {op_reply, 2},
                                      {op_post, 3},   {op_post_message, 2},   {op_messages, 4},
                                      {op_flush, 1},  {op_gather, 2},         {NULL, 0}};

/* ---- groups --------------------------------------------------------------------------------------------------- */

static udpr_addr any_group(const port *port) {
  udpr_addr   group;
  const char *text = one_in(12) ? PICK("127.0.0.1", "::1", "224.0.0.5", "ff02::5")
                     : port->v6 ? PICK("ff02::5", "ff02::6", "ff12::7")
                                : PICK("228.0.0.5", "228.0.0.6", "232.1.1.1");
  CALL(NULL, udpr_addr_parse, text, 0, &group);
  ASSERT(EXPECT(UDPR_OK));
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

/* All groups are joined on the loopback device, which is interface 1 of every network namespace. */
static void op_group(void) {
  port *port = any_port();
  if (!port || !own_network) return;
  udpr_addr group = any_group(port), source;
  bool      with_source = one_in(3), join = !one_in(3);
  CALL(NULL, udpr_addr_parse, port->v6 ? "::1" : PICK("127.0.0.1", "127.0.0.2"), 0, &source);
  int      found = joined(port, &group, with_source ? &source : NULL);
  uint32_t addr = one_in(16) ? 99 : 1;
  if (join && with_source)
    CALL(port->loop, udpr_transport_join_source_group, port->transport, &group, &source, addr);
  else if (join) CALL(port->loop, udpr_transport_join_group, port->transport, &group, addr);
  else if (with_source)
    CALL(port->loop, udpr_transport_leave_source_group, port->transport, &group, &source, addr);
  else CALL(port->loop, udpr_transport_leave_group, port->transport, &group, addr);
  bool no_group = group.bytes[0] == 127 || group.bytes[0] == 0;
  bool family = group.family == (port->v6 ? UDPR_AF_INET6 : UDPR_AF_INET);
  if (port->state != LISTENING) {
    EXPECT(UDPR_E_CLOSED);
  } else if (no_group || !family) {
    EXPECT(UDPR_E_NOT_MULTICAST, family ? UDPR_E_NOT_MULTICAST : UDPR_E_ADDRESS_FAMILY);
  } else if (addr == 99) {
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
  loop     *loop = port->loop;
  unsigned  logged = model.logged;
  bool      open = port->state == LISTENING, readable = open || port->state == STOPPING;
  uint32_t  ttl = PICK(0u, 1u, 255u, 256u), index = PICK(0u, 1u, 99u), got_ttl, got_index;
  udpr_bool on = one_in(2), got_on;
  CALL(loop, udpr_transport_set_ttl, port->transport, ttl);
  bool ttl_set = EXPECT(open && ttl <= 255 ? UDPR_OK : UDPR_E_INVALID_ARGUMENT,
                        open ? UDPR_E_INVALID_ARGUMENT : UDPR_E_CLOSED);
  if (model.logged != logged) return; /* the port may be gone */
  if (ttl_set) ASSERT(open && ttl <= 255);
  CALL(loop, udpr_transport_get_ttl, port->transport, &got_ttl);
  if (EXPECT(readable ? UDPR_OK : UDPR_E_CLOSED) && ttl_set) ASSERT(got_ttl == ttl);
  CALL(loop, udpr_transport_set_loopback_mode, port->transport, on);
  bool on_set = EXPECT(open ? UDPR_OK : UDPR_E_CLOSED);
  CALL(loop, udpr_transport_get_loopback_mode, port->transport, &got_on);
  if (EXPECT(readable ? UDPR_OK : UDPR_E_CLOSED) && on_set) ASSERT(got_on == on);
  CALL(loop, udpr_transport_set_outgoing_interface, port->transport, index);
  bool index_set = EXPECT(index == 99 ? UDPR_E_NO_INTERFACE
                          : open      ? UDPR_OK
                                      : UDPR_E_CLOSED,
                          open ? UDPR_OK : UDPR_E_CLOSED);
  if (index == 99 && call_status() == UDPR_OK) FAIL("an interface that is not there");
  CALL(loop, udpr_transport_get_outgoing_interface, port->transport, &got_index);
  if (EXPECT(readable ? UDPR_OK : UDPR_E_CLOSED) && index_set) ASSERT(got_index == index);
}

static void op_write_group(void) {
  port *port = any_port();
  if (!port || !own_network || port->state != LISTENING || port->connected) return;
  udpr_addr group = any_group(port);
  size_t    len = below(200);
  group.port = model.ports[below(PORTS)].host.port;
  if (port->v6) group.scope_id = 1;
  fill(payload, len);
  CALL(port->loop, udpr_transport_write, port->transport, payload, len, &group);
  ASSERT(call_status() != UDPR_E_PANIC);
}

const operation group_operations[] = {{op_group, 4}, {op_group_settings, 1}, {op_write_group, 2}, {NULL, 0}};
