/* Doors for other threads. Included by <udpr/udpr.hpp>. */
#ifndef UDPR_CPP_REMOTE_HPP
#define UDPR_CPP_REMOTE_HPP

#include <udpr/cpp/calls.hpp>

namespace udpr {

/**
 * A reactor's door for other threads, counted: copied, used and dropped on any thread. It outlives the reactor; then
 * everything on it is UDPR_E_CLOSED.
 */
class remote {
public:
  /** None: everything on it is UDPR_E_INVALID_ARGUMENT. */
  remote() noexcept = default;
  /** Takes a reference over that C has given out. */
  static remote adopt(udpr_remote *raw) noexcept {
    remote taken;
    taken.raw_ = raw;
    return taken;
  }

  remote(const remote &other) noexcept : raw_(udpr_remote_retain(other.raw_)) {}
  remote(remote &&other) noexcept : raw_(std::exchange(other.raw_, nullptr)) {}
  remote &operator=(remote other) noexcept { return std::swap(raw_, other.raw_), *this; }
  ~remote() { udpr_remote_release(raw_); }

  /** Whether there is one. */
  explicit operator bool() const noexcept { return raw_ != nullptr; }
  /** As C has it. */
  udpr_remote *get() const noexcept { return raw_; }

  /**
   * Calls `function(reactor_ref)` on the reactor's thread in its next turn, in order for each calling thread; kept until
   * there is a turn. It is destroyed there, too; inside this where it fails. [any thread]
   */
  template <class F> void call(F &&function, error_to error = {}) const {
    using Kept = std::decay_t<F>;
    error(udpr_remote_call(raw_, detail::calls<Kept>::called, detail::keep_for_c(std::forward<F>(function)),
                           detail::destroy<Kept>),
          "udpr::remote::call");
  }

  /** Stops the reactor in its next turn. UDPR_E_NOT_RUNNING when nothing runs. [any thread] */
  void stop(error_to error = {}) const { error(udpr_remote_stop(raw_), "udpr::remote::stop"); }

  /** Ends the waiting of run or iterate; where nobody waits, of the next one. [any thread, signal safe] */
  std::error_code wake() const noexcept { return make_error_code(udpr_remote_wake(raw_)); }

private:
  udpr_remote *raw_ = nullptr;
};

}  // namespace udpr

#endif
