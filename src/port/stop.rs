//! The end of a port: what was gathered is sent, the socket is closed, `stop_protocol` is called, and the protocol is
//! dropped.

use super::{Open, Port, State};
use crate::context::Reason;
use crate::log::Level;
use crate::status::{Result, Status};
use std::rc::Rc;
use std::sync::Arc;

impl Port {
    /// Stops the port: no datagram is delivered from now on, and the rest follows in a later turn. Calling it again has
    /// no effect.
    pub fn stop_listening(self: &Arc<Port>) -> Result {
        let open = self.open()?;
        if open.is_listening() {
            self.flush_all(&open);
            open.state.set(State::Stopping);
            open.discard_batch();
            open.update_interest();
            open.schedule(Reason::Stop);
        }
        Ok(())
    }

    /// Stops the port at once: `stop_protocol` has returned when this returns.
    pub fn close(self: &Arc<Port>, reason: Status) -> Result {
        let open = self.open()?;
        if open.state.get() == State::Closed {
            return Ok(());
        }
        // Callbacks may release every other reference to it.
        let _held = self.clone();
        self.flush_all(&open);
        self.close_socket(&open);
        open.context.log_record(Level::Info, reason, c"port", format_args!("closed"));
        let owner = &open.context.shared.owner;
        open.end_calls();
        if !owner.is_forked() {
            open.protocol.stop_protocol(self, reason);
        }
        self.forget(&open);
        if owner.is_forked() { Err(Status::CLOSED) } else { Ok(()) }
    }

    /// The rest of [`Port::stop_listening`].
    pub(super) fn finish_stop(self: &Arc<Port>) {
        // CLOSED: a callback has closed it before.
        let _ = self.close(Status::OK);
    }

    /// Ends a port whose start has failed, without `stop_protocol`.
    pub(super) fn abandon(self: &Arc<Port>) {
        // CLOSED: start_protocol has closed the port itself.
        let Ok(open) = self.open() else { return };
        self.close_socket(&open);
        open.end_calls();
        self.forget(&open);
    }

    /// Ends a port whose [`close`](Port::close) has panicked: drops the open part, on the reactor's thread.
    pub fn drop_open(&self) {
        drop(self.open.take());
    }

    fn flush_all(&self, open: &Rc<Open>) {
        self.shared.close_posts();
        self.send_posted();
        open.flush();
    }

    /// Closes the socket and drops what waits to be sent.
    fn close_socket(&self, open: &Rc<Open>) {
        self.shared.close_posts();
        open.state.set(State::Closed);
        open.discard_batch();
        let dropped = (self.shared.drop_posted() + open.drop_unsent()) as u64;
        if dropped > 0 {
            open.lazy().counters.update(|stats| stats.dropped_out += dropped);
        }
        open.count_kernel_drops();
        open.restore();
        // Before the close: a duplicate of the descriptor would keep the registration alive (epoll(7), question 6).
        open.context.unwatch(open.fd.get());
        open.fd.close();
    }

    /// The port no longer belongs to its reactor. The protocol lives until the last of its callbacks has returned.
    fn forget(&self, open: &Rc<Open>) {
        let context = &open.context;
        context.port_count.set(context.port_count.get() - 1);
        open.schedule(Reason::Gone);
        let last = self.open.take();
        if context.shared.owner.is_forked() {
            // stop_protocol has forked: in the child nothing more is called.
            std::mem::forget(last);
        }
    }
}

impl Open {
    /// Counts the datagrams that were received and will not be delivered.
    fn discard_batch(&self) {
        self.context.shared.owner.invalidate_batch();
        let Some(lazy) = self.lazy.get() else { return };
        let deferred: usize = lazy.deferred.take().iter().map(|deferred| deferred.batch().len()).sum();
        self.count_discarded(self.undelivered.take() as usize + deferred);
    }
}
