/* Protocols as classes with virtual functions. Included by <udpr/udpr.hpp>. */
#ifndef UDPR_CPP_PROTOCOL_BASE_HPP
#define UDPR_CPP_PROTOCOL_BASE_HPP

#include <udpr/cpp/transport.hpp>

namespace udpr {

namespace detail {
struct batches_of_base;
}  // namespace detail

/**
 * A base for protocols. A class needs none, but with it `override` makes the compiler find a misspelt or wrongly declared
 * callback:
 *
 *     class echo : public udpr::protocol_base {
 *     public:
 *       void datagram_received(udpr::transport_ref transport, const udpr::datagram &datagram) override;
 *     };
 *     reactor.listen_udp(9999, std::make_unique<echo>());
 *
 * Every function does nothing unless it is overridden. What each is for is described at udpr::protocol.
 */
class protocol_base {
public:
  virtual ~protocol_base() = default;

  /** The port is bound. If this throws, listening fails with that. */
  virtual void start_protocol(transport_ref) {}
  /** A datagram was received. */
  virtual void datagram_received(transport_ref, const datagram &) {}
  /** Nobody listens at a connected port's peer. */
  virtual void connection_refused(transport_ref) {}
  /** A write failed after it was accepted, or the network reports an error. */
  virtual void error_received(transport_ref, const error_report &) {}
  /** The send queue has room again after UDPR_E_WOULD_BLOCK. */
  virtual void write_ready(transport_ref) {}
  /** The last callback: the port has stopped. */
  virtual void stop_protocol(transport_ref, std::error_code) {}
  /** A socket was made, and will be bound to the address. If this throws, listening fails with that. */
  virtual void configure_socket(int, const address &) {}

protected:
  protocol_base() = default;
  /** Protected, so that copying the base alone, which would cut off the rest of an object, does not compile. */
  protocol_base(const protocol_base &) = default;
  /** Protected, too. */
  protocol_base &operator=(const protocol_base &) = default;

private:
  friend struct detail::batches_of_base;
  virtual bool receives_batches() const noexcept { return false; }
};

/** A base for protocols that receive whole batches. Otherwise as protocol_base. */
class batch_protocol_base : public protocol_base {
public:
  /** Datagrams were received, at most 256. Returns how many it took: the others come again in a later turn. */
  virtual std::size_t datagrams_received(transport_ref, view<datagram>) = 0;
  /** Never called, so it cannot be overridden. */
  void datagram_received(transport_ref, const datagram &) final {}

private:
  bool receives_batches() const noexcept final { return true; }
};

namespace detail {

/* Batches of an object that is known as a protocol_base only. */
struct batches_of_base {
  static bool        wanted(const protocol_base &object) noexcept { return object.receives_batches(); }
  static std::size_t receive(protocol_base &object, transport_ref transport, view<datagram> all) {
    return static_cast<batch_protocol_base &>(object).datagrams_received(transport, all);
  }
};

}  // namespace detail

}  // namespace udpr

#endif
