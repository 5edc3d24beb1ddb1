//! What a reactor counts.

use super::{Call, Reactor};
use std::cell::Cell;

/// A snapshot of a reactor's counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Turns.
    pub iterations: u64,
    /// Turns that found something ready, or somebody who had come.
    pub wakeups: u64,
    /// Delayed calls that ran.
    pub timers_fired: u64,
    /// Calls from other threads that ran.
    pub calls_from_thread: u64,
    /// Ports whose `stop_protocol` is still to come.
    pub transports: u64,
    /// Delayed calls that are pending.
    pub timers_pending: u64,
}

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
            iterations: counters.iterations.0.get(),
            wakeups: counters.wakeups.0.get(),
            timers_fired: counters.timers_fired.0.get(),
            calls_from_thread: counters.calls_from_thread.0.get(),
            transports: self.context.ports.get(),
            timers_pending: self.timers_pending() as u64,
        }
    }
}
