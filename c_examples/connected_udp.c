/* connected_udp HOST PORT: sends "hello" to one peer, and prints what the peer sends, or that nobody listens
 * there.
 *
 *     $ connected_udp 127.0.0.1 1234
 *     we can only send to 127.0.0.1:1234 now
 *     No one listening
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <udpr/udpr.h>

static void complain(const char *what, udpr_status status) {
  fprintf(stderr, "connected_udp: %s: %s: %s\n", what, udpr_status_name(status), udpr_status_message(status));
}

/* `user` is the peer. */
static udpr_status start_protocol(udpr_transport *transport, void *user) {
  udpr_status status = udpr_transport_connect(transport, user);
  if (status != UDPR_OK) return status; /* listen_udp fails with the same status */
  char text[UDPR_ADDR_TEXT_MAX];
  status = udpr_addr_format(user, text, sizeof text, NULL);
  if (status != UDPR_OK) return status;
  printf("we can only send to %s now\n", text);
  return udpr_transport_write(transport, "hello", 5, NULL); /* to the peer */
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

/* Returns the port number in `text`, or 0 if there is none. */
static uint16_t parse_port(const char *text) {
  char *end;
  errno = 0;
  long port = strtol(text, &end, 10);
  return isdigit((unsigned char)*text) && *end == '\0' && errno == 0 && port <= 65535 ? (uint16_t)port : 0;
}

static udpr_status talk(udpr_reactor *reactor, udpr_addr *peer) {
  const udpr_protocol helloer = {
      .size = sizeof helloer,
      .user = peer,
      .start_protocol = start_protocol,
      .datagram_received = datagram_received,
      .connection_refused = connection_refused,
  };
  const char *local = peer->family == UDPR_AF_INET6 ? "::" : "0.0.0.0";
  udpr_status status = udpr_reactor_listen_udp(reactor, 0, local, &helloer, NULL, NULL);
  return status == UDPR_OK ? udpr_reactor_run(reactor) : status;
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0); /* line by line, also into a pipe */
  uint16_t port = argc == 3 ? parse_port(argv[2]) : 0;
  if (port == 0) return fputs("usage: connected_udp HOST PORT   (an IP address, 1 to 65535)\n", stderr), 2;
  udpr_addr   peer;
  udpr_status status = udpr_addr_parse_host(argv[1], port, &peer);
  if (status != UDPR_OK) return complain(argv[1], status), 2;

  /* SIGNALS: Ctrl-C ends udpr_reactor_run, after every port has stopped. */
  const udpr_reactor_options options = {.size = sizeof options, .flags = UDPR_REACTOR_SIGNALS};
  udpr_reactor              *reactor = NULL;
  status = udpr_reactor_new(&options, &reactor);
  if (status == UDPR_OK) status = talk(reactor, &peer);
  if (status != UDPR_OK) complain("cannot talk to the peer", status);
  udpr_reactor_free(reactor);
  return status == UDPR_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
