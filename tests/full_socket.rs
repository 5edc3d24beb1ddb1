//! A full socket: which datagrams are queued, rejected or dropped, and how sending continues. EAGAIN means that the socket's
//! send buffer is full; epoll reports when it has room. ENOBUFS means that a device's queue is full, and nothing reports its
//! end.

mod support;

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use support::*;
use udpr::context::RETRIES_MAX;
use udpr::port::{Flush, Options, flag};
use udpr::reactor::Reactor;
use udpr::status::Status;
use udpr::sys::Interest;

use CallResult::{AtMost, Errno, Real};
use Syscall::{Rewatch, Send, Unwatch, Wait};

/// How long a port waits after ENOBUFS.
const BACK_OFF: Duration = Duration::from_millis(1);
const READABLE_AND_WRITABLE: Interest = Interest { writable: true, ..Interest::READABLE };
/// The minimum that a datagram counts against the limit of the queue, in bytes.
const MIN_BYTES: u32 = 64;

fn with_queue(datagrams: u32) -> Fixture {
    Fixture::with(&Options { send_queue_bytes: datagrams * MIN_BYTES, ..Options::default() })
}

fn with_flag(bit: u32) -> Fixture {
    Fixture::with(&Options { flags: bit, ..Options::default() })
}

fn last_interest(fixture: &Fixture) -> Interest {
    *fixture.kernel.interests().last().expect("a port is watched")
}

#[test]
fn batched_datagrams_are_queued_and_sent_in_order() {
    let fixture = Fixture::new();
    fixture.kernel.script(Send, [AtMost(2), Errno(libc::EAGAIN)]);
    fixture.write_batched(0..5);
    assert_eq!((fixture.stats().queued_datagrams, fixture.stats().queued_bytes), (3, 12));
    assert_eq!(last_interest(&fixture), READABLE_AND_WRITABLE);
    fixture.assert_counters(5);
    assert_eq!(fixture.write(5), Ok(()));
    fixture.write_batched(6..8);
    fixture.turn_until_sent();
    assert_eq!(last_interest(&fixture), Interest::READABLE);
    assert_eq!(fixture.record.ready.get(), 0, "no write was refused");
    fixture.assert_counters(8);
    fixture.assert_received(0..8);
}

#[test]
fn nothing_overtakes_the_queue() {
    let fixture = Fixture::new();
    fixture.kernel.fail(Send, [libc::EAGAIN]);
    assert_eq!(fixture.write(0), Ok(()));
    let sends = fixture.kernel.count(Send);
    let to = fixture.peer.addr();
    assert_eq!(write_number(&fixture.port, 1, &to, Flush::Immediate), Ok(()));
    assert_eq!(fixture.port.shared.post(&2u32.to_be_bytes(), Some(&to)), Ok(()));
    assert_eq!(fixture.port.flush(), Err(Status::WOULD_BLOCK));
    assert_eq!(fixture.kernel.count(Send), sends);
    fixture.turn_until(|fixture| fixture.stats().datagrams_out == 3);
    assert_eq!(fixture.port.flush(), Ok(()));
    fixture.assert_received(0..3);
}

#[test]
fn the_queue_is_bounded_and_write_ready_is_called_when_it_is_empty() {
    let fixture = with_queue(10);
    fixture.kernel.fail(Send, [libc::EAGAIN]);
    for number in 0..10 {
        assert_eq!(fixture.write(number), Ok(()));
    }
    for _ in 0..3 {
        assert_eq!(fixture.write(99), Err(Status::WOULD_BLOCK));
    }
    assert_eq!((fixture.stats().queued_datagrams, fixture.stats().queued_bytes), (10, 40));
    fixture.assert_counters(10);
    fixture.turn_until(|fixture| fixture.record.ready.get() > 0);
    assert_eq!(fixture.stats().queued_datagrams, 0);
    assert_eq!(fixture.write(10), Ok(()));
    fixture.assert_received(0..11);
    assert_eq!(fixture.record.ready.get(), 1, "once for all rejected writes");
}

/// A port whose queue takes `datagrams`, and whose `write_ready` is called when at most `low` of them wait.
fn with_low_mark(datagrams: u32, low: u32) -> Fixture {
    let (send_queue_bytes, write_ready_bytes) = (datagrams * MIN_BYTES, low * MIN_BYTES);
    Fixture::with(&Options { send_queue_bytes, write_ready_bytes, ..Options::default() })
}

/// Fills the queue of `count` datagrams, and has one more refused.
fn fill_queue(fixture: &Fixture, count: u32) {
    fixture.kernel.fail(Send, [libc::EAGAIN]);
    (0..count).for_each(|number| fixture.write(number).expect("queued"));
    assert_eq!(fixture.write(99), Err(Status::WOULD_BLOCK));
}

/// A turn in which the socket takes so many datagrams and is full then.
fn turn_that_sends(fixture: &Fixture, count: usize) {
    fixture.kernel.script(Send, [AtMost(count), Errno(libc::EAGAIN)]);
    fixture.turn_until(|fixture| fixture.kernel.remaining(Send) == 0);
}

#[test]
fn write_ready_is_called_once_when_little_enough_waits() {
    let fixture = with_low_mark(10, 4);
    let queued = |datagrams: u32| Ok((datagrams * MIN_BYTES) as usize);
    fill_queue(&fixture, 10);
    assert_eq!(fixture.port.get_queued_bytes(), queued(10));
    turn_that_sends(&fixture, 5);
    assert_eq!((fixture.port.get_queued_bytes(), fixture.record.ready.get()), (queued(5), 0));
    turn_that_sends(&fixture, 1);
    assert_eq!((fixture.port.get_queued_bytes(), fixture.record.ready.get()), (queued(4), 1));
    turn_that_sends(&fixture, 1);
    assert_eq!((fixture.port.get_queued_bytes(), fixture.record.ready.get()), (queued(3), 1));
    fixture.turn_until_sent();
    (0..3).for_each(|_| fixture.reactor.iterate(Some(0)).expect("a turn"));
    assert_eq!(fixture.record.ready.get(), 1, "once for each rejected write");
    fixture.assert_received(0..10);
}

#[test]
fn posts_count_and_their_refusal_is_followed_by_write_ready() {
    let fixture = with_low_mark(4, 2);
    let to = fixture.peer.addr();
    let post = |number: u32| fixture.port.shared.post(&number.to_be_bytes(), Some(&to));
    fixture.kernel.fail(Send, [libc::EAGAIN]);
    assert_eq!(fixture.write(0), Ok(()));
    (1..5).for_each(|number| post(number).expect("accepted"));
    assert_eq!(post(99), Err(Status::WOULD_BLOCK));
    assert_eq!(fixture.port.get_queued_bytes(), Ok(5 * MIN_BYTES as usize));
    fixture.kernel.script(Send, [Errno(libc::EAGAIN)]);
    fixture.turn_until(|fixture| fixture.kernel.remaining(Send) == 0);
    assert_eq!(fixture.record.ready.get(), 0, "five wait");
    turn_that_sends(&fixture, 1);
    assert_eq!(fixture.record.ready.get(), 0, "four wait");
    fixture.turn_until(|fixture| fixture.record.ready.get() == 1);
    fixture.assert_received(0..5);
    assert_eq!(fixture.record.ready.get(), 1);
}

#[test]
fn write_ready_waits_for_a_full_socket_though_little_enough_waits() {
    let fixture = with_low_mark(4, 3);
    fixture.kernel.fail(Send, [libc::EAGAIN]);
    (0..3).for_each(|number| fixture.write(number).expect("queued"));
    let data = [0; 2 * MIN_BYTES as usize];
    assert_eq!(
        fixture.port.write(&data, Some(&fixture.peer.addr()), Flush::Batched),
        Err(Status::WOULD_BLOCK)
    );
    assert_eq!(fixture.record.ready.get(), 0, "never inside a write");
    fixture.kernel.script(Send, [Errno(libc::EAGAIN)]);
    fixture.turn_until(|fixture| fixture.record.ready.get() == 1);
    fixture.assert_received(0..3);
}

#[test]
fn write_ready_bytes_are_below_the_size_of_the_queue() {
    let check = |send_queue_bytes, write_ready_bytes| {
        Options { send_queue_bytes, write_ready_bytes, ..Options::default() }.check()
    };
    assert_eq!((check(1, 0), check(100, 99), check(0, (1 << 20) - 1)), (Ok(()), Ok(()), Ok(())));
    let refused = Err(Status::INVALID_ARGUMENT);
    assert_eq!((check(1, 1), check(100, 100), check(0, 1 << 20)), (refused, refused, refused));
    assert_eq!(check(100, u32::MAX), refused);
}

#[test]
fn a_batch_stays_within_the_limit() {
    let fixture = with_queue(4);
    let to = fixture.peer.addr();
    // Four are batched; the fifth write tries to send them to the full socket.
    fixture.kernel.fail(Send, [libc::EAGAIN]);
    fixture.in_callback(move |port| {
        for number in 0..4 {
            assert_eq!(write_number(port, number, &to, Flush::Batched), Ok(()));
        }
        for _ in 0..2 {
            assert_eq!(write_number(port, 99, &to, Flush::Batched), Err(Status::WOULD_BLOCK));
        }
    });
    fixture.turn_until(|fixture| fixture.record.ready.get() == 1);
    fixture.assert_counters(4);
    fixture.assert_received(0..4);
}

#[test]
fn a_queue_that_drains_in_parts_calls_write_ready_when_it_is_empty() {
    let fixture = with_queue(6);
    let bits = [AtMost(1), Errno(libc::EAGAIN), AtMost(2), Errno(libc::EPERM), Errno(libc::EAGAIN)];
    fixture.kernel.fail(Send, [libc::EAGAIN]);
    (0..6).for_each(|number| fixture.write(number).expect("queued"));
    assert_eq!(fixture.write(99), Err(Status::WOULD_BLOCK));
    fixture.kernel.script(Send, bits);
    fixture.turn_until(|fixture| fixture.kernel.remaining(Send) == 0);
    assert_eq!(
        (fixture.record.ready.get(), fixture.stats().queued_datagrams),
        (0, 2),
        "number 3 was refused"
    );
    assert_eq!(fixture.write(6), Ok(()), "there is room in the queue");
    fixture.turn_until(|fixture| fixture.record.ready.get() == 1);
    assert_eq!(fixture.stats().dropped_out, 1);
    fixture.assert_counters(7);
    fixture.assert_received([0, 1, 2, 4, 5, 6]);
}

#[test]
fn a_queue_for_several_calls_drains_in_order() {
    let fixture = Fixture::new();
    fixture.kernel.fail(Send, [libc::EAGAIN]);
    (0..1000).for_each(|number| fixture.write(number).expect("queued"));
    assert_eq!(fixture.stats().queued_datagrams, 1000);
    let mut received = Vec::new();
    while fixture.stats().queued_datagrams > 0 {
        let sent = fixture.stats().datagrams_out;
        fixture.turn_until(|fixture| fixture.stats().datagrams_out > sent);
        received.extend(fixture.peer.receive_numbers((fixture.stats().datagrams_out - sent) as usize));
    }
    assert!(received.into_iter().eq(0..1000));
    fixture.assert_received([]);
}

#[test]
fn without_a_queue_a_full_socket_drops_and_counts() {
    let fixture = with_flag(flag::NO_QUEUE);
    fixture.kernel.fail(Send, [libc::EAGAIN]);
    assert_eq!(fixture.write(0), Ok(()));
    assert_eq!(fixture.write(1), Ok(()));
    fixture.kernel.script(Send, [AtMost(2), Errno(libc::ENOBUFS)]);
    fixture.write_batched(2..7);
    assert_eq!((fixture.stats().dropped_out, fixture.stats().queued_datagrams), (4, 0));
    assert_eq!(fixture.write(7), Ok(()));
    fixture.assert_counters(8);
    fixture.assert_received([1, 2, 3, 7]);
    assert_eq!((fixture.kernel.count(Rewatch), fixture.record.ready.get()), (0, 0));
}

#[test]
fn unbatched_writes_are_one_call_each_with_its_own_result() {
    let fixture = with_flag(flag::UNBATCHED);
    let (kernel, to) = (fixture.kernel.clone(), fixture.peer.addr());
    fixture.kernel.script(Send, [Real, Errno(libc::EPERM), Errno(libc::EAGAIN), Errno(libc::EINTR), Real]);
    fixture.in_callback(move |port| {
        let results = [Ok(()), Err(Status::PERMISSION), Err(Status::WOULD_BLOCK), Ok(())];
        for (number, (result, calls)) in results.into_iter().zip([1, 2, 3, 5]).enumerate() {
            assert_eq!(write_number(port, number as u32, &to, Flush::Batched), result);
            assert_eq!(kernel.count(Send), calls);
        }
        assert_eq!(port.get_stats().expect("open").queued_datagrams, 0);
    });
    fixture.turn_until(|fixture| fixture.record.ready.get() == 1);
    assert_eq!(last_interest(&fixture), Interest::READABLE);
    fixture.assert_counters(2);
    fixture.assert_received([0, 3]);
}

#[test]
fn enobufs_backs_off_by_the_clock_and_does_not_spin() {
    let fixture = Fixture::new();
    fixture
        .kernel
        .script(Send, [AtMost(1), Errno(libc::ENOBUFS), Errno(libc::ENOBUFS), Errno(libc::ENOBUFS)]);
    let start = Instant::now();
    fixture.write_batched(0..5);
    let (waits, sends) = (fixture.kernel.count(Wait), fixture.kernel.count(Send));
    assert_eq!(fixture.stats().queued_datagrams, 4);
    assert_eq!(fixture.write(5), Ok(()), "queued after the others");
    assert_eq!(fixture.kernel.count(Send), sends);
    fixture.turn_until_sent();
    assert!(start.elapsed() >= 3 * BACK_OFF);
    assert_eq!(fixture.kernel.count(Wait) - waits, 3, "one turn for each attempt, and no other");
    assert_eq!(fixture.kernel.count(Send) - sends, 3 + 1, "one datagram by itself, then the others");
    assert!(
        fixture.kernel.interests().iter().all(|interest| !interest.writable),
        "the poller is not used for it"
    );
    fixture.assert_counters(6);
    fixture.assert_received(0..6);
}

/// A turn ends even if many ports wait for a device that stays full: each turn makes some of the retries, and delayed calls run.
#[test]
fn many_ports_on_a_full_device_leave_time_for_others() {
    const PORTS: u32 = 250; // a datagram for each fits into the receive buffer of the peer on any architecture
    const FAILURES: usize = 5 * PORTS as usize;
    let fixture = Fixture::new();
    let (record, to) = (Rc::new(CallbackRecord::default()), fixture.peer.addr());
    let listen =
        |_| listen(&fixture.reactor, &Options::default(), ClosureProtocol::new(&record)).expect("a port");
    let ports: Vec<_> = (0..PORTS).map(listen).collect();
    fixture.kernel.fail(Send, [libc::ENOBUFS; FAILURES]);
    for (number, port) in (0..).zip(&ports) {
        write_number(port, number, &to, Flush::Batched).expect("queued");
    }
    let (calls, mut turns) = (Arc::new(AtomicU64::new(0)), 0);
    let queued = || ports.iter().map(|port| port.get_stats().expect("open").queued_datagrams).sum::<u64>();
    while queued() > 0 {
        let (sends, called) = (fixture.kernel.count(Send), calls.clone());
        let count = move |_: &Reactor<ClosureCall>| {
            called.fetch_add(1, Ordering::Relaxed);
        };
        fixture.reactor.call_later(0, ClosureCall::new(count)).expect("a call");
        fixture.reactor.iterate(None).expect("a turn");
        turns += 1;
        assert_eq!(calls.load(Ordering::Relaxed), turns, "each turn makes the delayed call");
        assert!(fixture.kernel.count(Send) - sends <= RETRIES_MAX, "the retries of a turn are limited");
    }
    assert!(fixture.kernel.count(Send) >= FAILURES + PORTS as usize);
    let mut numbers = fixture.peer.receive_numbers(PORTS as usize);
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..PORTS));
}

#[test]
fn enobufs_and_a_full_queue_call_write_ready() {
    for fixture in [with_queue(2), with_flag(flag::UNBATCHED)] {
        fixture.kernel.fail(Send, [libc::ENOBUFS]);
        let results: Vec<_> = (0..2).map(|number| fixture.write(number)).collect();
        let accepted = results.iter().filter(|result| result.is_ok()).count();
        let refused = (0..3).find(|_| fixture.write(2) == Err(Status::WOULD_BLOCK));
        if fixture.stats().queued_datagrams > 0 {
            assert_eq!((accepted, refused), (2, Some(0)), "two are queued");
        } else {
            assert_eq!(results, [Err(Status::WOULD_BLOCK), Ok(())], "each is tried");
        }
        fixture.turn_until(|fixture| fixture.record.ready.get() == 1);
        assert!(fixture.kernel.interests().iter().all(|interest| !interest.writable));
    }
}

#[test]
fn a_stop_counts_queued_datagrams_as_dropped() {
    for errno in [libc::EAGAIN, libc::ENOBUFS] {
        let fixture = Fixture::new();
        let stats = Rc::new(std::cell::Cell::default());
        let (last, to, kernel) = (stats.clone(), fixture.peer.addr(), fixture.kernel.clone());
        let protocol = ClosureProtocol::new(&fixture.record)
            .on_stop(move |port| last.set(port.get_stats().expect("statistics")));
        let port = listen(&fixture.reactor, &Options::default(), protocol).expect("a port");
        kernel.fail(Send, [errno]);
        (0..3).for_each(|number| write_number(&port, number, &to, Flush::Batched).expect("queued"));
        assert_eq!(port.close(Status::OK), Ok(()));
        assert_eq!((stats.get().dropped_out, stats.get().datagrams_out, stats.get().queued_bytes), (3, 0, 0));
        assert_eq!(fixture.record.dropped.get(), 1);
        fixture.assert_received([]);
    }
}

#[test]
fn a_port_closed_while_it_backs_off_does_not_retry() {
    let fixture = Fixture::new();
    fixture.kernel.fail(Send, [libc::ENOBUFS]);
    assert_eq!(fixture.write(0), Ok(()));
    assert_eq!(fixture.port.close(Status::OK), Ok(()));
    let sends = fixture.kernel.count(Send);
    let start = Instant::now();
    while start.elapsed() < 3 * BACK_OFF {
        fixture.reactor.iterate(Some(BACK_OFF.as_nanos() as u64)).expect("a turn");
    }
    assert_eq!(fixture.kernel.count(Send), sends);
    assert!(fixture.peer.has_nothing_to_read());
}

#[test]
fn a_registration_that_epoll_cannot_change_is_replaced() {
    let fixture = Fixture::new();
    fixture.kernel.fail(Send, [libc::EAGAIN]);
    fixture.kernel.fail(Rewatch, [libc::ENOMEM]);
    assert_eq!(fixture.write(0), Ok(()));
    assert_eq!((fixture.stats().queued_datagrams, fixture.kernel.count(Unwatch)), (1, 1));
    assert_eq!(last_interest(&fixture), READABLE_AND_WRITABLE);
    assert_eq!(fixture.write(1), Ok(()));
    assert_eq!(fixture.kernel.count(Rewatch), 1, "nothing has changed");
    fixture.turn_until_sent();
    fixture.assert_received(0..2);
}

#[test]
fn a_queued_post_does_not_call_write_ready() {
    let fixture = with_flag(flag::UNBATCHED);
    fixture.kernel.fail(Send, [libc::EAGAIN]);
    assert_eq!(fixture.port.shared.post(&0u32.to_be_bytes(), Some(&fixture.peer.addr())), Ok(()));
    fixture.turn_until(|fixture| fixture.kernel.count(Send) == 1);
    assert_eq!(fixture.stats().queued_datagrams, 1);
    fixture.turn_until_sent();
    fixture.assert_received([0]);
    assert_eq!(fixture.record.ready.get(), 0, "no write was refused");
}

#[test]
fn posts_to_a_socket_that_stays_full_are_bounded() {
    const BOUND: u32 = 10;
    let fixture = with_queue(BOUND);
    let to = fixture.peer.addr();
    let mut posted = 0u32;
    let mut post = || {
        let result = fixture.port.shared.post(&posted.to_be_bytes(), Some(&to));
        posted += u32::from(result.is_ok());
        result
    };
    // The socket is writable in each turn, so each turn tries to send.
    fixture.kernel.fail(Send, [libc::EAGAIN; 100]);
    for _ in 0..50 {
        while post().is_ok() {}
        fixture.reactor.iterate(Some(0)).expect("a turn");
    }
    assert_eq!(post(), Err(Status::WOULD_BLOCK));
    assert!(fixture.kernel.remaining(Send) > 0, "it is still full");
    assert!(fixture.stats().queued_datagrams <= u64::from(BOUND));
    assert!(posted <= 2 * BOUND, "a send queue and a post queue: {posted}");
    fixture.turn_until(|fixture| fixture.stats().datagrams_out == u64::from(posted));
    fixture.assert_received(0..posted);
}
