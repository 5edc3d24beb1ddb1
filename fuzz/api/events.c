/* events.c: operations on delayed calls, triggers and watches. */
#include "fuzz.h"

#include <sys/socket.h>

/* ---- time --------------------------------------------------------------------------------------------------- */

udpr_ns add_ns(udpr_ns a, udpr_ns b) { return b == UDPR_NEVER || a + b < a ? UINT64_MAX : a + b; }

/* A value above INT64_MAX is a negative difference. */
static bool invalid_delay(udpr_ns delay) { return delay > INT64_MAX && delay != UDPR_NEVER; }

static udpr_ns any_delay(void) {
  return PICK((udpr_ns)0, 0, 1, below(1000), below(1000000), below(1000000), UINT64_C(3600000000000),
              INT64_MAX, UDPR_NEVER, 0 - below(1000000), (udpr_ns)1 << 63);
}

/* The status of a new delayed call. If it is refused, its user was freed. */
static void check_new_call(registration *reg, bool bad) {
  if (bad ? EXPECT(UDPR_E_INVALID_ARGUMENT) : EXPECT(UDPR_OK)) ASSERT(reg->id != 0);
  else reg->id = 0, check_rejected(reg);
}

static void op_call_later(void) {
  loop *loop = any_loop();
  if (!loop) return;
  registration *reg = new_registration(TIMER, loop);
  udpr_ns       delay = any_delay();
  bool          no_call = one_in(32), bad = no_call || invalid_delay(delay);
  reg->earliest = add_ns(CALL_VALUE(udpr_ns, NULL, udpr_reactor_now, loop->reactor), delay);
  reg->order = model.order++;
  CALL(loop, udpr_reactor_call_later, loop->reactor, delay, no_call ? NULL : on_timer, reg, free_fn(reg),
       &reg->id);
  check_new_call(reg, bad);
  if (reg->id) reg->latest = add_ns(CALL_VALUE(udpr_ns, NULL, udpr_reactor_now, loop->reactor), delay);
}

static void op_call_at(void) {
  loop *loop = any_loop();
  if (!loop) return;
  registration *reg = new_registration(TIMER, loop);
  udpr_ns       now = CALL_VALUE(udpr_ns, NULL, udpr_reactor_now, loop->reactor);
  udpr_ns       instant = one_in(2) ? add_ns(now, below(1000000)) : any_delay();
  bool          no_call = one_in(32), bad = no_call || invalid_delay(instant);
  reg->earliest = reg->latest = instant;
  CALL(loop, udpr_reactor_call_at, loop->reactor, instant, no_call ? NULL : on_timer, reg, free_fn(reg),
       &reg->id);
  check_new_call(reg, bad);
}

/* With a manual clock an advance by a whole life calls each beat, so the intervals are not short there. */
static void op_call_every(void) {
  loop *loop = any_loop();
  if (!loop) return;
  registration *reg = new_registration(TIMER, loop);
  udpr_ns       interval = PICK((udpr_ns)0, (udpr_ns)1 << 40, (udpr_ns)1 << 61, INT64_MAX, UDPR_NEVER,
                                100000 + below(1000000), 100000 + below(1000000), 100000 + below(1000000));
  if (loop->flags & UDPR_REACTOR_MANUAL_CLOCK && interval && interval < (udpr_ns)1 << 60)
    interval = (udpr_ns)1 << 60;
  bool no_call = one_in(32), bad = no_call || interval == 0 || interval > INT64_MAX;
  reg->earliest = add_ns(CALL_VALUE(udpr_ns, NULL, udpr_reactor_now, loop->reactor), interval);
  reg->period = interval;
  CALL(loop, udpr_reactor_call_every, loop->reactor, interval, no_call ? NULL : on_beat, reg, free_fn(reg),
       &reg->id);
  check_new_call(reg, bad);
  if (reg->id) reg->latest = add_ns(CALL_VALUE(udpr_ns, NULL, udpr_reactor_now, loop->reactor), interval);
}

/* Chooses a timer, or sometimes an id of something else, and returns the status to expect. */
static registration *any_timer(loop *loop, udpr_id *id, udpr_status *expected) {
  registration *reg = any_registration(TIMER, loop);
  *expected = UDPR_E_NOT_FOUND;
  if (!reg || one_in(16)) {
    struct registration *other = any_registration(PICK(TRIGGER, WATCH, LOOKUP), loop);
    *id = other ? other->id : PICK((udpr_id)0, (udpr_id)1 << 63, UINT64_MAX);
    return NULL;
  }
  *id = reg->id;
  *expected = reg->call == PENDING  ? UDPR_OK
              : reg->call == CALLED ? UDPR_E_ALREADY_CALLED
                                    : UDPR_E_ALREADY_CANCELLED;
  return reg;
}

static void op_cancel(void) {
  loop *loop = any_loop();
  if (!loop) return;
  udpr_id       id;
  udpr_status   expected;
  registration *reg = any_timer(loop, &id, &expected);
  /* Set before the call, since free_user may look at it. */
  bool mine = may_enter(loop);
  if (reg && expected == UDPR_OK && mine && !loop->closing)
    reg->call = CANCELLED, atomic_store(&reg->live, false);
  CALL(loop, udpr_reactor_cancel_call, loop->reactor, id);
  if (loop->closing) EXPECT(expected, UDPR_OK, UDPR_E_NOT_FOUND, UDPR_E_ALREADY_CANCELLED);
  else if (EXPECT(expected) && atomic_load(&reg->busy) == 0) must_be_freed(reg);
}

/* Moves a call, in one of three ways. Inside itself a call is pending again. */
static void op_move_call(void) {
  loop *loop = any_loop();
  if (!loop || loop->closing) return;
  udpr_id       id;
  udpr_status   expected;
  registration *reg = any_timer(loop, &id, &expected);
  udpr_ns due = 0, now = CALL_VALUE(udpr_ns, NULL, udpr_reactor_now, loop->reactor), delay = any_delay();
  int64_t more = PICK((int64_t)0, 1, -1, INT64_MIN, INT64_MAX, (int64_t)delay, -(int64_t)below(2000000));
  int     way = (int)below(3);
  bool    again = reg && expected == UDPR_E_ALREADY_CALLED && atomic_load(&reg->busy) != 0;
  CALL(loop, udpr_reactor_call_time, loop->reactor, id, &due);
  if (!EXPECT(expected) && (!again || call_status() != expected)) return;
  if (again && way == 2) return; /* from an instant that the model does not know */
  if (!again && (due < reg->earliest || due > reg->latest)) FAIL("due at %llu", (unsigned long long)due);
  if (way == 0) CALL(loop, udpr_reactor_reset_call, loop->reactor, id, delay);
  else if (way == 1) CALL(loop, udpr_reactor_reset_call_at, loop->reactor, id, delay);
  else CALL(loop, udpr_reactor_delay_call, loop->reactor, id, more);
  if (!EXPECT(way < 2 && invalid_delay(delay) ? UDPR_E_INVALID_ARGUMENT : UDPR_OK)) return;
  udpr_ns after = CALL_VALUE(udpr_ns, NULL, udpr_reactor_now, loop->reactor);
  udpr_ns back = way == 2 && more < 0 ? 0 - (udpr_ns)more : 0;
  if (way == 0) reg->earliest = add_ns(now, delay), reg->latest = add_ns(after, delay);
  else if (way == 1) reg->earliest = reg->latest = delay;
  else reg->earliest = reg->latest = more >= 0 ? add_ns(due, (udpr_ns)more) : due > back ? due - back : 0;
  if (again) reg->call = PENDING, atomic_store(&reg->live, true);
  if (!reg->period) return;
  /* Of a grid that has passed, the last instant counts. */
  CALL(loop, udpr_reactor_call_time, loop->reactor, id, &due);
  if (!EXPECT(UDPR_OK)) return;
  if (due < reg->earliest || (due > reg->latest && due > after)) FAIL("due at %llu", (unsigned long long)due);
  reg->earliest = reg->latest = due;
}

/* Not inside a logger: the model counts a call that is being refused. */
static void op_delayed_calls(void) {
  loop *loop = any_loop();
  if (!loop || loop->closing || model.logging) return;
  udpr_id ids[64];
  size_t  count = 0, capacity = below(64), expected = 0;
  CALL(loop, udpr_reactor_delayed_calls, loop->reactor, capacity ? ids : NULL, capacity, &count);
  if (!EXPECT(UDPR_OK)) return;
  for (int i = 0; i < atomic_load(&model.registration_count); i++) {
    registration *reg = model.registrations[i];
    if (reg->kind == PORT_CALL && reg->loop == loop && atomic_load(&reg->busy)) return; /* it may be over */
    bool timer = reg->kind == TIMER || reg->kind == PORT_CALL;
    if (!timer || reg->loop != loop || !atomic_load(&reg->live) || reg->call != PENDING) continue;
    expected++;
  }
  if (count != expected) FAIL("%zu delayed calls, not %zu", count, expected);
  for (size_t i = 0; i < count && i < capacity; i++) ASSERT(ids[i] != 0);
}

/* A call of a port ends with it. */
static void op_port_call(void) {
  port *port = any_port();
  if (!port) return;
  registration *reg = new_registration(PORT_CALL, port->loop);
  bool          open = port->state == STARTING || port->state == LISTENING;
  udpr_ns manual = port->loop && port->loop->flags & UDPR_REACTOR_MANUAL_CLOCK ? (udpr_ns)1 << 60 : 100000;
  reg->port = port, reg->has_free = true;
  if (one_in(2))
    CALL(port->loop, udpr_transport_call_later, port->transport, PICK((udpr_ns)0, below(1000000), UDPR_NEVER),
         on_port_call, reg, free_fn(reg), &reg->id);
  else
    CALL(port->loop, udpr_transport_call_every, port->transport, manual + below(1000000), on_port_beat, reg,
         free_fn(reg), &reg->id);
  if (open && port->loop && !port->loop->closing ? !EXPECT(UDPR_OK) : !EXPECT(UDPR_E_CLOSED))
    reg->id = 0, check_rejected(reg);
}

static void op_advance(void) {
  loop *loop = any_loop();
  if (!loop) return;
  bool    manual = loop->flags & UDPR_REACTOR_MANUAL_CLOCK, nested = loop->inside > 0;
  udpr_ns before = CALL_VALUE(udpr_ns, NULL, udpr_reactor_now, loop->reactor);
  udpr_ns by = one_in(16) ? PICK((udpr_ns)0, INT64_MAX, INT64_MAX + (udpr_ns)1, UDPR_NEVER) : below(1500000);
  CALL(loop, udpr_reactor_advance, loop->reactor, by);
  if (nested) EXPECT(UDPR_E_REENTRANT);
  else if (!manual) EXPECT(UDPR_E_NOT_SUPPORTED);
  else if (by > INT64_MAX) EXPECT(UDPR_E_INVALID_ARGUMENT);
  else if (EXPECT(UDPR_OK))
    ASSERT(CALL_VALUE(udpr_ns, NULL, udpr_reactor_now, loop->reactor) == add_ns(before, by));
}

/* ---- startup and shutdown ----------------------------------------------------------------------------------- */

static void op_add_trigger(void) {
  loop *loop = any_loop();
  if (!loop) return;
  registration *reg = new_registration(TRIGGER, loop);
  bool          bad = one_in(24);
  reg->phase = below(3), reg->event = below(2);
  uint32_t phase = bad ? PICK(3u, UINT32_MAX) : reg->phase;
  udpr_id  id = 0;
  CALL(loop, udpr_reactor_add_trigger, loop->reactor, phase, reg->event, on_trigger, reg, free_fn(reg), &id);
  if (bad ? EXPECT(UDPR_E_INVALID_ARGUMENT) : EXPECT(UDPR_OK)) reg->id = id;
  else check_rejected(reg);
}

static void op_call_when_running(void) {
  loop *loop = any_loop();
  if (!loop) return;
  registration *reg = new_registration(STARTUP_CALL, loop);
  udpr_bool     running = CALL_VALUE(udpr_bool, NULL, udpr_reactor_is_running, loop->reactor);
  udpr_id       id = 77;
  CALL(loop, udpr_reactor_call_when_running, loop->reactor, on_startup_call, reg, free_fn(reg), &id);
  if (!EXPECT(UDPR_OK)) return check_rejected(reg);
  ASSERT(running == (id == 0));
  reg->id = id;
  if (!running) return;
  ASSERT(atomic_load(&reg->calls) == 1);
  must_be_freed(reg);
}

static void op_remove_trigger(void) {
  loop         *loop = any_loop();
  registration *reg = loop ? any_registration(PICK(TRIGGER, TRIGGER, STARTUP_CALL), loop) : NULL;
  if (!reg || loop->closing) return;
  bool live = atomic_load(&reg->live), busy = atomic_load(&reg->busy) > 0;
  bool mine = may_enter(loop);
  if (reg->kind == STARTUP_CALL && busy) live = false; /* it was removed before its call */
  else if (live && mine && !busy) atomic_store(&reg->live, false);
  CALL(loop, udpr_reactor_remove_trigger, loop->reactor, reg->id);
  if (EXPECT(live ? UDPR_OK : UDPR_E_NOT_FOUND) && !busy) must_be_freed(reg);
  if (call_status() == UDPR_OK) atomic_store(&reg->live, false);
  if (loop->stages & ENDING) loop->stages |= IDLE;
}

static void op_finish_trigger(void) {
  loop         *loop = any_loop();
  registration *reg = loop ? any_registration(TRIGGER, loop) : NULL;
  if (!reg || loop->closing) return;
  bool pending = reg->pending;
  bool may = (pending || atomic_load(&reg->busy) > 0) && atomic_load(&reg->live);
  reg->pending = false; /* it may be called again inside, and be pending again */
  CALL(loop, udpr_reactor_finish_trigger, loop->reactor, reg->id);
  if (may) EXPECT(UDPR_OK, UDPR_E_NOT_FOUND);
  else EXPECT(UDPR_E_NOT_FOUND);
  if (call_status() != UDPR_OK) reg->pending = pending;
  if (loop->stages & ENDING) loop->stages |= IDLE;
}

static void op_fire(void) {
  loop *loop = any_loop();
  if (!loop || loop->closing) return;
  uint32_t event = one_in(16) ? 2 : one_in(4);
  /* Set before the call, since its triggers run inside. */
  if (event == UDPR_EVENT_SHUTDOWN && may_enter(loop) && loop->stages != IDLE) loop->stages |= IDLE | ENDING;
  CALL(loop, udpr_reactor_fire_event, loop->reactor, event);
  if (event == 2) EXPECT(UDPR_E_INVALID_ARGUMENT);
  else EXPECT(UDPR_OK, UDPR_E_ALREADY_RUNNING);
}

/* ---- watches ------------------------------------------------------------------------------------------------ */

static void op_pipe(void) {
  int *ends = model.pipes[below(PIPES)];
  if (ends[0] < 0) {
    ASSERT(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
  } else if (one_in(6)) {
    int end = (int)below(2), fd = ends[end];
    for (int i = 0; i < atomic_load(&model.registration_count); i++)
      if (model.registrations[i]->kind == WATCH && model.registrations[i]->fd == fd)
        return; /* unwatch has to come before close */
    close(fd);
    if (end == 0) ends[0] = ends[1];
    ends[1] = -1;
  } else if (ends[1] >= 0) {
    ssize_t written = write(ends[below(2)], "data", 4);
    (void)written;
  }
}

static void op_watch(void) {
  loop *loop = any_loop();
  if (!loop) return;
  int      fd = model.pipes[below(PIPES)][below(2)];
  uint32_t events = one_in(16) ? PICK(0u, 8u, UINT32_MAX) : 1 + below(7);
  bool     bad = events == 0 || events > 7, double_watch = false;
  for (int i = 0; i < atomic_load(&model.registration_count); i++) {
    registration *other = model.registrations[i];
    double_watch |=
        other->kind == WATCH && other->loop == loop && other->fd == fd && atomic_load(&other->live);
  }
  registration *reg = new_registration(WATCH, loop);
  reg->events = events;
  CALL(loop, udpr_reactor_watch, loop->reactor, fd, events, on_watch, reg, free_fn(reg), &reg->id);
  if (bad) EXPECT(UDPR_E_INVALID_ARGUMENT);
  else if (fd < 0) EXPECT(SYSTEM(EBADF));
  else EXPECT(double_watch ? SYSTEM(EEXIST) : UDPR_OK);
  if (call_status() == UDPR_OK) reg->fd = fd;
  else reg->id = 0, check_rejected(reg);
}

static void op_change_watch(void) {
  loop         *loop = any_loop();
  registration *reg = loop ? any_registration(WATCH, loop) : NULL;
  if (!reg || loop->closing) return;
  bool     live = atomic_load(&reg->live);
  uint32_t events = one_in(16) ? 0 : 1 + below(7);
  CALL(loop, udpr_reactor_change_watch, loop->reactor, reg->id, events);
  if (events == 0) EXPECT(UDPR_E_INVALID_ARGUMENT, UDPR_E_NOT_FOUND);
  else if (EXPECT(live ? UDPR_OK : UDPR_E_NOT_FOUND)) reg->events = events;
}

static void op_unwatch(void) {
  loop         *loop = any_loop();
  registration *reg = loop ? any_registration(WATCH, loop) : NULL;
  if (!reg || loop->closing) return;
  bool live = atomic_load(&reg->live), busy = atomic_load(&reg->busy) > 0;
  bool mine = may_enter(loop);
  if (live && mine) reg->fd = -1;
  if (live && mine && !busy) atomic_store(&reg->live, false);
  CALL(loop, udpr_reactor_unwatch, loop->reactor, reg->id);
  if (EXPECT(live ? UDPR_OK : UDPR_E_NOT_FOUND) && !busy) must_be_freed(reg);
  if (call_status() == UDPR_OK) atomic_store(&reg->live, false);
}

const operation event_operations[] = {{op_call_later, 4},     {op_call_at, 2},
                                      {op_call_every, 2},     {op_cancel, 2},
                                      {op_move_call, 3},      {op_port_call, 3},
                                      {op_delayed_calls, 1},  {op_advance, 3},
                                      {op_add_trigger, 3},    {op_call_when_running, 2},
                                      {op_remove_trigger, 2}, {op_finish_trigger, 3},
                                      {op_fire, 1},           {op_pipe, 3},
                                      {op_watch, 3},          {op_change_watch, 2},
                                      {op_unwatch, 2},        {NULL, 0}};
