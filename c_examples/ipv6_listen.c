/* ipv6_listen [ADDRESS]: an echo server on port 9999 of an IPv6 address, until Ctrl-C. The default, "::",
 * also receives IPv4.
 *
 *     $ ipv6_listen &
 *     listening on [::]:9999
 *     $ echo "Hello World!" | nc -6u -w1 ::1 9999
 *     received 13 bytes from [::1]:32844
 *     Hello World!
 *     $ echo "Hello World!" | nc -4u -w1 127.0.0.1 9999
 *     received 13 bytes from 127.0.0.1:55555 by IPv4
 *     Hello World!
 *
 * A link-local address has a zone, which is the interface: ipv6_listen fe80::1%eth0.
 */
#include <stdio.h>
#include <stdlib.h>

#include <udpr/udpr.h>

/* Prints what has failed, if it has. Returns `status`. */
static udpr_status check(const char *what, udpr_status status) {
  if (status != UDPR_OK)
    fprintf(stderr, "ipv6_listen: %s: %s: %s\n", what, udpr_status_name(status), udpr_status_message(status));
  return status;
}

static const char *address_text(const udpr_addr *addr, char text[UDPR_ADDR_TEXT_MAX]) {
  udpr_status status = udpr_addr_format(addr, text, UDPR_ADDR_TEXT_MAX, NULL);
  return status == UDPR_OK ? text : udpr_status_name(status);
}

static udpr_status start_protocol(udpr_transport *transport, void *user) {
  (void)user;
  udpr_addr   host;
  char        text[UDPR_ADDR_TEXT_MAX];
  udpr_status status = udpr_transport_get_host(transport, &host);
  if (status == UDPR_OK) printf("listening on %s\n", address_text(&host, text));
  return status;
}

static void datagram_received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  (void)user;
  char      text[UDPR_ADDR_TEXT_MAX];
  udpr_addr v4;
  /* An IPv4 sender is ::ffff:127.0.0.1 here. It is printed as IPv4, but the reply uses the address unchanged.
   */
  if (udpr_addr_unmap_v4(&datagram->sender, &v4) == UDPR_OK)
    printf("received %zu bytes from %s by IPv4\n", datagram->len, address_text(&v4, text));
  else printf("received %zu bytes from %s\n", datagram->len, address_text(&datagram->sender, text));

  /* The sender's address includes its zone, which a reply to a link-local address needs. */
  check("cannot send it back",
        udpr_transport_write(transport, datagram->data, datagram->len, &datagram->sender));
}

static udpr_status serve(udpr_reactor *reactor, const udpr_addr *local) {
  const udpr_protocol echo = {
      .size = sizeof echo,
      .start_protocol = start_protocol,
      .datagram_received = datagram_received,
  };
  udpr_status status =
      check("cannot listen on port 9999", udpr_reactor_listen_addr(reactor, local, &echo, NULL, NULL));
  return status == UDPR_OK ? check("cannot run", udpr_reactor_run(reactor)) : status;
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0); /* line by line, also into a pipe */
  udpr_addr   local;
  udpr_status status = udpr_addr_parse_host(argc > 1 ? argv[1] : "::", 9999, &local);
  if (argc > 2 || status != UDPR_OK || local.family != UDPR_AF_INET6)
    return fprintf(stderr, "usage: ipv6_listen [ADDRESS]   (::, ::1, fe80::1%%eth0, ...)\n"), 2;

  const udpr_reactor_options options = {.size = sizeof options, .flags = UDPR_REACTOR_SIGNALS};
  udpr_reactor              *reactor = NULL;
  status = check("cannot make a reactor", udpr_reactor_new(&options, &reactor));
  if (status == UDPR_OK) status = serve(reactor, &local);
  udpr_reactor_free(reactor);
  return status == UDPR_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
