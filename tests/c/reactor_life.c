/* The life of a reactor: new, run, stop, run again, iterate in an embedding program, statistics, free. */
#include "probe.h"

/* ---- new ----------------------------------------------------------------------------------------------- */

TEST(options_are_checked) {
  struct {
    udpr_reactor_options known;
    uint64_t             later; /* a field of a newer header */
  } options = {.known = {.size = sizeof options.known}};
  udpr_reactor *const untouched = (udpr_reactor *)&options;
  udpr_reactor       *reactor = untouched;

  options.known.size = 0;
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_reactor_new(&options.known, &reactor));
  options.known.size = offsetof(udpr_reactor_options, reserved) - 1;
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_reactor_new(&options.known, &reactor));
  options.known.size = 4097;
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_reactor_new(&options.known, &reactor));
  options.known.size = sizeof options;
  options.later = 1;
  CHECK_STATUS(UDPR_E_VERSION, udpr_reactor_new(&options.known, &reactor));
  options.known.size = sizeof options.known;
  options.known.flags = 0x80000000u;
  CHECK_STATUS(UDPR_E_VERSION, udpr_reactor_new(&options.known, &reactor));
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_reactor_new(NULL, NULL));
  CHECK(reactor == untouched);

  options.known.flags = 0;
  /* larger, but with zeros in the fields that the library does not know */
  options.known.size = sizeof options;
  options.later = 0;
  OK(udpr_reactor_new(&options.known, &reactor));
  OK(udpr_reactor_free(reactor));
  OK(udpr_reactor_new(NULL, &reactor));
  OK(udpr_reactor_free(reactor));
  OK(udpr_reactor_free(NULL));
}

TEST(user_is_kept) {
  udpr_reactor *reactor = new_reactor(0);
  int           mine;
  CHECK(udpr_reactor_user(reactor) == NULL);
  OK(udpr_reactor_set_user(reactor, &mine));
  CHECK(udpr_reactor_user(reactor) == &mine);
  OK(udpr_reactor_set_user(reactor, NULL));
  CHECK(udpr_reactor_user(reactor) == NULL);
  OK(udpr_reactor_free(reactor));
}

/* ---- run, stop, crash ---------------------------------------------------------------------------------- */

TEST(stop_stops_the_ports_and_ends_run) {
  udpr_reactor *reactor = new_reactor(0);
  for (int again = 0; again < 3; again++) {
    probe port = {.on_datagram = stop_reactor};
    probe_listen(&port, reactor);
    send_letters(&port.host, "a");
    CHECK(!udpr_reactor_is_running(reactor));
    run_with_timeout(reactor);
    CHECK(!udpr_reactor_is_running(reactor));
    CHECK_STR("a", port.received);
    CHECK_STATUS(UDPR_E_CLOSED, udpr_transport_write(port.transport, "x", 1, &port.host));
    probe_check_ended(&port);
  }
  OK(udpr_reactor_free(reactor));
}

static void check_running_then_stop(udpr_reactor *reactor, void *user) {
  CHECK(udpr_reactor_is_running(reactor));
  CHECK_STATUS(UDPR_E_ALREADY_RUNNING, udpr_reactor_start(reactor));
  CHECK_STATUS(UDPR_E_REENTRANT, udpr_reactor_run(reactor));
  OK(udpr_reactor_stop(reactor));
  CHECK_STATUS(UDPR_E_NOT_RUNNING, udpr_reactor_stop(reactor)); /* it is stopping already */
  ++*(int *)user;
}

TEST(stop_requires_a_running_reactor) {
  udpr_reactor *reactor = new_reactor(0);
  int           calls = 0;
  CHECK_STATUS(UDPR_E_NOT_RUNNING, udpr_reactor_stop(reactor));
  OK(udpr_reactor_call_later(reactor, 0, check_running_then_stop, &calls, NULL, NULL));
  run_with_timeout(reactor); /* the call is made, so the failed stop had no effect */
  CHECK_EQ(1, calls);
  CHECK_STATUS(UDPR_E_NOT_RUNNING, udpr_reactor_stop(reactor));
  OK(udpr_reactor_free(reactor));
}

TEST(crash_leaves_the_ports_open) {
  udpr_reactor *reactor = new_reactor(0);
  probe         port = {.on_datagram = crash_reactor};
  probe_listen(&port, reactor);
  send_letters(&port.host, "a");
  run_with_timeout(reactor);
  CHECK(!udpr_reactor_is_running(reactor));
  CHECK_EQ(0, port.stops);

  send_letters(&port.host, "b"); /* stays in the socket until the next run */
  CHECK_STR("a", port.received);
  port.on_datagram = stop_reactor;
  run_with_timeout(reactor);
  CHECK_STR("ab", port.received);
  probe_check_ended(&port);
  OK(udpr_reactor_free(reactor));
}

static void crash_and_start(udpr_reactor *reactor, void *user) {
  OK(udpr_reactor_crash(reactor));
  OK(udpr_reactor_start(reactor));
  ++*(int *)user;
}

/* If it is started again inside the run, turns continue, but the crashed run returns. */
TEST(run_returns_after_a_crash_even_if_started_again) {
  udpr_reactor *reactor = new_reactor(0);
  int           calls = 0;
  OK(udpr_reactor_call_later(reactor, 0, crash_and_start, &calls, NULL, NULL));
  run_with_timeout(reactor);
  CHECK_EQ(1, calls);
  CHECK(udpr_reactor_is_running(reactor));
  CHECK_STATUS(UDPR_E_ALREADY_RUNNING, udpr_reactor_run(reactor));
  OK(udpr_reactor_stop(reactor));
  OK(udpr_reactor_iterate(reactor, 0));
  CHECK(!udpr_reactor_is_running(reactor));
  OK(udpr_reactor_free(reactor));
}

TEST(run_waits_while_there_is_nothing_to_do) {
  udpr_reactor  *reactor = new_reactor(0);
  reactor_thread there;
  reactor_thread_start(&there, reactor);
  CHECK(udpr_reactor_is_running(reactor)); /* may be called on any thread */
  CHECK_STR("", there.quit.received);
  reactor_thread_stop(&there);
  CHECK_STR("q", there.quit.received); /* it was still running to receive this */
  CHECK(!udpr_reactor_is_running(reactor));
  OK(udpr_reactor_free(reactor));
}

/* ---- start, iterate ------------------------------------------------------------------------------------ */

TEST(start_and_iterate) {
  udpr_reactor *reactor = new_reactor(0);
  for (int again = 0; again < 2; again++) {
    probe port = {0};
    CHECK(!udpr_reactor_is_running(reactor));
    OK(udpr_reactor_start(reactor));
    CHECK(udpr_reactor_is_running(reactor));
    CHECK_STATUS(UDPR_E_ALREADY_RUNNING, udpr_reactor_start(reactor));
    CHECK_STATUS(UDPR_E_ALREADY_RUNNING, udpr_reactor_run(reactor));

    probe_listen(&port, reactor);
    send_letters(&port.host, "abc");
    RUN_UNTIL(reactor, strlen(port.received) == 3);
    CHECK_STR("abc", port.received);

    OK(udpr_reactor_stop(reactor));
    CHECK_EQ(0, port.stops); /* the port stops in a later turn */
    RUN_UNTIL(reactor, !udpr_reactor_is_running(reactor));
    probe_check_ended(&port);
    CHECK_STATUS(UDPR_E_NOT_RUNNING, udpr_reactor_stop(reactor));
  }
  OK(udpr_reactor_free(reactor));
}

static void note_time(udpr_reactor *reactor, void *user) { *(udpr_ns *)user = udpr_reactor_now(reactor); }

TEST(iterate_waits_for_its_timeout) {
  udpr_reactor *reactor = new_reactor(0);
  udpr_ns       called = 0, begin = udpr_reactor_now(reactor);
  OK(udpr_reactor_start(reactor));
  OK(udpr_reactor_call_later(reactor, CHECK_TIMEOUT, note_time, &called, NULL, NULL));

  OK(udpr_reactor_iterate(reactor, 0));
  OK(udpr_reactor_iterate(reactor, (int64_t)MS(20))); /* with nothing to do */
  udpr_ns elapsed = udpr_reactor_now(reactor) - begin;
  CHECK(elapsed >= MS(20) && elapsed < CHECK_TIMEOUT);
  CHECK_EQ(0, called);
  OK(udpr_reactor_free(reactor));
}

TEST(iterate_never_waits_past_a_delayed_call) {
  udpr_reactor *reactor = new_reactor(0);
  int64_t       timeouts[] = {-1, (int64_t)CHECK_TIMEOUT, INT64_MAX};
  OK(udpr_reactor_start(reactor));
  for (size_t i = 0; i < sizeof timeouts / sizeof *timeouts; i++) {
    udpr_ns called = 0, begin = udpr_reactor_now(reactor);
    int     turns = 0;
    OK(udpr_reactor_call_later(reactor, MS(20), note_time, &called, NULL, NULL));
    for (; !called; turns++) OK(udpr_reactor_iterate(reactor, timeouts[i]));
    CHECK(called - begin >= MS(20) && called - begin < CHECK_TIMEOUT);
    CHECK(turns <= 2); /* it waits instead of spinning */
  }
  OK(udpr_reactor_free(reactor));
}

TEST(iterate_wakes_for_a_datagram) {
  udpr_reactor *reactor = new_reactor(0);
  probe         port = {0};
  OK(udpr_reactor_start(reactor));
  probe_listen(&port, reactor);
  send_letters(&port.host, "a");
  while (!*port.received) OK(udpr_reactor_iterate(reactor, -1));
  CHECK_STR("a", port.received);
  OK(udpr_reactor_free(reactor));
  probe_check_ended(&port);
}

/* ---- each_transport, stats ----------------------------------------------------------------------------- */

typedef struct visits {
  udpr_transport *visited[8];
  int             count;
} visits;

static void visit(udpr_transport *transport, void *user) {
  visits *all = user;
  for (int i = 0; i < all->count; i++) CHECK(all->visited[i] != transport);
  CHECK(all->count < 8);
  all->visited[all->count++] = transport;
}

static int count_visits(udpr_reactor *reactor) {
  visits all = {.count = 0};
  OK(udpr_reactor_each_transport(reactor, visit, &all));
  return all.count;
}

TEST(each_transport_visits_ports_that_have_not_stopped) {
  udpr_reactor *reactor = new_reactor(0);
  probe         ports[3] = {0};
  CHECK_EQ(0, count_visits(reactor));
  for (int i = 0; i < 3; i++) probe_listen(&ports[i], reactor);
  CHECK_EQ(3, count_visits(reactor));
  OK(udpr_transport_close(ports[0].transport));
  CHECK_EQ(2, count_visits(reactor));
  OK(udpr_transport_stop_listening(ports[1].transport));
  CHECK_EQ(2, count_visits(reactor)); /* its stop_protocol has not been called yet */
  RUN_UNTIL(reactor, ports[1].stops == 1);
  CHECK_EQ(1, count_visits(reactor));
  OK(udpr_reactor_free(reactor));
  for (int i = 0; i < 3; i++) probe_check_ended(&ports[i]);
}

/* Closes every port but the one visited, and opens a new one. */
static void close_others_and_listen(udpr_transport *transport, void *user) {
  probe        *ports = user;
  udpr_reactor *reactor = udpr_transport_reactor(transport);
  if (!reactor) return; /* closed by the previous visit */
  for (int i = 0; i < 3; i++)
    if (ports[i].transport != transport) OK(udpr_transport_close(ports[i].transport));
  probe_listen(&ports[3], reactor);
}

TEST(each_transport_is_a_snapshot) {
  udpr_reactor *reactor = new_reactor(0);
  probe         ports[4] = {0};
  for (int i = 0; i < 3; i++) probe_listen(&ports[i], reactor);
  OK(udpr_reactor_each_transport(reactor, close_others_and_listen, ports));
  CHECK_EQ(2, ports[0].stops + ports[1].stops + ports[2].stops);
  CHECK_EQ(2, ports[0].freed + ports[1].freed + ports[2].freed);
  CHECK_EQ(2, count_visits(reactor));
  OK(udpr_reactor_free(reactor));
  for (int i = 0; i < 4; i++) probe_check_ended(&ports[i]);
}

static udpr_reactor_stats reactor_stats(udpr_reactor *reactor) {
  udpr_reactor_stats stats = {.size = sizeof stats};
  OK(udpr_reactor_get_stats(reactor, &stats));
  return stats;
}

TEST(stats_are_counted) {
  udpr_reactor *reactor = new_reactor(0);
  probe         port = {0};
  udpr_ns       called = 0;
  probe_listen(&port, reactor);
  OK(udpr_reactor_call_later(reactor, 0, note_time, &called, NULL, NULL));
  OK(udpr_reactor_call_later(reactor, SECONDS(100), note_time, &called, NULL, NULL));
  udpr_reactor_stats before = reactor_stats(reactor);
  CHECK_EQ(1, before.transports);
  CHECK_EQ(2, before.timers_pending);
  CHECK_EQ(0, before.timers_fired);

  run_turns(reactor, 3);
  udpr_reactor_stats after = reactor_stats(reactor);
  CHECK_EQ(before.iterations + 3, after.iterations);
  CHECK_EQ(1, after.timers_pending);
  CHECK_EQ(1, after.timers_fired);
  CHECK_EQ(0, after.calls_from_thread);

  OK(udpr_transport_close(port.transport));
  CHECK_EQ(0, reactor_stats(reactor).transports);
  probe_check_ended(&port);
  OK(udpr_reactor_free(reactor));
}

TEST(stats_are_filled_up_to_the_callers_size) {
  udpr_reactor *reactor = new_reactor(0);
  struct {
    udpr_reactor_stats known;
    uint64_t           later;
  } stats = {.known = {.size = sizeof stats}, .later = 7};
  OK(udpr_reactor_get_stats(reactor, &stats.known));
  CHECK_EQ(0, stats.later);
  stats.known.size = sizeof stats.known - 1;
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_reactor_get_stats(reactor, &stats.known));
  stats.known.size = 4097;
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_reactor_get_stats(reactor, &stats.known));
  OK(udpr_reactor_free(reactor));
}

/* ---- many reactors ------------------------------------------------------------------------------------- */

TEST(many_reactors_in_one_thread) {
  enum { COUNT = 64 };
  udpr_reactor *reactors[COUNT];
  probe         ports[COUNT] = {0};
  for (int i = 0; i < COUNT; i++) {
    reactors[i] = new_reactor(0);
    probe_listen(&ports[i], reactors[i]);
  }
  for (int i = 0; i < COUNT; i++) send_letters(&ports[i].host, i % 2 ? "a" : "bc");
  for (int i = 0; i < COUNT; i++) RUN_UNTIL(reactors[i], strlen(ports[i].received) == (i % 2 ? 1 : 2));
  for (int i = 0; i < COUNT; i++) {
    CHECK_STR(i % 2 ? "a" : "bc", ports[i].received);
    OK(udpr_reactor_free(reactors[i]));
    probe_check_ended(&ports[i]);
  }
}

static void use_own_reactor(void *arg) {
  udpr_reactor *reactor = new_reactor(0);
  probe         port = {.on_datagram = stop_reactor};
  (void)arg;
  probe_listen(&port, reactor);
  OK(udpr_transport_write(port.transport, "x", 1, &port.host)); /* sent to itself */
  run_with_timeout(reactor);
  CHECK_STR("x", port.received);
  probe_check_ended(&port);
  OK(udpr_reactor_free(reactor));
}

TEST(a_reactor_in_each_thread) {
  check_thread threads[24];
  for (int i = 0; i < 24; i++) thread_start(&threads[i], use_own_reactor, NULL);
  for (int i = 0; i < 24; i++) thread_join(&threads[i]);
}

CHECK_MAIN()
