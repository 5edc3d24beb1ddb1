//! Encodes and decodes control data: the metadata of received datagrams, and the options of datagrams that are sent.

use super::cmsg::{Control, Item, items};
use super::datagrams::{Datagram, TO_MANY};
use super::imp::control::KINDS;
use crate::abi::udpr_datagram;
use crate::addr::{Addr, family};

/// Room for all that is asked for of one datagram, on a dual-stack socket of both families, and for more that may have
/// been turned on behind our back.
pub(in crate::sys) const RECV_CONTROL_SIZE: usize = 256;

/// The level and the type of an item.
pub(super) type Kind = (i32, i32);

/// The kind of an item that a system does not have.
pub(super) const ABSENT: Kind = (-1, -1);

/// The items of a system's control data. Pairs are for IPv4 and IPv6.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kinds {
    /// A `struct in_pktinfo`, received and sent.
    pub(super) packet_info_v4: Kind,
    /// A `struct in6_pktinfo`, received and sent.
    pub(super) packet_info_v6: Kind,
    /// Without [`Kinds::packet_info_v4`]: an address, the destination when it is received, the source when it is sent.
    pub(super) destination_v4: Kind,
    /// Without [`Kinds::packet_info_v4`]: a `struct sockaddr_dl`, the interface.
    pub(super) interface_v4: Kind,
    /// The TOS byte or traffic class.
    pub(super) tos: [Kind; 2],
    /// The TTL or hop limit.
    pub(super) ttl: [Kind; 2],
    /// The time of arrival as a `struct timespec`.
    pub(super) timespec: Kind,
    /// The time of arrival as a `struct timeval`.
    pub(super) timeval: Kind,
    /// The size of merged datagrams.
    pub(super) merged: Kind,
    /// As [`Kinds::tos`], for a datagram that is sent.
    pub(super) send_tos: [Kind; 2],
    /// As [`Kinds::ttl`], for a datagram that is sent.
    pub(super) send_ttl: [Kind; 2],
    /// The instant at which a datagram should leave.
    pub(super) send_at: Kind,
    /// [`Kinds::packet_info_v4`] is an address and an index, without a second address.
    pub(super) short_info: bool,
    /// [`Kinds::send_tos`] of IPv4 is one byte instead of an int.
    pub(super) short_tos: bool,
}

/// Puts the facts of `control` into a datagram that came in at the local port `port`.
pub fn read(datagram: &mut Datagram, control: &[u8], port: u16) {
    datagram.clear_meta();
    items(control).for_each(|item| KINDS.read(datagram, &item, port));
}

/// Bytes of each of the datagrams that were merged (UDP_GRO, udp(7)); None if none were.
pub fn segment(control: &[u8]) -> Option<usize> {
    let merged = items(control).find(|item| (item.level, item.kind) == KINDS.merged)?;
    usize::try_from(number(merged.value)?).ok()
}

impl Kinds {
    /// Puts the facts of one item into a datagram.
    #[inline]
    pub(super) fn read(self, datagram: &mut Datagram, item: &Item<'_>, port: u16) {
        let datagram = datagram.fields();
        let (kind, value) = ((item.level, item.kind), item.value);
        if kind == self.packet_info_v4 {
            self.read_info_v4(datagram, value, port);
        } else if kind == self.packet_info_v6 {
            read_info_v6(datagram, value, port);
        } else if self.tos.contains(&kind) {
            datagram.tos = number(value).unwrap_or(-1);
        } else if self.ttl.contains(&kind) {
            datagram.ttl = number(value).unwrap_or(-1);
        } else if kind == self.timespec {
            datagram.timestamp = nanoseconds(value, 1);
        } else if kind == self.timeval {
            datagram.timestamp = nanoseconds(value, 1000);
        } else if kind == self.destination_v4 {
            let Some(ip) = value.first_chunk().copied() else { return };
            set_destination_v4(datagram, ip, port, is_many(ip));
        } else if kind == self.interface_v4 {
            datagram.interface_index = link_index(value).unwrap_or(0);
        }
    }

    /// The interface, the address that a reply comes from by default, and the destination. The two addresses differ only for
    /// groups and broadcasts (`fib_compute_spec_dst`).
    fn read_info_v4(self, datagram: &mut udpr_datagram, value: &[u8], port: u16) {
        if self.short_info {
            let Some([ip @ .., i0, i1, i2, i3]) = value.first_chunk::<8>().copied() else { return };
            set_destination_v4(datagram, ip, port, is_many(ip));
            datagram.interface_index = u32::from_ne_bytes([i0, i1, i2, i3]);
            return;
        }
        let Some([i0, i1, i2, i3, reply @ .., a, b, c, d]) = value.first_chunk::<12>().copied() else {
            return;
        };
        set_destination_v4(datagram, [a, b, c, d], port, reply != [a, b, c, d]);
        datagram.interface_index = u32::from_ne_bytes([i0, i1, i2, i3]);
    }
}

/// True for groups and the broadcast address of all networks, if the system reports nothing else.
fn is_many(ip: [u8; 4]) -> bool {
    Addr::v4(ip, 0).is_multicast() || ip == [255; 4]
}

/// Sets the destination of a datagram over IPv4, which on a dual-stack port is a mapped address.
fn set_destination_v4(datagram: &mut udpr_datagram, ip: [u8; 4], port: u16, to_many: bool) {
    let destination = Addr::v4(ip, port);
    let mapped = if datagram.sender.family == family::INET6 { destination.map_v4() } else { Ok(destination) };
    datagram.destination = mapped.unwrap_or(destination);
    datagram.flags |= if to_many { TO_MANY } else { 0 };
}

/// The index in a `struct sockaddr_dl`: behind the length and the family.
fn link_index(value: &[u8]) -> Option<u32> {
    let [_, _, i0, i1] = *value.first_chunk()?;
    Some(u16::from_ne_bytes([i0, i1]).into())
}

/// `struct in6_pktinfo`: the address in the header, and the interface.
fn read_info_v6(datagram: &mut udpr_datagram, value: &[u8], port: u16) {
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

/// A time since 1970 in seconds and in units of so many nanoseconds, of 64-bit numbers, or of 32-bit ones, whose seconds last until
/// 2106 without a sign.
fn nanoseconds(value: &[u8], unit: u64) -> u64 {
    let (half, count) = (value.len() / 2, |bytes: &[u8]| match *bytes {
        [a, b, c, d] => u32::from_ne_bytes([a, b, c, d]).into(),
        [a, b, c, d, e, f, g, h] => u64::from_ne_bytes([a, b, c, d, e, f, g, h]),
        _ => 0u64,
    });
    let fraction = count(&value[half..]).saturating_mul(unit);
    count(&value[..half]).saturating_mul(1_000_000_000).saturating_add(fraction)
}

impl Control {
    /// For a datagram over IPv6, or over IPv4, where IPv6 sockets take the options of IPv4: the local address to send
    /// from, the interface to send by (0: the kernel chooses), the TOS byte, the TTL, and when it should leave. None if the system
    /// cannot send it like that.
    pub fn of(
        over_v6: bool,
        source: Option<&Addr>,
        interface: u32,
        tos: Option<u8>,
        ttl: Option<u8>,
        send_at: Option<u64>,
    ) -> Option<Control> {
        let mut control = Control::EMPTY;
        if source.is_some() || interface != 0 {
            let ip = source.map_or([0; 16], |addr| addr.bytes);
            KINDS.add_source(&mut control, over_v6, ip, interface)?;
        }
        KINDS.add_numbers(&mut control, over_v6, tos, ttl)?;
        if let Some(instant) = send_at {
            add(&mut control, KINDS.send_at, &instant.to_ne_bytes())?;
        }
        Some(control)
    }

    /// When a datagram should leave, as [`Control::of`] was given it.
    pub fn send_at(&self) -> Option<u64> {
        let is_instant = |item: &Item<'_>| (item.level, item.kind) == KINDS.send_at;
        items(self.bytes()).find(is_instant)?.value.first_chunk().map(|instant| u64::from_ne_bytes(*instant))
    }

    /// The same without a TTL of 0 over IPv4; none if there is no such TTL.
    pub(in crate::sys) fn without_zero_ttl(&self) -> Option<Control> {
        let is_zero =
            |item: &Item<'_>| (item.level, item.kind) == KINDS.send_ttl[0] && number(item.value) == Some(0);
        let mut rest = Control::EMPTY;
        let others = items(self.bytes()).filter(|item| !is_zero(item));
        others.for_each(|item| rest.add(item.level, item.kind, item.value));
        (rest.bytes().len() < self.bytes().len()).then_some(rest)
    }
}

impl Kinds {
    /// Adds the TOS byte and the TTL.
    pub(super) fn add_numbers(
        self,
        control: &mut Control,
        over_v6: bool,
        tos: Option<u8>,
        ttl: Option<u8>,
    ) -> Option<()> {
        let version = usize::from(over_v6);
        match tos {
            Some(tos) if self.short_tos && !over_v6 => add(control, self.send_tos[version], &[tos])?,
            Some(tos) => add(control, self.send_tos[version], &i32::from(tos).to_ne_bytes())?,
            None => {}
        }
        match ttl {
            Some(ttl) => add(control, self.send_ttl[version], &i32::from(ttl).to_ne_bytes()),
            None => Some(()),
        }
    }

    /// Adds the address and the interface to send from.
    pub(super) fn add_source(
        self,
        control: &mut Control,
        over_v6: bool,
        ip: [u8; 16],
        interface: u32,
    ) -> Option<()> {
        let index = interface.to_ne_bytes();
        let [a, b, c, d, ..] = ip;
        let v4 = [a, b, c, d];
        if over_v6 {
            let mut info = [0; 20];
            info[..16].copy_from_slice(&ip);
            info[16..].copy_from_slice(&index);
            add(control, self.packet_info_v6, &info)
        } else if self.packet_info_v4 == ABSENT {
            (interface == 0).then_some(())?;
            add(control, self.destination_v4, &v4)
        } else if self.short_info {
            add(control, self.packet_info_v4, [v4, index].as_flattened())
        } else {
            add(control, self.packet_info_v4, [index, v4, [0; 4]].as_flattened())
        }
    }
}

/// None if the system has no such item.
fn add(control: &mut Control, kind: Kind, value: &[u8]) -> Option<()> {
    let (level, number) = Some(kind).filter(|kind| *kind != ABSENT)?;
    control.add(level, number, value);
    Some(())
}

#[cfg(all(test, target_os = "linux"))]
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
        let control = Control::of(false, Some(&source), 3, Some(0xb8), None, None).expect("known");
        let kinds: Vec<_> = items(control.bytes()).map(|item| (item.level, item.kind)).collect();
        assert_eq!(kinds, [(libc::IPPROTO_IP, libc::IP_PKTINFO), (libc::IPPROTO_IP, libc::IP_TOS)]);
        let control = Control::of(true, None, 3, Some(1), None, None).expect("known");
        let kinds: Vec<_> = items(control.bytes()).map(|item| (item.level, item.kind)).collect();
        assert_eq!(
            kinds,
            [(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO), (libc::IPPROTO_IPV6, libc::IPV6_TCLASS)]
        );
        assert!(Control::of(true, None, 0, None, None, None).is_some_and(|control| control.is_empty()));
    }
}
