//! What a port's socket is watched for, and how a socket that is reported again and again without a result is kept from
//! spinning the loop.
//!
//! Watching is level-triggered here, so a condition that cannot be removed is reported by every wait: an error that every read
//! returns, or an error queue that cannot be read. After a few such reports only changes are reported (edge-triggered): each
//! new datagram and each new error is one. In addition the socket is tried again at intervals.

use super::{Open, Port};
use crate::context::BACK_OFF;
use crate::log::Level;
use crate::status::{Result, Status};
use crate::sys::Interest;
use std::cell::Cell;

/// How many reports in a row may be without a result. A single one is normal: another process that holds the socket was
/// faster, or a checksum was wrong.
const SPURIOUS_MAX: u8 = 8;
/// How often the time between two tries doubles: 64 ms at most.
const BACK_OFF_DOUBLINGS: u8 = 6;

/// How a port's socket is registered with the poller.
#[derive(Debug, Default)]
pub(super) struct Registration {
    /// The interest that the poller was last asked for; none if it does not have the socket.
    interest: Cell<Option<Interest>>,
    /// The report that is being handled had a result.
    has_progress: Cell<bool>,
    /// Reports in a row without a result.
    spurious: Cell<u8>,
    /// Only changes are reported.
    edge_triggered: Cell<bool>,
}

impl Registration {
    /// Something was received from the socket, or sent.
    #[inline]
    pub(super) fn record_progress(&self) {
        self.has_progress.set(true);
    }

    /// Everything that is ready is reported again.
    pub(super) fn use_level_triggering(&self) {
        self.edge_triggered.set(false);
    }

    /// Called before a report is handled.
    pub(super) fn begin_event(&self) {
        self.has_progress.set(false);
    }
}

impl Port {
    /// Adds the socket to a new poller, for the first time or in a forked child.
    pub fn watch(&self) -> Result {
        self.open().map_or(Ok(()), |open| open.watch())
    }
}

impl Open {
    pub(super) fn watch(&self) -> Result {
        let (context, wanted) = (&self.context, self.wanted());
        context.kernel.watch(&context.poller, self.fd.get(), wanted, self.token.get())?;
        self.registration.interest.set(Some(wanted));
        Ok(())
    }

    fn wanted(&self) -> Interest {
        Interest {
            readable: self.is_reading(),
            writable: self.wants_writable(),
            edge_triggered: self.registration.edge_triggered.get(),
        }
    }

    /// Changes what the socket is watched for, if that is not what is wanted now.
    pub(super) fn update_interest(&self) {
        self.change_interest(self.wanted());
    }

    fn change_interest(&self, wanted: Interest) {
        let registered = self.registration.interest.get();
        if registered != Some(wanted) && self.fd.get() >= 0 {
            let done = self.register(registered, wanted);
            self.registration.interest.set(done.then_some(wanted));
            if !done {
                self.retry_later(BACK_OFF);
            }
        }
    }

    /// Sends while the socket is not watched. Otherwise each message that the kernel has sent wakes the epoll set (sock_wfree
    /// in net/core/sock.c), which is a tenth of the work for a short message, and reports nothing that is wanted.
    pub(super) fn send_unwatched(&self, send: impl FnOnce()) {
        let registered = self.registration.interest.take();
        if registered.is_some() {
            self.context.unwatch(self.fd.get());
        }
        send();
        if let Some(registered) = registered {
            self.change_interest(registered);
        }
    }

    /// If the interest cannot be changed, the socket is removed and added again: the former interest would be reported
    /// permanently.
    fn register(&self, registered: Option<Interest>, wanted: Interest) -> bool {
        let (kernel, poller) = (&*self.context.kernel, &self.context.poller);
        let (fd, token) = (self.fd.get(), self.token.get());
        let change = || kernel.rewatch(poller, fd, wanted, token);
        let add = || kernel.watch(poller, fd, wanted, token);
        if registered.is_none() {
            return add().or_else(|_| change()).is_ok();
        }
        // If the host has closed the socket and opened something else under its number, that is not watched.
        let anew = |_| {
            if !kernel.is_socket(fd) {
                return Ok(());
            }
            let _ = kernel.unwatch(poller, fd);
            add()
        };
        change().or_else(anew).is_ok()
    }

    /// Called after a report was handled: chooses how the socket is watched from now on.
    pub(super) fn update_trigger_mode(&self) {
        let Registration { has_progress, spurious, edge_triggered, .. } = &self.registration;
        // Deferred datagrams are delivered first, in a turn that does not wait.
        let deferred = || self.is_receiving() && self.has_deferred();
        if has_progress.get() || deferred() {
            if spurious.take() >= SPURIOUS_MAX {
                edge_triggered.set(false);
                self.update_interest();
            }
            return;
        }
        spurious.set(spurious.get().saturating_add(1));
        let Some(extra) = spurious.get().checked_sub(SPURIOUS_MAX) else { return };
        edge_triggered.set(true);
        if extra == 0 {
            let text = format_args!(
                "its socket is ready, but nothing can be taken from it; it is looked at less often"
            );
            self.context.log_record(Level::Warn, Status::OK, c"port", text);
        }
        self.update_interest();
        self.retry_later(BACK_OFF << extra.min(BACK_OFF_DOUBLINGS));
    }
}
