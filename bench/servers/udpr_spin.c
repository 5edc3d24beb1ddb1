/* udpr_spin: udpr_plain with udpr_reactor_options.spin: SPIN_NS, or for the whole wait. */
#include "server.h"

#include <udpr/udpr.h>

#ifndef SPIN_NS
#define SPIN_NS UDPR_NEVER
#endif

static void datagram_received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  (void)user;
  served++;
  for (unsigned i = 0; i < replies; i++)
    udpr_transport_write(transport, datagram->data, datagram->len, &datagram->sender);
}

int main(int argc, char **argv) {
  uint16_t                   port = server_arguments(argc, argv);
  const udpr_protocol        protocol = {.size = sizeof protocol, .datagram_received = datagram_received};
  const udpr_reactor_options options = {.size = sizeof options, .spin = SPIN_NS};
  udpr_reactor              *reactor;
  udpr_transport            *transport;
  require(udpr_reactor_new(&options, &reactor) == UDPR_OK, "udpr_reactor_new");
  require(udpr_reactor_listen_udp(reactor, port, NULL, &protocol, NULL, &transport) == UDPR_OK, "listen_udp");
  server_ready(udpr_transport_fileno(transport));
  return udpr_reactor_run(reactor);
}
