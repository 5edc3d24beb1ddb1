//! The queue of calls from other threads, compared with a simple model: a list that each turn takes completely.

mod support;

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;
use support::{ClosureCall, TIMEOUT, Xorshift, turn_until};
use udpr::reactor::{Reactor, Remote, Trigger};
use udpr::status::{Result, Status};
use udpr::trigger::{Event, Phase};

fn reactor() -> Reactor<ClosureCall> {
    Reactor::new(0, 0, 0).expect("a reactor")
}

// ---- one thread, random interleavings -------------------------------------------------------------------------------------

/// A call: its number, and how many calls it makes when it runs, each of which makes one less.
#[derive(Clone, Copy)]
struct ModelCall {
    number: usize,
    children: usize,
}

#[derive(Default)]
struct Shared {
    created: AtomicUsize,
    called: Mutex<Vec<usize>>,
    dropped: Mutex<Vec<usize>>,
}

/// Part of a call, and records its drop. Dropped without being called, it makes a call itself, which is rejected.
struct DropGuard {
    number: usize,
    shared: Arc<Shared>,
    remote: Arc<Remote<ClosureCall>>,
    called: bool,
}

impl Drop for DropGuard {
    fn drop(&mut self) {
        self.shared.dropped.lock().expect("no panic").push(self.number);
        if !self.called {
            assert_eq!(self.remote.call(ClosureCall::new(|_| ())), Err(Status::CLOSED));
        }
    }
}

fn call(remote: &Arc<Remote<ClosureCall>>, shared: &Arc<Shared>, children: usize) -> (ModelCall, Result) {
    let number = shared.created.fetch_add(1, Ordering::Relaxed);
    let (remote, shared) = (remote.clone(), shared.clone());
    let mut guard = DropGuard { number, shared, remote: remote.clone(), called: false };
    let later = ClosureCall::new(move |_| {
        guard.called = true;
        guard.shared.called.lock().expect("no panic").push(number);
        for _ in 0..children {
            assert_eq!(call(&guard.remote, &guard.shared, children - 1).1, Ok(()));
        }
    });
    (ModelCall { number, children }, remote.call(later))
}

struct Run {
    reactor: Reactor<ClosureCall>,
    shared: Arc<Shared>,
    random: Xorshift,
    /// The model: the calls that wait for the next turn, those that were called, and whether the next wait ends at once.
    queue: VecDeque<ModelCall>,
    called: Vec<usize>,
    woken: bool,
}

impl Run {
    fn new(seed: u64) -> Run {
        let (queue, called) = (VecDeque::new(), Vec::new());
        Run {
            reactor: reactor(),
            shared: Arc::default(),
            random: Xorshift(seed),
            queue,
            called,
            woken: false,
        }
    }

    fn call(&mut self) {
        let children = self.random.below(4) as usize;
        let (call, result) = call(&self.reactor.remote, &self.shared, children);
        assert_eq!(result, Ok(()));
        self.queue.push_back(call);
        self.woken = true;
    }

    fn wake(&mut self) {
        assert_eq!(self.reactor.remote.shared.wake(), Ok(()));
        self.woken = true;
    }

    /// Waits long if a wake-up is expected. A lost wake-up would show in the counter.
    fn turn(&mut self) {
        let before = self.reactor.get_stats().wakeups;
        let timeout = if self.woken { TIMEOUT.as_nanos() as u64 } else { 0 };
        self.reactor.iterate(Some(timeout)).expect("a turn");
        assert_eq!(self.reactor.get_stats().wakeups - before, u64::from(self.woken));
        self.run_model_turn();
        self.compare();
    }

    /// A run that stops in its first turn.
    fn run(&mut self) {
        assert_eq!(self.reactor.remote.shared.request_stop(), Err(Status::NOT_RUNNING));
        let remote = self.reactor.remote.clone();
        let stop = move |_: &_| assert_eq!(remote.shared.request_stop(), Ok(()));
        self.reactor.call_later(0, ClosureCall::new(stop)).expect("an open reactor");
        // Delayed calls run after those from threads, so the stop takes effect in the next turn.
        self.reactor.run().expect("a run");
        self.run_model_turn();
        self.run_model_turn();
        self.compare();
    }

    /// The model's turn.
    fn run_model_turn(&mut self) {
        self.woken = false;
        let mut next = self.called.len() + self.queue.len();
        for call in std::mem::take(&mut self.queue) {
            self.called.push(call.number);
            for _ in 0..call.children {
                self.queue.push_back(ModelCall { number: next, children: call.children - 1 });
                next += 1;
                self.woken = true;
            }
        }
    }

    fn compare(&self) {
        assert_eq!(*self.shared.called.lock().expect("no panic"), self.called);
    }

    fn check(mut self, steps: usize) {
        for _ in 0..steps {
            match self.random.below(10) {
                0..4 => self.call(),
                4 => self.wake(),
                5 => self.run(),
                _ => self.turn(),
            }
        }
        self.call();
        self.reactor.close();
        assert_eq!(call(&self.reactor.remote, &self.shared, 0).1, Err(Status::CLOSED));
        self.compare();
        let mut dropped = std::mem::take(&mut *self.shared.dropped.lock().expect("no panic"));
        dropped.sort_unstable();
        assert!(dropped.into_iter().eq(0..self.shared.created.load(Ordering::Relaxed)), "once each");
    }
}

#[test]
fn random_operations_match_the_model() {
    for seed in 1..=200 {
        Run::new(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed)).check(200);
    }
}

// ---- many threads ---------------------------------------------------------------------------------------------------------

const PRODUCERS: usize = 4;
const EACH: usize = 100_000;

/// How many calls of each producer were called and dropped.
#[derive(Default)]
struct Arrived {
    called: [AtomicUsize; PRODUCERS],
    dropped: AtomicUsize,
}

struct Item {
    producer: usize,
    number: usize,
    arrived: Arc<Arrived>,
}

impl Item {
    fn called(self) {
        let next = self.arrived.called[self.producer].fetch_add(1, Ordering::Relaxed);
        assert_eq!(next, self.number, "out of order");
    }
}

impl Drop for Item {
    fn drop(&mut self) {
        self.arrived.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

/// Makes calls. After the first rejected one, all are rejected. Returns how many were accepted.
fn produce(remote: &Remote<ClosureCall>, arrived: &Arc<Arrived>, producer: usize) -> usize {
    let mut random = Xorshift(producer as u64 + 1);
    let mut accepted = 0;
    for number in 0..EACH {
        let item = Item { producer, number, arrived: arrived.clone() };
        match remote.call(ClosureCall::new(move |_| item.called())) {
            Ok(()) => assert_eq!(std::mem::replace(&mut accepted, number + 1), number),
            refused => assert_eq!(refused, Err(Status::CLOSED)),
        }
        // Sometimes the queue becomes empty, and the reactor sleeps.
        if random.below(200) == 0 {
            thread::yield_now();
        }
    }
    accepted
}

/// Runs producers while `consume` uses the reactor. Returns how many calls of each producer were accepted.
fn with_producers(
    reactor: &Reactor<ClosureCall>,
    arrived: &Arc<Arrived>,
    consume: impl FnOnce(&Reactor<ClosureCall>),
) -> Vec<usize> {
    let remote = &reactor.remote;
    thread::scope(|scope| {
        let threads: Vec<_> =
            (0..PRODUCERS).map(|producer| scope.spawn(move || produce(remote, arrived, producer))).collect();
        consume(reactor);
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    })
}

impl Arrived {
    fn total(&self) -> usize {
        self.called.iter().map(|called| called.load(Ordering::Relaxed)).sum()
    }
}

#[test]
fn calls_of_four_producers_arrive_completely_and_in_order() {
    let (reactor, arrived) = (reactor(), Arc::new(Arrived::default()));
    let accepted = with_producers(&reactor, &arrived, |reactor| {
        turn_until(reactor, || arrived.total() == PRODUCERS * EACH);
    });
    assert_eq!(accepted, [EACH; PRODUCERS]);
    assert_eq!(reactor.get_stats().calls_from_thread, (PRODUCERS * EACH) as u64);
    assert_eq!(arrived.dropped.load(Ordering::Relaxed), PRODUCERS * EACH);
    reactor.close();
}

#[test]
fn the_reactor_closes_while_producers_call() {
    let (reactor, arrived) = (reactor(), Arc::new(Arrived::default()));
    let mut called = 0;
    let accepted = with_producers(&reactor, &arrived, |reactor| {
        turn_until(reactor, || arrived.total() > EACH / 10);
        reactor.close();
        called = arrived.total();
    });
    assert_eq!(arrived.total(), called, "the end calls nothing");
    assert!(accepted.iter().sum::<usize>() >= called);
    assert_eq!(arrived.dropped.load(Ordering::Relaxed), PRODUCERS * EACH);
}

fn wait_until(done: impl Fn() -> bool) {
    let end = Instant::now() + TIMEOUT;
    while !done() {
        assert!(Instant::now() < end, "timed out");
        thread::yield_now();
    }
}

/// Each stop is requested at another point of a turn.
#[test]
fn a_stop_is_never_lost() {
    const RUNS: usize = 2000;
    let (reactor, runs) = (reactor(), AtomicUsize::new(0));
    thread::scope(|scope| {
        let (remote, ended) = (&reactor.remote, &runs);
        let stopper = scope.spawn(move || {
            for run in 0..RUNS {
                wait_until(|| remote.shared.request_stop() == Ok(()));
                wait_until(|| ended.load(Ordering::Acquire) > run);
            }
        });
        for _ in 0..RUNS {
            let lost = ClosureCall::new(|_| panic!("a stop was lost"));
            let guard = reactor.call_later(TIMEOUT.as_nanos() as u64, lost).expect("an open reactor");
            reactor.run().expect("a run");
            reactor.cancel_call(guard).expect("it has not been called");
            runs.fetch_add(1, Ordering::Release);
        }
        stopper.join().expect("no panic");
    });
    reactor.close();
}

/// A stop that is requested while a run ends does not affect the next run.
#[test]
fn a_stop_is_for_its_own_run() {
    let reactor = reactor();
    reactor.add_trigger(Phase::Before, Event::Shutdown, Rc::new(StopAgain)).expect("an open reactor");
    for _ in 0..3 {
        let turns = Arc::new(AtomicUsize::new(0));
        count_down(&reactor, turns.clone());
        reactor.run().expect("a run");
        assert_eq!(turns.load(Ordering::Relaxed), 5);
    }
    reactor.close();
}

struct StopAgain;

impl Trigger<ClosureCall> for StopAgain {
    fn fire(&self, reactor: &Reactor<ClosureCall>, _: u64) -> Status {
        assert_eq!(reactor.remote.shared.request_stop(), Ok(()));
        Status::OK
    }
}

/// Stops in the fifth turn.
fn count_down(reactor: &Reactor<ClosureCall>, turns: Arc<AtomicUsize>) {
    let later = ClosureCall::new(move |reactor| match turns.fetch_add(1, Ordering::Relaxed) {
        4 => reactor.stop().expect("it runs"),
        _ => count_down(reactor, turns),
    });
    reactor.call_later(0, later).expect("an open reactor");
}
