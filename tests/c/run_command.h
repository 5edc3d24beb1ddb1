/* run_command.h: runs a command of the shell, which must succeed. */
#ifndef UDPR_TESTS_RUN_COMMAND_H
#define UDPR_TESTS_RUN_COMMAND_H

#include "check.h"

__attribute__((format(printf, 1, 2))) static inline void run_command(const char *format, ...) {
  char    line[2000];
  va_list args;
  va_start(args, format);
  int len = vsnprintf(line, sizeof line, format, args);
  va_end(args);
  CHECK(len >= 0 && (size_t)len < sizeof line);
  if (system(line) != 0) FAIL("failed: %s", line);
}

#endif
