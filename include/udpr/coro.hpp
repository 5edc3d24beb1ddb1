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
 * Rules (those of udpr.hpp hold, too)
 *  Threads      A coroutine that awaits something of a reactor is resumed on the thread that runs it, inside a turn, and is
 *               destroyed there or while nothing runs the reactor. Inside a turn it may call what a callback may call.
 *  Cancelling   Destroying a task destroys its coroutine, and with it the ones that it awaits: what they wait for is
 *               cancelled, and their local objects are destroyed. A coroutine must not destroy itself while it runs.
 *  Stopping     When the reactor stops, its ports do: receive gives no datagram then. Delays and look-ups go on when the
 *               reactor is run again. When the reactor ends, what waits for one is not resumed any more; its task destroys it.
 *  Errors       As everywhere: a failure is thrown into the awaiting coroutine, or stored in the std::error_code that was
 *               given, which has to live until then.
 *  Exceptions   What a coroutine throws goes to the coroutine that awaits it. If none does, it comes out of start or of run,
 *               as if a callback had thrown it.
 *  Other types  What can be awaited here can be awaited in coroutines of every type, not only in a task.
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
