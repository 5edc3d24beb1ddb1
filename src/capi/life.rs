//! Chapter "reactors".

use super::guard::*;
use super::ptr::{HandleRef, Out, VersionedCopy, give_out};
use crate::abi::*;
use crate::reactor::Reactor;
use crate::refusal;
use crate::status::{Result, Status};
use crate::sys::{CancelDisabled, OwnerLock, close, tsan};
use std::ffi::c_void;
use std::ptr::null_mut;

/// Makes a reactor. `options` may be NULL. Reactors are independent of each other: a program may have any number of
/// them, each on its own thread. Free it with udpr_reactor_free. [any thread]
///
/// Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT; UDPR_E_VERSION for unknown flags; UDPR_E_NO_FILES; UDPR_E_NO_MEMORY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_new(
    options: *const udpr_reactor_options,
    out: *mut *mut udpr_reactor,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (options, out) = (unsafe { VersionedCopy::or_default(options) }, unsafe { Out::new(out) });
    status(anywhere(|| {
        out.check("out")?;
        silence_panics();
        let options = options.map_err(|bad| bad.of("options"))?.check("options->")?;
        if options.reserved != 0 {
            let reserved = options.reserved as u64;
            return Err(refusal::unknown_field(
                "options->",
                "reserved",
                reserved,
                "this version knows only 0",
            ));
        }
        let reactor = Reactor::new(options.flags, options.thread_pool_size as usize, options.spin)?;
        let handle: *mut udpr_reactor = give_out(Box::new(reactor));
        // SAFETY: made just now.
        let lent = unsafe { HandleRef::new(handle) };
        // SAFETY: nobody else knows it.
        unsafe { lent.core() }.context().c_handle.set(handle.cast());
        out.give("out", handle)
    }))
}

/// Frees a reactor. It closes the ports, for which stop_protocol is called, and calls the free_user of everything that
/// is still pending. NULL has no effect. Transports and remotes that are still retained return UDPR_E_CLOSED from then
/// on. In a forked child it only closes descriptors.
///
/// Returns: UDPR_OK; UDPR_E_REENTRANT inside a callback, and UDPR_E_WRONG_THREAD while another thread uses it, in which
/// case nothing was freed; in a forked child UDPR_E_WRONG_THREAD while another thread is inside this or
/// udpr_reactor_after_fork.
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

/// Runs turns until udpr_reactor_stop, even if nothing is registered, and through EINTR. Callbacks are called inside
/// it. It may be called again afterwards.
///
/// Returns: UDPR_OK after a stop or a crash; UDPR_E_ALREADY_RUNNING after udpr_reactor_start; UDPR_E_REENTRANT inside a
/// callback; UDPR_E_WRONG_THREAD; another status if the kernel cannot wait any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_run(reactor: *mut udpr_reactor) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let reactor = unsafe { HandleRef::new(reactor) };
    status(with_outer_reactor(reactor, true, Reactor::run))
}

/// Stops the reactor: the shutdown begins at the end of this turn. The before-triggers are called, which may hold it
/// back; then every port stops; then the other triggers are called, and run returns.
///
/// Returns: UDPR_OK; UDPR_E_NOT_RUNNING if the reactor is not running, or was stopped before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_stop(reactor: *mut udpr_reactor) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let reactor = unsafe { HandleRef::new(reactor) };
    status(with_reactor(reactor, Reactor::stop))
}

/// Makes run return at the end of this turn, without the shutdown event. Ports stay open, and are served when the
/// reactor is run again. If a callback starts the reactor again before the end of the turn, run returns all the same,
/// and the program goes on with udpr_reactor_iterate.
///
/// Returns: UDPR_OK; UDPR_E_NOT_RUNNING.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_crash(reactor: *mut udpr_reactor) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let reactor = unsafe { HandleRef::new(reactor) };
    status(with_reactor(reactor, Reactor::crash))
}

/// Makes the reactor usable in a forked child. Call it there before anything else. The reactor gets descriptors of its
/// own, and everything is registered again. Ports, watches, delayed calls and triggers go on; the sockets are shared
/// with the parent, which is not disturbed. Watches of signals are renewed, without the signals that the parent has
/// received; watches of interfaces are renewed, and are called once. Look-ups in progress get UDPR_E_CANCELLED, and work on the pool stays the
/// parent's. The C library does not release the locks of getaddrinfo(3) in a child: if a thread of the parent was
/// looking a name up at the fork, look-ups in the child may time out.
///
/// Returns: UDPR_OK; UDPR_E_NOT_SUPPORTED if this is not a forked child; UDPR_E_REENTRANT inside a callback that has
/// forked; UDPR_E_WRONG_THREAD if another thread used the reactor at the fork, or was just leaving a call or a post:
/// then it cannot be used in this child; UDPR_E_WRONG_THREAD also while another thread of the child is inside this or
/// udpr_reactor_free, or after another thread has freed it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_after_fork(reactor: *mut udpr_reactor) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let reactor = unsafe { HandleRef::new(reactor) };
    status(from_any_thread(reactor, |remote| {
        let _uncancelled = CancelDisabled::begin();
        let child = remote.shared.owner.enter_forked().map_err(|status| match status {
            Status::NOT_SUPPORTED => refusal::unsupported("reactor", "is this process's: it was not forked"),
            status => status,
        })?;
        // SAFETY: the owner lock keeps every other thread out.
        unsafe { reactor.core() }.after_fork(child)
    }))
}

/// Gets whether the reactor is between startup and shutdown. [any thread]
///
/// Returns: 1 or 0; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_is_running(reactor: *const udpr_reactor) -> udpr_bool {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let reactor = unsafe { HandleRef::new(reactor) };
    reactor.shared().is_ok_and(|remote| remote.shared.is_running()).into()
}

/// Keeps a pointer for udpr_reactor_user. The library does not free it.
///
/// Returns: UDPR_OK; UDPR_E_WRONG_THREAD.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_set_user(reactor: *mut udpr_reactor, user: *mut c_void) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let reactor = unsafe { HandleRef::new(reactor) };
    status(with_reactor(reactor, |reactor| {
        reactor.set_user(user.cast());
        Ok(())
    }))
}

/// Gets the pointer that udpr_reactor_set_user has kept.
///
/// Returns: the pointer; NULL on a wrong thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_reactor_user(reactor: *const udpr_reactor) -> *mut c_void {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let reactor = unsafe { HandleRef::new(reactor) };
    with_reactor(reactor, |reactor| Ok(reactor.user())).map_or(null_mut(), |user| user.cast())
}
