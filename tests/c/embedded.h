/* embedded.h: helpers for a reactor that is embedded in another event loop. */
#ifndef UDPR_TESTS_EMBEDDED_H
#define UDPR_TESTS_EMBEDDED_H

#include "check.h"

#include <poll.h>

static inline int backend_fd_of(udpr_reactor *reactor) {
  udpr_socket fd = -1, again = -1;
  OK(udpr_reactor_backend_fd(reactor, &fd));
  OK(udpr_reactor_backend_fd(reactor, &again));
  CHECK(fd >= 0 && fd == again);
  return fd;
}

static inline bool is_readable(int fd, int timeout_ms) {
  struct pollfd one = {.fd = fd, .events = POLLIN};
  int           ready = poll(&one, 1, timeout_ms);
  CHECK(ready >= 0);
  if (ready) CHECK_EQ(POLLIN, one.revents);
  return ready;
}

static inline bool becomes_readable(int fd) { return is_readable(fd, (int)(CHECK_TIMEOUT / MS(1))); }

static inline int64_t next_timeout_of(udpr_reactor *reactor) {
  int64_t timeout = -7;
  OK(udpr_reactor_next_timeout(reactor, &timeout));
  return timeout;
}

/* Runs turns until the reactor has nothing to do: backend_fd is not readable, and no callback is due now. */
static inline void iterate_until_idle(udpr_reactor *reactor, int fd) {
  for (int i = 0; i < 5 && is_readable(fd, 0); i++) OK(udpr_reactor_iterate(reactor, 0));
  CHECK(!is_readable(fd, 0));
  CHECK(next_timeout_of(reactor) != 0);
}

/* Does what the outer loop does: waits on backend_fd alone, and runs a turn each time it is readable. */
#define EMBEDDED_RUN_UNTIL(reactor, fd, expr)                             \
  do {                                                                    \
    while (!(expr)) {                                                     \
      if (!becomes_readable(fd)) FAIL("timed out waiting for %s", #expr); \
      OK(udpr_reactor_iterate(reactor, 0));                               \
    }                                                                     \
  } while (0)

#endif
