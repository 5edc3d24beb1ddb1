/* The list of network interfaces. Included by <udpr/udpr.hpp>. */
#ifndef UDPR_CPP_INTERFACES_HPP
#define UDPR_CPP_INTERFACES_HPP

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include <udpr/cpp/address.hpp>
#include <udpr/cpp/flags.hpp>

namespace udpr {

/** An address of a network interface, or an interface without addresses, as udpr_interface. It is a value. */
class network_interface {
public:
  /** As C has it. */
  explicit network_interface(const udpr_interface &raw) noexcept : raw_(raw) {}

  /** The name, such as "eth0". Valid as long as this object. */
  std::string_view name() const noexcept { return raw_.name; }
  /** The index. */
  std::uint32_t index() const noexcept { return raw_.index; }
  /** What kind of interface it is, and whether it is up: `has(one.flags(), udpr::interface_flag::multicast)`. */
  interface_flag flags() const noexcept { return interface_flag(raw_.flags); }
  /** The most bytes of a packet, with its IP header. */
  std::uint32_t mtu() const noexcept { return raw_.mtu; }
  /** The address, with port 0 and its scope; no address for an interface without any. */
  udpr::address address() const noexcept { return raw_.address; }
  /** How many of the first bits of the address are the network's. */
  std::uint32_t prefix_length() const noexcept { return raw_.prefix_length; }
  /** The broadcast address, or the peer of a point-to-point interface; no address without one. */
  udpr::address broadcast() const noexcept { return raw_.broadcast; }
  /** The hardware address, which may be empty. Valid as long as this object. */
  bytes hardware() const noexcept { return {raw_.hardware, raw_.hardware_len}; }
  /** As C has it. */
  const udpr_interface &raw() const noexcept { return raw_; }

private:
  udpr_interface raw_;
};

/**
 * Lists the network interfaces of the calling thread's network namespace: one element for each address of each interface, and
 * one for each interface without addresses. UDPR_E_NO_FILES; UDPR_E_NOT_SUPPORTED or UDPR_E_PERMISSION in a sandbox. [any thread]
 */
inline std::vector<network_interface> interfaces(error_to error = {}) {
  std::vector<udpr_interface> raw(16);
  std::size_t                 count = 0;
  udpr_status                 status;
  for (;;) {
    raw[0].size = sizeof raw[0];
    status = udpr_interfaces(raw.data(), raw.size(), &count);
    if (count <= raw.size()) break;
    raw.resize(count + 16); /* some more may have come by the next call */
  }
  std::vector<network_interface> all(raw.begin(), raw.begin() + static_cast<std::ptrdiff_t>(count));
  error(status, "udpr::interfaces");
  return all;
}

}  // namespace udpr

#endif
