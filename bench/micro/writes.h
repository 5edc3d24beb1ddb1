/* writes.h: datagrams that are written outside callbacks, as in libuv's udp_pummel benchmark: one port sends to another
 * port of the same loop, which receives and counts.
 *
 *     PROGRAM MODE
 *
 * A round writes 64 datagrams of 64 bytes and runs the loop, without waiting, until they have arrived. MODE chooses how
 * a program writes. It prints "cpu_rate N": datagrams per second of CPU time, which is that of both directions.
 */
#ifndef UDPR_BENCH_WRITES_H
#define UDPR_BENCH_WRITES_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ROUND = 64, DATAGRAMS = 1000000 - 1000000 % ROUND, SIZE = 64, MAX_TURNS = 1000000 };

static const char payload[SIZE];
static unsigned   received;

static void prepare(void);
static int  choose_mode(const char *mode); /* false if there is no such mode */
static void write_round(void);             /* writes ROUND datagrams */
static void turn(void);                    /* runs the loop once without waiting */

static double cpu_s(void) {
  struct timespec time;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(int argc, char **argv) {
  if (argc != 2 || !choose_mode(argv[1])) return fprintf(stderr, "usage: %s MODE\n", argv[0]), 2;
  prepare();
  double start = cpu_s();
  for (unsigned expected = ROUND; expected <= DATAGRAMS; expected += ROUND) {
    write_round();
    for (unsigned turns = 0; received < expected && turns < MAX_TURNS; turns++) turn();
  }
  printf("cpu_rate %.0f\n", received / (cpu_s() - start));
  return received == DATAGRAMS ? EXIT_SUCCESS : EXIT_FAILURE;
}

#endif
