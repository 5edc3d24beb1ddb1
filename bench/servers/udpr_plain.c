/* udpr_plain: the plain callback and the plain write, as in the README. */
#include "server.h"

#include <udpr/udpr.h>

static void echo(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  (void)user;
  served++;
  udpr_transport_write(transport, datagram->data, datagram->len, &datagram->sender);
}

/* For no replies, or several to each datagram. */
static void reply(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  (void)user;
  served++;
  for (unsigned i = 0; i < replies; i++)
    udpr_transport_write(transport, datagram->data, datagram->len, &datagram->sender);
}

int main(int argc, char **argv) {
  uint16_t            port = server_arguments(argc, argv);
  const udpr_protocol protocol = {.size = sizeof protocol, .datagram_received = replies == 1 ? echo : reply};
  udpr_reactor       *reactor;
  udpr_transport     *transport;
  require(udpr_reactor_new(NULL, &reactor) == UDPR_OK, "udpr_reactor_new");
  require(udpr_reactor_listen_udp(reactor, port, NULL, &protocol, NULL, &transport) == UDPR_OK, "listen_udp");
  server_ready(udpr_transport_fileno(transport));
  return udpr_reactor_run(reactor);
}
