//! Padding against false sharing.

use std::ops::Deref;

/// A value on a cache line of its own. Without it, a word that other threads read for each call would share a line with
/// words that the reactor writes in each turn, and would have to come from the other core each time.
#[derive(Debug)]
#[repr(align(64))]
pub struct CachePadded<T>(pub T);

impl<T> Deref for CachePadded<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}
