/* echo [PORT]: basic_example in C++17: prints each datagram it receives and sends it back, until Ctrl-C.
 *
 *     $ echo &
 *     listening on 0.0.0.0:9999
 *     $ echo "Hello World!" | nc -4u -w1 localhost 9999
 *     13 bytes from 127.0.0.1:32844
 *     Hello World!
 */
#include <charconv>
#include <exception>
#include <iostream>
#include <optional>
#include <string_view>

#include <udpr/udpr.hpp>

namespace {

/* Any class can be a protocol. Those functions of udpr::protocol that it has are called. */
class echo {
public:
  void start_protocol(udpr::transport_ref transport) {
    std::cout << "listening on " << transport.host().to_string() << std::endl;
  }

  void datagram_received(udpr::transport_ref transport, const udpr::datagram &datagram) {
    count_++;
    std::cout << datagram.data().size() << " bytes from " << datagram.sender().to_string() << std::endl;
    std::error_code error; /* an error for one peer must not end the server */
    transport.write(datagram.data(), datagram.sender(), error);
    if (error) std::cerr << "echo: cannot send it back: " << error.message() << '\n';
  }

  void stop_protocol(udpr::transport_ref, std::error_code) {
    std::cout << "stopped; datagrams: " << count_ << std::endl;
  }

private:
  int count_ = 0;
};

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return port;
}

}  // namespace

int main(int argc, char **argv) {
  const auto port = parse_port(argc > 1 ? argv[1] : "9999");
  if (argc > 2 || !port) return std::cerr << "usage: echo [PORT]   (0 to 65535)\n", 2;
  try {
    udpr::reactor reactor({udpr::reactor_flag::signals});
    reactor.listen_udp(*port, echo());
    reactor.run();
  } catch (const std::exception &error) {
    std::cerr << "echo: " << error.what() << '\n';
    return 1;
  }
}
