//! An owner of a socket that may close it early.

use super::os::close;
use super::{Handle, OwnedHandle, handle_of};
use std::cell::Cell;

/// An owned handle that may be closed before its owner is dropped, and whose number the host may have closed meanwhile.
#[derive(Debug)]
pub struct SocketHandle(Cell<Handle>);

impl SocketHandle {
    /// Its number; -1 once it is closed.
    #[inline]
    pub fn get(&self) -> Handle {
        self.0.get()
    }

    /// Closes it. Calling it again has no effect.
    pub fn close(&self) {
        match self.0.replace(-1) {
            -1 => {}
            handle => close(handle),
        }
    }
}

impl From<OwnedHandle> for SocketHandle {
    fn from(owner: OwnedHandle) -> SocketHandle {
        let handle = handle_of(&owner);
        std::mem::forget(owner);
        SocketHandle(Cell::new(handle))
    }
}

impl Drop for SocketHandle {
    fn drop(&mut self) {
        self.close();
    }
}
