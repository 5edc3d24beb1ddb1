//! Sending many datagrams at once. Those that go to one destination become one message, which the system cuts again; all messages
//! leave by few calls.

use super::append_cursor::AppendCursor;
use super::buffers::Buffers;
use super::gso_plan::{Extent, GsoLimits, GsoMessage, GsoPlan, MESSAGES, Target};
use super::imp::SendHeaders;
use super::memory::ZeroedBytes;
use super::{Handle, Unsent};
use crate::addr::Addr;
use std::io;
use std::rc::Rc;
use std::sync::Arc;

#[cfg(test)]
mod tests;

/// Bytes of the arena: four messages of the largest size.
const ARENA: usize = 256 * 1024;
/// A shorter datagram is copied: a run of bytes apart from the others costs more.
const IN_PLACE_MIN: usize = 512;
/// The least that a datagram is charged, in bytes: an empty one needs memory, too.
const CHARGE_MIN: usize = 64;

/// What `len` bytes in `datagrams` datagrams are charged against the limit of a queue.
pub fn charge(len: usize, datagrams: usize) -> usize {
    len.max(datagrams.saturating_mul(CHARGE_MIN))
}

/// Datagrams of one port that leave together.
///
/// They are pushed first, and sent then. While they are gathered, the writer's [`AppendCursor`] may add datagrams without a borrow
/// of this object, which accounts for them in the next call that adds or sends anything.
#[derive(Debug)]
pub struct SendBatch {
    /// The bytes of the datagrams, except those that are sent from where they were received.
    arena: ZeroedBytes,
    /// Bytes of the arena that are used.
    filled: usize,
    /// What was received.
    buffers: Rc<Buffers>,
    plan: GsoPlan,
    headers: SendHeaders,
    layout: Layout,
    /// Messages that are sent or given up.
    done: usize,
    /// The cursor of the port that gathers.
    cursor: Option<Arc<AppendCursor>>,
    /// Something was appended the last time that the cursor was armed.
    expect_more: bool,
    /// What the datagrams are charged, and the limit to that.
    charged: usize,
    charge_limit: usize,
}

/// What the headers are laid out for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Layout {
    /// Nothing yet.
    Unknown,
    /// Messages that are not done, the next one first.
    Messages,
    /// The datagrams of the first message that is not done, since the system has not taken it whole. So many of them are done.
    Datagrams { done: usize },
}

impl SendBatch {
    /// An empty one, which can send from these buffers.
    pub fn new(buffers: Rc<Buffers>) -> SendBatch {
        SendBatch {
            arena: ZeroedBytes::new(ARENA),
            filled: 0,
            buffers,
            plan: GsoPlan::default(),
            headers: SendHeaders::default(),
            layout: Layout::Unknown,
            done: 0,
            cursor: None,
            expect_more: true,
            charged: 0,
            charge_limit: usize::MAX,
        }
    }

    /// Begins to gather the datagrams of a port, which are charged `charge_limit` at most.
    pub fn gather(&mut self, cursor: Arc<AppendCursor>, charge_limit: usize) {
        self.cursor = Some(cursor);
        self.charge_limit = charge_limit;
        self.expect_more = true;
    }

    /// Sends the datagrams in the order in which they are pushed, whatever their destinations, until it is cleared.
    pub fn keep_order(&mut self) {
        self.plan.keep_order();
    }

    /// True if `len` more bytes certainly fit as `datagrams` datagrams.
    #[inline(always)]
    pub fn has_room(&mut self, len: usize, datagrams: usize) -> bool {
        self.commit_appended();
        self.plan.has_room(datagrams)
            && ARENA - self.filled >= len
            && self.charged + charge(len, datagrams) <= self.charge_limit
    }

    /// Adds `len` bytes that `fill` writes: one datagram or, if `segment` is not 0, as many of that size as they make, the last of
    /// which may be shorter. The caller has asked [`SendBatch::has_room`].
    #[inline(always)]
    pub fn push(&mut self, len: usize, segment: usize, target: Target<'_>, fill: impl FnOnce(&mut [u8])) {
        let whole = Extent { start: self.filled, len, in_place: false };
        fill(self.arena.slice_mut(self.filled, len));
        self.filled += len;
        if segment == 0 || segment >= len {
            self.push_extent(whole, target);
        } else {
            self.push_cut(whole, segment, target);
        }
    }

    #[inline(never)]
    fn push_cut(&mut self, whole: Extent, segment: usize, target: Target<'_>) {
        let end = whole.start + whole.len;
        for start in (whole.start..end).step_by(segment) {
            self.push_extent(Extent { start, len: segment.min(end - start), ..whole }, target);
        }
    }

    /// Adds `data` as one datagram that is sent from where it was received. Returns false, and does nothing, if the datagram has
    /// to be copied.
    #[inline(always)]
    pub fn push_in_place(&mut self, data: &[u8], target: Target<'_>) -> bool {
        data.len() >= IN_PLACE_MIN && self.push_found(data, target)
    }

    #[inline(never)]
    fn push_found(&mut self, data: &[u8], target: Target<'_>) -> bool {
        let found = self.buffers.find(data.as_ptr(), data.len());
        // Copies of one datagram that go to one destination are one run of bytes only if they are copied.
        match found.filter(|extent| !self.plan.repeats(*extent, target.to)) {
            Some(extent) => self.push_extent(extent, target),
            None => return false,
        }
        true
    }

    #[inline(always)]
    fn push_extent(&mut self, extent: Extent, target: Target<'_>) {
        self.charged += charge(extent.len, 1);
        self.layout = Layout::Unknown;
        self.plan.push(extent, target);
    }

    /// Lets the cursor append others to the datagram pushed last if they can be expected. They have the same destination and size,
    /// and no control data.
    #[inline(always)]
    pub fn arm_cursor(&mut self, limits: GsoLimits) {
        if self.expect_more || self.plan.follows() {
            self.arm_at_tail(limits);
        }
    }

    #[inline]
    fn arm_at_tail(&mut self, limits: GsoLimits) {
        let (Some(cursor), Some(tail)) = (&self.cursor, self.plan.tail(limits)) else { return };
        let (each, left) = (charge(tail.segment, 1), self.charge_limit.saturating_sub(self.charged));
        // Few limits are so close that they have to be divided.
        let datagrams = if left < each * tail.datagrams { left / each } else { tail.datagrams };
        let Extent { start, len, in_place } = tail.extent;
        let (place, left) = if in_place {
            (self.buffers.at(start + len), self.buffers.merged_behind(start + len))
        } else {
            (self.arena.at(self.filled), ARENA - self.filled)
        };
        let end = place.wrapping_add(left.min(datagrams * tail.segment));
        cursor.arm(tail.to, tail.segment, place..end, in_place);
    }

    /// Disarms the cursor, and accounts for what was appended by it.
    #[inline]
    fn commit_appended(&mut self) {
        let Some(cursor) = &self.cursor else { return };
        let Some(bytes) = cursor.disarm() else { return };
        self.expect_more = bytes > 0;
        if self.expect_more {
            self.charged += charge(bytes, self.plan.append_run(bytes));
            self.filled += if cursor.is_in_place() { 0 } else { bytes };
        }
    }

    /// What the datagrams are charged. The cursor stays armed.
    pub fn charged(&self) -> usize {
        let appended = self.cursor.as_ref().and_then(|cursor| cursor.appended());
        self.charged + appended.map_or(0, |(bytes, segment)| charge(bytes, bytes / segment.max(1)))
    }

    /// Ends the gathering: only what follows is called then, until it is cleared.
    pub fn finish(&mut self) {
        self.commit_appended();
        self.cursor = None;
    }

    /// True if nothing waits to be sent.
    pub fn is_done(&self) -> bool {
        self.done == self.plan.messages().len()
    }

    /// Messages that wait to be sent.
    pub fn messages(&self) -> usize {
        self.rest().len()
    }

    /// Datagrams that wait to be sent.
    pub fn pending(&self) -> usize {
        self.rest().iter().map(|message| message.datagrams).sum::<usize>() - self.split_done()
    }

    /// What the datagrams that wait to be sent are charged.
    pub fn pending_charge(&self) -> usize {
        charge(self.unsent().map(|datagram| datagram.data.len()).sum(), self.pending())
    }

    /// The datagrams that wait to be sent, in order.
    pub fn unsent(&self) -> impl Iterator<Item = Unsent<'_>> {
        let datagrams = self.rest().iter().zip(self.done..).flat_map(move |(message, index)| {
            let (to, control) = (message.to.as_ref(), self.plan.control(message));
            let mut tags = self.plan.tags(index).peekable();
            self.plan.datagrams(message).enumerate().map(move |(number, extent)| {
                let tag = tags.next_if(|(tagged, _)| *tagged == number).map_or(0, |(_, tag)| tag);
                Unsent { data: self.bytes(extent), to, control, tag }
            })
        });
        datagrams.skip(self.split_done())
    }

    fn rest(&self) -> &[GsoMessage] {
        &self.plan.messages()[self.done..]
    }

    /// Datagrams of the first message of the rest that are done.
    fn split_done(&self) -> usize {
        if let Layout::Datagrams { done } = self.layout { done } else { 0 }
    }

    fn bytes(&self, extent: Extent) -> &[u8] {
        let Extent { start, len, in_place } = extent;
        if in_place { self.buffers.slice(start, len) } else { self.arena.slice(start, len) }
    }

    /// The next message: how many datagrams of which size it is, if it is more than one and leaves whole.
    pub fn merged(&self) -> Option<GsoLimits> {
        let is_split = matches!(self.layout, Layout::Datagrams { .. });
        let message = self.rest().first().filter(|message| message.datagrams > 1 && !is_split)?;
        Some(GsoLimits { segments: message.datagrams, size: message.segment })
    }

    /// True if the next message is merged of datagrams of which some have a tag.
    pub fn is_merged_with_tags(&self) -> bool {
        self.merged().is_some() && self.plan.tags(self.done).next().is_some()
    }

    /// Where the next message goes; none for the peer, and if nothing waits.
    pub fn destination(&self) -> Option<Addr> {
        self.rest().first().and_then(|message| message.to)
    }

    /// When the next message should leave, if it has an instant.
    pub fn send_at(&self) -> Option<u64> {
        self.rest().first().and_then(|message| self.plan.control(message)?.send_at())
    }

    /// Sends the next message datagram by datagram.
    pub fn split(&mut self) {
        self.layout = Layout::Datagrams { done: 0 };
        self.headers.clear();
    }

    /// If the next message has a TTL of 0 for IPv4, the next call sends this message alone, and without the TTL. Otherwise returns
    /// false, and does nothing.
    pub fn isolate_zero_ttl(&mut self) -> bool {
        self.headers.isolate_zero_ttl()
    }

    /// The next call sends what waits as it was pushed.
    pub fn lay_out_again(&mut self) {
        self.headers.clear();
    }

    /// Sends at most `limit` of the messages that wait, or of the next one's datagrams if it is split, without waiting. Returns how
    /// many the system took, at least one, for [`SendBatch::advance`].
    ///
    /// # Errors
    /// The first one's.
    pub fn send(&mut self, socket: Handle, limit: usize) -> io::Result<usize> {
        debug_assert!(self.cursor.is_none(), "the gathering has ended");
        match self.layout {
            Layout::Unknown => self.lay_out_messages(),
            _ if !self.headers.is_empty() => {}
            Layout::Messages => self.lay_out_messages(),
            Layout::Datagrams { done } => self.lay_out_datagrams(done),
        }
        // SAFETY: all that was pushed lies in the arena and in the buffers, which this object owns.
        unsafe { self.headers.send(socket, limit) }
    }

    fn lay_out_messages(&mut self) {
        let SendBatch { arena, buffers, plan, headers, .. } = self;
        headers.clear();
        for message in &plan.messages()[self.done..] {
            headers.add(memory(arena, buffers, message.first.extent), message.to.as_ref());
            let (control, is_merged) = (plan.control(message), message.datagrams > 1);
            if is_merged || control.is_some() {
                let more = plan.more_runs(message).map(|run| memory(arena, buffers, run.extent));
                headers.extend(more, control, is_merged.then_some(message.segment));
            }
        }
        self.layout = Layout::Messages;
    }

    #[cold]
    fn lay_out_datagrams(&mut self, done: usize) {
        let SendBatch { arena, buffers, plan, headers, .. } = self;
        headers.clear();
        let Some(message) = plan.messages().get(self.done) else { return };
        for extent in plan.datagrams(message).skip(done).take(MESSAGES) {
            headers.add(memory(arena, buffers, extent), message.to.as_ref());
            if let Some(control) = plan.control(message) {
                headers.extend(std::iter::empty(), Some(control), None);
            }
        }
    }

    /// Counts the next `sent` messages, or datagrams of a message that is split, as done: sent, or given up. Returns how many
    /// datagrams and bytes they are.
    pub fn advance(&mut self, sent: usize) -> (usize, usize) {
        self.headers.advance(sent);
        if let Layout::Datagrams { done } = self.layout {
            return self.advance_split(done, sent);
        }
        let messages = &self.rest()[..sent.min(self.messages())];
        let sums = messages.iter().fold((0, 0), |sums, it| (sums.0 + it.datagrams, sums.1 + it.bytes));
        self.done += messages.len();
        sums
    }

    fn advance_split(&mut self, done: usize, sent: usize) -> (usize, usize) {
        let Some(message) = self.rest().first() else { return (0, 0) };
        let bytes = self.plan.datagrams(message).skip(done).take(sent).map(|extent| extent.len).sum();
        if done + sent < message.datagrams {
            self.layout = Layout::Datagrams { done: done + sent };
        } else {
            self.done += 1;
            self.layout = Layout::Unknown;
        }
        (sent, bytes)
    }

    /// How many datagrams are given up by [`SendBatch::skip`]: one if the next message is split, otherwise all of the message's.
    pub fn next_count(&self) -> usize {
        let is_split = matches!(self.layout, Layout::Datagrams { .. });
        self.rest().first().map_or(0, |message| if is_split { 1 } else { message.datagrams })
    }

    /// Gives up the next message, or the next datagram of a message that is split.
    pub fn skip(&mut self) {
        self.advance(1);
    }

    /// Forgets all datagrams.
    pub fn clear(&mut self) {
        self.finish();
        self.plan.clear();
        self.headers.clear();
        self.layout = Layout::Unknown;
        (self.filled, self.done, self.charged, self.charge_limit) = (0, 0, 0, usize::MAX);
    }
}

impl Drop for SendBatch {
    /// The cursor outlives the arena.
    fn drop(&mut self) {
        self.finish();
    }
}

/// The bytes of an extent, for the system, which only reads them.
#[inline]
fn memory(arena: &ZeroedBytes, buffers: &Buffers, extent: Extent) -> *const [u8] {
    let Extent { start, len, in_place } = extent;
    let place = if in_place { buffers.piece(start, len) } else { arena.piece(start, len) };
    std::ptr::slice_from_raw_parts(place, len)
}
