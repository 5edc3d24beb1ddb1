//! Addresses as socket2 has them.

use crate::addr::Addr;
use crate::status::errno::EAFNOSUPPORT;
use socket2::{SockAddr, SockAddrStorage, socklen_t};
use std::io;

/// The address as the system takes it.
pub(super) fn name(addr: &Addr) -> io::Result<SockAddr> {
    let mut bytes = [0; Addr::SOCKADDR_MAX];
    let len = addr.to_sockaddr(&mut bytes);
    let fill = |storage: *mut SockAddrStorage, size: *mut socklen_t| {
        // SAFETY: a sockaddr storage has room for any socket address.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), storage.cast(), len) };
        // SAFETY: socket2 hands a valid pointer.
        unsafe { size.write(len as socklen_t) };
        Ok(())
    };
    // SAFETY: the closure fills in an address of the length that it writes.
    unsafe { SockAddr::try_init(fill) }.map(|((), name)| name)
}

/// The address that the system has returned.
pub(super) fn addr(name: &SockAddr) -> io::Result<Addr> {
    // SAFETY: a SockAddr is at least `len` initialised bytes.
    let bytes = unsafe { std::slice::from_raw_parts(name.as_ptr().cast(), name.len() as usize) };
    Addr::from_sockaddr(bytes).map_err(|_| io::Error::from_raw_os_error(EAFNOSUPPORT))
}

/// The address in a name; unspecified if there is none.
#[cfg(any(udpr_portable, not(target_os = "linux")))]
pub(super) fn read_name(name: &SockAddr) -> Addr {
    // SAFETY: the storage is larger than any address, and initialised.
    let bytes = unsafe { &*name.as_ptr().cast::<[u8; Addr::SOCKADDR_MAX]>() };
    Addr::from_sockaddr(bytes).unwrap_or(Addr::UNSPECIFIED)
}
