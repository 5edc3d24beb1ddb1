//! Chapter "reactor: inside another loop".

use super::callback::{CWatch, UserData};
use super::guard::*;
use super::ptr::{HandleRef, Out};
use crate::abi::*;
use crate::reactor::Reactor;
use crate::status::{Result, Status};
use crate::sys::{Interest, Readiness};
use std::ffi::c_void;

const READABLE: u32 = udpr_watch_flag::UDPR_WATCH_READABLE as u32;
const WRITABLE: u32 = udpr_watch_flag::UDPR_WATCH_WRITABLE as u32;
const HANGUP: u32 = udpr_watch_flag::UDPR_WATCH_HANGUP as u32;

/// Bits of `udpr_watch_flag` as the core takes them.
fn interest(flags: u32) -> Result<Interest> {
    if flags == 0 || flags & !(READABLE | WRITABLE | HANGUP) != 0 {
        return Err(Status::INVALID_ARGUMENT);
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

/// What run does before its first turn. Then iterate; a stop finishes within later turns. UDPR_E_ALREADY_RUNNING.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_start(reactor: *mut udpr_reactor) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let reactor = unsafe { HandleRef::new(reactor) };
    status(with_reactor(reactor, Reactor::start))
}

/// One turn: waits at most `timeout_ns` (below 0: for ever) and never past the next delayed call, not at all when something
/// is due or kept; then I/O, calls from threads, due calls, a due shutdown. It returns then, without another wait; on EINTR
/// and on a wake too. UDPR_E_REENTRANT inside a callback.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_iterate(reactor: *mut udpr_reactor, timeout_ns: i64) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let reactor = unsafe { HandleRef::new(reactor) };
    status(with_outer_reactor(reactor, true, |reactor| reactor.iterate(u64::try_from(timeout_ns).ok())))
}

/// One descriptor for a foreign loop: readable whenever a turn has anything to do, delayed calls and kept datagrams included.
/// When it is, udpr_reactor_iterate(reactor, 0). It stays the reactor's, and the same. UDPR_E_NOT_SUPPORTED if a sandbox refuses
/// timerfd_create(2), without which delayed calls would not make it readable.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_backend_fd(reactor: *mut udpr_reactor, out: *mut i32) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (reactor, out) = (unsafe { HandleRef::new(reactor) }, unsafe { Out::new(out) });
    status(with_reactor(reactor, |reactor| {
        out.check()?;
        out.set(reactor.backend_fd()?);
        Ok(())
    }))
}

/// Nanoseconds until a turn has something to do that no descriptor tells of: 0 where that is now, -1 where it is never.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_next_timeout(
    reactor: *const udpr_reactor,
    out: *mut i64,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (reactor, out) = (unsafe { HandleRef::new(reactor) }, unsafe { Out::new(out) });
    status(with_reactor(reactor, |reactor| {
        out.check()?;
        let timeout = reactor.next_timeout();
        out.set(timeout.map_or(-1, |timeout| i64::try_from(timeout).unwrap_or(i64::MAX)));
        Ok(())
    }))
}

/// Has a descriptor of another's in this loop: `fn` is told of `events` (udpr_watch_flag, not 0). One watch a descriptor: a
/// second is EEXIST as a system status, a bad one EBADF. UDPR_WATCH_HANGUP stands for EPOLLHUP and EPOLLERR, is always
/// reported and never turned into UDPR_WATCH_READABLE; a regular file is UDPR_E_NOT_SUPPORTED. Level-triggered. Unwatch
/// before closing; a number that was closed and given out again may be watched anew: the old id is UDPR_E_NOT_FOUND then.
/// out_id may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_watch(
    reactor: *mut udpr_reactor,
    fd: i32,
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

/// Other events for a watch. UDPR_E_NOT_FOUND.
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

/// Ends a watch; its free_user runs inside this, or after its callback where that is at work. The descriptor stays open.
/// UDPR_E_NOT_FOUND.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_unwatch(reactor: *mut udpr_reactor, id: udpr_id) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let reactor = unsafe { HandleRef::new(reactor) };
    status(with_reactor(reactor, |reactor| reactor.unwatch(id)))
}
