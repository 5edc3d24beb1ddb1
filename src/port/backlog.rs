//! What a port has accepted and not handed to the system yet: gathered, queued and posted datagrams.

use super::{Open, Port};
use crate::context::Reason;
use crate::status::Result;

impl Port {
    /// What waits to be sent, as the limit of the queue counts it; also while `stop_protocol` runs.
    ///
    /// # Errors
    /// CLOSED.
    pub fn get_queued_bytes(&self) -> Result<usize> {
        Ok(self.backlog(&*self.open()?))
    }

    /// True if datagrams wait for a full socket.
    pub fn is_waiting(&self) -> bool {
        self.open().is_ok_and(|open| open.is_waiting())
    }

    /// Drops what was gathered, without counting it.
    pub fn drop_gathered(&self) {
        let Ok(open) = self.open() else { return };
        open.scheduled.remove(Reason::Gathered);
        let gathered = open.lazy.get().and_then(|lazy| lazy.sending.borrow_mut().take_gathered());
        if let Some(send_batch) = gathered {
            open.context.return_send_batch(send_batch);
        }
    }

    /// True if so little waits that `write_ready` may be called. What was gathered is sent before, since it may wait then.
    pub(super) fn has_write_room(&self, open: &Open) -> bool {
        let lazy = open.lazy();
        open.send_gathered(&mut lazy.sending.borrow_mut());
        self.backlog(open) <= lazy.write_ready_bytes.get()
    }

    /// [`Port::get_queued_bytes`] of an open port.
    pub(super) fn backlog(&self, open: &Open) -> usize {
        let unsent = open.lazy.get().map_or(0, |lazy| {
            let sending = lazy.sending.borrow();
            sending.queue.charged() + sending.gathered_charge()
        });
        unsent + self.shared.posted_charge()
    }
}
