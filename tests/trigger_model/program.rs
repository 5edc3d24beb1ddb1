//! The random program: what it does, and its record.

use std::sync::{Arc, Mutex, MutexGuard};
use udpr::status::{Result, Status};
use udpr::trigger::{Event, Phase};

/// Marsaglia's xorshift64: the same operations in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % bound
    }
}

/// What the program acts on. Triggers, calls and ports go by the numbers of their names.
pub(crate) trait World {
    fn add(&self, phase: Phase, event: Event, name: Name) -> Result;
    fn call_when_running(&self, name: Name) -> Result;
    fn remove(&self, number: usize) -> Result;
    fn finish(&self, number: usize) -> Result;
    fn fire_event(&self, event: Event) -> Result;
    fn start(&self) -> Result;
    fn stop(&self) -> Result;
    fn crash(&self) -> Result;
    fn is_running(&self) -> bool;
    fn ports(&self) -> usize;
    fn listen(&self, name: Name) -> Result;
    /// [`Program::tick`] in the next turn.
    fn tick_later(&self, left: usize);
    fn turn(&self) -> Result;
    fn run(&self) -> Result;
    fn close(&self);
}

/// Something that is called; who has it last drops it.
pub(crate) struct Name {
    pub(crate) number: usize,
    pub(crate) program: Arc<Program>,
}

impl Name {
    /// It is called, acts, and chooses its answer.
    pub(crate) fn called(&self, world: &dyn World) -> Status {
        let program = &self.program;
        program.note(format!("call {}, running: {}", self.number, world.is_running()));
        program.act_inside(world);
        let results = [Status::OK, Status::PENDING, Status::PENDING, Status::NO_MEMORY];
        let answer = results[program.below(4) as usize];
        program.note(format!("{} answers {answer:?}", self.number));
        answer
    }

    /// It is a port that stops.
    pub(crate) fn stopped(&self, world: &dyn World) {
        self.program.note(format!("port {} stops, running: {}", self.number, world.is_running()));
        self.program.act_inside(world);
    }
}

impl Drop for Name {
    fn drop(&mut self) {
        self.program.note(format!("dropped {}", self.number));
    }
}

/// Its state is behind a lock only because what reactors call later must be Send.
pub(crate) struct Program(Mutex<State>);

struct State {
    random: Random,
    record: Vec<String>,
    /// By the numbers of the names: 0 where there is none.
    ids: Vec<u64>,
    /// How many calls are inside each other.
    depth: usize,
}

const DEPTH_MAX: usize = 5;
const STEPS: usize = 40;
/// A run that nothing stops is stopped after so many turns, and crashes after twice as many.
const TICKS: usize = 3;

impl Program {
    pub(crate) fn new(seed: u64) -> Arc<Program> {
        let random = Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15));
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

    /// The id that the reactor gave to a name.
    pub(crate) fn call_it(&self, number: usize, id: u64) {
        self.state().ids[number] = id;
    }

    pub(crate) fn id(&self, number: usize) -> u64 {
        self.state().ids.get(number).copied().unwrap_or(0)
    }

    /// What has happened. The order in which the end drops things is nobody's business.
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
                5..9 => self.tell("turn", world.turn()),
                _ => {
                    world.tick_later(2 * TICKS);
                    self.tell("run", world.run());
                }
            }
        }
        self.note("close".to_owned());
        world.close();
    }

    /// A delayed call.
    pub(crate) fn tick(self: &Arc<Self>, world: &dyn World, left: usize) {
        self.note(format!("tick {left}"));
        self.act_inside(world);
        match left {
            0 => return self.tell("crash", world.crash()),
            TICKS => self.tell("stop", world.stop()),
            _ => {}
        }
        world.tick_later(left - 1);
    }

    fn act_inside(self: &Arc<Self>, world: &dyn World) {
        let depth = self.state().depth;
        if depth < DEPTH_MAX {
            self.state().depth += 1;
            (0..self.below(4)).for_each(|_| self.act(world));
            self.state().depth = depth;
        }
    }

    fn act(self: &Arc<Self>, world: &dyn World) {
        let (phase, event) = (self.phase(), self.event());
        match self.below(18) {
            0..5 => self.tell("add", world.add(phase, event, self.name())),
            5 | 6 => self.tell("when running", world.call_when_running(self.name())),
            7 | 8 => self.tell("remove", world.remove(self.number())),
            9..12 => self.tell("finish", world.finish(self.number())),
            12 => self.tell("fire", world.fire_event(event)),
            13 => self.tell("start", world.start()),
            14 | 15 => self.tell("stop", world.stop()),
            16 => self.tell("crash", world.crash()),
            _ if world.ports() == 0 => self.tell("listen", world.listen(self.name())),
            _ => {}
        }
    }

    fn tell(&self, what: &str, result: Result) {
        self.note(format!("{what}: {result:?}"));
    }

    fn phase(&self) -> Phase {
        [Phase::Before, Phase::During, Phase::After][self.below(3) as usize]
    }

    fn event(&self) -> Event {
        [Event::Startup, Event::Shutdown][self.below(2) as usize]
    }

    fn name(self: &Arc<Self>) -> Name {
        let mut state = self.state();
        let number = state.ids.len();
        state.ids.push(0);
        state.record.push(format!("made {number}"));
        Name { number, program: self.clone() }
    }

    /// That of any name so far, or of none.
    fn number(&self) -> usize {
        let names = self.state().ids.len() as u64;
        self.below(names + 1) as usize
    }
}
