//! Memberships of a socket in multicast groups: the options of each version of IP. IPv4 takes an address of the interface.

use crate::addr::{Addr, family};
use crate::sys::imp::netdevice;
use crate::sys::interface::existing;
use crate::sys::raw_options::Value;
use crate::sys::{Failure, GroupError, Handle, Kernel, Membership};
use std::io;
use windows_sys::Win32::Networking::WinSock::{
    GROUP_SOURCE_REQ, IP_ADD_MEMBERSHIP, IP_ADD_SOURCE_MEMBERSHIP, IP_DROP_MEMBERSHIP,
    IP_DROP_SOURCE_MEMBERSHIP, IPPROTO_IP, IPPROTO_IPV6, IPV6_ADD_MEMBERSHIP, IPV6_DROP_MEMBERSHIP,
    MCAST_JOIN_SOURCE_GROUP, MCAST_LEAVE_SOURCE_GROUP,
};

/// The options that join, or those that leave.
struct Names {
    v4: i32,
    v4_source: i32,
    v6: i32,
    v6_source: i32,
}

const JOIN: Names = Names {
    v4: IP_ADD_MEMBERSHIP,
    v4_source: IP_ADD_SOURCE_MEMBERSHIP,
    v6: IPV6_ADD_MEMBERSHIP,
    v6_source: MCAST_JOIN_SOURCE_GROUP as i32,
};
const LEAVE: Names = Names {
    v4: IP_DROP_MEMBERSHIP,
    v4_source: IP_DROP_SOURCE_MEMBERSHIP,
    v6: IPV6_DROP_MEMBERSHIP,
    v6_source: MCAST_LEAVE_SOURCE_GROUP as i32,
};

/// See [`Kernel::join`].
pub(in crate::sys) fn join(
    kernel: &(impl Kernel + ?Sized),
    handle: Handle,
    membership: &Membership,
) -> Result<(), GroupError> {
    change(kernel, handle, membership, &JOIN).map_err(|error| match Failure::of(&error) {
        _ if is_without_interface(membership) => GroupError::NoInterface,
        Failure::AddressInUse | Failure::AddressNotAvailable | Failure::Invalid => GroupError::AlreadyJoined,
        Failure::NoBuffers | Failure::NoMemory => GroupError::Full(error),
        Failure::NoDevice => GroupError::NoInterface,
        _ => GroupError::Other(error),
    })
}

/// See [`Kernel::leave`].
pub(in crate::sys) fn leave(
    kernel: &(impl Kernel + ?Sized),
    handle: Handle,
    membership: &Membership,
) -> Result<(), GroupError> {
    change(kernel, handle, membership, &LEAVE).map_err(|error| match Failure::of(&error) {
        _ if is_without_interface(membership) => GroupError::NoInterface,
        Failure::AddressNotAvailable | Failure::Invalid => GroupError::NotJoined,
        Failure::NoDevice => GroupError::NoInterface,
        _ => GroupError::Other(error),
    })
}

fn is_without_interface(membership: &Membership) -> bool {
    membership.interface != 0 && existing(membership.interface).is_err()
}

fn change(
    kernel: &(impl Kernel + ?Sized),
    handle: Handle,
    membership: &Membership,
    names: &Names,
) -> io::Result<()> {
    let Membership { group, source, interface } = membership;
    if group.family == family::INET {
        let of = interface_address(*interface);
        return match source {
            // struct ip_mreq, struct ip_mreq_source.
            None => kernel.set_raw_option(handle, IPPROTO_IP, names.v4, [v4(group), of].as_flattened()),
            Some(source) => {
                let request = [v4(group), v4(source), of];
                kernel.set_raw_option(handle, IPPROTO_IP, names.v4_source, request.as_flattened())
            }
        };
    }
    match source {
        // struct ipv6_mreq.
        None => {
            let request = [&group.bytes[..], &interface.to_ne_bytes()].concat();
            kernel.set_raw_option(handle, IPPROTO_IPV6, names.v6, &request)
        }
        Some(source) => {
            let request = source_request(*interface, group, source);
            kernel.set_raw_option(handle, IPPROTO_IPV6, names.v6_source, &request)
        }
    }
}

/// A `GROUP_SOURCE_REQ`: the index, then the addresses in sockaddr_storages.
fn source_request(interface: u32, group: &Addr, source: &Addr) -> [u8; size_of::<GROUP_SOURCE_REQ>()] {
    let mut request = [0; size_of::<GROUP_SOURCE_REQ>()];
    request[..4].copy_from_slice(&interface.to_ne_bytes());
    let places = [
        std::mem::offset_of!(GROUP_SOURCE_REQ, gsr_group),
        std::mem::offset_of!(GROUP_SOURCE_REQ, gsr_source),
    ];
    for (addr, place) in [group, source].into_iter().zip(places) {
        if let Some(room) = request[place..].first_chunk_mut() {
            addr.to_sockaddr(room);
        }
    }
    request
}

fn v4(addr: &Addr) -> [u8; 4] {
    let [a, b, c, d, ..] = addr.bytes;
    [a, b, c, d]
}

/// What stands for an interface of IPv4: its first address or, if it has none, its index in 0.0.0.0/8. Zero leaves the choice to
/// the system.
fn interface_address(index: u32) -> [u8; 4] {
    let first = (index != 0).then(|| netdevice::first_v4(-1, index)).flatten();
    first.unwrap_or(index.to_be_bytes())
}

/// The value of IP_MULTICAST_IF.
pub(in crate::sys) fn interface_v4(index: u32, address: [u8; 4]) -> Value {
    Value::new(&if address == [0; 4] { interface_address(index) } else { address })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_the_systems_layout() {
        let (group, source) = (Addr::v6([0xff; 16], 0, 0), Addr::v6([0xfd; 16], 0, 0));
        let request = source_request(0x0102_0304, &group, &source);
        let mut raw = [[0; Addr::SOCKADDR_MAX]; 2];
        group.to_sockaddr(&mut raw[0]);
        source.to_sockaddr(&mut raw[1]);
        assert_eq!((request.len(), &request[..4]), (264, &0x0102_0304u32.to_ne_bytes()[..]));
        assert_eq!((&request[8..][..28], &request[136..][..28]), (&raw[0][..], &raw[1][..]));
    }

    #[test]
    fn an_interface_without_an_address_is_its_index() {
        assert_eq!(interface_address(0), [0; 4]);
        assert_eq!(interface_address(0x00ff_fffe), [0, 0xff, 0xff, 0xfe]);
    }
}
