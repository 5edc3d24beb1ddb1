//! Memberships of a socket in multicast groups, and what the kernel reports of them.

use crate::addr::Addr;
use crate::sys::unix::multicast::{FIRST, STORAGE, level, write_addr};
use crate::sys::{Failure, GroupFilter, Kernel};
use std::io;
use std::os::fd::RawFd;

pub(in crate::sys) use crate::sys::unix::multicast::{join, leave};

/// linux/in.h: the sources of a list are the ones that are not received.
const MCAST_EXCLUDE: u32 = 0;
/// `struct group_filter` up to its sources: index, group, mode, number of sources.
const FILTER: usize = FIRST + STORAGE + 8;

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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::family;
    use crate::sys::{GroupError, Membership, OwnedHandle, SystemKernel, interface, socket};
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
