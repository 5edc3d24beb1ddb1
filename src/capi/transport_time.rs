//! Chapter "time: calls of a port".

use super::callback::{CPortCall, CPortRepeat, UserData};
use super::guard::*;
use super::ptr::{HandleRef, Out};
use crate::abi::*;
use std::ffi::c_void;

/// Calls `fn` once, `delay` from now, as udpr_reactor_call_later does; but the call belongs to the transport.
///
/// It is not made after udpr_transport_stop_listening, udpr_transport_stop_when_sent or udpr_transport_close, or after a shutdown has
/// stopped the port. Calls that are pending then end right before stop_protocol: their free_user is called, and their ids are
/// UDPR_E_ALREADY_CANCELLED. If a call closes its own port, its free_user is called once it has returned, before that of the
/// protocol. May be called in start_protocol; if listening fails then, free_user is called inside listen_*. The call counts as one of the reactor's, whose
/// functions take its id. `out_id` may be NULL.
///
/// Returns: UDPR_OK; UDPR_E_CLOSED once the port does not listen any more, in stop_protocol too; UDPR_E_INVALID_ARGUMENT as
/// udpr_reactor_call_later; UDPR_E_NO_MEMORY. If it fails, free_user has been called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_call_later(
    transport: *mut udpr_transport,
    delay: udpr_ns,
    r#fn: udpr_protocol_fn,
    user: *mut c_void,
    free_user: udpr_free_fn,
    out_id: *mut udpr_id,
) -> udpr_status {
    // SAFETY: the caller promises of its pointers what the head of the header says.
    let (transport, user, out_id) =
        (unsafe { HandleRef::new(transport) }, unsafe { UserData::new(user, free_user) }, unsafe {
            Out::new(out_id)
        });
    status(with_port_and_reactor(transport, |port, reactor| {
        let call = Box::new(CPortCall::new(r#fn, user)?);
        out_id.set(reactor.call_port_later(port, delay, call)?);
        Ok(())
    }))
}

/// Calls `fn` every `interval`, as udpr_reactor_call_every does; but the call belongs to the transport, as one of
/// udpr_transport_call_later does.
///
/// Returns: UDPR_OK; UDPR_E_CLOSED once the port does not listen any more, in stop_protocol too; UDPR_E_INVALID_ARGUMENT as
/// udpr_reactor_call_every; UDPR_E_NO_MEMORY. If it fails, free_user has been called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_call_every(
    transport: *mut udpr_transport,
    interval: udpr_ns,
    r#fn: udpr_transport_repeat_fn,
    user: *mut c_void,
    free_user: udpr_free_fn,
    out_id: *mut udpr_id,
) -> udpr_status {
    // SAFETY: the caller promises of its pointers what the head of the header says.
    let (transport, user, out_id) =
        (unsafe { HandleRef::new(transport) }, unsafe { UserData::new(user, free_user) }, unsafe {
            Out::new(out_id)
        });
    status(with_port_and_reactor(transport, |port, reactor| {
        let call = Box::new(CPortRepeat::new(r#fn, user)?);
        out_id.set(reactor.call_port_every(port, interval, call)?);
        Ok(())
    }))
}
