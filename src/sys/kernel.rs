//! The seam: every system call that a port or the loop makes goes through here, so that a test can answer in the
//! kernel's place.

use super::imp::names::{self, LookUp};
use super::{
    Epoll, Readiness, Received, RecvBatch, RecvOptions, Report, SendBatch, epoll, error_queue, netdevice,
    socket,
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

    /// connect(2); the unspecified address ends a connection.
    fn connect(&self, fd: RawFd, addr: &Addr) -> io::Result<()> {
        socket::connect(fd, addr)
    }

    /// A second descriptor of the same socket, close-on-exec: fcntl(2).
    fn duplicate(&self, fd: RawFd) -> io::Result<OwnedFd> {
        socket::duplicate(fd)
    }

    /// setsockopt(2) of an option by its numbers, for the C function that takes them.
    fn set_raw_option(&self, fd: RawFd, level: i32, name: i32, value: &[u8]) -> io::Result<()> {
        socket::set_option(fd, level, name, value)
    }

    /// getsockopt(2) of an option by its numbers. Returns how many bytes of `value` were filled.
    fn raw_option(&self, fd: RawFd, level: i32, name: i32, value: &mut [u8]) -> io::Result<usize> {
        socket::option(fd, level, name, value)
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

    /// The next entry of the error queue, see [`error_queue`]; none for one that is no error.
    fn read_error(&self, fd: RawFd) -> io::Result<Option<Report>> {
        error_queue::read(fd)
    }

    /// sendmmsg(2), see [`SendBatch::send`].
    fn send(&self, fd: RawFd, send_batch: &mut SendBatch) -> io::Result<usize> {
        send_batch.send(fd, usize::MAX)
    }

    /// epoll_ctl(2) with EPOLL_CTL_ADD.
    fn watch(&self, epoll: RawFd, fd: RawFd, events: u32, token: u64) -> io::Result<()> {
        epoll::control(epoll, libc::EPOLL_CTL_ADD, fd, events, token)
    }

    /// epoll_ctl(2) with EPOLL_CTL_MOD.
    fn rewatch(&self, epoll: RawFd, fd: RawFd, events: u32, token: u64) -> io::Result<()> {
        epoll::control(epoll, libc::EPOLL_CTL_MOD, fd, events, token)
    }

    /// epoll_ctl(2) with EPOLL_CTL_DEL.
    fn unwatch(&self, epoll: RawFd, fd: RawFd) -> io::Result<()> {
        epoll::control(epoll, libc::EPOLL_CTL_DEL, fd, 0, 0)
    }

    /// epoll_pwait2(2): at most `timeout` nanoseconds, for ever without one.
    fn wait(&self, epoll: &Epoll, events: &mut [Readiness], timeout: Option<u64>) -> io::Result<usize> {
        epoll.wait(events, timeout)
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
