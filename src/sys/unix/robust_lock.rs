//! A lock for state of the process, held for a few system calls.
//!
//! A forked child has the words of its parent's locks, but not the threads that hold them. This lock contains its
//! holder's number, and a lock whose holder does not exist is free: it is robust, as pthread_mutexattr_setrobust(3)
//! describes it, but also across a fork. The state that it protects must be valid at every moment, since the holder may
//! disappear in the middle of a change.

use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

const FREE: i32 = 0;
/// Between two tries to take a lock that is held: a part of the time for which it is held.
const PAUSE: Duration = Duration::from_micros(20);

/// A lock that a forked child can take.
pub(in crate::sys) struct RobustLock {
    /// What [`this_holder`] has returned to the thread that holds it.
    holder: AtomicI32,
}

impl RobustLock {
    pub(in crate::sys) const fn new() -> RobustLock {
        RobustLock { holder: AtomicI32::new(FREE) }
    }

    /// Takes the lock until the guard is dropped. Not for a thread that holds it already, and not for signal handlers.
    pub(in crate::sys) fn lock(&self) -> RobustLockGuard<'_> {
        let me = this_holder();
        let take = |from| self.holder.compare_exchange(from, me, Ordering::Acquire, Ordering::Relaxed);
        while let Err(holder) = take(FREE) {
            if !exists(holder) && take(holder).is_ok() {
                break;
            }
            std::thread::sleep(PAUSE);
        }
        RobustLockGuard(self)
    }
}

/// Frees the lock when it is dropped.
pub(in crate::sys) struct RobustLockGuard<'a>(&'a RobustLock);

impl Drop for RobustLockGuard<'_> {
    fn drop(&mut self) {
        self.0.holder.store(FREE, Ordering::Release);
    }
}

/// The calling thread, by its number in the kernel, which no other thread of this process has.
#[cfg(target_os = "linux")]
fn this_holder() -> i32 {
    // SAFETY: gettid(2) always succeeds.
    (unsafe { libc::syscall(libc::SYS_gettid) }) as i32
}

/// Whether this process has that thread. The calling thread does not count: it asks because it does not hold the lock.
#[cfg(target_os = "linux")]
fn exists(thread: i32) -> bool {
    let process = super::process_id();
    // SAFETY: tgkill(2) takes integers; signal 0 only checks whether the thread exists.
    let found = unsafe { libc::syscall(libc::SYS_tgkill, process, thread, 0) };
    let missing = found != 0 && std::io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH);
    thread != this_holder() && !missing
}

/// On other systems, the process. There, a thread that holds a lock is taken to be gone in a forked child only.
#[cfg(not(target_os = "linux"))]
fn this_holder() -> i32 {
    super::process_id()
}

/// Whether this is the process.
#[cfg(not(target_os = "linux"))]
fn exists(process: i32) -> bool {
    process == super::process_id()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;

    #[test]
    fn one_thread_at_a_time() {
        let (lock, inside) = (RobustLock::new(), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..500 {
                        let _held = lock.lock();
                        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
                        std::hint::spin_loop();
                        inside.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_holder_that_is_gone_holds_nothing() {
        let lock = RobustLock::new();
        std::thread::scope(|scope| {
            scope.spawn(|| std::mem::forget(lock.lock())).join().unwrap();
        });
        drop(lock.lock());
        assert_eq!(lock.holder.load(Ordering::Relaxed), FREE);
    }
}
