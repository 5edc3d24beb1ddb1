/* udp_broadcast [PORT [ADDRESS]]: finds other instances of itself on the local network, until Ctrl-C. Every
 * second it broadcasts a PING with an id, which every host of the network receives. Each instance replies with
 * a PONG of the same id, and the PONGs of each PING are counted.
 *
 *     $ udp_broadcast
 *     listening on 0.0.0.0:8555
 *     SEND PING 4711-1
 *     RECV PING 4711-1 from 192.168.1.2:8555
 *     RECV PONG 4711-1 from 192.168.1.2:8555: 1 so far
 *
 * ADDRESS is the broadcast address of a subnet, instead of 255.255.255.255. 127.255.255.255 works on one
 * host.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <udpr/udpr.h>

enum { REMEMBERED = 16 }; /* PINGs whose replies are still counted */

typedef struct broadcaster {
  udpr_addr everyone;
  unsigned  pings, pongs[REMEMBERED];
} broadcaster;

/* Prints what has failed, if it has. Returns `status`. */
static udpr_status check(const char *what, udpr_status status) {
  if (status != UDPR_OK)
    fprintf(stderr, "udp_broadcast: %s: %s: %s\n", what, udpr_status_name(status),
            udpr_status_message(status));
  return status;
}

static const char *address_text(const udpr_addr *addr, char text[UDPR_ADDR_TEXT_MAX]) {
  udpr_status status = udpr_addr_format(addr, text, UDPR_ADDR_TEXT_MAX, NULL);
  return status == UDPR_OK ? text : udpr_status_name(status);
}

/* Called every second. */
static void send_ping(udpr_transport *transport, udpr_id id, uint64_t beats, void *user) {
  broadcaster *self = user;
  char         ping[64];
  (void)id, (void)beats;
  self->pongs[++self->pings % REMEMBERED] = 0;
  int         len = snprintf(ping, sizeof ping, "PING %ld-%u", (long)getpid(), self->pings);
  udpr_status status = udpr_transport_write(transport, ping, (size_t)len, &self->everyone);
  if (check("cannot send a PING", status) == UDPR_OK) printf("SEND %s\n", ping);
}

static void datagram_received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  broadcaster *self = user;
  char         message[64], from[UDPR_ADDR_TEXT_MAX];
  long         pid;
  unsigned     number;
  snprintf(message, sizeof message, "%.*s", (int)datagram->len, (const char *)datagram->data);
  address_text(&datagram->sender, from);
  if (sscanf(message, "PING %ld-%u", &pid, &number) == 2) {
    printf("RECV %s from %s\n", message, from);
    message[1] = 'O'; /* PONG, to the sender */
    check("cannot reply", udpr_transport_write(transport, message, strlen(message), &datagram->sender));
  } else if (sscanf(message, "PONG %ld-%u", &pid, &number) == 2 && pid == (long)getpid() &&
             self->pings - number < REMEMBERED) {
    printf("RECV %s from %s: %u so far\n", message, from, ++self->pongs[number % REMEMBERED]);
  }
}

static udpr_status start_protocol(udpr_transport *transport, void *user) {
  broadcaster *self = user;
  udpr_addr    host;
  char         text[UDPR_ADDR_TEXT_MAX];
  udpr_status  status = udpr_transport_set_broadcast_allowed(transport, 1);
  if (status == UDPR_OK) status = udpr_transport_get_host(transport, &host);
  if (status != UDPR_OK) return status; /* listen_udp fails with the same status */
  printf("listening on %s\n", address_text(&host, text));
  send_ping(transport, 0, 1, self);
  return udpr_transport_call_every(transport, UDPR_S(1), send_ping, self, NULL, NULL);
}

static const char USAGE[] = "usage: udp_broadcast [PORT [ADDRESS]]   (1 to 65535)\n"
                            "It broadcasts every second, without ADDRESS to the whole local network.\n";

/* Parses the arguments into the address to send to. Returns 0 if they are invalid. */
static int parse_arguments(int argc, char **argv, udpr_addr *everyone) {
  char *end = NULL;
  errno = 0;
  long port = argc > 1 ? strtol(argv[1], &end, 10) : 8555;
  if (argc > 3 || errno != 0 || (end && *end != '\0') || port < 1 || port > 65535) return 0;
  return udpr_addr_parse_host(argc > 2 ? argv[2] : "255.255.255.255", (uint16_t)port, everyone) == UDPR_OK;
}

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0); /* line by line, also into a pipe */
  broadcaster self = {0};
  if (!parse_arguments(argc, argv, &self.everyone)) return fputs(USAGE, stderr), 2;

  const udpr_reactor_options options = {.size = sizeof options, .flags = UDPR_REACTOR_SIGNALS};
  const udpr_protocol        protocol = {.size = sizeof protocol,
                                         .user = &self,
                                         .start_protocol = start_protocol,
                                         .datagram_received = datagram_received};
  udpr_reactor              *reactor = NULL;
  udpr_status                status = check("cannot make a reactor", udpr_reactor_new(&options, &reactor));
  if (status == UDPR_OK)
    status = check("cannot listen",
                   udpr_reactor_listen_udp(reactor, self.everyone.port, NULL, &protocol, NULL, NULL));
  if (status == UDPR_OK) status = check("cannot run", udpr_reactor_run(reactor));
  udpr_reactor_free(reactor);
  return status == UDPR_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
