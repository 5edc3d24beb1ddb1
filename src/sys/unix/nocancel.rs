//! close(2) and write(2) without being cancellation points, unlike the functions of the C library.

use libc::{c_int, c_void};

/// close(2).
pub(super) fn close(fd: c_int) {
    // SAFETY: close(2) takes an integer, and does to memory nothing at all.
    unsafe { calls::close(fd) };
}

/// write(2). It is async-signal-safe (signal-safety(7)).
pub(super) fn write(fd: c_int, bytes: &[u8]) {
    // SAFETY: the system reads these bytes.
    unsafe { calls::write(fd, bytes.as_ptr().cast(), bytes.len()) };
}

#[cfg(not(target_vendor = "apple"))]
mod calls {
    use super::{c_int, c_void};

    #[cfg(target_os = "linux")]
    use libc::{SYS_close as CLOSE, SYS_write as WRITE};

    /// sys/syscall.h of FreeBSD.
    #[cfg(not(target_os = "linux"))]
    const CLOSE: c_int = 6;
    #[cfg(not(target_os = "linux"))]
    const WRITE: c_int = 4;

    pub(super) unsafe fn close(fd: c_int) {
        // SAFETY: the caller's promise.
        unsafe { libc::syscall(CLOSE, fd) };
    }

    pub(super) unsafe fn write(fd: c_int, bytes: *const c_void, len: usize) {
        // SAFETY: the caller's promise.
        unsafe { libc::syscall(WRITE, fd, bytes, len) };
    }
}

/// syscall(2) is deprecated there. libuv calls these names, too (uv__close_nocancel).
#[cfg(target_vendor = "apple")]
mod calls {
    use super::{c_int, c_void};

    unsafe extern "C" {
        #[link_name = "close$NOCANCEL"]
        pub(super) fn close(fd: c_int) -> c_int;
        #[link_name = "write$NOCANCEL"]
        pub(super) fn write(fd: c_int, bytes: *const c_void, len: usize) -> isize;
    }
}
