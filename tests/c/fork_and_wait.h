/* fork_and_wait.h: a fork inside a callback, or inside a call of the library. */
#ifndef UDPR_TESTS_FORK_AND_WAIT_H
#define UDPR_TESTS_FORK_AND_WAIT_H

#include "check.h"

static bool is_child;

/* Returns at once in the child. In the parent, returns after the child has ended. */
static inline void fork_and_wait(void) {
  pid_t child = check_fork();
  is_child = child == 0;
  if (is_child) return;
  int status = check_wait(child);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

/* By SIGKILL, so that no leak checker runs in the child: its memory belonged to the parent. */
static inline void kill_self(void) { kill(getpid(), SIGKILL); }

#endif
