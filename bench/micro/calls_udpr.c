/* calls_udpr: udpr_reactor_call_from_thread. */
#define _GNU_SOURCE
#include "calls.h"

#include <udpr/udpr.h>

static udpr_reactor *reactor;

static void prepare(void) {
  if (udpr_reactor_new(NULL, &reactor) != UDPR_OK) exit(EXIT_FAILURE);
}

static void called(udpr_reactor *caller, void *user) {
  (void)caller, (void)user;
  count_call();
}

static void call(void) { udpr_reactor_call_from_thread(reactor, called, NULL, NULL); }

static void run(void) { udpr_reactor_run(reactor); }

static void stop(void) { udpr_reactor_stop(reactor); }
