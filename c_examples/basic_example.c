/* basic_example [PORT]: prints each datagram it receives and sends it back, until Ctrl-C.
 *
 *     $ basic_example &
 *     listening on 0.0.0.0:9999
 *     $ echo "Hello World!" | nc -4u -w1 localhost 9999
 *     received "Hello World!\n" from 127.0.0.1:32844
 *     Hello World!
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <udpr/udpr.h>

/* Prints what has failed, if it has. Returns `status`. */
static udpr_status check(const char *what, udpr_status status) {
  if (status != UDPR_OK)
    fprintf(stderr, "basic_example: %s: %s: %s\n", what, udpr_status_name(status),
            udpr_status_message(status));
  return status;
}

static const char *address_text(const udpr_addr *addr, char text[UDPR_ADDR_TEXT_MAX]) {
  udpr_status status = udpr_addr_format(addr, text, UDPR_ADDR_TEXT_MAX, NULL);
  return status == UDPR_OK ? text : udpr_status_name(status);
}

static void print_escaped(const uint8_t *data, size_t len) {
  for (size_t i = 0; i < len; i++) {
    switch (data[i]) {
    case '\n': fputs("\\n", stdout); break;
    case '\r': fputs("\\r", stdout); break;
    case '\t': fputs("\\t", stdout); break;
    case '"':
    case '\\': printf("\\%c", data[i]); break;
    default: printf(isprint(data[i]) ? "%c" : "\\x%02x", data[i]);
    }
  }
}

static udpr_status start_protocol(udpr_transport *transport, void *user) {
  (void)user;
  udpr_addr   host;
  udpr_status status = udpr_transport_get_host(transport, &host);
  if (status != UDPR_OK) return status; /* listen_udp fails with the same status */
  char text[UDPR_ADDR_TEXT_MAX];
  printf("listening on %s\n", address_text(&host, text));
  return UDPR_OK;
}

static void datagram_received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  (void)user;
  char text[UDPR_ADDR_TEXT_MAX];
  fputs("received \"", stdout);
  print_escaped(datagram->data, datagram->len);
  printf("\" from %s\n", address_text(&datagram->sender, text));

  check("cannot send it back",
        udpr_transport_write(transport, datagram->data, datagram->len, &datagram->sender));
}

static void stop_protocol(udpr_transport *transport, udpr_status reason, void *user) {
  (void)transport, (void)user;
  if (check("stopped", reason) == UDPR_OK) puts("stopped");
}

/* Returns the port number in `text`, or -1. */
static long parse_port(const char *text) {
  char *end;
  errno = 0;
  long port = strtol(text, &end, 10);
  return isdigit((unsigned char)*text) && *end == '\0' && errno == 0 && port <= 65535 ? port : -1;
}

static udpr_status serve(udpr_reactor *reactor, uint16_t port) {
  const udpr_protocol echo = {
      .size = sizeof echo,
      .start_protocol = start_protocol,
      .datagram_received = datagram_received,
      .stop_protocol = stop_protocol,
  };
  char what[64];
  snprintf(what, sizeof what, "cannot listen on port %u", (unsigned)port);
  udpr_status status = check(what, udpr_reactor_listen_udp(reactor, port, NULL, &echo, NULL, NULL));
  return status == UDPR_OK ? check("cannot run", udpr_reactor_run(reactor)) : status;
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0); /* line by line, also into a pipe */
  long port = argc > 1 ? parse_port(argv[1]) : 9999;
  if (argc > 2 || port < 0) return fprintf(stderr, "usage: basic_example [PORT]   (0 to 65535)\n"), 2;

  /* SIGNALS: Ctrl-C ends udpr_reactor_run, after every port has stopped. */
  const udpr_reactor_options options = {.size = sizeof options, .flags = UDPR_REACTOR_SIGNALS};
  udpr_reactor              *reactor = NULL;
  udpr_status                status = check("cannot make a reactor", udpr_reactor_new(&options, &reactor));
  if (status == UDPR_OK) status = serve(reactor, (uint16_t)port);
  udpr_reactor_free(reactor);
  return status == UDPR_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
