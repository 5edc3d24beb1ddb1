/* coro_echo [PORT]: an echo server as coroutines of C++20: sends each datagram back a tenth of a second later, until Ctrl-C.
 *
 *     $ coro_echo &
 *     listening on 0.0.0.0:9999
 *     $ echo "Hello World!" | nc -4u -w1 localhost 9999
 *     Hello World!
 */
#include <charconv>
#include <exception>
#include <iostream>
#include <optional>
#include <string>
#include <string_view>

#include <udpr/coro.hpp>

using namespace std::chrono_literals;
namespace coro = udpr::coro;

namespace {

/* One answer. The text is a copy, since a received datagram is valid until the next receive only. */
coro::task<> answer_later(udpr::transport port, std::string text, udpr::address to) {
  co_await coro::delay(port.reactor(), 100ms);
  std::error_code error; /* a peer that cannot be reached ends nothing */
  port.write(text, to, error);
  if (error) std::cerr << "coro_echo: cannot send it back: " << error.message() << '\n';
}

coro::task<> serve(udpr::reactor_ref reactor, std::uint16_t number) {
  coro::port port(reactor, number);
  std::cout << "listening on " << port.host().to_string() << std::endl;
  int              count = 0;
  coro::task_group answers; /* those that are still to be sent are dropped with it */
  while (const auto datagram = co_await port.receive()) {
    count++;
    answers.start(answer_later(port, std::string(datagram->text()), datagram->sender()));
  }
  std::cout << "stopped; datagrams: " << count << std::endl;
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return port;
}

}  // namespace

int main(int argc, char **argv) {
  const auto port = parse_port(argc > 1 ? argv[1] : "9999");
  if (argc > 2 || !port) return std::cerr << "usage: coro_echo [PORT]   (0 to 65535)\n", 2;
  try {
    udpr::reactor reactor({udpr::reactor_flag::signals});
    coro::task<>  server = serve(reactor, *port);
    server.start();
    reactor.run();
  } catch (const std::exception &error) {
    std::cerr << "coro_echo: " << error.what() << '\n';
    return 1;
  }
}
