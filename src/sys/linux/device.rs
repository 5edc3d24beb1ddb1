//! The network device that a socket is bound to (SO_BINDTODEVICE, socket(7)).

use super::interface;
use super::options::integer;
use crate::sys::{Failure, IpVersion, Kernel, OptionValue, SocketOption};
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, RawFd};

/// SO_BINDTOIFINDEX in linux/socket.h, since Linux 5.1: the index in the socket's own network namespace, also of an
/// interface that is gone.
const SO_BINDTOIFINDEX: i32 =
    if cfg!(any(target_arch = "sparc", target_arch = "sparc64")) { 0x41 } else { 62 };

/// The device of a socket, in a form in which the socket can be bound to it again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// The socket is bound to no device.
    #[default]
    None,
    /// The index of the device.
    Index(u32),
    /// The name of the device, if the kernel has no SO_BINDTOIFINDEX.
    Name([u8; libc::IFNAMSIZ]),
}

impl Device {
    /// Stands for a device whose index is not known: no interface has it.
    pub const UNKNOWN: u32 = u32::MAX;

    /// The device with this name; none if no device can have it. The kernel would take an empty name for "no device", and
    /// cut a longer one.
    pub fn named(name: &CStr) -> Option<Device> {
        let mut padded = [0; libc::IFNAMSIZ];
        let bytes = name.to_bytes_with_nul();
        padded.get_mut(..bytes.len()).filter(|_| !name.is_empty())?.copy_from_slice(bytes);
        Some(Device::Name(padded))
    }

    /// The index of the device; 0 without one, [`Device::UNKNOWN`] if the calling thread's network namespace has no device
    /// with this name.
    pub fn index(&self) -> u32 {
        match self {
            Device::None => 0,
            Device::Index(index) => *index,
            Device::Name(name) => {
                let name = CStr::from_bytes_until_nul(name).ok().and_then(|name| name.to_str().ok());
                name.and_then(|name| interface::index_by_name(name).ok()).unwrap_or(Device::UNKNOWN)
            }
        }
    }
}

/// See [`Kernel::device`].
pub(in crate::sys) fn get(kernel: &(impl Kernel + ?Sized), fd: RawFd) -> io::Result<Device> {
    match integer(kernel, fd, libc::SOL_SOCKET, SO_BINDTOIFINDEX) {
        Ok(0) => Ok(Device::None),
        Ok(index) => Ok(Device::Index(index as u32)),
        Err(error) if Failure::of(&error) == Failure::UnknownOption => get_name(kernel, fd),
        Err(error) => Err(error),
    }
}

/// Only what the call reports as written counts: without a device that is nothing.
fn get_name(kernel: &(impl Kernel + ?Sized), fd: RawFd) -> io::Result<Device> {
    let mut name = [0; libc::IFNAMSIZ];
    let written = kernel.raw_option(fd, libc::SOL_SOCKET, libc::SO_BINDTODEVICE, &mut name)?;
    name.iter_mut().skip(written).for_each(|byte| *byte = 0);
    Ok(if name[0] == 0 { Device::None } else { Device::Name(name) })
}

/// See [`Kernel::bind_device`].
pub(in crate::sys) fn bind(kernel: &(impl Kernel + ?Sized), fd: RawFd, device: &Device) -> io::Result<()> {
    let set = |name, value: &[u8]| kernel.set_raw_option(fd, libc::SOL_SOCKET, name, value);
    match device {
        Device::None => Ok(()),
        Device::Index(index) => set(SO_BINDTOIFINDEX, &index.to_ne_bytes()),
        Device::Name(name) => set(libc::SO_BINDTODEVICE, name),
    }
}

/// True for the options that bind a socket to a device.
pub fn is_device_option(level: i32, name: i32) -> bool {
    level == libc::SOL_SOCKET && [libc::SO_BINDTODEVICE, SO_BINDTOIFINDEX].contains(&name)
}

/// See [`Kernel::device_includes`]. Another socket is bound to the device and is given the interface for multicast datagrams:
/// EINVAL if the device does not allow it.
pub(in crate::sys) fn includes(
    kernel: &(impl Kernel + ?Sized),
    version: IpVersion,
    device: u32,
    interface: u32,
) -> io::Result<bool> {
    let socket = kernel.socket(version.family())?;
    let value = OptionValue::Interface { index: interface, address: [0; 4] };
    let bound = bind(kernel, socket.as_raw_fd(), &Device::Index(device));
    let set = bound.and_then(|()| {
        kernel.set_option(socket.as_raw_fd(), SocketOption::MulticastInterface(version), value)
    });
    match set {
        Err(error) if matches!(Failure::of(&error), Failure::Invalid | Failure::UnknownOption) => Ok(false),
        set => set.map(|()| true),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{SystemKernel, socket};

    #[test]
    fn names_that_no_device_can_have_are_refused() {
        assert_eq!(Device::named(c""), None);
        assert_eq!(Device::named(c"a-name-of-16-chr"), None);
        let longest = Device::named(c"a-name-of-15-ch").expect("the longest name");
        assert_eq!(longest, Device::Name(*b"a-name-of-15-ch\0"));
        assert_eq!((longest.index(), Device::None.index()), (Device::UNKNOWN, 0));
    }

    #[test]
    fn a_socket_is_bound_to_a_device_by_its_name_or_index() {
        let lo = interface::interface_index("lo").expect("a loopback interface");
        let named = Device::named(c"lo").expect("a name");
        assert_eq!(named.index(), lo);
        for device in [named, Device::Index(lo)] {
            let socket = socket::udp(IpVersion::V4.family()).expect("a socket");
            let fd = socket.as_raw_fd();
            assert_eq!(get(&SystemKernel, fd).expect("a device"), Device::None);
            assert_eq!(get_name(&SystemKernel, fd).expect("a device"), Device::None);
            bind(&SystemKernel, fd, &device).expect("a device of this host");
            assert_eq!(get(&SystemKernel, fd).expect("a device"), Device::Index(lo));
            assert_eq!(get_name(&SystemKernel, fd).expect("a device"), named);
        }
    }

    #[test]
    fn a_device_that_is_no_vrf_includes_itself_only() {
        let lo = interface::interface_index("lo").expect("a loopback interface");
        for version in [IpVersion::V4, IpVersion::V6] {
            let included = |index| includes(&SystemKernel, version, lo, index);
            assert!(included(lo).expect("an interface"), "{version:?}");
            assert!(!matches!(included(i32::MAX as u32), Ok(true)), "{version:?}");
        }
    }
}
