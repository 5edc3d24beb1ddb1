//! Every system but Linux, and Linux in tests: what the crates `polling` and `socket2` provide, and little else. `windows` has
//! what has to be different there. What systems
//! differ in is in the tables of `system`; what they cannot do fails with EOPNOTSUPP, which is NOT_SUPPORTED.

#[cfg(unix)]
pub(super) mod alarm;
pub(super) mod control;
pub mod device;
pub mod error_queue;
pub mod feature;
mod gso;
pub mod interface_monitor;
#[cfg(unix)]
pub mod interfaces;
pub mod managed_options;
#[cfg(unix)]
mod message;
mod messages;
pub(super) mod multicast;
pub mod netdevice;
pub(super) mod options;
#[cfg(unix)]
mod poller;
pub(super) mod sockaddr;
#[cfg(unix)]
pub mod socket;
mod system;
pub(super) mod wiped_page;

#[cfg(windows)]
pub(super) use messages::ReceivedMessage;
pub(super) use messages::{RecvHeaders, SendHeaders};
pub use poller::Poller;

#[cfg(windows)]
pub(super) use super::windows::{alarm, message, poller};
#[cfg(windows)]
pub use super::windows::{interfaces, socket};

use super::interface;
#[cfg(unix)]
use super::unix::{check, fd, pipe, process_id};
#[cfg(unix)]
use fd::TolerantFd;
#[cfg(unix)]
use std::io;

/// The descriptors of a waker: the end of a pipe to wait on, and the end to write to. `polling::Poller::notify` would be
/// neither async-signal-safe on every system, nor valid for a signal handler that runs while the poller is dropped.
#[cfg(unix)]
pub(super) fn wake_descriptors() -> io::Result<(TolerantFd, Option<TolerantFd>)> {
    pipe::new().map(|[read, write]| (read, Some(write)))
}
