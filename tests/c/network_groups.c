/* What a port has joined can be left, and joined again, whatever has happened to routes and interfaces; the kernel is
 * asked what the socket has joined.
 */
#include "recorder.h"
#include "two_hosts.h"

enum { FOR_ALL = 0 /* MCAST_EXCLUDE */, FOR_SOURCES = 1, NOTHING = -1 };

static void write_group(const udpr_addr *group, struct sockaddr_storage *out) {
  OK(udpr_addr_to_sockaddr(group, out, sizeof *out, NULL));
}

/* What the socket has joined of a group on an interface. */
static int joined(int fd, const udpr_addr *group, uint32_t index) {
  struct group_filter filter = {.gf_interface = index, .gf_numsrc = 1};
  socklen_t           len = sizeof filter;
  int                 level = group->family == UDPR_AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP;
  write_group(group, &filter.gf_group);
  if (getsockopt(fd, level, MCAST_MSFILTER, &filter, &len) == 0) return (int)filter.gf_fmode;
  CHECK(errno == EADDRNOTAVAIL || errno == ENODEV);
  return NOTHING;
}

/* A port on a host with two interfaces, and what it joins: an IPv4 group is mapped on a dual-stack port. */
typedef struct kind {
  const char *any, *group, *source;
  bool        mapped;
} kind;

static const kind KINDS[] = {
    {"0.0.0.0", "239.1.2.3", NULL, false}, {"0.0.0.0", "232.1.2.3", "10.77.0.9", false},
    {"::", "ff05::1:3", NULL, false},      {"::", "ff35::1:3", "fd77::9", false},
    {"::", "239.1.2.3", NULL, true},       {"::", "232.1.2.3", "10.77.0.9", true},
};

typedef struct fixture {
  const kind     *kind;
  udpr_reactor   *reactor;
  udpr_transport *port;
  int             fd;            /* the port's, or what was adopted */
  udpr_addr       plain;         /* the group as the kernel has it */
  udpr_addr       group, source; /* as the port is given it */
  uint32_t        a0, b0;        /* the interfaces */
} fixture;

static void make_device(const char *name, int network) {
  host_command("ip link add %s0 address 02:00:00:00:%02x:01 type veth peer name %s1", name, network, name);
  host_command("ip link set %s1 up && ip link set %s0 addrgenmode none && ip link set %s0 up", name, name,
               name);
  host_command("ip addr add 10.%d.0.1/24 dev %s0", network, name);
  char device[16], address[16];
  snprintf(device, sizeof device, "%s0", name);
  snprintf(address, sizeof address, "fd%d::1", network);
  add_ipv6_address(device, address, 64);
}

/* By the more exact route, whichever the kernel has made itself. */
static void route_by(const char *device) {
  host_command("ip route replace 224.0.0.0/4 dev %s", device);
  host_command("ip -6 route del multicast ff00::/9 table local 2>/dev/null; "
               "ip -6 route add multicast ff00::/9 dev %s table local",
               device);
}

static void no_route(void) {
  host_command("ip route del 224.0.0.0/4; ip -6 route flush table local root ff00::/8");
  host_command("ip -6 route add unreachable default metric 1 2>/dev/null; true");
}

static udpr_status join(fixture *f, uint32_t index) {
  return f->kind->source ? udpr_transport_join_source_group(f->port, &f->group, &f->source, index)
                         : udpr_transport_join_group(f->port, &f->group, index);
}

static udpr_status leave(fixture *f, uint32_t index) {
  return f->kind->source ? udpr_transport_leave_source_group(f->port, &f->group, &f->source, index)
                         : udpr_transport_leave_group(f->port, &f->group, index);
}

static void check_joined(const fixture *f, bool by_a0, bool by_b0) {
  int is = f->kind->source ? FOR_SOURCES : FOR_ALL;
  CHECK_EQ(by_a0 ? is : NOTHING, joined(f->fd, &f->plain, f->a0));
  CHECK_EQ(by_b0 ? is : NOTHING, joined(f->fd, &f->plain, f->b0));
}

static void name_group(fixture *f) {
  f->plain = f->group = addr(f->kind->group, 0);
  if (f->kind->source) f->source = addr(f->kind->source, 0);
  if (!f->kind->mapped) return;
  OK(udpr_addr_map_v4(&f->group, &f->group));
  if (f->kind->source) OK(udpr_addr_map_v4(&f->source, &f->source));
}

static void set_up_with(fixture *f, const kind *kind, const udpr_udp_options *options) {
  udpr_protocol protocol = {.size = sizeof protocol};
  *f = (fixture){.kind = kind,
                 .reactor = new_reactor(0),
                 .a0 = interface_index("a0"),
                 .b0 = interface_index("b0")};
  name_group(f);
  OK(udpr_reactor_listen_udp(f->reactor, 5000, kind->any, &protocol, options, &f->port));
  f->fd = udpr_transport_fileno(f->port);
}

static void tear_down(fixture *f) {
  udpr_transport_release(f->port);
  OK(udpr_reactor_free(f->reactor));
}

/* The whole case for each kind, in one network. */
static void for_each_kind(void (*body)(const kind *)) {
  if (geteuid() != 0) SKIP("needs root for a network namespace");
  if (system("ip -V >/dev/null 2>&1") != 0) SKIP("needs ip (iproute2)");
  close(new_network_namespace());
  host_command("ip link set lo up");
  make_device("a", 77);
  make_device("b", 78);
  for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS; i++) {
    static char about[64];
    snprintf(about, sizeof about, "%s on %s%s", KINDS[i].group, KINDS[i].any,
             KINDS[i].source ? " of a source" : "");
    check_context = about;
    route_by("a0");
    body(&KINDS[i]);
  }
}

static void route_moves(const kind *kind) {
  fixture f;
  set_up_with(&f, kind, NULL);
  for (int round = 0; round < 2; round++) {
    route_by("a0");
    OK(join(&f, 0));
    check_joined(&f, true, false);
    route_by("b0");
    CHECK_STATUS(UDPR_E_ALREADY_JOINED, join(&f, 0));
    CHECK_STATUS(UDPR_E_ALREADY_JOINED, join(&f, f.a0));
    OK(leave(&f, 0));
    CHECK_STATUS(UDPR_E_NOT_JOINED, leave(&f, 0));
    check_joined(&f, false, false);
    OK(join(&f, 0));
    check_joined(&f, false, true);
    OK(join(&f, f.a0));
    check_joined(&f, true, true);
    OK(leave(&f, 0));
    check_joined(&f, true, false);
    OK(leave(&f, f.a0));
  }
  tear_down(&f);
}

TEST(a_group_is_left_and_joined_again_after_the_route_has_moved) { for_each_kind(route_moves); }

static void route_goes(const kind *kind) {
  fixture f;
  set_up_with(&f, kind, NULL);
  OK(join(&f, 0));
  no_route();
  CHECK_STATUS(UDPR_E_ALREADY_JOINED, join(&f, 0));
  OK(leave(&f, 0));
  check_joined(&f, false, false);
  CHECK_STATUS(UDPR_E_NO_INTERFACE, join(&f, 0));
  CHECK_STATUS(UDPR_E_NOT_JOINED, leave(&f, 0));
  host_command("ip -6 route del unreachable default metric 1");
  tear_down(&f);
}

TEST(a_group_is_left_after_the_route_has_gone) { for_each_kind(route_goes); }

/* Joined by its own name or by the system's choice, named so again or by its index. */
static void interface_is_replaced(const kind *kind) {
  fixture f;
  set_up_with(&f, kind, NULL);
  for (int round = 0; round < 4; round++) {
    bool leave_first = round & 1;
    route_by("a0");
    OK(join(&f, 0));
    host_command("ip link del a0");
    make_device("a", 77);
    route_by("a0");
    uint32_t former = f.a0;
    f.a0 = interface_index("a0");
    CHECK(former != f.a0);
    if (leave_first) OK(leave(&f, round == 1 ? 0 : former));
    OK(join(&f, 0));
    check_joined(&f, true, false);
    CHECK_EQ(NOTHING, joined(f.fd, &f.plain, former));
    OK(leave(&f, round < 2 ? 0 : f.a0));
    check_joined(&f, false, false);
    CHECK_STATUS(UDPR_E_NO_INTERFACE, leave(&f, former));
  }
  tear_down(&f);
}

TEST(a_group_is_joined_again_after_its_interface_was_replaced) { for_each_kind(interface_is_replaced); }

static void interface_changes(const kind *kind) {
  fixture f;
  set_up_with(&f, kind, NULL);
  OK(join(&f, 0));
  host_command("ip link set a0 down && ip link set a0 name renamed && ip addr flush dev renamed && ip link "
               "set renamed up");
  check_joined(&f, true, false);
  OK(leave(&f, 0));
  check_joined(&f, false, false);
  OK(join(&f, f.a0));
  OK(leave(&f, f.a0));
  host_command("ip link del renamed");
  make_device("a", 77);
  tear_down(&f);
}

TEST(a_group_is_left_after_its_interface_was_renamed_and_its_address_has_changed) {
  for_each_kind(interface_changes);
}

/* What was joined on interfaces that are gone does not count among the groups that a socket may have. */
static void many_interfaces_go(const kind *kind) {
  fixture f;
  host_command("sysctl -qw net.ipv4.igmp_max_memberships=3");
  set_up_with(&f, kind, NULL);
  for (int round = 0; round < 6; round++) {
    OK(join(&f, f.a0));
    host_command("ip link del a0");
    make_device("a", 77);
    f.a0 = interface_index("a0");
  }
  OK(join(&f, f.a0));
  check_joined(&f, true, false);
  tear_down(&f);
}

TEST(interfaces_that_come_and_go_do_not_use_memberships_up) { for_each_kind(many_interfaces_go); }

/* Whatever the routes say: nothing can come to the port but by its device. */
static void port_is_bound(const kind *kind) {
  fixture          f;
  udpr_udp_options options = {.size = sizeof options, .bind_device = "b0"};
  set_up_with(&f, kind, &options);
  OK(join(&f, 0));
  check_joined(&f, false, true);
  CHECK_STATUS(UDPR_E_ALREADY_JOINED, join(&f, f.b0));
  OK(leave(&f, f.b0));
  OK(join(&f, f.b0));
  OK(leave(&f, 0));
  check_joined(&f, false, false);
  OK(udpr_transport_set_option(f.port, SOL_SOCKET, SO_BINDTODEVICE, "", 0));
  OK(join(&f, 0));
  check_joined(&f, true, false);
  OK(udpr_transport_set_option(f.port, SOL_SOCKET, SO_BINDTODEVICE, "b0", 3));
  OK(leave(&f, 0));
  OK(join(&f, 0));
  check_joined(&f, false, true);
  tear_down(&f);
}

TEST(interface_0_of_a_bound_port_is_its_device) { for_each_kind(port_is_bound); }

/* ---- adopted sockets ------------------------------------------------------------------------------------- */

static void change(const fixture *f, uint32_t index, int any, int with_source) {
  struct group_source_req request = {.gsr_interface = index};
  struct group_req        for_all = {.gr_interface = index};
  udpr_addr               source = f->source;
  if (f->kind->source && f->kind->mapped) OK(udpr_addr_unmap_v4(&f->source, &source));
  write_group(&f->plain, &for_all.gr_group);
  write_group(&f->plain, &request.gsr_group);
  if (f->kind->source) write_group(&source, &request.gsr_source);
  int level = f->plain.family == UDPR_AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP;
  CHECK_EQ(0, f->kind->source ? setsockopt(f->fd, level, with_source, &request, sizeof request)
                              : setsockopt(f->fd, level, any, &for_all, sizeof for_all));
}

#define OWNER_JOINS(f, index) change(f, index, MCAST_JOIN_GROUP, MCAST_JOIN_SOURCE_GROUP)
#define OWNER_LEAVES(f, index) change(f, index, MCAST_LEAVE_GROUP, MCAST_LEAVE_SOURCE_GROUP)

static void adopt(fixture *f, const kind *kind) {
  udpr_protocol protocol = {.size = sizeof protocol};
  int           family = strcmp(kind->any, "::") == 0 ? AF_INET6 : AF_INET;
  *f = (fixture){.kind = kind,
                 .reactor = new_reactor(0),
                 .a0 = interface_index("a0"),
                 .b0 = interface_index("b0")};
  name_group(f);
  f->fd = socket(family, SOCK_DGRAM, 0);
  CHECK(f->fd >= 0);
  OK(udpr_reactor_adopt_datagram_port(f->reactor, f->fd, 0, &protocol, NULL, &f->port));
}

/* What it had joined itself stays, what the port has joined is left, by the interfaces that they were joined on. */
static void adopted(const kind *kind) {
  fixture f;
  adopt(&f, kind);
  OK(join(&f, 0));
  OWNER_JOINS(&f, f.b0);
  CHECK_STATUS(UDPR_E_ALREADY_JOINED, join(&f, f.b0));
  CHECK_STATUS(UDPR_E_NOT_JOINED, leave(&f, f.b0));
  check_joined(&f, true, true);
  route_by("b0");
  OK(udpr_transport_close(f.port));
  check_joined(&f, false, true);
  tear_down(&f);
  close(f.fd);
}

TEST(an_adopted_sockets_own_groups_stay_and_the_ports_are_left) { for_each_kind(adopted); }

static void other_holder_leaves(const kind *kind) {
  fixture f;
  adopt(&f, kind);
  for (int round = 0; round < 2; round++) {
    OK(join(&f, 0));
    OWNER_LEAVES(&f, f.a0);
    if (round == 0) { CHECK_STATUS(UDPR_E_NOT_JOINED, leave(&f, 0)); }
    OK(join(&f, 0));
    check_joined(&f, true, false);
    OK(leave(&f, 0));
  }
  tear_down(&f);
  close(f.fd);
}

TEST(a_group_that_the_other_holder_has_left_can_be_joined_again) { for_each_kind(other_holder_leaves); }

/* Interface 0 adds a source where there is one already, or by the route. */
static void second_source(const kind *kind) {
  fixture f;
  if (!kind->source) return;
  set_up_with(&f, kind, NULL);
  udpr_addr first = f.source, second = f.source;
  second.bytes[strcmp(kind->any, "::") == 0 ? 15 : 3]++;
  OK(join(&f, 0));
  CHECK_STATUS(UDPR_E_ALREADY_JOINED, join(&f, 0));
  CHECK_STATUS(UDPR_E_ALREADY_JOINED, udpr_transport_join_group(f.port, &f.group, f.a0));
  f.source = second;
  OK(join(&f, 0));
  CHECK_STATUS(UDPR_E_ALREADY_JOINED, join(&f, f.a0));
  check_joined(&f, true, false);
  route_by("b0");
  OK(leave(&f, 0));
  check_joined(&f, true, false);
  f.source = first;
  OK(leave(&f, 0));
  check_joined(&f, false, false);
  tear_down(&f);
}

TEST(sources_are_left_one_by_one_after_the_route_has_moved) { for_each_kind(second_source); }

/* The kernel would make one membership of both. */
TEST(an_adopted_sockets_group_is_not_narrowed_to_a_source) {
  fixture f;
  kind    all = {"0.0.0.0", "239.1.2.3", NULL, false};
  if (geteuid() != 0) SKIP("needs root for a network namespace");
  if (system("ip -V >/dev/null 2>&1") != 0) SKIP("needs ip (iproute2)");
  close(new_network_namespace());
  make_device("a", 77);
  make_device("b", 78);
  route_by("a0");
  adopt(&f, &all);
  OWNER_JOINS(&f, f.a0);
  udpr_addr source = addr("10.77.0.9", 0);
  CHECK_STATUS(UDPR_E_ALREADY_JOINED, udpr_transport_join_source_group(f.port, &f.group, &source, f.a0));
  CHECK_STATUS(UDPR_E_ALREADY_JOINED, udpr_transport_join_source_group(f.port, &f.group, &source, 0));
  CHECK_STATUS(UDPR_E_NOT_JOINED, udpr_transport_leave_source_group(f.port, &f.group, &source, f.a0));
  OK(udpr_transport_close(f.port));
  CHECK_EQ(FOR_ALL, joined(f.fd, &f.plain, f.a0));
  tear_down(&f);
  close(f.fd);
}

CHECK_MAIN()
