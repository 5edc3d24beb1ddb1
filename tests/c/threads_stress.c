/* Four threads make a million calls each. All of them are made, in order for each thread. */
#include "probe.h"

enum { PRODUCERS = 4 };

static unsigned calls_each(void) { return check_rounds(20000, 1000000); }

typedef struct producer {
  udpr_remote *remote;
  check_thread thread;
  unsigned     next; /* the number of the next call */
  unsigned     freed;
} producer;

static producer producers[PRODUCERS];
static unsigned finished;

/* The user of a call is its number, with its producer in the lowest bits. */
static void *user_of(unsigned number, unsigned producer) {
  return (void *)((uintptr_t)number * PRODUCERS + producer);
}

static void check_in_order(udpr_reactor *reactor, void *user) {
  producer *from = &producers[(uintptr_t)user % PRODUCERS];
  CHECK_EQ(from->next, (uintptr_t)user / PRODUCERS);
  CHECK_EQ(from->next, from->freed);
  if (++from->next == calls_each() && ++finished == PRODUCERS) OK(udpr_reactor_stop(reactor));
}

static void freed(void *user) { producers[(uintptr_t)user % PRODUCERS].freed++; }

static void make_calls(void *arg) {
  producer *self = arg;
  unsigned  which = (unsigned)(self - producers), count = calls_each();
  for (unsigned i = 0; i < count; i++)
    OK(udpr_remote_call(self->remote, check_in_order, user_of(i, which), freed));
}

TEST(a_million_calls_from_each_of_four_threads) {
  udpr_reactor *reactor = new_reactor(0);
  udpr_remote  *remote = NULL;
  OK(udpr_reactor_remote(reactor, &remote));
  for (int i = 0; i < PRODUCERS; i++) {
    producers[i].remote = remote;
    thread_start(&producers[i].thread, make_calls, &producers[i]);
  }
  OK(udpr_reactor_run(reactor)); /* until all were made, or the time limit of the case */
  for (int i = 0; i < PRODUCERS; i++) {
    thread_join(&producers[i].thread);
    CHECK_EQ(calls_each(), producers[i].next);
    CHECK_EQ(calls_each(), producers[i].freed);
  }
  udpr_reactor_stats stats = {.size = sizeof stats};
  OK(udpr_reactor_get_stats(reactor, &stats));
  CHECK_EQ((uint64_t)calls_each() * PRODUCERS, stats.calls_from_thread);
  udpr_remote_release(remote);
  OK(udpr_reactor_free(reactor));
}

/* ---- work on the pool ---------------------------------------------------------------------------------- */

typedef struct job {
  atomic_int freed, worked;
  int        done;
  unsigned  *left;
} job;

static void work(void *user) { atomic_fetch_add(&((job *)user)->worked, 1); }

static void done(udpr_reactor *reactor, void *user) {
  job *self = user;
  CHECK(self->worked == 1 && self->done++ == 0 && self->freed == 0);
  if (--*self->left == 0) OK(udpr_reactor_stop(reactor));
}

TEST(ten_thousand_jobs_are_done_once_each) {
  unsigned      count = check_seconds() > 60 ? 1000 : 10000, left = count;
  udpr_reactor *reactor = new_reactor(0);
  job          *jobs = calloc(count, sizeof *jobs);
  for (unsigned i = 0; i < count; i++) {
    jobs[i].left = &left;
    OK(udpr_reactor_call_in_thread(reactor, work, done, &jobs[i], count_free));
  }
  OK(udpr_reactor_run(reactor));
  OK(udpr_reactor_free(reactor));
  for (unsigned i = 0; i < count; i++) CHECK(jobs[i].worked == 1 && jobs[i].done == 1 && jobs[i].freed == 1);
  free(jobs);
}

CHECK_MAIN()
