//! The model: lists that are searched linearly.

use super::program::{Callback, Program, World};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use udpr::status::{Result, Status};
use udpr::trigger::{Event, Phase};

pub(crate) struct Model {
    program: Arc<Program>,
    state: RefCell<State>,
}

#[derive(Default)]
struct State {
    /// In the order in which they were added.
    triggers: Vec<Entry>,
    /// The triggers that returned PENDING for the current event.
    pending: Vec<usize>,
    current: Option<CurrentEvent>,
    stage: Stage,
    /// How often a run has ended.
    ended: usize,
    running: bool,
    /// The reactor accepts nothing new.
    closed: bool,
    ports: Vec<Callback>,
    ticks: Vec<usize>,
}

#[derive(Clone)]
struct Entry {
    callback: Rc<Callback>,
    phase: Phase,
    event: Event,
    once: bool,
}

/// The event in progress. There is never more than one.
#[derive(Clone, Copy)]
struct CurrentEvent {
    event: Event,
    phase: Phase,
    /// The triggers of this phase with smaller numbers have been called.
    next: usize,
    /// One of them is being called.
    busy: bool,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Stage {
    #[default]
    Idle,
    Started,
    Stopping,
    ShuttingDown,
}

impl State {
    fn end(&mut self) {
        self.current = None;
        self.pending.clear();
        self.stage = Stage::Idle;
        self.ended += 1;
        self.running = false;
    }

    /// Takes the next trigger of this phase. If there is none, the next phase begins, unless a trigger is pending.
    fn step(&mut self) -> Step {
        let Some(now) = self.current.as_mut().filter(|now| !now.busy) else { return Step::Wait };
        let fits = |entry: &&Entry| {
            entry.event == now.event && entry.phase == now.phase && entry.callback.number >= now.next
        };
        if let Some(entry) = self.triggers.iter().find(fits) {
            now.next = entry.callback.number + 1;
            now.busy = true;
            return Step::Call(entry.clone());
        }
        if now.phase == Phase::Before && !self.pending.is_empty() {
            return Step::Wait;
        }
        now.next = 0;
        match (now.phase, now.event) {
            (Phase::Before, Event::Startup) => {
                now.phase = Phase::During;
                self.running |= self.stage != Stage::Idle;
            }
            (Phase::Before, Event::Shutdown) => {
                now.phase = Phase::During;
                now.busy = true;
                self.running = false;
                return Step::StopPorts(std::mem::take(&mut self.ports));
            }
            (Phase::During, _) => now.phase = Phase::After,
            (Phase::After, Event::Startup) => self.current = None,
            (Phase::After, Event::Shutdown) => self.end(),
        }
        Step::Nothing
    }
}

enum Step {
    Call(Entry),
    StopPorts(Vec<Callback>),
    Nothing,
    /// Nothing can be done now.
    Wait,
}

impl Model {
    pub(crate) fn new(program: Arc<Program>) -> Model {
        Model { program, state: RefCell::default() }
    }

    fn fire(&self, event: Event) {
        let mut state = self.state.borrow_mut();
        if event == Event::Shutdown && state.stage != Stage::Idle {
            state.stage = Stage::ShuttingDown;
        }
        state.pending.clear();
        state.current = Some(CurrentEvent { event, phase: Phase::Before, next: 0, busy: false });
        drop(state);
        self.continue_event();
    }

    fn continue_event(&self) {
        loop {
            let step = self.state.borrow_mut().step();
            match step {
                Step::Call(entry) => self.call(entry),
                Step::StopPorts(ports) => self.stop_ports(ports),
                Step::Nothing => {}
                Step::Wait => return,
            }
        }
    }

    fn stop_ports(&self, ports: Vec<Callback>) {
        ports.iter().for_each(|port| port.stopped(self));
        drop(ports);
        self.clear_busy();
    }

    fn clear_busy(&self) {
        if let Some(now) = &mut self.state.borrow_mut().current {
            now.busy = false;
        }
    }

    fn call(&self, entry: Entry) {
        let (number, may_hold) = (entry.callback.number, entry.phase == Phase::Before);
        if entry.once {
            self.state.borrow_mut().triggers.retain(|other| other.callback.number != number);
        }
        if may_hold {
            self.state.borrow_mut().pending.push(number);
        }
        let status = entry.callback.run(self);
        if status != Status::PENDING {
            self.state.borrow_mut().pending.retain(|pending| *pending != number);
        }
        self.clear_busy();
        if status.code() < 0 && !entry.once {
            self.program.note(format!("failed: {status:?}"));
        }
    }

    fn stage(&self) -> Stage {
        self.state.borrow().stage
    }

    fn check_open(&self) -> Result {
        if self.state.borrow().closed { Err(Status::CLOSED) } else { Ok(()) }
    }

    fn push(&self, phase: Phase, event: Event, callback: Callback, once: bool) -> Result {
        self.check_open()?;
        self.state.borrow_mut().triggers.push(Entry { callback: Rc::new(callback), phase, event, once });
        Ok(())
    }
}

impl World for Model {
    fn add(&self, phase: Phase, event: Event, callback: Callback) -> Result {
        self.push(phase, event, callback, false)
    }

    fn call_when_running(&self, callback: Callback) -> Result {
        self.check_open()?;
        if !self.is_running() {
            return self.push(Phase::After, Event::Startup, callback, true);
        }
        callback.run(self);
        Ok(())
    }

    fn remove(&self, number: usize) -> Result {
        let mut state = self.state.borrow_mut();
        let index = state.triggers.iter().position(|entry| entry.callback.number == number);
        let removed = state.triggers.remove(index.ok_or(Status::NOT_FOUND)?);
        state.pending.retain(|pending| *pending != number);
        drop(state);
        drop(removed);
        self.continue_event();
        Ok(())
    }

    fn finish(&self, number: usize) -> Result {
        let mut state = self.state.borrow_mut();
        let index = state.pending.iter().position(|pending| *pending == number);
        state.pending.remove(index.ok_or(Status::NOT_FOUND)?);
        drop(state);
        self.continue_event();
        Ok(())
    }

    /// A shutdown ends a startup in progress; all other events are rejected during an event.
    fn fire_event(&self, event: Event) -> Result {
        self.check_open()?;
        match self.state.borrow().current {
            Some(now) if (now.event, event) != (Event::Startup, Event::Shutdown) => {
                return Err(Status::ALREADY_RUNNING);
            }
            _ => {}
        }
        self.fire(event);
        Ok(())
    }

    fn start(&self) -> Result {
        self.check_open()?;
        if self.stage() != Stage::Idle {
            return Err(Status::ALREADY_RUNNING);
        }
        self.state.borrow_mut().stage = Stage::Started;
        self.fire(Event::Startup);
        Ok(())
    }

    fn stop(&self) -> Result {
        if self.stage() != Stage::Started {
            return Err(Status::NOT_RUNNING);
        }
        self.state.borrow_mut().stage = Stage::Stopping;
        Ok(())
    }

    fn crash(&self) -> Result {
        if self.stage() == Stage::Idle {
            return Err(Status::NOT_RUNNING);
        }
        self.state.borrow_mut().end();
        Ok(())
    }

    fn is_running(&self) -> bool {
        self.state.borrow().running
    }

    fn ports(&self) -> usize {
        self.state.borrow().ports.len()
    }

    fn listen(&self, callback: Callback) -> Result {
        self.check_open()?;
        self.state.borrow_mut().ports.push(callback);
        Ok(())
    }

    fn tick_later(&self, left: usize) {
        self.state.borrow_mut().ticks.push(left);
    }

    fn turn(&self) -> Result {
        let ticks = std::mem::take(&mut self.state.borrow_mut().ticks);
        ticks.into_iter().for_each(|left| self.program.tick(self, left));
        if self.stage() == Stage::Stopping {
            self.fire(Event::Shutdown);
        }
        Ok(())
    }

    fn run(&self) -> Result {
        let ended = self.state.borrow().ended;
        self.start()?;
        while self.state.borrow().ended == ended {
            self.turn()?;
        }
        Ok(())
    }

    fn close(&self) {
        self.state.borrow_mut().closed = true;
        self.state.borrow_mut().end();
        let ports = std::mem::take(&mut self.state.borrow_mut().ports);
        ports.iter().for_each(|port| port.stopped(self));
        let triggers = std::mem::take(&mut self.state.borrow_mut().triggers);
        drop((ports, triggers));
    }
}
