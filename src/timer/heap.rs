//! A heap of instants, the earliest first.
//!
//! It has four branches: it is half as deep as with two, and the children of an entry are next to each other. New
//! entries wait at the end of the array until the earliest is needed: adding many costs no more than writing them, and
//! entries that are dropped before that are never sorted in.

use crate::status::Result;
use std::num::NonZeroU32;

const BRANCHES: usize = 4;

/// The deadline of a delayed call, and its slot. 16 bytes, so that a cache line holds four.
#[derive(Clone, Copy)]
pub(super) struct Entry {
    pub(super) due: u64,
    pub(super) order: NonZeroU32,
    pub(super) slot: u32,
}

impl Entry {
    /// One number to compare, which takes no branch that could be mispredicted.
    fn key(&self) -> u128 {
        u128::from(self.due) << 32 | u128::from(self.order.get())
    }
}

#[derive(Default)]
pub(super) struct Heap {
    entries: Vec<Entry>,
    /// So many of the entries are a heap; those behind it are in no order yet.
    settled: usize,
}

impl Heap {
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Room for so many more.
    pub(super) fn reserve(&mut self, more: usize) -> Result {
        Ok(self.entries.try_reserve(more)?)
    }

    pub(super) fn push(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    /// The earliest entry; of several, the one whose order is lowest.
    pub(super) fn first(&mut self) -> Option<Entry> {
        if self.settled < self.entries.len() {
            self.settle();
        }
        self.entries.first().copied()
    }

    /// Removes what [`first`](Self::first) returned just before.
    pub(super) fn pop_first(&mut self) {
        if let Some(last) = self.pop_any() {
            self.replace_first(last);
        }
    }

    /// Puts `entry`, which is not earlier, in the place of what [`first`](Self::first) returned just before.
    pub(super) fn replace_first(&mut self, entry: Entry) {
        if !self.entries.is_empty() {
            self.sift_down(0, entry);
        }
    }

    /// Removes whichever entry is cheapest to remove.
    pub(super) fn pop_any(&mut self) -> Option<Entry> {
        let last = self.entries.pop();
        self.settled = self.settled.min(self.entries.len());
        last
    }

    /// Drops every entry that `keep` says false to; the others it may change.
    pub(super) fn retain_mut(&mut self, keep: impl FnMut(&mut Entry) -> bool) {
        self.entries.retain_mut(keep);
        self.settled = 0;
    }

    /// Leaves one entry of each order, whichever it is.
    pub(super) fn drop_repeated(&mut self) {
        self.sort_by_order();
        self.entries.dedup_by_key(|entry| entry.order);
    }

    /// All entries in their order of creation, to be changed.
    pub(super) fn sort_by_order(&mut self) -> &mut [Entry] {
        self.settled = 0;
        self.entries.sort_unstable_by_key(|entry| entry.order);
        &mut self.entries
    }

    fn settle(&mut self) {
        let len = self.entries.len();
        if len - self.settled > self.settled {
            for at in (0..len.div_ceil(BRANCHES)).rev() {
                self.sift_down(at, self.entries[at]);
            }
        } else {
            for at in self.settled..len {
                self.sift_up(at, self.entries[at]);
            }
        }
        self.settled = len;
    }

    fn sift_up(&mut self, mut at: usize, entry: Entry) {
        while at > 0 {
            let parent = (at - 1) / BRANCHES;
            if self.entries[parent].key() <= entry.key() {
                break;
            }
            self.entries[at] = self.entries[parent];
            at = parent;
        }
        self.entries[at] = entry;
    }

    fn sift_down(&mut self, mut at: usize, entry: Entry) {
        while let Some(child) = self.earliest_child(at) {
            if entry.key() <= self.entries[child].key() {
                break;
            }
            self.entries[at] = self.entries[child];
            at = child;
        }
        self.entries[at] = entry;
    }

    fn earliest_child(&self, at: usize) -> Option<usize> {
        let start = at * BRANCHES + 1;
        let end = (start + BRANCHES).min(self.entries.len());
        (start..end).min_by_key(|&child| self.entries[child].key())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(due: u64, order: u32) -> Entry {
        Entry { due, order: NonZeroU32::new(order).unwrap(), slot: order }
    }

    /// Dues that neither rise nor fall, with repetitions.
    fn heap(len: u32) -> Heap {
        let mut heap = Heap::default();
        for order in 1..=len {
            heap.push(entry(u64::from(order * 7919 % 101), order));
        }
        heap
    }

    fn drain(heap: &mut Heap) -> Vec<(u64, u32)> {
        let mut drained = Vec::new();
        while let Some(first) = heap.first() {
            heap.pop_first();
            drained.push((first.due, first.order.get()));
        }
        drained
    }

    fn assert_sorted(drained: &[(u64, u32)], len: usize) {
        assert_eq!(drained.len(), len);
        assert!(drained.is_sorted());
    }

    #[test]
    fn entries_leave_by_instant_then_by_order() {
        for len in 0..70 {
            assert_sorted(&drain(&mut heap(len)), len as usize);
        }
        assert_sorted(&drain(&mut heap(5000)), 5000);
    }

    #[test]
    fn a_few_added_to_many_find_their_place() {
        let mut heap = heap(100);
        heap.first();
        heap.push(entry(0, 200));
        heap.push(entry(50, 201));
        heap.push(entry(u64::MAX, 202));
        assert_sorted(&drain(&mut heap), 103);
    }

    #[test]
    fn a_first_that_is_replaced_sinks() {
        let mut heap = heap(100);
        let first = heap.first().unwrap();
        heap.replace_first(Entry { due: 1000, ..first });
        let drained = drain(&mut heap);
        assert_sorted(&drained, 100);
        assert_eq!(drained[99], (1000, first.order.get()));
    }

    #[test]
    fn it_stays_a_heap_when_entries_go_or_change() {
        let mut heap = heap(1000);
        heap.first();
        heap.pop_any();
        heap.push(entry(3, 1001));
        heap.retain_mut(|entry| {
            entry.due = 200 - entry.due;
            entry.order.get() % 3 != 0
        });
        assert!(heap.sort_by_order().is_sorted_by_key(|entry| entry.order));
        let len = heap.len();
        assert_sorted(&drain(&mut heap), len);
        assert_eq!((heap.pop_any().is_none(), heap.len()), (true, 0));
        heap.pop_first();
    }
}
