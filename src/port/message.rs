//! Writes with all options: source, interface, TOS, and a payload that is cut into many datagrams.

use super::queue::SendQueue;
use super::{Open, Port, flag};
use crate::addr::{Addr, family};
use crate::refusal;
use crate::status::{Result, Status};
use crate::sys::{Control, charge};
use std::iter;

/// The most datagrams that one step of a long message makes.
const PIECES: usize = 64;
/// The most bytes of one step, unless a datagram is longer.
const STEP: usize = 64 * 1024;

/// When a write is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// Together with others when the dispatch ends, if one runs.
    Batched,
    /// At once.
    Immediate,
}

/// One write with all options.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    /// The payload.
    pub data: &'a [u8],
    /// None on a connected port.
    pub to: Option<&'a Addr>,
    /// The local address to send from; its port does not matter.
    pub source: Option<&'a Addr>,
    /// The interface to send by; 0: the system chooses.
    pub interface_index: u32,
    /// The TOS byte or traffic class, 0 to 255, instead of the socket's.
    pub tos: Option<u32>,
    /// Bytes of the datagrams that the payload is cut into, the last of which may be shorter; 0: one datagram.
    pub segment_size: usize,
    /// When it is sent.
    pub flush: Flush,
}

/// What is sent by one write, except for the bytes, which a closure copies to their place.
#[derive(Clone, Copy)]
pub(super) struct Transmit<'a> {
    /// Bytes in all.
    pub(super) len: usize,
    /// None: the connected peer.
    pub(super) to: Option<&'a Addr>,
    pub(super) control: Option<&'a Control>,
    /// Bytes of each datagram, the last of which may be shorter; 0: one datagram.
    pub(super) segment: usize,
    pub(super) flush: Flush,
    /// The payload of a single datagram, if it lies in one piece: it may be sent from where it was received.
    pub(super) data: Option<&'a [u8]>,
}

impl<'a> Transmit<'a> {
    /// One datagram without options.
    pub(super) fn new(len: usize, to: Option<&'a Addr>, flush: Flush) -> Transmit<'a> {
        Transmit { len, to, control: None, segment: 0, flush, data: None }
    }

    /// True for a datagram that others may be appended to.
    pub(super) fn is_plain(&self) -> bool {
        self.control.is_none() && self.segment == 0
    }

    /// Bytes of the longest datagram.
    pub(super) fn longest(&self) -> usize {
        if self.segment == 0 { self.len } else { self.len.min(self.segment) }
    }

    /// The number of datagrams, at least one.
    pub(super) fn pieces(&self) -> usize {
        if self.segment == 0 { 1 } else { self.len.div_ceil(self.segment).max(1) }
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
        let queued = self.cut(&data).try_for_each(|piece| queue.push(piece, to, self.control));
        queued.inspect_err(|_| queue.truncate(before))
    }
}

impl Port {
    /// [`Port::write`] with all options. A message that is cut is accepted whole or not at all. If it is sent at once, the status is
    /// that of its first datagram, and datagrams behind that which are lost count as dropped.
    ///
    /// # Errors
    /// Those of [`Port::write`]; [`Status::INVALID_ARGUMENT`] for a TOS above 255 and for a group as source;
    /// [`Status::ADDRESS_FAMILY`] for a source of another family than the destination's.
    pub fn write_message(&self, message: &Message<'_>) -> Result {
        let open = self.listening()?;
        let control = open.control(message)?;
        let Message { data, to, segment_size: segment, flush, .. } = *message;
        let control = (!control.is_empty()).then_some(&control);
        let whole = segment == 0 || data.len() <= segment;
        let transmit = |data: &[u8]| {
            let single = whole.then_some(data);
            let transmit = Transmit { len: data.len(), to, control, segment, flush, data: single };
            open.transmit(transmit, |place| place.copy_from_slice(data))
        };
        if whole {
            return transmit(data);
        }
        open.check_destination(segment, to)?;
        open.make_room(charge(data.len(), data.len().div_ceil(segment)))?;
        let (first, rest) = data.split_at(step(segment).min(data.len()));
        transmit(first)?;
        for data in rest.chunks(step(segment)) {
            if transmit(data).is_err() {
                open.count_dropped(data.len().div_ceil(segment));
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
    fn control(&self, message: &Message<'_>) -> Result<Control> {
        let byte =
            |tos: u32| u8::try_from(tos).map_err(|_| refusal::invalid("tos", tos.into(), "at most 255"));
        let tos = message.tos.map(byte).transpose()?;
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

    /// The source of a datagram as an address of the IP version that carries the datagram.
    fn source(&self, source: &Addr, over_v6: bool) -> Result<Addr> {
        source.check("source->")?;
        if source.family != self.family {
            return Err(Status::ADDRESS_FAMILY);
        }
        let plain = source.unmap_v4().unwrap_or(*source);
        // "::" leaves the choice to the system, over IPv4 as well.
        let plain = if plain.is_any() && !over_v6 { Addr::v4([0; 4], 0) } else { plain };
        if plain.is_multicast() {
            return Err(refusal::wrong("source", "is a group, which sends nothing"));
        }
        if (plain.family == family::INET6) == over_v6 { Ok(plain) } else { Err(Status::ADDRESS_FAMILY) }
    }

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
