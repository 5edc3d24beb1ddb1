//! The model: lists that are searched from end to end.

use super::program::{Name, Program, World};
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
    /// In the order they were added.
    triggers: Vec<Entry>,
    /// The triggers that hold the event under way back.
    pending: Vec<usize>,
    under_way: Option<UnderWay>,
    stage: Stage,
    /// How often a run has ended.
    ended: usize,
    running: bool,
    /// Nothing new is accepted any more.
    closed: bool,
    ports: Vec<Name>,
    ticks: Vec<usize>,
}

#[derive(Clone)]
struct Entry {
    name: Rc<Name>,
    phase: Phase,
    event: Event,
    once: bool,
}

/// The one event that is under way: there is never more than one.
#[derive(Clone, Copy)]
struct UnderWay {
    event: Event,
    phase: Phase,
    /// The triggers of this phase with numbers below have had their turn.
    next: usize,
    /// One of them is at work.
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
        self.under_way = None;
        self.pending.clear();
        self.stage = Stage::Idle;
        self.ended += 1;
        self.running = false;
    }

    /// Takes the one next in this phase; when there is none, the next phase begins unless somebody is pending.
    fn step(&mut self) -> Step {
        let Some(now) = self.under_way.as_mut().filter(|now| !now.busy) else { return Step::Rest };
        let fits = |entry: &&Entry| {
            entry.event == now.event && entry.phase == now.phase && entry.name.number >= now.next
        };
        if let Some(entry) = self.triggers.iter().find(fits) {
            now.next = entry.name.number + 1;
            now.busy = true;
            return Step::Call(entry.clone());
        }
        if now.phase == Phase::Before && !self.pending.is_empty() {
            return Step::Rest;
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
            (Phase::After, Event::Startup) => self.under_way = None,
            (Phase::After, Event::Shutdown) => self.end(),
        }
        Step::Nothing
    }
}

enum Step {
    Call(Entry),
    StopPorts(Vec<Name>),
    Nothing,
    /// There is nothing to do, or not now.
    Rest,
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
        state.under_way = Some(UnderWay { event, phase: Phase::Before, next: 0, busy: false });
        drop(state);
        self.go_on();
    }

    fn go_on(&self) {
        loop {
            let step = self.state.borrow_mut().step();
            match step {
                Step::Call(entry) => self.call(entry),
                Step::StopPorts(ports) => self.stop_ports(ports),
                Step::Nothing => {}
                Step::Rest => return,
            }
        }
    }

    fn stop_ports(&self, ports: Vec<Name>) {
        ports.iter().for_each(|port| port.stopped(self));
        drop(ports);
        self.is_done();
    }

    /// Whatever the event under way was busy with.
    fn is_done(&self) {
        if let Some(now) = &mut self.state.borrow_mut().under_way {
            now.busy = false;
        }
    }

    fn call(&self, entry: Entry) {
        let (number, holds) = (entry.name.number, entry.phase == Phase::Before);
        if entry.once {
            self.state.borrow_mut().triggers.retain(|other| other.name.number != number);
        }
        if holds {
            self.state.borrow_mut().pending.push(number);
        }
        let answer = entry.name.called(self);
        if answer != Status::PENDING {
            self.state.borrow_mut().pending.retain(|pending| *pending != number);
        }
        self.is_done();
        if answer.code() < 0 && !entry.once {
            self.program.note(format!("failed: {answer:?}"));
        }
    }

    fn stage(&self) -> Stage {
        self.state.borrow().stage
    }

    fn check_open(&self) -> Result {
        if self.state.borrow().closed { Err(Status::CLOSED) } else { Ok(()) }
    }

    fn push(&self, phase: Phase, event: Event, name: Name, once: bool) -> Result {
        self.check_open()?;
        self.state.borrow_mut().triggers.push(Entry { name: Rc::new(name), phase, event, once });
        Ok(())
    }
}

impl World for Model {
    fn add(&self, phase: Phase, event: Event, name: Name) -> Result {
        self.push(phase, event, name, false)
    }

    fn call_when_running(&self, name: Name) -> Result {
        self.check_open()?;
        if !self.is_running() {
            return self.push(Phase::After, Event::Startup, name, true);
        }
        name.called(self);
        Ok(())
    }

    fn remove(&self, number: usize) -> Result {
        let mut state = self.state.borrow_mut();
        let place = state.triggers.iter().position(|entry| entry.name.number == number);
        let removed = state.triggers.remove(place.ok_or(Status::NOT_FOUND)?);
        state.pending.retain(|pending| *pending != number);
        drop(state);
        drop(removed);
        self.go_on();
        Ok(())
    }

    fn finish(&self, number: usize) -> Result {
        let mut state = self.state.borrow_mut();
        let place = state.pending.iter().position(|pending| *pending == number);
        state.pending.remove(place.ok_or(Status::NOT_FOUND)?);
        drop(state);
        self.go_on();
        Ok(())
    }

    /// A shutdown ends a startup that is under way; everything else waits its turn.
    fn fire_event(&self, event: Event) -> Result {
        self.check_open()?;
        match self.state.borrow().under_way {
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

    fn listen(&self, name: Name) -> Result {
        self.check_open()?;
        self.state.borrow_mut().ports.push(name);
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
