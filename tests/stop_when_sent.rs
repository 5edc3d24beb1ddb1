//! A port that stops once everything is sent that was accepted, on a kernel whose socket is full as the test wants it.

mod support;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use support::*;
use udpr::port::{Flush, Options, Port};
use udpr::reactor::{PortCall, flag};
use udpr::status::{Result, Status};
use udpr::timer::NEVER;
use udpr::trigger::Event;

use CallResult::{AtMost, Errno};
use Syscall::Send;

const MS: u64 = 1_000_000;
/// More sends than a test makes, each of which finds the queue of the device full: the port tries again after 1 ms.
static STAYS_FULL: [i32; 10_000] = [libc::ENOBUFS; 10_000];

/// A port that has to send 0, 1 and 2, on a socket that was full.
fn full() -> Fixture {
    let fixture = Fixture::new();
    fixture.kernel.fail(Send, [libc::EAGAIN]);
    (0..3).for_each(|number| fixture.write(number).expect("queued"));
    fixture
}

/// The same, and the socket stays full.
fn permanently_full() -> Fixture {
    let fixture = Fixture::new();
    fixture.kernel.fail(Send, STAYS_FULL.iter().copied());
    (0..3).for_each(|number| fixture.write(number).expect("queued"));
    fixture
}

impl Fixture {
    fn stop_when_sent(&self, timeout: u64) -> Result {
        self.reactor.stop_when_sent(&self.port, timeout)
    }

    fn reasons(&self) -> Vec<Status> {
        self.record.stopped.borrow().clone()
    }

    fn turn_until_stopped(&self) {
        self.turn_until(|fixture| !fixture.reasons().is_empty());
        assert_eq!((self.reasons().len(), self.record.dropped.get()), (1, 1));
        assert_eq!(self.stop_when_sent(MS), Err(Status::CLOSED));
    }

    fn peer_received(&self, numbers: impl IntoIterator<Item = u32>) {
        let numbers: Vec<u32> = numbers.into_iter().collect();
        assert_eq!(self.peer.receive_numbers(numbers.len()), numbers);
        assert!(self.peer.has_nothing_to_read());
    }
}

#[test]
fn with_nothing_to_send_it_stops_in_the_next_turn() {
    for timeout in [0, MS, NEVER] {
        let fixture = Fixture::new();
        assert_eq!(fixture.write(0), Ok(()));
        assert_eq!(fixture.stop_when_sent(timeout), Ok(()));
        assert_eq!(fixture.reasons(), []);
        assert_eq!(fixture.reactor.next_timeout(), Some(0));
        fixture.reactor.iterate(None).expect("a turn that does not wait");
        assert_eq!(fixture.reasons(), [Status::OK]);
        fixture.peer_received([0]);
        assert_eq!(fixture.stop_when_sent(timeout), Err(Status::CLOSED));
        assert_eq!(fixture.reactor.next_timeout(), None);
    }
}

#[test]
fn what_is_queued_and_posted_is_sent_first() {
    let fixture = full();
    let to = fixture.peer.addr();
    assert_eq!(fixture.port.shared.post(&3_u32.to_be_bytes(), Some(&to)), Ok(()));
    assert_eq!(fixture.stop_when_sent(NEVER), Ok(()));
    assert_eq!(fixture.write(9), Err(Status::CLOSED));
    assert_eq!(fixture.port.shared.post(b"9", Some(&to)), Err(Status::CLOSED));
    assert_eq!(fixture.port.connect(&to), Err(Status::CLOSED));
    assert_eq!(fixture.port.flush(), Err(Status::CLOSED));
    assert_eq!(fixture.port.get_queued_bytes(), Ok(4 * 64));
    for left in (1..4).rev() {
        fixture.kernel.script(Send, [AtMost(1), Errno(libc::EAGAIN)]);
        fixture.turn_until(|fixture| fixture.kernel.remaining(Send) == 0);
        assert_eq!((fixture.port.get_queued_bytes(), fixture.reasons()), (Ok(left * 64), Vec::new()));
        assert!(fixture.port.get_host().is_ok(), "the socket is open");
    }
    fixture.turn_until_stopped();
    assert_eq!((fixture.reasons(), fixture.record.ready.get()), (vec![Status::OK], 0));
    fixture.peer_received(0..4);
}

#[test]
fn what_is_gathered_and_posted_is_sent_inside_the_call() {
    let fixture = Fixture::new();
    let to = fixture.peer.addr();
    let seen = Rc::new(Cell::new(None));
    let backlog = seen.clone();
    fixture.in_callback(move |port| {
        write_number(port, 0, &to, Flush::Batched).expect("gathered");
        port.shared.post(&1_u32.to_be_bytes(), Some(&to)).expect("posted");
        port.stop_when_sent(NEVER).expect("open");
        backlog.set(Some(port.get_queued_bytes()));
    });
    assert_eq!(seen.get(), Some(Ok(0)));
    fixture.turn_until_stopped();
    assert_eq!(fixture.reasons(), [Status::OK]);
    fixture.peer_received(0..2);
}

#[test]
fn posts_behind_a_full_socket_leave_without_a_further_event() {
    let fixture = full();
    let to = fixture.peer.addr();
    for number in 3..100_u32 {
        assert_eq!(fixture.port.shared.post(&number.to_be_bytes(), Some(&to)), Ok(()));
    }
    assert_eq!(fixture.stop_when_sent(NEVER), Ok(()));
    fixture.turn_until_stopped();
    assert_eq!(fixture.reasons(), [Status::OK]);
    fixture.peer_received(0..100);
}

#[test]
fn write_ready_is_not_called() {
    let fixture = Fixture::with(&Options { send_queue_bytes: 3 * 64, ..Options::default() });
    fixture.kernel.fail(Send, [libc::EAGAIN]);
    (0..3).for_each(|number| fixture.write(number).expect("queued"));
    assert_eq!(fixture.write(9), Err(Status::WOULD_BLOCK));
    assert_eq!(fixture.stop_when_sent(NEVER), Ok(()));
    fixture.turn_until_stopped();
    assert_eq!((fixture.reasons(), fixture.record.ready.get()), (vec![Status::OK], 0));
    fixture.peer_received(0..3);
}

#[test]
fn what_is_left_at_the_end_is_dropped_and_counted() {
    let dropped = Rc::new(Cell::new(0));
    let fixture = permanently_full();
    let begin = Instant::now();
    assert_eq!(fixture.stop_when_sent(5 * MS), Ok(()));
    assert_eq!(fixture.port.shared.post(b"9", None), Err(Status::CLOSED));
    let count = dropped.clone();
    fixture.turn_until(|fixture| {
        fixture.port.get_stats().inspect(|stats| count.set(stats.queued_datagrams)).is_err()
    });
    assert!(begin.elapsed() >= Duration::from_millis(5));
    assert_eq!((fixture.reasons(), dropped.get()), (vec![Status::TIMED_OUT], 3));
    fixture.peer_received([]);
    assert_eq!(fixture.reactor.context().next_stop_deadline(), None);
}

#[test]
fn the_earlier_end_counts() {
    for timeouts in [[NEVER, 3 * MS], [3 * MS, NEVER], [3 * MS, 3_600_000 * MS], [3_600_000 * MS, 3 * MS]] {
        let fixture = permanently_full();
        timeouts.iter().for_each(|timeout| fixture.stop_when_sent(*timeout).expect("open"));
        fixture.turn_until_stopped();
        assert_eq!(fixture.reasons(), [Status::TIMED_OUT], "{timeouts:?}");
        assert_eq!(fixture.reactor.context().next_stop_deadline(), None);
    }
}

#[test]
fn a_timeout_is_no_negative_difference() {
    let fixture = full();
    for timeout in [NEVER - 1, 1 << 63] {
        assert_eq!(fixture.stop_when_sent(timeout), Err(Status::INVALID_ARGUMENT));
    }
    assert_eq!(fixture.write(3), Ok(()), "it still listens");
    assert_eq!(fixture.stop_when_sent(i64::MAX as u64), Ok(()));
    fixture.turn_until_stopped();
    fixture.peer_received(0..4);
}

#[test]
fn other_ends_do_not_wait() {
    type End = fn(&Fixture);
    let later: [End; 2] =
        [|it| it.port.stop_listening().expect("open"), |it| it.stop_when_sent(0).expect("open")];
    for end in later {
        let fixture = permanently_full();
        assert_eq!(fixture.stop_when_sent(NEVER), Ok(()));
        end(&fixture);
        assert_eq!(fixture.reasons(), []);
        fixture.reactor.iterate(None).expect("a turn that does not wait");
        assert_eq!(fixture.reasons(), [Status::TIMED_OUT]);
    }
    let at_once: [End; 3] = [
        |it| it.port.close(Status::OK).expect("open"),
        |it| it.reactor.fire_event(Event::Shutdown).expect("no event is going on"),
        |it| it.reactor.close(),
    ];
    for end in at_once {
        let fixture = permanently_full();
        assert_eq!(fixture.stop_when_sent(NEVER), Ok(()));
        end(&fixture);
        assert_eq!(fixture.reasons(), [Status::TIMED_OUT]);
        assert_eq!(fixture.record.dropped.get(), 1);
    }
    let fixture = full();
    assert_eq!(fixture.stop_when_sent(NEVER), Ok(()));
    fixture.port.close(Status::SHUT_DOWN).expect("open");
    assert_eq!(fixture.reasons(), [Status::SHUT_DOWN], "another reason stays");
}

/// A datagram that was accepted and is refused then is reported before the end, and nothing was dropped for lack of time.
#[test]
fn error_received_is_still_called() {
    let fixture = full();
    assert_eq!(fixture.stop_when_sent(NEVER), Ok(()));
    fixture.kernel.script(Send, [AtMost(1), Errno(libc::EPERM)]);
    fixture.turn_until_stopped();
    let reports: Vec<Status> = fixture.record.reports.borrow().iter().map(|report| report.status).collect();
    assert_eq!((reports, fixture.reasons()), (vec![Status::PERMISSION], vec![Status::OK]));
    fixture.peer_received([0, 2]);

    // Outside a turn, when nothing is left to send at the beginning of the next one.
    let fixture = Fixture::new();
    fixture.kernel.fail(Send, [libc::EPERM]);
    fixture.port.shared.post(&0_u32.to_be_bytes(), Some(&fixture.peer.addr())).expect("posted");
    assert_eq!(fixture.stop_when_sent(NEVER), Ok(()));
    fixture.turn_until_stopped();
    assert_eq!((fixture.record.reports.borrow().len(), fixture.reasons()), (1, vec![Status::OK]));
}

#[test]
fn deferred_datagrams_are_discarded_and_no_more_are_received() {
    let fixture = permanently_full();
    let host = fixture.host();
    fixture.peer.send(b"now", &host);
    fixture.peer.send(b"kept", &host);
    fixture.in_callback(|port| port.pause_reading().expect("open"));
    fixture.turn_until(|fixture| fixture.stats().kept_datagrams > 0);
    let (kept, received) = (fixture.stats().kept_datagrams, fixture.record.received.get());
    assert_eq!(fixture.stop_when_sent(20 * MS), Ok(()));
    assert_eq!((fixture.stats().kept_datagrams, fixture.stats().discarded_in), (0, kept));
    assert_eq!(fixture.port.resume_reading(), Err(Status::CLOSED));
    fixture.peer.send(b"late", &host);
    fixture.turn_until_stopped();
    assert_eq!(fixture.record.received.get(), received);
}

struct CountedCall(Rc<Cell<u32>>);

impl PortCall for CountedCall {
    fn call(&mut self, _: &Arc<Port>, _: u64, _: u64) {
        self.0.set(self.0.get() + 1);
    }
}

#[test]
fn the_ports_calls_are_not_made_and_end_with_it() {
    let (fixture, calls) = (permanently_full(), Rc::new(Cell::new(0)));
    let call = || Box::new(CountedCall(calls.clone()));
    let id = fixture.reactor.call_port_later(&fixture.port, MS, call()).expect("a call");
    fixture.reactor.call_port_every(&fixture.port, MS, call()).expect("a call");
    assert_eq!(fixture.stop_when_sent(10 * MS), Ok(()));
    assert_eq!(fixture.reactor.call_port_later(&fixture.port, 0, call()), Err(Status::CLOSED));
    assert_eq!(Rc::strong_count(&calls), 3, "they are pending");
    fixture.turn_until_stopped();
    assert_eq!((calls.get(), Rc::strong_count(&calls)), (0, 1));
    assert_eq!(fixture.reactor.cancel_call(id), Err(Status::ALREADY_CANCELLED));
}

/// While nothing can be sent and nothing is due, the loop waits.
#[test]
fn a_draining_port_does_not_spin() {
    let fixture = permanently_full();
    assert_eq!(fixture.stop_when_sent(30 * MS), Ok(()));
    fixture.turn_until_stopped();
    let turns = fixture.reactor.get_stats().iterations;
    assert!(turns <= 100, "{turns} turns, where the port tries again 30 times");
}

#[test]
fn ports_that_have_sent_everything_leave_no_deadline() {
    let fixture = Fixture::new();
    let ports: Vec<_> = (0..1000_u64)
        .map(|number| {
            let record = Rc::<CallbackRecord>::default();
            let port = listen(&fixture.reactor, &Options::default(), ClosureProtocol::new(&record));
            let port = port.expect("a port");
            fixture.kernel.fail(Send, [libc::EAGAIN]);
            write_number(&port, 0, &fixture.peer.addr(), Flush::Batched).expect("queued");
            fixture.reactor.stop_when_sent(&port, (60 + number * 7 % 10) * 1000 * MS).expect("open");
            (port, record)
        })
        .collect();
    fixture.turn_until(|_| ports.iter().all(|(_, record)| record.stopped.borrow().len() == 1));
    assert!(ports.iter().all(|(_, record)| *record.stopped.borrow() == [Status::OK]));
    assert_eq!(fixture.reactor.context().next_stop_deadline(), None);
}

#[test]
fn a_manual_clock_moves_the_end() {
    let kernel = Rc::<ScriptedKernel>::default();
    let reactor =
        udpr::reactor::Reactor::<ClosureCall>::with_kernel(flag::MANUAL_CLOCK, kernel.clone()).expect("one");
    let (record, peer) = (Rc::<CallbackRecord>::default(), Peer::new());
    let port = listen(&reactor, &Options::default(), ClosureProtocol::new(&record)).expect("a port");
    kernel.fail(Send, STAYS_FULL.iter().copied());
    write_number(&port, 0, &peer.addr(), Flush::Batched).expect("queued");
    reactor.stop_when_sent(&port, 1000).expect("open");
    reactor.advance(999).expect("a manual clock");
    (0..3).for_each(|_| reactor.iterate(Some(0)).expect("a turn"));
    assert!(record.stopped.borrow().is_empty());
    reactor.advance(1).expect("a manual clock");
    assert_eq!(reactor.next_timeout(), Some(0));
    reactor.iterate(None).expect("a turn that does not wait");
    assert_eq!(*record.stopped.borrow(), [Status::TIMED_OUT]);
    reactor.close();
}
