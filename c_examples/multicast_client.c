/* multicast_client [INTERFACE]: sends a ping to 228.0.0.5, port 9999, and prints what it receives, until
 * Ctrl-C.
 *
 *     $ multicast_client lo            (without "lo", on the local network)
 *     listening on 0.0.0.0:9999
 *     received "Client: Ping" from 127.0.0.1:9999
 *     received "Server: Pong" from 127.0.0.1:9999
 *
 * It joins the group, too, so it receives the pings of all clients, including its own. The pong is sent to
 * one address and port. If several programs share that port, including the server, the one that was started
 * last receives it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <udpr/udpr.h>

/* Prints what has failed, if it has. Returns `status`. */
static udpr_status check(const char *what, udpr_status status) {
  if (status != UDPR_OK)
    fprintf(stderr, "multicast_client: %s: %s: %s\n", what, udpr_status_name(status),
            udpr_status_message(status));
  return status;
}

static void print_address(const char *before, const udpr_addr *addr) {
  char text[UDPR_ADDR_TEXT_MAX];
  if (udpr_addr_format(addr, text, sizeof text, NULL) == UDPR_OK) printf("%s%s\n", before, text);
}

/* `user` is the index of the interface; 0 lets the system choose. */
static udpr_status start_protocol(udpr_transport *transport, void *user) {
  static const char PING[] = "Client: Ping";
  const uint32_t   *interface = user;
  udpr_addr         host, group;
  udpr_status       status = udpr_addr_parse("228.0.0.5:9999", 0, &group);
  if (status == UDPR_OK) status = udpr_transport_join_group(transport, &group, *interface);
  if (status == UDPR_OK) status = udpr_transport_set_outgoing_interface(transport, *interface);
  if (status == UDPR_OK) status = udpr_transport_get_host(transport, &host);
  if (status == UDPR_OK) print_address("listening on ", &host);
  if (status == UDPR_OK) status = udpr_transport_write(transport, PING, strlen(PING), &group);
  return status; /* on any other status, listen_multicast fails with it */
}

static void datagram_received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  (void)transport, (void)user;
  printf("received \"%.*s\" from", (int)datagram->len, (const char *)datagram->data);
  print_address(" ", &datagram->sender);
}

static udpr_status listen_to_group(udpr_reactor *reactor, uint32_t interface) {
  const udpr_protocol protocol = {
      .size = sizeof protocol,
      .user = &interface,
      .start_protocol = start_protocol,
      .datagram_received = datagram_received,
  };
  const udpr_udp_options options = {.size = sizeof options, .flags = UDPR_UDP_LISTEN_MULTIPLE};
  udpr_status            status = check("cannot ping 228.0.0.5 on port 9999",
                                        udpr_reactor_listen_multicast(reactor, 9999, NULL, &protocol, &options, NULL));
  return status == UDPR_OK ? check("cannot run", udpr_reactor_run(reactor)) : status;
}

static const char USAGE[] = "usage: multicast_client [INTERFACE]   (lo, eth0, 192.168.1.2, ...)\n"
                            "It sends to 228.0.0.5, without INTERFACE on the local network.\n";

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0); /* line by line, also into a pipe */
  uint32_t interface = 0;           /* from a name, a number or an address of this host */
  if (argc > 2 || (argc == 2 && udpr_interface_index(argv[1], &interface) != UDPR_OK))
    return fputs(USAGE, stderr), 2;

  const udpr_reactor_options options = {.size = sizeof options, .flags = UDPR_REACTOR_SIGNALS};
  udpr_reactor              *reactor = NULL;
  udpr_status                status = check("cannot make a reactor", udpr_reactor_new(&options, &reactor));
  if (status == UDPR_OK) status = listen_to_group(reactor, interface);
  udpr_reactor_free(reactor);
  return status == UDPR_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
