//! Merged datagrams that a program writes again are not copied: they are sent from the receive buffers. Whatever the sends
//! return, the data sent is never that of later datagrams.

mod support;

use std::cell::{Cell, RefCell};
use std::io;
use std::os::fd::RawFd;
use std::rc::Rc;
use std::sync::Arc;
use support::*;
use udpr::addr::Addr;
use udpr::port::{Flush, Options, Port};
use udpr::reactor::Reactor;
use udpr::sys::{Datagram, Kernel, SendBatch, SystemKernel};

use CallResult::{AtMost, Errno};
use Syscall::Send;

/// A port that calls a closure for each datagram, and a peer that sends bursts.
struct Relay {
    reactor: Reactor<ClosureCall>,
    port: Arc<Port>,
    record: Rc<CallbackRecord>,
    peer: Peer,
}

impl Relay {
    fn new(kernel: Rc<dyn Kernel>, act: impl Fn(&Arc<Port>, &Datagram) + 'static) -> Relay {
        let record = Rc::new(CallbackRecord::default());
        let reactor = Reactor::with_kernel(0, kernel).expect("a reactor");
        let protocol = ClosureProtocol::new(&record).on_datagram(act);
        let port = listen_with_offload(&reactor, &Options::default(), protocol).expect("a port");
        Relay { reactor, port, record, peer: Peer::new() }
    }

    /// Sends datagrams with these numbers as one message, each of `len` bytes and the last one of `last`, and runs turns until
    /// all were received.
    fn burst(&self, numbers: std::ops::Range<u32>, len: usize, last: usize) {
        let total = self.record.received.get() + numbers.len();
        let final_one = numbers.end - 1;
        let data: Vec<u8> =
            numbers.flat_map(|number| sized(number, if number == final_one { last } else { len })).collect();
        self.peer.send_gso(&data, len as u32, &self.port.get_host().expect("open"));
        turn_until(&self.reactor, || self.record.received.get() == total);
    }

    fn assert_echoed(&self, numbers: std::ops::Range<u32>, len: usize, last: usize) {
        let final_one = numbers.end - 1;
        for number in numbers {
            assert_eq!(self.peer.receive_sized(), (number, if number == final_one { last } else { len }));
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.reactor.close();
    }
}

fn echo(port: &Arc<Port>, datagram: &Datagram) {
    write_by_append(port, datagram.data(), &datagram.sender);
}

/// The real kernel; records the address of each datagram that is sent.
#[derive(Debug, Default)]
struct SendAddresses {
    sent: RefCell<Vec<*const u8>>,
    calls: Cell<usize>,
}

impl Kernel for SendAddresses {
    fn send(&self, fd: RawFd, send_batch: &mut SendBatch) -> io::Result<usize> {
        self.calls.set(self.calls.get() + 1);
        self.sent.borrow_mut().extend(send_batch.unsent().map(|datagram| datagram.data.as_ptr()));
        SystemKernel.send(fd, send_batch)
    }
}

/// Returns the addresses of the echoes of a burst, and of its received datagrams.
fn addresses(len: usize, last: usize, act: impl Fn(&Arc<Port>, &Datagram) + 'static) -> [Vec<*const u8>; 2] {
    let (kernel, received) = (Rc::new(SendAddresses::default()), Rc::new(RefCell::new(Vec::new())));
    let recorded = received.clone();
    let relay = Relay::new(kernel.clone(), move |port, datagram| {
        recorded.borrow_mut().push(datagram.data().as_ptr());
        act(port, datagram);
    });
    relay.burst(0..20, len, last);
    relay.assert_echoed(0..20, len, last);
    assert_eq!(kernel.calls.get(), 1, "all in one message");
    [kernel.sent.take(), received.take()]
}

#[test]
fn echoes_are_sent_from_the_receive_buffers() {
    for (len, last) in [(1200, 1200), (1200, 600), (512, 512)] {
        let [sent, received] = addresses(len, last, echo);
        assert_eq!(sent, received, "{len}");
    }
}

#[test]
fn echoes_by_write_are_sent_from_the_receive_buffers() {
    let [sent, received] = addresses(1200, 1200, |port, datagram| {
        port.write(datagram.data(), Some(&datagram.sender), Flush::Batched).expect("accepted");
    });
    assert_eq!(sent, received);
}

#[test]
fn short_datagrams_and_data_of_the_program_are_copied() {
    let [sent, received] = addresses(511, 511, echo);
    assert!(sent.iter().all(|address| !received.contains(address)));
    let [sent, received] = addresses(1200, 1200, |port, datagram| {
        let own: Box<[u8]> = datagram.data().into();
        write_by_append(port, &own, &datagram.sender);
    });
    assert!(sent.iter().all(|address| !received.contains(address)));
}

/// Without a copy, each datagram would need an iovec of its own.
#[test]
fn repeated_echoes_to_one_peer_are_copied_except_the_first() {
    let (kernel, by_append) = (Rc::new(SendAddresses::default()), Rc::new(Cell::new(0)));
    let count = by_append.clone();
    let relay = Relay::new(kernel.clone(), move |port, datagram| {
        for _ in 0..10 {
            let by_append = write_by_append(port, datagram.data(), &datagram.sender);
            count.set(count.get() + usize::from(by_append));
        }
    });
    relay.burst(0..2, 1200, 1200);
    assert_eq!((kernel.calls.get(), by_append.get()), (1, 18), "one in place, and one that arms the cursor");
    for number in 0..2 {
        (0..10).for_each(|_| assert_eq!(relay.peer.receive_sized(), (number, 1200)));
    }
}

#[test]
fn a_datagram_alone_is_copied() {
    let kernel = Rc::new(SendAddresses::default());
    let lay = Rc::new(Cell::new(std::ptr::null()));
    let place = lay.clone();
    let relay = Relay::new(kernel.clone(), move |port, datagram| {
        place.set(datagram.data().as_ptr());
        echo(port, datagram);
    });
    // Into the buffers that held merged datagrams before.
    relay.burst(0..20, 1200, 1200);
    relay.assert_echoed(0..20, 1200, 1200);
    kernel.sent.take();
    relay.burst(20..21, 1200, 1200);
    relay.assert_echoed(20..21, 1200, 1200);
    assert!(!kernel.sent.take().contains(&lay.get()));
}

#[test]
fn queued_echoes_are_not_overwritten_by_later_datagrams() {
    let kernel = Rc::new(ScriptedKernel::default());
    let relay = Relay::new(kernel.clone(), echo);
    for round in 0..20 {
        kernel.script(Send, [Errno(libc::EAGAIN); 2]);
        relay.burst(round * 60..round * 60 + 30, 1200, 700);
        relay.burst(round * 60 + 30..round * 60 + 60, 1200, 1200);
        turn_until(&relay.reactor, || relay.port.get_stats().expect("open").queued_datagrams == 0);
        relay.assert_echoed(round * 60..round * 60 + 30, 1200, 700);
        relay.assert_echoed(round * 60 + 30..round * 60 + 60, 1200, 1200);
    }
    assert_eq!(relay.port.get_stats().expect("open").dropped_out, 0);
}

#[test]
fn echoes_that_a_kernel_does_not_merge_are_sent_singly() {
    let kernel = Rc::new(ScriptedKernel::default());
    let relay = Relay::new(kernel.clone(), echo);
    kernel.set_send_rule(|merged| (merged.size > 1000).then_some(libc::EMSGSIZE));
    for round in 0..5 {
        relay.burst(round * 40..round * 40 + 40, 1200, 100);
        relay.assert_echoed(round * 40..round * 40 + 40, 1200, 100);
    }
}

#[test]
fn a_report_of_a_failed_echo_has_its_data() {
    let kernel = Rc::new(ScriptedKernel::default());
    let relay = Relay::new(kernel.clone(), echo);
    kernel.script(Send, [Errno(libc::EPERM)]);
    relay.burst(0..10, 1200, 1200);
    turn_until(&relay.reactor, || relay.record.reports.borrow().len() == 10);
    for (expected, report) in (0..).zip(relay.record.reports.borrow().iter()) {
        assert_eq!(report.to, relay.peer.addr());
        assert!(*report.data == sized(expected, report.data.len()), "{expected}");
    }
}

/// Some datagrams are echoed, some are not, some twice, to two peers and through two ports, together with data of the program.
/// Sometimes a socket is full.
#[test]
fn random_echoes() {
    let (kernel, random) = (Rc::new(ScriptedKernel::default()), Rc::new(Random::new(5)));
    let (peers, other) = ([Peer::new(), Peer::new()], Rc::new(RefCell::new(None::<Arc<Port>>)));
    let ways: [Addr; 2] = [peers[0].addr(), peers[1].addr()];
    let expected: Rc<[RefCell<Vec<Vec<u8>>>; 4]> = Rc::default();
    let (written, through, dice) = (expected.clone(), other.clone(), random.clone());
    let relay = Relay::new(kernel.clone(), move |port, datagram| {
        let (peer, second) = (dice.below(2) as usize, dice.below(4) == 0);
        let own = vec![dice.below(256) as u8; datagram.data().len()];
        let data = if dice.below(5) == 0 { &own[..] } else { datagram.data() };
        let guard = through.borrow();
        let port = if second { guard.as_ref().expect("another port") } else { port };
        for _ in 0..[0, 1, 1, 1, 1, 2][dice.below(6) as usize] {
            write_by_append(port, data, &ways[peer]);
            written[2 * peer + usize::from(second)].borrow_mut().push(data.to_vec());
        }
    });
    let plain = ClosureProtocol::new(&relay.record);
    let second = listen_with_offload(&relay.reactor, &Options::default(), plain).expect("another port");
    other.replace(Some(second.clone()));
    let hosts = [&relay.port, &second].map(|port| port.get_host().expect("open"));
    let mut number = 0;
    for _ in 0..300 {
        if random.below(4) == 0 {
            kernel.script(Send, [AtMost(1 + random.below(3) as usize), Errno(libc::EAGAIN)]);
        }
        let (count, len) = (1 + random.below(40) as u32, 500 + random.below(900) as usize);
        relay.burst(number..number + count, len, 4 + random.below(len as u64 - 3) as usize);
        number += count;
        let waits = |port: &Arc<Port>| port.get_stats().expect("open").queued_datagrams > 0;
        turn_until(&relay.reactor, || !waits(&relay.port) && !waits(&second));
        for (index, peer) in peers.iter().enumerate() {
            let [one, two] = [0, 1].map(|port| expected[2 * index + port].take());
            let mut left = [one.into_iter(), two.into_iter()];
            for _ in 0..left[0].len() + left[1].len() {
                let (data, from) = peer.receive_from();
                let port = hosts.iter().position(|host| *host == from).expect("of one of the two");
                assert!(left[port].next().is_some_and(|next| next == data), "whole and in order");
            }
        }
    }
    assert!(peers.iter().all(Peer::has_nothing_to_read) && number > 1000);
    other.take();
}
