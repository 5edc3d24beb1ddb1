/* usage: thread_handover NAME. Data that one thread passes to another through the library, in a program for ThreadSanitizer,
 * which reports a race, with exit code 66, if it does not see the synchronization. This program uses no atomics and no locks.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <udpr/udpr.h>

enum { COUNT = 2000, THREADS = 2, ROUNDS = 10 };

static udpr_reactor   *reactor;
static udpr_remote    *remote;
static udpr_transport *port;
static udpr_addr       address;
static pthread_t       threads[THREADS];
static int             seen, written;

static void must(udpr_status status) {
  if (status == UDPR_OK) return;
  fprintf(stderr, "%s\n", udpr_status_name(status));
  exit(1);
}

static void start(void *(*body)(void *)) {
  for (int i = 0; i < THREADS; i++)
    if (pthread_create(&threads[i], NULL, body, NULL) != 0) exit(1);
}

static void join(void) {
  for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
}

static void stop(udpr_reactor *self, void *user) {
  (void)user;
  must(udpr_reactor_stop(self));
}

/* Returns a block that one thread fills and another one reads and frees. */
static int *filled(int number) {
  int *block = malloc(2 * sizeof *block);
  if (block == NULL) exit(1);
  block[0] = number, block[1] = -number;
  return block;
}

static void check_and_free(udpr_reactor *self, void *user) {
  int *block = user;
  if (block[0] + block[1] != 0) exit(1);
  free(block);
  if (++seen == THREADS * COUNT) must(udpr_reactor_stop(self));
}

/* ---- calls --------------------------------------------------------------------------------------------- */

static void *call(void *unused) {
  for (int i = 0; i < COUNT; i++) must(udpr_remote_call(remote, check_and_free, filled(i), NULL));
  return unused;
}

static void calls(void) {
  start(call);
  must(udpr_reactor_run(reactor));
  join();
}

static void *call_from_thread(void *unused) {
  for (int i = 0; i < COUNT; i++)
    must(udpr_reactor_call_from_thread(reactor, check_and_free, filled(i), NULL));
  return unused;
}

static void calls_from_threads(void) {
  start(call_from_thread);
  must(udpr_reactor_run(reactor));
  join();
}

/* ---- posts --------------------------------------------------------------------------------------------- */

static void count(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  (void)user;
  if (datagram->len != 2 * sizeof(int)) exit(1);
  if (++seen == THREADS * COUNT) must(udpr_reactor_stop(udpr_transport_reactor(transport)));
}

static void listen_here(void) {
  udpr_protocol protocol = {.size = sizeof protocol, .datagram_received = count};
  must(udpr_reactor_listen_udp(reactor, 0, "127.0.0.1", &protocol, NULL, &port));
  must(udpr_transport_get_host(port, &address));
}

static void *post(void *unused) {
  for (int i = 0; i < COUNT; i++) {
    int *block = filled(i);
    while (udpr_transport_post(port, block, 2 * sizeof *block, &address) == UDPR_E_WOULD_BLOCK) sched_yield();
    free(block); /* it was copied */
  }
  return unused;
}

static void posts(void) {
  listen_here();
  start(post);
  must(udpr_reactor_run(reactor));
  join();
  udpr_transport_release(port);
}

/* ---- work ---------------------------------------------------------------------------------------------- */

static void work(void *user) {
  int *block = user;
  block[0] = ++block[1];
  block[1] = -block[0];
}

static void work_and_done(void) {
  for (int i = 0; i < THREADS * COUNT; i++)
    must(udpr_reactor_call_in_thread(reactor, work, check_and_free, filled(i), NULL));
  must(udpr_reactor_run(reactor));
}

/* After udpr_reactor_free, which waits for the work, its results can be read. */
static void work_then_free(void) {
  int *blocks[20];
  for (int i = 0; i < 20; i++)
    must(udpr_reactor_call_in_thread(reactor, work, NULL, blocks[i] = filled(i), NULL));
  must(udpr_reactor_free(reactor));
  reactor = NULL;
  for (int i = 0; i < 20; i++) free(blocks[i]);
}

static void found(udpr_reactor *self, udpr_id id, udpr_status status, const udpr_addr *addrs, size_t len,
                  void *user) {
  (void)id, (void)status, (void)user;
  udpr_addr *copy = calloc(len + 1, sizeof *copy);
  if (copy != NULL && len > 0) memcpy(copy, addrs, len * sizeof *copy);
  free(copy);
  if (++seen == 20) must(udpr_reactor_stop(self));
}

static void look_ups(void) {
  for (int i = 0; i < 20; i++)
    must(udpr_reactor_resolve(reactor, "localhost", 1, 0, 0, found, NULL, NULL, NULL));
  must(udpr_reactor_run(reactor));
}

/* ---- the reactor itself -------------------------------------------------------------------------------- */

static void write_and_stop(udpr_reactor *self, void *user) {
  (void)user;
  written = 42;
  must(udpr_reactor_set_user(self, &written));
  must(udpr_reactor_stop(self));
}

static void *run(void *unused) {
  must(udpr_reactor_run(reactor));
  return unused;
}

/* A reactor runs on one thread, and is used by another one as soon as the run has ended. */
static void one_thread_after_the_other(void) {
  must(udpr_reactor_call_later(reactor, 1000000, write_and_stop, NULL, NULL, NULL));
  if (pthread_create(&threads[0], NULL, run, NULL) != 0) exit(1);
  while (udpr_reactor_user(reactor) == NULL) sched_yield(); /* NULL while the other thread runs it */
  if (written != 42) exit(1);
  must(udpr_reactor_free(reactor));
  reactor = NULL;
  pthread_join(threads[0], NULL);
}

static udpr_status write_before(udpr_reactor *self, udpr_id id, void *user) {
  (void)self, (void)id, (void)user;
  written = 42;
  return UDPR_OK;
}

static void running(void) {
  must(udpr_reactor_add_trigger(reactor, UDPR_PHASE_BEFORE, UDPR_EVENT_STARTUP, write_before, NULL, NULL,
                                NULL));
  must(udpr_reactor_call_later(reactor, 200000000, stop, NULL, NULL, NULL));
  if (pthread_create(&threads[0], NULL, run, NULL) != 0) exit(1);
  while (!udpr_reactor_is_running(reactor)) sched_yield();
  if (written != 42) exit(1);
  pthread_join(threads[0], NULL);
}

static void *write_then_stop(void *unused) {
  while (!udpr_reactor_is_running(reactor)) sched_yield();
  written = 42;
  must(udpr_remote_stop(remote));
  return unused;
}

static void stops(void) {
  if (pthread_create(&threads[0], NULL, write_then_stop, NULL) != 0) exit(1);
  must(udpr_reactor_run(reactor));
  if (written != 42) exit(1);
  pthread_join(threads[0], NULL);
}

static void *write_then_wake(void *unused) {
  written = 42;
  must(udpr_remote_wake(remote));
  return unused;
}

static void wakes(void) {
  if (pthread_create(&threads[0], NULL, write_then_wake, NULL) != 0) exit(1);
  must(udpr_reactor_iterate(reactor, -1));
  if (written != 42) exit(1);
  pthread_join(threads[0], NULL);
}

/* ---- references ---------------------------------------------------------------------------------------- */

static void *post_until_closed(void *unused) {
  udpr_status status;
  do {
    status = udpr_transport_post(port, "12345678", 8, &address);
    sched_yield();
  } while (status == UDPR_OK || status == UDPR_E_WOULD_BLOCK);
  udpr_transport_release(port);
  return unused;
}

/* The thread that releases the last reference frees the transport. */
static void transports(void) {
  must(udpr_reactor_free(reactor));
  for (int i = 0; i < ROUNDS; i++) {
    must(udpr_reactor_new(NULL, &reactor));
    listen_here();
    seen = THREADS * COUNT; /* so that it does not count any longer */
    for (int k = 1; k < THREADS; k++) udpr_transport_retain(port);
    start(post_until_closed);
    for (int k = 0; k < 4; k++) must(udpr_reactor_iterate(reactor, 0));
    must(udpr_reactor_free(reactor));
    join();
  }
  reactor = NULL;
}

static void nothing(udpr_reactor *self, void *user) { (void)self, (void)user; }

static void *call_until_closed(void *unused) {
  udpr_remote *mine = remote;
  while (udpr_remote_call(mine, nothing, NULL, NULL) == UDPR_OK) sched_yield();
  udpr_remote_release(mine);
  return unused;
}

static void remotes(void) {
  must(udpr_reactor_free(reactor));
  for (int i = 0; i < ROUNDS; i++) {
    must(udpr_reactor_new(NULL, &reactor));
    must(udpr_reactor_remote(reactor, &remote));
    for (int k = 1; k < THREADS; k++) udpr_remote_retain(remote);
    start(call_until_closed);
    for (int k = 0; k < 4; k++) must(udpr_reactor_iterate(reactor, 0));
    must(udpr_reactor_free(reactor));
    join();
  }
  reactor = NULL, remote = NULL;
}

/* ---- a race, which has to be reported -------------------------------------------------------------------- */

static void *write_without_synchronization(void *unused) {
  for (int i = 0; i < COUNT; i++) written++;
  return unused;
}

static void race(void) {
  start(write_without_synchronization);
  join();
}

#define CASE(name) \
  { #name, name }
static const struct {
  const char *name;
  void (*body)(void);
} cases[] = {CASE(calls),
             CASE(calls_from_threads),
             CASE(posts),
             CASE(work_and_done),
             CASE(work_then_free),
             CASE(look_ups),
             CASE(one_thread_after_the_other),
             CASE(running),
             CASE(stops),
             CASE(wakes),
             CASE(transports),
             CASE(remotes),
             CASE(race)};

int main(int argc, char **argv) {
  for (size_t i = 0; argc == 2 && i < sizeof cases / sizeof *cases; i++) {
    if (strcmp(argv[1], cases[i].name) != 0) continue;
    must(udpr_reactor_new(NULL, &reactor));
    must(udpr_reactor_remote(reactor, &remote));
    udpr_remote *first = remote;
    cases[i].body();
    must(udpr_reactor_free(reactor)); /* NULL if the case has freed it */
    udpr_remote_release(first);
    return puts("done") < 0;
  }
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) puts(cases[i].name);
  return 0;
}
