/* A fork without udpr_reactor_after_fork: in the child, every function returns UDPR_E_CLOSED, and free and
 * release only close descriptors. The parent is not affected.
 */
#include "every_call.h"
#include "probe.h"

#include <fcntl.h>

typedef struct fixture {
  udpr_reactor *reactor;
  probe         port;
  handles       with;
  int           descriptors; /* before the reactor was made */
  int           calls, freed;
} fixture;

static void called(udpr_reactor *reactor, void *user) {
  (void)reactor;
  ((fixture *)user)->calls++;
}

static void freed(void *user) { ((fixture *)user)->freed++; }

static void set_up(fixture *f) {
  *f = (fixture){.descriptors = check_count_descriptors()};
  f->reactor = new_reactor(0);
  probe_listen(&f->port, f->reactor);
  f->with = (handles){.reactor = f->reactor, .transport = f->port.transport, .to = f->port.host};
  OK(udpr_reactor_set_user(f->reactor, f));
  OK(udpr_reactor_call_later(f->reactor, MS(1), called, f, freed, &f->with.call));
}

/* The child must not have changed anything: the port receives, the call is made, each user is freed once. */
static void check_parent_works(fixture *f) {
  CHECK(udpr_reactor_user(f->reactor) == f);
  send_letters(&f->port.host, "ab");
  RUN_UNTIL(f->reactor, strlen(f->port.received) == 2 && f->freed == 1);
  CHECK_EQ(1, f->calls);
  OK(udpr_transport_write(f->port.transport, "c", 1, &f->port.host));
  RUN_UNTIL(f->reactor, strlen(f->port.received) == 3);
  CHECK_STR("abc", f->port.received);
  OK(udpr_reactor_free(f->reactor));
  probe_check_ended(&f->port);
}

/* ---- functions that fail in the child ------------------------------------------------------------------ */

static int freed_users_in_child;

static void count_freed_in_child(void *user) {
  (void)user;
  freed_users_in_child++;
}

static void check_everything_is_closed(void *arg) {
  fixture *f = arg;
  check_reactor_calls_return(UDPR_E_CLOSED, &f->with);
  check_transport_calls_return(UDPR_E_CLOSED, &f->with);
  CHECK_STATUS(UDPR_E_CLOSED, udpr_transport_post(f->with.transport, "x", 1, &f->with.to));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_reactor_call_from_thread(f->reactor, called, f, count_freed_in_child));
  CHECK_EQ(1, freed_users_in_child);
  CHECK(!udpr_reactor_is_running(f->reactor));
  CHECK(f->port.stops == 0 && f->port.freed == 0 && f->calls == 0 && f->freed == 0);
}

TEST(everything_is_closed_in_a_child) {
  fixture f;
  set_up(&f);
  run_in_child(check_everything_is_closed, &f);
  check_parent_works(&f);
}

static void check_closed_in_new_child(probe *port, udpr_transport *transport) {
  (void)transport;
  run_in_child(check_everything_is_closed, port->arg);
}

TEST(everything_is_closed_in_a_child_made_in_a_callback) {
  fixture f;
  set_up(&f);
  OK(udpr_reactor_reset_call(f.reactor, f.with.call, SECONDS(100))); /* later than the datagram */
  f.port.on_datagram = check_closed_in_new_child, f.port.arg = &f;
  send_letters(&f.port.host, "z");
  RUN_UNTIL(f.reactor, *f.port.received);
  f.port.on_datagram = NULL, *f.port.received = '\0';
  OK(udpr_reactor_reset_call(f.reactor, f.with.call, 0));
  check_parent_works(&f);
}

static void fork_in_datagram_received(probe *port, udpr_transport *transport) {
  (void)transport;
  port->on_datagram = NULL;
  *(pid_t *)port->arg = check_fork();
}

/* A turn in the child ends after the callback, and calls no other callback. */
TEST(a_turn_ends_in_the_child_after_the_callback_that_forked) {
  fixture     f;
  pid_t       child = -1;
  udpr_status status = UDPR_OK;
  set_up(&f);
  OK(udpr_reactor_reset_call(f.reactor, f.with.call, 0));
  f.port.on_datagram = fork_in_datagram_received, f.port.arg = &child;
  send_letters(&f.port.host, "ab");
  while (child < 0) status = udpr_reactor_iterate(f.reactor, (int64_t)MS(20));
  if (child == 0) {
    CHECK_STATUS(UDPR_E_CLOSED, status);
    CHECK_STR("a", f.port.received);
    CHECK(f.calls == 0 && f.freed == 0 && f.port.stops == 0 && f.port.freed == 0);
    exit(0);
  }
  CHECK_EQ(0, check_wait(child));
  OK(status);
  CHECK_STR("ab", f.port.received);
  OK(udpr_reactor_free(f.reactor));
  probe_check_ended(&f.port);
}

TEST(everything_is_closed_in_a_child_made_while_another_thread_runs) {
  fixture        f;
  reactor_thread there;
  set_up(&f);
  OK(udpr_reactor_reset_call(f.reactor, f.with.call, SECONDS(100)));
  reactor_thread_start(&there, f.reactor);
  /* memory that belongs to the other thread leaks in the child */
  run_in_killed_child(check_everything_is_closed, &f);
  CHECK(udpr_reactor_is_running(f.reactor));
  reactor_thread_stop(&there);
  probe_check_ended(&f.port);
  OK(udpr_reactor_free(f.reactor));
  CHECK(f.calls == 0 && f.freed == 1);
}

/* ---- free and release in the child --------------------------------------------------------------------- */

static void free_then_release(void *arg) {
  fixture *f = arg;
  udpr_reactor_free(f->reactor);
  udpr_transport_release(f->port.transport);
  CHECK_EQ(f->descriptors, check_count_descriptors());
  CHECK(f->port.stops == 0 && f->port.freed == 0 && f->calls == 0 && f->freed == 0);
}

static void release_then_free(void *arg) {
  fixture *f = arg;
  udpr_transport_release(f->port.transport);
  udpr_reactor_free(f->reactor);
  CHECK_EQ(f->descriptors, check_count_descriptors());
  CHECK(f->port.stops == 0 && f->port.freed == 0 && f->calls == 0 && f->freed == 0);
}

TEST(free_in_a_child_calls_no_callback) {
  fixture f;
  set_up(&f);
  run_in_child(free_then_release, &f);
  run_in_child(release_then_free, &f);
  check_parent_works(&f);
}

/* ---- new reactors in the child, and close in the parent ------------------------------------------------ */

static void use_own_reactor(void *arg) {
  udpr_reactor *reactor = new_reactor(0);
  probe         port = {.on_datagram = stop_reactor};
  (void)arg;
  probe_listen(&port, reactor);
  send_letters(&port.host, "a");
  run_with_timeout(reactor);
  probe_check_ended(&port);
  OK(udpr_reactor_free(reactor));
}

TEST(a_child_can_make_a_new_reactor) {
  fixture f;
  set_up(&f);
  run_in_child(use_own_reactor, NULL);
  check_parent_works(&f);
}

/* The child's descriptor keeps the socket open, and it still receives. The parent must have removed it from
 * its epoll set.
 */
TEST(close_removes_a_socket_that_a_child_shares) {
  udpr_reactor *reactor = new_reactor(0);
  probe         port = {0};
  int           hold[2];
  char          byte;
  CHECK_EQ(0, pipe2(hold, O_CLOEXEC));
  probe_listen(&port, reactor);
  pid_t child = check_fork();
  if (child == 0) {
    close(hold[1]);
    _exit(read(hold[0], &byte, 1) == 0 ? 0 : 1); /* end of file when the parent closes its end */
  }
  OK(udpr_transport_close(port.transport));
  send_letters(&port.host, "a");
  udpr_ns begin = monotonic_ns();
  OK(udpr_reactor_iterate(reactor, (int64_t)MS(20)));
  CHECK(monotonic_ns() - begin >= MS(20));
  close(hold[0]);
  close(hold[1]);
  CHECK_EQ(0, check_wait(child));
  CHECK_STR("", port.received);
  probe_check_ended(&port);
  OK(udpr_reactor_free(reactor));
}

CHECK_MAIN()
