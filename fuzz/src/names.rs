//! HostSpec names, and look-ups that need no resolver: `resolver` and udpr_reactor_resolve. No name is looked up.
//!
//! Input: the family, the port, the name.
#![allow(unsafe_code)]

use super::input::{Input, c_string};
use super::reactor::Reactor;
use std::cell::RefCell;
use std::ffi::{CStr, c_void};
use std::net::IpAddr;
use std::ptr::{null_mut, slice_from_raw_parts};
use udpr::abi::{udpr_addr, udpr_id, udpr_reactor, udpr_status};
use udpr::addr::{Addr, family};
use udpr::capi::thread::udpr_reactor_resolve;
use udpr::resolver::{HostSpec, host};
use udpr::status::{Result, Status};

/// The maximum lengths of a name and of a label in DNS (RFC 1035, 2.3.4).
const LONGEST: (usize, usize) = (253, 63);

pub fn run(input: &[u8]) {
    let mut input = Input(input);
    let (version, port) =
        (input.choose(&[family::UNSPEC, family::INET, family::INET6, 1, u16::MAX]), input.u16());
    let name = c_string(input.0);
    let Ok(string) = name.to_str() else {
        resolve(&name, port, version, Err(Status::INVALID_ARGUMENT));
        return;
    };
    match host(string, port, version) {
        Ok(HostSpec::Name(deferred)) => {
            assert_eq!(deferred, name);
            check_name(&name, string);
        }
        Ok(HostSpec::Known(result)) => {
            check_known(string, port, version, &result);
            resolve(&name, port, version, Ok(result));
        }
        Err(status) => {
            let name = string.strip_suffix('.').unwrap_or(string);
            let plain = name.split('.').all(|label| {
                let bytes = label.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'-');
                !label.is_empty() && label.len() <= LONGEST.1 && bytes
            });
            let known = [family::UNSPEC, family::INET, family::INET6].contains(&version);
            assert!(!known || !plain || name.len() > LONGEST.0, "{string:?} is a name");
            resolve(&c_string(string.as_bytes()), port, version, Err(status));
        }
    }
}

/// Checks that the C library does not parse the name as an address (CVE-2024-24806), and that it is a valid name in DNS.
fn check_name(name: &CStr, string: &str) {
    let whole = string.strip_suffix('.').unwrap_or(string);
    assert!((1..=LONGEST.0).contains(&whole.len()), "{string:?}");
    assert!(whole.split('.').all(|label| (1..=LONGEST.1).contains(&label.len())), "{string:?}");
    assert!(string.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)), "{string:?}");
    assert!(string.parse::<IpAddr>().is_err(), "{string:?}");
    let mut found = libc::in_addr { s_addr: 0 };
    // SAFETY: the text ends with NUL, and `found` has the four bytes of an address.
    let read = unsafe { inet_aton(name.as_ptr(), &mut found) };
    assert_eq!(read, 0, "{string:?} is {found:?} to inet_aton");
    // SAFETY: an addrinfo has integers and pointers, all of which may be zero.
    let mut hints: libc::addrinfo = unsafe { std::mem::zeroed() };
    // Prevents a look-up.
    hints.ai_flags = libc::AI_NUMERICHOST;
    let mut list = null_mut();
    // SAFETY: the name ends with NUL, there is no service, and `list` may be written.
    let code = unsafe { libc::getaddrinfo(name.as_ptr(), std::ptr::null(), &hints, &mut list) };
    assert_eq!(code, libc::EAI_NONAME, "{string:?} is an address to getaddrinfo");
}

unsafe extern "C" {
    fn inet_aton(text: *const std::ffi::c_char, out: *mut libc::in_addr) -> i32;
}

fn check_known(string: &str, port: u16, version: u16, result: &Result<Vec<Addr>>) {
    match result {
        Ok(addrs) => {
            let [addr] = addrs[..] else { panic!("{string:?} is one address, not {addrs:?}") };
            assert_eq!((addr.check("addr"), addr.port), (Ok(()), port));
            assert!(version == family::UNSPEC || version == addr.family, "{string:?}");
            assert!(addr.is_any() || !string.is_empty());
        }
        Err(status) => assert_eq!((*status, version != family::UNSPEC), (Status::ADDRESS_FAMILY, true)),
    }
}

/// The results of a look-up, and how often its `user` was freed.
#[derive(Default)]
struct Record {
    results: Vec<Result<Vec<Addr>>>,
    freed: usize,
}

/// Calls udpr_reactor_resolve, whose result is known.
fn resolve(name: &CStr, port: u16, version: u16, expected: Result<Result<Vec<Addr>>>) {
    let reactor = Reactor::new(std::ptr::null()).expect("a reactor");
    let record = RefCell::new(Record::default());
    let user = std::ptr::from_ref(&record).cast_mut().cast();
    let mut id = 0;
    let (handle, text) = (reactor.handle, name.as_ptr());
    // SAFETY: a reactor, a text that ends with NUL, and functions for a `user` that outlives the reactor.
    let status = unsafe {
        udpr_reactor_resolve(handle, text, port, version, 0, Some(meta_port), user, Some(freed), &mut id)
    };
    assert!(record.borrow().results.is_empty(), "called within udpr_reactor_resolve");
    match expected {
        Ok(result) => {
            assert_eq!((status, id != 0, record.borrow().freed), (0, true, 0));
            reactor.context();
            assert_eq!((&record.borrow().results[..], record.borrow().freed), (&[result][..], 1));
        }
        Err(error) => assert_eq!((Status::from_code(status), id, record.borrow().freed), (error, 0, 1)),
    }
    reactor.context();
    reactor.free();
    assert_eq!(record.borrow().freed, 1);
}

unsafe extern "C-unwind" fn meta_port(
    _: *mut udpr_reactor,
    _: udpr_id,
    status: udpr_status,
    addrs: *const udpr_addr,
    count: usize,
    user: *mut c_void,
) {
    // SAFETY: `addrs` has `count` addresses, or is NULL.
    let addrs = unsafe { slice_from_raw_parts(addrs.cast::<Addr>(), count).as_ref() }.unwrap_or_default();
    let result = if status == 0 { Ok(addrs.to_vec()) } else { Err(Status::from_code(status)) };
    // SAFETY: the `user` that `resolve` has passed.
    let record = unsafe { &*user.cast::<RefCell<Record>>() };
    record.borrow_mut().results.push(result);
}

unsafe extern "C-unwind" fn freed(user: *mut c_void) {
    // SAFETY: as above.
    let record = unsafe { &*user.cast::<RefCell<Record>>() };
    record.borrow_mut().freed += 1;
}
