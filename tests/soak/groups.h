/* groups.h: two ports that join and leave multicast groups at random, a sender to all groups, and a port that is flooded. */
#ifndef UDPR_SOAK_GROUPS_H
#define UDPR_SOAK_GROUPS_H

#include "disturbances.h"

enum { GROUPS = 8, MEMBERS = 2, GROUP_PORT = 1900, FLOOD = 100 };

typedef struct member {
  udpr_transport *transport;
  bool            joined[GROUPS];
  uint64_t        expected, received;
} member;

static member          members[MEMBERS];
static udpr_transport *group_sender;
static uint32_t        lo;
static uint64_t        memberships, group_writes;

static udpr_addr group_of(uint32_t number) {
  char text[32];
  snprintf(text, sizeof text, "239.1.2.%u", number);
  return addr(text, GROUP_PORT);
}

static void member_received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  (void)transport;
  member *self = user;
  CHECK_EQ(1, datagram->len);
  CHECK_EQ(UDPR_AF_INET, datagram->destination.family);
  CHECK_EQ(datagram->data[0], datagram->destination.bytes[3]);
  self->received++;
}

static void member_toggle(member *self, uint32_t number) {
  udpr_addr group = group_of(number);
  bool     *joined = &self->joined[number];
  if (OK_OR_INJECTED(
          (*joined ? udpr_transport_leave_group : udpr_transport_join_group)(self->transport, &group, lo))) {
    *joined = !*joined;
    memberships++;
  }
}

/* Sends at once, so that the present members receive it: a batched datagram would be sent after later changes. */
static void group_send(uint32_t number) {
  uint8_t      byte = (uint8_t)number;
  udpr_addr    group = group_of(number);
  udpr_message message = {
      .size = sizeof message, .data = &byte, .len = 1, .to = &group, .flags = UDPR_MESSAGE_NOW};
  size_t accepted = 0;
  if (OK_OR_INJECTED(udpr_transport_write_messages(group_sender, &message, 1, &accepted))) group_writes++;
  for (member *self = members; self < members + MEMBERS; self++) self->expected += self->joined[number];
}

/* ---- a flood of a small receive buffer --------------------------------------------------------------- */

static udpr_transport *flooded;
static int             flood_peer;
static uint64_t        flood_sent, flood_received_count;

static void flood_received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  (void)transport, (void)user;
  CHECK_EQ(500, datagram->len);
  flood_received_count++;
}

static void flood(void) {
  static const uint8_t data[500];
  udpr_addr            host = host_of(flooded);
  for (int i = 0; i < FLOOD; i++, flood_sent++) peer_send(flood_peer, &host, data, sizeof data);
}

/* ---- the load ------------------------------------------------------------------------------------------ */

static void groups_begin(void) {
  OK(udpr_interface_index("lo", &lo));
  for (int i = 0; i < MEMBERS; i++) {
    udpr_protocol    protocol = {.size = sizeof protocol,
                                 .user = &members[i],
                                 .datagram_received = member_received};
    udpr_udp_options options = {.size = sizeof options,
                                .flags = UDPR_UDP_LISTEN_MULTIPLE | UDPR_UDP_PACKET_INFO};
    members[i] = (member){0};
    while (!OK_OR_INJECTED(udpr_reactor_listen_multicast(soak.reactor, GROUP_PORT, NULL, &protocol, &options,
                                                         &members[i].transport))) {}
    while (members[i].joined[0] == false)
      member_toggle(&members[i], 0); /* after its first join, a socket receives only its own groups */
  }
  udpr_protocol quiet = {.size = sizeof quiet};
  group_sender = soak_listen("127.0.0.1", &quiet, 0);
  while (!OK_OR_INJECTED(udpr_transport_set_outgoing_interface(group_sender, lo))) {}

  udpr_protocol    protocol = {.size = sizeof protocol, .datagram_received = flood_received};
  udpr_udp_options small = {.size = sizeof small, .receive_buffer = 4096};
  while (
      !OK_OR_INJECTED(udpr_reactor_listen_udp(soak.reactor, 0, "127.0.0.1", &protocol, &small, &flooded))) {}
  int mark = BYPASS_MARK;
  flood_peer = peer_open(AF_INET);
  CHECK_EQ(0, setsockopt(flood_peer, SOL_SOCKET, SO_MARK, &mark, sizeof mark));
  flood_sent = flood_received_count = group_writes = 0;
}

static void groups_tick(void) {
  if (soak.ending) return;
  if (soak.ticks % 4 == 0) member_toggle(&members[random_below(MEMBERS)], random_below(GROUPS));
  group_send(random_below(GROUPS));
  if (soak.ticks % 64 == 0) flood();
}

static bool groups_settled(void) {
  for (member *self = members; self < members + MEMBERS; self++) {
    if (soak.faults)
      CHECK(self->received <= group_writes); /* a datagram may be late, go to other members, or be lost */
    else if (!adds_up(self->expected, self->received, stats_of(self->transport).dropped_in, false))
      return false;
  }
  return adds_up(flood_sent, flood_received_count, stats_of(flooded).dropped_in, false);
}

static void groups_end(void) {
  for (int i = 0; i < MEMBERS; i++) soak_close(members[i].transport);
  soak_close(group_sender);
  soak_close(flooded);
  close(flood_peer);
}

static const load groups_load = {"joins and leaves", &memberships,   groups_begin,
                                 groups_tick,        groups_settled, groups_end};

#endif
