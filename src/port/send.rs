//! Sending gathered and queued datagrams with few calls, and handling the datagrams that the system refuses.

use super::path_limits::Segmentation;
use super::write::SendState;
use super::{Open, flag};
use crate::addr::Addr;
use crate::context::BACK_OFF;
use crate::status::{Result, Status};
use crate::sys::{Failure, GsoLimits, IpVersion, SendBatch, SendMeta, SocketOption, Target, Unsent, clock};
use std::io;

/// How often a datagram is tried again while the call returns errors of earlier datagrams.
const TRIES: usize = 64;
/// How far ahead the instant of a datagram may be that a full device queue keeps waiting, with all others behind it.
const WAIT_MAX: u64 = 1_000_000_000;
/// For so many messages at once it pays to stop watching the socket meanwhile: the two calls of epoll_ctl(2) cost as much as
/// about eight messages save.
const UNWATCH_MIN_MESSAGES: usize = 16;

impl Open {
    /// Sends the gathered datagrams.
    pub(super) fn flush(&self) {
        if let Some(lazy) = self.lazy.get() {
            self.send_gathered(&mut lazy.sending.borrow_mut());
        }
        self.update_interest();
    }

    pub(super) fn send_gathered(&self, sending: &mut SendState) {
        let Some(mut send_batch) = sending.take_gathered() else { return };
        // If a callback has forked, the child does not send: the parent sends these datagrams.
        if !self.context.shared.owner.is_unusable() {
            let is_large = send_batch.messages() >= UNWATCH_MIN_MESSAGES;
            let mut send = || self.send_all(sending, &mut send_batch);
            if is_large { self.send_unwatched(send) } else { send() }
        }
        self.context.return_send_batch(send_batch);
    }

    /// Sends a batch. Datagrams that a full socket does not take are queued.
    fn send_all(&self, sending: &mut SendState, send_batch: &mut SendBatch) {
        while !send_batch.is_done() {
            match self.send(send_batch) {
                Err(Status::WOULD_BLOCK) => {
                    let lost = self.enqueue_rest(sending, send_batch);
                    return self.count_dropped(lost);
                }
                Err(status) => self.fail_first_message(send_batch, status),
                Ok(()) => {}
            }
        }
    }

    /// Sends a batch, until a datagram fails.
    ///
    /// # Errors
    /// The error of that datagram; WOULD_BLOCK if the socket is full.
    pub(super) fn send(&self, send_batch: &mut SendBatch) -> Result {
        self.check_send_barrier()?;
        let (mut tries, mut merge_failure) = (0, None);
        while !send_batch.is_done() {
            let sent = self.context.kernel.send(self.fd.get(), send_batch);
            let sent = sent.or_else(|error| self.send_with_zero_ttl(error, send_batch));
            self.lazy().counters.update(|stats| stats.syscalls_out += 1);
            match sent {
                Ok(messages) => {
                    self.registration.record_progress();
                    let (datagrams, bytes) = send_batch.advance(messages);
                    self.lazy().counters.update(|stats| {
                        stats.datagrams_out += datagrams as u64;
                        stats.bytes_out += bytes as u64;
                    });
                    merge_failure
                        .take()
                        .into_iter()
                        .for_each(|merge_failure| self.lower_gso_limits(merge_failure));
                    tries = 0;
                }
                Err(error) if tries < TRIES && self.absorb_earlier_error(&error, tries) => tries += 1,
                Err(error) if self.refresh_outgoing_address(&error) => {}
                Err(error) => {
                    // The datagrams of a merged message are sent singly, so that none is lost.
                    merge_failure = MergeFailure::of(&error, send_batch);
                    if merge_failure.is_none() && !needs_single_results(&error, send_batch) {
                        return Err(self.map_send_error(error, send_batch));
                    }
                    send_batch.split();
                }
            }
        }
        Ok(())
    }

    /// A merged message was refused, and a datagram of it was sent singly: less can be merged than was assumed.
    fn lower_gso_limits(&self, merge_failure: MergeFailure) {
        let MergeFailure { limits, to } = merge_failure;
        let Some(to) = to.or(self.peer.get()) else { return };
        self.lazy().path_limits.borrow_mut().narrow(&to, limits, clock::now());
        self.segmentation.set(Segmentation::Limited);
    }

    #[inline]
    pub(super) fn target<'a>(&self, to: Option<&'a Addr>, meta: Option<&'a SendMeta>) -> Target<'a> {
        Target { to, meta, limits: self.gso_limits_to(to) }
    }

    /// What may be merged for a destination; without `to`, for the peer.
    #[inline]
    pub(super) fn gso_limits_to(&self, to: Option<&Addr>) -> GsoLimits {
        match self.segmentation.get() {
            Segmentation::Off => GsoLimits::NONE,
            Segmentation::Full => GsoLimits::MAX,
            Segmentation::Limited => self.narrow_gso_limits_to(to),
        }
    }

    #[cold]
    #[inline(never)]
    fn narrow_gso_limits_to(&self, to: Option<&Addr>) -> GsoLimits {
        let (peer, paths) = (self.peer.get(), self.lazy().path_limits.borrow());
        to.or(peer.as_ref()).map_or(GsoLimits::MAX, |to| paths.get(to, clock::now))
    }

    /// True for an interrupted call, and for an error that an earlier datagram may have left on the socket, as happens with
    /// connected sockets and those with an error queue. Such an error is gone once it was returned, while an error of this
    /// datagram is returned again.
    fn absorb_earlier_error(&self, error: &io::Error, tries: usize) -> bool {
        match Failure::of(error) {
            Failure::Interrupted => true,
            Failure::WouldBlock | Failure::NoBuffers => false,
            Failure::Refused => {
                self.take_pending_error(Failure::Refused);
                true
            }
            failure => {
                let may_be_old = tries == 0 && (self.peer.get().is_some() || self.errors.wanted.get());
                // A packet filter that rejects a datagram sends an ICMP message for each try, so a message in the queue is not
                // an earlier datagram's.
                let is_rejected = failure == Failure::NotPermitted;
                (self.take_pending_error(failure) && !is_rejected) || may_be_old
            }
        }
    }

    /// Reports that the datagrams of the next message, which their writes had accepted, cannot be sent. If the message is sent
    /// or fails otherwise while the MTU is measured, nothing is reported.
    fn fail_first_message(&self, send_batch: &mut SendBatch, mut status: Status) {
        let mut mtu = 0;
        if status == Status::MESSAGE_TOO_LONG {
            let before = send_batch.pending();
            let (again, measured) = self.measure_mtu(send_batch.destination(), || self.send(send_batch));
            match again {
                Err(again) if send_batch.pending() == before => {
                    (status, mtu) = (if again == Status::WOULD_BLOCK { status } else { again }, measured);
                }
                _ => return,
            }
        }
        for datagram in send_batch.unsent().take(send_batch.next_count()) {
            self.report_failed_send(datagram, status, mtu);
        }
        send_batch.skip();
    }

    /// Linux refuses a TTL of 0 over IPv4 as control data (ip_cmsg_send in net/ipv4/ip_sockglue.c), but not as the socket's TTL for
    /// groups. So the socket has that for the time of this message.
    ///
    /// # Errors
    /// `error`, if it is about something else; otherwise that of the message.
    #[cold]
    fn send_with_zero_ttl(&self, error: io::Error, send_batch: &mut SendBatch) -> io::Result<usize> {
        if Failure::of(&error) != Failure::Invalid || !send_batch.isolate_zero_ttl() {
            return Err(error);
        }
        let (kernel, fd, option) =
            (&*self.context.kernel, self.fd.get(), SocketOption::MulticastTtl(IpVersion::V4));
        let sent = kernel.option(fd, option).and_then(|former| {
            kernel.set_option(fd, option, 0.into())?;
            let sent = kernel.send(fd, send_batch);
            self.lazy().counters.update(|stats| stats.syscalls_out += 1);
            // It is refused only if the host has closed the socket.
            let _ = kernel
                .set_option(fd, option, former.into())
                .or_else(|_| kernel.set_option(fd, option, former.into()));
            sent
        });
        sent.inspect_err(|_| send_batch.lay_out_again())
    }

    /// A full device queue is treated as a full socket, but no readiness is reported when it has room again. A datagram whose
    /// instant is beyond the horizon of the queueing discipline would be refused until then, so it fails.
    fn map_send_error(&self, error: io::Error, send_batch: &SendBatch) -> Status {
        let is_ahead = |instant: u64| instant > clock::now().saturating_add(WAIT_MAX);
        let is_far = send_batch.send_at().is_some_and(is_ahead);
        if Failure::of(&error) == Failure::NoBuffers && !is_far {
            self.backing_off.set(true);
            self.retry_later(BACK_OFF);
            return Status::WOULD_BLOCK;
        }
        Status::from(error)
    }

    /// Queues what a full socket has not taken, or drops it if the port has no queue. Returns the number of datagrams for which
    /// there was no memory.
    pub(super) fn enqueue_rest(&self, sending: &mut SendState, send_batch: &SendBatch) -> usize {
        if self.has(flag::NO_QUEUE) {
            self.count_dropped(send_batch.pending());
            return 0;
        }
        let queue = |datagram: Unsent<'_>| {
            sending.queue.push_copy(datagram.data, datagram.to.copied(), datagram.meta().as_ref())
        };
        send_batch.unsent().map(queue).filter(Result::is_err).count()
    }

    pub(super) fn count_dropped(&self, count: usize) {
        self.lazy().counters.update(|stats| stats.dropped_out += count as u64);
    }

    /// True if the port has to know when the socket can be written to again.
    pub(super) fn wants_writable(&self) -> bool {
        let waits = self.write_ready_due.get() || self.is_waiting();
        waits && !self.backing_off.get()
    }

    /// Sends queued datagrams, at most `most` and no more than one batch holds, since the socket may have room again.
    pub(super) fn drain_queue(&self, most: usize) {
        if self.backing_off.get() || !self.is_waiting() {
            return;
        }
        let mut sending = self.lazy().sending.borrow_mut();
        let mut send_batch = self.context.take_send_batch();
        // The datagrams are sent in this order, so those that were sent are the first ones of the queue.
        send_batch.keep_order();
        for datagram in sending.queue.iter().take(most) {
            if !send_batch.has_room(datagram.data.len(), 1) {
                break;
            }
            let target = self.target(datagram.to.as_ref(), datagram.meta());
            send_batch.push(datagram.data.len(), 0, target, |place| place.copy_from_slice(&datagram.data));
        }
        while !send_batch.is_done() {
            let before = send_batch.pending();
            let result = self.send(&mut send_batch);
            match result {
                Ok(()) | Err(Status::WOULD_BLOCK) => {}
                Err(status) => self.fail_first_message(&mut send_batch, status),
            }
            (send_batch.pending()..before).for_each(|_| drop(sending.queue.pop()));
            if result == Err(Status::WOULD_BLOCK) {
                break;
            }
        }
        self.context.return_send_batch(send_batch);
    }

    /// Drops what has not been sent. Returns the number of datagrams.
    pub(super) fn drop_unsent(&self) -> usize {
        let Some(lazy) = self.lazy.get() else { return 0 };
        let mut sending = lazy.sending.borrow_mut();
        let mut count = 0;
        while sending.queue.pop().is_some() {
            count += 1;
        }
        if let Some(send_batch) = sending.take_gathered() {
            count += send_batch.pending();
            self.context.return_send_batch(send_batch);
        }
        count
    }
}

/// True if the next message is merged, and the datagrams with a tag need a result each.
fn needs_single_results(error: &io::Error, send_batch: &SendBatch) -> bool {
    let is_final = !matches!(Failure::of(error), Failure::WouldBlock | Failure::NoBuffers);
    is_final && send_batch.is_merged_with_tags()
}

/// A message was refused, possibly because it was merged.
struct MergeFailure {
    /// What may be merged, if that was the reason.
    limits: GsoLimits,
    to: Option<Addr>,
}

impl MergeFailure {
    /// None if the next message is not merged, or the error has another reason.
    fn of(error: &io::Error, send_batch: &SendBatch) -> Option<MergeFailure> {
        let limits = send_batch.merged()?.narrowed_by(error)?;
        Some(MergeFailure { limits, to: send_batch.destination() })
    }
}
