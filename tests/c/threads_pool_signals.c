/* Signals, masks and stacks of the pool's threads, and the processes that work starts. */
#include "pool.h"

#include <spawn.h>
#include <sys/syscall.h>

extern char **environ;

typedef struct errand errand;
struct errand {
  atomic_int         freed;
  int                signal;  /* for work to raise */
  sigset_t           mask;    /* of the thread, inside work */
  unsigned long long blocked; /* by a process that work has started, as in proc(5) */
  pid_t              thread;
  size_t             stack;
};

static void run_errand(udpr_reactor *reactor, udpr_work_fn work, errand *self) {
  self->freed = 0;
  OK(udpr_reactor_call_in_thread(reactor, work, NULL, self, count_free));
  RUN_UNTIL(reactor, self->freed);
}

static void block(int how, int signal) {
  sigset_t one;
  sigemptyset(&one), sigaddset(&one, signal);
  CHECK_EQ(0, pthread_sigmask(how, &one, NULL));
}

/* ---- what a thread causes itself ----------------------------------------------------------------------- */

static char         *page;
static volatile int  faults;
static volatile bool traps;

static void on_fault(int signal) {
  (void)signal;
  faults++;
  mprotect(page, 4096, PROT_READ | PROT_WRITE);
}

static void on_trap(int signal) {
  (void)signal;
  traps = true;
}

static void fault(void *unused) {
  (void)unused;
  *(volatile char *)page = 1;
}

static void trap(void *user) { CHECK_EQ(0, raise(((errand *)user)->signal)); }

TEST(a_fault_inside_work_is_the_hosts_to_handle) {
  udpr_reactor *reactor = new_reactor(0);
  errand        user = {0};
  page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(page != MAP_FAILED && signal(SIGSEGV, on_fault) != SIG_ERR);
  run_errand(reactor, fault, &user);
  CHECK_EQ(1, faults);
  OK(udpr_reactor_free(reactor));
}

TEST(every_synchronous_signal_reaches_its_handler_inside_work) {
  static const int all[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
  udpr_reactor    *reactor = new_reactor(0);
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    errand user = {.signal = all[i]};
    traps = false;
    CHECK(signal(all[i], on_trap) != SIG_ERR);
    run_errand(reactor, trap, &user);
    CHECK(traps);
  }
  OK(udpr_reactor_free(reactor));
}

/* ---- the mask ------------------------------------------------------------------------------------------ */

static void note_mask(void *user) {
  CHECK_EQ(0, pthread_sigmask(SIG_SETMASK, NULL, &((errand *)user)->mask));
}

static void spoil_mask(void *user) {
  (void)user;
  block(SIG_BLOCK, SIGUSR2);
}

TEST(work_has_the_mask_of_the_thread_that_handed_it_in) {
  udpr_reactor *reactor = new_reactor_with_pool(1);
  errand        user = {0};
  run_errand(reactor, note_mask, &user);
  for (int signal = 1; signal < 32; signal++) CHECK_EQ(0, sigismember(&user.mask, signal));
  run_errand(reactor, spoil_mask, &user); /* which stays with this work */
  block(SIG_BLOCK, SIGUSR1);
  run_errand(reactor, note_mask, &user);
  for (int signal = 1; signal < 32; signal++) CHECK_EQ(signal == SIGUSR1, sigismember(&user.mask, signal));
  block(SIG_UNBLOCK, SIGUSR1);
  run_errand(reactor, note_mask, &user);
  CHECK_EQ(0, sigismember(&user.mask, SIGUSR1));
  OK(udpr_reactor_free(reactor));
}

/* proc(5): the line "SigBlk:" of a process or thread. */
static unsigned long long blocked_by(const char *path) {
  unsigned long long mask = 0;
  char               line[256];
  bool               found = false;
  FILE              *status = fopen(path, "re");
  CHECK(status != NULL);
  while (!found && fgets(line, sizeof line, status)) found = sscanf(line, "SigBlk: %llx", &mask) == 1;
  fclose(status);
  CHECK(found);
  return mask;
}

static void start_process(void *user) {
  static char *const         arguments[] = {"grep", "SigBlk", "/proc/self/status", NULL};
  posix_spawn_file_actions_t actions;
  int                        ends[2], status;
  pid_t                      child;
  char                       line[256] = "";
  CHECK(pipe(ends) == 0 && posix_spawn_file_actions_init(&actions) == 0);
  CHECK_EQ(0, posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO));
  CHECK_EQ(0, posix_spawnp(&child, "grep", &actions, NULL, arguments, environ));
  close(ends[1]);
  CHECK(read(ends[0], line, sizeof line - 1) > 0);
  CHECK(sscanf(line, "SigBlk: %llx", &((errand *)user)->blocked) == 1);
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  close(ends[0]), posix_spawn_file_actions_destroy(&actions);
}

TEST(a_process_that_work_starts_blocks_nothing) {
  udpr_reactor *reactor = new_reactor(0);
  errand        user = {.blocked = 1};
  run_errand(reactor, start_process, &user);
  CHECK_EQ(0, user.blocked);
  OK(udpr_reactor_free(reactor));
}

static void note_thread(void *user) { ((errand *)user)->thread = (pid_t)syscall(SYS_gettid); }

static unsigned long long bit(int signal) { return 1ULL << (signal - 1); }

/* Handlers of the host run on the host's threads, and in its work. */
TEST(an_idle_thread_blocks_what_others_send) {
  udpr_reactor      *reactor = new_reactor_with_pool(1);
  errand             user = {0};
  char               path[64];
  unsigned long long synchronous =
      bit(SIGSEGV) | bit(SIGBUS) | bit(SIGFPE) | bit(SIGILL) | bit(SIGTRAP) | bit(SIGSYS);
  unsigned long long sent = bit(SIGTERM) | bit(SIGINT) | bit(SIGUSR1) | bit(SIGCHLD);
  run_errand(reactor, note_thread, &user);
  snprintf(path, sizeof path, "/proc/self/task/%d/status", user.thread);
  WAIT_UNTIL((blocked_by(path) & (synchronous | sent)) == sent);
  OK(udpr_reactor_free(reactor));
}

/* ---- the stack ----------------------------------------------------------------------------------------- */

static void note_stack(void *user) {
  pthread_attr_t attr;
  CHECK_EQ(0, pthread_getattr_np(pthread_self(), &attr));
  CHECK_EQ(0, pthread_attr_getstacksize(&attr, &((errand *)user)->stack));
  CHECK_EQ(0, pthread_attr_destroy(&attr));
}

static void has_two_megabytes(const char *environment) {
  udpr_reactor *reactor = new_reactor(0);
  errand        user = {0};
  if (environment) CHECK_EQ(0, setenv("RUST_MIN_STACK", environment, 1));
  run_errand(reactor, note_stack, &user);
  CHECK(user.stack >= 2u << 20);
  CHECK(user.stack < 3u << 20 || check_is_slow()); /* ThreadSanitizer adds to it */
  OK(udpr_reactor_free(reactor));
}

TEST(its_stack_is_two_megabytes) { has_two_megabytes(NULL); }
TEST(the_environment_makes_no_stack_larger) { has_two_megabytes("100000000000000"); }
TEST(the_environment_makes_no_stack_smaller) { has_two_megabytes("1"); }

CHECK_MAIN()
