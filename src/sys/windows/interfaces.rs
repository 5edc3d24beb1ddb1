//! The list of network interfaces and their addresses.

use super::interface::{Adapters, addresses, index, name_of};
use crate::abi::{udpr_interface, udpr_interface_flag as Flag};
use crate::addr::{Addr, family};
use crate::status::Result;
use std::ffi::c_char;
use windows_sys::Win32::NetworkManagement::IpHelper::{
    IF_TYPE_ETHERNET_CSMACD, IF_TYPE_IEEE80211, IF_TYPE_PPP, IF_TYPE_SOFTWARE_LOOPBACK, IF_TYPE_TUNNEL,
    IP_ADAPTER_ADDRESSES_LH, IP_ADAPTER_NO_MULTICAST,
};
use windows_sys::Win32::NetworkManagement::Ndis::IfOperStatusUp;

/// One element for each address of each interface, and one for each interface without addresses. The elements have no `size` yet.
///
/// # Errors
/// NO_MEMORY; any other status says why the system could not be asked.
pub fn list() -> Result<Vec<udpr_interface>> {
    let adapters = Adapters::new()?;
    let mut list: Vec<udpr_interface> = Vec::new();
    for adapter in adapters.iter() {
        let alone = without_address(adapter);
        list.try_reserve(addresses(adapter).count() + 1)?;
        if addresses(adapter).next().is_none() {
            list.push(alone);
        }
        list.extend(addresses(adapter).map(|(addr, prefix_length)| udpr_interface {
            prefix_length,
            address: Addr { port: 0, ..addr },
            broadcast: broadcast(alone.flags, &addr, prefix_length),
            ..alone
        }));
    }
    list.sort_by_key(|one| one.index);
    Ok(list)
}

fn without_address(adapter: &IP_ADAPTER_ADDRESSES_LH) -> udpr_interface {
    let (index, mut name, mut hardware) = (index(adapter), [0; 64], [0; 32]);
    let known = name_of(index);
    let bytes = known.iter().flatten().take_while(|byte| **byte != 0).take(name.len() - 1);
    name.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from as c_char);
    let hardware_len = (adapter.PhysicalAddressLength as usize).min(adapter.PhysicalAddress.len());
    hardware[..hardware_len].copy_from_slice(&adapter.PhysicalAddress[..hardware_len]);
    udpr_interface {
        size: 0,
        index,
        flags: flags(adapter),
        mtu: adapter.Mtu,
        prefix_length: 0,
        address: Addr::UNSPECIFIED,
        broadcast: Addr::UNSPECIFIED,
        hardware,
        hardware_len: hardware_len as _,
        reserved: 0,
        name,
    }
}

fn flags(adapter: &IP_ADAPTER_ADDRESSES_LH) -> u32 {
    // SAFETY: all members of the union are integers.
    let bits = unsafe { adapter.Anonymous2.Flags };
    let all = [
        (adapter.OperStatus == IfOperStatusUp, Flag::UDPR_INTERFACE_UP),
        (adapter.IfType == IF_TYPE_SOFTWARE_LOOPBACK, Flag::UDPR_INTERFACE_LOOPBACK),
        (bits & IP_ADAPTER_NO_MULTICAST == 0, Flag::UDPR_INTERFACE_MULTICAST),
        (
            [IF_TYPE_ETHERNET_CSMACD, IF_TYPE_IEEE80211].contains(&adapter.IfType),
            Flag::UDPR_INTERFACE_BROADCAST,
        ),
        ([IF_TYPE_PPP, IF_TYPE_TUNNEL].contains(&adapter.IfType), Flag::UDPR_INTERFACE_POINT_TO_POINT),
    ];
    all.into_iter().filter(|(is_set, _)| *is_set).fold(0, |flags, (_, flag)| flags | flag as u32)
}

/// The broadcast address of an IPv4 network; unspecified if it has none.
fn broadcast(flags: u32, addr: &Addr, prefix_length: u32) -> Addr {
    let is_shared = flags & Flag::UDPR_INTERFACE_BROADCAST as u32 != 0 && prefix_length < 31;
    match addr.bytes.first_chunk() {
        Some(v4) if is_shared && addr.family == family::INET => {
            let host_bits = u32::MAX >> prefix_length;
            Addr::v4((u32::from_be_bytes(*v4) | host_bits).to_be_bytes(), 0)
        }
        _ => Addr::UNSPECIFIED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_a_broadcast_address() {
        let shared = Flag::UDPR_INTERFACE_BROADCAST as u32;
        let addr = Addr::v4([10, 1, 2, 3], 0);
        assert_eq!(broadcast(shared, &addr, 22), Addr::v4([10, 1, 3, 255], 0));
        for (flags, prefix_length) in [(shared, 31), (0, 22)] {
            assert_eq!(broadcast(flags, &addr, prefix_length), Addr::UNSPECIFIED);
        }
    }

    #[test]
    fn the_loopback_interface_is_listed() {
        let list = list().expect("IP Helper");
        let lo = list.iter().find(|one| one.address == Addr::v4([127, 0, 0, 1], 0)).expect("loopback");
        assert_ne!(lo.index, 0);
        assert_ne!(lo.flags & Flag::UDPR_INTERFACE_LOOPBACK as u32, 0);
    }
}
