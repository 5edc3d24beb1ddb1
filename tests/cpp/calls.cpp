/* Reactors: their life, delayed calls, events, watches, threads, look-ups, logs. */
#include "check.hpp"

#include <csignal>
#include <memory>
#include <mutex>
#include <thread>

using udpr::reactor_ref;
using namespace std::chrono_literals;

TEST(reactors_move) {
  udpr::reactor one, two(std::move(one));
  CHECK(!one && two);
  int living = 0;
  two.call_later(1h, [keep = check::counted(living)] { static_cast<void>(keep); });
  one = std::move(two);
  CHECK(one && !two && living == 1);
  one = udpr::reactor();
  CHECK(one && living == 0);
  udpr::reactor adopted = udpr::reactor::adopt(one.release());
  CHECK(!one && adopted);
  CHECK(check::throws(UDPR_E_INVALID_ARGUMENT, [&] { one.run(); }));
  static_assert(!std::is_copy_constructible_v<udpr::reactor> &&
                std::is_nothrow_move_constructible_v<udpr::reactor>);
}

TEST(a_reactor_that_cannot_be_made) {
  std::error_code     error;
  const udpr::reactor none({udpr::reactor_flag{1u << 31}}, error);
  CHECK(!none && error == UDPR_E_VERSION);
  CHECK(check::throws(UDPR_E_VERSION, [] { udpr::reactor({udpr::reactor_flag{1u << 31}}); }));
}

TEST(a_reactor_is_not_freed_inside_its_callback) {
  udpr::reactor   reactor;
  std::error_code error;
  reactor.call_later(0ns, [&] { reactor.free(error), reactor.stop(); });
  reactor.run();
  CHECK(reactor && error == UDPR_E_REENTRANT);
}

TEST(delayed_calls) {
  udpr::reactor reactor({udpr::reactor_flag::manual_clock});
  std::string   called;
  const auto    begin = reactor.now();
  const auto    a = reactor.call_later(3s, [&] { called += "a"; });
  const auto    b = reactor.call_later(1min, [&](reactor_ref at) { called += at == reactor ? "b" : "?"; });
  reactor.call_later(-5s, [&] { called += "c"; });
  CHECK(reactor.due(a) == begin + 3s && reactor.delayed_calls().size() == 3);
  reactor.advance(0s);
  CHECK(called == "c");
  reactor.reset(b, 4s), reactor.delay(b, -1s), reactor.delay(a, 2s);
  reactor.advance(3s);
  CHECK(called == "cb" && reactor.now() == begin + 3s);
  CHECK(check::throws(UDPR_E_ALREADY_CALLED, [&] { reactor.reset(b, 1s); }));
  reactor.cancel(a);
  CHECK(check::throws(UDPR_E_ALREADY_CANCELLED, [&] { reactor.cancel(a); }));
  CHECK(check::throws(UDPR_E_NOT_FOUND, [&] { reactor.cancel(udpr::timer_id()); }));
  CHECK(reactor.delayed_calls().empty());
}

TEST(callables_may_be_move_only_and_are_destroyed_once) {
  int living = 0, called = 0;
  {
    udpr::reactor reactor({udpr::reactor_flag::manual_clock});
    auto          call = [&called, keep = std::make_unique<check::counted>(living)] { called++; };
    reactor.call_later(1s, std::move(call));
    CHECK(living == 1);
    reactor.advance(1s);
    CHECK(living == 0 && called == 1);
    const auto id = reactor.call_later(1s, [keep = check::counted(living)] { static_cast<void>(keep); });
    reactor.cancel(id);
    CHECK(living == 0);
    reactor.call_later(1s, [keep = check::counted(living)] { static_cast<void>(keep); });
    CHECK(living == 1);
  }
  CHECK(living == 0);
  CHECK(check::throws(UDPR_E_INVALID_ARGUMENT, [&] {
    reactor_ref().call_later(1s, [keep = check::counted(living)] { static_cast<void>(keep); });
  }));
  CHECK(living == 0);
}

TEST(next_timeout_is_empty_if_nothing_is_due) {
  udpr::reactor reactor({udpr::reactor_flag::manual_clock});
  CHECK(!reactor.next_timeout() && reactor.backend_fd() >= 0);
  reactor.call_later(0s, [] {});
  CHECK(reactor.next_timeout() == 0ns);
}

TEST(events_and_pending_triggers) {
  udpr::reactor    reactor;
  std::string      order;
  udpr::trigger_id waiting{};
  reactor.call_when_running([&](reactor_ref at) { order += "running ", at.stop(); });
  reactor.add_trigger(UDPR_PHASE_BEFORE, UDPR_EVENT_SHUTDOWN, [&](reactor_ref at, udpr::trigger_id id) {
    order += "before ", waiting = id;
    at.call_later(1ms, [&, at] { order += "finish ", at.finish_trigger(waiting); });
    return udpr::progress::pending;
  });
  reactor.add_trigger(UDPR_PHASE_AFTER, UDPR_EVENT_SHUTDOWN, [&] { order += "after"; });
  const auto never = reactor.add_trigger(UDPR_PHASE_DURING, UDPR_EVENT_SHUTDOWN, [&] { order += "never"; });
  reactor.remove_trigger(never);
  reactor.run();
  CHECK(order == "running before finish after");
  CHECK(check::throws(UDPR_E_NOT_FOUND, [&] { reactor.finish_trigger(waiting); }));
  CHECK(check::throws(UDPR_E_NOT_RUNNING, [&] { reactor.stop(); }));
}

TEST(crash_leaves_ports_open) {
  udpr::reactor         reactor;
  const udpr::transport port = reactor.listen_udp(0, udpr::protocol());
  reactor.call_later(0ns, [](reactor_ref at) { at.crash(); });
  reactor.run();
  CHECK(port.fileno() >= 0 && reactor.stats().timers_fired == 1);
}

TEST(watches) {
  udpr::reactor reactor;
  int           ends[2], bytes_read = 0;
  CHECK(pipe(ends) == 0);
  const auto id = reactor.watch(ends[0], udpr::watch_flag::readable, [&](const udpr::readiness &ready) {
    CHECK(ready.fd == ends[0] && ready.readable() && !ready.writable() && !ready.hangup());
    char byte;
    bytes_read += read(ready.fd, &byte, 1) == 1;
  });
  CHECK(check::throws(std::errc::file_exists,
                      [&] { reactor.watch(ends[0], udpr::watch_flag::readable, [] {}); }));
  CHECK(write(ends[1], "x", 1) == 1);
  check::iterate_until(reactor, [&] { return bytes_read == 1; });
  reactor.change_watch(id, udpr::watch_flag::readable | udpr::watch_flag::writable);
  reactor.unwatch(id);
  CHECK(check::throws(UDPR_E_NOT_FOUND, [&] { reactor.unwatch(id); }));
  close(ends[0]), close(ends[1]);
}

TEST(signals_and_interfaces) {
  udpr::reactor reactor;
  int           hangups = 0;
  const auto    signal = reactor.watch_signal(SIGHUP, [&](udpr::reactor_ref at, int number) {
    hangups += at == reactor && number == SIGHUP;
  });
  const auto    interfaces = reactor.watch_interfaces([](udpr::reactor_ref) {});
  CHECK(raise(SIGHUP) == 0);
  check::iterate_until(reactor, [&] { return hangups == 1; });
  reactor.unwatch(signal);
  reactor.unwatch(interfaces);
  CHECK(check::throws(UDPR_E_NOT_FOUND, [&] { reactor.unwatch(signal); }));
  CHECK(check::throws(UDPR_E_NOT_FOUND, [&] { reactor.unwatch(interfaces); }));
  CHECK(check::throws(UDPR_E_INVALID_ARGUMENT, [&] { reactor.watch_signal(0, [] {}); }));
}

TEST(remotes_call_from_other_threads) {
  udpr::reactor      reactor;
  const udpr::remote remote = reactor.remote();
  std::vector<int>   numbers;
  std::thread        other([remote, &numbers] {
    for (int number = 0; number < 3; number++) remote.call([&numbers, number] { numbers.push_back(number); });
    remote.call([](reactor_ref at) { at.stop(); });
  });
  reactor.run();
  other.join();
  CHECK(numbers == std::vector<int>({0, 1, 2}));
  CHECK(check::throws(UDPR_E_NOT_RUNNING, [&] { remote.stop(); }) && !remote.wake());
}

TEST(remotes_outlive_the_reactor) {
  udpr::remote remote;
  int          living = 0;
  CHECK(check::throws(UDPR_E_INVALID_ARGUMENT, [&] { remote.call([] {}); }));
  remote = udpr::reactor().remote();
  const udpr::remote copy = remote;
  CHECK(copy && check::throws(UDPR_E_CLOSED, [&] {
          copy.call([keep = check::counted(living)] { static_cast<void>(keep); });
        }));
  CHECK(living == 0 && copy.wake() == UDPR_E_CLOSED);
}

TEST(a_call_from_another_thread_is_an_error) {
  udpr::reactor   reactor;
  std::error_code error;
  reactor.call_later(0ns, [&](reactor_ref at) {
    std::thread([&] { reactor.run(error); }).join();
    at.stop();
  });
  reactor.run();
  CHECK(error == UDPR_E_WRONG_THREAD);
}

TEST(the_result_of_work_is_passed_to_done) {
  udpr::reactor         reactor({{}, 1});
  const std::thread::id here = std::this_thread::get_id();
  std::thread::id       worker, done;
  std::string           result;
  bool                  ended = false;
  reactor.suggest_thread_pool_size(2);
  reactor.call_in_thread(
      [&] { return worker = std::this_thread::get_id(), std::make_unique<std::string>("result"); },
      [&](std::unique_ptr<std::string> text) { result = *text, done = std::this_thread::get_id(); });
  check::iterate_until(reactor, [&] { return !result.empty(); });
  CHECK(result == "result" && worker != here && done == here);
  std::error_code error = UDPR_E_PANIC;
  reactor.call_in_thread([] {}, error);
  CHECK(!error);
  reactor.call_in_thread([] {}, [&] { ended = true; });
  check::iterate_until(reactor, [&] { return ended; });
}

TEST(work_is_destroyed_with_the_reactor) {
  int living = 0;
  {
    udpr::reactor reactor;
    reactor.call_in_thread([keep = check::counted(living)] { static_cast<void>(keep); });
  }
  CHECK(living == 0);
}

TEST(look_ups) {
  udpr::reactor              reactor;
  std::vector<udpr::address> found;
  std::error_code            cancelled, family;
  reactor.resolve("127.0.0.1", 53, [&](std::error_code error, udpr::view<udpr::address> all) {
    CHECK(!error);
    found.assign(all.begin(), all.end());
  });
  const auto keep = [&](std::error_code &out) {
    return [&out](std::error_code error, udpr::view<udpr::address> all) {
      CHECK(all.empty());
      out = error;
    };
  };
  reactor.resolve("::1", 53, keep(family), {UDPR_AF_INET, 1s});
  const auto id = reactor.resolve(std::string("127.0.0.1"), 1, keep(cancelled));
  reactor.cancel(id);
  check::iterate_until(reactor, [&] { return !found.empty() && cancelled && family; });
  CHECK(found.size() == 1 && found[0] == udpr::address::parse("127.0.0.1", 53));
  CHECK(cancelled == std::errc::operation_canceled && family == UDPR_E_ADDRESS_FAMILY);
  CHECK(check::throws(UDPR_E_NOT_FOUND, [&] { reactor.cancel(id); }));
  CHECK(check::throws(UDPR_E_INVALID_ARGUMENT, [&] { reactor.resolve("not a name", 1, [] {}); }));
}

TEST(logs) {
  udpr::reactor     reactor;
  std::string       message;
  int               living = 0;
  udpr::udp_options options;
  options.receive_buffer = 1u << 30; /* more than the system grants */
  reactor.set_logger(UDPR_LOG_WARN, [&, keep = check::counted(living)](const udpr::log_record &record) {
    CHECK(record.level() == UDPR_LOG_WARN && !record.target().empty());
    message = record.message();
  });
  reactor.listen_udp(0, udpr::protocol(), options);
  CHECK(!message.empty() && living == 1);
  reactor.clear_logger();
  CHECK(living == 0);
}

TEST(only_a_forked_child_needs_after_fork) {
  udpr::reactor reactor;
  CHECK(check::throws(UDPR_E_NOT_SUPPORTED, [&] { reactor.after_fork(); }));
}

int main() { return check::run(); }
