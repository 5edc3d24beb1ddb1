/* A port that is bound to a device sends by that device or not at all: however it was bound, whatever becomes of the
 * device, and whoever it talks to. The device is vpn0, the default route leads through out0; what leaves by either is
 * read at the other end of the wire.
 */
#include "tapped_device.h"

typedef struct fixture {
  udpr_reactor   *reactor;
  udpr_transport *transport;
  int             host; /* the socket of another holder, or -1 */
  tapped_device   dev, out;
  udpr_addr       first, second; /* behind the default route */
} fixture;

/* ---- the network -------------------------------------------------------------------------------------------- */

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

static void set_up(fixture *f, int family) {
  static const struct {
    const char *first, *second;
  } peers[] = {{"192.0.2.1", "192.0.2.2"}, {"2001:db8::1", "2001:db8::2"}};
  enter_network_namespace();
  pin_to_current_core();
  add_device("vpn0", 1);
  add_device("out0", 2);
  *f = (fixture){.reactor = new_reactor(0), .host = -1};
  f->first = addr(peers[family == AF_INET6].first, 9), f->second = addr(peers[family == AF_INET6].second, 9);
  open_tap(&f->dev, "vpn0", 1);
  open_tap(&f->out, "out0", 2);
}

static void tear_down(fixture *f) {
  if (f->transport) OK(udpr_transport_close(f->transport));
  udpr_transport_release(f->transport);
  OK(udpr_reactor_free(f->reactor));
  close(f->dev.fd), close(f->dev.marker), close(f->out.fd), close(f->out.marker);
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

/* Whatever the calls return, everything that the port sends leaves by the device. `lives`: and so it does. */
static void writes(fixture *f, bool lives, const udpr_addr *to) {
  udpr_status status = udpr_transport_write(f->transport, "secret", 6, to);
  run_turns(f->reactor, 2);
  CHECK_EQ(0, count_leaving(&f->out));
  if (lives) OK(status);
  else CHECK(status != UDPR_OK);
  if (lives) CHECK_EQ(1, count_leaving(&f->dev));
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
  CHECK_EQ(0, count_leaving(&f->out));
  if (lives) CHECK(sent == 6 && count_leaving(&f->dev) == 1);
  else CHECK(sent < 0);
}

static void goes_through(int family, void (*event)(void), bool lives, int way) {
  fixture   f;
  udpr_addr peer;
  set_up(&f, family);
  ways[way](&f, family);
  int device = bound_device_of(udpr_transport_fileno(f.transport)), number = host_of(f.transport).port;
  CHECK_EQ(if_nametoindex("vpn0"), device);
  writes(&f, true, NULL);
  event();
  writes(&f, lives, NULL);
  changes(lives, udpr_transport_connect(f.transport, &f.second));
  CHECK_EQ(device, bound_device_of(udpr_transport_fileno(f.transport)));
  writes(&f, lives, udpr_transport_get_peer(f.transport, &peer) == UDPR_OK ? NULL : &f.second);
  changes(lives, udpr_transport_disconnect(f.transport));
  CHECK_EQ(device, bound_device_of(udpr_transport_fileno(f.transport)));
  CHECK_EQ(number, host_of(f.transport).port);
  writes(&f, lives, &f.second);
  OK(udpr_transport_close(f.transport));
  if (f.host >= 0) {
    CHECK_EQ(device, bound_device_of(f.host));
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
