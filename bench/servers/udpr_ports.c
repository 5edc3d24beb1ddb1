/* udpr_ports: many ports of one reactor, on 127.0.0.1 and the addresses after it, with one port number.
 *
 *     udpr_ports PORTS PORT [REPLIES]
 */
#include "server.h"

#include <udpr/udpr.h>

static void datagram_received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  (void)user;
  served++;
  for (unsigned i = 0; i < replies; i++)
    udpr_transport_write(transport, datagram->data, datagram->len, &datagram->sender);
}

static udpr_transport *listen_on(udpr_reactor *reactor, uint32_t address, uint16_t port) {
  const udpr_protocol  protocol = {.size = sizeof protocol, .datagram_received = datagram_received};
  const struct in_addr host = {htonl(address)};
  char                 text[INET_ADDRSTRLEN];
  udpr_transport      *transport;
  inet_ntop(AF_INET, &host, text, sizeof text);
  require(udpr_reactor_listen_udp(reactor, port, text, &protocol, NULL, &transport) == UDPR_OK, "listen_udp");
  return transport;
}

int main(int argc, char **argv) {
  uint16_t      port = server_arguments(argc - 1, argv + 1);
  uint32_t      ports = (uint32_t)strtoul(argv[1], NULL, 10);
  udpr_reactor *reactor;
  udpr_addr     host;
  raise_file_limit();
  require(udpr_reactor_new(NULL, &reactor) == UDPR_OK, "udpr_reactor_new");
  udpr_transport *first = listen_on(reactor, INADDR_LOOPBACK, port);
  require(udpr_transport_get_host(first, &host) == UDPR_OK, "get_host");
  for (uint32_t i = 1; i < ports; i++) listen_on(reactor, INADDR_LOOPBACK + i, host.port);
  server_ready(udpr_transport_fileno(first));
  return udpr_reactor_run(reactor);
}
