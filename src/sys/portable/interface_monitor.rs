//! Notices of changes of network interfaces: there are none.

use crate::sys::{Handle, OwnedHandle, unsupported};
use std::io;

/// See [`Kernel::open_interface_monitor`](crate::sys::Kernel::open_interface_monitor).
pub fn open() -> io::Result<OwnedHandle> {
    Err(unsupported())
}

/// See [`Kernel::read_interface_monitor`](crate::sys::Kernel::read_interface_monitor).
pub fn read(_monitor: Handle) -> io::Result<bool> {
    Ok(false)
}
