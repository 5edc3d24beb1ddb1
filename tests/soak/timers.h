/* timers.h: delayed calls that are started, changed and cancelled at random. */
#ifndef UDPR_SOAK_TIMERS_H
#define UDPR_SOAK_TIMERS_H

#include "soak.h"

enum { SLOTS = 1024, LONGEST_DELAY = 300, BEAT = 700000 };

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

/* A periodic call: none of its beats is lost. */
static udpr_id  beat;
static udpr_ns  beat_began;
static uint64_t beats_counted;

static void beat_called(udpr_reactor *reactor, udpr_id id, uint64_t beats, void *user) {
  (void)user;
  CHECK(id == beat && beats > 0);
  beats_counted += beats;
  CHECK(udpr_reactor_now(reactor) >= beat_began + beats_counted * BEAT);
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
  beats_counted = 0;
  OK(udpr_reactor_call_every(soak.reactor, BEAT, beat_called, new_registration(1), free_registration, &beat));
  OK(udpr_reactor_call_time(soak.reactor, beat, &beat_began));
  beat_began -= BEAT;
}

static void timers_tick(void) {
  for (uint32_t i = random_below(8); i > 0 && !soak.ending; i--) start_timer(), change_timer();
}

static bool timers_settled(void) {
  CHECK(timers_fired + timers_cancelled <= timers_made);
  return timers_fired + timers_cancelled == timers_made;
}

static void timers_end(void) {
  udpr_ns due;
  OK(udpr_reactor_call_time(soak.reactor, beat, &due));
  CHECK_EQ(beat_began + (beats_counted + 1) * BEAT, due);
  OK(udpr_reactor_cancel_call(soak.reactor, beat));
}

static const load timers_load = {"delayed calls", &timers_done,   timers_begin,
                                 timers_tick,     timers_settled, timers_end};

#endif
