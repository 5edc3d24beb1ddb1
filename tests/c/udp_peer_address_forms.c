/* A connected port may be written to with the words that connect was given, and with those of get_peer: the kernel has
 * the address without the zone of a global one, with the zone of a link-local one, and this host for no address.
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

/* The loopback has addresses of every kind. */
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
  OK(udpr_reactor_free(f->reactor)); /* closes them */
}

/* Each way to write takes them, and is answered. */
static void takes(fixture *f, const udpr_addr *to) {
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

static void connect_to(const char *local, const char *device, const char *asked, const char *others[]) {
  fixture f;
  set_up(&f, local, device);
  udpr_addr to = addr(asked, host_of(f.far).port), peer, other;
  OK(udpr_transport_connect(f.near, &to));
  OK(udpr_transport_get_peer(f.near, &peer));
  takes(&f, &to);
  takes(&f, &peer);
  takes(&f, NULL);
  for (; *others; others++) {
    other = addr(*others, to.port);
    CHECK_STATUS(UDPR_E_WRONG_PEER, udpr_transport_write(f.near, "x", 1, &other));
    CHECK_STATUS(UDPR_E_WRONG_PEER, udpr_transport_post(f.near, "x", 1, &other));
  }
  /* One that fails changes nothing of that. */
  to.port = 0;
  CHECK(udpr_transport_connect(f.near, &to) < 0);
  to.port = host_of(f.far).port;
  takes(&f, &to);
  /* The words of a former connection are another peer's. */
  udpr_addr last = addr("::ffff:127.0.0.9", to.port);
  if (to.family == UDPR_AF_INET) last = addr("127.0.0.9", to.port);
  if (device == NULL) {
    OK(udpr_transport_connect(f.near, &last));
    CHECK_STATUS(UDPR_E_WRONG_PEER, udpr_transport_write(f.near, "x", 1, &to));
    CHECK_STATUS(UDPR_E_WRONG_PEER, udpr_transport_post(f.near, "x", 1, &to));
  }
  tear_down(&f);
}

#define OTHERS(...) ((const char *[]){__VA_ARGS__, NULL})

TEST(a_zone_of_a_global_address) {
  connect_to("::", NULL, "2001:db8::1%lo", OTHERS("2001:db8::2", "fe80::77%lo", "::1"));
}
TEST(no_zone_of_a_global_address) { connect_to("::", NULL, "2001:db8::1", OTHERS("2001:db8::2")); }
TEST(a_zone_of_the_loopback_address) { connect_to("::", NULL, "::1%lo", OTHERS("::2", "2001:db8::1")); }
TEST(a_zone_of_a_link_local_address) {
  connect_to("::", NULL, "fe80::77%lo", OTHERS("fe80::78%lo", "fe80::77%4711"));
}
TEST(the_device_is_the_zone) { connect_to("::", "lo", "fe80::77", OTHERS("fe80::77%4711", "fe80::78")); }
TEST(no_address_is_this_host) { connect_to("0.0.0.0", NULL, "0.0.0.0", OTHERS("127.0.0.2")); }
TEST(no_address_is_this_host_ipv6) { connect_to("::", NULL, "::", OTHERS("2001:db8::1", "fe80::77%lo")); }
TEST(a_mapped_address) { connect_to("::", NULL, "::ffff:127.0.0.1", OTHERS("::ffff:127.0.0.2", "::1")); }

CHECK_MAIN()
