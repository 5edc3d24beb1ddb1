/* udpr_reactor_after_fork: in a child everything goes on, and the parent notices nothing. */
#include "event_log.h"
#include "lookup.h"
#include "watcher.h"

#include <poll.h>

typedef struct family {
  udpr_reactor *reactor;
  udpr_remote  *remote;
  probe         port;
  watcher       reader;
  int           ends[2];
  logged_call   call, up, down;
} family;

static void found(family *all) {
  *all = (family){.reactor = new_reactor(0)};
  OK(udpr_reactor_remote(all->reactor, &all->remote));
  probe_listen(&all->port, all->reactor);
  open_pipe(all->ends);
  watch(all->reactor, all->ends[0], R, &all->reader);
  call_later_logged(all->reactor, MS(1), &all->call);
  add_logged_trigger(all->reactor, DURING, STARTUP, &all->up);
  add_logged_trigger(all->reactor, DURING, SHUTDOWN, &all->down);
}

/* All that was registered comes, once, and the end is the usual one. */
static void goes_on(family *all) {
  char byte;
  OK(udpr_reactor_start(all->reactor));
  CHECK_EQ(1, all->up.called);
  send_letters(&all->port.host, "ab");
  RUN_UNTIL(all->reactor, strlen(all->port.received) == 2);
  CHECK_STR("ab", all->port.received);
  CHECK_EQ(1, write(all->ends[1], "x", 1));
  RUN_UNTIL(all->reactor, all->reader.calls);
  CHECK_EQ(1, read(all->ends[0], &byte, 1));
  RUN_UNTIL(all->reactor, all->call.called);
  OK(udpr_transport_write(all->port.transport, "c", 1, &all->port.host));
  RUN_UNTIL(all->reactor, strlen(all->port.received) == 3);
  OK(udpr_remote_stop(all->remote));
  RUN_UNTIL(all->reactor, !udpr_reactor_is_running(all->reactor));
  CHECK_EQ(1, all->down.called);
  OK(udpr_reactor_free(all->reactor));
  probe_check_ended(&all->port);
  CHECK(all->reader.freed == 1 && all->call.freed == 1 && all->up.freed == 1 && all->down.freed == 1);
  udpr_remote_release(all->remote);
  close_pipe(all->ends);
}

static void child_goes_on(void *arg) {
  family *all = arg;
  OK(udpr_reactor_after_fork(all->reactor));
  goes_on(all);
}

TEST(a_child_goes_on_and_so_does_its_parent) {
  family all;
  found(&all);
  run_in_child(child_goes_on, &all);
  run_in_child(child_goes_on, &all); /* another one, later */
  goes_on(&all);
}

static void grandchild_goes_on(void *arg) {
  family *all = arg;
  OK(udpr_reactor_after_fork(all->reactor));
  run_in_child(child_goes_on, all);
  goes_on(all);
}

TEST(a_childs_child_too) {
  family all;
  found(&all);
  run_in_child(grandchild_goes_on, &all);
  goes_on(&all);
}

static void child_of_children(void *arg) { run_in_child(child_goes_on, arg); }

TEST(a_child_between_need_not_say_it) {
  family all;
  found(&all);
  run_in_killed_child(child_of_children, &all);
  goes_on(&all);
}

/* ---- without it, and where it does not belong ---------------------------------------------------------- */

static void all_is_closed(void *arg) {
  family     *all = arg;
  logged_call user = {0};
  udpr_id     id;
  int32_t     fd;
  int64_t     timeout;
  lookup      name = {0};
  watcher     other = {0};
  CHECK_STATUS(UDPR_E_CLOSED, udpr_reactor_add_trigger(all->reactor, BEFORE, STARTUP, logged_trigger_run,
                                                       &user, count_free, &id));
  CHECK_STATUS(UDPR_E_CLOSED,
               udpr_reactor_call_when_running(all->reactor, logged_call_run, &user, count_free, &id));
  CHECK_STATUS(UDPR_E_CLOSED,
               udpr_reactor_call_from_thread(all->reactor, logged_call_run, &user, count_free));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_remote_call(all->remote, logged_call_run, &user, count_free));
  CHECK_EQ(4, user.freed);
  CHECK_STATUS(UDPR_E_CLOSED, udpr_reactor_remove_trigger(all->reactor, all->up.id));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_reactor_finish_trigger(all->reactor, all->up.id));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_reactor_fire_event(all->reactor, STARTUP));
  job work = {.loop_thread = pthread_self()};
  CHECK_STATUS(UDPR_E_CLOSED, udpr_reactor_call_in_thread(all->reactor, job_work, job_done, &work, job_free));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_reactor_suggest_thread_pool_size(all->reactor, 2));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_reactor_resolve(all->reactor, "localhost", 0, 0, 0, lookup_resolved, &name,
                                                   count_free, &id));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_reactor_cancel_resolve(all->reactor, 1));
  CHECK_STATUS(UDPR_E_CLOSED,
               udpr_reactor_watch(all->reactor, all->ends[1], W, on_ready, &other, count_free, &id));
  CHECK(work.freed == 1 && name.freed == 1 && other.freed == 1);
  CHECK_STATUS(UDPR_E_CLOSED, udpr_reactor_change_watch(all->reactor, all->reader.id, W));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_reactor_unwatch(all->reactor, all->reader.id));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_reactor_backend_fd(all->reactor, &fd));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_reactor_next_timeout(all->reactor, &timeout));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_reactor_start(all->reactor));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_remote_stop(all->remote));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_remote_wake(all->remote));
}

static void child_only_frees(void *arg) {
  family *all = arg;
  all_is_closed(all);
  udpr_reactor_free(all->reactor);
  udpr_transport_release(all->port.transport);
  udpr_remote_release(all->remote);
  CHECK(all->reader.freed == 0 && all->call.freed == 0 && all->up.freed == 0 && all->port.stops == 0);
}

TEST(without_it_all_is_closed) {
  family all;
  found(&all);
  run_in_killed_child(child_only_frees, &all);
  goes_on(&all);
}

TEST(a_parent_is_told_no) {
  family all;
  found(&all);
  CHECK(udpr_reactor_after_fork(all.reactor) < 0);
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_reactor_after_fork(NULL));
  goes_on(&all);
}

/* ---- the parent is undisturbed ------------------------------------------------------------------------- */

static void disturb(void *arg) {
  family *all = arg;
  OK(udpr_reactor_after_fork(all->reactor));
  OK(udpr_remote_wake(all->remote));
  OK(udpr_reactor_call_from_thread(all->reactor, logged_call_run, &all->down, NULL));
  OK(udpr_reactor_unwatch(all->reactor, all->reader.id));
  OK(udpr_transport_close(all->port.transport));
  OK(udpr_reactor_cancel_call(all->reactor, all->call.id));
  run_turns(all->reactor, 3);
  CHECK_EQ(1, all->down.called);
  OK(udpr_remote_wake(all->remote)); /* this one it leaves as it is */
  OK(udpr_reactor_free(all->reactor));
  udpr_transport_release(all->port.transport);
  udpr_remote_release(all->remote);
}

TEST(what_a_child_does_wakes_nobody_here) {
  family all;
  found(&all);
  OK(udpr_reactor_reset_call(all.reactor, all.call.id, SECONDS(1000)));
  run_turns(all.reactor, 2);
  run_in_child(disturb, &all);
  udpr_ns begin = monotonic_ns();
  OK(udpr_reactor_iterate(all.reactor, (int64_t)MS(20)));
  CHECK(monotonic_ns() - begin >= MS(20));
  OK(udpr_reactor_reset_call(all.reactor, all.call.id, 0));
  goes_on(&all);
}

/* ---- threads, names, the descriptor for other loops ---------------------------------------------------- */

typedef struct worker {
  udpr_reactor *reactor;
  int           backend;
} worker;

static void works(void *arg) {
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

static void child_works(void *arg) {
  OK(udpr_reactor_after_fork(((worker *)arg)->reactor));
  works(arg);
}

TEST(a_child_has_a_pool_of_its_own) {
  worker all = {.reactor = new_reactor(0)};
  int    others = count_threads();
  job    before = {0};
  job_submit(all.reactor, &before); /* so that the parent's has a thread, that the child has not */
  RUN_UNTIL(all.reactor, before.freed);
  run_in_killed_child(child_works, &all);
  works(&all);
  WAIT_UNTIL(count_threads() == others);
}

static void told_by_the_descriptor(udpr_reactor *reactor) {
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

static void child_is_told(void *arg) {
  OK(udpr_reactor_after_fork(((worker *)arg)->reactor));
  told_by_the_descriptor(((worker *)arg)->reactor);
}

TEST(the_descriptor_tells_a_child_too) {
  worker all = {.reactor = new_reactor(0)};
  OK(udpr_reactor_backend_fd(all.reactor, &all.backend));
  run_in_child(child_is_told, &all);
  told_by_the_descriptor(all.reactor);
}

/* A wake-up that is pending when the fork comes is pending in the child; and where there was none, a thread may have been
 * about to make one, which is not there any more: so there is one anyway.
 */
static void child_is_woken(void *arg) {
  worker       *all = arg;
  struct pollfd one = {.fd = all->backend, .events = POLLIN};
  OK(udpr_reactor_after_fork(all->reactor));
  CHECK_EQ(1, poll(&one, 1, 0));
  run_turns(all->reactor, 2);
  CHECK_EQ(0, poll(&one, 1, 0));
  OK(udpr_reactor_free(all->reactor));
}

TEST(a_wake_up_that_was_pending_is_pending_there) {
  worker       all = {.reactor = new_reactor(0)};
  udpr_remote *remote;
  OK(udpr_reactor_remote(all.reactor, &remote));
  OK(udpr_reactor_backend_fd(all.reactor, &all.backend));
  run_turns(all.reactor, 2);
  run_in_killed_child(child_is_woken, &all);
  OK(udpr_remote_wake(remote));
  run_in_killed_child(child_is_woken, &all);
  struct pollfd one = {.fd = all.backend, .events = POLLIN};
  CHECK_EQ(1, poll(&one, 1, 0)); /* the child has not taken it */
  udpr_remote_release(remote);
  OK(udpr_reactor_free(all.reactor));
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

TEST(a_childs_calls_are_not_told_here) {
  sleeper       all = {.reactor = new_reactor(0)};
  struct pollfd one = {.events = POLLIN};
  OK(udpr_reactor_backend_fd(all.reactor, &one.fd));
  call_later_logged(all.reactor, SECONDS(500), &all.call);
  run_turns(all.reactor, 2);
  run_in_killed_child(set_other_alarms, &all);
  CHECK_EQ(0, poll(&one, 1, 20));
  OK(udpr_reactor_reset_call(all.reactor, all.call.id, MS(300)));
  run_in_killed_child(set_other_alarms, &all);
  while (!all.call.called) {
    CHECK_EQ(1, poll(&one, 1, (int)(CHECK_TIMEOUT / MS(1))));
    OK(udpr_reactor_iterate(all.reactor, 0));
  }
  OK(udpr_reactor_free(all.reactor));
}

/* ---- a daemon ------------------------------------------------------------------------------------------ */

static void echo(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  (void)user;
  OK(udpr_transport_write(transport, datagram->data, datagram->len, &datagram->sender));
}

/* Binds where its caller still sees errors, forks twice, and runs as nobody's child. What it holds of `alive`
 * closes when it ends.
 */
static void daemon_main(int tell, int alive) {
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
  CHECK_EQ(sizeof host, write(tell, &host, sizeof host));
  CHECK_EQ(sizeof self, write(tell, &self, sizeof self));
  udpr_status status = udpr_reactor_run(reactor); /* until SIGTERM */
  udpr_reactor_free(reactor);
  CHECK_EQ(sizeof status, write(alive, &status, sizeof status));
  _exit(0);
}

TEST(a_daemon_binds_forks_twice_and_serves) {
  int         tell[2], alive[2];
  udpr_addr   host;
  pid_t       serving;
  udpr_status status;
  CHECK(pipe(tell) == 0 && pipe(alive) == 0);
  pid_t starter = check_fork();
  if (starter == 0) daemon_main(tell[1], alive[1]);
  CHECK_EQ(0, check_wait(starter)); /* as a shell does */
  close(alive[1]);
  CHECK_EQ(sizeof host, read(tell[0], &host, sizeof host));
  CHECK_EQ(sizeof serving, read(tell[0], &serving, sizeof serving));
  int peer = peer_open(AF_INET);
  for (int i = 0; i < 10; i++) {
    peer_send(peer, &host, "Hello World!", 12);
    PEER_RECEIVES(peer, "Hello World!");
  }
  CHECK_EQ(0, kill(serving, SIGTERM));
  CHECK_EQ(sizeof status, read(alive[0], &status, sizeof status));
  OK(status);
  CHECK_EQ(0, read(alive[0], &status, sizeof status)); /* it is gone */
  close(peer);
  close(tell[0]);
  close(tell[1]);
  close(alive[0]);
}

CHECK_MAIN()
