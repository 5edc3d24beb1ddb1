//! Memberships of a socket in multicast groups. The system does not report them.

use crate::addr::Addr;
use crate::sys::{GroupFilter, Handle, Kernel, unsupported};
use std::io;

pub(in crate::sys) use crate::sys::os::multicast::{join, leave};

/// See [`Kernel::group_filter`].
pub(in crate::sys) fn filter(
    _kernel: &(impl Kernel + ?Sized),
    _fd: Handle,
    _group: &Addr,
    _interface: u32,
) -> io::Result<Option<GroupFilter>> {
    Err(unsupported())
}
