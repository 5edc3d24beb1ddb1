/* trigger.h: triggers, calls and ports that write down what happens, a word each. */
#ifndef UDPR_TESTS_TRIGGER_H
#define UDPR_TESTS_TRIGGER_H

#include "probe.h"

enum { BEFORE = UDPR_PHASE_BEFORE, DURING = UDPR_PHASE_DURING, AFTER = UDPR_PHASE_AFTER };
enum { STARTUP = UDPR_EVENT_STARTUP, SHUTDOWN = UDPR_EVENT_SHUTDOWN };

typedef struct book {
  char text[256];
} book;

static inline void write_down(book *in, const char *word) {
  size_t len = strlen(in->text);
  int    more = snprintf(in->text + len, sizeof in->text - len, len ? " %s" : "%s", word);
  CHECK(len + (size_t)more < sizeof in->text);
}

/* The `user` of a trigger or a call. */
typedef struct note note;
struct note {
  atomic_int  freed; /* by count_free */
  int         called;
  book       *in;
  const char *word;
  udpr_status answer;                      /* the trigger's */
  void (*act)(udpr_reactor *, note *self); /* what the test does there */
  void   *arg;                             /* for `act` */
  udpr_id id;                              /* from registration */
};

static inline void note_call(udpr_reactor *reactor, void *user) {
  note *self = user;
  CHECK_EQ(0, self->freed);
  self->called++;
  if (self->in) write_down(self->in, self->word);
  if (self->act) self->act(reactor, self);
  CHECK_EQ(0, self->freed); /* not before it has returned */
}

static inline udpr_status note_trigger(udpr_reactor *reactor, udpr_id id, void *user) {
  note *self = user;
  CHECK_EQ(self->id, id);
  note_call(reactor, user);
  return self->answer;
}

static inline void add_note(udpr_reactor *reactor, uint32_t phase, uint32_t event, note *self) {
  OK(udpr_reactor_add_trigger(reactor, phase, event, note_trigger, self, count_free, &self->id));
  CHECK(self->id != 0);
}

static inline void note_later(udpr_reactor *reactor, udpr_ns delay, note *self) {
  OK(udpr_reactor_call_later(reactor, delay, note_call, self, count_free, &self->id));
}

static inline void note_when_running(udpr_reactor *reactor, note *self) {
  OK(udpr_reactor_call_when_running(reactor, note_call, self, count_free, &self->id));
}

/* Whatever has become of them, each user was freed once. */
static inline void all_freed(const note *notes, size_t count) {
  for (size_t i = 0; i < count; i++) CHECK_EQ(1, notes[i].freed);
}
#define ALL_FREED(notes) all_freed(notes, sizeof(notes) / sizeof *(notes))

/* ---- what a note or a port may do ---------------------------------------------------------------------- */

static inline void act_stop(udpr_reactor *reactor, note *self) {
  (void)self;
  OK(udpr_reactor_stop(reactor));
}

static inline void act_crash(udpr_reactor *reactor, note *self) {
  (void)self;
  OK(udpr_reactor_crash(reactor));
}

/* A probe's on_stop; its arg is the book. */
static inline void write_down_stop(probe *port, udpr_transport *transport) {
  (void)transport;
  write_down(port->arg, "stop_protocol");
}

static inline void run_and_stop(udpr_reactor *reactor) {
  OK(udpr_reactor_call_later(reactor, 0, stop_call, NULL, NULL, NULL));
  run_guarded(reactor);
}

#endif
