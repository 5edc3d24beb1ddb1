//! How a port ends: what was gathered leaves, the socket closes, `stop_protocol` runs, the protocol is dropped.

use super::{Open, Port, State};
use crate::log::Level;
use crate::status::{Result, Status};
use crate::turn::Reason;
use std::rc::Rc;
use std::sync::Arc;

impl Port {
    /// No datagram after this; the rest of the stop comes in a later turn. Again is fine.
    pub fn stop_listening(self: &Arc<Port>) -> Result {
        let open = self.open()?;
        if open.is_listening() {
            self.send_what_waits(&open);
            open.state.set(State::Stopping);
            open.discard();
            open.update_interest();
            open.turn.schedule(Reason::Stop, open.token.get());
        }
        Ok(())
    }

    /// Stops at once: `stop_protocol` has run when this returns.
    pub fn close(self: &Arc<Port>, reason: Status) -> Result {
        let open = self.open()?;
        if open.state.get() == State::Closed {
            return Ok(());
        }
        // Callbacks may release every other hold on it.
        let _held = self.clone();
        self.send_what_waits(&open);
        self.shut(&open);
        open.turn.say(Level::Info, reason, c"port", format_args!("closed"));
        let gate = &open.turn.door.gate;
        if !gate.is_forked() {
            open.protocol.stop_protocol(self, reason);
        }
        self.forget(&open);
        if gate.is_forked() { Err(Status::CLOSED) } else { Ok(()) }
    }

    /// The rest of [`Port::stop_listening`].
    pub fn finish_stop(self: &Arc<Port>) {
        // CLOSED: somebody was faster.
        let _ = self.close(Status::OK);
    }

    /// The end of a port whose start failed: no `stop_protocol`.
    pub(super) fn abandon(self: &Arc<Port>) {
        // Nothing where start_protocol has closed the port itself.
        let Ok(open) = self.open() else { return };
        self.shut(&open);
        self.forget(&open);
    }

    /// Ends a port whose [`close`](Port::close) panicked: what is open is dropped, on the reactor's thread.
    pub fn drop_open(&self) {
        drop(self.open.take());
    }

    fn send_what_waits(&self, open: &Rc<Open>) {
        self.shared.close_outbox();
        self.take_mail();
        open.flush();
    }

    /// Closes the socket and drops what waits for it.
    fn shut(&self, open: &Rc<Open>) {
        self.shared.close_outbox();
        open.state.set(State::Closed);
        open.discard();
        let dropped = (self.shared.drop_letters() + open.drop_unsent()) as u64;
        if dropped > 0 {
            open.used().counters.update(|stats| stats.dropped_out += dropped);
        }
        open.count_kernel_drops();
        open.put_back();
        // Before the close: a duplicate elsewhere would keep the registration alive (epoll(7), question 6).
        open.turn.unwatch(open.fd.get());
        open.fd.close();
    }

    /// The port is no longer its reactor's. The protocol lives until the last of its callbacks has returned.
    fn forget(&self, open: &Rc<Open>) {
        let turn = &open.turn;
        turn.ports.set(turn.ports.get() - 1);
        turn.schedule(Reason::Gone, open.token.get());
        let last = self.open.take();
        if turn.door.gate.is_forked() {
            // stop_protocol has forked: in the child nothing more is called.
            std::mem::forget(last);
        }
    }
}

impl Open {
    /// Counts what was received and will not be delivered.
    fn discard(&self) {
        self.turn.door.gate.disturb();
        let Some(used) = self.used.get() else { return };
        let kept: usize = used.kept.take().iter().map(|kept| kept.batch().len()).sum();
        self.count_discarded(self.unseen.take() as usize + kept);
    }
}
