//! The counters of a port.

use super::Open;
use std::cell::Cell;

/// A snapshot of a port's counters.
pub use crate::abi::udpr_transport_stats as Stats;

/// The counters of an open port.
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
    /// Adds the datagrams that the kernel has dropped since the last call, since the receive buffer was full. The kernel's count
    /// wraps at 32 bits.
    pub(super) fn count_kernel_drops(&self) {
        let drops = self.context.kernel.drops(self.fd.get()).unwrap_or(self.drops.get());
        let more = drops.wrapping_sub(self.drops.replace(drops));
        if more > 0 {
            self.lazy().counters.update(|stats| stats.dropped_in += u64::from(more));
        }
    }

    /// Called for an adopted socket: datagrams that it has dropped before are not counted.
    pub(super) fn forget_drops(&self) {
        self.drops.set(self.context.kernel.drops(self.fd.get()).unwrap_or(0));
    }
}
