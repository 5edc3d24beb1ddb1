/* set_option, get_option, and the options that they refuse; bind_device. */
#include "recorder.h"
#include "two_hosts.h"

#include <linux/udp.h>

typedef struct option {
  int level, name;
} option;

static const option managed[] = {
    {IPPROTO_UDP, UDP_GRO},          {IPPROTO_UDP, UDP_SEGMENT},        {SOL_SOCKET, SO_ERROR},
    {SOL_SOCKET, SO_BROADCAST},      {SOL_SOCKET, SO_TIMESTAMPNS},      {IPPROTO_IP, IP_RECVERR},
    {IPPROTO_IP, IP_PKTINFO},        {IPPROTO_IP, IP_RECVTOS},          {IPPROTO_IP, IP_RECVTTL},
    {IPPROTO_IP, IP_ADD_MEMBERSHIP}, {IPPROTO_IP, IP_DROP_MEMBERSHIP},  {IPPROTO_IP, MCAST_JOIN_GROUP},
    {IPPROTO_IP, IP_MULTICAST_IF},   {IPPROTO_IPV6, IPV6_RECVERR},      {IPPROTO_IPV6, IPV6_RECVPKTINFO},
    {IPPROTO_IPV6, IPV6_RECVTCLASS}, {IPPROTO_IPV6, IPV6_RECVHOPLIMIT}, {IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP},
    {IPPROTO_IPV6, IPV6_ADDRFORM},
};

TEST(managed_options_are_refused) {
  udpr_reactor *reactor = new_reactor(0);
  recorder      four, six;
  int           value = 1;
  size_t        len = sizeof value;
  recorder_listen(&four, reactor, "127.0.0.1", 0, 0);
  recorder_listen(&six, reactor, "::", 0, 0);
  for (size_t i = 0; i < sizeof managed / sizeof *managed; i++) {
    udpr_transport *port = managed[i].level == IPPROTO_IPV6 ? six.transport : four.transport;
    udpr_status     set =
        udpr_transport_set_option(port, managed[i].level, managed[i].name, &value, sizeof value);
    udpr_status get = udpr_transport_get_option(port, managed[i].level, managed[i].name, &value, &len);
    if (set != UDPR_E_NOT_SUPPORTED || get != UDPR_E_NOT_SUPPORTED)
      FAIL("option %d of level %d: %d, %d", managed[i].name, managed[i].level, set, get);
    CHECK(value == 1 && len == sizeof value);
  }
  recorder_close(&four);
  recorder_close(&six);
  OK(udpr_reactor_free(reactor));
}

TEST(any_other_option_is_set_and_read) {
  udpr_reactor *reactor = new_reactor(0);
  recorder      port;
  int           value = 6, out = 0;
  size_t        len = sizeof out;
  recorder_listen(&port, reactor, "127.0.0.1", 0, 0);
  OK(udpr_transport_set_option(port.transport, SOL_SOCKET, SO_PRIORITY, &value, sizeof value));
  OK(udpr_transport_get_option(port.transport, SOL_SOCKET, SO_PRIORITY, &out, &len));
  CHECK(out == 6 && len == sizeof out);
  struct timeval time = {.tv_sec = 7}, got = {0};
  len = sizeof got;
  OK(udpr_transport_set_option(port.transport, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time));
  OK(udpr_transport_get_option(port.transport, SOL_SOCKET, SO_SNDTIMEO, &got, &len));
  CHECK(got.tv_sec == 7 && len == sizeof got);
  /* A small buffer gets the first part of the value. For a large one, `len` is the length of the value. */
  unsigned char bytes[64];
  memset(bytes, 0xee, sizeof bytes);
  len = 2;
  OK(udpr_transport_get_option(port.transport, SOL_SOCKET, SO_PRIORITY, bytes, &len));
  CHECK(len == 2 && bytes[2] == 0xee);
  len = sizeof bytes;
  OK(udpr_transport_get_option(port.transport, SOL_SOCKET, SO_PRIORITY, bytes, &len));
  CHECK(len == 4 && bytes[4] == 0xee);
  recorder_close(&port);
  OK(udpr_reactor_free(reactor));
}

TEST(options_refused_by_the_kernel_or_the_library) {
  udpr_reactor *reactor = new_reactor(0);
  recorder      port;
  int           value = 1;
  size_t        len = sizeof value;
  recorder_listen(&port, reactor, "127.0.0.1", 0, 0);
  udpr_transport *transport = port.transport;
  CHECK_STATUS(UDPR_E_SYSTEM - ENOPROTOOPT,
               udpr_transport_set_option(transport, SOL_SOCKET, 4711, &value, 4));
  CHECK_STATUS(UDPR_E_SYSTEM - ENOPROTOOPT,
               udpr_transport_get_option(transport, SOL_SOCKET, 4711, &value, &len));
  CHECK_STATUS(UDPR_E_SYSTEM - EINVAL,
               udpr_transport_set_option(transport, SOL_SOCKET, SO_PRIORITY, &value, 1));
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT,
               udpr_transport_set_option(transport, SOL_SOCKET, SO_PRIORITY, NULL, 4));
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT,
               udpr_transport_get_option(transport, SOL_SOCKET, SO_PRIORITY, NULL, &len));
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT,
               udpr_transport_get_option(transport, SOL_SOCKET, SO_PRIORITY, &value, NULL));
  CHECK(value == 1 && len == sizeof value);
  OK(udpr_transport_close(transport));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_transport_set_option(transport, SOL_SOCKET, SO_PRIORITY, &value, 4));
  CHECK_STATUS(UDPR_E_CLOSED, udpr_transport_get_option(transport, SOL_SOCKET, SO_PRIORITY, &value, &len));
  recorder_close(&port);
  OK(udpr_reactor_free(reactor));
}

static udpr_status check_bind_device(udpr_reactor *reactor, const char *device, udpr_transport **out) {
  udpr_protocol    protocol = {.size = sizeof protocol};
  udpr_udp_options options = {.size = sizeof options, .bind_device = device};
  return udpr_reactor_listen_udp(reactor, 9999, NULL, &protocol, &options, out);
}

TEST(bind_device_requires_an_existing_interface) {
  udpr_reactor *reactor = new_reactor(0);
  CHECK_STATUS(UDPR_E_NO_INTERFACE, check_bind_device(reactor, "nosuch", NULL));
  CHECK_STATUS(UDPR_E_NO_INTERFACE, check_bind_device(reactor, "", NULL));
  CHECK_STATUS(UDPR_E_NO_INTERFACE, check_bind_device(reactor, "lo-and-more-than-fifteen", NULL));
  OK(udpr_reactor_free(reactor));
}

TEST(bind_device_receives_only_from_that_interface) {
  two_hosts       hosts;
  recorder        far, near;
  udpr_transport *bound = NULL;
  two_hosts_create(&hosts);
  udpr_reactor *reactor = new_reactor(0);
  udpr_protocol protocol = {.size = sizeof protocol, .user = &near, .datagram_received = recorder_received};
  udpr_udp_options options = {.size = sizeof options, .bind_device = "near"};
  near = (recorder){0};
  OK(udpr_reactor_listen_udp(reactor, 9999, NULL, &protocol, &options, &bound));
  enter_far_host(&hosts);
  recorder_listen(&far, reactor, NULL, 0, 0);
  enter_near_host(&hosts);
  int       local = peer_open(AF_INET);
  udpr_addr here = addr("127.0.0.1", 9999), there = addr("10.77.0.1", 9999);
  char      device[16] = "";
  size_t    len = sizeof device;
  OK(udpr_transport_get_option(bound, SOL_SOCKET, SO_BINDTODEVICE, device, &len));
  CHECK_STR("near", device);
  peer_send(local, &here, "by lo", 5);
  write_text(far.transport, "by near", &there);
  recorder_expect(reactor, &near, "by near");
  close(local);
  OK(udpr_transport_close(bound));
  udpr_transport_release(bound);
  recorder_close(&far);
  OK(udpr_reactor_free(reactor));
  two_hosts_close(&hosts);
}

CHECK_MAIN()
