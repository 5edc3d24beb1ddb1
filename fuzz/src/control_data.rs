//! A second implementation of control data (cmsg(3)): reads and generates it.

use super::input::Input;

const HEADER: usize = size_of::<libc::cmsghdr>();
const WORD: usize = size_of::<usize>();

/// Level, type and value.
pub type Item<'a> = (i32, i32, &'a [u8]);

/// The kinds that the library reads, and one that it does not know.
const KINDS: [(i32, i32); 11] = [
    (libc::IPPROTO_IP, libc::IP_PKTINFO),
    (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO),
    (libc::IPPROTO_IP, libc::IP_TOS),
    (libc::IPPROTO_IPV6, libc::IPV6_TCLASS),
    (libc::IPPROTO_IP, libc::IP_TTL),
    (libc::IPPROTO_IPV6, libc::IPV6_HOPLIMIT),
    (libc::SOL_SOCKET, libc::SO_TIMESTAMPNS),
    (libc::SOL_UDP, libc::UDP_GRO),
    (libc::SOL_IP, libc::IP_RECVERR),
    (libc::SOL_IPV6, libc::IPV6_RECVERR),
    (libc::SOL_SOCKET, libc::SCM_RIGHTS),
];

/// Reads the items by their offsets.
pub fn items(control: &[u8]) -> Vec<Item<'_>> {
    let int = |at: usize| i32::from_ne_bytes(control[at..at + 4].try_into().expect("four bytes"));
    let (mut found, mut at) = (Vec::new(), 0);
    while at + HEADER <= control.len() {
        let len = usize::from_ne_bytes(control[at..at + WORD].try_into().expect("a word"));
        if len < HEADER || len > control.len() - at {
            break;
        }
        found.push((int(at + WORD), int(at + WORD + 4), &control[at + HEADER..at + len]));
        at += len.div_ceil(WORD) * WORD;
    }
    found
}

/// Generates control data from an input: its bytes unchanged, or well-formed items of known kinds, which are rare by chance.
pub fn make(mut input: Input<'_>, well_formed: bool) -> Vec<u8> {
    if !well_formed {
        return input.0.to_vec();
    }
    let mut control = Vec::new();
    while !input.is_empty() {
        let (kind, len) = (input.choose(&KINDS), usize::from(input.byte() % 64));
        add(&mut control, kind, input.take(len));
    }
    control
}

/// Appends an item.
pub fn add(control: &mut Vec<u8>, (level, kind): (i32, i32), value: &[u8]) {
    control.extend((HEADER + value.len()).to_ne_bytes());
    control.extend(level.to_ne_bytes());
    control.extend(kind.to_ne_bytes());
    control.extend(value);
    control.resize(control.len().next_multiple_of(WORD), 0);
}

/// The value of an int, which the kernel may also pass as one byte.
pub fn int(value: &[u8]) -> Option<i32> {
    if value.len() == 1 {
        Some(value[0].into())
    } else {
        Some(i32::from_ne_bytes(value.get(..4)?.try_into().ok()?))
    }
}
