//! A value that a forked child finds unchanged: the process id tells it apart.

use std::io;
use std::ops::Deref;

/// A value that is all zeros at first.
#[derive(Debug)]
pub(in crate::sys) struct WipedPage<T>(Box<T>);

impl<T> WipedPage<T> {
    /// Zeros, and false: a forked child does not find them wiped.
    ///
    /// # Safety
    /// All bits of a `T` may be zero.
    pub(in crate::sys) unsafe fn new() -> io::Result<(WipedPage<T>, bool)> {
        // SAFETY: the caller's promise.
        Ok((WipedPage(Box::new(unsafe { std::mem::zeroed() })), false))
    }
}

impl<T> Deref for WipedPage<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}
