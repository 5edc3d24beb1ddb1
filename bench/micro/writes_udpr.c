/* writes_udpr: udpr_transport_write, gathered by udpr_reactor_gather or singly. */
#include "writes.h"

#include <udpr/udpr.h>

static udpr_reactor   *reactor;
static udpr_transport *sender;
static udpr_addr       receiver;
static int             gathers;

static int choose_mode(const char *mode) {
  gathers = strcmp(mode, "gathered") == 0;
  return gathers || strcmp(mode, "singly") == 0;
}

static void datagram_received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  (void)transport, (void)datagram, (void)user;
  received++;
}

static udpr_transport *port(const udpr_protocol *protocol) {
  udpr_transport *transport;
  if (udpr_reactor_listen_udp(reactor, 0, "127.0.0.1", protocol, NULL, &transport) != UDPR_OK)
    exit(EXIT_FAILURE);
  return transport;
}

static void prepare(void) {
  const udpr_protocol sends = {.size = sizeof sends},
                      receives = {.size = sizeof receives, .datagram_received = datagram_received};
  if (udpr_reactor_new(NULL, &reactor) != UDPR_OK) exit(EXIT_FAILURE);
  sender = port(&sends);
  if (udpr_transport_get_host(port(&receives), &receiver) != UDPR_OK) exit(EXIT_FAILURE);
}

static void write_round(void) {
  if (gathers) udpr_reactor_gather(reactor);
  for (unsigned i = 0; i < ROUND; i++) udpr_transport_write(sender, payload, SIZE, &receiver);
}

/* A turn sends what was gathered. */
static void turn(void) { udpr_reactor_iterate(reactor, 0); }
