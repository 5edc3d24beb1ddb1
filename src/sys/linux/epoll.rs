//! epoll(7), level-triggered.

use super::check;
use super::fd::TolerantFd;
use super::mmsg::may_be_refused;
use std::cell::Cell;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// One readiness event: what is ready, and the token it was registered with. The kernel's own layout.
pub type Readiness = libc::epoll_event;

/// Readable: EPOLLIN.
pub const READABLE: u32 = libc::EPOLLIN as u32;
/// Writable: EPOLLOUT.
pub const WRITABLE: u32 = libc::EPOLLOUT as u32;
/// An error is pending: EPOLLERR, always reported.
pub const ERROR: u32 = libc::EPOLLERR as u32;
/// Only changes are reported: EPOLLET.
pub const EDGE_TRIGGERED: u32 = libc::EPOLLET as u32;
/// The other side is gone: EPOLLHUP, always reported.
pub const HANGUP: u32 = libc::EPOLLHUP as u32;

/// An epoll set.
#[derive(Debug)]
pub struct Epoll {
    fd: TolerantFd,
    /// There is no epoll_pwait2(2) here: Linux before 5.11, valgrind, or a sandbox. EPERM and EACCES are no answers of its own.
    is_coarse: Cell<bool>,
}

impl Epoll {
    /// Errors: those of epoll_create1(2).
    pub fn new() -> io::Result<Epoll> {
        // SAFETY: epoll_create1(2) takes a flag.
        let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) }.into())?;
        // SAFETY: the descriptor was made just now, and nobody else knows it.
        Ok(Epoll { fd: unsafe { OwnedFd::from_raw_fd(fd as RawFd) }.into(), is_coarse: Cell::new(false) })
    }

    /// In a forked child: an empty set of its own under the same number. The parent's is left as it is.
    pub fn renew(&self) -> io::Result<()> {
        super::replace(self.fd(), &Epoll::new()?.fd)
    }

    /// The set's own descriptor, readable while anything in the set is ready.
    pub fn fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Waits at most `timeout` nanoseconds, for ever without one, never less than asked for: epoll_pwait2(2), or
    /// epoll_wait(2) with the time rounded up to milliseconds.
    pub fn wait(&self, events: &mut [Readiness], timeout: Option<u64>) -> io::Result<usize> {
        if !self.is_coarse.get() {
            let waited = self.wait_fine(events, timeout);
            if !waited.as_ref().is_err_and(may_be_refused) {
                return waited;
            }
            self.is_coarse.set(true);
        }
        let ms = timeout.map_or(-1, |ns| ns.div_ceil(1_000_000).min(i32::MAX as u64) as i32);
        let room = events.len().min(i32::MAX as usize) as i32;
        // SAFETY: the kernel writes at most `room` events.
        check(unsafe { libc::epoll_wait(self.fd(), events.as_mut_ptr(), room, ms) }.into())
    }

    fn wait_fine(&self, events: &mut [Readiness], timeout: Option<u64>) -> io::Result<usize> {
        // The kernel's struct __kernel_timespec: two 64-bit numbers on every architecture, unlike the C library's timespec.
        let limit = timeout.map(|ns| [(ns / 1_000_000_000) as i64, (ns % 1_000_000_000) as i64]);
        let limit = limit.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        let (call, room) = (libc::SYS_epoll_pwait2, events.len().min(i32::MAX as usize) as i32);
        let (place, mask) = (events.as_mut_ptr(), std::ptr::null::<libc::sigset_t>());
        // SAFETY: the kernel writes at most `room` events and reads one __kernel_timespec, or none if it is null.
        check(unsafe { libc::syscall(call, self.fd(), place, room, limit, mask, 0) })
    }
}

/// epoll_ctl(2).
pub(in crate::sys) fn control(
    epoll: RawFd,
    operation: i32,
    fd: RawFd,
    events: u32,
    token: u64,
) -> io::Result<()> {
    let mut event = Readiness { events, u64: token };
    // SAFETY: the kernel reads one event.
    check(unsafe { libc::epoll_ctl(epoll, operation, fd, &mut event) }.into()).map(drop)
}
