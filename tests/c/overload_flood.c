/* A port receives four times more than it handles. Turns must stay short and memory bounded, and delayed
 * calls, other ports and other threads must be served as usual.
 */
#include "overload.h"

#include <semaphore.h>

enum {
  HANDLED = 20000,
  PER_TURN = 64,          /* messages of one recvmmsg, after which other sources are served */
  MEMORY_MORE = 16 << 20, /* in bytes: a flood is 25 MB, and all buffers of a reactor are 9 MB */
};

static const udpr_protocol one_by_one = {.datagram_received = flood_received},
                           by_batch = {.datagrams_received = flood_received_batch};

static void a_turn_is_short_and_memory_bounded(const udpr_protocol *callbacks) {
  flood f;
  flood_begin(&f, callbacks, some_of(HANDLED));
  size_t before = resident_bytes();
  while (f.handled < f.end) {
    uint32_t handled = f.handled;
    OK(udpr_reactor_iterate(f.reactor, 0));
    CHECK(f.handled > handled && f.handled - handled <= PER_TURN);
  }
  CHECK(resident_bytes() < before + MEMORY_MORE);
  flood_end(&f);
}

TEST(a_turn_is_short_and_memory_bounded) { a_turn_is_short_and_memory_bounded(&one_by_one); }
TEST(a_turn_with_batches_is_short_and_memory_bounded) { a_turn_is_short_and_memory_bounded(&by_batch); }

/* ---- delayed calls --------------------------------------------------------------------------------------- */

/* A call each millisecond. `meanwhile` counts the datagrams that were handled after it was due. */
typedef struct timer_fixture {
  flood    flood;
  udpr_ns  due, latest; /* `latest` is the greatest delay */
  uint32_t calls, meanwhile, most;
} timer_fixture;

static void timer_call(udpr_reactor *reactor, void *user);

static void schedule_call(timer_fixture *self) {
  udpr_id id = 0;
  OK(udpr_reactor_call_later(self->flood.reactor, MS(1), timer_call, self, NULL, &id));
  OK(udpr_reactor_call_time(self->flood.reactor, id, &self->due));
}

static void timer_call(udpr_reactor *reactor, void *user) {
  timer_fixture *self = user;
  udpr_ns        now = udpr_reactor_now(reactor);
  CHECK(now >= self->due);
  if (now - self->due > self->latest) self->latest = now - self->due;
  if (self->meanwhile > self->most) self->most = self->meanwhile;
  self->meanwhile = 0;
  self->calls++;
  if (self->flood.handled < self->flood.end) schedule_call(self);
}

static void timer_each(flood *flood, void *arg) {
  timer_fixture *self = arg;
  if (udpr_reactor_now(flood->reactor) >= self->due) self->meanwhile++;
}

TEST(a_due_call_waits_for_at_most_one_turn) {
  timer_fixture b = {.calls = 0};
  flood_begin(&b.flood, &one_by_one, some_of(HANDLED));
  b.flood.each = timer_each, b.flood.arg = &b;
  schedule_call(&b);
  flood_end(&b.flood);
  NOTE("%u delayed calls, at most %llu us late, behind at most %u datagrams", b.calls,
       (unsigned long long)b.latest / 1000, b.most);
  CHECK(b.calls > 1 && b.most <= PER_TURN);
}

/* ---- other ports, and calls and datagrams from threads ----------------------------------------------------- */

enum { DATAGRAM, POST, CALL, DELAYED, SOURCES };

/* Requests made while a datagram of the flood is handled, and how many more are handled until each is served.
 */
typedef struct sources {
  flood           flood;
  udpr_transport *other_port;
  udpr_addr       host;
  udpr_remote    *remote;
  bool            is_pending[SOURCES];
  uint32_t        requested_at[SOURCES], count_served[SOURCES], most[SOURCES];
} sources;

static void serve(sources *self, int source) {
  uint32_t behind = self->flood.handled - self->requested_at[source];
  CHECK(self->is_pending[source]);
  self->is_pending[source] = false;
  self->count_served[source]++;
  if (behind > self->most[source]) self->most[source] = behind;
}

static void serve_datagram(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  (void)transport;
  serve(user, datagram->len == 0 ? DATAGRAM : POST);
}

static void serve_call(udpr_reactor *reactor, void *user) {
  (void)reactor;
  serve(user, CALL);
}

static void serve_delayed(udpr_reactor *reactor, void *user) {
  (void)reactor;
  serve(user, DELAYED);
}

static void request(sources *self, int source) {
  self->is_pending[source] = true;
  self->requested_at[source] = self->flood.handled;
  if (source == DATAGRAM) peer_send(self->flood.peer, &self->host, "", 0);
  if (source == POST) OK(udpr_transport_post(self->other_port, "post", 4, &self->host));
  if (source == CALL) OK(udpr_remote_call(self->remote, serve_call, self, NULL));
  if (source == DELAYED) OK(udpr_reactor_call_later(self->flood.reactor, 0, serve_delayed, self, NULL, NULL));
}

static void request_in_turn(flood *flood, void *arg) {
  sources *self = arg;
  int      source = (int)(flood->handled % SOURCES);
  if (!self->is_pending[source] && flood->handled < flood->end) request(self, source);
}

static void sources_begin(sources *self) {
  udpr_protocol other_port = {.size = sizeof other_port, .user = self, .datagram_received = serve_datagram};
  *self = (sources){.count_served = {0}};
  flood_begin(&self->flood, &one_by_one, some_of(HANDLED));
  self->other_port = listen_on(self->flood.reactor, "127.0.0.1", &other_port, NULL);
  self->host = host_of(self->other_port);
  OK(udpr_reactor_remote(self->flood.reactor, &self->remote));
}

static void sources_end(sources *self) {
  udpr_transport_release(self->other_port);
  udpr_remote_release(self->remote);
  flood_end(&self->flood);
}

TEST(other_sources_wait_for_at_most_two_turns) {
  static const char *const names[] = {"datagrams", "posts", "calls", "delayed calls"};
  sources                  o;
  sources_begin(&o);
  o.flood.each = request_in_turn, o.flood.arg = &o;
  RUN_UNTIL(o.flood.reactor, o.flood.handled >= o.flood.end);
  run_turns(o.flood.reactor, 3);
  for (int source = 0; source < SOURCES; source++) {
    NOTE("%u %s served, behind at most %u datagrams", o.count_served[source], names[source], o.most[source]);
    CHECK(!o.is_pending[source] && o.count_served[source] >= o.flood.end / (3 * PER_TURN));
    CHECK(o.most[source] <= 2 * PER_TURN);
  }
  sources_end(&o);
}

/* A thread that makes calls and waits for each of them. The flood lasts until it has finished. */
typedef struct calling_thread {
  sources      sources;
  check_thread thread;
  sem_t        called;
  atomic_bool  done;
  uint32_t     handled_at_last_call; /* how many datagrams were handled when its last call was made */
} calling_thread;

static void call_from_calling_thread(udpr_reactor *reactor, void *user) {
  calling_thread *self = user;
  (void)reactor;
  CHECK(self->sources.flood.handled > self->handled_at_last_call); /* the flood continues */
  self->handled_at_last_call = self->sources.flood.handled;
  sem_post(&self->called);
}

static void call_repeatedly(void *arg) {
  calling_thread *self = arg;
  for (uint32_t i = some_of(200); i > 0; i--) {
    OK(udpr_remote_call(self->sources.remote, call_from_calling_thread, self, NULL));
    while (sem_wait(&self->called) != 0) {}
  }
  self->done = true;
}

static void end_when_done(flood *flood, void *arg) {
  flood->end = atomic_load(&((calling_thread *)arg)->done) ? flood->end : flood->handled + 1;
}

TEST(calls_from_a_thread_are_made_during_a_flood) {
  static calling_thread a;
  sources_begin(&a.sources);
  a.sources.flood.end = 1;
  a.sources.flood.each = end_when_done, a.sources.flood.arg = &a;
  CHECK_EQ(0, sem_init(&a.called, 0, 0));
  thread_start(&a.thread, call_repeatedly, &a);
  RUN_UNTIL(a.sources.flood.reactor, a.done);
  thread_join(&a.thread);
  sem_destroy(&a.called);
  sources_end(&a.sources);
}

CHECK_MAIN()
