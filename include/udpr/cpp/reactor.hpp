/* Reactors, owned. Included by <udpr/udpr.hpp>. */
#ifndef UDPR_CPP_REACTOR_HPP
#define UDPR_CPP_REACTOR_HPP

#include <udpr/cpp/reactor_ref.hpp>

namespace udpr {

/** A reactor, owned: move-only. Reactors are independent of each other: a thread each, as many as one likes. */
class reactor : public reactor_ref {
public:
  /** Makes one. UDPR_E_VERSION for unknown flags, UDPR_E_NO_FILES, UDPR_E_NO_MEMORY: then it is none. [any thread] */
  explicit reactor(const reactor_options &options = {}, error_to error = {}) {
    const udpr_reactor_options raw_options = options.raw();
    error(udpr_reactor_new(&raw_options, &raw_), "udpr::reactor");
  }

  /** Takes a reactor over that was made in C. */
  static reactor adopt(udpr_reactor *raw) noexcept { return reactor(raw); }

  reactor(reactor &&other) noexcept : reactor_ref(other.release()) {}
  reactor &operator=(reactor &&other) noexcept {
    reactor former(std::exchange(raw_, other.release()));
    return *this;
  }

  /**
   * Ends it as free does; what stop_protocol throws is dropped. Where it may not end now (inside a callback of its own,
   * or while another thread uses it), it lives on and is lost.
   */
  ~reactor() {
    std::error_code error;
#ifdef __cpp_exceptions
    try {
      free(error);
    } catch (...) {}
#else
    free(error);
#endif
  }

  /**
   * Ends the reactor now: closes what still listens, with stop_protocol, and destroys what was still to be called. What
   * stop_protocol throws comes out when all is done. UDPR_E_REENTRANT inside a callback, UDPR_E_WRONG_THREAD while
   * another thread uses it: then it lives on.
   */
  void free(error_to error = {}) {
    detail::scope     here(raw_, detail::kind::call);
    const udpr_status status = udpr_reactor_free(raw_);
    if (status == UDPR_OK) raw_ = nullptr;
    here.rethrow();
    error(status, "udpr::reactor::free");
  }

  /** Gives it up, for udpr_reactor_free. */
  udpr_reactor *release() noexcept { return std::exchange(raw_, nullptr); }

private:
  explicit reactor(udpr_reactor *raw) noexcept : reactor_ref(raw) {}
};

}  // namespace udpr

#endif
