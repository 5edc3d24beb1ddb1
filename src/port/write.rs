//! Writing: datagrams gather while callbacks run; elsewhere they leave at once.

use super::message::{Flush, SendOptions};
use super::queue::{QueuedDatagram, SendQueue};
use super::{Open, Port, flag};
use crate::addr::Addr;
use crate::context::Reason;
use crate::status::{Result, Status};
use crate::sys::{SendBatch, charge};
use std::cell::RefMut;
use std::sync::Arc;

/// What is on its way out of one port.
#[derive(Debug)]
pub(super) struct SendState {
    gathered: Option<Box<SendBatch>>,
    pub(super) queue: SendQueue,
}

impl SendState {
    pub(super) fn new(queue: SendQueue) -> SendState {
        SendState { gathered: None, queue }
    }

    /// True where what counts `charge` could still be queued, beside all that was gathered.
    pub(super) fn has_room(&mut self, charge: usize) -> bool {
        self.queue.has_room(charge, self.gathered.as_mut().map_or(0, |batch| batch.charged()))
    }

    /// What was gathered, which is complete then.
    pub(super) fn take_gathered(&mut self) -> Option<Box<SendBatch>> {
        let mut send_batch = self.gathered.take()?;
        send_batch.finish();
        Some(send_batch)
    }

    /// True while a full socket is waited for.
    pub(super) fn is_waiting(&self) -> bool {
        !self.queue.is_empty()
    }
}

impl Port {
    /// One datagram of `len` bytes that `fill` writes. OK: handed to the kernel or queued. WOULD_BLOCK: the socket
    /// and the queue are full, and `write_ready` will tell when to go on. CLOSED after a stop. NOT_CONNECTED,
    /// WRONG_PEER, ADDRESS_FAMILY, MESSAGE_TOO_LONG, ACCESS, INVALID_ARGUMENT: nothing was sent. Where nothing
    /// gathers, what the kernel says of this datagram.
    #[inline]
    pub fn write_with(
        &self,
        len: usize,
        to: Option<&Addr>,
        flush: Flush,
        fill: impl FnOnce(&mut [u8]),
    ) -> Result {
        self.writable(|open| open.submit(len, to, SendOptions::plain(flush), fill))
    }

    /// The open part, borrowed: nothing is called while something is written.
    #[inline]
    fn writable(&self, write: impl FnOnce(&Open) -> Result) -> Result {
        let open = self.open.borrow();
        let open = open.as_deref().filter(|open| open.is_listening()).ok_or(Status::CLOSED)?;
        self.append_cursor.get_or_init(|| open.lazy().append_cursor.clone());
        write(open)
    }

    /// [`Port::write_with`] of bytes that are there. What was received in this dispatch may leave from where it lies.
    pub fn write(&self, data: &[u8], to: Option<&Addr>, flush: Flush) -> Result {
        self.writable(|open| {
            open.submit(data.len(), to, SendOptions::whole(data, flush), |place| place.copy_from_slice(data))
        })
    }

    /// The short way of a write that follows the last one to where that went: the place for its `len` bytes, which the
    /// caller copies there before anything else is done, unless it is where they lie. None where it does not follow, and
    /// nothing was done.
    ///
    /// A bare place, so that nothing needs to be remembered, and no borrow ended, while the bytes are copied.
    #[inline(always)]
    pub fn try_append(&self, data: *const u8, len: usize, to: Option<&Addr>) -> Option<*mut u8> {
        self.append_cursor.get()?.try_append(data, len, to)
    }

    /// Sends what was gathered. WOULD_BLOCK where a full socket keeps some of it waiting.
    pub fn flush(&self) -> Result {
        let open = self.listening()?;
        open.flush();
        if open.is_waiting() { Err(Status::WOULD_BLOCK) } else { Ok(()) }
    }

    /// Calls `write_ready` where it is owed and nothing waits any more.
    pub(super) fn call_write_ready(self: &Arc<Port>, open: &Open) {
        let ready = open.is_listening() && !open.is_waiting() && open.write_ready_owed.take();
        open.update_interest();
        if ready {
            open.registration.record_progress();
            open.protocol.write_ready(self);
        }
    }

    /// After ENOBUFS, or another call that failed: some time has passed.
    pub(super) fn retry(self: &Arc<Port>, open: &Open) {
        open.backing_off.set(false);
        open.registration.use_level_triggering();
        // One datagram shows whether a device is full still, and costs little where it is.
        open.drain_queue(1);
        self.resume_sending(open);
    }

    /// A full socket may have room again: first what waits for it, then the mail.
    pub(super) fn resume_sending(self: &Arc<Port>, open: &Open) {
        open.drain_queue(usize::MAX);
        self.send_posted();
        self.call_write_ready(open);
    }
}

impl Open {
    /// Sends what another thread has posted. It was accepted then, so here it is queued whatever the bound says.
    pub(super) fn submit_posted(&self, datagram: QueuedDatagram) {
        let (len, to) = (datagram.data.len(), datagram.to.as_ref());
        let owed = self.write_ready_owed.get();
        let submit = || {
            let options = SendOptions::plain(Flush::Batched);
            self.submit_checked(len, to, options, |place| place.copy_from_slice(&datagram.data))
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
                self.write_ready_owed.set(owed);
                let queued = self.lazy().sending.borrow_mut().queue.push_datagram(datagram);
                if let Err(datagram) = queued {
                    self.report_failed_send(&datagram.data, datagram.to, Status::NO_MEMORY, 0);
                }
                self.update_interest();
            }
            Err(status) => self.report_failed_send(&datagram.data, datagram.to, status, mtu),
        }
    }

    /// The way of every datagram: checked, then gathered, sent or queued.
    pub(super) fn submit(
        &self,
        len: usize,
        to: Option<&Addr>,
        options: SendOptions<'_>,
        fill: impl FnOnce(&mut [u8]),
    ) -> Result {
        let to = self.check_destination(options.longest(len), to)?;
        self.submit_checked(len, to, options, fill)
    }

    fn submit_checked(
        &self,
        len: usize,
        to: Option<&Addr>,
        options: SendOptions<'_>,
        fill: impl FnOnce(&mut [u8]),
    ) -> Result {
        if self.constrained.get() {
            self.check_constraints(to)?;
        }
        let mut sending = self.lazy().sending.borrow_mut();
        let together = options.flush == Flush::Batched && !self.has(flag::UNBATCHED);
        if together && sending.queue.is_empty() {
            if let Some(send_batch) = self.gathered(&mut sending, len, options.pieces(len)) {
                self.gather(send_batch, len, to, options, fill);
                return Ok(());
            }
        }
        self.submit_singly(sending, len, to, options, fill)
    }

    /// By itself, or behind what waits for a full socket.
    #[inline(never)]
    fn submit_singly(
        &self,
        mut sending: RefMut<'_, SendState>,
        len: usize,
        to: Option<&Addr>,
        options: SendOptions<'_>,
        fill: impl FnOnce(&mut [u8]),
    ) -> Result {
        let result = if sending.queue.is_empty() {
            self.send_now(&mut sending, len, to, options, fill)
        } else if self.may_queue(&sending, charge(len, options.pieces(len))) {
            options.queue(&mut sending.queue, len, to.copied(), fill)
        } else {
            Err(Status::WOULD_BLOCK)
        };
        drop(sending);
        if result == Err(Status::WOULD_BLOCK) {
            self.write_ready_owed.set(true);
        }
        self.update_interest();
        result
    }

    fn may_queue(&self, sending: &SendState, charge: usize) -> bool {
        !self.has(flag::UNBATCHED) && sending.queue.has_room(charge, 0)
    }

    /// The batch that `len` bytes in `pieces` datagrams can be added to, so that the queue would still take all of it if the socket
    /// is full.
    #[inline(always)]
    fn gathered<'a>(
        &self,
        sending: &'a mut SendState,
        len: usize,
        pieces: usize,
    ) -> Option<&'a mut SendBatch> {
        if sending.gathered.as_mut().is_some_and(|batch| !batch.has_room(len, pieces)) {
            self.send_gathered(sending);
        }
        if sending.gathered.is_none() {
            let limit = sending.queue.limit();
            if !self.context.may_gather() || !sending.queue.is_empty() || charge(len, pieces) > limit {
                return None;
            }
            self.context.schedule(Reason::Gathered, self.token.get());
            let mut batch = self.context.take_send_batch();
            batch.gather(self.lazy().append_cursor.clone(), limit);
            sending.gathered = Some(batch);
        }
        sending.gathered.as_deref_mut()
    }

    #[inline(always)]
    fn gather(
        &self,
        send_batch: &mut SendBatch,
        len: usize,
        to: Option<&Addr>,
        options: SendOptions<'_>,
        fill: impl FnOnce(&mut [u8]),
    ) {
        let target = self.target(to, options.control);
        if !options.data.is_some_and(|data| send_batch.push_in_place(data, target)) {
            send_batch.push(len, options.segment, target, fill);
        }
        if options.is_plain() {
            send_batch.arm_cursor(target.limits);
        }
    }

    /// One datagram by itself, after what was gathered: the kernel's answer is the write's. Of several pieces that is
    /// the first one's; what is lost of those behind it counts as dropped.
    fn send_now(
        &self,
        sending: &mut SendState,
        len: usize,
        to: Option<&Addr>,
        options: SendOptions<'_>,
        fill: impl FnOnce(&mut [u8]),
    ) -> Result {
        self.send_gathered(sending);
        let mut send_batch = self.context.take_send_batch();
        send_batch.push(len, options.segment, self.target(to, options.control), fill);
        let full = !sending.queue.is_empty();
        let mut result = if full { Err(Status::WOULD_BLOCK) } else { self.send(&mut send_batch) };
        let unsent = send_batch.pending();
        if result == Err(Status::WOULD_BLOCK)
            && self.may_queue(sending, charge(send_batch.pending_bytes(), unsent))
        {
            let lost = self.enqueue_rest(sending, &send_batch);
            result = if lost == options.pieces(len) { Err(Status::NO_MEMORY) } else { Ok(()) };
            self.count_dropped(if result.is_ok() { lost } else { 0 });
        } else if result.is_err() && unsent < options.pieces(len) {
            self.count_dropped(unsent);
            result = Ok(());
        }
        self.context.return_send_batch(send_batch);
        result
    }
}
