//! A lock for what belongs to the process, held for a few system calls.
//!
//! A forked child has the words of its parent's locks and not the threads that hold them. This one names its holder, and one
//! whose holder is not there is free: robust, as pthread_mutexattr_setrobust(3) has it, but across a fork too. What it
//! protects must be right at every moment, since the holder may have gone in the middle of anything.

use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

const FREE: i32 = 0;
/// Between two looks at a lock that is held: some of what it is held for.
const PAUSE: Duration = Duration::from_micros(20);

/// See the module.
pub(in crate::sys) struct RobustLock {
    /// The thread that holds it, by its number in the kernel, which no other thread of this process has.
    holder: AtomicI32,
}

impl RobustLock {
    pub(in crate::sys) const fn new() -> RobustLock {
        RobustLock { holder: AtomicI32::new(FREE) }
    }

    /// Holds it until the answer is dropped. Not for a thread that holds it, nor for signal handlers.
    pub(in crate::sys) fn lock(&self) -> Held<'_> {
        let me = thread_number();
        let take = |from| self.holder.compare_exchange(from, me, Ordering::Acquire, Ordering::Relaxed);
        while let Err(holder) = take(FREE) {
            if !is_here(holder) && take(holder).is_ok() {
                break;
            }
            std::thread::sleep(PAUSE);
        }
        Held(self)
    }
}

/// The lock is free again when this is dropped.
pub(in crate::sys) struct Held<'a>(&'a RobustLock);

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.holder.store(FREE, Ordering::Release);
    }
}

fn thread_number() -> i32 {
    // SAFETY: gettid(2) always succeeds.
    (unsafe { libc::syscall(libc::SYS_gettid) }) as i32
}

/// Whether this process has that thread, the calling one excepted, which asks because it does not hold the lock.
fn is_here(thread: i32) -> bool {
    let process = super::process_id();
    // SAFETY: tgkill(2) takes integers; signal 0 only looks whether the thread is there.
    let found = unsafe { libc::syscall(libc::SYS_tgkill, process, thread, 0) };
    let missing = found != 0 && std::io::Error::last_os_error().raw_os_error() == Some(libc::ESRCH);
    thread != thread_number() && !missing
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
