//! The one place that makes sockets, and the calls on them that carry no datagrams.

use super::check;
use crate::addr::family;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::os::fd::{OwnedFd, RawFd};

pub use crate::sys::unix::socket::{CHOOSES_SHARED_NUMBERS, take_over};
pub(in crate::sys) use crate::sys::unix::socket::{
    bind, connect, duplicate, local_addr, option, peer_addr, set_option,
};

/// A UDP socket, non-blocking and close-on-exec.
pub(in crate::sys) fn udp(version: u16) -> io::Result<OwnedFd> {
    let domain = if version == family::INET6 { Domain::IPV6 } else { Domain::IPV4 };
    Socket::new_raw(domain, Type::DGRAM.nonblocking().cloexec(), Some(Protocol::UDP)).map(OwnedFd::from)
}

/// Ends a connection: connect(2) with AF_UNSPEC.
pub(in crate::sys) fn disconnect(fd: RawFd) -> io::Result<()> {
    // SAFETY: a sockaddr is integers; all of them may be zero, which is AF_UNSPEC.
    let unspecified: libc::sockaddr = unsafe { std::mem::zeroed() };
    let len = size_of::<libc::sockaddr>() as libc::socklen_t;
    // SAFETY: the kernel reads `len` bytes.
    check(unsafe { libc::connect(fd, &unspecified, len) }.into()).map(drop)
}

/// Whether shutdown(2) has ended receiving: poll(2) with POLLRDHUP, without waiting.
pub(in crate::sys) fn is_shut(fd: RawFd) -> bool {
    let mut one = libc::pollfd { fd, events: libc::POLLRDHUP, revents: 0 };
    // SAFETY: poll(2) reads and writes one entry.
    let ready = unsafe { libc::poll(&mut one, 1, 0) };
    ready == 1 && one.revents & libc::POLLRDHUP != 0
}
