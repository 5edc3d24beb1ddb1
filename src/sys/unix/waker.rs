//! A sticky wake-up for a reactor that waits, by a descriptor in its poller.

use super::fd::TolerantFd;
use super::{errno, nocancel, replace};
use crate::sys::api::{Interest, SignalSet};
use crate::sys::imp::wake_descriptors;
use crate::sys::{Kernel, Poller, tsan};
use std::io;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, AtomicU64, Ordering};

/// Wakes a waiting reactor from any thread and from signal handlers.
///
/// A wake-up without a waiting reactor stays until the next wait. Several wake-ups count as one. While the reactor is
/// awake, a wake-up costs no system call on either side: the reactor looks for wake-ups once more before it sleeps.
#[derive(Debug)]
pub struct Waker(&'static WakerState);

impl Waker {
    /// Errors: those of `wake_descriptors`; EMFILE above all.
    pub fn new() -> io::Result<Waker> {
        let (fd, write_end) = wake_descriptors()?;
        let state = claim();
        state.notified.store(false, Ordering::Relaxed);
        state.pending.store(false, Ordering::Relaxed);
        state.write_end.store(write_end.map_or(-1, TolerantFd::into_raw), Ordering::Release);
        state.fd.store(fd.into_raw(), Ordering::Release);
        Ok(Waker(state))
    }

    /// Wakes the reactor. Any thread, signal safe, keeps `errno`.
    pub fn wake(&self) {
        tsan::release(self.0);
        self.0.wake();
    }

    /// Begins to handle the wake-ups so far. Only the reactor's thread may call this.
    pub fn begin_drain(&self) {
        self.0.pending.store(false, Ordering::SeqCst);
        tsan::acquire(self.0);
    }

    /// Empties the descriptor. Only the reactor's thread may call this.
    pub fn clear(&self) {
        let mut room = [0u64; 64];
        // SAFETY: read(2) writes at most as many bytes; an eventfd has eight. EAGAIN means that it is empty already.
        unsafe { libc::read(self.fd(), (&raw mut room).cast(), size_of_val(&room)) };
    }

    /// The end of a turn. Returns true if there was a wake-up since [`Waker::begin_drain`], so that the next turn must
    /// not wait. Only the reactor's thread may call this.
    pub fn try_sleep(&self) -> bool {
        self.0.notified.store(false, Ordering::SeqCst);
        let pending = self.0.pending.load(Ordering::SeqCst);
        if pending {
            self.0.notified.store(true, Ordering::SeqCst);
        }
        pending
    }

    /// Makes the descriptor readable again if [`Waker::is_notified`], for an embedding loop that waits on it.
    pub fn republish(&self) {
        if self.is_notified() {
            self.0.notify();
        }
    }

    /// True from a wake-up until the end of the turn that handles it.
    pub fn is_notified(&self) -> bool {
        self.0.notified.load(Ordering::SeqCst)
    }

    /// In a forked child: makes new descriptors, with the descriptor to wait on under the same number, and notifies
    /// them. A pending wake-up stays pending, and a wake-up that a thread of the parent was about to make is not lost.
    pub fn renew(&self) -> io::Result<()> {
        let (new, new_write_end) = wake_descriptors()?;
        replace(self.fd(), &new)?;
        let former = self.0.write_end.swap(new_write_end.map_or(-1, TolerantFd::into_raw), Ordering::SeqCst);
        if former >= 0 {
            super::fd::close(former);
        }
        // Handlers that used it in the parent do not exist here.
        self.0.lease.store(USED, Ordering::SeqCst);
        self.0.notified.store(false, Ordering::SeqCst);
        self.wake();
        Ok(())
    }

    /// Has wake-ups end the waits of a poller, which reports this token then.
    ///
    /// # Errors
    /// Those of [`Poller::add`].
    pub fn register(&self, kernel: &(impl Kernel + ?Sized), poller: &Poller, token: u64) -> io::Result<()> {
        kernel.watch(poller, self.fd(), Interest::READABLE, token)
    }

    /// The descriptor to wait on.
    fn fd(&self) -> RawFd {
        self.0.fd.load(Ordering::Relaxed)
    }

    /// All its descriptors.
    pub fn fds(&self) -> impl Iterator<Item = RawFd> {
        std::iter::once(self.fd()).chain(self.0.write_end())
    }

    /// The signals that were received since the last call. Only the reactor's thread may call this.
    pub fn take_signals(&self) -> SignalSet {
        let received = &self.0.received;
        if received.load(Ordering::Acquire) == 0 {
            return SignalSet::default();
        }
        SignalSet::from_bits(received.swap(0, Ordering::AcqRel))
    }

    /// The part that signal handlers use.
    pub(in crate::sys) fn state(&self) -> &'static WakerState {
        self.0
    }
}

impl Drop for Waker {
    fn drop(&mut self) {
        self.0.signal_process.store(0, Ordering::SeqCst);
        self.0.lease.fetch_add(RETIRED - USED, Ordering::SeqCst);
        self.0.close_retired();
    }
}

/// The state behind a [`Waker`].
///
/// It is never freed, but reused by a later waker. A signal handler cannot know whether a waker still exists, so it may
/// look at all of them at any time. Nobody waits for a handler to end: if a waker ends while a handler is about to
/// write to its descriptor, the handler closes the descriptor.
#[derive(Debug)]
pub(in crate::sys) struct WakerState {
    fd: AtomicI32,
    /// The end to write to if it is a pipe, else -1.
    write_end: AtomicI32,
    /// The reactor is awake, or will be: nobody has to write to the descriptor.
    notified: AtomicBool,
    /// There was a wake-up since the reactor last began to drain.
    pending: AtomicBool,
    /// FREE, USED, RETIRED or CLOSING, plus the number of handlers that use it.
    lease: AtomicU32,
    /// The process whose signals wake it; 0 for none.
    signal_process: AtomicI32,
    /// The signals of that process that wake it: the bits of a [`SignalSet`].
    listened: AtomicU64,
    /// Those that were received.
    received: AtomicU64,
    next: AtomicPtr<WakerState>,
}

const FREE: u32 = 0;
const USED: u32 = 1 << 30;
/// Its waker was dropped, its descriptor is still open.
const RETIRED: u32 = 2 << 30;
/// One thread closes its descriptor.
const CLOSING: u32 = 3 << 30;
const HANDLERS: u32 = USED - 1;

static FIRST: AtomicPtr<WakerState> = AtomicPtr::new(std::ptr::null_mut());

/// All states.
pub(in crate::sys) fn all() -> impl Iterator<Item = &'static WakerState> {
    let follow = |link: &AtomicPtr<WakerState>| {
        // SAFETY: null, or made by claim, and never freed.
        unsafe { link.load(Ordering::Acquire).as_ref() }
    };
    std::iter::successors(follow(&FIRST), move |state| follow(&state.next))
}

/// A state that is free.
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
            listened: AtomicU64::new(0),
            received: AtomicU64::new(0),
            next: AtomicPtr::new(FIRST.load(Ordering::Acquire)),
        }));
        let new = std::ptr::from_ref(state).cast_mut();
        let push = |first| {
            state.next.store(first, Ordering::Release);
            Some(new)
        };
        // The closure never returns None, so this cannot fail.
        let _ = FIRST.fetch_update(Ordering::AcqRel, Ordering::Acquire, push);
        state
    })
}

impl WakerState {
    /// A wake-up stores `pending`, then loads `notified`; [`Waker::try_sleep`] stores `notified`, then loads `pending`.
    /// In a single order of all four at least one of them sees the other's store.
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

    /// This signal of this process wakes it from now on. Only under the lock of signal.rs.
    pub(in crate::sys) fn listen(&self, process: i32, signal: i32) {
        if self.signal_process.load(Ordering::SeqCst) != process {
            // Those of an earlier owner, or of the parent.
            self.listened.store(0, Ordering::SeqCst);
            self.received.store(0, Ordering::SeqCst);
            self.signal_process.store(process, Ordering::SeqCst);
        }
        if !self.listens(process, signal) {
            self.received.fetch_and(!SignalSet::bit(signal), Ordering::SeqCst);
        }
        self.listened.fetch_or(SignalSet::bit(signal), Ordering::SeqCst);
    }

    /// Ends that. Only under the lock of signal.rs.
    pub(in crate::sys) fn unlisten(&self, process: i32, signal: i32) {
        if self.signal_process.load(Ordering::SeqCst) == process {
            self.listened.fetch_and(!SignalSet::bit(signal), Ordering::SeqCst);
        }
    }

    /// True while this signal of this process wakes it.
    pub(in crate::sys) fn listens(&self, process: i32, signal: i32) -> bool {
        self.signal_process.load(Ordering::SeqCst) == process
            && self.listened.load(Ordering::SeqCst) & SignalSet::bit(signal) != 0
    }

    /// For a signal handler of that process: records the signal and wakes the reactor. Returns false if this waker does
    /// not listen to it.
    ///
    /// It checks twice. The first check keeps handlers of a forked child away from the lease, which may belong to the
    /// parent; the second is for a waker that ended in between.
    pub(in crate::sys) fn record_signal(&self, process: i32, signal: i32) -> bool {
        if !self.listens(process, signal) {
            return false;
        }
        self.lease.fetch_add(1, Ordering::SeqCst);
        let listens = self.listens(process, signal);
        if listens {
            self.received.fetch_or(SignalSet::bit(signal), Ordering::SeqCst);
            self.wake();
        }
        self.lease.fetch_sub(1, Ordering::SeqCst);
        self.close_retired();
        listens
    }

    /// Closes the descriptor of a waker that has ended, unless a handler uses it, which then closes it.
    fn close_retired(&self) {
        if self.lease.compare_exchange(RETIRED, CLOSING, Ordering::SeqCst, Ordering::Relaxed).is_ok() {
            // Of a pipe the end to write to is closed first: writing to a pipe without a reader raises SIGPIPE.
            let write_end = self.write_end();
            self.write_end.store(-1, Ordering::SeqCst);
            write_end.into_iter().for_each(super::fd::close);
            super::fd::close(self.fd.swap(-1, Ordering::SeqCst));
            // A late handler may have counted itself; it finds that nobody listens.
            self.lease.fetch_and(HANDLERS, Ordering::SeqCst);
        }
    }
}

/// Adds one to an eventfd, or eight bytes to a pipe. Keeps `errno`, so that a signal handler may call it. A full
/// descriptor wakes as well.
///
/// It is no cancellation point: a thread that ended here would leave a waker that is marked as notified.
fn notify(fd: RawFd) {
    errno::preserve(|| nocancel::write(fd, &1u64.to_ne_bytes()));
}
