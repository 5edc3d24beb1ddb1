/* Names by a hosts file and a DNS server of the test's own: order, families, failures, and look-ups that hang. */
#include "lookup_dns.h"

#include <netdb.h>

/* ---- hosts --------------------------------------------------------------------------------------------- */

/* What getaddrinfo says here, as the reactor must repeat it. */
static void same_as_the_system(udpr_reactor *reactor, const char *host, int system_family, uint16_t family) {
  struct addrinfo hints = {.ai_family = system_family, .ai_socktype = SOCK_DGRAM}, *list = NULL;
  lookup          one;
  size_t          count = 0;
  CHECK_EQ(0, getaddrinfo(host, "4321", &hints, &list));
  look_up_now(UDPR_OK, reactor, host, family, &one);
  for (struct addrinfo *entry = list; entry; entry = entry->ai_next, count++) {
    udpr_addr expected;
    OK(udpr_addr_from_sockaddr(entry->ai_addr, entry->ai_addrlen, &expected));
    CHECK(count < one.count);
    CHECK_ADDR(&expected, &one.addrs[count]);
  }
  CHECK_EQ(count, one.count);
  freeaddrinfo(list);
}

TEST(all_addresses_in_the_systems_order) {
  enter_own_system(HOSTS);
  udpr_reactor *reactor = lookup_reactor(0);
  lookup        one;
  same_as_the_system(reactor, "both.test", AF_UNSPEC, UDPR_AF_UNSPEC);
  same_as_the_system(reactor, "both.test", AF_INET, UDPR_AF_INET);
  same_as_the_system(reactor, "both.test", AF_INET6, UDPR_AF_INET6);
  look_up_now(UDPR_OK, reactor, "both.test", UDPR_AF_UNSPEC, &one);
  CHECK_EQ(4, one.count); /* each once, though there is no network but the loopback */
  lookup_end(reactor);
}

TEST(one_family) {
  enter_own_system(HOSTS);
  udpr_reactor *reactor = lookup_reactor(0);
  look_up_finds(reactor, "both.test", UDPR_AF_INET6, "::1");
  look_up_finds(reactor, "four.test", UDPR_AF_UNSPEC, "127.0.0.1");
  look_up_finds(reactor, "six.test", UDPR_AF_UNSPEC, "::1");
  look_up_finds(reactor, "_under_score.test", UDPR_AF_INET, "127.0.0.1");
  lookup_end(reactor);
}

/* ---- DNS ----------------------------------------------------------------------------------------------- */

TEST(not_found_is_told_from_try_again) {
  system_here here;
  lookup      one;
  set_up(&here, 0);
  look_up_now(UDPR_E_NAME_NOT_FOUND, here.reactor, "nx.test", UDPR_AF_UNSPEC, &one);
  look_up_now(UDPR_E_NAME_NOT_FOUND, here.reactor, "no-address.test", UDPR_AF_UNSPEC, &one);
  look_up_now(UDPR_E_NAME_NOT_FOUND, here.reactor, "four.example", UDPR_AF_INET6, &one);
  look_up_now(UDPR_E_NAME_TRY_AGAIN, here.reactor, "fail.test", UDPR_AF_UNSPEC, &one);
  look_up_finds(here.reactor, "four.example", UDPR_AF_UNSPEC, "192.0.2.1");
  look_up_finds(here.reactor, "ok.test", UDPR_AF_INET, "192.0.2.1");
  look_up_finds(here.reactor, "ok.test", UDPR_AF_INET6, "2001:db8::1");
  look_up_now(UDPR_OK, here.reactor, "ok.test.", UDPR_AF_UNSPEC, &one);
  CHECK_EQ(2, one.count);
  tear_down(&here);
}

TEST(without_a_server_it_is_try_again) {
  enter_own_system(HOSTS);
  udpr_reactor *reactor = lookup_reactor(0);
  lookup        one;
  look_up_now(UDPR_E_NAME_TRY_AGAIN, reactor, "nosuch.invalid", UDPR_AF_UNSPEC, &one);
  lookup_end(reactor);
}

TEST(what_is_refused_asks_nobody) {
  static const char *const hosts[] = {"a..b", "a b", "nx.test/", "nx.test%1", ".nx.test"};
  system_here              here;
  lookup                   one;
  set_up(&here, 0);
  for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
    lookup user = {0};
    CHECK(udpr_reactor_resolve(here.reactor, hosts[i], 0, 0, 0, lookup_resolved, &user, count_free, NULL) <
          0);
    CHECK_EQ(1, user.freed);
  }
  look_up_now(UDPR_OK, here.reactor, "127.0.0.1", UDPR_AF_UNSPEC, &one);
  look_up_now(UDPR_OK, here.reactor, "both.test", UDPR_AF_UNSPEC, &one);
  CHECK_EQ(0, here.dns.queries);
  tear_down(&here);
}

/* 253 bytes are a name, which is asked for as it is. */
TEST(the_longest_name) {
  system_here here;
  lookup      one;
  char        name[254];
  set_up(&here, 0);
  for (size_t i = 0; i < 253; i++) name[i] = i % 64 == 63 ? '.' : 'a';
  memcpy(name, "ok.", 3);
  name[253] = '\0';
  look_up_now(UDPR_OK, here.reactor, name, UDPR_AF_INET, &one);
  CHECK_EQ(1, one.count);
  tear_down(&here);
}

/* ---- look-ups that hang -------------------------------------------------------------------------------- */

TEST(a_look_up_that_hangs_times_out) {
  system_here here;
  lookup      one = {0}, other;
  set_up(&here, 0);
  udpr_ns begin = udpr_reactor_now(here.reactor);
  hang(&here, MS(50), &one);
  answered(UDPR_E_TIMED_OUT, here.reactor, &one);
  CHECK(udpr_reactor_now(here.reactor) - begin >= MS(50));
  look_up_now(UDPR_OK, here.reactor, "ok.test", UDPR_AF_INET, &other); /* it holds up nobody else */

  dns_release(&here.dns); /* too late */
  look_up_now(UDPR_OK, here.reactor, "ok.test", UDPR_AF_INET6, &other);
  AWAIT(threads_here() == lookup_others); /* the thread that was left behind has its answer */
  turns(here.reactor, 5);
  CHECK_EQ(1, one.calls);
  tear_down(&here);
  CHECK_EQ(1, one.freed);
}

TEST(a_look_up_that_hangs_can_be_cancelled) {
  system_here here;
  lookup      one = {0};
  set_up(&here, 0);
  hang(&here, 0, &one);
  OK(udpr_reactor_cancel_resolve(here.reactor, one.id));
  answered(UDPR_E_CANCELLED, here.reactor, &one);
  dns_release(&here.dns);
  tear_down(&here);
  CHECK(one.calls == 1 && one.freed == 1);
}

/* The time runs while it waits for a thread, too. */
TEST(the_timeout_counts_from_the_call) {
  system_here here;
  lookup      hanging[UNDER_WAY] = {{0}}, waiting = {0};
  set_up(&here, 0);
  for (int i = 0; i < UNDER_WAY; i++) hang(&here, 0, &hanging[i]);
  udpr_ns begin = udpr_reactor_now(here.reactor);
  look_up(here.reactor, "localhost", 0, MS(30), &waiting);
  answered(UDPR_E_TIMED_OUT, here.reactor, &waiting);
  CHECK(udpr_reactor_now(here.reactor) - begin >= MS(30));
  dns_release(&here.dns);
  for (int i = 0; i < UNDER_WAY; i++) answered(UDPR_OK, here.reactor, &hanging[i]);
  turns(here.reactor, 5);
  CHECK_EQ(1, waiting.calls);
  tear_down(&here);
}

TEST(sixty_seconds_by_default) {
  system_here here;
  lookup      name = {0};
  set_up(&here, 0);
  OK(udpr_reactor_free(here.reactor));
  here.reactor = new_reactor(UDPR_REACTOR_MANUAL_CLOCK);
  hang(&here, 0, &name);
  OK(udpr_reactor_advance(here.reactor, SECONDS(60) - 1));
  turns(here.reactor, 5);
  CHECK_EQ(0, name.calls);
  OK(udpr_reactor_advance(here.reactor, 1));
  CHECK_EQ(0, name.calls); /* advance is no turn */
  answered(UDPR_E_TIMED_OUT, here.reactor, &name);
  dns_release(&here.dns);
  tear_down(&here);
}

TEST(free_does_not_wait_for_it) {
  system_here here;
  lookup      hanging[3] = {{0}}, told = {0};
  set_up(&here, 4);
  for (int i = 0; i < 3; i++) hang(&here, 0, &hanging[i]);
  hang(&here, MS(10), &told);
  answered(UDPR_E_TIMED_OUT, here.reactor, &told);
  udpr_ns begin = monotonic_ns();
  OK(udpr_reactor_free(here.reactor));
  CHECK(monotonic_ns() - begin < CHECK_PATIENCE); /* the server would take half a minute */
  for (int i = 0; i < 3; i++) CHECK(hanging[i].calls == 0 && hanging[i].freed == 1);
  CHECK_EQ(1, told.freed);
  dns_release(&here.dns); /* now they end, and touch nothing that is gone */
  AWAIT(threads_here() == lookup_others);
  dns_stop(&here.dns);
}

/* Work is waited for, though a look-up beside it is not. */
TEST(free_waits_for_work_beside_it) {
  system_here  here;
  lookup       hanging = {0};
  sem_t        gate;
  job          beside = {.gate = &gate};
  check_thread opener;
  CHECK_EQ(0, sem_init(&gate, 0, 0));
  set_up(&here, 2);
  hang(&here, 0, &hanging);
  put(here.reactor, &beside);
  AWAIT(beside.began);
  thread_start(&opener, open_gate_later, &gate);
  OK(udpr_reactor_free(here.reactor));
  CHECK(beside.ended == 1 && beside.freed == 1 && hanging.freed == 1);
  thread_join(&opener);
  dns_release(&here.dns);
  AWAIT(threads_here() == lookup_others);
  dns_stop(&here.dns);
  sem_destroy(&gate);
}

CHECK_MAIN()
