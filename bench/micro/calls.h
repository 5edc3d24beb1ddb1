/* calls.h: calls from other threads to the thread of the event loop.
 *
 *     PROGRAM PRODUCERS
 *
 * PRODUCERS threads make a million calls in all, as fast as they can, while the main thread runs the loop. A program
 * defines the four functions below. It prints "calls_per_s N", measured until the last call has run. The loop runs on
 * the last core that the process may use, the producers share the first.
 */
#ifndef UDPR_BENCH_CALLS_H
#define UDPR_BENCH_CALLS_H

#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { CALLS = 1000000, MAX_PRODUCERS = 64 };

static void prepare(void);
static void call(void); /* called by a producer: makes the main thread call `count_call` */
static void run(void);  /* returns once stopped */
static void stop(void); /* called on the main thread */

static unsigned calls_per_producer, calls_expected, calls_run;

static void count_call(void) {
  if (++calls_run == calls_expected) stop();
}

static void pin_to_core(int last) {
  cpu_set_t allowed, chosen;
  int       cpu = last ? CPU_SETSIZE - 1 : 0;
  sched_getaffinity(0, sizeof allowed, &allowed);
  while (!CPU_ISSET(cpu, &allowed)) cpu += last ? -1 : 1;
  CPU_ZERO(&chosen);
  CPU_SET(cpu, &chosen);
  sched_setaffinity(0, sizeof chosen, &chosen);
}

static void *produce(void *user) {
  (void)user;
  pin_to_core(0);
  for (unsigned i = 0; i < calls_per_producer; i++) call();
  return NULL;
}

static double now_s(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
  pthread_t threads[MAX_PRODUCERS];
  int       producers = argc == 2 ? atoi(argv[1]) : 0;
  if (producers < 1 || producers > MAX_PRODUCERS) return fprintf(stderr, "usage: %s PRODUCERS\n", argv[0]), 2;
  calls_per_producer = CALLS / (unsigned)producers;
  calls_expected = calls_per_producer * (unsigned)producers;
  prepare();
  double start = now_s();
  for (int i = 0; i < producers; i++) pthread_create(&threads[i], NULL, produce, NULL);
  pin_to_core(1); /* not earlier, since new threads inherit the affinity */
  run();
  printf("calls_per_s %.0f\n", calls_run / (now_s() - start));
  for (int i = 0; i < producers; i++) pthread_join(threads[i], NULL);
  return calls_run == calls_expected ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
