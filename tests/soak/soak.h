/* soak.h: what the loads of the soak share. All of them use one reactor, and each keeps accounts that must balance. */
#ifndef UDPR_SOAK_H
#define UDPR_SOAK_H

#include "../c/check.h"

/* A round begins every load, ticks them for a while, waits until all are settled, and ends them. */
typedef struct load {
  const char *unit; /* of what `done` counts */
  uint64_t   *done;
  void (*begin)(void);
  void (*tick)(void); /* about every millisecond; begins nothing new once `soak.ending` */
  bool (*settled)(
      void); /* nothing is under way any more, and the accounts balance; fails where they never will */
  void (*end)(void); /* closes what begin has opened */
} load;

/* For what only counts, and has its work done elsewhere. */
static inline void nothing_to_do(void) {}
static inline bool always(void) { return true; }

static struct {
  udpr_reactor *reactor;
  bool          ending;
  bool          faults; /* support/faults.c is at work: any send may be lost, any call may fail */
  uint64_t      ticks;  /* of this round */
  uint64_t      random;
} soak;

/* xorshift64*: on the reactor's thread only. */
static inline uint32_t any_below(uint32_t bound) {
  soak.random ^= soak.random >> 12, soak.random ^= soak.random << 25, soak.random ^= soak.random >> 27;
  return (uint32_t)((soak.random * UINT64_C(2685821657736338717) >> 32) % bound);
}

/* Every `user` is made here and comes back through take_back, its free_user: once, or the sums differ, or free(3) aborts.
 */
static atomic_ullong users_made, users_back;

static inline void *new_user(size_t size) {
  void *user = calloc(1, size);
  CHECK(user != NULL);
  atomic_fetch_add(&users_made, 1);
  return user;
}

static inline void take_back(void *user) {
  free(user);
  atomic_fetch_add(&users_back, 1);
}

/* What only a fault can make of a call that otherwise succeeds. */
#define OK_OR_FAULT(call) ok_or_fault(__LINE__, #call, call)
static inline bool ok_or_fault(int line, const char *call, udpr_status status) {
  if (status != UDPR_OK && !soak.faults)
    check_exit(CHECK_FAILED, "line %d: %s is %s", line, call, udpr_status_name(status));
  return status == UDPR_OK;
}

static inline udpr_transport *soak_listen(const char *host, const udpr_protocol *protocol, uint32_t flags) {
  udpr_udp_options options = {.size = sizeof options, .flags = flags};
  udpr_transport  *transport = NULL;
  while (!OK_OR_FAULT(udpr_reactor_listen_udp(soak.reactor, 0, host, protocol, &options, &transport))) {}
  return transport;
}

static inline void soak_close(udpr_transport *transport) {
  OK(udpr_transport_close(transport));
  udpr_transport_release(transport);
}

/* ---- a reactor that has all its buffers ----------------------------------------------------------------- */

/* A reactor keeps what it once needed: up to sixteen arenas of 300 KiB, one for each port that gathers at once, and room
 * for 8 to 64 messages of 64 KiB, twice as many whenever all came back full. All of that is there before the first round,
 * which would have made as much of it as it happened to need, and a later one more.
 */
enum { ARENAS = 16, UNTIL_64 = 8 + 16 + 32 + 64 };

static inline void write_each(udpr_reactor *reactor, void *user) {
  udpr_transport **all = user;
  (void)reactor;
  for (int i = 0; i < ARENAS; i++) {
    udpr_addr host = host_of(all[i]);
    OK(udpr_transport_write(all[i], "x", 1, &host));
  }
}

static inline udpr_reactor *grown_reactor(void) {
  udpr_reactor   *reactor = new_reactor(0);
  udpr_transport *all[ARENAS];
  udpr_protocol   protocol = {.size = sizeof protocol};
  int             peer = peer_open(AF_INET);
  for (int i = 0; i < ARENAS; i++) all[i] = listen_on(reactor, "127.0.0.1", &protocol, NULL);
  udpr_addr host = host_of(all[0]);
  for (int i = 0; i < UNTIL_64; i++) peer_send(peer, &host, "x", 1);
  RUN_UNTIL(reactor, stats_of(all[0]).datagrams_in == UNTIL_64);
  OK(udpr_reactor_call_later(reactor, 0, write_each, all, NULL, NULL));
  RUN_UNTIL(reactor, stats_of(all[ARENAS - 1]).datagrams_in == 1);
  for (int i = 0; i < ARENAS; i++) {
    OK(udpr_transport_close(all[i]));
    udpr_transport_release(all[i]);
  }
  close(peer);
  return reactor;
}

/* ---- accounts ------------------------------------------------------------------------------------------ */

/* `came` of `sent` datagrams, where the kernel counts `drops`: one may stand for a merged message of up to 128. */
static inline bool accounted(uint64_t sent, uint64_t came, uint64_t drops, bool merged) {
  return sent >= came && sent - came >= drops && sent - came <= drops * (merged ? 128 : 1);
}

#endif
