/* How C calls C++: callables behind `user`, and what becomes of exceptions. Nothing here is for users. */
#ifndef UDPR_CPP_CALLBACK_HPP
#define UDPR_CPP_CALLBACK_HPP

#include <exception>
#include <memory>
#include <type_traits>
#include <utility>

#include <udpr/udpr.h>

namespace udpr::detail {

/* turn: run, iterate and the like, which an exception ends by stopping the reactor. call: listen, close and others that
 * run a callback inside themselves, and throw what it throws. */
enum class kind { turn, call };

/* A call into the library that may run callbacks. It catches what they throw, and throws it once C has returned.
 * Known to its thread alone, so nothing is shared: callbacks run on the thread that makes the call. */
class scope {
public:
  scope(udpr_reactor *reactor, kind is) noexcept : reactor_(reactor), is_(is), outer_(innermost()) {
    innermost() = this;
  }
  ~scope() { innermost() = outer_; }
  scope(const scope &) = delete;
  scope &operator=(const scope &) = delete;

  /* Keeps the exception that is being handled for the call that this reactor is in; nullptr is the reactor of the innermost
   * call. Returns false if there is none: then the call was made in C. */
  static bool keep(udpr_reactor *reactor) noexcept {
    return keep(innermost(), reactor, std::current_exception());
  }

  /* For destructors, which must not throw: what was caught goes to the call around this one. If there is none, it is
   * dropped. */
  void pass_on() noexcept {
    if (caught_) keep(outer_, reactor_, std::exchange(caught_, nullptr));
  }

  void rethrow() {
#ifdef __cpp_exceptions
    if (caught_) std::rethrow_exception(std::exchange(caught_, nullptr));
#endif
  }

private:
  static bool keep(scope *at, udpr_reactor *reactor, std::exception_ptr caught) noexcept {
    while (at && reactor && at->reactor_ != reactor) at = at->outer_;
    if (!at) return false;
    if (!at->caught_) at->caught_ = std::move(caught);
    if (at->is_ == kind::turn) udpr_reactor_stop(at->reactor_);
    return true;
  }

  static scope *&innermost() noexcept {
    static thread_local scope *one = nullptr;
    return one;
  }

  udpr_reactor      *reactor_;
  kind               is_;
  scope             *outer_;
  std::exception_ptr caught_;
};

/* Makes a call of C's that may run callbacks. */
template <class Call> udpr_status in_scope(udpr_reactor *reactor, kind is, Call call) {
  scope             here(reactor, is);
  const udpr_status status = call();
  here.rethrow();
  return status;
}

/* Runs a callback for C, which must see no exception. Returns false if one was kept. An exception that cannot be kept, since
 * the call into the library was made in C, ends the program. */
template <class Call> bool guarded(udpr_reactor *reactor, Call call) noexcept {
#ifdef __cpp_exceptions
  try {
    call();
    return true;
  } catch (...) {
    if (!scope::keep(reactor)) std::terminate();
    return false;
  }
#else
  static_cast<void>(reactor);
  call();
  return true;
#endif
}

/* Calls `function` with all arguments or without any, whichever it takes. */
template <class Function, class... Args> decltype(auto) call_with(Function &function, Args &&...args) {
  if constexpr (std::is_invocable_v<Function &, Args...>) {
    return function(std::forward<Args>(args)...);
  } else {
    static_assert(std::is_invocable_v<Function &>,
                  "the callable cannot be called with the parameters of this callback, nor without any");
    return function();
  }
}

template <class Given> constexpr void check_keepable() {
  static_assert(std::is_constructible_v<std::decay_t<Given>, Given>,
                "what is given is kept in the library, and this can be neither copied nor moved there: "
                "std::move it, or "
                "give a std::unique_ptr, a std::shared_ptr or a std::ref to a protocol");
}

/* The `user` that keeps a callable: C owns it from the call on, and gives it back to `destroy`. */
template <class Function> std::decay_t<Function> *keep_for_c(Function &&function) {
  check_keepable<Function>();
  return new std::decay_t<Function>(std::forward<Function>(function));
}

template <class Kept> void destroy(void *user) noexcept { delete static_cast<Kept *>(user); }

}  // namespace udpr::detail

#endif
