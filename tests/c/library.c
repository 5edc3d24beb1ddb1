/* Functions that need no reactor: version, statuses and features. */
#include "check.h"

TEST(version) {
  char text[32];
  snprintf(text, sizeof text, "%d.%d.%d", UDPR_VERSION_MAJOR, UDPR_VERSION_MINOR, UDPR_VERSION_PATCH);
  CHECK_EQ(UDPR_VERSION_MAJOR << 16 | UDPR_VERSION_MINOR << 8 | UDPR_VERSION_PATCH, udpr_version());
  CHECK_STR(text, udpr_version_string());
}

typedef struct named {
  udpr_status status;
  const char *name;
  int32_t     number;
  int32_t     error; /* its errno; -1 if it depends on the system */
  int32_t     nearest;
} named;

#define NAMED(code) .status = code, .name = #code

static const named statuses[] = {
    {NAMED(UDPR_OK), .number = 0, .error = 0, .nearest = 0},
    {NAMED(UDPR_PENDING), .number = 1, .error = 0, .nearest = 0},
    {NAMED(UDPR_E_INVALID_ARGUMENT), .number = -1, .error = -1, .nearest = EINVAL},
    {NAMED(UDPR_E_NO_MEMORY), .number = -2, .error = ENOMEM, .nearest = ENOMEM},
    {NAMED(UDPR_E_WRONG_THREAD), .number = -3, .error = 0, .nearest = EBUSY},
    {NAMED(UDPR_E_NOT_RUNNING), .number = -4, .error = 0, .nearest = ESRCH},
    {NAMED(UDPR_E_ALREADY_RUNNING), .number = -5, .error = 0, .nearest = EALREADY},
    {NAMED(UDPR_E_REENTRANT), .number = -6, .error = 0, .nearest = EDEADLK},
    {NAMED(UDPR_E_CLOSED), .number = -7, .error = -1, .nearest = EBADF},
    {NAMED(UDPR_E_NOT_FOUND), .number = -8, .error = -1, .nearest = ENOENT},
    {NAMED(UDPR_E_ALREADY_CALLED), .number = -9, .error = 0, .nearest = EALREADY},
    {NAMED(UDPR_E_ALREADY_CANCELLED), .number = -10, .error = 0, .nearest = ECANCELED},
    {NAMED(UDPR_E_INVALID_ADDRESS), .number = -11, .error = -1, .nearest = EINVAL},
    {NAMED(UDPR_E_ADDRESS_FAMILY), .number = -12, .error = -1, .nearest = EAFNOSUPPORT},
    {NAMED(UDPR_E_SOCKET_TYPE), .number = -13, .error = -1, .nearest = EPROTOTYPE},
    {NAMED(UDPR_E_NOT_CONNECTED), .number = -14, .error = -1, .nearest = ENOTCONN},
    {NAMED(UDPR_E_WRONG_PEER), .number = -15, .error = -1, .nearest = EISCONN},
    {NAMED(UDPR_E_MESSAGE_TOO_LONG), .number = -16, .error = EMSGSIZE, .nearest = EMSGSIZE},
    {NAMED(UDPR_E_WOULD_BLOCK), .number = -17, .error = EAGAIN, .nearest = EAGAIN},
    {NAMED(UDPR_E_CONNECTION_REFUSED), .number = -18, .error = ECONNREFUSED, .nearest = ECONNREFUSED},
    {NAMED(UDPR_E_ADDRESS_IN_USE), .number = -19, .error = EADDRINUSE, .nearest = EADDRINUSE},
    {NAMED(UDPR_E_ADDRESS_NOT_AVAILABLE), .number = -20, .error = EADDRNOTAVAIL, .nearest = EADDRNOTAVAIL},
    {NAMED(UDPR_E_PERMISSION), .number = -21, .error = EPERM, .nearest = EPERM},
    {NAMED(UDPR_E_ACCESS), .number = -22, .error = EACCES, .nearest = EACCES},
    {NAMED(UDPR_E_NO_FILES), .number = -23, .error = EMFILE, .nearest = EMFILE},
    {NAMED(UDPR_E_NETWORK_UNREACHABLE), .number = -24, .error = ENETUNREACH, .nearest = ENETUNREACH},
    {NAMED(UDPR_E_HOST_UNREACHABLE), .number = -25, .error = EHOSTUNREACH, .nearest = EHOSTUNREACH},
    {NAMED(UDPR_E_ALREADY_JOINED), .number = -26, .error = -1, .nearest = EADDRINUSE},
    {NAMED(UDPR_E_NOT_JOINED), .number = -27, .error = -1, .nearest = EADDRNOTAVAIL},
    {NAMED(UDPR_E_NOT_MULTICAST), .number = -28, .error = -1, .nearest = EINVAL},
    {NAMED(UDPR_E_NO_INTERFACE), .number = -29, .error = -1, .nearest = ENODEV},
    {NAMED(UDPR_E_NAME_NOT_FOUND), .number = -30, .error = 0, .nearest = ENOENT},
    {NAMED(UDPR_E_NAME_TRY_AGAIN), .number = -31, .error = 0, .nearest = EAGAIN},
    {NAMED(UDPR_E_TIMED_OUT), .number = -32, .error = -1, .nearest = ETIMEDOUT},
    {NAMED(UDPR_E_CANCELLED), .number = -33, .error = -1, .nearest = ECANCELED},
    {NAMED(UDPR_E_NOT_SUPPORTED), .number = -34, .error = -1, .nearest = EOPNOTSUPP},
    {NAMED(UDPR_E_VERSION), .number = -35, .error = 0, .nearest = ENOSYS},
    {NAMED(UDPR_E_PANIC), .number = -36, .error = 0, .nearest = ENOTRECOVERABLE},
};
enum { STATUSES = sizeof statuses / sizeof *statuses };

TEST(every_status_has_its_number_name_message_and_errno) {
  for (size_t i = 0; i < STATUSES; i++) {
    const named *one = &statuses[i];
    CHECK_EQ(one->number, one->status);
    CHECK_STR(one->name, udpr_status_name(one->status));
    CHECK(udpr_status_message(one->status)[0] != 0);
    if (one->error >= 0 && udpr_status_errno(one->status) != one->error)
      FAIL("the errno of %s is %d, not %d", one->name, udpr_status_errno(one->status), one->error);
  }
}

TEST(names_messages_and_errnos_differ) {
  for (size_t i = 0; i < STATUSES; i++) {
    for (size_t j = 0; j < i; j++) {
      udpr_status one = statuses[i].status, other = statuses[j].status;
      CHECK(strcmp(udpr_status_message(one), udpr_status_message(other)) != 0);
      CHECK(udpr_status_errno(one) == 0 || udpr_status_errno(one) != udpr_status_errno(other));
    }
  }
}

TEST(a_system_status_carries_its_errno) {
  for (int error = 1; error < 4096; error++) {
    udpr_status status = UDPR_E_SYSTEM - error;
    CHECK_EQ(error, udpr_status_errno(status));
    CHECK(udpr_status_name(status)[0] != 0);
    CHECK(udpr_status_message(status)[0] != 0);
  }
}

TEST(every_status_has_a_nearest_errno) {
  for (size_t i = 0; i < STATUSES; i++) {
    int32_t own = udpr_status_errno(statuses[i].status),
            nearest = udpr_status_nearest_errno(statuses[i].status);
    if (nearest != statuses[i].nearest)
      FAIL("the nearest errno of %s is %d, not %d", statuses[i].name, nearest, statuses[i].nearest);
    CHECK(own == 0 || own == nearest);
  }
  for (int error = 1; error < 4096; error++)
    CHECK_EQ(error, udpr_status_nearest_errno(UDPR_E_SYSTEM - error));
  const udpr_status unknown[] = {INT32_MIN,     INT32_MIN + 1,     -1000000,        UDPR_E_SYSTEM - 4096,
                                 UDPR_E_SYSTEM, UDPR_E_SYSTEM + 1, UDPR_E_PANIC - 1};
  for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
    CHECK_EQ(EIO, udpr_status_nearest_errno(unknown[i]));
  const udpr_status successes[] = {UDPR_OK, UDPR_PENDING, UDPR_PENDING + 1, INT32_MAX};
  for (size_t i = 0; i < sizeof successes / sizeof *successes; i++)
    CHECK_EQ(0, udpr_status_nearest_errno(successes[i]));
}

TEST(any_integer_has_a_name_and_a_message) {
  const udpr_status edges[] = {INT32_MIN, INT32_MIN + 1, INT32_MAX,     2,       -37,
                               -65535,    -65536,        -65536 - 4096, -1000000};
  uint64_t          seed = 88172645463325252;
  for (size_t i = 0; i < 100000; i++) {
    seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
    udpr_status status = i < sizeof edges / sizeof *edges ? edges[i] : (udpr_status)(seed >> 32);
    const char *name = udpr_status_name(status), *message = udpr_status_message(status);
    CHECK(name != NULL && *name && message != NULL && *message);
    CHECK(name == udpr_status_name(status) && message == udpr_status_message(status)); /* static strings */
    CHECK(udpr_status_errno(status) >= 0);
    CHECK_EQ(status >= 0, udpr_status_nearest_errno(status) == 0);
  }
}

TEST(features) {
  CHECK_EQ(0, udpr_has_feature(NULL));
  CHECK_EQ(0, udpr_has_feature(""));
  CHECK_EQ(0, udpr_has_feature("no such feature"));
  CHECK_EQ(0, udpr_has_feature("recvmms"));
  CHECK_EQ(0, udpr_has_feature("\xff\xfe"));
  CHECK(udpr_has_feature("recvmmsg"));
  CHECK(udpr_has_feature("error_reports") && udpr_has_feature("full_length"));
  CHECK(udpr_has_feature("kernel_drops") && udpr_has_feature("watch_interfaces"));
}

/* Statuses that different functions return for different reasons: the message must not send anyone after the wrong one. */
TEST(messages_fit_every_place) {
  static const struct {
    udpr_status status;
    const char *words[2];
  } rows[] = {{UDPR_E_INVALID_ARGUMENT, {"argument", "UDPR_LOG_DEBUG"}}, /* all functions */
              {UDPR_E_INVALID_ADDRESS, {"host name", "port"}},           /* "localhost", "127.0.0.1:99" */
              {UDPR_E_NOT_SUPPORTED, {"system", "reactor"}},             /* a sandbox, advance */
              {UDPR_E_NOT_FOUND, {"id", "pending"}},                     /* cancel_call, finish_trigger */
              {UDPR_E_ALREADY_RUNNING, {"running", "event"}},            /* run, fire_event */
              {UDPR_E_REENTRANT, {"callback", "pool"}},                  /* run in a callback, in work */
              {UDPR_E_NO_MEMORY, {"memory", "thread"}}};                 /* call_later, resolve */
  for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    for (int word = 0; word < 2; word++) {
      const char *message = udpr_status_message(rows[i].status);
      if (!strstr(message, rows[i].words[word])) FAIL("\"%s\" lacks \"%s\"", message, rows[i].words[word]);
    }
}

CHECK_MAIN()
