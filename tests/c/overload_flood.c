/* A port gets four times what it handles, for as long as the test likes: a turn stays short, memory stays bounded, and
 * delayed calls, other ports and other threads are served as if nothing was.
 */
#include "overload.h"

#include <semaphore.h>

enum {
  HANDLED = 20000,
  PER_TURN = 64,          /* messages of one recvmmsg: then it is the others' turn */
  MEMORY_MORE = 16 << 20, /* in bytes: a flood has 25 MB pass by, and all buffers of a reactor are 9 */
};

static const udpr_protocol one_by_one = {.datagram_received = flood_received},
                           by_batch = {.datagrams_received = flood_received_batch};

static void a_turn_is_short_and_memory_bounded(const udpr_protocol *callbacks) {
  flood f;
  flood_begin(&f, callbacks, fewer_if_slow(HANDLED));
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
TEST(a_turn_by_batch_is_short_and_memory_bounded) { a_turn_is_short_and_memory_bounded(&by_batch); }

/* ---- delayed calls --------------------------------------------------------------------------------------- */

/* A call each millisecond, and how many datagrams were handled between the instant it was due and the call. */
typedef struct beat {
  flood    flood;
  udpr_ns  due, latest; /* `latest`: the greatest lateness */
  uint32_t calls, meanwhile, most;
} beat;

static void beat_call(udpr_reactor *reactor, void *user);

static void beat_begin(beat *self) {
  udpr_id id = 0;
  OK(udpr_reactor_call_later(self->flood.reactor, MS(1), beat_call, self, NULL, &id));
  OK(udpr_reactor_call_time(self->flood.reactor, id, &self->due));
}

static void beat_call(udpr_reactor *reactor, void *user) {
  beat   *self = user;
  udpr_ns now = udpr_reactor_now(reactor);
  CHECK(now >= self->due);
  if (now - self->due > self->latest) self->latest = now - self->due;
  if (self->meanwhile > self->most) self->most = self->meanwhile;
  self->meanwhile = 0;
  self->calls++;
  if (self->flood.handled < self->flood.end) beat_begin(self);
}

static void beat_each(flood *flood, void *arg) {
  beat *self = arg;
  if (udpr_reactor_now(flood->reactor) >= self->due) self->meanwhile++;
}

TEST(a_call_that_is_due_waits_for_one_turn_at_most) {
  beat b = {.calls = 0};
  flood_begin(&b.flood, &one_by_one, fewer_if_slow(HANDLED));
  b.flood.each = beat_each, b.flood.arg = &b;
  beat_begin(&b);
  flood_end(&b.flood);
  NOTE("%u delayed calls, at most %llu us late, behind at most %u datagrams", b.calls,
       (unsigned long long)b.latest / 1000, b.most);
  CHECK(b.calls > 1 && b.most <= PER_TURN);
}

/* ---- other ports, and calls and datagrams from threads ----------------------------------------------------- */

enum { DATAGRAM, POST, CALL, DELAYED, KINDS };

/* What was asked for while a datagram of the flood was handled, and how many more were until it was served. */
typedef struct others {
  flood           flood;
  udpr_transport *quiet;
  udpr_addr       host;
  udpr_remote    *remote;
  bool            asked[KINDS];
  uint32_t        since[KINDS], served[KINDS], most[KINDS];
} others;

static void serve(others *self, int kind) {
  uint32_t behind = self->flood.handled - self->since[kind];
  CHECK(self->asked[kind]);
  self->asked[kind] = false;
  self->served[kind]++;
  if (behind > self->most[kind]) self->most[kind] = behind;
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

static void ask(others *self, int kind) {
  self->asked[kind] = true;
  self->since[kind] = self->flood.handled;
  if (kind == DATAGRAM) peer_send(self->flood.peer, &self->host, "", 0);
  if (kind == POST) OK(udpr_transport_post(self->quiet, "post", 4, &self->host));
  if (kind == CALL) OK(udpr_remote_call(self->remote, serve_call, self, NULL));
  if (kind == DELAYED) OK(udpr_reactor_call_later(self->flood.reactor, 0, serve_delayed, self, NULL, NULL));
}

static void ask_now_and_then(flood *flood, void *arg) {
  others *self = arg;
  int     kind = (int)(flood->handled % KINDS);
  if (!self->asked[kind] && flood->handled < flood->end) ask(self, kind);
}

static void others_begin(others *self) {
  udpr_protocol quiet = {.size = sizeof quiet, .user = self, .datagram_received = serve_datagram};
  *self = (others){.served = {0}};
  flood_begin(&self->flood, &one_by_one, fewer_if_slow(HANDLED));
  self->quiet = listen_on(self->flood.reactor, "127.0.0.1", &quiet, NULL);
  self->host = host_of(self->quiet);
  OK(udpr_reactor_remote(self->flood.reactor, &self->remote));
}

static void others_end(others *self) {
  udpr_transport_release(self->quiet);
  udpr_remote_release(self->remote);
  flood_end(&self->flood);
}

TEST(the_others_wait_for_two_turns_at_most) {
  static const char *const names[] = {"datagrams", "posts", "calls", "delayed calls"};
  others                   o;
  others_begin(&o);
  o.flood.each = ask_now_and_then, o.flood.arg = &o;
  RUN_UNTIL(o.flood.reactor, o.flood.handled >= o.flood.end);
  run_turns(o.flood.reactor, 3);
  for (int kind = 0; kind < KINDS; kind++) {
    NOTE("%u %s served, behind at most %u datagrams", o.served[kind], names[kind], o.most[kind]);
    CHECK(!o.asked[kind] && o.served[kind] >= o.flood.end / (3 * PER_TURN));
    CHECK(o.most[kind] <= 2 * PER_TURN);
  }
  others_end(&o);
}

/* A thread that asks, and waits for the answer, again and again: the flood lasts until it is through. */
typedef struct asker {
  others       others;
  check_thread thread;
  sem_t        answered;
  atomic_bool  done;
  uint32_t     at; /* how many were handled when it was answered last */
} asker;

static void answer(udpr_reactor *reactor, void *user) {
  asker *self = user;
  (void)reactor;
  CHECK(self->others.flood.handled > self->at); /* the flood goes on */
  self->at = self->others.flood.handled;
  sem_post(&self->answered);
}

static void ask_again_and_again(void *arg) {
  asker *self = arg;
  for (uint32_t i = fewer_if_slow(200); i > 0; i--) {
    OK(udpr_remote_call(self->others.remote, answer, self, NULL));
    while (sem_wait(&self->answered) != 0) {}
  }
  self->done = true;
}

static void until_done(flood *flood, void *arg) {
  flood->end = atomic_load(&((asker *)arg)->done) ? flood->end : flood->handled + 1;
}

TEST(a_thread_is_answered_throughout) {
  static asker a;
  others_begin(&a.others);
  a.others.flood.end = 1;
  a.others.flood.each = until_done, a.others.flood.arg = &a;
  CHECK_EQ(0, sem_init(&a.answered, 0, 0));
  thread_start(&a.thread, ask_again_and_again, &a);
  RUN_UNTIL(a.others.flood.reactor, a.done);
  thread_join(&a.thread);
  sem_destroy(&a.answered);
  others_end(&a.others);
}

CHECK_MAIN()
