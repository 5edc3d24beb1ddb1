//! Host names: GetAddrInfoW.

use super::socket::start_winsock;
use crate::addr::{Addr, family};
use crate::status::{Result, Status};
use std::ffi::CStr;
use std::ptr::{null, null_mut};
use windows_sys::Win32::Networking::WinSock::{
    ADDRINFOW, AF_INET, AF_INET6, AF_UNSPEC, FreeAddrInfoW, GetAddrInfoW, SOCK_DGRAM, WSAHOST_NOT_FOUND,
    WSANO_DATA, WSANO_RECOVERY, WSATRY_AGAIN,
};

/// Looks a name up, which is UTF-8, with SOCK_DGRAM, so that each address is returned once.
///
/// # Errors
/// NAME_NOT_FOUND if the name has no such address, NAME_TRY_AGAIN if no server could say; those of Winsock.
pub fn look_up(host: &CStr, version: u16) -> Result<Vec<Addr>> {
    start_winsock();
    let host = host.to_str().map_err(|_| Status::NAME_NOT_FOUND)?;
    let host: Vec<u16> = host.encode_utf16().chain([0]).collect();
    let hints = ADDRINFOW {
        ai_socktype: SOCK_DGRAM,
        ai_family: match version {
            family::INET => AF_INET.into(),
            family::INET6 => AF_INET6.into(),
            _ => AF_UNSPEC.into(),
        },
        ..Default::default()
    };
    let mut list: *mut ADDRINFOW = null_mut();
    // SAFETY: a name that ends in NUL, no service, one set of hints, and a place for the list.
    let code = unsafe { GetAddrInfoW(host.as_ptr(), null(), &hints, &mut list) };
    if code != 0 {
        return Err(failure(code));
    }
    let mut addrs = Vec::new();
    let mut entry = list;
    // SAFETY: NULL or an entry of the list, which is freed below.
    while let Some(info) = unsafe { entry.as_ref() } {
        // SAFETY: each entry's address has the length that it contains.
        let raw = unsafe { std::slice::from_raw_parts(info.ai_addr.cast(), info.ai_addrlen) };
        addrs.extend(Addr::from_sockaddr(raw));
        entry = info.ai_next;
    }
    // SAFETY: the list that GetAddrInfoW has made.
    unsafe { FreeAddrInfoW(list) };
    if addrs.is_empty() { Err(Status::NAME_NOT_FOUND) } else { Ok(addrs) }
}

fn failure(code: i32) -> Status {
    match code {
        WSAHOST_NOT_FOUND | WSANO_DATA => Status::NAME_NOT_FOUND,
        WSATRY_AGAIN | WSANO_RECOVERY => Status::NAME_TRY_AGAIN,
        _ => Status::from_errno(code),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn localhost_has_an_address() {
        let found = look_up(c"localhost", family::INET).expect("a name that every system has");
        assert_eq!(found, [Addr::v4([127, 0, 0, 1], 0)]);
    }

    #[test]
    fn failures_have_their_status() {
        assert_eq!(failure(WSAHOST_NOT_FOUND), Status::NAME_NOT_FOUND);
        assert_eq!(failure(WSATRY_AGAIN), Status::NAME_TRY_AGAIN);
        assert_eq!(failure(8), Status::NO_MEMORY);
    }
}
