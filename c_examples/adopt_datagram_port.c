/* adopt_datagram_port [PORT]: opens and binds a socket on 127.0.0.1 itself, and passes it to the reactor,
 * which echoes what it receives, until Ctrl-C.
 *
 *     $ adopt_datagram_port &
 *     listening on 127.0.0.1:9999
 *     $ echo "Hello World!" | nc -4u -w1 localhost 9999
 *     Hello World!
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <udpr/udpr.h>

/* Prints what has failed, if it has. Returns `status`. */
static udpr_status check(const char *what, udpr_status status) {
  if (status != UDPR_OK)
    fprintf(stderr, "adopt_datagram_port: %s: %s: %s\n", what, udpr_status_name(status),
            udpr_status_message(status));
  return status;
}

static udpr_status start_protocol(udpr_transport *transport, void *user) {
  (void)user;
  udpr_addr   host;
  char        text[UDPR_ADDR_TEXT_MAX];
  udpr_status status = udpr_transport_get_host(transport, &host);
  if (status == UDPR_OK) status = udpr_addr_format(&host, text, sizeof text, NULL);
  if (status == UDPR_OK) printf("listening on %s\n", text);
  return status;
}

static void datagram_received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  (void)user;
  check("cannot send it back",
        udpr_transport_write(transport, datagram->data, datagram->len, &datagram->sender));
}

/* Stands for any socket code of a program. The socket may also be inherited, as with systemd. */
static int open_socket(uint16_t port) {
  struct sockaddr_in local = {.sin_family = AF_INET,
                              .sin_port = htons(port),
                              .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  int                fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd >= 0 && bind(fd, (struct sockaddr *)&local, sizeof local) == 0) return fd;
  perror("adopt_datagram_port: cannot bind a socket");
  if (fd >= 0) close(fd);
  return -1;
}

static udpr_status serve(udpr_reactor *reactor, int fd) {
  const udpr_protocol echo = {.size = sizeof echo,
                              .start_protocol = start_protocol,
                              .datagram_received = datagram_received};
  udpr_status         status = check("cannot adopt the socket",
                                     udpr_reactor_adopt_datagram_port(reactor, fd, UDPR_AF_INET, &echo, NULL, NULL));
  /* The reactor has duplicated the descriptor, so this one can be closed. Its calls never block, whatever the
   * socket's mode.
   */
  close(fd);
  return status == UDPR_OK ? check("cannot run", udpr_reactor_run(reactor)) : status;
}

/* Returns the port number in `text`, or -1. */
static long parse_port(const char *text) {
  char *end;
  errno = 0;
  long port = strtol(text, &end, 10);
  return isdigit((unsigned char)*text) && *end == '\0' && errno == 0 && port <= 65535 ? port : -1;
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0); /* line by line, also into a pipe */
  long port = argc > 1 ? parse_port(argv[1]) : 9999;
  if (argc > 2 || port < 0) return fputs("usage: adopt_datagram_port [PORT]   (0 to 65535)\n", stderr), 2;
  int fd = open_socket((uint16_t)port);
  if (fd < 0) return EXIT_FAILURE;

  /* SIGNALS: Ctrl-C ends udpr_reactor_run, after every port has stopped. */
  const udpr_reactor_options options = {.size = sizeof options, .flags = UDPR_REACTOR_SIGNALS};
  udpr_reactor              *reactor = NULL;
  udpr_status                status = check("cannot make a reactor", udpr_reactor_new(&options, &reactor));
  if (status == UDPR_OK) status = serve(reactor, fd);
  else close(fd);
  udpr_reactor_free(reactor);
  return status == UDPR_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
