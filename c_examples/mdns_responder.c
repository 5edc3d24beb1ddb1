/* mdns_responder [NAME]: publishes the IPv4 addresses of NAME.local in the local networks, by multicast DNS
 * (RFC 6762), until Ctrl-C. Without NAME it is the name of this host.
 *
 *     $ mdns_responder lamp &
 *     listening to 224.0.0.251 on eth0
 *     $ ping lamp.local                       (on another host)
 *     PING lamp.local (192.168.1.7) ...
 *
 * It joins the group on each interface, also on those that appear later. A response has the addresses of the
 * interface by which the query came. IPv6 would need a second port, for the group ff02::fb. A complete
 * responder also makes sure that no other host has the name, and announces it (section 8 of the RFC).
 */
#define _XOPEN_SOURCE 700
#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <udpr/udpr.h>

enum { MDNS_PORT = 5353, HEADER = 12, PACKET = 1400, MOST_NAME = 72, MOST_ADDRESSES = 256 };
enum { A = 1, ANY = 255, IN = 1, UNICAST_PLEASE = 0x8000, FLUSH_CACHE = 0x8000 }; /* types and classes */

typedef struct responder {
  udpr_transport *transport; /* retained */
  udpr_addr       group;
  size_t          name_len;
  uint8_t         name[MOST_NAME]; /* NAME.local as in packets, in small letters */
} responder;

/* Prints what has failed, if it has. Returns `status`. */
static udpr_status check(const char *what, udpr_status status) {
  if (status != UDPR_OK)
    fprintf(stderr, "mdns_responder: %s: %s: %s\n", what, udpr_status_name(status),
            udpr_status_message(status));
  return status;
}

/* Returns how many elements there are: one for each address of each interface. */
static size_t list_interfaces(udpr_interface list[MOST_ADDRESSES]) {
  size_t count;
  list[0].size = sizeof list[0];
  check("cannot list the interfaces", udpr_interfaces(list, MOST_ADDRESSES, &count));
  return count < MOST_ADDRESSES ? count : MOST_ADDRESSES;
}

static uint8_t *put(uint8_t *at, const void *data, size_t len) {
  return (uint8_t *)memcpy(at, data, len) + len;
}

static uint8_t *put_number(uint8_t *at, unsigned number) {
  return put(at, (uint8_t[]){(uint8_t)(number >> 8), (uint8_t)number}, 2);
}

static unsigned number_at(const uint8_t *at) { return (unsigned)at[0] << 8 | at[1]; }

/* Writes a response with the addresses of an interface. If the client knows only plain DNS (section 6.7), it
 * repeats the ID and the question. Returns the length, or 0 if there is no address.
 */
static size_t write_response(const responder *self, const udpr_datagram *query, bool plain,
                             uint8_t packet[PACKET]) {
  static udpr_interface list[MOST_ADDRESSES];
  size_t                count = list_interfaces(list);
  unsigned              answers = 0;
  const unsigned        header[] = {plain ? number_at(query->data) : 0, 0x8400, plain, 0, 0, 0};
  uint8_t              *at = packet;
  for (int i = 0; i < 6; i++) at = put_number(at, header[i]);
  if (plain) at = put_number(put_number(put(at, self->name, self->name_len), A), IN);

  for (size_t i = 0; i < count && at + self->name_len + 14 <= packet + PACKET; i++) {
    if (list[i].index != query->interface_index || list[i].address.family != UDPR_AF_INET) continue;
    at = put_number(put(at, self->name, self->name_len), A);
    at = put_number(at, plain ? IN : IN | FLUSH_CACHE);
    at = put_number(put_number(at, 0), plain ? 10 : 120); /* seconds to live */
    at = put(put_number(at, 4), list[i].address.bytes, 4);
    put_number(packet + 6, ++answers);
  }
  return answers ? (size_t)(at - packet) : 0;
}

/* Sends a response to the group, by the interface of the query, or to the client if it wants that. */
static void respond(const responder *self, const udpr_datagram *query, bool unicast) {
  bool         plain = query->sender.port != MDNS_PORT;
  uint8_t      packet[PACKET];
  size_t       taken, len = write_response(self, query, plain, packet);
  udpr_message message = {.size = sizeof message,
                          .data = packet,
                          .len = len,
                          .to = &self->group,
                          .interface_index = query->interface_index};
  if (len == 0) return;
  if (plain || unicast) check("cannot reply", udpr_transport_reply(self->transport, query, packet, len));
  else check("cannot respond", udpr_transport_write_messages(self->transport, &message, 1, &taken));
}

/* Reads a name, in small letters, and moves `at` behind it. Returns its length, or 0 if it is malformed. */
static size_t read_name(const udpr_datagram *query, size_t *at, uint8_t name[255]) {
  size_t from = *at, behind = 0, len = 0, label = 1;
  while (label != 0) { /* the last one is empty */
    label = from < query->len ? query->data[from] : 255;
    if (label >= 0xc0) { /* it goes on as an earlier name does */
      size_t earlier = from + 2 <= query->len ? number_at(query->data + from) & 0x3fff : from;
      if (earlier >= from) return 0;
      if (behind == 0) behind = from + 2;
      from = earlier;
      continue;
    }
    if (from + 1 + label > query->len || len + 1 + label > 255) return 0;
    for (size_t i = 0; i <= label; i++) name[len++] = (uint8_t)tolower(query->data[from++]);
  }
  *at = behind ? behind : from;
  return len;
}

static void datagram_received(udpr_transport *transport, const udpr_datagram *query, void *user) {
  const responder *self = user;
  (void)transport;
  uint8_t name[255];
  size_t  at = HEADER;
  if (query->len < HEADER || query->data[2] & 0x80) return; /* 0x80: a response */
  for (unsigned left = number_at(query->data + 4); left > 0; left--) {
    size_t len = read_name(query, &at, name);
    if (len == 0 || at + 4 > query->len) return;
    unsigned type = number_at(query->data + at), class = number_at(query->data + at + 2);
    at += 4;
    if (len == self->name_len && memcmp(name, self->name, len) == 0 && (type == A || type == ANY)) {
      respond(self, query, class & UNICAST_PLEASE);
      return; /* one response for a packet, however often it asks */
    }
  }
}

/* Joins the group on new interfaces. A membership ends by itself when its interface is removed. */
static void join_everywhere(udpr_reactor *reactor, udpr_id id, void *user) {
  const responder      *self = user;
  static udpr_interface list[MOST_ADDRESSES];
  size_t                count = list_interfaces(list);
  const uint32_t        wanted = UDPR_INTERFACE_UP | UDPR_INTERFACE_MULTICAST;
  (void)reactor, (void)id;
  for (size_t i = 0; i < count; i++) {
    if (list[i].address.family != UDPR_AF_INET || (list[i].flags & wanted) != wanted) continue;
    udpr_status status = udpr_transport_join_group(self->transport, &self->group, list[i].index);
    if (status == UDPR_E_ALREADY_JOINED) continue; /* since an earlier change, or for another address of it */
    if (check(list[i].name, status) == UDPR_OK) printf("listening to 224.0.0.251 on %s\n", list[i].name);
  }
}

static udpr_status serve(udpr_reactor *reactor, responder *self) {
  const udpr_protocol protocol = {.size = sizeof protocol,
                                  .user = self,
                                  .datagram_received = datagram_received};
  /* LISTEN_MULTIPLE: other programs of this host may have the port, too. PACKET_INFO: a query has its interface. */
  const udpr_udp_options options = {.size = sizeof options,
                                    .flags = UDPR_UDP_LISTEN_MULTIPLE | UDPR_UDP_PACKET_INFO};
  udpr_status            status =
      check("cannot listen",
            udpr_reactor_listen_multicast(reactor, MDNS_PORT, NULL, &protocol, &options, &self->transport));
  if (status == UDPR_OK) status = udpr_addr_parse("224.0.0.251", MDNS_PORT, &self->group);
  if (status == UDPR_OK) /* the TTL of section 11 */
    status = check("cannot set the TTL", udpr_transport_set_ttl(self->transport, 255));
  if (status == UDPR_OK)
    status = check("cannot watch the interfaces",
                   udpr_reactor_watch_interfaces(reactor, join_everywhere, self, NULL, NULL));
  if (status != UDPR_OK) return status;
  join_everywhere(reactor, 0, self); /* the interfaces that are there */
  return check("cannot run", udpr_reactor_run(reactor));
}

static const char USAGE[] = "usage: mdns_responder [NAME]   (without \".local\")\n"
                            "It sends to the local networks.\n";

int main(int argc, char **argv) {
  setvbuf(stdout, NULL, _IOLBF, 0); /* line by line, also into a pipe */
  char host[256] = "";
  if (argc < 2 && gethostname(host, sizeof host - 1) == 0) host[strcspn(host, ".")] = '\0';
  const char *name = argc > 1 ? argv[1] : host;
  if (argc > 2 || *name == '\0' || strlen(name) > 63 || strchr(name, '.')) return fputs(USAGE, stderr), 2;
  responder self = {.name_len = strlen(name) + 8};
  snprintf((char *)self.name, MOST_NAME, "%c%.63s%clocal", (int)strlen(name), name, 5);
  for (size_t i = 1; i < self.name_len; i++) self.name[i] = (uint8_t)tolower(self.name[i]);

  const udpr_reactor_options options = {.size = sizeof options, .flags = UDPR_REACTOR_SIGNALS};
  udpr_reactor              *reactor = NULL;
  udpr_status                status = check("cannot make a reactor", udpr_reactor_new(&options, &reactor));
  if (status == UDPR_OK) status = serve(reactor, &self);
  udpr_transport_release(self.transport);
  udpr_reactor_free(reactor);
  return status == UDPR_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
