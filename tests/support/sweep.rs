//! A sweep: what a scenario asks of the kernel is written down, and then the scenario is played again for each call and
//! each errno, and for each short answer. Whatever fails: the caller is told as it should be, the port is as it was or
//! closed, nothing leaks, nothing is called twice, the counters add up, and the loop goes on.

use super::errnos::errnos;
use super::leftovers::{alone, descriptors, watched};
use super::{Answer, Closures, Diary, Fault, Later, Peer, Scripted, Step, Syscall};
use super::{listen, reactor, turn_until, write_number};
use std::cell::{Cell, RefCell};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::rc::Rc;
use std::sync::Arc;
use udpr::addr::Addr;
use udpr::port::{Flush, Port, Protocol, Stats};
use udpr::reactor::Reactor;
use udpr::status::{Result, Status};
use udpr::sys::{Kernel, Linux};

/// One thing to do, and what comes of it.
#[derive(Clone, Copy)]
pub(crate) struct Scenario<'a> {
    pub(crate) name: &'a str,
    /// What there is before. Nothing fails in here.
    pub(crate) before: &'a dyn Fn(&Stage),
    /// What is done; the answer is the call's.
    pub(crate) act: &'a dyn Fn(&Stage) -> Result,
    /// What the answer is to be where one call of the seam fails.
    pub(crate) returned: fn(&Failed<'_>) -> Result,
    /// What must be true at the end, when the loop has gone on.
    pub(crate) after: &'a dyn Fn(&Stage),
    /// What is OK is done whole; not at a port's end, where a call that fails has nobody to be told.
    pub(crate) exact: bool,
    /// How many calls of the seam it makes, and how many combinations that are: nothing is left out in silence.
    pub(crate) size: (usize, usize),
}

/// The call that fails.
pub(crate) struct Failed<'a> {
    pub(crate) step: Step,
    /// The calls before it.
    pub(crate) before: &'a [Step],
    pub(crate) errno: i32,
}

impl Failed<'_> {
    /// The errno, as a status.
    pub(crate) fn plain(&self) -> Result {
        Err(Status::from_errno(self.errno))
    }

    pub(crate) fn is(&self, syscall: Syscall) -> bool {
        self.step.syscall == syscall
    }

    pub(crate) fn is_option(&self, level: i32, name: i32) -> bool {
        self.step.option == (level, name)
    }

    /// How often this very call was made before.
    pub(crate) fn earlier(&self) -> usize {
        self.before.iter().filter(|step| **step == self.step).count()
    }

    pub(crate) fn is_after(&self, syscall: Syscall) -> bool {
        self.before.iter().any(|step| step.syscall == syscall)
    }
}

/// A reactor on a [`Scripted`] kernel, two peers, and the port that it is about.
pub(crate) struct Stage {
    pub(crate) kernel: Rc<Scripted>,
    pub(crate) reactor: Reactor<Later>,
    pub(crate) diary: Rc<Diary>,
    pub(crate) peer: Peer,
    pub(crate) other: Peer,
    pub(crate) port: RefCell<Option<Arc<Port>>>,
    /// A socket that is adopted, and stays its owner's.
    pub(crate) lent: RefCell<Option<OwnedFd>>,
    /// Writes that were OK.
    pub(crate) accepted: Rc<Cell<u64>>,
    /// The counters in `stop_protocol`.
    pub(crate) last: Rc<Cell<Stats>>,
    next: Rc<RefCell<Option<Act>>>,
    made: Cell<usize>,
    own: Cell<(usize, usize)>,
}

type Act = Box<dyn FnOnce(&Arc<Port>)>;

impl Stage {
    fn new() -> Stage {
        let kernel: Rc<Scripted> = Rc::default();
        let reactor = reactor(&kernel);
        let (peer, other) = (Peer::new(), Peer::new());
        let own = Cell::new((descriptors(), watched(&reactor)));
        Stage {
            kernel,
            reactor,
            diary: Rc::default(),
            peer,
            other,
            port: RefCell::default(),
            lent: RefCell::default(),
            accepted: Rc::default(),
            last: Rc::default(),
            next: Rc::default(),
            made: Cell::new(0),
            own,
        }
    }

    /// The protocol of the port that it is about.
    pub(crate) fn protocol(&self) -> Box<dyn Protocol> {
        self.made.set(self.made.get() + 1);
        let (next, last) = (self.next.clone(), self.last.clone());
        let protocol = Closures::new(&self.diary).at_datagram(move |port, _| {
            if let Some(act) = next.take() {
                act(port);
            }
        });
        Box::new(protocol.at_stop(move |port| last.set(port.get_stats().expect("the last look"))))
    }

    /// Keeps the port that was made.
    pub(crate) fn keep(&self, port: Result<Arc<Port>>) -> Result {
        self.port.replace(Some(port?));
        Ok(())
    }

    /// The reactor is asked for its descriptor: its alarm is there until its end.
    pub(crate) fn embed(&self) -> Result {
        self.reactor.backend_fd()?;
        self.own.set((self.own.get().0 + 1, self.own.get().1 + 1));
        Ok(())
    }

    pub(crate) fn port(&self) -> Arc<Port> {
        self.port.borrow().clone().expect("a port")
    }

    pub(crate) fn host(&self) -> Addr {
        let host = Linux.local_addr(self.port().fileno()).expect("an open port");
        // "Any" is reached by loopback.
        if host.family == 4 { Addr::v4([127, 0, 0, 1], host.port) } else { host }
    }

    /// Does something in the callback for the next datagram.
    pub(crate) fn at_next_datagram(&self, act: impl FnOnce(&Arc<Port>) + 'static) {
        self.next.replace(Some(Box::new(act)));
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

    /// Some turns that do not wait; the answer is the first failure.
    pub(crate) fn turn(&self, turns: usize) -> Result {
        let results: Vec<Result> = (0..turns).map(|_| self.reactor.iterate(Some(0))).collect();
        results.into_iter().find(Result::is_err).unwrap_or(Ok(()))
    }

    pub(crate) fn turn_until(&self, done: impl FnMut() -> bool) {
        turn_until(&self.reactor, done);
    }

    /// What can be seen of the socket that it is about.
    fn look(&self) -> Option<Look> {
        let port = self.port.borrow().clone().filter(|port| port.is_open());
        let lent = self.lent.borrow().as_ref().map(AsRawFd::as_raw_fd);
        let fd = port.as_ref().map(|port| port.fileno()).or(lent)?;
        Some(Look::at(fd, port.and_then(|port| port.get_peer().ok())))
    }

    /// The same, with numbers in place of ports that the kernel has chosen.
    fn look_at_large(&self, before: &Option<Look>) -> Option<Look> {
        let mut look = self.look()?;
        let own = before.as_ref().and_then(|look| look.host).map_or(0, |host| host.port);
        let place = |addr: &mut Option<Addr>, known: &[u16]| {
            if let Some(addr) = addr {
                addr.port = known.iter().position(|port| *port == addr.port).map_or(9, |index| index as u16);
            }
        };
        // A number of IPv6 may be a peer's of IPv4.
        place(&mut look.host, &[own]);
        let peers = [self.peer.addr().port, self.other.addr().port];
        place(&mut look.kernels_peer, &peers);
        place(&mut look.peer, &peers);
        Some(look)
    }

    fn assert_sums(&self, stats: Stats) {
        let Stats { datagrams_out, dropped_out, queued_datagrams, .. } = stats;
        assert_eq!(datagrams_out + dropped_out + queued_datagrams, self.accepted.get(), "{stats:?}");
        let received = self.diary.received.get() as u64;
        assert_eq!(stats.datagrams_in, received + stats.kept_datagrams + stats.discarded_in, "{stats:?}");
    }

    /// Another port of the same reactor listens, answers, and ends.
    fn assert_goes_on(&self) {
        let (diary, peer) = (Rc::default(), Peer::new());
        let echo = Closures::new(&diary).at_datagram(|port, datagram| {
            port.write(datagram.data(), Some(&datagram.sender), Flush::Batched).expect("written");
        });
        let port = listen(&self.reactor, &udpr::port::Options::default(), echo).expect("a port");
        peer.send(b"hello", &port.get_host().expect("open"));
        self.turn_until(|| diary.received.get() == 1);
        assert_eq!(peer.receive(&mut [0; 8]), b"hello");
        port.close(Status::OK).expect("open until now");
        assert_eq!((diary.dropped.get(), diary.stopped.borrow().len()), (1, 1));
    }

    /// The port ends, and the reactor has what it had before there was one.
    fn assert_ends(&self) {
        let port = self.port.take();
        let stood = port.is_some();
        if let Some(port) = port {
            if port.is_open() {
                self.assert_sums(port.get_stats().expect("open"));
                port.close(Status::OK).expect("open until now");
            }
            self.assert_sums(self.last.get());
            assert_eq!(port.get_host(), Err(Status::CLOSED));
        }
        // Before the other holder closes: the kernel would forget the registration with the last one.
        assert_eq!(watched(&self.reactor), self.own.get().1, "registrations");
        drop(self.lent.take());
        assert_eq!(self.diary.dropped.get(), self.made.get(), "each protocol is dropped once");
        assert_eq!(self.diary.stopped.borrow().len(), usize::from(stood), "stop_protocol is called once");
        assert_eq!(descriptors(), self.own.get().0, "descriptors");
        assert_eq!(self.reactor.get_stats().transports, 0);
    }
}

/// What can be seen of a socket.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Look {
    host: Option<Addr>,
    kernels_peer: Option<Addr>,
    peer: Option<Addr>,
    options: Vec<Option<Vec<u8>>>,
}

impl Look {
    fn at(fd: RawFd, peer: Option<Addr>) -> Look {
        let option = |(level, name): &(i32, i32)| {
            let mut value = vec![0; 64];
            let len = Linux.raw_option(fd, *level, *name, &mut value).ok()?;
            value.truncate(len);
            Some(value)
        };
        let options = OPTIONS.iter().map(option).collect();
        Look { host: Linux.local_addr(fd).ok(), kernels_peer: Linux.peer_addr(fd).ok(), peer, options }
    }
}

/// UDP_GRO is not among them: whether that can be had changes nothing that is promised.
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

impl Scenario<'_> {
    /// Plays every combination, and says which.
    pub(crate) fn sweep(&self) {
        let _alone = alone();
        let (steps, after) = self.play(None);
        let mut played = 0;
        for (number, step) in steps.iter().enumerate() {
            let failures = errnos(step.syscall).into_iter().map(Answer::Errno);
            for answer in failures.chain(short_answers(step.syscall)) {
                println!("{}: call {number}, {step:?}: {answer:?}", self.name);
                let (_, found) = self.play(Some((number, answer, &steps)));
                let closed = matches!(found, Ok(None));
                assert!(
                    !self.exact || closed || found.is_err() || found == after,
                    "what is OK is done: {found:?} in place of {after:?}"
                );
                played += 1;
            }
        }
        println!("{}: {} calls, {played} combinations", self.name, steps.len());
        assert_eq!((steps.len(), played), self.size, "{}: its calls are {steps:#?}", self.name);
    }

    /// The answer is the calls it made, and what can be seen afterwards where it was OK.
    fn play(&self, fault: Option<(usize, Answer, &[Step])>) -> (Vec<Step>, Result<Option<Look>>) {
        let before = descriptors();
        let stage = Stage::new();
        (self.before)(&stage);
        let look = stage.look();
        stage.kernel.begin(fault.map(|(number, answer, _)| Fault::Once(number, answer)));
        let returned = (self.act)(&stage);
        let steps = stage.kernel.end();
        let expected = match fault {
            Some((number, Answer::Errno(errno), steps)) => {
                (self.returned)(&Failed { step: steps[number], before: &steps[..number], errno })
            }
            _ => Ok(()),
        };
        assert_eq!(returned, expected);
        if let Some((number, ..)) = fault {
            assert!(steps.len() > number, "the call was made");
        }
        stage.kernel.clear();
        let closed = stage.port.borrow().as_ref().is_some_and(|port| !port.is_open());
        if returned.is_err() && !closed {
            assert_eq!(stage.look(), look, "what fails leaves all as it was");
        }
        let found = returned.map(|()| stage.look_at_large(&look));
        if stage.reactor.context().check_open().is_ok() {
            stage.assert_goes_on();
        }
        (self.after)(&stage);
        stage.assert_ends();
        stage.reactor.close();
        drop(stage);
        assert_eq!(descriptors(), before, "nothing is left open");
        (steps, found)
    }
}

/// The answers of a call that does less than it was asked for.
fn short_answers(syscall: Syscall) -> impl Iterator<Item = Answer> {
    let counts: &[usize] = match syscall {
        Syscall::Send | Syscall::Receive | Syscall::Wait => &[1, 2],
        _ => &[],
    };
    counts.iter().copied().map(Answer::AtMost)
}
