/* What the path to one host does not carry merged is sent to it singly, and merged to all others: small MTUs, from a route and
 * from an ICMP message, and hosts to which the kernel merges nothing (IPsec).
 */
#include "spoof.h"

#include <netinet/udp.h>
#include <sys/syscall.h>

enum { COUNT = 20, LEN = 1300 };

/* ---- the kernel's side of sendmmsg ------------------------------------------------------------------------ */

static int     merged[256], single[256]; /* messages that left, by the last byte of their destination */
static uint8_t refused_host;             /* where what is merged is refused */
static int     refusal, refusals;        /* with this errno */

static uint8_t last_byte(const struct msghdr *message) {
  const struct sockaddr *to = message->msg_name;
  if (!to) return 0; /* the peer */
  if (to->sa_family == AF_INET) return ((const uint8_t *)&((const struct sockaddr_in *)to)->sin_addr)[3];
  return ((const struct sockaddr_in6 *)to)->sin6_addr.s6_addr[15];
}

static bool is_merged(struct msghdr *message) {
  for (struct cmsghdr *item = CMSG_FIRSTHDR(message); item; item = CMSG_NXTHDR(message, item))
    if (item->cmsg_level == IPPROTO_UDP && item->cmsg_type == UDP_SEGMENT) return true;
  return false;
}

static bool is_refused(struct msghdr *message) {
  return refusal && is_merged(message) && (!refused_host || last_byte(message) == refused_host);
}

/* Called instead of the C library's. */
int sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags) {
  unsigned good = 0;
  while (good < count && !is_refused(&messages[good].msg_hdr)) good++;
  if (good == 0) return refusals++, errno = refusal, -1;
  int taken = (int)syscall(SYS_sendmmsg, fd, messages, good, flags);
  refusals += taken < 0;
  for (int i = 0; i < taken; i++) {
    struct msghdr *message = &messages[i].msg_hdr;
    (is_merged(message) ? merged : single)[last_byte(message)]++;
  }
  return taken;
}

/* ---- one port, and hosts that nobody is at ------------------------------------------------------------------ */

typedef struct fixture {
  udpr_reactor   *reactor;
  udpr_transport *transport;
  udpr_addr       host;
  const char     *prefix; /* of the hosts' addresses */
  udpr_addr       to;
  bool            to_peer;
} fixture;

/* Everything to the hosts goes to the loopback, and ends there. */
static void set_up_on(fixture *f, const char *local, const char *prefix) {
  enter_network_namespace();
  run_network_tool("ip", "link set lo mtu 1500");
  run_network_tool("ip", "route add 192.0.2.0/24 dev lo");
  run_network_tool("ip", "-6 route add 2001:db8::/64 dev lo");
  *f = (fixture){.reactor = new_reactor(0), .prefix = prefix};
  udpr_protocol protocol = {.size = sizeof protocol, .user = f};
  f->transport = listen_on(f->reactor, local, &protocol, NULL);
  f->host = host_of(f->transport);
}

static void tear_down(fixture *f) {
  udpr_transport_release(f->transport);
  OK(udpr_reactor_free(f->reactor));
}

static void write_burst(udpr_reactor *reactor, void *user) {
  static const uint8_t data[LEN];
  fixture             *f = user;
  (void)reactor;
  for (int i = 0; i < COUNT; i++)
    OK(udpr_transport_write(f->transport, data, sizeof data, f->to_peer ? NULL : &f->to));
}

/* COUNT writes in a callback, all of which leave. */
static void burst(fixture *f, int number) {
  char     text[32];
  uint64_t before = stats_of(f->transport).datagrams_out;
  snprintf(text, sizeof text, strchr(f->prefix, '.') ? "%s%d" : "%s%x", f->prefix, number);
  f->to = addr(text, 4242);
  memset(merged, 0, sizeof merged), memset(single, 0, sizeof single), refusals = 0;
  OK(udpr_reactor_call_later(f->reactor, 0, write_burst, f, NULL, NULL));
  RUN_UNTIL(f->reactor, stats_of(f->transport).datagrams_out == before + COUNT);
  CHECK_EQ(0, stats_of(f->transport).dropped_out);
}

static void leaves_merged(fixture *f, int number) {
  burst(f, number);
  CHECK_EQ(1, merged[number]);
  CHECK_EQ(0, single[number] + refusals);
}

static void leaves_singly(fixture *f, int number, bool known) {
  burst(f, number);
  CHECK_EQ(0, merged[number]);
  CHECK_EQ(COUNT, single[number]);
  CHECK_EQ(known ? 0 : 1, refusals);
}

/* Host 8 has a limit, the others have none. */
static void is_hosts_own(fixture *f) {
  leaves_merged(f, 9);
  leaves_singly(f, 8, false);
  for (int round = 0; round < 3; round++) {
    leaves_merged(f, 9);
    leaves_singly(f, 8, true);
    leaves_merged(f, 10 + round);
  }
}

/* ---- MTUs ------------------------------------------------------------------------------------------------- */

static void a_route_with_a_small_mtu(const char *local, const char *prefix) {
  fixture f;
  set_up_on(&f, local, prefix);
  run_network_tool("ip", "route add 192.0.2.8 dev lo mtu 600");
  run_network_tool("ip", "-6 route add 2001:db8::8 dev lo mtu 1280");
  is_hosts_own(&f);
  tear_down(&f);
}

TEST(a_small_mtu_ipv4) { a_route_with_a_small_mtu("0.0.0.0", "192.0.2."); }
TEST(a_small_mtu_ipv6) { a_route_with_a_small_mtu("::", "2001:db8::"); }
TEST(a_small_mtu_dual_stack) { a_route_with_a_small_mtu("::", "::ffff:192.0.2."); }

TEST(an_icmp_message_about_one_host) {
  fixture f;
  set_up_on(&f, "127.0.0.1", "192.0.2.");
  leaves_merged(&f, 8);
  udpr_addr to = addr("192.0.2.8", 4242);
  spoof_icmp(&f.host, &to, ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, 600);
  run_turns(f.reactor, 3);
  is_hosts_own(&f);
  tear_down(&f);
}

/* As many hosts as one likes: the others are not touched, and each of them is sent everything. */
TEST(icmp_messages_about_many_hosts) {
  fixture f;
  set_up_on(&f, "127.0.0.1", "192.0.2.");
  for (int number = 20; number < 220; number++) {
    char text[32];
    snprintf(text, sizeof text, "192.0.2.%d", number);
    udpr_addr to = addr(text, 4242);
    spoof_icmp(&f.host, &to, ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, 600);
    leaves_singly(&f, number, false);
    leaves_singly(&f, number, true);
    leaves_merged(&f, 9);
  }
  tear_down(&f);
}

/* ---- errors of every kind ------------------------------------------------------------------------------------- */

/* EMSGSIZE, before Linux 6.14 EINVAL: a segment above the MTU. EIO: IPsec on the way. */
static void an_errno_for_one_host(const char *local, const char *prefix, int code) {
  fixture f;
  set_up_on(&f, local, prefix);
  refusal = code, refused_host = 8;
  is_hosts_own(&f);
  tear_down(&f);
}

TEST(emsgsize_for_one_host) { an_errno_for_one_host("0.0.0.0", "192.0.2.", EMSGSIZE); }
TEST(emsgsize_for_one_host_ipv6) { an_errno_for_one_host("::", "2001:db8::", EMSGSIZE); }
TEST(einval_for_one_host) { an_errno_for_one_host("0.0.0.0", "192.0.2.", EINVAL); }
TEST(eio_for_one_host) { an_errno_for_one_host("0.0.0.0", "192.0.2.", EIO); }
TEST(eio_for_one_host_ipv6) { an_errno_for_one_host("::", "2001:db8::", EIO); }

/* A device without checksum offload refuses whatever is merged: that is soon known without asking for each host. */
TEST(eio_for_every_host) {
  fixture f;
  int     known = 0;
  set_up_on(&f, "0.0.0.0", "192.0.2.");
  refusal = EIO;
  for (int number = 20; number < 120; number++) {
    burst(&f, number);
    CHECK_EQ(COUNT, single[number]);
    known += refusals == 0;
  }
  CHECK(known >= 90);
  tear_down(&f);
}

/* What was found out about a peer holds for it alone: after another connect, and without one. */
TEST(a_peer_with_a_limit) {
  fixture f;
  set_up_on(&f, "0.0.0.0", "192.0.2.");
  run_network_tool("ip", "route add 192.0.2.8 dev lo mtu 600");
  udpr_addr narrow = addr("192.0.2.8", 4242), wide = addr("192.0.2.9", 4242);
  f.to_peer = true;
  for (int round = 0; round < 2; round++) {
    OK(udpr_transport_connect(f.transport, &narrow));
    burst(&f, 0);
    CHECK_EQ(COUNT, single[0]);
    CHECK_EQ(round ? 0 : 2, refusals); /* the first could have been an earlier datagram's error */
    OK(udpr_transport_connect(f.transport, &wide));
    burst(&f, 0);
    CHECK_EQ(1, merged[0]);
  }
  OK(udpr_transport_disconnect(f.transport));
  f.to_peer = false;
  leaves_singly(&f, 8, true);
  leaves_merged(&f, 9);
  tear_down(&f);
}

CHECK_MAIN()
