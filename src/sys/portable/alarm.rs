//! A descriptor that becomes readable at an instant: a thread that sleeps until then and writes to a pipe. It exists in a reactor
//! inside another loop only.

use super::fd::TolerantFd;
use super::{check, pipe, process_id};
use crate::sys::thread;
use crate::sys::unix::replace;
use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Makes an embedding loop, which waits on the poller alone, aware that a delayed call is due.
#[derive(Debug)]
pub struct Alarm {
    read_end: TolerantFd,
    timer: RefCell<Arc<Timer>>,
    /// The process that has the thread.
    process: Cell<i32>,
}

/// What the thread waits for.
#[derive(Debug)]
struct Timer {
    write_end: TolerantFd,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    deadline: Option<Instant>,
    is_ended: bool,
}

impl Alarm {
    /// An alarm that is not set. Errors: those of pipe(2) and pthread_create(3).
    pub fn new() -> io::Result<Alarm> {
        let (read_end, timer) = begin()?;
        Ok(Alarm { read_end, timer: RefCell::new(timer), process: Cell::new(process_id()) })
    }

    /// Becomes readable `timeout` nanoseconds from now, and not before. Never without a timeout.
    pub fn set(&self, timeout: Option<u64>) -> io::Result<()> {
        let timer = self.timer.borrow();
        let mut state = timer.lock();
        state.deadline =
            timeout.and_then(|timeout| Instant::now().checked_add(Duration::from_nanos(timeout)));
        // The thread writes under the lock.
        self.clear();
        drop(state);
        timer.changed.notify_one();
        Ok(())
    }

    /// In a forked child: makes a new alarm with the same number, not set.
    pub fn renew(&self) -> io::Result<()> {
        let (read_end, timer) = begin()?;
        replace(self.fd(), &read_end)?;
        // The thread of the former one does not exist here, and may have held its lock.
        std::mem::forget(self.timer.replace(timer));
        self.process.set(process_id());
        Ok(())
    }

    /// The descriptor to wait on.
    pub fn fd(&self) -> RawFd {
        self.read_end.as_raw_fd()
    }

    fn clear(&self) {
        let mut room = [0u8; 64];
        // SAFETY: read(2) writes at most as many bytes. EAGAIN means that the pipe is empty already.
        unsafe { libc::read(self.fd(), (&raw mut room).cast(), room.len()) };
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        // In a forked child there is no thread, which may have held the lock.
        if self.process.get() == process_id() {
            let timer = self.timer.get_mut();
            timer.lock().is_ended = true;
            timer.changed.notify_one();
        }
    }
}

fn begin() -> io::Result<(TolerantFd, Arc<Timer>)> {
    let [read_end, write_end] = pipe::new()?;
    let timer = Arc::new(Timer { write_end, state: Mutex::default(), changed: Condvar::new() });
    let its = timer.clone();
    thread::spawn(c"udpr-alarm", move || its.run())?;
    Ok((read_end, timer))
}

impl Timer {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut state = self.lock();
        while !state.is_ended {
            let left = state.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            state = match left {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => {
                    state.deadline = None;
                    self.ring();
                    state
                }
                Some(left) => {
                    self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    fn ring(&self) {
        let byte = 1u8;
        // SAFETY: write(2) reads one byte. A full pipe is readable as well.
        let _ = check(unsafe { libc::write(self.write_end.as_raw_fd(), (&raw const byte).cast(), 1) } as _);
    }
}
