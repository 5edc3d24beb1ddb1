//! One UDP port.
//!
//! A [`Port`] is held by its reactor while it is open, and by whoever retained it. It has two parts: [`PortShared`],
//! which every thread may touch, and what is open, which belongs to the reactor's thread and is taken out when the
//! port stops. So the last holder, on whichever thread, drops nothing that is bound to a thread.

mod adopt;
mod bind;
mod connect;
mod destinations;
mod device;
mod errors;
mod lazy;
mod listen;
mod membership;
mod message;
mod multicast;
mod options;
mod path_limits;
mod posts;
mod protocol;
mod queue;
mod receive;
mod registration;
mod saved_options;
mod send;
mod socket_options;
mod stats;
mod stop;
mod write;

pub use adopt::Descriptor;
pub use message::{Flush, Message};
pub use options::{Options, flag};
pub use posts::PortShared;
pub use protocol::Protocol;
pub use receive::Delivery;
pub use stats::Stats;

use crate::addr::Addr;
use crate::context::{Context, Reason, ScheduledReasons};
use crate::status::{Result, Status};
use crate::sys::{AppendCursor, Handle, Readiness, SocketHandle};
use errors::Errors;
use lazy::LazyState;
use path_limits::Segmentation;
use registration::Registration;
use saved_options::SavedOptions;
use std::cell::{Cell, OnceCell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

/// One UDP port, or what is left of it.
pub struct Port {
    /// The part for every thread.
    pub shared: PortShared,
    /// The short way of a write, once there was one.
    append_cursor: OnceCell<Arc<AppendCursor>>,
    open: RefCell<Option<Rc<Open>>>,
}

/// What remains when the open part is gone may be dropped on any thread.
const _: () = {
    const fn any_thread<T: Send + Sync>() {}
    any_thread::<PortShared>();
};

/// How far a port has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Listening,
    /// `stop_listening` was called: no more datagrams, the rest comes in a later turn.
    Stopping,
    /// The socket is closed; `stop_protocol` runs, or has run.
    Closed,
}

/// The parts of a port that is open. There may be very many idle ones: what only a used one needs is in [`LazyState`].
struct Open {
    context: Rc<Context>,
    token: Cell<u64>,
    state: Cell<State>,
    /// The socket's number, or -1.
    fd: SocketHandle,
    family: u16,
    flags: u32,
    packet_size: u16,
    /// What may wait for a full socket, in bytes.
    queue_bytes: u32,
    /// Whom it is connected to, as the kernel has it.
    peer: Cell<Option<Addr>>,
    /// Of an adopted socket.
    saved_options: Option<Box<SavedOptions>>,
    errors: Errors,
    protocol: Box<dyn Protocol>,
    /// The kernel's count of drops that the counters have seen.
    drops: Cell<u32>,
    registration: Registration,
    paused: Cell<bool>,
    /// How many messages the next recvmmsg asks for.
    messages: Cell<u8>,
    /// Datagrams of the batch that is being delivered which the protocol has not seen.
    undelivered: Cell<u32>,
    /// The socket merges datagrams that it receives.
    merges: Cell<bool>,
    /// What the kernel merges of those that are sent.
    segmentation: Cell<Segmentation>,
    /// A write was refused; `write_ready` is owed.
    write_ready_owed: Cell<bool>,
    /// The kernel said ENOBUFS: what waits is tried again when some time has passed.
    backing_off: Cell<bool>,
    /// What the port does in a later turn.
    scheduled: ScheduledReasons,
    /// Broadcasts may be sent.
    broadcast: Cell<bool>,
    /// Something has to be done before the next datagram is sent, or nothing may be sent.
    send_blocked: Cell<bool>,
    /// The port is bound to a device, so destinations that name another one are refused.
    constrained: Cell<bool>,
    /// The local port, where datagrams are to tell more than bytes and sender.
    meta_port: Cell<Option<u16>>,
    lazy: OnceCell<Box<LazyState>>,
}

impl Port {
    /// The open part, CLOSED once `stop_protocol` has returned.
    fn open(&self) -> Result<Rc<Open>> {
        self.open.borrow().clone().ok_or(Status::CLOSED)
    }

    /// The open part of a port that still listens.
    fn listening(&self) -> Result<Rc<Open>> {
        self.open().and_then(|open| if open.is_listening() { Ok(open) } else { Err(Status::CLOSED) })
    }

    /// True until `stop_protocol` has been called.
    pub fn is_open(&self) -> bool {
        self.open.borrow().as_ref().is_some_and(|open| open.state.get() != State::Closed)
    }

    /// What it shares with its reactor, until `stop_protocol` has returned.
    pub fn context(&self) -> Option<Rc<Context>> {
        self.open().ok().map(|open| open.context.clone())
    }

    /// The protocol's user address, until `stop_protocol` has returned.
    pub fn user(&self) -> Option<*mut ()> {
        self.open().ok().map(|open| open.protocol.user())
    }

    /// The socket's descriptor, borrowed; -1 once it is closed.
    pub fn fileno(&self) -> Handle {
        self.open().map_or(-1, |open| open.fd.get())
    }

    /// The local address: asks the kernel. CLOSED once the socket is.
    pub fn get_host(&self) -> Result<Addr> {
        let open = self.open()?;
        match open.fd.get() {
            -1 => Err(Status::CLOSED),
            fd => Ok(open.context.kernel.local_addr(fd)?),
        }
    }

    /// The counters, also while `stop_protocol` runs.
    pub fn get_stats(&self) -> Result<Stats> {
        let open = self.open()?;
        open.count_kernel_drops();
        Ok(open.lazy.get().map_or_else(Stats::default, |lazy| lazy.stats()))
    }

    /// What was scheduled for this reason; the reactor calls it in a later turn.
    pub fn run_scheduled(self: &Arc<Port>, reason: Reason) {
        let Ok(open) = self.open() else { return };
        open.scheduled.remove(reason);
        match reason {
            Reason::Stop => self.finish_stop(),
            Reason::Deferred => self.deliver_deferred(&open),
            Reason::Retry => self.retry(&open),
            Reason::Errors => self.report_errors(),
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
    /// Has [`Port::run_scheduled`] called in a later turn, once, however often it is scheduled until then.
    fn schedule(&self, reason: Reason) {
        if self.scheduled.insert(reason) {
            self.context.schedule(reason, self.token.get());
        }
    }

    /// Tries again after at least so many nanoseconds, or when the port is going to anyway.
    fn retry_later(&self, after: u64) {
        if self.scheduled.insert(Reason::Retry) {
            self.context.schedule_retry(self.token.get(), after);
        }
    }

    fn has(&self, bit: u32) -> bool {
        self.flags & bit != 0
    }

    fn is_listening(&self) -> bool {
        self.state.get() == State::Listening
    }

    /// True where datagrams are wanted.
    fn is_reading(&self) -> bool {
        self.is_listening() && !self.paused.get()
    }

    /// True while the protocol may get datagrams. A child that was forked in a callback gets none.
    fn is_receiving(&self) -> bool {
        self.is_reading() && !self.context.shared.owner.is_unusable()
    }
}
