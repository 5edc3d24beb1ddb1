/* lookup.h: look-ups that record their result. */
#ifndef UDPR_TESTS_LOOKUP_H
#define UDPR_TESTS_LOOKUP_H

#include "pool.h"

typedef struct lookup lookup;
struct lookup {
  atomic_int  freed;
  int         calls;
  udpr_id     id;
  udpr_status status;
  udpr_addr   addrs[16];
  size_t      count;
  void (*act)(udpr_reactor *, lookup *); /* called inside the callback */
  void *arg;                             /* for `act` */
};

static inline void lookup_resolved(udpr_reactor *reactor, udpr_id id, udpr_status status,
                                   const udpr_addr *addrs, size_t count, void *user) {
  lookup *self = user;
  CHECK(id == self->id && self->calls++ == 0 && self->freed == 0);
  CHECK_EQ(status == UDPR_OK, count > 0);
  CHECK(count <= sizeof self->addrs / sizeof *self->addrs);
  self->status = status, self->count = count;
  for (size_t i = 0; i < count; i++) self->addrs[i] = addrs[i];
  if (self->act) self->act(reactor, self);
  CHECK_EQ(0, self->freed);
}

static int lookup_other_threads; /* how many threads there were before the reactor was made */

static inline udpr_reactor *new_lookup_reactor(uint32_t pool_size) {
  lookup_other_threads = count_threads();
  return new_reactor_with_pool(pool_size);
}

/* udpr_reactor_free does not wait for a thread that may hang in the C library. Such a thread keeps
 * descriptors open until it ends.
 */
static inline void free_lookup_reactor(udpr_reactor *reactor) {
  OK(udpr_reactor_free(reactor));
  WAIT_UNTIL(count_threads() == lookup_other_threads);
}

/* The callback is called in a later turn. */
static inline void lookup_start(udpr_reactor *reactor, const char *host, uint16_t family, udpr_ns timeout,
                                lookup *self) {
  OK(udpr_reactor_resolve(reactor, host, 4321, family, timeout, lookup_resolved, self, count_free,
                          &self->id));
  CHECK(self->id != 0 && self->calls == 0 && self->freed == 0);
}

static inline void lookup_expect_status(udpr_status expected, udpr_reactor *reactor, lookup *self) {
  RUN_UNTIL(reactor, self->calls);
  CHECK_STATUS(expected, self->status);
  CHECK_EQ(1, self->freed);
}

static inline void lookup_run(udpr_status expected, udpr_reactor *reactor, const char *host, uint16_t family,
                              lookup *self) {
  *self = (lookup){0};
  lookup_start(reactor, host, family, 0, self);
  lookup_expect_status(expected, reactor, self);
}

/* The look-up must return this one address. glibc reads ::1 of the hosts file as 127.0.0.1 if IPv4 is asked for, so it may be
 * there twice (nss_files, with `multi on` in host.conf).
 */
static inline void lookup_expect_address(udpr_reactor *reactor, const char *host, uint16_t family,
                                         const char *text) {
  lookup    one;
  udpr_addr expected = addr(text, 4321);
  lookup_run(UDPR_OK, reactor, host, family, &one);
  CHECK(one.count >= 1);
  for (size_t i = 0; i < one.count; i++) CHECK_ADDR(&expected, &one.addrs[i]);
}

#endif
