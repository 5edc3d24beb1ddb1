//! One UDP port.
//!
//! A [`Port`] is held by its reactor while it is open, and by everyone who has retained it. It has two parts:
//! [`PortShared`], which every thread may use, and the open part, which belongs to the reactor's thread and is removed
//! when the port stops. So the last holder, on whichever thread, drops nothing that belongs to a thread.

mod adopt;
mod backlog;
mod bind;
mod calls;
mod connect;
mod destinations;
mod device;
mod errors;
mod lazy;
mod listen;
mod membership;
mod message;
mod meta;
mod multicast;
mod options;
mod path_limits;
mod payload;
mod posts;
mod protocol;
mod queue;
mod receive;
mod registration;
mod reply;
mod saved_options;
mod send;
mod socket_options;
mod stats;
mod stop;
mod write;

pub use adopt::Descriptor;
pub use calls::HeldProtocol;
pub use message::{Flush, Message};
pub use options::{ConfigureSocket, Options, flag};
pub use payload::Payload;
pub use posts::PortShared;
pub use protocol::Protocol;
pub use receive::Delivery;
pub use reply::Arrival;
pub use stats::Stats;

use crate::addr::Addr;
use crate::context::{Context, Reason, ReasonSet};
use crate::status::{Result, Status};
use crate::sys::{AppendCursor, Handle, Readiness, SocketHandle};
use errors::ErrorState;
use lazy::LazyState;
use path_limits::Segmentation;
use registration::Registration;
use saved_options::SavedOptions;
use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

/// One UDP port; after its stop only the shared part.
pub struct Port {
    /// The part for all threads.
    pub shared: PortShared,
    /// The fast path of a write; it is set by the first write.
    append_cursor: OnceCell<Arc<AppendCursor>>,
    open: RefCell<Option<Rc<Open>>>,
}

/// What remains without the open part may be dropped on any thread.
const _: () = {
    const fn any_thread<T: Send + Sync>() {}
    any_thread::<PortShared>();
};

/// The state of an open port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Listening,
    /// `stop_when_sent` was called: nothing is delivered or accepted any more, but what was accepted is still sent.
    Draining,
    /// `stop_listening` was called: nothing is delivered any more, and the rest of the stop follows in a later turn.
    Stopping,
    /// The socket is closed; `stop_protocol` runs or has returned.
    Closed,
}

/// The open part of a port. There may be very many idle ports: what only a used port needs is in [`LazyState`].
struct Open {
    context: Rc<Context>,
    token: Cell<u64>,
    state: Cell<State>,
    /// The socket's descriptor, or -1.
    fd: SocketHandle,
    family: u16,
    flags: Cell<u32>,
    packet_size: u16,
    /// The bound of the send queue, in bytes.
    queue_bytes: u32,
    /// The address that it is connected to, as the kernel has it.
    peer: Cell<Option<Addr>>,
    /// The options to restore on an adopted socket.
    saved_options: Option<Box<SavedOptions>>,
    errors: ErrorState,
    protocol: Box<dyn Protocol>,
    /// The kernel's count of drops that the counters include.
    drops: Cell<u32>,
    registration: Registration,
    paused: Cell<bool>,
    /// How many messages the next recvmmsg asks for.
    messages: Cell<u8>,
    /// The datagrams of the batch in delivery that the protocol has not received yet.
    undelivered: Cell<u32>,
    /// The socket receives merged datagrams (GRO).
    merges: Cell<bool>,
    /// How the kernel merges sent datagrams (GSO).
    segmentation: Cell<Segmentation>,
    /// A write was refused: `write_ready` has to be called later.
    write_ready_due: Cell<bool>,
    /// The kernel returned ENOBUFS: the queue is tried again after some time.
    backing_off: Cell<bool>,
    /// What the port does in a later turn.
    scheduled: ReasonSet,
    /// Before the next datagram something has to be done, or nothing may be sent at all.
    send_blocked: Cell<bool>,
    /// The port is bound to a device, so destinations on another one are refused.
    constrained: Cell<bool>,
    /// The local port number, if datagrams carry metadata.
    meta_port: Cell<Option<u16>>,
    lazy: OnceCell<Box<LazyState>>,
}

impl Port {
    /// The open part.
    ///
    /// # Errors
    /// CLOSED once `stop_protocol` has returned.
    fn open(&self) -> Result<Rc<Open>> {
        self.open.borrow().clone().ok_or(Status::CLOSED)
    }

    /// The open part of a port that still listens.
    ///
    /// # Errors
    /// CLOSED.
    fn listening(&self) -> Result<Rc<Open>> {
        self.open().and_then(|open| if open.is_listening() { Ok(open) } else { Err(Status::CLOSED) })
    }

    /// True until `stop_protocol` has been called.
    pub fn is_open(&self) -> bool {
        self.open.borrow().as_ref().is_some_and(|open| open.state.get() != State::Closed)
    }

    /// The context that it shares with its reactor, until `stop_protocol` has returned.
    pub fn context(&self) -> Option<Rc<Context>> {
        self.open().ok().map(|open| open.context.clone())
    }

    /// The protocol's user pointer, until `stop_protocol` has returned.
    pub fn user(&self) -> Option<*mut ()> {
        self.open().ok().map(|open| open.protocol.user())
    }

    /// The socket's descriptor, borrowed; -1 once it is closed.
    pub fn fileno(&self) -> Handle {
        self.open().map_or(-1, |open| open.fd.get())
    }

    /// The local address, from the kernel.
    ///
    /// # Errors
    /// CLOSED once the socket is closed.
    pub fn get_host(&self) -> Result<Addr> {
        let open = self.open()?;
        match open.fd.get() {
            -1 => Err(Status::CLOSED),
            fd => Ok(open.context.kernel.local_addr(fd)?),
        }
    }

    /// The counters, also while `stop_protocol` runs.
    ///
    /// # Errors
    /// CLOSED.
    pub fn get_stats(&self) -> Result<Stats> {
        let open = self.open()?;
        open.count_kernel_drops();
        Ok(open.lazy.get().map_or_else(Stats::default, |lazy| lazy.stats()))
    }

    /// Does what was scheduled for this reason. The reactor calls it in a later turn.
    #[inline]
    pub fn run_scheduled(self: &Arc<Port>, reason: Reason) {
        let Ok(open) = self.open() else { return };
        open.scheduled.remove(reason);
        match reason {
            Reason::Stop => self.finish_stop(),
            Reason::Deferred => self.deliver_deferred(&open),
            Reason::Retry => self.retry(&open),
            Reason::ErrorReports => self.report_errors(),
            Reason::Gathered => open.flush(),
            Reason::Gone => {}
        }
    }

    /// The socket was reported as ready.
    pub fn ready(self: &Arc<Port>, ready: Readiness) {
        let Ok(open) = self.open() else { return };
        open.registration.begin_event();
        if ready.writable {
            self.resume_sending(&open);
        }
        if ready.error {
            open.drain_error_queue();
            self.report_errors();
        }
        if ready.readable || ready.error {
            self.receive(&open);
        }
        if ready.hangup {
            self.end(Status::SHUT_DOWN);
        } else {
            open.update_trigger_mode();
        }
    }
}

impl Open {
    /// Has [`Port::run_scheduled`] called in a later turn, once, however often this is called until then.
    #[inline]
    fn schedule(&self, reason: Reason) {
        if self.scheduled.insert(reason) {
            self.context.schedule(reason, self.token.get());
        }
    }

    /// Tries again after at least so many nanoseconds, or at the time of the retry that is scheduled already.
    fn retry_later(&self, after: u64) {
        if self.scheduled.insert(Reason::Retry) {
            self.context.schedule_retry(self.token.get(), after);
        }
    }

    fn has(&self, bit: u32) -> bool {
        self.flags.get() & bit != 0
    }

    fn set_flag(&self, bit: u32, on: bool) {
        let others = self.flags.get() & !bit;
        self.flags.set(if on { others | bit } else { others });
    }

    fn is_listening(&self) -> bool {
        self.state.get() == State::Listening
    }

    /// True while datagrams are sent, and their errors reported.
    fn is_sending(&self) -> bool {
        matches!(self.state.get(), State::Listening | State::Draining)
    }

    /// True if datagrams are wanted.
    fn is_reading(&self) -> bool {
        self.is_listening() && !self.paused.get()
    }

    /// True while the protocol may receive datagrams. A child that was forked in a callback receives none.
    fn is_receiving(&self) -> bool {
        self.is_reading() && !self.context.shared.owner.is_unusable()
    }
}
