/* echo.h: servers on a thread and a reactor of their own, and a client for each kind of them. */
#ifndef UDPR_SOAK_ECHO_H
#define UDPR_SOAK_ECHO_H

#include "soak.h"

enum { ECHO_KINDS = 4, SERVERS = ECHO_KINDS + 1, WINDOW = 64, LONGEST = 60000 };

static const struct {
  const char *host;
  uint32_t    flags;
} kinds[SERVERS] = {{"127.0.0.1", 0},
                    {"::1", UDPR_UDP_PACKET_INFO | UDPR_UDP_TTL},
                    {"127.0.0.1", UDPR_UDP_NO_OFFLOAD | UDPR_UDP_TIMESTAMPS},
                    {"127.0.0.1", UDPR_UDP_UNBATCHED},
                    {"127.0.0.1", 0}}; /* the last one is for other loads */

/* ---- servers ------------------------------------------------------------------------------------------- */

typedef struct server {
  udpr_transport      *transport;
  udpr_addr            host;
  uint64_t             refused; /* answers that no queue took; the server's thread's */
  udpr_transport_stats stats;   /* as they were told last */
  uint64_t             stats_refused;
  int                  stopped;
} server;

static server        servers[SERVERS];
static udpr_reactor *servers_reactor;
static udpr_remote  *servers_remote;
static check_thread  servers_thread;
static atomic_bool   servers_told;

static void answer(server *self, const udpr_datagram *datagram) {
  udpr_status status =
      udpr_transport_write(self->transport, datagram->data, datagram->len, &datagram->sender);
  if (status == UDPR_OK) return;
  CHECK(soak.faults || status == UDPR_E_WOULD_BLOCK);
  self->refused++;
}

static void answer_one(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  (void)transport;
  answer(user, datagram);
}

static size_t answer_many(udpr_transport *transport, const udpr_datagram *const *datagrams, size_t count,
                          void *user) {
  (void)transport;
  for (size_t i = 0; i < count; i++) answer(user, datagrams[i]);
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
  servers_reactor = grown_reactor();
  OK(udpr_reactor_remote(servers_reactor, &servers_remote));
  for (int i = 0; i < SERVERS; i++) {
    udpr_protocol    protocol = {.size = sizeof protocol,
                                 .user = &servers[i],
                                 .datagram_received = answer_one,
                                 .datagrams_received = i == 1 ? answer_many : NULL,
                                 .stop_protocol = server_stopped};
    udpr_udp_options options = {.size = sizeof options, .flags = kinds[i].flags};
    OK(udpr_reactor_listen_udp(servers_reactor, 0, kinds[i].host, &protocol, &options,
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

static void servers_tell(udpr_reactor *reactor, void *user) {
  (void)reactor, (void)user;
  for (int i = 0; i < SERVERS; i++) {
    servers[i].stats = stats_of(servers[i].transport);
    servers[i].stats_refused = servers[i].refused;
  }
  atomic_store(&servers_told, true);
}

static void servers_ask(void) {
  atomic_store(&servers_told, false);
  OK(udpr_remote_call(servers_remote, servers_tell, NULL, NULL));
  RUN_UNTIL(soak.reactor, atomic_load(&servers_told));
}

/* ---- clients ------------------------------------------------------------------------------------------- */

typedef struct client {
  udpr_transport *transport;
  server         *server;
  server          before; /* as it was when the round began */
  uint64_t        next, accepted, came, came_at_look;
  unsigned        in_flight;
  bool            merged;
} client;

static client   clients[ECHO_KINDS];
static uint64_t echoed;
static uint8_t  pattern[LONGEST + 4096];

/* Runs of one length can be merged; one in a thousand is fragmented. */
static size_t length_of(uint64_t number) {
  return number % 1000 == 999 ? LONGEST : 8 + (number / 64 * 7919) % 1400;
}

static const uint8_t *bytes_of(uint64_t number) { return pattern + number % 4096; }

static void client_fill(client *self) {
  for (; self->in_flight < WINDOW && !soak.ending; self->in_flight++, self->accepted++, self->next++) {
    udpr_bytes  pieces[] = {{&self->next, 8}, {bytes_of(self->next), length_of(self->next) - 8}};
    udpr_status status = udpr_transport_write_sequence(self->transport, pieces, 2, &self->server->host);
    if (status == UDPR_E_WOULD_BLOCK || (soak.faults && status != UDPR_OK)) break;
    OK(status);
  }
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
  self->came++, echoed++;
  if (self->in_flight > 0) self->in_flight--;
  if (self->in_flight <= WINDOW / 2) client_fill(self);
}

static void echo_begin(void) {
  for (size_t i = 0; i < sizeof pattern; i++) pattern[i] = (uint8_t)any_below(256);
  servers_ask();
  for (int i = 0; i < ECHO_KINDS; i++) {
    udpr_protocol protocol = {.size = sizeof protocol,
                              .user = &clients[i],
                              .datagram_received = client_received};
    clients[i] = (client){.server = &servers[i], .before = servers[i]};
    clients[i].merged = !(kinds[i].flags & UDPR_UDP_NO_OFFLOAD);
    clients[i].transport = soak_listen(kinds[i].host, &protocol, kinds[i].flags);
  }
}

/* What is lost never comes back: where nothing came for a while, the window opens again. */
static void echo_tick(void) {
  for (client *self = clients; self < clients + ECHO_KINDS; self++) {
    if (soak.ticks % 256 == 0) {
      if (self->came == self->came_at_look) self->in_flight = 0;
      self->came_at_look = self->came;
    }
    client_fill(self);
  }
}

static bool client_settled(const client *self) {
  const udpr_transport_stats own = stats_of(self->transport), *now = &self->server->stats,
                             *then = &self->before.stats;
  uint64_t answers = now->datagrams_out - then->datagrams_out, asked = now->datagrams_in - then->datagrams_in,
           unsent = now->dropped_out - then->dropped_out + self->server->stats_refused -
                    self->before.stats_refused;
  CHECK_EQ(self->came, own.datagrams_in);
  return self->accepted == own.datagrams_out + own.dropped_out && asked == answers + unsent &&
         accounted(own.datagrams_out, asked, now->dropped_in - then->dropped_in, self->merged) &&
         accounted(answers, own.datagrams_in, own.dropped_in, self->merged);
}

static bool echo_settled(void) {
  servers_ask();
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
