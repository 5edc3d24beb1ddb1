//! What other threads may touch of a reactor: who is in, the wake-up, the clock, and the ports with mail.

use crate::status::Result;
use crate::sys::{CachePadded, Mutex, OwnerGuard, OwnerLock, ThreadExit, Waker, at_thread_exit, clock, tsan};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};

/// The part of a reactor that outlives it and belongs to every thread.
#[derive(Debug)]
pub struct Shared {
    /// Who may use the reactor right now.
    pub owner: CachePadded<OwnerLock>,
    /// Ends its waiting.
    pub waker: Waker,
    started: AtomicBool,
    running: AtomicBool,
    manual: Option<AtomicU64>,
    posted_ports: Mutex<Vec<u64>>,
}

impl Shared {
    /// With `manual_clock` time stands at 0 until it is set. Errors: those of mmap(2) and eventfd(2).
    pub fn new(manual_clock: bool) -> io::Result<Shared> {
        Ok(Shared {
            owner: CachePadded(OwnerLock::new()?),
            waker: Waker::new()?,
            started: AtomicBool::new(false),
            running: AtomicBool::new(false),
            manual: manual_clock.then(|| AtomicU64::new(0)),
            posted_ports: Mutex::default(),
        })
    }

    /// Leaves the reactor to the calling thread alone, until its end or that thread's. NO_MEMORY.
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

    /// True where time moves by [`Shared::set_now`] alone.
    pub fn is_manual(&self) -> bool {
        self.manual.is_some()
    }

    /// Moves a manual clock; it never goes back.
    pub fn set_now(&self, instant: u64) {
        if let Some(manual) = &self.manual {
            tsan::release(manual);
            manual.fetch_max(instant, Ordering::AcqRel);
        }
    }

    /// True from startup to shutdown; never in a forked child, nor after a panic.
    pub fn is_running(&self) -> bool {
        let running = self.running.load(Ordering::Acquire) && !self.owner.is_unusable();
        tsan::acquire(&self.running);
        running
    }

    /// True from `start` to the end of the shutdown: there is something to stop.
    pub fn is_started(&self) -> bool {
        self.started.load(Ordering::Acquire) && !self.owner.is_unusable()
    }

    /// Said by the loop.
    pub fn set_started(&self, started: bool) {
        self.started.store(started, Ordering::Release);
    }

    /// Said by the loop.
    pub fn set_running(&self, running: bool) {
        tsan::release(&self.running);
        self.running.store(running, Ordering::Release);
    }

    /// The port with this token has mail from another thread: to be said before the waker is woken. NO_MEMORY.
    pub fn post_port(&self, token: u64) -> Result {
        let mut posted_ports = self.posted_ports.lock();
        posted_ports.try_reserve(1)?;
        posted_ports.push(token);
        Ok(())
    }

    /// True where a thread that is not there any more holds the lock: in a child, if at all.
    pub fn is_locked(&self) -> bool {
        self.posted_ports.is_locked()
    }

    /// The ports with mail.
    pub fn take_posted_ports(&self) -> Vec<u64> {
        std::mem::take(&mut *self.posted_ports.lock())
    }
}

impl Drop for Shared {
    /// What the threads that have let go of it did before is done: that is what the last reference means.
    fn drop(&mut self) {
        tsan::acquire(self);
        tsan::acquire(&self.owner);
    }
}

impl ThreadExit for Shared {
    /// The number of the thread may be given to another one, which is not the one that ran the reactor.
    fn thread_ended(&self) {
        self.owner.unpin();
    }
}
