/* UDPR_REACTOR_MANUAL_CLOCK: only udpr_reactor_advance moves the clock, so that programs can test timing
 * without waiting.
 */
#include "check.h"

static udpr_reactor *new_manual_reactor(void) { return new_reactor(UDPR_REACTOR_MANUAL_CLOCK); }

static udpr_id call_later(udpr_reactor *reactor, udpr_ns delay, udpr_call_fn fn, void *user) {
  udpr_id id = 0;
  OK(udpr_reactor_call_later(reactor, delay, fn, user, NULL, &id));
  return id;
}

static void count(udpr_reactor *reactor, void *user) {
  (void)reactor;
  ++*(int *)user;
}

static udpr_ns due_of(udpr_reactor *reactor, udpr_id id) {
  udpr_ns due = 0;
  OK(udpr_reactor_call_time(reactor, id, &due));
  return due;
}

TEST(time_stands_still) {
  int           called = 0;
  udpr_reactor *reactor = new_manual_reactor();
  udpr_ns       now = udpr_reactor_now(reactor);
  call_later(reactor, 1, count, &called);
  OK(udpr_reactor_iterate(reactor, (int64_t)MS(5)));
  run_turns(reactor, 10);
  CHECK_EQ(now, udpr_reactor_now(reactor));
  CHECK_EQ(0, called);
  OK(udpr_reactor_advance(reactor, 1));
  CHECK_EQ(now + 1, udpr_reactor_now(reactor));
  CHECK_EQ(1, called);
  OK(udpr_reactor_free(reactor));
}

TEST(advance_makes_only_due_calls) {
  int           called = 0;
  udpr_reactor *reactor = new_manual_reactor();
  for (udpr_ns delay = 1; delay <= 10; delay++) call_later(reactor, SECONDS(delay), count, &called);
  OK(udpr_reactor_advance(reactor, SECONDS(3) - 1));
  CHECK_EQ(2, called);
  OK(udpr_reactor_advance(reactor, 1));
  CHECK_EQ(3, called);
  OK(udpr_reactor_advance(reactor, SECONDS(100)));
  CHECK_EQ(10, called);
  OK(udpr_reactor_free(reactor));
}

TEST(a_turn_makes_calls_that_are_due_now) {
  int           called = 0;
  udpr_reactor *reactor = new_manual_reactor();
  call_later(reactor, 0, count, &called);
  OK(udpr_reactor_iterate(reactor, -1));
  CHECK_EQ(1, called);
  OK(udpr_reactor_free(reactor));
}

typedef struct entry {
  int *next, number;
} entry;

static void check_turn(udpr_reactor *reactor, void *user) {
  entry *self = user;
  (void)reactor;
  CHECK_EQ(self->number, (*self->next)++);
}

TEST(calls_due_at_the_same_time_are_made_in_order) {
  enum { CALLS = 1000 };
  entry         entries[CALLS];
  int           next = 0;
  udpr_reactor *reactor = new_manual_reactor();
  for (int i = 0; i < CALLS; i++) {
    entries[i] = (entry){&next, i};
    call_later(reactor, MS(5), check_turn, &entries[i]);
  }
  OK(udpr_reactor_advance(reactor, MS(5)));
  CHECK_EQ(CALLS, next);
  OK(udpr_reactor_free(reactor));
}

TEST(calls_are_made_in_the_order_of_their_due_times) {
  int           next = 0;
  entry         first = {&next, 0}, second = {&next, 1}, third = {&next, 2};
  udpr_reactor *reactor = new_manual_reactor();
  call_later(reactor, MS(3), check_turn, &third);
  call_later(reactor, MS(1), check_turn, &first);
  call_later(reactor, MS(2), check_turn, &second);
  OK(udpr_reactor_advance(reactor, MS(3)));
  CHECK_EQ(3, next);
  OK(udpr_reactor_free(reactor));
}

TEST(the_same_due_time_computed_in_two_ways) {
  entry         first, second;
  int           next = 0;
  udpr_reactor *reactor = new_manual_reactor();
  first = (entry){&next, 0}, second = (entry){&next, 1};
  call_later(reactor, MS(10), check_turn, &first);
  OK(udpr_reactor_advance(reactor, MS(4)));
  call_later(reactor, MS(6), check_turn, &second);
  OK(udpr_reactor_advance(reactor, MS(6)));
  CHECK_EQ(2, next);
  OK(udpr_reactor_free(reactor));
}

typedef struct ticker {
  int     ticks;
  udpr_ns period, start;
} ticker;

static void tick(udpr_reactor *reactor, void *user) {
  ticker *self = user;
  self->ticks++;
  CHECK_EQ(self->start + (udpr_ns)self->ticks * self->period,
           udpr_reactor_now(reactor)); /* `now` is the due time of the call */
  call_later(reactor, self->period, tick, user);
}

TEST(advance_makes_calls_added_while_it_runs) {
  udpr_reactor *reactor = new_manual_reactor();
  ticker        clock = {.period = SECONDS(1), .start = udpr_reactor_now(reactor)};
  call_later(reactor, clock.period, tick, &clock);
  OK(udpr_reactor_advance(reactor, SECONDS(10)));
  CHECK_EQ(10, clock.ticks);
  CHECK_EQ(clock.start + SECONDS(10), udpr_reactor_now(reactor));
  OK(udpr_reactor_free(reactor));
}

TEST(reset_counts_from_now) {
  int           called = 0;
  udpr_reactor *reactor = new_manual_reactor();
  udpr_id       id = call_later(reactor, MS(10), count, &called);
  OK(udpr_reactor_advance(reactor, MS(9)));
  OK(udpr_reactor_reset_call(reactor, id, MS(10)));
  CHECK_EQ(udpr_reactor_now(reactor) + MS(10), due_of(reactor, id));
  OK(udpr_reactor_advance(reactor, MS(9)));
  CHECK_EQ(0, called);
  OK(udpr_reactor_reset_call(reactor, id, 0)); /* it may also become due earlier */
  OK(udpr_reactor_iterate(reactor, 0));
  CHECK_EQ(1, called);
  OK(udpr_reactor_free(reactor));
}

TEST(delay_counts_from_the_due_time) {
  int           called = 0;
  udpr_reactor *reactor = new_manual_reactor();
  udpr_id       id = call_later(reactor, MS(10), count, &called);
  udpr_ns       due = due_of(reactor, id);
  CHECK_EQ(udpr_reactor_now(reactor) + MS(10), due);
  OK(udpr_reactor_advance(reactor, MS(5)));
  OK(udpr_reactor_delay_call(reactor, id, (int64_t)MS(10)));
  CHECK_EQ(due + MS(10), due_of(reactor, id));
  OK(udpr_reactor_delay_call(reactor, id, -(int64_t)MS(8)));
  CHECK_EQ(due + MS(2), due_of(reactor, id));
  OK(udpr_reactor_advance(reactor, MS(7) - 1));
  CHECK_EQ(0, called);
  OK(udpr_reactor_advance(reactor, 1));
  CHECK_EQ(1, called);
  OK(udpr_reactor_free(reactor));
}

TEST(delay_into_the_past_is_due_now) {
  int           called = 0;
  udpr_reactor *reactor = new_manual_reactor();
  udpr_id       id = call_later(reactor, MS(10), count, &called);
  OK(udpr_reactor_delay_call(reactor, id, INT64_MIN));
  OK(udpr_reactor_iterate(reactor, -1));
  CHECK_EQ(1, called);
  OK(udpr_reactor_free(reactor));
}

TEST(calls_beyond_the_end_of_the_clock_are_never_made) {
  int           called = 0;
  udpr_reactor *reactor = new_manual_reactor();
  udpr_id       never = call_later(reactor, UINT64_MAX, count, &called),
          far = call_later(reactor, MS(1), count, &called);
  for (int i = 0; i < 3; i++) OK(udpr_reactor_delay_call(reactor, far, INT64_MAX));
  OK(udpr_reactor_advance(reactor, (udpr_ns)INT64_MAX));
  CHECK_EQ(0, called);
  OK(udpr_reactor_reset_call(reactor, never, 0)); /* it still exists */
  OK(udpr_reactor_iterate(reactor, 0));
  CHECK_EQ(1, called);
  OK(udpr_reactor_cancel_call(reactor, far));
  OK(udpr_reactor_free(reactor));
}

TEST(advance_refuses_negative_differences) {
  int           called = 0, never_called = 0;
  udpr_reactor *reactor = new_manual_reactor();
  call_later(reactor, (udpr_ns)INT64_MAX, count, &called);
  call_later(reactor, UDPR_NEVER, count, &never_called);
  OK(udpr_reactor_advance(reactor, MS(1)));
  const udpr_ns spans[] = {(udpr_ns)INT64_MAX + 1, 0 - MS(1), UDPR_NEVER - 1, UDPR_NEVER};
  for (int i = 0; i < 4; i++) {
    CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_reactor_advance(reactor, spans[i]));
    CHECK(called == 0 && udpr_reactor_now(reactor) == MS(1));
  }
  /* to the end of the clock */
  for (int i = 1; i < 4; i++) OK(udpr_reactor_advance(reactor, (udpr_ns)INT64_MAX));
  CHECK(called == 1 && never_called == 0);
  CHECK_EQ(UINT64_MAX, udpr_reactor_now(reactor));
  OK(udpr_reactor_free(reactor));
}

static void call_and_check_timeout(udpr_reactor *reactor, void *user) {
  int64_t timeout = -2;
  call_later(reactor, 0, count, user);
  OK(udpr_reactor_next_timeout(reactor, &timeout));
  CHECK_EQ(0, timeout);
}

/* next_timeout is called before the turn has seen the call. It is still the next call afterwards, on either
 * clock.
 */
TEST(next_timeout_inside_a_call_after_a_call_was_added) {
  for (int manual_clock = 0; manual_clock < 2; manual_clock++) {
    int           called = 0;
    int64_t       timeout = -2;
    udpr_reactor *reactor = new_reactor(manual_clock ? UDPR_REACTOR_MANUAL_CLOCK : 0);
    call_later(reactor, 0, call_and_check_timeout, &called);
    run_turns(reactor, 1);
    CHECK_EQ(0, called); /* it is made in the next turn */
    OK(udpr_reactor_next_timeout(reactor, &timeout));
    CHECK_EQ(0, timeout);
    OK(udpr_reactor_iterate(reactor, -1)); /* must not wait */
    CHECK_EQ(1, called);
    OK(udpr_reactor_next_timeout(reactor, &timeout));
    CHECK_EQ(-1, timeout);
    OK(udpr_reactor_free(reactor));
  }
}

static void move_and_check_timeout(udpr_reactor *reactor, void *user) {
  int64_t timeout = -2;
  OK(udpr_reactor_reset_call(reactor, *(udpr_id *)user, 0));
  OK(udpr_reactor_next_timeout(reactor, &timeout));
  CHECK_EQ(0, timeout);
}

/* The same with an existing call: it is made in the same turn or in the next one. */
TEST(next_timeout_inside_a_call_after_a_call_was_moved) {
  int           called = 0;
  udpr_reactor *reactor = new_manual_reactor();
  udpr_id       id = 0;
  call_later(reactor, 0, move_and_check_timeout, &id);
  id = call_later(reactor, MS(5), count, &called);
  OK(udpr_reactor_iterate(reactor, -1));
  if (!called) OK(udpr_reactor_iterate(reactor, -1));
  CHECK_EQ(1, called);
  OK(udpr_reactor_free(reactor));
}

TEST(huge_delays_on_the_real_clock) {
  int           called = 0;
  udpr_reactor *reactor = new_reactor(0);
  call_later(reactor, UINT64_MAX, count, &called);
  call_later(reactor, (udpr_ns)INT64_MAX, count, &called);
  call_later(reactor, SECONDS(86400) * 365, count, &called);
  run_turns(reactor, 3);
  OK(udpr_reactor_iterate(reactor, (int64_t)MS(1)));
  CHECK_EQ(0, called);
  call_later(reactor, MS(1), stop_call, NULL);
  OK(udpr_reactor_run(reactor));
  CHECK_EQ(0, called);
  OK(udpr_reactor_free(reactor));
}

typedef struct deadline {
  udpr_ns *last, due;
} deadline;

static size_t many_called;

static void check_deadline_order(udpr_reactor *reactor, void *user) {
  deadline *self = user;
  (void)reactor;
  CHECK(self->due >= *self->last);
  *self->last = self->due;
  many_called++;
}

TEST(many_pending_calls) {
  const size_t  calls = check_rounds(100000, 1000000);
  deadline     *deadlines = calloc(calls, sizeof *deadlines);
  udpr_ns       last = 0;
  uint64_t      seed = 88172645463325252;
  udpr_reactor *reactor = new_manual_reactor();
  udpr_ns       start = udpr_reactor_now(reactor);
  CHECK(deadlines != NULL);
  for (size_t i = 0; i < calls; i++) {
    /* xorshift64; delays from a millisecond to an hour */
    seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
    udpr_ns delay = seed % (i % 2 ? SECONDS(3600) : MS(1));
    deadlines[i] = (deadline){&last, start + delay};
    OK(udpr_reactor_call_later(reactor, delay, check_deadline_order, &deadlines[i], NULL, NULL));
  }
  udpr_reactor_stats stats = {.size = sizeof stats};
  OK(udpr_reactor_get_stats(reactor, &stats));
  CHECK_EQ(calls, stats.timers_pending);
  OK(udpr_reactor_advance(reactor, SECONDS(1800)));
  CHECK(many_called > calls / 2 && many_called < calls);
  OK(udpr_reactor_advance(reactor, SECONDS(1800)));
  CHECK_EQ(calls, many_called);
  OK(udpr_reactor_free(reactor));
  free(deadlines);
}

static void check_reentrant(udpr_reactor *reactor, void *user) {
  CHECK_STATUS(UDPR_E_REENTRANT, udpr_reactor_advance(reactor, 1));
  ++*(int *)user;
}

TEST(advance_inside_a_callback) {
  int           called = 0;
  udpr_reactor *reactor = new_manual_reactor();
  call_later(reactor, 1, check_reentrant, &called);
  OK(udpr_reactor_advance(reactor, 1));
  CHECK_EQ(1, called);
  call_later(reactor, 0, check_reentrant, &called);
  OK(udpr_reactor_iterate(reactor, 0));
  CHECK_EQ(2, called);
  OK(udpr_reactor_free(reactor));
}

TEST(advance_needs_the_manual_clock) {
  udpr_reactor *reactor = new_reactor(0);
  CHECK(udpr_reactor_advance(reactor, 1) < 0);
  OK(udpr_reactor_free(reactor));
}

/* Sockets are real, although the clock is not. */
static void received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  (void)transport, (void)datagram;
  ++*(int *)user;
}

TEST(sockets_work_under_a_manual_clock) {
  int             got = 0, peer = peer_open(AF_INET);
  udpr_reactor   *reactor = new_manual_reactor();
  udpr_protocol   protocol = {.size = sizeof protocol, .user = &got, .datagram_received = received};
  udpr_transport *transport = listen_on(reactor, "127.0.0.1", &protocol, NULL);
  udpr_addr       host = host_of(transport);
  peer_send(peer, &host, "x", 1);
  RUN_UNTIL(reactor, got == 1);
  OK(udpr_transport_close(transport));
  udpr_transport_release(transport);
  OK(udpr_reactor_free(reactor));
  close(peer);
}

CHECK_MAIN()
