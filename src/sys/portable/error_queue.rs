//! Sockets have no queue of errors.

use crate::sys::Report;
use std::io;
use std::os::fd::RawFd;

/// See [`Kernel::read_error`](crate::sys::Kernel::read_error).
pub(in crate::sys) fn read(_fd: RawFd) -> io::Result<Option<Report>> {
    Err(io::Error::from_raw_os_error(libc::EAGAIN))
}
