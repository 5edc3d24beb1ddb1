/* Exceptions of callbacks leave the function that called the callback, and never pass through C code. */
#include "check.hpp"

#include <csignal>
#include <stdexcept>

using udpr::reactor_ref;
using udpr::transport;
using udpr::transport_ref;
using namespace std::chrono_literals;

/* Returns the message of the exception that `call` throws, or "". */
template <class Call> static std::string thrown_by(Call call) {
  try {
    call();
  } catch (const std::runtime_error &error) { return error.what(); }
  return "";
}

[[noreturn]] static void raise(const char *what) { throw std::runtime_error(what); }

/* A port that sends itself a datagram, which `protocol` receives. */
template <class P> static transport listen_to_itself(udpr::reactor &reactor, P &&protocol) {
  const transport port = reactor.listen_udp({check::loopback, 0}, std::forward<P>(protocol));
  port.write("x", port.host());
  return port;
}

TEST(run_throws_what_a_datagram_callback_threw) {
  bool           stopped = false;
  udpr::protocol protocol;
  protocol.datagram_received = [](transport_ref, const udpr::datagram &) { raise("datagram"); };
  protocol.stop_protocol = [&](transport_ref, std::error_code reason) { stopped = !reason; };
  udpr::reactor reactor;
  listen_to_itself(reactor, protocol);
  CHECK(thrown_by([&] { reactor.run(); }) == "datagram");
  CHECK(stopped && !reactor.is_running());
  reactor.call_later(0ns, [](reactor_ref again) { again.stop(); });
  reactor.run();
}

TEST(the_overload_with_an_error_code_throws_it_too) {
  udpr::reactor   reactor;
  std::error_code error;
  reactor.call_later(0ns, [] { raise("timer"); });
  CHECK(thrown_by([&] { reactor.run(error); }) == "timer");
}

TEST(exceptions_of_any_type_are_rethrown) {
  udpr::reactor reactor;
  reactor.call_later(0ns, [] { throw 42; });
  try {
    reactor.run();
    CHECK(false);
  } catch (int number) { CHECK(number == 42); }
}

TEST(the_first_exception_is_rethrown) {
  int           calls = 0;
  udpr::reactor reactor;
  for (const char *what : {"first", "second"}) {
    reactor.call_later(0ns, [&calls, what] { calls++, raise(what); });
  }
  CHECK(thrown_by([&] { reactor.run(); }) == "first" && calls == 2);
}

TEST(iterate_throws_and_the_reactor_stops) {
  udpr::reactor reactor;
  bool          shut = false;
  reactor.add_trigger(UDPR_PHASE_DURING, UDPR_EVENT_SHUTDOWN, [&] { shut = true; });
  reactor.start();
  reactor.call_later(0ns, [] { raise("turn"); });
  CHECK(thrown_by([&] { check::iterate_until(reactor, [] { return false; }); }) == "turn");
  check::iterate_until(reactor, [&] { return !reactor.is_running(); });
  CHECK(shut);
}

TEST(advance_and_start_throw) {
  udpr::reactor reactor({udpr::reactor_flag::manual_clock});
  reactor.call_later(1s, [] { raise("advance"); });
  reactor.advance(999ms);
  CHECK(thrown_by([&] { reactor.advance(1ms); }) == "advance");
  reactor.add_trigger(UDPR_PHASE_BEFORE, UDPR_EVENT_STARTUP, [] { raise("start"); });
  CHECK(thrown_by([&] { reactor.start(); }) == "start");
}

TEST(listen_throws_what_start_protocol_threw) {
  struct failing {
    check::counted keep;
    void           start_protocol(transport_ref) { raise("start"); }
  };
  udpr::reactor   reactor;
  int             living = 0;
  std::error_code error;
  CHECK(thrown_by([&] { reactor.listen_udp(0, failing{check::counted(living)}); }) == "start");
  CHECK(thrown_by([&] { reactor.listen_udp(0, failing{check::counted(living)}, {}, error); }) == "start");
  CHECK(living == 0 && reactor.stats().transports == 0);
}

TEST(listen_throws_what_configure_socket_threw) {
  struct failing {
    check::counted keep;
    void           configure_socket(int, const udpr::address &) { raise("configure"); }
    void           start_protocol(transport_ref) { raise("start"); }
  };
  udpr::reactor   reactor, other;
  int             living = 0;
  std::error_code error;
  CHECK(thrown_by([&] { reactor.listen_udp(0, failing{check::counted(living)}); }) == "configure");
  CHECK(thrown_by([&] { reactor.listen_udp(0, failing{check::counted(living)}, {}, error); }) == "configure");
  other.call_later(0ns, [&] { reactor.listen_udp(0, failing{check::counted(living)}); });
  CHECK(thrown_by([&] { other.run(); }) == "configure");
  CHECK(living == 0 && reactor.stats().transports == 0);
}

TEST(close_and_free_throw_what_stop_protocol_threw) {
  struct failing {
    void stop_protocol(transport_ref, std::error_code) { raise("stop"); }
  };
  udpr::reactor   reactor;
  const transport port = reactor.listen_udp(0, failing());
  CHECK(thrown_by([&] { port.close(); }) == "stop");
  CHECK(check::throws(UDPR_E_CLOSED, [&] { port.host(); }));
  reactor.listen_udp(0, failing());
  CHECK(thrown_by([&] { reactor.free(); }) == "stop" && !reactor);
  udpr::reactor another;
  another.listen_udp(0, failing()); /* its destructor throws nothing */
}

TEST(exceptions_of_a_call_in_a_callback_may_be_caught_there) {
  struct failing {
    void start_protocol(transport_ref) { raise("start"); }
  };
  udpr::reactor reactor;
  bool          caught = false, later = false;
  reactor.call_later(0ns, [&](reactor_ref inside) {
    caught = thrown_by([&] { inside.listen_udp(0, failing()); }) == "start";
    inside.call_later(1ms, [&](reactor_ref last) { later = true, last.stop(); });
  });
  reactor.run();
  CHECK(caught && later);
}

TEST(uncaught_exceptions_of_a_call_in_a_callback_leave_run) {
  struct failing {
    void start_protocol(transport_ref) { raise("start"); }
  };
  udpr::reactor reactor;
  reactor.call_later(0ns, [](reactor_ref inside) { inside.listen_udp(0, failing()); });
  CHECK(thrown_by([&] { reactor.run(); }) == "start");
}

TEST(exceptions_of_nested_reactors_are_kept_apart) {
  udpr::reactor outer, inner;
  std::string   caught;
  inner.call_later(0ns, [] { raise("inner"); });
  outer.call_later(0ns, [&](reactor_ref at) {
    caught = thrown_by([&] { inner.run(); });
    at.call_later(0ns, [] { raise("outer"); });
  });
  CHECK(thrown_by([&] { outer.run(); }) == "outer" && caught == "inner");
}

TEST(visits_and_events_throw) {
  udpr::reactor   reactor;
  const transport port = reactor.listen_udp(0, udpr::protocol());
  CHECK(thrown_by([&] { reactor.each_transport([](transport_ref) { raise("visit"); }); }) == "visit");
  const auto id = reactor.add_trigger(UDPR_PHASE_DURING, UDPR_EVENT_STARTUP, [] { raise("event"); });
  CHECK(thrown_by([&] { reactor.fire_event(UDPR_EVENT_STARTUP); }) == "event");
  reactor.remove_trigger(id);
}

TEST(a_before_trigger_that_throws_is_not_pending) {
  udpr::reactor reactor;
  reactor.add_trigger(UDPR_PHASE_BEFORE, UDPR_EVENT_SHUTDOWN, []() -> udpr::progress { raise("trigger"); });
  reactor.call_later(0ns, [](reactor_ref at) { at.stop(); });
  CHECK(thrown_by([&] { reactor.run(); }) == "trigger" && !reactor.is_running());
}

TEST(batches_reports_and_watches_throw) {
  struct failing {
    std::size_t datagrams_received(transport_ref, udpr::view<udpr::datagram>) { raise("batch"); }
  };
  udpr::reactor reactor;
  listen_to_itself(reactor, failing());
  CHECK(thrown_by([&] { reactor.run(); }) == "batch");
  int ends[2];
  CHECK(pipe(ends) == 0);
  const auto watch = reactor.watch(ends[1], udpr::watch_flag::writable, [] { raise("watch"); });
  CHECK(thrown_by([&] { reactor.run(); }) == "watch");
  reactor.unwatch(watch);
  const udpr::signal hangup(reactor, SIGHUP, [] { raise("signal"); });
  CHECK(::raise(SIGHUP) == 0 && thrown_by([&] { reactor.run(); }) == "signal");
  reactor.free();
  close(ends[0]), close(ends[1]);
}

TEST(exceptions_of_work_leave_run) {
  udpr::reactor reactor;
  bool          done = false;
  reactor.call_in_thread([]() -> int { raise("work"); }, [&](int) { done = true; });
  CHECK(thrown_by([&] { reactor.run(); }) == "work" && !done);
  reactor.call_in_thread([] { raise("no done"); });
  CHECK(thrown_by([&] { reactor.run(); }) == "no done");
  reactor.call_in_thread([] { return 1; }, [](int) { raise("done"); });
  CHECK(thrown_by([&] { reactor.run(); }) == "done");
}

TEST(look_ups_and_calls_from_threads_throw) {
  udpr::reactor reactor;
  reactor.resolve("127.0.0.1", 1, [](std::error_code, udpr::view<udpr::address>) { raise("resolved"); });
  CHECK(thrown_by([&] { reactor.run(); }) == "resolved");
  reactor.remote().call([] { raise("remote"); });
  CHECK(thrown_by([&] { reactor.run(); }) == "remote");
  reactor.call_from_thread([] { raise("from thread"); });
  CHECK(thrown_by([&] { reactor.run(); }) == "from thread");
}

TEST(exceptions_of_a_logger_outside_of_a_turn) {
  udpr::reactor reactor;
  int           lines = 0;
  reactor.set_logger(UDPR_LOG_DEBUG, [&](const udpr::log_record &) { lines++, raise("log"); });
  udpr::udp_options options;
  options.receive_buffer = 1u << 30; /* more than the system grants, which is logged as a warning */
  CHECK(thrown_by([&] { reactor.listen_udp(0, udpr::protocol(), options); }) == "log");
  CHECK(lines > 0);
  reactor.clear_logger();
}

TEST(a_logger_does_not_end_another_reactors_turn) {
  udpr::reactor outer, inner;
  int           lines = 0;
  inner.set_logger(UDPR_LOG_DEBUG, [&](const udpr::log_record &) { lines++, raise("log"); });
  udpr::udp_options options;
  options.receive_buffer = 1u << 30;
  const udpr_udp_options in_c = options.raw();
  udpr_protocol          protocol{};
  protocol.size = sizeof protocol;
  outer.call_later(0ns, [&](reactor_ref at) {
    udpr_reactor_listen_udp(inner.get(), 0, nullptr, &protocol, &in_c, nullptr);
    at.stop();
  });
  outer.run();
  CHECK(lines > 0);
}

/* Returns what a child writes to stderr before it aborts. */
template <class Body> static std::string stderr_of_aborted_child(Body body) {
  int ends[2];
  CHECK(pipe(ends) == 0);
  const pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], 2);
    body();
    _exit(0);
  }
  close(ends[1]);
  std::string output;
  char        byte = 0;
  while (read(ends[0], &byte, 1) == 1) output += byte;
  close(ends[0]);
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
  return output;
}

TEST(a_run_called_by_c_aborts_on_an_exception) {
  const std::string output = stderr_of_aborted_child([] {
    udpr::reactor reactor;
    reactor.call_later(0ns, [] { raise("lost"); });
    udpr_reactor_run(reactor.get());
  });
  CHECK(output.find("lost") != std::string::npos);
}

TEST(a_c_callback_that_throws_aborts_with_a_message) {
  const std::string output = stderr_of_aborted_child([] {
    udpr_reactor *reactor = nullptr;
    CHECK(udpr_reactor_new(nullptr, &reactor) == UDPR_OK);
    const auto callback = [](udpr_reactor *, void *) { raise("unheard"); };
    udpr_reactor_call_later(reactor, 0, callback, nullptr, nullptr, nullptr);
    udpr_reactor_run(reactor);
  });
  CHECK(output.find("Rust cannot catch foreign exceptions, aborting") != std::string::npos);
}

int main() { return check::run(); }
