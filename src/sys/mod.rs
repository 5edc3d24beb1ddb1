//! The contract of a system: what every backend has to provide, and what is common to all of them.
//!
//! One backend is chosen by the target. Its folder provides these names, and the rest of the crate uses them as `sys::…`:
//!
//! | name | what it is |
//! |---|---|
//! | `Failure::of` | what an error of a system call means, in the words of [`api`] |
//! | `GsoLimits::narrowed_by` | what may be merged after a merged message was refused |
//! | `epoll::Poller` | waits for many handles at once |
//! | `waker::Waker` | ends a wait, from any thread and from signal handlers |
//! | `alarm::Alarm` | makes the descriptor that a host's loop waits on readable at an instant |
//! | `sockaddr::FORMAT` | how a `sockaddr` begins |
//! | `socket`, `netdevice`, `interface`, `names` | sockets, network devices, interface names, name look-ups |
//! | `options`, `SavedOption`, `managed_options` | the socket options, how their values are put back, and which of them no program may set |
//! | `device::Device` | the device that a socket is bound to |
//! | `multicast` | memberships in groups |
//! | `cmsg`, `recv_meta`, `error_queue` | what the system reports and takes with one datagram; its reports of errors |
//! | `mmsg_headers::SendHeaders`, `RecvHeaders` | lay out many messages as the system wants them, and send or receive these |
//! | `signal::Signals` | SIGINT and SIGTERM for a reactor that runs |
//! | `thread`, `semaphore::Semaphore`, `cancel::CancelDisabled` | threads |
//! | `clock` | the monotonic clock |
//! | `fd` | descriptors that somebody else may have closed |
//! | `wiped_page::WipedPage`, `process_id` | how a forked child is detected |
//! | `feature` | what this kernel can do |
//!
//! Everything else here is common: [`api`] has the words that a backend and its callers share; [`Kernel`] is the interface that
//! tests replace; [`RecvBatch`] and [`SendBatch`] receive and send many datagrams at once; [`OwnerLock`] lets one thread at a
//! time use a reactor.
#![allow(unsafe_code)]

pub mod api;
mod append_cursor;
mod buffers;
mod cache_padded;
pub mod datagrams;
mod gso_plan;
pub mod kernel;
#[cfg(target_os = "linux")]
mod linux;
mod memory;
mod mutex;
pub mod owner;
pub mod recv_batch;
pub mod send_batch;
mod sockaddr;
mod stack;
mod thread_exit;
pub mod tsan;

#[cfg(target_os = "linux")]
use linux as imp;

pub use api::{
    Failure, GroupError, GroupFilter, Handle, Interest, IpVersion, Membership, OptionValue, OwnedHandle,
    Readiness, SocketKind, SocketOption, handle_of,
};
pub use append_cursor::AppendCursor;
pub use buffers::{Buffers, MESSAGES_MAX};
pub use cache_padded::CachePadded;
pub use datagrams::{Datagram, Datagrams, DeferredBatch};
pub use gso_plan::{GsoLimits, Target};
pub use imp::alarm::Alarm;
pub use imp::cancel::CancelDisabled;
pub use imp::cmsg::Control;
pub use imp::device::Device;
pub use imp::epoll::Poller;
pub use imp::error_queue::Report;
pub use imp::fd::{SocketHandle, TolerantFd, close};
pub use imp::mmsg::may_be_refused;
pub use imp::options::SavedOption;
pub use imp::semaphore::Semaphore;
pub use imp::waker::Waker;
pub use imp::{
    clock, cmsg, device, error_queue, feature, interface, managed_options, names, netdevice, recv_meta,
    signal, socket, thread,
};
pub use kernel::{Kernel, SystemKernel};
pub use mutex::{Guard, Mutex};
pub use owner::{OwnerGuard, OwnerLock};
pub use recv_batch::{Received, RecvBatch, RecvOptions};
pub use send_batch::{SendBatch, Unsent, charge};
pub use stack::{AtomicStack, Drained};
pub use thread_exit::{ThreadExit, at_thread_exit};
