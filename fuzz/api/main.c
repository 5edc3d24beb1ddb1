/* main.c: the program: api [--seconds N] [--from SEED] [--go-on] [SEED...]
 *                      api --seed SEED [--steps N] [--trace]
 *
 * Runs the sequences of the seeds that are given, then fresh ones for the time that is given: from a random seed on, or
 * from SEED. With --seed that one alone, in this process. Sequences run in a child; where that fails or hangs, the sequence
 * is made as short as it goes and still fails, and told; with --go-on the next seed follows instead.
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

/* A sequence takes some milliseconds; PATIENCE is for a machine that is busy. In seconds. */
enum { STEPS = 150, PATIENCE = 60, SHORTENING = 60, LEAK_CHECK_EVERY = 500, GROWTH = 256 * 1024 };

/* What the child tells its parent. */
typedef struct progress {
  uint64_t seed, sequences, operations;
  uint64_t step; /* of the seed, and its operations so far */
  uint64_t done;
  uint64_t next; /* the fresh seed that comes next */
  bool     left_out[STEPS + 1];
} progress;

static progress *told;
static int       steps = STEPS;

static void enter_own_network(void) {
  struct ifreq up = {.ifr_name = "lo", .ifr_flags = IFF_UP};
  if (unshare(CLONE_NEWNET) != 0) return;
  int fd = socket(AF_INET, SOCK_DGRAM, 0);
  own_network = ioctl(fd, SIOCSIFFLAGS, &up) == 0;
  close(fd);
}

static void run_one(uint64_t seed) {
  told->seed = seed;
  run_sequence(seed, steps, told->left_out, &told->step, &told->done);
  told->operations += told->done;
  told->sequences++;
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

static void tell_hang(int patience) {
  fprintf(stderr, "a hang: seed %llu did not end within %d s; it is at step %llu, after %llu operations\n",
          (unsigned long long)told->seed, patience, (unsigned long long)told->step,
          (unsigned long long)told->done);
}

/* Waits for a child, and ends one that has been at the same sequence for too long. */
static bool child_fails(pid_t child, int patience) {
  const struct timespec tick = {.tv_nsec = 100000000};
  uint64_t              seen = told->sequences;
  time_t                since = seconds_now();
  int                   status = 0;
  while (waitpid(child, &status, WNOHANG) == 0) {
    nanosleep(&tick, NULL);
    if (told->sequences != seen) seen = told->sequences, since = seconds_now();
    if (seconds_now() - since <= patience) continue;
    tell_hang(patience);
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
  return child_fails(child, PATIENCE / 6);
}

/* First the steps behind the failure, then groups of those before it, half as many each time. */
static void make_short(uint64_t seed) {
  time_t end = seconds_now() + SHORTENING;
  int    least = 1;
  while (least < steps && seconds_now() < end) {
    int tried = steps, middle = (least + steps) / 2;
    steps = middle;
    if (!fails_alone(seed, true)) least = middle + 1, steps = tried;
  }
  for (int size = steps / 2; size > 0; size /= 2) {
    for (int first = 1; first <= steps && seconds_now() < end; first += size) {
      bool before[STEPS + 1];
      memcpy(before, told->left_out, sizeof before);
      for (int step = first; step < first + size && step <= steps; step++) told->left_out[step] = true;
      if (!fails_alone(seed, true)) memcpy(told->left_out, before, sizeof before);
    }
  }
}

static void tell_failure(uint64_t seed) {
  enum { TRIES = 10 };
  int times = 0;
  for (int i = 0; i < TRIES; i++) times += fails_alone(seed, true);
  printf("seed %llu alone fails %d times of %d\n", (unsigned long long)seed, times, TRIES);
  if (times == 0) return;
  make_short(seed);
  printf("as short as it goes:\n");
  tracing = true;
  for (int i = 0; i < TRIES && !fails_alone(seed, false); i++) {}
}

/* ---- the run ------------------------------------------------------------------------------------------------- */

static void show_progress(time_t since) {
  fprintf(stderr, "%4d s, %llu sequences, %llu operations, %zu KiB\n", (int)(seconds_now() - since),
          (unsigned long long)told->sequences, (unsigned long long)told->operations, bytes_in_use() / 1024);
}

/* Memory must not grow: what the first sequences leave (buffers of stdio, say) is the measure. */
static void run_fresh(time_t start, time_t end) {
  time_t shown = seconds_now();
  size_t first = 0;
  for (uint64_t count = 1; seconds_now() < end; count++) {
    run_one(told->next++);
    if (count == 20) first = bytes_in_use();
    if (count > 20 && bytes_in_use() > first + GROWTH)
      FAIL("memory grows: %zu bytes, now %zu", first, bytes_in_use());
    if (count % LEAK_CHECK_EVERY == 0 && __lsan_do_recoverable_leak_check())
      FAIL("memory was lost by one of the last %d seeds", LEAK_CHECK_EVERY);
    if (seconds_now() - shown >= 10) show_progress(start), shown = seconds_now();
  }
}

static void run_child(time_t start, time_t end, char **seeds) {
  for (; *seeds; seeds++) run_one(strtoull(*seeds, NULL, 0));
  run_fresh(start, end);
  show_progress(start);
  print_calls();
  bool enough = told->sequences >= 200;
  if (enough && uncalled() > 0) FAIL("functions of the header that nobody called");
  exit(0);
}

static int run_all(const char *name, int seconds, bool go_on, char **seeds) {
  static char *none[] = {NULL};
  time_t       start = seconds_now(), end = start + seconds;
  int          failed = 0;
  do {
    pid_t child = start_child(false);
    if (child == 0) run_child(start, end, failed ? none : seeds);
    if (!child_fails(child, PATIENCE)) break;
    failed++;
    printf("not ok api: seed %llu\nto repeat it: %s --seed %llu --trace\n", (unsigned long long)told->seed,
           name, (unsigned long long)told->seed);
  } while (go_on && seconds_now() < end);
  if (failed && !go_on) tell_failure(told->seed);
  if (!failed) printf("ok api\n");
  printf("%llu sequences, %llu operations\n", (unsigned long long)told->sequences,
         (unsigned long long)told->operations);
  printf("%d passed, %d failed, 0 skipped\n", !failed, failed);
  return failed > 0;
}

int main(int argc, char **argv) {
  int      seconds = 0, i = 1;
  uint64_t seed = 0;
  bool     one = false, go_on = false;
  if (getrandom(&seed, sizeof seed, 0) != sizeof seed) return perror("getrandom"), 2;
  seed >>= 16; /* easier to type */
  for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
    if (strcmp(argv[i], "--trace") == 0) tracing = true;
    else if (strcmp(argv[i], "--go-on") == 0) go_on = true;
    else if (i + 1 >= argc) return fprintf(stderr, "api: %s needs a number\n", argv[i]), 2;
    else if (strcmp(argv[i], "--seconds") == 0) seconds = atoi(argv[++i]);
    else if (strcmp(argv[i], "--steps") == 0) steps = atoi(argv[++i]);
    else if (strcmp(argv[i], "--seed") == 0) one = true, seed = strtoull(argv[++i], NULL, 0);
    else if (strcmp(argv[i], "--from") == 0) seed = strtoull(argv[++i], NULL, 0);
    else return fprintf(stderr, "api: no such option: %s\n", argv[i]), 2;
  }
  if (steps < 1 || steps > STEPS) steps = STEPS;
  setvbuf(stdout, NULL, _IOLBF, BUFSIZ);
  signal(SIGPIPE, SIG_IGN);
  enter_own_network();
  told = mmap(NULL, sizeof *told, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (told == MAP_FAILED) return perror("mmap"), 2;
  if (one) return run_one(seed), 0;
  told->next = seed;
  fprintf(stderr, "fresh seeds from %llu on%s\n", (unsigned long long)seed,
          own_network ? "" : ", without groups: no network namespace");
  return run_all(argv[0], seconds, go_on, argv + i);
}
