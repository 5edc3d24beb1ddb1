/* udpr_reactor_call_at and udpr_reactor_reset_call_at, and calls that become pending again inside themselves. */
#include "check.h"
#include "fork_and_wait.h"

typedef struct again {
  atomic_int freed;
  int        calls;
  udpr_id    id;
  udpr_ns    last; /* `now` in the last call */
  void (*act)(udpr_reactor *reactor, struct again *self);
} again;

static void free_again(void *user) { ((again *)user)->freed++; }

static void act(udpr_reactor *reactor, void *user) {
  again *self = user;
  CHECK_EQ(0, self->freed);
  self->calls++, self->last = udpr_reactor_now(reactor);
  if (self->act) self->act(reactor, self);
  CHECK_EQ(0, self->freed); /* not before it returns */
}

static void call_at(udpr_reactor *reactor, udpr_ns instant, again *self) {
  OK(udpr_reactor_call_at(reactor, instant, act, self, free_again, &self->id));
  CHECK(self->id != 0);
}

static udpr_reactor *new_manual_reactor(void) { return new_reactor(UDPR_REACTOR_MANUAL_CLOCK); }

static udpr_ns due_of(udpr_reactor *reactor, udpr_id id) {
  udpr_ns due = 0;
  OK(udpr_reactor_call_time(reactor, id, &due));
  return due;
}

static size_t count_pending(udpr_reactor *reactor) {
  size_t count = 99;
  OK(udpr_reactor_delayed_calls(reactor, NULL, 0, &count));
  return count;
}

/* ---- instants ------------------------------------------------------------------------------------------- */

TEST(durations) {
  uint32_t n = 5000000;
  CHECK_EQ(UINT64_C(5000000000), UDPR_US(n));
  CHECK_EQ(UINT64_C(5000000000000), UDPR_MS(n));
  CHECK_EQ(UINT64_C(5000000000000000), UDPR_S(n));
  CHECK_EQ(UINT64_C(7000), UDPR_US(3 + 4));
  CHECK_EQ(sizeof(udpr_ns), sizeof UDPR_S(1));
}

TEST(an_instant_is_of_the_reactors_clock) {
  again         one = {0}, two = {0};
  udpr_reactor *reactor = new_manual_reactor();
  OK(udpr_reactor_advance(reactor, 100));
  call_at(reactor, 150, &one), call_at(reactor, 120, &two);
  CHECK_EQ(150, due_of(reactor, one.id));
  OK(udpr_reactor_advance(reactor, 20));
  CHECK(one.calls == 0 && two.calls == 1 && two.freed == 1);
  OK(udpr_reactor_reset_call_at(reactor, one.id, 130));
  OK(udpr_reactor_advance(reactor, 30));
  CHECK(one.calls == 1 && one.last == 130 && one.freed == 1);
  CHECK_STATUS(UDPR_E_ALREADY_CALLED, udpr_reactor_reset_call_at(reactor, one.id, 130));
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_reset_call_at(reactor, 1, 130));
  OK(udpr_reactor_free(reactor));
}

TEST(an_instant_that_has_passed_is_due_at_once) {
  again         one = {0}, two = {0}, three = {0};
  udpr_reactor *reactor = new_manual_reactor();
  OK(udpr_reactor_advance(reactor, 100));
  call_at(reactor, 0, &one), call_at(reactor, 100, &two), call_at(reactor, 200, &three);
  OK(udpr_reactor_reset_call_at(reactor, three.id, 99));
  OK(udpr_reactor_iterate(reactor, -1));
  CHECK(one.calls == 1 && two.calls == 1 && three.calls == 1);
  OK(udpr_reactor_free(reactor));
}

TEST(call_at_on_the_real_clock_is_not_early) {
  again         one = {0};
  udpr_reactor *reactor = new_reactor(0);
  udpr_ns       instant = udpr_reactor_now(reactor) + UDPR_MS(5);
  call_at(reactor, instant, &one);
  while (!one.calls) OK(udpr_reactor_iterate(reactor, -1));
  CHECK(one.last >= instant);
  OK(udpr_reactor_free(reactor));
}

TEST(instants_that_are_negative_differences_are_refused) {
  const udpr_ns refused[] = {(udpr_ns)INT64_MAX + 1, 0 - MS(1), UDPR_NEVER - 1};
  again         one = {0}, far = {0};
  udpr_reactor *reactor = new_manual_reactor();
  call_at(reactor, (udpr_ns)INT64_MAX, &far);
  for (int i = 0; i < 3; i++) {
    udpr_id id = 7;
    CHECK_STATUS(UDPR_E_INVALID_ARGUMENT,
                 udpr_reactor_call_at(reactor, refused[i], act, &one, free_again, &id));
    CHECK(one.freed == i + 1 && id == 7);
    CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_reactor_reset_call_at(reactor, far.id, refused[i]));
  }
  CHECK_EQ((udpr_ns)INT64_MAX, due_of(reactor, far.id));
  CHECK_EQ(1, count_pending(reactor));
  OK(udpr_reactor_reset_call_at(reactor, far.id, UDPR_NEVER));
  one.freed = 0;
  call_at(reactor, UDPR_NEVER, &one);
  for (int i = 0; i < 3; i++) OK(udpr_reactor_advance(reactor, (udpr_ns)INT64_MAX));
  CHECK(one.calls == 0 && far.calls == 0 && count_pending(reactor) == 2);
  OK(udpr_reactor_free(reactor));
  CHECK(one.freed == 1 && far.freed == 1);
}

/* ---- pending again ------------------------------------------------------------------------------------- */

static void check_at_work(udpr_reactor *reactor, again *self, size_t pending) {
  udpr_ns due;
  CHECK_STATUS(UDPR_E_ALREADY_CALLED, udpr_reactor_call_time(reactor, self->id, &due));
  CHECK_STATUS(UDPR_E_ALREADY_CALLED, udpr_reactor_cancel_call(reactor, self->id));
  CHECK_EQ(pending, count_pending(reactor));
}

static void make_pending_again(udpr_reactor *reactor, again *self) {
  udpr_id id = 0;
  size_t  count = 0;
  check_at_work(reactor, self, 0);
  switch (self->calls) {
  case 1: OK(udpr_reactor_reset_call(reactor, self->id, 7)); break;
  case 2: OK(udpr_reactor_reset_call_at(reactor, self->id, self->last + 7)); break;
  case 3: OK(udpr_reactor_delay_call(reactor, self->id, 7)); break;
  default: return;
  }
  CHECK_EQ(self->last + 7, due_of(reactor, self->id));
  OK(udpr_reactor_delayed_calls(reactor, &id, 1, &count));
  CHECK(count == 1 && id == self->id);
  udpr_reactor_stats stats = {.size = sizeof stats};
  OK(udpr_reactor_get_stats(reactor, &stats));
  CHECK_EQ(1, stats.timers_pending);
}

TEST(a_call_that_is_moved_inside_itself_is_pending_again) {
  again         one = {.act = make_pending_again};
  udpr_reactor *reactor = new_manual_reactor();
  call_at(reactor, 10, &one);
  for (int call = 1; call <= 4; call++) {
    OK(udpr_reactor_advance(reactor, call == 1 ? 10 : 7));
    CHECK(one.calls == call && one.last == 3 + 7 * (udpr_ns)call);
    CHECK_EQ(call == 4, one.freed);
  }
  CHECK_STATUS(UDPR_E_ALREADY_CALLED, udpr_reactor_reset_call(reactor, one.id, 0));
  OK(udpr_reactor_free(reactor));
  CHECK_EQ(1, one.freed);
}

static void delay_by_a_millisecond(udpr_reactor *reactor, again *self) {
  if (self->calls < 5) OK(udpr_reactor_delay_call(reactor, self->id, (int64_t)MS(1)));
}

/* delay_call counts from the instant at which the call was due, so that a late turn does not make it drift. */
TEST(delay_call_inside_the_call_does_not_drift) {
  again         one = {.act = delay_by_a_millisecond};
  udpr_reactor *reactor = new_reactor(0);
  udpr_ns       first = udpr_reactor_now(reactor) + MS(1), due = first;
  call_at(reactor, first, &one);
  while (udpr_reactor_now(reactor) < first + MS(3)) {}
  while (one.calls < 5) {
    int before = one.calls;
    CHECK_EQ(due, due_of(reactor, one.id));
    OK(udpr_reactor_iterate(reactor, -1));
    due += MS(1) * (udpr_ns)(one.calls - before);
  }
  CHECK(one.last >= first + MS(4) && one.freed == 1);
  OK(udpr_reactor_free(reactor));
}

static void reset_to_now(udpr_reactor *reactor, again *self) {
  OK(udpr_reactor_reset_call(reactor, self->id, 0));
}

TEST(a_delay_of_0_inside_the_call_is_for_the_next_turn) {
  for (int manual_clock = 0; manual_clock < 2; manual_clock++) {
    again         one = {.act = reset_to_now};
    udpr_reactor *reactor = manual_clock ? new_manual_reactor() : new_reactor(0);
    call_at(reactor, 0, &one);
    for (int turn = 1; turn <= 3; turn++) {
      OK(udpr_reactor_iterate(reactor, -1));
      CHECK_EQ(turn, one.calls);
    }
    OK(udpr_reactor_cancel_call(reactor, one.id));
    CHECK_EQ(1, one.freed);
    OK(udpr_reactor_free(reactor));
  }
}

static void reset_and_cancel(udpr_reactor *reactor, again *self) {
  OK(udpr_reactor_reset_call(reactor, self->id, 1));
  OK(udpr_reactor_delay_call(reactor, self->id, 1));
  OK(udpr_reactor_cancel_call(reactor, self->id));
  CHECK_EQ(0, count_pending(reactor));
  CHECK_STATUS(UDPR_E_ALREADY_CANCELLED, udpr_reactor_reset_call(reactor, self->id, 1));
  CHECK_STATUS(UDPR_E_ALREADY_CANCELLED, udpr_reactor_cancel_call(reactor, self->id));
  /* The place is free for another call, which must not be taken for this one. */
  OK(udpr_reactor_call_later(reactor, 1000, stop_call, NULL, NULL, NULL));
}

TEST(a_call_that_is_pending_again_can_be_cancelled) {
  again         one = {.act = reset_and_cancel};
  udpr_reactor *reactor = new_manual_reactor();
  call_at(reactor, 10, &one);
  OK(udpr_reactor_advance(reactor, 100));
  CHECK(one.calls == 1 && one.freed == 1);
  CHECK_STATUS(UDPR_E_ALREADY_CANCELLED, udpr_reactor_cancel_call(reactor, one.id));
  CHECK_EQ(1, count_pending(reactor));
  OK(udpr_reactor_free(reactor));
  CHECK_EQ(1, one.freed);
}

static void refused_moves(udpr_reactor *reactor, again *self) {
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_reactor_reset_call(reactor, self->id, UDPR_NEVER - 1));
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_reactor_reset_call_at(reactor, self->id, UDPR_NEVER - 1));
  check_at_work(reactor, self, 0);
}

TEST(a_move_that_is_refused_leaves_the_call_as_it_is) {
  again         one = {.act = refused_moves};
  udpr_reactor *reactor = new_manual_reactor();
  call_at(reactor, 10, &one);
  OK(udpr_reactor_advance(reactor, 10));
  CHECK(one.calls == 1 && one.freed == 1);
  OK(udpr_reactor_free(reactor));
}

static void reset_to_never(udpr_reactor *reactor, again *self) {
  OK(udpr_reactor_reset_call(reactor, self->id, UDPR_NEVER));
}

TEST(free_ends_a_call_that_is_pending_again) {
  again         one = {.act = reset_to_never};
  udpr_reactor *reactor = new_manual_reactor();
  call_at(reactor, 10, &one);
  OK(udpr_reactor_advance(reactor, 1000));
  CHECK(one.calls == 1 && one.freed == 0);
  OK(udpr_reactor_free(reactor));
  CHECK_EQ(1, one.freed);
}

static again *neighbour;
static void   reset_the_neighbour(udpr_reactor *reactor, again *self) {
    (void)self;
    CHECK_STATUS(UDPR_E_ALREADY_CALLED, udpr_reactor_reset_call(reactor, neighbour->id, 0));
}

TEST(only_the_call_itself_is_made_pending_again) {
  again         one = {0}, two = {.act = reset_the_neighbour};
  udpr_reactor *reactor = new_manual_reactor();
  neighbour = &one;
  call_at(reactor, 10, &one), call_at(reactor, 10, &two);
  OK(udpr_reactor_advance(reactor, 10));
  CHECK(one.calls == 1 && two.calls == 1);
  OK(udpr_reactor_free(reactor));
}

static udpr_reactor *freeing;
static void          reset_in_free_user(void *user) {
           again *self = user;
           self->freed++;
           CHECK_STATUS(UDPR_E_ALREADY_CALLED, udpr_reactor_reset_call(freeing, self->id, 0));
}

TEST(free_user_is_too_late) {
  again         one = {0};
  udpr_reactor *reactor = new_manual_reactor();
  freeing = reactor;
  OK(udpr_reactor_call_at(reactor, 10, act, &one, reset_in_free_user, &one.id));
  OK(udpr_reactor_advance(reactor, 10));
  CHECK(one.calls == 1 && one.freed == 1);
  OK(udpr_reactor_free(reactor));
}

static void stop_and_reset(udpr_reactor *reactor, again *self) {
  if (self->calls == 1) OK(udpr_reactor_stop(reactor));
  OK(udpr_reactor_reset_call(reactor, self->id, 0));
}

TEST(stop_does_not_end_a_call_that_is_pending_again) {
  again         one = {.act = stop_and_reset};
  udpr_reactor *reactor = new_reactor(0);
  call_at(reactor, 0, &one);
  OK(udpr_reactor_run(reactor));
  CHECK_EQ(1, one.calls);
  OK(udpr_reactor_iterate(reactor, 0));
  CHECK_EQ(2, one.calls);
  OK(udpr_reactor_free(reactor));
  CHECK_EQ(1, one.freed);
}

/* ---- fork ----------------------------------------------------------------------------------------------- */

static pid_t child;
static void  reset_and_fork(udpr_reactor *reactor, again *self) {
   if (self->calls == 1) OK(udpr_reactor_reset_call(reactor, self->id, 0));
  if (self->calls == 1) child = check_fork();
}

TEST(a_call_that_is_pending_again_and_forks) {
  again         one = {.act = reset_and_fork};
  udpr_reactor *reactor = new_reactor(0);
  call_at(reactor, 0, &one);
  udpr_status status = udpr_reactor_iterate(reactor, -1);
  CHECK_STATUS(child ? UDPR_OK : UDPR_E_CLOSED, status);
  if (!child) OK(udpr_reactor_after_fork(reactor));
  CHECK_EQ(0, one.freed);
  RUN_UNTIL(reactor, one.calls == 2);
  CHECK_EQ(1, one.freed);
  OK(udpr_reactor_free(reactor));
  if (!child) _exit(0);
  CHECK_EQ(0, check_wait(child));
}

CHECK_MAIN()
