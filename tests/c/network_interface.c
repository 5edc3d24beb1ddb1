/* Datagrams and peers with an interface, given in a message or as a zone. If the port is bound to a device,
 * only that device is valid. A link-local peer binds the port to its interface while it is connected.
 */
#include "tapped_device.h"

typedef struct fixture {
  udpr_reactor   *reactor;
  udpr_transport *transport;
  tapped_device   dev, out;
  uint32_t        dev_index, out_index;
  int             reports;
  udpr_status     status; /* of the last report */
} fixture;

static void reported(udpr_transport *transport, const udpr_error_report *report, void *user) {
  fixture *f = user;
  (void)transport;
  f->status = report->status;
  f->reports++;
}

static void listen_bound(fixture *f, const char *local, const char *device) {
  udpr_protocol    protocol = {.size = sizeof protocol, .user = f, .error_received = reported};
  udpr_udp_options options = {.size = sizeof options, .bind_device = device};
  f->transport = listen_on(f->reactor, local, &protocol, &options);
}

static void set_up(fixture *f) {
  enter_network_namespace();
  pin_to_current_core();
  add_device("vpn0", 1);
  add_device("out0", 2);
  *f = (fixture){.reactor = new_reactor(0)};
  open_tap(&f->dev, "vpn0", 1);
  open_tap(&f->out, "out0", 2);
  f->dev_index = if_nametoindex("vpn0"), f->out_index = if_nametoindex("out0");
}

static void close_port(fixture *f) {
  OK(udpr_transport_close(f->transport));
  udpr_transport_release(f->transport);
}

static void tear_down(fixture *f) {
  OK(udpr_reactor_free(f->reactor));
  close(f->dev.fd), close(f->dev.marker), close(f->out.fd), close(f->out.marker);
}

static udpr_status write_by_interface(const fixture *f, const udpr_addr *to, uint32_t index) {
  udpr_message message = {
      .size = sizeof message, .data = "secret", .len = 6, .to = to, .interface_index = index};
  size_t taken;
  return udpr_transport_write_messages(f->transport, &message, 1, &taken);
}

/* Checks how many datagrams have left by either interface since the last call. */
static void check_left(const fixture *f, int by_device, int by_other) {
  CHECK_EQ(by_device, count_leaving(&f->dev));
  CHECK_EQ(by_other, count_leaving(&f->out));
}

/* ---- packet info ---------------------------------------------------------------------------------------------- */

static void check_message_interface(const char *local, const char *to_text) {
  fixture   f;
  udpr_addr to = addr(to_text, 9);
  set_up(&f);
  listen_bound(&f, local, "vpn0");
  CHECK_STATUS(UDPR_E_NETWORK_UNREACHABLE, write_by_interface(&f, &to, f.out_index));
  CHECK_STATUS(UDPR_E_NO_INTERFACE, write_by_interface(&f, &to, 4711));
  check_left(&f, 0, 0);
  OK(write_by_interface(&f, &to, f.dev_index));
  OK(write_by_interface(&f, &to, 0));
  check_left(&f, 2, 0);
  OK(udpr_transport_connect(f.transport, &to));
  CHECK_STATUS(UDPR_E_NETWORK_UNREACHABLE, write_by_interface(&f, NULL, f.out_index));
  check_left(&f, 0, 0);
  OK(udpr_transport_disconnect(f.transport));
  OK(udpr_transport_set_option(f.transport, SOL_SOCKET, SO_BINDTODEVICE, "", 0));
  OK(write_by_interface(&f, &to, f.out_index));
  OK(write_by_interface(&f, &to, f.dev_index));
  check_left(&f, 1, 1);
  OK(udpr_transport_set_option(f.transport, SOL_SOCKET, SO_BINDTODEVICE, "out0", 5));
  CHECK_STATUS(UDPR_E_NETWORK_UNREACHABLE, write_by_interface(&f, &to, f.dev_index));
  OK(write_by_interface(&f, &to, f.out_index));
  check_left(&f, 0, 1);
  close_port(&f);
  tear_down(&f);
}

TEST(messages_with_an_interface) { check_message_interface("0.0.0.0", "192.0.2.1"); }
TEST(messages_with_an_interface_ipv6) { check_message_interface("::", "2001:db8::1"); }
TEST(messages_with_an_interface_dual_stack) { check_message_interface("::", "::ffff:192.0.2.1"); }

/* ---- zones ---------------------------------------------------------------------------------------------------- */

static void check_zone(const char *to_text) {
  fixture   f;
  udpr_addr to = addr(to_text, 9);
  set_up(&f);
  listen_bound(&f, "::", "vpn0");
  udpr_addr by_device = to, by_other = to;
  by_device.scope_id = f.dev_index, by_other.scope_id = f.out_index;
  CHECK_STATUS(UDPR_E_NETWORK_UNREACHABLE, udpr_transport_write(f.transport, "secret", 6, &by_other));
  CHECK_STATUS(UDPR_E_NETWORK_UNREACHABLE, write_by_interface(&f, &by_other, 0));
  OK(udpr_transport_post(f.transport, "secret", 6, &by_other)); /* post cannot check it on another thread */
  RUN_UNTIL(f.reactor, f.reports == 1);
  CHECK_STATUS(UDPR_E_NETWORK_UNREACHABLE, f.status);
  check_left(&f, 0, 0);
  OK(udpr_transport_write(f.transport, "secret", 6, &by_device));
  OK(udpr_transport_write(f.transport, "secret", 6, &to)); /* the bound device is used as the zone */
  OK(udpr_transport_post(f.transport, "secret", 6, &by_device));
  run_turns(f.reactor, 2);
  check_left(&f, 3, 0);
  close_port(&f);
  listen_bound(&f, "::", NULL);
  OK(udpr_transport_write(f.transport, "secret", 6, &by_device));
  OK(udpr_transport_write(f.transport, "secret", 6, &by_other));
  check_left(&f, 1, 1);
  close_port(&f);
  tear_down(&f);
}

TEST(writes_to_a_link_local_address) { check_zone("fe80::9"); }
TEST(writes_to_a_link_local_group) { check_zone("ff02::9"); }

/* ---- link-local peers ------------------------------------------------------------------------------------------- */

static int device_of_port(const fixture *f) { return bound_device_of(udpr_transport_fileno(f->transport)); }

static udpr_addr link_local(uint32_t zone) {
  udpr_addr peer = addr("fe80::9", 9);
  peer.scope_id = zone;
  return peer;
}

TEST(a_link_local_peer_binds_the_port_only_while_connected) {
  fixture f;
  set_up(&f);
  listen_bound(&f, "::", NULL);
  uint32_t zones[] = {f.dev_index, f.out_index, f.dev_index};
  for (int i = 0; i < 3; i++) {
    udpr_addr peer = link_local(zones[i]), global = addr("2001:db8::1", 9);
    OK(udpr_transport_connect(f.transport, &peer));
    CHECK_EQ(zones[i], device_of_port(&f));
    OK(udpr_transport_write(f.transport, "secret", 6, NULL));
    check_left(&f, zones[i] == f.dev_index, zones[i] == f.out_index);
    if (i == 0) continue;
    OK(udpr_transport_connect(f.transport, &global));
    CHECK_EQ(0, device_of_port(&f));
  }
  OK(udpr_transport_disconnect(f.transport));
  CHECK_EQ(0, device_of_port(&f));
  close_port(&f);
  tear_down(&f);
}

/* The kernel binds the socket before it looks up the route. */
TEST(a_failed_connect_to_a_link_local_peer_does_not_bind_the_port) {
  fixture f;
  set_up(&f);
  listen_bound(&f, "::", NULL);
  udpr_addr unreachable = link_local(4711), peer = link_local(f.out_index), now;
  CHECK(udpr_transport_connect(f.transport, &unreachable) < 0);
  CHECK_EQ(0, device_of_port(&f));
  OK(udpr_transport_connect(f.transport, &peer));
  CHECK(udpr_transport_connect(f.transport, &unreachable) < 0);
  OK(udpr_transport_get_peer(f.transport, &now));
  CHECK_ADDR(&peer, &now);
  CHECK_EQ(f.out_index, device_of_port(&f));
  OK(udpr_transport_disconnect(f.transport));
  CHECK_EQ(0, device_of_port(&f));
  close_port(&f);
  tear_down(&f);
}

TEST(a_device_set_while_connected_to_a_link_local_peer_stays) {
  fixture f;
  set_up(&f);
  listen_bound(&f, "::", NULL);
  udpr_addr peer = link_local(f.dev_index), other = link_local(f.out_index);
  OK(udpr_transport_connect(f.transport, &peer));
  OK(udpr_transport_set_option(f.transport, SOL_SOCKET, SO_BINDTODEVICE, "vpn0", 5));
  CHECK(udpr_transport_connect(f.transport, &other) < 0);
  OK(udpr_transport_disconnect(f.transport));
  CHECK_EQ(f.dev_index, device_of_port(&f));
  CHECK(udpr_transport_write(f.transport, "secret", 6, &other) < 0);
  check_left(&f, 0, 0);
  close_port(&f);
  tear_down(&f);
}

TEST(a_link_local_host_stays_on_its_interface) {
  fixture f;
  set_up(&f);
  listen_bound(&f, "fe80::1%vpn0", NULL);
  udpr_addr host = host_of(f.transport), global = addr("2001:db8::1", 9), after,
            other = link_local(f.out_index);
  CHECK_EQ(f.dev_index, device_of_port(&f));
  for (int i = 0; i < 2; i++) {
    OK(udpr_transport_connect(f.transport, &global));
    CHECK(udpr_transport_connect(f.transport, &other) < 0);
    OK(udpr_transport_disconnect(f.transport));
    CHECK_EQ(f.dev_index, device_of_port(&f));
    after = host_of(f.transport);
    CHECK_ADDR(&host, &after);
  }
  OK(udpr_transport_write(f.transport, "secret", 6, &global));
  check_left(&f, 1, 0);
  close_port(&f);
  tear_down(&f);
}

CHECK_MAIN()
