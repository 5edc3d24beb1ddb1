//! The end of a port: what was gathered is sent, the socket is closed, `stop_protocol` is called, and the protocol is
//! dropped.

use super::lazy::NO_DEADLINE;
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
            self.begin_stop(&open, State::Stopping);
        }
        if open.state.get() != State::Closed {
            open.schedule(Reason::Stop);
        }
        Ok(())
    }

    /// As [`Port::stop_listening`], but the rest follows once everything is sent that was accepted, or at `deadline`, an instant of
    /// the reactor's clock. Of several deadlines the earliest counts.
    ///
    /// # Errors
    /// NO_MEMORY: nothing has changed; CLOSED once `stop_protocol` has returned.
    pub fn stop_when_sent(self: &Arc<Port>, deadline: u64) -> Result {
        let open = self.open()?;
        if !open.is_sending() {
            return Ok(());
        }
        open.context.reserve_stop_deadline()?;
        if open.is_listening() {
            self.begin_stop(&open, State::Draining);
            self.stop_if_sent(&open);
        }
        open.advance_stop_deadline(deadline);
        Ok(())
    }

    /// From this call on nothing is delivered or accepted.
    fn begin_stop(&self, open: &Rc<Open>, state: State) {
        self.flush_all(open);
        open.state.set(state);
        open.discard_batch();
        open.update_interest();
    }

    /// Has the rest of a stop follow if everything is sent.
    pub(super) fn stop_if_sent(&self, open: &Open) {
        open.flush();
        if self.backlog(open) == 0 {
            open.schedule(Reason::Stop);
        }
    }

    /// Stops the port at once: `stop_protocol` has returned when this returns.
    pub fn close(self: &Arc<Port>, reason: Status) -> Result {
        let open = self.open()?;
        if open.state.get() == State::Closed {
            return Ok(());
        }
        // Callbacks may release every other reference to it.
        let _held = self.clone();
        let was_draining = open.state.get() == State::Draining;
        self.flush_all(&open);
        let is_late = self.close_socket(&open) > 0 && was_draining && reason == Status::OK;
        let reason = if is_late { Status::TIMED_OUT } else { reason };
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
        // The last datagram of a port that was draining may have been refused.
        self.report_errors();
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

    /// Closes the socket and drops what waits to be sent. Returns the number of datagrams.
    fn close_socket(&self, open: &Rc<Open>) -> u64 {
        self.shared.close_posts();
        open.state.set(State::Closed);
        open.discard_batch();
        open.remove_stop_deadline();
        let dropped = (self.shared.drop_posted() + open.drop_unsent()) as u64;
        if dropped > 0 {
            open.lazy().counters.update(|stats| stats.dropped_out += dropped);
        }
        open.count_kernel_drops();
        open.restore();
        // Before the close: a duplicate of the descriptor would keep the registration alive (epoll(7), question 6).
        open.context.unwatch(open.fd.get());
        open.fd.close();
        dropped
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
    /// Sets the deadline of a port that is draining, unless it has an earlier one. There is room for it.
    fn advance_stop_deadline(&self, deadline: u64) {
        if deadline < self.lazy().stop_deadline.get() {
            self.remove_stop_deadline();
            self.lazy().stop_deadline.set(deadline);
            self.context.add_stop_deadline(deadline, self.token.get());
        }
    }

    fn remove_stop_deadline(&self) {
        let deadline = self.lazy.get().map_or(NO_DEADLINE, |lazy| lazy.stop_deadline.replace(NO_DEADLINE));
        if deadline != NO_DEADLINE {
            self.context.remove_stop_deadline(deadline, self.token.get());
        }
    }

    /// Counts the datagrams that were received and will not be delivered.
    fn discard_batch(&self) {
        self.context.shared.owner.invalidate_batch();
        let Some(lazy) = self.lazy.get() else { return };
        let deferred: usize = lazy.deferred.take().iter().map(|deferred| deferred.batch().len()).sum();
        self.count_discarded(self.undelivered.take() as usize + deferred);
    }
}
