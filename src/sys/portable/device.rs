//! Network devices that sockets are bound to: there are none.

use crate::sys::{Handle, IpVersion, Kernel, unsupported};
use std::ffi::CStr;
use std::io;

/// The device of a socket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// The socket is bound to no device.
    #[default]
    None,
    /// The index of the device.
    Index(u32),
}

impl Device {
    /// Stands for a device whose index is not known: no interface has it.
    pub const UNKNOWN: u32 = u32::MAX;

    /// The device with this name; none if this host has none.
    pub fn named(name: &CStr) -> Option<Device> {
        let index = super::interface::index_by_name(name.to_str().ok()?).ok()?;
        Some(Device::Index(index))
    }

    /// The index of the device; 0 without one.
    pub fn index(&self) -> u32 {
        match self {
            Device::None => 0,
            Device::Index(index) => *index,
        }
    }
}

/// See [`Kernel::device`].
pub(in crate::sys) fn get(_kernel: &(impl Kernel + ?Sized), _fd: Handle) -> io::Result<Device> {
    Ok(Device::None)
}

/// See [`Kernel::bind_device`].
pub(in crate::sys) fn bind(_kernel: &(impl Kernel + ?Sized), _fd: Handle, device: &Device) -> io::Result<()> {
    if *device == Device::None { Ok(()) } else { Err(unsupported()) }
}

/// No option binds a socket to a device.
pub fn is_device_option(_level: i32, _name: i32) -> bool {
    false
}

/// See [`Kernel::device_includes`].
pub(in crate::sys) fn includes(
    _kernel: &(impl Kernel + ?Sized),
    _version: IpVersion,
    device: u32,
    interface: u32,
) -> io::Result<bool> {
    Ok(device == interface)
}
