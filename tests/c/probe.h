/* probe.h: a protocol that counts its callbacks and lets a test act in each of them, and a reactor that runs
 * in a thread of its own.
 */
#ifndef UDPR_TESTS_PROBE_H
#define UDPR_TESTS_PROBE_H

#include "check.h"

#include <semaphore.h>

typedef struct probe probe;
typedef void (*probe_fn)(probe *port, udpr_transport *transport);

struct probe {
  udpr_transport *transport; /* from listen; released by probe_check_ended */
  udpr_addr       host;
  int             starts, stops, freed;
  char            received[32]; /* one letter for each datagram */
  bool            stopped;      /* set when no datagram may be received any more */
  /* Called inside the callbacks, on_free without a transport. `arg` is for these functions. */
  probe_fn on_start, on_datagram, on_stop, on_free;
  void    *arg;
};

/* ---- the protocol, which checks the order of its callbacks --------------------------------------------- */

static inline void probe_act(probe_fn act, probe *port, udpr_transport *transport) {
  if (act) act(port, transport);
}

static inline udpr_status probe_started(udpr_transport *transport, void *user) {
  probe *port = user;
  CHECK(port->starts++ == 0 && port->stops == 0 && port->freed == 0);
  probe_act(port->on_start, port, transport);
  return UDPR_OK;
}

static inline void probe_received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  probe *port = user;
  size_t count = strlen(port->received);
  CHECK(port->starts == 1 && port->stops == 0 && port->freed == 0 && !port->stopped);
  CHECK(datagram->len == 1 && count + 1 < sizeof port->received);
  port->received[count] = (char)datagram->data[0];
  probe_act(port->on_datagram, port, transport);
}

static inline void probe_stopped(udpr_transport *transport, udpr_status reason, void *user) {
  probe *port = user;
  CHECK(port->starts == 1 && port->stops++ == 0 && port->freed == 0);
  OK(reason);
  port->stopped = true;
  probe_act(port->on_stop, port, transport);
}

static inline void probe_freed(void *user) {
  probe *port = user;
  CHECK(port->stops == port->starts && port->freed++ == 0);
  probe_act(port->on_free, port, NULL);
}

static inline udpr_protocol probe_protocol(probe *port) {
  return (udpr_protocol){.size = sizeof(udpr_protocol),
                         .user = port,
                         .free_user = probe_freed,
                         .start_protocol = probe_started,
                         .datagram_received = probe_received,
                         .stop_protocol = probe_stopped};
}

static inline void probe_listen(probe *port, udpr_reactor *reactor) {
  udpr_protocol protocol = probe_protocol(port);
  port->transport = listen_on(reactor, "127.0.0.1", &protocol, NULL);
  port->host = host_of(port->transport);
}

/* stop_protocol and free_user were called once. Releases the transport. */
static inline void probe_check_ended(probe *port) {
  CHECK(port->starts == 1 && port->stops == 1 && port->freed == 1);
  udpr_transport_release(port->transport);
}

/* The transport is closed: its functions return UDPR_E_CLOSED. */
static inline void check_transport_closed(udpr_transport *transport) {
  udpr_addr nobody = addr("127.0.0.1", 9), host;
  CHECK_STATUS(UDPR_E_CLOSED, udpr_transport_write(transport, "x", 1, &nobody));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_transport_get_host(transport, &host));
  CHECK_EQ(-1, udpr_transport_fileno(transport));
}

/* ---- actions and datagrams ----------------------------------------------------------------------------- */

static inline void stop_reactor(probe *port, udpr_transport *transport) {
  (void)port;
  OK(udpr_reactor_stop(udpr_transport_reactor(transport)));
}

static inline void crash_reactor(probe *port, udpr_transport *transport) {
  (void)port;
  OK(udpr_reactor_crash(udpr_transport_reactor(transport)));
}

/* Sends one datagram for each letter. They are in the port's socket when this returns. */
static inline void send_letters(const udpr_addr *to, const char *letters) {
  int fd = peer_open(AF_INET);
  while (*letters) peer_send(fd, to, letters++, 1);
  close(fd);
}

/* ---- a reactor that runs in a thread of its own -------------------------------------------------------- */

typedef struct reactor_thread {
  udpr_reactor *reactor;
  probe         quit; /* a datagram for this port ends run */
  sem_t         inside;
  check_thread  thread;
} reactor_thread;

static inline void reactor_thread_entered(udpr_reactor *reactor, void *user) {
  (void)reactor;
  sem_post(user);
}

static inline void reactor_thread_main(void *arg) {
  reactor_thread *there = arg;
  OK(udpr_reactor_call_later(there->reactor, 0, reactor_thread_entered, &there->inside, NULL, NULL));
  OK(udpr_reactor_run(there->reactor));
}

/* Returns when the thread is inside udpr_reactor_run. */
static inline void reactor_thread_start(reactor_thread *there, udpr_reactor *reactor) {
  *there = (reactor_thread){.reactor = reactor, .quit = {.on_datagram = stop_reactor}};
  probe_listen(&there->quit, reactor);
  CHECK_EQ(0, sem_init(&there->inside, 0, 0));
  thread_start(&there->thread, reactor_thread_main, there);
  CHECK_EQ(0, sem_wait(&there->inside));
}

/* Returns after the thread has ended and its ports have stopped. */
static inline void reactor_thread_join(reactor_thread *there) {
  thread_join(&there->thread);
  probe_check_ended(&there->quit);
  sem_destroy(&there->inside);
}

static inline void reactor_thread_stop(reactor_thread *there) {
  send_letters(&there->quit.host, "q");
  reactor_thread_join(there);
}

#endif
