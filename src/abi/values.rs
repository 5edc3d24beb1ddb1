//! The structs of the header that carry addresses, datagrams and reports.

use super::status::udpr_status;
use std::ffi::{c_char, c_void};

/// An address and a UDP port. 32 bytes, fixed for ever.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct udpr_addr {
    /// udpr_family_code.
    pub family: u16,
    /// In host byte order.
    pub port: u16,
    /// Link-local IPv6: the interface's index, else 0.
    pub scope_id: u32,
    /// IPv6: sin6_flowinfo as it is, in network byte order.
    pub flow_info: u32,
    /// In network order; IPv4 in the first four, the rest zero.
    pub bytes: [u8; 16],
    /// Zero.
    pub reserved: u32,
}

/// A received datagram. The library fills it; fields are only ever appended.
#[repr(C)]
#[derive(Debug)]
pub struct udpr_datagram {
    /// Of this struct, in bytes.
    pub size: usize,
    /// Never NULL; valid until the callback returns. Not to be written to: what is sent on of it may leave from here once
    /// the callback has returned.
    pub data: *const u8,
    /// Bytes at data.
    pub len: usize,
    /// As it was sent; more than len where UDPR_DATAGRAM_TRUNCATED.
    pub full_len: usize,
    /// Who sent it. On a dual-stack port IPv4 senders are ::ffff:a.b.c.d.
    pub sender: udpr_addr,
    /// Where it was sent to (a group, too); UDPR_AF_UNSPEC without UDPR_UDP_PACKET_INFO.
    pub destination: udpr_addr,
    /// Where it came in; 0 without UDPR_UDP_PACKET_INFO.
    pub interface_index: u32,
    /// udpr_datagram_flag.
    pub flags: u32,
    /// The kernel's receive time, ns since 1970; 0 without UDPR_UDP_TIMESTAMPS.
    pub timestamp: u64,
    /// -1 without UDPR_UDP_TOS.
    pub tos: i32,
    /// -1 without UDPR_UDP_TTL.
    pub ttl: i32,
}

/// A piece of a datagram; fixed for ever.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct udpr_bytes {
    /// May be NULL where len is 0.
    pub data: *const c_void,
    /// Bytes at data.
    pub len: usize,
}

/// One write with everything that can be said of it; zeroed but for size: the port's settings.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct udpr_message {
    /// Of this struct, in bytes.
    pub size: usize,
    /// May be NULL where len is 0.
    pub data: *const c_void,
    /// Bytes at data.
    pub len: usize,
    /// NULL on a connected port.
    pub to: *const udpr_addr,
    /// Local address to send from (its port is ignored); NULL: the kernel chooses.
    pub source: *const udpr_addr,
    /// The interface to send by; 0: the kernel chooses. On a port that is bound to a device no other interface can be named:
    /// see bind_device. Linux takes it for a preference only, and may send by an interface with a better route, if the
    /// destination is an IPv6 unicast address that is not link-local and the source address is fixed: by `source`, by a
    /// connection, or since the port is bound to an address. bind_device holds then, too.
    pub interface_index: u32,
    /// udpr_message_flag.
    pub flags: u32,
    /// With UDPR_MESSAGE_TOS.
    pub tos: u32,
    /// 0: one datagram; else data is cut into datagrams of this size, the last may be short.
    pub segment_size: u32,
}

/// An error that the kernel has about what we sent: one may stand for a whole GSO send.
#[repr(C)]
pub struct udpr_error_report {
    /// Of this struct, in bytes.
    pub size: usize,
    /// UDPR_E_CONNECTION_REFUSED, _HOST_UNREACHABLE, _MESSAGE_TOO_LONG, _PERMISSION, ...
    pub status: udpr_status,
    /// udpr_origin_code: our own kernel, or an ICMP message.
    pub origin: u32,
    /// The destination that failed.
    pub to: udpr_addr,
    /// Who sent the ICMP message; UDPR_AF_UNSPEC where local.
    pub reporter: udpr_addr,
    /// Of the ICMP message, else 0.
    pub icmp_type: u32,
    /// Of the ICMP message, else 0.
    pub icmp_code: u32,
    /// With UDPR_E_MESSAGE_TOO_LONG the MTU of the path that the datagram would have taken, in bytes with all headers, or 0 if
    /// it cannot be known; with every other status 0.
    pub mtu: u32,
    /// Zero.
    pub reserved: u32,
    /// As much of the datagram as came back; never NULL.
    pub data: *const u8,
    /// Bytes at data.
    pub len: usize,
}

/// A line of the log.
#[repr(C)]
pub struct udpr_log_record {
    /// Of this struct, in bytes.
    pub size: usize,
    /// udpr_log_code.
    pub level: u32,
    /// What it is about, or UDPR_OK.
    pub status: udpr_status,
    /// The part that speaks: NUL-terminated UTF-8, valid during the call.
    pub target: *const c_char,
    /// NUL-terminated UTF-8, valid during the call.
    pub message: *const c_char,
}

/// An address of a network interface, or an interface without addresses. The library fills it; fields are only ever appended.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct udpr_interface {
    /// Of this struct, in bytes.
    pub size: usize,
    /// The index of the interface.
    pub index: u32,
    /// udpr_interface_flag.
    pub flags: u32,
    /// The most bytes of a packet, with its IP header.
    pub mtu: u32,
    /// Of the address: how many of its first bits are the network's; 0 without an address.
    pub prefix_length: u32,
    /// Its port is 0, and its scope_id is filled in; UDPR_AF_UNSPEC for an interface without addresses.
    pub address: udpr_addr,
    /// The broadcast address, or the peer of a point-to-point interface; UDPR_AF_UNSPEC without one.
    pub broadcast: udpr_addr,
    /// The hardware address.
    pub hardware: [u8; 32],
    /// Bytes at hardware: 6 for Ethernet, 0 without a hardware address.
    pub hardware_len: u32,
    /// Zero.
    pub reserved: u32,
    /// NUL-terminated.
    pub name: [c_char; 64],
}
