//! A slab whose values are named by 64-bit ids: timers, triggers, look-ups and event sources (ports and watches).
//!
//! An id is, from its high bits down, the kind of the table (4 bits), the generation of a slot (28) and the
//! index of that slot (32). It is never 0, since no kind is, and never given out again: a slot whose
//! generations are used up is retired. Kinds stay below 8, so an id is positive as a signed number too.

use crate::status::Result;

/// What an id stands for. An id of one kind is never found in the table of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A delayed call.
    Timer = 1,
    /// A trigger of an event.
    Trigger = 2,
    /// A look-up of a name.
    Lookup = 3,
    /// What the kernel reports events of: a port, or a watch.
    Source = 4,
}

/// How many values a slot may hold one after the other before it is retired.
const GENERATIONS: u32 = 1 << 28;

struct Slot<T> {
    /// The generation of the value in the slot or, if the slot is vacant, of the next value.
    generation: u32,
    value: Option<T>,
}

/// Values of one kind, found by their ids in constant time.
///
/// A value takes the size of `Option<T>` and 4 bytes, rounded up to its alignment. Memory grows with the most
/// values there ever were at once; it is not given back.
pub struct Slots<T> {
    kind: Kind,
    slots: Vec<Slot<T>>,
    /// Vacant slots, with the one vacated last on top, which is the most likely to be in the cache. If they were linked
    /// through the slots, filling many again would wait for one cache miss after the other. There is room for all.
    vacant: Vec<u32>,
    len: usize,
}

impl<T> Slots<T> {
    /// An empty table. It allocates nothing yet.
    pub const fn new(kind: Kind) -> Self {
        Slots { kind, slots: Vec::new(), vacant: Vec::new(), len: 0 }
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there is no value.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Makes room for `more` values, so that inserting and removing them needs no memory.
    ///
    /// # Errors
    /// NO_MEMORY.
    pub fn reserve(&mut self, more: usize) -> Result {
        self.slots.try_reserve(more.saturating_sub(self.vacant.len()))?;
        Ok(self.vacant.try_reserve(self.slots.capacity() - self.vacant.len())?)
    }

    /// Stores `value` and returns its id.
    ///
    /// # Panics
    /// At 2^32 slots: values of 12 bytes would then fill 64 GiB.
    #[inline(always)]
    pub fn insert(&mut self, value: T) -> u64 {
        self.len += 1;
        let Some(index) = self.vacant.pop() else {
            let index = u32::try_from(self.slots.len()).expect("fewer than 2^32 slots");
            self.slots.push(Slot { generation: 0, value: Some(value) });
            return self.id(index, 0);
        };
        let slot = &mut self.slots[index as usize];
        slot.value = Some(value);
        let generation = slot.generation;
        self.id(index, generation)
    }

    /// The value called `id`.
    pub fn get(&self, id: u64) -> Option<&T> {
        let slot = self.slots.get(index(id) as usize)?;
        slot.value.as_ref().filter(|_| self.id(index(id), slot.generation) == id)
    }

    /// The value called `id`, to be changed.
    pub fn get_mut(&mut self, id: u64) -> Option<&mut T> {
        self.get(id)?;
        self.at_mut(index(id))
    }

    /// Removes the value called `id`. Its id is not found from then on.
    #[inline]
    pub fn remove(&mut self, id: u64) -> Option<T> {
        self.get(id)?;
        self.remove_at(index(id)).map(|(_, value)| value)
    }

    /// The ids of all values, in no promised order.
    pub fn ids(&self) -> impl Iterator<Item = u64> {
        self.iter().map(|(id, _)| id)
    }

    /// All values with their ids, in no promised order. Takes time for the vacant slots too.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        (0..).zip(&self.slots).filter_map(|(index, slot)| {
            let value = slot.value.as_ref()?;
            Some((self.id(index, slot.generation), value))
        })
    }

    /// The value in the slot `index`, for a caller that knows by other means whose it is.
    pub fn at(&self, index: u32) -> Option<&T> {
        self.slots.get(index as usize)?.value.as_ref()
    }

    /// As [`at`](Self::at), to be changed.
    pub fn at_mut(&mut self, index: u32) -> Option<&mut T> {
        self.slots.get_mut(index as usize)?.value.as_mut()
    }

    /// Removes the value in the slot `index`, and returns it with its id.
    pub fn remove_at(&mut self, index: u32) -> Option<(u64, T)> {
        let (id, value) = self.lend_at(index)?;
        self.vacate(id);
        Some((id, value))
    }

    /// Takes the value out of the slot `index`, but keeps its id for it. Until [`restore`](Self::restore) or
    /// [`vacate`](Self::vacate) the id is not found, and no other value gets it.
    pub fn lend_at(&mut self, index: u32) -> Option<(u64, T)> {
        let slot = self.slots.get_mut(index as usize)?;
        let value = slot.value.take()?;
        let generation = slot.generation;
        self.len -= 1;
        Some((self.id(index, generation), value))
    }

    /// Puts a value back under an id that was lent.
    pub fn restore(&mut self, id: u64, value: T) {
        if let Some(slot) = self.slots.get_mut(index(id) as usize) {
            slot.value = Some(value);
            self.len += 1;
        }
    }

    /// Ends an id that was lent.
    pub fn vacate(&mut self, id: u64) {
        let Some(slot) = self.slots.get_mut(index(id) as usize) else { return };
        slot.generation += 1;
        if slot.generation < GENERATIONS {
            self.vacant.push(index(id));
        }
    }

    fn id(&self, index: u32, generation: u32) -> u64 {
        (self.kind as u64) << 60 | u64::from(generation) << 32 | u64::from(index)
    }
}

/// The slot of the value called `id`.
pub const fn index(id: u64) -> u32 {
    id as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_by_its_id_until_it_is_removed() {
        let mut slots = Slots::new(Kind::Lookup);
        let one = slots.insert("one");
        let two = slots.insert("two");
        assert_eq!((slots.get(one), slots.get(two), slots.len()), (Some(&"one"), Some(&"two"), 2));
        *slots.get_mut(two).unwrap() = "zwei";
        assert_eq!(slots.remove(one), Some("one"));
        assert_eq!((slots.get(one), slots.len()), (None, 1));
        assert_eq!(slots.get_mut(one), None);
        assert_eq!(slots.remove(one), None);
        assert_eq!(slots.iter().collect::<Vec<_>>(), [(two, &"zwei")]);
        assert_eq!(slots.remove(two), Some("zwei"));
        assert!(slots.is_empty());
    }

    #[test]
    fn the_slot_vacated_last_is_filled_first_under_a_new_id() {
        let mut slots = Slots::new(Kind::Timer);
        let ids: Vec<_> = (0..3).map(|value| slots.insert(value)).collect();
        slots.remove(ids[2]);
        slots.remove(ids[0]);
        let (third, fourth) = (slots.insert(3), slots.insert(4));
        assert_eq!((index(third), index(fourth)), (0, 2));
        assert!(!ids.contains(&third) && !ids.contains(&fourth));
        assert_eq!((slots.get(ids[0]), slots.get(third)), (None, Some(&3)));
        assert_eq!(slots.ids().collect::<Vec<_>>(), [third, ids[1], fourth]);
    }

    #[test]
    fn ids_of_other_kinds_and_made_up_ones_are_not_found() {
        let kinds = [Kind::Timer, Kind::Trigger, Kind::Lookup, Kind::Source];
        let mut tables = kinds.map(Slots::new);
        let ids = tables.each_mut().map(|table| table.insert(()));
        for (mine, table) in tables.iter_mut().enumerate() {
            for (other, &id) in ids.iter().enumerate() {
                assert_eq!(table.get(id).is_some(), mine == other);
                assert!((id as i64) > 0);
            }
            for id in [0, u64::MAX, ids[mine] + 1, ids[mine] + (1 << 32), ids[mine] | 1 << 63] {
                assert_eq!(table.remove(id), None);
            }
            table.remove(ids[mine]);
            assert_eq!(table.get(ids[mine] + (1 << 32)), None, "the next generation is not there yet");
        }
    }

    #[test]
    fn the_id_of_a_value_that_is_lent_is_kept_for_it() {
        let mut slots = Slots::new(Kind::Timer);
        let id = slots.insert("one");
        assert_eq!((slots.lend_at(0), slots.lend_at(0)), (Some((id, "one")), None));
        assert_eq!((slots.get(id), slots.len(), slots.ids().count()), (None, 0, 0));
        let other = slots.insert("other");
        assert_ne!(index(other), index(id));
        slots.restore(id, "one again");
        assert_eq!((slots.get(id), slots.len()), (Some(&"one again"), 2));
        assert_eq!(slots.lend_at(0), Some((id, "one again")));
        slots.vacate(id);
        let next = slots.insert("next");
        assert_eq!((index(next), slots.get(id), slots.len()), (index(id), None, 2));
    }

    #[test]
    fn a_slot_is_retired_with_its_last_generation() {
        let mut slots = Slots::new(Kind::Source);
        let first = slots.insert(());
        slots.slots[0].generation = GENERATIONS - 1;
        let last = slots.ids().next().unwrap();
        assert_eq!(last >> 60, first >> 60, "the generation has not run into the kind");
        assert_eq!(slots.remove(last), Some(()));
        assert_eq!(index(slots.insert(())), 1);
        assert_eq!((slots.get(first), slots.get(last), slots.len()), (None, None, 1));
    }
}
