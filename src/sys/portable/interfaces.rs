//! The list of network interfaces and their addresses: getifaddrs(3). It has neither the MTU nor hardware addresses.

use super::interface::{AddressList, flags, index_by_name, read_address};
use crate::abi::udpr_interface;
use crate::addr::{Addr, family};
use crate::status::Result;
use std::ffi::{CStr, c_char};

/// One element for each address of each interface, and one for each interface without addresses. The elements have no `size` yet.
///
/// # Errors
/// NO_MEMORY; any other status says why the system could not be asked.
pub fn list() -> Result<Vec<udpr_interface>> {
    let addresses = AddressList::new()?;
    let mut list: Vec<udpr_interface> = Vec::new();
    list.try_reserve(addresses.iter().count())?;
    list.extend(addresses.iter().filter_map(element));
    list.sort_by_key(|one| one.index);
    let has_address: Vec<u32> =
        list.iter().filter(|one| one.address != Addr::UNSPECIFIED).map(|one| one.index).collect();
    list.retain(|one| one.address != Addr::UNSPECIFIED || !has_address.contains(&one.index));
    list.dedup_by_key(|one| (one.index, one.address));
    Ok(list)
}

/// An entry: an address of an interface, or its address on the link.
fn element(entry: &libc::ifaddrs) -> Option<udpr_interface> {
    // SAFETY: getifaddrs gives every entry a name that ends in NUL.
    let label = unsafe { CStr::from_ptr(entry.ifa_name) }.to_str().ok()?;
    // An alias, "eth0:1", stands for its interface.
    let known = label.split(':').next()?;
    let mut name = [0; 64];
    let bytes = known.bytes().take(name.len() - 1);
    name.iter_mut().zip(bytes).for_each(|(to, from)| *to = from as c_char);
    let address = read_address(entry.ifa_addr).map(|addr| Addr { port: 0, ..addr });
    let mask =
        read_address(entry.ifa_netmask).filter(|mask| address.is_some_and(|addr| addr.family == mask.family));
    let is_shared =
        [libc::IFF_BROADCAST, libc::IFF_POINTOPOINT].iter().any(|bit| entry.ifa_flags & *bit as u32 != 0);
    let other = read_address(broadcast(entry)).filter(|_| is_shared && address.is_some());
    Some(udpr_interface {
        size: 0,
        index: index_by_name(known).ok()?,
        flags: flags(entry.ifa_flags),
        mtu: 0,
        prefix_length: mask.map_or(0, prefix_length),
        address: address.unwrap_or(Addr::UNSPECIFIED),
        broadcast: other.unwrap_or(Addr::UNSPECIFIED),
        hardware: [0; 32],
        hardware_len: 0,
        reserved: 0,
        name,
    })
}

#[cfg(target_os = "linux")]
fn broadcast(entry: &libc::ifaddrs) -> *const libc::sockaddr {
    entry.ifa_ifu
}

#[cfg(not(target_os = "linux"))]
fn broadcast(entry: &libc::ifaddrs) -> *const libc::sockaddr {
    entry.ifa_dstaddr
}

fn prefix_length(mask: Addr) -> u32 {
    let bytes = if mask.family == family::INET { &mask.bytes[..4] } else { &mask.bytes[..] };
    bytes.iter().map(|byte| byte.leading_ones()).sum()
}
