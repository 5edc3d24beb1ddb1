/* soak.h: the common part of the loads. All of them use one reactor, and each keeps counts that have to add up. */
#ifndef UDPR_SOAK_H
#define UDPR_SOAK_H

#include "../c/check.h"

/* A round begins every load, calls their ticks for a while, waits until all are settled, and ends them. */
typedef struct load {
  const char *unit; /* what `done` counts */
  uint64_t   *done;
  void (*begin)(void);
  void (*tick)(void);    /* about every millisecond; begins nothing new once `soak.ending` */
  bool (*settled)(void); /* whether nothing is pending and the counts add up; fails if they cannot */
  void (*end)(void);     /* closes what `begin` opened */
} load;

/* For loads that only count what another load does. */
static inline void no_action(void) {}
static inline bool always(void) { return true; }

static struct {
  udpr_reactor *reactor;
  bool          ending;
  bool          faults; /* faults.c is active: any send may be lost, any call may fail */
  uint64_t      ticks;  /* of this round */
  uint64_t      random;
} soak;

/* xorshift64*, for the reactor's thread only. */
static inline uint32_t random_below(uint32_t bound) {
  soak.random ^= soak.random >> 12, soak.random ^= soak.random << 25, soak.random ^= soak.random >> 27;
  return (uint32_t)((soak.random * UINT64_C(2685821657736338717) >> 32) % bound);
}

/* Every `user` is allocated here and freed by free_registration, its free_user: exactly once, or the counts differ or free(3)
 * aborts.
 */
static atomic_ullong registrations_made, registrations_freed;

static inline void *new_registration(size_t size) {
  void *user = calloc(1, size);
  CHECK(user != NULL);
  atomic_fetch_add(&registrations_made, 1);
  return user;
}

static inline void free_registration(void *user) {
  free(user);
  atomic_fetch_add(&registrations_freed, 1);
}

/* A call that may fail only with fault injection. Returns whether it succeeded. */
#define OK_OR_INJECTED(call) ok_or_injected(__LINE__, #call, call)
static inline bool ok_or_injected(int line, const char *call, udpr_status status) {
  if (status != UDPR_OK && !soak.faults)
    check_exit(CHECK_FAILED, "line %d: %s is %s", line, call, udpr_status_name(status));
  return status == UDPR_OK;
}

static inline udpr_transport *soak_listen_with(const char *host, const udpr_protocol *protocol,
                                               const udpr_udp_options *options) {
  udpr_transport *transport = NULL;
  while (!OK_OR_INJECTED(udpr_reactor_listen_udp(soak.reactor, 0, host, protocol, options, &transport))) {}
  return transport;
}

static inline udpr_transport *soak_listen(const char *host, const udpr_protocol *protocol, uint32_t flags) {
  udpr_udp_options options = {.size = sizeof options, .flags = flags};
  return soak_listen_with(host, protocol, &options);
}

static inline void soak_close(udpr_transport *transport) {
  OK(udpr_transport_close(transport));
  udpr_transport_release(transport);
}

/* ---- a reactor with buffers of their final size ----------------------------------------------------------------- */

/* A reactor keeps its buffers: up to 16 arenas of 300 KiB, one for each port with a batch at the same time, and 8 to 64
 * receive buffers of 64 KiB, twice as many whenever all were filled. All of them are allocated before the first round, since
 * otherwise a later round might need more than the first one.
 */
enum { ARENAS = 16, UNTIL_64 = 8 + 16 + 32 + 64 };

static inline void write_to_each(udpr_reactor *reactor, void *user) {
  udpr_transport **all = user;
  (void)reactor;
  for (int i = 0; i < ARENAS; i++) {
    udpr_addr host = host_of(all[i]);
    OK(udpr_transport_write(all[i], "x", 1, &host));
  }
}

static inline udpr_reactor *reactor_with_buffers(udpr_ns spin) {
  udpr_reactor_options options = {.size = sizeof options, .spin = spin};
  udpr_reactor        *reactor;
  udpr_transport      *all[ARENAS];
  udpr_protocol        protocol = {.size = sizeof protocol};
  int                  peer = peer_open(AF_INET);
  OK(udpr_reactor_new(&options, &reactor));
  for (int i = 0; i < ARENAS; i++) all[i] = listen_on(reactor, "127.0.0.1", &protocol, NULL);
  udpr_addr host = host_of(all[0]);
  for (int i = 0; i < UNTIL_64; i++) peer_send(peer, &host, "x", 1);
  RUN_UNTIL(reactor, stats_of(all[0]).datagrams_in == UNTIL_64);
  OK(udpr_reactor_call_later(reactor, 0, write_to_each, all, NULL, NULL));
  RUN_UNTIL(reactor, stats_of(all[ARENAS - 1]).datagrams_in == 1);
  for (int i = 0; i < ARENAS; i++) {
    OK(udpr_transport_close(all[i]));
    udpr_transport_release(all[i]);
  }
  close(peer);
  return reactor;
}

/* ---- counts ------------------------------------------------------------------------------------------ */

/* Whether `sent` is the sum of `received` and the datagrams in `drops`, each of which may be a merged message of up to 128. */
static inline bool adds_up(uint64_t sent, uint64_t received, uint64_t drops, bool merged) {
  return sent >= received && sent - received >= drops && sent - received <= drops * (merged ? 128 : 1);
}

#endif
