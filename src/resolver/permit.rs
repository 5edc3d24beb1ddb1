//! A bound on the threads of this process that look names up, of all reactors together.
//!
//! This is process-wide, the third piece of global state next to `signal.rs` and `guard.rs`, since a thread in
//! getaddrinfo(3) outlives its reactor: otherwise every reactor that is made and freed could leave threads behind.

use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

/// The maximum.
pub(super) const THREADS_MAX: usize = 64;

/// The process that has counted (high half), and its count (low half). A forked child has none of its parent's threads,
/// so a count of another process stands for 0. It is one word without a lock: a child can neither wait for a thread
/// that does not exist there, nor find it half changed. A descendant in a new PID namespace may have an ancestor's id,
/// and thus its count: then it has fewer threads for look-ups, by the number that was in getaddrinfo at the fork.
static COUNT: AtomicU64 = AtomicU64::new(0);

/// Stands for one thread. The count goes down when it is dropped.
#[derive(Debug)]
pub struct Permit(());

impl Permit {
    /// None if there are [`THREADS_MAX`] already.
    pub fn take() -> Option<Permit> {
        let process = process::id();
        let one_more = |word| {
            Some(count(word, process))
                .filter(|count| *count < THREADS_MAX as u64)
                .map(|count| pack(process, count + 1))
        };
        COUNT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok().map(|_| Permit(()))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let process = process::id();
        let one_less = |word| Some(pack(process, count(word, process).saturating_sub(1)));
        let _ = COUNT.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less);
    }
}

fn pack(process: u32, count: u64) -> u64 {
    u64::from(process) << 32 | count
}

fn count(word: u64, process: u32) -> u64 {
    if word >> 32 == u64::from(process) { word & u64::from(u32::MAX) } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// No other unit test takes permits: look-ups of a reactor are tested in C.
    #[test]
    fn so_many_and_no_more() {
        let permits: Vec<_> = std::iter::from_fn(Permit::take).collect();
        assert_eq!(permits.len(), THREADS_MAX);
        drop(permits);
        assert!(Permit::take().is_some());
    }

    #[test]
    fn another_processs_count_is_none_of_ours() {
        assert_eq!(count(pack(7, 64), 7), 64);
        assert_eq!(count(pack(7, 64), 8), 0);
    }
}
