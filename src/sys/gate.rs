//! Who may use a reactor right now: one thread at a time, and nobody in a forked child.

use super::line::Line;
use super::thread::this_thread;
use crate::status::{Result, Status};
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The child of a fork finds this: the page is wiped there (MADV_WIPEONFORK, madvise(2)).
const FORKED: usize = 0;
const IDLE: usize = 1;
const CLOSED: usize = 4;
/// Beside a thread's number: that thread owns the reactor between turns too. Numbers are addresses (glibc and
/// musl), so their two lowest bits are free and none of them is below 8.
const PINNED: usize = 1;
/// Alone, or beside the number of the thread that is still inside: until it has left, nobody may free the reactor.
const DEAD: usize = 2;
/// Beside a thread's number, in a forked child: that thread renews the reactor, or has freed it and stays.
const FORKED_BUSY: usize = PINNED | DEAD;

/// What is on the page.
#[repr(C)]
struct Page {
    owner: Line<AtomicUsize>,
    /// Not 0: nothing has happened that the one who goes through a batch must look at.
    calm: AtomicUsize,
}

/// The owner word of a reactor, on a page of its own that a forked child finds wiped.
///
/// Thread ids are the same in a child and a `close` there would disturb the parent's epoll set, so a child must
/// not get in by mistake.
#[derive(Debug)]
pub struct Gate {
    page: NonNull<Page>,
    size: usize,
    /// The thread that is inside, or 0. Not on the page: in a forked child it tells who was inside at the fork.
    inside: AtomicUsize,
}

// SAFETY: the page holds atomic words and lives as long as the Gate.
unsafe impl Send for Gate {}
// SAFETY: as above.
unsafe impl Sync for Gate {}

impl Gate {
    /// An idle gate. Errors: ENOMEM; EINVAL before Linux 4.14, which cannot wipe on fork.
    pub fn new() -> io::Result<Gate> {
        // SAFETY: sysconf(3) takes a constant.
        let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as usize;
        let (protection, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a new anonymous mapping, wherever the kernel likes.
        let page = unsafe { libc::mmap(std::ptr::null_mut(), size, protection, flags, -1, 0) };
        if page == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let words = NonNull::new(page.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        let gate = Gate { page: words, size, inside: AtomicUsize::new(0) };
        // SAFETY: the page was mapped above with this size.
        super::check(unsafe { libc::madvise(page, size, libc::MADV_WIPEONFORK) }.into())?;
        gate.word().store(IDLE, Ordering::Release);
        Ok(gate)
    }

    fn page(&self) -> &Page {
        // SAFETY: the mapping lives until drop, is aligned, and is only ever used as these words, of which any bits are values.
        unsafe { self.page.as_ref() }
    }

    fn word(&self) -> &AtomicUsize {
        &self.page().owner
    }

    /// True where the calling thread is inside already, and may go on.
    #[inline]
    pub fn is_inside(&self) -> bool {
        self.word().load(Ordering::Relaxed) == this_thread()
    }

    /// Lets the calling thread in until the answer is dropped. WRONG_THREAD while another one is in, CLOSED after
    /// the reactor's end and in a forked child, PANIC once the reactor is dead.
    #[inline]
    pub fn enter(&self) -> Result<Entry<'_>> {
        let me = this_thread();
        if self.word().load(Ordering::Relaxed) == me {
            return Ok(Entry { gate: self, leave: None });
        }
        self.take(me)
    }

    #[cold]
    fn take(&self, me: usize) -> Result<Entry<'_>> {
        let word = self.word();
        for idle in [IDLE, me | PINNED] {
            if word.compare_exchange(idle, me, Ordering::Acquire, Ordering::Relaxed).is_ok() {
                self.inside.store(me, Ordering::Relaxed);
                return Ok(Entry { gate: self, leave: Some(idle) });
            }
        }
        Err(self.check_open().err().unwrap_or(Status::WRONG_THREAD))
    }

    /// For the end of a dead reactor: whoever comes first gets in, but not before the thread that was inside when it died
    /// has left: REENTRANT for that one, WRONG_THREAD for others.
    pub fn enter_dead(&self) -> Result<Entry<'_>> {
        let me = this_thread();
        match self.word().compare_exchange(DEAD, me, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => Ok(Entry { gate: self, leave: Some(DEAD) }),
            Err(word) if word == me | DEAD => Err(Status::REENTRANT),
            Err(_) => Err(Status::WRONG_THREAD),
        }
    }

    /// True where nobody may go on: in a child that was forked in a callback, and after a panic.
    #[inline]
    pub fn is_lost(&self) -> bool {
        let word = self.word().load(Ordering::Relaxed);
        word == FORKED || word & DEAD != 0
    }

    /// True until something is [disturbed](Gate::disturb) or the gate is lost: one look, for every datagram.
    #[inline]
    pub fn is_calm(&self) -> bool {
        self.page().calm.load(Ordering::Relaxed) != 0
    }

    /// Said by the thread that is inside, where the gate is not lost, before it goes through a batch.
    pub fn calm(&self) {
        self.page().calm.store(1, Ordering::Relaxed);
    }

    /// Said by the thread that is inside: whoever goes through a batch must look whether it may go on.
    pub fn disturb(&self) {
        self.page().calm.store(0, Ordering::Relaxed);
    }

    /// CLOSED after the reactor's end and in a forked child, PANIC once it is dead. For those who need not be inside.
    pub fn check_open(&self) -> Result {
        match self.word().load(Ordering::Acquire) {
            FORKED | CLOSED => Err(Status::CLOSED),
            word if word & FORKED_BUSY == FORKED_BUSY => Err(Status::CLOSED),
            word if word & DEAD != 0 => Err(Status::PANIC),
            _ => Ok(()),
        }
    }

    /// True in a forked child, until [`Forked::revive`] has succeeded.
    pub fn is_forked(&self) -> bool {
        let word = self.word().load(Ordering::Relaxed);
        word == FORKED || word & FORKED_BUSY == FORKED_BUSY
    }

    /// Lets the calling thread in where [`Gate::is_forked`], for what may be done in a forked child; to everything else
    /// the reactor stays CLOSED meanwhile. WRONG_THREAD while another thread is in, or once another has closed it;
    /// CLOSED once this one has; NOT_SUPPORTED where this is no forked child any more.
    pub fn enter_forked(&self) -> Result<Forked<'_>> {
        let busy = this_thread() | FORKED_BUSY;
        match self.word().compare_exchange(FORKED, busy, Ordering::Acquire, Ordering::Relaxed) {
            Ok(_) => Ok(Forked { gate: self, leave: FORKED }),
            Err(word) if word == busy => Err(Status::CLOSED),
            Err(word) if word & FORKED_BUSY == FORKED_BUSY => Err(Status::WRONG_THREAD),
            Err(_) => Err(Status::NOT_SUPPORTED),
        }
    }

    /// Opens a gate that is left to the calling thread alone to every thread. Without effect if it is not.
    pub fn unpin(&self) {
        let mine = this_thread() | PINNED;
        let _ = self.word().compare_exchange(mine, IDLE, Ordering::Release, Ordering::Relaxed);
    }

    /// From here on everything answers CLOSED.
    pub fn close(&self) {
        self.word().store(CLOSED, Ordering::Release);
    }

    /// From here on everything answers PANIC, but for the end. Said by the thread that is inside; where the reactor was
    /// closed or forked meanwhile, that stays.
    pub fn kill(&self) {
        self.disturb();
        let me = this_thread();
        let _ = self.word().compare_exchange(me, me | DEAD, Ordering::Release, Ordering::Relaxed);
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        // SAFETY: the mapping made in new, which nothing refers to any more.
        unsafe { libc::munmap(self.page.as_ptr().cast(), self.size) };
    }
}

/// One stay inside a [`Gate`].
#[derive(Debug)]
pub struct Entry<'a> {
    gate: &'a Gate,
    leave: Option<usize>,
}

impl Entry<'_> {
    /// True when this thread was inside already: the call comes from a callback.
    pub fn is_nested(&self) -> bool {
        self.leave.is_none()
    }

    /// Leaves the gate to this thread alone when the stay ends, until [`Gate::unpin`].
    pub fn pin(&mut self) {
        self.leave = self.leave.map(|_| this_thread() | PINNED);
    }

    /// True if the gate is left to this thread alone.
    pub fn is_pinned(&self) -> bool {
        self.leave == Some(this_thread() | PINNED)
    }
}

impl Drop for Entry<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Some(idle) = self.leave {
            self.gate.inside.store(0, Ordering::Relaxed);
            let (word, me) = (self.gate.word(), this_thread());
            // No compare_exchange, which would double what a call outside of callbacks costs: while a thread is inside,
            // nobody else writes. Others find neither IDLE nor a word of their own; close and kill are said inside; revive
            // is for a child where nobody was inside. Only a fork in a signal handler could come between the two: fork is
            // not for handlers (POSIX.1-2024), and _Fork, which is, leaves a child that may do no more than exec.
            match word.load(Ordering::Relaxed) {
                inside if inside == me => word.store(idle, Ordering::Release),
                // It can be freed now.
                dead if dead == me | DEAD => word.store(DEAD, Ordering::Release),
                // Closed or forked meanwhile: that stays.
                _ => {}
            }
        }
    }
}

/// One stay inside a [`Gate`] that is forked.
#[derive(Debug)]
pub struct Forked<'a> {
    gate: &'a Gate,
    leave: usize,
}

impl Forked<'_> {
    /// Makes the gate usable in this child, if `renew` succeeds. REENTRANT where this thread was inside when it forked;
    /// WRONG_THREAD where another one was, which is not there any more.
    pub fn revive(mut self, renew: impl FnOnce() -> Result) -> Result {
        let inside = &self.gate.inside;
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

impl Drop for Forked<'_> {
    fn drop(&mut self) {
        self.gate.word().store(self.leave, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_thread_at_a_time() {
        let gate = Gate::new().unwrap();
        let entry = gate.enter().unwrap();
        assert!(!entry.is_nested() && gate.enter().unwrap().is_nested());
        std::thread::scope(|scope| {
            let other = scope.spawn(|| gate.enter().err());
            assert_eq!(other.join().unwrap(), Some(Status::WRONG_THREAD));
        });
        drop(entry);
        std::thread::scope(|scope| assert!(scope.spawn(|| gate.enter().is_ok()).join().unwrap()));
    }

    #[test]
    fn pinned_to_a_thread() {
        let gate = Gate::new().unwrap();
        gate.enter().unwrap().pin();
        assert!(!gate.enter().unwrap().is_nested());
        std::thread::scope(|scope| {
            let other = scope.spawn(|| gate.enter().err());
            assert_eq!(other.join().unwrap(), Some(Status::WRONG_THREAD));
            scope.spawn(|| gate.unpin()).join().unwrap();
            assert_eq!(scope.spawn(|| gate.enter().err()).join().unwrap(), Some(Status::WRONG_THREAD));
            gate.unpin();
            assert_eq!(scope.spawn(|| gate.enter().err()).join().unwrap(), None);
        });
    }

    #[test]
    fn closed_and_dead() {
        let gate = Gate::new().unwrap();
        let entry = gate.enter().unwrap();
        gate.calm();
        assert!(gate.is_calm() && !gate.is_lost());
        gate.kill();
        assert!(gate.is_lost() && !gate.is_calm());
        assert_eq!(gate.enter().err(), Some(Status::PANIC));
        assert_eq!(gate.enter_dead().err(), Some(Status::REENTRANT));
        std::thread::scope(|scope| {
            let other = scope.spawn(|| gate.enter_dead().err());
            assert_eq!(other.join().unwrap(), Some(Status::WRONG_THREAD));
        });
        drop(entry);
        assert_eq!((gate.is_lost(), gate.enter().err()), (true, Some(Status::PANIC)));
        assert!(gate.enter_dead().is_ok());
        gate.close();
        assert_eq!(gate.enter().err(), Some(Status::CLOSED));
    }

    /// As in a forked child, where the page is wiped.
    fn forked() -> Gate {
        let gate = Gate::new().unwrap();
        gate.word().store(FORKED, Ordering::Release);
        gate
    }

    fn elsewhere(gate: &Gate) -> Status {
        let enter = || gate.enter_forked().err().unwrap_or(Status::OK);
        std::thread::scope(|scope| scope.spawn(enter).join().unwrap())
    }

    #[test]
    fn a_forked_gate_lets_one_thread_in() {
        let gate = forked();
        let inside = gate.enter_forked().unwrap();
        assert_eq!(elsewhere(&gate), Status::WRONG_THREAD);
        assert!(gate.is_forked() && gate.is_lost());
        assert_eq!((gate.enter().err(), gate.check_open()), (Some(Status::CLOSED), Err(Status::CLOSED)));
        assert_eq!(inside.revive(|| Err(Status::NO_FILES)), Err(Status::NO_FILES));
        assert!(gate.is_forked());
        assert_eq!(gate.enter_forked().unwrap().revive(|| Ok(())), Ok(()));
        assert!(!gate.is_forked() && !gate.is_lost() && gate.enter().is_ok());
        assert_eq!(elsewhere(&gate), Status::NOT_SUPPORTED);
    }

    #[test]
    fn a_forked_gate_that_was_closed_stays_closed() {
        let gate = forked();
        gate.enter_forked().unwrap().close();
        assert!(gate.is_forked() && gate.is_lost());
        assert_eq!(elsewhere(&gate), Status::WRONG_THREAD);
        assert_eq!(gate.enter_forked().err(), Some(Status::CLOSED));
        assert_eq!(gate.enter().err(), Some(Status::CLOSED));
    }

    #[test]
    fn a_thread_that_was_inside_at_the_fork_keeps_a_child_from_reviving() {
        let gate = Gate::new().unwrap();
        let entry = gate.enter().unwrap();
        gate.word().store(FORKED, Ordering::Release);
        assert_eq!(gate.enter_forked().unwrap().revive(|| Ok(())), Err(Status::REENTRANT));
        let revive = || gate.enter_forked().unwrap().revive(|| Ok(()));
        let other = std::thread::scope(|scope| scope.spawn(revive).join().unwrap());
        assert_eq!(other, Err(Status::WRONG_THREAD));
        drop(entry);
        assert!(gate.is_forked());
        assert_eq!(gate.enter_forked().unwrap().revive(|| Ok(())), Ok(()));
    }
}
