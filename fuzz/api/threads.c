/* threads.c: operations for any thread, work on the pool, look-ups. */
#include "fuzz.h"

static door *any_door(void) {
  int start = (int)below(DOORS);
  for (int i = 0; i < DOORS; i++) {
    door *door = &w.doors[(start + i) % DOORS];
    if (door->held > 0) return door;
  }
  return NULL;
}

static void op_remote(void) {
  home *home = any_home();
  if (!home) return;
  for (int i = 0; i < DOORS; i++) {
    door *door = &w.doors[i];
    if (door->held > 0) continue;
    udpr_remote *out = NULL;
    CALL(NULL, udpr_reactor_remote, home->reactor, &out);
    if (EXPECT(UDPR_OK)) *door = (struct door){.remote = out, .home = home, .held = 1};
    return;
  }
}

static void op_hold(void) {
  door *door = any_door();
  if (!door) return;
  if (door->held < 3 && one_in(3)) {
    MUST(TAKE(udpr_remote *, NULL, udpr_remote_retain, door->remote) == door->remote);
    door->held++;
  } else {
    call_begin(FN_udpr_remote_release, NULL);
    udpr_remote_release(door->remote);
    call_end(UDPR_OK);
    door->held--;
  }
}

/* While the reactor is freed, all of it is closed. */
static bool shut(const door *door) { return door->closed || (door->home && door->home->closing); }

static void op_remote_call(void) {
  door *door = any_door();
  if (!door) return;
  user *user = new_user(THREAD_CALL, door->home);
  bool  bad = one_in(24), free = door->home && door->home->closing;
  CALL(NULL, udpr_remote_call, door->remote, bad ? NULL : on_call, user, free_fn(user));
  if (bad) EXPECT(UDPR_E_INVALID_ARGUMENT, UDPR_E_CLOSED);
  else if (free) EXPECT(UDPR_E_CLOSED, UDPR_OK);
  else EXPECT(shut(door) ? UDPR_E_CLOSED : UDPR_OK);
  if (call_status() != UDPR_OK) refused(user);
}

static void op_remote_stop(void) {
  door *door = any_door();
  if (!door) return;
  home *home = door->home;
  if (home) widen_stage(home);
  CALL(NULL, udpr_remote_stop, door->remote);
  if (shut(door))
    EXPECT(UDPR_E_CLOSED, door->closed ? UDPR_E_CLOSED : UDPR_E_NOT_RUNNING,
           door->closed ? UDPR_E_CLOSED : UDPR_OK);
  else if (home->stage == IDLE) EXPECT(UDPR_E_NOT_RUNNING);
  else if (home->stage & IDLE) EXPECT(UDPR_OK, UDPR_E_NOT_RUNNING);
  else EXPECT(UDPR_OK);
  if (call_status() == UDPR_OK && home) home->stop_asked = true;
}

static void op_remote_wake(void) {
  door *door = any_door();
  if (!door) return;
  CALL(NULL, udpr_remote_wake, door->remote);
  EXPECT(door->closed ? UDPR_E_CLOSED : UDPR_OK, shut(door) ? UDPR_E_CLOSED : UDPR_OK);
}

static void op_call_from_thread(void) {
  home *home = any_home();
  if (!home) return;
  user *user = new_user(THREAD_CALL, home);
  bool  closing = home->closing;
  CALL(NULL, udpr_reactor_call_from_thread, home->reactor, on_call, user, free_fn(user));
  if (!EXPECT(UDPR_OK, closing ? UDPR_E_CLOSED : UDPR_OK)) refused(user);
}

static void op_work(void) {
  home *home = any_home();
  if (!home) return;
  user *user = new_user(WORK, home);
  bool  done = !one_in(4), bad = one_in(24);
  CALL(home, udpr_reactor_call_in_thread, home->reactor, bad ? NULL : on_work, done ? on_done : NULL, user,
       free_fn(user));
  if (bad ? EXPECT(UDPR_E_INVALID_ARGUMENT) : EXPECT(UDPR_OK)) return;
  refused(user);
}

static void op_pool_size(void) {
  home *home = any_home();
  if (!home) return;
  uint32_t size = PICK(0u, 1u, 2u, 5u, 1024u, 1025u, UINT32_MAX);
  CALL(home, udpr_reactor_suggest_thread_pool_size, home->reactor, size);
  EXPECT(size > 1024 ? UDPR_E_INVALID_ARGUMENT : UDPR_OK);
}

/* ---- names: faults.c answers for the system ---------------------------------------------------------------- */

typedef struct name {
  const char *text;
  udpr_status
      answers[3]; /* for both families, IPv4, IPv6; UDPR_E_INVALID_ARGUMENT is the call's own result */
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
  home *home = any_home();
  if (!home) return;
  const name *name = &known_names[below(sizeof known_names / sizeof *known_names)];
  uint32_t    family = below(3);
  user       *user = new_user(LOOKUP, home);
  udpr_ns     timeout = PICK((udpr_ns)0, 1, 1000000, INT64_MAX, UDPR_NEVER, UDPR_NEVER - 1);
  uint16_t port = (uint16_t)random_word(), code = one_in(24) ? 5 : (uint16_t)(family * 2 + (family ? 2 : 0));
  user->event = port;
  for (int i = 0; i < 3; i++) user->answers[i] = name->answers[family];
  bool bad = name->answers[family] == UDPR_E_INVALID_ARGUMENT || code == 5 || timeout == UDPR_NEVER - 1;
  CALL(home, udpr_reactor_resolve, home->reactor, name->text, port, code, timeout, on_resolved, user,
       free_fn(user), &user->id);
  if (bad ? EXPECT(UDPR_E_INVALID_ARGUMENT) : EXPECT(UDPR_OK)) return;
  user->id = 0;
  refused(user);
}

static void op_cancel_resolve(void) {
  home *home = any_home();
  user *user = home ? any_user(LOOKUP, home) : NULL;
  if (!user || home->closing) return;
  bool open = atomic_load(&user->live) && atomic_load(&user->calls) == 0 && !user->cancelled;
  CALL(home, udpr_reactor_cancel_resolve, home->reactor, user->id);
  if (EXPECT(open ? UDPR_OK : UDPR_E_NOT_FOUND)) user->cancelled = true;
}

/* ---- one of the others on the other thread ------------------------------------------------------------------ */

static void op_elsewhere(void) {
  if (me == 0) elsewhere(any_operation);
}

const operation thread_operations[] = {
    {op_remote, "remote", 2},           {op_hold, "hold", 1},
    {op_remote_call, "remote_call", 3}, {op_remote_stop, "remote_stop", 1},
    {op_remote_wake, "remote_wake", 1}, {op_call_from_thread, "call_from_thread", 3},
    {op_work, "call_in_thread", 2},     {op_pool_size, "pool_size", 1},
    {op_resolve, "resolve", 3},         {op_cancel_resolve, "cancel_resolve", 1},
    {op_elsewhere, "elsewhere", 8},     {NULL, NULL, 0}};
