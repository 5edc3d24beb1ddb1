//! Receiving with UDP_GRO from a sender with UDP_SEGMENT, whose datagrams arrive merged over loopback: they are split before
//! the callback, and a pause, a stop or a partly accepted batch in the middle of a message loses none.

mod support;

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use support::*;
use udpr::addr::Addr;
use udpr::port::{Options, Port, flag};
use udpr::status::Status;
use udpr::sys::{Kernel, SystemKernel};

use Syscall::Receive;

/// A port with GRO that records its batches.
struct BatchFixture {
    base: Fixture,
    recorded: Rc<RecordedBatches>,
    port: Arc<Port>,
}

impl BatchFixture {
    fn new(options: &Options<'_>) -> BatchFixture {
        BatchFixture::with_action(options, |_, _| {})
    }

    /// `act` is called in each callback, with the number of datagrams accepted so far.
    fn with_action(options: &Options<'_>, act: impl Fn(&Arc<Port>, usize) + 'static) -> BatchFixture {
        let (base, recorded) = (Fixture::new(), Rc::new(RecordedBatches::default()));
        let protocol = BatchRecorder::new(&recorded, act);
        let port = listen_with_offload(&base.reactor, options, protocol).expect("a port");
        BatchFixture { base, recorded, port }
    }

    fn host(&self) -> Addr {
        self.port.get_host().expect("an open port")
    }

    /// Sends datagrams of `segment` bytes from the peer as one message. The last one may be shorter.
    fn send(&self, data: &[u8], segment: usize) {
        self.base.peer.send_gso(data, segment as u32, &self.host());
    }

    fn receive(&self, count: usize) {
        turn_until(&self.base.reactor, || self.recorded.count() >= count);
    }

    fn batches(&self) -> Vec<usize> {
        self.recorded.batch_sizes.borrow().clone()
    }

    fn receives(&self) -> usize {
        self.base.kernel.count(Receive)
    }
}

fn pattern(len: usize) -> Vec<u8> {
    (0..len).map(|index| (index % 251) as u8).collect()
}

fn option(port: &Port, level: i32, name: i32) -> u32 {
    let mut value = [0; 4];
    SystemKernel.raw_option(port.fileno(), level, name, &mut value).expect("a known option");
    u32::from_ne_bytes(value)
}

#[test]
fn a_merged_message_is_split() {
    let fixture = BatchFixture::new(&Options::default());
    for (len, segment, lengths) in [
        (1050, 100, [vec![100; 10], vec![50]].concat()),
        (1000, 100, vec![100; 10]),
        (100, 100, vec![100]),
        (128, 1, vec![1; 128]),
        (65_400, 1200, [vec![1200; 54], vec![600]].concat()),
        (65_507, 65_507, vec![65_507]),
        (65_507, 40_000, vec![40_000, 25_507]),
    ] {
        let before = fixture.receives();
        fixture.recorded.datagrams.take();
        fixture.send(&pattern(len), segment);
        fixture.receive(lengths.len());
        assert_eq!(fixture.recorded.lengths(), lengths);
        assert_eq!(fixture.recorded.bytes(), pattern(len));
        assert_eq!(fixture.receives() - before, 1, "{len} bytes arrived in one message");
    }
    let stats = fixture.port.get_stats().expect("open");
    assert_eq!(
        (stats.datagrams_in, stats.bytes_in),
        (11 + 10 + 1 + 128 + 55 + 1 + 2, 2278 + 65_400 + 2 * 65_507)
    );
    assert_eq!((stats.truncated_in, stats.syscalls_in), (0, 7));
}

#[test]
fn empty_datagrams_between_merged_ones() {
    let fixture = BatchFixture::new(&Options::default());
    for (len, segment) in [(0, 9), (300, 100), (0, 9), (0, 9), (130, 50), (7, 9)] {
        fixture.send(&pattern(len), segment);
    }
    fixture.receive(10);
    assert_eq!(fixture.recorded.lengths(), [0, 100, 100, 100, 0, 0, 50, 50, 30, 7]);
    assert_eq!(fixture.port.get_stats().expect("open").datagrams_in, 10);
}

#[test]
fn each_datagram_is_cut_at_max_packet_size() {
    let returned = Rc::new(RefCell::new(Vec::new()));
    let (fixture, in_callback) = (Fixture::new(), returned.clone());
    let protocol = ClosureProtocol::new(&fixture.record).on_datagram(move |_, datagram| {
        let returned = (datagram.data().to_vec(), datagram.full_len, datagram.flags);
        in_callback.borrow_mut().push(returned);
    });
    let options = Options { max_packet_size: 60, ..Options::default() };
    let port = listen_with_offload(&fixture.reactor, &options, protocol).expect("a port");
    let data = pattern(350);
    fixture.peer.send_gso(&data, 100, &port.get_host().expect("open"));
    fixture.peer.send_gso(&data[..180], 60, &port.get_host().expect("open"));
    turn_until(&fixture.reactor, || returned.borrow().len() == 7);
    let cut = data
        .chunks(100)
        .map(|whole| (whole[..whole.len().min(60)].to_vec(), whole.len(), u32::from(whole.len() > 60)));
    let whole = data[..180].chunks(60).map(|whole| (whole.to_vec(), 60, 0));
    assert!(returned.borrow().iter().cloned().eq(cut.chain(whole)));
    let stats = port.get_stats().expect("open");
    assert_eq!((stats.datagrams_in, stats.bytes_in, stats.truncated_in), (7, 3 * 60 + 50 + 180, 3));
}

#[test]
fn a_batch_is_256_datagrams_at_most() {
    let fixture = BatchFixture::new(&Options::default());
    let data = pattern(1000);
    (0..5).for_each(|_| fixture.send(&data, 10));
    fixture.receive(500);
    assert_eq!((fixture.batches(), fixture.receives()), (vec![256, 244], 1));
    assert_eq!(fixture.recorded.bytes(), data.repeat(5));
}

#[test]
fn datagrams_that_a_callback_did_not_accept_are_delivered_in_later_turns() {
    let fixture = BatchFixture::new(&Options::default());
    fixture.recorded.limit.set(90);
    let data = pattern(1000);
    (0..5).for_each(|_| fixture.send(&data, 10));
    turn_until(&fixture.base.reactor, || fixture.recorded.count() >= 90);
    assert_eq!(fixture.port.get_stats().expect("open").kept_datagrams, 410);
    fixture.receive(500);
    // One receive returns 256 and 244: the rest of the first batch is delivered before the second one.
    assert_eq!(fixture.batches(), [256, 166, 76, 244, 154, 64]);
    assert_eq!(fixture.recorded.bytes(), data.repeat(5));
    let stats = fixture.port.get_stats().expect("open");
    assert_eq!((stats.datagrams_in, stats.kept_datagrams, stats.syscalls_in), (500, 0, 1));
}

/// A port that records single datagrams and calls `act` at the `at`th.
fn recording_port(
    options: &Options<'_>,
    at: usize,
    act: fn(&Arc<Port>),
) -> (Fixture, Rc<RecordedBatches>, Arc<Port>) {
    let (fixture, recorded) = (Fixture::new(), Rc::new(RecordedBatches::default()));
    let (in_callback, at_stop) = (recorded.clone(), recorded.clone());
    let protocol = ClosureProtocol::new(&fixture.record)
        .on_datagram(move |port, datagram| {
            in_callback.datagrams.borrow_mut().push(datagram.data().to_vec());
            if in_callback.count() == at {
                act(port);
            }
        })
        .on_stop(move |port| at_stop.final_stats.set(port.get_stats().expect("statistics")));
    let port = listen_with_offload(&fixture.reactor, options, protocol).expect("a port");
    (fixture, recorded, port)
}

#[test]
fn a_pause_in_the_middle_of_a_message_keeps_the_rest_and_later_datagrams() {
    // In the first batch of 256, at its end, and in the second.
    for at in [1, 30, 100, 256, 257, 499, 500] {
        let pause = |port: &Arc<Port>| port.pause_reading().expect("it listens");
        let (fixture, recorded, port) = recording_port(&Options::default(), at, pause);
        let (data, host) = (pattern(1000), port.get_host().expect("open"));
        (0..5).for_each(|_| fixture.peer.send_gso(&data, 10, &host));
        turn_until(&fixture.reactor, || recorded.count() == at);
        fixture.peer.send(b"after", &host);
        (0..3).for_each(|_| fixture.reactor.iterate(Some(0)).expect("a turn"));
        let stats = port.get_stats().expect("open");
        assert_eq!((recorded.count(), stats.kept_datagrams, stats.datagrams_in), (at, 500 - at as u64, 500));
        port.resume_reading().expect("it listens");
        turn_until(&fixture.reactor, || recorded.count() == 501);
        assert_eq!(recorded.bytes(), [data.repeat(5), b"after".to_vec()].concat());
        assert_eq!(port.get_stats().expect("open").kept_datagrams, 0);
    }
}

#[test]
fn a_stop_in_the_middle_of_a_message_discards_and_counts_the_rest() {
    let stops: [fn(&Arc<Port>); 3] = [
        |port| port.stop_listening().expect("it listens"),
        |port| port.close(Status::OK).expect("it is open"),
        |port| {
            port.pause_reading().expect("it listens");
            port.close(Status::OK).expect("it is open");
        },
    ];
    for stop in stops {
        for at in [1, 30, 256, 257, 500] {
            let (fixture, recorded, port) = recording_port(&Options::default(), at, stop);
            let (data, host) = (pattern(1000), port.get_host().expect("open"));
            (0..5).for_each(|_| fixture.peer.send_gso(&data, 10, &host));
            turn_until(&fixture.reactor, || !port.is_open());
            let last = recorded.final_stats.get();
            assert_eq!((recorded.count(), last.datagrams_in, last.kept_datagrams), (at, 500, 0));
            assert_eq!(last.discarded_in, 500 - at as u64);
        }
    }
}

#[test]
fn a_close_counts_kept_datagrams_as_discarded() {
    let pause = |port: &Arc<Port>| port.pause_reading().expect("it listens");
    let (fixture, recorded, port) = recording_port(&Options::default(), 30, pause);
    let host = port.get_host().expect("open");
    (0..5).for_each(|_| fixture.peer.send_gso(&pattern(1000), 10, &host));
    turn_until(&fixture.reactor, || recorded.count() == 30);
    port.close(Status::OK).expect("it is open");
    assert_eq!(
        (
            recorded.count(),
            recorded.final_stats.get().discarded_in,
            recorded.final_stats.get().kept_datagrams
        ),
        (30, 470, 0)
    );
}

#[test]
fn a_stop_in_a_batch_callback_discards_what_it_does_not_accept() {
    let fixture =
        BatchFixture::with_action(&Options::default(), |port, _| port.stop_listening().expect("it listens"));
    fixture.recorded.limit.set(3);
    (0..5).for_each(|_| fixture.send(&pattern(1000), 10));
    turn_until(&fixture.base.reactor, || !fixture.port.is_open());
    assert_eq!(fixture.batches(), [256]);
    assert_eq!(fixture.recorded.final_stats.get().discarded_in, 497);
}

#[test]
fn a_kernel_without_gro() {
    let kernel = Rc::new(ScriptedKernel::default());
    kernel.remove_option(libc::SOL_UDP, libc::UDP_GRO);
    let (reactor, recorded, peer) = (reactor(&kernel), Rc::new(RecordedBatches::default()), Peer::new());
    let port = listen_with_offload(&reactor, &Options::default(), BatchRecorder::new(&recorded, |_, _| {}))
        .expect("a port");
    assert_eq!(option(&port, libc::SOL_UDP, libc::UDP_GRO), 0);
    peer.send_gso(&pattern(1050), 100, &port.get_host().expect("open"));
    turn_until(&reactor, || recorded.count() == 11);
    assert_eq!((recorded.lengths(), recorded.bytes()), ([vec![100; 10], vec![50]].concat(), pattern(1050)));
    assert_eq!(*recorded.batch_sizes.borrow(), [8, 3], "each is a message of its own");
    reactor.close();
}

#[test]
fn ports_of_one_reactor_that_merge_and_that_do_not() {
    let fixture = BatchFixture::new(&Options::default());
    let (recorded, options) =
        (Rc::new(RecordedBatches::default()), Options { max_packet_size: 60, ..Options::default() });
    let plain =
        listen(&fixture.base.reactor, &options, BatchRecorder::new(&recorded, |_, _| {})).expect("a port");
    let host = plain.get_host().expect("open");
    assert_eq!(option(&fixture.port, libc::SOL_UDP, libc::UDP_GRO), 1);
    assert_eq!(option(&plain, libc::SOL_UDP, libc::UDP_GRO), 0);
    for round in 1..=20 {
        fixture.send(&pattern(1050), 100);
        fixture.base.peer.send_gso(&pattern(350), 100, &host);
        turn_until(&fixture.base.reactor, || {
            fixture.recorded.count() == 11 * round && recorded.count() == 4 * round
        });
    }
    assert_eq!(fixture.recorded.bytes(), pattern(1050).repeat(20));
    assert_eq!(recorded.lengths(), [60, 60, 60, 50].repeat(20));
}

#[test]
fn timestamps_turn_merging_off() {
    let times = Rc::new(RefCell::new(Vec::new()));
    let (fixture, in_callback) = (Fixture::new(), times.clone());
    let protocol = ClosureProtocol::new(&fixture.record)
        .on_datagram(move |_, datagram| in_callback.borrow_mut().push(datagram.timestamp));
    let options = Options { flags: flag::TIMESTAMPS, ..Options::default() };
    let port = listen_with_offload(&fixture.reactor, &options, protocol).expect("a port");
    assert_eq!(option(&port, libc::SOL_UDP, libc::UDP_GRO), 0);
    fixture.peer.send_gso(&pattern(1000), 100, &port.get_host().expect("open"));
    turn_until(&fixture.reactor, || times.borrow().len() == 10);
    assert!(times.borrow().iter().all(|time| *time > 0));
    assert_eq!(fixture.kernel.count(Receive), 2, "8 messages, then 2");
}

#[test]
fn each_datagram_of_a_message_has_its_metadata() {
    let returned = Rc::new(RefCell::new(Vec::new()));
    let (fixture, in_callback) = (Fixture::new(), returned.clone());
    let protocol = ClosureProtocol::new(&fixture.record).on_datagram(move |_, datagram| {
        let recv_meta = (datagram.destination, datagram.tos, datagram.ttl, datagram.interface_index > 0);
        in_callback.borrow_mut().push((datagram.data().len(), datagram.sender, recv_meta));
    });
    let options = Options { flags: flag::PACKET_INFO | flag::TOS | flag::TTL, ..Options::default() };
    let port = listen_with_offload(&fixture.reactor, &options, protocol).expect("a port");
    let host = port.get_host().expect("open");
    fixture.peer.set_option(libc::IPPROTO_IP, libc::IP_TOS, 0xb8);
    fixture.peer.set_option(libc::IPPROTO_IP, libc::IP_TTL, 7);
    fixture.peer.send_gso(&pattern(350), 100, &host);
    turn_until(&fixture.reactor, || returned.borrow().len() == 4);
    let recv_meta = (host, 0xb8, 7, true);
    assert!(returned.take().into_iter().eq([100, 100, 100, 50].map(|len| (
        len,
        fixture.peer.addr(),
        recv_meta
    ))));
    assert_eq!(fixture.kernel.count(Receive), 1);
    // The next ones are from another sender.
    let other = Peer::new();
    other.send_gso(&pattern(200), 100, &host);
    turn_until(&fixture.reactor, || returned.borrow().len() == 2);
    assert!(returned.take().into_iter().eq([100, 100].map(|len| (len, other.addr(), (host, 0, 64, true)))));
}

#[test]
fn a_connected_port_discards_merged_datagrams_of_others() {
    let (fixture, stranger) = (BatchFixture::new(&Options::default()), Peer::new());
    stranger.send_gso(&pattern(1000), 100, &fixture.host());
    fixture.send(&pattern(550), 100);
    stranger.send_gso(&pattern(1000), 100, &fixture.host());
    fixture.port.connect(&fixture.base.peer.addr()).expect("connected");
    fixture.send(&pattern(300), 100);
    fixture.receive(6 + 3);
    assert_eq!(fixture.recorded.bytes(), [pattern(550), pattern(300)].concat());
    let stats = fixture.port.get_stats().expect("open");
    assert_eq!((stats.datagrams_in, stats.discarded_in), (29, 20));
}

#[test]
fn a_connect_in_the_middle_of_a_message_discards_the_rest_of_it() {
    let (fixture, recorded, stranger) = (Fixture::new(), Rc::new(RecordedBatches::default()), Peer::new());
    let (in_callback, friend) = (recorded.clone(), fixture.peer.addr());
    let protocol = ClosureProtocol::new(&fixture.record).on_datagram(move |port, datagram| {
        in_callback.datagrams.borrow_mut().push(datagram.data().to_vec());
        if in_callback.count() == 4 {
            port.connect(&friend).expect("connected");
        }
    });
    let port = listen_with_offload(&fixture.reactor, &Options::default(), protocol).expect("a port");
    let host = port.get_host().expect("open");
    stranger.send_gso(&pattern(1280), 10, &host);
    fixture.peer.send_gso(&pattern(550), 100, &host);
    turn_until(&fixture.reactor, || recorded.count() == 4 + 6);
    assert_eq!(recorded.lengths(), [vec![10; 4], vec![100; 5], vec![50]].concat());
    assert_eq!(port.get_stats().expect("open").discarded_in, 124);
}
