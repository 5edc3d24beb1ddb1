//! Sending many datagrams by one sendmmsg(2), gathered by where they go to: from an arena that writes are copied into, and
//! from the buffers of what was received, where merged datagrams are sent on as they lie there.

use super::append_cursor::{AppendSpace, Appended};
use super::buffers::{Buffers, RecvSlice};
use super::gso_plan::{Extent, GsoLimits, GsoMessage, GsoPlan, MESSAGES, RUNS, Target};
use super::imp::cmsg::Control;
use super::imp::mmsg::MmsgCalls;
use super::memory::{StableArray, ZeroedBytes};
use super::recv_batch::{NAME_SIZE, header};
use crate::addr::Addr;
use std::io;
use std::os::fd::RawFd;
use std::rc::Rc;

/// Bytes of the arena: four messages of the largest size.
const ARENA: usize = 256 * 1024;

/// Datagrams of one port that leave together.
#[derive(Debug)]
pub struct SendBatch {
    calls: MmsgCalls,
    arena: ZeroedBytes,
    /// How much of it is used.
    filled: usize,
    /// Where the bytes lie that are not in the arena.
    buffers: Rc<Buffers>,
    plan: GsoPlan,
    wire: Wire,
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
            calls: MmsgCalls::default(),
            arena: ZeroedBytes::new(ARENA),
            filled: 0,
            buffers,
            plan: GsoPlan::default(),
            wire: Wire::default(),
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
        self.wire.is_laid = false;
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
        self.wire.is_laid = false;
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
        self.wire.is_laid = false;
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
        self.wire.is_laid = false;
    }

    /// Sends of what waits, `limit` messages at most: one sendmmsg(2), or a sendmsg(2) for each where that is refused, which
    /// never wait. Returns how many of them the kernel took, at least one, for [`SendBatch::advance`]; an error is the first one's.
    pub fn send(&mut self, fd: RawFd, limit: usize) -> io::Result<usize> {
        if !self.wire.is_laid {
            self.lay_out();
        }
        let count = (self.wire.count - self.wire.sent).min(limit);
        let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        // SAFETY: `count` headers over bytes, names and control data of the lengths they say, by pointers from the roots of
        // those; the kernel writes msg_len alone.
        unsafe { self.calls.send(fd, self.wire.headers.at(self.wire.sent), count, flags) }
    }

    /// Headers for the messages that wait, or for the datagrams of the first one.
    fn lay_out(&mut self) {
        let SendBatch { arena, buffers, plan, wire, done, split, .. } = self;
        let messages = &plan.messages()[done.0..];
        wire.clear();
        if !*split {
            for message in messages {
                let more = plan.more_runs(message).map(|run| vector(arena, buffers, run.extent));
                let first = vector(arena, buffers, message.first.extent);
                wire.add(first, more, message, plan.control(message), message.datagrams > 1);
            }
        } else if let Some(message) = messages.first() {
            for extent in plan.datagrams(message).skip(done.1).take(MESSAGES) {
                let (whole, no_more) = (vector(arena, buffers, extent), std::iter::empty());
                wire.add(whole, no_more, message, plan.control(message), false);
            }
        }
        wire.is_laid = true;
    }

    /// Counts `sent` messages as done with: sent, or given up. The answer is how many datagrams and bytes that were.
    pub fn advance(&mut self, sent: usize) -> (usize, usize) {
        self.wire.sent += sent;
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
            self.wire.is_laid = false;
        } else {
            self.done.1 += sent;
            self.wire.is_laid &= self.wire.sent < self.wire.count;
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
        self.wire.clear();
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
fn vector(arena: &ZeroedBytes, buffers: &Buffers, extent: Extent) -> libc::iovec {
    let Extent { start, len, in_place } = extent;
    let place = if in_place { buffers.piece(start, len) } else { arena.piece(start, len) };
    libc::iovec { iov_base: place.cast(), iov_len: len }
}

/// Message headers as sendmmsg(2) wants them.
#[derive(Debug)]
struct Wire {
    names: StableArray<[u8; NAME_SIZE], MESSAGES>,
    vectors: StableArray<libc::iovec, RUNS>,
    headers: StableArray<libc::mmsghdr, MESSAGES>,
    controls: StableArray<Control, MESSAGES>,
    count: usize,
    vectors_used: usize,
    sent: usize,
    is_laid: bool,
}

impl Default for Wire {
    fn default() -> Wire {
        let names = StableArray::from_fn(|_| [0; NAME_SIZE]);
        let vectors = StableArray::from_fn(|_| libc::iovec { iov_base: std::ptr::null_mut(), iov_len: 0 });
        let controls = StableArray::from_fn(|_| Control::EMPTY);
        let headers = StableArray::from_fn(|index| {
            let mut header = header(vectors.at(index), names.at(index));
            header.msg_hdr.msg_control = Control::place(controls.at(index));
            header
        });
        Wire { names, vectors, headers, controls, count: 0, vectors_used: 0, sent: 0, is_laid: false }
    }
}

impl Wire {
    fn clear(&mut self) {
        (self.count, self.vectors_used, self.sent, self.is_laid) = (0, 0, 0, false);
    }

    /// One more header. Without control data the kernel is shown none: old drivers choke on what is not needed.
    fn add(
        &mut self,
        first: libc::iovec,
        more: impl Iterator<Item = libc::iovec>,
        message: &GsoMessage,
        control: Option<&Control>,
        merged: bool,
    ) {
        let (index, begin) = (self.count, self.vectors_used);
        self.vectors[begin] = first;
        let mut count = 1;
        for (vector, place) in more.zip(&mut self.vectors[begin + 1..]) {
            *place = vector;
            count += 1;
        }
        let header = &mut self.headers[index].msg_hdr;
        (header.msg_iov, header.msg_iovlen) = (self.vectors.at(begin), count as _);
        self.vectors_used += count;
        let name = &mut self.names[index];
        header.msg_namelen = message.to.as_ref().map_or(0, |to| to.to_sockaddr(name) as u32);
        header.msg_controllen = 0;
        if merged || control.is_some() {
            let whole = &mut self.controls[index];
            *whole = control.copied().unwrap_or(Control::EMPTY);
            if merged {
                whole.add(libc::SOL_UDP, libc::UDP_SEGMENT, &(message.segment as u16).to_ne_bytes());
            }
            header.msg_controllen = whole.bytes().len() as _;
        }
        self.count += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::AppendCursor;

    fn to(port: u16) -> Addr {
        Addr::v4([192, 0, 2, 1], port)
    }

    /// What sendmmsg(2) does, by the pointers in the headers alone: where each message goes, and its bytes.
    fn play_kernel(send_batch: &SendBatch) -> Vec<(Addr, Vec<u8>)> {
        let wire = &send_batch.wire;
        let message = |index: usize| {
            // SAFETY: a header of the array, which nobody writes to.
            let header = unsafe { &(*wire.headers.at(index)).msg_hdr };
            let name = header.msg_name.cast::<u8>();
            // SAFETY: the header says how long the name is.
            let name = unsafe { std::slice::from_raw_parts(name, header.msg_namelen as usize) };
            // SAFETY: and how many vectors there are.
            let vectors = unsafe { std::slice::from_raw_parts(header.msg_iov, header.msg_iovlen as _) };
            let bytes = vectors.iter().flat_map(|vector| {
                // SAFETY: and how long each is.
                unsafe { std::slice::from_raw_parts(vector.iov_base.cast::<u8>(), vector.iov_len) }
            });
            (Addr::from_sockaddr(name).expect("an address"), bytes.copied().collect())
        };
        (wire.sent..wire.count).map(message).collect()
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
        assert_eq!(play_kernel(&send_batch), [(to(1), vec![1, 1, 3, 3, 4, 4]), (to(2), vec![2, 2])]);
    }
}
