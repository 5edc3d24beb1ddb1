//! The delayed calls of a reactor.
//!
//! A table of slots holds the calls, a heap orders them by instant. A new call waits on a list until somebody asks
//! which one is next: one that is cancelled before, or moved, never is in the heap. Nor is the heap told when a call in
//! it is cancelled or put off: an entry is looked at when it comes to the top, and dropped or filed again then. A call
//! that is moved to an earlier instant gets one more entry. So each of these touches one slot and nothing else.
//! When more than half of the entries are superfluous, all of those are dropped at once.

mod finished;
mod heap;

use std::num::NonZeroU32;

use crate::slots::{self, Kind, Slots};
use crate::status::{Result, Status};
use finished::FinishedCalls;
use heap::{Entry, Heap};

/// The instant that never comes.
pub const NEVER: u64 = u64::MAX;

/// The instant that is `delay` after `now`: [`NEVER`] if `delay` is that, or if the clock ends before. Errors as of
/// [`check_span`].
pub fn after(now: u64, delay: u64) -> Result<u64> {
    if delay == NEVER { Ok(NEVER) } else { Ok(now.saturating_add(check_span(delay)?)) }
}

/// A span of time as it is. INVALID_ARGUMENT above `i64::MAX`, 292 years: it is the difference of an instant and a later one,
/// which unsigned numbers do not have.
pub fn check_span(span: u64) -> Result<u64> {
    if span <= i64::MAX as u64 { Ok(span) } else { Err(Status::INVALID_ARGUMENT) }
}

/// As many calls are made room for at least.
const MIN_CAPACITY: usize = 4;
/// As many superfluous entries are never worth a search for them.
const STALE_SLACK: usize = 64;

/// Packed to 36 bytes for a call of 24, so that its slot has 40: the first touch of memory is most of what a million
/// timers cost.
#[repr(Rust, packed(4))]
struct Timer<C> {
    call: C,
    due: u64,
    /// Of creation. Not 0, so that a vacant slot needs no flag; 32 bits, since they can be dealt out anew.
    order: NonZeroU32,
}

/// Delayed calls of type `C`, which it neither calls nor drops but hands back. Instants are nanoseconds of the
/// owner's clock.
///
/// Whatever takes an id fails with `ALREADY_CALLED` or `ALREADY_CANCELLED` for the 4096 calls that ended last,
/// and with `NOT_FOUND` for all others and for what is no id of a timer.
pub struct Timers<C> {
    timers: Slots<Timer<C>>,
    /// Of a call that is in it, at least one entry is not later than the instant it comes due at. There is room for
    /// all of `held`.
    heap: Heap,
    /// The slots of those made last, which are not in the heap yet: one for each of the latest orders, in a row. For
    /// as many as it has room for, the heap and the slots have room, too: so an insert asks for nothing else.
    fresh: Vec<u32>,
    /// Entries that are due, but were made during the pass that is going on.
    held: Vec<Entry>,
    /// Some call may have several entries.
    repeated: bool,
    finished: FinishedCalls,
    next_order: NonZeroU32,
    /// The first order that does not belong to the pass.
    pass_end: NonZeroU32,
}

impl<C> Timers<C> {
    /// No delayed calls. It allocates nothing yet.
    pub fn new() -> Self {
        Timers {
            timers: Slots::new(Kind::Timer),
            heap: Heap::default(),
            fresh: Vec::new(),
            held: Vec::new(),
            repeated: false,
            finished: FinishedCalls::default(),
            next_order: NonZeroU32::MIN,
            pass_end: NonZeroU32::MIN,
        }
    }

    /// How many calls are pending.
    pub fn len(&self) -> usize {
        self.timers.len()
    }

    /// Whether no call is pending.
    pub fn is_empty(&self) -> bool {
        self.timers.is_empty()
    }

    /// The ids of the pending calls, in no promised order.
    pub fn ids(&self) -> impl Iterator<Item = u64> {
        self.timers.ids()
    }

    /// Sees to it that the next [`insert`](Self::insert) needs no memory. NO_MEMORY.
    #[inline]
    pub fn reserve(&mut self) -> Result<()> {
        if self.fresh.len() == self.fresh.capacity() { self.grow() } else { Ok(()) }
    }

    #[cold]
    fn grow(&mut self) -> Result<()> {
        let more = self.fresh.len().max(MIN_CAPACITY);
        self.heap.reserve(self.held.len() + self.fresh.len() + more)?;
        self.timers.reserve(more)?;
        Ok(self.fresh.try_reserve_exact(more)?)
    }

    /// Adds a call that comes due at the instant `due`, or never if that is [`NEVER`], and returns its id.
    pub fn insert(&mut self, due: u64, call: C) -> u64 {
        if self.next_order == NonZeroU32::MAX {
            self.renumber();
        }
        let order = self.next_order;
        self.next_order = order.saturating_add(1);
        let id = self.timers.insert(Timer { call, due, order });
        self.fresh.push(slots::index(id));
        id
    }

    /// Takes a pending call out, uncalled.
    pub fn cancel(&mut self, id: u64) -> Result<C> {
        let Some(timer) = self.timers.remove(id) else { return Err(self.finished.status(id)) };
        self.finished.cancelled(id);
        self.drop_stale_if_many();
        Ok(timer.call)
    }

    /// Moves a pending call to the instant `due`. Among calls of one instant it keeps the place of its creation.
    /// NO_MEMORY for an earlier instant.
    pub fn reset(&mut self, id: u64, due: u64) -> Result<()> {
        let first_fresh = self.first_fresh();
        let Some(timer) = self.timers.get_mut(id) else { return Err(self.finished.status(id)) };
        let order = timer.order;
        if due < timer.due && order.get() < first_fresh {
            self.heap.reserve(self.held.len() + self.fresh.capacity() + 1)?;
            timer.due = due;
            self.heap.push(Entry { due, order, slot: slots::index(id) });
            self.repeated = true;
            self.drop_stale_if_many();
        } else {
            timer.due = due;
        }
        Ok(())
    }

    /// The instant a pending call comes due at.
    pub fn due(&self, id: u64) -> Result<u64> {
        self.timers.get(id).map(|timer| timer.due).ok_or_else(|| self.finished.status(id))
    }

    /// The instant the next call comes due at, if any ever does.
    #[inline]
    pub fn next_due(&mut self) -> Option<u64> {
        // Asked for in every turn, and often there is nothing.
        let entries = self.heap.len() + self.held.len() + self.fresh.len();
        if entries == 0 { None } else { self.first_due() }
    }

    fn first_due(&mut self) -> Option<u64> {
        self.insert_all_fresh();
        self.earliest(NEVER).map(|entry| entry.due)
    }

    /// Begins a pass: what is inserted from now on waits for the next one.
    pub fn begin_pass(&mut self) {
        self.insert_all_fresh();
        self.pass_end = self.next_order;
    }

    /// Takes out, as called, the next call of this pass that is due at or before `now`: the one whose instant is
    /// earliest and, of those, the one created first. Without memory the pass may end early.
    pub fn pop_due(&mut self, now: u64) -> Option<C> {
        loop {
            let entry = self.earliest(now)?;
            if entry.order < self.pass_end {
                self.heap.pop_first();
                return self.take_called(entry);
            }
            self.held.try_reserve(1).ok()?;
            self.heap.pop_first();
            self.held.push(entry);
        }
    }

    /// Takes out, as called, the next call that is due at or before `limit`, whatever the pass, with its instant.
    pub fn pop_until(&mut self, limit: u64) -> Option<(u64, C)> {
        self.insert_all_fresh();
        let entry = self.earliest(limit)?;
        self.heap.pop_first();
        Some((entry.due, self.take_called(entry)?))
    }

    /// Takes any pending call out, as cancelled: for an owner that ends.
    pub fn take_any(&mut self) -> Option<C> {
        self.insert_all_fresh();
        loop {
            let entry = self.heap.pop_any()?;
            if self.timers.at(entry.slot).is_some_and(|timer| timer.order == entry.order) {
                let (id, timer) = self.timers.remove_at(entry.slot)?;
                self.finished.cancelled(id);
                return Some(timer.call);
            }
        }
    }

    fn take_called(&mut self, entry: Entry) -> Option<C> {
        let (id, timer) = self.timers.remove_at(entry.slot)?;
        self.finished.called(id);
        self.drop_stale_if_many();
        Some(timer.call)
    }

    /// The first entry at or before `limit`, and before [`NEVER`], that says when its call comes due.
    fn earliest(&mut self, limit: u64) -> Option<Entry> {
        loop {
            let first = self.heap.first().filter(|first| first.due <= limit && first.due < NEVER)?;
            match self.timers.at(first.slot) {
                Some(timer) if timer.order == first.order => {
                    if timer.due == first.due {
                        return Some(first);
                    }
                    self.heap.replace_first(Entry { due: timer.due, ..first });
                }
                _ => self.heap.pop_first(),
            }
        }
    }

    /// The first order of a call that is not in the heap yet.
    fn first_fresh(&self) -> u32 {
        self.next_order.get() - self.fresh.len() as u32
    }

    /// Puts into the heap what is not there yet.
    fn insert_all_fresh(&mut self) {
        if !self.held.is_empty() {
            self.held.drain(..).for_each(|entry| self.heap.push(entry));
        }
        if !self.fresh.is_empty() {
            self.insert_fresh();
        }
    }

    fn insert_fresh(&mut self) {
        let first = self.first_fresh();
        for (slot, order) in self.fresh.drain(..).zip(first..) {
            if let Some(timer) = self.timers.at(slot).filter(|timer| timer.order.get() == order) {
                self.heap.push(Entry { due: timer.due, order: timer.order, slot });
            }
        }
        let room = self.fresh.capacity();
        // Without memory the next insert has to ask for it.
        if self.heap.reserve(room).is_err() || self.timers.reserve(room).is_err() {
            self.fresh = Vec::new();
        }
    }

    fn drop_stale_if_many(&mut self) {
        if self.heap.len() + self.fresh.len() > 2 * self.timers.len() + STALE_SLACK {
            self.drop_stale();
        }
    }

    /// Leaves one entry a call, at the instant it comes due. Cold, as the next one is: woven into their callers,
    /// they make every insert and cancel slower by a third.
    #[cold]
    fn drop_stale(&mut self) {
        self.insert_all_fresh();
        self.heap.retain_mut(|entry| match self.timers.at(entry.slot) {
            Some(timer) if timer.order == entry.order => {
                entry.due = timer.due;
                true
            }
            _ => false,
        });
        if std::mem::take(&mut self.repeated) {
            self.heap.drop_repeated();
        }
    }

    /// Deals the orders out anew, from 1, to the calls that are pending.
    #[cold]
    fn renumber(&mut self) {
        self.drop_stale();
        let entries = self.heap.sort_by_order();
        let in_pass = entries.partition_point(|entry| entry.order < self.pass_end);
        self.pass_end = NonZeroU32::MIN.saturating_add(in_pass as u32);
        self.next_order = NonZeroU32::MIN;
        for entry in entries {
            entry.order = self.next_order;
            if let Some(timer) = self.timers.at_mut(entry.slot) {
                timer.order = entry.order;
            }
            self.next_order = entry.order.saturating_add(1);
        }
    }
}

impl<C> Default for Timers<C> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;

    /// Calls everything that is due in a pass of its own.
    fn fire<C>(timers: &mut Timers<C>, now: u64) -> Vec<C> {
        timers.begin_pass();
        std::iter::from_fn(|| timers.pop_due(now)).collect()
    }

    #[test]
    fn a_negative_difference_is_no_delay() {
        let (late, refused) = (0_u64.wrapping_sub(1_000), Err(Status::INVALID_ARGUMENT));
        assert_eq!((after(5, 0), after(5, i64::MAX as u64)), (Ok(5), Ok(i64::MAX as u64 + 5)));
        assert_eq!((after(5, late), after(5, 1 << 63), after(5, NEVER - 1)), (refused, refused, refused));
        assert_eq!((after(5, NEVER), check_span(NEVER)), (Ok(NEVER), refused));
        assert_eq!(after(NEVER - 5, 100), Ok(NEVER), "beyond the clock's end");
    }

    #[test]
    fn a_timer_is_as_small_as_was_measured() {
        assert_eq!(size_of::<Timer<[u64; 3]>>(), 36);
        assert_eq!(size_of::<Option<Timer<[u64; 3]>>>(), 36);
        assert_eq!(size_of::<Entry>(), 16);
    }

    #[test]
    fn calls_are_handed_back_not_dropped() {
        let call = Rc::new(());
        let mut timers = Timers::new();
        let ids: Vec<_> = (0..200).map(|due| timers.insert(due, call.clone())).collect();
        let mut back: Vec<_> = ids.iter().take(150).map(|&id| timers.cancel(id).unwrap()).collect();
        back.extend(fire(&mut timers, 170));
        back.extend(timers.pop_until(180).map(|(_, call)| call));
        back.extend(std::iter::from_fn(|| timers.take_any()));
        assert_eq!((back.len(), Rc::strong_count(&call), timers.len()), (200, 201, 0));
    }

    #[test]
    fn entries_stay_in_proportion_to_the_calls() {
        let mut timers = Timers::new();
        let bound = |timers: &Timers<()>| {
            timers.heap.len() + timers.fresh.len() + timers.held.len() <= 2 * timers.len() + STALE_SLACK + 1
        };
        let id = timers.insert(1_000_000, ());
        for step in 0..10_000 {
            timers.reset(id, 900_000 - step).unwrap();
            assert!(bound(&timers));
            timers.reset(id, 1_000_000).unwrap();
            let other = timers.insert(2_000_000, ());
            assert_eq!(timers.next_due(), Some(1_000_000), "files the entry again where one was before");
            timers.cancel(other).unwrap();
            assert!(bound(&timers));
        }
        let many: Vec<_> = (0..10_000).map(|due| timers.insert(due, ())).collect();
        for id in many.iter().skip(1) {
            timers.cancel(*id).unwrap();
            assert!(bound(&timers));
        }
        assert_eq!(fire(&mut timers, 1_000_000).len(), 2);
    }

    #[test]
    fn a_call_with_entries_at_every_instant_comes_due_once() {
        let mut timers = Timers::new();
        let id = timers.insert(100, "moved");
        timers.insert(45, "other");
        for due in [50, 40, 60, 30, 50] {
            timers.reset(id, due).unwrap();
        }
        assert_eq!(timers.next_due(), Some(45));
        assert_eq!(fire(&mut timers, 1000), ["other", "moved"]);
        assert_eq!((timers.next_due(), timers.heap.len()), (None, 0));
    }

    #[test]
    fn orders_are_dealt_out_anew_when_they_run_out() {
        let mut timers = Timers::new();
        timers.next_order = NonZeroU32::new(u32::MAX - 5).unwrap();
        let ids: Vec<_> = (0..3).map(|call| timers.insert(7, call)).collect();
        timers.cancel(ids[1]).unwrap();
        timers.begin_pass();
        for call in 3..8 {
            timers.insert(7, call);
        }
        assert_eq!(timers.next_order.get(), 8);
        assert_eq!((timers.pop_due(7), timers.pop_due(7), timers.pop_due(7)), (Some(0), Some(2), None));
        timers.reset(ids[0], 1).unwrap_err();
        assert_eq!(fire(&mut timers, 7), [3, 4, 5, 6, 7]);
    }

    #[test]
    fn a_pass_survives_new_orders_when_all_pending_calls_belong_to_it() {
        let mut timers = Timers::new();
        timers.next_order = NonZeroU32::new(u32::MAX - 2).unwrap();
        timers.insert(1, "first");
        timers.insert(1, "second");
        timers.begin_pass();
        timers.insert(1, "next pass");
        assert_eq!(
            (timers.pop_due(1), timers.pop_due(1), timers.pop_due(1)),
            (Some("first"), Some("second"), None)
        );
        assert_eq!(fire(&mut timers, 1), ["next pass"]);
    }
}
