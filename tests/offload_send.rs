//! Sending with UDP_SEGMENT: what leaves as one message, and the order of each destination. What a kernel refuses to merge
//! is in offload_refused.rs.

mod support;

use std::rc::Rc;
use support::*;
use udpr::port::{Flush, Options, flag};

use Syscall::Send;

fn merging() -> Scene {
    Scene::merging(Rc::default(), &Options::default())
}

/// Writes datagrams of these sizes, numbered from 0, to the peer in one callback. The answer is how many messages each
/// send took.
fn write_all(scene: &Scene, sizes: &[usize]) -> Vec<usize> {
    let before = scene.kernel.count(Send);
    let (sizes, to) = (sizes.to_vec(), scene.peer.addr());
    scene.in_callback(move |port| {
        for (number, len) in (0..).zip(sizes) {
            write_sized(port, number, len, &to, Flush::Batched).expect("accepted");
        }
    });
    scene.kernel.sends().split_off(before)
}

/// Datagrams of these sizes leave as so many messages, by one call, and the peer gets each whole and in order.
#[track_caller]
fn assert_messages(sizes: &[usize], messages: usize) {
    let scene = merging();
    assert_eq!(write_all(&scene, sizes), [messages]);
    for (number, len) in (0..).zip(sizes) {
        assert_eq!(scene.peer.sized(), (number, *len));
    }
    assert!(scene.peer.is_silent());
    scene.assert_sums(sizes.len() as u64);
    assert_eq!(scene.stats().bytes_out, sizes.iter().sum::<usize>() as u64);
}

#[test]
fn the_writes_of_a_callback_to_one_peer_are_one_message() {
    let scene = merging();
    scene.write_together(0..100);
    assert_eq!(scene.kernel.sends(), [1]);
    assert!(scene.peer.numbers(100).into_iter().eq(0..100));
    assert_eq!((scene.stats().datagrams_out, scene.stats().bytes_out), (100, 400));
    scene.assert_sums(100);
}

#[test]
fn a_peer_that_merges_gets_them_in_one_piece() {
    let scene = merging();
    scene.peer.merge();
    scene.write_together(0..100);
    let expected: Vec<u8> = (0..100).flat_map(u32::to_be_bytes).collect();
    assert_eq!(scene.peer.receive(&mut [0; 1000]), expected);
    assert!(scene.peer.is_silent());
}

#[test]
fn sizes() {
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
fn no_more_than_128_datagrams_and_65507_bytes() {
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
fn empty_ones_leave_by_themselves_and_in_their_place() {
    let scene = merging();
    let to = scene.peer.addr();
    let lengths = [4, 4, 0, 4, 0, 0, 4, 4];
    scene.in_callback(move |port| {
        for len in lengths {
            port.write(&[7; 4][..len], Some(&to), Flush::Batched).expect("accepted");
        }
    });
    assert_eq!(scene.kernel.sends(), [6]);
    assert!(lengths.iter().all(|len| scene.peer.receive(&mut [0; 8]).len() == *len));
    assert!(scene.peer.is_silent());
    scene.assert_sums(8);
}

#[test]
fn interleaved_destinations_are_a_message_each() {
    const PEERS: usize = 5;
    let (scene, peers) = (merging(), [(); PEERS].map(|()| Peer::new()));
    peers.iter().for_each(Peer::merge);
    let ways: Vec<_> = peers.iter().map(Peer::addr).collect();
    scene.in_callback(move |port| {
        for number in 0..100 {
            write_number(port, number, &ways[number as usize % PEERS], Flush::Batched).expect("accepted");
        }
    });
    assert_eq!(scene.kernel.sends(), [PEERS]);
    for (first, peer) in (0..).zip(&peers) {
        let expected: Vec<u8> = (first..100).step_by(PEERS).flat_map(u32::to_be_bytes).collect();
        assert_eq!(peer.receive(&mut [0; 1000]), expected);
    }
    scene.assert_sums(100);
}

#[test]
fn a_write_for_now_leaves_behind_what_was_gathered() {
    let scene = merging();
    let to = scene.peer.addr();
    scene.in_callback(move |port| {
        for number in 0..6 {
            let flush = if number == 3 { Flush::Immediate } else { Flush::Batched };
            write_number(port, number, &to, flush).expect("accepted");
        }
    });
    assert_eq!(scene.kernel.sends(), [1, 1, 1]);
    scene.assert_sums(6);
    scene.assert_received(0..6);
}

#[test]
fn unbatched_writes_are_not_merged() {
    let scene = Scene::merging(Rc::default(), &Options { flags: flag::UNBATCHED, ..Options::default() });
    scene.write_together(0..5);
    assert_eq!(scene.kernel.sends(), [1; 5]);
    scene.assert_sums(5);
    scene.assert_received(0..5);
}

#[test]
fn a_kernel_that_does_not_know_of_merging_is_given_no_merged_message() {
    let kernel = Rc::new(Scripted::default());
    kernel.forget_option(libc::SOL_UDP, libc::UDP_SEGMENT);
    let scene = Scene::merging(kernel, &Options::default());
    scene.write_together(0..5);
    assert_eq!(scene.kernel.sends(), [5]);
    scene.assert_sums(5);
    scene.assert_received(0..5);
}

#[test]
fn what_waited_for_a_full_socket_is_merged_too() {
    let scene = merging();
    scene.kernel.fail(Send, [libc::EAGAIN]);
    (0..50).for_each(|number| scene.write(number).expect("queued"));
    scene.turn_until_sent();
    assert_eq!(scene.kernel.sends(), [0, 1]);
    scene.assert_sums(50);
    scene.assert_received(0..50);
}

/// Sizes that often come again, so that there is something to merge.
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
        let (scene, random) = (merging(), Random::new(seed));
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
            scene.in_callback(move |port| {
                for (number, size, to, flush) in writes {
                    write_sized(port, number, size, &to, flush).expect("accepted");
                }
            });
            for (peer, expected) in peers.iter().zip(expected) {
                assert!(expected.into_iter().all(|datagram| peer.sized() == datagram));
            }
        }
        assert!(peers.iter().all(Peer::is_silent));
        scene.assert_sums(number.into());
        let messages: usize = scene.kernel.sends().iter().sum();
        assert!(messages < number as usize * 3 / 4, "much was merged: {messages} of {number}");
    }
}
