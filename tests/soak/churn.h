/* churn.h: ports that are made in every way, get one datagram, and stop; and descriptors watched for one event. */
#ifndef UDPR_SOAK_CHURN_H
#define UDPR_SOAK_CHURN_H

#include "soak.h"

#include <sys/eventfd.h>

enum { PORTS = 64, WATCHES = 16 };

/* ---- ports --------------------------------------------------------------------------------------------- */

typedef struct port {
  int  place;
  bool got, stopped;
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
  self->got = true;
  switch (any_below(4)) {
  case 0: OK(udpr_transport_close(transport)); break;
  case 1:
    OK(udpr_transport_pause_reading(transport)); /* and it stops all the same */
  /* fall through */
  case 2: OK(udpr_transport_stop_listening(transport)); break;
  default: OK(udpr_transport_stop_listening(transport)); OK(udpr_transport_close(transport));
  }
}

static void port_stopped(udpr_transport *transport, udpr_status reason, void *user) {
  port *self = user;
  OK(reason);
  CHECK(!self->stopped);
  CHECK_STATUS(UDPR_E_CLOSED, udpr_transport_write(transport, "late", 4, NULL));
  self->stopped = true;
  if (self->place < 0) return; /* stopped in its start_protocol */
  CHECK(ports[self->place].transport == transport);
  ports[self->place].transport = NULL;
  udpr_transport_release(transport);
  ports_open--, ports_stopped++;
}

static udpr_status port_refuses(udpr_transport *transport, void *user) {
  (void)transport, (void)user;
  return UDPR_E_CANCELLED;
}

static udpr_protocol port_protocol(int place) {
  port *self = new_user(sizeof *self);
  self->place = place;
  return (udpr_protocol){.size = sizeof(udpr_protocol),
                         .user = self,
                         .free_user = take_back,
                         .datagram_received = port_received,
                         .stop_protocol = port_stopped};
}

static udpr_status port_adopt(const udpr_protocol *protocol, uint32_t flags, udpr_transport **out) {
  int                fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  udpr_udp_options   options = {.size = sizeof options, .flags = flags};
  struct sockaddr_in local = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  CHECK_EQ(0, bind(fd, (struct sockaddr *)&local, sizeof local));
  udpr_status status =
      udpr_reactor_adopt_datagram_port(soak.reactor, fd, UDPR_AF_UNSPEC, protocol, &options, out);
  if (!(flags & UDPR_UDP_TAKE_FD)) close(fd);
  return status;
}

static void port_new(int place) {
  static const char    *hosts[] = {"127.0.0.1", "::1", "127.0.0.1", "127.0.0.2"};
  static const uint32_t flags[] = {0, UDPR_UDP_PACKET_INFO, UDPR_UDP_ERROR_REPORTS, UDPR_UDP_NO_OFFLOAD};
  udpr_protocol         protocol = port_protocol(place);
  udpr_transport       *transport = NULL;
  udpr_udp_options      options = {.size = sizeof options, .flags = flags[any_below(4)]};
  uint32_t              way = any_below(7);
  udpr_status           status;
  if (way == 4) {
    protocol.start_protocol = port_refuses;
    CHECK(udpr_reactor_listen_udp(soak.reactor, 0, NULL, &protocol, &options, &transport) < 0);
    return;
  }
  if (way < 4) status = udpr_reactor_listen_udp(soak.reactor, 0, hosts[way], &protocol, &options, &transport);
  else status = port_adopt(&protocol, way == 5 ? UDPR_UDP_TAKE_FD : 0, &transport);
  if (!OK_OR_FAULT(status)) return;
  ports[place].transport = transport, ports[place].since = soak.ticks;
  ports_open++;
  udpr_addr host = host_of(transport);
  OK_OR_FAULT(udpr_transport_write(transport, "hello", 5, &host));
}

/* ---- watches ------------------------------------------------------------------------------------------- */

typedef struct watched {
  int  fd;
  bool close_first; /* which leaves the number to the next one */
} watched;

static uint64_t watches_out, watches_told;

static void watch_ready(udpr_reactor *reactor, udpr_id id, int32_t fd, uint32_t events, void *user) {
  const watched *self = user;
  uint64_t       value = 0;
  CHECK_EQ(self->fd, fd);
  CHECK_EQ(UDPR_WATCH_READABLE, events);
  CHECK(read(fd, &value, sizeof value) == sizeof value && value == 1);
  watches_out--, watches_told++;
  if (self->close_first) close(fd);
  OK(udpr_reactor_unwatch(reactor, id));
  if (!self->close_first) close(fd);
}

static void watch_new(void) {
  watched *self = new_user(sizeof *self);
  int      fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  uint64_t one = 1;
  udpr_id  id;
  CHECK(fd >= 0);
  self->fd = fd;
  self->close_first = any_below(2);
  if (!OK_OR_FAULT(
          udpr_reactor_watch(soak.reactor, fd, UDPR_WATCH_HANGUP, watch_ready, self, take_back, &id))) {
    close(fd);
    return;
  }
  watches_out++;
  while (!OK_OR_FAULT(udpr_reactor_change_watch(soak.reactor, id, UDPR_WATCH_READABLE))) {}
  CHECK_EQ(sizeof one, write(fd, &one, sizeof one));
}

/* ---- the load ------------------------------------------------------------------------------------------ */

static void churn_begin(void) { memset(ports, 0, sizeof ports); }

/* A port whose datagram was lost is closed here. */
static void churn_tick(void) {
  for (int i = 0; i < PORTS; i++) {
    if (!ports[i].transport) {
      if (!soak.ending && any_below(16) == 0) port_new(i);
    } else if (soak.ticks - ports[i].since > 1000 && soak.faults) {
      OK(udpr_transport_close(ports[i].transport));
    }
  }
  while (!soak.ending && watches_out < WATCHES) watch_new();
}

static bool churn_settled(void) { return ports_open == 0 && watches_out == 0; }

static void churn_end(void) {}

static const load churn_load = {"ports", &ports_stopped, churn_begin, churn_tick, churn_settled, churn_end};
static const load watches_load = {"watches",     &watches_told, nothing_to_do,
                                  nothing_to_do, always,        nothing_to_do};

#endif
