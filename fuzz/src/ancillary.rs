//! The control data of received datagrams: `sys::cmsg` and `sys::recv_meta`.
//!
//! Input: a byte of choices, the local port, the control data.

use super::control_data::{self, Item};
use super::input::Input;
use udpr::addr::{Addr, family};
use udpr::sys::datagrams::TO_MANY;
use udpr::sys::{Control, Datagram, cmsg, recv_meta};

const V4: Addr = Addr::v4([127, 0, 0, 1], 9);

pub fn run(input: &[u8]) {
    let mut input = Input(input);
    let (choices, port) = (input.byte(), input.u16());
    read_written_control(input.0, port);
    let control = control_data::make(input, choices & 1 != 0);
    let sender = if choices & 2 != 0 { V4.map_v4().expect("IPv4") } else { V4 };
    let items = control_data::items(&control);
    walk(&control, &items, port.into());
    segment(&control, &items);
    read(&control, &items, sender, port);
}

fn found(control: &[u8]) -> Vec<Item<'_>> {
    cmsg::items(control).map(|item| (item.level, item.kind, item.value)).collect()
}

fn walk(control: &[u8], items: &[Item<'_>], cut: usize) {
    assert_eq!(found(control), items);
    let mut again = Vec::new();
    items.iter().for_each(|(level, kind, value)| control_data::add(&mut again, (*level, *kind), value));
    assert_eq!(found(&again), items, "written again");
    // Truncated control data has some of the items, and no others.
    let cut = found(&control[..cut % (control.len() + 1)]);
    assert_eq!(cut, items[..cut.len()]);
}

fn segment(control: &[u8], items: &[Item<'_>]) {
    let merged = items.iter().find(|item| (item.0, item.1) == (libc::SOL_UDP, libc::UDP_GRO));
    let size = merged.and_then(|item| control_data::int(item.2)).filter(|size| *size >= 0);
    assert_eq!(recv_meta::segment(control), size.map(|size| size as usize));
}

/// The last item of these kinds with a value of at least `least` bytes.
fn last<'a>(items: &[Item<'a>], kinds: [(i32, i32); 2], least: usize) -> Option<Item<'a>> {
    items.iter().rev().find(|item| kinds.contains(&(item.0, item.1)) && item.2.len() >= least).copied()
}

fn read(control: &[u8], items: &[Item<'_>], sender: Addr, port: u16) {
    let mut datagram = Datagram::empty(sender);
    recv_meta::read(&mut datagram, control, port);
    assert!(datagram.data().is_empty() && datagram.sender == sender);

    let tos = [(libc::IPPROTO_IP, libc::IP_TOS), (libc::IPPROTO_IPV6, libc::IPV6_TCLASS)];
    let ttl = [(libc::IPPROTO_IP, libc::IP_TTL), (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT)];
    let number = |kinds| last(items, kinds, 0).and_then(|item| control_data::int(item.2)).unwrap_or(-1);
    assert_eq!((datagram.tos, datagram.ttl), (number(tos), number(ttl)));

    let stamp = last(items, [(libc::SOL_SOCKET, libc::SO_TIMESTAMPNS); 2], 0);
    match stamp.map(|item| item.2) {
        None => assert_eq!(datagram.timestamp, 0),
        Some(value) if value.len() == 16 => {
            let half =
                |at: usize| u128::from(u64::from_ne_bytes(value[at..at + 8].try_into().expect("eight")));
            let exact = half(0) * 1_000_000_000 + half(8);
            assert_eq!(datagram.timestamp, exact.try_into().unwrap_or(u64::MAX));
        }
        Some(_) => {}
    }
    destination(&datagram, items, port);

    // The metadata of an earlier datagram is cleared.
    recv_meta::read(&mut datagram, &[], port);
    assert_eq!((datagram.destination.family, datagram.interface_index), (family::UNSPEC, 0));
    assert_eq!((datagram.tos, datagram.ttl, datagram.timestamp, datagram.flags), (-1, -1, 0, 0));
}

fn destination(datagram: &Datagram, items: &[Item<'_>], port: u16) {
    let v4 =
        |item: &&Item<'_>| (item.0, item.1) == (libc::IPPROTO_IP, libc::IP_PKTINFO) && item.2.len() >= 12;
    let v6 =
        |item: &&Item<'_>| (item.0, item.1) == (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) && item.2.len() >= 20;
    let reply_differs = items.iter().filter(v4).any(|item| item.2[4..8] != item.2[8..12]);
    let to_many = reply_differs || items.iter().filter(v6).any(|item| item.2[0] == 0xff);
    assert_eq!(datagram.flags, if to_many { TO_MANY } else { 0 });
    let Some(info) = items.iter().rev().find(|item| v4(item) || v6(item)) else {
        assert_eq!((datagram.destination, datagram.interface_index), (Addr::UNSPECIFIED, 0));
        return;
    };
    let (ip, interface) =
        if v4(&info) { (&info.2[8..12], &info.2[..4]) } else { (&info.2[..16], &info.2[16..20]) };
    let interface = u32::from_ne_bytes(interface.try_into().expect("four bytes"));
    assert_eq!((datagram.destination.port, datagram.interface_index), (port, interface));
    let meta_port = datagram.destination;
    assert_eq!(meta_port.check("addr"), Ok(()));
    let plain = if v4(&info) { meta_port.unmap_v4().unwrap_or(meta_port) } else { meta_port };
    assert_eq!(&plain.bytes[..ip.len()], ip);
    assert_eq!(plain.scope_id, if v6(&info) && plain.needs_scope() { interface } else { 0 });
    if v4(&info) {
        assert_eq!(meta_port.family, datagram.sender.family, "an address of the port's family");
    }
}

/// Control data written for sending is read in the same way as that of a received datagram.
fn read_written_control(input: &[u8], port: u16) {
    let mut input = Input(input);
    let (over_v6, interface) = (input.byte() & 1 != 0, input.u32());
    let tos = (input.byte() & 1 != 0).then(|| input.byte());
    let ip: [u8; 16] = input.array();
    let source = if over_v6 { Addr::v6(ip, 0, 0) } else { Addr::v4([ip[0], ip[1], ip[2], ip[3]], 0) };
    let source = (input.byte() & 1 != 0).then_some(source);
    let mut number = || (input.byte() & 1 != 0).then(|| input.byte());
    let (ttl, instant) = (number(), number().map(u64::from));
    let said = Control::of(over_v6, source.as_ref(), interface, tos, ttl, instant).expect("known to Linux");
    let mut datagram = Datagram::empty(source.unwrap_or(V4));
    recv_meta::read(&mut datagram, said.bytes(), port);
    let or_none = |number: Option<u8>| number.map_or(-1, i32::from);
    assert_eq!(
        (datagram.interface_index, datagram.tos, datagram.ttl),
        (interface, or_none(tos), or_none(ttl))
    );
    assert_eq!(said.send_at(), instant);
    let is_plain = source.is_none() && interface == 0 && tos.is_none() && ttl.is_none() && instant.is_none();
    assert_eq!(said.is_empty(), is_plain);
    if let (Some(source), true) = (source, over_v6) {
        assert_eq!(datagram.destination.bytes, source.bytes);
    }
}
