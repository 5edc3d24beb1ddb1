//! Waiting for many descriptors: epoll(7).

use super::check;
use super::fd::TolerantFd;
use crate::sys::api::{Handle, Interest, Readiness};
use crate::sys::may_be_refused;
use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// How many handles one wait reports at most.
const EVENTS_MAX: usize = 256;

/// A set of handles that a thread waits for: an epoll instance.
#[derive(Debug)]
pub struct Poller {
    fd: TolerantFd,
    events: RefCell<Box<[libc::epoll_event]>>,
    /// epoll_pwait2(2) is not available: before Linux 5.11, in valgrind, or in a sandbox. It does not itself return EPERM or
    /// EACCES.
    is_coarse: Cell<bool>,
}

impl Poller {
    /// An empty set.
    ///
    /// # Errors
    /// Those of epoll_create1(2).
    pub fn new() -> io::Result<Poller> {
        let events = vec![libc::epoll_event { events: 0, u64: 0 }; EVENTS_MAX];
        Ok(Poller { fd: create()?, events: RefCell::new(events.into()), is_coarse: Cell::new(false) })
    }

    /// In a forked child: replaces the set by an empty one under the same number. The parent's set does not change.
    ///
    /// # Errors
    /// Those of epoll_create1(2) and dup3(2).
    pub fn renew(&self) -> io::Result<()> {
        super::replace(self.fd.as_raw_fd(), &create()?)
    }

    /// The descriptor of the set. It is readable while anything in the set is ready.
    pub fn handle(&self) -> Option<Handle> {
        Some(self.fd.as_raw_fd())
    }

    /// Adds a handle. Its readiness is reported with the `token`.
    ///
    /// # Errors
    /// EPERM for a file that epoll cannot wait for, and others of epoll_ctl(2).
    pub fn add(&self, handle: Handle, interest: Interest, token: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, handle, interest, token)
    }

    /// Changes what a handle is watched for.
    ///
    /// # Errors
    /// Those of epoll_ctl(2).
    pub fn modify(&self, handle: Handle, interest: Interest, token: u64) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, handle, interest, token)
    }

    /// Removes a handle.
    ///
    /// # Errors
    /// Those of epoll_ctl(2).
    pub fn delete(&self, handle: Handle) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_DEL, handle, Interest::default(), 0)
    }

    fn control(&self, operation: i32, fd: RawFd, interest: Interest, token: u64) -> io::Result<()> {
        let mut event = libc::epoll_event { events: bits(interest), u64: token };
        // SAFETY: the kernel reads one event.
        check(unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), operation, fd, &mut event) }.into()).map(drop)
    }

    /// Waits until a handle is ready, at most `timeout` nanoseconds and never less, without a limit if it is none. Writes what
    /// is ready to the front of `ready` and returns how many entries that are.
    ///
    /// It calls epoll_pwait2(2), or epoll_wait(2) with the time rounded up to milliseconds.
    ///
    /// # Errors
    /// Those of epoll_wait(2): EINTR if a signal came first.
    pub fn wait(&self, ready: &mut [Readiness], timeout: Option<u64>) -> io::Result<usize> {
        let mut events = self.events.borrow_mut();
        let most = ready.len().min(EVENTS_MAX);
        let count = self.wait_raw(&mut events[..most], timeout)?;
        for (ready, event) in ready.iter_mut().zip(&events[..count]) {
            *ready = readiness(event);
        }
        Ok(count)
    }

    fn wait_raw(&self, events: &mut [libc::epoll_event], timeout: Option<u64>) -> io::Result<usize> {
        if !self.is_coarse.get() {
            let waited = self.wait_fine(events, timeout);
            if !waited.as_ref().is_err_and(may_be_refused) {
                return waited;
            }
            self.is_coarse.set(true);
        }
        let ms = timeout.map_or(-1, |ns| ns.div_ceil(1_000_000).min(i32::MAX as u64) as i32);
        let (place, room) = (events.as_mut_ptr(), events.len() as i32);
        // SAFETY: the kernel writes at most `room` events.
        check(unsafe { libc::epoll_wait(self.fd.as_raw_fd(), place, room, ms) }.into())
    }

    fn wait_fine(&self, events: &mut [libc::epoll_event], timeout: Option<u64>) -> io::Result<usize> {
        // The kernel's struct __kernel_timespec: two 64-bit numbers on every architecture, unlike the C library's timespec.
        let limit = timeout.map(|ns| [(ns / 1_000_000_000) as i64, (ns % 1_000_000_000) as i64]);
        let limit = limit.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        let (place, room) = (events.as_mut_ptr(), events.len() as i32);
        let (call, mask) = (libc::SYS_epoll_pwait2, std::ptr::null::<libc::sigset_t>());
        // SAFETY: the kernel writes at most `room` events and reads one __kernel_timespec, or none if it is null.
        check(unsafe { libc::syscall(call, self.fd.as_raw_fd(), place, room, limit, mask, 0) })
    }
}

fn create() -> io::Result<TolerantFd> {
    // SAFETY: epoll_create1(2) takes a flag.
    let fd = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) }.into())?;
    // SAFETY: the descriptor was made just now, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) }.into())
}

fn bits(interest: Interest) -> u32 {
    let bit = |wanted: bool, bit: i32| if wanted { bit as u32 } else { 0 };
    bit(interest.readable, libc::EPOLLIN)
        | bit(interest.writable, libc::EPOLLOUT)
        | bit(interest.edge_triggered, libc::EPOLLET)
}

/// EPOLLHUP of a UDP socket means that it was shut down in both directions (datagram_poll in net/core/datagram.c).
#[inline]
fn readiness(event: &libc::epoll_event) -> Readiness {
    let (bits, token) = (event.events, event.u64);
    let has = |bit: i32| bits & bit as u32 != 0;
    Readiness {
        token,
        readable: has(libc::EPOLLIN),
        writable: has(libc::EPOLLOUT),
        error: has(libc::EPOLLERR),
        hangup: has(libc::EPOLLHUP),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bit_is_one_word_and_others_are_none() {
        let read = |bits: i32| readiness(&libc::epoll_event { events: bits as u32, u64: 7 });
        let nothing = Readiness { token: 7, ..Readiness::default() };
        assert_eq!(read(libc::EPOLLIN), Readiness { readable: true, ..nothing });
        assert_eq!(read(libc::EPOLLOUT), Readiness { writable: true, ..nothing });
        assert_eq!(read(libc::EPOLLERR), Readiness { error: true, ..nothing });
        assert_eq!(read(libc::EPOLLHUP), Readiness { hangup: true, ..nothing });
        let known = libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLERR | libc::EPOLLHUP;
        assert_eq!(read(!known), nothing);
        assert_eq!(read(0), nothing);
    }

    #[test]
    fn an_interest_is_what_epoll_is_asked_for() {
        assert_eq!(bits(Interest::default()), 0);
        assert_eq!(bits(Interest::READABLE), libc::EPOLLIN as u32);
        let all = Interest { readable: true, writable: true, edge_triggered: true };
        assert_eq!(bits(all), (libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLET) as u32);
    }
}
