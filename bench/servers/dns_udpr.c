/* dns_udpr: a DNS server with the plain callback and the plain write. */
#include "dns.h"

#include <udpr/udpr.h>

static void datagram_received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  (void)user;
  unsigned char answer[DNS_MAX + DNS_RECORD];
  served++;
  if (datagram->len > DNS_MAX) return;
  memcpy(answer, datagram->data, datagram->len);
  size_t len = dns_answer(answer, datagram->len);
  if (len > 0) udpr_transport_write(transport, answer, len, &datagram->sender);
}

int main(int argc, char **argv) {
  uint16_t            port = server_arguments(argc, argv);
  const udpr_protocol protocol = {.size = sizeof protocol, .datagram_received = datagram_received};
  udpr_reactor       *reactor;
  udpr_transport     *transport;
  require(udpr_reactor_new(NULL, &reactor) == UDPR_OK, "udpr_reactor_new");
  require(udpr_reactor_listen_udp(reactor, port, NULL, &protocol, NULL, &transport) == UDPR_OK, "listen_udp");
  server_ready(udpr_transport_fileno(transport));
  return udpr_reactor_run(reactor);
}
