//! What errnos mean, and `errno` itself.

use crate::sys::api::Failure;
use std::io;

impl Failure {
    /// What an error of a system call means.
    pub fn of(error: &io::Error) -> Failure {
        match error.raw_os_error() {
            Some(libc::EAGAIN) => Failure::WouldBlock,
            Some(libc::EINTR) => Failure::Interrupted,
            Some(libc::ENOBUFS) => Failure::NoBuffers,
            Some(libc::ENOMEM) => Failure::NoMemory,
            Some(libc::ECONNREFUSED) => Failure::Refused,
            Some(libc::EMSGSIZE) => Failure::TooLong,
            Some(libc::ENETUNREACH) => Failure::Unreachable,
            Some(libc::EPERM) => Failure::NotPermitted,
            Some(libc::EINVAL) => Failure::Invalid,
            Some(libc::EADDRINUSE) => Failure::AddressInUse,
            Some(libc::EADDRNOTAVAIL) => Failure::AddressNotAvailable,
            Some(libc::ENODEV) => Failure::NoDevice,
            Some(libc::ENOPROTOOPT) => Failure::UnknownOption,
            Some(libc::EBADF) => Failure::BadHandle,
            Some(libc::ENOTSOCK) => Failure::NotSocket,
            Some(libc::ENOSYS) => Failure::NoSuchCall,
            _ => Failure::Other,
        }
    }
}

/// True for the errors of a call that the system does not have or a filter refuses.
pub fn may_be_refused(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM | libc::EACCES))
}

/// Runs `body` and leaves the calling thread's `errno` as it was before, as signal handlers must.
pub(in crate::sys) fn preserve<T>(body: impl FnOnce() -> T) -> T {
    // SAFETY: the address of the calling thread's own errno, which is valid as long as the thread lives.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let saved = unsafe { *errno };
    let result = body();
    // SAFETY: as above.
    unsafe { *errno = saved };
    result
}
