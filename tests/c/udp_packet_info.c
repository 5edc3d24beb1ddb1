/* The destination and interface of received datagrams, and the source address and interface of sent ones. */
#include "recorder.h"
#include "two_hosts.h"

/* Sends one message with a source or an interface at once, and returns the kernel's status. */
static udpr_status write_message(udpr_transport *from, const char *text, const udpr_addr *to,
                                 const udpr_addr *source, uint32_t interface) {
  udpr_message message = {.size = sizeof message,
                          .data = text,
                          .len = strlen(text),
                          .to = to,
                          .source = source,
                          .interface_index = interface};
  size_t       taken = 99;
  udpr_status  status = udpr_transport_write_messages(from, &message, 1, &taken);
  CHECK_EQ(status == UDPR_OK, taken);
  return status;
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

/* A datagram to `text`, an address of the loopback, has it as its destination, and the reply has it as its
 * source.
 */
static void check_reply(fixture *f, const char *text) {
  udpr_addr request_addr = addr(text, f->port.host.port);
  write_text(f->peer.transport, "ask", &request_addr);
  const udpr_datagram *datagram = &recorder_expect(f->reactor, &f->port, "ask")->datagram;
  CHECK_ADDR(&request_addr, &datagram->destination);
  CHECK_EQ(interface_index(LOOPBACK), datagram->interface_index);
  OK(write_message(f->port.transport, "answer", &datagram->sender, &datagram->destination, 0));
  CHECK_ADDR(&request_addr, &recorder_expect(f->reactor, &f->peer, "answer")->datagram.sender);
  OK(write_message(f->port.transport, "and by lo", &datagram->sender, &datagram->destination,
                   datagram->interface_index));
  CHECK_ADDR(&request_addr, &recorder_expect(f->reactor, &f->peer, "and by lo")->datagram.sender);
}

TEST(ipv4) {
  fixture f;
  set_up(&f, "0.0.0.0", UDPR_UDP_PACKET_INFO);
  check_reply(&f, "127.0.0.1");
  check_reply(&f, "127.0.0.7");
  tear_down(&f);
}

TEST(ipv4_on_a_dual_stack_port) {
  fixture f;
  set_up(&f, "::", UDPR_UDP_PACKET_INFO);
  check_reply(&f, "::ffff:127.0.0.7");
  check_reply(&f, "::ffff:127.0.0.1");
  check_reply(&f, "::1");
  tear_down(&f);
}

TEST(ipv6_between_two_hosts) {
  two_hosts hosts;
  recorder  near, far;
  two_hosts_create(&hosts);
  add_ipv6_address("near", "fd77::11", 64);
  udpr_reactor *reactor = new_reactor(0);
  recorder_listen(&near, reactor, "::", 9999, UDPR_UDP_PACKET_INFO);
  enter_far_host(&hosts);
  recorder_listen(&far, reactor, "::", 9999, 0);
  enter_near_host(&hosts);
  const char *near_addresses[] = {"fd77::1", "fd77::11", "fe80::1%near", "::ffff:10.77.0.1"};
  const char *far_views[] = {"fd77::1", "fd77::11", "fe80::1", "::ffff:10.77.0.1"};
  for (int i = 0; i < 4; i++) {
    udpr_addr request_addr = addr(near_addresses[i], 9999), expected = addr(far_views[i], 9999);
    enter_far_host(&hosts);
    if (i == 2) expected.scope_id = interface_index("far");
    enter_near_host(&hosts);
    write_text(far.transport, "ask", &expected);
    const udpr_datagram *datagram = &recorder_expect(reactor, &near, "ask")->datagram;
    CHECK_ADDR(&request_addr, &datagram->destination);
    CHECK_EQ(interface_index("near"), datagram->interface_index);
    OK(write_message(near.transport, "answer", &datagram->sender, &datagram->destination, 0));
    CHECK_ADDR(&expected, &recorder_expect(reactor, &far, "answer")->datagram.sender);
  }
  recorder_close(&near);
  recorder_close(&far);
  OK(udpr_reactor_free(reactor));
  two_hosts_close(&hosts);
}

/* An interface alone selects the route. A link-local group has no route of its own. */
TEST(an_outgoing_interface) {
  two_hosts hosts;
  recorder  near, far;
  two_hosts_create(&hosts);
  udpr_reactor *reactor = new_reactor(0);
  udpr_addr     group = addr("ff02::9", 9999), v4_group = addr("::ffff:228.0.0.5", 9999);
  recorder_listen(&near, reactor, "::", 9999, 0);
  enter_far_host(&hosts);
  recorder_listen(&far, reactor, "::", 9999, UDPR_UDP_PACKET_INFO);
  OK(udpr_transport_join_group(far.transport, &group, interface_index("far")));
  OK(udpr_transport_join_group(far.transport, &v4_group, interface_index("far")));
  uint32_t far_device = interface_index("far");
  enter_near_host(&hosts);
  run_command("ip route del default dev near");
  OK(write_message(near.transport, "six", &group, NULL, interface_index("near")));
  const udpr_datagram *datagram = &recorder_expect(reactor, &far, "six")->datagram;
  group.scope_id = far_device;
  CHECK_ADDR(&group, &datagram->destination);
  CHECK_STATUS(UDPR_E_NETWORK_UNREACHABLE, write_message(near.transport, "x", &v4_group, NULL, 0));
  OK(write_message(near.transport, "four", &v4_group, NULL, interface_index("near")));
  CHECK_ADDR(&v4_group, &recorder_expect(reactor, &far, "four")->datagram.destination);
  recorder_close(&near);
  recorder_close(&far);
  OK(udpr_reactor_free(reactor));
  two_hosts_close(&hosts);
}

TEST(invalid_sources) {
  fixture   f;
  udpr_addr v4 = addr("127.0.0.1", 0), v6 = addr("::1", 0), mapped = addr("::ffff:127.0.0.1", 0);
  udpr_addr group = addr("228.0.0.5", 0), v6_group = addr("ff02::1", 0), foreign = addr("192.0.2.1", 0);
  udpr_addr any = addr("0.0.0.0", 0), v6_any = addr("::", 0), junk = {.family = 9};
  set_up(&f, "0.0.0.0", 0);
  udpr_addr to = addr("127.0.0.1", f.peer.host.port);
  CHECK_STATUS(UDPR_E_ADDRESS_FAMILY, write_message(f.port.transport, "x", &to, &v6, 0));
  CHECK_STATUS(UDPR_E_ADDRESS_FAMILY, write_message(f.port.transport, "x", &to, &mapped, 0));
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, write_message(f.port.transport, "x", &to, &group, 0));
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, write_message(f.port.transport, "x", &to, &junk, 0));
  CHECK_EQ(0, stats_of(f.port.transport).syscalls_out);
  CHECK(write_message(f.port.transport, "x", &to, &foreign, 0) !=
        UDPR_OK); /* the kernel returns EINVAL or ENETUNREACH */
  CHECK_STATUS(UDPR_E_NO_INTERFACE, write_message(f.port.transport, "x", &to, NULL, 4711));
  OK(write_message(f.port.transport, "any", &to, &any, 0));
  recorder_expect(f.reactor, &f.peer, "any");
  recorder_close(&f.port);

  recorder_listen(&f.port, f.reactor, "::", 0, 0);
  udpr_addr v6_to = addr("::1", f.peer.host.port), mapped_to = addr("::ffff:127.0.0.1", f.peer.host.port);
  CHECK_STATUS(UDPR_E_ADDRESS_FAMILY, write_message(f.port.transport, "x", &v6_to, &v4, 0));
  CHECK_STATUS(UDPR_E_ADDRESS_FAMILY, write_message(f.port.transport, "x", &v6_to, &mapped, 0));
  CHECK_STATUS(UDPR_E_ADDRESS_FAMILY, write_message(f.port.transport, "x", &mapped_to, &v6, 0));
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, write_message(f.port.transport, "x", &v6_to, &v6_group, 0));
  OK(write_message(f.port.transport, "any", &mapped_to, &v6_any, 0));
  recorder_expect(f.reactor, &f.peer, "any");
  tear_down(&f);
}

/* Ports share receive buffers. The metadata of one port's datagrams must not appear in those of another. */
TEST(without_the_flag_there_is_no_packet_info) {
  fixture  f;
  recorder plain;
  set_up(&f, "0.0.0.0", UDPR_UDP_PACKET_INFO | UDPR_UDP_TOS | UDPR_UDP_TTL | UDPR_UDP_TIMESTAMPS);
  recorder_listen(&plain, f.reactor, "0.0.0.0", 0, 0);
  for (int i = 0; i < 3; i++) {
    udpr_addr with_info = addr("127.0.0.1", f.port.host.port),
              without_info = addr("127.0.0.1", plain.host.port);
    write_text(f.peer.transport, "told", &with_info);
    const udpr_datagram *full = &recorder_expect(f.reactor, &f.port, "told")->datagram;
    CHECK(full->interface_index != 0 && full->timestamp != 0 && full->tos == 0 && full->ttl == 64);
    write_text(f.peer.transport, "untold", &without_info);
    const udpr_datagram *bare = &recorder_expect(f.reactor, &plain, "untold")->datagram;
    CHECK_EQ(UDPR_AF_UNSPEC, bare->destination.family);
    CHECK(bare->interface_index == 0 && bare->timestamp == 0 && bare->tos == -1 && bare->ttl == -1);
  }
  recorder_close(&plain);
  tear_down(&f);
}

/* The replies are batched in a callback, but each keeps its source. */
static void reply_many(udpr_reactor *reactor, void *user) {
  (void)reactor;
  fixture *f = user;
  char     source_text[16];
  for (int i = 1; i <= 40; i++) {
    snprintf(source_text, sizeof source_text, "127.0.0.%d", i);
    udpr_addr source = addr(source_text, 0), to = addr("127.0.0.1", f->peer.host.port);
    OK(i % 4 ? write_message(f->port.transport, source_text, &to, &source, 0)
             : udpr_transport_write(f->port.transport, "plain", 5, &to));
  }
}

TEST(batched_writes_keep_their_sources) {
  fixture f;
  set_up(&f, "0.0.0.0", 0);
  OK(udpr_reactor_call_later(f.reactor, 0, reply_many, &f, NULL, NULL));
  RUN_UNTIL(f.reactor, f.peer.count == 40);
  for (int i = 1; i <= 40; i++) {
    const recorded_datagram *one = &f.peer.all[i - 1];
    udpr_addr                from = addr(i % 4 ? one->text : "127.0.0.1", f.port.host.port);
    CHECK_ADDR(&from, &one->datagram.sender);
  }
  CHECK(stats_of(f.port.transport).syscalls_out < 4);
  tear_down(&f);
}

CHECK_MAIN()
