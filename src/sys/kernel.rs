//! The seam: every system call that a port or the loop makes goes through here, so that a test can answer in the
//! kernel's place.

use super::imp::names::{self, LookUp};
use super::imp::{multicast, options};
use super::{
    Device, GroupError, GroupFilter, Handle, Interest, IpVersion, Membership, OptionValue, Poller, Readiness,
    Received, RecvBatch, RecvOptions, Report, SavedOption, SendBatch, SocketKind, SocketOption, device,
    error_queue, netdevice, socket,
};
use crate::addr::Addr;
use std::io;
use std::os::fd::{OwnedFd, RawFd};
use std::sync::Arc;

/// The kernel as a reactor sees it. Every method does the real thing unless it is overridden.
pub trait Kernel {
    /// A new UDP socket: socket(2), non-blocking, close-on-exec.
    fn socket(&self, family: u16) -> io::Result<OwnedFd> {
        socket::udp(family)
    }

    /// bind(2).
    fn bind(&self, fd: RawFd, addr: &Addr) -> io::Result<()> {
        socket::bind(fd, addr)
    }

    /// getsockname(2).
    fn local_addr(&self, fd: RawFd) -> io::Result<Addr> {
        socket::local_addr(fd)
    }

    /// getpeername(2): ENOTCONN where there is none.
    fn peer_addr(&self, fd: RawFd) -> io::Result<Addr> {
        socket::peer_addr(fd)
    }

    /// connect(2).
    fn connect(&self, fd: RawFd, addr: &Addr) -> io::Result<()> {
        socket::connect(fd, addr)
    }

    /// Ends the connection of a socket. The socket may lose its port number and its device with it.
    fn disconnect(&self, fd: RawFd) -> io::Result<()> {
        socket::disconnect(fd)
    }

    /// A second descriptor of the same socket, close-on-exec: fcntl(2).
    fn duplicate(&self, fd: RawFd) -> io::Result<OwnedFd> {
        socket::duplicate(fd)
    }

    /// What a descriptor refers to. Fails with [`Failure::BadHandle`](super::Failure::BadHandle) if it is closed.
    fn socket_kind(&self, fd: RawFd) -> io::Result<SocketKind> {
        options::socket_kind(self, fd)
    }

    /// Sets an option. Fails with [`Failure::UnknownOption`](super::Failure::UnknownOption) if the system does not have it.
    fn set_option(&self, fd: RawFd, option: SocketOption, value: OptionValue) -> io::Result<()> {
        options::set(self, fd, option, value)
    }

    /// The value of an option that is a number.
    fn option(&self, fd: RawFd, option: SocketOption) -> io::Result<i32> {
        options::get(self, fd, option)
    }

    /// The value of an option, for [`Kernel::restore_option`].
    fn save_option(&self, fd: RawFd, option: SocketOption) -> io::Result<SavedOption> {
        options::save(self, fd, option)
    }

    /// Gives an option the value again that it had.
    fn restore_option(&self, fd: RawFd, saved: &SavedOption) -> io::Result<()> {
        options::restore(self, fd, saved)
    }

    /// setsockopt(2) of any option by its numbers. The methods above and below end in this one, where a test sees each call.
    fn set_raw_option(&self, fd: RawFd, level: i32, name: i32, value: &[u8]) -> io::Result<()> {
        socket::set_option(fd, level, name, value)
    }

    /// getsockopt(2) of any option by its numbers. Returns how many bytes of `value` were filled.
    fn raw_option(&self, fd: RawFd, level: i32, name: i32, value: &mut [u8]) -> io::Result<usize> {
        socket::option(fd, level, name, value)
    }

    /// How many datagrams the socket has dropped since it was made; the count wraps. None if the system does not count them.
    fn drops(&self, fd: RawFd) -> Option<u32> {
        options::drops(self, fd)
    }

    /// The device that the socket is bound to. Fails with [`Failure::NoDevice`](super::Failure::NoDevice) before Linux 5.1 if the
    /// device is gone.
    fn device(&self, fd: RawFd) -> io::Result<Device> {
        device::get(self, fd)
    }

    /// Binds a socket that is bound to no device, for which Linux requires no privilege.
    fn bind_device(&self, fd: RawFd, device: &Device) -> io::Result<()> {
        device::bind(self, fd, device)
    }

    /// True if a socket that is bound to a device may send by this interface, which is part of it if the device is a VRF.
    fn device_includes(&self, version: IpVersion, device: u32, interface: u32) -> io::Result<bool> {
        device::includes(self, version, device, interface)
    }

    /// Joins a multicast group.
    fn join(&self, fd: RawFd, membership: &Membership) -> Result<(), GroupError> {
        multicast::join(self, fd, membership)
    }

    /// Leaves a multicast group.
    fn leave(&self, fd: RawFd, membership: &Membership) -> Result<(), GroupError> {
        multicast::leave(self, fd, membership)
    }

    /// What the socket receives of a group on an interface; none if it has not joined the group there.
    fn group_filter(&self, fd: RawFd, group: &Addr, interface: u32) -> io::Result<Option<GroupFilter>> {
        multicast::filter(self, fd, group, interface)
    }

    /// True if the socket's network namespace has no interface with this index.
    fn is_interface_gone(&self, fd: RawFd, index: u32) -> bool {
        netdevice::is_gone(fd, index)
    }

    /// The first IPv4 address of an interface of the socket's network namespace.
    fn first_v4(&self, fd: RawFd, index: u32) -> Option<[u8; 4]> {
        netdevice::first_v4(fd, index)
    }

    /// The interfaces that the socket may have joined a group on, see [`netdevice`].
    fn interfaces(&self, fd: RawFd) -> Vec<u32> {
        netdevice::indexes(fd)
    }

    /// recvmmsg(2), see [`RecvBatch::receive`].
    fn receive(
        &self,
        fd: RawFd,
        recv_batch: &mut RecvBatch,
        recv_options: &RecvOptions,
    ) -> io::Result<Received> {
        recv_batch.receive(fd, recv_options)
    }

    /// True where nothing can come any more: shutdown(2).
    fn is_shut(&self, fd: RawFd) -> bool {
        socket::is_shut(fd)
    }

    /// True if the handle is a socket.
    fn is_socket(&self, fd: Handle) -> bool {
        options::is_socket(self, fd)
    }

    /// Takes the pending error of a socket, if there is one.
    fn take_error(&self, fd: Handle) -> io::Result<Option<io::Error>> {
        options::take_error(self, fd)
    }

    /// The next entry of the error queue, see [`error_queue`]; none for one that is no error.
    fn read_error(&self, fd: RawFd) -> io::Result<Option<Report>> {
        error_queue::read(fd)
    }

    /// sendmmsg(2), see [`SendBatch::send`].
    fn send(&self, fd: RawFd, send_batch: &mut SendBatch) -> io::Result<usize> {
        send_batch.send(fd, usize::MAX)
    }

    /// [`Poller::add`].
    fn watch(&self, poller: &Poller, fd: Handle, interest: Interest, token: u64) -> io::Result<()> {
        poller.add(fd, interest, token)
    }

    /// [`Poller::modify`].
    fn rewatch(&self, poller: &Poller, fd: Handle, interest: Interest, token: u64) -> io::Result<()> {
        poller.modify(fd, interest, token)
    }

    /// [`Poller::delete`].
    fn unwatch(&self, poller: &Poller, fd: Handle) -> io::Result<()> {
        poller.delete(fd)
    }

    /// [`Poller::wait`].
    fn wait(&self, poller: &Poller, ready: &mut [Readiness], timeout: Option<u64>) -> io::Result<usize> {
        poller.wait(ready, timeout)
    }

    /// How names are looked up: getaddrinfo(3).
    fn look_up(&self) -> LookUp {
        Arc::new(names::look_up)
    }
}

/// The kernel itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Linux;

impl Kernel for Linux {}
