/* change_watch and unwatch, also in callbacks, and descriptors that are closed and reused within a turn. */
#include "watcher.h"

/* ---- change_watch -------------------------------------------------------------------------------------- */

TEST(change_watch_changes_the_events) {
  udpr_reactor *reactor = new_reactor(0);
  watcher       one = {0};
  int           ends[2];
  CHECK_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
  CHECK_EQ(1, write(ends[1], "x", 1));
  watch(reactor, ends[0], R, &one);
  run_turns(reactor, 1);
  CHECK_EQ(R, one.seen_events);
  one.seen_events = 0;
  OK(udpr_reactor_change_watch(reactor, one.id, W));
  run_turns(reactor, 1);
  CHECK_EQ(W, one.seen_events);
  OK(udpr_reactor_change_watch(reactor, one.id, R | W));
  run_turns(reactor, 1);
  CHECK(one.calls == 3 && one.seen_events == (R | W)); /* both in one call */
  OK(udpr_reactor_change_watch(reactor, one.id, H));
  run_turns(reactor, 2);
  CHECK_EQ(3, one.calls);
  CHECK_EQ(0, one.freed);
  OK(udpr_reactor_free(reactor));
  CHECK_EQ(1, one.freed);
  close_pipe(ends);
}

TEST(change_and_unwatch_check_their_arguments) {
  udpr_reactor *reactor = new_reactor(0), *other = new_reactor(0);
  watcher       one = {0};
  int           ends[2];
  open_pipe(ends);
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
  run_turns(reactor, 1);
  CHECK_EQ(1, one.calls); /* not changed */
  OK(udpr_reactor_unwatch(reactor, one.id));
  CHECK_EQ(1, one.freed); /* before unwatch returns */
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_unwatch(reactor, one.id));
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_change_watch(reactor, one.id, R));
  OK(udpr_reactor_free(reactor));
  OK(udpr_reactor_free(other));
  CHECK_EQ(1, one.freed);
  close_pipe(ends);
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
  open_pipe(ends);
  CHECK_EQ(1, write(ends[1], "x", 1));
  watch(reactor, ends[0], R, &one);
  run_turns(reactor, 3);
  CHECK(one.calls == 1 && one.freed == 1);
  OK(udpr_reactor_free(reactor));
  close_pipe(ends);
}

static void alternate_events(udpr_reactor *reactor, watcher *self, uint32_t now) {
  CHECK_EQ(self->calls % 2 ? R : W, now);
  OK(udpr_reactor_change_watch(reactor, self->id, self->calls % 2 ? W : R));
}

TEST(change_in_its_own_callback) {
  udpr_reactor *reactor = new_reactor(0);
  watcher       one = {.act = alternate_events};
  int           ends[2];
  CHECK_EQ(0, socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends));
  CHECK_EQ(1, write(ends[1], "x", 1));
  watch(reactor, ends[0], R, &one);
  run_turns(reactor, 10);
  CHECK_EQ(10, one.calls);
  OK(udpr_reactor_free(reactor));
  close_pipe(ends);
}

/* Both watches are ready in one turn. The one called first acts on the other. */
typedef struct fixture {
  udpr_reactor *reactor;
  watcher       two[2];
  int           ends[2][2];
  watcher       new_watch; /* for a reused descriptor */
} fixture;

static void set_up(fixture *f, void (*act)(udpr_reactor *, watcher *, uint32_t)) {
  *f = (fixture){.reactor = new_reactor(0)};
  for (int i = 0; i < 2; i++) {
    f->two[i] = (watcher){.act = act, .arg = f};
    open_pipe(f->ends[i]);
    CHECK_EQ(1, write(f->ends[i][1], "x", 1));
    watch(f->reactor, f->ends[i][0], R, &f->two[i]);
  }
}

static void tear_down(fixture *f) {
  OK(udpr_reactor_free(f->reactor));
  CHECK(f->two[0].freed == 1 && f->two[1].freed == 1);
  for (int i = 0; i < 2; i++) close_pipe(f->ends[i]);
}

static int other_of(const watcher *self) { return self == &((fixture *)self->arg)->two[0]; }

static void unwatch_other(udpr_reactor *reactor, watcher *self, uint32_t now) {
  watcher *other = &((fixture *)self->arg)->two[other_of(self)];
  (void)now;
  if (other->freed) return;
  OK(udpr_reactor_unwatch(reactor, other->id));
  CHECK_EQ(1, other->freed);
}

TEST(unwatch_another_that_is_ready_in_the_same_turn) {
  fixture f;
  set_up(&f, unwatch_other);
  run_turns(f.reactor, 1);
  CHECK_EQ(1, f.two[0].calls + f.two[1].calls);
  run_turns(f.reactor, 3);
  CHECK_EQ(4, f.two[0].calls + f.two[1].calls);
  CHECK(f.two[0].calls == 0 || f.two[1].calls == 0);
  tear_down(&f);
}

/* The other watch's descriptor becomes the read end of an empty pipe. */
static void reuse_descriptor(fixture *f, int which) {
  int fresh[2];
  open_pipe(fresh);
  CHECK_EQ(f->ends[which][0], dup3(fresh[0], f->ends[which][0], O_CLOEXEC)); /* also closes the old one */
  close(fresh[0]);
  close(f->ends[which][1]);
  f->ends[which][1] = fresh[1];
}

static void unwatch_and_reuse(udpr_reactor *reactor, watcher *self, uint32_t now) {
  fixture *f = self->arg;
  int      other = other_of(self);
  (void)now;
  if (f->new_watch.id) return;
  OK(udpr_reactor_unwatch(reactor, f->two[other].id));
  reuse_descriptor(f, other);
  watch(reactor, f->ends[other][0], R, &f->new_watch);
}

static void reuse_without_unwatch(udpr_reactor *reactor, watcher *self, uint32_t now) {
  fixture *f = self->arg;
  int      other = other_of(self);
  (void)now;
  if (f->new_watch.id) return;
  reuse_descriptor(f, other);
  watch(reactor, f->ends[other][0], R, &f->new_watch);
  /* must not end the new watch */
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_unwatch(reactor, f->two[other].id));
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_change_watch(reactor, f->two[other].id, W));
  CHECK_EQ(1, f->two[other].freed);
}

static void check_new_watch(void (*act)(udpr_reactor *, watcher *, uint32_t)) {
  fixture f;
  set_up(&f, act);
  run_turns(f.reactor, 3);
  CHECK_EQ(0, f.new_watch.calls); /* its pipe is empty */
  CHECK(f.two[0].calls == 0 || f.two[1].calls == 0);
  int which = f.two[0].calls ? 1 : 0;
  CHECK_EQ(1, write(f.ends[which][1], "y", 1));
  run_turns(f.reactor, 2);
  CHECK(f.new_watch.calls == 2 && f.new_watch.seen_events == R && f.two[which].calls == 0);
  tear_down(&f);
  CHECK_EQ(1, f.new_watch.freed);
}

TEST(a_descriptor_unwatched_closed_and_reused) { check_new_watch(unwatch_and_reuse); }
TEST(a_descriptor_closed_and_reused_without_unwatch) { check_new_watch(reuse_without_unwatch); }

static void change_other(udpr_reactor *reactor, watcher *self, uint32_t now) {
  fixture *f = self->arg;
  (void)now;
  OK(udpr_reactor_change_watch(reactor, f->two[other_of(self)].id, W));
}

/* The other descriptor is readable in the same turn, but this event is no longer watched. */
TEST(change_another_that_is_ready_in_the_same_turn) {
  fixture f;
  set_up(&f, change_other);
  run_turns(f.reactor, 3);
  CHECK_EQ(3, f.two[0].calls + f.two[1].calls);
  CHECK(f.two[0].calls == 0 || f.two[1].calls == 0);
  tear_down(&f);
}

CHECK_MAIN()
