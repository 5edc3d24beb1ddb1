//! Startup and shutdown: their triggers, in three phases.

use super::{Call, Reactor, Stage};
use crate::log::Level;
use crate::status::{Result, Status};
use crate::trigger::{Event, Phase};
use std::rc::Rc;

/// What an event calls, each time that it happens.
pub trait Trigger<C: Call> {
    /// The call. PENDING from a before-trigger holds the event back until [`Reactor::finish_trigger`]; a failure is
    /// logged, and stops nobody else.
    fn fire(&self, reactor: &Reactor<C>, id: u64) -> Status;
}

/// A trigger that is called every time, or once.
pub(super) enum Fire<C: Call> {
    Always(Rc<dyn Trigger<C>>),
    Once(C),
}

impl<C: Call> Reactor<C> {
    /// Calls at each startup or shutdown. Within a phase in the order they were added.
    pub fn add_trigger(&self, phase: Phase, event: Event, trigger: Rc<dyn Trigger<C>>) -> Result<u64> {
        self.turn.check_open()?;
        Ok(self.triggers.borrow_mut().add(phase, event, Fire::Always(trigger)))
    }

    /// Calls now where the reactor runs, and answers no id; else once, at the next startup, among its after-triggers.
    pub fn call_when_running(&self, call: C) -> Result<Option<u64>> {
        self.turn.check_open()?;
        if self.turn.door.is_running() {
            call.call(self);
            return Ok(None);
        }
        Ok(Some(self.triggers.borrow_mut().add(Phase::After, Event::Startup, Fire::Once(call))))
    }

    /// NOT_FOUND. One that is pending is finished with.
    pub fn remove_trigger(&self, id: u64) -> Result {
        let removed = self.triggers.borrow_mut().remove(id)?;
        drop(removed);
        self.go_on();
        Ok(())
    }

    /// A before-trigger that was PENDING has finished; where it was the last, the rest of the event is called in here.
    /// NOT_FOUND where it is not pending.
    pub fn finish_trigger(&self, id: u64) -> Result {
        self.triggers.borrow_mut().finish(id)?;
        self.go_on();
        Ok(())
    }

    /// Fires an event by hand: a shutdown stops the ports and ends a run, a startup calls its triggers and no more.
    /// ALREADY_RUNNING while the event is under way.
    pub fn fire_event(&self, event: Event) -> Result {
        self.turn.check_open()?;
        if self.firing.get().is_some_and(|firing| firing.event == event) {
            return Err(Status::ALREADY_RUNNING);
        }
        self.fire(event);
        Ok(())
    }

    /// The before-triggers, and the rest where none of them is pending.
    pub(super) fn fire(&self, event: Event) {
        self.firing.set(Some(Firing { event, waits: false }));
        self.fire_phase(event, Phase::Before);
        self.firing.set(Some(Firing { event, waits: true }));
        self.go_on();
    }

    /// The rest of the event that waits for its before-triggers, where none is pending any more.
    fn go_on(&self) {
        let Some(Firing { event, waits: true }) = self.firing.get() else { return };
        if self.triggers.borrow().is_held(event) {
            return;
        }
        self.firing.set(None);
        match event {
            Event::Startup if self.stage.get() != Stage::Idle => self.turn.door.set_running(true),
            Event::Startup => {}
            Event::Shutdown => self.stop_ports(),
        }
        self.fire_phase(event, Phase::During);
        self.fire_phase(event, Phase::After);
        if event == Event::Shutdown {
            self.end_run();
        }
    }

    fn stop_ports(&self) {
        self.turn.door.set_running(false);
        // Those that are made meanwhile stay for the next run.
        self.close_ports();
    }

    /// Nothing of an event is left to be called.
    pub(super) fn end_run(&self) {
        self.firing.set(None);
        self.triggers.borrow_mut().release_all();
        self.stage.set(Stage::Idle);
        self.turn.door.set_running(false);
    }

    fn fire_phase(&self, event: Event, phase: Phase) {
        let mut last = 0;
        while let Some((order, id)) = self.next_trigger(event, phase, last) {
            last = order;
            if self.turn.door.gate.is_lost() {
                return;
            }
            self.fire_one(event, phase, id);
        }
    }

    fn next_trigger(&self, event: Event, phase: Phase, last: u64) -> Option<(u64, u64)> {
        self.triggers.borrow().next(event, phase, last)
    }

    fn fire_one(&self, event: Event, phase: Phase, id: u64) {
        let always = match self.triggers.borrow().get(id) {
            Some(Fire::Always(trigger)) => Some(trigger.clone()),
            _ => None,
        };
        let Some(trigger) = always else { return self.fire_once(id) };
        // Before the call: it may finish itself in there.
        if phase == Phase::Before {
            self.triggers.borrow_mut().hold(event, id);
        }
        let status = trigger.fire(self, id);
        if status != Status::PENDING && phase == Phase::Before {
            // NOT_FOUND: it has finished, or was removed.
            let _ = self.triggers.borrow_mut().finish(id);
        }
        if status.code() < 0 {
            self.turn.log.log(Level::Error, status, c"reactor", format_args!("a trigger has failed"));
        }
    }

    fn fire_once(&self, id: u64) {
        let once = self.triggers.borrow_mut().remove(id);
        if let Ok(Fire::Once(call)) = once {
            call.call(self);
        }
    }

    /// Drops every trigger, for the end.
    pub(super) fn drop_triggers(&self) {
        while let Some(trigger) = self.take_trigger() {
            drop(trigger);
        }
    }

    fn take_trigger(&self) -> Option<Fire<C>> {
        self.triggers.borrow_mut().take_any()
    }
}

/// An event that is under way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Firing {
    event: Event,
    /// Its before-triggers have been called; pending ones hold it.
    waits: bool,
}
