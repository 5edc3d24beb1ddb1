//! The delayed calls of a port. Its reactor keeps them; they end when the port stops.

use super::{Open, Port};
use crate::status::Result;
use std::collections::HashSet;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::rc::Rc;

/// The ids of a port's calls. No peer chooses them, so that the hasher needs no random numbers.
pub(super) type CallIds = HashSet<u64, BuildHasherDefault<DefaultHasher>>;

/// Keeps a port's protocol while something that belongs to the port is called.
pub struct HeldProtocol(#[allow(dead_code, reason = "held")] Rc<Open>);

impl Port {
    /// Makes room for one more call, and returns the port's token.
    ///
    /// # Errors
    /// CLOSED if the port does not listen any more, NO_MEMORY.
    pub fn reserve_call(&self) -> Result<u64> {
        let open = self.listening()?;
        open.lazy().calls.borrow_mut().try_reserve(1)?;
        Ok(open.token.get())
    }

    /// The call `id`, for which there is room, belongs to the port.
    pub fn add_call(&self, id: u64) {
        if let Ok(open) = self.open() {
            open.lazy().calls.borrow_mut().insert(id);
        }
    }

    /// The call `id` is over.
    pub fn remove_call(&self, id: u64) {
        if let Ok(open) = self.open() {
            open.lazy().calls.borrow_mut().remove(&id);
        }
    }

    /// Keeps the protocol for a call of the port. None if the port does not listen any more: then its calls are not made.
    pub fn hold_protocol(&self) -> Option<HeldProtocol> {
        self.listening().ok().map(HeldProtocol)
    }
}

impl Open {
    /// Ends every call of the port. New ones are refused by now.
    pub(super) fn end_calls(&self) {
        let Some(lazy) = self.lazy.get() else { return };
        let (calls, table) = (lazy.calls.take(), &self.context.call_table);
        // What is freed may fork: in the child nothing more is called.
        let unforked = |_: &u64| !self.context.shared.owner.is_forked();
        calls.into_iter().take_while(unforked).for_each(|id| table.end(id));
    }
}
