/* tftp_server [PORT [DIRECTORY]]: lets clients read the files of a directory by TFTP (RFC 1350), until Ctrl-C.
 *
 *     $ tftp_server 6969 /usr/include &
 *     listening on 0.0.0.0:6969
 *     $ curl -s tftp://127.0.0.1:6969/stdio.h | wc -l
 *     stdio.h was sent
 *     980
 *
 * Each transfer has a port of its own, as the protocol demands. Its memory and its timer belong to that port,
 * so a transfer ends by one call of udpr_transport_stop_listening.
 */
#define _POSIX_C_SOURCE 200809L
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <udpr/udpr.h>

enum { READ_REQUEST = 1, DATA = 3, ACK = 4, ERROR = 5 }; /* kinds of packets */
enum { HEADER = 4, BLOCK = 512, TRIES = 5 };

typedef struct transfer {
  FILE     *file;
  udpr_addr client;
  uint8_t   packet[HEADER + BLOCK]; /* the block that was not acknowledged yet */
  size_t    len;
  unsigned  block, tries;
  udpr_id   timer;
  char      name[BLOCK];
} transfer;

/* Prints what has failed, if it has. Returns `status`. */
static udpr_status check(const char *what, udpr_status status) {
  if (status != UDPR_OK)
    fprintf(stderr, "tftp_server: %s: %s: %s\n", what, udpr_status_name(status), udpr_status_message(status));
  return status;
}

static unsigned number_at(const uint8_t *at) { return (unsigned)at[0] << 8 | at[1]; }

static void end_transfer(udpr_transport *transport, const transfer *self, const char *how) {
  printf("%s %s\n", self->name, how);
  udpr_transport_stop_listening(transport);
}

/* A block that cannot be sent is sent again later, as one that the network loses. */
static void send_block(udpr_transport *transport, const transfer *self) {
  check("cannot send a block", udpr_transport_write(transport, self->packet, self->len, NULL));
}

static void send_next_block(udpr_transport *transport, transfer *self) {
  self->block++;
  const uint8_t header[HEADER] = {0, DATA, (uint8_t)(self->block >> 8), (uint8_t)self->block};
  memcpy(self->packet, header, HEADER);
  self->len = HEADER + fread(self->packet + HEADER, 1, BLOCK, self->file);
  self->tries = 0;
  if (ferror(self->file)) end_transfer(transport, self, "cannot be read");
  else send_block(transport, self);
}

/* The client has not acknowledged the block in time. */
static void send_again(udpr_transport *transport, udpr_id id, uint64_t beats, void *user) {
  transfer *self = user;
  (void)id, (void)beats;
  if (++self->tries < TRIES) send_block(transport, self);
  else end_transfer(transport, self, "was given up");
}

static udpr_status transfer_started(udpr_transport *transport, void *user) {
  transfer   *self = user;
  udpr_status status = udpr_transport_connect(transport, &self->client); /* to receive from nobody else */
  if (status == UDPR_OK)
    status = udpr_transport_call_every(transport, UDPR_S(1), send_again, self, NULL, &self->timer);
  if (status == UDPR_OK) send_next_block(transport, self);
  return status;
}

static void packet_received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  transfer *self = user;
  unsigned  kind = datagram->len < HEADER ? 0 : number_at(datagram->data);
  if (kind == ERROR) end_transfer(transport, self, "was refused by the client");
  /* Nothing is sent for an ACK of an earlier block. Otherwise each later block would be sent twice, too. */
  if (kind != ACK || number_at(datagram->data + 2) != (self->block & 0xffff)) return;

  if (self->len < HEADER + BLOCK) { /* only the last block is not full */
    end_transfer(transport, self, "was sent");
  } else {
    udpr_reactor *reactor = udpr_transport_reactor(transport);
    check("cannot move the timer", udpr_reactor_reset_call(reactor, self->timer, UDPR_S(1)));
    send_next_block(transport, self);
  }
}

static void client_gone(udpr_transport *transport, void *user) {
  end_transfer(transport, user, "was given up: the client has gone");
}

static void free_transfer(void *user) {
  fclose(((transfer *)user)->file);
  free(user);
}

/* Begins a transfer. Returns NULL, or the text of an error for the client. */
static const char *begin_transfer(udpr_reactor *reactor, const udpr_datagram *request) {
  char text[BLOCK + 3] = ""; /* the NULs at its end make two strings of any request */
  memcpy(text, request->data, request->len < BLOCK ? request->len : BLOCK);
  const char *name = text + 2, *mode = name + strlen(name) + 1;
  if (request->len < 2 || number_at(request->data) != READ_REQUEST) return "only read requests are served";
  if (strcasecmp(mode, "octet") != 0) return "only the mode octet is supported";
  if (*name == '.' || strchr(name, '/')) return "only files of the directory itself are served";

  FILE     *file = fopen(name, "rb");
  transfer *self = file ? calloc(1, sizeof *self) : NULL;
  if (!file) return "no such file";
  if (!self) return fclose(file), "no memory";
  self->file = file;
  self->client = request->sender;
  strcpy(self->name, name);
  const udpr_protocol protocol = {.size = sizeof protocol,
                                  .user = self,
                                  .free_user = free_transfer, /* called also if listening fails */
                                  .start_protocol = transfer_started,
                                  .datagram_received = packet_received,
                                  .connection_refused = client_gone};
  udpr_addr           local = request->destination; /* the address to which the client has sent ... */
  local.port = 0;                                   /* ... and any port */
  udpr_status status = udpr_reactor_listen_addr(reactor, &local, &protocol, NULL, NULL);
  return check("cannot begin a transfer", status) == UDPR_OK ? NULL : "the server cannot do it now";
}

static void request_received(udpr_transport *transport, const udpr_datagram *request, void *user) {
  (void)user;
  if (request->flags & UDPR_DATAGRAM_TO_MANY) return; /* a broadcast, which RFC 1123 says to ignore */
  const char *error = begin_transfer(udpr_transport_reactor(transport), request);
  if (!error) return;
  char   packet[HEADER + 100];
  size_t len = 1 + (size_t)snprintf(packet, sizeof packet, "%c%c%c%c%s", 0, ERROR, 0, 0, error);
  check("cannot send an error", udpr_transport_reply(transport, request, packet, len));
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

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0); /* line by line, also into a pipe */
  char         *end = NULL;
  unsigned long port = argc > 1 ? strtoul(argv[1], &end, 10) : 6969;
  if (argc > 3 || port > 65535 || (end && (*end || end == argv[1])))
    return fputs("usage: tftp_server [PORT [DIRECTORY]]   (0 to 65535)\n", stderr), 2;
  if (argc > 2 && chdir(argv[2]) != 0)
    return fprintf(stderr, "tftp_server: %s: %s\n", argv[2], strerror(errno)), EXIT_FAILURE;

  const udpr_protocol server = {.size = sizeof server,
                                .start_protocol = start_protocol,
                                .datagram_received = request_received};
  /* PACKET_INFO: each request has its destination. SIGNALS: Ctrl-C ends udpr_reactor_run. */
  const udpr_udp_options     options = {.size = sizeof options, .flags = UDPR_UDP_PACKET_INFO};
  const udpr_reactor_options reactor_options = {.size = sizeof reactor_options,
                                                .flags = UDPR_REACTOR_SIGNALS};
  udpr_reactor              *reactor = NULL;
  udpr_status status = check("cannot make a reactor", udpr_reactor_new(&reactor_options, &reactor));
  if (status == UDPR_OK)
    status = check("cannot listen",
                   udpr_reactor_listen_udp(reactor, (uint16_t)port, NULL, &server, &options, NULL));
  if (status == UDPR_OK) status = check("cannot run", udpr_reactor_run(reactor));
  udpr_reactor_free(reactor);
  return status == UDPR_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
