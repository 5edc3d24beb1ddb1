/* Coroutines: what is awaited comes, fails, or is cancelled with the coroutine. */
#include "check.hpp"

#include <memory>
#include <stdexcept>

#include <udpr/coro.hpp>

namespace coro = udpr::coro;
using udpr::reactor_flag;
using udpr::reactor_ref;
using udpr::transport;
using namespace std::chrono_literals;

static_assert(!std::is_copy_constructible_v<coro::task<>> &&
              std::is_nothrow_move_constructible_v<coro::task<>>);
static_assert(!std::is_copy_constructible_v<coro::port> && std::is_nothrow_move_assignable_v<coro::port>);

/* ---- tasks ---- */

static coro::task<> wait(reactor_ref reactor, std::chrono::nanoseconds time, std::string &events,
                         std::string text) {
  co_await coro::delay(reactor, time);
  events += text;
}

TEST(a_task_begins_when_it_is_started) {
  bool       began = false;
  const auto begin = [&]() -> coro::task<> {
    began = true;
    co_return;
  };
  coro::task<> task = begin();
  CHECK(task && !task.done() && !began);
  task.start();
  CHECK(began && task.done());
  task.start();
  CHECK(coro::task<>().done() && !coro::task<>());
  coro::task<>().start();
}

TEST(a_delay_is_awaited) {
  udpr::reactor reactor({reactor_flag::manual_clock});
  std::string   events;
  coro::task<>  task = wait(reactor, 2s, events, "done");
  task.start();
  reactor.advance(1s);
  CHECK(!task.done() && reactor.delayed_calls().size() == 1);
  reactor.advance(1s);
  CHECK(task.done() && events == "done");
}

TEST(destroying_a_task_cancels_what_it_waits_for) {
  udpr::reactor reactor({reactor_flag::manual_clock});
  std::string   events;
  int           living = 0;
  const auto    outer = [&]() -> coro::task<> {
    const check::counted keep(living);
    co_await wait(reactor, 1s, events, "never");
    events += "never";
  };
  {
    coro::task<> task = outer();
    task.start();
    CHECK(living == 1 && reactor.delayed_calls().size() == 1);
    coro::task<> moved = std::move(task);
    CHECK(!task && !moved.done());
    moved = coro::task<>();
    CHECK(living == 0 && reactor.delayed_calls().empty());
    const coro::task<> never_started = outer();
  }
  reactor.advance(2s);
  CHECK(events.empty());
}

TEST(results_and_exceptions_go_to_the_one_that_awaits) {
  udpr::reactor reactor({reactor_flag::manual_clock});
  std::string   result, thrown;
  const auto    later = [&](bool fails) -> coro::task<std::unique_ptr<std::string>> {
    co_await coro::delay(reactor, 1s);
    if (fails) throw std::runtime_error("later");
    co_return std::make_unique<std::string>("result");
  };
  const auto at_once = []() -> coro::task<int> {
    throw std::runtime_error(" at once");
    co_return 1;
  };
  const auto both = [&]() -> coro::task<> {
    result = *co_await later(false);
    try {
      co_await later(true);
    } catch (const std::runtime_error &error) { thrown += error.what(); }
    try {
      co_await at_once();
    } catch (const std::runtime_error &error) { thrown += error.what(); }
  };
  coro::task<> task = both();
  task.start();
  reactor.advance(1s), reactor.advance(1s);
  CHECK(task.done() && result == "result" && thrown == "later at once");
}

TEST(what_nobody_awaits_comes_out_of_start_and_of_run) {
  udpr::reactor reactor;
  const auto    fails = [](reactor_ref at, bool waits) -> coro::task<> {
    if (waits) co_await coro::delay(at, 0ns);
    throw 42;
  };
  const auto thrown_by = [](auto call) {
    try {
      call();
    } catch (int number) { return number; }
    return 0;
  };
  coro::task<> now = fails(reactor, false), later = fails(reactor, true);
  CHECK(thrown_by([&] { now.start(); }) == 42 && now.done());
  later.start();
  CHECK(thrown_by([&] { reactor.run(); }) == 42 && later.done() && !reactor.is_running());
}

TEST(a_started_task_can_be_awaited) {
  udpr::reactor reactor({reactor_flag::manual_clock});
  std::string   events;
  coro::task<>  first = wait(reactor, 1s, events, "first ");
  first.start();
  const auto second = [&]() -> coro::task<> {
    co_await first;
    co_await first;
    events += "second";
  };
  coro::task<> task = second();
  task.start();
  reactor.advance(1s);
  CHECK(events == "first second");
}

TEST(a_loop_of_tasks_that_do_not_wait_needs_no_stack) {
  long       count = 0;
  const auto step = [&]() -> coro::task<> {
    count++;
    co_return;
  };
  const auto loop = [&]() -> coro::task<> {
    for (int turn = 0; turn < 300000; turn++) co_await step();
  };
  coro::task<> task = loop();
  task.start();
  CHECK(task.done() && count == 300000);
}

TEST(a_group_destroys_tasks_when_they_end_and_the_others_with_itself) {
  udpr::reactor reactor({reactor_flag::manual_clock});
  std::string   events;
  {
    coro::task_group group;
    group.start(coro::task<>());
    group.start(wait(reactor, 2s, events, "second"));
    group.start(wait(reactor, 1s, events, "first "));
    group.start(wait(reactor, 1h, events, "never"));
    CHECK(group.size() == 3);
    reactor.advance(1s);
    CHECK(group.size() == 2 && events == "first ");
    reactor.advance(1s);
    CHECK(group.size() == 1 && events == "first second");
  }
  CHECK(reactor.delayed_calls().empty());
}

TEST(a_task_of_a_group_that_throws_leaves_it) {
  udpr::reactor    reactor;
  coro::task_group group;
  int              living = 0;
  const auto       fails = [&](bool waits) -> coro::task<> {
    const check::counted keep(living);
    if (waits) co_await coro::delay(reactor, 0ns);
    throw std::runtime_error("group");
  };
  int        thrown = 0;
  const auto count = [&](auto call) {
    try {
      call();
    } catch (const std::runtime_error &) { thrown++; }
  };
  count([&] { group.start(fails(false)); });
  CHECK(thrown == 1 && group.empty() && living == 0);
  group.start(fails(true));
  CHECK(group.size() == 1);
  count([&] { reactor.run(); });
  CHECK(thrown == 2 && group.empty() && living == 0);
}

/* ---- delays and look-ups ---- */

TEST(a_delay_that_cannot_be_is_an_error) {
  std::error_code error;
  bool            thrown = false;
  const auto      both = [&]() -> coro::task<> {
    co_await coro::delay(reactor_ref(), 1s, error);
    try {
      co_await coro::delay(reactor_ref(), 1s);
    } catch (const std::system_error &failure) { thrown = failure.code() == UDPR_E_INVALID_ARGUMENT; }
  };
  coro::task<> task = both();
  task.start();
  CHECK(task.done() && error == UDPR_E_INVALID_ARGUMENT && thrown);
}

TEST(a_look_up_is_awaited) {
  udpr::reactor              reactor;
  std::vector<udpr::address> found;
  std::error_code            family, name;
  const auto                 look_up = [&]() -> coro::task<> {
    found = co_await coro::resolve(reactor, std::string("127.0.0.1"), 53);
    const auto none = co_await coro::resolve(reactor, "::1", 53, {UDPR_AF_INET}, family);
    CHECK(none.empty());
    try {
      co_await coro::resolve(reactor, "not a name", 53);
    } catch (const std::system_error &failure) { name = failure.code(); }
  };
  coro::task<> task = look_up();
  task.start();
  check::iterate_until(reactor, [&] { return task.done(); });
  CHECK(found.size() == 1 && found[0] == udpr::address::parse("127.0.0.1", 53));
  CHECK(family == UDPR_E_ADDRESS_FAMILY && name == UDPR_E_INVALID_ARGUMENT);
}

TEST(a_look_up_is_given_up_with_its_coroutine) {
  udpr::reactor reactor;
  bool          resumed = false;
  const auto    look_up = [&]() -> coro::task<> {
    co_await coro::resolve(reactor, "127.0.0.1", 53);
    resumed = true;
  };
  auto task = std::make_unique<coro::task<>>(look_up());
  task->start();
  task.reset();
  reactor.iterate(0ns), reactor.iterate(0ns);
  CHECK(!resumed);
}

TEST(a_delay_and_a_look_up_outlive_the_reactor) {
  std::string  events;
  coro::task<> task, other;
  {
    udpr::reactor reactor;
    const auto    look_up = [&events](reactor_ref at) -> coro::task<> {
      co_await coro::resolve(at, "127.0.0.1", 53);
      events += "never";
    };
    task = wait(reactor, 0ns, events, "never");
    other = look_up(reactor);
    task.start(), other.start();
  }
  CHECK(!task.done() && !other.done() && events.empty());
}

TEST(a_delay_goes_on_when_the_reactor_runs_again) {
  udpr::reactor reactor({reactor_flag::manual_clock});
  std::string   events;
  coro::task<>  task = wait(reactor, 5ms, events, "done");
  task.start();
  reactor.call_later(0ns, [](reactor_ref at) { at.stop(); });
  reactor.run();
  CHECK(events.empty());
  reactor.advance(5ms);
  CHECK(task.done() && events == "done");
}

/* ---- ports ---- */

/* Receives until the port stops. */
static coro::task<> receive_all(coro::port &port, std::string &events) {
  while (const auto datagram = co_await port.receive()) events += datagram->text();
  events += ".";
}

TEST(datagrams_are_awaited_until_the_port_stops) {
  std::string   events;
  udpr::reactor reactor;
  coro::port    port(reactor, udpr::address::parse(check::loopback));
  coro::task<>  task = receive_all(port, events);
  task.start();
  for (const char *text : {"a", "", "b", "c"}) port.write(text, port.host());
  check::iterate_until(reactor, [&] { return events == "abc"; });
  port.stop_listening();
  CHECK(!task.done());
  check::iterate_until(reactor, [&] { return task.done(); });
  CHECK(events == "abc.");
}

TEST(what_nobody_waits_for_is_kept_in_order) {
  std::string   events;
  udpr::reactor reactor;
  coro::port    port(reactor, {check::loopback, 0});
  const auto    slow = [&]() -> coro::task<> {
    while (const auto datagram = co_await port.receive()) {
      const std::string before(datagram->text());
      co_await coro::delay(reactor, 1ms);
      CHECK(datagram->text() == before && datagram->sender() == port.host());
      events += before;
    }
  };
  std::string expected;
  for (char letter = 'a'; letter <= 'z'; letter++) {
    expected += letter;
    port.write(std::string(1, letter), port.host());
  }
  for (int turn = 0; turn < 3; turn++) reactor.iterate(0ns);
  coro::task<> task = slow();
  task.start();
  check::iterate_until(reactor, [&] { return events == expected; });
}

TEST(a_port_that_stops_in_a_later_turn_gives_what_was_kept) {
  std::string   events;
  udpr::reactor reactor;
  coro::port    port(reactor, {check::loopback, 0});
  port.write("a", port.host());
  check::iterate_until(reactor, [&] { return port.stats().datagrams_in == 1; });
  port.stop_listening();
  coro::task<> task = receive_all(port, events);
  task.start();
  CHECK(events == "a" && !task.done());
  check::iterate_until(reactor, [&] { return task.done(); });
  CHECK(events == "a.");
}

TEST(stopping_the_reactor_ends_receiving) {
  std::string   events;
  udpr::reactor reactor;
  coro::port    port(reactor, 0);
  coro::task<>  task = receive_all(port, events);
  task.start();
  reactor.call_later(0ns, [](reactor_ref at) { at.stop(); });
  reactor.run();
  CHECK(task.done() && events == ".");
  std::error_code error;
  const auto      again = [&]() -> coro::task<> { CHECK(!co_await port.receive(error) && !error); };
  task = again();
  task.start();
  CHECK(task.done());
}

TEST(freeing_the_reactor_ends_receiving) {
  std::string  events;
  coro::port   port;
  coro::task<> task;
  {
    udpr::reactor reactor;
    port = coro::port(reactor, 0);
    task = receive_all(port, events);
    task.start();
  }
  CHECK(task.done() && events == ".");
}

TEST(destroying_a_port_resumes_the_coroutine_that_waits_for_it) {
  std::string   events;
  udpr::reactor reactor;
  coro::port    port(reactor, 0);
  coro::task<>  task = receive_all(port, events);
  task.start();
  port = coro::port();
  CHECK(task.done() && events == "." && reactor.stats().transports == 0);
}

TEST(destroying_a_coroutine_closes_its_port) {
  udpr::reactor reactor;
  bool          resumed = false;
  const auto    own = [&]() -> coro::task<> {
    coro::port port(reactor, 0);
    co_await port.receive_for(1h);
    resumed = true;
  };
  coro::task<> task = own();
  task.start();
  CHECK(reactor.stats().transports == 1 && reactor.delayed_calls().size() == 1);
  task = {};
  CHECK(reactor.stats().transports == 0 && reactor.delayed_calls().empty() && !resumed);
}

TEST(a_coroutine_that_goes_leaves_the_port_to_another) {
  std::string   events;
  udpr::reactor reactor;
  coro::port    port(reactor, {check::loopback, 0});
  coro::task<>  task = receive_all(port, events);
  task.start();
  task = receive_all(port, events);
  port.write("x", port.host());
  for (int turn = 0; turn < 3; turn++) reactor.iterate(0ns);
  task.start();
  check::iterate_until(reactor, [&] { return events == "x"; });
}

TEST(two_coroutines_cannot_wait_for_one_port) {
  std::string     events;
  std::error_code error;
  udpr::reactor   reactor;
  coro::port      port(reactor, {check::loopback, 0});
  coro::task<>    first = receive_all(port, events);
  const auto      again = [&]() -> coro::task<> { CHECK(!co_await port.receive(error)); };
  first.start();
  coro::task<> second = again();
  second.start();
  CHECK(second.done() && error == std::errc::connection_already_in_progress);
  port.write("x", port.host());
  check::iterate_until(reactor, [&] { return events == "x"; });
}

TEST(receive_for_ends_in_time) {
  udpr::reactor   reactor({reactor_flag::manual_clock});
  std::error_code error;
  std::string     got;
  bool            thrown = false;
  coro::port      port(reactor, {check::loopback, 0});
  const auto      both = [&]() -> coro::task<> {
    CHECK(!co_await port.receive_for(1s, error));
    try {
      co_await port.receive_for(1s);
    } catch (const std::system_error &failure) { thrown = failure.code() == std::errc::timed_out; }
    const auto datagram = co_await port.receive_for(1s);
    got = datagram->text();
  };
  coro::task<> task = both();
  task.start();
  reactor.advance(1s);
  CHECK(error == UDPR_E_TIMED_OUT && !thrown);
  reactor.advance(1s);
  CHECK(thrown);
  port.write("x", port.host());
  check::iterate_until(reactor, [&] { return task.done(); });
  CHECK(got == "x" && reactor.delayed_calls().empty());
}

TEST(a_refusal_is_an_error_of_receive) {
  udpr::reactor   reactor;
  std::error_code waiting, kept;
  const transport other = reactor.listen_udp({check::loopback, 0}, udpr::protocol());
  coro::port      port(reactor, {check::loopback, 0});
  port.connect(other.host());
  other.close();
  const auto ask = [&]() -> coro::task<> {
    port.write("x");
    CHECK(!co_await port.receive(waiting));
    port.write("x");
    co_await coro::delay(reactor, 10ms);
    CHECK(!co_await port.receive(kept));
  };
  coro::task<> task = ask();
  task.start();
  check::iterate_until(reactor, [&] { return task.done(); });
  CHECK(waiting == std::errc::connection_refused && kept == UDPR_E_CONNECTION_REFUSED);
}

TEST(a_port_that_cannot_be_is_none) {
  udpr::reactor   reactor;
  std::error_code error, receiving;
  coro::port      port(reactor, {"192.0.2.1", 0}, {}, error);
  CHECK(!port && error == UDPR_E_ADDRESS_NOT_AVAILABLE);
  CHECK(check::throws(UDPR_E_INVALID_ARGUMENT, [&] { coro::port(reactor, udpr::address()); }));
  const auto   receive = [&]() -> coro::task<> { CHECK(!co_await port.receive(receiving)); };
  coro::task<> task = receive();
  task.start();
  CHECK(task.done() && receiving == UDPR_E_INVALID_ARGUMENT);
}

TEST(a_port_moves_while_it_is_waited_for) {
  udpr::reactor reactor;
  std::string   got;
  coro::port    port(reactor, {check::loopback, 0});
  const auto    receive = [&](coro::port &at) -> coro::task<> {
    if (const auto datagram = co_await at.receive()) got = datagram->text();
  };
  coro::task<> task = receive(port);
  task.start();
  coro::port moved = std::move(port);
  CHECK(!port && moved);
  moved.write("x", moved.host());
  check::iterate_until(reactor, [&] { return task.done(); });
  CHECK(got == "x");
}

TEST(what_a_coroutine_throws_while_its_port_closes_comes_out_of_run) {
  udpr::reactor reactor;
  coro::port    port(reactor, 0);
  const auto    fails = [&]() -> coro::task<> {
    co_await port.receive();
    throw std::runtime_error("closed");
  };
  coro::task<> task = fails();
  task.start();
  reactor.call_later(0ns, [&] { port = coro::port(); });
  std::string thrown;
  try {
    reactor.run();
  } catch (const std::runtime_error &error) { thrown = error.what(); }
  CHECK(thrown == "closed");
}

/* ---- coroutines of another type ---- */

/* One that starts at once and destroys itself at its end. */
struct detached {
  struct promise_type {
    detached           get_return_object() const noexcept { return {}; }
    std::suspend_never initial_suspend() const noexcept { return {}; }
    std::suspend_never final_suspend() const noexcept { return {}; }
    void               return_void() const noexcept {}
    [[noreturn]] void  unhandled_exception() const { std::terminate(); }
  };
};

TEST(a_coroutine_of_another_type_awaits_the_same) {
  udpr::reactor reactor;
  std::string   got;
  const auto    other = [&](coro::port port) -> detached {
    co_await coro::delay(reactor, 0ns);
    port.write("x", port.host());
    got = (co_await port.receive())->text();
  };
  other(coro::port(reactor, {check::loopback, 0}));
  check::iterate_until(reactor, [&] { return got == "x"; });
}

int main() { return check::run(); }
