/* The functions that C calls for a reactor's callables. Only `readiness` is for users. */
#ifndef UDPR_CPP_CALLS_HPP
#define UDPR_CPP_CALLS_HPP

#include <optional>

#include <udpr/cpp/address.hpp>
#include <udpr/cpp/callback.hpp>
#include <udpr/cpp/options.hpp>
#include <udpr/cpp/transport.hpp>

namespace udpr {

class reactor_ref;

/** What a watch reports. */
struct readiness {
  /** The watch. */
  watch_id watch;
  /** Its descriptor. */
  int fd;
  /** What it is ready for. */
  watch_flag events;
  /** Whether watch_flag::readable is in them. */
  bool readable() const noexcept { return has(events, watch_flag::readable); }
  /** Whether watch_flag::writable is in them. */
  bool writable() const noexcept { return has(events, watch_flag::writable); }
  /** Whether watch_flag::hangup is in them. */
  bool hangup() const noexcept { return has(events, watch_flag::hangup); }
};

namespace detail {

/* What a trigger may return, as C has it. */
inline udpr_status trigger_status(progress done) noexcept { return static_cast<udpr_status>(done); }
inline udpr_status trigger_status(const std::error_code &error) noexcept { return to_status(error); }

/* For a callable kept as a Kept. Ref, a parameter for that alone, is complete where these are used. */
template <class Kept, class Ref = reactor_ref> struct calls {
  static Kept &of(void *user) noexcept { return *static_cast<Kept *>(user); }

  static void called(udpr_reactor *reactor, void *user) noexcept {
    guarded(reactor, [&] { call_with(of(user), Ref(reactor)); });
  }

  static void repeated(udpr_reactor *reactor, udpr_id, std::uint64_t beats, void *user) noexcept {
    guarded(reactor, [&] { call_with(of(user), Ref(reactor), beats); });
  }

  static udpr_status triggered(udpr_reactor *reactor, udpr_id id, void *user) noexcept {
    udpr_status status = UDPR_OK;
    const bool  ended = guarded(reactor, [&] {
      using Result = decltype(call_with(of(user), Ref(reactor), trigger_id{id}));
      static_assert(std::is_void_v<Result> || std::is_same_v<std::decay_t<Result>, progress> ||
                        std::is_convertible_v<Result, std::error_code>,
                    "a trigger returns nothing, udpr::progress or a std::error_code");
      if constexpr (std::is_void_v<Result>) call_with(of(user), Ref(reactor), trigger_id{id});
      else status = trigger_status(call_with(of(user), Ref(reactor), trigger_id{id}));
    });
    return ended ? status : static_cast<udpr_status>(UDPR_E_CANCELLED);
  }

  static void watched(udpr_reactor *reactor, udpr_id id, std::int32_t fd, std::uint32_t events,
                      void *user) noexcept {
    guarded(reactor, [&] { call_with(of(user), readiness{watch_id{id}, fd, watch_flag(events)}); });
  }

  static void signalled(udpr_reactor *reactor, udpr_id, std::int32_t signal_number, void *user) noexcept {
    guarded(reactor, [&] { call_with(of(user), Ref(reactor), static_cast<int>(signal_number)); });
  }

  static void changed(udpr_reactor *reactor, udpr_id, void *user) noexcept {
    guarded(reactor, [&] { call_with(of(user), Ref(reactor)); });
  }

  static void resolved(udpr_reactor *reactor, udpr_id, udpr_status status, const udpr_addr *addresses,
                       std::size_t count, void *user) noexcept {
    guarded(reactor, [&] {
      call_with(of(user), make_error_code(status), view<address>(wrapped<address>(addresses), count));
    });
  }
};

/* For each_transport: the callable stays the caller's. */
template <class F> struct visitor {
  udpr_reactor               *reactor;
  std::remove_reference_t<F> &function;

  static void visit(udpr_transport *transport, void *user) noexcept {
    visitor &self = *static_cast<visitor *>(user);
    guarded(self.reactor, [&] { call_with(self.function, transport_ref(transport)); });
  }
};

struct nothing {
  void operator()() const noexcept {}
};

/* Work for the pool with what is done afterwards: the result, or the exception, goes from one to the other. */
template <class Work, class Done> class job {
  static_assert(std::is_invocable_v<Work &>, "work for the pool is called without parameters");
  using Result = std::invoke_result_t<Work &>;
  static constexpr bool is_void = std::is_void_v<Result>;
  using Stored = std::conditional_t<is_void, nothing, std::decay_t<Result>>;

public:
  template <class W, class D>
  job(W &&work, D &&done) : work_(std::forward<W>(work)), done_(std::forward<D>(done)) {}

  static void run(void *user) noexcept {
    job &self = *static_cast<job *>(user);
#ifdef __cpp_exceptions
    try {
      self.work();
    } catch (...) { self.thrown_ = std::current_exception(); }
#else
    self.work();
#endif
  }

  static void finish(udpr_reactor *reactor, void *user) noexcept {
    guarded(reactor, [&] { static_cast<job *>(user)->done(); });
  }

private:
  void work() {
    if constexpr (is_void) work_();
    else result_.emplace(work_());
  }

  void done() {
#ifdef __cpp_exceptions
    if (thrown_) std::rethrow_exception(thrown_);
#endif
    if constexpr (is_void) done_();
    else call_with(done_, std::move(*result_));
  }

  Work                  work_;
  Done                  done_;
  std::optional<Stored> result_;
  std::exception_ptr    thrown_;
};

/* The log is written in any call, also in those that keep no exceptions. */
template <class F> struct logger {
  udpr_reactor *reactor;
  F             function;

  static void log(const udpr_log_record *record, void *user) noexcept {
    logger &self = *static_cast<logger *>(user);
#ifdef __cpp_exceptions
    try {
      call_with(self.function, log_record(*record));
    } catch (...) { scope::keep(self.reactor); }
#else
    call_with(self.function, log_record(*record));
#endif
  }
};

}  // namespace detail

}  // namespace udpr

#endif
