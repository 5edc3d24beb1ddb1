/* Sandboxes that refuse system calls: where there is another way nothing else changes, and where there is none the call that
 * needs it says so.
 */
#include "refuse_syscalls.h"

#include <poll.h>

enum { BURST = 40 };

typedef struct port {
  udpr_transport *transport;
  udpr_addr       host;
  int             got;
} port;

/* ---- a life in which everything happens ----------------------------------------------------------------- */

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
  udpr_udp_options options = {.size = sizeof options, .flags = UDPR_UDP_ERROR_REPORTS | UDPR_UDP_PACKET_INFO};
  udpr_protocol    protocol = {.size = sizeof protocol, .user = self, .datagram_received = received};
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

/* Gathered in a callback, and one by one outside of callbacks. */
static void echoes(udpr_reactor *reactor, const char *host) {
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

static void timers(udpr_reactor *reactor) {
  udpr_ns due = udpr_reactor_now(reactor) + MS(3), called = 0;
  OK(udpr_reactor_call_later(reactor, MS(3), note_time, &called, NULL, NULL));
  RUN_UNTIL(reactor, called);
  CHECK(called >= due);
}

static void stop_by_remote(udpr_reactor *reactor, void *user) {
  (void)reactor;
  OK(udpr_remote_stop(user));
}

static void call_by_remote(void *remote) { OK(udpr_remote_call(remote, stop_by_remote, remote, NULL)); }

static void begin_thread(udpr_reactor *reactor, void *user) {
  (void)reactor;
  thread_start(user, call_by_remote, ((check_thread *)user)->arg);
}

/* Run waits without an end: only a wake-up ends that. */
static void wake_ups(udpr_reactor *reactor) {
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

static void signals(udpr_reactor *reactor) {
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

static void threads(udpr_reactor *reactor) {
  int  step = 0;
  bool is_resolved = false;
  OK(udpr_reactor_call_in_thread(reactor, work, work_done, &step, NULL));
  OK(udpr_reactor_resolve(reactor, "localhost", 1, 0, 0, resolved, &is_resolved, NULL, NULL));
  RUN_UNTIL(reactor, step == 2 && is_resolved);
}

/* A loop around this one has a descriptor that is readable when a call is due, or a status that says that there is none. */
static void embedding(udpr_reactor *reactor) {
  int32_t fd = -1;
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

static void is_closed(udpr_reactor *reactor) {
  CHECK_STATUS(UDPR_E_CLOSED, udpr_reactor_iterate(reactor, 0));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_reactor_call_from_thread(reactor, note_time, NULL, NULL));
}

static void idle_child(void *reactor) {
  is_closed(reactor);
  OK(udpr_reactor_after_fork(reactor));
  echoes(reactor, "127.0.0.1");
  wake_ups(reactor);
}

static void closed_child(void *reactor) {
  is_closed(reactor);
  CHECK_STATUS(UDPR_E_REENTRANT, udpr_reactor_after_fork(reactor));
}

static void fork_inside(udpr_reactor *reactor, void *user) {
  run_in_killed_child(closed_child, reactor);
  *(bool *)user = true;
}

static void forks(udpr_reactor *reactor) {
  bool is_forked = false;
  run_in_killed_child(idle_child, reactor);
  OK(udpr_reactor_call_later(reactor, 0, fork_inside, &is_forked, NULL, NULL));
  RUN_UNTIL(reactor, is_forked);
  echoes(reactor, "127.0.0.1");
}

static void life(udpr_reactor *reactor) {
  echoes(reactor, "127.0.0.1");
  echoes(reactor, "::1");
  timers(reactor);
  wake_ups(reactor);
  signals(reactor);
  threads(reactor);
  embedding(reactor);
  forks(reactor);
  OK(udpr_reactor_free(reactor));
}

/* ---- what is refused ------------------------------------------------------------------------------------ */

typedef struct refusal {
  const replaceable_syscall *call;
  int                        error;
} refusal;

static void life_without_one(void *user) {
  refusal *self = user;
  refuse_replaceable(self->call, self->error);
  life(new_reactor(UDPR_REACTOR_SIGNALS));
}

static void each_by_itself(int error) {
  for (int i = 0; i < REPLACEABLE_SYSCALLS; i++) {
    refusal self = {&replaceable_syscalls[i], error};
    check_context = self.call->name;
    run_in_child(life_without_one, &self);
  }
}

TEST(each_refused_by_itself_with_enosys) { each_by_itself(ENOSYS); }

TEST(each_refused_by_itself_with_eperm) { each_by_itself(EPERM); }

TEST(each_refused_by_itself_with_eacces) { each_by_itself(EACCES); }

/* gVisor, and Linux before 4.14. */
TEST(madvise_refused_with_einval) {
  const int calls[] = {SYS_madvise};
  refuse_syscalls(calls, 1, EINVAL);
  life(new_reactor(UDPR_REACTOR_SIGNALS));
}

static void all_refused(int error) {
  refuse_all_replaceable(error);
  life(new_reactor(UDPR_REACTOR_SIGNALS));
}

TEST(all_refused_with_enosys) { all_refused(ENOSYS); }

TEST(all_refused_with_eperm) { all_refused(EPERM); }

TEST(all_refused_with_eacces) { all_refused(EACCES); }

/* A program that goes into its sandbox when it has all that it needs. */
static void refused_later(int error) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_SIGNALS);
  echoes(reactor, "127.0.0.1");
  refuse_all_replaceable(error);
  echoes(reactor, "127.0.0.1");
  echoes(reactor, "::1");
  timers(reactor);
  wake_ups(reactor);
  signals(reactor);
  threads(reactor);
  embedding(reactor);
  OK(udpr_reactor_free(reactor));
}

TEST(all_refused_later_with_enosys) { refused_later(ENOSYS); }

TEST(all_refused_later_with_eperm) { refused_later(EPERM); }

TEST(all_refused_later_with_eacces) { refused_later(EACCES); }

static void sandboxed_child(void *reactor) {
  refuse_all_replaceable(ENOSYS);
  idle_child(reactor);
}

/* A worker goes into the sandbox, the parent that has made its reactor does not. */
TEST(all_refused_in_a_forked_child) {
  udpr_reactor *reactor = new_reactor(0);
  run_in_killed_child(sandboxed_child, reactor);
  echoes(reactor, "127.0.0.1");
  OK(udpr_reactor_free(reactor));
}

TEST(features_say_what_is_refused) {
  const char *names[] = {"recvmmsg", "sendmmsg", "wipe_on_fork"};
  for (int i = 0; i < 3; i++) CHECK(udpr_has_feature(names[i]));
  refuse_all_replaceable(EPERM);
  for (int i = 0; i < 3; i++) CHECK(!udpr_has_feature(names[i]));
}

/* In an empty root there is no /dev/urandom either. */
static void life_without_chance(void *root) {
  const int calls[] = {SYS_getrandom};
  if (chroot(root) != 0 || chdir("/") != 0) SKIP("needs root for chroot");
  refuse_syscalls(calls, 1, EPERM);
  udpr_reactor *reactor = new_reactor(0);
  echoes(reactor, "127.0.0.1");
  wake_ups(reactor);
  OK(udpr_reactor_free(reactor));
}

TEST(no_random_numbers_at_all) {
  char root[] = "/tmp/udpr-sandbox-XXXXXX";
  CHECK(mkdtemp(root) != NULL);
  pid_t child = check_fork();
  if (child == 0) {
    life_without_chance(root);
    _exit(0); /* a leak checker would look for /proc */
  }
  int status = check_wait(child);
  CHECK_EQ(0, rmdir(root));
  if (status != 0) _exit(WIFEXITED(status) ? WEXITSTATUS(status) : CHECK_FAILED);
}

/* ---- what nothing replaces ------------------------------------------------------------------------------ */

typedef struct deaf {
  udpr_status reason, logged;
  int         stops;
} deaf;

static void deaf_stopped(udpr_transport *transport, udpr_status reason, void *user) {
  (void)transport;
  deaf *self = user;
  self->reason = reason, self->stops++;
}

static void deaf_logged(const udpr_log_record *record, void *user) {
  if (record->level == UDPR_LOG_ERROR) ((deaf *)user)->logged = record->status;
}

/* A port that can receive nothing is never silent. */
static void nothing_can_be_received(int error) {
  const int calls[] = {replaceable_syscalls[0].numbers[0], SYS_recvmsg, replaceable_syscalls[0].numbers[1]};
  refuse_syscalls(calls, replaceable_syscalls[0].count == 2 ? 3 : 2, error);
  deaf          self = {.reason = UDPR_OK};
  udpr_reactor *reactor = new_reactor(0);
  udpr_protocol protocol = {.size = sizeof protocol, .user = &self, .stop_protocol = deaf_stopped};
  OK(udpr_reactor_set_logger(reactor, UDPR_LOG_ERROR, deaf_logged, &self, NULL));
  udpr_transport *transport = listen_on(reactor, "127.0.0.1", &protocol, NULL);
  udpr_addr       host = host_of(transport);
  OK(udpr_transport_write(transport, "x", 1, &host));
  RUN_UNTIL(reactor, self.stops);
  CHECK_STATUS(UDPR_E_NOT_SUPPORTED, self.reason);
  CHECK_STATUS(UDPR_E_NOT_SUPPORTED, self.logged);
  udpr_transport_release(transport);
  OK(udpr_reactor_free(reactor));
}

TEST(nothing_can_be_received_enosys) { nothing_can_be_received(ENOSYS); }

TEST(nothing_can_be_received_eperm) { nothing_can_be_received(EPERM); }

TEST(nothing_can_be_received_eacces) { nothing_can_be_received(EACCES); }

static void nothing_can_be_sent(int error) {
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

TEST(nothing_can_be_sent_enosys) { nothing_can_be_sent(ENOSYS); }

TEST(nothing_can_be_sent_eperm) { nothing_can_be_sent(EPERM); }

/* There is no reactor without one of them. */
static void no_reactor_without(int call) {
  udpr_reactor *reactor = NULL;
  refuse_syscalls(&call, 1, ENOSYS);
  CHECK_STATUS(UDPR_E_SYSTEM - ENOSYS, udpr_reactor_new(NULL, &reactor));
  CHECK(reactor == NULL);
}

TEST(no_reactor_without_epoll) { no_reactor_without(SYS_epoll_create1); }

TEST(no_reactor_without_eventfd_and_pipe) {
  const int calls[] = {SYS_eventfd2};
  refuse_syscalls(calls, 1, EPERM);
  no_reactor_without(SYS_pipe2);
}

CHECK_MAIN()
