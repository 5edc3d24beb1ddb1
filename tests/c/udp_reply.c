/* udpr_transport_reply: from which address and by which interface a reply leaves, and what it reads of a datagram. */
#include "recorder.h"
#include "two_hosts.h"

static udpr_status reply(const recorder *from, const udpr_datagram *datagram, const char *text) {
  return udpr_transport_reply(from->transport, datagram, text, strlen(text));
}

typedef struct fixture {
  udpr_reactor *reactor;
  recorder      port, peer;
} fixture;

static void set_up(fixture *f, const char *local_address, uint32_t flags) {
  *f = (fixture){.reactor = new_reactor(0)};
  recorder_listen(&f->port, f->reactor, local_address, 0, flags);
  recorder_listen(&f->peer, f->reactor, strchr(local_address, ':') ? "::" : "0.0.0.0", 0, 0);
}

static void tear_down(fixture *f) {
  recorder_close(&f->port);
  recorder_close(&f->peer);
  OK(udpr_reactor_free(f->reactor));
}

/* A request to `text`, an address of this host. */
static udpr_datagram ask(fixture *f, const char *text) {
  udpr_addr to = addr(text, f->port.host.port);
  write_text(f->peer.transport, "ask", &to);
  return recorder_expect(f->reactor, &f->port, "ask")->datagram;
}

static void expect_reply_from(fixture *f, const char *text, const char *source) {
  udpr_addr from = addr(source, f->port.host.port);
  CHECK_ADDR(&from, &recorder_expect(f->reactor, &f->peer, text)->datagram.sender);
}

TEST(from_the_address_that_was_asked) {
  const char *asked[] = {"127.0.0.1", "127.0.0.7", "::ffff:127.0.0.7", "::ffff:127.0.0.1", "::1"};
  for (int i = 0; i < 5; i++) {
    fixture f;
    set_up(&f, i < 2 ? "0.0.0.0" : "::", UDPR_UDP_PACKET_INFO);
    udpr_datagram datagram = ask(&f, asked[i]);
    CHECK_EQ(0, datagram.flags);
    OK(reply(&f.port, &datagram, "answer"));
    expect_reply_from(&f, "answer", asked[i]);
    tear_down(&f);
  }
}

TEST(without_packet_info_the_kernel_chooses) {
  fixture f;
  set_up(&f, "0.0.0.0", 0);
  udpr_datagram datagram = ask(&f, "127.0.0.7");
  CHECK_EQ(UDPR_AF_UNSPEC, datagram.destination.family);
  OK(reply(&f.port, &datagram, "answer"));
  expect_reply_from(&f, "answer", "127.0.0.1");
  tear_down(&f);
}

/* The fields that are not read have values that no datagram has, and the struct has a tail that no library knows. */
TEST(a_copy_is_enough) {
  struct {
    udpr_datagram datagram;
    uint64_t      tail;
  } later;
  fixture  f;
  recorder other;
  set_up(&f, "0.0.0.0", UDPR_UDP_PACKET_INFO);
  recorder_listen(&other, f.reactor, "0.0.0.0", 0, 0);
  udpr_datagram datagram = ask(&f, "127.0.0.7");
  OK(udpr_transport_close(f.port.transport));
  memset(&later, 0xff, sizeof later);
  later.datagram.size = sizeof later;
  later.datagram.sender = datagram.sender, later.datagram.destination = datagram.destination;
  later.datagram.interface_index = datagram.interface_index, later.datagram.flags = datagram.flags;
  OK(reply(&other, &later.datagram, "later"));
  udpr_addr from = addr("127.0.0.7", other.host.port);
  CHECK_ADDR(&from, &recorder_expect(f.reactor, &f.peer, "later")->datagram.sender);
  CHECK_STATUS(UDPR_E_CLOSED, reply(&f.port, &datagram, "closed"));
  recorder_close(&other);
  tear_down(&f);
}

TEST(a_connected_port_replies_to_its_peer) {
  fixture f;
  set_up(&f, "0.0.0.0", UDPR_UDP_PACKET_INFO);
  udpr_datagram datagram = ask(&f, "127.0.0.7");
  udpr_addr     peer = addr("127.0.0.1", f.peer.host.port), other = addr("127.0.0.1", 9);
  OK(udpr_transport_connect(f.port.transport, &peer));
  OK(reply(&f.port, &datagram, "connected"));
  expect_reply_from(&f, "connected", "127.0.0.7");
  OK(udpr_transport_connect(f.port.transport, &other));
  CHECK_STATUS(UDPR_E_WRONG_PEER, reply(&f.port, &datagram, "x"));
  datagram.sender.port = 0;
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, reply(&f.port, &datagram, "x"));
  tear_down(&f);
}

TEST(refuses) {
  fixture f;
  set_up(&f, "127.0.0.1", UDPR_UDP_PACKET_INFO);
  udpr_datagram        good = ask(&f, "127.0.0.1"), bad = good;
  udpr_transport      *port = f.port.transport;
  udpr_transport_stats before = stats_of(port);
  static const char    too_long[65508];
  const size_t         sizes[] = {0, 8, sizeof good - 1, 4097, SIZE_MAX};
  for (int i = 0; i < 5; i++) {
    bad.size = sizes[i];
    CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, reply(&f.port, &bad, "x"));
  }
  bad = good, bad.flags = 4;
  CHECK_STATUS(UDPR_E_VERSION, reply(&f.port, &bad, "x"));
  bad = good, bad.sender.reserved = 1;
  CHECK_STATUS(UDPR_E_VERSION, reply(&f.port, &bad, "x"));
  bad = good, bad.destination.reserved = 1;
  CHECK_STATUS(UDPR_E_VERSION, reply(&f.port, &bad, "x"));
  bad = good, bad.sender.port = 0;
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, reply(&f.port, &bad, "x"));
  bad = good, bad.sender.family = UDPR_AF_UNSPEC;
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, reply(&f.port, &bad, "x"));
  bad = good, bad.destination.family = 9;
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, reply(&f.port, &bad, "x"));
  bad = good, bad.destination = addr("::1", 9);
  CHECK_STATUS(UDPR_E_ADDRESS_FAMILY, reply(&f.port, &bad, "x"));
  bad = good, bad.sender = addr("::1", 9);
  CHECK_STATUS(UDPR_E_ADDRESS_FAMILY, reply(&f.port, &bad, "x"));
  bad = good, bad.sender = addr("255.255.255.255", 9);
  CHECK_STATUS(UDPR_E_ACCESS, reply(&f.port, &bad, "x"));
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_transport_reply(port, NULL, "x", 1));
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_transport_reply(port, &good, NULL, 1));
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_transport_reply(NULL, &good, "x", 1));
  CHECK_STATUS(UDPR_E_MESSAGE_TOO_LONG, udpr_transport_reply(port, &good, too_long, sizeof too_long));
  CHECK_EQ(before.syscalls_out, stats_of(port).syscalls_out);
  OK(udpr_transport_reply(port, &good, NULL, 0));
  expect_reply_from(&f, "", "127.0.0.1");
  tear_down(&f);
}

/* ---- in callbacks ----------------------------------------------------------------------------------------------- */

/* Replies to each datagram with its own bytes. */
static void echo(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  OK(udpr_transport_reply(transport, datagram, datagram->data, datagram->len));
  ++*(int *)user;
}

/* Each request goes to an address of its own, so each reply has a source of its own; or all go to one address. */
static void check_echo(uint32_t flags, int addresses, unsigned most_calls) {
  udpr_reactor    *reactor = new_reactor(0);
  recorder         peer;
  int              echoed = 0;
  char             text[16];
  udpr_protocol    protocol = {.size = sizeof protocol, .user = &echoed, .datagram_received = echo};
  udpr_udp_options options = {.size = sizeof options, .flags = flags};
  udpr_transport  *server = listen_on(reactor, "0.0.0.0", &protocol, &options);
  recorder_listen(&peer, reactor, "0.0.0.0", 0, 0);
  for (int i = 1; i <= 40; i++) {
    snprintf(text, sizeof text, "127.0.0.%d", i <= addresses ? i : 1);
    udpr_addr to = addr(text, host_of(server).port);
    write_text(peer.transport, text, &to);
  }
  RUN_UNTIL(reactor, peer.count == 40);
  for (int i = 0; i < 40; i++) {
    udpr_addr from = addr(peer.all[i].text, host_of(server).port);
    CHECK_ADDR(&from, &peer.all[i].datagram.sender);
  }
  CHECK_EQ(40, echoed);
  CHECK(stats_of(server).syscalls_out <= most_calls);
  udpr_transport_release(server);
  recorder_close(&peer);
  OK(udpr_reactor_free(reactor));
}

TEST(replies_in_a_callback_are_gathered) {
  check_echo(UDPR_UDP_PACKET_INFO, 40, 8);
  check_echo(UDPR_UDP_PACKET_INFO, 1, 8);
  check_echo(0, 1, 8);
}

TEST(an_unbatched_reply_is_sent_at_once) { check_echo(UDPR_UDP_PACKET_INFO | UDPR_UDP_UNBATCHED, 40, 40); }

/* ---- groups and broadcasts -------------------------------------------------------------------------------------- */

typedef struct network {
  two_hosts     hosts;
  udpr_reactor *reactor;
  recorder      near, far;
  uint32_t      near_index, far_index, detour_index;
} network;

/* Two hosts with two links: the address 10.99.0.2 of the far host is on the link `far`, but the near host has a route to it
 * by its link `detour`. So does 169.254.1.2. The near host has an alias address, too.
 */
static void create_network(network *n, const char *local_address) {
  *n = (network){0};
  two_hosts_create(&n->hosts);
  n->near_index = interface_index("near");
  run_command(
      "ip link add detour address 02:00:00:00:00:03 type veth peer name farther address 02:00:00:00:00:04");
  run_command("ip link set farther netns /proc/%d/fd/%d", (int)getpid(), n->hosts.far_fd);
  run_command("ip -batch - <<END\n"
              "link set detour up\n"
              "addr add 10.77.0.11/24 broadcast 10.77.0.255 dev near\n"
              "addr add 10.98.0.1/24 dev detour\n"
              "addr add 169.254.1.1/32 dev near\n"
              "route add 10.99.0.0/24 dev detour\n"
              "route add 169.254.1.0/24 dev detour\n"
              "neigh replace 10.99.0.2 lladdr 02:00:00:00:00:02 dev near nud permanent\n"
              "neigh replace 10.99.0.2 lladdr 02:00:00:00:00:04 dev detour nud permanent\n"
              "neigh replace 169.254.1.2 lladdr 02:00:00:00:00:02 dev near nud permanent\n"
              "neigh replace 169.254.1.2 lladdr 02:00:00:00:00:04 dev detour nud permanent\n"
              "END\n"
              "for name in all near detour; do echo 0 >/proc/sys/net/ipv4/conf/$name/rp_filter; done");
  add_ipv6_address("near", "fd77::11", 64);
  enter_far_host(&n->hosts);
  n->far_index = interface_index("far");
  n->detour_index = interface_index("farther");
  run_command("ip -batch - <<END\n"
              "link set farther up\n"
              "addr add 10.99.0.2/32 dev far\n"
              "addr add 169.254.1.2/32 dev far\n"
              "route add 169.254.1.0/24 dev far\n"
              "neigh replace 169.254.1.1 lladdr 02:00:00:00:00:01 dev far nud permanent\n"
              "END\n"
              "for name in all far farther; do echo 0 >/proc/sys/net/ipv4/conf/$name/rp_filter; done");
  wait_for_link("farther");
  n->reactor = new_reactor(0);
  bool v6 = strchr(local_address, ':') != NULL;
  recorder_listen(&n->far, n->reactor, local_address, 9990, UDPR_UDP_PACKET_INFO | UDPR_UDP_BROADCAST);
  enter_near_host(&n->hosts);
  wait_for_link("detour");
  recorder_listen(&n->near, n->reactor, local_address, 9999, UDPR_UDP_PACKET_INFO);
  udpr_addr groups[] = {addr(v6 ? "::ffff:228.0.0.5" : "228.0.0.5", 0), addr("ff02::9", 0)};
  for (int i = 0; i < (v6 ? 2 : 1); i++)
    OK(udpr_transport_join_group(n->near.transport, &groups[i], n->near_index));
}

static void destroy_network(network *n) {
  recorder_close(&n->near);
  recorder_close(&n->far);
  OK(udpr_reactor_free(n->reactor));
  two_hosts_close(&n->hosts);
}

/* A request from the far host by its first link. `source` NULL: the far kernel chooses. */
static udpr_datagram request(network *n, const char *source, const char *to) {
  udpr_addr    to_addr = addr(to, 9999), source_addr = source ? addr(source, 0) : (udpr_addr){0};
  udpr_message message = {.size = sizeof message, .data = "ask", .len = 3, .to = &to_addr};
  size_t       taken = 0;
  message.source = source ? &source_addr : NULL;
  message.interface_index = n->far_index;
  if (to_addr.family == UDPR_AF_INET6) to_addr.scope_id = to_addr.bytes[0] >= 0xfe ? n->far_index : 0;
  OK(udpr_transport_write_messages(n->far.transport, &message, 1, &taken));
  udpr_datagram datagram = recorder_expect(n->reactor, &n->near, "ask")->datagram;
  udpr_addr     destination = addr(to, 9999);
  if (to_addr.scope_id != 0) destination.scope_id = n->near_index;
  CHECK_ADDR(&destination, &datagram.destination);
  CHECK_EQ(n->near_index, datagram.interface_index);
  return datagram;
}

/* What the far host receives of a reply: its source, and the link. */
static void expect_reply(network *n, const udpr_datagram *datagram, const char *source, uint32_t interface) {
  udpr_addr from = addr(source, 9999);
  if (from.family == UDPR_AF_INET6 && from.bytes[0] == 0xfe) from.scope_id = n->far_index;
  OK(reply(&n->near, datagram, "answer"));
  const udpr_datagram *answer = &recorder_expect(n->reactor, &n->far, "answer")->datagram;
  CHECK_ADDR(&from, &answer->sender);
  CHECK_EQ(interface, answer->interface_index);
}

static const char *in_family(bool v6, const char *v4, char *buffer, size_t size) {
  snprintf(buffer, size, "%s%s", v6 ? "::ffff:" : "", v4);
  return buffer;
}

/* `to` is an IPv4 address of the near host, or a group or broadcast address. */
static void check_ipv4(network *n, bool v6, const char *from, const char *to, bool to_many,
                       const char *source, uint32_t interface) {
  char          texts[3][40];
  udpr_datagram datagram = request(n, in_family(v6, from, texts[0], sizeof texts[0]),
                                   in_family(v6, to, texts[1], sizeof texts[1]));
  CHECK_EQ(to_many ? UDPR_DATAGRAM_TO_MANY : 0, datagram.flags);
  expect_reply(n, &datagram, in_family(v6, source, texts[2], sizeof texts[2]), interface);
}

static void check_ipv4_network(const char *local_address) {
  network n;
  bool    v6 = strchr(local_address, ':') != NULL;
  create_network(&n, local_address);
  check_ipv4(&n, v6, "10.77.0.2", "10.77.0.1", false, "10.77.0.1", n.far_index);
  check_ipv4(&n, v6, "10.77.0.2", "10.77.0.11", false, "10.77.0.11", n.far_index);
  const char *many[] = {"10.77.0.255", "255.255.255.255", "228.0.0.5"};
  for (int i = 0; i < 3; i++) {
    check_ipv4(&n, v6, "10.77.0.2", many[i], true, "10.77.0.1", n.far_index);
    /* The route to this sender leads elsewhere. */
    check_ipv4(&n, v6, "10.99.0.2", many[i], true, "10.77.0.1", n.far_index);
    check_ipv4(&n, v6, "169.254.1.2", many[i], true, "10.77.0.1", n.far_index);
  }
  check_ipv4(&n, v6, "10.99.0.2", "10.77.0.11", false, "10.77.0.11", n.detour_index);
  check_ipv4(&n, v6, "169.254.1.2", "10.77.0.11", false, "10.77.0.11", n.far_index);
  check_ipv4(&n, v6, "10.99.0.2", "169.254.1.1", false, "169.254.1.1", n.far_index);
  check_ipv4(&n, v6, "169.254.1.2", "169.254.1.1", false, "169.254.1.1", n.far_index);
  destroy_network(&n);
}

TEST(ipv4_between_two_hosts) { check_ipv4_network("0.0.0.0"); }
TEST(ipv4_on_a_dual_stack_port_between_two_hosts) { check_ipv4_network("::"); }

/* A copy that lost its flag, or that was made by hand: a group is known without the flag. */
TEST(never_from_a_group_or_broadcast_address) {
  network n;
  create_network(&n, "0.0.0.0");
  const char *many[] = {"228.0.0.5", "255.255.255.255"};
  for (int i = 0; i < 2; i++) {
    udpr_datagram datagram = request(&n, "10.77.0.2", many[i]);
    datagram.flags = 0;
    expect_reply(&n, &datagram, "10.77.0.1", n.far_index);
  }
  destroy_network(&n);
}

TEST(ipv6_between_two_hosts) {
  network n;
  create_network(&n, "::");
  const struct {
    const char *from, *to, *source;
  } routes[] = {
      {"fd77::2", "fd77::1", "fd77::1"}, {"fd77::2", "fd77::11", "fd77::11"},
      {"fd77::2", "fe80::1", "fe80::1"}, {"fe80::2", "fd77::11", "fd77::11"},
      {"fe80::2", "fe80::1", "fe80::1"}, {"fe80::2", "ff02::9", "fe80::1"},
  };
  for (int i = 0; i < 6; i++) {
    udpr_datagram datagram = request(&n, routes[i].from, routes[i].to);
    CHECK_EQ(i == 5 ? UDPR_DATAGRAM_TO_MANY : 0, datagram.flags);
    expect_reply(&n, &datagram, routes[i].source, n.far_index);
    /* The zone is left out: the interface is enough. */
    datagram.sender.scope_id = datagram.destination.scope_id = 0;
    expect_reply(&n, &datagram, routes[i].source, n.far_index);
  }
  destroy_network(&n);
}

/* Without the flag there is no packet info, also not for the sake of the groups, nor from the port before. */
TEST(to_many_comes_with_packet_info_only) {
  network  n;
  recorder plain;
  create_network(&n, "::");
  recorder_listen(&plain, n.reactor, "::", 9998, 0);
  udpr_addr group = addr("ff02::9", 9998), near = addr("fd77::1", 9998);
  OK(udpr_transport_join_group(plain.transport, &group, n.near_index));
  group.scope_id = n.far_index;
  for (int i = 0; i < 3; i++) {
    CHECK_EQ(UDPR_DATAGRAM_TO_MANY, request(&n, "fe80::2", "ff02::9").flags);
    write_text(n.far.transport, "plain", i % 2 ? &near : &group);
    const udpr_datagram *datagram = &recorder_expect(n.reactor, &plain, "plain")->datagram;
    CHECK_EQ(0, datagram->flags);
    CHECK_EQ(UDPR_AF_UNSPEC, datagram->destination.family);
    CHECK_EQ(0, datagram->interface_index);
  }
  recorder_close(&plain);
  destroy_network(&n);
}

TEST(a_truncated_broadcast_has_both_flags) {
  network          n;
  recorder         cut = {0};
  udpr_protocol    protocol = {.size = sizeof protocol, .user = &cut, .datagram_received = recorder_received};
  udpr_udp_options options = {.size = sizeof options, .flags = UDPR_UDP_PACKET_INFO, .max_packet_size = 2};
  create_network(&n, "0.0.0.0");
  OK(udpr_reactor_listen_udp(n.reactor, 9998, "0.0.0.0", &protocol, &options, &cut.transport));
  udpr_addr everyone = addr("10.77.0.255", 9998);
  write_text(n.far.transport, "long", &everyone);
  CHECK_EQ(UDPR_DATAGRAM_TRUNCATED | UDPR_DATAGRAM_TO_MANY,
           recorder_expect(n.reactor, &cut, "lo")->datagram.flags);
  OK(reply(&cut, &cut.all[0].datagram, "answer"));
  recorder_expect(n.reactor, &n.far, "answer");
  recorder_close(&cut);
  destroy_network(&n);
}

CHECK_MAIN()
