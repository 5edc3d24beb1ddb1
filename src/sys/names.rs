//! Host names: getaddrinfo(3).

use crate::addr::{Addr, family};
use crate::status::{Result, Status};
use std::ffi::CStr;
use std::ptr::null_mut;
use std::sync::Arc;

/// Looks a name up, on whichever thread: all addresses of a family ([`family::UNSPEC`]: of both) in the system's order.
pub type LookUp = Arc<dyn Fn(&CStr, u16) -> Result<Vec<Addr>> + Send + Sync>;

/// getaddrinfo(3). NAME_NOT_FOUND where the name has no such address, NAME_TRY_AGAIN where nobody could say.
///
/// SOCK_DGRAM, so that each address comes once; no AI_ADDRCONFIG, since loopback does not count there and a host without
/// a network would have no "localhost".
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

fn failure(code: i32) -> Status {
    match code {
        libc::EAI_NONAME | libc::EAI_NODATA | EAI_ADDRFAMILY => Status::NAME_NOT_FOUND,
        libc::EAI_MEMORY => Status::NO_MEMORY,
        libc::EAI_SYSTEM => std::io::Error::last_os_error().into(),
        // EAI_AGAIN; EAI_FAIL is a server that would not answer.
        _ => Status::NAME_TRY_AGAIN,
    }
}

/// The name has addresses, but of the other family (netdb.h of glibc).
const EAI_ADDRFAMILY: i32 = -9;
