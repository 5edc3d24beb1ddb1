/* io_udpr.c: the I/O side on udpr, as docs/quic.md describes it. */
#include "../servers/server.h"

#include <udpr/udpr.h>

#include "io.h"

static udpr_reactor   *reactor;
static udpr_transport *transport;
static udpr_id         timer;
static int             is_full;
static uint16_t        port_number; /* in network byte order */

static void must(udpr_status status, const char *what) {
  if (status == UDPR_OK) return;
  fprintf(stderr, "%s: %s\n", what, udpr_status_message(status));
  exit(EXIT_FAILURE);
}

static void to_sockaddr(const udpr_addr *from, struct sockaddr_in *to) {
  must(udpr_addr_to_sockaddr(from, to, sizeof *to, NULL), "to_sockaddr");
}

static size_t datagrams_received(udpr_transport *port, const udpr_datagram *const *datagrams, size_t count,
                                 void *user) {
  static udpr_addr local, peer; /* of `path`, so that few addresses are converted */
  static io_path   path;
  (void)port, (void)user;
  for (size_t i = 0; i < count; i++) {
    const udpr_datagram *d = datagrams[i];
    if (!udpr_addr_equal(&peer, &d->sender)) {
      peer = d->sender;
      to_sockaddr(&peer, &path.peer);
    }
    if (!udpr_addr_equal(&local, &d->destination)) {
      local = d->destination;
      to_sockaddr(&local, &path.local);
      path.local.sin_port = port_number;
    }
    quic_received(&path, (unsigned)d->tos & 3, d->data, d->len);
  }
  quic_write();
  return count;
}

static void write_ready(udpr_transport *port, void *user) {
  (void)port, (void)user;
  is_full = 0;
  quic_write();
}

static void timer_expired(udpr_reactor *its_reactor, void *user) {
  (void)its_reactor, (void)user;
  io_set_timer(UINT64_MAX); /* pending again, whatever follows */
  quic_timer_expired();
}

int io_open(uint16_t port) {
  const udpr_protocol    protocol = {.size = sizeof protocol,
                                     .datagrams_received = datagrams_received,
                                     .write_ready = write_ready};
  const udpr_udp_options options = {.size = sizeof options,
                                    .flags = UDPR_UDP_PACKET_INFO | UDPR_UDP_TOS | UDPR_UDP_DONT_FRAGMENT};
  udpr_addr              host;
  must(udpr_reactor_new(NULL, &reactor), "udpr_reactor_new");
  must(udpr_reactor_listen_udp(reactor, port, NULL, &protocol, &options, &transport), "listen_udp");
  must(udpr_transport_get_host(transport, &host), "get_host");
  port_number = htons(host.port);
  must(udpr_reactor_call_at(reactor, UDPR_NEVER, timer_expired, NULL, NULL, &timer), "call_at");
  return udpr_transport_fileno(transport);
}

void     io_run(void) { must(udpr_reactor_run(reactor), "udpr_reactor_run"); }
void     io_stop(void) { must(udpr_reactor_stop(reactor), "udpr_reactor_stop"); }
uint64_t io_now(void) { return udpr_reactor_now(reactor); }
void     io_set_timer(uint64_t instant) {
      must(udpr_reactor_reset_call_at(reactor, timer, instant), "reset_call");
}
int io_can_send(void) { return !is_full; }

void io_send(const io_path *path, unsigned ecn, const uint8_t *packets, size_t len, size_t packet_size) {
  udpr_addr    local, peer;
  udpr_message message = {.size = sizeof message,
                          .data = packets,
                          .len = len,
                          .to = &peer,
                          .source = &local,
                          .flags = UDPR_MESSAGE_TOS,
                          .tos = ecn,
                          .segment_size = (uint32_t)packet_size};
  size_t       taken;
  udpr_addr_from_sockaddr(&path->local, sizeof path->local, &local);
  udpr_addr_from_sockaddr(&path->peer, sizeof path->peer, &peer);
  udpr_status status = udpr_transport_write_messages(transport, &message, 1, &taken);
  if (status == UDPR_E_WOULD_BLOCK) is_full = 1;
  else must(status, "write_messages");
}
