//! The delayed calls of a reactor.
//!
//! A table of slots holds the calls, and a heap orders them by instant. A new call waits on a list until the next call
//! is asked for: a call that is cancelled or moved before that never enters the heap. Nor does the heap change when a
//! call in it is cancelled or put off: an entry is checked when it comes to the top, and then dropped or inserted
//! again. A call that is moved to an earlier instant gets one more entry. So each of these operations touches one slot
//! only. When more than half of the entries are stale, all stale ones are dropped at once.
//!
//! While a call is being made, its owner holds it, and the table keeps its id: a call that is moved then is pending
//! again, as a periodic call always is. [`Timers::end_call`] puts it back, or ends it.

mod finished;
mod heap;
mod instant;

pub use instant::{NEVER, after, check_delay, check_instant, check_interval, check_span};

use std::num::NonZeroU32;

use crate::slots::{self, Kind, Slots};
use crate::status::{Result, Status};
use finished::FinishedCalls;
use heap::{Entry, Heap};

/// The least number of calls for which memory is reserved.
const MIN_CAPACITY: usize = 4;
/// So many stale entries are never worth a search for them.
const STALE_SLACK: usize = 64;

/// The properties of a call that the table needs.
pub trait Timed {
    /// The nanoseconds from one call to the next; 0 if it is made once.
    fn interval(&self) -> u64;

    /// What the table holds for a call of this interval while its owner makes it.
    fn stand_in(interval: u64) -> Self;
}

/// The deadline of something that has an id.
impl Timed for u64 {
    fn interval(&self) -> u64 {
        0
    }

    fn stand_in(_: u64) -> u64 {
        0
    }
}

/// A call that has come due. Its owner makes it, and calls [`Timers::end_call`] then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due<C> {
    /// Its id, which it keeps.
    pub id: u64,
    /// The instant at which it came due.
    pub instant: u64,
    /// How often a periodic call has come due since it was made last; otherwise 1.
    pub beats: u64,
    /// The call.
    pub call: C,
}

/// Packed to 36 bytes for a call of 24, so that its slot has 40: the first touch of memory is most of the cost of a
/// million timers.
#[repr(Rust, packed(4))]
struct Timer<C> {
    call: C,
    due: u64,
    /// The order of creation. It is not 0, so that a vacant slot needs no flag; 32 bits are enough, since calls can be
    /// renumbered. The lowest bit is [`PERIODIC`].
    order: NonZeroU32,
}

/// Set in the order of a periodic call.
const PERIODIC: u32 = 1;
/// The difference of two orders that follow each other.
const ORDER_STEP: u32 = 2;
const FIRST_ORDER: NonZeroU32 = NonZeroU32::MIN.saturating_add(1);
/// The id that no call gets.
const END_OF_ORDERS: u32 = u32::MAX - 1;

/// Delayed calls of type `C`, which it neither calls nor drops but hands back. Instants are nanoseconds of the
/// owner's clock.
///
/// Functions that take an id fail with `ALREADY_CALLED` or `ALREADY_CANCELLED` for the 4096 calls that ended last, and
/// with `NOT_FOUND` for all others and for what is no id of a timer.
pub struct Timers<C> {
    timers: Slots<Timer<C>>,
    /// Each call in the heap has at least one entry that is not later than its instant. There is room for all of
    /// `held`.
    heap: Heap,
    /// The slots of the newest calls, which are not in the heap yet: one for each of the latest orders, in a row. The
    /// heap and the slots have room for as many as this has, so an insert needs no other memory.
    fresh: Vec<u32>,
    /// Entries that are due, but were made during the pass that is going on.
    held: Vec<Entry>,
    /// Whether any call may have several entries.
    repeated: bool,
    finished: FinishedCalls,
    /// The call that is being made, if it is not pending again: its id, and when it was due. No call has the id 0.
    calling: (u64, u64),
    next_order: NonZeroU32,
    /// The first order that does not belong to the pass.
    pass_end: NonZeroU32,
    /// The instant of the pass while it goes on, otherwise [`NEVER`].
    pass_now: u64,
}

impl<C: Timed> Timers<C> {
    /// An empty table. Allocates nothing yet.
    pub fn new() -> Self {
        Timers {
            timers: Slots::new(Kind::Timer),
            heap: Heap::default(),
            fresh: Vec::new(),
            held: Vec::new(),
            repeated: false,
            finished: FinishedCalls::default(),
            calling: (0, 0),
            next_order: FIRST_ORDER,
            pass_end: FIRST_ORDER,
            pass_now: NEVER,
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

    /// Makes room, so that the next [`insert`](Self::insert) needs no memory.
    ///
    /// # Errors
    /// NO_MEMORY.
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
    #[inline(always)]
    pub fn insert(&mut self, due: u64, call: C) -> u64 {
        let order = self.take_order(call.interval() != 0);
        let id = self.timers.insert(Timer { call, due, order });
        self.fresh.push(slots::index(id));
        id
    }

    #[inline(always)]
    fn take_order(&mut self, periodic: bool) -> NonZeroU32 {
        if self.next_order.get() == END_OF_ORDERS {
            self.renumber();
        }
        let order = self.next_order;
        self.next_order = order.saturating_add(ORDER_STEP);
        order | u32::from(periodic)
    }

    /// Why there is no pending call `id`.
    fn status(&self, id: u64) -> Status {
        if self.is_calling(id) { Status::ALREADY_CALLED } else { self.finished.status(id) }
    }

    /// True if this call is being made, and is not pending again.
    fn is_calling(&self, id: u64) -> bool {
        self.calling.0 == id && id != 0
    }

    /// Removes a pending call, uncalled. If it is being made, its owner has it, and this returns its stand-in.
    #[inline(always)]
    pub fn cancel(&mut self, id: u64) -> Result<C> {
        let Some(timer) = self.timers.remove(id) else { return Err(self.status(id)) };
        self.finished.cancelled(id);
        self.drop_stale_if_many();
        Ok(timer.call)
    }

    /// As [`cancel`](Self::cancel). A call that is being made becomes a cancelled one, too, which cannot be moved any more.
    pub fn end(&mut self, id: u64) -> Option<C> {
        if self.is_calling(id) {
            self.calling.0 = 0;
            self.timers.vacate(id);
            self.finished.cancelled(id);
            return None;
        }
        self.cancel(id).ok()
    }

    /// Moves a call to the instant `due`, when the clock shows `now`. Among calls of one instant it keeps the place of its
    /// creation. A call that is being made is pending again, and waits for the next pass. A periodic call is due at the last
    /// instant of its new grid that has passed, if there is one; if it was not due in the present pass, or has been made in it, it
    /// waits for the next one. NO_MEMORY.
    pub fn reset(&mut self, id: u64, due: u64, now: u64) -> Result<()> {
        let Some(timer) = self.timers.get(id) else { return self.call_again(id, due) };
        if timer.order.get() & PERIODIC == 0 { self.set_due(id, due) } else { self.move_grid(id, due, now) }
    }

    fn set_due(&mut self, id: u64, due: u64) -> Result<()> {
        let first_fresh = self.first_fresh();
        let Some(timer) = self.timers.at_mut(slots::index(id)) else { return Ok(()) };
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

    #[cold]
    fn move_grid(&mut self, id: u64, due: u64, now: u64) -> Result<()> {
        self.reserve()?;
        // Removed and inserted again, since a reference into a packed timer is not allowed.
        let Some((_, Timer { call, due: old, order })) = self.timers.lend_at(slots::index(id)) else {
            return Ok(());
        };
        let passed = now.saturating_sub(due);
        let due = if passed == 0 { due } else { now - passed % call.interval().max(1) };
        // So it was if it was made in this pass.
        if old > self.pass_now {
            self.file_anew(id, due, call);
            self.drop_stale_if_many();
            return Ok(());
        }
        self.timers.restore(id, Timer { call, due: old, order });
        self.set_due(id, due)
    }

    fn call_again(&mut self, id: u64, due: u64) -> Result<()> {
        if !self.is_calling(id) {
            return Err(self.finished.status(id));
        }
        self.reserve()?;
        self.calling.0 = 0;
        self.file_anew(id, due, C::stand_in(0));
        Ok(())
    }

    /// Puts a call back whose id was lent, as if it were created now.
    fn file_anew(&mut self, id: u64, due: u64, call: C) {
        let order = self.take_order(call.interval() != 0);
        self.timers.restore(id, Timer { call, due, order });
        self.fresh.push(slots::index(id));
    }

    /// The instant a pending call comes due at.
    pub fn due(&self, id: u64) -> Result<u64> {
        self.timers.get(id).map(|timer| timer.due).ok_or_else(|| self.status(id))
    }

    /// The same, or the instant at which the call was due that is being made.
    pub fn last_due(&self, id: u64) -> Result<u64> {
        if self.is_calling(id) { Ok(self.calling.1) } else { self.due(id) }
    }

    /// The instant the next call comes due at, if any ever does.
    #[inline]
    pub fn next_due(&mut self) -> Option<u64> {
        // This is called in every turn, and often there is no call.
        let entries = self.heap.len() + self.held.len() + self.fresh.len();
        if entries == 0 { None } else { self.first_due() }
    }

    fn first_due(&mut self) -> Option<u64> {
        self.insert_all_fresh();
        self.earliest(NEVER).map(|entry| entry.due)
    }

    /// Begins a pass: calls that are inserted from now on wait for the next one.
    pub fn begin_pass(&mut self) {
        self.insert_all_fresh();
        self.pass_end = self.next_order;
    }

    /// Begins the next call of this pass that is due at or before `now`: the one whose instant is earliest and, of
    /// those, the one created first. Without memory the pass may end early.
    pub fn pop_due(&mut self, now: u64) -> Option<Due<C>> {
        self.pass_now = NEVER;
        loop {
            let entry = self.earliest(now)?;
            if entry.order < self.pass_end {
                self.pass_now = now;
                return self.begin_call(entry, now);
            }
            self.held.try_reserve(1).ok()?;
            self.heap.pop_first();
            self.held.push(entry);
        }
    }

    /// Begins the next call that is due at or before `limit`, whatever the pass, of a clock that shows `now` and is moved from
    /// instant to instant.
    pub fn pop_until(&mut self, limit: u64, now: u64) -> Option<Due<C>> {
        self.insert_all_fresh();
        let entry = self.earliest(limit)?;
        self.begin_call(entry, now.max(entry.due))
    }

    /// Ends the call that was begun last. Returns it, unless it is pending again.
    pub fn end_call(&mut self, id: u64, call: C) -> Option<C> {
        if self.is_calling(id) {
            self.calling.0 = 0;
            self.timers.vacate(id);
            self.finished.called(id);
            return Some(call);
        }
        // It was cancelled if it is not there.
        let Some(timer) = self.timers.get_mut(id) else { return Some(call) };
        timer.call = call;
        None
    }

    /// Instead of [`end_call`](Self::end_call) for a call that was not made: it stays pending, and never comes due.
    pub fn put_off(&mut self, id: u64, call: C) {
        if self.is_calling(id) {
            self.calling.0 = 0;
            // Its own entry has left the heap, so there is room for this one.
            self.insert_all_fresh();
            let (due, order) = (NEVER, self.take_order(false));
            self.timers.restore(id, Timer { call, due, order });
            self.heap.push(Entry { due, order, slot: slots::index(id) });
        } else if let Some(timer) = self.timers.get_mut(id) {
            timer.call = call;
            timer.due = NEVER;
        }
    }

    /// Removes any pending call as cancelled, when the owner ends.
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

    /// Begins the call of the first entry.
    fn begin_call(&mut self, first: Entry, now: u64) -> Option<Due<C>> {
        let (id, Timer { call, .. }) = self.timers.lend_at(first.slot)?;
        let Entry { due: instant, order, slot } = first;
        if order.get() & PERIODIC == 0 {
            self.heap.pop_first();
            self.calling = (id, instant);
            self.drop_stale_if_many();
            return Some(Due { id, instant, beats: 1, call });
        }
        let interval = call.interval().max(1);
        let beats = (now - instant) / interval + 1;
        let due = instant.saturating_add(beats.saturating_mul(interval));
        self.timers.restore(id, Timer { call: C::stand_in(interval), due, order });
        self.heap.replace_first(Entry { due, order, slot });
        Some(Due { id, instant, beats, call })
    }

    /// The first entry at or before `limit`, and before [`NEVER`], that is not stale.
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
        self.next_order.get() - ORDER_STEP * self.fresh.len() as u32
    }

    /// Moves the new calls into the heap.
    fn insert_all_fresh(&mut self) {
        if !self.held.is_empty() {
            self.held.drain(..).for_each(|entry| self.heap.push(entry));
        }
        if !self.fresh.is_empty() {
            self.insert_fresh();
        }
    }

    fn insert_fresh(&mut self) {
        let mut order = self.first_fresh();
        for slot in self.fresh.drain(..) {
            if let Some(timer) = self.timers.at(slot).filter(|timer| timer.order.get() & !PERIODIC == order) {
                self.heap.push(Entry { due: timer.due, order: timer.order, slot });
            }
            order = order.saturating_add(ORDER_STEP);
        }
        let room = self.fresh.capacity();
        // Without memory the next insert has to reserve it.
        if self.heap.reserve(room).is_err() || self.timers.reserve(room).is_err() {
            self.fresh = Vec::new();
        }
    }

    fn drop_stale_if_many(&mut self) {
        if self.heap.len() + self.fresh.len() > 2 * self.timers.len() + STALE_SLACK {
            self.drop_stale();
        }
    }

    /// Leaves one entry for each call, at its instant. This function is cold, and so is the next one: if they are
    /// inlined, every insert and cancel is slower by a third.
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
        self.pass_end = FIRST_ORDER.saturating_add(ORDER_STEP * in_pass as u32);
        self.next_order = FIRST_ORDER;
        for entry in entries {
            entry.order = self.next_order | (entry.order.get() & PERIODIC);
            if let Some(timer) = self.timers.at_mut(entry.slot) {
                timer.order = entry.order;
            }
            self.next_order = self.next_order.saturating_add(ORDER_STEP);
        }
    }
}

impl<C: Timed> Default for Timers<C> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests;
