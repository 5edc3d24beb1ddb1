/* threads.c: operations of other threads, on the thread pool, and look-ups. */
#include "fuzz.h"

static remote *any_remote(void) {
  int start = (int)below(REMOTES);
  for (int i = 0; i < REMOTES; i++) {
    remote *remote = &model.remotes[(start + i) % REMOTES];
    if (remote->references > 0) return remote;
  }
  return NULL;
}

static void op_remote(void) {
  loop *loop = any_loop();
  if (!loop) return;
  for (int i = 0; i < REMOTES; i++) {
    remote *remote = &model.remotes[i];
    if (remote->references > 0) continue;
    udpr_remote *out = NULL;
    CALL(NULL, udpr_reactor_remote, loop->reactor, &out);
    if (EXPECT(UDPR_OK)) *remote = (struct remote){.handle = out, .loop = loop, .references = 1};
    return;
  }
}

static void op_retain_release(void) {
  remote *remote = any_remote();
  if (!remote) return;
  if (remote->references < 3 && one_in(3)) {
    ASSERT(CALL_VALUE(udpr_remote *, NULL, udpr_remote_retain, remote->handle) == remote->handle);
    remote->references++;
  } else {
    call_begin(FN_udpr_remote_release, NULL);
    udpr_remote_release(remote->handle);
    call_end(UDPR_OK);
    remote->references--;
  }
}

/* A remote is closed as soon as its reactor is being freed. */
static bool is_closed(const remote *remote) {
  return remote->closed || (remote->loop && remote->loop->closing);
}

static void op_remote_call(void) {
  remote *remote = any_remote();
  if (!remote) return;
  registration *reg = new_registration(THREAD_CALL, remote->loop);
  bool          bad = one_in(24), free = remote->loop && remote->loop->closing;
  CALL(NULL, udpr_remote_call, remote->handle, bad ? NULL : on_call, reg, free_fn(reg));
  if (bad) EXPECT(UDPR_E_INVALID_ARGUMENT, UDPR_E_CLOSED);
  else if (free) EXPECT(UDPR_E_CLOSED, UDPR_OK);
  else EXPECT(is_closed(remote) ? UDPR_E_CLOSED : UDPR_OK);
  if (call_status() != UDPR_OK) check_rejected(reg);
}

static void op_remote_stop(void) {
  remote *remote = any_remote();
  if (!remote) return;
  loop *loop = remote->loop;
  if (loop) add_possible_stages(loop);
  CALL(NULL, udpr_remote_stop, remote->handle);
  if (is_closed(remote))
    EXPECT(UDPR_E_CLOSED, remote->closed ? UDPR_E_CLOSED : UDPR_E_NOT_RUNNING,
           remote->closed ? UDPR_E_CLOSED : UDPR_OK);
  else if (loop->stages == IDLE) EXPECT(UDPR_E_NOT_RUNNING);
  else if (loop->stages & IDLE) EXPECT(UDPR_OK, UDPR_E_NOT_RUNNING);
  else EXPECT(UDPR_OK);
  if (call_status() == UDPR_OK && loop) loop->stop_requested = true;
}

static void op_remote_wake(void) {
  remote *remote = any_remote();
  if (!remote) return;
  CALL(NULL, udpr_remote_wake, remote->handle);
  EXPECT(remote->closed ? UDPR_E_CLOSED : UDPR_OK, is_closed(remote) ? UDPR_E_CLOSED : UDPR_OK);
}

static void op_call_from_thread(void) {
  loop *loop = any_loop();
  if (!loop) return;
  registration *reg = new_registration(THREAD_CALL, loop);
  bool          closing = loop->closing;
  CALL(NULL, udpr_reactor_call_from_thread, loop->reactor, on_call, reg, free_fn(reg));
  if (!EXPECT(UDPR_OK, closing ? UDPR_E_CLOSED : UDPR_OK)) check_rejected(reg);
}

static void op_work(void) {
  loop *loop = any_loop();
  if (!loop) return;
  registration *reg = new_registration(WORK, loop);
  bool          done = !one_in(4), bad = one_in(24);
  CALL(loop, udpr_reactor_call_in_thread, loop->reactor, bad ? NULL : on_work, done ? on_done : NULL, reg,
       free_fn(reg));
  if (bad ? EXPECT(UDPR_E_INVALID_ARGUMENT) : EXPECT(UDPR_OK)) return;
  check_rejected(reg);
}

static void op_pool_size(void) {
  loop *loop = any_loop();
  if (!loop) return;
  uint32_t size = PICK(0u, 1u, 2u, 5u, 1024u, 1025u, UINT32_MAX);
  CALL(loop, udpr_reactor_suggest_thread_pool_size, loop->reactor, size);
  EXPECT(size > 1024 ? UDPR_E_INVALID_ARGUMENT : UDPR_OK);
}

/* ---- look-ups, whose results come from faults.c ---------------------------------------------------------------- */

typedef struct name {
  const char *text;
  udpr_status
      statuses[3]; /* for both families, IPv4, IPv6; UDPR_E_INVALID_ARGUMENT is the call's own result */
} name;

#define ALL(status) \
  { status, status, status }
static const name known_names[] = {
    {"one.test", ALL(UDPR_OK)},
    {"many.test", ALL(UDPR_OK)},
    {"v4.test", {UDPR_OK, UDPR_OK, UDPR_E_NAME_NOT_FOUND}},
    {"none.test", ALL(UDPR_E_NAME_NOT_FOUND)},
    {"again.test", ALL(UDPR_E_NAME_TRY_AGAIN)},
    {"system.test", ALL(SYSTEM(EIO))},
    {"memory.test", ALL(UDPR_E_NO_MEMORY)},
    {"slow.test", ALL(UDPR_OK)},
    {"1.2.3.4", {UDPR_OK, UDPR_OK, UDPR_E_ADDRESS_FAMILY}},
    {"::1", {UDPR_OK, UDPR_E_ADDRESS_FAMILY, UDPR_OK}},
    {"", ALL(UDPR_OK)},
    {"127.1", ALL(UDPR_E_INVALID_ARGUMENT)},
    {"a b", ALL(UDPR_E_INVALID_ARGUMENT)},
    {"[::1]", ALL(UDPR_E_INVALID_ARGUMENT)},
    {"a..b", ALL(UDPR_E_INVALID_ARGUMENT)},
};

static void op_resolve(void) {
  loop *loop = any_loop();
  if (!loop) return;
  const name   *name = &known_names[below(sizeof known_names / sizeof *known_names)];
  uint32_t      family = below(3);
  registration *reg = new_registration(LOOKUP, loop);
  udpr_ns       timeout = PICK((udpr_ns)0, 1, 1000000, INT64_MAX, UDPR_NEVER, UDPR_NEVER - 1);
  uint16_t port = (uint16_t)random_u64(), code = one_in(24) ? 5 : (uint16_t)(family * 2 + (family ? 2 : 0));
  reg->event = port;
  for (int i = 0; i < 3; i++) reg->expected[i] = name->statuses[family];
  bool bad = name->statuses[family] == UDPR_E_INVALID_ARGUMENT || code == 5 || timeout == UDPR_NEVER - 1;
  CALL(loop, udpr_reactor_resolve, loop->reactor, name->text, port, code, timeout, on_resolved, reg,
       free_fn(reg), &reg->id);
  if (bad ? EXPECT(UDPR_E_INVALID_ARGUMENT) : EXPECT(UDPR_OK)) return;
  reg->id = 0;
  check_rejected(reg);
}

static void op_cancel_resolve(void) {
  loop         *loop = any_loop();
  registration *reg = loop ? any_registration(LOOKUP, loop) : NULL;
  if (!reg || loop->closing) return;
  bool open = atomic_load(&reg->live) && atomic_load(&reg->calls) == 0 && !reg->cancelled;
  CALL(loop, udpr_reactor_cancel_resolve, loop->reactor, reg->id);
  if (EXPECT(open ? UDPR_OK : UDPR_E_NOT_FOUND)) reg->cancelled = true;
}

/* ---- any operation, on the second thread ------------------------------------------------------------------ */

static void op_other_thread(void) {
  if (thread_number == 0) run_on_other_thread(run_random_operation);
}

const operation thread_operations[] = {{op_remote, 2},       {op_retain_release, 1},
                                       {op_remote_call, 3},  {op_remote_stop, 1},
                                       {op_remote_wake, 1},  {op_call_from_thread, 3},
                                       {op_work, 2},         {op_pool_size, 1},
                                       {op_resolve, 3},      {op_cancel_resolve, 1},
                                       {op_other_thread, 8}, {NULL, 0}};
