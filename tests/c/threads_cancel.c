/* pthread_cancel(3) with deferred cancellation, the default: a thread inside the library, or inside a
 * callback, does not end there, but at the first cancellation point after the outermost call has returned.
 */
#include "every_call.h"
#include "pool.h"
#include "probe.h"

typedef struct cancelled_thread {
  void (*body)(void *);
  void       *arg;
  atomic_bool returned;
} cancelled_thread;

static void *cancelled_thread_main(void *arg) {
  cancelled_thread *self = arg;
  int               state;
  CHECK_EQ(0, pthread_cancel(pthread_self()));
  self->body(self->arg);
  atomic_store(&self->returned, true);
  CHECK_EQ(0, pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state));
  CHECK_EQ(PTHREAD_CANCEL_ENABLE, state); /* restored to what it was */
  pthread_testcancel();
  FAIL("%s", "it was not cancelled");
}

/* Runs `body` in a thread with a pending cancellation, which acts at the next cancellation point. */
static void run_with_cancellation_pending(void (*body)(void *), void *arg) {
  cancelled_thread self = {.body = body, .arg = arg};
  pthread_t        thread;
  void            *result;
  CHECK_EQ(0, pthread_create(&thread, NULL, cancelled_thread_main, &self));
  CHECK_EQ(0, pthread_join(thread, &result));
  CHECK(result == PTHREAD_CANCELED && self.returned);
}

/* Called in callbacks: the thread would end here if cancellation were enabled. */
static void cancellation_point(void) {
  struct timespec a_moment = {.tv_nsec = 1};
  pthread_testcancel();
  nanosleep(&a_moment, NULL);
}

static void free_at_cancellation_point(void *user) {
  cancellation_point();
  count_free(user);
}

/* ---- every function -------------------------------------------------------------------------------------- */

typedef struct call_fixture {
  const every_call *call;
  handles           with;
  probe             port;
} call_fixture;

static void make_call(void *arg) {
  call_fixture *self = arg;
  self->call->call(&self->with);
}

static void crash_run(udpr_reactor *reactor, void *user) {
  (void)user;
  udpr_reactor_crash(reactor); /* iterate returns UDPR_E_NOT_RUNNING */
}

/* On a new reactor with a port. */
static void check_call(const every_call *call) {
  call_fixture self = {.call = call, .with.reactor = new_reactor(0)};
  check_context = call->name;
  probe_listen(&self.port, self.with.reactor);
  self.with.transport = self.port.transport, self.with.to = self.port.host;
  OK(udpr_reactor_remote(self.with.reactor, &self.with.remote));
  OK(udpr_reactor_call_later(self.with.reactor, 0, crash_run, NULL, NULL, &self.with.call));
  run_with_cancellation_pending(make_call, &self);
  OK(udpr_reactor_set_logger(self.with.reactor, 0, NULL, NULL, NULL));
  OK(udpr_reactor_free(self.with.reactor));
  udpr_remote_release(self.with.remote);
  probe_check_ended(&self.port);
}

/* Calls that call back, or that keep a reference. */
static bool is_skipped(const every_call *call) {
  return call->call == call_each_transport || call->call == call_call_in_thread ||
         call->call == call_remote || call->call == call_set_logger;
}

static void check_calls(const every_call *calls, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (!is_skipped(&calls[i])) check_call(&calls[i]);
}

TEST(every_call_of_a_reactor) { check_calls(reactor_calls, sizeof reactor_calls / sizeof *reactor_calls); }
TEST(every_call_of_a_transport) {
  check_calls(transport_calls, sizeof transport_calls / sizeof *transport_calls);
}
TEST(every_call_for_any_thread) {
  check_calls(any_thread_calls, sizeof any_thread_calls / sizeof *any_thread_calls);
}

static void make_and_free(void *arg) {
  udpr_addr    parsed;
  uint32_t     index;
  udpr_remote *remote;
  probe        port = {0};
  (void)arg;
  for (int i = 0; i < 20; i++) {
    udpr_reactor *reactor = new_reactor(UDPR_REACTOR_SIGNALS);
    OK(udpr_reactor_remote(reactor, &remote));
    port = (probe){0};
    probe_listen(&port, reactor);
    OK(udpr_reactor_free(reactor));
    CHECK_STATUS(UDPR_E_CLOSED, udpr_remote_wake(remote));
    probe_check_ended(&port);
    udpr_remote_release(remote); /* the last reference, which closes descriptors */
    OK(udpr_addr_parse("fe80::1%lo", 1, &parsed));
    OK(udpr_interface_index("127.0.0.1", &index));
    udpr_has_feature("gso");
  }
}

TEST(making_and_freeing_everything) { run_with_cancellation_pending(make_and_free, NULL); }

/* ---- callbacks ------------------------------------------------------------------------------------------- */

typedef struct run_fixture {
  atomic_int      freed, calls;
  udpr_reactor   *reactor;
  udpr_transport *port;
  int             peer;
} run_fixture;

static void count_at_cancellation_point(udpr_reactor *reactor, void *user) {
  (void)reactor;
  cancellation_point();
  atomic_fetch_add(&((run_fixture *)user)->calls, 1);
}

static void echo_at_cancellation_point(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  cancellation_point();
  OK(udpr_transport_write(transport, datagram->data, datagram->len, &datagram->sender));
  count_at_cancellation_point(NULL, user);
}

static void stop_at_cancellation_point(udpr_transport *transport, udpr_status reason, void *user) {
  (void)transport;
  OK(reason);
  count_at_cancellation_point(NULL, user);
}

static void run_set_up(run_fixture *all) {
  udpr_protocol protocol = {.size = sizeof protocol,
                            .user = all,
                            .datagram_received = echo_at_cancellation_point,
                            .stop_protocol = stop_at_cancellation_point};
  *all = (run_fixture){.reactor = new_reactor(UDPR_REACTOR_SIGNALS), .peer = peer_open(AF_INET)};
  all->port = listen_on(all->reactor, "127.0.0.1", &protocol, NULL);
  udpr_addr host = host_of(all->port);
  peer_send(all->peer, &host, "ping", 4);
}

static void run_tear_down(run_fixture *all) {
  udpr_transport_release(all->port);
  OK(udpr_reactor_free(all->reactor));
  close(all->peer);
}

static void run_and_stop(void *arg) {
  run_fixture *all = arg;
  OK(udpr_reactor_call_later(all->reactor, 0, count_at_cancellation_point, all, free_at_cancellation_point,
                             NULL));
  OK(udpr_reactor_call_later(all->reactor, MS(10), stop_call, NULL, NULL, NULL));
  OK(udpr_reactor_run(all->reactor));
}

TEST(callbacks_of_a_run_are_completed) {
  run_fixture all;
  run_set_up(&all);
  run_with_cancellation_pending(run_and_stop, &all);
  CHECK_EQ(3, all.calls);
  PEER_RECEIVES(all.peer, "ping");
  run_tear_down(&all);
}

static void run_and_count(void *arg) {
  run_fixture *all = arg;
  OK(udpr_reactor_run(all->reactor));
  atomic_fetch_add(&all->calls, 100);
}

static void *run_until_cancelled(void *arg) {
  run_and_count(arg);
  pthread_testcancel();
  return NULL;
}

/* If the thread that runs a reactor is cancelled, other threads can still use the reactor. */
TEST(run_continues_when_its_thread_is_cancelled) {
  run_fixture  all;
  pthread_t    thread;
  udpr_remote *remote;
  void        *result;
  run_set_up(&all);
  OK(udpr_reactor_remote(all.reactor, &remote));
  CHECK_EQ(0, pthread_create(&thread, NULL, run_until_cancelled, &all));
  WAIT_UNTIL(all.calls == 1);
  CHECK_EQ(0, pthread_cancel(thread));
  PEER_RECEIVES(all.peer, "ping");
  OK(udpr_remote_call(remote, count_at_cancellation_point, &all, NULL));
  WAIT_UNTIL(all.calls == 2);
  OK(udpr_remote_stop(remote));
  CHECK_EQ(0, pthread_join(thread, &result));
  CHECK(result == PTHREAD_CANCELED && all.calls == 103); /* run has returned */
  udpr_remote_release(remote);
  run_tear_down(&all);
}

typedef struct refused_calls {
  atomic_int   freed;
  udpr_remote *remote;
} refused_calls;

static void make_refused_calls(void *arg) {
  refused_calls *all = arg;
  CHECK_STATUS(UDPR_E_CLOSED,
               udpr_remote_call(all->remote, stop_call, &all->freed, free_at_cancellation_point));
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT,
               udpr_reactor_call_later(NULL, 0, stop_call, &all->freed, free_at_cancellation_point, NULL));
}

TEST(free_user_of_a_refused_call_is_completed) {
  refused_calls all = {.remote = NULL};
  udpr_reactor *reactor = new_reactor(0);
  OK(udpr_reactor_remote(reactor, &all.remote));
  OK(udpr_reactor_free(reactor));
  run_with_cancellation_pending(make_refused_calls, &all);
  CHECK_EQ(2, all.freed);
  udpr_remote_release(all.remote);
}

static void cancel_call_and_close(void *arg) {
  run_fixture *all = arg;
  udpr_id      id;
  OK(udpr_reactor_call_later(all->reactor, SECONDS(9), count_at_cancellation_point, &all->freed,
                             free_at_cancellation_point, &id));
  OK(udpr_reactor_cancel_call(all->reactor, id));
  OK(udpr_transport_close(all->port));
}

TEST(free_user_and_stop_protocol_outside_of_run_are_completed) {
  run_fixture all;
  run_set_up(&all);
  run_with_cancellation_pending(cancel_call_and_close, &all);
  CHECK(all.freed == 1 && all.calls == 1);
  run_tear_down(&all);
}

/* ---- signals, the pool, children ------------------------------------------------------------------------- */

static void raise_sigterm(void *arg) {
  (void)arg;
  CHECK_EQ(0, pthread_kill(pthread_self(), SIGTERM));
}

TEST(the_signal_handler_is_completed) {
  for (int again = 0; again < 3; again++) {
    reactor_thread there;
    udpr_reactor  *reactor = new_reactor(UDPR_REACTOR_SIGNALS);
    reactor_thread_start(&there, reactor);
    run_with_cancellation_pending(raise_sigterm, NULL);
    reactor_thread_join(&there);
    OK(udpr_reactor_free(reactor));
  }
}

static void cancel_own_thread(void *user) {
  CHECK_EQ(0, pthread_cancel(pthread_self()));
  cancellation_point();
  count_free(user);
}

/* The threads of the pool belong to the library, and cannot be cancelled. */
TEST(work_that_cancels_its_thread_is_completed) {
  udpr_reactor *reactor = new_reactor_with_pool(1);
  for (int i = 1; i <= 3; i++) {
    atomic_int worked = 0;
    OK(udpr_reactor_call_in_thread(reactor, cancel_own_thread, NULL, &worked, NULL));
    RUN_UNTIL(reactor, worked == 1);
    OK(udpr_reactor_call_in_thread(reactor, count_free, NULL, &worked, count_free));
    RUN_UNTIL(reactor, worked == 3); /* by the work and by free_user */
  }
  OK(udpr_reactor_free(reactor));
}

static void after_fork_and_free(void *arg) {
  OK(udpr_reactor_after_fork(arg));
  OK(udpr_reactor_iterate(arg, 0));
  OK(udpr_reactor_free(arg));
}

static void only_free(void *arg) { OK(udpr_reactor_free(arg)); }
static void after_fork_in_child(void *arg) { run_with_cancellation_pending(after_fork_and_free, arg); }
static void free_in_child(void *arg) { run_with_cancellation_pending(only_free, arg); }

TEST(in_a_forked_child) {
  udpr_reactor *reactor = new_reactor(0);
  run_in_killed_child(after_fork_in_child, reactor);
  run_in_killed_child(free_in_child, reactor);
  OK(udpr_reactor_free(reactor));
}

static void run_with_cancellation_disabled(void *arg) {
  int state;
  CHECK_EQ(0, pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state));
  run_and_stop(arg);
  cancellation_point();
  CHECK_EQ(0, pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state));
  CHECK_EQ(PTHREAD_CANCEL_DISABLE, state);
}

TEST(disabled_cancellation_stays_disabled) {
  run_fixture all;
  run_set_up(&all);
  run_with_cancellation_pending(run_with_cancellation_disabled, &all);
  run_tear_down(&all);
}

CHECK_MAIN()
