/* overload.h: a port that always receives more than it can handle. */
#ifndef UDPR_TESTS_OVERLOAD_H
#define UDPR_TESTS_OVERLOAD_H

#include "check.h"

enum { FLOOD_FACTOR = 4, FLOOD_INITIAL = 100, FLOOD_LEN = 300 };

static inline uint32_t some_of(uint32_t count) { return check_rounds(count / 10, count); }

/* Returns the resident set size of this process. */
static inline size_t resident_bytes(void) {
  unsigned long pages = 0;
  FILE         *file = fopen("/proc/self/statm", "r");
  CHECK(file && fscanf(file, "%*u %lu", &pages) == 1);
  fclose(file);
  return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* ---- a flood: for each datagram that is handled, FLOOD_FACTOR more are sent ---------------------------- */

typedef struct flood flood;
struct flood {
  udpr_reactor   *reactor;
  udpr_transport *transport;
  udpr_addr       host;
  int             peer;
  uint32_t        sent, handled, last; /* `last` is the number of the last datagram received */
  uint32_t        end;                 /* after so many were handled, no more are sent */
  void (*each)(flood *self, void *arg);
  void *arg; /* for `each` */
};

static inline void flood_send(flood *self, int count) {
  uint8_t data[FLOOD_LEN] = {0};
  for (; count > 0; count--) {
    self->sent++;
    memcpy(data, &self->sent, sizeof self->sent);
    peer_send(self->peer, &self->host, data, sizeof data);
  }
}

/* Datagrams that are not dropped arrive in order. */
static inline void flood_handle(flood *self, const udpr_datagram *datagram) {
  uint32_t number;
  CHECK_EQ(FLOOD_LEN, datagram->len);
  memcpy(&number, datagram->data, sizeof number);
  CHECK(number > self->last);
  self->last = number;
  if (self->handled++ < self->end) flood_send(self, FLOOD_FACTOR);
  if (self->each) self->each(self, self->arg);
}

static inline void flood_received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  (void)transport;
  flood_handle(user, datagram);
}

static inline size_t flood_received_batch(udpr_transport *transport, const udpr_datagram *const *datagrams,
                                          size_t count, void *user) {
  (void)transport;
  for (size_t i = 0; i < count; i++) flood_handle(user, datagrams[i]);
  return count;
}

/* Makes a reactor with a port that is flooded from its first turn. `callbacks` has the callback that
 * receives.
 */
static inline void flood_begin(flood *self, const udpr_protocol *callbacks, uint32_t end) {
  udpr_protocol    protocol = *callbacks;
  udpr_udp_options options = {.size = sizeof options, .receive_buffer = 65536};
  protocol.size = sizeof protocol, protocol.user = self;
  *self = (flood){.reactor = new_reactor(0), .peer = peer_open(AF_INET), .end = end};
  self->transport = listen_on(self->reactor, "127.0.0.1", &protocol, &options);
  self->host = host_of(self->transport);
  flood_send(self, FLOOD_INITIAL);
}

/* By the port's own statistics, each datagram was received or dropped. */
static inline void flood_end(flood *self) {
  RUN_UNTIL(self->reactor, self->handled >= self->end);
  RUN_UNTIL(self->reactor,
            stats_of(self->transport).datagrams_in + stats_of(self->transport).dropped_in >= self->sent);
  run_turns(self->reactor, 3);
  udpr_transport_stats stats = stats_of(self->transport);
  NOTE("%u sent, %u handled, %llu dropped", self->sent, self->handled, (unsigned long long)stats.dropped_in);
  CHECK_EQ(FLOOD_FACTOR * self->end + FLOOD_INITIAL, self->sent);
  CHECK_EQ(self->sent, stats.datagrams_in + stats.dropped_in);
  CHECK_EQ(self->handled, stats.datagrams_in);
  CHECK_EQ(self->handled * (uint64_t)FLOOD_LEN, stats.bytes_in);
  CHECK_EQ(0, stats.discarded_in);
  CHECK(stats.dropped_in > 2 * stats.datagrams_in);
  OK(udpr_transport_close(self->transport));
  udpr_transport_release(self->transport);
  OK(udpr_reactor_free(self->reactor));
  close(self->peer);
}

#endif
