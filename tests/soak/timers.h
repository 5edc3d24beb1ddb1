/* timers.h: delayed calls that are started, changed and cancelled at random. */
#ifndef UDPR_SOAK_TIMERS_H
#define UDPR_SOAK_TIMERS_H

#include "soak.h"

enum { SLOTS = 1024, LONGEST_DELAY = 300 };

typedef struct timer {
  udpr_ns due;
} timer;

static struct {
  udpr_id id;
  timer  *timer; /* valid while the call is pending */
} timers[SLOTS];
static uint64_t timers_made, timers_fired, timers_cancelled, timers_done;

static void timer_fired(udpr_reactor *reactor, void *user) {
  CHECK(udpr_reactor_now(reactor) >= ((timer *)user)->due);
  timers_fired++, timers_done++;
}

static void start_timer(void) {
  uint32_t slot = random_below(SLOTS);
  udpr_ns  delay = MS(random_below(LONGEST_DELAY));
  timer   *one = new_registration(sizeof *one);
  one->due = udpr_reactor_now(soak.reactor) + delay;
  OK(udpr_reactor_call_later(soak.reactor, delay, timer_fired, one, free_registration, &timers[slot].id));
  timers[slot].timer = one;
  timers_made++;
}

static void change_timer(void) {
  uint32_t slot = random_below(SLOTS);
  udpr_id  id = timers[slot].id;
  udpr_ns  due;
  if (udpr_reactor_call_time(soak.reactor, id, &due) != UDPR_OK) return;
  CHECK(due >= timers[slot].timer->due);
  switch (random_below(3)) {
  case 0:
    OK(udpr_reactor_cancel_call(soak.reactor, id));
    CHECK_STATUS(UDPR_E_ALREADY_CANCELLED, udpr_reactor_cancel_call(soak.reactor, id));
    timers_cancelled++, timers_done++;
    break;
  case 1:
    timers[slot].timer->due = udpr_reactor_now(soak.reactor) + MS(50);
    OK(udpr_reactor_reset_call(soak.reactor, id, MS(50)));
    break;
  default: timers[slot].timer->due += MS(5); OK(udpr_reactor_delay_call(soak.reactor, id, (int64_t)MS(5)));
  }
}

static void timers_begin(void) {
  memset(timers, 0, sizeof timers);
  timers_made = timers_fired = timers_cancelled = 0;
}

static void timers_tick(void) {
  for (uint32_t i = random_below(8); i > 0 && !soak.ending; i--) start_timer(), change_timer();
}

static bool timers_settled(void) {
  CHECK(timers_fired + timers_cancelled <= timers_made);
  return timers_fired + timers_cancelled == timers_made;
}

static void timers_end(void) {}

static const load timers_load = {"delayed calls", &timers_done,   timers_begin,
                                 timers_tick,     timers_settled, timers_end};

#endif
