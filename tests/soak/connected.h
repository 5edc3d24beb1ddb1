/* connected.h: ports that connect in turn to a peer that echoes and to a closed port; and a port that receives an error report
 * for every refused datagram.
 */
#ifndef UDPR_SOAK_CONNECTED_H
#define UDPR_SOAK_CONNECTED_H

#include "echo.h"

enum {
  CONNECTING_PORTS = 4,
  CLOSED_PORT = 9 /* below the range of ports that the kernel assigns, so nobody listens there */,
  TIMEOUT_TICKS = 1000 /* ticks */
};

/* ICMP messages can be lost, even on the loopback device: the kernel sends them from one socket per core for all network
 * namespaces, whose buffer may be filled by the slow device of another one (net/ipv4/icmp.c). So the received ones are counted.
 */
static uint64_t icmp_received(void) {
  FILE              *file = fopen("/proc/self/net/snmp", "re");
  char               line[1024];
  unsigned long long unreachable = 0;
  CHECK(file != NULL);
  /* The second line "Icmp:" has the numbers: messages, errors, bad checksums, destinations unreachable. */
  while (fgets(line, sizeof line, file) && sscanf(line, "Icmp: %*u %*u %*u %llu", &unreachable) != 1) {}
  fclose(file);
  return unreachable;
}

/* ---- connected to and fro ------------------------------------------------------------------------------ */

typedef struct connecting_port {
  udpr_transport *transport;
  enum { IDLE, ECHOING, REFUSING } peer;
  uint64_t since; /* ticks */
} connecting_port;

static connecting_port connecting_ports[CONNECTING_PORTS];
static uint64_t        connects, refusals, icmp_before;

static void set_peer(connecting_port *self, int peer) {
  udpr_addr closed = addr("127.0.0.1", CLOSED_PORT);
  *self = (connecting_port){self->transport, peer, soak.ticks};
  if (peer == IDLE) return;
  if (OK_OR_INJECTED(
          udpr_transport_connect(self->transport, peer == ECHOING ? &servers[ECHO_KINDS].host : &closed)))
    OK_OR_INJECTED(udpr_transport_write(self->transport, "hello", 5, NULL));
}

static void reply_received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  connecting_port *self = user;
  CHECK(datagram->len == 5 && memcmp(datagram->data, "hello", 5) == 0);
  if (self->peer != ECHOING) return; /* given up before */
  OK_OR_INJECTED(udpr_transport_disconnect(transport));
  connects++;
  set_peer(self, REFUSING);
}

static void connection_refused(udpr_transport *transport, void *user) {
  connecting_port *self = user;
  refusals++;
  if (self->peer != REFUSING) return; /* given up before */
  OK_OR_INJECTED(udpr_transport_disconnect(transport));
  connects++;
  set_peer(self, soak.ending ? IDLE : ECHOING);
}

/* ---- error reports ------------------------------------------------------------------------------------- */

static udpr_transport *reporter;
static uint64_t        reports, reports_expected, reporter_replies, reporter_writes;

static void error_received(udpr_transport *transport, const udpr_error_report *report, void *user) {
  (void)transport, (void)user;
  if (report->origin == UDPR_ORIGIN_LOCAL && soak.faults) return;
  CHECK_STATUS(UDPR_E_CONNECTION_REFUSED, report->status);
  CHECK(report->to.port == CLOSED_PORT || report->to.port == CLOSED_PORT + 1);
  reports++;
}

static void reporter_reply(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  (void)transport, (void)datagram, (void)user;
  reporter_replies++;
}

static void reporter_send(const udpr_addr *to, uint64_t *counter) {
  if (OK_OR_INJECTED(udpr_transport_write(reporter, "anybody?", 8, to))) ++*counter;
}

/* ---- the load ------------------------------------------------------------------------------------------ */

static void connected_begin(void) {
  for (int i = 0; i < CONNECTING_PORTS; i++) {
    udpr_protocol protocol = {.size = sizeof protocol,
                              .user = &connecting_ports[i],
                              .datagram_received = reply_received,
                              .connection_refused = connection_refused};
    connecting_ports[i] = (connecting_port){
        .transport = soak_listen("127.0.0.1", &protocol, i % 2 ? UDPR_UDP_ERROR_REPORTS : 0)};
  }
  udpr_protocol protocol = {.size = sizeof protocol,
                            .datagram_received = reporter_reply,
                            .error_received = error_received};
  reporter = soak_listen("127.0.0.1", &protocol, UDPR_UDP_ERROR_REPORTS);
  reports_expected = reports, reporter_replies = reporter_writes = 0;
  icmp_before = icmp_received() - refusals - reports;
}

static void connected_tick(void) {
  for (connecting_port *self = connecting_ports; self < connecting_ports + CONNECTING_PORTS; self++) {
    if (self->peer == IDLE && !soak.ending) set_peer(self, ECHOING);
    else if (self->peer != IDLE && soak.ticks - self->since > TIMEOUT_TICKS) {
      udpr_transport_disconnect(self->transport);
      set_peer(self, soak.ending ? IDLE : ECHOING);
    }
  }
  if (soak.ending || soak.ticks % 8) return;
  udpr_addr closed[] = {addr("127.0.0.1", CLOSED_PORT), addr("127.0.0.1", CLOSED_PORT + 1)};
  reporter_send(&closed[0], &reports_expected);
  reporter_send(&servers[ECHO_KINDS].host, &reporter_writes);
  reporter_send(&closed[1], &reports_expected);
}

static bool connected_settled(void) {
  for (int i = 0; i < CONNECTING_PORTS; i++) {
    if (connecting_ports[i].peer != IDLE) return false;
  }
  CHECK(reports <= reports_expected && reporter_replies <= reporter_writes);
  return soak.faults ||
         (refusals + reports == icmp_received() - icmp_before && reporter_replies == reporter_writes);
}

static void connected_end(void) {
  for (int i = 0; i < CONNECTING_PORTS; i++) soak_close(connecting_ports[i].transport);
  soak_close(reporter);
}

static const load connected_load = {"connections",  &connects,         connected_begin,
                                    connected_tick, connected_settled, connected_end};
static const load reports_load = {"error reports", &reports, no_action, no_action, always, no_action};

#endif
