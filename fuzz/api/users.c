/* users.c: the book of calls and statuses, and the life of each `user`. */
#include "fuzz.h"

#include <stdarg.h>

/* ---- calls ------------------------------------------------------------------------------------------------ */

enum { DEPTH = 256, STATUSES = 40, SYSTEM_STATUS = STATUSES - 1 };

static const char *const names[] = {
#define FUNCTION(name) #name,
#include "functions.h"
#undef FUNCTION
};
static _Atomic uint64_t
    called[FUNCTIONS][STATUSES]; /* by -status; PENDING and all system statuses in the last one */

static _Thread_local frame       frames[DEPTH];
static _Thread_local int         top;
static _Thread_local frame       last;
static _Thread_local udpr_status last_status;

/* One thread at a time is in a reactor; while none is, whoever calls. */
bool may_enter(const home *home) {
  return (home->inside == 0 || home->inside_by == me) && (home->pinned_by < 0 || home->pinned_by == me);
}

void call_begin(enum function function, home *home) {
  MUST(top < DEPTH);
  TRACE("%*s%s%s\n", 2 * top, "", me ? "(other thread) " : "", names[function]);
  udpr_status status = !home || may_enter(home) ? UDPR_OK : UDPR_E_WRONG_THREAD;
  frames[top++] = (frame){function, home, status, w.logging || (home && home->closing), fault_count};
  if (home && status == UDPR_OK) home->inside_by = me, home->inside++;
}

void call_end(udpr_status status) {
  last = frames[--top];
  last_status = status;
  if (last.home && last.gate == UDPR_OK) last.home->inside--;
  int column = -status;
  if (status > 0 || column >= SYSTEM_STATUS) column = SYSTEM_STATUS;
  atomic_fetch_add_explicit(&called[last.function][column], 1, memory_order_relaxed);
  TRACE("%*s-> %s%s%d\n", 2 * top, "", udpr_status_name(status), last.home ? ", stage before: " : ", ",
        last.home ? (int)last.home->stage : 0);
}

udpr_status   call_status(void) { return last_status; }
enum function inner_function(void) { return top ? frames[top - 1].function : FUNCTIONS; }

bool expect(const char *file, int line, const udpr_status *allowed, size_t count) {
  bool        listed = false, argument = false;
  udpr_status got = last_status;
  for (size_t i = 0; i < count; i++) listed |= allowed[i] == got;
  argument = listed && (got == UDPR_E_INVALID_ARGUMENT || got == UDPR_E_VERSION);
  if (last.gate != UDPR_OK) listed = argument || got == last.gate;
  if (last.closing && got == UDPR_E_CLOSED) listed = true;
  if (last.faults != fault_count && got != UDPR_E_PANIC && got != UDPR_E_CLOSED) listed = true;
  if (!listed) fail_at(file, line, "%s answers %s (%d)", names[last.function], udpr_status_name(got), got);
  return got == UDPR_OK;
}

void print_calls(void) {
  for (int function = 0; function < FUNCTIONS; function++) {
    printf("%-36s", names[function]);
    for (int column = 0; column < STATUSES; column++) {
      uint64_t    count = atomic_load(&called[function][column]);
      const char *name = column == SYSTEM_STATUS ? "SYSTEM" : udpr_status_name(-column) + (column ? 7 : 5);
      if (count) printf(" %s %llu", name, (unsigned long long)count);
    }
    printf("\n");
  }
}

int uncalled(void) {
  int count = 0;
  for (int function = 0; function < FUNCTIONS; function++) {
    uint64_t calls = 0;
    for (int column = 0; column < STATUSES; column++) calls += atomic_load(&called[function][column]);
    if (calls == 0) count++, fprintf(stderr, "never called: %s\n", names[function]);
  }
  return count;
}

/* ---- users ------------------------------------------------------------------------------------------------ */

static void on_free(void *argument) {
  user *user = argument;
  if (atomic_fetch_add(&user->freed, 1) != 0) FAIL("free_user runs twice, kind %d", user->kind);
  if (atomic_load(&user->busy) != 0)
    FAIL("free_user runs before its callback has returned, kind %d", user->kind);
  atomic_store(&user->live, false);
  TRACE("%*s[free_user of a %d]\n", 2 * top, "", user->kind);
  bool logs = user->kind == LOGGER; /* it is freed right behind its call, in the middle of another */
  w.logging += logs;
  if (me < 2 && user->home && top && !one_in(4)) act();
  w.logging -= logs;
}

udpr_free_fn free_fn(const user *user) { return user->frees ? on_free : NULL; }

user *new_user(enum kind kind, home *home) {
  user *user = calloc(1, sizeof *user);
  int   index = atomic_fetch_add(&w.user_count, 1);
  MUST(user && index < USERS);
  *user = (struct user){.kind = kind, .home = home, .frees = me >= 2 || !one_in(8), .fd = -1};
  atomic_store(&user->live, true);
  w.users[index] = user;
  return user;
}

/* A logger's callback may come in the middle of a call, which then holds on to what it uses. */
void must_be_freed(const user *user) {
  if (w.logging) return;
  if (user->frees && atomic_load(&user->freed) != 1) FAIL("free_user has not run, kind %d", user->kind);
}

void refused(user *user) {
  atomic_store(&user->live, false);
  if (atomic_load(&user->calls) != 0) FAIL("called, but refused, kind %d", user->kind);
  must_be_freed(user);
}

user *any_user(enum kind kind, const home *home) {
  int count = atomic_load(&w.user_count);
  if (count == 0) return NULL;
  int start = (int)below((uint32_t)count);
  for (int i = 0; i < count; i++) {
    user *user = w.users[(start + i) % count];
    bool  wanted = user->kind == kind && user->home == home && user->id != 0;
    if (wanted && (atomic_load(&user->live) || one_in(8))) return user;
  }
  return NULL;
}

/* ---- callbacks in general ----------------------------------------------------------------------------------- */

/* Which calls may run a callback inside them, as the header's head says; the rest comes from a turn alone. */
static bool comes_from(enum kind kind, enum function function) {
  switch (function) {
  case FN_udpr_reactor_run:
  case FN_udpr_reactor_iterate: return true;
  case FN_udpr_reactor_advance: return kind == TIMER;
  case FN_udpr_reactor_call_when_running: return kind == STARTUP_CALL;
  case FN_udpr_reactor_start:
  case FN_udpr_reactor_fire_event:
  case FN_udpr_reactor_finish_trigger:
  case FN_udpr_reactor_remove_trigger: return kind == TRIGGER || kind == STARTUP_CALL;
  default: return false;
  }
}

/* Ports say it themselves. */
static bool in_pass(enum kind kind) {
  return kind == TIMER || kind == WATCH || kind == THREAD_CALL || kind == WORK;
}

user *enter_callback(void *argument, enum kind kind, const udpr_reactor *reactor) {
  user *user = argument;
  if (user->kind != kind) FAIL("a callback of kind %d gets a user of kind %d", kind, user->kind);
  if (!atomic_load(&user->live)) FAIL("called after its end, kind %d", kind);
  if (atomic_load(&user->freed)) FAIL("called after free_user, kind %d", kind);
  if (reactor && user->home->reactor != reactor) FAIL("another reactor's callback, kind %d", kind);
  if (user->home->inside == 0 || user->home->inside_by != me) FAIL("called on a wrong thread, kind %d", kind);
  if (kind != PORT && kind != LOGGER && !comes_from(kind, inner_function()))
    FAIL("a callback of kind %d inside %s", kind, names[inner_function()]);
  if (inner_function() != FUNCTIONS && user->home->closing && kind != PORT && kind != LOGGER)
    FAIL("a callback of kind %d while the reactor is freed", kind);
  atomic_fetch_add(&user->calls, 1);
  atomic_fetch_add(&user->busy, 1);
  if (in_pass(kind)) user->home->dispatching++;
  TRACE("%*s[callback of a %d]\n", 2 * top, "", kind);
  return user;
}

void leave_callback(user *user) {
  if (in_pass(user->kind)) user->home->dispatching--;
  atomic_fetch_sub(&user->busy, 1);
}

void act(void) {
  if (w.depth >= 5 || top > DEPTH / 2) return;
  w.depth++;
  for (uint32_t count = below(4); count > 0 && w.ops_left > 0; count--) any_operation();
  w.depth--;
}
