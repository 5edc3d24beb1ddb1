//! A value that a forked child finds unchanged: the process id tells it apart. Windows has no such processes.

use std::io;
use std::ops::Deref;

/// A value that is all zeros at first.
#[derive(Debug)]
pub(in crate::sys) struct WipedPage<T>(Box<T>);

impl<T> WipedPage<T> {
    /// Zeros, and whether no forked child finds them as they are.
    ///
    /// # Safety
    /// All bits of a `T` may be zero.
    pub(in crate::sys) unsafe fn new() -> io::Result<(WipedPage<T>, bool)> {
        // SAFETY: the caller's promise.
        Ok((WipedPage(Box::new(unsafe { std::mem::zeroed() })), cfg!(windows)))
    }
}

impl<T> Deref for WipedPage<T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}
