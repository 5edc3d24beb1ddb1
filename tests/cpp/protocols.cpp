/* Protocols with virtual functions, and ports that listen on an address. */
#include "check.hpp"

#include <memory>
#include <stdexcept>

using udpr::datagram;
using udpr::transport;
using udpr::transport_ref;

/* Records which of its functions were called. */
class recorder : public udpr::protocol_base {
public:
  explicit recorder(std::string &events) : events_(&events) {}

  void start_protocol(transport_ref) override { *events_ += "start "; }
  void datagram_received(transport_ref, const datagram &one) override { *events_ += one.text(); }
  void connection_refused(transport_ref) override { *events_ += "refused "; }
  void stop_protocol(transport_ref, std::error_code reason) override {
    *events_ += reason ? " failed" : " stop";
  }

private:
  std::string *events_;
};

/* Sends `text` to the port itself and turns until `events` has it. */
static void send_to_itself(udpr::reactor &reactor, const transport &port, const char *text,
                           std::string &events) {
  port.write(text, port.host());
  check::iterate_until(reactor, [&] { return events.find(text) != std::string::npos; });
}

TEST(virtual_functions_are_called_through_every_kind_of_pointer) {
  std::string   events;
  udpr::reactor reactor;
  recorder      here(events);
  auto          shared = std::make_shared<recorder>(events);
  const auto    check_one = [&](const transport &port) {
    send_to_itself(reactor, port, "x", events);
    port.close();
    CHECK(events == "start x stop");
    events.clear();
  };
  const udpr::local_port at(check::loopback, 0);
  check_one(reactor.listen_udp(at, std::unique_ptr<udpr::protocol_base>(new recorder(events))));
  check_one(reactor.listen_udp(at, std::make_unique<recorder>(events)));
  check_one(reactor.listen_udp(at, std::shared_ptr<udpr::protocol_base>(shared)));
  check_one(reactor.listen_udp(at, std::ref(static_cast<udpr::protocol_base &>(here))));
  check_one(reactor.listen_udp(at, recorder(events)));
}

TEST(what_is_not_overridden_does_nothing) {
  struct silent : udpr::protocol_base {};
  udpr::reactor   reactor;
  const transport port = reactor.listen_udp({check::loopback, 0}, silent());
  port.write("x", port.host());
  check::iterate_until(reactor, [&] { return port.stats().datagrams_in == 1; });
  port.close();
}

TEST(a_refusal_reaches_the_virtual_function) {
  std::string     events;
  udpr::reactor   reactor;
  const transport other = reactor.listen_udp({check::loopback, 0}, udpr::protocol());
  const transport port = reactor.listen_udp({check::loopback, 0}, std::make_unique<recorder>(events));
  port.connect(other.host());
  other.close();
  port.write("x");
  check::iterate_until(reactor, [&] { return events == "start refused "; });
}

TEST(a_start_that_throws_fails_to_listen) {
  struct failing : udpr::protocol_base {
    void start_protocol(transport_ref) override { throw std::runtime_error("start"); }
  };
  udpr::reactor reactor;
  std::string   thrown;
  try {
    reactor.listen_udp(0, std::unique_ptr<udpr::protocol_base>(new failing));
  } catch (const std::runtime_error &error) { thrown = error.what(); }
  CHECK(thrown == "start" && reactor.stats().transports == 0);
}

/* Takes one datagram of each batch. */
class one_by_one : public udpr::batch_protocol_base {
public:
  explicit one_by_one(std::string &events) : events_(&events) {}
  std::size_t datagrams_received(transport_ref, udpr::view<datagram> all) override {
    *events_ += all[0].text();
    return 1;
  }

private:
  std::string *events_;
};

TEST(batches_reach_the_virtual_function_behind_any_base) {
  udpr::reactor          reactor;
  const udpr::local_port at(check::loopback, 0);
  for (const int kind : {0, 1, 2}) {
    std::string events;
    auto        object = std::make_unique<one_by_one>(events);
    transport   port;
    if (kind == 0) port = reactor.listen_udp(at, std::move(object));
    if (kind == 1)
      port = reactor.listen_udp(at, std::unique_ptr<udpr::batch_protocol_base>(std::move(object)));
    if (kind == 2) port = reactor.listen_udp(at, std::unique_ptr<udpr::protocol_base>(std::move(object)));
    for (const char *text : {"a", "b", "c"}) port.write(text, port.host());
    check::iterate_until(reactor, [&] { return events == "abc"; });
    port.close();
  }
}

TEST(ports_listen_on_an_address) {
  std::string   events;
  udpr::reactor reactor;
  for (const char *text : {"127.0.0.1", "[::1]:0", "::ffff:127.0.0.1"}) {
    const auto      at = udpr::address::parse(text);
    const transport port = reactor.listen_udp(at, std::make_unique<recorder>(events));
    CHECK(port.host().port() != 0 && port.host().with_port(0) == at);
    send_to_itself(reactor, port, text, events);
  }
  const transport first = reactor.listen_multicast(udpr::address::parse("0.0.0.0"), udpr::protocol());
  const auto      at = first.host();
  CHECK(check::throws(UDPR_E_ADDRESS_IN_USE, [&] { reactor.listen_udp(at, udpr::protocol()); }));
  first.close();
  CHECK(reactor.listen_udp(at, udpr::protocol()).host() == at);
}

TEST(no_address_is_an_invalid_argument) {
  udpr::reactor   reactor;
  std::error_code error;
  CHECK(!reactor.listen_udp(udpr::address(), udpr::protocol(), {}, error) &&
        error == UDPR_E_INVALID_ARGUMENT);
  CHECK(check::throws(UDPR_E_INVALID_ARGUMENT,
                      [&] { reactor.listen_multicast(udpr::address(), udpr::protocol()); }));
  CHECK(reactor.stats().transports == 0);
}

int main() { return check::run(); }
