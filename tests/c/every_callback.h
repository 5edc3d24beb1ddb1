/* every_callback.h: every callback of the header, with one of them in which something is done; world.h has the
 * reactor in which all of them come. Whatever it is, no callback may come after its free_user, and each user is
 * freed once. That is checked here.
 */
#ifndef UDPR_TESTS_EVERY_CALLBACK_H
#define UDPR_TESTS_EVERY_CALLBACK_H

#include "check.h"

/* Where something may be done: in a callback on the reactor's thread, or in the free_user of what was registered. */
typedef enum place {
  START_PROTOCOL,
  DATAGRAM_RECEIVED,
  DATAGRAMS_RECEIVED,
  CONNECTION_REFUSED,
  ERROR_RECEIVED,
  WRITE_READY,
  STOP_PROTOCOL,
  VISIT,
  DELAYED_CALL,
  CALL_WHEN_RUNNING,
  CALL_FROM_THREAD,
  REMOTE_CALL,
  DONE,
  RESOLVED,
  WATCH,
  STARTUP,
  SHUTDOWN_BEFORE,
  SHUTDOWN_DURING,
  SHUTDOWN_AFTER,
  LOGGER,
  PORT_FREED,
  CALL_FREED,
  RUNNING_FREED,
  FROM_THREAD_FREED,
  REMOTE_FREED,
  JOB_FREED,
  LOOKUP_FREED,
  WATCH_FREED,
  TRIGGER_FREED,
  LOGGER_FREED,
  PLACES,
} place;

/* The header's name of each: its type, or the field of udpr_protocol. tests/misuse.py looks for them here. */
static const char *const place_names[] = {
    [START_PROTOCOL] = "start_protocol",
    [DATAGRAM_RECEIVED] = "datagram_received",
    [DATAGRAMS_RECEIVED] = "datagrams_received",
    [CONNECTION_REFUSED] = "connection_refused",
    [ERROR_RECEIVED] = "error_received",
    [WRITE_READY] = "write_ready",
    [STOP_PROTOCOL] = "stop_protocol",
    [VISIT] = "udpr_visit_fn",
    [DELAYED_CALL] = "udpr_call_fn of call_later",
    [CALL_WHEN_RUNNING] = "udpr_call_fn of call_when_running",
    [CALL_FROM_THREAD] = "udpr_call_fn of call_from_thread",
    [REMOTE_CALL] = "udpr_call_fn of remote_call",
    [DONE] = "udpr_call_fn of call_in_thread",
    [RESOLVED] = "udpr_resolved_fn",
    [WATCH] = "udpr_watch_fn",
    [STARTUP] = "udpr_trigger_fn at startup",
    [SHUTDOWN_BEFORE] = "udpr_trigger_fn before shutdown",
    [SHUTDOWN_DURING] = "udpr_trigger_fn during shutdown",
    [SHUTDOWN_AFTER] = "udpr_trigger_fn after shutdown",
    [LOGGER] = "udpr_log_fn",
    [PORT_FREED] = "udpr_free_fn of listen_udp",
    [CALL_FREED] = "udpr_free_fn of call_later",
    [RUNNING_FREED] = "udpr_free_fn of call_when_running",
    [FROM_THREAD_FREED] = "udpr_free_fn of call_from_thread",
    [REMOTE_FREED] = "udpr_free_fn of remote_call",
    [JOB_FREED] = "udpr_free_fn of call_in_thread",
    [LOOKUP_FREED] = "udpr_free_fn of resolve",
    [WATCH_FREED] = "udpr_free_fn of watch",
    [TRIGGER_FREED] = "udpr_free_fn of add_trigger",
    [LOGGER_FREED] = "udpr_free_fn of set_logger",
};

typedef struct world world;

/* The `user` of one registration. */
typedef struct guest {
  world          *in;
  place           freed_at;
  int             freed, inside;
  udpr_id         id;
  udpr_transport *transport;
} guest;

typedef void (*act_fn)(world *all);

enum { GUESTS = 32 };

struct world {
  udpr_reactor   *reactor;
  udpr_remote    *remote;
  guest           guests[GUESTS], visitor;
  int             count;
  guest          *single, *batch, *caller, *watch, *lookup, *call, *triggers[5]; /* of guests */
  place           at;
  act_fn          act;
  guest          *actor; /* who is at `at` */
  udpr_transport *where; /* in a port's callback */
  bool            acted, came[PLACES];
  udpr_status     answer; /* of the call that it was done in */
  int             pipe[2], peer, dead;
  udpr_addr       to; /* the peer */
};

/* ---- the callbacks -------------------------------------------------------------------------------------- */

static inline void come(guest *self, place at, udpr_transport *transport) {
  world *all = self->in;
  CHECK_EQ(0, self->freed);
  all->came[at] = true;
  if (all->acted || all->at != at) return;
  all->acted = true, all->actor = self, all->where = transport;
  self->inside++;
  all->act(all);
  self->inside--;
  CHECK_EQ(0, self->freed); /* not before it has returned */
}

static inline void guest_free(void *user) {
  guest *self = user;
  world *all = self->in;
  CHECK(self->freed++ == 0 && self->inside == 0);
  all->came[self->freed_at] = true;
  if (all->acted || all->at != self->freed_at) return;
  all->acted = true, all->actor = self;
  all->act(all);
}

static inline udpr_status on_start(udpr_transport *transport, void *user) {
  come(user, START_PROTOCOL, transport);
  return UDPR_OK;
}
static inline void on_datagram(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  (void)datagram;
  come(user, DATAGRAM_RECEIVED, transport);
}
static inline size_t on_datagrams(udpr_transport *transport, const udpr_datagram *const *datagrams,
                                  size_t count, void *user) {
  (void)datagrams;
  come(user, DATAGRAMS_RECEIVED, transport);
  return count;
}
static inline void on_refused(udpr_transport *transport, void *user) {
  come(user, CONNECTION_REFUSED, transport);
}
static inline void on_error(udpr_transport *transport, const udpr_error_report *report, void *user) {
  (void)report;
  come(user, ERROR_RECEIVED, transport);
}
static inline void on_write_ready(udpr_transport *transport, void *user) {
  come(user, WRITE_READY, transport);
}
static inline void on_stop(udpr_transport *transport, udpr_status reason, void *user) {
  (void)reason;
  come(user, STOP_PROTOCOL, transport);
}
static inline void on_visit(udpr_transport *transport, void *user) { come(user, VISIT, transport); }
static inline void on_call(udpr_reactor *reactor, void *user) {
  (void)reactor;
  come(user, DELAYED_CALL, NULL);
}
static inline void on_running(udpr_reactor *reactor, void *user) {
  (void)reactor;
  come(user, CALL_WHEN_RUNNING, NULL);
}
static inline void on_from_thread(udpr_reactor *reactor, void *user) {
  (void)reactor;
  come(user, CALL_FROM_THREAD, NULL);
}
static inline void on_remote(udpr_reactor *reactor, void *user) {
  (void)reactor;
  come(user, REMOTE_CALL, NULL);
}
static inline void on_work(void *user) { (void)user; }
static inline void on_done(udpr_reactor *reactor, void *user) {
  (void)reactor;
  come(user, DONE, NULL);
}
static inline void on_resolved(udpr_reactor *reactor, udpr_id id, udpr_status status, const udpr_addr *addrs,
                               size_t count, void *user) {
  (void)reactor, (void)id, (void)status, (void)addrs, (void)count;
  come(user, RESOLVED, NULL);
}
static inline void on_watch(udpr_reactor *reactor, udpr_id id, int32_t fd, uint32_t events, void *user) {
  (void)reactor, (void)id, (void)fd, (void)events;
  come(user, WATCH, NULL);
}
static inline udpr_status on_startup(udpr_reactor *reactor, udpr_id id, void *user) {
  (void)reactor, (void)id;
  come(user, STARTUP, NULL);
  return UDPR_OK;
}
static inline udpr_status on_before(udpr_reactor *reactor, udpr_id id, void *user) {
  (void)reactor, (void)id;
  come(user, SHUTDOWN_BEFORE, NULL);
  return UDPR_OK;
}
static inline udpr_status on_during(udpr_reactor *reactor, udpr_id id, void *user) {
  (void)reactor, (void)id;
  come(user, SHUTDOWN_DURING, NULL);
  return UDPR_OK;
}
static inline udpr_status on_after(udpr_reactor *reactor, udpr_id id, void *user) {
  (void)reactor, (void)id;
  come(user, SHUTDOWN_AFTER, NULL);
  return UDPR_OK;
}
static inline void on_log(const udpr_log_record *record, void *user) {
  (void)record;
  come(user, LOGGER, NULL);
}

#endif
