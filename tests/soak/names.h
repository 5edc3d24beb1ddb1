/* names.h: look-ups that succeed, fail, are given up and come too late; names are the case's own (fake_dns.h). */
#ifndef UDPR_SOAK_NAMES_H
#define UDPR_SOAK_NAMES_H

#include "soak.h"

enum { LOOKUPS = 8 };
#define HOSTS "127.0.0.1 localhost\n192.0.2.7 host.soak\n"

static const struct question {
  const char *name;
  uint16_t    family;
  udpr_ns     timeout;
  udpr_status expected;
} questions[] = {
    {"host.soak", UDPR_AF_INET, 0, UDPR_OK},
    {"localhost", UDPR_AF_INET, 0, UDPR_OK},
    {"ok.soak", UDPR_AF_UNSPEC, 0, UDPR_OK},
    {"six.soak", UDPR_AF_INET6, 0, UDPR_OK},
    {"127.0.0.1", UDPR_AF_UNSPEC, 0, UDPR_OK},
    {"::1", UDPR_AF_INET, 0, UDPR_E_ADDRESS_FAMILY},
    {"nx.soak", UDPR_AF_UNSPEC, 0, UDPR_E_NAME_NOT_FOUND},
    {"fail.soak", UDPR_AF_UNSPEC, 0, UDPR_E_NAME_TRY_AGAIN},
    {"ok.soak", UDPR_AF_UNSPEC, 1, UDPR_E_TIMED_OUT},
};
enum { QUESTIONS = sizeof questions / sizeof *questions };

typedef struct asked {
  const struct question *question;
  bool                   cancelled;
} asked;

static uint64_t lookups_out, answers;

static void resolved(udpr_reactor *reactor, udpr_id id, udpr_status status, const udpr_addr *addrs,
                     size_t count, void *user) {
  (void)reactor, (void)id, (void)addrs;
  const asked *self = user;
  CHECK_STATUS(self->cancelled ? UDPR_E_CANCELLED : self->question->expected, status);
  CHECK_EQ(status == UDPR_OK, count > 0);
  lookups_out--, answers++;
}

static void ask(void) {
  udpr_id id = 0;
  asked  *one = new_user(sizeof *one);
  one->question = &questions[any_below(QUESTIONS)];
  lookups_out++;
  if (!OK_OR_FAULT(udpr_reactor_resolve(soak.reactor, one->question->name, 53, one->question->family,
                                        one->question->timeout, resolved, one, take_back, &id))) {
    lookups_out--;
  } else if (any_below(8) == 0) {
    OK(udpr_reactor_cancel_resolve(soak.reactor, id));
    one->cancelled = true;
  }
}

static void names_begin(void) {}

static void names_tick(void) {
  while (!soak.ending && lookups_out < LOOKUPS) ask();
}

static bool names_settled(void) { return lookups_out == 0; }

static void names_end(void) {}

static const load names_load = {"look-ups", &answers, names_begin, names_tick, names_settled, names_end};

#endif
