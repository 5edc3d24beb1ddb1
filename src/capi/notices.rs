//! Chapter "signals, and changes of interfaces".

use super::callback::{CChange, CSignal, UserData};
use super::guard::*;
use super::ptr::{HandleRef, Out};
use crate::abi::*;
use std::ffi::c_void;

/// Watches a signal: `fn` is called on the reactor's thread, in a turn, once however often the signal has come since its last call.
/// Signals that came before this call do not count. Any number of reactors may watch a signal, and a reactor may watch it any number
/// of times; each watch is called. End a watch with udpr_reactor_unwatch. `out_id` may be NULL.
///
/// While a signal is watched, this library's handler is installed for the whole process. The former disposition is installed again once
/// no watch and no run with UDPR_REACTOR_SIGNALS needs the handler, but only if it is still installed: a disposition that the program
/// has set meanwhile stays. A watch of SIGINT or SIGTERM replaces what UDPR_REACTOR_SIGNALS does with that signal on this reactor; other
/// reactors with the flag still stop. A signal that every thread blocks does not come.
///
/// In a forked child, the first such signal installs the former disposition again and has its effect, until udpr_reactor_after_fork,
/// which renews the watches; what the parent has received is the parent's.
///
/// A watch of SIGCHLD reaps nothing: call waitpid(2). Of a real-time signal the count and the value are lost. On Windows SIGINT is
/// Ctrl-C, SIGBREAK (21) is Ctrl-Break, and SIGTERM is a closed console, a logoff or a shutdown; other signals are
/// UDPR_E_NOT_SUPPORTED there.
///
/// Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT without `fn`, and for SIGKILL, SIGSTOP, SIGABRT, the signals that a fault of a thread
/// raises (SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS), those that the C library uses itself, and numbers that are no signal;
/// UDPR_E_CLOSED while the reactor is freed; UDPR_E_NO_MEMORY; a system status if a sandbox refuses sigaction(2). If it fails,
/// free_user has been called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_watch_signal(
    reactor: *mut udpr_reactor,
    signal_number: i32,
    r#fn: udpr_signal_fn,
    user: *mut c_void,
    free_user: udpr_free_fn,
    out_id: *mut udpr_id,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (reactor, user, out_id) =
        (unsafe { HandleRef::new(reactor) }, unsafe { UserData::new(user, free_user) }, unsafe {
            Out::new(out_id)
        });
    status(with_reactor(reactor, |reactor| {
        let callback = CSignal::new(r#fn, signal_number, user)?;
        out_id.set(reactor.watch_signal(signal_number, Box::new(callback))?);
        Ok(())
    }))
}

/// Watches the network interfaces: `fn` is called in a turn when an interface or an address has come, gone or changed, in the network
/// namespace that the calling thread is in now. Several changes may be one call, and some calls may have a reason that udpr_interfaces
/// does not show. What is there already is not reported: call udpr_interfaces after this, then after each call. If the system has lost
/// notices, they are one call. udpr_reactor_after_fork watches again, in the namespace of its caller, and is one call. End the watch
/// with udpr_reactor_unwatch. `out_id` may be NULL.
///
/// Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT without `fn`; UDPR_E_NOT_SUPPORTED or UDPR_E_PERMISSION if the system gives no notice, for
/// example if a sandbox refuses the socket for it (AF_NETLINK); UDPR_E_NO_FILES; UDPR_E_CLOSED while the reactor is freed;
/// UDPR_E_NO_MEMORY. If it fails, free_user has been called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_watch_interfaces(
    reactor: *mut udpr_reactor,
    r#fn: udpr_change_fn,
    user: *mut c_void,
    free_user: udpr_free_fn,
    out_id: *mut udpr_id,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (reactor, user, out_id) =
        (unsafe { HandleRef::new(reactor) }, unsafe { UserData::new(user, free_user) }, unsafe {
            Out::new(out_id)
        });
    status(with_reactor(reactor, |reactor| {
        out_id.set(reactor.watch_interfaces(Box::new(CChange::new(r#fn, user)?))?);
        Ok(())
    }))
}
