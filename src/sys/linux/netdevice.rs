//! Network interfaces in the network namespace of a socket: the requests of netdevice(7) on the socket.
//! if_nametoindex(3) and getifaddrs(3) use the calling thread's namespace instead, which may be another one.

use super::{check, interface};
use std::io;
use std::os::fd::RawFd;

type IoctlNumber = libc::c_ulong;

/// True if there is no interface with this index, or no longer. False if that cannot be found out.
pub(in crate::sys) fn is_gone(fd: RawFd, index: u32) -> bool {
    name_of(fd, index).is_err_and(|error| error.raw_os_error() == Some(libc::ENODEV))
}

/// The first IPv4 address of an interface.
pub(in crate::sys) fn first_v4(fd: RawFd, index: u32) -> Option<[u8; 4]> {
    let entry = addressed(fd).into_iter().find(|one| index_of(fd, *one) == Some(index))?;
    // SAFETY: SIOCGIFCONF lists addresses of AF_INET, each in a sockaddr_in, which is as long as a sockaddr.
    let sockaddr = unsafe { entry.ifr_ifru.ifru_addr };
    let [_, _, a, b, c, d, ..] = sockaddr.sa_data.map(|byte| byte.to_ne_bytes()[0]);
    Some([a, b, c, d])
}

/// The interfaces on which a socket may have joined a group: those of its namespace that have an IPv4 address, and all
/// of the calling thread's namespace, which is usually the same one.
pub(in crate::sys) fn indexes(fd: RawFd) -> Vec<u32> {
    let mut indexes: Vec<u32> = addressed(fd).into_iter().filter_map(|one| index_of(fd, one)).collect();
    indexes.extend(interface::indexes());
    indexes.sort_unstable();
    indexes.dedup();
    indexes
}

fn name_of(fd: RawFd, index: u32) -> io::Result<libc::ifreq> {
    let mut request = empty();
    request.ifr_ifru.ifru_ifindex = index as libc::c_int;
    ask(fd, libc::SIOCGIFNAME as IoctlNumber, &mut request)?;
    Ok(request)
}

/// The name may be an alias, "eth0:1", for which the kernel returns the interface's index.
fn index_of(fd: RawFd, mut request: libc::ifreq) -> Option<u32> {
    ask(fd, libc::SIOCGIFINDEX as IoctlNumber, &mut request).ok()?;
    // SAFETY: SIOCGIFINDEX fills in the index.
    let index = unsafe { request.ifr_ifru.ifru_ifindex };
    u32::try_from(index).ok()
}

/// One entry for each IPv4 address of an interface.
fn addressed(fd: RawFd) -> Vec<libc::ifreq> {
    let Ok(len) = list(fd, &mut []) else { return Vec::new() };
    let mut entries = vec![empty(); len];
    let filled = list(fd, &mut entries).unwrap_or(0);
    entries.truncate(filled);
    entries
}

/// SIOCGIFCONF: returns how many entries there are, or how many were filled in if there is room for any.
fn list(fd: RawFd, entries: &mut [libc::ifreq]) -> io::Result<usize> {
    let room = size_of_val(entries);
    let place = if entries.is_empty() { std::ptr::null_mut() } else { entries.as_mut_ptr() };
    let ifc_ifcu = libc::__c_anonymous_ifc_ifcu { ifcu_req: place };
    let mut request = libc::ifconf { ifc_len: room as libc::c_int, ifc_ifcu };
    // SAFETY: the kernel writes whole entries into at most `ifc_len` bytes, none if the place is NULL.
    check(unsafe { libc::ioctl(fd, libc::SIOCGIFCONF as _, &mut request) }.into())?;
    Ok(usize::try_from(request.ifc_len).unwrap_or(0) / size_of::<libc::ifreq>())
}

fn ask(fd: RawFd, number: IoctlNumber, request: &mut libc::ifreq) -> io::Result<()> {
    // SAFETY: the requests of this module read and write one ifreq.
    check(unsafe { libc::ioctl(fd, number as _, request) }.into()).map(drop)
}

fn empty() -> libc::ifreq {
    // SAFETY: an ifreq is integers; all of them may be zero.
    unsafe { std::mem::zeroed() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::family;
    use crate::sys::socket;
    use std::os::fd::AsRawFd;

    fn lo() -> u32 {
        interface::interface_index("lo").expect("a loopback interface")
    }

    #[test]
    fn the_loopback_is_there_for_sockets_of_both_families() {
        for version in [family::INET, family::INET6] {
            let Ok(socket) = socket::udp(version) else { continue };
            let fd = socket.as_raw_fd();
            assert!(!is_gone(fd, lo()) && indexes(fd).contains(&lo()));
            assert_eq!(first_v4(fd, lo()), Some([127, 0, 0, 1]));
        }
    }

    #[test]
    fn an_index_that_nobody_has_is_gone() {
        let socket = socket::udp(family::INET).expect("a socket");
        for index in [0, i32::MAX as u32, u32::MAX] {
            assert!(is_gone(socket.as_raw_fd(), index));
            assert_eq!(first_v4(socket.as_raw_fd(), index), None);
        }
        assert!(!is_gone(-1, lo()), "what cannot be asked is not known");
        assert!(addressed(-1).is_empty());
    }
}
