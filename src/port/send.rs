//! Sending: few sendmmsg for what was gathered or waits, and what becomes of a datagram that the kernel does not take.

use super::gathering::Gathering;
use super::path_limits::Segmentation;
use super::write::Sending;
use super::{Open, flag};
use crate::addr::Addr;
use crate::status::{Result, Status};
use crate::sys::{Limits, Outbound, Target, clock};
use crate::turn::BACK_OFF;
use std::io;

/// How often one datagram is tried again while earlier ones' errors come in its place.
const TRIES: usize = 64;
/// So many messages in one go are worth two calls of epoll_ctl(2), which cost as much as some eight messages less.
const CROWD: usize = 16;

impl Open {
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
    pub(super) fn send(&self, outbound: &mut Outbound) -> Result {
        self.check_bar()?;
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
                    suspicion.take().into_iter().for_each(|suspicion| self.learn(suspicion));
                    tries = 0;
                }
                Err(error) if tries < TRIES && self.is_anothers(&error, tries) => tries += 1,
                Err(error) if self.renews_outgoing_address(&error) => {}
                Err(error) => {
                    // What was merged is sent datagram by datagram, so that nothing is lost.
                    suspicion = Suspicion::of(&error, outbound);
                    match suspicion {
                        Some(_) => outbound.split(),
                        None => return Err(self.own_error(error)),
                    }
                }
            }
        }
        Ok(())
    }

    /// A merged message failed, and a datagram of it did not by itself: less can be merged than was thought.
    fn learn(&self, suspicion: Suspicion) {
        let Suspicion { errno, merged, to } = suspicion;
        let Some(to) = to.or(self.peer.get()) else { return };
        let limits = match errno {
            libc::EINVAL if merged.segments > Limits::FEWEST => {
                Limits { segments: Limits::FEWEST, ..Limits::MOST }
            }
            // A segment above the path's MTU cannot be cut off, where a datagram of its own is fragmented. Before
            // Linux 6.14 that is EINVAL.
            libc::EMSGSIZE | libc::EINVAL => Limits { size: merged.size - 1, ..Limits::MOST },
            // EIO: IPsec on the way, or a device without checksum offload.
            _ => Limits::NONE,
        };
        self.used().path_limits.borrow_mut().narrow(&to, limits, clock::now());
        self.segmentation.set(Segmentation::Limited);
    }

    /// What may be merged on the way there; without `to`, to the peer.
    #[inline]
    pub(super) fn limits_to(&self, to: Option<&Addr>) -> Limits {
        match self.segmentation.get() {
            Segmentation::Off => Limits::NONE,
            Segmentation::Full => Limits::MOST,
            Segmentation::Limited => self.narrow_limits_to(to),
        }
    }

    #[cold]
    #[inline(never)]
    fn narrow_limits_to(&self, to: Option<&Addr>) -> Limits {
        let (peer, paths) = (self.peer.get(), self.used().path_limits.borrow());
        to.or(peer.as_ref()).map_or(Limits::MOST, |to| paths.get(to, clock::now))
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
                // A packet filter that rejects sends an ICMP message for each try: one that is there is not an earlier datagram's.
                let is_rejected = error.raw_os_error() == Some(libc::EPERM);
                (self.take_error(error) && !is_rejected) || may_be_old
            }
        }
    }

    /// The next message cannot be sent; the writes of its datagrams were told that it would. Nothing is done where that has
    /// changed when it is measured.
    fn fail_first(&self, outbound: &mut Outbound, mut status: Status) {
        let mut mtu = 0;
        if status == Status::MESSAGE_TOO_LONG {
            let before = outbound.pending();
            let (again, measured) = self.measure(outbound.destination(), || self.send(outbound));
            match again {
                Err(again) if outbound.pending() == before => {
                    (status, mtu) = (if again == Status::WOULD_BLOCK { status } else { again }, measured);
                }
                _ => return,
            }
        }
        for (data, to, _) in outbound.unsent().take(outbound.next_count()) {
            self.fail(data, to, status, mtu);
        }
        outbound.skip();
    }

    /// ENOBUFS, a full device queue, is a full socket that epoll knows nothing of.
    fn own_error(&self, error: io::Error) -> Status {
        if error.raw_os_error() == Some(libc::ENOBUFS) {
            self.backing_off.set(true);
            self.retry_later(BACK_OFF);
            return Status::WOULD_BLOCK;
        }
        Status::from(error)
    }

    /// Tries again after so many nanoseconds, or when the port was going to anyway.
    pub(super) fn retry_later(&self, after: u64) {
        if !self.retrying.replace(true) {
            self.turn.schedule_retry(self.token.get(), after);
        }
    }

    /// A full socket: what is unsent waits in the backlog, or is dropped where the port wants no queue. The answer is how
    /// many datagrams there was no memory for.
    pub(super) fn shelve(&self, sending: &mut Sending, outbound: &Outbound) -> usize {
        if self.has(flag::NO_QUEUE) {
            self.count_dropped(outbound.pending());
            return 0;
        }
        let queue = |(data, to, control)| sending.backlog.push(data, to, control);
        outbound.unsent().map(queue).filter(Result::is_err).count()
    }

    pub(super) fn count_dropped(&self, count: usize) {
        self.used().counters.update(|stats| stats.dropped_out += count as u64);
    }

    /// True while it matters that the socket can be written to again.
    pub(super) fn wants_writable(&self) -> bool {
        let waits = self.wants_ready.get() || self.is_waiting();
        waits && !self.backing_off.get()
    }

    /// Sends some of what waits for a full socket, which may have room again: `most` datagrams, or what one call takes.
    pub(super) fn drain_backlog(&self, most: usize) {
        if self.backing_off.get() || !self.is_waiting() {
            return;
        }
        let mut sending = self.used().sending.borrow_mut();
        let mut outbound = self.turn.take_outbound();
        // As many letters as were sent are then taken from the front.
        outbound.keep_order();
        for letter in sending.backlog.iter().take(most) {
            if !outbound.has_room(letter.data.len(), 1) {
                break;
            }
            let target = Target { to: letter.to.as_ref(), control: letter.control.as_deref() };
            outbound.push(letter.data.len(), 0, target, self.limits_to(target.to), |place| {
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

/// A message failed, perhaps because it was merged.
struct Suspicion {
    errno: i32,
    merged: Limits,
    to: Option<Addr>,
}

impl Suspicion {
    /// None for an error that has another reason.
    fn of(error: &io::Error, outbound: &Outbound) -> Option<Suspicion> {
        let faults = [libc::EMSGSIZE, libc::EINVAL, libc::EIO];
        let errno = error.raw_os_error().filter(|errno| faults.contains(errno))?;
        Some(Suspicion { errno, merged: outbound.merged()?, to: outbound.destination() })
    }
}
