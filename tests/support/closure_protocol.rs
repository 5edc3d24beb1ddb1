//! A protocol and a call that are made of closures.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use udpr::port::{Delivery, Port, Protocol};
use udpr::reactor::{Call, Reactor};
use udpr::status::{Result, Status};
use udpr::sys::{Datagram, Report};

type Closure = Box<dyn FnOnce(&Reactor<ClosureCall>) + Send>;

/// A closure to be called by a reactor.
pub(crate) struct ClosureCall(Option<Closure>);

impl ClosureCall {
    pub(crate) fn new(closure: impl FnOnce(&Reactor<ClosureCall>) + Send + 'static) -> ClosureCall {
        ClosureCall(Some(Box::new(closure)))
    }
}

impl Call for ClosureCall {
    fn call(&mut self, reactor: &Reactor<ClosureCall>) {
        if let Some(closure) = self.0.take() {
            closure(reactor);
        }
    }
}

/// The callbacks that a protocol received.
#[derive(Default)]
pub(crate) struct CallbackRecord {
    pub(crate) started: Cell<usize>,
    pub(crate) ready: Cell<usize>,
    pub(crate) stopped: RefCell<Vec<Status>>,
    pub(crate) dropped: Cell<usize>,
    pub(crate) received: Cell<usize>,
    pub(crate) refused: Cell<usize>,
    pub(crate) reports: RefCell<Vec<Report>>,
}

fn count(counter: &Cell<usize>) {
    counter.set(counter.get() + 1);
}

type Start = dyn Fn(&Arc<Port>) -> Result;
type OnDatagram = dyn Fn(&Arc<Port>, &Datagram);
type Notification = dyn Fn(&Arc<Port>);

/// A protocol of closures that records its callbacks.
pub(crate) struct ClosureProtocol {
    record: Rc<CallbackRecord>,
    start: Box<Start>,
    datagram: Box<OnDatagram>,
    ready: Box<Notification>,
    stop: Box<Notification>,
}

impl ClosureProtocol {
    pub(crate) fn new(record: &Rc<CallbackRecord>) -> ClosureProtocol {
        ClosureProtocol {
            record: record.clone(),
            start: Box::new(|_| Ok(())),
            datagram: Box::new(|_, _| {}),
            ready: Box::new(|_| {}),
            stop: Box::new(|_| {}),
        }
    }

    pub(crate) fn on_start(mut self, start: impl Fn(&Arc<Port>) -> Result + 'static) -> ClosureProtocol {
        self.start = Box::new(start);
        self
    }

    pub(crate) fn on_datagram(
        mut self,
        datagram: impl Fn(&Arc<Port>, &Datagram) + 'static,
    ) -> ClosureProtocol {
        self.datagram = Box::new(datagram);
        self
    }

    pub(crate) fn on_write_ready(mut self, ready: impl Fn(&Arc<Port>) + 'static) -> ClosureProtocol {
        self.ready = Box::new(ready);
        self
    }

    pub(crate) fn on_stop(mut self, stop: impl Fn(&Arc<Port>) + 'static) -> ClosureProtocol {
        self.stop = Box::new(stop);
        self
    }
}

impl Protocol for ClosureProtocol {
    fn start_protocol(&self, port: &Arc<Port>) -> Result {
        count(&self.record.started);
        (self.start)(port)
    }

    fn datagrams_received(&self, port: &Arc<Port>, delivery: &mut Delivery<'_>) {
        delivery.each(|datagram| {
            count(&self.record.received);
            (self.datagram)(port, datagram);
        });
    }

    fn error_received(&self, _port: &Arc<Port>, report: &Report) {
        self.record.reports.borrow_mut().push(report.clone());
    }

    fn connection_refused(&self, _port: &Arc<Port>) {
        count(&self.record.refused);
    }

    fn write_ready(&self, port: &Arc<Port>) {
        count(&self.record.ready);
        (self.ready)(port);
    }

    fn stop_protocol(&self, port: &Arc<Port>, reason: Status) {
        self.record.stopped.borrow_mut().push(reason);
        (self.stop)(port);
    }
}

impl Drop for ClosureProtocol {
    fn drop(&mut self) {
        count(&self.record.dropped);
    }
}
