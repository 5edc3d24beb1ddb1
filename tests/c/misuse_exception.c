/* An exception in a callback ends the process with a message, whichever callback it is; it skips no destructor of ours
 * in silence. It is raised as C++ does it (__cxa_throw), by the unwinder of the system.
 */
#include "callback_fixture.h"

#include <unwind.h>

static void throw_here(callback_fixture *fixture) {
  static struct _Unwind_Exception exception;
  fixture->acting->running = 0; /* it is left, so its user may be freed */
  memcpy(&exception.exception_class, "GNUCC++", 8);
  _Unwind_RaiseException(&exception);
  /* Where nobody on the stack would catch it, C++ calls std::terminate. */
  fputs("terminate called after throwing an instance\n", stderr);
  abort();
}

static char   said[512];
static size_t said_len;

/* What the child says on its stderr until it ends. */
static void listen_to(int from) {
  ssize_t got;
  for (said_len = 0; said_len + 1 < sizeof said; said_len += (size_t)got)
    if ((got = read(from, said + said_len, sizeof said - 1 - said_len)) <= 0) break;
  said[said_len] = '\0';
}

static void dies(void (*body)(callback_kind), callback_kind kind) {
  int ends[2];
  CHECK_EQ(0, pipe2(ends, O_CLOEXEC));
  pid_t child = check_fork();
  if (child == 0) {
    dup2(ends[1], 2);
    body(kind);
    _exit(0);
  }
  close(ends[1]);
  listen_to(ends[0]);
  close(ends[0]);
  int status = check_wait(child);
  if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT)
    FAIL("status %x, and it said \"%s\"", (unsigned)status, said);
  if (!strstr(said, "Rust cannot catch foreign exceptions")) FAIL("it said \"%s\"", said);
}

static void throw_at(callback_kind kind) { run_in_callback(kind, throw_here); }

TEST(in_every_callback) {
  for (callback_kind kind = 0; kind < CALLBACK_KINDS; kind++)
    check_context = callback_names[kind], dies(throw_at, kind);
}

static void throwing_work(void *user) {
  registration self = {.freed = 0};
  throw_here(&(callback_fixture){.acting = &self, .reactor = user});
}

static void throw_in_work(callback_kind kind) {
  udpr_reactor *reactor = new_reactor(0);
  (void)kind;
  OK(udpr_reactor_call_in_thread(reactor, throwing_work, NULL, reactor, NULL));
  for (;;) pause();
}

TEST(in_work_on_the_pool) { dies(throw_in_work, CALLBACK_KINDS); }

CHECK_MAIN()
