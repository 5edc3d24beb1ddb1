/* udpr_batch: the callback that receives a batch of datagrams, and one call that writes all replies. */
#include "server.h"

#include <udpr/udpr.h>

enum { MAX_BATCH = 256 }; /* as the header says */

static size_t datagrams_received(udpr_transport *transport, const udpr_datagram *const *datagrams,
                                 size_t count, void *user) {
  (void)user;
  static udpr_message messages[MAX_BATCH];
  size_t              accepted;
  for (size_t i = 0; i < count; i++)
    messages[i] = (udpr_message){.size = sizeof messages[i],
                                 .data = datagrams[i]->data,
                                 .len = datagrams[i]->len,
                                 .to = &datagrams[i]->sender};
  served += count;
  for (unsigned i = 0; i < replies; i++) udpr_transport_write_messages(transport, messages, count, &accepted);
  return count;
}

int main(int argc, char **argv) {
  uint16_t            port = server_arguments(argc, argv);
  const udpr_protocol protocol = {.size = sizeof protocol, .datagrams_received = datagrams_received};
  udpr_reactor       *reactor;
  udpr_transport     *transport;
  require(udpr_reactor_new(NULL, &reactor) == UDPR_OK, "udpr_reactor_new");
  require(udpr_reactor_listen_udp(reactor, port, NULL, &protocol, NULL, &transport) == UDPR_OK, "listen_udp");
  server_ready(udpr_transport_fileno(transport));
  return udpr_reactor_run(reactor);
}
