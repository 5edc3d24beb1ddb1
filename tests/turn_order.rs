//! One turn does what is due in a fixed order, which src/reactor/run.rs and docs/architecture.md promise.

#![allow(unsafe_code, reason = "raise(3) is a function of C")]

mod support;

use std::rc::Rc;
use std::sync::Mutex;
use std::sync::{Arc, LazyLock};
use support::*;
use udpr::addr::Addr;
use udpr::port::{Delivery, Flush, Options, Port, Protocol, flag};
use udpr::reactor::{NoticeCallback, Reactor, ResolveCallback, Trigger};
use udpr::status::{Result, Status};
use udpr::sys::{Report, clock};
use udpr::trigger::{Event, Phase};

/// The steps in the order in which a turn does them.
const ORDER: [&str; 11] = [
    "the stop of a port",
    "deferred datagrams",
    "a retry",
    "a ready socket",
    "the result of a look-up",
    "the first call from a thread",
    "a signal",
    "a delayed call",
    "an error report",
    "the before phase of the shutdown",
    "the stop of a port by the shutdown",
];

static STEPS: LazyLock<Mutex<Vec<&'static str>>> = LazyLock::new(Mutex::default);

fn record(step: &'static str) {
    STEPS.lock().expect("no panic").push(step);
}

struct Step(&'static str);

impl ResolveCallback<ClosureCall> for Step {
    fn resolved(self: Box<Self>, _: &Reactor<ClosureCall>, _: u64, result: Result<&[Addr]>) {
        assert!(result.is_ok());
        record(self.0);
    }
}

impl NoticeCallback<ClosureCall> for Step {
    fn call(&self, _: &Reactor<ClosureCall>, _: u64) {
        record(self.0);
    }
}

impl Trigger<ClosureCall> for Step {
    fn fire(&self, _: &Reactor<ClosureCall>, _: u64) -> Status {
        record(self.0);
        Status::OK
    }
}

impl Protocol for Step {
    fn datagrams_received(&self, _: &Arc<Port>, _: &mut Delivery<'_>) {}

    fn error_received(&self, _: &Arc<Port>, _: &Report) {
        record(self.0);
    }
}

fn protocol() -> ClosureProtocol {
    ClosureProtocol::new(&Rc::default())
}

/// A port that stops in the next turn.
fn schedule_a_stop(reactor: &Reactor<ClosureCall>) {
    let port =
        listen(reactor, &Options::default(), protocol().on_stop(|_| record(ORDER[0]))).expect("a port");
    port.stop_listening().expect("it listens");
}

/// A port that was paused at the first of two datagrams, and reads again.
fn schedule_deferred_datagrams(reactor: &Reactor<ClosureCall>, peer: &Peer) {
    let counts = Rc::new(CallbackRecord::default());
    let protocol = ClosureProtocol::new(&counts).on_datagram(|port, datagram| match datagram.data() {
        b"first" => port.pause_reading().expect("open"),
        _ => record(ORDER[1]),
    });
    let port = listen(reactor, &Options::default(), protocol).expect("a port");
    let host = port.get_host().expect("open");
    peer.send(b"first", &host);
    peer.send(b"second", &host);
    turn_until(reactor, || counts.received.get() == 1);
    port.resume_reading().expect("open");
}

/// A port whose datagram met a full device.
fn schedule_a_retry(reactor: &Reactor<ClosureCall>, kernel: &ScriptedKernel, peer: &Peer) {
    let options = Options { flags: flag::NO_QUEUE | flag::UNBATCHED, ..Options::default() };
    let port = listen(reactor, &options, protocol().on_write_ready(|_| record(ORDER[2]))).expect("a port");
    kernel.fail(Syscall::Send, [libc::ENOBUFS]);
    let refused = port.write(b"x", Some(&peer.addr()), Flush::Immediate);
    assert_eq!(refused, Err(Status::WOULD_BLOCK));
    while reactor.context().next_retry().expect("a retry") > clock::now() {}
}

fn make_a_socket_ready(reactor: &Reactor<ClosureCall>, peer: &Peer) {
    let port = listen(reactor, &Options::default(), protocol().on_datagram(|_, _| record(ORDER[3])));
    peer.send(b"x", &port.expect("a port").get_host().expect("open"));
}

/// A port with an error report that was collected outside of a turn.
fn schedule_an_error_report(reactor: &Reactor<ClosureCall>) {
    let options = Options { flags: flag::ERROR_REPORTS | flag::UNBATCHED, ..Options::default() };
    let port = listen(reactor, &options, Step(ORDER[8])).expect("a port");
    port.write(b"x", Some(&Peer::closed_addr()), Flush::Immediate).expect("sent");
    port.set_error_reports(true).expect("open");
}

#[test]
fn a_turn_does_what_is_due_in_the_documented_order() {
    let (kernel, peer) = (Rc::new(ScriptedKernel::default()), Peer::new());
    let reactor = reactor(&kernel);
    reactor.start().expect("it is idle");
    let last = listen(&reactor, &Options::default(), protocol().on_stop(|_| record(ORDER[10])));
    last.expect("a port");
    schedule_deferred_datagrams(&reactor, &peer);
    schedule_a_retry(&reactor, &kernel, &peer);
    // All of these are due at once; they are made due in another order than a turn takes them.
    reactor.stop().expect("it runs");
    reactor.add_trigger(Phase::Before, Event::Shutdown, Rc::new(Step(ORDER[9]))).expect("memory");
    schedule_an_error_report(&reactor);
    reactor.call_later(0, ClosureCall::new(|_| record(ORDER[7]))).expect("memory");
    reactor.watch_signal(libc::SIGURG, Box::new(Step(ORDER[6]))).expect("a watch");
    // SAFETY: raise(3) takes an integer.
    assert_eq!(unsafe { libc::raise(libc::SIGURG) }, 0);
    reactor.remote.call(ClosureCall::new(|_| record(ORDER[5]))).expect("open");
    reactor.resolve("127.0.0.1", 1, 0, 0, Box::new(Step(ORDER[4]))).expect("an address");
    make_a_socket_ready(&reactor, &peer);
    schedule_a_stop(&reactor);
    reactor.iterate(Some(0)).expect("a turn");
    assert_eq!(*STEPS.lock().expect("no panic"), ORDER);
    reactor.close();
}
