//! What ports and the loop share within one turn, so that no port needs to know the reactor.
//!
//! Ports leave their tokens here with [`Turn::schedule`]; the reactor, which knows who they are, looks at them again.

mod door;
mod schedule;

pub use door::Door;
pub use schedule::{BACK_OFF, RETRIES_MAX, Reason};

use crate::log::{Level, Logger};
use crate::status::{Result, Status};
use crate::sys::{Buffers, Epoll, Inbound, Kernel, Merged, Outbound, clock};
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
const OUTBOUNDS_MAX: usize = 16;

/// See the module.
pub struct Turn {
    /// The kernel, or a test in its place.
    pub kernel: Rc<dyn Kernel>,
    /// What the loop waits on.
    pub epoll: Epoll,
    /// The part for other threads.
    pub door: Arc<Door>,
    /// The host's logger.
    pub log: Logger,
    /// Ports whose `stop_protocol` is still to come.
    pub ports: Cell<u64>,
    /// An address that the reactor's owner wants to find again from its ports: the handle of the C face.
    pub host: Cell<*mut ()>,
    schedule: Schedule,
    dispatching: Cell<bool>,
    embedded: Cell<bool>,
    closing: Cell<bool>,
    buffers: OnceCell<Rc<Buffers>>,
    inbound: RefCell<Option<Box<Inbound>>>,
    #[allow(clippy::vec_box, reason = "they wander between here and the ports")]
    outbounds: RefCell<Vec<Box<Outbound>>>,
    outbounds_lent: Cell<usize>,
}

impl Turn {
    /// Around a kernel and a door. Errors: those of epoll_create1(2) and epoll_ctl(2).
    pub fn new(kernel: Rc<dyn Kernel>, door: Arc<Door>) -> Result<Turn> {
        let epoll = Epoll::new()?;
        kernel.watch(epoll.fd(), door.waker.fd(), crate::sys::epoll::READABLE, WAKE_TOKEN)?;
        Ok(Turn {
            kernel,
            epoll,
            door,
            log: Logger::default(),
            ports: Cell::new(0),
            host: Cell::new(std::ptr::null_mut()),
            schedule: Schedule::default(),
            dispatching: Cell::new(false),
            embedded: Cell::new(false),
            closing: Cell::new(false),
            buffers: OnceCell::new(),
            inbound: RefCell::default(),
            outbounds: RefCell::default(),
            outbounds_lent: Cell::new(0),
        })
    }

    /// A line for the host's logger, which in a forked child is not called any more.
    pub fn say(&self, level: Level, status: Status, target: &CStr, text: fmt::Arguments<'_>) {
        if !self.door.gate.is_forked() {
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
            self.door.waker.wake();
        }
    }

    /// Calls `visit` for the ports that are scheduled now; those that are added meanwhile stay for the next time.
    pub fn drain(&self, reason: Reason, visit: impl FnMut(u64)) {
        self.schedule.drain(reason, visit);
    }

    /// Calls `visit` for the ports whose retry is due, a bounded number of them.
    pub fn drain_retries(&self, visit: impl FnMut(u64)) {
        self.schedule.drain_retries(clock::now, visit);
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

    /// The buffers to receive into; they are given back by [`Turn::return_inbound`].
    pub fn take_inbound(&self) -> Box<Inbound> {
        self.inbound.take().unwrap_or_else(|| Box::new(Inbound::new(self.buffers())))
    }

    fn buffers(&self) -> Rc<Buffers> {
        self.buffers.get_or_init(Rc::default).clone()
    }

    /// Where bytes lie that were received merged. They stay there until the dispatch ends, and what gathers meanwhile leaves
    /// before that.
    pub fn find_received(&self, data: &[u8]) -> Option<Merged> {
        self.buffers.get()?.find(data.as_ptr(), data.len())
    }

    /// For the next port.
    pub fn return_inbound(&self, inbound: Box<Inbound>) {
        self.inbound.replace(Some(inbound));
    }

    /// An empty arena to write into; it is given back by [`Turn::return_outbound`].
    pub fn take_outbound(&self) -> Box<Outbound> {
        self.outbounds_lent.set(self.outbounds_lent.get() + 1);
        let outbound = self.outbounds.borrow_mut().pop();
        outbound.unwrap_or_else(|| Box::new(Outbound::new(self.buffers())))
    }

    /// True where a port may hold on to an arena until the dispatch ends: enough are left for the others.
    pub fn may_gather(&self) -> bool {
        self.dispatching.get() && self.outbounds_lent.get() < OUTBOUNDS_MAX
    }

    /// For the next port.
    pub fn return_outbound(&self, mut outbound: Box<Outbound>) {
        outbound.clear();
        self.outbounds_lent.set(self.outbounds_lent.get() - 1);
        self.outbounds.borrow_mut().push(outbound);
    }
}
