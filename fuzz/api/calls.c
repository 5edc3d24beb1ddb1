/* calls.c: tracks the calls that are in progress, counts statuses, and checks them. */
#include "fuzz.h"

enum { STATUSES = 40, SYSTEM_STATUS = STATUSES - 1 };

static const char *const names[] = {
#define FUNCTION(name) #name,
#include "functions.h"
#undef FUNCTION
};
static _Atomic uint64_t
    status_counts[FUNCTIONS][STATUSES]; /* by -status; the last one counts PENDING and all system statuses */

static _Thread_local frame       frames[MAX_CALL_DEPTH];
static _Thread_local int         depth;
static _Thread_local frame       last;
static _Thread_local udpr_status last_status;

/* One thread at a time can be in a reactor. If none is, any thread may enter. */
bool may_enter(const loop *loop) {
  return (loop->inside == 0 || loop->inside_by == thread_number) &&
         (loop->pinned_by < 0 || loop->pinned_by == thread_number);
}

void call_begin(enum function function, loop *loop) {
  ASSERT(depth < MAX_CALL_DEPTH);
  TRACE("%*s%s%s\n", 2 * depth, "", thread_number ? "(other thread) " : "", names[function]);
  udpr_status status = !loop || may_enter(loop) ? UDPR_OK : UDPR_E_WRONG_THREAD;
  frames[depth++] =
      (frame){function, loop, status, model.logging || (loop && loop->closing), fault_count, model.logged};
  if (loop && status == UDPR_OK) loop->inside_by = thread_number, loop->inside++;
}

void call_end(udpr_status status) {
  last = frames[--depth];
  last.logged = model.logged != last.logged;
  last_status = status;
  if (last.loop && last.entry_status == UDPR_OK) last.loop->inside--;
  int column = -status;
  if (status > 0 || column >= SYSTEM_STATUS) column = SYSTEM_STATUS;
  atomic_fetch_add_explicit(&status_counts[last.function][column], 1, memory_order_relaxed);
  TRACE("%*s-> %s%s%d\n", 2 * depth, "", udpr_status_name(status), last.loop ? ", stage before: " : ", ",
        last.loop ? (int)last.loop->stages : 0);
}

udpr_status   call_status(void) { return last_status; }
enum function current_function(void) { return depth ? frames[depth - 1].function : FUNCTIONS; }
int           call_depth(void) { return depth; }
const char   *function_name(enum function function) { return names[function]; }

bool expect(const char *file, int line, const udpr_status *allowed, size_t count) {
  bool        listed = false, argument = false;
  udpr_status got = last_status;
  for (size_t i = 0; i < count; i++) listed |= allowed[i] == got;
  argument = listed && (got == UDPR_E_INVALID_ARGUMENT || got == UDPR_E_VERSION);
  if (last.entry_status != UDPR_OK) listed = argument || got == last.entry_status;
  if (last.closing && got == UDPR_E_CLOSED) listed = true;
  if (last.logged && got != UDPR_E_PANIC)
    listed = true; /* the model has changed since the status was determined */
  if (last.faults != fault_count && got != UDPR_E_PANIC && got != UDPR_E_CLOSED) listed = true;
  if (!listed) fail_at(file, line, "%s returned %s (%d)", names[last.function], udpr_status_name(got), got);
  return got == UDPR_OK;
}

void print_calls(void) {
  for (int function = 0; function < FUNCTIONS; function++) {
    printf("%-36s", names[function]);
    for (int column = 0; column < STATUSES; column++) {
      uint64_t    count = atomic_load(&status_counts[function][column]);
      const char *name = column == SYSTEM_STATUS ? "SYSTEM" : udpr_status_name(-column) + (column ? 7 : 5);
      if (count) printf(" %s %llu", name, (unsigned long long)count);
    }
    printf("\n");
  }
}

int count_uncalled(void) {
  int count = 0;
  for (int function = 0; function < FUNCTIONS; function++) {
    uint64_t calls = 0;
    for (int column = 0; column < STATUSES; column++) calls += atomic_load(&status_counts[function][column]);
    if (calls == 0) count++, fprintf(stderr, "never called: %s\n", names[function]);
  }
  return count;
}
