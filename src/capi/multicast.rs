//! Chapter "multicast".

use super::guard::*;
use super::ptr::{self, HandleRef, Out};
use crate::abi::*;

/// Sets the TTL or hop limit of datagrams that are sent to groups: 0 (this host) to 255. The default is 1, the local
/// network. On a dual-stack port it is that of IPv4 and IPv6. For other datagrams see udpr_transport_set_unicast_ttl.
///
/// Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT; UDPR_E_CLOSED; another status of the system.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_set_ttl(transport: *mut udpr_transport, ttl: u32) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let transport = unsafe { HandleRef::new(transport) };
    status(with_port(transport, |port| port.set_ttl(ttl)))
}

/// Gets the TTL or hop limit for groups. On a dual-stack port it is that of IPv6.
///
/// Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT; UDPR_E_CLOSED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_get_ttl(
    transport: *const udpr_transport,
    out: *mut u32,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (transport, out) = (unsafe { HandleRef::new(transport) }, unsafe { Out::new(out) });
    status(with_port(transport, |port| out.give("out", port.get_ttl()?)))
}

/// Sets whether datagrams that this port sends to groups are also received by the ports of this host, including itself.
/// By default they are.
///
/// Returns: UDPR_OK; UDPR_E_CLOSED; another status of the system.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_set_loopback_mode(
    transport: *mut udpr_transport,
    on: udpr_bool,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let transport = unsafe { HandleRef::new(transport) };
    status(with_port(transport, |port| port.set_loopback_mode(on != 0)))
}

/// Gets whether datagrams to groups are received by this host, too: 1 or 0.
///
/// Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT; UDPR_E_CLOSED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_get_loopback_mode(
    transport: *const udpr_transport,
    out: *mut udpr_bool,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (transport, out) = (unsafe { HandleRef::new(transport) }, unsafe { Out::new(out) });
    status(with_port(transport, |port| out.give("out", port.get_loopback_mode()?.into())))
}

/// Sets the interface by which datagrams to groups are sent (udpr_interface_index finds it). 0, the default, leaves the
/// choice to the system. Over IPv4 they also get that interface's first address as their source. If the address is
/// removed (by DHCP, or in another network), they get the address that the interface has then. A port that is connected
/// to a group keeps the address of the connection until it is connected again; an address that another interface of
/// this host has taken over is kept until this is called again. The index is one of the network namespace of the port's
/// socket. If the interface is removed, writes to groups fail until another one is set.
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

/// Gets the interface that was set.
///
/// Returns: UDPR_OK; UDPR_E_INVALID_ARGUMENT; UDPR_E_CLOSED.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn udpr_transport_get_outgoing_interface(
    transport: *const udpr_transport,
    out: *mut u32,
) -> udpr_status {
    // SAFETY: the caller's pointers are valid as the head of the header requires.
    let (transport, out) = (unsafe { HandleRef::new(transport) }, unsafe { Out::new(out) });
    status(with_port(transport, |port| out.give("out", port.get_outgoing_interface()?)))
}

/// Joins a group, whose port is ignored, on an interface. Interface 0 means the interface of the group's zone
/// (ff02::1%eth0), otherwise the device that the port is bound to, otherwise the interface of the system's present
/// route to the group. Any port may join. From its first join on it receives only the groups that it joined, each from
/// the interfaces on which it joined it. On a dual-stack port the IPv4 group 228.0.0.5 is ::ffff:228.0.0.5
/// (udpr_addr_map_v4).
///
/// Linux does not check the interface of IPv6 datagrams, so the port does: datagrams of a group that it joined on other
/// interfaces are not delivered, and are counted in discarded_in.
///
/// A membership stays on its interface when routes, addresses or names change. It ends when the interface is removed:
/// then the group can be joined again by interface 0 without leaving it first. If a new interface gets the index of the
/// former one, the group has to be left first.
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
        let group = ptr::required(group, "group")?;
        port.join_group(group, None, interface_index)
    }))
}

/// Leaves a group, named as it was joined, or by the interface on which it was joined. Interface 0 means what was
/// joined by interface 0, whatever the routes are now. A port that stops leaves its groups; what an adopted socket had
/// joined before stays joined.
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
        let group = ptr::required(group, "group")?;
        port.leave_group(group, None, interface_index)
    }))
}

/// Joins a group for the datagrams of one source (RFC 4607). Call it again for each further source. A further source of
/// an IPv6 group by interface 0 is joined on the interface of the others. Linux uses one membership of a socket in an
/// IPv6 group to decide whether a source is wanted: to receive different sources of one IPv6 group on several
/// interfaces, use a port for each interface. Otherwise it is as udpr_transport_join_group.
///
/// Returns: as udpr_transport_join_group.
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
        let group = ptr::required(group, "group")?;
        let source = ptr::required(source, "source")?;
        port.join_group(group, Some(source), interface_index)
    }))
}

/// Leaves one source of a group, and with the last source the group. Otherwise it is as udpr_transport_leave_group.
///
/// Returns: as udpr_transport_leave_group.
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
        let group = ptr::required(group, "group")?;
        let source = ptr::required(source, "source")?;
        port.leave_group(group, Some(source), interface_index)
    }))
}
