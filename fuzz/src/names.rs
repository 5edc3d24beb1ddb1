//! What a host name may be, and what is answered without a look-up: `resolver` and udpr_reactor_resolve. Nothing is ever
//! looked up here.
//!
//! Input: the family asked for, the port, the name.
#![allow(unsafe_code)]

use super::bytes::{Bytes, text};
use super::reactor::Reactor;
use std::cell::RefCell;
use std::ffi::{CStr, c_void};
use std::net::IpAddr;
use std::ptr::{null_mut, slice_from_raw_parts};
use udpr::abi::{udpr_addr, udpr_id, udpr_reactor, udpr_status};
use udpr::addr::{Addr, family};
use udpr::capi::thread::udpr_reactor_resolve;
use udpr::resolver::{Host, host};
use udpr::status::{Result, Status};

/// The longest name, and label, that DNS has (RFC 1035, 2.3.4).
const LONGEST: (usize, usize) = (253, 63);

pub fn run(input: &[u8]) {
    let mut input = Bytes(input);
    let (version, port) =
        (input.choose(&[family::UNSPEC, family::INET, family::INET6, 1, u16::MAX]), input.u16());
    let name = text(input.0);
    let Ok(string) = name.to_str() else {
        ask(&name, port, version, Err(Status::INVALID_ARGUMENT));
        return;
    };
    match host(string, port, version) {
        Ok(Host::Name(deferred)) => {
            assert_eq!(deferred, name);
            check_name(&name, string);
        }
        Ok(Host::Known(answer)) => {
            check_known(string, port, version, &answer);
            ask(&name, port, version, Ok(answer));
        }
        Err(status) => {
            let name = string.strip_suffix('.').unwrap_or(string);
            let plain = name.split('.').all(|label| {
                let bytes = label.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-');
                !label.is_empty() && label.len() <= LONGEST.1 && bytes
            });
            let known = [family::UNSPEC, family::INET, family::INET6].contains(&version);
            assert!(!known || !plain || name.len() > LONGEST.0, "{string:?} is a name");
            ask(&text(string.as_bytes()), port, version, Err(status));
        }
    }
}

/// Nothing that the C library would read as an address (CVE-2024-24806) or send to a server as it is no name.
fn check_name(name: &CStr, string: &str) {
    let whole = string.strip_suffix('.').unwrap_or(string);
    assert!((1..=LONGEST.0).contains(&whole.len()), "{string:?}");
    assert!(whole.split('.').all(|label| (1..=LONGEST.1).contains(&label.len())), "{string:?}");
    assert!(string.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)), "{string:?}");
    assert!(string.parse::<IpAddr>().is_err(), "{string:?}");
    let mut found = libc::in_addr { s_addr: 0 };
    // SAFETY: a text that ends in NUL, and the four bytes of an address.
    let read = unsafe { inet_aton(name.as_ptr(), &mut found) };
    assert_eq!(read, 0, "{string:?} is {found:?} to inet_aton");
    // SAFETY: an addrinfo is integers and pointers; all of them may be zero.
    let mut hints: libc::addrinfo = unsafe { std::mem::zeroed() };
    // This asks nobody.
    hints.ai_flags = libc::AI_NUMERICHOST;
    let mut list = null_mut();
    // SAFETY: a name that ends in NUL, no service, hints, and a place for the list.
    let code = unsafe { libc::getaddrinfo(name.as_ptr(), std::ptr::null(), &hints, &mut list) };
    assert_eq!(code, libc::EAI_NONAME, "{string:?} is an address to getaddrinfo");
}

unsafe extern "C" {
    fn inet_aton(text: *const std::ffi::c_char, out: *mut libc::in_addr) -> i32;
}

fn check_known(string: &str, port: u16, version: u16, answer: &Result<Vec<Addr>>) {
    match answer {
        Ok(addrs) => {
            let [addr] = addrs[..] else { panic!("{string:?} is one address, not {addrs:?}") };
            assert_eq!((addr.check(), addr.port), (Ok(()), port));
            assert!(version == family::UNSPEC || version == addr.family, "{string:?}");
            assert!(addr.is_any() || !string.is_empty());
        }
        Err(status) => assert_eq!((*status, version != family::UNSPEC), (Status::ADDRESS_FAMILY, true)),
    }
}

/// What was told, and how often its `user` was freed.
#[derive(Default)]
struct Seen {
    results: Vec<Result<Vec<Addr>>>,
    freed: usize,
}

/// Asks the C face, for what is known beforehand.
fn ask(name: &CStr, port: u16, version: u16, expected: Result<Result<Vec<Addr>>>) {
    let reactor = Reactor::new(std::ptr::null()).expect("a reactor");
    let seen = RefCell::new(Seen::default());
    let user = std::ptr::from_ref(&seen).cast_mut().cast();
    let mut id = 0;
    let (handle, text) = (reactor.handle, name.as_ptr());
    // SAFETY: a reactor, a text, and functions for a user that outlives the reactor.
    let status = unsafe {
        udpr_reactor_resolve(handle, text, port, version, 0, Some(meta_port), user, Some(freed), &mut id)
    };
    assert!(seen.borrow().results.is_empty(), "told inside the call");
    match expected {
        Ok(answer) => {
            assert_eq!((status, id != 0, seen.borrow().freed), (0, true, 0));
            reactor.context();
            assert_eq!((&seen.borrow().results[..], seen.borrow().freed), (&[answer][..], 1));
        }
        Err(error) => assert_eq!((Status::from_code(status), id, seen.borrow().freed), (error, 0, 1)),
    }
    reactor.context();
    reactor.end();
    assert_eq!(seen.borrow().freed, 1);
}

unsafe extern "C-unwind" fn meta_port(
    _: *mut udpr_reactor,
    _: udpr_id,
    status: udpr_status,
    addrs: *const udpr_addr,
    count: usize,
    user: *mut c_void,
) {
    // SAFETY: as many addresses as it says, none of them with NULL.
    let addrs = unsafe { slice_from_raw_parts(addrs.cast::<Addr>(), count).as_ref() }.unwrap_or_default();
    let answer = if status == 0 { Ok(addrs.to_vec()) } else { Err(Status::from_code(status)) };
    // SAFETY: the user of ask.
    let seen = unsafe { &*user.cast::<RefCell<Seen>>() };
    seen.borrow_mut().results.push(answer);
}

unsafe extern "C-unwind" fn freed(user: *mut c_void) {
    // SAFETY: as above.
    let seen = unsafe { &*user.cast::<RefCell<Seen>>() };
    seen.borrow_mut().freed += 1;
}
