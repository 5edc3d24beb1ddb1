/* Under overload, exactly one counter counts each datagram. */
#include "network_namespace.h"
#include "overload.h"

#include <netinet/udp.h>

enum { BUFFER = 32768, SENDERS = 3, EACH = 30000, LEN = 200 };

/* The datagrams that did not fit into the receive buffer: SO_MEMINFO, SK_MEMINFO_DROPS in linux/sock_diag.h.
 */
static uint32_t socket_drops(int fd) {
  uint32_t  info[9];
  socklen_t len = sizeof info;
  CHECK_EQ(0, getsockopt(fd, SOL_SOCKET, SO_MEMINFO, info, &len));
  CHECK_EQ(sizeof info, len);
  return info[8];
}

/* The datagrams that reached no socket, because the queue of the loopback device
 * (net.core.netdev_max_backlog) was full.
 */
static uint64_t device_drops(void) {
  unsigned long long drops = 0;
  char               line[256];
  FILE              *file = fopen("/proc/thread-self/net/dev", "r");
  CHECK(file != NULL);
  while (fgets(line, sizeof line, file)) {
    if (strstr(line, "lo:")) CHECK_EQ(1, sscanf(strchr(line, ':') + 1, "%*u %*u %*u %llu", &drops));
  }
  fclose(file);
  return drops;
}

static uint64_t count_waiting(int fd) {
  uint64_t count = 0;
  char     data[LEN];
  while (recv(fd, data, sizeof data, MSG_DONTWAIT) >= 0) count++;
  return count;
}

/* ---- threads that send as fast as possible, to a port that echoes -------------------------------------- */

typedef struct sender {
  check_thread thread;
  int          fd;
  udpr_addr    to;
} sender;

typedef struct server {
  udpr_reactor   *reactor;
  udpr_transport *transport;
  /* of a call that is made each millisecond: its due time and its greatest delay */
  udpr_ns due, latest;
} server;

static atomic_int senders_done;

static void send_as_fast_as_possible(void *arg) {
  sender *self = arg;
  char    data[LEN] = "";
  for (uint32_t i = some_of(EACH); i > 0; i--) peer_send(self->fd, &self->to, data, sizeof data);
  atomic_fetch_add(&senders_done, 1);
}

static void echo(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  (void)user;
  OK(udpr_transport_write(transport, datagram->data, datagram->len, &datagram->sender));
}

static void tick(udpr_reactor *reactor, void *user) {
  server *self = user;
  udpr_ns now = udpr_reactor_now(reactor);
  if (self->due && now - self->due > self->latest) self->latest = now - self->due;
  self->due = now + MS(1);
  OK(udpr_reactor_call_later(reactor, MS(1), tick, self, NULL, NULL));
}

TEST(every_datagram_of_three_senders_is_accounted_for) {
  server           s = {.reactor = NULL};
  sender           senders[SENDERS];
  uint64_t         sent = (uint64_t)SENDERS * some_of(EACH), echoed = 0;
  udpr_protocol    protocol = {.size = sizeof protocol, .datagram_received = echo};
  udpr_udp_options options = {.size = sizeof options, .receive_buffer = BUFFER};
  enter_network_namespace();
  s.reactor = new_reactor(0);
  s.transport = listen_on(s.reactor, "127.0.0.1", &protocol, &options);
  tick(s.reactor, &s);
  for (int i = 0; i < SENDERS; i++) {
    senders[i] = (sender){.fd = peer_open(AF_INET), .to = host_of(s.transport)};
    thread_start(&senders[i].thread, send_as_fast_as_possible, &senders[i]);
  }
  RUN_UNTIL(s.reactor, senders_done == SENDERS);
  for (int i = 0; i < SENDERS; i++) thread_join(&senders[i].thread);
  RUN_UNTIL(s.reactor, stats_of(s.transport).queued_datagrams == 0 &&
                           stats_of(s.transport).datagrams_in == stats_of(s.transport).datagrams_out);
  run_turns(s.reactor, 50); /* more than enough for the contents of one socket buffer */
  udpr_transport_stats stats = stats_of(s.transport);
  for (int i = 0; i < SENDERS; i++) echoed += count_waiting(senders[i].fd) + socket_drops(senders[i].fd);
  NOTE("%llu sent, %llu handled, %llu dropped, a call %llu us late", (unsigned long long)sent,
       (unsigned long long)stats.datagrams_in, (unsigned long long)stats.dropped_in,
       (unsigned long long)s.latest / 1000);
  CHECK_EQ(0, stats.dropped_out);
  CHECK_EQ(stats.datagrams_in, stats.datagrams_out);
  CHECK_EQ(sent + stats.datagrams_out, stats.datagrams_in + stats.dropped_in + echoed + device_drops());
  OK(udpr_transport_close(s.transport));
  udpr_transport_release(s.transport);
  OK(udpr_reactor_free(s.reactor));
  for (int i = 0; i < SENDERS; i++) close(senders[i].fd);
}

/* ---- one port and one sender ---------------------------------------------------------------------------------- */

typedef struct fixture {
  udpr_reactor   *reactor;
  udpr_transport *transport;
  udpr_addr       host;
  int             peer;
  uint32_t        next, received; /* the number of the next datagram to send, and how many were received */
  uint32_t        last;
  void (*each)(struct fixture *f);
  udpr_transport_stats end; /* the statistics in stop_protocol */
} fixture;

static void received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  fixture *f = user;
  uint32_t number;
  (void)transport;
  memcpy(&number, datagram->data, sizeof number);
  CHECK(number > f->last); /* some are missing, but the order is kept */
  f->last = number;
  f->received++;
  if (f->each) f->each(f);
}

static void stopped(udpr_transport *transport, udpr_status reason, void *user) {
  OK(reason);
  ((fixture *)user)->end = stats_of(transport);
}

static udpr_protocol protocol_of(fixture *f, udpr_datagram_fn callback) {
  return (udpr_protocol){.size = sizeof(udpr_protocol),
                         .user = f,
                         .datagram_received = callback,
                         .stop_protocol = stopped};
}

static void set_up(fixture *f, udpr_datagram_fn callback, uint32_t flags) {
  udpr_protocol    protocol = protocol_of(f, callback);
  udpr_udp_options options = {.size = sizeof options, .flags = flags, .receive_buffer = BUFFER};
  *f = (fixture){.reactor = new_reactor(0), .peer = peer_open(AF_INET), .next = 1};
  f->transport = listen_on(f->reactor, "127.0.0.1", &protocol, &options);
  f->host = host_of(f->transport);
}

static void tear_down(fixture *f) {
  udpr_transport_release(f->transport);
  OK(udpr_reactor_free(f->reactor)); /* closes the port */
  CHECK(f->end.size > 0);
  close(f->peer);
}

static void send_numbers(fixture *f, int count) {
  uint8_t data[LEN] = {0};
  for (; count > 0; count--, f->next++) {
    memcpy(data, &f->next, sizeof f->next);
    peer_send(f->peer, &f->host, data, sizeof data);
  }
}

static void check_sum(const fixture *f, uint64_t sent) {
  udpr_transport_stats stats = stats_of(f->transport);
  CHECK(stats.dropped_in > 0);
  CHECK_EQ(sent, stats.datagrams_in + stats.dropped_in);
  CHECK_EQ(f->received, stats.datagrams_in);
}

static void pause_at_10(fixture *f) {
  if (f->received == 10) OK(udpr_transport_pause_reading(f->transport));
  CHECK(f->received <= 10);
}

TEST(a_paused_port_keeps_one_batch_and_the_kernel_drops_the_rest) {
  fixture f;
  set_up(&f, received, 0);
  f.each = pause_at_10;
  send_numbers(&f, 20);
  RUN_UNTIL(f.reactor, f.received == 10);
  uint64_t kept = stats_of(f.transport).kept_datagrams;
  for (int i = 0; i < 10; i++) {
    send_numbers(&f, 500);
    run_turns(f.reactor, 2);
    CHECK_EQ(10, f.received);
    CHECK_EQ(kept, stats_of(f.transport).kept_datagrams);
  }
  CHECK_EQ(10 + kept, stats_of(f.transport).datagrams_in);
  f.each = NULL;
  OK(udpr_transport_resume_reading(f.transport));
  run_turns(f.reactor, 50);
  CHECK_EQ(0, stats_of(f.transport).kept_datagrams);
  check_sum(&f, 20 + 10 * 500);
  tear_down(&f);
}

static void stop_at_10(fixture *f) {
  CHECK(f->received <= 10);
  if (f->received == 10) OK(udpr_transport_stop_listening(f->transport));
}

TEST(a_stopped_port_has_counted_undelivered_datagrams) {
  fixture f;
  set_up(&f, received, 0);
  f.each = stop_at_10;
  send_numbers(&f, 5000);
  RUN_UNTIL(f.reactor, f.end.size > 0);
  CHECK_EQ(10, f.received);
  CHECK(f.end.dropped_in > 0 && f.end.discarded_in > 0);
  CHECK_EQ(10 + f.end.discarded_in, f.end.datagrams_in);
  tear_down(&f);
}

/* The kernel counts from the creation of the socket, the port from its adoption. */
TEST(drops_of_an_adopted_socket_count_from_its_adoption) {
  fixture       f = {.reactor = new_reactor(0), .peer = peer_open(AF_INET), .next = 1};
  udpr_protocol protocol = protocol_of(&f, received);
  int           fd = peer_open(AF_INET), size = BUFFER;
  CHECK_EQ(0, setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size));
  f.host = peer_addr(fd);
  send_numbers(&f, 1000);
  uint32_t before = socket_drops(fd);
  CHECK(before > 0);
  OK(udpr_reactor_adopt_datagram_port(f.reactor, fd, UDPR_AF_INET, &protocol, NULL, &f.transport));
  CHECK_EQ(0, stats_of(f.transport).dropped_in);
  run_turns(f.reactor, 50);
  CHECK_EQ(1000, f.received + before);
  CHECK_EQ(0, stats_of(f.transport).dropped_in);
  uint32_t first = f.received;
  send_numbers(&f, 1000);
  run_turns(f.reactor, 50);
  check_sum(&f, first + 1000);
  tear_down(&f);
  close(fd);
}

/* ---- merged datagrams: one socket buffer contains many ------------------------------------------------- */

enum { SEGMENTS = 20, SENDS = 200 };

static void count_segments(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  (void)transport;
  CHECK_EQ(LEN, datagram->len);
  ((fixture *)user)->received++;
}

/* `each` is the number of datagrams for which the kernel counts one drop. A kernel that does not merge
 * receives single ones.
 */
static void check_merged(uint32_t flags, uint64_t each) {
  static uint8_t data[SEGMENTS * LEN];
  bool           gso = udpr_has_feature("gso");
  int            size = LEN;
  fixture        f;
  set_up(&f, count_segments, flags);
  if (gso) CHECK_EQ(0, setsockopt(f.peer, IPPROTO_UDP, UDP_SEGMENT, &size, sizeof size));
  for (int i = 0; i < SENDS * SEGMENTS; i += gso ? SEGMENTS : 1)
    peer_send(f.peer, &f.host, data, gso ? sizeof data : LEN);
  run_turns(f.reactor, 50);
  udpr_transport_stats stats = stats_of(f.transport);
  CHECK(stats.dropped_in > 0 && stats.datagrams_in > 0);
  CHECK_EQ(f.received, stats.datagrams_in);
  CHECK_EQ(SEGMENTS * SENDS, stats.datagrams_in + each * stats.dropped_in);
  tear_down(&f);
}

TEST(a_dropped_merged_datagram_counts_as_one) {
  check_merged(0, udpr_has_feature("gso") && udpr_has_feature("gro") ? SEGMENTS : 1);
}

TEST(without_offload_each_dropped_datagram_counts) { check_merged(UDPR_UDP_NO_OFFLOAD, 1); }

CHECK_MAIN()
