//! Writes with everything that can be said of one: source, interface, TOS, and a cut into many datagrams.

use super::queue::SendQueue;
use super::{Open, Port, flag};
use crate::addr::{Addr, family};
use crate::status::{Result, Status};
use crate::sys::{Control, charge};
use std::iter;

/// Datagrams that one step of a long message may make.
const PIECES: usize = 64;
/// Bytes of one step, where a datagram is not longer.
const STEP: usize = 64 * 1024;

/// How a write is to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// With others, where callbacks run.
    Batched,
    /// Now.
    Immediate,
}

/// One write with everything that can be said of it.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The payload.
    pub data: &'a [u8],
    /// None on a connected port.
    pub to: Option<&'a Addr>,
    /// Local address to send from, whose port does not matter.
    pub source: Option<&'a Addr>,
    /// The interface to send by; 0: the kernel chooses.
    pub interface_index: u32,
    /// The TOS byte or traffic class, 0 to 255, in place of the socket's.
    pub tos: Option<u32>,
    /// Bytes of the datagrams that the payload is cut into, the last of which may be shorter; 0: one datagram.
    pub segment_size: usize,
    /// When it leaves.
    pub flush: Flush,
}

/// How what was checked leaves.
#[derive(Clone, Copy)]
pub(super) struct SendOptions<'a> {
    pub(super) flush: Flush,
    pub(super) control: Option<&'a Control>,
    pub(super) segment: usize,
    /// The payload of a single datagram, if it lies in one piece: it may be sent from where it was received.
    pub(super) data: Option<&'a [u8]>,
}

impl SendOptions<'_> {
    /// One datagram with the socket's settings.
    pub(super) fn plain(flush: Flush) -> SendOptions<'static> {
        SendOptions { flush, control: None, segment: 0, data: None }
    }

    /// The same of bytes in one piece.
    pub(super) fn whole(data: &[u8], flush: Flush) -> SendOptions<'_> {
        SendOptions { flush, control: None, segment: 0, data: Some(data) }
    }

    /// One datagram of which nothing more is said.
    pub(super) fn is_plain(&self) -> bool {
        self.control.is_none() && self.segment == 0
    }

    /// Bytes of the longest datagram that `len` bytes make.
    pub(super) fn longest(&self, len: usize) -> usize {
        if self.segment == 0 { len } else { len.min(self.segment) }
    }

    /// How many datagrams `len` bytes make, at least one.
    pub(super) fn pieces(&self, len: usize) -> usize {
        if self.segment == 0 { 1 } else { len.div_ceil(self.segment).max(1) }
    }

    /// The datagrams that `data` makes.
    pub(super) fn cut<'d>(&self, data: &'d [u8]) -> impl Iterator<Item = &'d [u8]> {
        let whole = data.len() <= self.segment || self.segment == 0;
        let size = if whole { data.len().max(1) } else { self.segment };
        iter::once(data).filter(|data| data.is_empty()).chain(data.chunks(size))
    }

    /// Into a full socket's queue: all of it or, with NO_MEMORY, nothing.
    pub(super) fn queue(
        &self,
        queue: &mut SendQueue,
        len: usize,
        to: Option<Addr>,
        fill: impl FnOnce(&mut [u8]),
    ) -> Result {
        let mut data = Vec::new();
        data.try_reserve_exact(len)?;
        data.resize(len, 0);
        fill(&mut data);
        let before = queue.len();
        let queued = self.cut(&data).try_for_each(|piece| queue.push(piece, to, self.control));
        queued.inspect_err(|_| queue.truncate(before))
    }
}

impl Port {
    /// [`Port::write`] with more to say. Beside its errors: INVALID_ARGUMENT for a TOS above 255 and for a group as
    /// source, ADDRESS_FAMILY for a source of another family than the destination's. Of a message that is cut, all is
    /// accepted or nothing; where it leaves at once, the status is the first datagram's, and what is lost behind that
    /// counts as dropped.
    pub fn write_message(&self, message: &Message<'_>) -> Result {
        let open = self.listening()?;
        let control = open.control(message)?;
        let (data, segment) = (message.data, message.segment_size);
        let control = (!control.is_empty()).then_some(&control);
        let whole = segment == 0 || data.len() <= segment;
        let options = SendOptions { flush: message.flush, control, segment, data: whole.then_some(data) };
        let submit =
            |data: &[u8]| open.submit(data.len(), message.to, options, |place| place.copy_from_slice(data));
        if whole {
            return submit(data);
        }
        open.check_destination(segment, message.to)?;
        open.make_room(charge(data.len(), options.pieces(data.len())))?;
        let (first, rest) = data.split_at(step(segment).min(data.len()));
        submit(first)?;
        for data in rest.chunks(step(segment)) {
            if submit(data).is_err() {
                let lost = options.pieces(data.len()) as u64;
                open.lazy().counters.update(|stats| stats.dropped_out += lost);
            }
        }
        Ok(())
    }
}

/// Bytes of one step: whole segments.
fn step(segment: usize) -> usize {
    segment.saturating_mul((STEP / segment).clamp(1, PIECES))
}

impl Open {
    fn control(&self, message: &Message<'_>) -> Result<Control> {
        let tos = message.tos.map(u8::try_from).transpose().map_err(|_| Status::INVALID_ARGUMENT)?;
        if message.source.is_none() && message.interface_index == 0 && tos.is_none() {
            return Ok(Control::EMPTY);
        }
        self.check_destination(0, message.to)?;
        let target = message.to.copied().or(self.peer.get()).ok_or(Status::NOT_CONNECTED)?;
        let over_v6 = target.family == family::INET6 && !target.is_v4_mapped();
        let source = message.source.map(|source| self.source(source, over_v6)).transpose()?;
        let scope_id = source.map_or(0, |source| source.scope_id);
        let interface = if message.interface_index == 0 { scope_id } else { message.interface_index };
        self.check_interface(interface)?;
        Ok(Control::of(over_v6, source.as_ref(), interface, tos))
    }

    /// The source of a datagram as the IP version that carries it has it.
    fn source(&self, source: &Addr, over_v6: bool) -> Result<Addr> {
        source.check()?;
        if source.family != self.family {
            return Err(Status::ADDRESS_FAMILY);
        }
        let plain = source.unmap_v4().unwrap_or(*source);
        // "::" leaves the choice to the kernel, over IPv4 as well.
        let plain = if plain.is_any() && !over_v6 { Addr::v4([0; 4], 0) } else { plain };
        if plain.is_multicast() {
            return Err(Status::INVALID_ARGUMENT);
        }
        if (plain.family == family::INET6) == over_v6 { Ok(plain) } else { Err(Status::ADDRESS_FAMILY) }
    }

    /// WOULD_BLOCK where a full socket is waited for already and the queue has no room for what counts `charge`. What
    /// is longer than the whole queue can only leave while nothing waits.
    fn make_room(&self, charge: usize) -> Result {
        let mut sending = self.lazy().sending.borrow_mut();
        if !sending.has_room(charge) {
            self.send_gathered(&mut sending);
        }
        let refused = sending.is_waiting() && (self.has(flag::UNBATCHED) || !sending.has_room(charge));
        drop(sending);
        if refused {
            self.write_ready_owed.set(true);
        }
        self.update_interest();
        if refused { Err(Status::WOULD_BLOCK) } else { Ok(()) }
    }
}
