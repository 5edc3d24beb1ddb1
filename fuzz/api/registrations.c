/* registrations.c: what the model knows of each registered callback. */
#include "fuzz.h"

static void on_free(void *argument) {
  registration *reg = argument;
  if (atomic_fetch_add(&reg->freed, 1) != 0) FAIL("free_user runs twice, kind %d", reg->kind);
  if (atomic_load(&reg->busy) != 0)
    FAIL("free_user runs before its callback has returned, kind %d", reg->kind);
  atomic_store(&reg->live, false);
  TRACE("%*s[free_user of a %d]\n", 2 * call_depth(), "", reg->kind);
  if (reg->kind == PORT_CALL) return; /* its port may be closed already, which the model does not know yet */
  if (thread_number >= 2 || !reg->loop || call_depth() == 0 || one_in(4)) return;
  if (reg->kind == LOGGER) run_logger_operations(); /* right after its callback, within another call */
  else run_random_operations();
}

udpr_free_fn free_fn(const registration *reg) { return reg->has_free ? on_free : NULL; }

registration *new_registration(enum kind kind, loop *loop) {
  registration *reg = calloc(1, sizeof *reg);
  int           index = atomic_fetch_add(&model.registration_count, 1);
  ASSERT(reg && index < MAX_REGISTRATIONS);
  *reg = (struct registration){.kind = kind,
                               .loop = loop,
                               .has_free = thread_number >= 2 || !one_in(8),
                               .fd = -1};
  atomic_store(&reg->live, true);
  model.registrations[index] = reg;
  return reg;
}

/* A logger may be called in the middle of a call, which then frees what it uses only at its end. */
void must_be_freed(const registration *reg) {
  if (model.logging) return;
  if (reg->has_free && atomic_load(&reg->freed) != 1) FAIL("free_user has not run, kind %d", reg->kind);
}

void check_rejected(registration *reg) {
  atomic_store(&reg->live, false);
  if (atomic_load(&reg->calls) != 0) FAIL("called after a failed registration, kind %d", reg->kind);
  must_be_freed(reg);
}

registration *any_registration(enum kind kind, const loop *loop) {
  int count = atomic_load(&model.registration_count);
  if (count == 0) return NULL;
  int start = (int)below((uint32_t)count);
  for (int i = 0; i < count; i++) {
    registration *reg = model.registrations[(start + i) % count];
    bool          wanted = reg->kind == kind && reg->loop == loop && reg->id != 0;
    if (wanted && (atomic_load(&reg->live) || one_in(8))) return reg;
  }
  return NULL;
}

/* ---- callbacks in general ----------------------------------------------------------------------------------- */

/* Whether the header allows that `function` calls such a callback. All other callbacks are called by a turn. */
static bool may_run_inside(enum kind kind, enum function function) {
  switch (function) {
  case FN_udpr_reactor_run:
  case FN_udpr_reactor_iterate: return true;
  case FN_udpr_reactor_advance: return kind == TIMER || kind == PORT_CALL;
  case FN_udpr_reactor_call_when_running: return kind == STARTUP_CALL;
  case FN_udpr_reactor_start:
  case FN_udpr_reactor_fire_event:
  case FN_udpr_reactor_finish_trigger:
  case FN_udpr_reactor_remove_trigger: return kind == TRIGGER || kind == STARTUP_CALL;
  default: return false;
  }
}

/* Callbacks of a turn's dispatch. callbacks.c counts those of ports. */
static bool in_dispatch(enum kind kind) {
  return kind == TIMER || kind == PORT_CALL || kind == WATCH || kind == SIGNAL || kind == INTERFACES ||
         kind == THREAD_CALL || kind == WORK;
}

registration *enter_callback(void *argument, enum kind kind, const udpr_reactor *reactor) {
  registration *reg = argument;
  if (reg->kind != kind) FAIL("a callback of kind %d gets a user of kind %d", kind, reg->kind);
  if (!atomic_load(&reg->live)) FAIL("called after its end, kind %d", kind);
  if (atomic_load(&reg->freed)) FAIL("called after free_user, kind %d", kind);
  if (reactor && reg->loop->reactor != reactor) FAIL("another reactor's callback, kind %d", kind);
  if (reg->loop->inside == 0 || reg->loop->inside_by != thread_number)
    FAIL("called on a wrong thread, kind %d", kind);
  if (kind != PORT && kind != LOGGER && !may_run_inside(kind, current_function()))
    FAIL("a callback of kind %d inside %s", kind, function_name(current_function()));
  if (current_function() != FUNCTIONS && reg->loop->closing && kind != PORT && kind != LOGGER)
    FAIL("a callback of kind %d while the reactor is freed", kind);
  atomic_fetch_add(&reg->calls, 1);
  atomic_fetch_add(&reg->busy, 1);
  if (in_dispatch(kind)) reg->loop->dispatching++;
  TRACE("%*s[callback of a %d]\n", 2 * call_depth(), "", kind);
  return reg;
}

void leave_callback(registration *reg) {
  if (in_dispatch(reg->kind)) reg->loop->dispatching--;
  atomic_fetch_sub(&reg->busy, 1);
}

void run_random_operations(void) {
  if (model.depth >= 5 || call_depth() > MAX_CALL_DEPTH / 2) return;
  model.depth++;
  for (uint32_t count = below(4); count > 0 && model.ops_left > 0; count--) run_random_operation();
  model.depth--;
}

void run_logger_operations(void) {
  model.logging++, model.logged++;
  run_random_operations();
  model.logging--;
}
