/* reactor_per_core [PORT [THREADS]]: an echo server with a thread for each core, and a reactor in each
 * thread. All of them bind the same port, and the kernel distributes the flows: datagrams of one client
 * always go to the same thread.
 *
 *     $ reactor_per_core 9999 2 &
 *     listening on 0.0.0.0:9999
 *     $ for i in 1 2 3 4; do echo $i | nc -4u -w1 localhost 9999; done; kill -INT %1
 *     thread 0: datagrams: 3, flows: 3
 *     thread 1: datagrams: 1, flows: 1
 */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include <udpr/udpr.h>

enum { MOST_THREADS = 256, MOST_FLOWS = 1024, SLOTS = 2 * MOST_FLOWS };

/* Each thread has its own. Nothing is shared, so no lock is needed. */
typedef struct worker {
  pthread_t     thread;
  udpr_reactor *reactor;
  udpr_status   status;
  unsigned      datagrams, flows;
  uint64_t      seed;
  udpr_addr     seen[SLOTS]; /* a hash table; UDPR_AF_UNSPEC is a free slot */
} worker;

/* Prints what has failed, if it has. Returns `status`. */
static udpr_status check(const char *what, udpr_status status) {
  if (status != UDPR_OK)
    fprintf(stderr, "reactor_per_core: %s: %s: %s\n", what, udpr_status_name(status),
            udpr_status_message(status));
  return status;
}

/* Nobody who does not know the seed can choose addresses that collide in the table, which would make it slow. */
static void count(worker *self, const udpr_addr *sender) {
  uint64_t slot = udpr_addr_hash(sender, self->seed) % SLOTS;
  self->datagrams++;
  while (self->seen[slot].family != UDPR_AF_UNSPEC && !udpr_addr_equal(&self->seen[slot], sender))
    slot = (slot + 1) % SLOTS;
  if (self->seen[slot].family != UDPR_AF_UNSPEC || self->flows == MOST_FLOWS) return;
  self->seen[slot] = *sender;
  self->flows++;
}

static void datagram_received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  worker *self = user;
  count(self, &datagram->sender);
  udpr_status status = check("cannot send it back", udpr_transport_write(transport, datagram->data,
                                                                         datagram->len, &datagram->sender));
  if (self->status == UDPR_OK) self->status = status;
}

/* Makes the reactor and its port. `local` is the address of the first port; if its port is 0, it is set to the
 * one chosen.
 */
static udpr_status prepare(worker *self, udpr_addr *local) {
  /* SIGNALS: Ctrl-C ends each run of a reactor with this flag. */
  const udpr_reactor_options options = {.size = sizeof options, .flags = UDPR_REACTOR_SIGNALS};
  const udpr_udp_options     shared = {.size = sizeof shared, .flags = UDPR_UDP_REUSE_PORT};
  const udpr_protocol        protocol = {.size = sizeof protocol,
                                         .user = self,
                                         .datagram_received = datagram_received};
  udpr_transport            *transport = NULL;
  udpr_status status = check("cannot make a reactor", udpr_reactor_new(&options, &self->reactor));
  if (status == UDPR_OK)
    status = check("cannot listen",
                   udpr_reactor_listen_addr(self->reactor, local, &protocol, &shared, &transport));
  if (status == UDPR_OK) status = check("no local address", udpr_transport_get_host(transport, local));
  udpr_transport_release(transport); /* the port stays open without this reference */
  if (status == UDPR_OK && getrandom(&self->seed, sizeof self->seed, 0) != sizeof self->seed)
    status = check("no random seed", UDPR_E_NOT_SUPPORTED);
  return status;
}

static void *run(void *user) {
  worker     *self = user;
  udpr_status status = check("cannot run", udpr_reactor_run(self->reactor));
  if (self->status == UDPR_OK) self->status = status;
  return NULL;
}

/* All ports are bound before any of them is read, because a flow may move when another port is bound. */
static udpr_status serve(worker *workers, int count, uint16_t port) {
  udpr_addr   local = {.family = UDPR_AF_INET, .port = port};
  char        text[UDPR_ADDR_TEXT_MAX];
  udpr_status status = UDPR_OK;
  int         running = 0;
  for (int i = 0; i < count && status == UDPR_OK; i++) status = prepare(&workers[i], &local);
  if (status == UDPR_OK) status = check("no text", udpr_addr_format(&local, text, sizeof text, NULL));
  if (status != UDPR_OK) return status;
  printf("listening on %s\n", text);

  while (running < count && pthread_create(&workers[running].thread, NULL, run, &workers[running]) == 0)
    running++;
  if (running < count) status = check("not enough threads", UDPR_E_NO_MEMORY);
  for (int i = 0; i < running; i++) {
    pthread_join(workers[i].thread, NULL);
    printf("thread %d: datagrams: %u, flows: %u\n", i, workers[i].datagrams, workers[i].flows);
    if (status == UDPR_OK) status = workers[i].status;
  }
  return status;
}

/* Returns the number in `text`, from 0 to `most`, or -1. */
static long parse(const char *text, long most) {
  char *end;
  long  number = strtol(text, &end, 10);
  return end != text && *end == '\0' && number <= most ? number : -1;
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0); /* line by line, also into a pipe */
  long port = argc > 1 ? parse(argv[1], 65535) : 9999;
  long cores = sysconf(_SC_NPROCESSORS_ONLN);
  long threads = argc > 2 ? parse(argv[2], MOST_THREADS) : cores < MOST_THREADS ? cores : MOST_THREADS;
  if (argc > 3 || port < 0 || threads < 1)
    return fprintf(stderr, "usage: reactor_per_core [PORT [THREADS]]   (1 to %d threads)\n", MOST_THREADS), 2;

  worker     *workers = calloc((size_t)threads, sizeof *workers);
  udpr_status status =
      workers ? serve(workers, (int)threads, (uint16_t)port) : check("no workers", UDPR_E_NO_MEMORY);
  for (long i = 0; workers && i < threads; i++) udpr_reactor_free(workers[i].reactor);
  free(workers);
  return status == UDPR_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
