/* A port that is bound to a device sends only by that device, however it was bound, whatever happens to the
 * device, and whichever peer it has. The device is vpn0; the default route uses out0. The test captures what
 * leaves by either.
 */
#include "tapped_device.h"

typedef struct fixture {
  udpr_reactor   *reactor;
  udpr_transport *transport;
  int             shared_fd; /* the adopted socket, which the test also owns, or -1 */
  tapped_device   dev, out;
  udpr_addr       first, second; /* reached by the default route */
} fixture;

/* ---- the network -------------------------------------------------------------------------------------------- */

static void rename_device(void) {
  run_ip("link set vpn0 down");
  run_ip("link set vpn0 name vpn1");
  set_up_device("vpn1", 1);
}

static void remove_device(void) { run_ip("link del vpn0"); }

static void replace_device(void) {
  run_ip("link del vpn0");
  add_device("vpn0", 1);
}

static void keep_device(void) {}

static void set_up(fixture *f, int family) {
  static const struct {
    const char *first, *second;
  } peers[] = {{"192.0.2.1", "192.0.2.2"}, {"2001:db8::1", "2001:db8::2"}};
  enter_network_namespace();
  pin_to_current_core();
  add_device("vpn0", 1);
  add_device("out0", 2);
  *f = (fixture){.reactor = new_reactor(0), .shared_fd = -1};
  f->first = addr(peers[family == AF_INET6].first, 9), f->second = addr(peers[family == AF_INET6].second, 9);
  open_tap(&f->dev, "vpn0", 1);
  open_tap(&f->out, "out0", 2);
}

static void tear_down(fixture *f) {
  if (f->transport) OK(udpr_transport_close(f->transport));
  udpr_transport_release(f->transport);
  OK(udpr_reactor_free(f->reactor));
  close(f->dev.fd), close(f->dev.marker), close(f->out.fd), close(f->out.marker);
  if (f->shared_fd >= 0) close(f->shared_fd);
}

/* ---- ways to bind a port ------------------------------------------------------------------------------- */

static const udpr_protocol no_callbacks = {.size = sizeof no_callbacks};

static const char *any(int family) { return family == AF_INET ? "0.0.0.0" : "::"; }

static void bind_by_listen_option(fixture *f, int family) {
  udpr_udp_options options = {.size = sizeof options, .bind_device = "vpn0"};
  f->transport = listen_on(f->reactor, any(family), &no_callbacks, &options);
  OK(udpr_transport_connect(f->transport, &f->first));
}

static void set_device(const fixture *f) {
  OK(udpr_transport_set_option(f->transport, SOL_SOCKET, SO_BINDTODEVICE, "vpn0", 5));
}

static void bind_by_set_option(fixture *f, int family) {
  f->transport = listen_on(f->reactor, any(family), &no_callbacks, NULL);
  set_device(f);
  OK(udpr_transport_connect(f->transport, &f->first));
}

static void bind_by_set_option_while_connected(fixture *f, int family) {
  f->transport = listen_on(f->reactor, any(family), &no_callbacks, NULL);
  OK(udpr_transport_connect(f->transport, &f->first));
  set_device(f);
}

static void bind_by_index_while_connected(fixture *f, int family) {
  int index = (int)if_nametoindex("vpn0");
  f->transport = listen_on(f->reactor, any(family), &no_callbacks, NULL);
  OK(udpr_transport_connect(f->transport, &f->first));
  OK(udpr_transport_set_option(f->transport, SOL_SOCKET, SO_BINDTOIFINDEX, &index, sizeof index));
}

static int open_bound_socket(int family) {
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
  OK(udpr_reactor_adopt_datagram_port(f->reactor, f->shared_fd, 0, &no_callbacks, NULL, &f->transport));
}

static void adopt_bound_socket(fixture *f, int family) {
  f->shared_fd = open_bound_socket(family);
  adopt(f);
  OK(udpr_transport_connect(f->transport, &f->first));
}

static void adopt_bound_connected_socket(fixture *f, int family) {
  f->shared_fd = open_bound_socket(family);
  connect_socket(f->shared_fd, &f->first);
  adopt(f);
}

static void (*const binders[])(fixture *, int) = {
    bind_by_listen_option,        bind_by_set_option,
    adopt_bound_socket,           bind_by_set_option_while_connected,
    adopt_bound_connected_socket, bind_by_index_while_connected,
};
enum { BINDERS = sizeof binders / sizeof *binders };

/* ---- changes of the device ----------------------------------------------------------------------------- */

/* Whatever the calls return, nothing leaves by out0. If the device `works`, the write succeeds and leaves by
 * it.
 */
static void check_write(fixture *f, bool works, const udpr_addr *to) {
  udpr_status status = udpr_transport_write(f->transport, "secret", 6, to);
  run_turns(f->reactor, 2);
  CHECK_EQ(0, count_leaving(&f->out));
  if (works) OK(status);
  else CHECK(status != UDPR_OK);
  if (works) CHECK_EQ(1, count_leaving(&f->dev));
}

static void check_change(bool works, udpr_status status) {
  if (works) OK(status);
  else
    CHECK(status == UDPR_OK || status == UDPR_E_NO_INTERFACE || status == UDPR_E_NETWORK_UNREACHABLE ||
          status == UDPR_E_NOT_CONNECTED);
}

static void check_write_of_other_owner(const fixture *f, bool works) {
  struct sockaddr_storage name;
  size_t                  len;
  OK(udpr_addr_to_sockaddr(&f->second, &name, sizeof name, &len));
  ssize_t sent = sendto(f->shared_fd, "secret", 6, 0, (struct sockaddr *)&name, (socklen_t)len);
  CHECK_EQ(0, count_leaving(&f->out));
  if (works) CHECK(sent == 6 && count_leaving(&f->dev) == 1);
  else CHECK(sent < 0);
}

static void check_device_event(int family, void (*event)(void), bool works, int binder) {
  fixture   f;
  udpr_addr peer;
  set_up(&f, family);
  binders[binder](&f, family);
  int device = bound_device_of(udpr_transport_fileno(f.transport)), number = host_of(f.transport).port;
  CHECK_EQ(if_nametoindex("vpn0"), device);
  check_write(&f, true, NULL);
  event();
  check_write(&f, works, NULL);
  check_change(works, udpr_transport_connect(f.transport, &f.second));
  CHECK_EQ(device, bound_device_of(udpr_transport_fileno(f.transport)));
  check_write(&f, works, udpr_transport_get_peer(f.transport, &peer) == UDPR_OK ? NULL : &f.second);
  check_change(works, udpr_transport_disconnect(f.transport));
  CHECK_EQ(device, bound_device_of(udpr_transport_fileno(f.transport)));
  CHECK_EQ(number, host_of(f.transport).port);
  check_write(&f, works, &f.second);
  OK(udpr_transport_close(f.transport));
  if (f.shared_fd >= 0) {
    CHECK_EQ(device, bound_device_of(f.shared_fd));
    check_write_of_other_owner(&f, works);
  }
  udpr_transport_release(f.transport);
  f.transport = NULL;
  tear_down(&f);
}

static void check_all_binders(int family, void (*event)(void), bool works) {
  for (int binder = 0; binder < BINDERS; binder++) check_device_event(family, event, works, binder);
}

TEST(the_device_stays) { check_all_binders(AF_INET, keep_device, true); }
TEST(the_device_stays_ipv6) { check_all_binders(AF_INET6, keep_device, true); }
TEST(the_device_is_renamed) { check_all_binders(AF_INET, rename_device, true); }
TEST(the_device_is_renamed_ipv6) { check_all_binders(AF_INET6, rename_device, true); }
TEST(the_device_is_removed) { check_all_binders(AF_INET, remove_device, false); }
TEST(the_device_is_removed_ipv6) { check_all_binders(AF_INET6, remove_device, false); }
TEST(the_device_is_replaced_by_one_of_the_same_name) { check_all_binders(AF_INET, replace_device, false); }
TEST(the_device_is_replaced_by_one_of_the_same_name_ipv6) {
  check_all_binders(AF_INET6, replace_device, false);
}

CHECK_MAIN()
