/* udpr_reactor_options.spin: the loop looks for work before it waits, and everything is served meanwhile. */
#include "recorder.h"

#include <sys/resource.h>

static udpr_reactor *new_spinning(udpr_ns spin, uint32_t flags) {
  udpr_reactor_options options = {.size = sizeof options, .flags = flags, .spin = spin};
  udpr_reactor        *reactor = NULL;
  OK(udpr_reactor_new(&options, &reactor));
  return reactor;
}

static udpr_ns cpu_of_thread(void) {
  struct timespec time;
  CHECK_EQ(0, clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time));
  return (udpr_ns)time.tv_sec * 1000000000 + (udpr_ns)time.tv_nsec;
}

static long sleeps_of_thread(void) {
  struct rusage usage;
  CHECK_EQ(0, getrusage(RUSAGE_THREAD, &usage));
  return usage.ru_nvcsw;
}

TEST(values) {
  udpr_reactor        *reactor = NULL;
  udpr_reactor_options options = {.size = sizeof options, .spin = (udpr_ns)INT64_MAX + 1};
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_reactor_new(&options, &reactor));
  options.spin = UDPR_NEVER - 1;
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_reactor_new(&options, &reactor));
  options.spin = 1, options.reserved = 1;
  CHECK_STATUS(UDPR_E_VERSION, udpr_reactor_new(&options, &reactor));
  CHECK(reactor == NULL);
  const udpr_ns good[] = {0, 1, INT64_MAX, UDPR_NEVER};
  for (int i = 0; i < 4; i++) OK(udpr_reactor_free(new_spinning(good[i], 0)));
}

/* It spins for the whole wait, and no longer. */
TEST(never_longer_than_it_would_have_waited) {
  udpr_reactor *reactor = new_spinning(UDPR_NEVER, 0);
  udpr_ns       begin = monotonic_ns(), cpu = cpu_of_thread();
  OK(udpr_reactor_iterate(reactor, (int64_t)MS(100)));
  udpr_ns took = monotonic_ns() - begin;
  CHECK(took >= MS(100) && took < SECONDS(20));
  CHECK(cpu_of_thread() - cpu >= MS(1));
  OK(udpr_reactor_iterate(reactor, 0));
  OK(udpr_reactor_free(reactor));
}

/* Without the option, and after the time that was asked for, it waits in the kernel, which costs no CPU time. */
TEST(no_longer_than_was_asked_for) {
  const udpr_ns spins[] = {0, MS(20)};
  for (int i = 0; i < 2; i++) {
    udpr_reactor *reactor = new_spinning(spins[i], 0);
    udpr_ns       begin = monotonic_ns(), cpu = cpu_of_thread();
    long          sleeps = sleeps_of_thread();
    OK(udpr_reactor_iterate(reactor, (int64_t)MS(500)));
    CHECK(monotonic_ns() - begin >= MS(500));
    CHECK(cpu_of_thread() - cpu < MS(250));
    CHECK(sleeps_of_thread() > sleeps);
    OK(udpr_reactor_free(reactor));
  }
}

TEST(a_manual_clock_does_not_spin) {
  udpr_reactor *reactor = new_spinning(UDPR_NEVER, UDPR_REACTOR_MANUAL_CLOCK);
  udpr_ns       cpu = cpu_of_thread();
  OK(udpr_reactor_iterate(reactor, (int64_t)MS(500)));
  CHECK(cpu_of_thread() - cpu < MS(250));
  OK(udpr_reactor_free(reactor));
}

/* ---- what ends it ------------------------------------------------------------------------------------------------ */

TEST(a_datagram) {
  udpr_reactor *reactor = new_spinning(UDPR_NEVER, 0);
  recorder      port;
  int           peer = peer_open(AF_INET);
  recorder_listen(&port, reactor, "127.0.0.1", 0, 0);
  peer_send(peer, &port.host, "x", 1);
  OK(udpr_reactor_iterate(reactor, -1));
  CHECK_EQ(1, port.count);
  recorder_close(&port);
  OK(udpr_reactor_free(reactor));
  close(peer);
}

TEST(a_delayed_call) {
  udpr_reactor *reactor = new_spinning(UDPR_NEVER, 0);
  udpr_ns       begin = monotonic_ns();
  OK(udpr_reactor_call_later(reactor, MS(20), stop_call, NULL, NULL, NULL));
  OK(udpr_reactor_run(reactor));
  CHECK(monotonic_ns() - begin >= MS(20));
  OK(udpr_reactor_free(reactor));
}

typedef struct caller {
  udpr_reactor   *reactor;
  udpr_remote    *remote;
  udpr_transport *transport;
  udpr_addr       to;
  int             what;
} caller;

static void call_from_thread(void *user) {
  caller *self = user;
  switch (self->what) {
  case 0: OK(udpr_reactor_call_from_thread(self->reactor, stop_call, NULL, NULL)); break;
  case 1: OK(udpr_transport_post(self->transport, "x", 1, &self->to)); break;
  default: OK(udpr_remote_wake(self->remote)); break;
  }
}

static void begin_thread(udpr_reactor *reactor, void *user) {
  (void)reactor;
  thread_start(user, call_from_thread, ((check_thread *)user)->arg);
}

/* The thread begins in a delayed call, so that the loop spins, or is about to, when it acts. */
static void check_thread_ends(int what) {
  udpr_reactor *reactor = new_spinning(UDPR_NEVER, 0);
  recorder      port;
  check_thread  thread = {0};
  recorder_listen(&port, reactor, "127.0.0.1", 0, 0);
  caller self = {.reactor = reactor, .transport = port.transport, .to = port.host, .what = what};
  OK(udpr_reactor_remote(reactor, &self.remote));
  thread.arg = &self;
  OK(udpr_reactor_call_later(reactor, 0, begin_thread, &thread, NULL, NULL));
  if (what == 0) OK(udpr_reactor_run(reactor));
  else if (what == 1) RUN_UNTIL(reactor, port.count == 1);
  else
    for (int i = 0; i < 2; i++) OK(udpr_reactor_iterate(reactor, -1));
  thread_join(&thread);
  udpr_remote_release(self.remote);
  recorder_close(&port);
  OK(udpr_reactor_free(reactor));
}

TEST(a_call_from_a_thread) { check_thread_ends(0); }
TEST(a_post) { check_thread_ends(1); }
TEST(a_wake) { check_thread_ends(2); }

static void raise_sigint(udpr_reactor *reactor, void *user) {
  (void)reactor, (void)user;
  CHECK_EQ(0, raise(SIGINT));
}

TEST(a_signal) {
  udpr_reactor *reactor = new_spinning(UDPR_NEVER, UDPR_REACTOR_SIGNALS);
  OK(udpr_reactor_call_later(reactor, 0, raise_sigint, NULL, NULL, NULL));
  OK(udpr_reactor_run(reactor));
  OK(udpr_reactor_free(reactor));
}

CHECK_MAIN()
