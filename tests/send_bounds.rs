//! Limits of a port's queues, reports and batches: reached exactly, in total, and by writes to many destinations.

mod support;

use std::cell::Cell;
use std::rc::Rc;
use support::*;
use udpr::addr::Addr;
use udpr::port::{Flush, Options, flag};
use udpr::status::Status;
use udpr::sys::Report;
use udpr::sys::report::origin;

use CallResult::{AtMost, Errno, Real};
use Syscall::Send;

fn report(number: u32) -> Report {
    Report {
        status: Status::HOST_UNREACHABLE,
        origin: origin::ICMP,
        to: Addr::v4([192, 0, 2, 1], 9),
        reporter: Addr::v4([192, 0, 2, 254], 0),
        icmp_type: 3,
        icmp_code: 1,
        mtu: 0,
        data: number.to_be_bytes().into(),
        tag: 0,
    }
}

/// Makes the port collect reports, and runs the turn that delivers them.
fn collect(fixture: &Fixture, reports: impl IntoIterator<Item = u32>) {
    fixture.kernel.queue_reports(reports.into_iter().map(|number| Some(report(number))));
    fixture.port.set_error_reports(true).expect("open");
    fixture.reactor.iterate(Some(0)).expect("a turn");
}

/// The limit applies to reports that wait, so delivered ones make room.
#[test]
fn reports_one_after_the_other_are_all_delivered() {
    let options = Options { flags: flag::ERROR_REPORTS, send_queue_bytes: 1024, ..Options::default() };
    let fixture = Fixture::with(&options);
    (0..100).for_each(|number| collect(&fixture, [number]));
    let reports = fixture.record.reports.borrow();
    assert!(reports.iter().map(|report| number(&report.data)).eq(0..100));
}

#[test]
fn reports_that_wait_are_bounded_and_the_first_are_delivered() {
    let options = Options { flags: flag::ERROR_REPORTS, send_queue_bytes: 1024, ..Options::default() };
    let fixture = Fixture::with(&options);
    for round in 1..=3 {
        collect(&fixture, 0..50);
        let mut reports = fixture.record.reports.borrow_mut();
        let room = 1024 / (size_of::<Report>() + 4);
        assert!(reports.drain(..).map(|report| number(&report.data)).eq(0..room as u32), "round {round}");
    }
}

/// Data that is not contiguous needs an iovec for each piece, and their number is limited.
#[test]
fn writes_round_robin_to_many_destinations() {
    const WRITES: u32 = 800;
    for len in [4, 600] {
        let fixture = Fixture::with_offload(Rc::default(), &Options::default());
        let peers: Vec<Peer> = (0..8).map(|_| Peer::new()).collect();
        let ways: Vec<Addr> = peers.iter().map(Peer::addr).collect();
        fixture.in_callback(move |port| {
            for (number, to) in (0..WRITES).zip(ways.iter().cycle()) {
                write_sized(port, number, len, to, Flush::Batched).expect("accepted");
            }
        });
        for (first, peer) in (0..).zip(&peers) {
            let numbers = (first..WRITES).step_by(peers.len());
            assert!(numbers.into_iter().all(|number| peer.receive_sized() == (number, len)));
            assert!(peer.has_nothing_to_read());
        }
        fixture.assert_counters(u64::from(WRITES));
        assert!(fixture.kernel.count(Send) < 20, "each call sends many");
    }
}

/// A datagram that just fits into the queue is batched; one that is longer by a byte is sent at once.
#[test]
fn a_datagram_as_long_as_the_queue_is_batched() {
    const BYTES: u32 = 1000;
    for (len, gathers) in [(BYTES, true), (BYTES + 1, false)] {
        let fixture = Fixture::with(&Options { send_queue_bytes: BYTES, ..Options::default() });
        let (kernel, to, sends) = (fixture.kernel.clone(), fixture.peer.addr(), Rc::new(Cell::new(0)));
        let seen = sends.clone();
        fixture.in_callback(move |port| {
            write_sized(port, 1, len as usize, &to, Flush::Batched).expect("accepted");
            seen.set(kernel.count(Send));
        });
        assert_eq!(sends.get() == 0, gathers, "{len} bytes");
        assert_eq!(fixture.peer.receive_sized(), (1, len as usize));
    }
}

/// Later sends on a connected socket return errors of earlier datagrams: each costs one attempt and nothing else. After a
/// success, the count of attempts begins again.
#[test]
fn stale_errors_with_a_success_between_lose_nothing() {
    for errno in [libc::EHOSTUNREACH, libc::ENETUNREACH, libc::EMSGSIZE, libc::EPROTO] {
        let fixture = Fixture::new();
        fixture.port.connect(&fixture.peer.addr()).expect("connected");
        fixture.kernel.script(Send, [Errno(errno), AtMost(1), Errno(errno), AtMost(2), Errno(errno), Real]);
        fixture.in_callback(|port| {
            for number in 0..6u32 {
                port.write(&number.to_be_bytes(), None, Flush::Batched).expect("accepted");
            }
        });
        assert_eq!(fixture.stats().dropped_out, 0, "{errno}");
        fixture.assert_counters(6);
        assert!(fixture.peer.receive_numbers(6).into_iter().eq(0..6));
    }
}
