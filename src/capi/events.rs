//! Chapter "startup and shutdown".

use super::callback::{CCall, CTrigger, UserData};
use super::guard::*;
use super::ptr::{HandleRef, Out};
use crate::abi::*;
use crate::trigger::{Event, Phase};
use std::ffi::c_void;
use std::rc::Rc;

/// Calls `fn` once. If the reactor is running, it is called inside this, and `out_id` gets 0. Otherwise it is called at
/// the next startup, among its after-triggers, in the order in which they were added; udpr_reactor_remove_trigger
/// removes it until then. `out_id` may be NULL.
///
/// Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT; UDPR_E_CLOSED while the reactor is freed; UDPR_E_NO_MEMORY. If it fails,
/// free_user has been called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_call_when_running(
    reactor: *mut udpr_reactor,
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
    status(with_reactor(reactor, |reactor| {
        let id = reactor.call_when_running(CCall::new(r#fn, user)?)?;
        out_id.set(id.unwrap_or(0));
        Ok(())
    }))
}

/// Calls `fn` at every startup or shutdown (`event`, a udpr_event_code), in one of its phases (`phase`, a
/// udpr_phase_code). Within a phase, triggers are called in the order in which they were added. A before-trigger may
/// return UDPR_PENDING: the rest of the event then waits until udpr_reactor_finish_trigger, while the loop goes on. A
/// failure is logged, and the other triggers are called. At shutdown the ports stop between before and during. `out_id`
/// may be NULL.
///
/// Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT; UDPR_E_CLOSED while the reactor is freed; UDPR_E_NO_MEMORY. If it fails,
/// free_user has been called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_add_trigger(
    reactor: *mut udpr_reactor,
    phase: u32,
    event: u32,
    r#fn: udpr_trigger_fn,
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
        let (phase, event) = (Phase::from_code(phase)?, Event::from_code(event)?);
        let id = reactor.add_trigger(phase, event, Rc::new(CTrigger::new(r#fn, user)?))?;
        out_id.set(id);
        Ok(())
    }))
}

/// Removes a trigger, even if its event is in progress. If it was pending, it holds nothing back any more. Its
/// free_user is called inside this, or after its callback has returned if this is called inside it.
///
/// Returns: UDPR_OK; UDPR_E_NOT_FOUND.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_remove_trigger(reactor: *mut udpr_reactor, id: udpr_id) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let reactor = unsafe { HandleRef::new(reactor) };
    status(with_reactor(reactor, |reactor| reactor.remove_trigger(id)))
}

/// Ends the wait for a trigger that returned UDPR_PENDING. If it was the last one, the rest of the event is called
/// inside this.
///
/// Returns: UDPR_OK; UDPR_E_NOT_FOUND if it is not pending.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_finish_trigger(reactor: *mut udpr_reactor, id: udpr_id) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let reactor = unsafe { HandleRef::new(reactor) };
    status(with_reactor(reactor, |reactor| reactor.finish_trigger(id)))
}

/// Fires an event at once. A shutdown stops the ports and ends a run; a startup only calls its triggers.
///
/// Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT; UDPR_E_ALREADY_RUNNING while an event is in progress, but a shutdown ends
/// a startup.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_fire_event(reactor: *mut udpr_reactor, event: u32) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let reactor = unsafe { HandleRef::new(reactor) };
    status(with_reactor(reactor, |reactor| reactor.fire_event(Event::from_code(event)?)))
}
