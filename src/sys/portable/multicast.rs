//! Memberships of a socket in multicast groups. The system does not report them.

use crate::addr::Addr;
use crate::sys::{GroupFilter, Kernel};
use std::io;
use std::os::fd::RawFd;

pub(in crate::sys) use crate::sys::unix::multicast::{join, leave};

/// See [`Kernel::group_filter`].
pub(in crate::sys) fn filter(
    _kernel: &(impl Kernel + ?Sized),
    _fd: RawFd,
    _group: &Addr,
    _interface: u32,
) -> io::Result<Option<GroupFilter>> {
    Err(super::unsupported())
}
