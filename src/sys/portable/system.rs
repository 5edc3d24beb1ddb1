//! The numbers and layouts in which systems differ, as their headers have them: Linux, FreeBSD, macOS, Windows. Code that uses
//! them takes them from [`SYSTEM`], or as a parameter, so that every system's are tested on Linux.

use crate::sys::cmsg::Layout;
use crate::sys::recv_meta::{ABSENT, Kind, Kinds};
use crate::sys::sockaddr::Format;

/// The system that this is compiled for.
pub(super) const SYSTEM: System = if cfg!(target_os = "linux") {
    LINUX
} else if cfg!(target_os = "freebsd") {
    FREEBSD
} else if cfg!(windows) {
    WINDOWS
} else {
    MACOS
};

/// A system.
pub(super) struct System {
    pub(super) sockaddr: Format,
    pub(super) layout: Layout,
    pub(super) kinds: Kinds,
    pub(super) numbers: Numbers,
}

/// The level and the name of socket options. Pairs are for IPv4 and IPv6.
pub(super) struct Numbers {
    pub(super) broadcast: Kind,
    pub(super) reuse_address: Kind,
    /// Forbids other sockets the port number even if they have [`Numbers::reuse_address`]. A socket cannot have both.
    pub(super) exclusive_address: Kind,
    /// Distributes datagrams among the sockets.
    pub(super) reuse_port: Kind,
    pub(super) v6_only: Kind,
    pub(super) receive_buffer: Kind,
    pub(super) send_buffer: Kind,
    /// The sizes of buffers are reported twice as large as they were set.
    pub(super) doubles_buffers: bool,
    pub(super) timestamps: Kind,
    pub(super) packet_info: [Kind; 2],
    pub(super) receive_tos: [Kind; 2],
    pub(super) receive_ttl: [Kind; 2],
    pub(super) dont_fragment: [Kind; 2],
    /// The values of `dont_fragment`: off and on.
    pub(super) fragment_values: [i32; 2],
    pub(super) unicast_ttl: [Kind; 2],
    pub(super) multicast_ttl: [Kind; 2],
    pub(super) multicast_loop: [Kind; 2],
    pub(super) multicast_interface: [Kind; 2],
    /// Off: a socket receives only the groups that it has joined. A system without the option always does that.
    pub(super) multicast_all: [Kind; 2],
    /// The protocol of a socket.
    #[cfg_attr(windows, expect(dead_code, reason = "it reports all of it in one option"))]
    pub(super) protocol: Kind,
    /// The names of the options that join and leave groups: of both versions, of IPv4, of IPv6.
    pub(super) groups: &'static [i32],
    pub(super) groups_v4: &'static [i32],
    pub(super) groups_v6: &'static [i32],
}

/// IPPROTO_IP, IPPROTO_IPV6 and IPPROTO_UDP.
pub(super) const IP: i32 = 0;
pub(super) const IPV6: i32 = 41;
pub(super) const UDP: i32 = 17;

/// An option of the same name in both versions' numbering.
const fn pair(v4: i32, v6: i32) -> [Kind; 2] {
    [(IP, v4), (IPV6, v6)]
}

const NONE: [Kind; 2] = [ABSENT; 2];

/// Numbers that are the same on BSD, macOS and Windows.
const COMMON: Numbers = Numbers {
    broadcast: (0xffff, 0x20),
    reuse_address: (0xffff, 4),
    exclusive_address: ABSENT,
    reuse_port: ABSENT,
    v6_only: (IPV6, 27),
    receive_buffer: (0xffff, 0x1002),
    send_buffer: (0xffff, 0x1001),
    doubles_buffers: false,
    timestamps: ABSENT,
    packet_info: NONE,
    receive_tos: NONE,
    receive_ttl: NONE,
    dont_fragment: NONE,
    fragment_values: [0, 1],
    unicast_ttl: pair(4, 4),
    multicast_ttl: pair(10, 10),
    multicast_loop: pair(11, 11),
    multicast_interface: pair(9, 9),
    multicast_all: NONE,
    protocol: ABSENT,
    // MCAST_JOIN_GROUP to MCAST_UNBLOCK_SOURCE; IP_ADD_MEMBERSHIP and the others.
    groups: &[80, 81, 82, 83, 84, 85],
    groups_v4: &[12, 13, 70, 71, 72, 73],
    groups_v6: &[12, 13],
};

/// linux/in.h, linux/in6.h, asm-generic/socket.h.
const LINUX: System = System {
    sockaddr: Format { inet: 2, inet6: 10, has_len: false },
    layout: Layout { length: size_of::<usize>(), align: size_of::<usize>() },
    kinds: Kinds {
        packet_info_v4: (IP, 8),
        packet_info_v6: (IPV6, 50),
        destination_v4: ABSENT,
        interface_v4: ABSENT,
        tos: pair(1, 67),
        ttl: pair(2, 52),
        timespec: (1, 35),
        timeval: ABSENT,
        merged: ABSENT,
        send_tos: pair(1, 67),
        send_ttl: pair(2, 52),
        send_at: ABSENT,
        short_info: false,
        short_tos: false,
    },
    numbers: Numbers {
        broadcast: (1, 6),
        reuse_address: (1, 2),
        exclusive_address: ABSENT,
        reuse_port: (1, 15),
        v6_only: (IPV6, 26),
        receive_buffer: (1, 8),
        send_buffer: (1, 7),
        doubles_buffers: true,
        timestamps: (1, 35),
        packet_info: pair(8, 49),
        receive_tos: pair(13, 66),
        receive_ttl: pair(12, 51),
        dont_fragment: pair(10, 23),
        // IP_PMTUDISC_WANT and IP_PMTUDISC_PROBE.
        fragment_values: [1, 3],
        unicast_ttl: pair(2, 16),
        multicast_ttl: pair(33, 18),
        multicast_loop: pair(34, 19),
        multicast_interface: pair(32, 17),
        multicast_all: pair(49, 29),
        protocol: (1, 38),
        groups: &[42, 43, 44, 45, 46, 47, 48],
        groups_v4: &[35, 36, 37, 38, 39, 40, 41],
        groups_v6: &[20, 21],
    },
};

/// netinet/in.h, netinet6/in6.h, sys/socket.h. IPv4 has no control data for the TTL of a datagram that is sent.
const FREEBSD: System = System {
    sockaddr: Format { inet: 2, inet6: 28, has_len: true },
    layout: Layout { length: 4, align: size_of::<usize>() },
    kinds: Kinds {
        packet_info_v4: ABSENT,
        packet_info_v6: (IPV6, 46),
        destination_v4: (IP, 7),
        interface_v4: (IP, 20),
        tos: pair(68, 61),
        ttl: pair(65, 47),
        timespec: ABSENT,
        timeval: (0xffff, 2),
        merged: ABSENT,
        send_tos: pair(3, 61),
        send_ttl: [ABSENT, (IPV6, 47)],
        send_at: ABSENT,
        short_info: false,
        short_tos: true,
    },
    numbers: Numbers {
        reuse_port: (0xffff, 0x10000),
        timestamps: (0xffff, 0x400),
        packet_info: pair(7, 36),
        receive_tos: pair(68, 57),
        receive_ttl: pair(65, 37),
        dont_fragment: pair(67, 62),
        protocol: (0xffff, 0x1016),
        ..COMMON
    },
};

/// The same headers, with the numbers of RFC 3542.
const MACOS: System = System {
    sockaddr: Format { inet: 2, inet6: 30, has_len: true },
    layout: Layout { length: 4, align: 4 },
    kinds: Kinds {
        packet_info_v4: (IP, 26),
        packet_info_v6: (IPV6, 46),
        destination_v4: ABSENT,
        interface_v4: ABSENT,
        tos: pair(27, 36),
        ttl: pair(24, 47),
        timespec: ABSENT,
        timeval: (0xffff, 2),
        merged: ABSENT,
        send_tos: pair(3, 36),
        send_ttl: [ABSENT, (IPV6, 47)],
        send_at: ABSENT,
        short_info: false,
        short_tos: false,
    },
    numbers: Numbers {
        timestamps: (0xffff, 0x400),
        packet_info: pair(26, 61),
        receive_tos: pair(27, 35),
        receive_ttl: pair(24, 37),
        dont_fragment: pair(28, 62),
        ..COMMON
    },
};

/// ws2ipdef.h and ws2def.h. It reports TOS and TTL by the names of the options that set them, or by those that ask for them.
const WINDOWS: System = System {
    sockaddr: Format { inet: 2, inet6: 23, has_len: false },
    layout: Layout { length: size_of::<usize>(), align: size_of::<usize>() },
    kinds: Kinds {
        packet_info_v4: (IP, 19),
        packet_info_v6: (IPV6, 19),
        destination_v4: ABSENT,
        interface_v4: ABSENT,
        tos: pair(3, 39),
        ttl: pair(4, 21),
        timespec: ABSENT,
        timeval: ABSENT,
        merged: ABSENT,
        // Winsock documents none, and Wine ignores those that other systems have.
        send_tos: NONE,
        send_ttl: NONE,
        send_at: ABSENT,
        short_info: true,
        short_tos: false,
    },
    numbers: Numbers {
        exclusive_address: (0xffff, -5),
        packet_info: pair(19, 19),
        receive_tos: pair(40, 40),
        receive_ttl: pair(21, 21),
        dont_fragment: pair(14, 14),
        // MCAST_BLOCK_SOURCE is 43, and IP_ADD_SOURCE_MEMBERSHIP 15.
        groups: &[41, 42, 43, 44, 45, 46],
        groups_v4: &[12, 13, 15, 16, 17, 18],
        ..COMMON
    },
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::addr::Addr;
    use crate::sys::cmsg::{Control, Item, items};
    use crate::sys::datagrams::{Datagram, TO_MANY};

    const ALL: [System; 4] = [LINUX, FREEBSD, MACOS, WINDOWS];
    const V4: Addr = Addr::v4([10, 0, 0, 1], 53);
    const V6: Addr = Addr::v6([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1], 53, 0);

    fn read(system: &System, from: Addr, values: &[(Kind, &[u8])]) -> Datagram {
        let mut datagram = Datagram::empty(from);
        for ((level, kind), value) in values {
            system.kinds.read(&mut datagram, &Item { level: *level, kind: *kind, value }, 53);
        }
        datagram
    }

    #[test]
    fn packet_info_of_ipv4() {
        let (index, ip) = (7u32.to_ne_bytes(), [10, 0, 0, 1]);
        let long = [index, ip, ip].concat();
        // struct sockaddr_dl: length, family, index.
        let link = [[54, 18], 7u16.to_ne_bytes()].concat();
        let received: [&[(Kind, &[u8])]; 4] = [
            &[((0, 8), &long)],
            &[((0, 7), &ip), ((0, 20), &link)],
            &[((0, 26), &long)],
            &[((0, 19), &[ip, index].concat())],
        ];
        for (system, values) in ALL.iter().zip(received) {
            let datagram = read(system, V4, values);
            assert_eq!((datagram.destination, datagram.interface_index), (V4, 7));
            assert_eq!(datagram.flags & TO_MANY, 0);
        }
    }

    #[test]
    fn groups_are_to_many() {
        let ip = [239, 0, 0, 1];
        let info = [ip, [0; 4]].concat();
        for (system, kind, value) in [(FREEBSD, (0, 7), &ip[..]), (WINDOWS, (0, 19), &info)] {
            assert_eq!(read(&system, V4, &[(kind, value)]).flags & TO_MANY, TO_MANY);
        }
    }

    #[test]
    fn a_source_that_is_sent_is_the_destination_that_is_received() {
        for system in &ALL {
            for (addr, over_v6) in [(V4, false), (V6, true)] {
                let mut control = Control::EMPTY;
                system.kinds.add_source(&mut control, over_v6, addr.bytes, 0).expect("known");
                let item = items(control.bytes()).next().expect("an item");
                // Linux and macOS receive the destination behind the address that is sent from.
                let is_long = item.value.len() == 12;
                let value: Vec<u8> =
                    if is_long { [&item.value[..8], &item.value[4..8]].concat() } else { item.value.into() };
                let datagram = read(system, addr, &[((item.level, item.kind), &value)]);
                assert_eq!(datagram.destination, addr);
            }
            let by_interface = system.kinds.add_source(&mut { Control::EMPTY }, false, V4.bytes, 3);
            assert_eq!(by_interface.is_some(), system.kinds.packet_info_v4 != ABSENT);
        }
    }

    #[test]
    fn tos_and_ttl_of_both_versions() {
        for system in &ALL {
            for version in 0..2 {
                let (tos, ttl) = (184i32.to_ne_bytes(), 64i32.to_ne_bytes());
                let (kinds, over_v6) = (&system.kinds, version == 1);
                let datagram = read(system, V4, &[(kinds.tos[version], &tos), (kinds.ttl[version], &ttl)]);
                assert_eq!((datagram.tos, datagram.ttl), (184, 64));
                let mut control = Control::EMPTY;
                let with_tos = kinds.add_numbers(&mut control, over_v6, Some(184), None);
                assert_eq!(with_tos.is_some(), kinds.send_tos[version] != ABSENT);
                let with_ttl = kinds.add_numbers(&mut { Control::EMPTY }, over_v6, None, Some(1));
                assert_eq!(with_ttl.is_some(), kinds.send_ttl[version] != ABSENT);
                if with_tos.is_none() {
                    continue;
                }
                let item = items(control.bytes()).next().expect("an item");
                let short = kinds.short_tos && !over_v6;
                assert_eq!(item.value, if short { &[184][..] } else { &tos });
            }
        }
    }

    #[test]
    fn times_of_arrival() {
        let stamp = [5u64.to_ne_bytes(), 7u64.to_ne_bytes()].concat();
        assert_eq!(read(&LINUX, V4, &[((1, 35), &stamp)]).timestamp, 5_000_000_007);
        for system in [FREEBSD, MACOS] {
            assert_eq!(read(&system, V4, &[((0xffff, 2), &stamp)]).timestamp, 5_000_007_000);
        }
    }

    /// The only system whose headers are here.
    #[cfg(target_os = "linux")]
    #[test]
    fn linux_is_as_its_headers_have_it() {
        use libc::{IPPROTO_IP, IPPROTO_IPV6, SOL_SOCKET};
        let (kinds, numbers) = (LINUX.kinds, LINUX.numbers);
        assert_eq!((IP, IPV6), (IPPROTO_IP, IPPROTO_IPV6));
        assert_eq!(kinds.packet_info_v4, (IP, libc::IP_PKTINFO));
        assert_eq!(kinds.packet_info_v6, (IPV6, libc::IPV6_PKTINFO));
        assert_eq!(kinds.tos, pair(libc::IP_TOS, libc::IPV6_TCLASS));
        assert_eq!(kinds.ttl, pair(libc::IP_TTL, libc::IPV6_HOPLIMIT));
        assert_eq!((kinds.send_tos, kinds.send_ttl), (kinds.tos, kinds.ttl));
        assert_eq!(kinds.timespec, (SOL_SOCKET, libc::SO_TIMESTAMPNS));
        let socket = |name| (SOL_SOCKET, name);
        assert_eq!(numbers.broadcast, socket(libc::SO_BROADCAST));
        assert_eq!(numbers.reuse_address, socket(libc::SO_REUSEADDR));
        assert_eq!(numbers.reuse_port, socket(libc::SO_REUSEPORT));
        assert_eq!(numbers.v6_only, (IPV6, libc::IPV6_V6ONLY));
        assert_eq!(numbers.receive_buffer, socket(libc::SO_RCVBUF));
        assert_eq!(numbers.send_buffer, socket(libc::SO_SNDBUF));
        assert_eq!(numbers.timestamps, socket(libc::SO_TIMESTAMPNS));
        assert_eq!(numbers.protocol, socket(libc::SO_PROTOCOL));
        assert_eq!(numbers.packet_info, pair(libc::IP_PKTINFO, libc::IPV6_RECVPKTINFO));
        assert_eq!(numbers.receive_tos, pair(libc::IP_RECVTOS, libc::IPV6_RECVTCLASS));
        assert_eq!(numbers.receive_ttl, pair(libc::IP_RECVTTL, libc::IPV6_RECVHOPLIMIT));
        assert_eq!(numbers.dont_fragment, pair(libc::IP_MTU_DISCOVER, libc::IPV6_MTU_DISCOVER));
        assert_eq!(numbers.fragment_values, [libc::IP_PMTUDISC_WANT, libc::IP_PMTUDISC_PROBE]);
        assert_eq!(numbers.unicast_ttl, pair(libc::IP_TTL, libc::IPV6_UNICAST_HOPS));
        assert_eq!(numbers.multicast_ttl, pair(libc::IP_MULTICAST_TTL, libc::IPV6_MULTICAST_HOPS));
        assert_eq!(numbers.multicast_loop, pair(libc::IP_MULTICAST_LOOP, libc::IPV6_MULTICAST_LOOP));
        assert_eq!(numbers.multicast_interface, pair(libc::IP_MULTICAST_IF, libc::IPV6_MULTICAST_IF));
        // IPV6_MULTICAST_ALL in linux/in6.h.
        assert_eq!(numbers.multicast_all, pair(libc::IP_MULTICAST_ALL, 29));
        assert_eq!(numbers.groups, (libc::MCAST_JOIN_GROUP..=libc::MCAST_MSFILTER).collect::<Vec<_>>());
        assert_eq!(numbers.groups_v4, (libc::IP_ADD_MEMBERSHIP..=libc::IP_MSFILTER).collect::<Vec<_>>());
        assert_eq!(numbers.groups_v6, [libc::IPV6_ADD_MEMBERSHIP, libc::IPV6_DROP_MEMBERSHIP]);
    }
}
