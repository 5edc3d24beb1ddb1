/* What other threads use of a reactor. Included by <udpr/udpr.hpp>. */
#ifndef UDPR_CPP_REMOTE_HPP
#define UDPR_CPP_REMOTE_HPP

#include <udpr/cpp/calls.hpp>

namespace udpr {

/**
 * What other threads use of a reactor, counted: it may be copied, used and destroyed on any thread. It outlives the reactor;
 * every function is UDPR_E_CLOSED then.
 */
class remote {
public:
  /** None: every function is UDPR_E_INVALID_ARGUMENT. */
  remote() noexcept = default;
  /** Takes over a reference that was obtained in C. */
  static remote adopt(udpr_remote *raw) noexcept {
    remote taken;
    taken.raw_ = raw;
    return taken;
  }

  /** One more reference. */
  remote(const remote &other) noexcept : raw_(udpr_remote_retain(other.raw_)) {}
  /** Takes over what `other` has, which is none then. */
  remote(remote &&other) noexcept : raw_(std::exchange(other.raw_, nullptr)) {}
  /** Gives its reference up for another one. */
  remote &operator=(remote other) noexcept { return std::swap(raw_, other.raw_), *this; }
  ~remote() { udpr_remote_release(raw_); }

  /** Whether there is one. */
  explicit operator bool() const noexcept { return raw_ != nullptr; }
  /** As C has it. */
  udpr_remote *get() const noexcept { return raw_; }

  /**
   * Calls `function(reactor_ref)` on the reactor's thread in its next turn, in order for each calling thread; it is kept until
   * there is a turn. It is destroyed on that thread, too, or inside this if this fails. [any thread]
   */
  template <class F> void call(F &&function, error_to error = {}) const {
    using Kept = std::decay_t<F>;
    error(udpr_remote_call(raw_, detail::calls<Kept>::called, detail::keep_for_c(std::forward<F>(function)),
                           detail::destroy<Kept>),
          "udpr::remote::call");
  }

  /** Stops the reactor in its next turn. UDPR_E_NOT_RUNNING if nothing runs. [any thread] */
  void stop(error_to error = {}) const { error(udpr_remote_stop(raw_), "udpr::remote::stop"); }

  /** Ends the waiting of run or iterate; if neither waits now, that of the next one. [any thread, signal safe] */
  std::error_code wake() const noexcept { return make_error_code(udpr_remote_wake(raw_)); }

private:
  udpr_remote *raw_ = nullptr;
};

}  // namespace udpr

#endif
