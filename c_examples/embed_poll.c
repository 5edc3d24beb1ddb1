/* embed_poll [PORT]: udpr inside a loop of the program's own. That loop waits in poll(2) for the terminal,
 * and for the reactor's descriptor, which stands for its ports, its delayed calls and its threads.
 *
 *     $ embed_poll
 *     listening on 0.0.0.0:9999
 *     (echo "Hello World!" | nc -4u -w9 localhost 9999, in another shell)
 *     127.0.0.1:32844 says Hello World!
 *     Hello to you                        (typed here: it is sent to the last sender)
 *     ... Ctrl-D
 *     stopped
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <udpr/udpr.h>

typedef struct chat {
  udpr_transport *transport; /* retained */
  udpr_addr       last;      /* the last sender; UDPR_AF_UNSPEC at first */
} chat;

/* Prints what has failed, if it has. Returns `status`. */
static udpr_status check(const char *what, udpr_status status) {
  if (status != UDPR_OK)
    fprintf(stderr, "embed_poll: %s: %s: %s\n", what, udpr_status_name(status), udpr_status_message(status));
  return status;
}

static void datagram_received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  chat *self = user;
  char  from[UDPR_ADDR_TEXT_MAX];
  (void)transport;
  self->last = datagram->sender;
  if (udpr_addr_format(&datagram->sender, from, sizeof from, NULL) != UDPR_OK) return;
  size_t len = datagram->len;
  if (len > 0 && datagram->data[len - 1] == '\n') len--;
  printf("%s says %.*s\n", from, (int)len, (const char *)datagram->data);
}

static void stop_protocol(udpr_transport *transport, udpr_status reason, void *user) {
  (void)transport, (void)reason, (void)user;
  puts("stopped");
}

/* Sends what was typed as one datagram. Returns 0 at the end of the input. */
static int send_typed(chat *self) {
  char    text[1024];
  ssize_t len = read(STDIN_FILENO, text, sizeof text);
  if (len < 0) return errno == EINTR;
  if (len > 0 && self->last.family != UDPR_AF_UNSPEC)
    check("cannot send", udpr_transport_write(self->transport, text, (size_t)len, &self->last));
  return len > 0;
}

/* The program's loop. It runs turns of the reactor when the descriptor is readable. They never wait. */
static udpr_status loop(udpr_reactor *reactor, chat *self) {
  struct pollfd fds[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.events = POLLIN}};
  udpr_status   status = check("no descriptor", udpr_reactor_backend_fd(reactor, &fds[1].fd));
  if (status == UDPR_OK) status = check("cannot start", udpr_reactor_start(reactor));
  while (status == UDPR_OK && udpr_reactor_is_running(reactor)) {
    if (poll(fds, 2, -1) < 0 && errno != EINTR) return check("poll", UDPR_E_SYSTEM - errno);
    if (fds[1].revents) status = check("cannot run", udpr_reactor_iterate(reactor, 0));
    if (fds[0].revents && !send_typed(self)) {
      fds[0].fd = -1;             /* poll ignores it from now on */
      udpr_reactor_stop(reactor); /* completed in a turn, for which the descriptor becomes readable */
    }
  }
  return status;
}

static udpr_status serve(udpr_reactor *reactor, uint16_t port) {
  chat                self = {.transport = NULL};
  const udpr_protocol protocol = {.size = sizeof protocol,
                                  .user = &self,
                                  .datagram_received = datagram_received,
                                  .stop_protocol = stop_protocol};
  udpr_addr           host;
  char                text[UDPR_ADDR_TEXT_MAX];
  udpr_status         status =
      check("cannot listen", udpr_reactor_listen_udp(reactor, port, NULL, &protocol, NULL, &self.transport));
  if (status == UDPR_OK) status = udpr_transport_get_host(self.transport, &host);
  if (status == UDPR_OK) status = udpr_addr_format(&host, text, sizeof text, NULL);
  if (status == UDPR_OK) printf("listening on %s\n", text);
  if (status == UDPR_OK) status = loop(reactor, &self);
  udpr_transport_release(self.transport);
  return status;
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0); /* line by line, also into a pipe */
  char         *end = NULL;
  unsigned long port = argc > 1 ? strtoul(argv[1], &end, 10) : 9999;
  if (argc > 2 || port > 65535 || (end && (*end || end == argv[1])))
    return fprintf(stderr, "usage: embed_poll [PORT]   (0 to 65535)\n"), 2;

  udpr_reactor *reactor = NULL;
  udpr_status   status = check("cannot make a reactor", udpr_reactor_new(NULL, &reactor));
  if (status == UDPR_OK) status = serve(reactor, (uint16_t)port);
  udpr_reactor_free(reactor);
  return status == UDPR_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
