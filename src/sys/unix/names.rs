//! Host names: getaddrinfo(3).

use crate::addr::{Addr, family};
use crate::status::{Result, Status};
use std::ffi::CStr;
use std::ptr::null_mut;

/// getaddrinfo(3), with SOCK_DGRAM, so that each address is returned once, and without AI_ADDRCONFIG, which ignores
/// loopback: a host without a network would have no "localhost".
///
/// # Errors
/// NAME_NOT_FOUND if the name has no such address, NAME_TRY_AGAIN if no server could say; see [`FAILURES`].
pub fn look_up(host: &CStr, version: u16) -> Result<Vec<Addr>> {
    // SAFETY: an addrinfo is integers and pointers; all of them may be zero.
    let mut hints: libc::addrinfo = unsafe { std::mem::zeroed() };
    hints.ai_socktype = libc::SOCK_DGRAM;
    hints.ai_family = match version {
        family::INET => libc::AF_INET,
        family::INET6 => libc::AF_INET6,
        _ => libc::AF_UNSPEC,
    };
    let mut list: *mut libc::addrinfo = null_mut();
    // SAFETY: a NUL-terminated name, no service, one set of hints, and a place for the list.
    let code = unsafe { libc::getaddrinfo(host.as_ptr(), std::ptr::null(), &hints, &mut list) };
    if code != 0 {
        return Err(failure(code));
    }
    let mut addrs = Vec::new();
    let mut entry = list;
    // SAFETY: NULL or an entry of the list, which is freed below.
    while let Some(info) = unsafe { entry.as_ref() } {
        // SAFETY: each entry's address has the length that it says.
        let raw = unsafe { std::slice::from_raw_parts(info.ai_addr.cast(), info.ai_addrlen as usize) };
        addrs.extend(Addr::from_sockaddr(raw));
        entry = info.ai_next;
    }
    // SAFETY: the list that getaddrinfo has made.
    unsafe { libc::freeaddrinfo(list) };
    if addrs.is_empty() { Err(Status::NAME_NOT_FOUND) } else { Ok(addrs) }
}

/// The status for each code of getaddrinfo(3); for EAI_SYSTEM it is errno's. The other codes are those of
/// getaddrinfo_a(3).
#[rustfmt::skip]
const FAILURES: [(i32, Status); 12] = [
    (libc::EAI_NONAME,   Status::NAME_NOT_FOUND),
    (EAI_NODATA,         Status::NAME_NOT_FOUND),
    (EAI_ADDRFAMILY,     Status::NAME_NOT_FOUND), // it has addresses, but of the other family
    (libc::EAI_AGAIN,    Status::NAME_TRY_AGAIN),
    (libc::EAI_FAIL,     Status::NAME_TRY_AGAIN), // a server that would not answer
    (libc::EAI_MEMORY,   Status::NO_MEMORY),
    (libc::EAI_FAMILY,   Status::ADDRESS_FAMILY),
    (libc::EAI_OVERFLOW, Status::INVALID_ARGUMENT),
    (EAI_IDN_ENCODE,     Status::INVALID_ARGUMENT),
    // The hints are valid: this system does not support them.
    (libc::EAI_BADFLAGS, Status::NOT_SUPPORTED),
    (libc::EAI_SOCKTYPE, Status::NOT_SUPPORTED),
    (libc::EAI_SERVICE,  Status::NOT_SUPPORTED),
];

// netdb.h of glibc; of FreeBSD and macOS, where all codes are positive.
const EAI_ADDRFAMILY: i32 = if cfg!(target_os = "linux") { -9 } else { 1 };
const EAI_NODATA: i32 = if cfg!(target_os = "linux") { -5 } else { 7 };
const EAI_IDN_ENCODE: i32 = -105;

fn failure(code: i32) -> Status {
    if code == libc::EAI_SYSTEM {
        return std::io::Error::last_os_error().into();
    }
    FAILURES.iter().find(|(known, _)| *known == code).map_or(Status::SYSTEM, |(_, status)| *status)
}
