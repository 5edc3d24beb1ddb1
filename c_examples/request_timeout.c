/* request_timeout HOST PORT TEXT: sends a request, repeats it if no reply arrives, and finally gives up.
 *
 *     $ basic_example >/dev/null & request_timeout localhost 9999 "Hello World!"
 *     try 1
 *     answer: Hello World!
 *     $ kill %1; request_timeout localhost 9999 "Hello World!"
 *     try 1
 *     nobody listens there
 *     try 2
 *     ...
 *     request_timeout: no reply: UDPR_E_TIMED_OUT: it took too long
 *
 * A datagram may be lost, duplicated or delayed. Therefore each request begins with a number, the same in
 * every try, with which the reply must begin, too. The time between tries doubles, so that many clients do
 * not overload a busy server.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <udpr/udpr.h>

enum { TRIES = 4, FIRST_TIMEOUT_MS = 200 };

typedef struct request {
  char        text[1200];
  size_t      len, number_len;
  int         tries;
  udpr_id     next_try;
  udpr_status status; /* the result */
} request;

/* Prints what has failed, if it has. Returns `status`. */
static udpr_status check(const char *what, udpr_status status) {
  if (status != UDPR_OK)
    fprintf(stderr, "request_timeout: %s: %s: %s\n", what, udpr_status_name(status),
            udpr_status_message(status));
  return status;
}

/* Keeps the result, and stops the reactor: that closes the port, whose delayed call ends with it. */
static void finish(udpr_reactor *reactor, request *self, udpr_status status) {
  self->status = status;
  udpr_reactor_stop(reactor);
}

/* A delayed call of the port. It makes itself pending again until the request is answered. */
static void try_now(udpr_transport *transport, void *user) {
  request      *self = user;
  udpr_reactor *reactor = udpr_transport_reactor(transport);
  if (self->tries == TRIES) {
    finish(reactor, self, check("no reply", UDPR_E_TIMED_OUT));
    return;
  }
  udpr_ns delay = UDPR_MS(FIRST_TIMEOUT_MS) << self->tries;
  printf("try %d\n", ++self->tries);
  udpr_status status = check("cannot send", udpr_transport_write(transport, self->text, self->len, NULL));
  if (status == UDPR_OK)
    status = check("cannot wait", udpr_reactor_reset_call(reactor, self->next_try, delay));
  if (status != UDPR_OK) finish(reactor, self, status);
}

/* The port is connected, so it receives only datagrams of its peer. */
static void datagram_received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  request *self = user;
  size_t   begin = self->number_len;
  /* the reply to another request */
  if (datagram->len < begin || memcmp(datagram->data, self->text, begin) != 0) return;
  printf("answer: %.*s\n", (int)(datagram->len - begin), (const char *)datagram->data + begin);
  finish(udpr_transport_reactor(transport), self, UDPR_OK);
}

/* The server may just be starting. The next try will show. */
static void connection_refused(udpr_transport *transport, void *user) {
  (void)transport, (void)user;
  puts("nobody listens there");
}

static udpr_status start(udpr_reactor *reactor, const udpr_addr *peer, request *self) {
  const udpr_protocol protocol = {.size = sizeof protocol,
                                  .user = self,
                                  .datagram_received = datagram_received,
                                  .connection_refused = connection_refused};
  udpr_transport     *transport = NULL;
  udpr_status         status =
      check("cannot listen", udpr_reactor_listen_udp(reactor, 0, NULL, &protocol, NULL, &transport));
  if (status == UDPR_OK) status = check("cannot connect", udpr_transport_connect(transport, peer));
  if (status == UDPR_OK)
    status =
        check("cannot begin", udpr_transport_call_later(transport, 0, try_now, self, NULL, &self->next_try));
  udpr_transport_release(transport); /* the port stays open without this reference */
  return status;
}

static void resolved(udpr_reactor *reactor, udpr_id id, udpr_status status, const udpr_addr *addrs,
                     size_t count, void *user) {
  (void)id, (void)count;
  status = check("cannot look up the host", status);
  if (status == UDPR_OK) status = start(reactor, &addrs[0], user);
  if (status != UDPR_OK) finish(reactor, user, status);
}

static udpr_status ask(udpr_reactor *reactor, const char *host, uint16_t port, request *self) {
  udpr_status status =
      check(host, udpr_reactor_resolve(reactor, host, port, UDPR_AF_INET, 0, resolved, self, NULL, NULL));
  if (status == UDPR_OK) status = check("cannot run", udpr_reactor_run(reactor));
  return status == UDPR_OK ? self->status : status;
}

/* The number comes first. A secret one, from getrandom(2), is better if others could forge replies. */
static udpr_status write_request(udpr_reactor *reactor, const char *text, request *self) {
  self->number_len =
      (size_t)snprintf(self->text, sizeof self->text, "%llx ", (unsigned long long)udpr_reactor_now(reactor));
  self->len = self->number_len + strlen(text);
  if (self->len >= sizeof self->text) return check("TEXT", UDPR_E_MESSAGE_TOO_LONG);
  strcat(self->text, text);
  return UDPR_OK;
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0); /* line by line, also into a pipe */
  char         *end = NULL;
  unsigned long port = argc == 4 ? strtoul(argv[2], &end, 10) : 0;
  if (port < 1 || port > 65535 || *end) return fprintf(stderr, "usage: request_timeout HOST PORT TEXT\n"), 2;

  request       one = {.status = UDPR_OK};
  udpr_reactor *reactor = NULL;
  udpr_status   status = check("cannot make a reactor", udpr_reactor_new(NULL, &reactor));
  if (status == UDPR_OK) status = write_request(reactor, argv[3], &one);
  if (status == UDPR_OK) status = ask(reactor, argv[1], (uint16_t)port, &one);
  udpr_reactor_free(reactor);
  return status == UDPR_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
