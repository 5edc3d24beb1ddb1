/* The network is slower than the writers. Each datagram that was accepted arrives once, and in order for each
 * writer and destination, whichever function wrote it. The writes are random, but the same in every run.
 */
#include "network_namespace.h"
#include "overload.h"

#include <semaphore.h>

enum {
  PEERS = 3,
  THREADS = 2,
  MAIN = THREADS,
  WRITERS = THREADS + 1,
  SEGMENTS = 6,
  MESSAGES = 4,
  MAX_LEN = 1400
};

/* The rate of the network and the options of the port. */
typedef struct scenario {
  uint32_t    mbit;  /* the rate; a tenth of it on a slow machine */
  const char *queue; /* of the loopback device: tc-tbf(8) */
  uint32_t    flags, send_buffer, send_queue;
  bool        some_are_refused; /* now and then, a datagram is sent to a port that refuses it */
  bool        is_connected;
} scenario;

/* At the beginning of each datagram. */
typedef struct header {
  uint32_t writer, number;
} header;

typedef struct writer {
  struct fixture *f;
  check_thread    thread;
  uint32_t        index, seed;
  uint32_t        accepted[PEERS], refused;
  sem_t           ready_for_more; /* posted by write_ready; a thread waits for it after a refusal */
} writer;

typedef struct fixture {
  const scenario *scenario;
  udpr_reactor   *reactor;
  udpr_transport *transport;
  int             peers[PEERS];
  udpr_addr       to[PEERS], refusing;
  uint32_t        arrived[PEERS][WRITERS];
  writer          writers[WRITERS];
  uint32_t        each; /* how many datagrams each writer writes, at least */
  bool            blocked;
  uint32_t        refused_writes;
  int             ready, reports;
} fixture;

/* xorshift32 */
static uint32_t random_below(writer *self, uint32_t bound) {
  self->seed ^= self->seed << 13, self->seed ^= self->seed >> 17, self->seed ^= self->seed << 5;
  return self->seed % bound;
}

/* ---- writing ------------------------------------------------------------------------------------------------- */

typedef struct random_datagram {
  uint8_t  data[SEGMENTS * MAX_LEN];
  size_t   len;
  uint32_t peer, segment; /* `segment` is the segment size, or 0 */
} random_datagram;

static uint32_t segments_of(const random_datagram *one) {
  return one->segment ? (uint32_t)((one->len + one->segment - 1) / one->segment) : 1;
}

/* `before` datagrams for the same peer precede this one. */
static void fill_random(writer *self, random_datagram *one, uint32_t before) {
  uint32_t size =
      (uint32_t)sizeof(header) + (random_below(self, 3) ? 292 : random_below(self, MAX_LEN - sizeof(header)));
  header next = {self->index, self->accepted[one->peer] + before};
  one->segment = self->index == MAIN && random_below(self, 4) == 0 ? size : 0;
  one->len = one->segment ? size * (1 + random_below(self, SEGMENTS)) : size;
  memset(one->data, (int)next.number, one->len);
  for (size_t at = 0; at < one->len; at += size, next.number++) memcpy(one->data + at, &next, sizeof next);
}

static const udpr_addr *destination(const fixture *f, uint32_t peer) {
  return f->scenario->is_connected ? NULL : &f->to[peer];
}

static uint32_t random_peer(writer *self) {
  return self->f->scenario->is_connected ? 0 : random_below(self, PEERS);
}

/* Writes one to four messages to one peer. */
static udpr_status write_messages(writer *self) {
  static random_datagram datagrams[MESSAGES];
  udpr_message           messages[MESSAGES];
  fixture               *f = self->f;
  uint32_t               peer = random_peer(self), count = 1 + random_below(self, MESSAGES), before = 0;
  size_t                 taken = 0;
  for (uint32_t i = 0; i < count; i++) {
    datagrams[i].peer = peer;
    fill_random(self, &datagrams[i], before);
    before += segments_of(&datagrams[i]);
    messages[i] = (udpr_message){.size = sizeof *messages,
                                 .data = datagrams[i].data,
                                 .len = datagrams[i].len,
                                 .to = destination(f, peer),
                                 .flags = random_below(self, 8) == 0 ? UDPR_MESSAGE_NOW : 0,
                                 .segment_size = datagrams[i].segment};
  }
  udpr_status status = udpr_transport_write_messages(f->transport, messages, count, &taken);
  for (size_t i = 0; i < taken; i++) self->accepted[peer] += segments_of(&datagrams[i]);
  return status;
}

static udpr_status write_one(writer *self) {
  random_datagram one = {.peer = random_peer(self)};
  fixture        *f = self->f;
  do fill_random(self, &one, 0);
  while (one.segment);
  size_t      cut = random_below(self, (uint32_t)one.len);
  udpr_bytes  parts[] = {{one.data, cut}, {one.data + cut, one.len - cut}};
  udpr_status status =
      self->index != MAIN ? udpr_transport_post(f->transport, one.data, one.len, destination(f, one.peer))
      : cut % 2           ? udpr_transport_write(f->transport, one.data, one.len, destination(f, one.peer))
                          : udpr_transport_write_sequence(f->transport, parts, 2, destination(f, one.peer));
  if (status == UDPR_OK) self->accepted[one.peer]++;
  return status;
}

static void write_to_refusing(writer *self) {
  udpr_status status = udpr_transport_write(self->f->transport, "nobody", 6, &self->f->refusing);
  if (status == UDPR_OK) self->f->refused_writes++;
  else CHECK_STATUS(UDPR_E_WOULD_BLOCK, status);
}

static uint32_t count_accepted(const writer *self) {
  uint32_t sum = 0;
  for (int i = 0; i < PEERS; i++) sum += self->accepted[i];
  return sum;
}

/* Writes several datagrams. After a refusal, nothing is written until write_ready is called. */
static void write_some_random(udpr_reactor *reactor, void *user) {
  fixture *f = user;
  writer  *self = &f->writers[MAIN];
  (void)reactor;
  for (uint32_t i = random_below(self, 40); i > 0 && !f->blocked && count_accepted(self) < f->each; i--) {
    if (f->scenario->some_are_refused && random_below(self, 8) == 0) write_to_refusing(self);
    udpr_status status = random_below(self, 3) ? write_one(self) : write_messages(self);
    if (status == UDPR_OK) continue;
    CHECK_STATUS(UDPR_E_WOULD_BLOCK, status);
    f->blocked = true;
    self->refused++;
  }
}

static void post_all(void *arg) {
  writer *self = arg;
  while (count_accepted(self) < self->f->each) {
    udpr_status status = write_one(self);
    if (status == UDPR_OK) continue;
    CHECK_STATUS(UDPR_E_WOULD_BLOCK, status);
    self->refused++;
    while (sem_wait(&self->ready_for_more) != 0) {}
  }
}

static void write_ready(udpr_transport *transport, void *user) {
  fixture *f = user;
  (void)transport;
  f->blocked = false;
  f->ready++;
  for (int i = 0; i < THREADS; i++) sem_post(&f->writers[i].ready_for_more);
}

static void reported(udpr_transport *transport, const udpr_error_report *report, void *user) {
  fixture *f = user;
  (void)transport;
  CHECK_STATUS(UDPR_E_CONNECTION_REFUSED, report->status);
  CHECK_ADDR(&f->refusing, &report->to);
  f->reports++;
}

/* ---- arrival ------------------------------------------------------------------------------------------- */

static void receive_arrived(fixture *f) {
  uint8_t data[2 * MAX_LEN];
  header  next;
  for (int peer = 0; peer < PEERS; peer++) {
    ssize_t len;
    while ((len = recv(f->peers[peer], data, sizeof data, MSG_DONTWAIT)) >= 0) {
      CHECK((size_t)len >= sizeof next);
      memcpy(&next, data, sizeof next);
      CHECK(next.writer < WRITERS);
      CHECK_EQ(f->arrived[peer][next.writer], next.number);
      f->arrived[peer][next.writer]++;
      for (size_t i = sizeof next; i < (size_t)len; i++) CHECK(data[i] == data[sizeof next]);
    }
  }
}

static uint64_t count_all_accepted(const fixture *f) {
  uint64_t sum = 0;
  for (int i = 0; i < WRITERS; i++) sum += count_accepted(&f->writers[i]);
  return sum;
}

/* ---- the cases --------------------------------------------------------------------------------------------------- */

static void set_up(fixture *f, const scenario *scenario, uint32_t each) {
  pin_to_current_core();
  enter_network_namespace();
  run_network_tool("tc", "qdisc add dev lo root tbf rate %ukbit %s", some_of(30000) / 30 * scenario->mbit,
                   scenario->queue);
  *f = (fixture){.scenario = scenario, .reactor = new_reactor(0), .each = each};
  udpr_protocol    protocol = {.size = sizeof protocol,
                               .user = f,
                               .error_received = reported,
                               .write_ready = write_ready};
  udpr_udp_options options = {.size = sizeof options,
                              .flags = scenario->flags,
                              .send_buffer = scenario->send_buffer,
                              .send_queue_bytes = scenario->send_queue};
  f->transport = listen_on(f->reactor, "127.0.0.1", &protocol, &options);
  for (int i = 0; i < PEERS; i++) {
    int room = 8 << 20;
    f->peers[i] = peer_open(AF_INET);
    CHECK_EQ(0, setsockopt(f->peers[i], SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room));
    f->to[i] = peer_addr(f->peers[i]);
  }
  f->refusing = addr("127.0.0.1", 9);
  if (scenario->is_connected) OK(udpr_transport_connect(f->transport, &f->to[0]));
  for (uint32_t i = 0; i < WRITERS; i++) {
    f->writers[i] = (writer){.f = f, .index = i, .seed = 2463534242u + i};
    CHECK_EQ(0, sem_init(&f->writers[i].ready_for_more, 0, 0));
  }
}

static void tear_down(fixture *f) {
  OK(udpr_transport_close(f->transport));
  udpr_transport_release(f->transport);
  OK(udpr_reactor_free(f->reactor));
  for (int i = 0; i < PEERS; i++) close(f->peers[i]);
  for (int i = 0; i < WRITERS; i++) sem_destroy(&f->writers[i].ready_for_more);
}

/* Half of the writes are made in callbacks, where they are batched, half outside, where they are sent at
 * once.
 */
static void write_all(fixture *f) {
  writer *self = &f->writers[MAIN];
  udpr_ns end = monotonic_ns() + CHECK_TIMEOUT;
  while (count_accepted(self) < f->each) {
    if (monotonic_ns() > end) FAIL("%u of %u are written", count_accepted(self), f->each);
    if (random_below(self, 2)) OK(udpr_reactor_call_later(f->reactor, 0, write_some_random, f, NULL, NULL));
    else write_some_random(f->reactor, f);
    OK(udpr_reactor_iterate(f->reactor, f->blocked ? (int64_t)MS(20) : 0));
    receive_arrived(f);
  }
}

static bool all_are_sent(const fixture *f) {
  udpr_transport_stats stats = stats_of(f->transport);
  return stats.queued_datagrams == 0 && stats.datagrams_out == count_all_accepted(f) + f->refused_writes;
}

static uint64_t count_all_arrived(fixture *f) {
  uint64_t sum = 0;
  receive_arrived(f);
  for (int i = 0; i < PEERS * WRITERS; i++) sum += f->arrived[i / WRITERS][i % WRITERS];
  return sum;
}

static void check_nothing_is_lost(const scenario *scenario, uint32_t each) {
  static fixture f;
  set_up(&f, scenario, each);
  for (int i = 0; i < THREADS; i++) thread_start(&f.writers[i].thread, post_all, &f.writers[i]);
  write_all(&f);
  RUN_UNTIL(f.reactor, count_all_arrived(&f) >= WRITERS * each);
  for (int i = 0; i < THREADS; i++) thread_join(&f.writers[i].thread);
  RUN_UNTIL(f.reactor, all_are_sent(&f));
  RUN_UNTIL(f.reactor, count_all_arrived(&f) == count_all_accepted(&f));
  uint32_t posts_refused = f.writers[0].refused + f.writers[1].refused;
  NOTE("%llu datagrams, %u writes and %u posts refused, write_ready %d times, %d reports",
       (unsigned long long)count_all_accepted(&f), f.writers[MAIN].refused, posts_refused, f.ready,
       f.reports);
  CHECK_EQ(0, stats_of(f.transport).dropped_out);
  CHECK(f.writers[MAIN].refused + posts_refused > 0 && f.ready > 0);
  CHECK((f.reports > 0) == scenario->some_are_refused);
  tear_down(&f);
}

enum { EACH = 1000 };
#define FULL_SOCKET .mbit = 30, .queue = "burst 4kb limit 4mb", .send_buffer = 4608, .send_queue = 20000

TEST(a_full_socket) {
  static const scenario scenario = {FULL_SOCKET};
  check_nothing_is_lost(&scenario, some_of(EACH));
}

TEST(a_full_socket_of_a_connected_port) {
  static const scenario scenario = {FULL_SOCKET, .is_connected = true};
  check_nothing_is_lost(&scenario, some_of(EACH));
}

TEST(a_full_socket_with_a_refusing_peer) {
  static const scenario scenario = {FULL_SOCKET, .flags = UDPR_UDP_ERROR_REPORTS, .some_are_refused = true};
  check_nothing_is_lost(&scenario, some_of(EACH));
}

TEST(a_full_socket_without_merging) {
  static const scenario scenario = {FULL_SOCKET, .flags = UDPR_UDP_NO_OFFLOAD};
  check_nothing_is_lost(&scenario, some_of(EACH));
}

/* The device's queue is full before the socket is. The kernel returns ENOBUFS only if IP_RECVERR is set. */
TEST(a_full_device) {
  static const scenario scenario = {.mbit = 60,
                                    .queue = "burst 70kb limit 70kb",
                                    .flags = UDPR_UDP_ERROR_REPORTS,
                                    .send_buffer = 1 << 20,
                                    .send_queue = 20000};
  check_nothing_is_lost(&scenario, some_of(3 * EACH));
}

CHECK_MAIN()
