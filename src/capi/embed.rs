//! Chapter "reactors inside another loop".

use super::callback::{CWatch, UserData};
use super::guard::*;
use super::ptr::{HandleRef, Out};
use crate::abi::*;
use crate::reactor::Reactor;
use crate::refusal;
use crate::status::Result;
use crate::sys::{Interest, Readiness};
use std::ffi::c_void;

const READABLE: u32 = udpr_watch_flag::UDPR_WATCH_READABLE as u32;
const WRITABLE: u32 = udpr_watch_flag::UDPR_WATCH_WRITABLE as u32;
const HANGUP: u32 = udpr_watch_flag::UDPR_WATCH_HANGUP as u32;

/// Bits of `udpr_watch_flag` as the core takes them.
fn interest(flags: u32) -> Result<Interest> {
    if flags == 0 || flags & !(READABLE | WRITABLE | HANGUP) != 0 {
        return Err(refusal::invalid("events", flags.into(), "bits of udpr_watch_flag: 1 to 7"));
    }
    let (readable, writable) = (flags & READABLE != 0, flags & WRITABLE != 0);
    Ok(Interest { readable, writable, edge_triggered: false })
}

/// What the core reports, as bits of `udpr_watch_flag`.
pub(super) fn watch_flags(ready: Readiness) -> u32 {
    let bits =
        [(ready.readable, READABLE), (ready.writable, WRITABLE), (ready.error || ready.hangup, HANGUP)];
    bits.into_iter().filter(|(is_set, _)| *is_set).fold(0, |flags, (_, bit)| flags | bit)
}

/// Begins a run, for a program that calls udpr_reactor_iterate itself. It fires the startup event, as run does before
/// its first turn. After udpr_reactor_stop, the shutdown happens in later turns.
///
/// Returns: UDPR_OK; UDPR_E_ALREADY_RUNNING.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_start(reactor: *mut udpr_reactor) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let reactor = unsafe { HandleRef::new(reactor) };
    status(with_reactor(reactor, Reactor::start))
}

/// Runs one turn. It waits at most `timeout_ns`, or without a bound if that is below 0, but not past the next delayed
/// call, and not at all if something is due. Then it does I/O, calls from threads, delayed calls that are due, and a
/// shutdown that is due. It returns after one wait, also if a signal or a wake ends it.
///
/// Returns: UDPR_OK; UDPR_E_REENTRANT inside a callback; UDPR_E_WRONG_THREAD; another status if the kernel cannot wait
/// any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_iterate(reactor: *mut udpr_reactor, timeout_ns: i64) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let reactor = unsafe { HandleRef::new(reactor) };
    status(with_outer_reactor(reactor, true, |reactor| reactor.iterate(u64::try_from(timeout_ns).ok())))
}

/// Gets one descriptor for a foreign loop. It is readable whenever a turn has anything to do, delayed calls and kept
/// datagrams included; then call udpr_reactor_iterate(reactor, 0). The descriptor belongs to the reactor, and stays the
/// same.
///
/// Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT; UDPR_E_NOT_SUPPORTED if a sandbox refuses timerfd_create(2), without
/// which delayed calls would not make it readable, and on Windows, which has no such descriptor.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_backend_fd(
    reactor: *mut udpr_reactor,
    out: *mut udpr_socket,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (reactor, out) = (unsafe { HandleRef::new(reactor) }, unsafe { Out::new(out) });
    status(with_reactor(reactor, |reactor| {
        out.check("out")?;
        out.set(reactor.backend_fd()?);
        Ok(())
    }))
}

/// Gets the time until a delayed call, or other work that no descriptor reports, is due, in nanoseconds: 0 if it is
/// due now, -1 if there is none.
///
/// Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_next_timeout(
    reactor: *const udpr_reactor,
    out: *mut i64,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (reactor, out) = (unsafe { HandleRef::new(reactor) }, unsafe { Out::new(out) });
    status(with_reactor(reactor, |reactor| {
        out.check("out")?;
        let timeout = reactor.next_timeout();
        out.set(timeout.map_or(-1, |timeout| i64::try_from(timeout).unwrap_or(i64::MAX)));
        Ok(())
    }))
}

/// Adds a descriptor of the program to this loop: `fn` is called when one of `events` (bits of udpr_watch_flag, not 0)
/// occurs. Watching is level-triggered. A descriptor can have one watch. UDPR_WATCH_HANGUP stands for EPOLLHUP and
/// EPOLLERR; it is always reported, and never becomes UDPR_WATCH_READABLE. End the watch before the descriptor is
/// closed. A number that was closed and reused may be watched again: then the old id is UDPR_E_NOT_FOUND. `out_id` may
/// be NULL.
///
/// Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT; UDPR_E_SYSTEM - EEXIST if the descriptor has a watch already;
/// UDPR_E_SYSTEM - EBADF if it is not open; UDPR_E_NOT_SUPPORTED for a regular file, and on Windows for all but sockets.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_watch(
    reactor: *mut udpr_reactor,
    fd: udpr_socket,
    events: u32,
    r#fn: udpr_watch_fn,
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
        let id = reactor.watch(fd, interest(events)?, Box::new(CWatch::new(r#fn, user)?))?;
        out_id.set(id);
        Ok(())
    }))
}

/// Changes the events of a watch of a descriptor.
///
/// Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT; UDPR_E_NOT_FOUND.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_change_watch(
    reactor: *mut udpr_reactor,
    id: udpr_id,
    events: u32,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let reactor = unsafe { HandleRef::new(reactor) };
    status(with_reactor(reactor, |reactor| reactor.change_watch(id, interest(events)?)))
}

/// Ends a watch, also one of a signal or of the interfaces. Its free_user is called inside this, or after its callback
/// has returned if this is called inside it. A watched descriptor stays open.
///
/// Returns: UDPR_OK; UDPR_E_NOT_FOUND.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_unwatch(reactor: *mut udpr_reactor, id: udpr_id) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let reactor = unsafe { HandleRef::new(reactor) };
    status(with_reactor(reactor, |reactor| reactor.unwatch(id)))
}
