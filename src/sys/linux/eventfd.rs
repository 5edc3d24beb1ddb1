//! The descriptors of a waker: an eventfd, or a pipe if a sandbox refuses eventfd(2).

use super::fd::TolerantFd;
use super::{check, pipe};
use crate::sys::may_be_refused;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// The descriptor to wait on, and the descriptor to write to if that is another one. Errors: those of eventfd(2), or of pipe2(2)
/// if eventfd is refused.
pub(in crate::sys) fn wake_descriptors() -> io::Result<(TolerantFd, Option<TolerantFd>)> {
    match eventfd() {
        Err(error) if may_be_refused(&error) => pipe::new().map(|[read, write]| (read, Some(write))),
        made => made.map(|fd| (fd, None)),
    }
}

/// Non-blocking and close-on-exec.
fn eventfd() -> io::Result<TolerantFd> {
    // SAFETY: eventfd(2) takes two integers.
    let fd = check(unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) }.into())?;
    // SAFETY: the descriptor was made just now, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) }.into())
}
