/* Look-ups with a hosts file and a DNS server of the test's own: order, families, failures, and look-ups that
 * hang.
 */
#include "lookup_dns.h"

#include <netdb.h>

/* ---- hosts --------------------------------------------------------------------------------------------- */

/* Checks that the reactor reports the addresses that getaddrinfo returns here. */
static void check_same_as_getaddrinfo(udpr_reactor *reactor, const char *host, int system_family,
                                      uint16_t family) {
  struct addrinfo hints = {.ai_family = system_family, .ai_socktype = SOCK_DGRAM}, *list = NULL;
  lookup          one;
  size_t          count = 0;
  CHECK_EQ(0, getaddrinfo(host, "4321", &hints, &list));
  lookup_run(UDPR_OK, reactor, host, family, &one);
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
  enter_dns_namespace(HOSTS_FILE);
  udpr_reactor *reactor = new_lookup_reactor(0);
  lookup        one;
  check_same_as_getaddrinfo(reactor, "both.test", AF_UNSPEC, UDPR_AF_UNSPEC);
  check_same_as_getaddrinfo(reactor, "both.test", AF_INET, UDPR_AF_INET);
  check_same_as_getaddrinfo(reactor, "both.test", AF_INET6, UDPR_AF_INET6);
  lookup_run(UDPR_OK, reactor, "both.test", UDPR_AF_UNSPEC, &one);
  CHECK_EQ(4, one.count); /* each once, although there is no network but the loopback */
  free_lookup_reactor(reactor);
}

TEST(one_family) {
  enter_dns_namespace(HOSTS_FILE);
  udpr_reactor *reactor = new_lookup_reactor(0);
  lookup_expect_address(reactor, "both.test", UDPR_AF_INET6, "::1");
  lookup_expect_address(reactor, "four.test", UDPR_AF_UNSPEC, "127.0.0.1");
  lookup_expect_address(reactor, "six.test", UDPR_AF_UNSPEC, "::1");
  lookup_expect_address(reactor, "_under_score.test", UDPR_AF_INET, "127.0.0.1");
  free_lookup_reactor(reactor);
}

/* ---- DNS ----------------------------------------------------------------------------------------------- */

TEST(not_found_and_try_again_are_distinguished) {
  dns_fixture fixture;
  lookup      one;
  set_up(&fixture, 0);
  lookup_run(UDPR_E_NAME_NOT_FOUND, fixture.reactor, "nx.test", UDPR_AF_UNSPEC, &one);
  lookup_run(UDPR_E_NAME_NOT_FOUND, fixture.reactor, "no-address.test", UDPR_AF_UNSPEC, &one);
  lookup_run(UDPR_E_NAME_NOT_FOUND, fixture.reactor, "four.example", UDPR_AF_INET6, &one);
  lookup_run(UDPR_E_NAME_TRY_AGAIN, fixture.reactor, "fail.test", UDPR_AF_UNSPEC, &one);
  lookup_expect_address(fixture.reactor, "four.example", UDPR_AF_UNSPEC, "192.0.2.1");
  lookup_expect_address(fixture.reactor, "ok.test", UDPR_AF_INET, "192.0.2.1");
  lookup_expect_address(fixture.reactor, "ok.test", UDPR_AF_INET6, "2001:db8::1");
  lookup_run(UDPR_OK, fixture.reactor, "ok.test.", UDPR_AF_UNSPEC, &one);
  CHECK_EQ(2, one.count);
  tear_down(&fixture);
}

TEST(try_again_without_a_server) {
  enter_dns_namespace(HOSTS_FILE);
  udpr_reactor *reactor = new_lookup_reactor(0);
  lookup        one;
  lookup_run(UDPR_E_NAME_TRY_AGAIN, reactor, "nosuch.invalid", UDPR_AF_UNSPEC, &one);
  free_lookup_reactor(reactor);
}

TEST(refused_names_are_not_queried) {
  static const char *const hosts[] = {"a..b", "a b", "nx.test/", "nx.test%1", ".nx.test"};
  dns_fixture              fixture;
  lookup                   one;
  set_up(&fixture, 0);
  for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
    lookup user = {0};
    CHECK(udpr_reactor_resolve(fixture.reactor, hosts[i], 0, 0, 0, lookup_resolved, &user, count_free, NULL) <
          0);
    CHECK_EQ(1, user.freed);
  }
  lookup_run(UDPR_OK, fixture.reactor, "127.0.0.1", UDPR_AF_UNSPEC, &one);
  lookup_run(UDPR_OK, fixture.reactor, "both.test", UDPR_AF_UNSPEC, &one);
  CHECK_EQ(0, fixture.dns.queries);
  tear_down(&fixture);
}

/* A name of 253 bytes is valid, and is queried as it is. */
TEST(the_longest_name) {
  dns_fixture fixture;
  lookup      one;
  char        name[254];
  set_up(&fixture, 0);
  for (size_t i = 0; i < 253; i++) name[i] = i % 64 == 63 ? '.' : 'a';
  memcpy(name, "ok.", 3);
  name[253] = '\0';
  lookup_run(UDPR_OK, fixture.reactor, name, UDPR_AF_INET, &one);
  CHECK_EQ(1, one.count);
  tear_down(&fixture);
}

/* ---- hanging look-ups ---------------------------------------------------------------------------------- */

TEST(a_hanging_look_up_times_out) {
  dns_fixture fixture;
  lookup      one = {0}, other;
  set_up(&fixture, 0);
  udpr_ns begin = udpr_reactor_now(fixture.reactor);
  start_hanging_lookup(&fixture, MS(50), &one);
  lookup_expect_status(UDPR_E_TIMED_OUT, fixture.reactor, &one);
  CHECK(udpr_reactor_now(fixture.reactor) - begin >= MS(50));
  /* it does not block other look-ups */
  lookup_run(UDPR_OK, fixture.reactor, "ok.test", UDPR_AF_INET, &other);

  dns_answer_held(&fixture.dns); /* too late */
  lookup_run(UDPR_OK, fixture.reactor, "ok.test", UDPR_AF_INET6, &other);
  /* the thread that was left behind gets its reply and ends */
  WAIT_UNTIL(count_threads() == lookup_other_threads);
  run_turns(fixture.reactor, 5);
  CHECK_EQ(1, one.calls);
  tear_down(&fixture);
  CHECK_EQ(1, one.freed);
}

TEST(a_hanging_look_up_can_be_cancelled) {
  dns_fixture fixture;
  lookup      one = {0};
  set_up(&fixture, 0);
  start_hanging_lookup(&fixture, 0, &one);
  OK(udpr_reactor_cancel_resolve(fixture.reactor, one.id));
  lookup_expect_status(UDPR_E_CANCELLED, fixture.reactor, &one);
  dns_answer_held(&fixture.dns);
  tear_down(&fixture);
  CHECK(one.calls == 1 && one.freed == 1);
}

/* The timeout includes the time that a look-up waits for a thread. */
TEST(the_timeout_counts_from_the_call) {
  dns_fixture fixture;
  lookup      hanging[MAX_PENDING_PER_REACTOR] = {{0}}, waiting = {0};
  set_up(&fixture, 0);
  for (int i = 0; i < MAX_PENDING_PER_REACTOR; i++) start_hanging_lookup(&fixture, 0, &hanging[i]);
  udpr_ns begin = udpr_reactor_now(fixture.reactor);
  lookup_start(fixture.reactor, "localhost", 0, MS(30), &waiting);
  lookup_expect_status(UDPR_E_TIMED_OUT, fixture.reactor, &waiting);
  CHECK(udpr_reactor_now(fixture.reactor) - begin >= MS(30));
  dns_answer_held(&fixture.dns);
  for (int i = 0; i < MAX_PENDING_PER_REACTOR; i++)
    lookup_expect_status(UDPR_OK, fixture.reactor, &hanging[i]);
  run_turns(fixture.reactor, 5);
  CHECK_EQ(1, waiting.calls);
  tear_down(&fixture);
}

TEST(the_default_timeout_is_sixty_seconds) {
  dns_fixture fixture;
  lookup      name = {0};
  set_up(&fixture, 0);
  OK(udpr_reactor_free(fixture.reactor));
  fixture.reactor = new_reactor(UDPR_REACTOR_MANUAL_CLOCK);
  start_hanging_lookup(&fixture, 0, &name);
  OK(udpr_reactor_advance(fixture.reactor, SECONDS(60) - 1));
  run_turns(fixture.reactor, 5);
  CHECK_EQ(0, name.calls);
  OK(udpr_reactor_advance(fixture.reactor, 1));
  CHECK_EQ(0, name.calls); /* advance runs no turn */
  lookup_expect_status(UDPR_E_TIMED_OUT, fixture.reactor, &name);
  dns_answer_held(&fixture.dns);
  tear_down(&fixture);
}

TEST(free_does_not_wait_for_a_look_up) {
  dns_fixture fixture;
  lookup      hanging[3] = {{0}}, reported = {0};
  set_up(&fixture, 4);
  for (int i = 0; i < 3; i++) start_hanging_lookup(&fixture, 0, &hanging[i]);
  start_hanging_lookup(&fixture, MS(10), &reported);
  lookup_expect_status(UDPR_E_TIMED_OUT, fixture.reactor, &reported);
  udpr_ns begin = monotonic_ns();
  OK(udpr_reactor_free(fixture.reactor));
  CHECK(monotonic_ns() - begin < CHECK_TIMEOUT); /* the resolver's own timeout is half a minute */
  for (int i = 0; i < 3; i++) CHECK(hanging[i].calls == 0 && hanging[i].freed == 1);
  CHECK_EQ(1, reported.freed);
  dns_answer_held(&fixture.dns); /* the threads end, and must not use freed memory */
  WAIT_UNTIL(count_threads() == lookup_other_threads);
  dns_stop(&fixture.dns);
}

/* free waits for work, but not for look-ups. */
TEST(free_waits_for_work_but_not_for_a_look_up) {
  dns_fixture  fixture;
  lookup       hanging = {0};
  sem_t        may_finish;
  job          other = {.may_finish = &may_finish};
  check_thread opener;
  CHECK_EQ(0, sem_init(&may_finish, 0, 0));
  set_up(&fixture, 2);
  start_hanging_lookup(&fixture, 0, &hanging);
  job_submit(fixture.reactor, &other);
  WAIT_UNTIL(other.began);
  thread_start(&opener, post_semaphore_later, &may_finish);
  OK(udpr_reactor_free(fixture.reactor));
  CHECK(other.ended == 1 && other.freed == 1 && hanging.freed == 1);
  thread_join(&opener);
  dns_answer_held(&fixture.dns);
  WAIT_UNTIL(count_threads() == lookup_other_threads);
  dns_stop(&fixture.dns);
  sem_destroy(&may_finish);
}

CHECK_MAIN()
