//! The kernel: everything that is a system call, or needs `unsafe` to be one, and the seam that tests replace.
//!
//! Descriptors are plain `RawFd` here: they are integers to the kernel, a wrong one is an errno and never a
//! memory error. Who owns a descriptor is said where it is kept (`OwnedFd`, `HeldFd`, `SocketFd`).
#![allow(unsafe_code)]

pub mod alarm;
pub mod batch;
mod buffers;
mod cancel;
pub mod clock;
pub mod cmsg;
pub mod epoll;
mod errno;
pub mod error_queue;
pub mod facts;
pub mod feature;
pub mod gate;
mod gather;
mod held;
pub mod inbound;
pub mod interface;
pub mod kernel;
mod lane;
mod line;
mod memory;
mod mmsg;
mod mutex;
pub mod names;
pub mod netdevice;
pub mod outbound;
mod robust_lock;
pub mod semaphore;
pub mod signal;
pub mod socket;
mod stack;
pub mod thread;
mod thread_end;
pub mod tsan;
pub mod waker;

pub use alarm::Alarm;
pub use batch::{Batch, Datagram, Kept};
pub use buffers::{Buffers, MESSAGES_MAX, Merged};
pub use cancel::Uncancelled;
pub use cmsg::Control;
pub use epoll::{Epoll, Event};
pub use error_queue::Report;
pub use gate::{Entry, Gate};
pub use gather::{Limits, Target};
pub use held::{HeldFd, SocketFd, close};
pub use inbound::{Inbound, Received, Reception};
pub use kernel::{Kernel, Linux};
pub use lane::{Lane, Room, Taken};
pub use line::Line;
pub use mmsg::may_be_refused;
pub use mutex::{Guard, Mutex};
pub use outbound::{Outbound, Unsent};
pub use semaphore::Semaphore;
pub use stack::{Pushed, Stack};
pub use thread_end::{ThreadEnd, at_thread_end};
pub use waker::Waker;

use std::io;
use std::os::fd::{AsRawFd, RawFd};

/// Turns the `-1` of a system call into the errno it left.
pub(crate) fn check(result: libc::c_long) -> io::Result<usize> {
    usize::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// The calling process. It is another one in a forked child.
fn process() -> i32 {
    // SAFETY: getpid(2) always succeeds and is async-signal-safe.
    unsafe { libc::getpid() }
}

/// Puts a new descriptor in an old one's place, under the old number: dup3(2).
fn replace(old: RawFd, new: &HeldFd) -> io::Result<()> {
    // SAFETY: dup3(2) takes integers; the old number is its owner's, which calls this.
    check(unsafe { libc::dup3(new.as_raw_fd(), old, libc::O_CLOEXEC) }.into()).map(drop)
}
