//! Writing: datagrams gather in an arena while callbacks run and leave by few sendmmsg; elsewhere they leave at once.

use super::backlog::{Backlog, Letter, charge};
use super::gathering::Gathering;
use super::message::Manner;
use super::{Open, Port, flag};
use crate::addr::Addr;
use crate::status::{Result, Status};
use crate::sys::{Limits, Outbound, Target};
use crate::turn::BACK_OFF;
use std::cell::RefMut;
use std::io;
use std::sync::Arc;

/// How often one datagram is tried again while earlier ones' errors come in its place.
const TRIES: usize = 64;
/// So many messages in one go are worth two calls of epoll_ctl(2), which cost as much as some eight messages less.
const CROWD: usize = 16;

/// What is on its way out of one port.
#[derive(Debug)]
pub(super) struct Sending {
    gathered: Option<Gathering>,
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

/// How a write is to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leave {
    /// With others, where callbacks run.
    Together,
    /// Now.
    Now,
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
        open.backing_off.set(false);
        open.interest.forget_edges();
        self.send_again(&open);
    }

    /// A full socket may have room again: first what waits for it, then the mail.
    pub(super) fn send_again(self: &Arc<Port>, open: &Open) {
        open.drain_backlog();
        self.take_mail();
        self.tell_ready(open);
    }
}

impl Open {
    /// Sends what another thread has posted. It was accepted then, so here it is queued whatever the bound says.
    pub(super) fn submit_letter(&self, letter: Letter) {
        let (len, to) = (letter.data.len(), letter.to.as_ref());
        let owed = self.wants_ready.get();
        let result = if self.is_waiting() {
            Err(Status::WOULD_BLOCK)
        } else {
            let manner = Manner::plain(Leave::Together);
            self.submit_checked(len, to, manner, |place| place.copy_from_slice(&letter.data))
        };
        match result {
            Ok(()) => {}
            Err(Status::WOULD_BLOCK) => {
                // The post was accepted, so nobody is owed `write_ready` for it.
                self.wants_ready.set(owed);
                let queued = self.used().sending.borrow_mut().backlog.push_letter(letter);
                if let Err(letter) = queued {
                    self.fail(&letter.data, letter.to, Status::NO_MEMORY);
                }
                self.update_interest();
            }
            Err(status) => self.fail(&letter.data, letter.to, status),
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
            self.turn.gathered.push(self.token.get());
            Gathering::new(self.turn.take_outbound(), self.used().lane.clone())
        });
        let found = manner.found(&self.turn);
        gathering.push(len, to, manner, (self.limits.get(), sending.backlog.limit()), found, fill);
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
        outbound.push(len, manner.segment, manner.target(to), self.limits.get(), fill);
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

    /// Sends what was gathered.
    pub(super) fn flush(&self) {
        if let Some(used) = self.used.get() {
            self.send_gathered(&mut used.sending.borrow_mut());
        }
        self.update_interest();
    }

    pub(super) fn send_gathered(&self, sending: &mut Sending) {
        let Some(mut outbound) = sending.gathered.take().map(Gathering::finish) else { return };
        // What a child forked meanwhile would send here is the parent's.
        if !self.turn.door.gate.is_lost() {
            let crowd = outbound.messages() >= CROWD;
            let mut send = || self.send_all(sending, &mut outbound);
            if crowd { self.send_unwatched(send) } else { send() }
        }
        self.turn.return_outbound(outbound);
    }

    /// What a full socket leaves waits in the backlog.
    fn send_all(&self, sending: &mut Sending, outbound: &mut Outbound) {
        while !outbound.is_done() {
            match self.send(outbound) {
                Err(Status::WOULD_BLOCK) => {
                    let lost = self.shelve(sending, outbound);
                    return self.count_dropped(lost);
                }
                Err(status) => self.fail_first(outbound, status),
                Ok(()) => {}
            }
        }
    }

    /// Sends until all is gone or one datagram fails, whose error this is.
    fn send(&self, outbound: &mut Outbound) -> Result {
        let (mut tries, mut suspicion) = (0, None);
        while !outbound.is_done() {
            let sent = self.turn.kernel.send(self.fd.get(), outbound);
            self.used().counters.update(|stats| stats.syscalls_out += 1);
            match sent {
                Ok(messages) => {
                    self.interest.found();
                    let (datagrams, bytes) = outbound.advance(messages);
                    self.used().counters.update(|stats| {
                        stats.datagrams_out += datagrams as u64;
                        stats.bytes_out += bytes as u64;
                    });
                    suspicion.take().into_iter().for_each(|(errno, merged)| self.learn(errno, merged));
                    tries = 0;
                }
                Err(error) if tries < TRIES && self.is_anothers(&error, tries) => tries += 1,
                Err(error) => {
                    // What was merged is sent datagram by datagram, so that nothing is lost.
                    suspicion = merge_fault(&error).zip(outbound.merged());
                    match suspicion {
                        Some(_) => outbound.split(),
                        None => return Err(self.own_error(error)),
                    }
                }
            }
        }
        Ok(())
    }

    /// A merged message failed, and a datagram of it did not by itself: what the kernel merges is less than was thought.
    fn learn(&self, errno: i32, merged: Limits) {
        let limits = self.limits.get();
        self.limits.set(match errno {
            libc::EINVAL if merged.segments > Limits::FEWEST => {
                Limits { segments: limits.segments.min(Limits::FEWEST), ..limits }
            }
            // A segment above the path's MTU cannot be cut off, where a datagram of its own is fragmented. Before
            // Linux 6.14 that is EINVAL.
            libc::EMSGSIZE | libc::EINVAL => Limits { size: limits.size.min(merged.size - 1), ..limits },
            // A device without checksum offload (EIO).
            _ => Limits::NONE,
        });
    }

    /// True for an interrupted call, and where an earlier datagram may have left the error on the socket, which happens
    /// to connected ones and those with an error queue: that is gone once it has been told, while this datagram's own
    /// comes again.
    fn is_anothers(&self, error: &io::Error, tries: usize) -> bool {
        match error.raw_os_error() {
            Some(libc::EINTR) => true,
            Some(libc::EAGAIN | libc::ENOBUFS) => false,
            Some(libc::ECONNREFUSED) => {
                self.take_error(error);
                true
            }
            _ => {
                let may_be_old = tries == 0 && (self.peer.get().is_some() || self.errors.wanted.get());
                self.take_error(error) || may_be_old
            }
        }
    }

    /// The next message cannot be sent; the writes of its datagrams were told that it would.
    fn fail_first(&self, outbound: &mut Outbound, status: Status) {
        for (data, to, _) in outbound.unsent().take(outbound.next_count()) {
            self.fail(data, to, status);
        }
        outbound.skip();
    }

    /// ENOBUFS, a full device queue, is a full socket that epoll knows nothing of.
    fn own_error(&self, error: io::Error) -> Status {
        if error.raw_os_error() == Some(libc::ENOBUFS) {
            self.backing_off.set(true);
            self.turn.retry_later(self.token.get(), BACK_OFF);
            return Status::WOULD_BLOCK;
        }
        Status::from(error)
    }

    /// A full socket: what is unsent waits in the backlog, or is dropped where the port wants no queue. The answer is how
    /// many datagrams there was no memory for.
    fn shelve(&self, sending: &mut Sending, outbound: &Outbound) -> usize {
        if self.has(flag::NO_QUEUE) {
            self.count_dropped(outbound.pending());
            return 0;
        }
        let queue = |(data, to, control)| sending.backlog.push(data, to, control);
        outbound.unsent().map(queue).filter(Result::is_err).count()
    }

    fn count_dropped(&self, count: usize) {
        self.used().counters.update(|stats| stats.dropped_out += count as u64);
    }

    /// True while it matters that the socket can be written to again.
    pub(super) fn wants_writable(&self) -> bool {
        let waits = self.wants_ready.get() || self.is_waiting();
        waits && !self.backing_off.get()
    }

    /// Sends some of what waits for a full socket, which may have room again.
    pub(super) fn drain_backlog(&self) {
        if self.backing_off.get() || !self.is_waiting() {
            return;
        }
        let mut sending = self.used().sending.borrow_mut();
        let mut outbound = self.turn.take_outbound();
        // As many letters as were sent are then taken from the front.
        outbound.keep_order();
        for letter in sending.backlog.iter() {
            if !outbound.has_room(letter.data.len(), 1) {
                break;
            }
            let target = Target { to: letter.to.as_ref(), control: letter.control.as_deref() };
            outbound.push(letter.data.len(), 0, target, self.limits.get(), |place| {
                place.copy_from_slice(&letter.data)
            });
        }
        while !outbound.is_done() {
            let before = outbound.pending();
            let result = self.send(&mut outbound);
            match result {
                Ok(()) | Err(Status::WOULD_BLOCK) => {}
                Err(status) => self.fail_first(&mut outbound, status),
            }
            (outbound.pending()..before).for_each(|_| drop(sending.backlog.pop()));
            if result == Err(Status::WOULD_BLOCK) {
                break;
            }
        }
        self.turn.return_outbound(outbound);
    }

    /// Forgets what has not been sent; the answer is how many datagrams that were.
    pub(super) fn drop_unsent(&self) -> usize {
        let Some(used) = self.used.get() else { return 0 };
        let mut sending = used.sending.borrow_mut();
        let mut count = 0;
        while sending.backlog.pop().is_some() {
            count += 1;
        }
        if let Some(outbound) = sending.gathered.take().map(Gathering::finish) {
            count += outbound.pending();
            self.turn.return_outbound(outbound);
        }
        count
    }
}

/// The errno of a message that failed, where that may be because it was merged.
fn merge_fault(error: &io::Error) -> Option<i32> {
    let faults = [libc::EMSGSIZE, libc::EINVAL, libc::EIO];
    error.raw_os_error().filter(|errno| faults.contains(errno))
}
