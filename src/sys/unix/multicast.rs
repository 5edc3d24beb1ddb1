//! Memberships of a socket in multicast groups: the protocol-independent options of RFC 3678, which take an interface's
//! index for either version of IP.

use crate::addr::{Addr, family};
use crate::sys::raw_options::Value;
use crate::sys::{Failure, GroupError, Kernel, Membership};
use std::io;
use std::os::fd::RawFd;

/// In `struct group_req`, `group_source_req` and `group_filter`: the index, then addresses in sockaddr_storages, each
/// aligned as a long is, or to 4 bytes on macOS.
pub(in crate::sys) const FIRST: usize =
    if cfg!(target_vendor = "apple") { 4 } else { size_of::<libc::c_ulong>() };
/// The longest request, on any system.
const REQUEST_MAX: usize = 8 + 2 * STORAGE;
pub(in crate::sys) const STORAGE: usize = size_of::<libc::sockaddr_storage>();

/// See [`Kernel::join`].
pub(in crate::sys) fn join(
    kernel: &(impl Kernel + ?Sized),
    fd: RawFd,
    membership: &Membership,
) -> Result<(), GroupError> {
    let joined = change(kernel, fd, membership, libc::MCAST_JOIN_GROUP, libc::MCAST_JOIN_SOURCE_GROUP);
    joined.map_err(|error| match Failure::of(&error) {
        // EADDRINUSE: the group is joined, EADDRNOTAVAIL: the source is (igmp.c, mcast.c).
        Failure::AddressInUse | Failure::AddressNotAvailable => GroupError::AlreadyJoined,
        Failure::NoBuffers | Failure::NoMemory => GroupError::Full(error),
        Failure::NoDevice => GroupError::NoInterface,
        _ => GroupError::Other(error),
    })
}

/// See [`Kernel::leave`].
pub(in crate::sys) fn leave(
    kernel: &(impl Kernel + ?Sized),
    fd: RawFd,
    membership: &Membership,
) -> Result<(), GroupError> {
    let leave = |which| {
        change(kernel, fd, which, libc::MCAST_LEAVE_GROUP, libc::MCAST_LEAVE_SOURCE_GROUP)
            .map_err(leave_error)
    };
    match leave(membership) {
        // With its interface gone a group can be left, one source of it cannot (ip_mc_source in igmp.c, ip6_mc_source in
        // mcast.c), and would count among the groups of the socket permanently: there no source can send any more.
        Err(GroupError::NoInterface) if membership.source.is_some() && membership.interface != 0 => {
            match leave(&Membership { source: None, ..*membership }) {
                Err(GroupError::NotJoined) => Ok(()),
                left => left,
            }
        }
        left => left,
    }
}

fn leave_error(error: io::Error) -> GroupError {
    match Failure::of(&error) {
        // EADDRNOTAVAIL: the source is not joined, or the group. EINVAL: a source, and the group is not joined.
        Failure::AddressNotAvailable | Failure::Invalid => GroupError::NotJoined,
        Failure::NoDevice => GroupError::NoInterface,
        _ => GroupError::Other(error),
    }
}

fn change(
    kernel: &(impl Kernel + ?Sized),
    fd: RawFd,
    membership: &Membership,
    any: i32,
    with_source: i32,
) -> io::Result<()> {
    let name = if membership.source.is_some() { with_source } else { any };
    let (request, len) = request(FIRST, membership);
    kernel.set_raw_option(fd, level(&membership.group), name, &request[..len])
}

/// A `struct group_req`, or a `group_source_req` if there is a source, and its length; the group is at `first`.
fn request(first: usize, membership: &Membership) -> ([u8; REQUEST_MAX], usize) {
    let mut request = [0; REQUEST_MAX];
    request[..4].copy_from_slice(&membership.interface.to_ne_bytes());
    write_addr(&membership.group, &mut request[first..]);
    let group_end = first + STORAGE;
    let Some(source) = &membership.source else { return (request, group_end) };
    write_addr(source, &mut request[group_end..]);
    (request, group_end + STORAGE)
}

/// The value of IP_MULTICAST_IF, a `struct ip_mreqn`: a group, which is not used; the address to send with; the index.
pub(in crate::sys) fn interface_v4(index: u32, address: [u8; 4]) -> Value {
    Value::new([[0; 4], address, index.to_ne_bytes()].as_flattened())
}

pub(in crate::sys) fn level(group: &Addr) -> i32 {
    if group.family == family::INET6 { libc::IPPROTO_IPV6 } else { libc::IPPROTO_IP }
}

/// Into a sockaddr_storage, which is longer than any address.
pub(in crate::sys) fn write_addr(addr: &Addr, storage: &mut [u8]) {
    if let Some(place) = storage.first_chunk_mut() {
        addr.to_sockaddr(place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Linux and FreeBSD on 64 bits; macOS, and systems of 32 bits.
    #[test]
    fn a_request_has_the_systems_layout() {
        let (group, source) = (Addr::v4([232, 0, 0, 5], 0), Addr::v4([10, 0, 0, 1], 0));
        let mut raw = [[0; Addr::SOCKADDR_MAX]; 2];
        group.to_sockaddr(&mut raw[0]);
        source.to_sockaddr(&mut raw[1]);
        for first in [8, 4] {
            let all = Membership { group, source: None, interface: 0x0102_0304 };
            let (bytes, len) = request(first, &all);
            assert_eq!(len, first + 128);
            assert_eq!(bytes[..4], 0x0102_0304u32.to_ne_bytes());
            assert_eq!(bytes[first..][..Addr::SOCKADDR_MAX], raw[0]);
            let (bytes, len) = request(first, &Membership { source: Some(source), ..all });
            assert_eq!(len, first + 2 * 128);
            assert_eq!(bytes[first..][..Addr::SOCKADDR_MAX], raw[0]);
            assert_eq!(bytes[first + 128..][..Addr::SOCKADDR_MAX], raw[1]);
        }
    }
}
