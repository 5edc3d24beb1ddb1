/* multicast_server [INTERFACE]: joins 228.0.0.5 on port 9999 and replies to each ping in the group, until
 * Ctrl-C.
 *
 *     $ multicast_server lo &          (without "lo", on the local network)
 *     listening on 0.0.0.0:9999
 *     $ multicast_client lo
 *     received "Client: Ping" from 127.0.0.1:9999
 *
 * A server and several clients on one host share the port (UDPR_UDP_LISTEN_MULTIPLE), and each receives what
 * is sent to the group.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <udpr/udpr.h>

static const char PING[] = "Client: Ping", PONG[] = "Server: Pong";

/* Prints what has failed, if it has. Returns `status`. */
static udpr_status check(const char *what, udpr_status status) {
  if (status != UDPR_OK)
    fprintf(stderr, "multicast_server: %s: %s: %s\n", what, udpr_status_name(status),
            udpr_status_message(status));
  return status;
}

static void print_address(const char *before, const udpr_addr *addr) {
  char text[UDPR_ADDR_TEXT_MAX];
  if (udpr_addr_format(addr, text, sizeof text, NULL) == UDPR_OK) printf("%s%s\n", before, text);
}

/* `user` is the index of the interface; 0 lets the system choose. */
static udpr_status start_protocol(udpr_transport *transport, void *user) {
  const uint32_t *interface = user;
  udpr_addr       host, group;
  udpr_status     status = udpr_addr_parse("228.0.0.5", 0, &group);
  if (status == UDPR_OK)
    status = udpr_transport_set_ttl(transport, 5); /* up to four routers away, not only on this network */
  if (status == UDPR_OK) status = udpr_transport_join_group(transport, &group, *interface);
  if (status == UDPR_OK) status = udpr_transport_get_host(transport, &host);
  if (status == UDPR_OK) print_address("listening on ", &host);
  return status; /* on any other status, listen_multicast fails with it */
}

static void datagram_received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  (void)user;
  printf("received \"%.*s\" from", (int)datagram->len, (const char *)datagram->data);
  print_address(" ", &datagram->sender);
  if (datagram->len != strlen(PING) || memcmp(datagram->data, PING, datagram->len) != 0) return;

  /* To the sender, not to the group. */
  check("cannot reply", udpr_transport_write(transport, PONG, strlen(PONG), &datagram->sender));
}

static udpr_status serve(udpr_reactor *reactor, uint32_t interface) {
  const udpr_protocol protocol = {
      .size = sizeof protocol,
      .user = &interface,
      .start_protocol = start_protocol,
      .datagram_received = datagram_received,
  };
  const udpr_udp_options options = {.size = sizeof options, .flags = UDPR_UDP_LISTEN_MULTIPLE};
  udpr_status            status = check("cannot listen to 228.0.0.5 on port 9999",
                                        udpr_reactor_listen_multicast(reactor, 9999, NULL, &protocol, &options, NULL));
  return status == UDPR_OK ? check("cannot run", udpr_reactor_run(reactor)) : status;
}

static const char USAGE[] = "usage: multicast_server [INTERFACE]   (lo, eth0, 192.168.1.2, ...)\n"
                            "It joins 228.0.0.5, without INTERFACE on the local network.\n";

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0); /* line by line, also into a pipe */
  uint32_t interface = 0;           /* from a name, a number or an address of this host */
  if (argc > 2 || (argc == 2 && udpr_interface_index(argv[1], &interface) != UDPR_OK))
    return fputs(USAGE, stderr), 2;

  const udpr_reactor_options options = {.size = sizeof options, .flags = UDPR_REACTOR_SIGNALS};
  udpr_reactor              *reactor = NULL;
  udpr_status                status = check("cannot make a reactor", udpr_reactor_new(&options, &reactor));
  if (status == UDPR_OK) status = serve(reactor, interface);
  udpr_reactor_free(reactor);
  return status == UDPR_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
