//! The thread pool against a model that is too simple to be wrong: what waits begins in order, as soon as fewer run than may.
//!
//! Every task stays at work until the test lets it go, so it is known at each moment what must have begun.

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
/// One test at a time: they count this process's threads.
static ALONE: Mutex<()> = Mutex::new(());

/// Marsaglia's xorshift64: the same operations in every run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound
    }
}

#[derive(Debug, PartialEq)]
enum News {
    Began(usize),
    Ended(usize),
}

#[derive(Default)]
struct Counts {
    ended: AtomicUsize,
    dropped: AtomicUsize,
}

/// Works until its gate is gone.
struct Job {
    number: usize,
    start: Receiver<()>,
    news: Sender<News>,
    counts: Arc<Counts>,
}

impl Task for Job {
    fn run(self: Box<Self>) {
        self.news.send(News::Began(self.number)).expect("the test listens");
        let _ = self.start.recv();
        self.counts.ended.fetch_add(1, Ordering::Relaxed);
        self.news.send(News::Ended(self.number)).expect("the test listens");
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        self.counts.dropped.fetch_add(1, Ordering::Relaxed);
    }
}

/// The pool's threads in this process, by their name.
fn threads() -> usize {
    let tasks = fs::read_dir("/proc/self/task").expect("proc(5)");
    // A thread may be gone between the two looks.
    let names = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name == "udpr\n").count()
}

fn wait_until(what: &str, done: impl Fn() -> bool) {
    let end = Instant::now() + TIMEOUT;
    while !done() {
        assert!(Instant::now() < end, "in vain: {what}");
        thread::yield_now();
    }
}

struct Run {
    pool: Pool,
    random: Random,
    news: (Sender<News>, Receiver<News>),
    counts: Arc<Counts>,
    made: usize,
    /// The model: what runs, with its gate, and what waits.
    size: usize,
    running: BTreeMap<usize, Sender<()>>,
    queue: VecDeque<(usize, Sender<()>)>,
}

impl Run {
    fn new(seed: u64) -> Run {
        let mut random = Random(0x9E37_79B9_7F4A_7C15_u64.wrapping_mul(seed));
        let size = 1 + random.below(5);
        Run {
            pool: Pool::new(size).expect("a size that may be"),
            random,
            news: mpsc::channel(),
            counts: Arc::default(),
            made: 0,
            size,
            running: BTreeMap::new(),
            queue: VecDeque::new(),
        }
    }

    fn submit(&mut self) {
        let number = self.made;
        self.made += 1;
        let (opener, start) = mpsc::channel();
        let (news, counts) = (self.news.0.clone(), self.counts.clone());
        assert!(self.pool.submit(Box::new(Job { number, start, news, counts })).is_ok());
        self.queue.push_back((number, opener));
        self.see_begin();
    }

    fn release(&mut self) {
        if let Some(number) = self.any_running() {
            self.running.remove(&number);
            assert_eq!(self.next_news(), News::Ended(number));
            self.see_begin();
        }
    }

    fn any_running(&mut self) -> Option<usize> {
        let at = self.random.below(self.running.len().max(1));
        self.running.keys().nth(at).copied()
    }

    fn set_size(&mut self) {
        let size = self.random.below(7);
        assert_eq!(self.pool.set_size(SIZE_MAX + 1 + size), Err(Status::INVALID_ARGUMENT));
        assert_eq!(self.pool.set_size(size), Ok(()));
        self.size = if size == 0 { SIZE_DEFAULT } else { size };
        self.see_begin();
    }

    fn next_news(&self) -> News {
        self.news.1.recv_timeout(TIMEOUT).expect("news in time")
    }

    /// The model lets begin what may, and the pool must have done the same.
    fn see_begin(&mut self) {
        let mut expected = BTreeSet::new();
        while self.running.len() < self.size {
            let Some((number, opener)) = self.queue.pop_front() else { break };
            self.running.insert(number, opener);
            expected.insert(number);
        }
        // Those that begin together tell it in any order.
        while !expected.is_empty() {
            let News::Began(number) = self.next_news() else { panic!("one ended by itself") };
            assert!(expected.remove(&number), "{number} has begun");
        }
        assert!(self.news.1.try_recv().is_err(), "too many have begun");
        let most = self.running.len().max(self.size);
        wait_until("threads above the size end", || threads() <= most);
    }

    /// While the pool waits for its end, the test lets go of what runs; other tasks may begin meanwhile.
    fn close(self) {
        let ending: Vec<_> = self.running.into_values().collect();
        let (waiting, queue): (Vec<_>, Vec<_>) =
            self.queue.into_iter().map(|(number, opener)| (opener, number)).unzip();
        let before = self.counts.ended.load(Ordering::Relaxed);
        let must_end = ending.len();
        let opener = thread::spawn(move || {
            ending.into_iter().for_each(|start| {
                thread::yield_now();
                drop(start);
            });
            drop(waiting);
        });
        let not_begun = self.pool.close().len();
        assert!(self.counts.ended.load(Ordering::Relaxed) >= before + must_end, "it did not wait");
        opener.join().expect("no panic");
        // All that has begun was told of: what ran before, then the head of the queue.
        drop(self.news.0);
        let news = std::iter::from_fn(|| self.news.1.recv_timeout(TIMEOUT).ok());
        let begun = news.filter_map(|news| match news {
            News::Began(number) => Some(number),
            News::Ended(_) => None,
        });
        let begun: BTreeSet<usize> = begun.collect();
        assert!(begun.into_iter().eq(queue[..queue.len() - not_begun].iter().copied()));
        assert_eq!(self.counts.dropped.load(Ordering::Relaxed), self.made);
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
fn as_the_model_says() {
    let _exclusive = ALONE.lock();
    for seed in 1..=60 {
        Run::new(seed).check(100);
    }
}

/// Kilobytes of address space: each thread's stack takes 2048 of them.
fn address_space() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("proc(5)");
    let line = status.lines().find_map(|line| line.strip_prefix("VmSize:")).expect("a VmSize");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn threads_that_ended_leave_nothing() {
    let _exclusive = ALONE.lock();
    let mut run = Run::new(1);
    let mut breathe = || {
        assert_eq!(run.pool.set_size(4), Ok(()));
        run.size = 4;
        (0..4).for_each(|_| run.submit());
        (0..4).for_each(|_| run.release());
        assert_eq!(run.pool.set_size(1), Ok(()));
        run.size = 1;
        wait_until("threads above the size end", || threads() <= 1);
    };
    (0..20).for_each(|_| breathe());
    let before = address_space();
    (0..200).for_each(|_| breathe());
    let grown = address_space().saturating_sub(before);
    assert!(grown < 200 * 2048, "{grown} kB more, after 600 more threads");
    run.close();
}
