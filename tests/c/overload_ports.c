/* Very many ports in one reactor, and what happens if no descriptor is left. */
#include "lookup.h"
#include "network_namespace.h"
#include "overload.h"

#include <sys/resource.h>

enum { PORTS = 20000, SPARE = 100 };

/* Returns how many ports there can be: PORTS, or as many as the hard limit of descriptors allows if it cannot
 * be raised. They are in a network namespace of their own, since PORTS is most of the 28,232 ephemeral ports.
 */
static uint32_t raise_descriptor_limit(void) {
  struct rlimit limit, raised;
  enter_network_namespace();
  CHECK_EQ(0, getrlimit(RLIMIT_NOFILE, &limit));
  raised.rlim_cur = raised.rlim_max = PORTS + SPARE;
  if (limit.rlim_max > raised.rlim_max) raised.rlim_max = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &raised) == 0) return some_of(PORTS);
  limit.rlim_cur = limit.rlim_max;
  CHECK_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
  CHECK(limit.rlim_max > 2 * SPARE);
  NOTE("a limit of %llu descriptors that cannot be raised", (unsigned long long)limit.rlim_max);
  return some_of((uint32_t)limit.rlim_max - SPARE);
}

typedef struct many {
  udpr_reactor *reactor;
  udpr_addr    *hosts;
  uint32_t     *received; /* for each port */
  uint32_t      count, total, stops, frees, calls;
  int           peer;
} many;

typedef struct one {
  many    *all;
  uint32_t index;
} one;

static void received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  one     *self = user;
  uint32_t index;
  CHECK_EQ(sizeof index, datagram->len);
  memcpy(&index, datagram->data, sizeof index);
  CHECK_EQ(self->index, index);
  self->all->received[index]++;
  self->all->total++;
  OK(udpr_transport_write(transport, datagram->data, datagram->len, &datagram->sender));
}

static void stopped(udpr_transport *transport, udpr_status reason, void *user) {
  (void)transport;
  OK(reason);
  ((one *)user)->all->stops++;
}

static void freed(void *user) {
  ((one *)user)->all->frees++;
  free(user);
}

static udpr_status listen_one(many *all, uint32_t index, udpr_transport **transport) {
  one *self = malloc(sizeof *self);
  CHECK(self != NULL);
  *self = (one){all, index};
  udpr_protocol protocol = {.size = sizeof protocol,
                            .user = self,
                            .free_user = freed,
                            .datagram_received = received,
                            .stop_protocol = stopped};
  return udpr_reactor_listen_udp(all->reactor, 0, "127.0.0.1", &protocol, NULL, transport);
}

static void begin(many *all, uint32_t count) {
  *all = (many){.reactor = new_reactor(0), .count = count, .peer = peer_open(AF_INET)};
  all->hosts = calloc(count, sizeof *all->hosts);
  all->received = calloc(count, sizeof *all->received);
  CHECK(all->hosts && all->received);
}

static void end(many *all, uint32_t ports) {
  OK(udpr_reactor_free(all->reactor));
  CHECK_EQ(ports, all->stops);
  free(all->hosts);
  free(all->received);
  close(all->peer);
}

static void call_again(udpr_reactor *reactor, void *user) {
  ((many *)user)->calls++;
  OK(udpr_reactor_call_later(reactor, 0, call_again, user, NULL, NULL));
}

/* The peer's buffer is large enough, since it reads during the turns. */
static void count_echoes(many *all, uint32_t *echoes) {
  uint32_t index;
  while (recv(all->peer, &index, sizeof index, MSG_DONTWAIT) == sizeof index) ++*echoes;
}

TEST(twenty_thousand_ports_are_all_served) {
  many     all;
  uint32_t echoes = 0;
  int      room = 64 << 20;
  begin(&all, raise_descriptor_limit());
  CHECK_EQ(0, setsockopt(all.peer, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room));
  for (uint32_t i = 0; i < all.count; i++) {
    udpr_transport *transport = NULL;
    OK(listen_one(&all, i, &transport));
    all.hosts[i] = host_of(transport);
    udpr_transport_release(transport);
  }
  OK(udpr_reactor_call_later(all.reactor, 0, call_again, &all, NULL, NULL));
  for (uint32_t round = 1; round <= 2; round++) { /* all ports are ready at once */
    for (uint32_t i = 0; i < all.count; i++) peer_send(all.peer, &all.hosts[i], &i, sizeof i);
    uint32_t before = all.calls, ports = all.total;
    while (all.total < ports + all.count) {
      uint32_t total = all.total;
      OK(udpr_reactor_iterate(all.reactor, 0));
      CHECK(all.total > total); /* every turn serves a port */
      count_echoes(&all, &echoes);
    }
    NOTE("%u ports were served in %u turns", all.count, all.calls - before);
    CHECK(all.calls - before >= all.count / 256); /* delayed calls were made between them */
    for (uint32_t i = 0; i < all.count; i++) CHECK_EQ(round, all.received[i]);
    CHECK_EQ(round * all.count, echoes);
  }
  /* One ready port among many is served in one turn. */
  for (uint32_t i = 0; i < all.count; i += all.count / 100) {
    uint32_t total = all.total;
    peer_send(all.peer, &all.hosts[i], &i, sizeof i);
    OK(udpr_reactor_iterate(all.reactor, 0));
    CHECK_EQ(total + 1, all.total);
  }
  end(&all, all.count);
  CHECK_EQ(all.count, all.frees);
}

/* ---- no descriptor left -------------------------------------------------------------------------------------------- */

static void set_limit(rlim_t soft) {
  struct rlimit limit;
  CHECK_EQ(0, getrlimit(RLIMIT_NOFILE, &limit));
  limit.rlim_cur = soft;
  CHECK_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
}

/* Returns how many descriptors can still be opened. */
static uint32_t count_available_descriptors(void) {
  int      all[1000];
  uint32_t count = 0;
  while (count < 1000 && (all[count] = dup(STDIN_FILENO)) >= 0) count++;
  CHECK_EQ(EMFILE, errno);
  for (uint32_t i = 0; i < count; i++) close(all[i]);
  return count;
}

/* Limits the number of descriptors so that about `more` can be opened. Returns the previous limit. */
static rlim_t limit_descriptors(int more) {
  struct rlimit limit;
  int           lowest = dup(STDIN_FILENO);
  CHECK(lowest >= 0);
  close(lowest);
  CHECK_EQ(0, getrlimit(RLIMIT_NOFILE, &limit));
  set_limit((rlim_t)(lowest + more));
  return limit.rlim_cur;
}

static void check_echo(many *all, uint32_t index) {
  uint32_t total = all->total, echoes = 0;
  peer_send(all->peer, &all->hosts[index], &index, sizeof index);
  RUN_UNTIL(all->reactor, all->total == total + 1);
  CHECK_EQ(sizeof echoes, peer_receive(all->peer, &echoes, sizeof echoes));
  CHECK_EQ(index, echoes);
}

TEST(listen_until_no_descriptor_is_left) {
  enum { FEW = 50 };
  many            all;
  udpr_transport *transports[FEW], *none = NULL;
  uint32_t        count = 0;
  udpr_status     status = UDPR_OK;
  begin(&all, FEW);
  rlim_t   before = limit_descriptors(FEW / 2);
  uint32_t left = count_available_descriptors();
  CHECK(left > 0);
  while (count < FEW && (status = listen_one(&all, count, &transports[count])) == UDPR_OK) {
    all.hosts[count] = host_of(transports[count]);
    count++;
  }
  CHECK_STATUS(UDPR_E_NO_FILES, status);
  CHECK_EQ(left, count);
  CHECK_EQ(1, all.frees); /* freed inside the call that failed */
  CHECK_EQ(0, all.stops);
  for (uint32_t i = 0; i < count; i++) check_echo(&all, i); /* open ports are not affected */

  OK(udpr_transport_close(transports[0])); /* after one was closed, one more can be opened */
  udpr_transport_release(transports[0]);
  OK(listen_one(&all, 0, &transports[0]));
  CHECK_STATUS(UDPR_E_NO_FILES, listen_one(&all, 0, &none));
  CHECK(none == NULL);
  all.hosts[0] = host_of(transports[0]);
  check_echo(&all, 0);
  for (uint32_t i = 0; i < count; i++) udpr_transport_release(transports[i]);
  set_limit(before);
  end(&all, count + 1);
}

TEST(functions_that_need_a_descriptor_return_no_files) {
  many            all;
  udpr_reactor   *second = NULL;
  udpr_transport *port = NULL, *adopted = NULL;
  int             threads = count_threads(), fd = peer_open(AF_INET);
  int32_t         backend = -1;
  lookup          echoes = {.calls = 0};
  begin(&all, 1);
  OK(listen_one(&all, 0, &port));
  all.hosts[0] = host_of(port);
  rlim_t        before = limit_descriptors(0);
  udpr_protocol protocol = {.size = sizeof protocol};
  CHECK_STATUS(UDPR_E_NO_FILES, udpr_reactor_new(NULL, &second));
  CHECK_STATUS(UDPR_E_NO_FILES,
               udpr_reactor_adopt_datagram_port(all.reactor, fd, 0, &protocol, NULL, &adopted));
  CHECK_STATUS(UDPR_E_NO_FILES, udpr_reactor_backend_fd(all.reactor, &backend));
  CHECK(second == NULL && adopted == NULL && backend == -1);
  lookup_start(all.reactor, "localhost", 0, 0, &echoes);
  RUN_UNTIL(all.reactor, echoes.calls == 1); /* addresses or an error */
  check_echo(&all, 0);
  OK(udpr_transport_connect(port, &all.hosts[0]));
  OK(udpr_transport_disconnect(port));
  check_echo(&all, 0);

  CHECK_EQ(0, count_available_descriptors());
  set_limit(before); /* everything works again */
  OK(udpr_reactor_new(NULL, &second));
  OK(udpr_reactor_free(second));
  OK(udpr_reactor_adopt_datagram_port(all.reactor, fd, 0, &protocol, NULL, &adopted));
  OK(udpr_reactor_backend_fd(all.reactor, &backend));
  udpr_transport_release(adopted);
  udpr_transport_release(port);
  close(fd);
  end(&all, 1);
  WAIT_UNTIL(count_threads() == threads); /* the thread of the look-up has a descriptor until it ends */
}

CHECK_MAIN()
