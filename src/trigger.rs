//! The triggers of startup and shutdown, in three phases each. This module is pure: it calls nothing itself.

use crate::abi::{udpr_event_code, udpr_phase_code};
use crate::refusal;
use crate::slots::{Kind, Slots};
use crate::status::{Result, Status};
use std::collections::VecDeque;

/// What happens to a reactor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    /// The reactor begins to run.
    Startup = udpr_event_code::UDPR_EVENT_STARTUP as isize,
    /// The reactor was stopped.
    Shutdown = udpr_event_code::UDPR_EVENT_SHUTDOWN as isize,
}

/// When a trigger of an event is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// First. A trigger that is pending holds the other phases back.
    Before = udpr_phase_code::UDPR_PHASE_BEFORE as isize,
    /// Next. At shutdown the ports have stopped.
    During = udpr_phase_code::UDPR_PHASE_DURING as isize,
    /// Last.
    After = udpr_phase_code::UDPR_PHASE_AFTER as isize,
}

impl Event {
    /// INVALID_ARGUMENT for a number that is no `udpr_event_code`.
    pub fn from_code(code: u32) -> Result<Event> {
        let event = [Event::Startup, Event::Shutdown].get(code as usize).copied();
        event.ok_or_else(|| refusal::invalid("event", code.into(), "UDPR_EVENT_SHUTDOWN is 1, the last"))
    }
}

impl Phase {
    /// INVALID_ARGUMENT for a number that is no `udpr_phase_code`.
    pub fn from_code(code: u32) -> Result<Phase> {
        let phases = [Phase::Before, Phase::During, Phase::After];
        let phase = phases.get(code as usize).copied();
        phase.ok_or_else(|| refusal::invalid("phase", code.into(), "UDPR_PHASE_AFTER is 2, the last"))
    }
}

struct Entry<T> {
    key: OrderKey,
    call: T,
}

/// An event, a phase of it, and a number that grows with each trigger.
type OrderKey = (Event, Phase, u64);

/// The triggers of a reactor, each with a `T` to call.
pub struct Triggers<T> {
    entries: Slots<Entry<T>>,
    /// Their positions and ids, in the order in which they are called.
    order: VecDeque<(OrderKey, u64)>,
    next_order: u64,
    /// Before-triggers that hold back the event in progress. There is room for all entries.
    pending: Vec<u64>,
}

impl<T> Default for Triggers<T> {
    fn default() -> Triggers<T> {
        let (entries, order) = (Slots::new(Kind::Trigger), VecDeque::new());
        Triggers { entries, order, next_order: 1, pending: Vec::new() }
    }
}

impl<T> Triggers<T> {
    /// Makes room, so that neither the next [`add`](Self::add) nor what follows from it needs memory.
    ///
    /// # Errors
    /// NO_MEMORY.
    pub fn reserve(&mut self) -> Result {
        self.entries.reserve(1)?;
        self.order.try_reserve(1)?;
        Ok(self.pending.try_reserve(self.entries.len() + 1 - self.pending.len())?)
    }

    /// Adds a trigger behind the others of its event and phase.
    pub fn add(&mut self, phase: Phase, event: Event, call: T) -> u64 {
        let key = (event, phase, self.next_order);
        self.next_order += 1;
        let id = self.entries.insert(Entry { key, call });
        self.order.insert(self.index(key), (key, id));
        id
    }

    /// The index of `key` in the order, or the index at which it would be.
    fn index(&self, key: OrderKey) -> usize {
        self.order.partition_point(|(other, _)| *other < key)
    }

    /// Removes a trigger. If it was pending, it is finished.
    ///
    /// # Errors
    /// NOT_FOUND.
    pub fn remove(&mut self, id: u64) -> Result<T> {
        let entry = self.entries.remove(id).ok_or(Status::NOT_FOUND)?;
        self.order.remove(self.index(entry.key));
        self.pending.retain(|pending| *pending != id);
        Ok(entry.call)
    }

    /// The next trigger of a phase after the one with number `order` (0: the first): its number and id. A trigger that
    /// was added meanwhile is found, a removed one is not.
    pub fn next(&self, event: Event, phase: Phase, order: u64) -> Option<(u64, u64)> {
        let (key, id) = self.order.get(self.index((event, phase, order + 1)))?;
        ((key.0, key.1) == (event, phase)).then_some((key.2, *id))
    }

    /// The value of a trigger.
    pub fn get(&self, id: u64) -> Option<&T> {
        self.entries.get(id).map(|entry| &entry.call)
    }

    /// The trigger holds the event back until it is finished.
    pub fn hold(&mut self, id: u64) {
        self.pending.push(id);
    }

    /// The trigger no longer holds the event back.
    ///
    /// # Errors
    /// NOT_FOUND if it does not hold it back.
    pub fn finish(&mut self, id: u64) -> Result {
        let index = self.pending.iter().position(|pending| *pending == id).ok_or(Status::NOT_FOUND)?;
        self.pending.swap_remove(index);
        Ok(())
    }

    /// True while a trigger holds the event back.
    pub fn is_held(&self) -> bool {
        !self.pending.is_empty()
    }

    /// No trigger holds anything back any more: the event is over.
    pub fn release_all(&mut self) {
        self.pending.clear();
    }

    /// Removes any trigger, when the owner ends.
    pub fn take_any(&mut self) -> Option<T> {
        let id = self.order.front()?.1;
        self.remove(id).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_outside_the_enums_are_refused() {
        assert_eq!(Event::from_code(1), Ok(Event::Shutdown));
        assert_eq!(Event::from_code(2), Err(Status::INVALID_ARGUMENT));
        assert_eq!(Phase::from_code(2), Ok(Phase::After));
        assert_eq!(Phase::from_code(3), Err(Status::INVALID_ARGUMENT));
    }

    #[test]
    fn a_removed_trigger_holds_nothing_back() {
        let mut triggers = Triggers::default();
        let id = triggers.add(Phase::Before, Event::Shutdown, ());
        triggers.hold(id);
        assert!(triggers.is_held());
        assert_eq!(triggers.remove(id), Ok(()));
        assert!(!triggers.is_held());
        assert_eq!(
            (triggers.remove(id), triggers.finish(id)),
            (Err(Status::NOT_FOUND), Err(Status::NOT_FOUND))
        );
    }
}
