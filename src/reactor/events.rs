//! Startup and shutdown: their triggers, in three phases.

use super::{Call, Reactor};
use crate::log::Level;
use crate::status::{Result, Status};
use crate::trigger::{Event, Phase};
use std::rc::Rc;

/// A trigger, which is called each time that its event happens.
pub trait Trigger<C: Call> {
    /// Called by the event. PENDING from a before-trigger holds the event back until [`Reactor::finish_trigger`]. A
    /// failure is logged, and the other triggers are called all the same.
    fn fire(&self, reactor: &Reactor<C>, id: u64) -> Status;
}

/// A trigger that is called every time, or once.
pub(super) enum TriggerCall<C: Call> {
    Always(Rc<dyn Trigger<C>>),
    Once(C),
}

impl<C: Call> Reactor<C> {
    /// Adds a trigger of startup or shutdown. Triggers of a phase are called in the order in which they were added.
    ///
    /// # Errors
    /// NO_MEMORY.
    pub fn add_trigger(&self, phase: Phase, event: Event, trigger: Rc<dyn Trigger<C>>) -> Result<u64> {
        self.context.check_open()?;
        self.triggers.borrow_mut().reserve()?;
        Ok(self.triggers.borrow_mut().add(phase, event, TriggerCall::Always(trigger)))
    }

    /// Calls now if the reactor runs, and returns no id; otherwise once, at the next startup, among its after-triggers.
    ///
    /// # Errors
    /// NO_MEMORY.
    pub fn call_when_running(&self, mut call: C) -> Result<Option<u64>> {
        self.context.check_open()?;
        if self.context.shared.is_running() {
            call.call(self);
            self.drop_made(call);
            return Ok(None);
        }
        self.triggers.borrow_mut().reserve()?;
        Ok(Some(self.triggers.borrow_mut().add(Phase::After, Event::Startup, TriggerCall::Once(call))))
    }

    /// Removes a trigger. If it was pending, it is finished.
    ///
    /// # Errors
    /// NOT_FOUND.
    pub fn remove_trigger(&self, id: u64) -> Result {
        let removed = self.triggers.borrow_mut().remove(id)?;
        drop(removed);
        self.advance_event();
        Ok(())
    }

    /// A before-trigger that returned PENDING has finished. If it was the last one, the rest of the event is called
    /// inside this.
    ///
    /// # Errors
    /// NOT_FOUND if it is not pending.
    pub fn finish_trigger(&self, id: u64) -> Result {
        self.triggers.borrow_mut().finish(id)?;
        self.advance_event();
        Ok(())
    }

    /// Fires an event: a shutdown stops the ports and ends a run, a startup calls its triggers and does nothing else.
    ///
    /// # Errors
    /// ALREADY_RUNNING while an event is in progress; but a shutdown ends a startup.
    pub fn fire_event(&self, event: Event) -> Result {
        self.context.check_open()?;
        let under_way = self.firing.get().map(|firing| firing.event);
        if under_way.is_some_and(|under_way| (under_way, event) != (Event::Startup, Event::Shutdown)) {
            return Err(Status::ALREADY_RUNNING);
        }
        self.fire(event);
        Ok(())
    }

    /// Begins the event, up to a trigger that is pending. An event that was in progress goes no further.
    pub(super) fn fire(&self, event: Event) {
        if event == Event::Shutdown {
            self.context.shared.lifecycle.begin_shutdown();
        }
        self.triggers.borrow_mut().release_all();
        self.firing.set(Some(Firing { event, phase: Phase::Before, last: 0, busy: false }));
        self.advance_event();
    }

    /// Calls the next triggers of the event in progress, up to a pending one. A call may end the event, and begin
    /// another one.
    fn advance_event(&self) {
        while let Some(firing) = self.firing.get().filter(|firing| !firing.busy) {
            if self.context.shared.owner.is_unusable() {
                return;
            }
            match self.next_trigger(firing) {
                Some((last, id)) => self.busy(Firing { last, ..firing }, || self.fire_one(firing.phase, id)),
                None if firing.phase == Phase::Before && self.triggers.borrow().is_held() => return,
                None => self.end_phase(firing),
            }
        }
    }

    /// No other trigger of the event is called inside this.
    fn busy(&self, firing: Firing, call: impl FnOnce()) {
        self.firing.set(Some(Firing { busy: true, ..firing }));
        call();
        self.firing.set(self.firing.get().map(|firing| Firing { busy: false, ..firing }));
    }

    fn next_trigger(&self, firing: Firing) -> Option<(u64, u64)> {
        self.triggers.borrow().next(firing.event, firing.phase, firing.last)
    }

    fn end_phase(&self, firing: Firing) {
        match (firing.phase, firing.event) {
            (Phase::Before, event) => {
                self.busy(Firing { phase: Phase::During, last: 0, ..firing }, || {
                    self.end_before_phase(event)
                });
            }
            (Phase::During, _) => self.firing.set(Some(Firing { phase: Phase::After, last: 0, ..firing })),
            (Phase::After, Event::Startup) => self.firing.set(None),
            (Phase::After, Event::Shutdown) => self.end_run(),
        }
    }

    /// Between the phases before and during.
    fn end_before_phase(&self, event: Event) {
        self.context.shared.lifecycle.set_running(event == Event::Startup);
        if event == Event::Shutdown {
            // Ports that are made meanwhile stay for the next run.
            self.close_ports();
        }
    }

    /// The event and its run are over.
    pub(super) fn end_run(&self) {
        self.firing.set(None);
        self.triggers.borrow_mut().release_all();
        self.context.shared.lifecycle.end();
    }

    fn fire_one(&self, phase: Phase, id: u64) {
        let always = match self.triggers.borrow().get(id) {
            Some(TriggerCall::Always(trigger)) => Some(trigger.clone()),
            _ => None,
        };
        let Some(trigger) = always else { return self.fire_once(id) };
        // Before the call, since the trigger may finish itself inside it.
        if phase == Phase::Before {
            self.triggers.borrow_mut().hold(id);
        }
        let status = trigger.fire(self, id);
        if status != Status::PENDING {
            // NOT_FOUND: it has finished, was removed, or holds nothing back in its phase.
            let _ = self.triggers.borrow_mut().finish(id);
        }
        if status.code() < 0 {
            self.context.log_record(Level::Error, status, c"reactor", format_args!("a trigger has failed"));
        }
    }

    fn fire_once(&self, id: u64) {
        let once = self.triggers.borrow_mut().remove(id);
        if let Ok(TriggerCall::Once(mut call)) = once {
            call.call(self);
            self.drop_made(call);
        }
    }

    /// Removes any trigger, when the reactor ends.
    pub(super) fn take_trigger(&self) -> Option<TriggerCall<C>> {
        self.triggers.borrow_mut().take_any()
    }
}

/// The event in progress: there is at most one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Firing {
    event: Event,
    phase: Phase,
    /// The number of the trigger that was called last in this phase, 0 before the first.
    last: u64,
    /// It is being called now.
    busy: bool,
}
