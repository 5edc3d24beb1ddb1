//! The fast path of consecutive writes to one destination: a cursor into the open message of a [`SendBatch`](super::SendBatch).

use crate::addr::Addr;
use std::cell::Cell;
use std::ops::Range;

/// Where a datagram goes that may be appended to the one pushed last.
///
/// It consists of `Cell`s, so that a write can use it without borrowing the port. It is armed only while the datagram pushed last
/// may be extended. The checks of that datagram's destination hold for the next one, too: only connecting, a setter or a stop
/// could change their result, and these send what was gathered first, which disarms the cursor.
#[derive(Debug)]
pub struct AppendCursor {
    to: Cell<Addr>,
    /// The size of each datagram, if they go to an address, and if they go to the peer. Otherwise, and while the cursor is not
    /// armed, more than any datagram has.
    segment: Cell<usize>,
    segment_to_peer: Cell<usize>,
    /// Where the next datagram is copied to, or lies already.
    next: Cell<*mut u8>,
    /// Where the memory for appended datagrams begins and ends.
    begin: Cell<*mut u8>,
    end: Cell<*mut u8>,
    /// The memory is that of received datagrams: they are sent from where they lie.
    in_place: Cell<bool>,
}

/// A port may be dropped on any thread, and its cursor with it.
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
    /// Appends a datagram of `len` bytes at `data`, and returns the place that they have to be copied to, which is `data` if they
    /// are sent from where they lie. Returns none, and does nothing, if the datagram cannot be appended.
    #[inline(always)]
    pub fn try_append(&self, data: *const u8, len: usize, to: Option<&Addr>) -> Option<*mut u8> {
        let follows = match to {
            Some(to) => len == self.segment.get() && Addr::are_identical(Some(&self.to.get()), Some(to)),
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

    /// Lets datagrams of `segment` bytes, at least one, be appended that go to `to`, none for the peer.
    #[inline]
    pub(super) fn arm(&self, to: Option<&Addr>, segment: usize, memory: Range<*mut u8>, in_place: bool) {
        match to {
            Some(to) => {
                self.segment.set(segment);
                self.to.set(*to);
            }
            None => self.segment_to_peer.set(segment),
        }
        self.next.set(memory.start);
        self.begin.set(memory.start);
        self.end.set(memory.end);
        self.in_place.set(in_place);
    }

    /// Returns how many bytes were appended since the cursor was armed; none if it was not armed.
    #[inline]
    pub(super) fn disarm(&self) -> Option<usize> {
        let (bytes, _) = self.appended()?;
        self.segment.set(usize::MAX);
        self.segment_to_peer.set(usize::MAX);
        Some(bytes)
    }

    /// How many bytes were appended since the cursor was armed, and the size of each datagram of them; none if it is not armed.
    #[inline]
    pub(super) fn appended(&self) -> Option<(usize, usize)> {
        let segment = self.segment.get().min(self.segment_to_peer.get());
        if segment == usize::MAX {
            return None;
        }
        Some((self.next.get().addr() - self.begin.get().addr(), segment))
    }

    /// True if what was appended lies among what was received.
    #[inline]
    pub(super) fn is_in_place(&self) -> bool {
        self.in_place.get()
    }
}
