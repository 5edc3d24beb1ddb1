//! What a port needs memory for only once it is used. An idle one, of which there may be very many, has none of it.

use super::Open;
use super::backlog::Backlog;
use super::device::DeviceState;
use super::errors::Reports;
use super::membership::Groups;
use super::path_limits::PathLimits;
use super::stats::{Counters, Stats};
use super::write::Sending;
use crate::addr::Addr;
use crate::sys::{Kept, Lane};
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::sync::Arc;

/// See the module.
#[derive(Debug)]
pub(super) struct Used {
    pub(super) counters: Counters,
    pub(super) lane: Arc<Lane>,
    pub(super) sending: RefCell<Sending>,
    pub(super) kept: RefCell<VecDeque<Kept>>,
    pub(super) reports: Reports,
    pub(super) groups: Groups,
    pub(super) path_limits: RefCell<PathLimits>,
    pub(super) device: DeviceState,
    /// The peer as connect was given it, which may be written to with the same words.
    pub(super) asked_peer: Cell<Option<Addr>>,
}

impl Used {
    fn new(queue_bytes: usize) -> Used {
        Used {
            counters: Counters::default(),
            lane: Arc::default(),
            sending: RefCell::new(Sending::new(Backlog::new(queue_bytes))),
            kept: RefCell::default(),
            reports: Reports::new(queue_bytes),
            groups: Groups::default(),
            path_limits: RefCell::default(),
            device: DeviceState::default(),
            asked_peer: Cell::default(),
        }
    }

    /// All that is counted, and what waits now.
    pub(super) fn stats(&self) -> Stats {
        let backlog = &self.sending.borrow().backlog;
        let kept = self.kept.borrow().iter().map(|kept| kept.batch().len()).sum::<usize>();
        Stats {
            queued_bytes: backlog.bytes() as u64,
            queued_datagrams: backlog.len() as u64,
            kept_datagrams: kept as u64,
            ..self.counters.get()
        }
    }
}

impl Open {
    /// Made on first need. Who only looks takes `self.used.get()`.
    #[inline]
    pub(super) fn used(&self) -> &Used {
        self.used.get_or_init(|| Box::new(Used::new(self.queue_bytes as usize)))
    }

    /// Datagrams wait for a later turn.
    pub(super) fn keeps_some(&self) -> bool {
        self.used.get().is_some_and(|used| !used.kept.borrow().is_empty())
    }

    /// True while a full socket is waited for.
    pub(super) fn is_waiting(&self) -> bool {
        self.used.get().is_some_and(|used| used.sending.borrow().is_waiting())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::port::Port;

    /// 400 bytes in all, with the protocol and the place in the reactor's table, and what an allocator adds.
    #[test]
    fn an_idle_port_is_small() {
        assert!(size_of::<Port>() <= 72, "{}", size_of::<Port>());
        assert!(size_of::<Open>() <= 152, "{}", size_of::<Open>());
    }
}
