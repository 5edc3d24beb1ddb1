//! The seam: every system call that a port or the loop makes goes through [`Kernel`], so that a test can make any of them fail.

use super::imp::{device, error_queue, interface_monitor, multicast, netdevice, options, socket};
use super::os::names;
use super::{
    Device, GroupError, GroupFilter, Handle, Interest, IpVersion, LookUp, Membership, OptionValue,
    OwnedHandle, Poller, Readiness, Received, RecvBatch, RecvOptions, Report, SavedOption, SendBatch,
    SocketKind, SocketOption,
};
use crate::addr::Addr;
use std::io;
use std::sync::Arc;

/// The system calls of a reactor. A method that is not overridden makes the call.
pub trait Kernel {
    /// A new UDP socket of this [`family`](crate::addr::family), which does not block and is not inherited by other programs.
    fn socket(&self, family: u16) -> io::Result<OwnedHandle> {
        socket::udp(family)
    }

    /// Binds a socket to a local address.
    fn bind(&self, handle: Handle, addr: &Addr) -> io::Result<()> {
        socket::bind(handle, addr)
    }

    /// The local address of a socket.
    fn local_addr(&self, handle: Handle) -> io::Result<Addr> {
        socket::local_addr(handle)
    }

    /// The peer of a connected socket.
    fn peer_addr(&self, handle: Handle) -> io::Result<Addr> {
        socket::peer_addr(handle)
    }

    /// Connects a socket that has no peer.
    fn connect(&self, handle: Handle, addr: &Addr) -> io::Result<()> {
        socket::connect(handle, addr)
    }

    /// Ends the connection of a socket. The socket may lose its port number and its device with it.
    fn disconnect(&self, handle: Handle) -> io::Result<()> {
        socket::disconnect(handle)
    }

    /// A second handle of the same socket, which is not inherited by other programs.
    fn duplicate(&self, handle: Handle) -> io::Result<OwnedHandle> {
        socket::duplicate(handle)
    }

    /// What a descriptor refers to. Fails with [`Failure::BadHandle`](super::Failure::BadHandle) if it is closed.
    fn socket_kind(&self, handle: Handle) -> io::Result<SocketKind> {
        options::socket_kind(self, handle)
    }

    /// Sets an option. Fails with [`Failure::UnknownOption`](super::Failure::UnknownOption) if the system does not have it.
    fn set_option(&self, handle: Handle, option: SocketOption, value: OptionValue) -> io::Result<()> {
        options::set(self, handle, option, value)
    }

    /// The value of an option that is a number.
    fn option(&self, handle: Handle, option: SocketOption) -> io::Result<i32> {
        options::get(self, handle, option)
    }

    /// The value of an option, for [`Kernel::restore_option`].
    fn save_option(&self, handle: Handle, option: SocketOption) -> io::Result<SavedOption> {
        options::save(self, handle, option)
    }

    /// Gives an option the value again that it had.
    fn restore_option(&self, handle: Handle, saved: &SavedOption) -> io::Result<()> {
        options::restore(self, handle, saved)
    }

    /// setsockopt(2) of any option by its numbers. The methods above and below end in this one, where a test sees each call.
    fn set_raw_option(&self, handle: Handle, level: i32, name: i32, value: &[u8]) -> io::Result<()> {
        socket::set_option(handle, level, name, value)
    }

    /// getsockopt(2) of any option by its numbers. Returns how many bytes of `value` were filled.
    fn raw_option(&self, handle: Handle, level: i32, name: i32, value: &mut [u8]) -> io::Result<usize> {
        socket::option(handle, level, name, value)
    }

    /// How many datagrams the socket has dropped since it was made; the count wraps. None if the system does not count them.
    fn drops(&self, handle: Handle) -> Option<u32> {
        options::drops(self, handle)
    }

    /// The device that the socket is bound to. Fails with [`Failure::NoDevice`](super::Failure::NoDevice) before Linux 5.1 if the
    /// device is gone.
    fn device(&self, handle: Handle) -> io::Result<Device> {
        device::get(self, handle)
    }

    /// Binds a socket that is bound to no device, for which Linux requires no privilege.
    fn bind_device(&self, handle: Handle, device: &Device) -> io::Result<()> {
        device::bind(self, handle, device)
    }

    /// True if a socket that is bound to a device may send by this interface, which is part of it if the device is a VRF.
    fn device_includes(&self, version: IpVersion, device: u32, interface: u32) -> io::Result<bool> {
        device::includes(self, version, device, interface)
    }

    /// Joins a multicast group.
    fn join(&self, handle: Handle, membership: &Membership) -> Result<(), GroupError> {
        multicast::join(self, handle, membership)
    }

    /// Leaves a multicast group.
    fn leave(&self, handle: Handle, membership: &Membership) -> Result<(), GroupError> {
        multicast::leave(self, handle, membership)
    }

    /// What the socket receives of a group on an interface; none if it has not joined the group there.
    fn group_filter(&self, handle: Handle, group: &Addr, interface: u32) -> io::Result<Option<GroupFilter>> {
        multicast::filter(self, handle, group, interface)
    }

    /// True if the socket's network namespace has no interface with this index.
    fn is_interface_gone(&self, handle: Handle, index: u32) -> bool {
        netdevice::is_gone(handle, index)
    }

    /// The first IPv4 address of an interface of the socket's network namespace.
    fn first_v4(&self, handle: Handle, index: u32) -> Option<[u8; 4]> {
        netdevice::first_v4(handle, index)
    }

    /// The indexes of the interfaces that the socket may have joined a group on.
    fn interfaces(&self, handle: Handle) -> Vec<u32> {
        netdevice::indexes(handle)
    }

    /// A handle that becomes readable when an interface or an address has come, gone or changed, in the network namespace of the
    /// calling thread.
    fn open_interface_monitor(&self) -> io::Result<OwnedHandle> {
        interface_monitor::open()
    }

    /// Reads the notices of a monitor, so that it is not readable any more. Returns true if there was a change.
    fn read_interface_monitor(&self, monitor: Handle) -> io::Result<bool> {
        interface_monitor::read(monitor)
    }

    /// Receives datagrams that are waiting: [`RecvBatch::receive`].
    fn receive(
        &self,
        handle: Handle,
        recv_batch: &mut RecvBatch,
        recv_options: &RecvOptions,
    ) -> io::Result<Received> {
        recv_batch.receive(handle, recv_options)
    }

    /// True if receiving was shut down.
    fn is_shut(&self, handle: Handle) -> bool {
        socket::is_shut(handle)
    }

    /// True if the handle is a socket.
    fn is_socket(&self, handle: Handle) -> bool {
        options::is_socket(self, handle)
    }

    /// Takes the pending error of a socket, if there is one.
    fn take_error(&self, handle: Handle) -> io::Result<Option<io::Error>> {
        options::take_error(self, handle)
    }

    /// Takes the next entry of the error queue, none if it is not an error. Fails with
    /// [`Failure::WouldBlock`](super::Failure::WouldBlock) if the queue is empty, or the system has none.
    fn read_error(&self, handle: Handle) -> io::Result<Option<Report>> {
        error_queue::read(handle)
    }

    /// Sends the next messages of a batch: [`SendBatch::send`].
    fn send(&self, handle: Handle, send_batch: &mut SendBatch) -> io::Result<usize> {
        send_batch.send(handle, usize::MAX)
    }

    /// Adds a handle to a poller: [`Poller::add`]. Fails with [`Failure::NotPermitted`](super::Failure::NotPermitted) for a
    /// handle that cannot be waited for.
    fn watch(&self, poller: &Poller, handle: Handle, interest: Interest, token: u64) -> io::Result<()> {
        poller.add(handle, interest, token)
    }

    /// Changes what a handle is watched for: [`Poller::modify`].
    fn rewatch(&self, poller: &Poller, handle: Handle, interest: Interest, token: u64) -> io::Result<()> {
        poller.modify(handle, interest, token)
    }

    /// Removes a handle from a poller: [`Poller::delete`].
    fn unwatch(&self, poller: &Poller, handle: Handle) -> io::Result<()> {
        poller.delete(handle)
    }

    /// Waits until a handle is ready: [`Poller::wait`].
    fn wait(&self, poller: &Poller, ready: &mut [Readiness], timeout: Option<u64>) -> io::Result<usize> {
        poller.wait(ready, timeout)
    }

    /// The function that looks names up.
    fn look_up(&self) -> LookUp {
        Arc::new(names::look_up)
    }
}

/// The system calls themselves.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemKernel;

impl Kernel for SystemKernel {}
