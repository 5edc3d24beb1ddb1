/* catcher.h: a port that keeps what it receives, so that a test can look at it afterwards. */
#ifndef UDPR_TESTS_CATCHER_H
#define UDPR_TESTS_CATCHER_H

#include "check.h"

enum { CATCHER_ROOM = 64 };

typedef struct caught {
  char          text[64];
  udpr_datagram datagram; /* its data is gone */
} caught;

typedef struct catcher {
  udpr_transport *transport;
  udpr_addr       host;
  int             count, seen;
  caught          all[CATCHER_ROOM];
} catcher;

static inline void catcher_received(udpr_transport *transport, const udpr_datagram *datagram, void *user) {
  (void)transport;
  catcher *self = user;
  CHECK(self->count < CATCHER_ROOM && datagram->len < sizeof self->all[0].text);
  caught *one = &self->all[self->count++];
  *one = (caught){.datagram = *datagram};
  memcpy(one->text, datagram->data, datagram->len);
}

/* `port` 0: the kernel's choice. */
static inline void catch_on(catcher *self, udpr_reactor *reactor, const char *local_address, uint16_t port,
                            uint32_t flags) {
  udpr_protocol    protocol = {.size = sizeof protocol, .user = self, .datagram_received = catcher_received};
  udpr_udp_options options = {.size = sizeof options, .flags = flags};
  *self = (catcher){0};
  OK(udpr_reactor_listen_multicast(reactor, port, local_address, &protocol, &options, &self->transport));
  self->host = host_of(self->transport);
}

static inline void catch_end(catcher *self) {
  udpr_transport_close(self->transport);
  udpr_transport_release(self->transport);
}

/* The datagram behind the one that this gave last: it must be this text. */
static inline const caught *catch_next(udpr_reactor *reactor, catcher *self, const char *text) {
  RUN_UNTIL(reactor, self->count > self->seen);
  CHECK_STR(text, self->all[self->seen].text);
  return &self->all[self->seen++];
}

static inline void say(udpr_transport *from, const char *text, const udpr_addr *to) {
  OK(udpr_transport_write(from, text, strlen(text), to));
}

static inline udpr_addr with_port(udpr_addr address, uint16_t port) {
  address.port = port;
  return address;
}

static inline uint32_t index_of(const char *name) {
  uint32_t index = 0;
  OK(udpr_interface_index(name, &index));
  return index;
}

#endif
