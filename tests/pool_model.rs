//! The thread pool, compared with a simple model: waiting tasks begin in order, as soon as fewer tasks run than the size allows.
//!
//! Every task runs until the test releases it, so the test knows at each moment which tasks must have begun.

#[path = "support/random.rs"]
#[allow(dead_code, reason = "this test needs no shared generator")]
mod random;

use random::Xorshift;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use udpr::status::Status;
use udpr::threads::{Pool, SIZE_DEFAULT, SIZE_MAX, Task};

/// How long anything may take before a test fails.
const TIMEOUT: Duration = Duration::from_secs(20);
/// The tests run one at a time, since they count the threads of this process.
static EXCLUSIVE: Mutex<()> = Mutex::new(());

#[derive(Debug, PartialEq)]
enum TaskEvent {
    Began(usize),
    Ended(usize),
}

#[derive(Default)]
struct Counts {
    ended: AtomicUsize,
    dropped: AtomicUsize,
}

/// A task that runs until the sender of `release` is dropped.
struct Job {
    number: usize,
    release: Receiver<()>,
    events: Sender<TaskEvent>,
    counts: Arc<Counts>,
}

impl Task for Job {
    fn run(self: Box<Self>) {
        self.events.send(TaskEvent::Began(self.number)).expect("the test listens");
        let _ = self.release.recv();
        self.counts.ended.fetch_add(1, Ordering::Relaxed);
        self.events.send(TaskEvent::Ended(self.number)).expect("the test listens");
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.counts.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

/// Counts the pool's threads in this process by their name.
fn threads() -> usize {
    let tasks = fs::read_dir("/proc/self/task").expect("proc(5)");
    // A thread may end between the two reads.
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name == "udpr\n").count()
}

fn wait_until(what: &str, done: impl Fn() -> bool) {
    let end = Instant::now() + TIMEOUT;
    while !done() {
        assert!(Instant::now() < end, "timed out: {what}");
        thread::yield_now();
    }
}

struct Run {
    pool: Pool,
    random: Xorshift,
    events: (Sender<TaskEvent>, Receiver<TaskEvent>),
    counts: Arc<Counts>,
    submitted: usize,
    /// The model: the tasks that run and those that wait, each with the sender that releases it.
    size: usize,
    running: BTreeMap<usize, Sender<()>>,
    queue: VecDeque<(usize, Sender<()>)>,
}

impl Run {
    fn new(seed: u64) -> Run {
        let mut random = Xorshift(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed));
        let size = 1 + random.below(5) as usize;
        Run {
            pool: Pool::new(size).expect("a valid size"),
            random,
            events: mpsc::channel(),
            counts: Arc::default(),
            submitted: 0,
            size,
            running: BTreeMap::new(),
            queue: VecDeque::new(),
        }
    }

    fn submit(&mut self) {
        let number = self.submitted;
        self.submitted += 1;
        let (releaser, release) = mpsc::channel();
        let (events, counts) = (self.events.0.clone(), self.counts.clone());
        assert!(self.pool.submit(Box::new(Job { number, release, events, counts })).is_ok());
        self.queue.push_back((number, releaser));
        self.check_begun();
    }

    fn release(&mut self) {
        if let Some(number) = self.any_running() {
            self.running.remove(&number);
            assert_eq!(self.next_event(), TaskEvent::Ended(number));
            self.check_begun();
        }
    }

    fn any_running(&mut self) -> Option<usize> {
        let at = self.random.below(self.running.len().max(1) as u64) as usize;
        self.running.keys().nth(at).copied()
    }

    fn set_size(&mut self) {
        let size = self.random.below(7) as usize;
        assert_eq!(self.pool.set_size(SIZE_MAX + 1 + size), Err(Status::INVALID_ARGUMENT));
        assert_eq!(self.pool.set_size(size), Ok(()));
        self.size = if size == 0 { SIZE_DEFAULT } else { size };
        self.check_begun();
    }

    fn next_event(&self) -> TaskEvent {
        self.events.1.recv_timeout(TIMEOUT).expect("an event in time")
    }

    /// Moves tasks of the model from the queue to the running ones, and checks that the pool has begun the same tasks.
    fn check_begun(&mut self) {
        let mut expected = BTreeSet::new();
        while self.running.len() < self.size {
            let Some((number, releaser)) = self.queue.pop_front() else { break };
            self.running.insert(number, releaser);
            expected.insert(number);
        }
        // The events of tasks that begin at the same time may have any order.
        while !expected.is_empty() {
            let TaskEvent::Began(number) = self.next_event() else { panic!("one ended by itself") };
            assert!(expected.remove(&number), "{number} has begun");
        }
        assert!(self.events.1.try_recv().is_err(), "too many have begun");
        let limit = self.running.len().max(self.size);
        wait_until("threads above the size end", || threads() <= limit);
    }

    /// Closes the pool while another thread releases the running tasks. More tasks may begin meanwhile.
    fn close(self) {
        let ending: Vec<_> = self.running.into_values().collect();
        let (waiting, queue): (Vec<_>, Vec<_>) =
            self.queue.into_iter().map(|(number, releaser)| (releaser, number)).unzip();
        let before = self.counts.ended.load(Ordering::Relaxed);
        let must_end = ending.len();
        let releasing = thread::spawn(move || {
            ending.into_iter().for_each(|releaser| {
                thread::yield_now();
                drop(releaser);
            });
            drop(waiting);
        });
        let not_begun = self.pool.close().len();
        assert!(self.counts.ended.load(Ordering::Relaxed) >= before + must_end, "it did not wait");
        releasing.join().expect("no panic");
        // The tasks that have begun meanwhile are the first ones of the queue.
        drop(self.events.0);
        let events = std::iter::from_fn(|| self.events.1.recv_timeout(TIMEOUT).ok());
        let begun = events.filter_map(|event| match event {
            TaskEvent::Began(number) => Some(number),
            TaskEvent::Ended(_) => None,
        });
        let begun: BTreeSet<usize> = begun.collect();
        assert!(begun.into_iter().eq(queue[..queue.len() - not_begun].iter().copied()));
        assert_eq!(self.counts.dropped.load(Ordering::Relaxed), self.submitted);
        wait_until("its threads end", || threads() == 0);
    }

    fn check(mut self, steps: usize) {
        for _ in 0..steps {
            match self.random.below(9) {
                0..4 if self.queue.len() < 8 => self.submit(),
                8 => self.set_size(),
                _ => self.release(),
            }
        }
        (0..self.random.below(8)).for_each(|_| self.submit());
        self.close();
    }
}

#[test]
fn random_operations_match_the_model() {
    let _exclusive = EXCLUSIVE.lock();
    for seed in 1..=60 {
        Run::new(seed).check(100);
    }
}

/// The address space in kB. Each thread's stack takes 2048 kB.
fn address_space() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("proc(5)");
    let line = status.lines().find_map(|line| line.strip_prefix("VmSize:")).expect("a VmSize");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn threads_that_ended_leave_nothing() {
    let _exclusive = EXCLUSIVE.lock();
    let mut run = Run::new(1);
    let mut grow_and_shrink = || {
        assert_eq!(run.pool.set_size(4), Ok(()));
        run.size = 4;
        (0..4).for_each(|_| run.submit());
        (0..4).for_each(|_| run.release());
        assert_eq!(run.pool.set_size(1), Ok(()));
        run.size = 1;
        wait_until("threads above the size end", || threads() <= 1);
    };
    (0..20).for_each(|_| grow_and_shrink());
    let before = address_space();
    (0..200).for_each(|_| grow_and_shrink());
    let grown = address_space().saturating_sub(before);
    assert!(grown < 200 * 2048, "{grown} kB more, after 600 more threads");
    run.close();
}
