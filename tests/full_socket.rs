//! A full socket: what queues, what is refused, what is dropped, and how it goes on. EAGAIN says that the socket's own
//! buffer is full, and epoll tells when it is not; ENOBUFS that a device's queue is, and nobody tells.

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
use udpr::sys::epoll::{READABLE, WRITABLE};

use Answer::{AtMost, Errno, Real};
use Syscall::{Rewatch, Send, Unwatch, Wait};

/// What a port waits after ENOBUFS.
const BACK_OFF: Duration = Duration::from_millis(1);
/// What a datagram counts against the bound of the queue at least, in bytes.
const LEAST: u32 = 64;

fn with_queue(datagrams: u32) -> Scene {
    Scene::with(&Options { send_queue_bytes: datagrams * LEAST, ..Options::default() })
}

fn with_flag(bit: u32) -> Scene {
    Scene::with(&Options { flags: bit, ..Options::default() })
}

fn last_interest(scene: &Scene) -> u32 {
    *scene.kernel.interests().last().expect("a port is watched")
}

#[test]
fn what_was_gathered_queues_and_leaves_in_order() {
    let scene = Scene::new();
    scene.kernel.script(Send, [AtMost(2), Errno(libc::EAGAIN)]);
    scene.write_together(0..5);
    assert_eq!((scene.stats().queued_datagrams, scene.stats().queued_bytes), (3, 12));
    assert_eq!(last_interest(&scene), READABLE | WRITABLE);
    scene.assert_sums(5);
    assert_eq!(scene.write(5), Ok(()));
    scene.write_together(6..8);
    scene.turn_until_sent();
    assert_eq!(last_interest(&scene), READABLE);
    assert_eq!(scene.diary.ready.get(), 0, "no write was refused");
    scene.assert_sums(8);
    scene.assert_received(0..8);
}

#[test]
fn nothing_overtakes_the_queue() {
    let scene = Scene::new();
    scene.kernel.fail(Send, [libc::EAGAIN]);
    assert_eq!(scene.write(0), Ok(()));
    let sends = scene.kernel.count(Send);
    let to = scene.peer.addr();
    assert_eq!(write_number(&scene.port, 1, &to, Flush::Immediate), Ok(()));
    assert_eq!(scene.port.shared.post(&2u32.to_be_bytes(), Some(&to)), Ok(()));
    assert_eq!(scene.port.flush(), Err(Status::WOULD_BLOCK));
    assert_eq!(scene.kernel.count(Send), sends);
    scene.turn_until(|scene| scene.stats().datagrams_out == 3);
    assert_eq!(scene.port.flush(), Ok(()));
    scene.assert_received(0..3);
}

#[test]
fn the_queue_is_bounded_and_write_ready_tells_when_to_go_on() {
    let scene = with_queue(10);
    scene.kernel.fail(Send, [libc::EAGAIN]);
    for number in 0..10 {
        assert_eq!(scene.write(number), Ok(()));
    }
    for _ in 0..3 {
        assert_eq!(scene.write(99), Err(Status::WOULD_BLOCK));
    }
    assert_eq!((scene.stats().queued_datagrams, scene.stats().queued_bytes), (10, 40));
    scene.assert_sums(10);
    scene.turn_until(|scene| scene.diary.ready.get() > 0);
    assert_eq!(scene.stats().queued_datagrams, 0);
    assert_eq!(scene.write(10), Ok(()));
    scene.assert_received(0..11);
    assert_eq!(scene.diary.ready.get(), 1, "once for all refusals");
}

#[test]
fn what_gathers_stays_within_the_bound() {
    let scene = with_queue(4);
    let to = scene.peer.addr();
    // Four gather; the fifth makes them leave, which the full socket refuses.
    scene.kernel.fail(Send, [libc::EAGAIN]);
    scene.in_callback(move |port| {
        for number in 0..4 {
            assert_eq!(write_number(port, number, &to, Flush::Batched), Ok(()));
        }
        for _ in 0..2 {
            assert_eq!(write_number(port, 99, &to, Flush::Batched), Err(Status::WOULD_BLOCK));
        }
    });
    scene.turn_until(|scene| scene.diary.ready.get() == 1);
    scene.assert_sums(4);
    scene.assert_received(0..4);
}

#[test]
fn a_queue_that_drains_bit_by_bit_calls_write_ready_at_its_end() {
    let scene = with_queue(6);
    let bits = [AtMost(1), Errno(libc::EAGAIN), AtMost(2), Errno(libc::EPERM), Errno(libc::EAGAIN)];
    scene.kernel.fail(Send, [libc::EAGAIN]);
    (0..6).for_each(|number| scene.write(number).expect("queued"));
    assert_eq!(scene.write(99), Err(Status::WOULD_BLOCK));
    scene.kernel.script(Send, bits);
    scene.turn_until(|scene| scene.kernel.waiting(Send) == 0);
    assert_eq!((scene.diary.ready.get(), scene.stats().queued_datagrams), (0, 2), "number 3 was refused");
    assert_eq!(scene.write(6), Ok(()), "there is room in the queue");
    scene.turn_until(|scene| scene.diary.ready.get() == 1);
    assert_eq!(scene.stats().dropped_out, 1);
    scene.assert_sums(7);
    scene.assert_received([0, 1, 2, 4, 5, 6]);
}

#[test]
fn more_than_one_call_takes_drains_in_order() {
    let scene = Scene::new();
    scene.kernel.fail(Send, [libc::EAGAIN]);
    (0..1000).for_each(|number| scene.write(number).expect("queued"));
    assert_eq!(scene.stats().queued_datagrams, 1000);
    let mut received = Vec::new();
    while scene.stats().queued_datagrams > 0 {
        let sent = scene.stats().datagrams_out;
        scene.turn_until(|scene| scene.stats().datagrams_out > sent);
        received.extend(scene.peer.numbers((scene.stats().datagrams_out - sent) as usize));
    }
    assert!(received.into_iter().eq(0..1000));
    scene.assert_received([]);
}

#[test]
fn without_a_queue_a_full_socket_drops_and_counts() {
    let scene = with_flag(flag::NO_QUEUE);
    scene.kernel.fail(Send, [libc::EAGAIN]);
    assert_eq!(scene.write(0), Ok(()));
    assert_eq!(scene.write(1), Ok(()));
    scene.kernel.script(Send, [AtMost(2), Errno(libc::ENOBUFS)]);
    scene.write_together(2..7);
    assert_eq!((scene.stats().dropped_out, scene.stats().queued_datagrams), (4, 0));
    assert_eq!(scene.write(7), Ok(()));
    scene.assert_sums(8);
    scene.assert_received([1, 2, 3, 7]);
    assert_eq!((scene.kernel.count(Rewatch), scene.diary.ready.get()), (0, 0));
}

#[test]
fn unbatched_writes_are_one_call_each_with_its_own_answer() {
    let scene = with_flag(flag::UNBATCHED);
    let (kernel, to) = (scene.kernel.clone(), scene.peer.addr());
    scene.kernel.script(Send, [Real, Errno(libc::EPERM), Errno(libc::EAGAIN), Errno(libc::EINTR), Real]);
    scene.in_callback(move |port| {
        let results = [Ok(()), Err(Status::PERMISSION), Err(Status::WOULD_BLOCK), Ok(())];
        for (number, (result, calls)) in results.into_iter().zip([1, 2, 3, 5]).enumerate() {
            assert_eq!(write_number(port, number as u32, &to, Flush::Batched), result);
            assert_eq!(kernel.count(Send), calls);
        }
        assert_eq!(port.get_stats().expect("open").queued_datagrams, 0);
    });
    scene.turn_until(|scene| scene.diary.ready.get() == 1);
    assert_eq!(last_interest(&scene), READABLE);
    scene.assert_sums(2);
    scene.assert_received([0, 3]);
}

#[test]
fn enobufs_backs_off_by_the_clock_and_does_not_spin() {
    let scene = Scene::new();
    scene.kernel.script(Send, [AtMost(1), Errno(libc::ENOBUFS), Errno(libc::ENOBUFS), Errno(libc::ENOBUFS)]);
    let start = Instant::now();
    scene.write_together(0..5);
    let (waits, sends) = (scene.kernel.count(Wait), scene.kernel.count(Send));
    assert_eq!(scene.stats().queued_datagrams, 4);
    assert_eq!(scene.write(5), Ok(()), "behind the others");
    assert_eq!(scene.kernel.count(Send), sends);
    scene.turn_until_sent();
    assert!(start.elapsed() >= 3 * BACK_OFF);
    assert_eq!(scene.kernel.count(Wait) - waits, 3, "a turn for each attempt and none beside");
    assert_eq!(scene.kernel.count(Send) - sends, 3 + 1, "one datagram by itself, then the others");
    assert!(
        scene.kernel.interests().iter().all(|interest| interest & WRITABLE == 0),
        "epoll knows nothing of it"
    );
    scene.assert_sums(6);
    scene.assert_received(0..6);
}

/// A turn ends, however many ports wait for a device that stays full: each turn makes some of the retries, and calls what is
/// due.
#[test]
fn many_ports_on_a_full_device_leave_time_for_others() {
    const PORTS: u32 = 500;
    const FAILURES: usize = 5 * PORTS as usize;
    let scene = Scene::new();
    let (diary, to) = (Rc::new(Diary::default()), scene.peer.addr());
    let listen = |_| listen(&scene.reactor, &Options::default(), Closures::new(&diary)).expect("a port");
    let ports: Vec<_> = (0..PORTS).map(listen).collect();
    scene.kernel.fail(Send, [libc::ENOBUFS; FAILURES]);
    for (number, port) in (0..).zip(&ports) {
        write_number(port, number, &to, Flush::Batched).expect("queued");
    }
    let (calls, mut turns) = (Arc::new(AtomicU64::new(0)), 0);
    let queued = || ports.iter().map(|port| port.get_stats().expect("open").queued_datagrams).sum::<u64>();
    while queued() > 0 {
        let (sends, called) = (scene.kernel.count(Send), calls.clone());
        let count = move |_: &Reactor<Later>| {
            called.fetch_add(1, Ordering::Relaxed);
        };
        scene.reactor.call_later(0, Later::new(count)).expect("a call");
        scene.reactor.iterate(None).expect("a turn");
        turns += 1;
        assert_eq!(calls.load(Ordering::Relaxed), turns, "each turn has called it");
        assert!(scene.kernel.count(Send) - sends <= RETRIES_MAX, "a turn makes so many retries");
    }
    assert!(scene.kernel.count(Send) >= FAILURES + PORTS as usize);
    let mut numbers = scene.peer.numbers(PORTS as usize);
    numbers.sort_unstable();
    assert!(numbers.into_iter().eq(0..PORTS));
}

#[test]
fn enobufs_and_a_full_queue_call_write_ready() {
    for scene in [with_queue(2), with_flag(flag::UNBATCHED)] {
        scene.kernel.fail(Send, [libc::ENOBUFS]);
        let results: Vec<_> = (0..2).map(|number| scene.write(number)).collect();
        let accepted = results.iter().filter(|result| result.is_ok()).count();
        let refused = (0..3).find(|_| scene.write(2) == Err(Status::WOULD_BLOCK));
        if scene.stats().queued_datagrams > 0 {
            assert_eq!((accepted, refused), (2, Some(0)), "two are queued");
        } else {
            assert_eq!(results, [Err(Status::WOULD_BLOCK), Ok(())], "each is tried");
        }
        scene.turn_until(|scene| scene.diary.ready.get() == 1);
        assert!(scene.kernel.interests().iter().all(|interest| interest & WRITABLE == 0));
    }
}

#[test]
fn a_stop_counts_what_a_full_socket_keeps() {
    for errno in [libc::EAGAIN, libc::ENOBUFS] {
        let scene = Scene::new();
        let stats = Rc::new(std::cell::Cell::default());
        let (last, to, kernel) = (stats.clone(), scene.peer.addr(), scene.kernel.clone());
        let protocol =
            Closures::new(&scene.diary).at_stop(move |port| last.set(port.get_stats().expect("the last")));
        let port = listen(&scene.reactor, &Options::default(), protocol).expect("a port");
        kernel.fail(Send, [errno]);
        (0..3).for_each(|number| write_number(&port, number, &to, Flush::Batched).expect("queued"));
        assert_eq!(port.close(Status::OK), Ok(()));
        assert_eq!((stats.get().dropped_out, stats.get().datagrams_out, stats.get().queued_bytes), (3, 0, 0));
        assert_eq!(scene.diary.dropped.get(), 1);
        scene.assert_received([]);
    }
}

#[test]
fn a_port_closed_while_it_backs_off_is_not_tried_again() {
    let scene = Scene::new();
    scene.kernel.fail(Send, [libc::ENOBUFS]);
    assert_eq!(scene.write(0), Ok(()));
    assert_eq!(scene.port.close(Status::OK), Ok(()));
    let sends = scene.kernel.count(Send);
    let start = Instant::now();
    while start.elapsed() < 3 * BACK_OFF {
        scene.reactor.iterate(Some(BACK_OFF.as_nanos() as u64)).expect("a turn");
    }
    assert_eq!(scene.kernel.count(Send), sends);
    assert!(scene.peer.is_silent());
}

#[test]
fn what_epoll_cannot_change_is_put_in_anew() {
    let scene = Scene::new();
    scene.kernel.fail(Send, [libc::EAGAIN]);
    scene.kernel.fail(Rewatch, [libc::ENOMEM]);
    assert_eq!(scene.write(0), Ok(()));
    assert_eq!((scene.stats().queued_datagrams, scene.kernel.count(Unwatch)), (1, 1));
    assert_eq!(last_interest(&scene), READABLE | WRITABLE);
    assert_eq!(scene.write(1), Ok(()));
    assert_eq!(scene.kernel.count(Rewatch), 1, "nothing has changed");
    scene.turn_until_sent();
    scene.assert_received(0..2);
}

#[test]
fn a_post_that_waits_for_a_full_socket_owes_nobody_write_ready() {
    let scene = with_flag(flag::UNBATCHED);
    scene.kernel.fail(Send, [libc::EAGAIN]);
    assert_eq!(scene.port.shared.post(&0u32.to_be_bytes(), Some(&scene.peer.addr())), Ok(()));
    scene.turn_until(|scene| scene.kernel.count(Send) == 1);
    assert_eq!(scene.stats().queued_datagrams, 1);
    scene.turn_until_sent();
    scene.assert_received([0]);
    assert_eq!(scene.diary.ready.get(), 0, "no write was refused");
}

#[test]
fn posts_to_a_socket_that_stays_full_are_bounded() {
    const BOUND: u32 = 10;
    let scene = with_queue(BOUND);
    let to = scene.peer.addr();
    let mut posted = 0u32;
    let mut post = || {
        let result = scene.port.shared.post(&posted.to_be_bytes(), Some(&to));
        posted += u32::from(result.is_ok());
        result
    };
    // Each turn finds the socket writable, and tries.
    scene.kernel.fail(Send, [libc::EAGAIN; 100]);
    for _ in 0..50 {
        while post().is_ok() {}
        scene.reactor.iterate(Some(0)).expect("a turn");
    }
    assert_eq!(post(), Err(Status::WOULD_BLOCK));
    assert!(scene.kernel.waiting(Send) > 0, "it is full still");
    assert!(scene.stats().queued_datagrams <= u64::from(BOUND));
    assert!(posted <= 2 * BOUND, "a queue, and mail behind it: {posted}");
    scene.turn_until(|scene| scene.stats().datagrams_out == u64::from(posted));
    scene.assert_received(0..posted);
}
