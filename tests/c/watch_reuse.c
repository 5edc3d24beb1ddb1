/* Watched descriptors that are closed without unwatch, and numbers that something else has then. */
#include "watcher.h"

#include "probe.h"

/* A copy keeps what was watched alive, so that epoll goes on reporting it under the old number. */
TEST(a_copy_keeps_reporting_to_nobody) {
  udpr_reactor *reactor = new_reactor(0);
  watcher       dead = {0}, heir = {0};
  int           ends[2], fresh[2], copy;
  char          byte;
  open_pipe(ends);
  watch(reactor, ends[0], R, &dead);
  copy = fcntl(ends[0], F_DUPFD_CLOEXEC, 0);
  CHECK(copy >= 0);
  open_pipe(fresh);
  CHECK_EQ(ends[0], dup3(fresh[0], ends[0], O_CLOEXEC));
  watch(reactor, ends[0], R, &heir);
  CHECK(dead.freed == 1 && dead.calls == 0);

  CHECK_EQ(1, write(ends[1], "x", 1)); /* to what the copy still reads */
  run_turns(reactor, 5);
  CHECK(heir.calls == 0 && dead.calls == 0);
  CHECK_EQ(1, write(fresh[1], "y", 1));
  RUN_UNTIL(reactor, heir.calls);
  CHECK_EQ(1, read(ends[0], &byte, 1));
  CHECK_EQ('y', byte);
  OK(udpr_reactor_free(reactor));
  CHECK(heir.freed == 1 && dead.calls == 0);
  close(copy);
  close_pipe(ends);
  close_pipe(fresh);
}

TEST(a_closed_descriptor_is_silent) {
  udpr_reactor *reactor = new_reactor(0);
  watcher       dead = {0};
  int           ends[2];
  open_pipe(ends);
  CHECK_EQ(1, write(ends[1], "x", 1));
  watch(reactor, ends[0], R, &dead);
  close_pipe(ends);
  run_turns(reactor, 3);
  CHECK_EQ(0, dead.calls);
  OK(udpr_reactor_unwatch(reactor, dead.id)); /* late, but it is still its watch */
  CHECK_EQ(1, dead.freed);
  OK(udpr_reactor_free(reactor));
}

typedef struct bereaved {
  atomic_int    freed;
  udpr_reactor *reactor;
  watcher      *other;
} bereaved;

static void freed_and_unwatches(void *user) {
  bereaved *self = user;
  self->freed++;
  OK(udpr_reactor_unwatch(self->reactor, self->other->id));
  CHECK_EQ(1, self->other->freed);
}

static void never_ready(udpr_reactor *reactor, udpr_id id, int32_t fd, uint32_t events, void *user) {
  (void)reactor, (void)id, (void)events, (void)user;
  FAIL("the dead watch of %d was called", fd);
}

/* free_user of a dead watch comes while its heir is watched, and may call anything. */
TEST(the_end_of_a_dead_watch_may_unwatch_another) {
  udpr_reactor *reactor = new_reactor(0);
  watcher       other = {0}, heir = {0};
  bereaved      dead = {.reactor = reactor, .other = &other};
  int           ends[2], others[2], fresh[2];
  open_pipe(ends), open_pipe(others), open_pipe(fresh);
  watch(reactor, others[0], R, &other);
  OK(udpr_reactor_watch(reactor, ends[0], R, never_ready, &dead, freed_and_unwatches, NULL));
  CHECK_EQ(ends[0], dup3(fresh[0], ends[0], O_CLOEXEC)); /* closes it, too */
  watch(reactor, ends[0], R, &heir);
  CHECK(dead.freed == 1 && other.freed == 1);
  CHECK(write(fresh[1], "x", 1) == 1 && write(others[1], "x", 1) == 1);
  run_turns(reactor, 2);
  CHECK(heir.calls == 2 && other.calls == 0);
  OK(udpr_reactor_free(reactor));
  CHECK(dead.freed == 1 && heir.freed == 1);
  close_pipe(ends), close_pipe(others), close_pipe(fresh);
}

/* The free_user of a dead watch closes the number once more, and watches what has it then: the youngest watch stays. */
typedef struct usurper {
  atomic_int    freed;
  udpr_reactor *reactor;
  watcher      *heir;
  int           fd;
  int           fresh[2];
} usurper;

static void freed_and_watches(void *user) {
  usurper *self = user;
  self->freed++;
  CHECK_EQ(self->fd, dup3(self->fresh[0], self->fd, O_CLOEXEC));
  watch(self->reactor, self->fd, R, self->heir);
}

TEST(the_end_of_a_dead_watch_may_watch_its_number) {
  udpr_reactor *reactor = new_reactor(0);
  watcher       second = {0}, third = {0};
  usurper       first = {.reactor = reactor, .heir = &third};
  int           ends[2], fresh[2];
  open_pipe(ends), open_pipe(fresh), open_pipe(first.fresh);
  first.fd = ends[0];
  OK(udpr_reactor_watch(reactor, ends[0], R, never_ready, &first, freed_and_watches, NULL));
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

/* As above, while a port takes the number over: the port has it, and its registration. */
static void freed_and_watches_a_port(void *user) {
  usurper *self = user;
  self->freed++;
  CHECK_STATUS(UDPR_E_SYSTEM - EEXIST,
               udpr_reactor_watch(self->reactor, self->fd, R, never_ready, NULL, NULL, NULL));
}

TEST(the_end_of_a_dead_watch_cannot_watch_the_port_that_has_its_number) {
  udpr_reactor *reactor = new_reactor(0);
  usurper       dead = {.reactor = reactor};
  probe         port = {0};
  int           ends[2];
  open_pipe(ends);
  dead.fd = ends[0];
  OK(udpr_reactor_watch(reactor, ends[0], R, never_ready, &dead, freed_and_watches_a_port, NULL));
  close_pipe(ends);
  probe_listen(&port, reactor);
  CHECK(dead.fd == udpr_transport_fileno(port.transport) && dead.freed == 1);
  send_letters(&port.host, "a");
  RUN_UNTIL(reactor, strlen(port.received) == 1);
  OK(udpr_reactor_free(reactor));
  probe_check_ended(&port);
}

/* A port's number, closed in a watch's callback while the port has a datagram, and watched anew. */
typedef struct moved {
  probe   port;
  watcher first, heir;
  int     ends[2];
} moved;

static void close_port_and_take_its_number(udpr_reactor *reactor, watcher *self, uint32_t now) {
  moved *all = self->arg;
  int    fresh[2], number = udpr_transport_fileno(all->port.transport);
  (void)now;
  if (all->heir.id || *all->port.received) return;
  open_pipe(fresh);
  OK(udpr_transport_close(all->port.transport));
  CHECK_EQ(number, dup3(fresh[0], number, O_CLOEXEC));
  close(fresh[0]);
  all->ends[0] = number, all->ends[1] = fresh[1];
  watch(reactor, number, R, &all->heir);
}

TEST(a_number_that_was_a_ports) {
  int taken = 0;
  for (int round = 0; round < 2; round++) { /* whichever comes first in the turn */
    udpr_reactor *reactor = new_reactor(0);
    moved         all = {.first = {.act = close_port_and_take_its_number}};
    int           ends[2];
    all.first.arg = &all;
    open_pipe(ends);
    if (round) probe_listen(&all.port, reactor);
    watch(reactor, ends[0], R, &all.first);
    if (!round) probe_listen(&all.port, reactor);
    if (round) send_letters(&all.port.host, "a");
    CHECK_EQ(1, write(ends[1], "x", 1));
    if (!round) send_letters(&all.port.host, "a");
    run_turns(reactor, 3);
    CHECK_EQ(0, all.heir.calls);
    taken += all.heir.id != 0;
    OK(udpr_reactor_free(reactor));
    probe_check_ended(&all.port);
    if (all.heir.id) close_pipe(all.ends);
    close_pipe(ends);
  }
  CHECK(taken > 0);
}

/* The other way round: the dead watch's number is a port's now, which goes on receiving. */
TEST(a_number_that_became_a_ports) {
  udpr_reactor *reactor = new_reactor(0);
  watcher       dead = {0};
  probe         port = {0};
  int           ends[2];
  open_pipe(ends);
  watch(reactor, ends[0], R, &dead);
  close_pipe(ends);
  probe_listen(&port, reactor);
  CHECK_EQ(dead.fd, udpr_transport_fileno(port.transport));
  udpr_reactor_change_watch(reactor, dead.id, R | W);
  send_letters(&port.host, "a");
  RUN_UNTIL(reactor, strlen(port.received) == 1);
  udpr_reactor_unwatch(reactor, dead.id);
  send_letters(&port.host, "b");
  RUN_UNTIL(reactor, strlen(port.received) == 2);
  CHECK(dead.calls == 0 && dead.freed == 1);
  OK(udpr_reactor_free(reactor));
  probe_check_ended(&port);
}

CHECK_MAIN()
