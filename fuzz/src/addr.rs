//! Addresses as text, as `sockaddr` and as a caller's struct: the chapter "addresses" of the header.
//!
//! The input is used as the bytes of each of them.
#![allow(unsafe_code)]

use super::input::{Input, c_string};
use std::ffi::{CStr, CString, c_char, c_void};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ptr::null_mut;
use udpr::abi::{udpr_addr, udpr_limit, udpr_status};
use udpr::addr::{Addr, family};
use udpr::capi::addr::*;
use udpr::status::{Result, Status};

/// The port of texts without one.
const PORT: u16 = 4321;
const TEXT_MAX: usize = udpr_limit::UDPR_ADDR_TEXT_MAX as usize;
/// A byte that marks memory that was not written.
const POISON: u8 = 0xa5;

pub fn run(input: &[u8]) {
    read_text(&c_string(input));
    read_sockaddr(input);
    write(&value(input));
}

fn result<T>(status: udpr_status, value: T) -> Result<T> {
    if status == 0 { Ok(value) } else { Err(Status::from_code(status)) }
}

fn c(addr: &Addr) -> *const udpr_addr {
    std::ptr::from_ref(addr).cast()
}

/// Returns the address that a call writes. A call that fails must not write.
fn address(call: impl FnOnce(*mut udpr_addr) -> udpr_status) -> Result<Addr> {
    let mut raw = [u64::from_ne_bytes([POISON; 8]); 4];
    let status = call(raw.as_mut_ptr().cast());
    assert!(status == 0 || raw == [u64::from_ne_bytes([POISON; 8]); 4], "written to by a call that failed");
    // SAFETY: 32 bytes, aligned to 8, any of which are valid in an address.
    result(status, unsafe { raw.as_ptr().cast::<Addr>().read() })
}

fn parse(text: &CStr) -> Result<Addr> {
    // SAFETY: the text ends with NUL, and `out` has room for an address.
    address(|out| unsafe { udpr_addr_parse(text.as_ptr(), PORT, out) })
}

fn read_text(text: &CStr) {
    let any = parse(text);
    // SAFETY: as in parse.
    let bare = address(|out| unsafe { udpr_addr_parse_host(text.as_ptr(), PORT, out) });
    assert!(any.is_ok() || any == Err(Status::INVALID_ADDRESS), "{any:?}");
    assert!(bare.is_err() || Addr::are_identical(bare.as_ref().ok(), any.as_ref().ok()), "{bare:?} {any:?}");
    if let Ok(addr) = any {
        assert_eq!((addr.check("addr"), addr.flow_info), (Ok(()), 0));
        write(&addr);
    }
    compare(text, bare, any);
    interface(text, bare);
}

/// Compares with the parsers of Rust's standard library and of the C library, for texts without a zone.
fn compare(text: &CStr, bare: Result<Addr>, any: Result<Addr>) {
    let Ok(string) = text.to_str() else {
        assert_eq!((bare, any), (Err(Status::INVALID_ADDRESS), Err(Status::INVALID_ADDRESS)));
        return;
    };
    let expected = if string.contains('%') { None } else { string.parse().ok() };
    if !string.contains('%') {
        assert_eq!(bare.ok(), expected.map(|ip| addr(ip, PORT)), "{string:?}");
        assert_eq!(bare.ok(), c_library(text), "{string:?}");
    }
    // Unlike in the standard library, a port has at most five digits, and zone 0 is not allowed.
    let digits = string.rsplit(':').next().map_or(0, str::len);
    if let (Ok(socket), true) = (string.parse::<SocketAddr>(), digits <= 5 && !string.contains('%')) {
        assert_eq!(any, Ok(addr(socket.ip(), socket.port())), "{string:?}");
    } else if !string.contains('%') {
        assert_eq!(any, bare, "{string:?}");
    }
}

fn addr(ip: IpAddr, port: u16) -> Addr {
    match ip {
        IpAddr::V4(ip) => Addr::v4(ip.octets(), port),
        IpAddr::V6(ip) => Addr::v6(ip.octets(), port, 0),
    }
}

unsafe extern "C" {
    fn inet_pton(version: i32, text: *const c_char, out: *mut c_void) -> i32;
}

fn c_library(text: &CStr) -> Option<Addr> {
    let (mut v4, mut v6) = ([0u8; 4], [0u8; 16]);
    // SAFETY: the text ends with NUL, and an IPv4 address has four bytes.
    if unsafe { inet_pton(libc::AF_INET, text.as_ptr(), v4.as_mut_ptr().cast()) } == 1 {
        return Some(addr(Ipv4Addr::from(v4).into(), PORT));
    }
    // SAFETY: as above; an IPv6 address has sixteen bytes.
    let found = unsafe { inet_pton(libc::AF_INET6, text.as_ptr(), v6.as_mut_ptr().cast()) } == 1;
    found.then(|| addr(Ipv6Addr::from(v6).into(), PORT))
}

fn interface(text: &CStr, bare: Result<Addr>) {
    let mut index = u32::MAX;
    // SAFETY: the text ends with NUL, and `index` may be written.
    let status = unsafe { udpr_interface_index(text.as_ptr(), &mut index) };
    let expected = if text.is_empty() { Status::INVALID_ARGUMENT } else { Status::NO_INTERFACE };
    match result(status, index) {
        Ok(0) => assert!(bare.is_ok_and(|addr| addr.is_any()), "{text:?}"),
        Ok(index) => assert!(udpr::sys::interface::exists(index), "{text:?}"),
        Err(status) => assert_eq!((status, index), (expected, u32::MAX), "{text:?}"),
    }
}

fn read_sockaddr(raw: &[u8]) {
    // SAFETY: the pointer and the length are those of `raw`.
    let found = address(|out| unsafe { udpr_addr_from_sockaddr(raw.as_ptr().cast(), raw.len(), out) });
    let mut in_place = Addr::v4([1; 4], 1);
    let mut name = [0xa5; Addr::SOCKADDR_MAX];
    let len = raw.len().min(name.len());
    name[..len].copy_from_slice(&raw[..len]);
    in_place.read_sockaddr(&name, len);
    assert!(Addr::are_identical(Some(&in_place), Some(&found.unwrap_or(Addr::UNSPECIFIED))));
    let family = raw.first_chunk().map(|family| i32::from(u16::from_ne_bytes(*family)));
    let minimum = match family {
        None => usize::MAX,
        Some(libc::AF_INET) => 16,
        Some(libc::AF_INET6) => 28,
        Some(_) => {
            assert_eq!(found, Err(Status::ADDRESS_FAMILY));
            return;
        }
    };
    assert_eq!(found.err(), (raw.len() < minimum).then_some(Status::INVALID_ARGUMENT));
    if let Ok(addr) = found {
        let written = write_sockaddr(&addr);
        let known = if minimum == 16 { 8 } else { 28 };
        assert_eq!(written[..known], raw[..known]);
        assert!(written[known..].iter().all(|byte| *byte == 0));
    }
}

fn write_sockaddr(addr: &Addr) -> Vec<u8> {
    let whole = if addr.family == family::INET { 16 } else { 28 };
    for capacity in 0..Addr::SOCKADDR_MAX {
        let (mut room, mut len) = (vec![POISON; capacity], 0);
        // SAFETY: `addr` is an address, and `room` has `capacity` bytes.
        let status = unsafe { udpr_addr_to_sockaddr(c(addr), room.as_mut_ptr().cast(), capacity, &mut len) };
        assert_eq!((status == 0, len), (capacity >= whole, whole));
        assert!(status == 0 || room.iter().all(|byte| *byte == POISON));
    }
    let mut raw = vec![0; Addr::SOCKADDR_MAX];
    // SAFETY: as above; the length may be NULL.
    let status = unsafe { udpr_addr_to_sockaddr(c(addr), raw.as_mut_ptr().cast(), raw.len(), null_mut()) };
    assert_eq!(status, 0);
    raw.truncate(whole);
    raw
}

/// A struct with arbitrary values.
fn value(input: &[u8]) -> Addr {
    let mut input = Input(input);
    Addr {
        family: input.u16(),
        port: input.u16(),
        scope_id: input.u32(),
        flow_info: input.u32(),
        bytes: input.array(),
        reserved: input.u32(),
    }
}

/// Writes an address in every form and reads it again.
fn write(addr: &Addr) {
    map(addr);
    if let Err(status) = addr.check("addr") {
        let mut len = 1;
        // SAFETY: `addr` is an address, and the capacity is 0.
        let text = unsafe { udpr_addr_format(c(addr), null_mut(), 0, &mut len) };
        assert_eq!((text, len), (status.code(), 0));
        // SAFETY: as above.
        let raw = unsafe { udpr_addr_to_sockaddr(c(addr), null_mut(), 0, &mut len) };
        assert_eq!((raw, len), (status.code(), 0));
        return;
    }
    let raw = write_sockaddr(addr);
    let scope_id = if addr.family == family::INET { 0 } else { addr.scope_id };
    let same = Addr { scope_id, ..*addr };
    assert_eq!(Addr::from_sockaddr(&raw), Ok(same));
    let text = format(addr);
    let port = if addr.port == 0 { PORT } else { addr.port };
    assert_eq!(parse(&text), Ok(Addr { port, ..same }), "{text:?}");
}

/// Returns the text of an address. With less room, as much as fits is written, and nothing after it.
fn format(addr: &Addr) -> CString {
    let in_room = |room: &mut [u8]| {
        let mut len = 0;
        let buffer = room.as_mut_ptr().cast::<c_char>();
        // SAFETY: `addr` is an address, and the length is that of `room`.
        (unsafe { udpr_addr_format(c(addr), buffer, room.len(), &mut len) }, len)
    };
    let mut whole = vec![POISON; TEXT_MAX];
    let (status, len) = in_room(&mut whole);
    assert!(status == 0 && whole[len] == 0 && whole[len + 1..].iter().all(|byte| *byte == POISON));
    whole.truncate(len);
    for capacity in 0..=len + 1 {
        let mut room = vec![POISON; capacity];
        let status = in_room(&mut room);
        assert_eq!(status, (if capacity > len { 0 } else { Status::INVALID_ARGUMENT.code() }, len));
        if let Some((end, text)) = room.split_last() {
            assert_eq!((*end, text), (0, &whole[..capacity - 1]));
        }
    }
    CString::new(whole).expect("no NUL within")
}

fn map(addr: &Addr) {
    // SAFETY: `addr` is an address, and `out` has room for one.
    let mapped = address(|out| unsafe { udpr_addr_map_v4(c(addr), out) });
    assert_eq!(mapped.err(), (addr.family != family::INET).then_some(Status::ADDRESS_FAMILY));
    if let Ok(mapped) = mapped {
        // SAFETY: as above.
        let back = address(|out| unsafe { udpr_addr_unmap_v4(c(&mapped), out) });
        assert_eq!(back, Ok(Addr { scope_id: 0, ..*addr }));
    }
    // SAFETY: as above.
    let plain = address(|out| unsafe { udpr_addr_unmap_v4(c(addr), out) });
    assert_eq!(plain.is_ok(), addr.is_v4_mapped());
    if let Ok(plain) = plain {
        assert_eq!(plain.map_v4(), Ok(Addr { scope_id: 0, ..*addr }));
    }
    // SAFETY: both pointers point to addresses.
    let same = unsafe { udpr_addr_equal(c(addr), c(&Addr { flow_info: !addr.flow_info, ..*addr })) };
    assert_eq!(same, 1, "the flow information is not compared");
    let next = Addr { port: addr.port ^ 1, ..*addr };
    for (other, same) in [(Addr { flow_info: !addr.flow_info, ..*addr }, true), (next, false)] {
        // SAFETY: the pointer points to an address.
        let [one, two] = [addr, &other].map(|addr| unsafe { udpr_addr_hash(c(addr), 7) });
        // SAFETY: as above, of both.
        let order = unsafe { udpr_addr_compare(c(addr), c(&other)) };
        assert_eq!((one == two, order == 0), (same, same));
        // SAFETY: as above.
        assert_eq!(order.signum(), -unsafe { udpr_addr_compare(c(&other), c(addr)) }.signum());
    }
}
