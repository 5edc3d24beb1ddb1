/* Reactors, borrowed. Included by <udpr/udpr.hpp>. */
#ifndef UDPR_CPP_REACTOR_REF_HPP
#define UDPR_CPP_REACTOR_REF_HPP

#include <vector>

#include <udpr/cpp/calls.hpp>
#include <udpr/cpp/options.hpp>
#include <udpr/cpp/protocol.hpp>
#include <udpr/cpp/remote.hpp>

namespace udpr {

/**
 * A reactor, borrowed: what callbacks receive, with all functions of a reactor. It may be copied, and is valid as long as
 * the reactor lives. If it is none, every function is UDPR_E_INVALID_ARGUMENT. It is used on one thread at a time, except for
 * the functions with [any thread].
 *
 * Callables are moved or copied into the reactor, and destroyed there after their last call, also if the registration fails.
 * Those that are described with parameters may also take none. What they throw stops the reactor and comes out of run,
 * iterate, start or advance; what a callable throws that is called inside another function (listen_udp, each_transport, ...)
 * comes out of that function, and stops nothing.
 *
 * A callable must not outlive what it refers to: `[this]` of a protocol that dies with its port needs a timer, watch, signal,
 * lookup or trigger as a member of the protocol, which cancels itself.
 */
class reactor_ref {
public:
  /** None. */
  constexpr reactor_ref() noexcept = default;
  /** As C has it. */
  constexpr explicit reactor_ref(udpr_reactor *raw) noexcept : raw_(raw) {}

  /** Whether there is one. */
  explicit operator bool() const noexcept { return raw_ != nullptr; }
  /** As C has it. */
  udpr_reactor *get() const noexcept { return raw_; }

  /* ---- life ---- */

  /**
   * Runs turns until stop, also through EINTR; it may be called again afterwards. What a callback throws comes out of it once
   * the reactor has stopped. UDPR_E_ALREADY_RUNNING after start; UDPR_E_REENTRANT inside a callback.
   */
  void run(error_to error = {}) const {
    error(in_turn([&] { return udpr_reactor_run(raw_); }), "udpr::reactor::run");
  }

  /** Begins the shutdown at the end of this turn; run returns at its end. UDPR_E_NOT_RUNNING. */
  void stop(error_to error = {}) const { error(udpr_reactor_stop(raw_), "udpr::reactor::stop"); }

  /** Makes run return after this turn; ports stay open, and are served when it is run again. UDPR_E_NOT_RUNNING. */
  void crash(error_to error = {}) const { error(udpr_reactor_crash(raw_), "udpr::reactor::crash"); }

  /**
   * Gathers writes outside callbacks until flush, or until the next turn, which sends them before it waits. Both end this.
   */
  void gather(error_to error = {}) const { error(udpr_reactor_gather(raw_), "udpr::reactor::gather"); }

  /**
   * Sends what every port has gathered, and ends gather; in callbacks, too. UDPR_E_WOULD_BLOCK if a full socket keeps some of it
   * waiting.
   */
  void flush(error_to error = {}) const { error(udpr_reactor_flush(raw_), "udpr::reactor::flush"); }

  /** In a forked child, before every other call: the reactor goes on there. UDPR_E_NOT_SUPPORTED elsewhere. */
  void after_fork(error_to error = {}) const {
    error(udpr_reactor_after_fork(raw_), "udpr::reactor::after_fork");
  }

  /** Whether it is between startup and shutdown. [any thread] */
  bool is_running() const noexcept { return udpr_reactor_is_running(raw_) != 0; }

  /* ---- inside another loop ---- */

  /** Does what run does before its first turn; iterate does the rest. UDPR_E_ALREADY_RUNNING. */
  void start(error_to error = {}) const {
    error(in_turn([&] { return udpr_reactor_start(raw_); }), "udpr::reactor::start");
  }

  /**
   * Runs one turn: waits for `timeout` at most (below 0 is 0, other than in C), then serves what is ready. UDPR_E_REENTRANT
   * inside a callback.
   */
  void iterate(std::chrono::nanoseconds timeout, error_to error = {}) const {
    const std::int64_t ns = timeout.count() > 0 ? timeout.count() : 0;
    error(in_turn([&] { return udpr_reactor_iterate(raw_, ns); }), "udpr::reactor::iterate");
  }

  /** Runs one turn: waits until there is something to do. Otherwise as above. */
  void iterate(error_to error = {}) const {
    error(in_turn([&] { return udpr_reactor_iterate(raw_, -1); }), "udpr::reactor::iterate");
  }

  /** One descriptor for another loop: call `iterate(0ns)` when it is readable. The reactor closes it. */
  int backend_fd(error_to error = {}) const {
    std::int32_t fd = -1;
    error(udpr_reactor_backend_fd(raw_, &fd), "udpr::reactor::backend_fd");
    return fd;
  }

  /** How long it is until a turn has something to do without a ready descriptor; none if it has nothing. */
  std::optional<std::chrono::nanoseconds> next_timeout(error_to error = {}) const {
    std::int64_t ns = -1;
    error(udpr_reactor_next_timeout(raw_, &ns), "udpr::reactor::next_timeout");
    return ns < 0 ? std::nullopt : std::optional<std::chrono::nanoseconds>(ns);
  }

  /**
   * Calls `function(const readiness &)` whenever the descriptor is ready for `events`. A descriptor has one watch: a second one
   * is std::errc::file_exists. End the watch before the descriptor is closed; udpr::watch does so by itself.
   */
  template <class F> watch_id watch(int fd, watch_flag events, F &&function, error_to error = {}) const {
    using Kept = std::decay_t<F>;
    udpr_id id = 0;
    error(udpr_reactor_watch(raw_, fd, detail::raw_flags(events), detail::calls<Kept>::watched,
                             detail::keep_for_c(std::forward<F>(function)), detail::destroy<Kept>, &id),
          "udpr::reactor::watch");
    return watch_id{id};
  }

  /** Watches for other events. UDPR_E_NOT_FOUND. */
  void change_watch(watch_id id, watch_flag events, error_to error = {}) const {
    error(udpr_reactor_change_watch(raw_, udpr_id(id), detail::raw_flags(events)),
          "udpr::reactor::change_watch");
  }

  /**
   * Calls `function(reactor_ref, int)` with the number of the signal, in a turn, once however often it has come. A watch
   * of SIGINT or SIGTERM replaces what reactor_flag::signals does with it. UDPR_E_INVALID_ARGUMENT for signals that cannot be watched.
   */
  template <class F> watch_id watch_signal(int signal_number, F &&function, error_to error = {}) const {
    using Kept = std::decay_t<F>;
    udpr_id id = 0;
    error(udpr_reactor_watch_signal(raw_, signal_number, detail::calls<Kept>::signalled,
                                    detail::keep_for_c(std::forward<F>(function)), detail::destroy<Kept>,
                                    &id),
          "udpr::reactor::watch_signal");
    return watch_id{id};
  }

  /**
   * Calls `function(reactor_ref)` in a turn when an interface or an address has come, gone or changed, in the network namespace
   * that this thread is in now. Several changes may be one call. UDPR_E_NOT_SUPPORTED, UDPR_E_PERMISSION.
   */
  template <class F> watch_id watch_interfaces(F &&function, error_to error = {}) const {
    using Kept = std::decay_t<F>;
    udpr_id id = 0;
    error(udpr_reactor_watch_interfaces(raw_, detail::calls<Kept>::changed,
                                        detail::keep_for_c(std::forward<F>(function)), detail::destroy<Kept>,
                                        &id),
          "udpr::reactor::watch_interfaces");
    return watch_id{id};
  }

  /** Ends a watch, of whatever kind. A descriptor stays open. UDPR_E_NOT_FOUND. */
  void unwatch(watch_id id, error_to error = {}) const {
    error(udpr_reactor_unwatch(raw_, udpr_id(id)), "udpr::reactor::unwatch");
  }

  /* ---- ports ---- */

  /**
   * Listens on a UDP port: `listen_udp(9999, protocol)`, `listen_udp({"127.0.0.1", 0}, protocol)`. What `protocol` may be is
   * described at udpr::protocol. start_protocol runs inside this; what it throws comes out. The result need not be kept.
   * UDPR_E_ADDRESS_IN_USE, UDPR_E_ADDRESS_NOT_AVAILABLE, UDPR_E_ACCESS, ...
   */
  template <class P>
  transport listen_udp(const local_port &at, P &&protocol, const udp_options &options = {},
                       error_to error = {}) const {
    return open(error, "udpr::reactor::listen_udp", options, std::forward<P>(protocol),
                [&](auto... rest) { return udpr_reactor_listen_udp(raw_, at.port, at.address, rest...); });
  }

  /**
   * The same on an address and its port: `listen_udp(udpr::address::parse(text, 9999), protocol)`. No address is
   * UDPR_E_INVALID_ARGUMENT.
   */
  template <class P>
  transport listen_udp(const address &at, P &&protocol, const udp_options &options = {},
                       error_to error = {}) const {
    return open(error, "udpr::reactor::listen_udp", options, std::forward<P>(protocol),
                [&](auto... rest) { return udpr_reactor_listen_addr(raw_, &at.raw(), rest...); });
  }

  /** Twisted's name for a port meant for groups: the same as listen_udp. */
  template <class P>
  transport listen_multicast(const local_port &at, P &&protocol, const udp_options &options = {},
                             error_to error = {}) const {
    return open(error, "udpr::reactor::listen_multicast", options, std::forward<P>(protocol),
                [&](auto... rest) {
                  return udpr_reactor_listen_multicast(raw_, at.port, at.address, rest...);
                });
  }

  /** The same on an address and its port. */
  template <class P>
  transport listen_multicast(const address &at, P &&protocol, const udp_options &options = {},
                             error_to error = {}) const {
    return open(error, "udpr::reactor::listen_multicast", options, std::forward<P>(protocol),
                [&](auto... rest) { return udpr_reactor_listen_addr(raw_, &at.raw(), rest...); });
  }

  /**
   * Makes a port of a UDP socket that was made elsewhere. The socket is duplicated; with udp_flag::take_fd it is taken over,
   * also if this fails. `family`: UDPR_AF_UNSPEC, or the expected one. UDPR_E_SOCKET_TYPE, UDPR_E_ADDRESS_FAMILY; otherwise
   * as listen_udp.
   */
  template <class P>
  transport adopt_datagram_port(int fd, udpr_family_code family, P &&protocol,
                                const udp_options &options = {}, error_to error = {}) const {
    return open(error, "udpr::reactor::adopt_datagram_port", options, std::forward<P>(protocol),
                [&](auto... rest) {
                  return udpr_reactor_adopt_datagram_port(raw_, fd, static_cast<std::uint16_t>(family),
                                                          rest...);
                });
  }

  /** Calls `function(transport_ref)` for every port whose stop_protocol is still to come, inside this. */
  template <class F> void each_transport(F &&function, error_to error = {}) const {
    detail::visitor<F> visitor{raw_, function};
    error(in_call([&] { return udpr_reactor_each_transport(raw_, detail::visitor<F>::visit, &visitor); }),
          "udpr::reactor::each_transport");
  }

  /* ---- time ---- */

  /** The reactor's clock, which stands still between calls of advance if it is a manual one. [any thread] */
  clock::time_point now() const noexcept {
    return clock::time_point(clock::duration(udpr_reactor_now(raw_)));
  }

  /** Calls `function(reactor_ref)` once, `delay` from now (below 0 is now), never early, and always in a later turn. */
  template <class F>
  timer_id call_later(std::chrono::nanoseconds delay, F &&function, error_to error = {}) const {
    using Kept = std::decay_t<F>;
    udpr_id id = 0;
    error(udpr_reactor_call_later(raw_, detail::to_ns(delay), detail::calls<Kept>::called,
                                  detail::keep_for_c(std::forward<F>(function)), detail::destroy<Kept>, &id),
          "udpr::reactor::call_later");
    return timer_id{id};
  }

  /** Calls `function(reactor_ref)` once, at `instant` of now(). If that has passed, it is due at once. */
  template <class F> timer_id call_at(clock::time_point instant, F &&function, error_to error = {}) const {
    using Kept = std::decay_t<F>;
    udpr_id id = 0;
    error(udpr_reactor_call_at(raw_, detail::to_ns(instant.time_since_epoch()), detail::calls<Kept>::called,
                               detail::keep_for_c(std::forward<F>(function)), detail::destroy<Kept>, &id),
          "udpr::reactor::call_at");
    return timer_id{id};
  }

  /**
   * Calls `function(reactor_ref, beats)` every `interval`, first after one, on a fixed grid, until it is cancelled. A late turn
   * calls once; `beats` is 1 and those that were missed since the last call. UDPR_E_INVALID_ARGUMENT if the interval is not
   * above 0.
   */
  template <class F>
  timer_id call_every(std::chrono::nanoseconds interval, F &&function, error_to error = {}) const {
    using Kept = std::decay_t<F>;
    udpr_id id = 0;
    error(udpr_reactor_call_every(raw_, detail::to_ns(interval), detail::calls<Kept>::repeated,
                                  detail::keep_for_c(std::forward<F>(function)), detail::destroy<Kept>, &id),
          "udpr::reactor::call_every");
    return timer_id{id};
  }

  /** Cancels a delayed call. UDPR_E_ALREADY_CALLED, UDPR_E_ALREADY_CANCELLED, UDPR_E_NOT_FOUND. */
  void cancel(timer_id id, error_to error = {}) const {
    error(udpr_reactor_cancel_call(raw_, udpr_id(id)), "udpr::reactor::cancel");
  }

  /** Moves a delayed call to `delay` from now. Errors as of cancel; but inside itself the call is pending again. */
  void reset(timer_id id, std::chrono::nanoseconds delay, error_to error = {}) const {
    error(udpr_reactor_reset_call(raw_, udpr_id(id), detail::to_ns(delay)), "udpr::reactor::reset");
  }

  /** Moves a delayed call to `instant` of now(). Errors as of reset. */
  void reset_at(timer_id id, clock::time_point instant, error_to error = {}) const {
    error(udpr_reactor_reset_call_at(raw_, udpr_id(id), detail::to_ns(instant.time_since_epoch())),
          "udpr::reactor::reset_at");
  }

  /** Moves a delayed call by `more` from the instant at which it is due; below 0 is earlier. Errors as of reset. */
  void delay(timer_id id, std::chrono::nanoseconds more, error_to error = {}) const {
    error(udpr_reactor_delay_call(raw_, udpr_id(id), more.count()), "udpr::reactor::delay");
  }

  /** The instant at which a pending delayed call is due. Errors as of cancel. */
  clock::time_point due(timer_id id, error_to error = {}) const {
    udpr_ns ns = 0;
    error(udpr_reactor_call_time(raw_, udpr_id(id), &ns), "udpr::reactor::due");
    return clock::time_point(clock::duration(ns));
  }

  /** The delayed calls that are pending, in no order. */
  std::vector<timer_id> delayed_calls(error_to error = {}) const {
    std::size_t          count = 0;
    udpr_status          status = udpr_reactor_delayed_calls(raw_, nullptr, 0, &count);
    std::vector<udpr_id> raw(status == UDPR_OK ? count : 0);
    if (!raw.empty()) status = udpr_reactor_delayed_calls(raw_, raw.data(), raw.size(), &count);
    error(status, "udpr::reactor::delayed_calls");
    std::vector<timer_id> ids;
    for (udpr_id id : raw) ids.push_back(timer_id{id});
    return ids;
  }

  /** Moves a manual clock, and runs what falls due. UDPR_E_NOT_SUPPORTED without reactor_flag::manual_clock. */
  void advance(std::chrono::nanoseconds by, error_to error = {}) const {
    error(in_turn([&] { return udpr_reactor_advance(raw_, detail::to_ns(by)); }), "udpr::reactor::advance");
  }

  /* ---- events ---- */

  /** Calls `function(reactor_ref)` once: inside this, if the reactor runs (the id is none then), else at the next startup. */
  template <class F> trigger_id call_when_running(F &&function, error_to error = {}) const {
    using Kept = std::decay_t<F>;
    udpr_id id = 0;
    error(in_call([&] {
            return udpr_reactor_call_when_running(raw_, detail::calls<Kept>::called,
                                                  detail::keep_for_c(std::forward<F>(function)),
                                                  detail::destroy<Kept>, &id);
          }),
          "udpr::reactor::call_when_running");
    return trigger_id{id};
  }

  /**
   * Calls `function(reactor_ref, trigger_id)` at every startup or shutdown, in a phase of it. A before-trigger may return
   * progress::pending: the rest waits for finish_trigger. It may also return nothing, or a std::error_code, which is logged.
   */
  template <class F>
  trigger_id add_trigger(udpr_phase_code phase, udpr_event_code event, F &&function,
                         error_to error = {}) const {
    using Kept = std::decay_t<F>;
    udpr_id id = 0;
    error(udpr_reactor_add_trigger(raw_, static_cast<std::uint32_t>(phase), static_cast<std::uint32_t>(event),
                                   detail::calls<Kept>::triggered,
                                   detail::keep_for_c(std::forward<F>(function)), detail::destroy<Kept>, &id),
          "udpr::reactor::add_trigger");
    return trigger_id{id};
  }

  /** Removes a trigger; one that is pending holds nothing back any more. UDPR_E_NOT_FOUND. */
  void remove_trigger(trigger_id id, error_to error = {}) const {
    error(in_call([&] { return udpr_reactor_remove_trigger(raw_, udpr_id(id)); }),
          "udpr::reactor::remove_trigger");
  }

  /** A trigger that was pending has finished; the rest of the event may be called inside this. UDPR_E_NOT_FOUND. */
  void finish_trigger(trigger_id id, error_to error = {}) const {
    error(in_call([&] { return udpr_reactor_finish_trigger(raw_, udpr_id(id)); }),
          "udpr::reactor::finish_trigger");
  }

  /** Fires an event by hand, inside this. UDPR_E_ALREADY_RUNNING while one is under way. */
  void fire_event(udpr_event_code event, error_to error = {}) const {
    error(in_call([&] { return udpr_reactor_fire_event(raw_, static_cast<std::uint32_t>(event)); }),
          "udpr::reactor::fire_event");
  }

  /* ---- threads and names ---- */

  /** Calls `function(reactor_ref)` in the next turn. If the reactor may have ended, use a remote instead. [any thread] */
  template <class F> void call_from_thread(F &&function, error_to error = {}) const {
    using Kept = std::decay_t<F>;
    error(udpr_reactor_call_from_thread(raw_, detail::calls<Kept>::called,
                                        detail::keep_for_c(std::forward<F>(function)), detail::destroy<Kept>),
          "udpr::reactor::call_from_thread");
  }

  /**
   * Runs `work()` on a thread of the pool, then `done`, with what it returned, on the reactor's thread. What `work` throws
   * stops the reactor, as if `done` had thrown it. If the reactor is freed meanwhile, `done` is not called.
   */
  template <class Work, class Done, std::enable_if_t<!std::is_convertible_v<Done, error_to>, int> = 0>
  void call_in_thread(Work &&work, Done &&done, error_to error = {}) const {
    using Kept = detail::job<std::decay_t<Work>, std::decay_t<Done>>;
    error(udpr_reactor_call_in_thread(raw_, Kept::run, Kept::finish,
                                      new Kept(std::forward<Work>(work), std::forward<Done>(done)),
                                      detail::destroy<Kept>),
          "udpr::reactor::call_in_thread");
  }

  /** The same without `done`. */
  template <class Work> void call_in_thread(Work &&work, error_to error = {}) const {
    call_in_thread(std::forward<Work>(work), detail::nothing{}, error);
  }

  /** Sets how many threads the pool has at most, 1 to 1024; 0 means 10. */
  void suggest_thread_pool_size(std::uint32_t size, error_to error = {}) const {
    error(udpr_reactor_suggest_thread_pool_size(raw_, size), "udpr::reactor::suggest_thread_pool_size");
  }

  /**
   * Looks a host name up: `function(std::error_code, view<address>)` receives every address, with `port` filled in, in a later
   * turn and exactly once. Its error code is UDPR_E_NAME_NOT_FOUND, UDPR_E_NAME_TRY_AGAIN, UDPR_E_TIMED_OUT,
   * UDPR_E_CANCELLED, ...; this call itself fails with UDPR_E_INVALID_ARGUMENT for what cannot be a name.
   */
  template <class F>
  lookup_id resolve(c_text host, std::uint16_t port, F &&function, const resolve_options &options = {},
                    error_to error = {}) const {
    using Kept = std::decay_t<F>;
    udpr_id id = 0;
    error(udpr_reactor_resolve(raw_, host.get(), port, static_cast<std::uint16_t>(options.family),
                               detail::to_ns(options.timeout), detail::calls<Kept>::resolved,
                               detail::keep_for_c(std::forward<F>(function)), detail::destroy<Kept>, &id),
          "udpr::reactor::resolve");
    return lookup_id{id};
  }

  /** Gives a look-up up: it receives UDPR_E_CANCELLED in a later turn. UDPR_E_NOT_FOUND if it has been called. */
  void cancel(lookup_id id, error_to error = {}) const {
    error(udpr_reactor_cancel_resolve(raw_, udpr_id(id)), "udpr::reactor::cancel");
  }

  /** What other threads use of the reactor; it outlives it. [any thread], if the caller knows that the reactor is alive. */
  udpr::remote remote(error_to error = {}) const {
    udpr_remote *raw = nullptr;
    error(udpr_reactor_remote(raw_, &raw), "udpr::reactor::remote");
    return udpr::remote::adopt(raw);
  }

  /* ---- watching it ---- */

  /**
   * Calls `function(const log_record &)` for every record of the log up to `max_level`, on the reactor's thread. What it throws
   * outside of a turn is dropped.
   */
  template <class F> void set_logger(udpr_log_code max_level, F &&function, error_to error = {}) const {
    using Kept = detail::logger<std::decay_t<F>>;
    error(udpr_reactor_set_logger(raw_, static_cast<std::uint32_t>(max_level), Kept::log,
                                  new Kept{raw_, std::forward<F>(function)}, detail::destroy<Kept>),
          "udpr::reactor::set_logger");
  }

  /** Ends the log. */
  void clear_logger(error_to error = {}) const {
    error(udpr_reactor_set_logger(raw_, 0, nullptr, nullptr, nullptr), "udpr::reactor::clear_logger");
  }

  /** The counters of the reactor. */
  udpr_reactor_stats stats(error_to error = {}) const {
    udpr_reactor_stats out{};
    out.size = sizeof out;
    error(udpr_reactor_get_stats(raw_, &out), "udpr::reactor::stats");
    return out;
  }

  /** Whether both are the same reactor. */
  friend bool operator==(const reactor_ref &a, const reactor_ref &b) noexcept { return a.raw_ == b.raw_; }
  /** Whether they are different reactors. */
  friend bool operator!=(const reactor_ref &a, const reactor_ref &b) noexcept { return a.raw_ != b.raw_; }

protected:
  /** As C has it; null is none. */
  udpr_reactor *raw_ = nullptr;

private:
  template <class Call> udpr_status in_turn(Call call) const {
    return detail::in_scope(raw_, detail::kind::turn, call);
  }
  template <class Call> udpr_status in_call(Call call) const {
    return detail::in_scope(raw_, detail::kind::call, call);
  }

  template <class P, class Call>
  transport open(const error_to &error, const char *what, const udp_options &options, P &&protocol,
                 Call call) const {
    transport              opened;
    const udpr_udp_options raw_options = options.raw();
    const udpr_protocol    table = detail::keep_protocol(std::forward<P>(protocol));
    error(in_call([&] {
            udpr_transport   *raw = nullptr;
            const udpr_status status = call(table.user ? &table : nullptr, &raw_options, &raw);
            opened = transport::adopt(raw);
            return status;
          }),
          what);
    return opened;
  }
};

inline reactor_ref transport_ref::reactor() const noexcept {
  return reactor_ref(udpr_transport_reactor(raw_));
}

}  // namespace udpr

#endif
