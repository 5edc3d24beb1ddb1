//! The lock of a reactor: one thread at a time uses it, and no thread in a forked child.

use super::cache_padded::CachePadded;
use super::imp::wiped_page::WipedPage;
use super::os::process_id;
use super::os::thread::this_thread;
use super::tsan;
use crate::status::{Result, Status};
use std::io;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

/// The word in a forked child, where the page is wiped (MADV_WIPEONFORK, madvise(2)).
const FORKED: usize = 0;
const IDLE: usize = 1;
const CLOSED: usize = 4;
/// Added to a thread's number: that thread owns the reactor between turns, too. The numbers are addresses (glibc and
/// musl), so their two lowest bits are free and none of them is below 8.
const PINNED: usize = 1;
/// After a panic. Added to a thread's number while that thread is still inside: until it has left, the reactor cannot
/// be freed.
const POISONED: usize = 2;
/// Added to a thread's number in a forked child: that thread renews the reactor, or has freed it and stays inside.
const FORKED_BUSY: usize = PINNED | POISONED;

/// A thread is inside, and [`OwnerLock::inside`] is its number. No thread's number with any bits added equals this.
const BUSY: usize = CLOSED | POISONED;

/// The words on the page.
#[derive(Debug)]
#[repr(C)]
struct Page {
    owner: CachePadded<AtomicUsize>,
    /// Not 0 while the batch of datagrams that is being delivered is as it was: no callback has paused, stopped or
    /// connected a port.
    batch_valid: AtomicUsize,
}

/// The owner word of a reactor, on a page of its own that is wiped in a forked child.
///
/// Thread numbers are the same in a child, and a `close` there would change the parent's epoll set. So a child must not
/// use the reactor by mistake.
///
/// If a sandbox or an old kernel refuses to wipe the page, the process id is compared instead, whenever the word is
/// read. The word is then never a thread's number but [`BUSY`], which looks poisoned, and the batch is never valid. So
/// the fast paths of [`OwnerLock::is_inside`], [`OwnerLock::enter`], [`OwnerLock::is_unusable`] and
/// [`OwnerLock::is_batch_valid`] lead to the slow paths, which compare the process id.
#[derive(Debug)]
pub struct OwnerLock {
    page: WipedPage<Page>,
    /// The process that the word is of, negative while a thread of it marks it as forked; 0 if the page is wiped.
    process: AtomicI32,
    /// The thread that is inside, or 0. It is not on the page, so a forked child can see who was inside at the fork.
    inside: AtomicUsize,
}

impl OwnerLock {
    /// An idle lock. Errors: ENOMEM.
    pub fn new() -> io::Result<OwnerLock> {
        // SAFETY: the page holds atomic integers, which may be 0.
        let (page, is_wiped) = unsafe { WipedPage::<Page>::new() }?;
        let process = AtomicI32::new(if is_wiped { 0 } else { process_id() });
        page.owner.store(IDLE, Ordering::Release);
        Ok(OwnerLock { page, process, inside: AtomicUsize::new(0) })
    }

    /// False if the process id is compared instead.
    #[inline]
    pub fn is_wiped_on_fork(&self) -> bool {
        self.process.load(Ordering::Relaxed) == 0
    }

    #[inline]
    fn word(&self) -> &AtomicUsize {
        if !self.is_wiped_on_fork() {
            self.detect_fork();
        }
        &self.page.owner
    }

    /// In a forked child: sets the page to what it would be if it had been wiped.
    #[cold]
    fn detect_fork(&self) {
        let own = process_id();
        loop {
            let known = self.process.load(Ordering::Acquire);
            if known == own {
                return;
            }
            // Another thread of this child is between the two stores below.
            if known == -own {
                std::thread::yield_now();
                continue;
            }
            if self.process.compare_exchange(known, -own, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                self.page.owner.store(FORKED, Ordering::Release);
                return self.process.store(own, Ordering::Release);
            }
        }
    }

    /// The word while this thread is inside.
    #[inline]
    fn held_by(&self, thread: usize) -> usize {
        if self.is_wiped_on_fork() { thread } else { BUSY }
    }

    /// True if the calling thread is inside already.
    #[inline]
    pub fn is_inside(&self) -> bool {
        self.page.owner.load(Ordering::Relaxed) == this_thread()
    }

    /// Enters until the guard is dropped.
    ///
    /// # Errors
    /// WRONG_THREAD while another thread is inside, CLOSED after the reactor's end and in a forked child, PANIC after a
    /// panic.
    #[inline]
    pub fn enter(&self) -> Result<OwnerGuard<'_>> {
        let me = this_thread();
        if self.page.owner.load(Ordering::Relaxed) == me {
            return Ok(OwnerGuard { owner: self, leave: None });
        }
        self.take(me)
    }

    #[cold]
    fn take(&self, me: usize) -> Result<OwnerGuard<'_>> {
        let (word, held) = (self.word(), self.held_by(me));
        if word.load(Ordering::Relaxed) == BUSY && self.inside.load(Ordering::Relaxed) == me {
            return Ok(OwnerGuard { owner: self, leave: None });
        }
        for idle in [IDLE, me | PINNED] {
            if word.compare_exchange(idle, held, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                tsan::acquire(self);
                self.inside.store(me, Ordering::Relaxed);
                return Ok(OwnerGuard { owner: self, leave: Some(idle) });
            }
        }
        Err(self.check_open().err().unwrap_or(Status::WRONG_THREAD))
    }

    /// Enters a poisoned reactor to free it, once the thread that was inside when it panicked has left.
    ///
    /// # Errors
    /// REENTRANT on that thread, WRONG_THREAD on others.
    pub fn enter_poisoned(&self) -> Result<OwnerGuard<'_>> {
        let me = this_thread();
        match self.word().compare_exchange(POISONED, self.held_by(me), Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => {
                self.inside.store(me, Ordering::Relaxed);
                tsan::acquire(self);
                Ok(OwnerGuard { owner: self, leave: Some(POISONED) })
            }
            Err(word) if word == me | POISONED => Err(Status::REENTRANT),
            Err(_) => Err(Status::WRONG_THREAD),
        }
    }

    /// True if nothing may go on: after a panic, and in a child that was forked in a callback. Only the thread that is
    /// inside may ask.
    #[inline]
    pub fn is_unusable(&self) -> bool {
        is_unusable(self.page.owner.load(Ordering::Relaxed)) && self.confirm_unusable()
    }

    #[cold]
    fn confirm_unusable(&self) -> bool {
        let word = self.word().load(Ordering::Relaxed);
        is_unusable(word) && word != BUSY
    }

    /// True until [`OwnerLock::invalidate_batch`], or until the reactor is unusable: one load for every datagram.
    #[inline]
    pub fn is_batch_valid(&self) -> bool {
        self.page.batch_valid.load(Ordering::Relaxed) != 0
    }

    /// Before a batch is delivered, if the reactor is usable. Only the thread that is inside may call this.
    pub fn mark_batch_valid(&self) {
        self.page.batch_valid.store(self.is_wiped_on_fork().into(), Ordering::Relaxed);
    }

    /// The loop that delivers a batch has to check its port before the next datagram. Only the thread that is inside
    /// may call this.
    pub fn invalidate_batch(&self) {
        self.page.batch_valid.store(0, Ordering::Relaxed);
    }

    /// For threads that need not be inside.
    ///
    /// # Errors
    /// CLOSED after the reactor's end and in a forked child, PANIC after a panic.
    pub fn check_open(&self) -> Result {
        match self.word().load(Ordering::Acquire) {
            FORKED | CLOSED => Err(Status::CLOSED),
            word if word & FORKED_BUSY == FORKED_BUSY => Err(Status::CLOSED),
            word if word & POISONED != 0 && word != BUSY => Err(Status::PANIC),
            _ => Ok(()),
        }
    }

    /// True in a forked child, until [`ForkedGuard::revive`] has succeeded.
    pub fn is_forked(&self) -> bool {
        let word = self.word().load(Ordering::Relaxed);
        word == FORKED || word & FORKED_BUSY == FORKED_BUSY
    }

    /// Enters a reactor of which [`OwnerLock::is_forked`] is true, for what is allowed in a forked child. It stays
    /// CLOSED for everything else.
    ///
    /// # Errors
    /// WRONG_THREAD while another thread is inside, or after another thread has closed it; CLOSED after this thread has
    /// closed it; NOT_SUPPORTED if this is not a forked child.
    pub fn enter_forked(&self) -> Result<ForkedGuard<'_>> {
        let busy = this_thread() | FORKED_BUSY;
        match self.word().compare_exchange(FORKED, busy, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => Ok(ForkedGuard { owner: self, leave: FORKED }),
            Err(word) if word == busy => Err(Status::CLOSED),
            Err(word) if word & FORKED_BUSY == FORKED_BUSY => Err(Status::WRONG_THREAD),
            Err(_) => Err(Status::NOT_SUPPORTED),
        }
    }

    /// Opens a reactor that is pinned to the calling thread for all threads. Has no effect if it is not pinned to this
    /// thread.
    pub fn unpin(&self) {
        tsan::release(self);
        let mine = this_thread() | PINNED;
        let _ = self.word().compare_exchange(mine, IDLE, Ordering::Release, Ordering::Relaxed);
    }

    /// Every later call fails with CLOSED.
    pub fn close(&self) {
        self.word().store(CLOSED, Ordering::Release);
    }

    /// Every later call but the end fails with PANIC. Only the thread that is inside may call this. Has no effect if
    /// the reactor was closed or forked meanwhile.
    pub fn poison(&self) {
        self.invalidate_batch();
        let me = this_thread();
        let held = self.held_by(me);
        let _ = self.word().compare_exchange(held, me | POISONED, Ordering::Release, Ordering::Relaxed);
    }
}

fn is_unusable(word: usize) -> bool {
    word == FORKED || word & POISONED != 0
}

/// The calling thread is inside while this lives.
#[derive(Debug)]
pub struct OwnerGuard<'a> {
    owner: &'a OwnerLock,
    leave: Option<usize>,
}

impl OwnerGuard<'_> {
    /// True if the thread was inside before: the call comes from a callback.
    pub fn is_nested(&self) -> bool {
        self.leave.is_none()
    }

    /// Pins the reactor to this thread when the guard is dropped, until [`OwnerLock::unpin`].
    pub fn pin(&mut self) {
        self.leave = self.leave.map(|_| this_thread() | PINNED);
    }

    /// True if the reactor will be pinned to this thread.
    pub fn is_pinned(&self) -> bool {
        self.leave == Some(this_thread() | PINNED)
    }
}

impl Drop for OwnerGuard<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(idle) = self.leave {
            tsan::release(self.owner);
            self.owner.inside.store(0, Ordering::Relaxed);
            let (word, me) = (self.owner.word(), this_thread());
            // A compare_exchange would double the cost of a call outside of callbacks. A load and a store are enough:
            // while a thread is inside, no other thread writes. Others find neither IDLE nor their own word; close and
            // poison are called by the thread that is inside; revive is called in a child in which no thread was
            // inside. Only a fork in a signal handler could come between the two: fork is not allowed in handlers
            // (POSIX.1-2024), and after _Fork, which is, the child may only call exec.
            match word.load(Ordering::Relaxed) {
                held if held == self.owner.held_by(me) => word.store(idle, Ordering::Release),
                // It can be freed now.
                poisoned if poisoned == me | POISONED => word.store(POISONED, Ordering::Release),
                // It was closed or forked meanwhile, and stays so.
                _ => {}
            }
        }
    }
}

/// The calling thread is inside a forked reactor while this lives.
#[derive(Debug)]
pub struct ForkedGuard<'a> {
    owner: &'a OwnerLock,
    leave: usize,
}

impl ForkedGuard<'_> {
    /// Makes the reactor usable in this child, if `renew` succeeds.
    ///
    /// # Errors
    /// REENTRANT if this thread was inside when it forked, WRONG_THREAD if another thread was: it does not exist here.
    /// Those of `renew`.
    pub fn revive(mut self, renew: impl FnOnce() -> Result) -> Result {
        let inside = &self.owner.inside;
        match inside.load(Ordering::Relaxed) {
            0 => {}
            thread if thread == this_thread() => return Err(Status::REENTRANT),
            _ => return Err(Status::WRONG_THREAD),
        }
        // For a child that another thread forks meanwhile: this thread's half of the work does not exist there.
        inside.store(this_thread(), Ordering::Relaxed);
        let renewed = renew();
        inside.store(0, Ordering::Relaxed);
        if renewed.is_ok() {
            self.leave = IDLE;
        }
        renewed
    }

    /// Ends the reactor in this child. This thread stays inside, so that no other thread can enter.
    pub fn close(mut self) {
        self.leave = this_thread() | FORKED_BUSY;
    }
}

impl Drop for ForkedGuard<'_> {
    fn drop(&mut self) {
        self.owner.word().store(self.leave, Ordering::Release);
    }
}

#[cfg(test)]
mod tests;
