/* Flags, as scoped enumerations. Included by <udpr/udpr.hpp>. */
#ifndef UDPR_CPP_FLAGS_HPP
#define UDPR_CPP_FLAGS_HPP

#include <cstdint>
#include <type_traits>

#include <udpr/udpr.h>

namespace udpr {

/** Flags of reactor_options. Each is described in udpr.h at its name there, UDPR_REACTOR_SIGNALS and so on. */
enum class reactor_flag : std::uint32_t {
  /** SIGINT and SIGTERM stop the reactor while it runs. */
  signals = UDPR_REACTOR_SIGNALS,
  /** Time moves by advance only. */
  manual_clock = UDPR_REACTOR_MANUAL_CLOCK,
  /** The first thread that runs the reactor owns it. */
  pinned = UDPR_REACTOR_PINNED,
};

/** Flags of udp_options: `udp_flag::reuse_port | udp_flag::ttl`. Each is described in udpr.h, at UDPR_UDP_REUSE_PORT and so on. */
enum class udp_flag : std::uint32_t {
  /** Several sockets on one number; each receives the multicast datagrams of its groups. */
  listen_multiple = UDPR_UDP_LISTEN_MULTIPLE,
  /** SO_REUSEADDR. */
  reuse_address = UDPR_UDP_REUSE_ADDRESS,
  /** SO_REUSEPORT: the kernel spreads flows over the sockets. */
  reuse_port = UDPR_UDP_REUSE_PORT,
  /** A port on "::" is not dual-stack. */
  v6_only = UDPR_UDP_V6_ONLY,
  /** Broadcasts may be sent. */
  broadcast = UDPR_UDP_BROADCAST,
  /** Fills datagram::destination and datagram::interface_index. */
  packet_info = UDPR_UDP_PACKET_INFO,
  /** Fills datagram::timestamp, and turns GRO off. */
  timestamps = UDPR_UDP_TIMESTAMPS,
  /** Fills datagram::tos. */
  tos = UDPR_UDP_TOS,
  /** Fills datagram::ttl. */
  ttl = UDPR_UDP_TTL,
  /** error_received is called for every error that the kernel knows. */
  error_reports = UDPR_UDP_ERROR_REPORTS,
  /** Path MTU discovery in probe mode. */
  dont_fragment = UDPR_UDP_DONT_FRAGMENT,
  /** A full socket drops datagrams instead of queueing them. */
  no_queue = UDPR_UDP_NO_QUEUE,
  /** Each write is one system call. */
  unbatched = UDPR_UDP_UNBATCHED,
  /** Neither GSO nor GRO. */
  no_offload = UDPR_UDP_NO_OFFLOAD,
  /** GRO on adopted sockets, too. */
  offload = UDPR_UDP_OFFLOAD,
  /** Adopting takes the descriptor over instead of duplicating it. */
  take_fd = UDPR_UDP_TAKE_FD,
};

/** What a watch waits for, and what it reports. */
enum class watch_flag : std::uint32_t {
  /** The descriptor can be read. */
  readable = UDPR_WATCH_READABLE,
  /** It can be written to. */
  writable = UDPR_WATCH_WRITABLE,
  /** An error, or the other side is gone. It is always reported. */
  hangup = UDPR_WATCH_HANGUP,
};

/** What network_interface::flags has. */
enum class interface_flag : std::uint32_t {
  /** The interface is up. */
  up = UDPR_INTERFACE_UP,
  /** Its datagrams come back to this host. */
  loopback = UDPR_INTERFACE_LOOPBACK,
  /** It carries multicast datagrams. */
  multicast = UDPR_INTERFACE_MULTICAST,
  /** It carries broadcasts. */
  broadcast = UDPR_INTERFACE_BROADCAST,
  /** There is one other end. */
  point_to_point = UDPR_INTERFACE_POINT_TO_POINT,
};

namespace detail {

template <class E>
constexpr bool is_flag = std::is_same_v<E, reactor_flag> || std::is_same_v<E, udp_flag> ||
                         std::is_same_v<E, watch_flag> || std::is_same_v<E, interface_flag>;

template <class E> using flag = std::enable_if_t<is_flag<E>, E>;

/* As C has them. */
template <class E> constexpr std::uint32_t raw_flags(E flags) noexcept {
  static_assert(is_flag<E>);
  return static_cast<std::uint32_t>(flags);
}

}  // namespace detail

/** The flags of both, which are of one kind: flags of different kinds do not mix. */
template <class E> constexpr detail::flag<E> operator|(E a, E b) noexcept {
  return E(detail::raw_flags(a) | detail::raw_flags(b));
}
/** The flags that are in both. */
template <class E> constexpr detail::flag<E> operator&(E a, E b) noexcept {
  return E(detail::raw_flags(a) & detail::raw_flags(b));
}
/** All other flags, for use with &. */
template <class E> constexpr detail::flag<E> operator~(E a) noexcept { return E(~detail::raw_flags(a)); }
/** Adds flags. */
template <class E> constexpr detail::flag<E> &operator|=(E &a, E b) noexcept { return a = a | b; }
/** Keeps only the flags that are in both. */
template <class E> constexpr detail::flag<E> &operator&=(E &a, E b) noexcept { return a = a & b; }

/** Whether `flags` has all flags of `some`. */
template <class E> constexpr std::enable_if_t<detail::is_flag<E>, bool> has(E flags, E some) noexcept {
  return (flags & some) == some;
}

}  // namespace udpr

#endif
