/* event_log.h: triggers, calls and ports that append a word to a log when they are called. */
#ifndef UDPR_TESTS_EVENT_LOG_H
#define UDPR_TESTS_EVENT_LOG_H

#include "probe.h"

enum { BEFORE = UDPR_PHASE_BEFORE, DURING = UDPR_PHASE_DURING, AFTER = UDPR_PHASE_AFTER };
enum { STARTUP = UDPR_EVENT_STARTUP, SHUTDOWN = UDPR_EVENT_SHUTDOWN };

typedef struct event_log {
  char text[256];
} event_log;

static inline void log_event(event_log *log, const char *event) {
  size_t len = strlen(log->text);
  int    more = snprintf(log->text + len, sizeof log->text - len, len ? " %s" : "%s", event);
  CHECK(len + (size_t)more < sizeof log->text);
}

/* The `user` of a trigger or a call. */
typedef struct logged_call logged_call;
struct logged_call {
  atomic_int  freed; /* counted by count_free */
  int         called;
  event_log  *log;
  const char *event;
  udpr_status status;                             /* returned by a trigger */
  void (*act)(udpr_reactor *, logged_call *self); /* called inside the callback */
  void   *arg;                                    /* for `act` */
  udpr_id id;                                     /* set by the registration */
};

static inline void logged_call_run(udpr_reactor *reactor, void *user) {
  logged_call *self = user;
  CHECK_EQ(0, self->freed);
  self->called++;
  if (self->log) log_event(self->log, self->event);
  if (self->act) self->act(reactor, self);
  CHECK_EQ(0, self->freed); /* not freed before it returns */
}

static inline udpr_status logged_trigger_run(udpr_reactor *reactor, udpr_id id, void *user) {
  logged_call *self = user;
  CHECK_EQ(self->id, id);
  logged_call_run(reactor, user);
  return self->status;
}

static inline void add_logged_trigger(udpr_reactor *reactor, uint32_t phase, uint32_t event,
                                      logged_call *self) {
  OK(udpr_reactor_add_trigger(reactor, phase, event, logged_trigger_run, self, count_free, &self->id));
  CHECK(self->id != 0);
}

static inline void call_later_logged(udpr_reactor *reactor, udpr_ns delay, logged_call *self) {
  OK(udpr_reactor_call_later(reactor, delay, logged_call_run, self, count_free, &self->id));
}

static inline void call_when_running_logged(udpr_reactor *reactor, logged_call *self) {
  OK(udpr_reactor_call_when_running(reactor, logged_call_run, self, count_free, &self->id));
}

/* Each user was freed once. */
static inline void check_all_freed(const logged_call *calls, size_t count) {
  for (size_t i = 0; i < count; i++) CHECK_EQ(1, calls[i].freed);
}
#define CHECK_ALL_FREED(calls) check_all_freed(calls, sizeof(calls) / sizeof *(calls))

/* ---- actions for a call or a port ---------------------------------------------------------------------- */

static inline void act_stop(udpr_reactor *reactor, logged_call *self) {
  (void)self;
  OK(udpr_reactor_stop(reactor));
}

static inline void act_crash(udpr_reactor *reactor, logged_call *self) {
  (void)self;
  OK(udpr_reactor_crash(reactor));
}

/* A probe's on_stop. Its `arg` is the log. */
static inline void log_stop_protocol(probe *port, udpr_transport *transport) {
  (void)transport;
  log_event(port->arg, "stop_protocol");
}

static inline void run_and_stop(udpr_reactor *reactor) {
  OK(udpr_reactor_call_later(reactor, 0, stop_call, NULL, NULL, NULL));
  run_with_timeout(reactor);
}

#endif
