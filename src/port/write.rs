//! Writing: datagrams gather while callbacks run; elsewhere they leave at once.

use super::backlog::{Backlog, Letter, charge};
use super::gathering::Gathering;
use super::message::{Leave, Manner};
use super::{Open, Port, flag};
use crate::addr::Addr;
use crate::status::{Result, Status};
use crate::turn::Reason;
use std::cell::RefMut;
use std::sync::Arc;

/// What is on its way out of one port.
#[derive(Debug)]
pub(super) struct Sending {
    pub(super) gathered: Option<Gathering>,
    pub(super) backlog: Backlog,
}

impl Sending {
    pub(super) fn new(backlog: Backlog) -> Sending {
        Sending { gathered: None, backlog }
    }

    /// True where what counts `charge` could still be queued, beside all that was gathered.
    pub(super) fn has_room(&mut self, charge: usize) -> bool {
        self.backlog.has_room(charge, self.gathered.as_mut().map_or(0, Gathering::charged))
    }

    /// True while a full socket is waited for.
    pub(super) fn is_waiting(&self) -> bool {
        !self.backlog.is_empty()
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
        leave: Leave,
        fill: impl FnOnce(&mut [u8]),
    ) -> Result {
        self.writable(|open| open.submit(len, to, Manner::plain(leave), fill))
    }

    /// The open part, borrowed: nothing is called while something is written.
    #[inline]
    fn writable(&self, write: impl FnOnce(&Open) -> Result) -> Result {
        let open = self.open.borrow();
        let open = open.as_deref().filter(|open| open.is_listening()).ok_or(Status::CLOSED)?;
        self.lane.get_or_init(|| open.used().lane.clone());
        write(open)
    }

    /// [`Port::write_with`] of bytes that are there. What was received in this dispatch may leave from where it lies.
    pub fn write(&self, data: &[u8], to: Option<&Addr>, leave: Leave) -> Result {
        self.writable(|open| {
            open.submit(data.len(), to, Manner::whole(data, leave), |place| place.copy_from_slice(data))
        })
    }

    /// The short way of a write that follows the last one to where that went: the place for its `len` bytes, which the
    /// caller copies there before anything else is done, unless it is where they lie. None where it does not follow, and
    /// nothing was done.
    ///
    /// A bare place, so that nothing needs to be remembered, and no borrow ended, while the bytes are copied.
    #[inline(always)]
    pub fn follow(&self, data: *const u8, len: usize, to: Option<&Addr>) -> Option<*mut u8> {
        self.lane.get()?.take(data, len, to)
    }

    /// Sends what was gathered. WOULD_BLOCK where a full socket keeps some of it waiting.
    pub fn flush(&self) -> Result {
        let open = self.listening()?;
        open.flush();
        if open.is_waiting() { Err(Status::WOULD_BLOCK) } else { Ok(()) }
    }

    /// The end of the dispatch in which it gathered.
    pub fn flush_gathered(&self) {
        if let Ok(open) = self.open() {
            open.flush();
        }
    }

    /// Calls `write_ready` where it is owed and nothing waits any more.
    pub(super) fn tell_ready(self: &Arc<Port>, open: &Open) {
        let ready = open.is_listening() && !open.is_waiting() && open.wants_ready.take();
        open.update_interest();
        if ready {
            open.interest.found();
            open.protocol.write_ready(self);
        }
    }

    /// After ENOBUFS, or another call that failed: some time has passed.
    pub fn retry(self: &Arc<Port>) {
        let Ok(open) = self.open() else { return };
        open.retrying.set(false);
        open.backing_off.set(false);
        open.interest.forget_edges();
        // One datagram shows whether a device is full still, and costs little where it is.
        open.drain_backlog(1);
        self.send_again(&open);
    }

    /// A full socket may have room again: first what waits for it, then the mail.
    pub(super) fn send_again(self: &Arc<Port>, open: &Open) {
        open.drain_backlog(usize::MAX);
        self.take_mail();
        self.tell_ready(open);
    }
}

impl Open {
    /// Sends what another thread has posted. It was accepted then, so here it is queued whatever the bound says.
    pub(super) fn submit_letter(&self, letter: Letter) {
        let (len, to) = (letter.data.len(), letter.to.as_ref());
        let owed = self.wants_ready.get();
        let submit = || {
            let manner = Manner::plain(Leave::Together);
            self.submit_checked(len, to, manner, |place| place.copy_from_slice(&letter.data))
        };
        let mut result = if self.is_waiting() { Err(Status::WOULD_BLOCK) } else { submit() };
        let mut mtu = 0;
        if result == Err(Status::MESSAGE_TOO_LONG) {
            (result, mtu) = self.measure(letter.to, submit);
        }
        match result {
            Ok(()) => {}
            Err(Status::WOULD_BLOCK) => {
                // The post was accepted, so nobody is owed `write_ready` for it.
                self.wants_ready.set(owed);
                let queued = self.used().sending.borrow_mut().backlog.push_letter(letter);
                if let Err(letter) = queued {
                    self.fail(&letter.data, letter.to, Status::NO_MEMORY, 0);
                }
                self.update_interest();
            }
            Err(status) => self.fail(&letter.data, letter.to, status, mtu),
        }
    }

    /// The way of every datagram: checked, then gathered, sent or queued.
    pub(super) fn submit(
        &self,
        len: usize,
        to: Option<&Addr>,
        manner: Manner<'_>,
        fill: impl FnOnce(&mut [u8]),
    ) -> Result {
        let to = self.check_destination(manner.longest(len), to)?;
        self.submit_checked(len, to, manner, fill)
    }

    fn submit_checked(
        &self,
        len: usize,
        to: Option<&Addr>,
        manner: Manner<'_>,
        fill: impl FnOnce(&mut [u8]),
    ) -> Result {
        if self.constrained.get() {
            self.check_constraints(to)?;
        }
        let mut sending = self.used().sending.borrow_mut();
        let together = manner.leave == Leave::Together && !self.has(flag::UNBATCHED);
        if together && sending.backlog.is_empty() && self.may_gather(&mut sending, len, manner.pieces(len)) {
            self.gather(&mut sending, len, to, manner, fill);
            return Ok(());
        }
        self.submit_singly(sending, len, to, manner, fill)
    }

    /// By itself, or behind what waits for a full socket.
    #[inline(never)]
    fn submit_singly(
        &self,
        mut sending: RefMut<'_, Sending>,
        len: usize,
        to: Option<&Addr>,
        manner: Manner<'_>,
        fill: impl FnOnce(&mut [u8]),
    ) -> Result {
        let result = if sending.backlog.is_empty() {
            self.send_now(&mut sending, len, to, manner, fill)
        } else if self.may_queue(&sending, charge(len, manner.pieces(len))) {
            manner.queue(&mut sending.backlog, len, to.copied(), fill)
        } else {
            Err(Status::WOULD_BLOCK)
        };
        drop(sending);
        if result == Err(Status::WOULD_BLOCK) {
            self.wants_ready.set(true);
        }
        self.update_interest();
        result
    }

    fn may_queue(&self, sending: &Sending, charge: usize) -> bool {
        !self.has(flag::UNBATCHED) && sending.backlog.has_room(charge, 0)
    }

    /// True where there is a place to gather `len` bytes in `pieces`, and a full socket would still find room to queue
    /// them.
    #[inline(always)]
    fn may_gather(&self, sending: &mut Sending, len: usize, pieces: usize) -> bool {
        let limit = sending.backlog.limit();
        if let Some(gathering) = &mut sending.gathered {
            if gathering.has_room(len, pieces, limit) {
                return true;
            }
            self.send_gathered(sending);
        }
        self.turn.may_gather() && sending.backlog.is_empty() && charge(len, pieces) <= limit
    }

    fn gather(
        &self,
        sending: &mut Sending,
        len: usize,
        to: Option<&Addr>,
        manner: Manner<'_>,
        fill: impl FnOnce(&mut [u8]),
    ) {
        let gathering = sending.gathered.get_or_insert_with(|| {
            self.turn.schedule(Reason::Gathered, self.token.get());
            Gathering::new(self.turn.take_outbound(), self.used().lane.clone())
        });
        let found = manner.found(&self.turn);
        gathering.push(len, to, manner, (self.limits_to(to), sending.backlog.limit()), found, fill);
    }

    /// One datagram by itself, after what was gathered: the kernel's answer is the write's. Of several pieces that is
    /// the first one's; what is lost of those behind it counts as dropped.
    fn send_now(
        &self,
        sending: &mut Sending,
        len: usize,
        to: Option<&Addr>,
        manner: Manner<'_>,
        fill: impl FnOnce(&mut [u8]),
    ) -> Result {
        self.send_gathered(sending);
        let mut outbound = self.turn.take_outbound();
        outbound.push(len, manner.segment, manner.target(to), self.limits_to(to), fill);
        let full = !sending.backlog.is_empty();
        let mut result = if full { Err(Status::WOULD_BLOCK) } else { self.send(&mut outbound) };
        let unsent = outbound.pending();
        if result == Err(Status::WOULD_BLOCK)
            && self.may_queue(sending, charge(outbound.pending_bytes(), unsent))
        {
            let lost = self.shelve(sending, &outbound);
            result = if lost == manner.pieces(len) { Err(Status::NO_MEMORY) } else { Ok(()) };
            self.count_dropped(if result.is_ok() { lost } else { 0 });
        } else if result.is_err() && unsent < manner.pieces(len) {
            self.count_dropped(unsent);
            result = Ok(());
        }
        self.turn.return_outbound(outbound);
        result
    }
}
