/* Delays and look-ups that can be awaited. Included by <udpr/coro.hpp>. */
#ifndef UDPR_CORO_WAIT_HPP
#define UDPR_CORO_WAIT_HPP

#include <coroutine>
#include <vector>

#include <udpr/cpp/handles.hpp>

namespace udpr::coro {

/** Waits: `co_await udpr::coro::delay(reactor, 10ms)`. Destroying the coroutine cancels the delay. */
class [[nodiscard]] delay {
public:
  /** `time` from the moment at which it is awaited; below 0 is now, which is still a later turn. */
  [[nodiscard]] delay(reactor_ref reactor, std::chrono::nanoseconds time, error_to error = {}) noexcept
      : reactor_(reactor), time_(time), error_(error) {}
  delay(const delay &) = delete;
  delay &operator=(const delay &) = delete;

  /** For co_await. */
  bool await_ready() const noexcept { return false; }
  /** For co_await. */
  bool await_suspend(std::coroutine_handle<> waiting) {
    timer_ = timer(
        reactor_, time_, [waiting] { waiting.resume(); }, failure_);
    return bool(timer_);
  }
  /** For co_await. */
  void await_resume() const { error_(to_status(failure_), "udpr::coro::delay"); }

private:
  reactor_ref              reactor_;
  std::chrono::nanoseconds time_;
  error_to                 error_;
  std::error_code          failure_;
  timer                    timer_;
};

/**
 * Looks a host name up: `co_await udpr::coro::resolve(reactor, "localhost", 53)` gives a std::vector of every address with
 * `port` filled in, which is empty if there is an error code for the failure. Destroying the coroutine gives the look-up up.
 */
class [[nodiscard]] resolve {
public:
  /** As reactor_ref::resolve; `host` is borrowed until it is awaited. */
  [[nodiscard]] resolve(reactor_ref reactor, c_text host, std::uint16_t port,
                        const resolve_options &options = {}, error_to error = {}) noexcept
      : reactor_(reactor), host_(host), port_(port), options_(options), error_(error) {}
  resolve(const resolve &) = delete;
  resolve &operator=(const resolve &) = delete;

  /** For co_await. */
  bool await_ready() const noexcept { return false; }
  /** For co_await. */
  bool await_suspend(std::coroutine_handle<> waiting) {
    const auto resolved = [this, waiting](std::error_code failure, view<address> all) {
      failure_ = failure;
      found_.assign(all.begin(), all.end());
      waiting.resume();
    };
    lookup_ = lookup(reactor_, host_, port_, resolved, options_, failure_);
    return bool(lookup_);
  }
  /** For co_await. */
  std::vector<address> await_resume() {
    error_(to_status(failure_), "udpr::coro::resolve");
    return std::move(found_);
  }

private:
  reactor_ref          reactor_;
  c_text               host_;
  std::uint16_t        port_;
  resolve_options      options_;
  error_to             error_;
  std::error_code      failure_;
  std::vector<address> found_;
  lookup               lookup_;
};

}  // namespace udpr::coro

#endif
