//! Encodes and decodes control data: the metadata of received datagrams, and the options of datagrams that are sent.

use super::cmsg::{Control, Item, items};
use crate::abi::udpr_datagram;
use crate::addr::{Addr, family};
use crate::sys::datagrams::{Datagram, TO_MANY};

/// Room for all that is asked for of one datagram, on a dual-stack socket of both families, and for more that may have
/// been turned on behind our back.
pub(in crate::sys) const RECV_CONTROL_SIZE: usize = 256;

/// Puts the facts of `control` into a datagram that came in at the local port `port`.
pub fn read(datagram: &mut Datagram, control: &[u8], port: u16) {
    datagram.clear_meta();
    let datagram = datagram.fields();
    for item in items(control) {
        match (item.level, item.kind) {
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => read_v4(datagram, item.value, port),
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => read_v6(datagram, item.value, port),
            (libc::IPPROTO_IP, libc::IP_TOS) | (libc::IPPROTO_IPV6, libc::IPV6_TCLASS) => {
                datagram.tos = number(item.value).unwrap_or(-1);
            }
            (libc::IPPROTO_IP, libc::IP_TTL) | (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT) => {
                datagram.ttl = number(item.value).unwrap_or(-1);
            }
            (libc::SOL_SOCKET, libc::SO_TIMESTAMPNS) => datagram.timestamp = nanoseconds(item.value),
            _ => {}
        }
    }
}

/// Bytes of each of the datagrams that were merged (UDP_GRO, udp(7)); None if none were.
pub fn segment(control: &[u8]) -> Option<usize> {
    let merged = items(control).find(|item| (item.level, item.kind) == (libc::SOL_UDP, libc::UDP_GRO))?;
    usize::try_from(number(merged.value)?).ok()
}

/// `struct in_pktinfo`: the interface, the address that a reply comes from by default, and the destination. The two addresses
/// differ only for groups and broadcasts (`fib_compute_spec_dst`).
fn read_v4(datagram: &mut udpr_datagram, value: &[u8], port: u16) {
    let Some([i0, i1, i2, i3, reply @ .., a, b, c, d]) = value.first_chunk::<12>().copied() else { return };
    let destination = Addr::v4([a, b, c, d], port);
    let mapped = if datagram.sender.family == family::INET6 { destination.map_v4() } else { Ok(destination) };
    datagram.destination = mapped.unwrap_or(destination);
    datagram.interface_index = u32::from_ne_bytes([i0, i1, i2, i3]);
    datagram.flags |= if reply == [a, b, c, d] { 0 } else { TO_MANY };
}

/// `struct in6_pktinfo`: the address in the header, and the interface.
fn read_v6(datagram: &mut udpr_datagram, value: &[u8], port: u16) {
    let Some([ip @ .., i0, i1, i2, i3]) = value.first_chunk::<20>().copied() else { return };
    let interface = u32::from_ne_bytes([i0, i1, i2, i3]);
    let destination = Addr::v6(ip, port, 0);
    let scope_id = if destination.needs_scope() { interface } else { 0 };
    datagram.destination = Addr { scope_id, ..destination };
    datagram.interface_index = interface;
    datagram.flags |= if destination.is_multicast() { TO_MANY } else { 0 };
}

/// An int, or the single byte that IP_RECVTOS gives (ip(7)).
fn number(value: &[u8]) -> Option<i32> {
    match value {
        [byte] => Some((*byte).into()),
        _ => value.first_chunk().map(|int| i32::from_ne_bytes(*int)),
    }
}

/// A `struct timespec` since 1970, of 64-bit numbers, or of 32-bit ones, whose seconds last until 2106 without a sign.
fn nanoseconds(value: &[u8]) -> u64 {
    let (half, count) = (value.len() / 2, |bytes: &[u8]| match *bytes {
        [a, b, c, d] => u32::from_ne_bytes([a, b, c, d]).into(),
        [a, b, c, d, e, f, g, h] => u64::from_ne_bytes([a, b, c, d, e, f, g, h]),
        _ => 0u64,
    });
    count(&value[..half]).saturating_mul(1_000_000_000).saturating_add(count(&value[half..]))
}

impl Control {
    /// For a datagram over IPv6, or over IPv4, where IPv6 sockets take the options of IPv4: the local address to send
    /// from, the interface to send by (0: the kernel chooses), the TOS byte, the TTL, and when it should leave.
    pub fn of(
        over_v6: bool,
        source: Option<&Addr>,
        interface: u32,
        tos: Option<u8>,
        ttl: Option<u8>,
        send_at: Option<u64>,
    ) -> Control {
        let mut control = Control::EMPTY;
        if source.is_some() || interface != 0 {
            let (ip, index) = (source.map_or([0; 16], |addr| addr.bytes), interface.to_ne_bytes());
            if over_v6 {
                let mut info = [0; 20];
                info[..16].copy_from_slice(&ip);
                info[16..].copy_from_slice(&index);
                control.add(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info);
            } else {
                let mut info = [0; 12];
                info[..4].copy_from_slice(&index);
                info[4..8].copy_from_slice(&ip[..4]);
                control.add(libc::IPPROTO_IP, libc::IP_PKTINFO, &info);
            }
        }
        let (level, tos_kind, ttl_kind) = if over_v6 {
            (libc::IPPROTO_IPV6, libc::IPV6_TCLASS, libc::IPV6_HOPLIMIT)
        } else {
            (libc::IPPROTO_IP, libc::IP_TOS, libc::IP_TTL)
        };
        for (kind, number) in [(tos_kind, tos), (ttl_kind, ttl)] {
            if let Some(number) = number {
                control.add(level, kind, &i32::from(number).to_ne_bytes());
            }
        }
        if let Some(instant) = send_at {
            control.add(libc::SOL_SOCKET, libc::SCM_TXTIME, &instant.to_ne_bytes());
        }
        control
    }

    /// When a datagram should leave, as [`Control::of`] was given it.
    pub fn send_at(&self) -> Option<u64> {
        let is_instant = |item: &Item<'_>| (item.level, item.kind) == (libc::SOL_SOCKET, libc::SCM_TXTIME);
        items(self.bytes()).find(is_instant)?.value.first_chunk().map(|instant| u64::from_ne_bytes(*instant))
    }

    /// The same without a TTL of 0 over IPv4; none if there is no such TTL.
    pub(in crate::sys) fn without_zero_ttl(&self) -> Option<Control> {
        let is_zero = |item: &Item<'_>| {
            (item.level, item.kind) == (libc::IPPROTO_IP, libc::IP_TTL) && number(item.value) == Some(0)
        };
        let mut rest = Control::EMPTY;
        let others = items(self.bytes()).filter(|item| !is_zero(item));
        others.for_each(|item| rest.add(item.level, item.kind, item.value));
        (rest.bytes().len() < self.bytes().len()).then_some(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_one(from: Addr, level: i32, kind: i32, value: &[u8]) -> Datagram {
        let mut control = Control::EMPTY;
        control.add(level, kind, value);
        let mut datagram = Datagram::empty(from);
        read(&mut datagram, control.bytes(), 53);
        datagram
    }

    const V4: Addr = Addr::v4([127, 0, 0, 1], 9);

    fn v4_info() -> Vec<u8> {
        [&7u32.to_ne_bytes()[..], &[10, 0, 0, 1], &[228, 0, 0, 5]].concat()
    }

    #[test]
    fn packet_info_of_ipv4() {
        let datagram = read_one(V4, libc::IPPROTO_IP, libc::IP_PKTINFO, &v4_info());
        assert_eq!(datagram.destination, Addr::v4([228, 0, 0, 5], 53));
        assert_eq!(datagram.interface_index, 7);
        assert_eq!((datagram.tos, datagram.ttl, datagram.timestamp), (-1, -1, 0));
    }

    /// What Linux reports for an interface that has the address 10.0.0.1, and for one that has none.
    #[test]
    fn groups_and_broadcasts_are_to_many() {
        let v4 = |reply: [u8; 4], destination: [u8; 4]| {
            let info = [&7u32.to_ne_bytes()[..], &reply, &destination].concat();
            read_one(V4, libc::IPPROTO_IP, libc::IP_PKTINFO, &info).flags
        };
        assert_eq!(v4([10, 0, 0, 1], [10, 0, 0, 1]), 0);
        for destination in [[228, 0, 0, 5], [10, 0, 0, 255], [255; 4]] {
            assert_eq!(v4([10, 0, 0, 1], destination), TO_MANY);
            assert_eq!(v4([0; 4], destination), TO_MANY);
        }
        for (first, flags) in [(0xff, TO_MANY), (0xfe, 0)] {
            let mut info = [0; 20];
            info[0] = first;
            let datagram = read_one(V4, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info);
            assert_eq!(datagram.flags, flags);
        }
    }

    #[test]
    fn packet_info_of_ipv4_on_a_dual_stack_port_is_mapped() {
        let from = V4.map_v4().expect("IPv4");
        let datagram = read_one(from, libc::IPPROTO_IP, libc::IP_PKTINFO, &v4_info());
        assert_eq!(datagram.destination, Addr::v4([228, 0, 0, 5], 53).map_v4().expect("IPv4"));
    }

    #[test]
    fn packet_info_of_ipv6_has_a_scope_where_it_needs_one() {
        for (first, scope_id) in [([0xfe, 0x80], 7), ([0xff, 0x02], 7), ([0xff, 0x0e], 0), ([0x20, 0x01], 0)]
        {
            let mut ip = [0; 16];
            ip[..2].copy_from_slice(&first);
            let info = [&ip[..], &7u32.to_ne_bytes()].concat();
            let datagram = read_one(Addr::v6(ip, 9, 7), libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &info);
            assert_eq!(datagram.destination, Addr::v6(ip, 53, scope_id));
            assert_eq!(datagram.interface_index, 7);
        }
    }

    #[test]
    fn numbers_of_either_size() {
        assert_eq!(read_one(V4, libc::IPPROTO_IP, libc::IP_TOS, &[0xb9]).tos, 0xb9);
        assert_eq!(read_one(V4, libc::IPPROTO_IPV6, libc::IPV6_TCLASS, &3i32.to_ne_bytes()).tos, 3);
        assert_eq!(read_one(V4, libc::IPPROTO_IP, libc::IP_TTL, &64i32.to_ne_bytes()).ttl, 64);
        assert_eq!(read_one(V4, libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT, &255i32.to_ne_bytes()).ttl, 255);
    }

    #[test]
    fn times_of_either_size() {
        let long = [5_000_000_000u64.to_ne_bytes(), 7u64.to_ne_bytes()].concat();
        let short = [4_000_000_000u32.to_ne_bytes(), 7u32.to_ne_bytes()].concat();
        let time = |value: &[u8]| read_one(V4, libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, value).timestamp;
        assert_eq!(time(&long), 5_000_000_000_000_000_007);
        assert_eq!(time(&short), 4_000_000_000_000_000_007);
        assert_eq!(time(&[0xff; 16]), u64::MAX);
    }

    #[test]
    fn values_of_any_length_are_survived() {
        let kinds = [
            (libc::IPPROTO_IP, libc::IP_PKTINFO),
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO),
            (libc::IPPROTO_IP, libc::IP_TOS),
            (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT),
            (libc::SOL_SOCKET, libc::SO_TIMESTAMPNS),
            (libc::SOL_SOCKET, 4711),
        ];
        for (level, kind) in kinds {
            for len in 0..40 {
                let datagram = read_one(V4, level, kind, &vec![0xff; len]);
                assert!((level, kind) != (libc::SOL_SOCKET, 4711) || datagram.destination.family == 0);
            }
        }
    }

    #[test]
    fn what_is_said_can_be_read() {
        let source = Addr::v4([127, 0, 0, 2], 0);
        let control = Control::of(false, Some(&source), 3, Some(0xb8), None, None);
        let kinds: Vec<_> = items(control.bytes()).map(|item| (item.level, item.kind)).collect();
        assert_eq!(kinds, [(libc::IPPROTO_IP, libc::IP_PKTINFO), (libc::IPPROTO_IP, libc::IP_TOS)]);
        let control = Control::of(true, None, 3, Some(1), None, None);
        let kinds: Vec<_> = items(control.bytes()).map(|item| (item.level, item.kind)).collect();
        assert_eq!(
            kinds,
            [(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO), (libc::IPPROTO_IPV6, libc::IPV6_TCLASS)]
        );
        assert!(Control::of(true, None, 0, None, None, None).bytes().is_empty());
    }
}
