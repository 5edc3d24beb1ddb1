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
 * A group or a broadcast address cannot be a source address. If it was the destination, the system chooses
 * the source.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <udpr/udpr.h>

static void complain(const char *what, udpr_status status) {
  fprintf(stderr, "reply_from: %s: %s: %s\n", what, udpr_status_name(status), udpr_status_message(status));
}

static const char *address_text(const udpr_addr *addr, char text[UDPR_ADDR_TEXT_MAX]) {
  udpr_status status = udpr_addr_format(addr, text, UDPR_ADDR_TEXT_MAX, NULL);
  return status == UDPR_OK ? text : udpr_status_name(status);
}

/* 224.0.0.0 and above: groups, and 255.255.255.255. */
static bool is_for_many(const udpr_addr *v4) { return v4->bytes[0] >= 224; }

static void datagram_received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  (void)user;
  char sender[UDPR_ADDR_TEXT_MAX], destination[UDPR_ADDR_TEXT_MAX];
  printf("%s has asked %s on interface %u\n", address_text(&datagram->sender, sender),
         address_text(&datagram->destination, destination), (unsigned)datagram->interface_index);

  udpr_message reply = {
      .size = sizeof reply,
      .data = datagram->data,
      .len = datagram->len,
      .to = &datagram->sender,
      .source = is_for_many(&datagram->destination) ? NULL : &datagram->destination,
      .flags = UDPR_MESSAGE_NOW, /* so that the call returns the kernel's status */
  };
  size_t      taken;
  udpr_status status = udpr_transport_write_messages(transport, &reply, 1, &taken);
  if (status != UDPR_OK && reply.source != NULL) {
    reply.source = NULL; /* perhaps the broadcast address of a subnet, which only the kernel can tell */
    status = udpr_transport_write_messages(transport, &reply, 1, &taken);
  }
  if (status != UDPR_OK) complain("cannot answer", status);
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
  udpr_status            status = udpr_reactor_listen_udp(reactor, 9999, NULL, &protocol, &options, NULL);
  return status == UDPR_OK ? udpr_reactor_run(reactor) : status;
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0); /* line by line, also into a pipe */
  if (argc > 3) return fprintf(stderr, "usage: reply_from [GROUP [INTERFACE]]   (228.0.0.5 eth0, say)\n"), 2;

  const udpr_reactor_options options = {.size = sizeof options, .flags = UDPR_REACTOR_SIGNALS};
  udpr_reactor              *reactor = NULL;
  udpr_status                status = udpr_reactor_new(&options, &reactor);
  if (status == UDPR_OK) status = serve(reactor, argv + 1);
  if (status != UDPR_OK) complain("cannot listen on port 9999", status);
  udpr_reactor_free(reactor);
  return status == UDPR_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
