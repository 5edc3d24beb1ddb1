//! When the ports stop that wait until everything is sent.

use crate::status::Result;
use std::cell::RefCell;
use std::collections::VecDeque;

/// Instants and the tokens of ports, the earliest first. Most ports have the same timeout, so most entries are added at the end.
#[derive(Debug, Default)]
pub(super) struct Deadlines(RefCell<VecDeque<(u64, u64)>>);

impl Deadlines {
    /// Makes room, so that the next [`Deadlines::add`] needs no memory.
    ///
    /// # Errors
    /// NO_MEMORY.
    pub(super) fn reserve(&self) -> Result {
        Ok(self.0.borrow_mut().try_reserve(1)?)
    }

    pub(super) fn add(&self, instant: u64, token: u64) {
        let mut entries = self.0.borrow_mut();
        let place = entries.partition_point(|entry| *entry < (instant, token));
        entries.insert(place, (instant, token));
    }

    /// Removes an entry, if it is there.
    pub(super) fn remove(&self, instant: u64, token: u64) {
        let mut entries = self.0.borrow_mut();
        if let Ok(place) = entries.binary_search(&(instant, token)) {
            entries.remove(place);
        }
    }

    /// Removes the earliest entry that is due, and returns its token.
    pub(super) fn pop_due(&self, now: u64) -> Option<u64> {
        let mut entries = self.0.borrow_mut();
        let (instant, token) = *entries.front()?;
        if instant > now {
            return None;
        }
        entries.pop_front();
        Some(token)
    }

    /// The earliest instant.
    pub(super) fn next(&self) -> Option<u64> {
        self.0.borrow().front().map(|(instant, _)| *instant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_come_due_in_order_unless_they_are_removed() {
        let deadlines = Deadlines::default();
        assert_eq!((deadlines.next(), deadlines.pop_due(u64::MAX)), (None, None));
        for (instant, token) in [(20, 1), (10, 2), (20, 3), (30, 4), (10, 5)] {
            deadlines.reserve().expect("memory");
            deadlines.add(instant, token);
        }
        deadlines.remove(20, 1);
        deadlines.remove(20, 9);
        deadlines.remove(11, 2);
        assert_eq!((deadlines.next(), deadlines.pop_due(9)), (Some(10), None));
        let due: Vec<u64> = std::iter::from_fn(|| deadlines.pop_due(20)).collect();
        assert_eq!(due, [2, 5, 3]);
        assert_eq!(deadlines.next(), Some(30));
    }
}
