/* Descriptors that are closed, replaced or shut down behind the library's back: statuses, no crash, no spinning. */
#include "probe.h"
#include "watcher.h"

/* A port of which the reason that it stopped for is kept. */
typedef struct victim {
  probe       port; /* the victim begins with it */
  udpr_status reason;
} victim;

static void victim_stopped(udpr_transport *transport, udpr_status reason, void *user) {
  ((victim *)user)->reason = reason;
  probe_stopped(transport, UDPR_OK, user);
}

static void victim_listen(victim *self, udpr_reactor *reactor) {
  udpr_protocol protocol = probe_protocol(&self->port);
  protocol.stop_protocol = victim_stopped;
  self->port.transport = listen_on(reactor, "127.0.0.1", &protocol, NULL);
  self->port.host = host_of(self->port.transport);
}

static uint64_t wakeups(udpr_reactor *reactor) {
  udpr_reactor_stats stats = {.size = sizeof stats};
  OK(udpr_reactor_get_stats(reactor, &stats));
  return stats.wakeups;
}

/* Turns find nothing ready, and the port beside it receives. */
static void others_go_on(udpr_reactor *reactor, probe *other) {
  run_turns(reactor, 3);
  uint64_t before = wakeups(reactor);
  run_turns(reactor, 10);
  CHECK_EQ(before, wakeups(reactor));
  size_t received = strlen(other->received);
  send_letters(&other->host, "o");
  RUN_UNTIL(reactor, strlen(other->received) == received + 1);
}

/* ---- a port's socket ------------------------------------------------------------------------------------- */

static void every_write_says(udpr_status expected, udpr_transport *transport, const udpr_addr *to) {
  udpr_bytes   piece = {"x", 1};
  udpr_message message = {.size = sizeof message, .data = "x", .len = 1, .to = to};
  size_t       taken = 9;
  CHECK_STATUS(expected, udpr_transport_write(transport, "x", 1, to));
  CHECK_STATUS(expected, udpr_transport_write_sequence(transport, &piece, 1, to));
  CHECK_STATUS(expected, udpr_transport_write_messages(transport, &message, 1, &taken));
  CHECK_EQ(0, taken);
}

static int dev_null(void) { return open("/dev/null", O_RDWR | O_CLOEXEC); }
static int pipe_end(void) {
  int ends[2];
  open_pipe(ends);
  close(ends[1]);
  return ends[0];
}
/* Whose other end is gone: a write that asks for no SIGPIPE gets EPIPE, any other one kills. */
static int broken_stream(void) {
  int ends[2];
  CHECK_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends));
  close(ends[1]);
  return ends[0];
}

/* What is at the number now; `make` NULL: nothing. */
static void replace(int number, int (*make)(void)) {
  int fd = make ? make() : -1;
  if (!make) CHECK_EQ(0, close(number));
  else CHECK(fd >= 0 && dup3(fd, number, O_CLOEXEC) == number && close(fd) == 0);
}

static void socket_becomes(int (*make)(void), int error) {
  udpr_reactor *reactor = new_reactor(0);
  victim        it = {0};
  probe         other = {0};
  udpr_addr     host;
  victim_listen(&it, reactor);
  probe_listen(&other, reactor);
  replace(udpr_transport_fileno(it.port.transport), make);
  CHECK_STATUS(UDPR_E_SYSTEM - error, udpr_transport_get_host(it.port.transport, &host));
  every_write_says(UDPR_E_SYSTEM - error, it.port.transport, &other.host);
  send_letters(&it.port.host, "x"); /* to nobody */
  others_go_on(reactor, &other);
  OK(udpr_transport_pause_reading(it.port.transport));
  OK(udpr_transport_resume_reading(it.port.transport));
  others_go_on(reactor, &other);
  OK(udpr_transport_close(it.port.transport));
  OK(it.reason);
  CHECK_STR("", it.port.received);
  probe_check_ended(&it.port);
  others_go_on(reactor, &other);
  OK(udpr_reactor_free(reactor));
  probe_check_ended(&other);
}

TEST(a_socket_closed) { socket_becomes(NULL, EBADF); }
TEST(a_socket_replaced_by_a_device) { socket_becomes(dev_null, ENOTSOCK); }
TEST(a_socket_replaced_by_a_pipe) { socket_becomes(pipe_end, ENOTSOCK); }

TEST(a_socket_replaced_by_a_broken_stream) {
  signal(SIGPIPE, SIG_DFL);
  udpr_reactor *reactor = new_reactor(0);
  victim        it = {0};
  victim_listen(&it, reactor);
  OK(udpr_transport_connect(it.port.transport, &it.port.host));
  replace(udpr_transport_fileno(it.port.transport), broken_stream);
  every_write_says(UDPR_E_SYSTEM - EPIPE, it.port.transport, NULL);
  run_turns(reactor, 3);
  OK(udpr_reactor_free(reactor));
  probe_check_ended(&it.port);
}

/* A copy keeps what was closed in the epoll set, so the port hears of it, and stops by itself. */
TEST(a_socket_closed_of_which_there_is_a_copy) {
  udpr_reactor *reactor = new_reactor(0);
  victim        it = {0};
  victim_listen(&it, reactor);
  int fd = udpr_transport_fileno(it.port.transport), copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  CHECK(copy >= 0 && close(fd) == 0);
  send_letters(&it.port.host, "a");
  RUN_UNTIL(reactor, it.port.freed);
  CHECK_STATUS(UDPR_E_SYSTEM - EBADF, it.reason);
  CHECK_EQ(0, close(copy)); /* it would keep the loop awake */
  check_transport_closed(it.port.transport);
  probe_check_ended(&it.port);
  OK(udpr_reactor_free(reactor));
}

/* The number has two owners then, of which the second gives it up, since epoll has it already. */
TEST(a_ports_own_descriptor_taken_over) {
  udpr_reactor    *reactor = new_reactor(0);
  victim           it = {0};
  probe            other = {0};
  udpr_protocol    protocol = {.size = sizeof protocol};
  udpr_udp_options options = {.size = sizeof options, .flags = UDPR_UDP_TAKE_FD};
  victim_listen(&it, reactor);
  probe_listen(&other, reactor);
  CHECK_STATUS(UDPR_E_SYSTEM - EEXIST,
               udpr_reactor_adopt_datagram_port(reactor, udpr_transport_fileno(it.port.transport), 0,
                                                &protocol, &options, NULL));
  every_write_says(UDPR_E_SYSTEM - EBADF, it.port.transport, &other.host);
  others_go_on(reactor, &other);
  OK(udpr_transport_close(it.port.transport));
  probe_check_ended(&it.port);
  OK(udpr_reactor_free(reactor));
  probe_check_ended(&other);
}

TEST(the_loops_own_descriptors_watched) {
  udpr_reactor *reactor = new_reactor(0);
  probe         port = {0};
  watcher       one = {0};
  int32_t       fd;
  probe_listen(&port, reactor);
  OK(udpr_reactor_backend_fd(reactor, &fd));
  CHECK_STATUS(UDPR_E_SYSTEM - EINVAL,
               udpr_reactor_watch(reactor, fd, R, on_ready, &one, count_free, &one.id));
  fd = udpr_transport_fileno(port.transport);
  CHECK_STATUS(UDPR_E_SYSTEM - EEXIST,
               udpr_reactor_watch(reactor, fd, R, on_ready, &one, count_free, &one.id));
  CHECK(one.id == 0 && one.freed == 2);
  others_go_on(reactor, &port);
  OK(udpr_reactor_free(reactor));
  probe_check_ended(&port);
}

/* ---- shutdown(2) ----------------------------------------------------------------------------------------- */

/* The kernel does it, though it says ENOTCONN of a port that is not connected. */
static void shut(const probe *port, int how) { shutdown(udpr_transport_fileno(port->transport), how); }

static void stops_by_itself(bool connected, bool paused, int how) {
  udpr_reactor *reactor = new_reactor(0);
  victim        it = {0};
  probe         other = {0};
  victim_listen(&it, reactor);
  probe_listen(&other, reactor);
  if (connected) OK(udpr_transport_connect(it.port.transport, &other.host));
  if (paused) OK(udpr_transport_pause_reading(it.port.transport));
  shut(&it.port, how);
  RUN_UNTIL(reactor, it.port.freed);
  CHECK_STATUS(UDPR_E_SYSTEM - ESHUTDOWN, it.reason);
  others_go_on(reactor, &other);
  check_transport_closed(it.port.transport);
  probe_check_ended(&it.port);
  OK(udpr_reactor_free(reactor));
  probe_check_ended(&other);
}

TEST(a_socket_shut_down) {
  for (int connected = 0; connected < 2; connected++) {
    stops_by_itself(connected, false, SHUT_RDWR);
    stops_by_itself(connected, true, SHUT_RDWR);
    stops_by_itself(connected, false, SHUT_RD);
  }
}

TEST(a_socket_shut_down_for_writing_still_receives) {
  signal(SIGPIPE, SIG_DFL);
  udpr_reactor *reactor = new_reactor(0);
  victim        it = {0};
  victim_listen(&it, reactor);
  shut(&it.port, SHUT_WR);
  every_write_says(UDPR_E_SYSTEM - EPIPE, it.port.transport, &it.port.host);
  others_go_on(reactor, &it.port);
  OK(udpr_reactor_free(reactor));
  probe_check_ended(&it.port);
}

/* ---- the reactor's own ----------------------------------------------------------------------------------- */

static void epoll_becomes(int (*make)(void), udpr_status expected) {
  udpr_reactor *reactor = new_reactor(0);
  probe         port = {0};
  udpr_protocol protocol = {.size = sizeof protocol};
  int           fd, ends[2];
  open_pipe(ends);
  probe_listen(&port, reactor);
  OK(udpr_reactor_backend_fd(reactor, &fd));
  replace(fd, make);
  CHECK_STATUS(expected, udpr_reactor_iterate(reactor, 0));
  CHECK_STATUS(expected, udpr_reactor_run(reactor));
  CHECK(!udpr_reactor_is_running(reactor));
  CHECK_STATUS(expected, udpr_reactor_watch(reactor, ends[0], R, on_ready, NULL, NULL, NULL));
  CHECK(udpr_reactor_listen_udp(reactor, 0, "127.0.0.1", &protocol, NULL, NULL) < 0);
  OK(udpr_transport_write(port.transport, "x", 1, &port.host)); /* needs no epoll set */
  OK(udpr_reactor_free(reactor));
  probe_check_ended(&port);
  close_pipe(ends);
}

TEST(the_epoll_set_closed) { epoll_becomes(NULL, UDPR_E_SYSTEM - EBADF); }
TEST(the_epoll_set_replaced) { epoll_becomes(dev_null, UDPR_E_SYSTEM - EINVAL); }

enum { NUMBERS = 1024 };

static bool is_open(int fd) { return fcntl(fd, F_GETFD) >= 0; }

/* As a program does that makes itself a daemon. */
TEST(every_descriptor_closed) {
  bool         before[NUMBERS];
  int          fd, ends[2];
  udpr_remote *remote;
  probe        port = {0};
  watcher      one = {0};
  for (fd = 0; fd < NUMBERS; fd++) before[fd] = is_open(fd);
  udpr_reactor *reactor = new_reactor(0);
  open_pipe(ends);
  OK(udpr_reactor_remote(reactor, &remote));
  OK(udpr_reactor_backend_fd(reactor, &fd));
  probe_listen(&port, reactor);
  watch(reactor, ends[0], R, &one);
  for (fd = 0; fd < NUMBERS; fd++)
    if (!before[fd]) close(fd);
  CHECK_STATUS(UDPR_E_SYSTEM - EBADF, udpr_reactor_iterate(reactor, 0));
  every_write_says(UDPR_E_SYSTEM - EBADF, port.transport, &port.host);
  OK(udpr_remote_wake(remote));
  OK(udpr_reactor_unwatch(reactor, one.id));
  OK(udpr_transport_close(port.transport));
  OK(udpr_reactor_free(reactor));
  probe_check_ended(&port);
  udpr_remote_release(remote);
}

CHECK_MAIN()
