//! Sockets have no queue of errors.

use crate::status::errno::EAGAIN;
use crate::sys::{Handle, Report};
use std::io;

/// See [`Kernel::read_error`](crate::sys::Kernel::read_error).
pub(in crate::sys) fn read(_fd: Handle) -> io::Result<Option<Report>> {
    Err(io::Error::from_raw_os_error(EAGAIN))
}
