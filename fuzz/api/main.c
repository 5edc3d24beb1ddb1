/* main.c: the program: api [--seconds N] [--from SEED] [--keep-going] [SEED...]
 *                      api --seed SEED [--steps N] [--trace]
 *
 * Runs the sequences of the given seeds, then new ones for the given time, beginning with a random seed or with SEED of
 * --from. --seed runs only that sequence, in this process. Sequences run in a child process. If it fails or hangs, the
 * sequence is shortened as long as it still fails, and printed; with --keep-going the next seed follows instead.
 */
#include "sequence.h"

#include <net/if.h>
#include <sanitizer/lsan_interface.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

/* A sequence takes some milliseconds; SECONDS_TO_END is long enough for a busy machine. */
enum { MAX_STEPS = 150, SECONDS_TO_END = 60, SECONDS_TO_SHORTEN = 60, LEAK_CHECK_INTERVAL = 500 };
enum { MAX_GROWTH = 256 * 1024 }; /* bytes */

/* Memory shared with the child. */
typedef struct progress {
  uint64_t seed, sequences, operations;
  uint64_t step; /* the current step of the seed */
  uint64_t done; /* operations of the seed so far */
  uint64_t next; /* the next new seed */
  bool     skipped[MAX_STEPS + 1];
} progress;

static progress *shared;
static int       steps = MAX_STEPS;

static void enter_own_network(void) {
  struct ifreq up = {.ifr_name = "lo", .ifr_flags = IFF_UP};
  if (unshare(CLONE_NEWNET) != 0) return;
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  own_network = ioctl(fd, SIOCSIFFLAGS, &up) == 0;
  close(fd);
}

static void run_one(uint64_t seed) {
  shared->seed = seed;
  run_sequence(seed, steps, shared->skipped, &shared->step, &shared->done);
  shared->operations += shared->done;
  shared->sequences++;
}

static time_t seconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec;
}

/* ---- children ------------------------------------------------------------------------------------------------ */

static pid_t start_child(bool quiet) {
  fflush(NULL);
  pid_t child = fork();
  if (child != 0) return child;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (quiet && !freopen("/dev/null", "w", stderr)) exit(3);
  return 0;
}

static void report_hang(int limit) {
  fprintf(stderr, "a hang: seed %llu did not end within %d s; it is at step %llu, after %llu operations\n",
          (unsigned long long)shared->seed, limit, (unsigned long long)shared->step,
          (unsigned long long)shared->done);
}

/* Waits for a child, and kills it if one sequence takes too long. Returns whether it failed. */
static bool child_fails(pid_t child, int limit) {
  const struct timespec tick = {.tv_nsec = 100000000};
  uint64_t              seen = shared->sequences;
  time_t                since = seconds_now();
  int                   status = 0;
  while (waitpid(child, &status, WNOHANG) == 0) {
    nanosleep(&tick, NULL);
    if (shared->sequences != seen) seen = shared->sequences, since = seconds_now();
    if (seconds_now() - since <= limit) continue;
    report_hang(limit);
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
    return true;
  }
  return status != 0;
}

static bool fails_alone(uint64_t seed, bool quiet) {
  pid_t child = start_child(quiet);
  if (child == 0) {
    run_one(seed);
    exit(0);
  }
  return child_fails(child, SECONDS_TO_END / 6);
}

/* Removes the steps after the failure, then groups of steps before it, half as many each time. */
static void shorten(uint64_t seed) {
  time_t end = seconds_now() + SECONDS_TO_SHORTEN;
  int    minimum = 1;
  while (minimum < steps && seconds_now() < end) {
    int tried = steps, middle = (minimum + steps) / 2;
    steps = middle;
    if (!fails_alone(seed, true)) minimum = middle + 1, steps = tried;
  }
  for (int size = steps / 2; size > 0; size /= 2) {
    for (int first = 1; first <= steps && seconds_now() < end; first += size) {
      bool before[MAX_STEPS + 1];
      memcpy(before, shared->skipped, sizeof before);
      for (int step = first; step < first + size && step <= steps; step++) shared->skipped[step] = true;
      if (!fails_alone(seed, true)) memcpy(shared->skipped, before, sizeof before);
    }
  }
}

static void report_failure(uint64_t seed) {
  enum { TRIES = 10 };
  int times = 0;
  for (int i = 0; i < TRIES; i++) times += fails_alone(seed, true);
  printf("seed %llu alone fails %d times of %d\n", (unsigned long long)seed, times, TRIES);
  if (times == 0) return;
  shorten(seed);
  printf("the shortened sequence:\n");
  tracing = true;
  for (int i = 0; i < TRIES && !fails_alone(seed, false); i++) {}
}

/* ---- the run ------------------------------------------------------------------------------------------------- */

static void show_progress(time_t since) {
  fprintf(stderr, "%4d s, %llu sequences, %llu operations, %zu KiB\n", (int)(seconds_now() - since),
          (unsigned long long)shared->sequences, (unsigned long long)shared->operations,
          bytes_in_use() / 1024);
}

/* Memory must not grow after the first sequences, which may allocate, for example, buffers of stdio. */
static void run_new_seeds(time_t start, time_t end) {
  time_t shown = seconds_now();
  size_t first = 0;
  for (uint64_t count = 1; seconds_now() < end; count++) {
    run_one(shared->next++);
    if (count == 20) first = bytes_in_use();
    if (count > 20 && bytes_in_use() > first + MAX_GROWTH)
      FAIL("memory grows: %zu bytes, now %zu", first, bytes_in_use());
    if (count % LEAK_CHECK_INTERVAL == 0 && __lsan_do_recoverable_leak_check())
      FAIL("memory was lost by one of the last %d seeds", LEAK_CHECK_INTERVAL);
    if (seconds_now() - shown >= 10) show_progress(start), shown = seconds_now();
  }
}

static void run_child(time_t start, time_t end, char **seeds) {
  for (; *seeds; seeds++) run_one(strtoull(*seeds, NULL, 0));
  run_new_seeds(start, end);
  show_progress(start);
  print_calls();
  bool enough = shared->sequences >= 200;
  if (enough && count_uncalled() > 0) FAIL("functions of the header were never called");
  exit(0);
}

static int run_all(const char *name, int seconds, bool keep_going, char **seeds) {
  static char *none[] = {NULL};
  time_t       start = seconds_now(), end = start + seconds;
  int          failed = 0;
  do {
    pid_t child = start_child(false);
    if (child == 0) run_child(start, end, failed ? none : seeds);
    if (!child_fails(child, SECONDS_TO_END)) break;
    failed++;
    printf("not ok api: seed %llu\nto repeat it: %s --seed %llu --trace\n", (unsigned long long)shared->seed,
           name, (unsigned long long)shared->seed);
  } while (keep_going && seconds_now() < end);
  if (failed && !keep_going) report_failure(shared->seed);
  if (!failed) printf("ok api\n");
  printf("%llu sequences, %llu operations\n", (unsigned long long)shared->sequences,
         (unsigned long long)shared->operations);
  printf("%d passed, %d failed, 0 skipped\n", !failed, failed);
  return failed > 0;
}

int main(int argc, char **argv) {
  int      seconds = 0, i = 1;
  uint64_t seed = 0;
  bool     one = false, keep_going = false;
  if (getrandom(&seed, sizeof seed, 0) != sizeof seed) return perror("getrandom"), 2;
  seed >>= 16; /* easier to type */
  for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
    if (strcmp(argv[i], "--trace") == 0) tracing = true;
    else if (strcmp(argv[i], "--keep-going") == 0) keep_going = true;
    else if (i + 1 >= argc) return fprintf(stderr, "api: %s needs a number\n", argv[i]), 2;
    else if (strcmp(argv[i], "--seconds") == 0) seconds = atoi(argv[++i]);
    else if (strcmp(argv[i], "--steps") == 0) steps = atoi(argv[++i]);
    else if (strcmp(argv[i], "--seed") == 0) one = true, seed = strtoull(argv[++i], NULL, 0);
    else if (strcmp(argv[i], "--from") == 0) seed = strtoull(argv[++i], NULL, 0);
    else return fprintf(stderr, "api: no such option: %s\n", argv[i]), 2;
  }
  if (steps < 1 || steps > MAX_STEPS) steps = MAX_STEPS;
  setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
  signal(SIGPIPE, SIG_IGN);
  ignore_signals();
  enter_own_network();
  shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (shared == MAP_FAILED) return perror("mmap"), 2;
  if (one) return run_one(seed), 0;
  shared->next = seed;
  fprintf(stderr, "new seeds begin at %llu%s\n", (unsigned long long)seed,
          own_network ? "" : "; no groups, since there is no network namespace");
  return run_all(argv[0], seconds, keep_going, argv + i);
}
