/* change_watch and unwatch, in callbacks too, and descriptors that are closed and given out again. */
#include "watcher.h"

#include "probe.h"

/* ---- change -------------------------------------------------------------------------------------------- */

TEST(change_watch_changes_the_events) {
  udpr_reactor *reactor = new_reactor(0);
  watcher       one = {0};
  int           ends[2];
  CHECK_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
  CHECK_EQ(1, write(ends[1], "x", 1));
  watch(reactor, ends[0], R, &one);
  turns(reactor, 1);
  CHECK_EQ(R, one.seen);
  one.seen = 0;
  OK(udpr_reactor_change_watch(reactor, one.id, W));
  turns(reactor, 1);
  CHECK_EQ(W, one.seen);
  OK(udpr_reactor_change_watch(reactor, one.id, R | W));
  turns(reactor, 1);
  CHECK(one.calls == 3 && one.seen == (R | W)); /* both in one call */
  OK(udpr_reactor_change_watch(reactor, one.id, H));
  turns(reactor, 2);
  CHECK_EQ(3, one.calls);
  CHECK_EQ(0, one.freed);
  OK(udpr_reactor_free(reactor));
  CHECK_EQ(1, one.freed);
  close_both(ends);
}

TEST(change_and_unwatch_check_what_they_get) {
  udpr_reactor *reactor = new_reactor(0), *other = new_reactor(0);
  watcher       one = {0};
  int           ends[2];
  pipe_of(ends);
  watch(reactor, ends[0], R, &one);
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_reactor_change_watch(reactor, one.id, 0));
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_reactor_change_watch(reactor, one.id, 16));
  udpr_id none[] = {0, one.id + 1, UINT64_MAX};
  for (int i = 0; i < 3; i++) {
    CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_change_watch(reactor, none[i], R));
    CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_unwatch(reactor, none[i]));
  }
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_unwatch(other, one.id));

  CHECK_EQ(1, write(ends[1], "x", 1));
  turns(reactor, 1);
  CHECK_EQ(1, one.calls); /* as it was */
  OK(udpr_reactor_unwatch(reactor, one.id));
  CHECK_EQ(1, one.freed); /* in the call */
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_unwatch(reactor, one.id));
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_change_watch(reactor, one.id, R));
  OK(udpr_reactor_free(reactor));
  OK(udpr_reactor_free(other));
  CHECK_EQ(1, one.freed);
  close_both(ends);
}

/* ---- inside callbacks ---------------------------------------------------------------------------------- */

static void unwatch_itself(udpr_reactor *reactor, watcher *self, uint32_t now) {
  (void)now;
  OK(udpr_reactor_unwatch(reactor, self->id));
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_unwatch(reactor, self->id));
}

TEST(unwatch_in_its_own_callback) {
  udpr_reactor *reactor = new_reactor(0);
  watcher       one = {.act = unwatch_itself};
  int           ends[2];
  pipe_of(ends);
  CHECK_EQ(1, write(ends[1], "x", 1));
  watch(reactor, ends[0], R, &one);
  turns(reactor, 3);
  CHECK(one.calls == 1 && one.freed == 1);
  OK(udpr_reactor_free(reactor));
  close_both(ends);
}

static void write_next(udpr_reactor *reactor, watcher *self, uint32_t now) {
  CHECK_EQ(self->calls % 2 ? R : W, now);
  OK(udpr_reactor_change_watch(reactor, self->id, self->calls % 2 ? W : R));
}

TEST(change_in_its_own_callback) {
  udpr_reactor *reactor = new_reactor(0);
  watcher       one = {.act = write_next};
  int           ends[2];
  CHECK_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
  CHECK_EQ(1, write(ends[1], "x", 1));
  watch(reactor, ends[0], R, &one);
  turns(reactor, 10);
  CHECK_EQ(10, one.calls);
  OK(udpr_reactor_free(reactor));
  close_both(ends);
}

/* Both are ready in one turn: whichever is called first acts on the other. */
typedef struct rivals {
  udpr_reactor *reactor;
  watcher       two[2];
  int           ends[2][2];
  watcher       heir; /* for a number given out again */
} rivals;

static void set_up(rivals *all, void (*act)(udpr_reactor *, watcher *, uint32_t)) {
  *all = (rivals){.reactor = new_reactor(0)};
  for (int i = 0; i < 2; i++) {
    all->two[i] = (watcher){.act = act, .arg = all};
    pipe_of(all->ends[i]);
    CHECK_EQ(1, write(all->ends[i][1], "x", 1));
    watch(all->reactor, all->ends[i][0], R, &all->two[i]);
  }
}

static void tear_down(rivals *all) {
  OK(udpr_reactor_free(all->reactor));
  CHECK(all->two[0].freed == 1 && all->two[1].freed == 1);
  for (int i = 0; i < 2; i++) close_both(all->ends[i]);
}

static int other_of(const watcher *self) { return self == &((rivals *)self->arg)->two[0]; }

static void unwatch_other(udpr_reactor *reactor, watcher *self, uint32_t now) {
  watcher *other = &((rivals *)self->arg)->two[other_of(self)];
  (void)now;
  if (other->freed) return;
  OK(udpr_reactor_unwatch(reactor, other->id));
  CHECK_EQ(1, other->freed);
}

TEST(unwatch_another_that_is_ready_in_the_same_turn) {
  rivals all;
  set_up(&all, unwatch_other);
  turns(all.reactor, 1);
  CHECK_EQ(1, all.two[0].calls + all.two[1].calls);
  turns(all.reactor, 3);
  CHECK_EQ(4, all.two[0].calls + all.two[1].calls);
  CHECK(all.two[0].calls == 0 || all.two[1].calls == 0);
  tear_down(&all);
}

/* The other's number now belongs to the read end of an empty pipe. */
static void give_out_again(rivals *all, int which) {
  int fresh[2];
  pipe_of(fresh);
  CHECK_EQ(all->ends[which][0], dup3(fresh[0], all->ends[which][0], O_CLOEXEC)); /* closes it, too */
  close(fresh[0]);
  close(all->ends[which][1]);
  all->ends[which][1] = fresh[1];
}

static void unwatch_and_reuse(udpr_reactor *reactor, watcher *self, uint32_t now) {
  rivals *all = self->arg;
  int     other = other_of(self);
  (void)now;
  if (all->heir.id) return;
  OK(udpr_reactor_unwatch(reactor, all->two[other].id));
  give_out_again(all, other);
  watch(reactor, all->ends[other][0], R, &all->heir);
}

static void just_reuse(udpr_reactor *reactor, watcher *self, uint32_t now) {
  rivals *all = self->arg;
  int     other = other_of(self);
  (void)now;
  if (all->heir.id) return;
  give_out_again(all, other);
  watch(reactor, all->ends[other][0], R, &all->heir);
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_unwatch(reactor, all->two[other].id)); /* not its heir */
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_change_watch(reactor, all->two[other].id, W));
  CHECK_EQ(1, all->two[other].freed);
}

static void heir_gets_its_own_only(void (*act)(udpr_reactor *, watcher *, uint32_t)) {
  rivals all;
  set_up(&all, act);
  turns(all.reactor, 3);
  CHECK_EQ(0, all.heir.calls); /* its pipe is empty */
  CHECK(all.two[0].calls == 0 || all.two[1].calls == 0);
  int which = all.two[0].calls ? 1 : 0;
  CHECK_EQ(1, write(all.ends[which][1], "y", 1));
  turns(all.reactor, 2);
  CHECK(all.heir.calls == 2 && all.heir.seen == R && all.two[which].calls == 0);
  tear_down(&all);
  CHECK_EQ(1, all.heir.freed);
}

TEST(a_number_unwatched_closed_and_given_out_again) { heir_gets_its_own_only(unwatch_and_reuse); }
TEST(a_number_closed_behind_its_watchs_back) { heir_gets_its_own_only(just_reuse); }

static void change_other(udpr_reactor *reactor, watcher *self, uint32_t now) {
  rivals *all = self->arg;
  (void)now;
  OK(udpr_reactor_change_watch(reactor, all->two[other_of(self)].id, W));
}

/* The other is readable in the same turn, but that is not asked for any more. */
TEST(change_another_that_is_ready_in_the_same_turn) {
  rivals all;
  set_up(&all, change_other);
  turns(all.reactor, 3);
  CHECK_EQ(3, all.two[0].calls + all.two[1].calls);
  CHECK(all.two[0].calls == 0 || all.two[1].calls == 0);
  tear_down(&all);
}

/* ---- closed without unwatch ---------------------------------------------------------------------------- */

/* A copy keeps what was watched alive, so that epoll goes on reporting it under the old number. */
TEST(a_copy_keeps_reporting_to_nobody) {
  udpr_reactor *reactor = new_reactor(0);
  watcher       dead = {0}, heir = {0};
  int           ends[2], fresh[2], copy;
  char          byte;
  pipe_of(ends);
  watch(reactor, ends[0], R, &dead);
  copy = fcntl(ends[0], F_DUPFD_CLOEXEC, 0);
  CHECK(copy >= 0);
  pipe_of(fresh);
  CHECK_EQ(ends[0], dup3(fresh[0], ends[0], O_CLOEXEC));
  watch(reactor, ends[0], R, &heir);
  CHECK(dead.freed == 1 && dead.calls == 0);

  CHECK_EQ(1, write(ends[1], "x", 1)); /* to what the copy still reads */
  turns(reactor, 5);
  CHECK(heir.calls == 0 && dead.calls == 0);
  CHECK_EQ(1, write(fresh[1], "y", 1));
  RUN_UNTIL(reactor, heir.calls);
  CHECK_EQ(1, read(ends[0], &byte, 1));
  CHECK_EQ('y', byte);
  OK(udpr_reactor_free(reactor));
  CHECK(heir.freed == 1 && dead.calls == 0);
  close(copy);
  close_both(ends);
  close_both(fresh);
}

TEST(a_closed_descriptor_is_silent) {
  udpr_reactor *reactor = new_reactor(0);
  watcher       dead = {0};
  int           ends[2];
  pipe_of(ends);
  CHECK_EQ(1, write(ends[1], "x", 1));
  watch(reactor, ends[0], R, &dead);
  close_both(ends);
  turns(reactor, 3);
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
  pipe_of(ends), pipe_of(others), pipe_of(fresh);
  watch(reactor, others[0], R, &other);
  OK(udpr_reactor_watch(reactor, ends[0], R, never_ready, &dead, freed_and_unwatches, NULL));
  CHECK_EQ(ends[0], dup3(fresh[0], ends[0], O_CLOEXEC)); /* closes it, too */
  watch(reactor, ends[0], R, &heir);
  CHECK(dead.freed == 1 && other.freed == 1);
  CHECK(write(fresh[1], "x", 1) == 1 && write(others[1], "x", 1) == 1);
  turns(reactor, 2);
  CHECK(heir.calls == 2 && other.calls == 0);
  OK(udpr_reactor_free(reactor));
  CHECK(dead.freed == 1 && heir.freed == 1);
  close_both(ends), close_both(others), close_both(fresh);
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
  if (all->heir.id || *all->port.got) return;
  pipe_of(fresh);
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
    pipe_of(ends);
    if (round) probe_listen(&all.port, reactor);
    watch(reactor, ends[0], R, &all.first);
    if (!round) probe_listen(&all.port, reactor);
    if (round) send_letters(&all.port.host, "a");
    CHECK_EQ(1, write(ends[1], "x", 1));
    if (!round) send_letters(&all.port.host, "a");
    turns(reactor, 3);
    CHECK_EQ(0, all.heir.calls);
    taken += all.heir.id != 0;
    OK(udpr_reactor_free(reactor));
    probe_ended(&all.port);
    if (all.heir.id) close_both(all.ends);
    close_both(ends);
  }
  CHECK(taken > 0);
}

/* The other way round: the dead watch's number is a port's now, which goes on receiving. */
TEST(a_number_that_became_a_ports) {
  udpr_reactor *reactor = new_reactor(0);
  watcher       dead = {0};
  probe         port = {0};
  int           ends[2];
  pipe_of(ends);
  watch(reactor, ends[0], R, &dead);
  close_both(ends);
  probe_listen(&port, reactor);
  CHECK_EQ(dead.fd, udpr_transport_fileno(port.transport));
  udpr_reactor_change_watch(reactor, dead.id, R | W);
  send_letters(&port.host, "a");
  RUN_UNTIL(reactor, strlen(port.got) == 1);
  udpr_reactor_unwatch(reactor, dead.id);
  send_letters(&port.host, "b");
  RUN_UNTIL(reactor, strlen(port.got) == 2);
  CHECK(dead.calls == 0 && dead.freed == 1);
  OK(udpr_reactor_free(reactor));
  probe_ended(&port);
}

CHECK_MAIN()
