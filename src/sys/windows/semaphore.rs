//! The semaphore on which the library's own threads wait for a long time.

use std::sync::{Condvar, Mutex, PoisonError};

/// A count that threads wait to take one from. It is 0 at first.
#[derive(Debug, Default)]
pub struct Semaphore {
    count: Mutex<u32>,
    added: Condvar,
}

impl Semaphore {
    /// Adds one.
    pub fn post(&self) {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        *count = count.saturating_add(1);
        self.added.notify_one();
    }

    /// Takes one, and waits until there is one.
    pub fn wait(&self) {
        let count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        let mut count =
            self.added.wait_while(count, |count| *count == 0).unwrap_or_else(PoisonError::into_inner);
        *count -= 1;
    }
}
