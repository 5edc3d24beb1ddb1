/* fork_and_wait.h: forks in the middle of something. */
#ifndef UDPR_TESTS_FORK_AND_WAIT_H
#define UDPR_TESTS_FORK_AND_WAIT_H

#include "check.h"

static bool is_child;

/* The child goes on at once; the parent when the child has ended. */
static inline void fork_and_wait(void) {
  pid_t child = check_fork();
  is_child = child == 0;
  if (is_child) return;
  int status = check_wait(child);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* So that no leak checker looks: what it has is its parent's. */
static inline void kill_child(void) { kill(getpid(), SIGKILL); }

#endif
