//! Watches of the interfaces, with a system that refuses the notices or stops to deliver them.

mod support;

use std::cell::{Cell, RefCell};
use std::ffi::CStr;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;
use std::rc::Rc;
use support::*;
use udpr::log::{Level, Log};
use udpr::reactor::{NoticeCallback, Reactor};
use udpr::status::Status;
use udpr::sys::{Handle, Interest, Kernel, OwnedHandle, Poller, SystemKernel};

/// A kernel whose monitors are readable whenever a test has sent something to them, and whose calls fail with these errnos.
#[derive(Default)]
struct MonitorKernel {
    sender: RefCell<Option<UnixDatagram>>,
    open: Cell<Option<i32>>,
    watch: Cell<Option<i32>>,
    read: Cell<Option<i32>>,
    reads: Cell<usize>,
}

fn fail(errno: Option<i32>) -> io::Result<()> {
    errno.map_or(Ok(()), |errno| Err(io::Error::from_raw_os_error(errno)))
}

impl Kernel for MonitorKernel {
    fn open_interface_monitor(&self) -> io::Result<OwnedHandle> {
        fail(self.open.get())?;
        let (monitor, sender) = UnixDatagram::pair()?;
        monitor.set_nonblocking(true)?;
        self.sender.replace(Some(sender));
        Ok(monitor.into())
    }

    fn read_interface_monitor(&self, monitor: Handle) -> io::Result<bool> {
        self.reads.set(self.reads.get() + 1);
        fail(self.read.get())?;
        SystemKernel.read_interface_monitor(monitor)
    }

    fn watch(&self, poller: &Poller, handle: Handle, interest: Interest, token: u64) -> io::Result<()> {
        fail(self.watch.get())?;
        SystemKernel.watch(poller, handle, interest, token)
    }
}

/// Counts its calls, and as `Rc` whether it was dropped.
struct Counter(Rc<Cell<u32>>);

impl NoticeCallback<ClosureCall> for Counter {
    fn call(&self, _: &Reactor<ClosureCall>, _: u64) {
        self.0.set(self.0.get() + 1);
    }
}

struct Fixture {
    kernel: Rc<MonitorKernel>,
    reactor: Reactor<ClosureCall>,
    calls: Rc<Cell<u32>>,
}

impl Fixture {
    fn new() -> Fixture {
        let kernel = Rc::new(MonitorKernel::default());
        let reactor = Reactor::with_kernel(0, kernel.clone()).expect("a reactor");
        Fixture { kernel, reactor, calls: Rc::default() }
    }

    fn watch(&self) -> Result<u64, Status> {
        self.reactor.watch_interfaces(Box::new(Counter(self.calls.clone())))
    }

    fn notify(&self) {
        self.kernel.sender.borrow().as_ref().expect("a monitor").send(b"notice").expect("it is open");
    }

    fn turns(&self, count: usize) {
        (0..count).for_each(|_| self.reactor.iterate(Some(0)).expect("a turn"));
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.reactor.close();
        assert_eq!(Rc::strong_count(&self.calls), 1, "every callback was dropped");
    }
}

#[test]
fn a_refused_monitor_is_a_status() {
    let _alone = exclusive();
    let (fixture, before) = (Fixture::new(), open_descriptors());
    for (errno, expected) in [
        (libc::EAFNOSUPPORT, Status::NOT_SUPPORTED),
        (libc::EPROTONOSUPPORT, Status::NOT_SUPPORTED),
        (libc::EOPNOTSUPP, Status::NOT_SUPPORTED),
        (libc::EPERM, Status::PERMISSION),
        (libc::EACCES, Status::PERMISSION),
        (libc::EMFILE, Status::NO_FILES),
        (libc::ENOMEM, Status::NO_MEMORY),
    ] {
        fixture.kernel.open.set(Some(errno));
        assert_eq!(fixture.watch(), Err(expected), "errno {errno}");
    }
    fixture.kernel.open.set(None);
    fixture.kernel.watch.set(Some(libc::ENOMEM));
    assert_eq!(fixture.watch(), Err(Status::NO_MEMORY));
    fixture.kernel.sender.take();
    assert_eq!((Rc::strong_count(&fixture.calls), open_descriptors()), (1, before));
    fixture.kernel.watch.set(None);
    let id = fixture.watch().expect("a watch");
    fixture.notify();
    fixture.turns(2);
    assert_eq!(fixture.calls.get(), 1);
    fixture.reactor.unwatch(id).expect("it is there");
}

struct Recorder(Rc<RefCell<Vec<(Level, Status)>>>);

impl Log for Recorder {
    fn log(&self, level: Level, status: Status, _: &CStr, _: &CStr) {
        self.0.borrow_mut().push((level, status));
    }
}

#[test]
fn a_monitor_that_cannot_be_read_any_more_is_called_and_logged_once() {
    let _alone = exclusive();
    let (fixture, lines) = (Fixture::new(), Rc::new(RefCell::default()));
    drop(fixture.reactor.context().log.set(Level::Error as u32, Some(Rc::new(Recorder(Rc::clone(&lines))))));
    let id = fixture.watch().expect("a watch");
    let watched = watched_descriptors(&fixture.reactor);
    fixture.kernel.read.set(Some(libc::EACCES));
    fixture.notify();
    fixture.turns(5);
    assert_eq!((fixture.calls.get(), fixture.kernel.reads.get()), (1, 1));
    assert_eq!(*lines.borrow(), [(Level::Error, Status::ACCESS)]);
    assert_eq!(watched_descriptors(&fixture.reactor), watched - 1, "the loop does not spin");
    fixture.reactor.unwatch(id).expect("it is there until it is ended");
    assert_eq!(fixture.reactor.unwatch(id), Err(Status::NOT_FOUND));
}

#[test]
fn passing_errors_and_spurious_reports_change_nothing() {
    let _alone = exclusive();
    let fixture = Fixture::new();
    fixture.watch().expect("a watch");
    let sender = fixture.kernel.sender.take().expect("a monitor");
    let monitor = fixture.reactor.descriptors().into_iter().max().expect("the newest is the monitor");
    assert_ne!(monitor, sender.as_raw_fd());
    assert!(matches!(SystemKernel.read_interface_monitor(monitor), Ok(false)), "it is empty");
    for _ in 0..3 {
        sender.send(b"notice").expect("it is open");
    }
    assert!(matches!(SystemKernel.read_interface_monitor(monitor), Ok(true)), "all of them at once");
    fixture.turns(3);
    assert_eq!((fixture.calls.get(), fixture.kernel.reads.get()), (0, 0));
}
