//! What Windows has instead of `unix`, and what `portable` has there instead of descriptors: Winsock, an I/O completion port by
//! way of `polling`, IP Helper, and the console.
//!
//! It has no signals but those of the console, no forked processes, and no cancellation of threads.

pub(super) mod alarm;
pub(super) mod cancel;
pub mod clock;
pub(super) mod interface;
pub mod interfaces;
pub(super) mod message;
pub(super) mod multicast;
pub mod names;
pub(super) mod poller;
pub(super) mod semaphore;
pub mod signal;
pub mod socket;
pub mod thread;
pub(super) mod waker;

pub use socket::close;

/// The calling process.
pub(super) fn process_id() -> i32 {
    std::process::id() as i32
}
