//! The network device that a port is bound to. The port sends by this device only.

use super::{Open, bind};
use crate::addr::Addr;
use crate::status::{Result, Status};
use crate::sys::{Device, Failure, IpVersion};
use std::cell::Cell;
use std::io;

/// What connecting does to the device of a port, and what has to be done before the port sends.
#[derive(Debug, Default)]
pub(super) struct DeviceState {
    /// The index of the device that the port was last seen bound to; 0 for none.
    index: Cell<u32>,
    /// A connection to a link-local address binds the socket to the interface of the zone (`__ip6_datagram_connect`).
    by_peer: Cell<Option<ByPeer>>,
    /// What keeps the port from sending.
    send_barrier: Cell<SendBarrier>,
    /// An interface other than the device that datagrams may name, since it is part of the VRF that the device is.
    allowed: Cell<u32>,
}

#[derive(Clone, Copy, Debug, Default)]
enum SendBarrier {
    #[default]
    None,
    /// The socket has lost this device and could not be bound to it again, so nothing may be sent.
    LostDevice(Device),
    /// The socket was adopted unbound, and is bound before the first send.
    Unbound,
}

#[derive(Clone, Copy, Debug)]
struct ByPeer {
    before: Device,
    during: Device,
}

impl Open {
    /// The device that the program has bound the port to, read anew, since any holder of the socket may have changed it. A device
    /// that the socket is bound to by its connection does not count.
    pub(super) fn read_device(&self) -> io::Result<Device> {
        let state = self.lazy.get().map(|lazy| &lazy.device);
        let device = match state.map(|state| state.send_barrier.get()) {
            Some(SendBarrier::LostDevice(lost)) => lost,
            _ => {
                let now = self.context.kernel.device(self.fd.get())?;
                let by_peer = state.and_then(|state| state.by_peer.get());
                by_peer.filter(|by_peer| by_peer.during == now).map_or(now, |by_peer| by_peer.before)
            }
        };
        self.note_device(&device);
        Ok(device)
    }

    /// Binds the socket to the device again after its connection has ended, since the kernel then forgets the device
    /// (`__udp_disconnect`). If that fails, the port sends nothing until it succeeds.
    pub(super) fn restore_device(&self, device: &Device) -> io::Result<()> {
        self.lazy().device.by_peer.set(None);
        if *device != Device::None {
            self.set_send_barrier(SendBarrier::LostDevice(*device));
            self.context.kernel.bind_device(self.fd.get(), device)?;
        }
        self.set_send_barrier(SendBarrier::None);
        Ok(())
    }

    /// Remembers the device that a connection to `peer` has bound the socket to instead of `device`.
    pub(super) fn note_peers_device(&self, peer: &Addr, device: &Device) -> io::Result<()> {
        if peer.needs_scope() {
            let during = self.context.kernel.device(self.fd.get())?;
            let by_peer = ByPeer { before: *device, during };
            self.lazy().device.by_peer.set((during != *device).then_some(by_peer));
        }
        Ok(())
    }

    /// Called when the program has bound the socket to a device, or to none.
    pub(super) fn device_was_set(&self) {
        if let Some(lazy) = self.lazy.get() {
            lazy.device.by_peer.set(None);
            if self.has_lost_device() {
                self.set_send_barrier(SendBarrier::None);
            }
        }
        if self.read_device().is_err() {
            self.lazy().device.index.set(Device::UNKNOWN);
            self.constrained.set(true);
        }
    }

    fn note_device(&self, device: &Device) {
        let index = device.index();
        // An idle port without a device needs no lazy state.
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
        self.lazy
            .get()
            .is_some_and(|lazy| matches!(lazy.device.send_barrier.get(), SendBarrier::LostDevice(_)))
    }

    /// Called before anything is sent. NO_INTERFACE while the socket has lost its device.
    #[inline]
    pub(super) fn check_send_barrier(&self) -> Result {
        if self.send_blocked.get() { self.lift_send_barrier() } else { Ok(()) }
    }

    #[inline(never)]
    fn lift_send_barrier(&self) -> Result {
        if self.has_lost_device() {
            return Err(Status::NO_INTERFACE);
        }
        bind::bind_unbound(&*self.context.kernel, self.fd.get())?;
        self.set_send_barrier(SendBarrier::None);
        Ok(())
    }

    fn set_send_barrier(&self, send_barrier: SendBarrier) {
        self.lazy().device.send_barrier.set(send_barrier);
        self.send_blocked.set(!matches!(send_barrier, SendBarrier::None));
    }

    /// Remembers that an adopted socket is not bound.
    pub(super) fn note_unbound(&self) -> io::Result<()> {
        if self.context.kernel.local_addr(self.fd.get())?.port == 0 {
            self.set_send_barrier(SendBarrier::Unbound);
        }
        Ok(())
    }

    /// NETWORK_UNREACHABLE if a datagram names an interface, by a zone or by packet info, that is not part of the port's device:
    /// the kernel would send it by that interface.
    pub(super) fn check_interface(&self, index: u32) -> Result {
        let device = self.device_index();
        if device == 0 || index == 0 || index == device {
            return Ok(());
        }
        let allowed = &self.lazy().device.allowed;
        if allowed.get() != index {
            let version = IpVersion::of(self.family);
            match self.context.kernel.device_includes(version, device, index) {
                Ok(true) => allowed.set(index),
                Ok(false) => return Err(Status::NETWORK_UNREACHABLE),
                Err(error) if Failure::of(&error) == Failure::AddressNotAvailable => {
                    return Err(Status::NO_INTERFACE);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Called before a datagram is gathered or queued. NO_INTERFACE while the socket has lost its device, and
    /// [`Open::check_interface`] of the zone, which matters for link-local destinations.
    pub(super) fn check_constraints(&self, to: Option<&Addr>) -> Result {
        if self.has_lost_device() {
            return Err(Status::NO_INTERFACE);
        }
        let zoned = to.filter(|to| to.needs_scope());
        zoned.map_or(Ok(()), |to| self.check_interface(to.scope_id))
    }
}
