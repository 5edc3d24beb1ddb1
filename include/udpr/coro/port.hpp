/* Ports whose datagrams can be awaited. Included by <udpr/coro.hpp>. */
#ifndef UDPR_CORO_PORT_HPP
#define UDPR_CORO_PORT_HPP

#include <cerrno>
#include <coroutine>
#include <memory>
#include <vector>

#include <udpr/cpp/handles.hpp>

namespace udpr::coro {

namespace detail {

class receiver;

/* A datagram, copied into a buffer that is used again. */
class kept_datagram {
public:
  void keep(const datagram &one) {
    bytes_.assign(one.data().begin(), one.data().end());
    raw_ = one.raw();
    raw_.size = sizeof raw_;
  }
  datagram get() noexcept {
    static constexpr std::uint8_t nothing = 0;
    raw_.data = bytes_.empty() ? &nothing : bytes_.data();
    return datagram(raw_);
  }

private:
  std::vector<std::uint8_t> bytes_;
  udpr_datagram             raw_{};
};

/* The protocol of a port that is awaited. A datagram that nobody waits for is kept, and reading pauses until somebody
 * waits: the kernel's buffer is the queue. */
class port_protocol {
public:
  port_protocol() = default;
  port_protocol(const port_protocol &) = delete;
  port_protocol &operator=(const port_protocol &) = delete;
  inline ~port_protocol();

  void start_protocol(transport_ref transport) noexcept { transport_ = transport; }
  void datagram_received(transport_ref, const datagram &one) {
    next_.keep(one);
    has_next_ = true;
    if (!waiting_) pause();
    else wake();
  }
  void connection_refused(transport_ref) { fail(UDPR_E_CONNECTION_REFUSED); }
  void stop_protocol(transport_ref, std::error_code reason) {
    stopped_ = true;
    fail(reason ? to_status(reason) : failure_);
  }

private:
  friend class receiver;

  void pause() noexcept {
    std::error_code error;
    transport_.pause_reading(error);
    paused_ = !error;
  }
  void fail(udpr_status status) {
    failure_ = status;
    if (waiting_) wake();
  }
  inline void wake();

  transport_ref transport_;
  receiver     *waiting_ = nullptr;
  kept_datagram current_, next_;
  udpr_status   failure_ = UDPR_OK;
  bool          has_next_ = false, paused_ = false, stopped_ = false;
};

/* What port::receive gives to co_await. */
class [[nodiscard]] receiver {
public:
  receiver(port_protocol *protocol, std::optional<std::chrono::nanoseconds> timeout, error_to error) noexcept
      : protocol_(protocol), timeout_(timeout), error_(error) {}
  receiver(const receiver &) = delete;
  receiver &operator=(const receiver &) = delete;
  ~receiver() { leave(); }

  bool await_ready() noexcept {
    if (!protocol_) failure_ = UDPR_E_INVALID_ARGUMENT;
    else if (protocol_->waiting_) failure_ = UDPR_E_SYSTEM - EALREADY;
    return failure_ != UDPR_OK || protocol_->has_next_ || protocol_->failure_ != UDPR_OK ||
           protocol_->stopped_;
  }

  bool await_suspend(std::coroutine_handle<> coroutine) {
    std::error_code error;
    if (protocol_->paused_) protocol_->transport_.resume_reading(error);
    if (error == UDPR_E_CLOSED) error.clear(); /* it stops soon */
    if (!error) protocol_->paused_ = false;
    if (!error && timeout_)
      timer_ = timer(
          protocol_->transport_.reactor(), *timeout_, [this] { time_out(); }, error);
    failure_ = to_status(error);
    if (error) return false;
    coroutine_ = coroutine;
    protocol_->waiting_ = this;
    return waits_ = true;
  }

  std::optional<datagram> await_resume() {
    std::optional<datagram> received;
    if (failure_ == UDPR_OK && protocol_->has_next_) {
      protocol_->has_next_ = false;
      std::swap(protocol_->current_, protocol_->next_);
      received = protocol_->current_.get();
    } else if (failure_ == UDPR_OK) {
      failure_ = std::exchange(protocol_->failure_, UDPR_OK);
    }
    error_(failure_, "udpr::coro::port::receive");
    return received;
  }

private:
  friend class port_protocol;

  void leave() noexcept {
    if (std::exchange(waits_, false)) protocol_->waiting_ = nullptr;
  }
  void time_out() {
    leave();
    failure_ = UDPR_E_TIMED_OUT;
    coroutine_.resume();
  }

  port_protocol                          *protocol_;
  std::optional<std::chrono::nanoseconds> timeout_;
  error_to                                error_;
  std::coroutine_handle<>                 coroutine_;
  udpr_status                             failure_ = UDPR_OK;
  bool                                    waits_ = false;
  timer                                   timer_;
};

inline port_protocol::~port_protocol() {
  if (waiting_) waiting_->waits_ = false;
}

inline void port_protocol::wake() {
  receiver *const woken = std::exchange(waiting_, nullptr);
  woken->waits_ = false;
  woken->coroutine_.resume();
}

}  // namespace detail

/**
 * A port whose datagrams are awaited, owned: it moves and does not copy, and destroying it closes the port, which resumes the
 * coroutine that waits for a datagram. Writing, connecting and all else is that of transport_ref.
 *
 * Datagrams that nobody waits for stay in the kernel's buffer (udp_options::receive_buffer), which drops those that do not
 * fit. error_received and write_ready are not there: use a protocol for them.
 */
class port : public transport_ref {
public:
  /** None. */
  port() noexcept = default;
  /** Listens, as reactor_ref::listen_udp: `port(reactor, 9999)`, `port(reactor, {"127.0.0.1", 0})`. */
  port(reactor_ref reactor, const local_port &at, const udp_options &options = {}, error_to error = {})
      : port(open([&](auto protocol) { return reactor.listen_udp(at, protocol, options, error); })) {}
  /** The same on an address and its port. */
  port(reactor_ref reactor, const address &at, const udp_options &options = {}, error_to error = {})
      : port(open([&](auto protocol) { return reactor.listen_udp(at, protocol, options, error); })) {}

  /** Takes over what `other` has, which is none then. */
  port(port &&other) noexcept { swap(other); }
  /** Closes what this has, and takes over what `other` has. */
  port &operator=(port &&other) noexcept {
    port former(std::move(*this));
    swap(other);
    return *this;
  }
  /** Closes. As for handles: on the reactor's thread, else std::terminate is called. */
  ~port() {
    if (!raw_) return;
    udpr::detail::scope here(udpr_transport_reactor(raw_), udpr::detail::kind::call);
    if (udpr_transport_close(raw_) == UDPR_E_WRONG_THREAD) std::terminate();
    here.pass_on();
    udpr_transport_release(raw_);
  }

  /**
   * Waits for a datagram: `co_await port.receive()` gives a std::optional<datagram>. It is borrowed until the next receive on
   * this port, or until the port is destroyed, and empty when the port has stopped. One coroutine at a time can wait for
   * a port. Errors: UDPR_E_CONNECTION_REFUSED if nobody listens at a connected port's peer; std::errc::
   * connection_already_in_progress if another coroutine waits.
   */
  detail::receiver receive(error_to error = {}) const noexcept {
    return {protocol_.get(), std::nullopt, error};
  }

  /** The same for at most `timeout`: then UDPR_E_TIMED_OUT. */
  detail::receiver receive_for(std::chrono::nanoseconds timeout, error_to error = {}) const noexcept {
    return {protocol_.get(), timeout, error};
  }

private:
  template <class Listen> static port open(Listen listen) {
    port opened;
    auto protocol = std::make_shared<detail::port_protocol>();
    opened.raw_ = listen(protocol).release();
    if (opened.raw_) opened.protocol_ = std::move(protocol);
    return opened;
  }

  void swap(port &other) noexcept {
    std::swap(raw_, other.raw_);
    std::swap(protocol_, other.protocol_);
  }

  std::shared_ptr<detail::port_protocol> protocol_;
};

}  // namespace udpr::coro

#endif
