//! What every function of the C API does before and after its body: it checks the thread, stops panics, and disables
//! cancellation of the thread. If the body fails for an argument, they log the reason.
//!
//! A record names the function of the C API by the type of its closure, `udpr::capi::time::udpr_reactor_call_at::{{closure}}`, so
//! that no function has to give its own name.

use super::callback::Core;
use super::ptr::{CHandle, HandleRef};
use crate::abi::{udpr_reactor, udpr_status, udpr_transport};
use crate::context::{Context, Shared};
use crate::log::Level;
use crate::port::Port;
use crate::refusal::{self, RefusedCall};
use crate::status::{Result, Status};
use crate::sys::{CancelDisabled, OwnerLock};
use std::any::type_name;
#[cfg(udpr_no_backtraces)]
use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Runs `body` on a reactor, after the thread check.
#[inline]
pub(super) fn with_reactor<T, F: FnOnce(&Core) -> Result<T>>(
    reactor: HandleRef<'_, udpr_reactor>,
    body: F,
) -> Result<T> {
    with_reactor_in(type_name::<F>(), reactor, body)
}

/// As [`with_reactor`] in the function of the C API that `place` names, itself or as the type of its closure.
#[inline]
pub(super) fn with_reactor_in<T>(
    place: &'static str,
    reactor: HandleRef<'_, udpr_reactor>,
    body: impl FnOnce(&Core) -> Result<T>,
) -> Result<T> {
    by_reference(body, |body| enter_reactor(place, reactor, body))
}

fn enter_reactor(
    place: &'static str,
    reactor: HandleRef<'_, udpr_reactor>,
    body: &mut dyn FnMut(&Core) -> Result,
) -> Result {
    let entry = reactor.shared()?.shared.owner.enter()?;
    let _uncancelled = (!entry.is_nested()).then(CancelDisabled::begin);
    with_entered(place, reactor, body)
}

/// As [`with_reactor`], for functions that are faster than disabling cancellation, and that contain no cancellation
/// point.
#[inline]
pub(super) fn with_reactor_briefly<T, F: FnOnce(&Core) -> Result<T>>(
    reactor: HandleRef<'_, udpr_reactor>,
    body: F,
) -> Result<T> {
    let _entry = reactor.shared()?.shared.owner.enter()?;
    with_entered(type_name::<F>(), reactor, body)
}

/// For a thread that is inside.
#[inline]
fn with_entered<T>(
    place: &'static str,
    reactor: HandleRef<'_, udpr_reactor>,
    body: impl FnOnce(&Core) -> Result<T>,
) -> Result<T> {
    // SAFETY: the owner lock keeps every other thread out.
    let core = unsafe { reactor.core() };
    let owner = &core.remote.shared.owner;
    let answer = stop_panics(owner, || body(core))
        .inspect_err(|status| log_failure(core.context(), *status, place))?;
    // A callback may have forked: then this result is the child's.
    owner.check_open().map(|()| answer)
}

/// Runs `body` on a reactor, but not inside one of its callbacks or work on its pool: that is REENTRANT. If it `turns`,
/// a reactor with the flag PINNED belongs to this thread until the thread ends.
pub(super) fn with_outer_reactor<F: FnOnce(&Core) -> Result>(
    reactor: HandleRef<'_, udpr_reactor>,
    turns: bool,
    body: F,
) -> Result {
    by_reference(body, |body| enter_outer_reactor(type_name::<F>(), reactor, turns, body))
}

fn enter_outer_reactor(
    place: &'static str,
    reactor: HandleRef<'_, udpr_reactor>,
    turns: bool,
    body: &mut dyn FnMut(&Core) -> Result,
) -> Result {
    let mut entry = reactor.shared()?.shared.owner.enter()?;
    let _uncancelled = CancelDisabled::begin();
    // SAFETY: the owner lock keeps every other thread out.
    let core = unsafe { reactor.core() };
    if entry.is_nested() || core.is_at_work() {
        return Err(Status::REENTRANT);
    }
    if turns && core.is_pinned() {
        core.remote.shared.pin(&mut entry)?;
    }
    stop_panics(&core.remote.shared.owner, || body(core))
        .inspect_err(|status| log_failure(core.context(), *status, place))
}

/// Runs `body` on a port, after the thread check of its reactor.
#[inline]
pub(super) fn with_port<T, F: FnOnce(&Arc<Port>) -> Result<T>>(
    transport: HandleRef<'_, udpr_transport>,
    body: F,
) -> Result<T> {
    with_port_in(type_name::<F>(), transport, body)
}

#[inline]
fn with_port_in<T>(
    place: &'static str,
    transport: HandleRef<'_, udpr_transport>,
    body: impl FnOnce(&Arc<Port>) -> Result<T>,
) -> Result<T> {
    by_reference(body, |body| enter_port(place, transport, body))
}

fn enter_port(
    place: &'static str,
    transport: HandleRef<'_, udpr_transport>,
    body: &mut dyn FnMut(&Arc<Port>) -> Result,
) -> Result {
    with_port_inlined_in(place, transport, |_| None, body)
}

/// As [`with_port`], compiled into each function that uses it: for those that send.
#[inline]
pub(super) fn with_port_inlined<T, F: FnOnce(&Arc<Port>) -> Result<T>>(
    transport: HandleRef<'_, udpr_transport>,
    body: F,
) -> Result<T> {
    with_port_inlined_in(type_name::<F>(), transport, |_| None, body)
}

/// As [`with_port_inlined`], but a thread that was not inside tries `quick` first, which neither panics nor calls back, and
/// contains no cancellation point.
#[inline]
pub(super) fn with_port_quickly<T, F: FnOnce(&Arc<Port>) -> Result<T>>(
    transport: HandleRef<'_, udpr_transport>,
    quick: impl FnOnce(&Port) -> Option<T>,
    body: F,
) -> Result<T> {
    with_port_inlined_in(type_name::<F>(), transport, quick, body)
}

#[inline]
fn with_port_inlined_in<T>(
    place: &'static str,
    transport: HandleRef<'_, udpr_transport>,
    quick: impl FnOnce(&Port) -> Option<T>,
    body: impl FnOnce(&Arc<Port>) -> Result<T>,
) -> Result<T> {
    let owner = &transport.shared()?.reactor.owner;
    if owner.is_inside() {
        return run_inside(place, transport, owner, body);
    }
    enter_and_run(place, transport, owner, quick, body)
}

/// Runs `body` on the thread that is inside.
#[inline(always)]
fn run_inside<T>(
    place: &'static str,
    transport: HandleRef<'_, udpr_transport>,
    owner: &OwnerLock,
    body: impl FnOnce(&Arc<Port>) -> Result<T>,
) -> Result<T> {
    // SAFETY: the owner lock keeps every other thread out.
    let port = unsafe { transport.owner() };
    stop_panics(owner, || body(&port)).inspect_err(|status| log_port_failure(&port, *status, place))
}

/// A function of its own, so that the path of callbacks has nothing to undo at its end.
#[inline(never)]
fn enter_and_run<T>(
    place: &'static str,
    transport: HandleRef<'_, udpr_transport>,
    owner: &OwnerLock,
    quick: impl FnOnce(&Port) -> Option<T>,
    body: impl FnOnce(&Arc<Port>) -> Result<T>,
) -> Result<T> {
    let entry = owner.enter()?;
    if !entry.is_nested() {
        // SAFETY: the owner lock keeps every other thread out.
        if let Some(done) = quick(unsafe { transport.core() }) {
            return Ok(done);
        }
    }
    let _uncancelled = (!entry.is_nested()).then(CancelDisabled::begin);
    run_inside(place, transport, owner, body)
}

/// As [`with_port`], for functions that are faster than disabling cancellation, and that contain no cancellation point.
#[inline]
pub(super) fn with_port_briefly<T, F: FnOnce(&Port) -> Result<T>>(
    transport: HandleRef<'_, udpr_transport>,
    body: F,
) -> Result<T> {
    let owner = &transport.shared()?.reactor.owner;
    let _entry = owner.enter()?;
    // SAFETY: the owner lock keeps every other thread out.
    let port = unsafe { transport.core() };
    stop_panics(owner, || body(port)).inspect_err(|status| log_port_failure(port, *status, type_name::<F>()))
}

/// As [`with_port`], with the port's reactor. CLOSED once `stop_protocol` has returned.
pub(super) fn with_port_and_reactor<T, F: FnOnce(&Arc<Port>, &Core) -> Result<T>>(
    transport: HandleRef<'_, udpr_transport>,
    body: F,
) -> Result<T> {
    with_port_in(type_name::<F>(), transport, |port| {
        let handle: *const udpr_reactor = port.context().ok_or(Status::CLOSED)?.c_handle.get().cast();
        // SAFETY: the handle of the reactor that the port belongs to, which lives as long as the port is open.
        let reactor = unsafe { HandleRef::new(handle) };
        // SAFETY: with_port keeps every other thread out, and every reactor of the C API has a handle.
        body(port, unsafe { reactor.core() })
    })
}

/// The fast path of [`with_port`], for what neither panics nor calls back. None if the calling thread is not inside the
/// port's reactor already.
#[inline]
pub(super) fn port_inside(transport: HandleRef<'_, udpr_transport>) -> Option<&Port> {
    let inside = transport.shared().is_ok_and(|port| port.reactor.owner.is_inside());
    // SAFETY: the owner lock keeps every other thread out.
    inside.then(|| unsafe { transport.core() })
}

/// Runs `body` on the part of a handle that is for all threads. It contains no cancellation point.
#[inline]
pub(super) fn from_any_thread<H: CHandle, T, F: FnOnce(&H::ThreadSafe) -> Result<T>>(
    handle: HandleRef<'_, H>,
    body: F,
) -> Result<T> {
    let part = handle.shared()?;
    let result = catch(|| body(part)).unwrap_or(Err(Status::PANIC));
    result.inspect_err(|status| post_failure(H::reactor(part), *status, type_name::<F>()))
}

/// Runs `body` for functions that concern no reactor. There is no logger for what they refuse.
pub(super) fn anywhere<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    by_reference(
        |()| body(),
        |body| {
            let _uncancelled = CancelDisabled::begin();
            stop_panics_anywhere(body)
        },
    )
}

/// As [`anywhere`], for functions that are faster than disabling cancellation, and that contain no cancellation point.
pub(super) fn anywhere_briefly<T>(body: impl FnOnce() -> Result<T>) -> Result<T> {
    by_reference(|()| body(), stop_panics_anywhere)
}

fn stop_panics_anywhere(body: &mut dyn FnMut(&()) -> Result) -> Result {
    catch(|| body(&())).unwrap_or(Err(Status::PANIC)).inspect_err(|status| refusal::forget(*status))
}

/// Runs `enter` on `body` behind a reference, so that `enter` is compiled once, and not for every body.
#[inline]
fn by_reference<A, T>(
    body: impl FnOnce(&A) -> Result<T>,
    enter: impl FnOnce(&mut dyn FnMut(&A) -> Result) -> Result,
) -> Result<T> {
    let (mut body, mut value) = (Some(body), None);
    enter(&mut |argument| {
        value = body.take().map(|body| body(argument)).transpose()?;
        Ok(())
    })?;
    value.ok_or(Status::PANIC)
}

/// The result of `body`, or None if it panicked. The payload is leaked, since its destructor could panic as well.
#[inline]
fn catch<T>(body: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(body)).map_err(std::mem::forget).ok()
}

/// A panic is a bug of ours: the reactor may be half changed, so it is poisoned.
#[inline]
fn stop_panics<T>(owner: &OwnerLock, body: impl FnOnce() -> Result<T>) -> Result<T> {
    catch(body).unwrap_or_else(|| {
        owner.poison();
        Err(Status::PANIC)
    })
}

/// Logs why a function fails, if there is more to know than its status.
#[cold]
#[inline(never)]
fn log_failure(context: &Context, status: Status, place: &'static str) {
    if status == Status::PANIC {
        let _uncancelled = CancelDisabled::begin();
        let text = format_args!("a bug in the library: this reactor is dead, free it");
        quietly(|| context.log_record(Level::Error, status, c"reactor", text));
    } else if let Some(call) = refused_call(status, place) {
        if context.log.enabled(Level::Debug) {
            let _uncancelled = CancelDisabled::begin();
            quietly(|| context.log_refused_call(&call));
        }
    }
}

/// As [`log_failure`], unless the port is closed: then nothing is refused for its arguments.
#[cold]
#[inline(never)]
fn log_port_failure(port: &Port, status: Status, place: &'static str) {
    if let Some(context) = port.context() {
        log_failure(&context, status, place);
    }
}

/// As [`log_failure`], on any thread: the reactor logs it in its next turn.
#[cold]
#[inline(never)]
fn post_failure(shared: &Shared, status: Status, place: &'static str) {
    if let Some(call) = refused_call(status, place) {
        shared.post_refused_call(call);
    }
}

/// What a log record says of a call that is refused, if `status` has a reason.
fn refused_call(status: Status, place: &'static str) -> Option<RefusedCall> {
    let refusal = refusal::take(status);
    // The path of the closure begins with the crate, "udpr::".
    let start = place.as_bytes().windows(5).position(|word| word == b"udpr_").unwrap_or(0);
    let name = place.get(start..).unwrap_or(place);
    let end = name.bytes().position(|byte| byte == b':').unwrap_or(name.len());
    let function = name.get(..end).unwrap_or(name);
    refusal::has_reason(status).then_some(RefusedCall { status, function, refusal })
}

/// Runs `body` when a panic does no more harm. Returns whether `body` has returned.
pub(super) fn quietly(body: impl FnOnce()) -> bool {
    catch(body).is_some()
}

/// Keeps panics off the host's stderr. The hook is the other piece of global state. In a shared library, and in the
/// static one that CMake makes, the standard library is our own, and so is its hook.
pub(super) fn silence_panics() {
    // No Once: a child that is forked while another thread sets the hook would wait for that thread.
    static SET: AtomicBool = AtomicBool::new(false);
    if !SET.swap(true, Ordering::Relaxed) {
        std::panic::set_hook(Box::new(|_| {}));
    }
}

/// Only panic hooks need backtraces, and ours needs none. So every walk up the stack ends before its first frame, and
/// the optimizer drops the code that reads debug information, which is a third of the library. This is for the library
/// that CMake links from all of Rust, in which this name is hidden: elsewhere it would replace the whole program's
/// function.
#[cfg(udpr_no_backtraces)]
#[unsafe(no_mangle)]
extern "C" fn _Unwind_Backtrace(_trace: *const c_void, _argument: *mut c_void) -> c_int {
    const END_OF_STACK: c_int = 5; // _URC_END_OF_STACK, unwind.h
    END_OF_STACK
}

/// A result as a status of C.
#[inline]
pub(super) fn status(result: Result) -> udpr_status {
    result.map_or_else(Status::code, |()| Status::OK.code())
}

#[cfg(all(test, unix))]
mod tests;
