/* Triggers: registration, removal (also while their event fires), fire_event, call_when_running, and when
 * their users are freed.
 */
#include "event_log.h"

/* ---- registration -------------------------------------------------------------------------------------- */

static void refused(udpr_reactor *reactor, uint32_t phase, uint32_t event, udpr_trigger_fn fn) {
  logged_call user = {0};
  udpr_id     id = 42;
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT,
               udpr_reactor_add_trigger(reactor, phase, event, fn, &user, count_free, &id));
  CHECK(user.freed == 1 && id == 42);
}

TEST(values_out_of_range_are_refused) {
  udpr_reactor *reactor = new_reactor(0);
  refused(reactor, AFTER + 1, SHUTDOWN, logged_trigger_run);
  refused(reactor, UINT32_MAX, SHUTDOWN, logged_trigger_run);
  refused(reactor, BEFORE, SHUTDOWN + 1, logged_trigger_run);
  refused(reactor, BEFORE, UINT32_MAX, logged_trigger_run);
  refused(reactor, BEFORE, SHUTDOWN, NULL);
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
  /* check_timed_out sets the flag and crashes the reactor, which ends run. */
  OK(udpr_reactor_call_when_running(reactor, check_timed_out, &called, NULL, NULL));
  run_with_timeout(reactor);
  CHECK(fired && called);
  OK(udpr_reactor_free(reactor));
}

TEST(free_drops_triggers_that_never_fired) {
  udpr_reactor *reactor = new_reactor(0);
  logged_call   calls[6] = {{0}}, call = {0};
  for (uint32_t i = 0; i < 6; i++) add_logged_trigger(reactor, i % 3, i / 3, &calls[i]);
  call_when_running_logged(reactor, &call);
  OK(udpr_reactor_free(reactor));
  for (int i = 0; i < 6; i++) CHECK(calls[i].called == 0 && calls[i].freed == 1);
  CHECK(call.called == 0 && call.freed == 1);
}

static void act_add(udpr_reactor *reactor, logged_call *self) {
  add_logged_trigger(reactor, DURING, SHUTDOWN, self->arg);
}

TEST(a_trigger_may_add_one_of_a_later_phase) {
  udpr_reactor *reactor = new_reactor(0);
  logged_call   added = {0}, before = {.act = act_add, .arg = &added};
  add_logged_trigger(reactor, BEFORE, SHUTDOWN, &before);
  run_and_stop(reactor);
  CHECK_EQ(1, added.called);
  OK(udpr_reactor_free(reactor));
  CHECK_EQ(1, added.freed);
}

/* ---- removal ------------------------------------------------------------------------------------------- */

TEST(removed_triggers_do_not_fire) {
  udpr_reactor *reactor = new_reactor(0);
  logged_call   calls[12] = {{0}};
  for (uint32_t i = 0; i < 12; i++) add_logged_trigger(reactor, i % 3, i / 6, &calls[i]);
  for (int i = 0; i < 12; i += 2) {
    OK(udpr_reactor_remove_trigger(reactor, calls[i].id));
    CHECK_EQ(1, calls[i].freed);
    CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_remove_trigger(reactor, calls[i].id));
  }
  run_and_stop(reactor);
  for (int i = 0; i < 12; i++) CHECK_EQ(i % 2, calls[i].called);
  OK(udpr_reactor_free(reactor));
  CHECK_ALL_FREED(calls);
}

TEST(invalid_ids) {
  udpr_reactor *reactor = new_reactor(0), *other = new_reactor(0);
  logged_call   user = {0};
  add_logged_trigger(reactor, DURING, SHUTDOWN, &user);
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
  logged_call *calls;
  int          count;
} victims;

static void act_remove(udpr_reactor *reactor, logged_call *self) {
  victims *of = self->arg;
  for (int i = 0; i < of->count; i++) {
    OK(udpr_reactor_remove_trigger(reactor, of->calls[i].id));
    CHECK_EQ(1, of->calls[i].freed);
  }
}

/* A trigger of `phase` removes triggers that have not fired yet, of its own phase and of each later one. */
static void removed_while_firing(uint32_t phase, uint32_t event) {
  udpr_reactor *reactor = new_reactor(0);
  logged_call   later[3] = {{0}}, last = {0};
  victims       of = {.calls = later, .count = (int)(AFTER - phase + 1)};
  logged_call   first = {.act = act_remove, .arg = &of};
  add_logged_trigger(reactor, phase, event, &first);
  for (int i = 0; i < of.count; i++) add_logged_trigger(reactor, phase + (uint32_t)i, event, &later[i]);
  add_logged_trigger(reactor, AFTER, event, &last);
  run_and_stop(reactor);
  CHECK(first.called == 1 && last.called == 1);
  for (int i = 0; i < of.count; i++) CHECK(later[i].called == 0 && later[i].freed == 1);
  OK(udpr_reactor_free(reactor));
}

TEST(later_triggers_may_be_removed_while_firing) {
  for (uint32_t event = STARTUP; event <= SHUTDOWN; event++)
    for (uint32_t phase = BEFORE; phase <= AFTER; phase++) removed_while_firing(phase, event);
}

/* The user is freed once, after the callback has returned (logged_call_run checks it), whatever it returns.
 */
static void act_remove_itself(udpr_reactor *reactor, logged_call *self) {
  udpr_reactor_remove_trigger(reactor, self->id);
}

TEST(a_trigger_that_removes_itself) {
  udpr_reactor *reactor = new_reactor(0);
  logged_call   calls[6] = {{0}};
  for (uint32_t i = 0; i < 6; i++) {
    calls[i].act = act_remove_itself;
    add_logged_trigger(reactor, i % 3, i / 3, &calls[i]);
  }
  run_and_stop(reactor);
  for (int i = 0; i < 6; i++) CHECK(calls[i].called == 1 && calls[i].freed == 1);
  OK(udpr_reactor_free(reactor));
  CHECK_ALL_FREED(calls);
}

/* ---- fire_event ---------------------------------------------------------------------------------------- */

TEST(fire_event_fires_inside_the_call) {
  for (uint32_t event = STARTUP; event <= SHUTDOWN; event++) {
    udpr_reactor *reactor = new_reactor(0);
    event_log     seen = {""};
    logged_call   calls[] = {{.log = &seen, .event = "before"},
                             {.log = &seen, .event = "during"},
                             {.log = &seen, .event = "after"}};
    logged_call   other = {0};
    for (uint32_t i = 3; i-- > 0;) add_logged_trigger(reactor, i, event, &calls[i]);
    add_logged_trigger(reactor, DURING, event == STARTUP ? SHUTDOWN : STARTUP, &other);
    OK(udpr_reactor_fire_event(reactor, event));
    CHECK_STR("before during after", seen.text);
    CHECK_EQ(0, other.called);
    OK(udpr_reactor_free(reactor));
    CHECK_ALL_FREED(calls);
  }
}

static void act_fire(udpr_reactor *reactor, logged_call *self) {
  OK(udpr_reactor_fire_event(reactor, STARTUP));
  CHECK_EQ(1, ((logged_call *)self->arg)->called);
  OK(udpr_reactor_stop(reactor));
}

TEST(a_callback_may_fire_an_event) {
  udpr_reactor *reactor = new_reactor(0);
  logged_call   late = {0}, call = {.act = act_fire, .arg = &late};
  OK(udpr_reactor_start(reactor));
  add_logged_trigger(reactor, DURING, STARTUP, &late); /* too late for this startup */
  run_turns(reactor, 2);
  CHECK_EQ(0, late.called);
  call_later_logged(reactor, 0, &call);
  RUN_UNTIL(reactor, !udpr_reactor_is_running(reactor));
  CHECK_EQ(1, late.called);
  OK(udpr_reactor_free(reactor));
  CHECK_EQ(1, late.freed);
}

/* ---- call_when_running --------------------------------------------------------------------------------- */

TEST(call_when_running_waits_for_startup) {
  udpr_reactor *reactor = new_reactor(0);
  event_log     seen = {""};
  logged_call   calls[] = {{.log = &seen, .event = "a"},
                           {.log = &seen, .event = "trigger"},
                           {.log = &seen, .event = "b"}};
  logged_call   cancelled = {0};
  call_when_running_logged(reactor, &calls[0]);
  /* call_when_running counts as an after-startup trigger */
  add_logged_trigger(reactor, AFTER, STARTUP, &calls[1]);
  call_when_running_logged(reactor, &calls[2]);
  call_when_running_logged(reactor, &cancelled);
  CHECK(calls[0].id != 0 && calls[2].id != 0 && cancelled.id != 0);
  OK(udpr_reactor_remove_trigger(reactor, cancelled.id));
  CHECK_EQ(1, cancelled.freed);
  run_turns(reactor, 2);
  CHECK_STR("", seen.text);
  run_and_stop(reactor);
  CHECK_STR("a trigger b", seen.text);
  CHECK_EQ(0, cancelled.called);
  OK(udpr_reactor_free(reactor));
  CHECK_ALL_FREED(calls);
}

static void call_when_running_at_once(udpr_reactor *reactor, logged_call *self) {
  logged_call *inner = self->arg;
  CHECK(udpr_reactor_is_running(reactor));
  call_when_running_logged(reactor, inner);
  CHECK(inner->called == 1 && inner->freed == 1);
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_remove_trigger(reactor, inner->id));
}

TEST(call_when_running_runs_at_once_when_running) {
  udpr_reactor *reactor = new_reactor(0);
  logged_call   inner[3] = {{0}}, calls[3] = {{0}};
  for (int i = 0; i < 3; i++) calls[i] = (logged_call){.act = call_when_running_at_once, .arg = &inner[i]};
  OK(udpr_reactor_start(reactor));
  call_when_running_logged(reactor, &calls[0]); /* one call between turns, one inside the other */
  CHECK_EQ(1, calls[0].called);
  call_later_logged(reactor, 0, &calls[1]);
  run_turns(reactor, 2);
  CHECK_EQ(1, calls[1].called);
  add_logged_trigger(reactor, BEFORE, SHUTDOWN, &calls[2]);
  OK(udpr_reactor_stop(reactor));
  RUN_UNTIL(reactor, !udpr_reactor_is_running(reactor));
  CHECK_EQ(1, calls[2].called);
  OK(udpr_reactor_free(reactor));
  CHECK_ALL_FREED(calls);
  CHECK_ALL_FREED(inner);
}

static void call_when_running_before_end_of_startup(udpr_reactor *reactor, logged_call *self) {
  logged_call *inner = self->arg;
  CHECK(!udpr_reactor_is_running(reactor));
  call_when_running_logged(reactor, inner);
  CHECK_EQ(0, inner->called);
}

TEST(call_when_running_in_a_before_startup_trigger) {
  udpr_reactor *reactor = new_reactor(0);
  logged_call   inner = {0}, before = {.act = call_when_running_before_end_of_startup, .arg = &inner};
  add_logged_trigger(reactor, BEFORE, STARTUP, &before);
  OK(udpr_reactor_start(reactor));
  CHECK_EQ(1, inner.called);
  OK(udpr_reactor_free(reactor));
  CHECK(before.freed == 1 && inner.freed == 1);
}

TEST(a_refused_call_when_running_frees_its_user) {
  udpr_reactor *reactor = new_reactor(0);
  logged_call   user = {0};
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT,
               udpr_reactor_call_when_running(reactor, NULL, &user, count_free, NULL));
  CHECK_EQ(1, user.freed);
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT,
               udpr_reactor_call_when_running(NULL, logged_call_run, &user, count_free, NULL));
  CHECK_EQ(2, user.freed);
  OK(udpr_reactor_free(reactor));
}

CHECK_MAIN()
