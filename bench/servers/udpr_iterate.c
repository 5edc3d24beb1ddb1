/* udpr_iterate: busy polling by hand: a loop of udpr_reactor_iterate that never waits. */
#include "server.h"

#include <udpr/udpr.h>

static void datagram_received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  (void)user;
  served++;
  for (unsigned i = 0; i < replies; i++)
    udpr_transport_write(transport, datagram->data, datagram->len, &datagram->sender);
}

int main(int argc, char **argv) {
  uint16_t            port = server_arguments(argc, argv);
  const udpr_protocol protocol = {.size = sizeof protocol, .datagram_received = datagram_received};
  udpr_reactor       *reactor;
  udpr_transport     *transport;
  require(udpr_reactor_new(NULL, &reactor) == UDPR_OK, "udpr_reactor_new");
  require(udpr_reactor_listen_udp(reactor, port, NULL, &protocol, NULL, &transport) == UDPR_OK, "listen_udp");
  server_ready(udpr_transport_fileno(transport));
  while (udpr_reactor_iterate(reactor, 0) == UDPR_OK) continue;
  return EXIT_FAILURE;
}
