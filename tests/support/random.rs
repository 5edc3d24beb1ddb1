//! Pseudorandom numbers, which are the same in every run.

use std::cell::Cell;
use std::rc::Rc;

/// Marsaglia's xorshift64. The seed must not be 0.
#[derive(Clone, Copy)]
pub(crate) struct Xorshift(pub(crate) u64);

impl Xorshift {
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }
}

/// A generator that closures share.
#[derive(Clone)]
pub(crate) struct Random(Rc<Cell<Xorshift>>);

impl Random {
    /// The seed must not be 0.
    pub(crate) fn new(seed: u64) -> Random {
        Random(Rc::new(Cell::new(Xorshift(seed))))
    }

    pub(crate) fn below(&self, bound: u64) -> u64 {
        let mut generator = self.0.get();
        let number = generator.below(bound);
        self.0.set(generator);
        number
    }
}
