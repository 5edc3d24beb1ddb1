//! Waiting for many handles: the crate `polling`.

use super::fd::{TolerantFd, close};
use super::process_id;
use crate::sys::api::{Handle, Interest, Readiness};
use crate::sys::unix::replace;
use polling::{Event, Events, PollMode};
use std::cell::{Cell, Ref, RefCell};
use std::io;
use std::mem::ManuallyDrop;
use std::num::NonZeroUsize;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::time::Duration;

/// How many handles one wait reports at most.
const EVENTS_MAX: NonZeroUsize = NonZeroUsize::new(256).unwrap();

const _: () = assert!(size_of::<usize>() == 8, "a token has 64 bits, and a key of polling is a usize");

/// Whether a forked child has the set. A kqueue it does not have (kqueue(2)): the number may be that of another file there.
const IS_INHERITED: bool = cfg!(target_os = "linux");

/// A set of handles that a thread waits for.
#[derive(Debug)]
pub struct Poller {
    /// Dropped by the process that has made it only: in a forked child that would change the parent's set.
    set: RefCell<ManuallyDrop<polling::Poller>>,
    process: Cell<i32>,
    events: RefCell<Events>,
    /// The number of a set that was renewed, which was made under another one.
    renewed: RefCell<Option<TolerantFd>>,
}

impl Poller {
    /// An empty set.
    ///
    /// # Errors
    /// Those of the system; EMFILE above all.
    pub fn new() -> io::Result<Poller> {
        Ok(Poller {
            set: RefCell::new(ManuallyDrop::new(polling::Poller::new()?)),
            process: Cell::new(process_id()),
            events: RefCell::new(Events::with_capacity(EVENTS_MAX)),
            renewed: RefCell::default(),
        })
    }

    /// In a forked child: replaces the set by an empty one, under the same number if the child has inherited it. The parent's set
    /// does not change.
    ///
    /// # Errors
    /// Those of [`Poller::new`] and of dup2(2).
    pub fn renew(&self) -> io::Result<()> {
        let new = polling::Poller::new()?;
        if IS_INHERITED {
            let number = self.number();
            replace(number, &new)?;
            self.renewed.borrow_mut().get_or_insert_with(|| TolerantFd::from_raw(number));
        }
        let former = self.set.replace(ManuallyDrop::new(new));
        if self.process.replace(process_id()) == process_id() {
            drop(ManuallyDrop::into_inner(former));
        }
        Ok(())
    }

    /// The descriptor of the set. It is readable while anything in the set is ready.
    pub fn handle(&self) -> Option<Handle> {
        Some(self.number())
    }

    fn number(&self) -> Handle {
        self.renewed.borrow().as_ref().map_or_else(|| self.set().as_raw_fd(), TolerantFd::as_raw_fd)
    }

    /// Adds a handle. Its readiness is reported with the `token`.
    ///
    /// # Errors
    /// Those of the system: EPERM for a file that epoll cannot wait for.
    pub fn add(&self, handle: Handle, interest: Interest, token: u64) -> io::Result<()> {
        check_open(handle)?;
        // SAFETY: the reactor deletes each handle before it closes it, and a handle that somebody else closes is one that the
        // system removes.
        unsafe { self.set().add_with_mode(handle, event(interest, token), mode(interest)) }
    }

    /// Changes what a handle is watched for.
    ///
    /// # Errors
    /// Those of the system.
    pub fn modify(&self, handle: Handle, interest: Interest, token: u64) -> io::Result<()> {
        self.set().modify_with_mode(borrow(handle)?, event(interest, token), mode(interest))
    }

    /// Removes a handle.
    ///
    /// # Errors
    /// Those of the system.
    pub fn delete(&self, handle: Handle) -> io::Result<()> {
        self.set().delete(borrow(handle)?)
    }

    /// Waits until a handle is ready, at most `timeout` nanoseconds and never less, without a limit if it is none. Writes what
    /// is ready to the front of `ready` and returns how many entries that are.
    ///
    /// # Errors
    /// Those of the system. If a signal comes first, the wait goes on.
    pub fn wait(&self, ready: &mut [Readiness], timeout: Option<u64>) -> io::Result<usize> {
        let mut events = self.events.borrow_mut();
        events.clear();
        self.set().wait(&mut events, timeout.map(Duration::from_nanos))?;
        let mut count = 0;
        for (place, event) in ready.iter_mut().zip(events.iter()) {
            *place = readiness(&event);
            count += 1;
        }
        Ok(count)
    }

    fn set(&self) -> Ref<'_, ManuallyDrop<polling::Poller>> {
        self.set.borrow()
    }
}

impl Drop for Poller {
    fn drop(&mut self) {
        if self.process.get() == process_id() {
            // SAFETY: it is dropped once.
            unsafe { ManuallyDrop::drop(self.set.get_mut()) };
        } else if IS_INHERITED {
            close(self.set.get_mut().as_raw_fd());
        }
    }
}

fn check_open(handle: Handle) -> io::Result<()> {
    if handle < 0 { Err(io::Error::from_raw_os_error(libc::EBADF)) } else { Ok(()) }
}

fn borrow<'a>(handle: RawFd) -> io::Result<BorrowedFd<'a>> {
    check_open(handle)?;
    // SAFETY: not -1; whether it is open or not, the kernel returns an errno at worst.
    Ok(unsafe { BorrowedFd::borrow_raw(handle) })
}

fn event(interest: Interest, token: u64) -> Event {
    Event::new(token as usize, interest.readable, interest.writable)
}

fn mode(interest: Interest) -> PollMode {
    if interest.edge_triggered { PollMode::Edge } else { PollMode::Level }
}

/// An error or a hang-up makes a handle readable and writable, too.
fn readiness(event: &Event) -> Readiness {
    Readiness {
        token: event.key as u64,
        readable: event.readable,
        writable: event.writable,
        error: event.is_err().unwrap_or(false),
        hangup: event.is_interrupt(),
    }
}
