//! The one place that makes sockets, and the calls on them that carry no datagrams.

use super::check;
use super::system::SYSTEM;
use crate::addr::{Addr, family};
use crate::sys::raw_options::integer;
use crate::sys::recv_meta::ABSENT;
use crate::sys::sock_addr::read_name;
use crate::sys::unix::socket::borrow;
use crate::sys::{IpVersion, Kernel, SocketKind};
use socket2::{Domain, MsgHdrMut, Protocol, SockAddr, SockAddrStorage, Socket, Type};
use std::io;
use std::os::fd::{OwnedFd, RawFd};

pub use crate::sys::unix::socket::{CHOOSES_SHARED_NUMBERS, take_over};
pub(in crate::sys) use crate::sys::unix::socket::{
    bind, connect, duplicate, local_addr, option, peer_addr, set_option,
};

/// A UDP socket, non-blocking and close-on-exec.
pub(in crate::sys) fn udp(version: u16) -> io::Result<OwnedFd> {
    let domain = if version == family::INET6 { Domain::IPV6 } else { Domain::IPV4 };
    let socket = Socket::new(domain, Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Ends a connection: connect(2) with AF_UNSPEC. FreeBSD disconnects first, and then reports EAFNOSUPPORT, or EINVAL for the length of
/// such an address on a socket of IPv6 (libuv#3350).
#[cfg(not(target_vendor = "apple"))]
pub(in crate::sys) fn disconnect(fd: RawFd) -> io::Result<()> {
    // SAFETY: a sockaddr is integers; all of them may be zero, which is AF_UNSPEC.
    let unspecified: libc::sockaddr = unsafe { std::mem::zeroed() };
    let len = size_of::<libc::sockaddr>() as libc::socklen_t;
    // SAFETY: the kernel reads `len` bytes.
    match check(unsafe { libc::connect(fd, &unspecified, len) }.into()) {
        Err(error) if DISCONNECTED.contains(&error.raw_os_error()) => Ok(()),
        disconnected => disconnected.map(drop),
    }
}

/// The errors of a socket that is no longer connected.
#[cfg(not(target_vendor = "apple"))]
const DISCONNECTED: &[Option<i32>] =
    if cfg!(target_os = "linux") { &[] } else { &[Some(libc::EAFNOSUPPORT), Some(libc::EINVAL)] };

/// Ends a connection: disconnectx(2). After connect(2) with AF_UNSPEC, macOS cannot connect again.
#[cfg(target_vendor = "apple")]
pub(in crate::sys) fn disconnect(fd: RawFd) -> io::Result<()> {
    // SAFETY: disconnectx(2) takes integers: SAE_ASSOCID_ANY and SAE_CONNID_ANY.
    check(unsafe { libc::disconnectx(fd, 0, 0) }.into()).map(drop)
}

/// Whether shutdown(2) has ended receiving. Then the socket stays readable without anything to read, or recvmsg(2) returns 0 bytes
/// without a sender, whereas a datagram has one.
pub(in crate::sys) fn is_shut(fd: RawFd) -> bool {
    match peek(fd) {
        Ok((len, sender)) => len == 0 && sender == Addr::UNSPECIFIED,
        // Another holder of the socket may read a datagram between two calls.
        Err(_) => is_readable(fd) && peek(fd).is_err() && is_readable(fd),
    }
}

fn peek(fd: RawFd) -> io::Result<(usize, Addr)> {
    let mut sender = unnamed();
    let mut header = MsgHdrMut::new().with_addr(&mut sender);
    let flags = libc::MSG_PEEK | libc::MSG_DONTWAIT;
    let len = borrow(fd, |socket| socket.recvmsg(&mut header, flags))?;
    Ok((len, read_name(&sender)))
}

fn is_readable(fd: RawFd) -> bool {
    let mut one = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
    // SAFETY: poll(2) reads and writes one entry.
    let ready = unsafe { libc::poll(&mut one, 1, 0) };
    ready == 1 && one.revents & libc::POLLIN != 0
}

/// See [`Kernel::socket_kind`]. If the system does not report the protocol of a socket, sockets for ping and UDP-Lite pass as UDP.
pub(in crate::sys) fn socket_kind(kernel: &(impl Kernel + ?Sized), fd: RawFd) -> io::Result<SocketKind> {
    let version = match kernel.local_addr(fd) {
        Ok(addr) => IpVersion::of(addr.family),
        Err(error) => match error.raw_os_error() {
            Some(libc::EAFNOSUPPORT) => return Ok(SocketKind::OtherFamily),
            Some(libc::ENOTSOCK) => return Ok(SocketKind::NotUdp),
            _ => return Err(error),
        },
    };
    let is_datagram = integer(kernel, fd, libc::SOL_SOCKET, libc::SO_TYPE)? == libc::SOCK_DGRAM;
    let (level, name) = SYSTEM.numbers.protocol;
    let is_udp = SYSTEM.numbers.protocol == ABSENT || integer(kernel, fd, level, name)? == libc::IPPROTO_UDP;
    Ok(if is_datagram && is_udp { SocketKind::Udp(version) } else { SocketKind::NotUdp })
}

/// Room for a name, which is no name yet.
pub(super) fn unnamed() -> SockAddr {
    let storage = SockAddrStorage::zeroed();
    let len = storage.size_of();
    // SAFETY: the storage is zeros, which is AF_UNSPEC.
    unsafe { SockAddr::new(storage, len) }
}
