/* connected_udp HOST PORT: sends "hello" to one peer, and prints what the peer sends, or that nobody listens
 * there. HOST is a name or an IP address.
 *
 *     $ connected_udp localhost 1234
 *     we can only send to 127.0.0.1:1234 now
 *     No one listening
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <udpr/udpr.h>

/* Prints what has failed, if it has. Returns `status`. */
static udpr_status check(const char *what, udpr_status status) {
  if (status != UDPR_OK)
    fprintf(stderr, "connected_udp: %s: %s: %s\n", what, udpr_status_name(status),
            udpr_status_message(status));
  return status;
}

static void datagram_received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  (void)transport, (void)user;
  fputs("received \"", stdout);
  for (size_t i = 0; i < datagram->len; i++) putchar(isprint(datagram->data[i]) ? datagram->data[i] : '.');
  puts("\"");
}

/* The peer's host has reported that its port is closed. This port stays open, in case somebody listens later.
 */
static void connection_refused(udpr_transport *transport, void *user) {
  (void)transport, (void)user;
  puts("No one listening");
}

/* Connects a new port to the peer, and sends to it. */
static udpr_status talk(udpr_reactor *reactor, const udpr_addr *peer) {
  const udpr_protocol protocol = {.size = sizeof protocol,
                                  .datagram_received = datagram_received,
                                  .connection_refused = connection_refused};
  const udpr_addr     any = {.family = peer->family}; /* any local address and port */
  udpr_transport     *transport = NULL;
  char                text[UDPR_ADDR_TEXT_MAX];
  udpr_status         status =
      check("cannot listen", udpr_reactor_listen_addr(reactor, &any, &protocol, NULL, &transport));
  if (status == UDPR_OK) status = check("cannot connect", udpr_transport_connect(transport, peer));
  if (status == UDPR_OK && udpr_addr_format(peer, text, sizeof text, NULL) == UDPR_OK)
    printf("we can only send to %s now\n", text);
  if (status == UDPR_OK) status = check("cannot send", udpr_transport_write(transport, "hello", 5, NULL));
  udpr_transport_release(transport); /* the port stays open without this reference */
  return status;
}

/* The look-up is done. `user` gets the first error, which ends the program. */
static void resolved(udpr_reactor *reactor, udpr_id id, udpr_status status, const udpr_addr *addrs,
                     size_t count, void *user) {
  udpr_status *result = user;
  (void)id, (void)count;
  *result = check("cannot look up the host", status);
  if (*result == UDPR_OK) *result = talk(reactor, &addrs[0]);
  if (*result != UDPR_OK) udpr_reactor_stop(reactor);
}

/* Returns the port number in `text`, or 0 if there is none. */
static uint16_t parse_port(const char *text) {
  char *end;
  errno = 0;
  long port = strtol(text, &end, 10);
  return isdigit((unsigned char)*text) && *end == '\0' && errno == 0 && port <= 65535 ? (uint16_t)port : 0;
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0); /* line by line, also into a pipe */
  uint16_t port = argc == 3 ? parse_port(argv[2]) : 0;
  if (port == 0) return fputs("usage: connected_udp HOST PORT   (1 to 65535)\n", stderr), 2;

  /* SIGNALS: Ctrl-C ends udpr_reactor_run, after every port has stopped. */
  const udpr_reactor_options options = {.size = sizeof options, .flags = UDPR_REACTOR_SIGNALS};
  udpr_reactor              *reactor = NULL;
  udpr_status                result = UDPR_OK;
  udpr_status                status = check("cannot make a reactor", udpr_reactor_new(&options, &reactor));
  if (status == UDPR_OK) /* UNSPEC: IPv4 or IPv6. 0: a timeout of 60 s. */
    status = check(argv[1], udpr_reactor_resolve(reactor, argv[1], port, UDPR_AF_UNSPEC, 0, resolved, &result,
                                                 NULL, NULL));
  if (status == UDPR_OK) status = check("cannot run", udpr_reactor_run(reactor));
  udpr_reactor_free(reactor);
  return status == UDPR_OK && result == UDPR_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
