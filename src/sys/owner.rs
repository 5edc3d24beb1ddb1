//! Who may use a reactor right now: one thread at a time, and nobody in a forked child.

use super::cache_padded::CachePadded;
use super::imp::process_id;
use super::imp::thread::this_thread;
use super::imp::wiped_page::WipedPage;
use super::tsan;
use crate::status::{Result, Status};
use std::io;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

/// The child of a fork finds this: the page is wiped there (MADV_WIPEONFORK, madvise(2)).
const FORKED: usize = 0;
const IDLE: usize = 1;
const CLOSED: usize = 4;
/// Beside a thread's number: that thread owns the reactor between turns too. Numbers are addresses (glibc and
/// musl), so their two lowest bits are free and none of them is below 8.
const PINNED: usize = 1;
/// Alone, or beside the number of the thread that is still inside: until it has left, nobody may free the reactor.
const POISONED: usize = 2;
/// Beside a thread's number, in a forked child: that thread renews the reactor, or has freed it and stays.
const FORKED_BUSY: usize = PINNED | POISONED;

/// Some thread is inside, and [`OwnerLock::inside`] says which. No thread's number with anything beside it is this.
const BUSY: usize = CLOSED | POISONED;

/// What is on the page.
#[derive(Debug)]
#[repr(C)]
struct Page {
    owner: CachePadded<AtomicUsize>,
    /// Not 0: nothing has happened that the one who goes through a batch must look at.
    batch_valid: AtomicUsize,
}

/// The owner word of a reactor, on a page of its own that a forked child finds wiped.
///
/// Thread ids are the same in a child and a `close` there would disturb the parent's epoll set, so a child must
/// not get in by mistake.
///
/// Where a sandbox or an old kernel cannot wipe the page, the process id is compared instead whenever the word is looked at.
/// Then the word is never a thread's number but one that looks lost ([`BUSY`]), and the gate is never calm, so that the short ways
/// of [`OwnerLock::is_inside`], [`OwnerLock::enter`], [`OwnerLock::is_unusable`] and [`OwnerLock::is_batch_valid`], which know nothing of this, lead to the
/// long ones.
#[derive(Debug)]
pub struct OwnerLock {
    page: WipedPage<Page>,
    /// The process that the word is of, negative while a thread of it marks it as forked; 0 if the page is wiped.
    process: AtomicI32,
    /// The thread that is inside, or 0. It is not on the page: in a forked child it tells who was inside at the fork.
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

    /// False where the process id is compared instead.
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

    /// In a forked child: makes the page what it would be if it had been wiped.
    #[cold]
    fn detect_fork(&self) {
        let own = process_id();
        loop {
            let known = self.process.load(Ordering::Acquire);
            if known == own {
                return;
            }
            // Another thread of this child is between the stores below.
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

    /// The word while the thread of this number is inside.
    #[inline]
    fn held_by(&self, thread: usize) -> usize {
        if self.is_wiped_on_fork() { thread } else { BUSY }
    }

    /// True where the calling thread is inside already, and may go on.
    #[inline]
    pub fn is_inside(&self) -> bool {
        self.page.owner.load(Ordering::Relaxed) == this_thread()
    }

    /// Lets the calling thread in until the answer is dropped. WRONG_THREAD while another one is in, CLOSED after
    /// the reactor's end and in a forked child, PANIC once the reactor is dead.
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

    /// For the end of a dead reactor: whoever comes first gets in, but not before the thread that was inside when it died
    /// has left: REENTRANT for that one, WRONG_THREAD for others.
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

    /// True where nobody may go on: in a child that was forked in a callback, and after a panic. For the thread that is inside.
    #[inline]
    pub fn is_unusable(&self) -> bool {
        is_unusable(self.page.owner.load(Ordering::Relaxed)) && self.confirm_unusable()
    }

    #[cold]
    fn confirm_unusable(&self) -> bool {
        let word = self.word().load(Ordering::Relaxed);
        is_unusable(word) && word != BUSY
    }

    /// True until something is [disturbed](OwnerLock::invalidate_batch) or the gate is lost: one look, for every datagram.
    #[inline]
    pub fn is_batch_valid(&self) -> bool {
        self.page.batch_valid.load(Ordering::Relaxed) != 0
    }

    /// Said by the thread that is inside, where the gate is not lost, before it goes through a batch.
    pub fn mark_batch_valid(&self) {
        self.page.batch_valid.store(self.is_wiped_on_fork().into(), Ordering::Relaxed);
    }

    /// Said by the thread that is inside: whoever goes through a batch must look whether it may go on.
    pub fn invalidate_batch(&self) {
        self.page.batch_valid.store(0, Ordering::Relaxed);
    }

    /// CLOSED after the reactor's end and in a forked child, PANIC once it is dead. For those who need not be inside.
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

    /// Lets the calling thread in where [`OwnerLock::is_forked`], for what may be done in a forked child; to everything else
    /// the reactor stays CLOSED meanwhile. WRONG_THREAD while another thread is in, or once another has closed it;
    /// CLOSED once this one has; NOT_SUPPORTED where this is no forked child any more.
    pub fn enter_forked(&self) -> Result<ForkedGuard<'_>> {
        let busy = this_thread() | FORKED_BUSY;
        match self.word().compare_exchange(FORKED, busy, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => Ok(ForkedGuard { owner: self, leave: FORKED }),
            Err(word) if word == busy => Err(Status::CLOSED),
            Err(word) if word & FORKED_BUSY == FORKED_BUSY => Err(Status::WRONG_THREAD),
            Err(_) => Err(Status::NOT_SUPPORTED),
        }
    }

    /// Opens a gate that is left to the calling thread alone to every thread. Without effect if it is not.
    pub fn unpin(&self) {
        tsan::release(self);
        let mine = this_thread() | PINNED;
        let _ = self.word().compare_exchange(mine, IDLE, Ordering::Release, Ordering::Relaxed);
    }

    /// From here on everything answers CLOSED.
    pub fn close(&self) {
        self.word().store(CLOSED, Ordering::Release);
    }

    /// From here on everything answers PANIC, but for the end. Said by the thread that is inside; where the reactor was
    /// closed or forked meanwhile, that stays.
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

/// One stay inside a [`OwnerLock`].
#[derive(Debug)]
pub struct OwnerGuard<'a> {
    owner: &'a OwnerLock,
    leave: Option<usize>,
}

impl OwnerGuard<'_> {
    /// True when this thread was inside already: the call comes from a callback.
    pub fn is_nested(&self) -> bool {
        self.leave.is_none()
    }

    /// Leaves the gate to this thread alone when the stay ends, until [`OwnerLock::unpin`].
    pub fn pin(&mut self) {
        self.leave = self.leave.map(|_| this_thread() | PINNED);
    }

    /// True if the gate is left to this thread alone.
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
            // No compare_exchange, which would double what a call outside of callbacks costs: while a thread is inside,
            // nobody else writes. Others find neither IDLE nor a word of their own; close and kill are said inside; revive
            // is for a child where nobody was inside. Only a fork in a signal handler could come between the two: fork is
            // not for handlers (POSIX.1-2024), and _Fork, which is, leaves a child that may do no more than exec.
            match word.load(Ordering::Relaxed) {
                held if held == self.owner.held_by(me) => word.store(idle, Ordering::Release),
                // It can be freed now.
                poisoned if poisoned == me | POISONED => word.store(POISONED, Ordering::Release),
                // Closed or forked meanwhile: that stays.
                _ => {}
            }
        }
    }
}

/// One stay inside a [`OwnerLock`] that is forked.
#[derive(Debug)]
pub struct ForkedGuard<'a> {
    owner: &'a OwnerLock,
    leave: usize,
}

impl ForkedGuard<'_> {
    /// Makes the gate usable in this child, if `renew` succeeds. REENTRANT where this thread was inside when it forked;
    /// WRONG_THREAD where another one was, which is not there any more.
    pub fn revive(mut self, renew: impl FnOnce() -> Result) -> Result {
        let inside = &self.owner.inside;
        match inside.load(Ordering::Relaxed) {
            0 => {}
            thread if thread == this_thread() => return Err(Status::REENTRANT),
            _ => return Err(Status::WRONG_THREAD),
        }
        // For a child that another thread forks meanwhile: this half of the work is not there.
        inside.store(this_thread(), Ordering::Relaxed);
        let renewed = renew();
        inside.store(0, Ordering::Relaxed);
        if renewed.is_ok() {
            self.leave = IDLE;
        }
        renewed
    }

    /// The end in this child: this thread stays inside, so that nobody else gets in.
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
