//! A descriptor that becomes readable at an instant: timerfd_create(2).

use super::check;
use super::fd::TolerantFd;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// Makes an embedding loop, which waits on the epoll set alone, aware that a delayed call is due.
#[derive(Debug)]
pub struct Alarm(TolerantFd);

impl Alarm {
    /// A timerfd on CLOCK_MONOTONIC, not set. Errors: those of timerfd_create(2), and of timerfd_settime(2), which a sandbox may refuse
    /// as well.
    pub fn new() -> io::Result<Alarm> {
        let flags = libc::TFD_NONBLOCK | libc::TFD_CLOEXEC;
        // SAFETY: timerfd_create(2) takes two integers.
        let fd = check(unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) }.into())?;
        // SAFETY: the descriptor was made just now, and nobody else knows it.
        let alarm = Alarm(unsafe { OwnedFd::from_raw_fd(fd as RawFd) }.into());
        alarm.set(None)?;
        Ok(alarm)
    }

    /// Becomes readable `timeout` nanoseconds from now, and not before, or after 68 years if that is sooner: a time_t may have
    /// 32 bits. Never without a timeout.
    pub fn set(&self, timeout: Option<u64>) -> io::Result<()> {
        // All zero unsets it (timerfd_settime(2)).
        let after = timeout.map_or(0, |timeout| timeout.max(1));
        let value = libc::timespec {
            tv_sec: (after / 1_000_000_000).min(i32::MAX as u64) as _,
            tv_nsec: (after % 1_000_000_000) as libc::c_long,
        };
        let zero = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        let setting = libc::itimerspec { it_interval: zero, it_value: value };
        // SAFETY: timerfd_settime(2) reads one setting.
        check(unsafe { libc::timerfd_settime(self.fd(), 0, &setting, std::ptr::null_mut()) }.into()).map(drop)
    }

    /// In a forked child: makes a new descriptor under the same number, not set.
    pub fn renew(&self) -> io::Result<()> {
        super::replace(self.fd(), &Alarm::new()?.0)
    }

    /// The descriptor to wait on.
    pub fn fd(&self) -> RawFd {
        self.0.as_raw_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Also if a time_t has 32 bits.
    #[test]
    fn long_timeouts_are_long() {
        let alarm = Alarm::new().expect("timerfd_create(2)");
        for seconds in [1 << 31, 1 << 32, i64::MAX as u64 / 1_000_000_000] {
            alarm.set(Some(seconds * 1_000_000_000 + 1)).expect("timerfd_settime(2)");
            let zero = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            let mut left = libc::itimerspec { it_interval: zero, it_value: zero };
            // SAFETY: timerfd_gettime(2) writes one setting.
            assert_eq!(0, unsafe { libc::timerfd_gettime(alarm.fd(), &mut left) });
            assert!(left.it_value.tv_sec > 1 << 30, "{} seconds for {seconds}", left.it_value.tv_sec);
        }
    }
}
