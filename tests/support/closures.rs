//! What the core calls, as closures.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use udpr::port::{Delivery, Port, Protocol};
use udpr::reactor::{Call, Reactor};
use udpr::status::{Result, Status};
use udpr::sys::{Datagram, Report};

type Closure = Box<dyn FnOnce(&Reactor<Later>) + Send>;

/// A closure to be called by a reactor.
pub(crate) struct Later(Closure);

impl Later {
    pub(crate) fn new(closure: impl FnOnce(&Reactor<Later>) + Send + 'static) -> Later {
        Later(Box::new(closure))
    }
}

impl Call for Later {
    fn call(self, reactor: &Reactor<Later>) {
        (self.0)(reactor)
    }
}

/// What a protocol was called for so far.
#[derive(Default)]
pub(crate) struct Diary {
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
type Take = dyn Fn(&Arc<Port>, &Datagram);
type Notice = dyn Fn(&Arc<Port>);

/// A protocol of closures, which keeps a diary.
pub(crate) struct Closures {
    diary: Rc<Diary>,
    start: Box<Start>,
    datagram: Box<Take>,
    ready: Box<Notice>,
    stop: Box<Notice>,
}

impl Closures {
    pub(crate) fn new(diary: &Rc<Diary>) -> Closures {
        Closures {
            diary: diary.clone(),
            start: Box::new(|_| Ok(())),
            datagram: Box::new(|_, _| {}),
            ready: Box::new(|_| {}),
            stop: Box::new(|_| {}),
        }
    }

    pub(crate) fn at_start(mut self, start: impl Fn(&Arc<Port>) -> Result + 'static) -> Closures {
        self.start = Box::new(start);
        self
    }

    pub(crate) fn at_datagram(mut self, datagram: impl Fn(&Arc<Port>, &Datagram) + 'static) -> Closures {
        self.datagram = Box::new(datagram);
        self
    }

    pub(crate) fn at_ready(mut self, ready: impl Fn(&Arc<Port>) + 'static) -> Closures {
        self.ready = Box::new(ready);
        self
    }

    pub(crate) fn at_stop(mut self, stop: impl Fn(&Arc<Port>) + 'static) -> Closures {
        self.stop = Box::new(stop);
        self
    }
}

impl Protocol for Closures {
    fn start_protocol(&self, port: &Arc<Port>) -> Result {
        count(&self.diary.started);
        (self.start)(port)
    }

    fn datagrams_received(&self, port: &Arc<Port>, delivery: &mut Delivery<'_>) {
        delivery.each(|datagram| {
            count(&self.diary.received);
            (self.datagram)(port, datagram);
        });
    }

    fn error_received(&self, _port: &Arc<Port>, report: &Report) {
        self.diary.reports.borrow_mut().push(report.clone());
    }

    fn connection_refused(&self, _port: &Arc<Port>) {
        count(&self.diary.refused);
    }

    fn write_ready(&self, port: &Arc<Port>) {
        count(&self.diary.ready);
        (self.ready)(port);
    }

    fn stop_protocol(&self, port: &Arc<Port>, reason: Status) {
        self.diary.stopped.borrow_mut().push(reason);
        (self.stop)(port);
    }
}

impl Drop for Closures {
    fn drop(&mut self) {
        count(&self.diary.dropped);
    }
}
