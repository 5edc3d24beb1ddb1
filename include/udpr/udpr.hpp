/* udpr for C++17 and later: <udpr/udpr.h> with lifetimes, callables and errors of C++. It is a header only, and linked as C is.
 *
 *     udpr::reactor reactor({udpr::reactor_flag::signals});
 *     reactor.listen_udp(9999, [](udpr::transport_ref transport, const udpr::datagram &datagram) {
 *       transport.write(datagram.data(), datagram.sender());
 *     });
 *     reactor.run();
 *
 * The rules of udpr.h apply, and these. Statuses and events have their names of udpr.h.
 *
 * Ownership. A reactor owns, and can be moved. transport and remote are reference-counted, and can be copied. timer, watch, signal,
 * lookup and trigger own what they are named after, and cancel it when they are destroyed. reactor_ref and transport_ref are borrowed, as
 * std::string_view is; callbacks receive them. The library keeps callables and protocols as long as it may call them, and
 * destroys each once.
 *
 * Errors. Every function that can fail ends with `error_to error = {}`. Without it, the function throws std::system_error; with a
 * std::error_code, it stores the error there. Compare it as in `error == UDPR_E_CLOSED` or, if the status stands for an errno, as in
 * `error == std::errc::address_in_use`.
 *
 * Exceptions. An exception of a callback is kept until C has returned. In a turn (run, iterate, start, advance) it stops the
 * reactor and comes out of that function. Other callbacks are called until the shutdown has ended; only the first exception
 * counts. An exception of a callback that a function calls inside itself (listen_udp, close, free, each_transport,
 * call_when_running, fire_event, finish_trigger, remove_trigger) comes out of that function, and nothing stops. A call made in C
 * (udpr_reactor_run(reactor.get())) cannot throw: std::terminate is called. Destructors of callables must not throw.
 *
 * Threads. As in C: one at a time, except for the functions with [any thread].
 *
 * Parameters. bytes, view and c_text are borrowed for the call. Durations are those of std::chrono.
 */
#ifndef UDPR_HPP
#define UDPR_HPP

#if __cplusplus < 201703L && (!defined(_MSVC_LANG) || _MSVC_LANG < 201703L)
#error "udpr.hpp needs C++17 or later; udpr.h is for C, and for every C++"
#else

#include <udpr/cpp/address.hpp>
#include <udpr/cpp/datagram.hpp>
#include <udpr/cpp/error.hpp>
#include <udpr/cpp/flags.hpp>
#include <udpr/cpp/handles.hpp>
#include <udpr/cpp/interfaces.hpp>
#include <udpr/cpp/options.hpp>
#include <udpr/cpp/protocol.hpp>
#include <udpr/cpp/reactor.hpp>
#include <udpr/cpp/remote.hpp>
#include <udpr/cpp/transport.hpp>
#include <udpr/cpp/view.hpp>

namespace udpr {

/** The version of the loaded library: major << 16 | minor << 8 | patch. [any thread] */
inline std::uint32_t version() noexcept { return udpr_version(); }

/** The same as text, "0.1.0". [any thread] */
inline std::string_view version_string() noexcept { return udpr_version_string(); }

/** Whether this library can do something on this system, "gso", "gro", ..., as udpr_has_feature. [any thread] */
inline bool has_feature(c_text name) noexcept { return udpr_has_feature(name.get()) != 0; }

}  // namespace udpr

#endif
#endif
