//! Sending with UDP_SEGMENT: which datagrams are sent as one message, and the order for each destination. Kernels that reject
//! merged messages are tested in offload_refused.rs.

mod support;

use std::rc::Rc;
use support::*;
use udpr::port::{Flush, Options, flag};

use Syscall::Send;

fn fixture_with_offload() -> Fixture {
    Fixture::with_offload(Rc::default(), &Options::default())
}

/// Writes datagrams of these sizes, numbered from 0, to the peer in one callback. Returns how many messages each send
/// accepted.
fn write_all(fixture: &Fixture, sizes: &[usize]) -> Vec<usize> {
    let before = fixture.kernel.count(Send);
    let (sizes, to) = (sizes.to_vec(), fixture.peer.addr());
    fixture.in_callback(move |port| {
        for (number, len) in (0..).zip(sizes) {
            write_sized(port, number, len, &to, Flush::Batched).expect("accepted");
        }
    });
    fixture.kernel.sends().split_off(before)
}

/// Datagrams of these sizes are sent as so many messages by one call, and the peer receives all of them in order.
#[track_caller]
fn assert_messages(sizes: &[usize], messages: usize) {
    let fixture = fixture_with_offload();
    assert_eq!(write_all(&fixture, sizes), [messages]);
    for (number, len) in (0..).zip(sizes) {
        assert_eq!(fixture.peer.receive_sized(), (number, *len));
    }
    assert!(fixture.peer.has_nothing_to_read());
    fixture.assert_counters(sizes.len() as u64);
    assert_eq!(fixture.stats().bytes_out, sizes.iter().sum::<usize>() as u64);
}

#[test]
fn the_writes_of_a_callback_to_one_peer_are_one_message() {
    let fixture = fixture_with_offload();
    fixture.write_batched(0..100);
    assert_eq!(fixture.kernel.sends(), [1]);
    assert!(fixture.peer.receive_numbers(100).into_iter().eq(0..100));
    assert_eq!((fixture.stats().datagrams_out, fixture.stats().bytes_out), (100, 400));
    fixture.assert_counters(100);
}

#[test]
fn a_peer_with_gro_receives_them_in_one_message() {
    let fixture = fixture_with_offload();
    fixture.peer.enable_gro();
    fixture.write_batched(0..100);
    let expected: Vec<u8> = (0..100).flat_map(u32::to_be_bytes).collect();
    assert_eq!(fixture.peer.receive(&mut [0; 1000]), expected);
    assert!(fixture.peer.has_nothing_to_read());
}

#[test]
fn a_message_ends_with_a_shorter_datagram() {
    assert_messages(&[100; 3], 1);
    assert_messages(&[100, 100, 60], 1);
    assert_messages(&[100, 60, 60], 2);
    assert_messages(&[60, 100, 100], 2);
    assert_messages(&[100, 60, 100, 60], 2);
    assert_messages(&[4, 5, 6, 7], 4);
    assert_messages(&[7, 6, 5, 4], 2);
    assert_messages(&[1200; 10], 1);
}

#[test]
fn a_message_has_at_most_128_datagrams_and_65507_bytes() {
    assert_messages(&[10; 128], 1);
    assert_messages(&[10; 129], 2);
    assert_messages(&[10; 256], 2);
    assert_messages(&[1200; 54], 1);
    assert_messages(&[1200; 55], 2);
    assert_messages(&[21_835; 3], 1); // 65,505
    assert_messages(&[21_836; 3], 2); // 65,508
    assert_messages(&[65_507, 65_507], 2);
}

#[test]
fn empty_datagrams_are_separate_messages_in_order() {
    let fixture = fixture_with_offload();
    let to = fixture.peer.addr();
    let lengths = [4, 4, 0, 4, 0, 0, 4, 4];
    fixture.in_callback(move |port| {
        for len in lengths {
            port.write(&[7; 4][..len], Some(&to), Flush::Batched).expect("accepted");
        }
    });
    assert_eq!(fixture.kernel.sends(), [6]);
    assert!(lengths.iter().all(|len| fixture.peer.receive(&mut [0; 8]).len() == *len));
    assert!(fixture.peer.has_nothing_to_read());
    fixture.assert_counters(8);
}

#[test]
fn interleaved_destinations_are_a_message_each() {
    const PEERS: usize = 5;
    let (fixture, peers) = (fixture_with_offload(), [(); PEERS].map(|()| Peer::new()));
    peers.iter().for_each(Peer::enable_gro);
    let ways: Vec<_> = peers.iter().map(Peer::addr).collect();
    fixture.in_callback(move |port| {
        for number in 0..100 {
            write_number(port, number, &ways[number as usize % PEERS], Flush::Batched).expect("accepted");
        }
    });
    assert_eq!(fixture.kernel.sends(), [PEERS]);
    for (first, peer) in (0..).zip(&peers) {
        let expected: Vec<u8> = (first..100).step_by(PEERS).flat_map(u32::to_be_bytes).collect();
        assert_eq!(peer.receive(&mut [0; 1000]), expected);
    }
    fixture.assert_counters(100);
}

#[test]
fn an_immediate_write_is_sent_after_the_batch() {
    let fixture = fixture_with_offload();
    let to = fixture.peer.addr();
    fixture.in_callback(move |port| {
        for number in 0..6 {
            let flush = if number == 3 { Flush::Immediate } else { Flush::Batched };
            write_number(port, number, &to, flush).expect("accepted");
        }
    });
    assert_eq!(fixture.kernel.sends(), [1, 1, 1]);
    fixture.assert_counters(6);
    fixture.assert_received(0..6);
}

#[test]
fn unbatched_writes_are_not_merged() {
    let fixture =
        Fixture::with_offload(Rc::default(), &Options { flags: flag::UNBATCHED, ..Options::default() });
    fixture.write_batched(0..5);
    assert_eq!(fixture.kernel.sends(), [1; 5]);
    fixture.assert_counters(5);
    fixture.assert_received(0..5);
}

#[test]
fn a_kernel_without_gso_gets_no_merged_message() {
    let kernel = Rc::new(ScriptedKernel::default());
    kernel.remove_option(libc::SOL_UDP, libc::UDP_SEGMENT);
    let fixture = Fixture::with_offload(kernel, &Options::default());
    fixture.write_batched(0..5);
    assert_eq!(fixture.kernel.sends(), [5]);
    fixture.assert_counters(5);
    fixture.assert_received(0..5);
}

#[test]
fn queued_datagrams_are_merged() {
    let fixture = fixture_with_offload();
    fixture.kernel.fail(Send, [libc::EAGAIN]);
    (0..50).for_each(|number| fixture.write(number).expect("queued"));
    fixture.turn_until_sent();
    assert_eq!(fixture.kernel.sends(), [0, 1]);
    fixture.assert_counters(50);
    fixture.assert_received(0..50);
}

/// Sizes that are often equal, so that datagrams can be merged.
fn random_size(random: &Random) -> usize {
    match random.below(4) {
        0 => 4 + random.below(1400) as usize,
        1 => 1200,
        _ => 200,
    }
}

#[test]
fn each_destination_keeps_its_order_whatever_is_written() {
    const PEERS: usize = 3;
    for seed in 1..=5 {
        let (fixture, random) = (fixture_with_offload(), Random::new(seed));
        let peers = [(); PEERS].map(|()| Peer::new());
        let mut number = 0;
        for _ in 0..100 {
            let mut expected = [const { Vec::new() }; PEERS];
            let mut writes = Vec::new();
            for _ in 0..random.below(80) {
                let (way, size) = (random.below(PEERS as u64) as usize, random_size(&random));
                expected[way].push((number, size));
                let flush = if random.below(20) == 0 { Flush::Immediate } else { Flush::Batched };
                writes.push((number, size, peers[way].addr(), flush));
                number += 1;
            }
            fixture.in_callback(move |port| {
                for (number, size, to, flush) in writes {
                    write_sized(port, number, size, &to, flush).expect("accepted");
                }
            });
            for (peer, expected) in peers.iter().zip(expected) {
                assert!(expected.into_iter().all(|datagram| peer.receive_sized() == datagram));
            }
        }
        assert!(peers.iter().all(Peer::has_nothing_to_read));
        fixture.assert_counters(number.into());
        let messages: usize = fixture.kernel.sends().iter().sum();
        assert!(messages < number as usize * 3 / 4, "much was merged: {messages} of {number}");
    }
}
