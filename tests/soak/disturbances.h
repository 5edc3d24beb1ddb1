/* disturbances.h: disturbs the other loads in a soak with faults: signals, a firewall, and moments without descriptors. */
#ifndef UDPR_SOAK_DISTURBANCES_H
#define UDPR_SOAK_DISTURBANCES_H

#include "soak.h"

#include <sys/resource.h>

#ifndef sigev_notify_thread_id /* an older glibc has no name for it: timer_create(2) */
#define sigev_notify_thread_id _sigev_un._tid
#endif

/* ---- signals: a thousand per second interrupt the reactor's thread ------------------------ */

static timer_t  signals;
static uint64_t signals_caught;

static void signal_caught(int number) {
  (void)number;
  signals_caught++;
}

static void signals_begin(void) {
  struct sigaction  action = {.sa_handler = signal_caught};
  struct sigevent   event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1};
  struct itimerspec every = {{0, MS(1)}, {0, MS(1)}};
  event.sigev_notify_thread_id = gettid();
  CHECK_EQ(0, sigaction(SIGUSR1, &action, NULL));
  CHECK_EQ(0, timer_create(CLOCK_MONOTONIC, &event, &signals));
  CHECK_EQ(0, timer_settime(signals, 0, &every, NULL));
}

/* ---- a firewall: it rejects one send in 500 with EPERM ----------------------------------------------- */

enum { BYPASS_MARK = 1 }; /* of sockets that are not udpr's; the firewall accepts their sends */
#define RULES                                                                                \
  "add table inet soak; add counter inet soak refused; "                                     \
  "add chain inet soak out { type filter hook output priority 0; }; "                        \
  "add rule inet soak out meta mark 1 accept; "                                              \
  "add rule inet soak out udp dport 53 accept; add rule inet soak out udp sport 53 accept; " \
  "add rule inet soak out meta l4proto udp numgen random mod 500 0 counter name refused drop"

static bool     firewall;
static uint64_t firewall_refused;

static void firewall_start(void) {
  firewall = system("nft '" RULES "' 2>/dev/null") == 0;
  if (!firewall) printf("# no firewall: needs nft (nftables), and nft_numgen in the kernel\n");
}

static void firewall_read_counter(void) {
  if (!firewall) return;
  FILE              *listing = popen("nft list counter inet soak refused", "re");
  char               line[256];
  unsigned long long packets = 0;
  CHECK(listing != NULL);
  while (fgets(line, sizeof line, listing)) sscanf(line, " packets %llu", &packets);
  CHECK_EQ(0, pclose(listing));
  CHECK(packets >= firewall_refused);
  firewall_refused = packets;
}

/* ---- descriptors: for a moment none is available -------------------------------------------------------------- */

static void without_descriptors(void) {
  udpr_protocol   protocol = {.size = sizeof protocol};
  udpr_transport *transport = NULL;
  struct rlimit   limit, none;
  CHECK_EQ(0, getrlimit(RLIMIT_NOFILE, &limit));
  none = (struct rlimit){0, limit.rlim_max};
  CHECK_EQ(0, setrlimit(RLIMIT_NOFILE, &none));
  for (int i = 0; i < 100; i++) {
    udpr_status status = udpr_reactor_listen_udp(soak.reactor, 0, "127.0.0.1", &protocol, NULL, &transport);
    if (status == UDPR_E_NO_FILES) continue;
    CHECK(status < 0); /* an injected error */
  }
  CHECK_EQ(0, setrlimit(RLIMIT_NOFILE, &limit));
}

/* ---- the load ------------------------------------------------------------------------------------------ */

static void disturbances_begin(void) {
  if (soak.faults) signals_begin();
}

static void disturbances_end(void) {
  if (!soak.faults) return;
  CHECK_EQ(0, timer_delete(signals));
  firewall_read_counter();
  without_descriptors();
}

static const load signals_load = {"signals", &signals_caught, disturbances_begin,
                                  no_action, always,          disturbances_end};
static const load firewall_load = {
    "refused by the firewall", &firewall_refused, no_action, no_action, always, no_action};

#endif
