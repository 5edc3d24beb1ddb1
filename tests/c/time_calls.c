/* Delayed calls on the real clock: when and in which order they are made, which statuses the other functions
 * return, and when users are freed.
 */
#include "check.h"

typedef struct counter {
  atomic_int freed;
  int        called;
} counter;

static void count(udpr_reactor *reactor, void *user) {
  counter *self = user;
  (void)reactor;
  CHECK_EQ(0, self->freed);
  self->called++;
}

static udpr_id call_later(udpr_reactor *reactor, udpr_ns delay, udpr_call_fn fn, void *user) {
  udpr_id id = 0;
  OK(udpr_reactor_call_later(reactor, delay, fn, user, NULL, &id));
  CHECK(id != 0);
  return id;
}

static size_t count_pending(udpr_reactor *reactor) {
  udpr_id id;
  size_t  total = 99;
  OK(udpr_reactor_delayed_calls(reactor, &id, 0, &total));
  return total;
}

/* ---- due times ----------------------------------------------------------------------------------------- */

typedef struct timed_call {
  udpr_ns due;
  int    *left;
} timed_call;

static void check_not_early(udpr_reactor *reactor, void *user) {
  timed_call *self = user;
  CHECK(udpr_reactor_now(reactor) >= self->due);
  --*self->left;
}

TEST(calls_are_never_early) {
  enum { CALLS = 200 };
  timed_call    calls[CALLS];
  int           left = CALLS;
  udpr_reactor *reactor = new_reactor(0);
  for (int i = 0; i < CALLS; i++) {
    /* 0 to 20 ms, not in whole milliseconds */
    udpr_ns delay = (udpr_ns)(i * 7919 % 20000) * 1000 + (udpr_ns)i;
    calls[i] = (timed_call){.due = udpr_reactor_now(reactor) + delay, .left = &left};
    call_later(reactor, delay, check_not_early, &calls[i]);
  }
  RUN_UNTIL(reactor, left == 0);
  OK(udpr_reactor_free(reactor));
}

static void never_resolved(udpr_reactor *reactor, udpr_id id, udpr_status status, const udpr_addr *addrs,
                           size_t addr_count, void *user) {
  (void)reactor, (void)id, (void)addrs, (void)addr_count, (void)user;
  FAIL("a look-up that was refused: %s", udpr_status_name(status));
}

static void resolved(udpr_reactor *reactor, udpr_id id, udpr_status status, const udpr_addr *addrs,
                     size_t addr_count, void *user) {
  (void)id, (void)addrs;
  CHECK(status == UDPR_OK && addr_count == 1);
  count(reactor, user);
}

/* If a periodic call is late, its next time minus now is negative, which as an unsigned number is 584 years.
 */
TEST(negative_differences_are_refused) {
  const udpr_ns refused[] = {0 - (udpr_ns)2, 0 - SECONDS(1), (udpr_ns)1 << 63, ((udpr_ns)1 << 63) + 1};
  udpr_reactor *reactor = new_reactor(0);
  counter       tick = {0}, far = {0}, never = {0}, name = {0};
  udpr_ns       due = 0, before = 0;
  udpr_id       id = call_later(reactor, (udpr_ns)INT64_MAX, count, &far);
  call_later(reactor, UDPR_NEVER, count, &never);
  OK(udpr_reactor_call_time(reactor, id, &before));
  for (int i = 0; i < 4; i++) {
    udpr_id none = 7;
    CHECK_STATUS(UDPR_E_INVALID_ARGUMENT,
                 udpr_reactor_call_later(reactor, refused[i], count, &tick, count_free, &none));
    CHECK(tick.freed == i * 2 + 1 && none == 7);
    CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_reactor_reset_call(reactor, id, refused[i]));
    CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_reactor_resolve(reactor, "127.0.0.1", 1, 0, refused[i],
                                                               never_resolved, &tick, count_free, NULL));
    CHECK_EQ(i * 2 + 2, tick.freed);
  }
  OK(udpr_reactor_call_time(reactor, id, &due));
  CHECK(due == before && count_pending(reactor) == 2);
  OK(udpr_reactor_resolve(reactor, "127.0.0.1", 1, 0, UDPR_NEVER, resolved, &name, NULL, NULL));
  OK(udpr_reactor_resolve(reactor, "127.0.0.1", 1, 0, (udpr_ns)INT64_MAX, resolved, &name, NULL, NULL));
  RUN_UNTIL(reactor, name.called == 2);
  OK(udpr_reactor_reset_call(reactor, id, UDPR_NEVER));
  run_turns(reactor, 3);
  CHECK(far.called == 0 && never.called == 0 && tick.called == 0);
  int64_t timeout = 0;
  OK(udpr_reactor_next_timeout(reactor, &timeout));
  CHECK_EQ(-1, timeout);
  OK(udpr_reactor_free(reactor));
}

TEST(now_is_monotonic_and_moves) {
  udpr_reactor *reactor = new_reactor(0);
  udpr_ns       first = udpr_reactor_now(reactor), last = first, end = monotonic_ns() + MS(2);
  do {
    udpr_ns now = udpr_reactor_now(reactor);
    CHECK(now >= last);
    last = now;
  } while (monotonic_ns() < end);
  last = udpr_reactor_now(reactor);
  CHECK(last - first >= MS(1) && last - first < SECONDS(60));
  OK(udpr_reactor_free(reactor));
}

/* A turn with an unlimited timeout ends when the next call is due. */
TEST(a_turn_waits_for_the_next_call) {
  counter       user = {0};
  udpr_reactor *reactor = new_reactor(0);
  udpr_ns       start = monotonic_ns();
  call_later(reactor, MS(20), count, &user);
  while (user.called == 0) OK(udpr_reactor_iterate(reactor, -1));
  CHECK(monotonic_ns() - start >= MS(20));
  CHECK(monotonic_ns() - start < SECONDS(5));
  OK(udpr_reactor_free(reactor));
}

static void call_later_again(udpr_reactor *reactor, void *user) { call_later(reactor, 0, count, user); }

TEST(zero_delay_in_a_call_runs_next_turn) {
  counter       user = {0};
  udpr_reactor *reactor = new_reactor(0);
  call_later(reactor, 0, call_later_again, &user);
  OK(udpr_reactor_iterate(reactor, 0));
  CHECK_EQ(0, user.called);
  CHECK_EQ(1, count_pending(reactor));
  OK(udpr_reactor_iterate(reactor, -1)); /* already due: must not wait */
  CHECK_EQ(1, user.called);
  OK(udpr_reactor_free(reactor));
}

typedef struct call_log {
  char text[32];
} call_log;

static void log_a(udpr_reactor *reactor, void *user) { (void)reactor, strcat(((call_log *)user)->text, "a"); }
static void log_b(udpr_reactor *reactor, void *user) { (void)reactor, strcat(((call_log *)user)->text, "b"); }
static void log_c(udpr_reactor *reactor, void *user) { (void)reactor, strcat(((call_log *)user)->text, "c"); }

TEST(zero_delays_run_in_the_order_made) {
  call_log      log = {""};
  udpr_reactor *reactor = new_reactor(0);
  call_later(reactor, 0, log_c, &log);
  call_later(reactor, 0, log_a, &log);
  call_later(reactor, 0, log_b, &log);
  OK(udpr_reactor_iterate(reactor, 0));
  CHECK_STR("cab", log.text);
  OK(udpr_reactor_free(reactor));
}

/* ---- cancel, reset, delay, call_time ------------------------------------------------------------------- */

static void check_all_return(udpr_reactor *reactor, udpr_status expected, udpr_id id) {
  udpr_ns due = 42;
  CHECK_STATUS(expected, udpr_reactor_cancel_call(reactor, id));
  CHECK_STATUS(expected, udpr_reactor_reset_call(reactor, id, 0));
  CHECK_STATUS(expected, udpr_reactor_reset_call_at(reactor, id, 0));
  CHECK_STATUS(expected, udpr_reactor_delay_call(reactor, id, 1));
  CHECK_STATUS(expected, udpr_reactor_call_time(reactor, id, &due));
  CHECK_EQ(42, due);
}

TEST(a_call_that_was_made) {
  counter       user = {0};
  udpr_reactor *reactor = new_reactor(0);
  udpr_id       id = call_later(reactor, 0, count, &user);
  OK(udpr_reactor_iterate(reactor, 0));
  CHECK_EQ(1, user.called);
  check_all_return(reactor, UDPR_E_ALREADY_CALLED, id);
  run_turns(reactor, 2);
  CHECK_EQ(1, user.called);
  OK(udpr_reactor_free(reactor));
}

TEST(a_call_that_was_cancelled) {
  counter       user = {0};
  udpr_reactor *reactor = new_reactor(0);
  udpr_id       id = call_later(reactor, 0, count, &user);
  OK(udpr_reactor_cancel_call(reactor, id));
  check_all_return(reactor, UDPR_E_ALREADY_CANCELLED, id);
  run_turns(reactor, 2);
  CHECK_EQ(0, user.called);
  OK(udpr_reactor_free(reactor));
}

TEST(ids_that_never_existed) {
  udpr_reactor *reactor = new_reactor(0);
  udpr_id       id = call_later(reactor, SECONDS(60), count, NULL);
  check_all_return(reactor, UDPR_E_NOT_FOUND, 0);
  check_all_return(reactor, UDPR_E_NOT_FOUND, id + 1);
  check_all_return(reactor, UDPR_E_NOT_FOUND, UINT64_MAX);
  OK(udpr_reactor_cancel_call(reactor, id));
  OK(udpr_reactor_free(reactor));
}

/* An id is not valid for another reactor. */
TEST(ids_of_two_reactors) {
  counter       user = {0};
  udpr_reactor *one = new_reactor(0), *two = new_reactor(0);
  udpr_id       id = call_later(one, 0, count, &user);
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_cancel_call(two, id));
  OK(udpr_reactor_iterate(one, 0));
  CHECK_EQ(1, user.called);
  OK(udpr_reactor_free(one));
  OK(udpr_reactor_free(two));
}

typedef struct self_call {
  udpr_id id;
  int     called;
} self_call;

static void check_itself(udpr_reactor *reactor, void *user) {
  self_call *self = user;
  udpr_ns    due;
  self->called++;
  CHECK_STATUS(UDPR_E_ALREADY_CALLED, udpr_reactor_cancel_call(reactor, self->id));
  CHECK_STATUS(UDPR_E_ALREADY_CALLED, udpr_reactor_call_time(reactor, self->id, &due));
  CHECK_EQ(0, count_pending(reactor));
}

TEST(in_its_callback_a_call_counts_as_called) {
  self_call     self = {0};
  udpr_reactor *reactor = new_reactor(0);
  self.id = call_later(reactor, 0, check_itself, &self);
  run_turns(reactor, 2);
  CHECK_EQ(1, self.called);
  OK(udpr_reactor_free(reactor));
}

static void cancel_the_other(udpr_reactor *reactor, void *user) {
  OK(udpr_reactor_cancel_call(reactor, *(udpr_id *)user));
}

TEST(cancel_of_one_due_in_the_same_turn) {
  counter       user = {0};
  udpr_id       other = 0;
  udpr_reactor *reactor = new_reactor(0);
  call_later(reactor, 0, cancel_the_other, &other);
  other = call_later(reactor, 0, count, &user);
  run_turns(reactor, 3);
  CHECK_EQ(0, user.called);
  OK(udpr_reactor_free(reactor));
}

/* The last 4096 calls that ended are remembered as called or cancelled. Older ones are not found. */
TEST(the_last_4096_ended_calls_are_remembered) {
  enum { ENDED = 10000, KEPT = 4096 };
  static udpr_id ids[ENDED];
  counter        user = {0};
  udpr_reactor  *reactor = new_reactor(0);
  for (int i = 0; i < ENDED; i++) {
    ids[i] = call_later(reactor, 0, count, &user);
    if (i % 3 == 0) OK(udpr_reactor_cancel_call(reactor, ids[i]));
    else OK(udpr_reactor_iterate(reactor, 0));
  }
  for (int i = ENDED - KEPT; i < ENDED; i++)
    CHECK_STATUS(i % 3 == 0 ? UDPR_E_ALREADY_CANCELLED : UDPR_E_ALREADY_CALLED,
                 udpr_reactor_cancel_call(reactor, ids[i]));
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_cancel_call(reactor, ids[0]));
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_cancel_call(reactor, ids[1]));
  for (int i = 1; i < ENDED; i++) CHECK(ids[i] != ids[i - 1]);
  OK(udpr_reactor_free(reactor));
}

TEST(delayed_calls_lists_pending_calls) {
  udpr_id       listed[4] = {0}, ids[3];
  size_t        total = 99;
  udpr_reactor *reactor = new_reactor(0);
  CHECK_EQ(0, count_pending(reactor));
  for (int i = 0; i < 3; i++) ids[i] = call_later(reactor, SECONDS(60), count, NULL);
  OK(udpr_reactor_delayed_calls(reactor, listed, 4, &total));
  CHECK_EQ(3, total);
  CHECK_EQ(0, listed[3]);
  for (int i = 0; i < 3; i++) CHECK(listed[0] == ids[i] || listed[1] == ids[i] || listed[2] == ids[i]);

  memset(listed, 0, sizeof listed);
  OK(udpr_reactor_delayed_calls(reactor, listed, 2, &total));
  CHECK_EQ(3, total);
  CHECK(listed[0] != 0 && listed[1] != 0 && listed[2] == 0);
  for (int i = 0; i < 3; i++) OK(udpr_reactor_cancel_call(reactor, ids[i]));
  CHECK_EQ(0, count_pending(reactor));
  OK(udpr_reactor_free(reactor));
}

/* ---- free_user ----------------------------------------------------------------------------------------- */

TEST(user_is_freed_after_the_call) {
  counter       user = {0};
  udpr_reactor *reactor = new_reactor(0);
  /* `count` checks that the user is not freed yet. */
  OK(udpr_reactor_call_later(reactor, 0, count, &user, count_free, NULL));
  CHECK_EQ(0, user.freed);
  OK(udpr_reactor_iterate(reactor, 0));
  CHECK_EQ(1, user.called);
  CHECK_EQ(1, user.freed);
  OK(udpr_reactor_free(reactor));
  CHECK_EQ(1, user.freed);
}

TEST(user_is_freed_by_cancel) {
  counter       user = {0};
  udpr_id       id;
  udpr_reactor *reactor = new_reactor(0);
  OK(udpr_reactor_call_later(reactor, 0, count, &user, count_free, &id));
  OK(udpr_reactor_cancel_call(reactor, id));
  CHECK_EQ(1, user.freed);
  CHECK_STATUS(UDPR_E_ALREADY_CANCELLED, udpr_reactor_cancel_call(reactor, id));
  CHECK_EQ(1, user.freed);
  OK(udpr_reactor_free(reactor));
  CHECK_EQ(1, user.freed);
}

TEST(user_is_freed_with_the_reactor) {
  counter       user = {0};
  udpr_reactor *reactor = new_reactor(0);
  OK(udpr_reactor_call_later(reactor, SECONDS(60), count, &user, count_free, NULL));
  OK(udpr_reactor_free(reactor));
  CHECK_EQ(1, user.freed);
  CHECK_EQ(0, user.called);
}

TEST(user_is_freed_when_the_call_is_refused) {
  counter       user = {0};
  udpr_id       id = 42;
  udpr_reactor *reactor = new_reactor(0);
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_reactor_call_later(reactor, 0, NULL, &user, count_free, &id));
  CHECK_EQ(1, user.freed);
  CHECK_EQ(42, id);
  OK(udpr_reactor_free(reactor));
  CHECK_EQ(1, user.freed);
}

CHECK_MAIN()
