//! A sticky wake-up for a reactor that waits: an eventfd in its epoll set, or a pipe where a sandbox refuses eventfd(2).

use super::fd::TolerantFd;
use super::mmsg::may_be_refused;
use super::{check, errno, replace};
use crate::sys::tsan;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, Ordering};

/// Wakes a waiting reactor from any thread and from signal handlers.
///
/// A wake-up that nobody waits for stays until the next wait. Many of them are one. While the reactor is awake a wake-up
/// costs no system call on either side: it looks for them once more before it rests.
#[derive(Debug)]
pub struct Waker(&'static WakerState);

impl Waker {
    /// Errors: those of eventfd(2), or of pipe2(2) where that is refused; EMFILE first of all.
    pub fn new() -> io::Result<Waker> {
        let (fd, write_end) = descriptors()?;
        let state = claim();
        state.notified.store(false, Ordering::Relaxed);
        state.pending.store(false, Ordering::Relaxed);
        state.write_end.store(write_end.map_or(-1, TolerantFd::into_raw), Ordering::Release);
        state.fd.store(fd.into_raw(), Ordering::Release);
        Ok(Waker(state))
    }

    /// Wakes the reactor. Any thread, signal safe, leaves `errno` alone.
    pub fn wake(&self) {
        tsan::release(self.0);
        self.0.wake();
    }

    /// Whoever has come so far is looked after from here on. Reactor thread.
    pub fn begin_drain(&self) {
        self.0.pending.store(false, Ordering::SeqCst);
        tsan::acquire(self.0);
    }

    /// Takes back what was raised. Reactor thread.
    pub fn clear(&self) {
        let mut room = [0u64; 64];
        // SAFETY: read(2) writes as many bytes at most; an eventfd has eight. EAGAIN (nothing raised) is as good.
        unsafe { libc::read(self.fd(), (&raw mut room).cast(), size_of_val(&room)) };
    }

    /// The end of a turn: true where somebody has come meanwhile, so that the next one must not wait. Reactor thread.
    pub fn try_sleep(&self) -> bool {
        self.0.notified.store(false, Ordering::SeqCst);
        let pending = self.0.pending.load(Ordering::SeqCst);
        if pending {
            self.0.notified.store(true, Ordering::SeqCst);
        }
        pending
    }

    /// Has the descriptor tell a loop around what [`Waker::is_notified`] says.
    pub fn republish(&self) {
        if self.is_notified() {
            self.0.notify();
        }
    }

    /// True from a wake-up until the end of the turn that it was meant for.
    pub fn is_notified(&self) -> bool {
        self.0.notified.load(Ordering::SeqCst)
    }

    /// In a forked child: descriptors of its own, the one to wait on under the same number, raised. A wake-up that was pending
    /// stays pending, and one that a thread of the parent was about to make is not lost.
    pub fn renew(&self) -> io::Result<()> {
        let (new, new_write_end) = descriptors()?;
        replace(self.fd(), &new)?;
        let former = self.0.write_end.swap(new_write_end.map_or(-1, TolerantFd::into_raw), Ordering::SeqCst);
        if former >= 0 {
            super::fd::close(former);
        }
        // Handlers that were at work on it in the parent are not there any more.
        self.0.lease.store(USED, Ordering::SeqCst);
        self.0.notified.store(false, Ordering::SeqCst);
        self.wake();
        Ok(())
    }

    /// The descriptor to wait on.
    pub fn fd(&self) -> RawFd {
        self.0.fd.load(Ordering::Relaxed)
    }

    /// All that it has.
    pub fn fds(&self) -> impl Iterator<Item = RawFd> {
        std::iter::once(self.fd()).chain(self.0.write_end())
    }

    /// The part that signal handlers look at.
    pub(in crate::sys) fn state(&self) -> &'static WakerState {
        self.0
    }
}

impl Drop for Waker {
    fn drop(&mut self) {
        self.0.lease.fetch_add(RETIRED - USED, Ordering::SeqCst);
        self.0.close_retired();
    }
}

/// What is behind a [`Waker`].
///
/// It is never freed, and used again by a later waker. So a signal handler, which cannot know whether a waker is still there,
/// may look at all of them at any time, and nobody ever waits for a handler to end: a descriptor that a handler is about to
/// write to when its waker ends is closed by that handler.
#[derive(Debug)]
pub(in crate::sys) struct WakerState {
    fd: AtomicI32,
    /// The end to write to, if it is a pipe, else -1.
    write_end: AtomicI32,
    /// The reactor is awake, or will be: nobody needs to write to the descriptor.
    notified: AtomicBool,
    /// Somebody has come since the reactor looked last.
    pending: AtomicBool,
    /// FREE, USED, RETIRED or CLOSING, and how many handlers are at work on it.
    lease: AtomicU32,
    /// The process whose signals wake it; 0 for none.
    signal_process: AtomicI32,
    /// How many signals have come so far.
    signal_count: AtomicU32,
    next: AtomicPtr<WakerState>,
}

const FREE: u32 = 0;
const USED: u32 = 1 << 30;
/// Its waker has been dropped, its descriptor is still open.
const RETIRED: u32 = 2 << 30;
/// One thread closes its descriptor.
const CLOSING: u32 = 3 << 30;
const HANDLERS: u32 = USED - 1;

static FIRST: AtomicPtr<WakerState> = AtomicPtr::new(std::ptr::null_mut());

/// All that there are.
pub(in crate::sys) fn all() -> impl Iterator<Item = &'static WakerState> {
    let follow = |link: &AtomicPtr<WakerState>| {
        // SAFETY: null, or one that was made by claim, and is never freed.
        unsafe { link.load(Ordering::Acquire).as_ref() }
    };
    std::iter::successors(follow(&FIRST), move |state| follow(&state.next))
}

/// One that nobody uses.
fn claim() -> &'static WakerState {
    let take = |state: &&WakerState| {
        state.lease.compare_exchange(FREE, USED, Ordering::SeqCst, Ordering::Relaxed).is_ok()
    };
    all().find(take).unwrap_or_else(|| {
        let state: &'static WakerState = Box::leak(Box::new(WakerState {
            fd: AtomicI32::new(-1),
            write_end: AtomicI32::new(-1),
            notified: AtomicBool::new(false),
            pending: AtomicBool::new(false),
            lease: AtomicU32::new(USED),
            signal_process: AtomicI32::new(0),
            signal_count: AtomicU32::new(0),
            next: AtomicPtr::new(FIRST.load(Ordering::Acquire)),
        }));
        let new = std::ptr::from_ref(state).cast_mut();
        let push = |first| {
            state.next.store(first, Ordering::Release);
            Some(new)
        };
        // It never refuses.
        let _ = FIRST.fetch_update(Ordering::AcqRel, Ordering::Acquire, push);
        state
    })
}

impl WakerState {
    /// It says that it has come, then asks whether the reactor is awake; [`Waker::try_sleep`] says that it is not, then asks
    /// whether somebody has come. In one order of all four at least one of them sees the other.
    fn wake(&self) {
        self.pending.store(true, Ordering::SeqCst);
        if !self.notified.load(Ordering::SeqCst) && !self.notified.swap(true, Ordering::SeqCst) {
            self.notify();
        }
    }

    fn write_end(&self) -> Option<RawFd> {
        Some(self.write_end.load(Ordering::Acquire)).filter(|fd| *fd >= 0)
    }

    fn notify(&self) {
        notify(self.write_end().unwrap_or_else(|| self.fd.load(Ordering::Acquire)));
    }

    /// The process whose signals wake it; 0 for none. To be unset before its waker is dropped.
    pub(in crate::sys) fn set_signal_process(&self, process: i32) {
        self.signal_process.store(process, Ordering::SeqCst);
    }

    /// True while signals of that process wake it.
    pub(in crate::sys) fn listens_to_signals_of(&self, process: i32) -> bool {
        self.signal_process.load(Ordering::SeqCst) == process
    }

    /// How many signals have come so far.
    pub(in crate::sys) fn signal_count(&self) -> u32 {
        self.signal_count.load(Ordering::Acquire)
    }

    /// For a signal handler of that process: counts a signal and wakes. False where it does not listen.
    ///
    /// It looks twice. The first look keeps handlers of a forked child away from the count, which may be the parent's; the
    /// second is for a waker that ended in between.
    pub(in crate::sys) fn record_signal(&self, process: i32) -> bool {
        if !self.listens_to_signals_of(process) {
            return false;
        }
        self.lease.fetch_add(1, Ordering::SeqCst);
        let listens = self.listens_to_signals_of(process);
        if listens {
            self.signal_count.fetch_add(1, Ordering::Release);
            self.wake();
        }
        self.lease.fetch_sub(1, Ordering::SeqCst);
        self.close_retired();
        listens
    }

    /// Closes the descriptor of a waker that has ended, unless a handler is at work on it, which then does it.
    fn close_retired(&self) {
        if self.lease.compare_exchange(RETIRED, CLOSING, Ordering::SeqCst, Ordering::Relaxed).is_ok() {
            // A pipe first by the end to write to: writing to one that nobody can read raises SIGPIPE.
            let write_end = self.write_end();
            self.write_end.store(-1, Ordering::SeqCst);
            write_end.into_iter().for_each(super::fd::close);
            super::fd::close(self.fd.swap(-1, Ordering::SeqCst));
            // A handler that comes late may have counted itself; it finds that nobody listens.
            self.lease.fetch_and(HANDLERS, Ordering::SeqCst);
        }
    }
}

/// The one to wait on, and the one to write to if that is another one.
fn descriptors() -> io::Result<(TolerantFd, Option<TolerantFd>)> {
    match eventfd() {
        Err(error) if may_be_refused(&error) => pipe().map(|[read, write]| (read, Some(write))),
        made => made.map(|fd| (fd, None)),
    }
}

/// Non-blocking and close-on-exec.
fn eventfd() -> io::Result<TolerantFd> {
    // SAFETY: eventfd(2) takes two integers.
    let fd = check(unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) }.into())?;
    // SAFETY: the descriptor was made just now, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) }.into())
}

/// The same: the end to read from, and the one to write to.
fn pipe() -> io::Result<[TolerantFd; 2]> {
    let mut fds = [-1; 2];
    // SAFETY: pipe2(2) writes two descriptors.
    check(unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_NONBLOCK | libc::O_CLOEXEC) }.into())?;
    // SAFETY: both were made just now, and nobody else knows them.
    Ok(fds.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }.into()))
}

/// Adds one to an eventfd, or eight bytes to a pipe; keeps `errno`, so that a signal handler may do it. A full one wakes as well.
///
/// By syscall(2): write(3) is a cancellation point, and a thread that ended here would leave a waker that says it was raised.
fn notify(fd: RawFd) {
    let one = 1u64;
    errno::preserve(|| {
        // SAFETY: write(2) is async-signal-safe (signal-safety(7)) and reads eight bytes.
        unsafe { libc::syscall(libc::SYS_write, fd, (&raw const one), 8usize) };
    });
}
