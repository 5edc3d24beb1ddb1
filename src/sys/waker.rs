//! A sticky wake-up for a reactor that waits: an eventfd in its epoll set.

use super::check;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// Wakes a waiting reactor from any thread and from signal handlers.
///
/// A wake-up that nobody waits for stays until the next wait. Many of them are one.
#[derive(Debug)]
pub struct Waker {
    fd: OwnedFd,
    raised: AtomicBool,
}

impl Waker {
    /// An eventfd(2), non-blocking and close-on-exec. Errors: those of eventfd(2), EMFILE first of all.
    pub fn new() -> io::Result<Waker> {
        // SAFETY: eventfd(2) takes two integers.
        let fd = check(unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) }.into())?;
        // SAFETY: the descriptor was made just now, and nobody else knows it.
        Ok(Waker { fd: unsafe { OwnedFd::from_raw_fd(fd as RawFd) }, raised: AtomicBool::new(false) })
    }

    /// Wakes the reactor. Any thread, signal safe, leaves `errno` alone.
    pub fn wake(&self) {
        if !self.raised.swap(true, Ordering::AcqRel) {
            raise(self.fd.as_raw_fd());
        }
    }

    /// Takes the wake-up back; what was made before it can be seen afterwards. Reactor thread.
    pub fn clear(&self) {
        let mut count = 0u64;
        // SAFETY: read(2) of an eventfd writes eight bytes. EAGAIN (nothing raised) is as good.
        unsafe { libc::read(self.fd.as_raw_fd(), (&raw mut count).cast(), 8) };
        self.raised.store(false, Ordering::Release);
        std::sync::atomic::fence(Ordering::SeqCst);
    }

    /// True from a wake-up until it is cleared.
    pub fn is_raised(&self) -> bool {
        self.raised.load(Ordering::Acquire)
    }

    /// In a forked child: an eventfd of its own under the same number, raised where it was.
    pub fn renew(&self) -> io::Result<()> {
        super::replace(self.fd(), &Waker::new()?.fd)?;
        if self.is_raised() {
            raise(self.fd());
        }
        Ok(())
    }

    /// The descriptor to wait on.
    pub fn fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

/// Adds one to an eventfd; keeps `errno`, so that a signal handler may do it. A full counter wakes as well.
pub(crate) fn raise(fd: RawFd) {
    let one = 1u64;
    // SAFETY: errno is this thread's own; write(2) is async-signal-safe (signal-safety(7)) and reads eight bytes.
    unsafe {
        #![allow(clippy::multiple_unsafe_ops_per_block)]
        let errno = libc::__errno_location();
        let saved = *errno;
        libc::write(fd, (&raw const one).cast(), 8);
        *errno = saved;
    }
}
