//! Receiving and waiting with a kernel that fails: the port stays open, no received datagram is lost, and the reactor returns
//! errors that it cannot handle.

mod support;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;
use support::*;
use udpr::port::{Delivery, Options, Port, Protocol, Stats};
use udpr::status::Status;

use CallResult::{AtMost, Errno, Real};
use Syscall::{Option as GetOption, Receive, Rewatch, Unwatch, Wait};

/// Opens a second port, which records the data of each datagram.
fn recording_port(fixture: &Fixture, received: &Rc<RefCell<Vec<u8>>>) -> Arc<Port> {
    let received = received.clone();
    let protocol = ClosureProtocol::new(&fixture.record)
        .on_datagram(move |_, datagram| received.borrow_mut().extend(datagram.data()));
    listen(&fixture.reactor, &Options::default(), protocol).expect("a port")
}

#[test]
fn a_port_stays_open_after_every_error_of_a_receive() {
    for errno in [libc::EAGAIN, libc::EINTR, libc::ECONNREFUSED, libc::ENOMEM, libc::ENOBUFS, libc::EIO] {
        let (fixture, received) = (Fixture::new(), Rc::default());
        let port = recording_port(&fixture, &received);
        fixture.kernel.fail(Receive, [errno, errno]);
        fixture.peer.send(b"1", &port.get_host().expect("open"));
        fixture.turn_until(|_| received.borrow().len() == 1);
        fixture.peer.send(b"2", &port.get_host().expect("open"));
        fixture.turn_until(|_| received.borrow().len() == 2);
        assert_eq!(*received.borrow(), b"12");
        assert_eq!((fixture.kernel.count(Receive), fixture.record.stopped.borrow().len()), (4, 0));
        let stats = port.get_stats().expect("open");
        assert_eq!((stats.syscalls_in, stats.datagrams_in, stats.bytes_in), (4, 2, 2));
    }
}

/// If recvmmsg(2) is not available, an error after some datagrams has been removed from the socket.
#[test]
fn an_error_after_datagrams_is_not_lost() {
    let (fixture, received) = (Fixture::new(), Rc::default());
    let port = recording_port(&fixture, &received);
    fixture.kernel.fail_after_receive(libc::ECONNREFUSED);
    fixture.peer.send(b"1", &port.get_host().expect("open"));
    fixture.turn_until(|_| received.borrow().len() == 1);
    assert_eq!(port.get_stats().expect("open").refused, 1);
}

/// Every system call that receives is rejected.
#[test]
fn a_port_that_can_receive_nothing_stops() {
    let (fixture, received) = (Fixture::new(), Rc::default());
    let port = recording_port(&fixture, &received);
    fixture.kernel.fail(Receive, [libc::ENOSYS]);
    fixture.peer.send(b"1", &port.get_host().expect("open"));
    fixture.turn_until(|fixture| !fixture.record.stopped.borrow().is_empty());
    assert_eq!(*fixture.record.stopped.borrow(), [Status::NOT_SUPPORTED]);
}

#[test]
fn one_ports_error_does_not_hold_up_another() {
    let (fixture, received) = (Fixture::new(), Rc::default());
    let port = recording_port(&fixture, &received);
    fixture.kernel.fail(Receive, [libc::ENOMEM]);
    fixture.peer.send(b"now", &fixture.host());
    fixture.peer.send(b"1", &port.get_host().expect("open"));
    fixture.turn_until(|fixture| fixture.record.received.get() == 2);
    assert_eq!(*received.borrow(), b"1");
}

#[test]
fn partial_receives_keep_the_order() {
    let (fixture, received) = (Fixture::new(), Rc::default());
    let port = recording_port(&fixture, &received);
    fixture.kernel.script(Receive, [AtMost(1), AtMost(3), Errno(libc::EINTR), AtMost(2), Real]);
    for byte in 0..20 {
        fixture.peer.send(&[byte], &port.get_host().expect("open"));
    }
    fixture.turn_until(|_| received.borrow().len() == 20);
    assert!(received.borrow().iter().copied().eq(0..20));
}

/// Receives `count` datagrams, each of which counts as `bytes` bytes. Returns how many messages the next receive requests.
fn messages_requested_after(fixture: &Fixture, count: u32, bytes: usize) -> usize {
    fixture.kernel.multiply_received(bytes);
    let before = fixture.record.received.get();
    (0..count).for_each(|_| fixture.peer.send(b"x", &fixture.host()));
    fixture.turn_until(|fixture| fixture.record.received.get() >= before + count as usize);
    fixture.in_callback(|_| ());
    fixture.kernel.receives().pop().expect("a receive")
}

#[test]
fn a_turn_reads_no_more_messages_than_a_mebibyte_needs() {
    const TURN: usize = 1 << 20;
    let fixture = Fixture::new();
    // All messages were filled, first with the bytes of a whole turn, then with one byte less for each of the eight messages.
    assert_eq!(messages_requested_after(&fixture, 8, TURN / 8), 8);
    assert_eq!(messages_requested_after(&fixture, 7, TURN / 8 - 1), 8, "it was not full");
    assert_eq!(messages_requested_after(&fixture, 8, TURN / 8 - 1), 16);
    assert_eq!(messages_requested_after(&fixture, 48, 1), 64);
    assert_eq!(messages_requested_after(&fixture, 64, 1), 64, "the maximum");
    // Messages have become longer, so their number decreases.
    assert_eq!(messages_requested_after(&fixture, 64, TURN / 32 - 1), 64, "less than the bytes of two turns");
    assert_eq!(messages_requested_after(&fixture, 64, TURN / 32), 32);
    assert_eq!(messages_requested_after(&fixture, 32, TURN / 2), 16);
    assert_eq!(messages_requested_after(&fixture, 16, 2 * TURN), 8);
    for expected in [4, 2, 1, 1] {
        assert_eq!(messages_requested_after(&fixture, 2 * expected as u32, 2 * TURN), expected);
    }
    assert_eq!(messages_requested_after(&fixture, 1, 1), 2);
}

#[test]
fn a_failing_read_of_the_drop_counter_is_ignored() {
    let fixture = Fixture::new();
    fixture.kernel.fail(GetOption, [libc::ENOBUFS]);
    assert_eq!(fixture.stats().dropped_in, 0, "the last count that is known");
    fixture.in_callback(|_| ());
    assert_eq!(fixture.record.received.get(), 1);
}

#[test]
fn drops_are_counted_beyond_the_32_bits_of_the_kernel() {
    let fixture = Fixture::new();
    for (drops, expected) in [(5, 5), (u32::MAX, 0xffff_ffff), (0, 1 << 32), (7, (1 << 32) + 7)] {
        fixture.kernel.set_drops(drops);
        assert_eq!(fixture.stats().dropped_in, expected);
    }
}

#[test]
fn an_interrupted_wait_ends_a_turn_of_iterate_without_an_error() {
    let fixture = Fixture::new();
    fixture.kernel.fail(Wait, [libc::EINTR]);
    fixture.peer.send(b"now", &fixture.host());
    assert_eq!(fixture.reactor.iterate(None), Ok(()));
    assert_eq!(fixture.record.received.get(), 0);
    fixture.turn_until(|fixture| fixture.record.received.get() == 1);
}

#[test]
fn an_interrupted_wait_does_not_end_run() {
    let fixture = Fixture::new();
    fixture.kernel.fail(Wait, [libc::EINTR; 5]);
    let stop = ClosureCall::new(|reactor| reactor.stop().expect("it runs"));
    fixture.reactor.call_later(200_000_000, stop).expect("a call");
    assert_eq!(fixture.reactor.run(), Ok(()));
    assert_eq!(fixture.kernel.remaining(Wait), 0);
    assert_eq!(*fixture.record.stopped.borrow(), [Status::OK], "stopped, not crashed");
}

#[test]
fn delayed_calls_run_after_an_interrupted_wait() {
    let fixture = Fixture::new();
    fixture.kernel.fail(Wait, [libc::EINTR]);
    fixture
        .reactor
        .call_later(0, ClosureCall::new(|reactor| reactor.set_user(std::ptr::dangling_mut())))
        .expect("a call");
    assert_eq!(fixture.reactor.iterate(None), Ok(()));
    assert!(!fixture.reactor.user().is_null());
}

#[test]
fn iterate_works_again_after_a_failed_wait() {
    let fixture = Fixture::new();
    fixture.kernel.fail(Wait, [libc::ENOMEM]);
    fixture.peer.send(b"now", &fixture.host());
    assert_eq!(fixture.reactor.iterate(None), Err(Status::NO_MEMORY));
    fixture.turn_until(|fixture| fixture.record.received.get() == 1);
}

#[test]
fn run_returns_the_error_of_a_wait_and_can_be_called_again() {
    let fixture = Fixture::new();
    fixture.kernel.fail(Wait, [libc::ENOMEM]);
    assert_eq!(fixture.reactor.run(), Err(Status::NO_MEMORY));
    assert!(!fixture.reactor.context().shared.is_running());
    assert!(fixture.port.is_open(), "as after a crash");
    fixture
        .reactor
        .call_later(0, ClosureCall::new(|reactor| reactor.stop().expect("it runs")))
        .expect("a call");
    assert_eq!(fixture.reactor.run(), Ok(()));
    assert_eq!(*fixture.record.stopped.borrow(), [Status::OK]);
}

#[test]
fn a_paused_port_receives_nothing_even_if_epoll_could_not_be_changed() {
    let fixture = Fixture::new();
    fixture.kernel.fail(Rewatch, [libc::ENOMEM]);
    assert_eq!(fixture.port.pause_reading(), Ok(()));
    fixture.peer.send(b"now", &fixture.host());
    for _ in 0..3 {
        fixture.reactor.iterate(Some(1_000_000)).expect("a turn");
    }
    assert_eq!((fixture.kernel.count(Receive), fixture.record.received.get()), (0, 0));
    assert_eq!(fixture.port.resume_reading(), Ok(()));
    fixture.turn_until(|fixture| fixture.record.received.get() == 1);
}

#[test]
fn a_resume_replaces_a_registration_that_epoll_could_not_change() {
    let fixture = Fixture::new();
    assert_eq!(fixture.port.pause_reading(), Ok(()));
    fixture.kernel.fail(Rewatch, [libc::ENOMEM]);
    assert_eq!(fixture.port.resume_reading(), Ok(()));
    fixture.in_callback(|_| ());
    assert_eq!((fixture.kernel.count(Rewatch), fixture.kernel.count(Unwatch)), (2, 1));
}

#[test]
fn a_stop_in_the_middle_of_a_batch_counts_the_rest() {
    let fixture = Fixture::new();
    let (seen, last) = (Rc::new(Cell::new(0)), Rc::new(Cell::default()));
    let (at_datagram, at_stop) = (seen.clone(), last.clone());
    let protocol = ClosureProtocol::new(&fixture.record)
        .on_datagram(move |port, _| {
            at_datagram.set(at_datagram.get() + 1);
            if at_datagram.get() == 3 {
                port.close(Status::OK).expect("open until now");
            }
        })
        .on_stop(move |port| at_stop.set(port.get_stats().expect("statistics")));
    let port = listen(&fixture.reactor, &Options::default(), protocol).expect("a port");
    // All of them have arrived before the first turn.
    (0..8).for_each(|byte| fixture.peer.send(&[byte], &port.get_host().expect("open")));
    fixture.turn_until(|fixture| fixture.record.dropped.get() == 1);
    let stats = last.get();
    assert_eq!(seen.get(), 3);
    assert_eq!(stats.datagrams_in, seen.get() + stats.discarded_in);
    assert_eq!(stats.kept_datagrams, 0);
}

/// Receives a whole batch, stops the port, and accepts only one datagram.
struct StopInBatch {
    delivered: Rc<Cell<u64>>,
    last: Rc<Cell<Stats>>,
}

impl Protocol for StopInBatch {
    fn datagrams_received(&self, port: &Arc<Port>, delivery: &mut Delivery<'_>) {
        self.delivered.set(delivery.all().len() as u64);
        port.stop_listening().expect("it listens");
        delivery.take(1);
    }

    fn stop_protocol(&self, port: &Arc<Port>, _: Status) {
        self.last.set(port.get_stats().expect("statistics"));
    }
}

#[test]
fn datagrams_that_a_stopped_batch_did_not_accept_are_counted() {
    let fixture = Fixture::new();
    let (delivered, last) = (Rc::new(Cell::new(0)), Rc::new(Cell::default()));
    let protocol = StopInBatch { delivered: delivered.clone(), last: last.clone() };
    let port = listen(&fixture.reactor, &Options::default(), protocol).expect("a port");
    (0..8).for_each(|byte| fixture.peer.send(&[byte], &port.get_host().expect("open")));
    fixture.turn_until(|_| !port.is_open());
    let stats: Stats = last.get();
    assert_eq!((stats.datagrams_in, stats.discarded_in), (delivered.get(), delivered.get() - 1));
}
