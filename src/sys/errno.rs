//! What the errors of system calls mean.

use super::api::Failure;
use crate::status::errno;
use std::io;

impl Failure {
    /// What an error of a system call means.
    pub fn of(error: &io::Error) -> Failure {
        match error.raw_os_error() {
            Some(errno::EAGAIN) => Failure::WouldBlock,
            Some(errno::EINTR) => Failure::Interrupted,
            Some(errno::ENOBUFS) => Failure::NoBuffers,
            Some(errno::ENOMEM) => Failure::NoMemory,
            Some(errno::ECONNREFUSED) => Failure::Refused,
            Some(errno::EMSGSIZE) => Failure::TooLong,
            Some(errno::ENETUNREACH) => Failure::Unreachable,
            Some(errno::EPERM) => Failure::NotPermitted,
            Some(errno::EINVAL) => Failure::Invalid,
            Some(errno::EADDRINUSE) => Failure::AddressInUse,
            Some(errno::EADDRNOTAVAIL) => Failure::AddressNotAvailable,
            Some(errno::ENODEV) => Failure::NoDevice,
            Some(errno::ENOPROTOOPT) => Failure::UnknownOption,
            Some(errno::EBADF) => Failure::BadHandle,
            Some(errno::ENOTSOCK) => Failure::NotSocket,
            Some(errno::ENOSYS) => Failure::NoSuchCall,
            _ => Failure::Other,
        }
    }
}

/// True for the errors of a call that the system does not have or a filter refuses.
pub fn may_be_refused(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(errno::ENOSYS | errno::EPERM | errno::EACCES))
}

/// The error of what the system cannot do.
#[cfg(any(udpr_portable, not(target_os = "linux")))]
pub(super) fn unsupported() -> io::Error {
    io::Error::from_raw_os_error(errno::EOPNOTSUPP)
}
