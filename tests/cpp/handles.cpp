/* Handles: timer, watch, signal, lookup, trigger and the like cancel what they name, once, and never outlive it unnoticed. */
#include "check.hpp"

#include <csignal>
#include <memory>
#include <stdexcept>
#include <thread>

using udpr::reactor_flag;
using udpr::reactor_ref;
using udpr::watch_flag;
using namespace std::chrono_literals;

static_assert(!std::is_copy_constructible_v<udpr::timer> && !std::is_copy_assignable_v<udpr::timer>);
static_assert(std::is_nothrow_move_constructible_v<udpr::timer> &&
              std::is_nothrow_move_assignable_v<udpr::timer>);
static_assert(std::is_nothrow_default_constructible_v<udpr::watch> &&
              !std::is_convertible_v<udpr::timer, bool>);

/* The signal that ended a child which ran `body`, or 0. */
template <class Body> static int signal_of_child(Body body) {
  const pid_t child = fork();
  if (child == 0) {
    std::fclose(stderr);
    body();
    _exit(0);
  }
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child);
  return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status);
}

TEST(a_timer_is_cancelled_with_its_handle) {
  udpr::reactor reactor({reactor_flag::manual_clock});
  int           living = 0, called = 0;
  {
    const udpr::timer timer(reactor, 1s, [&, keep = check::counted(living)] { called++; });
    CHECK(timer && timer.id() == reactor.delayed_calls().at(0) && timer.reactor() == reactor && living == 1);
  }
  CHECK(living == 0 && reactor.delayed_calls().empty());
  reactor.advance(2s);
  CHECK(called == 0);
}

TEST(a_timer_that_was_called_is_empty) {
  udpr::reactor reactor({reactor_flag::manual_clock});
  int           living = 0, called = 0;
  udpr::timer   timer(reactor, 1s,
                      [&, keep = check::counted(living)](reactor_ref at) { called += at == reactor; });
  reactor.advance(1s);
  CHECK(called == 1 && living == 0 && !timer && timer.id() == udpr::timer_id{} && !timer.reactor());
  timer.cancel();
  CHECK(check::throws(UDPR_E_NOT_FOUND, [&] { timer.reset(1s); }));
  CHECK(check::throws(UDPR_E_NOT_FOUND, [] { udpr::timer().delay(1s); }));
  std::error_code error;
  CHECK(timer.due(error) == udpr::clock::time_point() && error == UDPR_E_NOT_FOUND);
}

TEST(handles_move_and_what_was_assigned_over_is_cancelled) {
  udpr::reactor reactor({reactor_flag::manual_clock});
  std::string   called;
  udpr::timer   one(reactor, 1s, [&] { called += "1"; }), two(reactor, 1s, [&] { called += "2"; });
  udpr::timer   three(std::move(one));
  CHECK(!one && three);
  three = std::move(two);
  CHECK(!two && three && reactor.delayed_calls().size() == 1);
  udpr::timer &same = three;
  three = std::move(same);
  one = std::move(three);
  reactor.advance(1s);
  CHECK(called == "2" && !one);
}

TEST(a_timer_is_moved_in_time) {
  udpr::reactor     reactor({reactor_flag::manual_clock});
  const auto        begin = reactor.now();
  const udpr::timer timer(reactor, 1s, [] {});
  timer.reset(5s), timer.delay(-2s);
  CHECK(timer.due() == begin + 3s);
}

TEST(a_timer_is_set_again_inside_its_own_call) {
  udpr::reactor         reactor({reactor_flag::manual_clock});
  int                   living = 0, called = 0;
  udpr::timer           timer;
  std::function<void()> beat = [&, keep = check::counted(living)] {
    called++;
    CHECK(living > 0);
    timer = udpr::timer(reactor, 1s, [&, also = check::counted(living)] { beat(); });
  };
  beat();
  for (int turn = 0; turn < 3; turn++) reactor.advance(1s);
  CHECK(called == 4 && living == 2 && reactor.delayed_calls().size() == 1);
}

TEST(a_handle_is_destroyed_inside_its_own_call) {
  udpr::reactor reactor({reactor_flag::manual_clock});
  int           living = 0;
  bool          there = false;
  auto          timer = std::make_unique<udpr::timer>();
  *timer = udpr::timer(reactor, 0s, [&, keep = check::counted(living)] {
    timer.reset();
    there = living == 1;
  });
  reactor.advance(0s);
  CHECK(there && living == 0);
}

TEST(a_timer_may_move_itself) {
  udpr::reactor reactor({reactor_flag::manual_clock});
  int           living = 0, called = 0;
  udpr::timer   timer(reactor, reactor.now() + 1s, [&, keep = check::counted(living)] {
    CHECK(check::throws(UDPR_E_ALREADY_CALLED, [&] { timer.due(); }));
    if (++called == 3) return;
    timer.reset_at(reactor.now() + 2s);
    CHECK(timer.due() == reactor.now() + 2s);
  });
  reactor.advance(3s);
  CHECK(called == 2 && living == 1 && timer);
  reactor.advance(2s);
  CHECK(called == 3 && living == 0 && !timer);
}

TEST(a_timer_that_has_moved_itself_is_destroyed_inside_its_call) {
  udpr::reactor reactor({reactor_flag::manual_clock});
  int           living = 0, called = 0;
  auto          timer = std::make_unique<udpr::timer>();
  *timer = udpr::timer(reactor, 1s, [&, keep = check::counted(living)] {
    called++;
    timer->reset(1s);
    timer.reset();
    CHECK(living == 1);
  });
  reactor.advance(5s);
  CHECK(called == 1 && living == 0 && reactor.delayed_calls().empty());
}

TEST(a_periodic_timer_goes_on_until_it_is_destroyed) {
  udpr::reactor reactor({reactor_flag::manual_clock});
  int           living = 0;
  std::uint64_t total = 0;
  {
    udpr::periodic_timer timer(reactor, 10ms,
                               [&, keep = check::counted(living)](reactor_ref at, std::uint64_t beats) {
                                 CHECK(at == reactor && timer.due() == reactor.now() + 10ms);
                                 total += beats;
                               });
    reactor.advance(35ms);
    CHECK(total == 3 && living == 1 && timer && timer.due() == reactor.now() + 5ms);
    timer.delay(-5ms);
    reactor.advance(10ms);
    CHECK(total == 5);
  }
  reactor.advance(1s);
  CHECK(total == 5 && living == 0);
  CHECK(check::throws(UDPR_E_INVALID_ARGUMENT, [&] { udpr::periodic_timer(reactor, 0s, [] {}); }));
}

TEST(a_periodic_timer_is_destroyed_inside_its_call) {
  udpr::reactor reactor({reactor_flag::manual_clock});
  int           living = 0, called = 0;
  auto          timer = std::make_unique<udpr::periodic_timer>();
  *timer = udpr::periodic_timer(reactor, 1s, [&, keep = check::counted(living)] {
    called++;
    timer.reset();
    CHECK(living == 1);
  });
  reactor.advance(5s);
  CHECK(called == 1 && living == 0);
}

TEST(a_periodic_timer_that_throws_goes_on) {
  udpr::reactor              reactor({reactor_flag::manual_clock});
  int                        called = 0;
  const udpr::periodic_timer timer(reactor, 1s, [&] {
    if (++called == 1) throw std::runtime_error("once");
  });
  bool                       thrown = false;
  try {
    reactor.advance(1s);
  } catch (const std::runtime_error &) { thrown = true; }
  CHECK(thrown && called == 1);
  reactor.advance(1s);
  CHECK(called == 2);
}

TEST(calls_of_a_port_end_with_it) {
  udpr::reactor reactor({reactor_flag::manual_clock});
  int           living = 0, once = 0;
  std::uint64_t total = 0;
  auto port = reactor.listen_udp({"127.0.0.1", 0}, [](udpr::transport_ref, const udpr::datagram &) {});
  port.call_later(1s, [&, keep = check::counted(living)](udpr::transport_ref at) { once += at == port; });
  const auto id =
      port.call_every(1s, [&, keep = check::counted(living)](udpr::transport_ref at, std::uint64_t beats) {
        CHECK(at == port);
        total += beats;
      });
  port.call_later(1h, [keep = check::counted(living)] {});
  const auto at = reactor.call_at(reactor.now() + 3s, [&] { once++; });
  reactor.reset_at(at, reactor.now() + 1s);
  reactor.advance(2s);
  CHECK(once == 2 && total == 2 && living == 2 && reactor.due(id) == reactor.now() + 1s);
  port.close();
  CHECK(living == 0 && reactor.delayed_calls().empty());
  CHECK(check::throws(UDPR_E_CLOSED, [&] { port.call_later(1s, [keep = check::counted(living)] {}); }));
  CHECK(check::throws(UDPR_E_CLOSED, [&] { port.call_every(1s, [keep = check::counted(living)] {}); }));
  CHECK(living == 0);
}

TEST(a_released_call_goes_on) {
  udpr::reactor reactor({reactor_flag::manual_clock});
  int           called = 0;
  {
    udpr::timer timer(reactor, 1s, [&] { called++; });
    const auto  id = timer.release();
    CHECK(!timer && reactor.due(id) == reactor.now() + 1s);
  }
  reactor.advance(1s);
  CHECK(called == 1);
  CHECK(udpr::timer().release() == udpr::timer_id{});
}

TEST(handles_outlive_the_reactor) {
  udpr::timer   timer;
  udpr::watch   watch;
  udpr::lookup  lookup;
  udpr::trigger trigger;
  int           living = 0, ends[2];
  CHECK(pipe(ends) == 0);
  {
    udpr::reactor reactor;
    const auto    call = [keep = check::counted(living)] { static_cast<void>(keep); };
    timer = udpr::timer(reactor, 1h, call);
    watch = udpr::watch(reactor, ends[0], watch_flag::readable, call);
    lookup = udpr::lookup(reactor, "127.0.0.1", 1, call);
    trigger = udpr::trigger(reactor, UDPR_PHASE_AFTER, UDPR_EVENT_SHUTDOWN, call);
    CHECK(living == 5);
  }
  CHECK(living == 0 && !timer && !watch && !lookup && !trigger);
  close(ends[0]), close(ends[1]);
}

TEST(a_handle_that_cannot_be_made_is_empty) {
  int             living = 0;
  std::error_code error;
  const auto      call = [keep = check::counted(living)] { static_cast<void>(keep); };
  udpr::reactor   reactor;
  CHECK(!udpr::timer(reactor_ref(), 1s, call, error) && error == UDPR_E_INVALID_ARGUMENT);
  CHECK(!udpr::watch(reactor, -1, watch_flag::readable, call, error) &&
        error == std::errc::bad_file_descriptor);
  CHECK(!udpr::lookup(reactor, "not a name", 1, call, {}, error) && error == UDPR_E_INVALID_ARGUMENT);
  CHECK(check::throws(UDPR_E_INVALID_ARGUMENT, [&] { udpr::timer(reactor_ref(), 1s, call); }));
  CHECK(living == 1);
}

TEST(a_watch_ends_with_its_handle) {
  udpr::reactor reactor;
  int           ends[2], told = 0;
  CHECK(pipe(ends) == 0 && write(ends[1], "x", 1) == 1);
  udpr::watch watch(reactor, ends[0], watch_flag::readable, [&](const udpr::readiness &ready) {
    told += ready.watch == watch.id() && ready.readable();
    if (told == 3) watch.cancel();
  });
  check::iterate_until(reactor, [&] { return told == 3; });
  CHECK(!watch && check::throws(UDPR_E_NOT_FOUND, [&] { watch.change(watch_flag::writable); }));
  udpr::watch again(reactor, ends[0], watch_flag::readable, [] {});
  again.change(watch_flag::readable | watch_flag::writable);
  again = udpr::watch();
  const udpr::watch last(reactor, ends[0], watch_flag::readable, [] {});
  CHECK(last);
  close(ends[0]), close(ends[1]);
}

TEST(a_signal_is_watched_as_long_as_its_handle_exists) {
  udpr::reactor reactor;
  int           living = 0, called = 0;
  CHECK(std::signal(SIGHUP, SIG_IGN) == SIG_DFL);
  {
    const udpr::signal hangup(reactor, SIGHUP,
                              [&, keep = check::counted(living)](reactor_ref at, int number) {
                                called += at == reactor && number == SIGHUP;
                              });
    CHECK(hangup && living == 1 && raise(SIGHUP) == 0 && raise(SIGHUP) == 0);
    reactor.iterate(0ns);
    CHECK(called == 1);
  }
  CHECK(living == 0 && std::signal(SIGHUP, SIG_DFL) == SIG_IGN);
  auto once = std::make_unique<udpr::signal>();
  *once = udpr::signal(reactor, SIGUSR1, [&, keep = check::counted(living)] {
    once.reset();
    CHECK(living == 1);
  });
  CHECK(raise(SIGUSR1) == 0);
  reactor.iterate(0ns);
  CHECK(!once && living == 0 && std::signal(SIGUSR1, SIG_DFL) == SIG_DFL);
  std::error_code error;
  CHECK(!udpr::signal(
            reactor, SIGKILL, [] {}, error) &&
        error == UDPR_E_INVALID_ARGUMENT);
}

/* c/interfaces_watch.c has changes, for which it needs root. after_fork is one call, and needs nothing. */
TEST(a_watch_of_the_interfaces_ends_with_its_handle) {
  udpr::reactor         reactor;
  int                   living = 0, called = 0;
  udpr::interface_watch interfaces(reactor, [&, keep = check::counted(living)](reactor_ref at) {
    called += at == reactor;
  });
  CHECK(interfaces && living == 1);
  CHECK(signal_of_child([&] {
          reactor.after_fork();
          check::iterate_until(reactor, [&] { return called == 1; });
          interfaces = udpr::interface_watch();
          if (living != 0) _exit(1);
          reactor.free();
        }) == 0);
  interfaces.cancel();
  CHECK(!interfaces && living == 0 && called == 0);
}

TEST(a_look_up_that_is_given_up_calls_nothing) {
  udpr::reactor reactor;
  int           living = 0, called = 0;
  const auto    call = [&, keep = check::counted(living)] { called++; };
  {
    const udpr::lookup lookup(reactor, "127.0.0.1", 1, call);
    CHECK(lookup && living == 2);
  }
  CHECK(living == 1);
  bool         found = false;
  udpr::lookup wanted(reactor, "127.0.0.1", 7, [&](std::error_code error, udpr::view<udpr::address> all) {
    found = !error && all.size() == 1 && all[0].port() == 7;
    wanted.cancel();
  });
  check::iterate_until(reactor, [&] { return found; });
  CHECK(called == 0 && !wanted);
}

TEST(a_look_up_that_was_cancelled_by_its_id_is_reported) {
  udpr::reactor   reactor;
  std::error_code got;
  udpr::lookup    lookup(reactor, "127.0.0.1", 1, [&](std::error_code error, auto) { got = error; });
  reactor.cancel(lookup.id());
  CHECK(lookup);
  check::iterate_until(reactor, [&] { return !lookup; });
  CHECK(got == UDPR_E_CANCELLED);
  udpr::lookup other(reactor, "127.0.0.1", 1, [&](std::error_code, auto) { got = {}; });
  reactor.cancel(other.id());
  other.cancel();
  reactor.iterate(0ns), reactor.iterate(0ns);
  CHECK(got == UDPR_E_CANCELLED);
}

TEST(a_trigger_is_removed_with_its_handle) {
  udpr::reactor reactor;
  std::string   order;
  udpr::trigger kept(reactor, UDPR_PHASE_BEFORE, UDPR_EVENT_SHUTDOWN, [&](reactor_ref, udpr::trigger_id id) {
    CHECK(id == kept.id());
    order += "kept";
  });
  {
    const udpr::trigger gone(reactor, UDPR_PHASE_BEFORE, UDPR_EVENT_SHUTDOWN, [&] { order += "gone"; });
    CHECK(gone);
  }
  reactor.call_when_running([](reactor_ref at) { at.stop(); });
  reactor.run();
  CHECK(order == "kept" && kept);
  CHECK(check::throws(UDPR_E_NOT_FOUND, [&] { kept.finish(); }));
}

TEST(a_pending_trigger_that_is_destroyed_holds_nothing_back) {
  udpr::reactor reactor;
  std::string   order;
  for (const bool finishes : {true, false}) {
    auto pending = std::make_unique<udpr::trigger>(reactor, UDPR_PHASE_BEFORE, UDPR_EVENT_SHUTDOWN,
                                                   [] { return udpr::progress::pending; });
    const udpr::trigger after(reactor, UDPR_PHASE_AFTER, UDPR_EVENT_SHUTDOWN, [&] { order += "after "; });
    reactor.call_later(0ns, [&](reactor_ref at) {
      at.stop();
      at.call_later(1ms, [&] { finishes ? pending->finish() : pending.reset(); });
    });
    reactor.run();
  }
  CHECK(order == "after after ");
}

TEST(what_the_rest_of_an_event_throws_comes_out_of_run) {
  udpr::reactor reactor;
  udpr::trigger pending(reactor, UDPR_PHASE_BEFORE, UDPR_EVENT_SHUTDOWN,
                        [] { return udpr::progress::pending; });
  reactor.add_trigger(UDPR_PHASE_AFTER, UDPR_EVENT_SHUTDOWN, [] { throw std::runtime_error("after"); });
  reactor.call_later(0ns, [&](reactor_ref at) {
    at.stop();
    at.call_later(1ms, [&] { pending.cancel(); });
  });
  std::string thrown;
  try {
    reactor.run();
  } catch (const std::runtime_error &error) { thrown = error.what(); }
  CHECK(thrown == "after");
}

TEST(what_a_handles_callable_throws_comes_out_of_run) {
  udpr::reactor reactor;
  udpr::timer   timer(reactor, 0s, [] { throw 42; });
  int           thrown = 0;
  try {
    reactor.run();
  } catch (int number) { thrown = number; }
  CHECK(thrown == 42 && !timer);
}

/* A protocol with handles of its own, which die with it. */
struct session {
  udpr::timer timer = {};
  int        &called;

  explicit session(int &count) : called(count) {}
  void start_protocol(udpr::transport_ref port) {
    timer = udpr::timer(port.reactor(), 0s, [this] { called++; });
  }
};

TEST(a_timer_dies_with_the_protocol_that_has_it) {
  int called = 0;
  {
    udpr::reactor         reactor({reactor_flag::manual_clock});
    const udpr::transport port = reactor.listen_udp(0, std::make_unique<session>(called));
    port.close();
    CHECK(reactor.delayed_calls().empty());
    reactor.listen_udp(0, std::make_unique<session>(called));
    reactor.advance(0s);
    CHECK(called == 1);
    reactor.listen_udp(0, std::make_unique<session>(called));
  }
  CHECK(called == 1);
}

TEST(destroying_one_while_another_thread_runs_the_reactor_terminates) {
  CHECK(signal_of_child([] {
          udpr::reactor reactor;
          udpr::timer   timer(reactor, 1h, [] {});
          reactor.call_later(0ns, [&](reactor_ref at) {
            std::thread([&] { timer.cancel(); }).join();
            at.stop();
          });
          reactor.run();
        }) == SIGABRT);
}

TEST(a_forked_child_may_destroy_its_copies) {
  udpr::reactor reactor({reactor_flag::manual_clock});
  int           called = 0;
  auto          timer = std::make_unique<udpr::timer>(reactor, 1s, [&] { called++; });
  CHECK(signal_of_child([&] {
          timer.reset();
          reactor.after_fork();
          reactor.advance(1s);
          if (called != 0) _exit(1);
          reactor.free();
        }) == 0);
  reactor.advance(1s);
  CHECK(called == 1 && !*timer);
}

int main() { return check::run(); }
