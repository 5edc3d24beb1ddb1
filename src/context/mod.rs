//! What the ports and the loop share, so that a port need not know the reactor.
//!
//! A port that has something to do in a later turn calls [`Context::schedule`] with its token; the reactor, which has
//! the table of tokens, visits the port.

mod deadlines;
mod lifecycle;
mod schedule;
mod shared;

pub use lifecycle::{Lifecycle, RunStage};
pub use schedule::{BACK_OFF, RETRIES_MAX, Reason, ReasonSet};
pub use shared::Shared;

use crate::log::{Level, Log, Logger};
use crate::refusal::RefusedCall;
use crate::status::{Result, Status};
use crate::sys::{Buffers, Handle, Kernel, Poller, RecvBatch, SendBatch, clock};
use deadlines::Deadlines;
use schedule::Schedule;
use std::cell::{Cell, OnceCell, RefCell};
use std::ffi::CStr;
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;

/// The token of the waker. It is no id, since ids are never 0.
pub const WAKE_TOKEN: u64 = 0;
/// The token of the alarm of an embedded reactor. It is no id either.
pub const ALARM_TOKEN: u64 = 1;
/// How many ports may gather at once, each in a batch of its own. Writes of further ports are sent singly.
const SEND_BATCHES_MAX: usize = 16;

/// The table of delayed calls, as far as ports need it.
pub trait CallTable {
    /// Cancels the call `id` and drops it, but after it has returned if it is being made. It cannot be moved any more.
    fn end(&self, id: u64);
}

/// The context of a reactor's ports.
pub struct Context {
    /// The kernel, or a test that stands in for it.
    pub kernel: Rc<dyn Kernel>,
    /// The descriptors that the loop waits for.
    pub poller: Poller,
    /// The part that other threads may use.
    pub shared: Arc<Shared>,
    /// The host's logger.
    pub log: Logger,
    logging_refused_call: Cell<bool>,
    /// The number of ports whose `stop_protocol` was not called yet.
    pub port_count: Cell<u64>,
    /// The reactor's delayed calls, some of which belong to ports.
    pub call_table: Rc<dyn CallTable>,
    /// The handle of the C API, so that it can be found from a port.
    pub c_handle: Cell<*mut ()>,
    schedule: Schedule,
    stop_deadlines: Deadlines,
    dispatching: Cell<bool>,
    /// Writes outside dispatches are gathered, too.
    gathering: Cell<bool>,
    embedded: Cell<bool>,
    closing: Cell<bool>,
    buffers: OnceCell<Rc<Buffers>>,
    recv_batch: RefCell<Option<Box<RecvBatch>>>,
    #[allow(clippy::vec_box, reason = "they move between the pool and the ports")]
    send_batches: RefCell<Vec<Box<SendBatch>>>,
    send_batches_lent: Cell<usize>,
}

impl Context {
    /// A context with this kernel, this shared part and this table of calls. Errors: those of epoll_create1(2) and epoll_ctl(2).
    pub fn new(
        kernel: Rc<dyn Kernel>,
        shared: Arc<Shared>,
        call_table: Rc<dyn CallTable>,
    ) -> Result<Context> {
        let poller = Poller::new()?;
        shared.waker.register(&*kernel, &poller, WAKE_TOKEN)?;
        Ok(Context {
            kernel,
            poller,
            shared,
            log: Logger::default(),
            logging_refused_call: Cell::new(false),
            port_count: Cell::new(0),
            call_table,
            c_handle: Cell::new(std::ptr::null_mut()),
            schedule: Schedule::default(),
            stop_deadlines: Deadlines::default(),
            dispatching: Cell::new(false),
            gathering: Cell::new(false),
            embedded: Cell::new(false),
            closing: Cell::new(false),
            buffers: OnceCell::new(),
            recv_batch: RefCell::default(),
            send_batches: RefCell::default(),
            send_batches_lent: Cell::new(0),
        })
    }

    /// Logs a line, but not in a forked child: the logger belongs to the parent there.
    pub fn log_record(&self, level: Level, status: Status, target: &CStr, text: fmt::Arguments<'_>) {
        if !self.shared.owner.is_forked() {
            self.log.log(level, status, target, text);
        }
    }

    /// Changes the logger, as [`Logger::set`].
    #[must_use = "dropping the former sink runs its destructor"]
    pub fn set_logger(&self, max_level: u32, sink: Option<Rc<dyn Log>>) -> Option<Rc<dyn Log>> {
        let former = self.log.set(max_level, sink);
        self.shared.set_refused_calls_wanted(self.log.enabled(Level::Debug));
        former
    }

    /// Logs why a call is refused, but not while the logger receives such a record: a logger that makes the same mistake at each
    /// record would never return.
    pub fn log_refused_call(&self, call: &RefusedCall) {
        if !self.logging_refused_call.replace(true) {
            self.log_record(Level::Debug, call.status, c"arguments", format_args!("{call}"));
            self.logging_refused_call.set(false);
        }
    }

    /// Logs the refused calls of other threads.
    pub fn log_posted_refusals(&self) {
        for call in self.shared.take_refused_calls() {
            self.log_refused_call(&call);
        }
    }

    /// Stops watching. If that fails, the handle was usually closed before. A registration that stayed in the set
    /// would be reported permanently and could not be removed any more, so the call is made a second time.
    pub fn unwatch(&self, handle: Handle) {
        let remove = || self.kernel.unwatch(&self.poller, handle);
        let _ = remove().or_else(|_| remove());
    }

    /// True while callbacks of a turn run: their writes are gathered.
    pub fn is_dispatching(&self) -> bool {
        self.dispatching.get()
    }

    /// The loop sets this around each dispatch.
    pub fn set_dispatching(&self, on: bool) {
        self.dispatching.set(on);
    }

    /// True if writes outside dispatches are gathered, too.
    #[inline]
    pub fn is_gathering(&self) -> bool {
        self.gathering.get()
    }

    /// Has writes outside dispatches gathered, too, or ends this.
    pub fn set_gathering(&self, on: bool) {
        self.gathering.set(on);
    }

    /// True if an embedding loop waits on the epoll set.
    pub fn is_embedded(&self) -> bool {
        self.embedded.get()
    }

    /// Marks the reactor as embedded, which cannot be undone.
    pub fn set_embedded(&self) {
        self.embedded.set(true);
    }

    /// Has the port with this token visited in a later turn. It also wakes an embedding loop.
    #[inline]
    pub fn schedule(&self, reason: Reason, token: u64) {
        self.schedule.push(reason, token);
        if reason.is_work() || reason == Reason::Gathered {
            self.notify_embedder();
        }
    }

    /// Has the port visited after at least so many nanoseconds.
    pub fn schedule_retry(&self, token: u64, after: u64) {
        self.schedule.push_retry(token, clock::now() + after);
        self.notify_embedder();
    }

    /// Makes room for one more deadline.
    ///
    /// # Errors
    /// NO_MEMORY.
    pub fn reserve_stop_deadline(&self) -> Result {
        self.stop_deadlines.reserve()
    }

    /// Has the port with this token stop at an instant of the reactor's clock. There is room for it.
    pub fn add_stop_deadline(&self, instant: u64, token: u64) {
        self.stop_deadlines.add(instant, token);
        self.notify_embedder();
    }

    /// The port has stopped before, or has another deadline.
    pub fn remove_stop_deadline(&self, instant: u64, token: u64) {
        self.stop_deadlines.remove(instant, token);
    }

    /// The instant of the reactor's clock at which a port stops.
    pub fn next_stop_deadline(&self) -> Option<u64> {
        self.stop_deadlines.next()
    }

    /// Has the ports stop whose deadline has passed.
    #[inline]
    pub fn pass_stop_deadlines(&self, now: impl FnOnce() -> u64) {
        if self.stop_deadlines.next().is_none() {
            return;
        }
        let now = now();
        while let Some(token) = self.stop_deadlines.pop_due(now) {
            self.schedule.push(Reason::Stop, token);
        }
    }

    /// Inside a dispatch this is not needed: before a turn ends, it looks at all that is due and sets the alarm.
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

    /// True if a port is scheduled for this reason, even if its retry is not due yet.
    #[inline]
    pub fn has_scheduled(&self, reason: Reason) -> bool {
        self.schedule.has(reason)
    }

    /// True if a port has something to do in the next turn. Outside a dispatch a batch is lent only to a port that has gathered.
    pub fn is_due(&self) -> bool {
        self.schedule.is_due() || (self.send_batches_lent.get() > 0 && !self.is_dispatching())
    }

    /// The instant of CLOCK_MONOTONIC at which a port tries again.
    pub fn next_retry(&self) -> Option<u64> {
        self.schedule.next_retry()
    }

    /// Whether something new can be made.
    ///
    /// # Errors
    /// CLOSED once the reactor is being freed: nothing new can be made then.
    pub fn check_open(&self) -> Result {
        if self.closing.get() { Err(Status::CLOSED) } else { Ok(()) }
    }

    /// The reactor is being freed.
    pub fn close(&self) {
        self.closing.set(true);
    }

    /// The buffers to receive into. [`Context::return_recv_batch`] gives them back.
    pub fn take_recv_batch(&self) -> Box<RecvBatch> {
        self.recv_batch.take().unwrap_or_else(|| Box::new(RecvBatch::new(self.buffers())))
    }

    fn buffers(&self) -> Rc<Buffers> {
        self.buffers.get_or_init(Rc::default).clone()
    }

    /// Gives the buffers back for the next port.
    pub fn return_recv_batch(&self, recv_batch: Box<RecvBatch>) {
        self.recv_batch.replace(Some(recv_batch));
    }

    /// An empty batch to write into. [`Context::return_send_batch`] gives it back.
    pub fn take_send_batch(&self) -> Box<SendBatch> {
        self.send_batches_lent.set(self.send_batches_lent.get() + 1);
        let send_batch = self.send_batches.borrow_mut().pop();
        send_batch.unwrap_or_else(|| Box::new(SendBatch::new(self.buffers())))
    }

    /// True if a port may keep a batch until the dispatch ends, or the gathering: enough are left for the others.
    pub fn may_gather(&self) -> bool {
        (self.dispatching.get() || self.gathering.get()) && self.send_batches_lent.get() < SEND_BATCHES_MAX
    }

    /// Gives the batch back for the next port.
    pub fn return_send_batch(&self, mut send_batch: Box<SendBatch>) {
        send_batch.clear();
        self.send_batches_lent.set(self.send_batches_lent.get() - 1);
        self.send_batches.borrow_mut().push(send_batch);
    }
}
