/* Only one thread at a time can use a reactor: the thread that runs it, or one that calls a function between
 * turns.
 */
#include "every_call.h"
#include "probe.h"

/* ---- allowed: one thread after the other --------------------------------------------------------------- */

static void make_reactor(void *reactor) { *(udpr_reactor **)reactor = new_reactor(0); }
static void run_reactor(void *reactor) { run_with_timeout(reactor); }
static void free_reactor(void *reactor) { OK(udpr_reactor_free(reactor)); }

TEST(made_run_and_freed_on_different_threads) {
  udpr_reactor *reactor;
  probe         port = {.on_datagram = crash_reactor};
  run_in_thread(make_reactor, &reactor);
  probe_listen(&port, reactor);
  send_letters(&port.host, "a");
  run_in_thread(run_reactor, reactor);
  CHECK_STR("a", port.received);
  run_in_thread(free_reactor, reactor);
  probe_check_ended(&port);
}

static void run_one_turn(void *reactor) { OK(udpr_reactor_iterate(reactor, 0)); }

static void use_everything(handles *with) {
  OK(udpr_reactor_set_user(with->reactor, with));
  CHECK(udpr_reactor_user(with->reactor) == with);
  OK(udpr_reactor_call_later(with->reactor, SECONDS(100), call_must_not_run, with, count_freed, &with->call));
  OK(udpr_reactor_reset_call(with->reactor, with->call, SECONDS(200)));
  OK(udpr_reactor_cancel_call(with->reactor, with->call));
  OK(udpr_transport_write(with->transport, "w", 1, &with->to));
  CHECK(udpr_transport_fileno(with->transport) >= 0);
  CHECK(udpr_transport_reactor(with->transport) == with->reactor);
  OK(udpr_transport_pause_reading(with->transport));
  OK(udpr_transport_resume_reading(with->transport));
}

static void use_everything_in_thread(void *with) { use_everything(with); }

TEST(between_turns_any_thread_may_call) {
  udpr_reactor *reactor = new_reactor(0);
  probe         port = {0};
  OK(udpr_reactor_start(reactor));
  probe_listen(&port, reactor);
  handles with = {.reactor = reactor, .transport = port.transport, .to = port.host};
  for (int i = 0; i < 3; i++) {
    run_in_thread(run_one_turn, reactor);
    run_in_thread(use_everything_in_thread, &with);
    OK(udpr_reactor_iterate(reactor, 0));
    use_everything(&with);
  }
  CHECK_EQ(6, atomic_load(&with.freed));
  RUN_UNTIL(reactor, strlen(port.received) == 6);
  CHECK_STR("wwwwww", port.received);
  OK(udpr_reactor_free(reactor));
  probe_check_ended(&port);
}

/* ---- UDPR_E_WRONG_THREAD: while another thread is inside ----------------------------------------------- */

static void check_wrong_thread(void *arg) {
  handles *with = arg;
  check_reactor_calls_return(UDPR_E_WRONG_THREAD, with);
  CHECK_STATUS(UDPR_E_WRONG_THREAD, udpr_reactor_free(with->reactor));
  check_transport_calls_return(UDPR_E_WRONG_THREAD, with);
}

/* A port, a pending call and a user, which refused calls must not change. */
static handles set_up_handles(udpr_reactor *reactor, probe *port) {
  handles with = {.reactor = reactor};
  probe_listen(port, reactor);
  with.transport = port->transport;
  with.to = port->host;
  OK(udpr_reactor_set_user(reactor, port));
  OK(udpr_reactor_call_later(reactor, SECONDS(100), call_must_not_run, NULL, NULL, &with.call));
  return with;
}

static void check_unchanged(handles *with, probe *port) {
  CHECK(udpr_reactor_user(with->reactor) == port);
  CHECK_EQ(0, port->stops + port->freed);
  CHECK_STR("", port->received);
  CHECK_EQ(0, stats_of(with->transport).datagrams_out);
  OK(udpr_reactor_cancel_call(with->reactor, with->call));
}

static void check_from_another_thread(udpr_reactor *reactor, void *with) {
  run_in_thread(check_wrong_thread, with);
  OK(udpr_reactor_crash(reactor));
}

TEST(wrong_thread_while_a_callback_runs) {
  udpr_reactor *reactor = new_reactor(0);
  probe         port = {0};
  handles       with = set_up_handles(reactor, &port);
  OK(udpr_reactor_call_later(reactor, 0, check_from_another_thread, &with, NULL, NULL));
  run_with_timeout(reactor);
  check_unchanged(&with, &port);
  OK(udpr_reactor_free(reactor));
  probe_check_ended(&port);
}

TEST(wrong_thread_while_run_waits) {
  udpr_reactor  *reactor = new_reactor(0);
  probe          port = {0};
  handles        with = set_up_handles(reactor, &port);
  reactor_thread there;
  reactor_thread_start(&there, reactor);
  check_wrong_thread(&with);
  CHECK_EQ(0, port.stops + port.freed);
  reactor_thread_stop(&there);
  CHECK_STR("", port.received);
  probe_check_ended(&port);
  CHECK(udpr_reactor_user(reactor) == &port);
  OK(udpr_reactor_free(reactor));
}

static void check_inside_a_call(probe *port, udpr_transport *transport) {
  (void)transport;
  run_in_thread(check_wrong_thread, port->arg);
}

/* Outside of run, a call holds the reactor until it returns, including its callbacks. */
TEST(wrong_thread_while_a_call_lasts) {
  udpr_reactor *reactor = new_reactor(0);
  probe         port = {0}, second = {.on_start = check_inside_a_call, .on_stop = check_inside_a_call};
  handles       with = set_up_handles(reactor, &port);
  second.arg = &with;
  probe_listen(&second, reactor);
  OK(udpr_transport_close(second.transport));
  probe_check_ended(&second);
  check_unchanged(&with, &port);
  OK(udpr_reactor_free(reactor));
  probe_check_ended(&port);
}

/* ---- UDPR_REACTOR_PINNED: between turns, too ----------------------------------------------------------- */

static void check_iterate_wrong_thread(void *reactor) {
  CHECK_STATUS(UDPR_E_WRONG_THREAD, udpr_reactor_iterate(reactor, 0));
}

typedef struct pinned_fixture {
  handles with;
  probe   port;
  sem_t   turned, finish;
} pinned_fixture;

static void pin_and_free(void *arg) {
  pinned_fixture *all = arg;
  OK(udpr_reactor_iterate(all->with.reactor, 0));
  CHECK_EQ(0, sem_post(&all->turned));
  CHECK_EQ(0, sem_wait(&all->finish));
  check_unchanged(&all->with, &all->port);
  OK(udpr_reactor_free(all->with.reactor));
}

TEST(the_first_turn_pins_the_reactor) {
  pinned_fixture all = {.port = {0}};
  check_thread   thread;
  udpr_reactor  *reactor = new_reactor(UDPR_REACTOR_PINNED);
  CHECK_EQ(0, sem_init(&all.turned, 0, 0));
  CHECK_EQ(0, sem_init(&all.finish, 0, 0));
  all.with = set_up_handles(reactor, &all.port); /* not pinned yet */
  thread_start(&thread, pin_and_free, &all);
  CHECK_EQ(0, sem_wait(&all.turned));

  check_wrong_thread(&all.with);
  CHECK(udpr_reactor_now(reactor) > 0);
  CHECK(!udpr_reactor_is_running(reactor));

  CHECK_EQ(0, sem_post(&all.finish));
  thread_join(&thread);
  probe_check_ended(&all.port);
}

static void iterate_once(void *reactor) { OK(udpr_reactor_iterate(reactor, 0)); }

static void iterate_and_wait(void *arg) {
  pinned_fixture *all = arg;
  iterate_once(all->with.reactor);
  CHECK_EQ(0, sem_post(&all->turned));
  CHECK_EQ(0, sem_wait(&all->finish));
}

/* When the thread has ended, the reactor is unpinned, and the next thread that runs it is pinned. That must
 * also work if the new thread has the id of the old one: glibc reuses the stack of the thread that ended
 * last.
 */
TEST(the_end_of_the_thread_unpins_its_reactor) {
  pinned_fixture all = {.port = {0}};
  check_thread   thread;
  udpr_reactor  *reactor = new_reactor(UDPR_REACTOR_PINNED);
  CHECK_EQ(0, sem_init(&all.turned, 0, 0));
  CHECK_EQ(0, sem_init(&all.finish, 0, 0));
  all.with = set_up_handles(reactor, &all.port);
  for (int round = 0; round < 3; round++) {
    run_in_thread(iterate_once, reactor);
    CHECK(udpr_reactor_user(reactor) == &all.port);
    thread_start(&thread, iterate_and_wait, &all);
    CHECK_EQ(0, sem_wait(&all.turned));
    check_wrong_thread(&all.with);
    CHECK_EQ(0, sem_post(&all.finish));
    thread_join(&thread);
  }
  check_unchanged(&all.with, &all.port);
  OK(udpr_reactor_free(reactor));
  probe_check_ended(&all.port);
}

/* Also for several reactors, some of which are freed before the thread ends. */
static void iterate_all(void *arg) {
  udpr_reactor **reactors = arg;
  for (int i = 0; i < 4; i++) iterate_once(reactors[i]);
  for (int i = 0; i < 4; i++) iterate_once(reactors[i]);
  OK(udpr_reactor_free(reactors[1]));
}

TEST(the_end_of_a_thread_unpins_all_its_reactors) {
  udpr_reactor *reactors[4];
  for (int i = 0; i < 4; i++) reactors[i] = new_reactor(UDPR_REACTOR_PINNED);
  run_in_thread(iterate_all, reactors);
  OK(udpr_reactor_free(reactors[0]));
  iterate_once(reactors[2]);
  run_in_thread(check_iterate_wrong_thread, reactors[2]);
  OK(udpr_reactor_free(reactors[2]));
  OK(udpr_reactor_free(reactors[3]));
}

static void iterate_and_free(void *reactor) {
  OK(udpr_reactor_iterate(reactor, 0));
  OK(udpr_reactor_free(reactor));
}

/* Only run and iterate pin. advance does not. */
TEST(advance_does_not_pin) {
  check_thread  thread;
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_PINNED | UDPR_REACTOR_MANUAL_CLOCK);
  OK(udpr_reactor_advance(reactor, 1));
  thread_start(&thread, iterate_and_free, reactor);
  thread_join(&thread);
}

/* ---- functions for any thread -------------------------------------------------------------------------- */

TEST(any_thread_functions_work_while_run_waits) {
  udpr_reactor  *reactor = new_reactor(0);
  reactor_thread there;
  int            peer = peer_open(AF_INET);
  udpr_addr      to = peer_addr(peer);
  reactor_thread_start(&there, reactor);

  udpr_ns now = udpr_reactor_now(reactor);
  CHECK(now > 0 && udpr_reactor_now(reactor) >= now);
  CHECK(udpr_reactor_is_running(reactor));
  CHECK(udpr_transport_retain(there.quit.transport) == there.quit.transport);
  udpr_transport_release(there.quit.transport);
  OK(udpr_transport_post(there.quit.transport, "posted", 6, &to));
  PEER_RECEIVES(peer, "posted");

  reactor_thread_stop(&there);
  close(peer);
  OK(udpr_reactor_free(reactor));
}

typedef struct caller {
  reactor_thread there;
  int            next;
  atomic_int     freed;
} caller;

typedef struct numbered {
  caller *by;
  int     number;
} numbered;

static void check_called_in_order(udpr_reactor *reactor, void *user) {
  numbered *call = user;
  CHECK(reactor == call->by->there.reactor);
  CHECK(pthread_equal(pthread_self(), call->by->there.thread.id));
  CHECK_EQ(call->by->next++, call->number);
}

static void free_numbered(void *user) {
  atomic_fetch_add(&((numbered *)user)->by->freed, 1);
  free(user);
}

TEST(calls_from_another_thread_are_made_in_order) {
  enum { COUNT = 1000 };
  caller        by = {.next = 0};
  udpr_reactor *reactor = new_reactor(0);
  reactor_thread_start(&by.there, reactor);
  for (int i = 0; i < COUNT; i++) {
    numbered *call = malloc(sizeof *call);
    *call = (numbered){.by = &by, .number = i};
    OK(udpr_reactor_call_from_thread(reactor, check_called_in_order, call, free_numbered));
  }
  OK(udpr_reactor_call_from_thread(reactor, stop_call, NULL, NULL));
  reactor_thread_join(&by.there);
  CHECK(by.next == COUNT && by.freed == COUNT);
  OK(udpr_reactor_free(reactor));
}

static void retain_and_release(void *transport) {
  for (int i = 0; i < 20000; i++) udpr_transport_release(udpr_transport_retain(transport));
  udpr_transport_release(transport); /* the reference that it was given */
}

TEST(retain_and_release_from_many_threads) {
  enum { COUNT = 4 };
  check_thread  threads[COUNT];
  udpr_reactor *reactor = new_reactor(0);
  probe         port = {0};
  probe_listen(&port, reactor);
  for (int i = 0; i < COUNT; i++)
    thread_start(&threads[i], retain_and_release, udpr_transport_retain(port.transport));
  send_letters(&port.host, "abc");
  RUN_UNTIL(reactor, strlen(port.received) == 3);
  OK(udpr_reactor_free(reactor));
  for (int i = 0; i < COUNT; i++) thread_join(&threads[i]);
  probe_check_ended(&port);
}

/* ---- transports that outlive their reactor ------------------------------------------------------------- */

static void check_everything_is_closed(void *arg) {
  handles *with = arg;
  check_transport_calls_return(UDPR_E_CLOSED, with);
  CHECK_STATUS(UDPR_E_CLOSED, udpr_transport_post(with->transport, "x", 1, &with->to));
}

static void last_release(void *transport) { udpr_transport_release(transport); }

TEST(a_transport_is_closed_on_any_thread_after_free) {
  udpr_reactor *reactor = new_reactor(0);
  probe         port = {0};
  handles       with = set_up_handles(reactor, &port);
  OK(udpr_reactor_free(reactor));
  CHECK(port.stops == 1 && port.freed == 1);
  check_everything_is_closed(&with);
  run_in_thread(check_everything_is_closed, &with);
  run_in_thread(last_release, port.transport);
  CHECK(port.stops == 1 && port.freed == 1);
}

/* ---- two reactors -------------------------------------------------------------------------------------- */

enum { ROUNDS = 1000 };

typedef struct peer_reactor {
  udpr_reactor *reactor;
  int           rounds, stops;
} peer_reactor;

/* Each side sends the datagram back until it has done all its rounds. */
static void send_back(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  peer_reactor *side = user;
  CHECK_EQ(4, datagram->len);
  OK(udpr_transport_write(transport, datagram->data, datagram->len, &datagram->sender));
  if (++side->rounds == ROUNDS) OK(udpr_reactor_stop(side->reactor));
}

static void peer_reactor_stopped(udpr_transport *transport, udpr_status reason, void *user) {
  (void)transport;
  OK(reason);
  ((peer_reactor *)user)->stops++;
}

static udpr_transport *peer_reactor_listen(peer_reactor *side) {
  udpr_protocol protocol = {.size = sizeof protocol,
                            .user = side,
                            .datagram_received = send_back,
                            .stop_protocol = peer_reactor_stopped};
  side->reactor = new_reactor(0);
  return listen_on(side->reactor, "127.0.0.1", &protocol, NULL);
}

TEST(two_reactors_exchange_datagrams) {
  peer_reactor    sides[2] = {0};
  udpr_transport *ports[2] = {peer_reactor_listen(&sides[0]), peer_reactor_listen(&sides[1])};
  udpr_addr       other = host_of(ports[1]);
  check_thread    thread;
  OK(udpr_transport_write(ports[0], "ball", 4, &other));
  thread_start(&thread, run_reactor, sides[0].reactor);
  run_with_timeout(sides[1].reactor);
  thread_join(&thread);
  for (int i = 0; i < 2; i++) {
    CHECK_EQ(ROUNDS, sides[i].rounds);
    CHECK_EQ(1, sides[i].stops);
    udpr_transport_release(ports[i]);
    OK(udpr_reactor_free(sides[i].reactor));
  }
}

CHECK_MAIN()
