//! Chapter "reactor: life".

use super::guard::*;
use super::ptr::{HandleRef, Out, VersionedCopy, give_out};
use crate::abi::*;
use crate::reactor::Reactor;
use crate::status::{Result, Status};
use crate::sys::{CancelDisabled, OwnerLock, close, tsan};
use std::ffi::c_void;
use std::ptr::null_mut;

/// Makes a reactor; `options` may be NULL. Reactors are independent of each other: a thread each, as many as one likes.
/// Release it with udpr_reactor_free. UDPR_E_VERSION for unknown flags, UDPR_E_NO_FILES, UDPR_E_NO_MEMORY. [any thread]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_new(
    options: *const udpr_reactor_options,
    out: *mut *mut udpr_reactor,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (options, out) = (unsafe { VersionedCopy::or_default(options) }, unsafe { Out::new(out) });
    status(anywhere(|| {
        out.check()?;
        silence_panics();
        let options = options?.check()?;
        let reactor = Reactor::new(options.flags, options.thread_pool_size as usize)?;
        let handle: *mut udpr_reactor = give_out(Box::new(reactor));
        // SAFETY: made just now.
        let lent = unsafe { HandleRef::new(handle) };
        // SAFETY: nobody else knows it.
        unsafe { lent.core() }.context().c_handle.set(handle.cast());
        out.give(handle)
    }))
}

/// Ends a reactor: closes what still listens, with stop_protocol, and frees what was still to be called. NULL is fine.
/// Transports and remotes that are still retained answer UDPR_E_CLOSED from then on. UDPR_E_REENTRANT inside a callback,
/// UDPR_E_WRONG_THREAD while another thread uses it: then it lives on. In a forked child it only closes descriptors;
/// UDPR_E_WRONG_THREAD there while another thread is inside this or udpr_reactor_after_fork.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_free(reactor: *mut udpr_reactor) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let reactor = unsafe { HandleRef::new(reactor) };
    if reactor.is_null() { Status::OK.code() } else { status(free(reactor)) }
}

/// Takes the handle: a reference into the reactor, as an argument, would have to be valid until this returns.
fn free(reactor: HandleRef<'_, udpr_reactor>) -> Result {
    let _uncancelled = CancelDisabled::begin();
    let shared = reactor.shared()?.shared.clone();
    let entry = match shared.owner.enter() {
        Ok(entry) if entry.is_nested() => return Err(Status::REENTRANT),
        Err(Status::CLOSED) => return free_in_child(reactor, &shared.owner),
        Err(Status::PANIC) => shared.owner.enter_poisoned()?,
        entry => entry?,
    };
    // SAFETY: the owner lock keeps every other thread out.
    if unsafe { reactor.core() }.is_at_work() {
        return Err(Status::REENTRANT);
    }
    // SAFETY: as above.
    let closed = quietly(|| unsafe { reactor.core() }.close());
    if shared.owner.is_forked() {
        return free_in_child(reactor, &shared.owner);
    }
    shared.owner.close();
    // SAFETY: as above.
    if closed || quietly(|| unsafe { reactor.core() }.drop_rest()) {
        // SAFETY: as above, and this is the end of it: every callback has returned.
        let last = unsafe { reactor.take_back() };
        // Other threads may have the last references to what it shares with them.
        tsan::release(&shared.owner);
        quietly(|| drop(last));
    }
    drop(entry);
    Ok(())
}

/// The child's copy is left as it is: whatever it would do, epoll and callbacks are the parent's.
fn free_in_child(reactor: HandleRef<'_, udpr_reactor>, owner: &OwnerLock) -> Result {
    let child = owner.enter_forked().map_err(|status| match status {
        // Another thread has called after_fork since.
        Status::NOT_SUPPORTED => Status::WRONG_THREAD,
        status => status,
    })?;
    // SAFETY: nobody else is in, and nobody frees it in a forked child.
    for fd in unsafe { reactor.core() }.descriptors() {
        // A descriptor of this reactor's, which nothing here uses any more: it is never dropped.
        close(fd);
    }
    child.close();
    Ok(())
}

/// Turns until udpr_reactor_stop, also with nothing to do, and through EINTR; may be called again afterwards. Callbacks run
/// inside it. UDPR_OK after a stop or a crash; UDPR_E_ALREADY_RUNNING after udpr_reactor_start; UDPR_E_REENTRANT inside a
/// callback; what the kernel says where it can wait no more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_run(reactor: *mut udpr_reactor) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let reactor = unsafe { HandleRef::new(reactor) };
    status(with_outer_reactor(reactor, true, Reactor::run))
}

/// At the end of this turn the shutdown begins: before-triggers, which may hold it back, then every port stops, then the
/// other triggers, then run returns. UDPR_E_NOT_RUNNING when nothing runs, and when it was stopped before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_stop(reactor: *mut udpr_reactor) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let reactor = unsafe { HandleRef::new(reactor) };
    status(with_reactor(reactor, Reactor::stop))
}

/// Run returns after this turn, also where a callback starts it again before that: then it goes on by udpr_reactor_iterate.
/// Ports stay open, and are served when it is run again. UDPR_E_NOT_RUNNING.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_crash(reactor: *mut udpr_reactor) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let reactor = unsafe { HandleRef::new(reactor) };
    status(with_reactor(reactor, Reactor::crash))
}

/// In a forked child, before anything else: descriptors of its own, everything registered anew. Ports, watches, delayed calls
/// and triggers go on there; the sockets are shared with the parent, which is not disturbed. Look-ups that were under way are
/// UDPR_E_CANCELLED, work on the pool stays the parent's. The C library does not release the locks of getaddrinfo(3) in a
/// child: if a thread of the parent was looking a name up at the fork, look-ups in the child may time out.
/// UDPR_E_NOT_SUPPORTED where this is no forked child;
/// UDPR_E_REENTRANT inside a callback that has forked; UDPR_E_WRONG_THREAD if another thread used the reactor, or was just
/// leaving a call or a post here, when the fork came: then it is of no use in this child; UDPR_E_WRONG_THREAD also while
/// another thread of the child is inside this or udpr_reactor_free, or once another has freed it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_after_fork(reactor: *mut udpr_reactor) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let reactor = unsafe { HandleRef::new(reactor) };
    status(anywhere(|| {
        let child = reactor.shared()?.shared.owner.enter_forked()?;
        // SAFETY: the owner lock keeps every other thread out.
        unsafe { reactor.core() }.after_fork(child)
    }))
}

/// Whether it is between startup and shutdown. 0 for NULL. [any thread]
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_is_running(reactor: *const udpr_reactor) -> udpr_bool {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let reactor = unsafe { HandleRef::new(reactor) };
    reactor.shared().is_ok_and(|remote| remote.shared.is_running()).into()
}

/// Keeps a pointer for udpr_reactor_user. It stays the caller's.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_set_user(reactor: *mut udpr_reactor, user: *mut c_void) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let reactor = unsafe { HandleRef::new(reactor) };
    status(with_reactor(reactor, |reactor| {
        reactor.set_user(user.cast());
        Ok(())
    }))
}

/// What udpr_reactor_set_user has kept. NULL on a wrong thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_user(reactor: *const udpr_reactor) -> *mut c_void {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let reactor = unsafe { HandleRef::new(reactor) };
    with_reactor(reactor, |reactor| Ok(reactor.user())).map_or(null_mut(), |user| user.cast())
}
