//! The short way of a write: where the next datagram goes that follows the last one to where that went.

use crate::addr::Addr;
use crate::sys::Room;
use std::cell::Cell;

/// Cells alone, so that every write may look at it without a borrow. It is shut unless a datagram was gathered that others
/// may follow. What was found out about that one holds for them, too: only connecting, a setter or a stop could change that,
/// and they send what was gathered first.
#[derive(Debug)]
pub(super) struct Lane {
    /// Bytes of each datagram; none is as long while the lane is shut.
    segment: Cell<usize>,
    /// Where they go, none for the peer.
    to: Cell<Option<Addr>>,
    /// Where in the arena the next one is put.
    place: Cell<*mut u8>,
    /// Where the arena's room for them begins and ends.
    bounds: Cell<(*mut u8, *mut u8)>,
}

/// Who drops a port drops its lane, on whichever thread.
const _: () = assert!(!std::mem::needs_drop::<Lane>());

impl Default for Lane {
    fn default() -> Lane {
        let nowhere = std::ptr::null_mut();
        Lane {
            segment: Cell::new(usize::MAX),
            to: Cell::default(),
            place: Cell::new(nowhere),
            bounds: Cell::new((nowhere, nowhere)),
        }
    }
}

impl Lane {
    /// The place of one more datagram; none where it cannot follow the last one.
    #[inline(always)]
    pub(super) fn take(&self, len: usize, to: Option<&Addr>) -> Option<*mut u8> {
        if len != self.segment.get() || !Addr::are_same(self.to.get().as_ref(), to) {
            return None;
        }
        let place = self.place.get();
        let next = place.wrapping_add(len);
        if next > self.bounds.get().1 {
            return None;
        }
        self.place.set(next);
        Some(place)
    }

    /// Opens it for datagrams to `to`.
    #[inline]
    pub(super) fn open(&self, room: Room, to: Option<&Addr>) {
        self.segment.set(room.segment);
        self.to.set(to.copied());
        self.place.set(room.place.start);
        self.bounds.set((room.place.start, room.place.end));
    }

    /// Shuts it. The answer is the size of the datagrams that were put there, and their bytes in all.
    #[inline]
    pub(super) fn shut(&self) -> (usize, usize) {
        let begin = self.bounds.get().0;
        let put = self.place.replace(begin).addr() - begin.addr();
        (self.segment.replace(usize::MAX), put)
    }
}
