/* Sandboxes that refuse system calls. If there is an alternative, everything works. If there is none, the
 * call that needs it returns an error.
 */
#include "refuse_syscalls.h"

#include <poll.h>

enum { BURST = 40 };

typedef struct port {
  udpr_transport *transport;
  udpr_addr       host;
  int             got;
} port;

/* ---- one use of everything ----------------------------------------------------------------------------- */

static void echo(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  ((port *)user)->got++;
  OK(udpr_transport_write(transport, datagram->data, datagram->len, &datagram->sender));
}

static void count(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  (void)transport;
  CHECK_EQ(100, datagram->len);
  ((port *)user)->got++;
}

static void open_port(port *self, udpr_reactor *reactor, const char *host, udpr_datagram_fn received) {
  udpr_udp_options options = {.size = sizeof options, .flags = UDPR_UDP_PACKET_INFO};
  if (udpr_has_feature("error_reports")) options.flags |= UDPR_UDP_ERROR_REPORTS;
  udpr_protocol protocol = {.size = sizeof protocol, .user = self, .datagram_received = received};
  *self = (port){.transport = listen_on(reactor, host, &protocol, &options)};
  self->host = host_of(self->transport);
}

typedef struct burst {
  port *from;
  port *to;
} burst;

static void write_burst(udpr_reactor *reactor, void *user) {
  (void)reactor;
  burst *self = user;
  char   data[100] = {0};
  for (int i = 0; i < BURST; i++) OK(udpr_transport_write(self->from->transport, data, 100, &self->to->host));
}

/* Batched in a callback, and one by one outside of callbacks. */
static void check_echoes(udpr_reactor *reactor, const char *host) {
  port server, client;
  open_port(&server, reactor, host, echo);
  open_port(&client, reactor, host, count);
  burst self = {&client, &server};
  OK(udpr_reactor_call_later(reactor, 0, write_burst, &self, NULL, NULL));
  RUN_UNTIL(reactor, client.got == BURST);
  write_burst(reactor, &self);
  RUN_UNTIL(reactor, client.got == 2 * BURST);
  CHECK_EQ(2 * BURST, server.got);
  OK(udpr_transport_close(server.transport));
  OK(udpr_transport_close(client.transport));
  udpr_transport_release(server.transport);
  udpr_transport_release(client.transport);
}

static void note_time(udpr_reactor *reactor, void *user) { *(udpr_ns *)user = udpr_reactor_now(reactor); }

static void check_timers(udpr_reactor *reactor) {
  udpr_ns due = udpr_reactor_now(reactor) + MS(3), called = 0;
  OK(udpr_reactor_call_later(reactor, MS(3), note_time, &called, NULL, NULL));
  RUN_UNTIL(reactor, called);
  CHECK(called >= due);
}

static void stop_remote(udpr_reactor *reactor, void *user) {
  (void)reactor;
  OK(udpr_remote_stop(user));
}

static void call_by_remote(void *remote) { OK(udpr_remote_call(remote, stop_remote, remote, NULL)); }

static void begin_thread(udpr_reactor *reactor, void *user) {
  (void)reactor;
  thread_start(user, call_by_remote, ((check_thread *)user)->arg);
}

/* run waits without limit, so only a wake-up can end it. */
static void check_wake_ups(udpr_reactor *reactor) {
  udpr_remote *remote;
  OK(udpr_reactor_remote(reactor, &remote));
  check_thread thread = {.arg = remote};
  OK(udpr_reactor_call_when_running(reactor, begin_thread, &thread, NULL, NULL));
  run_with_timeout(reactor);
  thread_join(&thread);
  udpr_remote_release(remote);
}

static void raise_term(udpr_reactor *reactor, void *user) {
  (void)reactor, (void)user;
  CHECK_EQ(0, kill(getpid(), SIGTERM));
}

static void check_signals(udpr_reactor *reactor) {
  OK(udpr_reactor_call_later(reactor, 0, raise_term, NULL, NULL, NULL));
  run_with_timeout(reactor);
}

static void work(void *user) { *(int *)user = 1; }

static void work_done(udpr_reactor *reactor, void *user) {
  (void)reactor;
  *(int *)user = 2;
}

static void resolved(udpr_reactor *reactor, udpr_id id, udpr_status status, const udpr_addr *addrs,
                     size_t len, void *user) {
  (void)reactor, (void)id, (void)addrs;
  OK(status);
  CHECK(len > 0);
  *(bool *)user = true;
}

static void check_threads(udpr_reactor *reactor) {
  int  step = 0;
  bool is_resolved = false;
  OK(udpr_reactor_call_in_thread(reactor, work, work_done, &step, NULL));
  OK(udpr_reactor_resolve(reactor, "localhost", 1, 0, 0, resolved, &is_resolved, NULL, NULL));
  RUN_UNTIL(reactor, step == 2 && is_resolved);
}

/* An outer loop needs a descriptor that is readable when a call is due, or a status that there is none. */
static void check_embedding(udpr_reactor *reactor) {
  udpr_socket fd = -1;
  if (!timerfd_is_available()) {
    CHECK_STATUS(UDPR_E_NOT_SUPPORTED, udpr_reactor_backend_fd(reactor, &fd));
    return;
  }
  OK(udpr_reactor_backend_fd(reactor, &fd));
  run_turns(reactor, 3);
  udpr_ns called = 0;
  OK(udpr_reactor_call_later(reactor, MS(3), note_time, &called, NULL, NULL));
  while (!called) {
    struct pollfd one = {.fd = fd, .events = POLLIN};
    CHECK_EQ(1, poll(&one, 1, (int)(CHECK_TIMEOUT / MS(1))));
    OK(udpr_reactor_iterate(reactor, 0));
  }
}

/* ---- forks ---------------------------------------------------------------------------------------------- */

static void check_closed(udpr_reactor *reactor) {
  CHECK_STATUS(UDPR_E_CLOSED, udpr_reactor_iterate(reactor, 0));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_reactor_call_from_thread(reactor, note_time, NULL, NULL));
}

static void child_after_idle(void *reactor) {
  check_closed(reactor);
  OK(udpr_reactor_after_fork(reactor));
  check_echoes(reactor, "127.0.0.1");
  check_wake_ups(reactor);
}

static void child_closes(void *reactor) {
  check_closed(reactor);
  CHECK_STATUS(UDPR_E_REENTRANT, udpr_reactor_after_fork(reactor));
}

static void fork_inside(udpr_reactor *reactor, void *user) {
  run_in_killed_child(child_closes, reactor);
  *(bool *)user = true;
}

static void check_forks(udpr_reactor *reactor) {
  bool is_forked = false;
  run_in_killed_child(child_after_idle, reactor);
  OK(udpr_reactor_call_later(reactor, 0, fork_inside, &is_forked, NULL, NULL));
  RUN_UNTIL(reactor, is_forked);
  check_echoes(reactor, "127.0.0.1");
}

static void check_everything(udpr_reactor *reactor) {
  check_echoes(reactor, "127.0.0.1");
  check_echoes(reactor, "::1");
  check_timers(reactor);
  check_wake_ups(reactor);
  check_signals(reactor);
  check_threads(reactor);
  check_embedding(reactor);
  check_forks(reactor);
  OK(udpr_reactor_free(reactor));
}

/* ---- refused calls with an alternative ----------------------------------------------------------------- */

typedef struct refusal {
  const replaceable_syscall *call;
  int                        error;
} refusal;

static void check_everything_without_one(void *user) {
  refusal *self = user;
  refuse_replaceable(self->call, self->error);
  check_everything(new_reactor(UDPR_REACTOR_SIGNALS));
}

static void check_each_refused(int error) {
  for (int i = 0; i < REPLACEABLE_SYSCALLS; i++) {
    refusal self = {&replaceable_syscalls[i], error};
    check_context = self.call->name;
    run_in_child(check_everything_without_one, &self);
  }
}

TEST(each_replaceable_call_refused_with_enosys) { check_each_refused(ENOSYS); }

TEST(each_replaceable_call_refused_with_eperm) { check_each_refused(EPERM); }

TEST(each_replaceable_call_refused_with_eacces) { check_each_refused(EACCES); }

/* gVisor, and Linux before 4.14. */
TEST(madvise_refused_with_einval) {
  const int calls[] = {SYS_madvise};
  refuse_syscalls(calls, 1, EINVAL);
  check_everything(new_reactor(UDPR_REACTOR_SIGNALS));
}

static void check_all_refused(int error) {
  refuse_all_replaceable(error);
  check_everything(new_reactor(UDPR_REACTOR_SIGNALS));
}

TEST(all_refused_with_enosys) { check_all_refused(ENOSYS); }

TEST(all_refused_with_eperm) { check_all_refused(EPERM); }

TEST(all_refused_with_eacces) { check_all_refused(EACCES); }

/* The program enters its sandbox after it has made the reactor. */
static void check_all_refused_later(int error) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_SIGNALS);
  check_echoes(reactor, "127.0.0.1");
  refuse_all_replaceable(error);
  check_echoes(reactor, "127.0.0.1");
  check_echoes(reactor, "::1");
  check_timers(reactor);
  check_wake_ups(reactor);
  check_signals(reactor);
  check_threads(reactor);
  check_embedding(reactor);
  OK(udpr_reactor_free(reactor));
}

TEST(all_refused_later_with_enosys) { check_all_refused_later(ENOSYS); }

TEST(all_refused_later_with_eperm) { check_all_refused_later(EPERM); }

TEST(all_refused_later_with_eacces) { check_all_refused_later(EACCES); }

static void sandboxed_child(void *reactor) {
  refuse_all_replaceable(ENOSYS);
  child_after_idle(reactor);
}

/* A worker process enters the sandbox, its parent, which has made the reactor, does not. */
TEST(all_refused_in_a_forked_child) {
  udpr_reactor *reactor = new_reactor(0);
  run_in_killed_child(sandboxed_child, reactor);
  check_echoes(reactor, "127.0.0.1");
  OK(udpr_reactor_free(reactor));
}

TEST(has_feature_reports_refused_calls) {
  const char *names[] = {"recvmmsg", "sendmmsg", "wipe_on_fork"};
  for (int i = 0; i < 3; i++) CHECK(udpr_has_feature(names[i]));
  refuse_all_replaceable(EPERM);
  for (int i = 0; i < 3; i++) CHECK(!udpr_has_feature(names[i]));
}

/* In an empty root directory there is no /dev/urandom either. */
static void check_without_random_numbers(void *root) {
  const int calls[] = {SYS_getrandom};
  if (chroot(root) != 0 || chdir("/") != 0) SKIP("needs root for chroot");
  refuse_syscalls(calls, 1, EPERM);
  udpr_reactor *reactor = new_reactor(0);
  check_echoes(reactor, "127.0.0.1");
  check_wake_ups(reactor);
  OK(udpr_reactor_free(reactor));
}

TEST(no_random_numbers_at_all) {
  char root[] = "/tmp/udpr-sandbox-XXXXXX";
  CHECK(mkdtemp(root) != NULL);
  pid_t child = check_fork();
  if (child == 0) {
    check_without_random_numbers(root);
    _exit(0); /* a leak checker would need /proc */
  }
  int status = check_wait(child);
  CHECK_EQ(0, rmdir(root));
  if (status != 0) _exit(WIFEXITED(status) ? WEXITSTATUS(status) : CHECK_FAILED);
}

/* ---- refused calls without an alternative -------------------------------------------------------------- */

typedef struct unreceivable_port {
  udpr_status reason, logged;
  int         stops;
} unreceivable_port;

static void unreceivable_stopped(udpr_transport *transport, udpr_status reason, void *user) {
  (void)transport;
  unreceivable_port *self = user;
  self->reason = reason, self->stops++;
}

static void unreceivable_logged(const udpr_log_record *record, void *user) {
  if (record->level == UDPR_LOG_ERROR) ((unreceivable_port *)user)->logged = record->status;
}

/* A port that cannot receive stops with an error. */
static void check_nothing_can_be_received(int error) {
  const int calls[] = {replaceable_syscalls[0].numbers[0], SYS_recvmsg, replaceable_syscalls[0].numbers[1]};
  refuse_syscalls(calls, replaceable_syscalls[0].count == 2 ? 3 : 2, error);
  unreceivable_port self = {.reason = UDPR_OK};
  udpr_reactor     *reactor = new_reactor(0);
  udpr_protocol protocol = {.size = sizeof protocol, .user = &self, .stop_protocol = unreceivable_stopped};
  OK(udpr_reactor_set_logger(reactor, UDPR_LOG_ERROR, unreceivable_logged, &self, NULL));
  udpr_transport *transport = listen_on(reactor, "127.0.0.1", &protocol, NULL);
  udpr_addr       host = host_of(transport);
  OK(udpr_transport_write(transport, "x", 1, &host));
  RUN_UNTIL(reactor, self.stops);
  CHECK_STATUS(UDPR_E_NOT_SUPPORTED, self.reason);
  CHECK_STATUS(UDPR_E_NOT_SUPPORTED, self.logged);
  udpr_transport_release(transport);
  OK(udpr_reactor_free(reactor));
}

TEST(nothing_can_be_received_enosys) { check_nothing_can_be_received(ENOSYS); }

TEST(nothing_can_be_received_eperm) { check_nothing_can_be_received(EPERM); }

TEST(nothing_can_be_received_eacces) { check_nothing_can_be_received(EACCES); }

static void check_nothing_can_be_sent(int error) {
  const int calls[] = {SYS_sendmmsg, SYS_sendmsg};
  refuse_syscalls(calls, 2, error);
  udpr_reactor *reactor = new_reactor(0);
  udpr_addr     host = addr("127.0.0.1", 9);
  port          self;
  open_port(&self, reactor, "127.0.0.1", echo);
  CHECK_EQ(error, udpr_status_errno(udpr_transport_write(self.transport, "x", 1, &host)));
  udpr_transport_release(self.transport);
  OK(udpr_reactor_free(reactor));
}

TEST(nothing_can_be_sent_enosys) { check_nothing_can_be_sent(ENOSYS); }

TEST(nothing_can_be_sent_eperm) { check_nothing_can_be_sent(EPERM); }

/* A reactor cannot be made without these calls. */
static void check_no_reactor_without(int call) {
  udpr_reactor *reactor = NULL;
  refuse_syscalls(&call, 1, ENOSYS);
  CHECK_STATUS(UDPR_E_SYSTEM - ENOSYS, udpr_reactor_new(NULL, &reactor));
  CHECK(reactor == NULL);
}

TEST(no_reactor_without_epoll) { check_no_reactor_without(SYS_epoll_create1); }

TEST(no_reactor_without_eventfd_and_pipe) {
  refuse_syscalls((const int[]){SYS_eventfd2}, 1, EPERM);
#ifdef SYS_pipe /* musl's pipe2 uses it if SYS_pipe2 fails with ENOSYS */
  refuse_syscalls((const int[]){SYS_pipe}, 1, ENOSYS);
#endif
  check_no_reactor_without(SYS_pipe2);
}

CHECK_MAIN()
