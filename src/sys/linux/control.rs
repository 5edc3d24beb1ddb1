//! The control data of Linux: cmsg(3), ip(7), ipv6(7), socket(7), udp(7).

use crate::sys::cmsg::Layout;
use crate::sys::recv_meta::{ABSENT, Kinds};
use libc::{IPPROTO_IP, IPPROTO_IPV6, SOL_SOCKET, SOL_UDP};

/// The layout: a size_t, and everything aligned to one.
pub(in crate::sys) const LAYOUT: Layout = Layout { length: size_of::<usize>(), align: size_of::<usize>() };

/// What it has.
pub(in crate::sys) const KINDS: Kinds = Kinds {
    packet_info_v4: (IPPROTO_IP, libc::IP_PKTINFO),
    packet_info_v6: (IPPROTO_IPV6, libc::IPV6_PKTINFO),
    destination_v4: ABSENT,
    interface_v4: ABSENT,
    tos: [(IPPROTO_IP, libc::IP_TOS), (IPPROTO_IPV6, libc::IPV6_TCLASS)],
    ttl: [(IPPROTO_IP, libc::IP_TTL), (IPPROTO_IPV6, libc::IPV6_HOPLIMIT)],
    timespec: (SOL_SOCKET, libc::SO_TIMESTAMPNS),
    timeval: ABSENT,
    merged: (SOL_UDP, libc::UDP_GRO),
    send_tos: [(IPPROTO_IP, libc::IP_TOS), (IPPROTO_IPV6, libc::IPV6_TCLASS)],
    send_ttl: [(IPPROTO_IP, libc::IP_TTL), (IPPROTO_IPV6, libc::IPV6_HOPLIMIT)],
    send_at: (SOL_SOCKET, libc::SCM_TXTIME),
    short_info: false,
    short_tos: false,
};
