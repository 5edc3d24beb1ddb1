/* An idle reactor does nothing. The test replaces two functions of the C library, to delay a write and to
 * count calls.
 */
#include "lookup_dns.h"

#include <dlfcn.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>

typedef long (*syscall_fn)(long, ...);

static syscall_fn  next_syscall;
static sem_t       write_begins, write_may_go_on; /* around the write(2) of a thread that wakes the reactor */
static atomic_bool hold_write;
static int         timerfd_calls;

/* The library writes by syscall(2), which is not a cancellation point. */
long syscall(long number, ...) {
  long    argument[6];
  va_list rest;
  va_start(rest, number);
  for (int i = 0; i < 6; i++) argument[i] = va_arg(rest, long);
  va_end(rest);
  if (!next_syscall) *(void **)&next_syscall = dlsym(RTLD_NEXT, "syscall");
  if (number == SYS_write && atomic_exchange(&hold_write, false)) {
    sem_post(&write_begins);
    while (sem_wait(&write_may_go_on) != 0) {}
  }
  return next_syscall(number, argument[0], argument[1], argument[2], argument[3], argument[4], argument[5]);
}

int timerfd_settime(int fd, int flags, const struct itimerspec *to, struct itimerspec *before) {
  timerfd_calls++;
  return (int)syscall(SYS_timerfd_settime, fd, flags, to, before);
}

static void count(udpr_reactor *reactor, void *user) {
  (void)reactor;
  ++*(int *)user;
}

static int wakeups_of(udpr_reactor *reactor) {
  udpr_reactor_stats stats = {.size = sizeof stats};
  OK(udpr_reactor_get_stats(reactor, &stats));
  return (int)stats.wakeups;
}

typedef struct caller {
  udpr_remote *remote;
  int          calls;
} caller;

static void call_once(void *arg) {
  caller *self = arg;
  OK(udpr_remote_call(self->remote, count, &self->calls, NULL));
}

/* The call is made in a turn between the two steps of a wake-up: the flag that announces it, and the write.
 */
TEST(a_late_wake_up_is_handled_once) {
  udpr_reactor *reactor = new_reactor(0);
  caller        self = {0};
  check_thread  thread;
  CHECK(sem_init(&write_begins, 0, 0) == 0 && sem_init(&write_may_go_on, 0, 0) == 0);
  OK(udpr_reactor_remote(reactor, &self.remote));
  hold_write = true;
  thread_start(&thread, call_once, &self);
  while (sem_wait(&write_begins) != 0) {}
  run_turns(reactor, 1);
  CHECK_EQ(1, self.calls);
  CHECK_EQ(0, sem_post(&write_may_go_on));
  thread_join(&thread);
  int before = wakeups_of(reactor);
  run_turns(reactor, 10);
  CHECK_EQ(1, wakeups_of(reactor) - before);
  call_once(&self);
  run_turns(reactor, 1);
  CHECK_EQ(2, self.calls);
  udpr_remote_release(self.remote);
  OK(udpr_reactor_free(reactor));
}

/* The deadline of the look-up is on a clock that does not move. */
TEST(a_look_up_on_a_manual_clock_does_not_spin) {
  dns_fixture fixture;
  lookup      name = {0};
  set_up(&fixture, 0);
  OK(udpr_reactor_free(fixture.reactor));
  fixture.reactor = new_reactor(UDPR_REACTOR_MANUAL_CLOCK);
  start_hanging_lookup(&fixture, 1000, &name);
  udpr_ns begin = monotonic_ns();
  OK(udpr_reactor_iterate(fixture.reactor, (int64_t)MS(20)));
  CHECK(monotonic_ns() - begin >= MS(20));
  OK(udpr_reactor_advance(fixture.reactor, 1000));
  lookup_expect_status(UDPR_E_TIMED_OUT, fixture.reactor, &name);
  dns_answer_held(&fixture.dns);
  tear_down(&fixture);
}

TEST(the_timerfd_is_set_once_for_one_instant) {
  udpr_reactor *reactor = new_reactor(0);
  udpr_socket   fd;
  int           calls = 0;
  udpr_id       first;
  OK(udpr_reactor_backend_fd(reactor, &fd));
  OK(udpr_reactor_call_later(reactor, SECONDS(1000), count, &calls, NULL, &first));
  int set = timerfd_calls;
  CHECK(set > 0);
  for (int i = 0; i < 1000; i++)
    OK(udpr_reactor_call_later(reactor, SECONDS(2000), count, &calls, NULL, NULL));
  run_turns(reactor, 10);
  CHECK_EQ(set, timerfd_calls);
  OK(udpr_reactor_cancel_call(reactor, first));
  CHECK_EQ(set + 1, timerfd_calls);
  OK(udpr_reactor_free(reactor));
}

CHECK_MAIN()
