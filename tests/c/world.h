/* world.h: a reactor in which every callback of the header comes, and in one of them something is done:
 *
 *     world_of(DATAGRAM_RECEIVED, act);
 */
#ifndef UDPR_TESTS_WORLD_H
#define UDPR_TESTS_WORLD_H

#include "every_callback.h"

#include <fcntl.h>

/* ---- registrations -------------------------------------------------------------------------------------- */

static inline guest *invite(world *all, place freed_at) {
  CHECK(all->count < GUESTS);
  guest *one = &all->guests[all->count++];
  *one = (guest){.in = all, .freed_at = freed_at};
  return one;
}

/* The call in which it was done may answer what it likes; the others succeed. */
static inline void answered(world *all, bool acted_before, udpr_status status) {
  if (acted_before == all->acted) OK(status);
  else all->answer = status;
}
#define ASK(all, call)                        \
  do {                                        \
    bool        acted_before_ = (all)->acted; \
    udpr_status status_ = (call);             \
    answered(all, acted_before_, status_);    \
  } while (0)

/* A port of number `port`, 0: the kernel's choice. */
static inline guest *add_port(world *all, uint16_t port, udpr_datagrams_fn in_batches) {
  udpr_udp_options options = {.size = sizeof options,
                              .flags = UDPR_UDP_ERROR_REPORTS,
                              .send_queue_bytes = 4096};
  guest           *one = invite(all, PORT_FREED);
  udpr_protocol    protocol = {.size = sizeof protocol,
                               .user = one,
                               .free_user = guest_free,
                               .start_protocol = on_start,
                               .datagram_received = on_datagram,
                               .datagrams_received = in_batches,
                               .connection_refused = on_refused,
                               .error_received = on_error,
                               .write_ready = on_write_ready,
                               .stop_protocol = on_stop};
  ASK(all, udpr_reactor_listen_udp(all->reactor, port, "127.0.0.1", &protocol, &options, &one->transport));
  return one;
}

static inline guest *add_logger(world *all) {
  guest *one = invite(all, LOGGER_FREED);
  ASK(all, udpr_reactor_set_logger(all->reactor, UDPR_LOG_DEBUG, on_log, one, guest_free));
  return one;
}

static inline guest *add_one_trigger(world *all, uint32_t phase, uint32_t event, udpr_trigger_fn fn) {
  guest *one = invite(all, TRIGGER_FREED);
  OK(udpr_reactor_add_trigger(all->reactor, phase, event, fn, one, guest_free, &one->id));
  return one;
}

static inline guest *add_running(world *all) {
  guest *one = invite(all, RUNNING_FREED);
  ASK(all, udpr_reactor_call_when_running(all->reactor, on_running, one, guest_free, &one->id));
  return one;
}

static inline guest *add_call(world *all, udpr_ns delay) {
  guest *one = invite(all, CALL_FREED);
  OK(udpr_reactor_call_later(all->reactor, delay, on_call, one, guest_free, &one->id));
  return one;
}

static inline guest *add_from_thread(world *all) {
  guest *one = invite(all, FROM_THREAD_FREED);
  OK(udpr_reactor_call_from_thread(all->reactor, on_from_thread, one, guest_free));
  return one;
}

static inline guest *add_remote_call(world *all) {
  guest *one = invite(all, REMOTE_FREED);
  OK(udpr_remote_call(all->remote, on_remote, one, guest_free));
  return one;
}

static inline guest *add_job(world *all) {
  guest *one = invite(all, JOB_FREED);
  OK(udpr_reactor_call_in_thread(all->reactor, on_work, on_done, one, guest_free));
  return one;
}

static inline guest *add_lookup(world *all) {
  guest *one = invite(all, LOOKUP_FREED);
  OK(udpr_reactor_resolve(all->reactor, "127.0.0.1", 1, 0, 0, on_resolved, one, guest_free, &one->id));
  return one;
}

static inline guest *add_watch(world *all) {
  guest *one = invite(all, WATCH_FREED);
  OK(udpr_reactor_watch(all->reactor, all->pipe[0], UDPR_WATCH_READABLE, on_watch, one, guest_free,
                        &one->id));
  return one;
}

/* ---- a world's life: each step until something was done ------------------------------------------------- */

static inline void add_triggers(world *all) {
  all->triggers[0] = add_one_trigger(all, UDPR_PHASE_DURING, UDPR_EVENT_STARTUP, on_startup);
  all->triggers[1] = add_one_trigger(all, UDPR_PHASE_BEFORE, UDPR_EVENT_SHUTDOWN, on_before);
  all->triggers[2] = add_one_trigger(all, UDPR_PHASE_DURING, UDPR_EVENT_SHUTDOWN, on_during);
  all->triggers[3] = add_one_trigger(all, UDPR_PHASE_AFTER, UDPR_EVENT_SHUTDOWN, on_after);
  all->triggers[4] = add_running(all);
}
static inline void set_logger(world *all) { add_logger(all); }
static inline void start(world *all) { ASK(all, udpr_reactor_start(all->reactor)); }
static inline void listen_single(world *all) { all->single = add_port(all, 0, NULL); }
static inline void listen_batch(world *all) { all->batch = add_port(all, 0, on_datagrams); }
static inline void listen_caller(world *all) { all->caller = add_port(all, 0, NULL); }
static inline void visit_all(world *all) {
  ASK(all, udpr_reactor_each_transport(all->reactor, on_visit, &all->visitor));
}
static inline void add_calls(world *all) {
  all->call = add_call(all, 0);
  add_from_thread(all);
  add_remote_call(all);
  add_job(all);
  all->lookup = add_lookup(all);
  all->watch = add_watch(all);
}

/* Datagrams for two ports, a refusal for the third, and posts until write_ready is owed. */
static inline void make_traffic(world *all) {
  static const uint8_t big[1000];
  udpr_addr            single = host_of(all->single->transport), batch = host_of(all->batch->transport),
            dead = peer_addr(all->dead);
  udpr_status status;
  CHECK_EQ(1, write(all->pipe[1], "x", 1));
  peer_send(all->peer, &single, "a", 1);
  peer_send(all->peer, &single, "b", 1);
  peer_send(all->peer, &batch, "c", 1);
  peer_send(all->peer, &batch, "d", 1);
  OK(udpr_transport_connect(all->caller->transport, &dead));
  OK(udpr_transport_write(all->caller->transport, "x", 1, NULL));
  while ((status = udpr_transport_post(all->single->transport, big, sizeof big, &all->to)) == UDPR_OK) {}
  CHECK_STATUS(UDPR_E_WOULD_BLOCK, status);
}

static inline bool all_came(const world *all) {
  for (place at = 0; at < SHUTDOWN_BEFORE; at++)
    if (!all->came[at] && at != STOP_PROTOCOL) return false;
  return all->came[JOB_FREED];
}

static inline void turn_until_all_came(world *all) {
  udpr_ns end = monotonic_ns() + CHECK_PATIENCE;
  while (!all->acted && !all_came(all)) {
    if (monotonic_ns() > end)
      for (place at = 0; at < PLACES; at++)
        if (!all->came[at]) FAIL("%s never came", place_names[at]);
    ASK(all, udpr_reactor_iterate(all->reactor, (int64_t)MS(20)));
  }
}

/* Its callbacks, the watch's too, come in later turns. */
static inline void shut_down(world *all) {
  OK(udpr_reactor_stop(all->reactor));
  ASK(all, udpr_reactor_iterate(all->reactor, 0));
}
static inline void drop_logger(world *all) {
  ASK(all, udpr_reactor_set_logger(all->reactor, 0, NULL, NULL, NULL));
}

typedef void (*step_fn)(world *all);

static const step_fn world_steps[] = {set_logger,   add_triggers,        start,     listen_single,
                                      listen_batch, listen_caller,       visit_all, add_calls,
                                      make_traffic, turn_until_all_came, shut_down, drop_logger};

static inline void world_begin(world *all, place at, act_fn act) {
  *all = (world){.reactor = new_reactor(0), .at = at, .act = act};
  check_about = place_names[at];
  all->visitor = (guest){.in = all};
  OK(udpr_reactor_remote(all->reactor, &all->remote));
  CHECK_EQ(0, pipe2(all->pipe, O_CLOEXEC | O_NONBLOCK));
  all->peer = peer_open(AF_INET), all->to = peer_addr(all->peer);
  all->dead = peer_dead(AF_INET);
  for (size_t i = 0; i < sizeof world_steps / sizeof *world_steps && !all->acted; i++) world_steps[i](all);
}

/* Whoever was not called any more was freed all the same. */
static inline void world_end(world *all) {
  ASK(all, udpr_reactor_free(all->reactor));
  CHECK(all->acted);
  for (int i = 0; i < all->count; i++) {
    CHECK_EQ(1, all->guests[i].freed);
    udpr_transport_release(all->guests[i].transport);
  }
  udpr_remote_release(all->remote);
  CHECK(close(all->pipe[0]) == 0 && close(all->pipe[1]) == 0);
  CHECK(close(all->peer) == 0 && close(all->dead) == 0);
  check_about = NULL;
}

/* Does `act` in a callback, and lets the reactor turn on for a while. */
static inline void world_of(place at, act_fn act) {
  world all;
  world_begin(&all, at, act);
  if (all.acted) turns(all.reactor, 5);
  world_end(&all);
}

static inline void everywhere(act_fn act) {
  for (place at = 0; at < PLACES; at++) world_of(at, act);
}

#endif
