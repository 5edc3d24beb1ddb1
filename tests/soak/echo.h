/* echo.h: echo servers on a thread and a reactor of their own, and a client for each kind of server. */
#ifndef UDPR_SOAK_ECHO_H
#define UDPR_SOAK_ECHO_H

#include "soak.h"

enum { ECHO_KINDS = 4, SERVERS = ECHO_KINDS + 1, WINDOW = 64, LONGEST = 60000, QUEUE = 8192 };

static const struct {
  const char *host;
  uint32_t    flags;
} kind_options[SERVERS] = {{"127.0.0.1", 0},
                           {"::1", UDPR_UDP_PACKET_INFO | UDPR_UDP_TTL},
                           {"127.0.0.1", UDPR_UDP_NO_OFFLOAD | UDPR_UDP_TIMESTAMPS},
                           {"127.0.0.1", UDPR_UDP_UNBATCHED},
                           {"127.0.0.1", 0}}; /* the last one is for other loads */

/* ---- servers ------------------------------------------------------------------------------------------- */

typedef struct server {
  udpr_transport      *transport;
  udpr_addr            host;
  uint64_t             refused; /* replies that no queue accepted; used by the server's thread only */
  udpr_transport_stats stats;   /* as they were last read */
  uint64_t             stats_refused;
  int                  stopped;
} server;

static server        servers[SERVERS];
static udpr_reactor *servers_reactor;
static udpr_remote  *servers_remote;
static check_thread  servers_thread;
static atomic_bool   servers_stats_copied;

static void echo_datagram(server *self, const udpr_datagram *datagram) {
  udpr_status status =
      (self - servers) % 2
          ? udpr_transport_reply(self->transport, datagram, datagram->data, datagram->len)
          : udpr_transport_write(self->transport, datagram->data, datagram->len, &datagram->sender);
  if (status == UDPR_OK) return;
  CHECK(soak.faults || status == UDPR_E_WOULD_BLOCK);
  self->refused++;
}

static void echo_one(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  (void)transport;
  echo_datagram(user, datagram);
}

static size_t echo_batch(udpr_transport *transport, const udpr_datagram *const *datagrams, size_t count,
                         void *user) {
  (void)transport;
  for (size_t i = 0; i < count; i++) echo_datagram(user, datagrams[i]);
  return count;
}

static void server_stopped(udpr_transport *transport, udpr_status reason, void *user) {
  (void)transport;
  OK(reason);
  ((server *)user)->stopped++;
}

static void servers_run(void *unused) {
  (void)unused;
  OK(udpr_reactor_run(servers_reactor));
}

static void servers_start(void) {
  servers_reactor = reactor_with_buffers(20000);
  OK(udpr_reactor_remote(servers_reactor, &servers_remote));
  for (int i = 0; i < SERVERS; i++) {
    udpr_protocol    protocol = {.size = sizeof protocol,
                                 .user = &servers[i],
                                 .datagram_received = echo_one,
                                 .datagrams_received = i == 1 ? echo_batch : NULL,
                                 .stop_protocol = server_stopped};
    udpr_udp_options options = {.size = sizeof options, .flags = kind_options[i].flags};
    OK(udpr_reactor_listen_udp(servers_reactor, 0, kind_options[i].host, &protocol, &options,
                               &servers[i].transport));
    servers[i].host = host_of(servers[i].transport);
  }
  thread_start(&servers_thread, servers_run, NULL);
}

static void servers_stop(void) {
  OK(udpr_remote_stop(servers_remote));
  thread_join(&servers_thread);
  udpr_remote_release(servers_remote);
  for (int i = 0; i < SERVERS; i++) {
    CHECK_EQ(1, servers[i].stopped);
    udpr_transport_release(servers[i].transport);
  }
  OK(udpr_reactor_free(servers_reactor));
}

static void servers_copy_stats(udpr_reactor *reactor, void *user) {
  (void)reactor, (void)user;
  for (int i = 0; i < SERVERS; i++) {
    servers[i].stats = stats_of(servers[i].transport);
    servers[i].stats_refused = servers[i].refused;
  }
  atomic_store(&servers_stats_copied, true);
}

static void servers_get_stats(void) {
  atomic_store(&servers_stats_copied, false);
  OK(udpr_remote_call(servers_remote, servers_copy_stats, NULL, NULL));
  RUN_UNTIL(soak.reactor, atomic_load(&servers_stats_copied));
}

/* ---- clients ------------------------------------------------------------------------------------------- */

typedef struct client {
  udpr_transport *transport;
  server         *server;
  server          before; /* at the beginning of the round */
  uint64_t        next, accepted, received, received_at_check;
  unsigned        in_flight;
  bool            merged, blocked;
} client;

static client   clients[ECHO_KINDS];
static uint64_t echoed;
static uint8_t  pattern[LONGEST + 4096];

/* Runs of the same length can be merged; one datagram in a thousand is fragmented. */
static size_t length_of(uint64_t number) {
  return number % 1000 == 999 ? LONGEST : 8 + (number / 64 * 7919) % 1400;
}

static const uint8_t *bytes_of(uint64_t number) { return pattern + number % 4096; }

static void client_fill(client *self) {
  for (; self->in_flight < WINDOW && !soak.ending; self->in_flight++, self->accepted++, self->next++) {
    udpr_bytes  pieces[] = {{&self->next, 8}, {bytes_of(self->next), length_of(self->next) - 8}};
    udpr_status status = udpr_transport_write_sequence(self->transport, pieces, 2, &self->server->host);
    self->blocked |= status == UDPR_E_WOULD_BLOCK;
    if (status == UDPR_E_WOULD_BLOCK || (soak.faults && status != UDPR_OK)) break;
    OK(status);
  }
}

static void client_can_write(udpr_transport *transport, void *user) {
  client *self = user;
  size_t  queued;
  OK(udpr_transport_get_queued_bytes(transport, &queued));
  CHECK(self->blocked && queued <= QUEUE / 4);
  self->blocked = false;
  client_fill(self);
}

static void client_received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  (void)transport;
  client  *self = user;
  uint64_t number;
  CHECK(datagram->len >= 8);
  memcpy(&number, datagram->data, 8);
  CHECK(number < self->next);
  CHECK_EQ(length_of(number), datagram->len);
  CHECK(memcmp(datagram->data + 8, bytes_of(number), datagram->len - 8) == 0);
  CHECK_ADDR(&self->server->host, &datagram->sender);
  self->received++, echoed++;
  if (self->in_flight > 0) self->in_flight--;
  if (self->in_flight <= WINDOW / 2) client_fill(self);
}

static void echo_begin(void) {
  for (size_t i = 0; i < sizeof pattern; i++) pattern[i] = (uint8_t)random_below(256);
  servers_get_stats();
  for (int i = 0; i < ECHO_KINDS; i++) {
    udpr_protocol    protocol = {.size = sizeof protocol,
                                 .user = &clients[i],
                                 .datagram_received = client_received,
                                 .write_ready = client_can_write};
    udpr_udp_options options = {.size = sizeof options,
                                .flags = kind_options[i].flags,
                                .send_queue_bytes = QUEUE,
                                .write_ready_bytes = QUEUE / 4};
    clients[i] = (client){.server = &servers[i], .before = servers[i]};
    clients[i].merged = !(kind_options[i].flags & UDPR_UDP_NO_OFFLOAD);
    clients[i].transport = soak_listen_with(kind_options[i].host, &protocol, &options);
  }
}

/* Replies may be lost: if none was received for a while, the window is opened again. */
static void echo_tick(void) {
  for (client *self = clients; self < clients + ECHO_KINDS; self++) {
    if (soak.ticks % 256 == 0) {
      if (self->received == self->received_at_check) self->in_flight = 0;
      self->received_at_check = self->received;
    }
    client_fill(self);
  }
}

/* Outside callbacks. What is gathered is sent by a flush, or by the next turn. */
static void echo_gather(void) {
  OK(udpr_reactor_gather(soak.reactor));
  for (client *self = clients; self < clients + ECHO_KINDS; self++) client_fill(self);
  if (random_below(2)) return;
  udpr_status status = udpr_reactor_flush(soak.reactor);
  CHECK(status == UDPR_OK || status == UDPR_E_WOULD_BLOCK);
}

static bool client_settled(const client *self) {
  const udpr_transport_stats own = stats_of(self->transport), *now = &self->server->stats,
                             *then = &self->before.stats;
  uint64_t replies = now->datagrams_out - then->datagrams_out, asked = now->datagrams_in - then->datagrams_in,
           unsent = now->dropped_out - then->dropped_out + self->server->stats_refused -
                    self->before.stats_refused;
  CHECK_EQ(self->received, own.datagrams_in);
  return self->accepted == own.datagrams_out + own.dropped_out && asked == replies + unsent &&
         adds_up(own.datagrams_out, asked, now->dropped_in - then->dropped_in, self->merged) &&
         adds_up(replies, own.datagrams_in, own.dropped_in, self->merged);
}

static bool echo_settled(void) {
  servers_get_stats();
  for (int i = 0; i < ECHO_KINDS; i++) {
    if (!client_settled(&clients[i])) return false;
  }
  return true;
}

static void echo_end(void) {
  for (int i = 0; i < ECHO_KINDS; i++) soak_close(clients[i].transport);
}

static const load echo_load = {"echoed", &echoed, echo_begin, echo_tick, echo_settled, echo_end};

#endif
