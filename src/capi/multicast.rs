//! Chapter "transport: IMulticastTransport".

use super::guard::*;
use super::ptr::{self, HandleRef, Out};
use crate::abi::*;
use crate::status::Status;

/// The TTL or hop limit of datagrams to groups, 0 (this host) to 255, else UDPR_E_INVALID_ARGUMENT; at first 1, the local
/// network. On a dual-stack port for IPv4 and IPv6.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_set_ttl(transport: *mut udpr_transport, ttl: u32) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let transport = unsafe { HandleRef::new(transport) };
    status(with_port(transport, |port| port.set_ttl(ttl)))
}

/// As it was set. On a dual-stack port that of IPv6.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_get_ttl(
    transport: *const udpr_transport,
    out: *mut u32,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (transport, out) = (unsafe { HandleRef::new(transport) }, unsafe { Out::new(out) });
    status(with_port(transport, |port| out.give(port.get_ttl()?)))
}

/// Whether what this port sends to groups comes to ports of this host, too, its own among them; at first it does.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_set_loopback_mode(
    transport: *mut udpr_transport,
    on: udpr_bool,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let transport = unsafe { HandleRef::new(transport) };
    status(with_port(transport, |port| port.set_loopback_mode(on != 0)))
}

/// 1 or 0, as it was set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_get_loopback_mode(
    transport: *const udpr_transport,
    out: *mut udpr_bool,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (transport, out) = (unsafe { HandleRef::new(transport) }, unsafe { Out::new(out) });
    status(with_port(transport, |port| out.give(port.get_loopback_mode()?.into())))
}

/// Sets the interface that datagrams to groups leave by (udpr_interface_index finds it); 0, the default, leaves the choice to
/// the system. Over IPv4 they also leave with that interface's first address. When that is taken away (DHCP, another
/// network), they leave with the one that the interface has then (a port that is connected to a group keeps the address that
/// the connection found until it is connected again); an address that another interface of this host has taken over is kept
/// until this is called again. The index is one of the network namespace that the port's socket is in. If the
/// interface is removed, writes to groups fail until another one is set.
///
/// Returns: UDPR_OK; UDPR_E_NO_INTERFACE if there is no such interface; UDPR_E_INVALID_ARGUMENT if the port is bound to another
/// device; UDPR_E_CLOSED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_set_outgoing_interface(
    transport: *mut udpr_transport,
    interface_index: u32,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let transport = unsafe { HandleRef::new(transport) };
    status(with_port(transport, |port| port.set_outgoing_interface(interface_index)))
}

/// As it was set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_get_outgoing_interface(
    transport: *const udpr_transport,
    out: *mut u32,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (transport, out) = (unsafe { HandleRef::new(transport) }, unsafe { Out::new(out) });
    status(with_port(transport, |port| out.give(port.get_outgoing_interface()?)))
}

/// Joins a group (whose port does not matter) on an interface. Interface 0 means that of the group's zone (ff02::1%eth0), else
/// the device that the port is bound to, else the one that the system's route to the group leads to at this moment. Any port
/// may join; from its first join on it receives only the groups it joined, each from the interfaces that it joined it on. On a
/// dual-stack port the IPv4 group 228.0.0.5 is ::ffff:228.0.0.5 (udpr_addr_map_v4).
///
/// Linux does not look at the interface of IPv6 datagrams, so the port does: those of a group that it joined on other
/// interfaces are not delivered, and counted in discarded_in.
///
/// A membership stays on its interface when routes, addresses or names change. It ends when the interface is removed: the
/// group can then be joined again, by interface 0 without leaving it first. If a new interface gets the index of the former
/// one, the group has to be left first.
///
/// Returns: UDPR_OK; UDPR_E_NOT_MULTICAST; UDPR_E_NO_INTERFACE, also if interface 0 is given and there is no route;
/// UDPR_E_ADDRESS_FAMILY; UDPR_E_ALREADY_JOINED, also if chosen sources of the group were joined there (leave them first) and,
/// for an IPv6 group and interface 0, if it was joined on any interface; UDPR_E_SYSTEM - ENOBUFS for more than the 20 IPv4
/// groups that Linux lets a socket join.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_join_group(
    transport: *mut udpr_transport,
    group: *const udpr_addr,
    interface_index: u32,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (transport, group) = (unsafe { HandleRef::new(transport) }, unsafe { ptr::target(group) });
    status(with_port(transport, |port| {
        let group = group.ok_or(Status::INVALID_ARGUMENT)?;
        port.join_group(group, None, interface_index)
    }))
}

/// Leaves a group, named as it was joined, or by the interface that it was joined on: interface 0 means what was joined by
/// interface 0, wherever the routes lead to now. A port that stops leaves its groups by itself; what an adopted socket had
/// joined before stays.
///
/// Returns: UDPR_OK; UDPR_E_NOT_JOINED, also if another holder of an adopted socket has left the group; UDPR_E_NO_INTERFACE
/// if it was not joined and there is no such interface; UDPR_E_NOT_MULTICAST; UDPR_E_ADDRESS_FAMILY.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_leave_group(
    transport: *mut udpr_transport,
    group: *const udpr_addr,
    interface_index: u32,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (transport, group) = (unsafe { HandleRef::new(transport) }, unsafe { ptr::target(group) });
    status(with_port(transport, |port| {
        let group = group.ok_or(Status::INVALID_ARGUMENT)?;
        port.leave_group(group, None, interface_index)
    }))
}

/// Joins a group for what `source` sends to it (RFC 4607); it is called again for each further source. Otherwise as
/// udpr_transport_join_group. A further source of an IPv6 group by interface 0 is joined where the others were. Linux looks at
/// one membership of a socket in an IPv6 group to decide whether a source is wanted: to receive different sources of one IPv6
/// group on several interfaces, use a port for each interface.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_join_source_group(
    transport: *mut udpr_transport,
    group: *const udpr_addr,
    source: *const udpr_addr,
    interface_index: u32,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (transport, group, source) =
        (unsafe { HandleRef::new(transport) }, unsafe { ptr::target(group) }, unsafe { ptr::target(source) });
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
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (transport, group, source) =
        (unsafe { HandleRef::new(transport) }, unsafe { ptr::target(group) }, unsafe { ptr::target(source) });
    status(with_port(transport, |port| {
        let group = group.ok_or(Status::INVALID_ARGUMENT)?;
        let source = source.ok_or(Status::INVALID_ARGUMENT)?;
        port.leave_group(group, Some(source), interface_index)
    }))
}
