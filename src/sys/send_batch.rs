//! Sending many datagrams by one sendmmsg(2), gathered by where they go to: from an arena that writes are copied into, and
//! from the buffers of what was received, where merged datagrams are sent on as they lie there.

use super::append_cursor::{AppendSpace, Appended};
use super::buffers::{Buffers, RecvSlice};
use super::gso_plan::{Extent, GsoLimits, GsoMessage, GsoPlan, MESSAGES, Target};
use super::imp::cmsg::Control;
use super::imp::mmsg_headers::SendHeaders;
use super::memory::ZeroedBytes;
use crate::addr::Addr;
use std::io;
use std::os::fd::RawFd;
use std::rc::Rc;

/// Bytes of the arena: four messages of the largest size.
const ARENA: usize = 256 * 1024;

/// Datagrams of one port that leave together.
#[derive(Debug)]
pub struct SendBatch {
    arena: ZeroedBytes,
    /// How much of it is used.
    filled: usize,
    /// Where the bytes lie that are not in the arena.
    buffers: Rc<Buffers>,
    plan: GsoPlan,
    headers: SendHeaders,
    /// The headers are those of what waits.
    is_laid: bool,
    /// Messages that are done with, and datagrams of the one behind them.
    done: (usize, usize),
    /// The first message that is not done with leaves datagram by datagram: the kernel did not take it whole.
    split: bool,
}

/// A datagram that waits to be sent: its bytes, where it goes to, its control data.
pub type Unsent<'a> = (&'a [u8], Option<Addr>, Option<&'a Control>);

impl SendBatch {
    /// From an arena of its own, and from these buffers.
    pub fn new(buffers: Rc<Buffers>) -> SendBatch {
        SendBatch {
            arena: ZeroedBytes::new(ARENA),
            filled: 0,
            buffers,
            plan: GsoPlan::default(),
            headers: SendHeaders::default(),
            is_laid: false,
            done: (0, 0),
            split: false,
        }
    }

    /// True where `len` more bytes surely fit as `pieces` datagrams.
    pub fn has_room(&self, len: usize, pieces: usize) -> bool {
        self.plan.has_room(pieces) && ARENA - self.filled >= len
    }

    /// From here on [`SendBatch::unsent`] has the datagrams in the order they are pushed in, whatever their destinations.
    pub fn keep_order(&mut self) {
        self.plan.keep_order();
    }

    /// Adds `len` bytes that `fill` writes: one datagram or, where `segment` is not 0, as many of that size as they make,
    /// the last of which may be shorter. The caller has asked [`SendBatch::has_room`].
    #[inline(always)]
    pub fn push(
        &mut self,
        len: usize,
        segment: usize,
        target: Target<'_>,
        limits: GsoLimits,
        fill: impl FnOnce(&mut [u8]),
    ) {
        let start = self.filled;
        fill(self.arena.slice_mut(start, len));
        self.filled += len;
        self.is_laid = false;
        let whole = Extent { start, len, in_place: false };
        if segment == 0 || segment >= len {
            self.plan.push(whole, target, limits);
        } else {
            self.push_cut(whole, segment, target, limits);
        }
    }

    fn push_cut(&mut self, whole: Extent, segment: usize, target: Target<'_>, limits: GsoLimits) {
        let end = whole.start + whole.len;
        for start in (whole.start..end).step_by(segment) {
            let piece = Extent { start, len: segment.min(end - start), ..whole };
            self.plan.push(piece, target, limits);
        }
    }

    /// True where the datagram pushed last is in the message of the one before.
    pub fn follows(&self) -> bool {
        self.plan.follows()
    }

    /// Adds one datagram that is sent from where it lies in the buffers.
    pub fn push_in_place(&mut self, found: RecvSlice, target: Target<'_>, limits: GsoLimits) {
        self.is_laid = false;
        self.plan.push(found.extent(), target, limits);
    }

    /// True where the datagram pushed last went there, too, and lies in the same place of the buffers.
    pub fn repeats(&self, found: RecvSlice, to: Option<&Addr>) -> bool {
        self.plan.repeats(found.extent(), to)
    }

    /// Room in the arena for `most` datagrams that follow the one pushed last. What is put there is for [`SendBatch::commit`],
    /// before anything else is pushed or sent.
    #[inline]
    pub fn append_space(&mut self, most: usize, limits: GsoLimits) -> Option<AppendSpace> {
        let (bytes, segment) = self.plan.append_space(most, limits)?;
        let begin = self.arena.at(self.filled);
        let end = begin.wrapping_add(bytes.min(ARENA - self.filled));
        Some(AppendSpace { segment, memory: begin..end, in_place: false })
    }

    /// The same for those that lie behind the one pushed last, which was `found`.
    pub fn append_space_in_place(
        &self,
        most: usize,
        limits: GsoLimits,
        found: RecvSlice,
    ) -> Option<AppendSpace> {
        let (bytes, segment) = self.plan.append_space(most, limits)?;
        let begin = self.buffers.at(found.start + found.len);
        Some(AppendSpace {
            segment,
            memory: begin..begin.wrapping_add(bytes.min(found.behind)),
            in_place: true,
        })
    }

    /// Adds what was put into the room, or lay there already.
    pub fn commit(&mut self, taken: Appended) {
        self.plan.append_run(taken.bytes, taken.segment);
        self.filled += if taken.in_place { 0 } else { taken.bytes };
        self.is_laid = false;
    }

    /// What lies at a place of the room.
    #[cfg(test)]
    pub fn bytes_at(&mut self, place: *mut u8, len: usize) -> &mut [u8] {
        let start = place.addr() - self.arena.at(0).addr();
        self.arena.slice_mut(start, len)
    }

    /// True where nothing waits to be sent.
    pub fn is_done(&self) -> bool {
        self.done.0 == self.plan.messages().len()
    }

    /// How many messages wait to be sent.
    pub fn messages(&self) -> usize {
        self.rest().len()
    }

    /// How many datagrams wait to be sent.
    pub fn pending(&self) -> usize {
        self.rest().iter().map(|message| message.datagrams).sum::<usize>() - self.done.1
    }

    /// Bytes that wait to be sent.
    pub fn pending_bytes(&self) -> usize {
        self.unsent().map(|(data, ..)| data.len()).sum()
    }

    /// What waits to be sent, in order.
    pub fn unsent(&self) -> impl Iterator<Item = Unsent<'_>> {
        let datagrams = self.rest().iter().flat_map(|message| {
            let datagram =
                |extent| (bytes(&self.arena, &self.buffers, extent), message.to, self.plan.control(message));
            self.plan.datagrams(message).map(datagram)
        });
        datagrams.skip(self.done.1)
    }

    fn rest(&self) -> &[GsoMessage] {
        &self.plan.messages()[self.done.0..]
    }

    /// How many datagrams the next message is, and of which size, where it is more than one and leaves whole.
    pub fn merged(&self) -> Option<GsoLimits> {
        let message = self.rest().first().filter(|message| message.datagrams > 1 && !self.split)?;
        Some(GsoLimits { segments: message.datagrams, size: message.segment })
    }

    /// Where the next message goes to; none for the peer, and where nothing waits.
    pub fn destination(&self) -> Option<Addr> {
        self.rest().first().and_then(|message| message.to)
    }

    /// From here on the next message leaves datagram by datagram.
    pub fn split(&mut self) {
        self.split = true;
        self.is_laid = false;
    }

    /// Sends of what waits, `limit` messages at most: one sendmmsg(2), or a sendmsg(2) for each where that is refused, which
    /// never wait. Returns how many of them the kernel took, at least one, for [`SendBatch::advance`]; an error is the first one's.
    pub fn send(&mut self, fd: RawFd, limit: usize) -> io::Result<usize> {
        if !self.is_laid {
            self.lay_out();
        }
        // SAFETY: the arena and the buffers are this object's, and what was pushed lies in them.
        unsafe { self.headers.send(fd, limit) }
    }

    /// Headers for the messages that wait, or for the datagrams of the first one.
    fn lay_out(&mut self) {
        let SendBatch { arena, buffers, plan, headers, done, split, .. } = self;
        let messages = &plan.messages()[done.0..];
        headers.clear();
        if !*split {
            for message in messages {
                let more = plan.more_runs(message).map(|run| memory(arena, buffers, run.extent));
                let first = memory(arena, buffers, message.first.extent);
                let segment = (message.datagrams > 1).then_some(message.segment);
                headers.add(first, more, message.to.as_ref(), plan.control(message), segment);
            }
        } else if let Some(message) = messages.first() {
            for extent in plan.datagrams(message).skip(done.1).take(MESSAGES) {
                let (whole, no_more) = (memory(arena, buffers, extent), std::iter::empty());
                headers.add(whole, no_more, message.to.as_ref(), plan.control(message), None);
            }
        }
        self.is_laid = true;
    }

    /// Counts `sent` messages as done with: sent, or given up. The answer is how many datagrams and bytes that were.
    pub fn advance(&mut self, sent: usize) -> (usize, usize) {
        self.headers.advance(sent);
        if !self.split {
            let messages = self.rest().iter().take(sent);
            let sums = messages.fold((0, 0), |sums, it| (sums.0 + it.datagrams, sums.1 + it.bytes));
            self.done.0 += sent;
            return sums;
        }
        let Some(message) = self.rest().first() else { return (0, 0) };
        let lengths = self.plan.datagrams(message).skip(self.done.1).take(sent).map(|extent| extent.len);
        let bytes = lengths.sum();
        if self.done.1 + sent >= message.datagrams {
            (self.done, self.split) = ((self.done.0 + 1, 0), false);
            self.is_laid = false;
        } else {
            self.done.1 += sent;
            self.is_laid &= !self.headers.is_empty();
        }
        (sent, bytes)
    }

    /// How many datagrams the next message is: 1, unless they leave merged.
    pub fn next_count(&self) -> usize {
        self.rest().first().map_or(0, |message| if self.split { 1 } else { message.datagrams })
    }

    /// Gives the next message up, all [`SendBatch::next_count`] datagrams of it.
    pub fn skip(&mut self) {
        self.advance(1);
    }

    /// Empties it.
    pub fn clear(&mut self) {
        self.plan.clear();
        self.headers.clear();
        self.is_laid = false;
        self.filled = 0;
        (self.done, self.split) = ((0, 0), false);
    }
}

impl RecvSlice {
    fn extent(self) -> Extent {
        Extent { start: self.start, len: self.len, in_place: true }
    }
}

/// What lies there.
#[inline]
fn bytes<'a>(arena: &'a ZeroedBytes, buffers: &'a Buffers, extent: Extent) -> &'a [u8] {
    if extent.in_place {
        buffers.slice(extent.start, extent.len)
    } else {
        arena.slice(extent.start, extent.len)
    }
}

/// The same for the kernel, which only reads there.
#[inline]
fn memory(arena: &ZeroedBytes, buffers: &Buffers, extent: Extent) -> *const [u8] {
    let Extent { start, len, in_place } = extent;
    let place = if in_place { buffers.piece(start, len) } else { arena.piece(start, len) };
    std::ptr::slice_from_raw_parts(place, len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::AppendCursor;

    fn to(port: u16) -> Addr {
        Addr::v4([192, 0, 2, 1], port)
    }

    /// Miri runs this, too: pointers from anything but the roots would be stale after the moves.
    #[test]
    fn what_the_kernel_points_to_stays_where_it_is() {
        let buffers = Rc::<Buffers>::default();
        let mut send_batch = Box::new(SendBatch::new(buffers.clone()));
        let push = |send_batch: &mut SendBatch, port, byte: u8| {
            let to = to(port);
            let target = Target { to: Some(&to), control: None };
            send_batch.push(2, 0, target, GsoLimits::MAX, |place| place.fill(byte));
        };
        push(&mut send_batch, 1, 1);
        push(&mut send_batch, 2, 2);
        push(&mut send_batch, 1, 3);
        // The short way of a write puts one more behind the last one, wherever the arena's owner has gone meanwhile.
        let append_cursor = AppendCursor::default();
        append_cursor.arm(send_batch.append_space(9, GsoLimits::MAX).expect("room"), Some(&to(1)));
        let mut send_batch = Box::new(*send_batch);
        let place = append_cursor.try_append([4, 4].as_ptr(), 2, Some(&to(1))).expect("it follows");
        // SAFETY: room for two bytes.
        unsafe { place.write_bytes(4, 2) };
        send_batch.commit(append_cursor.disarm().expect("it was open"));
        send_batch.lay_out();
        let send_batch = Box::new(*send_batch);
        assert_eq!(
            send_batch.headers.read_as_kernel(),
            [(to(1), vec![1, 1, 3, 3, 4, 4]), (to(2), vec![2, 2])]
        );
    }
}
