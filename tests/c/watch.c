/* Watches of descriptors: pipes, TCP sockets, another epoll set. */
#include "watcher.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>

static void check_refused(udpr_status expected, udpr_reactor *reactor, int fd, uint32_t events) {
  watcher user = {0};
  udpr_id id = 42;
  CHECK_STATUS(expected, udpr_reactor_watch(reactor, fd, events, on_ready, &user, count_free, &id));
  CHECK(user.freed == 1 && id == 42);
}

/* Makes a pair of connected TCP sockets on the loopback. */
static void tcp_pair(int ends[2]) {
  struct sockaddr_in local = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t          len = sizeof local;
  int                listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK(listener >= 0 && bind(listener, (struct sockaddr *)&local, len) == 0 && listen(listener, 1) == 0);
  CHECK_EQ(0, getsockname(listener, (struct sockaddr *)&local, &len));
  ends[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK(ends[0] >= 0 && connect(ends[0], (struct sockaddr *)&local, len) == 0);
  ends[1] = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
  CHECK(ends[1] >= 0);
  close(listener);
}

/* ---- reported events ----------------------------------------------------------------------------------- */

TEST(readable_until_it_is_read) {
  udpr_reactor *reactor = new_reactor(0);
  watcher       reader = {0};
  int           ends[2];
  char          byte;
  open_pipe(ends);
  watch(reactor, ends[0], R, &reader);
  run_turns(reactor, 3);
  CHECK_EQ(0, reader.calls);
  CHECK_EQ(1, write(ends[1], "x", 1));
  run_turns(reactor, 3);
  CHECK(reader.calls == 3 && reader.seen_events == R);
  CHECK_EQ(1, read(ends[0], &byte, 1));
  run_turns(reactor, 3);
  CHECK_EQ(3, reader.calls);
  OK(udpr_reactor_free(reactor));
  CHECK_EQ(1, reader.freed);
  close_pipe(ends); /* the reactor has not closed them */
}

TEST(writable_until_the_buffer_is_full) {
  udpr_reactor *reactor = new_reactor(0);
  watcher       writer = {0};
  int           ends[2];
  char          block[4096] = {0};
  open_pipe(ends);
  watch(reactor, ends[1], W, &writer);
  run_turns(reactor, 2);
  CHECK(writer.calls == 2 && writer.seen_events == W);
  while (write(ends[1], block, sizeof block) > 0) {}
  run_turns(reactor, 3);
  CHECK_EQ(2, writer.calls);
  while (read(ends[0], block, sizeof block) > 0) {}
  run_turns(reactor, 1);
  CHECK_EQ(3, writer.calls);
  OK(udpr_reactor_free(reactor));
  close_pipe(ends);
}

static void write_from_thread(void *end) { CHECK_EQ(1, write(*(int *)end, "x", 1)); }

TEST(a_turn_waits_for_a_watch) {
  udpr_reactor *reactor = new_reactor(0);
  watcher       reader = {0};
  check_thread  thread;
  int           ends[2];
  open_pipe(ends);
  watch(reactor, ends[0], R, &reader);
  thread_start(&thread, write_from_thread, &ends[1]);
  while (!reader.calls) OK(udpr_reactor_iterate(reactor, -1));
  thread_join(&thread);
  OK(udpr_reactor_free(reactor));
  close_pipe(ends);
}

/* Returns the events of a watch for `events` when the other side has closed. */
static uint32_t events_at_hangup(uint32_t events, bool with_data) {
  udpr_reactor *reactor = new_reactor(0);
  watcher       reader = {0};
  int           ends[2];
  open_pipe(ends);
  watch(reactor, ends[0], events, &reader);
  if (with_data) CHECK_EQ(1, write(ends[1], "x", 1));
  close(ends[1]);
  run_turns(reactor, 2);
  CHECK_EQ(2, reader.calls); /* repeated until it is unwatched */
  OK(udpr_reactor_unwatch(reactor, reader.id));
  run_turns(reactor, 2);
  CHECK(reader.calls == 2 && reader.freed == 1);
  OK(udpr_reactor_free(reactor));
  close(ends[0]);
  return reader.seen_events;
}

TEST(hangup_is_always_reported_without_readable) {
  CHECK_EQ(H, events_at_hangup(R, false));
  CHECK_EQ(R | H, events_at_hangup(R, true));
  CHECK_EQ(H, events_at_hangup(W, true));
  CHECK_EQ(H, events_at_hangup(H, true));
}

TEST(an_error_is_a_hangup) {
  udpr_reactor *reactor = new_reactor(0);
  watcher       writer = {0};
  int           ends[2];
  open_pipe(ends);
  watch(reactor, ends[1], W, &writer);
  close(ends[0]); /* EPOLLERR: the pipe has no reader */
  run_turns(reactor, 1);
  CHECK(writer.seen_events & H);
  OK(udpr_reactor_free(reactor));
  close(ends[1]);
}

TEST(tcp_sockets) {
  udpr_reactor *reactor = new_reactor(0);
  watcher       one = {0}, other = {0};
  struct linger abort_it = {.l_onoff = 1};
  int           ends[2];
  char          bytes[8];
  tcp_pair(ends);
  watch(reactor, ends[0], R | W, &one);
  watch(reactor, ends[1], R, &other);
  RUN_UNTIL(reactor, one.seen_events == W);
  CHECK_EQ(5, write(ends[0], "hello", 5));
  RUN_UNTIL(reactor, other.seen_events == R);
  CHECK_EQ(5, read(ends[1], bytes, sizeof bytes));
  CHECK_EQ(5, write(ends[1], "world", 5));
  RUN_UNTIL(reactor, one.seen_events == (R | W));
  CHECK_EQ(5, read(ends[0], bytes, sizeof bytes));

  OK(udpr_reactor_unwatch(reactor, other.id));
  CHECK_EQ(0, setsockopt(ends[1], SOL_SOCKET, SO_LINGER, &abort_it, sizeof abort_it));
  close(ends[1]); /* with unread data: a reset */
  RUN_UNTIL(reactor, one.seen_events & H);
  OK(udpr_reactor_free(reactor));
  CHECK(one.freed == 1 && other.freed == 1);
  close(ends[0]);
}

TEST(another_epoll_set) {
  udpr_reactor      *reactor = new_reactor(0);
  watcher            nested = {0};
  struct epoll_event event = {.events = EPOLLIN};
  int                set = epoll_create1(EPOLL_CLOEXEC), counter = eventfd(0, EFD_CLOEXEC);
  CHECK(set >= 0 && counter >= 0 && epoll_ctl(set, EPOLL_CTL_ADD, counter, &event) == 0);
  watch(reactor, set, R, &nested);
  run_turns(reactor, 2);
  CHECK_EQ(0, nested.calls);
  CHECK_EQ(0, eventfd_write(counter, 1));
  RUN_UNTIL(reactor, nested.calls);
  CHECK_EQ(R, nested.seen_events);
  OK(udpr_reactor_free(reactor));
  close(set);
  close(counter);
}

static void iterate_inner(udpr_reactor *reactor, watcher *self, uint32_t now) {
  (void)reactor, (void)now;
  OK(udpr_reactor_iterate(self->arg, 0));
}

TEST(another_reactor) {
  udpr_reactor *outer = new_reactor(0), *inner = new_reactor(0);
  watcher       nested = {.act = iterate_inner, .arg = inner};
  udpr_socket   fd = -1;
  OK(udpr_reactor_backend_fd(inner, &fd));
  watch(outer, fd, R, &nested);
  OK(udpr_reactor_start(inner));
  OK(udpr_reactor_call_later(inner, MS(5), stop_call, NULL, NULL, NULL));
  RUN_UNTIL(outer, !udpr_reactor_is_running(inner));
  OK(udpr_reactor_free(outer));
  OK(udpr_reactor_free(inner));
}

/* ---- which descriptors can be watched ------------------------------------------------------------------ */

TEST(one_watch_for_each_descriptor) {
  udpr_reactor *reactor = new_reactor(0);
  watcher       first = {0}, again = {0}, other = {0};
  int           ends[2];
  open_pipe(ends);
  int copy = dup(ends[0]);
  watch(reactor, ends[0], R, &first);
  check_refused(UDPR_E_SYSTEM - EEXIST, reactor, ends[0], R);
  check_refused(UDPR_E_SYSTEM - EEXIST, reactor, ends[0], W);
  watch(reactor, copy, R, &other); /* a duplicate has a number of its own */
  OK(udpr_reactor_unwatch(reactor, first.id));
  watch(reactor, ends[0], R, &again);
  CHECK(again.id != first.id);
  CHECK_EQ(1, write(ends[1], "x", 1));
  run_turns(reactor, 1);
  CHECK(first.calls == 0 && again.calls == 1 && other.calls == 1);
  OK(udpr_reactor_free(reactor));
  CHECK(first.freed == 1 && again.freed == 1 && other.freed == 1);
  close(copy);
  close_pipe(ends);
}

TEST(descriptors_that_cannot_be_watched) {
  udpr_reactor *reactor = new_reactor(0);
  FILE         *file = tmpfile();
  int           ends[2];
  CHECK(file != NULL);
  open_pipe(ends);
  check_refused(UDPR_E_INVALID_ARGUMENT, reactor, ends[0], 0);
  check_refused(UDPR_E_INVALID_ARGUMENT, reactor, ends[0], 8);
  check_refused(UDPR_E_INVALID_ARGUMENT, reactor, ends[0], R | 0x80000000u);
  check_refused(UDPR_E_NOT_SUPPORTED, reactor, fileno(file), R);
  check_refused(UDPR_E_SYSTEM - EBADF, reactor, -1, R);
  close_pipe(ends);
  check_refused(UDPR_E_SYSTEM - EBADF, reactor, ends[0], R);
  CHECK_EQ(EBADF, udpr_status_errno(UDPR_E_SYSTEM - EBADF));
  fclose(file);
  OK(udpr_reactor_free(reactor));
}

TEST(null_arguments) {
  udpr_reactor *reactor = new_reactor(0);
  watcher       user = {0};
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_reactor_watch(NULL, 0, R, on_ready, &user, count_free, NULL));
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_reactor_watch(reactor, 0, R, NULL, &user, count_free, NULL));
  CHECK_EQ(2, user.freed);
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_reactor_change_watch(NULL, 1, R));
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_reactor_unwatch(NULL, 1));
  OK(udpr_reactor_free(reactor));
}

CHECK_MAIN()
