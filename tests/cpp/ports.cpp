/* Ports: the kinds of protocols, their callbacks, and the functions of a port. */
#include "check.hpp"

#include <memory>

#include <netinet/in.h>
#include <sys/socket.h>

using udpr::datagram;
using udpr::transport;
using udpr::transport_ref;

/* Echoes datagrams, and records its callbacks. */
struct echo {
  std::string events;

  void start_protocol(transport_ref) { events += "start "; }
  void datagram_received(transport_ref port, const datagram &one) {
    events += one.text();
    port.write(one.data(), one.sender());
  }
  void stop_protocol(transport_ref, std::error_code reason) { events += reason ? " failed" : " stop"; }
};

/* Stores what it receives. */
struct client {
  std::string answer;
  void        datagram_received(transport_ref, const datagram &one) { answer = one.text(); }
};

template <class P>
static transport listen(udpr::reactor &reactor, P &&protocol, const udpr::udp_options &options = {}) {
  return reactor.listen_udp({check::loopback, 0}, std::forward<P>(protocol), options);
}

/* Sends `text` to `server` and returns the reply. */
static std::string echo_through(udpr::reactor &reactor, const transport &server, const char *text) {
  client          self;
  const transport port = listen(reactor, std::ref(self));
  port.write(text, server.host());
  check::iterate_until(reactor, [&] { return !self.answer.empty(); });
  port.close();
  return self.answer;
}

TEST(a_reference_to_an_object) {
  udpr::reactor   reactor;
  echo            server;
  const transport port = listen(reactor, std::ref(server));
  CHECK(echo_through(reactor, port, "hi") == "hi");
  port.close();
  CHECK(server.events == "start hi stop");
}

TEST(a_shared_object) {
  udpr::reactor reactor;
  auto          server = std::make_shared<echo>();
  transport     port = listen(reactor, server);
  CHECK(server.use_count() == 2 && echo_through(reactor, port, "hi") == "hi");
  port.close();
  CHECK(server.use_count() == 1 && server->events == "start hi stop");
}

TEST(an_object_owned_by_the_port) {
  udpr::reactor   reactor;
  const transport port = listen(reactor, std::make_unique<echo>()), other = listen(reactor, echo());
  CHECK(echo_through(reactor, port, "hi") == "hi" && echo_through(reactor, other, "ho") == "ho");
}

TEST(a_function) {
  udpr::reactor   reactor;
  const transport port =
      listen(reactor, [](transport_ref at, const datagram &one) { at.write(one.text(), one.sender()); });
  CHECK(echo_through(reactor, port, "hi") == "hi");
}

TEST(a_protocol_of_functions) {
  udpr::reactor  reactor;
  bool           stopped = false;
  udpr::protocol functions;
  functions.datagram_received = [](transport_ref at, const datagram &one) {
    at.write(one.data(), one.sender());
  };
  functions.stop_protocol = [&](transport_ref, std::error_code) { stopped = true; };
  const transport port = listen(reactor, functions), silent = listen(reactor, udpr::protocol());
  CHECK(echo_through(reactor, port, "hi") == "hi");
  port.close();
  CHECK(stopped);
}

struct virtual_protocol {
  virtual ~virtual_protocol() = default;
  virtual void datagram_received(transport at, const datagram &one) = 0;
};
struct derived final : virtual_protocol {
  void datagram_received(transport at, const datagram &one) override { at.write(one.data(), one.sender()); }
};

TEST(a_pointer_to_a_base_class) {
  udpr::reactor   reactor;
  const transport port = listen(reactor, std::unique_ptr<virtual_protocol>(new derived));
  CHECK(echo_through(reactor, port, "hi") == "hi");
}

TEST(a_null_pointer_is_an_invalid_argument) {
  udpr::reactor reactor;
  CHECK(check::throws(UDPR_E_INVALID_ARGUMENT, [&] { listen(reactor, std::shared_ptr<echo>()); }));
}

TEST(batches) {
  struct batches {
    std::string all;
    void        datagrams_received(transport_ref, udpr::view<datagram> some) {
             for (const datagram &one : some) all += one.text();
    }
  } server;
  std::size_t    taken = 0;
  udpr::protocol one_by_one;
  one_by_one.datagrams_received = [&](transport_ref, udpr::view<datagram> some) {
    return taken++, some.empty() ? 0u : 1u;
  };
  udpr::reactor   reactor;
  const transport port = listen(reactor, std::ref(server)), slow = listen(reactor, one_by_one);
  const transport from = listen(reactor, udpr::protocol());
  for (const char *text : {"a", "b", "c"}) from.write(text, port.host()), from.write(text, slow.host());
  check::iterate_until(reactor, [&] { return server.all == "abc" && taken == 3; });
}

TEST(a_protocol_is_destroyed_once) {
  int living = 0;
  {
    udpr::reactor   reactor;
    const transport port = listen(reactor, [keep = check::counted(living)](transport_ref, const datagram &) {
      static_cast<void>(keep);
    });
    CHECK(living == 1);
    port.close();
    CHECK(living == 0);
    std::error_code error;
    const transport none = reactor.listen_udp(
        {"192.0.2.1", 0},
        [keep = check::counted(living)](transport_ref, const datagram &) { static_cast<void>(keep); }, {},
        error);
    CHECK(living == 0 && !none && error == UDPR_E_ADDRESS_NOT_AVAILABLE &&
          error == std::errc::address_not_available);
  }
}

TEST(start_protocol_returns_an_error) {
  struct refusing {
    std::error_code start_protocol(transport_ref) { return UDPR_E_NOT_SUPPORTED; }
  };
  udpr::reactor reactor;
  CHECK(check::throws(UDPR_E_NOT_SUPPORTED, [&] { listen(reactor, refusing()); }));
}

TEST(a_socket_is_configured_before_it_is_bound) {
  struct mark {
    int            *priority;
    std::error_code configure_socket(int fd, const udpr::address &local) {
      CHECK(local == udpr::address::parse("127.0.0.1", 0));
      return setsockopt(fd, SOL_SOCKET, SO_PRIORITY, priority, sizeof *priority) == 0
                 ? std::error_code()
                 : std::error_code(errno, std::generic_category());
    }
  };
  struct configuring : udpr::protocol_base {
    void configure_socket(int fd, const udpr::address &) override { configured = fd; }
    int  configured = -1;
  } with_base;
  udpr::reactor  reactor;
  int            priority = 5;
  udpr::protocol functions;
  functions.configure_socket = [&](int, const udpr::address &) { priority = 6; };
  CHECK(listen(reactor, mark{&priority}).option<int>(SOL_SOCKET, SO_PRIORITY) == 5);
  CHECK(listen(reactor, functions) && priority == 6);
  CHECK(listen(reactor, std::ref(with_base)).fileno() == with_base.configured);
  priority = -1;
  CHECK(check::throws(UDPR_E_NOT_SUPPORTED, [&] {
    struct refusing {
      std::error_code configure_socket(int, const udpr::address &) { return UDPR_E_NOT_SUPPORTED; }
    };
    listen(reactor, refusing());
  }));
}

TEST(transports_are_counted) {
  transport kept;
  {
    udpr::reactor reactor;
    transport     port = listen(reactor, echo());
    kept = port;
    const transport moved = std::move(port), copy = transport_ref(kept);
    CHECK(moved == kept && copy == kept && !port && kept.reactor() == reactor && kept.fileno() >= 0);
  }
  CHECK(kept && !kept.reactor() && kept.fileno() == -1);
  CHECK(check::throws(UDPR_E_CLOSED, [&] { kept.host(); }));
  CHECK(check::throws(UDPR_E_CLOSED, [&] { kept.write("x", udpr::address::parse("127.0.0.1", 1)); }));
  CHECK(check::throws(UDPR_E_INVALID_ARGUMENT, [] { transport().flush(); }));
}

TEST(connected_ports) {
  udpr::reactor   reactor;
  client          self;
  const transport server = listen(reactor, echo()), port = listen(reactor, std::ref(self));
  CHECK(check::throws(UDPR_E_NOT_CONNECTED, [&] { port.write("x"); }));
  port.connect(server.host());
  CHECK(port.peer() == server.host());
  port.write("one");
  check::iterate_until(reactor, [&] { return self.answer == "one"; });
  port.write_sequence({"t", std::string("w"), "o"});
  check::iterate_until(reactor, [&] { return self.answer == "two"; });
  port.post("three");
  check::iterate_until(reactor, [&] { return self.answer == "three"; });
  CHECK(check::throws(UDPR_E_WRONG_PEER, [&] { port.write("x", port.host()); }));
  port.disconnect();
  CHECK(check::throws(UDPR_E_NOT_CONNECTED, [&] { port.peer(); }));
}

TEST(refusals_and_reports) {
  struct refused {
    int             refusals = 0;
    std::error_code error;
    udpr::address   to;
    void            connection_refused(transport_ref) { refusals++; }
    void            error_received(transport_ref, const udpr::error_report &report) {
                 error = report.error(), to = report.to();
    }
  } reported;
  udpr::reactor       reactor;
  const transport     closed = listen(reactor, echo());
  const udpr::address refusing_addr = closed.host();
  closed.close();
  const transport port = listen(reactor, std::ref(reported), {udpr::udp_flag::error_reports});
  port.connect(refusing_addr);
  port.write("anybody there?");
  check::iterate_until(reactor, [&] { return reported.refusals == 1; });
  CHECK(reported.error == std::errc::connection_refused && reported.to == refusing_addr);
}

TEST(many_messages) {
  udpr::reactor   reactor;
  std::string     all;
  const transport server =
      listen(reactor, [&](transport_ref, const datagram &one) { all += std::string(one.text()) + ","; });
  const transport     port = listen(reactor, udpr::protocol());
  const udpr::address to = server.host(), nowhere = to.with_port(0);
  CHECK(port.write_messages({udpr::message("a", to), udpr::message("bbccd", to).segments(2).tos(4).now()}) ==
        2);
  check::iterate_until(reactor, [&] { return all == "a,bb,cc,d,"; });
  std::error_code                  error;
  const std::vector<udpr::message> bad{udpr::message("e", to), udpr::message("f", nowhere)};
  CHECK(port.write_messages(bad, error) == 1 && error == UDPR_E_INVALID_ARGUMENT);
  CHECK(port.write_messages(bad) == 1);
  CHECK(check::throws(UDPR_E_INVALID_ARGUMENT,
                      [&] { port.write_messages(udpr::view<udpr::message>(bad).from(1)); }));
}

TEST(what_a_message_can_have) {
  udpr::reactor reactor;
  std::string   all;
  const auto    add = [&](transport_ref, const datagram &one) {
    all += std::string(one.text()) + " " + std::to_string(one.ttl().value_or(-1)) + ",";
  };
  const transport     server = listen(reactor, add, {udpr::udp_flag::ttl}), port = listen(reactor, add);
  const udpr::address to = server.host();
  const udpr::bytes   pieces[] = {"ab", "cde"};
  const udpr::message cut = udpr::message::of_pieces(pieces, to).segments(4).ttl(9);
  const udpr::message past = udpr::message("now", to).ttl(3).send_at(reactor.now());
  CHECK(port.write_messages({cut, past}) == 2);
  check::iterate_until(reactor, [&] { return all == "abcd 9,e 9,now 3,"; });
  all.clear();
  port.post(udpr::message("posted", to).ttl(4));
  check::iterate_until(reactor, [&] { return all == "posted 4,"; });
  CHECK(check::throws(UDPR_E_INVALID_ARGUMENT, [&] { port.post(udpr::message("group", to).ttl(0)); }));
  port.connect(to);
  port.write_messages({udpr::message::of_pieces({"to ", "peer"}).ttl(5)});
  check::iterate_until(reactor, [&] { return all == "posted 4,to peer 5,"; });
}

TEST(a_refused_message_gives_its_tag_back) {
  struct recorder {
    std::uint64_t tag = 0;
    void          error_received(transport_ref, const udpr::error_report &report) { tag = report.tag(); }
  } reported;
  udpr::reactor       reactor;
  const transport     port = listen(reactor, std::ref(reported));
  const udpr::address broadcast =
      udpr::address::parse("127.255.255.255", 9); /* not allowed, as only the kernel knows */
  port.post(udpr::message("x", broadcast).tag(77));
  check::iterate_until(reactor, [&] { return reported.tag == 77; });
}

TEST(replying) {
  udpr::reactor reactor;
  udpr_datagram copy{};
  udpr::address from;
  const auto    ask = [&](transport_ref at, const datagram &one) {
    CHECK(!one.to_many());
    copy = one.raw();
    at.reply(one, "at once");
  };
  const auto        look = [&](transport_ref, const datagram &one) { from = one.sender(); };
  udpr::udp_options options;
  options.flags = udpr::udp_flag::packet_info;
  const transport     server = reactor.listen_udp(0, ask, options), port = listen(reactor, look);
  const udpr::address asked = udpr::address::parse("127.0.0.7", server.host().port());
  port.write("x", asked);
  check::iterate_until(reactor, [&] { return from == asked; });
  from = udpr::address();
  server.reply(datagram(copy), "later");
  check::iterate_until(reactor, [&] { return from == asked; });
  copy.flags = UDPR_DATAGRAM_TO_MANY;
  CHECK(datagram(copy).to_many());
  copy.sender.port = 0;
  CHECK(check::throws(UDPR_E_INVALID_ARGUMENT, [&] { server.reply(datagram(copy), "x"); }));
}

TEST(all_fields_of_a_datagram) {
  udpr::reactor reactor;
  bool          is_received = false;
  udpr::address from;
  const auto    look = [&](transport_ref at, const datagram &one) {
    is_received = true;
    CHECK(one.sender() == from && one.destination() == at.host() && one.interface_index() == 1);
    CHECK(one.truncated() && one.full_size() == 5 && one.text() == "abc" && one.raw().len == 3);
    CHECK(one.tos() == 8 && one.ttl().has_value() && one.timestamp().has_value());
    CHECK(*one.timestamp() <= std::chrono::system_clock::now());
    CHECK(*one.timestamp() > std::chrono::system_clock::now() - std::chrono::minutes(1));
  };
  udpr::udp_options options;
  options.flags =
      udpr::udp_flag::packet_info | udpr::udp_flag::timestamps | udpr::udp_flag::tos | udpr::udp_flag::ttl;
  options.max_packet_size = 3;
  const transport server = listen(reactor, look, options), port = listen(reactor, udpr::protocol());
  from = port.host();
  const udpr::address to = server.host();
  port.write_messages({udpr::message("abcde", to).tos(8).from(from).by_interface(1)});
  check::iterate_until(reactor, [&] { return is_received; });
}

TEST(metadata_is_empty_without_the_flags) {
  udpr::reactor   reactor;
  bool            is_received = false;
  const transport server = listen(reactor, [&](transport_ref, const datagram &one) {
    is_received = !one.tos() && !one.ttl() && !one.timestamp() && !one.destination() && !one.truncated();
  });
  listen(reactor, udpr::protocol()).write("x", server.host());
  check::iterate_until(reactor, [&] { return is_received; });
}

TEST(pausing_and_stopping) {
  udpr::reactor   reactor;
  echo            server;
  const transport port = listen(reactor, std::ref(server));
  port.pause_reading();
  listen(reactor, udpr::protocol()).write("x", port.host());
  for (int turn = 0; turn < 5; turn++) reactor.iterate(std::chrono::nanoseconds(0));
  CHECK(server.events == "start ");
  port.resume_reading();
  check::iterate_until(reactor, [&] { return server.events == "start x"; });
  port.flush();
  port.stop_listening();
  check::iterate_until(reactor, [&] { return server.events == "start x stop"; });
}

TEST(gathering_outside_callbacks) {
  udpr::reactor       reactor;
  int                 received = 0;
  const transport     server = listen(reactor, [&](transport_ref, const datagram &) { received++; });
  const transport     port = listen(reactor, udpr::protocol());
  const udpr::address to = server.host();
  reactor.gather();
  for (int i = 0; i < 10; i++) port.write("x", to);
  CHECK(port.queued_bytes() == 640 && port.stats().syscalls_out == 0);
  reactor.flush();
  CHECK(port.queued_bytes() == 0 && port.stats().datagrams_out == 10);
  check::iterate_until(reactor, [&] { return received == 10; });
}

TEST(stopping_when_all_is_sent) {
  udpr::reactor       reactor;
  bool                is_received = false;
  const auto          look = [&](transport_ref, const datagram &one) { is_received = one.text() == "bye"; };
  const transport     server = listen(reactor, look);
  echo                other;
  const transport     port = listen(reactor, std::ref(other));
  const udpr::address to = server.host();
  reactor.call_later(std::chrono::nanoseconds(0), [&](udpr::reactor_ref) {
    port.write("bye", to);
    CHECK(port.queued_bytes() == 64);
    port.stop_when_sent(std::chrono::seconds(5));
    CHECK(port.queued_bytes() == 0 && other.events == "start ");
    port.stop_when_sent(std::chrono::nanoseconds::max());
  });
  check::iterate_until(reactor, [&] { return is_received && other.events == "start  stop"; });
  CHECK(check::throws(UDPR_E_CLOSED, [&] { port.stop_when_sent(std::chrono::seconds(1)); }));
}

TEST(settings) {
  udpr::reactor   reactor;
  const transport port = listen(reactor, udpr::protocol());
  CHECK(!port.broadcast_allowed() && port.ttl() == 1 && port.loopback_mode() &&
        port.outgoing_interface() == 0);
  port.set_broadcast_allowed(true), port.set_ttl(3), port.set_unicast_ttl(9), port.set_loopback_mode(false);
  port.set_outgoing_interface(1), port.set_error_reports(true);
  CHECK(port.broadcast_allowed() && port.ttl() == 3 && port.unicast_ttl() == 9 && !port.loopback_mode());
  CHECK(port.outgoing_interface() == 1);
  port.set_option(SOL_SOCKET, SO_PRIORITY, 5);
  CHECK(port.option<int>(SOL_SOCKET, SO_PRIORITY) == 5);
  CHECK(check::throws(std::errc::operation_not_supported,
                      [&] { port.set_option(SOL_SOCKET, SO_BROADCAST, 1); }));
  CHECK(check::throws(UDPR_E_INVALID_ARGUMENT, [&] { port.set_ttl(256); }));
}

TEST(groups) {
  udpr::reactor       reactor;
  bool                is_received = false;
  const udpr::address group = udpr::address::parse("239.1.2.3");
  const transport     port =
      reactor.listen_multicast(0, [&](transport_ref, const datagram &) { is_received = true; });
  port.join_group(group, 1);
  CHECK(check::throws(UDPR_E_ALREADY_JOINED, [&] { port.join_group(group, 1); }));
  port.set_outgoing_interface(1);
  port.write("x", group.with_port(port.host().port()));
  check::iterate_until(reactor, [&] { return is_received; });
  port.leave_group(group, 1);
  CHECK(check::throws(UDPR_E_NOT_JOINED, [&] { port.leave_group(group, 1); }));
  port.join_source_group(group, udpr::address::parse(check::loopback), 1);
  port.leave_source_group(group, udpr::address::parse(check::loopback), 1);
  CHECK(check::throws(UDPR_E_NOT_MULTICAST, [&] { port.join_group(udpr::address::parse(check::loopback)); }));
}

TEST(adopted_sockets) {
  udpr::reactor reactor;
  const int     fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_in   local{};
  CHECK(udpr::address::parse(check::loopback).to_sockaddr(&local, sizeof local) == sizeof local);
  CHECK(bind(fd, reinterpret_cast<sockaddr *>(&local), sizeof local) == 0);
  const transport port = reactor.adopt_datagram_port(fd, UDPR_AF_INET, echo());
  close(fd);
  CHECK(echo_through(reactor, port, "hi") == "hi");
  CHECK(check::throws(std::errc::bad_file_descriptor,
                      [&] { reactor.adopt_datagram_port(fd, UDPR_AF_INET, echo()); }));
}

TEST(statistics_and_each_transport) {
  udpr::reactor   reactor;
  const transport port = listen(reactor, echo()), other = listen(reactor, udpr::protocol());
  CHECK(echo_through(reactor, port, "hello") == "hello");
  CHECK(port.queued_bytes() == 0 && other.queued_bytes() == 0);
  CHECK(port.stats().datagrams_in == 1 && port.stats().bytes_out == 5 && reactor.stats().transports == 2);
  std::vector<transport> all;
  reactor.each_transport([&](transport_ref one) { all.push_back(one); });
  CHECK(all.size() == 2 && (all[0] == port || all[1] == port) && (all[0] == other || all[1] == other));
}

TEST(udp_options_are_applied) {
  udpr::reactor     reactor;
  udpr::udp_options options{udpr::udp_flag::reuse_port};
  const transport   port = listen(reactor, udpr::protocol(), options);
  const transport   twin =
      reactor.listen_udp({std::string(check::loopback), port.host().port()}, udpr::protocol(), options);
  CHECK(twin.host() == port.host());
  CHECK(check::throws(std::errc::address_in_use, [&] {
    reactor.listen_udp({check::loopback, port.host().port()}, udpr::protocol());
  }));
  options.bind_device = "no-such-device";
  CHECK(check::throws(std::errc::no_such_device, [&] { listen(reactor, udpr::protocol(), options); }));
}

int main() { return check::run(); }
