/* Watched descriptors that are closed without unwatch, and whose numbers are then reused. */
#include "watcher.h"

#include "probe.h"

/* A duplicate keeps the closed file open, so epoll still reports it for the old descriptor. */
TEST(a_duplicate_does_not_report_to_the_new_watch) {
  udpr_reactor *reactor = new_reactor(0);
  watcher       stale = {0}, new_watch = {0};
  int           ends[2], fresh[2], copy;
  char          byte;
  open_pipe(ends);
  watch(reactor, ends[0], R, &stale);
  copy = fcntl(ends[0], F_DUPFD_CLOEXEC, 0);
  CHECK(copy >= 0);
  open_pipe(fresh);
  CHECK_EQ(ends[0], dup3(fresh[0], ends[0], O_CLOEXEC));
  watch(reactor, ends[0], R, &new_watch);
  CHECK(stale.freed == 1 && stale.calls == 0);

  CHECK_EQ(1, write(ends[1], "x", 1)); /* into the pipe that the duplicate reads */
  run_turns(reactor, 5);
  CHECK(new_watch.calls == 0 && stale.calls == 0);
  CHECK_EQ(1, write(fresh[1], "y", 1));
  RUN_UNTIL(reactor, new_watch.calls);
  CHECK_EQ(1, read(ends[0], &byte, 1));
  CHECK_EQ('y', byte);
  OK(udpr_reactor_free(reactor));
  CHECK(new_watch.freed == 1 && stale.calls == 0);
  close(copy);
  close_pipe(ends);
  close_pipe(fresh);
}

TEST(a_closed_descriptor_reports_nothing) {
  udpr_reactor *reactor = new_reactor(0);
  watcher       stale = {0};
  int           ends[2];
  open_pipe(ends);
  CHECK_EQ(1, write(ends[1], "x", 1));
  watch(reactor, ends[0], R, &stale);
  close_pipe(ends);
  run_turns(reactor, 3);
  CHECK_EQ(0, stale.calls);
  OK(udpr_reactor_unwatch(reactor, stale.id)); /* the stale watch can still be ended */
  CHECK_EQ(1, stale.freed);
  OK(udpr_reactor_free(reactor));
}

typedef struct unwatching_user {
  atomic_int    freed;
  udpr_reactor *reactor;
  watcher      *other;
} unwatching_user;

static void free_and_unwatch_other(void *user) {
  unwatching_user *self = user;
  self->freed++;
  OK(udpr_reactor_unwatch(self->reactor, self->other->id));
  CHECK_EQ(1, self->other->freed);
}

static void must_not_be_called(udpr_reactor *reactor, udpr_id id, udpr_socket fd, uint32_t events,
                               void *user) {
  (void)reactor, (void)id, (void)events, (void)user;
  FAIL("the stale watch of %d was called", fd);
}

/* free_user of a stale watch is called when its descriptor is watched again, and may call any function. */
TEST(free_user_of_a_stale_watch_may_unwatch_another) {
  udpr_reactor   *reactor = new_reactor(0);
  watcher         other = {0}, new_watch = {0};
  unwatching_user stale = {.reactor = reactor, .other = &other};
  int             ends[2], others[2], fresh[2];
  open_pipe(ends), open_pipe(others), open_pipe(fresh);
  watch(reactor, others[0], R, &other);
  OK(udpr_reactor_watch(reactor, ends[0], R, must_not_be_called, &stale, free_and_unwatch_other, NULL));
  CHECK_EQ(ends[0], dup3(fresh[0], ends[0], O_CLOEXEC)); /* also closes the old one */
  watch(reactor, ends[0], R, &new_watch);
  CHECK(stale.freed == 1 && other.freed == 1);
  CHECK(write(fresh[1], "x", 1) == 1 && write(others[1], "x", 1) == 1);
  run_turns(reactor, 2);
  CHECK(new_watch.calls == 2 && other.calls == 0);
  OK(udpr_reactor_free(reactor));
  CHECK(stale.freed == 1 && new_watch.freed == 1);
  close_pipe(ends), close_pipe(others), close_pipe(fresh);
}

/* The free_user of a stale watch replaces the descriptor once more, and watches it: the latest watch stays.
 */
typedef struct watching_user {
  atomic_int    freed;
  udpr_reactor *reactor;
  watcher      *new_watch;
  int           fd;
  int           fresh[2];
} watching_user;

static void free_and_watch_descriptor(void *user) {
  watching_user *self = user;
  self->freed++;
  CHECK_EQ(self->fd, dup3(self->fresh[0], self->fd, O_CLOEXEC));
  watch(self->reactor, self->fd, R, self->new_watch);
}

TEST(free_user_of_a_stale_watch_may_watch_its_descriptor) {
  udpr_reactor *reactor = new_reactor(0);
  watcher       second = {0}, third = {0};
  watching_user first = {.reactor = reactor, .new_watch = &third};
  int           ends[2], fresh[2];
  open_pipe(ends), open_pipe(fresh), open_pipe(first.fresh);
  first.fd = ends[0];
  OK(udpr_reactor_watch(reactor, ends[0], R, must_not_be_called, &first, free_and_watch_descriptor, NULL));
  CHECK_EQ(ends[0], dup3(fresh[0], ends[0], O_CLOEXEC));
  watch(reactor, ends[0], R, &second);
  CHECK(first.freed == 1 && second.freed == 1 && third.freed == 0);
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_unwatch(reactor, second.id));
  CHECK(write(fresh[1], "x", 1) == 1 && write(first.fresh[1], "y", 1) == 1);
  run_turns(reactor, 2);
  CHECK(second.calls == 0 && third.calls == 2);
  OK(udpr_reactor_free(reactor));
  CHECK(first.freed == 1 && second.freed == 1 && third.freed == 1);
  close_pipe(ends), close_pipe(fresh), close_pipe(first.fresh);
}

/* The same, but a port gets the descriptor. The port keeps it, and its epoll registration. */
static void free_and_watch_port(void *user) {
  watching_user *self = user;
  self->freed++;
  CHECK_STATUS(UDPR_E_SYSTEM - EEXIST,
               udpr_reactor_watch(self->reactor, self->fd, R, must_not_be_called, NULL, NULL, NULL));
}

TEST(free_user_of_a_stale_watch_cannot_watch_a_ports_descriptor) {
  udpr_reactor *reactor = new_reactor(0);
  watching_user stale = {.reactor = reactor};
  probe         port = {0};
  int           ends[2];
  open_pipe(ends);
  stale.fd = ends[0];
  OK(udpr_reactor_watch(reactor, ends[0], R, must_not_be_called, &stale, free_and_watch_port, NULL));
  close_pipe(ends);
  probe_listen(&port, reactor);
  CHECK(stale.fd == udpr_transport_fileno(port.transport) && stale.freed == 1);
  send_letters(&port.host, "a");
  RUN_UNTIL(reactor, strlen(port.received) == 1);
  OK(udpr_reactor_free(reactor));
  probe_check_ended(&port);
}

/* A watch's callback closes a port that has a datagram, and watches its descriptor. */
typedef struct fixture {
  probe   port;
  watcher first, new_watch;
  int     ends[2];
} fixture;

static void close_port_and_watch_its_descriptor(udpr_reactor *reactor, watcher *self, uint32_t now) {
  fixture *f = self->arg;
  int      fresh[2], number = udpr_transport_fileno(f->port.transport);
  (void)now;
  if (f->new_watch.id || *f->port.received) return;
  open_pipe(fresh);
  OK(udpr_transport_close(f->port.transport));
  CHECK_EQ(number, dup3(fresh[0], number, O_CLOEXEC));
  close(fresh[0]);
  f->ends[0] = number, f->ends[1] = fresh[1];
  watch(reactor, number, R, &f->new_watch);
}

TEST(a_descriptor_that_was_a_ports_socket) {
  int taken = 0;
  for (int round = 0; round < 2; round++) { /* either of them may be called first in the turn */
    udpr_reactor *reactor = new_reactor(0);
    fixture       f = {.first = {.act = close_port_and_watch_its_descriptor}};
    int           ends[2];
    f.first.arg = &f;
    open_pipe(ends);
    if (round) probe_listen(&f.port, reactor);
    watch(reactor, ends[0], R, &f.first);
    if (!round) probe_listen(&f.port, reactor);
    if (round) send_letters(&f.port.host, "a");
    CHECK_EQ(1, write(ends[1], "x", 1));
    if (!round) send_letters(&f.port.host, "a");
    run_turns(reactor, 3);
    CHECK_EQ(0, f.new_watch.calls);
    taken += f.new_watch.id != 0;
    OK(udpr_reactor_free(reactor));
    probe_check_ended(&f.port);
    if (f.new_watch.id) close_pipe(f.ends);
    close_pipe(ends);
  }
  CHECK(taken > 0);
}

/* A port gets the descriptor of a stale watch, and must receive. */
TEST(a_descriptor_that_became_a_ports_socket) {
  udpr_reactor *reactor = new_reactor(0);
  watcher       stale = {0};
  probe         port = {0};
  int           ends[2];
  open_pipe(ends);
  watch(reactor, ends[0], R, &stale);
  close_pipe(ends);
  probe_listen(&port, reactor);
  CHECK_EQ(stale.fd, udpr_transport_fileno(port.transport));
  udpr_reactor_change_watch(reactor, stale.id, R | W);
  send_letters(&port.host, "a");
  RUN_UNTIL(reactor, strlen(port.received) == 1);
  udpr_reactor_unwatch(reactor, stale.id);
  send_letters(&port.host, "b");
  RUN_UNTIL(reactor, strlen(port.received) == 2);
  CHECK(stale.calls == 0 && stale.freed == 1);
  OK(udpr_reactor_free(reactor));
  probe_check_ended(&port);
}

CHECK_MAIN()
