/* Errors, addresses and views, which need no reactor. */
#include "check.hpp"

#include <array>
#include <unordered_set>

#include <netinet/in.h>
#if __cplusplus >= 202002L
#include <span>
#endif

using udpr::address;

TEST(a_status_is_an_error_code) {
  const std::error_code error = udpr::make_error_code(UDPR_E_CLOSED);
  CHECK(error == UDPR_E_CLOSED && error != UDPR_E_PANIC && error.value() == UDPR_E_CLOSED);
  CHECK(error.category() == udpr::category() && std::string(error.category().name()) == "udpr");
  CHECK(error.message() == udpr_status_message(UDPR_E_CLOSED));
  CHECK(!udpr::make_error_code(static_cast<udpr_status>(UDPR_OK)));
}

TEST(statuses_with_an_errno_equal_it) {
  CHECK(udpr::make_error_code(UDPR_E_ADDRESS_IN_USE) == std::errc::address_in_use);
  CHECK(udpr::make_error_code(UDPR_E_WOULD_BLOCK) == std::errc::operation_would_block);
  CHECK(udpr::make_error_code(UDPR_E_SYSTEM - EBADF) == std::errc::bad_file_descriptor);
  CHECK(udpr::make_error_code(UDPR_E_CLOSED) != std::errc::bad_file_descriptor);
  CHECK(udpr::make_error_code(UDPR_E_INVALID_ARGUMENT) != std::errc::invalid_argument);
}

TEST(error_codes_convert_to_statuses) {
  CHECK(udpr::to_status({}) == UDPR_OK);
  CHECK(udpr::to_status(UDPR_E_CLOSED) == UDPR_E_CLOSED);
  CHECK(udpr::to_status(std::make_error_code(std::errc::bad_file_descriptor)) == UDPR_E_SYSTEM - EBADF);
  CHECK(udpr::to_status({EBADF, std::system_category()}) == UDPR_E_SYSTEM - EBADF);
  CHECK(udpr::to_status({1, std::iostream_category()}) == UDPR_E_CANCELLED);
}

TEST(error_codes_have_a_nearest_errno) {
  CHECK(udpr::nearest_errno(UDPR_E_CLOSED) == EBADF && udpr::nearest_errno(UDPR_E_WRONG_PEER) == EISCONN);
  CHECK(udpr::nearest_errno({ENFILE, std::system_category()}) == ENFILE && udpr::nearest_errno({}) == 0);
}

TEST(failures_are_thrown_or_stored) {
  CHECK(check::throws(UDPR_E_INVALID_ADDRESS, [] { address::parse("example.org"); }));
  std::error_code error;
  CHECK(!address::parse("example.org", 1, error) && error == UDPR_E_INVALID_ADDRESS);
  CHECK(address::parse("::1", 1, error) && !error);
  udpr::error_to(error = UDPR_E_CLOSED)(UDPR_PENDING, "above 0 is no failure");
  CHECK(!error);
  try {
    address::parse("x");
    CHECK(false);
  } catch (const std::system_error &thrown) {
    CHECK(std::string(thrown.what()).rfind("udpr::address::parse: ", 0) == 0);
  }
}

TEST(addresses_are_parsed_and_formatted) {
  const address v4 = address::parse("192.0.2.1:53", 9);
  CHECK(v4.is_v4() && !v4.is_v6() && v4.port() == 53 && v4.to_string() == "192.0.2.1:53");
  CHECK(v4.ip() == udpr::bytes("\xc0\0\x02\x01", 4));
  CHECK(address::parse(std::string("::1"), 7).to_string() == "[::1]:7");
  CHECK(address::parse("::1").ip().size() == 16);
  CHECK(check::throws(UDPR_E_INVALID_ADDRESS, [] { address::parse_host("[::1]"); }));
  CHECK(address().to_string().empty() && address().ip().empty() && !address());
  CHECK(v4.map_v4().to_string() == "[::ffff:192.0.2.1]:53" && v4.map_v4().unmap_v4() == v4);
  CHECK(check::throws(UDPR_E_ADDRESS_FAMILY, [&] { v4.unmap_v4(); }));
  CHECK(check::throws(UDPR_E_ADDRESS_FAMILY, [&] { v4.map_v4().map_v4(); }));
}

/* Only the part before a NUL would be used, which is not what the caller meant. */
TEST(a_nul_inside_a_text_is_refused) {
  using namespace std::string_literals;
  const std::string before = "127.0.0.1\0.example"s, device = "lo\0x"s, feature = "gso\0"s;
  udpr::reactor     reactor;
  CHECK(check::throws(UDPR_E_INVALID_ADDRESS, [&] { address::parse(before); }));
  CHECK(check::throws(UDPR_E_INVALID_ADDRESS, [&] { address::parse_host(before); }));
  CHECK(check::throws(UDPR_E_NO_INTERFACE, [&] { udpr::interface_index(device); }));
  CHECK(check::throws(UDPR_E_INVALID_ARGUMENT, [&] { reactor.resolve("localhost\0.example"s, 1, [] {}); }));
  CHECK(check::throws(UDPR_E_INVALID_ADDRESS, [&] { reactor.listen_udp({before, 0}, udpr::protocol()); }));
  udpr::udp_options options;
  options.bind_device = device;
  CHECK(check::throws(UDPR_E_NO_INTERFACE, [&] { reactor.listen_udp(0, udpr::protocol(), options); }));
  CHECK(!udpr::has_feature(feature));
}

TEST(addresses_convert_to_sockaddrs_and_back) {
  sockaddr_in6  raw{};
  const address v6 = address::parse("[2001:db8::1]:53");
  CHECK(v6.to_sockaddr(&raw, sizeof raw) == sizeof raw && raw.sin6_port == htons(53));
  CHECK(address::from_sockaddr(&raw, sizeof raw) == v6);
  CHECK(check::throws(UDPR_E_INVALID_ARGUMENT, [&] { v6.to_sockaddr(&raw, 4); }));
  CHECK(check::throws(UDPR_E_INVALID_ARGUMENT, [&] { address::from_sockaddr(&raw, 4); }));
}

TEST(addresses_are_values) {
  const address a = address::parse("127.0.0.1", 1), b = a.with_port(2), c = address::parse("::1", 1);
  CHECK(a != b && a == b.with_port(1) && a < b && !(b < a) && !(a < a) && a < c);
  const std::unordered_set<address> set{a, b, a};
  CHECK(set.size() == 2 && set.count(b.with_port(1)) == 1 && set.count(c) == 0);
  CHECK(a.compare(b) < 0 && b.compare(a) > 0 && a.compare(b.with_port(1)) == 0);
  CHECK(a.hash(1) == b.with_port(1).hash(1) && a.hash(1) != b.hash(1) && a.hash(1) != a.hash(2));
}

TEST(interfaces_have_an_index) {
  CHECK(udpr::interface_index("lo") == 1 && udpr::interface_index("0.0.0.0") == 0);
  CHECK(check::throws(UDPR_E_NO_INTERFACE, [] { udpr::interface_index("no-such"); }));
  CHECK(check::throws(std::errc::no_such_device, [] { udpr::interface_index("no-such"); }));
}

TEST(interfaces_are_listed) {
  using udpr::interface_flag;
  std::error_code error = udpr::make_error_code(UDPR_E_CLOSED);
  std::size_t     loopbacks = 0;
  for (const udpr::network_interface &one : udpr::interfaces(error)) {
    CHECK(udpr::interface_index(std::string(one.name())) == one.index() &&
          one.raw().size == sizeof one.raw());
    if (one.address() != address::parse("127.0.0.1")) continue;
    CHECK(has(one.flags(), interface_flag::up | interface_flag::loopback) && one.prefix_length() == 8);
    CHECK(!has(one.flags(), interface_flag::point_to_point) && !one.broadcast());
    CHECK(one.mtu() >= 1280 && one.hardware().size() == 6);
    loopbacks++;
  }
  CHECK(loopbacks == 1 && !error);
}

static std::size_t size_of(udpr::bytes data) { return data.size(); }

TEST(bytes_convert_from_containers_of_bytes) {
  const std::uint8_t array[] = {1, 2, 3};
  CHECK(size_of("abc") == 3 && size_of(std::string("a\0b", 3)) == 3 && size_of(std::string_view("ab")) == 2);
  CHECK(size_of(array) == 3 && size_of(std::vector<std::uint8_t>(5)) == 5 &&
        size_of(std::vector<char>(6)) == 6);
  CHECK(size_of(std::array<std::byte, 4>{}) == 4 && size_of({}) == 0 && size_of({array, 2}) == 2);
  static_assert(!std::is_convertible_v<std::vector<int>, udpr::bytes>);
  static_assert(std::is_convertible_v<udpr::bytes, udpr::bytes>);
}

TEST(slices_and_comparison_of_bytes) {
  const udpr::bytes data = "hello";
  CHECK(data[1] == 'e' && data.text() == "hello" && std::string(data.begin(), data.end()) == "hello");
  CHECK(data.first(2) == "he" && data.from(3) == "lo" && data.from(9).empty() && data.first(9) == data);
  CHECK(data != "hellO" && udpr::bytes() == "" && udpr::bytes().empty());
}

static int sum(udpr::view<int> numbers) {
  int total = 0;
  for (int number : numbers) total += number;
  return total;
}

TEST(views_convert_from_contiguous_containers) {
  const int array[] = {1, 2, 3};
  CHECK(sum(array) == 6 && sum(std::vector<int>{4, 5}) == 9 && sum({1, 1}) == 2 && sum({}) == 0);
  const udpr::view<int> all = array;
  CHECK(sum(all.from(1)) == 5 && all[2] == 3 && all.size() == 3 && !all.empty() && all.from(3).empty());
}

#if __cplusplus >= 202002L
static std::size_t span_size(std::span<const std::uint8_t> span) { return span.size(); }
static int         first_of(std::span<const int> span) { return span.front(); }

TEST(views_and_spans_convert_to_each_other) {
  const std::array<std::uint8_t, 3>   array{1, 2, 3};
  const std::span<const std::uint8_t> span(array);
  CHECK(size_of(span) == 3 && span_size(udpr::bytes(array)) == 3);
  CHECK(size_of(std::as_bytes(span)) == 3);
  const std::vector<int> numbers{7, 8};
  CHECK(first_of(udpr::view<int>(numbers)) == 7 && sum(std::span<const int>(numbers)) == 15);
  CHECK(sum(std::span<int>(const_cast<int *>(numbers.data()), 1)) == 7);
}
#endif

TEST(version_and_features) {
  CHECK(udpr::version_string() == "0.1.0" &&
        udpr::version() == (UDPR_VERSION_MAJOR << 16 | UDPR_VERSION_MINOR << 8));
  CHECK(udpr::has_feature("recvmmsg") && !udpr::has_feature(std::string("nonsense")));
}

TEST(flags_of_one_kind_join) {
  using udpr::udp_flag;
  constexpr udp_flag both = udp_flag::reuse_port | udp_flag::ttl;
  static_assert(static_cast<std::uint32_t>(both) == (UDPR_UDP_REUSE_PORT | UDPR_UDP_TTL));
  static_assert(has(both, udp_flag::ttl) && !has(both, udp_flag::ttl | udp_flag::tos) &&
                has(both, udp_flag{}));
  udp_flag flags = both;
  flags |= udp_flag::tos;
  flags &= ~udp_flag::ttl;
  CHECK(flags == (udp_flag::reuse_port | udp_flag::tos) && (flags & udp_flag::ttl) == udp_flag{});
  const udpr::udp_options options{both};
  CHECK(options.raw().flags == (UDPR_UDP_REUSE_PORT | UDPR_UDP_TTL));
}

template <class A, class B> constexpr bool mix = std::is_invocable_v<std::bit_or<>, A, B>;
template <class Flag> constexpr bool       converts = std::is_convertible_v<Flag, std::uint32_t>;

TEST(flags_of_two_kinds_do_not_mix) {
  using udpr::reactor_flag, udpr::udp_flag, udpr::watch_flag;
  static_assert(mix<udp_flag, udp_flag> && mix<reactor_flag, reactor_flag> && mix<watch_flag, watch_flag>);
  static_assert(!mix<udp_flag, reactor_flag> && !mix<reactor_flag, watch_flag> && !mix<watch_flag, udp_flag>);
  static_assert(!mix<udp_flag, int> && !mix<udp_flag, udpr_udp_flag> && !mix<udp_flag, udpr::progress>);
  static_assert(!std::is_convertible_v<int, udp_flag> && !std::is_convertible_v<udpr_udp_flag, reactor_flag>);
  static_assert(!converts<udp_flag> && !converts<reactor_flag> && !converts<watch_flag>);
}

int main() { return check::run(); }
