/* spoof.h: datagrams and ICMP messages with forged contents, sent from a raw socket in a network namespace.
 */
#ifndef UDPR_TESTS_SPOOF_H
#define UDPR_TESTS_SPOOF_H

#include "network_namespace.h"

#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/udp.h>

/* RFC 1071 */
static inline uint16_t checksum(const void *data, size_t len) {
  const uint8_t *bytes = data;
  uint32_t       sum = 0;
  for (size_t i = 0; i < len; i++) sum += i % 2 ? bytes[i] : (uint32_t)bytes[i] << 8;
  while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
  return htons((uint16_t)~sum);
}

/* The IPv4 header of a datagram with a payload of four bytes. */
static inline struct iphdr ip_header(const udpr_addr *from, const udpr_addr *to) {
  struct iphdr ip = {.version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_UDP, .tot_len = htons(32)};
  memcpy(&ip.saddr, from->bytes, 4);
  memcpy(&ip.daddr, to->bytes, 4);
  ip.check = checksum(&ip, sizeof ip);
  return ip;
}

static inline struct udphdr udp_header(const udpr_addr *from, const udpr_addr *to) {
  return (struct udphdr){.source = htons(from->port), .dest = htons(to->port), .len = htons(12)};
}

static inline void send_raw(int protocol, const char *from, const udpr_addr *to, const void *data,
                            size_t len) {
  struct sockaddr_in here = {.sin_family = AF_INET}, there = {.sin_family = AF_INET};
  udpr_addr          source = addr(from, 0);
  memcpy(&here.sin_addr, source.bytes, 4);
  memcpy(&there.sin_addr, to->bytes, 4);
  int fd = socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, protocol);
  CHECK(fd >= 0);
  CHECK_EQ(0, bind(fd, (struct sockaddr *)&here, sizeof here));
  CHECK_EQ(len, sendto(fd, data, len, 0, (struct sockaddr *)&there, sizeof there));
  close(fd);
}

/* Sends an ICMP message from 127.0.0.9 about a datagram "lost" that `port`, on 127.0.0.1, appears to have
 * sent to `to`.
 */
static inline void spoof_icmp(const udpr_addr *port, const udpr_addr *to, uint8_t type, uint8_t code,
                              uint16_t mtu) {
  udpr_addr here = addr("127.0.0.1", port->port);
  struct {
    struct icmphdr icmp;
    struct iphdr   ip;
    struct udphdr  udp;
    char           data[4];
  } message = {.icmp = {.type = type, .code = code, .un.frag.mtu = htons(mtu)},
               .ip = ip_header(&here, to),
               .udp = udp_header(&here, to),
               .data = "lost"};
  message.icmp.checksum = checksum(&message, sizeof message);
  send_raw(IPPROTO_ICMP, "127.0.0.9", &here, &message, sizeof message);
}

/* Sends a datagram of four bytes that appears to come from `from`. */
static inline void spoof_datagram(const udpr_addr *from, const udpr_addr *to, const char *data) {
  struct {
    struct iphdr  ip;
    struct udphdr udp; /* no checksum, which IPv4 allows */
    char          data[4];
  } datagram = {.ip = ip_header(from, to), .udp = udp_header(from, to)};
  memcpy(datagram.data, data, 4);
  send_raw(IPPROTO_RAW, "127.0.0.1", to, &datagram, sizeof datagram);
}

#endif
