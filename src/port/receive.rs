//! Receiving: one recvmmsg(2) a turn into buffers that the reactor's ports share, and the datagrams that a pause
//! defers.

use super::{Open, Port};
use crate::context::Reason;
use crate::log::Level;
use crate::status::{Result, Status};
use crate::sys::{
    Datagram, Datagrams, DeferredBatch, Failure, MESSAGES_MAX, OwnerLock, Received, RecvBatch, RecvOptions,
};
use std::io;
use std::rc::Rc;
use std::sync::Arc;

/// A call that received so many bytes is enough for one turn: other ports and calls come next.
const TURN_BYTES: usize = 1024 * 1024;

/// Datagrams to be delivered to a [`Protocol`](super::Protocol), which takes them one by one or all at once.
pub struct Delivery<'a> {
    open: &'a Open,
    owner: &'a OwnerLock,
    batch: Datagrams<'a>,
    /// The datagrams of the batch that were not taken.
    rest: std::slice::Iter<'a, Datagram>,
    /// The number of datagrams that were received after the batch.
    behind: usize,
    /// The size of the batch, if all of it was lent at once.
    lent: usize,
}

impl<'a> Delivery<'a> {
    /// Takes one datagram after the other and calls `receive` with it, until there is no more, or until the port is
    /// paused or stopped.
    #[inline]
    pub fn each(&mut self, mut receive: impl FnMut(&'a Datagram)) {
        let (open, owner) = (self.open, self.owner);
        let mut rest = self.rest.clone();
        loop {
            if !owner.is_batch_valid() && !open.skip_filtered(&mut rest) {
                break;
            }
            let Some(datagram) = rest.next() else { break };
            open.undelivered.set(open.undelivered.get() - 1);
            receive(datagram);
        }
        self.rest = rest;
    }

    /// All datagrams that were not taken.
    pub fn all(&mut self) -> Datagrams<'a> {
        self.lent = self.batch.len();
        self.open.undelivered.set(self.behind as u32);
        self.batch.skip(self.taken())
    }

    fn taken(&self) -> usize {
        self.batch.len() - self.rest.len()
    }

    /// Takes `count` of [`Delivery::all`].
    pub fn take(&mut self, count: usize) {
        self.rest = self.batch.skip(self.taken().saturating_add(count)).iter();
    }
}

impl Port {
    /// Receives once and delivers. Nothing is received while deferred datagrams wait.
    pub(super) fn receive(self: &Arc<Port>, open: &Rc<Open>) {
        if !open.is_receiving() || open.has_deferred() {
            return;
        }
        let context = &open.context;
        let mut recv_batch = context.take_recv_batch();
        let got = context.kernel.receive(open.fd.get(), &mut recv_batch, &open.recv_options());
        let counters = &open.lazy().counters;
        counters.update(|stats| stats.syscalls_in += 1);
        let mut end = None;
        match got {
            Ok(got) => {
                open.registration.record_progress();
                open.adapt_message_count(&got);
                counters.update(|stats| {
                    stats.datagrams_in += got.datagrams as u64;
                    stats.bytes_in += got.bytes as u64;
                    stats.truncated_in += got.truncated as u64;
                });
                if let Some(failure) = got.failure {
                    open.take_pending_error(failure);
                }
                self.deliver_all(open, &mut recv_batch, got.datagrams);
            }
            // Any other failure: if there is more to receive, it is reported as ready again.
            Err(error) => {
                open.take_pending_error(Failure::of(&error));
                end = open.end_of_socket(error);
            }
        }
        context.return_recv_batch(recv_batch);
        if let Some(reason) = end {
            self.end(reason);
        }
    }

    /// Stops a port that can receive nothing any more: its socket would be reported as ready permanently.
    pub(super) fn end(self: &Arc<Port>, reason: Status) {
        if let Ok(open) = self.open() {
            let context = &open.context;
            context.log_record(
                Level::Error,
                reason,
                c"port",
                format_args!("it can receive nothing any more, and stops"),
            );
        }
        // CLOSED: a callback has closed it before.
        let _ = self.close(reason);
    }

    /// Delivers batch by batch. Once the port is paused, or leaves a part of a batch, the rest is deferred.
    fn deliver_all(self: &Arc<Port>, open: &Rc<Open>, recv_batch: &mut RecvBatch, mut behind: usize) {
        while let Some(batch) = recv_batch.next_batch() {
            behind -= batch.len();
            let count = batch.len();
            let batch = if open.needs_group_filter() { open.drop_unjoined(recv_batch, count) } else { batch };
            let filtered = open.filter_by_peer(batch);
            let batch = filtered.as_ref().map_or(batch, DeferredBatch::batch);
            let waits = open.has_deferred() || !open.is_receiving();
            let left = if waits { batch.len() } else { self.deliver(open, batch, behind) };
            if !open.is_listening() || open.context.shared.owner.is_unusable() {
                return;
            }
            if left > 0 {
                open.defer(batch.skip(batch.len() - left));
            }
        }
    }

    /// Delivers the oldest deferred batch, in a turn after the one that deferred it.
    pub(super) fn deliver_deferred(self: &Arc<Port>, open: &Rc<Open>) {
        if !open.is_receiving() {
            return;
        }
        let queue = &open.lazy().deferred;
        let first = queue.borrow_mut().pop_front();
        let Some(mut deferred) = first else { return };
        let (before, behind) = (deferred.batch().len(), 0);
        let left = self.deliver(open, deferred.batch(), behind);
        if left > 0 {
            deferred.discard_first(before - left);
            queue.borrow_mut().push_front(deferred);
            open.filter_deferred();
        }
        open.schedule_deferred();
    }

    /// Hands a batch to the protocol. `behind` more datagrams were received after it. Returns how many datagrams at its
    /// end have to be deferred.
    fn deliver(self: &Arc<Port>, open: &Rc<Open>, batch: Datagrams<'_>, behind: usize) -> usize {
        if batch.is_empty() {
            return 0;
        }
        let owner = &open.context.shared.owner;
        open.undelivered.set((behind + batch.len()) as u32);
        owner.mark_batch_valid();
        let mut delivery = Delivery { open, owner, batch, rest: batch.iter(), behind, lent: 0 };
        open.protocol.datagrams_received(self, &mut delivery);
        open.undelivered.set(0);
        let (taken, lent) = (delivery.taken(), delivery.lent);
        if owner.is_unusable() {
            return 0;
        }
        if !open.is_listening() {
            // The stop has counted the datagrams that the protocol had not received.
            open.count_discarded(lent.saturating_sub(taken));
            return 0;
        }
        batch.len() - taken
    }

    /// Pauses: no datagram is delivered until [`Port::resume_reading`], and the rest of a batch is deferred. Calling it
    /// again has no effect.
    pub fn pause_reading(&self) -> Result {
        let open = self.listening()?;
        open.paused.set(true);
        open.context.shared.owner.invalidate_batch();
        open.update_interest();
        Ok(())
    }

    /// Resumes: datagrams are delivered again, in a later turn, the deferred ones first. Calling it again has no
    /// effect.
    pub fn resume_reading(&self) -> Result {
        let open = self.listening()?;
        if open.paused.replace(false) {
            open.schedule_deferred();
        }
        open.update_interest();
        Ok(())
    }
}

impl Open {
    /// The reason if nothing can be received any more: the host has closed the socket, has opened something else under its
    /// number, or has shut it down, which a receive does not report: it fails as on an empty socket.
    fn end_of_socket(&self, error: io::Error) -> Option<Status> {
        match Failure::of(&error) {
            Failure::BadHandle | Failure::NotSocket => Some(error.into()),
            // A sandbox refuses every way to receive.
            Failure::NoSuchCall => Some(Status::NOT_SUPPORTED),
            Failure::WouldBlock if self.context.kernel.is_shut(self.fd.get()) => Some(Status::SHUT_DOWN),
            _ => None,
        }
    }

    /// Defers a batch. Without memory it is discarded.
    fn defer(&self, batch: Datagrams<'_>) {
        let mut queue = self.lazy().deferred.borrow_mut();
        let deferred = queue.try_reserve(1).map_err(Status::from).and_then(|()| batch.copy_if(|_| true));
        match deferred {
            Ok(deferred) => queue.push_back(deferred),
            Err(_) => self.count_discarded(batch.len()),
        }
        drop(queue);
        self.filter_deferred();
        self.schedule_deferred();
    }

    /// Has deferred datagrams delivered in a later turn.
    fn schedule_deferred(&self) {
        if self.is_reading() && self.has_deferred() {
            self.schedule(Reason::Deferred);
        }
    }

    /// A copy of the batch without the datagrams that are not from the peer; None if all of them are from the peer. The
    /// copy is empty if there is no memory for it.
    fn filter_by_peer(&self, batch: Datagrams<'_>) -> Option<DeferredBatch> {
        self.peer.get()?;
        if !batch.iter().any(|datagram| self.is_not_from_peer(datagram)) {
            return None;
        }
        let filtered = batch.copy_if(|datagram| !self.is_not_from_peer(datagram)).unwrap_or_default();
        self.count_discarded(batch.len() - filtered.batch().len());
        Some(filtered)
    }

    /// Discards the deferred datagrams of other senders, once there is a peer.
    pub(super) fn filter_deferred(&self) {
        let Some(lazy) = self.lazy.get() else { return };
        let mut deferred = lazy.deferred.borrow_mut();
        for batch in deferred.iter_mut() {
            if let Some(filtered) = self.filter_by_peer(batch.batch()) {
                *batch = filtered;
            }
        }
        deferred.retain(|batch| !batch.batch().is_empty());
    }

    pub(super) fn count_discarded(&self, count: usize) {
        self.lazy().counters.update(|stats| stats.discarded_in += count as u64);
    }

    /// Called after a callback that changed which datagrams are wanted, on this port or another one: skips those that
    /// are not wanted any more. Returns false if none is wanted.
    #[inline(never)]
    fn skip_filtered(&self, rest: &mut std::slice::Iter<'_, Datagram>) -> bool {
        if !self.is_receiving() {
            return false;
        }
        while rest.as_slice().first().is_some_and(|datagram| self.is_not_from_peer(datagram)) {
            rest.next();
            self.undelivered.set(self.undelivered.get() - 1);
            self.count_discarded(1);
        }
        true
    }

    /// The port number of received datagrams' destinations. A socket that was adopted unbound gets one once it
    /// receives.
    fn local_port(&self) -> Option<u16> {
        if self.meta_port.get() == Some(0) {
            // If that fails, it is tried again the next time.
            let _ = self.learn_port();
        }
        self.meta_port.get()
    }

    fn recv_options(&self) -> RecvOptions {
        RecvOptions {
            messages: self.messages.get().into(),
            packet_size: self.packet_size.into(),
            merges: self.merges.get(),
            meta_port: self.local_port(),
        }
    }

    /// After a call that filled all messages, the next one asks for twice as many, unless their bytes were enough for
    /// one turn. If they were enough for two turns, it asks for half as many: messages have become longer.
    fn adapt_message_count(&self, got: &Received) {
        let asked = self.messages.get();
        if got.messages < usize::from(asked) {
            return;
        }
        if got.bytes < TURN_BYTES {
            self.messages.set((asked * 2).min(MESSAGES_MAX as u8));
        } else if got.bytes >= 2 * TURN_BYTES {
            self.messages.set((asked / 2).max(1));
        }
    }
}
