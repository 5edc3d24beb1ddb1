/* timers.h: delayed calls, made, moved and cancelled at random. */
#ifndef UDPR_SOAK_TIMERS_H
#define UDPR_SOAK_TIMERS_H

#include "soak.h"

enum { REMEMBERED = 1024, LONGEST_DELAY = 300 };

typedef struct timer {
  udpr_ns due;
} timer;

static struct {
  udpr_id id;
  timer  *timer; /* there while its call is pending */
} timers[REMEMBERED];
static uint64_t timers_made, timers_fired, timers_cancelled, timers_done;

static void timer_fired(udpr_reactor *reactor, void *user) {
  CHECK(udpr_reactor_now(reactor) >= ((timer *)user)->due);
  timers_fired++, timers_done++;
}

static void timer_new(void) {
  uint32_t place = any_below(REMEMBERED);
  udpr_ns  delay = MS(any_below(LONGEST_DELAY));
  timer   *one = new_user(sizeof *one);
  one->due = udpr_reactor_now(soak.reactor) + delay;
  OK(udpr_reactor_call_later(soak.reactor, delay, timer_fired, one, take_back, &timers[place].id));
  timers[place].timer = one;
  timers_made++;
}

static void timer_move(void) {
  uint32_t place = any_below(REMEMBERED);
  udpr_id  id = timers[place].id;
  udpr_ns  due;
  if (udpr_reactor_call_time(soak.reactor, id, &due) != UDPR_OK) return;
  CHECK(due >= timers[place].timer->due);
  switch (any_below(3)) {
  case 0:
    OK(udpr_reactor_cancel_call(soak.reactor, id));
    CHECK_STATUS(UDPR_E_ALREADY_CANCELLED, udpr_reactor_cancel_call(soak.reactor, id));
    timers_cancelled++, timers_done++;
    break;
  case 1:
    timers[place].timer->due = udpr_reactor_now(soak.reactor) + MS(50);
    OK(udpr_reactor_reset_call(soak.reactor, id, MS(50)));
    break;
  default: timers[place].timer->due += MS(5); OK(udpr_reactor_delay_call(soak.reactor, id, (int64_t)MS(5)));
  }
}

static void timers_begin(void) {
  memset(timers, 0, sizeof timers);
  timers_made = timers_fired = timers_cancelled = 0;
}

static void timers_tick(void) {
  for (uint32_t i = any_below(8); i > 0 && !soak.ending; i--) timer_new(), timer_move();
}

static bool timers_settled(void) {
  CHECK(timers_fired + timers_cancelled <= timers_made);
  return timers_fired + timers_cancelled == timers_made;
}

static void timers_end(void) {}

static const load timers_load = {"delayed calls", &timers_done,   timers_begin,
                                 timers_tick,     timers_settled, timers_end};

#endif
