//! Chapter "threads and names".

use super::callback::{CCall, CJob, CResolved, UserData};
use super::guard::*;
use super::ptr::{self, HandleRef, Out, give_out};
use crate::abi::*;
use crate::status::Status;
use std::ffi::{c_char, c_void};
use std::sync::Arc;

/// Calls `fn` on the reactor's thread in its next turn, in order for each calling thread; kept until there is a turn. For who
/// knows that the reactor lives on; a remote needs not know. [any thread]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_call_from_thread(
    reactor: *mut udpr_reactor,
    r#fn: udpr_call_fn,
    user: *mut c_void,
    free_user: udpr_free_fn,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (reactor, user) = (unsafe { HandleRef::new(reactor) }, unsafe { UserData::new(user, free_user) });
    status(anywhere_briefly(|| reactor.shared()?.call(CCall::new(r#fn, user)?)))
}

/// Runs `work` on a thread of the pool, then `done` (may be NULL) on the reactor's thread, where free_user runs, too. Free
/// waits for work that runs, and drops what has not begun; `done` is not called any more then. Work has the signal mask of the
/// thread that calls this, and a stack of 2 MiB. UDPR_E_NO_MEMORY if no thread can be made.
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

/// Sets how many threads the pool has at most, 1 to 1024; 0 means 10. They are made when they are needed. Look-ups do not count.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_suggest_thread_pool_size(
    reactor: *mut udpr_reactor,
    size: u32,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let reactor = unsafe { HandleRef::new(reactor) };
    status(with_reactor(reactor, |reactor| reactor.suggest_thread_pool_size(size as usize)))
}

/// Looks a host name up: `fn` gets every address in the system's order, with `port` filled in, always in a later turn and
/// exactly once. `family` (udpr_family_code): one, or 0 for both. An IP literal answers without a look-up, one of the other
/// family with UDPR_E_ADDRESS_FAMILY; "" is every address of this host. `timeout` is in ns, counted from the call; 0 means
/// 60 s, and UDPR_NEVER none. `fn` receives UDPR_OK, UDPR_E_NAME_NOT_FOUND, UDPR_E_NAME_TRY_AGAIN, UDPR_E_TIMED_OUT, UDPR_E_CANCELLED,
/// UDPR_E_ADDRESS_FAMILY, or another status that the system reports; and addresses with UDPR_OK only, which are valid until it
/// returns.
///
/// Each look-up has a thread of its own, apart from the pool. At most 16 of a reactor are under way at once, and the others wait
/// in order. One that is cancelled or timed out holds up neither work nor other look-ups, though its thread stays until the
/// system gives up; such threads are bounded: 32 by reactor, 64 by process. udpr_reactor_free does not wait for them.
///
/// UDPR_E_INVALID_ARGUMENT for what cannot be a name: over 253 bytes, an empty label, a byte other than letters, digits, "-"
/// and "_", or a number as the last label ("127.1"), and for a timeout above INT64_MAX other than UDPR_NEVER. Nothing of that
/// reaches the system. UDPR_E_NO_MEMORY if no thread can be made, and none of this reactor's look-ups has one. out_id may be
/// NULL.
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
        let host = host.map_err(|_| Status::INVALID_ARGUMENT)?;
        out_id.set(reactor.resolve(host, port, family, timeout, call)?);
        Ok(())
    }))
}

/// Gives a look-up up: its callback comes in a later turn with UDPR_E_CANCELLED. UDPR_E_NOT_FOUND where it was told its answer, or given up before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_cancel_resolve(reactor: *mut udpr_reactor, id: udpr_id) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let reactor = unsafe { HandleRef::new(reactor) };
    status(with_reactor(reactor, |reactor| reactor.cancel_resolve(id)))
}

/// Stores a reactor's remote: what other threads use of it. The remote outlives the reactor: then everything on it returns
/// UDPR_E_CLOSED, and free_user runs in the failing call. It is retained for the caller, who releases it once. May be called
/// from any thread if the caller knows that the reactor is alive. [any thread]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_remote(
    reactor: *mut udpr_reactor,
    out: *mut *mut udpr_remote,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (reactor, out) = (unsafe { HandleRef::new(reactor) }, unsafe { Out::new(out) });
    status(anywhere(|| {
        let remote = reactor.shared()?;
        remote.shared.owner.check_open()?;
        out.check()?;
        out.give(give_out(Arc::clone(remote)))
    }))
}

/// One more reference, for udpr_remote_release. NULL is fine, and comes back. [any thread]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_remote_retain(remote: *mut udpr_remote) -> *mut udpr_remote {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    unsafe { HandleRef::new(remote) }.retain();
    remote
}

/// One reference less. NULL is fine. [any thread]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_remote_release(remote: *mut udpr_remote) {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let remote = unsafe { HandleRef::new(remote) };
    if !remote.is_null() {
        // SAFETY: the caller gives its own reference up.
        drop(unsafe { remote.take_back() });
    }
}

/// Calls `fn` on the reactor's thread in its next turn, in order for each calling thread; kept until there is a turn. Calls
/// made while these are called wait for the turn after. [any thread]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_remote_call(
    remote: *mut udpr_remote,
    r#fn: udpr_call_fn,
    user: *mut c_void,
    free_user: udpr_free_fn,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (remote, user) = (unsafe { HandleRef::new(remote) }, unsafe { UserData::new(user, free_user) });
    status(anywhere_briefly(|| remote.shared()?.call(CCall::new(r#fn, user)?)))
}

/// Stops the reactor in its next turn, but never a run that begins after this has returned. UDPR_E_NOT_RUNNING when nothing
/// runs. [any thread]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_remote_stop(remote: *mut udpr_remote) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let remote = unsafe { HandleRef::new(remote) };
    status(remote.shared().and_then(|remote| remote.shared.request_stop()))
}

/// Ends the waiting of run or iterate; where nobody waits, of the next one. [any thread, signal safe, keeps errno]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_remote_wake(remote: *mut udpr_remote) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let remote = unsafe { HandleRef::new(remote) };
    status(remote.shared().and_then(|remote| remote.shared.wake()))
}
