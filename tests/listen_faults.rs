//! Listening with a kernel that fails at each step in turn: nothing is left of the port, and the reactor is unchanged. The
//! tests count descriptors in /proc/self/fd, so they run one at a time.

mod support;

use std::rc::Rc;
use std::sync::{Mutex, MutexGuard};
use support::*;
use udpr::port::{Flush, Options, flag};
use udpr::reactor::Reactor;
use udpr::status::Status;

use CallResult::{Errno, Real};
use Syscall::{Bind, Connect, LocalAddr, Option as GetOption, SetOption, Socket, Unwatch, Watch};

/// Every option that is a system call of its own.
fn every_option() -> Options<'static> {
    Options {
        flags: flag::NO_OFFLOAD | flag::LISTEN_MULTIPLE | flag::BROADCAST | flag::V6_ONLY,
        receive_buffer: 8192,
        send_buffer: 8192,
        bind_device: Some(c"lo"),
        ..Options::default()
    }
}

fn without_reuse() -> Options<'static> {
    Options { flags: every_option().flags & !flag::LISTEN_MULTIPLE, ..every_option() }
}

/// A reactor without a port.
struct ReactorFixture {
    kernel: Rc<ScriptedKernel>,
    reactor: Reactor<ClosureCall>,
    descriptors: usize,
    watched: usize,
    own: usize,
    _exclusive: MutexGuard<'static, ()>,
}

impl ReactorFixture {
    fn new() -> ReactorFixture {
        let _exclusive = exclusive();
        let kernel = Rc::new(ScriptedKernel::default());
        let reactor = reactor(&kernel);
        let (watched, own) = (watched_descriptors(&reactor), reactor.descriptors().len());
        ReactorFixture { kernel, reactor, descriptors: open_descriptors(), watched, own, _exclusive }
    }

    fn listen(&self, record: &Rc<CallbackRecord>) -> Result<std::sync::Arc<udpr::port::Port>, Status> {
        self.listen_with(&every_option(), record)
    }

    fn listen_with(
        &self,
        options: &Options<'_>,
        record: &Rc<CallbackRecord>,
    ) -> Result<std::sync::Arc<udpr::port::Port>, Status> {
        self.reactor.listen_udp(0, "::1", options, Box::new(ClosureProtocol::new(record)))
    }

    fn assert_nothing_left(&self, record: &CallbackRecord) {
        assert_eq!(record.dropped.get(), 1, "the protocol is dropped once");
        assert!(record.stopped.borrow().is_empty(), "a port that did not start does not stop");
        assert_eq!(open_descriptors(), self.descriptors);
        assert_eq!(watched_descriptors(&self.reactor), self.watched);
        assert_eq!(self.reactor.get_stats().transports, 0);
        assert_eq!(self.reactor.descriptors().len(), self.own);
        self.reactor.each_transport(|_| panic!("no port is left"));
    }

    fn assert_usable(&self) {
        assert_usable(&self.reactor);
        assert_eq!(open_descriptors(), self.descriptors);
    }
}

/// The options are reuse, broadcast, two buffers, V6ONLY and device; for the socket that reserves the port number V6ONLY,
/// device and reuse.
#[test]
fn every_step_may_fail() {
    assert_each_step_may_fail(&every_option(), [2, 9, 2, 0, 1]);
}

/// The options are broadcast, two buffers, V6ONLY, and the device twice, the second time with the chosen port number.
#[test]
fn every_step_of_a_port_without_reuse_may_fail() {
    assert_each_step_may_fail(&without_reuse(), [1, 6, 2, 1, 1]);
}

fn assert_each_step_may_fail(options: &Options<'_>, expected: [usize; 5]) {
    let fixture = ReactorFixture::new();
    let record = Rc::default();
    let port = fixture.listen_with(options, &record).expect("every step succeeds on this system");
    let steps = [Socket, SetOption, Bind, Connect, Watch].map(|step| {
        let before = if step == Watch { 1 } else { 0 }; // that of the waker
        (step, fixture.kernel.count(step) - before)
    });
    assert_eq!(steps.map(|(_, count)| count), expected);
    port.close(Status::OK).expect("open");
    drop(port);
    let errnos =
        [(libc::EMFILE, Status::NO_FILES), (libc::EACCES, Status::ACCESS), (libc::ENOMEM, Status::NO_MEMORY)];
    for (step, count) in steps {
        for (before, (errno, status)) in (0..count).flat_map(|before| errnos.map(|errno| (before, errno))) {
            let record = Rc::default();
            fixture.kernel.script(step, std::iter::repeat_n(Real, before).chain([Errno(errno)]));
            assert_eq!(fixture.listen_with(options, &record).err(), Some(status), "{step:?} {before}");
            assert_eq!(fixture.kernel.remaining(step), 0);
            assert_eq!(record.started.get(), 0);
            fixture.assert_nothing_left(&record);
        }
    }
    fixture.assert_usable();
}

#[test]
fn calls_that_only_inform_may_fail() {
    let fixture = ReactorFixture::new();
    for (step, needed) in [(GetOption, 1), (LocalAddr, 1)] {
        let record = Rc::default();
        fixture.kernel.script(step, std::iter::repeat_n(Real, needed).chain([Errno(libc::ENOBUFS)]));
        let port = fixture.listen(&record).expect("a port");
        assert_eq!(fixture.kernel.remaining(step), 0);
        assert_eq!(port.close(Status::OK), Ok(()));
        assert_eq!(fixture.kernel.remaining(step), 0);
        assert_eq!((record.dropped.get(), record.stopped.borrow().len()), (1, 1));
    }
    fixture.assert_usable();
}

/// Another socket takes the number between the two binds: the port chooses another one, a limited number of times.
#[test]
fn another_number_is_chosen_if_one_is_taken_meanwhile() {
    let fixture = ReactorFixture::new();
    fixture.kernel.script(Bind, [Real, Errno(libc::EADDRINUSE), Real, Errno(libc::EADDRINUSE)]);
    let listen = || fixture.listen_with(&without_reuse(), &Rc::default());
    let port = listen().expect("a port");
    assert_eq!((fixture.kernel.remaining(Bind), fixture.kernel.count(Bind)), (0, 6));
    assert_eq!(port.close(Status::OK), Ok(()));
    fixture.kernel.script(Bind, [Real, Errno(libc::EADDRINUSE)].into_iter().cycle().take(1000));
    assert_eq!(listen().err(), Some(Status::ADDRESS_IN_USE));
}

#[test]
fn get_host_returns_the_errno_of_the_kernel() {
    let fixture = ReactorFixture::new();
    let port = fixture.listen(&Rc::default()).expect("a port");
    fixture.kernel.fail(LocalAddr, [libc::ENOBUFS]);
    assert_eq!(port.get_host().err(), Some(Status::from_errno(libc::ENOBUFS)));
    assert!(port.get_host().is_ok());
    assert_eq!(port.close(Status::OK), Ok(()));
}

#[test]
fn a_port_is_closed_even_if_epoll_cannot_remove_it() {
    let fixture = ReactorFixture::new();
    let record = Rc::default();
    let port = fixture.listen(&record).expect("a port");
    fixture.kernel.fail(Unwatch, [libc::ENOENT]);
    assert_eq!(port.close(Status::OK), Ok(()));
    assert_eq!(
        (open_descriptors(), watched_descriptors(&fixture.reactor)),
        (fixture.descriptors, fixture.watched)
    );
    assert_eq!((record.dropped.get(), record.stopped.borrow().len()), (1, 1));
    fixture.assert_usable();
}

#[test]
fn a_start_protocol_that_fails_leaves_nothing() {
    let fixture = ReactorFixture::new();
    let (record, peer) = (Rc::default(), Peer::new());
    let to = peer.addr();
    let protocol = ClosureProtocol::new(&record).on_start(move |port| {
        write_number(port, 1, &to, Flush::Batched).expect("a port that starts may write");
        Err(Status::CANCELLED)
    });
    assert_eq!(listen(&fixture.reactor, &Options::default(), protocol).err(), Some(Status::CANCELLED));
    assert_eq!(peer.receive_numbers(1), [1]);
    drop(peer);
    fixture.assert_nothing_left(&record);
    fixture.assert_usable();
}

/// In a callback, a port that fails is removed at the end of the turn.
#[test]
fn every_step_may_fail_inside_a_callback() {
    static OUTCOMES: Mutex<Vec<Status>> = Mutex::new(Vec::new());
    let fixture = ReactorFixture::new();
    for (step, errno) in [(Bind, libc::EADDRINUSE), (SetOption, libc::EPERM), (Watch, libc::ENOMEM)] {
        fixture.kernel.fail(step, [errno]);
        let call = ClosureCall::new(|reactor| {
            let record: Rc<CallbackRecord> = Rc::default();
            let result =
                reactor.listen_udp(0, "::1", &every_option(), Box::new(ClosureProtocol::new(&record)));
            OUTCOMES.lock().expect("not poisoned").extend(result.err());
            assert_eq!((record.dropped.get(), record.stopped.borrow().len()), (1, 0));
        });
        fixture.reactor.call_later(0, call).expect("a call");
        turn_until(&fixture.reactor, || fixture.reactor.get_stats().timers_pending == 0);
        let record = CallbackRecord::default();
        record.dropped.set(1);
        fixture.assert_nothing_left(&record);
    }
    let expected = [Status::ADDRESS_IN_USE, Status::PERMISSION, Status::NO_MEMORY];
    assert_eq!(*OUTCOMES.lock().expect("not poisoned"), expected);
    fixture.assert_usable();
}

#[test]
fn a_reactor_that_cannot_watch_its_waker_is_not_created() {
    let _exclusive = exclusive();
    let before = open_descriptors();
    let kernel = Rc::new(ScriptedKernel::default());
    kernel.fail(Watch, [libc::ENOSPC]);
    let made = Reactor::<ClosureCall>::with_kernel(0, kernel);
    assert_eq!(made.err(), Some(Status::from_errno(libc::ENOSPC)));
    assert_eq!(open_descriptors(), before);
}
