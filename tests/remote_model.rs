//! The queue that other threads fill, against a model that is too simple to be wrong: a list that each turn takes whole.

mod support;

use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Instant;
use support::{ClosureCall, TIMEOUT, turn_until};
use udpr::reactor::{Reactor, Remote, Trigger};
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

fn reactor() -> Reactor<ClosureCall> {
    Reactor::new(0, 0).expect("a reactor")
}

// ---- one thread, every interleaving -------------------------------------------------------------------------------------

/// A call: its number, and how many calls it makes in its turn, each of which makes one less.
#[derive(Clone, Copy)]
struct Deed {
    number: usize,
    children: usize,
}

#[derive(Default)]
struct Shared {
    made: AtomicUsize,
    called: Mutex<Vec<usize>>,
    dropped: Mutex<Vec<usize>>,
}

/// Goes with a call, and sees it dropped; a destructor that calls is refused after the end.
struct Guard {
    number: usize,
    shared: Arc<Shared>,
    remote: Arc<Remote<ClosureCall>>,
    called: bool,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.shared.dropped.lock().expect("no panic").push(self.number);
        if !self.called {
            assert_eq!(self.remote.call(ClosureCall::new(|_| ())), Err(Status::CLOSED));
        }
    }
}

fn call(remote: &Arc<Remote<ClosureCall>>, shared: &Arc<Shared>, children: usize) -> (Deed, Result) {
    let number = shared.made.fetch_add(1, Ordering::Relaxed);
    let (remote, shared) = (remote.clone(), shared.clone());
    let mut guard = Guard { number, shared, remote: remote.clone(), called: false };
    let later = ClosureCall::new(move |_| {
        guard.called = true;
        guard.shared.called.lock().expect("no panic").push(number);
        for _ in 0..children {
            assert_eq!(call(&guard.remote, &guard.shared, children - 1).1, Ok(()));
        }
    });
    (Deed { number, children }, remote.call(later))
}

struct Run {
    reactor: Reactor<ClosureCall>,
    shared: Arc<Shared>,
    random: Random,
    /// The model: what waits for the next turn, what was called, and whether the next wait ends at once.
    queue: VecDeque<Deed>,
    called: Vec<usize>,
    woken: bool,
}

impl Run {
    fn new(seed: u64) -> Run {
        let (queue, called) = (VecDeque::new(), Vec::new());
        Run { reactor: reactor(), shared: Arc::default(), random: Random(seed), queue, called, woken: false }
    }

    fn call(&mut self) {
        let children = self.random.below(4) as usize;
        let (deed, result) = call(&self.reactor.remote, &self.shared, children);
        assert_eq!(result, Ok(()));
        self.queue.push_back(deed);
        self.woken = true;
    }

    fn wake(&mut self) {
        assert_eq!(self.reactor.remote.shared.wake(), Ok(()));
        self.woken = true;
    }

    /// Waits for long where it was woken: a wake-up that got lost would be seen by the counter.
    fn turn(&mut self) {
        let before = self.reactor.get_stats().wakeups;
        let timeout = if self.woken { TIMEOUT.as_nanos() as u64 } else { 0 };
        self.reactor.iterate(Some(timeout)).expect("a turn");
        assert_eq!(self.reactor.get_stats().wakeups - before, u64::from(self.woken));
        self.follow();
        self.compare();
    }

    /// A run that stops in its first turn.
    fn run(&mut self) {
        assert_eq!(self.reactor.remote.shared.request_stop(), Err(Status::NOT_RUNNING));
        let remote = self.reactor.remote.clone();
        let stop = move |_: &_| assert_eq!(remote.shared.request_stop(), Ok(()));
        self.reactor.call_later(0, ClosureCall::new(stop)).expect("an open reactor");
        // The delayed call comes after those from threads, and what it asks for comes in the turn behind.
        self.reactor.run().expect("a run");
        self.follow();
        self.follow();
        self.compare();
    }

    /// The model's turn.
    fn follow(&mut self) {
        self.woken = false;
        let mut next = self.called.len() + self.queue.len();
        for deed in std::mem::take(&mut self.queue) {
            self.called.push(deed.number);
            for _ in 0..deed.children {
                self.queue.push_back(Deed { number: next, children: deed.children - 1 });
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
        assert!(dropped.into_iter().eq(0..self.shared.made.load(Ordering::Relaxed)), "once each");
    }
}

#[test]
fn as_the_model_says() {
    for seed in 1..=200 {
        Run::new(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed)).check(200);
    }
}

// ---- many threads ---------------------------------------------------------------------------------------------------------

const PRODUCERS: usize = 4;
const EACH: usize = 100_000;

/// What has come of each producer's calls, which are numbered.
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

/// Calls until it is refused, and is refused from then on; says how many were accepted.
fn produce(remote: &Remote<ClosureCall>, arrived: &Arc<Arrived>, producer: usize) -> usize {
    let mut random = Random(producer as u64 + 1);
    let mut accepted = 0;
    for number in 0..EACH {
        let item = Item { producer, number, arrived: arrived.clone() };
        match remote.call(ClosureCall::new(move |_| item.called())) {
            Ok(()) => assert_eq!(std::mem::replace(&mut accepted, number + 1), number),
            refused => assert_eq!(refused, Err(Status::CLOSED)),
        }
        // Sometimes the queue runs dry, and the reactor sleeps.
        if random.below(200) == 0 {
            thread::yield_now();
        }
    }
    accepted
}

/// Producers at work while `consume` uses the reactor; the answer is what each one's calls were accepted.
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
fn four_producers_arrive_whole_and_in_order() {
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
fn the_end_comes_between() {
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
        assert!(Instant::now() < end, "in vain");
        thread::yield_now();
    }
}

/// Each of them finds the reactor at another point of its turn.
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

/// One that came when the run was about to end anyway.
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
