//! Every system but Linux, and Linux in tests: what the crates `polling` and `socket2` provide, and little else. What systems
//! differ in is in the tables of `system`; what they cannot do fails with EOPNOTSUPP, which is NOT_SUPPORTED.

pub(super) mod alarm;
pub(super) mod control;
pub mod device;
pub mod error_queue;
pub mod feature;
mod gso;
pub mod interface_monitor;
pub mod interfaces;
pub mod managed_options;
mod messages;
pub(super) mod multicast;
pub mod netdevice;
pub(super) mod options;
pub(super) mod poller;
pub(super) mod sockaddr;
pub mod socket;
mod system;
pub(super) mod wiped_page;

pub(super) use messages::{RecvHeaders, SendHeaders};
pub use poller::Poller;

use super::unix::{check, fd, interface, pipe, process_id};
use fd::TolerantFd;
use std::io;

/// The descriptors of a waker: the end of a pipe to wait on, and the end to write to. `polling::Poller::notify` would be
/// neither async-signal-safe on every system, nor valid for a signal handler that runs while the poller is dropped.
pub(super) fn wake_descriptors() -> io::Result<(TolerantFd, Option<TolerantFd>)> {
    pipe::new().map(|[read, write]| (read, Some(write)))
}

/// The error of what the system cannot do.
fn unsupported() -> io::Error {
    io::Error::from_raw_os_error(libc::EOPNOTSUPP)
}
