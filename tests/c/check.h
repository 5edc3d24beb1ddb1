/* check.h: the harness of udpr's C tests. A test program is one file:
 *
 *     #include "check.h"
 *     TEST(version_is_known) { CHECK(udpr_version() != 0); }
 *     CHECK_MAIN()
 *
 * Each case runs in a process of its own. A failed check therefore ends the case at once, from any thread and
 * any callback, and a crash or a hang fails only one case. A case also fails if it leaves a descriptor open.
 * `program TEXT` runs the cases whose name contains TEXT. UDPR_CHECK_SECONDS is the time limit of a case in
 * seconds (60 by default). It is raised for slow machines and valgrind.
 */
#ifndef UDPR_TESTS_CHECK_H
#define UDPR_TESTS_CHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <udpr/udpr.h>

#define MS(n) (UINT64_C(1000000) * (n))
#define SECONDS(n) (UINT64_C(1000000000) * (n))
#define CHECK_TIMEOUT (SECONDS(check_seconds()) / 6) /* how long a test waits for an expected event */

/* ---- cases --------------------------------------------------------------------------------------------- */

typedef struct check_case {
  const char *name;
  void (*body)(void);
  struct check_case *next;
} check_case;

/* The result of a case, in memory that is shared with the runner: the first failure, or why the case was
 * skipped.
 */
typedef struct check_report {
  atomic_int taken;
  char       text[512];
} check_report;

static check_case   *check_first, **check_end = &check_first;
static check_report *check_result;
static const char   *check_context; /* in a case that loops over many inputs: the present one */

enum { CHECK_FAILED = 1, CHECK_SKIPPED = 77 };

static inline void check_register(check_case *one) { *check_end = one, check_end = &one->next; }

#define TEST(name)                                                                                 \
  static void                              test_##name(void);                                      \
  static check_case                        case_##name = {#name, test_##name, NULL};               \
  __attribute__((constructor)) static void register_##name(void) { check_register(&case_##name); } \
  static void                              test_##name(void)

__attribute__((noreturn, format(printf, 2, 3))) static inline void check_exit(int code, const char *format,
                                                                              ...) {
  if (atomic_exchange(&check_result->taken, 1) == 0) {
    va_list args;
    va_start(args, format);
    int len =
        check_context ? snprintf(check_result->text, sizeof check_result->text, "%s: ", check_context) : 0;
    vsnprintf(check_result->text + len, sizeof check_result->text - (size_t)len, format, args);
    va_end(args);
  }
  _exit(code);
}

static inline const char *check_basename(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash ? slash + 1 : path;
}

/* ---- refusals: why a call is refused, as the library logs it ------------------------------------------- */

/* The last record of this thread. The reactors of new_reactor have a logger at UDPR_LOG_DEBUG. */
static _Thread_local char check_refusal[512];
static atomic_bool        check_has_logger;

static inline void check_log(const udpr_log_record *record, void *user) {
  (void)user;
  if (record->level == UDPR_LOG_DEBUG) snprintf(check_refusal, sizeof check_refusal, "%s", record->message);
}

static inline bool check_begins_with(const char *text, const char *head) {
  return strncmp(text, head, strlen(head)) == 0;
}

/* Functions without a reactor have no logger, and functions for any thread log in the next turn (refusals.c). */
static inline bool check_logs_at_once(const char *call) {
  static const char *const others[] = {"udpr_addr_",          "udpr_interface",      "udpr_reactor_new(",
                                       "udpr_reactor_remote", "udpr_transport_post", "udpr_remote_call",
                                       "udpr_reactor_call_f", "udpr_reactor_after_f"};
  for (size_t i = 0; i < sizeof others / sizeof *others; i++)
    if (check_begins_with(call, others[i])) return false;
  const char *arguments = strchr(call, '(');
  return arguments && !check_begins_with(arguments, "(NULL") &&
         !check_begins_with(arguments, "(((void *)0)") &&
         !check_begins_with(arguments, "(((void*)0)"); /* as glibc and musl write NULL */
}

/* Whether a call that returned `status` was logged with the name of its function and the argument that is wrong. `call` is its
 * source text: a function of the library, or a helper of the test that calls one.
 */
static inline bool check_is_logged(const char *call, udpr_status status) {
  if (status != UDPR_E_INVALID_ARGUMENT && status != UDPR_E_VERSION && status != UDPR_E_NOT_SUPPORTED)
    return true;
  if (!check_has_logger || !check_logs_at_once(call)) return true;
  const char *reason = strstr(check_refusal, ": ");
  bool        is_function = check_begins_with(call, "udpr_");
  size_t      name = is_function ? strcspn(call, "(") : strlen("udpr_");
  return reason && strncmp(check_refusal, is_function ? call : "udpr_", name) == 0 &&
         (!is_function || check_refusal[name] == ':') && strcmp(reason + 2, udpr_status_message(status)) != 0;
}

/* ---- checks: the first that fails ends the case -------------------------------------------------------- */

#define FAIL(format, ...) \
  check_exit(CHECK_FAILED, "%s:%d: " format, check_basename(__FILE__), __LINE__, __VA_ARGS__)
#define SKIP(why) check_exit(CHECK_SKIPPED, "%s", why)

#define CHECK(expr)                 \
  do {                              \
    if (!(expr)) FAIL("%s", #expr); \
  } while (0)

#define CHECK_EQ(expected, actual)                                                       \
  do {                                                                                   \
    long long expected_ = (long long)(expected), actual_ = (long long)(actual);          \
    if (expected_ != actual_) FAIL("%s is %lld, not %lld", #actual, actual_, expected_); \
  } while (0)

#define CHECK_STR(expected, actual)                                                                     \
  do {                                                                                                  \
    const char *expected_ = (expected), *actual_ = (actual);                                            \
    if (strcmp(expected_, actual_) != 0) FAIL("%s is \"%s\", not \"%s\"", #actual, actual_, expected_); \
  } while (0)

/* A call that is refused for an argument has to be logged, too: see check_refusal. */
#define CHECK_STATUS(expected, call)                                                                \
  do {                                                                                              \
    *check_refusal = '\0';                                                                          \
    udpr_status expected_ = (expected), actual_ = (call);                                           \
    if (expected_ != actual_)                                                                       \
      FAIL("%s is %s, not %s", #call, udpr_status_name(actual_), udpr_status_name(expected_));      \
    if (!check_is_logged(#call, actual_))                                                           \
      FAIL("%s is %s, which is logged as \"%s\"", #call, udpr_status_name(actual_), check_refusal); \
  } while (0)

#define OK(call) CHECK_STATUS(UDPR_OK, call)

/* Prints a measurement that is not checked. */
#define NOTE(format, ...) printf("# " format "\n", __VA_ARGS__)

/* ---- the runner ---------------------------------------------------------------------------------------- */

static inline unsigned check_seconds(void) {
  const char *text = getenv("UDPR_CHECK_SECONDS");
  return text ? (unsigned)atoi(text) : 60;
}

/* A longer time limit means a slow machine, a sanitizer or valgrind. */
static inline bool check_is_slow(void) { return check_seconds() > 60; }

/* How many rounds a case does that looks for a rare fault: `many` if UDPR_TEST_FULL is set, as scripts/test does, and the machine
 * is not slow.
 */
static inline unsigned check_rounds(unsigned few, unsigned many) {
  return getenv("UDPR_TEST_FULL") && !check_is_slow() ? many : few;
}

/* Of these two files, one has:
 *  - check_count_descriptors
 *  - check_prepare, which allocates check_result
 *  - check_run_alone, which runs a case in a process of its own, and returns its exit code
 *  - run_in_child and run_in_killed_child, for which a process must be copied
 *  - LOOPBACK, the name of the loopback device
 */
static inline udpr_ns monotonic_ns(void);
static inline void    check_run_case(const check_case *one);
#ifdef _WIN32
#include "check_start.h"
#else
#include "check_fork.h"
#endif

/* Returns how many more descriptors are open than before. udpr_reactor_free does not wait for the threads of
 * look-ups, and one of them may be about to drop the last reference to a waker. So this waits until the
 * number is the same again.
 */
static inline int check_leaked_descriptors(int before) {
  udpr_ns end = monotonic_ns() + CHECK_TIMEOUT;
  int     left;
  while ((left = check_count_descriptors() - before) != 0 && monotonic_ns() < end) sched_yield();
  return left;
}

__attribute__((noreturn)) static inline void check_run_case(const check_case *one) {
  int before = check_count_descriptors();
  one->body();
  int left = check_leaked_descriptors(before);
  if (left != 0) check_exit(CHECK_FAILED, "%d descriptors left open", left);
  exit(0);
}

static inline int check_main(int argc, char **argv) {
  int passed = 0, failed = 0, skipped = 0;
  if (!check_prepare()) return perror("check_prepare"), 1;
  for (const check_case *one = check_first; one; one = one->next) {
    if (argc > 1 && !strstr(one->name, argv[1])) continue;
    memset(check_result, 0, sizeof *check_result);
    int         code = check_run_alone(one);
    const char *text = check_result->text;
    if (code == 0) passed++, printf("ok %s\n", one->name);
    else if (code == CHECK_SKIPPED) skipped++, printf("skip %s # %s\n", one->name, text);
    else failed++, printf("not ok %s: %s\n", one->name, text);
  }
  printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
  return failed > 0 || passed + skipped == 0;
}

#define CHECK_MAIN() \
  int main(int argc, char **argv) { return check_main(argc, argv); }

/* ---- threads ------------------------------------------------------------------------------------------- */

typedef struct check_thread {
  pthread_t id;
  void (*body)(void *);
  void *arg;
} check_thread;

static inline void *check_thread_main(void *thread) {
  ((check_thread *)thread)->body(((check_thread *)thread)->arg);
  return NULL;
}

static inline void thread_start(check_thread *thread, void (*body)(void *), void *arg) {
  thread->body = body, thread->arg = arg;
  CHECK_EQ(0, pthread_create(&thread->id, NULL, check_thread_main, thread));
}

static inline void thread_join(check_thread *thread) { CHECK_EQ(0, pthread_join(thread->id, NULL)); }

/* Runs `body` in another thread and waits for it. */
static inline void run_in_thread(void (*body)(void *), void *arg) {
  check_thread thread;
  thread_start(&thread, body, arg);
  thread_join(&thread);
}

/* ---- reactors ------------------------------------------------------------------------------------------ */

static inline udpr_ns monotonic_ns(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return SECONDS(now.tv_sec) + (udpr_ns)now.tv_nsec;
}

/* Sets the logger that CHECK_STATUS reads. */
static inline void check_set_logger(udpr_reactor *reactor) {
  OK(udpr_reactor_set_logger(reactor, UDPR_LOG_DEBUG, check_log, NULL, NULL));
  check_has_logger = true;
}

static inline udpr_reactor *new_reactor(uint32_t flags) {
  udpr_reactor_options options = {.size = sizeof options, .flags = flags};
  udpr_reactor        *reactor = NULL;
  OK(udpr_reactor_new(&options, &reactor));
  CHECK(reactor != NULL);
  check_set_logger(reactor);
  return reactor;
}

/* A free_user for a `user` whose first member is an atomic_int: counts how often it is freed. */
static inline void count_free(void *user) { atomic_fetch_add((atomic_int *)user, 1); }

/* Runs turns until `expr` is true. The case fails if that takes too long. */
#define RUN_UNTIL(reactor, expr)                                          \
  do {                                                                    \
    udpr_ns end_ = monotonic_ns() + CHECK_TIMEOUT;                        \
    while (!(expr)) {                                                     \
      if (monotonic_ns() > end_) FAIL("timed out waiting for %s", #expr); \
      OK(udpr_reactor_iterate(reactor, (int64_t)MS(20)));                 \
    }                                                                     \
  } while (0)

/* Runs `count` turns that do not wait, to show that something does NOT happen. */
static inline void run_turns(udpr_reactor *reactor, int count) {
  while (count-- > 0) OK(udpr_reactor_iterate(reactor, 0));
}

static inline void check_timed_out(udpr_reactor *reactor, void *user) {
  *(bool *)user = true;
  udpr_reactor_crash(reactor);
}

/* Calls udpr_reactor_run, which the test must end. */
static inline void run_with_timeout(udpr_reactor *reactor) {
  bool    overdue = false;
  udpr_id guard = 0;
  OK(udpr_reactor_call_later(reactor, CHECK_TIMEOUT, check_timed_out, &overdue, NULL, &guard));
  OK(udpr_reactor_run(reactor));
  CHECK(!overdue);
  OK(udpr_reactor_cancel_call(reactor, guard));
}

/* A call_later callback that ends run. */
static inline void stop_call(udpr_reactor *reactor, void *user) {
  (void)user;
  OK(udpr_reactor_stop(reactor));
}

/* ---- ports --------------------------------------------------------------------------------------------- */

/* Listens on `local_address`, on a port number that the kernel chooses. The caller releases the transport. */
static inline udpr_transport *listen_on(udpr_reactor *reactor, const char *local_address,
                                        const udpr_protocol *protocol, const udpr_udp_options *options) {
  udpr_transport *transport = NULL;
  OK(udpr_reactor_listen_udp(reactor, 0, local_address, protocol, options, &transport));
  CHECK(transport != NULL);
  return transport;
}

static inline udpr_addr host_of(const udpr_transport *transport) {
  udpr_addr host;
  OK(udpr_transport_get_host(transport, &host));
  return host;
}

static inline udpr_transport_stats stats_of(const udpr_transport *transport) {
  udpr_transport_stats stats = {.size = sizeof stats};
  OK(udpr_transport_get_stats(transport, &stats));
  return stats;
}

static inline udpr_addr addr(const char *text, uint16_t port) {
  udpr_addr parsed;
  OK(udpr_addr_parse(text, port, &parsed));
  return parsed;
}

static inline void check_addr_equal(const char *file, int line, const udpr_addr *expected,
                                    const udpr_addr *actual) {
  char want[UDPR_ADDR_TEXT_MAX], have[UDPR_ADDR_TEXT_MAX];
  if (udpr_addr_equal(expected, actual)) return;
  OK(udpr_addr_format(expected, want, sizeof want, NULL));
  OK(udpr_addr_format(actual, have, sizeof have, NULL));
  check_exit(CHECK_FAILED, "%s:%d: address %s, not %s", check_basename(file), line, have, want);
}
#define CHECK_ADDR(expected, actual) check_addr_equal(__FILE__, __LINE__, expected, actual)

/* ---- peers: plain blocking sockets on the loopback, with a receive timeout of 5 s ---------------------- */

static inline int peer_open(int family) {
  struct sockaddr_storage local = {.ss_family = (sa_family_t)family};
  struct timeval          patience = {.tv_sec = 5};
  int                     fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  CHECK(fd >= 0);
  if (family == AF_INET) ((struct sockaddr_in *)&local)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  else ((struct sockaddr_in6 *)&local)->sin6_addr = in6addr_loopback;
  socklen_t len = family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
  CHECK_EQ(0, setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience));
  CHECK_EQ(0, bind(fd, (struct sockaddr *)&local, len));
  return fd;
}

/* Returns a socket whose port refuses datagrams (ICMP port unreachable) from everybody else: it is connected
 * to itself. Its number stays in use while it is open.
 */
static inline int peer_open_refusing(int family) {
  struct sockaddr_storage self;
  socklen_t               len = sizeof self;
  int                     fd = peer_open(family);
  CHECK_EQ(0, getsockname(fd, (struct sockaddr *)&self, &len));
  CHECK_EQ(0, connect(fd, (struct sockaddr *)&self, len));
  return fd;
}

static inline udpr_addr peer_addr(int fd) {
  struct sockaddr_storage local;
  socklen_t               len = sizeof local;
  udpr_addr               out;
  CHECK_EQ(0, getsockname(fd, (struct sockaddr *)&local, &len));
  OK(udpr_addr_from_sockaddr(&local, len, &out));
  return out;
}

static inline void peer_send(int fd, const udpr_addr *to, const void *data, size_t len) {
  struct sockaddr_storage remote;
  size_t                  remote_len = 0;
  OK(udpr_addr_to_sockaddr(to, &remote, sizeof remote, &remote_len));
  CHECK_EQ(len, sendto(fd, data, len, 0, (struct sockaddr *)&remote, (socklen_t)remote_len));
}

/* Returns the length of the next datagram. Unless `from` is NULL, its sender is stored there. */
static inline size_t peer_receive_from(int fd, void *buffer, size_t capacity, udpr_addr *from) {
  struct sockaddr_storage remote;
  socklen_t               len = sizeof remote;
  ssize_t                 got = recvfrom(fd, buffer, capacity, 0, (struct sockaddr *)&remote, &len);
  if (got < 0) FAIL("the peer received nothing: %s", strerror(errno));
  if (from) OK(udpr_addr_from_sockaddr(&remote, len, from));
  return (size_t)got;
}

static inline size_t peer_receive(int fd, void *buffer, size_t capacity) {
  return peer_receive_from(fd, buffer, capacity, NULL);
}

/* Checks that the next datagram is this text. */
#define PEER_RECEIVES(fd, text)                            \
  do {                                                     \
    char   got_[2048] = "";                                \
    size_t len_ = peer_receive(fd, got_, sizeof got_ - 1); \
    CHECK_EQ(strlen(text), len_);                          \
    CHECK_STR(text, got_);                                 \
  } while (0)

/* On the loopback, a datagram is in the receiving socket when the call that sends it returns. */
static inline bool peer_has_no_datagram(int fd) {
  char byte;
  return recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0 && errno == EAGAIN;
}

#endif
