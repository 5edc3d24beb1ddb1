/* events.c: operations on delayed calls, triggers and watches. */
#include "fuzz.h"

#include <sys/socket.h>

/* ---- time --------------------------------------------------------------------------------------------------- */

static udpr_ns add(udpr_ns a, udpr_ns b) { return b == UDPR_NEVER || a + b < a ? UINT64_MAX : a + b; }

/* Above INT64_MAX: a negative difference. */
static bool no_delay(udpr_ns delay) { return delay > INT64_MAX && delay != UDPR_NEVER; }

static udpr_ns any_delay(void) {
  return PICK((udpr_ns)0, 0, 1, below(1000), below(1000000), below(1000000), UINT64_C(3600000000000),
              INT64_MAX, UDPR_NEVER, 0 - below(1000000), (udpr_ns)1 << 63);
}

static void op_call_later(void) {
  home *home = any_home();
  if (!home) return;
  user   *user = new_user(TIMER, home);
  udpr_ns delay = any_delay();
  bool    no_call = one_in(32), bad = no_call || no_delay(delay);
  user->due_least = add(TAKE(udpr_ns, NULL, udpr_reactor_now, home->reactor), delay);
  user->order = w.order++;
  CALL(home, udpr_reactor_call_later, home->reactor, delay, no_call ? NULL : on_timer, user, free_fn(user),
       &user->id);
  if (bad ? EXPECT(UDPR_E_INVALID_ARGUMENT) : EXPECT(UDPR_OK)) {
    user->due_most = add(TAKE(udpr_ns, NULL, udpr_reactor_now, home->reactor), delay);
    MUST(user->id != 0);
  } else {
    user->id = 0, refused(user);
  }
}

/* A live timer, or sometimes an id that is none; then the answer is known, too. */
static user *aim(home *home, udpr_id *id, udpr_status *answer) {
  user *user = any_user(TIMER, home);
  *answer = UDPR_E_NOT_FOUND;
  if (!user || one_in(16)) {
    struct user *other = any_user(PICK(TRIGGER, WATCH, LOOKUP), home);
    *id = other ? other->id : PICK((udpr_id)0, (udpr_id)1 << 63, UINT64_MAX);
    return NULL;
  }
  *id = user->id;
  *answer = user->call == PENDING  ? UDPR_OK
            : user->call == CALLED ? UDPR_E_ALREADY_CALLED
                                   : UDPR_E_ALREADY_CANCELLED;
  return user;
}

static void op_cancel(void) {
  home *home = any_home();
  if (!home) return;
  udpr_id     id;
  udpr_status answer;
  user       *user = aim(home, &id, &answer);
  /* Before the call: its free_user may look. */
  bool mine = may_enter(home);
  if (user && answer == UDPR_OK && mine && !home->closing)
    user->call = CANCELLED, atomic_store(&user->live, false);
  CALL(home, udpr_reactor_cancel_call, home->reactor, id);
  if (home->closing) EXPECT(answer, UDPR_OK, UDPR_E_NOT_FOUND, UDPR_E_ALREADY_CANCELLED);
  else if (EXPECT(answer)) must_be_freed(user);
}

static void op_move(void) {
  home *home = any_home();
  if (!home || home->closing) return;
  udpr_id     id;
  udpr_status answer;
  user       *user = aim(home, &id, &answer);
  udpr_ns     due = 0, now = TAKE(udpr_ns, NULL, udpr_reactor_now, home->reactor), delay = any_delay();
  int64_t     more = PICK((int64_t)0, 1, -1, INT64_MIN, INT64_MAX, (int64_t)delay, -(int64_t)below(2000000));
  bool        reset = one_in(2);
  CALL(home, udpr_reactor_call_time, home->reactor, id, &due);
  if (!EXPECT(answer)) return;
  if (due < user->due_least || due > user->due_most) FAIL("due at %llu", (unsigned long long)due);
  if (reset) CALL(home, udpr_reactor_reset_call, home->reactor, id, delay);
  else CALL(home, udpr_reactor_delay_call, home->reactor, id, more);
  if (!EXPECT(reset && no_delay(delay) ? UDPR_E_INVALID_ARGUMENT : UDPR_OK)) return;
  if (reset) {
    user->due_least = add(now, delay);
    user->due_most = add(TAKE(udpr_ns, NULL, udpr_reactor_now, home->reactor), delay);
  } else {
    udpr_ns back = more < 0 ? 0 - (udpr_ns)more : 0;
    user->due_least = user->due_most = more >= 0 ? add(due, (udpr_ns)more) : due > back ? due - back : 0;
  }
}

static void op_delayed_calls(void) {
  home *home = any_home();
  if (!home || home->closing) return;
  udpr_id ids[64];
  size_t  count = 0, capacity = below(64), expected = 0;
  CALL(home, udpr_reactor_delayed_calls, home->reactor, capacity ? ids : NULL, capacity, &count);
  if (!EXPECT(UDPR_OK)) return;
  for (int i = 0; i < atomic_load(&w.user_count); i++) {
    user *user = w.users[i];
    if (user->kind != TIMER || user->home != home || !atomic_load(&user->live) || user->call != PENDING)
      continue;
    expected++;
  }
  if (count != expected) FAIL("%zu delayed calls, not %zu", count, expected);
  for (size_t i = 0; i < count && i < capacity; i++) MUST(ids[i] != 0);
}

static void op_advance(void) {
  home *home = any_home();
  if (!home) return;
  bool    manual = home->flags & UDPR_REACTOR_MANUAL_CLOCK, nested = home->inside > 0;
  udpr_ns before = TAKE(udpr_ns, NULL, udpr_reactor_now, home->reactor);
  udpr_ns by = one_in(16) ? PICK((udpr_ns)0, INT64_MAX, INT64_MAX + (udpr_ns)1, UDPR_NEVER) : below(1500000);
  CALL(home, udpr_reactor_advance, home->reactor, by);
  if (nested) EXPECT(UDPR_E_REENTRANT);
  else if (!manual) EXPECT(UDPR_E_NOT_SUPPORTED);
  else if (by > INT64_MAX) EXPECT(UDPR_E_INVALID_ARGUMENT);
  else if (EXPECT(UDPR_OK)) MUST(TAKE(udpr_ns, NULL, udpr_reactor_now, home->reactor) == add(before, by));
}

/* ---- startup and shutdown ----------------------------------------------------------------------------------- */

static void op_add_trigger(void) {
  home *home = any_home();
  if (!home) return;
  user *user = new_user(TRIGGER, home);
  bool  bad = one_in(24);
  user->phase = below(3), user->event = below(2);
  uint32_t phase = bad ? PICK(3u, UINT32_MAX) : user->phase;
  udpr_id  id = 0;
  CALL(home, udpr_reactor_add_trigger, home->reactor, phase, user->event, on_trigger, user, free_fn(user),
       &id);
  if (bad ? EXPECT(UDPR_E_INVALID_ARGUMENT) : EXPECT(UDPR_OK)) user->id = id;
  else refused(user);
}

static void op_call_when_running(void) {
  home *home = any_home();
  if (!home) return;
  user     *user = new_user(STARTUP_CALL, home);
  udpr_bool running = TAKE(udpr_bool, NULL, udpr_reactor_is_running, home->reactor);
  udpr_id   id = 77;
  CALL(home, udpr_reactor_call_when_running, home->reactor, on_running, user, free_fn(user), &id);
  if (!EXPECT(UDPR_OK)) return refused(user);
  MUST(running == (id == 0));
  user->id = id;
  if (!running) return;
  MUST(atomic_load(&user->calls) == 1);
  must_be_freed(user);
}

static void op_remove_trigger(void) {
  home *home = any_home();
  user *user = home ? any_user(PICK(TRIGGER, TRIGGER, STARTUP_CALL), home) : NULL;
  if (!user || home->closing) return;
  bool live = atomic_load(&user->live), busy = atomic_load(&user->busy) > 0;
  bool mine = may_enter(home);
  if (user->kind == STARTUP_CALL && busy) live = false; /* taken out before its call */
  else if (live && mine && !busy) atomic_store(&user->live, false);
  CALL(home, udpr_reactor_remove_trigger, home->reactor, user->id);
  if (EXPECT(live ? UDPR_OK : UDPR_E_NOT_FOUND) && !busy) must_be_freed(user);
  if (call_status() == UDPR_OK) atomic_store(&user->live, false);
  if (home->stage & ENDING) home->stage |= IDLE;
}

static void op_finish_trigger(void) {
  home *home = any_home();
  user *user = home ? any_user(TRIGGER, home) : NULL;
  if (!user || home->closing) return;
  bool pending = user->pending;
  bool may = (pending || atomic_load(&user->busy) > 0) && atomic_load(&user->live);
  user->pending = false; /* it may be called again inside, and be pending anew */
  CALL(home, udpr_reactor_finish_trigger, home->reactor, user->id);
  if (may) EXPECT(UDPR_OK, UDPR_E_NOT_FOUND);
  else EXPECT(UDPR_E_NOT_FOUND);
  if (call_status() != UDPR_OK) user->pending = pending;
  if (home->stage & ENDING) home->stage |= IDLE;
}

static void op_fire(void) {
  home *home = any_home();
  if (!home || home->closing) return;
  uint32_t event = one_in(16) ? 2 : one_in(4);
  /* Its triggers see that already. */
  if (event == UDPR_EVENT_SHUTDOWN && may_enter(home) && home->stage != IDLE) home->stage |= IDLE | ENDING;
  CALL(home, udpr_reactor_fire_event, home->reactor, event);
  if (event == 2) EXPECT(UDPR_E_INVALID_ARGUMENT);
  else EXPECT(UDPR_OK, UDPR_E_ALREADY_RUNNING);
}

/* ---- watches ------------------------------------------------------------------------------------------------ */

static void op_pipe(void) {
  int *ends = w.pipes[below(PIPES)];
  if (ends[0] < 0) {
    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
  } else if (one_in(6)) {
    int end = (int)below(2), fd = ends[end];
    for (int i = 0; i < atomic_load(&w.user_count); i++)
      if (w.users[i]->kind == WATCH && w.users[i]->fd == fd) return; /* unwatch comes before closing */
    close(fd);
    if (end == 0) ends[0] = ends[1];
    ends[1] = -1;
  } else if (ends[1] >= 0) {
    ssize_t written = write(ends[below(2)], "data", 4);
    (void)written;
  }
}

static void op_watch(void) {
  home *home = any_home();
  if (!home) return;
  int      fd = w.pipes[below(PIPES)][below(2)];
  uint32_t events = one_in(16) ? PICK(0u, 8u, UINT32_MAX) : 1 + below(7);
  bool     bad = events == 0 || events > 7, double_watch = false;
  for (int i = 0; i < atomic_load(&w.user_count); i++) {
    user *other = w.users[i];
    double_watch |=
        other->kind == WATCH && other->home == home && other->fd == fd && atomic_load(&other->live);
  }
  user *user = new_user(WATCH, home);
  user->events = events;
  CALL(home, udpr_reactor_watch, home->reactor, fd, events, on_watch, user, free_fn(user), &user->id);
  if (bad) EXPECT(UDPR_E_INVALID_ARGUMENT);
  else if (fd < 0) EXPECT(SYSTEM(EBADF));
  else EXPECT(double_watch ? SYSTEM(EEXIST) : UDPR_OK);
  if (call_status() == UDPR_OK) user->fd = fd;
  else user->id = 0, refused(user);
}

static void op_change_watch(void) {
  home *home = any_home();
  user *user = home ? any_user(WATCH, home) : NULL;
  if (!user || home->closing) return;
  bool     live = atomic_load(&user->live);
  uint32_t events = one_in(16) ? 0 : 1 + below(7);
  CALL(home, udpr_reactor_change_watch, home->reactor, user->id, events);
  if (events == 0) EXPECT(UDPR_E_INVALID_ARGUMENT, UDPR_E_NOT_FOUND);
  else if (EXPECT(live ? UDPR_OK : UDPR_E_NOT_FOUND)) user->events = events;
}

static void op_unwatch(void) {
  home *home = any_home();
  user *user = home ? any_user(WATCH, home) : NULL;
  if (!user || home->closing) return;
  bool live = atomic_load(&user->live), busy = atomic_load(&user->busy) > 0;
  bool mine = may_enter(home);
  if (live && mine) user->fd = -1;
  if (live && mine && !busy) atomic_store(&user->live, false);
  CALL(home, udpr_reactor_unwatch, home->reactor, user->id);
  if (EXPECT(live ? UDPR_OK : UDPR_E_NOT_FOUND) && !busy) must_be_freed(user);
  if (call_status() == UDPR_OK) atomic_store(&user->live, false);
}

const operation event_operations[] = {{op_call_later, "call_later", 6},
                                      {op_cancel, "cancel_call", 2},
                                      {op_move, "move_call", 3},
                                      {op_delayed_calls, "delayed_calls", 1},
                                      {op_advance, "advance", 3},
                                      {op_add_trigger, "add_trigger", 3},
                                      {op_call_when_running, "when_running", 2},
                                      {op_remove_trigger, "remove_trigger", 2},
                                      {op_finish_trigger, "finish_trigger", 3},
                                      {op_fire, "fire_event", 1},
                                      {op_pipe, "pipe", 3},
                                      {op_watch, "watch", 3},
                                      {op_change_watch, "change_watch", 2},
                                      {op_unwatch, "unwatch", 2},
                                      {NULL, NULL, 0}};
