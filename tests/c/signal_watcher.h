/* signal_watcher.h: watches of signals that count their calls and let a test act in them, and handlers of the program's own. */
#ifndef UDPR_TESTS_SIGNAL_WATCHER_H
#define UDPR_TESTS_SIGNAL_WATCHER_H

#include "check.h"

typedef struct signal_watcher signal_watcher;
struct signal_watcher {
  atomic_int freed;
  udpr_id    id;
  int        number;
  pthread_t  thread; /* the only one that may call it */
  atomic_int calls;
  void (*act)(udpr_reactor *, signal_watcher *); /* called inside the callback */
  void *arg;                                     /* for `act` */
};

static inline void on_signal(udpr_reactor *reactor, udpr_id id, int32_t number, void *user) {
  signal_watcher *self = user;
  CHECK(id == self->id && number == self->number && self->freed == 0);
  CHECK(pthread_equal(self->thread, pthread_self()));
  self->calls++;
  if (self->act) self->act(reactor, self);
  CHECK_EQ(0, self->freed); /* not freed before it returns */
}

static inline void watch_signal(udpr_reactor *reactor, int number, signal_watcher *self) {
  self->number = number, self->thread = pthread_self(), self->freed = 0;
  OK(udpr_reactor_watch_signal(reactor, number, on_signal, self, count_free, &self->id));
  CHECK(self->id != 0);
}

static volatile sig_atomic_t own_handled;

static inline void own_handler(int number) {
  (void)number;
  own_handled++;
}

static inline void set_handler(int number, void (*handler)(int)) {
  struct sigaction action = {.sa_handler = handler};
  CHECK_EQ(0, sigaction(number, &action, NULL));
}

static inline void (*handler_of(int number))(int) {
  struct sigaction action;
  CHECK_EQ(0, sigaction(number, NULL, &action));
  return action.sa_handler;
}

#endif
