/* Broadcasts between two hosts: the permission to send them, and which ports receive them. */
#include "recorder.h"
#include "two_hosts.h"

typedef struct fixture {
  two_hosts     hosts;
  udpr_reactor *reactor;
  recorder      near, far;
  udpr_addr     everyone;
} fixture;

static void set_up(fixture *f, uint32_t flags) {
  *f = (fixture){.everyone = addr("255.255.255.255", 9999)};
  two_hosts_create(&f->hosts);
  f->reactor = new_reactor(0);
  recorder_listen(&f->near, f->reactor, NULL, 0, flags);
  enter_far_host(&f->hosts);
  recorder_listen(&f->far, f->reactor, NULL, 9999, UDPR_UDP_PACKET_INFO);
  enter_near_host(&f->hosts);
}

static void tear_down(fixture *f) {
  recorder_close(&f->near);
  recorder_close(&f->far);
  OK(udpr_reactor_free(f->reactor));
  two_hosts_close(&f->hosts);
}

static udpr_bool is_allowed(const udpr_transport *transport) {
  udpr_bool out = 99;
  OK(udpr_transport_get_broadcast_allowed(transport, &out));
  return out;
}

TEST(a_broadcast_without_permission_is_refused_at_once) {
  udpr_reactor *reactor = new_reactor(0);
  recorder      port;
  udpr_addr     everyone = addr("255.255.255.255", 9), mapped = addr("::ffff:255.255.255.255", 9);
  recorder_listen(&port, reactor, NULL, 0, 0);
  CHECK_EQ(0, is_allowed(port.transport));
  CHECK_STATUS(UDPR_E_ACCESS, udpr_transport_write(port.transport, "x", 1, &everyone));
  CHECK_STATUS(UDPR_E_ACCESS, udpr_transport_post(port.transport, "x", 1, &everyone));
  CHECK_EQ(0, stats_of(port.transport).syscalls_out);
  recorder_close(&port);
  recorder_listen(&port, reactor, "::", 0, 0);
  CHECK_STATUS(UDPR_E_ACCESS, udpr_transport_write(port.transport, "x", 1, &mapped));
  recorder_close(&port);
  CHECK_STATUS(UDPR_E_CLOSED, udpr_transport_set_broadcast_allowed(port.transport, 1));
  OK(udpr_reactor_free(reactor));
}

TEST(allowed_by_the_flag) {
  fixture f;
  set_up(&f, UDPR_UDP_BROADCAST);
  CHECK_EQ(1, is_allowed(f.near.transport));
  write_text(f.near.transport, "everyone", &f.everyone);
  CHECK_ADDR(&f.everyone, &recorder_expect(f.reactor, &f.far, "everyone")->datagram.destination);
  udpr_addr network = addr("10.77.0.255", 9999);
  write_text(f.near.transport, "the network", &network);
  CHECK_ADDR(&network, &recorder_expect(f.reactor, &f.far, "the network")->datagram.destination);
  tear_down(&f);
}

TEST(allowed_and_forbidden_later) {
  fixture f;
  set_up(&f, 0);
  OK(udpr_transport_set_broadcast_allowed(f.near.transport, 42));
  CHECK_EQ(1, is_allowed(f.near.transport));
  write_text(f.near.transport, "written", &f.everyone);
  recorder_expect(f.reactor, &f.far, "written");
  OK(udpr_transport_post(f.near.transport, "posted", 6, &f.everyone));
  recorder_expect(f.reactor, &f.far, "posted");
  OK(udpr_transport_set_broadcast_allowed(f.near.transport, 0));
  CHECK_EQ(0, is_allowed(f.near.transport));
  CHECK_STATUS(UDPR_E_ACCESS, udpr_transport_write(f.near.transport, "x", 1, &f.everyone));
  CHECK_STATUS(UDPR_E_ACCESS, udpr_transport_post(f.near.transport, "x", 1, &f.everyone));
  tear_down(&f);
}

/* Only the kernel can tell that this is a broadcast address of a subnet. */
TEST(a_subnet_broadcast_is_refused_by_the_kernel) {
  fixture   f;
  udpr_addr network = addr("10.77.0.255", 9999);
  set_up(&f, 0);
  CHECK_STATUS(UDPR_E_ACCESS, udpr_transport_write(f.near.transport, "x", 1, &network));
  tear_down(&f);
}

/* A broadcast in a batch is sent under the permission that it was written with. */
static void write_and_forbid(udpr_reactor *reactor, void *user) {
  (void)reactor;
  fixture *f = user;
  write_text(f->near.transport, "just in time", &f->everyone);
  OK(udpr_transport_set_broadcast_allowed(f->near.transport, 0));
}

TEST(batched_broadcasts_are_sent_before_the_permission_ends) {
  fixture f;
  set_up(&f, UDPR_UDP_BROADCAST);
  OK(udpr_reactor_call_later(f.reactor, 0, write_and_forbid, &f, NULL, NULL));
  recorder_expect(f.reactor, &f.far, "just in time");
  tear_down(&f);
}

CHECK_MAIN()
