/* A group can be left, and joined again, whatever changes of routes and interfaces. The tests ask the kernel
 * which memberships the socket has.
 */
#include "membership.h"
#include "recorder.h"
#include "two_hosts.h"

enum { ANY_SOURCE = 0 /* MCAST_EXCLUDE, from linux/in.h */, SOURCES_ONLY = 1, NOT_JOINED = -1 };

static void group_to_sockaddr(const udpr_addr *group, struct sockaddr_storage *out) {
  OK(udpr_addr_to_sockaddr(group, out, sizeof *out, NULL));
}

/* Returns the kernel's filter mode of the socket's membership, or NOT_JOINED. */
static int kernel_filter_mode(int fd, const udpr_addr *group, uint32_t index) {
  struct group_filter filter = {.gf_interface = index, .gf_numsrc = 1};
  socklen_t           len = sizeof filter;
  int                 level = group->family == UDPR_AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP;
  group_to_sockaddr(group, &filter.gf_group);
  if (getsockopt(fd, level, MCAST_MSFILTER, &filter, &len) == 0) return (int)filter.gf_fmode;
  CHECK(errno == EADDRNOTAVAIL || errno == ENODEV);
  return NOT_JOINED;
}

/* An address to listen on, and what to join. On a dual-stack port, IPv4 groups are given as mapped addresses.
 */
typedef struct membership_kind {
  const char *any, *group, *source;
  bool        mapped;
} membership_kind;

static const membership_kind MEMBERSHIP_KINDS[] = {
    {"0.0.0.0", "239.1.2.3", NULL, false}, {"0.0.0.0", "232.1.2.3", "10.77.0.9", false},
    {"::", "ff05::1:3", NULL, false},      {"::", "ff35::1:3", "fd77::9", false},
    {"::", "239.1.2.3", NULL, true},       {"::", "232.1.2.3", "10.77.0.9", true},
};

typedef struct fixture {
  const membership_kind *membership_kind;
  udpr_reactor          *reactor;
  udpr_transport        *port;
  int                    fd;            /* the port's socket, or the adopted one */
  udpr_addr              kernel_group;  /* the group as the kernel names it */
  udpr_addr              group, source; /* as given to the port */
  uint32_t               a0, b0;        /* interface indexes */
} fixture;

static void make_device(const char *name, int network) {
  run_command("ip link add %s0 address 02:00:00:00:%02x:01 type veth peer name %s1", name, network, name);
  run_command("ip link set %s1 up && ip link set %s0 addrgenmode none && ip link set %s0 up", name, name,
              name);
  run_command("ip addr add 10.%d.0.1/24 dev %s0", network, name);
  char device[16], address[16];
  snprintf(device, sizeof device, "%s0", name);
  snprintf(address, sizeof address, "fd%d::1", network);
  add_ipv6_address(device, address, 64);
}

/* More specific than the routes that the kernel makes itself. */
static void set_group_route(const char *device) {
  run_command("ip route replace 224.0.0.0/4 dev %s", device);
  run_command("ip -6 route del multicast ff00::/9 table local 2>/dev/null; "
              "ip -6 route add multicast ff00::/9 dev %s table local",
              device);
}

static void remove_group_routes(void) {
  run_command("ip route del 224.0.0.0/4; ip -6 route flush table local root ff00::/8");
  run_command("ip -6 route add unreachable default metric 1 2>/dev/null; true");
}

static udpr_status join(fixture *f, uint32_t index) {
  return join_group(f->port, &f->group, f->membership_kind->source ? &f->source : NULL, index);
}

static udpr_status leave(fixture *f, uint32_t index) {
  return leave_group(f->port, &f->group, f->membership_kind->source ? &f->source : NULL, index);
}

static void check_joined(const fixture *f, bool by_a0, bool by_b0) {
  int is = f->membership_kind->source ? SOURCES_ONLY : ANY_SOURCE;
  CHECK_EQ(by_a0 ? is : NOT_JOINED, kernel_filter_mode(f->fd, &f->kernel_group, f->a0));
  CHECK_EQ(by_b0 ? is : NOT_JOINED, kernel_filter_mode(f->fd, &f->kernel_group, f->b0));
}

static void set_group(fixture *f) {
  f->kernel_group = f->group = addr(f->membership_kind->group, 0);
  if (f->membership_kind->source) f->source = addr(f->membership_kind->source, 0);
  if (!f->membership_kind->mapped) return;
  OK(udpr_addr_map_v4(&f->group, &f->group));
  if (f->membership_kind->source) OK(udpr_addr_map_v4(&f->source, &f->source));
}

static void set_up_with(fixture *f, const membership_kind *membership_kind, const udpr_udp_options *options) {
  udpr_protocol protocol = {.size = sizeof protocol};
  *f = (fixture){.membership_kind = membership_kind,
                 .reactor = new_reactor(0),
                 .a0 = interface_index("a0"),
                 .b0 = interface_index("b0")};
  set_group(f);
  OK(udpr_reactor_listen_udp(f->reactor, 5000, membership_kind->any, &protocol, options, &f->port));
  f->fd = udpr_transport_fileno(f->port);
}

static void tear_down(fixture *f) {
  udpr_transport_release(f->port);
  OK(udpr_reactor_free(f->reactor));
}

/* Runs the case for each kind, in one network. */
static void for_each_kind(void (*body)(const membership_kind *)) {
  if (geteuid() != 0) SKIP("needs root for a network namespace");
  if (system("ip -V >/dev/null 2>&1") != 0) SKIP("needs ip (iproute2)");
  close(new_network_namespace());
  run_command("ip link set lo up");
  make_device("a", 77);
  make_device("b", 78);
  for (size_t i = 0; i < sizeof MEMBERSHIP_KINDS / sizeof *MEMBERSHIP_KINDS; i++) {
    static char about[64];
    snprintf(about, sizeof about, "%s on %s%s", MEMBERSHIP_KINDS[i].group, MEMBERSHIP_KINDS[i].any,
             MEMBERSHIP_KINDS[i].source ? " of a source" : "");
    check_context = about;
    set_group_route("a0");
    body(&MEMBERSHIP_KINDS[i]);
  }
}

static void check_route_moves(const membership_kind *membership_kind) {
  fixture f;
  set_up_with(&f, membership_kind, NULL);
  for (int round = 0; round < 2; round++) {
    set_group_route("a0");
    OK(join(&f, 0));
    check_joined(&f, true, false);
    set_group_route("b0");
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

TEST(the_route_moves) { for_each_kind(check_route_moves); }

static void check_route_removed(const membership_kind *membership_kind) {
  fixture f;
  set_up_with(&f, membership_kind, NULL);
  OK(join(&f, 0));
  remove_group_routes();
  CHECK_STATUS(UDPR_E_ALREADY_JOINED, join(&f, 0));
  OK(leave(&f, 0));
  check_joined(&f, false, false);
  CHECK_STATUS(UDPR_E_NO_INTERFACE, join(&f, 0));
  CHECK_STATUS(UDPR_E_NOT_JOINED, leave(&f, 0));
  run_command("ip -6 route del unreachable default metric 1");
  tear_down(&f);
}

TEST(the_route_is_removed) { for_each_kind(check_route_removed); }

/* Joined on interface 0; left by interface 0, or by the index of the old or of the new interface. */
static void check_interface_replaced(const membership_kind *membership_kind) {
  fixture f;
  set_up_with(&f, membership_kind, NULL);
  for (int round = 0; round < 4; round++) {
    bool leave_first = round & 1;
    set_group_route("a0");
    OK(join(&f, 0));
    run_command("ip link del a0");
    make_device("a", 77);
    set_group_route("a0");
    uint32_t previous = f.a0;
    f.a0 = interface_index("a0");
    CHECK(previous != f.a0);
    if (leave_first) OK(leave(&f, round == 1 ? 0 : previous));
    OK(join(&f, 0));
    check_joined(&f, true, false);
    CHECK_EQ(NOT_JOINED, kernel_filter_mode(f.fd, &f.kernel_group, previous));
    OK(leave(&f, round < 2 ? 0 : f.a0));
    check_joined(&f, false, false);
    CHECK_STATUS(UDPR_E_NO_INTERFACE, leave(&f, previous));
  }
  tear_down(&f);
}

TEST(the_interface_is_replaced) { for_each_kind(check_interface_replaced); }

static void check_interface_renamed(const membership_kind *membership_kind) {
  fixture f;
  set_up_with(&f, membership_kind, NULL);
  OK(join(&f, 0));
  run_command("ip link set a0 down && ip link set a0 name renamed && ip addr flush dev renamed && ip link "
              "set renamed up");
  check_joined(&f, true, false);
  OK(leave(&f, 0));
  check_joined(&f, false, false);
  OK(join(&f, f.a0));
  OK(leave(&f, f.a0));
  run_command("ip link del renamed");
  make_device("a", 77);
  tear_down(&f);
}

TEST(the_interface_is_renamed_and_loses_its_address) { for_each_kind(check_interface_renamed); }

/* Memberships on deleted interfaces must not count towards the socket's limit. */
static void check_many_interfaces_removed(const membership_kind *membership_kind) {
  fixture f;
  run_command("sysctl -qw net.ipv4.igmp_max_memberships=3");
  set_up_with(&f, membership_kind, NULL);
  for (int round = 0; round < 6; round++) {
    OK(join(&f, f.a0));
    run_command("ip link del a0");
    make_device("a", 77);
    f.a0 = interface_index("a0");
  }
  OK(join(&f, f.a0));
  check_joined(&f, true, false);
  tear_down(&f);
}

TEST(removed_interfaces_do_not_use_up_memberships) { for_each_kind(check_many_interfaces_removed); }

/* Interface 0 is the bound device, whatever the routes are, since the port receives only from that device. */
static void check_bound_port(const membership_kind *membership_kind) {
  fixture          f;
  udpr_udp_options options = {.size = sizeof options, .bind_device = "b0"};
  set_up_with(&f, membership_kind, &options);
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

TEST(interface_0_of_a_port_bound_to_a_device) { for_each_kind(check_bound_port); }

/* ---- adopted sockets ------------------------------------------------------------------------------------- */

static void change_membership(const fixture *f, uint32_t index, int any, int with_source) {
  struct group_source_req request = {.gsr_interface = index};
  struct group_req        for_all = {.gr_interface = index};
  udpr_addr               source = f->source;
  if (f->membership_kind->source && f->membership_kind->mapped) OK(udpr_addr_unmap_v4(&f->source, &source));
  group_to_sockaddr(&f->kernel_group, &for_all.gr_group);
  group_to_sockaddr(&f->kernel_group, &request.gsr_group);
  if (f->membership_kind->source) group_to_sockaddr(&source, &request.gsr_source);
  int level = f->kernel_group.family == UDPR_AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP;
  CHECK_EQ(0, f->membership_kind->source ? setsockopt(f->fd, level, with_source, &request, sizeof request)
                                         : setsockopt(f->fd, level, any, &for_all, sizeof for_all));
}

#define JOIN_ON_SOCKET(f, index) change_membership(f, index, MCAST_JOIN_GROUP, MCAST_JOIN_SOURCE_GROUP)
#define LEAVE_ON_SOCKET(f, index) change_membership(f, index, MCAST_LEAVE_GROUP, MCAST_LEAVE_SOURCE_GROUP)

static void adopt(fixture *f, const membership_kind *membership_kind) {
  udpr_protocol protocol = {.size = sizeof protocol};
  int           family = strcmp(membership_kind->any, "::") == 0 ? AF_INET6 : AF_INET;
  *f = (fixture){.membership_kind = membership_kind,
                 .reactor = new_reactor(0),
                 .a0 = interface_index("a0"),
                 .b0 = interface_index("b0")};
  set_group(f);
  f->fd = socket(family, SOCK_DGRAM, 0);
  CHECK(f->fd >= 0);
  OK(udpr_reactor_adopt_datagram_port(f->reactor, f->fd, 0, &protocol, NULL, &f->port));
}

/* The socket's own memberships stay; those of the port are left, on the interfaces on which they were joined.
 */
static void check_adopted(const membership_kind *membership_kind) {
  fixture f;
  adopt(&f, membership_kind);
  OK(join(&f, 0));
  JOIN_ON_SOCKET(&f, f.b0);
  CHECK_STATUS(UDPR_E_ALREADY_JOINED, join(&f, f.b0));
  CHECK_STATUS(UDPR_E_NOT_JOINED, leave(&f, f.b0));
  check_joined(&f, true, true);
  set_group_route("b0");
  OK(udpr_transport_close(f.port));
  check_joined(&f, false, true);
  tear_down(&f);
  close(f.fd);
}

TEST(close_leaves_the_ports_groups_but_not_the_adopted_sockets) { for_each_kind(check_adopted); }

static void check_other_owner_leaves(const membership_kind *membership_kind) {
  fixture f;
  adopt(&f, membership_kind);
  for (int round = 0; round < 2; round++) {
    OK(join(&f, 0));
    LEAVE_ON_SOCKET(&f, f.a0);
    if (round == 0) { CHECK_STATUS(UDPR_E_NOT_JOINED, leave(&f, 0)); }
    OK(join(&f, 0));
    check_joined(&f, true, false);
    OK(leave(&f, 0));
  }
  tear_down(&f);
  close(f.fd);
}

TEST(a_group_left_by_the_sockets_other_owner_can_be_joined_again) { for_each_kind(check_other_owner_leaves); }

/* Interface 0 adds a source to an existing membership, or else uses the route. */
static void check_second_source(const membership_kind *membership_kind) {
  fixture f;
  if (!membership_kind->source) return;
  set_up_with(&f, membership_kind, NULL);
  udpr_addr first = f.source, second = f.source;
  second.bytes[strcmp(membership_kind->any, "::") == 0 ? 15 : 3]++;
  OK(join(&f, 0));
  CHECK_STATUS(UDPR_E_ALREADY_JOINED, join(&f, 0));
  CHECK_STATUS(UDPR_E_ALREADY_JOINED, udpr_transport_join_group(f.port, &f.group, f.a0));
  f.source = second;
  OK(join(&f, 0));
  CHECK_STATUS(UDPR_E_ALREADY_JOINED, join(&f, f.a0));
  check_joined(&f, true, false);
  set_group_route("b0");
  OK(leave(&f, 0));
  check_joined(&f, true, false);
  f.source = first;
  OK(leave(&f, 0));
  check_joined(&f, false, false);
  tear_down(&f);
}

TEST(the_route_moves_between_two_sources) { for_each_kind(check_second_source); }

/* The kernel would make one membership of both. */
TEST(an_adopted_sockets_group_cannot_be_joined_for_a_source) {
  fixture         f;
  membership_kind all = {"0.0.0.0", "239.1.2.3", NULL, false};
  if (geteuid() != 0) SKIP("needs root for a network namespace");
  if (system("ip -V >/dev/null 2>&1") != 0) SKIP("needs ip (iproute2)");
  close(new_network_namespace());
  make_device("a", 77);
  make_device("b", 78);
  set_group_route("a0");
  adopt(&f, &all);
  JOIN_ON_SOCKET(&f, f.a0);
  udpr_addr source = addr("10.77.0.9", 0);
  CHECK_STATUS(UDPR_E_ALREADY_JOINED, udpr_transport_join_source_group(f.port, &f.group, &source, f.a0));
  CHECK_STATUS(UDPR_E_ALREADY_JOINED, udpr_transport_join_source_group(f.port, &f.group, &source, 0));
  CHECK_STATUS(UDPR_E_NOT_JOINED, udpr_transport_leave_source_group(f.port, &f.group, &source, f.a0));
  OK(udpr_transport_close(f.port));
  CHECK_EQ(ANY_SOURCE, kernel_filter_mode(f.fd, &f.kernel_group, f.a0));
  tear_down(&f);
  close(f.fd);
}

CHECK_MAIN()
