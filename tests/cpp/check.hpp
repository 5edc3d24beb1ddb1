/* check.hpp: the harness of the C++ tests, in the manner of tests/c/check.h: a case a process, so that a crash or a hang
 * costs one case only; a case fails on its first failed check, on an exception that gets out, and when it leaves a
 * descriptor open. UDPR_CHECK_SECONDS is how long one case may take (60).
 *
 *     TEST(version_is_known) { CHECK(udpr::version() != 0); }
 *     int main() { return check::run(); }
 */
#ifndef UDPR_TESTS_CHECK_HPP
#define UDPR_TESTS_CHECK_HPP

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <functional>
#include <iterator>
#include <string>
#include <vector>

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <udpr/udpr.hpp>

namespace check {

struct test {
  const char *name;
  void (*body)();
};

inline std::vector<test> &tests() {
  static std::vector<test> all;
  return all;
}

inline bool add(const char *name, void (*body)()) { return tests().push_back({name, body}), true; }

[[noreturn]] inline void fail(const char *file, int line, const char *what) {
  std::printf("not ok %s: %s:%d: %s\n", tests().front().name, std::filesystem::path(file).filename().c_str(),
              line, what);
  std::fflush(stdout);
  _exit(1);
}

inline unsigned seconds() {
  const char *text = std::getenv("UDPR_CHECK_SECONDS");
  return text ? static_cast<unsigned>(std::atoi(text)) : 60;
}

inline auto descriptors() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                       std::filesystem::directory_iterator());
}

/* The case's process; the case is the first of `tests` there. */
[[noreturn]] inline void run_here(test one) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  alarm(seconds());
  tests() = {one};
  const auto before = descriptors();
  try {
    one.body();
  } catch (const std::exception &error) { fail(one.name, 0, error.what()); }
  if (descriptors() != before) fail(one.name, 0, "descriptors left open");
  std::printf("ok %s\n", one.name);
  tests() = {};
  tests().shrink_to_fit();
  std::exit(0);
}

inline int run() {
  int passed = 0, failed = 0;
  for (const test &one : std::vector<test>(tests())) {
    std::fflush(stdout);
    const pid_t child = fork();
    if (child == 0) run_here(one);
    int status = 0;
    waitpid(child, &status, 0);
    if (status == 0) {
      passed++;
      continue;
    }
    failed++;
    if (WIFSIGNALED(status)) std::printf("not ok %s: signal %d\n", one.name, WTERMSIG(status));
    else if (WEXITSTATUS(status) != 1) std::printf("not ok %s: status %d\n", one.name, WEXITSTATUS(status));
  }
  std::printf("%d passed, %d failed, 0 skipped\n", passed, failed);
  return failed != 0 || passed == 0;
}

/* Whether `call` throws std::system_error with this error. */
template <class Code, class Call> bool throws(Code code, Call call) {
  try {
    call();
  } catch (const std::system_error &error) { return error.code() == code; }
  return false;
}

/* Turns until `done()` holds; the case's time is the bound. */
template <class Done> void turn_until(udpr::reactor_ref reactor, Done done) {
  while (!done()) reactor.iterate(std::chrono::milliseconds(20));
}

/* Counts how many of it live: for callables that must be destroyed once. */
struct counted {
  explicit counted(int &living) noexcept : living_(&living) { ++*living_; }
  counted(const counted &other) noexcept : living_(other.living_) { ++*living_; }
  counted &operator=(const counted &) = delete;
  ~counted() { --*living_; }

private:
  int *living_;
};

inline const char *const loopback = "127.0.0.1";

}  // namespace check

#define TEST(name)                                                                  \
  static void                        test_##name();                                 \
  [[maybe_unused]] static const bool added_##name = check::add(#name, test_##name); \
  static void                        test_##name()

#define CHECK(...)                                                     \
  do {                                                                 \
    if (!(__VA_ARGS__)) check::fail(__FILE__, __LINE__, #__VA_ARGS__); \
  } while (0)

#endif
