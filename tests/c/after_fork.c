/* udpr_reactor_after_fork: everything works in the child, and the parent is not affected. */
#include "event_log.h"
#include "lookup.h"
#include "watcher.h"

#include <poll.h>

typedef struct fixture {
  udpr_reactor *reactor;
  udpr_remote  *remote;
  probe         port;
  watcher       reader;
  int           ends[2];
  logged_call   call, up, down;
} fixture;

static void set_up(fixture *f) {
  *f = (fixture){.reactor = new_reactor(0)};
  OK(udpr_reactor_remote(f->reactor, &f->remote));
  probe_listen(&f->port, f->reactor);
  open_pipe(f->ends);
  watch(f->reactor, f->ends[0], R, &f->reader);
  call_later_logged(f->reactor, MS(1), &f->call);
  add_logged_trigger(f->reactor, DURING, STARTUP, &f->up);
  add_logged_trigger(f->reactor, DURING, SHUTDOWN, &f->down);
}

/* Every registration is called once, and the reactor ends as usual. */
static void check_continues(fixture *f) {
  char byte;
  OK(udpr_reactor_start(f->reactor));
  CHECK_EQ(1, f->up.called);
  send_letters(&f->port.host, "ab");
  RUN_UNTIL(f->reactor, strlen(f->port.received) == 2);
  CHECK_STR("ab", f->port.received);
  CHECK_EQ(1, write(f->ends[1], "x", 1));
  RUN_UNTIL(f->reactor, f->reader.calls);
  CHECK_EQ(1, read(f->ends[0], &byte, 1));
  RUN_UNTIL(f->reactor, f->call.called);
  OK(udpr_transport_write(f->port.transport, "c", 1, &f->port.host));
  RUN_UNTIL(f->reactor, strlen(f->port.received) == 3);
  OK(udpr_remote_stop(f->remote));
  RUN_UNTIL(f->reactor, !udpr_reactor_is_running(f->reactor));
  CHECK_EQ(1, f->down.called);
  OK(udpr_reactor_free(f->reactor));
  probe_check_ended(&f->port);
  CHECK(f->reader.freed == 1 && f->call.freed == 1 && f->up.freed == 1 && f->down.freed == 1);
  udpr_remote_release(f->remote);
  close_pipe(f->ends);
}

static void continue_in_child(void *arg) {
  fixture *f = arg;
  OK(udpr_reactor_after_fork(f->reactor));
  check_continues(f);
}

TEST(child_and_parent_both_continue) {
  fixture f;
  set_up(&f);
  run_in_child(continue_in_child, &f);
  run_in_child(continue_in_child, &f); /* a second child */
  check_continues(&f);
}

static void continue_in_child_and_grandchild(void *arg) {
  fixture *f = arg;
  OK(udpr_reactor_after_fork(f->reactor));
  run_in_child(continue_in_child, f);
  check_continues(f);
}

TEST(a_grandchild_continues) {
  fixture f;
  set_up(&f);
  run_in_child(continue_in_child_and_grandchild, &f);
  check_continues(&f);
}

static void continue_in_grandchild(void *arg) { run_in_child(continue_in_child, arg); }

TEST(an_intermediate_child_need_not_call_after_fork) {
  fixture f;
  set_up(&f);
  run_in_killed_child(continue_in_grandchild, &f);
  check_continues(&f);
}

/* ---- without after_fork, and in the parent ------------------------------------------------------------- */

static void check_everything_is_closed(void *arg) {
  fixture    *f = arg;
  logged_call user = {0};
  udpr_id     id;
  udpr_socket fd;
  int64_t     timeout;
  lookup      name = {0};
  watcher     other = {0};
  CHECK_STATUS(UDPR_E_CLOSED, udpr_reactor_add_trigger(f->reactor, BEFORE, STARTUP, logged_trigger_run, &user,
                                                       count_free, &id));
  CHECK_STATUS(UDPR_E_CLOSED,
               udpr_reactor_call_when_running(f->reactor, logged_call_run, &user, count_free, &id));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_reactor_call_from_thread(f->reactor, logged_call_run, &user, count_free));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_remote_call(f->remote, logged_call_run, &user, count_free));
  CHECK_EQ(4, user.freed);
  CHECK_STATUS(UDPR_E_CLOSED, udpr_reactor_remove_trigger(f->reactor, f->up.id));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_reactor_finish_trigger(f->reactor, f->up.id));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_reactor_fire_event(f->reactor, STARTUP));
  job work = {.loop_thread = pthread_self()};
  CHECK_STATUS(UDPR_E_CLOSED, udpr_reactor_call_in_thread(f->reactor, job_work, job_done, &work, job_free));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_reactor_suggest_thread_pool_size(f->reactor, 2));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_reactor_resolve(f->reactor, "localhost", 0, 0, 0, lookup_resolved, &name,
                                                   count_free, &id));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_reactor_cancel_resolve(f->reactor, 1));
  CHECK_STATUS(UDPR_E_CLOSED,
               udpr_reactor_watch(f->reactor, f->ends[1], W, on_ready, &other, count_free, &id));
  CHECK(work.freed == 1 && name.freed == 1 && other.freed == 1);
  CHECK_STATUS(UDPR_E_CLOSED, udpr_reactor_change_watch(f->reactor, f->reader.id, W));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_reactor_unwatch(f->reactor, f->reader.id));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_reactor_backend_fd(f->reactor, &fd));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_reactor_next_timeout(f->reactor, &timeout));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_reactor_start(f->reactor));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_remote_stop(f->remote));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_remote_wake(f->remote));
}

static void child_only_frees(void *arg) {
  fixture *f = arg;
  check_everything_is_closed(f);
  udpr_reactor_free(f->reactor);
  udpr_transport_release(f->port.transport);
  udpr_remote_release(f->remote);
  CHECK(f->reader.freed == 0 && f->call.freed == 0 && f->up.freed == 0 && f->port.stops == 0);
}

TEST(without_after_fork_everything_is_closed) {
  fixture f;
  set_up(&f);
  run_in_killed_child(child_only_frees, &f);
  check_continues(&f);
}

TEST(in_the_parent_it_is_an_error) {
  fixture f;
  set_up(&f);
  CHECK(udpr_reactor_after_fork(f.reactor) < 0);
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_reactor_after_fork(NULL));
  check_continues(&f);
}

/* ---- the parent is not affected ------------------------------------------------------------------------ */

static void change_everything(void *arg) {
  fixture *f = arg;
  OK(udpr_reactor_after_fork(f->reactor));
  OK(udpr_remote_wake(f->remote));
  OK(udpr_reactor_call_from_thread(f->reactor, logged_call_run, &f->down, NULL));
  OK(udpr_reactor_unwatch(f->reactor, f->reader.id));
  OK(udpr_transport_close(f->port.transport));
  OK(udpr_reactor_cancel_call(f->reactor, f->call.id));
  run_turns(f->reactor, 3);
  CHECK_EQ(1, f->down.called);
  OK(udpr_remote_wake(f->remote)); /* stays pending when the reactor is freed */
  OK(udpr_reactor_free(f->reactor));
  udpr_transport_release(f->port.transport);
  udpr_remote_release(f->remote);
}

TEST(a_childs_actions_do_not_wake_the_parent) {
  fixture f;
  set_up(&f);
  OK(udpr_reactor_reset_call(f.reactor, f.call.id, SECONDS(1000)));
  run_turns(f.reactor, 2);
  run_in_child(change_everything, &f);
  udpr_ns begin = monotonic_ns();
  OK(udpr_reactor_iterate(f.reactor, (int64_t)MS(20)));
  CHECK(monotonic_ns() - begin >= MS(20));
  OK(udpr_reactor_reset_call(f.reactor, f.call.id, 0));
  check_continues(&f);
}

/* ---- the pool, look-ups, backend_fd -------------------------------------------------------------------- */

typedef struct worker {
  udpr_reactor *reactor;
  int           backend;
} worker;

static void use_pool(void *arg) {
  udpr_reactor *reactor = ((worker *)arg)->reactor;
  int           others = count_threads();
  job           user = {0};
  lookup        name = {0};
  job_submit(reactor, &user);
  RUN_UNTIL(reactor, user.freed);
  lookup_start(reactor, "localhost", UDPR_AF_INET, 0, &name);
  lookup_expect_status(UDPR_OK, reactor, &name);
  OK(udpr_reactor_free(reactor));
  WAIT_UNTIL(count_threads() <= others);
}

static void use_pool_in_child(void *arg) {
  OK(udpr_reactor_after_fork(((worker *)arg)->reactor));
  use_pool(arg);
}

TEST(a_child_has_a_pool_of_its_own) {
  worker f = {.reactor = new_reactor(0)};
  int    others = count_threads();
  job    before = {0};
  /* so that the parent's pool has a thread, which the child does not have */
  job_submit(f.reactor, &before);
  RUN_UNTIL(f.reactor, before.freed);
  run_in_killed_child(use_pool_in_child, &f);
  use_pool(&f);
  WAIT_UNTIL(count_threads() == others);
}

static void check_backend_fd(udpr_reactor *reactor) {
  struct pollfd one = {.fd = -1, .events = POLLIN};
  logged_call   call = {0};
  OK(udpr_reactor_backend_fd(reactor, &one.fd));
  run_turns(reactor, 2);
  CHECK_EQ(0, poll(&one, 1, 0));
  call_later_logged(reactor, MS(5), &call);
  while (!call.called) {
    CHECK_EQ(1, poll(&one, 1, (int)(CHECK_TIMEOUT / MS(1))));
    OK(udpr_reactor_iterate(reactor, 0));
  }
  OK(udpr_reactor_call_from_thread(reactor, stop_call, NULL, NULL));
  CHECK_EQ(1, poll(&one, 1, 0));
  OK(udpr_reactor_free(reactor));
}

static void check_backend_fd_in_child(void *arg) {
  OK(udpr_reactor_after_fork(((worker *)arg)->reactor));
  check_backend_fd(((worker *)arg)->reactor);
}

TEST(backend_fd_works_in_a_child) {
  worker f = {.reactor = new_reactor(0)};
  OK(udpr_reactor_backend_fd(f.reactor, &f.backend));
  run_in_child(check_backend_fd_in_child, &f);
  check_backend_fd(f.reactor);
}

/* A wake-up that is pending at the fork is pending in the child. If none was pending, another thread may have
 * been about to make one, and that thread does not exist in the child. So a child always starts with a wake-
 * up.
 */
static void check_wake_up_in_child(void *arg) {
  worker       *f = arg;
  struct pollfd one = {.fd = f->backend, .events = POLLIN};
  OK(udpr_reactor_after_fork(f->reactor));
  CHECK_EQ(1, poll(&one, 1, 0));
  run_turns(f->reactor, 2);
  CHECK_EQ(0, poll(&one, 1, 0));
  OK(udpr_reactor_free(f->reactor));
}

TEST(a_pending_wake_up_is_pending_in_the_child) {
  worker       f = {.reactor = new_reactor(0)};
  udpr_remote *remote;
  OK(udpr_reactor_remote(f.reactor, &remote));
  OK(udpr_reactor_backend_fd(f.reactor, &f.backend));
  run_turns(f.reactor, 2);
  run_in_killed_child(check_wake_up_in_child, &f);
  OK(udpr_remote_wake(remote));
  run_in_killed_child(check_wake_up_in_child, &f);
  struct pollfd one = {.fd = f.backend, .events = POLLIN};
  CHECK_EQ(1, poll(&one, 1, 0)); /* the child has not consumed it */
  udpr_remote_release(remote);
  OK(udpr_reactor_free(f.reactor));
}

typedef struct sleeper {
  udpr_reactor *reactor;
  logged_call   call;
} sleeper;

static void set_other_alarms(void *arg) {
  udpr_reactor *reactor = ((sleeper *)arg)->reactor;
  logged_call   soon = {0};
  OK(udpr_reactor_after_fork(reactor));
  call_later_logged(reactor, 0, &soon);
  run_turns(reactor, 3);
  CHECK_EQ(1, soon.called);
  OK(udpr_reactor_reset_call(reactor, ((sleeper *)arg)->call.id, SECONDS(1000)));
  run_turns(reactor, 1);
  OK(udpr_reactor_free(reactor));
}

TEST(a_childs_delayed_calls_do_not_wake_the_parent) {
  sleeper       f = {.reactor = new_reactor(0)};
  struct pollfd one = {.events = POLLIN};
  OK(udpr_reactor_backend_fd(f.reactor, &one.fd));
  call_later_logged(f.reactor, SECONDS(500), &f.call);
  run_turns(f.reactor, 2);
  run_in_killed_child(set_other_alarms, &f);
  CHECK_EQ(0, poll(&one, 1, 20));
  OK(udpr_reactor_reset_call(f.reactor, f.call.id, MS(300)));
  run_in_killed_child(set_other_alarms, &f);
  while (!f.call.called) {
    CHECK_EQ(1, poll(&one, 1, (int)(CHECK_TIMEOUT / MS(1))));
    OK(udpr_reactor_iterate(f.reactor, 0));
  }
  OK(udpr_reactor_free(f.reactor));
}

/* ---- a daemon ------------------------------------------------------------------------------------------ */

static void echo(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  (void)user;
  OK(udpr_transport_write(transport, datagram->data, datagram->len, &datagram->sender));
}

/* Binds while its caller still sees errors, forks twice, and runs as a daemon. Its end of `alive` closes when
 * it ends.
 */
static void daemon_main(int report, int still_running) {
  udpr_reactor   *reactor = new_reactor(UDPR_REACTOR_SIGNALS);
  udpr_protocol   protocol = {.size = sizeof protocol, .datagram_received = echo};
  udpr_transport *port = listen_on(reactor, "127.0.0.1", &protocol, NULL);
  udpr_addr       host = host_of(port);
  udpr_transport_release(port);
  if (fork() != 0) exit(0);
  CHECK(setsid() > 0);
  if (fork() != 0) _exit(0);
  alarm(check_seconds());
  pid_t self = getpid();
  OK(udpr_reactor_after_fork(reactor));
  CHECK_EQ(sizeof host, write(report, &host, sizeof host));
  CHECK_EQ(sizeof self, write(report, &self, sizeof self));
  udpr_status status = udpr_reactor_run(reactor); /* until SIGTERM */
  udpr_reactor_free(reactor);
  CHECK_EQ(sizeof status, write(still_running, &status, sizeof status));
  _exit(0);
}

TEST(a_daemon_binds_forks_twice_and_serves) {
  int         report[2], still_running[2];
  udpr_addr   host;
  pid_t       serving;
  udpr_status status;
  CHECK(pipe(report) == 0 && pipe(still_running) == 0);
  pid_t starter = check_fork();
  if (starter == 0) daemon_main(report[1], still_running[1]);
  CHECK_EQ(0, check_wait(starter)); /* as a shell would */
  close(still_running[1]);
  CHECK_EQ(sizeof host, read(report[0], &host, sizeof host));
  CHECK_EQ(sizeof serving, read(report[0], &serving, sizeof serving));
  int peer = peer_open(AF_INET);
  for (int i = 0; i < 10; i++) {
    peer_send(peer, &host, "Hello World!", 12);
    PEER_RECEIVES(peer, "Hello World!");
  }
  CHECK_EQ(0, kill(serving, SIGTERM));
  CHECK_EQ(sizeof status, read(still_running[0], &status, sizeof status));
  OK(status);
  CHECK_EQ(0, read(still_running[0], &status, sizeof status)); /* end of file: the daemon has ended */
  close(peer);
  close(report[0]);
  close(report[1]);
  close(still_running[0]);
}

CHECK_MAIN()
