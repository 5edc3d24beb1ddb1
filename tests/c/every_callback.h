/* every_callback.h: one callback of each kind. The fixture chooses one of them, in which `act` is called;
 * callback_fixture.h makes the reactor that calls all of them. No callback may be called after its free_user,
 * and each user is freed once; both are checked here.
 */
#ifndef UDPR_TESTS_EVERY_CALLBACK_H
#define UDPR_TESTS_EVERY_CALLBACK_H

#include "check.h"

/* A callback on the reactor's thread, or the free_user of a registration. */
typedef enum callback_kind {
  CONFIGURE_SOCKET,
  START_PROTOCOL,
  DATAGRAM_RECEIVED,
  DATAGRAMS_RECEIVED,
  CONNECTION_REFUSED,
  ERROR_RECEIVED,
  WRITE_READY,
  STOP_PROTOCOL,
  VISIT,
  DELAYED_CALL,
  CALL_AT,
  REPEAT,
  PORT_CALL,
  PORT_REPEAT,
  CALL_WHEN_RUNNING,
  CALL_FROM_THREAD,
  REMOTE_CALL,
  DONE,
  RESOLVED,
  WATCH,
  SIGNAL_WATCH,
  INTERFACE_WATCH,
  STARTUP,
  SHUTDOWN_BEFORE,
  SHUTDOWN_DURING,
  SHUTDOWN_AFTER,
  LOGGER,
  PORT_FREED,
  CALL_FREED,
  CALL_AT_FREED,
  REPEAT_FREED,
  PORT_CALL_FREED,
  PORT_REPEAT_FREED,
  RUNNING_FREED,
  FROM_THREAD_FREED,
  REMOTE_FREED,
  JOB_FREED,
  LOOKUP_FREED,
  WATCH_FREED,
  SIGNAL_WATCH_FREED,
  INTERFACE_WATCH_FREED,
  TRIGGER_FREED,
  LOGGER_FREED,
  CALLBACK_KINDS,
} callback_kind;

/* The type of each callback in the header, or its field in udpr_protocol. tests/docs_misuse.py reads this table.
 */
static const char *const callback_names[] = {
    [CONFIGURE_SOCKET] = "configure_socket",
    [START_PROTOCOL] = "start_protocol",
    [DATAGRAM_RECEIVED] = "datagram_received",
    [DATAGRAMS_RECEIVED] = "datagrams_received",
    [CONNECTION_REFUSED] = "connection_refused",
    [ERROR_RECEIVED] = "error_received",
    [WRITE_READY] = "write_ready",
    [STOP_PROTOCOL] = "stop_protocol",
    [VISIT] = "udpr_visit_fn",
    [DELAYED_CALL] = "udpr_call_fn of call_later",
    [CALL_AT] = "udpr_call_fn of call_at",
    [REPEAT] = "udpr_repeat_fn of call_every",
    [PORT_CALL] = "udpr_protocol_fn of transport_call_later",
    [PORT_REPEAT] = "udpr_transport_repeat_fn of transport_call_every",
    [CALL_WHEN_RUNNING] = "udpr_call_fn of call_when_running",
    [CALL_FROM_THREAD] = "udpr_call_fn of call_from_thread",
    [REMOTE_CALL] = "udpr_call_fn of remote_call",
    [DONE] = "udpr_call_fn of call_in_thread",
    [RESOLVED] = "udpr_resolved_fn",
    [WATCH] = "udpr_watch_fn",
    [SIGNAL_WATCH] = "udpr_signal_fn",
    [INTERFACE_WATCH] = "udpr_change_fn",
    [STARTUP] = "udpr_trigger_fn at startup",
    [SHUTDOWN_BEFORE] = "udpr_trigger_fn before shutdown",
    [SHUTDOWN_DURING] = "udpr_trigger_fn during shutdown",
    [SHUTDOWN_AFTER] = "udpr_trigger_fn after shutdown",
    [LOGGER] = "udpr_log_fn",
    [PORT_FREED] = "udpr_free_fn of listen_udp",
    [CALL_FREED] = "udpr_free_fn of call_later",
    [CALL_AT_FREED] = "udpr_free_fn of call_at",
    [REPEAT_FREED] = "udpr_free_fn of call_every",
    [PORT_CALL_FREED] = "udpr_free_fn of transport_call_later",
    [PORT_REPEAT_FREED] = "udpr_free_fn of transport_call_every",
    [RUNNING_FREED] = "udpr_free_fn of call_when_running",
    [FROM_THREAD_FREED] = "udpr_free_fn of call_from_thread",
    [REMOTE_FREED] = "udpr_free_fn of remote_call",
    [JOB_FREED] = "udpr_free_fn of call_in_thread",
    [LOOKUP_FREED] = "udpr_free_fn of resolve",
    [WATCH_FREED] = "udpr_free_fn of watch",
    [SIGNAL_WATCH_FREED] = "udpr_free_fn of watch_signal",
    [INTERFACE_WATCH_FREED] = "udpr_free_fn of watch_interfaces",
    [TRIGGER_FREED] = "udpr_free_fn of add_trigger",
    [LOGGER_FREED] = "udpr_free_fn of set_logger",
};

typedef struct callback_fixture callback_fixture;

/* The `user` of one registration. */
typedef struct registration {
  callback_fixture *in;
  callback_kind     freed_kind;
  int               freed, running;
  udpr_id           id;
  udpr_transport   *transport;
} registration;

typedef void (*act_fn)(callback_fixture *fixture);

enum { MAX_REGISTRATIONS = 40 };

struct callback_fixture {
  udpr_reactor *reactor;
  udpr_remote  *remote;
  registration  registrations[MAX_REGISTRATIONS], visitor;
  int           count;
  /* These point into `registrations`. */
  registration   *single, *batch, *connected, *watches[3], *lookup, *call, *triggers[5];
  callback_kind   kind;
  act_fn          act;
  registration   *acting;           /* whose callback called `act` */
  udpr_transport *acting_transport; /* set in the callback of a port */
  bool            acted, was_called[CALLBACK_KINDS];
  udpr_status     act_status; /* returned by the call during which `act` was called */
  int             pipe[2], peer, refusing;
  udpr_addr       to; /* the address of `peer` */
};

/* ---- the callbacks -------------------------------------------------------------------------------------- */

static inline void record_callback(registration *self, callback_kind kind, udpr_transport *transport) {
  callback_fixture *fixture = self->in;
  CHECK_EQ(0, self->freed);
  fixture->was_called[kind] = true;
  if (fixture->acted || fixture->kind != kind) return;
  fixture->acted = true, fixture->acting = self, fixture->acting_transport = transport;
  self->running++;
  fixture->act(fixture);
  self->running--;
  CHECK_EQ(0, self->freed); /* not freed before it returns */
}

static inline void registration_free(void *user) {
  registration     *self = user;
  callback_fixture *fixture = self->in;
  CHECK(self->freed++ == 0 && self->running == 0);
  fixture->was_called[self->freed_kind] = true;
  if (fixture->acted || fixture->kind != self->freed_kind) return;
  fixture->acted = true, fixture->acting = self;
  fixture->act(fixture);
}

static inline udpr_status on_configure_socket(udpr_socket fd, const udpr_addr *local, void *user) {
  CHECK(fd >= 0 && local->family == UDPR_AF_INET);
  record_callback(user, CONFIGURE_SOCKET, NULL);
  return UDPR_OK;
}
static inline udpr_status on_start_protocol(udpr_transport *transport, void *user) {
  record_callback(user, START_PROTOCOL, transport);
  return UDPR_OK;
}
static inline void on_datagram_received(udpr_transport *transport, const udpr_datagram *datagram,
                                        void *user) {
  (void)datagram;
  record_callback(user, DATAGRAM_RECEIVED, transport);
}
static inline size_t on_datagrams_received(udpr_transport *transport, const udpr_datagram *const *datagrams,
                                           size_t count, void *user) {
  (void)datagrams;
  record_callback(user, DATAGRAMS_RECEIVED, transport);
  return count;
}
static inline void on_connection_refused(udpr_transport *transport, void *user) {
  record_callback(user, CONNECTION_REFUSED, transport);
}
static inline void on_error_received(udpr_transport *transport, const udpr_error_report *report, void *user) {
  (void)report;
  record_callback(user, ERROR_RECEIVED, transport);
}
static inline void on_write_ready(udpr_transport *transport, void *user) {
  record_callback(user, WRITE_READY, transport);
}
static inline void on_stop_protocol(udpr_transport *transport, udpr_status reason, void *user) {
  (void)reason;
  record_callback(user, STOP_PROTOCOL, transport);
}
static inline void on_visit(udpr_transport *transport, void *user) {
  record_callback(user, VISIT, transport);
}
static inline void on_delayed_call(udpr_reactor *reactor, void *user) {
  (void)reactor;
  record_callback(user, DELAYED_CALL, NULL);
}
static inline void on_call_at(udpr_reactor *reactor, void *user) {
  (void)reactor;
  record_callback(user, CALL_AT, NULL);
}
static inline void on_repeat(udpr_reactor *reactor, udpr_id id, uint64_t beats, void *user) {
  (void)reactor, (void)id, (void)beats;
  record_callback(user, REPEAT, NULL);
}
static inline void on_port_call(udpr_transport *transport, void *user) {
  record_callback(user, PORT_CALL, transport);
}
static inline void on_port_repeat(udpr_transport *transport, udpr_id id, uint64_t beats, void *user) {
  (void)id, (void)beats;
  record_callback(user, PORT_REPEAT, transport);
}
static inline void on_call_when_running(udpr_reactor *reactor, void *user) {
  (void)reactor;
  record_callback(user, CALL_WHEN_RUNNING, NULL);
}
static inline void on_call_from_thread(udpr_reactor *reactor, void *user) {
  (void)reactor;
  record_callback(user, CALL_FROM_THREAD, NULL);
}
static inline void on_remote_call(udpr_reactor *reactor, void *user) {
  (void)reactor;
  record_callback(user, REMOTE_CALL, NULL);
}
static inline void on_work(void *user) { (void)user; }
static inline void on_done(udpr_reactor *reactor, void *user) {
  (void)reactor;
  record_callback(user, DONE, NULL);
}
static inline void on_resolved(udpr_reactor *reactor, udpr_id id, udpr_status status, const udpr_addr *addrs,
                               size_t count, void *user) {
  (void)reactor, (void)id, (void)status, (void)addrs, (void)count;
  record_callback(user, RESOLVED, NULL);
}
static inline void on_watch(udpr_reactor *reactor, udpr_id id, udpr_socket fd, uint32_t events, void *user) {
  (void)reactor, (void)id, (void)fd, (void)events;
  record_callback(user, WATCH, NULL);
}
static inline void on_signal_watch(udpr_reactor *reactor, udpr_id id, int32_t signal_number, void *user) {
  (void)reactor, (void)id, (void)signal_number;
  record_callback(user, SIGNAL_WATCH, NULL);
}
static inline void on_interface_watch(udpr_reactor *reactor, udpr_id id, void *user) {
  (void)reactor, (void)id;
  record_callback(user, INTERFACE_WATCH, NULL);
}
static inline udpr_status on_startup(udpr_reactor *reactor, udpr_id id, void *user) {
  (void)reactor, (void)id;
  record_callback(user, STARTUP, NULL);
  return UDPR_OK;
}
static inline udpr_status on_shutdown_before(udpr_reactor *reactor, udpr_id id, void *user) {
  (void)reactor, (void)id;
  record_callback(user, SHUTDOWN_BEFORE, NULL);
  return UDPR_OK;
}
static inline udpr_status on_shutdown_during(udpr_reactor *reactor, udpr_id id, void *user) {
  (void)reactor, (void)id;
  record_callback(user, SHUTDOWN_DURING, NULL);
  return UDPR_OK;
}
static inline udpr_status on_shutdown_after(udpr_reactor *reactor, udpr_id id, void *user) {
  (void)reactor, (void)id;
  record_callback(user, SHUTDOWN_AFTER, NULL);
  return UDPR_OK;
}
static inline void on_log(const udpr_log_record *record, void *user) {
  (void)record;
  record_callback(user, LOGGER, NULL);
}

#endif
