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

  /** As C has it. */
  udpr_reactor_options raw() const noexcept {
    udpr_reactor_options out{};
    out.size = sizeof out;
    out.flags = detail::raw_flags(flags);
    out.thread_pool_size = thread_pool_size;
    return out;
  }
};

/** How a port is made: `{udpr::udp_flag::reuse_port | udpr::udp_flag::ttl}`. */
struct udp_options {
  /** udp_flag, joined by |. Those that must precede bind are refused by adopt_datagram_port. */
  udp_flag flags{};
  /** Longer datagrams are cut and flagged; 0: 65535, which is the most. */
  std::uint32_t max_packet_size = 0;
  /** SO_RCVBUF in bytes; 0: the system's. */
  std::uint32_t receive_buffer = 0;
  /** SO_SNDBUF in bytes; 0: the system's. */
  std::uint32_t send_buffer = 0;
  /** Bound in bytes of what waits for a full socket; 0: 1 MiB. */
  std::uint32_t send_queue_bytes = 0;
  /** An interface's name; "": none (SO_BINDTODEVICE). */
  std::string bind_device = {};

  /** As C has it, until this changes. */
  udpr_udp_options raw() const noexcept {
    udpr_udp_options out{};
    out.size = sizeof out;
    out.flags = detail::raw_flags(flags);
    out.max_packet_size = max_packet_size;
    out.receive_buffer = receive_buffer;
    out.send_buffer = send_buffer;
    out.send_queue_bytes = send_queue_bytes;
    out.bind_device = bind_device.empty() ? nullptr : c_text(bind_device).get();
    return out;
  }
};

/** Where a port listens: `9999` on every IPv4 address, `{"::", 9999}` on one. Borrowed for the call. */
struct local_port {
  /** On every IPv4 address. 0: the kernel chooses. */
  local_port(std::uint16_t number) noexcept : port(number) {}
  /** On a bare IP literal of this host, or "::". */
  local_port(const char *literal, std::uint16_t number) noexcept : address(literal), port(number) {}
  local_port(const std::string &literal, std::uint16_t number) noexcept
      : address(c_text(literal).get()), port(number) {}

  const char   *address = nullptr;
  std::uint16_t port;
};

/** How a name is looked up. */
struct resolve_options {
  /** One, or UDPR_AF_UNSPEC for both. */
  udpr_family_code family = UDPR_AF_UNSPEC;
  /** Counted from the call; 0: 60 s. */
  std::chrono::nanoseconds timeout{0};
};

/** The time of reactors: each has its own now(). */
struct clock {
  using duration = std::chrono::nanoseconds;
  using rep = duration::rep;
  using period = duration::period;
  using time_point = std::chrono::time_point<clock>;
  static constexpr bool is_steady = true;
};

/** Names a delayed call. Never used again; timer_id{} is none. */
enum class timer_id : udpr_id {};
/** Names a trigger. Likewise. */
enum class trigger_id : udpr_id {};
/** Names a look-up. Likewise. */
enum class lookup_id : udpr_id {};
/** Names a watch. Likewise. */
enum class watch_id : udpr_id {};

/** What a trigger returns that may go on. */
enum class progress {
  /** It has done its work. */
  finished = UDPR_OK,
  /** It will finish later: finish_trigger. */
  pending = UDPR_PENDING,
};

/** A line of the log, valid during the call. */
class log_record {
public:
  explicit log_record(const udpr_log_record &raw) noexcept : raw_(&raw) {}

  /** udpr_log_code. */
  std::uint32_t level() const noexcept { return raw_->level; }
  /** What it is about, or none. */
  std::error_code error() const noexcept { return make_error_code(raw_->status); }
  /** The part that speaks. */
  std::string_view target() const noexcept { return raw_->target; }
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
