//! The contract of a system: what every backend provides, and what is common to all of them.
//!
//! One backend is chosen by the target: `linux`, or `portable` on every other system, and on Linux with `--cfg udpr_portable`, for
//! tests. It provides the names below together with `unix` or `windows`, which is [`os`] here; [`api`] has the words that they share. The names that
//! other modules need are exported as `sys::…`. A function that returns `io::Result` returns the system's own error. Its meaning is
//! `Failure::of`, and its status is what `Status` makes of its errno.
//!
//! Failures
//! - `Failure::of(&io::Error) -> Failure`
//! - `GsoLimits::narrowed_by(self, &io::Error) -> Option<GsoLimits>`: what may be merged after a merged message was refused
//! - `may_be_refused(&io::Error) -> bool`: whether a sandbox, or an older system, may refuse the call itself
//!
//! Waiting
//! - `Poller`: `new()`, `add(Handle, Interest, token)`, `modify(..)`, `delete(Handle)`, `wait(&mut [Readiness], timeout) ->
//!   io::Result<usize>`, `handle()` for an outer loop; none if no loop can wait for it
//! - `Waker`: `new()`, `wake()` from any thread and from signal handlers, and for the loop `is_notified()`, `clear()`,
//!   `begin_drain()`, `try_sleep()`, `republish()`, `take_signals() -> SignalSet`; `register(kernel, &Poller, token)` has it end
//!   the waits of a poller; `fds()` are the descriptors that it needs for that.
//!   On Unix a backend provides `wake_descriptors()`, on which it is built
//! - `Alarm`: `new()`, `set(timeout)`; `fd()` is in the poller, so that an outer loop wakes up at an instant
//! - `renew()` of each of the three, in a forked child: a new one under the same number
//! - `clock`: `now() -> u64`, monotonic nanoseconds; `spin_for(nanoseconds)`
//!
//! Sockets
//! - `socket`: `udp(family) -> io::Result<OwnedHandle>`, `bind`, `local_addr`, `peer_addr`, `connect`, `disconnect`, `duplicate`,
//!   `is_shut`, `take_over`, and `set_option` and `option` by numbers; `CHOOSES_SHARED_NUMBERS`: whether the system may choose for a
//!   socket that shares its port number one that other sockets have
//! - `close`, of a number that the host may have closed: [`SocketHandle`] uses it
//! - `sockaddr::FORMAT`: how a `sockaddr` begins
//! - `options`: `set`, `get`, `save`, `restore`, `encode` of a [`SocketOption`], `is_socket`, `socket_kind`, `take_error`, `drops`;
//!   `SavedOption`; `managed_options::is_managed(level, name)`: the options that no program may set by number
//! - `device`: [`Device`], `get`, `bind`, `includes`, `is_device_option(level, name)`
//! - `multicast`: `join`, `leave`, `filter`
//! - `netdevice`: `is_gone`, `first_v4`, `indexes`, in the network namespace of a socket
//! - `interface`: `index_by_name`, `interface_index`, `exists`, `parse_addr`, `parse_host`, in that of the thread
//! - `interfaces::list` and `interface_monitor::open() -> io::Result<OwnedHandle>`, also in that of the thread;
//!   `interface_monitor::read(Handle) -> io::Result<bool>`; `interface::reason(&io::Error) -> Status`: why they have failed
//! - `names::look_up`: a [`LookUp`]
//!
//! Datagrams
//! - `RecvHeaders`: `prepare`, `receive(Handle, count)`, and the messages of the last call: [`RecvBatch`] uses it
//! - `SendHeaders`: `add`, `send(Handle, limit)`, `advance`, `clear`, `isolate_zero_ttl`: [`SendBatch`] uses it
//! - `control::LAYOUT` and `KINDS`: the control data with which [`Control`] is sent, and that `recv_meta` reads
//! - `error_queue::read(Handle) -> io::Result<Option<Report>>`
//!
//! Processes and threads
//! - `signal`: `check_number(number)`, `listen(&Waker, number)`, `unlisten(&Waker, number)`, `STOP_SIGNALS`
//! - `thread`: `spawn`, `this_thread()`, `SignalMask`; `Semaphore`; `CancelDisabled`
//! - `wiped_page::WipedPage`, `process_id()`: how a forked child is detected
//! - `feature::is_supported(name) -> bool`
//!
//! Everything else here is common: [`Kernel`] is the interface that tests replace; [`RecvBatch`] and [`SendBatch`] receive and send
//! many datagrams at once; [`OwnerLock`] lets one thread at a time use a reactor.
#![allow(unsafe_code)]

pub mod api;
mod append_cursor;
mod buffers;
mod cache_padded;
pub mod cmsg;
pub mod datagrams;
mod errno;
mod gso_plan;
pub mod interface;
pub mod kernel;
#[cfg(all(target_os = "linux", not(udpr_portable)))]
mod linux;
mod memory;
mod mutex;
pub mod owner;
#[cfg(any(udpr_portable, not(target_os = "linux")))]
mod portable;
mod raw_options;
pub mod recv_batch;
pub mod recv_meta;
pub mod report;
pub mod send_batch;
mod send_meta;
mod sock_addr;
mod sockaddr;
mod socket_handle;
mod stack;
mod thread_exit;
pub mod tsan;
#[cfg(unix)]
mod unix;
#[cfg(windows)]
mod windows;

#[cfg(all(target_os = "linux", not(udpr_portable)))]
use linux as imp;
#[cfg(any(udpr_portable, not(target_os = "linux")))]
use portable as imp;
#[cfg(unix)]
use unix as os;
#[cfg(windows)]
use windows as os;

pub use api::{
    Failure, GroupError, GroupFilter, Handle, Interest, IpVersion, LookUp, Membership, OptionValue,
    OwnedHandle, Readiness, SignalSet, SocketKind, SocketOption, handle_of,
};
pub use append_cursor::AppendCursor;
pub use buffers::{Buffers, MESSAGES_MAX};
pub use cache_padded::CachePadded;
pub use cmsg::Control;
pub use datagrams::{Datagram, Datagrams, DeferredBatch};
pub use errno::may_be_refused;
#[cfg(any(udpr_portable, not(target_os = "linux")))]
use errno::unsupported;
pub use gso_plan::{GsoLimits, Target};
pub use imp::Poller;
pub use imp::alarm::Alarm;
pub use imp::device::Device;
pub use imp::{
    device, error_queue, feature, interface_monitor, interfaces, managed_options, netdevice, socket,
};
pub use kernel::{Kernel, SystemKernel};
pub use mutex::{Mutex, MutexGuard};
pub use os::cancel::CancelDisabled;
pub use os::close;
pub use os::semaphore::Semaphore;
pub use os::waker::Waker;
pub use os::{clock, names, signal, thread};
pub use owner::{OwnerGuard, OwnerLock};
pub use raw_options::SavedOption;
pub use recv_batch::{Received, RecvBatch, RecvOptions};
pub use report::Report;
pub use send_batch::{SendBatch, charge};
pub use send_meta::{SendMeta, Unsent};
pub use socket_handle::SocketHandle;
pub use stack::{AtomicQueue, Drained};
pub use thread_exit::{ThreadExit, at_thread_exit};
