/* A callback forks that is called directly by a function of the library. In the child this function returns
 * UDPR_E_CLOSED and calls no other callback. In the parent it continues normally.
 */
#include "event_log.h"
#include "fork_and_wait.h"
#include "watcher.h"

/* ---- ports ---------------------------------------------------------------------------------------------- */

static udpr_status start_and_fork(udpr_transport *transport, void *user) {
  udpr_addr nobody = addr("127.0.0.1", 9);
  probe_started(transport, user);
  fork_and_wait();
  /* UDPR_E_CLOSED in the child */
  return is_child ? udpr_transport_write(transport, "x", 1, &nobody) : UDPR_OK;
}

/* A child that closed the port would remove it from the epoll set, which it shares with the parent. */
TEST(start_protocol_forks) {
  udpr_reactor   *reactor = new_reactor(0);
  probe           port = {0};
  udpr_protocol   protocol = probe_protocol(&port);
  udpr_transport *transport = NULL;
  protocol.start_protocol = start_and_fork;
  udpr_status status = udpr_reactor_listen_udp(reactor, 0, "127.0.0.1", &protocol, NULL, &transport);
  if (is_child) {
    CHECK_STATUS(UDPR_E_CLOSED, status);
    CHECK(transport == NULL && port.freed == 0);
    kill_self();
  }
  OK(status);
  port.transport = transport, port.host = host_of(transport);
  send_letters(&port.host, "a");
  RUN_UNTIL(reactor, *port.received);
  OK(udpr_reactor_free(reactor));
  probe_check_ended(&port);
}

static udpr_status configure_and_fork(udpr_socket fd, const udpr_addr *local, void *user) {
  (void)fd, (void)local, (void)user;
  fork_and_wait();
  return UDPR_OK;
}

/* A child that bound the socket would leave no port to the parent: they share it. The child's descriptor is closed. */
TEST(configure_socket_forks) {
  for (int shared = 0; shared < 2; shared++) {
    udpr_reactor    *reactor = new_reactor(0);
    probe            port = {0};
    udpr_protocol    protocol = probe_protocol(&port);
    udpr_udp_options options = {.size = sizeof options, .flags = shared ? UDPR_UDP_REUSE_PORT : 0};
    udpr_transport  *transport = NULL;
    int              before = check_count_descriptors();
    protocol.configure_socket = configure_and_fork;
    udpr_status status = udpr_reactor_listen_udp(reactor, 0, "127.0.0.1", &protocol, &options, &transport);
    if (is_child) {
      CHECK_STATUS(UDPR_E_CLOSED, status);
      CHECK(transport == NULL && port.starts == 0 && port.freed == 0);
      CHECK_EQ(before, check_count_descriptors());
      kill_self();
    }
    OK(status);
    port.transport = transport, port.host = host_of(transport);
    send_letters(&port.host, "a");
    RUN_UNTIL(reactor, *port.received);
    OK(udpr_reactor_free(reactor));
    probe_check_ended(&port);
  }
}

static void fork_in_port(probe *port, udpr_transport *transport) {
  (void)port, (void)transport;
  fork_and_wait();
}

TEST(stop_protocol_forks_in_close) {
  udpr_reactor *reactor = new_reactor(0);
  probe         port = {.on_stop = fork_in_port};
  probe_listen(&port, reactor);
  udpr_status status = udpr_transport_close(port.transport);
  if (is_child) {
    CHECK_STATUS(UDPR_E_CLOSED, status);
    CHECK_EQ(0, port.freed);
    kill_self();
  }
  OK(status);
  OK(udpr_reactor_free(reactor));
  probe_check_ended(&port);
}

static void fork_in_logger(const udpr_log_record *record, void *user) {
  (void)record, (void)user;
  fork_and_wait();
}

TEST(logger_forks_in_close) {
  udpr_reactor *reactor = new_reactor(0);
  probe         port = {0};
  probe_listen(&port, reactor);
  OK(udpr_reactor_set_logger(reactor, UDPR_LOG_INFO, fork_in_logger, NULL, NULL));
  udpr_status status = udpr_transport_close(port.transport);
  if (is_child) {
    CHECK_STATUS(UDPR_E_CLOSED, status);
    CHECK(port.stops == 0 && port.freed == 0);
    kill_self();
  }
  OK(status);
  OK(udpr_reactor_free(reactor));
  probe_check_ended(&port);
}

static void fork_in_first_visit(udpr_transport *transport, void *visits) {
  (void)transport;
  if (++*(int *)visits == 1) fork_and_wait();
}

TEST(visit_forks_in_each_transport) {
  udpr_reactor *reactor = new_reactor(0);
  probe         ports[3] = {0};
  int           visits = 0;
  for (int i = 0; i < 3; i++) probe_listen(&ports[i], reactor);
  udpr_status status = udpr_reactor_each_transport(reactor, fork_in_first_visit, &visits);
  if (is_child) {
    CHECK_STATUS(UDPR_E_CLOSED, status);
    CHECK_EQ(1, visits);
    kill_self();
  }
  OK(status);
  CHECK_EQ(3, visits);
  OK(udpr_reactor_free(reactor));
  for (int i = 0; i < 3; i++) probe_check_ended(&ports[i]);
}

/* ---- free_user in udpr_reactor_free -------------------------------------------------------------------- */

typedef struct users {
  atomic_int freed;
} users;

static void fork_in_first_free(void *user) {
  users *all = user;
  if (atomic_fetch_add(&all->freed, 1) == 0) fork_and_wait();
}

static void must_not_be_called(udpr_reactor *reactor, void *user) {
  (void)reactor, (void)user;
  FAIL("%s", "called after free");
}
static udpr_status trigger_must_not_be_called(udpr_reactor *reactor, udpr_id id, void *user) {
  (void)id;
  return must_not_be_called(reactor, user), UDPR_OK;
}
static void watch_must_not_be_called(udpr_reactor *reactor, udpr_id id, udpr_socket fd, uint32_t events,
                                     void *user) {
  (void)id, (void)fd, (void)events;
  must_not_be_called(reactor, user);
}
static void resolved_must_not_be_called(udpr_reactor *reactor, udpr_id id, udpr_status status,
                                        const udpr_addr *addrs, size_t count, void *user) {
  (void)id, (void)status, (void)addrs, (void)count;
  must_not_be_called(reactor, user);
}

typedef void (*add_fn)(udpr_reactor *reactor, int fd, users *all);

static void add_delayed_call(udpr_reactor *reactor, int fd, users *all) {
  (void)fd;
  OK(udpr_reactor_call_later(reactor, SECONDS(9), must_not_be_called, all, fork_in_first_free, NULL));
}
static void add_call_from_thread(udpr_reactor *reactor, int fd, users *all) {
  (void)fd;
  OK(udpr_reactor_call_from_thread(reactor, must_not_be_called, all, fork_in_first_free));
}
static void add_trigger(udpr_reactor *reactor, int fd, users *all) {
  (void)fd;
  OK(udpr_reactor_add_trigger(reactor, AFTER, SHUTDOWN, trigger_must_not_be_called, all, fork_in_first_free,
                              NULL));
}
static void add_look_up(udpr_reactor *reactor, int fd, users *all) {
  (void)fd;
  OK(udpr_reactor_resolve(reactor, "::1", 1, 0, 0, resolved_must_not_be_called, all, fork_in_first_free,
                          NULL));
}
static void add_watch(udpr_reactor *reactor, int fd, users *all) {
  OK(udpr_reactor_watch(reactor, fd, R, watch_must_not_be_called, all, fork_in_first_free, NULL));
}

TEST(free_user_forks_in_free) {
  static const add_fn ways[] = {add_delayed_call, add_call_from_thread, add_trigger, add_look_up, add_watch};
  for (size_t way = 0; way < sizeof ways / sizeof *ways; way++) {
    udpr_reactor *reactor = new_reactor(0);
    users         all = {0};
    int           ends[3][2];
    for (int i = 0; i < 3; i++) open_pipe(ends[i]), ways[way](reactor, ends[i][0], &all);
    OK(udpr_reactor_free(reactor)); /* in the child it only closes descriptors */
    CHECK_EQ(is_child ? 1 : 3, all.freed);
    if (is_child) kill_self();
    for (int i = 0; i < 3; i++) close_pipe(ends[i]);
  }
}

CHECK_MAIN()
