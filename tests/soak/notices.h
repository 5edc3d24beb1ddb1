/* notices.h: watches of a signal and of the interfaces, which begin and end at random while both are noticed. */
#ifndef UDPR_SOAK_NOTICES_H
#define UDPR_SOAK_NOTICES_H

#include "soak.h"

#include <net/if.h>
#include <sys/ioctl.h>

enum { NOTICE_WATCHES = 16 };

typedef struct notice_watch {
  bool due; /* of the signal: it has come since the last call */
} notice_watch;

static struct {
  udpr_id       id;
  notice_watch *user; /* valid while there is an id */
} notice_watches[NOTICE_WATCHES];
static uint64_t notices_received;
static int      notices_socket;

static void signal_noticed(udpr_reactor *reactor, udpr_id id, int32_t signal_number, void *user) {
  notice_watch *self = user;
  (void)reactor, (void)id;
  CHECK(self->due && signal_number == SIGUSR2);
  self->due = false;
  notices_received++;
}

static void change_noticed(udpr_reactor *reactor, udpr_id id, void *user) {
  (void)reactor, (void)id, (void)user;
  notices_received++;
}

static void begin_or_end_watch(int slot, bool begins) {
  if (notice_watches[slot].id) {
    OK(udpr_reactor_unwatch(soak.reactor, notice_watches[slot].id));
    notice_watches[slot].id = 0;
  } else if (begins) {
    notice_watch *user = new_registration(sizeof *user);
    udpr_id      *id = &notice_watches[slot].id;
    notice_watches[slot].user = user;
    if (slot % 4)
      OK(udpr_reactor_watch_signal(soak.reactor, SIGUSR2, signal_noticed, user, free_registration, id));
    else
      OK_OR_INJECTED(
          udpr_reactor_watch_interfaces(soak.reactor, change_noticed, user, free_registration, id));
  }
}

static void notices_begin(void) {
  memset(notice_watches, 0, sizeof notice_watches);
  CHECK(signal(SIGUSR2, SIG_IGN) != SIG_ERR);
  notices_socket = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  CHECK(notices_socket >= 0);
}

static void notices_tick(void) {
  static short all_groups = IFF_ALLMULTI;
  struct ifreq change = {.ifr_name = "lo", .ifr_flags = (short)(IFF_UP | all_groups)};
  if (soak.ending) return;
  if (random_below(2)) begin_or_end_watch((int)random_below(NOTICE_WATCHES), true);
  if (random_below(4) == 0) {
    for (int slot = 0; slot < NOTICE_WATCHES; slot++)
      if (notice_watches[slot].id && slot % 4) notice_watches[slot].user->due = true;
    CHECK_EQ(0, raise(SIGUSR2));
  }
  if (random_below(16) == 0) { /* a flag that means nothing to the loopback device */
    all_groups ^= IFF_ALLMULTI;
    CHECK_EQ(0, ioctl(notices_socket, SIOCSIFFLAGS, &change));
  }
}

static bool notices_settled(void) {
  for (int slot = 0; slot < NOTICE_WATCHES; slot++)
    if (notice_watches[slot].id && notice_watches[slot].user->due) return false;
  return true;
}

static void notices_end(void) {
  for (int slot = 0; slot < NOTICE_WATCHES; slot++) begin_or_end_watch(slot, false);
  CHECK(signal(SIGUSR2, SIG_DFL) == SIG_IGN);
  close(notices_socket);
}

static const load notices_load = {"signals and changes noticed",
                                  &notices_received,
                                  notices_begin,
                                  notices_tick,
                                  notices_settled,
                                  notices_end};

#endif
