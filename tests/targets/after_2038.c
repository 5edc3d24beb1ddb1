/* Time stamps and delayed calls when a time_t of 32 bits is too small for the time of day. It sets the clock, so it runs only in
 * a machine of scripts/vm, whose other programs do not read the time of day meanwhile.
 */
#define _TIME_BITS 64
#define _FILE_OFFSET_BITS 64
#include "check.h"

#include <time.h>

enum { MS = 1000000 };
static const time_t   IN_2049 = 2500000000;
static const uint64_t SECOND = 1000 * MS;

static void end(udpr_reactor *reactor, void *calls) {
  ++*(int *)calls;
  OK(udpr_reactor_stop(reactor));
}

static int      calls;
static uint64_t timestamp;

static void received(udpr_transport *port, const udpr_datagram *datagram, void *user) {
  (void)user;
  timestamp = datagram->timestamp;
  OK(udpr_reactor_call_later(udpr_transport_reactor(port), 50 * MS, end, &calls, NULL, NULL));
}

static time_t set_time(time_t seconds) {
  struct timespec before, wanted = {.tv_sec = seconds};
  CHECK_EQ(0, clock_gettime(CLOCK_REALTIME, &before));
  CHECK_EQ(0, clock_settime(CLOCK_REALTIME, &wanted));
  return before.tv_sec;
}

TEST(time_stamps_and_delayed_calls) {
  udpr_reactor    *reactor;
  udpr_transport  *port;
  udpr_addr        to;
  udpr_protocol    protocol = {.size = sizeof protocol, .datagram_received = received};
  udpr_udp_options options = {.size = sizeof options, .flags = UDPR_UDP_TIMESTAMPS};
  time_t           before = set_time(IN_2049);
  OK(udpr_reactor_new(NULL, &reactor));
  OK(udpr_reactor_listen_udp(reactor, 0, "127.0.0.1", &protocol, &options, &port));
  OK(udpr_transport_get_host(port, &to));
  OK(udpr_transport_write(port, "x", 1, &to));
  OK(udpr_reactor_run(reactor));
  set_time(before);
  CHECK_EQ(1, calls);
  CHECK_EQ((uint64_t)IN_2049, timestamp / SECOND);
  udpr_transport_release(port);
  OK(udpr_reactor_free(reactor));
}

CHECK_MAIN()
