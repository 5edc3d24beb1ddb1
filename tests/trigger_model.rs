//! Startup and shutdown, compared with a simple model.
//!
//! The same random program runs twice, on the model and on a reactor, and makes calls from outside, from delayed calls and
//! from triggers. Each time it records all calls, results, callbacks and drops: the two records must be equal.

mod support;
mod trigger_model {
    pub(crate) mod model;
    pub(crate) mod program;
}

use std::cell::RefCell;
use std::ffi::CStr;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use support::{CallbackRecord, ClosureCall, ClosureProtocol, listen};
use trigger_model::model::Model;
use trigger_model::program::{Callback, Program, World};
use udpr::log::{Level, Log};
use udpr::port::Options;
use udpr::reactor::{Reactor, Trigger};
use udpr::status::{Result, Status};
use udpr::trigger::{Event, Phase};

thread_local! {
    /// For `stop_protocol`, which does not receive the reactor.
    static REACTOR: RefCell<Weak<Reactor<ClosureCall>>> = RefCell::default();
}

/// A reactor, used from outside or in a callback.
struct RealWorld<'a> {
    reactor: &'a Reactor<ClosureCall>,
    program: &'a Arc<Program>,
}

impl World for RealWorld<'_> {
    fn add(&self, phase: Phase, event: Event, callback: Callback) -> Result {
        let number = callback.number;
        let id = self.reactor.add_trigger(phase, event, Rc::new(callback))?;
        self.program.set_id(number, id);
        Ok(())
    }

    fn call_when_running(&self, callback: Callback) -> Result {
        let number = callback.number;
        let call = ClosureCall::new(move |reactor| {
            callback.run(&RealWorld { reactor, program: &callback.program });
        });
        if let Some(id) = self.reactor.call_when_running(call)? {
            self.program.set_id(number, id);
        }
        Ok(())
    }

    fn remove(&self, number: usize) -> Result {
        self.reactor.remove_trigger(self.program.id(number))
    }

    fn finish(&self, number: usize) -> Result {
        self.reactor.finish_trigger(self.program.id(number))
    }

    fn fire_event(&self, event: Event) -> Result {
        self.reactor.fire_event(event)
    }

    fn start(&self) -> Result {
        self.reactor.start()
    }

    fn stop(&self) -> Result {
        self.reactor.stop()
    }

    fn crash(&self) -> Result {
        self.reactor.crash()
    }

    fn is_running(&self) -> bool {
        self.reactor.context().shared.is_running()
    }

    fn ports(&self) -> usize {
        let mut count = 0;
        self.reactor.each_transport(|_| count += 1);
        count
    }

    fn listen(&self, callback: Callback) -> Result {
        let stop = move |_: &_| {
            let reactor = REACTOR.with_borrow(Weak::upgrade).expect("it outlives its ports");
            callback.stopped(&RealWorld { reactor: &reactor, program: &callback.program });
        };
        let protocol = ClosureProtocol::new(&Rc::new(CallbackRecord::default())).on_stop(stop);
        listen(self.reactor, &Options::default(), protocol).map(drop)
    }

    fn tick_later(&self, left: usize) {
        let program = self.program.clone();
        let tick = move |reactor: &Reactor<ClosureCall>| {
            program.tick(&RealWorld { reactor, program: &program }, left)
        };
        self.reactor.call_later(0, ClosureCall::new(tick)).expect("an open reactor");
    }

    fn turn(&self) -> Result {
        self.reactor.iterate(Some(0))
    }

    fn run(&self) -> Result {
        self.reactor.run()
    }

    fn close(&self) {
        self.reactor.close();
    }
}

impl Trigger<ClosureCall> for Callback {
    fn fire(&self, reactor: &Reactor<ClosureCall>, id: u64) -> Status {
        assert_eq!(id, self.program.id(self.number));
        self.run(&RealWorld { reactor, program: &self.program })
    }
}

/// Records the failures of triggers that the reactor logs.
struct FailureLog(Arc<Program>);

impl Log for FailureLog {
    fn log(&self, _: Level, status: Status, _: &CStr, _: &CStr) {
        self.0.note(format!("failed: {status:?}"));
    }
}

fn run_on_reactor(seed: u64) -> Vec<String> {
    let program = Program::new(seed);
    let reactor = Rc::new(Reactor::new(0, 0, 0).expect("a reactor"));
    REACTOR.set(Rc::downgrade(&reactor));
    drop(reactor.context().log.set(Level::Error as u32, Some(Rc::new(FailureLog(program.clone())))));
    program.run(&RealWorld { reactor: &reactor, program: &program });
    program.record()
}

fn run_on_model(seed: u64) -> Vec<String> {
    let program = Program::new(seed);
    program.run(&Model::new(program.clone()));
    program.record()
}

/// Every callback that was created was dropped once.
fn check_drops(record: &[String]) {
    let numbers = |what: &str| {
        let mut numbers: Vec<&str> = record.iter().filter_map(|note| note.strip_prefix(what)).collect();
        numbers.sort_unstable();
        numbers
    };
    assert_eq!(numbers("created "), numbers("dropped "));
}

fn compare(seed: u64) -> Vec<String> {
    let (real, model) = (run_on_reactor(seed), run_on_model(seed));
    let same = real.iter().zip(&model).take_while(|(real, model)| real == model).count();
    let next = (real.get(same), model.get(same));
    assert_eq!(next.0, next.1, "seed {seed}, on the reactor and on the model, after {:#?}", &real[..same]);
    check_drops(&real);
    real
}

/// Entries of the record that must be frequent, since otherwise the comparison proves little.
const FREQUENT: [&str; 15] = [
    "add: Ok",
    "when running: Ok",
    "call ",
    "failed: ",
    "remove: Ok",
    "finish: Ok",
    "finish: Err",
    "fire: Ok",
    "fire: Err",
    "start: Ok",
    "start: Err",
    "stop: Ok",
    "crash: Ok",
    "run: Ok",
    "port ",
];

#[test]
fn two_thousand_random_programs_match_the_model() {
    let records: Vec<Vec<String>> = (1..2001).map(compare).collect();
    for what in FREQUENT {
        let count = records.iter().flatten().filter(|note| note.starts_with(what)).count();
        assert!(count > 500, "{what:?} occurs {count} times");
    }
}
