/* Signals, signal masks and stacks of the pool's threads, and of processes that work starts. */
#include "pool.h"

#include <spawn.h>
#include <sys/syscall.h>

extern char **environ;

typedef struct signal_job signal_job;
struct signal_job {
  atomic_int         freed;
  int                signal;        /* raised by the work */
  sigset_t           mask;          /* of the thread, inside the work */
  unsigned long long child_blocked; /* in the process started by the work, from proc(5) */
  pid_t              thread;
  size_t             stack;
};

static void run_signal_job(udpr_reactor *reactor, udpr_work_fn work, signal_job *self) {
  self->freed = 0;
  OK(udpr_reactor_call_in_thread(reactor, work, NULL, self, count_free));
  RUN_UNTIL(reactor, self->freed);
}

static void block(int how, int signal) {
  sigset_t one;
  sigemptyset(&one), sigaddset(&one, signal);
  CHECK_EQ(0, pthread_sigmask(how, &one, NULL));
}

/* ---- synchronous signals ------------------------------------------------------------------------------- */

static char         *protected_page;
static volatile int  faults;
static volatile bool is_trapped;

static void on_fault(int signal) {
  (void)signal;
  faults++;
  mprotect(protected_page, 4096, PROT_READ | PROT_WRITE);
}

static void on_trap(int signal) {
  (void)signal;
  is_trapped = true;
}

static void write_to_protected_page(void *unused) {
  (void)unused;
  *(volatile char *)protected_page = 1;
}

static void raise_signal(void *user) { CHECK_EQ(0, raise(((signal_job *)user)->signal)); }

TEST(a_fault_inside_work_calls_the_programs_handler) {
  udpr_reactor *reactor = new_reactor(0);
  signal_job    user = {0};
  protected_page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  CHECK(protected_page != MAP_FAILED && signal(SIGSEGV, on_fault) != SIG_ERR);
  run_signal_job(reactor, write_to_protected_page, &user);
  CHECK_EQ(1, faults);
  OK(udpr_reactor_free(reactor));
}

TEST(synchronous_signals_inside_work_call_their_handlers) {
  static const int all[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS};
  udpr_reactor    *reactor = new_reactor(0);
  for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
    signal_job user = {.signal = all[i]};
    is_trapped = false;
    CHECK(signal(all[i], on_trap) != SIG_ERR);
    run_signal_job(reactor, raise_signal, &user);
    CHECK(is_trapped);
  }
  OK(udpr_reactor_free(reactor));
}

/* ---- signal masks -------------------------------------------------------------------------------------- */

static void record_mask(void *user) {
  CHECK_EQ(0, pthread_sigmask(SIG_SETMASK, NULL, &((signal_job *)user)->mask));
}

static void block_in_work(void *user) {
  (void)user;
  block(SIG_BLOCK, SIGUSR2);
}

TEST(work_has_the_signal_mask_of_the_submitting_thread) {
  udpr_reactor *reactor = new_reactor_with_pool(1);
  signal_job    user = {0};
  run_signal_job(reactor, record_mask, &user);
  for (int signal = 1; signal < 32; signal++) CHECK_EQ(0, sigismember(&user.mask, signal));
  run_signal_job(reactor, block_in_work, &user); /* must not affect later work */
  block(SIG_BLOCK, SIGUSR1);
  run_signal_job(reactor, record_mask, &user);
  for (int signal = 1; signal < 32; signal++) CHECK_EQ(signal == SIGUSR1, sigismember(&user.mask, signal));
  block(SIG_UNBLOCK, SIGUSR1);
  run_signal_job(reactor, record_mask, &user);
  CHECK_EQ(0, sigismember(&user.mask, SIGUSR1));
  OK(udpr_reactor_free(reactor));
}

/* Reads the line "SigBlk:" of proc(5) for a process or thread. */
static unsigned long long blocked_signals(const char *path) {
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
  CHECK(sscanf(line, "SigBlk: %llx", &((signal_job *)user)->child_blocked) == 1);
  CHECK(waitpid(child, &status, 0) == child && status == 0);
  close(ends[0]), posix_spawn_file_actions_destroy(&actions);
}

TEST(a_process_started_by_work_has_no_blocked_signals) {
  udpr_reactor *reactor = new_reactor(0);
  signal_job    user = {.child_blocked = 1};
  run_signal_job(reactor, start_process, &user);
  CHECK_EQ(0, user.child_blocked);
  OK(udpr_reactor_free(reactor));
}

static void record_thread(void *user) { ((signal_job *)user)->thread = (pid_t)syscall(SYS_gettid); }

static unsigned long long signal_bit(int signal) { return 1ULL << (signal - 1); }

/* Handlers of the program run on its own threads, or inside its work. */
TEST(an_idle_thread_blocks_asynchronous_signals) {
  udpr_reactor      *reactor = new_reactor_with_pool(1);
  signal_job         user = {0};
  char               path[64];
  unsigned long long synchronous = signal_bit(SIGSEGV) | signal_bit(SIGBUS) | signal_bit(SIGFPE) |
                                   signal_bit(SIGILL) | signal_bit(SIGTRAP) | signal_bit(SIGSYS);
  unsigned long long sent =
      signal_bit(SIGTERM) | signal_bit(SIGINT) | signal_bit(SIGUSR1) | signal_bit(SIGCHLD);
  run_signal_job(reactor, record_thread, &user);
  snprintf(path, sizeof path, "/proc/self/task/%d/status", user.thread);
  WAIT_UNTIL((blocked_signals(path) & (synchronous | sent)) == sent);
  OK(udpr_reactor_free(reactor));
}

/* ---- the stack ----------------------------------------------------------------------------------------- */

static void record_stack_size(void *user) {
  pthread_attr_t attr;
  CHECK_EQ(0, pthread_getattr_np(pthread_self(), &attr));
  CHECK_EQ(0, pthread_attr_getstacksize(&attr, &((signal_job *)user)->stack));
  CHECK_EQ(0, pthread_attr_destroy(&attr));
}

static void check_stack_size(const char *environment) {
  udpr_reactor *reactor = new_reactor(0);
  signal_job    user = {0};
  if (environment) CHECK_EQ(0, setenv("RUST_MIN_STACK", environment, 1));
  run_signal_job(reactor, record_stack_size, &user);
  CHECK(user.stack >= 2u << 20);
  CHECK(user.stack < 3u << 20 || check_is_slow()); /* ThreadSanitizer enlarges it */
  OK(udpr_reactor_free(reactor));
}

TEST(the_stack_has_two_megabytes) { check_stack_size(NULL); }
TEST(rust_min_stack_does_not_make_the_stack_larger) { check_stack_size("100000000000000"); }
TEST(rust_min_stack_does_not_make_the_stack_smaller) { check_stack_size("1"); }

CHECK_MAIN()
