/* Delayed calls by the real clock: when they run, in which order, what the other calls on them answer, who
 * frees.
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

static udpr_id later(udpr_reactor *reactor, udpr_ns delay, udpr_call_fn fn, void *user) {
  udpr_id id = 0;
  OK(udpr_reactor_call_later(reactor, delay, fn, user, NULL, &id));
  CHECK(id != 0);
  return id;
}

static size_t pending(udpr_reactor *reactor) {
  udpr_id id;
  size_t  total = 99;
  OK(udpr_reactor_delayed_calls(reactor, &id, 0, &total));
  return total;
}

/* ---- when ---------------------------------------------------------------------------------------------- */

typedef struct alarm_call {
  udpr_ns due;
  int    *left;
} alarm_call;

static void not_early(udpr_reactor *reactor, void *user) {
  alarm_call *self = user;
  CHECK(udpr_reactor_now(reactor) >= self->due);
  --*self->left;
}

TEST(never_early) {
  enum { CALLS = 200 };
  alarm_call    calls[CALLS];
  int           left = CALLS;
  udpr_reactor *reactor = new_reactor(0);
  for (int i = 0; i < CALLS; i++) {
    udpr_ns delay = (udpr_ns)(i * 7919 % 20000) * 1000 + (udpr_ns)i; /* 0 to 20 ms, no whole milliseconds */
    calls[i] = (alarm_call){.due = udpr_reactor_now(reactor) + delay, .left = &left};
    later(reactor, delay, not_early, &calls[i]);
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

/* A tick that is late: its instant minus now is below 0, which as an unsigned number is 584 years. */
TEST(a_negative_difference_is_no_delay) {
  const udpr_ns refused[] = {0 - (udpr_ns)2, 0 - SECONDS(1), (udpr_ns)1 << 63, ((udpr_ns)1 << 63) + 1};
  udpr_reactor *reactor = new_reactor(0);
  counter       tick = {0}, far = {0}, never = {0}, name = {0};
  udpr_ns       due = 0, before = 0;
  udpr_id       id = later(reactor, (udpr_ns)INT64_MAX, count, &far);
  later(reactor, UDPR_NEVER, count, &never);
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
  CHECK(due == before && pending(reactor) == 2);
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

/* A turn that may wait for ever waits until the next call is due, not longer. */
TEST(a_turn_waits_for_the_next_call) {
  counter       user = {0};
  udpr_reactor *reactor = new_reactor(0);
  udpr_ns       start = monotonic_ns();
  later(reactor, MS(20), count, &user);
  while (user.called == 0) OK(udpr_reactor_iterate(reactor, -1));
  CHECK(monotonic_ns() - start >= MS(20));
  CHECK(monotonic_ns() - start < SECONDS(5));
  OK(udpr_reactor_free(reactor));
}

static void call_zero(udpr_reactor *reactor, void *user) { later(reactor, 0, count, user); }

TEST(zero_delay_in_a_call_runs_next_turn) {
  counter       user = {0};
  udpr_reactor *reactor = new_reactor(0);
  later(reactor, 0, call_zero, &user);
  OK(udpr_reactor_iterate(reactor, 0));
  CHECK_EQ(0, user.called);
  CHECK_EQ(1, pending(reactor));
  OK(udpr_reactor_iterate(reactor, -1)); /* due: no wait */
  CHECK_EQ(1, user.called);
  OK(udpr_reactor_free(reactor));
}

typedef struct log_book {
  char text[32];
} log_book;

static void log_a(udpr_reactor *reactor, void *user) { (void)reactor, strcat(((log_book *)user)->text, "a"); }
static void log_b(udpr_reactor *reactor, void *user) { (void)reactor, strcat(((log_book *)user)->text, "b"); }
static void log_c(udpr_reactor *reactor, void *user) { (void)reactor, strcat(((log_book *)user)->text, "c"); }

TEST(zero_delays_run_in_the_order_made) {
  log_book      book = {""};
  udpr_reactor *reactor = new_reactor(0);
  later(reactor, 0, log_c, &book);
  later(reactor, 0, log_a, &book);
  later(reactor, 0, log_b, &book);
  OK(udpr_reactor_iterate(reactor, 0));
  CHECK_STR("cab", book.text);
  OK(udpr_reactor_free(reactor));
}

/* ---- cancel, reset, delay, call_time ------------------------------------------------------------------- */

static void all_say(udpr_reactor *reactor, udpr_status expected, udpr_id id) {
  udpr_ns due = 42;
  CHECK_STATUS(expected, udpr_reactor_cancel_call(reactor, id));
  CHECK_STATUS(expected, udpr_reactor_reset_call(reactor, id, 0));
  CHECK_STATUS(expected, udpr_reactor_delay_call(reactor, id, 1));
  CHECK_STATUS(expected, udpr_reactor_call_time(reactor, id, &due));
  CHECK_EQ(42, due);
}

TEST(a_call_that_ran) {
  counter       user = {0};
  udpr_reactor *reactor = new_reactor(0);
  udpr_id       id = later(reactor, 0, count, &user);
  OK(udpr_reactor_iterate(reactor, 0));
  CHECK_EQ(1, user.called);
  all_say(reactor, UDPR_E_ALREADY_CALLED, id);
  run_turns(reactor, 2);
  CHECK_EQ(1, user.called);
  OK(udpr_reactor_free(reactor));
}

TEST(a_call_that_was_cancelled) {
  counter       user = {0};
  udpr_reactor *reactor = new_reactor(0);
  udpr_id       id = later(reactor, 0, count, &user);
  OK(udpr_reactor_cancel_call(reactor, id));
  all_say(reactor, UDPR_E_ALREADY_CANCELLED, id);
  run_turns(reactor, 2);
  CHECK_EQ(0, user.called);
  OK(udpr_reactor_free(reactor));
}

TEST(a_call_that_never_was) {
  udpr_reactor *reactor = new_reactor(0);
  udpr_id       id = later(reactor, SECONDS(60), count, NULL);
  all_say(reactor, UDPR_E_NOT_FOUND, 0);
  all_say(reactor, UDPR_E_NOT_FOUND, id + 1);
  all_say(reactor, UDPR_E_NOT_FOUND, UINT64_MAX);
  OK(udpr_reactor_cancel_call(reactor, id));
  OK(udpr_reactor_free(reactor));
}

/* An id of one reactor is not another's call. */
TEST(ids_of_two_reactors) {
  counter       user = {0};
  udpr_reactor *one = new_reactor(0), *two = new_reactor(0);
  udpr_id       id = later(one, 0, count, &user);
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

static void ask_about_itself(udpr_reactor *reactor, void *user) {
  self_call *self = user;
  self->called++;
  all_say(reactor, UDPR_E_ALREADY_CALLED, self->id);
  CHECK_EQ(0, pending(reactor));
}

TEST(in_its_own_callback_a_call_is_called) {
  self_call     self = {0};
  udpr_reactor *reactor = new_reactor(0);
  self.id = later(reactor, 0, ask_about_itself, &self);
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
  later(reactor, 0, cancel_the_other, &other);
  other = later(reactor, 0, count, &user);
  run_turns(reactor, 3);
  CHECK_EQ(0, user.called);
  OK(udpr_reactor_free(reactor));
}

/* The last 4096 that ended are told apart, older ones are forgotten. */
TEST(what_the_last_4096_became) {
  enum { ENDED = 10000, KEPT = 4096 };
  static udpr_id ids[ENDED];
  counter        user = {0};
  udpr_reactor  *reactor = new_reactor(0);
  for (int i = 0; i < ENDED; i++) {
    ids[i] = later(reactor, 0, count, &user);
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

TEST(delayed_calls_lists_what_is_pending) {
  udpr_id       listed[4] = {0}, ids[3];
  size_t        total = 99;
  udpr_reactor *reactor = new_reactor(0);
  CHECK_EQ(0, pending(reactor));
  for (int i = 0; i < 3; i++) ids[i] = later(reactor, SECONDS(60), count, NULL);
  OK(udpr_reactor_delayed_calls(reactor, listed, 4, &total));
  CHECK_EQ(3, total);
  CHECK_EQ(0, listed[3]);
  for (int i = 0; i < 3; i++) CHECK(listed[0] == ids[i] || listed[1] == ids[i] || listed[2] == ids[i]);

  memset(listed, 0, sizeof listed);
  OK(udpr_reactor_delayed_calls(reactor, listed, 2, &total));
  CHECK_EQ(3, total);
  CHECK(listed[0] != 0 && listed[1] != 0 && listed[2] == 0);
  for (int i = 0; i < 3; i++) OK(udpr_reactor_cancel_call(reactor, ids[i]));
  CHECK_EQ(0, pending(reactor));
  OK(udpr_reactor_free(reactor));
}

/* ---- who frees ----------------------------------------------------------------------------------------- */

TEST(user_is_freed_after_the_call) {
  counter       user = {0};
  udpr_reactor *reactor = new_reactor(0);
  OK(udpr_reactor_call_later(reactor, 0, count, &user, count_free,
                             NULL)); /* count checks that it is not freed yet */
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
