/* reply_from [GROUP [INTERFACE]]: an echo server on port 9999 that replies from the address to which the
 * datagram was sent, as a host with several addresses must: a client whose socket is connected ignores
 * replies from another address. Until Ctrl-C.
 *
 *     $ reply_from 228.0.0.5 lo &
 *     listening on 0.0.0.0:9999
 *     $ echo "Hello World!" | nc -4u -w1 127.0.0.7 9999
 *     127.0.0.1:32844 has asked 127.0.0.7:9999 on interface 1
 *     Hello World!
 *
 * A group or a broadcast address cannot be a source address. The system chooses the source of a reply to such
 * a datagram.
 */
#include <stdio.h>
#include <stdlib.h>

#include <udpr/udpr.h>

/* Prints what has failed, if it has. Returns `status`. */
static udpr_status check(const char *what, udpr_status status) {
  if (status != UDPR_OK)
    fprintf(stderr, "reply_from: %s: %s: %s\n", what, udpr_status_name(status), udpr_status_message(status));
  return status;
}

static const char *address_text(const udpr_addr *addr, char text[UDPR_ADDR_TEXT_MAX]) {
  udpr_status status = udpr_addr_format(addr, text, UDPR_ADDR_TEXT_MAX, NULL);
  return status == UDPR_OK ? text : udpr_status_name(status);
}

static void datagram_received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  (void)user;
  char sender[UDPR_ADDR_TEXT_MAX], destination[UDPR_ADDR_TEXT_MAX];
  printf("%s has asked %s on interface %u\n", address_text(&datagram->sender, sender),
         address_text(&datagram->destination, destination), (unsigned)datagram->interface_index);

  check("cannot reply", udpr_transport_reply(transport, datagram, datagram->data, datagram->len));
}

static udpr_status start_protocol(udpr_transport *transport, void *user) {
  char *const *arguments = user; /* GROUP, INTERFACE, NULL */
  udpr_addr    host, group;
  char         text[UDPR_ADDR_TEXT_MAX];
  uint32_t     interface = 0;
  udpr_status  status = udpr_transport_get_host(transport, &host);
  if (status == UDPR_OK && arguments[0]) {
    status = udpr_addr_parse_host(arguments[0], 0, &group);
    if (status == UDPR_OK && arguments[1]) status = udpr_interface_index(arguments[1], &interface);
    if (status == UDPR_OK) status = udpr_transport_join_group(transport, &group, interface);
  }
  if (status == UDPR_OK) printf("listening on %s\n", address_text(&host, text));
  return status; /* on any other status, listen_udp fails with it */
}

static udpr_status serve(udpr_reactor *reactor, char **arguments) {
  const udpr_protocol protocol = {.size = sizeof protocol,
                                  .user = arguments,
                                  .start_protocol = start_protocol,
                                  .datagram_received = datagram_received};
  /* PACKET_INFO: each datagram has its destination address and interface. */
  const udpr_udp_options options = {.size = sizeof options, .flags = UDPR_UDP_PACKET_INFO};
  udpr_status            status = check("cannot listen on port 9999",
                                        udpr_reactor_listen_udp(reactor, 9999, NULL, &protocol, &options, NULL));
  return status == UDPR_OK ? check("cannot run", udpr_reactor_run(reactor)) : status;
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0); /* line by line, also into a pipe */
  if (argc > 3) return fprintf(stderr, "usage: reply_from [GROUP [INTERFACE]]   (228.0.0.5 eth0, say)\n"), 2;

  const udpr_reactor_options options = {.size = sizeof options, .flags = UDPR_REACTOR_SIGNALS};
  udpr_reactor              *reactor = NULL;
  udpr_status                status = check("cannot make a reactor", udpr_reactor_new(&options, &reactor));
  if (status == UDPR_OK) status = serve(reactor, argv + 1);
  udpr_reactor_free(reactor);
  return status == UDPR_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
