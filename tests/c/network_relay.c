/* A lossy network: two hosts connected only by a relay that loses, duplicates, reorders and delays datagrams.
 * Ports receive what the relay has sent, in that order, and a client with retries gets all its replies.
 */
#include "two_hosts.h"

#include <poll.h>

enum { TO_SERVER, TO_CLIENT, DIRECTIONS };
enum { DELAYED_MAX = 8, LOG_MAX = 20000, PAUSE_MS = 2 };

/* Percentages: lost, sent twice, and delayed while others pass. */
typedef struct impairment {
  uint32_t lost, duplicated, delayed;
} impairment;

/* One direction of the relay. */
typedef struct direction {
  int      from, to; /* sockets */
  uint32_t seed, delayed[DELAYED_MAX], delayed_count;
  uint32_t lost, duplicated, delayed_total;
  uint32_t log[LOG_MAX], count; /* the numbers sent, in order */
} direction;

typedef struct relay {
  check_thread thread;
  impairment   impairment;
  direction    directions[DIRECTIONS];
  int          client_side, server_side; /* a socket on each host */
  atomic_bool  stop;
} relay;

/* xorshift32 */
static uint32_t percent(direction *self) {
  self->seed ^= self->seed << 13, self->seed ^= self->seed >> 17, self->seed ^= self->seed << 5;
  return self->seed % 100;
}

/* The socket is connected. */
static void forward(direction *self, uint32_t number) {
  CHECK(self->count < LOG_MAX);
  self->log[self->count++] = number;
  CHECK_EQ(sizeof number, send(self->to, &number, sizeof number, 0));
}

/* In reverse order. */
static void release_delayed(direction *self) {
  while (self->delayed_count > 0) forward(self, self->delayed[--self->delayed_count]);
}

static void handle(direction *self, const impairment *impairment, uint32_t number) {
  if (percent(self) < impairment->lost) {
    self->lost++;
    return;
  }
  if (percent(self) < impairment->delayed && self->delayed_count < DELAYED_MAX) {
    self->delayed[self->delayed_count++] = number;
    self->delayed_total++;
    return;
  }
  forward(self, number);
  if (percent(self) < impairment->duplicated) {
    forward(self, number);
    self->duplicated++;
  }
  if (percent(self) < 20) release_delayed(self);
}

/* The address of the client is that of its first datagram. */
static void connect_to_client(int client_side) {
  struct sockaddr_in client;
  socklen_t          len = sizeof client;
  char               byte;
  if (recvfrom(client_side, &byte, 1, MSG_PEEK, (struct sockaddr *)&client, &len) < 0)
    FAIL("no client: %s", strerror(errno));
  CHECK_EQ(0, connect(client_side, (struct sockaddr *)&client, len));
}

/* Delayed datagrams are sent when nothing has arrived for PAUSE_MS, or earlier. */
static void relay_run(void *arg) {
  relay        *self = arg;
  struct pollfd fds[DIRECTIONS] = {{.fd = self->client_side, .events = POLLIN},
                                   {.fd = self->server_side, .events = POLLIN}};
  uint32_t      number;
  connect_to_client(self->client_side);
  while (!self->stop) {
    int ready = poll(fds, DIRECTIONS, PAUSE_MS);
    for (int i = 0; i < DIRECTIONS; i++) {
      direction *one = &self->directions[i];
      if (ready == 0) release_delayed(one);
      if (fds[i].revents && recv(one->from, &number, sizeof number, MSG_DONTWAIT) == sizeof number)
        handle(one, &self->impairment, number);
    }
  }
}

/* ---- both hosts ------------------------------------------------------------------------------------------------ */

typedef struct fixture {
  two_hosts       hosts;
  udpr_reactor   *reactor;
  udpr_transport *client, *server;
  udpr_addr       relay_addr; /* the address to which the client sends */
  relay           relay;
  uint32_t        received[DIRECTIONS][LOG_MAX], count[DIRECTIONS]; /* by the server and by the client */
  uint32_t        distinct[DIRECTIONS];                             /* how many distinct numbers */
  bool            is_received[DIRECTIONS][LOG_MAX];
  void (*on_reply)(struct fixture *f, uint32_t number); /* called by the client for each reply */
} fixture;

static uint32_t take(fixture *f, int direction, const udpr_datagram *datagram) {
  uint32_t number;
  CHECK(datagram->len == sizeof number && f->count[direction] < LOG_MAX);
  memcpy(&number, datagram->data, sizeof number);
  CHECK(number < LOG_MAX);
  f->received[direction][f->count[direction]++] = number;
  if (!f->is_received[direction][number]) f->distinct[direction]++;
  f->is_received[direction][number] = true;
  return number;
}

static void server_received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  take(user, TO_SERVER, datagram);
  OK(udpr_transport_write(transport, datagram->data, datagram->len, &datagram->sender));
}

static void client_received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  fixture *f = user;
  uint32_t number = take(f, TO_CLIENT, datagram);
  (void)transport;
  if (f->on_reply) f->on_reply(f, number);
}

static void enter_new_host(int *fd) {
  *fd = new_network_namespace();
  run_command("ip link set lo up");
}

/* Only the relay may lose datagrams, even if one thread does not run for a while. */
static void enlarge_receive_buffer(int fd) {
  int room = 4 << 20;
  CHECK_EQ(0, setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room));
}

static int open_relay_socket(void) {
  int fd = peer_open(AF_INET);
  enlarge_receive_buffer(fd);
  return fd;
}

static udpr_transport *listen_with_large_buffer(udpr_reactor *reactor, const udpr_protocol *protocol) {
  udpr_transport *port = listen_on(reactor, "127.0.0.1", protocol, NULL);
  enlarge_receive_buffer(udpr_transport_fileno(port));
  return port;
}

static void set_up(fixture *f, impairment impairment) {
  if (geteuid() != 0) SKIP("needs root for a network namespace");
  if (system("ip -V >/dev/null 2>&1") != 0) SKIP("needs ip (iproute2)");
  memset(f, 0, sizeof *f);
  f->reactor = new_reactor(0);
  f->relay.impairment = impairment;
  udpr_protocol client = {.size = sizeof client, .user = f, .datagram_received = client_received};
  udpr_protocol server = {.size = sizeof server, .user = f, .datagram_received = server_received};
  enter_new_host(&f->hosts.far_fd);
  f->relay.server_side = open_relay_socket();
  f->server = listen_with_large_buffer(f->reactor, &server);
  enter_new_host(&f->hosts.near_fd);
  f->relay.client_side = open_relay_socket();
  f->client = listen_with_large_buffer(f->reactor, &client);

  struct sockaddr_storage remote;
  size_t                  len = 0;
  udpr_addr               host = host_of(f->server);
  OK(udpr_addr_to_sockaddr(&host, &remote, sizeof remote, &len));
  CHECK_EQ(0, connect(f->relay.server_side, (struct sockaddr *)&remote, (socklen_t)len));
  f->relay_addr = peer_addr(f->relay.client_side);
  f->relay_addr = addr("127.0.0.1", f->relay_addr.port);
  f->relay.directions[TO_SERVER] =
      (direction){.from = f->relay.client_side, .to = f->relay.server_side, .seed = 2463534242u};
  f->relay.directions[TO_CLIENT] =
      (direction){.from = f->relay.server_side, .to = f->relay.client_side, .seed = 521288629u};
  thread_start(&f->relay.thread, relay_run, &f->relay);
}

static void client_write(fixture *f, uint32_t number) {
  OK(udpr_transport_write(f->client, &number, sizeof number, &f->relay_addr));
}

/* Everything that the relay has sent was received, in the same order. */
static void tear_down_and_compare(fixture *f) {
  f->relay.stop = true;
  thread_join(&f->relay.thread);
  for (int i = 0; i < DIRECTIONS; i++) {
    const direction *one = &f->relay.directions[i];
    RUN_UNTIL(f->reactor, f->count[i] >= one->count);
    run_turns(f->reactor, 3);
    NOTE("%s: %u lost, %u duplicated, %u delayed, %u received",
         i == TO_SERVER ? "to the server" : "to the client", one->lost, one->duplicated, one->delayed_total,
         f->count[i]);
    CHECK_EQ(one->count, f->count[i]);
    CHECK(memcmp(one->log, f->received[i], one->count * sizeof *one->log) == 0);
    CHECK_EQ(one->count, stats_of(i == TO_SERVER ? f->server : f->client).datagrams_in);
    CHECK(one->duplicated > 0 && one->delayed_total > 0 && (one->lost > 0) == (f->relay.impairment.lost > 0));
  }
  udpr_transport_release(f->client);
  udpr_transport_release(f->server);
  OK(udpr_reactor_free(f->reactor));
  close(f->relay.client_side);
  close(f->relay.server_side);
  two_hosts_close(&f->hosts);
}

static fixture f; /* too large for the stack */

/* ---- the cases --------------------------------------------------------------------------------------------------- */

typedef struct burst {
  uint32_t first, end;
} burst;

static void write_burst(udpr_reactor *reactor, void *user) {
  burst *self = user;
  (void)reactor;
  for (uint32_t number = self->first; number < self->end; number++) client_write(&f, number);
}

TEST(duplicated_and_reordered_datagrams) {
  enum { COUNT = 2000, BURST = 50 };
  set_up(&f, (impairment){.duplicated = 20, .delayed = 30});
  for (burst one = {.first = 0}; one.first < COUNT; one.first += BURST) { /* fits into the socket buffers */
    one.end = one.first + BURST;
    OK(udpr_reactor_call_later(f.reactor, 0, write_burst, &one, NULL, NULL));
    RUN_UNTIL(f.reactor, f.distinct[TO_SERVER] == one.end && f.distinct[TO_CLIENT] == one.end);
  }
  bool reordered = false;
  for (uint32_t i = 1; i < f.count[TO_SERVER]; i++)
    reordered |= f.received[TO_SERVER][i] < f.received[TO_SERVER][i - 1];
  CHECK(reordered);
  tear_down_and_compare(&f);
}

/* Up to WINDOW requests are outstanding, each of which is sent again until its reply arrives. */
enum { REQUESTS = 300, WINDOW = 16 };
static const udpr_ns RETRY = MS(10);

typedef struct request {
  uint32_t number;
  udpr_id  retry; /* 0 if the reply has arrived */
} request;

static request  requests[REQUESTS];
static uint32_t sent, replied, retries, late;

static void send_request(udpr_reactor *reactor, void *user) {
  request *self = user;
  if (self->retry != 0) retries++;
  client_write(&f, self->number);
  OK(udpr_reactor_call_later(reactor, RETRY, send_request, self, NULL, &self->retry));
}

static void send_next_request(fixture *unused) {
  (void)unused;
  if (sent == REQUESTS) return;
  requests[sent] = (request){.number = sent};
  sent++;
  send_request(f.reactor, &requests[sent - 1]);
}

static void on_reply(fixture *unused, uint32_t number) {
  CHECK(number < sent);
  request *self = &requests[number];
  if (self->retry == 0) { /* a duplicate, or the reply to a retry */
    late++;
    return;
  }
  OK(udpr_reactor_cancel_call(f.reactor, self->retry));
  self->retry = 0;
  replied++;
  send_next_request(unused);
}

TEST(requests_with_retries_over_a_lossy_relay) {
  set_up(&f, (impairment){.lost = 20, .duplicated = 10, .delayed = 20});
  f.on_reply = on_reply;
  for (int i = 0; i < WINDOW; i++) send_next_request(&f);
  RUN_UNTIL(f.reactor, replied == REQUESTS);
  CHECK_EQ(REQUESTS, f.distinct[TO_CLIENT]);
  CHECK_EQ(replied + late, f.count[TO_CLIENT]);
  CHECK(retries > 0);
  NOTE("%u requests, %u retries, %u late replies", REQUESTS, retries, late);
  tear_down_and_compare(&f);
}

CHECK_MAIN()
