/* Protocols: the callbacks of a port. Included by <udpr/udpr.hpp>. */
#ifndef UDPR_CPP_PROTOCOL_HPP
#define UDPR_CPP_PROTOCOL_HPP

#include <functional>

#include <udpr/cpp/protocol_base.hpp>
#include <udpr/cpp/transport.hpp>

namespace udpr {

/**
 * The callbacks of a port as functions; each may be empty. Instead of one listen_udp and the others take
 *   - any object with some of these as member functions (or callable members): only those are called;
 *   - an object of a class with the base protocol_base;
 *   - a std::shared_ptr or a std::unique_ptr to one, or a std::ref to one that outlives the port;
 *   - a function of (transport_ref, const datagram &), which is datagram_received.
 * It is moved or copied into the port, and destroyed after its last callback, also if listening fails.
 */
struct protocol {
  /**
   * The port is bound; called inside listen_udp. If it throws, listening fails with that. A member function of a class may
   * also return a std::error_code: listening fails with that unless it is none.
   */
  std::function<void(transport_ref)> start_protocol;
  /** A datagram was received. */
  std::function<void(transport_ref, const datagram &)> datagram_received;
  /**
   * If it is there, it is called once for each batch (at most 256 datagrams) instead of datagram_received. It returns how many
   * it took: the others come again in a later turn. A member function of a class may return nothing: it took all.
   */
  std::function<std::size_t(transport_ref, view<datagram>)> datagrams_received;
  /** Nobody listens at a connected port's peer, as an earlier write has shown. The port lives on. */
  std::function<void(transport_ref)> connection_refused;
  /** A write failed after it was accepted, or, with udp_flag::error_reports, the network reports an error. */
  std::function<void(transport_ref, const error_report &)> error_received;
  /** The send queue has drained after UDPR_E_WOULD_BLOCK. */
  std::function<void(transport_ref)> write_ready;
  /** The last callback: the socket is closed already. The error is none if the stop was asked for. */
  std::function<void(transport_ref, std::error_code)> stop_protocol;
  /**
   * A socket was made, and will be bound to the address; called inside listen_udp, for options such as IP_FREEBIND and
   * SO_MARK. It must not bind, connect or close the descriptor. Its failures are those of start_protocol.
   */
  std::function<void(int fd, const address &local)> configure_socket;
};

namespace detail {

/* A class can be a base unless it is final, or a union. */
template <class P> constexpr bool can_be_base = std::is_class_v<P> && !std::is_final_v<P>;

/*
 * UDPR_CPP_MEMBER(name): can_name<P, Args...> is whether name can be called on a P; has_name<P> whether there is one.
 *
 * A name that two bases have is ambiguous, and names are looked up before access and overloads are: so in both_name<P>
 * &both_name<P>::name is a member unless P has one of that name, also a private one, a template or several. Of a P that cannot
 * be a base it is found if it is public, and one.
 */
#define UDPR_CPP_MEMBER(name)                                                                               \
  template <class P, class... Args>                                                                         \
  using call_##name = decltype(std::declval<P &>().name(std::declval<Args>()...));                          \
  template <class Void, class P, class... Args> constexpr bool can_##name##_v = false;                      \
  template <class P, class... Args>                                                                         \
  constexpr bool can_##name##_v<std::void_t<call_##name<P, Args...>>, P, Args...> = true;                   \
  template <class P, class = void> constexpr bool is_one_##name = false;                                    \
  template <class P> constexpr bool               is_one_##name<P, std::void_t<decltype(&P::name)>> = true; \
  struct only_##name {                                                                                      \
    int name;                                                                                               \
  };                                                                                                        \
  template <class P> struct both_##name : P, only_##name {};                                                \
  template <class P> constexpr bool has_##name() {                                                          \
    if constexpr (can_be_base<P>) return !is_one_##name<both_##name<P>>;                                    \
    else return is_one_##name<P>;                                                                           \
  }                                                                                                         \
  template <class P, class... Args> constexpr bool can_##name() {                                           \
    static_assert(can_##name##_v<void, P, Args...> || !has_##name<std::remove_cv_t<P>>(),                   \
                  "the protocol's " #name                                                                   \
                  " cannot be called with the parameters that udpr::protocol lists: "                       \
                  "it is private, takes others, or is a template or overloaded and none of it fits");       \
    return can_##name##_v<void, P, Args...>;                                                                \
  }

#if defined(__GNUC__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wnon-virtual-dtor" /* nobody makes a both_name */
#endif
UDPR_CPP_MEMBER(start_protocol)
UDPR_CPP_MEMBER(datagram_received)
UDPR_CPP_MEMBER(datagrams_received)
UDPR_CPP_MEMBER(connection_refused)
UDPR_CPP_MEMBER(error_received)
UDPR_CPP_MEMBER(write_ready)
UDPR_CPP_MEMBER(stop_protocol)
UDPR_CPP_MEMBER(configure_socket)

/* Whether a P can be called at all, found in the same way. */
template <class P, class = void> constexpr bool is_one_call = std::is_function_v<std::remove_pointer_t<P>>;
template <class P> constexpr bool               is_one_call<P, std::void_t<decltype(&P::operator())>> = true;
struct only_call {
  void operator()();
};
template <class P> struct both_call : P, only_call {};
template <class P> constexpr bool has_call() {
  if constexpr (can_be_base<P>) return !is_one_call<both_call<P>>;
  else return is_one_call<P>;
}
#if defined(__GNUC__)
#pragma GCC diagnostic pop
#endif
#undef UDPR_CPP_MEMBER

/* A function instead of a protocol. */
template <class Function> struct function_protocol { Function datagram_received; };

template <class P> constexpr bool is_function = std::is_invocable_v<P &, transport_ref, const datagram &>;

/* The object whose callbacks are called: `kept` itself, or what it points to. */
template <class P, class = void> struct target {
  static P &of(P &kept) { return kept; }
};
template <class P>
struct target<P, std::void_t<decltype(*std::declval<P &>()), decltype(std::declval<P &>().operator->())>> {
  static auto &of(P &kept) { return *kept; }
};
template <class P> struct target<std::reference_wrapper<P>> {
  static P &of(std::reference_wrapper<P> &kept) { return kept.get(); }
};

/* The functions that C calls, for a protocol kept as a Kept. */
template <class Kept> struct protocol_calls {
  using object = std::remove_reference_t<decltype(target<Kept>::of(std::declval<Kept &>()))>;

  static object &of(void *user) { return target<Kept>::of(*static_cast<Kept *>(user)); }

  template <class Call> static bool guarded_in(udpr_transport *transport, Call call) noexcept {
    return guarded(udpr_transport_reactor(transport), call);
  }

  /* Of a callback inside a call that listens, which returns a Result. */
  template <class Result, class Call>
  static udpr_status status_of(udpr_reactor *reactor, Call call) noexcept {
    static_assert(std::is_void_v<Result> || std::is_convertible_v<Result, std::error_code>,
                  "the protocol's start_protocol and configure_socket return nothing or a std::error_code");
    udpr_status status = UDPR_OK;
    const bool  ended = guarded(reactor, [&] {
      if constexpr (std::is_void_v<Result>) call();
      else status = to_status(call());
    });
    return ended ? status : static_cast<udpr_status>(UDPR_E_CANCELLED);
  }

  static udpr_status start(udpr_transport *transport, void *user) noexcept {
    return status_of<call_start_protocol<object, transport_ref>>(udpr_transport_reactor(transport), [&] {
      return of(user).start_protocol(transport_ref(transport));
    });
  }

  static udpr_status configure(std::int32_t fd, const udpr_addr *local, void *user) noexcept {
    return status_of<call_configure_socket<object, int, const address &>>(nullptr, [&] {
      return of(user).configure_socket(fd, *wrapped<address>(local));
    });
  }

  static void received(udpr_transport *transport, const udpr_datagram *one, void *user) noexcept {
    const datagram received_one(*one);
    guarded_in(transport, [&] { of(user).datagram_received(transport_ref(transport), received_one); });
  }

  static std::size_t batch(udpr_transport *transport, const udpr_datagram *const *all, std::size_t count,
                           void *user) noexcept {
    using Result = call_datagrams_received<object, transport_ref, view<datagram>>;
    static_assert(std::is_void_v<Result> ||
                      (std::is_convertible_v<Result, std::size_t> && !std::is_same_v<Result, bool>),
                  "the protocol's datagrams_received returns nothing or how many datagrams it took");
    std::size_t taken = count;
    guarded_in(transport, [&] {
      const view<datagram> datagrams(wrapped<datagram>(all), count);
      if constexpr (std::is_void_v<Result>) {
        of(user).datagrams_received(transport_ref(transport), datagrams);
      } else {
        taken = of(user).datagrams_received(transport_ref(transport), datagrams);
      }
    });
    return taken;
  }

  static std::size_t batch_of_base(udpr_transport *transport, const udpr_datagram *const *all,
                                   std::size_t count, void *user) noexcept {
    std::size_t taken = count;
    guarded_in(transport, [&] {
      taken = batches_of_base::receive(of(user), transport_ref(transport), {wrapped<datagram>(all), count});
    });
    return taken;
  }

  static void refused(udpr_transport *transport, void *user) noexcept {
    guarded_in(transport, [&] { of(user).connection_refused(transport_ref(transport)); });
  }

  static void failed(udpr_transport *transport, const udpr_error_report *report, void *user) noexcept {
    const error_report received_one(*report);
    guarded_in(transport, [&] { of(user).error_received(transport_ref(transport), received_one); });
  }

  static void ready(udpr_transport *transport, void *user) noexcept {
    guarded_in(transport, [&] { of(user).write_ready(transport_ref(transport)); });
  }

  static void stopped(udpr_transport *transport, udpr_status reason, void *user) noexcept {
    guarded_in(transport, [&] { of(user).stop_protocol(transport_ref(transport), make_error_code(reason)); });
  }

  /* The table for C, which owns `kept` from the call on. */
  static udpr_protocol table(Kept *kept) noexcept {
    udpr_protocol out{};
    out.size = sizeof out;
    out.user = kept;
    out.free_user = destroy<Kept>;
    fill(out);
    if constexpr (std::is_same_v<std::remove_cv_t<object>, protocol>)
      leave_out_empty(out, target<Kept>::of(*kept));
    if constexpr (std::is_base_of_v<protocol_base, object> &&
                  !has_datagrams_received<std::remove_cv_t<object>>())
      if (batches_of_base::wanted(target<Kept>::of(*kept))) out.datagrams_received = batch_of_base;
    return out;
  }

private:
  static void fill(udpr_protocol &out) noexcept {
    if constexpr (can_start_protocol<object, transport_ref>()) out.start_protocol = start;
    if constexpr (can_datagram_received<object, transport_ref, const datagram &>())
      out.datagram_received = received;
    if constexpr (can_datagrams_received<object, transport_ref, view<datagram>>())
      out.datagrams_received = batch;
    if constexpr (can_connection_refused<object, transport_ref>()) out.connection_refused = refused;
    if constexpr (can_error_received<object, transport_ref, const error_report &>())
      out.error_received = failed;
    if constexpr (can_write_ready<object, transport_ref>()) out.write_ready = ready;
    if constexpr (can_stop_protocol<object, transport_ref, std::error_code>()) out.stop_protocol = stopped;
    if constexpr (can_configure_socket<object, int, const address &>()) out.configure_socket = configure;
    constexpr bool some = can_start_protocol<object, transport_ref>() ||
                          can_datagram_received<object, transport_ref, const datagram &>() ||
                          can_datagrams_received<object, transport_ref, view<datagram>>() ||
                          can_connection_refused<object, transport_ref>() ||
                          can_error_received<object, transport_ref, const error_report &>() ||
                          can_write_ready<object, transport_ref>() ||
                          can_stop_protocol<object, transport_ref, std::error_code>() ||
                          can_configure_socket<object, int, const address &>();
    constexpr bool function = has_call<std::remove_cv_t<object>>(), pointer = std::is_pointer_v<object>;
    static_assert(some || !function,
                  "a function that is given as protocol is called with (udpr::transport_ref, const "
                  "udpr::datagram &), and this one cannot be");
    static_assert(some || function || !pointer,
                  "a pointer is no protocol: give a std::ref, a std::unique_ptr or a std::shared_ptr");
    static_assert(some || function || pointer,
                  "a protocol needs at least one of the functions of udpr::protocol");
  }

  static void leave_out_empty(udpr_protocol &out, const protocol &functions) noexcept {
    if (!functions.start_protocol) out.start_protocol = nullptr;
    if (!functions.datagram_received) out.datagram_received = nullptr;
    if (!functions.datagrams_received) out.datagrams_received = nullptr;
    if (!functions.connection_refused) out.connection_refused = nullptr;
    if (!functions.error_received) out.error_received = nullptr;
    if (!functions.write_ready) out.write_ready = nullptr;
    if (!functions.stop_protocol) out.stop_protocol = nullptr;
    if (!functions.configure_socket) out.configure_socket = nullptr;
  }
};

template <class P, class = void> constexpr bool is_pointer = false;
template <class P>
constexpr bool is_pointer<P, std::void_t<decltype(std::declval<P &>().operator->())>> = true;

/* Keeps a protocol for C, and makes its table, which has no user if `given` is a pointer to nothing. */
template <class P> udpr_protocol keep_protocol(P &&given) {
  using Kept = std::decay_t<P>;
  check_keepable<P>();
  if constexpr (is_pointer<Kept>) {
    if (!given) return udpr_protocol{};
  }
  if constexpr (is_function<Kept>) {
    using Function = function_protocol<Kept>;
    return protocol_calls<Function>::table(new Function{std::forward<P>(given)});
  } else {
    return protocol_calls<Kept>::table(new Kept(std::forward<P>(given)));
  }
}

}  // namespace detail

}  // namespace udpr

#endif
