//! Chapter "time".

use super::callback::{CCall, CRepeat, UserData};
use super::guard::*;
use super::ptr::{HandleRef, Out};
use crate::abi::*;
use crate::refusal;
use std::ffi::c_void;

/// Gets the time of the reactor's clock in nanoseconds: CLOCK_MONOTONIC, which stands still while the machine sleeps, or the
/// manual clock. [any thread]
///
/// Returns: the time; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_now(reactor: *const udpr_reactor) -> udpr_ns {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let reactor = unsafe { HandleRef::new(reactor) };
    reactor.shared().map_or(0, |remote| remote.shared.now())
}

/// Calls `fn` once, `delay` from now, and never early.
///
/// Calls that are due together are made in the order in which they were created. A call with a delay of 0 that is created inside a
/// delayed call is made in the next turn, after one poll. UDPR_NEVER never comes due. free_user is called after `fn`, or when the call
/// is cancelled, or when the reactor ends. `out_id` may be NULL. Inside its own call the id is UDPR_E_ALREADY_CALLED, but
/// udpr_reactor_reset_call, udpr_reactor_reset_call_at and udpr_reactor_delay_call make the call pending again, and free_user is called
/// after its last call.
///
/// Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT without `fn`, and for a delay above INT64_MAX other than UDPR_NEVER, which is a negative
/// difference; UDPR_E_CLOSED while the reactor is freed; UDPR_E_NO_MEMORY. If it fails, free_user has been called.
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
        (unsafe { HandleRef::new(reactor) }, unsafe { UserData::new(user, free_user) }, unsafe {
            Out::new(out_id)
        });
    status(with_reactor_briefly(reactor, |reactor| {
        let id = reactor.call_later(delay, CCall::new(r#fn, user)?)?;
        out_id.set(id);
        Ok(())
    }))
}

/// Calls `fn` once, at `instant` of udpr_reactor_now, as udpr_reactor_call_later does. If the instant has passed, the call is due at
/// once.
///
/// Returns: as udpr_reactor_call_later, of an instant instead of a delay.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_call_at(
    reactor: *mut udpr_reactor,
    instant: udpr_ns,
    r#fn: udpr_call_fn,
    user: *mut c_void,
    free_user: udpr_free_fn,
    out_id: *mut udpr_id,
) -> udpr_status {
    // SAFETY: the caller promises of its pointers what the head of the header says.
    let (reactor, user, out_id) =
        (unsafe { HandleRef::new(reactor) }, unsafe { UserData::new(user, free_user) }, unsafe {
            Out::new(out_id)
        });
    status(with_reactor_briefly(reactor, |reactor| {
        let id = reactor.call_at(instant, CCall::new(r#fn, user)?)?;
        out_id.set(id);
        Ok(())
    }))
}

/// Calls `fn` every `interval`, the first time one interval from now.
///
/// The beats lie on a fixed grid, which does not drift. If a turn is late, `fn` is called once, with the number of beats since its last
/// call; udpr_reactor_advance calls it at each beat. udpr_reactor_stop and udpr_reactor_crash do not end the call: the next turn calls `fn`
/// once for all beats that have passed. It is pending until it is cancelled, also inside its own call, where it is due at its next
/// beat; after udpr_reactor_cancel_call there, free_user is called once it has returned, and nothing makes it pending again.
/// udpr_reactor_reset_call, udpr_reactor_reset_call_at and udpr_reactor_delay_call move the grid. If it is moved to an instant that has
/// passed, the call is due at once, and beats of the new grid that passed before the move do not count. Otherwise as
/// udpr_reactor_call_later.
///
/// Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT without `fn`, and for an interval that is 0 or above INT64_MAX, UDPR_NEVER too;
/// UDPR_E_CLOSED while the reactor is freed; UDPR_E_NO_MEMORY. If it fails, free_user has been called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_call_every(
    reactor: *mut udpr_reactor,
    interval: udpr_ns,
    r#fn: udpr_repeat_fn,
    user: *mut c_void,
    free_user: udpr_free_fn,
    out_id: *mut udpr_id,
) -> udpr_status {
    // SAFETY: the caller promises of its pointers what the head of the header says.
    let (reactor, user, out_id) =
        (unsafe { HandleRef::new(reactor) }, unsafe { UserData::new(user, free_user) }, unsafe {
            Out::new(out_id)
        });
    status(with_reactor(reactor, |reactor| {
        let id = reactor.call_every(interval, Box::new(CRepeat::new(r#fn, user)?))?;
        out_id.set(id);
        Ok(())
    }))
}

/// Cancels a delayed call. Its free_user is called inside this, or after the call has returned if this is called inside it.
///
/// Returns: UDPR_OK; UDPR_E_ALREADY_CALLED, also inside the call itself unless it is pending again or periodic;
/// UDPR_E_ALREADY_CANCELLED; UDPR_E_NOT_FOUND for other ids, and for all but the last 4096 calls that ended.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_cancel_call(reactor: *mut udpr_reactor, id: udpr_id) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let reactor = unsafe { HandleRef::new(reactor) };
    status(with_reactor_briefly(reactor, |reactor| reactor.cancel_call(id)))
}

/// Moves a delayed call to `delay_from_now`. Inside the call itself this makes it pending again, also if it was created to be made
/// once.
///
/// Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT for a delay that udpr_reactor_call_later does not take; UDPR_E_NO_MEMORY;
/// UDPR_E_ALREADY_CALLED outside the call, UDPR_E_ALREADY_CANCELLED and UDPR_E_NOT_FOUND as udpr_reactor_cancel_call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_reset_call(
    reactor: *mut udpr_reactor,
    id: udpr_id,
    delay_from_now: udpr_ns,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let reactor = unsafe { HandleRef::new(reactor) };
    status(with_reactor_briefly(reactor, |reactor| reactor.reset_call(id, delay_from_now)))
}

/// Moves a delayed call to `instant` of udpr_reactor_now. If that has passed, the call is due at once. Inside the call itself this makes
/// it pending again, as udpr_reactor_reset_call does.
///
/// Returns: as udpr_reactor_reset_call, of an instant instead of a delay.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_reset_call_at(
    reactor: *mut udpr_reactor,
    id: udpr_id,
    instant: udpr_ns,
) -> udpr_status {
    // SAFETY: the caller promises of its pointers what the head of the header says.
    let reactor = unsafe { HandleRef::new(reactor) };
    status(with_reactor_briefly(reactor, |reactor| reactor.reset_call_at(id, instant)))
}

/// Moves a delayed call by `more_ns` from the instant at which it is due; below 0 is earlier. Inside the call itself this makes it
/// pending again, `more_ns` after the instant at which it was due.
///
/// Returns: UDPR_OK; UDPR_E_NO_MEMORY; other statuses as udpr_reactor_reset_call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_delay_call(
    reactor: *mut udpr_reactor,
    id: udpr_id,
    more_ns: i64,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let reactor = unsafe { HandleRef::new(reactor) };
    status(with_reactor_briefly(reactor, |reactor| reactor.delay_call(id, more_ns)))
}

/// Gets the instant at which a delayed call is due.
///
/// Returns: UDPR_OK while the call is pending; UDPR_E_INVALID_ARGUMENT if `out_due` is NULL; otherwise as udpr_reactor_cancel_call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_call_time(
    reactor: *const udpr_reactor,
    id: udpr_id,
    out_due: *mut udpr_ns,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (reactor, out_due) = (unsafe { HandleRef::new(reactor) }, unsafe { Out::new(out_due) });
    status(with_reactor_briefly(reactor, |reactor| {
        out_due.check("out_due")?;
        out_due.set(reactor.call_time(id)?);
        Ok(())
    }))
}

/// Gets the ids of pending delayed calls, in no order. At most `capacity` are stored in `ids`, which may be NULL if `capacity` is
/// 0. out_count is always written: how many are pending, which may be more than `capacity`.
///
/// Returns: UDPR_OK, also if there are more than `capacity`; UDPR_E_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_delayed_calls(
    reactor: *const udpr_reactor,
    ids: *mut udpr_id,
    capacity: usize,
    out_count: *mut usize,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (reactor, out_count) = (unsafe { HandleRef::new(reactor) }, unsafe { Out::new(out_count) });
    out_count.set(0);
    status(with_reactor_briefly(reactor, |reactor| {
        out_count.check("out_count")?;
        out_count.set(reactor.delayed_calls(&mut []));
        if capacity == 0 {
            return Ok(());
        }
        if ids.is_null() {
            return Err(refusal::null("ids"));
        }
        if capacity > isize::MAX as usize / size_of::<udpr_id>() {
            return Err(refusal::invalid("capacity", capacity as u64, "more than memory holds"));
        }
        // SAFETY: the caller's array of `capacity` ids.
        reactor.delayed_calls(unsafe { std::slice::from_raw_parts_mut(ids, capacity) });
        Ok(())
    }))
}

/// Moves a manual clock by `by`, and makes the delayed calls that become due, in order, each at its own instant. Calls that are
/// created meanwhile are made as well if they are due.
///
/// Returns: UDPR_OK; UDPR_E_NOT_SUPPORTED without UDPR_REACTOR_MANUAL_CLOCK; UDPR_E_REENTRANT inside a callback;
/// UDPR_E_INVALID_ARGUMENT if `by` is above INT64_MAX.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_advance(reactor: *mut udpr_reactor, by: udpr_ns) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let reactor = unsafe { HandleRef::new(reactor) };
    status(with_outer_reactor(reactor, false, |reactor| reactor.advance(by)))
}
