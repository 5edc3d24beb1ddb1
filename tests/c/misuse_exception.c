/* A C++ exception that leaves any callback ends the process with a message, instead of skipping destructors
 * silently. It is raised like __cxa_throw does, by the unwinder of the system.
 */
#include "callback_fixture.h"

#include <unwind.h>

static void raise_exception(callback_fixture *fixture) {
  static struct _Unwind_Exception exception;
  fixture->acting->running = 0; /* the callback is left, so its user may be freed */
  memcpy(&exception.exception_class, "GNUCC++", 8);
  _Unwind_RaiseException(&exception);
  /* If no frame would catch the exception, C++ calls std::terminate. */
  fputs("terminate called after throwing an instance\n", stderr);
  abort();
}

static char   stderr_text[512];
static size_t stderr_len;

/* ARM's unwinder finds no handler in Rust code, so that C++ ends the process; elsewhere Rust does. */
#ifdef __arm__
#define EXPECTED "terminate called after throwing an instance"
#else
#define EXPECTED "Rust cannot catch foreign exceptions"
#endif

/* Reads what the child writes to stderr until it ends. */
static void read_stderr(int from) {
  ssize_t got;
  for (stderr_len = 0; stderr_len + 1 < sizeof stderr_text; stderr_len += (size_t)got)
    if ((got = read(from, stderr_text + stderr_len, sizeof stderr_text - 1 - stderr_len)) <= 0) break;
  stderr_text[stderr_len] = '\0';
}

static void check_aborts(void (*body)(callback_kind), callback_kind kind) {
  int ends[2];
  CHECK_EQ(0, pipe2(ends, O_CLOEXEC));
  pid_t child = check_fork();
  if (child == 0) {
    dup2(ends[1], 2);
    body(kind);
    _exit(0);
  }
  close(ends[1]);
  read_stderr(ends[0]);
  close(ends[0]);
  int status = check_wait(child);
  if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT)
    FAIL("status %x, and its stderr is \"%s\"", (unsigned)status, stderr_text);
  if (!strstr(stderr_text, EXPECTED)) FAIL("its stderr is \"%s\"", stderr_text);
}

static void throw_at(callback_kind kind) { run_in_callback(kind, raise_exception); }

TEST(in_every_callback) {
  for (callback_kind kind = 0; kind < CALLBACK_KINDS; kind = next_kind(kind))
    check_context = callback_names[kind], check_aborts(throw_at, kind);
}

static void throwing_work(void *user) {
  registration self = {.freed = 0};
  raise_exception(&(callback_fixture){.acting = &self, .reactor = user});
}

static void throw_in_work(callback_kind kind) {
  udpr_reactor *reactor = new_reactor(0);
  (void)kind;
  OK(udpr_reactor_call_in_thread(reactor, throwing_work, NULL, reactor, NULL));
  for (;;) pause();
}

TEST(in_work_on_the_pool) { check_aborts(throw_in_work, CALLBACK_KINDS); }

CHECK_MAIN()
