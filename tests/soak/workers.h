/* workers.h: threads that call the reactor and post datagrams, and work for the pool. */
#ifndef UDPR_SOAK_WORKERS_H
#define UDPR_SOAK_WORKERS_H

#include "soak.h"

#include <semaphore.h>

enum { WORKERS = 2, AT_ONCE = 32, JOBS = 16, POOL = 10 };

typedef struct worker {
  check_thread  thread;
  sem_t         room; /* for calls and datagrams under way */
  uint64_t      called, posted;
  atomic_ullong arrived;
  atomic_bool   over;
} worker;

static worker          workers[WORKERS];
static atomic_bool     workers_end_now;
static udpr_remote    *remote;
static udpr_transport *sink;
static udpr_addr       sink_host;
static uint64_t        sink_came, jobs_out, work_done;

static void call_arrives(udpr_reactor *reactor, void *user) {
  CHECK(reactor == soak.reactor);
  worker *self = *(worker **)user;
  atomic_fetch_add(&self->arrived, 1);
  work_done++;
  sem_post(&self->room);
}

static void sink_received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  (void)transport, (void)user;
  uint32_t which;
  CHECK_EQ(sizeof which, datagram->len);
  memcpy(&which, datagram->data, sizeof which);
  CHECK(which < WORKERS);
  sink_came++, work_done++;
  sem_post(&workers[which].room);
}

/* A datagram that was lost takes its room with it; waiting a moment makes up for that. */
static void wait_for_room(worker *self) {
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_nsec += 50000000;
  if (until.tv_nsec >= 1000000000) until.tv_sec++, until.tv_nsec -= 1000000000;
  while (sem_timedwait(&self->room, &until) != 0 && errno == EINTR) {}
}

static void worker_run(void *arg) {
  worker  *self = arg;
  uint32_t which = (uint32_t)(self - workers);
  while (!atomic_load(&workers_end_now)) {
    worker **user = new_user(sizeof *user);
    *user = self;
    wait_for_room(self);
    OK(udpr_remote_call(remote, call_arrives, user, take_back));
    self->called++;
    wait_for_room(self);
    udpr_status status = udpr_transport_post(sink, &which, sizeof which, &sink_host);
    if (status == UDPR_OK) self->posted++;
    else CHECK_STATUS(UDPR_E_WOULD_BLOCK, status);
  }
  atomic_store(&self->over, true);
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
  jobs_out--, work_done++;
}

/* ---- the load ------------------------------------------------------------------------------------------ */

static void workers_begin(void) {
  udpr_protocol protocol = {.size = sizeof protocol, .datagram_received = sink_received};
  sink = soak_listen("127.0.0.1", &protocol, 0);
  sink_host = host_of(sink);
  sink_came = 0;
  OK(udpr_reactor_remote(soak.reactor, &remote));
  atomic_store(&workers_end_now, false);
  for (worker *self = workers; self < workers + WORKERS; self++) {
    memset(self, 0, sizeof *self);
    CHECK_EQ(0, sem_init(&self->room, 0, AT_ONCE));
    thread_start(&self->thread, worker_run, self);
  }
}

static void workers_tick(void) {
  if (soak.ending) atomic_store(&workers_end_now, true);
  /* Threads end, and are made again. NO_MEMORY: one could not be, the others do. */
  if (soak.ticks % 16 == 0)
    OK_OR_FAULT(udpr_reactor_suggest_thread_pool_size(soak.reactor, 1 + any_below(POOL)));
  while (!soak.ending && jobs_out < JOBS) {
    job *one = new_user(sizeof *one);
    one->from = any_below(1000000);
    if (!OK_OR_FAULT(udpr_reactor_call_in_thread(soak.reactor, job_work, job_done, one, take_back))) break;
    jobs_out++;
  }
}

static bool workers_settled(void) {
  uint64_t             posted = 0;
  udpr_transport_stats stats = stats_of(sink);
  for (worker *self = workers; self < workers + WORKERS; self++) {
    if (!atomic_load(&self->over) || self->called != atomic_load(&self->arrived)) return false;
    posted += self->posted;
  }
  CHECK_EQ(sink_came, stats.datagrams_in);
  return jobs_out == 0 && posted == stats.datagrams_out + stats.dropped_out &&
         accounted(stats.datagrams_out, stats.datagrams_in, stats.dropped_in, true);
}

static void workers_end(void) {
  for (worker *self = workers; self < workers + WORKERS; self++) {
    thread_join(&self->thread);
    sem_destroy(&self->room);
  }
  udpr_remote_release(remote);
  soak_close(sink);
}

static const load workers_load = {"calls, posts and jobs", &work_done, workers_begin, workers_tick,
                                  workers_settled,         workers_end};

#endif
