/* timers_libuv: uv_timer_init with uv_timer_start, and uv_timer_stop, on handles in one array. */
#include "timers.h"

#include <uv.h>

static uv_loop_t  *loop;
static uv_timer_t *timers;

static void prepare(void) {
  loop = uv_default_loop();
  timers = calloc(count, sizeof *timers);
  if (timers == NULL) exit(EXIT_FAILURE);
}

static void called(uv_timer_t *timer) {
  (void)timer;
  fired++;
}

static void insert(unsigned i, unsigned delay) {
  if (timers[i].loop == NULL) uv_timer_init(loop, &timers[i]);
  uv_timer_start(&timers[i], called, delay, 0);
}

static void cancel(unsigned i) { uv_timer_stop(&timers[i]); }

static void fire(void) { uv_run(loop, UV_RUN_DEFAULT); }
