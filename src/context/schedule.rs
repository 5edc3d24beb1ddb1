//! What ports have to do in a later turn: which of them, for what reason, and when.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// How many retries one turn makes. A full device may leave thousands of ports with a retry: the rest is made in the
/// next turns, with timers and I/O in between.
pub const RETRIES_MAX: usize = 32;
/// How long a port waits at least after a call that failed: 1 ms, in nanoseconds. After ENOBUFS the queue of a device
/// is full, and epoll does not report when it has room again.
pub const BACK_OFF: u64 = 1_000_000;

/// Why a port is visited in a later turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It has deferred datagrams to deliver.
    Deferred,
    /// It stops.
    Stop,
    /// It has errors to report.
    ErrorReports,
    /// It has gathered writes, which are sent when the dispatch ends, or before the loop waits.
    Gathered,
    /// It has stopped, and the reactor drops it.
    Gone,
    /// A call that failed is tried again at an instant.
    Retry,
}

/// The number of lists. A retry has an instant instead.
const LISTS: usize = Reason::Retry as usize;
/// A turn does not wait while a port is listed for one of these. Gathered writes are sent before it waits. A port that
/// has stopped is only memory, but the memory of many is not kept while an embedding loop sleeps.
const WORK: u8 =
    Reason::Deferred.bit() | Reason::Stop.bit() | Reason::ErrorReports.bit() | Reason::Gone.bit();

impl Reason {
    const fn bit(self) -> u8 {
        1 << self as u8
    }

    pub(super) const fn is_work(self) -> bool {
        self.bit() & WORK != 0
    }
}

/// A set of reasons: those for which one port is on the schedule, or those for which any port is.
#[derive(Debug, Default)]
pub struct ReasonSet(Cell<u8>);

impl ReasonSet {
    /// Adds a reason. Returns true if it was not in the set.
    #[inline]
    pub fn insert(&self, reason: Reason) -> bool {
        let before = self.0.get();
        self.0.set(before | reason.bit());
        before & reason.bit() == 0
    }

    /// Removes a reason.
    #[inline]
    pub fn remove(&self, reason: Reason) {
        self.0.set(self.0.get() & !reason.bit());
    }

    /// True if the reason is in the set.
    #[inline]
    pub fn contains(&self, reason: Reason) -> bool {
        self.0.get() & reason.bit() != 0
    }
}

/// The lists of ports by reason. A port is on each of them at most once, by a [`ReasonSet`] of its own.
#[derive(Debug, Default)]
pub(super) struct Schedule {
    /// The reasons for which a port is scheduled, so that a turn without work looks at one byte.
    listed: ReasonSet,
    lists: [Tokens; LISTS],
    retries: RefCell<BinaryHeap<Reverse<(u64, u64)>>>,
}

impl Schedule {
    #[inline]
    pub(super) fn push(&self, reason: Reason, token: u64) {
        self.listed.insert(reason);
        self.lists[reason as usize].waiting.borrow_mut().push(token);
    }

    /// True if a port is scheduled for this reason, even if its retry is not due yet.
    #[inline]
    pub(super) fn has(&self, reason: Reason) -> bool {
        self.listed.contains(reason)
    }

    /// Calls `visit` for the ports that are listed now; those that are added meanwhile stay for the next time.
    pub(super) fn drain(&self, reason: Reason, visit: impl FnMut(u64)) {
        if self.listed.contains(reason) {
            self.listed.remove(reason);
            self.lists[reason as usize].drain(visit);
        }
    }

    /// True if a turn has something to do at once.
    #[inline]
    pub(super) fn is_due(&self) -> bool {
        self.listed.0.get() & WORK != 0
    }

    /// The more ports wait, the longer each of them waits: together they try about [`RETRIES_MAX`] times per
    /// [`BACK_OFF`].
    pub(super) fn push_retry(&self, token: u64, due: u64) {
        self.listed.insert(Reason::Retry);
        let mut retries = self.retries.borrow_mut();
        let rounds_ahead = (retries.len() / RETRIES_MAX) as u64;
        retries.push(Reverse((due + rounds_ahead * BACK_OFF, token)));
    }

    /// Calls `visit` for at most [`RETRIES_MAX`] ports whose retry is due. `now` is called once. What fails again is
    /// due in a later turn.
    pub(super) fn drain_retries(&self, now: impl FnOnce() -> u64, mut visit: impl FnMut(u64)) {
        if !self.listed.contains(Reason::Retry) {
            return;
        }
        let now = now();
        for _ in 0..RETRIES_MAX {
            let Some(token) = self.pop_retry(now) else { break };
            visit(token);
        }
        if self.retries.borrow().is_empty() {
            self.listed.remove(Reason::Retry);
        }
    }

    fn pop_retry(&self, now: u64) -> Option<u64> {
        let mut retries = self.retries.borrow_mut();
        let Reverse((due, token)) = *retries.peek()?;
        if due > now {
            return None;
        }
        retries.pop();
        Some(token)
    }

    pub(super) fn next_retry(&self) -> Option<u64> {
        self.retries.borrow().peek().map(|Reverse((due, _))| *due)
    }
}

/// Tokens that are visited while others are added.
#[derive(Debug, Default)]
struct Tokens {
    waiting: RefCell<Vec<u64>>,
    spare: RefCell<Vec<u64>>,
}

impl Tokens {
    fn drain(&self, mut visit: impl FnMut(u64)) {
        let mut tokens = self.waiting.replace(self.spare.take());
        tokens.drain(..).for_each(&mut visit);
        self.spare.replace(tokens);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drained(schedule: &Schedule, now: u64, mut visit: impl FnMut(u64)) -> Vec<u64> {
        let mut tokens = Vec::new();
        let add = |token| {
            tokens.push(token);
            visit(token);
        };
        schedule.drain_retries(|| now, add);
        tokens
    }

    #[test]
    fn a_round_of_retries_ends_though_each_fails_again_at_once() {
        let schedule = Schedule::default();
        let count = 3 * RETRIES_MAX as u64;
        (0..count).for_each(|token| schedule.push_retry(token, 0));
        for round in 0..9 {
            let tokens =
                drained(&schedule, 99 * BACK_OFF, |token| schedule.push_retry(token, (8 + round) * BACK_OFF));
            let first = round % 3 * RETRIES_MAX as u64;
            assert!(tokens.into_iter().eq(first..first + RETRIES_MAX as u64), "round {round}");
        }
    }

    #[test]
    fn a_retry_is_due_at_its_time_and_later_behind_many_others() {
        let schedule = Schedule::default();
        assert_eq!(schedule.next_retry(), None);
        schedule.push_retry(2, 20);
        schedule.push_retry(1, 10);
        assert_eq!(schedule.next_retry(), Some(10));
        assert_eq!(drained(&schedule, 9, |_| ()), []);
        assert_eq!(drained(&schedule, 10, |_| ()), [1]);
        assert_eq!(schedule.next_retry(), Some(20));
        (0..RETRIES_MAX as u64).for_each(|token| schedule.push_retry(token, 30));
        let late = 30 + BACK_OFF;
        assert_eq!(drained(&schedule, late - 1, |_| ()).len(), RETRIES_MAX);
        assert_eq!(drained(&schedule, late - 1, |_| ()), []);
        assert_eq!(drained(&schedule, late, |_| ()), [RETRIES_MAX as u64 - 1]);
    }

    #[test]
    fn whoever_comes_meanwhile_stays_for_the_next_time() {
        let schedule = Schedule::default();
        schedule.push(Reason::ErrorReports, 1);
        let mut visited = Vec::new();
        for _ in 0..2 {
            assert!(schedule.is_due());
            schedule.drain(Reason::ErrorReports, |token| {
                visited.push(token);
                if token == 1 {
                    schedule.push(Reason::ErrorReports, 2);
                }
            });
        }
        assert_eq!(visited, [1, 2]);
        assert!(!schedule.is_due());
        schedule.push(Reason::Gathered, 3);
        assert!(!schedule.is_due());
        schedule.push(Reason::Gone, 3);
        assert!(schedule.is_due());
    }
}
