//! Chapter "time: IReactorTime".

use super::callback::{CCall, User};
use super::guard::*;
use super::ptr::{Lent, Out};
use crate::abi::*;
use crate::status::Status;
use std::ffi::c_void;

/// The reactor's clock in nanoseconds: CLOCK_MONOTONIC, or manual. 0 for NULL. [any thread]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_now(reactor: *const udpr_reactor) -> udpr_ns {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let reactor = unsafe { Lent::new(reactor) };
    reactor.shared().map_or(0, |remote| remote.shared.now())
}

/// Calls `fn` once, `delay` from now. Never early; what is due together runs in the order it was made; delay 0 inside a
/// delayed call runs in the next turn, after one poll. A call with the delay UDPR_NEVER never comes due; any other delay above
/// INT64_MAX is UDPR_E_INVALID_ARGUMENT: it is a negative difference. free_user runs after `fn`, or when the call is cancelled,
/// or when the reactor ends. out_id may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_call_later(
    reactor: *mut udpr_reactor,
    delay: udpr_ns,
    r#fn: udpr_call_fn,
    user: *mut c_void,
    free_user: udpr_free_fn,
    out_id: *mut udpr_id,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (reactor, user, out_id) =
        (unsafe { Lent::new(reactor) }, unsafe { User::new(user, free_user) }, unsafe { Out::new(out_id) });
    status(with_reactor_briefly(reactor, |reactor| {
        let id = reactor.call_later(delay, CCall::new(r#fn, user)?)?;
        out_id.set(id);
        Ok(())
    }))
}

/// Cancels a delayed call; its free_user runs inside this. UDPR_E_ALREADY_CALLED (also from within the call itself) and
/// UDPR_E_ALREADY_CANCELLED for the last 4096 that ended, else UDPR_E_NOT_FOUND.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_cancel_call(reactor: *mut udpr_reactor, id: udpr_id) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let reactor = unsafe { Lent::new(reactor) };
    status(with_reactor_briefly(reactor, |reactor| reactor.cancel_call(id)))
}

/// Moves a delayed call to `delay_from_now`, which is as the delay of udpr_reactor_call_later. Other statuses as of
/// udpr_reactor_cancel_call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_reset_call(
    reactor: *mut udpr_reactor,
    id: udpr_id,
    delay_from_now: udpr_ns,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let reactor = unsafe { Lent::new(reactor) };
    status(with_reactor_briefly(reactor, |reactor| reactor.reset_call(id, delay_from_now)))
}

/// Moves a delayed call by `more_ns` from where it stands; below 0 is earlier. Statuses as of udpr_reactor_cancel_call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_delay_call(
    reactor: *mut udpr_reactor,
    id: udpr_id,
    more_ns: i64,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let reactor = unsafe { Lent::new(reactor) };
    status(with_reactor_briefly(reactor, |reactor| reactor.delay_call(id, more_ns)))
}

/// The instant at which a delayed call is due; UDPR_OK while it is pending. Statuses as of udpr_reactor_cancel_call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_call_time(
    reactor: *const udpr_reactor,
    id: udpr_id,
    out_due: *mut udpr_ns,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (reactor, out_due) = (unsafe { Lent::new(reactor) }, unsafe { Out::new(out_due) });
    status(with_reactor_briefly(reactor, |reactor| {
        out_due.check()?;
        out_due.set(reactor.call_time(id)?);
        Ok(())
    }))
}

/// The ids of pending delayed calls, in no order: at most `capacity` are stored (`ids` may be NULL where that is 0).
/// out_count is always written: how many are pending.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_delayed_calls(
    reactor: *const udpr_reactor,
    ids: *mut udpr_id,
    capacity: usize,
    out_count: *mut usize,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (reactor, out_count) = (unsafe { Lent::new(reactor) }, unsafe { Out::new(out_count) });
    out_count.set(0);
    status(with_reactor_briefly(reactor, |reactor| {
        out_count.check()?;
        out_count.set(reactor.delayed_calls(&mut []));
        if capacity == 0 {
            return Ok(());
        }
        if ids.is_null() || capacity > isize::MAX as usize / size_of::<udpr_id>() {
            return Err(Status::INVALID_ARGUMENT);
        }
        // SAFETY: the caller's array of `capacity` ids.
        reactor.delayed_calls(unsafe { std::slice::from_raw_parts_mut(ids, capacity) });
        Ok(())
    }))
}

/// Moves a manual clock by `by`, and runs what falls due, in order, calls made meanwhile too. UDPR_E_NOT_SUPPORTED without
/// UDPR_REACTOR_MANUAL_CLOCK, UDPR_E_REENTRANT inside a callback, UDPR_E_INVALID_ARGUMENT for more than INT64_MAX.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_advance(reactor: *mut udpr_reactor, by: udpr_ns) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let reactor = unsafe { Lent::new(reactor) };
    status(with_outer_reactor(reactor, false, |reactor| reactor.advance(by)))
}
