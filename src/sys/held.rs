//! Descriptors that are kept for long.

use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};

/// An owned descriptor that is closed when it is dropped, whatever the host has done to the number meanwhile. Dropping an
/// [`OwnedFd`] whose number the host has closed ends the process in a debug build, with a message on stderr.
#[derive(Debug)]
pub struct HeldFd(RawFd);

impl From<OwnedFd> for HeldFd {
    fn from(fd: OwnedFd) -> HeldFd {
        HeldFd(fd.into_raw_fd())
    }
}

impl AsRawFd for HeldFd {
    fn as_raw_fd(&self) -> RawFd {
        self.0
    }
}

impl Drop for HeldFd {
    fn drop(&mut self) {
        // SAFETY: close(2) of a number that is ours; EBADF where the host was faster.
        unsafe { libc::close(self.0) };
    }
}
