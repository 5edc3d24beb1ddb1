/* UDPR_REACTOR_SIGNALS and forks at any moment: a child waits for nothing of its parent's, and has the handlers right. */
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

static bool is_own(void) {
  struct sigaction action;
  CHECK_EQ(0, sigaction(SIGTERM, NULL, &action));
  return action.sa_handler == own_handler;
}

static void own_handler_for_sigterm(void) {
  struct sigaction action = {.sa_handler = own_handler};
  CHECK_EQ(0, sigaction(SIGTERM, &action, NULL));
}

static void raise_call(udpr_reactor *reactor, void *user) {
  (void)reactor, (void)user;
  CHECK(!is_own());
  CHECK_EQ(0, raise(SIGTERM));
}

/* SIGTERM ends it, twice over. */
static void has_runs_of_its_own(void *arg) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_SIGNALS);
  (void)arg;
  for (int again = 0; again < 2; again++) {
    OK(udpr_reactor_call_later(reactor, 0, raise_call, NULL, NULL, NULL));
    run_with_timeout(reactor);
  }
  OK(udpr_reactor_free(reactor));
}

/* ---- threads that begin and end runs all the time -------------------------------------------------------- */

static atomic_bool over;
static atomic_int  runs;

static void see_ours_and_stop(udpr_reactor *reactor, void *user) {
  CHECK(!is_own());
  atomic_fetch_add(&runs, 1);
  stop_call(reactor, user);
}

static void run_all_the_time(void *arg) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_SIGNALS);
  (void)arg;
  while (!atomic_load(&over)) {
    OK(udpr_reactor_call_later(reactor, 0, see_ours_and_stop, NULL, NULL, NULL));
    OK(udpr_reactor_run(reactor));
  }
  OK(udpr_reactor_free(reactor));
}

/* The main thread does something meanwhile; at the end the host's handler is back. */
static void while_others_run(void (*body)(void)) {
  check_thread runners[RUNNERS];
  sigset_t     term;
  own_handler_for_sigterm();
  sigemptyset(&term);
  sigaddset(&term, SIGTERM);
  CHECK_EQ(0, pthread_sigmask(SIG_BLOCK, &term, NULL)); /* signals are the main thread's */
  for (int i = 0; i < RUNNERS; i++) thread_start(&runners[i], run_all_the_time, NULL);
  CHECK_EQ(0, pthread_sigmask(SIG_UNBLOCK, &term, NULL));
  body();
  atomic_store(&over, true);
  for (int i = 0; i < RUNNERS; i++) thread_join(&runners[i]);
  CHECK(is_own());
}

static void fork_often(void) {
  for (int i = check_is_slow() ? 10 : CHILDREN; i > 0; i--) run_in_killed_child(has_runs_of_its_own, NULL);
}

TEST(children_of_a_process_that_begins_and_ends_runs) { while_others_run(fork_often); }

static void end_without_a_run(void *arg) {
  (void)arg;
  own_handled = 0;
  CHECK_EQ(0, raise(SIGTERM));
  CHECK_EQ(1, own_handled); /* whether by ours, with nobody who listens here, or at once */
}

static void fork_and_raise(void) {
  for (int i = check_is_slow() ? 10 : CHILDREN; i > 0; i--) run_in_killed_child(end_without_a_run, NULL);
}

TEST(children_that_get_a_signal_at_once) { while_others_run(fork_and_raise); }

static bool is_child;

static void fork_here(udpr_reactor *reactor, void *user) {
  (void)user;
  pid_t child = check_fork();
  is_child = child == 0;
  if (is_child) return;
  int status = check_wait(child);
  CHECK(status == 0 || (WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL));
  OK(udpr_reactor_stop(reactor));
}

static void fork_in_a_callback(void) {
  for (int i = check_is_slow() ? 10 : CHILDREN; i > 0; i--) {
    udpr_reactor *reactor = new_reactor(UDPR_REACTOR_SIGNALS);
    OK(udpr_reactor_call_later(reactor, 0, fork_here, NULL, NULL, NULL));
    udpr_status status = udpr_reactor_run(reactor);
    if (is_child) {
      CHECK_STATUS(UDPR_E_CLOSED, status);
      CHECK(is_own());         /* nobody listens here any more */
      kill(getpid(), SIGKILL); /* as in_killed_child does, and for the same reason */
    }
    OK(status);
    OK(udpr_reactor_free(reactor));
  }
}

TEST(children_that_return_from_the_callback_that_forked) { while_others_run(fork_in_a_callback); }

/* Each signal goes to a run, or to the host's handler. */
static void raise_often(void) {
  for (int i = check_is_slow() ? 100 : 20000; i > 0; i--) CHECK_EQ(0, raise(SIGTERM));
}

static void begin_and_end(void *arg) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_SIGNALS);
  bool          called;
  (void)arg;
  while (!atomic_load(&over)) {
    udpr_id call;
    OK(udpr_reactor_call_later(reactor, 0, check_timed_out, &called, NULL, &call));
    OK(udpr_reactor_run(reactor));
    udpr_reactor_cancel_call(reactor, call); /* where a signal was faster */
    atomic_fetch_add(&runs, 1);
  }
  OK(udpr_reactor_free(reactor));
}

TEST(signals_while_runs_begin_and_end) {
  check_thread runner;
  own_handler_for_sigterm();
  thread_start(&runner, begin_and_end, NULL);
  while (atomic_load(&runs) == 0) sched_yield();
  raise_often();
  atomic_store(&over, true);
  thread_join(&runner);
  CHECK(is_own());
}

/* ---- a child that makes a run inside the callback that forked -------------------------------------------- */

static void fork_and_run_there(udpr_reactor *reactor, void *user) {
  fork_here(reactor, user);
  if (is_child) has_runs_of_its_own(NULL);
}

TEST(a_run_inside_the_callback_that_forked) {
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_SIGNALS);
  own_handler_for_sigterm();
  OK(udpr_reactor_call_later(reactor, 0, fork_and_run_there, NULL, NULL, NULL));
  udpr_status status = udpr_reactor_run(reactor);
  if (is_child) {
    CHECK_STATUS(UDPR_E_CLOSED, status);
    CHECK(is_own());
    has_runs_of_its_own(NULL); /* and after it */
    CHECK(is_own());
    OK(udpr_reactor_free(reactor));
    _exit(0);
  }
  OK(status);
  CHECK(is_own());
  OK(udpr_reactor_free(reactor));
}

/* ---- a handler that is at work on another thread ---------------------------------------------------------- */

static atomic_bool armed, handling, go_on;
static atomic_int  write_ends_there = -1;

/* This program's own: the handler stops in the middle of its wake-up. */
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
    write_ends_there = (int)values[0];
    atomic_store(&handling, true);
    while (!atomic_load(&go_on)) sched_yield();
  }
  return real(number, values[0], values[1], values[2], values[3], values[4], values[5]);
}

static void get_the_signal(void *arg) {
  (void)arg;
  atomic_store(&armed, true);
  CHECK_EQ(0, pthread_kill(pthread_self(), SIGTERM));
}

typedef struct busy {
  udpr_reactor  *reactor;
  reactor_thread there;
  check_thread   handler;
} busy;

/* The only other thread of this process waits in the kernel. */
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

/* A run on another thread, which waits, and a handler on a third that has come to it and not yet woken it. */
static void handler_at_work(busy *all) {
  own_handler_for_sigterm();
  all->reactor = new_reactor(UDPR_REACTOR_SIGNALS);
  reactor_thread_start(&all->there, all->reactor);
  while (!other_thread_sleeps()) sched_yield(); /* then the handler has to write */
  thread_start(&all->handler, get_the_signal, NULL);
  while (!atomic_load(&handling)) sched_yield();
}

static void handler_ends(busy *all) {
  atomic_store(&go_on, true);
  thread_join(&all->handler);
}

TEST(a_child_does_not_wait_for_a_handler_of_its_parents) {
  busy all;
  handler_at_work(&all);
  run_in_killed_child(has_runs_of_its_own, NULL);
  handler_ends(&all);
  reactor_thread_join(&all.there);
  OK(udpr_reactor_free(all.reactor));
}

/* The run ends for another reason, and its reactor with it, before the handler has come to write: it writes nowhere. */
TEST(a_handler_that_is_late_writes_to_nobody_elses_descriptor) {
  busy all;
  char text[256] = {0};
  int  ends[2];
  handler_at_work(&all);
  int before = check_count_descriptors();
  send_letters(&all.there.quit.host, "q");
  reactor_thread_join(&all.there);
  OK(udpr_reactor_free(all.reactor));
  CHECK_EQ(
      before - 2,
      check_count_descriptors()); /* the port's and the epoll set's: the wake-up's is kept for the handler */
  CHECK(is_own());
  CHECK_EQ(0, pipe(ends));
  CHECK(ends[0] != write_ends_there && ends[1] != write_ends_there);
  CHECK_EQ(0, pthread_kill(pthread_self(), SIGTERM)); /* meanwhile signals are the host's */
  CHECK_EQ(1, own_handled);
  has_runs_of_its_own(NULL); /* and runs work */
  handler_ends(&all);
  CHECK_EQ(before - 1, check_count_descriptors()); /* the pipe's two for three */
  CHECK_EQ(0, fcntl(ends[0], F_SETFL, O_NONBLOCK));
  CHECK(read(ends[0], text, sizeof text) < 0 && errno == EAGAIN);
  close(ends[0]);
  close(ends[1]);
}

CHECK_MAIN()
