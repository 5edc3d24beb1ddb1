//! The interface that a socket is bound to (SO_BINDTODEVICE, socket(7)), by which alone it sends.

use super::{Open, bind};
use crate::addr::{Addr, family};
use crate::status::{Result, Status};
use crate::sys::{Kernel, interface};
use std::cell::Cell;
use std::io;
use std::os::fd::{AsRawFd, RawFd};

/// SO_BINDTOIFINDEX in linux/socket.h, since Linux 5.1: the index in the socket's own network namespace, also of an
/// interface that is gone.
const BY_INDEX: i32 = if cfg!(any(target_arch = "sparc", target_arch = "sparc64")) { 0x41 } else { 62 };

/// What stands for a device whose index is not known: no interface has it.
const UNKNOWN: u32 = u32::MAX;

/// A device as it can be bound to again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Device {
    #[default]
    None,
    Index(u32),
    /// On a kernel without [`BY_INDEX`].
    Name([u8; libc::IFNAMSIZ]),
}

/// What connecting does to the device of a port, and what has to be done before it sends.
#[derive(Debug, Default)]
pub(super) struct DeviceState {
    /// The index of the device that the port was last seen bound to; 0 for none.
    index: Cell<u32>,
    /// A connection to a link-local address binds the socket to the interface of the zone (`__ip6_datagram_connect`).
    by_peer: Cell<Option<ByPeer>>,
    /// What keeps the port from sending.
    send_block: Cell<SendBlock>,
    /// An interface other than the device that datagrams may name: one of the VRF that the device is.
    allowed: Cell<u32>,
}

#[derive(Clone, Copy, Debug, Default)]
enum SendBlock {
    #[default]
    None,
    /// The kernel has forgotten this device, and did not take it again: nothing may be sent.
    LostDevice(Device),
    /// The socket was adopted unbound: it is bound first.
    Unbound,
}

#[derive(Clone, Copy, Debug)]
struct ByPeer {
    before: Device,
    during: Device,
}

impl Device {
    /// The device that the socket is bound to. ENODEV before Linux 5.1 if it is gone.
    pub(super) fn of(kernel: &dyn Kernel, fd: RawFd) -> io::Result<Device> {
        let mut index = [0; 4];
        match kernel.raw_option(fd, libc::SOL_SOCKET, BY_INDEX, &mut index) {
            Ok(_) if index == [0; 4] => Ok(Device::None),
            Ok(_) => Ok(Device::Index(u32::from_ne_bytes(index))),
            Err(error) if error.raw_os_error() == Some(libc::ENOPROTOOPT) => Device::named(kernel, fd),
            Err(error) => Err(error),
        }
    }

    /// Only what the call says that it wrote counts: without a device that is nothing.
    fn named(kernel: &dyn Kernel, fd: RawFd) -> io::Result<Device> {
        let mut name = [0; libc::IFNAMSIZ];
        let written = kernel.raw_option(fd, libc::SOL_SOCKET, libc::SO_BINDTODEVICE, &mut name)?;
        name.iter_mut().skip(written).for_each(|byte| *byte = 0);
        Ok(if name[0] == 0 { Device::None } else { Device::Name(name) })
    }

    /// Binds a socket that is bound to no device, for which no privilege is needed.
    pub(super) fn bind(&self, kernel: &dyn Kernel, fd: RawFd) -> io::Result<()> {
        match self {
            Device::None => Ok(()),
            Device::Index(index) => {
                kernel.set_raw_option(fd, libc::SOL_SOCKET, BY_INDEX, &index.to_ne_bytes())
            }
            Device::Name(name) => kernel.set_raw_option(fd, libc::SOL_SOCKET, libc::SO_BINDTODEVICE, name),
        }
    }

    /// 0 for none.
    pub(super) fn index(&self) -> u32 {
        match self {
            Device::None => 0,
            Device::Index(index) => *index,
            Device::Name(name) => {
                let text = name.split(|byte| *byte == 0).next().unwrap_or_default();
                std::str::from_utf8(text)
                    .map_or(UNKNOWN, |name| interface::index_by_name(name).unwrap_or(UNKNOWN))
            }
        }
    }
}

/// True for the options that bind a socket to a device.
pub(super) fn is_device_option(level: i32, name: i32) -> bool {
    level == libc::SOL_SOCKET && [libc::SO_BINDTODEVICE, BY_INDEX].contains(&name)
}

impl Open {
    /// The device that the port is bound to by its maker, read anew, since any holder of the socket may have changed it:
    /// what the connection has bound the socket to does not count.
    pub(super) fn read_device(&self) -> io::Result<Device> {
        let state = self.lazy.get().map(|lazy| &lazy.device);
        let device = match state.map(|state| state.send_block.get()) {
            Some(SendBlock::LostDevice(lost)) => lost,
            _ => {
                let now = Device::of(&*self.context.kernel, self.fd.get())?;
                let by_peer = state.and_then(|state| state.by_peer.get());
                by_peer.filter(|by_peer| by_peer.during == now).map_or(now, |by_peer| by_peer.before)
            }
        };
        self.note_device(&device);
        Ok(device)
    }

    /// Binds the socket to the device again after its connection has ended, with which the kernel forgets it
    /// (`__udp_disconnect`). If that fails, the port sends nothing until it succeeds.
    pub(super) fn restore_device(&self, device: &Device) -> io::Result<()> {
        self.lazy().device.by_peer.set(None);
        if *device != Device::None {
            self.set_send_block(SendBlock::LostDevice(*device));
            device.bind(&*self.context.kernel, self.fd.get())?;
        }
        self.set_send_block(SendBlock::None);
        Ok(())
    }

    /// Remembers what a connection to `peer` has made of the `device`.
    pub(super) fn note_peers_device(&self, peer: &Addr, device: &Device) -> io::Result<()> {
        if peer.needs_scope() {
            let during = Device::of(&*self.context.kernel, self.fd.get())?;
            let by_peer = ByPeer { before: *device, during };
            self.lazy().device.by_peer.set((during != *device).then_some(by_peer));
        }
        Ok(())
    }

    /// The host has bound the socket to a device, or to none.
    pub(super) fn device_was_set(&self) {
        if let Some(lazy) = self.lazy.get() {
            lazy.device.by_peer.set(None);
            if self.has_lost_device() {
                self.set_send_block(SendBlock::None);
            }
        }
        if self.read_device().is_err() {
            self.lazy().device.index.set(UNKNOWN);
            self.constrained.set(true);
        }
    }

    fn note_device(&self, device: &Device) {
        let index = device.index();
        // An idle port without a device needs no memory for it.
        if index != 0 || self.lazy.get().is_some() {
            let state = &self.lazy().device;
            state.index.set(index);
            state.allowed.set(0);
            self.constrained.set(index != 0);
        }
    }

    /// The index of the device that the port was last seen bound to; 0 for none.
    pub(super) fn device_index(&self) -> u32 {
        self.lazy.get().map_or(0, |lazy| lazy.device.index.get())
    }

    /// True while the socket is not bound to the device that it should be bound to.
    pub(super) fn has_lost_device(&self) -> bool {
        self.lazy.get().is_some_and(|lazy| matches!(lazy.device.send_block.get(), SendBlock::LostDevice(_)))
    }

    /// Before anything is sent. NO_INTERFACE while the socket has lost its device.
    #[inline]
    pub(super) fn check_send_block(&self) -> Result {
        if self.send_blocked.get() { self.remove_send_block() } else { Ok(()) }
    }

    #[inline(never)]
    fn remove_send_block(&self) -> Result {
        if self.has_lost_device() {
            return Err(Status::NO_INTERFACE);
        }
        bind::bind_unbound(&*self.context.kernel, self.fd.get())?;
        self.set_send_block(SendBlock::None);
        Ok(())
    }

    fn set_send_block(&self, send_block: SendBlock) {
        self.lazy().device.send_block.set(send_block);
        self.send_blocked.set(!matches!(send_block, SendBlock::None));
    }

    /// A socket was adopted that may not be bound.
    pub(super) fn note_unbound(&self) -> io::Result<()> {
        if self.context.kernel.local_addr(self.fd.get())?.port == 0 {
            self.set_send_block(SendBlock::Unbound);
        }
        Ok(())
    }

    /// The kernel lets one datagram name its interface, by a zone or by packet info, also if the socket is bound to
    /// another one. NETWORK_UNREACHABLE for that.
    pub(super) fn check_interface(&self, index: u32) -> Result {
        let device = self.device_index();
        if device == 0 || index == 0 || index == device {
            return Ok(());
        }
        let allowed = &self.lazy().device.allowed;
        if allowed.get() != index {
            self.check_vrf(device, index).map_err(|error| match error.raw_os_error() {
                Some(libc::EINVAL | libc::ENOPROTOOPT) => Status::NETWORK_UNREACHABLE,
                Some(libc::EADDRNOTAVAIL) => Status::NO_INTERFACE,
                _ => error.into(),
            })?;
            allowed.set(index);
        }
        Ok(())
    }

    /// What a device forbids, before anything is gathered or queued: NO_INTERFACE while it is lost, and a zone beside it, which
    /// the kernel takes notice of for link-local destinations.
    pub(super) fn check_constraints(&self, to: Option<&Addr>) -> Result {
        if self.has_lost_device() {
            return Err(Status::NO_INTERFACE);
        }
        let zoned = to.filter(|to| to.needs_scope());
        zoned.map_or(Ok(()), |to| self.check_interface(to.scope_id))
    }

    /// Asks the kernel whether a socket that is bound to the `device` may send by this interface, which is part of it if
    /// the device is a VRF: EINVAL if not.
    fn check_vrf(&self, device: u32, index: u32) -> io::Result<()> {
        let kernel = &*self.context.kernel;
        let socket = kernel.socket(self.family)?;
        let (fd, number) = (socket.as_raw_fd(), index.to_ne_bytes());
        Device::Index(device).bind(kernel, fd)?;
        if self.family == family::INET6 {
            return kernel.set_raw_option(fd, libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_IF, &number);
        }
        // struct ip_mreqn, whose last member is the index.
        let mut request = [0; 12];
        request[8..].copy_from_slice(&number);
        kernel.set_raw_option(fd, libc::IPPROTO_IP, libc::IP_MULTICAST_IF, &request)
    }
}
