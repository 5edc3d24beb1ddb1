/* A port that is bound to a device sends by that device or not at all: however it was bound, whatever becomes of the
 * device, and whoever it talks to. The device is vpn0, the default route leads through out0; what leaves by either is
 * read at the other end of the wire.
 */
#include "own_network.h"

#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>

#ifndef SO_BINDTOIFINDEX
#define SO_BINDTOIFINDEX 62
#endif

/* One of the two interfaces: a socket at the other end, and one that sends by it, to see that nothing is on its way. */
typedef struct wire {
  const char *device;
  int         tap, marker;
} wire;

typedef struct fixture {
  udpr_reactor   *reactor;
  udpr_transport *transport;
  int             host; /* the socket of another holder, or -1 */
  wire            dev, out;
  udpr_addr       first, second; /* behind the default route */
} fixture;

/* ---- the network -------------------------------------------------------------------------------------------- */

__attribute__((format(printf, 1, 2))) static void ip(const char *format, ...) {
  char    arguments[200];
  va_list args;
  va_start(args, format);
  vsnprintf(arguments, sizeof arguments, format, args);
  va_end(args);
  network_command("ip", arguments);
}

/* `device` is number 1 or 2: both have a way to everywhere, the second one's is preferred. */
static void set_up_device(const char *device, int number) {
  ip("link set %s up", device);
  ip("addr replace 10.%d.0.1/24 dev %s", number, device);
  ip("addr replace fd0%d::1/64 dev %s nodad", number, device);
  ip("addr replace fe80::%d/64 dev %s nodad", number, device);
  ip("neigh replace 10.%d.0.9 lladdr 02:00:00:00:00:09 dev %s nud permanent", number, device);
  ip("neigh replace fd0%d::9 lladdr 02:00:00:00:00:09 dev %s nud permanent", number, device);
  ip("neigh replace fe80::9 lladdr 02:00:00:00:00:09 dev %s nud permanent", device);
  ip("route replace default via 10.%d.0.9 dev %s metric %d", number, device, 30 - 10 * number);
  ip("-6 route replace default via fd0%d::9 dev %s metric %d", number, device, 30 - 10 * number);
}

static void add_device(const char *device, int number) {
  ip("link add %s type veth peer name %s-end", device, device);
  ip("link set %s addrgenmode none", device);
  ip("link set %s-end up", device);
  set_up_device(device, number);
}

static void rename_device(void) {
  ip("link set vpn0 down");
  ip("link set vpn0 name vpn1");
  set_up_device("vpn1", 1);
}

static void remove_device(void) { ip("link del vpn0"); }

static void replace_device(void) {
  ip("link del vpn0");
  add_device("vpn0", 1);
}

static void leave_device(void) {}

static void open_wire(wire *w, const char *device, int number) {
  struct sockaddr_ll end = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
  char               name[IFNAMSIZ];
  snprintf(name, sizeof name, "%s-end", device);
  end.sll_ifindex = (int)if_nametoindex(name);
  *w = (wire){device, socket(AF_PACKET, SOCK_DGRAM, 0), socket(AF_INET, SOCK_DGRAM, 0)};
  if (w->tap < 0) SKIP("this kernel has no packet sockets");
  CHECK_EQ(0, bind(w->tap, (struct sockaddr *)&end, sizeof end));
  to.sin_addr.s_addr = htonl(0x0a000009u | (uint32_t)number << 16);
  CHECK_EQ(0, connect(w->marker, (struct sockaddr *)&to, sizeof to));
}

/* How many datagrams of the port have come there since the last look. */
static int count(const wire *w) {
  char data[2048];
  int  found = 0;
  CHECK_EQ(6, send(w->marker, "marker", 6, 0));
  for (;;) {
    struct pollfd ready = {.fd = w->tap, .events = POLLIN};
    CHECK_EQ(1, poll(&ready, 1, 5000));
    ssize_t len = recv(w->tap, data, sizeof data, 0);
    CHECK(len > 0);
    if (memmem(data, (size_t)len, "marker", 6)) return found;
    found += memmem(data, (size_t)len, "secret", 6) != NULL;
  }
}

static void set_up(fixture *f, int family) {
  static const struct {
    const char *first, *second;
  } peers[] = {{"192.0.2.1", "192.0.2.2"}, {"2001:db8::1", "2001:db8::2"}};
  enter_own_network();
  stay_on_this_core();
  add_device("vpn0", 1);
  add_device("out0", 2);
  *f = (fixture){.reactor = new_reactor(0), .host = -1};
  f->first = addr(peers[family == AF_INET6].first, 9), f->second = addr(peers[family == AF_INET6].second, 9);
  open_wire(&f->dev, "vpn0", 1);
  open_wire(&f->out, "out0", 2);
}

static void tear_down(fixture *f) {
  if (f->transport) OK(udpr_transport_close(f->transport));
  udpr_transport_release(f->transport);
  OK(udpr_reactor_free(f->reactor));
  close(f->dev.tap), close(f->dev.marker), close(f->out.tap), close(f->out.marker);
  if (f->host >= 0) close(f->host);
}

/* ---- ways to be bound --------------------------------------------------------------------------------------- */

static const udpr_protocol silent = {.size = sizeof silent};

static const char *any(int family) { return family == AF_INET ? "0.0.0.0" : "::"; }

static void by_option(fixture *f, int family) {
  udpr_udp_options options = {.size = sizeof options, .bind_device = "vpn0"};
  f->transport = listen_on(f->reactor, any(family), &silent, &options);
  OK(udpr_transport_connect(f->transport, &f->first));
}

static void set_device(const fixture *f) {
  OK(udpr_transport_set_option(f->transport, SOL_SOCKET, SO_BINDTODEVICE, "vpn0", 5));
}

static void by_setting(fixture *f, int family) {
  f->transport = listen_on(f->reactor, any(family), &silent, NULL);
  set_device(f);
  OK(udpr_transport_connect(f->transport, &f->first));
}

static void by_setting_while_connected(fixture *f, int family) {
  f->transport = listen_on(f->reactor, any(family), &silent, NULL);
  OK(udpr_transport_connect(f->transport, &f->first));
  set_device(f);
}

static void by_index_while_connected(fixture *f, int family) {
  int index = (int)if_nametoindex("vpn0");
  f->transport = listen_on(f->reactor, any(family), &silent, NULL);
  OK(udpr_transport_connect(f->transport, &f->first));
  OK(udpr_transport_set_option(f->transport, SOL_SOCKET, SO_BINDTOIFINDEX, &index, sizeof index));
}

static int bound_socket(int family) {
  int fd = socket(family, SOCK_DGRAM, 0);
  CHECK(fd >= 0);
  CHECK_EQ(0, setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "vpn0", 5));
  return fd;
}

static void connect_socket(int fd, const udpr_addr *to) {
  struct sockaddr_storage name;
  size_t                  len;
  OK(udpr_addr_to_sockaddr(to, &name, sizeof name, &len));
  CHECK_EQ(0, connect(fd, (struct sockaddr *)&name, (socklen_t)len));
}

static void adopt(fixture *f) {
  OK(udpr_reactor_adopt_datagram_port(f->reactor, f->host, 0, &silent, NULL, &f->transport));
}

static void before_adoption(fixture *f, int family) {
  f->host = bound_socket(family);
  adopt(f);
  OK(udpr_transport_connect(f->transport, &f->first));
}

static void before_adoption_connected(fixture *f, int family) {
  f->host = bound_socket(family);
  connect_socket(f->host, &f->first);
  adopt(f);
}

static void (*const ways[])(fixture *, int) = {
    by_option,
    by_setting,
    before_adoption,
    by_setting_while_connected,
    before_adoption_connected,
    by_index_while_connected,
};
enum { WAYS = sizeof ways / sizeof *ways };

/* ---- what becomes of the device ----------------------------------------------------------------------------- */

static int device_of(int fd) {
  int       index;
  socklen_t len = sizeof index;
  CHECK_EQ(0, getsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &index, &len));
  return index;
}

/* Whatever the calls return, everything that the port sends leaves by the device. `lives`: and so it does. */
static void writes(fixture *f, bool lives, const udpr_addr *to) {
  udpr_status status = udpr_transport_write(f->transport, "secret", 6, to);
  turns(f->reactor, 2);
  CHECK_EQ(0, count(&f->out));
  if (lives) OK(status);
  else CHECK(status != UDPR_OK);
  if (lives) CHECK_EQ(1, count(&f->dev));
}

static void changes(bool lives, udpr_status status) {
  if (lives) OK(status);
  else
    CHECK(status == UDPR_OK || status == UDPR_E_NO_INTERFACE || status == UDPR_E_NETWORK_UNREACHABLE ||
          status == UDPR_E_NOT_CONNECTED);
}

static void other_holder_writes(const fixture *f, bool lives) {
  struct sockaddr_storage name;
  size_t                  len;
  OK(udpr_addr_to_sockaddr(&f->second, &name, sizeof name, &len));
  ssize_t sent = sendto(f->host, "secret", 6, 0, (struct sockaddr *)&name, (socklen_t)len);
  CHECK_EQ(0, count(&f->out));
  if (lives) CHECK(sent == 6 && count(&f->dev) == 1);
  else CHECK(sent < 0);
}

static void goes_through(int family, void (*event)(void), bool lives, int way) {
  fixture   f;
  udpr_addr peer;
  set_up(&f, family);
  ways[way](&f, family);
  int device = device_of(udpr_transport_fileno(f.transport)), number = host_of(f.transport).port;
  CHECK_EQ(if_nametoindex("vpn0"), device);
  writes(&f, true, NULL);
  event();
  writes(&f, lives, NULL);
  changes(lives, udpr_transport_connect(f.transport, &f.second));
  CHECK_EQ(device, device_of(udpr_transport_fileno(f.transport)));
  writes(&f, lives, udpr_transport_get_peer(f.transport, &peer) == UDPR_OK ? NULL : &f.second);
  changes(lives, udpr_transport_disconnect(f.transport));
  CHECK_EQ(device, device_of(udpr_transport_fileno(f.transport)));
  CHECK_EQ(number, host_of(f.transport).port);
  writes(&f, lives, &f.second);
  OK(udpr_transport_close(f.transport));
  if (f.host >= 0) {
    CHECK_EQ(device, device_of(f.host));
    other_holder_writes(&f, lives);
  }
  udpr_transport_release(f.transport);
  f.transport = NULL;
  tear_down(&f);
}

static void every_way(int family, void (*event)(void), bool lives) {
  for (int way = 0; way < WAYS; way++) goes_through(family, event, lives, way);
}

TEST(nothing_happens) { every_way(AF_INET, leave_device, true); }
TEST(nothing_happens_ipv6) { every_way(AF_INET6, leave_device, true); }
TEST(the_device_is_renamed) { every_way(AF_INET, rename_device, true); }
TEST(the_device_is_renamed_ipv6) { every_way(AF_INET6, rename_device, true); }
TEST(the_device_is_removed) { every_way(AF_INET, remove_device, false); }
TEST(the_device_is_removed_ipv6) { every_way(AF_INET6, remove_device, false); }
TEST(another_device_has_its_name) { every_way(AF_INET, replace_device, false); }
TEST(another_device_has_its_name_ipv6) { every_way(AF_INET6, replace_device, false); }

CHECK_MAIN()
