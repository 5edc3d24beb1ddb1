/* What comes and what goes: datagrams, error reports, messages. Included by <udpr/udpr.hpp>. */
#ifndef UDPR_CPP_DATAGRAM_HPP
#define UDPR_CPP_DATAGRAM_HPP

#include <chrono>
#include <optional>

#include <udpr/cpp/address.hpp>

namespace udpr {

/** A received datagram, borrowed: valid, with all that it gives out, until the callback returns. */
class datagram {
public:
  explicit datagram(const udpr_datagram &raw) noexcept : raw_(&raw) {}

  /** What it carries, cut at max_packet_size. */
  bytes data() const noexcept { return {raw_->data, raw_->len}; }
  /** The same as text. */
  std::string_view text() const noexcept { return data().text(); }
  /** How long it was when it was sent. */
  std::size_t full_size() const noexcept { return raw_->full_len; }
  /** Whether it was longer than max_packet_size. */
  bool truncated() const noexcept { return (raw_->flags & UDPR_DATAGRAM_TRUNCATED) != 0; }
  /** Who sent it. On a dual-stack port IPv4 senders are ::ffff:a.b.c.d. */
  const address &sender() const noexcept { return *detail::wrapped<address>(&raw_->sender); }
  /** Where it was sent to (a group, too); no address without UDPR_UDP_PACKET_INFO. */
  const address &destination() const noexcept { return *detail::wrapped<address>(&raw_->destination); }
  /** Where it came in; 0 without UDPR_UDP_PACKET_INFO. */
  std::uint32_t interface_index() const noexcept { return raw_->interface_index; }
  /** When the kernel received it, by the system's clock; none without UDPR_UDP_TIMESTAMPS. */
  std::optional<std::chrono::time_point<std::chrono::system_clock, std::chrono::nanoseconds>>
  timestamp() const {
    if (raw_->timestamp == 0) return std::nullopt;
    return std::chrono::time_point<std::chrono::system_clock, std::chrono::nanoseconds>(
        std::chrono::nanoseconds(raw_->timestamp));
  }
  /** ECN in its low two bits; none without UDPR_UDP_TOS. */
  std::optional<int> tos() const noexcept { return known(raw_->tos); }
  /** Or the hop limit; none without UDPR_UDP_TTL. */
  std::optional<int> ttl() const noexcept { return known(raw_->ttl); }
  /** As C has it. */
  const udpr_datagram &raw() const noexcept { return *raw_; }

private:
  static std::optional<int> known(int value) noexcept {
    return value < 0 ? std::nullopt : std::optional<int>(value);
  }

  const udpr_datagram *raw_;
};

/** An error that the kernel has about what was sent, borrowed: valid until the callback returns. */
class error_report {
public:
  explicit error_report(const udpr_error_report &raw) noexcept : raw_(&raw) {}

  /** UDPR_E_CONNECTION_REFUSED, UDPR_E_HOST_UNREACHABLE, UDPR_E_MESSAGE_TOO_LONG, ... */
  std::error_code error() const noexcept { return make_error_code(raw_->status); }
  /** udpr_origin_code: our own kernel, or an ICMP message. */
  std::uint32_t origin() const noexcept { return raw_->origin; }
  /** The destination that failed. */
  const address &to() const noexcept { return *detail::wrapped<address>(&raw_->to); }
  /** Who sent the ICMP message; no address where the origin is local. */
  const address &reporter() const noexcept { return *detail::wrapped<address>(&raw_->reporter); }
  /** Of the ICMP message, else 0. */
  std::uint32_t icmp_type() const noexcept { return raw_->icmp_type; }
  /** Of the ICMP message, else 0. */
  std::uint32_t icmp_code() const noexcept { return raw_->icmp_code; }
  /** Path MTU in bytes with UDPR_E_MESSAGE_TOO_LONG, else 0. */
  std::uint32_t mtu() const noexcept { return raw_->mtu; }
  /** As much of the datagram as came back. */
  bytes data() const noexcept { return {raw_->data, raw_->len}; }
  /** As C has it. */
  const udpr_error_report &raw() const noexcept { return *raw_; }

private:
  const udpr_error_report *raw_;
};

/**
 * One write with everything that can be said of it, for transport_ref::write_messages. Data and addresses are borrowed:
 * they must live until it is written. Laid out as udpr_message.
 *
 *     udpr::message(data, to).from(datagram.destination()).tos(0x2e)
 */
class message {
public:
  /** To the peer of a connected port. */
  explicit message(bytes data) noexcept {
    raw_.size = sizeof raw_;
    raw_.data = data.data();
    raw_.len = data.size();
  }
  /** To anybody. */
  message(bytes data, const address &to) noexcept : message(data) { raw_.to = &to.raw(); }

  /** Sends from this local address (its port is ignored), else the kernel chooses. */
  message &from(const address &source) noexcept { return raw_.source = &source.raw(), *this; }
  /** Sends by this interface; 0: the kernel chooses. */
  message &by_interface(std::uint32_t index) noexcept { return raw_.interface_index = index, *this; }
  /** With this TOS or traffic class. */
  message &tos(std::uint8_t tos) noexcept { return raw_.tos = tos, raw_.flags |= UDPR_MESSAGE_TOS, *this; }
  /** Cuts the data into datagrams of this size, the last may be short; 0: one datagram. */
  message &segments(std::uint32_t size) noexcept { return raw_.segment_size = size, *this; }
  /** Does not gather, sends at once. */
  message &now() noexcept { return raw_.flags |= UDPR_MESSAGE_NOW, *this; }
  /** As C has it. */
  const udpr_message &raw() const noexcept { return raw_; }

private:
  udpr_message raw_{};
};

}  // namespace udpr

#endif
