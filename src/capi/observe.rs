//! Chapter "logging and counters".

use super::callback::{CLog, UserData};
use super::guard::*;
use super::ptr::{HandleRef, Out};
use crate::abi::*;
use crate::log::{Level, Log};
use crate::status::Status;
use std::ffi::c_void;
use std::rc::Rc;

/// Sends log records up to `max_level` (a udpr_log_code; 0: none) to `fn`, on the reactor's thread. NULL as `fn` ends
/// logging. The previous logger's free_user is called inside this, or after its callback has returned if this is called
/// inside it. The library itself prints nothing.
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
            return Err(Status::INVALID_ARGUMENT);
        }
        reactor.context().check_open()?;
        let sink = r#fn.map(|log| Rc::new(CLog { log, user }) as Rc<dyn Log>);
        drop(reactor.context().log.set(max_level, sink));
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
    status(with_reactor(reactor, |reactor| out.fill(&reactor.get_stats())))
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
    status(with_port(transport, |port| out.fill(&port.get_stats()?)))
}
