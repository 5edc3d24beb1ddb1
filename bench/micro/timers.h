/* timers.h: delayed calls are inserted and cancelled, then inserted again and all of them called.
 *
 *     PROGRAM COUNT
 *
 * A program defines the four functions below. It prints "insert_ns N cancel_ns N fire_ns N", for one call each. Delays
 * are random whole milliseconds, since libuv has no finer ones. Calls are cancelled in the order of their insertion, as
 * most timeouts of requests are.
 */
#ifndef UDPR_BENCH_TIMERS_H
#define UDPR_BENCH_TIMERS_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { LONGEST_MS = 60000, SOON_MS = 100 };

static void prepare(void);                      /* called before the first insertion */
static void insert(unsigned i, unsigned delay); /* in ms */
static void cancel(unsigned i);
static void fire(void); /* runs the loop until `fired` is `count` */

static unsigned count, fired;

static double now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static double insert_all(unsigned longest_ms) {
  uint32_t random = 1;
  double   start = now_ns();
  for (unsigned i = 0; i < count; i++) {
    random = random * 1664525 +
             1013904223; /* the generator of Numerical Recipes, of which only the high bits are used */
    insert(i, 1 + (unsigned)((uint64_t)random * longest_ms >> 32));
  }
  return (now_ns() - start) / count;
}

static double cancel_all(void) {
  double start = now_ns();
  for (unsigned i = 0; i < count; i++) cancel(i);
  return (now_ns() - start) / count;
}

/* Waits until all calls are due, so that no waiting is measured. */
static double fire_all(void) {
  nanosleep(&(struct timespec){.tv_nsec = SOON_MS * 1000000L}, NULL);
  double start = now_ns();
  fire();
  return (now_ns() - start) / count;
}

int main(int argc, char **argv) {
  count = argc == 2 ? (unsigned)strtoul(argv[1], NULL, 10) : 0;
  if (count == 0) return fprintf(stderr, "usage: %s COUNT\n", argv[0]), 2;
  prepare();
  double insert_ns = insert_all(LONGEST_MS), cancel_ns = cancel_all();
  insert_all(SOON_MS);
  double fire_ns = fire_all();
  printf("insert_ns %.1f cancel_ns %.1f fire_ns %.1f\n", insert_ns, cancel_ns, fire_ns);
  return fired == count ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
