//! recvmmsg(2) and sendmmsg(2), or one message a call if a sandbox refuses them.
//!
//! A filter (seccomp(2)) refuses a call by its number, with ENOSYS, EPERM or EACCES, whatever its arguments are. The
//! last two may also be about a datagram: a packet filter rejects it, or a broadcast is not allowed. So a call that
//! fails is probed with a descriptor that nobody has: it returns EBADF if the call itself is allowed.

use super::check;
use crate::sys::api::Failure;
use crate::sys::may_be_refused;
use std::io;
use std::os::fd::RawFd;

/// No descriptor.
const NONE: RawFd = -1;

fn is_refused(probe: io::Result<usize>) -> bool {
    probe.is_err_and(|error| may_be_refused(&error))
}

/// Whether this process may call recvmmsg(2).
pub(in crate::sys) fn has_recvmmsg() -> bool {
    let (nowhere, no_timeout) = (std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: no headers.
    !is_refused(check(unsafe { libc::recvmmsg(NONE, nowhere, 0, 0, no_timeout) }.into()))
}

/// Whether this process may call sendmmsg(2).
pub(in crate::sys) fn has_sendmmsg() -> bool {
    // SAFETY: no headers.
    !is_refused(check(unsafe { sendmmsg(NONE, std::ptr::null_mut(), 0, 0) }))
}

/// Whether this process may call recvmsg(2).
fn has_recvmsg() -> bool {
    // SAFETY: a msghdr is integers and pointers; all of them may be zero.
    let mut none: libc::msghdr = unsafe { std::mem::zeroed() };
    // SAFETY: a header over nothing.
    !is_refused(check(unsafe { libc::recvmsg(NONE, &mut none, 0) } as libc::c_long))
}

/// As sendmmsg(2).
///
/// # Safety
/// `headers` are `count` valid ones.
#[cfg(not(target_env = "musl"))]
unsafe fn sendmmsg(fd: RawFd, headers: *mut libc::mmsghdr, count: usize, flags: i32) -> libc::c_long {
    // SAFETY: the caller's promise.
    unsafe { libc::sendmmsg(fd, headers, count as u32, flags) }.into()
}

/// As sendmmsg(2). The function of that name in musl calls sendmsg(2) for each message, since the kernel's lengths are wider than
/// those of POSIX, and what lies next to the latter may be anything (src/network/sendmmsg.c). Here it is 0: the headers were
/// made of zeros, and the control data has the kernel's lengths.
///
/// # Safety
/// `headers` are `count` valid ones.
#[cfg(target_env = "musl")]
unsafe fn sendmmsg(fd: RawFd, headers: *mut libc::mmsghdr, count: usize, flags: i32) -> libc::c_long {
    // SAFETY: the caller's promise.
    unsafe { libc::syscall(libc::SYS_sendmmsg, fd, headers, count as u32, flags) }
}

/// How messages are received or sent: many by one call, until that is refused.
#[derive(Debug, Default)]
pub(in crate::sys) struct MmsgCalls {
    singly: bool,
}

/// What [`MmsgCalls::receive`] returns: the number of messages, and a failure that followed them if the socket no longer
/// has it. After recvmmsg(2) the socket still has it.
pub(in crate::sys) type RecvOutcome = (usize, Option<Failure>);

impl MmsgCalls {
    /// As recvmmsg(2). ENOSYS where nothing can be received at all.
    ///
    /// # Safety
    /// `headers` are `count` valid ones, over memory that nobody else uses meanwhile.
    #[inline]
    pub(in crate::sys) unsafe fn receive(
        &mut self,
        fd: RawFd,
        headers: *mut libc::mmsghdr,
        count: usize,
        flags: i32,
    ) -> io::Result<RecvOutcome> {
        if !self.singly {
            // SAFETY: the caller's promise.
            let got = unsafe { libc::recvmmsg(fd, headers, count as u32, flags as _, std::ptr::null_mut()) };
            match check(got.into()) {
                Err(error) if may_be_refused(&error) && !has_recvmmsg() => self.singly = true,
                got => return Ok((got?, None)),
            }
        }
        let one = |header: *mut libc::mmsghdr| {
            // SAFETY: the caller's promise.
            let header = unsafe { &mut *header };
            // SAFETY: the caller's promise.
            let len = check(unsafe { libc::recvmsg(fd, &mut header.msg_hdr, flags) } as libc::c_long)?;
            header.msg_len = len as u32;
            Ok(())
        };
        match each(headers, count, one) {
            (0, Some(error)) if may_be_refused(&error) && !has_recvmsg() => {
                Err(io::Error::from_raw_os_error(libc::ENOSYS))
            }
            (0, Some(error)) => Err(error),
            (got, behind) => Ok((got, behind.as_ref().map(Failure::of))),
        }
    }

    /// As sendmmsg(2).
    ///
    /// # Safety
    /// `headers` are `count` valid ones.
    #[inline]
    pub(in crate::sys) unsafe fn send(
        &mut self,
        fd: RawFd,
        headers: *mut libc::mmsghdr,
        count: usize,
        flags: i32,
    ) -> io::Result<usize> {
        if !self.singly {
            // SAFETY: the caller's promise.
            let sent = check(unsafe { sendmmsg(fd, headers, count, flags) });
            match sent {
                Err(error) if may_be_refused(&error) && !has_sendmmsg() => self.singly = true,
                sent => return sent,
            }
        }
        let one = |header: *mut libc::mmsghdr| {
            // SAFETY: the caller's promise.
            let header = unsafe { &*header };
            // SAFETY: the caller's promise.
            check(unsafe { libc::sendmsg(fd, &header.msg_hdr, flags) } as libc::c_long).map(drop)
        };
        // As sendmmsg(2) does, it drops an error that follows messages that were sent: the next call meets it again.
        match each(headers, count, one) {
            (0, Some(error)) => Err(error),
            (sent, _) => Ok(sent),
        }
    }
}

/// Calls `one` for each header until it fails. Returns for how many it succeeded, and the error.
fn each(
    headers: *mut libc::mmsghdr,
    count: usize,
    mut one: impl FnMut(*mut libc::mmsghdr) -> io::Result<()>,
) -> (usize, Option<io::Error>) {
    for index in 0..count {
        if let Err(error) = one(headers.wrapping_add(index)) {
            return (index, Some(error));
        }
    }
    (count, None)
}
