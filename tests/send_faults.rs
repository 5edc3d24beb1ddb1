//! Sending with a kernel that accepts only a part, is interrupted, or rejects one datagram of many. A full socket is tested in
//! full_socket.rs.

mod support;

use std::sync::Arc;
use support::*;
use udpr::port::{Flush, Port};
use udpr::status::Status;

use CallResult::{AtMost, Errno, Real};
use Syscall::{Rewatch, Send};

/// How often a send is repeated before the datagram is dropped.
const RETRIES: usize = 64;

#[test]
fn a_partial_send_continues_with_the_rest() {
    let fixture = Fixture::new();
    fixture.kernel.script(Send, [AtMost(3), AtMost(1), AtMost(1)]);
    fixture.write_batched(0..10);
    assert_eq!(fixture.kernel.count(Send), 4);
    fixture.assert_counters(10);
    fixture.assert_received(0..10);
    assert_eq!(fixture.stats().datagrams_out, 11);
    assert_eq!(fixture.kernel.count(Rewatch), 0);
}

#[test]
fn an_interrupted_send_is_repeated() {
    let fixture = Fixture::new();
    fixture.kernel.script(Send, [Errno(libc::EINTR), AtMost(2), Errno(libc::EINTR), Errno(libc::EINTR)]);
    fixture.write_batched(0..5);
    fixture.kernel.fail(Send, [libc::EINTR]);
    assert_eq!(fixture.write(5), Ok(()));
    assert_eq!(fixture.stats().dropped_out, 0);
    fixture.assert_counters(6);
    fixture.assert_received(0..6);
}

#[test]
fn an_error_in_the_middle_of_a_batch_drops_only_that_datagram() {
    let errnos = [libc::EPERM, libc::EINVAL, libc::EACCES, libc::ENETUNREACH, libc::EHOSTUNREACH];
    for errno in errnos.into_iter().chain([libc::ENOMEM, libc::EIO]) {
        let fixture = Fixture::new();
        fixture.kernel.script(Send, [AtMost(2), Errno(errno), AtMost(1), Errno(errno)]);
        fixture.write_batched(0..8);
        assert_eq!(fixture.stats().dropped_out, 2);
        fixture.assert_counters(8);
        fixture.assert_received([0, 1, 3, 5, 6, 7]);
    }
}

/// A datagram that is too long is sent once more with error reports on, so that the kernel reports the MTU.
#[test]
fn a_datagram_that_is_too_long_is_sent_twice_and_dropped() {
    let fixture = Fixture::new();
    let too_long = Errno(libc::EMSGSIZE);
    fixture.kernel.script(Send, [AtMost(2), too_long, too_long, AtMost(1), too_long, too_long]);
    fixture.write_batched(0..8);
    assert_eq!(fixture.stats().dropped_out, 2);
    fixture.assert_counters(8);
    fixture.assert_received([0, 1, 3, 5, 6, 7]);
    let returned =
        || fixture.record.reports.borrow().iter().map(|report| (report.status, report.mtu)).collect();
    let reports: Vec<_> = returned();
    assert_eq!(reports, [(Status::MESSAGE_TOO_LONG, 0); 2], "a scripted failure reports no MTU");
}

/// The path may have changed before the second send, or another error be returned first.
#[test]
fn a_datagram_that_was_too_long_may_be_sent_the_second_time() {
    let too_long = Errno(libc::EMSGSIZE);
    for (second, lost, received) in [
        (Real, 0, vec![0, 1, 2, 3]),
        (AtMost(1), 0, vec![0, 1, 2, 3]),
        (Errno(libc::EPERM), 1, vec![0, 2, 3]),
        (Errno(libc::ECONNREFUSED), 0, vec![0, 1, 2, 3]),
        (Errno(libc::EINTR), 0, vec![0, 1, 2, 3]),
        (Errno(libc::ENOBUFS), 1, vec![0, 2, 3]),
    ] {
        let fixture = Fixture::new();
        fixture.kernel.script(Send, [AtMost(1), too_long, second]);
        fixture.write_batched(0..4);
        fixture.turn_until_sent();
        assert_eq!(fixture.stats().dropped_out, lost, "{second:?}");
        fixture.assert_counters(4);
        fixture.assert_received(received);
    }
}

/// Error reports may not be permitted.
#[test]
fn the_mtu_is_unknown_if_reports_cannot_be_enabled() {
    for syscall in [Syscall::Option, Syscall::SetOption] {
        let fixture = Fixture::new();
        fixture.kernel.fail(Send, [libc::EMSGSIZE]);
        fixture.kernel.fail(syscall, [libc::EPERM]);
        fixture.write_batched(0..2);
        assert_eq!((fixture.stats().dropped_out, fixture.kernel.remaining(syscall)), (1, 0));
        fixture.assert_received([1]);
    }
}

#[test]
fn the_first_and_the_last_of_a_batch_may_fail() {
    let fixture = Fixture::new();
    fixture.kernel.script(Send, [Errno(libc::EPERM), AtMost(2), Errno(libc::EPERM)]);
    fixture.write_batched(0..4);
    fixture.assert_counters(4);
    fixture.assert_received([1, 2]);
}

#[test]
fn a_batch_of_errors_ends() {
    let fixture = Fixture::new();
    fixture.kernel.fail(Send, [libc::EPERM; 6]);
    fixture.write_batched(0..6);
    assert_eq!((fixture.stats().dropped_out, fixture.kernel.count(Send)), (6, 6));
    fixture.assert_counters(6);
    fixture.assert_received([]);
}

#[test]
fn each_destination_keeps_its_order_whatever_fails() {
    let (fixture, other) = (Fixture::new(), Peer::new());
    fixture.kernel.script(Send, [AtMost(3), Errno(libc::EPERM), Errno(libc::EINTR), AtMost(5)]);
    let ways = [fixture.peer.addr(), other.addr()];
    fixture.in_callback(move |port| {
        for number in 0..20 {
            write_number(port, number, &ways[number as usize % 2], Flush::Batched).expect("accepted");
        }
    });
    fixture.assert_counters(20);
    assert_eq!(other.receive_numbers(9), [1, 5, 7, 9, 11, 13, 15, 17, 19], "3 was refused");
    fixture.assert_received((0..20).step_by(2));
}

#[test]
fn outside_of_callbacks_a_write_gets_its_own_error() {
    let fixture = Fixture::new();
    fixture.kernel.fail(Send, [libc::EPERM, libc::ENETUNREACH, libc::EINVAL]);
    assert_eq!(fixture.write(0), Err(Status::PERMISSION));
    assert_eq!(fixture.write(1), Err(Status::NETWORK_UNREACHABLE));
    assert_eq!(fixture.write(2), Err(Status::from_errno(libc::EINVAL)));
    assert_eq!(fixture.write(3), Ok(()));
    assert_eq!(fixture.stats().dropped_out, 0, "the caller has the status");
    fixture.assert_counters(1);
    fixture.assert_received([3]);
}

#[test]
fn an_immediate_write_is_sent_after_the_batch_and_returns_only_its_own_error() {
    let fixture = Fixture::new();
    // The second one of the batch fails, then the immediate one.
    fixture.kernel.script(Send, [AtMost(1), Errno(libc::EHOSTUNREACH), Real, Errno(libc::EPERM), Real]);
    let to = fixture.peer.addr();
    fixture.in_callback(move |port| {
        let write = |number, flush| write_number(port, number, &to, flush);
        for number in 0..3 {
            assert_eq!(write(number, Flush::Batched), Ok(()));
        }
        assert_eq!(write(3, Flush::Immediate), Err(Status::PERMISSION));
        assert_eq!(write(4, Flush::Immediate), Ok(()));
        assert_eq!(write(5, Flush::Batched), Ok(()));
    });
    assert_eq!(fixture.stats().dropped_out, 1);
    fixture.assert_counters(5);
    fixture.assert_received([0, 2, 4, 5]);
}

#[test]
fn the_refusal_of_an_earlier_datagram_loses_no_other() {
    let fixture = Fixture::new();
    fixture.kernel.script(Send, [Errno(libc::ECONNREFUSED), AtMost(2), Errno(libc::ECONNREFUSED)]);
    fixture.write_batched(0..5);
    assert_eq!((fixture.stats().refused, fixture.stats().dropped_out), (2, 0));
    fixture.kernel.fail(Send, [libc::ECONNREFUSED; RETRIES]);
    assert_eq!(fixture.write(5), Ok(()));
    assert_eq!(fixture.stats().refused, 2 + RETRIES as u64);
    fixture.assert_counters(6);
    fixture.assert_received(0..6);
}

#[test]
fn retries_after_refusals_are_limited() {
    let fixture = Fixture::new();
    fixture.kernel.fail(Send, [libc::ECONNREFUSED; RETRIES + 1]);
    assert_eq!(fixture.write(0), Err(Status::CONNECTION_REFUSED));
    assert_eq!(fixture.kernel.count(Send), RETRIES + 1);
    fixture.kernel.fail(Send, [libc::ECONNREFUSED; RETRIES + 1]);
    fixture.write_batched(1..4);
    assert_eq!(fixture.stats().dropped_out, 1, "only the first of the batch");
    fixture.assert_counters(3);
    fixture.assert_received([2, 3]);
}

#[test]
fn posts_from_another_thread_are_retried_and_dropped_in_the_same_way() {
    let fixture = Fixture::new();
    fixture.kernel.script(Send, [AtMost(1), Errno(libc::EPERM), Errno(libc::ECONNREFUSED), AtMost(1)]);
    let (shared, to) = (&fixture.port.shared, fixture.peer.addr());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            (0..5u32).for_each(|number| shared.post(&number.to_be_bytes(), Some(&to)).expect("posted"))
        });
    });
    fixture.turn_until(|fixture| fixture.stats().datagrams_out + fixture.stats().dropped_out == 5);
    fixture.assert_counters(5);
    fixture.assert_received([0, 2, 3, 4]);
}

#[test]
fn a_stop_sends_the_batch_and_counts_failures() {
    let stops: [fn(&Arc<Port>); 2] = [
        |port| port.close(Status::OK).expect("open until now"),
        |port| port.stop_listening().expect("listening until now"),
    ];
    for stop in stops {
        let fixture = Fixture::new();
        let to = fixture.peer.addr();
        fixture.kernel.script(Send, [AtMost(1), Errno(libc::EPERM), AtMost(1)]);
        fixture.in_callback(move |port| {
            (0..4).for_each(|number| write_number(port, number, &to, Flush::Batched).expect("accepted"));
            stop(port);
            assert_eq!(write_number(port, 4, &to, Flush::Batched), Err(Status::CLOSED));
        });
        fixture.turn_until(|fixture| fixture.record.dropped.get() == 1);
        assert_eq!(*fixture.record.stopped.borrow(), [Status::OK]);
        assert_eq!(fixture.peer.receive_numbers(3), [0, 2, 3]);
    }
}
