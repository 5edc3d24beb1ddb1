/* A remote stops its reactor, and stays valid after the reactor was freed. */
#include "event_log.h"

#include <sched.h>

static udpr_remote *remote_of(udpr_reactor *reactor) {
  udpr_remote *remote = NULL;
  OK(udpr_reactor_remote(reactor, &remote));
  CHECK(remote != NULL);
  return remote;
}

/* ---- stop ---------------------------------------------------------------------------------------------- */

static void stop_remotely(void *remote) { OK(udpr_remote_stop(remote)); }
static void check_not_running(void *remote) { CHECK_STATUS(UDPR_E_NOT_RUNNING, udpr_remote_stop(remote)); }

TEST(a_remote_stops_run) {
  udpr_reactor *reactor = new_reactor(0);
  udpr_remote  *remote = remote_of(reactor);
  for (int again = 0; again < 3; again++) {
    reactor_thread there;
    logged_call    down = {0};
    check_not_running(remote);
    add_logged_trigger(reactor, DURING, SHUTDOWN, &down);
    reactor_thread_start(&there, reactor);
    stop_remotely(remote);
    reactor_thread_join(&there); /* and its port has stopped */
    CHECK_EQ(1, down.called);
    udpr_reactor_remove_trigger(reactor, down.id);
    CHECK_EQ(1, down.freed);
    run_in_thread(check_not_running, remote);
  }
  udpr_remote_release(remote);
  OK(udpr_reactor_free(reactor));
}

TEST(a_remote_stops_an_embedded_reactor) {
  udpr_reactor *reactor = new_reactor(0);
  udpr_remote  *remote = remote_of(reactor);
  probe         port = {0};
  OK(udpr_reactor_start(reactor));
  probe_listen(&port, reactor);
  run_in_thread(stop_remotely, remote);
  CHECK(udpr_reactor_is_running(reactor) && port.stops == 0);
  RUN_UNTIL(reactor, !udpr_reactor_is_running(reactor));
  probe_check_ended(&port);
  check_not_running(remote);
  udpr_remote_release(remote);
  OK(udpr_reactor_free(reactor));
}

static void stop_twice(udpr_reactor *reactor, void *remote) {
  OK(udpr_remote_stop(remote));
  OK(udpr_reactor_stop(reactor));
  /* it is stopping already; any status is right, but it must have no effect later */
  udpr_remote_stop(remote);
}

/* A stop that is too late for one run must not end the next. */
TEST(a_late_stop_does_not_stop_the_next_run) {
  udpr_reactor *reactor = new_reactor(0);
  udpr_remote  *remote = remote_of(reactor);
  int           turns = 0;
  OK(udpr_reactor_call_later(reactor, 0, stop_twice, remote, NULL, NULL));
  run_with_timeout(reactor);
  check_not_running(remote);
  OK(udpr_reactor_start(reactor));
  for (; turns < 10; turns++) OK(udpr_reactor_iterate(reactor, 0));
  CHECK(udpr_reactor_is_running(reactor));
  udpr_remote_release(remote);
  OK(udpr_reactor_free(reactor));
}

static void call_and_stop(void *arg) {
  logged_call *last = arg;
  OK(udpr_remote_call(last->arg, logged_call_run, last, count_free));
  OK(udpr_remote_stop(last->arg));
}

TEST(a_call_before_stop_is_made) {
  udpr_reactor  *reactor = new_reactor(0);
  udpr_remote   *remote = remote_of(reactor);
  reactor_thread there;
  logged_call    last = {.arg = remote};
  reactor_thread_start(&there, reactor);
  run_in_thread(call_and_stop, &last);
  reactor_thread_join(&there);
  CHECK(last.called == 1 && last.freed == 1);
  udpr_remote_release(remote);
  OK(udpr_reactor_free(reactor));
}

static void stop_and_crash(udpr_reactor *reactor, void *remote) {
  OK(udpr_remote_stop(remote));
  OK(udpr_reactor_crash(reactor));
}

/* Nor may a stop requested in a run that a crash has ended. */
TEST(a_stop_before_a_crash_does_not_stop_the_next_run) {
  udpr_reactor *reactor = new_reactor(0);
  udpr_remote  *remote = remote_of(reactor);
  logged_call   still_running = {.act = act_stop};
  OK(udpr_reactor_call_later(reactor, 0, stop_and_crash, remote, NULL, NULL));
  run_with_timeout(reactor);
  /* Made after several turns, in which the late stop could be handled. */
  call_later_logged(reactor, MS(20), &still_running);
  run_with_timeout(reactor);
  CHECK_EQ(1, still_running.called);
  udpr_remote_release(remote);
  OK(udpr_reactor_free(reactor));
}

static void crash_and_start(udpr_reactor *reactor, logged_call *self) {
  (void)self;
  OK(udpr_reactor_crash(reactor));
  OK(udpr_reactor_start(reactor));
}

/* Nor may a stop that is handled in the turn of the crash. */
TEST(a_stop_does_not_stop_a_run_started_by_the_call_before_it) {
  udpr_reactor *reactor = new_reactor(0);
  udpr_remote  *remote = remote_of(reactor);
  logged_call   again = {.act = crash_and_start};
  OK(udpr_reactor_start(reactor));
  OK(udpr_remote_call(remote, logged_call_run, &again, count_free));
  OK(udpr_remote_stop(remote));
  OK(udpr_reactor_iterate(reactor, 0));
  CHECK_EQ(1, again.called);
  CHECK(udpr_reactor_is_running(reactor));
  OK(udpr_reactor_stop(reactor)); /* it is still running */
  OK(udpr_reactor_iterate(reactor, 0));
  udpr_remote_release(remote);
  OK(udpr_reactor_free(reactor));
}

static void start_again(udpr_reactor *reactor, logged_call *self) {
  (void)self;
  OK(udpr_reactor_start(reactor));
}

/* Nor may a stop whose run has ended before the turn. */
TEST(a_stop_does_not_stop_a_run_started_by_the_call_after_it) {
  udpr_reactor *reactor = new_reactor(0);
  udpr_remote  *remote = remote_of(reactor);
  logged_call   again = {.act = start_again};
  OK(udpr_reactor_start(reactor));
  OK(udpr_remote_stop(remote));
  OK(udpr_reactor_crash(reactor));
  OK(udpr_remote_call(remote, logged_call_run, &again, count_free));
  OK(udpr_reactor_iterate(reactor, 0));
  CHECK_EQ(1, again.called);
  CHECK(udpr_reactor_is_running(reactor));
  OK(udpr_reactor_stop(reactor));
  OK(udpr_reactor_iterate(reactor, 0));
  udpr_remote_release(remote);
  OK(udpr_reactor_free(reactor));
}

static void act_stop_remotely(udpr_reactor *reactor, logged_call *self) {
  (void)reactor;
  stop_remotely(self->arg);
}

TEST(a_remote_stops_a_pending_startup) {
  udpr_reactor *reactor = new_reactor(0);
  udpr_remote  *remote = remote_of(reactor);
  logged_call   before = {.status = UDPR_PENDING}, down = {0};
  logged_call   call = {.act = act_stop_remotely, .arg = remote};
  add_logged_trigger(reactor, BEFORE, STARTUP, &before);
  add_logged_trigger(reactor, DURING, SHUTDOWN, &down);
  call_later_logged(reactor, 0, &call);
  run_with_timeout(reactor);
  CHECK(before.called == 1 && down.called == 1);
  check_not_running(remote);
  udpr_remote_release(remote);
  OK(udpr_reactor_free(reactor));
}

static void act_call_and_stop(udpr_reactor *reactor, logged_call *self) {
  (void)reactor;
  call_and_stop(self->arg);
}

/* A call made in a call waits for the next turn. A stop after it does so, too. */
TEST(a_stop_stays_behind_a_call_made_in_a_call) {
  udpr_reactor *reactor = new_reactor(0);
  udpr_remote  *remote = remote_of(reactor);
  logged_call   last = {.arg = remote}, first = {.act = act_call_and_stop, .arg = &last};
  OK(udpr_remote_call(remote, logged_call_run, &first, count_free));
  run_with_timeout(reactor);
  CHECK(first.called == 1 && last.called == 1 && last.freed == 1);
  udpr_remote_release(remote);
  OK(udpr_reactor_free(reactor));
}

/* ---- after the reactor was freed ----------------------------------------------------------------------- */

static void check_everything_is_closed(void *remote) {
  logged_call user = {0};
  CHECK_STATUS(UDPR_E_CLOSED, udpr_remote_call(remote, logged_call_run, &user, count_free));
  CHECK(user.called == 0 && user.freed == 1); /* before the failed call returned */
  CHECK_STATUS(UDPR_E_CLOSED, udpr_remote_call(remote, logged_call_run, &user, NULL));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_remote_stop(remote));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_remote_wake(remote));
}

static void last_release(void *remote) { udpr_remote_release(remote); }

TEST(a_remote_is_closed_on_any_thread_after_free) {
  udpr_reactor *reactor = new_reactor(0);
  udpr_remote  *remote = remote_of(reactor);
  run_turns(reactor, 1);
  OK(udpr_reactor_free(reactor));
  check_everything_is_closed(remote);
  run_in_thread(check_everything_is_closed, remote);
  run_in_thread(last_release, remote);
}

static void check_closed_in_free_user(void *user) {
  logged_call *pending = user, other = {0};
  pending->freed++;
  CHECK_STATUS(UDPR_E_CLOSED, udpr_remote_call(pending->arg, logged_call_run, &other, count_free));
  CHECK(other.called == 0 && other.freed == 1);
}

TEST(a_remote_is_closed_while_free_runs) {
  udpr_reactor *reactor = new_reactor(0);
  udpr_remote  *remote = remote_of(reactor);
  logged_call   pending = {.arg = remote};
  OK(udpr_remote_call(remote, logged_call_run, &pending, check_closed_in_free_user));
  OK(udpr_reactor_free(reactor));
  CHECK(pending.called == 0 && pending.freed == 1);
  udpr_remote_release(remote);
}

static atomic_int users_passed, users_freed;

static void count_user_free(void *user) {
  (void)user;
  atomic_fetch_add(&users_freed, 1);
}

static void call_until_closed(void *remote) {
  for (udpr_status status = UDPR_OK; status == UDPR_OK;) {
    atomic_fetch_add(&users_passed, 1);
    /* the call would crash if it were made */
    status = udpr_remote_call(remote, check_timed_out, NULL, count_user_free);
    if (status != UDPR_OK) CHECK_STATUS(UDPR_E_CLOSED, status);
  }
  udpr_remote_release(remote);
}

TEST(free_while_other_threads_call) {
  enum { COUNT = 4 };
  udpr_reactor *reactor = new_reactor(0);
  udpr_remote  *remote = remote_of(reactor);
  check_thread  threads[COUNT];
  for (int i = 0; i < COUNT; i++) thread_start(&threads[i], call_until_closed, udpr_remote_retain(remote));
  while (atomic_load(&users_passed) < 1000) sched_yield();
  OK(udpr_reactor_free(reactor));
  for (int i = 0; i < COUNT; i++) thread_join(&threads[i]);
  CHECK_EQ(users_passed, users_freed);
  udpr_remote_release(remote);
}

/* ---- references ---------------------------------------------------------------------------------------- */

static void retain_and_release(void *remote) {
  for (int i = 0; i < 20000; i++) udpr_remote_release(udpr_remote_retain(remote));
  OK(udpr_remote_wake(remote));
  udpr_remote_release(remote); /* the reference that it was given */
}

TEST(retain_and_release_from_many_threads) {
  enum { COUNT = 4 };
  udpr_reactor *reactor = new_reactor(0);
  udpr_remote  *remote = remote_of(reactor);
  check_thread  threads[COUNT];
  for (int i = 0; i < COUNT; i++) thread_start(&threads[i], retain_and_release, udpr_remote_retain(remote));
  udpr_remote_release(remote);
  for (int i = 0; i < COUNT; i++) thread_join(&threads[i]);
  run_turns(reactor, 2);
  OK(udpr_reactor_free(reactor));
}

/* The calls belong to the reactor, which makes them without the remote. */
TEST(a_call_outlives_its_remote) {
  udpr_reactor *reactor = new_reactor(0);
  udpr_remote  *remote = remote_of(reactor);
  logged_call   user = {0};
  OK(udpr_remote_call(remote, logged_call_run, &user, count_free));
  udpr_remote_release(remote);
  RUN_UNTIL(reactor, user.called);
  CHECK_EQ(1, user.freed);
  OK(udpr_reactor_free(reactor));
}

static void release_remote(void *remote) { udpr_remote_release(remote); }
static void free_reactor(void *reactor) { OK(udpr_reactor_free(reactor)); }

static void ignore_call(udpr_reactor *reactor, void *user) { (void)reactor, (void)user; }

/* The memory of the handle may only be used until free_user is called. */
TEST(free_user_of_a_refused_call_may_free_its_handle) {
  udpr_reactor *reactor = new_reactor(0);
  udpr_remote  *remote, *last;
  OK(udpr_reactor_remote(reactor, &remote));
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_reactor_call_from_thread(reactor, NULL, reactor, free_reactor));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_remote_call(remote, ignore_call, remote, release_remote));
  reactor = new_reactor(0);
  OK(udpr_reactor_remote(reactor, &last));
  OK(udpr_reactor_free(reactor));
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_remote_call(last, NULL, last, release_remote));
}

TEST(null_arguments) {
  udpr_reactor *reactor = new_reactor(0);
  udpr_remote  *remote = remote_of(reactor), *out = NULL;
  logged_call   user = {0};
  CHECK(udpr_remote_retain(NULL) == NULL);
  udpr_remote_release(NULL);
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_reactor_remote(NULL, &out));
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_reactor_remote(reactor, NULL));
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_remote_call(NULL, logged_call_run, &user, count_free));
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_remote_call(remote, NULL, &user, count_free));
  CHECK_EQ(2, user.freed);
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_remote_stop(NULL));
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_remote_wake(NULL));
  CHECK(out == NULL);
  udpr_remote_release(remote);
  OK(udpr_reactor_free(reactor));
}

CHECK_MAIN()
