/* dns_forwarder SERVER [PORT]: forwards the queries of DNS clients to a name server, and its responses to the
 * clients, until Ctrl-C.
 *
 *     $ dns_forwarder 192.0.2.53 5300 &
 *     listening on 0.0.0.0:5300
 *     $ dig @127.0.0.1 -p 5300 +short example.org
 *     192.0.2.80
 *
 * A query is sent under a random ID, by which the response is found and which is hard to guess. It is sent
 * again each second, and after three tries the client gets SERVFAIL. The memory of a query belongs to its
 * timer: it is freed when the timer is cancelled, or ends with the port.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <udpr/udpr.h>

enum { HEADER = 12, TRIES = 3, MOST_QUERIES = 10000 };
enum { IS_RESPONSE = 0x80, RECURSION_AVAILABLE = 0x80, SERVFAIL = 2 }; /* bytes 2 and 3 of the header */

typedef struct forwarder {
  udpr_transport *clients, *server; /* retained; the second one is connected to the name server */
  struct query   *queries[65536];   /* by ID */
  unsigned        waiting;          /* how many there are */
} forwarder;

typedef struct query {
  forwarder    *forwarder;
  udpr_datagram request; /* a copy for udpr_transport_reply, which does not use its data */
  uint8_t       client_id[2];
  unsigned      id, tries;
  udpr_id       timer;
  size_t        question_end, len;
  uint8_t       packet[]; /* the query with our ID */
} query;

/* Prints what has failed, if it has. Returns `status`. */
static udpr_status check(const char *what, udpr_status status) {
  if (status != UDPR_OK)
    fprintf(stderr, "dns_forwarder: %s: %s: %s\n", what, udpr_status_name(status),
            udpr_status_message(status));
  return status;
}

/* Returns where the first question of a packet ends, or 0 if there is none. */
static size_t question_end(const uint8_t *packet, size_t len) {
  size_t at = HEADER;
  while (at < len && packet[at] != 0) at += 1 + (size_t)packet[at]; /* the labels of the name */
  return at + 5 <= len ? at + 5 : 0;                                /* a zero, the type and the class */
}

static unsigned unused_id(const forwarder *self) {
  uint16_t id = 0;
  do {
    if (getrandom(&id, sizeof id, 0) != sizeof id) abort();
  } while (self->queries[id] != NULL);
  return id;
}

static void free_query(void *user) {
  query *self = user;
  self->forwarder->queries[self->id] = NULL;
  self->forwarder->waiting--;
  free(self);
}

/* Sends a response to the client, with the client's ID, and ends the query. */
static void respond(query *self, const uint8_t *data, size_t len) {
  static uint8_t packet[65535];
  memcpy(packet, data, len);
  memcpy(packet, self->client_id, 2);
  udpr_transport *clients = self->forwarder->clients;
  check("cannot respond", udpr_transport_reply(clients, &self->request, packet, len));
  check("cannot end a query", udpr_reactor_cancel_call(udpr_transport_reactor(clients), self->timer));
}

static void send_query(query *self) {
  check("cannot send", udpr_transport_write(self->forwarder->server, self->packet, self->len, NULL));
}

/* Called each second until there is a response. */
static void send_again(udpr_transport *server, udpr_id id, uint64_t beats, void *user) {
  query *self = user;
  (void)server, (void)id, (void)beats;
  if (++self->tries < TRIES) {
    send_query(self);
  } else {
    self->packet[2] |= IS_RESPONSE;
    self->packet[3] = RECURSION_AVAILABLE | SERVFAIL;
    respond(self, self->packet, self->len);
  }
}

static void query_received(udpr_transport *clients, const udpr_datagram *request, void *user) {
  forwarder *self = user;
  size_t     end = question_end(request->data, request->len);
  (void)clients;
  if (end == 0 || request->data[2] & IS_RESPONSE || self->waiting == MOST_QUERIES) return;
  query *one = malloc(sizeof *one + request->len);
  if (!one) return;
  *one = (query){.forwarder = self, .request = *request, .question_end = end, .len = request->len};
  one->id = unused_id(self);
  memcpy(one->packet, request->data, request->len);
  memcpy(one->client_id, one->packet, 2);
  one->packet[0] = (uint8_t)(one->id >> 8);
  one->packet[1] = (uint8_t)one->id;
  self->queries[one->id] = one;
  self->waiting++;
  udpr_status status =
      udpr_transport_call_every(self->server, UDPR_S(1), send_again, one, free_query, &one->timer);
  if (check("cannot make a timer", status) == UDPR_OK) send_query(one); /* otherwise it has been freed */
}

static void response_received(udpr_transport *server, const udpr_datagram *response, void *user) {
  const forwarder *self = user;
  (void)server;
  if (response->len < HEADER || !(response->data[2] & IS_RESPONSE)) return;
  query *one = self->queries[response->data[0] << 8 | response->data[1]];
  /* A response that is late or a second one has no query any more. One to another question is forged. */
  if (!one || response->len < one->question_end ||
      memcmp(response->data + HEADER, one->packet + HEADER, one->question_end - HEADER) != 0)
    return;
  respond(one, response->data, response->len);
}

/* Opens both ports. */
static udpr_status listen_on(udpr_reactor *reactor, forwarder *self, uint16_t port, const udpr_addr *server) {
  const udpr_protocol    upstream = {.size = sizeof upstream,
                                     .user = self,
                                     .datagram_received = response_received};
  const udpr_protocol    downstream = {.size = sizeof downstream,
                                       .user = self,
                                       .datagram_received = query_received};
  const udpr_udp_options options = {.size = sizeof options, .flags = UDPR_UDP_PACKET_INFO};
  const udpr_addr        any = {.family = server->family};
  udpr_addr              host;
  char                   text[UDPR_ADDR_TEXT_MAX];
  udpr_status            status = check("cannot open a port for the server",
                                        udpr_reactor_listen_addr(reactor, &any, &upstream, NULL, &self->server));
  if (status == UDPR_OK)
    status = check("cannot connect to the server", udpr_transport_connect(self->server, server));
  /* PACKET_INFO: responses leave from the address that the client has asked. */
  if (status == UDPR_OK)
    status = check("cannot listen",
                   udpr_reactor_listen_udp(reactor, port, NULL, &downstream, &options, &self->clients));
  if (status == UDPR_OK) status = udpr_transport_get_host(self->clients, &host);
  if (status == UDPR_OK) status = udpr_addr_format(&host, text, sizeof text, NULL);
  if (status == UDPR_OK) printf("listening on %s\n", text);
  return status;
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0); /* line by line, also into a pipe */
  static forwarder self;
  udpr_addr        server;
  char            *end = NULL;
  unsigned long    port = argc > 2 ? strtoul(argv[2], &end, 10) : 5300;
  if (argc < 2 || argc > 3 || port > 65535 || (end && (*end || end == argv[2])) ||
      udpr_addr_parse(argv[1], 53, &server) != UDPR_OK)
    return fputs("usage: dns_forwarder SERVER [PORT]   (an IP address, or ADDRESS:PORT; 0 to 65535)\n",
                 stderr),
           2;

  const udpr_reactor_options options = {.size = sizeof options, .flags = UDPR_REACTOR_SIGNALS};
  udpr_reactor              *reactor = NULL;
  udpr_status                status = check("cannot make a reactor", udpr_reactor_new(&options, &reactor));
  if (status == UDPR_OK) status = listen_on(reactor, &self, (uint16_t)port, &server);
  if (status == UDPR_OK) status = check("cannot run", udpr_reactor_run(reactor));
  udpr_transport_release(self.clients);
  udpr_transport_release(self.server);
  udpr_reactor_free(reactor);
  return status == UDPR_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
