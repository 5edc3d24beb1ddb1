/* A connected port accepts writes to the address that was given to connect, and to the one that get_peer
 * returns. The kernel changes the address: it removes the zone of a global address, adds the zone of a link-
 * local one, and replaces the unspecified address by one of this host.
 */
#include "ipv6_address.h"
#include "network_namespace.h"

typedef struct fixture {
  udpr_reactor   *reactor;
  udpr_transport *near, *far;
  int             received;
} fixture;

static void received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  fixture *f = user;
  if (transport == f->far) OK(udpr_transport_write(f->far, datagram->data, datagram->len, &datagram->sender));
  else f->received++;
}

/* The loopback device has addresses of every kind. */
static void set_up(fixture *f, const char *local, const char *device) {
  enter_network_namespace();
  if (system("ip -V >/dev/null 2>&1") != 0) SKIP("needs ip (iproute2)");
  add_ipv6_address("lo", "2001:db8::1", 128);
  add_ipv6_address("lo", "fe80::77", 64);
  *f = (fixture){.reactor = new_reactor(0)};
  udpr_protocol    protocol = {.size = sizeof protocol, .user = f, .datagram_received = received};
  udpr_udp_options options = {.size = sizeof options, .bind_device = device};
  f->near = listen_on(f->reactor, local, &protocol, &options);
  f->far = listen_on(f->reactor, local, &protocol, NULL);
}

static void tear_down(fixture *f) {
  udpr_transport_release(f->near);
  udpr_transport_release(f->far);
  OK(udpr_reactor_free(f->reactor)); /* closes both ports */
}

/* Each way to write accepts the address, and each datagram is echoed. */
static void check_accepted(fixture *f, const udpr_addr *to) {
  udpr_bytes   pieces[] = {{"sequ", 4}, {"ence", 4}};
  udpr_message messages[] = {{.size = sizeof *messages, .data = "plain", .len = 5, .to = to},
                             {.size = sizeof *messages, .data = "marked", .len = 6, .to = to, .tos = 8}};
  size_t       taken;
  messages[1].flags = UDPR_MESSAGE_TOS;
  f->received = 0;
  OK(udpr_transport_write(f->near, "write", 5, to));
  OK(udpr_transport_write_sequence(f->near, pieces, 2, to));
  OK(udpr_transport_write_messages(f->near, messages, 2, &taken));
  OK(udpr_transport_post(f->near, "post", 4, to));
  RUN_UNTIL(f->reactor, f->received == 5);
}

static void check_connect(const char *local, const char *device, const char *given,
                          const char *wrong_peers[]) {
  fixture f;
  set_up(&f, local, device);
  udpr_addr to = addr(given, host_of(f.far).port), peer, other;
  OK(udpr_transport_connect(f.near, &to));
  OK(udpr_transport_get_peer(f.near, &peer));
  check_accepted(&f, &to);
  check_accepted(&f, &peer);
  check_accepted(&f, NULL);
  for (; *wrong_peers; wrong_peers++) {
    other = addr(*wrong_peers, to.port);
    CHECK_STATUS(UDPR_E_WRONG_PEER, udpr_transport_write(f.near, "x", 1, &other));
    CHECK_STATUS(UDPR_E_WRONG_PEER, udpr_transport_post(f.near, "x", 1, &other));
  }
  /* A failed connect changes nothing. */
  to.port = 0;
  CHECK(udpr_transport_connect(f.near, &to) < 0);
  to.port = host_of(f.far).port;
  check_accepted(&f, &to);
  /* The address given to a previous connect is not accepted any more. */
  udpr_addr last = addr("::ffff:127.0.0.9", to.port);
  if (to.family == UDPR_AF_INET) last = addr("127.0.0.9", to.port);
  if (device == NULL) {
    OK(udpr_transport_connect(f.near, &last));
    CHECK_STATUS(UDPR_E_WRONG_PEER, udpr_transport_write(f.near, "x", 1, &to));
    CHECK_STATUS(UDPR_E_WRONG_PEER, udpr_transport_post(f.near, "x", 1, &to));
  }
  tear_down(&f);
}

#define WRONG_PEERS(...) ((const char *[]){__VA_ARGS__, NULL})

TEST(a_global_address_with_a_zone) {
  check_connect("::", NULL, "2001:db8::1%lo", WRONG_PEERS("2001:db8::2", "fe80::77%lo", "::1"));
}
TEST(a_global_address_without_a_zone) {
  check_connect("::", NULL, "2001:db8::1", WRONG_PEERS("2001:db8::2"));
}
TEST(the_loopback_address_with_a_zone) {
  check_connect("::", NULL, "::1%lo", WRONG_PEERS("::2", "2001:db8::1"));
}
TEST(a_link_local_address_with_a_zone) {
  check_connect("::", NULL, "fe80::77%lo", WRONG_PEERS("fe80::78%lo", "fe80::77%4711"));
}
TEST(a_link_local_address_without_a_zone_on_a_bound_device) {
  check_connect("::", "lo", "fe80::77", WRONG_PEERS("fe80::77%4711", "fe80::78"));
}
TEST(the_unspecified_address) { check_connect("0.0.0.0", NULL, "0.0.0.0", WRONG_PEERS("127.0.0.2")); }
TEST(the_unspecified_address_ipv6) {
  check_connect("::", NULL, "::", WRONG_PEERS("2001:db8::1", "fe80::77%lo"));
}
TEST(a_mapped_address) {
  check_connect("::", NULL, "::ffff:127.0.0.1", WRONG_PEERS("::ffff:127.0.0.2", "::1"));
}

CHECK_MAIN()
