/* check.hpp: the harness of the C++ tests, similar to tests/c/check.h. Each case is a process of its own, so
 * a crash or a hang fails only one case. A case fails on its first failed check, on an exception that leaves
 * it, and if it leaves a descriptor open. UDPR_CHECK_SECONDS is the time limit of a case in seconds (60 by
 * default).
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

/* Runs in the process of the case, which is the only one in `tests` there. */
[[noreturn]] inline void run_case(test one) {
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
    if (child == 0) run_case(one);
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

/* Returns whether `call` throws std::system_error with this error. */
template <class Code, class Call> bool throws(Code code, Call call) {
  try {
    call();
  } catch (const std::system_error &error) { return error.code() == code; }
  return false;
}

/* Runs turns until `done()` is true. The time limit of the case is the only limit. */
template <class Done> void iterate_until(udpr::reactor_ref reactor, Done done) {
  while (!done()) reactor.iterate(std::chrono::milliseconds(20));
}

/* Counts its living instances, for callables that must be destroyed once. */
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
