/* notices.c: operations on watches of signals and of the network interfaces, and what makes them due. */
#include "fuzz.h"

#include <net/if.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

/* The signals that are raised. They are ignored when no reactor watches them. */
static const int signals[] = {SIGHUP, SIGUSR1, SIGUSR2, SIGWINCH};
enum { SIGNALS = sizeof signals / sizeof *signals };

/* Whether the disposition of every signal is as at the beginning. */
bool signals_are_ignored(void) {
  for (int i = 0; i < SIGNALS; i++) {
    struct sigaction action;
    if (sigaction(signals[i], NULL, &action) != 0 || action.sa_handler != SIG_IGN) return false;
  }
  return true;
}

void ignore_signals(void) {
  for (int i = 0; i < SIGNALS; i++) ASSERT(signal(signals[i], SIG_IGN) != SIG_ERR);
}

/* Every live watch of this kind, and of this signal, is due. */
static void notify(enum kind kind, int number) {
  for (int i = 0; i < atomic_load(&model.registration_count); i++) {
    registration *reg = model.registrations[i];
    if (reg->kind == kind && reg->fd == number && atomic_load(&reg->live)) reg->pending = true;
  }
}

/* Runs the operations of a callback, which must be due. */
static void take_notice(registration *reg) {
  if (!reg->pending) FAIL("called without a notice, kind %d", reg->kind);
  reg->pending = false;
  run_random_operations();
  leave_callback(reg);
}

static void on_signal(udpr_reactor *reactor, udpr_id id, int32_t number, void *user) {
  registration *reg = enter_callback(user, SIGNAL, reactor);
  ASSERT(id == reg->id && number == reg->fd);
  take_notice(reg);
}

static void on_change(udpr_reactor *reactor, udpr_id id, void *user) {
  registration *reg = enter_callback(user, INTERFACES, reactor);
  ASSERT(id == reg->id);
  reg->pending |= !own_network; /* others may change the interfaces of the host */
  take_notice(reg);
}

static void op_watch_signal(void) {
  loop *loop = any_loop();
  if (!loop) return;
  bool          no_call = one_in(32), bad = no_call;
  registration *reg = new_registration(SIGNAL, loop);
  reg->fd = signals[below(SIGNALS)];
  if (one_in(8))
    reg->fd = PICK(0, -1, SIGKILL, SIGSTOP, SIGABRT, SIGSEGV, SIGTRAP, 32, 33, 65, INT32_MAX, INT32_MIN),
    bad = true;
  CALL(loop, udpr_reactor_watch_signal, loop->reactor, reg->fd, no_call ? NULL : on_signal, reg, free_fn(reg),
       &reg->id);
  if (bad ? EXPECT(UDPR_E_INVALID_ARGUMENT) : EXPECT(UDPR_OK)) ASSERT(reg->id != 0);
  else reg->id = 0, check_rejected(reg);
}

static void op_watch_interfaces(void) {
  loop *loop = any_loop();
  if (!loop) return;
  bool          no_call = one_in(32);
  registration *reg = new_registration(INTERFACES, loop);
  reg->fd = 0;
  CALL(loop, udpr_reactor_watch_interfaces, loop->reactor, no_call ? NULL : on_change, reg, free_fn(reg),
       &reg->id);
  if (no_call ? EXPECT(UDPR_E_INVALID_ARGUMENT) : EXPECT(UDPR_OK)) ASSERT(reg->id != 0);
  else reg->id = 0, check_rejected(reg);
}

static void op_raise(void) {
  int number = signals[below(SIGNALS)];
  notify(SIGNAL, number);
  for (uint32_t times = 1 + below(3); times > 0; times--) ASSERT(raise(number) == 0);
}

/* A flag that means nothing to the loopback device. */
static void op_change_interface(void) {
  static short all_groups;
  struct ifreq change = {.ifr_name = "lo", .ifr_flags = (short)(IFF_UP | (all_groups ^= IFF_ALLMULTI))};
  if (!own_network) return;
  int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  notify(INTERFACES, 0);
  if (fd >= 0) ASSERT(ioctl(fd, SIOCSIFFLAGS, &change) == 0); /* otherwise a simulated fault */
  if (fd >= 0) close(fd);
}

static void op_unwatch_notices(void) {
  loop         *loop = any_loop();
  registration *reg = loop ? any_registration(PICK(SIGNAL, INTERFACES), loop) : NULL;
  if (!reg || loop->closing) return;
  bool live = atomic_load(&reg->live), busy = atomic_load(&reg->busy) > 0;
  if (one_in(8)) {
    CALL(loop, udpr_reactor_change_watch, loop->reactor, reg->id, UDPR_WATCH_READABLE);
    EXPECT(UDPR_E_NOT_FOUND);
    return;
  }
  if (live && may_enter(loop) && !busy) atomic_store(&reg->live, false);
  CALL(loop, udpr_reactor_unwatch, loop->reactor, reg->id);
  if (EXPECT(live ? UDPR_OK : UDPR_E_NOT_FOUND) && !busy) must_be_freed(reg);
  if (call_status() == UDPR_OK) atomic_store(&reg->live, false);
}

const operation notice_operations[] = {{op_watch_signal, 3},     {op_watch_interfaces, 2}, {op_raise, 4},
                                       {op_change_interface, 2}, {op_unwatch_notices, 3},  {NULL, 0}};
