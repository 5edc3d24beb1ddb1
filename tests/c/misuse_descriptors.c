/* Descriptors that the program closes, replaces or shuts down although they belong to the library: calls
 * return statuses; the library must not crash or spin.
 */
#include "probe.h"
#include "watcher.h"

/* A probe that records the reason of stop_protocol. */
typedef struct reason_probe {
  probe       port; /* must be the first member */
  udpr_status reason;
} reason_probe;

static void reason_probe_stopped(udpr_transport *transport, udpr_status reason, void *user) {
  ((reason_probe *)user)->reason = reason;
  probe_stopped(transport, UDPR_OK, user);
}

static void reason_probe_listen(reason_probe *self, udpr_reactor *reactor) {
  udpr_protocol protocol = probe_protocol(&self->port);
  protocol.stop_protocol = reason_probe_stopped;
  self->port.transport = listen_on(reactor, "127.0.0.1", &protocol, NULL);
  self->port.host = host_of(self->port.transport);
}

static uint64_t wakeups(udpr_reactor *reactor) {
  udpr_reactor_stats stats = {.size = sizeof stats};
  OK(udpr_reactor_get_stats(reactor, &stats));
  return stats.wakeups;
}

/* Turns have nothing to do, and the other port receives. */
static void check_other_port_works(udpr_reactor *reactor, probe *other) {
  run_turns(reactor, 3);
  uint64_t before = wakeups(reactor);
  run_turns(reactor, 10);
  CHECK_EQ(before, wakeups(reactor));
  size_t received = strlen(other->received);
  send_letters(&other->host, "o");
  RUN_UNTIL(reactor, strlen(other->received) == received + 1);
}

/* ---- a port's socket ------------------------------------------------------------------------------------- */

static void check_writes_return(udpr_status expected, udpr_transport *transport, const udpr_addr *to) {
  udpr_bytes   piece = {"x", 1};
  udpr_message message = {.size = sizeof message, .data = "x", .len = 1, .to = to};
  size_t       taken = 9;
  CHECK_STATUS(expected, udpr_transport_write(transport, "x", 1, to));
  CHECK_STATUS(expected, udpr_transport_write_sequence(transport, &piece, 1, to));
  CHECK_STATUS(expected, udpr_transport_write_messages(transport, &message, 1, &taken));
  CHECK_EQ(0, taken);
}

static int open_dev_null(void) { return open("/dev/null", O_RDWR | O_CLOEXEC); }
static int open_pipe_end(void) {
  int ends[2];
  open_pipe(ends);
  close(ends[1]);
  return ends[0];
}
/* The other end is closed. A write with MSG_NOSIGNAL fails with EPIPE, any other write raises SIGPIPE. */
static int open_broken_stream(void) {
  int ends[2];
  CHECK_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends));
  close(ends[1]);
  return ends[0];
}

/* Replaces the descriptor by a new file. If `make` is NULL, only closes it. */
static void replace(int number, int (*make)(void)) {
  int fd = make ? make() : -1;
  if (!make) CHECK_EQ(0, close(number));
  else CHECK(fd >= 0 && dup3(fd, number, O_CLOEXEC) == number && close(fd) == 0);
}

static void check_socket_replaced(int (*make)(void), int error) {
  udpr_reactor *reactor = new_reactor(0);
  reason_probe  it = {0};
  probe         other = {0};
  udpr_addr     host;
  reason_probe_listen(&it, reactor);
  probe_listen(&other, reactor);
  replace(udpr_transport_fileno(it.port.transport), make);
  CHECK_STATUS(UDPR_E_SYSTEM - error, udpr_transport_get_host(it.port.transport, &host));
  check_writes_return(UDPR_E_SYSTEM - error, it.port.transport, &other.host);
  send_letters(&it.port.host, "x"); /* nobody receives it */
  check_other_port_works(reactor, &other);
  OK(udpr_transport_pause_reading(it.port.transport));
  OK(udpr_transport_resume_reading(it.port.transport));
  check_other_port_works(reactor, &other);
  OK(udpr_transport_close(it.port.transport));
  OK(it.reason);
  CHECK_STR("", it.port.received);
  probe_check_ended(&it.port);
  check_other_port_works(reactor, &other);
  OK(udpr_reactor_free(reactor));
  probe_check_ended(&other);
}

TEST(a_socket_closed) { check_socket_replaced(NULL, EBADF); }
TEST(a_socket_replaced_by_a_device) { check_socket_replaced(open_dev_null, ENOTSOCK); }
TEST(a_socket_replaced_by_a_pipe) { check_socket_replaced(open_pipe_end, ENOTSOCK); }

TEST(a_socket_replaced_by_a_broken_stream) {
  signal(SIGPIPE, SIG_DFL);
  udpr_reactor *reactor = new_reactor(0);
  reason_probe  it = {0};
  reason_probe_listen(&it, reactor);
  OK(udpr_transport_connect(it.port.transport, &it.port.host));
  replace(udpr_transport_fileno(it.port.transport), open_broken_stream);
  check_writes_return(UDPR_E_SYSTEM - EPIPE, it.port.transport, NULL);
  run_turns(reactor, 3);
  OK(udpr_reactor_free(reactor));
  probe_check_ended(&it.port);
}

/* A duplicate keeps the closed socket in the epoll set, so the port gets its events and stops. */
TEST(a_socket_closed_after_it_was_duplicated) {
  udpr_reactor *reactor = new_reactor(0);
  reason_probe  it = {0};
  reason_probe_listen(&it, reactor);
  int fd = udpr_transport_fileno(it.port.transport), copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
  CHECK(copy >= 0 && close(fd) == 0);
  send_letters(&it.port.host, "a");
  RUN_UNTIL(reactor, it.port.freed);
  CHECK_STATUS(UDPR_E_SYSTEM - EBADF, it.reason);
  CHECK_EQ(0, close(copy)); /* its events would keep waking the loop */
  check_transport_closed(it.port.transport);
  probe_check_ended(&it.port);
  OK(udpr_reactor_free(reactor));
}

/* Two objects own the descriptor then. The second fails and closes it, since it is in the epoll set already.
 */
TEST(a_ports_own_descriptor_adopted) {
  udpr_reactor    *reactor = new_reactor(0);
  reason_probe     it = {0};
  probe            other = {0};
  udpr_protocol    protocol = {.size = sizeof protocol};
  udpr_udp_options options = {.size = sizeof options, .flags = UDPR_UDP_TAKE_FD};
  reason_probe_listen(&it, reactor);
  probe_listen(&other, reactor);
  CHECK_STATUS(UDPR_E_SYSTEM - EEXIST,
               udpr_reactor_adopt_datagram_port(reactor, udpr_transport_fileno(it.port.transport), 0,
                                                &protocol, &options, NULL));
  check_writes_return(UDPR_E_SYSTEM - EBADF, it.port.transport, &other.host);
  check_other_port_works(reactor, &other);
  OK(udpr_transport_close(it.port.transport));
  probe_check_ended(&it.port);
  OK(udpr_reactor_free(reactor));
  probe_check_ended(&other);
}

TEST(the_reactors_own_descriptors_watched) {
  udpr_reactor *reactor = new_reactor(0);
  probe         port = {0};
  watcher       one = {0};
  udpr_socket   fd;
  probe_listen(&port, reactor);
  OK(udpr_reactor_backend_fd(reactor, &fd));
  CHECK_STATUS(UDPR_E_SYSTEM - EINVAL,
               udpr_reactor_watch(reactor, fd, R, on_ready, &one, count_free, &one.id));
  fd = udpr_transport_fileno(port.transport);
  CHECK_STATUS(UDPR_E_SYSTEM - EEXIST,
               udpr_reactor_watch(reactor, fd, R, on_ready, &one, count_free, &one.id));
  CHECK(one.id == 0 && one.freed == 2);
  check_other_port_works(reactor, &port);
  OK(udpr_reactor_free(reactor));
  probe_check_ended(&port);
}

/* ---- shutdown(2) ----------------------------------------------------------------------------------------- */

/* shutdown(2) takes effect, although it fails with ENOTCONN if the socket is not connected. */
static void shut(const probe *port, int how) { shutdown(udpr_transport_fileno(port->transport), how); }

static void check_stops_after_shutdown(bool connected, bool paused, int how) {
  udpr_reactor *reactor = new_reactor(0);
  reason_probe  it = {0};
  probe         other = {0};
  reason_probe_listen(&it, reactor);
  probe_listen(&other, reactor);
  if (connected) OK(udpr_transport_connect(it.port.transport, &other.host));
  if (paused) OK(udpr_transport_pause_reading(it.port.transport));
  shut(&it.port, how);
  RUN_UNTIL(reactor, it.port.freed);
  CHECK_STATUS(UDPR_E_SYSTEM - ESHUTDOWN, it.reason);
  check_other_port_works(reactor, &other);
  check_transport_closed(it.port.transport);
  probe_check_ended(&it.port);
  OK(udpr_reactor_free(reactor));
  probe_check_ended(&other);
}

TEST(a_socket_shut_down) {
  for (int connected = 0; connected < 2; connected++) {
    check_stops_after_shutdown(connected, false, SHUT_RDWR);
    check_stops_after_shutdown(connected, true, SHUT_RDWR);
    check_stops_after_shutdown(connected, false, SHUT_RD);
  }
}

TEST(a_socket_shut_down_for_writing_still_receives) {
  signal(SIGPIPE, SIG_DFL);
  udpr_reactor *reactor = new_reactor(0);
  reason_probe  it = {0};
  reason_probe_listen(&it, reactor);
  shut(&it.port, SHUT_WR);
  check_writes_return(UDPR_E_SYSTEM - EPIPE, it.port.transport, &it.port.host);
  check_other_port_works(reactor, &it.port);
  OK(udpr_reactor_free(reactor));
  probe_check_ended(&it.port);
}

/* ---- the reactor's own descriptors --------------------------------------------------------------------- */

static void check_epoll_replaced(int (*make)(void), udpr_status expected) {
  udpr_reactor *reactor = new_reactor(0);
  probe         port = {0};
  udpr_protocol protocol = {.size = sizeof protocol};
  udpr_socket   fd;
  int           ends[2];
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

TEST(the_epoll_set_closed) { check_epoll_replaced(NULL, UDPR_E_SYSTEM - EBADF); }
TEST(the_epoll_set_replaced) { check_epoll_replaced(open_dev_null, UDPR_E_SYSTEM - EINVAL); }

enum { DESCRIPTORS = 1024 };

static bool is_open(int fd) { return fcntl(fd, F_GETFD) >= 0; }

/* As a program does that becomes a daemon. */
TEST(every_descriptor_closed) {
  bool         before[DESCRIPTORS];
  int          fd, ends[2];
  udpr_remote *remote;
  probe        port = {0};
  watcher      one = {0};
  for (fd = 0; fd < DESCRIPTORS; fd++) before[fd] = is_open(fd);
  udpr_reactor *reactor = new_reactor(0);
  open_pipe(ends);
  OK(udpr_reactor_remote(reactor, &remote));
  OK(udpr_reactor_backend_fd(reactor, &fd));
  probe_listen(&port, reactor);
  watch(reactor, ends[0], R, &one);
  for (fd = 0; fd < DESCRIPTORS; fd++)
    if (!before[fd]) close(fd);
  CHECK_STATUS(UDPR_E_SYSTEM - EBADF, udpr_reactor_iterate(reactor, 0));
  check_writes_return(UDPR_E_SYSTEM - EBADF, port.transport, &port.host);
  OK(udpr_remote_wake(remote));
  OK(udpr_reactor_unwatch(reactor, one.id));
  OK(udpr_transport_close(port.transport));
  OK(udpr_reactor_free(reactor));
  probe_check_ended(&port);
  udpr_remote_release(remote);
}

CHECK_MAIN()
