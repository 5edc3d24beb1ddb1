//! The short way of a write: where the next datagram goes that follows the last one to where that went.

use crate::addr::Addr;
use std::cell::Cell;
use std::ops::Range;

/// Cells alone, so that every write may look at it without a borrow. It is shut unless a datagram was gathered that others
/// may follow. What was found out about that one holds for them, too: only connecting, a setter or a stop could change that,
/// and they send what was gathered first.
#[derive(Debug)]
pub struct AppendCursor {
    to: Cell<Addr>,
    /// Bytes of each datagram where they go to an address, and where they go to the peer; otherwise, and while the lane is
    /// shut, more than any datagram has.
    segment: Cell<usize>,
    segment_to_peer: Cell<usize>,
    /// Where the next one is put, or lies already.
    next: Cell<*mut u8>,
    /// Where the room for them begins and ends.
    begin: Cell<*mut u8>,
    end: Cell<*mut u8>,
    /// The room is among what was received: nothing is put there.
    in_place: Cell<bool>,
}

/// Where datagrams of one size may be put that follow the one pushed last, or lie already, with nothing more to ask.
#[derive(Debug)]
pub struct AppendSpace {
    /// Bytes of each of them, at least one.
    pub segment: usize,
    /// The piece of memory.
    pub memory: Range<*mut u8>,
    /// They lie there already.
    pub in_place: bool,
}

/// What was sent by a lane.
#[derive(Clone, Copy, Debug)]
pub struct Appended {
    /// Bytes of all datagrams together.
    pub bytes: usize,
    /// Bytes of each.
    pub segment: usize,
    /// They lay there.
    pub in_place: bool,
}

/// Who drops a port drops its lane, on whichever thread.
const _: () = assert!(!std::mem::needs_drop::<AppendCursor>());

impl Default for AppendCursor {
    fn default() -> AppendCursor {
        let nowhere = || Cell::new(std::ptr::null_mut());
        AppendCursor {
            to: Cell::new(Addr::UNSPECIFIED),
            segment: Cell::new(usize::MAX),
            segment_to_peer: Cell::new(usize::MAX),
            next: nowhere(),
            begin: nowhere(),
            end: nowhere(),
            in_place: Cell::new(false),
        }
    }
}

impl AppendCursor {
    /// The place of one more datagram, which lies at `data`: there already, or to be copied. None where it cannot follow the
    /// last one.
    #[inline(always)]
    pub fn try_append(&self, data: *const u8, len: usize, to: Option<&Addr>) -> Option<*mut u8> {
        let follows = match to {
            Some(to) => len == self.segment.get() && Addr::are_same(Some(&self.to.get()), Some(to)),
            None => len == self.segment_to_peer.get(),
        };
        let next = self.next.get();
        let after = next.wrapping_add(len);
        if !follows || after > self.end.get() || (next.cast_const() != data && self.in_place.get()) {
            return None;
        }
        self.next.set(after);
        Some(next)
    }

    /// Opens it for datagrams to `to`, none for the peer.
    #[inline]
    pub fn arm(&self, space: AppendSpace, to: Option<&Addr>) {
        match to {
            Some(to) => {
                self.segment.set(space.segment);
                self.to.set(*to);
            }
            None => self.segment_to_peer.set(space.segment),
        }
        self.next.set(space.memory.start);
        self.begin.set(space.memory.start);
        self.end.set(space.memory.end);
        self.in_place.set(space.in_place);
    }

    /// Shuts it; none where it was shut.
    #[inline]
    pub fn disarm(&self) -> Option<Appended> {
        let segment = self.segment.get().min(self.segment_to_peer.get());
        if segment == usize::MAX {
            return None;
        }
        self.segment.set(usize::MAX);
        self.segment_to_peer.set(usize::MAX);
        let bytes = self.next.get().addr() - self.begin.get().addr();
        Some(Appended { bytes, segment, in_place: self.in_place.get() })
    }
}
