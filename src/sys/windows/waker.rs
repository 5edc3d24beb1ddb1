//! A sticky wake-up for a reactor that waits, by its poller.

use crate::sys::api::SignalSet;
use crate::sys::{Handle, Kernel, Poller};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// Wakes a waiting reactor from any thread.
///
/// A wake-up without a waiting reactor stays until the next wait. Several wake-ups count as one.
#[derive(Debug)]
pub struct Waker(Arc<WakerState>);

/// What the console's thread uses of a [`Waker`].
#[derive(Debug, Default)]
pub(super) struct WakerState {
    poller: OnceLock<Arc<polling::Poller>>,
    /// The reactor is awake, or will be: nobody has to end its wait.
    notified: AtomicBool,
    /// There was a wake-up since the reactor last began to drain.
    pending: AtomicBool,
    /// The signals that wake it: the bits of a [`SignalSet`].
    listened: AtomicU64,
    /// Those that have come.
    received: AtomicU64,
}

impl Waker {
    /// A waker that is [registered](Waker::register) nowhere.
    ///
    /// # Errors
    /// None.
    pub fn new() -> io::Result<Waker> {
        Ok(Waker(Arc::default()))
    }

    /// Has wake-ups end the waits of a poller.
    ///
    /// # Errors
    /// None.
    pub fn register(&self, _kernel: &(impl Kernel + ?Sized), poller: &Poller, _token: u64) -> io::Result<()> {
        self.0.poller.get_or_init(|| poller.set());
        Ok(())
    }

    /// Wakes the reactor. Any thread.
    pub fn wake(&self) {
        self.0.wake();
    }

    /// Begins to handle the wake-ups so far. Only the reactor's thread may call this.
    pub fn begin_drain(&self) {
        self.0.pending.store(false, Ordering::SeqCst);
    }

    /// Has no effect: the wait that a wake-up has ended has removed it.
    pub fn clear(&self) {}

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

    /// Has no effect: no other loop waits for the poller.
    pub fn republish(&self) {}

    /// True from a wake-up until the end of the turn that handles it.
    pub fn is_notified(&self) -> bool {
        self.0.notified.load(Ordering::SeqCst)
    }

    /// Has no effect: no process is forked.
    ///
    /// # Errors
    /// None.
    pub fn renew(&self) -> io::Result<()> {
        Ok(())
    }

    /// It needs no handles.
    pub fn fds(&self) -> impl Iterator<Item = Handle> {
        std::iter::empty()
    }

    /// The signals that have come since the last call. Only the reactor's thread may call this.
    pub fn take_signals(&self) -> SignalSet {
        SignalSet::from_bits(self.0.received.swap(0, Ordering::AcqRel))
    }

    pub(super) fn state(&self) -> &Arc<WakerState> {
        &self.0
    }
}

impl WakerState {
    /// A wake-up stores `pending`, then loads `notified`; [`Waker::try_sleep`] stores `notified`, then loads `pending`.
    /// In a single order of all four at least one of them sees the other's store.
    fn wake(&self) {
        self.pending.store(true, Ordering::SeqCst);
        let was_notified = self.notified.swap(true, Ordering::SeqCst);
        if let (false, Some(poller)) = (was_notified, self.poller.get()) {
            // It fails if there is no memory; nothing is left to be tried then.
            let _ = poller.notify();
        }
    }

    /// This signal wakes it from now on.
    pub(super) fn listen(&self, signal: i32) {
        if !self.listens(signal) {
            self.received.fetch_and(!SignalSet::bit(signal), Ordering::SeqCst);
        }
        self.listened.fetch_or(SignalSet::bit(signal), Ordering::SeqCst);
    }

    /// Ends that.
    pub(super) fn unlisten(&self, signal: i32) {
        self.listened.fetch_and(!SignalSet::bit(signal), Ordering::SeqCst);
    }

    fn listens(&self, signal: i32) -> bool {
        self.listened.load(Ordering::SeqCst) & SignalSet::bit(signal) != 0
    }

    /// Records a signal and wakes the reactor. Returns false if this waker does not listen to it.
    pub(super) fn record_signal(&self, signal: i32) -> bool {
        let listens = self.listens(signal);
        if listens {
            self.received.fetch_or(SignalSet::bit(signal), Ordering::SeqCst);
            self.wake();
        }
        listens
    }
}
