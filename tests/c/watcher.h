/* watcher.h: watches that count their calls and let a test act in them. */
#ifndef UDPR_TESTS_WATCHER_H
#define UDPR_TESTS_WATCHER_H

#include "check.h"

#include <fcntl.h>

enum { R = UDPR_WATCH_READABLE, W = UDPR_WATCH_WRITABLE, H = UDPR_WATCH_HANGUP };

typedef struct watcher watcher;
struct watcher {
  atomic_int freed;
  udpr_id    id;
  int        fd;
  int        calls;
  uint32_t   seen_events;                               /* all events so far */
  void (*act)(udpr_reactor *, watcher *, uint32_t now); /* called inside the callback */
  void *arg;                                            /* for `act` */
};

static inline void on_ready(udpr_reactor *reactor, udpr_id id, udpr_socket fd, uint32_t events, void *user) {
  watcher *self = user;
  CHECK(id == self->id && fd == self->fd && self->freed == 0);
  CHECK(events != 0 && (events & ~(uint32_t)(R | W | H)) == 0);
  self->calls++;
  self->seen_events |= events;
  if (self->act) self->act(reactor, self, events);
  CHECK_EQ(0, self->freed); /* not freed before it returns */
}

static inline void watch(udpr_reactor *reactor, int fd, uint32_t events, watcher *self) {
  self->fd = fd;
  OK(udpr_reactor_watch(reactor, fd, events, on_ready, self, count_free, &self->id));
  CHECK(self->id != 0);
}

static inline void open_pipe(int ends[2]) { CHECK_EQ(0, pipe2(ends, O_CLOEXEC | O_NONBLOCK)); }

static inline void close_pipe(const int ends[2]) { CHECK(close(ends[0]) == 0 && close(ends[1]) == 0); }

#endif
