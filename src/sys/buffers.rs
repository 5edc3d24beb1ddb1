//! The memory that a reactor's ports receive into, one port at a time. Merged datagrams can be sent on from there.

use super::gso_plan::Extent;
use super::memory::ZeroedBytes;
use std::cell::Cell;

/// The most messages that one recvmmsg(2) may fill.
pub const MESSAGES_MAX: usize = 64;
/// Bytes of one buffer: the longest payload that the length field of UDP allows (RFC 768), and one more. Merged
/// datagrams are no longer than that either, however many they are (udp_gro_receive in net/ipv4/udp_offload.c).
pub(super) const BUFFER_SIZE: usize = 65_536;
/// The distance of two buffers. Without the additional cache line all of them would begin in the same set of the cache.
const STRIDE: usize = BUFFER_SIZE + 64;

/// A buffer for each message. Memory is used only for what is written to.
#[derive(Debug)]
pub struct Buffers {
    bytes: ZeroedBytes,
    /// How many bytes of merged datagrams each buffer has.
    merged: [Cell<u32>; MESSAGES_MAX],
}

impl Default for Buffers {
    fn default() -> Buffers {
        let bytes = ZeroedBytes::new(MESSAGES_MAX * STRIDE);
        Buffers { bytes, merged: [const { Cell::new(0) }; MESSAGES_MAX] }
    }
}

impl Buffers {
    /// Where the buffer of a message begins.
    pub(super) fn place(&self, message: usize) -> *mut u8 {
        self.at(message * STRIDE)
    }

    /// Notes that a message is `bytes` bytes of merged datagrams, or 0 if it is a single datagram.
    pub(super) fn set_merged(&self, message: usize, bytes: usize) {
        self.merged[message].set(bytes as u32);
    }

    /// Where `len` bytes at `data` lie in this memory, if they are merged datagrams. They stay unchanged until the dispatch ends,
    /// and what was gathered is sent before that.
    pub(super) fn find(&self, data: *const u8, len: usize) -> Option<Extent> {
        let start = data.addr().checked_sub(self.at(0).addr())?;
        (1..=self.merged_behind(start)).contains(&len).then_some(Extent { start, len, in_place: true })
    }

    /// How many bytes of merged datagrams lie from there on.
    pub(super) fn merged_behind(&self, start: usize) -> usize {
        let merged = self.merged.get(start / STRIDE).map_or(0, Cell::get) as usize;
        merged.saturating_sub(start % STRIDE)
    }

    pub(super) fn at(&self, start: usize) -> *mut u8 {
        self.bytes.at(start)
    }

    pub(super) fn piece(&self, start: usize, len: usize) -> *mut u8 {
        self.bytes.piece(start, len)
    }

    /// The bytes of a piece. Only the kernel writes to this memory, in a call that has no slice of it: what is sent from here
    /// leaves before the next datagrams are received.
    pub(super) fn slice(&self, start: usize, len: usize) -> &[u8] {
        self.bytes.slice(start, len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The kernel copies faster to whole cache lines.
    #[test]
    fn each_begins_on_a_cache_line() {
        let buffers = Buffers::default();
        assert!((0..MESSAGES_MAX).all(|message| buffers.place(message).addr() % 64 == 0));
    }

    #[test]
    fn only_merged_bytes_are_found() {
        let buffers = Buffers::default();
        let at = |message, offset| buffers.place(message).wrapping_add(offset).cast_const();
        let behind = |data, len| {
            let found = buffers.find(data, len)?;
            Some(buffers.merged_behind(found.start + found.len))
        };
        assert_eq!(behind(at(1, 0), 1), None);
        buffers.set_merged(1, 3000);
        assert_eq!(behind(at(1, 0), 1000), Some(2000));
        assert_eq!(behind(at(1, 2000), 1000), Some(0));
        assert_eq!(behind(at(1, 2000), 1001), None);
        assert_eq!(behind(at(2, 0), 1), None);
        assert_eq!(behind(at(1, 0), usize::MAX), None);
        let last = MESSAGES_MAX - 1;
        buffers.set_merged(last, BUFFER_SIZE - 1);
        assert_eq!(behind(at(last, 0), BUFFER_SIZE - 1), Some(0));
        for stranger in [at(0, 0).wrapping_sub(1), at(MESSAGES_MAX, 0), std::ptr::null()] {
            assert_eq!(behind(stranger, 1), None);
        }
        buffers.set_merged(1, 0);
        assert_eq!(behind(at(1, 0), 1), None);
    }
}
