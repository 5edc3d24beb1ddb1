/* recorder.h: a port that records the datagrams it receives. */
#ifndef UDPR_TESTS_RECORDER_H
#define UDPR_TESTS_RECORDER_H

#include "check.h"

enum { RECORDER_CAPACITY = 64 };

typedef struct recorded_datagram {
  char          text[64];
  udpr_datagram datagram; /* its `data` is no longer valid */
} recorded_datagram;

typedef struct recorder {
  udpr_transport   *transport;
  udpr_addr         host;
  int               count, taken;
  recorded_datagram all[RECORDER_CAPACITY];
} recorder;

static inline void recorder_received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  (void)transport;
  recorder *self = user;
  CHECK(self->count < RECORDER_CAPACITY && datagram->len < sizeof self->all[0].text);
  recorded_datagram *one = &self->all[self->count++];
  *one = (recorded_datagram){.datagram = *datagram};
  memcpy(one->text, datagram->data, datagram->len);
}

/* If `port` is 0, the kernel chooses the port number. */
static inline void recorder_listen(recorder *self, udpr_reactor *reactor, const char *local_address,
                                   uint16_t port, uint32_t flags) {
  udpr_protocol    protocol = {.size = sizeof protocol, .user = self, .datagram_received = recorder_received};
  udpr_udp_options options = {.size = sizeof options, .flags = flags};
  *self = (recorder){0};
  OK(udpr_reactor_listen_multicast(reactor, port, local_address, &protocol, &options, &self->transport));
  self->host = host_of(self->transport);
}

static inline void recorder_close(recorder *self) {
  udpr_transport_close(self->transport);
  udpr_transport_release(self->transport);
}

/* Waits for the next datagram that was not taken yet, and checks that it is this text. */
static inline const recorded_datagram *recorder_expect(udpr_reactor *reactor, recorder *self,
                                                       const char *text) {
  RUN_UNTIL(reactor, self->count > self->taken);
  CHECK_STR(text, self->all[self->taken].text);
  return &self->all[self->taken++];
}

static inline void write_text(udpr_transport *from, const char *text, const udpr_addr *to) {
  OK(udpr_transport_write(from, text, strlen(text), to));
}

static inline udpr_addr with_port(udpr_addr address, uint16_t port) {
  address.port = port;
  return address;
}

static inline uint32_t interface_index(const char *name) {
  uint32_t index = 0;
  OK(udpr_interface_index(name, &index));
  return index;
}

#endif
