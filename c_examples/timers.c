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

#define MS(n) (UINT64_C(1000000) * (n))

enum { BEATS = 5, BEAT_MS = 100, TIMEOUT_MS = 250 };

typedef struct heart {
  udpr_ns     next_beat; /* an absolute time, so that the beats do not drift */
  int         beats;
  udpr_id     watch;
  udpr_status status; /* the first error */
} heart;

static void keep_first_error(heart *self, udpr_status status) {
  if (self->status == UDPR_OK) self->status = status;
}

/* A delayed call is made once. To be made again it must be scheduled again. */
static void beat(udpr_reactor *reactor, void *user) {
  heart *self = user;
  printf("beat %d\n", ++self->beats);
  keep_first_error(self, udpr_reactor_reset_call(reactor, self->watch, MS(TIMEOUT_MS)));
  if (self->beats == BEATS) return;

  self->next_beat += MS(BEAT_MS);
  udpr_ns now = udpr_reactor_now(reactor);
  udpr_ns delay = self->next_beat > now ? self->next_beat - now : 0;
  keep_first_error(self, udpr_reactor_call_later(reactor, delay, beat, self, NULL, NULL));
}

static void no_beat(udpr_reactor *reactor, void *user) {
  (void)user;
  printf("no beat for %d ms\n", TIMEOUT_MS);
  udpr_reactor_stop(reactor);
}

static udpr_status watch_over(udpr_reactor *reactor, heart *self) {
  self->next_beat = udpr_reactor_now(reactor);
  keep_first_error(self, udpr_reactor_call_later(reactor, MS(TIMEOUT_MS), no_beat, self, NULL, &self->watch));
  keep_first_error(self, udpr_reactor_call_later(reactor, 0, beat, self, NULL, NULL));
  if (self->status == UDPR_OK) keep_first_error(self, udpr_reactor_run(reactor));
  return self->status;
}

int main(void) {
  setvbuf(stdout, NULL, _IOLBF, 0); /* line by line, also into a pipe */
  heart         one = {.status = UDPR_OK};
  udpr_reactor *reactor = NULL;
  udpr_status   status = udpr_reactor_new(NULL, &reactor);
  if (status == UDPR_OK) status = watch_over(reactor, &one);
  if (status != UDPR_OK)
    fprintf(stderr, "timers: %s: %s\n", udpr_status_name(status), udpr_status_message(status));
  udpr_reactor_free(reactor);
  return status == UDPR_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
