/* UDPR_REACTOR_SIGNALS and forks at any moment: a child does not wait for the parent's threads, and has the
 * right handlers.
 */
#include "probe.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/syscall.h>

enum { RUNNERS = 2, CHILDREN = 200 };

static volatile sig_atomic_t own_handled;

static void own_handler(int number) {
  (void)number;
  own_handled++;
}

static bool own_handler_is_installed(void) {
  struct sigaction action;
  CHECK_EQ(0, sigaction(SIGTERM, NULL, &action));
  return action.sa_handler == own_handler;
}

static void install_own_handler(void) {
  struct sigaction action = {.sa_handler = own_handler};
  CHECK_EQ(0, sigaction(SIGTERM, &action, NULL));
}

static void raise_call(udpr_reactor *reactor, void *user) {
  (void)reactor, (void)user;
  CHECK(!own_handler_is_installed());
  CHECK_EQ(0, raise(SIGTERM));
}

/* SIGTERM ends the run, twice. */
static void run_until_sigterm_twice(void *arg) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_SIGNALS);
  (void)arg;
  for (int again = 0; again < 2; again++) {
    OK(udpr_reactor_call_later(reactor, 0, raise_call, NULL, NULL, NULL));
    run_with_timeout(reactor);
  }
  OK(udpr_reactor_free(reactor));
}

/* ---- threads that start and end runs continuously ------------------------------------------------------ */

static atomic_bool done;
static atomic_int  runs;

static void check_handler_and_stop(udpr_reactor *reactor, void *user) {
  CHECK(!own_handler_is_installed());
  atomic_fetch_add(&runs, 1);
  stop_call(reactor, user);
}

static void run_until_done(void *arg) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_SIGNALS);
  (void)arg;
  while (!atomic_load(&done)) {
    OK(udpr_reactor_call_later(reactor, 0, check_handler_and_stop, NULL, NULL, NULL));
    OK(udpr_reactor_run(reactor));
  }
  OK(udpr_reactor_free(reactor));
}

/* Calls `body` in the main thread meanwhile. At the end, the program's handler is installed again. */
static void do_while_others_run(void (*body)(void)) {
  check_thread runners[RUNNERS];
  sigset_t     term;
  install_own_handler();
  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  CHECK_EQ(0, pthread_sigmask(SIG_BLOCK, &term, NULL)); /* only the main thread receives signals */
  for (int i = 0; i < RUNNERS; i++) thread_start(&runners[i], run_until_done, NULL);
  CHECK_EQ(0, pthread_sigmask(SIG_UNBLOCK, &term, NULL));
  body();
  atomic_store(&done, true);
  for (int i = 0; i < RUNNERS; i++) thread_join(&runners[i]);
  CHECK(own_handler_is_installed());
}

static void fork_children_that_run(void) {
  for (unsigned i = check_rounds(10, CHILDREN); i > 0; i--)
    run_in_killed_child(run_until_sigterm_twice, NULL);
}

TEST(children_run_while_the_parent_starts_and_ends_runs) { do_while_others_run(fork_children_that_run); }

static void raise_without_a_run(void *arg) {
  (void)arg;
  own_handled = 0;
  CHECK_EQ(0, raise(SIGTERM));
  CHECK_EQ(1, own_handled); /* directly, or through the library's handler, which has no run to stop here */
}

static void fork_children_that_raise(void) {
  for (unsigned i = check_rounds(10, CHILDREN); i > 0; i--) run_in_killed_child(raise_without_a_run, NULL);
}

TEST(children_receive_a_signal_without_a_run) { do_while_others_run(fork_children_that_raise); }

static bool is_child;

static void fork_and_stop_parent(udpr_reactor *reactor, void *user) {
  (void)user;
  pid_t child = check_fork();
  is_child = child == 0;
  if (is_child) return;
  int status = check_wait(child);
  CHECK(status == 0 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
  OK(udpr_reactor_stop(reactor));
}

static void fork_in_callbacks(void) {
  for (unsigned i = check_rounds(10, CHILDREN); i > 0; i--) {
    udpr_reactor *reactor = new_reactor(UDPR_REACTOR_SIGNALS);
    OK(udpr_reactor_call_later(reactor, 0, fork_and_stop_parent, NULL, NULL, NULL));
    udpr_status status = udpr_reactor_run(reactor);
    if (is_child) {
      CHECK_STATUS(UDPR_E_CLOSED, status);
      CHECK(own_handler_is_installed()); /* the child's run is over */
      kill(getpid(), SIGKILL);           /* see run_in_killed_child */
    }
    OK(status);
    OK(udpr_reactor_free(reactor));
  }
}

TEST(children_return_from_the_callback_that_forked) { do_while_others_run(fork_in_callbacks); }

/* Each signal is handled by a run, or by the program's handler. */
static void raise_many_times(void) {
  for (unsigned i = check_rounds(100, 20000); i > 0; i--) CHECK_EQ(0, raise(SIGTERM));
}

static void run_until_done_with_signals(void *arg) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_SIGNALS);
  bool          called;
  (void)arg;
  while (!atomic_load(&done)) {
    udpr_id call;
    OK(udpr_reactor_call_later(reactor, 0, check_timed_out, &called, NULL, &call));
    OK(udpr_reactor_run(reactor));
    udpr_reactor_cancel_call(reactor, call); /* fails if a signal has ended the run */
    atomic_fetch_add(&runs, 1);
  }
  OK(udpr_reactor_free(reactor));
}

TEST(signals_while_runs_start_and_end) {
  check_thread runner;
  install_own_handler();
  thread_start(&runner, run_until_done_with_signals, NULL);
  while (atomic_load(&runs) == 0) sched_yield();
  raise_many_times();
  atomic_store(&done, true);
  thread_join(&runner);
  CHECK(own_handler_is_installed());
}

/* ---- a run in the child, inside the callback that forked ----------------------------------------------- */

static void fork_and_run_in_child(udpr_reactor *reactor, void *user) {
  fork_and_stop_parent(reactor, user);
  if (is_child) run_until_sigterm_twice(NULL);
}

TEST(a_run_inside_the_callback_that_forked) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_SIGNALS);
  install_own_handler();
  OK(udpr_reactor_call_later(reactor, 0, fork_and_run_in_child, NULL, NULL, NULL));
  udpr_status status = udpr_reactor_run(reactor);
  if (is_child) {
    CHECK_STATUS(UDPR_E_CLOSED, status);
    CHECK(own_handler_is_installed());
    run_until_sigterm_twice(NULL); /* and again after it */
    CHECK(own_handler_is_installed());
    OK(udpr_reactor_free(reactor));
    _exit(0);
  }
  OK(status);
  CHECK(own_handler_is_installed());
  OK(udpr_reactor_free(reactor));
}

/* ---- a handler that runs on another thread ------------------------------------------------------------- */

static atomic_bool armed, handling, may_go_on;
static atomic_int  written_fd = -1;

/* Replaces the function of the C library, to block the handler in the middle of its wake-up. */
long syscall(long number, ...) {
  static long (*_Atomic real)(long, ...);
  va_list args;
  long    values[6];
  va_start(args, number);
  for (int i = 0; i < 6; i++) values[i] = va_arg(args, long);
  va_end(args);
  if (!real) {
    long (*found)(long, ...);
    *(void **)&found = dlsym(RTLD_NEXT, "syscall");
    real = found;
  }
  if (number == SYS_write && atomic_exchange(&armed, false)) {
    written_fd = (int)values[0];
    atomic_store(&handling, true);
    while (!atomic_load(&may_go_on)) sched_yield();
  }
  return real(number, values[0], values[1], values[2], values[3], values[4], values[5]);
}

static void raise_in_handler_thread(void *arg) {
  (void)arg;
  atomic_store(&armed, true);
  CHECK_EQ(0, pthread_kill(pthread_self(), SIGTERM));
}

typedef struct fixture {
  udpr_reactor  *reactor;
  reactor_thread there;
  check_thread   handler;
} fixture;

/* The only other thread of this process sleeps in the kernel. */
static bool other_thread_sleeps(void) {
  DIR           *tasks = opendir("/proc/self/task");
  struct dirent *task;
  char           path[300], state = 0;
  CHECK(tasks != NULL);
  while ((task = readdir(tasks))) {
    if (*task->d_name == '.' || atoi(task->d_name) == getpid()) continue;
    snprintf(path, sizeof path, "/proc/self/task/%s/stat", task->d_name);
    FILE *stat = fopen(path, "re");
    CHECK(stat && fscanf(stat, "%*d (%*[^)]) %c", &state) == 1);
    fclose(stat);
  }
  closedir(tasks);
  return state == 'S';
}

/* Another thread sleeps in run. On a third one, the handler is about to wake it. */
static void start_blocked_handler(fixture *f) {
  install_own_handler();
  f->reactor = new_reactor(UDPR_REACTOR_SIGNALS);
  reactor_thread_start(&f->there, f->reactor);
  while (!other_thread_sleeps()) sched_yield(); /* then the handler has to write */
  thread_start(&f->handler, raise_in_handler_thread, NULL);
  while (!atomic_load(&handling)) sched_yield();
}

static void finish_handler(fixture *f) {
  atomic_store(&may_go_on, true);
  thread_join(&f->handler);
}

TEST(a_child_does_not_wait_for_a_running_handler_of_the_parent) {
  fixture f;
  start_blocked_handler(&f);
  run_in_killed_child(run_until_sigterm_twice, NULL);
  finish_handler(&f);
  reactor_thread_join(&f.there);
  OK(udpr_reactor_free(f.reactor));
}

/* The run ends for another reason, and the reactor is freed, before the handler writes. The handler must not
 * write to a descriptor that has been reused.
 */
TEST(a_late_handler_does_not_write_to_a_reused_descriptor) {
  fixture f;
  char    text[256] = {0};
  int     ends[2];
  start_blocked_handler(&f);
  int before = check_count_descriptors();
  send_letters(&f.there.quit.host, "q");
  reactor_thread_join(&f.there);
  OK(udpr_reactor_free(f.reactor));
  /* Those of the port and the epoll set were closed. That of the wake-up is kept for the handler. */
  CHECK_EQ(before - 2, check_count_descriptors());
  CHECK(own_handler_is_installed());
  CHECK_EQ(0, pipe(ends));
  CHECK(ends[0] != written_fd && ends[1] != written_fd);
  CHECK_EQ(0, pthread_kill(pthread_self(), SIGTERM)); /* the program's handler is called in the meantime */
  CHECK_EQ(1, own_handled);
  run_until_sigterm_twice(NULL); /* and a run works */
  finish_handler(&f);
  CHECK_EQ(before - 1, check_count_descriptors()); /* two of the pipe replace three */
  CHECK_EQ(0, fcntl(ends[0], F_SETFL, O_NONBLOCK));
  CHECK(read(ends[0], text, sizeof text) < 0 && errno == EAGAIN);
  close(ends[0]);
  close(ends[1]);
}

CHECK_MAIN()
