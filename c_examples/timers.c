/* timers: a heart that beats every 100 ms, and a timeout that each beat resets.
 *
 *     $ timers
 *     beat 1
 *     beat 2
 *     ...
 *     beat 5
 *     no beat for 250 ms
 */
#include <stdio.h>
#include <stdlib.h>

#include <udpr/udpr.h>

enum { BEATS = 5, BEAT_MS = 100, TIMEOUT_MS = 250 };

typedef struct heart {
  int     beats;
  udpr_id timeout;
} heart;

/* Prints what has failed, if it has. Returns `status`. */
static udpr_status check(const char *what, udpr_status status) {
  if (status != UDPR_OK)
    fprintf(stderr, "timers: %s: %s: %s\n", what, udpr_status_name(status), udpr_status_message(status));
  return status;
}

/* Called every 100 ms, without drift. `passed` is above 1 if a turn was late. */
static void beat(udpr_reactor *reactor, udpr_id id, uint64_t passed, void *user) {
  heart *self = user;
  (void)passed;
  printf("beat %d\n", ++self->beats);
  check("cannot reset the timeout", udpr_reactor_reset_call(reactor, self->timeout, UDPR_MS(TIMEOUT_MS)));
  if (self->beats == BEATS) check("cannot end the beats", udpr_reactor_cancel_call(reactor, id));
}

static void no_beat(udpr_reactor *reactor, void *user) {
  (void)user;
  printf("no beat for %d ms\n", TIMEOUT_MS);
  udpr_reactor_stop(reactor);
}

static udpr_status watch_over(udpr_reactor *reactor, heart *self) {
  udpr_status status =
      check("cannot make the timeout",
            udpr_reactor_call_later(reactor, UDPR_MS(TIMEOUT_MS), no_beat, NULL, NULL, &self->timeout));
  if (status == UDPR_OK)
    status = check("cannot make the heart",
                   udpr_reactor_call_every(reactor, UDPR_MS(BEAT_MS), beat, self, NULL, NULL));
  return status == UDPR_OK ? check("cannot run", udpr_reactor_run(reactor)) : status;
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0); /* line by line, also into a pipe */
  heart         one = {.beats = 0};
  udpr_reactor *reactor = NULL;
  udpr_status   status = check("cannot make a reactor", udpr_reactor_new(NULL, &reactor));
  if (status == UDPR_OK) status = watch_over(reactor, &one);
  udpr_reactor_free(reactor);
  return status == UDPR_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
