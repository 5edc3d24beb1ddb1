//! Receiving: one recvmmsg a turn into buffers that the reactor's ports share, and what a pause leaves behind.

use super::{Open, Port, Stats};
use crate::status::Result;
use crate::sys::batch::{BATCH_MAX, MESSAGES_MAX, TRUNCATED};
use crate::sys::{Batch, Datagram, Kept};
use std::rc::Rc;
use std::sync::Arc;

/// Datagrams on their way to a [`Protocol`](super::Protocol), which takes them one by one or all together.
pub struct Delivery<'a> {
    open: &'a Open,
    batch: Batch<'a>,
    shown: usize,
    taken: usize,
}

impl<'a> Delivery<'a> {
    /// The next one; none when there is no more, or when the port was paused or stopped since the last one.
    #[inline]
    #[allow(clippy::should_implement_trait, reason = "what it answers depends on what was done meanwhile")]
    pub fn next(&mut self) -> Option<&'a Datagram> {
        loop {
            let datagram = self.batch.get(self.taken)?;
            if !self.open.is_receiving() {
                return None;
            }
            self.taken += 1;
            self.show(self.taken);
            if !self.open.is_strangers(datagram) {
                return Some(datagram);
            }
            self.open.count_discarded(1);
        }
    }

    /// All that have not been taken.
    pub fn all(&mut self) -> Batch<'a> {
        self.show(self.batch.len());
        self.batch.skip(self.taken)
    }

    /// Takes `count` of [`Delivery::all`].
    pub fn take(&mut self, count: usize) {
        self.taken = self.taken.saturating_add(count).min(self.batch.len());
    }

    #[inline]
    fn show(&mut self, count: usize) {
        self.shown = count;
        self.open.unseen.set(self.batch.len() - count);
    }
}

impl Port {
    /// Reads once and delivers. Nothing is read while older datagrams wait.
    pub(super) fn receive(self: &Arc<Port>, open: &Rc<Open>) {
        if !open.is_receiving() || open.kept.borrow().is_some() {
            return;
        }
        let turn = &open.turn;
        let mut inbound = turn.take_inbound();
        let count = open.messages.get();
        inbound.tell(open.told.get());
        match turn.kernel.receive(open.fd.get(), &mut inbound, count, open.packet_size) {
            Ok(got) => {
                open.grow(got, count);
                let batch = inbound.batch(got);
                open.counters.update(|stats| count_in(stats, batch));
                if let Some(sifted) = open.sift(batch) {
                    self.deliver_kept(open, sifted);
                } else {
                    let left = self.deliver(open, batch);
                    if left > 0 {
                        open.keep(batch.skip(got - left).keep(|_| true));
                    }
                }
            }
            // Whatever it is: epoll tells when there is more.
            Err(error) => {
                open.counters.update(|stats| stats.syscalls_in += 1);
                open.take_error(&error);
            }
        }
        turn.return_inbound(inbound);
    }

    /// Delivers what was kept, in a turn after the one that kept it.
    pub fn resume(self: &Arc<Port>) {
        let Ok(open) = self.open() else { return };
        if !open.is_receiving() {
            return;
        }
        if let Some(kept) = open.kept.take() {
            self.deliver_kept(&open, kept);
        }
    }

    fn deliver_kept(self: &Arc<Port>, open: &Rc<Open>, mut kept: Kept) {
        let before = kept.batch().len();
        let left = if before > 0 { self.deliver(open, kept.batch()) } else { 0 };
        if left > 0 {
            kept.take(before - left);
            open.keep(kept);
        }
    }

    /// Hands a batch to the protocol. The answer is how many at its end are to be kept.
    fn deliver(self: &Arc<Port>, open: &Rc<Open>, batch: Batch<'_>) -> usize {
        open.unseen.set(batch.len());
        let mut delivery = Delivery { open, batch, shown: 0, taken: 0 };
        open.protocol.datagrams_received(self, &mut delivery);
        open.unseen.set(0);
        let Delivery { shown, taken, .. } = delivery;
        if open.turn.door.gate.is_lost() {
            return 0;
        }
        if !open.is_listening() {
            // Those that it had not seen were counted by the stop.
            open.counters.update(|stats| stats.discarded_in += (shown - taken) as u64);
            return 0;
        }
        batch.len() - taken
    }

    /// No datagram until [`Port::resume_reading`]; the rest of a batch is kept. Again is fine.
    pub fn pause_reading(&self) -> Result {
        let open = self.listening()?;
        open.paused.set(true);
        open.update_interest();
        Ok(())
    }

    /// Datagrams again, in a later turn, the kept ones first. Again is fine.
    pub fn resume_reading(&self) -> Result {
        let open = self.listening()?;
        if open.paused.replace(false) && open.kept.borrow().is_some() {
            open.turn.defer(&open.turn.kept, open.token.get());
        }
        open.update_interest();
        Ok(())
    }
}

impl Open {
    fn keep(&self, kept: Kept) {
        self.kept.replace(Some(kept));
        self.sift_kept();
        if !self.paused.get() {
            self.turn.defer(&self.turn.kept, self.token.get());
        }
    }

    /// What is left of a batch without those who are not the peer; none where that is all of it.
    fn sift(&self, batch: Batch<'_>) -> Option<Kept> {
        if !batch.iter().any(|datagram| self.is_strangers(datagram)) {
            return None;
        }
        let sifted = batch.keep(|datagram| !self.is_strangers(datagram));
        self.count_discarded(batch.len() - sifted.batch().len());
        Some(sifted)
    }

    /// Lets go of what is kept of others, once there is a peer.
    pub(super) fn sift_kept(&self) {
        let sifted = self.kept.borrow().as_ref().and_then(|kept| self.sift(kept.batch()));
        if let Some(sifted) = sifted {
            self.kept.replace(Some(sifted).filter(|kept| !kept.batch().is_empty()));
        }
    }

    fn count_discarded(&self, count: usize) {
        self.counters.update(|stats| stats.discarded_in += count as u64);
    }

    /// A call that came back full asks for twice as much the next time.
    fn grow(&self, got: usize, asked: usize) {
        if got == asked {
            self.messages.set((asked * 2).min(MESSAGES_MAX));
        }
    }
}

fn count_in(stats: &mut Stats, batch: Batch<'_>) {
    stats.syscalls_in += 1;
    stats.datagrams_in += batch.len() as u64;
    for datagram in batch.iter() {
        stats.bytes_in += datagram.data().len() as u64;
        stats.truncated_in += u64::from(datagram.flags & TRUNCATED);
    }
}

const _: () = assert!(MESSAGES_MAX <= BATCH_MAX);
