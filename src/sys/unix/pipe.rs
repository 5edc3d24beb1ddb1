//! A pipe between a waker and its poller.

use super::check;
use super::fd::TolerantFd;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

/// Non-blocking and close-on-exec: the end to read from, and the end to write to.
pub(in crate::sys) fn new() -> io::Result<[TolerantFd; 2]> {
    let mut fds = [-1; 2];
    // SAFETY: pipe2(2) writes two descriptors.
    check(unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_NONBLOCK | libc::O_CLOEXEC) }.into())?;
    // SAFETY: both were made just now, and nobody else knows them.
    Ok(fds.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }.into()))
}
