/* connected.h: ports that connect to a living peer, then to a dead one, and so on; and one that hears of every datagram
 * that was refused.
 */
#ifndef UDPR_SOAK_CONNECTED_H
#define UDPR_SOAK_CONNECTED_H

#include "echo.h"

enum {
  CHAINS = 4,
  DEAD_PORT = 9 /* below the kernel's choices: nobody listens there */,
  GIVEN_UP = 1000 /* ticks */
};

/* ICMP is lost at times, on the loopback, too: the kernel sends it from one socket a core for all network namespaces, whose
 * buffer may be full of what another one's slow device has not sent yet (net/ipv4/icmp.c). So what came is counted.
 */
static uint64_t icmp_came(void) {
  FILE              *file = fopen("/proc/self/net/snmp", "re");
  char               line[1024];
  unsigned long long unreachable = 0;
  CHECK(file != NULL);
  /* Its second line "Icmp:" has the numbers: messages, errors, bad checksums, destinations unreachable. */
  while (fgets(line, sizeof line, file) && sscanf(line, "Icmp: %*u %*u %*u %llu", &unreachable) != 1) {}
  fclose(file);
  return unreachable;
}

/* ---- connected to and fro ------------------------------------------------------------------------------ */

typedef struct chain {
  udpr_transport *transport;
  enum { IDLE, ALIVE, DEAD } peer;
  uint64_t since; /* ticks */
} chain;

static chain    chains[CHAINS];
static uint64_t connects, refusals, icmp_before;

static void chain_go(chain *self, int peer) {
  udpr_addr dead = addr("127.0.0.1", DEAD_PORT);
  *self = (chain){self->transport, peer, soak.ticks};
  if (peer == IDLE) return;
  if (OK_OR_FAULT(udpr_transport_connect(self->transport, peer == ALIVE ? &servers[ECHO_KINDS].host : &dead)))
    OK_OR_FAULT(udpr_transport_write(self->transport, "hello", 5, NULL));
}

static void chain_answered(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  chain *self = user;
  CHECK(datagram->len == 5 && memcmp(datagram->data, "hello", 5) == 0);
  if (self->peer != ALIVE) return; /* given up before */
  OK_OR_FAULT(udpr_transport_disconnect(transport));
  connects++;
  chain_go(self, DEAD);
}

static void chain_refused(udpr_transport *transport, void *user) {
  chain *self = user;
  refusals++;
  if (self->peer != DEAD) return; /* given up before */
  OK_OR_FAULT(udpr_transport_disconnect(transport));
  connects++;
  chain_go(self, soak.ending ? IDLE : ALIVE);
}

/* ---- error reports ------------------------------------------------------------------------------------- */

static udpr_transport *reporter;
static uint64_t        reports, reports_due, reporter_answers, reporter_writes;

static void report_came(udpr_transport *transport, const udpr_error_report *report, void *user) {
  (void)transport, (void)user;
  if (report->origin == UDPR_ORIGIN_LOCAL && soak.faults) return;
  CHECK_STATUS(UDPR_E_CONNECTION_REFUSED, report->status);
  CHECK(report->to.port == DEAD_PORT || report->to.port == DEAD_PORT + 1);
  reports++;
}

static void report_answer(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  (void)transport, (void)datagram, (void)user;
  reporter_answers++;
}

static void reporter_send(const udpr_addr *to, uint64_t *counter) {
  if (OK_OR_FAULT(udpr_transport_write(reporter, "anybody?", 8, to))) ++*counter;
}

/* ---- the load ------------------------------------------------------------------------------------------ */

static void connected_begin(void) {
  for (int i = 0; i < CHAINS; i++) {
    udpr_protocol protocol = {.size = sizeof protocol,
                              .user = &chains[i],
                              .datagram_received = chain_answered,
                              .connection_refused = chain_refused};
    chains[i] = (chain){.transport = soak_listen("127.0.0.1", &protocol, i % 2 ? UDPR_UDP_ERROR_REPORTS : 0)};
  }
  udpr_protocol protocol = {.size = sizeof protocol,
                            .datagram_received = report_answer,
                            .error_received = report_came};
  reporter = soak_listen("127.0.0.1", &protocol, UDPR_UDP_ERROR_REPORTS);
  reports_due = reports, reporter_answers = reporter_writes = 0;
  icmp_before = icmp_came() - refusals - reports;
}

static void connected_tick(void) {
  for (chain *self = chains; self < chains + CHAINS; self++) {
    if (self->peer == IDLE && !soak.ending) chain_go(self, ALIVE);
    else if (self->peer != IDLE && soak.ticks - self->since > GIVEN_UP) {
      udpr_transport_disconnect(self->transport);
      chain_go(self, soak.ending ? IDLE : ALIVE);
    }
  }
  if (soak.ending || soak.ticks % 8) return;
  udpr_addr dead[] = {addr("127.0.0.1", DEAD_PORT), addr("127.0.0.1", DEAD_PORT + 1)};
  reporter_send(&dead[0], &reports_due);
  reporter_send(&servers[ECHO_KINDS].host, &reporter_writes);
  reporter_send(&dead[1], &reports_due);
}

static bool connected_settled(void) {
  for (int i = 0; i < CHAINS; i++) {
    if (chains[i].peer != IDLE) return false;
  }
  CHECK(reports <= reports_due && reporter_answers <= reporter_writes);
  return soak.faults ||
         (refusals + reports == icmp_came() - icmp_before && reporter_answers == reporter_writes);
}

static void connected_end(void) {
  for (int i = 0; i < CHAINS; i++) soak_close(chains[i].transport);
  soak_close(reporter);
}

static const load connected_load = {"connections",  &connects,         connected_begin,
                                    connected_tick, connected_settled, connected_end};
static const load reports_load = {"errors told", &reports, nothing_to_do,
                                  nothing_to_do, always,   nothing_to_do};

#endif
