//! A sticky wake-up for a reactor that waits: an eventfd in its epoll set.

use super::{HeldFd, check};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};

/// Wakes a waiting reactor from any thread and from signal handlers.
///
/// A wake-up that nobody waits for stays until the next wait. Many of them are one. While the reactor is awake a wake-up
/// costs no system call on either side: it looks for them once more before it rests.
#[derive(Debug)]
pub struct Waker {
    fd: HeldFd,
    /// The reactor is awake, or will be: nobody needs to write to the eventfd.
    raised: AtomicBool,
    /// Somebody has come since the reactor looked last.
    again: AtomicBool,
}

impl Waker {
    /// An eventfd(2), non-blocking and close-on-exec. Errors: those of eventfd(2), EMFILE first of all.
    pub fn new() -> io::Result<Waker> {
        // SAFETY: eventfd(2) takes two integers.
        let fd = check(unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) }.into())?;
        // SAFETY: the descriptor was made just now, and nobody else knows it.
        let fd = unsafe { OwnedFd::from_raw_fd(fd as RawFd) }.into();
        Ok(Waker { fd, raised: AtomicBool::new(false), again: AtomicBool::new(false) })
    }

    /// Wakes the reactor. Any thread, signal safe, leaves `errno` alone.
    ///
    /// It says that it has come, then asks whether the reactor is awake; [`Waker::rest`] says that it is not, then asks
    /// whether somebody has come. In one order of all four at least one of them sees the other.
    pub fn wake(&self) {
        self.again.store(true, Ordering::SeqCst);
        if !self.raised.load(Ordering::SeqCst) && !self.raised.swap(true, Ordering::SeqCst) {
            raise(self.fd.as_raw_fd());
        }
    }

    /// Whoever has come so far is looked after from here on. Reactor thread.
    pub fn look(&self) {
        self.again.store(false, Ordering::SeqCst);
    }

    /// Takes the eventfd's reading back. Reactor thread.
    pub fn clear(&self) {
        let mut count = 0u64;
        // SAFETY: read(2) of an eventfd writes eight bytes. EAGAIN (nothing raised) is as good.
        unsafe { libc::read(self.fd.as_raw_fd(), (&raw mut count).cast(), 8) };
    }

    /// The end of a turn: true where somebody has come meanwhile, so that the next one must not wait. Reactor thread.
    pub fn rest(&self) -> bool {
        self.raised.store(false, Ordering::SeqCst);
        let again = self.again.load(Ordering::SeqCst);
        if again {
            self.raised.store(true, Ordering::SeqCst);
        }
        again
    }

    /// Has the descriptor tell a loop around what [`Waker::is_raised`] says.
    pub fn show(&self) {
        if self.is_raised() {
            raise(self.fd.as_raw_fd());
        }
    }

    /// True from a wake-up until the end of the turn that it was meant for.
    pub fn is_raised(&self) -> bool {
        self.raised.load(Ordering::SeqCst)
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
