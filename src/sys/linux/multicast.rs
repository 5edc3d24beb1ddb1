//! Memberships of a socket in multicast groups: the protocol-independent options of RFC 3678, which take an interface's
//! index for either version of IP.

use crate::addr::{Addr, family};
use crate::sys::{Failure, GroupError, GroupFilter, Kernel, Membership};
use std::io;
use std::os::fd::RawFd;

/// linux/in.h: the sources of a list are the ones that are not received.
const MCAST_EXCLUDE: u32 = 0;
/// In `struct group_req`, `group_source_req` and `group_filter`: the index, then addresses in sockaddr_storages, each
/// aligned as a long is.
const FIRST: usize = size_of::<libc::c_ulong>();
const STORAGE: usize = size_of::<libc::sockaddr_storage>();
/// `struct group_filter` up to its sources: index, group, mode, number of sources.
const FILTER: usize = FIRST + STORAGE + 8;

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

/// See [`Kernel::group_filter`].
pub(in crate::sys) fn filter(
    kernel: &(impl Kernel + ?Sized),
    fd: RawFd,
    group: &Addr,
    interface: u32,
) -> io::Result<Option<GroupFilter>> {
    let mut request = [0; FILTER];
    request[..4].copy_from_slice(&interface.to_ne_bytes());
    write_addr(group, &mut request[FIRST..]);
    match kernel.raw_option(fd, level(group), libc::MCAST_MSFILTER, &mut request) {
        Err(error) if Failure::of(&error) == Failure::AddressNotAvailable => return Ok(None),
        filled => filled?,
    };
    let number = |at: usize| request[at..].first_chunk().map_or(0, |bytes| u32::from_ne_bytes(*bytes));
    let (mode, sources) = (number(FIRST + STORAGE), number(FIRST + STORAGE + 4));
    Ok(Some(GroupFilter { excludes: mode == MCAST_EXCLUDE, sources }))
}

fn change(
    kernel: &(impl Kernel + ?Sized),
    fd: RawFd,
    membership: &Membership,
    any: i32,
    with_source: i32,
) -> io::Result<()> {
    let Membership { group, source, interface } = membership;
    let mut request = [0; FIRST + 2 * STORAGE];
    request[..4].copy_from_slice(&interface.to_ne_bytes());
    write_addr(group, &mut request[FIRST..]);
    let (name, len) = match source {
        None => (any, FIRST + STORAGE),
        Some(source) => {
            write_addr(source, &mut request[FIRST + STORAGE..]);
            (with_source, request.len())
        }
    };
    kernel.set_raw_option(fd, level(group), name, &request[..len])
}

fn level(group: &Addr) -> i32 {
    if group.family == family::INET6 { libc::IPPROTO_IPV6 } else { libc::IPPROTO_IP }
}

/// Into a sockaddr_storage, which is longer than any address.
fn write_addr(addr: &Addr, storage: &mut [u8]) {
    if let Some(place) = storage.first_chunk_mut() {
        addr.to_sockaddr(place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{OwnedHandle, SystemKernel, interface, socket};
    use std::os::fd::AsRawFd;

    const V4: Addr = Addr::v4([228, 0, 0, 5], 0);
    const V6: Addr = Addr::v6([0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 5], 0, 0);
    const SOURCE_V4: Addr = Addr::v4([127, 0, 0, 1], 0);
    const SOURCE_V6: Addr = Addr::v6([0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], 0, 0);
    /// No interface has this index.
    const NOWHERE: u32 = i32::MAX as u32;

    fn on_loopback(group: Addr, source: Option<Addr>) -> Membership {
        let interface = interface::interface_index("lo").expect("a loopback interface");
        Membership { group, source, interface }
    }

    /// A socket of each version that this host has, with a membership for all sources and one for a single source.
    fn sockets() -> impl Iterator<Item = (OwnedHandle, Membership, Membership)> {
        let new = |(group, source): (Addr, Addr)| {
            let socket = socket::udp(group.family).ok()?;
            Some((socket, on_loopback(group, None), on_loopback(group, Some(source))))
        };
        [(V4, SOURCE_V4), (V6, SOURCE_V6)].into_iter().filter_map(new)
    }

    #[test]
    fn a_group_is_joined_and_left_once() {
        for (socket, all, one) in sockets() {
            for membership in [all, one] {
                let fd = socket.as_raw_fd();
                let filter =
                    || filter(&SystemKernel, fd, &membership.group, membership.interface).expect("a filter");
                assert_eq!(filter(), None);
                assert!(matches!(leave(&SystemKernel, fd, &membership), Err(GroupError::NotJoined)));
                join(&SystemKernel, fd, &membership).expect("a group");
                let sources = membership.source.iter().count() as u32;
                assert_eq!(filter(), Some(GroupFilter { excludes: sources == 0, sources }));
                assert!(matches!(join(&SystemKernel, fd, &membership), Err(GroupError::AlreadyJoined)));
                leave(&SystemKernel, fd, &membership).expect("joined");
                assert_eq!(filter(), None);
            }
        }
    }

    #[test]
    fn an_interface_that_does_not_exist_is_reported() {
        for (socket, all, one) in sockets() {
            for membership in [all, one] {
                let membership = Membership { interface: NOWHERE, ..membership };
                let joined = join(&SystemKernel, socket.as_raw_fd(), &membership);
                assert!(matches!(joined, Err(GroupError::NoInterface)), "{membership:?}: {joined:?}");
            }
        }
    }

    /// 20 IPv4 groups by default (igmp_max_memberships in Documentation/networking/ip-sysctl.rst).
    #[test]
    fn a_socket_with_too_many_groups_is_full() {
        let socket = socket::udp(family::INET).expect("a socket");
        let numbered = |number: u32| {
            let [_, b, c, d] = number.to_be_bytes();
            on_loopback(Addr::v4([228, b, c, d], 0), None)
        };
        let failed =
            (1..1 << 20).find_map(|number| join(&SystemKernel, socket.as_raw_fd(), &numbered(number)).err());
        assert!(matches!(failed, Some(GroupError::Full(_))), "{failed:?}");
    }
}
