/* Misuse inside every callback of the header, and in the free_user of everything that can be registered. */
#include "every_call.h"
#include "forker.h"
#include "world.h"

/* ---- run, iterate, advance and free ---------------------------------------------------------------------- */

static void refused(world *all) {
  CHECK_STATUS(UDPR_E_REENTRANT, udpr_reactor_run(all->reactor));
  CHECK_STATUS(UDPR_E_REENTRANT, udpr_reactor_iterate(all->reactor, 0));
  CHECK_STATUS(UDPR_E_REENTRANT, udpr_reactor_advance(all->reactor, 1));
  CHECK_STATUS(UDPR_E_REENTRANT, udpr_reactor_free(all->reactor));
}

TEST(run_iterate_advance_and_free) { everywhere(refused); }

/* ---- the end of everything there is --------------------------------------------------------------------- */

/* That it is gone already is as good. */
static void ends(udpr_status status) {
  static const udpr_status fine[] = {UDPR_OK, UDPR_E_CLOSED, UDPR_E_NOT_FOUND, UDPR_E_NOT_RUNNING,
                                     UDPR_E_ALREADY_RUNNING};
  for (size_t i = 0; i < sizeof fine / sizeof *fine; i++)
    if (status == fine[i]) return;
  FAIL("%s", udpr_status_name(status));
}

static void close_visited(udpr_transport *transport, void *user) {
  (void)user;
  OK(udpr_transport_close(transport));
}

static void stop_visited(udpr_transport *transport, void *user) {
  (void)user;
  OK(udpr_transport_stop_listening(transport));
}

static void end_registered(world *all) {
  udpr_id ids[GUESTS];
  size_t  count;
  OK(udpr_reactor_delayed_calls(all->reactor, ids, GUESTS, &count));
  for (size_t i = 0; i < count; i++) OK(udpr_reactor_cancel_call(all->reactor, ids[i]));
  for (int i = 0; i < 5; i++)
    if (all->triggers[i]) ends(udpr_reactor_remove_trigger(all->reactor, all->triggers[i]->id));
  if (all->watch) ends(udpr_reactor_unwatch(all->reactor, all->watch->id));
  if (all->lookup) ends(udpr_reactor_cancel_resolve(all->reactor, all->lookup->id));
  ends(udpr_reactor_set_logger(all->reactor, 0, NULL, NULL, NULL));
}

static void let_go(world *all) {
  for (int i = 0; i < all->count; i++) {
    udpr_transport_release(all->guests[i].transport);
    all->guests[i].transport = NULL;
  }
  udpr_remote_release(all->remote);
  all->remote = NULL;
}

/* Look-ups tell that they were cancelled; calls from threads and work cannot be taken back; each_transport has a
 * snapshot.
 */
static bool may_still_come(place at) {
  return at == RESOLVED || at == VISIT || at == CALL_FROM_THREAD || at == REMOTE_CALL || at == DONE ||
         at >= PORT_FREED;
}

static void close_everything(world *all) {
  OK(udpr_reactor_each_transport(all->reactor, close_visited, NULL));
  end_registered(all);
  let_go(all);
  memset(all->came, 0, sizeof all->came);
}

static void nothing_comes_after(act_fn act) {
  for (place at = 0; at < PLACES; at++) {
    world all;
    world_begin(&all, at, act);
    if (all.acted) turns(all.reactor, 5);
    world_end(&all);
    for (place late = 0; late < PLACES; late++)
      if (all.came[late] && !may_still_come(late))
        FAIL("%s: then came %s", place_names[at], place_names[late]);
  }
}

TEST(close_everything_there_is) { nothing_comes_after(close_everything); }

static void stop_everything(world *all) {
  OK(udpr_reactor_each_transport(all->reactor, stop_visited, NULL));
  end_registered(all);
  ends(udpr_reactor_stop(all->reactor));
  let_go(all);
}

TEST(stop_everything_there_is) { everywhere(stop_everything); }

static void fire_shutdown(world *all) { ends(udpr_reactor_fire_event(all->reactor, UDPR_EVENT_SHUTDOWN)); }
static void crash(world *all) { ends(udpr_reactor_crash(all->reactor)); }

TEST(a_shutdown_fired_by_hand) { everywhere(fire_shutdown); }
TEST(a_crash) { everywhere(crash); }

/* ---- replaced by another of its kind --------------------------------------------------------------------- */

static void replace_port(world *all) {
  uint16_t number = 0;
  if (all->where && udpr_transport_fileno(all->where) >= 0) {
    number = host_of(all->where).port;
    OK(udpr_transport_close(all->where));
  }
  all->single = add_port(all, number, all->at == DATAGRAMS_RECEIVED ? on_datagrams : NULL);
  if (number) CHECK_EQ(number, host_of(all->single->transport).port);
}

static void replace_trigger(world *all) {
  OK(udpr_reactor_remove_trigger(all->reactor, all->actor->id));
  all->triggers[2] = add_one_trigger(all, UDPR_PHASE_DURING, UDPR_EVENT_SHUTDOWN, on_during);
}

static void replace_itself(world *all) {
  memset(all->came, 0, sizeof all->came);
  switch (all->at) {
  case DELAYED_CALL:
    CHECK_STATUS(UDPR_E_ALREADY_CALLED, udpr_reactor_cancel_call(all->reactor, all->actor->id));
    add_call(all, 0);
    break;
  case CALL_FREED: add_call(all, 0); break;
  case CALL_WHEN_RUNNING:
  case RUNNING_FREED: add_running(all); break;
  case CALL_FROM_THREAD:
  case FROM_THREAD_FREED: add_from_thread(all); break;
  case REMOTE_CALL:
  case REMOTE_FREED: add_remote_call(all); break;
  case DONE:
  case JOB_FREED: add_job(all); break;
  case RESOLVED:
    CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_cancel_resolve(all->reactor, all->actor->id));
    add_lookup(all);
    break;
  case LOOKUP_FREED: add_lookup(all); break;
  case WATCH:
    OK(udpr_reactor_unwatch(all->reactor, all->actor->id));
    add_watch(all);
    break;
  case STARTUP:
  case SHUTDOWN_BEFORE:
  case SHUTDOWN_DURING:
  case SHUTDOWN_AFTER: replace_trigger(all); break;
  case LOGGER:
  case LOGGER_FREED: add_logger(all); break;
  case WATCH_FREED:
  case TRIGGER_FREED: break; /* come with free, which makes nothing any more */
  default: replace_port(all);
  }
}

/* What the newcomer has to come for. */
static void call_newcomer(world *all) {
  bool in_port = all->at == DATAGRAM_RECEIVED || all->at == DATAGRAMS_RECEIVED;
  if (in_port) {
    udpr_addr host = host_of(all->single->transport);
    peer_send(all->peer, &host, "a", 1);
  }
  if (all->at == WATCH || all->at == DELAYED_CALL || all->at == CALL_FROM_THREAD || all->at == REMOTE_CALL ||
      all->at == DONE || all->at == RESOLVED || in_port)
    RUN_UNTIL(all->reactor, all->came[all->at]);
}

TEST(another_of_its_kind_in_its_place) {
  for (place at = 0; at < PLACES; at++) {
    world all;
    world_begin(&all, at, replace_itself);
    if (all.acted) call_newcomer(&all);
    world_end(&all);
  }
}

/* ---- another thread -------------------------------------------------------------------------------------- */

static void all_is_wrong(void *arg) {
  world  *all = arg;
  handles with = {.reactor = all->reactor, .to = all->to, .call = all->call ? all->call->id : 1};
  reactor_says(UDPR_E_WRONG_THREAD, &with);
  CHECK_STATUS(UDPR_E_WRONG_THREAD, udpr_reactor_free(all->reactor));
  if (!all->single || !all->single->transport) return;
  with.transport = all->single->transport;
  if (!all->single->freed) transport_says(UDPR_E_WRONG_THREAD, &with);
}

static void from_another_thread(world *all) { in_thread(all_is_wrong, all); }

TEST(every_call_from_another_thread) { everywhere(from_another_thread); }

/* ---- fork ------------------------------------------------------------------------------------------------ */

static void all_is_closed(world *all) {
  handles with = {.reactor = all->reactor, .to = all->to, .call = 1};
  reactor_says(UDPR_E_CLOSED, &with);
  anywhere_says(UDPR_E_CLOSED, &(handles){.reactor = all->reactor, .remote = all->remote});
  CHECK_STATUS(UDPR_E_REENTRANT, udpr_reactor_after_fork(all->reactor));
}

static void fork_and_ask(world *all) {
  fork_here();
  if (!is_child) return;
  all_is_closed(all);
  memset(all->came, 0, sizeof all->came);
}

/* In the child the call that is under way ends with UDPR_E_CLOSED, free with its descriptors closed. */
static void child_goes_no_further(const world *all, udpr_status expected) {
  if (!is_child) return;
  CHECK_STATUS(expected, all->answer);
  for (place at = 0; at < PLACES; at++)
    if (all->came[at]) FAIL("then came %s", place_names[at]);
  child_ends();
}

TEST(a_fork) {
  for (place at = 0; at < PLACES; at++) {
    world all;
    world_begin(&all, at, fork_and_ask);
    if (all.acted) child_goes_no_further(&all, UDPR_E_CLOSED);
    if (all.acted) turns(all.reactor, 3);
    bool in_free = !all.acted;
    ASK(&all, udpr_reactor_free(all.reactor));
    if (in_free) child_goes_no_further(&all, UDPR_OK);
    all.reactor = NULL;
    world_end(&all);
  }
}

CHECK_MAIN()
