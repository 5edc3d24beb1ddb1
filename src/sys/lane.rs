//! The short way of a write: where the next datagram goes that follows the last one to where that went.

use super::gather::Room;
use crate::addr::Addr;
use std::cell::Cell;

/// Cells alone, so that every write may look at it without a borrow. It is shut unless a datagram was gathered that others
/// may follow. What was found out about that one holds for them, too: only connecting, a setter or a stop could change that,
/// and they send what was gathered first.
#[derive(Debug)]
pub struct Lane {
    to: Cell<Addr>,
    /// Bytes of each datagram where they go to an address, and where they go to the peer; otherwise, and while the lane is
    /// shut, more than any datagram has.
    segment: Cell<usize>,
    segment_to_peer: Cell<usize>,
    /// Where in the arena the next one is put.
    place: Cell<*mut u8>,
    /// Where the arena's room for them begins and ends.
    begin: Cell<*mut u8>,
    end: Cell<*mut u8>,
}

/// Who drops a port drops its lane, on whichever thread.
const _: () = assert!(!std::mem::needs_drop::<Lane>());

impl Default for Lane {
    fn default() -> Lane {
        let nowhere = || Cell::new(std::ptr::null_mut());
        Lane {
            to: Cell::new(Addr::UNSPECIFIED),
            segment: Cell::new(usize::MAX),
            segment_to_peer: Cell::new(usize::MAX),
            place: nowhere(),
            begin: nowhere(),
            end: nowhere(),
        }
    }
}

impl Lane {
    /// The place of one more datagram; none where it cannot follow the last one.
    #[inline(always)]
    pub fn take(&self, len: usize, to: Option<&Addr>) -> Option<*mut u8> {
        let follows = match to {
            Some(to) => len == self.segment.get() && is_same(&self.to, to),
            None => len == self.segment_to_peer.get(),
        };
        let place = self.place.get();
        let next = place.wrapping_add(len);
        if !follows || next > self.end.get() {
            return None;
        }
        self.place.set(next);
        Some(place)
    }

    /// Opens it for datagrams to `to`, none for the peer.
    #[inline]
    pub fn open(&self, room: Room, to: Option<&Addr>) {
        match to {
            Some(to) => {
                self.segment.set(room.segment);
                self.to.set(*to);
            }
            None => self.segment_to_peer.set(room.segment),
        }
        self.place.set(room.place.start);
        self.begin.set(room.place.start);
        self.end.set(room.place.end);
    }

    /// Shuts it. The answer is the size of the datagrams that were put there, and their bytes in all; none where it was
    /// shut.
    #[inline]
    pub fn shut(&self) -> Option<(usize, usize)> {
        let segment = self.segment.get().min(self.segment_to_peer.get());
        if segment == usize::MAX {
            return None;
        }
        self.segment.set(usize::MAX);
        self.segment_to_peer.set(usize::MAX);
        Some((segment, self.place.get().addr() - self.begin.get().addr()))
    }
}

/// The same bit by bit, which is more than equal, in few instructions.
#[inline]
fn is_same(one: &Cell<Addr>, other: &Addr) -> bool {
    // SAFETY: an address is 32 bytes without padding (repr(C), its size is asserted), and nothing writes to it while this
    // looks.
    let one = unsafe { &*one.as_ptr().cast::<[u8; size_of::<Addr>()]>() };
    // SAFETY: as above.
    let other = unsafe { &*std::ptr::from_ref(other).cast::<[u8; size_of::<Addr>()]>() };
    one == other
}
