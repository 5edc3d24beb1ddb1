//! What became of the delayed calls that ended last.

use crate::status::Status;

/// How many ended calls are remembered.
const REMEMBERED: usize = 4096;

/// Set in the entry of a call that was called. No id has this bit.
const CALLED: u64 = 1 << 63;

/// A ring of ids, which is searched only to name an error. 32 KiB once that many calls have ended.
#[derive(Default)]
pub(super) struct FinishedCalls {
    ring: Vec<u64>,
    oldest: usize,
}

impl FinishedCalls {
    pub(super) fn called(&mut self, id: u64) {
        self.push(id | CALLED);
    }

    pub(super) fn cancelled(&mut self, id: u64) {
        self.push(id);
    }

    /// Why there is no delayed call `id`.
    pub(super) fn status(&self, id: u64) -> Status {
        match self.ring.iter().find(|&&finished| finished & !CALLED == id) {
            None => Status::NOT_FOUND,
            Some(finished) if finished & CALLED == 0 => Status::ALREADY_CANCELLED,
            Some(_) => Status::ALREADY_CALLED,
        }
    }

    fn push(&mut self, finished: u64) {
        if self.ring.len() < REMEMBERED {
            // Without memory it is forgotten.
            if self.ring.try_reserve(1).is_ok() {
                self.ring.push(finished);
            }
        } else {
            self.ring[self.oldest] = finished;
            self.oldest = (self.oldest + 1) % REMEMBERED;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_the_last_4096_are_remembered() {
        let mut finished = FinishedCalls::default();
        for id in 1..=10_000 {
            if id % 3 == 0 {
                finished.called(id)
            } else {
                finished.cancelled(id)
            }
            let oldest = id.saturating_sub(4095).max(1);
            assert_ne!(finished.status(oldest), Status::NOT_FOUND);
            assert_eq!(finished.status(oldest - 1), Status::NOT_FOUND);
        }
        assert_eq!(finished.status(9999), Status::ALREADY_CALLED);
        assert_eq!(finished.status(10_000), Status::ALREADY_CANCELLED);
        assert_eq!(finished.status(9999 | CALLED), Status::NOT_FOUND);
    }
}
