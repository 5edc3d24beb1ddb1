/* udpr_transport_call_later and udpr_transport_call_every: delayed calls that end with their port. */
#include "check.h"
#include "fork_and_wait.h"

typedef struct port_call {
  struct fixture *in;
  int             calls, freed;
  uint64_t        beats;
  udpr_id         id;
  void (*act)(udpr_transport *transport, struct port_call *self);
} port_call;

typedef struct fixture {
  udpr_reactor   *reactor;
  udpr_transport *transport;
  port_call       once, every, other;
  int             stopped, freed; /* stop_protocol and free_user of the protocol */
  udpr_status     start_status;
  bool            call_in_start, close_in_start;
} fixture;

static int count_freed(const fixture *f) { return f->once.freed + f->every.freed + f->other.freed; }

static void free_call(void *user) {
  port_call *self = user;
  CHECK(self->freed++ == 0 && self->in->stopped == 0 && self->in->freed == 0);
}

static void made(udpr_transport *transport, port_call *self, uint64_t beats) {
  CHECK(self->freed == 0 && self->in->stopped == 0);
  CHECK(udpr_transport_reactor(transport) == self->in->reactor);
  self->calls++, self->beats += beats;
  if (self->act) self->act(transport, self);
  CHECK_EQ(0, self->freed); /* not before it returns */
}
static void on_call(udpr_transport *transport, void *user) { made(transport, user, 1); }
static void on_beat(udpr_transport *transport, udpr_id id, uint64_t beats, void *user) {
  CHECK_EQ(((port_call *)user)->id, id);
  made(transport, user, beats);
}

static void call_later(fixture *f, udpr_transport *transport, udpr_ns delay, port_call *one) {
  one->in = f;
  OK(udpr_transport_call_later(transport, delay, on_call, one, free_call, &one->id));
}
static void call_every(fixture *f, udpr_transport *transport, udpr_ns interval, port_call *one) {
  one->in = f;
  OK(udpr_transport_call_every(transport, interval, on_beat, one, free_call, &one->id));
}

static void check_closed(udpr_transport *transport) {
  atomic_int freed = 0;
  udpr_id    id = 7;
  CHECK_STATUS(UDPR_E_CLOSED, udpr_transport_call_later(transport, 0, on_call, &freed, count_free, &id));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_transport_call_every(transport, 1, on_beat, &freed, count_free, &id));
  CHECK(freed == 2 && id == 7);
}

static udpr_status on_start(udpr_transport *transport, void *user) {
  fixture *f = user;
  if (f->call_in_start) {
    call_later(f, transport, 10, &f->once);
    call_every(f, transport, 10, &f->every);
  }
  if (f->close_in_start) OK(udpr_transport_close(transport));
  return f->start_status;
}
static void on_stop(udpr_transport *transport, udpr_status reason, void *user) {
  fixture *f = user;
  (void)reason;
  f->stopped++;
  check_closed(transport);
}
static void on_free(void *user) {
  fixture *f = user;
  CHECK(f->freed++ == 0);
}

static udpr_status listen_udp(fixture *f) {
  udpr_protocol protocol = {.size = sizeof protocol,
                            .user = f,
                            .free_user = on_free,
                            .start_protocol = on_start,
                            .stop_protocol = on_stop};
  return udpr_reactor_listen_udp(f->reactor, 0, "127.0.0.1", &protocol, NULL, &f->transport);
}

/* A port with a pending call and a periodic one, both due in 10 ns of a manual clock. */
static void set_up(fixture *f) {
  *f = (fixture){.reactor = new_reactor(UDPR_REACTOR_MANUAL_CLOCK), .call_in_start = true};
  OK(listen_udp(f));
  CHECK_EQ(0, count_freed(f));
}

static size_t count_pending(fixture *f) {
  size_t             count = 99;
  udpr_reactor_stats stats = {.size = sizeof stats};
  OK(udpr_reactor_delayed_calls(f->reactor, NULL, 0, &count));
  OK(udpr_reactor_get_stats(f->reactor, &stats));
  CHECK_EQ(count, stats.timers_pending);
  return count;
}

static void check_cancelled(fixture *f, udpr_id id) {
  udpr_ns due;
  CHECK_STATUS(UDPR_E_ALREADY_CANCELLED, udpr_reactor_cancel_call(f->reactor, id));
  CHECK_STATUS(UDPR_E_ALREADY_CANCELLED, udpr_reactor_call_time(f->reactor, id, &due));
  CHECK_STATUS(UDPR_E_ALREADY_CANCELLED, udpr_reactor_reset_call(f->reactor, id, 0));
  CHECK_STATUS(UDPR_E_ALREADY_CANCELLED, udpr_reactor_reset_call_at(f->reactor, id, 0));
  CHECK_STATUS(UDPR_E_ALREADY_CANCELLED, udpr_reactor_delay_call(f->reactor, id, 0));
}

/* The port has ended, and its calls before it. */
static void check_ended(fixture *f) {
  CHECK(f->stopped == 1 && f->freed == 1);
  CHECK(f->once.freed == 1 && f->every.freed == 1);
  CHECK_EQ(0, count_pending(f));
  check_closed(f->transport);
}

static void tear_down(fixture *f) {
  udpr_transport_release(f->transport);
  OK(udpr_reactor_free(f->reactor));
  CHECK_EQ(1, f->freed);
}

/* ---- they are called as the reactor's calls are ---------------------------------------------------------- */

TEST(they_are_called_with_their_transport) {
  fixture f;
  set_up(&f);
  CHECK_EQ(2, count_pending(&f));
  OK(udpr_reactor_advance(f.reactor, 9));
  CHECK(f.once.calls == 0 && f.every.calls == 0);
  OK(udpr_reactor_advance(f.reactor, 31));
  CHECK(f.once.calls == 1 && f.once.freed == 1 && f.every.calls == 4 && f.every.beats == 4);
  CHECK_STATUS(UDPR_E_ALREADY_CALLED, udpr_reactor_cancel_call(f.reactor, f.once.id));
  CHECK_EQ(1, count_pending(&f));
  OK(udpr_transport_close(f.transport));
  check_ended(&f);
  check_cancelled(&f, f.every.id);
  CHECK_STATUS(UDPR_E_ALREADY_CALLED, udpr_reactor_cancel_call(f.reactor, f.once.id));
  tear_down(&f);
}

TEST(they_are_called_on_the_real_clock) {
  fixture f = {.reactor = new_reactor(0)};
  OK(listen_udp(&f));
  call_later(&f, f.transport, MS(2), &f.once);
  call_every(&f, f.transport, MS(1), &f.every);
  RUN_UNTIL(f.reactor, f.once.calls == 1 && f.every.beats >= 3);
  OK(udpr_transport_close(f.transport));
  check_ended(&f);
  tear_down(&f);
}

TEST(the_reactors_functions_take_their_ids) {
  fixture f;
  udpr_ns due = 0;
  set_up(&f);
  OK(udpr_reactor_call_time(f.reactor, f.once.id, &due));
  CHECK_EQ(10, due);
  OK(udpr_reactor_reset_call(f.reactor, f.once.id, 50));
  OK(udpr_reactor_delay_call(f.reactor, f.once.id, 10));
  OK(udpr_reactor_reset_call_at(f.reactor, f.every.id, 40));
  OK(udpr_reactor_advance(f.reactor, 59));
  CHECK(f.once.calls == 0 && f.every.calls == 2);
  OK(udpr_reactor_cancel_call(f.reactor, f.every.id));
  CHECK(f.every.freed == 1 && count_pending(&f) == 1);
  OK(udpr_reactor_advance(f.reactor, 1));
  CHECK_EQ(1, f.once.calls);
  OK(udpr_transport_close(f.transport));
  check_ended(&f);
  tear_down(&f);
}

TEST(arguments_that_are_refused) {
  fixture       f;
  atomic_int    freed = 0;
  const udpr_ns refused[] = {(udpr_ns)INT64_MAX + 1, UDPR_NEVER - 1};
  set_up(&f);
  for (int i = 0; i < 2; i++) {
    CHECK_STATUS(UDPR_E_INVALID_ARGUMENT,
                 udpr_transport_call_later(f.transport, refused[i], on_call, &freed, count_free, NULL));
    CHECK_STATUS(UDPR_E_INVALID_ARGUMENT,
                 udpr_transport_call_every(f.transport, refused[i], on_beat, &freed, count_free, NULL));
  }
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT,
               udpr_transport_call_every(f.transport, UDPR_NEVER, on_beat, &freed, count_free, NULL));
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT,
               udpr_transport_call_every(f.transport, 0, on_beat, &freed, count_free, NULL));
  CHECK_EQ(6, freed);
  call_later(&f, f.transport, UDPR_NEVER, &f.other);
  CHECK_EQ(3, count_pending(&f));
  OK(udpr_transport_close(f.transport));
  check_ended(&f);
  CHECK_EQ(1, f.other.freed);
  tear_down(&f);
}

static void reset_itself(udpr_transport *transport, port_call *self) {
  if (self->calls < 3) OK(udpr_reactor_reset_call(udpr_transport_reactor(transport), self->id, 10));
}

TEST(a_call_may_be_pending_again) {
  fixture f;
  set_up(&f);
  f.once.act = reset_itself;
  OK(udpr_reactor_advance(f.reactor, 10));
  CHECK(f.once.calls == 1 && f.once.freed == 0 && count_pending(&f) == 2);
  OK(udpr_reactor_advance(f.reactor, 100));
  CHECK(f.once.calls == 3 && f.once.freed == 1);
  OK(udpr_transport_close(f.transport));
  check_ended(&f);
  tear_down(&f);
}

static void cancel_itself(udpr_transport *transport, port_call *self) {
  OK(udpr_reactor_cancel_call(udpr_transport_reactor(transport), self->id));
  check_cancelled(self->in, self->id);
}

TEST(a_periodic_call_may_cancel_itself) {
  fixture f;
  set_up(&f);
  f.every.act = cancel_itself;
  OK(udpr_reactor_advance(f.reactor, 100));
  CHECK(f.every.calls == 1 && f.every.freed == 1);
  OK(udpr_transport_close(f.transport));
  check_ended(&f);
  tear_down(&f);
}

/* ---- they end with the port ------------------------------------------------------------------------------ */

TEST(close_ends_them_before_stop_protocol) {
  fixture f;
  set_up(&f);
  OK(udpr_transport_close(f.transport)); /* free_call checks the order */
  check_ended(&f);
  check_cancelled(&f, f.once.id), check_cancelled(&f, f.every.id);
  OK(udpr_reactor_advance(f.reactor, 100));
  CHECK(f.once.calls == 0 && f.every.calls == 0);
  tear_down(&f);
}

TEST(they_are_not_called_after_stop_listening) {
  fixture f;
  set_up(&f);
  OK(udpr_transport_stop_listening(f.transport));
  check_closed(f.transport);
  CHECK_EQ(2, count_pending(&f)); /* they end right before stop_protocol */
  OK(udpr_reactor_advance(f.reactor, 100));
  OK(udpr_reactor_reset_call(f.reactor, f.once.id, 0));
  OK(udpr_reactor_reset_call(f.reactor, f.every.id, 0));
  OK(udpr_reactor_advance(f.reactor, 100));
  CHECK(count_freed(&f) == 0 && f.stopped == 0);
  RUN_UNTIL(f.reactor, f.stopped);
  check_ended(&f);
  CHECK(f.once.calls == 0 && f.every.calls == 0);
  check_cancelled(&f, f.once.id), check_cancelled(&f, f.every.id);
  tear_down(&f);
}

TEST(free_ends_them) {
  fixture f;
  set_up(&f);
  OK(udpr_reactor_free(f.reactor));
  CHECK(f.stopped == 1 && f.freed == 1 && f.once.freed == 1 && f.every.freed == 1);
  check_closed(f.transport);
  udpr_transport_release(f.transport);
}

TEST(a_shutdown_ends_them_and_a_crash_does_not) {
  fixture f;
  set_up(&f);
  OK(udpr_reactor_start(f.reactor));
  OK(udpr_reactor_crash(f.reactor));
  OK(udpr_reactor_iterate(f.reactor, 0));
  OK(udpr_reactor_advance(f.reactor, 10));
  CHECK(f.once.calls == 1 && f.every.calls == 1);
  OK(udpr_reactor_start(f.reactor));
  OK(udpr_reactor_stop(f.reactor));
  RUN_UNTIL(f.reactor, f.stopped);
  check_ended(&f);
  tear_down(&f);
}

TEST(a_port_that_ends_by_itself_ends_them) {
  fixture f;
  set_up(&f);
  OK(udpr_reactor_start(f.reactor));
  CHECK_EQ(0, shutdown(udpr_transport_fileno(f.transport), SHUT_RDWR) && errno != ENOTCONN);
  RUN_UNTIL(f.reactor, f.stopped);
  check_ended(&f);
  tear_down(&f);
}

TEST(a_listen_that_fails_ends_them) {
  fixture f = {.reactor = new_reactor(UDPR_REACTOR_MANUAL_CLOCK),
               .call_in_start = true,
               .start_status = UDPR_E_ACCESS};
  CHECK_STATUS(UDPR_E_ACCESS, listen_udp(&f));
  CHECK(f.stopped == 0 && f.freed == 1 && f.once.freed == 1 && f.every.freed == 1);
  CHECK_EQ(0, count_pending(&f));
  check_cancelled(&f, f.once.id);
  OK(udpr_reactor_advance(f.reactor, 100));
  OK(udpr_reactor_free(f.reactor));
}

TEST(start_protocol_may_close_its_port) {
  fixture f = {.reactor = new_reactor(UDPR_REACTOR_MANUAL_CLOCK),
               .call_in_start = true,
               .close_in_start = true};
  OK(listen_udp(&f));
  check_ended(&f);
  tear_down(&f);
}

/* ---- a call that ends its own port ----------------------------------------------------------------------- */

static void close_and_check(udpr_transport *transport, port_call *self) {
  fixture *f = self->in;
  OK(udpr_transport_close(transport));
  CHECK(f->stopped == 1 && f->freed == 0); /* the protocol is freed after the call */
  check_cancelled(f, self->id);
  CHECK_EQ(0, count_pending(f));
  f->stopped = 0; /* its own free_user comes after stop_protocol */
}

static void reset_and_close(udpr_transport *transport, port_call *self) {
  OK(udpr_reactor_reset_call(self->in->reactor, self->id, 0));
  close_and_check(transport, self);
}

static void check_closing(bool periodic, void (*act)(udpr_transport *, port_call *)) {
  fixture f;
  for (int by_turn = 0; by_turn < 2; by_turn++) {
    set_up(&f);
    port_call *one = periodic ? &f.every : &f.once, *two = periodic ? &f.once : &f.every;
    one->act = act;
    OK(udpr_reactor_reset_call(f.reactor, one->id, by_turn ? 0 : 5));
    if (by_turn) OK(udpr_reactor_iterate(f.reactor, 0));
    else OK(udpr_reactor_advance(f.reactor, 100));
    CHECK(one->calls == 1 && two->calls == 0 && one->freed == 1 && two->freed == 1 && f.freed == 1);
    check_cancelled(&f, one->id), check_cancelled(&f, two->id);
    tear_down(&f);
  }
}

TEST(a_call_may_close_its_port) { check_closing(false, close_and_check); }
TEST(a_periodic_call_may_close_its_port) { check_closing(true, close_and_check); }
TEST(a_call_that_is_pending_again_may_close_its_port) { check_closing(false, reset_and_close); }

static void stop_listening_and_reset(udpr_transport *transport, port_call *self) {
  OK(udpr_transport_stop_listening(transport));
  OK(udpr_reactor_reset_call(self->in->reactor, self->id, 0));
}

TEST(a_call_may_stop_its_port) {
  fixture f;
  set_up(&f);
  f.once.act = stop_listening_and_reset;
  OK(udpr_reactor_advance(f.reactor, 100));
  CHECK(f.once.calls == 1 && f.every.calls == 0 && count_freed(&f) == 0);
  RUN_UNTIL(f.reactor, f.stopped);
  check_ended(&f);
  CHECK_EQ(1, f.once.calls);
  tear_down(&f);
}

static void stop_reactor(udpr_transport *transport, port_call *self) {
  (void)transport;
  OK(udpr_reactor_fire_event(self->in->reactor, UDPR_EVENT_SHUTDOWN));
  CHECK(self->in->stopped == 1 && self->in->freed == 0);
  self->in->stopped = 0;
}

TEST(a_call_may_shut_its_reactor_down) {
  fixture f;
  set_up(&f);
  f.once.act = stop_reactor;
  OK(udpr_reactor_reset_call(f.reactor, f.once.id, 0));
  OK(udpr_reactor_iterate(f.reactor, 0));
  CHECK(f.once.calls == 1 && f.once.freed == 1 && f.every.freed == 1 && f.freed == 1);
  tear_down(&f);
}

/* A free_user that ends another call of its port, and the port. */
static void free_and_close(void *user) {
  port_call *self = user;
  self->freed++;
  udpr_reactor_cancel_call(self->in->reactor, self->in->once.id);
  OK(udpr_transport_close(self->in->transport));
  check_closed(self->in->transport);
}

TEST(free_user_may_end_the_other_calls) {
  fixture f;
  set_up(&f);
  f.other.in = &f;
  OK(udpr_transport_call_later(f.transport, 5, on_call, &f.other, free_and_close, &f.other.id));
  OK(udpr_reactor_cancel_call(f.reactor, f.other.id));
  check_ended(&f);
  CHECK_EQ(1, f.other.freed);
  tear_down(&f);
  set_up(&f);
  f.other.in = &f;
  OK(udpr_transport_call_later(f.transport, 5, on_call, &f.other, free_and_close, &f.other.id));
  OK(udpr_transport_close(f.transport));
  check_ended(&f);
  CHECK_EQ(1, f.other.freed);
  tear_down(&f);
}

/* ---- many of them ----------------------------------------------------------------------------------------- */

static void count_call(udpr_transport *transport, void *user) {
  (void)transport;
  ++*(int *)user;
}
static void count_free_int(void *user) { ++*(int *)user; }

TEST(many_calls_of_many_ports) {
  enum { PORTS = 20, CALLS = 2000 };
  udpr_reactor   *reactor = new_reactor(UDPR_REACTOR_MANUAL_CLOCK);
  udpr_transport *transports[PORTS];
  udpr_protocol   protocol = {.size = sizeof protocol};
  static int      counts[PORTS], called[PORTS];
  size_t          pending = 0;
  for (int i = 0; i < PORTS; i++) {
    counts[i] = called[i] = 0;
    transports[i] = listen_on(reactor, "127.0.0.1", &protocol, NULL);
  }
  for (int i = 0; i < PORTS * CALLS; i++) {
    int port = i % PORTS;
    OK(udpr_transport_call_later(transports[port], (udpr_ns)(i % 100), count_call, &called[port], NULL,
                                 NULL));
    OK(udpr_transport_call_later(transports[port], 1000, count_call, &counts[port], count_free_int, NULL));
  }
  OK(udpr_reactor_advance(reactor, 100));
  for (int i = 0; i < PORTS; i++) {
    CHECK(called[i] == CALLS && counts[i] == 0);
    OK(udpr_transport_close(transports[i]));
    CHECK_EQ(CALLS, counts[i]); /* freed, not called */
    udpr_transport_release(transports[i]);
    OK(udpr_reactor_delayed_calls(reactor, NULL, 0, &pending));
    CHECK_EQ((PORTS - 1 - i) * CALLS, pending);
  }
  OK(udpr_reactor_free(reactor));
}

/* ---- fork -------------------------------------------------------------------------------------------------- */

static void go_on(void *user) {
  fixture *f = user;
  OK(udpr_reactor_after_fork(f->reactor));
  OK(udpr_reactor_advance(f->reactor, 10));
  CHECK(f->once.calls == 1 && f->every.calls == 1);
  OK(udpr_transport_close(f->transport));
  check_ended(f);
  tear_down(f);
}

TEST(after_fork_keeps_them) {
  fixture f;
  set_up(&f);
  run_in_child(go_on, &f);
  OK(udpr_reactor_advance(f.reactor, 10));
  CHECK(f.once.calls == 1 && f.every.calls == 1);
  OK(udpr_transport_close(f.transport));
  check_ended(&f);
  tear_down(&f);
}

static pid_t child;
static void  fork_and_close(udpr_transport *transport, port_call *self) {
   if (self->calls == 1) child = check_fork();
  if (child) OK(udpr_transport_close(transport));
  else CHECK_STATUS(UDPR_E_CLOSED, udpr_transport_close(transport));
  self->in->stopped = 0;
}

TEST(a_call_that_forks_ends_in_the_parent) {
  fixture f;
  set_up(&f);
  f.once.act = fork_and_close;
  udpr_status status = udpr_reactor_advance(f.reactor, 10);
  if (!child) {
    CHECK_STATUS(UDPR_E_CLOSED, status);
    CHECK(count_freed(&f) == 0 && f.freed == 0);
    OK(udpr_reactor_free(f.reactor));
    CHECK(count_freed(&f) == 0 && f.freed == 0);
    kill(getpid(), SIGKILL); /* as run_in_killed_child does, and for the same reason */
  }
  OK(status);
  CHECK(f.once.freed == 1 && f.every.freed == 1 && f.freed == 1);
  int result = check_wait(child);
  CHECK(WIFSIGNALED(result) && WTERMSIG(result) == SIGKILL);
  tear_down(&f);
}

CHECK_MAIN()
