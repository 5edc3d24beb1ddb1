//! Signals as wake-ups of reactors: of those that watch a signal, and of those that SIGINT and SIGTERM stop.
//!
//! This is one of the library's two pieces of global state: a signal handler can reach nothing else. The handler may
//! run on any thread at any time: while other threads begin or end to listen, in a forked child, and long after the last
//! reactor has ended, since a host may save our handler and restore it later, as readline(3) and getpass(3) do.
//! Therefore:
//!
//! - The handler takes no lock, and nobody waits for it: it reads memory that is never freed (waker.rs,
//!   [`PreviousAction`]).
//! - There is no count to keep right: a reactor listens while its waker names this process, which a waker of the parent
//!   never does, and has the signal in its set.
//! - If no reactor of this process listens to the signal, the handler does what the previous handler would have done,
//!   and installs that one again.
//! - Each previous handler has a handler of ours that stands in for it ([`HANDLERS`]). The previous one is published
//!   before ours is installed. So every process that has our handler knows the previous one, and what a saved handler of
//!   ours stands for never changes.
//! - Handlers are changed under a lock that a forked child takes over ([`RobustLock`]), and only while ours is still
//!   installed. The handler itself cannot take that lock: it checks afterwards whether a reactor has begun to listen.
//!
//! The crate signal-hook-registry does not restore handlers, and its table belongs to the parent in a forked child.

use super::robust_lock::RobustLock;
use super::thread::SYNCHRONOUS;
use super::waker::{self, Waker, WakerState};
use super::{check, errno, process_id};
use crate::refusal;
use crate::status::Result;
use crate::sys::api::SignalSet;
use libc::{c_int, c_void, sigaction, siginfo_t};
use std::io;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

/// The signals that stop a reactor that asks for it.
pub const STOP_SIGNALS: [i32; 2] = [libc::SIGINT, libc::SIGTERM];

/// What is known of each signal that has a handler.
static INSTALLED: [InstalledHandler; SignalSet::HIGHEST as usize] =
    [const { InstalledHandler::new() }; SignalSet::HIGHEST as usize];
/// Held while handlers are changed.
static CHANGING: RobustLock = RobustLock::new();

/// Whether a program may listen to this signal.
///
/// # Errors
/// INVALID_ARGUMENT for numbers that are no signal, and for signals that cannot be handled (SIGKILL, SIGSTOP), that end the process
/// in any case (SIGABRT), that an instruction of a thread raises, or that the C library uses itself.
pub fn check_number(signal: i32) -> Result {
    let is_known = matches!(signal, 1..32) || is_real_time(signal);
    let is_refused =
        [libc::SIGKILL, libc::SIGSTOP, libc::SIGABRT].contains(&signal) || SYNCHRONOUS.contains(&signal);
    if is_known && !is_refused && signal <= SignalSet::HIGHEST {
        return Ok(());
    }
    Err(match u64::try_from(signal) {
        Ok(number) => refusal::invalid("signal_number", number, "a signal that a program can handle"),
        Err(_) => refusal::wrong("signal_number", "is negative"),
    })
}

/// The C library uses the first real-time signals (nptl(7)).
#[cfg(target_os = "linux")]
fn is_real_time(signal: i32) -> bool {
    (libc::SIGRTMIN()..=libc::SIGRTMAX()).contains(&signal)
}

/// macOS has none, and those of FreeBSD are above [`SignalSet::HIGHEST`].
#[cfg(not(target_os = "linux"))]
fn is_real_time(_signal: i32) -> bool {
    false
}

/// Begins to listen to a signal: from now on, it wakes `waker`, and [`Waker::take_signals`] returns it. Calling it again installs
/// the handler again if the host has installed another one.
///
/// # Errors
/// Those of sigaction(2).
pub fn listen(waker: &Waker, signal: i32) -> io::Result<()> {
    let _changing = CHANGING.lock();
    // Before the handler is installed, so that it always finds a waker.
    waker.state().listen(process_id(), signal);
    let installed = installed(signal).map_or(Ok(()), |handler| handler.install(signal));
    installed.inspect_err(|_| end(waker.state(), signal))
}

/// Ends what [`listen`] has begun. The previous handler is installed again if no other waker listens to this signal.
pub fn unlisten(waker: &Waker, signal: i32) {
    let _changing = CHANGING.lock();
    end(waker.state(), signal);
}

/// The lock is held.
fn end(waker: &WakerState, signal: c_int) {
    let process = process_id();
    waker.unlisten(process, signal);
    if let (false, Some(handler)) = (has_listener(process, signal), installed(signal)) {
        handler.restore(signal);
    }
}

fn has_listener(process: c_int, signal: c_int) -> bool {
    waker::all().any(|waker| waker.listens(process, signal))
}

fn installed(signal: c_int) -> Option<&'static InstalledHandler> {
    usize::try_from(signal - 1).ok().and_then(|index| INSTALLED.get(index))
}

/// Called for any signal. A previous handler that does not return normally, but unwinds for example, passes through
/// here.
unsafe extern "C-unwind" fn handle<const SLOT: usize>(
    signal: c_int,
    info: *mut siginfo_t,
    context: *mut c_void,
) {
    let listeners = errno::preserve(|| {
        let process = process_id();
        waker::all().filter(|waker| waker.record_signal(process, signal)).count()
    });
    if let (0, Some(handler)) = (listeners, installed(signal)) {
        // SAFETY: the arguments are the kernel's own.
        unsafe { handler.stand_in(SLOT, signal, info, context) };
    }
}

type Handler = unsafe extern "C-unwind" fn(c_int, *mut siginfo_t, *mut c_void);

/// Our handlers, one for each previous action. A host that has saved one of them, to restore or to call it, thereby has
/// the action that it stands in for.
static HANDLERS: [Handler; SLOTS] =
    [handle::<0>, handle::<1>, handle::<2>, handle::<3>, handle::<4>, handle::<5>, handle::<6>, handle::<7>];
/// If a host has more handlers of its own for one signal, they share the last one.
const SLOTS: usize = 8;

/// The index of a handler that is one of ours.
fn slot_of(action: &sigaction) -> Option<usize> {
    HANDLERS.iter().position(|handler| *handler as usize == action.sa_sigaction)
}

fn is_function(action: &sigaction) -> bool {
    ![libc::SIG_DFL, libc::SIG_IGN].contains(&action.sa_sigaction)
}

/// The previous actions of a signal.
struct InstalledHandler {
    /// What each of our handlers stands in for. It is written under the lock, before that handler is installed.
    formers: [AtomicPtr<PreviousAction>; SLOTS],
}

impl InstalledHandler {
    const fn new() -> InstalledHandler {
        InstalledHandler { formers: [const { AtomicPtr::new(null_mut()) }; SLOTS] }
    }

    fn previous(&self, slot: usize) -> Option<&'static PreviousAction> {
        // SAFETY: null, or made by remember, and never freed.
        unsafe { self.formers[slot].load(Ordering::SeqCst).as_ref() }
    }

    /// Installs one of our handlers. If one is installed already, somebody who had saved it has restored it.
    fn install(&self, signal: c_int) -> io::Result<()> {
        let mut found = exchange(signal, None)?;
        loop {
            let slot = slot_of(&found).unwrap_or_else(|| self.slot_for(&found));
            let replaced = exchange(signal, Some(&self.ours(slot)))?;
            if slot_of(&replaced).is_some() || is_same(&replaced, &found) {
                return Ok(());
            }
            // Another thread of the host has changed the action in between.
            found = replaced;
        }
    }

    /// Installs the previous action again, unless the host has installed another one instead of ours meanwhile.
    fn restore(&self, signal: c_int) {
        let standing = exchange(signal, None).ok().and_then(|now| slot_of(&now));
        if let Some(previous) = standing.and_then(|slot| self.previous(slot)) {
            // It cannot fail: the signal exists.
            let replaced = exchange(signal, Some(&previous.present()));
            // Another thread of the host has changed the action in between: its action stays.
            if let Some(hosts) = replaced.ok().filter(|action| slot_of(action).is_none()) {
                let _ = exchange(signal, Some(&hosts));
            }
        }
    }

    /// [`InstalledHandler::restore`] inside the handler, without the lock. A thread that has begun to listen meanwhile may have found
    /// ours installed before this has replaced it.
    fn restore_in_handler(&self, slot: usize, signal: c_int) {
        self.restore(signal);
        if has_listener(process_id(), signal) {
            let _ = exchange(signal, Some(&self.ours(slot)));
        }
    }

    /// Our handler that stands in for `found`.
    fn slot_for(&self, found: &sigaction) -> usize {
        let previous = remember(found);
        let is_its =
            |slot: &AtomicPtr<PreviousAction>| [previous, null_mut()].contains(&slot.load(Ordering::SeqCst));
        let slot = self.formers.iter().position(is_its).unwrap_or(SLOTS - 1);
        self.formers[slot].store(previous, Ordering::SeqCst);
        slot
    }

    /// Our handler, with the mask and the flags of the previous one, so that it behaves like that one when it stands in
    /// for it.
    fn ours(&self, slot: usize) -> sigaction {
        let mut action = self.previous(slot).map_or_else(default, |previous| previous.action);
        if !is_function(&action) {
            // No call of the host's was interrupted by this signal before.
            action.sa_flags |= libc::SA_RESTART;
        }
        action.sa_sigaction = HANDLERS[slot] as usize;
        action.sa_flags &= !libc::SA_RESETHAND;
        // On the alternate stack if there is one: the stacks of goroutines are too small (os/signal of Go).
        action.sa_flags |= libc::SA_SIGINFO | libc::SA_ONSTACK;
        action
    }

    /// Does what the previous action would have done, and installs it again if ours is the handler that is installed.
    ///
    /// # Safety
    /// [`handle`] calls it with the arguments that it received.
    unsafe fn stand_in(&self, slot: usize, signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
        let Some(previous) = self.previous(slot) else { return };
        let Ok(standing) = exchange(signal, None) else { return };
        let action = previous.take();
        let is_ours = slot_of(&standing).is_some();
        if is_ours {
            self.restore_in_handler(slot, signal);
        }
        // Nothing of ours is in progress any more: the previous handler may leave by siglongjmp(3), or end its thread.
        match action.sa_sigaction {
            libc::SIG_IGN => {}
            // If a handler of the host's calls ours as the previous one, that handler is responsible.
            libc::SIG_DFL if !is_ours => {}
            // The kernel does the default once this handler has returned.
            // SAFETY: raise(3) is async-signal-safe.
            libc::SIG_DFL => drop(unsafe { libc::raise(signal) }),
            _ => {
                // Without the flag the host has restored our handler by signal(2), or calls it from a handler that it has installed
                // that way: then there is one argument only.
                let has_info = standing.sa_flags & libc::SA_SIGINFO != 0;
                // SAFETY: as our caller says.
                unsafe { call(&action, signal, has_info.then_some((info, context))) };
            }
        }
    }
}

/// Calls the host's handler for a signal that has just come, with the kernel's arguments if there are any.
///
/// # Safety
/// The action is a handler, and the arguments are the kernel's own.
unsafe fn call(previous: &sigaction, signal: c_int, arguments: Option<(*mut siginfo_t, *mut c_void)>) {
    if previous.sa_flags & libc::SA_SIGINFO == 0 {
        // SAFETY: without SA_SIGINFO it is a function of one argument (sigaction(2)).
        let function: unsafe extern "C-unwind" fn(c_int) =
            unsafe { std::mem::transmute(previous.sa_sigaction) };
        // SAFETY: as our caller says.
        return unsafe { function(signal) };
    }
    // SAFETY: with SA_SIGINFO it is one of three arguments (sigaction(2)).
    let function: Handler = unsafe { std::mem::transmute(previous.sa_sigaction) };
    let Some((info, context)) = arguments else {
        // SAFETY: siginfo_t is integers and pointers; all of them may be zero.
        let mut bare: siginfo_t = unsafe { std::mem::zeroed() };
        bare.si_signo = signal;
        // SAFETY: as our caller says.
        return unsafe { function(signal, &mut bare, null_mut()) };
    };
    // SAFETY: as our caller says.
    unsafe { function(signal, info, context) };
}

/// An action that was found. Its memory is never freed, since a handler may be about to read it.
struct PreviousAction {
    action: sigaction,
    /// With SA_RESETHAND: it was called once, which makes it the default action.
    spent: AtomicBool,
    next: *mut PreviousAction,
}

impl PreviousAction {
    /// The action as it is now.
    fn present(&self) -> sigaction {
        if self.spent.load(Ordering::SeqCst) { default() } else { self.action }
    }

    /// The action for a signal that was received. Of several threads only one gets an action with SA_RESETHAND.
    fn take(&self) -> sigaction {
        let resets = is_function(&self.action) && self.action.sa_flags & libc::SA_RESETHAND != 0;
        if resets && self.spent.swap(true, Ordering::SeqCst) { default() } else { self.action }
    }
}

static PREVIOUS_ACTIONS: AtomicPtr<PreviousAction> = AtomicPtr::new(null_mut());

/// The memory of an action. Equal actions share it, so that there are as many as a host has different handlers. The
/// lock is held.
fn remember(action: &sigaction) -> *mut PreviousAction {
    let first = PREVIOUS_ACTIONS.load(Ordering::Acquire);
    let mut one = first;
    // SAFETY: made below, and never freed.
    while let Some(previous) = unsafe { one.as_ref() } {
        if is_same(&previous.action, action) {
            previous.spent.store(false, Ordering::SeqCst);
            return one;
        }
        one = previous.next;
    }
    let new = Box::into_raw(Box::new(PreviousAction {
        action: *action,
        spent: AtomicBool::new(false),
        next: first,
    }));
    PREVIOUS_ACTIONS.store(new, Ordering::Release);
    new
}

fn is_same(one: &sigaction, other: &sigaction) -> bool {
    // SAFETY: sigismember(3) reads one signal set.
    let has = |action: &sigaction, signal| unsafe { libc::sigismember(&action.sa_mask, signal) };
    (one.sa_sigaction, one.sa_flags) == (other.sa_sigaction, other.sa_flags)
        && (1..=64).all(|signal| has(one, signal) == has(other, signal))
}

fn default() -> sigaction {
    // SAFETY: an action is integers, a pointer and a signal set; all of them may be zero, which is SIG_DFL.
    unsafe { std::mem::zeroed() }
}

/// Sets an action, if there is one, and returns the previous one.
fn exchange(signal: c_int, new: Option<&sigaction>) -> io::Result<sigaction> {
    let mut old = default();
    let new = new.map_or(null(), std::ptr::from_ref);
    // SAFETY: sigaction(2) reads one action, or none if it is null, and writes one; it is async-signal-safe.
    check(unsafe { libc::sigaction(signal, new, &mut old) }.into())?;
    Ok(old)
}
