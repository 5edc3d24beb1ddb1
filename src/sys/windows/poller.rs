//! Waiting for many sockets: the crate `polling`, by an I/O completion port.

use super::socket::{self, SO_TYPE, SOL_SOCKET};
use crate::status::errno::{EEXIST, ENOENT};
use crate::sys::Handle;
use crate::sys::api::{Interest, Readiness};
use polling::{Event, Events, PollMode};
use std::cell::RefCell;
use std::io;
use std::num::NonZeroUsize;
use std::os::windows::io::{BorrowedSocket, RawSocket};
use std::sync::Arc;
use std::time::Duration;

/// How many sockets one wait reports at most.
const EVENTS_MAX: NonZeroUsize = NonZeroUsize::new(256).unwrap();

const _: () = assert!(size_of::<usize>() == 8, "a token has 64 bits, and a key of polling is a usize");

/// A set of sockets that a thread waits for.
#[derive(Debug)]
pub struct Poller {
    set: Arc<polling::Poller>,
    events: RefCell<Events>,
}

impl Poller {
    /// An empty set.
    ///
    /// # Errors
    /// Those of the system.
    pub fn new() -> io::Result<Poller> {
        Ok(Poller {
            set: Arc::new(polling::Poller::new()?),
            events: RefCell::new(Events::with_capacity(EVENTS_MAX)),
        })
    }

    /// Has no effect: no process is forked.
    ///
    /// # Errors
    /// None.
    pub fn renew(&self) -> io::Result<()> {
        Ok(())
    }

    /// None: no other loop can wait for a completion port.
    pub fn handle(&self) -> Option<Handle> {
        None
    }

    /// What ends a wait, from any thread.
    pub(super) fn set(&self) -> Arc<polling::Poller> {
        self.set.clone()
    }

    /// Adds a socket. Its readiness is reported with the `token`.
    ///
    /// # Errors
    /// WSAENOTSOCK for what is no open socket; those of the system.
    pub fn add(&self, handle: Handle, interest: Interest, token: u64) -> io::Result<()> {
        // The system would accept other handles, and report nothing.
        socket::option(handle, SOL_SOCKET, SO_TYPE, &mut [0; 4])?;
        // SAFETY: the reactor deletes each socket before it closes it, and a socket that somebody else closes is one that
        // `polling` removes.
        let added =
            unsafe { self.set.add_with_mode(handle as RawSocket, event(interest, token), mode(interest)) };
        added.map_err(numbered)
    }

    /// Changes what a socket is watched for.
    ///
    /// # Errors
    /// Those of the system.
    pub fn modify(&self, handle: Handle, interest: Interest, token: u64) -> io::Result<()> {
        let modified = self.set.modify_with_mode(borrow(handle), event(interest, token), mode(interest));
        modified.map_err(numbered)
    }

    /// Removes a socket.
    ///
    /// # Errors
    /// Those of the system.
    pub fn delete(&self, handle: Handle) -> io::Result<()> {
        self.set.delete(borrow(handle))
    }

    /// Waits until a socket is ready, at most `timeout` nanoseconds and never less, without a limit if it is none. Writes what
    /// is ready to the front of `ready` and returns how many entries that are.
    ///
    /// # Errors
    /// Those of the system.
    pub fn wait(&self, ready: &mut [Readiness], timeout: Option<u64>) -> io::Result<usize> {
        let mut events = self.events.borrow_mut();
        events.clear();
        self.set.wait(&mut events, timeout.map(Duration::from_nanos))?;
        let mut count = 0;
        for (place, event) in ready.iter_mut().zip(events.iter()) {
            *place = readiness(&event);
            count += 1;
        }
        Ok(count)
    }
}

/// An error that `polling` has found itself has no number.
fn numbered(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::AlreadyExists => io::Error::from_raw_os_error(EEXIST),
        io::ErrorKind::NotFound => io::Error::from_raw_os_error(ENOENT),
        _ => error,
    }
}

fn borrow<'a>(handle: Handle) -> BorrowedSocket<'a> {
    // SAFETY: `polling` only looks the number up in its table.
    unsafe { BorrowedSocket::borrow_raw(handle as RawSocket) }
}

fn event(interest: Interest, token: u64) -> Event {
    Event::new(token as usize, interest.readable, interest.writable)
}

/// The system does not report changes alone. Once is the same for a caller that looks at the socket again after a while.
fn mode(interest: Interest) -> PollMode {
    if interest.edge_triggered { PollMode::Oneshot } else { PollMode::Level }
}

/// An error or a hang-up makes a socket readable and writable, too.
fn readiness(event: &Event) -> Readiness {
    Readiness {
        token: event.key as u64,
        readable: event.readable,
        writable: event.writable,
        error: event.is_err().unwrap_or(false),
        hangup: event.is_interrupt(),
    }
}
