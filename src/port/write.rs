//! Writing: while callbacks run, datagrams are gathered; otherwise they are sent at once.

use super::message::{Flush, Transmit};
use super::queue::{QueuedDatagram, SendQueue};
use super::{Open, Port, flag};
use crate::addr::Addr;
use crate::context::Reason;
use crate::refusal;
use crate::status::{Result, Status};
use crate::sys::SendBatch;
use std::cell::RefMut;
use std::sync::Arc;

/// The datagrams of one port that are not sent.
#[derive(Debug)]
pub(super) struct SendState {
    gathered: Option<Box<SendBatch>>,
    pub(super) queue: SendQueue,
}

impl SendState {
    pub(super) fn new(queue: SendQueue) -> SendState {
        SendState { gathered: None, queue }
    }

    /// True if the queue could take what is charged `charge`, after all that was gathered.
    pub(super) fn has_room(&self, charge: usize) -> bool {
        self.queue.has_room(charge, self.gathered_charge())
    }

    /// What the gathered datagrams are charged.
    pub(super) fn gathered_charge(&self) -> usize {
        self.gathered.as_ref().map_or(0, |batch| batch.charged())
    }

    /// Ends the gathering, and returns what was gathered.
    pub(super) fn take_gathered(&mut self) -> Option<Box<SendBatch>> {
        let mut send_batch = self.gathered.take()?;
        send_batch.finish();
        Some(send_batch)
    }

    /// True while datagrams wait for a full socket.
    pub(super) fn is_waiting(&self) -> bool {
        !self.queue.is_empty()
    }
}

impl Port {
    /// Calls `write` with the open part. It is only borrowed, since no callback runs during a write.
    #[inline]
    fn writable(&self, write: impl FnOnce(&Open) -> Result) -> Result {
        let open = self.open.borrow();
        let open = open.as_deref().filter(|open| open.is_listening()).ok_or(Status::CLOSED)?;
        self.append_cursor.get_or_init(|| open.lazy().append_cursor.clone());
        write(open)
    }

    /// Sends one datagram. OK: handed to the system, gathered or queued. What was received in this dispatch may be sent from where
    /// it lies.
    ///
    /// # Errors
    /// Nothing was sent. [`Status::WOULD_BLOCK`]: the socket and the queue are full, and `write_ready` will be called when there is
    /// room. [`Status::CLOSED`] after a stop. NOT_CONNECTED, WRONG_PEER, ADDRESS_FAMILY, MESSAGE_TOO_LONG, ACCESS and
    /// INVALID_ARGUMENT for the destination and the length. If the datagram is sent at once, the system's error.
    #[inline]
    pub fn write(&self, data: &[u8], to: Option<&Addr>, flush: Flush) -> Result {
        self.writable(|open| {
            let transmit = Transmit { data: Some(data), ..Transmit::new(data.len(), to, flush) };
            open.transmit(transmit, |place| place.copy_from_slice(data))
        })
    }

    /// The fast path of a write that can be appended to the last one, see [`AppendCursor`](crate::sys::AppendCursor). The caller
    /// copies the bytes to the returned place before anything else is done, unless they lie there. If it returns none, nothing was
    /// done, and the datagram has to be written.
    ///
    /// It returns a bare pointer, so that no state has to be kept, and no borrow ended, after the copy.
    #[inline(always)]
    pub fn try_append(&self, data: *const u8, len: usize, to: Option<&Addr>) -> Option<*mut u8> {
        self.append_cursor.get()?.try_append(data, len, to)
    }

    /// Sends what was gathered.
    ///
    /// # Errors
    /// [`Status::WOULD_BLOCK`] if some of it waits for a full socket; [`Status::CLOSED`].
    pub fn flush(&self) -> Result {
        let open = self.listening()?;
        open.flush();
        if open.is_waiting() { Err(Status::WOULD_BLOCK) } else { Ok(()) }
    }

    /// Calls `write_ready` if it is owed and little enough waits.
    pub(super) fn call_write_ready(self: &Arc<Port>, open: &Open) {
        if self.shared.take_write_ready_due() {
            open.write_ready_due.set(true);
        }
        let ready = open.write_ready_due.get() && self.has_write_room(open);
        if ready {
            open.write_ready_due.set(false);
        }
        open.update_interest();
        if ready {
            open.registration.record_progress();
            open.protocol.write_ready(self);
        }
    }

    /// Tries again, some time after a call has failed for lack of memory or of room in a device's queue.
    pub(super) fn retry(self: &Arc<Port>, open: &Open) {
        open.backing_off.set(false);
        open.registration.use_level_triggering();
        // One datagram shows whether the device is still full, and costs little if it is.
        open.drain_queue(1);
        self.resume_sending(open);
    }

    /// Called when a full socket may have room again: sends first what waits for it, then what was posted.
    pub(super) fn resume_sending(self: &Arc<Port>, open: &Open) {
        open.drain_queue(usize::MAX);
        self.send_posted();
        if open.is_listening() { self.call_write_ready(open) } else { self.stop_if_sent(open) }
    }
}

impl Open {
    /// Sends a datagram that was posted by another thread. It was accepted then, so it is queued here whatever the limit is.
    pub(super) fn submit_posted(&self, datagram: QueuedDatagram) {
        let due = self.write_ready_due.get();
        let submit = || {
            let (len, to) = (datagram.data.len(), datagram.to.as_ref());
            let transmit = Transmit { meta: datagram.meta(), ..Transmit::new(len, to, Flush::Batched) };
            datagram.meta().map_or(Ok(()), |meta| self.prepare_meta(meta))?;
            self.transmit_checked(transmit, |place| place.copy_from_slice(&datagram.data))
        };
        let mut result = if self.is_waiting() { Err(Status::WOULD_BLOCK) } else { submit() };
        let mut mtu = 0;
        if result == Err(Status::MESSAGE_TOO_LONG) {
            (result, mtu) = self.measure_mtu(datagram.to, submit);
        }
        match result {
            Ok(()) => {}
            Err(Status::WOULD_BLOCK) => {
                // The post was accepted, so nobody is owed `write_ready` for it.
                self.write_ready_due.set(due);
                let queued = self.lazy().sending.borrow_mut().queue.push_datagram(datagram);
                if let Err(datagram) = queued {
                    self.report_failed_send(datagram.unsent(), Status::NO_MEMORY, 0);
                }
                self.update_interest();
            }
            Err(status) => {
                refusal::forget(status);
                self.report_failed_send(datagram.unsent(), status, mtu);
            }
        }
    }

    /// Checks the destination of a datagram; then gathers, sends or queues it. Every write comes here.
    pub(super) fn transmit(&self, mut transmit: Transmit<'_>, fill: impl FnMut(&mut [u8])) -> Result {
        transmit.to = self.check_destination(transmit.longest(), transmit.to)?;
        self.transmit_checked(transmit, fill)
    }

    fn transmit_checked(&self, transmit: Transmit<'_>, mut fill: impl FnMut(&mut [u8])) -> Result {
        if self.constrained.get() {
            self.check_constraints(transmit.to)?;
        }
        let mut sending = self.lazy().sending.borrow_mut();
        let is_batched = transmit.flush == Flush::Batched && !self.has(flag::UNBATCHED);
        if is_batched && sending.queue.is_empty() {
            if let Some(send_batch) = self.gathered(&mut sending, &transmit) {
                self.gather(send_batch, &transmit, fill);
                return Ok(());
            }
        }
        // Made here, so that the bytes of a gathered datagram need no place in memory for the call.
        self.transmit_singly(sending, transmit, &mut move |place| fill(place))
    }

    /// Sends it by itself, or queues it if others wait for a full socket. It is compiled once, and not for every `fill`.
    #[inline(never)]
    fn transmit_singly(
        &self,
        mut sending: RefMut<'_, SendState>,
        transmit: Transmit<'_>,
        fill: &mut dyn FnMut(&mut [u8]),
    ) -> Result {
        let result = if sending.queue.is_empty() {
            self.send_now(&mut sending, &transmit, fill)
        } else if self.may_queue(&sending, transmit.charge()) {
            transmit.queue(&mut sending.queue, fill)
        } else {
            Err(Status::WOULD_BLOCK)
        };
        drop(sending);
        if result == Err(Status::WOULD_BLOCK) {
            self.write_ready_due.set(true);
        }
        self.update_interest();
        result
    }

    fn may_queue(&self, sending: &SendState, charge: usize) -> bool {
        !self.has(flag::UNBATCHED) && sending.queue.has_room(charge, 0)
    }

    /// The batch that it can be gathered in: the queue could still take all of the batch if the socket is full.
    #[inline(always)]
    fn gathered<'a>(&self, sending: &'a mut SendState, transmit: &Transmit<'_>) -> Option<&'a mut SendBatch> {
        if sending.gathered.as_mut().is_some_and(|batch| !batch.has_room(transmit.len, transmit.pieces())) {
            self.send_gathered(sending);
        }
        if sending.gathered.is_none() {
            let limit = sending.queue.limit();
            if !self.context.may_gather() || !sending.queue.is_empty() || transmit.charge() > limit {
                return None;
            }
            self.schedule(Reason::Gathered);
            let mut batch = self.context.take_send_batch();
            batch.gather(self.lazy().append_cursor.clone(), limit);
            sending.gathered = Some(batch);
        }
        sending.gathered.as_deref_mut()
    }

    #[inline(always)]
    fn gather(&self, send_batch: &mut SendBatch, transmit: &Transmit<'_>, fill: impl FnOnce(&mut [u8])) {
        let target = self.target(transmit.to, transmit.meta);
        if !transmit.data.is_some_and(|data| send_batch.push_in_place(data, target)) {
            send_batch.push(transmit.len, transmit.segment, target, fill);
        }
        if transmit.is_plain() {
            send_batch.arm_cursor(target.limits);
        }
    }

    /// Sends what was gathered, and then this. The result is that of the first datagram; others that are lost count as dropped.
    fn send_now(
        &self,
        sending: &mut SendState,
        transmit: &Transmit<'_>,
        fill: impl FnOnce(&mut [u8]),
    ) -> Result {
        self.send_gathered(sending);
        let mut send_batch = self.context.take_send_batch();
        let target = self.target(transmit.to, transmit.meta);
        send_batch.push(transmit.len, transmit.segment, target, fill);
        let is_full = !sending.queue.is_empty();
        let sent = if is_full { Err(Status::WOULD_BLOCK) } else { self.send(&mut send_batch) };
        let (all, unsent) = (transmit.pieces(), send_batch.pending());
        let (result, lost) = match sent {
            Err(Status::WOULD_BLOCK) if self.may_queue(sending, send_batch.pending_charge()) => {
                match self.enqueue_rest(sending, &send_batch) {
                    lost if lost == all => (Err(Status::NO_MEMORY), 0),
                    lost => (Ok(()), lost),
                }
            }
            // The first datagram was sent.
            Err(_) if unsent < all => (Ok(()), unsent),
            sent => (sent, 0),
        };
        self.count_dropped(lost);
        self.context.return_send_batch(send_batch);
        result
    }
}
