//! The common part of the tests of the core: a reactor with one port on a kernel whose calls can be made to fail, and a real
//! peer of that port. Nothing waits longer than [`TIMEOUT`].
#![allow(dead_code, unused_imports, reason = "each test uses only a part")]

mod batch_recorder;
mod closure_protocol;
mod errnos;
mod fault_sweep;
mod process_state;
mod random;
mod scripted_kernel;

pub(crate) use batch_recorder::{BatchRecorder, RecordedBatches};
pub(crate) use closure_protocol::{CallbackRecord, ClosureCall, ClosureProtocol};
pub(crate) use errnos::errnos;
pub(crate) use fault_sweep::{FailedCall, Scenario, SweepFixture};
pub(crate) use process_state::{exclusive, open_descriptors, watched_descriptors};
pub(crate) use random::{Random, Xorshift};
pub(crate) use scripted_kernel::{CallResult, Fault, KernelCall, ScriptedKernel, Syscall};

use std::cell::RefCell;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use udpr::addr::Addr;
use udpr::port::{Flush, Message, Options, Port, Protocol, Stats, flag};
use udpr::reactor::Reactor;
use udpr::status::{Result, Status};
use udpr::sys::{Kernel, SystemKernel};

/// How long anything may take before a test fails.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);

/// A plain socket.
pub(crate) struct Peer(UdpSocket);

impl Peer {
    pub(crate) fn new() -> Peer {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
        socket.set_read_timeout(Some(TIMEOUT)).expect("SO_RCVTIMEO");
        let peer = Peer(socket);
        // As large as the system allows, so that bursts fit.
        peer.set_option(libc::SOL_SOCKET, libc::SO_RCVBUF, 1 << 20);
        peer
    }

    /// An address where nobody listens.
    pub(crate) fn closed_addr() -> Addr {
        Peer::new().addr()
    }

    pub(crate) fn set_option(&self, level: i32, name: i32, value: u32) {
        SystemKernel
            .set_raw_option(self.0.as_raw_fd(), level, name, &value.to_ne_bytes())
            .expect("a known option");
    }

    /// Sends one GSO message with datagrams of `segment` bytes. On loopback it arrives unsegmented.
    pub(crate) fn send_gso(&self, data: &[u8], segment: u32, to: &Addr) {
        self.set_option(libc::SOL_UDP, libc::UDP_SEGMENT, segment);
        self.send(data, to);
        self.set_option(libc::SOL_UDP, libc::UDP_SEGMENT, 0);
    }

    /// Enables GRO: merged datagrams are received as one message.
    pub(crate) fn enable_gro(&self) {
        self.set_option(libc::SOL_UDP, libc::UDP_GRO, 1);
    }

    /// Waits for the next datagram of [`write_sized`]: its number and its length.
    pub(crate) fn receive_sized(&self) -> (u32, usize) {
        let mut buffer = vec![0; 65_536];
        let data = self.receive(&mut buffer);
        let number = number(data);
        assert!(data == sized(number, data.len()), "datagram {number} is not whole");
        (number, data.len())
    }

    pub(crate) fn addr(&self) -> Addr {
        let port = self.0.local_addr().expect("bound").port();
        Addr::v4([127, 0, 0, 1], port)
    }

    pub(crate) fn send(&self, data: &[u8], to: &Addr) {
        let to: SocketAddr = to.to_string().parse().expect("an address");
        assert_eq!(self.0.send_to(data, to).expect("sent"), data.len());
    }

    /// Waits for the next datagram.
    pub(crate) fn receive<'a>(&self, buffer: &'a mut [u8]) -> &'a [u8] {
        let len = self.0.recv(buffer).expect("a datagram in time");
        &buffer[..len]
    }

    /// Waits for the next datagram, and returns it with its sender.
    pub(crate) fn receive_from(&self) -> (Vec<u8>, Addr) {
        let mut buffer = vec![0; 65_536];
        let (len, from) = self.0.recv_from(&mut buffer).expect("a datagram in time");
        buffer.truncate(len);
        (buffer, Addr::v4([127, 0, 0, 1], from.port()))
    }

    /// Waits for `count` datagrams of [`Fixture::write`].
    pub(crate) fn receive_numbers(&self, count: usize) -> Vec<u32> {
        (0..count).map(|_| number(self.receive(&mut [0; 64]))).collect()
    }

    /// Whether no datagram waits to be received.
    pub(crate) fn has_nothing_to_read(&self) -> bool {
        self.0.set_nonblocking(true).expect("O_NONBLOCK");
        let result = self.0.peek_from(&mut [0; 1]);
        self.0.set_nonblocking(false).expect("O_NONBLOCK");
        result.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }
}

pub(crate) fn number(data: &[u8]) -> u32 {
    u32::from_be_bytes(*data.first_chunk().expect("a number"))
}

/// Writes a datagram that [`Peer::numbers`] reads: four bytes.
pub(crate) fn write_number(port: &Port, number: u32, to: &Addr, flush: Flush) -> Result {
    port.write(&number.to_be_bytes(), Some(to), flush)
}

/// A datagram of at least four bytes, which begins with its number; all its bytes depend on the number.
pub(crate) fn sized(number: u32, len: usize) -> Vec<u8> {
    let rest = (4..len).map(|index| (number as usize + index) as u8);
    number.to_be_bytes().into_iter().chain(rest).collect()
}

/// Writes a datagram that [`Peer::sized`] reads.
pub(crate) fn write_sized(port: &Port, number: u32, len: usize, to: &Addr, flush: Flush) -> Result {
    port.write(&sized(number, len), Some(to), flush)
}

/// Writes in the same way as the C API: by `try_append` if possible. Returns whether it was.
#[allow(unsafe_code, reason = "try_append returns a raw pointer")]
pub(crate) fn write_by_append(port: &Port, data: &[u8], to: &Addr) -> bool {
    let target = port.try_append(data.as_ptr(), data.len(), Some(to));
    match target {
        None => port.write(data, Some(to), Flush::Batched).expect("accepted"),
        Some(target) if target.cast_const() == data.as_ptr() => {}
        // SAFETY: `target` has room for as many bytes, until the next call of the port.
        Some(target) => unsafe { std::ptr::copy_nonoverlapping(data.as_ptr(), target, data.len()) },
    }
    target.is_some()
}

/// Runs turns until `done`.
pub(crate) fn turn_until(reactor: &Reactor<ClosureCall>, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + TIMEOUT;
    while !done() {
        let left = end.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "it takes too long");
        reactor.iterate(Some(left.as_nanos() as u64)).expect("a turn");
    }
}

/// A reactor on a [`ScriptedKernel`].
pub(crate) fn reactor(kernel: &Rc<ScriptedKernel>) -> Reactor<ClosureCall> {
    Reactor::with_kernel(0, kernel.clone()).expect("a reactor")
}

/// A port on loopback, with GSO and GRO.
pub(crate) fn listen_with_offload(
    reactor: &Reactor<ClosureCall>,
    options: &Options<'_>,
    protocol: impl Protocol + 'static,
) -> Result<Arc<Port>> {
    reactor.listen_udp(0, "127.0.0.1", options, Box::new(protocol))
}

/// A port on loopback without GSO and GRO, so that each datagram is a message of its own.
pub(crate) fn listen(
    reactor: &Reactor<ClosureCall>,
    options: &Options<'_>,
    protocol: impl Protocol + 'static,
) -> Result<Arc<Port>> {
    let options = Options { flags: options.flags | flag::NO_OFFLOAD, ..*options };
    listen_with_offload(reactor, &options, protocol)
}

/// A protocol that echoes every datagram.
pub(crate) fn echo(record: &Rc<CallbackRecord>) -> ClosureProtocol {
    ClosureProtocol::new(record).on_datagram(|port, datagram| {
        port.write(datagram.data(), Some(&datagram.sender), Flush::Batched).expect("written");
    })
}

/// The reactor still works: a port listens, echoes, and closes.
pub(crate) fn assert_usable(reactor: &Reactor<ClosureCall>) {
    let (record, peer) = (Rc::default(), Peer::new());
    let port = listen(reactor, &Options::default(), echo(&record)).expect("a port");
    peer.send(b"hello", &port.get_host().expect("open"));
    turn_until(reactor, || record.received.get() == 1);
    assert_eq!(peer.receive(&mut [0; 8]), b"hello");
    port.close(Status::OK).expect("open until now");
    assert_eq!((record.dropped.get(), record.stopped.borrow().len()), (1, 1));
}

/// The index of the loopback device.
pub(crate) fn lo() -> u32 {
    udpr::sys::interface::interface_index("lo").expect("loopback")
}

type Action = Box<dyn FnOnce(&Arc<Port>)>;

/// One port and its peer.
pub(crate) struct Fixture {
    pub(crate) kernel: Rc<ScriptedKernel>,
    pub(crate) reactor: Reactor<ClosureCall>,
    pub(crate) port: Arc<Port>,
    pub(crate) record: Rc<CallbackRecord>,
    pub(crate) peer: Peer,
    next_action: Rc<RefCell<Option<Action>>>,
}

impl Fixture {
    pub(crate) fn new() -> Fixture {
        Fixture::with(&Options::default())
    }

    /// Without GSO and GRO, so that each datagram is a message of its own.
    pub(crate) fn with(options: &Options<'_>) -> Fixture {
        let options = Options { flags: options.flags | flag::NO_OFFLOAD, ..*options };
        Fixture::with_offload(Rc::default(), &options)
    }

    /// With GSO and GRO.
    pub(crate) fn with_offload(kernel: Rc<ScriptedKernel>, options: &Options<'_>) -> Fixture {
        let record = Rc::new(CallbackRecord::default());
        let reactor = reactor(&kernel);
        let next_action: Rc<RefCell<Option<Action>>> = Rc::default();
        let next = next_action.clone();
        let protocol = ClosureProtocol::new(&record).on_datagram(move |port, _| {
            if let Some(action) = next.take() {
                action(port);
            }
        });
        let port = listen_with_offload(&reactor, options, protocol).expect("a port");
        Fixture { kernel, reactor, port, record, peer: Peer::new(), next_action }
    }

    /// The port's own address.
    pub(crate) fn host(&self) -> Addr {
        self.port.get_host().expect("an open port")
    }

    pub(crate) fn stats(&self) -> Stats {
        self.port.get_stats().expect("an open port")
    }

    pub(crate) fn turn_until(&self, mut done: impl FnMut(&Fixture) -> bool) {
        turn_until(&self.reactor, || done(self));
    }

    /// Runs turns until every queued datagram was sent or dropped.
    pub(crate) fn turn_until_sent(&self) {
        self.turn_until(|fixture| fixture.stats().queued_datagrams == 0);
    }

    /// Runs `action` in the callback for a datagram, until the end of that turn.
    pub(crate) fn in_callback(&self, action: impl FnOnce(&Arc<Port>) + 'static) {
        self.next_action.replace(Some(Box::new(action)));
        self.peer.send(b"now", &self.host());
        self.turn_until(|fixture| fixture.next_action.borrow().is_none());
    }

    /// Writes these numbers to the peer in one callback, so that they are batched.
    pub(crate) fn write_batched(&self, numbers: std::ops::Range<u32>) {
        let to = self.peer.addr();
        self.in_callback(move |port| {
            for number in numbers {
                write_number(port, number, &to, Flush::Batched).expect("accepted");
            }
        });
    }

    /// Writes a number to the peer outside of any callback.
    pub(crate) fn write(&self, number: u32) -> Result {
        write_number(&self.port, number, &self.peer.addr(), Flush::Batched)
    }

    /// Writes `count` numbers to the peer in one message with a segment for each.
    pub(crate) fn write_segments(&self, count: u32, flush: Flush) -> Result {
        let (data, peer) = ((0..count).flat_map(u32::to_be_bytes).collect::<Vec<_>>(), self.peer.addr());
        let (payload, to) = (data[..].into(), Some(&peer));
        self.port.write_message(Message { payload, to, segment_size: 4, flush, ..Message::default() })
    }

    /// The peer has received these numbers, in this order, and nothing after them.
    pub(crate) fn assert_received(&self, expected: impl IntoIterator<Item = u32>) {
        const LAST: u32 = u32::MAX;
        write_number(&self.port, LAST, &self.peer.addr(), Flush::Immediate).expect("sent");
        self.turn_until_sent();
        let mut expected: Vec<u32> = expected.into_iter().collect();
        expected.push(LAST);
        assert_eq!(self.peer.receive_numbers(expected.len()), expected);
    }

    /// The counters of the port add up, after `accepted` writes that returned OK.
    pub(crate) fn assert_counters(&self, accepted: u64) {
        let stats = self.stats();
        assert_eq!(stats.datagrams_out + stats.dropped_out + stats.queued_datagrams, accepted, "{stats:?}");
        assert_eq!(stats.syscalls_out, self.kernel.count(Syscall::Send) as u64);
        assert_eq!(stats.syscalls_in, self.kernel.count(Syscall::Receive) as u64);
        assert_eq!(stats.datagrams_in, self.record.received.get() as u64 + stats.kept_datagrams);
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        self.reactor.close();
    }
}
