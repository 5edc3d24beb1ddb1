//! A lock for what threads hand over.

use super::tsan;
use parking_lot::MutexGuard;
use std::ops::{Deref, DerefMut};

/// A lock of a byte, without poisoning, which ThreadSanitizer sees in a program that is compiled with it.
#[derive(Debug, Default)]
pub struct Mutex<T>(parking_lot::Mutex<T>);

impl<T> Mutex<T> {
    /// Around a value.
    pub const fn new(value: T) -> Mutex<T> {
        Mutex(parking_lot::Mutex::new(value))
    }

    /// Waits until no other thread has it.
    #[inline]
    pub fn lock(&self) -> Guard<'_, T> {
        let guard = self.0.lock();
        tsan::acquire(self);
        Guard { mutex: self, guard }
    }

    /// True while a thread has it, also one that is not there any more: in a forked child.
    pub fn is_locked(&self) -> bool {
        self.0.is_locked()
    }
}

/// A locked [`Mutex`].
#[derive(Debug)]
pub struct Guard<'a, T> {
    mutex: &'a Mutex<T>,
    /// Dropped behind [`Guard::drop`].
    guard: MutexGuard<'a, T>,
}

impl<T> Deref for Guard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.guard
    }
}

impl<T> DerefMut for Guard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.guard
    }
}

impl<T> Drop for Guard<'_, T> {
    #[inline]
    fn drop(&mut self) {
        tsan::release(self.mutex);
    }
}
