//! What a reactor counts.

use super::{Call, Reactor};
use std::cell::Cell;

/// A snapshot of a reactor's counters.
pub use crate::abi::udpr_reactor_stats as Stats;

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) iterations: Counter,
    pub(super) wakeups: Counter,
    pub(super) timers_fired: Counter,
    pub(super) calls_from_thread: Counter,
}

#[derive(Debug, Default)]
pub(super) struct Counter(Cell<u64>);

impl Counter {
    pub(super) fn add(&self, more: u64) {
        self.0.set(self.0.get() + more);
    }
}

impl<C: Call> Reactor<C> {
    /// The counters.
    pub fn get_stats(&self) -> Stats {
        let counters = &self.counters;
        Stats {
            size: size_of::<Stats>(),
            iterations: counters.iterations.0.get(),
            wakeups: counters.wakeups.0.get(),
            timers_fired: counters.timers_fired.0.get(),
            calls_from_thread: counters.calls_from_thread.0.get(),
            transports: self.context.port_count.get(),
            timers_pending: self.timers_pending() as u64,
        }
    }
}
