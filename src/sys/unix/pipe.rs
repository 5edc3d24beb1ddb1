//! A pipe between a waker and its poller.

use super::check;
use super::fd::TolerantFd;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// Non-blocking and close-on-exec: the end to read from, and the end to write to.
pub(in crate::sys) fn new() -> io::Result<[TolerantFd; 2]> {
    let mut fds = [-1; 2];
    make(&mut fds)?;
    // SAFETY: both were made just now, and nobody else knows them.
    Ok(fds.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }.into()))
}

#[cfg(not(target_vendor = "apple"))]
fn make(fds: &mut [RawFd; 2]) -> io::Result<()> {
    // SAFETY: pipe2(2) writes two descriptors.
    check(unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_NONBLOCK | libc::O_CLOEXEC) }.into()).map(drop)
}

/// macOS does not have pipe2(2). A program that another thread starts in between inherits the pipe.
#[cfg(target_vendor = "apple")]
fn make(fds: &mut [RawFd; 2]) -> io::Result<()> {
    // SAFETY: pipe(2) writes two descriptors.
    check(unsafe { libc::pipe(fds.as_mut_ptr()) }.into())?;
    for fd in *fds {
        // Neither call fails for an open descriptor.
        let _ = super::close_on_exec(fd);
        // SAFETY: fcntl(2) takes integers.
        unsafe { libc::fcntl(fd, libc::F_SETFL, libc::O_NONBLOCK) };
    }
    Ok(())
}
