use super::*;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::mem::offset_of;
use std::net::{IpAddr, SocketAddr};

/// The interfaces of these tests.
fn zone(name: &str) -> Result<u32> {
    match name {
        "lo" => Ok(7),
        "fade" => Ok(8),
        "0" => Ok(9),
        "unasked" => Err(Status::NO_FILES),
        _ => Err(Status::NO_INTERFACE),
    }
}

fn parse(text: &str) -> Result<Addr> {
    Addr::parse(text, 9, zone)
}

fn ip6(text: &str) -> [u8; 16] {
    text.parse::<Ipv6Addr>().expect("IPv6").octets()
}

fn assert_same(a: &Addr, b: &Addr) {
    let all =
        |addr: &Addr| (addr.family, addr.port, addr.scope_id, addr.flow_info, addr.bytes, addr.reserved);
    assert_eq!(all(a), all(b));
}

/// `count` random addresses, other ones in each run; many bytes are zero, so that "::" gets its turns.
fn random_addrs(count: usize) -> impl Iterator<Item = Addr> {
    let state = RandomState::new();
    (0..count).map(move |n| {
        let random = |what: u8| state.hash_one((n, what));
        let port = if n % 3 == 0 { 0 } else { random(0) as u16 };
        let scope_id = if n % 5 < 3 { 0 } else { random(1) as u32 };
        let mask = u128::from(random(2)) << 64 | u128::from(random(3));
        let ip = u128::from(random(4)) << 64 | u128::from(random(5));
        let sparse = (mask & (mask >> 1) & 0x0101_0101_0101_0101_0101_0101_0101_0101) * 0xff;
        match n % 4 {
            0 => Addr::v4((ip as u32).to_be_bytes(), port),
            1 => Addr::v6(ip.to_be_bytes(), port, scope_id),
            2 => Addr::v6((ip & sparse).to_be_bytes(), port, scope_id),
            _ => Addr::v6((0xffff_0000_0000 | u128::from(ip as u32)).to_be_bytes(), port, scope_id),
        }
    })
}

#[test]
fn takes_every_form() {
    let link_local = ip6("fe80::1");
    for (text, expected) in [
        ("1.2.3.4", Addr::v4([1, 2, 3, 4], 9)),
        ("1.2.3.4:53", Addr::v4([1, 2, 3, 4], 53)),
        ("1.2.3.4:0", Addr::v4([1, 2, 3, 4], 0)),
        ("255.255.255.255:65535", Addr::v4([255; 4], 65535)),
        ("0.0.0.0", Addr::v4([0; 4], 9)),
        ("::", Addr::v6([0; 16], 9, 0)),
        ("::1", Addr::v6(ip6("::1"), 9, 0)),
        ("[::1]:53", Addr::v6(ip6("::1"), 53, 0)),
        ("[::]:0", Addr::v6([0; 16], 0, 0)),
        ("::ffff:1.2.3.4", Addr::v6(ip6("::ffff:1.2.3.4"), 9, 0)),
        ("[::ffff:1.2.3.4]:53", Addr::v6(ip6("::ffff:1.2.3.4"), 53, 0)),
        ("FE80::1%lo", Addr::v6(link_local, 9, 7)),
        ("fe80::1%fade", Addr::v6(link_local, 9, 8)),
        ("fe80::1%2", Addr::v6(link_local, 9, 2)),
        ("fe80::1%4294967295", Addr::v6(link_local, 9, u32::MAX)),
        ("[fe80::1%2]:53", Addr::v6(link_local, 53, 2)),
        ("[fe80::1%lo]:53", Addr::v6(link_local, 53, 7)),
    ] {
        assert_same(&parse(text).expect(text), &expected);
        let has_port = text.contains("]:") || text.matches(':').count() == 1;
        let host = Addr::parse_host(text, 9, zone);
        assert_eq!(host, if has_port { Err(Status::INVALID_ADDRESS) } else { Ok(expected) }, "{text}");
    }
}

#[test]
fn refuses_everything_else() {
    let long = "1".repeat(300);
    let long_zone = format!("::1%{}", "1".repeat(300));
    let texts = "[ [] [: []: []:53 [::1] [::1]: [::1]x [::1]:5x [::1]:-1 [::1]:70000 [[::1]]:5 [1.2.3.4]:5 [::1 \
                 ::1]:5 1 1.2.3 1.2.3. .1.2.3 1.2.3.4. 1.2.3.4.5 127.1 0x7f.1 0x7f.0.0.1 2130706433 01.2.3.4 \
                 1.2.3.04 256.1.1.1 1.2.3.-4 1.2.3.+4 1.2.3.4: 1.2.3.4:+5 1.2.3.4:-5 1.2.3.4:5: 1.2.3.4:70000 \
                 1.2.3.4:65536 1.2.3.4:000053 1.2.3.4:0x5 1.2.3.4:http 1.2.3.4:5/udp 1.2.3.4%lo 1.2.3.4%7:5 \
                 localhost localhost:53 example.org é १.२.३.४ 1.2.3.4:५ : ::: :1 :53 1: 1:2 1::2::3 1:2:3:4:5:6:7 \
                 1:2:3:4:5:6:7:8:9 12345:: g:: ::g ::1.2.3 ::1.2.3.256 ::1/128 ::1% ::1%nosuch ::1%0 ::1%000 \
                 ::1%4294967296 ::1%-1 ::1%+1 ::1%0x1 ::1%lo% ::1%%lo ::1%lo%lo %lo % ::%lo:53 [::1%]:5 \
                 [::1%nosuch]:5 [::1]%lo:5 [::1%lo:5 fe80::1%lo]:5";
    let more = ["", " ", " 1.2.3.4", "1.2.3.4 ", "1.2.3.4 :5", "1.2.3.4: 5", "::1 ", " ::1", "[::1]: 5"];
    let yet_more = ["[ ::1]:5", "1.2.3.4\n", "1.2.3.4\0", "::1\0", "::1%lo ", "::1% lo", &long, &long_zone];
    for text in texts.split_whitespace().chain(more).chain(yet_more) {
        assert_eq!(parse(text), Err(Status::INVALID_ADDRESS), "{text:?}");
        assert_eq!(Addr::parse_host(text, 9, zone), Err(Status::INVALID_ADDRESS), "{text:?}");
    }
}

/// An address is not invalid because the system could not be asked for its zone.
#[test]
fn zones_that_cannot_be_looked_up() {
    for text in ["fe80::1%unasked", "[fe80::1%unasked]:53"] {
        assert_eq!(parse(text), Err(Status::NO_FILES), "{text}");
    }
    assert_eq!(Addr::parse_host("fe80::1%unasked", 9, zone), Err(Status::NO_FILES));
    for text in ["fe80:::1%unasked", "1.2.3.4%unasked", "[fe80::1%unasked]:x"] {
        assert_eq!(parse(text), Err(Status::INVALID_ADDRESS), "{text}");
    }
}

/// Calls `visit` with every text of up to `len` of these pieces.
fn scan(pieces: &[&str], len: usize, text: &mut String, visit: &impl Fn(&str)) {
    visit(text);
    if len == 0 {
        return;
    }
    for piece in pieces {
        let before = text.len();
        text.push_str(piece);
        scan(pieces, len - 1, text, visit);
        text.truncate(before);
    }
}

/// What the standard library makes of it: as strict as we are, but for a port of many digits, and it knows
/// neither a zone without brackets nor a zone that is a name.
fn oracle(text: &str) -> Option<Addr> {
    if let Ok(ip) = text.parse() {
        return Some(match ip {
            IpAddr::V4(ip) => Addr::v4(ip.octets(), 9),
            IpAddr::V6(ip) => Addr::v6(ip.octets(), 9, 0),
        });
    }
    Some(match text.parse().ok()? {
        SocketAddr::V4(addr) => Addr::v4(addr.ip().octets(), addr.port()),
        SocketAddr::V6(addr) => Addr::v6(addr.ip().octets(), addr.port(), addr.scope_id()),
    })
}

fn check_against_the_standard_library(text: &str) {
    let parsed = parse(text).ok();
    if !text.contains('%') {
        assert_eq!(parsed, oracle(text), "{text:?}");
    }
    if let Some(addr) = parsed {
        assert_eq!(addr.check("to"), Ok(()));
        assert_eq!(Addr::parse(&addr.to_string(), 0, |_| Err(Status::NO_INTERFACE)), Ok(addr), "{text:?}");
    }
    if let Ok(addr) = Addr::parse_host(text, 9, zone) {
        assert_eq!(parsed, Some(addr), "{text:?}");
    }
}

#[test]
fn short_texts_agree_with_the_standard_library() {
    scan(
        &["[", "]", ":", "%", ".", "1", "f", "é"],
        5,
        &mut String::new(),
        &check_against_the_standard_library,
    );
}

#[test]
fn texts_of_pieces_agree_with_the_standard_library() {
    let pieces =
        ["1.2.3.4", "::", "fe80::1", "[", "]", "]:", ":", "%", ".", "5", "0", "lo", "+", " ", "65536"];
    scan(&pieces, 4, &mut String::new(), &check_against_the_standard_library);
    scan(&["::1", "[", "]:", "%", "5", "lo"], 6, &mut String::new(), &check_against_the_standard_library);
}

#[test]
fn text_round_trip() {
    for addr in random_addrs(20_000) {
        let text = addr.to_string();
        assert!(text.len() < 80, "longer than UDPR_ADDR_TEXT_MAX has room for");
        assert_same(&Addr::parse(&text, 0, |_| Err(Status::NO_INTERFACE)).expect(&text), &addr);
        assert_eq!(
            Addr::parse_host(&text, 0, |_| Err(Status::NO_INTERFACE)).is_ok(),
            addr.port == 0,
            "{text}"
        );
    }
}

#[test]
fn display() {
    let link_local = ip6("fe80::1");
    for (addr, text) in [
        (Addr::v4([1, 2, 3, 4], 0), "1.2.3.4"),
        (Addr::v4([1, 2, 3, 4], 53), "1.2.3.4:53"),
        (Addr::v6(link_local, 0, 0), "fe80::1"),
        (Addr::v6(link_local, 53, 0), "[fe80::1]:53"),
        (Addr::v6(link_local, 0, 2), "fe80::1%2"),
        (Addr::v6(link_local, 53, 2), "[fe80::1%2]:53"),
        (Addr::v6(ip6("::ffff:1.2.3.4"), 53, 0), "[::ffff:1.2.3.4]:53"),
        (Addr::UNSPECIFIED, "unspecified"),
        (Addr { family: 5, ..Addr::v4([1, 2, 3, 4], 53) }, "unspecified"),
    ] {
        assert_eq!(addr.to_string(), text);
    }
}

#[test]
fn layout_is_the_headers() {
    let offsets = [
        offset_of!(Addr, family),
        offset_of!(Addr, port),
        offset_of!(Addr, scope_id),
        offset_of!(Addr, flow_info),
        offset_of!(Addr, bytes),
        offset_of!(Addr, reserved),
    ];
    assert_eq!(offsets, [0, 2, 4, 8, 12, 28]);
}

#[test]
fn equality() {
    let four = Addr::v4([1, 2, 3, 4], 5);
    let six = Addr::v6(ip6("fe80::1"), 5, 6);
    let behind = [1, 2, 3, 4, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9];
    assert_eq!(four, Addr { bytes: behind, flow_info: 1, reserved: 1, ..four });
    assert_eq!(six, Addr { flow_info: 1, reserved: 1, ..six });
    for addr in [four, six] {
        assert_ne!(addr, Addr { port: 6, ..addr });
        assert_ne!(addr, Addr { scope_id: 7, ..addr });
        assert_ne!(addr, Addr { family: family::UNSPEC, ..addr });
        let octets = if addr.family == family::INET { 4 } else { 16 };
        for n in 0..octets {
            let mut other = addr;
            other.bytes[n] ^= 1;
            assert_ne!(addr, other, "byte {n}");
        }
    }
    assert_ne!(four, four.map_v4().expect("IPv4"));
}

#[test]
fn order_and_hash_agree_with_equality() {
    let addrs: Vec<Addr> = random_addrs(400).collect();
    for a in &addrs {
        let flow = Addr { flow_info: 5, reserved: 6, ..*a };
        assert_eq!((a.cmp(&flow), a.seeded_hash(7)), (Ordering::Equal, flow.seeded_hash(7)));
        for b in &addrs {
            assert_eq!(a.cmp(b) == Ordering::Equal, a == b);
            assert_eq!(a.cmp(b), b.cmp(a).reverse());
            assert_eq!(a.seeded_hash(7) == b.seeded_hash(7), a == b);
        }
    }
    let mut sorted = addrs.clone();
    sorted.sort();
    assert!(sorted.iter().enumerate().all(|(at, a)| sorted[at..].iter().all(|b| a <= b)));
}

#[test]
fn bytes_behind_an_ipv4_address_do_not_count() {
    let plain = Addr::v4([1, 2, 3, 4], 5);
    let mut other = plain;
    other.bytes[4..].fill(9);
    assert_eq!((plain.cmp(&other), plain == other), (Ordering::Equal, true));
    assert_eq!(plain.seeded_hash(1), other.seeded_hash(1));
}

#[test]
fn check_knows_families_and_the_reserved_word() {
    for family in 0..=u16::MAX {
        let ok = family == family::INET || family == family::INET6;
        let addr = Addr { family, ..Addr::UNSPECIFIED };
        assert_eq!(addr.check("to"), if ok { Ok(()) } else { Err(Status::INVALID_ARGUMENT) });
        let later = Addr { reserved: 1, ..addr };
        assert_eq!(later.check("to"), Err(if ok { Status::VERSION } else { Status::INVALID_ARGUMENT }));
    }
}

#[test]
fn mapping() {
    let four = Addr::v4([1, 2, 3, 4], 53);
    let mapped = four.map_v4().expect("IPv4");
    assert_same(&mapped, &parse("[::ffff:1.2.3.4]:53").expect("IPv6"));
    assert!(mapped.is_v4_mapped());
    assert_same(&mapped.unmap_v4().expect("mapped"), &four);
    assert_eq!(mapped.map_v4(), Err(Status::ADDRESS_FAMILY));
    for other in [four, Addr::UNSPECIFIED, parse("::1.2.3.4").unwrap(), parse("::fffe:1.2.3.4").unwrap()] {
        assert!(!other.is_v4_mapped());
        assert_eq!(other.unmap_v4(), Err(Status::ADDRESS_FAMILY));
    }
    assert_eq!(Addr::UNSPECIFIED.map_v4(), Err(Status::ADDRESS_FAMILY));
}

#[test]
fn kinds() {
    for (text, multicast, any) in [
        ("0.0.0.0", false, true),
        ("0.0.0.1", false, false),
        ("1.0.0.0", false, false),
        ("223.255.255.255", false, false),
        ("224.0.0.0", true, false),
        ("239.255.255.255", true, false),
        ("240.0.0.0", false, false),
        ("::", false, true),
        ("::1", false, false),
        ("::ffff:0.0.0.0", false, false),
        ("ff02::1", true, false),
        ("ff00::", true, false),
        ("feff::1", false, false),
    ] {
        let addr = parse(text).expect(text);
        assert_eq!((addr.is_multicast(), addr.is_any()), (multicast, any), "{text}");
    }
    let nothing = Addr { bytes: [0xff; 16], ..Addr::UNSPECIFIED };
    assert!(!nothing.is_multicast() && !Addr::UNSPECIFIED.is_any());
}
