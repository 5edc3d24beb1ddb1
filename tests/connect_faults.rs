//! Connecting, refusals and failed writes with a kernel that fails at each step in turn.

mod support;

use support::*;
use udpr::addr::Addr;
use udpr::port::{Flush, Options, flag};
use udpr::status::Status;
use udpr::sys::report::origin;

use CallResult::{AtMost, Errno, Real};
use Syscall::{Bind, Connect, LocalAddr, Option as GetOption, PeerAddr, ReadError, Receive, Send};

fn connected() -> Fixture {
    let fixture = Fixture::new();
    fixture.port.connect(&fixture.peer.addr()).expect("connected");
    fixture
}

fn peer_of(fixture: &Fixture) -> Result<Addr, Status> {
    fixture.port.get_peer()
}

/// The port and the peer receive each other's datagrams.
fn assert_talks_to(fixture: &Fixture, peer: &Peer) {
    assert_eq!(peer_of(fixture), Ok(peer.addr()));
    fixture.port.write(b"ping", None, Flush::Immediate).expect("written");
    assert_eq!(peer.receive(&mut [0; 8]), b"ping");
    let before = fixture.record.received.get();
    peer.send(b"pong", &fixture.host());
    fixture.turn_until(|fixture| fixture.record.received.get() == before + 1);
}

#[test]
fn each_step_of_the_first_connect_may_fail() {
    for step in [GetOption, Connect, PeerAddr] {
        let (fixture, other) = (Fixture::new(), Peer::new());
        // SO_ERROR is read first; its result is ignored.
        let before = usize::from(step == GetOption);
        fixture.kernel.script(step, std::iter::repeat_n(Real, before).chain([Errno(libc::ENOBUFS)]));
        let status = fixture.port.connect(&other.addr());
        assert_eq!(status, Err(Status::from_errno(libc::ENOBUFS)), "{step:?}");
        assert_eq!(peer_of(&fixture), Err(Status::NOT_CONNECTED));
        fixture.in_callback(|_| ());
        assert_eq!(fixture.write(1), Ok(()));
        fixture.assert_received([1]);
    }
}

#[test]
fn each_step_of_another_connect_may_fail() {
    let steps = [(LocalAddr, 0), (Connect, 0), (LocalAddr, 1), (Connect, 1), (PeerAddr, 0)];
    for (step, before) in steps {
        let (fixture, other) = (connected(), Peer::new());
        fixture.kernel.script(step, std::iter::repeat_n(Real, before).chain([Errno(libc::ENOBUFS)]));
        let status = fixture.port.connect(&other.addr());
        assert_eq!(status, Err(Status::from_errno(libc::ENOBUFS)), "{step:?} {before}");
        assert_talks_to(&fixture, &fixture.peer);
    }
}

#[test]
fn a_port_that_cannot_return_to_its_former_peer_has_none() {
    let (fixture, other) = (connected(), Peer::new());
    fixture.kernel.script(Connect, [Real, Errno(libc::EADDRNOTAVAIL), Real, Errno(libc::ENETUNREACH)]);
    assert_eq!(fixture.port.connect(&other.addr()), Err(Status::ADDRESS_NOT_AVAILABLE));
    assert_eq!(peer_of(&fixture), Err(Status::NOT_CONNECTED));
    assert_eq!(fixture.write(1), Ok(()), "to an explicit destination");
    fixture.in_callback(|_| ());
}

#[test]
fn a_connect_does_not_bind_an_explicit_port_again() {
    let fixture = connected();
    let before = fixture.kernel.count(Bind);
    (0..3).for_each(|_| fixture.port.connect(&fixture.peer.addr()).expect("connected"));
    fixture.port.disconnect().expect("connected until now");
    assert_eq!(fixture.kernel.count(Bind), before);
}

#[test]
fn queued_datagrams_keep_their_destination() {
    let (fixture, other) = (connected(), Peer::new());
    fixture.kernel.fail(Send, [libc::EAGAIN]);
    fixture.port.write(b"first", None, Flush::Immediate).expect("queued");
    assert_eq!(fixture.stats().queued_datagrams, 1);
    fixture.kernel.fail(Send, [libc::EAGAIN]);
    fixture.port.connect(&other.addr()).expect("connected");
    fixture.port.write(b"other", None, Flush::Immediate).expect("queued");
    fixture.turn_until_sent();
    assert_eq!(fixture.peer.receive(&mut [0; 8]), b"first");
    assert_eq!(other.receive(&mut [0; 8]), b"other");
    assert!(fixture.peer.has_nothing_to_read() && other.has_nothing_to_read());
}

#[test]
fn a_refusal_that_a_receive_reports() {
    let fixture = connected();
    fixture.kernel.fail(Receive, [libc::ECONNREFUSED]);
    fixture.in_callback(|_| ());
    assert_eq!((fixture.record.refused.get(), fixture.stats().refused), (1, 1));
    assert_eq!(fixture.record.received.get(), 1, "the datagram is not lost");
}

/// The error is no longer on the socket, so epoll does not report it.
#[test]
fn a_refusal_that_a_write_reports() {
    let fixture = connected();
    fixture.kernel.fail(Send, [libc::ECONNREFUSED]);
    assert_eq!(fixture.port.write(b"ping", None, Flush::Immediate), Ok(()));
    assert_eq!(fixture.record.refused.get(), 0, "not inside the write");
    fixture.reactor.iterate(None).expect("a turn that does not wait");
    assert_eq!((fixture.record.refused.get(), fixture.stats().refused), (1, 1));
}

#[test]
fn a_refusal_on_an_unconnected_port_is_not_reported() {
    let fixture = Fixture::new();
    fixture.kernel.fail(Receive, [libc::ECONNREFUSED]);
    fixture.in_callback(|_| ());
    assert_eq!((fixture.record.refused.get(), fixture.stats().refused), (0, 1));
}

#[test]
fn a_pending_error_costs_a_connected_port_one_attempt() {
    for errno in [libc::EHOSTUNREACH, libc::ENOPROTOOPT, libc::EMSGSIZE, libc::EACCES, libc::ECONNREFUSED] {
        let fixture = connected();
        fixture.kernel.fail(Send, [errno]);
        assert_eq!(fixture.port.write(b"ping", None, Flush::Immediate), Ok(()));
        assert_eq!(fixture.kernel.count(Send), 2);
        assert_eq!(fixture.peer.receive(&mut [0; 8]), b"ping");
    }
}

#[test]
fn an_error_that_repeats_belongs_to_the_datagram() {
    for options in [Options::default(), Options { flags: flag::ERROR_REPORTS, ..Options::default() }] {
        let fixture = Fixture::with(&options);
        fixture.port.connect(&fixture.peer.addr()).expect("connected");
        fixture.kernel.fail(Send, [libc::EPERM; 2]);
        assert_eq!(fixture.port.write(b"ping", None, Flush::Immediate), Err(Status::PERMISSION));
        assert_eq!(fixture.kernel.count(Send), 2);
        assert!(fixture.record.reports.borrow().is_empty(), "the caller has the status");
    }
}

#[test]
fn an_accepted_write_that_fails_is_reported() {
    let fixture = Fixture::with(&Options { flags: flag::NO_OFFLOAD, ..Options::default() });
    let to = fixture.peer.addr();
    fixture.kernel.script(Send, [AtMost(1), Errno(libc::EPERM)]);
    fixture.write_batched(0..3);
    let reports = fixture.record.reports.borrow();
    let [report] = &reports[..] else { panic!("{reports:?}") };
    assert_eq!((report.status, report.origin, report.to), (Status::PERMISSION, origin::LOCAL, to));
    assert_eq!(&report.data[..], 1u32.to_be_bytes());
    assert_eq!(fixture.stats().dropped_out, 1);
}

#[test]
fn a_queued_write_that_fails_is_reported_with_its_peer() {
    let fixture = connected();
    fixture.kernel.fail(Send, [libc::EAGAIN, libc::EPERM, libc::EPERM]);
    fixture.port.write(b"ping", None, Flush::Immediate).expect("queued");
    fixture.turn_until(|fixture| !fixture.record.reports.borrow().is_empty());
    assert_eq!(fixture.record.reports.borrow()[0].to, fixture.peer.addr());
    assert_eq!((fixture.stats().dropped_out, fixture.stats().queued_datagrams), (1, 0));
}

#[test]
fn an_error_queue_that_cannot_be_read_once_is_read_later() {
    let fixture = Fixture::with(&Options { flags: flag::ERROR_REPORTS, ..Options::default() });
    let closed = Peer::closed_addr();
    fixture.kernel.fail(ReadError, [libc::EINTR, libc::ENOMEM]);
    fixture.port.write(b"ping", Some(&closed), Flush::Immediate).expect("written");
    fixture.turn_until(|fixture| fixture.record.reports.borrow().len() == 1);
    assert_eq!(fixture.record.reports.borrow()[0].to, closed);
}
