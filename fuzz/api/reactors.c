/* reactors.c: operations on reactors: creating, running, stopping, freeing, embedding. */
#include "fuzz.h"

loop *any_loop(void) {
  int start = (int)below(LOOPS);
  for (int i = 0; i < LOOPS; i++) {
    loop *loop = &model.loops[(start + i) % LOOPS];
    if (!loop->reactor) continue;
    add_possible_stages(loop);
    return loop;
  }
  return NULL;
}

/* After the end of a run, no event is in progress, and a stop requested by a remote does not affect the next run. While the
 * reactor is being freed, any stage is possible. */
void reset_stages(loop *loop) {
  loop->stages = loop->closing ? IDLE | STARTED | ENDING : IDLE;
  loop->stop_requested = false;
}

static void wrong_options(void) {
  struct {
    udpr_reactor_options options;
    uint64_t             unknown;
  } newer = {.options.size = sizeof newer};
  udpr_reactor *reactor = NULL;
  switch (below(6)) {
  case 0:
    newer.options.size = PICK((size_t)0, offsetof(udpr_reactor_options, reserved) - 1, (size_t)4097);
    break;
  case 1: newer.unknown = 1; break;
  case 2: newer.options.flags = 8; break;
  case 3: newer.options.reserved = 1; break;
  case 4: newer.options.spin = UDPR_NEVER - 1; break;
  default: newer.options.thread_pool_size = 1025; break;
  }
  CALL(NULL, udpr_reactor_new, &newer.options, one_in(8) ? NULL : &reactor);
  EXPECT(UDPR_E_INVALID_ARGUMENT, UDPR_E_VERSION);
  ASSERT(reactor == NULL);
}

void make_loop(void) {
  if (one_in(8)) wrong_options();
  for (int i = 0; i < LOOPS; i++) {
    loop *loop = &model.loops[i];
    if (loop->reactor || loop->closing) continue;
    udpr_reactor_options options = {.size = sizeof options, .thread_pool_size = below(4)};
    if (one_in(4)) options.spin = one_in(4) ? UDPR_NEVER : below(1000000);
    options.flags = one_in(3) ? 0 : UDPR_REACTOR_MANUAL_CLOCK;
    if (one_in(6)) options.flags |= UDPR_REACTOR_PINNED;
    if (one_in(6)) options.flags |= UDPR_REACTOR_SIGNALS;
    udpr_reactor *reactor = NULL;
    CALL(NULL, udpr_reactor_new, options.flags == 0 && one_in(2) ? NULL : &options, &reactor);
    if (EXPECT(UDPR_OK))
      *loop = (struct loop){.reactor = reactor, .flags = options.flags, .stages = IDLE, .pinned_by = -1};
    return;
  }
}

static void check_end(loop *loop) {
  for (int i = 0; i < atomic_load(&model.registration_count); i++) {
    registration *reg = model.registrations[i];
    if (reg->loop != loop) continue;
    atomic_store(&reg->live, false);
    must_be_freed(reg);
    reg->loop = NULL, reg->fd = -1;
  }
  for (int i = 0; i < PORTS; i++) {
    port *port = &model.ports[i];
    if (port->loop != loop || (port->creating && port->state == STARTING))
      continue; /* rejected on a wrong thread */
    if (port->state != GONE) FAIL("port %d still exists, state %d", i, port->state);
    port->loop = NULL;
  }
  for (int i = 0; i < REMOTES; i++)
    if (model.remotes[i].loop == loop) model.remotes[i].closed = true, model.remotes[i].loop = NULL;
}

void free_loop(loop *loop) {
  bool nested = loop->inside > 0, was_closing = loop->closing;
  if (!nested && may_enter(loop)) loop->stages = IDLE | STARTED | ENDING;
  udpr_reactor *reactor = loop->reactor;
  loop->closing = true;
  call_begin(FN_udpr_reactor_free, loop);
  udpr_status status = udpr_reactor_free(reactor);
  call_end(status);
  loop->closing = was_closing;
  if (nested) {
    EXPECT(loop->inside_by == thread_number ? UDPR_E_REENTRANT : UDPR_E_WRONG_THREAD);
  } else if (loop->pinned_by >= 0 && loop->pinned_by != thread_number) {
    EXPECT(UDPR_E_WRONG_THREAD);
  } else {
    EXPECT(UDPR_OK);
    check_end(loop);
    *loop = (struct loop){0};
  }
}

static void op_free(void) {
  loop *loop = any_loop();
  if (one_in(16)) CALL(NULL, udpr_reactor_free, NULL), EXPECT(UDPR_OK);
  if (loop) free_loop(loop);
}

/* ---- turns -------------------------------------------------------------------------------------------------- */

static bool stop_may_come(const loop *loop) { return loop->stop_requested || model.free_threads; }

/* A turn, or a call that finishes a trigger, may continue or complete an event without the model noticing. */
void add_possible_stages(loop *loop) {
  if (stop_may_come(loop) && (loop->stages & STARTED)) loop->stages |= ENDING;
  if (loop->stages & ENDING) loop->stages |= IDLE;
}

/* A turn needs a reactor that no call has entered. PINNED pins the reactor to the thread of its first turn. */
static bool may_run_turns(loop *loop) {
  if (loop->inside > 0) return false;
  if (loop->pinned_by >= 0 && loop->pinned_by != thread_number) return false;
  if (loop->flags & UDPR_REACTOR_PINNED) loop->pinned_by = thread_number;
  loop->gathers = false;
  return true;
}

static void op_iterate(void) {
  loop *loop = any_loop();
  if (!loop) return;
  bool    may = may_run_turns(loop), woken = false;
  int64_t timeout = 0;
  if (may && one_in(4)) {
    /* After a wake, even the longest wait ends at once. */
    for (int i = 0; i < REMOTES && !woken; i++)
      if (model.remotes[i].loop == loop && model.remotes[i].references > 0) {
        CALL(NULL, udpr_remote_wake, model.remotes[i].handle);
        woken = EXPECT(UDPR_OK);
      }
    timeout = woken ? PICK((int64_t)-1, 1000000000, INT64_MAX) : (int64_t)below(300000);
  }
  CALL(loop, udpr_reactor_iterate, loop->reactor, timeout);
  if (!may) EXPECT(UDPR_E_REENTRANT);
  else if (EXPECT(UDPR_OK)) add_possible_stages(loop);
}

/* Runs in every turn and ends the run after a few of them. */
static void on_turn_limit(udpr_reactor *reactor, void *argument) {
  loop *loop = argument;
  ASSERT(loop->reactor == reactor);
  if (loop->turns_left == 0) return;
  if (--loop->turns_left == 0) {
    CALL(loop, udpr_reactor_crash, reactor);
    if (EXPECT(UDPR_OK, UDPR_E_NOT_RUNNING)) reset_stages(loop);
  } else {
    CALL(NULL, udpr_reactor_call_from_thread, reactor, on_turn_limit, loop, NULL);
    EXPECT(UDPR_OK, UDPR_E_CLOSED);
  }
}

static void op_run(void) {
  loop *loop = any_loop();
  if (!loop) return;
  bool may = may_run_turns(loop), idle = loop->stages == IDLE, started = !(loop->stages & IDLE);
  int  starts = loop->starts;
  if (may) {
    loop->turns_left = 1 + (int)below(8);
    CALL(NULL, udpr_reactor_call_from_thread, loop->reactor, on_turn_limit, loop, NULL);
    EXPECT(UDPR_OK);
    if (idle) loop->stop_requested = false;
    if (!started) loop->stages = STARTED;
  }
  CALL(loop, udpr_reactor_run, loop->reactor);
  if (!may) EXPECT(UDPR_E_REENTRANT);
  else if (idle) EXPECT(UDPR_OK);
  else EXPECT(started ? UDPR_E_ALREADY_RUNNING : UDPR_OK, UDPR_E_ALREADY_RUNNING);
  if (!may) return;
  loop->turns_left = 0;
  if (call_status() != UDPR_OK) loop->stages |= idle ? 0 : STARTED | ENDING;
  else if (loop->starts == starts) reset_stages(loop);
  else loop->stages = IDLE | STARTED | ENDING; /* a callback has ended the run and started another */
}

static void op_start(void) {
  loop *loop = any_loop();
  if (!loop || loop->closing) return;
  unsigned before = loop->stages;
  bool     may = may_enter(loop), asked = loop->stop_requested;
  if (may && (before & IDLE))
    loop->stages = STARTED, loop->stop_requested = false; /* triggers run inside the call */
  CALL(loop, udpr_reactor_start, loop->reactor);
  if (before == IDLE) EXPECT(UDPR_OK);
  else if (!(before & IDLE)) EXPECT(UDPR_E_ALREADY_RUNNING);
  else EXPECT(UDPR_OK, UDPR_E_ALREADY_RUNNING);
  if (call_status() == UDPR_E_ALREADY_RUNNING)
    loop->stages = before & ~(unsigned)IDLE, loop->stop_requested = asked;
  else if (call_status() == UDPR_OK) loop->starts++;
}

static void op_stop(void) {
  loop *loop = any_loop();
  if (!loop || loop->closing) return;
  unsigned stage = loop->stages;
  CALL(loop, udpr_reactor_stop, loop->reactor);
  if (stage == STARTED) EXPECT(UDPR_OK);
  else if (!(stage & STARTED)) EXPECT(UDPR_E_NOT_RUNNING);
  else EXPECT(UDPR_OK, UDPR_E_NOT_RUNNING);
  if (call_status() == UDPR_OK) loop->stages = ENDING;
  else if (call_status() == UDPR_E_NOT_RUNNING) loop->stages = stage & ~(unsigned)STARTED;
}

static void op_crash(void) {
  loop *loop = any_loop();
  if (!loop || loop->closing) return;
  CALL(loop, udpr_reactor_crash, loop->reactor);
  if (loop->stages == IDLE) EXPECT(UDPR_E_NOT_RUNNING);
  else if (!(loop->stages & IDLE)) EXPECT(UDPR_OK);
  else EXPECT(UDPR_OK, UDPR_E_NOT_RUNNING);
  if (call_status() == UDPR_OK || call_status() == UDPR_E_NOT_RUNNING) reset_stages(loop);
}

static void op_getters(void) {
  loop *loop = any_loop();
  if (!loop) return;
  udpr_bool running = CALL_VALUE(udpr_bool, NULL, udpr_reactor_is_running, loop->reactor);
  if (running && loop->stages == IDLE && !loop->closing) FAIL("an idle reactor reports that it runs");
  CALL(NULL, udpr_reactor_after_fork, loop->reactor);
  EXPECT(UDPR_E_NOT_SUPPORTED);
  void *pointer = one_in(2) ? loop : NULL;
  CALL(loop, udpr_reactor_set_user, loop->reactor, pointer);
  if (EXPECT(UDPR_OK)) loop->user_pointer = pointer;
  bool  mine = may_enter(loop);
  void *kept = CALL_VALUE(void *, loop, udpr_reactor_user, loop->reactor);
  if (kept != (mine ? loop->user_pointer : NULL)) FAIL("another user");
}

static void op_backend(void) {
  loop *loop = any_loop();
  if (!loop) return;
  int32_t fd = -1;
  int64_t timeout = -2;
  CALL(loop, udpr_reactor_backend_fd, loop->reactor, &fd);
  if (EXPECT(UDPR_OK)) ASSERT(fd >= 0);
  CALL(loop, udpr_reactor_next_timeout, loop->reactor, &timeout);
  if (EXPECT(UDPR_OK)) ASSERT(timeout >= -1);
  CALL(loop, udpr_reactor_backend_fd, loop->reactor, NULL);
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

const operation reactor_operations[] = {{make_loop, 1},  {op_free, 1}, {op_iterate, 16}, {op_run, 2},
                                        {op_start, 4},   {op_stop, 2}, {op_crash, 1},    {op_getters, 1},
                                        {op_backend, 1}, {op_null, 1}, {NULL, 0}};
