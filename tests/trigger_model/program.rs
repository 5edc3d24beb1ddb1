//! The random program and its record.

use crate::support::Xorshift;
use std::sync::{Arc, Mutex, MutexGuard};
use udpr::status::{Result, Status};
use udpr::trigger::{Event, Phase};

/// What the program makes calls to: a reactor or the model. The numbers of callbacks identify triggers, calls and ports.
pub(crate) trait World {
    fn add(&self, phase: Phase, event: Event, callback: Callback) -> Result;
    fn call_when_running(&self, callback: Callback) -> Result;
    fn remove(&self, number: usize) -> Result;
    fn finish(&self, number: usize) -> Result;
    fn fire_event(&self, event: Event) -> Result;
    fn start(&self) -> Result;
    fn stop(&self) -> Result;
    fn crash(&self) -> Result;
    fn is_running(&self) -> bool;
    fn ports(&self) -> usize;
    fn listen(&self, callback: Callback) -> Result;
    /// Calls [`Program::tick`] in the next turn.
    fn tick_later(&self, left: usize);
    fn turn(&self) -> Result;
    fn run(&self) -> Result;
    fn close(&self);
}

/// The callback of a trigger, a call or a port.
pub(crate) struct Callback {
    pub(crate) number: usize,
    pub(crate) program: Arc<Program>,
}

impl Callback {
    /// Makes random calls and returns a random status.
    pub(crate) fn run(&self, world: &dyn World) -> Status {
        let program = &self.program;
        program.note(format!("call {}, running: {}", self.number, world.is_running()));
        program.act_nested(world);
        let results = [Status::OK, Status::PENDING, Status::PENDING, Status::NO_MEMORY];
        let status = results[program.below(4) as usize];
        program.note(format!("{} returns {status:?}", self.number));
        status
    }

    /// `stop_protocol` of a port.
    pub(crate) fn stopped(&self, world: &dyn World) {
        self.program.note(format!("port {} stops, running: {}", self.number, world.is_running()));
        self.program.act_nested(world);
    }
}

impl Drop for Callback {
    fn drop(&mut self) {
        self.program.note(format!("dropped {}", self.number));
    }
}

/// The state has a mutex only because delayed calls must be Send.
pub(crate) struct Program(Mutex<State>);

struct State {
    random: Xorshift,
    record: Vec<String>,
    /// The reactor's id of each callback, or 0.
    ids: Vec<u64>,
    /// The number of nested calls.
    depth: usize,
}

const MAX_DEPTH: usize = 5;
const STEPS: usize = 40;
/// A run is stopped after so many turns, and crashes after twice as many.
const TICKS: usize = 3;

impl Program {
    pub(crate) fn new(seed: u64) -> Arc<Program> {
        let random = Xorshift(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        Arc::new(Program(Mutex::new(State { random, record: Vec::new(), ids: Vec::new(), depth: 0 })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("no panic while it was locked")
    }

    pub(crate) fn note(&self, note: String) {
        self.state().record.push(note);
    }

    fn below(&self, bound: u64) -> u64 {
        self.state().random.below(bound)
    }

    /// Stores the id that the reactor assigned to a callback.
    pub(crate) fn set_id(&self, number: usize, id: u64) {
        self.state().ids[number] = id;
    }

    pub(crate) fn id(&self, number: usize) -> u64 {
        self.state().ids.get(number).copied().unwrap_or(0)
    }

    /// Returns the record. Its entries after the end are sorted, since the order of drops is not defined there.
    pub(crate) fn record(&self) -> Vec<String> {
        let mut record = std::mem::take(&mut self.state().record);
        let end = record.iter().position(|note| note == "close").expect("it was closed");
        record[end..].sort_unstable();
        record
    }

    pub(crate) fn run(self: &Arc<Self>, world: &dyn World) {
        for _ in 0..STEPS {
            match self.below(10) {
                0..5 => self.act(world),
                5..9 => self.note_result("turn", world.turn()),
                _ => {
                    world.tick_later(2 * TICKS);
                    self.note_result("run", world.run());
                }
            }
        }
        self.note("close".to_owned());
        world.close();
    }

    /// A delayed call.
    pub(crate) fn tick(self: &Arc<Self>, world: &dyn World, left: usize) {
        self.note(format!("tick {left}"));
        self.act_nested(world);
        match left {
            0 => return self.note_result("crash", world.crash()),
            TICKS => self.note_result("stop", world.stop()),
            _ => {}
        }
        world.tick_later(left - 1);
    }

    fn act_nested(self: &Arc<Self>, world: &dyn World) {
        let depth = self.state().depth;
        if depth < MAX_DEPTH {
            self.state().depth += 1;
            (0..self.below(4)).for_each(|_| self.act(world));
            self.state().depth = depth;
        }
    }

    fn act(self: &Arc<Self>, world: &dyn World) {
        let (phase, event) = (self.phase(), self.event());
        match self.below(18) {
            0..5 => self.note_result("add", world.add(phase, event, self.new_callback())),
            5 | 6 => self.note_result("when running", world.call_when_running(self.new_callback())),
            7 | 8 => self.note_result("remove", world.remove(self.any_number())),
            9..12 => self.note_result("finish", world.finish(self.any_number())),
            12 => self.note_result("fire", world.fire_event(event)),
            13 => self.note_result("start", world.start()),
            14 | 15 => self.note_result("stop", world.stop()),
            16 => self.note_result("crash", world.crash()),
            _ if world.ports() == 0 => self.note_result("listen", world.listen(self.new_callback())),
            _ => {}
        }
    }

    fn note_result(&self, what: &str, result: Result) {
        self.note(format!("{what}: {result:?}"));
    }

    fn phase(&self) -> Phase {
        [Phase::Before, Phase::During, Phase::After][self.below(3) as usize]
    }

    fn event(&self) -> Event {
        [Event::Startup, Event::Shutdown][self.below(2) as usize]
    }

    fn new_callback(self: &Arc<Self>) -> Callback {
        let mut state = self.state();
        let number = state.ids.len();
        state.ids.push(0);
        state.record.push(format!("created {number}"));
        Callback { number, program: self.clone() }
    }

    /// The number of any callback so far, or one that does not exist.
    fn any_number(&self) -> usize {
        let count = self.state().ids.len() as u64;
        self.below(count + 1) as usize
    }
}
