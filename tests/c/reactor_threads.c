/* One thread at a time uses a reactor: whoever runs it, or else whoever calls. */
#include "every_call.h"
#include "probe.h"

/* ---- fine: one after the other ------------------------------------------------------------------------- */

static void make(void *reactor) { *(udpr_reactor **)reactor = new_reactor(0); }
static void run_it(void *reactor) { run_with_timeout(reactor); }
static void free_it(void *reactor) { OK(udpr_reactor_free(reactor)); }

TEST(made_here_run_there_freed_elsewhere) {
  udpr_reactor *reactor;
  probe         port = {.on_datagram = crash_reactor};
  run_in_thread(make, &reactor);
  probe_listen(&port, reactor);
  send_letters(&port.host, "a");
  run_in_thread(run_it, reactor);
  CHECK_STR("a", port.received);
  run_in_thread(free_it, reactor);
  probe_check_ended(&port);
}

static void one_turn(void *reactor) { OK(udpr_reactor_iterate(reactor, 0)); }

static void use_all(handles *with) {
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

static void use_all_there(void *with) { use_all(with); }

TEST(between_turns_any_thread_may_call) {
  udpr_reactor *reactor = new_reactor(0);
  probe         port = {0};
  OK(udpr_reactor_start(reactor));
  probe_listen(&port, reactor);
  handles with = {.reactor = reactor, .transport = port.transport, .to = port.host};
  for (int i = 0; i < 3; i++) {
    run_in_thread(one_turn, reactor);
    run_in_thread(use_all_there, &with);
    OK(udpr_reactor_iterate(reactor, 0));
    use_all(&with);
  }
  CHECK_EQ(6, atomic_load(&with.freed));
  RUN_UNTIL(reactor, strlen(port.received) == 6);
  CHECK_STR("wwwwww", port.received);
  OK(udpr_reactor_free(reactor));
  probe_check_ended(&port);
}

/* ---- WRONG_THREAD: while another thread is inside ------------------------------------------------------ */

static void all_is_wrong(void *arg) {
  handles *with = arg;
  check_reactor_calls_return(UDPR_E_WRONG_THREAD, with);
  CHECK_STATUS(UDPR_E_WRONG_THREAD, udpr_reactor_free(with->reactor));
  check_transport_calls_return(UDPR_E_WRONG_THREAD, with);
}

/* A port, a pending call and a user, that refused calls must leave as they are. */
static handles things_of(udpr_reactor *reactor, probe *port) {
  handles with = {.reactor = reactor};
  probe_listen(port, reactor);
  with.transport = port->transport;
  with.to = port->host;
  OK(udpr_reactor_set_user(reactor, port));
  OK(udpr_reactor_call_later(reactor, SECONDS(100), call_must_not_run, NULL, NULL, &with.call));
  return with;
}

static void nothing_happened(handles *with, probe *port) {
  CHECK(udpr_reactor_user(with->reactor) == port);
  CHECK_EQ(0, port->stops + port->freed);
  CHECK_STR("", port->received);
  CHECK_EQ(0, stats_of(with->transport).datagrams_out);
  OK(udpr_reactor_cancel_call(with->reactor, with->call));
}

static void ask_from_another_thread(udpr_reactor *reactor, void *with) {
  run_in_thread(all_is_wrong, with);
  OK(udpr_reactor_crash(reactor));
}

TEST(wrong_thread_while_a_callback_runs) {
  udpr_reactor *reactor = new_reactor(0);
  probe         port = {0};
  handles       with = things_of(reactor, &port);
  OK(udpr_reactor_call_later(reactor, 0, ask_from_another_thread, &with, NULL, NULL));
  run_with_timeout(reactor);
  nothing_happened(&with, &port);
  OK(udpr_reactor_free(reactor));
  probe_check_ended(&port);
}

TEST(wrong_thread_while_run_waits) {
  udpr_reactor  *reactor = new_reactor(0);
  probe          port = {0};
  handles        with = things_of(reactor, &port);
  reactor_thread there;
  reactor_thread_start(&there, reactor);
  all_is_wrong(&with);
  CHECK_EQ(0, port.stops + port.freed);
  reactor_thread_stop(&there);
  CHECK_STR("", port.received);
  probe_check_ended(&port);
  CHECK(udpr_reactor_user(reactor) == &port);
  OK(udpr_reactor_free(reactor));
}

static void ask_inside_a_call(probe *port, udpr_transport *transport) {
  (void)transport;
  run_in_thread(all_is_wrong, port->arg);
}

/* Outside run a call takes the reactor for as long as it lasts, its callbacks included. */
TEST(wrong_thread_while_a_call_lasts) {
  udpr_reactor *reactor = new_reactor(0);
  probe         port = {0}, second = {.on_start = ask_inside_a_call, .on_stop = ask_inside_a_call};
  handles       with = things_of(reactor, &port);
  second.arg = &with;
  probe_listen(&second, reactor);
  OK(udpr_transport_close(second.transport));
  probe_check_ended(&second);
  nothing_happened(&with, &port);
  OK(udpr_reactor_free(reactor));
  probe_check_ended(&port);
}

/* ---- PINNED: between turns too ------------------------------------------------------------------------- */

static void wrong_to_turn(void *reactor) {
  CHECK_STATUS(UDPR_E_WRONG_THREAD, udpr_reactor_iterate(reactor, 0));
}

typedef struct pinned {
  handles with;
  probe   port;
  sem_t   turned, finish;
} pinned;

static void pin_and_free(void *arg) {
  pinned *all = arg;
  OK(udpr_reactor_iterate(all->with.reactor, 0));
  CHECK_EQ(0, sem_post(&all->turned));
  CHECK_EQ(0, sem_wait(&all->finish));
  nothing_happened(&all->with, &all->port);
  OK(udpr_reactor_free(all->with.reactor));
}

TEST(the_first_turn_pins) {
  pinned        all = {.port = {0}};
  check_thread  thread;
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_PINNED);
  CHECK_EQ(0, sem_init(&all.turned, 0, 0));
  CHECK_EQ(0, sem_init(&all.finish, 0, 0));
  all.with = things_of(reactor, &all.port); /* nobody has it yet */
  thread_start(&thread, pin_and_free, &all);
  CHECK_EQ(0, sem_wait(&all.turned));

  all_is_wrong(&all.with);
  CHECK(udpr_reactor_now(reactor) > 0);
  CHECK(!udpr_reactor_is_running(reactor));

  CHECK_EQ(0, sem_post(&all.finish));
  thread_join(&thread);
  probe_check_ended(&all.port);
}

static void turn(void *reactor) { OK(udpr_reactor_iterate(reactor, 0)); }

static void turn_and_wait(void *arg) {
  pinned *all = arg;
  turn(all->with.reactor);
  CHECK_EQ(0, sem_post(&all->turned));
  CHECK_EQ(0, sem_wait(&all->finish));
}

/* The reactor is nobody's again when the thread that had it has ended, and pinned to the next one that runs it, also if that
 * has the number of the first: glibc gives a new thread the stack of the one that ended last. */
TEST(the_end_of_its_thread_unpins) {
  pinned        all = {.port = {0}};
  check_thread  thread;
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_PINNED);
  CHECK_EQ(0, sem_init(&all.turned, 0, 0));
  CHECK_EQ(0, sem_init(&all.finish, 0, 0));
  all.with = things_of(reactor, &all.port);
  for (int round = 0; round < 3; round++) {
    run_in_thread(turn, reactor);
    CHECK(udpr_reactor_user(reactor) == &all.port);
    thread_start(&thread, turn_and_wait, &all);
    CHECK_EQ(0, sem_wait(&all.turned));
    all_is_wrong(&all.with);
    CHECK_EQ(0, sem_post(&all.finish));
    thread_join(&thread);
  }
  nothing_happened(&all.with, &all.port);
  OK(udpr_reactor_free(reactor));
  probe_check_ended(&all.port);
}

/* Also of several reactors, some of which are gone by then. */
static void turn_all(void *arg) {
  udpr_reactor **reactors = arg;
  for (int i = 0; i < 4; i++) turn(reactors[i]);
  for (int i = 0; i < 4; i++) turn(reactors[i]);
  OK(udpr_reactor_free(reactors[1]));
}

TEST(the_end_of_a_thread_unpins_all_that_it_had) {
  udpr_reactor *reactors[4];
  for (int i = 0; i < 4; i++) reactors[i] = new_reactor(UDPR_REACTOR_PINNED);
  run_in_thread(turn_all, reactors);
  OK(udpr_reactor_free(reactors[0]));
  turn(reactors[2]);
  run_in_thread(wrong_to_turn, reactors[2]);
  OK(udpr_reactor_free(reactors[2]));
  OK(udpr_reactor_free(reactors[3]));
}

static void turn_and_free(void *reactor) {
  OK(udpr_reactor_iterate(reactor, 0));
  OK(udpr_reactor_free(reactor));
}

/* Moving a manual clock is no turn: only run and iterate pin. */
TEST(advance_does_not_pin) {
  check_thread  thread;
  udpr_reactor *reactor = new_reactor(UDPR_REACTOR_PINNED | UDPR_REACTOR_MANUAL_CLOCK);
  OK(udpr_reactor_advance(reactor, 1));
  thread_start(&thread, turn_and_free, reactor);
  thread_join(&thread);
}

/* ---- [any thread] -------------------------------------------------------------------------------------- */

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

static void called_in_order(udpr_reactor *reactor, void *user) {
  numbered *call = user;
  CHECK(reactor == call->by->there.reactor);
  CHECK(pthread_equal(pthread_self(), call->by->there.thread.id));
  CHECK_EQ(call->by->next++, call->number);
}

static void free_numbered(void *user) {
  atomic_fetch_add(&((numbered *)user)->by->freed, 1);
  free(user);
}

TEST(calls_from_another_thread_come_in_order) {
  enum { COUNT = 1000 };
  caller        by = {.next = 0};
  udpr_reactor *reactor = new_reactor(0);
  reactor_thread_start(&by.there, reactor);
  for (int i = 0; i < COUNT; i++) {
    numbered *call = malloc(sizeof *call);
    *call = (numbered){.by = &by, .number = i};
    OK(udpr_reactor_call_from_thread(reactor, called_in_order, call, free_numbered));
  }
  OK(udpr_reactor_call_from_thread(reactor, stop_call, NULL, NULL));
  reactor_thread_join(&by.there);
  CHECK(by.next == COUNT && by.freed == COUNT);
  OK(udpr_reactor_free(reactor));
}

static void retain_and_release(void *transport) {
  for (int i = 0; i < 20000; i++) udpr_transport_release(udpr_transport_retain(transport));
  udpr_transport_release(transport); /* the one it was given */
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

static void all_is_closed(void *arg) {
  handles *with = arg;
  check_transport_calls_return(UDPR_E_CLOSED, with);
  CHECK_STATUS(UDPR_E_CLOSED, udpr_transport_post(with->transport, "x", 1, &with->to));
}

static void last_release(void *transport) { udpr_transport_release(transport); }

TEST(beyond_free_a_transport_says_closed_on_any_thread) {
  udpr_reactor *reactor = new_reactor(0);
  probe         port = {0};
  handles       with = things_of(reactor, &port);
  OK(udpr_reactor_free(reactor));
  CHECK(port.stops == 1 && port.freed == 1);
  all_is_closed(&with);
  run_in_thread(all_is_closed, &with);
  run_in_thread(last_release, port.transport);
  CHECK(port.stops == 1 && port.freed == 1);
}

/* ---- two reactors -------------------------------------------------------------------------------------- */

enum { ROUNDS = 1000 };

typedef struct player {
  udpr_reactor *reactor;
  int           rounds, stops;
} player;

/* The datagram goes back to where it came from, until this side has seen all its rounds. */
static void play(udpr_transport *transport, const udpr_datagram *ball, void *user) {
  player *side = user;
  CHECK_EQ(4, ball->len);
  OK(udpr_transport_write(transport, ball->data, ball->len, &ball->sender));
  if (++side->rounds == ROUNDS) OK(udpr_reactor_stop(side->reactor));
}

static void player_stopped(udpr_transport *transport, udpr_status reason, void *user) {
  (void)transport;
  OK(reason);
  ((player *)user)->stops++;
}

static udpr_transport *player_listen(player *side) {
  udpr_protocol protocol = {.size = sizeof protocol,
                            .user = side,
                            .datagram_received = play,
                            .stop_protocol = player_stopped};
  side->reactor = new_reactor(0);
  return listen_on(side->reactor, "127.0.0.1", &protocol, NULL);
}

TEST(two_reactors_exchange_datagrams) {
  player          sides[2] = {0};
  udpr_transport *ports[2] = {player_listen(&sides[0]), player_listen(&sides[1])};
  udpr_addr       other = host_of(ports[1]);
  check_thread    thread;
  OK(udpr_transport_write(ports[0], "ball", 4, &other));
  thread_start(&thread, run_it, sides[0].reactor);
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
