//! The options that ports manage themselves.

use libc::{IPPROTO_IP, IPPROTO_IPV6, SOL_SOCKET, SOL_UDP};

/// By level: options that ports rely on, or set as their flags and functions say.
const MANAGED: [(i32, &[i32]); 4] = [
    (SOL_UDP, &[libc::UDP_GRO, libc::UDP_SEGMENT]),
    (
        SOL_SOCKET,
        &[
            // Reading it would take away an error that connection_refused has to report.
            libc::SO_ERROR,
            libc::SO_BROADCAST,
            libc::SO_TIMESTAMP,
            libc::SO_TIMESTAMPNS,
            libc::SO_TIMESTAMPING,
            libc::SO_TXTIME,
        ],
    ),
    (
        IPPROTO_IP,
        &[
            libc::IP_RECVERR,
            libc::IP_PKTINFO,
            libc::IP_RECVTOS,
            libc::IP_RECVTTL,
            libc::IP_MULTICAST_IF,
            libc::IP_ADD_MEMBERSHIP,
            libc::IP_DROP_MEMBERSHIP,
            libc::IP_ADD_SOURCE_MEMBERSHIP,
            libc::IP_DROP_SOURCE_MEMBERSHIP,
            libc::IP_BLOCK_SOURCE,
            libc::IP_UNBLOCK_SOURCE,
            libc::IP_MSFILTER,
            libc::MCAST_JOIN_GROUP,
            libc::MCAST_LEAVE_GROUP,
            libc::MCAST_JOIN_SOURCE_GROUP,
            libc::MCAST_LEAVE_SOURCE_GROUP,
            libc::MCAST_BLOCK_SOURCE,
            libc::MCAST_UNBLOCK_SOURCE,
            libc::MCAST_MSFILTER,
        ],
    ),
    (
        IPPROTO_IPV6,
        &[
            // It would turn an IPv6 socket into an IPv4 one.
            libc::IPV6_ADDRFORM,
            libc::IPV6_RECVERR,
            libc::IPV6_PKTINFO,
            libc::IPV6_RECVPKTINFO,
            libc::IPV6_2292PKTINFO,
            libc::IPV6_RECVTCLASS,
            libc::IPV6_RECVHOPLIMIT,
            libc::IPV6_2292HOPLIMIT,
            libc::IPV6_MULTICAST_IF,
            libc::IPV6_ADD_MEMBERSHIP,
            libc::IPV6_DROP_MEMBERSHIP,
            libc::MCAST_JOIN_GROUP,
            libc::MCAST_LEAVE_GROUP,
            libc::MCAST_JOIN_SOURCE_GROUP,
            libc::MCAST_LEAVE_SOURCE_GROUP,
            libc::MCAST_BLOCK_SOURCE,
            libc::MCAST_UNBLOCK_SOURCE,
            libc::MCAST_MSFILTER,
        ],
    ),
];

/// True if ports manage the option with these numbers themselves: nobody else may read or change it.
pub fn is_managed(level: i32, name: i32) -> bool {
    MANAGED.iter().any(|(its, names)| *its == level && names.contains(&name))
}
