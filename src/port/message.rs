//! Writes with all options: pieces, settings of the datagram, and a payload that is cut into many datagrams.

use super::payload::Payload;
use super::queue::SendQueue;
use super::{Open, Port, flag};
use crate::addr::Addr;
use crate::status::{Result, Status};
use crate::sys::{SendMeta, charge};
use std::iter;

/// The most datagrams that one step of a long message makes.
const PIECES: usize = 64;
/// The most bytes of one step, unless a datagram is longer.
const STEP: usize = 64 * 1024;

/// When a write is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Flush {
    /// Together with others when the dispatch ends, if one runs.
    #[default]
    Batched,
    /// At once.
    Immediate,
}

/// One write with all options.
#[derive(Default)]
pub struct Message<'a> {
    /// The bytes.
    pub payload: Payload<'a>,
    /// None on a connected port.
    pub to: Option<&'a Addr>,
    /// The local address to send from; its port does not matter.
    pub source: Option<&'a Addr>,
    /// The interface to send by; 0: the system chooses.
    pub interface_index: u32,
    /// The TOS byte or traffic class, 0 to 255, instead of the socket's.
    pub tos: Option<u32>,
    /// The TTL or hop limit, 1 to 255, or 0 for a group, instead of the socket's.
    pub ttl: Option<u32>,
    /// When it should leave, by the clock of [`clock::now`](crate::sys::clock::now).
    pub send_at: Option<u64>,
    /// Bytes of the datagrams that the payload is cut into, the last of which may be shorter; 0: one datagram.
    pub segment_size: usize,
    /// When it is sent.
    pub flush: Flush,
    /// The number that a report about it carries; 0: none.
    pub tag: u64,
}

impl Message<'_> {
    /// The number of datagrams, at least one.
    pub(super) fn datagrams(&self) -> usize {
        count_segments(self.payload.len(), self.segment_size)
    }

    /// True if it is one datagram.
    fn is_whole(&self) -> bool {
        self.segment_size == 0 || self.payload.len() <= self.segment_size
    }

    /// Bytes of the longest datagram.
    pub(super) fn longest(&self) -> usize {
        if self.is_whole() { self.payload.len() } else { self.segment_size }
    }
}

/// The number of datagrams that `len` bytes are cut into, at least one.
fn count_segments(len: usize, segment: usize) -> usize {
    if segment == 0 { 1 } else { len.div_ceil(segment).max(1) }
}

/// What is sent by one write, except for the bytes, which a closure copies to their place.
#[derive(Clone, Copy)]
pub(super) struct Transmit<'a> {
    /// Bytes in all.
    pub(super) len: usize,
    /// None: the connected peer.
    pub(super) to: Option<&'a Addr>,
    pub(super) meta: Option<&'a SendMeta>,
    /// Bytes of each datagram, the last of which may be shorter; 0: one datagram.
    pub(super) segment: usize,
    pub(super) flush: Flush,
    /// The payload of a single datagram, if it lies in one piece: it may be sent from where it was received.
    pub(super) data: Option<&'a [u8]>,
}

impl<'a> Transmit<'a> {
    /// One datagram without options.
    pub(super) fn new(len: usize, to: Option<&'a Addr>, flush: Flush) -> Transmit<'a> {
        Transmit { len, to, meta: None, segment: 0, flush, data: None }
    }

    /// True for a datagram that others may be appended to.
    pub(super) fn is_plain(&self) -> bool {
        self.meta.is_none() && self.segment == 0
    }

    /// Bytes of the longest datagram.
    pub(super) fn longest(&self) -> usize {
        if self.segment == 0 { self.len } else { self.len.min(self.segment) }
    }

    /// The number of datagrams, at least one.
    pub(super) fn pieces(&self) -> usize {
        count_segments(self.len, self.segment)
    }

    /// What it is charged against the limit of the queue.
    pub(super) fn charge(&self) -> usize {
        charge(self.len, self.pieces())
    }

    /// The datagrams that `data` is cut into.
    fn cut<'d>(&self, data: &'d [u8]) -> impl Iterator<Item = &'d [u8]> {
        let size = if self.segment == 0 { data.len().max(1) } else { self.segment };
        iter::once(data).filter(|data| data.is_empty()).chain(data.chunks(size))
    }

    /// Adds all of it to the queue of a full socket, or nothing.
    ///
    /// # Errors
    /// [`Status::NO_MEMORY`].
    pub(super) fn queue(&self, queue: &mut SendQueue, fill: impl FnOnce(&mut [u8])) -> Result {
        let mut data = Vec::new();
        data.try_reserve_exact(self.len)?;
        data.resize(self.len, 0);
        fill(&mut data);
        let (before, to) = (queue.len(), self.to.copied());
        let queued = self.cut(&data).try_for_each(|piece| queue.push_copy(piece, to, self.meta));
        queued.inspect_err(|_| queue.truncate(before))
    }
}

impl Port {
    /// [`Port::write`] with all options. A message that is cut is accepted whole or not at all. If it is sent at once, the status is
    /// that of its first datagram, and datagrams behind that which are lost count as dropped.
    ///
    /// # Errors
    /// Those of [`Port::write`]; [`Status::INVALID_ARGUMENT`] for a TOS, a TTL or an instant out of range, and for a group as
    /// source; [`Status::ADDRESS_FAMILY`] for a source of another family than the destination's; [`Status::NOT_SUPPORTED`] for an
    /// instant if the system sends at once only, and with a manual clock.
    pub fn write_message(&self, message: Message<'_>) -> Result {
        let open = self.listening()?;
        let meta = message.meta(&open.destinations(), open.peer().as_ref(), &open.context.shared)?;
        meta.as_ref().map_or(Ok(()), |meta| open.prepare_meta(meta))?;
        let (is_whole, all) = (message.is_whole(), message.payload.len());
        let Message { mut payload, to, segment_size: segment, flush, .. } = message;
        let mut transmit = |len: usize| {
            let (data, left) = (payload.as_slice().filter(|_| is_whole), payload.len() - len);
            let transmit = Transmit { len, to, meta: meta.as_ref(), segment, flush, data };
            let result = open.transmit(transmit, |place| payload.copy_next(place));
            payload.skip_until(left);
            result
        };
        if is_whole {
            return transmit(all);
        }
        open.check_destination(segment, to)?;
        open.make_room(charge(all, count_segments(all, segment)))?;
        let step = step(segment);
        let first = all.min(step);
        transmit(first)?;
        for done in (first..all).step_by(step) {
            let len = step.min(all - done);
            if transmit(len).is_err() {
                open.count_dropped(len.div_ceil(segment));
            }
        }
        Ok(())
    }
}

/// Bytes of one step, which are whole segments.
fn step(segment: usize) -> usize {
    segment.saturating_mul((STEP / segment).clamp(1, PIECES))
}

impl Open {
    /// Makes sure that what is charged `charge` is accepted. A message that is longer than the whole queue can only be sent while
    /// nothing waits.
    ///
    /// # Errors
    /// [`Status::WOULD_BLOCK`] if datagrams wait for a full socket, and the queue has no room.
    fn make_room(&self, charge: usize) -> Result {
        let mut sending = self.lazy().sending.borrow_mut();
        if !sending.has_room(charge) {
            self.send_gathered(&mut sending);
        }
        let refused = sending.is_waiting() && (self.has(flag::UNBATCHED) || !sending.has_room(charge));
        drop(sending);
        if refused {
            self.write_ready_due.set(true);
        }
        self.update_interest();
        if refused { Err(Status::WOULD_BLOCK) } else { Ok(()) }
    }
}
