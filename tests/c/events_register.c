/* Triggers come and go: registration, removal (while their event fires, too), fire_event, call_when_running,
 * and who frees their users.
 */
#include "trigger.h"

/* ---- registration -------------------------------------------------------------------------------------- */

static void refused(udpr_reactor *reactor, uint32_t phase, uint32_t event, udpr_trigger_fn fn) {
  note    user = {0};
  udpr_id id = 42;
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT,
               udpr_reactor_add_trigger(reactor, phase, event, fn, &user, count_free, &id));
  CHECK(user.freed == 1 && id == 42);
}

TEST(what_is_out_of_range_is_refused) {
  udpr_reactor *reactor = new_reactor(0);
  refused(reactor, AFTER + 1, SHUTDOWN, note_trigger);
  refused(reactor, UINT32_MAX, SHUTDOWN, note_trigger);
  refused(reactor, BEFORE, SHUTDOWN + 1, note_trigger);
  refused(reactor, BEFORE, UINT32_MAX, note_trigger);
  refused(reactor, BEFORE, SHUTDOWN, NULL);
  refused(NULL, BEFORE, SHUTDOWN, note_trigger);
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_reactor_fire_event(reactor, SHUTDOWN + 1));
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_reactor_fire_event(reactor, UINT32_MAX));
  OK(udpr_reactor_free(reactor));
}

static udpr_status flag_trigger(udpr_reactor *reactor, udpr_id id, void *user) {
  (void)reactor, (void)id;
  *(bool *)user = true;
  return UDPR_OK;
}

TEST(id_and_free_user_may_be_null) {
  udpr_reactor *reactor = new_reactor(0);
  bool          fired = false, called = false;
  OK(udpr_reactor_add_trigger(reactor, DURING, STARTUP, flag_trigger, &fired, NULL, NULL));
  OK(udpr_reactor_call_when_running(reactor, check_overdue, &called, NULL,
                                    NULL)); /* sets the flag, and crashes */
  run_guarded(reactor);
  CHECK(fired && called);
  OK(udpr_reactor_free(reactor));
}

TEST(free_drops_what_never_fired) {
  udpr_reactor *reactor = new_reactor(0);
  note          notes[6] = {{0}}, call = {0};
  for (uint32_t i = 0; i < 6; i++) add_note(reactor, i % 3, i / 3, &notes[i]);
  note_when_running(reactor, &call);
  OK(udpr_reactor_free(reactor));
  for (int i = 0; i < 6; i++) CHECK(notes[i].called == 0 && notes[i].freed == 1);
  CHECK(call.called == 0 && call.freed == 1);
}

static void act_add(udpr_reactor *reactor, note *self) { add_note(reactor, DURING, SHUTDOWN, self->arg); }

TEST(a_trigger_may_add_one_of_a_later_phase) {
  udpr_reactor *reactor = new_reactor(0);
  note          added = {0}, before = {.act = act_add, .arg = &added};
  add_note(reactor, BEFORE, SHUTDOWN, &before);
  run_and_stop(reactor);
  CHECK_EQ(1, added.called);
  OK(udpr_reactor_free(reactor));
  CHECK_EQ(1, added.freed);
}

/* ---- removal ------------------------------------------------------------------------------------------- */

TEST(what_is_removed_does_not_fire) {
  udpr_reactor *reactor = new_reactor(0);
  note          notes[12] = {{0}};
  for (uint32_t i = 0; i < 12; i++) add_note(reactor, i % 3, i / 6, &notes[i]);
  for (int i = 0; i < 12; i += 2) {
    OK(udpr_reactor_remove_trigger(reactor, notes[i].id));
    CHECK_EQ(1, notes[i].freed);
    CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_remove_trigger(reactor, notes[i].id));
  }
  run_and_stop(reactor);
  for (int i = 0; i < 12; i++) CHECK_EQ(i % 2, notes[i].called);
  OK(udpr_reactor_free(reactor));
  ALL_FREED(notes);
}

TEST(ids_that_are_none) {
  udpr_reactor *reactor = new_reactor(0), *other = new_reactor(0);
  note          user = {0};
  add_note(reactor, DURING, SHUTDOWN, &user);
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_remove_trigger(reactor, 0));
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_remove_trigger(reactor, user.id + 1));
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_remove_trigger(reactor, UINT64_MAX));
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_remove_trigger(other, user.id));
  CHECK_EQ(0, user.freed);
  OK(udpr_reactor_remove_trigger(reactor, user.id));
  OK(udpr_reactor_free(reactor));
  OK(udpr_reactor_free(other));
}

typedef struct victims {
  note *notes;
  int   count;
} victims;

static void act_remove(udpr_reactor *reactor, note *self) {
  victims *of = self->arg;
  for (int i = 0; i < of->count; i++) {
    OK(udpr_reactor_remove_trigger(reactor, of->notes[i].id));
    CHECK_EQ(1, of->notes[i].freed);
  }
}

/* A trigger of `phase` removes one that was to come in its own phase and in each later one. */
static void removed_while_firing(uint32_t phase, uint32_t event) {
  udpr_reactor *reactor = new_reactor(0);
  note          later[3] = {{0}}, last = {0};
  victims       of = {.notes = later, .count = (int)(AFTER - phase + 1)};
  note          first = {.act = act_remove, .arg = &of};
  add_note(reactor, phase, event, &first);
  for (int i = 0; i < of.count; i++) add_note(reactor, phase + (uint32_t)i, event, &later[i]);
  add_note(reactor, AFTER, event, &last);
  run_and_stop(reactor);
  CHECK(first.called == 1 && last.called == 1);
  for (int i = 0; i < of.count; i++) CHECK(later[i].called == 0 && later[i].freed == 1);
  OK(udpr_reactor_free(reactor));
}

TEST(what_is_still_to_come_may_be_removed_while_firing) {
  for (uint32_t event = STARTUP; event <= SHUTDOWN; event++)
    for (uint32_t phase = BEFORE; phase <= AFTER; phase++) removed_while_firing(phase, event);
}

/* Whatever it is told: its user outlives the callback (note_call looks), and is freed once. */
static void act_remove_itself(udpr_reactor *reactor, note *self) {
  udpr_reactor_remove_trigger(reactor, self->id);
}

TEST(a_trigger_that_removes_itself) {
  udpr_reactor *reactor = new_reactor(0);
  note          notes[6] = {{0}};
  for (uint32_t i = 0; i < 6; i++) {
    notes[i].act = act_remove_itself;
    add_note(reactor, i % 3, i / 3, &notes[i]);
  }
  run_and_stop(reactor);
  for (int i = 0; i < 6; i++) CHECK(notes[i].called == 1 && notes[i].freed == 1);
  OK(udpr_reactor_free(reactor));
  ALL_FREED(notes);
}

/* ---- fire_event ---------------------------------------------------------------------------------------- */

TEST(fire_event_fires_inside_the_call) {
  for (uint32_t event = STARTUP; event <= SHUTDOWN; event++) {
    udpr_reactor *reactor = new_reactor(0);
    book          seen = {""};
    note          notes[] = {{.in = &seen, .word = "before"},
                             {.in = &seen, .word = "during"},
                             {.in = &seen, .word = "after"}};
    note          other = {0};
    for (uint32_t i = 3; i-- > 0;) add_note(reactor, i, event, &notes[i]);
    add_note(reactor, DURING, event == STARTUP ? SHUTDOWN : STARTUP, &other);
    OK(udpr_reactor_fire_event(reactor, event));
    CHECK_STR("before during after", seen.text);
    CHECK_EQ(0, other.called);
    OK(udpr_reactor_free(reactor));
    ALL_FREED(notes);
  }
}

static void act_fire(udpr_reactor *reactor, note *self) {
  OK(udpr_reactor_fire_event(reactor, STARTUP));
  CHECK_EQ(1, ((note *)self->arg)->called);
  OK(udpr_reactor_stop(reactor));
}

TEST(a_callback_may_fire_an_event) {
  udpr_reactor *reactor = new_reactor(0);
  note          late = {0}, call = {.act = act_fire, .arg = &late};
  OK(udpr_reactor_start(reactor));
  add_note(reactor, DURING, STARTUP, &late); /* too late for this startup */
  turns(reactor, 2);
  CHECK_EQ(0, late.called);
  note_later(reactor, 0, &call);
  RUN_UNTIL(reactor, !udpr_reactor_is_running(reactor));
  CHECK_EQ(1, late.called);
  OK(udpr_reactor_free(reactor));
  CHECK_EQ(1, late.freed);
}

/* ---- call_when_running --------------------------------------------------------------------------------- */

TEST(call_when_running_waits_for_startup) {
  udpr_reactor *reactor = new_reactor(0);
  book          seen = {""};
  note notes[] = {{.in = &seen, .word = "a"}, {.in = &seen, .word = "trigger"}, {.in = &seen, .word = "b"}};
  note gone = {0};
  note_when_running(reactor, &notes[0]);
  add_note(reactor, AFTER, STARTUP, &notes[1]); /* as which it counts */
  note_when_running(reactor, &notes[2]);
  note_when_running(reactor, &gone);
  CHECK(notes[0].id != 0 && notes[2].id != 0 && gone.id != 0);
  OK(udpr_reactor_remove_trigger(reactor, gone.id));
  CHECK_EQ(1, gone.freed);
  turns(reactor, 2);
  CHECK_STR("", seen.text);
  run_and_stop(reactor);
  CHECK_STR("a trigger b", seen.text);
  CHECK_EQ(0, gone.called);
  OK(udpr_reactor_free(reactor));
  ALL_FREED(notes);
}

static void call_at_once(udpr_reactor *reactor, note *self) {
  note *inner = self->arg;
  CHECK(udpr_reactor_is_running(reactor));
  note_when_running(reactor, inner);
  CHECK(inner->called == 1 && inner->freed == 1);
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_remove_trigger(reactor, inner->id));
}

TEST(call_when_running_runs_at_once_when_running) {
  udpr_reactor *reactor = new_reactor(0);
  note          inner[3] = {{0}}, notes[3] = {{0}};
  for (int i = 0; i < 3; i++) notes[i] = (note){.act = call_at_once, .arg = &inner[i]};
  OK(udpr_reactor_start(reactor));
  note_when_running(reactor, &notes[0]); /* between turns, and one inside the other */
  CHECK_EQ(1, notes[0].called);
  note_later(reactor, 0, &notes[1]);
  turns(reactor, 2);
  CHECK_EQ(1, notes[1].called);
  add_note(reactor, BEFORE, SHUTDOWN, &notes[2]);
  OK(udpr_reactor_stop(reactor));
  RUN_UNTIL(reactor, !udpr_reactor_is_running(reactor));
  CHECK_EQ(1, notes[2].called);
  OK(udpr_reactor_free(reactor));
  ALL_FREED(notes);
  ALL_FREED(inner);
}

static void call_in_time(udpr_reactor *reactor, note *self) {
  note *inner = self->arg;
  CHECK(!udpr_reactor_is_running(reactor));
  note_when_running(reactor, inner);
  CHECK_EQ(0, inner->called);
}

TEST(call_when_running_before_startup_is_in_time) {
  udpr_reactor *reactor = new_reactor(0);
  note          inner = {0}, before = {.act = call_in_time, .arg = &inner};
  add_note(reactor, BEFORE, STARTUP, &before);
  OK(udpr_reactor_start(reactor));
  CHECK_EQ(1, inner.called);
  OK(udpr_reactor_free(reactor));
  CHECK(before.freed == 1 && inner.freed == 1);
}

TEST(a_refused_call_when_running_frees_its_user) {
  udpr_reactor *reactor = new_reactor(0);
  note          user = {0};
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT,
               udpr_reactor_call_when_running(reactor, NULL, &user, count_free, NULL));
  CHECK_EQ(1, user.freed);
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT,
               udpr_reactor_call_when_running(NULL, note_call, &user, count_free, NULL));
  CHECK_EQ(2, user.freed);
  OK(udpr_reactor_free(reactor));
}

CHECK_MAIN()
