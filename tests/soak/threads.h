/* threads.h: threads that call the reactor and post datagrams, and work for the thread pool. */
#ifndef UDPR_SOAK_THREADS_H
#define UDPR_SOAK_THREADS_H

#include "soak.h"

#include <semaphore.h>

enum { PRODUCERS = 2, WINDOW_SIZE = 32, JOBS = 16, MAX_POOL_SIZE = 10 };

typedef struct producer {
  check_thread  thread;
  sem_t         window; /* for calls and datagrams in flight */
  uint64_t      called, posted;
  atomic_ullong arrived;
  atomic_bool   finished;
} producer;

static producer        producers[PRODUCERS];
static atomic_bool     producers_stop;
static udpr_remote    *remote;
static udpr_transport *sink;
static udpr_addr       sink_host;
static uint64_t        sink_received_count, jobs_pending, work_done;

static void call_received(udpr_reactor *reactor, void *user) {
  CHECK(reactor == soak.reactor);
  producer *self = *(producer **)user;
  atomic_fetch_add(&self->arrived, 1);
  work_done++;
  sem_post(&self->window);
}

static void sink_received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  (void)transport, (void)user;
  uint32_t which;
  CHECK_EQ(sizeof which, datagram->len);
  memcpy(&which, datagram->data, sizeof which);
  CHECK(which < PRODUCERS);
  sink_received_count++, work_done++;
  sem_post(&producers[which].window);
}

/* A lost datagram never frees its place in the window, so the wait ends after a while. */
static void wait_for_window(producer *self) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_nsec += 50000000;
  if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
  while (sem_timedwait(&self->window, &until) != 0 && errno == EINTR) {}
}

static void producer_run(void *arg) {
  producer *self = arg;
  uint32_t  which = (uint32_t)(self - producers);
  while (!atomic_load(&producers_stop)) {
    producer **user = new_registration(sizeof *user);
    *user = self;
    wait_for_window(self);
    OK(udpr_remote_call(remote, call_received, user, free_registration));
    self->called++;
    wait_for_window(self);
    udpr_bytes   pieces[] = {{&which, 1}, {(char *)&which + 1, sizeof which - 1}};
    udpr_message message = {.size = sizeof message,
                            .to = &sink_host,
                            .flags = UDPR_MESSAGE_PIECES | UDPR_MESSAGE_TTL,
                            .pieces = pieces,
                            .piece_count = 2,
                            .ttl = 64,
                            .tag = self->posted};
    udpr_status  status = self->posted % 2 ? udpr_transport_post_message(sink, &message)
                                           : udpr_transport_post(sink, &which, sizeof which, &sink_host);
    if (status == UDPR_OK) self->posted++;
    else CHECK_STATUS(UDPR_E_WOULD_BLOCK, status);
  }
  atomic_store(&self->finished, true);
}

/* ---- the pool ------------------------------------------------------------------------------------------ */

typedef struct job {
  uint32_t from, sum;
} job;

static void job_work(void *user) {
  job *self = user;
  for (uint32_t i = 0; i < 1000; i++) self->sum += self->from + i;
}

static void job_done(udpr_reactor *reactor, void *user) {
  (void)reactor;
  job *self = user;
  CHECK_EQ(self->from * UINT32_C(1000) + 499500, self->sum);
  jobs_pending--, work_done++;
}

/* ---- the load ------------------------------------------------------------------------------------------ */

static void threads_begin(void) {
  udpr_protocol protocol = {.size = sizeof protocol, .datagram_received = sink_received};
  sink = soak_listen("127.0.0.1", &protocol, 0);
  sink_host = host_of(sink);
  sink_received_count = 0;
  OK(udpr_reactor_remote(soak.reactor, &remote));
  atomic_store(&producers_stop, false);
  for (producer *self = producers; self < producers + PRODUCERS; self++) {
    memset(self, 0, sizeof *self);
    CHECK_EQ(0, sem_init(&self->window, 0, WINDOW_SIZE));
    thread_start(&self->thread, producer_run, self);
  }
}

static void threads_tick(void) {
  if (soak.ending) atomic_store(&producers_stop, true);
  /* Threads end and new ones start. UDPR_E_NO_MEMORY means that one could not start. */
  if (soak.ticks % 16 == 0)
    OK_OR_INJECTED(udpr_reactor_suggest_thread_pool_size(soak.reactor, 1 + random_below(MAX_POOL_SIZE)));
  while (!soak.ending && jobs_pending < JOBS) {
    job *one = new_registration(sizeof *one);
    one->from = random_below(1000000);
    if (!OK_OR_INJECTED(
            udpr_reactor_call_in_thread(soak.reactor, job_work, job_done, one, free_registration)))
      break;
    jobs_pending++;
  }
}

static bool threads_settled(void) {
  uint64_t             posted = 0;
  udpr_transport_stats stats = stats_of(sink);
  for (producer *self = producers; self < producers + PRODUCERS; self++) {
    if (!atomic_load(&self->finished) || self->called != atomic_load(&self->arrived)) return false;
    posted += self->posted;
  }
  CHECK_EQ(sink_received_count, stats.datagrams_in);
  return jobs_pending == 0 && posted == stats.datagrams_out + stats.dropped_out &&
         adds_up(stats.datagrams_out, stats.datagrams_in, stats.dropped_in, true);
}

static void threads_end(void) {
  for (producer *self = producers; self < producers + PRODUCERS; self++) {
    thread_join(&self->thread);
    sem_destroy(&self->window);
  }
  udpr_remote_release(remote);
  soak_close(sink);
}

static const load threads_load = {"calls, posts and jobs", &work_done, threads_begin, threads_tick,
                                  threads_settled,         threads_end};

#endif
