//! The state of a port that is allocated once the port is used. An idle port, of which there may be very many, has none
//! of it.

use super::Open;
use super::calls::CallIds;
use super::device::DeviceState;
use super::errors::ErrorReports;
use super::membership::Groups;
use super::path_limits::PathLimits;
use super::queue::SendQueue;
use super::stats::{Counters, Stats};
use super::write::SendState;
use crate::addr::Addr;
use crate::sys::{AppendCursor, DeferredBatch};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::Arc;

/// Later than every instant.
pub(super) const NO_DEADLINE: u64 = u64::MAX;

/// The state of a port that was used.
#[derive(Debug)]
pub(super) struct LazyState {
    pub(super) counters: Counters,
    pub(super) append_cursor: Arc<AppendCursor>,
    pub(super) sending: RefCell<SendState>,
    /// `write_ready` is called when at most so much waits.
    pub(super) write_ready_bytes: Cell<usize>,
    /// The instant at which a port stops that is draining; otherwise [`NO_DEADLINE`].
    pub(super) stop_deadline: Cell<u64>,
    pub(super) deferred: RefCell<VecDeque<DeferredBatch>>,
    pub(super) reports: ErrorReports,
    pub(super) groups: Groups,
    pub(super) path_limits: RefCell<PathLimits>,
    pub(super) device: DeviceState,
    /// The system has been asked to send datagrams at their instants.
    pub(super) sends_at: Cell<bool>,
    /// The ids of the port's delayed calls.
    pub(super) calls: RefCell<CallIds>,
    /// The peer in the form in which connect was given it: writes may name it in this form, too.
    pub(super) requested_peer: Cell<Option<Addr>>,
}

impl LazyState {
    fn new(queue_bytes: usize) -> LazyState {
        LazyState {
            counters: Counters::default(),
            append_cursor: Arc::default(),
            sending: RefCell::new(SendState::new(SendQueue::new(queue_bytes))),
            write_ready_bytes: Cell::default(),
            stop_deadline: Cell::new(NO_DEADLINE),
            deferred: RefCell::default(),
            reports: ErrorReports::new(queue_bytes),
            groups: Groups::default(),
            path_limits: RefCell::default(),
            device: DeviceState::default(),
            sends_at: Cell::default(),
            calls: RefCell::default(),
            requested_peer: Cell::default(),
        }
    }

    /// The counters, and what waits now.
    pub(super) fn stats(&self) -> Stats {
        let queue = &self.sending.borrow().queue;
        let deferred = self.deferred.borrow().iter().map(|deferred| deferred.batch().len()).sum::<usize>();
        Stats {
            queued_bytes: queue.bytes() as u64,
            queued_datagrams: queue.len() as u64,
            kept_datagrams: deferred as u64,
            ..self.counters.get()
        }
    }
}

impl Open {
    /// Allocates the state if there is none. A function that only reads calls `self.lazy.get()`.
    #[inline]
    pub(super) fn lazy(&self) -> &LazyState {
        self.lazy.get_or_init(|| Box::new(LazyState::new(self.queue_bytes as usize)))
    }

    /// True if datagrams wait for a later turn.
    pub(super) fn has_deferred(&self) -> bool {
        self.lazy.get().is_some_and(|lazy| !lazy.deferred.borrow().is_empty())
    }

    /// True if datagrams wait for a full socket.
    pub(super) fn is_waiting(&self) -> bool {
        self.lazy.get().is_some_and(|lazy| lazy.sending.borrow().is_waiting())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::Port;

    /// With the protocol, the slot in the reactor's table and the allocator's overhead it is 400 bytes in all.
    #[test]
    fn an_idle_port_is_small() {
        assert!(size_of::<Port>() <= 72, "{}", size_of::<Port>());
        assert!(size_of::<Open>() <= 152, "{}", size_of::<Open>());
    }
}
