//! Messages that leave at an instant: what the kernel is given, and what becomes of those that it refuses.

mod support;

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use support::*;
use udpr::addr::Addr;
use udpr::port::{Flush, Message, Options, Port, flag};
use udpr::reactor::{Reactor, flag as reactor_flag};
use udpr::status::{Result, Status};
use udpr::sys::cmsg::{Item, items};
use udpr::sys::{Handle, Kernel, OptionValue, SendBatch, SocketOption, SystemKernel, clock};

const SECOND: u64 = 1_000_000_000;

/// Datagrams of one message, and its instant.
type Sent = (usize, Option<u64>);

/// Records what is sent. `refused` is the errno of messages with an instant.
#[derive(Default)]
struct Recorder {
    sent: RefCell<Vec<Sent>>,
    refused: RefCell<Option<i32>>,
    full: RefCell<bool>,
    options: RefCell<Vec<SocketOption>>,
    unknown: bool,
}

/// SCM_TXTIME, as the kernel reads it: 8 bytes at the level of sockets.
fn instant(control: &[u8]) -> Option<u64> {
    let is_instant = |item: &Item<'_>| (item.level, item.kind) == (libc::SOL_SOCKET, libc::SCM_TXTIME);
    let item = items(control).find(is_instant)?;
    Some(u64::from_ne_bytes(item.value.try_into().expect("8 bytes")))
}

impl Kernel for Recorder {
    fn send(&self, handle: Handle, send_batch: &mut SendBatch) -> io::Result<usize> {
        if *self.full.borrow() {
            return Err(io::Error::from_raw_os_error(libc::EAGAIN));
        }
        let merged = send_batch.merged().map_or(1, |merged| merged.segments);
        let first = send_batch.unsent().next().expect("something");
        let instant = first.control.and_then(|control| instant(control.bytes()));
        if let (Some(errno), Some(_)) = (*self.refused.borrow(), instant) {
            return Err(io::Error::from_raw_os_error(errno));
        }
        let sent = send_batch.send(handle, 1)?;
        self.sent.borrow_mut().push((merged, instant));
        Ok(sent)
    }

    fn set_option(&self, handle: Handle, option: SocketOption, value: OptionValue) -> io::Result<()> {
        self.options.borrow_mut().push(option);
        if self.unknown && option == SocketOption::SendAt {
            return Err(io::Error::from_raw_os_error(libc::ENOPROTOOPT));
        }
        SystemKernel.set_option(handle, option, value)
    }
}

type OnDatagram = fn(&Port, &Addr);

struct Sender {
    kernel: Rc<Recorder>,
    reactor: Reactor<ClosureCall>,
    port: Arc<Port>,
    record: Rc<CallbackRecord>,
    peer: Peer,
}

impl Sender {
    /// Its port calls `on_datagram` with the sender of each datagram.
    fn new(kernel: Recorder, reactor_flags: u32, on_datagram: OnDatagram) -> Sender {
        let (kernel, record) = (Rc::new(kernel), Rc::default());
        let reactor = Reactor::with_kernel(reactor_flags, kernel.clone()).expect("a reactor");
        let protocol = ClosureProtocol::new(&record)
            .on_datagram(move |port, datagram| on_datagram(port, &datagram.sender));
        let port = listen_with_offload(&reactor, &Options::default(), protocol).expect("a port");
        Sender { kernel, reactor, port, record, peer: Peer::new() }
    }

    fn with(kernel: Recorder) -> Sender {
        Sender::new(kernel, 0, |_, _| {})
    }

    fn write(&self, number: u32, send_at: Option<u64>) -> Result {
        write_at(&self.port, number, &self.peer.addr(), send_at)
    }

    fn reports(&self, count: usize) -> Vec<(Status, u64)> {
        turn_until(&self.reactor, || self.record.reports.borrow().len() >= count);
        self.record.reports.borrow().iter().map(|report| (report.status, report.tag)).collect()
    }

    /// Runs `on_datagram` in one turn.
    fn call(&self) {
        let before = self.record.received.get();
        self.peer.send(b"now", &self.port.get_host().expect("open"));
        turn_until(&self.reactor, || self.record.received.get() > before);
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.reactor.close();
    }
}

/// Writes a number, which is also the tag.
fn write_at(port: &Port, number: u32, to: &Addr, send_at: Option<u64>) -> Result {
    let data = number.to_be_bytes();
    let (payload, tag) = (data[..].into(), number.into());
    port.write_message(Message { payload, to: Some(to), send_at, tag, ..Message::default() })
}

#[test]
fn the_kernel_gets_the_instant() {
    let sender = Sender::with(Recorder::default());
    let past = clock::now() - SECOND;
    for send_at in [None, Some(past), Some(0), Some(i64::MAX as u64)] {
        assert_eq!(sender.write(1, send_at), Ok(()));
        assert_eq!(sender.kernel.sent.take(), [(1, send_at)]);
    }
    // Nothing here obeys it, so all have left.
    assert_eq!(sender.peer.receive_numbers(4), [1; 4]);
    let times =
        sender.kernel.options.borrow().iter().filter(|option| **option == SocketOption::SendAt).count();
    assert_eq!(times, 1, "SO_TXTIME is set by the first one");
}

#[test]
fn an_instant_that_is_a_negative_difference_is_refused() {
    let sender = Sender::with(Recorder::default());
    for send_at in [i64::MAX as u64 + 1, u64::MAX] {
        assert_eq!(sender.write(1, Some(send_at)), Err(Status::INVALID_ARGUMENT));
    }
    assert_eq!(sender.kernel.sent.take(), []);
}

#[test]
fn only_messages_of_one_instant_are_merged() {
    let sender = Sender::new(Recorder::default(), 0, |port, to| {
        for (number, send_at) in [1, 1, 2, 2, 2].into_iter().enumerate() {
            write_at(port, number as u32, to, Some(send_at * SECOND)).expect("accepted");
        }
        port.write(&5u32.to_be_bytes(), Some(to), Flush::Batched).expect("accepted");
    });
    sender.call();
    assert_eq!(sender.kernel.sent.take(), [(2, Some(SECOND)), (3, Some(2 * SECOND)), (1, None)]);
    assert_eq!(sender.peer.receive_numbers(6), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn all_segments_have_the_instant_merged_or_not() {
    for offload in [0, flag::NO_OFFLOAD] {
        let sender = Sender::with(Recorder::default());
        sender.port.close(Status::OK).expect("open");
        let options = Options { flags: offload, ..Options::default() };
        let protocol = ClosureProtocol::new(&sender.record);
        let port = listen_with_offload(&sender.reactor, &options, protocol).expect("a port");
        let (data, to) = ((0..4u32).flat_map(u32::to_be_bytes).collect::<Vec<_>>(), sender.peer.addr());
        let (payload, send_at) = (data[..].into(), Some(7));
        let message = Message { payload, to: Some(&to), segment_size: 4, send_at, ..Message::default() };
        assert_eq!(port.write_message(message), Ok(()));
        let expected = if offload == 0 { vec![(4, send_at)] } else { vec![(1, send_at); 4] };
        assert_eq!(sender.kernel.sent.take(), expected);
        assert_eq!(sender.peer.receive_numbers(4), [0, 1, 2, 3]);
    }
}

#[test]
fn queued_and_posted_ones_keep_it() {
    let sender = Sender::with(Recorder::default());
    let (to, in_an_hour) = (sender.peer.addr(), clock::now() + 3600 * SECOND);
    sender.kernel.full.replace(true);
    assert_eq!(sender.write(1, Some(in_an_hour)), Ok(()));
    assert_eq!(sender.write(2, None), Ok(()));
    let data = 3u32.to_be_bytes();
    let message = Message { payload: data[..].into(), to: Some(&to), send_at: Some(4), ..Message::default() };
    assert_eq!(sender.port.shared.post_message(message), Ok(()));
    sender.kernel.full.replace(false);
    turn_until(&sender.reactor, || sender.kernel.sent.borrow().len() == 3);
    assert_eq!(sender.kernel.sent.take(), [(1, Some(in_an_hour)), (1, None), (1, Some(4))]);
    assert_eq!(sender.peer.receive_numbers(3), [1, 2, 3]);
}

#[test]
fn a_kernel_without_it() {
    let sender = Sender::with(Recorder { unknown: true, ..Recorder::default() });
    let to = sender.peer.addr();
    assert_eq!(sender.write(1, Some(0)), Err(Status::NOT_SUPPORTED));
    let data = 2u32.to_be_bytes();
    let payload = data[..].into();
    let message = Message { payload, to: Some(&to), send_at: Some(4), tag: 2, ..Message::default() };
    assert_eq!(sender.port.shared.post_message(message), Ok(()));
    assert_eq!(sender.reports(1), [(Status::NOT_SUPPORTED, 2)]);
    assert_eq!(sender.kernel.sent.take(), []);
}

/// Its instants are not the system's.
#[test]
fn a_manual_clock() {
    let sender = Sender::new(Recorder::default(), reactor_flag::MANUAL_CLOCK, |_, _| {});
    let to = sender.peer.addr();
    assert_eq!(sender.write(1, Some(0)), Err(Status::NOT_SUPPORTED));
    let message = Message { to: Some(&to), send_at: Some(0), ..Message::default() };
    assert_eq!(sender.port.shared.post_message(message), Err(Status::NOT_SUPPORTED));
    assert_eq!(sender.write(2, None), Ok(()));
}

/// As fq does with what is beyond its horizon, if error reports are on: it does not hold others up.
#[test]
fn one_that_the_queueing_discipline_refuses_is_reported_if_it_is_far_ahead() {
    let sender = Sender::new(Recorder::default(), 0, |port, to| {
        write_at(port, 1, to, Some(clock::now() + 60 * SECOND)).expect("accepted");
        write_at(port, 2, to, None).expect("accepted");
    });
    sender.kernel.refused.replace(Some(libc::ENOBUFS));
    sender.call();
    assert_eq!(sender.peer.receive_numbers(1), [2]);
    assert_eq!(sender.reports(1), [(Status::from_errno(libc::ENOBUFS), 1)]);
}

/// As a full device queue, which is tried again.
#[test]
fn one_that_is_refused_and_due_soon_is_tried_again() {
    let sender = Sender::with(Recorder::default());
    sender.kernel.refused.replace(Some(libc::ENOBUFS));
    assert_eq!(sender.write(1, Some(clock::now() + SECOND / 2)), Ok(()));
    assert_eq!(sender.port.get_stats().map(|stats| stats.queued_datagrams), Ok(1));
    sender.kernel.refused.replace(None);
    turn_until(&sender.reactor, || !sender.kernel.sent.borrow().is_empty());
    assert_eq!(sender.peer.receive_numbers(1), [1]);
    assert_eq!(sender.record.reports.borrow().len(), 0);
}
