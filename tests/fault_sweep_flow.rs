//! Every errno of every call, and short answers, at every step of reading, writing, stopping and of the reactor's own
//! calls: the sweep of tests/support/sweep.rs.

mod support;

use libc::*;
use std::net::UdpSocket;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use support::*;
use udpr::addr::Addr;
use udpr::port::{Descriptor, Flush, Options, Port, flag};
use udpr::reactor::{Reactor, Watcher};
use udpr::status::{Result, Status};

use Syscall::{Send, Wait, Watch};

const PLAIN: u32 = flag::NO_OFFLOAD;

fn listen_with(stage: &Stage, flags: u32) {
    let options = Options { flags, ..Options::default() };
    stage.keep(stage.reactor.listen_udp(0, "127.0.0.1", &options, stage.protocol())).expect("a port");
}

fn listen(stage: &Stage) {
    listen_with(stage, PLAIN);
}

fn listen_merging(stage: &Stage) {
    listen_with(stage, 0);
}

/// The loop's own call fails; everything else is no caller's.
fn turn_told(failed: &Failed<'_>) -> Result {
    if failed.is(Wait) && failed.errno != EINTR { failed.plain() } else { Ok(()) }
}

/// All that was written has left or was told of, and the peer has it in order.
fn sent(stage: &Stage) {
    if ended(stage) {
        return;
    }
    let port = stage.port();
    stage.turn_until(|| port.get_stats().expect("open").queued_datagrams == 0);
    // Reports are told in a turn.
    stage.turn(2).expect("two turns");
    let stats = port.get_stats().expect("open");
    assert_eq!(stats.dropped_out, stage.diary.reports.borrow().len() as u64);
    let numbers = stage.peer.numbers(stats.datagrams_out as usize);
    assert!(numbers.is_sorted() && stage.peer.is_silent(), "{numbers:?}");
}

/// A read has said that the host has closed the descriptor: the port has stopped by itself, with that reason.
fn ended(stage: &Stage) -> bool {
    let gone = [EBADF, ENOTSOCK].map(Status::from_errno);
    let stopped = stage.diary.stopped.borrow();
    assert!(stopped.iter().all(|reason| gone.contains(reason)), "{stopped:?}");
    !stopped.is_empty()
}

const BURST: usize = 20;

fn burst(stage: &Stage) -> Result {
    (0..BURST).for_each(|_| stage.peer.send(b"one of many", &stage.host()));
    stage.turn(6)
}

fn burst_came(stage: &Stage) {
    if ended(stage) {
        return;
    }
    stage.turn_until(|| stage.diary.received.get() == BURST);
    assert_eq!(stage.port().get_stats().expect("open").datagrams_in, BURST as u64);
}

#[test]
fn read() {
    let scenario = Scenario {
        name: "read a burst",
        before: &listen,
        act: &burst,
        returned: turn_told,
        after: &burst_came,
        exact: true,
        size: (8, 78),
    };
    scenario.sweep();
    let act = |stage: &Stage| {
        stage.peer.send_merged(&[7; BURST * 100], 100, &stage.host());
        stage.turn(3)
    };
    Scenario { name: "read what was merged", before: &listen_merging, act: &act, size: (4, 39), ..scenario }
        .sweep();
    let before = |stage: &Stage| {
        listen(stage);
        stage.at_next_datagram(|port| port.pause_reading().expect("open"));
        (0..BURST).for_each(|_| stage.peer.send(b"one of many", &stage.host()));
        stage.turn(3).expect("turns");
        assert!(stage.port().get_stats().expect("open").kept_datagrams > 0);
    };
    let act = |stage: &Stage| {
        stage.port().resume_reading().expect("open");
        stage.turn(6)
    };
    Scenario { name: "resume", before: &before, act: &act, size: (8, 65), ..scenario }.sweep();
}

fn write_to(stage: &Stage, to: Option<&Addr>) {
    stage.port().write(b"ping", to, Flush::Immediate).expect("written, or queued");
    stage.accepted.set(stage.accepted.get() + 1);
}

#[test]
fn hear_of_errors() {
    let scenario = Scenario {
        name: "read a report",
        before: &|stage| listen_with(stage, PLAIN | flag::ERROR_REPORTS),
        act: &|stage| {
            write_to(stage, Some(&Peer::dead()));
            stage.turn(4)
        },
        returned: turn_told,
        after: &|stage| {
            if ended(stage) {
                return;
            }
            let reports = &stage.diary.reports;
            stage.turn_until(|| !reports.borrow().is_empty());
            assert_eq!(reports.borrow()[0].status, Status::CONNECTION_REFUSED);
        },
        exact: true,
        size: (9, 122),
    };
    scenario.sweep();
    let connected = |stage: &Stage| {
        listen(stage);
        stage.port().connect(&Peer::dead()).expect("connected");
    };
    let act = |stage: &Stage| {
        write_to(stage, None);
        stage.turn(4)
    };
    let after = |stage: &Stage| {
        if ended(stage) {
            return;
        }
        stage.turn_until(|| stage.diary.refused.get() > 0);
        assert!(stage.port().get_peer().is_ok());
    };
    let name = "hear of a refusal";
    Scenario { name, before: &connected, act: &act, after: &after, size: (8, 104), ..scenario }.sweep();
    // A write that had been accepted is too long for the path, which is then measured.
    let before = |stage: &Stage| {
        listen(stage);
        stage.kernel.fail(Send, [EMSGSIZE; 2]);
    };
    let act = |stage: &Stage| {
        let (to, accepted) = (stage.peer.addr(), stage.accepted.clone());
        stage.at_next_datagram(move |port| {
            write_number(port, 0, &to, Flush::Batched).expect("accepted");
            accepted.set(1);
        });
        stage.peer.send(b"now", &stage.host());
        stage.turn(3)
    };
    Scenario {
        name: "a write too long",
        before: &before,
        act: &act,
        after: &|_| {},
        size: (13, 207),
        ..scenario
    }
    .sweep();
}

#[test]
fn write() {
    let scenario = Scenario {
        name: "write",
        before: &listen,
        act: &|stage| stage.write(0..1),
        returned: |failed| match failed.errno {
            // A full socket; another datagram's refusal.
            EAGAIN | ENOBUFS | EINTR | ECONNREFUSED => Ok(()),
            _ => failed.plain(),
        },
        after: &sent,
        exact: true,
        size: (1, 32),
    };
    scenario.sweep();
    let act = |stage: &Stage| stage.port().shared.post(b"post", Some(&stage.peer.addr())).and(stage.turn(3));
    let act = |stage: &Stage| {
        stage.accepted.set(1);
        act(stage)
    };
    let after = |stage: &Stage| {
        let stats = || stage.port().get_stats().expect("open");
        stage.turn_until(|| stats().datagrams_out + stats().dropped_out == 1);
    };
    let posted = Scenario { act: &act, returned: turn_told, after: &after, ..scenario };
    Scenario { name: "post", size: (4, 50), ..posted }.sweep();
    for (name, before, size) in [
        ("gathered", &listen as &dyn Fn(&Stage), (5, 71)),
        ("gathered and merged", &listen_merging, (5, 71)),
        ("gathered with reports", &|stage| listen_with(stage, PLAIN | flag::ERROR_REPORTS), (5, 71)),
        ("gathered, no queue", &|stage| listen_with(stage, flag::NO_QUEUE), (5, 71)),
    ] {
        let act = |stage: &Stage| write_in_callback(stage, |_| ());
        let no_queue = name.ends_with("no queue");
        let after = move |stage: &Stage| {
            if !no_queue {
                sent(stage)
            }
        };
        Scenario { name, before, act: &act, returned: turn_told, after: &after, exact: true, size }.sweep();
    }
    let queued = |stage: &Stage| {
        listen(stage);
        stage.kernel.fail(Send, [EAGAIN]);
        stage.write(0..5).expect("queued");
    };
    let act = |stage: &Stage| stage.turn(3);
    Scenario {
        name: "queued",
        before: &queued,
        act: &act,
        returned: turn_told,
        after: &sent,
        exact: true,
        size: (5, 58),
    }
    .sweep();
    // By the clock: it is due when the wait is over.
    let backing_off = |stage: &Stage| {
        listen(stage);
        stage.kernel.fail(Send, [ENOBUFS]);
        stage.write(0..5).expect("queued");
    };
    let act = |stage: &Stage| stage.reactor.iterate(Some(1_000_000_000));
    let name = "after ENOBUFS";
    Scenario {
        name,
        before: &backing_off,
        act: &act,
        returned: turn_told,
        after: &sent,
        exact: true,
        // The first of the sends is one datagram alone.
        size: (3, 70),
    }
    .sweep();
}

/// Ten numbers in the callback for a datagram, then `act`.
fn write_in_callback(stage: &Stage, act: impl FnOnce(&Arc<Port>) + 'static) -> Result {
    let (to, accepted) = (stage.peer.addr(), stage.accepted.clone());
    stage.at_next_datagram(move |port| {
        (0..10).for_each(|number| write_number(port, number, &to, Flush::Batched).expect("accepted"));
        accepted.set(10);
        act(port);
    });
    stage.peer.send(b"now", &stage.host());
    stage.turn(3)
}

/// A port is closed, and its last counters tell what became of what it had gathered.
fn closed(stage: &Stage) {
    let port = stage.port();
    stage.turn_until(|| !port.is_open());
    assert_eq!(stage.last.get().queued_datagrams, 0);
}

#[test]
fn stop() {
    let act = |stage: &Stage| write_in_callback(stage, |port| port.stop_listening().expect("open"));
    let scenario = Scenario {
        name: "stop",
        before: &listen,
        act: &act,
        returned: turn_told,
        after: &closed,
        exact: true,
        size: (9, 105),
    };
    scenario.sweep();
    let act = |stage: &Stage| write_in_callback(stage, |port| port.close(Status::OK).expect("open"));
    Scenario { name: "close in a callback", act: &act, size: (8, 97), ..scenario }.sweep();
    let queued = |stage: &Stage| {
        listen(stage);
        stage.kernel.fail(Send, [EAGAIN]);
        stage.write(0..5).expect("queued");
    };
    let act = |stage: &Stage| stage.port().close(Status::OK);
    Scenario { name: "close with a queue", before: &queued, act: &act, size: (3, 26), ..scenario }.sweep();
    let adopted = |stage: &Stage| {
        lend(stage);
        let fd = stage.lent.borrow().as_ref().map_or(-1, AsRawFd::as_raw_fd);
        let descriptor = Descriptor::Lent(fd);
        let options = Options { flags: flag::ERROR_REPORTS | flag::BROADCAST, ..Options::default() };
        stage
            .keep(stage.reactor.adopt_datagram_port(descriptor, 0, &options, stage.protocol()))
            .expect("a port");
        stage.port().connect(&stage.peer.addr()).expect("connected");
    };
    Scenario {
        name: "close, adopted",
        before: &adopted,
        act: &act,
        exact: false,
        size: (10, 110),
        ..scenario
    }
    .sweep();
    let end = |stage: &Stage| {
        stage.embed().expect("a descriptor");
        queued(stage);
    };
    let act = |stage: &Stage| {
        stage.reactor.close();
        Ok(())
    };
    Scenario { name: "the reactor's end", before: &end, act: &act, size: (3, 26), ..scenario }.sweep();
}

struct Deaf;

impl Watcher<Later> for Deaf {
    fn ready(&self, _: &Reactor<Later>, _: u64, _: i32, _: u32) {}
}

fn lend(stage: &Stage) {
    stage.lent.replace(Some(UdpSocket::bind("127.0.0.1:0").expect("a socket").into()));
}

#[test]
fn the_reactor_itself() {
    let run = Scenario {
        name: "run",
        before: &listen,
        act: &|stage| {
            let stop = Later::new(|reactor| reactor.stop().unwrap_or_default());
            stage.reactor.call_later(0, stop).expect("a call");
            stage.reactor.run()
        },
        returned: turn_told,
        after: &|stage| assert!(!stage.reactor.context().shared.is_running()),
        exact: true,
        size: (4, 32),
    };
    run.sweep();
    let embed = Scenario {
        name: "backend_fd",
        before: &|_| {},
        act: &Stage::embed,
        returned: |failed| failed.plain(),
        after: &|_| {},
        exact: true,
        size: (1, 8),
    };
    embed.sweep();
    let watch = Scenario {
        name: "watch",
        before: &lend,
        act: &|stage| {
            let fd = stage.lent.borrow().as_ref().map_or(-1, AsRawFd::as_raw_fd);
            let id = stage.reactor.watch(fd, 1, Box::new(Deaf))?;
            stage.reactor.change_watch(id, 3).inspect_err(|_| {
                stage.reactor.unwatch(id).expect("watched");
            })?;
            stage.reactor.unwatch(id)
        },
        returned: |failed| match failed.step.syscall {
            Watch if failed.errno == EPERM => Err(Status::NOT_SUPPORTED),
            Syscall::Unwatch => Ok(()),
            _ => failed.plain(),
        },
        after: &|_| {},
        exact: true,
        size: (3, 24),
    };
    watch.sweep();
}
