//! Listening through a kernel that fails at one step after the other: nothing is left of the port, and the reactor is as
//! it was. Descriptors are counted in /proc/self/fd, so these tests run one at a time.

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

fn alone_with_its_number() -> Options<'static> {
    Options { flags: every_option().flags & !flag::LISTEN_MULTIPLE, ..every_option() }
}

/// A reactor without a port.
struct Empty {
    kernel: Rc<ScriptedKernel>,
    reactor: Reactor<ClosureCall>,
    descriptors: usize,
    watched: usize,
    own: usize,
    _exclusive: MutexGuard<'static, ()>,
}

impl Empty {
    fn new() -> Empty {
        let _exclusive = exclusive();
        let kernel = Rc::new(ScriptedKernel::default());
        let reactor = reactor(&kernel);
        let (watched, own) = (watched_descriptors(&reactor), reactor.descriptors().len());
        Empty { kernel, reactor, descriptors: open_descriptors(), watched, own, _exclusive }
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
        assert!(record.stopped.borrow().is_empty(), "what never was up does not stop");
        assert_eq!(open_descriptors(), self.descriptors);
        assert_eq!(watched_descriptors(&self.reactor), self.watched);
        assert_eq!(self.reactor.get_stats().transports, 0);
        assert_eq!(self.reactor.descriptors().len(), self.own);
        self.reactor.each_transport(|_| panic!("no port is left"));
    }

    /// A port listens, answers, and ends.
    fn assert_usable(&self) {
        let (record, peer) = (Rc::default(), Peer::new());
        let echo = ClosureProtocol::new(&record).on_datagram(|port, datagram| {
            port.write(datagram.data(), Some(&datagram.sender), Flush::Batched).expect("written");
        });
        let port = listen(&self.reactor, &Options::default(), echo).expect("a port");
        peer.send(b"hello", &port.get_host().expect("open"));
        turn_until(&self.reactor, || record.received.get() == 1);
        assert_eq!(peer.receive(&mut [0; 8]), b"hello");
        drop(peer);
        port.close(Status::OK).expect("open until now");
        assert_eq!((record.dropped.get(), open_descriptors()), (1, self.descriptors));
    }
}

/// Reuse, broadcast, two buffers, V6ONLY and device; for the socket that holds the number V6ONLY, device and reuse.
#[test]
fn every_step_may_fail() {
    may_fail(&every_option(), [2, 9, 2, 0, 1]);
}

/// Broadcast, two buffers, V6ONLY, device, and that again with the number that was chosen.
#[test]
fn every_step_of_a_port_that_shares_nothing_may_fail() {
    may_fail(&alone_with_its_number(), [1, 6, 2, 1, 1]);
}

fn may_fail(options: &Options<'_>, expected: [usize; 5]) {
    let empty = Empty::new();
    let record = Rc::default();
    let port = empty.listen_with(options, &record).expect("every step succeeds on this system");
    let steps = [Socket, SetOption, Bind, Connect, Watch].map(|step| {
        let before = if step == Watch { 1 } else { 0 }; // that of the wake-up
        (step, empty.kernel.count(step) - before)
    });
    assert_eq!(steps.map(|(_, count)| count), expected);
    port.close(Status::OK).expect("open");
    drop(port);
    let errnos =
        [(libc::EMFILE, Status::NO_FILES), (libc::EACCES, Status::ACCESS), (libc::ENOMEM, Status::NO_MEMORY)];
    for (step, count) in steps {
        for (before, (errno, status)) in (0..count).flat_map(|before| errnos.map(|errno| (before, errno))) {
            let record = Rc::default();
            empty.kernel.script(step, std::iter::repeat_n(Real, before).chain([Errno(errno)]));
            assert_eq!(empty.listen_with(options, &record).err(), Some(status), "{step:?} {before}");
            assert_eq!(empty.kernel.remaining(step), 0);
            assert_eq!(record.started.get(), 0);
            empty.assert_nothing_left(&record);
        }
    }
    empty.assert_usable();
}

#[test]
fn what_only_informs_may_fail() {
    let empty = Empty::new();
    for (step, needed) in [(GetOption, 1), (LocalAddr, 1)] {
        let record = Rc::default();
        empty.kernel.script(step, std::iter::repeat_n(Real, needed).chain([Errno(libc::ENOBUFS)]));
        let port = empty.listen(&record).expect("a port");
        assert_eq!(empty.kernel.remaining(step), 0);
        assert_eq!(port.close(Status::OK), Ok(()));
        assert_eq!(empty.kernel.remaining(step), 0);
        assert_eq!((record.dropped.get(), record.stopped.borrow().len()), (1, 1));
    }
    empty.assert_usable();
}

/// Somebody else takes the number between the two binds: another one is chosen, not for ever.
#[test]
fn a_number_that_is_taken_meanwhile_is_chosen_anew() {
    let empty = Empty::new();
    empty.kernel.script(Bind, [Real, Errno(libc::EADDRINUSE), Real, Errno(libc::EADDRINUSE)]);
    let listen = || empty.listen_with(&alone_with_its_number(), &Rc::default());
    let port = listen().expect("a port");
    assert_eq!((empty.kernel.remaining(Bind), empty.kernel.count(Bind)), (0, 6));
    assert_eq!(port.close(Status::OK), Ok(()));
    empty.kernel.script(Bind, [Real, Errno(libc::EADDRINUSE)].into_iter().cycle().take(1000));
    assert_eq!(listen().err(), Some(Status::ADDRESS_IN_USE));
}

#[test]
fn a_host_that_the_kernel_does_not_tell_is_that_errno() {
    let empty = Empty::new();
    let port = empty.listen(&Rc::default()).expect("a port");
    empty.kernel.fail(LocalAddr, [libc::ENOBUFS]);
    assert_eq!(port.get_host().err(), Some(Status::from_errno(libc::ENOBUFS)));
    assert!(port.get_host().is_ok());
    assert_eq!(port.close(Status::OK), Ok(()));
}

#[test]
fn a_port_that_epoll_does_not_forget_is_closed_all_the_same() {
    let empty = Empty::new();
    let record = Rc::default();
    let port = empty.listen(&record).expect("a port");
    empty.kernel.fail(Unwatch, [libc::ENOENT]);
    assert_eq!(port.close(Status::OK), Ok(()));
    assert_eq!((open_descriptors(), watched_descriptors(&empty.reactor)), (empty.descriptors, empty.watched));
    assert_eq!((record.dropped.get(), record.stopped.borrow().len()), (1, 1));
    empty.assert_usable();
}

#[test]
fn a_start_protocol_that_fails_leaves_nothing() {
    let empty = Empty::new();
    let (record, peer) = (Rc::default(), Peer::new());
    let to = peer.addr();
    let protocol = ClosureProtocol::new(&record).on_start(move |port| {
        write_number(port, 1, &to, Flush::Batched).expect("a port that starts may write");
        Err(Status::CANCELLED)
    });
    assert_eq!(listen(&empty.reactor, &Options::default(), protocol).err(), Some(Status::CANCELLED));
    assert_eq!(peer.receive_numbers(1), [1]);
    drop(peer);
    empty.assert_nothing_left(&record);
    empty.assert_usable();
}

/// In a callback a port that fails is forgotten at the end of the turn.
#[test]
fn every_step_may_fail_inside_a_callback() {
    static OUTCOMES: Mutex<Vec<Status>> = Mutex::new(Vec::new());
    let empty = Empty::new();
    for (step, errno) in [(Bind, libc::EADDRINUSE), (SetOption, libc::EPERM), (Watch, libc::ENOMEM)] {
        empty.kernel.fail(step, [errno]);
        let call = ClosureCall::new(|reactor| {
            let record: Rc<CallbackRecord> = Rc::default();
            let result =
                reactor.listen_udp(0, "::1", &every_option(), Box::new(ClosureProtocol::new(&record)));
            OUTCOMES.lock().expect("not poisoned").extend(result.err());
            assert_eq!((record.dropped.get(), record.stopped.borrow().len()), (1, 0));
        });
        empty.reactor.call_later(0, call).expect("a call");
        turn_until(&empty.reactor, || empty.reactor.get_stats().timers_pending == 0);
        let record = CallbackRecord::default();
        record.dropped.set(1);
        empty.assert_nothing_left(&record);
    }
    let expected = [Status::ADDRESS_IN_USE, Status::PERMISSION, Status::NO_MEMORY];
    assert_eq!(*OUTCOMES.lock().expect("not poisoned"), expected);
    empty.assert_usable();
}

#[test]
fn a_reactor_that_cannot_watch_its_own_wake_up_is_not_made() {
    let _exclusive = exclusive();
    let before = open_descriptors();
    let kernel = Rc::new(ScriptedKernel::default());
    kernel.fail(Watch, [libc::ENOSPC]);
    let made = Reactor::<ClosureCall>::with_kernel(0, kernel);
    assert_eq!(made.err(), Some(Status::from_errno(libc::ENOSPC)));
    assert_eq!(open_descriptors(), before);
}
