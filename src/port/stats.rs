//! What a port counts.

use super::Open;
use std::cell::Cell;

/// A snapshot of a port's counters. Its `size` is set where it is handed out.
pub use crate::abi::udpr_transport_stats as Stats;

/// The counters of a living port.
#[derive(Debug, Default)]
pub(super) struct Counters {
    stats: Cell<Stats>,
}

impl Counters {
    pub(super) fn get(&self) -> Stats {
        self.stats.get()
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut Stats)) {
        let mut stats = self.stats.get();
        change(&mut stats);
        self.stats.set(stats);
    }
}

impl Open {
    /// Datagrams that found the receive buffer full since the port was made, until its socket is closed. The
    /// kernel's own count goes round at 32 bits, so that it must be looked at once in so many drops.
    pub(super) fn count_kernel_drops(&self) {
        let drops = self.context.kernel.drops(self.fd.get()).unwrap_or(self.drops.get());
        let more = drops.wrapping_sub(self.drops.replace(drops));
        if more > 0 {
            self.lazy().counters.update(|stats| stats.dropped_in += u64::from(more));
        }
    }

    /// What an adopted socket has dropped before is not the port's.
    pub(super) fn forget_drops(&self) {
        self.drops.set(self.context.kernel.drops(self.fd.get()).unwrap_or(0));
    }
}
