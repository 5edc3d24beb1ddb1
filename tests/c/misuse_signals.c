/* Many signals without SA_RESTART: every blocking call is interrupted, but nothing fails, is lost or is done
 * twice.
 */
#include "pool.h"
#include "probe.h"

enum { ROUNDS = 300, CALLS = 300, JOBS = 60, LOOK_UPS = 20, PORTS = 60, ENOUGH = 100 };

static atomic_int  signals;
static atomic_bool done_sending;

static void on_signal(int number) {
  (void)number;
  atomic_fetch_add(&signals, 1);
}

/* Sends signals to one thread until done_sending is set. */
static void send_signals(void *target) {
  while (!atomic_load(&done_sending)) {
    CHECK_EQ(0, pthread_kill(*(pthread_t *)target, SIGUSR1));
    sched_yield();
  }
}

static void start_signals(check_thread *thread, pthread_t *target) {
  struct sigaction action = {.sa_handler = on_signal}; /* no SA_RESTART */
  CHECK_EQ(0, sigaction(SIGUSR1, &action, NULL));
  *target = pthread_self();
  thread_start(thread, send_signals, target);
}

static void stop_signals(check_thread *thread) {
  atomic_store(&done_sending, true);
  thread_join(thread);
}

/* ---- everything that a reactor does -------------------------------------------------------------------- */

typedef struct fixture {
  udpr_reactor   *reactor;
  udpr_transport *ports[2];
  int             rounds, calls, jobs, look_ups, listened, remote_calls;
  atomic_int      worked, freed;
} fixture;

static void count_fixture_free(void *user) { atomic_fetch_add(&((fixture *)user)->freed, 1); }

static bool is_done(const fixture *f) {
  return f->rounds == ROUNDS && f->calls == CALLS && f->jobs == JOBS && f->look_ups == LOOK_UPS &&
         f->listened == PORTS && f->remote_calls == CALLS && atomic_load(&signals) >= ENOUGH;
}

/* Sends the datagram back and forth between the two ports. */
static void ping_pong(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  fixture *f = user;
  if (++f->rounds < ROUNDS)
    OK(udpr_transport_write(transport, datagram->data, datagram->len, &datagram->sender));
}

static void worked(void *user) { atomic_fetch_add(&((fixture *)user)->worked, 1); }

static void done(udpr_reactor *reactor, void *user) {
  fixture *f = user;
  if (++f->jobs < JOBS) OK(udpr_reactor_call_in_thread(reactor, worked, done, f, count_fixture_free));
}

static void resolved(udpr_reactor *reactor, udpr_id id, udpr_status status, const udpr_addr *addrs,
                     size_t count, void *user) {
  fixture *f = user;
  (void)id;
  OK(status);
  CHECK(addrs && count > 0);
  if (++f->look_ups < LOOK_UPS)
    OK(udpr_reactor_resolve(reactor, "localhost", 1, 0, 0, resolved, f, count_fixture_free, NULL));
}

/* Makes another port and closes it. */
static void listen_and_close(fixture *f) {
  udpr_protocol protocol = {.size = sizeof protocol, .user = f, .free_user = count_fixture_free};
  if (f->listened == PORTS) return;
  udpr_transport *transport = listen_on(f->reactor, "127.0.0.1", &protocol, NULL);
  OK(udpr_transport_connect(transport,
                            &(udpr_addr){.family = UDPR_AF_INET, .port = 9, .bytes = {127, 0, 0, 1}}));
  OK(udpr_transport_close(transport));
  udpr_transport_release(transport);
  f->listened++;
}

static void call_again(udpr_reactor *reactor, void *user) {
  fixture *f = user;
  if (f->calls < CALLS) f->calls++;
  listen_and_close(f);
  if (is_done(f)) OK(udpr_reactor_stop(reactor));
  else OK(udpr_reactor_call_later(reactor, 1000, call_again, f, NULL, NULL));
}

static void called(udpr_reactor *reactor, void *user) {
  (void)reactor;
  ((fixture *)user)->remote_calls++;
}

static void call_from_thread(void *user) {
  fixture *f = user;
  for (int i = 0; i < CALLS; i++)
    OK(udpr_reactor_call_from_thread(f->reactor, called, f, count_fixture_free));
}

TEST(everything_works_during_signals) {
  fixture       f = {.reactor = new_reactor(0)};
  udpr_protocol protocol = {.size = sizeof protocol, .user = &f, .datagram_received = ping_pong};
  check_thread  sender, caller;
  pthread_t     me;
  for (int i = 0; i < 2; i++) f.ports[i] = listen_on(f.reactor, "127.0.0.1", &protocol, NULL);
  udpr_addr other = host_of(f.ports[1]);
  start_signals(&sender, &me);
  OK(udpr_transport_write(f.ports[0], "ball", 4, &other));
  OK(udpr_reactor_call_later(f.reactor, 0, call_again, &f, NULL, NULL));
  OK(udpr_reactor_call_in_thread(f.reactor, worked, done, &f, count_fixture_free));
  OK(udpr_reactor_resolve(f.reactor, "localhost", 1, 0, 0, resolved, &f, count_fixture_free, NULL));
  thread_start(&caller, call_from_thread, &f);
  run_with_timeout(f.reactor);
  stop_signals(&sender);
  thread_join(&caller);
  CHECK(is_done(&f) && f.worked == JOBS);
  CHECK_EQ(JOBS + LOOK_UPS + PORTS + CALLS, f.freed);
  for (int i = 0; i < 2; i++) udpr_transport_release(f.ports[i]);
  OK(udpr_reactor_free(f.reactor));
}

/* ---- waiting ------------------------------------------------------------------------------------------- */

/* udpr_reactor_free waits for this work, which waits for a number of signals. */
static void wait_for_signals(void *user) {
  job *self = user;
  atomic_store(&self->began, 1);
  while (atomic_load(&signals) < ENOUGH) sched_yield();
  atomic_store(&self->ended, 1);
}

TEST(free_waits_for_work_during_signals) {
  udpr_reactor *reactor = new_reactor(0);
  job           one = {.loop_thread = pthread_self()};
  check_thread  sender;
  pthread_t     me;
  OK(udpr_reactor_call_in_thread(reactor, wait_for_signals, NULL, &one, job_free));
  WAIT_UNTIL(one.began);
  start_signals(&sender, &me);
  OK(udpr_reactor_free(reactor));
  CHECK(one.ended == 1 && one.freed == 1);
  stop_signals(&sender);
}

/* Neither call reports EINTR, and the delayed call is not early. */
static void stamp(udpr_reactor *reactor, void *user) {
  (void)reactor;
  *(udpr_ns *)user = monotonic_ns();
}

TEST(a_delayed_call_is_not_early_during_signals) {
  udpr_reactor *reactor = new_reactor(0);
  check_thread  sender;
  pthread_t     me;
  udpr_ns       called_at = 0, begin = monotonic_ns();
  OK(udpr_reactor_call_later(reactor, MS(100), stamp, &called_at, NULL, NULL));
  start_signals(&sender, &me);
  for (int turns = 0; !called_at || signals < ENOUGH; turns++) {
    if (monotonic_ns() - begin > CHECK_TIMEOUT) FAIL("timed out after %d turns", turns);
    /* Waits in the turn, so that the sender gets the CPU on a busy machine. */
    OK(udpr_reactor_iterate(reactor, called_at ? (int64_t)MS(10) : -1));
  }
  CHECK(called_at - begin >= MS(100));
  stop_signals(&sender);
  OK(udpr_reactor_free(reactor));
}

CHECK_MAIN()
