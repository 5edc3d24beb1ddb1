/* A bad network: two hosts whose only way to each other is a relay that loses, doubles, reorders and delays. What a port is
 * given is what the relay sent, in that order, and a client with timeouts gets through.
 */
#include "two_hosts.h"

#include <poll.h>

enum { THERE, BACK, WAYS };
enum { HELD = 8, LOG = 20000, PAUSE_MS = 2 };

/* Of a hundred datagrams, how many are lost, how many are sent twice, how many wait while others pass. */
typedef struct weather {
  uint32_t lost, doubled, held;
} weather;

/* One direction of the relay. */
typedef struct way {
  int      from, to; /* sockets */
  uint32_t seed, held[HELD], waiting;
  uint32_t lost, doubled, delayed;
  uint32_t log[LOG], count; /* the numbers that it sent, in order */
} way;

typedef struct relay {
  check_thread thread;
  weather      weather;
  way          ways[WAYS];
  int          front, back; /* a socket on either host */
  atomic_bool  stop;
} relay;

/* xorshift32 */
static uint32_t percent(way *self) {
  self->seed ^= self->seed << 13, self->seed ^= self->seed >> 17, self->seed ^= self->seed << 5;
  return self->seed % 100;
}

/* Its peer is connected. */
static void pass_on(way *self, uint32_t number) {
  CHECK(self->count < LOG);
  self->log[self->count++] = number;
  CHECK_EQ(sizeof number, send(self->to, &number, sizeof number, 0));
}

/* The last one that was held is the first that goes on. */
static void let_go(way *self) {
  while (self->waiting > 0) pass_on(self, self->held[--self->waiting]);
}

static void treat(way *self, const weather *weather, uint32_t number) {
  if (percent(self) < weather->lost) {
    self->lost++;
    return;
  }
  if (percent(self) < weather->held && self->waiting < HELD) {
    self->held[self->waiting++] = number;
    self->delayed++;
    return;
  }
  pass_on(self, number);
  if (percent(self) < weather->doubled) {
    pass_on(self, number);
    self->doubled++;
  }
  if (percent(self) < 20) let_go(self);
}

/* The first datagram tells who the client is. */
static void meet_client(int front) {
  struct sockaddr_in client;
  socklen_t          len = sizeof client;
  char               byte;
  if (recvfrom(front, &byte, 1, MSG_PEEK, (struct sockaddr *)&client, &len) < 0)
    FAIL("no client: %s", strerror(errno));
  CHECK_EQ(0, connect(front, (struct sockaddr *)&client, len));
}

/* What is held leaves when nothing has come for a while, at the latest. */
static void relay_run(void *arg) {
  relay        *self = arg;
  struct pollfd fds[WAYS] = {{.fd = self->front, .events = POLLIN}, {.fd = self->back, .events = POLLIN}};
  uint32_t      number;
  meet_client(self->front);
  while (!self->stop) {
    int ready = poll(fds, WAYS, PAUSE_MS);
    for (int i = 0; i < WAYS; i++) {
      way *one = &self->ways[i];
      if (ready == 0) let_go(one);
      if (fds[i].revents && recv(one->from, &number, sizeof number, MSG_DONTWAIT) == sizeof number)
        treat(one, &self->weather, number);
    }
  }
}

/* ---- both hosts ------------------------------------------------------------------------------------------------ */

typedef struct fixture {
  two_hosts       hosts;
  udpr_reactor   *reactor;
  udpr_transport *client, *server;
  udpr_addr       door; /* where the client sends to */
  relay           relay;
  uint32_t        got[WAYS][LOG], count[WAYS]; /* what the ports were given: the server's, the client's */
  uint32_t        seen[WAYS];                  /* how many different numbers */
  bool            known[WAYS][LOG];
  void (*answered)(struct fixture *f, uint32_t number); /* what the client does with an answer */
} fixture;

static uint32_t take(fixture *f, int way, const udpr_datagram *datagram) {
  uint32_t number;
  CHECK(datagram->len == sizeof number && f->count[way] < LOG);
  memcpy(&number, datagram->data, sizeof number);
  CHECK(number < LOG);
  f->got[way][f->count[way]++] = number;
  if (!f->known[way][number]) f->seen[way]++;
  f->known[way][number] = true;
  return number;
}

static void server_received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  take(user, THERE, datagram);
  OK(udpr_transport_write(transport, datagram->data, datagram->len, &datagram->sender));
}

static void client_received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  fixture *f = user;
  uint32_t number = take(f, BACK, datagram);
  (void)transport;
  if (f->answered) f->answered(f, number);
}

static void new_island(int *fd) {
  *fd = new_network_namespace();
  host_command("ip link set lo up");
}

/* Nothing is lost but by the relay, however long one thread waits for its turn while the other one sends. */
static void make_room(int fd) {
  int room = 4 << 20;
  CHECK_EQ(0, setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room));
}

static int relay_socket(void) {
  int fd = peer_open(AF_INET);
  make_room(fd);
  return fd;
}

static udpr_transport *listen_with_room(udpr_reactor *reactor, const udpr_protocol *protocol) {
  udpr_transport *port = listen_on(reactor, "127.0.0.1", protocol, NULL);
  make_room(udpr_transport_fileno(port));
  return port;
}

static void set_up(fixture *f, weather weather) {
  if (geteuid() != 0) SKIP("needs root for a network namespace");
  if (system("ip -V >/dev/null 2>&1") != 0) SKIP("needs ip (iproute2)");
  memset(f, 0, sizeof *f);
  f->reactor = new_reactor(0);
  f->relay.weather = weather;
  udpr_protocol client = {.size = sizeof client, .user = f, .datagram_received = client_received};
  udpr_protocol server = {.size = sizeof server, .user = f, .datagram_received = server_received};
  new_island(&f->hosts.far_fd);
  f->relay.back = relay_socket();
  f->server = listen_with_room(f->reactor, &server);
  new_island(&f->hosts.near_fd);
  f->relay.front = relay_socket();
  f->client = listen_with_room(f->reactor, &client);

  struct sockaddr_storage remote;
  size_t                  len = 0;
  udpr_addr               host = host_of(f->server);
  OK(udpr_addr_to_sockaddr(&host, &remote, sizeof remote, &len));
  CHECK_EQ(0, connect(f->relay.back, (struct sockaddr *)&remote, (socklen_t)len));
  f->door = peer_addr(f->relay.front);
  f->door = addr("127.0.0.1", f->door.port);
  f->relay.ways[THERE] = (way){.from = f->relay.front, .to = f->relay.back, .seed = 2463534242u};
  f->relay.ways[BACK] = (way){.from = f->relay.back, .to = f->relay.front, .seed = 521288629u};
  thread_start(&f->relay.thread, relay_run, &f->relay);
}

static void client_write(fixture *f, uint32_t number) {
  OK(udpr_transport_write(f->client, &number, sizeof number, &f->door));
}

/* What the relay sent is what was received, in its order: nothing more, nothing less. */
static void end_and_compare(fixture *f) {
  f->relay.stop = true;
  thread_join(&f->relay.thread);
  for (int i = 0; i < WAYS; i++) {
    const way *one = &f->relay.ways[i];
    RUN_UNTIL(f->reactor, f->count[i] >= one->count);
    run_turns(f->reactor, 3);
    NOTE("%s: %u lost, %u doubled, %u delayed, %u received", i == THERE ? "there" : "back", one->lost,
         one->doubled, one->delayed, f->count[i]);
    CHECK_EQ(one->count, f->count[i]);
    CHECK(memcmp(one->log, f->got[i], one->count * sizeof *one->log) == 0);
    CHECK_EQ(one->count, stats_of(i == THERE ? f->server : f->client).datagrams_in);
    CHECK(one->doubled > 0 && one->delayed > 0 && (one->lost > 0) == (f->relay.weather.lost > 0));
  }
  udpr_transport_release(f->client);
  udpr_transport_release(f->server);
  OK(udpr_reactor_free(f->reactor));
  close(f->relay.front);
  close(f->relay.back);
  two_hosts_close(&f->hosts);
}

static fixture f; /* too large for a stack */

/* ---- the cases --------------------------------------------------------------------------------------------------- */

typedef struct burst {
  uint32_t first, end;
} burst;

static void write_burst(udpr_reactor *reactor, void *user) {
  burst *self = user;
  (void)reactor;
  for (uint32_t number = self->first; number < self->end; number++) client_write(&f, number);
}

TEST(what_comes_is_what_was_sent_in_the_order_it_came) {
  enum { COUNT = 2000, BURST = 50 };
  set_up(&f, (weather){.doubled = 20, .held = 30});
  for (burst one = {.first = 0}; one.first < COUNT;
       one.first += BURST) { /* no more than fits the sockets' buffers */
    one.end = one.first + BURST;
    OK(udpr_reactor_call_later(f.reactor, 0, write_burst, &one, NULL, NULL));
    RUN_UNTIL(f.reactor, f.seen[THERE] == one.end && f.seen[BACK] == one.end);
  }
  bool reordered = false;
  for (uint32_t i = 1; i < f.count[THERE]; i++) reordered |= f.got[THERE][i] < f.got[THERE][i - 1];
  CHECK(reordered);
  end_and_compare(&f);
}

/* A window of requests, each asked for again until there is an answer. */
enum { REQUESTS = 300, WINDOW = 16 };
static const udpr_ns RETRY = MS(10);

typedef struct request {
  uint32_t number;
  udpr_id  retry; /* 0: answered */
} request;

static request  requests[REQUESTS];
static uint32_t asked, done, retries, late;

static void ask(udpr_reactor *reactor, void *user) {
  request *self = user;
  if (self->retry != 0) retries++;
  client_write(&f, self->number);
  OK(udpr_reactor_call_later(reactor, RETRY, ask, self, NULL, &self->retry));
}

static void ask_next(fixture *unused) {
  (void)unused;
  if (asked == REQUESTS) return;
  requests[asked] = (request){.number = asked};
  asked++;
  ask(f.reactor, &requests[asked - 1]);
}

static void answered(fixture *unused, uint32_t number) {
  CHECK(number < asked);
  request *self = &requests[number];
  if (self->retry == 0) { /* doubled, or an answer to a retry */
    late++;
    return;
  }
  OK(udpr_reactor_cancel_call(f.reactor, self->retry));
  self->retry = 0;
  done++;
  ask_next(unused);
}

TEST(requests_with_timeouts_get_through) {
  set_up(&f, (weather){.lost = 20, .doubled = 10, .held = 20});
  f.answered = answered;
  for (int i = 0; i < WINDOW; i++) ask_next(&f);
  RUN_UNTIL(f.reactor, done == REQUESTS);
  CHECK_EQ(REQUESTS, f.seen[BACK]);
  CHECK_EQ(done + late, f.count[BACK]);
  CHECK(retries > 0);
  NOTE("%u requests, %u retries, %u answers too many", REQUESTS, retries, late);
  end_and_compare(&f);
}

CHECK_MAIN()
