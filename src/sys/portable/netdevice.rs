//! Network interfaces, in the only network namespace that there is.

use super::{interface, interfaces};
use crate::addr::family;
use crate::status::Status;
use crate::sys::Handle;

/// True if there is no interface with this index, or no longer. False if that cannot be found out.
pub(in crate::sys) fn is_gone(_fd: Handle, index: u32) -> bool {
    interface::existing(index) == Err(Status::NO_INTERFACE)
}

/// The first IPv4 address of an interface.
pub(in crate::sys) fn first_v4(_fd: Handle, index: u32) -> Option<[u8; 4]> {
    let list = interfaces::list().ok()?;
    let found = list.iter().find(|one| one.index == index && one.address.family == family::INET)?;
    found.address.bytes.first_chunk().copied()
}

/// The interfaces on which a socket may have joined a group.
pub(in crate::sys) fn indexes(_fd: Handle) -> Vec<u32> {
    interface::indexes()
}
