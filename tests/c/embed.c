/* An embedded reactor: backend_fd is readable if and only if a turn has something to do. */
#include "embedded.h"
#include "pool.h"
#include "probe.h"
#include "watcher.h"

static void set_flag(udpr_reactor *reactor, void *user) {
  (void)reactor;
  *(bool *)user = true;
}

/* ---- next_timeout -------------------------------------------------------------------------------------- */

/* Exact to the nanosecond: the clock is read before and after. */
static void check_next_timeout(udpr_reactor *reactor, udpr_id id) {
  udpr_ns due = 0, before = udpr_reactor_now(reactor);
  int64_t timeout = next_timeout_of(reactor);
  udpr_ns after = udpr_reactor_now(reactor);
  OK(udpr_reactor_call_time(reactor, id, &due));
  CHECK(timeout <= (int64_t)(due - before) && timeout >= (int64_t)(due - after));
}

TEST(next_timeout_is_exact) {
  udpr_reactor *reactor = new_reactor(0);
  udpr_id       late = 0, early = 0, now = 0;
  bool          called = false;
  CHECK_EQ(-1, next_timeout_of(reactor));
  OK(udpr_reactor_call_later(reactor, SECONDS(100), set_flag, &called, NULL, &late));
  check_next_timeout(reactor, late);
  OK(udpr_reactor_call_later(reactor, SECONDS(50), set_flag, &called, NULL, &early));
  check_next_timeout(reactor, early);
  OK(udpr_reactor_delay_call(reactor, early, (int64_t)SECONDS(100)));
  check_next_timeout(reactor, late);
  OK(udpr_reactor_reset_call(reactor, early, SECONDS(20)));
  check_next_timeout(reactor, early);
  OK(udpr_reactor_call_later(reactor, 0, set_flag, &called, NULL, &now));
  CHECK_EQ(0, next_timeout_of(reactor));
  OK(udpr_reactor_cancel_call(reactor, now));
  OK(udpr_reactor_cancel_call(reactor, early));
  check_next_timeout(reactor, late);
  OK(udpr_reactor_cancel_call(reactor, late));
  CHECK_EQ(-1, next_timeout_of(reactor));
  /* beyond the end of the clock */
  OK(udpr_reactor_call_later(reactor, UINT64_MAX, set_flag, &called, NULL, NULL));
  CHECK(next_timeout_of(reactor) == -1 || next_timeout_of(reactor) > (int64_t)SECONDS(3600));
  OK(udpr_reactor_free(reactor));
}

TEST(null_arguments) {
  udpr_reactor *reactor = new_reactor(0);
  udpr_socket   fd;
  int64_t       timeout;
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_reactor_backend_fd(NULL, &fd));
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_reactor_backend_fd(reactor, NULL));
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_reactor_next_timeout(NULL, &timeout));
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_reactor_next_timeout(reactor, NULL));
  OK(udpr_reactor_free(reactor));
}

/* ---- delayed calls ------------------------------------------------------------------------------------- */

/* The call is made after backend_fd was requested, and before. */
static void check_delayed_call(udpr_ns delay, bool fd_first) {
  udpr_reactor *reactor = new_reactor(0);
  bool          called = false;
  int           fd = fd_first ? backend_fd_of(reactor) : -1;
  if (fd_first) iterate_until_idle(reactor, fd);
  udpr_ns due = udpr_reactor_now(reactor) + delay;
  OK(udpr_reactor_call_later(reactor, delay, set_flag, &called, NULL, NULL));
  if (!fd_first) fd = backend_fd_of(reactor);
  EMBEDDED_RUN_UNTIL(reactor, fd, called);
  CHECK(udpr_reactor_now(reactor) >= due);
  iterate_until_idle(reactor, fd);
  CHECK_EQ(-1, next_timeout_of(reactor));
  OK(udpr_reactor_free(reactor));
}

TEST(a_delayed_call) {
  static const udpr_ns delays[] = {0, 1, 1000, MS(1), MS(30)};
  for (size_t i = 0; i < sizeof delays / sizeof *delays; i++) {
    check_delayed_call(delays[i], false);
    check_delayed_call(delays[i], true);
  }
}

TEST(a_delayed_call_moved_or_cancelled) {
  udpr_reactor *reactor = new_reactor(0);
  bool          called = false, never = false;
  udpr_id       id = 0, cancelled = 0;
  int           fd = backend_fd_of(reactor);
  OK(udpr_reactor_call_later(reactor, MS(5), set_flag, &never, NULL, &cancelled));
  OK(udpr_reactor_call_later(reactor, SECONDS(100), set_flag, &called, NULL, &id));
  OK(udpr_reactor_cancel_call(reactor, cancelled));
  iterate_until_idle(reactor, fd);
  CHECK(!is_readable(fd, 30));
  OK(udpr_reactor_reset_call(reactor, id, MS(5)));
  EMBEDDED_RUN_UNTIL(reactor, fd, called);
  CHECK(!never);
  OK(udpr_reactor_free(reactor));
}

typedef struct chain {
  int left;
} chain;

static void link_call(udpr_reactor *reactor, void *user) {
  chain *self = user;
  if (--self->left)
    OK(udpr_reactor_call_later(reactor, self->left % 2 ? 0 : MS(1), link_call, self, NULL, NULL));
}

TEST(calls_made_in_calls) {
  udpr_reactor *reactor = new_reactor(0);
  chain         calls = {.left = 20};
  int           fd = backend_fd_of(reactor);
  OK(udpr_reactor_call_later(reactor, MS(1), link_call, &calls, NULL, NULL));
  EMBEDDED_RUN_UNTIL(reactor, fd, calls.left == 0);
  iterate_until_idle(reactor, fd);
  OK(udpr_reactor_free(reactor));
}

/* A loop that sleeps on backend_fd is not woken more often than there is something to do. */
TEST(no_spinning_until_a_call_is_due) {
  udpr_reactor *reactor = new_reactor(0);
  bool          called = false;
  int           fd = backend_fd_of(reactor), woken = 0;
  iterate_until_idle(reactor, fd);
  OK(udpr_reactor_call_later(reactor, MS(50), set_flag, &called, NULL, NULL));
  for (; !called; woken++) {
    CHECK(becomes_readable(fd));
    OK(udpr_reactor_iterate(reactor, 0));
  }
  CHECK(woken <= 3);
  OK(udpr_reactor_free(reactor));
}

/* ---- ports --------------------------------------------------------------------------------------------- */

TEST(a_datagram) {
  udpr_reactor *reactor = new_reactor(0);
  probe         port = {0};
  int           fd = backend_fd_of(reactor);
  probe_listen(&port, reactor);
  iterate_until_idle(reactor, fd);
  send_letters(&port.host, "ab");
  EMBEDDED_RUN_UNTIL(reactor, fd, strlen(port.received) == 2);
  iterate_until_idle(reactor, fd);
  OK(udpr_reactor_free(reactor));
  probe_check_ended(&port);
}

static void pause_port(probe *port, udpr_transport *transport) {
  if (strlen(port->received) == 1) OK(udpr_transport_pause_reading(transport));
}

TEST(kept_datagrams_after_resume) {
  udpr_reactor *reactor = new_reactor(0);
  probe         port = {.on_datagram = pause_port};
  int           fd = backend_fd_of(reactor);
  probe_listen(&port, reactor);
  send_letters(&port.host, "abcd");
  EMBEDDED_RUN_UNTIL(reactor, fd, *port.received);
  CHECK_EQ(3, stats_of(port.transport).kept_datagrams);
  iterate_until_idle(reactor, fd); /* paused: nothing to do */
  OK(udpr_transport_resume_reading(port.transport));
  CHECK(is_readable(fd, 0));
  CHECK_EQ(0, next_timeout_of(reactor));
  EMBEDDED_RUN_UNTIL(reactor, fd, strlen(port.received) == 4);
  iterate_until_idle(reactor, fd);
  OK(udpr_reactor_free(reactor));
  probe_check_ended(&port);
}

TEST(stop_listening) {
  udpr_reactor *reactor = new_reactor(0);
  probe         port = {0};
  int           fd = backend_fd_of(reactor);
  probe_listen(&port, reactor);
  iterate_until_idle(reactor, fd);
  OK(udpr_transport_stop_listening(port.transport));
  CHECK(is_readable(fd, 0) && port.stops == 0);
  CHECK_EQ(0, next_timeout_of(reactor));
  EMBEDDED_RUN_UNTIL(reactor, fd, port.stops);
  iterate_until_idle(reactor, fd);
  probe_check_ended(&port);
  OK(udpr_reactor_free(reactor));
}

TEST(reactor_stop) {
  udpr_reactor *reactor = new_reactor(0);
  probe         port = {0};
  int           fd = backend_fd_of(reactor);
  OK(udpr_reactor_start(reactor));
  probe_listen(&port, reactor);
  iterate_until_idle(reactor, fd);
  OK(udpr_reactor_stop(reactor));
  CHECK(is_readable(fd, 0));
  CHECK_EQ(0, next_timeout_of(reactor));
  EMBEDDED_RUN_UNTIL(reactor, fd, !udpr_reactor_is_running(reactor));
  iterate_until_idle(reactor, fd);
  probe_check_ended(&port);
  OK(udpr_reactor_free(reactor));
}

/* ---- other threads ------------------------------------------------------------------------------------- */

typedef struct outside {
  udpr_remote    *remote;
  udpr_transport *transport;
  udpr_addr       to;
  bool            called;
} outside;

static void call_it(void *arg) {
  OK(udpr_remote_call(((outside *)arg)->remote, set_flag, &((outside *)arg)->called, NULL));
}
static void wake_it(void *arg) { OK(udpr_remote_wake(((outside *)arg)->remote)); }
static void stop_it(void *arg) { OK(udpr_remote_stop(((outside *)arg)->remote)); }
static void post_it(void *arg) {
  outside *all = arg;
  OK(udpr_transport_post(all->transport, "posted", 6, &all->to));
}

TEST(actions_of_other_threads) {
  udpr_reactor *reactor = new_reactor(0);
  probe         port = {0};
  int           fd = backend_fd_of(reactor), peer = peer_open(AF_INET);
  outside       all = {.to = peer_addr(peer)};
  OK(udpr_reactor_remote(reactor, &all.remote));
  OK(udpr_reactor_start(reactor));
  probe_listen(&port, reactor);
  all.transport = port.transport;
  iterate_until_idle(reactor, fd);

  run_in_thread(call_it, &all);
  CHECK(is_readable(fd, 0));
  EMBEDDED_RUN_UNTIL(reactor, fd, all.called);
  iterate_until_idle(reactor, fd);

  run_in_thread(post_it, &all);
  CHECK(is_readable(fd, 0));
  EMBEDDED_RUN_UNTIL(reactor, fd, !peer_has_no_datagram(peer));
  PEER_RECEIVES(peer, "posted");
  iterate_until_idle(reactor, fd);

  run_in_thread(wake_it, &all);
  CHECK(is_readable(fd, 0));
  OK(udpr_reactor_iterate(reactor, 0));
  iterate_until_idle(reactor, fd);

  run_in_thread(stop_it, &all);
  CHECK(is_readable(fd, 0));
  EMBEDDED_RUN_UNTIL(reactor, fd, !udpr_reactor_is_running(reactor));
  iterate_until_idle(reactor, fd);
  probe_check_ended(&port);
  udpr_remote_release(all.remote);
  OK(udpr_reactor_free(reactor));
  close(peer);
}

static void nothing(void *user) { (void)user; }

static void resolved(udpr_reactor *reactor, udpr_id id, udpr_status status, const udpr_addr *addrs,
                     size_t count, void *user) {
  (void)reactor, (void)id, (void)addrs;
  OK(status);
  CHECK(count > 0);
  *(bool *)user = true;
}

TEST(results_of_the_pool) {
  udpr_reactor *reactor = new_reactor(0);
  int           others = count_threads(), fd = backend_fd_of(reactor);
  bool          done = false, literal = false, name = false;
  OK(udpr_reactor_call_in_thread(reactor, nothing, set_flag, &done, NULL));
  EMBEDDED_RUN_UNTIL(reactor, fd, done);
  OK(udpr_reactor_resolve(reactor, "127.0.0.1", 1, 0, 0, resolved, &literal, NULL, NULL));
  CHECK(is_readable(fd, 0) && !literal);
  EMBEDDED_RUN_UNTIL(reactor, fd, literal);
  OK(udpr_reactor_resolve(reactor, "localhost", 1, 0, 0, resolved, &name, NULL, NULL));
  EMBEDDED_RUN_UNTIL(reactor, fd, name);
  iterate_until_idle(reactor, fd);
  OK(udpr_reactor_free(reactor));
  WAIT_UNTIL(count_threads() == others); /* udpr_reactor_free does not wait for the thread of a look-up */
}

/* ---- watches ------------------------------------------------------------------------------------------- */

TEST(a_watch) {
  udpr_reactor *reactor = new_reactor(0);
  watcher       one = {0};
  int           fd = backend_fd_of(reactor), ends[2];
  char          byte;
  open_pipe(ends);
  watch(reactor, ends[0], R, &one);
  iterate_until_idle(reactor, fd);
  CHECK_EQ(1, write(ends[1], "x", 1));
  EMBEDDED_RUN_UNTIL(reactor, fd, one.calls);
  CHECK_EQ(1, read(ends[0], &byte, 1));
  iterate_until_idle(reactor, fd);
  OK(udpr_reactor_free(reactor));
  close_pipe(ends);
}

/* The memory of a closed port is released in a turn. The outer loop is woken once for that. */
TEST(a_port_closed_outside_a_turn_is_released) {
  udpr_reactor *reactor = new_reactor(0);
  int           fd = backend_fd_of(reactor);
  for (int stop = 0; stop < 2; stop++) {
    probe port = {0};
    probe_listen(&port, reactor);
    iterate_until_idle(reactor, fd);
    if (stop) OK(udpr_transport_stop_listening(port.transport));
    else OK(udpr_transport_close(port.transport));
    CHECK(is_readable(fd, 0) && next_timeout_of(reactor) == 0);
    OK(udpr_reactor_iterate(reactor, 0));
    probe_check_ended(&port);
    iterate_until_idle(reactor, fd);
  }
  OK(udpr_reactor_free(reactor));
}

CHECK_MAIN()
