//! What the tests of the core share: a reactor with one port on a kernel that fails as it is told to, and a real peer
//! of that port. Nothing waits longer than [`PATIENCE`].
#![allow(dead_code, unused_imports, reason = "each test uses a part of it")]

mod batches;
mod closures;
mod errnos;
mod kernel;
mod leftovers;
mod random;
mod sweep;

pub(crate) use batches::{Batches, Seen};
pub(crate) use closures::{Closures, Diary, Later};
pub(crate) use errnos::errnos;
pub(crate) use kernel::{Answer, Fault, Scripted, Step, Syscall};
pub(crate) use leftovers::{alone, descriptors, watched};
pub(crate) use random::Random;
pub(crate) use sweep::{Failed, Scenario, Stage};

use std::cell::RefCell;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};
use udpr::addr::Addr;
use udpr::port::{Flush, Options, Port, Protocol, Stats, flag};
use udpr::reactor::Reactor;
use udpr::status::Result;
use udpr::sys::{Kernel, Linux};

/// How long anything may take before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A plain socket on the other side.
pub(crate) struct Peer(UdpSocket);

impl Peer {
    pub(crate) fn new() -> Peer {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("SO_RCVTIMEO");
        let peer = Peer(socket);
        // As much as the system allows: a test's burst must fit.
        peer.set_option(libc::SOL_SOCKET, libc::SO_RCVBUF, 1 << 20);
        peer
    }

    /// An address where nobody listens.
    pub(crate) fn dead() -> Addr {
        Peer::new().addr()
    }

    pub(crate) fn set_option(&self, level: i32, name: i32, value: u32) {
        Linux.set_raw_option(self.0.as_raw_fd(), level, name, &value.to_ne_bytes()).expect("a known option");
    }

    /// What it sends is cut into datagrams of `segment` bytes, and travels on loopback as it is.
    pub(crate) fn send_merged(&self, data: &[u8], segment: u32, to: &Addr) {
        self.set_option(libc::SOL_UDP, libc::UDP_SEGMENT, segment);
        self.send(data, to);
        self.set_option(libc::SOL_UDP, libc::UDP_SEGMENT, 0);
    }

    /// What arrives merged is received as it is.
    pub(crate) fn merge(&self) {
        self.set_option(libc::SOL_UDP, libc::UDP_GRO, 1);
    }

    /// Waits for the next datagram of [`write_sized`]: its number and its length.
    pub(crate) fn sized(&self) -> (u32, usize) {
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

    /// Waits for the next datagram, and tells who sent it.
    pub(crate) fn receive_from(&self) -> (Vec<u8>, Addr) {
        let mut buffer = vec![0; 65_536];
        let (len, from) = self.0.recv_from(&mut buffer).expect("a datagram in time");
        buffer.truncate(len);
        (buffer, Addr::v4([127, 0, 0, 1], from.port()))
    }

    /// Waits for `count` datagrams of [`Scene::write`].
    pub(crate) fn numbers(&self, count: usize) -> Vec<u32> {
        (0..count).map(|_| number(self.receive(&mut [0; 64]))).collect()
    }

    /// Whether nothing waits.
    pub(crate) fn is_silent(&self) -> bool {
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

/// The bytes of a datagram that tells them from every other one's: at least four.
pub(crate) fn sized(number: u32, len: usize) -> Vec<u8> {
    let behind = (4..len).map(|index| (number as usize + index) as u8);
    number.to_be_bytes().into_iter().chain(behind).collect()
}

/// Writes a datagram that [`Peer::sized`] reads.
pub(crate) fn write_sized(port: &Port, number: u32, len: usize, to: &Addr, flush: Flush) -> Result {
    port.write(&sized(number, len), Some(to), flush)
}

/// Writes as the C face does, the short way where it is open; true where it was.
#[allow(unsafe_code, reason = "the short way is a bare place")]
pub(crate) fn write_shortly(port: &Port, data: &[u8], to: &Addr) -> bool {
    let place = port.try_append(data.as_ptr(), data.len(), Some(to));
    match place {
        None => port.write(data, Some(to), Flush::Batched).expect("accepted"),
        Some(place) if place.cast_const() == data.as_ptr() => {}
        // SAFETY: a place for as many bytes, before anything else is done.
        Some(place) => unsafe { std::ptr::copy_nonoverlapping(data.as_ptr(), place, data.len()) },
    }
    place.is_some()
}

/// Turns until `done`.
pub(crate) fn turn_until(reactor: &Reactor<Later>, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !done() {
        let left = end.saturating_duration_since(Instant::now());
        assert!(!left.is_zero(), "it takes too long");
        reactor.iterate(Some(left.as_nanos() as u64)).expect("a turn");
    }
}

/// A reactor on a [`Scripted`] kernel. What it made is closed at the end.
pub(crate) fn reactor(kernel: &Rc<Scripted>) -> Reactor<Later> {
    Reactor::with_kernel(0, kernel.clone()).expect("a reactor")
}

/// A port on loopback, which merges.
pub(crate) fn listen_merging(
    reactor: &Reactor<Later>,
    options: &Options<'_>,
    protocol: impl Protocol + 'static,
) -> Result<Arc<Port>> {
    reactor.listen_udp(0, "127.0.0.1", options, Box::new(protocol))
}

/// A port on loopback. Nothing is merged, so that each datagram is a message of its own.
pub(crate) fn listen(
    reactor: &Reactor<Later>,
    options: &Options<'_>,
    protocol: impl Protocol + 'static,
) -> Result<Arc<Port>> {
    let options = Options { flags: options.flags | flag::NO_OFFLOAD, ..*options };
    listen_merging(reactor, &options, protocol)
}

type Act = Box<dyn FnOnce(&Arc<Port>)>;

/// One port and its peer.
pub(crate) struct Scene {
    pub(crate) kernel: Rc<Scripted>,
    pub(crate) reactor: Reactor<Later>,
    pub(crate) port: Arc<Port>,
    pub(crate) diary: Rc<Diary>,
    pub(crate) peer: Peer,
    act: Rc<RefCell<Option<Act>>>,
}

impl Scene {
    pub(crate) fn new() -> Scene {
        Scene::with(&Options::default())
    }

    /// Nothing is merged, so that each datagram is a message of its own.
    pub(crate) fn with(options: &Options<'_>) -> Scene {
        let options = Options { flags: options.flags | flag::NO_OFFLOAD, ..*options };
        Scene::merging(Rc::default(), &options)
    }

    /// What the kernel can merge is merged.
    pub(crate) fn merging(kernel: Rc<Scripted>, options: &Options<'_>) -> Scene {
        let diary = Rc::new(Diary::default());
        let reactor = reactor(&kernel);
        let act: Rc<RefCell<Option<Act>>> = Rc::default();
        let next = act.clone();
        let protocol = Closures::new(&diary).at_datagram(move |port, _| {
            if let Some(act) = next.take() {
                act(port);
            }
        });
        let port = listen_merging(&reactor, options, protocol).expect("a port");
        Scene { kernel, reactor, port, diary, peer: Peer::new(), act }
    }

    /// The port's own address.
    pub(crate) fn host(&self) -> Addr {
        self.port.get_host().expect("an open port")
    }

    pub(crate) fn stats(&self) -> Stats {
        self.port.get_stats().expect("an open port")
    }

    pub(crate) fn turn_until(&self, mut done: impl FnMut(&Scene) -> bool) {
        turn_until(&self.reactor, || done(self));
    }

    /// Turns until everything that waited for the socket has left or was dropped.
    pub(crate) fn turn_until_sent(&self) {
        self.turn_until(|scene| scene.stats().queued_datagrams == 0);
    }

    /// Does something in the callback for a datagram, and ends that turn.
    pub(crate) fn in_callback(&self, act: impl FnOnce(&Arc<Port>) + 'static) {
        self.act.replace(Some(Box::new(act)));
        self.peer.send(b"now", &self.host());
        self.turn_until(|scene| scene.act.borrow().is_none());
    }

    /// Writes these numbers to the peer in one callback: they gather.
    pub(crate) fn write_together(&self, numbers: std::ops::Range<u32>) {
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

    /// The peer has got these numbers, in this order, and nothing behind them.
    pub(crate) fn assert_received(&self, expected: impl IntoIterator<Item = u32>) {
        const LAST: u32 = u32::MAX;
        write_number(&self.port, LAST, &self.peer.addr(), Flush::Immediate).expect("sent");
        self.turn_until_sent();
        let mut expected: Vec<u32> = expected.into_iter().collect();
        expected.push(LAST);
        assert_eq!(self.peer.numbers(expected.len()), expected);
    }

    /// What the port did goes with the counters: `accepted` writes were OK.
    pub(crate) fn assert_sums(&self, accepted: u64) {
        let stats = self.stats();
        assert_eq!(stats.datagrams_out + stats.dropped_out + stats.queued_datagrams, accepted, "{stats:?}");
        assert_eq!(stats.syscalls_out, self.kernel.count(Syscall::Send) as u64);
        assert_eq!(stats.syscalls_in, self.kernel.count(Syscall::Receive) as u64);
        assert_eq!(stats.datagrams_in, self.diary.received.get() as u64 + stats.kept_datagrams);
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.reactor.close();
    }
}
