//! What ports and the loop share within one turn, so that no port needs to know the reactor.
//!
//! Ports leave their tokens here with [`Context::schedule`]; the reactor, which knows who they are, looks at them again.

mod lifecycle;
mod schedule;
mod shared;

pub use lifecycle::{Lifecycle, Stage};
pub use schedule::{BACK_OFF, RETRIES_MAX, Reason, ScheduledReasons};
pub use shared::Shared;

use crate::log::{Level, Logger};
use crate::status::{Result, Status};
use crate::sys::{Buffers, Epoll, Kernel, RecvBatch, RecvSlice, SendBatch, clock};
use schedule::Schedule;
use std::cell::{Cell, OnceCell, RefCell};
use std::ffi::CStr;
use std::fmt;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::sync::Arc;

/// The token of the reactor's own wake-up: no id, since ids are never 0.
pub const WAKE_TOKEN: u64 = 0;
/// The token of the alarm that an embedded reactor has: no id either.
pub const ALARM_TOKEN: u64 = 1;
/// How many ports may gather at once, each in an arena of its own; beyond that a write leaves by itself.
const SEND_BATCHES_MAX: usize = 16;

/// See the module.
pub struct Context {
    /// The kernel, or a test in its place.
    pub kernel: Rc<dyn Kernel>,
    /// What the loop waits on.
    pub epoll: Epoll,
    /// The part for other threads.
    pub shared: Arc<Shared>,
    /// The host's logger.
    pub log: Logger,
    /// Ports whose `stop_protocol` is still to come.
    pub ports: Cell<u64>,
    /// An address that the reactor's owner wants to find again from its ports: the handle of the C face.
    pub c_handle: Cell<*mut ()>,
    schedule: Schedule,
    dispatching: Cell<bool>,
    embedded: Cell<bool>,
    closing: Cell<bool>,
    buffers: OnceCell<Rc<Buffers>>,
    recv_batch: RefCell<Option<Box<RecvBatch>>>,
    #[allow(clippy::vec_box, reason = "they wander between here and the ports")]
    send_batches: RefCell<Vec<Box<SendBatch>>>,
    send_batches_lent: Cell<usize>,
}

impl Context {
    /// Around a kernel and a door. Errors: those of epoll_create1(2) and epoll_ctl(2).
    pub fn new(kernel: Rc<dyn Kernel>, shared: Arc<Shared>) -> Result<Context> {
        let epoll = Epoll::new()?;
        kernel.watch(epoll.fd(), shared.waker.fd(), crate::sys::epoll::READABLE, WAKE_TOKEN)?;
        Ok(Context {
            kernel,
            epoll,
            shared,
            log: Logger::default(),
            ports: Cell::new(0),
            c_handle: Cell::new(std::ptr::null_mut()),
            schedule: Schedule::default(),
            dispatching: Cell::new(false),
            embedded: Cell::new(false),
            closing: Cell::new(false),
            buffers: OnceCell::new(),
            recv_batch: RefCell::default(),
            send_batches: RefCell::default(),
            send_batches_lent: Cell::new(0),
        })
    }

    /// A line for the host's logger, which in a forked child is not called any more.
    pub fn log_record(&self, level: Level, status: Status, target: &CStr, text: fmt::Arguments<'_>) {
        if !self.shared.owner.is_forked() {
            self.log.log(level, status, target, text);
        }
    }

    /// EPOLL_CTL_DEL. Where it fails the descriptor was closed before, as a rule; what stayed in the set would be reported
    /// for ever, and could not be named any more, so it is tried once more.
    pub fn unwatch(&self, fd: RawFd) {
        let remove = || self.kernel.unwatch(self.epoll.fd(), fd);
        let _ = remove().or_else(|_| remove());
    }

    /// True while callbacks of a turn run: writes gather then.
    pub fn is_dispatching(&self) -> bool {
        self.dispatching.get()
    }

    /// Said by the loop around each pass of callbacks.
    pub fn set_dispatching(&self, on: bool) {
        self.dispatching.set(on);
    }

    /// True where a loop around this one waits on the epoll set.
    pub fn is_embedded(&self) -> bool {
        self.embedded.get()
    }

    /// From here on.
    pub fn set_embedded(&self) {
        self.embedded.set(true);
    }

    /// Has the port with this token looked at again. It is the only way to do so, and an embedding loop learns of it here.
    pub fn schedule(&self, reason: Reason, token: u64) {
        self.schedule.push(reason, token);
        if reason.is_work() {
            self.notify_embedder();
        }
    }

    /// The same for a port that tries again after at least so many nanoseconds.
    pub fn schedule_retry(&self, token: u64, after: u64) {
        self.schedule.push_retry(token, clock::now() + after);
        self.notify_embedder();
    }

    /// Inside a dispatch there is no need: before a turn ends, it looks at all that is due, and sets the alarm.
    fn notify_embedder(&self) {
        if self.is_embedded() && !self.is_dispatching() {
            self.shared.waker.wake();
        }
    }

    /// Calls `visit` for the ports that are scheduled for this reason now. Ports that are added meanwhile stay for the next time. Of
    /// retries only those that are due are visited, and at most [`RETRIES_MAX`] of them.
    pub fn drain(&self, reason: Reason, visit: impl FnMut(u64)) {
        match reason {
            Reason::Retry => self.schedule.drain_retries(clock::now, visit),
            _ => self.schedule.drain(reason, visit),
        }
    }

    /// True if a port has something to do in the next turn.
    pub fn is_due(&self) -> bool {
        self.schedule.is_due()
    }

    /// The instant of CLOCK_MONOTONIC at which a port tries again.
    pub fn next_retry(&self) -> Option<u64> {
        self.schedule.next_retry()
    }

    /// CLOSED once the reactor is being freed: nothing new is made then.
    pub fn check_open(&self) -> Result {
        if self.closing.get() { Err(Status::CLOSED) } else { Ok(()) }
    }

    /// Said by the reactor's end.
    pub fn close(&self) {
        self.closing.set(true);
    }

    /// The buffers to receive into; they are given back by [`Context::return_recv_batch`].
    pub fn take_recv_batch(&self) -> Box<RecvBatch> {
        self.recv_batch.take().unwrap_or_else(|| Box::new(RecvBatch::new(self.buffers())))
    }

    fn buffers(&self) -> Rc<Buffers> {
        self.buffers.get_or_init(Rc::default).clone()
    }

    /// Where bytes lie that were received merged. They stay there until the dispatch ends, and what gathers meanwhile leaves
    /// before that.
    pub fn find_recv_slice(&self, data: &[u8]) -> Option<RecvSlice> {
        self.buffers.get()?.find(data.as_ptr(), data.len())
    }

    /// For the next port.
    pub fn return_recv_batch(&self, recv_batch: Box<RecvBatch>) {
        self.recv_batch.replace(Some(recv_batch));
    }

    /// An empty arena to write into; it is given back by [`Context::return_send_batch`].
    pub fn take_send_batch(&self) -> Box<SendBatch> {
        self.send_batches_lent.set(self.send_batches_lent.get() + 1);
        let send_batch = self.send_batches.borrow_mut().pop();
        send_batch.unwrap_or_else(|| Box::new(SendBatch::new(self.buffers())))
    }

    /// True where a port may hold on to an arena until the dispatch ends: enough are left for the others.
    pub fn may_gather(&self) -> bool {
        self.dispatching.get() && self.send_batches_lent.get() < SEND_BATCHES_MAX
    }

    /// For the next port.
    pub fn return_send_batch(&self, mut send_batch: Box<SendBatch>) {
        send_batch.clear();
        self.send_batches_lent.set(self.send_batches_lent.get() - 1);
        self.send_batches.borrow_mut().push(send_batch);
    }
}
