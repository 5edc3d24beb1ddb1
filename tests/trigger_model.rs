//! Startup and shutdown against a model that is too simple to be wrong.
//!
//! The same random program runs twice, on the model and on a reactor, and acts from outside, from delayed calls and from
//! inside triggers. Each time it keeps a record of what was asked, answered, called and dropped: they must be equal.

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
use trigger_model::program::{Name, Program, World};
use udpr::log::{Level, Log};
use udpr::port::Options;
use udpr::reactor::{Reactor, Trigger};
use udpr::status::{Result, Status};
use udpr::trigger::{Event, Phase};

thread_local! {
    /// For ports, which are not told of their reactor when they stop.
    static REACTOR: RefCell<Weak<Reactor<ClosureCall>>> = RefCell::default();
}

/// A reactor, as the program sees it from outside and in each callback.
struct Real<'a> {
    reactor: &'a Reactor<ClosureCall>,
    program: &'a Arc<Program>,
}

impl World for Real<'_> {
    fn add(&self, phase: Phase, event: Event, name: Name) -> Result {
        let number = name.number;
        let id = self.reactor.add_trigger(phase, event, Rc::new(name))?;
        self.program.call_it(number, id);
        Ok(())
    }

    fn call_when_running(&self, name: Name) -> Result {
        let number = name.number;
        let call = ClosureCall::new(move |reactor| {
            name.called(&Real { reactor, program: &name.program });
        });
        if let Some(id) = self.reactor.call_when_running(call)? {
            self.program.call_it(number, id);
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

    fn listen(&self, name: Name) -> Result {
        let stop = move |_: &_| {
            let reactor = REACTOR.with_borrow(Weak::upgrade).expect("it outlives its ports");
            name.stopped(&Real { reactor: &reactor, program: &name.program });
        };
        let protocol = ClosureProtocol::new(&Rc::new(CallbackRecord::default())).on_stop(stop);
        listen(self.reactor, &Options::default(), protocol).map(drop)
    }

    fn tick_later(&self, left: usize) {
        let program = self.program.clone();
        let tick =
            move |reactor: &Reactor<ClosureCall>| program.tick(&Real { reactor, program: &program }, left);
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

impl Trigger<ClosureCall> for Name {
    fn fire(&self, reactor: &Reactor<ClosureCall>, id: u64) -> Status {
        assert_eq!(id, self.program.id(self.number));
        self.called(&Real { reactor, program: &self.program })
    }
}

/// What the reactor says of failed triggers.
struct Said(Arc<Program>);

impl Log for Said {
    fn log(&self, _: Level, status: Status, _: &CStr, _: &CStr) {
        self.0.note(format!("failed: {status:?}"));
    }
}

fn on_the_reactor(seed: u64) -> Vec<String> {
    let program = Program::new(seed);
    let reactor = Rc::new(Reactor::new(0, 0).expect("a reactor"));
    REACTOR.set(Rc::downgrade(&reactor));
    drop(reactor.context().log.set(Level::Error as u32, Some(Rc::new(Said(program.clone())))));
    program.run(&Real { reactor: &reactor, program: &program });
    program.record()
}

fn on_the_model(seed: u64) -> Vec<String> {
    let program = Program::new(seed);
    program.run(&Model::new(program.clone()));
    program.record()
}

/// Whatever was made was dropped, once.
fn check_drops(record: &[String]) {
    let numbers = |what: &str| {
        let mut numbers: Vec<&str> = record.iter().filter_map(|note| note.strip_prefix(what)).collect();
        numbers.sort_unstable();
        numbers
    };
    assert_eq!(numbers("made "), numbers("dropped "));
}

fn compare(seed: u64) -> Vec<String> {
    let (real, model) = (on_the_reactor(seed), on_the_model(seed));
    let same = real.iter().zip(&model).take_while(|(real, model)| real == model).count();
    let next = (real.get(same), model.get(same));
    assert_eq!(next.0, next.1, "seed {seed}, on the reactor and on the model, after {:#?}", &real[..same]);
    check_drops(&real);
    real
}

/// What must come often for the comparison to be worth anything.
const OFTEN: [&str; 15] = [
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
fn two_thousand_programs() {
    let diaries: Vec<Vec<String>> = (1..2001).map(compare).collect();
    for what in OFTEN {
        let count = diaries.iter().flatten().filter(|note| note.starts_with(what)).count();
        assert!(count > 500, "{what:?} came {count} times");
    }
}
