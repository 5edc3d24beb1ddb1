//! What every Unix has, for the backends of such systems: descriptors, sockets, threads, signals, the clock, names, interfaces.
//!
//! Descriptors are plain `RawFd` here: they are integers to the kernel, and a wrong one is an errno, never a memory error. The
//! type that keeps a descriptor says who owns it (`OwnedFd`, `TolerantFd`, `SocketHandle`).

pub(super) mod cancel;
pub mod clock;
pub(super) mod errno;
pub(super) mod fd;
pub(super) mod interface;
pub(super) mod multicast;
pub mod names;
mod nocancel;
pub(super) mod pipe;
mod robust_lock;
pub(super) mod semaphore;
pub mod signal;
pub(super) mod socket;
pub mod thread;
pub(super) mod waker;

pub use fd::close;

use std::io;
use std::os::fd::{AsRawFd, RawFd};

/// Turns the `-1` of a system call into the errno that it left.
pub(in crate::sys) fn check(result: libc::c_long) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// The calling process. A forked child is another one.
pub(in crate::sys) fn process_id() -> i32 {
    // SAFETY: getpid(2) always succeeds and is async-signal-safe.
    unsafe { libc::getpid() }
}

/// Puts a new descriptor in an old one's place, under the old number, close-on-exec: dup3(2).
#[cfg(not(target_vendor = "apple"))]
pub(super) fn replace(old: RawFd, new: &impl AsRawFd) -> io::Result<()> {
    // SAFETY: dup3(2) takes integers; the caller owns the old number.
    check(unsafe { libc::dup3(new.as_raw_fd(), old, libc::O_CLOEXEC) }.into()).map(drop)
}

/// The same on macOS, which does not have dup3(2).
#[cfg(target_vendor = "apple")]
pub(super) fn replace(old: RawFd, new: &impl AsRawFd) -> io::Result<()> {
    // SAFETY: dup2(2) takes integers; the caller owns the old number.
    check(unsafe { libc::dup2(new.as_raw_fd(), old) }.into())?;
    close_on_exec(old)
}

/// Has execve(2) close the descriptor. Errors: EBADF.
pub(super) fn close_on_exec(fd: RawFd) -> io::Result<()> {
    // SAFETY: fcntl(2) takes integers.
    check(unsafe { libc::fcntl(fd, libc::F_SETFD, libc::FD_CLOEXEC) }.into()).map(drop)
}
