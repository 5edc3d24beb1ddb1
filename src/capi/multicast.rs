//! Chapter "transport: IMulticastTransport".

use super::guard::*;
use super::ptr::{self, Lent, Out};
use super::types::*;
use crate::status::Status;

/// The TTL or hop limit of datagrams to groups, 0 (this host) to 255, else UDPR_E_INVALID_ARGUMENT; at first 1, the local
/// network. On a dual-stack port for IPv4 and IPv6.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_set_ttl(transport: *mut udpr_transport, ttl: u32) -> udpr_status {
    // SAFETY: the caller promises of its pointers what the head of the header says.
    let transport = unsafe { Lent::new(transport) };
    status(with_port(transport, |port| port.set_ttl(ttl)))
}

/// As it was set. On a dual-stack port that of IPv6.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_get_ttl(
    transport: *const udpr_transport,
    out: *mut u32,
) -> udpr_status {
    // SAFETY: the caller promises of its pointers what the head of the header says.
    let (transport, out) = (unsafe { Lent::new(transport) }, unsafe { Out::new(out) });
    status(with_port(transport, |port| out.give(port.get_ttl()?)))
}

/// Whether what this port sends to groups comes to ports of this host, too, its own among them; at first it does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_set_loopback_mode(
    transport: *mut udpr_transport,
    on: udpr_bool,
) -> udpr_status {
    // SAFETY: the caller promises of its pointers what the head of the header says.
    let transport = unsafe { Lent::new(transport) };
    status(with_port(transport, |port| port.set_loopback_mode(on != 0)))
}

/// 1 or 0, as it was set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_get_loopback_mode(
    transport: *const udpr_transport,
    out: *mut udpr_bool,
) -> udpr_status {
    // SAFETY: the caller promises of its pointers what the head of the header says.
    let (transport, out) = (unsafe { Lent::new(transport) }, unsafe { Out::new(out) });
    status(with_port(transport, |port| out.give(port.get_loopback_mode()?.into())))
}

/// The interface that datagrams to groups leave by (udpr_interface_index finds it); 0: the system's choice, as at first.
/// IPv4: they also leave with that interface's first address (by the index alone the kernel takes another's).
/// UDPR_E_NO_INTERFACE.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_set_outgoing_interface(
    transport: *mut udpr_transport,
    interface_index: u32,
) -> udpr_status {
    // SAFETY: the caller promises of its pointers what the head of the header says.
    let transport = unsafe { Lent::new(transport) };
    status(with_port(transport, |port| port.set_outgoing_interface(interface_index)))
}

/// As it was set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_get_outgoing_interface(
    transport: *const udpr_transport,
    out: *mut u32,
) -> udpr_status {
    // SAFETY: the caller promises of its pointers what the head of the header says.
    let (transport, out) = (unsafe { Lent::new(transport) }, unsafe { Out::new(out) });
    status(with_port(transport, |port| out.give(port.get_outgoing_interface()?)))
}

/// Joins a group (whose port does not matter) on an interface; 0: that of the group's zone (ff02::1%eth0), else the
/// system's choice, by its route to the group. Any port may join; from its first join on it receives only the groups it
/// joined. On a dual-stack port the IPv4 group 228.0.0.5 is ::ffff:228.0.0.5 (udpr_addr_map_v4).
///
/// UDPR_E_NOT_MULTICAST, UDPR_E_NO_INTERFACE, UDPR_E_ADDRESS_FAMILY; UDPR_E_ALREADY_JOINED, also where chosen sources of
/// the group were joined there: leave them first. Linux lets a socket join 20 IPv4 groups, then UDPR_E_SYSTEM - ENOBUFS.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_join_group(
    transport: *mut udpr_transport,
    group: *const udpr_addr,
    interface_index: u32,
) -> udpr_status {
    // SAFETY: the caller promises of its pointers what the head of the header says.
    let (transport, group) = (unsafe { Lent::new(transport) }, unsafe { ptr::target(group) });
    status(with_port(transport, |port| {
        let group = group.ok_or(Status::INVALID_ARGUMENT)?;
        port.join_group(group, None, interface_index)
    }))
}

/// Leaves a group, named as it was joined. UDPR_E_NOT_JOINED, UDPR_E_NO_INTERFACE, UDPR_E_NOT_MULTICAST,
/// UDPR_E_ADDRESS_FAMILY. A port that stops leaves its groups by itself.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_leave_group(
    transport: *mut udpr_transport,
    group: *const udpr_addr,
    interface_index: u32,
) -> udpr_status {
    // SAFETY: the caller promises of its pointers what the head of the header says.
    let (transport, group) = (unsafe { Lent::new(transport) }, unsafe { ptr::target(group) });
    status(with_port(transport, |port| {
        let group = group.ok_or(Status::INVALID_ARGUMENT)?;
        port.leave_group(group, None, interface_index)
    }))
}

/// Joins a group for what `source` sends to it (RFC 4607); again for each further source. Otherwise as
/// udpr_transport_join_group.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_join_source_group(
    transport: *mut udpr_transport,
    group: *const udpr_addr,
    source: *const udpr_addr,
    interface_index: u32,
) -> udpr_status {
    // SAFETY: the caller promises of its pointers what the head of the header says.
    let (transport, group, source) =
        (unsafe { Lent::new(transport) }, unsafe { ptr::target(group) }, unsafe { ptr::target(source) });
    status(with_port(transport, |port| {
        let group = group.ok_or(Status::INVALID_ARGUMENT)?;
        let source = source.ok_or(Status::INVALID_ARGUMENT)?;
        port.join_group(group, Some(source), interface_index)
    }))
}

/// Leaves one source of a group; with the last one, the group. Otherwise as udpr_transport_leave_group.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_leave_source_group(
    transport: *mut udpr_transport,
    group: *const udpr_addr,
    source: *const udpr_addr,
    interface_index: u32,
) -> udpr_status {
    // SAFETY: the caller promises of its pointers what the head of the header says.
    let (transport, group, source) =
        (unsafe { Lent::new(transport) }, unsafe { ptr::target(group) }, unsafe { ptr::target(source) });
    status(with_port(transport, |port| {
        let group = group.ok_or(Status::INVALID_ARGUMENT)?;
        let source = source.ok_or(Status::INVALID_ARGUMENT)?;
        port.leave_group(group, Some(source), interface_index)
    }))
}
