/* A callback forks during a turn. In the child the call that runs the turn returns UDPR_E_CLOSED, calls no
 * other callback and sends nothing. In the parent it continues normally.
 */
#include "event_log.h"
#include "fork_and_wait.h"
#include "watcher.h"

static void act_fork(udpr_reactor *reactor, logged_call *self) {
  (void)reactor, (void)self;
  fork_and_wait();
}

static udpr_reactor *new_started_reactor(void) {
  udpr_reactor *reactor = new_reactor(0);
  OK(udpr_reactor_start(reactor));
  return reactor;
}

/* ---- calls ---------------------------------------------------------------------------------------------- */

/* The first of `calls` forks. `turn` is the status of the call that made all of them. */
static void check_first_call_forks(udpr_reactor *reactor, logged_call calls[3], udpr_status turn) {
  if (is_child) {
    CHECK_STATUS(UDPR_E_CLOSED, turn);
    CHECK(calls[0].called == 1 && calls[1].called == 0 && calls[2].called == 0);
    for (int i = 0; i < 3; i++) CHECK_EQ(0, calls[i].freed);
    kill_self();
  }
  OK(turn);
  for (int i = 0; i < 3; i++) CHECK(calls[i].called == 1 && calls[i].freed == 1);
  OK(udpr_reactor_free(reactor));
}

TEST(a_delayed_call_forks) {
  udpr_reactor *reactor = new_reactor(0);
  logged_call   calls[3] = {{.act = act_fork}};
  for (int i = 0; i < 3; i++) call_later_logged(reactor, 0, &calls[i]);
  check_first_call_forks(reactor, calls, udpr_reactor_iterate(reactor, 0));
}

TEST(a_call_from_a_thread_forks) {
  udpr_reactor *reactor = new_reactor(0);
  logged_call   calls[3] = {{.act = act_fork}};
  for (int i = 0; i < 3; i++)
    OK(udpr_reactor_call_from_thread(reactor, logged_call_run, &calls[i], count_free));
  check_first_call_forks(reactor, calls, udpr_reactor_iterate(reactor, 0));
}

TEST(a_delayed_call_forks_in_advance) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_MANUAL_CLOCK);
  logged_call   calls[3] = {{.act = act_fork}};
  for (int i = 0; i < 3; i++) call_later_logged(reactor, (udpr_ns)i + 1, &calls[i]);
  check_first_call_forks(reactor, calls, udpr_reactor_advance(reactor, 5));
}

/* ---- a turn with more to do ----------------------------------------------------------------------------- */

typedef struct fixture {
  udpr_reactor *reactor;
  probe         port;
  logged_call   call, due;
  watcher       watch;
  int           ends[2], peer;
  udpr_addr     to;
} fixture;

/* A delayed call is due in this turn, and there may be a datagram. This adds a call from a thread and a post.
 */
static void fork_before_the_rest(udpr_reactor *reactor, watcher *self, uint32_t now) {
  fixture *f = self->arg;
  (void)now;
  self->act = NULL; /* only once */
  OK(udpr_reactor_call_from_thread(reactor, logged_call_run, &f->call, count_free));
  OK(udpr_transport_post(f->port.transport, "post", 4, &f->to));
  fork_and_wait();
}

/* Writes are sent at once, and so are posts. */
static void listen_unbatched(probe *port, udpr_reactor *reactor) {
  udpr_protocol    protocol = probe_protocol(port);
  udpr_udp_options options = {.size = sizeof options, .flags = UDPR_UDP_UNBATCHED};
  port->transport = listen_on(reactor, "127.0.0.1", &protocol, &options);
  port->host = host_of(port->transport);
}

static void check_parent_does_the_rest(bool with_datagram) {
  fixture f = {.reactor = new_started_reactor(),
               .peer = peer_open(AF_INET),
               .watch = {.act = fork_before_the_rest}};
  f.watch.arg = &f, f.to = peer_addr(f.peer);
  open_pipe(f.ends);
  watch(f.reactor, f.ends[0], R, &f.watch);
  CHECK_EQ(1, write(f.ends[1], "x", 1)); /* before the port: epoll reports them in this order */
  listen_unbatched(&f.port, f.reactor);
  if (with_datagram) send_letters(&f.port.host, "a");
  call_later_logged(f.reactor, 0, &f.due);
  udpr_status turn = udpr_reactor_iterate(f.reactor, 0);
  if (is_child) {
    CHECK_STATUS(UDPR_E_CLOSED, turn);
    CHECK(f.call.called + f.due.called == 0 && f.call.freed + f.due.freed == 0);
    CHECK(!*f.port.received && f.port.stops == 0);
    kill_self();
  }
  OK(turn);
  RUN_UNTIL(f.reactor, f.call.freed && f.due.freed && (*f.port.received || !with_datagram));
  PEER_RECEIVES(f.peer, "post");
  CHECK(peer_has_no_datagram(f.peer)); /* sent only once */
  OK(udpr_reactor_free(f.reactor));
  probe_check_ended(&f.port);
  close_pipe(f.ends);
  close(f.peer);
}

TEST(calls_and_posts_are_done_by_the_parent) { check_parent_does_the_rest(false); }
TEST(datagrams_are_received_by_the_parent) { check_parent_does_the_rest(true); }

static void write_and_fork(probe *port, udpr_transport *transport) {
  OK(udpr_transport_write(transport, "gathered", 8, port->arg));
  fork_and_wait();
}

TEST(batched_writes_are_sent_once) {
  udpr_reactor *reactor = new_started_reactor();
  int           peer = peer_open(AF_INET);
  udpr_addr     to = peer_addr(peer);
  probe         port = {.on_datagram = write_and_fork, .arg = &to};
  probe_listen(&port, reactor);
  send_letters(&port.host, "a");
  udpr_status turn = udpr_reactor_iterate(reactor, (int64_t)CHECK_TIMEOUT);
  if (is_child) {
    CHECK_STATUS(UDPR_E_CLOSED, turn);
    kill_self();
  }
  OK(turn);
  PEER_RECEIVES(peer, "gathered");
  CHECK(peer_has_no_datagram(peer));
  OK(udpr_reactor_free(reactor));
  probe_check_ended(&port);
  close(peer);
}

/* ---- the wake-up ---------------------------------------------------------------------------------------- */

typedef struct wake_fixture {
  udpr_remote *remote;
  int          go[2]; /* a byte in this pipe lets the child continue */
  pid_t        child;
} wake_fixture;

/* The child has consumed a wake-up. It continues after the parent has been woken again. */
static void wake_and_fork(udpr_reactor *reactor, logged_call *self) {
  wake_fixture *f = self->arg;
  char          byte;
  (void)reactor;
  OK(udpr_remote_wake(f->remote));
  f->child = check_fork();
  is_child = f->child == 0;
  if (is_child) CHECK_EQ(1, read(f->go[0], &byte, 1));
}

static void wake_and_release_child(udpr_reactor *reactor, logged_call *self) {
  wake_fixture *f = self->arg;
  (void)reactor;
  OK(udpr_remote_wake(f->remote));
  CHECK_EQ(1, write(f->go[1], "x", 1));
  int status = check_wait(f->child);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void on_watch(udpr_reactor *reactor, watcher *self, uint32_t now) {
  (void)now;
  OK(udpr_reactor_unwatch(reactor, self->id));
  wake_and_fork(reactor, self->arg);
}

/* A turn handles watches, then calls from threads, then delayed calls. So the first wake-up is consumed in
 * the turn that forks, and the parent's later one is still pending when the child leaves that turn.
 */
TEST(a_child_does_not_consume_a_wake_up) {
  udpr_reactor *reactor = new_started_reactor();
  wake_fixture  f = {.remote = NULL};
  logged_call   forks = {.arg = &f}, wakes = {.act = wake_and_release_child, .arg = &f}, call = {0};
  watcher       first = {.act = on_watch, .arg = &forks};
  int           ends[2];
  CHECK_EQ(0, pipe(f.go));
  open_pipe(ends);
  OK(udpr_reactor_remote(reactor, &f.remote));
  watch(reactor, ends[0], R, &first);
  call_later_logged(reactor, 0, &wakes);
  CHECK_EQ(1, write(ends[1], "x", 1));
  udpr_status turn = udpr_reactor_iterate(reactor, 0);
  if (is_child) {
    CHECK_STATUS(UDPR_E_CLOSED, turn);
    kill_self();
  }
  OK(turn);
  CHECK_EQ(1, wakes.called);
  OK(udpr_remote_call(f.remote, logged_call_run, &call, count_free));
  udpr_ns begin = monotonic_ns();
  OK(udpr_reactor_iterate(reactor, (int64_t)CHECK_TIMEOUT)); /* must not wait */
  CHECK(call.called && monotonic_ns() - begin < CHECK_TIMEOUT / 2);
  udpr_remote_release(f.remote);
  OK(udpr_reactor_free(reactor));
  close_pipe(ends);
  close_pipe(f.go);
}

/* ---- shutdown and free ---------------------------------------------------------------------------------- */

/* The first of two ports that stops forks. */
static void fork_in_first_stop(probe *port, udpr_transport *transport) {
  bool *forked = port->arg;
  (void)transport;
  if (!*forked) *forked = true, fork_and_wait();
}

static void listen_on_two_ports(udpr_reactor *reactor, probe ports[2], bool *forked) {
  for (int i = 0; i < 2; i++) {
    ports[i] = (probe){.on_stop = fork_in_first_stop, .arg = forked};
    probe_listen(&ports[i], reactor);
  }
}

static void check_one_stopped(const probe ports[2]) {
  CHECK_EQ(1, ports[0].stops + ports[1].stops);
  CHECK_EQ(0, ports[0].freed + ports[1].freed);
}

TEST(only_the_parent_continues_a_shutdown) {
  udpr_reactor *reactor = new_started_reactor();
  probe         ports[2];
  bool          forked = false;
  logged_call   during = {0};
  listen_on_two_ports(reactor, ports, &forked);
  add_logged_trigger(reactor, DURING, SHUTDOWN, &during);
  OK(udpr_reactor_stop(reactor));
  udpr_status turn = udpr_reactor_iterate(reactor, 0);
  if (is_child) {
    CHECK_STATUS(UDPR_E_CLOSED, turn);
    check_one_stopped(ports);
    CHECK_EQ(0, during.called);
    kill_self();
  }
  OK(turn);
  CHECK_EQ(1, during.called);
  for (int i = 0; i < 2; i++) probe_check_ended(&ports[i]);
  OK(udpr_reactor_free(reactor));
}

TEST(only_the_parent_continues_deferred_stops) {
  udpr_reactor *reactor = new_started_reactor();
  probe         ports[2];
  bool          forked = false;
  listen_on_two_ports(reactor, ports, &forked);
  for (int i = 0; i < 2; i++) OK(udpr_transport_stop_listening(ports[i].transport));
  udpr_status turn = udpr_reactor_iterate(reactor, 0);
  if (is_child) {
    CHECK_STATUS(UDPR_E_CLOSED, turn);
    check_one_stopped(ports);
    kill_self();
  }
  OK(turn);
  for (int i = 0; i < 2; i++) probe_check_ended(&ports[i]);
  OK(udpr_reactor_free(reactor));
}

TEST(only_the_parent_continues_free) {
  udpr_reactor *reactor = new_started_reactor();
  probe         ports[2];
  bool          forked = false;
  logged_call   trigger = {0}, call = {0};
  listen_on_two_ports(reactor, ports, &forked);
  add_logged_trigger(reactor, DURING, SHUTDOWN, &trigger);
  call_later_logged(reactor, 0, &call);
  OK(udpr_reactor_free(reactor));
  if (is_child) {
    check_one_stopped(ports);
    CHECK(trigger.freed == 0 && call.freed == 0);
    kill_self();
  }
  CHECK(trigger.freed == 1 && call.freed == 1);
  for (int i = 0; i < 2; i++) probe_check_ended(&ports[i]);
}

static void return_pending_in_parent(udpr_reactor *reactor, logged_call *self) {
  (void)reactor;
  fork_and_wait();
  self->status = is_child ? UDPR_OK : UDPR_PENDING;
}

/* A child that closed its ports would remove them from the epoll set, which it shares with the parent. */
TEST(the_parents_ports_still_receive) {
  udpr_reactor *reactor = new_started_reactor();
  probe         port = {0};
  logged_call   before = {.act = return_pending_in_parent};
  probe_listen(&port, reactor);
  add_logged_trigger(reactor, BEFORE, SHUTDOWN, &before);
  OK(udpr_reactor_stop(reactor));
  udpr_status turn = udpr_reactor_iterate(reactor, 0);
  if (is_child) {
    CHECK_STATUS(UDPR_E_CLOSED, turn);
    CHECK_EQ(0, port.stops);
    kill_self();
  }
  OK(turn);
  send_letters(&port.host, "a");
  RUN_UNTIL(reactor, *port.received);
  OK(udpr_reactor_free(reactor));
  probe_check_ended(&port);
}

/* ---- after_fork ----------------------------------------------------------------------------------------- */

static void fork_and_call_after_fork(udpr_reactor *reactor, logged_call *self) {
  (void)self;
  fork_and_wait();
  if (is_child) CHECK_STATUS(UDPR_E_REENTRANT, udpr_reactor_after_fork(reactor));
}

TEST(after_fork_is_refused_until_the_turn_has_ended) {
  udpr_reactor *reactor = new_started_reactor();
  probe         port = {0};
  logged_call   call = {.act = fork_and_call_after_fork};
  probe_listen(&port, reactor);
  call_later_logged(reactor, 0, &call);
  udpr_status turn = udpr_reactor_iterate(reactor, 0);
  if (is_child) {
    CHECK_STATUS(UDPR_E_CLOSED, turn);
    OK(udpr_reactor_after_fork(reactor));
  } else {
    OK(turn);
  }
  send_letters(&port.host, "a");
  RUN_UNTIL(reactor, *port.received);
  if (is_child) kill_self();
  OK(udpr_reactor_free(reactor));
  probe_check_ended(&port);
}

/* The other thread does not exist in the child, and may have left the reactor in any state. */
TEST(after_fork_is_refused_if_another_thread_was_in_the_reactor) {
  udpr_reactor  *reactor = new_reactor(0);
  reactor_thread there;
  reactor_thread_start(&there, reactor);
  fork_and_wait();
  if (is_child) {
    CHECK_STATUS(UDPR_E_WRONG_THREAD, udpr_reactor_after_fork(reactor));
    CHECK_STATUS(UDPR_E_CLOSED, udpr_reactor_iterate(reactor, 0));
    kill_self();
  }
  reactor_thread_stop(&there);
  OK(udpr_reactor_free(reactor));
}

CHECK_MAIN()
