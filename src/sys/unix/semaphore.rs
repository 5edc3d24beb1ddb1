//! The semaphore on which the library's own threads wait for a long time.
//!
//! It is a word of its own, as every lock here. An implementation that keeps the waiting threads in a table of the
//! process leaves their entries to a forked child, but not the threads. New threads of the child get their stacks
//! (`reclaim_stacks` in nptl of glibc), so that the next thread that waits would follow pointers to memory that is used
//! for something else.

#[cfg(target_vendor = "apple")]
pub use monitor::Semaphore;
#[cfg(not(target_vendor = "apple"))]
pub use unnamed::Semaphore;

#[cfg(not(target_vendor = "apple"))]
mod unnamed {
    use std::cell::UnsafeCell;

    /// A count that threads wait to take one from: sem_overview(7).
    #[derive(Debug)]
    pub struct Semaphore(Box<UnsafeCell<libc::sem_t>>);

    // SAFETY: sem_post(3) and sem_wait(3) are for any number of threads.
    unsafe impl Send for Semaphore {}
    // SAFETY: as above.
    unsafe impl Sync for Semaphore {}

    impl Default for Semaphore {
        /// The count is 0.
        fn default() -> Semaphore {
            // SAFETY: a sem_t is bytes; sem_init(3) overwrites it.
            let semaphore = Semaphore(Box::new(UnsafeCell::new(unsafe { std::mem::zeroed() })));
            // SAFETY: sem_init(3) writes one sem_t, which stays where it is until drop. It fails for large values only.
            unsafe { libc::sem_init(semaphore.0.get(), 0, 0) };
            semaphore
        }
    }

    impl Semaphore {
        /// Adds one. At 2^31 - 1 nothing is added (EOVERFLOW).
        pub fn post(&self) {
            // SAFETY: made by sem_init(3) in default.
            unsafe { libc::sem_post(self.0.get()) };
        }

        /// Takes one, and waits until there is one.
        pub fn wait(&self) {
            // SAFETY: as above. EINTR is the only error.
            while unsafe { libc::sem_wait(self.0.get()) } != 0 {}
        }
    }

    impl Drop for Semaphore {
        fn drop(&mut self) {
            // SAFETY: as above, and nobody waits any more: this is the last reference.
            unsafe { libc::sem_destroy(self.0.get()) };
        }
    }
}

/// For macOS, whose semaphores all have names.
#[cfg(any(target_vendor = "apple", test))]
#[allow(unreachable_pub)] // in tests on other systems
mod monitor {
    use std::sync::{Condvar, Mutex, PoisonError};

    /// A count that threads wait to take one from.
    #[derive(Debug, Default)]
    pub struct Semaphore {
        count: Mutex<u32>,
        changed: Condvar,
    }

    impl Semaphore {
        /// Adds one.
        pub fn post(&self) {
            let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
            *count = count.saturating_add(1);
            self.changed.notify_one();
        }

        /// Takes one, and waits until there is one.
        pub fn wait(&self) {
            let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
            while *count == 0 {
                count = self.changed.wait(count).unwrap_or_else(PoisonError::into_inner);
            }
            *count -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    macro_rules! counts_what_is_posted {
        ($semaphore:ty) => {
            let semaphore = <$semaphore>::default();
            semaphore.post();
            semaphore.wait();
            std::thread::scope(|scope| {
                for _ in 0..3 {
                    scope.spawn(|| (0..100).for_each(|_| semaphore.wait()));
                }
                (0..300).for_each(|_| semaphore.post());
            });
        };
    }

    #[test]
    fn every_wait_takes_one() {
        counts_what_is_posted!(Semaphore);
        counts_what_is_posted!(monitor::Semaphore);
    }
}
