/* Addresses. Included by <udpr/udpr.hpp>. */
#ifndef UDPR_CPP_ADDRESS_HPP
#define UDPR_CPP_ADDRESS_HPP

#include <cstdint>
#include <functional>
#include <string>

#include <udpr/cpp/error.hpp>
#include <udpr/cpp/view.hpp>

namespace udpr {

/** An IPv4 or IPv6 address and a UDP port, or no address. It is a value with the layout of udpr_addr. */
class address {
public:
  /** No address. */
  constexpr address() noexcept = default;
  /** As C has it. */
  constexpr address(const udpr_addr &raw) noexcept : raw_(raw) {}

  /**
   * Reads "1.2.3.4", "1.2.3.4:53", "::1", "[::1]:53", "fe80::1%eth0" or "[fe80::1%2]:53"; `port` is used if
   * the text has none. UDPR_E_INVALID_ADDRESS for everything else, also for names, which reactor_ref::resolve looks up.
   */
  static address parse(c_text text, std::uint16_t port = 0, error_to error = {}) {
    return read(error, "udpr::address::parse", udpr_addr_parse, text.get(), port);
  }

  /** Reads the forms without brackets and port only. Otherwise as parse. */
  static address parse_host(c_text host, std::uint16_t port = 0, error_to error = {}) {
    return read(error, "udpr::address::parse_host", udpr_addr_parse_host, host.get(), port);
  }

  /** Reads a sockaddr_in or sockaddr_in6 of `size` bytes. UDPR_E_ADDRESS_FAMILY, UDPR_E_INVALID_ARGUMENT (too short). */
  static address from_sockaddr(const void *sockaddr, std::size_t size, error_to error = {}) {
    return read(error, "udpr::address::from_sockaddr", udpr_addr_from_sockaddr, sockaddr, size);
  }

  /** Writes a sockaddr_in or sockaddr_in6 and returns its size. UDPR_E_INVALID_ARGUMENT if `capacity` is too small. */
  std::size_t to_sockaddr(void *buffer, std::size_t capacity, error_to error = {}) const {
    std::size_t size = 0;
    error(udpr_addr_to_sockaddr(&raw_, buffer, capacity, &size), "udpr::address::to_sockaddr");
    return size;
  }

  /** As parse reads it, with the number of the zone, and without the port if that is 0. "" for no address. */
  std::string to_string() const {
    char        text[UDPR_ADDR_TEXT_MAX];
    std::size_t size = 0;
    return udpr_addr_format(&raw_, text, sizeof text, &size) == UDPR_OK ? std::string(text, size)
                                                                        : std::string();
  }

  /** 1.2.3.4 to ::ffff:1.2.3.4, for writing to IPv4 from a dual-stack port. UDPR_E_ADDRESS_FAMILY. */
  address map_v4(error_to error = {}) const {
    return read(error, "udpr::address::map_v4", udpr_addr_map_v4, &raw_);
  }

  /** ::ffff:1.2.3.4 to 1.2.3.4. UDPR_E_ADDRESS_FAMILY for every other address. */
  address unmap_v4(error_to error = {}) const {
    return read(error, "udpr::address::unmap_v4", udpr_addr_unmap_v4, &raw_);
  }

  /** Whether there is an address. */
  explicit operator bool() const noexcept { return raw_.family != UDPR_AF_UNSPEC; }
  /** Whether it is an IPv4 address. */
  bool is_v4() const noexcept { return raw_.family == UDPR_AF_INET; }
  /** Whether it is an IPv6 address. */
  bool is_v6() const noexcept { return raw_.family == UDPR_AF_INET6; }
  /** The port, in host byte order. */
  std::uint16_t port() const noexcept { return raw_.port; }
  /** The same address with another port. */
  address with_port(std::uint16_t port) const noexcept {
    address other = *this;
    other.raw_.port = port;
    return other;
  }
  /** The index of the interface of a link-local IPv6 address; 0 for every other address. */
  std::uint32_t scope_id() const noexcept { return raw_.scope_id; }
  /** The address in network byte order: 4 bytes, 16, or none. Valid as long as this object. */
  bytes ip() const noexcept { return {raw_.bytes, is_v4() ? 4u : is_v6() ? 16u : 0u}; }
  /** As C has it. */
  const udpr_addr &raw() const noexcept { return raw_; }

  /** Whether family, port, address and scope are the same. */
  friend bool operator==(const address &a, const address &b) noexcept {
    return udpr_addr_equal(&a.raw_, &b.raw_) != 0;
  }
  /** Whether any of these differs. */
  friend bool operator!=(const address &a, const address &b) noexcept { return !(a == b); }
  /** An order for std::map, by family, address, scope and port. */
  friend bool operator<(const address &a, const address &b) noexcept { return a.compare(b) < 0; }

  /** Below 0, 0 or above 0: whether this address comes before, with or after the other one in that order. */
  int compare(const address &other) const noexcept { return udpr_addr_compare(&raw_, &other.raw_); }
  /**
   * A hash, the same for equal addresses. With a random `seed` that is kept with the table, peers cannot choose addresses that
   * collide. It is not stable between releases or byte orders.
   */
  std::uint64_t hash(std::uint64_t seed) const noexcept { return udpr_addr_hash(&raw_, seed); }

private:
  template <class Function, class... Args>
  static address read(const error_to &error, const char *what, Function function, Args... args) {
    address out;
    error(function(args..., &out.raw_), what);
    return out;
  }

  udpr_addr raw_{};
};

/**
 * The index of a network interface by its name ("eth0"), by a local address or by its number ("2"). "0.0.0.0" and "::"
 * give 0, which means the choice of the system. UDPR_E_NO_INTERFACE.
 */
inline std::uint32_t interface_index(c_text name_or_address, error_to error = {}) {
  std::uint32_t index = 0;
  error(udpr_interface_index(name_or_address.get(), &index), "udpr::interface_index");
  return index;
}

}  // namespace udpr

/**
 * For std::unordered_map: equal addresses have the same hash. Its seed is the same in every program. A table of peers, who could
 * choose addresses that collide, has a hasher of its own, which returns address::hash(seed).
 */
template <> struct std::hash<udpr::address> {
  /** The hash. */
  std::size_t operator()(const udpr::address &address) const noexcept {
    return static_cast<std::size_t>(address.hash(0));
  }
};

#endif
