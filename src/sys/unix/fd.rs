//! Descriptors that are kept for long, and closed whatever the host has done with their numbers meanwhile. Dropping an
//! [`OwnedFd`] whose number the host has closed ends the process in a debug build, with a message on stderr.

use super::cancel::CancelDisabled;
use super::nocancel;
use crate::sys::tsan;
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};

/// An owned descriptor that is closed when it is dropped.
#[derive(Debug)]
pub(in crate::sys) struct TolerantFd(RawFd);

impl From<OwnedFd> for TolerantFd {
    fn from(fd: OwnedFd) -> TolerantFd {
        TolerantFd(fd.into_raw_fd())
    }
}

impl AsRawFd for TolerantFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

impl TolerantFd {
    /// Takes over a number that the caller owns.
    #[cfg(any(udpr_portable, not(target_os = "linux")))]
    pub(in crate::sys) fn from_raw(fd: RawFd) -> TolerantFd {
        TolerantFd(fd)
    }

    /// Returns its number. The caller has to close it with [`close`].
    pub(in crate::sys) fn into_raw(self) -> RawFd {
        std::mem::ManuallyDrop::new(self).0
    }
}

impl Drop for TolerantFd {
    fn drop(&mut self) {
        close(self.0);
    }
}

/// close(2) of a number that we own; EBADF if the host has closed it before. It is no cancellation point.
///
/// ThreadSanitizer follows descriptors by close(3): it has to be told that the next owner of the number did not get it
/// in a race.
pub fn close(fd: RawFd) {
    if tsan::is_active() {
        let _uncancelled = CancelDisabled::begin();
        // SAFETY: close(3) takes an integer, and does to memory nothing at all.
        unsafe { libc::close(fd) };
        return;
    }
    nocancel::close(fd);
}
