/* The logger: levels, the contents of a record, its replacement (also in its own callback), and when its user
 * is freed. The record here is caused by a port that requests a larger receive buffer than the system grants.
 */
#include "check.h"

enum { REQUESTED = 1 << 30 };

typedef struct logger {
  atomic_int     freed;
  int            records, warnings;
  udpr_reactor  *reactor;
  struct logger *next; /* its first record makes this one replace it */
} logger;

static void log_record(const udpr_log_record *record, void *user);

static void set_logger(udpr_reactor *reactor, uint32_t max_level, logger *self) {
  OK(udpr_reactor_set_logger(reactor, max_level, log_record, self, count_free));
}

static void log_record(const udpr_log_record *record, void *user) {
  logger *self = user;
  CHECK(record->size >= sizeof *record);
  CHECK(record->level >= UDPR_LOG_ERROR && record->level <= UDPR_LOG_DEBUG);
  CHECK(record->target != NULL && *record->target);
  CHECK(record->message != NULL && *record->message);
  CHECK_EQ(0, self->freed);
  self->records++;
  if (record->level == UDPR_LOG_WARN) self->warnings++;
  if (self->next && self->records == 1) {
    set_logger(self->reactor, UDPR_LOG_WARN, self->next);
    CHECK_EQ(0, self->freed); /* not freed before it returns */
  }
}

/* Listens with a receive buffer that is larger than the system allows. */
static void cause_a_warning(udpr_reactor *reactor) {
  udpr_protocol    protocol = {.size = sizeof protocol};
  udpr_udp_options options = {.size = sizeof options, .receive_buffer = REQUESTED};
  udpr_transport  *transport = listen_on(reactor, "127.0.0.1", &protocol, &options);
  int              granted = 0;
  socklen_t        len = sizeof granted;
  CHECK_EQ(0, getsockopt(udpr_transport_fileno(transport), SOL_SOCKET, SO_RCVBUF, &granted, &len));
  if (granted / 2 >= REQUESTED) SKIP("this system grants any receive buffer");
  OK(udpr_transport_close(transport));
  udpr_transport_release(transport);
}

TEST(a_warning_is_logged) {
  logger        log = {0};
  udpr_reactor *reactor = new_reactor(0);
  set_logger(reactor, UDPR_LOG_WARN, &log);
  cause_a_warning(reactor);
  CHECK_EQ(1, log.warnings);
  CHECK_EQ(1, log.records);
  OK(udpr_reactor_free(reactor));
  CHECK_EQ(1, log.freed);
}

TEST(a_granted_buffer_size_is_not_logged) {
  logger           log = {0};
  udpr_reactor    *reactor = new_reactor(0);
  udpr_protocol    protocol = {.size = sizeof protocol};
  udpr_udp_options options = {.size = sizeof options, .receive_buffer = 16384, .send_buffer = 16384};
  set_logger(reactor, UDPR_LOG_WARN, &log);
  udpr_transport *transport = listen_on(reactor, "127.0.0.1", &protocol, &options);
  CHECK_EQ(0, log.records);
  OK(udpr_transport_close(transport));
  udpr_transport_release(transport);
  OK(udpr_reactor_free(reactor));
}

TEST(max_level_hides_less_severe_records) {
  logger        errors = {0}, everything = {0};
  udpr_reactor *reactor = new_reactor(0);
  set_logger(reactor, UDPR_LOG_ERROR, &errors);
  cause_a_warning(reactor);
  CHECK_EQ(0, errors.records);
  set_logger(reactor, UDPR_LOG_DEBUG, &everything);
  CHECK_EQ(1, errors.freed); /* set_logger frees the previous user */
  cause_a_warning(reactor);
  CHECK_EQ(1, everything.warnings);
  CHECK_EQ(0, errors.records);
  OK(udpr_reactor_free(reactor));
  CHECK_EQ(1, errors.freed);
  CHECK_EQ(1, everything.freed);
}

TEST(replaced_in_its_own_callback) {
  logger        second = {0}, first = {.next = &second};
  udpr_reactor *reactor = new_reactor(0);
  first.reactor = reactor;
  set_logger(reactor, UDPR_LOG_WARN, &first);
  cause_a_warning(reactor);
  CHECK_EQ(1, first.records);
  CHECK_EQ(1, first.freed); /* after its callback had returned */
  CHECK_EQ(0, second.records);
  cause_a_warning(reactor);
  CHECK_EQ(1, first.records);
  CHECK_EQ(1, second.records);
  OK(udpr_reactor_free(reactor));
  CHECK_EQ(1, first.freed);
  CHECK_EQ(1, second.freed);
}

TEST(a_refused_logger_is_freed_and_the_present_one_stays) {
  logger        log = {0}, refused = {0};
  udpr_reactor *reactor = new_reactor(0);
  set_logger(reactor, UDPR_LOG_WARN, &log);
  CHECK_STATUS(UDPR_E_INVALID_ARGUMENT,
               udpr_reactor_set_logger(NULL, UDPR_LOG_WARN, log_record, &refused, count_free));
  CHECK_EQ(1, refused.freed);
  cause_a_warning(reactor);
  CHECK_EQ(1, log.warnings);
  CHECK_EQ(0, log.freed);
  OK(udpr_reactor_free(reactor));
}

/* Without a logger, nothing is written to any descriptor. */
static void cause_a_warning_without_logger(void *arg) {
  int *pipe_ends = arg;
  CHECK(dup2(pipe_ends[1], 1) == 1 && dup2(pipe_ends[1], 2) == 2);
  udpr_reactor *reactor = new_reactor(0);
  cause_a_warning(reactor);
  OK(udpr_reactor_free(reactor));
}

TEST(without_a_logger_there_is_no_output) {
  int  ends[2];
  char text[128];
  CHECK_EQ(0, pipe(ends));
  run_in_child(cause_a_warning_without_logger, ends);
  close(ends[1]);
  CHECK_EQ(0, read(ends[0], text, sizeof text));
  close(ends[0]);
}

CHECK_MAIN()
