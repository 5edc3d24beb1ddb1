//! The kernel: everything that is a system call, or needs `unsafe` to be one, and the seam that tests replace.
//!
//! Descriptors are plain `RawFd` here: they are integers to the kernel, a wrong one is an errno and never a
//! memory error. Who owns a descriptor is said where it is kept (`OwnedFd`, `TolerantFd`, `SocketHandle`).
#![allow(unsafe_code)]

pub mod alarm;
mod append_cursor;
mod buffers;
mod cache_padded;
mod cancel;
pub mod clock;
pub mod cmsg;
pub mod datagrams;
pub mod epoll;
mod errno;
pub mod error_queue;
mod fd;
pub mod feature;
mod gso_plan;
pub mod interface;
pub mod kernel;
mod memory;
mod mmsg;
mod mutex;
pub mod names;
pub mod netdevice;
pub mod owner;
pub mod recv_batch;
pub mod recv_meta;
mod robust_lock;
pub mod semaphore;
pub mod send_batch;
pub mod signal;
pub mod socket;
mod stack;
pub mod thread;
mod thread_exit;
pub mod tsan;
pub mod waker;

pub use alarm::Alarm;
pub use append_cursor::{AppendCursor, AppendSpace, Appended};
pub use buffers::{Buffers, MESSAGES_MAX, RecvSlice};
pub use cache_padded::CachePadded;
pub use cancel::CancelDisabled;
pub use cmsg::Control;
pub use datagrams::{Datagram, Datagrams, DeferredBatch};
pub use epoll::{Epoll, Readiness};
pub use error_queue::Report;
pub use fd::{SocketHandle, TolerantFd, close};
pub use gso_plan::{GsoLimits, Target};
pub use kernel::{Kernel, Linux};
pub use mmsg::may_be_refused;
pub use mutex::{Guard, Mutex};
pub use owner::{OwnerGuard, OwnerLock};
pub use recv_batch::{Received, RecvBatch, RecvOptions};
pub use semaphore::Semaphore;
pub use send_batch::{SendBatch, Unsent};
pub use stack::{AtomicStack, Drained};
pub use thread_exit::{ThreadExit, at_thread_exit};
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
fn replace(old: RawFd, new: &TolerantFd) -> io::Result<()> {
    // SAFETY: dup3(2) takes integers; the old number is its owner's, which calls this.
    check(unsafe { libc::dup3(new.as_raw_fd(), old, libc::O_CLOEXEC) }.into()).map(drop)
}
