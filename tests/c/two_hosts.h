/* two_hosts.h: two network namespaces of the case's own, connected by a veth pair and by nothing else.
 *
 *     near: lo, near 10.77.0.1/24 fd77::1/64 fe80::1   far: lo, far 10.77.0.2/24 fd77::2/64 fe80::2
 *
 * The case runs on the near host. A socket stays on the host where it was made, so a listen between
 * enter_far_host and enter_near_host makes a port on the far host, in the same reactor.
 */
#ifndef UDPR_TESTS_TWO_HOSTS_H
#define UDPR_TESTS_TWO_HOSTS_H

#include "ipv6_address.h"
#include "network_namespace.h"

#include <fcntl.h>
#include <net/if.h>
#include <sched.h>

enum { IF_OPER_UP = 6 }; /* linux/if.h, which does not go together with net/if.h */

typedef struct two_hosts {
  int near_fd, far_fd;
} two_hosts;

#ifdef _WIN32
static inline void enter_far_host(const two_hosts *hosts) { (void)hosts; }
static inline void enter_near_host(const two_hosts *hosts) { (void)hosts; }
static inline void wait_for_link(const char *device) { (void)device; }
static inline void two_hosts_close(two_hosts *hosts) { (void)hosts; }
static inline void two_hosts_create(two_hosts *hosts) {
  (void)hosts;
  enter_network_namespace();
}
#else
#include <linux/rtnetlink.h>

/* The calling thread is in the new namespace when this returns. */
static inline int new_network_namespace(void) {
  if (unshare(CLONE_NEWNET) != 0) SKIP("this kernel or container gives no network namespace");
  int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  CHECK(fd >= 0);
  return fd;
}

static inline void enter_far_host(const two_hosts *hosts) { CHECK_EQ(0, setns(hosts->far_fd, CLONE_NEWNET)); }
static inline void enter_near_host(const two_hosts *hosts) {
  CHECK_EQ(0, setns(hosts->near_fd, CLONE_NEWNET));
}

/* The kernel would add a link-local address itself, and its duplicate address detection takes two seconds.
 * Permanent neighbour entries: ARP and neighbour discovery lose datagrams on a busy machine.
 */
static inline void set_up_host(const char *device, int number) {
  int other = 3 - number;
  run_command("ip -batch - <<END\n"
              "link set lo up\n"
              "link set %s addrgenmode none\n"
              "link set %s up\n"
              "addr add 10.77.0.%d/24 broadcast 10.77.0.255 dev %s\n"
              "route add default dev %s\n"
              "neigh replace 10.77.0.%d lladdr 02:00:00:00:00:0%d dev %s nud permanent\n"
              "neigh replace fd77::%d lladdr 02:00:00:00:00:0%d dev %s nud permanent\n"
              "neigh replace fe80::%d lladdr 02:00:00:00:00:0%d dev %s nud permanent\n"
              "END",
              device, device, number, device, device, other, other, device, other, other, device, other,
              other, device);
}

/* Receives messages about devices; true if one is that this device is up and has a queue. */
static inline bool link_is_reported_up(int netlink, int device) {
  _Alignas(struct nlmsghdr) char buffer[8192];
  ssize_t                        received = recv(netlink, buffer, sizeof buffer, 0);
  CHECK(received > 0);
  size_t left = (size_t)received;
  for (struct nlmsghdr *message = (void *)buffer; NLMSG_OK(message, left);
       message = NLMSG_NEXT(message, left)) {
    struct ifinfomsg *link = NLMSG_DATA(message);
    if (message->nlmsg_type != RTM_NEWLINK || link->ifi_index != device) continue;
    bool   is_up = false, has_queue = false;
    size_t rest = IFLA_PAYLOAD(message);
    for (struct rtattr *attribute = IFLA_RTA(link); RTA_OK(attribute, rest);
         attribute = RTA_NEXT(attribute, rest)) {
      if (attribute->rta_type == IFLA_OPERSTATE) is_up = *(uint8_t *)RTA_DATA(attribute) == IF_OPER_UP;
      if (attribute->rta_type == IFLA_QDISC) has_queue = strcmp(RTA_DATA(attribute), "noop") != 0;
    }
    if (is_up && has_queue) return true;
  }
  return false;
}

/* The kernel enables the device's queue up to a second after the other end is up (net/core/link_watch.c). Until
 * then, datagrams are lost. rtnetlink(7) reports the present state and then each change.
 */
static inline void wait_for_link(const char *device) {
  struct sockaddr_nl changes = {.nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK};
  struct {
    struct nlmsghdr  header;
    struct ifinfomsg link;
  } ask = {{.nlmsg_len = sizeof ask, .nlmsg_type = RTM_GETLINK, .nlmsg_flags = NLM_F_REQUEST},
           {.ifi_index = (int)if_nametoindex(device)}};
  int netlink = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  CHECK(netlink >= 0);
  CHECK_EQ(0, bind(netlink, (struct sockaddr *)&changes, sizeof changes));
  CHECK_EQ(sizeof ask, send(netlink, &ask, sizeof ask, 0));
  while (!link_is_reported_up(netlink, ask.link.ifi_index)) {}
  close(netlink);
}

static inline void add_ipv6_addresses(const char *device, int number) {
  char global[16], link_local[16];
  snprintf(global, sizeof global, "fd77::%d", number);
  snprintf(link_local, sizeof link_local, "fe80::%d", number);
  add_ipv6_address(device, global, 64);
  add_ipv6_address(device, link_local, 64);
}

/* Called on the near host, also after the link was deleted. */
static inline void link_hosts(const two_hosts *hosts) {
  if (system("ip link add near address 02:00:00:00:00:01 type veth "
             "peer name far address 02:00:00:00:00:02 2>/dev/null") != 0)
    SKIP("this kernel has no veth");
  run_command("ip link set far netns /proc/%d/fd/%d", (int)getpid(), hosts->far_fd);
  set_up_host("near", 1);
  enter_far_host(hosts);
  set_up_host("far", 2);
  wait_for_link("far");
  add_ipv6_addresses("far", 2);
  enter_near_host(hosts);
  wait_for_link("near");
  add_ipv6_addresses("near", 1);
}

static inline void two_hosts_create(two_hosts *hosts) {
  if (geteuid() != 0) SKIP("needs root for a network namespace");
  if (system("ip -V >/dev/null 2>&1") != 0) SKIP("needs ip (iproute2)");
  hosts->far_fd = new_network_namespace();
  hosts->near_fd = new_network_namespace();
  link_hosts(hosts);
}

static inline void two_hosts_close(two_hosts *hosts) {
  close(hosts->far_fd);
  close(hosts->near_fd);
}
#endif

#endif
