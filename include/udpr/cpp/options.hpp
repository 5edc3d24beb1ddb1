/* Options, ids, times, log records. Included by <udpr/udpr.hpp>. */
#ifndef UDPR_CPP_OPTIONS_HPP
#define UDPR_CPP_OPTIONS_HPP

#include <chrono>
#include <string>
#include <string_view>

#include <udpr/cpp/error.hpp>
#include <udpr/cpp/flags.hpp>
#include <udpr/cpp/view.hpp>

namespace udpr {

/** How a reactor is made: `udpr::reactor reactor({udpr::reactor_flag::signals});`. */
struct reactor_options {
  /** reactor_flag, joined by |. */
  reactor_flag flags{};
  /** How many threads the pool has at most; 0 means 10. */
  std::uint32_t thread_pool_size = 0;
  /** For how long the loop looks for work before it waits in the kernel, which keeps a core busy; below 0 is 0. */
  std::chrono::nanoseconds spin{0};

  /** As C has it. */
  udpr_reactor_options raw() const noexcept {
    udpr_reactor_options out{};
    out.size = sizeof out;
    out.flags = detail::raw_flags(flags);
    out.thread_pool_size = thread_pool_size;
    out.spin = spin.count() < 0 ? 0 : static_cast<udpr_ns>(spin.count());
    return out;
  }
};

/** How a port is made: `{udpr::udp_flag::reuse_port | udpr::udp_flag::ttl}`. */
struct udp_options {
  /** udp_flag, joined by |. Those that must precede bind are refused by adopt_datagram_port. */
  udp_flag flags{};
  /** Longer datagrams are cut and flagged; 0 means 65535, the maximum. */
  std::uint32_t max_packet_size = 0;
  /** SO_RCVBUF in bytes; 0 means the default of the system. */
  std::uint32_t receive_buffer = 0;
  /** SO_SNDBUF in bytes; 0 means the default of the system. */
  std::uint32_t send_buffer = 0;
  /** How many bytes may wait for a full socket; 0 means 1 MiB. */
  std::uint32_t send_queue_bytes = 0;
  /** The name of an interface (SO_BINDTODEVICE); "" means none. */
  std::string bind_device = {};
  /** write_ready is called when at most so many bytes wait; 0 means none. Less than send_queue_bytes. */
  std::uint32_t write_ready_bytes = 0;

  /** As C has it, valid until this object changes. */
  udpr_udp_options raw() const noexcept {
    udpr_udp_options out{};
    out.size = sizeof out;
    out.flags = detail::raw_flags(flags);
    out.max_packet_size = max_packet_size;
    out.receive_buffer = receive_buffer;
    out.send_buffer = send_buffer;
    out.send_queue_bytes = send_queue_bytes;
    out.bind_device = bind_device.empty() ? nullptr : c_text(bind_device).get();
    out.write_ready_bytes = write_ready_bytes;
    return out;
  }
};

/** Where a port listens: `9999` is on every IPv4 address, `{"::1", 9999}` on one address. Borrowed for the call. */
struct local_port {
  /** On every IPv4 address. 0 means that the kernel chooses the number. */
  local_port(std::uint16_t number) noexcept : port(number) {}
  /** On an address of this host as a literal without port, or on "::", which is every address. */
  local_port(const char *literal, std::uint16_t number) noexcept : address(literal), port(number) {}
  /** The same. */
  local_port(const std::string &literal, std::uint16_t number) noexcept
      : address(c_text(literal).get()), port(number) {}

  /** The literal; null means every IPv4 address. */
  const char *address = nullptr;
  /** The number of the port. */
  std::uint16_t port;
};

/** How a name is looked up. */
struct resolve_options {
  /** UDPR_AF_INET, UDPR_AF_INET6, or UDPR_AF_UNSPEC for both. */
  udpr_family_code family = UDPR_AF_UNSPEC;
  /** Counted from the call; 0 means 60 s. */
  std::chrono::nanoseconds timeout{0};
};

/** The clock of reactors, for their time points. Each reactor has a now() of its own. */
struct clock {
  /** As of every clock. */
  using duration = std::chrono::nanoseconds;
  /** As of every clock. */
  using rep = duration::rep;
  /** As of every clock. */
  using period = duration::period;
  /** As of every clock. */
  using time_point = std::chrono::time_point<clock>;
  /** As of every clock. */
  static constexpr bool is_steady = true;
};

/** The id of a delayed call. It is never used again; timer_id{} is none. */
enum class timer_id : udpr_id {};
/** The id of a trigger, as timer_id. */
enum class trigger_id : udpr_id {};
/** The id of a look-up, as timer_id. */
enum class lookup_id : udpr_id {};
/** The id of a watch, as timer_id. */
enum class watch_id : udpr_id {};

/** What a trigger may return. */
enum class progress {
  /** It has done its work. */
  finished = UDPR_OK,
  /** It will finish later, by finish_trigger. */
  pending = UDPR_PENDING,
};

/** A record of the log, valid during the call. */
class log_record {
public:
  /** As C has it. */
  explicit log_record(const udpr_log_record &raw) noexcept : raw_(&raw) {}

  /** udpr_log_code. */
  std::uint32_t level() const noexcept { return raw_->level; }
  /** The error that it is about, or none. */
  std::error_code error() const noexcept { return make_error_code(raw_->status); }
  /** The part of the library that wrote it. */
  std::string_view target() const noexcept { return raw_->target; }
  /** The text. */
  std::string_view message() const noexcept { return raw_->message; }

private:
  const udpr_log_record *raw_;
};

namespace detail {

/* Below 0 is now. */
inline udpr_ns to_ns(std::chrono::nanoseconds delay) noexcept {
  return delay.count() > 0 ? static_cast<udpr_ns>(delay.count()) : 0;
}

}  // namespace detail

}  // namespace udpr

#endif
