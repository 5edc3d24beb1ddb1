//! Network interfaces, as the C library reports them.

use crate::abi::udpr_interface_flag as Flag;
use crate::addr::{Addr, family};
use crate::status::{Result, Status};
use libc::{IFNAMSIZ, c_char, ifaddrs, sockaddr};
use std::ffi::CStr;
use std::{io, ptr, slice};

/// The longest name of an interface, with its NUL.
pub(in crate::sys) const NAME_SIZE: usize = IFNAMSIZ;

/// The index of the interface with this name.
pub(in crate::sys) fn index_of_name(name: &CStr) -> Result<u32> {
    // SAFETY: the name ends in NUL.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    if index == 0 { Err(look_up_failure()) } else { Ok(index) }
}

/// Why a name or an index was not found. The C library uses a socket, and glibc does not report why it could not make
/// one.
fn look_up_failure() -> Status {
    let error = io::Error::last_os_error();
    let is_unknown = matches!(error.raw_os_error(), Some(libc::ENODEV | libc::ENXIO));
    let refused = if is_unknown { None } else { crate::sys::imp::socket::udp(family::INET).err() };
    reason(&refused.unwrap_or(error))
}

/// Why the system could not be asked.
pub fn reason(error: &io::Error) -> Status {
    match error.raw_os_error() {
        Some(libc::ENODEV | libc::ENXIO) => Status::NO_INTERFACE,
        // A sandbox without AF_NETLINK, or without sockets: the family that is not supported is not that of the
        // caller's address.
        Some(libc::EAFNOSUPPORT | libc::EPROTONOSUPPORT) => Status::NOT_SUPPORTED,
        Some(libc::EACCES) => Status::PERMISSION,
        Some(errno) => Status::from_errno(errno),
        None => Status::SYSTEM,
    }
}

/// The index, if there is an interface with this index.
pub(in crate::sys) fn existing(index: u32) -> Result<u32> {
    let mut name = [0 as c_char; IFNAMSIZ];
    // SAFETY: the buffer has the IFNAMSIZ bytes that if_indextoname may write.
    let found = unsafe { libc::if_indextoname(index, name.as_mut_ptr()) };
    if found.is_null() { Err(look_up_failure()) } else { Ok(index) }
}

/// The indexes of all interfaces.
pub(in crate::sys) fn indexes() -> Vec<u32> {
    let mut indexes = Vec::new();
    // SAFETY: a list that ends in an entry of index 0, or NULL.
    let list = unsafe { libc::if_nameindex() };
    let mut next = list;
    // SAFETY: NULL or an entry of the list, which is freed below.
    while let Some(entry) = unsafe { next.as_ref() }.filter(|entry| entry.if_index != 0) {
        indexes.push(entry.if_index);
        next = next.wrapping_add(1);
    }
    if !list.is_null() {
        // SAFETY: the list that if_nameindex has made.
        unsafe { libc::if_freenameindex(list) };
    }
    indexes
}

/// The bits of `udpr_interface_flag` for flags of netdevice(7).
pub(in crate::sys) fn flags(of_system: u32) -> u32 {
    let all = [
        (libc::IFF_UP, Flag::UDPR_INTERFACE_UP),
        (libc::IFF_LOOPBACK, Flag::UDPR_INTERFACE_LOOPBACK),
        (libc::IFF_MULTICAST, Flag::UDPR_INTERFACE_MULTICAST),
        (libc::IFF_BROADCAST, Flag::UDPR_INTERFACE_BROADCAST),
        (libc::IFF_POINTOPOINT, Flag::UDPR_INTERFACE_POINT_TO_POINT),
    ];
    let set = all.into_iter().filter(|(bit, _)| of_system & *bit as u32 != 0);
    set.fold(0, |flags, (_, flag)| flags | flag as u32)
}

/// The index of the interface that has this address.
pub(in crate::sys) fn index_of_address(addr: &Addr) -> Result<u32> {
    let list = AddressList::new()?;
    let entry = list.iter().find(|entry| {
        // The entry of a link-local address has its zone, which the text did not have.
        read_address(entry.ifa_addr).is_some_and(|found| Addr { scope_id: 0, ..found } == *addr)
    });
    let entry = entry.ok_or(Status::NO_INTERFACE)?;
    // SAFETY: getifaddrs gives every entry a name that ends in NUL. It may be an alias, "eth0:1", for which the kernel
    // returns the interface's index.
    let index = unsafe { libc::if_nametoindex(entry.ifa_name) };
    if index == 0 { Err(look_up_failure()) } else { Ok(index) }
}

/// The addresses of this host, as getifaddrs lists them.
pub(in crate::sys) struct AddressList(*mut ifaddrs);

impl AddressList {
    pub(in crate::sys) fn new() -> Result<AddressList> {
        let mut head = ptr::null_mut();
        // SAFETY: the list's head is written to a variable of ours.
        let result = unsafe { libc::getifaddrs(&mut head) };
        if result == 0 { Ok(AddressList(head)) } else { Err(reason(&io::Error::last_os_error())) }
    }

    pub(in crate::sys) fn iter(&self) -> impl Iterator<Item = &ifaddrs> {
        // SAFETY: a list of getifaddrs is null or points to an entry that lives until freeifaddrs.
        let first = unsafe { self.0.as_ref() };
        // SAFETY: likewise each entry's next one.
        std::iter::successors(first, |entry| unsafe { entry.ifa_next.as_ref() })
    }
}

impl Drop for AddressList {
    fn drop(&mut self) {
        // SAFETY: the list came from getifaddrs and is freed once; nothing borrows from it any more.
        unsafe { libc::freeifaddrs(self.0) }
    }
}

/// An entry's address, if it is an IPv4 or IPv6 one: there are entries for the link layer, too.
pub(in crate::sys) fn read_address(sockaddr: *const sockaddr) -> Option<Addr> {
    // SAFETY: getifaddrs gives null or a whole sockaddr, whose family tells what it is.
    let family = unsafe { sockaddr.as_ref() }?.sa_family;
    let len = match i32::from(family) {
        libc::AF_INET => size_of::<libc::sockaddr_in>(),
        libc::AF_INET6 => size_of::<libc::sockaddr_in6>(),
        _ => return None,
    };
    // SAFETY: a sockaddr of that family has that many bytes, all of them initialised.
    let raw = unsafe { slice::from_raw_parts(sockaddr.cast(), len) };
    Addr::from_sockaddr(raw).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::interface::{index_by_name, interface_index};

    /// Every address of this host, without its zone, and the interface it is on.
    fn local_addresses() -> Vec<(Addr, u32)> {
        let list = AddressList::new().expect("getifaddrs");
        let read = |entry: &ifaddrs| {
            let addr = Addr { scope_id: 0, ..read_address(entry.ifa_addr)? };
            // SAFETY: getifaddrs gives every entry a name that ends in NUL.
            let label = unsafe { CStr::from_ptr(entry.ifa_name) }.to_str().expect("UTF-8");
            Some((addr, index_by_name(label.split(':').next()?).ok()?))
        };
        list.iter().filter_map(read).collect()
    }

    #[test]
    fn every_address_of_this_host_is_found() {
        let local = local_addresses();
        assert!(
            local
                .contains(&(Addr::v4([127, 0, 0, 1], 0), index_by_name("lo").expect("a loopback interface")))
        );
        for (addr, index) in &local {
            let found = interface_index(&addr.to_string()).expect("a local address");
            assert!(local.contains(&(*addr, found)), "{addr} is not on {found}");
            let zoned = Addr { scope_id: *index, ..*addr };
            if addr.family == family::INET6 {
                assert_eq!(interface_index(&zoned.to_string()), Ok(*index), "{zoned}");
            }
        }
    }
}
