//! The calls on sockets that carry no datagrams.

use super::check;
use crate::addr::Addr;
use crate::sys::sock_addr::{addr, name};
use socket2::SockRef;
use std::io;
use std::os::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};

pub(in crate::sys) use libc::{SO_ERROR, SO_TYPE, SOL_SOCKET};

/// Linux does (`udp_lib_lport_inuse`).
pub const CHOOSES_SHARED_NUMBERS: bool = true;

/// bind(2).
pub(in crate::sys) fn bind(fd: RawFd, addr: &Addr) -> io::Result<()> {
    borrow(fd, |socket| socket.bind(&name(addr)?))
}

/// getsockname(2).
pub(in crate::sys) fn local_addr(fd: RawFd) -> io::Result<Addr> {
    borrow(fd, |socket| addr(&socket.local_addr()?))
}

/// getpeername(2).
pub(in crate::sys) fn peer_addr(fd: RawFd) -> io::Result<Addr> {
    borrow(fd, |socket| addr(&socket.peer_addr()?))
}

/// connect(2).
pub(in crate::sys) fn connect(fd: RawFd, addr: &Addr) -> io::Result<()> {
    borrow(fd, |socket| socket.connect(&name(addr)?))
}

/// A second descriptor of the same socket, close-on-exec.
pub(in crate::sys) fn duplicate(fd: RawFd) -> io::Result<OwnedFd> {
    borrow(fd, |socket| socket.try_clone().map(OwnedFd::from))
}

/// The descriptor itself, close-on-exec from now on. Errors: EBADF.
///
/// # Safety
/// If it is open, its owner gives it up to the caller of this.
pub unsafe fn take_over(fd: RawFd) -> io::Result<OwnedFd> {
    super::close_on_exec(fd)?;
    // SAFETY: it is open, and given up.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// setsockopt(2) with any value. EINVAL for a length above `i32::MAX`: truncated to 32 bits, it could be a valid one.
pub(in crate::sys) fn set_option(fd: RawFd, level: i32, name: i32, value: &[u8]) -> io::Result<()> {
    let len = i32::try_from(value.len()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
    let (data, len) = (value.as_ptr().cast(), len as libc::socklen_t);
    // SAFETY: the kernel reads `len` bytes.
    check(unsafe { libc::setsockopt(fd, level, name, data, len) }.into()).map(drop)
}

/// getsockopt(2) into any buffer. Returns how many bytes were filled.
pub(in crate::sys) fn option(fd: RawFd, level: i32, name: i32, value: &mut [u8]) -> io::Result<usize> {
    let mut len = value.len() as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes, and how many to `len`.
    check(unsafe { libc::getsockopt(fd, level, name, value.as_mut_ptr().cast(), &mut len) }.into())?;
    Ok(len as usize)
}

pub(in crate::sys) fn borrow<T>(fd: RawFd, call: impl FnOnce(SockRef<'_>) -> io::Result<T>) -> io::Result<T> {
    if fd < 0 {
        return Err(io::Error::from_raw_os_error(libc::EBADF));
    }
    // SAFETY: not -1; if it is not open, the kernel returns an errno.
    call(SockRef::from(&unsafe { BorrowedFd::borrow_raw(fd) }))
}
