//! Fault sweeps (tests/support/fault_sweep.rs) of receiving, sending, stopping, and of the reactor's own calls.

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
use udpr::sys::{Handle, Interest, Readiness};

use Syscall::{Send, Wait, Watch};

const PLAIN: u32 = flag::NO_OFFLOAD;

fn listen_with(fixture: &SweepFixture, flags: u32) {
    let options = Options { flags, ..Options::default() };
    fixture
        .set_port(fixture.reactor.listen_udp(0, "127.0.0.1", &options, fixture.protocol()))
        .expect("a port");
}

fn listen(fixture: &SweepFixture) {
    listen_with(fixture, PLAIN);
}

fn listen_with_offload(fixture: &SweepFixture) {
    listen_with(fixture, 0);
}

/// A turn fails only if its wait fails.
fn turn_result(failed: &FailedCall<'_>) -> Result {
    if failed.is(Wait) && failed.errno != EINTR { failed.as_error() } else { Ok(()) }
}

/// All datagrams were sent, or dropped and reported, and the peer has received them in order.
fn assert_all_sent(fixture: &SweepFixture) {
    if was_stopped_by_error(fixture) {
        return;
    }
    let port = fixture.port();
    fixture.turn_until(|| port.get_stats().expect("open").queued_datagrams == 0);
    // Reports are delivered in a turn.
    fixture.turn(2).expect("two turns");
    let stats = port.get_stats().expect("open");
    assert_eq!(stats.dropped_out, fixture.record.reports.borrow().len() as u64);
    let numbers = fixture.peer.receive_numbers(stats.datagrams_out as usize);
    assert!(numbers.is_sorted() && fixture.peer.has_nothing_to_read(), "{numbers:?}");
}

/// A receive has failed as if the program had closed the descriptor: the port has stopped with that reason.
fn was_stopped_by_error(fixture: &SweepFixture) -> bool {
    let gone = [EBADF, ENOTSOCK].map(Status::from_errno);
    let stopped = fixture.record.stopped.borrow();
    assert!(stopped.iter().all(|reason| gone.contains(reason)), "{stopped:?}");
    !stopped.is_empty()
}

const BURST: usize = 20;

fn burst(fixture: &SweepFixture) -> Result {
    (0..BURST).for_each(|_| fixture.peer.send(b"one of many", &fixture.host()));
    fixture.turn(6)
}

fn assert_burst_received(fixture: &SweepFixture) {
    if was_stopped_by_error(fixture) {
        return;
    }
    fixture.turn_until(|| fixture.record.received.get() == BURST);
    assert_eq!(fixture.port().get_stats().expect("open").datagrams_in, BURST as u64);
}

#[test]
fn read() {
    let scenario = Scenario {
        name: "read a burst",
        setup: &listen,
        run: &burst,
        expected: turn_result,
        check: &assert_burst_received,
        all_or_nothing: true,
        size: (8, 78),
    };
    scenario.sweep();
    let act = |fixture: &SweepFixture| {
        fixture.peer.send_gso(&[7; BURST * 100], 100, &fixture.host());
        fixture.turn(3)
    };
    Scenario {
        name: "read what was merged",
        setup: &listen_with_offload,
        run: &act,
        size: (4, 39),
        ..scenario
    }
    .sweep();
    let before = |fixture: &SweepFixture| {
        listen(fixture);
        fixture.on_next_datagram(|port| port.pause_reading().expect("open"));
        (0..BURST).for_each(|_| fixture.peer.send(b"one of many", &fixture.host()));
        fixture.turn(3).expect("turns");
        assert!(fixture.port().get_stats().expect("open").kept_datagrams > 0);
    };
    let act = |fixture: &SweepFixture| {
        fixture.port().resume_reading().expect("open");
        fixture.turn(6)
    };
    Scenario { name: "resume", setup: &before, run: &act, size: (8, 65), ..scenario }.sweep();
}

fn write_to(fixture: &SweepFixture, to: Option<&Addr>) {
    fixture.port().write(b"ping", to, Flush::Immediate).expect("written, or queued");
    fixture.accepted.set(fixture.accepted.get() + 1);
}

#[test]
fn receive_errors() {
    let scenario = Scenario {
        name: "read a report",
        setup: &|fixture| listen_with(fixture, PLAIN | flag::ERROR_REPORTS),
        run: &|fixture| {
            write_to(fixture, Some(&Peer::closed_addr()));
            fixture.turn(4)
        },
        expected: turn_result,
        check: &|fixture| {
            if was_stopped_by_error(fixture) {
                return;
            }
            let reports = &fixture.record.reports;
            fixture.turn_until(|| !reports.borrow().is_empty());
            assert_eq!(reports.borrow()[0].status, Status::CONNECTION_REFUSED);
        },
        all_or_nothing: true,
        size: (9, 122),
    };
    scenario.sweep();
    let connected = |fixture: &SweepFixture| {
        listen(fixture);
        fixture.port().connect(&Peer::closed_addr()).expect("connected");
    };
    let act = |fixture: &SweepFixture| {
        write_to(fixture, None);
        fixture.turn(4)
    };
    let after = |fixture: &SweepFixture| {
        if was_stopped_by_error(fixture) {
            return;
        }
        fixture.turn_until(|| fixture.record.refused.get() > 0);
        assert!(fixture.port().get_peer().is_ok());
    };
    let name = "receive a refusal";
    Scenario { name, setup: &connected, run: &act, check: &after, size: (8, 104), ..scenario }.sweep();
    // An accepted datagram is too long for the path, so its MTU is read.
    let before = |fixture: &SweepFixture| {
        listen(fixture);
        fixture.kernel.fail(Send, [EMSGSIZE; 2]);
    };
    let act = |fixture: &SweepFixture| {
        let (to, accepted) = (fixture.peer.addr(), fixture.accepted.clone());
        fixture.on_next_datagram(move |port| {
            write_number(port, 0, &to, Flush::Batched).expect("accepted");
            accepted.set(1);
        });
        fixture.peer.send(b"now", &fixture.host());
        fixture.turn(3)
    };
    Scenario {
        name: "a write too long",
        setup: &before,
        run: &act,
        check: &|_| {},
        size: (13, 207),
        ..scenario
    }
    .sweep();
}

#[test]
fn write() {
    let scenario = Scenario {
        name: "write",
        setup: &listen,
        run: &|fixture| fixture.write(0..1),
        expected: |failed| match failed.errno {
            // A full socket; another datagram's refusal.
            EAGAIN | ENOBUFS | EINTR | ECONNREFUSED => Ok(()),
            _ => failed.as_error(),
        },
        check: &assert_all_sent,
        all_or_nothing: true,
        size: (1, 32),
    };
    scenario.sweep();
    let act = |fixture: &SweepFixture| {
        fixture.port().shared.post(b"post", Some(&fixture.peer.addr())).and(fixture.turn(3))
    };
    let act = |fixture: &SweepFixture| {
        fixture.accepted.set(1);
        act(fixture)
    };
    let after = |fixture: &SweepFixture| {
        let stats = || fixture.port().get_stats().expect("open");
        fixture.turn_until(|| stats().datagrams_out + stats().dropped_out == 1);
    };
    let posted = Scenario { run: &act, expected: turn_result, check: &after, ..scenario };
    Scenario { name: "post", size: (4, 50), ..posted }.sweep();
    for (name, before, size) in [
        ("gathered", &listen as &dyn Fn(&SweepFixture), (5, 71)),
        ("gathered and merged", &listen_with_offload, (5, 71)),
        ("gathered with reports", &|fixture| listen_with(fixture, PLAIN | flag::ERROR_REPORTS), (5, 71)),
        ("gathered, no queue", &|fixture| listen_with(fixture, flag::NO_QUEUE), (5, 71)),
    ] {
        let act = |fixture: &SweepFixture| write_in_callback(fixture, |_| ());
        let no_queue = name.ends_with("no queue");
        let after = move |fixture: &SweepFixture| {
            if !no_queue {
                assert_all_sent(fixture)
            }
        };
        Scenario {
            name,
            setup: before,
            run: &act,
            expected: turn_result,
            check: &after,
            all_or_nothing: true,
            size,
        }
        .sweep();
    }
    let queued = |fixture: &SweepFixture| {
        listen(fixture);
        fixture.kernel.fail(Send, [EAGAIN]);
        fixture.write(0..5).expect("queued");
    };
    let act = |fixture: &SweepFixture| fixture.turn(3);
    Scenario {
        name: "queued",
        setup: &queued,
        run: &act,
        expected: turn_result,
        check: &assert_all_sent,
        all_or_nothing: true,
        size: (5, 58),
    }
    .sweep();
    // The retry is due when the wait ends.
    let backing_off = |fixture: &SweepFixture| {
        listen(fixture);
        fixture.kernel.fail(Send, [ENOBUFS]);
        fixture.write(0..5).expect("queued");
    };
    let act = |fixture: &SweepFixture| fixture.reactor.iterate(Some(1_000_000_000));
    let name = "after ENOBUFS";
    Scenario {
        name,
        setup: &backing_off,
        run: &act,
        expected: turn_result,
        check: &assert_all_sent,
        all_or_nothing: true,
        // The first send is of a single datagram.
        size: (3, 70),
    }
    .sweep();
}

/// Writes ten numbers in the callback for a datagram, then calls `act`.
fn write_in_callback(fixture: &SweepFixture, act: impl FnOnce(&Arc<Port>) + 'static) -> Result {
    let (to, accepted) = (fixture.peer.addr(), fixture.accepted.clone());
    fixture.on_next_datagram(move |port| {
        (0..10).for_each(|number| write_number(port, number, &to, Flush::Batched).expect("accepted"));
        accepted.set(10);
        act(port);
    });
    fixture.peer.send(b"now", &fixture.host());
    fixture.turn(3)
}

/// The port is closed, and its final counters add up.
fn assert_closed(fixture: &SweepFixture) {
    let port = fixture.port();
    fixture.turn_until(|| !port.is_open());
    assert_eq!(fixture.final_stats.get().queued_datagrams, 0);
}

#[test]
fn stop() {
    let act =
        |fixture: &SweepFixture| write_in_callback(fixture, |port| port.stop_listening().expect("open"));
    let scenario = Scenario {
        name: "stop",
        setup: &listen,
        run: &act,
        expected: turn_result,
        check: &assert_closed,
        all_or_nothing: true,
        size: (9, 105),
    };
    scenario.sweep();
    let act =
        |fixture: &SweepFixture| write_in_callback(fixture, |port| port.close(Status::OK).expect("open"));
    Scenario { name: "close in a callback", run: &act, size: (8, 97), ..scenario }.sweep();
    let queued = |fixture: &SweepFixture| {
        listen(fixture);
        fixture.kernel.fail(Send, [EAGAIN]);
        fixture.write(0..5).expect("queued");
    };
    let act = |fixture: &SweepFixture| fixture.port().close(Status::OK);
    Scenario { name: "close with a queue", setup: &queued, run: &act, size: (3, 26), ..scenario }.sweep();
    let adopted = |fixture: &SweepFixture| {
        bind_socket_to_adopt(fixture);
        let fd = fixture.adopted.borrow().as_ref().map_or(-1, AsRawFd::as_raw_fd);
        let descriptor = Descriptor::Lent(fd);
        let options = Options { flags: flag::ERROR_REPORTS | flag::BROADCAST, ..Options::default() };
        fixture
            .set_port(fixture.reactor.adopt_datagram_port(descriptor, 0, &options, fixture.protocol()))
            .expect("a port");
        fixture.port().connect(&fixture.peer.addr()).expect("connected");
    };
    Scenario {
        name: "close, adopted",
        setup: &adopted,
        run: &act,
        all_or_nothing: false,
        size: (10, 110),
        ..scenario
    }
    .sweep();
    let end = |fixture: &SweepFixture| {
        fixture.embed().expect("a descriptor");
        queued(fixture);
    };
    let act = |fixture: &SweepFixture| {
        fixture.reactor.close();
        Ok(())
    };
    Scenario { name: "the reactor's end", setup: &end, run: &act, size: (3, 26), ..scenario }.sweep();
}

struct IgnoreEvents;

impl Watcher<ClosureCall> for IgnoreEvents {
    fn ready(&self, _: &Reactor<ClosureCall>, _: Handle, _: Readiness) {}
}

fn bind_socket_to_adopt(fixture: &SweepFixture) {
    fixture.adopted.replace(Some(UdpSocket::bind("127.0.0.1:0").expect("a socket").into()));
}

#[test]
fn the_reactor_itself() {
    let run = Scenario {
        name: "run",
        setup: &listen,
        run: &|fixture| {
            let stop = ClosureCall::new(|reactor| reactor.stop().unwrap_or_default());
            fixture.reactor.call_later(0, stop).expect("a call");
            fixture.reactor.run()
        },
        expected: turn_result,
        check: &|fixture| assert!(!fixture.reactor.context().shared.is_running()),
        all_or_nothing: true,
        size: (4, 32),
    };
    run.sweep();
    let embed = Scenario {
        name: "backend_fd",
        setup: &|_| {},
        run: &SweepFixture::embed,
        expected: |failed| failed.as_error(),
        check: &|_| {},
        all_or_nothing: true,
        size: (1, 8),
    };
    embed.sweep();
    let watch = Scenario {
        name: "watch",
        setup: &bind_socket_to_adopt,
        run: &|fixture| {
            let fd = fixture.adopted.borrow().as_ref().map_or(-1, AsRawFd::as_raw_fd);
            let id = fixture.reactor.watch(fd, Interest::READABLE, Box::new(IgnoreEvents))?;
            fixture.reactor.change_watch(id, Interest { writable: true, ..Interest::READABLE }).inspect_err(
                |_| {
                    fixture.reactor.unwatch(id).expect("watched");
                },
            )?;
            fixture.reactor.unwatch(id)
        },
        expected: |failed| match failed.call.syscall {
            Watch if failed.errno == EPERM => Err(Status::NOT_SUPPORTED),
            Syscall::Unwatch => Ok(()),
            _ => failed.as_error(),
        },
        check: &|_| {},
        all_or_nothing: true,
        size: (3, 24),
    };
    watch.sweep();
}
