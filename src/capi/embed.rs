//! Chapter "reactor: inside another loop".

use super::addr::write_out;
use super::callback::{CWatch, User};
use super::guard::*;
use super::types::*;
use crate::reactor::Reactor;
use crate::status::Status;
use std::ffi::c_void;

/// What run does before its first turn. Then iterate; a stop finishes within later turns. UDPR_E_ALREADY_RUNNING.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_start(reactor: *mut udpr_reactor) -> udpr_status {
    status(with_reactor(reactor, Reactor::start))
}

/// One turn: waits at most `timeout_ns` (below 0: for ever) and never past the next delayed call, not at all when something
/// is due or kept; then I/O, calls from threads, due calls, a due shutdown. It returns then, without another wait; on EINTR
/// and on a wake too. UDPR_E_REENTRANT inside a callback.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_iterate(reactor: *mut udpr_reactor, timeout_ns: i64) -> udpr_status {
    status(with_outer_reactor(reactor, true, |reactor| reactor.iterate(u64::try_from(timeout_ns).ok())))
}

/// One descriptor for a foreign loop: readable whenever a turn has anything to do, delayed calls and kept datagrams included.
/// When it is, udpr_reactor_iterate(reactor, 0). It stays the reactor's, and the same.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_backend_fd(reactor: *mut udpr_reactor, out: *mut i32) -> udpr_status {
    status(with_reactor(reactor, |reactor| {
        if out.is_null() {
            return Err(Status::INVALID_ARGUMENT);
        }
        write_out(out, reactor.backend_fd()?);
        Ok(())
    }))
}

/// Nanoseconds until a turn has something to do that no descriptor tells of: 0 where that is now, -1 where it is never.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_next_timeout(
    reactor: *const udpr_reactor,
    out: *mut i64,
) -> udpr_status {
    status(with_reactor(reactor, |reactor| {
        if out.is_null() {
            return Err(Status::INVALID_ARGUMENT);
        }
        let timeout = reactor.next_timeout();
        write_out(out, timeout.map_or(-1, |timeout| i64::try_from(timeout).unwrap_or(i64::MAX)));
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
    let user = User::new(user, free_user);
    status(with_reactor(reactor, |reactor| {
        let id = reactor.watch(fd, events, Box::new(CWatch::new(r#fn, user)?))?;
        write_out(out_id, id);
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
    status(with_reactor(reactor, |reactor| reactor.change_watch(id, events)))
}

/// Ends a watch; its free_user runs inside this, or after its callback where that is at work. The descriptor stays open.
/// UDPR_E_NOT_FOUND.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_unwatch(reactor: *mut udpr_reactor, id: udpr_id) -> udpr_status {
    status(with_reactor(reactor, |reactor| reactor.unwatch(id)))
}
