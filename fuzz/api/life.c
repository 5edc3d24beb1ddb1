/* life.c: operations on reactors: their life, and life inside another loop. */
#include "fuzz.h"

home *any_home(void) {
  int start = (int)below(HOMES);
  for (int i = 0; i < HOMES; i++) {
    home *home = &w.homes[(start + i) % HOMES];
    if (!home->reactor) continue;
    widen_stage(home);
    return home;
  }
  return NULL;
}

/* Nothing of an event is left, and a stop that a remote has asked for is not for the next run. While the reactor is freed,
 * that comes by itself. */
void end_stage(home *home) {
  home->stage = home->closing ? IDLE | STARTED | ENDING : IDLE;
  home->stop_asked = false;
}

static void wrong_options(void) {
  struct {
    udpr_reactor_options options;
    uint64_t             behind;
  } newer = {.options.size = sizeof newer};
  udpr_reactor *reactor = NULL;
  switch (below(4)) {
  case 0: newer.options.size = PICK((size_t)0, sizeof newer.options - 1, (size_t)4097); break;
  case 1: newer.behind = 1; break;
  case 2: newer.options.flags = 8; break;
  default: newer.options.thread_pool_size = 1025; break;
  }
  CALL(NULL, udpr_reactor_new, &newer.options, one_in(8) ? NULL : &reactor);
  EXPECT(UDPR_E_INVALID_ARGUMENT, UDPR_E_VERSION);
  MUST(reactor == NULL);
}

void make_home(void) {
  if (one_in(8)) wrong_options();
  for (int i = 0; i < HOMES; i++) {
    home *home = &w.homes[i];
    if (home->reactor || home->closing) continue;
    udpr_reactor_options options = {.size = sizeof options, .thread_pool_size = below(4)};
    /* No signals in lockstep with other threads: their handlers are the process'. */
    options.flags = one_in(3) ? 0 : UDPR_REACTOR_MANUAL_CLOCK;
    if (one_in(6)) options.flags |= UDPR_REACTOR_PINNED;
    if (one_in(6)) options.flags |= UDPR_REACTOR_SIGNALS;
    udpr_reactor *reactor = NULL;
    CALL(NULL, udpr_reactor_new, options.flags == 0 && one_in(2) ? NULL : &options, &reactor);
    if (EXPECT(UDPR_OK))
      *home = (struct home){.reactor = reactor, .flags = options.flags, .stage = IDLE, .pinned_by = -1};
    return;
  }
}

static void check_end(home *home) {
  for (int i = 0; i < atomic_load(&w.user_count); i++) {
    user *user = w.users[i];
    if (user->home != home) continue;
    atomic_store(&user->live, false);
    must_be_freed(user);
    user->home = NULL, user->fd = -1;
  }
  for (int i = 0; i < PORTS; i++) {
    port *port = &w.ports[i];
    if (port->home != home || (port->making && port->state == STARTING))
      continue; /* refused: a wrong thread */
    if (port->state != GONE) FAIL("port %d lives on, state %d", i, port->state);
    port->home = NULL;
  }
  for (int i = 0; i < DOORS; i++)
    if (w.doors[i].home == home) w.doors[i].closed = true, w.doors[i].home = NULL;
}

void free_home(home *home) {
  bool nested = home->inside > 0, was_closing = home->closing;
  if (!nested && may_enter(home)) home->stage = IDLE | STARTED | ENDING;
  udpr_reactor *reactor = home->reactor;
  home->closing = true;
  call_begin(FN_udpr_reactor_free, home);
  udpr_status status = udpr_reactor_free(reactor);
  call_end(status);
  home->closing = was_closing;
  if (nested) {
    EXPECT(home->inside_by == me ? UDPR_E_REENTRANT : UDPR_E_WRONG_THREAD);
  } else if (home->pinned_by >= 0 && home->pinned_by != me) {
    EXPECT(UDPR_E_WRONG_THREAD);
  } else {
    EXPECT(UDPR_OK);
    check_end(home);
    *home = (struct home){0};
  }
}

static void op_free(void) {
  home *home = any_home();
  if (one_in(16)) CALL(NULL, udpr_reactor_free, NULL), EXPECT(UDPR_OK);
  if (home) free_home(home);
}

/* ---- turns -------------------------------------------------------------------------------------------------- */

static bool stop_may_come(const home *home) { return home->stop_asked || w.runs_free; }

/* Turns go on with an event, and so do calls that finish a trigger; when that ends, the model need not know. */
void widen_stage(home *home) {
  if (stop_may_come(home) && (home->stage & STARTED)) home->stage |= ENDING;
  if (home->stage & ENDING) home->stage |= IDLE;
}

/* The reactor turns on a thread of which it has none inside; PINNED makes it that thread's. */
static bool may_turn(home *home) {
  if (home->inside > 0) return false;
  if (home->pinned_by >= 0 && home->pinned_by != me) return false;
  if (home->flags & UDPR_REACTOR_PINNED) home->pinned_by = me;
  return true;
}

static void op_iterate(void) {
  home *home = any_home();
  if (!home) return;
  bool    may = may_turn(home), woken = false;
  int64_t timeout = 0;
  if (may && one_in(4)) {
    /* A wake makes the longest wait short. */
    for (int i = 0; i < DOORS && !woken; i++)
      if (w.doors[i].home == home && w.doors[i].held > 0) {
        CALL(NULL, udpr_remote_wake, w.doors[i].remote);
        woken = EXPECT(UDPR_OK);
      }
    timeout = woken ? PICK((int64_t)-1, 1000000000, INT64_MAX) : (int64_t)below(300000);
  }
  CALL(home, udpr_reactor_iterate, home->reactor, timeout);
  if (!may) EXPECT(UDPR_E_REENTRANT);
  else if (EXPECT(UDPR_OK)) widen_stage(home);
}

/* A call that comes in every turn, and ends the run at last; none is left behind it. */
static void on_guard(udpr_reactor *reactor, void *argument) {
  home *home = argument;
  MUST(home->reactor == reactor);
  if (home->guard == 0) return;
  if (--home->guard == 0) {
    CALL(home, udpr_reactor_crash, reactor);
    if (EXPECT(UDPR_OK, UDPR_E_NOT_RUNNING)) end_stage(home);
  } else {
    CALL(NULL, udpr_reactor_call_from_thread, reactor, on_guard, home, NULL);
    EXPECT(UDPR_OK, UDPR_E_CLOSED);
  }
}

static void op_run(void) {
  home *home = any_home();
  if (!home) return;
  bool may = may_turn(home), idle = home->stage == IDLE, started = !(home->stage & IDLE);
  int  starts = home->starts;
  if (may) {
    home->guard = 1 + (int)below(8);
    CALL(NULL, udpr_reactor_call_from_thread, home->reactor, on_guard, home, NULL);
    EXPECT(UDPR_OK);
    if (idle) home->stop_asked = false;
    if (!started) home->stage = STARTED;
  }
  CALL(home, udpr_reactor_run, home->reactor);
  if (!may) EXPECT(UDPR_E_REENTRANT);
  else if (idle) EXPECT(UDPR_OK);
  else EXPECT(started ? UDPR_E_ALREADY_RUNNING : UDPR_OK, UDPR_E_ALREADY_RUNNING);
  if (!may) return;
  home->guard = 0;
  if (call_status() != UDPR_OK) home->stage |= idle ? 0 : STARTED | ENDING;
  else if (home->starts == starts) end_stage(home);
  else home->stage = IDLE | STARTED | ENDING; /* a callback has ended the run, and started anew */
}

static void op_start(void) {
  home *home = any_home();
  if (!home || home->closing) return;
  unsigned before = home->stage;
  bool     may = may_enter(home), asked = home->stop_asked;
  if (may && (before & IDLE)) home->stage = STARTED, home->stop_asked = false; /* triggers run inside */
  CALL(home, udpr_reactor_start, home->reactor);
  if (before == IDLE) EXPECT(UDPR_OK);
  else if (!(before & IDLE)) EXPECT(UDPR_E_ALREADY_RUNNING);
  else EXPECT(UDPR_OK, UDPR_E_ALREADY_RUNNING);
  if (call_status() == UDPR_E_ALREADY_RUNNING)
    home->stage = before & ~(unsigned)IDLE, home->stop_asked = asked;
  else if (call_status() == UDPR_OK) home->starts++;
}

static void op_stop(void) {
  home *home = any_home();
  if (!home || home->closing) return;
  unsigned stage = home->stage;
  CALL(home, udpr_reactor_stop, home->reactor);
  if (stage == STARTED) EXPECT(UDPR_OK);
  else if (!(stage & STARTED)) EXPECT(UDPR_E_NOT_RUNNING);
  else EXPECT(UDPR_OK, UDPR_E_NOT_RUNNING);
  if (call_status() == UDPR_OK) home->stage = ENDING;
  else if (call_status() == UDPR_E_NOT_RUNNING) home->stage = stage & ~(unsigned)STARTED;
}

static void op_crash(void) {
  home *home = any_home();
  if (!home || home->closing) return;
  CALL(home, udpr_reactor_crash, home->reactor);
  if (home->stage == IDLE) EXPECT(UDPR_E_NOT_RUNNING);
  else if (!(home->stage & IDLE)) EXPECT(UDPR_OK);
  else EXPECT(UDPR_OK, UDPR_E_NOT_RUNNING);
  if (call_status() == UDPR_OK || call_status() == UDPR_E_NOT_RUNNING) end_stage(home);
}

static void op_looks(void) {
  home *home = any_home();
  if (!home) return;
  udpr_bool running = TAKE(udpr_bool, NULL, udpr_reactor_is_running, home->reactor);
  if (running && home->stage == IDLE && !home->closing) FAIL("an idle reactor runs");
  CALL(NULL, udpr_reactor_after_fork, home->reactor);
  EXPECT(UDPR_E_NOT_SUPPORTED);
  void *pointer = one_in(2) ? home : NULL;
  CALL(home, udpr_reactor_set_user, home->reactor, pointer);
  if (EXPECT(UDPR_OK)) home->kept = pointer;
  bool  mine = may_enter(home);
  void *kept = TAKE(void *, home, udpr_reactor_user, home->reactor);
  if (kept != (mine ? home->kept : NULL)) FAIL("another user");
}

static void op_backend(void) {
  home *home = any_home();
  if (!home) return;
  int32_t fd = -1;
  int64_t timeout = -2;
  CALL(home, udpr_reactor_backend_fd, home->reactor, &fd);
  if (EXPECT(UDPR_OK)) MUST(fd >= 0);
  CALL(home, udpr_reactor_next_timeout, home->reactor, &timeout);
  if (EXPECT(UDPR_OK)) MUST(timeout >= -1);
  CALL(home, udpr_reactor_backend_fd, home->reactor, NULL);
  EXPECT(UDPR_E_INVALID_ARGUMENT);
}

static void op_null(void) {
  switch (below(6)) {
  case 0: CALL(NULL, udpr_reactor_run, NULL); break;
  case 1: CALL(NULL, udpr_reactor_iterate, NULL, 0); break;
  case 2: CALL(NULL, udpr_reactor_stop, NULL); break;
  case 3: CALL(NULL, udpr_transport_close, NULL); break;
  case 4: CALL(NULL, udpr_remote_stop, NULL); break;
  default: CALL(NULL, udpr_transport_write, NULL, "", 1, NULL); break;
  }
  EXPECT(UDPR_E_INVALID_ARGUMENT);
}

const operation life_operations[] = {
    {make_home, "new", 1},  {op_free, "free", 1},   {op_iterate, "iterate", 16},
    {op_run, "run", 2},     {op_start, "start", 4}, {op_stop, "stop", 2},
    {op_crash, "crash", 1}, {op_looks, "looks", 1}, {op_backend, "backend", 1},
    {op_null, "null", 1},   {NULL, NULL, 0}};
