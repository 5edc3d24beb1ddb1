/* The records of a logger at UDPR_LOG_DEBUG for calls that are refused: what they say, and when they are made. That every refused
 * call makes one is checked by CHECK_STATUS in all tests.
 */
#include "check.h"

enum { REFUSALS_MAX = 64 };

#define REFUSED(text, call)         \
  do {                              \
    udpr_status status_ = (call);   \
    CHECK(status_ < 0);             \
    CHECK_STR(text, check_refusal); \
    *check_refusal = '\0';          \
  } while (0)

/* The same, of a function for any thread, which is logged in the next turn. */
#define REFUSED_IN_A_TURN(text, reactor, call) \
  do {                                         \
    *check_refusal = '\0';                     \
    CHECK((call) < 0);                         \
    CHECK_STR("", check_refusal);              \
    run_turns(reactor, 1);                     \
    CHECK_STR(text, check_refusal);            \
  } while (0)

typedef struct fixture {
  udpr_reactor   *reactor;
  udpr_transport *transport;
  udpr_addr       to;
} fixture;

static fixture set_up(void) {
  udpr_protocol protocol = {.size = sizeof protocol};
  fixture       f = {.reactor = new_reactor(0), .to = addr("127.0.0.1", 9)};
  f.transport = listen_on(f.reactor, "127.0.0.1", &protocol, NULL);
  *check_refusal = '\0';
  return f;
}

static void tear_down(fixture *f) {
  udpr_transport_release(f->transport);
  OK(udpr_reactor_free(f->reactor));
}

static void call(udpr_reactor *reactor, void *user) { (void)reactor, (void)user; }

TEST(numbers_and_null) {
  fixture   f = set_up();
  udpr_addr inet = f.to, no_port = f.to, later = f.to;
  inet.family = AF_INET, no_port.port = 0, later.reserved = 7;
  REFUSED("udpr_transport_write: to->family is 2; UDPR_AF_INET is 4, UDPR_AF_INET6 is 6",
          udpr_transport_write(f.transport, "x", 1, &inet));
  REFUSED("udpr_transport_connect: peer->port is 0; 1 to 65535",
          udpr_transport_connect(f.transport, &no_port));
  REFUSED("udpr_transport_write: to->reserved is 7; this version knows only 0",
          udpr_transport_write(f.transport, "x", 1, &later));
  REFUSED("udpr_transport_write: data is NULL", udpr_transport_write(f.transport, NULL, 1, &f.to));
  REFUSED("udpr_reactor_call_later: fn is NULL",
          udpr_reactor_call_later(f.reactor, 0, NULL, NULL, NULL, NULL));
  REFUSED("udpr_reactor_call_later: delay is 18446744073709551611; above INT64_MAX: a negative difference",
          udpr_reactor_call_later(f.reactor, (udpr_ns)-5, call, NULL, NULL, NULL));
  REFUSED("udpr_transport_set_ttl: ttl is 256; 0 to 255", udpr_transport_set_ttl(f.transport, 256));
  REFUSED("udpr_reactor_advance: reactor has no manual clock; UDPR_REACTOR_MANUAL_CLOCK makes one",
          udpr_reactor_advance(f.reactor, 1));
  tear_down(&f);
}

TEST(structs_and_elements_of_arrays) {
  fixture       f = set_up();
  size_t        taken;
  udpr_protocol no_size = {0}, protocol = {.size = sizeof protocol};
  REFUSED("udpr_reactor_listen_udp: protocol->size is 0; set it to sizeof the struct",
          udpr_reactor_listen_udp(f.reactor, 0, NULL, &no_size, NULL, NULL));
  udpr_udp_options options = {.size = sizeof options, .flags = 1u << 30};
  REFUSED("udpr_reactor_listen_multicast: options->flags has 0x40000000, which this version does not know",
          udpr_reactor_listen_multicast(f.reactor, 0, NULL, &protocol, &options, NULL));
  udpr_message messages[] = {{.size = sizeof *messages, .data = "x", .len = 1, .to = &f.to},
                             {.size = sizeof *messages, .data = NULL, .len = 1, .to = &f.to}};
  REFUSED("udpr_transport_write_messages: messages[1].data is NULL",
          udpr_transport_write_messages(f.transport, messages, 2, &taken));
  messages[1].size = 8;
  REFUSED("udpr_transport_write_messages: messages[1].size is 8; not that of the first element",
          udpr_transport_write_messages(f.transport, messages, 2, &taken));
  udpr_bytes pieces[] = {{"x", 1}, {NULL, 1}};
  REFUSED("udpr_transport_write_sequence: pieces[1].data is NULL",
          udpr_transport_write_sequence(f.transport, pieces, 2, &f.to));
  tear_down(&f);
}

static udpr_status fail_start(udpr_transport *transport, void *user) {
  (void)transport;
  return *(udpr_status *)user;
}

/* The mistake is not an argument of the function that fails. */
TEST(the_result_of_start_protocol) {
  fixture       f = set_up();
  udpr_status   result = UDPR_E_NOT_SUPPORTED;
  udpr_protocol protocol = {.size = sizeof protocol, .user = &result, .start_protocol = fail_start};
  REFUSED("udpr_reactor_listen_udp: start_protocol returned this status",
          udpr_reactor_listen_udp(f.reactor, 0, NULL, &protocol, NULL, NULL));
  result = 5;
  REFUSED("udpr_reactor_listen_udp: the result of start_protocol is 5; UDPR_OK, or a status below 0",
          udpr_reactor_listen_udp(f.reactor, 0, NULL, &protocol, NULL, NULL));
  tear_down(&f);
}

TEST(other_failures_make_no_record) {
  fixture f = set_up();
  CHECK_STATUS(UDPR_E_NOT_CONNECTED, udpr_transport_write(f.transport, "x", 1, NULL));
  CHECK_STATUS(UDPR_E_NOT_FOUND, udpr_reactor_cancel_call(f.reactor, 1));
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, udpr_transport_write(NULL, NULL, 1, NULL));
  CHECK_STR("", check_refusal);
  tear_down(&f);
}

/* A reason that was not logged must not become that of another call. */
TEST(a_reason_belongs_to_one_call) {
  fixture f = set_up();
  OK(udpr_reactor_set_logger(f.reactor, UDPR_LOG_INFO, check_log, NULL, NULL));
  CHECK(udpr_transport_write(f.transport, NULL, 1, &f.to) < 0);
  CHECK_STR("", check_refusal);
  OK(udpr_reactor_set_logger(f.reactor, UDPR_LOG_DEBUG, check_log, NULL, NULL));
  CHECK(udpr_addr_parse(NULL, 0, &f.to) < 0);
  udpr_status   result = UDPR_E_INVALID_ARGUMENT;
  udpr_protocol protocol = {.size = sizeof protocol, .user = &result, .start_protocol = fail_start};
  REFUSED("udpr_reactor_listen_udp: start_protocol returned this status",
          udpr_reactor_listen_udp(f.reactor, 0, NULL, &protocol, NULL, NULL));
  tear_down(&f);
}

/* ---- any thread ------------------------------------------------------------------------------------------ */

TEST(functions_for_any_thread_are_logged_in_the_next_turn) {
  fixture      f = set_up();
  udpr_remote *remote = NULL;
  OK(udpr_reactor_remote(f.reactor, &remote));
  udpr_addr inet = f.to;
  inet.family = AF_INET;
  REFUSED_IN_A_TURN("udpr_transport_post: to->family is 2; UDPR_AF_INET is 4, UDPR_AF_INET6 is 6", f.reactor,
                    udpr_transport_post(f.transport, "x", 1, &inet));
  REFUSED_IN_A_TURN("udpr_transport_post: data is NULL", f.reactor,
                    udpr_transport_post(f.transport, NULL, 1, &f.to));
  REFUSED_IN_A_TURN("udpr_reactor_call_from_thread: fn is NULL", f.reactor,
                    udpr_reactor_call_from_thread(f.reactor, NULL, NULL, NULL));
  REFUSED_IN_A_TURN("udpr_remote_call: fn is NULL", f.reactor, udpr_remote_call(remote, NULL, NULL, NULL));
  REFUSED_IN_A_TURN("udpr_reactor_remote: out is NULL", f.reactor, udpr_reactor_remote(f.reactor, NULL));
  REFUSED_IN_A_TURN("udpr_reactor_after_fork: reactor is this process's: it was not forked", f.reactor,
                    udpr_reactor_after_fork(f.reactor));
  udpr_remote_release(remote);
  tear_down(&f);
}

static void post_nothing(void *transport) {
  udpr_addr to = addr("127.0.0.1", 9);
  for (int i = 0; i < 3 * REFUSALS_MAX; i++) CHECK(udpr_transport_post(transport, NULL, 1, &to) < 0);
  CHECK_STR("", check_refusal);
}

static void count_records(const udpr_log_record *record, void *user) {
  CHECK_STR("udpr_transport_post: data is NULL", record->message);
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, record->status);
  CHECK_EQ(UDPR_LOG_DEBUG, record->level);
  CHECK_STR("arguments", record->target);
  *(int *)user += 1;
}

TEST(refusals_of_another_thread_are_logged_on_the_reactors_and_are_bounded) {
  fixture f = set_up();
  int     records = 0;
  OK(udpr_reactor_set_logger(f.reactor, UDPR_LOG_DEBUG, count_records, &records, NULL));
  run_in_thread(post_nothing, f.transport);
  CHECK_EQ(0, records);
  run_turns(f.reactor, 1);
  CHECK_EQ(REFUSALS_MAX, records);
  OK(udpr_reactor_set_logger(f.reactor, UDPR_LOG_INFO, count_records, &records, NULL));
  run_in_thread(post_nothing, f.transport);
  OK(udpr_reactor_set_logger(f.reactor, UDPR_LOG_DEBUG, count_records, &records, NULL));
  run_turns(f.reactor, 1);
  CHECK_EQ(REFUSALS_MAX, records);
  OK(udpr_reactor_set_logger(f.reactor, 0, NULL, NULL, NULL));
  tear_down(&f);
}

/* ---- the logger itself ----------------------------------------------------------------------------------- */

typedef struct careless {
  fixture *f;
  int      records;
  bool     closes;
} careless;

static void log_carelessly(const udpr_log_record *record, void *user) {
  careless *self = user;
  if (record->level != UDPR_LOG_DEBUG) return;
  self->records++;
  CHECK(udpr_transport_write(self->f->transport, NULL, 1, &self->f->to) < 0);
  if (self->closes) OK(udpr_transport_close(self->f->transport));
  CHECK_STATUS(UDPR_E_REENTRANT, udpr_reactor_free(self->f->reactor));
}

TEST(a_logger_that_makes_the_same_mistake_is_called_once) {
  fixture  f = set_up();
  careless self = {.f = &f};
  OK(udpr_reactor_set_logger(f.reactor, UDPR_LOG_DEBUG, log_carelessly, &self, NULL));
  CHECK(udpr_transport_write(f.transport, NULL, 1, &f.to) < 0);
  CHECK_EQ(1, self.records);
  CHECK(udpr_transport_write(f.transport, NULL, 1, &f.to) < 0);
  CHECK_EQ(2, self.records);
  OK(udpr_reactor_set_logger(f.reactor, 0, NULL, NULL, NULL));
  tear_down(&f);
}

TEST(a_logger_may_close_the_port_of_the_refused_call) {
  fixture  f = set_up();
  careless self = {.f = &f, .closes = true};
  OK(udpr_reactor_set_logger(f.reactor, UDPR_LOG_DEBUG, log_carelessly, &self, NULL));
  udpr_status status = udpr_transport_write(f.transport, NULL, 1, &f.to);
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT, status);
  CHECK_EQ(1, self.records);
  CHECK_STATUS(UDPR_E_CLOSED, udpr_transport_write(f.transport, "x", 1, &f.to));
  OK(udpr_reactor_set_logger(f.reactor, 0, NULL, NULL, NULL));
  tear_down(&f);
}

CHECK_MAIN()
