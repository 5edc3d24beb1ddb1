/* udpr_idle: udpr_plain with 10,000 idle ports. */
#include "idle_ports.h"

#include <udpr/udpr.h>

static udpr_reactor *reactor;

static void datagram_received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  (void)user;
  served++;
  for (unsigned i = 0; i < replies; i++)
    udpr_transport_write(transport, datagram->data, datagram->len, &datagram->sender);
}

static const udpr_protocol protocol = {.size = sizeof protocol, .datagram_received = datagram_received};

static void open_idle_port(void) {
  require(udpr_reactor_listen_udp(reactor, 0, NULL, &protocol, NULL, NULL) == UDPR_OK, "listen_udp");
}

int main(int argc, char **argv) {
  uint16_t        port = server_arguments(argc, argv);
  udpr_transport *transport;
  require(udpr_reactor_new(NULL, &reactor) == UDPR_OK, "udpr_reactor_new");
  require(udpr_reactor_listen_udp(reactor, port, NULL, &protocol, NULL, &transport) == UDPR_OK, "listen_udp");
  open_idle_ports();
  server_ready(udpr_transport_fileno(transport));
  return udpr_reactor_run(reactor);
}
