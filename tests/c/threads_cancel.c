/* pthread_cancel(3), deferred as by default: a thread that is inside the library, in callbacks too, is not ended there. Its
 * cancellation waits until the outermost call has returned.
 */
#include "every_call.h"
#include "pool.h"
#include "probe.h"

typedef struct cancelled {
  void (*body)(void *);
  void       *arg;
  atomic_bool returned;
} cancelled;

static void *body_with_cancellation_pending(void *arg) {
  cancelled *self = arg;
  int        state;
  CHECK_EQ(0, pthread_cancel(pthread_self()));
  self->body(self->arg);
  atomic_store(&self->returned, true);
  CHECK_EQ(0, pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state));
  CHECK_EQ(PTHREAD_CANCEL_ENABLE, state); /* as it was */
  pthread_testcancel();
  FAIL("%s", "it was not cancelled");
}

/* Runs `body` in a thread that would end at its first cancellation point. */
static void with_cancellation_pending(void (*body)(void *), void *arg) {
  cancelled self = {.body = body, .arg = arg};
  pthread_t thread;
  void     *result;
  CHECK_EQ(0, pthread_create(&thread, NULL, body_with_cancellation_pending, &self));
  CHECK_EQ(0, pthread_join(thread, &result));
  CHECK(result == PTHREAD_CANCELED && self.returned);
}

/* What a callback does that is cancelled there if anything is. */
static void reach_a_cancellation_point(void) {
  struct timespec a_moment = {.tv_nsec = 1};
  pthread_testcancel();
  nanosleep(&a_moment, NULL);
}

static void free_slowly(void *user) {
  reach_a_cancellation_point();
  count_free(user);
}

/* ---- every function -------------------------------------------------------------------------------------- */

typedef struct call_of_many {
  const every_call *call;
  handles           with;
  probe             port;
} call_of_many;

static void make_the_call(void *arg) {
  call_of_many *self = arg;
  self->call->call(&self->with);
}

static void end_run(udpr_reactor *reactor, void *user) {
  (void)user;
  udpr_reactor_crash(reactor); /* NOT_RUNNING in iterate */
}

/* On a reactor of its own, that has a port. */
static void one_call(const every_call *call) {
  call_of_many self = {.call = call, .with.reactor = new_reactor(0)};
  check_context = call->name;
  probe_listen(&self.port, self.with.reactor);
  self.with.transport = self.port.transport, self.with.to = self.port.host;
  OK(udpr_reactor_remote(self.with.reactor, &self.with.remote));
  OK(udpr_reactor_call_later(self.with.reactor, 0, end_run, NULL, NULL, &self.with.call));
  with_cancellation_pending(make_the_call, &self);
  OK(udpr_reactor_set_logger(self.with.reactor, 0, NULL, NULL, NULL));
  OK(udpr_reactor_free(self.with.reactor));
  udpr_remote_release(self.with.remote);
  probe_check_ended(&self.port);
}

/* Not these, which call back, or which keep a reference. */
static bool is_left_out(const every_call *call) {
  return call->call == call_each_transport || call->call == call_call_in_thread ||
         call->call == call_remote || call->call == call_set_logger;
}

static void calls_of(const every_call *calls, size_t count) {
  for (size_t i = 0; i < count; i++)
    if (!is_left_out(&calls[i])) one_call(&calls[i]);
}

TEST(every_call_of_a_reactor) { calls_of(reactor_calls, sizeof reactor_calls / sizeof *reactor_calls); }
TEST(every_call_of_a_transport) {
  calls_of(transport_calls, sizeof transport_calls / sizeof *transport_calls);
}
TEST(every_call_from_anywhere) {
  calls_of(any_thread_calls, sizeof any_thread_calls / sizeof *any_thread_calls);
}

static void live_and_die(void *arg) {
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
    udpr_remote_release(remote); /* the last one: it closes what is left */
    OK(udpr_addr_parse("fe80::1%lo", 1, &parsed));
    OK(udpr_interface_index("127.0.0.1", &index));
    udpr_has_feature("gso");
  }
}

TEST(a_whole_life) { with_cancellation_pending(live_and_die, NULL); }

/* ---- callbacks ------------------------------------------------------------------------------------------- */

typedef struct scene {
  atomic_int      freed, calls;
  udpr_reactor   *reactor;
  udpr_transport *port;
  int             peer;
} scene;

static void slow_call(udpr_reactor *reactor, void *user) {
  (void)reactor;
  reach_a_cancellation_point();
  atomic_fetch_add(&((scene *)user)->calls, 1);
}

static void slow_datagram(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  reach_a_cancellation_point();
  OK(udpr_transport_write(transport, datagram->data, datagram->len, &datagram->sender));
  slow_call(NULL, user);
}

static void slow_stop(udpr_transport *transport, udpr_status reason, void *user) {
  (void)transport;
  OK(reason);
  slow_call(NULL, user);
}

static void set_scene(scene *all) {
  udpr_protocol protocol = {.size = sizeof protocol,
                            .user = all,
                            .datagram_received = slow_datagram,
                            .stop_protocol = slow_stop};
  *all = (scene){.reactor = new_reactor(UDPR_REACTOR_SIGNALS), .peer = peer_open(AF_INET)};
  all->port = listen_on(all->reactor, "127.0.0.1", &protocol, NULL);
  udpr_addr host = host_of(all->port);
  peer_send(all->peer, &host, "ping", 4);
}

static void end_scene(scene *all) {
  udpr_transport_release(all->port);
  OK(udpr_reactor_free(all->reactor));
  close(all->peer);
}

static void run_a_scene(void *arg) {
  scene *all = arg;
  OK(udpr_reactor_call_later(all->reactor, 0, slow_call, all, free_slowly, NULL));
  OK(udpr_reactor_call_later(all->reactor, MS(10), stop_call, NULL, NULL, NULL));
  OK(udpr_reactor_run(all->reactor));
}

TEST(callbacks_of_a_run_go_through) {
  scene all;
  set_scene(&all);
  with_cancellation_pending(run_a_scene, &all);
  CHECK_EQ(3, all.calls);
  PEER_RECEIVES(all.peer, "ping");
  end_scene(&all);
}

static void run_on(void *arg) {
  scene *all = arg;
  OK(udpr_reactor_run(all->reactor));
  atomic_fetch_add(&all->calls, 100);
}

static void *run_and_end(void *arg) {
  run_on(arg);
  pthread_testcancel();
  return NULL;
}

/* Others go on using the reactor of a thread that was cancelled while it ran it. */
TEST(a_thread_that_runs_is_cancelled) {
  scene        all;
  pthread_t    thread;
  udpr_remote *remote;
  void        *result;
  set_scene(&all);
  OK(udpr_reactor_remote(all.reactor, &remote));
  CHECK_EQ(0, pthread_create(&thread, NULL, run_and_end, &all));
  WAIT_UNTIL(all.calls == 1);
  CHECK_EQ(0, pthread_cancel(thread));
  PEER_RECEIVES(all.peer, "ping");
  OK(udpr_remote_call(remote, slow_call, &all, NULL));
  WAIT_UNTIL(all.calls == 2);
  OK(udpr_remote_stop(remote));
  CHECK_EQ(0, pthread_join(thread, &result));
  CHECK(result == PTHREAD_CANCELED && all.calls == 103); /* run has returned */
  udpr_remote_release(remote);
  end_scene(&all);
}

typedef struct refused {
  atomic_int   freed;
  udpr_remote *remote;
} refused;

static void be_refused(void *arg) {
  refused *all = arg;
  CHECK_STATUS(UDPR_E_CLOSED, udpr_remote_call(all->remote, stop_call, &all->freed, free_slowly));
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT,
               udpr_reactor_call_later(NULL, 0, stop_call, &all->freed, free_slowly, NULL));
}

TEST(free_user_of_a_refused_call_goes_through) {
  refused       all = {.remote = NULL};
  udpr_reactor *reactor = new_reactor(0);
  OK(udpr_reactor_remote(reactor, &all.remote));
  OK(udpr_reactor_free(reactor));
  with_cancellation_pending(be_refused, &all);
  CHECK_EQ(2, all.freed);
  udpr_remote_release(all.remote);
}

static void cancel_a_call(void *arg) {
  scene  *all = arg;
  udpr_id id;
  OK(udpr_reactor_call_later(all->reactor, SECONDS(9), slow_call, &all->freed, free_slowly, &id));
  OK(udpr_reactor_cancel_call(all->reactor, id));
  OK(udpr_transport_close(all->port));
}

TEST(free_user_and_stop_protocol_outside_of_run_go_through) {
  scene all;
  set_scene(&all);
  with_cancellation_pending(cancel_a_call, &all);
  CHECK(all.freed == 1 && all.calls == 1);
  end_scene(&all);
}

/* ---- signals, the pool, children ------------------------------------------------------------------------- */

static void get_sigterm(void *arg) {
  (void)arg;
  CHECK_EQ(0, pthread_kill(pthread_self(), SIGTERM));
}

TEST(the_signal_handler_goes_through) {
  for (int again = 0; again < 3; again++) {
    reactor_thread there;
    udpr_reactor  *reactor = new_reactor(UDPR_REACTOR_SIGNALS);
    reactor_thread_start(&there, reactor);
    with_cancellation_pending(get_sigterm, NULL);
    reactor_thread_join(&there);
    OK(udpr_reactor_free(reactor));
  }
}

static void cancel_myself(void *user) {
  CHECK_EQ(0, pthread_cancel(pthread_self()));
  reach_a_cancellation_point();
  count_free(user);
}

/* Threads of the pool are the library's: they cannot be cancelled. */
TEST(work_that_cancels_its_thread_is_done) {
  udpr_reactor *reactor = new_reactor_with_pool(1);
  for (int i = 1; i <= 3; i++) {
    atomic_int worked = 0;
    OK(udpr_reactor_call_in_thread(reactor, cancel_myself, NULL, &worked, NULL));
    RUN_UNTIL(reactor, worked == 1);
    OK(udpr_reactor_call_in_thread(reactor, count_free, NULL, &worked, count_free));
    RUN_UNTIL(reactor, worked == 3); /* the work, and free_user */
  }
  OK(udpr_reactor_free(reactor));
}

static void revive_and_free(void *arg) {
  OK(udpr_reactor_after_fork(arg));
  OK(udpr_reactor_iterate(arg, 0));
  OK(udpr_reactor_free(arg));
}

static void only_free(void *arg) { OK(udpr_reactor_free(arg)); }
static void child_revives(void *arg) { with_cancellation_pending(revive_and_free, arg); }
static void child_frees(void *arg) { with_cancellation_pending(only_free, arg); }

TEST(in_a_forked_child) {
  udpr_reactor *reactor = new_reactor(0);
  run_in_killed_child(child_revives, reactor);
  run_in_killed_child(child_frees, reactor);
  OK(udpr_reactor_free(reactor));
}

static void disabled_stays_disabled(void *arg) {
  int state;
  CHECK_EQ(0, pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state));
  run_a_scene(arg);
  reach_a_cancellation_point();
  CHECK_EQ(0, pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state));
  CHECK_EQ(PTHREAD_CANCEL_DISABLE, state);
}

TEST(a_thread_that_has_disabled_it_itself) {
  scene all;
  set_scene(&all);
  with_cancellation_pending(disabled_stays_disabled, &all);
  end_scene(&all);
}

CHECK_MAIN()
