//! The structs of the header that carry addresses, datagrams and reports.

use super::status::{udpr_ns, udpr_status};
use std::ffi::{c_char, c_void};

/// An IP address and a UDP port. It has 32 bytes, and never changes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct udpr_addr {
    /// A udpr_family_code.
    pub family: u16,
    /// The port, in host byte order.
    pub port: u16,
    /// The interface's index for link-local IPv6, otherwise 0.
    pub scope_id: u32,
    /// IPv6: sin6_flowinfo, in network byte order.
    pub flow_info: u32,
    /// The address in network byte order. IPv4 uses the first four bytes; the others are zero. If all are zero, it is the
    /// unspecified address, 0.0.0.0 or "::": a port that listens on it receives what is sent to any address of this host.
    pub bytes: [u8; 16],
    /// Zero.
    pub reserved: u32,
}

/// A received datagram. The library fills it; fields are only ever appended.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct udpr_datagram {
    /// The size of this struct in bytes.
    pub size: usize,
    /// The payload. It is never NULL, and valid until the callback returns. It is not aligned, and no NUL follows it. It
    /// must not be written to: datagrams that are sent on may be sent from here after the callback has returned.
    pub data: *const u8,
    /// Bytes at data.
    pub len: usize,
    /// The length of the datagram as it was sent. It is more than len if UDPR_DATAGRAM_TRUNCATED is set.
    pub full_len: usize,
    /// The sender. On a dual-stack port an IPv4 sender is ::ffff:a.b.c.d.
    pub sender: udpr_addr,
    /// The destination, which may be a group or a broadcast address (UDPR_DATAGRAM_TO_MANY), in the form of the sender.
    /// UDPR_AF_UNSPEC without UDPR_UDP_PACKET_INFO.
    pub destination: udpr_addr,
    /// The interface that received it; 0 without UDPR_UDP_PACKET_INFO.
    pub interface_index: u32,
    /// Bits of udpr_datagram_flag.
    pub flags: u32,
    /// When the kernel received it, in nanoseconds since 1970; 0 without UDPR_UDP_TIMESTAMPS.
    pub timestamp: u64,
    /// The TOS byte or traffic class; -1 without UDPR_UDP_TOS.
    pub tos: i32,
    /// The TTL or hop limit; -1 without UDPR_UDP_TTL.
    pub ttl: i32,
}

/// A piece of a datagram. It never changes.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct udpr_bytes {
    /// It may be NULL if len is 0.
    pub data: *const c_void,
    /// Bytes at data.
    pub len: usize,
}

/// One datagram to be sent, with its options. If all fields but size, data, len and to are zero, the port's settings
/// are used. Messages that differ in source, interface, tos, ttl or send_at are not merged (GSO).
#[repr(C)]
#[derive(Clone, Copy)]
pub struct udpr_message {
    /// The size of this struct in bytes.
    pub size: usize,
    /// The payload. It may be NULL if len is 0.
    pub data: *const c_void,
    /// Bytes at data.
    pub len: usize,
    /// The destination; NULL on a connected port.
    pub to: *const udpr_addr,
    /// The local address to send from, whose port is ignored; NULL: the kernel chooses.
    pub source: *const udpr_addr,
    /// The interface to send by; 0: the kernel chooses. A port that is bound to a device cannot use another interface:
    /// see bind_device. Linux treats the interface as a preference, and may send by one with a better route, if the
    /// destination is an IPv6 unicast address that is not link-local and the source address is fixed: by `source`, by a
    /// connection, or because the port is bound to an address. bind_device is obeyed in that case, too.
    pub interface_index: u32,
    /// Bits of udpr_message_flag.
    pub flags: u32,
    /// The TOS byte or traffic class, with UDPR_MESSAGE_TOS.
    pub tos: u32,
    /// 0: one datagram. Otherwise the payload is cut into datagrams of this size, of which the last may be shorter.
    pub segment_size: u32,
    /// With UDPR_MESSAGE_PIECES, the payload: these pieces, one after the other. data and len must be zero. NULL if
    /// piece_count is 0, and without the flag.
    pub pieces: *const udpr_bytes,
    /// Pieces at pieces; 0 without UDPR_MESSAGE_PIECES.
    pub piece_count: usize,
    /// Zero.
    pub reserved: usize,
    /// With UDPR_MESSAGE_TTL, the TTL or hop limit: 1 to 255, or 0 for a group, which then stays on this host. Without
    /// the flag it must be 0.
    pub ttl: u32,
    /// Zero.
    pub reserved_2: u32,
    /// With UDPR_MESSAGE_SEND_AT, when the message should leave, as an instant of udpr_reactor_now; at most INT64_MAX.
    /// Without the flag it must be 0.
    pub send_at: udpr_ns,
    /// Any number, or 0. If the kernel refuses the datagram after UDPR_OK, error_received gets this number in
    /// udpr_error_report.tag, with a report for each such datagram.
    pub tag: u64,
}

/// An error about datagrams that were sent. One report may stand for all datagrams of a GSO send.
#[repr(C)]
pub struct udpr_error_report {
    /// The size of this struct in bytes.
    pub size: usize,
    /// UDPR_E_CONNECTION_REFUSED, _HOST_UNREACHABLE, _MESSAGE_TOO_LONG, _PERMISSION, ...
    pub status: udpr_status,
    /// A udpr_origin_code: our own kernel, or an ICMP message.
    pub origin: u32,
    /// The destination that failed.
    pub to: udpr_addr,
    /// The sender of the ICMP message; UDPR_AF_UNSPEC if there is none.
    pub reporter: udpr_addr,
    /// The type of the ICMP message, otherwise 0.
    pub icmp_type: u32,
    /// The code of the ICMP message, otherwise 0.
    pub icmp_code: u32,
    /// With UDPR_E_MESSAGE_TOO_LONG, the MTU of the datagram's path in bytes, all headers included, or 0 if it is not
    /// known. Otherwise 0.
    pub mtu: u32,
    /// Zero.
    pub reserved: u32,
    /// The part of the datagram that was returned. It is never NULL.
    pub data: *const u8,
    /// Bytes at data.
    pub len: usize,
    /// The tag of the udpr_message that was refused. 0 if it had none, for ICMP messages, and if only the error queue of
    /// the socket knows the datagram.
    pub tag: u64,
}

/// A record of the log.
#[repr(C)]
pub struct udpr_log_record {
    /// The size of this struct in bytes.
    pub size: usize,
    /// A udpr_log_code.
    pub level: u32,
    /// The status that it is about, or UDPR_OK.
    pub status: udpr_status,
    /// The part of the library that logs it: NUL-terminated UTF-8, valid during the call.
    pub target: *const c_char,
    /// The text: NUL-terminated UTF-8, valid during the call.
    pub message: *const c_char,
}

/// An address of a network interface, or an interface without addresses. The library fills it; fields are only ever appended.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct udpr_interface {
    /// The size of this struct in bytes.
    pub size: usize,
    /// The index of the interface.
    pub index: u32,
    /// Bits of udpr_interface_flag.
    pub flags: u32,
    /// The most bytes of a packet, with its IP header.
    pub mtu: u32,
    /// How many of the first bits of the address are the network's; 0 without an address.
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
