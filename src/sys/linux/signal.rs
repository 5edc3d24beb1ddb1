//! SIGINT and SIGTERM as wake-ups, for the reactors that ask for it while they run.
//!
//! One of the library's two pieces of global state: a signal handler can reach nothing else. The handler may run on any thread
//! at any time: while others begin or end a run, in a forked child, and long after the last run, since a host may save our
//! handler and restore it later, as readline(3) and getpass(3) do. So
//!
//! - it takes no lock and nobody waits for it: it looks at memory that is never freed (waker.rs, [`PreviousAction`]);
//! - there are no counts to keep right: a reactor listens while its waker names this process, which no waker of a parent does;
//! - if nobody listens in this process, it does what the handler that was there before would have done;
//! - each former handler has one of ours to stand in for it ([`HANDLERS`]), and is published before that is installed: so every
//!   process that has our handler knows the former one, and a saved one of ours never changes what it stands for;
//! - handlers are changed under a lock that a forked child takes over ([`RobustLock`]), and only where ours still stands.
//!
//! The crate signal-hook-registry does not restore handlers, and its table is the parent's in a forked child. Other signals
//! need no more than an entry in [`INSTALLED`] and a set of numbers in the waker.

use super::robust_lock::RobustLock;
use super::waker::{self, Waker};
use super::{check, errno, process_id};
use libc::{c_int, c_void, sigaction, siginfo_t};
use std::io;
use std::ptr::{null, null_mut};
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

/// The signals that are taken.
static INSTALLED: [InstalledHandler; 2] =
    [InstalledHandler::new(libc::SIGINT), InstalledHandler::new(libc::SIGTERM)];
/// Held by whoever changes handlers.
static CHANGING: RobustLock = RobustLock::new();

/// One reactor's ear for SIGINT and SIGTERM. When the last one is dropped the former handlers are back.
pub struct Signals<'a> {
    waker: &'a Waker,
    /// Where it listens; in a child that was forked meanwhile it does not.
    process: c_int,
    before: u32,
}

impl<'a> Signals<'a> {
    /// Takes both signals, and wakes `waker` at each. Errors: those of sigaction(2).
    pub fn listen(waker: &'a Waker) -> io::Result<Signals<'a>> {
        let _changing = CHANGING.lock();
        let signals = Signals { waker, process: process_id(), before: waker.state().signal_count() };
        // Before the handlers are there: they always find somebody to wake.
        waker.state().set_signal_process(signals.process);
        INSTALLED.iter().try_for_each(InstalledHandler::install).inspect_err(|_| signals.end())?;
        Ok(signals)
    }

    /// How many signals have come so far.
    pub fn signal_count(&self) -> u32 {
        self.waker.state().signal_count().wrapping_sub(self.before)
    }

    /// Under the lock.
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

/// For any signal. What has to come back from the former handler, such as an unwinding thread, comes through here.
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
    // Nothing of ours is under way any more: the former handler may leave by siglongjmp(3), or end its thread.
    if let (0, Some(taken)) = (listeners, taken) {
        // SAFETY: the arguments are the kernel's own.
        unsafe { taken.stand_in(SLOT, info, context) };
    }
}

type Handler = unsafe extern "C-unwind" fn(c_int, *mut siginfo_t, *mut c_void);

/// Our handlers, one for each former action. A host that has saved one of them, to restore or to call it, thereby has the action
/// that it stands in for.
static HANDLERS: [Handler; SLOTS] =
    [handle::<0>, handle::<1>, handle::<2>, handle::<3>, handle::<4>, handle::<5>, handle::<6>, handle::<7>];
/// A host with more handlers of its own for one signal shares the last one.
const SLOTS: usize = 8;

/// Which of ours it is, if it is one of ours.
fn slot_of(action: &sigaction) -> Option<usize> {
    HANDLERS.iter().position(|handler| *handler as usize == action.sa_sigaction)
}

fn is_function(action: &sigaction) -> bool {
    ![libc::SIG_DFL, libc::SIG_IGN].contains(&action.sa_sigaction)
}

/// A signal that is taken, and what was done at it before.
struct InstalledHandler {
    signal: c_int,
    /// What each of our handlers stands in for. Written under the lock, before that handler is installed.
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

    /// Puts one of our handlers there. If there is one already, somebody who had saved it has put it back.
    fn install(&self) -> io::Result<()> {
        let mut found = exchange(self.signal, None)?;
        loop {
            let slot = slot_of(&found).unwrap_or_else(|| self.slot_for(&found));
            let replaced = exchange(self.signal, Some(&self.ours(slot)))?;
            if slot_of(&replaced).is_some() || is_same(&replaced, &found) {
                return Ok(());
            }
            // Another thread of the host was faster.
            found = replaced;
        }
    }

    /// Puts the former action back, unless somebody has put another one in our place meanwhile.
    fn restore(&self) {
        let standing = exchange(self.signal, None).ok().and_then(|now| slot_of(&now));
        if let Some(previous) = standing.and_then(|slot| self.previous(slot)) {
            // It cannot fail: the signal exists.
            let replaced = exchange(self.signal, Some(&previous.present()));
            // Another thread of the host was faster: what it has put there stays.
            if let Some(hosts) = replaced.ok().filter(|action| slot_of(action).is_none()) {
                let _ = exchange(self.signal, Some(&hosts));
            }
        }
    }

    /// The handler of ours that stands in for `found`.
    fn slot_for(&self, found: &sigaction) -> usize {
        let previous = remember(found);
        let is_its =
            |slot: &AtomicPtr<PreviousAction>| [previous, null_mut()].contains(&slot.load(Ordering::SeqCst));
        let slot = self.formers.iter().position(is_its).unwrap_or(SLOTS - 1);
        self.formers[slot].store(previous, Ordering::SeqCst);
        slot
    }

    /// Our handler, with the former one's mask and flags, so that it is as good as that one where it stands in for it.
    fn ours(&self, slot: usize) -> sigaction {
        let mut action = self.previous(slot).map_or_else(default, |previous| previous.action);
        if !is_function(&action) {
            // No call of the host's was interrupted by it before.
            action.sa_flags |= libc::SA_RESTART;
        }
        action.sa_sigaction = HANDLERS[slot] as usize;
        action.sa_flags &= !libc::SA_RESETHAND;
        // On the alternate stack where there is one: the stacks of goroutines are too small (os/signal of Go).
        action.sa_flags |= libc::SA_SIGINFO | libc::SA_ONSTACK;
        action
    }

    /// Does what the former action would have done.
    ///
    /// # Safety
    /// Called by [`handle`], with the arguments that it has got.
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

    /// The default of SIGINT and SIGTERM ends the process, when this handler has returned. A handler of the host's that calls
    /// ours as the one before it is in charge itself.
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
            // The host has put our handler back by signal(2), or calls it from one that it has installed so: there is one
            // argument only.
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

/// An action that was found, in memory that is never freed: a handler may be about to read it.
struct PreviousAction {
    action: sigaction,
    /// With SA_RESETHAND: it was called, which makes it the default one.
    spent: AtomicBool,
    next: *mut PreviousAction,
}

impl PreviousAction {
    /// What it is now.
    fn present(&self) -> sigaction {
        if self.spent.load(Ordering::SeqCst) { default() } else { self.action }
    }

    /// What a signal is to do that has come. Of several threads one gets an action with SA_RESETHAND.
    fn take(&self) -> sigaction {
        let resets = is_function(&self.action) && self.action.sa_flags & libc::SA_RESETHAND != 0;
        if resets && self.spent.swap(true, Ordering::SeqCst) { default() } else { self.action }
    }
}

static PREVIOUS_ACTIONS: AtomicPtr<PreviousAction> = AtomicPtr::new(null_mut());

/// The memory of an action, the same for equal ones, so that there are as many as a host has different handlers. Under the lock.
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

/// Sets an action, if there is one, and returns what was there.
fn exchange(signal: c_int, new: Option<&sigaction>) -> io::Result<sigaction> {
    let mut old = default();
    let new = new.map_or(null(), std::ptr::from_ref);
    // SAFETY: sigaction(2) reads one action, or none where it is null, and writes one; it is async-signal-safe.
    check(unsafe { libc::sigaction(signal, new, &mut old) }.into())?;
    Ok(old)
}
