//! Notices of changes of network interfaces and their addresses: the multicast groups of rtnetlink(7).

use super::check;
use crate::sys::api::Failure;
use libc::{c_int, sockaddr_nl};
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

const GROUPS: c_int = libc::RTMGRP_LINK | libc::RTMGRP_IPV4_IFADDR | libc::RTMGRP_IPV6_IFADDR;
/// How many notices one call reads at most. If there are more, the socket stays readable.
const READS_MAX: usize = 1000;

/// A socket that receives a notice for each change in the calling thread's network namespace from now on. It does not block, and is
/// not inherited by other programs.
pub fn open() -> io::Result<OwnedFd> {
    let protocol = Some(Protocol::from(libc::NETLINK_ROUTE));
    let socket = Socket::new(Domain::from(libc::AF_NETLINK), Type::RAW, protocol)?;
    socket.set_nonblocking(true)?;
    // SAFETY: an address is integers; all of them may be zero. The kernel chooses its number.
    let mut local: sockaddr_nl = unsafe { std::mem::zeroed() };
    local.nl_family = libc::AF_NETLINK as libc::sa_family_t;
    local.nl_groups = GROUPS as u32;
    let (place, len) = ((&raw const local).cast(), size_of_val(&local) as libc::socklen_t);
    // SAFETY: bind(2) reads an address of this length.
    check(unsafe { libc::bind(socket.as_raw_fd(), place, len) }.into())?;
    Ok(socket.into())
}

/// Reads the notices that are waiting. Returns true if there were any, or if the kernel has dropped some. What changed is not read:
/// the groups have no other messages, and only the kernel and root can send to them.
pub fn read(monitor: RawFd) -> io::Result<bool> {
    let mut is_changed = false;
    for _ in 0..READS_MAX {
        match receive(monitor).map_err(|error| (Failure::of(&error), error)) {
            // Notices were dropped, since the socket's buffer was full (netlink(7)), or there was no memory.
            Ok(()) | Err((Failure::NoBuffers | Failure::NoMemory, _)) => is_changed = true,
            Err((Failure::Interrupted, _)) => {}
            Err((Failure::WouldBlock, _)) => break,
            Err((_, error)) => return Err(error),
        }
    }
    Ok(is_changed)
}

/// Removes one message, whatever its length.
fn receive(monitor: RawFd) -> io::Result<()> {
    let mut byte = 0u8;
    // SAFETY: recv(2) writes at most one byte.
    let received = unsafe { libc::recv(monitor, (&raw mut byte).cast(), 1, libc::MSG_DONTWAIT) };
    check(received as libc::c_long).map(drop)
}
