/* Reactors, owned. Included by <udpr/udpr.hpp>. */
#ifndef UDPR_CPP_REACTOR_HPP
#define UDPR_CPP_REACTOR_HPP

#include <udpr/cpp/reactor_ref.hpp>

namespace udpr {

/** A reactor, owned: it moves and does not copy. Reactors are independent of each other, and may run on threads of their own. */
class reactor : public reactor_ref {
public:
  /** Makes a reactor. UDPR_E_VERSION for unknown flags, UDPR_E_NO_FILES, UDPR_E_NO_MEMORY: it is none then. [any thread] */
  explicit reactor(const reactor_options &options = {}, error_to error = {}) {
    const udpr_reactor_options raw_options = options.raw();
    error(udpr_reactor_new(&raw_options, &raw_), "udpr::reactor");
  }

  /** Takes over a reactor that was made in C. */
  static reactor adopt(udpr_reactor *raw) noexcept { return reactor(raw); }

  /** Takes over what `other` has, which is none then. */
  reactor(reactor &&other) noexcept : reactor_ref(other.release()) {}
  /** Ends what this has, as the destructor does, and takes over what `other` has. */
  reactor &operator=(reactor &&other) noexcept {
    reactor former(std::exchange(raw_, other.release()));
    return *this;
  }

  /**
   * Ends it as free does; what stop_protocol throws is dropped. If the reactor cannot be freed at that point (inside one of
   * its callbacks, or while another thread uses it), it is leaked.
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
   * Ends the reactor now: closes the ports that still listen, with stop_protocol, and destroys the callables that were still
   * to be called. What stop_protocol throws comes out at the end. UDPR_E_REENTRANT inside a callback,
   * UDPR_E_WRONG_THREAD while another thread uses it: the reactor lives on then.
   */
  void free(error_to error = {}) {
    detail::scope     here(raw_, detail::kind::call);
    const udpr_status status = udpr_reactor_free(raw_);
    if (status == UDPR_OK) raw_ = nullptr;
    here.rethrow();
    error(status, "udpr::reactor::free");
  }

  /** Gives the reactor up, for udpr_reactor_free; this is none then. */
  udpr_reactor *release() noexcept { return std::exchange(raw_, nullptr); }

private:
  explicit reactor(udpr_reactor *raw) noexcept : reactor_ref(raw) {}
};

}  // namespace udpr

#endif
