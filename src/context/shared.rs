//! The part of a reactor that other threads may use: its lock, its waker, its clock, and the list of ports with posted
//! datagrams.

use super::lifecycle::Lifecycle;
use crate::refusal::RefusedCall;
use crate::status::Result;
use crate::sys::{CachePadded, Mutex, OwnerGuard, OwnerLock, ThreadExit, Waker, at_thread_exit, clock, tsan};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// Shared by a reactor, its ports and its remotes; it may outlive the reactor.
#[derive(Debug)]
pub struct Shared {
    /// Lets one thread at a time use the reactor.
    pub owner: CachePadded<OwnerLock>,
    /// Ends a wait of the loop.
    pub waker: Waker,
    /// How far its run has come.
    pub lifecycle: Lifecycle,
    manual: Option<AtomicU64>,
    posted_ports: Mutex<Vec<u64>>,
    /// The logger wants to know why calls are refused.
    wants_refused_calls: AtomicBool,
    refused_calls: Mutex<Vec<RefusedCall>>,
}

/// How many refused calls of other threads wait to be logged. Further ones are not logged.
const REFUSED_CALLS_MAX: usize = 64;

impl Shared {
    /// With `manual_clock` the time is 0 until it is set. Errors: those of mmap(2) and eventfd(2).
    pub fn new(manual_clock: bool) -> io::Result<Shared> {
        Ok(Shared {
            owner: CachePadded(OwnerLock::new()?),
            waker: Waker::new()?,
            lifecycle: Lifecycle::default(),
            manual: manual_clock.then(|| AtomicU64::new(0)),
            posted_ports: Mutex::default(),
            wants_refused_calls: AtomicBool::new(false),
            refused_calls: Mutex::default(),
        })
    }

    /// Pins the reactor to the calling thread until the end of either.
    ///
    /// # Errors
    /// NO_MEMORY.
    pub fn pin(self: &Arc<Shared>, guard: &mut OwnerGuard<'_>) -> Result {
        let shared: Weak<Shared> = Arc::downgrade(self);
        if !guard.is_pinned() && at_thread_exit(shared)? {
            guard.pin();
        }
        Ok(())
    }

    /// The reactor's clock in nanoseconds.
    pub fn now(&self) -> u64 {
        let Some(manual) = &self.manual else { return clock::now() };
        let instant = manual.load(Ordering::Acquire);
        tsan::acquire(manual);
        instant
    }

    /// True if only [`Shared::set_now`] moves the clock.
    pub fn is_manual(&self) -> bool {
        self.manual.is_some()
    }

    /// Moves a manual clock, but never backwards.
    pub fn set_now(&self, instant: u64) {
        if let Some(manual) = &self.manual {
            tsan::release(manual);
            manual.fetch_max(instant, Ordering::AcqRel);
        }
    }

    /// True from startup to shutdown, but not in a forked child or after a panic.
    pub fn is_running(&self) -> bool {
        self.lifecycle.is_running() && !self.owner.is_unusable()
    }

    /// Requests a stop, which the loop takes in its next turn. Any thread.
    ///
    /// # Errors
    /// CLOSED after the reactor's end and in a forked child, PANIC after a panic, NOT_RUNNING if there is no run.
    pub fn request_stop(&self) -> Result {
        self.owner.check_open()?;
        self.lifecycle.request_stop()?;
        self.waker.wake();
        Ok(())
    }

    /// Ends the wait of the present turn, or of the next one. Any thread, and signal safe.
    ///
    /// # Errors
    /// CLOSED after the reactor's end and in a forked child, PANIC after a panic.
    pub fn wake(&self) -> Result {
        self.owner.check_open()?;
        self.waker.wake();
        Ok(())
    }

    /// The port with this token has posted datagrams. Call this before the waker is woken.
    ///
    /// # Errors
    /// NO_MEMORY.
    pub fn post_port(&self, token: u64) -> Result {
        let mut posted_ports = self.posted_ports.lock();
        posted_ports.try_reserve(1)?;
        posted_ports.push(token);
        Ok(())
    }

    /// Sets whether [`Shared::post_refused_call`] has an effect.
    pub fn set_refused_calls_wanted(&self, wanted: bool) {
        self.wants_refused_calls.store(wanted, Ordering::Relaxed);
    }

    /// Has a refused call logged in the reactor's next turn, if the logger wants it.
    pub fn post_refused_call(&self, call: RefusedCall) {
        if self.wants_refused_calls.load(Ordering::Relaxed) && self.owner.check_open().is_ok() {
            let mut calls = self.refused_calls.lock();
            if calls.len() < REFUSED_CALLS_MAX && calls.try_reserve(1).is_ok() {
                calls.push(call);
            }
            drop(calls);
            self.waker.wake();
        }
    }

    /// Takes the refused calls of other threads.
    pub fn take_refused_calls(&self) -> Vec<RefusedCall> {
        std::mem::take(&mut *self.refused_calls.lock())
    }

    /// True if a lock is held by a thread that does not exist here: in a forked child, if at all.
    pub fn is_locked(&self) -> bool {
        self.posted_ports.is_locked() || self.refused_calls.is_locked()
    }

    /// Takes the list of ports with posted datagrams.
    pub fn take_posted_ports(&self) -> Vec<u64> {
        std::mem::take(&mut *self.posted_ports.lock())
    }
}

impl Drop for Shared {
    /// Everything that other threads did before they dropped their reference has happened: this is what the last
    /// reference means.
    fn drop(&mut self) {
        tsan::acquire(self);
        tsan::acquire(&self.owner);
    }
}

impl ThreadExit for Shared {
    /// The thread's number may be given to another thread, which must not inherit the pin.
    fn thread_ended(&self) {
        self.owner.unpin();
    }
}
