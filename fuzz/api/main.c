/* main.c: the program: api [--seconds N] [--seed N [--steps N] [--trace]] [SEED...]
 *
 * Runs the sequences of the seeds that are given, then fresh ones for the time that is given. With --seed that one alone.
 * Sequences run in a child; where that fails, the sequence is made as short as it goes and still fails, and told.
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

enum { STEPS = 150, PATIENCE = 120, LEAK_CHECK_EVERY = 500, GROWTH = 256 * 1024 };

/* What the child tells its parent. */
typedef struct progress {
  uint64_t seed, sequences;
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
  alarm(PATIENCE);
  run_sequence(seed, steps, told->left_out);
  told->sequences++;
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

static bool child_fails(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
  return status != 0;
}

/* Whether the sequence still fails, cut and thinned as it is now. */
static bool still_fails(uint64_t seed) {
  pid_t child = start_child(true);
  if (child == 0) {
    run_one(seed);
    exit(0);
  }
  return child_fails(child);
}

/* First the steps behind the failure, then groups of those before it, half as many each time. */
static void make_short(uint64_t seed) {
  int least = 1;
  while (least < steps) {
    int tried = steps, middle = (least + steps) / 2;
    steps = middle;
    if (!still_fails(seed)) least = middle + 1, steps = tried;
  }
  for (int size = steps / 2; size > 0; size /= 2) {
    for (int first = 1; first <= steps; first += size) {
      bool before[STEPS + 1];
      memcpy(before, told->left_out, sizeof before);
      for (int step = first; step < first + size && step <= steps; step++) told->left_out[step] = true;
      if (!still_fails(seed)) memcpy(told->left_out, before, sizeof before);
    }
  }
}

static void tell_failure(uint64_t seed) {
  printf("not ok api: seed %llu\n", (unsigned long long)seed);
  printf("to repeat it: --seed %llu --trace\n", (unsigned long long)seed);
  fprintf(stderr, "making it short ...\n");
  if (!still_fails(seed)) {
    printf("its sequence alone does not fail: what failed was threads, or what came before\n");
    return;
  }
  make_short(seed);
  printf("as short as it goes:\n");
  pid_t child = start_child(false);
  if (child == 0) {
    tracing = true;
    run_one(seed);
    exit(0);
  }
  child_fails(child);
}

/* ---- the run ------------------------------------------------------------------------------------------------- */

static time_t seconds_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec;
}

static void show_progress(time_t since) {
  fprintf(stderr, "%4d s, %llu sequences, %zu KiB\n", (int)(seconds_now() - since),
          (unsigned long long)told->sequences, bytes_in_use() / 1024);
}

/* Memory must not grow: what the first sequences leave (buffers of stdio, say) is the measure. */
static void run_fresh(uint64_t seed, int seconds) {
  time_t start = seconds_now(), shown = start;
  size_t first = 0;
  for (uint64_t count = 1; seconds_now() - start < seconds; count++) {
    run_one(seed++);
    if (count == 20) first = bytes_in_use();
    if (count > 20 && bytes_in_use() > first + GROWTH)
      FAIL("memory grows: %zu bytes, now %zu", first, bytes_in_use());
    if (count % LEAK_CHECK_EVERY == 0 && __lsan_do_recoverable_leak_check()) FAIL("memory was lost");
    if (seconds_now() - shown >= 10) show_progress(start), shown = seconds_now();
  }
  show_progress(start);
}

static void run_child(uint64_t seed, int seconds, char **seeds) {
  for (; *seeds; seeds++) run_one(strtoull(*seeds, NULL, 0));
  run_fresh(seed, seconds);
  alarm(0);
  print_calls();
  bool enough = told->sequences >= 1000;
  if (enough && uncalled() > 0) FAIL("functions of the header that nobody called");
  exit(0);
}

int main(int argc, char **argv) {
  int      seconds = 0, i = 1;
  uint64_t seed = 0;
  bool     one = false;
  if (getrandom(&seed, sizeof seed, 0) != sizeof seed) return perror("getrandom"), 2;
  seed >>= 16; /* easier to type */
  for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
    if (strcmp(argv[i], "--trace") == 0) tracing = true;
    else if (i + 1 >= argc) return fprintf(stderr, "api: %s needs a number\n", argv[i]), 2;
    else if (strcmp(argv[i], "--seconds") == 0) seconds = atoi(argv[++i]);
    else if (strcmp(argv[i], "--steps") == 0) steps = atoi(argv[++i]);
    else if (strcmp(argv[i], "--seed") == 0) one = true, seed = strtoull(argv[++i], NULL, 0);
    else if (strcmp(argv[i], "--from") == 0) seed = strtoull(argv[++i], NULL, 0);
    else return fprintf(stderr, "api: no such option: %s\n", argv[i]), 2;
  }
  if (steps < 1 || steps > STEPS) steps = STEPS;
  signal(SIGPIPE, SIG_IGN);
  enter_own_network();
  told = mmap(NULL, sizeof *told, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (told == MAP_FAILED) return perror("mmap"), 2;
  if (one) return run_one(seed), 0;
  fprintf(stderr, "seeds from %llu on%s\n", (unsigned long long)seed,
          own_network ? "" : ", without groups: no network namespace");
  pid_t child = start_child(false);
  if (child == 0) run_child(seed, seconds, argv + i);
  bool failed = child_fails(child);
  if (failed) tell_failure(told->seed);
  else printf("ok api\n");
  printf("%d passed, %d failed, 0 skipped\n", !failed, failed);
  return failed;
}
