/* pool.h: jobs for udpr_reactor_call_in_thread that check the thread they run in, and a count of threads. */
#ifndef UDPR_TESTS_POOL_H
#define UDPR_TESTS_POOL_H

#include "check.h"

#include <sched.h>
#include <semaphore.h>

typedef struct job job;
struct job {
  atomic_int    freed, began, ended;
  int           done;
  pthread_t     worker, loop_thread;
  udpr_reactor *reactor;
  sem_t        *may_finish;           /* unless NULL, the work waits for it */
  void (*act)(udpr_reactor *, job *); /* called in `done` */
  void *arg;                          /* for `act` */
};

static inline bool is_current_thread(pthread_t thread) { return pthread_equal(pthread_self(), thread); }

static inline void job_work(void *user) {
  job *self = user;
  CHECK(self->freed == 0 && self->done == 0);
  self->worker = pthread_self();
  CHECK_EQ(0, atomic_fetch_add(&self->began, 1));
  if (self->may_finish)
    while (sem_wait(self->may_finish) != 0) CHECK_EQ(EINTR, errno);
  atomic_fetch_add(&self->ended, 1);
}

static inline void job_done(udpr_reactor *reactor, void *user) {
  job *self = user;
  CHECK(reactor == self->reactor && is_current_thread(self->loop_thread));
  CHECK(self->ended == 1 && self->freed == 0 && self->done++ == 0);
  if (self->act) self->act(reactor, self);
  CHECK_EQ(0, self->freed);
}

static inline void job_free(void *user) {
  CHECK(is_current_thread(((job *)user)->loop_thread));
  count_free(user);
}

/* `done` must be called on the calling thread. */
static inline void job_submit(udpr_reactor *reactor, job *self) {
  self->reactor = reactor, self->loop_thread = pthread_self();
  OK(udpr_reactor_call_in_thread(reactor, job_work, job_done, self, job_free));
}

static inline udpr_reactor *new_reactor_with_pool(uint32_t size) {
  udpr_reactor_options options = {.size = sizeof options, .thread_pool_size = size};
  udpr_reactor        *reactor = NULL;
  OK(udpr_reactor_new(&options, &reactor));
  return reactor;
}

/* Run in a thread: posts the semaphore after its waiters have had time to begin waiting. */
static inline void post_semaphore_later(void *may_finish) {
  struct timespec a_while = {.tv_nsec = 50000000};
  nanosleep(&a_while, NULL);
  CHECK_EQ(0, sem_post(may_finish));
}

/* Waits, without running turns, until another thread has made `expr` true. */
#define WAIT_UNTIL(expr)                                                  \
  do {                                                                    \
    udpr_ns end_ = monotonic_ns() + CHECK_TIMEOUT;                        \
    for (; !(expr); sched_yield())                                        \
      if (monotonic_ns() > end_) FAIL("timed out waiting for %s", #expr); \
  } while (0)

/* The number of threads of this process. A thread that was just joined may still be counted. /proc/self/task
 * is not used: reading it while threads end skips entries.
 */
static inline int count_threads(void) {
  FILE *status = fopen("/proc/self/status", "re");
  char  line[256];
  int   count = 0;
  CHECK(status != NULL);
  while (count == 0 && fgets(line, sizeof line, status)) sscanf(line, "Threads: %d", &count);
  fclose(status);
  CHECK(count > 0);
  return count;
}

#endif
