/* Look-ups that need no network: literals, "localhost", and look-ups that are refused, cancelled or dropped.
 */
#include "lookup.h"

/* ---- results ------------------------------------------------------------------------------------------- */

TEST(literals) {
  udpr_reactor *reactor = new_lookup_reactor(0);
  lookup_expect_address(reactor, "127.0.0.1", UDPR_AF_UNSPEC, "127.0.0.1");
  lookup_expect_address(reactor, "198.51.100.7", UDPR_AF_INET, "198.51.100.7");
  lookup_expect_address(reactor, "2001:db8::7", UDPR_AF_UNSPEC, "2001:db8::7");
  lookup_expect_address(reactor, "::1", UDPR_AF_INET6, "::1");
  lookup_expect_address(reactor, "::ffff:1.2.3.4", UDPR_AF_INET6, "::ffff:1.2.3.4");
  lookup_expect_address(reactor, "fe80::1%" LOOPBACK, UDPR_AF_UNSPEC, "fe80::1%" LOOPBACK);
  lookup_expect_address(reactor, "", UDPR_AF_UNSPEC, "0.0.0.0");
  lookup_expect_address(reactor, "", UDPR_AF_INET, "0.0.0.0");
  free_lookup_reactor(reactor);
}

TEST(a_literal_of_the_other_family) {
  udpr_reactor *reactor = new_lookup_reactor(0);
  lookup        one;
  lookup_run(UDPR_E_ADDRESS_FAMILY, reactor, "127.0.0.1", UDPR_AF_INET6, &one);
  lookup_run(UDPR_E_ADDRESS_FAMILY, reactor, "::1", UDPR_AF_INET, &one);
  free_lookup_reactor(reactor);
}

TEST(localhost) {
  udpr_reactor *reactor = new_lookup_reactor(0);
  lookup        one;
  lookup_expect_address(reactor, "localhost", UDPR_AF_INET, "127.0.0.1");
  lookup_run(UDPR_OK, reactor, "localhost", UDPR_AF_UNSPEC, &one);
  for (size_t i = 0; i < one.count; i++) CHECK_EQ(4321, one.addrs[i].port);
  free_lookup_reactor(reactor);
}

TEST(literals_need_no_thread) {
  static const char *const hosts[] = {"127.0.0.1", "::1", ""};
  udpr_reactor            *reactor = new_lookup_reactor(0);
  lookup                   literal;
  for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
    lookup_run(UDPR_OK, reactor, hosts[i], UDPR_AF_UNSPEC, &literal);
    CHECK_EQ(lookup_other_threads, count_threads());
  }
  free_lookup_reactor(reactor);
}

static void resolve_next(udpr_reactor *reactor, lookup *self) {
  if (self->arg) lookup_start(reactor, "127.0.0.1", 0, 0, self->arg);
  else OK(udpr_reactor_stop(reactor));
}

TEST(a_callback_may_resolve) {
  udpr_reactor *reactor = new_lookup_reactor(0);
  lookup        chain[4] = {{0}};
  for (int i = 0; i < 4; i++) chain[i] = (lookup){.act = resolve_next, .arg = i < 3 ? &chain[i + 1] : NULL};
  lookup_start(reactor, "localhost", 0, 0, &chain[0]);
  run_with_timeout(reactor);
  for (int i = 0; i < 4; i++) CHECK(chain[i].calls == 1 && chain[i].freed == 1);
  free_lookup_reactor(reactor);
}

TEST(many_at_once) {
  enum { COUNT = 100 };
  udpr_reactor *reactor = new_lookup_reactor(0);
  lookup        all[COUNT] = {{0}};
  for (int i = 0; i < COUNT; i++)
    lookup_start(reactor, i % 2 ? "localhost" : "127.0.0.1", UDPR_AF_INET, 0, &all[i]);
  for (int i = 0; i < COUNT; i++) lookup_expect_status(UDPR_OK, reactor, &all[i]);
  free_lookup_reactor(reactor);
}

/* ---- refused in the call ------------------------------------------------------------------------------- */

static void check_refused(udpr_reactor *reactor, const char *host, uint16_t family) {
  lookup      user = {0};
  udpr_id     id = 42;
  udpr_status status =
      udpr_reactor_resolve(reactor, host, 53, family, 0, lookup_resolved, &user, count_free, &id);
  if (status != UDPR_E_INVALID_ARGUMENT) FAIL("\"%s\" returns %s", host, udpr_status_name(status));
  CHECK(user.freed == 1 && user.calls == 0 && id == 42);
}

TEST(invalid_names) {
  static const char *const hosts[] = {".",          "..",         ".a",
                                      "a..b",       "a..",        "a b",
                                      " localhost", "localhost ", "local\thost",
                                      "a\nb",       "a\x01",      "\x7f",
                                      "a/b",        "a%b",        "%lo",
                                      "a:53",       "[::1]",      "127.0.0.1:53",
                                      "::1%",       "::1::",      "1.2.3.4%1",
                                      "a@b",        "a\\b",       "a'b",
                                      "a;b",        "*",          "255.255.255.256",
                                      "1.2.3.4.",   "1.2.3.4 "};
  udpr_reactor            *reactor = new_lookup_reactor(0);
  for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) check_refused(reactor, hosts[i], UDPR_AF_UNSPEC);
  free_lookup_reactor(reactor);
}

/* Returns a name of `len` bytes that begins with `start` and continues with labels of 63 bytes. */
static const char *long_name(size_t len, const char *start) {
  static char name[4097];
  CHECK(len < sizeof name);
  for (size_t i = 0; i < len; i++) name[i] = i % 64 == 63 && i + 1 < len ? '.' : 'a';
  memcpy(name, start, strlen(start));
  name[len] = '\0';
  return name;
}

/* CVE-2024-24806: cut at 255 bytes, such a name was an address for getaddrinfo. */
TEST(names_that_are_too_long) {
  static const size_t lengths[] = {254, 255, 256, 257, 300, 512, 1024, 1025, 4096};
  udpr_reactor       *reactor = new_lookup_reactor(0);
  for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
    check_refused(reactor, long_name(lengths[i], ""), UDPR_AF_UNSPEC);
    check_refused(reactor, long_name(lengths[i], "0x7f000001"), UDPR_AF_INET);
  }
  char zeros[300] = "";
  memset(zeros, '0', 255);
  memcpy(zeros, "0x", 2);
  memcpy(zeros + 247, "7f000001.example.com", 21);
  check_refused(reactor, zeros, UDPR_AF_UNSPEC);
  free_lookup_reactor(reactor);
}

TEST(arguments_are_checked) {
  udpr_reactor *reactor = new_lookup_reactor(0);
  lookup        user = {0};
  check_refused(NULL, "localhost", UDPR_AF_UNSPEC);
  check_refused(reactor, NULL, UDPR_AF_UNSPEC);
  check_refused(reactor, "localhost", 5);
  check_refused(reactor, "127.0.0.1", AF_INET6); /* AF_INET6 is not UDPR_AF_INET6 */
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT,
               udpr_reactor_resolve(reactor, "localhost", 0, 0, 0, NULL, &user, count_free, NULL));
  CHECK_EQ(1, user.freed);
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_reactor_cancel_resolve(NULL, 1));
  free_lookup_reactor(reactor);
}

/* ---- cancel -------------------------------------------------------------------------------------------- */

TEST(a_cancelled_look_up_calls_back_once) {
  udpr_reactor *reactor = new_lookup_reactor(0);
  lookup        name = {0}, literal = {0};
  lookup_start(reactor, "localhost", 0, 0, &name);
  lookup_start(reactor, "127.0.0.1", 0, 0, &literal);
  OK(udpr_reactor_cancel_resolve(reactor, name.id));
  CHECK_EQ(0, name.calls); /* the callback is called in a later turn */
  lookup_expect_status(UDPR_E_CANCELLED, reactor, &name);
  lookup_expect_status(UDPR_OK, reactor, &literal);
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_cancel_resolve(reactor, name.id));
  WAIT_UNTIL(count_threads() == lookup_other_threads);
  run_turns(reactor, 5);
  CHECK_EQ(1, name.calls);
  free_lookup_reactor(reactor);
  CHECK_EQ(1, name.freed);
}

TEST(a_literal_can_be_cancelled_until_its_callback) {
  udpr_reactor *reactor = new_lookup_reactor(0);
  lookup        one = {0};
  lookup_start(reactor, "127.0.0.1", 0, 0, &one);
  OK(udpr_reactor_cancel_resolve(reactor, one.id));
  lookup_expect_status(UDPR_E_CANCELLED, reactor, &one);
  run_turns(reactor, 3);
  CHECK_EQ(1, one.calls);
  free_lookup_reactor(reactor);
}

static void cancel_itself(udpr_reactor *reactor, lookup *self) {
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_cancel_resolve(reactor, self->id));
}

TEST(a_completed_look_up_cannot_be_cancelled) {
  udpr_reactor *reactor = new_lookup_reactor(0);
  lookup        one = {.act = cancel_itself};
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_cancel_resolve(reactor, 0));
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_cancel_resolve(reactor, 12345));
  lookup_start(reactor, "localhost", 0, 0, &one);
  lookup_expect_status(UDPR_OK, reactor, &one);
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_cancel_resolve(reactor, one.id));
  free_lookup_reactor(reactor);
}

static void cancel_other(udpr_reactor *reactor, lookup *self) {
  udpr_reactor_cancel_resolve(reactor, ((lookup *)self->arg)->id);
}

/* Both may have completed already. Each callback is called once, with either status. */
TEST(cancel_another_in_a_callback) {
  udpr_reactor *reactor = new_lookup_reactor(0);
  lookup        two[2] = {{.act = cancel_other, .arg = &two[1]}, {.act = cancel_other, .arg = &two[0]}};
  lookup_start(reactor, "127.0.0.1", 0, 0, &two[0]);
  lookup_start(reactor, "127.0.0.1", 0, 0, &two[1]);
  for (int i = 0; i < 2; i++) RUN_UNTIL(reactor, two[i].freed);
  run_turns(reactor, 3);
  CHECK(two[0].calls == 1 && two[1].calls == 1);
  free_lookup_reactor(reactor);
}

/* ---- free ---------------------------------------------------------------------------------------------- */

TEST(free_drops_look_ups) {
  enum { COUNT = 20 };
  udpr_reactor *reactor = new_lookup_reactor(0);
  lookup        all[COUNT] = {{0}};
  for (int i = 0; i < COUNT; i++) lookup_start(reactor, i % 2 ? "localhost" : "::1", 0, 0, &all[i]);
  OK(udpr_reactor_cancel_resolve(reactor, all[1].id));
  free_lookup_reactor(reactor);
  for (int i = 0; i < COUNT; i++) CHECK(all[i].calls == 0 && all[i].freed == 1);
}

CHECK_MAIN()
