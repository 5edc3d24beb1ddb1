//! What epoll is asked for of a port's socket, and how a socket that is reported again and again for nothing is kept from
//! spinning the loop.
//!
//! epoll(7) is level-triggered here, so what cannot be taken away is reported at every wait: an error that a read always
//! meets, an error queue that cannot be read. After a few such reports only changes are told (EPOLLET): each new datagram
//! and each new error is one. By the clock it is tried again, too.

use super::{Open, Port};
use crate::context::BACK_OFF;
use crate::log::Level;
use crate::status::{Result, Status};
use crate::sys::epoll::{EDGE_TRIGGERED, READABLE, WRITABLE};
use std::cell::Cell;

/// How many reports in a row may be for nothing. Single ones are: another holder was faster, a checksum was wrong.
const SPURIOUS_MAX: u8 = 8;
/// How often the time between two tries doubles: 64 ms at most.
const BACK_OFF_DOUBLINGS: u8 = 6;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Interest {
    /// What epoll was last asked for; none where it does not know the socket.
    registered: Cell<Option<u32>>,
    /// Something came of the report that is being looked at.
    record_progress: Cell<bool>,
    /// Reports in a row that nothing came of.
    spurious: Cell<u8>,
    /// Only changes are reported.
    edge_triggered: Cell<bool>,
}

impl Interest {
    /// Something was taken from the socket, or given to it.
    #[inline]
    pub(super) fn record_progress(&self) {
        self.record_progress.set(true);
    }

    /// All that there is is reported again.
    pub(super) fn use_level_triggering(&self) {
        self.edge_triggered.set(false);
    }

    /// Before a report is looked at.
    pub(super) fn begin_event(&self) {
        self.record_progress.set(false);
    }
}

impl Port {
    /// Asks a new epoll set, for the first time or in a forked child.
    pub fn watch(&self) -> Result {
        self.open().map_or(Ok(()), |open| open.watch())
    }
}

impl Open {
    pub(super) fn watch(&self) -> Result {
        let (context, wanted) = (&self.context, self.wanted());
        context.kernel.watch(context.epoll.fd(), self.fd.get(), wanted, self.token.get())?;
        self.interest.registered.set(Some(wanted));
        Ok(())
    }

    fn wanted(&self) -> u32 {
        let reading = if self.is_reading() { READABLE } else { 0 };
        let writing = if self.wants_writable() { WRITABLE } else { 0 };
        let edge_triggered = if self.interest.edge_triggered.get() { EDGE_TRIGGERED } else { 0 };
        reading | writing | edge_triggered
    }

    /// Asks epoll for what is wanted now, where that has changed.
    pub(super) fn update_interest(&self) {
        self.change_interest(self.wanted());
    }

    fn change_interest(&self, wanted: u32) {
        let registered = self.interest.registered.get();
        if registered != Some(wanted) && self.fd.get() >= 0 {
            let done = self.register(registered, wanted);
            self.interest.registered.set(done.then_some(wanted));
            if !done {
                self.retry_later(BACK_OFF);
            }
        }
    }

    /// Sends while epoll does not know the socket: else each message that the kernel is done with wakes the epoll set
    /// (sock_wfree in net/core/sock.c), which is a tenth of the work for a short one, and tells nothing that is wanted.
    pub(super) fn send_unwatched(&self, send: impl FnOnce()) {
        let registered = self.interest.registered.take();
        if registered.is_some() {
            self.context.unwatch(self.fd.get());
        }
        send();
        if let Some(registered) = registered {
            self.change_interest(registered);
        }
    }

    /// What epoll does not change (ENOENT, ENOMEM) is taken out and put in anew: what was asked for before would be reported
    /// on and on.
    fn register(&self, registered: Option<u32>, wanted: u32) -> bool {
        let (kernel, epoll) = (&*self.context.kernel, self.context.epoll.fd());
        let (fd, token) = (self.fd.get(), self.token.get());
        let change = || kernel.rewatch(epoll, fd, wanted, token);
        let add = || kernel.watch(epoll, fd, wanted, token);
        if registered.is_none() {
            return add().or_else(|_| change()).is_ok();
        }
        // What the host has put in the socket's place is not watched.
        let is_socket = || kernel.raw_option(fd, libc::SOL_SOCKET, libc::SO_TYPE, &mut [0; 4]).is_ok();
        let anew = |_| {
            if !is_socket() {
                return Ok(());
            }
            let _ = kernel.unwatch(epoll, fd);
            add()
        };
        change().or_else(anew).is_ok()
    }

    /// After a report: what comes of it tells how the socket is watched from here on.
    pub(super) fn update_trigger_mode(&self) {
        let Interest { record_progress, spurious, edge_triggered, .. } = &self.interest;
        // What is kept is delivered first, in a turn that does not wait.
        let deferred = || self.is_receiving() && self.has_deferred();
        if record_progress.get() || deferred() {
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
