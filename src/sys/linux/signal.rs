//! SIGINT and SIGTERM as wake-ups, for reactors that ask for it while they run.
//!
//! This is one of the library's two pieces of global state: a signal handler can reach nothing else. The handler may
//! run on any thread at any time: while other threads begin or end a run, in a forked child, and long after the last
//! run, since a host may save our handler and restore it later, as readline(3) and getpass(3) do. Therefore:
//!
//! - The handler takes no lock, and nobody waits for it: it reads memory that is never freed (waker.rs,
//!   [`PreviousAction`]).
//! - There is no count to keep right: a reactor listens while its waker names this process, which a waker of the parent
//!   never does.
//! - If no reactor listens in this process, the handler does what the previous handler would have done.
//! - Each previous handler has a handler of ours that stands in for it ([`HANDLERS`]). The previous one is published
//!   before ours is installed. So every process that has our handler knows the previous one, and what a saved handler of
//!   ours stands for never changes.
//! - Handlers are changed under a lock that a forked child takes over ([`RobustLock`]), and only while ours is still
//!   installed.
//!
//! The crate signal-hook-registry does not restore handlers, and its table belongs to the parent in a forked child.
//! Another signal needs only an entry in [`INSTALLED`] and its number in the waker.

use super::robust_lock::RobustLock;
use super::waker::{self, Waker};
use super::{check, errno, process_id};
use libc::{c_int, c_void, sigaction, siginfo_t};
use std::io;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

/// The signals that are handled.
static INSTALLED: [InstalledHandler; 2] =
    [InstalledHandler::new(libc::SIGINT), InstalledHandler::new(libc::SIGTERM)];
/// Held while handlers are changed.
static CHANGING: RobustLock = RobustLock::new();

/// A reactor that listens for SIGINT and SIGTERM. When the last one is dropped, the previous handlers are installed
/// again.
pub struct Signals<'a> {
    waker: &'a Waker,
    /// The process in which it listens. It does not listen in a child that was forked meanwhile.
    process: c_int,
    before: u32,
}

impl<'a> Signals<'a> {
    /// Handles both signals, and wakes `waker` at each. Errors: those of sigaction(2).
    pub fn listen(waker: &'a Waker) -> io::Result<Signals<'a>> {
        let _changing = CHANGING.lock();
        let signals = Signals { waker, process: process_id(), before: waker.state().signal_count() };
        // Before the handlers are installed, so that they always find a waker.
        waker.state().set_signal_process(signals.process);
        INSTALLED.iter().try_for_each(InstalledHandler::install).inspect_err(|_| signals.end())?;
        Ok(signals)
    }

    /// How many signals were received.
    pub fn signal_count(&self) -> u32 {
        self.waker.state().signal_count().wrapping_sub(self.before)
    }

    /// The lock is held.
    fn end(&self) {
        let process = process_id();
        if self.process == process {
            self.waker.state().set_signal_process(0);
        }
        if !waker::all().any(|other| other.listens_to_signals_of(process)) {
            INSTALLED.iter().for_each(InstalledHandler::restore);
        }
    }
}

impl Drop for Signals<'_> {
    fn drop(&mut self) {
        let _changing = CHANGING.lock();
        self.end();
    }
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
        waker::all().filter(|waker| waker.record_signal(process)).count()
    });
    let taken = INSTALLED.iter().find(|taken| taken.signal == signal);
    // Nothing of ours is in progress any more: the previous handler may leave by siglongjmp(3), or end its thread.
    if let (0, Some(taken)) = (listeners, taken) {
        // SAFETY: the arguments are the kernel's own.
        unsafe { taken.stand_in(SLOT, info, context) };
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

/// A signal that is handled, and its previous actions.
struct InstalledHandler {
    signal: c_int,
    /// What each of our handlers stands in for. It is written under the lock, before that handler is installed.
    formers: [AtomicPtr<PreviousAction>; SLOTS],
}

impl InstalledHandler {
    const fn new(signal: c_int) -> InstalledHandler {
        InstalledHandler { signal, formers: [const { AtomicPtr::new(null_mut()) }; SLOTS] }
    }

    fn previous(&self, slot: usize) -> Option<&'static PreviousAction> {
        // SAFETY: null, or made by remember, and never freed.
        unsafe { self.formers[slot].load(Ordering::SeqCst).as_ref() }
    }

    /// Installs one of our handlers. If one is installed already, somebody who had saved it has restored it.
    fn install(&self) -> io::Result<()> {
        let mut found = exchange(self.signal, None)?;
        loop {
            let slot = slot_of(&found).unwrap_or_else(|| self.slot_for(&found));
            let replaced = exchange(self.signal, Some(&self.ours(slot)))?;
            if slot_of(&replaced).is_some() || is_same(&replaced, &found) {
                return Ok(());
            }
            // Another thread of the host has changed the action in between.
            found = replaced;
        }
    }

    /// Installs the previous action again, unless the host has installed another one instead of ours meanwhile.
    fn restore(&self) {
        let standing = exchange(self.signal, None).ok().and_then(|now| slot_of(&now));
        if let Some(previous) = standing.and_then(|slot| self.previous(slot)) {
            // It cannot fail: the signal exists.
            let replaced = exchange(self.signal, Some(&previous.present()));
            // Another thread of the host has changed the action in between: its action stays.
            if let Some(hosts) = replaced.ok().filter(|action| slot_of(action).is_none()) {
                let _ = exchange(self.signal, Some(&hosts));
            }
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

    /// Does what the previous action would have done.
    ///
    /// # Safety
    /// [`handle`] calls it with the arguments that it received.
    unsafe fn stand_in(&self, slot: usize, info: *mut siginfo_t, context: *mut c_void) {
        let Some(previous) = self.previous(slot) else { return };
        let action = previous.take();
        match action.sa_sigaction {
            libc::SIG_IGN => {}
            libc::SIG_DFL => self.do_default(&action),
            // SAFETY: as our caller says.
            _ => unsafe { self.call(&action, info, context) },
        }
    }

    /// The default of SIGINT and SIGTERM ends the process, once this handler has returned. If a handler of the host's
    /// calls ours as the previous one, that handler is responsible.
    fn do_default(&self, default: &sigaction) {
        if exchange(self.signal, None).is_ok_and(|now| slot_of(&now).is_some()) {
            let _ = exchange(self.signal, Some(default));
            // SAFETY: raise(3) is async-signal-safe.
            unsafe { libc::raise(self.signal) };
        }
    }

    /// # Safety
    /// As for [`InstalledHandler::stand_in`].
    unsafe fn call(&self, previous: &sigaction, info: *mut siginfo_t, context: *mut c_void) {
        if previous.sa_flags & libc::SA_SIGINFO == 0 {
            // SAFETY: without SA_SIGINFO it is a function of one argument (sigaction(2)).
            let function: unsafe extern "C-unwind" fn(c_int) =
                unsafe { std::mem::transmute(previous.sa_sigaction) };
            // SAFETY: the host's handler for this signal, which has just come.
            return unsafe { function(self.signal) };
        }
        // SAFETY: with SA_SIGINFO it is one of three arguments (sigaction(2)).
        let function: Handler = unsafe { std::mem::transmute(previous.sa_sigaction) };
        if exchange(self.signal, None).is_ok_and(|now| now.sa_flags & libc::SA_SIGINFO == 0) {
            // The host has restored our handler by signal(2), or calls it from a handler that it has installed that
            // way: then there is one argument only.
            // SAFETY: siginfo_t is integers and pointers; all of them may be zero.
            let mut bare: siginfo_t = unsafe { std::mem::zeroed() };
            bare.si_signo = self.signal;
            // SAFETY: as above.
            return unsafe { function(self.signal, &mut bare, null_mut()) };
        }
        // SAFETY: as above, with the kernel's arguments.
        unsafe { function(self.signal, info, context) };
    }
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
