//! A reactor embedded in another loop, which waits for its descriptor only: whatever is called outside a turn, and whatever
//! fails, the descriptor is readable when a turn has something to do.

mod support;

use std::rc::Rc;
use std::time::Instant;
use support::*;
use udpr::port::{Flush, Options, flag};
use udpr::status::{Result, Status};
use udpr::sys::{Interest, Poller, Readiness};

use Syscall::{LocalAddr, Option as GetOption, Rewatch, Send, Watch};

/// The other event loop.
struct OuterLoop(Poller);

impl OuterLoop {
    fn new(fixture: &Fixture) -> OuterLoop {
        let outer = Poller::new().expect("a poller");
        let inner = fixture.reactor.backend_fd().expect("a descriptor");
        outer.add(inner, Interest::READABLE, 1).expect("watched");
        OuterLoop(outer)
    }

    fn is_readable(&self, timeout: u64) -> bool {
        let mut events = [Readiness::default()];
        self.0.wait(&mut events, Some(timeout)).expect("a wait") == 1
    }

    /// The descriptor is readable now if something is due now, and in time if something is due soon.
    fn check(&self, fixture: &Fixture, what: &str) {
        const SOON: u64 = 100_000_000;
        let Some(timeout) = fixture.reactor.next_timeout().filter(|timeout| *timeout < SOON) else { return };
        let wait = if timeout == 0 { 0 } else { TIMEOUT.as_nanos() as u64 };
        assert!(self.is_readable(wait), "{what}: due in {timeout} ns");
    }

    fn turn_until(&self, fixture: &Fixture, what: &str, mut done: impl FnMut(&Fixture) -> bool) {
        let end = Instant::now() + TIMEOUT;
        while !done(fixture) {
            let left = end.saturating_duration_since(Instant::now());
            assert!(self.is_readable(left.as_nanos() as u64), "{what}: timed out");
            fixture.reactor.iterate(Some(0)).expect("a turn");
        }
    }
}

type Action = fn(&Fixture) -> Result;

/// Calls that may be made outside a turn, in an order in which sockets have errors to report.
const ACTIONS: [(&str, Action); 14] = [
    ("write to a closed port", |fixture| {
        fixture.port.write(b"dead", Some(&Peer::closed_addr()), Flush::Immediate)
    }),
    ("write", |fixture| fixture.write(1)),
    ("pause", |fixture| fixture.port.pause_reading()),
    ("write while paused", |fixture| fixture.write(2)),
    ("resume", |fixture| fixture.port.resume_reading()),
    ("post", |fixture| fixture.port.shared.post(&3u32.to_be_bytes(), Some(&fixture.peer.addr()))),
    ("reports", |fixture| fixture.port.set_error_reports(true)),
    ("connect to a closed port", |fixture| fixture.port.connect(&Peer::closed_addr())),
    ("write to a closed peer", |fixture| fixture.port.write(b"dead", None, Flush::Batched)),
    ("write to a closed peer again", |fixture| fixture.port.write(b"dead", None, Flush::Batched)),
    ("connect", |fixture| fixture.port.connect(&fixture.peer.addr())),
    ("write to the peer", |fixture| fixture.port.write(&4u32.to_be_bytes(), None, Flush::Batched)),
    ("disconnect", |fixture| fixture.port.disconnect()),
    ("flush", |fixture| fixture.port.flush()),
];

fn fixture() -> (Fixture, OuterLoop) {
    let options = Options { flags: flag::ERROR_REPORTS | flag::NO_OFFLOAD, ..Options::default() };
    let fixture = Fixture::with_offload(Rc::default(), &options);
    let outer = OuterLoop::new(&fixture);
    (fixture, outer)
}

/// Makes all calls of `ACTIONS` while one system call fails. With `turns` a turn follows each of them if the descriptor is
/// readable. At the end the port receives and sends. Returns the number of system calls.
fn run_actions(fault: Option<Fault>, turns: bool) -> usize {
    let (fixture, outer) = fixture();
    fixture.kernel.start_trace(fault);
    for (name, action) in ACTIONS {
        let _ = action(&fixture);
        let what = format!("{name} with {fault:?}");
        outer.check(&fixture, &what);
        if turns && outer.is_readable(0) {
            // The wait may be the system call that fails.
            let _ = fixture.reactor.iterate(Some(0));
            outer.check(&fixture, &what);
        }
    }
    let calls = fixture.kernel.end_trace();
    let what = format!("the end with {fault:?}");
    outer.check(&fixture, &what);
    // The port may have no peer any longer, depending on the fault.
    let _ = fixture.port.disconnect();
    let received = fixture.record.received.get();
    fixture.peer.send(b"now", &fixture.host());
    outer.turn_until(&fixture, &what, |fixture| fixture.record.received.get() > received);
    outer.turn_until(&fixture, &what, |fixture| fixture.stats().queued_datagrams == 0);
    calls.len()
}

#[test]
fn the_descriptor_is_readable_whatever_fails_outside_a_turn() {
    for turns in [false, true] {
        let count = run_actions(None, turns);
        assert!(count > ACTIONS.len());
        for number in 0..count {
            for errno in [libc::ENOBUFS, libc::EAGAIN, libc::ENOMEM, libc::ECONNREFUSED] {
                run_actions(Some(Fault::Once(number, CallResult::Errno(errno))), turns);
            }
        }
    }
}

#[test]
fn a_full_device_outside_a_turn() {
    let (fixture, outer) = fixture();
    fixture.kernel.fail(Send, [libc::ENOBUFS; 3]);
    assert_eq!(fixture.write(1), Ok(()));
    outer.check(&fixture, "the first");
    assert_eq!(fixture.write(2), Ok(()));
    outer.turn_until(&fixture, "the retries", |fixture| fixture.stats().queued_datagrams == 0);
    fixture.assert_received([1, 2]);
}

#[test]
fn an_interest_that_could_not_be_changed_outside_a_turn() {
    let (fixture, outer) = fixture();
    fixture.kernel.fail(Rewatch, [libc::ENOMEM; 2]);
    fixture.kernel.fail(Watch, [libc::ENOMEM; 2]);
    fixture.port.pause_reading().expect("open");
    fixture.port.resume_reading().expect("open");
    fixture.peer.send(b"now", &fixture.host());
    outer.turn_until(&fixture, "the datagram", |fixture| fixture.record.received.get() == 1);
}

#[test]
fn a_stop_during_failures() {
    for fault in [None, Some(GetOption), Some(LocalAddr), Some(Rewatch)] {
        let (fixture, outer) = fixture();
        fixture.kernel.start_trace(fault.map(|syscall| Fault::Always(syscall, libc::ENOMEM)));
        fixture.port.stop_listening().expect("open");
        fixture.kernel.end_trace();
        outer.check(&fixture, "stop");
        outer.turn_until(&fixture, "the stop", |fixture| *fixture.record.stopped.borrow() == [Status::OK]);
    }
}
