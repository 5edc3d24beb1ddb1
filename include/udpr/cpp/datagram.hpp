/* Datagrams, error reports, messages. Included by <udpr/udpr.hpp>. */
#ifndef UDPR_CPP_DATAGRAM_HPP
#define UDPR_CPP_DATAGRAM_HPP

#include <chrono>
#include <optional>

#include <udpr/cpp/address.hpp>
#include <udpr/cpp/options.hpp>

namespace udpr {

/** A received datagram, borrowed: it and all that it returns are valid until the callback returns. */
class datagram {
public:
  /** As C has it. */
  explicit datagram(const udpr_datagram &raw) noexcept : raw_(&raw) {}

  /** Its payload, cut at max_packet_size. */
  bytes data() const noexcept { return {raw_->data, raw_->len}; }
  /** The same as text. */
  std::string_view text() const noexcept { return data().text(); }
  /** The size that it was sent with. */
  std::size_t full_size() const noexcept { return raw_->full_len; }
  /** Whether it was longer than max_packet_size. */
  bool truncated() const noexcept { return (raw_->flags & UDPR_DATAGRAM_TRUNCATED) != 0; }
  /** Whether it was sent to a group or a broadcast address; false without udp_flag::packet_info. */
  bool to_many() const noexcept { return (raw_->flags & UDPR_DATAGRAM_TO_MANY) != 0; }
  /** The address of its sender. On a dual-stack port IPv4 senders are ::ffff:a.b.c.d. */
  const address &sender() const noexcept { return *detail::wrapped<address>(&raw_->sender); }
  /** The address that it was sent to, which may be a group or a broadcast address; no address without udp_flag::packet_info. */
  const address &destination() const noexcept { return *detail::wrapped<address>(&raw_->destination); }
  /** The index of the interface that received it; 0 without udp_flag::packet_info. */
  std::uint32_t interface_index() const noexcept { return raw_->interface_index; }
  /** When the kernel received it, by the system's clock; none without udp_flag::timestamps. */
  std::optional<std::chrono::time_point<std::chrono::system_clock, std::chrono::nanoseconds>>
  timestamp() const {
    if (raw_->timestamp == 0) return std::nullopt;
    return std::chrono::time_point<std::chrono::system_clock, std::chrono::nanoseconds>(
        std::chrono::nanoseconds(raw_->timestamp));
  }
  /** The TOS or traffic class, with ECN in its low two bits; none without udp_flag::tos. */
  std::optional<int> tos() const noexcept { return known(raw_->tos); }
  /** The TTL or hop limit that it arrived with; none without udp_flag::ttl. */
  std::optional<int> ttl() const noexcept { return known(raw_->ttl); }
  /** As C has it. */
  const udpr_datagram &raw() const noexcept { return *raw_; }

private:
  static std::optional<int> known(int value) noexcept {
    return value < 0 ? std::nullopt : std::optional<int>(value);
  }

  const udpr_datagram *raw_;
};

/** An error that the kernel reports about a datagram that was sent, borrowed: valid until the callback returns. */
class error_report {
public:
  /** As C has it. */
  explicit error_report(const udpr_error_report &raw) noexcept : raw_(&raw) {}

  /** UDPR_E_CONNECTION_REFUSED, UDPR_E_HOST_UNREACHABLE, UDPR_E_MESSAGE_TOO_LONG, ... */
  std::error_code error() const noexcept { return make_error_code(raw_->status); }
  /** udpr_origin_code: the local kernel or an ICMP message. */
  std::uint32_t origin() const noexcept { return raw_->origin; }
  /** The destination that failed. */
  const address &to() const noexcept { return *detail::wrapped<address>(&raw_->to); }
  /** The sender of the ICMP message; no address if the origin is local. */
  const address &reporter() const noexcept { return *detail::wrapped<address>(&raw_->reporter); }
  /** The type of the ICMP message; 0 without one. */
  std::uint32_t icmp_type() const noexcept { return raw_->icmp_type; }
  /** The code of the ICMP message; 0 without one. */
  std::uint32_t icmp_code() const noexcept { return raw_->icmp_code; }
  /** The path MTU in bytes with UDPR_E_MESSAGE_TOO_LONG; 0 with every other error. */
  std::uint32_t mtu() const noexcept { return raw_->mtu; }
  /** The tag of the message that was refused; 0 if it had none, and for what the network reports. */
  std::uint64_t tag() const noexcept { return raw_->tag; }
  /** As much of the datagram as the report contains. */
  bytes data() const noexcept { return {raw_->data, raw_->len}; }
  /** As C has it. */
  const udpr_error_report &raw() const noexcept { return *raw_; }

private:
  const udpr_error_report *raw_;
};

/**
 * One write with all its settings, for transport_ref::write_messages. Data and addresses are borrowed: they must live
 * until it is written. The layout is that of udpr_message.
 *
 *     udpr::message(data, to).from(datagram.destination()).tos(0x2e)
 */
class message {
public:
  /** For the peer of a connected port. */
  explicit message(bytes data) noexcept {
    raw_.size = sizeof raw_;
    raw_.data = data.data();
    raw_.len = data.size();
  }
  /** For any address. */
  message(bytes data, const address &to) noexcept : message(data) { raw_.to = &to.raw(); }

  /** Pieces, one after the other, for the peer of a connected port. The list of pieces is borrowed, too. */
  static message of_pieces(view<bytes> pieces) noexcept {
    message all{bytes()};
    all.raw_.pieces = detail::unwrapped<udpr_bytes>(pieces.data());
    all.raw_.piece_count = pieces.size();
    all.raw_.flags = UDPR_MESSAGE_PIECES;
    return all;
  }
  /** The same for any address: `message::of_pieces({head, body}, to)`. */
  static message of_pieces(view<bytes> pieces, const address &to) noexcept {
    message all = of_pieces(pieces);
    return all.raw_.to = &to.raw(), all;
  }

  /** Sends from this local address, whose port is ignored. Without it the kernel chooses. */
  message &from(const address &source) noexcept { return raw_.source = &source.raw(), *this; }
  /** Sends by this interface; 0 means that the kernel chooses. */
  message &by_interface(std::uint32_t index) noexcept { return raw_.interface_index = index, *this; }
  /** Sends with this TOS or traffic class. */
  message &tos(std::uint8_t tos) noexcept { return raw_.tos = tos, raw_.flags |= UDPR_MESSAGE_TOS, *this; }
  /** Sends with this TTL or hop limit; 0 is for groups only. */
  message &ttl(std::uint8_t ttl) noexcept { return raw_.ttl = ttl, raw_.flags |= UDPR_MESSAGE_TTL, *this; }
  /**
   * Requests that it leaves at this instant of reactor_ref::now. The queueing discipline of the device has to be fq; otherwise
   * it leaves at once. UDPR_E_NOT_SUPPORTED with a manual clock.
   */
  message &send_at(clock::time_point instant) noexcept {
    raw_.send_at = detail::to_ns(instant.time_since_epoch());
    return raw_.flags |= UDPR_MESSAGE_SEND_AT, *this;
  }
  /** A number that error_report::tag returns if the kernel refuses it after it was accepted. */
  message &tag(std::uint64_t tag) noexcept { return raw_.tag = tag, *this; }
  /** Cuts the data into datagrams of this size, of which the last may be shorter; 0 means one datagram. */
  message &segments(std::uint32_t size) noexcept { return raw_.segment_size = size, *this; }
  /** Sends at once instead of gathering. */
  message &now() noexcept { return raw_.flags |= UDPR_MESSAGE_NOW, *this; }
  /** As C has it. */
  const udpr_message &raw() const noexcept { return raw_; }

private:
  udpr_message raw_{};
};

}  // namespace udpr

#endif
