/* Coroutines of C++20 over <udpr/udpr.hpp>: a datagram, a delay and a look-up can be awaited.
 *
 *     udpr::coro::task<> echo(udpr::reactor_ref reactor) {
 *       udpr::coro::port port(reactor, 9999);
 *       while (const auto datagram = co_await port.receive()) port.write(datagram->data(), datagram->sender());
 *     }
 *
 *     udpr::reactor      reactor;
 *     udpr::coro::task<> server = echo(reactor);
 *     server.start();
 *     reactor.run();
 *
 * The rules of udpr.hpp apply, and these.
 *
 * Threads. A coroutine that awaits something of a reactor is resumed on the thread that runs the reactor, inside a turn, and is
 * destroyed there or while no thread runs it. Inside a turn it may call what a callback may call.
 *
 * Cancelling. Destroying a task destroys its coroutine, and the coroutines that it awaits. What they wait for is cancelled, and
 * their local objects are destroyed. A coroutine must not destroy itself while it runs.
 *
 * Stopping. When the reactor stops, so do its ports, and receive returns no datagram. Delays and look-ups go on when the reactor is
 * run again. After the reactor has ended, coroutines that wait for them are not resumed; their tasks destroy them.
 *
 * Errors. A failure is thrown into the awaiting coroutine, or stored in the std::error_code that was passed, which has to exist
 * until then.
 *
 * Exceptions. An exception of a coroutine goes to the coroutine that awaits it. If there is none, it comes out of start or of run,
 * like an exception of a callback.
 *
 * Other types. Coroutines of every type can await these objects, not only a task.
 */
#ifndef UDPR_CORO_HPP
#define UDPR_CORO_HPP

#ifndef __cpp_impl_coroutine
#error "udpr/coro.hpp needs C++20 and a compiler with coroutines; udpr/udpr.hpp is for C++17"
#else

#include <udpr/coro/port.hpp>
#include <udpr/coro/task.hpp>
#include <udpr/coro/wait.hpp>
#include <udpr/udpr.hpp>

#endif
#endif
