/* ports.c: operations on ports: listening, adopting, connecting, settings, the end. */
#include "fuzz.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

/* A transport may be used while we hold it, and while its port is there. */
port *any_port(void) {
  int  start = (int)below(PORTS);
  bool open = !one_in(8); /* one that is open, where there is one */
  for (int i = 0; i < PORTS && open; i++) {
    port *port = &w.ports[(start + i) % PORTS];
    if (port->transport && port->state == LISTENING) return port;
  }
  for (int i = 0; i < PORTS; i++) {
    port *port = &w.ports[(start + i) % PORTS];
    if (port->transport && (port->held > 0 || (port->state != GONE && port->state != ABSENT))) return port;
  }
  return NULL;
}

port *port_of(const udpr_transport *transport) {
  for (int i = 0; i < PORTS; i++) {
    port *port = &w.ports[i];
    if (port->transport == transport && port->state != ABSENT && port->state != GONE) return port;
  }
  return NULL;
}

static port *free_place(void) {
  for (int i = 0; i < PORTS; i++) {
    port *port = &w.ports[i];
    if (port->state == ABSENT) return port;
    if (port->state == GONE && port->held == 0 && !port->making && !atomic_load(&port->user->busy))
      return port;
  }
  return NULL;
}

void port_gone(port *port) {
  port->state = GONE;
  atomic_store(&port->user->live, false);
}

/* ---- made ---------------------------------------------------------------------------------------------------- */

enum { LISTEN_FLAGS = 0x3fff, ADOPT_FLAGS = LISTEN_FLAGS & ~0xf };

static void draw_options(udpr_udp_options *options, uint32_t known) {
  *options = (udpr_udp_options){.size = sizeof *options,
                                .flags = (uint32_t)random_word() & (uint32_t)random_word() & known};
  if (one_in(4)) options->max_packet_size = 1 + below(3000);
  if (one_in(8)) options->receive_buffer = 4096 + below(100000);
  if (one_in(6)) options->send_buffer = below(20000);
  if (one_in(3)) options->send_queue_bytes = 1 + below(4096);
}

static port *begin_port(home *home, const udpr_udp_options *options, bool v6, udpr_protocol *protocol) {
  port *port = free_place();
  if (!port) return NULL;
  user *user = new_user(PORT, home);
  *port = (struct port){
      .state = STARTING, .making = true, .home = home, .user = user, .v6 = v6, .flags = options->flags};
  port->packet_size = options->max_packet_size ? options->max_packet_size : 65535;
  port->queue_bytes = options->send_queue_bytes ? options->send_queue_bytes : 1 << 20;
  port->broadcast = options->flags & UDPR_UDP_BROADCAST;
  user->port = port;
  *protocol = protocol_table;
  protocol->user = user;
  protocol->free_user = free_fn(user);
  if (one_in(4)) protocol->datagrams_received = on_datagrams;
  return port;
}

/* `out` was asked for, or not; where the port failed nothing of it is left. */
static void end_port(port *port, udpr_transport *out, bool asked) {
  port->making = false;
  if (call_status() == UDPR_OK) {
    MUST(port->state != STARTING && (out != NULL) == asked);
    if (asked) MUST(out == port->transport);
    port->held += asked;
    if (port->state == GONE && port->held == 0) must_be_freed(port->user);
  } else {
    MUST(out == NULL && port->state != STOPPED);
    port->state = GONE;
    atomic_store(&port->user->live, false);
    must_be_freed(port->user);
  }
}

static void op_listen(void) {
  home *home = any_home();
  if (!home) return;
  udpr_udp_options options;
  udpr_protocol    protocol;
  udpr_transport  *out = NULL;
  draw_options(&options, LISTEN_FLAGS);
  bool v6 = one_in(3), asked = !one_in(6), given = !one_in(8);
  if (!given) options = (udpr_udp_options){.size = sizeof options};
  if (one_in(8) && given) options.bind_device = "lo";
  port *port = begin_port(home, &options, v6, &protocol);
  if (!port) return;
  const char *local =
      v6 ? PICK("::1", "::1", "::") : PICK("127.0.0.1", "127.0.0.1", "127.0.0.2", "", "0.0.0.0");
  uint16_t number = 0;
  if (one_in(6)) number = w.ports[below(PORTS)].host.port;
  udpr_udp_options *handed = given ? &options : NULL;
  if (one_in(2))
    CALL(home, udpr_reactor_listen_udp, home->reactor, number, local, &protocol, handed, asked ? &out : NULL);
  else
    CALL(home, udpr_reactor_listen_multicast, home->reactor, number, local, &protocol, handed,
         asked ? &out : NULL);
  EXPECT(UDPR_OK, UDPR_E_NO_MEMORY, UDPR_E_INVALID_ARGUMENT, SYSTEM(EIO),
         number ? UDPR_E_ADDRESS_IN_USE : UDPR_OK,
         given && (options.flags & UDPR_UDP_DONT_FRAGMENT) ? UDPR_E_INVALID_ARGUMENT : UDPR_OK);
  end_port(port, out, asked);
}

/* What must be refused, whatever else there is. */
static void op_listen_wrong(void) {
  home *home = any_home();
  if (!home) return;
  udpr_udp_options options = {.size = sizeof options};
  udpr_protocol    protocol;
  udpr_transport  *out = NULL;
  port            *port = begin_port(home, &options, false, &protocol);
  if (!port) return;
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
  CALL(home, udpr_reactor_listen_udp, home->reactor, 0, local, &protocol, &options, &out);
  EXPECT(UDPR_E_INVALID_ARGUMENT, UDPR_E_VERSION, UDPR_E_INVALID_ADDRESS, UDPR_E_ADDRESS_NOT_AVAILABLE,
         UDPR_E_NO_INTERFACE);
  end_port(port, out, true);
  protocol.size = PICK((size_t)0, sizeof protocol - 8, (size_t)5000); /* then nobody can know what to free */
  CALL(home, udpr_reactor_listen_udp, home->reactor, 0, "127.0.0.1", &protocol, NULL, &out);
  EXPECT(UDPR_E_INVALID_ARGUMENT);
  MUST(out == NULL);
}

static void op_adopt(void) {
  home *home = any_home();
  if (!home) return;
  udpr_udp_options options;
  udpr_protocol    protocol;
  udpr_transport  *out = NULL;
  draw_options(&options, ADOPT_FLAGS | UDPR_UDP_OFFLOAD);
  bool  v6 = one_in(3), stream = one_in(8), asked = !one_in(4), take = one_in(2);
  port *port = begin_port(home, &options, v6, &protocol);
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
  CALL(home, udpr_reactor_adopt_datagram_port, home->reactor, fd, family, &protocol, &options,
       asked ? &out : NULL);
  if (bad) EXPECT(SYSTEM(EBADF));
  else if (stream) EXPECT(UDPR_E_SOCKET_TYPE, other ? UDPR_E_ADDRESS_FAMILY : UDPR_E_SOCKET_TYPE);
  else if (other) EXPECT(UDPR_E_ADDRESS_FAMILY);
  else EXPECT(UDPR_OK, UDPR_E_NO_MEMORY, UDPR_E_INVALID_ARGUMENT, SYSTEM(EIO));
  end_port(port, out, asked);
  if (fd >= 0 && !take) close(fd);
}

/* ---- ended --------------------------------------------------------------------------------------------------- */

static void op_stop_listening(void) {
  port *port = any_port();
  if (!port) return;
  enum state before = port->state;
  CALL(port->home, udpr_transport_stop_listening, port->transport);
  if (before == GONE) EXPECT(UDPR_E_CLOSED);
  else if (EXPECT(UDPR_OK, before == STOPPED ? UDPR_E_CLOSED : UDPR_OK) && port->state == LISTENING)
    port->state = STOPPING;
}

static void op_close(void) {
  port *port = any_port();
  if (!port) return;
  enum state before = port->state;
  bool       busy = atomic_load(&port->user->busy) > 0;
  user      *user = port->user;
  CALL(port->home, udpr_transport_close, port->transport);
  if (before == GONE) EXPECT(UDPR_E_CLOSED);
  else if (EXPECT(UDPR_OK, before == STOPPED ? UDPR_E_CLOSED : UDPR_OK) && before != STOPPED) {
    /* A logger may be told of a port that is being closed, before its stop_protocol. */
    if (user->port == port && port->user == user && !w.logging) MUST(port->state == GONE);
    if (!busy) must_be_freed(user);
  }
}

static void op_hold(void) {
  port *port = any_port();
  if (one_in(16)) MUST(TAKE(udpr_transport *, NULL, udpr_transport_retain, NULL) == NULL);
  if (!port) return;
  if (port->held < 3 && one_in(2)) {
    MUST(TAKE(udpr_transport *, NULL, udpr_transport_retain, port->transport) == port->transport);
    port->held++;
  } else if (port->held > 0) {
    port->held--;
    call_begin(FN_udpr_transport_release, NULL);
    udpr_transport_release(port->transport);
    call_end(UDPR_OK);
  }
}

static void op_visit(void) {
  home *home = any_home();
  if (!home) return;
  CALL(home, udpr_reactor_each_transport, home->reactor, one_in(16) ? NULL : on_visit, home);
  EXPECT(UDPR_OK, UDPR_E_INVALID_ARGUMENT);
}

/* ---- in between ---------------------------------------------------------------------------------------------- */

/* What a call that changes a port answers: UDPR_E_CLOSED once it was stopped. */
#define CHANGES(port, ...)                          \
  ((port)->state == LISTENING ? EXPECT(__VA_ARGS__) \
                              : ((void)EXPECT(UDPR_E_CLOSED, UDPR_E_INVALID_ARGUMENT), false))
/* And one that reads: until the socket is closed. */
#define READS(port, ...)                                   \
  ((port)->state == LISTENING || (port)->state == STOPPING \
       ? EXPECT(__VA_ARGS__)                               \
       : ((void)EXPECT(UDPR_E_CLOSED, UDPR_E_INVALID_ARGUMENT), false))

static void op_looks(void) {
  port *port = any_port();
  if (!port) return;
  home *home = port->home;
  bool  mine = !home || may_enter(home);
  if (w.logging) return;
  bool      there = mine && port->state != GONE, open = there && port->state != STOPPED;
  udpr_addr host, peer;
  MUST(TAKE(udpr_reactor *, home, udpr_transport_reactor, port->transport) == (there ? home->reactor : NULL));
  MUST(TAKE(void *, home, udpr_transport_user, port->transport) == (there ? port->user : NULL));
  MUST((TAKE(int32_t, home, udpr_transport_fileno, port->transport) >= 0) == open);
  CALL(home, udpr_transport_get_host, port->transport, &host);
  if (READS(port, UDPR_OK) && !port->adopted) MUST(host.port == port->host.port);
  CALL(home, udpr_transport_get_peer, port->transport, &peer);
  if (READS(port, port->connected ? UDPR_OK : UDPR_E_NOT_CONNECTED))
    MUST(udpr_addr_equal(&peer, &port->peer));
}

static void op_pause(void) {
  port *port = any_port();
  if (!port) return;
  bool pause = one_in(3);
  if (pause) CALL(port->home, udpr_transport_pause_reading, port->transport);
  else CALL(port->home, udpr_transport_resume_reading, port->transport);
  if (CHANGES(port, UDPR_OK)) port->paused = pause;
}

static void op_connect(void) {
  port *port = any_port(), *other = &w.ports[below(PORTS)];
  if (!port) return;
  for (int i = 0; i < 6 && other->v6 != port->v6; i++) other = &w.ports[below(PORTS)];
  udpr_addr peer = other->host;
  bool      family = peer.family == (port->v6 ? UDPR_AF_INET6 : UDPR_AF_INET);
  if (one_in(8)) peer.port = 0;
  if (one_in(16)) peer.reserved = 1;
  if (one_in(4) && family && !peer.reserved && peer.port) peer.port = 1; /* nobody is there */
  CALL(port->home, udpr_transport_connect, port->transport, &peer);
  if (peer.family == 0) CHANGES(port, UDPR_E_INVALID_ARGUMENT, UDPR_E_VERSION);
  else if (peer.reserved || peer.port == 0 || !family)
    CHANGES(port, UDPR_E_INVALID_ARGUMENT, UDPR_E_VERSION,
            family ? UDPR_E_INVALID_ARGUMENT : UDPR_E_ADDRESS_FAMILY);
  else if (CHANGES(port, UDPR_OK, UDPR_E_NETWORK_UNREACHABLE, UDPR_E_INVALID_ARGUMENT, UDPR_E_ADDRESS_IN_USE,
                   UDPR_E_ADDRESS_NOT_AVAILABLE)) {
    port->connected = true;
    port->asked = peer;
    CALL(port->home, udpr_transport_get_peer, port->transport, &port->peer);
    EXPECT(UDPR_OK);
  } else if (call_status() != UDPR_E_WRONG_THREAD) {
    CALL(port->home, udpr_transport_get_peer, port->transport, &port->peer);
    port->connected = call_status() == UDPR_OK;
  }
}

static void op_disconnect(void) {
  port *port = any_port();
  if (!port) return;
  CALL(port->home, udpr_transport_disconnect, port->transport);
  if (CHANGES(port, port->connected ? UDPR_OK : UDPR_E_NOT_CONNECTED, UDPR_E_ADDRESS_IN_USE))
    port->connected = false;
}

static void op_settings(void) {
  port *port = any_port();
  if (!port) return;
  home     *home = port->home;
  uint32_t  ttl = PICK(0u, 1u, 64u, 255u, 256u, UINT32_MAX), got = 0;
  udpr_bool on = one_in(2), was = -1;
  CALL(home, udpr_transport_set_unicast_ttl, port->transport, ttl);
  bool set = ttl >= 1 && ttl <= 255 ? CHANGES(port, UDPR_OK) : CHANGES(port, UDPR_E_INVALID_ARGUMENT);
  CALL(home, udpr_transport_get_unicast_ttl, port->transport, &got);
  if (READS(port, UDPR_OK) && set && got != ttl) FAIL("a TTL of %u, not %u", got, ttl);
  CALL(home, udpr_transport_set_broadcast_allowed, port->transport, on);
  if (CHANGES(port, UDPR_OK)) port->broadcast = on;
  CALL(home, udpr_transport_get_broadcast_allowed, port->transport, &was);
  if (READS(port, UDPR_OK)) MUST(was == port->broadcast);
  CALL(home, udpr_transport_set_error_reports, port->transport, on);
  CHANGES(port, UDPR_OK);
}

static void op_options(void) {
  port *port = any_port();
  if (!port) return;
  int    value = (int)below(100000), managed = PICK(SO_BROADCAST, SO_ERROR, SO_TIMESTAMP);
  size_t len = below(9), before = len;
  char   room[8];
  CALL(port->home, udpr_transport_set_option, port->transport, SOL_SOCKET,
       PICK(SO_RCVBUF, SO_PRIORITY, SO_MARK), &value, sizeof value);
  CHANGES(port, UDPR_OK, UDPR_E_PERMISSION);
  CALL(port->home, udpr_transport_get_option, port->transport, SOL_SOCKET, SO_RCVBUF, len ? room : NULL,
       &len);
  if (READS(port, UDPR_OK, UDPR_E_INVALID_ARGUMENT)) MUST(len <= before);
  CALL(port->home, udpr_transport_set_option, port->transport, SOL_SOCKET, managed, &value, sizeof value);
  EXPECT(UDPR_E_NOT_SUPPORTED, port->state == LISTENING ? UDPR_E_NOT_SUPPORTED : UDPR_E_CLOSED);
}

static void op_stats(void) {
  port *port = any_port();
  if (!port) return;
  udpr_transport_stats stats = {.size = sizeof stats};
  CALL(port->home, udpr_transport_get_stats, port->transport, &stats);
  if (port->state == GONE) EXPECT(UDPR_E_CLOSED);
  else if (EXPECT(UDPR_OK) && !atomic_load(&port->user->busy)) MUST(stats.datagrams_in >= port->delivered);
}

const operation port_operations[] = {{op_listen, "listen", 6},
                                     {op_listen_wrong, "listen_wrong", 1},
                                     {op_adopt, "adopt", 2},
                                     {op_stop_listening, "stop_listening", 1},
                                     {op_close, "close", 1},
                                     {op_hold, "hold", 2},
                                     {op_visit, "each_transport", 1},
                                     {op_looks, "looks", 2},
                                     {op_pause, "pause", 2},
                                     {op_connect, "connect", 3},
                                     {op_disconnect, "disconnect", 1},
                                     {op_settings, "settings", 1},
                                     {op_options, "options", 1},
                                     {op_stats, "stats", 1},
                                     {NULL, NULL, 0}};
