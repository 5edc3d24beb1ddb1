/* udpr_reactor_call_every: the grid of a periodic call, how late turns are counted, and how it ends. */
#include "check.h"
#include "fork_and_wait.h"

#include <poll.h>

typedef struct periodic {
  atomic_int freed;
  int        calls;
  uint64_t   beats, last_beats;
  udpr_id    id;
  udpr_ns    last; /* `now` in the last call */
  void (*act)(udpr_reactor *reactor, struct periodic *self);
} periodic;

static void free_periodic(void *user) { ((periodic *)user)->freed++; }

static void beat(udpr_reactor *reactor, udpr_id id, uint64_t beats, void *user) {
  periodic *self = user;
  CHECK_EQ(0, self->freed);
  CHECK_EQ(self->id, id);
  CHECK(beats >= 1);
  self->calls++, self->beats += beats, self->last_beats = beats, self->last = udpr_reactor_now(reactor);
  if (self->act) self->act(reactor, self);
  CHECK_EQ(0, self->freed); /* not before it returns */
}

static void call_every(udpr_reactor *reactor, udpr_ns interval, periodic *self) {
  OK(udpr_reactor_call_every(reactor, interval, beat, self, free_periodic, &self->id));
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

/* ---- the grid ------------------------------------------------------------------------------------------- */

TEST(advance_misses_no_beat) {
  periodic      one = {0};
  udpr_reactor *reactor = new_manual_reactor();
  OK(udpr_reactor_advance(reactor, 5));
  call_every(reactor, 10, &one);
  CHECK_EQ(15, due_of(reactor, one.id));
  OK(udpr_reactor_advance(reactor, 9));
  CHECK_EQ(0, one.calls);
  OK(udpr_reactor_advance(reactor, 1));
  CHECK(one.calls == 1 && one.last == 15);
  OK(udpr_reactor_advance(reactor, 73));
  CHECK(one.calls == 8 && one.beats == 8 && one.last == 85);
  CHECK_EQ(95, due_of(reactor, one.id));
  CHECK_EQ(1, count_pending(reactor));
  OK(udpr_reactor_free(reactor));
  CHECK(one.freed == 1 && one.calls == 8);
}

TEST(a_late_turn_calls_once_with_the_missed_beats) {
  const udpr_ns interval = MS(10);
  periodic      one = {0};
  udpr_reactor *reactor = new_reactor(0);
  udpr_ns       before = udpr_reactor_now(reactor);
  call_every(reactor, interval, &one);
  udpr_ns first = due_of(reactor, one.id);
  CHECK(first >= before + interval && first <= udpr_reactor_now(reactor) + interval);
  while (udpr_reactor_now(reactor) < first + 3 * interval) {}
  OK(udpr_reactor_iterate(reactor, 0));
  CHECK_EQ(1, one.calls);
  CHECK(one.beats >= 4 && one.last >= first + (one.beats - 1) * interval);
  udpr_ns next = due_of(reactor, one.id);
  CHECK(next == first + one.beats * interval && next > before);
  while (one.calls < 4) OK(udpr_reactor_iterate(reactor, -1));
  CHECK(one.last >= first + (one.beats - 1) * interval);           /* never early */
  CHECK_EQ(first + one.beats * interval, due_of(reactor, one.id)); /* it does not drift */
  OK(udpr_reactor_free(reactor));
  CHECK_EQ(1, one.freed);
}

static void must_not_beat(udpr_reactor *reactor, udpr_id id, uint64_t beats, void *user) {
  (void)reactor, (void)id, (void)beats, (void)user;
  FAIL("%s", "a call that was refused was made");
}

TEST(intervals_that_are_refused) {
  const udpr_ns refused[] = {0, (udpr_ns)INT64_MAX + 1, 0 - MS(1), UDPR_NEVER - 1, UDPR_NEVER};
  udpr_reactor *reactor = new_manual_reactor();
  atomic_int    freed = 0;
  for (int i = 0; i < 5; i++) {
    udpr_id id = 7;
    CHECK_STATUS(UDPR_E_INVALID_ARGUMENT,
                 udpr_reactor_call_every(reactor, refused[i], must_not_beat, &freed, count_free, &id));
    CHECK(freed == i + 1 && id == 7);
  }
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_reactor_call_every(reactor, 1, NULL, &freed, count_free, NULL));
  CHECK_EQ(6, freed);
  OK(udpr_reactor_call_every(reactor, (udpr_ns)INT64_MAX, must_not_beat, &freed, count_free, NULL));
  OK(udpr_reactor_advance(reactor, (udpr_ns)INT64_MAX - 1));
  OK(udpr_reactor_free(reactor));
  CHECK_EQ(7, freed);
}

TEST(the_grid_ends_with_the_clock) {
  periodic      one = {0};
  udpr_reactor *reactor = new_manual_reactor();
  call_every(reactor, (udpr_ns)INT64_MAX, &one);
  for (int i = 0; i < 3; i++) OK(udpr_reactor_advance(reactor, (udpr_ns)INT64_MAX));
  CHECK_EQ(2, one.calls); /* the next beat would be beyond the end of the clock */
  CHECK_EQ(UDPR_NEVER, due_of(reactor, one.id));
  OK(udpr_reactor_free(reactor));
}

/* ---- order ---------------------------------------------------------------------------------------------- */

typedef struct numbered {
  char *log, letter;
} numbered;

static void log_beat(udpr_reactor *reactor, udpr_id id, uint64_t beats, void *user) {
  numbered *self = user;
  (void)reactor, (void)id;
  CHECK_EQ(1, beats);
  strncat(self->log, &self->letter, 1);
}
static void log_call(udpr_reactor *reactor, void *user) { log_beat(reactor, 0, 1, user); }

TEST(calls_due_together_keep_the_order_in_which_they_were_created) {
  char          log[32] = "";
  numbered      a = {log, 'a'}, b = {log, 'b'}, c = {log, 'c'};
  udpr_reactor *reactor = new_manual_reactor();
  OK(udpr_reactor_call_every(reactor, 10, log_beat, &a, NULL, NULL));
  OK(udpr_reactor_call_later(reactor, 20, log_call, &b, NULL, NULL));
  OK(udpr_reactor_call_every(reactor, 5, log_beat, &c, NULL, NULL));
  OK(udpr_reactor_advance(reactor, 20));
  CHECK_STR("caccabc", log);
  OK(udpr_reactor_free(reactor));
}

/* ---- moving the grid ------------------------------------------------------------------------------------ */

TEST(moving_it_moves_the_grid) {
  periodic      one = {0};
  udpr_reactor *reactor = new_manual_reactor();
  call_every(reactor, 10, &one);
  OK(udpr_reactor_advance(reactor, 14));
  OK(udpr_reactor_reset_call(reactor, one.id, 3)); /* 17, 27, ... */
  CHECK_EQ(17, due_of(reactor, one.id));
  OK(udpr_reactor_advance(reactor, 20));
  CHECK(one.calls == 3 && one.last == 27);
  OK(udpr_reactor_delay_call(reactor, one.id, 4)); /* 41, 51, ... */
  OK(udpr_reactor_advance(reactor, 20));
  CHECK(one.calls == 5 && one.last == 51);
  OK(udpr_reactor_reset_call_at(reactor, one.id, 100));
  OK(udpr_reactor_advance(reactor, 61));
  CHECK(one.calls == 7 && one.last == 110);
  OK(udpr_reactor_reset_call(reactor, one.id, UDPR_NEVER));
  OK(udpr_reactor_advance(reactor, 1000));
  CHECK_EQ(7, one.calls);
  OK(udpr_reactor_free(reactor));
}

TEST(a_grid_that_is_moved_into_the_past_has_one_beat_at_once) {
  periodic      one = {0};
  udpr_reactor *reactor = new_manual_reactor();
  OK(udpr_reactor_advance(reactor, 1000));
  call_every(reactor, 100, &one);
  OK(udpr_reactor_reset_call_at(reactor, one.id, 30));
  OK(udpr_reactor_iterate(reactor, 0));
  CHECK(one.calls == 1 && one.beats == 1);
  CHECK_EQ(1030, due_of(reactor, one.id));
  OK(udpr_reactor_delay_call(reactor, one.id, INT64_MIN));
  OK(udpr_reactor_iterate(reactor, 0));
  CHECK(one.calls == 2 && one.beats == 2);
  OK(udpr_reactor_free(reactor));
}

static void reset_itself(udpr_reactor *reactor, periodic *self) {
  CHECK_EQ(self->last + 10, due_of(reactor, self->id)); /* it is pending, at its next beat */
  OK(udpr_reactor_reset_call_at(reactor, self->id, self->last + 3));
}

TEST(it_may_move_itself) {
  periodic      one = {.act = reset_itself};
  udpr_reactor *reactor = new_manual_reactor();
  call_every(reactor, 10, &one);
  OK(udpr_reactor_advance(reactor, 20));
  CHECK(one.calls == 4 && one.last == 19); /* 10, 13, 16, 19 */
  OK(udpr_reactor_free(reactor));
  CHECK_EQ(1, one.freed);
}

static periodic *other;
static void      reset_both(udpr_reactor *reactor, periodic *self) {
       OK(udpr_reactor_reset_call(reactor, self->id, 0));
       OK(udpr_reactor_reset_call(reactor, other->id, 0));
}

/* Calls that make each other due must not keep a turn from ending. */
TEST(a_turn_makes_each_call_once) {
  periodic      one = {.act = reset_both}, two = {.act = reset_both};
  udpr_reactor *reactor = new_manual_reactor();
  other = &two;
  call_every(reactor, 10, &one), call_every(reactor, 10, &two);
  OK(udpr_reactor_reset_call(reactor, one.id, 0));
  OK(udpr_reactor_reset_call(reactor, two.id, 0));
  for (int turn = 1; turn <= 3; turn++) {
    OK(udpr_reactor_iterate(reactor, 0));
    CHECK(one.calls == turn && two.calls == turn);
  }
  OK(udpr_reactor_free(reactor));
}

/* ---- how it ends ---------------------------------------------------------------------------------------- */

static void cancel_itself(udpr_reactor *reactor, periodic *self) {
  udpr_ns due;
  CHECK_EQ(1, count_pending(reactor));
  OK(udpr_reactor_cancel_call(reactor, self->id));
  CHECK_EQ(0, count_pending(reactor));
  CHECK_STATUS(UDPR_E_ALREADY_CANCELLED, udpr_reactor_cancel_call(reactor, self->id));
  CHECK_STATUS(UDPR_E_ALREADY_CANCELLED, udpr_reactor_call_time(reactor, self->id, &due));
  CHECK_STATUS(UDPR_E_ALREADY_CANCELLED, udpr_reactor_reset_call(reactor, self->id, 0));
  CHECK_STATUS(UDPR_E_ALREADY_CANCELLED, udpr_reactor_reset_call_at(reactor, self->id, 0));
  CHECK_STATUS(UDPR_E_ALREADY_CANCELLED, udpr_reactor_delay_call(reactor, self->id, 1));
}

TEST(it_may_cancel_itself) {
  for (int manual_clock = 0; manual_clock < 2; manual_clock++) {
    periodic      one = {.act = cancel_itself};
    udpr_reactor *reactor = manual_clock ? new_manual_reactor() : new_reactor(0);
    call_every(reactor, 1, &one);
    if (manual_clock) OK(udpr_reactor_advance(reactor, 100));
    else RUN_UNTIL(reactor, one.calls);
    CHECK(one.calls == 1 && one.freed == 1);
    CHECK_STATUS(UDPR_E_ALREADY_CANCELLED, udpr_reactor_cancel_call(reactor, one.id));
    OK(udpr_reactor_free(reactor));
    CHECK_EQ(1, one.freed);
  }
}

TEST(cancel_frees_its_user) {
  periodic      one = {0};
  udpr_reactor *reactor = new_manual_reactor();
  call_every(reactor, 1, &one);
  OK(udpr_reactor_advance(reactor, 3));
  OK(udpr_reactor_cancel_call(reactor, one.id));
  CHECK(one.calls == 3 && one.freed == 1);
  CHECK_STATUS(UDPR_E_ALREADY_CANCELLED, udpr_reactor_reset_call(reactor, one.id, 0));
  OK(udpr_reactor_free(reactor));
  CHECK_EQ(1, one.freed);
}

static void stop_or_crash(udpr_reactor *reactor, periodic *self) {
  if (self->calls == 1) OK(udpr_reactor_stop(reactor));
  if (self->calls == 2) OK(udpr_reactor_crash(reactor));
}

TEST(stop_and_crash_do_not_end_it) {
  const udpr_ns interval = MS(2);
  periodic      one = {.act = stop_or_crash};
  udpr_reactor *reactor = new_reactor(0);
  call_every(reactor, interval, &one);
  OK(udpr_reactor_run(reactor));
  CHECK_EQ(1, one.calls);
  OK(udpr_reactor_run(reactor));
  CHECK_EQ(2, one.calls);
  /* Nothing runs the reactor for a while. */
  udpr_ns due = due_of(reactor, one.id);
  while (udpr_reactor_now(reactor) < due + 2 * interval) {}
  OK(udpr_reactor_iterate(reactor, 0));
  CHECK(one.calls == 3 && one.last_beats >= 3);
  OK(udpr_reactor_free(reactor));
  CHECK_EQ(1, one.freed);
}

static void refused_while_it_is_freed(void *user) {
  udpr_reactor *reactor = *(udpr_reactor **)user;
  CHECK_STATUS(UDPR_E_CLOSED, udpr_reactor_call_every(reactor, 1, must_not_beat, NULL, NULL, NULL));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_reactor_call_at(reactor, 1, stop_call, NULL, NULL, NULL));
}

TEST(refused_while_the_reactor_is_freed) {
  udpr_reactor *reactor = new_reactor(0);
  OK(udpr_reactor_call_every(reactor, MS(1), must_not_beat, &reactor, refused_while_it_is_freed, NULL));
  OK(udpr_reactor_free(reactor));
}

TEST(an_embedding_loop_is_woken_at_each_beat) {
  periodic      one = {0};
  udpr_reactor *reactor = new_reactor(0);
  udpr_socket   fd;
  OK(udpr_reactor_backend_fd(reactor, &fd));
  run_turns(reactor, 2);
  call_every(reactor, MS(2), &one);
  while (one.calls < 3) {
    struct pollfd ready = {.fd = fd, .events = POLLIN};
    CHECK_EQ(1, poll(&ready, 1, (int)(CHECK_TIMEOUT / MS(1))));
    OK(udpr_reactor_iterate(reactor, 0));
  }
  OK(udpr_reactor_free(reactor));
}

/* ---- fork ----------------------------------------------------------------------------------------------- */

static udpr_reactor *inherited;
static void          go_on(void *user) {
           periodic *one = user;
           OK(udpr_reactor_after_fork(inherited));
           RUN_UNTIL(inherited, one->calls == 3);
           OK(udpr_reactor_free(inherited));
           CHECK_EQ(1, one->freed);
}

TEST(after_fork_keeps_it) {
  periodic      one = {0};
  udpr_reactor *reactor = new_reactor(0);
  inherited = reactor;
  call_every(reactor, MS(1), &one);
  RUN_UNTIL(reactor, one.calls);
  run_in_child(go_on, &one);
  RUN_UNTIL(reactor, one.calls == 3);
  OK(udpr_reactor_free(reactor));
  CHECK_EQ(1, one.freed);
}

static pid_t child;
static void  fork_once(udpr_reactor *reactor, periodic *self) {
   (void)reactor;
   if (self->calls == 1) child = check_fork();
}

/* In the child the call that forked is pending, as in the parent. */
TEST(a_call_that_forks_goes_on_in_both) {
  periodic      one = {.act = fork_once};
  udpr_reactor *reactor = new_reactor(0);
  udpr_status   status = UDPR_OK;
  call_every(reactor, MS(1), &one);
  while (one.calls == 0 && status == UDPR_OK) status = udpr_reactor_iterate(reactor, -1);
  CHECK_STATUS(child ? UDPR_OK : UDPR_E_CLOSED, status);
  if (!child) OK(udpr_reactor_after_fork(reactor));
  CHECK_EQ(0, one.freed);
  RUN_UNTIL(reactor, one.calls == 3);
  OK(udpr_reactor_free(reactor));
  CHECK_EQ(1, one.freed);
  if (!child) _exit(0);
  CHECK_EQ(0, check_wait(child));
}

CHECK_MAIN()
