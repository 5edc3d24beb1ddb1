//! What cannot be taken away, epoll reports at every wait. Errors that last cost some turns and then some each 64 ms at
//! most; reports of nothing, of too much and of nobody are survived.

mod support;

use libc::{
    EAGAIN, EBADF, ECONNREFUSED, EHOSTUNREACH, EINTR, EMSGSIZE, ENETUNREACH, ENOBUFS, ENOENT, ENOTSOCK,
    EPROTO,
};
use std::cell::Cell;
use std::rc::Rc;
use support::*;
use udpr::addr::Addr;
use udpr::port::{Flush, Options, flag};
use udpr::status::Status;
use udpr::sys::epoll::{EDGE_TRIGGERED, ERROR, HANGUP, READABLE, WRITABLE};
use udpr::sys::error_queue::origin;
use udpr::sys::{Readiness, Report};

use Syscall::{Option as GetOption, ReadError, Receive, Rewatch, Send, Unwatch, Wait, Watch};

/// How long the loop runs with an error that lasts, in nanoseconds.
const WINDOW: u64 = 100_000_000;
/// The most turns in that time: 8 reports in a row, then 3 turns for each try, of which there are 7 in the window. Many more
/// than that are allowed for a slow machine; a loop that spins makes thousands.
const TURNS_MAX: u64 = 200;

/// Runs with every call of this kind failing; the answer is how many turns that were.
fn turns_while(fixture: &Fixture, syscall: Syscall, errno: i32) -> u64 {
    fixture.kernel.start_trace(Some(Fault::Always(syscall, errno)));
    let turns = turns(fixture);
    assert!(fixture.kernel.end_trace().iter().any(|step| step.syscall == syscall), "{syscall:?} was called");
    turns
}

fn turns(fixture: &Fixture) -> u64 {
    let before = fixture.reactor.get_stats().iterations;
    let crash = ClosureCall::new(|reactor| reactor.crash().expect("it runs"));
    fixture.reactor.call_later(WINDOW, crash).expect("a call");
    fixture.reactor.run().expect("a run");
    fixture.reactor.get_stats().iterations - before
}

#[test]
fn a_receive_that_always_fails() {
    for errno in errnos(Receive) {
        let fixture = Fixture::new();
        fixture.peer.send(b"now", &fixture.host());
        let turns = turns_while(&fixture, Receive, errno);
        assert!(turns < TURNS_MAX, "{errno}: {turns} turns");
        if [EBADF, ENOTSOCK].contains(&errno) {
            assert_eq!(
                *fixture.record.stopped.borrow(),
                [Status::from_errno(errno)],
                "the host has closed it"
            );
            continue;
        }
        assert!(fixture.kernel.interests().iter().any(|interest| interest & EDGE_TRIGGERED != 0), "{errno}");
        fixture.turn_until(|fixture| fixture.record.received.get() == 1);
        assert_eq!(fixture.kernel.interests().last(), Some(&READABLE), "all is well again");
    }
}

#[test]
fn an_error_queue_that_cannot_be_read() {
    for errno in errnos(ReadError) {
        let fixture = Fixture::with(&Options { flags: flag::ERROR_REPORTS, ..Options::default() });
        fixture.port.write(b"ping", Some(&Peer::closed_addr()), Flush::Immediate).expect("written");
        let turns = turns_while(&fixture, ReadError, errno);
        assert!(turns < TURNS_MAX, "{errno}: {turns} turns");
        fixture.turn_until(|fixture| !fixture.record.reports.borrow().is_empty());
    }
}

#[test]
fn a_pending_error_that_cannot_be_asked_for() {
    for errno in errnos(GetOption) {
        let fixture = Fixture::new();
        fixture.port.connect(&Peer::closed_addr()).expect("connected");
        fixture.port.write(b"ping", None, Flush::Immediate).expect("written");
        let turns = turns_while(&fixture, GetOption, errno);
        assert!(turns < TURNS_MAX, "{errno}: {turns} turns");
        assert_eq!(fixture.record.refused.get(), 1, "a read meets it, too");
    }
}

#[test]
fn a_socket_that_is_writable_and_full() {
    for errno in errnos(Send) {
        let fixture = Fixture::new();
        fixture.kernel.fail(Send, [EAGAIN]);
        fixture.write(1).expect("queued");
        let turns = turns_while(&fixture, Send, errno);
        assert!(turns < TURNS_MAX, "{errno}: {turns} turns");
        fixture.turn_until_sent();
        let lost = fixture.stats().dropped_out;
        assert_eq!(lost, u64::from(![EAGAIN, ENOBUFS].contains(&errno)), "{errno}");
        fixture.assert_received((lost == 0).then_some(1));
    }
}

/// What epoll does not change is taken out of the set and put in again.
#[test]
fn an_interest_that_cannot_be_changed() {
    for errno in errnos(Rewatch) {
        let fixture = Fixture::new();
        fixture.peer.send(b"now", &fixture.host());
        fixture.kernel.start_trace(Some(Fault::Always(Rewatch, errno)));
        fixture.port.pause_reading().expect("open");
        fixture.kernel.end_trace();
        let turns = turns(&fixture);
        assert!(turns < 10, "{errno}: {turns} turns");
        assert_eq!(fixture.kernel.count(Receive), 0);
        assert_eq!(watched_descriptors(&fixture.reactor), 2, "the port, and the wake-up");
        fixture.port.resume_reading().expect("open");
        fixture.turn_until(|fixture| fixture.record.received.get() == 1);
    }
}

#[test]
fn a_socket_that_epoll_does_not_take_back() {
    for errno in errnos(Watch) {
        let fixture = Fixture::new();
        fixture.kernel.fail(Rewatch, [ENOENT]);
        fixture.port.pause_reading().expect("open");
        fixture.kernel.fail(Rewatch, [errno; 2]);
        fixture.kernel.fail(Watch, [errno; 2]);
        fixture.port.resume_reading().expect("open");
        assert_eq!(watched_descriptors(&fixture.reactor), 1, "the wake-up alone");
        fixture.peer.send(b"now", &fixture.host());
        fixture.turn_until(|fixture| fixture.record.received.get() == 1);
        assert_eq!((fixture.kernel.remaining(Watch), watched_descriptors(&fixture.reactor)), (0, 2));
    }
}

/// While many messages leave, epoll does not know the socket.
#[test]
fn a_socket_that_epoll_does_not_take_back_after_a_crowd() {
    const UNWATCH_MIN_MESSAGES: u32 = 40;
    for errno in errnos(Watch) {
        let fixture = Fixture::new();
        fixture.in_callback(|_| ());
        // At once, and once more at the end of the dispatch.
        fixture.kernel.fail(Rewatch, [errno; 2]);
        fixture.kernel.fail(Watch, [errno; 2]);
        fixture.write_batched(0..UNWATCH_MIN_MESSAGES);
        assert_eq!(
            (fixture.kernel.remaining(Watch), watched_descriptors(&fixture.reactor)),
            (0, 1),
            "the wake-up alone"
        );
        fixture.peer.send(b"now", &fixture.host());
        fixture.turn_until(|fixture| fixture.record.received.get() == 3);
        assert_eq!(watched_descriptors(&fixture.reactor), 2);
        fixture.assert_received(0..UNWATCH_MIN_MESSAGES);
    }
}

/// What comes while epoll does not know the socket is told of when it does again.
#[test]
fn a_datagram_that_comes_while_a_crowd_leaves() {
    let (fixture, itself) = (Fixture::new(), 20);
    let (peer, host) = (fixture.peer.addr(), fixture.host());
    fixture.in_callback(move |port| {
        for number in 0..40 {
            let to = if number == itself { &host } else { &peer };
            write_number(port, number, to, Flush::Batched).expect("accepted");
        }
    });
    fixture.turn_until(|fixture| fixture.record.received.get() == 2);
    fixture.assert_received((0..40).filter(|number| *number != itself));
}

/// One that cannot be taken out is there all the same.
#[test]
fn a_socket_that_stays_in_the_set_while_a_crowd_leaves() {
    for errno in errnos(Unwatch) {
        let fixture = Fixture::new();
        fixture.kernel.fail(Unwatch, [errno; 2]);
        fixture.write_batched(0..40);
        assert_eq!((fixture.kernel.remaining(Unwatch), watched_descriptors(&fixture.reactor)), (0, 2));
        fixture.in_callback(|_| ());
        fixture.assert_received(0..40);
    }
}

#[test]
fn a_wait_that_always_fails_ends_run() {
    for errno in errnos(Wait).into_iter().filter(|errno| *errno != EINTR) {
        let fixture = Fixture::new();
        let waits = fixture.kernel.count(Wait);
        fixture.kernel.start_trace(Some(Fault::Always(Wait, errno)));
        assert_eq!(fixture.reactor.run(), Err(Status::from_errno(errno)));
        fixture.kernel.end_trace();
        assert_eq!(fixture.kernel.count(Wait), waits + 1);
        fixture.in_callback(|_| ());
    }
}

/// Every wait reports these bits of the port too, or instead.
fn claim(fixture: &Fixture, token: impl Fn(u64) -> u64 + 'static, bits: u32) {
    let own = Rc::new(Cell::new(0));
    fixture.kernel.filter_events(move |events, ready| {
        // The port's token is that of the first event that is no wake-up.
        let found = events[..ready].iter().map(|event| event.u64).find(|token| *token > 1);
        own.set(found.unwrap_or(own.get()));
        events[ready] = Readiness { events: bits, u64: token(own.get()) };
        ready + 1
    });
}

#[test]
fn reports_of_nothing() {
    let all = READABLE | WRITABLE | ERROR;
    // EPOLLHUP is for a socket that was shut down: the port ends (tests/c/misuse_descriptors.c).
    for bits in [READABLE, WRITABLE, ERROR, READABLE | ERROR, all, 0, !HANGUP] {
        let fixture = Fixture::new();
        claim(&fixture, |token| token, bits);
        for count in 1..=20 {
            fixture.peer.send(b"now", &fixture.host());
            fixture.turn_until(|fixture| fixture.record.received.get() == count);
        }
        (0..20).for_each(|_| fixture.reactor.iterate(Some(0)).expect("a turn"));
        assert!(fixture.record.stopped.borrow().is_empty() && fixture.record.refused.get() == 0);
        fixture.write(1).expect("sent");
        fixture.assert_counters(1);
        fixture.assert_received([1]);
    }
}

#[test]
fn reports_of_nobody() {
    let made_up: [fn(u64) -> u64; 5] =
        [|_| 2, |_| u64::MAX, |token| token + 1, |token| token + (1 << 32), |token| token ^ (7 << 60)];
    for token in made_up {
        let fixture = Fixture::new();
        claim(&fixture, token, READABLE | ERROR | HANGUP | WRITABLE);
        for count in 1..=5 {
            fixture.peer.send(b"now", &fixture.host());
            fixture.turn_until(|fixture| fixture.record.received.get() == count);
        }
    }
}

#[test]
fn reports_in_another_order() {
    let (fixture, record) = (Fixture::new(), Rc::new(CallbackRecord::default()));
    let second =
        listen(&fixture.reactor, &Options::default(), ClosureProtocol::new(&record)).expect("a port");
    fixture.kernel.filter_events(|events, ready| {
        events[..ready].reverse();
        ready
    });
    for _ in 0..10 {
        [fixture.host(), second.get_host().expect("open")]
            .iter()
            .for_each(|to| fixture.peer.send(b"now", to));
    }
    fixture.turn_until(|fixture| fixture.record.received.get() == 10 && record.received.get() == 10);
}

fn report(to: Addr, errno: i32, origin: u32) -> Report {
    let status = Status::from_errno(errno);
    let reporter = Addr::v4([192, 0, 2, 254], 0);
    Report { status, origin, to, reporter, icmp_type: 3, icmp_code: 3, mtu: 0, data: b"ping"[..].into() }
}

/// Entries about others, in any order, of any origin, and those that are none: each is told once, with its own
/// destination, and the peer's refusal once.
#[test]
fn entries_out_of_order_and_of_unknown_origin() {
    let fixture = Fixture::with(&Options { flags: flag::ERROR_REPORTS, ..Options::default() });
    let (peer, stranger) = (fixture.peer.addr(), Addr::v4([192, 0, 2, 1], 9));
    fixture.port.connect(&peer).expect("connected");
    fixture.kernel.queue_reports([
        Some(report(stranger, ECONNREFUSED, origin::ICMP)),
        None,
        Some(report(peer, EHOSTUNREACH, origin::ICMP)),
        Some(report(Addr::UNSPECIFIED, EPROTO, 99)),
        Some(report(peer, EMSGSIZE, origin::LOCAL)),
        Some(report(peer, ECONNREFUSED, origin::ICMP)),
        Some(report(stranger, ENETUNREACH, origin::ICMP6)),
    ]);
    fixture.kernel.fail(Receive, [EHOSTUNREACH]);
    fixture.in_callback(|_| ());
    fixture.turn_until(|fixture| fixture.record.refused.get() == 1);
    let returned: Vec<_> =
        fixture.record.reports.borrow().iter().map(|report| (report.to, report.status.errno())).collect();
    let expected =
        [(stranger, ECONNREFUSED), (peer, EHOSTUNREACH), (Addr::UNSPECIFIED, EPROTO), (peer, ECONNREFUSED)];
    assert_eq!(returned[..4], expected);
    assert_eq!(returned[4..], [(stranger, ENETUNREACH)]);
    assert_eq!((fixture.stats().refused, fixture.record.refused.get()), (2, 1));
}
