//! epoll reports an event at every wait until it is handled. Errors that persist cause some turns, and then at most a few in 64
//! ms. Events without a cause, with unexpected bits or with unknown tokens do no harm.

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
use udpr::sys::report::origin;
use udpr::sys::{Interest, Readiness, Report};

use Syscall::{Option as GetOption, ReadError, Receive, Rewatch, Send, Unwatch, Wait, Watch};

/// How long the loop runs with an error that persists, in nanoseconds.
const WINDOW: u64 = 100_000_000;
/// The maximum number of turns in that time. Expected are 8 events, then 3 turns for each of about 7 retries. More are allowed
/// for a slow machine; a spinning loop makes thousands.
const TURNS_MAX: u64 = 200;

/// Runs while every call of this kind fails. Returns the number of turns.
fn turns_while(fixture: &Fixture, syscall: Syscall, errno: i32) -> u64 {
    fixture.kernel.start_trace(Some(Fault::Always(syscall, errno)));
    let turns = turns(fixture);
    assert!(fixture.kernel.end_trace().iter().any(|call| call.syscall == syscall), "{syscall:?} was called");
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
        fixture.kernel.start_trace(Some(Fault::Always(Receive, errno)));
        if [EBADF, ENOTSOCK].contains(&errno) {
            turns(&fixture);
            assert_eq!(
                *fixture.record.stopped.borrow(),
                [Status::from_errno(errno)],
                "as if the program had closed it"
            );
            continue;
        }
        fixture
            .turn_until(|fixture| fixture.kernel.interests().iter().any(|interest| interest.edge_triggered));
        let turns = turns(&fixture);
        assert!(turns < TURNS_MAX, "{errno}: {turns} turns");
        fixture.kernel.end_trace();
        fixture.turn_until(|fixture| fixture.record.received.get() == 1);
        assert_eq!(fixture.kernel.interests().last(), Some(&Interest::READABLE), "level-triggered again");
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
fn a_pending_error_that_cannot_be_read() {
    for errno in errnos(GetOption) {
        let fixture = Fixture::new();
        fixture.port.connect(&Peer::closed_addr()).expect("connected");
        fixture.port.write(b"ping", None, Flush::Immediate).expect("written");
        let turns = turns_while(&fixture, GetOption, errno);
        assert!(turns < TURNS_MAX, "{errno}: {turns} turns");
        assert_eq!(fixture.record.refused.get(), 1, "a receive reports it, too");
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

/// A registration that epoll does not change is removed and added again.
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
        assert_eq!(watched_descriptors(&fixture.reactor), 2, "the port and the waker");
        fixture.port.resume_reading().expect("open");
        fixture.turn_until(|fixture| fixture.record.received.get() == 1);
    }
}

#[test]
fn a_socket_that_epoll_does_not_add_again() {
    for errno in errnos(Watch) {
        let fixture = Fixture::new();
        fixture.kernel.fail(Rewatch, [ENOENT]);
        fixture.port.pause_reading().expect("open");
        fixture.kernel.fail(Rewatch, [errno; 2]);
        fixture.kernel.fail(Watch, [errno; 2]);
        fixture.port.resume_reading().expect("open");
        assert_eq!(watched_descriptors(&fixture.reactor), 1, "only the waker");
        fixture.peer.send(b"now", &fixture.host());
        fixture.turn_until(|fixture| fixture.record.received.get() == 1);
        assert_eq!((fixture.kernel.remaining(Watch), watched_descriptors(&fixture.reactor)), (0, 2));
    }
}

/// While many messages are sent, the socket is not in the epoll set.
#[test]
fn a_socket_that_epoll_does_not_add_again_after_many_messages() {
    const UNWATCH_MIN_MESSAGES: u32 = 40;
    for errno in errnos(Watch) {
        let fixture = Fixture::new();
        fixture.in_callback(|_| ());
        // The first attempt, and another one at the end of the dispatch.
        fixture.kernel.fail(Rewatch, [errno; 2]);
        fixture.kernel.fail(Watch, [errno; 2]);
        fixture.write_batched(0..UNWATCH_MIN_MESSAGES);
        assert_eq!(
            (fixture.kernel.remaining(Watch), watched_descriptors(&fixture.reactor)),
            (0, 1),
            "only the waker"
        );
        fixture.peer.send(b"now", &fixture.host());
        fixture.turn_until(|fixture| fixture.record.received.get() == 3);
        assert_eq!(watched_descriptors(&fixture.reactor), 2);
        fixture.assert_received(0..UNWATCH_MIN_MESSAGES);
    }
}

/// epoll reports a datagram that arrives while the socket is not in the epoll set, as soon as it is added again.
#[test]
fn a_datagram_that_arrives_while_many_messages_are_sent() {
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

/// A socket that cannot be removed from the set stays in it.
#[test]
fn a_socket_that_stays_in_the_set_while_many_messages_are_sent() {
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

/// Makes every wait also report an event like `event`, with the token computed from the port's.
fn add_event(fixture: &Fixture, token: impl Fn(u64) -> u64 + 'static, event: Readiness) {
    let own = Rc::new(Cell::new(0));
    fixture.kernel.filter_events(move |events, ready| {
        // The port's token is that of the first event that is not the waker's.
        let found = events[..ready].iter().map(|event| event.token).find(|token| *token > 1);
        own.set(found.unwrap_or(own.get()));
        events[ready] = Readiness { token: token(own.get()), ..event };
        ready + 1
    });
}

#[test]
fn events_without_a_cause() {
    // A hang-up is for a socket that was shut down: the port ends (tests/c/misuse_descriptors.c).
    for bits in 0..8 {
        let (readable, writable, error) = (bits & 1 != 0, bits & 2 != 0, bits & 4 != 0);
        let fixture = Fixture::new();
        let event = Readiness { readable, writable, error, ..Readiness::default() };
        add_event(&fixture, |token| token, event);
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
fn events_with_unknown_tokens() {
    let unknown: [fn(u64) -> u64; 5] =
        [|_| 2, |_| u64::MAX, |token| token + 1, |token| token + (1 << 32), |token| token ^ (7 << 60)];
    for token in unknown {
        let fixture = Fixture::new();
        let event = Readiness { token: 0, readable: true, writable: true, error: true, hangup: true };
        add_event(&fixture, token, event);
        for count in 1..=5 {
            fixture.peer.send(b"now", &fixture.host());
            fixture.turn_until(|fixture| fixture.record.received.get() == count);
        }
    }
}

#[test]
fn events_in_reverse_order() {
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
    Report {
        status,
        origin,
        to,
        reporter,
        icmp_type: 3,
        icmp_code: 3,
        mtu: 0,
        data: b"ping"[..].into(),
        tag: 0,
    }
}

/// Entries of the error queue for other destinations, in any order, of any origin, and without contents: each is reported once,
/// with its own destination, and the peer's refusal once.
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
