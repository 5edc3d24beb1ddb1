//! Chapter "threads and host names".

use super::callback::{CCall, CJob, CResolved, UserData};
use super::guard::*;
use super::ptr::{self, HandleRef, Out, give_out};
use crate::abi::*;
use crate::refusal;
use std::ffi::{c_char, c_void};
use std::sync::Arc;

/// Calls `fn` on the reactor's thread in its next turn, in order for each calling thread. The call is kept until there
/// is a turn. The caller has to know that the reactor is alive; a remote can be used without knowing that. [any thread]
///
/// Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT; UDPR_E_CLOSED; UDPR_E_NO_MEMORY. If it fails, free_user has been called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_call_from_thread(
    reactor: *mut udpr_reactor,
    r#fn: udpr_call_fn,
    user: *mut c_void,
    free_user: udpr_free_fn,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (reactor, user) = (unsafe { HandleRef::new(reactor) }, unsafe { UserData::new(user, free_user) });
    // Both are dropped last: free_user may free the handle.
    let (mut user, mut call) = (Some(user), None);
    status(from_any_thread(reactor, |remote| {
        call = CCall::take(r#fn, &mut user)?;
        remote.take_call(&mut call)
    }))
}

/// Calls `work` on a thread of the pool, then `done`, which may be NULL, on the reactor's thread, where free_user is
/// called as well. udpr_reactor_free waits for work in progress and drops work that has not begun; then `done` is not
/// called. Work has the signal mask of the thread that calls this, and a stack of 2 MiB.
///
/// Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT; UDPR_E_CLOSED while the reactor is freed; UDPR_E_NO_MEMORY if no thread
/// can be made. If it fails, free_user has been called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_call_in_thread(
    reactor: *mut udpr_reactor,
    work: udpr_work_fn,
    done: udpr_call_fn,
    user: *mut c_void,
    free_user: udpr_free_fn,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (reactor, user) = (unsafe { HandleRef::new(reactor) }, unsafe { UserData::new(user, free_user) });
    status(with_reactor(reactor, |reactor| reactor.call_in_thread(Box::new(CJob::new(work, done, user)?))))
}

/// Sets the most threads of the pool, 1 to 1024; 0 means 10. Threads are made when they are needed. Look-ups have
/// threads of their own.
///
/// Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT; UDPR_E_NO_MEMORY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_suggest_thread_pool_size(
    reactor: *mut udpr_reactor,
    size: u32,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let reactor = unsafe { HandleRef::new(reactor) };
    status(with_reactor(reactor, |reactor| reactor.suggest_thread_pool_size(size as usize)))
}

/// Looks a host name up. `fn` is called in a later turn, exactly once, with every address in the system's order and
/// with `port` filled in. `family` (a udpr_family_code) is one family, or 0 for both. An IP address needs no look-up;
/// one of the other family gets UDPR_E_ADDRESS_FAMILY. "" is every address of this host. `timeout` is in nanoseconds
/// from this call; 0 means 60 s, UDPR_NEVER no timeout. `out_id` may be NULL.
///
/// `fn` receives UDPR_OK, UDPR_E_NAME_NOT_FOUND, UDPR_E_NAME_TRY_AGAIN, UDPR_E_TIMED_OUT, UDPR_E_CANCELLED,
/// UDPR_E_ADDRESS_FAMILY, or another status that the system reports. It receives addresses with UDPR_OK only; they are
/// valid until it returns.
///
/// Each look-up has a thread of its own, apart from the pool. At most 16 look-ups of a reactor are in progress at once,
/// and the others wait in order. A look-up that was cancelled or has timed out holds up neither work nor other
/// look-ups, though its thread stays until the system gives up. Such threads are bounded: 32 for each reactor, 64 for
/// the process. udpr_reactor_free does not wait for them.
///
/// Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT for what cannot be a name (over 253 bytes, an empty label, a byte other
/// than letters, digits, "-" and "_", or a number as the last label, as in "127.1"; none of this reaches the system),
/// and for a timeout above INT64_MAX other than UDPR_NEVER; UDPR_E_CLOSED while the reactor is freed; UDPR_E_NO_MEMORY
/// if no thread can be made, and none of this reactor's look-ups has one. If it fails, free_user has been called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_resolve(
    reactor: *mut udpr_reactor,
    host: *const c_char,
    port: u16,
    family: u16,
    timeout: udpr_ns,
    r#fn: udpr_resolved_fn,
    user: *mut c_void,
    free_user: udpr_free_fn,
    out_id: *mut udpr_id,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (reactor, host, user, out_id) = (
        unsafe { HandleRef::new(reactor) },
        unsafe { ptr::text(host) },
        unsafe { UserData::new(user, free_user) },
        unsafe { Out::new(out_id) },
    );
    status(with_reactor(reactor, |reactor| {
        let call = Box::new(CResolved::new(r#fn, user)?);
        let host = ptr::required(host, "host")?.to_str();
        let host = host.map_err(|_| refusal::wrong("host", "is not UTF-8"))?;
        out_id.set(reactor.resolve(host, port, family, timeout, call)?);
        Ok(())
    }))
}

/// Cancels a look-up: its callback is called in a later turn with UDPR_E_CANCELLED.
///
/// Returns: UDPR_OK; UDPR_E_NOT_FOUND if its result was delivered, or if it was cancelled before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_cancel_resolve(reactor: *mut udpr_reactor, id: udpr_id) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let reactor = unsafe { HandleRef::new(reactor) };
    status(with_reactor(reactor, |reactor| reactor.cancel_resolve(id)))
}

/// Gets a reactor's remote, the handle for other threads. The remote may outlive the reactor: then every function that
/// takes it returns UDPR_E_CLOSED, and free_user is called inside the failing call. It is retained for the caller, who
/// releases it once. The caller has to know that the reactor is alive. [any thread]
///
/// Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_remote(
    reactor: *mut udpr_reactor,
    out: *mut *mut udpr_remote,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (reactor, out) = (unsafe { HandleRef::new(reactor) }, unsafe { Out::new(out) });
    status(from_any_thread(reactor, |remote| {
        remote.shared.owner.check_open()?;
        out.check("out")?;
        out.give("out", give_out(Arc::clone(remote)))
    }))
}

/// Adds a reference, for udpr_remote_release. NULL has no effect. [any thread]
///
/// Returns: `remote`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_remote_retain(remote: *mut udpr_remote) -> *mut udpr_remote {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    unsafe { HandleRef::new(remote) }.retain();
    remote
}

/// Releases a reference. NULL has no effect. [any thread]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_remote_release(remote: *mut udpr_remote) {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let remote = unsafe { HandleRef::new(remote) };
    if !remote.is_null() {
        // SAFETY: the caller gives its own reference up.
        drop(unsafe { remote.take_back() });
    }
}

/// Calls `fn` on the reactor's thread in its next turn, in order for each calling thread. The call is kept until there
/// is a turn. Calls that are added while these are made wait for the turn after. [any thread]
///
/// Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT; UDPR_E_CLOSED; UDPR_E_NO_MEMORY. If it fails, free_user has been called.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_remote_call(
    remote: *mut udpr_remote,
    r#fn: udpr_call_fn,
    user: *mut c_void,
    free_user: udpr_free_fn,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (remote, user) = (unsafe { HandleRef::new(remote) }, unsafe { UserData::new(user, free_user) });
    // Both are dropped last: free_user may free the handle.
    let (mut user, mut call) = (Some(user), None);
    status(from_any_thread(remote, |remote| {
        call = CCall::take(r#fn, &mut user)?;
        remote.take_call(&mut call)
    }))
}

/// Stops the present run in its next turn. A run that begins after this has returned is not affected. [any thread]
///
/// Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT; UDPR_E_NOT_RUNNING; UDPR_E_CLOSED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_remote_stop(remote: *mut udpr_remote) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let remote = unsafe { HandleRef::new(remote) };
    status(remote.shared().and_then(|remote| remote.shared.request_stop()))
}

/// Ends the wait of run or iterate or, if the reactor does not wait at the moment, its next wait. [any thread, signal
/// safe, keeps errno]
///
/// Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT; UDPR_E_CLOSED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_remote_wake(remote: *mut udpr_remote) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let remote = unsafe { HandleRef::new(remote) };
    status(remote.shared().and_then(|remote| remote.shared.wake()))
}
