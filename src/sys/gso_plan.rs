//! Which datagrams become one message: those to one destination, of one size and with the same control data, which the system
//! cuts again (UDP_SEGMENT, udp(7)). This is pure: the plan knows where bytes lie, and looks at none.

use super::{Control, SendMeta};
use crate::addr::Addr;

#[cfg(test)]
mod tests;

/// The most messages of one call.
pub(super) const MESSAGES: usize = 128;
/// The most runs of bytes that lie apart from each other.
pub(super) const RUNS: usize = 512;
/// Those of them that are not the first of a message.
const MORE_RUNS: usize = RUNS - MESSAGES;
/// The most bytes of one message: the longest payload of a datagram over IPv4.
const MESSAGE_MAX: usize = 65_507;
/// Slots of the table of destinations, a power of two.
const SLOTS: usize = 256;

/// How many datagrams of which size can be merged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GsoLimits {
    /// Datagrams in a message; 1 if none can be merged.
    pub segments: usize,
    /// Bytes of each of them.
    pub size: usize,
}

impl GsoLimits {
    /// Nothing can be merged.
    pub const NONE: GsoLimits = GsoLimits { segments: 1, size: 0 };
    /// The most that any kernel merges: UDP_MAX_SEGMENTS in linux/udp.h.
    pub const MAX: GsoLimits = GsoLimits { segments: 128, size: MESSAGE_MAX };
    /// UDP_MAX_SEGMENTS before Linux 6.10: every kernel that merges takes so many.
    pub const PROBED: usize = 64;

    /// What both allow.
    pub fn min(self, other: GsoLimits) -> GsoLimits {
        GsoLimits { segments: self.segments.min(other.segments), size: self.size.min(other.size) }
    }
}

/// Where a datagram goes, and how.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// None: the connected peer.
    pub to: Option<&'a Addr>,
    /// Control data and tag.
    pub meta: Option<&'a SendMeta>,
    /// What can be merged on the way there.
    pub limits: GsoLimits,
}

/// Bytes that lie together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) start: usize,
    pub(super) len: usize,
    /// They lie among what was received, not in the arena.
    pub(super) in_place: bool,
}

/// Bytes of a message that lie together, in the list of the message's runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct ExtentRun {
    pub(super) extent: Extent,
    /// The index of the message's next run in [`GsoPlan::more_runs`].
    next: Option<u16>,
}

/// One message: datagrams of `segment` bytes, of which only the last may be shorter.
#[derive(Clone, Copy, Debug)]
pub(super) struct GsoMessage {
    pub(super) to: Option<Addr>,
    /// An index in [`GsoPlan::controls`].
    control: Option<u16>,
    pub(super) segment: usize,
    pub(super) datagrams: usize,
    pub(super) bytes: usize,
    pub(super) first: ExtentRun,
    /// The last run, unless that is the first.
    last: Option<u16>,
    /// More may be appended.
    open: bool,
}

/// The tag of a datagram: the index of its message, and its own index in that.
#[derive(Clone, Copy, Debug)]
struct Tag {
    message: u16,
    datagram: u16,
    tag: u64,
}

/// The end of the message that the datagram pushed last is in, if more may be appended to it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tail<'a> {
    pub(super) to: Option<&'a Addr>,
    /// Bytes of each datagram, at least one.
    pub(super) segment: usize,
    /// How many more the message takes.
    pub(super) datagrams: usize,
    /// The message's last run.
    pub(super) extent: Extent,
}

/// Messages in the order in which they leave.
#[derive(Debug)]
pub(super) struct GsoPlan {
    messages: Vec<GsoMessage>,
    /// The runs that are not the first of a message.
    more_runs: Vec<ExtentRun>,
    controls: Vec<Control>,
    /// Of the datagrams that have one, in the order in which they were pushed.
    tags: Vec<Tag>,
    /// The message of the datagram pushed last.
    latest: usize,
    /// That datagram is in the message of the one before.
    follows: bool,
    /// A hash table with open addressing: for each destination the youngest message that goes there, counted from 1.
    slots: Box<[u8; SLOTS]>,
    /// Only neighbours are merged.
    in_order: bool,
}

const _: () = assert!(MESSAGES < u8::MAX as usize && 2 * MESSAGES <= SLOTS && RUNS < u16::MAX as usize);

impl Default for GsoPlan {
    fn default() -> GsoPlan {
        GsoPlan {
            messages: Vec::with_capacity(MESSAGES),
            more_runs: Vec::with_capacity(MORE_RUNS),
            controls: Vec::with_capacity(MESSAGES),
            tags: Vec::new(),
            latest: 0,
            follows: false,
            slots: Box::new([0; SLOTS]),
            in_order: false,
        }
    }
}

impl GsoPlan {
    /// True if `datagrams` more certainly fit.
    pub(super) fn has_room(&self, datagrams: usize) -> bool {
        MESSAGES - self.messages.len() >= datagrams && MORE_RUNS - self.more_runs.len() >= datagrams
    }

    /// Adds a datagram whose bytes lie there.
    #[inline(always)]
    pub(super) fn push(&mut self, extent: Extent, target: Target<'_>) {
        let slot = hash(target.to);
        // Most often the first one to a destination, and the caller has its fields at hand.
        if self.slots[slot] == 0 && target.meta.is_none() {
            self.begin(extent, target.to, slot, None);
        } else {
            self.place(slot, extent, target);
        }
    }

    #[inline(never)]
    fn place(&mut self, slot: usize, extent: Extent, target: Target<'_>) {
        self.append_or_begin(slot, extent, target, target.meta.and_then(SendMeta::control));
        if let Some(meta) = target.meta {
            self.note_tag(meta.tag);
        }
    }

    #[inline(always)]
    fn append_or_begin(
        &mut self,
        mut slot: usize,
        extent: Extent,
        target: Target<'_>,
        control: Option<&Control>,
    ) {
        // At least half of the slots are empty.
        while let Some(index) = usize::from(self.slots[slot]).checked_sub(1) {
            if self.messages[index].is_to(target.to) {
                if self.can_append(index, extent.len, target.limits, control) {
                    return self.append(index, extent);
                }
                break;
            }
            slot = (slot + 1) % SLOTS;
        }
        self.begin(extent, target.to, slot, control);
    }

    /// True if the datagram pushed last went to the same destination and has the same bytes.
    pub(super) fn repeats(&self, extent: Extent, to: Option<&Addr>) -> bool {
        let Some(message) = self.messages.get(self.latest).filter(|message| message.is_to(to)) else {
            return false;
        };
        let last = self.last_run(message).extent;
        last.in_place == extent.in_place && last.start + last.len == extent.start + extent.len
    }

    /// True if the datagram pushed last is in the message of the one before.
    pub(super) fn follows(&self) -> bool {
        self.follows
    }

    /// Where datagrams may be appended to the one pushed last without any further check; none if no other can follow it.
    #[inline]
    pub(super) fn tail(&self, limits: GsoLimits) -> Option<Tail<'_>> {
        let message = self.messages.get(self.latest)?;
        let GsoMessage { segment, datagrams, bytes, .. } = *message;
        if !message.open || segment > limits.size || message.control.is_some() {
            return None;
        }
        let datagrams = limits.segments.saturating_sub(datagrams).min((MESSAGE_MAX - bytes) / segment);
        Some(Tail { to: message.to.as_ref(), segment, datagrams, extent: self.last_run(message).extent })
    }

    /// Adds datagrams of the size of the one pushed last, which lie behind it: `bytes` in all. Returns how many they are.
    pub(super) fn append_run(&mut self, bytes: usize) -> usize {
        let Some(message) = self.messages.get_mut(self.latest) else { return 0 };
        let datagrams = bytes / message.segment.max(1);
        message.datagrams += datagrams;
        message.bytes += bytes;
        last_run_mut(message, &mut self.more_runs).extent.len += bytes;
        datagrams
    }

    /// Keeps the order in which datagrams are pushed, whatever their destinations, until the plan is cleared.
    pub(super) fn keep_order(&mut self) {
        self.in_order = true;
    }

    fn can_append(&self, index: usize, len: usize, limits: GsoLimits, control: Option<&Control>) -> bool {
        let message = &self.messages[index];
        let in_order = !self.in_order || index + 1 == self.messages.len();
        in_order && self.control(message) == control && message.admits(len, limits)
    }

    /// The control data of each datagram of a message.
    pub(super) fn control(&self, message: &GsoMessage) -> Option<&Control> {
        message.control.map(|index| &self.controls[usize::from(index)])
    }

    /// Remembers the tag of the datagram pushed last. Without memory it has none.
    #[inline(never)]
    fn note_tag(&mut self, tag: u64) {
        let Some(message) = self.messages.get(self.latest) else { return };
        if tag != 0 && self.tags.try_reserve(1).is_ok() {
            let (message, datagram) = (self.latest as u16, (message.datagrams - 1) as u16);
            self.tags.push(Tag { message, datagram, tag });
        }
    }

    /// The tags in the message with this index, each with the index of its datagram, in order.
    pub(super) fn tags(&self, message: usize) -> impl Iterator<Item = (usize, u64)> + use<'_> {
        let of_message = move |tag: &&Tag| usize::from(tag.message) == message;
        self.tags.iter().filter(of_message).map(|tag| (tag.datagram.into(), tag.tag))
    }

    fn append(&mut self, index: usize, extent: Extent) {
        self.follows = self.latest == index;
        self.latest = index;
        let message = &mut self.messages[index];
        message.grow(extent.len);
        let more = self.more_runs.len() as u16;
        let last = last_run_mut(message, &mut self.more_runs);
        if last.extent.ends_at(extent) {
            last.extent.len += extent.len;
        } else {
            last.next = Some(more);
            message.last = Some(more);
            self.more_runs.push(ExtentRun { extent, next: None });
        }
    }

    #[inline(always)]
    fn begin(&mut self, extent: Extent, to: Option<&Addr>, slot: usize, control: Option<&Control>) {
        (self.latest, self.follows) = (self.messages.len(), false);
        self.messages.push(GsoMessage {
            to: to.copied(),
            control: control.map(|_| self.controls.len() as u16),
            segment: extent.len,
            datagrams: 1,
            bytes: extent.len,
            first: ExtentRun { extent, next: None },
            last: None,
            open: extent.len > 0,
        });
        if let Some(control) = control {
            self.controls.push(*control);
        }
        self.slots[slot] = self.messages.len() as u8;
    }

    fn last_run<'a>(&'a self, message: &'a GsoMessage) -> &'a ExtentRun {
        message.last.map_or(&message.first, |index| &self.more_runs[usize::from(index)])
    }

    pub(super) fn messages(&self) -> &[GsoMessage] {
        &self.messages
    }

    /// The bytes of a message, run by run.
    pub(super) fn runs<'a>(
        &'a self,
        message: &'a GsoMessage,
    ) -> impl Iterator<Item = &'a ExtentRun> + use<'a> {
        std::iter::once(&message.first).chain(self.more_runs(message))
    }

    /// The runs behind [`GsoMessage::first`].
    pub(super) fn more_runs<'a>(
        &'a self,
        message: &GsoMessage,
    ) -> impl Iterator<Item = &'a ExtentRun> + use<'a> {
        let run = |index: u16| &self.more_runs[usize::from(index)];
        std::iter::successors(message.first.next.map(run), move |last| last.next.map(run))
    }

    /// The datagrams of a message: where each lies.
    pub(super) fn datagrams<'a>(&'a self, message: &'a GsoMessage) -> impl Iterator<Item = Extent> + use<'a> {
        let (segment, empty) = (message.segment.max(1), message.bytes == 0);
        let cut = move |run: &ExtentRun| {
            let (extent, end) = (run.extent, run.extent.start + run.extent.len);
            let piece = move |start| Extent { start, len: segment.min(end - start), ..extent };
            (extent.start..end).step_by(segment).map(piece)
        };
        let nothing = empty.then_some(message.first.extent);
        nothing.into_iter().chain(self.runs(message).flat_map(cut))
    }

    pub(super) fn clear(&mut self) {
        self.messages.clear();
        self.slots.fill(0);
        self.more_runs.clear();
        self.controls.clear();
        self.tags.clear();
        self.in_order = false;
    }
}

impl Extent {
    /// True if the other one lies right behind it.
    fn ends_at(&self, other: Extent) -> bool {
        self.start + self.len == other.start && self.in_place == other.in_place
    }
}

fn last_run_mut<'a>(message: &'a mut GsoMessage, more_runs: &'a mut [ExtentRun]) -> &'a mut ExtentRun {
    match message.last {
        None => &mut message.first,
        Some(index) => &mut more_runs[usize::from(index)],
    }
}

impl GsoMessage {
    #[inline]
    fn is_to(&self, to: Option<&Addr>) -> bool {
        Addr::are_identical(self.to.as_ref(), to)
    }

    fn grow(&mut self, len: usize) {
        self.datagrams += 1;
        self.bytes += len;
        self.open = len == self.segment;
    }

    /// Only the last datagram of a message may be shorter, and none may be empty.
    #[inline]
    fn admits(&self, len: usize, limits: GsoLimits) -> bool {
        self.open
            && (1..=self.segment.min(limits.size)).contains(&len)
            && self.segment <= limits.size
            && self.datagrams < limits.segments
            && self.bytes + len <= MESSAGE_MAX
    }
}

/// The slot at which the search for a destination begins.
fn hash(to: Option<&Addr>) -> usize {
    let Some(to) = to else { return 0 };
    let [a, b, c, d, .., w, x, y, z] = to.bytes;
    let words = u32::from_ne_bytes([a, b, c, d]) ^ u32::from_ne_bytes([w, x, y, z]);
    let mixed = (words ^ u32::from(to.port) << 8).wrapping_mul(0x9e37_79b1);
    (mixed >> 24) as usize % SLOTS
}
