//! Pseudorandom numbers, which are the same in every run.

use std::cell::Cell;
use std::rc::Rc;

/// Marsaglia's xorshift64.
#[derive(Clone)]
pub(crate) struct Random(Rc<Cell<u64>>);

impl Random {
    /// The seed must not be 0.
    pub(crate) fn new(seed: u64) -> Random {
        Random(Rc::new(Cell::new(seed)))
    }

    pub(crate) fn below(&self, bound: u64) -> u64 {
        let mut x = self.0.get();
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        self.0.set(x);
        (x >> 11) % bound
    }
}
