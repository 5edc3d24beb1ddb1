/* If merged datagrams cannot be sent to one host, they are sent to it singly, but to all others merged.
 * Reasons are a small MTU, from a route or an ICMP message, and hosts for which the kernel refuses to merge
 * (IPsec).
 */
#include "spoof.h"

#include <netinet/udp.h>
#include <sys/syscall.h>

enum { COUNT = 20, LEN = 1300 };

/* ---- a sendmmsg that counts and refuses messages ------------------------------------------------------- */

static int merged_count[256], single_count[256]; /* messages sent, by the last byte of their destination */
static uint8_t refused_host;                     /* merged messages to this host are refused */
static int     refusal_errno, refusals;          /* with this errno */

static uint8_t last_byte(const struct msghdr *message) {
  const struct sockaddr *to = message->msg_name;
  if (!to) return 0; /* the connected peer */
  if (to->sa_family == AF_INET) return ((const uint8_t *)&((const struct sockaddr_in *)to)->sin_addr)[3];
  return ((const struct sockaddr_in6 *)to)->sin6_addr.s6_addr[15];
}

static bool is_merged(struct msghdr *message) {
  for (struct cmsghdr *item = CMSG_FIRSTHDR(message); item; item = CMSG_NXTHDR(message, item))
    if (item->cmsg_level == IPPROTO_UDP && item->cmsg_type == UDP_SEGMENT) return true;
  return false;
}

static bool must_refuse(struct msghdr *message) {
  return refusal_errno && is_merged(message) && (!refused_host || last_byte(message) == refused_host);
}

/* Replaces the function of the C library. */
int sendmmsg(int fd, struct mmsghdr *messages, unsigned count, int flags) {
  unsigned good = 0;
  while (good < count && !must_refuse(&messages[good].msg_hdr)) good++;
  if (good == 0) return refusals++, errno = refusal_errno, -1;
  int taken = (int)syscall(SYS_sendmmsg, fd, messages, good, flags);
  refusals += taken < 0;
  for (int i = 0; i < taken; i++) {
    struct msghdr *message = &messages[i].msg_hdr;
    (is_merged(message) ? merged_count : single_count)[last_byte(message)]++;
  }
  return taken;
}

/* ---- one port, and destinations without a host --------------------------------------------------------- */

typedef struct fixture {
  udpr_reactor   *reactor;
  udpr_transport *transport;
  udpr_addr       host;
  const char     *prefix; /* of their addresses */
  udpr_addr       to;
  bool            to_peer;
} fixture;

/* Everything sent to these addresses goes to the loopback, and is discarded. */
static void set_up_on(fixture *f, const char *local, const char *prefix) {
  enter_network_namespace();
  run_ip("link set lo mtu 1500");
  run_ip("route add 192.0.2.0/24 dev lo");
  run_ip("-6 route add 2001:db8::/64 dev lo");
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

/* COUNT writes in a callback, all of which are sent. */
static void send_burst(fixture *f, int number) {
  char     text[32];
  uint64_t before = stats_of(f->transport).datagrams_out;
  snprintf(text, sizeof text, strchr(f->prefix, '.') ? "%s%d" : "%s%x", f->prefix, number);
  f->to = addr(text, 4242);
  memset(merged_count, 0, sizeof merged_count), memset(single_count, 0, sizeof single_count), refusals = 0;
  OK(udpr_reactor_call_later(f->reactor, 0, write_burst, f, NULL, NULL));
  RUN_UNTIL(f->reactor, stats_of(f->transport).datagrams_out == before + COUNT);
  CHECK_EQ(0, stats_of(f->transport).dropped_out);
}

static void check_merged(fixture *f, int number) {
  send_burst(f, number);
  CHECK_EQ(1, merged_count[number]);
  CHECK_EQ(0, single_count[number] + refusals);
}

static void check_single(fixture *f, int number, bool known) {
  send_burst(f, number);
  CHECK_EQ(0, merged_count[number]);
  CHECK_EQ(COUNT, single_count[number]);
  CHECK_EQ(known ? 0 : 1, refusals);
}

/* Host 8 has a limit, all others have none. */
static void check_only_host_8(fixture *f) {
  check_merged(f, 9);
  check_single(f, 8, false);
  for (int round = 0; round < 3; round++) {
    check_merged(f, 9);
    check_single(f, 8, true);
    check_merged(f, 10 + round);
  }
}

/* ---- MTUs ------------------------------------------------------------------------------------------------- */

static void check_small_route_mtu(const char *local, const char *prefix) {
  fixture f;
  set_up_on(&f, local, prefix);
  run_ip("route add 192.0.2.8 dev lo mtu 600");
  run_ip("-6 route add 2001:db8::8 dev lo mtu 1280");
  check_only_host_8(&f);
  tear_down(&f);
}

TEST(a_small_mtu_ipv4) { check_small_route_mtu("0.0.0.0", "192.0.2."); }
TEST(a_small_mtu_ipv6) { check_small_route_mtu("::", "2001:db8::"); }
TEST(a_small_mtu_dual_stack) { check_small_route_mtu("::", "::ffff:192.0.2."); }

/* The MTU of the route to an IPv4 address. */
static int route_mtu(const udpr_addr *to) {
  struct sockaddr_storage there;
  size_t                  len;
  int                     mtu = 0, fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  OK(udpr_addr_to_sockaddr(to, &there, sizeof there, &len));
  CHECK_EQ(0, connect(fd, (struct sockaddr *)&there, (socklen_t)len));
  CHECK_EQ(0, getsockopt(fd, IPPROTO_IP, IP_MTU, &mtu, &(socklen_t){sizeof mtu}));
  close(fd);
  return mtu;
}

/* A router's message, and its effect: a busy kernel reads the message later, by a thread of its own. */
static void limit_mtu(fixture *f, const char *host) {
  udpr_addr to = addr(host, 4242);
  spoof_icmp(&f->host, &to, ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, 600);
  RUN_UNTIL(f->reactor, route_mtu(&to) == 600);
}

TEST(an_icmp_message_about_one_host) {
  fixture f;
  set_up_on(&f, "127.0.0.1", "192.0.2.");
  check_merged(&f, 8);
  limit_mtu(&f, "192.0.2.8");
  run_turns(f.reactor, 3);
  check_only_host_8(&f);
  tear_down(&f);
}

/* Messages about many hosts do not affect other hosts, and each of these hosts is still sent everything. */
TEST(icmp_messages_about_many_hosts) {
  fixture f;
  set_up_on(&f, "127.0.0.1", "192.0.2.");
  for (int number = 20; number < 220; number++) {
    char text[32];
    snprintf(text, sizeof text, "192.0.2.%d", number);
    limit_mtu(&f, text);
    check_single(&f, number, false);
    check_single(&f, number, true);
    check_merged(&f, 9);
  }
  tear_down(&f);
}

/* ---- error numbers ------------------------------------------------------------------------------------- */

/* EMSGSIZE, or EINVAL before Linux 6.14: a segment is longer than the MTU. EIO: IPsec on the path. */
static void check_errno_for_one_host(const char *local, const char *prefix, int code) {
  fixture f;
  set_up_on(&f, local, prefix);
  refusal_errno = code, refused_host = 8;
  check_only_host_8(&f);
  tear_down(&f);
}

TEST(emsgsize_for_one_host) { check_errno_for_one_host("0.0.0.0", "192.0.2.", EMSGSIZE); }
TEST(emsgsize_for_one_host_ipv6) { check_errno_for_one_host("::", "2001:db8::", EMSGSIZE); }
TEST(einval_for_one_host) { check_errno_for_one_host("0.0.0.0", "192.0.2.", EINVAL); }
TEST(eio_for_one_host) { check_errno_for_one_host("0.0.0.0", "192.0.2.", EIO); }
TEST(eio_for_one_host_ipv6) { check_errno_for_one_host("::", "2001:db8::", EIO); }

/* A device without checksum offload refuses all merged messages. This is found out without trying each host.
 */
TEST(eio_for_every_host) {
  fixture f;
  int     known = 0;
  set_up_on(&f, "0.0.0.0", "192.0.2.");
  refusal_errno = EIO;
  for (int number = 20; number < 120; number++) {
    send_burst(&f, number);
    CHECK_EQ(COUNT, single_count[number]);
    known += refusals == 0;
  }
  CHECK(known >= 90);
  tear_down(&f);
}

/* A limit of a connected peer applies only to that peer, not after another connect or a disconnect. */
TEST(a_peer_with_a_limit) {
  fixture f;
  set_up_on(&f, "0.0.0.0", "192.0.2.");
  run_ip("route add 192.0.2.8 dev lo mtu 600");
  udpr_addr narrow = addr("192.0.2.8", 4242), wide = addr("192.0.2.9", 4242);
  f.to_peer = true;
  for (int round = 0; round < 2; round++) {
    OK(udpr_transport_connect(f.transport, &narrow));
    send_burst(&f, 0);
    CHECK_EQ(COUNT, single_count[0]);
    CHECK_EQ(round ? 0 : 2, refusals); /* the first error might belong to an earlier datagram */
    OK(udpr_transport_connect(f.transport, &wide));
    send_burst(&f, 0);
    CHECK_EQ(1, merged_count[0]);
  }
  OK(udpr_transport_disconnect(f.transport));
  f.to_peer = false;
  check_single(&f, 8, true);
  check_merged(&f, 9);
  tear_down(&f);
}

CHECK_MAIN()
