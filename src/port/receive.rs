//! Receiving: one recvmmsg a turn into buffers that the reactor's ports share, and what a pause leaves behind.

use super::{Open, Port};
use crate::log::Level;
use crate::status::{Result, Status};
use crate::sys::{Batch, Datagram, Gate, Inbound, Kept, MESSAGES_MAX, Received, Reception};
use crate::turn::Reason;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

/// A call that brings as many bytes is enough for one turn: other ports, and calls, come next.
const TURN_BYTES: usize = 1024 * 1024;

/// Datagrams on their way to a [`Protocol`](super::Protocol), which takes them one by one or all together.
pub struct Delivery<'a> {
    open: &'a Open,
    gate: &'a Gate,
    batch: Batch<'a>,
    /// Those of it that have not been taken.
    rest: std::slice::Iter<'a, Datagram>,
    /// How many have been read behind the batch.
    behind: usize,
    /// All of the batch, where that was taken at once.
    shown: usize,
}

impl<'a> Delivery<'a> {
    /// Takes one after the other and shows it to `receive`, until there is no more, or until the port is paused or
    /// stopped.
    #[inline]
    pub fn each(&mut self, mut receive: impl FnMut(&'a Datagram)) {
        let (open, gate) = (self.open, self.gate);
        let mut rest = self.rest.clone();
        loop {
            if !gate.is_calm() && !open.skip_unwanted(&mut rest) {
                break;
            }
            let Some(datagram) = rest.next() else { break };
            open.unseen.set(open.unseen.get() - 1);
            receive(datagram);
        }
        self.rest = rest;
    }

    /// All that have not been taken.
    pub fn all(&mut self) -> Batch<'a> {
        self.shown = self.batch.len();
        self.open.unseen.set(self.behind as u32);
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
    /// Reads once and delivers. Nothing is read while older datagrams wait.
    pub(super) fn receive(self: &Arc<Port>, open: &Rc<Open>) {
        if !open.is_receiving() || open.keeps_some() {
            return;
        }
        let turn = &open.turn;
        let mut inbound = turn.take_inbound();
        let got = turn.kernel.receive(open.fd.get(), &mut inbound, &open.reception());
        let counters = &open.used().counters;
        counters.update(|stats| stats.syscalls_in += 1);
        let mut end = None;
        match got {
            Ok(got) => {
                open.interest.found();
                open.adapt(&got);
                counters.update(|stats| {
                    stats.datagrams_in += got.datagrams as u64;
                    stats.bytes_in += got.bytes as u64;
                    stats.truncated_in += got.truncated as u64;
                });
                if let Some(errno) = got.error {
                    open.take_error(&io::Error::from_raw_os_error(errno));
                }
                self.deliver_all(open, &mut inbound, got.datagrams);
            }
            // Whatever else it is: epoll tells when there is more.
            Err(error) => {
                open.take_error(&error);
                end = open.end_of_socket(&error);
            }
        }
        turn.return_inbound(inbound);
        if let Some(reason) = end {
            self.end(reason);
        }
    }

    /// The port stops by itself: it can receive nothing any more, and epoll would report its socket permanently.
    pub(super) fn end(self: &Arc<Port>, reason: Status) {
        if let Ok(open) = self.open() {
            let turn = &open.turn;
            turn.say(
                Level::Error,
                reason,
                c"port",
                format_args!("it can receive nothing any more, and stops"),
            );
        }
        // CLOSED: a callback was faster.
        let _ = self.close(reason);
    }

    /// Batch by batch. Once the port pauses, or leaves some of a batch, the rest is kept.
    fn deliver_all(self: &Arc<Port>, open: &Rc<Open>, inbound: &mut Inbound, mut behind: usize) {
        while let Some(batch) = inbound.next_batch() {
            behind -= batch.len();
            let count = batch.len();
            let batch = if open.sifts_groups() { open.sift_groups(inbound, count) } else { batch };
            let sifted = open.sift(batch);
            let batch = sifted.as_ref().map_or(batch, Kept::batch);
            let waits = open.keeps_some() || !open.is_receiving();
            let left = if waits { batch.len() } else { self.deliver(open, batch, behind) };
            if !open.is_listening() || open.turn.door.gate.is_lost() {
                return;
            }
            if left > 0 {
                open.keep(batch.skip(batch.len() - left));
            }
        }
    }

    /// Delivers what was kept first, in a turn after the one that kept it.
    pub fn resume(self: &Arc<Port>) {
        let Ok(open) = self.open() else { return };
        open.kept_listed.set(false);
        if !open.is_receiving() {
            return;
        }
        let queue = &open.used().kept;
        let first = queue.borrow_mut().pop_front();
        let Some(mut kept) = first else { return };
        let (before, behind) = (kept.batch().len(), 0);
        let left = self.deliver(&open, kept.batch(), behind);
        if left > 0 {
            kept.take(before - left);
            queue.borrow_mut().push_front(kept);
            open.sift_kept();
        }
        open.list_kept();
    }

    /// Hands a batch to the protocol, with `behind` more read but not in it. The answer is how many at its end are to be
    /// kept.
    fn deliver(self: &Arc<Port>, open: &Rc<Open>, batch: Batch<'_>, behind: usize) -> usize {
        if batch.is_empty() {
            return 0;
        }
        let gate = &open.turn.door.gate;
        open.unseen.set((behind + batch.len()) as u32);
        gate.calm();
        let mut delivery = Delivery { open, gate, batch, rest: batch.iter(), behind, shown: 0 };
        open.protocol.datagrams_received(self, &mut delivery);
        open.unseen.set(0);
        let (taken, shown) = (delivery.taken(), delivery.shown);
        if gate.is_lost() {
            return 0;
        }
        if !open.is_listening() {
            // Those that it had not seen were counted by the stop.
            open.count_discarded(shown.saturating_sub(taken));
            return 0;
        }
        batch.len() - taken
    }

    /// No datagram until [`Port::resume_reading`]; the rest of a batch is kept. Again is fine.
    pub fn pause_reading(&self) -> Result {
        let open = self.listening()?;
        open.paused.set(true);
        open.turn.door.gate.disturb();
        open.update_interest();
        Ok(())
    }

    /// Datagrams again, in a later turn, the kept ones first. Again is fine.
    pub fn resume_reading(&self) -> Result {
        let open = self.listening()?;
        if open.paused.replace(false) {
            open.list_kept();
        }
        open.update_interest();
        Ok(())
    }
}

impl Open {
    /// Why nothing will ever be received again, if that is so: the host has closed the descriptor, put something else in
    /// its place, or shut the socket down, which a read of UDP does not tell (EAGAIN, as for an empty socket).
    fn end_of_socket(&self, error: &io::Error) -> Option<Status> {
        match error.raw_os_error()? {
            libc::EBADF | libc::ENOTSOCK => Some(Status::from_errno(error.raw_os_error()?)),
            // A sandbox refuses every way to receive.
            libc::ENOSYS => Some(Status::NOT_SUPPORTED),
            libc::EAGAIN if self.turn.kernel.is_shut(self.fd.get()) => {
                Some(Status::from_errno(libc::ESHUTDOWN))
            }
            _ => None,
        }
    }

    /// Discarded, where there is no memory for a copy.
    fn keep(&self, batch: Batch<'_>) {
        let mut queue = self.used().kept.borrow_mut();
        let kept = queue.try_reserve(1).map_err(Status::from).and_then(|()| batch.keep(|_| true));
        match kept {
            Ok(kept) => queue.push_back(kept),
            Err(_) => self.count_discarded(batch.len()),
        }
        drop(queue);
        self.sift_kept();
        self.list_kept();
    }

    /// Has what is kept delivered in a later turn.
    fn list_kept(&self) {
        let wanted = self.is_reading() && self.keeps_some();
        if wanted && !self.kept_listed.replace(true) {
            self.turn.schedule(Reason::Kept, self.token.get());
        }
    }

    /// What is left of a batch without those who are not the peer; none where that is all of it. Nothing is left where
    /// there is no memory for it.
    fn sift(&self, batch: Batch<'_>) -> Option<Kept> {
        self.peer.get()?;
        if !batch.iter().any(|datagram| self.is_strangers(datagram)) {
            return None;
        }
        let sifted = batch.keep(|datagram| !self.is_strangers(datagram)).unwrap_or_default();
        self.count_discarded(batch.len() - sifted.batch().len());
        Some(sifted)
    }

    /// Lets go of what is kept of others, once there is a peer.
    pub(super) fn sift_kept(&self) {
        let Some(used) = self.used.get() else { return };
        let mut kept = used.kept.borrow_mut();
        for batch in kept.iter_mut() {
            if let Some(sifted) = self.sift(batch.batch()) {
                *batch = sifted;
            }
        }
        kept.retain(|batch| !batch.batch().is_empty());
    }

    pub(super) fn count_discarded(&self, count: usize) {
        self.used().counters.update(|stats| stats.discarded_in += count as u64);
    }

    /// After a callback that changed who may be heard, on this port or another one: leaves those out that are not to be
    /// seen any more. False where none is.
    #[inline(never)]
    fn skip_unwanted(&self, rest: &mut std::slice::Iter<'_, Datagram>) -> bool {
        if !self.is_receiving() {
            return false;
        }
        while rest.as_slice().first().is_some_and(|datagram| self.is_strangers(datagram)) {
            rest.next();
            self.unseen.set(self.unseen.get() - 1);
            self.count_discarded(1);
        }
        true
    }

    /// What datagrams tell as their destination's port. A socket that was adopted unbound has one once it receives.
    fn local_port(&self) -> Option<u16> {
        if self.told.get() == Some(0) {
            // Whatever the kernel says: it is asked again the next time.
            let _ = self.learn_port();
        }
        self.told.get()
    }

    fn reception(&self) -> Reception {
        Reception {
            messages: self.messages.get().into(),
            packet_size: self.packet_size.into(),
            merges: self.merges.get(),
            told: self.local_port(),
        }
    }

    /// After a call that came back full, the next one asks for twice as many messages, unless their bytes were enough for one
    /// turn; for half as many if they were enough for two: messages have become longer since their number was found.
    fn adapt(&self, got: &Received) {
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
