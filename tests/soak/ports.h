/* ports.h: ports that are opened in every way, receive one datagram, and stop; and descriptors watched for one event. */
#ifndef UDPR_SOAK_PORTS_H
#define UDPR_SOAK_PORTS_H

#include "soak.h"

#include <sys/eventfd.h>

enum { PORTS = 64, WATCHES = 16 };

/* ---- ports --------------------------------------------------------------------------------------------- */

typedef struct port {
  int  slot;
  bool received, stopped;
} port;

static struct {
  udpr_transport *transport;
  uint64_t        since; /* ticks */
} ports[PORTS];
static uint64_t ports_open, ports_stopped;

static void port_received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  port *self = user;
  CHECK(!self->stopped);
  CHECK_EQ(5, datagram->len);
  self->received = true;
  udpr_addr host = host_of(transport);
  switch (random_below(5)) {
  case 0: OK(udpr_transport_close(transport)); break;
  case 1:
    OK(udpr_transport_pause_reading(transport)); /* a paused port can be stopped */
  /* fall through */
  case 2: OK(udpr_transport_stop_listening(transport)); break;
  case 3:
    OK_OR_INJECTED(udpr_transport_write(transport, "bye", 3, &host)); /* nobody reads it */
    OK(udpr_transport_stop_when_sent(transport, random_below(2) ? UDPR_NEVER : 1 + random_below(1000000)));
    break;
  default: OK(udpr_transport_stop_listening(transport)); OK(udpr_transport_close(transport));
  }
}

static void port_stopped(udpr_transport *transport, udpr_status reason, void *user) {
  port *self = user;
  CHECK(reason == UDPR_OK || reason == UDPR_E_TIMED_OUT); /* the latter after an injected fault */
  CHECK(!self->stopped);
  CHECK_STATUS(UDPR_E_CLOSED, udpr_transport_write(transport, "late", 4, NULL));
  self->stopped = true;
  if (self->slot < 0) return; /* start_protocol returned an error */
  CHECK(ports[self->slot].transport == transport);
  ports[self->slot].transport = NULL;
  udpr_transport_release(transport);
  ports_open--, ports_stopped++;
}

static udpr_status port_fails_start(udpr_transport *transport, void *user) {
  (void)transport, (void)user;
  return UDPR_E_CANCELLED;
}

static udpr_status port_configures(int32_t fd, const udpr_addr *local, void *user) {
  int on = 1;
  (void)local, (void)user;
  CHECK_EQ(0, setsockopt(fd, IPPROTO_IP, IP_FREEBIND, &on, sizeof on));
  return UDPR_OK;
}

static udpr_status port_fails_to_configure(int32_t fd, const udpr_addr *local, void *user) {
  (void)fd, (void)local, (void)user;
  return UDPR_E_CANCELLED;
}

/* Calls of a port end with it. */
static void port_call(udpr_transport *transport, void *user) {
  CHECK(transport == ports[*(int *)user].transport);
}

static void port_beat(udpr_transport *transport, udpr_id id, uint64_t beats, void *user) {
  CHECK(id != 0 && beats > 0);
  port_call(transport, user);
}

static int *new_slot(int slot) {
  int *user = new_registration(sizeof *user);
  *user = slot;
  return user;
}

static udpr_protocol port_protocol(int slot) {
  port *self = new_registration(sizeof *self);
  self->slot = slot;
  return (udpr_protocol){.size = sizeof(udpr_protocol),
                         .user = self,
                         .free_user = free_registration,
                         .datagram_received = port_received,
                         .stop_protocol = port_stopped};
}

static udpr_status adopt_port(const udpr_protocol *protocol, uint32_t flags, udpr_transport **out) {
  int                fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  udpr_udp_options   options = {.size = sizeof options, .flags = flags};
  struct sockaddr_in local = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  CHECK_EQ(0, bind(fd, (struct sockaddr *)&local, sizeof local));
  udpr_status status =
      udpr_reactor_adopt_datagram_port(soak.reactor, fd, UDPR_AF_UNSPEC, protocol, &options, out);
  if (!(flags & UDPR_UDP_TAKE_FD)) close(fd);
  return status;
}

static void open_port(int slot) {
  static const char    *hosts[] = {"127.0.0.1", "::1", "127.0.0.1", "127.0.0.2"};
  static const uint32_t flags[] = {0, UDPR_UDP_PACKET_INFO, UDPR_UDP_ERROR_REPORTS, UDPR_UDP_NO_OFFLOAD};
  udpr_protocol         protocol = port_protocol(slot);
  udpr_transport       *transport = NULL;
  udpr_udp_options      options = {.size = sizeof options, .flags = flags[random_below(4)]};
  uint32_t              way = random_below(7);
  udpr_status           status;
  if (way == 4) {
    if (random_below(2)) protocol.start_protocol = port_fails_start;
    else protocol.configure_socket = port_fails_to_configure;
    CHECK(udpr_reactor_listen_udp(soak.reactor, 0, NULL, &protocol, &options, &transport) < 0);
    return;
  }
  if (random_below(4) == 0) protocol.configure_socket = port_configures;
  if (way < 4) status = udpr_reactor_listen_udp(soak.reactor, 0, hosts[way], &protocol, &options, &transport);
  else status = adopt_port(&protocol, way == 5 ? UDPR_UDP_TAKE_FD : 0, &transport);
  if (!OK_OR_INJECTED(status)) return;
  ports[slot].transport = transport, ports[slot].since = soak.ticks;
  ports_open++;
  udpr_addr host = host_of(transport);
  OK(udpr_transport_call_every(transport, MS(1), port_beat, new_slot(slot), free_registration, NULL));
  OK(udpr_transport_call_later(transport, MS(2), port_call, new_slot(slot), free_registration, NULL));
  OK_OR_INJECTED(udpr_transport_write(transport, "hello", 5, &host));
}

/* ---- watches ------------------------------------------------------------------------------------------- */

typedef struct watched {
  int  fd;
  bool close_first; /* before unwatch, so that the next watch gets the same number */
} watched;

static uint64_t watches_pending, watches_called;

static void watch_ready(udpr_reactor *reactor, udpr_id id, int32_t fd, uint32_t events, void *user) {
  const watched *self = user;
  uint64_t       value = 0;
  CHECK_EQ(self->fd, fd);
  CHECK_EQ(UDPR_WATCH_READABLE, events);
  CHECK(read(fd, &value, sizeof value) == sizeof value && value == 1);
  watches_pending--, watches_called++;
  if (self->close_first) close(fd);
  OK(udpr_reactor_unwatch(reactor, id));
  if (!self->close_first) close(fd);
}

static void open_watch(void) {
  watched *self = new_registration(sizeof *self);
  int      fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  uint64_t one = 1;
  udpr_id  id;
  CHECK(fd >= 0);
  self->fd = fd;
  self->close_first = random_below(2);
  if (!OK_OR_INJECTED(udpr_reactor_watch(soak.reactor, fd, UDPR_WATCH_HANGUP, watch_ready, self,
                                         free_registration, &id))) {
    close(fd);
    return;
  }
  watches_pending++;
  while (!OK_OR_INJECTED(udpr_reactor_change_watch(soak.reactor, id, UDPR_WATCH_READABLE))) {}
  CHECK_EQ(sizeof one, write(fd, &one, sizeof one));
}

/* ---- the load ------------------------------------------------------------------------------------------ */

static void ports_begin(void) { memset(ports, 0, sizeof ports); }

/* Opens ports and watches, and closes ports whose datagram was lost. */
static void ports_tick(void) {
  for (int i = 0; i < PORTS; i++) {
    if (!ports[i].transport) {
      if (!soak.ending && random_below(16) == 0) open_port(i);
    } else if (soak.ticks - ports[i].since > 1000 && soak.faults) {
      OK(udpr_transport_close(ports[i].transport));
    }
  }
  while (!soak.ending && watches_pending < WATCHES) open_watch();
}

static bool ports_settled(void) { return ports_open == 0 && watches_pending == 0; }

static void ports_end(void) {}

static const load ports_load = {"ports", &ports_stopped, ports_begin, ports_tick, ports_settled, ports_end};
static const load watches_load = {"watches", &watches_called, no_action, no_action, always, no_action};

#endif
