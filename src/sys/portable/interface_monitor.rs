//! Notices of changes of network interfaces: there are none.

use std::io;
use std::os::fd::{OwnedFd, RawFd};

/// See [`Kernel::open_interface_monitor`](crate::sys::Kernel::open_interface_monitor).
pub fn open() -> io::Result<OwnedFd> {
    Err(super::unsupported())
}

/// See [`Kernel::read_interface_monitor`](crate::sys::Kernel::read_interface_monitor).
pub fn read(_monitor: RawFd) -> io::Result<bool> {
    Ok(false)
}
