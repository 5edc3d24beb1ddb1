//! A kernel that rejects merged messages, from the first send or later: nothing is lost, each destination keeps its order, and
//! datagrams that can still be merged are.

mod support;

use std::cell::Cell;
use std::rc::Rc;
use support::*;
use udpr::port::{Flush, Options, Port, Stats, flag};
use udpr::status::Status;
use udpr::sys::GsoLimits;

use CallResult::{AtMost, Errno, Real};
use Syscall::Send;

fn fixture_with_offload() -> Fixture {
    with_flag(0)
}

fn with_flag(bit: u32) -> Fixture {
    Fixture::with_offload(Rc::default(), &Options { flags: bit, ..Options::default() })
}

/// Writes `count` datagrams of `len` bytes in one callback, all of which arrive. Returns how many messages each send accepted.
fn burst(fixture: &Fixture, to: &Peer, count: u32, len: usize) -> Vec<usize> {
    let (before, way) = (fixture.kernel.count(Send), to.addr());
    fixture.in_callback(move |port| {
        for number in 0..count {
            write_sized(port, number, len, &way, Flush::Batched).expect("accepted");
        }
    });
    assert!((0..count).all(|number| to.receive_sized() == (number, len)), "each arrives, in order");
    assert!(to.has_nothing_to_read());
    fixture.kernel.sends().split_off(before)
}

/// The sends of a merged message that was rejected, and then sent as `count` datagrams.
fn sends_of_split_message(count: usize) -> Vec<usize> {
    [vec![0], vec![1; count]].concat()
}

#[test]
fn a_size_that_cannot_be_merged_is_not_merged_again() {
    // Before Linux 6.14 a segment above the path's MTU was EINVAL.
    let rules: [fn(GsoLimits) -> Option<i32>; 2] = [
        |merged| (merged.size > 1000).then_some(libc::EMSGSIZE),
        |merged| (merged.size > 1000).then_some(libc::EINVAL),
    ];
    for rule in rules {
        let (fixture, other) = (fixture_with_offload(), Peer::new());
        fixture.kernel.set_send_rule(rule);
        assert_eq!(burst(&fixture, &fixture.peer, 5, 1400), sends_of_split_message(5));
        assert_eq!(burst(&fixture, &fixture.peer, 5, 1400), [1; 5], "it is known");
        assert_eq!(burst(&fixture, &other, 64, 1000), [1], "others keep what they had");
        assert_eq!(
            burst(&fixture, &fixture.peer, 5, 1100),
            sends_of_split_message(5),
            "smaller, but not small enough"
        );
        assert_eq!(burst(&fixture, &fixture.peer, 5, 1200), [1; 5]);
        assert_eq!(burst(&fixture, &other, 128, 100), [1]);
        assert_eq!(fixture.stats().dropped_out, 0);
        fixture.assert_counters(5 + 5 + 64 + 5 + 5 + 128);
    }
}

#[test]
fn a_kernel_that_merges_64() {
    let fixture = fixture_with_offload();
    fixture.kernel.set_send_rule(|merged| (merged.segments > 64).then_some(libc::EINVAL));
    assert_eq!(burst(&fixture, &fixture.peer, 64, 10), [1]);
    assert_eq!(burst(&fixture, &fixture.peer, 100, 10), sends_of_split_message(100));
    assert_eq!(burst(&fixture, &fixture.peer, 128, 10), [1; 2]);
    fixture.assert_counters(64 + 100 + 128);
}

/// Every kernel merges 64 datagrams, so a message of 64 is rejected for its size.
#[test]
fn a_message_of_64_that_is_rejected_is_too_large() {
    let fixture = fixture_with_offload();
    fixture.kernel.set_send_rule(|merged| (merged.size > 900).then_some(libc::EINVAL));
    assert_eq!(burst(&fixture, &fixture.peer, 64, 1000), sends_of_split_message(64));
    assert_eq!(burst(&fixture, &fixture.peer, 64, 1000), [1; 64], "it is known");
    assert_eq!(burst(&fixture, &fixture.peer, 128, 10), [1], "the number is not rejected");
    fixture.assert_counters(64 + 64 + 128);
}

#[test]
fn two_messages_of_one_send_change_limits_as_one_does() {
    let fixture = fixture_with_offload();
    fixture.kernel.set_send_rule(|merged| (merged.segments > 64).then_some(libc::EINVAL));
    assert_eq!(
        burst(&fixture, &fixture.peer, 256, 10),
        [sends_of_split_message(128), sends_of_split_message(128)].concat()
    );
    assert_eq!(burst(&fixture, &fixture.peer, 128, 10), [1; 2]);
}

#[test]
fn fixture_with_offload_soon_ends_if_the_kernel_rejects_every_merged_message() {
    let fixture = fixture_with_offload();
    fixture.kernel.set_send_rule(|_| Some(libc::EINVAL));
    assert_eq!(
        burst(&fixture, &fixture.peer, 128, 10),
        sends_of_split_message(128),
        "fewer might be accepted"
    );
    assert_eq!(
        burst(&fixture, &fixture.peer, 2, 10),
        sends_of_split_message(2),
        "smaller ones might be accepted"
    );
    assert_eq!(burst(&fixture, &fixture.peer, 100, 10), [1; 100]);
    assert_eq!(burst(&fixture, &fixture.peer, 2, 1200), [1; 2]);
    fixture.assert_counters(128 + 2 + 100 + 2);
}

#[test]
fn eio_ends_merging_for_one_port_only() {
    let fixture = fixture_with_offload();
    let second =
        listen_with_offload(&fixture.reactor, &Options::default(), ClosureProtocol::new(&fixture.record));
    let second = second.expect("a second port");
    fixture.kernel.set_send_rule(|_| Some(libc::EIO));
    assert_eq!(burst(&fixture, &fixture.peer, 5, 10), sends_of_split_message(5));
    assert_eq!(burst(&fixture, &fixture.peer, 5, 4), [1; 5], "no size at all");
    fixture.assert_counters(10);
    fixture.kernel.set_send_rule(|_| None);
    let (sends, to) = (fixture.kernel.count(Send), fixture.peer.addr());
    fixture.in_callback(move |_| write_numbers(&second, 0..5, &to));
    assert_eq!(fixture.kernel.sends()[sends..], [1]);
    assert_eq!(fixture.peer.receive_numbers(5), [0, 1, 2, 3, 4]);
}

fn write_numbers(port: &Port, numbers: std::ops::Range<u32>, to: &udpr::addr::Addr) {
    for number in numbers {
        write_number(port, number, to, Flush::Batched).expect("accepted");
    }
}

#[test]
fn a_failure_of_single_datagrams_does_not_change_limits() {
    // A datagram that is too long is sent once more to read the MTU.
    for (errno, sends) in [(libc::EMSGSIZE, 1 + 2 * 5), (libc::EINVAL, 1 + 5), (libc::EIO, 1 + 5)] {
        let fixture = fixture_with_offload();
        fixture.kernel.fail(Send, vec![errno; sends]);
        fixture.write_batched(0..5);
        assert_eq!((fixture.stats().dropped_out, fixture.kernel.count(Send)), (5, sends));
        assert_eq!(burst(&fixture, &fixture.peer, 128, 4), [1]);
        fixture.assert_counters(5 + 128);
    }
}

#[test]
fn another_error_applies_to_every_datagram_of_the_message() {
    for errno in [libc::EPERM, libc::EACCES, libc::ENETUNREACH, libc::EHOSTUNREACH] {
        let (fixture, others) = (fixture_with_offload(), [Peer::new(), Peer::new()]);
        let ways = [others[0].addr(), fixture.peer.addr(), others[1].addr()];
        fixture.kernel.script(Send, [AtMost(1), Errno(errno)]);
        fixture.in_callback(move |port| {
            for number in 0..30 {
                write_number(port, number, &ways[number as usize % 3], Flush::Batched).expect("accepted");
            }
        });
        assert_eq!(fixture.kernel.sends(), [1, 0, 1]);
        assert_eq!((fixture.stats().datagrams_out, fixture.stats().dropped_out), (20, 10));
        fixture.assert_counters(30);
        assert!(others[0].receive_numbers(10).into_iter().eq((0..30).step_by(3)));
        assert!(others[1].receive_numbers(10).into_iter().eq((2..30).step_by(3)));
        fixture.assert_received([]);
    }
}

#[test]
fn the_refusal_of_an_earlier_datagram_loses_nothing() {
    let (fixture, other) = (fixture_with_offload(), Peer::new());
    let refused = Errno(libc::ECONNREFUSED);
    fixture
        .kernel
        .script(Send, [refused, AtMost(1), refused, Errno(libc::EMSGSIZE), refused, AtMost(2), refused]);
    let ways = [other.addr(), fixture.peer.addr()];
    fixture.in_callback(move |port| ways.iter().for_each(|to| write_numbers(port, 0..5, to)));
    assert_eq!((fixture.stats().refused, fixture.stats().dropped_out), (4, 0));
    fixture.assert_counters(10);
    assert_eq!(other.receive_numbers(5), [0, 1, 2, 3, 4]);
    fixture.assert_received(0..5);
}

#[test]
fn partial_and_interrupted_sends_of_merged_messages() {
    let fixture = fixture_with_offload();
    let to = fixture.peer.addr();
    // Eight messages: 4 and 4, 5 and 5, ...
    fixture.kernel.script(Send, [AtMost(1), Errno(libc::EINTR), AtMost(3), AtMost(1), Real]);
    fixture.in_callback(move |port| {
        for number in 0..16 {
            let len = 4 + number as usize / 2;
            write_sized(port, number, len, &to, Flush::Batched).expect("accepted");
        }
    });
    assert_eq!(fixture.kernel.sends(), [1, 0, 3, 1, 3]);
    assert!((0..16).all(|number| fixture.peer.receive_sized() == (number, 4 + number as usize / 2)));
    fixture.assert_counters(16);
}

#[test]
fn a_full_socket_queues_merged_messages_in_order() {
    // After ENOBUFS one datagram is sent ahead of the others.
    for (errno, sends) in [(libc::EAGAIN, &[0, 1][..]), (libc::ENOBUFS, &[0, 1, 1])] {
        let fixture = fixture_with_offload();
        fixture.kernel.fail(Send, [errno]);
        fixture.write_batched(0..10);
        assert_eq!((fixture.stats().queued_datagrams, fixture.stats().queued_bytes), (10, 40));
        fixture.assert_counters(10);
        fixture.turn_until_sent();
        assert_eq!(fixture.kernel.sends(), sends, "merged again");
        fixture.assert_counters(10);
        fixture.assert_received(0..10);
    }
}

#[test]
fn a_full_socket_between_merged_messages() {
    for (errno, sends) in [(libc::EAGAIN, &[1, 0, 1, 0, 1][..]), (libc::ENOBUFS, &[1, 0, 1, 0, 1, 2])] {
        let (fixture, others) = (fixture_with_offload(), [Peer::new(), Peer::new()]);
        let ways = [others[0].addr(), fixture.peer.addr(), others[1].addr()];
        fixture.kernel.script(Send, [AtMost(1), Errno(errno), AtMost(1), Errno(errno)]);
        fixture.in_callback(move |port| {
            for number in 0..30 {
                write_number(port, number, &ways[number as usize % 3], Flush::Batched).expect("accepted");
            }
        });
        assert_eq!((fixture.stats().datagrams_out, fixture.stats().queued_datagrams), (10, 20));
        fixture.turn_until_sent();
        assert_eq!(fixture.kernel.sends(), sends);
        fixture.assert_counters(30);
        assert!(others[0].receive_numbers(10).into_iter().eq((0..30).step_by(3)));
        assert!(others[1].receive_numbers(10).into_iter().eq((2..30).step_by(3)));
        fixture.assert_received((1..30).step_by(3));
    }
}

#[test]
fn a_full_socket_in_the_middle_of_a_message_that_was_split() {
    for (errno, sends) in [(libc::EAGAIN, &[0, 2, 0, 0, 4][..]), (libc::ENOBUFS, &[0, 2, 0, 0, 1, 3])] {
        let fixture = fixture_with_offload();
        fixture.kernel.script(Send, [Errno(libc::EMSGSIZE), AtMost(2), Errno(errno), Errno(errno)]);
        fixture.write_batched(0..6);
        assert_eq!((fixture.stats().datagrams_out, fixture.stats().queued_datagrams), (2, 4));
        fixture.assert_counters(6);
        fixture.turn_until_sent();
        assert_eq!(fixture.kernel.sends(), sends, "the size is known by now");
        fixture.assert_counters(6);
        fixture.assert_received(0..6);
    }
}

#[test]
fn queued_datagrams_of_several_destinations_are_neither_lost_nor_sent_twice() {
    let (fixture, other) = (fixture_with_offload(), Peer::new());
    let ways = [fixture.peer.addr(), other.addr()];
    fixture.kernel.fail(Send, [libc::EAGAIN]);
    for number in 0..20 {
        write_number(&fixture.port, number, &ways[number as usize % 2], Flush::Batched).expect("queued");
    }
    fixture
        .kernel
        .script(Send, [AtMost(1), Errno(libc::EAGAIN), AtMost(3), Errno(libc::EPERM), Errno(libc::EAGAIN)]);
    fixture.turn_until_sent();
    assert_eq!(fixture.stats().dropped_out, 1, "number 4");
    fixture.assert_counters(20);
    assert!(other.receive_numbers(10).into_iter().eq((1..20).step_by(2)));
    assert!(other.has_nothing_to_read());
    fixture.assert_received([0, 2].into_iter().chain((6..20).step_by(2)));
}

#[test]
fn without_a_queue_a_full_socket_drops_every_datagram_of_a_message() {
    let fixture = with_flag(flag::NO_QUEUE);
    fixture.kernel.fail(Send, [libc::EAGAIN]);
    fixture.write_batched(0..5);
    assert_eq!((fixture.stats().dropped_out, fixture.stats().queued_datagrams), (5, 0));
    fixture.kernel.script(Send, [Errno(libc::EMSGSIZE), AtMost(2), Errno(libc::ENOBUFS)]);
    fixture.write_batched(5..11);
    assert_eq!((fixture.stats().dropped_out, fixture.stats().datagrams_out), (9, 2));
    fixture.assert_counters(11);
    fixture.assert_received([5, 6]);
}

#[test]
fn a_segmented_message_is_merged_on_an_unbatched_port() {
    let fixture = with_flag(flag::UNBATCHED);
    assert_eq!(fixture.write_segments(50, Flush::Batched), Ok(()));
    assert_eq!(fixture.kernel.sends(), [1]);
    fixture.kernel.fail(Send, [libc::EAGAIN, libc::EPERM]);
    assert_eq!(fixture.write_segments(50, Flush::Batched), Err(Status::WOULD_BLOCK));
    fixture.turn_until(|fixture| fixture.record.ready.get() == 1);
    assert_eq!(fixture.write_segments(50, Flush::Batched), Err(Status::PERMISSION));
    assert_eq!(fixture.stats().dropped_out, 0, "the caller has the status");
    fixture.kernel.script(Send, [Errno(libc::EMSGSIZE), AtMost(2), Errno(libc::EAGAIN)]);
    assert_eq!(fixture.write_segments(5, Flush::Batched), Ok(()), "a part was sent");
    assert_eq!((fixture.stats().dropped_out, fixture.stats().queued_datagrams), (3, 0));
    fixture.assert_counters(55);
    fixture.assert_received((0..50).chain([0, 1]));
}

#[test]
fn a_close_counts_each_datagram_that_was_not_sent() {
    let full = [Errno(libc::EAGAIN), Errno(libc::EAGAIN)];
    let split = [Errno(libc::EINVAL), AtMost(4), Errno(libc::EAGAIN)];
    let refused = [Errno(libc::EIO), AtMost(4), Errno(libc::EPERM)];
    let scripts: [(&[CallResult], _); 3] = [(&full, (0, 10)), (&split, (4, 6)), (&refused, (9, 1))];
    for (script, (sent, dropped)) in scripts {
        let (fixture, last) = (fixture_with_offload(), Rc::new(Cell::<Stats>::default()));
        let at_stop = last.clone();
        let protocol = ClosureProtocol::new(&fixture.record)
            .on_stop(move |port| at_stop.set(port.get_stats().expect("statistics")));
        let port = listen_with_offload(&fixture.reactor, &Options::default(), protocol).expect("a port");
        let to = fixture.peer.addr();
        fixture.kernel.script(Send, script.iter().copied());
        fixture.in_callback(move |_| {
            write_numbers(&port, 0..10, &to);
            port.close(Status::OK).expect("open until now");
        });
        let stats = last.get();
        assert_eq!((stats.datagrams_out, stats.dropped_out, stats.queued_datagrams), (sent, dropped, 0));
        assert_eq!(stats.bytes_out, 4 * sent);
        assert!((0..sent).all(|_| fixture.peer.receive_numbers(1)[0] < 10));
        assert!(fixture.peer.has_nothing_to_read());
    }
}

fn random_result(random: &Random) -> CallResult {
    match random.below(16) {
        0 | 1 => Errno(libc::EAGAIN),
        2 => Errno(libc::ENOBUFS),
        3 => Errno(libc::EPERM),
        4 => Errno(libc::EINTR),
        5 => Errno(libc::ECONNREFUSED),
        6 => Errno(libc::EMSGSIZE),
        7 => Errno(libc::EINVAL),
        8 if random.below(20) == 0 => Errno(libc::EIO),
        9..=12 => AtMost(1 + random.below(4) as usize),
        _ => Real,
    }
}

/// Whatever sends return, accepted datagrams are sent, dropped or queued, and each peer receives its own in order.
fn assert_adds_up(flags: u32, seed: u64) {
    const PEERS: usize = 3;
    let (fixture, random) = (with_flag(flags), Random::new(seed));
    let peers = Rc::new([(); PEERS].map(|()| Peer::new()));
    let (mut number, mut got) = (0, [const { Vec::new() }; PEERS]);
    let accepted = Rc::new(Cell::new(0));
    for _ in 0..200 {
        fixture.kernel.script(Send, (0..random.below(6)).map(|_| random_result(&random)));
        let ways: Vec<_> = (0..random.below(40)).map(|_| random.below(PEERS as u64) as usize).collect();
        let (first, peers_too, sum) = (number, peers.clone(), accepted.clone());
        number += ways.len() as u32;
        fixture.in_callback(move |port| {
            for (number, way) in (first..).zip(ways) {
                let len = if number % 50 < 25 { 4 } else { 40 + number as usize % 3 };
                match write_sized(port, number, len, &peers_too[way].addr(), Flush::Batched) {
                    Ok(()) => sum.set(sum.get() + 1),
                    Err(status) => assert_eq!(status, Status::PERMISSION, "no other error was scripted"),
                }
            }
        });
        if random.below(3) == 0 {
            fixture.turn_until_sent();
        }
        fixture.assert_counters(accepted.get());
        for (peer, got) in peers.iter().zip(&mut got) {
            while !peer.has_nothing_to_read() {
                got.push(peer.receive_sized().0);
            }
        }
    }
    fixture.kernel.clear_script();
    fixture.turn_until_sent();
    for (peer, got) in peers.iter().zip(&mut got) {
        while !peer.has_nothing_to_read() {
            got.push(peer.receive_sized().0);
        }
        assert!(got.is_sorted_by(|a, b| a < b), "in order, and none twice");
    }
    let (stats, sum) = (fixture.stats(), got.iter().map(Vec::len).sum::<usize>());
    assert_eq!((stats.datagrams_out, stats.queued_datagrams), (sum as u64, 0));
    assert!(sum > 1000 && stats.refused > 0, "the script was played: {stats:?}");
    fixture.assert_counters(accepted.get());
}

#[test]
fn the_counters_add_up_whatever_sends_return() {
    for seed in 1..=5 {
        assert_adds_up(0, seed);
        assert_adds_up(flag::NO_QUEUE, seed);
    }
}
