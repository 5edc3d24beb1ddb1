//! A fault sweep: a scenario runs once to record its calls of [`Kernel`], and then again for each of these calls and each
//! errno that it can fail with, and with each partial result. Whatever fails: the scenario returns the expected status, the
//! port is unchanged or closed, nothing leaks, nothing is called twice, the counters add up, and the reactor still works.

use super::errnos::errnos;
use super::process_state::{exclusive, open_descriptors, watched_descriptors};
use super::{
    CallResult, CallbackRecord, ClosureCall, ClosureProtocol, Fault, KernelCall, Peer, ScriptedKernel,
    Syscall,
};
use super::{assert_usable, reactor, turn_until, write_number};
use std::cell::{Cell, RefCell};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::sync::Arc;
use udpr::addr::Addr;
use udpr::port::{Flush, Port, Protocol, Stats};
use udpr::reactor::Reactor;
use udpr::status::{Result, Status};
use udpr::sys::{Kernel, SystemKernel};

/// An operation, and what is expected of it.
#[derive(Clone, Copy)]
pub(crate) struct Scenario<'a> {
    pub(crate) name: &'a str,
    /// Runs first. Nothing fails in it.
    pub(crate) setup: &'a dyn Fn(&SweepFixture),
    /// The operation in which calls fail.
    pub(crate) run: &'a dyn Fn(&SweepFixture) -> Result,
    /// Returns the expected result of `run` if this call fails.
    pub(crate) expected: fn(&FailedCall<'_>) -> Result,
    /// Checks the result at the end, after the reactor has run.
    pub(crate) check: &'a dyn Fn(&SweepFixture),
    /// If `run` returns OK, the socket's state must be the same as without a failure. Not so when a port closes, since no
    /// caller can receive the error.
    pub(crate) all_or_nothing: bool,
    /// The number of calls of [`Kernel`], and of combinations of a call and a result, so that none is left out unnoticed.
    pub(crate) size: (usize, usize),
}

/// The call that fails.
pub(crate) struct FailedCall<'a> {
    pub(crate) call: KernelCall,
    /// The calls before it.
    pub(crate) earlier: &'a [KernelCall],
    pub(crate) errno: i32,
}

impl FailedCall<'_> {
    /// The errno, as a status.
    pub(crate) fn as_error(&self) -> Result {
        Err(Status::from_errno(self.errno))
    }

    pub(crate) fn is(&self, syscall: Syscall) -> bool {
        self.call.syscall == syscall
    }

    pub(crate) fn is_option(&self, level: i32, name: i32) -> bool {
        self.call.option == (level, name)
    }

    /// How often the same call was made before.
    pub(crate) fn times_called_before(&self) -> usize {
        self.earlier.iter().filter(|call| **call == self.call).count()
    }

    pub(crate) fn is_after(&self, syscall: Syscall) -> bool {
        self.earlier.iter().any(|call| call.syscall == syscall)
    }
}

/// A reactor on a [`ScriptedKernel`], two peers, and the port of the scenario.
pub(crate) struct SweepFixture {
    pub(crate) kernel: Rc<ScriptedKernel>,
    pub(crate) reactor: Reactor<ClosureCall>,
    pub(crate) record: Rc<CallbackRecord>,
    pub(crate) peer: Peer,
    pub(crate) other: Peer,
    pub(crate) port: RefCell<Option<Arc<Port>>>,
    /// A socket that the port adopts without taking ownership.
    pub(crate) adopted: RefCell<Option<OwnedFd>>,
    /// Writes that were OK.
    pub(crate) accepted: Rc<Cell<u64>>,
    /// The counters in `stop_protocol`.
    pub(crate) final_stats: Rc<Cell<Stats>>,
    next_action: Rc<RefCell<Option<Action>>>,
    protocols_created: Cell<usize>,
    /// Descriptors and epoll registrations without a port.
    baseline: Cell<(usize, usize)>,
}

type Action = Box<dyn FnOnce(&Arc<Port>)>;

impl SweepFixture {
    fn new() -> SweepFixture {
        let kernel: Rc<ScriptedKernel> = Rc::default();
        let reactor = reactor(&kernel);
        let (peer, other) = (Peer::new(), Peer::new());
        let baseline = Cell::new((open_descriptors(), watched_descriptors(&reactor)));
        SweepFixture {
            kernel,
            reactor,
            record: Rc::default(),
            peer,
            other,
            port: RefCell::default(),
            adopted: RefCell::default(),
            accepted: Rc::default(),
            final_stats: Rc::default(),
            next_action: Rc::default(),
            protocols_created: Cell::new(0),
            baseline,
        }
    }

    /// Creates the protocol of the scenario's port.
    pub(crate) fn protocol(&self) -> Box<dyn Protocol> {
        self.protocols_created.set(self.protocols_created.get() + 1);
        let (next_action, final_stats) = (self.next_action.clone(), self.final_stats.clone());
        let protocol = ClosureProtocol::new(&self.record).on_datagram(move |port, _| {
            if let Some(action) = next_action.take() {
                action(port);
            }
        });
        Box::new(protocol.on_stop(move |port| final_stats.set(port.get_stats().expect("statistics"))))
    }

    /// Stores the port that was created.
    pub(crate) fn set_port(&self, port: Result<Arc<Port>>) -> Result {
        self.port.replace(Some(port?));
        Ok(())
    }

    /// Gets the reactor's descriptor, which adds a timer descriptor to the reactor.
    pub(crate) fn embed(&self) -> Result {
        self.reactor.backend_fd()?;
        self.baseline.set((self.baseline.get().0 + 1, self.baseline.get().1 + 1));
        Ok(())
    }

    pub(crate) fn port(&self) -> Arc<Port> {
        self.port.borrow().clone().expect("a port")
    }

    pub(crate) fn host(&self) -> Addr {
        let host = SystemKernel.local_addr(self.port().fileno()).expect("an open port");
        // A port bound to "any" can be reached at the loopback address.
        if host.family == 4 { Addr::v4([127, 0, 0, 1], host.port) } else { host }
    }

    /// Runs `action` in the callback for the next datagram.
    pub(crate) fn on_next_datagram(&self, action: impl FnOnce(&Arc<Port>) + 'static) {
        self.next_action.replace(Some(Box::new(action)));
    }

    /// Writes numbers to the peer, and counts those that were accepted.
    pub(crate) fn write(&self, numbers: std::ops::Range<u32>) -> Result {
        let to = self.peer.addr();
        for number in numbers {
            write_number(&self.port(), number, &to, Flush::Batched)?;
            self.accepted.set(self.accepted.get() + 1);
        }
        Ok(())
    }

    /// Runs some turns that do not wait, and returns the first failure.
    pub(crate) fn turn(&self, turns: usize) -> Result {
        let results: Vec<Result> = (0..turns).map(|_| self.reactor.iterate(Some(0))).collect();
        results.into_iter().find(Result::is_err).unwrap_or(Ok(()))
    }

    pub(crate) fn turn_until(&self, done: impl FnMut() -> bool) {
        turn_until(&self.reactor, done);
    }

    /// The visible state of the socket of the scenario.
    fn socket_state(&self) -> Option<SocketState> {
        let port = self.port.borrow().clone().filter(|port| port.is_open());
        let adopted = self.adopted.borrow().as_ref().map(AsRawFd::as_raw_fd);
        let fd = port.as_ref().map(|port| port.fileno()).or(adopted)?;
        Some(SocketState::read(fd, port.and_then(|port| port.get_peer().ok())))
    }

    /// The visible state in which an index replaces each port number that the kernel has chosen, so that two runs can be
    /// compared.
    fn normalized_socket_state(&self, before: &Option<SocketState>) -> Option<SocketState> {
        let mut state = self.socket_state()?;
        let own = before.as_ref().and_then(|state| state.host).map_or(0, |host| host.port);
        let normalize = |addr: &mut Option<Addr>, known: &[u16]| {
            if let Some(addr) = addr {
                addr.port = known.iter().position(|port| *port == addr.port).map_or(9, |index| index as u16);
            }
        };
        // The host has a list of its own, since an IPv6 port may have the number of a peer's IPv4 port.
        normalize(&mut state.host, &[own]);
        let peers = [self.peer.addr().port, self.other.addr().port];
        normalize(&mut state.kernels_peer, &peers);
        normalize(&mut state.peer, &peers);
        Some(state)
    }

    fn assert_counters(&self, stats: Stats) {
        let Stats { datagrams_out, dropped_out, queued_datagrams, .. } = stats;
        assert_eq!(datagrams_out + dropped_out + queued_datagrams, self.accepted.get(), "{stats:?}");
        let received = self.record.received.get() as u64;
        assert_eq!(stats.datagrams_in, received + stats.kept_datagrams + stats.discarded_in, "{stats:?}");
    }

    /// The port closes and leaves nothing behind in the reactor.
    fn assert_closes_cleanly(&self) {
        let port = self.port.take();
        let started = port.is_some();
        if let Some(port) = port {
            if port.is_open() {
                self.assert_counters(port.get_stats().expect("open"));
                port.close(Status::OK).expect("open until now");
            }
            self.assert_counters(self.final_stats.get());
            assert_eq!(port.get_host(), Err(Status::CLOSED));
        }
        // Checked before the owner closes the adopted socket, since the kernel removes a registration with the last descriptor.
        assert_eq!(watched_descriptors(&self.reactor), self.baseline.get().1, "registrations");
        drop(self.adopted.take());
        assert_eq!(self.record.dropped.get(), self.protocols_created.get(), "each protocol is dropped once");
        assert_eq!(self.record.stopped.borrow().len(), usize::from(started), "stop_protocol is called once");
        assert_eq!(open_descriptors(), self.baseline.get().0, "descriptors");
        assert_eq!(self.reactor.get_stats().transports, 0);
    }
}

/// The visible state of a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
struct SocketState {
    host: Option<Addr>,
    kernels_peer: Option<Addr>,
    peer: Option<Addr>,
    options: Vec<Option<Vec<u8>>>,
}

impl SocketState {
    fn read(fd: RawFd, peer: Option<Addr>) -> SocketState {
        let option = |(level, name): &(i32, i32)| {
            let mut value = vec![0; 64];
            let len = SystemKernel.raw_option(fd, *level, *name, &mut value).ok()?;
            value.truncate(len);
            Some(value)
        };
        let options = OPTIONS.iter().map(option).collect();
        SocketState {
            host: SystemKernel.local_addr(fd).ok(),
            kernels_peer: SystemKernel.peer_addr(fd).ok(),
            peer,
            options,
        }
    }
}

/// Without UDP_GRO, which may fail without any visible difference.
const OPTIONS: [(i32, i32); 22] = [
    (libc::SOL_SOCKET, libc::SO_BROADCAST),
    (libc::SOL_SOCKET, libc::SO_REUSEADDR),
    (libc::SOL_SOCKET, libc::SO_REUSEPORT),
    (libc::SOL_SOCKET, libc::SO_RCVBUF),
    (libc::SOL_SOCKET, libc::SO_SNDBUF),
    (libc::SOL_SOCKET, libc::SO_BINDTODEVICE),
    (libc::SOL_SOCKET, libc::SO_TIMESTAMPNS),
    (libc::IPPROTO_IP, libc::IP_PKTINFO),
    (libc::IPPROTO_IP, libc::IP_RECVTOS),
    (libc::IPPROTO_IP, libc::IP_RECVTTL),
    (libc::IPPROTO_IP, libc::IP_RECVERR),
    (libc::IPPROTO_IP, libc::IP_TTL),
    (libc::IPPROTO_IP, libc::IP_MTU_DISCOVER),
    (libc::IPPROTO_IP, libc::IP_MULTICAST_TTL),
    (libc::IPPROTO_IP, libc::IP_MULTICAST_LOOP),
    (libc::IPPROTO_IP, libc::IP_MULTICAST_IF),
    (libc::IPPROTO_IP, libc::IP_MULTICAST_ALL),
    (libc::IPPROTO_IPV6, libc::IPV6_RECVERR),
    (libc::IPPROTO_IPV6, libc::IPV6_UNICAST_HOPS),
    (libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_HOPS),
    (libc::IPPROTO_IPV6, libc::IPV6_MULTICAST_IF),
    (libc::IPPROTO_IPV6, 29), // IPV6_MULTICAST_ALL in linux/in6.h
];

/// How often a run is repeated.
const TRIES: u32 = 10;

/// The number of a call, its result, and the calls of the run without a fault.
type FaultAt<'a> = Option<(usize, CallResult, &'a [KernelCall])>;
type Outcome = (Vec<KernelCall>, Result<Option<SocketState>>);

impl Scenario<'_> {
    /// Runs every combination, and prints each.
    pub(crate) fn sweep(&self) {
        let _exclusive = exclusive();
        let (calls, without_fault) = self.run_once(None);
        let mut combinations = 0;
        for (number, call) in calls.iter().enumerate() {
            let failures = errnos(call.syscall).into_iter().map(CallResult::Errno);
            for result in failures.chain(partial_results(call.syscall)) {
                println!("{}: call {number}, {call:?}: {result:?}", self.name);
                let (_, state) = self.run_once(Some((number, result, &calls)));
                let closed = matches!(state, Ok(None));
                assert!(
                    !self.all_or_nothing || closed || state.is_err() || state == without_fault,
                    "returned OK, but the state is {state:?} instead of {without_fault:?}"
                );
                combinations += 1;
            }
        }
        println!("{}: {} calls, {combinations} combinations", self.name, calls.len());
        assert_eq!((calls.len(), combinations), self.size, "{}: its calls are {calls:#?}", self.name);
    }

    /// Runs the scenario, in which the call with that number has that result. Returns the calls that were made, and the
    /// state of the socket if `run` returned OK.
    fn run_once(&self, fault: FaultAt<'_>) -> Outcome {
        let outcome = (0..TRIES).find_map(|_| self.try_once(fault));
        outcome.expect("the calls before the fault are those of the run without one")
    }

    /// Returns none if a busy kernel has delivered a datagram later, by a thread of its own, so that the calls before the fault
    /// were others.
    fn try_once(&self, fault: FaultAt<'_>) -> Option<Outcome> {
        let before = open_descriptors();
        let fixture = SweepFixture::new();
        (self.setup)(&fixture);
        let state = fixture.socket_state();
        fixture.kernel.start_trace(fault.map(|(number, result, _)| Fault::Once(number, result)));
        let returned = (self.run)(&fixture);
        let calls = fixture.kernel.end_trace();
        if let Some((number, _, without_fault)) = fault {
            if calls.get(..=number) != without_fault.get(..=number) {
                fixture.kernel.clear_script();
                fixture.reactor.close();
                return None;
            }
        }
        let expected = match fault {
            Some((number, CallResult::Errno(errno), calls)) => {
                (self.expected)(&FailedCall { call: calls[number], earlier: &calls[..number], errno })
            }
            _ => Ok(()),
        };
        assert_eq!(returned, expected);
        fixture.kernel.clear_script();
        let closed = fixture.port.borrow().as_ref().is_some_and(|port| !port.is_open());
        if returned.is_err() && !closed {
            assert_eq!(fixture.socket_state(), state, "a failure changes nothing");
        }
        let final_state = returned.map(|()| fixture.normalized_socket_state(&state));
        if fixture.reactor.context().check_open().is_ok() {
            assert_usable(&fixture.reactor);
        }
        (self.check)(&fixture);
        fixture.assert_closes_cleanly();
        fixture.reactor.close();
        drop(fixture);
        assert_eq!(open_descriptors(), before, "nothing is left open");
        Some((calls, final_state))
    }
}

/// The results of a call that does only a part of its work.
fn partial_results(syscall: Syscall) -> impl Iterator<Item = CallResult> {
    let counts: &[usize] = match syscall {
        Syscall::Send | Syscall::Receive | Syscall::Wait => &[1, 2],
        _ => &[],
    };
    counts.iter().copied().map(CallResult::AtMost)
}
