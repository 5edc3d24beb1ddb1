/* Handles that cancel themselves: timer, periodic_timer, watch, signal, interface_watch, lookup, trigger. Included by
 * <udpr/udpr.hpp>. */
#ifndef UDPR_CPP_HANDLES_HPP
#define UDPR_CPP_HANDLES_HPP

#include <exception>
#include <optional>

#include <udpr/cpp/reactor_ref.hpp>

namespace udpr {

namespace detail {

/* A handle's callable, as the library keeps it. `slot` is the handle's pointer to this: the library destroys this when the
 * callable is not called any more, and the handle is empty from then on. */
struct linked {
  linked **slot = nullptr;
  bool     running = false;
  bool     cancelled = false;

  linked() = default;
  linked(const linked &) = delete;
  linked &operator=(const linked &) = delete;
  /* Destroys the callable before the library destroys this. */
  virtual void drop() noexcept = 0;

protected:
  ~linked() {
    if (slot) *slot = nullptr;
  }
};

template <class F> class linked_function final : public linked {
public:
  template <class G>
  explicit linked_function(G &&function) : function_(std::in_place, std::forward<G>(function)) {}

  void drop() noexcept override { function_.reset(); }

  template <class... Args, std::enable_if_t<std::is_invocable_v<F &, Args...>, int> = 0>
  auto operator()(Args &&...args) {
    using Result = std::decay_t<std::invoke_result_t<F &, Args...>>;
    if (cancelled) return Result();
    const during now(running);
    return static_cast<Result>((*function_)(std::forward<Args>(args)...));
  }

private:
  struct during {
    explicit during(bool &flag) noexcept : flag_(flag) { flag_ = true; }
    ~during() { flag_ = false; }
    during(const during &) = delete;
    during &operator=(const during &) = delete;

  private:
    bool &flag_;
  };

  std::optional<F> function_;
};

inline udpr_status end(udpr_reactor *reactor, timer_id id) noexcept {
  return udpr_reactor_cancel_call(reactor, udpr_id(id));
}
inline udpr_status end(udpr_reactor *reactor, watch_id id) noexcept {
  return udpr_reactor_unwatch(reactor, udpr_id(id));
}
inline udpr_status end(udpr_reactor *reactor, lookup_id id) noexcept {
  return udpr_reactor_cancel_resolve(reactor, udpr_id(id));
}
/* The rest of an event may be called inside this. */
inline udpr_status end(udpr_reactor *reactor, trigger_id id) noexcept {
  scope             here(reactor, kind::call);
  const udpr_status status = udpr_reactor_remove_trigger(reactor, udpr_id(id));
  here.pass_on();
  return status;
}

}  // namespace detail

/**
 * What timer, periodic_timer, watch, signal, interface_watch, lookup and trigger have in common. A handle owns what it names: destroying it, or assigning another one
 * to it, cancels that, and its callable is not called afterwards. It moves and does not copy. It is empty when it is made
 * without arguments, when it was moved from, and once its callable is not called any more: after its last call, and when
 * the reactor has ended. A handle may outlive its reactor, and may be destroyed inside its own callable.
 *
 * A handle is used, moved and destroyed like the reactor: on the thread that runs it, or on any one thread while nothing
 * runs it. Destroying one that is not empty while another thread runs the reactor calls std::terminate, as it does for a
 * std::thread that can be joined.
 */
template <class Id> class handle {
public:
  /** Empty. */
  handle() noexcept = default;
  /** Takes over what `other` has, which is empty then. */
  handle(handle &&other) noexcept { take(other); }
  /** Cancels what this has, and takes over what `other` has. */
  handle &operator=(handle &&other) noexcept {
    if (this != &other) cancel(), take(other);
    return *this;
  }
  /** Cancels. */
  ~handle() { cancel(); }

  /** Cancels now. The callable is destroyed inside this, or, if it is at work, after it has returned. */
  void cancel() noexcept {
    if (!kept_) return;
    detail::linked *kept = std::exchange(kept_, nullptr);
    kept->slot = &kept;
    const udpr_status status = detail::end(reactor_.get(), id_);
    if (status == UDPR_E_WRONG_THREAD) std::terminate();
    if (!kept) return;
    kept->slot = nullptr;
    kept->cancelled = true;
    if (!kept->running) kept->drop();
  }

  /** Lets it go on without this handle, which is empty then. The id is for the functions of reactor_ref. */
  Id release() noexcept {
    const Id id = this->id();
    if (kept_) std::exchange(kept_, nullptr)->slot = nullptr;
    return id;
  }

  /** Whether it is not empty. */
  explicit operator bool() const noexcept { return kept_ != nullptr; }
  /** Its id, which stays the handle's; Id{} if it is empty. */
  Id id() const noexcept { return kept_ ? id_ : Id{}; }
  /** Its reactor; none if it is empty. */
  reactor_ref reactor() const noexcept { return kept_ ? reactor_ : reactor_ref(); }

protected:
  /** Keeps `function` for `call(functions, kept, destroy, &id)`, which registers it with the library. */
  template <class F, class Call> handle(reactor_ref reactor, F &&function, Call call) : reactor_(reactor) {
    using Kept = detail::linked_function<std::decay_t<F>>;
    detail::check_keepable<F>();
    Kept *kept = new Kept(std::forward<F>(function));
    kept->slot = &kept_;
    kept_ = kept;
    udpr_id id = 0;
    call(detail::calls<Kept>(), kept, detail::destroy<Kept>, &id);
    id_ = Id{id};
  }

  /** Makes a call with the handle's reactor and id. An empty one is UDPR_E_NOT_FOUND. */
  template <class Call> void with_id(const error_to &error, const char *what, Call call) const {
    error(kept_ ? call(reactor_.get(), udpr_id(id_)) : static_cast<udpr_status>(UDPR_E_NOT_FOUND), what);
  }

private:
  void take(handle &other) noexcept {
    reactor_ = other.reactor_;
    id_ = other.id_;
    kept_ = std::exchange(other.kept_, nullptr);
    if (kept_) kept_->slot = &kept_;
  }

  reactor_ref     reactor_;
  Id              id_{};
  detail::linked *kept_ = nullptr;
};

/** What timer and periodic_timer have in common: a delayed call that is cancelled with this object. See handle. */
class delayed_call : public handle<timer_id> {
public:
  /** Moves it to `delay` from now; inside its own call it is pending again. UDPR_E_NOT_FOUND if it is empty. */
  void reset(std::chrono::nanoseconds delay, error_to error = {}) const {
    with_id(error, "udpr::timer::reset", [&](udpr_reactor *reactor, udpr_id id) {
      return udpr_reactor_reset_call(reactor, id, detail::to_ns(delay));
    });
  }

  /** Moves it to `instant` of reactor_ref::now. Otherwise as reset. */
  void reset_at(clock::time_point instant, error_to error = {}) const {
    with_id(error, "udpr::timer::reset_at", [&](udpr_reactor *reactor, udpr_id id) {
      return udpr_reactor_reset_call_at(reactor, id, detail::to_ns(instant.time_since_epoch()));
    });
  }

  /** Moves it by `more` from the instant at which it is due; below 0 is earlier. Otherwise as reset. */
  void delay(std::chrono::nanoseconds more, error_to error = {}) const {
    with_id(error, "udpr::timer::delay", [&](udpr_reactor *reactor, udpr_id id) {
      return udpr_reactor_delay_call(reactor, id, more.count());
    });
  }

  /** The instant at which it is due. UDPR_E_ALREADY_CALLED inside the call of a timer. Otherwise as reset. */
  clock::time_point due(error_to error = {}) const {
    udpr_ns ns = 0;
    with_id(error, "udpr::timer::due",
            [&](udpr_reactor *reactor, udpr_id id) { return udpr_reactor_call_time(reactor, id, &ns); });
    return clock::time_point(clock::duration(ns));
  }

protected:
  /** Empty. */
  delayed_call() noexcept = default;
  /** Keeps `function` for `call`, as handle does. */
  template <class F, class Call>
  delayed_call(reactor_ref reactor, F &&function, Call call)
      : handle(reactor, std::forward<F>(function), call) {}
};

/** A delayed call that is cancelled with this object. It is empty once it has been called, unless it was moved meanwhile. */
class timer : public delayed_call {
public:
  /** Empty. */
  timer() noexcept = default;
  /** Calls `function(reactor_ref)` once, `delay` from now, as reactor_ref::call_later. */
  template <class F>
  timer(reactor_ref reactor, std::chrono::nanoseconds delay, F &&function, error_to error = {})
      : delayed_call(reactor, std::forward<F>(function), [&](auto functions, auto... rest) {
          error(udpr_reactor_call_later(reactor.get(), detail::to_ns(delay), functions.called, rest...),
                "udpr::timer");
        }) {}
  /** Calls `function(reactor_ref)` once, at `instant`, as reactor_ref::call_at. */
  template <class F>
  timer(reactor_ref reactor, clock::time_point instant, F &&function, error_to error = {})
      : delayed_call(reactor, std::forward<F>(function), [&](auto functions, auto... rest) {
          error(udpr_reactor_call_at(reactor.get(), detail::to_ns(instant.time_since_epoch()),
                                     functions.called, rest...),
                "udpr::timer");
        }) {}
};

/** A periodic call that is cancelled with this object. See handle. */
class periodic_timer : public delayed_call {
public:
  /** Empty. */
  periodic_timer() noexcept = default;
  /** Calls `function(reactor_ref, beats)` every `interval`, as reactor_ref::call_every. */
  template <class F>
  periodic_timer(reactor_ref reactor, std::chrono::nanoseconds interval, F &&function, error_to error = {})
      : delayed_call(reactor, std::forward<F>(function), [&](auto functions, auto... rest) {
          error(udpr_reactor_call_every(reactor.get(), detail::to_ns(interval), functions.repeated, rest...),
                "udpr::periodic_timer");
        }) {}
};

/** A watched descriptor, which this object does not close: destroy the watch first. See handle. */
class watch : public handle<watch_id> {
public:
  /** Empty. */
  watch() noexcept = default;
  /** Calls `function(const readiness &)` whenever `fd` is ready for `events`, as reactor_ref::watch. */
  template <class F>
  watch(reactor_ref reactor, int fd, watch_flag events, F &&function, error_to error = {})
      : handle(reactor, std::forward<F>(function), [&](auto functions, auto... rest) {
          error(udpr_reactor_watch(reactor.get(), fd, detail::raw_flags(events), functions.watched, rest...),
                "udpr::watch");
        }) {}

  /** Watches for other events. UDPR_E_NOT_FOUND if it is empty. */
  void change(watch_flag events, error_to error = {}) const {
    with_id(error, "udpr::watch::change", [&](udpr_reactor *reactor, udpr_id id) {
      return udpr_reactor_change_watch(reactor, id, detail::raw_flags(events));
    });
  }
};

/** A watched signal. See handle. */
class signal : public handle<watch_id> {
public:
  /** Empty. */
  signal() noexcept = default;
  /** Calls `function(reactor_ref, int)` in a turn after `signal_number` has come, as reactor_ref::watch_signal. */
  template <class F>
  signal(reactor_ref reactor, int signal_number, F &&function, error_to error = {})
      : handle(reactor, std::forward<F>(function), [&](auto functions, auto... rest) {
          error(udpr_reactor_watch_signal(reactor.get(), signal_number, functions.signalled, rest...),
                "udpr::signal");
        }) {}
};

/** A watch of the network interfaces and their addresses. See handle. */
class interface_watch : public handle<watch_id> {
public:
  /** Empty. */
  interface_watch() noexcept = default;
  /** Calls `function(reactor_ref)` in a turn after something has changed, as reactor_ref::watch_interfaces. */
  template <class F>
  interface_watch(reactor_ref reactor, F &&function, error_to error = {})
      : handle(reactor, std::forward<F>(function), [&](auto functions, auto... rest) {
          error(udpr_reactor_watch_interfaces(reactor.get(), functions.changed, rest...),
                "udpr::interface_watch");
        }) {}
};

/** A look-up that is given up with this object: its callable is not called then. See handle. */
class lookup : public handle<lookup_id> {
public:
  /** Empty. */
  lookup() noexcept = default;
  /** Calls `function(std::error_code, view<address>)` once in a later turn, as reactor_ref::resolve. */
  template <class F>
  lookup(reactor_ref reactor, c_text host, std::uint16_t port, F &&function,
         const resolve_options &options = {}, error_to error = {})
      : handle(reactor, std::forward<F>(function), [&](auto functions, auto... rest) {
          error(udpr_reactor_resolve(reactor.get(), host.get(), port,
                                     static_cast<std::uint16_t>(options.family),
                                     detail::to_ns(options.timeout), functions.resolved, rest...),
                "udpr::lookup");
        }) {}
};

/** A trigger of an event that is removed with this object. See handle. */
class trigger : public handle<trigger_id> {
public:
  /** Empty. */
  trigger() noexcept = default;
  /** Calls `function(reactor_ref, trigger_id)` at every startup or shutdown, as reactor_ref::add_trigger. */
  template <class F>
  trigger(reactor_ref reactor, udpr_phase_code phase, udpr_event_code event, F &&function,
          error_to error = {})
      : handle(reactor, std::forward<F>(function), [&](auto functions, auto... rest) {
          error(udpr_reactor_add_trigger(reactor.get(), static_cast<std::uint32_t>(phase),
                                         static_cast<std::uint32_t>(event), functions.triggered, rest...),
                "udpr::trigger");
        }) {}

  /** One that returned progress::pending has finished, as reactor_ref::finish_trigger. */
  void finish(error_to error = {}) const {
    with_id(error, "udpr::trigger::finish", [&](udpr_reactor *reactor, udpr_id id) {
      return detail::in_scope(reactor, detail::kind::call,
                              [&] { return udpr_reactor_finish_trigger(reactor, id); });
    });
  }
};

}  // namespace udpr

#endif
