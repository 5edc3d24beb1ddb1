/* check_fork.h: each case of check.h runs in a forked process. */
#ifndef UDPR_TESTS_CHECK_FORK_H
#define UDPR_TESTS_CHECK_FORK_H

#include <dirent.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define LOOPBACK "lo"

static inline int check_count_descriptors(void) {
  DIR *dir = opendir("/proc/self/fd");
  int  count = 0;
  if (!dir) return -1;
  while (readdir(dir)) count++;
  closedir(dir);
  return count;
}

/* The kernel kills a child that hangs, or whose parent has ended. */
static inline pid_t check_fork(void) {
  fflush(stdout);
  pid_t child = fork();
  if (child < 0) FAIL("fork: %s", strerror(errno));
  if (child == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    signal(SIGALRM, SIG_DFL);
    alarm(check_seconds());
  }
  return child;
}

static inline int check_wait(pid_t child) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
  return status;
}

static inline void check_describe_exit(int status, char *text, size_t size) {
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM)
    snprintf(text, size, "timed out after %u s", check_seconds());
  else if (WIFSIGNALED(status))
    snprintf(text, size, "killed by signal %d (%s)", WTERMSIG(status), strsignal(WTERMSIG(status)));
  else snprintf(text, size, "ended with status %d", WEXITSTATUS(status));
}

static inline bool check_prepare(void) {
  check_result = mmap(NULL, sizeof *check_result, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  return check_result != MAP_FAILED;
}

static inline int check_run_alone(const check_case *one) {
  pid_t child = check_fork();
  if (child == 0) check_run_case(one);
  int   status = check_wait(child);
  char *text = check_result->text;
  if (status != 0 && !*text) check_describe_exit(status, text, sizeof check_result->text);
  return WIFEXITED(status) ? WEXITSTATUS(status) : CHECK_FAILED;
}

/* Runs `body` in a forked child and waits for it. A check that fails in the child fails the case. */
static inline void run_in_child(void (*body)(void *), void *arg) {
  pid_t child = check_fork();
  if (child == 0) {
    body(arg);
    exit(0);
  }
  int status = check_wait(child);
  if (WIFEXITED(status) && WEXITSTATUS(status) == CHECK_SKIPPED) _exit(CHECK_SKIPPED);
  if (status != 0) {
    char text[128];
    check_describe_exit(status, text, sizeof text);
    FAIL("the child %s", text);
  }
}

/* Like run_in_child, but the child ends by SIGKILL so that no leak checker runs in it: its memory belonged to
 * the parent, or to a thread that does not exist in the child.
 */
static inline void run_in_killed_child(void (*body)(void *), void *arg) {
  pid_t child = check_fork();
  if (child == 0) {
    body(arg);
    kill(getpid(), SIGKILL);
  }
  int status = check_wait(child);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

#endif
