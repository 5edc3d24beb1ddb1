//! The thread pool: up to `size` threads, made when they are needed.

use crate::refusal;
use crate::status::{Result, Status};
use crate::sys::{Mutex, Semaphore, thread};
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

/// The default size of a pool: Twisted's.
pub const SIZE_DEFAULT: usize = 10;
/// A larger number is a mistake of the caller's.
pub const SIZE_MAX: usize = 1024;

/// Work for a pool thread. It is dropped on the reactor's thread if the pool ends before it was begun.
pub trait Task: Send {
    /// Runs it, on a pool thread.
    fn run(self: Box<Self>);
}

/// A pool of threads.
pub struct Pool {
    shared: Arc<PoolShared>,
    handles: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct PoolShared {
    state: Mutex<PoolState>,
    /// The semaphore has one for each task in the queue, and one for each thread that may have to end.
    wanted: Semaphore,
}

#[derive(Default)]
struct PoolState {
    queue: VecDeque<Box<dyn Task>>,
    size: usize,
    threads: usize,
    /// Those that have begun.
    workers: Vec<usize>,
    idle: usize,
    closed: bool,
}

impl Pool {
    /// An empty pool of at most `size` threads; 0 stands for the default. INVALID_ARGUMENT above [`SIZE_MAX`].
    pub fn new(size: usize) -> Result<Pool> {
        let shared = Arc::<PoolShared>::default();
        shared.state.lock().size = checked(size)?;
        Ok(Pool { shared, handles: Vec::new() })
    }

    /// At most `size` threads from now on; 0 stands for the default. Threads above it end when they are idle.
    pub fn set_size(&mut self, size: usize) -> Result {
        let mut state = self.shared.state.lock();
        state.size = checked(size)?;
        let above = state.threads.saturating_sub(state.size);
        drop(state);
        (0..above).for_each(|_| self.shared.wanted.post());
        self.grow()
    }

    /// Queues a task. Returns it if there is no memory for it, or if there is no thread and none can be made.
    pub fn submit(&mut self, task: Box<dyn Task>) -> std::result::Result<(), Box<dyn Task>> {
        let mut state = self.shared.state.lock();
        if state.queue.try_reserve(1).is_err() {
            return Err(task);
        }
        state.queue.push_back(task);
        drop(state);
        self.shared.wanted.post();
        // NO_MEMORY: the threads that exist do the work.
        let _ = self.grow();
        let mut state = self.shared.state.lock();
        match state.threads {
            0 => state.queue.pop_back().map_or(Ok(()), Err),
            _ => Ok(()),
        }
    }

    /// True on a thread of this pool, which cannot wait for itself.
    pub fn is_worker(&self) -> bool {
        self.shared.state.lock().workers.contains(&thread::this_thread())
    }

    fn grow(&mut self) -> Result {
        loop {
            let mut state = self.shared.state.lock();
            if state.queue.len() <= state.idle || state.threads >= state.size {
                return Ok(());
            }
            state.threads += 1;
            state.idle += 1;
            drop(state);
            // Threads that have ended since the pool was made smaller: a thread keeps its stack until it is joined or
            // detached.
            self.handles.retain(|handle| !handle.is_finished());
            let shared = self.shared.clone();
            match thread::spawn(c"udpr", move || shared.serve()) {
                Ok(handle) => self.handles.push(handle),
                Err(_) => {
                    let mut state = self.shared.state.lock();
                    state.threads -= 1;
                    state.idle -= 1;
                    return Err(Status::NO_MEMORY);
                }
            }
        }
    }

    /// The end: waits for the tasks that run, and returns those that have not begun.
    pub fn close(self) -> VecDeque<Box<dyn Task>> {
        let mut state = self.shared.state.lock();
        state.closed = true;
        let queue = std::mem::take(&mut state.queue);
        (0..state.threads).for_each(|_| self.shared.wanted.post());
        drop(state);
        self.handles.into_iter().for_each(|handle| drop(handle.join()));
        queue
    }
}

impl PoolShared {
    fn serve(&self) {
        self.state.lock().workers.push(thread::this_thread());
        while let Some(task) = self.next() {
            // A panic is a bug of ours, and ends this task alone: the thread still has to be counted. The payload is
            // leaked, since its destructor could panic as well.
            let _ = catch_unwind(AssertUnwindSafe(|| task.run())).map_err(std::mem::forget);
            self.state.lock().idle += 1;
        }
    }

    /// Waits for a task, which makes the thread a busy one. Returns None if the thread has to end.
    fn next(&self) -> Option<Box<dyn Task>> {
        loop {
            self.wanted.wait();
            let mut state = self.state.lock();
            if state.closed || state.threads > state.size {
                self.leave(&mut state);
                return None;
            }
            if let Some(task) = state.queue.pop_front() {
                state.idle -= 1;
                return Some(task);
            }
        }
    }

    fn leave(&self, state: &mut PoolState) {
        state.idle -= 1;
        state.threads -= 1;
        state.workers.retain(|worker| *worker != thread::this_thread());
        // It may have been woken for a task that another thread has taken.
        self.wanted.post();
    }
}

fn checked(size: usize) -> Result<usize> {
    match size {
        0 => Ok(SIZE_DEFAULT),
        1..=SIZE_MAX => Ok(size),
        _ => Err(refusal::invalid("size", size as u64, "at most 1024")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    struct Job(Box<dyn FnOnce() + Send>);

    impl Task for Job {
        fn run(self: Box<Self>) {
            (self.0)();
        }
    }

    fn job(body: impl FnOnce() + Send + 'static) -> Box<dyn Task> {
        Box::new(Job(Box::new(body)))
    }

    #[test]
    fn grows_on_need_up_to_its_size() {
        let mut pool = Pool::new(3).unwrap();
        let (tell, seen) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let released = Arc::new(Mutex::new(released));
        for _ in 0..5 {
            let (tell, released) = (tell.clone(), released.clone());
            let body = move || {
                tell.send(std::thread::current().id()).unwrap();
                let _ = released.lock().recv();
            };
            assert!(pool.submit(job(body)).is_ok());
        }
        let first: Vec<_> = seen.iter().take(3).collect();
        assert_eq!(pool.shared.state.lock().threads, 3);
        assert!(first[0] != first[1] && first[1] != first[2] && first[0] != first[2]);
        drop(release);
        assert_eq!(seen.iter().take(2).count(), 2);
        assert!(pool.close().is_empty());
    }

    #[test]
    fn its_end_waits_for_work() {
        let mut pool = Pool::new(2).unwrap();
        let (began, begun) = mpsc::channel();
        let done = Arc::new(Mutex::new(0));
        for _ in 0..2 {
            let (began, mark) = (began.clone(), done.clone());
            let body = move || {
                began.send(()).unwrap();
                std::thread::yield_now();
                *mark.lock() += 1;
            };
            assert!(pool.submit(job(body)).is_ok());
        }
        assert_eq!(begun.iter().take(2).count(), 2);
        assert!(pool.close().is_empty());
        assert_eq!(*done.lock(), 2);
    }

    #[test]
    fn a_panic_ends_its_task_alone() {
        let mut pool = Pool::new(1).unwrap();
        let (tell, seen) = mpsc::channel();
        for number in 0..3 {
            let tell = tell.clone();
            let body = move || {
                tell.send(number).unwrap();
                std::panic::resume_unwind(Box::new(number)); // without the hook, which would print
            };
            assert!(pool.submit(job(body)).is_ok());
        }
        assert!(seen.iter().take(3).eq(0..3));
        assert!(pool.close().is_empty());
    }

    #[test]
    fn sizes() {
        assert_eq!(Pool::new(SIZE_MAX + 1).err(), Some(Status::INVALID_ARGUMENT));
        let mut pool = Pool::new(0).unwrap();
        assert_eq!(pool.set_size(SIZE_MAX + 1), Err(Status::INVALID_ARGUMENT));
        assert_eq!(pool.shared.state.lock().size, SIZE_DEFAULT);
        assert_eq!(pool.set_size(1), Ok(()));
    }
}
