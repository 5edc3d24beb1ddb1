/* A callback that forks: in the child the call that is under way ends with UDPR_E_CLOSED, calls nobody and sends
 * nothing; the parent notices nothing.
 */
#include "event_log.h"
#include "fork_and_wait.h"
#include "watcher.h"

static void act_fork(udpr_reactor *reactor, logged_call *self) {
  (void)reactor, (void)self;
  fork_and_wait();
}

static udpr_reactor *started(void) {
  udpr_reactor *reactor = new_reactor(0);
  OK(udpr_reactor_start(reactor));
  return reactor;
}

/* ---- calls ---------------------------------------------------------------------------------------------- */

/* `reactor` has calls, the first of which forks, and `turn` makes them all. */
static void forks_in_the_first_of(udpr_reactor *reactor, logged_call calls[3], udpr_status turn) {
  if (is_child) {
    CHECK_STATUS(UDPR_E_CLOSED, turn);
    CHECK(calls[0].called == 1 && calls[1].called == 0 && calls[2].called == 0);
    for (int i = 0; i < 3; i++) CHECK_EQ(0, calls[i].freed);
    kill_child();
  }
  OK(turn);
  for (int i = 0; i < 3; i++) CHECK(calls[i].called == 1 && calls[i].freed == 1);
  OK(udpr_reactor_free(reactor));
}

TEST(in_a_delayed_call) {
  udpr_reactor *reactor = new_reactor(0);
  logged_call   calls[3] = {{.act = act_fork}};
  for (int i = 0; i < 3; i++) call_later_logged(reactor, 0, &calls[i]);
  forks_in_the_first_of(reactor, calls, udpr_reactor_iterate(reactor, 0));
}

TEST(in_a_call_from_a_thread) {
  udpr_reactor *reactor = new_reactor(0);
  logged_call   calls[3] = {{.act = act_fork}};
  for (int i = 0; i < 3; i++)
    OK(udpr_reactor_call_from_thread(reactor, logged_call_run, &calls[i], count_free));
  forks_in_the_first_of(reactor, calls, udpr_reactor_iterate(reactor, 0));
}

TEST(while_time_advances) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_MANUAL_CLOCK);
  logged_call   calls[3] = {{.act = act_fork}};
  for (int i = 0; i < 3; i++) call_later_logged(reactor, (udpr_ns)i + 1, &calls[i]);
  forks_in_the_first_of(reactor, calls, udpr_reactor_advance(reactor, 5));
}

/* ---- a turn with more to do ----------------------------------------------------------------------------- */

typedef struct busy {
  udpr_reactor *reactor;
  probe         port;
  logged_call   call, due;
  watcher       watch;
  int           ends[2], peer;
  udpr_addr     to;
} busy;

/* A delayed call waits for this turn, and a datagram, perhaps; here come a call and mail. */
static void fork_before_the_rest(udpr_reactor *reactor, watcher *self, uint32_t now) {
  busy *all = self->arg;
  (void)now;
  self->act = NULL; /* once */
  OK(udpr_reactor_call_from_thread(reactor, logged_call_run, &all->call, count_free));
  OK(udpr_transport_post(all->port.transport, "post", 4, &all->to));
  fork_and_wait();
}

/* What is written leaves in the call, which mail does, too. */
static void listen_unbatched(probe *port, udpr_reactor *reactor) {
  udpr_protocol    protocol = probe_protocol(port);
  udpr_udp_options options = {.size = sizeof options, .flags = UDPR_UDP_UNBATCHED};
  port->transport = listen_on(reactor, "127.0.0.1", &protocol, &options);
  port->host = host_of(port->transport);
}

static void left_to_the_parent(bool with_datagram) {
  busy all = {.reactor = started(), .peer = peer_open(AF_INET), .watch = {.act = fork_before_the_rest}};
  all.watch.arg = &all, all.to = peer_addr(all.peer);
  open_pipe(all.ends);
  watch(all.reactor, all.ends[0], R, &all.watch);
  CHECK_EQ(1, write(all.ends[1], "x", 1)); /* before the port: epoll reports them in this order */
  listen_unbatched(&all.port, all.reactor);
  if (with_datagram) send_letters(&all.port.host, "a");
  call_later_logged(all.reactor, 0, &all.due);
  udpr_status turn = udpr_reactor_iterate(all.reactor, 0);
  if (is_child) {
    CHECK_STATUS(UDPR_E_CLOSED, turn);
    CHECK(all.call.called + all.due.called == 0 && all.call.freed + all.due.freed == 0);
    CHECK(!*all.port.received && all.port.stops == 0);
    kill_child();
  }
  OK(turn);
  RUN_UNTIL(all.reactor, all.call.freed && all.due.freed && (*all.port.received || !with_datagram));
  PEER_RECEIVES(all.peer, "post");
  CHECK(peer_has_no_datagram(all.peer)); /* once */
  OK(udpr_reactor_free(all.reactor));
  probe_check_ended(&all.port);
  close_pipe(all.ends);
  close(all.peer);
}

TEST(calls_and_mail_are_left_to_the_parent) { left_to_the_parent(false); }
TEST(datagrams_are_left_to_the_parent) { left_to_the_parent(true); }

static void write_and_fork(probe *port, udpr_transport *transport) {
  OK(udpr_transport_write(transport, "gathered", 8, port->arg));
  fork_and_wait();
}

TEST(what_was_gathered_is_sent_once) {
  udpr_reactor *reactor = started();
  int           peer = peer_open(AF_INET);
  udpr_addr     to = peer_addr(peer);
  probe         port = {.on_datagram = write_and_fork, .arg = &to};
  probe_listen(&port, reactor);
  send_letters(&port.host, "a");
  udpr_status turn = udpr_reactor_iterate(reactor, (int64_t)CHECK_TIMEOUT);
  if (is_child) {
    CHECK_STATUS(UDPR_E_CLOSED, turn);
    kill_child();
  }
  OK(turn);
  PEER_RECEIVES(peer, "gathered");
  CHECK(peer_has_no_datagram(peer));
  OK(udpr_reactor_free(reactor));
  probe_check_ended(&port);
  close(peer);
}

/* ---- the wake-up ---------------------------------------------------------------------------------------- */

typedef struct sleeper {
  udpr_remote *remote;
  int          go[2]; /* a byte there lets the child go on */
  pid_t        child;
} sleeper;

/* The child, which has seen a wake-up, goes on when the parent has been woken again. */
static void wake_and_fork(udpr_reactor *reactor, logged_call *self) {
  sleeper *all = self->arg;
  char     byte;
  (void)reactor;
  OK(udpr_remote_wake(all->remote));
  all->child = check_fork();
  is_child = all->child == 0;
  if (is_child) CHECK_EQ(1, read(all->go[0], &byte, 1));
}

static void wake_and_let_go(udpr_reactor *reactor, logged_call *self) {
  sleeper *all = self->arg;
  (void)reactor;
  OK(udpr_remote_wake(all->remote));
  CHECK_EQ(1, write(all->go[1], "x", 1));
  int status = check_wait(all->child);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void on_watch(udpr_reactor *reactor, watcher *self, uint32_t now) {
  (void)now;
  OK(udpr_reactor_unwatch(reactor, self->id));
  wake_and_fork(reactor, self->arg);
}

/* Calls from threads come before delayed calls, and watches before both: so the child's wake-up is heard in the
 * turn that it forked in, and the parent's later one is still there when the child leaves that turn.
 */
TEST(a_child_takes_no_wake_up) {
  udpr_reactor *reactor = started();
  sleeper       all = {.remote = NULL};
  logged_call   forks = {.arg = &all}, wakes = {.act = wake_and_let_go, .arg = &all}, call = {0};
  watcher       first = {.act = on_watch, .arg = &forks};
  int           ends[2];
  CHECK_EQ(0, pipe(all.go));
  open_pipe(ends);
  OK(udpr_reactor_remote(reactor, &all.remote));
  watch(reactor, ends[0], R, &first);
  call_later_logged(reactor, 0, &wakes);
  CHECK_EQ(1, write(ends[1], "x", 1));
  udpr_status turn = udpr_reactor_iterate(reactor, 0);
  if (is_child) {
    CHECK_STATUS(UDPR_E_CLOSED, turn);
    kill_child();
  }
  OK(turn);
  CHECK_EQ(1, wakes.called);
  OK(udpr_remote_call(all.remote, logged_call_run, &call, count_free));
  udpr_ns begin = monotonic_ns();
  OK(udpr_reactor_iterate(reactor, (int64_t)CHECK_TIMEOUT)); /* does not wait */
  CHECK(call.called && monotonic_ns() - begin < CHECK_TIMEOUT / 2);
  udpr_remote_release(all.remote);
  OK(udpr_reactor_free(reactor));
  close_pipe(ends);
  close_pipe(all.go);
}

/* ---- shutdown and free ---------------------------------------------------------------------------------- */

/* Two ports, and in whichever stop_protocol comes first the process forks. */
static void fork_first(probe *port, udpr_transport *transport) {
  bool *forked = port->arg;
  (void)transport;
  if (!*forked) *forked = true, fork_and_wait();
}

static void two_ports(udpr_reactor *reactor, probe ports[2], bool *forked) {
  for (int i = 0; i < 2; i++) {
    ports[i] = (probe){.on_stop = fork_first, .arg = forked};
    probe_listen(&ports[i], reactor);
  }
}

static void child_has_stopped_one(const probe ports[2]) {
  CHECK_EQ(1, ports[0].stops + ports[1].stops);
  CHECK_EQ(0, ports[0].freed + ports[1].freed);
}

TEST(a_shutdown_goes_on_in_the_parent_alone) {
  udpr_reactor *reactor = started();
  probe         ports[2];
  bool          forked = false;
  logged_call   during = {0};
  two_ports(reactor, ports, &forked);
  add_logged_trigger(reactor, DURING, SHUTDOWN, &during);
  OK(udpr_reactor_stop(reactor));
  udpr_status turn = udpr_reactor_iterate(reactor, 0);
  if (is_child) {
    CHECK_STATUS(UDPR_E_CLOSED, turn);
    child_has_stopped_one(ports);
    CHECK_EQ(0, during.called);
    kill_child();
  }
  OK(turn);
  CHECK_EQ(1, during.called);
  for (int i = 0; i < 2; i++) probe_check_ended(&ports[i]);
  OK(udpr_reactor_free(reactor));
}

TEST(deferred_stops_are_left_to_the_parent) {
  udpr_reactor *reactor = started();
  probe         ports[2];
  bool          forked = false;
  two_ports(reactor, ports, &forked);
  for (int i = 0; i < 2; i++) OK(udpr_transport_stop_listening(ports[i].transport));
  udpr_status turn = udpr_reactor_iterate(reactor, 0);
  if (is_child) {
    CHECK_STATUS(UDPR_E_CLOSED, turn);
    child_has_stopped_one(ports);
    kill_child();
  }
  OK(turn);
  for (int i = 0; i < 2; i++) probe_check_ended(&ports[i]);
  OK(udpr_reactor_free(reactor));
}

TEST(free_goes_on_in_the_parent_alone) {
  udpr_reactor *reactor = started();
  probe         ports[2];
  bool          forked = false;
  logged_call   trigger = {0}, call = {0};
  two_ports(reactor, ports, &forked);
  add_logged_trigger(reactor, DURING, SHUTDOWN, &trigger);
  call_later_logged(reactor, 0, &call);
  OK(udpr_reactor_free(reactor));
  if (is_child) {
    child_has_stopped_one(ports);
    CHECK(trigger.freed == 0 && call.freed == 0);
    kill_child();
  }
  CHECK(trigger.freed == 1 && call.freed == 1);
  for (int i = 0; i < 2; i++) probe_check_ended(&ports[i]);
}

static void hold_in_the_parent(udpr_reactor *reactor, logged_call *self) {
  (void)reactor;
  fork_and_wait();
  self->status = is_child ? UDPR_OK : UDPR_PENDING;
}

/* A child that stopped them would take them out of the epoll set, which is the parent's. */
TEST(the_parents_ports_go_on) {
  udpr_reactor *reactor = started();
  probe         port = {0};
  logged_call   before = {.act = hold_in_the_parent};
  probe_listen(&port, reactor);
  add_logged_trigger(reactor, BEFORE, SHUTDOWN, &before);
  OK(udpr_reactor_stop(reactor));
  udpr_status turn = udpr_reactor_iterate(reactor, 0);
  if (is_child) {
    CHECK_STATUS(UDPR_E_CLOSED, turn);
    CHECK_EQ(0, port.stops);
    kill_child();
  }
  OK(turn);
  send_letters(&port.host, "a");
  RUN_UNTIL(reactor, *port.received);
  OK(udpr_reactor_free(reactor));
  probe_check_ended(&port);
}

/* ---- after_fork ----------------------------------------------------------------------------------------- */

static void fork_and_say_so(udpr_reactor *reactor, logged_call *self) {
  (void)self;
  fork_and_wait();
  if (is_child) CHECK_STATUS(UDPR_E_REENTRANT, udpr_reactor_after_fork(reactor));
}

TEST(after_fork_waits_until_the_turn_has_ended) {
  udpr_reactor *reactor = started();
  probe         port = {0};
  logged_call   call = {.act = fork_and_say_so};
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
  if (is_child) kill_child();
  OK(udpr_reactor_free(reactor));
  probe_check_ended(&port);
}

/* The other thread is not there any more, and what it was about is half done. */
TEST(after_fork_is_refused_where_another_thread_was_inside) {
  udpr_reactor  *reactor = new_reactor(0);
  reactor_thread there;
  reactor_thread_start(&there, reactor);
  fork_and_wait();
  if (is_child) {
    CHECK_STATUS(UDPR_E_WRONG_THREAD, udpr_reactor_after_fork(reactor));
    CHECK_STATUS(UDPR_E_CLOSED, udpr_reactor_iterate(reactor, 0));
    kill_child();
  }
  reactor_thread_stop(&there);
  OK(udpr_reactor_free(reactor));
}

CHECK_MAIN()
