/* IPv6: link-local addresses with a zone, dual-stack ports, V6_ONLY, and addresses of the wrong family. */
#include "recorder.h"
#include "two_hosts.h"

static void reply(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  (void)user;
  OK(udpr_transport_write(transport, datagram->data, datagram->len, &datagram->sender));
}

static udpr_transport *echo_on(udpr_reactor *reactor, const char *local_address) {
  udpr_protocol   protocol = {.size = sizeof protocol, .datagram_received = reply};
  udpr_transport *out = NULL;
  OK(udpr_reactor_listen_udp(reactor, 9999, local_address, &protocol, NULL, &out));
  return out;
}

static void tear_down(udpr_transport *transport) {
  OK(udpr_transport_close(transport));
  udpr_transport_release(transport);
}

TEST(a_reply_to_a_link_local_sender_arrives) {
  two_hosts hosts;
  recorder  near;
  two_hosts_create(&hosts);
  udpr_reactor *reactor = new_reactor(0);
  recorder_listen(&near, reactor, "fe80::1%near", 0, 0);
  CHECK_EQ(interface_index("near"), near.host.scope_id);
  enter_far_host(&hosts);
  const char *addresses[] = {"::", "fe80::2%far"};
  for (int i = 0; i < 2; i++) {
    enter_far_host(&hosts);
    udpr_transport *echo = echo_on(reactor, addresses[i]);
    enter_near_host(&hosts);
    udpr_addr to = addr("fe80::2%near", 9999);
    write_text(near.transport, "hello", &to);
    CHECK_ADDR(&to, &recorder_expect(reactor, &near, "hello")->datagram.sender);
    tear_down(echo);
  }
  recorder_close(&near);
  OK(udpr_reactor_free(reactor));
  two_hosts_close(&hosts);
}

TEST(a_link_local_address_needs_its_zone) {
  two_hosts hosts;
  two_hosts_create(&hosts);
  udpr_reactor *reactor = new_reactor(0);
  udpr_protocol protocol = {.size = sizeof protocol};
  udpr_status   status = udpr_reactor_listen_udp(reactor, 0, "fe80::1", &protocol, NULL, NULL);
  CHECK_STATUS(UDPR_E_SYSTEM - EINVAL, status);
  status = udpr_reactor_listen_udp(reactor, 0, "fe80::1%nosuch", &protocol, NULL, NULL);
  CHECK_STATUS(UDPR_E_INVALID_ADDRESS, status);
  status = udpr_reactor_listen_udp(reactor, 0, "fe80::99%near", &protocol, NULL, NULL);
  CHECK_STATUS(UDPR_E_ADDRESS_NOT_AVAILABLE, status);
  OK(udpr_reactor_free(reactor));
  two_hosts_close(&hosts);
}

TEST(listen_addr_uses_the_scope) {
  two_hosts hosts;
  two_hosts_create(&hosts);
  udpr_reactor   *reactor = new_reactor(0);
  udpr_protocol   protocol = {.size = sizeof protocol};
  udpr_transport *transport = NULL;
  udpr_addr       local = addr("fe80::1%near", 0);
  OK(udpr_reactor_listen_addr(reactor, &local, &protocol, NULL, &transport));
  local.port = host_of(transport).port;
  udpr_addr host = host_of(transport);
  CHECK_ADDR(&local, &host);
  tear_down(transport);
  local.scope_id = 0;
  udpr_status status = udpr_reactor_listen_addr(reactor, &local, &protocol, NULL, NULL);
  CHECK_STATUS(UDPR_E_SYSTEM - EINVAL, status);
  local.scope_id = 9999; /* no interface */
  CHECK_STATUS(UDPR_E_NO_INTERFACE, udpr_reactor_listen_addr(reactor, &local, &protocol, NULL, NULL));
  OK(udpr_reactor_free(reactor));
  two_hosts_close(&hosts);
}

TEST(a_mapped_address_binds_an_ipv6_socket) {
  udpr_reactor   *reactor = new_reactor(0);
  udpr_protocol   protocol = {.size = sizeof protocol};
  udpr_transport *transport = NULL;
  udpr_addr       local = addr("::ffff:127.0.0.1", 0), v4;
  OK(udpr_reactor_listen_addr(reactor, &local, &protocol, NULL, &transport));
  int       domain, peer = peer_open(AF_INET);
  socklen_t len = sizeof domain;
  CHECK_EQ(0, getsockopt(udpr_transport_fileno(transport), SOL_SOCKET, SO_DOMAIN, &domain, &len));
  CHECK_EQ(AF_INET6, domain);
  local = host_of(transport);
  OK(udpr_addr_unmap_v4(&local, &v4));
  tear_down(transport);
  protocol.datagram_received = reply;
  OK(udpr_reactor_listen_addr(reactor, &local, &protocol, NULL, &transport));
  peer_send(peer, &v4, "hello", 5);
  RUN_UNTIL(reactor, !peer_has_no_datagram(peer));
  PEER_RECEIVES(peer, "hello");
  close(peer);
  tear_down(transport);
  OK(udpr_reactor_free(reactor));
}

/* The port receives from ::1, and from IPv4 if it is dual-stack. */
static void check_echoes(int family, const udpr_transport *port) {
  int       peer = peer_open(family);
  udpr_addr to = addr(family == AF_INET ? "127.0.0.1" : "::1", host_of(port).port);
  peer_send(peer, &to, "hello", 5);
  RUN_UNTIL(udpr_transport_reactor(port), !peer_has_no_datagram(peer));
  PEER_RECEIVES(peer, "hello");
  close(peer);
}

/* Whatever net.ipv6.bindv6only is, in a network namespace of its own. */
TEST(the_any_address_is_dual_stack_despite_bindv6only) {
  two_hosts hosts;
  two_hosts_create(&hosts);
  for (int only = 0; only < 2; only++) {
    run_command("echo %d > /proc/sys/net/ipv6/bindv6only", only);
    udpr_reactor   *reactor = new_reactor(0);
    udpr_transport *port = echo_on(reactor, "::");
    check_echoes(AF_INET6, port);
    check_echoes(AF_INET, port);
    tear_down(port);
    OK(udpr_reactor_free(reactor));
  }
  two_hosts_close(&hosts);
}

TEST(v6_only_ports_do_not_bind_ipv4) {
  udpr_reactor *reactor = new_reactor(0);
  recorder      six, four;
  udpr_protocol protocol = {.size = sizeof protocol};
  udpr_addr     v4 = addr("127.0.0.1", 9), mapped = addr("::ffff:127.0.0.1", 9);
  recorder_listen(&six, reactor, "::", 0, UDPR_UDP_V6_ONLY);
  recorder_listen(&four, reactor, "0.0.0.0", six.host.port, 0); /* the number can still be bound over IPv4 */
  CHECK_STATUS(UDPR_E_ADDRESS_FAMILY, udpr_transport_write(six.transport, "x", 1, &v4));
  CHECK_STATUS(UDPR_E_ADDRESS_FAMILY, udpr_transport_write(six.transport, "x", 1, &mapped));
  recorder_close(&four);
  recorder_close(&six);
  recorder_listen(&six, reactor, "::", 0, 0);
  CHECK_STATUS(UDPR_E_ADDRESS_IN_USE,
               udpr_reactor_listen_udp(reactor, six.host.port, "0.0.0.0", &protocol, NULL, NULL));
  recorder_close(&six);
  OK(udpr_reactor_free(reactor));
}

TEST(ipv4_on_a_dual_stack_port_is_mapped) {
  udpr_reactor *reactor = new_reactor(0);
  recorder      six, four;
  udpr_addr     mapped, plain;
  recorder_listen(&six, reactor, "::", 0, 0);
  recorder_listen(&four, reactor, "127.0.0.1", 0, 0);
  udpr_addr to = addr("127.0.0.1", six.host.port);
  write_text(four.transport, "four", &to);
  const recorded_datagram *one = recorder_expect(reactor, &six, "four");
  OK(udpr_addr_map_v4(&four.host, &mapped));
  CHECK_ADDR(&mapped, &one->datagram.sender);
  OK(udpr_addr_unmap_v4(&one->datagram.sender, &plain));
  CHECK_ADDR(&four.host, &plain);
  CHECK_STATUS(UDPR_E_ADDRESS_FAMILY, udpr_transport_write(six.transport, "x", 1, &four.host));
  write_text(six.transport, "back", &mapped);
  recorder_expect(reactor, &four, "back");
  CHECK_STATUS(UDPR_E_ADDRESS_FAMILY, udpr_transport_write(four.transport, "x", 1, &mapped));
  recorder_close(&six);
  recorder_close(&four);
  OK(udpr_reactor_free(reactor));
}

CHECK_MAIN()
