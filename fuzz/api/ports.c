/* ports.c: operations on ports: listening, adopting, connecting, options, closing. */
#include "fuzz.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

/* A transport may be used while the program holds a reference, and while its port exists. */
port *any_port(void) {
  int  start = (int)below(PORTS);
  bool open = !one_in(8); /* prefer an open one */
  for (int i = 0; i < PORTS && open; i++) {
    port *port = &model.ports[(start + i) % PORTS];
    if (port->transport && port->state == LISTENING) return port;
  }
  for (int i = 0; i < PORTS; i++) {
    port *port = &model.ports[(start + i) % PORTS];
    if (port->transport && (port->references > 0 || (port->state != GONE && port->state != ABSENT)))
      return port;
  }
  return NULL;
}

port *port_of(const udpr_transport *transport) {
  for (int i = 0; i < PORTS; i++) {
    port *port = &model.ports[i];
    if (port->transport == transport && port->state != ABSENT && port->state != GONE) return port;
  }
  return NULL;
}

static port *unused_port(void) {
  for (int i = 0; i < PORTS; i++) {
    port *port = &model.ports[i];
    if (port->state == ABSENT) return port;
    if (port->state == GONE && port->references == 0 && !port->creating && !atomic_load(&port->reg->busy))
      return port;
  }
  return NULL;
}

void set_port_gone(port *port) {
  port->state = GONE;
  atomic_store(&port->reg->live, false);
}

/* ---- creation ---------------------------------------------------------------------------------------------------- */

enum { LISTEN_FLAGS = 0x3fff, ADOPT_FLAGS = LISTEN_FLAGS & ~0xf };

static void draw_options(udpr_udp_options *options, uint32_t known) {
  *options = (udpr_udp_options){.size = sizeof *options,
                                .flags = (uint32_t)random_u64() & (uint32_t)random_u64() & known};
  if (one_in(4)) options->max_packet_size = 1 + below(3000);
  if (one_in(8)) options->receive_buffer = 4096 + below(100000);
  if (one_in(6)) options->send_buffer = below(20000);
  if (one_in(3)) options->send_queue_bytes = 1 + below(4096);
  if (one_in(4))
    options->write_ready_bytes = below(options->send_queue_bytes ? options->send_queue_bytes : 4096);
}

static port *prepare_port(loop *loop, const udpr_udp_options *options, bool v6, udpr_protocol *protocol) {
  port *port = unused_port();
  if (!port) return NULL;
  registration *reg = new_registration(PORT, loop);
  *port = (struct port){
      .state = STARTING, .creating = true, .loop = loop, .reg = reg, .v6 = v6, .flags = options->flags};
  port->packet_size = options->max_packet_size ? options->max_packet_size : 65535;
  port->queue_bytes = options->send_queue_bytes ? options->send_queue_bytes : 1 << 20;
  port->broadcast = options->flags & UDPR_UDP_BROADCAST;
  reg->port = port;
  *protocol = protocol_table;
  protocol->user = reg;
  protocol->free_user = free_fn(reg);
  if (one_in(4)) protocol->datagrams_received = on_datagrams;
  if (one_in(4)) protocol->configure_socket = on_configure;
  return port;
}

/* Checks the result of the call that created the port. A failed call must leave nothing behind. */
static void check_created_port(port *port, udpr_transport *out, bool want_out) {
  port->creating = false;
  if (call_status() == UDPR_OK) {
    ASSERT(port->state != STARTING && (out != NULL) == want_out);
    if (want_out) ASSERT(out == port->transport);
    port->references += want_out;
    if (port->state == GONE && port->references == 0) must_be_freed(port->reg);
  } else {
    ASSERT(out == NULL && port->state != STOPPED);
    port->state = GONE;
    atomic_store(&port->reg->live, false);
    must_be_freed(port->reg);
  }
}

static void op_listen(void) {
  loop *loop = any_loop();
  if (!loop) return;
  udpr_udp_options options;
  udpr_protocol    protocol;
  udpr_transport  *out = NULL;
  draw_options(&options, LISTEN_FLAGS);
  bool v6 = one_in(3), want_out = !one_in(6), with_options = !one_in(8);
  if (!with_options) options = (udpr_udp_options){.size = sizeof options};
  if (one_in(8) && with_options) options.bind_device = "lo";
  port *port = prepare_port(loop, &options, v6, &protocol);
  if (!port) return;
  const char *local =
      v6 ? PICK("::1", "::1", "::") : PICK("127.0.0.1", "127.0.0.1", "127.0.0.2", "", "0.0.0.0");
  uint16_t number = 0;
  if (one_in(6)) number = model.ports[below(PORTS)].host.port;
  udpr_udp_options *passed = with_options ? &options : NULL;
  udpr_addr         addr;
  if (one_in(3) && udpr_addr_parse(local, number, &addr) == UDPR_OK)
    CALL(loop, udpr_reactor_listen_addr, loop->reactor, &addr, &protocol, passed, want_out ? &out : NULL);
  else if (one_in(2))
    CALL(loop, udpr_reactor_listen_udp, loop->reactor, number, local, &protocol, passed,
         want_out ? &out : NULL);
  else
    CALL(loop, udpr_reactor_listen_multicast, loop->reactor, number, local, &protocol, passed,
         want_out ? &out : NULL);
  EXPECT(UDPR_OK, UDPR_E_NO_MEMORY, UDPR_E_INVALID_ARGUMENT, SYSTEM(EIO),
         number ? UDPR_E_ADDRESS_IN_USE : UDPR_OK,
         with_options && (options.flags & UDPR_UDP_DONT_FRAGMENT) ? UDPR_E_INVALID_ARGUMENT : UDPR_OK);
  check_created_port(port, out, want_out);
}

/* Arguments that always have to be rejected. */
static void op_listen_wrong(void) {
  loop *loop = any_loop();
  if (!loop) return;
  udpr_udp_options options = {.size = sizeof options};
  udpr_protocol    protocol;
  udpr_transport  *out = NULL;
  port            *port = prepare_port(loop, &options, false, &protocol);
  if (!port) return;
  protocol.configure_socket = NULL; /* it might return another status */
  const char *local = "127.0.0.1";
  switch (below(9)) {
  case 0: options.flags = 0x10000; break;
  case 1: options.flags = UDPR_UDP_TAKE_FD; break;
  case 2: options.reserved = 1; break;
  case 3: options.size = PICK((size_t)0, (size_t)8, (size_t)4097); break;
  case 4: options.max_packet_size = 65536; break;
  case 5: local = PICK("localhost", "1.2.3.4:5", "[::1]", "127.1"); break;
  case 6: local = "192.0.2.1"; break;
  case 7: options.bind_device = PICK("", "nosuch0", "a-name-that-is-too-long"); break;
  default: options.send_buffer = UINT32_MAX; break;
  }
  CALL(loop, udpr_reactor_listen_udp, loop->reactor, 0, local, &protocol, &options, &out);
  EXPECT(UDPR_E_INVALID_ARGUMENT, UDPR_E_VERSION, UDPR_E_INVALID_ADDRESS, UDPR_E_ADDRESS_NOT_AVAILABLE,
         UDPR_E_NO_INTERFACE);
  check_created_port(port, out, true);
  protocol.size = PICK((size_t)0, offsetof(udpr_protocol, configure_socket) - 8,
                       (size_t)5000); /* free_user is not called then, since the struct cannot be read */
  CALL(loop, udpr_reactor_listen_udp, loop->reactor, 0, "127.0.0.1", &protocol, NULL, &out);
  EXPECT(UDPR_E_INVALID_ARGUMENT);
  ASSERT(out == NULL);
}

static void op_adopt(void) {
  loop *loop = any_loop();
  if (!loop) return;
  udpr_udp_options options;
  udpr_protocol    protocol;
  udpr_transport  *out = NULL;
  draw_options(&options, ADOPT_FLAGS | UDPR_UDP_OFFLOAD);
  bool  v6 = one_in(3), stream = one_in(8), want_out = !one_in(4), take = one_in(2);
  port *port = prepare_port(loop, &options, v6, &protocol);
  if (!port) return;
  port->adopted = true;
  if (take) options.flags |= UDPR_UDP_TAKE_FD;
  int fd = socket(v6 ? AF_INET6 : AF_INET, (stream ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0);
  struct sockaddr_in6 local = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  if (!v6)
    *(struct sockaddr_in *)&local =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (fd >= 0 && !stream && !one_in(6))
    (void)!bind(fd, (struct sockaddr *)&local, v6 ? sizeof local : sizeof(struct sockaddr_in));
  bool     bad = fd < 0;
  uint16_t family = one_in(8) ? (v6 ? UDPR_AF_INET : UDPR_AF_INET6) : v6 ? UDPR_AF_INET6 : UDPR_AF_INET;
  bool     other = (family == UDPR_AF_INET) == v6;
  CALL(loop, udpr_reactor_adopt_datagram_port, loop->reactor, fd, family, &protocol, &options,
       want_out ? &out : NULL);
  if (bad) EXPECT(SYSTEM(EBADF));
  else if (stream) EXPECT(UDPR_E_SOCKET_TYPE, other ? UDPR_E_ADDRESS_FAMILY : UDPR_E_SOCKET_TYPE);
  else if (other) EXPECT(UDPR_E_ADDRESS_FAMILY);
  else EXPECT(UDPR_OK, UDPR_E_NO_MEMORY, UDPR_E_INVALID_ARGUMENT, SYSTEM(EIO));
  check_created_port(port, out, want_out);
  if (fd >= 0 && !take) close(fd);
}

/* ---- closing --------------------------------------------------------------------------------------------------- */

static void op_stop_listening(void) {
  port *port = any_port();
  if (!port) return;
  enum state before = port->state;
  CALL(port->loop, udpr_transport_stop_listening, port->transport);
  if (before == GONE) EXPECT(UDPR_E_CLOSED);
  else if (EXPECT(UDPR_OK, before == STOPPED ? UDPR_E_CLOSED : UDPR_OK) && port->state == LISTENING)
    port->state = STOPPING;
}

static void op_stop_when_sent(void) {
  port *port = any_port();
  if (!port) return;
  udpr_ns    timeout = PICK((udpr_ns)0, 1, 1000000, INT64_MAX, UDPR_NEVER, UDPR_NEVER - 1);
  bool       wrong = timeout > INT64_MAX && timeout != UDPR_NEVER;
  enum state before = port->state;
  CALL(port->loop, udpr_transport_stop_when_sent, port->transport, timeout);
  if (before == GONE) EXPECT(UDPR_E_CLOSED);
  else if (wrong)
    EXPECT(UDPR_E_INVALID_ARGUMENT, before == STOPPED ? UDPR_E_CLOSED : UDPR_E_INVALID_ARGUMENT);
  else if (EXPECT(UDPR_OK, before == STOPPED ? UDPR_E_CLOSED : UDPR_OK) && port->state == LISTENING)
    port->state = STOPPING;
}

static void op_close(void) {
  port *port = any_port();
  if (!port) return;
  enum state    before = port->state;
  bool          busy = atomic_load(&port->reg->busy) > 0;
  registration *reg = port->reg;
  CALL(port->loop, udpr_transport_close, port->transport);
  if (before == GONE) EXPECT(UDPR_E_CLOSED);
  else if (EXPECT(UDPR_OK, before == STOPPED ? UDPR_E_CLOSED : UDPR_OK) && before != STOPPED) {
    /* A logger may be called about a port that is being closed, before its stop_protocol. */
    if (reg->port == port && port->reg == reg && !model.logging) ASSERT(port->state == GONE);
    if (!busy) must_be_freed(reg);
  }
}

static void op_retain_release(void) {
  port *port = any_port();
  if (one_in(16)) ASSERT(CALL_VALUE(udpr_transport *, NULL, udpr_transport_retain, NULL) == NULL);
  if (!port) return;
  if (port->references < 3 && one_in(2)) {
    ASSERT(CALL_VALUE(udpr_transport *, NULL, udpr_transport_retain, port->transport) == port->transport);
    port->references++;
  } else if (port->references > 0) {
    port->references--;
    call_begin(FN_udpr_transport_release, NULL);
    udpr_transport_release(port->transport);
    call_end(UDPR_OK);
  }
}

static void op_visit(void) {
  loop *loop = any_loop();
  if (!loop) return;
  CALL(loop, udpr_reactor_each_transport, loop->reactor, one_in(16) ? NULL : on_visit, loop);
  EXPECT(UDPR_OK, UDPR_E_INVALID_ARGUMENT);
}

/* ---- using ---------------------------------------------------------------------------------------------- */

/* Calls that change a port return UDPR_E_CLOSED after a stop. */
#define EXPECT_IF_OPEN(port, ...)                   \
  ((port)->state == LISTENING ? EXPECT(__VA_ARGS__) \
                              : ((void)EXPECT(UDPR_E_CLOSED, UDPR_E_INVALID_ARGUMENT), false))
/* Calls that only read return UDPR_E_CLOSED after the socket is closed. */
#define EXPECT_IF_BOUND(port, ...)                         \
  ((port)->state == LISTENING || (port)->state == STOPPING \
       ? EXPECT(__VA_ARGS__)                               \
       : ((void)EXPECT(UDPR_E_CLOSED, UDPR_E_INVALID_ARGUMENT), false))

static void op_getters(void) {
  port *port = any_port();
  if (!port) return;
  loop *loop = port->loop;
  bool  mine = !loop || may_enter(loop);
  if (model.logging) return;
  bool      there = mine && port->state != GONE, open = there && port->state != STOPPED;
  udpr_addr host, peer;
  ASSERT(CALL_VALUE(udpr_reactor *, loop, udpr_transport_reactor, port->transport) ==
         (there ? loop->reactor : NULL));
  ASSERT(CALL_VALUE(void *, loop, udpr_transport_user, port->transport) == (there ? port->reg : NULL));
  ASSERT((CALL_VALUE(int32_t, loop, udpr_transport_fileno, port->transport) >= 0) == open);
  CALL(loop, udpr_transport_get_host, port->transport, &host);
  if (EXPECT_IF_BOUND(port, UDPR_OK) && !port->adopted) ASSERT(host.port == port->host.port);
  CALL(loop, udpr_transport_get_peer, port->transport, &peer);
  if (EXPECT_IF_BOUND(port, port->connected ? UDPR_OK : UDPR_E_NOT_CONNECTED))
    ASSERT(udpr_addr_equal(&peer, &port->peer));
}

static void op_pause(void) {
  port *port = any_port();
  if (!port) return;
  bool pause = one_in(3);
  if (pause) CALL(port->loop, udpr_transport_pause_reading, port->transport);
  else CALL(port->loop, udpr_transport_resume_reading, port->transport);
  if (EXPECT_IF_OPEN(port, UDPR_OK)) port->paused = pause;
}

static void op_connect(void) {
  port *port = any_port(), *other = &model.ports[below(PORTS)];
  if (!port) return;
  for (int i = 0; i < 6 && other->v6 != port->v6; i++) other = &model.ports[below(PORTS)];
  udpr_addr peer = other->host;
  bool      family = peer.family == (port->v6 ? UDPR_AF_INET6 : UDPR_AF_INET);
  if (one_in(8)) peer.port = 0;
  if (one_in(16)) peer.reserved = 1;
  if (one_in(4) && family && !peer.reserved && peer.port) peer.port = 1; /* nobody is there */
  CALL(port->loop, udpr_transport_connect, port->transport, &peer);
  if (peer.family == 0) EXPECT_IF_OPEN(port, UDPR_E_INVALID_ARGUMENT, UDPR_E_VERSION);
  else if (peer.reserved || peer.port == 0 || !family)
    EXPECT_IF_OPEN(port, UDPR_E_INVALID_ARGUMENT, UDPR_E_VERSION,
                   family ? UDPR_E_INVALID_ARGUMENT : UDPR_E_ADDRESS_FAMILY);
  else if (EXPECT_IF_OPEN(port, UDPR_OK, UDPR_E_NETWORK_UNREACHABLE, UDPR_E_INVALID_ARGUMENT,
                          UDPR_E_ADDRESS_IN_USE, UDPR_E_ADDRESS_NOT_AVAILABLE)) {
    port->connected = true;
    port->requested_peer = peer;
    CALL(port->loop, udpr_transport_get_peer, port->transport, &port->peer);
    EXPECT(UDPR_OK);
  } else if (call_status() != UDPR_E_WRONG_THREAD) {
    CALL(port->loop, udpr_transport_get_peer, port->transport, &port->peer);
    port->connected = call_status() == UDPR_OK;
  }
}

static void op_disconnect(void) {
  port *port = any_port();
  if (!port) return;
  CALL(port->loop, udpr_transport_disconnect, port->transport);
  if (EXPECT_IF_OPEN(port, port->connected ? UDPR_OK : UDPR_E_NOT_CONNECTED, UDPR_E_ADDRESS_IN_USE))
    port->connected = false;
}

static void op_settings(void) {
  port *port = any_port();
  if (!port) return;
  loop     *loop = port->loop;
  unsigned  logged = model.logged;
  uint32_t  ttl = PICK(0u, 1u, 64u, 255u, 256u, UINT32_MAX), got = 0;
  udpr_bool on = one_in(2), was = -1;
  CALL(loop, udpr_transport_set_unicast_ttl, port->transport, ttl);
  bool set =
      ttl >= 1 && ttl <= 255 ? EXPECT_IF_OPEN(port, UDPR_OK) : EXPECT_IF_OPEN(port, UDPR_E_INVALID_ARGUMENT);
  if (model.logged != logged) return; /* the port may be gone */
  CALL(loop, udpr_transport_get_unicast_ttl, port->transport, &got);
  if (EXPECT_IF_BOUND(port, UDPR_OK) && set && got != ttl) FAIL("a TTL of %u, not %u", got, ttl);
  CALL(loop, udpr_transport_set_broadcast_allowed, port->transport, on);
  if (EXPECT_IF_OPEN(port, UDPR_OK)) port->broadcast = on;
  CALL(loop, udpr_transport_get_broadcast_allowed, port->transport, &was);
  if (EXPECT_IF_BOUND(port, UDPR_OK)) ASSERT(was == port->broadcast);
  CALL(loop, udpr_transport_set_error_reports, port->transport, on);
  EXPECT_IF_OPEN(port, UDPR_OK);
}

static void op_options(void) {
  port *port = any_port();
  if (!port) return;
  int    value = (int)below(100000), managed = PICK(SO_BROADCAST, SO_ERROR, SO_TIMESTAMP);
  size_t len = below(9), before = len;
  char   room[8];
  CALL(port->loop, udpr_transport_set_option, port->transport, SOL_SOCKET,
       PICK(SO_RCVBUF, SO_PRIORITY, SO_MARK), &value, sizeof value);
  EXPECT_IF_OPEN(port, UDPR_OK, UDPR_E_PERMISSION);
  CALL(port->loop, udpr_transport_get_option, port->transport, SOL_SOCKET, SO_RCVBUF, len ? room : NULL,
       &len);
  if (EXPECT_IF_BOUND(port, UDPR_OK, UDPR_E_INVALID_ARGUMENT)) ASSERT(len <= before);
  CALL(port->loop, udpr_transport_set_option, port->transport, SOL_SOCKET, managed, &value, sizeof value);
  EXPECT(UDPR_E_NOT_SUPPORTED, port->state == LISTENING ? UDPR_E_NOT_SUPPORTED : UDPR_E_CLOSED);
}

static void op_stats(void) {
  port *port = any_port();
  if (!port) return;
  udpr_transport_stats stats = {.size = sizeof stats};
  CALL(port->loop, udpr_transport_get_stats, port->transport, &stats);
  if (port->state == GONE) EXPECT(UDPR_E_CLOSED);
  else if (EXPECT(UDPR_OK) && !atomic_load(&port->reg->busy)) ASSERT(stats.datagrams_in >= port->delivered);
  size_t queued;
  CALL(port->loop, udpr_transport_get_queued_bytes, port->transport, &queued);
  if (port->state == GONE) EXPECT(UDPR_E_CLOSED);
  else if (EXPECT(UDPR_OK)) ASSERT(queued >= stats.queued_bytes);
}

const operation port_operations[] = {
    {op_listen, 6},         {op_listen_wrong, 1}, {op_adopt, 2},          {op_stop_listening, 1},
    {op_stop_when_sent, 1}, {op_close, 1},        {op_retain_release, 2}, {op_visit, 1},
    {op_getters, 2},        {op_pause, 2},        {op_connect, 3},        {op_disconnect, 1},
    {op_settings, 1},       {op_options, 1},      {op_stats, 1},          {NULL, 0}};
