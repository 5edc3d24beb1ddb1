//! Keeping apart what different threads write.

use std::ops::Deref;

/// On a cache line of its own: what other threads read for each call, beside what the reactor writes in each turn, would
/// come from the other core each time.
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
