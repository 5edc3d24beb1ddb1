//! Calls from other threads, which wait for the reactor's next turn.

use crate::context::Shared;
use crate::resolver::LookupResult;
use crate::status::{Result, Status};
use crate::sys::{AtomicQueue, CachePadded, Drained, Mutex, tsan};
use std::collections::VecDeque;
use std::sync::Arc;

/// The handle of a reactor for other threads. It may outlive the reactor, and is CLOSED then.
pub struct Remote<C> {
    /// The part that is shared with the ports.
    pub shared: CachePadded<Arc<Shared>>,
    queue: CachePadded<Mutex<Queue<C>>>,
    /// Calls of the library's own threads, which may push one at the moment when the host forks.
    finished: AtomicQueue<C>,
    results: AtomicQueue<(u64, LookupResult)>,
}

struct Queue<C> {
    calls: Vec<C>,
    closed: bool,
}

impl<C> Remote<C> {
    pub(super) fn new(shared: Arc<Shared>) -> Remote<C> {
        let queue = Queue { calls: Vec::new(), closed: false };
        Remote {
            shared: CachePadded(shared),
            queue: CachePadded(Mutex::new(queue)),
            finished: AtomicQueue::default(),
            results: AtomicQueue::default(),
        }
    }

    /// Makes `call` in a later turn, in order for each thread.
    ///
    /// # Errors
    /// CLOSED after the reactor's end, NO_MEMORY; then the call is dropped.
    pub fn call(&self, call: C) -> Result {
        self.take_call(&mut Some(call))
    }

    /// As [`Remote::call`], but a call that is refused stays in `call`: if it is dropped, that may free this remote.
    #[inline(always)] // it is what a call from another thread costs
    pub fn take_call(&self, call: &mut Option<C>) -> Result {
        self.shared.owner.check_open()?;
        let mut queue = self.queue.lock();
        if queue.closed {
            drop(queue);
            return Err(Status::CLOSED);
        }
        if let Err(error) = queue.calls.try_reserve(1) {
            drop(queue);
            return Err(error.into());
        }
        let first = queue.calls.is_empty();
        queue.calls.extend(call.take());
        drop(queue);
        self.wake_for(first);
        Ok(())
    }

    /// The reactor takes all calls at once, so only the first one has to wake it.
    #[inline(always)]
    fn wake_for(&self, first: bool) {
        if first {
            self.shared.waker.wake();
        }
    }

    /// From the pool: the call that follows work. It is taken after the end, too, so that the reactor's thread drops
    /// it.
    pub(super) fn finish(&self, call: C) {
        self.wake_for(self.finished.push(call));
    }

    /// From the thread of a look-up: its result.
    pub(super) fn complete_lookup(&self, id: u64, result: LookupResult) {
        self.wake_for(self.results.push((id, result)));
    }

    pub(super) fn take_results(&self) -> Drained<(u64, LookupResult)> {
        self.results.take()
    }

    /// True if the lock is held by a thread that does not exist here: in a forked child, if at all.
    pub(super) fn is_locked(&self) -> bool {
        self.queue.is_locked()
    }

    /// Takes the calls, in exchange for an empty queue.
    pub(super) fn take_calls(&self, empty: Vec<C>) -> VecDeque<C> {
        // Taken first and called last: calls that work has made are made before the call that follows the work.
        let finished = self.finished.take();
        let mut calls = VecDeque::from(std::mem::replace(&mut self.queue.lock().calls, empty));
        calls.extend(finished);
        calls
    }

    /// Nothing is accepted any more. Returns the calls that nobody will make.
    pub(super) fn close(&self) -> VecDeque<C> {
        let mut queue = self.queue.lock();
        queue.closed = true;
        let mut calls = VecDeque::from(std::mem::take(&mut queue.calls));
        drop(queue);
        calls.extend(self.finished.take());
        calls
    }
}

impl<C> Drop for Remote<C> {
    /// See the destructor of [`Shared`].
    fn drop(&mut self) {
        tsan::acquire(self);
        tsan::acquire(&self.shared.owner);
        tsan::release(&**self.shared);
    }
}
