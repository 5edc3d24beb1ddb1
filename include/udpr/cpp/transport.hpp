/* Ports. Included by <udpr/udpr.hpp>. */
#ifndef UDPR_CPP_TRANSPORT_HPP
#define UDPR_CPP_TRANSPORT_HPP

#include <udpr/cpp/callback.hpp>
#include <udpr/cpp/datagram.hpp>
#include <udpr/cpp/options.hpp>

namespace udpr {

class reactor_ref;

namespace detail {

/* The functions that C calls for a port's callables that are called later. */
template <class Kept> struct port_calls;

}  // namespace detail

/**
 * A port, borrowed: what callbacks receive. It may be copied, and is valid until the callback returns; a transport that is
 * made from it stays valid. If the port has stopped, every function is UDPR_E_CLOSED; if it is none,
 * UDPR_E_INVALID_ARGUMENT. It is used on the reactor's thread, except for post.
 */
class transport_ref {
public:
  /** None. */
  constexpr transport_ref() noexcept = default;
  /** As C has it. */
  constexpr explicit transport_ref(udpr_transport *raw) noexcept : raw_(raw) {}

  /** Whether there is one. */
  explicit operator bool() const noexcept { return raw_ != nullptr; }
  /** As C has it. */
  udpr_transport *get() const noexcept { return raw_; }
  /** Its reactor; none once stop_protocol has returned, and on another thread. */
  reactor_ref reactor() const noexcept;
  /** The socket's descriptor, borrowed; -1 once it is closed, and on another thread. */
  int fileno() const noexcept { return udpr_transport_fileno(raw_); }

  /* ---- sending ---- */

  /**
   * Sends one datagram to `to`, an address of the port's family: it is passed to the kernel or queued. In a callback writes are
   * gathered and leave together. If it fails, nothing was sent: UDPR_E_WOULD_BLOCK if the queue is full (write_ready is called
   * when it has room), UDPR_E_CLOSED, UDPR_E_WRONG_PEER, UDPR_E_ADDRESS_FAMILY, UDPR_E_MESSAGE_TOO_LONG, UDPR_E_ACCESS. What
   * the kernel refuses later is reported by error_received.
   */
  void write(bytes data, const address &to, error_to error = {}) const {
    error(udpr_transport_write(raw_, data.data(), data.size(), &to.raw()), "udpr::transport::write");
  }

  /** Sends one datagram to the peer of a connected port. UDPR_E_NOT_CONNECTED; otherwise as above. */
  void write(bytes data, error_to error = {}) const {
    error(udpr_transport_write(raw_, data.data(), data.size(), nullptr), "udpr::transport::write");
  }

  /**
   * Sends one datagram to the sender of `received`, with udp_flag::packet_info from the address that this was sent to. A copy of
   * received.raw() can be used later, also with another port. UDPR_E_INVALID_ARGUMENT for a sender with port 0; otherwise as
   * write.
   */
  void reply(const datagram &received, bytes data, error_to error = {}) const {
    error(udpr_transport_reply(raw_, &received.raw(), data.data(), data.size()), "udpr::transport::reply");
  }

  /** Sends the pieces one after the other as one datagram: `write_sequence({head, body}, to)`. Otherwise as write. */
  void write_sequence(view<bytes> pieces, const address &to, error_to error = {}) const {
    write_pieces(pieces, &to.raw(), error);
  }

  /** The same to the peer of a connected port. */
  void write_sequence(view<bytes> pieces, error_to error = {}) const { write_pieces(pieces, nullptr, error); }

  /**
   * Sends many datagrams, each as write does, and returns how many were accepted. The error that stopped it after those is
   * stored in the error code. Without one, it is thrown if none was accepted; otherwise writing the rest reports it.
   */
  std::size_t write_messages(view<message> messages, error_to error = {}) const {
    std::size_t       taken = 0;
    const udpr_status status =
        udpr_transport_write_messages(raw_, detail::unwrapped<udpr_message>(messages.data()), messages.size(),
                                      &taken);
    if (taken == 0 || !error.throws()) error(status, "udpr::transport::write_messages");
    return taken;
  }

  /**
   * Copies a datagram, which leaves in the reactor's next turn. UDPR_E_WOULD_BLOCK if too much waits already; otherwise as
   * write, as far as the error is known at once. [any thread]
   */
  void post(bytes data, const address &to, error_to error = {}) const {
    error(udpr_transport_post(raw_, data.data(), data.size(), &to.raw()), "udpr::transport::post");
  }

  /** The same to the peer of a connected port. [any thread] */
  void post(bytes data, error_to error = {}) const {
    error(udpr_transport_post(raw_, data.data(), data.size(), nullptr), "udpr::transport::post");
  }

  /** The same with everything that a message can have; message::now has no effect. [any thread] */
  void post(const message &message, error_to error = {}) const {
    error(udpr_transport_post_message(raw_, &message.raw()), "udpr::transport::post");
  }

  /** Sends now what was gathered. UDPR_E_WOULD_BLOCK if a full socket keeps some of it waiting. */
  void flush(error_to error = {}) const { error(udpr_transport_flush(raw_), "udpr::transport::flush"); }

  /* ---- stopping and pausing ---- */

  /**
   * Calls `function(transport_ref)` once, `delay` from now (below 0 is now), as reactor_ref::call_later. The call ends with the
   * port, right before stop_protocol; the functions of reactor_ref take its id. UDPR_E_CLOSED once the port does not listen.
   */
  template <class F>
  timer_id call_later(std::chrono::nanoseconds delay, F &&function, error_to error = {}) const {
    using Kept = std::decay_t<F>;
    udpr_id id = 0;
    error(udpr_transport_call_later(raw_, detail::to_ns(delay), detail::port_calls<Kept>::called,
                                    detail::keep_for_c(std::forward<F>(function)), detail::destroy<Kept>,
                                    &id),
          "udpr::transport::call_later");
    return timer_id{id};
  }

  /**
   * Calls `function(transport_ref, beats)` every `interval`, as reactor_ref::call_every. It ends with the port, as a call of
   * call_later does.
   */
  template <class F>
  timer_id call_every(std::chrono::nanoseconds interval, F &&function, error_to error = {}) const {
    using Kept = std::decay_t<F>;
    udpr_id id = 0;
    error(udpr_transport_call_every(raw_, detail::to_ns(interval), detail::port_calls<Kept>::repeated,
                                    detail::keep_for_c(std::forward<F>(function)), detail::destroy<Kept>,
                                    &id),
          "udpr::transport::call_every");
    return timer_id{id};
  }

  /** Stops the port: it receives and writes nothing any more, and stop_protocol is called in a later turn. */
  void stop_listening(error_to error = {}) const {
    error(udpr_transport_stop_listening(raw_), "udpr::transport::stop_listening");
  }

  /**
   * As stop_listening, but the socket stays until everything that was accepted is with the kernel, or `timeout` is over: then
   * stop_protocol receives UDPR_E_TIMED_OUT if something was dropped. nanoseconds::max() is no bound. If it is called again, the
   * earlier end counts.
   */
  void stop_when_sent(std::chrono::nanoseconds timeout, error_to error = {}) const {
    error(udpr_transport_stop_when_sent(raw_, detail::to_ns(timeout)), "udpr::transport::stop_when_sent");
  }

  /** Stops the port now: stop_protocol runs inside this, and what it throws comes out. Allowed in every callback. */
  void close(error_to error = {}) const {
    udpr_reactor *reactor = udpr_transport_reactor(raw_);
    error(detail::in_scope(reactor, detail::kind::call, [&] { return udpr_transport_close(raw_); }),
          "udpr::transport::close");
  }

  /** Delivers no datagram until resume_reading; the rest of the batch is kept until then. */
  void pause_reading(error_to error = {}) const {
    error(udpr_transport_pause_reading(raw_), "udpr::transport::pause_reading");
  }

  /** Delivers datagrams again, in a later turn, and those that were kept first. */
  void resume_reading(error_to error = {}) const {
    error(udpr_transport_resume_reading(raw_), "udpr::transport::resume_reading");
  }

  /* ---- addresses and connecting ---- */

  /** The local address, which is read from the kernel each time. */
  address host(error_to error = {}) const {
    return read_address(error, udpr_transport_get_host, "udpr::transport::host");
  }
  /** The peer that the port is connected to. UDPR_E_NOT_CONNECTED. */
  address peer(error_to error = {}) const {
    return read_address(error, udpr_transport_get_peer, "udpr::transport::peer");
  }

  /**
   * Connects the port to one peer: writes need no address, and datagrams from other addresses are not delivered. It may be
   * called again for another peer. Nothing is sent; connection_refused is called if a later write finds that nobody listens
   * there. If it fails, the port is as it was: UDPR_E_ADDRESS_FAMILY, UDPR_E_NETWORK_UNREACHABLE, UDPR_E_ACCESS, ...
   */
  void connect(const address &peer, error_to error = {}) const {
    error(udpr_transport_connect(raw_, &peer.raw()), "udpr::transport::connect");
  }

  /** Ends the connection; the port keeps its number. UDPR_E_NOT_CONNECTED. */
  void disconnect(error_to error = {}) const {
    error(udpr_transport_disconnect(raw_), "udpr::transport::disconnect");
  }

  /* ---- settings ---- */

  /** Turns error_received for what the network reports on or off, as udp_flag::error_reports does at the start. */
  void set_error_reports(bool on, error_to error = {}) const {
    error(udpr_transport_set_error_reports(raw_, on), "udpr::transport::set_error_reports");
  }

  /** Sets whether the port may send broadcasts. If not, a write to 255.255.255.255 is UDPR_E_ACCESS. */
  void set_broadcast_allowed(bool allowed, error_to error = {}) const {
    error(udpr_transport_set_broadcast_allowed(raw_, allowed), "udpr::transport::set_broadcast_allowed");
  }

  /** Whether the port may send broadcasts. */
  bool broadcast_allowed(error_to error = {}) const {
    return read<udpr_bool>(error, udpr_transport_get_broadcast_allowed,
                           "udpr::transport::broadcast_allowed") != 0;
  }

  /** Sets the TTL or hop limit of datagrams that are not for groups, 1 to 255. */
  void set_unicast_ttl(std::uint32_t ttl, error_to error = {}) const {
    error(udpr_transport_set_unicast_ttl(raw_, ttl), "udpr::transport::set_unicast_ttl");
  }

  /** The TTL or hop limit that was set, or the default of the system. On a dual-stack port that of IPv6. */
  std::uint32_t unicast_ttl(error_to error = {}) const {
    return read<std::uint32_t>(error, udpr_transport_get_unicast_ttl, "udpr::transport::unicast_ttl");
  }

  /** setsockopt(2) with the system's numbers. UDPR_E_NOT_SUPPORTED for options that the library manages itself. */
  template <class T> void set_option(int level, int name, const T &value, error_to error = {}) const {
    static_assert(std::is_trivially_copyable_v<T>, "an option is an int or a struct of the system");
    error(udpr_transport_set_option(raw_, level, name, &value, sizeof value), "udpr::transport::set_option");
  }

  /** getsockopt(2) with the system's numbers: `transport.option<int>(SOL_SOCKET, SO_PRIORITY)`. Errors as above. */
  template <class T> T option(int level, int name, error_to error = {}) const {
    static_assert(std::is_trivially_copyable_v<T>, "an option is an int or a struct of the system");
    T           value{};
    std::size_t size = sizeof value;
    error(udpr_transport_get_option(raw_, level, name, &value, &size), "udpr::transport::option");
    return value;
  }

  /* ---- groups ---- */

  /** For groups only: sets the TTL or hop limit, 0 (this host) to 255. The default is 1, the local network. */
  void set_ttl(std::uint32_t ttl, error_to error = {}) const {
    error(udpr_transport_set_ttl(raw_, ttl), "udpr::transport::set_ttl");
  }

  /** The TTL or hop limit for groups. On a dual-stack port that of IPv6. */
  std::uint32_t ttl(error_to error = {}) const {
    return read<std::uint32_t>(error, udpr_transport_get_ttl, "udpr::transport::ttl");
  }

  /** Sets whether ports of this host receive what this port sends to groups. The default is true. */
  void set_loopback_mode(bool on, error_to error = {}) const {
    error(udpr_transport_set_loopback_mode(raw_, on), "udpr::transport::set_loopback_mode");
  }

  /** What set_loopback_mode has set. */
  bool loopback_mode(error_to error = {}) const {
    return read<udpr_bool>(error, udpr_transport_get_loopback_mode, "udpr::transport::loopback_mode") != 0;
  }

  /** Sets the interface that datagrams to groups leave by (udpr::interface_index); 0 means the choice of the system. */
  void set_outgoing_interface(std::uint32_t index, error_to error = {}) const {
    error(udpr_transport_set_outgoing_interface(raw_, index), "udpr::transport::set_outgoing_interface");
  }

  /** What set_outgoing_interface has set. */
  std::uint32_t outgoing_interface(error_to error = {}) const {
    return read<std::uint32_t>(error, udpr_transport_get_outgoing_interface,
                               "udpr::transport::outgoing_interface");
  }

  /**
   * Joins a group on an interface; 0 means that of the group's zone, or the choice of the system. After its first join a port
   * receives only the groups that it joined. UDPR_E_NOT_MULTICAST, UDPR_E_NO_INTERFACE, UDPR_E_ALREADY_JOINED.
   */
  void join_group(const address &group, std::uint32_t interface_index = 0, error_to error = {}) const {
    error(udpr_transport_join_group(raw_, &group.raw(), interface_index), "udpr::transport::join_group");
  }

  /** Leaves a group, given as it was joined. UDPR_E_NOT_JOINED. A port that stops leaves its groups by itself. */
  void leave_group(const address &group, std::uint32_t interface_index = 0, error_to error = {}) const {
    error(udpr_transport_leave_group(raw_, &group.raw(), interface_index), "udpr::transport::leave_group");
  }

  /** Joins a group for what `source` sends to it; call it again for each further source. Otherwise as join_group. */
  void join_source_group(const address &group, const address &source, std::uint32_t interface_index = 0,
                         error_to error = {}) const {
    error(udpr_transport_join_source_group(raw_, &group.raw(), &source.raw(), interface_index),
          "udpr::transport::join_source_group");
  }

  /** Leaves one source of a group; with the last one, the group. */
  void leave_source_group(const address &group, const address &source, std::uint32_t interface_index = 0,
                          error_to error = {}) const {
    error(udpr_transport_leave_source_group(raw_, &group.raw(), &source.raw(), interface_index),
          "udpr::transport::leave_source_group");
  }

  /**
   * How many bytes wait to be sent, a datagram as at least 64: gathered, posted, and waiting for a full socket. UDPR_E_CLOSED once
   * stop_protocol has returned.
   */
  std::size_t queued_bytes(error_to error = {}) const {
    return read<std::size_t>(error, udpr_transport_get_queued_bytes, "udpr::transport::queued_bytes");
  }

  /** The counters of the port. UDPR_E_CLOSED once stop_protocol has returned: read them there for the last time. */
  udpr_transport_stats stats(error_to error = {}) const {
    udpr_transport_stats out{};
    out.size = sizeof out;
    error(udpr_transport_get_stats(raw_, &out), "udpr::transport::stats");
    return out;
  }

  /** Whether both are the same port. */
  friend bool operator==(const transport_ref &a, const transport_ref &b) noexcept { return a.raw_ == b.raw_; }
  /** Whether they are different ports. */
  friend bool operator!=(const transport_ref &a, const transport_ref &b) noexcept { return a.raw_ != b.raw_; }

protected:
  /** As C has it; null is none. */
  udpr_transport *raw_ = nullptr;

private:
  void write_pieces(view<bytes> pieces, const udpr_addr *to, const error_to &error) const {
    error(udpr_transport_write_sequence(raw_, detail::unwrapped<udpr_bytes>(pieces.data()), pieces.size(),
                                        to),
          "udpr::transport::write_sequence");
  }

  template <class T, class Getter> T read(const error_to &error, Getter getter, const char *what) const {
    T out{};
    error(getter(raw_, &out), what);
    return out;
  }

  template <class Getter> address read_address(const error_to &error, Getter getter, const char *what) const {
    return read<udpr_addr>(error, getter, what);
  }
};

/**
 * A counted reference to a port: it may be kept, copied and destroyed on any thread. Destroying the last one does not close
 * the port, which listens until it is stopped.
 */
class transport : public transport_ref {
public:
  /** None. */
  transport() noexcept = default;
  /** One more reference to a port that a callback has received. */
  transport(transport_ref port) noexcept : transport_ref(udpr_transport_retain(port.get())) {}
  /** Takes over a reference that was obtained in C. */
  static transport adopt(udpr_transport *raw) noexcept {
    transport taken;
    taken.raw_ = raw;
    return taken;
  }

  /** One more reference. */
  transport(const transport &other) noexcept : transport_ref(udpr_transport_retain(other.raw_)) {}
  /** Takes over what `other` has, which is none then. */
  transport(transport &&other) noexcept : transport_ref(std::exchange(other.raw_, nullptr)) {}
  /** Gives its reference up for another one. */
  transport &operator=(transport other) noexcept { return std::swap(raw_, other.raw_), *this; }
  ~transport() { udpr_transport_release(raw_); }

  /** Gives the reference up, for udpr_transport_release. */
  udpr_transport *release() noexcept { return std::exchange(raw_, nullptr); }
};

namespace detail {

template <class Kept> struct port_calls {
  static void called(udpr_transport *port, void *user) noexcept {
    guarded(udpr_transport_reactor(port),
            [&] { call_with(*static_cast<Kept *>(user), transport_ref(port)); });
  }

  static void repeated(udpr_transport *port, udpr_id, std::uint64_t beats, void *user) noexcept {
    guarded(udpr_transport_reactor(port),
            [&] { call_with(*static_cast<Kept *>(user), transport_ref(port), beats); });
  }
};

}  // namespace detail

}  // namespace udpr

#endif
