/* udpr_reactor_watch_interfaces: what is reported, in which network namespace, and what after_fork does. */
#include "ipv6_address.h"
#include "network_namespace.h"
#include "refuse_syscalls.h"

#include <linux/netlink.h>
#include <poll.h>
#include <sys/stat.h>

typedef struct change_watcher change_watcher;
struct change_watcher {
  atomic_int freed;
  udpr_id    id;
  int        calls;
  void (*act)(udpr_reactor *, change_watcher *); /* called inside the callback */
  void *arg;                                     /* for `act` */
};

static void on_change(udpr_reactor *reactor, udpr_id id, void *user) {
  change_watcher *self = user;
  CHECK(id == self->id && self->freed == 0);
  self->calls++;
  if (self->act) self->act(reactor, self);
  CHECK_EQ(0, self->freed); /* not freed before it returns */
}

static void watch_interfaces(udpr_reactor *reactor, change_watcher *self) {
  OK(udpr_reactor_watch_interfaces(reactor, on_change, self, count_free, &self->id));
  CHECK(self->id != 0);
}

/* Runs turns until the changes so far are reported. */
static int calls_after(udpr_reactor *reactor, change_watcher *self) {
  self->calls = 0;
  RUN_UNTIL(reactor, self->calls);
  run_turns(reactor, 3);
  return self->calls;
}

/* A notice is in the socket when the command that made the change has ended. IPv6 addresses, which the kernel makes in a work queue,
 * would be reported some time later.
 */
static void without_ipv6(void) {
  enter_network_namespace();
  run_command("echo 1 2>/dev/null >/proc/sys/net/ipv6/conf/default/disable_ipv6 || true");
}

/* ---- what is reported ---------------------------------------------------------------------------------- */

TEST(interfaces_and_addresses_that_come_go_and_change) {
  static const char *const changes[] = {
      "link add v1 type veth peer name v2",
      "addr add 10.1.1.1/24 dev v1",
      "link set v1 up",
      "link set v1 mtu 1400",
      "addr del 10.1.1.1/24 dev v1",
      "link set v1 down",
      "link set v1 name v3",
      "link del v3",
  };
  without_ipv6();
  udpr_reactor  *reactor = new_reactor(0);
  change_watcher watcher = {0};
  watch_interfaces(reactor, &watcher);
  for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
    run_turns(reactor, 3);
    run_ip("%s", changes[i]);
    CHECK(calls_after(reactor, &watcher) >= 1); /* the kernel reports a change of the carrier later */
  }
  OK(udpr_reactor_free(reactor));
  CHECK_EQ(1, watcher.freed);
}

TEST(ipv6_addresses) {
  enter_network_namespace();
  udpr_reactor  *reactor = new_reactor(0);
  change_watcher watcher = {0};
  watch_interfaces(reactor, &watcher);
  add_ipv6_address("lo", "fd00::1", 64);
  CHECK_EQ(1, calls_after(reactor, &watcher));
  run_ip("addr del fd00::1/64 dev lo");
  CHECK(calls_after(reactor, &watcher) >= 1);
  OK(udpr_reactor_free(reactor));
}

TEST(what_is_there_already_is_not_reported) {
  without_ipv6();
  run_ip("link add v1 type veth peer name v2");
  run_ip("addr add 10.1.1.1/24 dev v1");
  udpr_reactor  *reactor = new_reactor(0);
  change_watcher watcher = {0};
  watch_interfaces(reactor, &watcher);
  run_turns(reactor, 5);
  CHECK_EQ(0, watcher.calls);
  OK(udpr_reactor_free(reactor));
}

TEST(several_changes_may_be_one_call) {
  without_ipv6();
  udpr_reactor  *reactor = new_reactor(0);
  change_watcher watcher = {0};
  watch_interfaces(reactor, &watcher);
  for (int i = 1; i < 20; i++) run_ip("addr add 10.1.1.%d/24 dev lo", i);
  CHECK_EQ(1, calls_after(reactor, &watcher));
  OK(udpr_reactor_free(reactor));
}

/* More notices than the socket holds: the kernel drops some, and reports ENOBUFS. */
TEST(lost_notices_are_one_call) {
  without_ipv6();
  run_ip("link add v1 type veth peer name v2");
  udpr_reactor  *reactor = new_reactor(0);
  change_watcher watcher = {0};
  watch_interfaces(reactor, &watcher);
  run_command("for i in $(seq 2000); do echo link set v1 mtu $((1000 + i)); done | ip -batch -");
  CHECK_EQ(1, calls_after(reactor, &watcher));
  run_ip("link set v1 mtu 900");
  CHECK_EQ(1, calls_after(reactor, &watcher)); /* later ones are reported as before */
  OK(udpr_reactor_free(reactor));
}

TEST(every_watch_of_every_reactor_is_called) {
  without_ipv6();
  udpr_reactor  *reactors[] = {new_reactor(0), new_reactor(UDPR_REACTOR_MANUAL_CLOCK)};
  change_watcher watchers[4] = {0};
  for (int i = 0; i < 4; i++) watch_interfaces(reactors[i / 2], &watchers[i]);
  run_ip("addr add 10.1.1.1/24 dev lo");
  for (int i = 0; i < 4; i++) RUN_UNTIL(reactors[i / 2], watchers[i].calls);
  OK(udpr_reactor_unwatch(reactors[0], watchers[0].id));
  run_ip("addr del 10.1.1.1/24 dev lo");
  for (int i = 1; i < 4; i++) RUN_UNTIL(reactors[i / 2], watchers[i].calls == 2);
  CHECK_EQ(1, watchers[0].calls);
  for (int i = 0; i < 2; i++) OK(udpr_reactor_free(reactors[i]));
}

TEST(backend_fd_is_readable_after_a_change) {
  without_ipv6();
  udpr_reactor  *reactor = new_reactor(0);
  change_watcher watcher = {0};
  udpr_socket    fd = -1;
  watch_interfaces(reactor, &watcher);
  OK(udpr_reactor_backend_fd(reactor, &fd));
  run_turns(reactor, 3);
  struct pollfd outer = {.fd = fd, .events = POLLIN};
  CHECK_EQ(0, poll(&outer, 1, 0));
  run_ip("addr add 10.1.1.1/24 dev lo");
  CHECK_EQ(1, poll(&outer, 1, 10000));
  CHECK_EQ(1, calls_after(reactor, &watcher));
  CHECK_EQ(0, poll(&outer, 1, 0));
  OK(udpr_reactor_free(reactor));
}

/* ---- the namespace ------------------------------------------------------------------------------------- */

static void watch_in_another_namespace(void *arg) {
  without_ipv6();
  void          **both = arg;
  udpr_reactor   *reactor = both[0];
  change_watcher *watcher = both[1];
  watch_interfaces(reactor, watcher);
  run_ip("addr add 10.1.1.1/24 dev lo");
  CHECK_EQ(1, calls_after(reactor, watcher));
}

/* The first watch belongs to the namespace of this thread, the second to that of the other one, whichever thread runs the reactor. */
TEST(a_watch_is_for_the_namespace_of_its_caller) {
  without_ipv6();
  udpr_reactor  *reactor = new_reactor(0);
  change_watcher here = {0}, there = {0};
  void          *both[] = {reactor, &there};
  watch_interfaces(reactor, &here);
  run_in_thread(watch_in_another_namespace, both);
  CHECK(here.calls == 0 && there.calls == 1);
  run_ip("addr add 10.2.2.2/24 dev lo");
  CHECK_EQ(1, calls_after(reactor, &here));
  CHECK_EQ(1, there.calls);
  OK(udpr_reactor_free(reactor));
}

/* ---- the end of watches -------------------------------------------------------------------------------- */

TEST(an_ended_watch_is_not_called) {
  without_ipv6();
  udpr_reactor  *reactor = new_reactor(0);
  change_watcher watcher = {0}, kept = {0};
  watch_interfaces(reactor, &watcher);
  watch_interfaces(reactor, &kept);
  run_ip("addr add 10.1.1.1/24 dev lo");
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_change_watch(reactor, watcher.id, UDPR_WATCH_READABLE));
  OK(udpr_reactor_unwatch(reactor, watcher.id));
  CHECK_EQ(1, watcher.freed);
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_unwatch(reactor, watcher.id));
  CHECK_EQ(1, calls_after(reactor, &kept));
  CHECK_EQ(0, watcher.calls);
  OK(udpr_reactor_free(reactor));
}

static void unwatch_both(udpr_reactor *reactor, change_watcher *self) {
  change_watcher *other = self->arg;
  CHECK_STATUS(UDPR_E_REENTRANT, udpr_reactor_iterate(reactor, 0));
  OK(udpr_reactor_unwatch(reactor, self->id));
  OK(udpr_reactor_unwatch(reactor, other->id));
  CHECK_EQ(1, other->freed);
}

TEST(a_callback_ends_its_own_watch_and_another_one) {
  without_ipv6();
  int            before = check_count_descriptors();
  udpr_reactor  *reactor = new_reactor(0);
  int            without = check_count_descriptors();
  change_watcher one = {.act = unwatch_both}, two = {.act = unwatch_both};
  one.arg = &two, two.arg = &one;
  watch_interfaces(reactor, &one);
  watch_interfaces(reactor, &two);
  run_ip("addr add 10.1.1.1/24 dev lo");
  RUN_UNTIL(reactor, one.calls + two.calls);
  run_turns(reactor, 3);
  CHECK(one.calls + two.calls == 1 && one.freed == 1 && two.freed == 1);
  CHECK_EQ(without, check_count_descriptors());
  OK(udpr_reactor_free(reactor));
  CHECK_EQ(before, check_count_descriptors());
}

/* ---- fork ---------------------------------------------------------------------------------------------- */

typedef struct fixture {
  udpr_reactor  *reactor;
  change_watcher watcher;
} fixture;

static void continue_in_child(void *arg) {
  fixture *f = arg;
  int      descriptors = check_count_descriptors();
  OK(udpr_reactor_after_fork(f->reactor));
  CHECK_EQ(descriptors, check_count_descriptors());
  run_turns(f->reactor, 3);
  CHECK_EQ(1, f->watcher.calls); /* after_fork itself, with the change before the fork */
  run_ip("addr add 10.2.2.2/24 dev lo");
  CHECK_EQ(1, calls_after(f->reactor, &f->watcher));
  OK(udpr_reactor_free(f->reactor));
  CHECK_EQ(1, f->watcher.freed);
}

TEST(after_fork_is_one_call_and_watches_again) {
  without_ipv6();
  fixture f = {.reactor = new_reactor(0)};
  watch_interfaces(f.reactor, &f.watcher);
  run_ip("addr add 10.1.1.1/24 dev lo");
  run_in_killed_child(continue_in_child, &f);
  CHECK_EQ(1, calls_after(f.reactor, &f.watcher)); /* the child has taken nothing of the parent's */
  run_ip("addr add 10.3.3.3/24 dev lo");
  CHECK_EQ(1, calls_after(f.reactor, &f.watcher));
  OK(udpr_reactor_free(f.reactor));
}

static void free_in_child(void *arg) {
  fixture *f = arg;
  OK(udpr_reactor_free(f->reactor));
  CHECK_EQ(0, f->watcher.freed);
  for (int fd = 3; fd < 64; fd++) {
    struct stat        other;
    struct sockaddr_nl local;
    socklen_t          len = sizeof local;
    if (fstat(fd, &other) == 0 && S_ISSOCK(other.st_mode))
      CHECK(getsockname(fd, (struct sockaddr *)&local, &len) != 0 || local.nl_family != AF_NETLINK);
  }
}

TEST(free_in_a_child_closes_the_socket) {
  fixture f = {.reactor = new_reactor(0)};
  watch_interfaces(f.reactor, &f.watcher);
  run_in_killed_child(free_in_child, &f);
  OK(udpr_reactor_free(f.reactor));
}

/* ---- failures ------------------------------------------------------------------------------------------ */

TEST(null_arguments) {
  udpr_reactor  *reactor = new_reactor(0);
  change_watcher user = {0};
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT,
               udpr_reactor_watch_interfaces(NULL, on_change, &user, count_free, NULL));
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT,
               udpr_reactor_watch_interfaces(reactor, NULL, &user, count_free, NULL));
  CHECK_EQ(2, user.freed);
  OK(udpr_reactor_watch_interfaces(reactor, on_change, NULL, NULL, NULL));
  OK(udpr_reactor_free(reactor));
  CHECK_EQ(2, user.freed);
}

static void check_refused(int call, int error, udpr_status expected) {
  udpr_reactor  *reactor = new_reactor(0);
  change_watcher user = {0};
  int            descriptors = check_count_descriptors();
  refuse_syscalls(&call, 1, error);
  CHECK_STATUS(expected, udpr_reactor_watch_interfaces(reactor, on_change, &user, count_free, &user.id));
  CHECK(user.freed == 1 && user.id == 0 && check_count_descriptors() == descriptors);
  OK(udpr_reactor_free(reactor));
}

TEST(sockets_refused_with_eafnosupport) { check_refused(SYS_socket, EAFNOSUPPORT, UDPR_E_NOT_SUPPORTED); }
TEST(sockets_refused_with_eperm) { check_refused(SYS_socket, EPERM, UDPR_E_PERMISSION); }
TEST(sockets_refused_with_eacces) { check_refused(SYS_socket, EACCES, UDPR_E_PERMISSION); }
#ifndef SYS_socketcall
TEST(bind_refused_with_eopnotsupp) { check_refused(SYS_bind, EOPNOTSUPP, UDPR_E_NOT_SUPPORTED); }
#endif

CHECK_MAIN()
