//! Watches of what the system gives notice of: signals, and changes of network interfaces. SIGINT and SIGTERM, which stop a run, are
//! handled here, too.
//!
//! A signal handler can only wake the loop. The loop then takes the signals that have come, and marks the watches that are due.

use super::{Call, Reactor, Source, flag};
use crate::log::Level;
use crate::refusal;
use crate::status::{Result, Status};
use crate::sys::{Handle, Interest, SocketHandle, interface, signal};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// The callback of a watch of notices.
pub trait NoticeCallback<C: Call> {
    /// Called in a turn, once for all notices since the last call.
    fn call(&self, reactor: &Reactor<C>, id: u64);
}

pub(super) struct NoticeWatch<C: Call> {
    origin: Origin,
    /// It is due to be called.
    pending: Cell<bool>,
    callback: Box<dyn NoticeCallback<C>>,
}

/// Where notices come from.
enum Origin {
    /// The handler of this signal.
    Signal(i32),
    /// The monitor of interfaces, another one in a forked child.
    Interfaces(RefCell<SocketHandle>),
}

impl<C: Call> NoticeWatch<C> {
    /// Its descriptor, if it has one.
    pub(super) fn fd(&self) -> Option<Handle> {
        match &self.origin {
            Origin::Interfaces(monitor) => Some(monitor.borrow().get()),
            Origin::Signal(_) => None,
        }
    }

    fn is_of(&self, number: i32) -> bool {
        matches!(self.origin, Origin::Signal(own) if own == number)
    }
}

/// What a reactor knows of notices.
#[derive(Default)]
pub(super) struct State {
    /// A watch is pending.
    pending: Cell<bool>,
    /// A run is in progress that SIGINT and SIGTERM stop.
    stoppable: Cell<bool>,
    /// One of them has come.
    stop: Cell<bool>,
}

/// SIGINT and SIGTERM stop the reactor until this is dropped.
pub(super) struct StopSignals<'a, C: Call>(&'a Reactor<C>);

impl<C: Call> Drop for StopSignals<'_, C> {
    fn drop(&mut self) {
        self.0.notices.stoppable.set(false);
        signal::STOP_SIGNALS.iter().for_each(|number| self.0.unlisten_if_unused(*number));
    }
}

impl<C: Call> Reactor<C> {
    /// Has the callback called when a signal has come: [`signal::check_number`] says which signals can be watched.
    ///
    /// # Errors
    /// As `check_number`; NO_MEMORY; a system status if a sandbox refuses sigaction(2).
    pub fn watch_signal(&self, number: i32, callback: Box<dyn NoticeCallback<C>>) -> Result<u64> {
        signal::check_number(number)?;
        self.context.check_open()?;
        self.sources.borrow_mut().reserve(1)?;
        // Those that came before are not for this watch.
        self.collect_signals();
        let id = self.insert_notices(Origin::Signal(number), callback);
        if let Err(error) = signal::listen(&self.context.shared.waker, number) {
            let _ = self.unwatch(id);
            return Err(error.into());
        }
        Ok(id)
    }

    /// Has the callback called when an interface or an address has come, gone or changed, in the network namespace that the thread is
    /// in now.
    ///
    /// # Errors
    /// NOT_SUPPORTED or PERMISSION if the system gives no notice, NO_FILES, NO_MEMORY.
    pub fn watch_interfaces(&self, callback: Box<dyn NoticeCallback<C>>) -> Result<u64> {
        self.context.check_open()?;
        self.sources.borrow_mut().reserve(1)?;
        let monitor = self.open_monitor()?;
        let handle = monitor.get();
        let id = self.insert_notices(Origin::Interfaces(RefCell::new(monitor)), callback);
        if let Err(error) = self.context.kernel.watch(&self.context.poller, handle, Interest::READABLE, id) {
            self.remove_source(id);
            return Err(error.into());
        }
        Ok(id)
    }

    fn open_monitor(&self) -> Result<SocketHandle> {
        let opened = self.context.kernel.open_interface_monitor();
        opened.map(SocketHandle::from).map_err(|error| match interface::reason(&error) {
            Status::NOT_SUPPORTED => {
                refusal::unsupported("reactor", "gets no notice of interfaces from this system")
            }
            status => status,
        })
    }

    /// There must be room for it.
    fn insert_notices(&self, origin: Origin, callback: Box<dyn NoticeCallback<C>>) -> u64 {
        let watch = NoticeWatch { origin, pending: Cell::new(false), callback };
        self.sources.borrow_mut().insert(Source::Notice(Rc::new(watch)))
    }

    pub(super) fn find_notices(&self, id: u64) -> Option<Rc<NoticeWatch<C>>> {
        match self.sources.borrow().get(id)? {
            Source::Notice(watch) => Some(watch.clone()),
            _ => None,
        }
    }

    /// Ends what a watch needs of the system, once it is no source any more.
    pub(super) fn end_notices(&self, watch: &NoticeWatch<C>) {
        watch.pending.set(false);
        self.end_signal(watch);
        if let Origin::Interfaces(monitor) = &watch.origin {
            self.context.unwatch(monitor.borrow().get());
            monitor.borrow().close();
        }
    }

    /// The part of it that concerns the whole process: the handler of a signal. It calls nothing that a test can replace, so it cannot
    /// panic while the rest of a dead reactor is dropped.
    pub(super) fn end_signal(&self, watch: &NoticeWatch<C>) {
        if let Origin::Signal(number) = &watch.origin {
            self.unlisten_if_unused(*number);
        }
    }

    /// In a forked child, in which neither the parent's handlers nor its monitor wake this reactor. Signals that the parent has received
    /// are the parent's; changes of interfaces may have been missed.
    pub(super) fn renew_notices(&self, id: u64, watch: &NoticeWatch<C>) -> Result {
        match &watch.origin {
            Origin::Signal(number) => {
                watch.pending.set(false);
                signal::listen(&self.context.shared.waker, *number)?;
            }
            Origin::Interfaces(monitor) => {
                monitor.replace(self.open_monitor()?);
                let handle = monitor.borrow().get();
                self.context.kernel.watch(&self.context.poller, handle, Interest::READABLE, id)?;
                self.set_pending(watch);
            }
        }
        Ok(())
    }

    /// Until the result is dropped, SIGINT and SIGTERM stop the reactor if it has the flag for that.
    pub(super) fn listen_to_stop_signals(&self) -> Result<Option<StopSignals<'_, C>>> {
        if self.flags & flag::SIGNALS == 0 {
            return Ok(None);
        }
        let listening = StopSignals(self);
        self.notices.stoppable.set(true);
        self.notices.stop.set(false);
        for number in signal::STOP_SIGNALS {
            signal::listen(&self.context.shared.waker, number)?;
        }
        Ok(Some(listening))
    }

    /// True once after SIGINT or SIGTERM, unless a watch has taken the signal.
    pub(super) fn take_stop_signal(&self) -> bool {
        self.notices.stop.take()
    }

    fn unlisten_if_unused(&self, number: i32) {
        let stops = self.notices.stoppable.get() && signal::STOP_SIGNALS.contains(&number);
        if !stops && self.signal_watches(number).is_empty() {
            signal::unlisten(&self.context.shared.waker, number);
        }
    }

    fn signal_watches(&self, number: i32) -> Vec<Rc<NoticeWatch<C>>> {
        let sources = self.sources.borrow();
        let watches = sources.iter().filter_map(|(_, source)| match source {
            Source::Notice(watch) if watch.is_of(number) => Some(watch.clone()),
            _ => None,
        });
        watches.collect()
    }

    fn set_pending(&self, watch: &NoticeWatch<C>) {
        watch.pending.set(true);
        self.notices.pending.set(true);
    }

    /// Marks the watches of the signals that have come.
    fn collect_signals(&self) {
        for number in self.context.shared.waker.take_signals().iter() {
            let watches = self.signal_watches(number);
            watches.iter().for_each(|watch| self.set_pending(watch));
            let stops = self.notices.stoppable.get() && signal::STOP_SIGNALS.contains(&number);
            if stops && watches.is_empty() {
                self.notices.stop.set(true);
            }
        }
    }

    /// Calls the watches of the signals that have come, and the others that are pending.
    pub(super) fn deliver_notices(&self) {
        self.collect_signals();
        if !self.notices.pending.take() {
            return;
        }
        let ids: Vec<u64> = self.sources.borrow().ids().collect();
        for id in ids {
            self.deliver_notice(id);
        }
    }

    fn deliver_notice(&self, id: u64) {
        // Signals that an earlier callback of this turn has raised came before this call.
        self.collect_signals();
        let is_usable = !self.context.shared.owner.is_unusable();
        if let Some(watch) = self.find_notices(id).filter(|watch| is_usable && watch.pending.take()) {
            watch.callback.call(self, id);
        }
    }

    /// The monitor of a watch is readable.
    pub(super) fn notices_ready(&self, id: u64) {
        let Some(watch) = self.find_notices(id) else { return };
        let Origin::Interfaces(monitor) = &watch.origin else { return };
        let handle = monitor.borrow().get();
        let is_changed = self.context.kernel.read_interface_monitor(handle).unwrap_or_else(|error| {
            // It would be reported by every wait. This is its last call: changes may have been missed.
            self.context.unwatch(handle);
            let text = format_args!("changes of interfaces are not reported any more");
            self.context.log_record(Level::Error, error.into(), c"reactor", text);
            true
        });
        if is_changed {
            watch.pending.set(true);
            self.deliver_notice(id);
        }
    }
}
