//! The number of system calls for each echoed datagram.

mod support;

use std::rc::Rc;
use support::*;
use udpr::port::{Options, flag};

use Syscall::{Receive, Send, Wait};

/// The number of waits, receives, sends and other calls so far.
fn calls(kernel: &ScriptedKernel) -> [usize; 4] {
    let [wait, receive, send] = [Wait, Receive, Send].map(|syscall| kernel.count(syscall));
    [wait, receive, send, kernel.count_all() - wait - receive - send]
}

#[test]
fn one_datagram_in_flight_costs_one_wait_one_receive_and_one_send() {
    assert_one_in_flight(flag::NO_OFFLOAD);
}

#[test]
fn the_same_with_offload() {
    assert_one_in_flight(0);
}

fn assert_one_in_flight(flags: u32) {
    let (kernel, record, peer) = (Rc::new(ScriptedKernel::default()), Rc::default(), Peer::new());
    let reactor = reactor(&kernel);
    let options = Options { flags, ..Options::default() };
    let port = listen_with_offload(&reactor, &options, echo(&record)).expect("a port");
    let host = port.get_host().expect("open");
    for round in 0..100u32 {
        let before = calls(&kernel);
        peer.send(&round.to_be_bytes(), &host);
        turn_until(&reactor, || record.received.get() > round as usize);
        assert_eq!(peer.receive_numbers(1), [round]);
        let cost: Vec<_> = calls(&kernel).into_iter().zip(before).map(|(now, before)| now - before).collect();
        assert_eq!(cost, [1, 1, 1, 0]);
    }
    reactor.close();
}

#[test]
fn a_burst_is_received_and_sent_by_few_calls() {
    const BURST: usize = 64;
    let (kernel, record, peer) = (Rc::new(ScriptedKernel::default()), Rc::default(), Peer::new());
    let reactor = reactor(&kernel);
    let port = listen(&reactor, &Options::default(), echo(&record)).expect("a port");
    let host = port.get_host().expect("open");
    // The number of messages starts at 8 and doubles to 64: after 8 + 16 + 32 a burst fits into one call.
    for burst in 0..3 {
        let before = calls(&kernel);
        (0..BURST as u32).for_each(|number| peer.send(&number.to_be_bytes(), &host));
        turn_until(&reactor, || record.received.get() == (burst + 1) * BURST);
        assert!(peer.receive_numbers(BURST).into_iter().eq(0..BURST as u32));
        let [waits, receives, sends, others] = calls(&kernel);
        let [waits, receives, sends] = [waits - before[0], receives - before[1], sends - before[2]];
        let most = if burst == 0 { 4 } else { 1 };
        assert!(waits <= most && receives <= most && sends <= most, "{waits} {receives} {sends}");
        // Other calls are only two epoll_ctl for each send of many messages.
        let large_sends = if burst == 0 { 2 } else { 1 };
        assert_eq!(others - before[3], 2 * large_sends);
    }
    reactor.close();
}

#[test]
fn a_merged_burst_costs_as_much_as_one_datagram() {
    const BURST: usize = 50;
    let (kernel, record, peer) = (Rc::new(ScriptedKernel::default()), Rc::default(), Peer::new());
    let reactor = reactor(&kernel);
    let port = listen_with_offload(&reactor, &Options::default(), echo(&record)).expect("a port");
    let (host, data) = (port.get_host().expect("open"), [7; 1200 * BURST]);
    peer.enable_gro();
    for round in 1..=20 {
        let before = calls(&kernel);
        peer.send_gso(&data, 1200, &host);
        turn_until(&reactor, || record.received.get() == round * BURST);
        let cost: Vec<_> = calls(&kernel).into_iter().zip(before).map(|(now, before)| now - before).collect();
        assert_eq!(cost, [1, 1, 1, 0]);
        assert_eq!(peer.receive(&mut vec![0; 65_536]), data, "one message back");
    }
    assert_eq!(kernel.sends(), [1; 20]);
    reactor.close();
}
