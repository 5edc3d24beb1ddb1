/* tapped_device.h: two devices of the case's own, each with a default route, and what leaves through each of
 * them. Device 1 has
 *
 *     10.1.0.1/24 fd01::1/64 fe80::1, with the neighbours 10.1.0.9 fd01::9 fe80::9
 *
 * Device 2 has the same with 2 instead of 1, and its route is preferred. There is no host at the other ends,
 * only a packet socket.
 */
#ifndef UDPR_TESTS_TAPPED_DEVICE_H
#define UDPR_TESTS_TAPPED_DEVICE_H

#include "network_namespace.h"

#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <poll.h>

#ifndef SO_BINDTOIFINDEX
#define SO_BINDTOIFINDEX 62
#endif

/* A device: a packet socket at its other end, and a UDP socket that sends a marker behind everything sent
 * before.
 */
typedef struct tapped_device {
  const char *device;
  int         fd, marker;
} tapped_device;

/* `number` is 1 or 2. Both devices have a default route; that of number 2 is preferred. */
static inline void set_up_device(const char *device, int number) {
  run_ip("link set %s up", device);
  run_ip("addr replace 10.%d.0.1/24 dev %s", number, device);
  run_ip("addr replace fd0%d::1/64 dev %s nodad", number, device);
  run_ip("addr replace fe80::%d/64 dev %s nodad", number, device);
  run_ip("neigh replace 10.%d.0.9 lladdr 02:00:00:00:00:09 dev %s nud permanent", number, device);
  run_ip("neigh replace fd0%d::9 lladdr 02:00:00:00:00:09 dev %s nud permanent", number, device);
  run_ip("neigh replace fe80::9 lladdr 02:00:00:00:00:09 dev %s nud permanent", device);
  run_ip("route replace default via 10.%d.0.9 dev %s metric %d", number, device, 30 - 10 * number);
  run_ip("-6 route replace default via fd0%d::9 dev %s metric %d", number, device, 30 - 10 * number);
}

static inline void add_device(const char *device, int number) {
  run_ip("link add %s type veth peer name %s-end", device, device);
  run_ip("link set %s addrgenmode none", device);
  run_ip("link set %s-end up", device);
  set_up_device(device, number);
}

static inline void open_tap(tapped_device *tap, const char *device, int number) {
  struct sockaddr_ll end = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
  struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(9)};
  char               name[IFNAMSIZ];
  snprintf(name, sizeof name, "%s-end", device);
  end.sll_ifindex = (int)if_nametoindex(name);
  *tap = (tapped_device){device, socket(AF_PACKET, SOCK_DGRAM, 0), socket(AF_INET, SOCK_DGRAM, 0)};
  if (tap->fd < 0) SKIP("this kernel has no packet sockets");
  CHECK_EQ(0, bind(tap->fd, (struct sockaddr *)&end, sizeof end));
  to.sin_addr.s_addr = htonl(0x0a000009u | (uint32_t)number << 16);
  CHECK_EQ(0, connect(tap->marker, (struct sockaddr *)&to, sizeof to));
}

/* Returns how many datagrams of the port have left through the device since the last call. */
static inline int count_leaving(const tapped_device *tap) {
  char data[2048];
  int  found = 0;
  CHECK_EQ(6, send(tap->marker, "marker", 6, 0));
  for (;;) {
    struct pollfd ready = {.fd = tap->fd, .events = POLLIN};
    CHECK_EQ(1, poll(&ready, 1, 5000));
    ssize_t len = recv(tap->fd, data, sizeof data, 0);
    CHECK(len > 0);
    if (memmem(data, (size_t)len, "marker", 6)) return found;
    found += memmem(data, (size_t)len, "secret", 6) != NULL;
  }
}

static inline int bound_device_of(int fd) {
  int       index;
  socklen_t len = sizeof index;
  CHECK_EQ(0, getsockopt(fd, SOL_SOCKET, SO_BINDTOIFINDEX, &index, &len));
  return index;
}

#endif
