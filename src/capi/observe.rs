//! Chapter "logging and counters".

use super::callback::{CLog, UserData};
use super::guard::*;
use super::ptr::{HandleRef, Out};
use crate::abi::*;
use crate::log::{Level, Log};
use crate::refusal;
use std::ffi::c_void;
use std::rc::Rc;

/// Sends log records up to `max_level` (a udpr_log_code; 0: none) to `fn`, on the reactor's thread. NULL as `fn` ends
/// logging. The previous logger's free_user is called inside this, or after its callback has returned if this is called
/// inside it. The library itself prints nothing.
///
/// At UDPR_LOG_DEBUG, each call that returns UDPR_E_INVALID_ARGUMENT, UDPR_E_VERSION or UDPR_E_NOT_SUPPORTED makes a record that
/// names the function, the argument, what was given and what is allowed: "udpr_transport_write: to->port is 0; 1 to 65535". It is
/// made before the call returns. Functions for any thread make it in the reactor's next turn, at most 64 in one turn. There is no
/// record of functions without a reactor (udpr_addr_*, udpr_interface*, udpr_reactor_new), of NULL as the handle, and of mistakes
/// that the logger makes while it receives such a record.
///
/// Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT; UDPR_E_CLOSED while the reactor is freed. If it fails, free_user has been
/// called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_set_logger(
    reactor: *mut udpr_reactor,
    max_level: u32,
    r#fn: udpr_log_fn,
    user: *mut c_void,
    free_user: udpr_free_fn,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (reactor, user) = (unsafe { HandleRef::new(reactor) }, unsafe { UserData::new(user, free_user) });
    status(with_reactor(reactor, |reactor| {
        if max_level > Level::Debug as u32 {
            return Err(refusal::invalid("max_level", max_level.into(), "UDPR_LOG_DEBUG is 4, the last"));
        }
        reactor.context().check_open()?;
        let sink = r#fn.map(|log| Rc::new(CLog { log, user }) as Rc<dyn Log>);
        drop(reactor.context().set_logger(max_level, sink));
        Ok(())
    }))
}

/// Gets the counters of a reactor. The caller sets out->size.
///
/// Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_get_stats(
    reactor: *const udpr_reactor,
    out: *mut udpr_reactor_stats,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (reactor, out) = (unsafe { HandleRef::new(reactor) }, unsafe { Out::new(out) });
    status(with_reactor(reactor, |reactor| out.fill("out", &reactor.get_stats())))
}

/// Gets the counters of a port. The caller sets out->size. The last chance to read them is inside stop_protocol.
///
/// Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT; UDPR_E_CLOSED once stop_protocol has returned.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_get_stats(
    transport: *const udpr_transport,
    out: *mut udpr_transport_stats,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (transport, out) = (unsafe { HandleRef::new(transport) }, unsafe { Out::new(out) });
    status(with_port(transport, |port| out.fill("out", &port.get_stats()?)))
}
