/* udpr_transport_post: writing from threads that do not run the reactor. */
#include "check.h"
#include <semaphore.h>

enum { THREADS = 4, EACH = 1000, WINDOW = 32 };

typedef struct producer {
  check_thread    thread;
  udpr_transport *transport;
  udpr_addr       to;
  uint32_t        index, next; /* `next` is the number that the reader expects */
  /* limits the number of datagrams on their way, so that the peer's socket buffer never overflows */
  sem_t window;
} producer;

typedef struct item {
  uint32_t producer, number;
} item;

static void post_all(void *arg) {
  producer *self = arg;
  for (uint32_t number = 0; number < EACH; number++) {
    item one = {self->index, number};
    while (sem_wait(&self->window) != 0) {}
    OK(udpr_transport_post(self->transport, &one, sizeof one, &self->to));
  }
}

/* Receives what has arrived. Returns the total so far. */
static uint32_t receive_posts(int peer, producer *producers) {
  item     one;
  uint32_t total = 0;
  while (recv(peer, &one, sizeof one, MSG_DONTWAIT) == sizeof one) {
    CHECK(one.producer < THREADS);
    CHECK_EQ(producers[one.producer].next, one.number); /* in order for each thread */
    producers[one.producer].next++;
    sem_post(&producers[one.producer].window);
  }
  for (int i = 0; i < THREADS; i++) total += producers[i].next;
  return total;
}

static udpr_transport *listen_with(udpr_reactor *reactor, const udpr_udp_options *options) {
  udpr_protocol protocol = {.size = sizeof protocol};
  return listen_on(reactor, "127.0.0.1", &protocol, options);
}

TEST(four_threads_post_in_order) {
  udpr_reactor   *reactor = new_reactor(0);
  udpr_transport *transport = listen_with(reactor, NULL);
  int             peer = peer_open(AF_INET);
  producer        producers[THREADS];
  for (uint32_t i = 0; i < THREADS; i++) {
    producers[i] = (producer){.transport = transport, .to = peer_addr(peer), .index = i};
    CHECK_EQ(0, sem_init(&producers[i].window, 0, WINDOW));
    thread_start(&producers[i].thread, post_all, &producers[i]);
  }
  RUN_UNTIL(reactor, receive_posts(peer, producers) == THREADS * EACH);
  for (int i = 0; i < THREADS; i++) thread_join(&producers[i].thread);
  CHECK_EQ(THREADS * EACH, stats_of(transport).datagrams_out);
  OK(udpr_transport_close(transport));
  udpr_transport_release(transport);
  OK(udpr_reactor_free(reactor));
  close(peer);
}

typedef struct wake_fixture {
  udpr_transport *transport;
  udpr_reactor   *reactor;
  udpr_addr       to;
  int             peer;
} wake_fixture;

static void run_reactor(void *arg) { run_with_timeout(((wake_fixture *)arg)->reactor); }

static void stop_on_datagram(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  (void)datagram, (void)user;
  OK(udpr_reactor_stop(udpr_transport_reactor(transport)));
}

/* A post wakes a reactor that waits in run. A datagram from the peer then ends run. */
TEST(post_wakes_a_waiting_reactor) {
  wake_fixture  w = {.reactor = new_reactor(0), .peer = peer_open(AF_INET)};
  udpr_protocol protocol = {.size = sizeof protocol, .datagram_received = stop_on_datagram};
  check_thread  thread;
  w.transport = listen_on(w.reactor, "127.0.0.1", &protocol, NULL);
  w.to = peer_addr(w.peer);
  udpr_addr host = host_of(w.transport);
  thread_start(&thread, run_reactor, &w);
  while (!udpr_reactor_is_running(w.reactor)) sched_yield();
  OK(udpr_transport_post(w.transport, "wake up", 7, &w.to));
  PEER_RECEIVES(w.peer, "wake up");
  peer_send(w.peer, &host, "stop", 4);
  thread_join(&thread);
  CHECK_STATUS(UDPR_E_CLOSED, udpr_transport_post(w.transport, "too late", 8, &w.to));
  udpr_transport_release(w.transport);
  OK(udpr_reactor_free(w.reactor));
  close(w.peer);
}

typedef struct post_attempt {
  udpr_transport  *transport;
  const void      *data;
  size_t           len;
  const udpr_addr *to;
  udpr_status      status;
} post_attempt;

static void post_once(void *arg) {
  post_attempt *self = arg;
  self->status = udpr_transport_post(self->transport, self->data, self->len, self->to);
}

static udpr_status post_from_thread(udpr_transport *transport, const void *data, size_t len,
                                    const udpr_addr *to) {
  post_attempt one = {transport, data, len, to, UDPR_OK};
  run_in_thread(post_once, &one);
  return one.status;
}

TEST(post_refuses) {
  static const uint8_t big[65508];
  udpr_reactor        *reactor = new_reactor(0);
  udpr_transport      *transport = listen_with(reactor, NULL);
  int                  peer = peer_open(AF_INET);
  udpr_addr            to = peer_addr(peer), v6 = addr("::1", 9);
  udpr_status          no_transport = post_from_thread(NULL, "x", 1, &to),
              no_data = post_from_thread(transport, NULL, 1, &to);
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, no_transport);
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, no_data);
  CHECK_STATUS(UDPR_E_MESSAGE_TOO_LONG, post_from_thread(transport, big, sizeof big, &to));
  CHECK_STATUS(UDPR_E_ADDRESS_FAMILY, post_from_thread(transport, "x", 1, &v6));
  OK(post_from_thread(transport, NULL, 0, &to));
  OK(post_from_thread(transport, "works", 5, &to));
  CHECK(peer_has_no_datagram(peer)); /* it is sent in a turn, never in the call */
  OK(udpr_reactor_iterate(reactor, 0));
  PEER_RECEIVES(peer, "");
  PEER_RECEIVES(peer, "works");
  OK(udpr_transport_close(transport));
  CHECK_STATUS(UDPR_E_CLOSED, post_from_thread(transport, "x", 1, &to));
  OK(udpr_reactor_free(reactor));
  CHECK_STATUS(UDPR_E_CLOSED, post_from_thread(transport, "x", 1, &to)); /* the reference is still valid */
  udpr_transport_release(transport);
  close(peer);
}

TEST(post_is_bounded_like_the_send_queue) {
  udpr_reactor    *reactor = new_reactor(0);
  udpr_udp_options options = {.size = sizeof options, .send_queue_bytes = 4096};
  udpr_transport  *transport = listen_with(reactor, &options);
  int              peer = peer_open(AF_INET);
  udpr_addr        to = peer_addr(peer);
  uint8_t          data[1000] = {0};
  udpr_status      status = UDPR_OK;
  int              accepted = 0;
  for (; accepted < 100; accepted++) {
    if ((status = post_from_thread(transport, data, sizeof data, &to)) != UDPR_OK) break;
  }
  CHECK_STATUS(UDPR_E_WOULD_BLOCK, status);
  CHECK(accepted >= 1 && accepted <= 4);
  OK(udpr_reactor_iterate(reactor, 0));
  for (int i = 0; i < accepted; i++) CHECK_EQ(sizeof data, peer_receive(peer, data, sizeof data));
  CHECK(peer_has_no_datagram(peer));
  OK(post_from_thread(transport, "room again", 10, &to));
  OK(udpr_reactor_iterate(reactor, 0));
  PEER_RECEIVES(peer, "room again");
  OK(udpr_transport_close(transport));
  udpr_transport_release(transport);
  OK(udpr_reactor_free(reactor));
  close(peer);
}

static void count_ready(udpr_transport *transport, void *user) {
  (void)transport;
  ++*(int *)user;
}

/* As for a write with an empty queue. So a refused post always has another one before it, and write_ready is
 * called.
 */
TEST(an_empty_queue_accepts_a_post_of_any_size) {
  const uint32_t bounds[] = {1, 63, 64, 1000, 1199, 1200};
  const size_t   lengths[] = {0, 1, 1200};
  int            peer = peer_open(AF_INET);
  udpr_addr      to = peer_addr(peer);
  uint8_t        data[1200] = {0}, got[1201];
  for (int b = 0; b < 6; b++) {
    int              ready = 0;
    udpr_reactor    *reactor = new_reactor(0);
    udpr_protocol    protocol = {.size = sizeof protocol, .user = &ready, .write_ready = count_ready};
    udpr_udp_options options = {.size = sizeof options, .send_queue_bytes = bounds[b]};
    udpr_transport  *transport = listen_on(reactor, "127.0.0.1", &protocol, &options);
    for (int i = 0; i < 3; i++) {
      size_t first = lengths[i] > 64 ? lengths[i] : 64;
      bool   room = first + 64 <= bounds[b];
      OK(post_from_thread(transport, data, lengths[i], &to));
      CHECK_STATUS(room ? UDPR_OK : UDPR_E_WOULD_BLOCK, post_from_thread(transport, "x", 1, &to));
      run_turns(reactor, 3);
      CHECK_EQ(lengths[i], peer_receive(peer, got, sizeof got));
      if (room) PEER_RECEIVES(peer, "x");
      CHECK(peer_has_no_datagram(peer));
      CHECK_EQ(room ? 0 : 1, ready);
      OK(post_from_thread(transport, data, lengths[i], &to));
      run_turns(reactor, 3);
      CHECK_EQ(lengths[i], peer_receive(peer, got, sizeof got));
      CHECK_EQ((room ? 0 : 1) + (first > bounds[b]), ready); /* it filled the queue alone */
      ready = 0;
    }
    OK(udpr_reactor_free(reactor));
    udpr_transport_release(transport);
  }
  close(peer);
}

CHECK_MAIN()
